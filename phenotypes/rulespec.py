"""The YAML form of rules, as closed pydantic models.

Every model refuses unknown keys. A fault inside a rule is located by the keys and positions the author
wrote, nothing else, e.g. ``('phenotypes', 't2d', 'any', 1, 'all', 0, 'gap_days')``, so that a caller can
point to the line. The keys of a rule apply in one order, however they are written: window, age, near and
not_near, lasting, episodes, count, first or last.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from datetime import date, datetime
from typing import Annotated, Any, Literal, Self, cast

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from cohorts.errors import StudyError
from phenotypes import rules
from phenotypes.codelist import CodeList
from phenotypes.units import Analyte, analyte_of, is_unit_of, known_unit, usual_units

Lists = Mapping[str, CodeList]
Reference = Annotated[str, Field(min_length=1, description="name of a code list of the study")]
Count = Annotated[int, Field(ge=1, strict=True)]
Days = Annotated[int, Field(strict=True)]
Age = Annotated[int, Field(ge=0, le=150, strict=True)]
Unit = Annotated[str, AfterValidator(known_unit)]
Number = Annotated[float, Field(allow_inf_nan=False)]
DayWindow = tuple[Days | None, Days | None]


def _a_day(value: object) -> object:
    # pydantic would read the number 2012 as seconds since 1970
    if value == "index" or (isinstance(value, date) and not isinstance(value, datetime)):
        return value
    try:
        return date.fromisoformat(value) if isinstance(value, str) else _no_day()
    except ValueError:
        return _no_day()


def _no_day() -> object:
    raise PydanticCustomError("when", "expected a date such as 2012-01-31, or 'index'")


def listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


When = Annotated[date | Literal["index"], BeforeValidator(_a_day)]


class Closed(BaseModel):
    """A mapping in a study file: unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class _Dated(Closed):
    """What can narrow the dates of a rule."""

    within: DayWindow | None = Field(
        default=None, description="days from the index date, [start, end): [-365, 0] is the year before it"
    )
    before: When | None = Field(default=None, description="dates earlier than this")
    after: When | None = Field(default=None, description="dates on or later than this")
    aged: tuple[Age | None, Age | None] | None = Field(
        default=None, description="dates on which the person is of this age in full years, [youngest, below)"
    )
    first: bool = Field(default=False, strict=True, description="only the earliest of the dates left")
    last: bool = Field(default=False, strict=True, description="only the latest of the dates left")
    near: NearSpec | None = Field(default=None, description="dates that have one of another rule near them")
    not_near: NearSpec | None = Field(default=None, description="dates that have none of another near them")
    lasting: LastingSpec | None = Field(
        default=None, description="dates by which the rule had held for a time without a break"
    )
    episodes: Annotated[int, Field(ge=0, strict=True)] | None = Field(
        default=None, description="count runs of dates, a run ending where more than this many days pass"
    )
    gap_days: Annotated[int, Field(ge=0, strict=True)] | None = Field(
        default=None, description="least days from the first to the last of the dates counted"
    )

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.within is not None:
            check_window(self.within, type(self).__name__, "within")
        if self.aged is not None:
            if self.aged == (None, None):
                raise fault_at(type(self).__name__, ("aged",), "give a youngest age or an age to stay below")
            check_window(self.aged, type(self).__name__, "aged")
        if self.gap_days and (self._count() or 1) < 2:
            raise fault_at(
                type(self).__name__, ("gap_days",), f"gap_days needs {self._count_key} of 2 or more beside it"
            )
        if self.first and self.last:
            raise fault_at(type(self).__name__, ("last",), "first and last cannot stand in one rule")
        return self

    _count_key = "at_least"

    def _count(self) -> int | None:
        return cast("int | None", getattr(self, self._count_key, None))

    def _narrow(self, rule: Any, lists: Lists, where: str) -> rules.DateRule:
        if self.within is not None:
            rule = rule.within(*self.within)
        if self.after is not None:
            rule = rule.after(self.after)
        if self.before is not None:
            rule = rule.before(self.before)
        if self.aged is not None:
            rule = rule.aged(*self.aged)
        if self.near is not None:
            rule = rule.near(self.near.rule.build(lists, f"{where}.near.rule"), *self.near.within)
        if self.not_near is not None:
            rule = rule.not_near(
                self.not_near.rule.build(lists, f"{where}.not_near.rule"), *self.not_near.within
            )
        if self.lasting is not None:
            unless = self.lasting.unless.build(lists, f"{where}.lasting.unless")
            rule = rule.lasting(self.lasting.days, unless=unless)
        if self.episodes is not None:
            rule = rule.episodes(self.episodes)
        if (count := self._count()) is not None:
            rule = rule.at_least(count, gap_days=self.gap_days or 0)
        if self.last:
            rule = rule.last()
        return cast("rules.DateRule", rule.first() if self.first else rule)


