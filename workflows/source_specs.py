"""Sources as a study file declares them: files named table by table, or a layout that careome knows.

A password is never in a study file: a server's connection string is taken from an environment variable that the
file names.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationInfo,
    field_validator,
    model_validator,
)

from cohorts.errors import InputError, StudyError
from cohorts.models import CprdAurumSource, FhirSource, OmopSource, PostgresSource, SourceModel
from cohorts.models.omop import COLUMNS
from cohorts.observed import ObservedByRecords
from cohorts.table_source import TableSource, found_files
from cohorts.tables import TABLES
from phenotypes.rulespec import fault_at


def _from_study_folder(path: Path, info: ValidationInfo) -> Path:
    folder = (info.context or {}).get("folder")
    return path if folder is None or path.is_absolute() else Path(folder) / path


StudyPath = Annotated[Path, AfterValidator(_from_study_folder)]
Variable = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
System = Literal[
    "snomed", "icd10", "opcs4", "bnf", "dmd", "read2", "ctv3", "loinc", "rxnorm", "icd10cm", "icd9cm", "cvx",
    "atc", "cprd_medcode", "cprd_prodcode", "omop",
]  # fmt: skip
Edition = Literal["2016", "2019"]

# of each, what a strptime form must have one of to tell a day
DAY_PARTS = (
    ("%Y", "%y", "%-y", "%x", "%c"),
    ("%m", "%-m", "%b", "%B", "%j", "%-j", "%x", "%c"),
    ("%d", "%-d", "%j", "%-j", "%x", "%c"),
)
# tables whose rows bear a code of a system that the file may not name
CODED = ("events", "prescriptions", "contacts")


class Closed(BaseModel):
    """Unknown keys are refused everywhere in a study file."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class _Columns(Closed):
    """How a table's columns are to be read."""

    columns: dict[str, str | None] = Field(
        default_factory=dict, description="our name: name in the file; null where the file has none"
    )
    constants: dict[str, str] = Field(
        default_factory=dict, description="our name: what every row has, e.g. system: read2"
    )
    values: dict[str, dict[str, str]] = Field(
        default_factory=dict, description="our name: {theirs: ours}, e.g. system: {R2: read2}"
    )
    date_format: str | None = Field(
        default=None, description="strptime form of text dates, e.g. '%d/%m/%Y'; default ISO"
    )

    @field_validator("date_format")
    @classmethod
    def _says_a_day(cls, form: str | None) -> str | None:
        if form is not None and not all(any(part in form for part in parts) for parts in DAY_PARTS):
            raise ValueError("a date_format has a year, a month and a day, such as '%d/%m/%Y' or '%d%b%Y'")
        return form


class Table(_Columns):
    """One table's files, where more is to be said than the path."""

    path: StudyPath | list[StudyPath] = Field(
        description="a file, a folder of files, a pattern such as events_*.csv.gz, or a list of these"
    )
    delimiter: str | None = Field(
        default=None, min_length=1, max_length=1, description="default: comma; tab in .tsv and .txt"
    )
    quoted: bool = Field(default=True, description='whether " encloses texts')
    encoding: str = Field(default="utf-8", description="of text files")


class Relation(_Columns):
    """One table or view of a server, where more is to be said than its name."""

    table: str = Field(description="name, or schema.name")
    key: list[str] = Field(
        default_factory=list,
        description="columns that no two rows share: rows are read in their order, and refused ones keep their number",
    )
    watermark: str | None = Field(
        default=None,
        description="column that grows with every change; tells changes instead of a hash of every row",
    )


class _Tables(Closed):
    """Entries named after tables of ours, which may map only columns that the table has."""

    @model_validator(mode="after")
    def _columns_of_the_table(self) -> Self:
        for name, spec in TABLES.items():
            if not isinstance(entry := getattr(self, name, None), _Columns):
                continue
            known = [field.name for field in spec.fields]
            for key in ("columns", "constants", "values"):
                for column in getattr(entry, key):
                    if column not in known:
                        raise fault_at(
                            "Tables",
                            (name, key, column),
                            f"{name} has no such column, only {', '.join(known)}",
                        )
        return self


