"""What may leave: the first lock on numbers of people.

Counts of people in a cohort report are hidden below ten and rounded to the nearest five above
(:class:`~workflows.reports.counts.Disclosure`; the report builders hold the second lock). In a table of
cells an empty cell is hidden as well: that nobody of one age and sex has a disease says something about
everybody in it. Rates and shares are made of the numbers as shown, or nothing would be
hidden. Rows of summary statistics that rest on few copies of an allele are withheld.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from workflows.reports.counts import SUPPRESSED, Count, Disclosure

LEAST_ALLELE_COPIES = 20


def released_cell(people: int, rule: Disclosure) -> Count:
    """A cell of a table as it may be shown: hidden where it is small or empty.

    Examples
    --------
    >>> [released_cell(n, Disclosure()) for n in (0, 9, 12)]
    ['<10', '<10', 10]
    """
    return rule.show(people) if people >= rule.smallest_shown else SUPPRESSED


def released_loci(loci: pd.DataFrame) -> pd.DataFrame:
    """Leave out variants seen in few copies among the analysed people, whose carriers could be known.

    Parameters
    ----------
    loci
        Rows of summary statistics with ``A1_FREQ`` (frequency of the effect allele) and ``OBS_CT``.
    """
    copies = 2 * loci["OBS_CT"] * loci["A1_FREQ"].clip(upper=0.5)
    other = 2 * loci["OBS_CT"] * (1 - loci["A1_FREQ"]).clip(upper=0.5)
    return loci[(copies >= LEAST_ALLELE_COPIES) & (other >= LEAST_ALLELE_COPIES)]


def released_prevalence(table: pd.DataFrame, rule: Disclosure) -> pd.DataFrame:
    """Cells of :func:`phenotypes.prevalence.prevalence` as they may be shown.

    Cases are hidden where they, or those without the condition, are few or none; a cell of few people hides all.
    Proportions and intervals are made of the numbers shown.

    Examples
    --------
    >>> cells = pd.DataFrame({"sex": ["F", "M", "M"], "people": [203, 301, 8], "cases": [40, 3, 2]})
    >>> released_prevalence(cells, Disclosure())[["people", "cases", "prevalence"]].to_numpy().tolist()
    [[205, 40, 0.1951219512195122], [300, '<10', nan], ['<10', '<10', nan]]
    """
    from phenotypes.prevalence import wilson

    people = [released_cell(int(n), rule) for n in table["people"]]
    cases = [
        released_cell(int(k), rule) if int(n) - int(k) >= rule.smallest_shown else SUPPRESSED
        for n, k in zip(table["people"], table["cases"], strict=True)
    ]
    shown = _with_counts(table, people=people, cases=cases)
    n, k = _numbers(people), _numbers(cases)
    low, high = wilson(k, n)
    return shown.assign(prevalence=k / n, low=low, high=high)


def released_incidence(table: pd.DataFrame, rule: Disclosure) -> pd.DataFrame:
    """Cells of :func:`phenotypes.prevalence.incidence` as they may be shown.

    Events are hidden where they are few or none; a cell of few people hides all. Person-years are rounded as
    people are; rates and intervals are made of the numbers shown.

    Examples
    --------
    >>> cells = pd.DataFrame({"people": [203, 301], "person_years": [812.4, 99.0], "events": [41, 0]})
    >>> released_incidence(cells, Disclosure())[["person_years", "events", "rate"]].to_numpy().tolist()
    [[810, 40, 49.382716049382715], [100, '<10', nan]]
    """
    from phenotypes.prevalence import PER, poisson

    people = [released_cell(int(n), rule) for n in table["people"]]
    years: list[Count] = [
        SUPPRESSED if n == SUPPRESSED else released_cell(round(t), rule)
        for n, t in zip(people, table["person_years"], strict=True)
    ]
    events = [
        SUPPRESSED if t == SUPPRESSED else released_cell(int(d), rule)
        for t, d in zip(years, table["events"], strict=True)
    ]
    shown = _with_counts(table, people=people, person_years=years, events=events)
    t, d = _numbers(years), _numbers(events)
    low, high = poisson(d)
    return shown.assign(rate=PER * d / t, low=PER * low / t, high=PER * high / t)


def released_overlap(table: pd.DataFrame, rule: Disclosure) -> pd.DataFrame:
    """Rows of :func:`phenotypes.overlap.overlap` as they may be shown; shares are made of the numbers shown."""
    counts = ("cases_a", "cases_b", "both", "a_first", "same_day", "b_first")
    shown = {name: [released_cell(int(n), rule) for n in table[name]] for name in counts}
    a, b, both = (_numbers(shown[name]) for name in ("cases_a", "cases_b", "both"))
    made = _with_counts(table, **shown).assign(jaccard=both / (a + b - both), of_a=both / a, of_b=both / b)
    return made.assign(median_days=np.where(np.isnan(both), np.nan, table["median_days"]))


def released_counts(table: pd.DataFrame, columns: Sequence[str], rule: Disclosure) -> pd.DataFrame:
    """A table with some columns of people as they may be shown; 0 stays 0, for it says what is wrong.

    Examples
    --------
    >>> released_counts(pd.DataFrame({"people": [0, 4, 23]}), ["people"], Disclosure())["people"].tolist()
    [0, '<10', 25]
    """
    return _with_counts(table, **{name: [rule.show(int(n)) for n in table[name]] for name in columns})


def _with_counts(table: pd.DataFrame, **columns: list[Count]) -> pd.DataFrame:
    made = {name: pd.Series(values, index=table.index, dtype=object) for name, values in columns.items()}
    return table.assign(**made)


def _numbers(counts: Sequence[Count]) -> np.ndarray:
    """Shown counts as float64; NaN where hidden."""
    return np.array([np.nan if n == SUPPRESSED else float(n) for n in counts])
