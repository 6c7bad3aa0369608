"""Reading what providers hand over into the identified intake, with every row accounted for.

The intake is a DuckDB database of its own (schema ``intake``): it holds names and NHS numbers, and it is
closed and deleted once the pseudonymous hub has been built from it. For every table
``read = accepted + rejected`` holds and is asserted: *read* is counted while the file is drawn,
*accepted* is counted in the table at the end, *rejected* is the sum over reasons.

Records carry ``record``, the running number of their row in ``intake.patients``. Patients of one source
are numbered in the order of their ``patient_id``, so the order of lines in a file changes nothing.

Refused rows are kept in ``intake.rejects`` as what a data manager needs to find them again and no more: where they
lie (source, table, what holds them, number of the file, number of the row) and why; never what was in them.
Rows pass through in chunks, so that a table's size is a matter of the disk.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

import pandas as pd
import pyarrow as pa

from cohorts.errors import InputError
from cohorts.hub import Hub
from cohorts.models.protocol import Opened, SourceModel
from cohorts.models.vocabulary import INGREDIENTS_ADDED, add_ingredients
from cohorts.observed import COLUMNS as OBSERVED
from cohorts.observed import ObservedByRecords, observe_by_records
from cohorts.readers import open_streams
from cohorts.staging import (
    STAGED,
    STREAM,
    create_staged,
    refuse_repeated_keys,
    refuse_repeated_patients,
    stage,
    staged_cells,
    staged_counts,
    staged_notes,
)
from cohorts.streams import FILE, LINES, RAGGED, ROW, Stream
from cohorts.table_source import TableSource
from cohorts.tables import DECISIVE, LATEST, REGION_TABLES, TABLES, TableSpec, column_types
from cohorts.without_rows import WithoutRows

__all__ = ["Intake", "TableSource", "drop_intake", "read_sources"]

REJECTS = "intake.rejects"
UNREAD_COLUMNS = ("source", "table", "column", "form", "filled", "unread")


@dataclass(frozen=True, repr=False)
class Intake(WithoutRows):
    """What was read.

    Attributes
    ----------
    counts
        ``source``, ``table``, ``read``, ``accepted``, ``rejected``: one row a table; always
        ``read = accepted + rejected``.
    rejects
        ``source``, ``table``, ``reason``, ``rows``: why rows were refused.
    notes
        ``source``, ``table``, ``note``, ``rows``: cells made blank in rows that were kept, and what a source holds
        that is not read.
    sources
        Names of the sources in the order given, which breaks ties between them.
    origins
        ``source``, ``table``, ``origin``, ``files``, ``read``, ``accepted``, ``rejected``: the same account by what
        holds the rows, such as the tables of an OMOP database that make up ``events``.
    lost
        ``source``, ``files``, ``lost``: files that could not be read at all, of sources that have some; how many
        rows went with them nobody can say.
    observed
        ``source``, ``tables``, ``least_days``, ``people``, ``short``, ``without``: sources whose records stand in for
        registrations, and how many people count as observed (:mod:`cohorts.observed`).
    unread
        ``source``, ``table``, ``column``, ``form``, ``filled``, ``unread``: cells of the columns of
        :data:`cohorts.tables.DECISIVE` that could not be read, of how many that are filled; only columns that have
        some. ``form`` is the declared ``date_format`` ('' for none).
    """

    counts: pd.DataFrame
    rejects: pd.DataFrame
    notes: pd.DataFrame
    sources: tuple[str, ...]
    origins: pd.DataFrame
    lost: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=["source", "files", "lost"]))
    observed: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=list(OBSERVED)))
    unread: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=list(UNREAD_COLUMNS)))

    def worst_shares(self, source: str) -> Iterator[tuple[str, int, int]]:
        """What was refused of a source, of how much: ``table``, rows or files refused, and read.

        Files that could not be read count as a table of files, and the filled cells of a decisive column of patients,
        whose rows are kept without it, as a table of their own (``patients.birth_date``).
        """
        lost = self.lost[self.lost["source"] == source]
        yield from (("files", int(bad), int(of)) for bad, of in zip(lost["lost"], lost["files"], strict=True))
        counts = self.counts[self.counts["source"] == source]
        for table, refused, read in zip(counts["table"], counts["rejected"], counts["read"], strict=True):
            yield str(table), int(refused), int(read)
        noted = self.unread[(self.unread["source"] == source) & (self.unread["table"] == "patients")]
        for column, bad, filled in zip(noted["column"], noted["unread"], noted["filled"], strict=True):
            yield f"patients.{column}", int(bad), int(filled)


def read_sources(
    hub: Hub,
    sources: Mapping[str, Mapping[str, TableSource] | SourceModel],
    region: Mapping[str, TableSource] | None = None,
    *,
    until: str = LATEST,
    editions: Mapping[str, str] | None = None,
    observed: Mapping[str, ObservedByRecords] | None = None,
) -> Intake:
    """Read all tables of all sources into the identified intake.

    Parameters
    ----------
    hub
        An identified hub of its own, from :func:`cohorts.hub.connect`; the schema ``intake`` is made in it.
    sources
        Source name to table name to file, or to a model of :mod:`cohorts.models` that knows the source's own
        layout. Table names are those of :data:`cohorts.tables.TABLES`, and every source needs ``patients``.
    region
        Tables about the region: ``optouts``, ``pollution``, ``deprivation``.
    until
        ISO date; rows dated later are refused.
    editions
        Source name to the edition of ICD-10 that it codes in, where that is known.
    observed
        Source name to how its records stand in for registrations, where it has none and that is wanted.

    Returns
    -------
    Intake

    Raises
    ------
    InputError
        A file is missing or unreadable, or lacks a column; a table name is unknown; a source has no
        patients, or has registrations although its records are to stand in for them.
    """
    declared = {name: tables for name, tables in sources.items() if isinstance(tables, Mapping)}
    _check_names(declared, region or {})
    hub.connection.execute("CREATE SCHEMA intake")
    hub.connection.execute(
        "CREATE TABLE intake.sources (position INTEGER, source VARCHAR, icd10_edition VARCHAR, observed VARCHAR)"
    )
    hub.connection.execute(
        f"CREATE TABLE {REJECTS} "
        '(source VARCHAR, "table" VARCHAR, origin VARCHAR, file INTEGER, "row" BIGINT, lines INTEGER, reason VARCHAR)'
    )
    for name, spec in TABLES.items():
        _create(hub, f"intake.{name}", spec, keyed=True)
    for name, spec in REGION_TABLES.items():
        _create(hub, f"intake.{name}", spec, keyed=False)
    account = _Account()
    for position, (source, given) in enumerate(sources.items()):
        hub.connection.execute(
            "INSERT INTO intake.sources VALUES (?, ?, ?, NULL)",
            [position, source, (editions or {}).get(source)],
        )
        model = _DeclaredTables(given) if isinstance(given, Mapping) else given
        with model.opened(hub) as opened:
            for table in sorted(opened.tables, key=list(TABLES).index):
                reading = _Reading(hub, source, table, TABLES[table], until)
                account.add(source, table, reading.read(opened.tables[table]()))
            account.notes += [(source, table, note, rows) for table, note, rows in opened.notes]
            if opened.by_ingredient and (rows := add_ingredients(hub, source)):
                account.notes.append((source, "prescriptions", INGREDIENTS_ADDED, rows))
            if opened.lost[0]:
                account.lost.append((source, opened.lost[1], opened.lost[0]))
        if (rule := (observed or {}).get(source)) is not None:
            account.observed.append(observe_by_records(hub, source, rule))
    for table, where in (region or {}).items():
        reading = _Reading(hub, None, table, REGION_TABLES[table], until)
        account.add("region", table, reading.read(open_streams(where, REGION_TABLES[table], table)))
    return account.intake(tuple(sources))


@dataclass(frozen=True)
class _DeclaredTables:
    """A source whose files are named one by one."""

    tables: Mapping[str, TableSource]

    @contextmanager
    def opened(self, hub: Hub) -> Iterator[Opened]:
        def streams(table: str) -> Iterable[Stream]:
            return open_streams(self.tables[table], TABLES[table], table)

        yield Opened({table: partial(streams, table) for table in self.tables})


@dataclass
class _Account:
    counts: list[tuple[str, str, int, int, int]] = field(default_factory=list)
    origins: list[tuple[str, str, str, int, int, int, int]] = field(default_factory=list)
    rejects: list[tuple[str, str, str, int]] = field(default_factory=list)
    notes: list[tuple[str, str, str, int]] = field(default_factory=list)
    lost: list[tuple[str, int, int]] = field(default_factory=list)
    observed: list[pd.DataFrame] = field(default_factory=list)
    unread: list[tuple[str, str, str, str, int, int]] = field(default_factory=list)

    def add(self, source: str, table: str, outcome: _Outcome) -> None:
        read, accepted, rejected = (
            sum(getattr(part, name) for part in outcome.origins.values())
            for name in ("read", "accepted", "rejected")
        )
        if read != accepted + rejected or rejected != outcome.reasons.total():
            raise AssertionError(
                f"{source} {table}: {read} rows read, {accepted} accepted, {rejected} rejected"
            )
        self.counts.append((source, table, read, accepted, rejected))
        for origin, part in outcome.origins.items():
            self.origins.append((source, table, origin, part.files, part.read, part.accepted, part.rejected))
        self.rejects += [(source, table, reason, rows) for reason, rows in sorted(outcome.reasons.items())]
        self.notes += [(source, table, note, rows) for note, rows in sorted(outcome.notes.items())]
        self.unread += [
            (source, table, column, outcome.form, outcome.filled[column], bad)
            for column, bad in outcome.unread.items()
            if bad
        ]

    def intake(self, sources: tuple[str, ...]) -> Intake:
        account = ["read", "accepted", "rejected"]
        return Intake(
            pd.DataFrame(self.counts, columns=["source", "table", *account]),
            pd.DataFrame(self.rejects, columns=["source", "table", "reason", "rows"]),
            pd.DataFrame(self.notes, columns=["source", "table", "note", "rows"]),
            sources,
            pd.DataFrame(self.origins, columns=["source", "table", "origin", "files", *account]),
            pd.DataFrame(self.lost, columns=["source", "files", "lost"]),
            pd.concat(self.observed, ignore_index=True)
            if self.observed
            else pd.DataFrame(columns=list(OBSERVED)),
            pd.DataFrame(self.unread, columns=list(UNREAD_COLUMNS)),
        )


def drop_intake(hub: Hub) -> None:
    """Drop every table of the identified hub and close it.

    A file that held identifiers still has to be deleted afterwards (DuckDB frees blocks, it does not wipe
    them); the caller, who chose its path, does that.
    """
    connection = hub.connection
    for view, _ in connection.execute(
        "SELECT view_name, 1 FROM duckdb_views() WHERE NOT internal"
    ).fetchall():
        connection.execute(f'DROP VIEW IF EXISTS "{view}"')
    for name in hub.tables():
        quoted = ".".join(f'"{part}"' for part in name.split("."))
        connection.execute(f"DROP TABLE {quoted}")
    hub.close()


@dataclass
class _Part:
    """The account of one origin of a table."""

    files: int = 0
    read: int = 0
    accepted: int = 0
    rejected: int = 0


@dataclass
class _Outcome:
    origins: dict[str, _Part] = field(default_factory=dict)
    reasons: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)
    filled: Counter[str] = field(default_factory=Counter)
    unread: Counter[str] = field(default_factory=Counter)
    form: str = ""


def _check_names(sources: Mapping[str, Mapping[str, TableSource]], region: Mapping[str, TableSource]) -> None:
    for source, tables in sources.items():
        unknown = sorted(set(tables) - set(TABLES))
        if unknown:
            raise InputError(
                "unknown table",
                where=f"source {source!r}",
                found=", ".join(unknown),
                expected=", ".join(TABLES),
            )
        if "patients" not in tables:
            raise InputError(
                "no patients table",
                where=f"source {source!r}",
                found=", ".join(tables) or "nothing",
                expected="patients, which the other tables refer to",
            )
    unknown = sorted(set(region) - set(REGION_TABLES))
    if unknown:
        raise InputError(
            "unknown table", where="region", found=", ".join(unknown), expected=", ".join(REGION_TABLES)
        )


def _columns(spec: TableSpec, *, keyed: bool) -> list[tuple[str, str]]:
    """Columns of an intake table; only ``patients`` keeps ``patient_id``, the others point at it."""
    own = [column for field in spec.fields for column in column_types(field)]
    if not keyed:
        return own
    if spec is not TABLES["patients"]:
        own = [column for column in own if column[0] != "patient_id"]
    return [("record", "INTEGER"), ("source", "VARCHAR"), *own]


def _create(hub: Hub, name: str, spec: TableSpec, *, keyed: bool) -> None:
    columns = ", ".join(f'"{column}" {kind}' for column, kind in _columns(spec, keyed=keyed))
    hub.connection.execute(f"CREATE TABLE {name} ({columns})")


@dataclass
class _Reading:
    """One table of one source on its way into the intake."""

    hub: Hub
    source: str | None
    table: str
    spec: TableSpec
    until: str
    outcome: _Outcome = field(default_factory=_Outcome)
    streams: list[Stream] = field(default_factory=list)

    def read(self, streams: Iterable[Stream]) -> _Outcome:
        """Draw, judge and move all streams of the table."""
        linked_to = None if self.table == "patients" else self.source
        # rows of one key must be seen together
        whole = self.table == "patients" or bool(self.spec.unique)
        create_staged(self.hub, self.spec, linked=linked_to is not None)
        try:
            for number, stream in enumerate(streams):
                self.streams.append(stream)
                self.outcome.form = stream.date_format or self.outcome.form
                part = self.outcome.origins.setdefault(stream.origin, _Part())
                part.files += stream.file if stream.filed else 1
                seen = 0
                chunks = stage(self.hub, stream, self.spec, number=number, source=linked_to, until=self.until)
                for lines in chunks:
                    seen += lines
                    if not whole:
                        self._flush()
                part.read += seen if stream.filtered else stream.read
                if not stream.filtered:
                    self._refuse_ragged(stream, part)
            if self.table == "patients":
                refuse_repeated_patients(self.hub)
            elif whole:
                refuse_repeated_keys(self.hub, self.spec)
            self._flush()
        finally:
            self.hub.connection.execute(f"DROP TABLE IF EXISTS {STAGED}")
        return self.outcome

    def _flush(self) -> None:
        """Count and move what is staged; accepted rows are counted in the table where they end."""
        judged = staged_counts(self.hub)
        for number, (_, refused) in judged.items():
            self.outcome.origins[self.streams[number].origin].rejected += refused
        for note, rows in staged_notes(self.hub):
            self.outcome.notes[note] += rows
        for column in DECISIVE.get(self.table, ()):
            filled, unread = staged_cells(self.hub, column)
            self.outcome.filled[column] += filled
            self.outcome.unread[column] += unread
        if any(refused for _, refused in judged.values()):
            self._keep_rejects()
        moved = _move(self.hub, self.source, self.table, self.spec)
        for number, (accepted, _) in judged.items():
            self.outcome.origins[self.streams[number].origin].accepted += accepted
            moved -= accepted
        if moved:
            raise AssertionError(
                f"{self.source} {self.table}: rows accepted and rows moved differ by {moved}"
            )
        # made anew: deleted rows would keep their room
        create_staged(self.hub, self.spec, linked=self.source is not None and self.table != "patients")

    def _keep_rejects(self) -> None:
        connection = self.hub.connection
        for reason, rows in connection.execute(
            f"SELECT __reason, sum({LINES})::BIGINT FROM {STAGED} WHERE __reason IS NOT NULL GROUP BY 1"
        ).fetchall():
            self.outcome.reasons[reason] += rows
        places = [(number, stream.origin) for number, stream in enumerate(self.streams)]
        connection.register("__places", pd.DataFrame(places, columns=["number", "origin"]))
        connection.execute(
            f"INSERT INTO {REJECTS} SELECT ?, ?, origin, {FILE}, {ROW}, {LINES}, __reason "
            f"FROM {STAGED} JOIN __places ON number = {STREAM} WHERE __reason IS NOT NULL",
            [self.source or "region", self.table],
        )
        connection.unregister("__places")

    def _refuse_ragged(self, stream: Stream, part: _Part) -> None:
        lines = sum(stream.ragged[1::2])
        if not lines:
            return
        part.rejected += lines
        self.outcome.reasons[RAGGED] += lines
        kept = pa.table({"number": list(stream.ragged[::2]), "lines": list(stream.ragged[1::2])})
        self.hub.connection.register("__ragged", kept)
        self.hub.connection.execute(
            f"INSERT INTO {REJECTS} SELECT ?, ?, ?, ?, number, lines, ? FROM __ragged",
            [self.source or "region", self.table, stream.origin, stream.file, RAGGED],
        )
        self.hub.connection.unregister("__ragged")


def _move(hub: Hub, source: str | None, table: str, spec: TableSpec) -> int:
    """Move accepted rows to their intake table and count them there."""
    connection = hub.connection
    target = f"intake.{table}"
    columns = _columns(spec, keyed=source is not None)
    selected = []
    for name, _ in columns:
        if name == "source" and source is not None:
            selected.append("$source")
        elif name == "record" and table == "patients":
            selected.append(
                "(SELECT count(*) FROM intake.patients) + row_number() OVER (ORDER BY patient_id) - 1"
            )
        else:
            selected.append(f'"{name}"')
    before = connection.execute(f"SELECT count(*) FROM {target}").fetchone()
    connection.execute(
        f"INSERT INTO {target} SELECT {', '.join(selected)} FROM {STAGED} WHERE __reason IS NULL",
        {"source": source} if source is not None else {},
    )
    after = connection.execute(f"SELECT count(*) FROM {target}").fetchone()
    assert before is not None
    assert after is not None
    return int(after[0]) - int(before[0])
