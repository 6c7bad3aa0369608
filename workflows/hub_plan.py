"""What makes a pseudonymous hub: sources, linkage and the custodian's side, as a study file declares them.

It is the part of a study that ``careome records`` and the custodian's commands read; what is derived from the hub
is in :mod:`workflows.study`, what meets the genome in :mod:`workflows.genome_study`. Paths are taken from the
folder of the study file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from cohorts.table_source import TableSource
from phenotypes.rulespec import fault_at
from workflows.source_specs import Closed, Source, StudyPath, TablePath, region_tables, table_inputs


class Named(Closed):
    """Name and days of a study."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$", description="short name, lower case")
    index_date: date = Field(description="the day on which people enter the study")
    data_end: date = Field(description="the last day the records cover")
    seed: int = Field(default=1, ge=0, description="seed of everything random")
    synthetic: bool = Field(default=False, description="true where the people are invented")

    @model_validator(mode="after")
    def _ends_after_index(self) -> Self:
        if self.data_end <= self.index_date:
            raise fault_at(
                "Named", ("data_end",), f"data_end must be later than index_date, {self.index_date}"
            )
        return self


class Privacy(Closed):
    """The custodian's side."""

    key: StudyPath = Field(description="project key file, mode 0600")
    crosswalk: StudyPath | None = Field(
        default=None,
        description="folder for each run's sealed table of local identifier to pseudonym (needs custodian)",
    )
    custodian: StudyPath | None = Field(
        default=None, description="the custodian's public key (.pub), to which crosswalks are sealed"
    )
    rejects: StudyPath | None = Field(
        default=None,
        description="where to keep the places of refused rows (.parquet); default beside the key, by the study's name",
    )
    cache: StudyPath | None = Field(
        default=None,
        description="folder, of this study alone, that keeps answers about pseudonymous people for its next run",
    )

    @model_validator(mode="after")
    def _sealed(self) -> Self:
        if self.crosswalk is not None and self.custodian is None:
            raise fault_at(
                "Privacy", ("crosswalk",), "a crosswalk is sealed, so name the custodian's public key"
            )
        return self


class Region(Closed):
    """Tables about the region as a whole."""

    optouts: TablePath | None = None
    pollution: TablePath | None = None
    deprivation: TablePath | None = None


class Linkage(Closed):
    """How records of one person are brought together."""

    threshold: float = Field(default=0.95, gt=0.5, lt=1, description="least match probability of a link")
    review: StudyPath | None = Field(
        default=None, description="where to list pairs for clerical review (.tsv); a custodian's place"
    )
    review_band: tuple[float, float] = Field(
        default=(0.5, 0.99), description="match probabilities of the pairs to list, from and below"
    )
    review_most: int = Field(default=1000, ge=0, description="longest list for review")
    decisions: list[StudyPath] = Field(
        default_factory=list, description="review lists with the column decision filled in: same or different"
    )
    engine: Literal["local", "spark"] = Field(
        default="local", description="spark needs careome[spark] and gives the same links"
    )
    spark_master: str = Field(default="local[*]", description="where Spark runs, e.g. spark://host:7077")

    @model_validator(mode="after")
    def _kept_apart(self) -> Self:
        if self.review is not None and self.review in self.decisions:
            raise fault_at("Linkage", ("review",), "the next list would replace the decisions of the last")
        low, high = self.review_band
        if not 0.01 <= low <= high <= 1:
            raise fault_at("Linkage", ("review_band",), "two numbers from 0.01 to 1, the lower first")
        return self


class HubPlan(Closed):
    """How a hub is made of sources."""

    study: Named
    privacy: Privacy
    sources: dict[str, Source] = Field(min_length=1)
    region: Region = Region()
    linkage: Linkage = Linkage()

    def region_tables(self) -> Mapping[str, TableSource]:
        """Tables about the region, as they are read."""
        return region_tables({name: getattr(self.region, name) for name in type(self.region).model_fields})

    def input_files(self) -> dict[str, Path]:
        """Every file (or folder of a source) that is read, by its place in the study file."""
        files: dict[str, Path] = {}
        for name, source in self.sources.items():
            files |= {f"sources.{name}.{place}": path for place, path in source.inputs()}
        for table in type(self.region).model_fields:
            if (entry := getattr(self.region, table)) is not None:
                files |= {f"region.{place}": path for place, path in table_inputs(table, entry)}
        return files | {f"linkage.decisions.{i}": path for i, path in enumerate(self.linkage.decisions)}


def canonical_text(plan: HubPlan) -> str:
    """A study, or its part that makes the hub, as text that is the same wherever its folder lies.

    Paths are reduced to file names; what is in the files is told by their own hashes.
    """
    return json.dumps(
        _without_folders(
            plan.model_dump(
                exclude={
                    "privacy": {"key", "crosswalk", "custodian", "rejects", "cache"},
                    "linkage": {"review"},
                }
            )
        ),
        sort_keys=True,
    )


def _without_folders(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_folders(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_folders(item) for item in value]
    return value.name if isinstance(value, Path) else value.isoformat() if isinstance(value, date) else value