TablePath = StudyPath | Table
RelationName = str | Relation
ICD10 = Field(default=None, description="edition of its ICD-10: 2016 (NHS, hospitals) or 2019 (WHO, deaths)")
MOST_REJECTED = Field(
    default=None,
    ge=0,
    le=1,
    description="stop where more than this share of any table's rows, or of the files, is refused; e.g. 0.01",
)


class ObservedRecords(Closed):
    """People count as observed from the first to the last of their records: cohorts/observed.py says what it biases."""

    records: list[Literal["events", "prescriptions", "admissions", "contacts"]] = Field(
        min_length=1, description="whose rows count"
    )
    least_days: int = Field(default=1, ge=1, description="who is observed for fewer days does not count")


Observed = Literal["records"] | ObservedRecords
OBSERVED = Field(
    default=None,
    description="records: for want of registrations, people count as observed from their first to their last record",
)


def observed_by(source: Source) -> ObservedByRecords | None:
    """How the records of a source stand in for registrations; None where they do not."""
    declared = source.observed
    if declared is None:
        return None
    if isinstance(declared, ObservedRecords):
        return ObservedByRecords(tuple(declared.records), declared.least_days)
    return ObservedByRecords()


class FileSource(_Tables):
    """One provider: a table of its patients and records keyed by its own patient_id."""

    model: Literal["files"] = "files"
    patients: TablePath
    registrations: TablePath | None = None
    events: TablePath | None = None
    prescriptions: TablePath | None = None
    admissions: TablePath | None = None
    contacts: TablePath | None = None
    care: TablePath | None = None
    addresses: TablePath | None = None
    deaths: TablePath | None = None
    samples: TablePath | None = None
    consents: TablePath | None = None
    code_system: System | None = Field(
        default=None,
        description="code system of its events, prescriptions and contacts, if no column tells it",
    )
    icd10_edition: Edition | None = ICD10
    most_rejected: float | None = MOST_REJECTED
    observed: Observed | None = OBSERVED

    def read_from(self) -> Mapping[str, TableSource]:
        """Table to files."""
        entries = ((name, getattr(self, name)) for name in TABLES)
        return {
            name: _table_source(entry, self.code_system if name in CODED else None)
            for name, entry in entries
            if entry is not None
        }

    def inputs(self) -> Iterator[tuple[str, Path]]:
        """Every file, by its place below the source."""
        for name in TABLES:
            if (entry := getattr(self, name)) is not None:
                yield from table_inputs(name, entry)


class OmopFiles(Closed):
    """An OMOP Common Data Model: a folder of files, or a schema of a PostgreSQL server."""

    model: Literal["omop"]
    path: StudyPath | None = Field(default=None, description="folder of files named after OMOP's tables")
    dsn_env: Variable | None = Field(
        default=None, description="environment variable with the connection string of a PostgreSQL server"
    )
    db_schema: str = Field(default="public", alias="schema", description="schema of the tables there")
    vocabulary_schema: str | None = Field(
        default=None, description="schema of the vocabulary (CONCEPT and so on), where it is another"
    )
    vocabulary: StudyPath | None = Field(
        default=None,
        description="folder of CONCEPT and CONCEPT_ANCESTOR or DRUG_STRENGTH, where they lie apart",
    )
    columns: dict[str, dict[str, str]] = Field(
        default_factory=dict, description="OMOP table: {OMOP column: name in the file}, where they differ"
    )
    codes: Literal["standard", "source"] = Field(
        default="standard", description="whether standard or source concepts count first"
    )
    source_systems: dict[str, System] = Field(
        default_factory=dict, description="OMOP table: code system of source codes that have no concept"
    )
    nhs_number: str | None = Field(default=None, description="column of person with the NHS number")
    icd10_edition: Edition | None = ICD10
    most_rejected: float | None = MOST_REJECTED
    observed: Observed | None = OBSERVED

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.path is None) == (self.dsn_env is None):
            raise ValueError("give either path or dsn_env")
        return self

    @model_validator(mode="after")
    def _known_columns(self) -> Self:
        for key, tables in (("columns", self.columns), ("source_systems", self.source_systems)):
            for table in tables:
                if table not in COLUMNS:
                    raise fault_at(
                        "OmopFiles", (key, table), f"no such table of OMOP is read, only {', '.join(COLUMNS)}"
                    )
        for table, columns in self.columns.items():
            for column in columns:
                if column not in (*COLUMNS[table], self.nhs_number):
                    raise fault_at(
                        "OmopFiles",
                        ("columns", table, column),
                        f"no such column of OMOP's {table} is read, only {', '.join(COLUMNS[table])}",
                    )
        return self

    def read_from(self) -> SourceModel:
        """The model that reads it."""
        return OmopSource(
            self.path,
            dsn=None if self.dsn_env is None else connection_string(self.dsn_env),
            schema=self.db_schema,
            vocabulary_schema=self.vocabulary_schema,
            vocabulary=self.vocabulary,
            columns=self.columns,
            codes=self.codes,
            source_systems=self.source_systems,
            nhs_number=self.nhs_number,
        )

    def inputs(self) -> Iterator[tuple[str, Path]]:
        """The folders, where there are some."""
        for name in ("path", "vocabulary"):
            if (path := getattr(self, name)) is not None:
                yield name, path


