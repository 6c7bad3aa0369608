"""CPRD Aurum as it is delivered: tab-delimited text, ``..._Extract_Observation_001.txt``, any number of each kind.

What becomes what:

============  =============  ==================================================================================
CPRD Aurum    here           remarks
============  =============  ==================================================================================
Patient       patients       birth on the 15th of the month, or on 1 July where only the year is given, with this
                             precision; patients whom CPRD finds not acceptable for research are refused, and
                             their records with them. Nothing here says who somebody is, so nobody is linked
Patient       registrations  up to the end of registration or the practice's last collection (lcd), whichever
                             comes first
Patient       deaths         date of death as CPRD derives it (cprd_ddate)
Observation   events         by obsdate, with value and unit
DrugIssue     prescriptions  by issuedate
Consultation  contacts       by consdate
============  =============  ==================================================================================

Problem and Referral say more about observations that are read already, and Staff is about no patient; their rows
are counted and noted, not read.

Codes: with CPRD's medical dictionary a ``medcodeid`` becomes its SNOMED CT concept or Read code, and with its product
dictionary a ``prodcodeid`` becomes its dm+d code; what a dictionary lacks, and everything where there is none, stays
under ``cprd_medcode`` or ``cprd_prodcode``. The identifiers have up to 18 digits and are text throughout.

Source: CPRD, Aurum Data Specification and Aurum Frequently Asked Questions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from cohorts.hub import Hub
from cohorts.models.protocol import Opened
from cohorts.models.shelf import FolderShelf, file_source
from cohorts.readers import open_streams
from cohorts.streams import BATCH, FAULT, LINES, REMARK, ROW, Stream, quoted
from cohorts.tables import Field, TableSpec

DATES = "%d/%m/%Y"
NOT_ACCEPTABLE = "acceptable: CPRD finds the patient not acceptable for research"
UNMAPPED = "code: not in the dictionary, kept as CPRD's own"
PATTERN = r"(.*_)?extract_(?P<table>[a-z]+)_\d+"
NOT_READ = {
    "problem": "Problem: not read, it describes observations that are",
    "referral": "Referral: not read, it describes observations that are",
    "staff": "Staff: not read, it is about no patient",
}

_PATID = Field("patid")


def _may(*names: str) -> tuple[Field, ...]:
    return tuple(Field(name, may_lack=True) for name in names)


_PATIENT = TableSpec((_PATID, Field("gender"), Field("yob"), *_may("mob", "acceptable")))
_REGISTRATION = TableSpec((_PATID, Field("pracid"), Field("regstartdate"), Field("regenddate")))
_DEATH = TableSpec((_PATID, Field("cprd_ddate")))
_PRACTICE = TableSpec((Field("pracid"), Field("lcd")))
_OBSERVATION = TableSpec(
    (_PATID, Field("obsdate"), Field("medcodeid"), *_may("value", "numunitid")),
)
_DRUG = TableSpec((_PATID, Field("issuedate"), Field("prodcodeid")))
_CONSULTATION = TableSpec((_PATID, Field("consdate"), Field("consmedcodeid")))

_LOOKUPS = ("__aurum_lcd", "__aurum_medical", "__aurum_products", "__aurum_units")


@dataclass(frozen=True)
class CprdAurumSource:
    """One delivery of CPRD Aurum.

    Attributes
    ----------
    path
        Folder of the text files; folders in it are looked into.
    dictionary
        CPRD's medical dictionary (``MedCodeId``, ``SnomedCTConceptId``, ``CleansedReadCode``).
    products
        CPRD's product dictionary (``ProdCodeId``, ``dmdid``).
    units
        CPRD's look-up of units (``numunitid``, ``Description``).
    codes
        What a ``medcodeid`` becomes through the dictionary.
    acceptable_only
        Whether patients without CPRD's mark of acceptable data are refused.

    Examples
    --------
    >>> CprdAurumSource(Path("aurum")).codes
    'snomed'
    """

    path: Path
    dictionary: Path | None = None
    products: Path | None = None
    units: Path | None = None
    codes: Literal["snomed", "read2", "medcode"] = "snomed"
    acceptable_only: bool = True

    @contextmanager
    def opened(self, hub: Hub) -> Iterator[Opened]:
        """Read the dictionaries, then give the tables."""
        shelf = FolderShelf(self.path, pattern=PATTERN)
        shelf.require(["patient"], "a delivery of CPRD Aurum")
        self._read_lookups(hub, shelf)
        try:
            notes = [
                ("events", note, sum(_lines(stream) for stream in shelf.streams(kind, _counted(kind))))
                for kind, note in NOT_READ.items()
                if shelf.has(kind)
            ]
            yield Opened(dict(self._tables(shelf)), notes)
        finally:
            for name in _LOOKUPS:
                hub.connection.execute(f"DROP TABLE IF EXISTS intake.{name}")

    def _tables(self, shelf: FolderShelf) -> Iterator[tuple[str, Callable[[], Iterator[Stream]]]]:
        yield "patients", partial(self._patients, shelf)
        yield "registrations", partial(_registrations, shelf)
        yield "deaths", partial(_deaths, shelf)
        if shelf.has("observation"):
            yield "events", partial(self._observations, shelf)
        if shelf.has("drugissue"):
            yield "prescriptions", partial(_drugs, shelf)
        if shelf.has("consultation"):
            yield "contacts", partial(self._consultations, shelf)

    def _patients(self, shelf: FolderShelf) -> Iterator[Stream]:
        year, month = "TRY_CAST(yob AS INTEGER)", "TRY_CAST(mob AS INTEGER)"
        refused = f"CASE WHEN acceptable <> '1' THEN {quoted(NOT_ACCEPTABLE)} END"
        for stream in shelf.streams("patient", _PATIENT):
            fault = refused if self.acceptable_only and "acceptable" in stream.schema.names else "NULL"
            stream.view = f"""(
                SELECT patid AS patient_id, CASE gender WHEN '1' THEN 'M' WHEN '2' THEN 'F' END AS sex,
                    CASE WHEN m IS NOT NULL THEN printf('%04d-%02d-15', y, m)
                         WHEN y IS NOT NULL THEN printf('%04d-07-01', y) END AS birth_date,
                    CASE WHEN m IS NOT NULL THEN 'month' WHEN y IS NOT NULL THEN 'year' END AS birth_precision,
                    {LINES}, coalesce({FAULT}, {fault}) AS {FAULT}, {ROW}
                FROM (SELECT *, {year} AS y, {month} AS m FROM {_cells(stream, _PATIENT)}))"""
            stream.columns = ("patient_id", "sex", "birth_date", "birth_precision")
            yield stream

    def _observations(self, shelf: FolderShelf) -> Iterator[Stream]:
        for stream in shelf.streams("observation", _OBSERVATION):
            stream.view = f"""(
                SELECT patid AS patient_id, obsdate AS date, {self._medical("medcodeid")}, value,
                    coalesce(units.description, 'CPRD unit ' || numunitid) AS unit, {LINES}, {FAULT}, {ROW}
                FROM {_cells(stream, _OBSERVATION)} LEFT JOIN intake.__aurum_medical m ON m.id = medcodeid
                    LEFT JOIN intake.__aurum_units units ON units.id = numunitid)"""
            yield _dated(stream, "patient_id", "date", "system", "code", "value", "unit")

    def _consultations(self, shelf: FolderShelf) -> Iterator[Stream]:
        for stream in shelf.streams("consultation", _CONSULTATION):
            stream.view = f"""(
                SELECT patid AS patient_id, consdate AS date, {self._medical("consmedcodeid")},
                    {LINES}, {FAULT}, {ROW}
                FROM {_cells(stream, _CONSULTATION)} LEFT JOIN intake.__aurum_medical m ON m.id = consmedcodeid)"""
            yield _dated(stream, "patient_id", "date", "system", "code")

    def _medical(self, column: str) -> str:
        """``system``, ``code`` and the remark of a medcodeid joined to the dictionary."""
        given = self.dictionary is not None and self.codes != "medcode"
        remark = (
            f"CASE WHEN {column} <> '' AND m.code IS NULL THEN {quoted(UNMAPPED)} END" if given else "NULL"
        )
        return (
            f"CASE WHEN m.code IS NULL THEN 'cprd_medcode' ELSE {quoted(self.codes)} END AS system, "
            f"coalesce(m.code, {column}) AS code, {remark} AS {REMARK}"
        )

    def _read_lookups(self, hub: Hub, shelf: FolderShelf) -> None:
        coded = {"snomed": "SnomedCTConceptId", "read2": "CleansedReadCode"}.get(self.codes)
        _look_up(hub, "__aurum_medical", self.dictionary if coded else None, "MedCodeId", coded or "", "code")
        _look_up(hub, "__aurum_products", self.products, "ProdCodeId", "dmdid", "code")
        _look_up(hub, "__aurum_units", self.units, "numunitid", "Description", "description")
        hub.connection.execute("CREATE TABLE intake.__aurum_lcd (id VARCHAR, lcd DATE)")
        for stream in shelf.streams("practice", _PRACTICE):
            for batch in stream.batches:
                hub.connection.register(BATCH, batch)
                hub.connection.execute(
                    f"INSERT INTO intake.__aurum_lcd SELECT pracid, {_day('lcd')} FROM {BATCH} "
                    f"WHERE {FAULT} IS NULL"
                )
                hub.connection.unregister(BATCH)
        hub.connection.execute(
            "CREATE OR REPLACE TABLE intake.__aurum_lcd AS "
            "SELECT id, min(lcd) AS lcd FROM intake.__aurum_lcd GROUP BY 1"
        )


def _registrations(shelf: FolderShelf) -> Iterator[Stream]:
    for stream in shelf.streams("patient", _REGISTRATION):
        stream.view = f"""(
            SELECT patid AS patient_id, p.pracid AS practice, regstartdate AS start,
                CASE WHEN lcd < coalesce({_day("regenddate")}, DATE '9999-12-31')
                     THEN strftime(lcd, '{DATES}') ELSE regenddate END AS "end",
                {LINES}, {FAULT}, {ROW}
            FROM {_cells(stream, _REGISTRATION)} p LEFT JOIN intake.__aurum_lcd l ON l.id = p.pracid)"""
        yield _dated(stream, "patient_id", "practice", "start", "end", remarked=False)


def _deaths(shelf: FolderShelf) -> Iterator[Stream]:
    for stream in shelf.streams("patient", _DEATH):
        stream.view = f"""(
            SELECT patid AS patient_id, cprd_ddate AS date, {LINES}, {FAULT}, {ROW}
            FROM {_cells(stream, _DEATH)} WHERE cprd_ddate <> '')"""
        stream.filtered = True
        yield _dated(stream, "patient_id", "date", remarked=False)


def _drugs(shelf: FolderShelf) -> Iterator[Stream]:
    for stream in shelf.streams("drugissue", _DRUG):
        stream.view = f"""(
            SELECT patid AS patient_id, issuedate AS date,
                CASE WHEN m.code IS NULL THEN 'cprd_prodcode' ELSE 'dmd' END AS system,
                coalesce(m.code, prodcodeid) AS code,
                CASE WHEN m.code IS NULL AND prodcodeid <> '' AND (SELECT count(*) > 0 FROM intake.__aurum_products)
                     THEN {quoted(UNMAPPED)} END AS {REMARK}, {LINES}, {FAULT}, {ROW}
            FROM {_cells(stream, _DRUG)} LEFT JOIN intake.__aurum_products m ON m.id = prodcodeid)"""
        yield _dated(stream, "patient_id", "date", "system", "code")


def _dated(stream: Stream, *columns: str, remarked: bool = True) -> Stream:
    stream.columns, stream.remarked, stream.date_format = columns, remarked, DATES
    return stream


def _cells(stream: Stream, spec: TableSpec) -> str:
    """The batch as text, with every column that the file may lack; R's NA is a blank."""
    present = set(stream.schema.names)
    columns = [
        f"nullif(nullif(CAST({f.name} AS VARCHAR), 'NA'), '') AS {f.name}"
        if f.name in present
        else f"CAST(NULL AS VARCHAR) AS {f.name}"
        for f in spec.fields
    ]
    return f"(SELECT {', '.join(columns)}, {LINES}, {FAULT}, {ROW} FROM {BATCH})"


