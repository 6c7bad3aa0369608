"""What a run prints at its end counts people as the report does."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from workflows.release import released_prevalence
from workflows.reports.counts import Disclosure
from workflows.results import summary


def _said(people: int, cases: int) -> tuple[str, ...]:
    table = pd.DataFrame(
        {"phenotype": ["sinus"], "on": [date(2012, 1, 1)], "people": [people], "cases": [cases]}
    )
    records: Any = SimpleNamespace(
        people=SimpleNamespace(persons=range(people)),
        derived=SimpleNamespace(statuses={"sinus": SimpleNamespace(who=range(cases))}),
        study=SimpleNamespace(label_of=lambda name: "Sinusitis"),
        frequency=SimpleNamespace(overall=released_prevalence(table, Disclosure())),
    )
    found: Any = SimpleNamespace(records=records, genome=None)
    folder: Any = SimpleNamespace(reports=Path("reports"))
    return summary(found, folder)[:2]


@pytest.mark.parametrize(
    ("people", "cases", "said"),
    [
        (1017, 53, ("1,015 people in the study", "Sinusitis: 5.4% on 2012-01-01")),
        (17, 0, ("15 people in the study", "Sinusitis: under 10 with it")),
        (17, 4, ("15 people in the study", "Sinusitis: under 10 with it")),
        (9, 4, ("under 10 people in the study", "Sinusitis: under 10 with it")),
        (17, 14, ("15 people in the study", "Sinusitis: too few without it to show")),
    ],
)
def test_people_are_rounded_and_few_of_them_hidden(people: int, cases: int, said: tuple[str, str]) -> None:
    assert _said(people, cases) == said