class FhirFiles(Closed):
    """FHIR R4: bundles (.json) and bulk exports (.ndjson), also compressed."""

    model: Literal["fhir"]
    path: StudyPath = Field(description="a file or a folder of files")
    vocabulary: StudyPath | None = Field(
        default=None,
        description="folder of an OMOP vocabulary, which tells what the products of RxNorm contain",
    )
    icd10_edition: Edition | None = ICD10
    most_rejected: float | None = MOST_REJECTED
    observed: Observed | None = OBSERVED

    def read_from(self) -> SourceModel:
        """The model that reads it."""
        return FhirSource(self.path, self.vocabulary)

    def inputs(self) -> Iterator[tuple[str, Path]]:
        """The file or folder, and the vocabulary."""
        yield "path", self.path
        if self.vocabulary is not None:
            yield "vocabulary", self.vocabulary


class CprdAurumFiles(Closed):
    """A delivery of CPRD Aurum."""

    model: Literal["cprd_aurum"]
    path: StudyPath = Field(description="folder of ..._Extract_Observation_001.txt and the like")
    dictionary: StudyPath | None = Field(default=None, description="CPRD's medical dictionary")
    products: StudyPath | None = Field(default=None, description="CPRD's product dictionary")
    units: StudyPath | None = Field(default=None, description="CPRD's look-up of numunitid")
    codes: Literal["snomed", "read2", "medcode"] = Field(
        default="snomed", description="what the medical dictionary turns a medcodeid into"
    )
    acceptable_only: bool = Field(
        default=True, description="whether patients whom CPRD finds not acceptable are refused"
    )
    icd10_edition: Edition | None = ICD10
    most_rejected: float | None = MOST_REJECTED
    observed: Observed | None = OBSERVED

    def read_from(self) -> SourceModel:
        """The model that reads it."""
        return CprdAurumSource(
            self.path, self.dictionary, self.products, self.units, self.codes, self.acceptable_only
        )

    def inputs(self) -> Iterator[tuple[str, Path]]:
        """The folder and the dictionaries."""
        for name in ("path", "dictionary", "products", "units"):
            if (path := getattr(self, name)) is not None:
                yield name, path


class Relations(_Tables):
    """Tables and views of a server."""

    patients: RelationName
    registrations: RelationName | None = None
    events: RelationName | None = None
    prescriptions: RelationName | None = None
    admissions: RelationName | None = None
    contacts: RelationName | None = None
    care: RelationName | None = None
    addresses: RelationName | None = None
    deaths: RelationName | None = None
    samples: RelationName | None = None
    consents: RelationName | None = None


