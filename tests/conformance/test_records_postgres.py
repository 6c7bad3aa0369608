"""A real PostgreSQL server: what comes from it is what comes from files of the same rows."""

from __future__ import annotations

import random

import pandas as pd
import pytest

from cohorts.errors import InputError
from cohorts.hub import Hub, connect
from cohorts.models import OmopSource, PostgresSource
from cohorts.sources import Intake, TableSource, read_sources

pytestmark = pytest.mark.slow
pytest.importorskip("adbc_driver_postgresql", reason="careome[postgres] is not installed")

NAMES = {"patient_id": "id", "birth_date": "born", "family_name": "Last Name"}
NOTHING = dict.fromkeys(["nhs_number", "given_name", "postcode"])
EVENTS = {"patient_id": "pid", "date": "at", "value": "v", "unit": None}


@pytest.fixture(scope="module")
def loaded(postgres, tmp_path_factory):
    """Invented tables on the server and the same rows in files."""
    folder = tmp_path_factory.mktemp("files")
    draw = random.Random(5)
    people = [
        (
            7375491000006000 + i,
            f"19{i % 60 + 10}-01-01",
            "O'Neil\tX" if i == 3 else f"N{i}é",
            draw.choice("12MF9"),
        )
        for i in range(400)
    ]
    events = [
        (people[draw.randrange(400)][0] if draw.random() > 0.02 else 1, f"20{draw.randrange(10, 22)}-03-04",
         str(10**17 + draw.randrange(10**6)), round(draw.uniform(0, 99), 3) if draw.random() < 0.5 else None)
        for _ in range(20_000)
    ]  # fmt: skip
    pd.DataFrame(people, columns=["id", "born", "Last Name", "sex"]).to_csv(
        folder / "people.csv", index=False
    )
    pd.DataFrame(events, columns=["pid", "at", "code", "v"]).to_csv(folder / "events.csv", index=False)
    postgres.execute(
        'CREATE SCHEMA gp', 'CREATE TABLE gp.people (id bigint, born date, "Last Name" text, sex char(2))',
        "CREATE TABLE gp.events (pid bigint, at timestamp, code numeric(18), v float8)",
        "CREATE VIEW gp.seen AS SELECT * FROM gp.events",
        "CREATE TABLE gp.rounded (pid bigint, at date, code float8, v float8)",
    )  # fmt: skip
    cells = ", ".join("({}, '{}', '{}', '{}')".format(i, b, n.replace("'", "''"), s) for i, b, n, s in people)
    postgres.execute(f"INSERT INTO gp.people VALUES {cells}")
    cells = ", ".join(f"({p}, '{a}', {c}, {'NULL' if v is None else v})" for p, a, c, v in events)
    postgres.execute(f"INSERT INTO gp.events VALUES {cells}")
    return folder


def sources(patients: object, events: object) -> dict[str, TableSource]:
    return {
        "patients": TableSource(patients, columns=NAMES | NOTHING),
        "events": TableSource(events, columns=EVENTS, constants={"system": "snomed"}),
    }


def read(source: object) -> tuple[Hub, Intake]:
    hub = connect()
    return hub, read_sources(hub, {"gp": source}, until="2020-12-31")


@pytest.mark.parametrize("events", ["gp.events", "gp.seen"])
def test_the_same_rows_give_the_same_intake(postgres, loaded, events):
    server, one = read(PostgresSource(postgres.uri, sources("gp.people", events)))
    files, two = read(sources(loaded / "people.csv", loaded / "events.csv"))
    pd.testing.assert_frame_equal(one.counts, two.counts)
    pd.testing.assert_frame_equal(one.rejects, two.rejects)
    pd.testing.assert_frame_equal(one.notes, two.notes)
    assert one.counts["rejected"].tolist()[1] > 100
    assert one.counts["accepted"].tolist()[1] > 10_000
    for table in ("patients", "events"):
        sql = f"SELECT * FROM intake.{table} ORDER BY ALL"
        pd.testing.assert_frame_equal(server.frame(sql), files.frame(sql))


def test_nothing_on_the_server_can_be_changed(postgres, loaded):
    from cohorts.models.postgres import PostgresShelf

    with (
        PostgresShelf.connected(postgres.dsn, "gp") as shelf,
        shelf.connection.cursor() as cursor,
        pytest.raises(Exception, match="read-only"),
    ):
        cursor.execute("CREATE TABLE gp.mine (i int)")


def test_all_tables_are_of_one_moment(postgres, loaded):
    source = PostgresSource(postgres.dsn, sources("people", "gp.events"), schema="gp")
    with source.opened(connect()) as opened:
        (patients,) = opened.tables["patients"]()
        assert sum(batch.num_rows for batch in patients.batches) == 400
        postgres.execute("INSERT INTO gp.events VALUES (1, '2010-01-01', 1, NULL)")
        (events,) = opened.tables["events"]()
        assert sum(batch.num_rows for batch in events.batches) == 20_000
    postgres.execute("DELETE FROM gp.events WHERE code = 1")


def test_a_connection_that_fails_shows_neither_password_nor_server_text(postgres):
    wrong = [
        postgres.uri.replace(postgres.password, "hunter2hunter2"),
        postgres.uri.rpartition("/")[0] + "/hunter2hunter2",
        "host=/nowhere password=hunter2hunter2",
        "hunter2hunter2",
    ]
    for dsn in wrong:
        source = PostgresSource(dsn, sources("gp.people", "gp.events"))
        with pytest.raises(InputError) as caught:
            read(source)
        assert "hunter2" not in str(caught.value)
        assert "hunter2" not in repr(source)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("table", "columns", "said"),
    [
        ("gp.none", EVENTS, "no such table"),
        ("gp.events", EVENTS | {"value": "w"}, "column 'w' is missing"),
        ("gp.events", EVENTS | {"weight": "w"}, "does not have"),
        ("gp.rounded", EVENTS, "floating-point"),
        ('gp.events"; DROP TABLE gp.events; --', EVENTS, "no such table"),
    ],
)
def test_what_the_server_lacks_is_named(postgres, loaded, table, columns, said):
    tables = {
        "patients": TableSource("gp.people", columns=NAMES | NOTHING),
        "events": TableSource(table, columns=columns, constants={"system": "snomed"}),
    }
    with pytest.raises(InputError, match=said):
        read(PostgresSource(postgres.dsn, tables))


