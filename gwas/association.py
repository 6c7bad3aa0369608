"""Association of every variant with every trait, in one pass of the genotypes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from cohorts.errors import DesignError
from gwas.design import Design
from gwas.engines.local import LocalEngine
from gwas.engines.protocol import BlockTests, Engine
from gwas.genotypes.chromosomes import ploidy_class
from gwas.genotypes.descriptor import Genotypes
from gwas.kernels.recode import Coding
from gwas.models.coding import TEST_NAMES
from gwas.models.linear import Missing
from gwas.models.phenome import AssociationOptions
from gwas.models.status import errcode_text
from gwas.offsets import LocoOffsets

if TYPE_CHECKING:
    import pandas as pd

    from gwas.models.logistic import LogisticMode

COLUMNS: Final = (
    "TRAIT",
    "#CHROM",
    "POS",
    "ID",
    "REF",
    "ALT",
    "A1",
    "A1_FREQ",
    "FIRTH?",
    "TEST",
    "OBS_CT",
    "BETA",
    "SE",
    "T_STAT",
    "P",
    "LOG10_P",
    "ERRCODE",
)
"""Columns of a result, for every model: BETA is a log odds ratio and T_STAT a z where the trait is binary."""


def associate_blocks(
    genotypes: Genotypes,
    design: Design,
    *,
    missing: Missing = "mean",
    logistic: LogisticMode = "score-spa-firth",
    firth: bool = True,
    firth_se: bool = False,
    tail_below: float = 0.05,
    max_vif: float = 50.0,
    max_corr: float = 0.999,
    block_size: int = 1024,
    coding: Coding = "additive",
    male_copies: Literal[1, 2] = 2,
    offsets: LocoOffsets | None = None,
    start_block: int = 0,
    threads: int | None = None,
    engine: Engine | None = None,
) -> Iterator[pd.DataFrame]:
    """Test every variant against every trait, block by block.

    Parameters
    ----------
    genotypes
        The calls; its samples must be the design's, in the same order.
    design
        From :func:`gwas.design.make_design`.
    missing
        A missing call is the variant's ``mean`` among the trait's people, or its person is left out of this
        variant (``complete-case``, as PLINK 2).
    logistic
        ``wald``: maximum likelihood for every variant and Firth where it fails (PLINK 2's hybrid). ``score``:
        score test; ``score-firth``, ``score-firth-approx`` (REGENIE's), ``score-spa`` (SAIGE's) and
        ``score-spa-firth`` (saddle-point P, effect by approximate Firth) test anew where its P is below
        `tail_below`. The default is the one that holds its level however few the cases and carriers: where
        cases are 1 in 600, ``wald`` and ``score`` reject far too often, Firth up to twice too often. See
        :mod:`gwas.models.logistic`.
    firth
        In ``wald``, whether Firth stands in where maximum likelihood fails.
    firth_se
        In ``score-firth`` and ``score-firth-approx``, SE is the one that goes with the estimate and its P
        (REGENIE's ``--firth-se``), not that of the information.
    tail_below
        The score P below which a variant is tested anew.
    max_vif, max_corr
        A variant gets a code instead of a result where a predictor's variance inflation, or the genotype's
        absolute correlation with a covariate, is higher (PLINK 2's ``--vif`` and ``--max-corr``).
    block_size
        Variants at a time. Neither it nor `threads` changes an answer.
    coding
        What a genotype counts as: ``additive`` copies of ALT; ``dominant`` 0, 1, 1; ``recessive`` 0, 0, 1;
        ``hetonly`` 0, 1, 0; of a dosage d: min(d, 1), max(d - 1, 0), 1 - abs(d - 1).
    male_copies
        A male's ALT allele on X counts as 2 copies, as a woman's two, or as 1 (PLINK 2's ``--xchr-model 2``
        and ``1``; a heterozygous call of a male counts as half of that).
    offsets
        Predictions by the other chromosomes, from :func:`gwas.whole_genome_regression`, to be taken out of the
        traits: quantitative, value - offset, then the covariates; binary, on the log odds. People without a
        prediction are missing.
    start_block
        First block to do, so that an interrupted run can go on.
    threads
        Threads of the kernels; None leaves the process's setting.
    engine
        Where to run; the local engine by default.

    Yields
    ------
    DataFrame
        One a block, rows by trait, then variant, columns :data:`COLUMNS`: A1 is ALT, BETA is per copy of it,
        SE its standard error, T_STAT the t (quantitative) or z (binary) statistic, LOG10_P = -log10 P to any
        height while P underflows to 0 below 1e-308, ERRCODE ``.`` or why there is no result.

    Raises
    ------
    DesignError
        If genotypes and design do not list the same samples in the same order.

    Notes
    -----
    Males are 0/2 on X, where sex is added to the covariates and people of unknown sex are left out; on Y only
    males are tested; Y and MT effects are per 0…1 copies. This is PLINK 2's coding.
    """
    options = AssociationOptions(
        missing=missing,
        logistic=logistic,
        firth=firth,
        firth_se=firth_se,
        tail_below=tail_below,
        max_vif=max_vif,
        max_corr=max_corr,
        block_size=block_size,
        coding=coding,
        male_copies=male_copies,
    )
    design = design if offsets is None else design.with_offsets(offsets)
    for block in associate_tests(
        genotypes, design, options, start_block=start_block, threads=threads, engine=engine
    ):
        yield block_frame(genotypes.variants, block, coding=coding)


def associate_tests(
    genotypes: Genotypes,
    design: Design,
    options: AssociationOptions,
    *,
    start_block: int = 0,
    threads: int | None = None,
    engine: Engine | None = None,
) -> Iterator[BlockTests]:
    """Test every variant against every trait: the arrays of which :func:`associate_blocks` makes frames.

    Parameters
    ----------
    genotypes, design, start_block, threads, engine
        As in :func:`associate_blocks`.
    options
        How to test; its fields are the other parameters of :func:`associate_blocks`.

    Yields
    ------
    BlockTests
        One a block, in order.

    Raises
    ------
    DesignError
        Genotypes and design do not list the same samples in the same order; or X, Y or MT is to be tested in
        another coding than the additive one, which supposes two copies.
    """
    if list(genotypes.sample_values("iid")) != list(design.samples):
        raise DesignError(
            "genotypes and design list different samples",
            found=f"{genotypes.n_samples} and {len(design.samples)} samples",
            expected="the same IDs in the same order",
            fix="make the design from genotypes.samples['iid']",
        )
    if options.coding != "additive" and (ploidy_class(genotypes.variant_text("chrom")) != "diploid").any():
        raise DesignError(
            "one copy of an allele is neither dominant nor recessive",
            where="X, Y or MT",
            found=f"coding {options.coding}",
            expected="variants of which everyone has two copies",
            fix="leave those chromosomes out, or use the additive coding",
        )
    runner = engine if engine is not None else LocalEngine(threads)
    return runner.associate(genotypes, design, options, start_block=start_block)


def associate(
    genotypes: Genotypes,
    design: Design,
    *,
    missing: Missing = "mean",
    logistic: LogisticMode = "score-spa-firth",
    firth: bool = True,
    firth_se: bool = False,
    tail_below: float = 0.05,
    max_vif: float = 50.0,
    max_corr: float = 0.999,
    block_size: int = 1024,
    coding: Coding = "additive",
    male_copies: Literal[1, 2] = 2,
    offsets: LocoOffsets | None = None,
    threads: int | None = None,
    engine: Engine | None = None,
) -> dict[str, pd.DataFrame]:
    """Test every variant against every trait and keep all results in memory.

    Parameters
    ----------
    genotypes, design, missing, logistic, firth, firth_se, tail_below, max_vif, max_corr, block_size
        As in :func:`associate_blocks`, which is the way for many variants × traits.
    coding, male_copies, offsets, threads, engine
        As there.

    Returns
    -------
    dict of str to DataFrame
        Trait → one row a variant in file order, columns :data:`COLUMNS` without TRAIT.
    """
    import pandas as pd

    parts: dict[str, list[pd.DataFrame]] = {trait.name: [] for trait in design.traits}
    for frame in associate_blocks(
        genotypes,
        design,
        missing=missing,
        logistic=logistic,
        firth=firth,
        firth_se=firth_se,
        tail_below=tail_below,
        max_vif=max_vif,
        max_corr=max_corr,
        block_size=block_size,
        coding=coding,
        male_copies=male_copies,
        offsets=offsets,
        threads=threads,
        engine=engine,
    ):
        for name, rows in frame.groupby("TRAIT", sort=False):
            parts[str(name)].append(rows.drop(columns="TRAIT"))
    empty = pd.DataFrame(columns=list(COLUMNS[1:]))
    return {name: pd.concat(rows, ignore_index=True) if rows else empty for name, rows in parts.items()}


def block_frame(variants: pd.DataFrame, block: BlockTests, *, coding: Coding = "additive") -> pd.DataFrame:
    """Lay a block's tests out as rows, by trait, then variant; columns :data:`COLUMNS`."""
    import pandas as pd

    rows = variants.iloc[block.start : block.stop]
    names, m = list(block.tests), block.stop - block.start
    tests = list(block.tests.values())

    def stacked(field: str) -> np.ndarray:
        return np.concatenate([getattr(test, field) for test in tests])

    def repeated(column: str) -> np.ndarray:
        return np.tile(rows[column].to_numpy(), len(names))

    log10p = stacked("log10p")
    alt = repeated("alt")
    return pd.DataFrame(
        {
            "TRAIT": np.repeat(np.array(names, dtype=object), m),
            "#CHROM": repeated("chrom"),
            "POS": repeated("pos"),
            "ID": repeated("id"),
            "REF": repeated("ref"),
            "ALT": alt,
            "A1": alt,
            "A1_FREQ": stacked("alt_frequency"),
            "FIRTH?": np.where(stacked("firth"), "Y", "N").astype(object),
            "TEST": np.full(m * len(names), TEST_NAMES[coding], dtype=object),
            "OBS_CT": stacked("n"),
            "BETA": stacked("beta"),
            "SE": stacked("se"),
            "T_STAT": stacked("statistic"),
            "P": np.power(10.0, -log10p),
            "LOG10_P": log10p,
            "ERRCODE": errcode_text(stacked("status")),
        },
        columns=list(COLUMNS),
    )
