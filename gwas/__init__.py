"""What goes with it: genotypes, kernels, models, engines, summary statistics, polygenic scores and risk."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gwas.associate import associate, associate_blocks
    from gwas.design import Design, make_design
    from gwas.evaluation import evaluate_risk, validate
    from gwas.families import families, split_families
    from gwas.genotypes import Genotypes, open_genotypes
    from gwas.hwe import hwe_exact
    from gwas.kinship import kinship, unrelated
    from gwas.ld import ld_prune, ld_r2
    from gwas.pca import Pca, pca, project
    from gwas.polygenic.catalog import read_pgs_catalog
    from gwas.polygenic.clump import clump, threshold
    from gwas.polygenic.score import score
    from gwas.polygenic.weights import Weights
    from gwas.qc import QcPlan, qc
    from gwas.risk import fit_risk
    from gwas.risk_model import RiskModel
    from gwas.sumstats import SumStats, lambda_gc, top_loci

_HOME = {
    "Design": "gwas.design",
    "Genotypes": "gwas.genotypes",
    "Pca": "gwas.pca",
    "QcPlan": "gwas.qc",
    "RiskModel": "gwas.risk_model",
    "SumStats": "gwas.sumstats",
    "Weights": "gwas.polygenic.weights",
    "associate": "gwas.associate",
    "associate_blocks": "gwas.associate",
    "clump": "gwas.polygenic.clump",
    "evaluate_risk": "gwas.evaluation",
    "families": "gwas.families",
    "fit_risk": "gwas.risk",
    "hwe_exact": "gwas.hwe",
    "kinship": "gwas.kinship",
    "lambda_gc": "gwas.sumstats",
    "ld_prune": "gwas.ld",
    "ld_r2": "gwas.ld",
    "make_design": "gwas.design",
    "open_genotypes": "gwas.genotypes",
    "pca": "gwas.pca",
    "project": "gwas.pca",
    "qc": "gwas.qc",
    "read_pgs_catalog": "gwas.polygenic.catalog",
    "score": "gwas.polygenic.score",
    "split_families": "gwas.families",
    "threshold": "gwas.polygenic.clump",
    "top_loci": "gwas.sumstats",
    "unrelated": "gwas.kinship",
    "validate": "gwas.evaluation",
}

__all__ = [
    "Design",
    "Genotypes",
    "Pca",
    "QcPlan",
    "RiskModel",
    "SumStats",
    "Weights",
    "associate",
    "associate_blocks",
    "clump",
    "evaluate_risk",
    "families",
    "fit_risk",
    "hwe_exact",
    "kinship",
    "lambda_gc",
    "ld_prune",
    "ld_r2",
    "make_design",
    "open_genotypes",
    "pca",
    "project",
    "qc",
    "read_pgs_catalog",
    "score",
    "split_families",
    "threshold",
    "top_loci",
    "unrelated",
    "validate",
]


def __getattr__(name: str) -> Any:
    # Looked up on first use, so that importing the package loads nothing heavy.
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
