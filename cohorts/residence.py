"""What people breathed: yearly pollution of the areas they lived in, weighted by days of residence.

For one person the exposure is the mean over the days of a window of the pollutant's annual value in the
area lived in on each day. Days without a known address or without a value for that area and year do not
enter the mean; ``coverage`` is the share of days that do. Where address spans overlap, the one that began
last holds (ties: the alphabetically last area).
"""

from __future__ import annotations

from datetime import date, timedelta

import pandas as pd

from cohorts.errors import DesignError
from cohorts.hub import Hub

POLLUTANTS = ("pm25", "no2")


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
    on: date,
    pollutant: str,
    window_years: float,
    lag_years: float = 0,
) -> pd.DataFrame:
    """Mean pollution where people lived.

    Parameters
    ----------
    hub
        Pseudonymous hub with ``addresses`` and ``pollution``.
    persons
        Frame with ``person_id``, such as ``Population.persons``.
    on
        Index date; the window ends ``lag_years`` before it.
    pollutant
        ``pm25`` or ``no2``, in the units of the pollution table (µg/m³).
    window_years, lag_years
        Length of the window and time between its end and the index date.

    Returns
    -------
    DataFrame
        ``person_id`` (int64, in the order of ``persons``), ``value`` (float64, NaN where no day is
        known), ``coverage`` (float64, 0 to 1).

    Raises
    ------
    DesignError
        Unknown pollutant, or an empty window.
    """
    if pollutant not in POLLUTANTS:
        raise DesignError(
            "unknown pollutant", where="exposure.pollutant", found=pollutant, expected=" or ".join(POLLUTANTS)
        )
    start, end = exposure_window(on, window_years=window_years, lag_years=lag_years)
    if window_years <= 0 or lag_years < 0 or start >= end:
        raise DesignError(
            "empty exposure window",
            where="exposure.window_years",
            found=f"{window_years} years, lag {lag_years}",
            expected="a window above 0 and a lag of 0 or more",
        )
    wanted = pd.DataFrame({"person_id": persons["person_id"].to_numpy("int64"), "place": range(len(persons))})
    hub.connection.register("__wanted", wanted)
    try:
        return hub.frame(_QUERY.format(pollutant=pollutant), {"start": start, "end": end})
    finally:
        hub.connection.unregister("__wanted")


# Each person's window is cut at every address change and every New Year; within a piece neither the
# address nor the annual value changes, so that days are multiplied and not listed.
_QUERY = """
WITH homes AS (
    SELECT person_id, area, start AS began, greatest(start, $start) AS start, least("end", $end) AS "end"
    FROM addresses SEMI JOIN __wanted USING (person_id)
    WHERE start < $end AND "end" > $start AND start < "end"
), cuts AS (
    SELECT person_id, start AS day FROM homes
    UNION SELECT person_id, "end" FROM homes
    UNION SELECT person_id, make_date(y, 1, 1) FROM (SELECT DISTINCT person_id FROM homes),
        (SELECT unnest(range(year($start::DATE) + 1, year($end::DATE) + 1)) AS y)
    WHERE make_date(y, 1, 1) < $end
), pieces AS (
    SELECT person_id, day AS start, lead(day) OVER (PARTITION BY person_id ORDER BY day) AS "end" FROM cuts
), lived AS (
    SELECT q.person_id, q.start, q."end" - q.start AS days, arg_max(h.area, row(h.began, h.area)) AS area
    FROM pieces q JOIN homes h ON h.person_id = q.person_id AND h.start <= q.start AND q.start < h."end"
    WHERE q."end" IS NOT NULL GROUP BY ALL
), means AS (
    SELECT l.person_id, sum(l.days * v.{pollutant}) / sum(l.days) AS value, sum(l.days) AS days
    FROM lived l JOIN pollution v ON v.area = l.area AND v.year = year(l.start)
    WHERE v.{pollutant} IS NOT NULL GROUP BY l.person_id
)
SELECT w.person_id, m.value, coalesce(m.days, 0) / ($end::DATE - $start::DATE) AS coverage
FROM __wanted w LEFT JOIN means m USING (person_id) ORDER BY w.place
"""
