"""Traits: a number or a level for each person, from measurements in mixed units.

:class:`~phenotypes.definitions.NumericTrait` and :class:`~phenotypes.definitions.CategoryTrait` say what is
done; every measurement is accounted for: read = used + repeated + without value + unknown unit + implausible.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import ibis
import numpy as np
import pandas as pd

from cohorts.without_rows import WithoutRows
from phenotypes.compile import convert, with_egfr
from phenotypes.definitions import Adjustment, CategoryTrait, NumericTrait, Trait
from phenotypes.narrow import Records
from phenotypes.trajectory import spreads, trajectories

MEASURES = "careome_measures"
REASONS = ("repeated", "no_value", "unknown_unit", "implausible", "used")


@dataclass(frozen=True, repr=False)
class TraitValues(WithoutRows):
    """What a trait gives.

    Attributes
    ----------
    columns
        float64 arrays by column of the wide frame, in the order of the people; NaN where there is none.
    tally
        Numbers of measurements: read, repeated, no_value, unknown_unit, implausible, used, and of the used
        ones converted and adjusted.
    """

    columns: dict[str, np.ndarray]
    tally: dict[str, int]


def numeric(records: Records, trait: NumericTrait) -> TraitValues:
    """Values of a numeric trait for the people of `records`, in its unit."""
    session = records.session
    measures = session.keep(MEASURES, _measures(records, trait))
    tally = dict.fromkeys(("read", *REASONS, "converted", "adjusted"), 0)
    daily, moves = _daily(measures), trait.pick in ("slope", "sd")
    tallies, found = session.frames(
        [_tallies(measures), spreads(daily, trait) if moves else _pick(daily, trait)]
    )
    for row in tallies.to_dict("records"):
        tally[str(row["outcome"])] += int(row["n"])
        tally["repeated"] += int(row["copies"]) - int(row["n"])
        tally["read"] += int(row["copies"])
        if row["outcome"] == "used":
            tally["converted"] += int(row["converted"])
            tally["adjusted"] += int(row["adjusted"])
    values = np.full(len(records.persons), 0.0 if trait.pick == "count" else np.nan)
    found = found.sort_values("who")
    value = trajectories(found, trait) if moves else found["value"].to_numpy(np.float64)
    who = found["who"]
    values[who.to_numpy(np.int64)] = value
    return TraitValues({trait.name: values}, tally)


def category(records: Records, trait: CategoryTrait) -> TraitValues:
    """Indicator columns of a category trait: 1 or 0 for every level but the last, NaN where unknown."""
    t = _in_window(records.rows(*(codes for _, codes in trait.levels), rx=False), trait.window_days)
    n = len(trait.levels)
    level = ibis.cases(*((t.list == records.number(codes), i) for i, (_, codes) in enumerate(trait.levels)))
    t = t.mutate(level=level.cast("int64"))
    # One key orders days by `pick` and, within a day, levels as declared.
    nearness = t.day.abs().cast("int64") * 2 + (t.day > 0).cast("int64")
    keys = {"last": -t.day.cast("int64"), "first": t.day.cast("int64"), "nearest": nearness}
    t = t.mutate(key=keys[trait.pick] * n + t.level)
    (rows,) = records.session.frames([t.group_by("who").agg(level=t.level.argmin(t.key), n=t.count())])
    found = np.full(len(records.persons), -1)
    found[rows["who"].to_numpy(np.int64)] = rows["level"].to_numpy(np.int64)
    columns = {
        name: np.where(found < 0, np.nan, (found == i).astype(np.float64))
        for i, name in enumerate(trait.columns)
    }
    read = int(rows["n"].sum())
    return TraitValues(columns, {"read": read, "used": read})


def summaries(traits: Mapping[str, Trait], values: Mapping[str, TraitValues]) -> pd.DataFrame:
    """One row a column: trait, column, unit, people, mean, sd and the tally of measurements."""
    counted = ("read", *REASONS, "converted", "adjusted")
    rows = []
    for name, found in values.items():
        definition = traits[name]
        unit = definition.value_unit if isinstance(definition, NumericTrait) else ""
        for column, array in found.columns.items():
            present = array[~np.isnan(array)]
            mean = float(present.mean()) if len(present) else np.nan
            sd = float(present.std(ddof=1)) if len(present) > 1 else np.nan
            rows.append(
                (name, column, unit, len(present), mean, sd, *(found.tally.get(k, 0) for k in counted))
            )
    return pd.DataFrame(rows, columns=["trait", "column", "unit", "people", "mean", "sd", *counted])


def _measures(records: Records, trait: NumericTrait) -> Any:
    """Each different measurement: who, day, value, outcome (why it is set aside, or 'used'), copies …"""
    raw = _in_window(records.rows(*trait.codes, rx=False), trait.window_days)
    t = raw.group_by(["who", "day", "value", "unit"]).agg(copies=lambda r: r.count())
    blank = trait.blank_unit == "assume"
    converted = convert(records, t, trait.analyte, trait.source_unit, assume_blank=blank)
    same = [i for i, unit in enumerate(records.units) if unit == trait.source_unit or (i == 0 and blank)]
    t = t.mutate(result=converted, converted=~t.unit.isin(same))
    if trait.formula is not None:
        t = _with_egfr(records, t)
    low, high = trait.plausible
    t = t.mutate(
        outcome=ibis.cases(
            (t.value.isnull(), "no_value"),
            (_unit_is_unknown(t), "unknown_unit"),
            (t.result.isnull(), "no_value"),
            ((t.result < low) | (t.result > high), "implausible"),
            else_="used",
        )
    )
    return _adjusted(records, trait.adjust, t)


def _adjusted(records: Records, adjustments: tuple[Adjustment, ...], t: Any) -> Any:
    t = t.mutate(adjusted=ibis.literal(False))
    for adjustment in adjustments:
        on_drug = _days_on_drug(records, adjustment, t)
        joined = t.left_join(on_drug, ["who", "day"])
        drugged = joined.drug_day.notnull()
        t = joined.select(
            *(c for c in t.columns if c not in ("result", "adjusted")),
            result=drugged.ifelse((joined.result + adjustment.add) * adjustment.multiply, joined.result),
            adjusted=joined.adjusted | drugged,
        )
    return t


def _days_on_drug(records: Records, adjustment: Adjustment, t: Any) -> Any:
    """Measurement days (who, day, drug_day) with a prescription in the days before."""
    measured = t.select("who", "day").distinct().mutate(drug=ibis.null("int32"))
    drugs = records.rows(adjustment.drug, rx=True).select("who", "day").distinct()
    both = measured.union(drugs.mutate(drug=drugs.day))
    # On one day the measurement sorts before the prescription, which so does not count for it.
    so_far = ibis.cumulative_window(group_by=both.who, order_by=[both.day, both.drug.notnull()])
    seen = both.mutate(drug_day=both.drug.max().over(so_far))
    seen = seen.filter(seen.drug.isnull(), seen.drug_day >= seen.day - adjustment.within_days)
    return seen.select("who", "day", "drug_day")


def _with_egfr(records: Records, t: Any) -> Any:
    t = t.mutate(unconverted=t.result.isnull())
    t = with_egfr(records, t, t.result)
    return t.mutate(result=t.egfr).drop("egfr")


def _unit_is_unknown(t: Any) -> Any:
    """Whether a measurement's unit could not be brought to the wanted one."""
    return t.unconverted if "unconverted" in t.columns else t.result.isnull()