class HasSpec(_Dated):
    """Coded records of a code list."""

    has: Reference
    source: str | None = Field(default=None, description="count records of this source alone")
    kind: Annotated[list[rules.Kind], Field(min_length=1), BeforeValidator(listed)] | None = Field(
        default=None,
        description="count records of these kinds alone: event (in a record), contact, diagnosis or procedure (of a "
        "stay in hospital), death",
    )
    at_least: Count | None = Field(default=None, description="number of different dates")

    def build(self, lists: Lists, where: str) -> rules.Rule:
        """The rule, with its code list bound."""
        codes = bind(lists, self.has, f"{where}.has")
        # in one order, so that the order of writing changes no identity
        kinds = [kind for kind in rules.KINDS if kind in (self.kind or ())]
        return self._narrow(rules.has(codes, self.source, kinds=kinds), lists, where)


class PrescribedSpec(_Dated):
    """Prescriptions of a code list."""

    prescribed: Reference
    at_least: Count | None = Field(default=None, description="number of different dates")

    def build(self, lists: Lists, where: str) -> rules.Rule:
        """The rule, with its code list bound."""
        drug = bind(lists, self.prescribed, f"{where}.prescribed")
        return self._narrow(rules.prescribed(drug), lists, where)


class ValueSpec(_Dated):
    """Measurements of a code list between two bounds."""

    value: Reference
    unit: Unit | None = Field(default=None, description="unit of the bounds; records in others are converted")
    at_least: Number | None = Field(default=None, description="smallest value that counts")
    at_most: Number | None = Field(default=None, description="largest value that counts")
    above: Number | None = Field(default=None, description="values that count are larger than this")
    below: Number | None = Field(default=None, description="values that count are smaller than this")
    times: Count | None = Field(default=None, description="number of different dates")
    analyte: Analyte | None = Field(default=None, description="what is measured, for conversions")
    formula: rules.Formula | None = Field(default=None, description="bounds are of the eGFR from creatinine")

    _count_key = "times"

    @model_validator(mode="after")
    def _bounds_are_ordered(self) -> Self:
        for inner, outer in (("at_least", "above"), ("at_most", "below")):
            if getattr(self, inner) is not None and getattr(self, outer) is not None:
                raise fault_at("ValueSpec", (outer,), f"{inner} and {outer} cannot stand in one rule")
        low = self.at_least if self.above is None else self.above
        upper = "at_most" if self.below is None else "below"
        high = getattr(self, upper)
        if low is not None and high is not None and low > high:
            lower = "at_least" if self.above is None else "above"
            raise fault_at("ValueSpec", (upper,), f"{upper} is smaller than {lower}")
        return self

    @model_validator(mode="after")
    def _formula_has_its_unit(self) -> Self:
        if self.formula is not None and self.unit not in (None, rules.EGFR_UNIT):
            raise fault_at("ValueSpec", ("unit",), f"an eGFR has the unit {rules.EGFR_UNIT}")
        if self.formula is not None and self.analyte not in (None, "creatinine"):
            raise fault_at("ValueSpec", ("analyte",), "an eGFR is made from creatinine")
        return self

    def build(self, lists: Lists, where: str) -> rules.Rule:
        """The rule, with its code list bound."""
        codes = bind(lists, self.value, f"{where}.value")
        analyte = "creatinine" if self.formula else self.analyte or analyte_of(self.value, codes.name)
        if self.unit is not None:
            check_unit("gfr" if self.formula else analyte, self.unit, where=where)
        rule = rules.value(
            codes,
            self.unit,
            at_least=self.at_least,
            at_most=self.at_most,
            above=self.above,
            below=self.below,
            analyte=analyte,
            formula=self.formula,
        )
        return self._narrow(rule, lists, where)