def test_an_omop_schema_on_a_server_reads_as_its_files(postgres, tmp_path, records_example):
    folder = records_example.write_omop(tmp_path)
    statements = ["CREATE SCHEMA cdm", "CREATE SCHEMA vocabulary"]
    for path in sorted(folder.glob("*.csv")):
        tab = path.stem == "CONCEPT"
        frame = pd.read_csv(path, sep="\t" if tab else ",", quoting=3, dtype=str, keep_default_na=False)
        relation = f"{'vocabulary' if tab else 'cdm'}.{path.stem.lower()}"
        statements.append(f"CREATE TABLE {relation} ({', '.join(f'{c} text' for c in frame)})")
        for row in frame.itertuples(index=False):
            statements.append(f"INSERT INTO {relation} VALUES ({', '.join(map(repr, row))})")
    postgres.execute(*statements)
    files, one = read(OmopSource(folder))
    server, two = read(OmopSource(dsn=postgres.dsn, schema="cdm", vocabulary_schema="vocabulary"))
    pd.testing.assert_frame_equal(one.origins, two.origins)
    for table in ("patients", "events", "deaths"):
        sql = f"SELECT * FROM intake.{table} ORDER BY ALL"
        pd.testing.assert_frame_equal(files.frame(sql), server.frame(sql))


def test_the_state_of_a_table_changes_with_its_rows_and_not_with_their_order(postgres):
    postgres.execute(
        "CREATE SCHEMA st", "CREATE TABLE st.people (id int, born date, note text, loaded int)",
        "INSERT INTO st.people VALUES (1, '1950-01-01', 'a', 1), (2, '1960-01-01', 'b', 1), (3, NULL, NULL, 2)",
    )  # fmt: skip
    columns = {"patient_id": "id", "birth_date": "born", "family_name": None, "sex": None} | NOTHING

    def state(**options) -> str:
        table = TableSource("st.people", columns=columns, **options)
        return PostgresSource(postgres.dsn, {"patients": table}).states()["patients"]

    first, marked = state(), state(watermark="loaded")
    assert first == state() != marked
    postgres.execute("CREATE TABLE st.back AS SELECT * FROM st.people ORDER BY id DESC")
    postgres.execute("TRUNCATE st.people", "INSERT INTO st.people SELECT * FROM st.back")
    assert state() == first, "the order of rows says nothing"
    postgres.execute("UPDATE st.people SET note = 'c' WHERE id = 1")
    assert state() == first, "a column that is not read says nothing"
    postgres.execute("UPDATE st.people SET born = '1950-01-02' WHERE id = 1")
    assert state() != first
    assert state(watermark="loaded") == marked, "a watermark notices what it is told by"
    postgres.execute("UPDATE st.people SET born = '1950-01-01', loaded = 3 WHERE id = 1")
    assert state() == first
    assert state(watermark="loaded") != marked
    postgres.execute("INSERT INTO st.people SELECT * FROM st.people")
    assert state() != first
    for option in ({"watermark": "none"}, {"key": ("none",)}):
        with pytest.raises(InputError, match="key or watermark"):
            state(**option)


def test_rows_keep_their_numbers_where_a_key_is_declared(postgres):
    postgres.execute(
        "CREATE SCHEMA keyed", "CREATE TABLE keyed.p (id int)", "INSERT INTO keyed.p VALUES (1)",
        "CREATE TABLE keyed.e (n int, pid int, at text, code text)",
        "INSERT INTO keyed.e SELECT n, 1, CASE n % 7 WHEN 0 THEN 'never' ELSE '2010-01-01' END, 'C10..' "
        "FROM generate_series(1, 40) n ORDER BY md5(n::text)",
    )  # fmt: skip
    nobody = dict.fromkeys(["nhs_number", "given_name", "family_name", "birth_date", "sex", "postcode"])
    tables = {
        "patients": TableSource("keyed.p", columns={"patient_id": "id"} | nobody),
        "events": TableSource(
            "keyed.e", columns={"patient_id": "pid", "date": "at", "value": None, "unit": None},
            constants={"system": "read2"}, key=("n",),
        ),
    }  # fmt: skip
    hub, _ = read(PostgresSource(postgres.dsn, tables))
    found = hub.connection.execute('SELECT "row" FROM intake.rejects ORDER BY 1').fetchall()
    assert found == [(7,), (14,), (21,), (28,), (35,)]


def test_an_omop_schema_on_a_server_tells_its_state(postgres):
    postgres.execute(
        "CREATE SCHEMA omop_state", "CREATE TABLE omop_state.person (person_id int, year_of_birth int)",
        "CREATE TABLE omop_state.death (person_id int, death_date date)",
    )  # fmt: skip
    source = OmopSource(dsn=postgres.dsn, schema="omop_state")
    before = source.states()
    assert sorted(before) == ["death", "person"]
    postgres.execute("INSERT INTO omop_state.death VALUES (1, '2010-01-01')")
    after = source.states()
    assert (after["person"], after["death"] != before["death"]) == (before["person"], True)