def _tallies(measures: Any) -> Any:
    return measures.group_by("outcome").agg(
        n=measures.count(),
        copies=measures.copies.sum(),
        converted=measures.converted.cast("int64").sum(),
        adjusted=measures.adjusted.cast("int64").sum(),
    )


def _daily(measures: Any) -> Any:
    used = measures.filter(measures.outcome == "used")
    return used.group_by(["who", "day"]).agg(value=used.result.median())


def _pick(daily: Any, trait: NumericTrait) -> Any:
    # A sum of whole millionths does not depend on the order in which threads add, as one of doubles does.
    exact_mean = (daily.value * 1e6).round().cast("int64").sum() / 1e6 / daily.count()
    nearness = daily.day.abs().cast("int64") * 2 + (daily.day > 0).cast("int64")
    choices = {
        "median": daily.value.median(),
        "mean": exact_mean,
        "min": daily.value.min(),
        "max": daily.value.max(),
        "last": daily.value.argmax(daily.day),
        "first": daily.value.argmin(daily.day),
        "nearest": daily.value.argmin(nearness),
        "count": daily.count().cast("float64"),
    }
    some = daily.group_by("who")
    if trait.fewest_days == 1 and not trait.span_days:
        return some.agg(value=choices[trait.pick])
    found = some.agg(value=choices[trait.pick], n=daily.count(), span=daily.day.max() - daily.day.min())
    return found.filter(found.n >= trait.fewest_days, found.span >= trait.span_days).select("who", "value")


def _in_window(t: Any, window: tuple[int | None, int | None]) -> Any:
    if window[0] is not None:
        t = t.filter(t.day >= window[0])
    return t if window[1] is None else t.filter(t.day < window[1])
