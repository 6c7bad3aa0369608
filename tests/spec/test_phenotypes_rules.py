"""What each rule means, as small tables: every example runs on the plain reference and on DuckDB.

The index date is 2012-01-01 and the data end on 2012-12-31. An answer is ``no``, or the day that dates the
rule and the number of different dates of its evidence.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from phenotypes import reference
from phenotypes.codelist import CodeList
from phenotypes.compile import Question, ask
from phenotypes.narrow import narrow
from phenotypes.rules import Rule, all_of, any_of, has, in_order, leaves, none_of, prescribed, value
from phenotypes.session import session
from phenotypes.worked import hub_of, patients

INDEX, DATA_END = date(2012, 1, 1), date(2012, 12, 31)

A = CodeList.of("a", [("icd10", "A00*")])
B = CodeList.of("b", [("icd10", "B00")])
D = CodeList.of("d", [("bnf", "0601022*")])
SUGAR = CodeList.of("sugar", [("snomed", "999791000000106"), ("snomed", "1003671000000109")])
A1C = value(SUGAR, "mmol/mol", at_least=48, analyte="hba1c")

CASES: dict[str, tuple[Rule, str, dict[str, str]]] = {
    "has counts different days, not rows": (
        has(A),
        """
        who  | date       | code        | source
        one  | 2011-05-01 | icd10 A00.1 | gp
        one  | 2011-05-01 | icd10 A009  | hospital
        two  | 2011-05-01 | icd10 A00   | gp
        two  | 2011-05-02 | icd10 A00   | gp
        none | 2011-05-01 | icd10 B00   | gp
        """,
        {"one": "2011-05-01 1", "two": "2011-05-01 2", "none": "no"},
    ),
    "has with a source takes that source alone": (
        has(A, source="gp"),
        """
        who      | date       | code      | source
        hospital | 2011-05-01 | icd10 A00 | hospital
        both     | 2011-05-01 | icd10 A00 | hospital
        both     | 2011-06-01 | icd10 A00 | gp
        """,
        {"hospital": "no", "both": "2011-06-01 1"},
    ),
    "has with kinds takes records of these kinds alone, whatever their source is called": (
        has(A, kinds=["event", "diagnosis"]),
        """
        who     | date       | code      | source   | kind
        stay    | 2011-05-01 | icd10 A00 | anything | diagnosis
        entry   | 2011-05-02 | icd10 A00 | hospital | event
        contact | 2011-05-01 | icd10 A00 | gp       | contact
        death   | 2011-05-01 | icd10 A00 | gp       | death
        """,
        {"stay": "2011-05-01 1", "entry": "2011-05-02 1", "contact": "no", "death": "no"},
    ),
    "has does not see prescriptions, and prescribed sees nothing else": (
        has(D),
        """
        who    | date       | code
        tablet | 2011-05-01 | bnf 0601022B0AAABAB
        """,
        {"tablet": "no"},
    ),
    "prescribed matches everything below a starred code": (
        prescribed(D),
        """
        who   | date       | code
        below | 2011-05-01 | bnf 0601022B0AAABAB
        aside | 2011-05-01 | bnf 0601021B0AAABAB
        """,
        {"below": "2011-05-01 1", "aside": "no"},
    ),
    "records after the end of the data do not count": (
        has(A),
        """
        who  | date       | code
        last | 2012-12-31 | icd10 A00
        late | 2013-01-01 | icd10 A00
        """,
        {"last": "2012-12-31 1", "late": "no"},
    ),
    "value includes its bound and converts percent to whole mmol/mol": (
        A1C,
        """
        who     | date       | code                    | value | unit
        at      | 2011-05-01 | snomed 999791000000106  | 48    | mmol/mol
        below   | 2011-05-01 | snomed 999791000000106  | 47.9  | mmol/mol
        percent | 2011-05-01 | snomed 1003671000000109 | 6.5   | %
        lower   | 2011-05-01 | snomed 1003671000000109 | 6.4   | %
        """,
        {"at": "2011-05-01 1", "below": "no", "percent": "2011-05-01 1", "lower": "no"},
    ),
    "value leaves out a blank or unknown unit, and a code without a value": (
        A1C,
        """
        who   | date       | code                   | value | unit
        blank | 2011-05-01 | snomed 999791000000106 | 60    |
        odd   | 2011-05-01 | snomed 999791000000106 | 60    | stone
        empty | 2011-05-01 | snomed 999791000000106 |       | mmol/mol
        """,
        {"blank": "no", "odd": "no", "empty": "no"},
    ),
    "at_least wants the first and last of the dates far enough apart": (
        has(A).at_least(2, gap_days=30),
        """
        who    | date       | code
        exact  | 2011-05-01 | icd10 A00
        exact  | 2011-05-31 | icd10 A00
        short  | 2011-05-01 | icd10 A00
        short  | 2011-05-30 | icd10 A00
        middle | 2011-05-01 | icd10 A00
        middle | 2011-05-20 | icd10 A00
        middle | 2011-06-10 | icd10 A00
        once   | 2011-05-01 | icd10 A00
        """,
        {"exact": "2011-05-01 2", "short": "no", "middle": "2011-05-01 3", "once": "no"},
    ),
    "within is half-open: its first day counts and its last does not": (
        has(A).within(-365, 0),
        """
        who    | date       | code
        start  | 2011-01-01 | icd10 A00
        before | 2010-12-31 | icd10 A00
        eve    | 2011-12-31 | icd10 A00
        index  | 2012-01-01 | icd10 A00
        """,
        {"start": "2011-01-01 1", "before": "no", "eve": "2011-12-31 1", "index": "no"},
    ),
    "before leaves out the day and after takes it in": (
        any_of(has(A).before("index"), has(B).after(date(2012, 6, 1))),
        """
        who   | date       | code
        index | 2012-01-01 | icd10 A00
        eve   | 2011-12-31 | icd10 A00
        june  | 2012-06-01 | icd10 B00
        may   | 2012-05-31 | icd10 B00
        """,
        {"index": "no", "eve": "2011-12-31 1", "june": "2012-06-01 1", "may": "no"},
    ),
    "first and then a window is a new condition; a window and then first is not": (
        has(A).first().within(-365, 0),
        """
        who | date       | code
        new | 2011-05-01 | icd10 A00
        new | 2011-08-01 | icd10 A00
        old | 2005-05-01 | icd10 A00
        old | 2011-05-01 | icd10 A00
        """,
        {"new": "2011-05-01 1", "old": "no"},
    ),
    "a window and then first finds an old condition too": (
        has(A).within(-365, 0).first(),
        """
        who | date       | code
        old | 2005-05-01 | icd10 A00
        old | 2011-05-01 | icd10 A00
        old | 2011-06-01 | icd10 A00
        """,
        {"old": "2011-05-01 1"},
    ),
    "episodes begin where more than the gap has passed since the date before": (
        has(A).episodes(14),
        """
        who   | date       | code
        chain | 2011-05-01 | icd10 A00
        chain | 2011-05-15 | icd10 A00
        chain | 2011-05-29 | icd10 A00
        apart | 2011-05-01 | icd10 A00
        apart | 2011-05-16 | icd10 A00
        """,
        {"chain": "2011-05-01 1", "apart": "2011-05-01 2"},
    ),
    "a union of date rules is counted together": (
        any_of(has(A), prescribed(D)).at_least(2),
        """
        who     | date       | code
        mixed   | 2011-05-01 | icd10 A00
        mixed   | 2011-06-01 | bnf 0601022B0
        sameday | 2011-05-01 | icd10 A00
        sameday | 2011-05-01 | bnf 0601022B0
        """,
        {"mixed": "2011-05-01 2", "sameday": "no"},
    ),
    "all_of is dated by the day it became true": (
        all_of(has(A), prescribed(D)),
        """
        who  | date       | code
        drug | 2011-05-01 | bnf 0601022B0
        drug | 2011-07-01 | icd10 A00
        drug | 2011-08-01 | icd10 A00
        half | 2011-07-01 | icd10 A00
        """,
        {"drug": "2011-07-01 3", "half": "no"},
    ),
    "any_of is dated by its earliest part that holds": (
        any_of(has(A).at_least(2), all_of(has(B), prescribed(D))),
        """
        who  | date       | code
        both | 2011-03-01 | icd10 A00
        both | 2011-05-01 | icd10 B00
        both | 2011-06-01 | bnf 0601022B0
        two  | 2011-03-01 | icd10 A00
        two  | 2011-04-01 | icd10 A00
        two  | 2011-02-01 | icd10 B00
        """,
        {"both": "2011-06-01 2", "two": "2011-03-01 2"},
    ),
    "none_of holds without a date, also for people without records": (
        none_of(has(A), prescribed(D)),
        """
        who   | date       | code
        clean | 2011-03-01 | icd10 B00
        empty |            |
        sick  | 2011-03-01 | icd10 A00
        """,
        {"clean": "none 0", "empty": "none 0", "sick": "no"},
    ),
    "all_of with none_of is dated by the rest": (
        all_of(has(A), none_of(prescribed(D))),
        """
        who       | date       | code
        untreated | 2011-03-01 | icd10 A00
        treated   | 2011-03-01 | icd10 A00
        treated   | 2012-03-01 | bnf 0601022B0
        """,
        {"untreated": "2011-03-01 1", "treated": "no"},
    ),
    "in_order wants strictly later days": (
        in_order(prescribed(D), has(A)),
        """
        who      | date       | code
        right    | 2011-03-01 | bnf 0601022B0
        right    | 2011-03-02 | icd10 A00
        sameday  | 2011-03-01 | bnf 0601022B0
        sameday  | 2011-03-01 | icd10 A00
        backward | 2011-03-05 | bnf 0601022B0
        backward | 2011-03-01 | icd10 A00
        backward | 2011-04-01 | icd10 A00
        """,
        {"right": "2011-03-02 2", "sameday": "no", "backward": "no"},
    ),
    "last keeps the latest date": (
        has(A).last().before(date(2011, 6, 1)),
        """
        who  | date       | code
        old  | 2010-05-01 | icd10 A00
        old  | 2011-05-01 | icd10 A00
        both | 2011-05-01 | icd10 A00
        both | 2011-07-01 | icd10 A00
        """,
        {"old": "2011-05-01 1", "both": "no"},
    ),
    "near wants a date of the other rule in a half-open window around each date": (
        has(A).near(prescribed(D), -30, 30),
        """
        who    | date       | code
        before | 2011-05-01 | bnf 0601022B0
        before | 2011-05-31 | icd10 A00
        early  | 2011-04-30 | bnf 0601022B0
        early  | 2011-05-31 | icd10 A00
        after  | 2011-05-30 | bnf 0601022B0
        after  | 2011-05-01 | icd10 A00
        late   | 2011-05-31 | bnf 0601022B0
        late   | 2011-05-01 | icd10 A00
        one    | 2011-05-01 | icd10 A00
        one    | 2011-09-01 | icd10 A00
        one    | 2011-09-01 | bnf 0601022B0
        """,
        {
            "before": "2011-05-31 1",
            "early": "no",
            "after": "2011-05-01 1",
            "late": "no",
            "one": "2011-09-01 1",
        },
    ),
    "not_near leaves out dates that a later code takes back": (
        has(A).not_near(has(B), 0, None),
        """
        who      | date       | code
        resolved | 2011-05-01 | icd10 A00
        resolved | 2011-06-01 | icd10 B00
        again    | 2011-05-01 | icd10 A00
        again    | 2011-06-01 | icd10 B00
        again    | 2011-07-01 | icd10 A00
        never    | 2011-05-01 | icd10 A00
        """,
        {"resolved": "no", "again": "2011-07-01 1", "never": "2011-05-01 1"},
    ),
    "near itself is a wash-out: nothing in the year before": (
        has(A).not_near(has(A), -365, 0).within(-365, 0),
        """
        who      | date       | code
        incident | 2011-05-01 | icd10 A00
        incident | 2011-06-01 | icd10 A00
        old      | 2010-06-01 | icd10 A00
        old      | 2011-05-01 | icd10 A00
        back     | 2009-05-01 | icd10 A00
        back     | 2011-05-01 | icd10 A00
        """,
        {"incident": "2011-05-01 1", "old": "no", "back": "2011-05-01 1"},
    ),
    "a low value with another 90 days or more later is chronic, and dated by the first": (
        value(SUGAR, below=60).near(value(SUGAR, below=60), 90, None),
        """
        who   | date       | code                   | value | unit
        lasts | 2011-05-01 | snomed 999791000000106 | 59.9  |
        lasts | 2011-07-30 | snomed 999791000000106 | 41    |
        acute | 2011-05-01 | snomed 999791000000106 | 59.9  |
        acute | 2011-07-29 | snomed 999791000000106 | 41    |
        at    | 2011-05-01 | snomed 999791000000106 | 60    |
        at    | 2011-09-01 | snomed 999791000000106 | 41    |
        """,
        {"lasts": "2011-05-01 1", "acute": "no", "at": "no"},
    ),
    "lasting is dated by the day it had lasted, and begins anew after what ends it": (
        value(SUGAR, below=60).lasting(90, unless=value(SUGAR, at_least=60)),
        """
        who        | date       | code                   | value | unit
        lasts      | 2011-05-01 | snomed 999791000000106 | 59    |
        lasts      | 2011-07-30 | snomed 999791000000106 | 41    |
        lasts      | 2011-08-30 | snomed 999791000000106 | 41    |
        acute      | 2011-05-01 | snomed 999791000000106 | 59    |
        acute      | 2011-07-29 | snomed 999791000000106 | 41    |
        well since | 2011-05-01 | snomed 999791000000106 | 59    |
        well since | 2011-06-01 | snomed 999791000000106 | 60    |
        well since | 2011-08-30 | snomed 999791000000106 | 41    |
        ill again  | 2011-05-01 | snomed 999791000000106 | 59    |
        ill again  | 2011-06-01 | snomed 999791000000106 | 60    |
        ill again  | 2011-08-01 | snomed 999791000000106 | 41    |
        ill again  | 2011-10-30 | snomed 999791000000106 | 41    |
        same days  | 2011-05-01 | snomed 999791000000106 | 60    |
        same days  | 2011-05-01 | snomed 999791000000106 | 59    |
        same days  | 2011-08-01 | snomed 999791000000106 | 41    |
        same days  | 2011-08-01 | snomed 999791000000106 | 75    |
        """,
        {
            "lasts": "2011-07-30 2",
            "acute": "no",
            "well since": "no",
            "ill again": "2011-10-30 1",
            "same days": "2011-08-01 1",
        },
    ),
}

CREATININE = CodeList.of("creatinine", [("snomed", "1000731000000107")])


@pytest.mark.parametrize("name", CASES)
def test_rule_means_the_same_on_both_engines(name: str) -> None:
    rule, table, expected = CASES[name]
    people = patients(table)
    assert set(people) == set(expected)
    assert _with_reference(rule, people) == expected
    assert _with_duckdb(rule, people) == expected


def test_an_egfr_needs_sex_and_birth_date_and_takes_the_age_on_the_day() -> None:
    # CKD-EPI 2021: a man of 55 with 1.2 mg/dL has 71.42; the day before his birthday, a little more.
    table = """
    who     | date       | code                    | value | unit
    man     | 2011-05-01 | snomed 1000731000000107 | 1.2   | mg/dL
    younger | 2011-04-30 | snomed 1000731000000107 | 1.2   | mg/dL
    sexless | 2011-05-01 | snomed 1000731000000107 | 1.2   | mg/dL
    ageless | 2011-05-01 | snomed 1000731000000107 | 1.2   | mg/dL
    unitless| 2011-05-01 | snomed 1000731000000107 | 1.2   |
    """
    birth = date(1956, 5, 1)
    people = {
        name: replace(
            person, sex=None if name == "sexless" else "M", birth=None if name == "ageless" else birth
        )
        for name, person in patients(table).items()
    }
    rule = value(CREATININE, at_least=71.4, below=71.5, formula="ckd_epi_2021")
    expected = dict.fromkeys(people, "no") | {"man": "2011-05-01 1"}
    assert _with_reference(rule, people) == _with_duckdb(rule, people) == expected
    assert _with_duckdb(value(CREATININE, above=71.5, formula="ckd_epi_2021"), people)["younger"] != "no"


def test_an_age_is_that_of_the_day_in_full_years() -> None:
    table = """
    who     | date       | code
    before  | 2011-04-30 | icd10 A00
    on it   | 2011-05-01 | icd10 A00
    later   | 2011-04-30 | icd10 A00
    later   | 2011-06-01 | icd10 A00
    ageless | 2011-06-01 | icd10 A00
    """
    birth = date(1976, 5, 1)
    people = {
        name: replace(person, birth=None if name == "ageless" else birth)
        for name, person in patients(table).items()
    }
    expected = {"before": "no", "on it": "2011-05-01 1", "later": "2011-06-01 1", "ageless": "no"}
    assert _with_reference(has(A).aged(35), people) == _with_duckdb(has(A).aged(35), people) == expected
    expected = {"before": "2011-04-30 1", "on it": "no", "later": "2011-04-30 1", "ageless": "no"}
    assert _with_reference(has(A).aged(None, 35), people) == expected
    assert _with_duckdb(has(A).aged(None, 35), people) == expected
    for start, end in ((None, None), (35, 35)):
        with pytest.raises(ValueError, match="age"):
            has(A).aged(start, end)


def _with_reference(rule: Rule, people: dict[str, reference.Person]) -> dict[str, str]:
    found = {}
    for name, person in people.items():
        known = [event for event in person.events if event.day <= DATA_END]
        answer = reference.evaluate(rule, known, INDEX, person)
        found[name] = _said(answer.holds, answer.day, len(answer.dates))
    return found


def _with_duckdb(rule: Rule, people: dict[str, reference.Person]) -> dict[str, str]:
    hub, persons = hub_of(people.values())
    lists = [leaf.codelist for leaf in leaves(rule)]
    with hub, session(hub) as opened:
        records = narrow(opened, persons, lists, index_date=INDEX, data_end=DATA_END)
        answers, _ = ask(records, {"rule": Question(rule)})
    found = answers["rule"]
    return {
        name: _said(
            bool(found.holds[i]), None if np.isnan(found.day[i]) else int(found.day[i]), int(found.n_dates[i])
        )
        for i, name in enumerate(people)
    }


def _said(holds: bool, day: int | None, n_dates: int) -> str:
    if not holds:
        return "no"
    when = "none" if day is None else date.fromordinal(INDEX.toordinal() + day).isoformat()
    return f"{when} {n_dates}"
