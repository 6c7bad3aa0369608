"""What a provider's tables look like, and how each cell is checked.

One literal dict, :data:`TABLES`, says it all: a new record table is one entry. A cell is either good,
blank, or a reason; the reason is a fixed sentence that names the column and never the value.

Decisions. In record tables a cell that cannot be read refuses the row. In ``patients`` an unreadable
birth date, an unknown sex code or a wrong NHS number does not: the person's records would go with the
row, so the cell becomes blank and a note counts it. Dates are ISO (``YYYY-MM-DD``, a time of day is
dropped) unless the source declares another form, because a guess between day-first and month-first is
wrong for twelve days of every month. Codes are put in capitals without dots, save Read codes, in which
case and dots carry meaning. A withdrawal counts whatever its date says, and none is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from cohorts.hub import OPEN_END
from cohorts.identifiers import nhs_digits_sql, nhs_number_sql, no_sex_sql, sex_sql

Kind = Literal[
    "text",
    "date",
    "precision",
    "number",
    "year",
    "decile",
    "flag",
    "objection",
    "system",
    "code",
    "record",
    "nhs",
    "sex",
]

EARLIEST = "1880-01-01"
LATEST = "2100-01-01"

SYSTEMS: Mapping[str, str] = {
    "snomed": "snomed",
    "snomedct": "snomed",
    "sct": "snomed",
    "icd10": "icd10",
    "opcs4": "opcs4",
    "opcs": "opcs4",
    "bnf": "bnf",
    "dmd": "dmd",
    "dm+d": "dmd",
    "read2": "read2",
    "readv2": "read2",
    "ctv3": "ctv3",
    "loinc": "loinc",
    "rxnorm": "rxnorm",
    "icd10cm": "icd10cm",
    "icd9cm": "icd9cm",
    "cvx": "cvx",
    "atc": "atc",
    "cprdmedcode": "cprd_medcode",
    "medcodeid": "cprd_medcode",
    "cprdprodcode": "cprd_prodcode",
    "prodcodeid": "cprd_prodcode",
    # concepts of an OMOP vocabulary, where the code behind the concept is not known
    "omop": "omop",
}

# what a row of events may be: an entry of a record, the reason of a contact, a diagnosis or an operation of a stay in
# hospital
RECORDS = ("event", "contact", "diagnosis", "procedure")
PRECISIONS = ("day", "month", "year")
YEAR_ONLY = "birth_date: only the year is known, ages may be half a year out, linked on the year at most"
MONTH_ONLY = "birth_date: only year and month are known, linked on these at most"

NOT_ISO = "not an ISO date (YYYY-MM-DD)"
NOT_DECLARED = "not a date of the declared form"
NO_KNOWN_SEX = "code not recognised, kept as unknown"
UNREAD = (NOT_ISO, NOT_DECLARED, NO_KNOWN_SEX)
"""What is said, after its name, of a cell of :data:`DECISIVE` that could not be read."""

DECISIVE: Mapping[str, tuple[str, ...]] = {
    "patients": ("birth_date", "sex"),
    "registrations": ("start", "end"),
    "events": ("date",),
    "prescriptions": ("date",),
    "admissions": ("admission_date", "discharge_date"),
    "contacts": ("date",),
    "care": ("start", "end"),
    "addresses": ("start", "end"),
    "deaths": ("date",),
}
"""Columns by which people are linked, aged or followed: where many cells cannot be read, no study should go on."""

# as many as an episode of English hospital records has
DIAGNOSES = 20
PROCEDURES = 24

DIGITS = ("snomed", "dmd", "rxnorm", "cvx", "cprd_medcode", "cprd_prodcode", "omop")


@dataclass(frozen=True)
class Field:
    """One column.

    Attributes
    ----------
    name
        Our name of it.
    kind
        What a cell means and so how it is read.
    required
        A blank cell refuses the row.
    soft
        An unreadable cell becomes blank and is noted, and the row is kept.
    may_lack
        The column may be absent from the file (numbered columns after the first).
    system
        Code system of a ``code`` column, where the table has no ``system`` column; of a ``system`` column, what a
        blank means.
    """

    name: str
    kind: Kind = "text"
    required: bool = False
    soft: bool = False
    may_lack: bool = False
    system: str | None = None


@dataclass(frozen=True)
class TableSpec:
    """One table: its columns, the pair that must be in order, and the columns no two rows may share."""

    fields: tuple[Field, ...]
    span: tuple[str, str] | None = None
    unique: tuple[str, ...] = ()

    def field(self, name: str) -> Field:
        """The column of that name."""
        return next(field for field in self.fields if field.name == name)


def _codes(stem: str, count: int, system: str | None, *, first_required: bool = False) -> tuple[Field, ...]:
    return tuple(
        Field(f"{stem}_{i}", "code", system=system, may_lack=i > 1, required=first_required and i == 1)
        for i in range(1, count + 1)
    )


_PATIENT = Field("patient_id", required=True)
_DATED_CODE = (_PATIENT, Field("date", "date", required=True), Field("system", "system", required=True))

TABLES: Mapping[str, TableSpec] = {
    "patients": TableSpec(
        (
            _PATIENT,
            Field("nhs_number", "nhs", soft=True),
            Field("given_name"),
            Field("family_name"),
            Field("birth_date", "date", soft=True),
            # blank: to the day; what is not known of the date is filled in and is not to be compared
            Field("birth_precision", "precision", soft=True, may_lack=True),
            Field("sex", "sex", soft=True),
            Field("postcode"),
            # More to link by, and to judge the linkage by, where a source has it.
            Field("email", may_lack=True),
            Field("phone", may_lack=True),
            Field("address", may_lack=True),
            Field("ethnicity", may_lack=True),
        )
    ),
    "registrations": TableSpec(
        (_PATIENT, Field("practice"), Field("start", "date", required=True), Field("end", "date")),
        span=("start", "end"),
    ),
    "events": TableSpec(
        (
            *_DATED_CODE,
            Field("code", "code", required=True),
            Field("value", "number"),
            Field("unit"),
            # blank: an event
            Field("kind", "record", may_lack=True),
        )
    ),
    "prescriptions": TableSpec((*_DATED_CODE, Field("code", "code", required=True))),
    "admissions": TableSpec(
        (
            _PATIENT,
            Field("admission_date", "date", required=True),
            Field("discharge_date", "date"),
            *_codes("diag", DIAGNOSES, "icd10"),
            *_codes("opcs", PROCEDURES, "opcs4"),
        ),
        span=("admission_date", "discharge_date"),
    ),
    "contacts": TableSpec((*_DATED_CODE, Field("code", "code", required=True))),
    "care": TableSpec(
        (_PATIENT, Field("start", "date", required=True), Field("end", "date"), Field("care_type")),
        span=("start", "end"),
    ),
    "addresses": TableSpec(
        (
            _PATIENT,
            Field("area", required=True),
            Field("start", "date", required=True),
            Field("end", "date"),
        ),
        span=("start", "end"),
    ),
    "deaths": TableSpec(
        (
            _PATIENT,
            Field("date", "date", required=True),
            Field("system", "system", may_lack=True, system="icd10"),
            Field("underlying", "code"),
            *_codes("contributory", 3, None),
        )
    ),
    "samples": TableSpec(
        (_PATIENT, Field("sample_id", required=True), Field("collected", "date", soft=True)),
        unique=("sample_id",),
    ),
    # Both soft: a row with an unreadable consent may carry a withdrawal, and no consent is the safe reading.
    "consents": TableSpec(
        (_PATIENT, Field("consented", "flag", soft=True), Field("withdrawn", "objection", soft=True))
    ),
}

REGION_TABLES: Mapping[str, TableSpec] = {
    "optouts": TableSpec((Field("nhs_number", required=True), Field("date", "date", soft=True))),
    "pollution": TableSpec(
        (
            Field("area", required=True),
            Field("year", "year", required=True),
            Field("pm25", "number"),
            Field("no2", "number"),
        ),
        unique=("area", "year"),
    ),
    "deprivation": TableSpec(
        (Field("area", required=True), Field("imd_decile", "decile", required=True)), unique=("area",)
    ),
}

_TYPES: Mapping[str, str] = {
    "date": "DATE",
    "objection": "DATE",
    "number": "DOUBLE",
    "year": "INTEGER",
    "decile": "INTEGER",
    "flag": "BOOLEAN",
}


def column_types(field: Field) -> list[tuple[str, str]]:
    """Columns (name, DuckDB type) that a field becomes: a consent also keeps its date.

    >>> column_types(Field("consented", "flag"))
    [('consented', 'BOOLEAN'), ('consented_on', 'DATE')]
    """
    columns = [(field.name, _TYPES.get(field.kind, "VARCHAR"))]
    if field.kind == "flag":
        columns.append((f"{field.name}_on", "DATE"))
    return columns


def date_sql(text: str, form: str | None) -> str:
    """Expression that reads a date from text: strict ISO, or the declared strptime form.

    >>> date_sql("x", "%d/%m/%Y")
    "CAST(try_strptime(x, '%d/%m/%Y') AS DATE)"
    """
    if form is not None:
        return f"CAST(try_strptime({text}, '{form.replace(chr(39), chr(39) * 2)}') AS DATE)"
    # a plain ISO date is one that reads back as itself; the pattern is tried only on the others
    plain = f"TRY_CAST({text} AS DATE)"
    iso = r"\d{4}-\d{2}-\d{2}[ T]\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:?\d{2})?"
    return (
        f"(CASE WHEN CAST({plain} AS VARCHAR) = {text} THEN {plain} "
        f"WHEN regexp_full_match({text}, '{iso}') THEN TRY_CAST(substr({text}, 1, 10) AS DATE) END)"
    )


def system_sql(text: str) -> str:
    """Expression that puts a code system into our spelling; NULL if it is not known.

    >>> "'sct'" in system_sql("x")
    True
    """
    plain = f"regexp_replace(lower({text}), '[ _-]', '', 'g')"
    same = " ".join(f"WHEN '{name}' THEN '{name}'" for name in sorted(set(SYSTEMS.values())))
    choices = " ".join(f"WHEN '{theirs}' THEN '{ours}'" for theirs, ours in SYSTEMS.items())
    return f"(CASE {text} {same} ELSE (CASE {plain} {choices} END) END)"


def code_sql(text: str, system: str) -> str:
    """Expression that puts a code into its one form; ``system`` is an SQL expression.

    Capitals, no dots, spaces or dagger signs. Of ICD-10, what English hospitals add goes too: the filler X of
    three-character codes (``I10X``) and the A or D that stands for asterisk or dagger. Read codes keep case and
    dots.

    >>> "read2" in code_sql("c", "'icd10'")
    True
    """
    plain = (
        f"(CASE WHEN regexp_full_match({text}, '[0-9A-Z]+') THEN {text} "
        f"ELSE upper(regexp_replace({text}, '[.\\s†*]', '', 'g')) END)"
    )
    mark = "'^([A-Z][0-9]{2}[0-9X][0-9X]?)[AD]$'"
    unmarked = f"(CASE WHEN length({plain}) > 4 THEN regexp_replace({plain}, {mark}, '\\1') ELSE {plain} END)"
    return (
        f"nullif((CASE WHEN {system} = 'read2' OR {system} = 'ctv3' THEN {text} WHEN {system} <> 'icd10' THEN {plain} "
        f"WHEN length({unmarked}) = 4 THEN rtrim({unmarked}, 'X') ELSE {unmarked} END), '')"
    )


@dataclass(frozen=True)
class CellSql:
    """How one field is read.

    Attributes
    ----------
    columns
        (expression, name) of the columns it gives.
    faults
        (condition, sentence): the row is refused. Conditions may name the columns.
    notes
        (condition, sentence): the row is kept and counted.
    """

    columns: tuple[tuple[str, str], ...]
    faults: tuple[tuple[str, str], ...]
    notes: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class _Cell:
    """One field, the expression of its raw cell (NULL when blank), and how the file stores it."""

    field: Field
    raw: str
    is_date: bool
    form: str | None
    until: str

    @property
    def name(self) -> str:
        return self.field.name

    @property
    def read(self) -> str:
        """The column that holds the cell once read."""
        return f'"{self.field.name}"'

    @property
    def date(self) -> str:
        return self.raw if self.is_date else date_sql(self.raw, self.form)

    def unless(self, good: str, fault: str) -> tuple[str, str]:
        """A condition that holds where there is a cell and it is not good, with its sentence."""
        return f"{self.raw} IS NOT NULL AND NOT coalesce({good}, false)", f"{self.name}: {fault}"


_Read = tuple[list[tuple[str, str]], list[tuple[str, str]]]


def _text(cell: _Cell) -> _Read:
    return [(cell.raw, cell.name)], []


def _date(cell: _Cell) -> _Read:
    """An open end may be written as :data:`OPEN_END`."""
    unread = NOT_ISO if cell.form is None else NOT_DECLARED
    bad = [
        cell.unless(f"{cell.read} IS NOT NULL", unread),
        (f"{cell.read} < DATE '{EARLIEST}'", f"{cell.name}: before {EARLIEST[:4]}"),
        (
            f"{cell.read} > DATE '{cell.until}' AND {cell.read} <> DATE '{OPEN_END}'",
            f"{cell.name}: after the end of the records",
        ),
    ]
    return [(cell.date, cell.name)], bad


def _precision(cell: _Cell) -> _Read:
    """How much of the birth date is known; what cannot be read is taken for the least."""
    said = f"lower({cell.raw})"
    known = f"(CASE WHEN {said} IN {PRECISIONS} THEN {said} WHEN {cell.raw} IS NOT NULL THEN 'year' END)"
    return [(known, cell.name)], [
        cell.unless(f"{said} IN {PRECISIONS}", "neither day, month nor year, taken as year"),
        (f"{cell.read} = 'year' AND birth_date IS NOT NULL", YEAR_ONLY),
        (f"{cell.read} = 'month' AND birth_date IS NOT NULL", MONTH_ONLY),
    ]


def _number(cell: _Cell) -> _Read:
    return [(f"TRY_CAST({cell.raw} AS DOUBLE)", cell.name)], [
        cell.unless(f"isfinite({cell.read})", "not a number")
    ]


def _whole(cell: _Cell, low: int, high: int) -> _Read:
    plain = f"regexp_full_match({cell.raw}, '[0-9]{{1,4}}(\\.0)?')"
    number = f"(CASE WHEN {plain} THEN TRY_CAST({cell.raw} AS INTEGER) END)"
    fault = cell.unless(f"{cell.read} BETWEEN {low} AND {high}", f"not a whole number from {low} to {high}")
    return [(number, cell.name)], [fault]


def _year(cell: _Cell) -> _Read:
    return _whole(cell, int(EARLIEST[:4]), int(LATEST[:4]))


def _decile(cell: _Cell) -> _Read:
    return _whole(cell, 1, 10)


def _flag(cell: _Cell) -> _Read:
    """Yes, no, or the date of saying yes; a blank is no."""
    dated = f"{cell.date} IS NOT NULL"
    yes = "false" if cell.is_date else f"lower({cell.raw}) IN ('1', '1.0', 'true', 'yes', 'y', 't')"
    no = "false" if cell.is_date else f"lower({cell.raw}) IN ('0', '0.0', 'false', 'no', 'n', 'f')"
    said = f"(CASE WHEN {cell.raw} IS NULL OR {no} THEN false WHEN {yes} OR {dated} THEN true END)"
    fault = cell.unless(f"{cell.read} IS NOT NULL", "neither yes, no nor a date")
    return [(said, cell.name), (cell.date, f"{cell.name}_on")], [fault]


def _objection(cell: _Cell) -> _Read:
    """The day of withdrawing; whatever is not blank and not a plain no is a withdrawal, dated or not."""
    no = "false" if cell.is_date else f"lower({cell.raw}) IN ('0', '0.0', 'false', 'no', 'n', 'f')"
    day = f"coalesce({cell.date}, DATE '{EARLIEST}')"
    when = f"(CASE WHEN {cell.raw} IS NULL OR {no} THEN NULL ELSE {day} END)"
    undated = f"{cell.read} IS NULL OR {cell.read} <> DATE '{EARLIEST}'"
    return [(when, cell.name)], [cell.unless(undated, "not dated, taken as withdrawn")]


def _system(cell: _Cell) -> _Read:
    known = system_sql(cell.raw)
    if cell.field.system is not None:
        known = f"(CASE WHEN {cell.raw} IS NULL THEN '{cell.field.system}' ELSE {known} END)"
    return [(known, cell.name)], [cell.unless(f"{cell.read} IS NOT NULL", "not a known code system")]


def _code(cell: _Cell) -> _Read:
    system = f"'{cell.field.system}'" if cell.field.system else '"system"'
    plain = (
        f"(CASE WHEN {system} IN {DIGITS} THEN regexp_full_match({cell.read}, '[0-9]+') "
        f"ELSE regexp_full_match({cell.read}, '[0-9A-Za-z.+-]+') END)"
    )
    return [(code_sql(cell.raw, system), cell.name)], [cell.unless(plain, "signs that no code has")]


def _record(cell: _Cell) -> _Read:
    said = f"lower({cell.raw})"
    return [(f"(CASE WHEN {said} IN {RECORDS} THEN {said} END)", cell.name)], [
        cell.unless(f"{cell.read} IS NOT NULL", f"not one of {', '.join(RECORDS)}")
    ]


def _nhs(cell: _Cell) -> _Read:
    valid = nhs_number_sql(nhs_digits_sql(cell.raw))
    fault = cell.unless(f"{valid} IS NOT NULL", "fails its check, not used to link directly")
    return [(cell.raw, cell.name)], [fault]


def _sex(cell: _Cell) -> _Read:
    return [(sex_sql(cell.raw), cell.name)], [
        cell.unless(f"{cell.read} IS NOT NULL OR {no_sex_sql(cell.raw)}", NO_KNOWN_SEX),
        (no_sex_sql(cell.raw), f"{cell.name}: given as unknown"),
    ]


_KINDS: Mapping[Kind, Callable[[_Cell], _Read]] = {
    "text": _text,
    "date": _date,
    "precision": _precision,
    "number": _number,
    "year": _year,
    "decile": _decile,
    "flag": _flag,
    "objection": _objection,
    "system": _system,
    "code": _code,
    "record": _record,
    "nhs": _nhs,
    "sex": _sex,
}


def cell_sql(field: Field, raw: str, *, is_date: bool, form: str | None, until: str) -> CellSql:
    """SQL that reads one field.

    Parameters
    ----------
    field
        The column.
    raw
        Expression of the cell: trimmed text that is NULL when blank, or a DATE if ``is_date``.
    is_date
        The file stores the cell as a date or a time.
    form
        Declared strptime form of text dates, or None for ISO.
    until
        Last date a record may bear (ISO).

    Examples
    --------
    >>> sex = Field("sex", "sex", soft=True)
    >>> cell_sql(sex, "x", is_date=False, form=None, until=LATEST).notes[0][1]
    'sex: code not recognised, kept as unknown'
    """
    columns, bad = _KINDS[field.kind](_Cell(field, raw, is_date, form, until))
    blank = [(f"{raw} IS NULL", f"{field.name}: blank")] if field.required else []
    if field.soft:
        return CellSql(tuple(columns), tuple(blank), tuple(bad))
    return CellSql(tuple(columns), (*blank, *bad), ())
