"""A manifest says what a genotype file was when it was whole; every later opening is held to it.

A BED has no checksum, and most other formats have none over all of their bytes, so that damage which leaves the
lengths alone can change calls without a sign. A manifest of SHA-256 sums, made once, catches every change.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal

from cohorts.errors import InputError
from gwas.genotypes.descriptor import Genotypes

Verify = Literal["full", "size", "off"]

SUFFIX: Final = ".manifest.json"
_MEND: Final = "copy the files again from their source, or make a new manifest if the change was meant"


def manifest_of(path: Path) -> Path:
    """Where the manifest of a genotype file lies: beside it, ``study.bed.manifest.json``."""
    return path.with_name(path.name + SUFFIX)


def fileset(path: Path, sample_file: Path | None = None) -> list[Path]:
    """Every file that opening ``path`` reads: the calls first, then tables and indexes that are there.

    Parameters
    ----------
    path
        The file with the calls, or the folder of a Zarr store.
    sample_file
        The .sample file of a BGEN.

    Examples
    --------
    >>> [file.name for file in fileset(Path("study.bed"))]
    ['study.bed', 'study.bim', 'study.fam']
    """
    if path.is_dir():
        return sorted(file for file in path.rglob("*") if file.is_file())
    name = path.name
    if name.endswith(".bed"):
        return [path, path.with_suffix(".bim"), path.with_suffix(".fam")]
    if name.endswith(".pgen"):
        packed = path.with_suffix(".pvar.zst")
        table = packed if packed.exists() and not path.with_suffix(".pvar").exists() else None
        return [path, table or path.with_suffix(".pvar"), path.with_suffix(".psam")]
    beside = [path.with_name(name + end) for end in (".tbi", ".csi", ".bgi")]
    beside += [] if sample_file is None else [sample_file]
    return [path, *(file for file in beside if file.exists())]


def make_manifest(genotypes: Genotypes, *, sample_file: Path | None = None) -> dict[str, Any]:
    """Describe the files of an opened, whole genotype file.

    Parameters
    ----------
    genotypes
        As opened, without regions and filters.
    sample_file
        The .sample file it was opened with.

    Returns
    -------
    dict
        ``format``, ``samples``, ``variants``, and ``files``: for each its ``name`` (from the manifest's folder),
        ``bytes`` and ``sha256``.

    Raises
    ------
    InputError
        If a file cannot be read.
    """
    folder = genotypes.path.parent
    files = []
    for file in fileset(genotypes.path, sample_file):
        name = str(file.relative_to(folder)) if file.is_relative_to(folder) else str(file.resolve())
        files.append({"name": name, "bytes": _size(file), "sha256": _sha256(file)})
    return {
        "format": genotypes.reader.coding,
        "samples": genotypes.n_samples,
        "variants": genotypes.n_variants,
        "files": files,
    }


def read_manifest(path: Path) -> dict[str, Any] | None:
    """Read the manifest of the genotype file ``path``; None where it has none.

    Raises
    ------
    InputError
        If there is one and it cannot be understood.
    """
    file = manifest_of(path)
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError("cannot be read", where=file, fix="check it, or make a new manifest") from error
    try:
        manifest: dict[str, Any] = json.loads(text)
        good = all(isinstance(manifest[key], int) for key in ("samples", "variants")) and all(
            isinstance(entry["name"], str) and isinstance(entry["bytes"], int) and len(entry["sha256"]) == 64
            for entry in manifest["files"]
        )
    except (ValueError, KeyError, TypeError):
        good = False
    if not good or not manifest["files"]:
        raise InputError("is not a manifest of genotypes", where=file, fix="make a new one: careome manifest")
    return manifest


def verify_files(path: Path, manifest: Mapping[str, Any], *, verify: Verify = "full") -> None:
    """Hold the files to their manifest.

    Parameters
    ----------
    path
        The file with the calls.
    manifest
        From :func:`read_manifest`.
    verify
        ``full``: sizes and SHA-256; ``size``: sizes alone; ``off``: nothing.

    Raises
    ------
    InputError
        Naming the first file that is not what it was.
    """
    if verify == "off":
        return
    files = [(path.parent / entry["name"], entry) for entry in manifest["files"]]
    for file, entry in files:
        if not file.is_file():
            raise InputError("is named by the manifest and not there", where=file, fix=_MEND)
        if (size := _size(file)) != entry["bytes"]:
            raise InputError(
                "has changed since its manifest was made",
                where=file,
                found=f"{size} bytes",
                expected=f"{entry['bytes']} bytes",
                fix=_MEND,
            )
    for file, entry in files if verify == "full" else ():
        if (found := _sha256(file)) != entry["sha256"]:
            raise InputError(
                "has changed since its manifest was made",
                where=file,
                found=f"SHA-256 {found[:12]}…",
                expected=f"{entry['sha256'][:12]}…",
                fix=_MEND,
            )


def verify_counts(genotypes: Genotypes, manifest: Mapping[str, Any]) -> None:
    """Hold a file opened whole to the samples and variants of its manifest.

    Raises
    ------
    InputError
        If there are others.
    """
    found = (genotypes.n_samples, genotypes.n_variants)
    expected = (manifest["samples"], manifest["variants"])
    if found != expected:
        raise InputError(
            "holds another number of samples or variants than its manifest says",
            where=genotypes.path,
            found=f"{found[0]} samples and {found[1]} variants",
            expected=f"{expected[0]} and {expected[1]}",
            fix=_MEND,
        )


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError as error:
        raise InputError("cannot be read", where=file, found=error.strerror, fix="check it") from error


def _sha256(file: Path) -> str:
    try:
        with open(file, "rb") as handle:
            return hashlib.file_digest(handle, "sha256").hexdigest()
    except OSError as error:
        raise InputError("cannot be read", where=file, found=error.strerror, fix="check it") from error
