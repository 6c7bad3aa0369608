"""From discovery results to scores of people who had no part in them."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from cohorts.errors import DesignError
from gwas.ancestry import structured_components
from gwas.polygenic.ancestry_scale import AncestryScale, fit_ancestry_scale
from gwas.polygenic.catalog import read_scores
from gwas.polygenic.clumping import clump, threshold
from gwas.polygenic.performance import Performance, choose_score, score_performance
from gwas.polygenic.scoring import Scores, alternate_frequencies, score
from gwas.polygenic.weights import Weights
from gwas.trait_results import TraitResults
from workflows.frames import cell
from workflows.genome_study import GenomeStudy
from workflows.genotyped import Genotyped

LOG = logging.getLogger("careome")


@dataclass(frozen=True, eq=False)
class TraitScore:
    """The chosen score of one trait.

    Attributes
    ----------
    trait, name
        The trait, and the name of its score (with the P threshold chosen in the target part).
    weights
        Its weights.
    scale
        How it was put on an ancestry-adjusted scale, fitted in the target part.
    standardised, se
        Series, index iid (target and validation): score in standard deviations given ancestry, and the
        standard error that the weights' own errors give it on that scale.
    coverage
        Share of the score's expected variance that could be read in the genotypes.
    candidates
        Index score, column r2: what each P threshold added in the target part.
    performance
        What it is worth in the validation part.
    reason
        Why there is no score, where there is none; then the other fields are empty.
    """

    trait: str
    name: str = ""
    weights: Weights | None = None
    scale: AncestryScale | None = None
    standardised: pd.Series | None = None
    se: pd.Series | None = None
    coverage: float = float("nan")
    candidates: pd.DataFrame | None = None
    performance: Performance | None = None
    reason: str = ""


@dataclass(frozen=True, eq=False)
class PolygenicScores:
    """All scores of a run.

    Attributes
    ----------
    traits
        Trait to its chosen score.
    scored
        Every candidate and published score in one pass.
    published
        Names of the published scores.
    """

    traits: Mapping[str, TraitScore]
    scored: Scores | None
    published: tuple[str, ...]


def derive_weights(
    study: GenomeStudy, stats: Mapping[str, TraitResults], discovery: Genotyped
) -> tuple[dict[str, list[Weights]], dict[str, str]]:
    """Clump and threshold the discovery results of each trait.

    Parameters
    ----------
    study
        Clumping options and thresholds.
    stats
        Trait to its results.
    discovery
        The people they come from, in whom linkage disequilibrium is measured.

    Returns
    -------
    dict
        Trait to its candidate weights, one a P threshold.
    dict
        Trait to the reason why it has none.
    """
    options = study.scores.derived
    candidates: dict[str, list[Weights]] = {}
    without: dict[str, str] = {}
    for trait, table in stats.items():
        clumps = clump(
            table.frame,
            discovery.genotypes,
            p=max(options.thresholds),
            r2=options.clump_r2,
            kb=options.clump_kb,
            linkage="correlation",
            name=trait,
            build=study.genotypes.build,
        )
        try:
            candidates[trait] = threshold(clumps, thresholds=options.thresholds)
        except DesignError as error:
            without[trait] = error.problem
    return candidates, without


def score_people(
    study: GenomeStudy,
    candidates: Mapping[str, list[Weights]],
    without: Mapping[str, str],
    *,
    discovery: Genotyped,
    others: Genotyped,
    part: npt.NDArray[np.object_],
    outcomes: pd.DataFrame,
    covariates: pd.DataFrame,
    components: pd.DataFrame,
    eigenvalues: npt.NDArray[np.float64],
    rng: np.random.Generator,
) -> PolygenicScores:
    """Score target and validation people, choose thresholds in the target, judge in the validation.

    Parameters
    ----------
    study
        The study, for its published scores.
    candidates, without
        From :func:`derive_weights`.
    discovery
        People whose allele frequencies fill missing genotypes, so that nobody's score depends on who
        else is scored.
    others
        Target and validation people.
    part
        object (n,): ``target`` or ``validation`` for each of `others`.
    outcomes
        One column a trait, rows as `others`.
    covariates, components
        Covariates of the models, and principal components, rows as `others`.
    eigenvalues
        Of the components: those that stand out show ancestry and make the scores' scale.
    rng
        For the bootstrap.
    """
    published = [weights for path in study.scores.published for weights in read_scores(path)]
    every = [*published, *(weights for group in candidates.values() for weights in group)]
    if not every:
        return PolygenicScores({t: TraitScore(t, reason=r) for t, r in without.items()}, None, ())
    rows = np.arange(discovery.genotypes.n_variants, dtype=np.int64)
    frequencies = alternate_frequencies(discovery.genotypes, rows)
    scored = score(others.genotypes, every, frequencies=frequencies)
    target, validation = part == "target", part == "validation"
    adjusted = np.column_stack([covariates.to_numpy(), components.to_numpy()])
    scale_on = components.to_numpy()[:, : max(1, structured_components(eigenvalues))]
    traits = {trait: TraitScore(trait, reason=reason) for trait, reason in without.items()}
    for trait, group in candidates.items():
        outcome = outcomes[trait].to_numpy(dtype=float)
        names = [weights.name for weights in group]
        mine = scored.scores[names]
        try:
            best, table = choose_score(mine[target], outcome[target], covariates=adjusted[target])
            raw = mine[best].to_numpy()
            scale = _ancestry_scale(raw[target], scale_on[target])
        except DesignError as error:
            traits[trait] = TraitScore(trait, reason=error.problem)
            continue
        z = scale.standardise(raw, scale_on)
        known = np.isfinite(outcome)
        binary = bool(np.isin(outcome[known], (0, 1)).all())
        traits[trait] = TraitScore(
            trait,
            name=best,
            weights=group[names.index(best)],
            scale=scale,
            standardised=pd.Series(z, index=mine.index),
            se=pd.Series(scored.se[best].to_numpy() / scale.spread_at(scale_on), index=mine.index),
            coverage=float(cell(scored.summary, best, "variance_coverage")),
            candidates=table,
            performance=score_performance(
                z[validation],
                outcome[validation],
                covariates=adjusted[validation],
                prevalence=float(outcome[known].mean()) if binary else None,
                rng=rng,
            ),
        )
    return PolygenicScores(traits, scored, tuple(weights.name for weights in published))


def _ancestry_scale(scores: npt.NDArray[np.float64], components: npt.NDArray[np.float64]) -> AncestryScale:
    """Mean and variance along ancestry; the mean alone where too few people define a component."""
    try:
        return fit_ancestry_scale(scores, components)
    except DesignError:
        LOG.warning("the variance of a score along ancestry could not be modelled and is taken as constant")
        return fit_ancestry_scale(scores, components, variance=False)
