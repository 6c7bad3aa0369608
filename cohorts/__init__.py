"""Who: people, their records, identity, linkage, consent, eligibility and exposure.

The intake (:func:`read_sources`) and the linkage see identifiers; from :func:`build_hub` on there are only
keyed pseudonyms.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cohorts.consent import apply_consent
    from cohorts.eligibility import Population, population
    from cohorts.hub import Hub, connect
    from cohorts.linkage import Links, link, pair_quality
    from cohorts.models import CprdAurumSource, FhirSource, OmopSource, PostgresSource
    from cohorts.observed import ObservedByRecords
    from cohorts.pseudonymise import build_hub
    from cohorts.residence import deprivation, exposure
    from cohorts.sources import Intake, read_sources
    from cohorts.synthetic import RegionConfig, make_region
    from cohorts.table_source import TableSource

_HOME = {
    "CprdAurumSource": "cohorts.models",
    "FhirSource": "cohorts.models",
    "Hub": "cohorts.hub",
    "Intake": "cohorts.sources",
    "Links": "cohorts.linkage",
    "ObservedByRecords": "cohorts.observed",
    "OmopSource": "cohorts.models",
    "Population": "cohorts.eligibility",
    "PostgresSource": "cohorts.models",
    "RegionConfig": "cohorts.synthetic",
    "TableSource": "cohorts.table_source",
    "apply_consent": "cohorts.consent",
    "build_hub": "cohorts.pseudonymise",
    "connect": "cohorts.hub",
    "deprivation": "cohorts.residence",
    "exposure": "cohorts.residence",
    "link": "cohorts.linkage",
    "make_region": "cohorts.synthetic",
    "pair_quality": "cohorts.linkage",
    "population": "cohorts.eligibility",
    "read_sources": "cohorts.sources",
}

__all__ = [
    "CprdAurumSource",
    "FhirSource",
    "Hub",
    "Intake",
    "Links",
    "ObservedByRecords",
    "OmopSource",
    "Population",
    "PostgresSource",
    "RegionConfig",
    "TableSource",
    "apply_consent",
    "build_hub",
    "connect",
    "deprivation",
    "exposure",
    "link",
    "make_region",
    "pair_quality",
    "population",
    "read_sources",
]


def __getattr__(name: str) -> Any:
    # Looked up on first use, so that importing the package loads nothing heavy.
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
