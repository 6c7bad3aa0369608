"""A study of records: what it derives from a hub, declared and checked before anything runs.

The classes here and in :mod:`workflows.hub_plan` and :mod:`workflows.genome_study` are the schema of the study file.
A study without genotypes is a :class:`Study`, one with them a :class:`~workflows.genome_study.GenomeStudy`.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from phenotypes.library import ConditionSpec
from phenotypes.rulespec import fault_at
from phenotypes.spec import CategoryTraitSpec, NumericTraitSpec, OutcomeSpec, TraitSpec, references
from workflows.exposures import ExposureSpec
from workflows.hub_plan import HubPlan, Named
from workflows.source_specs import Closed, StudyPath


class About(Named):
    """What the study is."""

    title: str
    summary: str = Field(description="what is asked and why, in plain words, for the public")


class DataUse(Closed):
    """Why the data may be used, printed in the cohort report and the crate."""

    purpose: str
    public_benefit: str
    legal_basis: str
    controller: str
    contact: str
    opt_out: str = Field(description="how people can object, and how objections were applied")


class RecordsEngine(Closed):
    """What derives phenotypes, traits and outcomes from the linked records."""

    engine: Literal["local", "spark"] = Field(
        default="local", description="spark needs careome[spark] and gives the same answers"
    )
    spark_master: str = Field(default="local[*]", description="where Spark runs, e.g. spark://host:7077")


class PopulationRule(Closed):
    """Who is in the study on the index date."""

    age: tuple[int, int] = Field(default=(18, 110), description="youngest and oldest age in years")
    registered_days: int = Field(default=365, ge=0, description="days of registration before the index date")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not 0 <= self.age[0] <= self.age[1]:
            raise fault_at("PopulationRule", ("age",), "the youngest age comes first, then the oldest")
        return self


class Study(HubPlan):
    """What is derived from the hub, and for whom."""

    study: About
    data_use: DataUse
    records: RecordsEngine = RecordsEngine()
    population: PopulationRule = PopulationRule()
    codelists: dict[str, StudyPath] = Field(default_factory=dict)
    phenotypes: dict[str, ConditionSpec] = Field(default_factory=dict)
    traits: dict[str, TraitSpec] = Field(default_factory=dict)
    exposures: dict[str, ExposureSpec] = Field(default_factory=dict)
    outcomes: dict[str, OutcomeSpec] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _names_exist(self) -> Self:
        covered = (self.study.data_end - self.study.index_date).days / 365.25
        for name, outcome in self.outcomes.items():
            if outcome.years > covered + 0.01:
                raise fault_at(
                    "Study",
                    ("outcomes", name, "years"),
                    f"the records end {covered:.1f} years after the index date, before {outcome.years:g} have passed",
                )
        clash = sorted(set(self.phenotypes) & set(self.traits))
        if clash:
            raise fault_at("Study", ("traits", clash[0]), "a phenotype has this name already")
        for name, exposure in self.exposures.items():
            if exposure.at is not None:
                known(("exposures", name, "at"), [exposure.at], self.outcomes, "outcome")
            if name in self.phenotypes or name in self.trait_columns():
                raise fault_at("Study", ("exposures", name), "a phenotype or trait has this name already")
        for kind in ("phenotypes", "traits", "outcomes"):
            for name, spec in getattr(self, kind).items():
                for place, codelist in references(spec):
                    known((kind, name, *place), [codelist], self.codelists, "code list")
        return self

    def trait_columns(self) -> dict[str, str]:
        """Column of every number the traits give, with its label; the last level of a category has none."""
        columns: dict[str, str] = {}
        for name, spec in self.traits.items():
            if isinstance(spec, CategoryTraitSpec):
                columns |= {f"{name}_{level}": f"{spec.label}: {level}" for level in list(spec.levels)[:-1]}
            else:
                columns[name] = spec.label
        return columns

    def label_of(self, name: str) -> str:
        """What a column is called in front of people."""
        if name in self.phenotypes:
            return self.phenotypes[name].label
        if name in self.exposures:
            return self.exposures[name].label or name
        fixed = {"age": "Age", "sex": "Sex"}
        return self.trait_columns().get(name) or fixed.get(name, name)

    def unit_of(self, name: str) -> str:
        """Unit of a column, as reports print it; '' where it has none."""
        if name in self.exposures:
            return self.exposures[name].measured_in
        spec = self.traits.get(name)
        return spec.value_unit if isinstance(spec, NumericTraitSpec) else ""

    def input_files(self) -> dict[str, Path]:
        """Every file (or folder of a source) that the study reads, by its place in the study file."""
        surfaces = {f"exposures.{name}": spec.surface for name, spec in self.exposures.items()}
        return (
            super().input_files()
            | {place: path for place, path in surfaces.items() if path is not None}
            | {f"codelists.{name}": path for name, path in self.codelists.items()}
        )


def known(place: tuple[str | int, ...], names: Iterable[str], defined: Iterable[str], what: str) -> None:
    """Refuse a name that the study does not define, at its place in the file."""
    defined = set(defined)
    article = "an" if what[0] in "aeiou" else "a"
    for name in names:
        if name not in defined:
            raise fault_at(
                "Study",
                place,
                f"{name!r} is not {article} {what} of this study, which has {', '.join(sorted(defined)) or 'none'}",
            )
