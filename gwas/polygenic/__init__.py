"""Polygenic scores: weights from files or from summary statistics, matched to genotypes, scored, judged."""
