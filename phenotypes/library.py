"""The catalogue: definitions of common conditions, each with its own code lists, worked patients and source.

An entry is a folder of ``phenotypes/catalogue``:

``definition.yaml``
    The YAML form of a phenotype (see :class:`~phenotypes.spec.PhenotypeSpec`) with a description, who
    defined it so (`source`), what we changed and why (`changes`), lists borrowed from other entries
    (`uses`), and published figures that the result can be held against (`related_bands`).
``codes/*.csv``
    Code lists of our own, each named by its file. SNOMED CT identifiers are without terms; expand them by
    your own release (:meth:`~phenotypes.codelist.CodeList.expand`) where it goes deeper. Drugs of RxNorm are
    ingredients (:mod:`cohorts.models.vocabulary` tells how their products are met). A category of ICD-10 is
    listed of ICD-10-CM where it means the same down to the listed digits; else what means it is. Procedures of the
    United States (CPT, ICD-10-PCS) are not listed, those of SNOMED CT are. A code that we could not hold against a
    published table is left out.
``patients.yaml``
    Worked patients (see :mod:`phenotypes.worked`).

A folder of a user's own in the same form is read by :func:`read_entry`.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from cohorts.errors import InputError, StudyError
from phenotypes.codelist import CodeList
from phenotypes.definitions import Onset, Phenotype, Until
from phenotypes.rulespec import Closed, Lists, RuleSpec, build_all
from phenotypes.spec import PhenotypeSpec

CATALOGUE = Path(__file__).resolve().parent / "catalogue"


class Source(Closed):
    """Who defined it so."""

    who: str
    title: str
    doi: str | None = None
    url: str | None = None


class Band(Closed):
    """A published figure that a region's own can be compared with."""

    what: Literal["prevalence"]
    low: Annotated[float, Field(ge=0, le=1)]
    high: Annotated[float, Field(ge=0, le=1)]
    ages: tuple[int, int | None] = Field(description="youngest and oldest age in years")
    place: str
    year: str
    source: str


class EntrySpec(PhenotypeSpec):
    """A definition of the catalogue: a phenotype, what it is and where it comes from."""

    description: str = Field(min_length=1)
    source: list[Source] = Field(min_length=1)
    changes: str = Field(min_length=1, description="what we changed and why")
    uses: dict[str, str] = Field(default={}, description="lists of other entries: name: entry/list")
    related_bands: list[Band] = Field(default=[])


@dataclass(frozen=True)
class Entry:
    """An entry of the catalogue, or of a folder in the same form.

    Attributes
    ----------
    name
        Name of the folder.
    spec
        What ``definition.yaml`` says.
    codelists
        Code lists by name: its own, and those it borrows.
    folder
        Where it was read.
    """

    name: str
    spec: EntrySpec
    codelists: Mapping[str, CodeList]
    folder: Path

    def __repr__(self) -> str:
        return f"Entry({self.name}: {self.spec.label}; code lists {', '.join(self.codelists)})"

    @cached_property
    def phenotype(self) -> Phenotype:
        """The definition, with its code lists bound."""
        return self.spec.build(self.codelists, self.name)

    @property
    def patients(self) -> Path:
        """File of its worked patients."""
        return self.folder / "patients.yaml"


def names() -> tuple[str, ...]:
    """Names of the entries, sorted.

    Examples
    --------
    >>> "type_2_diabetes" in names()
    True
    """
    return tuple(sorted(path.name for path in CATALOGUE.iterdir() if (path / "definition.yaml").is_file()))


def label_of(name: str) -> str:
    """What an entry is called, without reading all of it.

    Raises
    ------
    StudyError
        Where there is no such entry.

    Examples
    --------
    >>> label_of("copd")
    'Chronic obstructive pulmonary disease'
    """
    with (_folder(name) / "definition.yaml").open(encoding="utf-8") as file:
        return file.readline().removeprefix("label:").strip()


def load(name: str) -> Entry:
    """An entry of the catalogue.

    Raises
    ------
    StudyError
        Where there is no such entry.

    Examples
    --------
    >>> from phenotypes.plain_english import explain
    >>> entry = load("dementia")
    >>> explain(entry.phenotype).splitlines()[1]
    '- a record of dementia;'
    """
    return read_entry(_folder(name))


