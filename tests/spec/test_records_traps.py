"""What differs silently between engines is not used, and what replaces it agrees wherever it is written."""

from __future__ import annotations

import re
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

from cohorts.eligibility import age_on, age_sql
from cohorts.hub import connect
from phenotypes.ages import ages_on

ROOT = Path(__file__).resolve().parents[2]

# Years and months that engines count otherwise, joins that one of them reads as another, and medians that are guesses.
SILENT = re.compile(
    r"date_?diff|months_between|delta\([^)]*unit=.(year|quarter|month|week)|\basof\b|asof_join|quantile_cont|"
    r"approx_(median|quantile|percentile|nunique|count)|percentile_approx",
    re.IGNORECASE,
)


def test_nothing_that_engines_answer_otherwise_without_a_word_is_asked_of_them() -> None:
    files = [path for folder in ("cohorts", "phenotypes") for path in (ROOT / folder).rglob("*.py")]
    assert len(files) > 80
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in files
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if SILENT.search(line)
    ]
    assert found == []


def test_an_age_is_the_same_in_every_place_that_counts_one() -> None:
    births = [date(1952, 2, 29), date(1950, 2, 28), date(1950, 3, 1), date(1960, 12, 31), date(2000, 1, 1)]
    days = [date(2000, 2, 29) + timedelta(days) for days in (-60, -1, 0, 1, 364, 365, 366, 367, 1461)]
    pairs = pd.DataFrame([(born, on) for born in births for on in days], columns=["born", "on"])
    with connect() as hub:
        hub.connection.register("pairs", pairs.astype("datetime64[s]"))
        sql = hub.frame(f"SELECT {age_sql('born', chr(34) + 'on' + chr(34))} AS age FROM pairs")["age"]
    plain = [age_on(born, on) for born, on in pairs.itertuples(index=False)]
    whole = [ages_on(pd.Series([born]), on)[0] for born, on in pairs.itertuples(index=False)]
    np.testing.assert_array_equal(sql.to_numpy(), plain)
    np.testing.assert_array_equal(whole, plain)