class PostgresTables(Closed):
    """Tables of a PostgreSQL server."""

    model: Literal["postgres"]
    dsn_env: Variable = Field(
        description="environment variable with the connection string, which never stands in a file"
    )
    db_schema: str = Field(default="public", alias="schema", description="schema of tables named without one")
    tables: Relations
    code_system: System | None = Field(
        default=None,
        description="code system of its events, prescriptions and contacts, if no column tells it",
    )
    icd10_edition: Edition | None = ICD10
    most_rejected: float | None = MOST_REJECTED
    observed: Observed | None = OBSERVED

    def read_from(self) -> SourceModel:
        """The model that reads it."""
        entries = ((name, getattr(self.tables, name)) for name in TABLES)
        tables = {
            name: _relation_source(entry, self.code_system if name in CODED else None)
            for name, entry in entries
            if entry is not None
        }
        return PostgresSource(connection_string(self.dsn_env), tables, self.db_schema)

    def inputs(self) -> Iterator[tuple[str, Path]]:
        """None: a server has no file to be held to; its tables are asked for their state when a run starts."""
        yield from ()


def _model_of(value: Any) -> str:
    return value.get("model", "files") if isinstance(value, dict) else getattr(value, "model", "files")


Source = Annotated[
    Annotated[FileSource, Tag("files")]
    | Annotated[OmopFiles, Tag("omop")]
    | Annotated[FhirFiles, Tag("fhir")]
    | Annotated[CprdAurumFiles, Tag("cprd_aurum")]
    | Annotated[PostgresTables, Tag("postgres")],
    Discriminator(
        _model_of,
        custom_error_type="unknown_model",
        custom_error_message="model is one of files, omop, fhir, cprd_aurum, postgres",
    ),
]


def connection_string(variable: str) -> str:
    """What the environment variable holds.

    Raises
    ------
    StudyError
        It is not set.
    """
    dsn = os.environ.get(variable, "")
    if not dsn.strip():
        raise StudyError(
            "the study takes a connection string from an environment variable that is not set",
            where=f"dsn_env: {variable}",
            expected="such as postgresql://user:password@host/database",
            fix=f"export {variable}=... before the command",
        )
    return dsn


def region_tables(entries: Mapping[str, TablePath | None]) -> Mapping[str, TableSource]:
    """Table to files of those that are declared."""
    return {name: _table_source(entry, None) for name, entry in entries.items() if entry is not None}


def table_inputs(name: str, entry: TablePath) -> Iterator[tuple[str, Path]]:
    """Every file of a table by its name; numbered where there are several, and as declared where there is none."""
    source = _table_source(entry, None)
    try:
        files = found_files(source)
    except InputError:
        files = [Path(p) for p in (source.path if isinstance(source.path, tuple) else [source.path])]  # type: ignore[arg-type]
    for number, path in enumerate(files, 1):
        yield (name if len(files) == 1 else f"{name}.{number}"), path


def _table_source(entry: TablePath, code_system: str | None) -> TableSource:
    if not isinstance(entry, Table):
        return TableSource(entry, constants={} if code_system is None else {"system": code_system})
    path = tuple(entry.path) if isinstance(entry.path, list) else entry.path
    return TableSource(
        path,
        columns=entry.columns,
        encoding=entry.encoding,
        date_format=entry.date_format,
        delimiter=entry.delimiter,
        quoted=entry.quoted,
        constants=_constants(entry, code_system),
        values=entry.values,
    )


def _relation_source(entry: RelationName, code_system: str | None) -> TableSource:
    if not isinstance(entry, Relation):
        return TableSource(entry, constants={} if code_system is None else {"system": code_system})
    return TableSource(
        entry.table,
        columns=entry.columns,
        date_format=entry.date_format,
        constants=_constants(entry, code_system),
        values=entry.values,
        key=tuple(entry.key),
        watermark=entry.watermark,
    )


def _constants(entry: _Columns, code_system: str | None) -> dict[str, str]:
    """The declared constants; a source's code system where the table says nothing of its own."""
    if code_system is None or "system" in entry.columns:
        return entry.constants
    return {"system": code_system, **entry.constants}
