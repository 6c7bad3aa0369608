"""Registrations with a practice, as runs without a break."""

from __future__ import annotations

from typing import Any

import ibis

from phenotypes.narrow import Records


def registration_runs(records: Records, *, gap_days: int) -> Any:
    """Runs of registrations that overlap or follow one another.

    Parameters
    ----------
    gap_days
        A gap this long or shorter between two registrations does not end a run.

    Returns
    -------
    Table
        Ibis: who int32, start and end (days from the index date, the end not included), at_index bool
        (whether a registration of the run, not a gap in it, covers the index date).
    """
    zero = ibis.date(records.index_date)
    spans = records.session.table("registrations")
    spans = spans.join(records.people.select("who", "person_id"), "person_id")
    spans = spans.filter(spans["end"] > spans.start).select(
        "who", start=spans.start.delta(zero, unit="day"), end=spans["end"].delta(zero, unit="day")
    )
    order = {"group_by": spans.who, "order_by": [spans.start, spans["end"]]}
    before = ibis.window(preceding=(None, 1), **order)
    spans = spans.mutate(covered=spans["end"].max().over(before))
    fresh = (spans.covered.isnull() | (spans.start > spans.covered + gap_days)).cast("int64")
    spans = spans.mutate(fresh=fresh)
    running = ibis.cumulative_window(group_by=spans.who, order_by=[spans.start, spans["end"]])
    islands = spans.mutate(island=spans.fresh.sum().over(running))
    runs = islands.group_by(["who", "island"]).agg(
        start=islands.start.min(),
        end=islands["end"].max(),
        at_index=((islands.start <= 0) & (islands["end"] > 0)).any(),
    )
    return runs.drop("island")
