"""Whole-genome regression: what all chromosomes but the tested one predict of each trait, to be offset.

Every variant's effect is estimated jointly, for all traits at once, and each person's prediction comes from
people other than himself (ten-fold). Dropping a chromosome's variants from it gives the offset for testing that
chromosome (leave one chromosome out, LOCO), as in REGENIE (Mbatchou et al. 2021, Nat Genet 53:1097).
"""

from gwas.whole_genome.regression import WholeGenomeFit, whole_genome_regression

__all__ = ["WholeGenomeFit", "whole_genome_regression"]
