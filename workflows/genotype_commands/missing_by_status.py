"""``careome test-missing``: OUT.missing, missing calls of cases against controls, with PLINK 1.9's columns."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from cohorts.errors import DesignError, InputError
from gwas.differential_missingness import compare_missingness
from gwas.genotypes import Genotypes
from workflows.genotype_commands.outcome import Outcome, Table
from workflows.gwas_tables import read_person_table

FAM_PHENOTYPE: Final = "PHENO1"
"""PLINK 2's name of the sixth column of a .fam."""

F64 = npt.NDArray[np.float64]


def tables(
    genotypes: Genotypes,
    *,
    threads: int,
    pheno: Path | None = None,
    pheno_name: str | None = None,
    zero_one: bool = False,
    midp: bool = False,
) -> Outcome:
    """Fisher's exact test of every variant; as in PLINK those without a missing call are not listed."""
    status = _status(genotypes, pheno, pheno_name, zero_one)
    found = compare_missingness(genotypes, status, midp=midp)
    frame = pd.DataFrame(
        {
            "CHR": found["chrom"],
            "SNP": found["id"],
            "F_MISS_A": _share(found["missing_cases"], found["cases"]),
            "F_MISS_U": _share(found["missing_controls"], found["controls"]),
            "P": found["p"],
        }
    )
    missing = found["missing_cases"] + found["missing_controls"]
    listed = (missing > 0) & (missing < found["cases"] + found["controls"])
    people = f"{int((status == 1).sum())} cases, {int((status == 0).sum())} controls"
    return Outcome(
        [Table("missing", frame[listed])], [f"{people}; {int((~listed).sum())} variants not listed"]
    )


def _share(part: pd.Series, whole: pd.Series) -> F64:
    share: F64 = np.divide(part, whole, out=np.full(len(part), np.nan), where=(whole > 0).to_numpy())
    return share


def _status(genotypes: Genotypes, pheno: Path | None, name: str | None, zero_one: bool) -> F64:
    """1 for cases, 0 for controls, nan else; in PLINK's coding cases are 2, controls 1 and 0 is missing."""
    if pheno is None:
        where, values = _of_file(genotypes)
    else:
        table = read_person_table(pheno, genotypes, columns=None if name is None else [name])
        column = next(iter(table.columns))
        if table.is_text(column):
            raise InputError("the phenotype is not a number", where=pheno, found=column, fix="choose another")
        where, values = pheno, table.aligned(genotypes.sample_text("iid").strings())[column]
    case, control = (1, 0) if zero_one else (2, 1)
    known = values[~np.isnan(values) & (values != -9) & (zero_one | (values != 0))]
    if not np.isin(known, (case, control)).all():
        raise InputError(
            "the phenotype is not case-control",
            where=where,
            found="other numbers",
            expected=f"{case} for cases and {control} for controls",
            fix="choose a case-control phenotype with --pheno and --pheno-name",
        )
    if not (known == case).any() or not (known == control).any():
        raise DesignError(
            "missing calls can only be compared between cases and controls",
            where=where,
            found=f"{int((known == case).sum())} cases and {int((known == control).sum())} controls",
            expected=f"{case} for cases and {control} for controls",
            fix="give the phenotype with --pheno and --pheno-name"
            + "; with --1 controls are 0" * (not zero_one),
        )
    return np.select([values == case, values == control], [1.0, 0.0], np.nan)


def _of_file(genotypes: Genotypes) -> tuple[Path, F64]:
    """The phenotype of the .fam or .psam."""
    if FAM_PHENOTYPE not in genotypes.samples:
        raise DesignError(
            "no phenotype", where=genotypes.path, expected="cases and controls", fix="give --pheno FILE"
        )
    values = pd.to_numeric(genotypes.samples[FAM_PHENOTYPE], errors="coerce")
    return genotypes.path, values.to_numpy(dtype=np.float64)
