"""What a command that reads genotypes is given: one genotype file, what of it, and PLINK 2's filters, as values.

The options that make them are in :mod:`workflows.genotype_options`. Nothing heavy is imported before a file is
opened, so that ``careome --help`` answers at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from cohorts.errors import DesignError

if TYPE_CHECKING:
    from gwas.genotypes import Genotypes

Values = Literal["dosage", "hard-call"]
Verify = Literal["full", "size", "off"]
ListKind = Literal["ids", "bed0", "bed1"]


@dataclass(frozen=True, kw_only=True)
class GenotypeSource:
    """One genotype file and what to take from it.

    Attributes
    ----------
    path
        The file with the calls, or a prefix that only one file has.
    values
        Dosages or hard calls; None takes dosages where the file has them.
    hard_call_threshold, sample_file, bgen_ref, vcf_dosage, regions, verify
        See :func:`gwas.genotypes.open_genotypes`.
    """

    path: Path
    values: Values | None = None
    hard_call_threshold: float = 0.1
    sample_file: Path | None = None
    bgen_ref: Literal["first", "last"] = "first"
    vcf_dosage: Literal["DS", "GP"] | None = None
    regions: tuple[str, ...] = ()
    verify: Verify = "full"

    def open(self) -> Genotypes:
        """Open the file.

        Raises
        ------
        InputError
            It is absent, damaged, or not what its manifest says.
        DesignError
            It has no variant in the regions.
        """
        from gwas.genotypes import open_genotypes

        genotypes = open_genotypes(
            self.path,
            values=self.values,
            hard_call_threshold=self.hard_call_threshold,
            sample_file=self.sample_file,
            bgen_ref=self.bgen_ref,
            vcf_dosage=self.vcf_dosage,
            regions=self.regions or None,
            verify=self.verify,
        )
        if self.regions and not genotypes.n_variants:
            whole = open_genotypes(self.path, sample_file=self.sample_file, verify="off")
            names = list(dict.fromkeys(whole.variant_values("chrom").tolist()))
            raise DesignError(
                "no variant is left",
                where=", ".join(self.regions),
                found=f"chromosomes {', '.join(names[:30])} in {self.path.name}",
                fix="choose other chromosomes or regions",
            )
        return genotypes

    def told(self, genotypes: Genotypes, *, values: Values | None = None) -> list[str]:
        """Lines for a log: the file, what is read of it, where, and whether a manifest vouches for it.

        ``values`` is what is read where that is not what the file was opened for.
        """
        from gwas.genotypes.manifest import manifest_of

        lines = [f"genotypes: {genotypes.describe(values)}"]
        if genotypes.reader.has_dosages:
            lines.append(f"hard-call threshold: {self.hard_call_threshold:g}")
        if self.regions:
            lines.append(f"regions: {', '.join(self.regions)}")
        if manifest_of(genotypes.path).exists():
            checked = {"full": "sizes and SHA-256 checked", "size": "sizes checked", "off": "not checked"}
            lines.append(f"manifest: {checked[self.verify]}")
        return lines


@dataclass(frozen=True, kw_only=True)
class Filters:
    """Options of the same names as PLINK 2's; see :mod:`workflows.gwas_filters`."""

    keep: Path | None = None
    remove: Path | None = None
    extract: Path | None = None
    exclude: Path | None = None
    mind: float | None = None
    geno: float | None = None
    hwe: float | None = None
    maf: float | None = None
    mac: float | None = None
    mach_r2: tuple[float, float] | None = None
    extract_as: ListKind = "ids"
    exclude_as: ListKind = "ids"
    snps: tuple[str, ...] = ()
    snps_only: Literal["any", "acgt"] | None = None
    not_chr: tuple[str, ...] = ()
    hwe_midp: bool = False