class AnySpec(_Dated):
    """One of several rules. Where all give dates, their union can be windowed and counted."""

    any: list[RuleSpec] = Field(min_length=1)
    at_least: Count | None = Field(
        default=None, description="number of different dates, of all parts together"
    )

    @model_validator(mode="after")
    def _windows_need_dates(self) -> Self:
        narrowed = self.model_fields_set - {"any"}
        if narrowed and not _gives_dates(self):
            raise fault_at(
                "AnySpec", (sorted(narrowed)[0],), "put this inside the parts: some of them are conditions"
            )
        return self

    def build(self, lists: Lists, where: str) -> rules.Rule:
        """The rule, with its code lists bound."""
        union = rules.AnyOf(build_all(self.any, lists, f"{where}.any"))
        return self._narrow(union, lists, where) if self.model_fields_set - {"any"} else union


class AllSpec(Closed):
    """Every one of several rules."""

    all: list[RuleSpec] = Field(min_length=1)

    def build(self, lists: Lists, where: str) -> rules.Rule:
        """The rule, with its code lists bound."""
        return rules.AllOf(build_all(self.all, lists, f"{where}.all"))


class NoneSpec(Closed):
    """Not one of several rules."""

    none: list[RuleSpec] = Field(min_length=1)

    def build(self, lists: Lists, where: str) -> rules.Rule:
        """The rule, with its code lists bound."""
        return rules.NoneOf(build_all(self.none, lists, f"{where}.none"))


class InOrderSpec(Closed):
    """Every one of several rules, each dated earlier than the next."""

    in_order: list[RuleSpec] = Field(min_length=2)

    @model_validator(mode="after")
    def _is_dated(self) -> Self:
        for i, part in enumerate(self.in_order):
            if not is_always_dated(part):
                raise fault_at(
                    "InOrderSpec", ("in_order", i), "this can hold without a date, and so has no order"
                )
        return self

    def build(self, lists: Lists, where: str) -> rules.Rule:
        """The rule, with its code lists bound."""
        return rules.InOrder(build_all(self.in_order, lists, f"{where}.in_order"))


RULES: dict[str, type[HasSpec | PrescribedSpec | ValueSpec | AnySpec | AllSpec | NoneSpec | InOrderSpec]] = {
    "has": HasSpec,
    "prescribed": PrescribedSpec,
    "value": ValueSpec,
    "any": AnySpec,
    "all": AllSpec,
    "none": NoneSpec,
    "in_order": InOrderSpec,
}


def _choose_rule(data: object) -> object:
    # Choosing by key, not by trying each model, keeps error locations to what the author wrote.
    if not isinstance(data, dict):
        if isinstance(data, BaseModel):
            return data
        raise PydanticCustomError(
            "rule", f"a rule is a mapping such as {{has: codelist}}, with one of the keys {', '.join(RULES)}"
        )
    kinds = [key for key in RULES if key in data]
    if len(kinds) == 1:
        return RULES[kinds[0]].model_validate(data)
    if kinds:
        raise fault_at(
            "rule", (kinds[1],), f"{kinds[0]!r} and {kinds[1]!r} cannot stand in one rule; make them two"
        )
    for key in data:
        if near := difflib.get_close_matches(str(key), RULES, n=1):
            raise fault_at("rule", (key,), f"unknown key {key!r}; did you mean {near[0]!r}?")
    raise PydanticCustomError("rule", "a rule needs one of the keys " + ", ".join(RULES))


