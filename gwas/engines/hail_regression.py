"""Hail's own linear regression of the same traits: a second opinion on ours.

Hail reads the same BED file with its own reader and fits with its own code (``linear_regression_rows``); it
puts the variant's mean in place of a missing call, as we do by default. Agreement says that file reading,
orientation of alleles, imputation and algebra are all right, or all wrong in the same way.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cohorts.errors import DesignError
from gwas.design import Design, Trait, covariate_basis
from gwas.engines.hail_engine import HailEngine
from gwas.genotypes.chromosomes import ploidy_class
from gwas.genotypes.descriptor import Genotypes, Index

Groups = list[list[Trait]]
"""Traits by the people who have them."""


def hail_linear_regression(
    genotypes: Genotypes, design: Design, *, engine: HailEngine
) -> dict[str, pd.DataFrame]:
    """Regress every quantitative trait on every variant with Hail.

    Parameters
    ----------
    genotypes
        A PLINK 1 fileset's descriptor without X, Y and MT, where Hail's model differs from ours; its samples
        must be the design's, in the same order.
    design
        Traits and covariates; binary traits are left out.
    engine
        A running engine.

    Returns
    -------
    dict of str to DataFrame
        Trait → one row a variant, in the descriptor's order: ``#CHROM POS ID REF ALT A1 OBS_CT BETA SE T_STAT
        P``. A1 is ALT as Hail read it, BETA per copy of it. NaN where Hail has no estimate.

    Raises
    ------
    DesignError
        If the selection is one that Hail cannot be asked about.

    Notes
    -----
    Hail drops whoever lacks any trait of a list, so traits go in one list for each pattern of missingness. A
    covariate that is constant among a trait's people is left out for it, as in our own regression; Hail would
    find the matrix singular.
    """
    _check(genotypes, design)
    with tempfile.TemporaryDirectory(prefix="regression-", dir=engine.folder) as folder:
        matrix = _matrix(genotypes, design, engine.hail, Path(folder))
        results: dict[str, pd.DataFrame] = {}
        for covariates, groups in _by_covariates(design).items():
            found = _regress(engine.hail, matrix, design, groups, covariates)
            results.update(_frames(genotypes, groups, found))
    return {trait.name: results[trait.name] for trait in design.traits if trait.name in results}


def _check(genotypes: Genotypes, design: Design) -> None:
    fault: tuple[str, str] | None = None
    if list(genotypes.samples["iid"]) != list(design.samples):
        fault = "genotypes and design list different samples", "make the design from genotypes.samples['iid']"
    elif genotypes.path.suffix != ".bed":
        fault = "not a PLINK 1 fileset", "convert it with plink2 --make-bed"
    elif (ploidy_class(genotypes.variants["chrom"]) != "diploid").any():
        fault = "variants on X, Y or MT, which Hail models otherwise than we do", "select autosomes"
    elif any(len(np.unique(rows)) < len(rows) for rows in (_file_samples(genotypes), _file_rows(genotypes))):
        fault = "a sample or variant is selected twice", "select each once"
    elif all(trait.kind == "binary" for trait in design.traits):
        fault = "no quantitative trait", "give one; binary traits cannot be compared with this"
    if fault is not None:
        raise DesignError(f"Hail's linear regression: {fault[0]}", where=genotypes.path, fix=fault[1])


def _file_rows(genotypes: Genotypes) -> Index:
    chosen = genotypes.variant_index
    return np.arange(genotypes.n_variants, dtype=np.int64) if chosen is None else chosen


def _file_samples(genotypes: Genotypes) -> Index:
    chosen = genotypes.sample_index
    return np.arange(genotypes.n_samples, dtype=np.int64) if chosen is None else chosen


def _matrix(genotypes: Genotypes, design: Design, hl: Any, folder: Path) -> Any:
    """MatrixTable of the selected calls, its columns annotated with traits `y0…` and covariates `c0…`.

    Hail reads the BED itself with the .bim's own positions and alleles, but IDs are replaced by positions in
    the file: IDs of variants need not be unique, Hail sorts rows by locus, and sample IDs have no business in
    temporary files.
    """
    bim, fam, people = folder / "study.bim", folder / "study.fam", folder / "people.tsv"
    with open(genotypes.path.with_suffix(".bim"), encoding="utf-8") as lines, open(bim, "w") as out:
        for row, line in enumerate(lines):
            if line.strip():
                chrom, _, *rest = line.split()
                out.write("\t".join([chrom, str(row), *rest]) + "\n")
    fam.write_text("".join(f"0\t{i}\t0\t0\t0\t-9\n" for i in range(genotypes.reader.n_samples)))
    columns = {f"y{i}": trait.values for i, trait in enumerate(design.traits)}
    columns |= {f"c{i}": column for i, column in enumerate(design.covariates.T)}
    table = pd.DataFrame({"s": _file_samples(genotypes), **columns})
    table.to_csv(
        people, sep="\t", index=False, na_rep="NA"
    )  # pandas writes floats so that they read back exactly
    phenotypes = hl.import_table(f"file://{people}", key="s", types=dict.fromkeys(columns, hl.tfloat64))
    matrix = hl.import_plink(
        bed=f"file://{genotypes.path.resolve()}",
        bim=f"file://{bim}",
        fam=f"file://{fam}",
        reference_genome=None,
        a2_reference=True,
    )
    matrix = matrix.annotate_cols(person=phenotypes[matrix.s])
    matrix = matrix.filter_cols(hl.is_defined(matrix.person))
    if genotypes.variant_index is not None:
        wanted = hl.literal({str(row) for row in genotypes.variant_index.tolist()})
        matrix = matrix.filter_rows(wanted.contains(matrix.rsid))
    return matrix


def _by_covariates(design: Design) -> dict[tuple[str, ...], Groups]:
    """Quantitative traits by the covariates that vary among their people, then by their people."""
    found: dict[tuple[str, ...], dict[bytes, list[Trait]]] = {}
    for trait in design.traits:
        if trait.kind == "quantitative":
            mask = design.mask(trait)
            names = covariate_basis(design.covariates, design.covariate_names, mask, where=trait.name).names
            found.setdefault(names, {}).setdefault(mask.tobytes(), []).append(trait)
    return {names: list(groups.values()) for names, groups in found.items()}


def _regress(hl: Any, matrix: Any, design: Design, groups: Groups, covariates: tuple[str, ...]) -> list[Any]:
    number = {trait.name: i for i, trait in enumerate(design.traits)}
    table = hl.linear_regression_rows(
        y=[[matrix.person[f"y{number[trait.name]}"] for trait in group] for group in groups],
        x=hl.float64(matrix.GT.n_alt_alleles()),
        covariates=[1.0, *(matrix.person[f"c{design.covariate_names.index(name)}"] for name in covariates)],
        pass_through=[matrix.rsid],
    )
    table = table.key_by("rsid").select("alleles", "n", "beta", "standard_error", "t_stat", "p_value")
    rows: list[Any] = table.collect()
    return rows


def _frames(genotypes: Genotypes, groups: Groups, rows: list[Any]) -> dict[str, pd.DataFrame]:
    by_row = {int(row.rsid): row for row in rows}
    ordered = [by_row[row] for row in _file_rows(genotypes).tolist()]
    variants = genotypes.variants
    frames: dict[str, pd.DataFrame] = {}
    for g, group in enumerate(groups):
        for i, trait in enumerate(group):
            frames[trait.name] = pd.DataFrame(
                {
                    "#CHROM": variants["chrom"],
                    "POS": variants["pos"],
                    "ID": variants["id"],
                    "REF": [row.alleles[0] for row in ordered],
                    "ALT": [row.alleles[1] for row in ordered],
                    "A1": [row.alleles[1] for row in ordered],
                    "OBS_CT": np.array([row.n[g] for row in ordered], dtype=np.int64),
                    "BETA": _floats([row.beta[g][i] for row in ordered]),
                    "SE": _floats([row.standard_error[g][i] for row in ordered]),
                    "T_STAT": _floats([row.t_stat[g][i] for row in ordered]),
                    "P": _floats([row.p_value[g][i] for row in ordered]),
                }
            )
    return frames


def _floats(values: list[float | None]) -> np.ndarray:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)
