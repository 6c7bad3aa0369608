"""Whether a variant's effect differs with a covariate: genotype × covariate terms of every variant and trait.

A small path of its own beside :mod:`gwas.association`: every variant is a regression on all its predictors, and a
binary trait's variants are fitted one by one. Wald tests, as PLINK 2's ``--glm interaction``: errors are taken to have
one variance whatever the genotype and the covariate, and where they have not (a trait more variable in the exposed) the
tests of interactions are not at their level.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from cohorts.errors import DesignError
from gwas.association import COLUMNS
from gwas.design import Design
from gwas.engines.protocol import BlockTests
from gwas.engines.threads import checked_threads
from gwas.genotypes.chromosomes import ploidy_class
from gwas.genotypes.descriptor import Genotypes
from gwas.kernels.recode import Coding, recode_dosages
from gwas.models.coding import TEST_NAMES
from gwas.models.interaction import fit_terms_null, term_tests
from gwas.models.linear import Missing
from gwas.models.result import VariantTests
from gwas.models.status import errcode_text

HELD: Final = 1 << 23
"""Genotypes held at once; as many are read meanwhile."""


def interaction_terms(covariates: Sequence[str], *, coding: Coding = "additive") -> list[str]:
    """What the TEST column says of each term, in the order of a variant's rows.

    Examples
    --------
    >>> interaction_terms(["age", "smoking"])
    ['ADD', 'ADDxage', 'ADDxsmoking']
    """
    name = TEST_NAMES[coding]
    return [name, *(f"{name}x{covariate}" for covariate in covariates)]


def interaction_blocks(
    genotypes: Genotypes,
    design: Design,
    covariates: Sequence[str],
    *,
    missing: Missing = "mean",
    firth: bool = True,
    max_vif: float = 50.0,
    max_corr: float = 0.999,
    coding: Coding = "additive",
    block_size: int = 1024,
    start_block: int = 0,
    threads: int | None = None,
) -> Iterator[BlockTests]:
    """Test every variant and its products with covariates against every trait, block by block.

    Parameters
    ----------
    genotypes
        The calls; its samples must be the design's, in the same order.
    design
        From :func:`gwas.design.make_design`.
    covariates
        Which of the design's covariates the genotype is multiplied with. All covariates are in the model.
    missing, firth, max_vif, max_corr, coding
        As in :func:`gwas.association.associate_blocks`; inflation and correlation are of predictors as given, so that
        a covariate far from 0 (a year of birth) makes them high: give it centred.
    block_size, start_block
        Variants at a time (fewer where there are many people), and the first block to do.
    threads
        For the fits of binary traits; None takes every processor. It changes no answer.

    Yields
    ------
    BlockTests
        Its rows are by variant, then term, as :func:`interaction_terms` names them; the genotype's own term is its
        effect where every chosen covariate is 0.

    Raises
    ------
    DesignError
        Genotypes and design do not list the same samples; a covariate is not there, or constant among a trait's
        people; a variant is on X, Y or MT, where people have one copy or two; or the design has offsets.
    """
    _check(genotypes, design, covariates)
    nulls = {trait.name: fit_terms_null(design, trait, covariates) for trait in design.traits}
    many = checked_threads(threads) if threads is not None else len(os.sched_getaffinity(0))
    size, terms = variants_at_once(genotypes, block_size), 1 + len(covariates)
    for number, (start, stop, copies) in enumerate(_copies(genotypes, size, start_block), start=start_block):
        coded = recode_dosages(copies.astype(np.float32), coding).astype(np.float64)
        tests = {
            name: interleaved(
                term_tests(
                    null,
                    copies,
                    coded,
                    missing=missing,
                    firth=firth,
                    max_vif=max_vif,
                    max_corr=max_corr,
                    threads=many,
                )
            )
            for name, null in nulls.items()
        }
        yield BlockTests(number, start * terms, stop * terms, tests)


def variants_at_once(genotypes: Genotypes, block_size: int) -> int:
    """How many variants a block has: `block_size`, or fewer where there are many people."""
    return max(1, min(block_size, HELD // max(genotypes.n_samples, 1)))


def associate_interactions(
    genotypes: Genotypes,
    design: Design,
    covariates: Sequence[str],
    *,
    missing: Missing = "mean",
    firth: bool = True,
    max_vif: float = 50.0,
    max_corr: float = 0.999,
    coding: Coding = "additive",
) -> dict[str, pd.DataFrame]:
    """Test genotype × covariate terms and keep all results in memory.

    Parameters
    ----------
    genotypes, design, covariates, missing, firth, max_vif, max_corr, coding
        As in :func:`interaction_blocks`.

    Returns
    -------
    dict of str to DataFrame
        Trait → rows by variant, then term; columns :data:`gwas.association.COLUMNS` without TRAIT.
    """
    terms = interaction_terms(covariates, coding=coding)
    parts: dict[str, list[VariantTests]] = {trait.name: [] for trait in design.traits}
    for block in interaction_blocks(
        genotypes,
        design,
        covariates,
        missing=missing,
        firth=firth,
        max_vif=max_vif,
        max_corr=max_corr,
        coding=coding,
    ):
        for name, tests in block.tests.items():
            parts[name].append(tests)
    return {name: _frame(genotypes, VariantTests.joined(found), terms) for name, found in parts.items()}


def interleaved(tests: Sequence[VariantTests]) -> VariantTests:
    """Tests of the same variants as rows by variant, then test."""
    fields = VariantTests.__dataclass_fields__
    return VariantTests(
        **{name: np.stack([getattr(test, name) for test in tests], axis=1).reshape(-1) for name in fields}
    )


def _check(genotypes: Genotypes, design: Design, covariates: Sequence[str]) -> None:
    if list(genotypes.sample_values("iid")) != list(design.samples):
        raise DesignError(
            "genotypes and design list different samples",
            found=f"{genotypes.n_samples} and {len(design.samples)} samples",
            expected="the same IDs in the same order",
            fix="make the design from genotypes.samples['iid']",
        )
    absent = [name for name in covariates if name not in design.covariate_names]
    if absent or not covariates:
        raise DesignError(
            "no such covariate to take an interaction with",
            where=", ".join(absent) or None,
            found=f"covariates {', '.join(design.covariate_names) or '(none)'}",
            expected="one or more of the covariates",
            fix="name it with --covar-name too",
        )
    if (ploidy_class(genotypes.variant_text("chrom")) != "diploid").any():
        raise DesignError(
            "an interaction of one copy of an allele has no agreed coding",
            where="X, Y or MT",
            expected="variants of which everyone has two copies",
            fix="leave those chromosomes out",
        )
    if design.offsets is not None:
        raise DesignError(
            "interactions are tested without predictions by other chromosomes", fix="leave them out"
        )


def _copies(
    genotypes: Genotypes, size: int, start_block: int
) -> Iterator[tuple[int, int, npt.NDArray[np.float64]]]:
    """Copies of ALT, NaN where missing: dosages or hard calls as the genotypes' ``values`` say."""
    if genotypes.values == "dosage":
        for exact in genotypes.dosage_blocks(size, start_block=start_block):
            yield exact.start, exact.stop, exact.dosages.astype(np.float64)
        return
    for block in genotypes.blocks(size, start_block=start_block):
        calls = block.dosages().astype(np.float64)
        yield block.start, block.stop, np.where(calls < 0, np.nan, calls)


def _frame(genotypes: Genotypes, tests: VariantTests, terms: Sequence[str]) -> pd.DataFrame:
    variants = genotypes.variants
    repeated = {
        name: np.repeat(variants[column].to_numpy(), len(terms))
        for name, column in {"#CHROM": "chrom", "POS": "pos", "ID": "id", "REF": "ref", "ALT": "alt"}.items()
    }
    return pd.DataFrame(
        {
            **repeated,
            "A1": repeated["ALT"],
            "A1_FREQ": tests.alt_frequency,
            "FIRTH?": np.where(tests.firth, "Y", "N").astype(object),
            "TEST": np.tile(np.array(terms, dtype=object), len(variants)),
            "OBS_CT": tests.n,
            "BETA": tests.beta,
            "SE": tests.se,
            "T_STAT": tests.statistic,
            "P": np.power(10.0, -tests.log10p),
            "LOG10_P": tests.log10p,
            "ERRCODE": errcode_text(tests.status),
        },
        columns=list(COLUMNS[1:]),
    )
