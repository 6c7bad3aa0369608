"""OMOP Common Data Model 5.3 and 5.4, as files of a folder or as a schema of a PostgreSQL server.

What becomes what:

========================  ==================  ==============================================================
OMOP                      here                remarks
========================  ==================  ==============================================================
person                    patients            a birth date of which only the year, or year and month, is
                                              known is put in the middle of it, and its precision told; a
                                              birth_datetime beside a blank day or month was filled in by
                                              OMOP's convention and counts as no more precise
observation_period        registrations       its last day is within it, so the span ends the day after
condition_occurrence,     events              with number and unit where the table has them; a condition or
procedure_occurrence,                         procedure whose visit is a stay in hospital is a diagnosis or
measurement, observation                      procedure of it
drug_exposure             prescriptions       by its first day; with a row for each ingredient, where the
                                              vocabulary tells (:mod:`cohorts.models.vocabulary`)
visit_occurrence          contacts            as OMOP concepts: visits have no clinical code
death                     deaths              one cause; in its own code system
========================  ==================  ==============================================================

Codes: a concept becomes the code of its vocabulary through the CONCEPT table. Where the mapped concept is 0 or
cannot be told, the source concept stands in. A concept whose vocabulary is not one of ours, or without a CONCEPT
table, is kept under its OMOP number (system ``omop``) and noted. Where both concepts are 0, the source code counts
if the study says what system it is of; else the row is refused.

Source: OHDSI, OMOP Common Data Model v5.4 specification, and the conventions of its fields.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal

from cohorts.errors import InputError
from cohorts.hub import Hub
from cohorts.models.postgres import PostgresShelf
from cohorts.models.protocol import Opened
from cohorts.models.shelf import FolderShelf, Shelf
from cohorts.models.vocabulary import (
    CONCEPTS,
    TABLES,
    VOCABULARY_COLUMNS,
    drop_vocabulary,
    read_concepts,
    read_ingredients,
    vocabulary_shelf,
)
from cohorts.streams import BATCH, FAULT, LINES, REMARK, ROW, Stream, quoted
from cohorts.table_source import TableSource
from cohorts.tables import Field, TableSpec

NO_CODE = "code: no concept, and the source code has no declared system"
NO_CAUSE = "underlying: no concept, and the source code has no declared system"
OWN_NUMBER = "code: no code known for the concept, kept as OMOP concept"


@dataclass(frozen=True)
class _Coded:
    """An OMOP table of dated concepts: its canonical table, and the columns that say what happened when."""

    table: str
    concept: str
    source_concept: str
    source_value: str
    date: str
    measured: bool = False


#: What a row of a table is where its visit is a stay in hospital.
OF_A_STAY: Mapping[str, str] = {"condition_occurrence": "diagnosis", "procedure_occurrence": "procedure"}
# OMOP's concepts of a stay: inpatient visit, emergency room and inpatient visit, inpatient hospital
STAYS = (9201, 262, 8717)
STAYED = "intake.__stays"

CODED: Mapping[str, _Coded] = {
    "condition_occurrence": _Coded(
        "events",
        "condition_concept_id",
        "condition_source_concept_id",
        "condition_source_value",
        "condition_start_date",
    ),
    "procedure_occurrence": _Coded(
        "events",
        "procedure_concept_id",
        "procedure_source_concept_id",
        "procedure_source_value",
        "procedure_date",
    ),
    "measurement": _Coded(
        "events",
        "measurement_concept_id",
        "measurement_source_concept_id",
        "measurement_source_value",
        "measurement_date",
        measured=True,
    ),
    "observation": _Coded(
        "events",
        "observation_concept_id",
        "observation_source_concept_id",
        "observation_source_value",
        "observation_date",
        measured=True,
    ),
    "drug_exposure": _Coded(
        "prescriptions",
        "drug_concept_id",
        "drug_source_concept_id",
        "drug_source_value",
        "drug_exposure_start_date",
    ),
    "visit_occurrence": _Coded(
        "contacts",
        "visit_concept_id",
        "visit_source_concept_id",
        "visit_source_value",
        "visit_start_date",
    ),
}


def _number(name: str) -> Field:
    return Field(name, "number", may_lack=True)


def _text(name: str) -> Field:
    return Field(name, may_lack=True)


_PERSON_ID = Field("person_id")
_VISIT = "visit_occurrence_id"

_PERSON = (
    _PERSON_ID,
    _number("gender_concept_id"),
    _number("year_of_birth"),
    _number("month_of_birth"),
    _number("day_of_birth"),
    _text("birth_datetime"),
    _text("gender_source_value"),
)
_PERIOD = TableSpec(
    (_PERSON_ID, Field("observation_period_start_date"), Field("observation_period_end_date"))
)
_DEATH = TableSpec(
    (
        _PERSON_ID,
        Field("death_date"),
        _number("cause_concept_id"),
        _number("cause_source_concept_id"),
        _text("cause_source_value"),
    )
)


def _columns_of(table: str, coded: _Coded) -> tuple[str, ...]:
    measured = ("value_as_number", "unit_concept_id", "unit_source_value") if coded.measured else ()
    visit = (_VISIT,) if table in OF_A_STAY or table == "visit_occurrence" else ()
    return (
        "person_id",
        coded.date,
        coded.concept,
        coded.source_concept,
        coded.source_value,
        *measured,
        *visit,
    )


def _names(fields: Iterable[Field]) -> tuple[str, ...]:
    return tuple(field.name for field in fields)


COLUMNS: Mapping[str, tuple[str, ...]] = {
    "person": _names(_PERSON),
    "observation_period": _names(_PERIOD.fields),
    **{table: _columns_of(table, coded) for table, coded in CODED.items()},
    "death": _names(_DEATH.fields),
    **VOCABULARY_COLUMNS,
}
"""Tables of OMOP and their columns that are read."""


@dataclass(frozen=True)
class OmopSource:
    """One OMOP database.

    Attributes
    ----------
    path
        Folder of files named after the tables; None where `dsn` is given.
    dsn
        Connection string of a PostgreSQL server; never shown.
    schema
        Schema of the tables on that server.
    vocabulary_schema
        Schema of its CONCEPT and CONCEPT_ANCESTOR or DRUG_STRENGTH, where these lie in another.
    vocabulary
        Folder with files of these, beside those of `path` or of the server.
    columns
        OMOP table to OMOP column to the column of the file, where a file names it otherwise.
    codes
        Whether the standard concept or the source concept counts first.
    source_systems
        OMOP table to the code system of its source codes, for rows without any concept.
    nhs_number
        Column of ``person`` that holds the NHS number, where there is one.

    Examples
    --------
    >>> OmopSource(Path("cdm")).codes
    'standard'
    """

    path: Path | None = None
    dsn: str | None = field(default=None, repr=False)
    schema: str = "public"
    vocabulary_schema: str | None = None
    vocabulary: Path | None = None
    columns: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    codes: Literal["standard", "source"] = "standard"
    source_systems: Mapping[str, str] = field(default_factory=dict)
    nhs_number: str | None = None

    @contextmanager
    def opened(self, hub: Hub) -> Iterator[Opened]:
        """Read the concepts, then give the tables."""
        with self._shelf() as shelf:
            shelves = [shelf] if self.vocabulary is None else [shelf, vocabulary_shelf(self.vocabulary)]
            try:
                read_concepts(hub, shelves)
                contained = shelf.has("drug_exposure") and read_ingredients(hub, shelves)
                _read_stays(hub, shelf)
                yield Opened(dict(self._tables(shelf)), by_ingredient=contained)
            finally:
                drop_vocabulary(hub)
                hub.connection.execute(f"DROP TABLE IF EXISTS {STAYED}")

    def states(self) -> dict[str, str]:
        """SHA-256 of the present state of each table on a server; nothing for a folder, whose files have theirs.

        Raises
        ------
        InputError
            The server cannot be reached.
        """
        if self.dsn is None:
            return {}
        with PostgresShelf.connected(self.dsn, self.schema) as shelf:
            places = {name: f"{self.schema}.{name}" for name in COLUMNS}
            places |= {name: f"{self.vocabulary_schema or self.schema}.{name}" for name in TABLES}
            found = PostgresShelf(shelf.connection, shelf.schema, self._elsewhere)
            return {
                name: shelf.state(place, TableSource(place), None)
                for name, place in places.items()
                if found.has(name)
            }

    @property
    def _elsewhere(self) -> dict[str, str]:
        return dict.fromkeys(TABLES, self.vocabulary_schema or self.schema)

    @contextmanager
    def _shelf(self) -> Iterator[Shelf]:
        unknown = sorted({*self.columns, *self.source_systems} - set(COLUMNS))
        if unknown:
            raise InputError(
                "no such table of OMOP is read",
                where="OMOP source",
                found=", ".join(unknown),
                expected=", ".join(COLUMNS),
            )
        for table, columns in self.columns.items():
            if strange := sorted(set(columns) - {*COLUMNS[table], self.nhs_number}):
                raise InputError(
                    f"no such column of OMOP's {table} is read",
                    where="OMOP source",
                    found=", ".join(strange),
                    expected=", ".join(COLUMNS[table]),
                )
        if self.dsn is not None:
            with PostgresShelf.connected(
                self.dsn,
                self.schema,
                elsewhere=self._elsewhere,
                columns=self.columns,
            ) as server:
                yield server
        elif self.path is not None:
            folder = FolderShelf(self.path, self.columns)
            folder.require(["person"], "an OMOP database")
            yield folder
        else:
            raise InputError(
                "an OMOP source needs a folder or a server", where="OMOP source", found="neither"
            )

    def _tables(self, shelf: Shelf) -> Iterator[tuple[str, Callable[[], Iterator[Stream]]]]:
        yield "patients", partial(self._persons, shelf)
        if shelf.has("observation_period"):
            yield "registrations", partial(_periods, shelf)
        for table in ("events", "prescriptions", "contacts"):
            mine = [name for name, coded in CODED.items() if coded.table == table and shelf.has(name)]
            if mine:
                yield table, partial(self._events, shelf, mine)
        if shelf.has("death"):
            yield "deaths", partial(self._deaths, shelf)

    def _persons(self, shelf: Shelf) -> Iterator[Stream]:
        also = () if self.nhs_number is None else (Field(self.nhs_number),)
        nhs = "NULL" if self.nhs_number is None else f'"{self.nhs_number}"'
        year, month, day = (f"TRY_CAST({part}_of_birth AS INTEGER)" for part in ("year", "month", "day"))
        spec = TableSpec((*_PERSON, *also))
        for stream in shelf.streams("person", spec):
            cell = _cells(stream, spec)
            stream.view = f"""(
                SELECT person_id AS patient_id, {nhs} AS nhs_number,
                    CASE WHEN m IS NOT NULL AND d IS NOT NULL THEN printf('%04d-%02d-%02d', y, m, d)
                        WHEN born <> '' THEN born
                        WHEN m IS NOT NULL THEN printf('%04d-%02d-15', y, m)
                        WHEN y IS NOT NULL THEN printf('%04d-07-01', y) END AS birth_date,
                    CASE gender WHEN 8507 THEN 'M' WHEN 8532 THEN 'F' ELSE said END AS sex,
                    {_birth_precision(stream)} AS birth_precision,
                    {LINES}, {FAULT}, {ROW}
                FROM (SELECT *, {year} AS y, {month} AS m, {day} AS d, birth_datetime AS born,
                        TRY_CAST(gender_concept_id AS BIGINT) AS gender, gender_source_value AS said
                      FROM {cell}))"""
            stream.columns = ("patient_id", "nhs_number", "birth_date", "birth_precision", "sex")
            yield stream

    def _events(self, shelf: Shelf, tables: list[str]) -> Iterator[Stream]:
        for name in tables:
            coded = CODED[name]
            measured = ("value_as_number", "unit_concept_id") if coded.measured else ()
            spec = TableSpec(
                (
                    _PERSON_ID,
                    Field(coded.date),
                    Field(coded.concept, "number"),
                    _number(coded.source_concept),
                    *((_text(coded.source_value),) if name in self.source_systems else ()),
                    *((_text(_VISIT),) if name in OF_A_STAY else ()),
                    *map(_number, measured),
                    *((_text("unit_source_value"),) if coded.measured else ()),
                )
            )
            values = (
                "value_as_number AS value, coalesce(u.known_code, nullif(unit_source_value, '')) AS unit, "
                if coded.measured
                else ""
            )
            unit = (
                f"LEFT JOIN {CONCEPTS} u ON u.number = TRY_CAST(unit_concept_id AS BIGINT) "
                "AND u.known_system = 'ucum'"
                if coded.measured
                else ""
            )
            stay = (
                f"CASE WHEN {_VISIT} IN (SELECT visit FROM {STAYED}) THEN {quoted(OF_A_STAY[name])} END AS kind, "
                if name in OF_A_STAY
                else ""
            )
            for stream in shelf.streams(name, spec):
                stream.view = f"""(
                    SELECT person_id AS patient_id, "{coded.date}" AS date, {values}{stay}
                        {self._code(name, coded.concept, coded.source_concept, coded.source_value)},
                        {LINES}, coalesce({FAULT}, CASE WHEN code IS NULL THEN {quoted(NO_CODE)} END) AS {FAULT},
                        {ROW}
                    FROM {_cells(stream, spec)} {_joined(coded.concept, coded.source_concept)} {unit})"""
                stream.columns = (
                    "patient_id",
                    "date",
                    *(("value", "unit") if coded.measured else ()),
                    *(("kind",) if name in OF_A_STAY else ()),
                    "system",
                    "code",
                )
                stream.remarked = True
                yield stream

    def _deaths(self, shelf: Shelf) -> Iterator[Stream]:
        names = ("cause_concept_id", "cause_source_concept_id", "cause_source_value")
        for stream in shelf.streams("death", _DEATH):
            stream.view = f"""(
                SELECT person_id AS patient_id, death_date AS date, {self._code("death", *names)},
                    code AS underlying, {LINES}, {FAULT}, {ROW}
                FROM {_cells(stream, _DEATH)} {_joined(*names[:2])})"""
            stream.columns = ("patient_id", "date", "system", "underlying")
            stream.remarked = True
            yield stream

    def _code(self, table: str, concept: str, source_concept: str, source_value: str) -> str:
        """``system``, ``code`` and the remark of a row joined to its concepts."""
        first, second = ("c", "s") if self.codes == "standard" else ("s", "c")
        numbers = {"c": f"TRY_CAST({concept} AS BIGINT)", "s": f"TRY_CAST({source_concept} AS BIGINT)"}
        own = f"coalesce(nullif({numbers[first]}, 0), nullif({numbers[second]}, 0))"
        known = f"coalesce({first}.known_system, {second}.known_system)"
        declared = self.source_systems.get(table)
        ours = "NULL" if declared is None else f"CASE WHEN {source_value} <> '' THEN {quoted(declared)} END"
        theirs = "NULL" if declared is None else source_value
        told = table == "death" and declared is None
        lost = f"WHEN {own} IS NULL AND {source_value} <> '' THEN {quoted(NO_CAUSE)} " if told else ""
        return (
            f"CASE WHEN {known} IS NOT NULL THEN {known} WHEN {own} IS NOT NULL THEN 'omop' "
            f"ELSE {ours} END AS system, "
            f"CASE WHEN {first}.known_system IS NOT NULL THEN {first}.known_code "
            f"WHEN {second}.known_system IS NOT NULL "
            f"THEN {second}.known_code WHEN {own} IS NOT NULL THEN CAST({own} AS VARCHAR) ELSE {theirs} END AS code, "
            f"CASE WHEN {known} IS NULL AND {own} IS NOT NULL THEN {quoted(OWN_NUMBER)} {lost}END AS {REMARK}"
        )


def _read_stays(hub: Hub, shelf: Shelf) -> None:
    """The visits that are stays in hospital."""
    hub.connection.execute(f"CREATE TABLE {STAYED} (visit VARCHAR)")
    if not shelf.has("visit_occurrence"):
        return
    spec = TableSpec((Field(_VISIT), Field("visit_concept_id", "number")))
    for stream in shelf.streams("visit_occurrence", spec):
        for batch in stream.batches:
            hub.connection.register(BATCH, batch)
            hub.connection.execute(
                f"INSERT INTO {STAYED} SELECT {_VISIT} FROM {BATCH} "
                f"WHERE TRY_CAST(visit_concept_id AS BIGINT) IN {STAYS} AND {FAULT} IS NULL"
            )
            hub.connection.unregister(BATCH)


def _joined(concept: str, source_concept: str) -> str:
    return (
        f"LEFT JOIN {CONCEPTS} c ON c.number = TRY_CAST({concept} AS BIGINT) AND c.known_system <> 'ucum' "
        f"LEFT JOIN {CONCEPTS} s ON s.number = TRY_CAST({source_concept} AS BIGINT) AND s.known_system <> 'ucum'"
    )


def _birth_precision(stream: Stream) -> str:
    """How much of the birth date is known, over the parts `y`, `m`, `d` and birth_datetime as `born`."""
    if not {"month_of_birth", "day_of_birth"} & set(stream.schema.names):
        return "CASE WHEN coalesce(born, '') <> '' THEN 'day' WHEN y IS NOT NULL THEN 'year' END"
    return (
        "CASE WHEN m IS NOT NULL AND d IS NOT NULL THEN 'day' WHEN m IS NOT NULL THEN 'month' "
        "WHEN y IS NOT NULL OR born <> '' THEN 'year' END"
    )


def _periods(shelf: Shelf) -> Iterator[Stream]:
    end = "observation_period_end_date"
    for stream in shelf.streams("observation_period", _PERIOD):
        stream.view = f"""(
            SELECT person_id AS patient_id, observation_period_start_date AS start,
                coalesce(CAST(CAST(TRY_CAST(substr({end}, 1, 10) AS DATE) + INTERVAL 1 DAY AS DATE) AS VARCHAR), {end})
                    AS "end",
                {LINES}, {FAULT}, {ROW}
            FROM {_cells(stream, _PERIOD)})"""
        stream.columns = ("patient_id", "start", "end")
        yield stream


def _cells(stream: Stream, spec: TableSpec) -> str:
    """The batch with every column that the file may lack, all as text."""
    present = set(stream.schema.names)
    columns = [
        f'CAST({chr(34) + f.name + chr(34) if f.name in present else "NULL"} AS VARCHAR) AS "{f.name}"'
        for f in spec.fields
    ]
    return f"(SELECT {', '.join(columns)}, {LINES}, {FAULT}, {ROW} FROM {BATCH})"
