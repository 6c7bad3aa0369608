"""What a Spark task does with the records of some people, without Spark."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from cohorts.errors import InputError
from phenotypes.spark_tasks import PART, Kept, Work, deal, place, rows_of, run

SCHEMA = pa.schema([("who", pa.int32()), ("list", pa.int16()), ("day", pa.int32())])


def found(part: int, rows: list[tuple[int, int, int]]) -> Iterator[pa.RecordBatch]:
    """What Spark hands a task, in batches of two rows, with types of its own."""
    for start in range(0, len(rows), 2):
        who, number, day = zip(*rows[start : start + 2], strict=True)
        columns = {"who": pa.array(who, pa.int32()), "list": pa.array(number, pa.int32())}
        columns |= {"day": pa.array(day, pa.int32()), PART: pa.array([part] * len(who), pa.int32())}
        yield pa.RecordBatch.from_pydict(columns)


def dealt(folder: Path) -> tuple[Kept, Work]:
    """Rows of two tasks among groups of ten people; nobody of the second group has any."""
    kept = Kept("narrow", folder / "narrow", SCHEMA, divided=True)
    work = Work((kept,), (), 10, folder)
    for part, rows in enumerate(([(1, 7, 5), (25, 3, 1), (0, 2, 9)], [(3, 1, 4), (29, 3, 2)])):
        assert list(deal(found(part, rows), work, "list")) == []
    assert list(deal(iter(()), work, "list")) == []
    return kept, work


def test_rows_go_to_the_group_of_their_person_in_the_order_asked_for(tmp_path: Path) -> None:
    kept, work = dealt(tmp_path)
    first = pq.read_table(place(kept.folder, 0) / "part-0.parquet")
    assert first.schema.equals(SCHEMA)
    assert first.to_pydict() == {"who": [0, 1], "list": [2, 7], "day": [9, 5]}
    assert sorted(path.name for path in kept.folder.iterdir()) == ["careome_group=0", "careome_group=2"]
    before = {path: path.read_bytes() for path in kept.folder.rglob("*.parquet")}
    assert list(deal(found(0, [(1, 7, 5), (25, 3, 1), (0, 2, 9)]), work, "list")) == []
    assert {path: path.read_bytes() for path in kept.folder.rglob("*") if path.is_file()} == before, (
        "run twice"
    )


def test_every_group_is_asked_about_its_own_people(tmp_path: Path) -> None:
    kept, _ = dealt(tmp_path)
    people = Kept("people", tmp_path / "people", pa.schema([("who", pa.int32())]), divided=False)
    people.folder.mkdir()
    pq.write_table(pa.table({"who": pa.array(range(30), pa.int32())}), people.folder / "rows.parquet")
    queries = ("SELECT who, day FROM narrow", "SELECT count(*) AS n FROM people ANTI JOIN narrow USING (who)")
    work = Work((kept, people), queries, 10, tmp_path)
    answers = [run(work, group) for group in range(3)]
    assert not any(isinstance(answer, InputError) for answer in answers)
    days, left = (rows_of(streams) for streams in zip(*answers, strict=True))
    assert sorted(zip(*days.to_pydict().values(), strict=True)) == [(0, 9), (1, 5), (3, 4), (25, 1), (29, 2)]
    assert left["n"].to_pylist() == [7, 10, 8]


def test_what_is_kept_of_a_group_can_be_asked_again(tmp_path: Path) -> None:
    kept, _ = dealt(tmp_path)
    late = Kept("late", tmp_path / "late", pa.schema([("who", pa.int32())]), divided=True)
    for group in range(3):
        made = Work(
            (kept,),
            ("SELECT who FROM narrow WHERE day > 4", "SELECT who FROM narrow WHERE day = 2"),
            10,
            tmp_path,
            late.folder,
        )
        assert run(made, group) == []
        assert run(made, group) == []
    work = Work((late,), ("SELECT who FROM late",), 10, tmp_path)
    streams = [answer[0] for group in range(3) if isinstance(answer := run(work, group), list)]
    assert sorted(rows_of(streams)["who"].to_pylist()) == [0, 1, 29]
    assert not list(tmp_path.rglob("*.part"))


def test_a_fault_is_told_without_what_the_query_held(tmp_path: Path) -> None:
    kept, _ = dealt(tmp_path)
    fault = run(Work((kept,), ("SELECT '943 476 5919'::INT",), 10, tmp_path), 0)
    assert isinstance(fault, InputError)
    assert str(fault).startswith("a Spark task failed; found ConversionException. To fix: ")
    kept.folder.joinpath("blocked").touch()
    blocked = Work((Kept("narrow", kept.folder / "blocked", SCHEMA, divided=True),), (), 10, tmp_path)
    (told,) = deal(found(0, [(1, 7, 5)]), blocked, None)
    assert told.to_pydict() == {"fault": ["NotADirectoryError"]}
