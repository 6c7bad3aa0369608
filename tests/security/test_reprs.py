"""What holds people's records prints counts and columns, never a row: a notebook shows the last value of a cell."""

from __future__ import annotations

from dataclasses import fields
from datetime import date

import pandas as pd
import pytest

from cohorts.clerical import Decisions
from cohorts.consent import ConsentResult
from cohorts.eligibility import Population, population
from cohorts.hub import connect, create_hub_tables
from cohorts.linkage import Links
from cohorts.pseudonymise import BuiltHub
from cohorts.sources import Intake
from phenotypes import CodeList, NumericTrait, Outcome, Phenotype, derive, has, library, trace
from phenotypes.phenome import Phenome

PERSON, BORN, DAY, VALUE, NAME = 9876543219876, "1937-03-17", "2011-11-23", 47.375, "Quillfeather"
SECRETS = (str(PERSON), BORN, DAY, str(VALUE), NAME)
T2D = CodeList.of("t2d", [("snomed", "44054006")])
HBA1C = CodeList.of("hba1c", [("snomed", "999791000000106")])
INDEX = date(2012, 1, 1)


@pytest.fixture(scope="module")
def hub():
    made = connect()
    create_hub_tables(made)
    made.connection.execute("INSERT INTO people VALUES (?, 'F', ?)", [PERSON, BORN])
    made.connection.execute("INSERT INTO registrations VALUES (?, 'p', ?, '2020-01-01')", [PERSON, BORN])
    for code, value in (("44054006", None), ("999791000000106", VALUE)):
        row = [PERSON, DAY, "gp", "observation", "snomed", code, value, "mmol/mol"]
        made.connection.execute("INSERT INTO events VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?)", row)
    made.connection.execute("INSERT INTO deaths VALUES (?, '2019-01-01', NULL)", [PERSON])
    return made


@pytest.fixture(scope="module")
def shown(hub):
    """What a notebook of records has at the ends of its cells, by name."""
    persons = population(hub, on=INDEX)
    t2d = Phenotype("t2d", has(T2D))
    derived = derive(
        hub,
        persons.persons,
        index_date=INDEX,
        phenotypes={"t2d": t2d},
        traits={"hba1c": NumericTrait("hba1c", (HBA1C,), "mmol/mol", (10, 200))},
        outcomes={"t2d": Outcome("t2d", has(T2D))},
        codelists={"t2d": T2D},
    )
    assert derived.statuses["t2d"].who.tolist() == [0]
    return {
        "Hub": hub, "Population": persons, "Derived": derived, "Diagnostics": derived.diagnostics,
        "Statuses": derived.statuses["t2d"], "TraitValues": derived.values["hba1c"],
        "Path": trace(t2d, hub, PERSON, index_date=INDEX), "CodeList": T2D, "Entry": library.load("asthma"),
    }  # fmt: skip


@pytest.mark.parametrize(
    "name",
    ["Hub", "Population", "Derived", "Diagnostics", "Statuses", "TraitValues", "Path", "CodeList", "Entry"],
)
def test_nothing_of_a_person_is_printed(shown, name):
    text = repr(shown[name])
    assert text.startswith(name)
    assert len(text) < 1200
    assert not [secret for secret in SECRETS if secret in text]


def test_counts_and_columns_are(shown):
    assert "people 1" in repr(shown["Hub"])
    assert "1 rows of person_id, sex, birth_date" in repr(shown["Population"])
    assert repr(shown["CodeList"]).startswith("CodeList(t2d: 1 snomed; id ")
    closed = connect()
    closed.close()
    assert repr(closed) == "Hub(closed)"


@pytest.mark.parametrize("kind", [BuiltHub, ConsentResult, Decisions, Intake, Links, Phenome, Population])
def test_whatever_its_frames_hold(kind):
    rows = pd.DataFrame({"person_id": [PERSON], "birth_date": [BORN], "name": [NAME], "value": [VALUE]})
    made = object.__new__(kind)
    for number, field in enumerate(fields(kind)):
        kept = (rows, rows["name"], rows["name"].to_numpy(), {PERSON: NAME}, (NAME,), NAME, PERSON)[
            number % 7
        ]
        object.__setattr__(made, field.name, kept)
    text = repr(made)
    assert text.startswith(kind.__name__)
    assert not [secret for secret in SECRETS if secret in text]
