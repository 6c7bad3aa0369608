"""What goes with it: genotypes, kernels, models, engines, summary statistics, polygenic scores and risk."""
