"""The body of ``careome convert``: genotypes of any format in, filtered, and out as other formats."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from cohorts.errors import DesignError, OutputError
from workflows.genotype_inputs import Filters, GenotypeSource
from workflows.installation import version
from workflows.outputs import atomic_path, write_text

if TYPE_CHECKING:
    from gwas.genotypes import Genotypes

Format = Literal["bed", "pgen", "bgen-1.2", "bgen-1.3", "vcf", "vcf.gz"]

MODIFIERS: Final[Mapping[str, str]] = {
    "bgen-1.2": r"bits=(8|16)|ref-first",
    "bgen-1.3": r"bits=(8|16)|ref-first",
    "vcf": r"bgz|vcf-dosage=DS",
    "vcf.gz": r"bgz|vcf-dosage=DS",
}
"""What may follow ``--export FORMAT``, as in PLINK 2."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """One format to write.

    Attributes
    ----------
    format
        Of the calls; the tables that belong to it come along.
    bits
        Bits of a BGEN probability.
    needs_dosages
        Whether the user asked for dosages by name.
    """

    format: Format
    bits: Literal[8, 16] = 16
    needs_dosages: bool = False

    @classmethod
    def read(cls, given: Sequence[str]) -> Target:
        """Read the words of PLINK 2's ``--export``.

        Raises
        ------
        ValueError
            If there is no such format or modifier.

        Examples
        --------
        >>> Target.read(["bgen-1.2", "bits=8"])
        Target(format='bgen-1.2', bits=8, needs_dosages=False)
        >>> Target.read(["vcf", "bgz", "vcf-dosage=DS"])
        Target(format='vcf.gz', bits=16, needs_dosages=True)
        """
        name, *modifiers = given or [""]
        if name not in MODIFIERS:
            raise ValueError(f"--export {name}: expected one of {', '.join(MODIFIERS)}")
        for modifier in modifiers:
            if not re.fullmatch(MODIFIERS[name], modifier):
                raise ValueError(f"--export {name} {modifier}: no such modifier")
        if name in ("bgen-1.2", "bgen-1.3"):
            return cls(format=name, bits=8 if "bits=8" in modifiers else 16)  # type: ignore[arg-type]
        zipped = name == "vcf.gz" or "bgz" in modifiers
        return cls(format="vcf.gz" if zipped else "vcf", needs_dosages="vcf-dosage=DS" in modifiers)


def run_convert(
    *,
    source: GenotypeSource,
    out: Path,
    targets: Sequence[Target],
    filters: Filters | None = None,
) -> list[Path]:
    """Write genotypes in other formats.

    Parameters
    ----------
    source
        The genotypes to read.
    out
        Prefix of the files.
    targets
        The formats.
    filters
        PLINK 2's filters, see :mod:`workflows.gwas_filters`.

    Returns
    -------
    list of Path
        The files, then the log. No file takes its name before the last is whole. The same genotypes give the
        same bytes.

    Raises
    ------
    CareomeError
        Whatever the user can mend, in one line.

    Notes
    -----
    What is taken from the source (dosages or hard calls) is what is written; BED holds hard calls alone. A
    record of several ALT alleles becomes one record for each, whose genotypes count that allele against all
    others. Phase is not written.
    """
    from gwas.genotypes.manifest import fileset
    from workflows.gwas_filters import apply_filters

    started = time.monotonic()
    genotypes = source.open()
    lines = [f"careome {version()} convert", *source.told(genotypes)]
    if genotypes.values != "dosage" and any(target.needs_dosages for target in targets):
        raise DesignError(
            "vcf-dosage=DS was asked, and hard calls are used",
            where=genotypes.path,
            fix="leave it out, or give a file with dosages",
        )
    read = {file.resolve() for file in fileset(genotypes.path, source.sample_file)}
    genotypes, filtered = apply_filters(genotypes, filters or Filters())
    plans = [
        (out.with_name(out.name + end), plan) for target in targets for end, plan in _files(target, genotypes)
    ]
    for path, _ in plans:
        if path.resolve() in read:
            raise OutputError("would overwrite what is read", where=path, fix="give another --out")
    with ExitStack() as stack:
        for path, plan in plans:
            _write(stack.enter_context(atomic_path(path)), plan)
    files = [path for path, _ in plans]
    lines += [*filtered, *_notes(genotypes, targets)]
    lines += [f"{genotypes.n_samples} samples, {genotypes.n_variants} variants: {path}" for path in files]
    lines.append(f"done in {time.monotonic() - started:.1f} s")
    log = out.with_name(out.name + ".log")
    write_text(log, "\n".join(lines) + "\n")
    return [*files, log]


Parts = Iterable[bytes] | Iterable[tuple[int, bytes]]


def _files(target: Target, genotypes: Genotypes) -> list[tuple[str, Callable[[], Parts]]]:
    """The files of a format: what follows the prefix, and how its bytes are made."""
    from gwas.genotypes import encode_text as text
    from gwas.genotypes.encode_bed import bed_bytes
    from gwas.genotypes.encode_bgen import bgen_bytes
    from gwas.genotypes.encode_pgen import pgen_parts
    from gwas.genotypes.encode_vcf import bgzf, vcf_bytes

    samples, variants = genotypes.samples, genotypes.variants

    def table(made: str) -> Callable[[], Parts]:
        return lambda: [made.encode()]

    if target.format == "bed":
        beside = [(".bim", table(text.bim_text(variants))), (".fam", table(text.fam_text(samples)))]
        return [(".bed", lambda: bed_bytes(genotypes)), *beside]
    if target.format == "pgen":
        # which allele of a BED is the reference's is not known
        known = genotypes.path.suffix != ".bed"
        beside = [(".pvar", table(text.pvar_text(variants))), (".psam", table(text.psam_text(samples)))]
        return [(".pgen", lambda: pgen_parts(genotypes, reference_known=known)), *beside]
    if target.format in ("bgen-1.2", "bgen-1.3"):
        squeeze: Literal["zlib", "zstd"] = "zlib" if target.format == "bgen-1.2" else "zstd"
        return [
            (".bgen", lambda: bgen_bytes(genotypes, bits=target.bits, compression=squeeze)),
            (".sample", table(text.sample_text(samples))),
        ]
    if target.format == "vcf.gz":
        return [(".vcf.gz", lambda: bgzf(vcf_bytes(genotypes)))]
    return [(".vcf", lambda: vcf_bytes(genotypes))]


def _write(path: Path, plan: Callable[[], Parts]) -> None:
    with open(path, "wb") as handle:
        for part in plan():
            if isinstance(part, tuple):
                position, data = part
                handle.seek(position)
                handle.write(data)
            else:
                handle.write(part)


def _notes(genotypes: Genotypes, targets: Sequence[Target]) -> list[str]:
    from gwas.genotypes.encode_text import phenotypes

    notes = []
    known = list(phenotypes(genotypes.samples))
    for target in targets if known else []:
        if target.format == "bed" and len(known) > 1:
            notes.append(f".fam: of {len(known)} phenotypes the first, {known[0]}")
        elif target.format not in ("bed", "pgen"):
            notes.append(f"{target.format}: phenotypes are not kept ({len(known)} of the samples file)")
    repeated = int(genotypes.variants.duplicated(["chrom", "pos", "id", "ref"]).sum())
    if repeated:
        notes.append(
            f"{repeated} rows have the place, name and REF of another: ALT alleles stay records of their own"
        )
    if genotypes.values == "dosage" and any(target.format == "bed" for target in targets):
        notes.append("BED: hard calls, dosages are not kept")
    if genotypes.path.suffix != ".bed" and any(target.format != "bed" for target in targets):
        notes.append("phase, if there was some, is not kept: 0|1 is written as 0/1")
    if any(target.format.startswith("bgen") for target in targets):
        notes.append("BGEN: a dosage is shared between the two nearest genotypes")
    return notes


def run_manifest(source: GenotypeSource) -> Path:
    """Write the manifest of a genotype file beside it.

    Parameters
    ----------
    source
        The genotypes, whole; they are opened without asking an older manifest.

    Returns
    -------
    Path
        ``FILE.manifest.json``, see :mod:`gwas.genotypes.manifest`.

    Raises
    ------
    CareomeError
        If the file cannot be opened, or the manifest cannot be written.
    """
    from dataclasses import replace
    from datetime import UTC, datetime

    from gwas.genotypes.manifest import make_manifest, manifest_of
    from workflows.outputs import write_json

    genotypes = replace(source, verify="off").open()
    made = make_manifest(genotypes, sample_file=source.sample_file)
    path = manifest_of(genotypes.path)
    write_json(path, made | {"careome": version(), "made": datetime.now(UTC).date().isoformat()})
    return path
