"""``careome phenotype``: the catalogue listed, explained, held against worked patients, and described in a hub."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from workflows.application import Application

if TYPE_CHECKING:
    from cohorts.hub import Hub
    from phenotypes.definitions import Phenotype
    from phenotypes.library import Band, Entry

app = Application(
    help="The catalogue of phenotypes: list, show, explain, check, diagnose.", no_args_is_help=True
)

NameOrFile = Annotated[
    str, typer.Argument(help="Entry of the catalogue, or a definition.yaml or its folder.")
]


@app.callback()
def _root() -> None:
    """The catalogue of phenotypes: list, show, explain, check, diagnose."""


@app.command("list")
def list_command() -> None:
    """The entries of the catalogue."""
    from phenotypes.library import label_of, names

    width = max(len(name) for name in names())
    for name in names():
        typer.echo(f"{name:<{width}}  {label_of(name)}")


@app.command()
def show(
    name: NameOrFile,
    yaml: Annotated[
        bool, typer.Option("--yaml", help="Print the definition as written, to start from.")
    ] = False,
) -> None:
    """What an entry is: description, source, our changes, code lists and identity."""
    entry = _entry(name)
    if yaml:
        typer.echo((entry.folder / "definition.yaml").read_text(encoding="utf-8"), nl=False)
        return
    spec = entry.spec
    typer.echo(f"{spec.label}\n\n{spec.description}\n\nSource:")
    for source in spec.source:
        where = " ".join(x for x in (source.doi and f"doi:{source.doi}", source.url) if x)
        typer.echo(f"  {source.who}. {source.title}. {where}".rstrip())
    typer.echo(f"\nChanged: {spec.changes}\n\nCode lists:")
    for listed in sorted(entry.codelists):
        codes = entry.codelists[listed].entries
        systems = {
            system: sum(e.system == system for e in codes) for system in sorted({e.system for e in codes})
        }
        counts = ", ".join(f"{n} {system}" for system, n in systems.items())
        typer.echo(f"  {listed}: {counts}" + (f" (of {spec.uses[listed]})" if listed in spec.uses else ""))
    for band in spec.related_bands:
        ages = (
            f"aged {band.ages[0]} and over"
            if band.ages[1] is None
            else f"aged {band.ages[0]} to {band.ages[1]}"
        )
        typer.echo(
            f"\nPublished {band.what}: {band.low:.1%} to {band.high:.1%} of people {ages}, {band.place} "
            f"{band.year} ({band.source})"
        )
    typer.echo(f"\nidentity {entry.phenotype.id}")


@app.command("explain")
def explain_command(
    name: NameOrFile,
    hub: Annotated[
        Path | None, typer.Option(help="Pseudonymous hub (DuckDB file), to follow one person of it.")
    ] = None,
    person: Annotated[
        str | None, typer.Option(help="The person's pseudonym: a number, or 16 digits as reports print it.")
    ] = None,
    on: Annotated[
        datetime | None, typer.Option("--on", formats=["%Y-%m-%d"], help="The index date; with --person.")
    ] = None,
) -> None:
    """A definition in plain English, or one person's path through it; of a study file, all that it declares."""
    from phenotypes.plain_english import explain

    if len({hub is None, person is None, on is None}) > 1:
        raise typer.BadParameter("--hub, --person and --on go together")
    if hub is not None and person is not None and on is not None:
        typer.echo(_path(_entry(name), hub, person, on.date()))
        return
    if _is_study(name):
        for text in _explained(Path(name)):
            typer.echo(text)
        return
    typer.echo(explain(_entry(name).phenotype))


@app.command()
def check(
    names: Annotated[
        list[str] | None, typer.Argument(help="Entries of the catalogue, definition.yaml files or folders.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Every entry of the catalogue.")] = False,
) -> None:
    """Hold definitions against their worked patients, on both engines."""
    from cohorts.errors import StudyError
    from phenotypes import library
    from phenotypes.worked import check_entry

    chosen = [*(names or []), *(library.names() if every else ())]
    if not chosen:
        raise typer.BadParameter("name an entry or a definition.yaml, or give --all")
    wrong = 0
    for name in chosen:
        result = check_entry(_entry(name))
        failed = result[~result["agrees"]]
        wrong += len(failed)
        typer.echo(f"{name}: {len(result) - len(failed)} of {len(result)} worked patients as expected")
        for row in failed.to_dict("records"):
            typer.echo(
                f"  {row['patient']}: expected {row['expected']}, found {row['found']} "
                f"(plain engine: {row['reference']})"
            )
    if wrong:
        raise StudyError(
            "definitions do not do what their worked patients say",
            where="careome phenotype check",
            found=f"{wrong} patients",
            fix="change the rule, or what is expected",
        )


