"""Statistical models: what is fitted once a trait, and how a block of variants is tested against it."""
