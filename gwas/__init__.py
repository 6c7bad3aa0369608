"""What goes with it: genotypes, kernels, models, engines, summary statistics, polygenic scores and risk."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gwas.ancestry_assignment import assign_ancestry
    from gwas.association import associate, associate_blocks
    from gwas.components import Pca, pca, project
    from gwas.conditioning import condition_on
    from gwas.design import Design, make_design
    from gwas.differential_missingness import compare_missingness
    from gwas.duplicates import duplicate_variants
    from gwas.evaluation import evaluate_risk, validate
    from gwas.frequencies import freq
    from gwas.genotypes import Genotypes, open_genotypes
    from gwas.harmonising import harmonise
    from gwas.hwe import hwe_exact, hwe_exact_x
    from gwas.imputation_quality import imputation_r2
    from gwas.interaction import associate_interactions
    from gwas.ld import ld_matrix, ld_prune, ld_r2
    from gwas.ld_score_sums import ld_scores
    from gwas.ld_table import ld_pairs, ld_region
    from gwas.liftover import lift_over, read_chain
    from gwas.mendel import mendel_errors
    from gwas.offsets import LocoOffsets
    from gwas.pedigree import families, split_families
    from gwas.quality import QcPlan, QcResult, qc
    from gwas.rank_normal import rank_normal_design
    from gwas.reference_comparison import compare_reference, read_reference
    from gwas.relatedness import kinship, unrelated
    from gwas.risk import fit_risk
    from gwas.risk_model import RiskModel
    from gwas.sumstats import SumStats, lambda_gc, to_plink, to_regenie, top_loci
    from gwas.sumstats_reader import read_sumstats
    from gwas.sumstats_writers import to_cojo, to_gwas_ssf, to_ldsc, to_saige
    from gwas.trait_results import TraitResults
    from gwas.transitions import titv
    from gwas.whole_genome import WholeGenomeFit, whole_genome_regression

_HOME = {
    "Design": "gwas.design",
    "Genotypes": "gwas.genotypes",
    "Pca": "gwas.components",
    "QcPlan": "gwas.quality",
    "QcResult": "gwas.quality",
    "RiskModel": "gwas.risk_model",
    "SumStats": "gwas.sumstats",
    "TraitResults": "gwas.trait_results",
    "assign_ancestry": "gwas.ancestry_assignment",
    "condition_on": "gwas.conditioning",
    "rank_normal_design": "gwas.rank_normal",
    "associate": "gwas.association",
    "associate_blocks": "gwas.association",
    "associate_interactions": "gwas.interaction",
    "compare_missingness": "gwas.differential_missingness",
    "compare_reference": "gwas.reference_comparison",
    "duplicate_variants": "gwas.duplicates",
    "evaluate_risk": "gwas.evaluation",
    "families": "gwas.pedigree",
    "fit_risk": "gwas.risk",
    "freq": "gwas.frequencies",
    "harmonise": "gwas.harmonising",
    "hwe_exact": "gwas.hwe",
    "hwe_exact_x": "gwas.hwe",
    "imputation_r2": "gwas.imputation_quality",
    "kinship": "gwas.relatedness",
    "lambda_gc": "gwas.sumstats",
    "ld_matrix": "gwas.ld",
    "ld_pairs": "gwas.ld_table",
    "ld_prune": "gwas.ld",
    "ld_r2": "gwas.ld",
    "ld_region": "gwas.ld_table",
    "ld_scores": "gwas.ld_score_sums",
    "lift_over": "gwas.liftover",
    "make_design": "gwas.design",
    "mendel_errors": "gwas.mendel",
    "open_genotypes": "gwas.genotypes",
    "pca": "gwas.components",
    "project": "gwas.components",
    "qc": "gwas.quality",
    "read_chain": "gwas.liftover",
    "read_reference": "gwas.reference_comparison",
    "read_sumstats": "gwas.sumstats_reader",
    "split_families": "gwas.pedigree",
    "titv": "gwas.transitions",
    "to_cojo": "gwas.sumstats_writers",
    "to_gwas_ssf": "gwas.sumstats_writers",
    "to_ldsc": "gwas.sumstats_writers",
    "to_plink": "gwas.sumstats",
    "to_regenie": "gwas.sumstats",
    "to_saige": "gwas.sumstats_writers",
    "top_loci": "gwas.sumstats",
    "unrelated": "gwas.relatedness",
    "validate": "gwas.evaluation",
    "LocoOffsets": "gwas.offsets",
    "WholeGenomeFit": "gwas.whole_genome",
    "whole_genome_regression": "gwas.whole_genome",
}

__all__ = [
    "Design",
    "Genotypes",
    "LocoOffsets",
    "Pca",
    "QcPlan",
    "QcResult",
    "RiskModel",
    "SumStats",
    "TraitResults",
    "WholeGenomeFit",
    "assign_ancestry",
    "associate",
    "associate_blocks",
    "associate_interactions",
    "compare_missingness",
    "compare_reference",
    "condition_on",
    "duplicate_variants",
    "evaluate_risk",
    "families",
    "fit_risk",
    "freq",
    "harmonise",
    "hwe_exact",
    "hwe_exact_x",
    "imputation_r2",
    "kinship",
    "lambda_gc",
    "ld_matrix",
    "ld_pairs",
    "ld_prune",
    "ld_r2",
    "ld_region",
    "ld_scores",
    "lift_over",
    "make_design",
    "mendel_errors",
    "open_genotypes",
    "pca",
    "project",
    "qc",
    "rank_normal_design",
    "read_chain",
    "read_reference",
    "read_sumstats",
    "split_families",
    "titv",
    "to_cojo",
    "to_gwas_ssf",
    "to_ldsc",
    "to_plink",
    "to_regenie",
    "to_saige",
    "top_loci",
    "unrelated",
    "validate",
    "whole_genome_regression",
]


def __getattr__(name: str) -> Any:
    # Looked up on first use, so that importing the package loads nothing heavy.
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
