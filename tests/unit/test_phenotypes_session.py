"""The query session: what it keeps goes with it, and large answers come back."""

from __future__ import annotations

import threading
from datetime import date
from typing import Any

import pytest

from cohorts.errors import DesignError
from cohorts.hub import Hub, connect, create_hub_tables
from phenotypes.codelist import CodeList
from phenotypes.compile import Question, ask
from phenotypes.narrow import narrow
from phenotypes.rules import Rule, all_of, any_of, has, prescribed
from phenotypes.session import session

LISTS = [CodeList.of(f"l{i}", [("icd10", f"A0{i}")]) for i in range(6)]
DRUG = CodeList.of("drug", [("bnf", "0601")])


@pytest.fixture
def crowd() -> Hub:
    """120,000 people with ten records each, made by the engine itself."""
    hub = connect(":memory:")
    create_hub_tables(hub)
    hub.connection.execute(
        "INSERT INTO events SELECT i, i % 120000, DATE '2005-01-01' + (i * 7919 % 3000)::INT, 'gp', "
        "CASE WHEN i % 7 = 6 THEN 'prescription' ELSE 'event' END, "
        "CASE WHEN i % 7 = 6 THEN 'bnf' ELSE 'icd10' END, "
        "CASE WHEN i % 7 = 6 THEN '0601' ELSE 'A0' || (i % 7) END, NULL, NULL FROM range(1200000) t(i)"
    )
    hub.connection.execute("INSERT INTO people SELECT i, 'F', DATE '1960-01-01' FROM range(120000) t(i)")
    return hub


def test_many_large_answers_in_one_query_come_back(crowd: Hub) -> None:
    persons = crowd.frame("SELECT * FROM people")
    disease = any_of(has(LISTS[0]).at_least(2), all_of(has(LISTS[0]), prescribed(DRUG)), has(LISTS[1]))
    asked: list[Rule] = [disease, has(LISTS[2]), disease, has(LISTS[3]), *(has(codes) for codes in LISTS)]
    found: dict[int, Any] = {}

    def work() -> None:
        with session(crowd) as opened:
            records = narrow(opened, persons, [*LISTS, DRUG], index_date=date(2010, 1, 1))
            questions = {i: Question(rule, end=0 if i == 2 else None) for i, rule in enumerate(asked)}
            found.update(ask(records, questions)[0])

    # A streamed UNION ALL of this size never returned (duckdb issue 22215), so the test must not wait for it.
    worker = threading.Thread(target=work, daemon=True)
    worker.start()
    worker.join(timeout=60)
    assert len(found) == len(asked)
    assert all(answer.holds.sum() > 50_000 for answer in found.values())


def test_a_bare_connection_is_refused_with_what_to_open_it_by(crowd: Hub) -> None:
    with pytest.raises(DesignError, match="not a hub; found DuckDBPyConnection.*cohorts.connect"):
        session(crowd.connection)
