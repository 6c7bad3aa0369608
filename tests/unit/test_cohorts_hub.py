"""The hub's connection, and the list of short names."""

from __future__ import annotations

import re
from pathlib import Path

import duckdb
import pytest

from cohorts.hub import HUB_TABLES, connect, create_hub_tables
from cohorts.nicknames import NICKNAMES


@pytest.mark.parametrize("name", ["intake.duckdb", "people.duckdb", "it's a hub.duckdb", "memory.duckdb"])
def test_a_hub_file_may_bear_any_name_and_keeps_its_rows(tmp_path: Path, name: str) -> None:
    with connect(tmp_path / name) as hub:
        hub.connection.execute("CREATE SCHEMA intake")
        hub.connection.execute("CREATE TABLE intake.sources AS SELECT 1 AS x")
        create_hub_tables(hub)
        hub.connection.execute("INSERT INTO people VALUES (1, 'F', DATE '1970-01-01')")
    with connect(tmp_path / name, read_only=True) as hub:
        assert hub.counts().set_index("table")["rows"].to_dict() == {
            **dict.fromkeys(HUB_TABLES, 0),
            "people": 1,
            "intake.sources": 1,
        }
        with pytest.raises(duckdb.Error):
            hub.connection.execute("DELETE FROM people")


def test_memory_and_threads_are_as_asked_and_extensions_are_never_fetched() -> None:
    with connect(memory_limit="300MB", threads=1) as hub:
        setting = hub.frame("SELECT name, value FROM duckdb_settings()").set_index("name")["value"]
    assert setting["threads"] == "1"
    assert setting["max_memory"].startswith("286")
    assert setting["autoinstall_known_extensions"] == "false"
    assert setting["allow_community_extensions"] == "false"


def test_a_query_beyond_the_memory_limit_fails_and_does_not_spill(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with connect(memory_limit="20MB", threads=1) as hub, pytest.raises(duckdb.OutOfMemoryException):
        hub.connection.execute(
            "CREATE TABLE t AS SELECT i, random()::VARCHAR AS x FROM range(5000000) r(i) ORDER BY x"
        )
    assert list(tmp_path.iterdir()) == []


def test_short_names_lead_to_one_full_name_and_no_further() -> None:
    assert len(NICKNAMES) > 200
    for short, full in NICKNAMES.items():
        assert re.fullmatch("[A-Z]+", short)
        assert full not in NICKNAMES, (short, full)