@app.command()
def diagnose(
    names: Annotated[
        list[str],
        typer.Argument(
            help="A study file and, if not all, which of its phenotypes; or entries of the catalogue, "
            "definition.yaml files or folders."
        ),
    ],
    hub: Annotated[Path, typer.Option(help="Pseudonymous hub (DuckDB file).")],
    on: Annotated[
        datetime | None,
        typer.Option("--on", formats=["%Y-%m-%d"], help="Day of the prevalence; a study's index date."),
    ] = None,
    years: Annotated[int, typer.Option(min=1, help="Years before it that incidence is counted in.")] = 5,
    by: Annotated[
        str, typer.Option(help="age_band, sex, imd_decile, year (incidence alone), or several: age_band,sex.")
    ] = "sex",
    population: Annotated[
        bool,
        typer.Option(
            "--population", help="Only the people whom the study file's `population` takes on that day."
        ),
    ] = False,
) -> None:
    """Prevalence, incidence, codes in use, published figures, overlap, and why nobody; small numbers hidden."""
    from cohorts.errors import InputError
    from cohorts.hub import connect
    from workflows.diagnose import describe, tables

    definitions, bands, day = _asked(names)
    study = _is_study(names[0])
    if population and not study:
        raise typer.BadParameter("only a study file has a population: name one, or leave out --population")
    day = on.date() if on is not None else day
    if day is None:
        raise typer.BadParameter("say the day with --on")
    if not hub.is_file():
        raise InputError("no such hub", where=hub, fix="check the path")
    with connect(hub, read_only=True) as opened:
        described = describe(
            opened, definitions, on=day, persons=_population(Path(names[0]), opened, day) if population else None,
            years=years, by=[x.strip() for x in by.split(",") if x.strip()],
            bands=bands,
        )  # fmt: skip
    everybody = (
        "Everybody of the hub, not the study's population (--population)" if study else "Everybody of the hub"
    )
    whom = "The study's population" if population else everybody
    typer.echo(f"{whom}, on {day}. Counts below 10 are hidden, others rounded to 5.")
    if population:
        typer.echo("New cases are of the years before, among people who had to live and stay until that day.")
    for line in described.observed:
        typer.echo(line)
    for heading, text in tables(described):
        typer.echo(f"\n{heading}\n{text}")


def _asked(
    names: list[str],
) -> tuple[dict[str, Phenotype], dict[str, list[Band]], date | None]:
    """Definitions, their published bands, and the day that a study file says.

    Raises
    ------
    StudyError
        Where something that is named is not there.
    """
    if not _is_study(names[0]):
        entries = {entry.name: entry for entry in map(_entry, names)}
        return (
            {name: entry.phenotype for name, entry in entries.items()},
            {name: entry.spec.related_bands for name, entry in entries.items()},
            None,
        )
    from cohorts.errors import StudyError
    from phenotypes.codelist import CodeList
    from phenotypes.library import CatalogueSpec, load
    from workflows.study_file import read_study

    study = read_study(Path(names[0]))
    unknown = [name for name in names[1:] if name not in study.phenotypes]
    if unknown or not study.phenotypes:
        raise StudyError(
            "no such phenotype in the study" if unknown else "the study has no phenotypes",
            where=names[0],
            found=", ".join(unknown) or None,
            expected=", ".join(study.phenotypes) or "a mapping 'phenotypes'",
            fix="after a study file, name phenotypes of it, or none for all",
        )
    asked = {name: spec for name, spec in study.phenotypes.items() if name in (names[1:] or study.phenotypes)}
    lists = {name: CodeList.read(file, name) for name, file in study.codelists.items()}
    built = {name: spec.build(lists, name) for name, spec in asked.items()}
    bands = {
        name: load(spec.catalogue).spec.related_bands
        for name, spec in asked.items()
        if isinstance(spec, CatalogueSpec)
    }
    return built, bands, study.study.index_date


def _population(study: Path, hub: Hub, on: date) -> list[int]:
    """Whom a study file takes on a day."""
    from cohorts.eligibility import population
    from workflows.study_file import read_study

    rule = read_study(study).population
    people = population(hub, on=on, age=rule.age, registered_days=rule.registered_days)
    return [int(person) for person in people.persons["person_id"]]


def _entry(name: str) -> Entry:
    from phenotypes.library import load, names, read_entry

    return read_entry(name) if name not in names() and Path(name).exists() else load(name)


def _is_study(name: str) -> bool:
    path = Path(name)
    if not path.is_file():
        return False
    return any(
        line.startswith("study:") for line in path.read_text(encoding="utf-8", errors="replace").splitlines()
    )


def _path(entry: Entry, file: Path, person: str, on: date) -> str:
    from cohorts.errors import InputError
    from cohorts.hub import connect
    from phenotypes.evidence import tell, trace

    if not file.is_file():
        raise InputError("no such hub", where=file, fix="check the path")
    with connect(file, read_only=True) as hub:
        return tell(trace(entry.phenotype, hub, _pseudonym(person), index_date=on))


def _pseudonym(text: str) -> int:
    try:
        return int(text, 16) if len(text) == 16 else int(text)
    except ValueError:
        raise typer.BadParameter("a pseudonym is a number, or 16 digits of 0-9 and a-f") from None


def _explained(path: Path) -> list[str]:
    from phenotypes.codelist import CodeList
    from phenotypes.plain_english import explain
    from workflows.study_file import read_study

    study = read_study(path)
    lists = {name: CodeList.read(file, name) for name, file in study.codelists.items()}
    groups = (study.phenotypes, study.traits, study.outcomes)
    return [explain(spec.build(lists, name)) for group in groups for name, spec in group.items()]
