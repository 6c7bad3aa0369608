"""A region with an answer key: people, genomes, disease and the records that providers would hand over.

Everything here returns tables and blocks; :mod:`workflows.synth` writes them.
"""

from __future__ import annotations

from cohorts.synthetic.config import FaultRates, RegionConfig
from cohorts.synthetic.region import ExistingGenotypes, Region, make_region

__all__ = ["ExistingGenotypes", "FaultRates", "Region", "RegionConfig", "make_region"]
