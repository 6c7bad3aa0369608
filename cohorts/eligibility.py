"""Who is eligible on a day, with every person who is not counted at the step that removed them.

Ages go by year, month and day: one is a year older on the day that bears the birthday's month and day,
and those born on 29 February on 1 March of common years. Registration is continuous through practices:
spans that touch or overlap count as one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import pandas as pd

from cohorts.errors import DesignError
from cohorts.hub import Hub
from cohorts.without_rows import WithoutRows

REQUIREMENTS: dict[str, tuple[str, str]] = {
    "genotyped": (
        "has a genotyped sample",
        "EXISTS (SELECT 1 FROM samples s WHERE s.person_id = c.person_id)",
    ),
    "consented": ("consents to research", "consented"),
    "area": ("has an address on the day", "area IS NOT NULL"),
    "sex": ("sex is known", "sex IS NOT NULL"),
}


@dataclass(frozen=True, repr=False)
class Population(WithoutRows):
    """People in a study on its index date.

    Attributes
    ----------
    persons
        ``person_id`` (int64), ``sex`` (``M``, ``F`` or None), ``birth_date`` (datetime64), ``age`` (int64,
        full years), ``registered_since`` (datetime64), ``area`` (str or None), ``imd_decile`` (Int64, 1 most
        deprived), ``consented`` (bool); by ``person_id``.
    attrition
        ``step``, ``removed``, ``remaining`` (int64); the first step is everybody in the hub.
    """

    persons: pd.DataFrame
    attrition: pd.DataFrame


def age_sql(birth: str, on: str) -> str:
    """Expression of the age in full years; the same arithmetic on every engine.

    >>> "month" in age_sql("b", "d")
    True
    """
    return (
        f"(year({on}) - year({birth}) - CASE WHEN month({on}) < month({birth}) "
        f"OR (month({on}) = month({birth}) AND day({on}) < day({birth})) THEN 1 ELSE 0 END)"
    )


def age_on(birth: date, on: date) -> int:
    """Age in full years.

    Examples
    --------
    >>> age_on(date(2000, 2, 29), date(2001, 2, 28)), age_on(date(2000, 2, 29), date(2001, 3, 1))
    (0, 1)
    """
    return on.year - birth.year - ((on.month, on.day) < (birth.month, birth.day))


def population(
    hub: Hub,
    *,
    on: date,
    age: tuple[int, int] = (18, 110),
    registered_days: int = 365,
    require: Sequence[str] = (),
) -> Population:
    """People alive, registered and of the right age on a day.

    Parameters
    ----------
    hub
        Pseudonymous hub.
    on
        Index date. Spans are half-open: a registration that ends on this day no longer counts, and who
        dies on it is no longer alive.
    age
        Youngest and oldest age in full years, both included.
    registered_days
        Days of continuous registration up to the index date; 0 asks only for registration on the day.
    require
        Further requirements, of :data:`REQUIREMENTS`.

    Returns
    -------
    Population
        ``sum(removed) + remaining`` is the number of people in the hub, and is asserted.

    Raises
    ------
    DesignError
        The ages are out of order, the days negative, a requirement unknown, or nobody remains.
    """
    _check(age, registered_days, require)
    steps = [
        ("birth date is known", "birth_date IS NOT NULL"),
        ("born by the index date", "birth_date <= $on"),
        ("alive on the index date", "death IS NULL OR death > $on"),
        ("registered on the index date", "registered_since IS NOT NULL"),
        (
            f"registered for {registered_days} days before",
            f"registered_since <= $on - {int(registered_days)}",
        ),
        (f"aged {age[0]} to {age[1]}", f"age BETWEEN {int(age[0])} AND {int(age[1])}"),
        *(REQUIREMENTS[name] for name in require),
    ]
    conditions = " ".join(f"WHEN NOT coalesce({sql}, false) THEN {i}" for i, (_, sql) in enumerate(steps))
    people = hub.frame(
        f"WITH c AS ({_CANDIDATES}) SELECT *, CASE {conditions} ELSE {len(steps)} END AS step "
        "FROM c ORDER BY person_id",
        {"on": on},
    )
    removed = people["step"].value_counts().reindex(range(len(steps)), fill_value=0)
    remaining = len(people) - removed.cumsum()
    attrition = pd.DataFrame(
        {
            "step": ["in the hub", *(name for name, _ in steps)],
            "removed": [0, *removed.astype(int)],
            "remaining": [len(people), *remaining.astype(int)],
        }
    )
    kept = people[people["step"] == len(steps)].drop(columns=["step", "death"]).reset_index(drop=True)
    if attrition["removed"].sum() + len(kept) != len(people) or attrition["remaining"].iloc[-1] != len(kept):
        raise AssertionError("attrition does not add up")
    if kept.empty:
        worst = attrition.iloc[int(attrition["removed"].to_numpy().argmax())]
        raise DesignError(
            "nobody is eligible",
            where="population",
            found=f"everybody removed, most of them by {worst['step']!r}",
            expected="at least one person",
            fix="check the index date and the ages against what the records cover"
            if hub.frame("SELECT 1 FROM registrations LIMIT 1").size
            else "add a source that says who was registered when (a table registrations), as none of these does, or "
            "declare 'observed: records' for one",
        )
    kept["age"] = kept["age"].astype("int64")
    kept["imd_decile"] = kept["imd_decile"].astype("Int64")
    kept["consented"] = kept["consented"].astype(bool)
    return Population(kept, attrition)


_CANDIDATES = f"""
    SELECT p.person_id, p.sex, p.birth_date, {age_sql("p.birth_date", "$on::DATE")} AS age,
           r.registered_since, a.area, i.imd_decile, coalesce(o.consented, false) AS consented,
           d.date AS death
    FROM people p
    LEFT JOIN deaths d USING (person_id)
    LEFT JOIN (
        -- the run of touching spans that holds the day begins at the last start that no earlier span reaches
        SELECT person_id, max(start) FILTER (opens AND start <= $on) AS registered_since
        FROM (SELECT person_id, start, "end",
                  coalesce(max("end") OVER (PARTITION BY person_id ORDER BY start, "end"
                      ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) < start, true) AS opens
              FROM registrations WHERE start < "end")
        GROUP BY person_id HAVING bool_or(start <= $on AND $on < "end")
    ) r USING (person_id)
    LEFT JOIN (
        SELECT person_id, arg_max(area, row(start, area)) AS area FROM addresses
        WHERE start <= $on AND $on < "end" GROUP BY person_id
    ) a USING (person_id)
    LEFT JOIN deprivation i USING (area)
    LEFT JOIN (
        SELECT person_id, consented AND withdrawn IS NULL AS consented FROM consents
    ) o USING (person_id)
"""


def _check(age: tuple[int, int], registered_days: int, require: Sequence[str]) -> None:
    if age[0] > age[1] or age[0] < 0:
        raise DesignError(
            "ages out of order",
            where="population.age",
            found=list(age),
            expected="youngest and oldest age, youngest first",
        )
    if registered_days < 0:
        raise DesignError(
            "negative number of days", where="population.registered_days", found=registered_days
        )
    unknown = [name for name in require if name not in REQUIREMENTS]
    if unknown:
        raise DesignError(
            "unknown requirement",
            where="population.require",
            found=", ".join(unknown),
            expected=", ".join(REQUIREMENTS),
        )


def deaths(hub: Hub) -> pd.DataFrame:
    """Deaths known to the hub, one row a person.

    Returns
    -------
    DataFrame
        ``person_id`` (int64), ``date`` (datetime64), ``underlying`` (ICD-10 without dot, or None).
    """
    return hub.frame("SELECT person_id, date, underlying FROM deaths ORDER BY person_id")