RuleSpec = Annotated[
    HasSpec | PrescribedSpec | ValueSpec | AnySpec | AllSpec | NoneSpec | InOrderSpec,
    BeforeValidator(_choose_rule),
]


class NearSpec(Closed):
    """Dates of another rule around each date of this one."""

    rule: RuleSpec
    within: DayWindow = Field(
        description="days from a date of this rule, [start, end): [0, null] is that day or later"
    )

    @model_validator(mode="after")
    def _is_a_window_of_dates(self) -> Self:
        check_window(self.within, "NearSpec", "within")
        if not _gives_dates(self.rule):
            raise fault_at("NearSpec", ("rule",), "this is a condition, and has no dates to be near")
        return self


class LastingSpec(Closed):
    """How long a rule must have held, and what would have ended it."""

    days: Count = Field(description="least days from an earlier date of this rule")
    unless: RuleSpec = Field(description="no date of this rule lies between the two")

    @model_validator(mode="after")
    def _ends_on_dates(self) -> Self:
        if not _gives_dates(self.unless):
            raise fault_at("LastingSpec", ("unless",), "this is a condition, and has no dates to lie between")
        return self


for _model in (
    HasSpec, PrescribedSpec, ValueSpec, AnySpec, AllSpec, NoneSpec, InOrderSpec, NearSpec, LastingSpec,
):  # fmt: skip
    _model.model_rebuild()


def is_always_dated(spec: BaseModel) -> bool:
    """Whether a rule has a date whenever it holds."""
    if isinstance(spec, AnySpec):
        return all(is_always_dated(part) for part in spec.any)
    if isinstance(spec, AllSpec):
        return any(is_always_dated(part) for part in spec.all)
    return not isinstance(spec, NoneSpec)


def _gives_dates(spec: BaseModel) -> bool:
    if isinstance(spec, AnySpec):
        return all(_gives_dates(part) for part in spec.any)
    return isinstance(spec, _Dated)


def check_unit(analyte: str | None, unit: str, *, where: str) -> None:
    """Refuse a unit that nothing measured of the analyte can be converted to.

    Raises
    ------
    StudyError
        Naming the place, and the units that fit.
    """
    if analyte is not None and not is_unit_of(analyte, unit):
        raise StudyError(
            f"{analyte} is never measured in this unit",
            where=f"{where}.unit",
            found=unit,
            expected="a unit such as " + " or ".join(usual_units(analyte)),
            fix="correct the unit, or name another analyte",
        )


def build_all(specs: list[Any], lists: Lists, where: str) -> tuple[rules.Rule, ...]:
    return tuple(spec.build(lists, f"{where}[{i}]") for i, spec in enumerate(specs))


def bind(lists: Lists, name: str, where: str) -> CodeList:
    if name not in lists:
        near = difflib.get_close_matches(name, lists, n=1)
        raise StudyError(
            "unknown code list",
            where=where,
            found=repr(name),
            expected=f"one of {', '.join(sorted(lists)) or 'none declared'}",
            fix=f"did you mean {near[0]!r}?" if near else "declare it under codelists",
        )
    return lists[name]


def check_window(window: DayWindow, title: str, key: str) -> None:
    start, end = window
    if start is not None and end is not None and start >= end:
        raise fault_at(title, (key,), f"the window must end after it starts, found [{start}, {end}]")


def fault_at(title: str, place: tuple[str | int, ...], message: str) -> ValidationError:
    # A ValidationError raised in a validator keeps its inner location, which a ValueError would lose.
    kind = PydanticCustomError("study", cast("Any", message))
    return ValidationError.from_exception_data(title, [InitErrorDetails(type=kind, loc=place, input=None)])
