"""What may leave: the first lock on numbers of people.

Counts of people in a cohort report are hidden below ten and rounded to the nearest five above
(:class:`~workflows.reports.counts.Disclosure`; the report builders hold the second lock). In a table of
cells an empty cell is hidden as well: that nobody of one age and sex has a disease says something about
everybody in it. Rows of summary statistics that rest on few copies of an allele are withheld.
"""

from __future__ import annotations

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