def _day(column: str) -> str:
    return f"CAST(try_strptime({column}, '{DATES}') AS DATE)"


def _counted(kind: str) -> TableSpec:
    return TableSpec((Field({"problem": "patid", "referral": "patid", "staff": "staffid"}[kind]),))


def _lines(stream: Stream) -> int:
    for _ in stream.batches:
        pass
    return stream.read


def _look_up(hub: Hub, name: str, path: Path | None, key: str, value: str, column: str) -> None:
    """Keep a look-up file as a table of ``id`` and `column`; an empty one where there is no file."""
    connection = hub.connection
    connection.execute(f"CREATE TABLE intake.{name} (id VARCHAR, {column} VARCHAR)")
    if path is None:
        return
    spec = TableSpec((Field("id"), Field("said")))
    for stream in open_streams(file_source(path, spec, {"id": key, "said": value}), spec):
        for batch in stream.batches:
            connection.register(BATCH, batch)
            connection.execute(
                f"INSERT INTO intake.{name} SELECT id, said FROM {BATCH} "
                f"WHERE {FAULT} IS NULL AND id <> '' AND said NOT IN ('', '0')"
            )
            connection.unregister(BATCH)
    connection.execute(
        f"CREATE OR REPLACE TABLE intake.{name} AS SELECT id, min({column}) AS {column} FROM intake.{name} GROUP BY 1"
    )
