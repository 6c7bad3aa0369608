"""Genotype files as lazy descriptors.

Why a descriptor: a biobank's genotypes do not fit in memory, and an engine must be free to read any range of
them anywhere. So opening a file reads only who and which variants are in it; calls arrive in blocks. A new
format is one module with an opener and one line in :data:`FORMATS`.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Final, Literal, get_args

import numpy as np

from cohorts.errors import InputError
from gwas.genotypes.descriptor import HARD_CALL_THRESHOLD, Block, DosageBlock, Genotypes, Reader, Values
from gwas.genotypes.manifest import Verify, read_manifest, verify_counts, verify_files
from gwas.genotypes.options import OpenOptions, Region, split_regions

__all__ = [
    "FORMATS",
    "Block",
    "DosageBlock",
    "Genotypes",
    "OpenOptions",
    "Reader",
    "Region",
    "locate",
    "open_genotypes",
]

FORMATS: Final[dict[str, str]] = {
    ".bed": "gwas.genotypes.bed:open_bed",
    ".bgen": "gwas.genotypes.bgen:open_bgen",
    ".pgen": "gwas.genotypes.pgen:open_pgen",
    ".vcf": "gwas.genotypes.vcf:open_vcf",
    ".vcf.gz": "gwas.genotypes.vcf:open_vcf",
    ".vcf.bgz": "gwas.genotypes.vcf:open_vcf",
    ".bcf": "gwas.genotypes.vcf:open_vcf",
    ".vcz": "gwas.genotypes.vcf_zarr:open_vcf_zarr",
    ".vcf.zarr": "gwas.genotypes.vcf_zarr:open_vcf_zarr",
    ".zarr": "gwas.genotypes.vcf_zarr:open_vcf_zarr",
}
"""Suffix of the file with the calls, and its opener ``(path, options) -> Genotypes``."""


def open_genotypes(
    path: str | Path,
    *,
    values: Values | None = None,
    hard_call_threshold: float = HARD_CALL_THRESHOLD,
    sample_file: str | Path | None = None,
    bgen_ref: Literal["first", "last"] = "first",
    vcf_dosage: Literal["DS", "GP"] | None = None,
    regions: str | Region | Sequence[str | Region] | None = None,
    verify: Verify = "full",
) -> Genotypes:
    """Open a genotype file, or the prefix of a PLINK fileset.

    Parameters
    ----------
    path
        A file whose suffix is in :data:`FORMATS`, or its path without that suffix.
    values
        ``"dosage"`` or ``"hard-call"``: what frequencies, scores and association take from the file. By
        default dosages where it has them. :meth:`Genotypes.describe` says which; logs and results carry it.
    hard_call_threshold
        A dosage no farther than this from a whole number is called as that number, else the call is missing
        (only where the file has no call of its own). From 0 to below 0.5.
    sample_file
        The .sample file of a BGEN that does not carry its sample identifiers, or carries no sex.
    bgen_ref
        Which allele of a BGEN's variants is REF: the ``first`` (most biobanks) or the ``last``.
    vcf_dosage
        The one field of a VCF or BCF that dosages come from. Default: DS, else GP.
    regions
        Only variants in these, e.g. ``["22", "7:1000-2000"]`` or ``"22,7:1000-2000"`` (1-based, inclusive). A
        file with an index is read there alone.
    verify
        Where a manifest lies beside the file, what to hold the files to: sizes and SHA-256 (``full``), sizes
        (``size``), nothing (``off``). See :mod:`gwas.genotypes.manifest`.

    Returns
    -------
    Genotypes
        A lazy descriptor; dosage counts ALT.

    Raises
    ------
    InputError
        If the file is absent, damaged, of an unknown format, not what its manifest says, or the path fits
        several files; or if a choice is not one of those above.

    Examples
    --------
    >>> open_genotypes("nowhere/study.bed")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    cohorts.errors.InputError: nowhere/study.bed: file not found; expected a PLINK 1 fileset...
    """
    path = Path(path)
    if not 0 <= hard_call_threshold < 0.5:
        raise InputError(
            "hard-call threshold out of range", found=str(hard_call_threshold), expected="0 to below 0.5"
        )
    for name, choice, choices in (
        ("values", values, (None, *get_args(Values))),
        ("bgen_ref", bgen_ref, ("first", "last")),
        ("vcf_dosage", vcf_dosage, (None, "DS", "GP")),
        ("verify", verify, get_args(Verify)),
    ):
        if choice not in choices:
            expected = ", ".join(repr(known) for known in choices)
            raise InputError(f"no such {name}", found=repr(choice)[:40], expected=f"one of {expected}")
    chosen = _regions(regions)
    options = OpenOptions(
        values=values,
        hard_call_threshold=hard_call_threshold,
        sample_file=None if sample_file is None else Path(sample_file),
        bgen_ref=bgen_ref,
        vcf_dosage=vcf_dosage,
        regions=chosen or None,
    )
    file, suffix = locate(path)
    manifest = None if verify == "off" else read_manifest(file)
    if manifest is not None:
        verify_files(file, manifest, verify=verify)
    module, opener = FORMATS[suffix].split(":")
    genotypes: Genotypes = getattr(import_module(module), opener)(file, options)
    if manifest is not None and not chosen:
        verify_counts(genotypes, manifest)
    return _within(genotypes, chosen) if chosen else genotypes


def locate(path: Path) -> tuple[Path, str]:
    """Find the file with the calls, and its suffix, from its path or a prefix that it alone has.

    Raises
    ------
    InputError
        If no file or several files of a known format have this prefix.
    """
    for suffix in sorted(FORMATS, key=len, reverse=True):
        if path.name.endswith(suffix):
            return path, suffix
    found = [
        (path.with_name(path.name + suffix), suffix)
        for suffix in FORMATS
        if path.with_name(path.name + suffix).exists()
    ]
    if len(found) == 1:
        return found[0]
    if found:
        raise InputError(
            "several genotype files have this prefix",
            where=path,
            found=", ".join(suffix for _, suffix in found),
            fix="give the file with its suffix",
        )
    raise InputError(
        "no genotype file of a known format",
        where=path,
        expected=f"a file or prefix with one of the suffixes {', '.join(FORMATS)}",
        fix="check the path",
    )


def _regions(given: str | Region | Sequence[str | Region] | None) -> list[Region]:
    """The regions, of which a single text may hold several."""
    if given is None:
        return []
    if isinstance(given, Region):
        return [given]
    parts = split_regions(given) if isinstance(given, str) else given
    return [item if isinstance(item, Region) else Region.read(item) for item in parts]


def _within(genotypes: Genotypes, regions: Sequence[Region]) -> Genotypes:
    """Keep the variants in any of the regions, for readers that did not."""
    chrom, pos = genotypes.variants["chrom"].to_numpy(), genotypes.variants["pos"].to_numpy()
    inside = np.zeros(genotypes.n_variants, dtype=bool)
    for region in regions:
        last = np.inf if region.stop is None else region.stop
        inside |= (chrom == region.chrom) & (pos >= region.start) & (pos <= last)
    return genotypes if inside.all() else genotypes.select(variants=inside)
