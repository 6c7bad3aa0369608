"""Polygenic scores: weights from files or from summary statistics, matched to genotypes, scored, judged."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gwas.polygenic.ancestry_scale import AncestryScale, fit_ancestry_scale
    from gwas.polygenic.catalog import read_pgs_catalog, read_scores
    from gwas.polygenic.clumping import Clumps, clump, threshold
    from gwas.polygenic.matching import Match, match
    from gwas.polygenic.performance import choose_score, liability_r2, percentile, score_performance
    from gwas.polygenic.scoring import Scores, score
    from gwas.polygenic.weights import Weights, make_weights, weights_from_sumstats

_HOME = {
    "AncestryScale": "gwas.polygenic.ancestry_scale",
    "Clumps": "gwas.polygenic.clumping",
    "Match": "gwas.polygenic.matching",
    "Scores": "gwas.polygenic.scoring",
    "Weights": "gwas.polygenic.weights",
    "choose_score": "gwas.polygenic.performance",
    "clump": "gwas.polygenic.clumping",
    "fit_ancestry_scale": "gwas.polygenic.ancestry_scale",
    "liability_r2": "gwas.polygenic.performance",
    "make_weights": "gwas.polygenic.weights",
    "match": "gwas.polygenic.matching",
    "percentile": "gwas.polygenic.performance",
    "read_pgs_catalog": "gwas.polygenic.catalog",
    "read_scores": "gwas.polygenic.catalog",
    "score": "gwas.polygenic.scoring",
    "score_performance": "gwas.polygenic.performance",
    "threshold": "gwas.polygenic.clumping",
    "weights_from_sumstats": "gwas.polygenic.weights",
}

__all__ = [
    "AncestryScale",
    "Clumps",
    "Match",
    "Scores",
    "Weights",
    "choose_score",
    "clump",
    "fit_ancestry_scale",
    "liability_r2",
    "make_weights",
    "match",
    "percentile",
    "read_pgs_catalog",
    "read_scores",
    "score",
    "score_performance",
    "threshold",
    "weights_from_sumstats",
]


def __getattr__(name: str) -> Any:
    # Looked up on first use, so that importing the package loads nothing heavy.
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