def read_entry(folder: str | Path) -> Entry:
    """An entry from a folder, or from the ``definition.yaml`` in it.

    Raises
    ------
    InputError
        Where a file is missing or cannot be read.
    StudyError
        Where the definition says something that we cannot run, naming file and key.
    """
    path = Path(folder)
    path = path / "definition.yaml" if path.is_dir() else path
    spec = parse(EntrySpec, path)
    home = path.resolve().parent
    lists = {file.stem: CodeList.read(file) for file in sorted((home / "codes").glob("*.csv"))}
    for name, place in spec.uses.items():
        if name in lists:
            raise StudyError("list stands in codes and in uses", where=path, found=name, fix="keep one")
        lists[name] = _borrowed(name, place, where=f"{path}: uses.{name}")
    entry = Entry(home.name, spec, lists, home)
    try:
        entry.phenotype.id  # noqa: B018 - binds every list, so that a missing one is told now
    except StudyError as error:
        raise StudyError(
            error.problem, where=f"{path}: {error.where}", found=error.found, expected=error.expected,
            fix=error.fix,
        ) from None  # fmt: skip
    return entry


def parse(model: type[Any], path: Path) -> Any:
    """A YAML file as a model, or which key of it is wrong.

    Raises
    ------
    InputError
        Where the file is missing or is not YAML.
    StudyError
        Where a key is wrong.
    """
    import yaml

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError("cannot be read", where=path, found=error.strerror, fix="check the path") from None
    except (UnicodeDecodeError, yaml.YAMLError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        raise InputError(
            "not valid YAML", where=f"{path}:{mark.line + 1}" if mark else path, fix="check this line"
        ) from None
    try:
        return model.model_validate(content)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_context=False)[0]
        place = ".".join(str(part) for part in fault["loc"])
        raise StudyError(fault["msg"], where=f"{path}: {place}" if place else path) from None


class CatalogueSpec(Closed):
    """A definition taken from the catalogue, with what this study wants otherwise.

    Rules under `none` and `controls_without` name code lists of the study and are added to those of the
    entry.
    """

    catalogue: str = Field(description="name of an entry, see: careome phenotype list")
    label: str = Field(default="", description="name for people; the entry's where left out")
    none: list[RuleSpec] = Field(default=[], description="also excluded: who meets one of these")
    controls_without: list[RuleSpec] = Field(default=[], description="also no controls: who meets one")
    until: Until = Field(default="end", description="records used: to the end, or before the index date")
    onset: Onset = Field(default="any", description="incident: not had before the index date")
    washout_days: Annotated[int, Field(ge=0, strict=True)] = Field(
        default=0, description="days of registration that a case must have behind it, to count as new"
    )

    @model_validator(mode="before")
    @classmethod
    def _has_the_label_of_its_entry(cls, data: Any) -> Any:
        if not isinstance(data, dict) or not isinstance(data.get("catalogue"), str):
            return data
        try:
            return {**data, "label": data.get("label") or label_of(data["catalogue"])}
        except StudyError as error:
            problem = f"{error.problem}: {error.found}; {error.fix or 'see careome phenotype list'}"
            raise PydanticCustomError("catalogue", "{problem}", {"problem": problem}) from None

    def build(self, codelists: Lists, name: str) -> Phenotype:
        """The definition, with its code lists bound.

        Raises
        ------
        StudyError
            Where a code list is not declared.
        """
        entry = load(self.catalogue).phenotype
        where = f"phenotypes.{name}"
        return replace(
            entry,
            name=name,
            label=self.label,
            exclude=(*entry.exclude, *build_all(self.none, codelists, f"{where}.none")),
            exclude_controls=(
                *entry.exclude_controls,
                *build_all(self.controls_without, codelists, f"{where}.controls_without"),
            ),
            until=self.until,
            onset=self.onset,
            washout_days=self.washout_days,
        )


def _choose(data: object) -> object:
    # Choosing by key, not by trying each model, keeps error locations to what the author wrote.
    if isinstance(data, BaseModel):
        return data
    chosen = CatalogueSpec if isinstance(data, dict) and "catalogue" in data else PhenotypeSpec
    return chosen.model_validate(data)


#: What a study may put under `phenotypes`: a definition of its own, or one of the catalogue.
ConditionSpec = Annotated[PhenotypeSpec | CatalogueSpec, BeforeValidator(_choose)]


def _folder(name: str) -> Path:
    if name not in names():
        near = difflib.get_close_matches(name, names(), n=1, cutoff=0.4)
        raise StudyError(
            "no such entry in the catalogue",
            found=repr(name),
            fix=f"did you mean {near[0]!r}?" if near else "see careome phenotype list",
        )
    return CATALOGUE / name


def _borrowed(name: str, place: str, *, where: str) -> CodeList:
    entry, _, listed = place.partition("/")
    file = CATALOGUE / entry / "codes" / f"{listed}.csv"
    if not listed or not file.is_file():
        raise StudyError(
            "no such list in the catalogue", where=where, found=repr(place), expected="entry/list"
        )
    return CodeList.read(file, name)
