"""The body of ``careome gwas``: PLINK 2's inputs and options in, PLINK 2's result files out."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO

import pandas as pd

from cohorts.errors import InputError
from gwas.association import associate_blocks
from gwas.design import Design, Kind, make_design
from gwas.genotypes import Genotypes
from gwas.models.linear import Missing
from gwas.models.logistic import LogisticMode
from gwas.sumstats import GENOME_WIDE, InflationCounter, to_plink
from workflows.genotype_inputs import Filters, GenotypeSource
from workflows.gwas_filters import apply_filters
from workflows.gwas_tables import read_person_table
from workflows.installation import version
from workflows.outputs import atomic_text, write_text

SUFFIX: Mapping[Kind, str] = {"quantitative": "glm.linear", "binary": "glm.logistic.hybrid"}


def run_gwas(
    *,
    source: GenotypeSource,
    pheno: Path,
    out: Path,
    covar: Path | None = None,
    pheno_name: Sequence[str] | None = None,
    covar_name: Sequence[str] | None = None,
    filters: Filters | None = None,
    missing_genotypes: Missing = "mean",
    logistic: LogisticMode = "wald",
    threads: int | None = None,
    vif: float = 50.0,
    max_corr: float = 0.999,
    block_size: int = 1024,
    progress: Callable[[int], None] | None = None,
) -> list[Path]:
    """Associate every trait with every variant and write one file a trait.

    Parameters
    ----------
    source
        The genotypes.
    pheno, covar
        Phenotype and covariate files, see :func:`workflows.gwas_tables.read_person_table`; they may be one.
    out
        Prefix of the outputs ``OUT.<trait>.glm.linear``, ``OUT.<trait>.glm.logistic.hybrid`` and ``OUT.log``.
    pheno_name, covar_name
        Columns to use, with ranges; None for all (of a shared file: all that are not the other's).
    filters
        PLINK 2's filters, see :mod:`workflows.gwas_filters`.
    missing_genotypes, logistic, vif, max_corr, block_size, threads
        See :func:`gwas.association.associate_blocks`. ``wald`` gives PLINK 2's logistic estimates.
    progress
        Called with the number of variants just done.

    Returns
    -------
    list of Path
        The result files, then the log. They appear complete or not at all.

    Raises
    ------
    CareomeError
        Whatever the user can mend, in one line.
    """
    started = time.monotonic()
    genotypes = source.open()
    lines = [
        f"careome {version()} gwas",
        *source.told(genotypes),
        f"missing genotypes: {missing_genotypes}; logistic: {logistic}",
    ]
    genotypes, filtered = apply_filters(genotypes, filters or Filters())
    design = _design(genotypes, pheno, covar, pheno_name, covar_name)
    lines += filtered + _describe(design)
    kinds: dict[str, Kind] = {trait.name: trait.kind for trait in design.traits}
    files = {name: _result_path(out, name, kind) for name, kind in kinds.items()}
    summary = {name: _Summary() for name in kinds}
    with ExitStack() as stack:
        handles = {name: stack.enter_context(atomic_text(path)) for name, path in files.items()}
        for number, frame in enumerate(
            associate_blocks(
                genotypes,
                design,
                missing=missing_genotypes,
                logistic=logistic,
                max_vif=vif,
                max_corr=max_corr,
                block_size=block_size,
                threads=threads,
            )
        ):
            for name, rows in frame.groupby("TRAIT", sort=False):
                summary[str(name)].add(rows)
                _write(handles[str(name)], to_plink(rows, kind=kinds[str(name)]), header=number == 0)
            if progress is not None:
                progress(len(frame) // len(kinds))
    lines += [f"{name}: {found.line()}; {files[name]}" for name, found in summary.items()]
    lines.append(f"{genotypes.n_variants} variants in {time.monotonic() - started:.1f} s")
    log = out.with_name(out.name + ".log")
    write_text(log, "\n".join(lines) + "\n")
    return [*files.values(), log]


class _Summary:
    """Running summary of one trait's results."""

    def __init__(self) -> None:
        self.inflation = InflationCounter()
        self.tested = 0
        self.hits = 0
        self.codes: dict[str, int] = {}

    def add(self, rows: pd.DataFrame) -> None:
        self.inflation.add(rows["LOG10_P"].to_numpy())
        self.tested += int((rows["ERRCODE"] == ".").sum())
        self.hits += int((rows["LOG10_P"] >= GENOME_WIDE).sum())
        for code, count in rows["ERRCODE"].value_counts().items():
            if code != ".":
                self.codes[str(code)] = self.codes.get(str(code), 0) + int(count)

    def line(self) -> str:
        without = "".join(f", {count} {code}" for code, count in sorted(self.codes.items()))
        return (
            f"{self.tested} variants tested{without}; lambda {self.inflation.lambda_gc:.3f};"
            f" {self.hits} with P <= 5e-8"
        )


def _design(
    genotypes: Genotypes,
    pheno: Path,
    covar: Path | None,
    pheno_name: Sequence[str] | None,
    covar_name: Sequence[str] | None,
) -> Design:
    if covar is None and covar_name:
        raise InputError(
            "covariates are named but no covariate file", where="--covar-name", fix="give --covar"
        )
    phenotypes = read_person_table(pheno, genotypes.samples, columns=pheno_name)
    covariates = None
    if covar is not None:
        covariates = read_person_table(covar, genotypes.samples, columns=covar_name)
        if covar.resolve() == pheno.resolve():
            if covar_name is None and pheno_name is not None:
                covariates = covariates.drop(columns=list(phenotypes.columns), errors="ignore")
            elif pheno_name is None and covar_name is not None:
                phenotypes = phenotypes.drop(columns=list(covariates.columns), errors="ignore")
    text = [name for name in phenotypes.columns if not pd.api.types.is_numeric_dtype(phenotypes[name])]
    if text:
        raise InputError(
            "a phenotype is not a number",
            where=pheno,
            found=f"text in column {', '.join(text)}",
            expected="numbers, NA where missing",
            fix="choose the phenotypes with --pheno-name",
        )
    return make_design(list(genotypes.samples["iid"]), phenotypes, covariates, unusable="skip")


def _describe(design: Design) -> list[str]:
    lines = [f"covariates: {', '.join(design.covariate_names) or 'none'} (and an intercept)"]
    for row in design.summary().itertuples():
        text = f"{row.TRAIT}: {row.KIND}, {row.N} people"
        if row.KIND == "binary":
            text += f", {row.CASES} cases and {row.CONTROLS} controls ({row.CODING})"
        lines.append(text)
    return lines + [f"{name}: skipped, {reason}" for name, reason in design.skipped.items()]


def _result_path(out: Path, trait: str, kind: Kind) -> Path:
    if "/" in trait or trait in {"", ".", ".."}:
        raise InputError("a trait's name cannot be part of a file name", where=trait, fix="rename the column")
    return out.with_name(f"{out.name}.{trait}.{SUFFIX[kind]}")


def _write(handle: IO[str], table: pd.DataFrame, *, header: bool) -> None:
    """Write rows as tab-separated text, ``NA`` for NaN; several times faster than pandas does."""
    if header:
        handle.write("\t".join(table.columns) + "\n")
    numeric = [pd.api.types.is_float_dtype(dtype) for dtype in table.dtypes]
    template = "\t".join("%.9g" if is_float else "%s" for is_float in numeric) + "\n"
    whole = table.loc[:, numeric].notna().all(axis=1).tolist()
    rows = zip(*(table[name].tolist() for name in table.columns), strict=True)
    handle.writelines(
        template % row if complete else _line_with_gaps(row)
        for row, complete in zip(rows, whole, strict=True)
    )


def _line_with_gaps(row: tuple[object, ...]) -> str:
    cells = (
        value if not isinstance(value, float) else "NA" if value != value else f"{value:.9g}" for value in row
    )
    return "\t".join(map(str, cells)) + "\n"
