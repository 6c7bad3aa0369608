"""What ``careome gwas`` can be asked for, as values; light, so that options are read before numpy is loaded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from gwas.kernels.recode import Coding
    from gwas.models.linear import Missing
    from gwas.rank_normal import RankNormal


@dataclass(frozen=True, kw_only=True)
class TraitOptions:
    """What traits and covariates are.

    Attributes
    ----------
    kind
        ``quantitative`` (``--qt``) or ``binary`` (``--bt``) for all traits; None infers it of each.
    zero_one
        Binary traits are coded 0 and 1 (PLINK's ``--1``): one coded 1 and 2 is refused.
    categories
        Covariates whose values are names, even where they look like numbers (``--catCovarList``).
    complete
        Analyse only those who have every trait (``--strict``).
    rank_normal
        Replace quantitative traits by normal scores, see :mod:`gwas.rank_normal`.
    standardise
        Bring covariates to mean 0 and variance 1 (``--covar-variance-standardize``), which changes no answer but where
        there are interactions.
    """

    kind: Literal["quantitative", "binary"] | None = None
    zero_one: bool = False
    categories: tuple[str, ...] = ()
    complete: bool = False
    rank_normal: RankNormal | None = None
    standardise: bool = False


@dataclass(frozen=True, kw_only=True)
class ModelOptions:
    """How variants are tested, beside what :func:`workflows.association.run_gwas` itself takes.

    Attributes
    ----------
    coding
        See :func:`gwas.association.associate_blocks`; other codings than the additive leave X, Y and MT out.
    interactions
        Covariates that the genotype is multiplied with, see :mod:`gwas.interaction`; none of them means all
        covariates, None no interactions. X, Y and MT are left out.
    conditions, condition_list
        Names of variants whose genotypes become covariates, and a file with more of them.
    condition_missing
        What a missing genotype of such a variant is; None does as for the tested ones.
    x_model
        PLINK 2's ``--xchr-model``: 0 leaves X out, 1 counts males 0/1, 2 counts them 0/2.
    build
        Genome build by which variants on X are told to be pseudo-autosomal; None leaves them on X.
    firth
        Whether Firth stands in where maximum likelihood fails (``wald``).
    firth_se
        Whether a Firth test's SE is the one that goes with its estimate and P (``--firth-se``).
    tail_below
        The score test's P below which a variant is refitted.
    """

    coding: Coding = "additive"
    interactions: tuple[str, ...] | None = None
    conditions: tuple[str, ...] = ()
    condition_list: Path | None = None
    condition_missing: Missing | None = None
    x_model: Literal[0, 1, 2] = 2
    build: Literal["GRCh37", "GRCh38"] | None = None
    firth: bool = True
    firth_se: bool = False
    tail_below: float = 0.05


@dataclass(frozen=True, kw_only=True)
class OutputOptions:
    """What is written.

    Attributes
    ----------
    format
        ``text``: one file a trait; ``parquet``: a folder ``OUT.parquet`` with a folder a trait.
    layout
        Columns and names of text files: ``plink2`` or ``regenie``.
    p_below
        Write only rows with a P not above this; the rest is counted in the log.
    confidence
        Size of the confidence intervals to write; None writes none.
    """

    format: Literal["text", "parquet"] = "text"
    layout: Literal["plink2", "regenie"] = "plink2"
    p_below: float | None = None
    confidence: float | None = None
