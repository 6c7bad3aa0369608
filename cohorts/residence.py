"""What people were exposed to where they lived: pollution over a window, and deprivation on a day.

For one person the exposure is the mean over the days of a window of the pollutant's value in the area lived
in on each day. The surface holds a value for each area and year, or each area and month. Days without a
known address or without a value for that area and time do not enter the mean; ``coverage`` is the share of
days that do. Where address spans overlap, the one that began last holds (ties: the alphabetically last area).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd

from cohorts.errors import DesignError, InputError
from cohorts.hub import Hub

POLLUTANTS = ("pm25", "no2")
Dates = date | pd.Series | np.ndarray


def exposure_window(on: date, *, window_years: float, lag_years: float = 0) -> tuple[date, date]:
    """First day of the window and the day after its last.

    Whole years go by the calendar (29 February becomes 28 February); a fraction adds 365.25 days times
    it, rounded.

    Examples
    --------
    >>> exposure_window(date(2012, 1, 1), window_years=5, lag_years=1)
    (datetime.date(2006, 1, 1), datetime.date(2011, 1, 1))
    """
    end = _years_before(on, lag_years)
    return _years_before(end, window_years), end


def _years_before(day: date, years: float) -> date:
    whole = int(years)
    try:
        earlier = day.replace(year=day.year - whole)
    except ValueError:
        earlier = day.replace(year=day.year - whole, day=28)
    return earlier - timedelta(days=round((years - whole) * 365.25))


def exposure(
    hub: Hub,
    persons: pd.DataFrame,
    *,
    on: Dates,
    pollutant: str,
    window_years: float,
    lag_years: float = 0,
    surface: pd.DataFrame | str | Path | None = None,
    min_coverage: float = 0.0,
    fill_years: int = 0,
) -> pd.DataFrame:
    """Mean pollution where people lived.

    Parameters
    ----------
    hub
        Pseudonymous hub with ``addresses`` and, where no `surface` is given, ``pollution``.
    persons
        Frame with ``person_id``, such as ``Population.persons`` or the rows of an outcome in
        ``Derived.survival``; a person may stand in several rows.
    on
        Index date, or one date for each row of `persons` (``survival["entry"]``, say); a window ends
        ``lag_years`` before it. A row without a date has no value.
    pollutant
        ``pm25`` or ``no2``, in the units of the pollution table (µg/m³); any column of a `surface`.
    window_years, lag_years
        Length of the window and time between its end and the index date.
    surface
        A frame, or a Parquet or CSV file, with the columns ``area``, ``year``, for monthly values ``month``
        (1 to 12), and `pollutant`: one row for each area and time.
    min_coverage
        Whoever has a smaller share of days known has no value.
    fill_years
        An area and time without a value takes that of the same area, and month, in the nearest year that
        has one, up to so many years away (ties: the earlier).

    Returns
    -------
    DataFrame
        ``person_id`` (int64, in the order of ``persons``), ``value`` (float64, in steps of 1e-12; NaN
        where no day, or too small a share, is known), ``coverage`` (float64, 0 to 1).

    Raises
    ------
    DesignError
        Unknown pollutant, an empty window, or an impossible option.
    InputError
        A surface that cannot be read, lacks a column or has two rows of one area and time.

    Examples
    --------
    >>> entered = derived.survival.query("outcome == 'chd'")  # doctest: +SKIP
    >>> exposure(hub, entered, on=entered["entry"], pollutant="pm25", window_years=3)  # doctest: +SKIP
    """
    if surface is None and pollutant not in POLLUTANTS:
        raise DesignError(
            "unknown pollutant", where="exposure.pollutant", found=pollutant, expected=" or ".join(POLLUTANTS)
        )
    if not (window_years > 0 and lag_years >= 0 and round(window_years * 365.25) >= 1):
        raise DesignError(
            "empty exposure window",
            where="exposure.window_years",
            found=f"{window_years} years, lag {lag_years}",
            expected="a window above 0 and a lag of 0 or more",
        )
    if not 0 <= min_coverage <= 1 or fill_years < 0:
        raise DesignError(
            "impossible option",
            where="exposure",
            found=f"min_coverage {min_coverage}, fill_years {fill_years}",
            expected="a share from 0 to 1, and 0 years or more",
        )
    wanted = _wanted(persons, on, window_years, lag_years)
    with _surface(hub, surface, pollutant) as monthly, _registered(hub, "__wanted", wanted):
        settings = {"fill": fill_years, "least": min_coverage}
        return hub.frame(_query(monthly=monthly), settings)


def deprivation(hub: Hub, persons: pd.DataFrame, *, on: Dates) -> pd.DataFrame:
    """Deprivation of the area lived in on a day.

    Parameters
    ----------
    hub
        Pseudonymous hub with ``addresses`` and ``deprivation``.
    persons
        Frame with ``person_id``.
    on
        A date, or one for each row of `persons`.

    Returns
    -------
    DataFrame
        ``person_id`` (int64, in the order of ``persons``), ``imd_decile`` (Int64, 1 most deprived; missing
        without an address on that day, or where its area has no decile).
    """
    wanted = _wanted(persons, on, 1, 0)
    with _registered(hub, "__wanted", wanted):
        found = hub.frame(_DEPRIVATION)
    return found.astype({"imd_decile": "Int64"})


def _wanted(persons: pd.DataFrame, on: Dates, window_years: float, lag_years: float) -> pd.DataFrame:
    """place, person_id, start, end, on: the window of each row, dates as datetime64."""
    n = len(persons)
    days = np.full(n, on, dtype="datetime64[D]") if isinstance(on, date) else _days(on, n)
    different, which = np.unique(days, return_inverse=True)
    ends = [
        (None, None)
        if np.isnat(day)
        else exposure_window(day.item(), window_years=window_years, lag_years=lag_years)
        for day in different
    ]
    start, end = (np.array([pair[i] for pair in ends], dtype="datetime64[s]")[which] for i in (0, 1))
    ids = persons["person_id"].to_numpy("int64")
    return pd.DataFrame(
        {"place": np.arange(n), "person_id": ids, "start": start, "end": end, "on": days.astype("M8[s]")}
    )


def _days(on: pd.Series | np.ndarray, n: int) -> np.ndarray:
    days = pd.to_datetime(pd.Series(np.asarray(on))).to_numpy("datetime64[D]")
    if len(days) != n:
        raise DesignError(
            "not one date for each row of people", where="exposure.on", found=len(days), expected=n
        )
    return days


@contextmanager
def _registered(hub: Hub, name: str, rows: pd.DataFrame) -> Iterator[None]:
    hub.connection.register(name, rows)
    try:
        yield
    finally:
        hub.connection.unregister(name)


@contextmanager
def _surface(hub: Hub, surface: pd.DataFrame | str | Path | None, column: str) -> Iterator[bool]:
    """Keep the surface as the temporary table __surface (area, key, value); gives whether it is monthly."""
    where: str | Path = "surface" if isinstance(surface, pd.DataFrame) or surface is None else surface
    quoted = '"' + column.replace('"', '""') + '"'
    given = surface if isinstance(surface, pd.DataFrame) else pd.DataFrame({"none": [0]})
    with _registered(hub, "__given", given):
        try:
            source = _source(surface)
            columns = hub.frame(f"DESCRIBE SELECT * FROM {source}")["column_name"].tolist()
            lacking = [name for name in ("area", "year", column) if name not in columns]
            if lacking:
                raise InputError(
                    "a surface lacks a column",
                    where=where,
                    found=", ".join(columns),
                    expected=f"area, year, month where it is monthly, and {column}",
                )
            monthly = "month" in columns
            key = "year::INTEGER * 12 + month::INTEGER - 1" if monthly else "year::INTEGER"
            outside = " OR month::INTEGER NOT BETWEEN 1 AND 12" if monthly else ""
            hub.connection.execute(
                f"CREATE OR REPLACE TEMP TABLE __surface AS SELECT area::VARCHAR AS area, {key} AS key, "
                f"CASE WHEN isfinite({quoted}::DOUBLE) THEN {quoted}::DOUBLE END AS value, "
                f"coalesce(year::INTEGER NOT BETWEEN 1 AND 9998{outside}, true) AS outside FROM {source}"
            )
        except duckdb.Error as error:
            raise InputError(
                "a surface cannot be read",
                where=where,
                found=type(error).__name__,
                expected="a frame, or a Parquet or CSV file, of numbers by area and time",
            ) from None
    try:
        _check_surface(hub, where)
        yield monthly
    finally:
        hub.connection.execute("DROP TABLE IF EXISTS __surface")


def _source(surface: pd.DataFrame | str | Path | None) -> str:
    if surface is None:
        return "pollution"
    if isinstance(surface, pd.DataFrame):
        return "__given"
    path = str(surface).replace("'", "''")
    reader = "read_parquet" if path.lower().endswith((".parquet", ".pq")) else "read_csv"
    return f"{reader}('{path}')"


def _check_surface(hub: Hub, where: str | Path) -> None:
    twice = hub.frame("SELECT area FROM __surface GROUP BY area, key HAVING count(*) > 1 LIMIT 1")["area"]
    if len(twice):
        raise InputError(
            "a surface has two values for one area and time", where=where, found=f"area {twice.iloc[0]}"
        )
    outside = hub.frame("SELECT count(*) AS n FROM __surface WHERE outside OR area IS NULL")["n"].iloc[0]
    if outside:
        raise InputError(
            "a surface has rows of no area or no time",
            where=where,
            found=f"{outside} rows",
            expected="an area, a year, and a month from 1 to 12 where there are months",
        )


#: Number of the year, or month, that a day is in, and the first day of that of a number.
_KEYS = {False: "year({0})::INTEGER", True: "(year({0}) * 12 + month({0}) - 1)::INTEGER"}
_FIRSTS = {False: "make_date({0}, 1, 1)", True: "make_date({0} // 12, {0} % 12 + 1, 1)"}

# One area at a time for each person: spans as they are, but of those whose addresses overlap, pieces between
# changes.
_LIVED = """
homes AS (
    SELECT w.place, a.area, a.start AS began, greatest(a.start, w.start) AS start, least(a."end", w."end") AS "end"
    FROM addresses a
    JOIN (SELECT place, person_id, start::DATE AS start, "end"::DATE AS "end" FROM __wanted) w USING (person_id)
    WHERE a.start < w."end" AND a."end" > w.start AND a.start < a."end" AND a.area IS NOT NULL
), told AS (
    SELECT *, lead(start) OVER (PARTITION BY place ORDER BY start, "end", area) AS next FROM homes
), doubled AS MATERIALIZED (
    SELECT DISTINCT place FROM told WHERE next < "end"
), mixed AS MATERIALIZED (
    SELECT * FROM homes SEMI JOIN doubled USING (place)
), pieces AS (
    SELECT place, day AS start, lead(day) OVER (PARTITION BY place ORDER BY day) AS "end"
    FROM (SELECT place, start AS day FROM mixed UNION SELECT place, "end" FROM mixed)
), lived AS (
    SELECT place, area, start, "end" FROM homes ANTI JOIN doubled USING (place)
    UNION ALL
    SELECT p.place, arg_max(h.area, row(h.began, h.area)), p.start, p."end"
    FROM pieces p JOIN mixed h ON h.place = p.place AND h.start <= p.start AND p.start < h."end"
    WHERE p."end" IS NOT NULL GROUP BY p.place, p.start, p."end"
)
"""

# The dose from one day to another is the difference of what came in all days before either: two look-ups for
# each span, whatever the window and however fine the surface. Whole 1e-12ths do not depend on the order in
# which threads add them.
_EXPOSURE = """
WITH {lived}, span AS (
    SELECT {first_key} AS first, {last_key} AS last FROM (SELECT min(start) AS a, max("end") AS z FROM __wanted)
), grid AS (
    SELECT area, key, {first_day} AS start, {next_day} AS "end"
    FROM (SELECT DISTINCT area FROM __surface),
        (SELECT unnest(range(first, last + 1))::INTEGER AS key FROM span WHERE first IS NOT NULL)
), near AS (
    SELECT g.area, g.key, arg_min(s.value, row(abs(n.years), n.years)) AS value
    FROM grid g, (SELECT unnest(range(-$fill, $fill + 1)) AS years) n
    JOIN __surface s ON s.area = g.area AND s.key = g.key + n.years * {a_year}
    WHERE s.value IS NOT NULL GROUP BY g.area, g.key
), daily AS (
    SELECT g.area, g.key, g.start, g."end" - g.start AS days, n.value
    FROM grid g LEFT JOIN near n ON n.area = g.area AND n.key = g.key
), running AS MATERIALIZED (
    SELECT area, key, start, round(coalesce(value, 0) * 1e12)::HUGEINT AS rate, (value IS NOT NULL)::BIGINT AS known,
        coalesce(sum(days * round(coalesce(value, 0) * 1e12)::HUGEINT) OVER before, 0)::HUGEINT AS dose,
        coalesce(sum(days * (value IS NOT NULL)::BIGINT) OVER before, 0)::BIGINT AS covered
    FROM daily
    WINDOW before AS (PARTITION BY area ORDER BY key ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
), means AS (
    SELECT l.place,
        sum(z.dose + z.rate * (l."end" - z.start) - a.dose - a.rate * (l.start - a.start)) AS dose,
        sum(z.covered + z.known * (l."end" - z.start) - a.covered - a.known * (l.start - a.start)) AS days
    FROM lived l
    JOIN running a ON a.area = l.area AND a.key = {start_key}
    JOIN running z ON z.area = l.area AND z.key = {end_key}
    GROUP BY l.place
), found AS (
    SELECT w.place, w.person_id, m.dose / 1e12 / nullif(m.days, 0) AS value,
        coalesce(m.days, 0) / (w."end"::DATE - w.start::DATE) AS coverage
    FROM __wanted w LEFT JOIN means m USING (place)
)
SELECT person_id, CASE WHEN coverage >= $least THEN value END AS value, coalesce(coverage, 0) AS coverage
FROM found ORDER BY place
"""


def _query(*, monthly: bool) -> str:
    key, first = _KEYS[monthly], _FIRSTS[monthly]
    return _EXPOSURE.format(
        lived=_LIVED,
        first_key=key.format("a"),
        last_key=key.format("z"),
        first_day=first.format("key"),
        next_day=first.format("(key + 1)"),
        a_year=12 if monthly else 1,
        start_key=key.format("l.start"),
        end_key=key.format('l."end"'),
    )


_DEPRIVATION = """
WITH home AS (
    SELECT w.place, arg_max(a.area, row(a.start, a.area)) AS area
    FROM addresses a JOIN __wanted w USING (person_id)
    WHERE a.start <= w."on"::DATE AND w."on"::DATE < a."end" GROUP BY w.place
)
SELECT w.person_id, d.imd_decile
FROM __wanted w LEFT JOIN home h USING (place) LEFT JOIN deprivation d USING (area) ORDER BY w.place
"""
