"""FHIR R4: bundles, and the one-resource-a-line files (NDJSON) of a bulk export.

Files are read one after the other, a bundle whole and a bulk file line by line; what they give is set down in
the identified database before it is judged, so that patients may come after their records and a folder may be
of any size. Numbers stay text, as they are written.

What becomes what:

===================  =============  ===========================================================================
FHIR                 here           remarks
===================  =============  ===========================================================================
Patient              patients       with the NHS number where an identifier says that it is one; a birth date that is
                                    only a year or a month is put in the middle of it, and its precision told
Patient.deceased     deaths         without a cause
EpisodeOfCare        registrations  where there are none, a study may let records stand in (:mod:`cohorts.observed`)
Condition            events         by onset, else by the day of recording; refuted ones are refused; one that names the
                                    encounter of an admission, or is named by it, is a diagnosis of a stay, save those
                                    of lists of problems that only name it
Observation          events         each component with a code is an event of its own (blood pressure)
Procedure            events         one that names an encounter of an admission is a procedure of a stay
Immunization         events
MedicationRequest,   prescriptions  the medicine may be a resource of its own
MedicationStatement
Encounter            contacts       by the codes of its type
Encounter, of class  admissions     with the ICD-10 codes of its diagnoses in their order (those it names, then those
IMP, ACUTE, NONAC                   that name it, lists of problems apart) and the OPCS-4 codes of procedures that
or EMER                             name it; each Condition and Procedure stays an event of its own as well
===================  =============  ===========================================================================

A resource coded in several systems gives one row a system, by the first code of it. A resource that was entered in
error gives one refused row. Resources of other types are counted and noted. The answer to a question about smoking
is kept as an event of the answer's code, because that is where the meaning is.

A damaged file stops nothing: it is one refused row of ``patients``, and a note, for everybody in it is lost.

Names of files may name patients, so a refused row is told by the number of its file in the order of names, and by
the number of its entry or line.

Source: HL7, FHIR Release 4 (4.0.1); UK Core for the identifier of the NHS number.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from cohorts.errors import InputError
from cohorts.hub import Hub
from cohorts.models.fhir_files import draw_entries, fhir_files
from cohorts.models.fhir_resources import CODES, LINKS, READ, Medicines, Row, rows_of
from cohorts.models.protocol import Opened
from cohorts.models.vocabulary import drop_vocabulary, read_concepts, read_ingredients, vocabulary_shelf
from cohorts.streams import FILE, NOT_TEXT, Stream, batch_schema, judged, one_line, quoted
from cohorts.tables import DIAGNOSES, PROCEDURES

LANDED_ROWS = 1 << 16
DRAWN_ROWS = 1 << 18
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "patients": (
        "patient_id",
        "nhs_number",
        "given_name",
        "family_name",
        "birth_date",
        "birth_precision",
        "sex",
        "postcode",
        "email",
        "phone",
        "address",
    ),
    "registrations": ("patient_id", "practice", "start", "end"),
    "events": ("patient_id", "date", "system", "code", "value", "unit", "encounter", "resource"),
    "prescriptions": ("patient_id", "date", "system", "code"),
    "contacts": ("patient_id", "date", "system", "code"),
    "admissions": ("patient_id", "admission_date", "discharge_date", "encounter"),
    "deaths": ("patient_id", "date"),
}
# what tells the codes of an admission: which resource belongs to which encounter, and its codes
ASIDE: Mapping[str, tuple[str, ...]] = {
    LINKS: ("encounter", "resource", "rank"),
    CODES: ("resource", "system", "code"),
}
LANDED = {**COLUMNS, **ASIDE}
LISTS = "intake.__fhir_lists"
BROKEN = "lines that hold no resource"
DAMAGED = "damaged files"
LOST = "files that are damaged: ALL PATIENTS AND RECORDS IN THEM ARE LOST, ask for them again"


@dataclass(frozen=True)
class FhirSource:
    """One export of FHIR R4.

    Attributes
    ----------
    path
        A file or a folder of files: ``.json`` (a bundle or one resource) and ``.ndjson`` or ``.jsonl``, each also
        with ``.gz``.
    vocabulary
        Folder of the vocabulary of an OMOP database that tells what the products of RxNorm contain, where ingredients
        are to be known (:mod:`cohorts.models.vocabulary`); FHIR itself does not say it.

    Examples
    --------
    >>> FhirSource("export").path
    'export'
    """

    path: str | Path
    vocabulary: Path | None = None

    @contextmanager
    def opened(self, hub: Hub) -> Iterator[Opened]:
        """Set down what the files hold, then give it table by table."""
        landing = _Landing(hub)
        try:
            files = fhir_files(Path(self.path))
            notes = landing.draw(files)
            if landing.lost == len(files):
                raise InputError(
                    "not a FHIR bundle or resource" if len(files) == 1 else "none of the files can be read",
                    where=self.path,
                    found=f"{len(files)} damaged",
                    expected="complete files of FHIR R4",
                    fix="ask the provider for them again",
                )
            tables = [table for table in COLUMNS if table == "patients" or landing.counts[table]]
            contained = False
            if self.vocabulary is not None:
                read_concepts(hub, [vocabulary_shelf(self.vocabulary)])
                contained = read_ingredients(hub, [vocabulary_shelf(self.vocabulary)])
            yield Opened(
                {table: partial(landing.streams, table) for table in tables},
                notes,
                (landing.lost, len(files)),
                contained,
            )
        finally:
            drop_vocabulary(hub)
            for table in LANDED:
                hub.connection.execute(f"DROP TABLE IF EXISTS {_landed(table)}")
            hub.connection.execute(f"DROP TABLE IF EXISTS {LISTS}")


def _landed(table: str) -> str:
    return f"intake.__fhir_{table}"


@dataclass
class _Landing:
    """Rows on their way from files into the identified database."""

    hub: Hub
    waiting: dict[str, list[tuple[str | None, ...]]] = field(default_factory=lambda: {t: [] for t in LANDED})
    counts: Counter[str] = field(default_factory=Counter)
    lost: int = 0

    def draw(self, files: list[Path]) -> list[tuple[str, str, int]]:
        """Set down all rows of all files; what was not read is noted."""
        for table, columns in LANDED.items():
            cells = ", ".join(f'"{name}" VARCHAR' for name in columns)
            self.hub.connection.execute(
                f"CREATE TABLE {_landed(table)} "
                f"({cells}, origin VARCHAR, file INTEGER, place BIGINT, said VARCHAR)"
            )
        unread: Counter[str] = Counter()
        medicines = Medicines.of(files)
        for number, path in enumerate(files, 1):
            for entry in draw_entries(path, number):
                kind = entry.kind
                if entry.lost:
                    self.lost += 1
                    self._land("patients", Row({}, fault=entry.fault), DAMAGED, number, entry.place)
                    continue
                if entry.fault is not None:
                    self._land("events", Row({}, fault=entry.fault), BROKEN, number, entry.place)
                    continue
                if kind not in READ:
                    if kind != "Medication":
                        unread[kind if kind.isalpha() and len(kind) < 40 else "unknown type"] += 1
                    continue
                for table, row in rows_of(entry, medicines):
                    self._land(table, row, kind, number, entry.place)
        for table in LANDED:
            self._flush(table)
        self._gather_codes()
        lost = [("patients", LOST, self.lost)] if self.lost else []
        return lost + [("events", f"{kind}: not read", rows) for kind, rows in sorted(unread.items())]

    def _land(self, table: str, row: Row, origin: str, file: int, place: int) -> None:
        fault = row.fault
        cells = []
        for name in LANDED[table]:
            cell = row.cells.get(name)
            try:
                if cell is not None:
                    cell.encode("utf-8")
                cells.append(cell)
            except UnicodeEncodeError:
                # half of a surrogate pair, which JSON can spell and no text can hold
                cells.append(None)
                fault = fault or NOT_TEXT
        self.waiting[table].append((*cells, origin, str(file), str(place), fault))
        self.counts[table] += 1
        if len(self.waiting[table]) >= LANDED_ROWS:
            self._flush(table)

    def _flush(self, table: str) -> None:
        rows = self.waiting[table]
        if rows:
            names = (*LANDED[table], "origin", "file", "place", "said")
            columns = [pa.array([row[i] for row in rows], pa.string()) for i in range(len(names))]
            self.hub.connection.register("__landing", pa.table(columns, names=list(names)))
            self.hub.connection.execute(f"INSERT INTO {_landed(table)} SELECT * FROM __landing")
            self.hub.connection.unregister("__landing")
            rows.clear()

    def _gather_codes(self) -> None:
        """The codes of each encounter, in the order of their ranks."""
        self.hub.connection.execute(
            f"""
            CREATE TABLE {LISTS} AS
            SELECT encounter, list(code ORDER BY place, code) FILTER (system = 'icd10') AS diag,
                list(code ORDER BY place, code) FILTER (system = 'opcs4') AS opcs
            FROM (SELECT l.encounter, c.system, c.code, min(l.rank::INTEGER) AS place
                  FROM {_landed(LINKS)} l JOIN {_landed(CODES)} c USING (resource)
                  WHERE c.code IS NOT NULL GROUP BY ALL)
            GROUP BY encounter
            """
        )

    def _columns(self, table: str) -> dict[str, str]:
        """Canonical columns of a table and the expressions that give them."""
        own = {name: f'"{name}"' for name in COLUMNS[table] if name not in ("encounter", "resource")}
        if table == "events":
            # of an admission, a condition is a diagnosis
            stays = f"(SELECT encounter FROM {_landed('admissions')} WHERE said IS NULL)"
            named = f"(SELECT resource FROM {_landed(LINKS)} WHERE encounter IN {stays})"
            what = "CASE origin WHEN 'Condition' THEN 'diagnosis' WHEN 'Procedure' THEN 'procedure' END"
            return own | {"kind": f"CASE WHEN encounter IN {stays} OR resource IN {named} THEN {what} END"}
        if table != "admissions":
            return own
        kept = (("diag", DIAGNOSES), ("opcs", PROCEDURES))
        return own | {f"{stem}_{i}": f"{stem}[{i}]" for stem, most in kept for i in range(1, most + 1)}

    def streams(self, table: str) -> Iterator[Stream]:
        """One stream for each type of resource that gave rows of the table."""
        found = self.hub.connection.execute(
            f"SELECT origin, count(DISTINCT file), min(rowid), max(rowid) FROM {_landed(table)} "
            "GROUP BY origin ORDER BY origin"
        ).fetchall()
        schema = batch_schema({**dict.fromkeys(self._columns(table), pa.string()), FILE: pa.int32()})
        for origin, files, first, last in found:
            stream = Stream(schema, iter(()), origin=origin, file=files, filed=True)
            stream.batches = self._batches(stream, table, first, last)
            yield stream

    def _batches(self, stream: Stream, table: str, first: int, last: int) -> Iterator[pa.RecordBatch]:
        columns = self._columns(table)
        cells = ", ".join(f'{sql} AS "{name}"' for name, sql in columns.items())
        codes = f"LEFT JOIN {LISTS} USING (encounter)" if table == "admissions" else ""
        for start in range(first, last + 1, DRAWN_ROWS):
            end = min(start + DRAWN_ROWS - 1, last)
            rows = self.hub.connection.execute(
                f"SELECT {cells}, file, said, place FROM (SELECT *, rowid AS row FROM {_landed(table)}) {codes} "
                f"WHERE origin = {quoted(stream.origin)} AND row BETWEEN {start} AND {end} ORDER BY row"
            ).to_arrow_table()
            if not rows.num_rows:
                continue
            texts = [one_line(rows.column(name).combine_chunks().cast(pa.string())) for name in columns]
            trimmed, lines, fault = judged(texts)
            said = pc.coalesce(rows.column("said").combine_chunks().cast(pa.string()), fault)
            stream.read += rows.num_rows
            place = rows.column("place").combine_chunks()
            yield pa.record_batch(
                [*trimmed, rows.column("file").combine_chunks(), lines, said, place], schema=stream.schema
            )
