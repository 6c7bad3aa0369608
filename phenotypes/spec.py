"""The YAML form of phenotypes, traits and outcomes, as closed pydantic models.

Code lists are named here and bound by ``build(codelists, name)``; `references` yields every name with its
location, so that an unknown one can be reported, with its line, before anything is read.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from cohorts.errors import StudyError
from phenotypes import rules
from phenotypes.definitions import (
    Adjustment,
    CategoryTrait,
    Entry,
    NumericTrait,
    Onset,
    Outcome,
    Phenotype,
    Pick,
    Until,
    value_unit,
)
from phenotypes.rulespec import (
    Closed,
    Count,
    DayWindow,
    Lists,
    Number,
    Reference,
    RuleSpec,
    Unit,
    bind,
    build_all,
    check_unit,
    check_window,
    fault_at,
    is_always_dated,
    listed,
)
from phenotypes.units import Analyte, analyte_of, believable

Location = tuple[str | int, ...]


Believable = Annotated[float, Field(ge=-1e9, le=1e9)]


class PhenotypeSpec(Closed):
    """A condition: `any` and `all` make a case, `none` excludes. See Phenotype for the statuses."""

    label: str = Field(min_length=1, description="name for people, as reports print it")
    any: list[RuleSpec] | None = Field(default=None, min_length=1, description="a case meets one of these")
    all: list[RuleSpec] | None = Field(default=None, min_length=1, description="a case meets all of these")
    none: list[RuleSpec] = Field(default=[], description="who meets one is neither case nor control")
    controls_without: list[RuleSpec] = Field(
        default=[], description="who is not a case but meets one of these is no control either"
    )
    until: Until = Field(
        default="end", description="records used: to the end of the data, or before the index date"
    )
    sex: Literal["M", "F"] | None = Field(default=None, description="where the condition is of one sex")
    onset: Onset = Field(
        default="any", description="incident: who had it before the index date is neither case nor control"
    )
    washout_days: Annotated[int, Field(ge=0, strict=True)] = Field(
        default=0, description="days of registration that a case must have behind it, to count as new"
    )

    @model_validator(mode="after")
    def _has_a_rule(self) -> Self:
        if self.any is None and self.all is None:
            raise PydanticCustomError(
                "rule", "a phenotype needs 'any' or 'all', a list of rules that make a case"
            )
        if self.onset == "incident" and self.until == "index":
            raise fault_at(
                "PhenotypeSpec",
                ("onset",),
                "nothing that is used 'until: index' begins on or after that date",
            )
        return self

    def build(self, codelists: Lists, name: str) -> Phenotype:
        """The definition, with its code lists bound.

        Raises
        ------
        StudyError
            Where a code list is not declared.
        """
        where = f"phenotypes.{name}"
        parts = () if self.all is None else build_all(self.all, codelists, f"{where}.all")
        if self.any is not None:
            choice = rules.AnyOf(build_all(self.any, codelists, f"{where}.any"))
            parts = (*parts, choice)
        rule = parts[0] if len(parts) == 1 else rules.AllOf(parts)
        return Phenotype(
            name,
            rule,
            label=self.label,
            exclude=build_all(self.none, codelists, f"{where}.none"),
            exclude_controls=build_all(self.controls_without, codelists, f"{where}.controls_without"),
            until=self.until,
            sex=self.sex,
            onset=self.onset,
            washout_days=self.washout_days,
        )


class AdjustmentSpec(Closed):
    """What a value measured on a drug is worth without it: one of divide, multiply or add."""

    drug: Reference
    divide: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    multiply: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    add: Number | None = None
    within_days: Count = Field(default=365, description="on the drug: prescribed in this many days before")

    @model_validator(mode="after")
    def _does_one_thing(self) -> Self:
        if sum(x is not None for x in (self.divide, self.multiply, self.add)) != 1:
            raise PydanticCustomError("adjust", "an adjustment needs exactly one of divide, multiply and add")
        return self

    def build(self, lists: Lists, where: str) -> Adjustment:
        """The adjustment, with its code list bound."""
        multiply = 1 / self.divide if self.divide is not None else (self.multiply or 1.0)
        return Adjustment(
            bind(lists, self.drug, f"{where}.drug"), self.add or 0.0, multiply, self.within_days
        )


class NumericTraitSpec(Closed):
    """A number from measurements."""

    kind: Literal["number"] = "number"
    label: str = Field(min_length=1)
    codes: Annotated[list[Reference], Field(min_length=1), BeforeValidator(listed)]
    unit: Unit
    plausible: tuple[Believable, Believable] | None = Field(
        default=None,
        description="smallest and largest believable value in the unit; where left out, that of the analyte",
    )
    pick: Pick = "median"
    window_days: DayWindow = Field(default=(None, None), description="days from the index date, [start, end)")
    adjust: list[AdjustmentSpec] = Field(default=[])
    analyte: Analyte | None = Field(default=None, description="what is measured, for conversions")
    blank_unit: Literal["reject", "assume"] = "reject"
    formula: Literal["ckd_epi_2021"] | None = Field(default=None, description="eGFR from creatinine")
    at_least: Count = Field(default=1, description="fewest days with a value")
    span_days: Annotated[int, Field(ge=0, strict=True)] = Field(
        default=0, description="fewest days from the first to the last of them"
    )
    shrink: bool = Field(
        default=False,
        strict=True,
        description="draw slopes to their mean, the more the less is known of each",
    )

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.shrink and (self.pick != "slope" or self.at_least < 3):
            raise fault_at(
                "NumericTraitSpec", ("shrink",), "only slopes with 'at_least: 3' or more can be shrunk"
            )
        if self.pick == "count" and (self.at_least > 1 or self.span_days):
            raise fault_at("NumericTraitSpec", ("pick",), "a count has no at_least and no span_days")
        if self.plausible is not None and self.plausible[0] >= self.plausible[1]:
            raise fault_at(
                "NumericTraitSpec", ("plausible",), "the range must go from a smaller to a larger value"
            )
        check_window(self.window_days, "NumericTraitSpec", "window_days")
        if self.formula is not None and self.unit != "mL/min/1.73m2":
            raise fault_at("NumericTraitSpec", ("unit",), "an eGFR has the unit mL/min/1.73m2")
        return self

    @property
    def value_unit(self) -> str:
        """Unit of the values: see :class:`~phenotypes.definitions.NumericTrait`."""
        return value_unit(self.unit, self.pick)

    def build(self, codelists: Lists, name: str) -> NumericTrait:
        """The definition, with its code lists bound."""
        where = f"traits.{name}"
        analyte = "creatinine" if self.formula else self.analyte or analyte_of(name, *self.codes)
        check_unit("gfr" if self.formula else analyte, self.unit, where=where)
        plausible = self.plausible or believable("gfr" if self.formula else analyte, self.unit)
        if plausible is None:
            raise StudyError(
                "no range of plausible values is known for it",
                where=f"traits.{name}.plausible",
                found=f"{analyte or 'an unknown analyte'} in {self.unit}",
                fix="give plausible: [smallest, largest]",
            )
        return NumericTrait(
            name,
            tuple(bind(codelists, code, f"{where}.codes") for code in self.codes),
            self.unit,
            plausible,
            label=self.label,
            pick=self.pick,
            window_days=self.window_days,
            adjust=tuple(a.build(codelists, f"{where}.adjust[{i}]") for i, a in enumerate(self.adjust)),
            analyte=analyte,
            blank_unit=self.blank_unit,
            formula=self.formula,
            at_least=self.at_least,
            span_days=self.span_days,
            shrink=self.shrink,
        )


class CategoryTraitSpec(Closed):
    """One of several levels, each a code list; the last is the reference."""

    kind: Literal["category"]
    label: str = Field(min_length=1)
    levels: dict[Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$")], Reference] = Field(min_length=2)
    pick: Literal["last", "first", "nearest"] = "last"
    window_days: DayWindow = Field(default=(None, None), description="days from the index date, [start, end)")

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        check_window(self.window_days, "CategoryTraitSpec", "window_days")
        return self

    def build(self, codelists: Lists, name: str) -> CategoryTrait:
        """The definition, with its code lists bound."""
        where = f"traits.{name}.levels"
        levels = tuple((lv, bind(codelists, code, f"{where}.{lv}")) for lv, code in self.levels.items())
        return CategoryTrait(name, levels, label=self.label, pick=self.pick, window_days=self.window_days)


def _choose_trait(data: object) -> object:
    if not isinstance(data, dict):
        if isinstance(data, BaseModel):
            return data
        raise PydanticCustomError(
            "trait", "a trait is a mapping with the keys label, codes, unit and plausible"
        )
    models: dict[object, type[BaseModel]] = {"number": NumericTraitSpec, "category": CategoryTraitSpec}
    kind = data.get("kind", "number")
    if not isinstance(kind, str) or kind not in models:
        raise fault_at(
            "trait", ("kind",), f"unknown kind of trait {kind!r}; expected {' or '.join(map(str, models))}"
        )
    return models[kind].model_validate(data)


TraitSpec = Annotated[NumericTraitSpec | CategoryTraitSpec, BeforeValidator(_choose_trait)]


class EntrySpec(Closed):
    """Delayed entry: the first day from the index date on when all of it holds."""

    registered_days: Annotated[int, Field(ge=0, strict=True)] = Field(
        default=0, description="days since registration with a practice"
    )
    age: Annotated[int, Field(ge=0, le=120, strict=True)] | None = Field(
        default=None, description="least age in years"
    )


class OutcomeSpec(Closed):
    """Time from entry (the index date, unless `entry` is given) to an event."""

    label: str = Field(min_length=1)
    event: RuleSpec
    exclude_prior: bool = Field(
        default=True, strict=True, description="leave out who had it by the index date"
    )
    washout_days: Annotated[int, Field(ge=0, strict=True)] | None = Field(
        default=None, description="leave out only who had it in this many days before entry"
    )
    competing: Literal["death", "none"] = "death"
    competing_events: dict[Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$")], RuleSpec] = Field(
        default={}, description="further competing events, by name"
    )
    entry: EntrySpec | None = Field(default=None, description="delayed entry; else the index date")
    landmark_days: Annotated[int, Field(ge=0, strict=True)] = Field(
        default=0, description="follow-up begins so long after entry, of those still without the event"
    )
    until_age: Annotated[int, Field(ge=1, le=120, strict=True)] | None = Field(
        default=None, description="follow-up ends on this birthday"
    )
    years: Annotated[float, Field(gt=0, le=120)] = Field(default=10.0, description="longest follow-up")
    registration_gap_days: Annotated[int, Field(ge=0, strict=True)] = Field(
        default=90, description="a shorter break in registration does not end follow-up"
    )

    @model_validator(mode="after")
    def _event_is_dated(self) -> Self:
        if not is_always_dated(self.event):
            raise fault_at(
                "OutcomeSpec", ("event",), "the event can hold without a date; add a dated rule under all"
            )
        for name, rule in self.competing_events.items():
            if name in _ENDS:
                raise fault_at("OutcomeSpec", ("competing_events", name), f"{name!r} has a meaning already")
            if not is_always_dated(rule):
                raise fault_at("OutcomeSpec", ("competing_events", name), "the event can hold without a date")
        if self.washout_days is not None and not self.exclude_prior:
            raise fault_at(
                "OutcomeSpec", ("washout_days",), "a wash-out leaves people out: drop 'exclude_prior: false'"
            )
        return self

    def build(self, codelists: Lists, name: str) -> Outcome:
        """The definition, with its code lists bound."""
        return Outcome(
            name,
            self.event.build(codelists, f"outcomes.{name}.event"),
            label=self.label,
            years=self.years,
            exclude_prior=self.exclude_prior,
            competing="death" if self.competing == "death" else None,
            registration_gap_days=self.registration_gap_days,
            competing_events=tuple(
                (cause, rule.build(codelists, f"outcomes.{name}.competing_events.{cause}"))
                for cause, rule in self.competing_events.items()
            ),
            entry=None if self.entry is None else Entry(self.entry.registered_days, self.entry.age),
            landmark_days=self.landmark_days,
            washout_days=self.washout_days,
            until_age=self.until_age,
        )


#: Ways in which follow-up ends that are no competing events of the study's own.
_ENDS = ("event", "death", "censored", "registration", "age", "data", "horizon")
_REFERENCE_KEYS = ("has", "prescribed", "value", "drug", "codes")


def references(spec: BaseModel) -> Iterator[tuple[Location, str]]:
    """Every code list a specification names, with its location below the specification.

    Examples
    --------
    >>> spec = PhenotypeSpec.model_validate({"label": "T2D", "any": [{"has": "t2d"}]})
    >>> list(references(spec))
    [(('any', 0, 'has'), 't2d')]
    """
    for key in type(spec).model_fields:
        field = getattr(spec, key)
        if key == "levels":
            yield from (((key, level), name) for level, name in field.items())
        elif isinstance(field, dict):
            for cause, rule in field.items():
                yield from (((key, cause, *below), name) for below, name in references(rule))
        else:
            for i, item in enumerate(field if isinstance(field, list) else [field]):
                place: Location = (key, i) if isinstance(field, list) and key != "codes" else (key,)
                if isinstance(item, BaseModel):
                    yield from (((*place, *below), name) for below, name in references(item))
                elif key in _REFERENCE_KEYS:
                    yield place, item
