"""Sources that come in a layout of their own: OMOP, FHIR, CPRD Aurum, and tables of a PostgreSQL server.

A model turns its layout into streams under the names of :data:`cohorts.tables.TABLES`; judging, counting and
keeping what was refused is the same for all and happens in :mod:`cohorts.sources`. A model never drops a row
unseen: what it cannot use it gives with a reason, and what it does not read it notes.
"""

from __future__ import annotations

from cohorts.models.cprd_aurum import CprdAurumSource
from cohorts.models.fhir import FhirSource
from cohorts.models.omop import OmopSource
from cohorts.models.postgres import PostgresSource
from cohorts.models.protocol import Opened, SourceModel

__all__ = ["CprdAurumSource", "FhirSource", "OmopSource", "Opened", "PostgresSource", "SourceModel"]
