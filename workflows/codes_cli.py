"""``careome codes``: code lists shown, spelled out, compared and checked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from workflows.application import Application

if TYPE_CHECKING:
    import pandas as pd

    from phenotypes.codelist import CodeList
    from phenotypes.terminology import Terminology

app = Application(help="Code lists: show, expand, diff, lint.", no_args_is_help=True)

SMALL = 10

ListFile = Annotated[
    Path,
    typer.Argument(help="CSV: ours, or as CALIBER, CPRD, OpenCodelists or the Phenotype Library publish it."),
]
System = Annotated[str | None, typer.Option(help="Code system, for files that do not say it, e.g. snomed.")]
TerminologyFile = Annotated[
    Path | None, typer.Option("--terminology", help="ClaML file, folder of an RF2 release, or list of codes.")
]
TerminologySystem = Annotated[
    str | None, typer.Option("--terminology-system", help="Its system, where it is a list of codes.")
]
Counts = Annotated[
    Path | None, typer.Option(help="Codes in use: CSV with the columns system, code, records, people.")
]
HubFile = Annotated[Path | None, typer.Option("--hub", help="Hub (DuckDB file) whose codes to count.")]
Edition = Annotated[
    Literal["2016", "2019"] | None, typer.Option(help="Edition of ICD-10 of the records; hospitals 2016.")
]
Table = Annotated[Path | None, typer.Option("--out", help="Write the table to this CSV file too.")]


@app.callback()
def _root() -> None:
    """Code lists: show, expand, diff, lint."""


@app.command()
def show(
    codes: ListFile, system: System = None, terminology: TerminologyFile = None,
    terminology_system: TerminologySystem = None,
) -> None:  # fmt: skip
    """What a list means: its codes, its identity, and what is odd about it."""
    listed, known = _list(codes, system), _terminology(terminology, terminology_system)
    included = [e for e in listed.entries if not e.excluded]
    systems = sorted({e.system for e in listed.entries})
    typer.echo(f"{listed.name}: {len(included)} codes of {', '.join(systems)}")
    typer.echo(f"identity {listed.id}")
    if listed.edition is not None:
        typer.echo(f"edition of ICD-10: {listed.edition}")
    for entry in listed.entries:
        term = known.terms.get(entry.code, "") if known is not None and known.system == entry.system else ""
        typer.echo(f"  {entry.system:<8} {entry.text:<20} {term}".rstrip())
    for remark in listed.remarks:
        typer.echo(f"remark: {remark}")


@app.command()
def expand(
    codes: ListFile,
    terminology: Annotated[
        Path, typer.Option(help="ClaML file, folder of an RF2 release, or list of codes.")
    ],
    out: Annotated[Path, typer.Option(help="The expanded list (CSV).")],
    system: System = None,
    terminology_system: TerminologySystem = None,
    terms: Annotated[
        bool, typer.Option("--terms", help="Write the terms too; their licence may forbid to pass them on.")
    ] = False,
) -> None:
    """Spell out every code that a list means, by a terminology of your own."""
    from workflows.outputs import refuse_no_folder, write_text

    refuse_no_folder(out)
    known = _terminology(terminology, terminology_system)
    assert known is not None
    expanded = _list(codes, system).expand(known)
    words = {(known.system, code): term for code, term in known.terms.items()} if terms else None
    write_text(out, expanded.csv(words))
    for remark in expanded.remarks:
        typer.echo(f"remark: {remark}")
    typer.echo(f"{out}: {len(expanded.entries)} codes, identity {expanded.id}")


@app.command()
def diff(
    before: ListFile,
    after: ListFile,
    system: System = None,
    counts: Counts = None,
    hub: HubFile = None,
    out: Table = None,
) -> None:
    """What two versions of a list do not share, and how often the records use it."""
    old, new = _list(before, system), _list(after, system)
    changes = old.diff(new, counts=_counts(counts, hub))
    if old.edition != new.edition:
        typer.echo(
            f"edition of ICD-10: {old.edition or 'none said'} before, {new.edition or 'none said'} after"
        )
    if changes.empty:
        same = "mean the same" if old.edition == new.edition else "name the same codes"
        typer.echo(f"both {same}; identity {new.id}")
    else:
        _print(_hidden(changes))
        tally = changes["change"].value_counts()
        typer.echo(", ".join(f"{n} {change}" for change, n in tally.items()))
    _write(changes, out)


@app.command()
def lint(
    codes: Annotated[list[Path], typer.Argument(help="CSV files in any published form.")],
    system: System = None,
    terminology: TerminologyFile = None,
    terminology_system: TerminologySystem = None,
    counts: Counts = None,
    hub: HubFile = None,
    edition: Edition = None,
    notes: Annotated[bool, typer.Option(help="Show notes as well as errors and warnings.")] = True,
    out: Table = None,
) -> None:
    """Everything that may be wrong with code lists; fails where one has an error."""
    import pandas as pd

    from cohorts.errors import InputError
    from phenotypes.codelist_lint import lint

    known, used = _terminology(terminology, terminology_system), _counts(counts, hub)
    tables = []
    for path in codes:
        found = lint(path, system=system, terminology=known, counts=used, edition=edition)
        found.insert(0, "list", path.stem)
        tables.append(found)
    table = pd.concat(tables, ignore_index=True)
    shown = table if notes else table[table["severity"] != "note"]
    _print(shown.drop(columns="list") if len(codes) == 1 else shown)
    tally = {
        severity: int((table["severity"] == severity).sum()) for severity in ("error", "warning", "note")
    }
    counted = (f"{n} {severity}{'' if n == 1 else 's'}" for severity, n in tally.items())
    typer.echo(f"{len(codes)} list{'' if len(codes) == 1 else 's'}: " + ", ".join(counted))
    _write(table, out)
    if tally["error"]:
        raise InputError(
            "code lists have errors", found=tally["error"], fix="correct the lines that are named"
        )


def _list(path: Path, system: str | None) -> CodeList:
    from phenotypes.published_lists import read_published

    return read_published(path, system=system)


def _terminology(path: Path | None, system: str | None) -> Terminology | None:
    from phenotypes.terminology import Terminology

    return None if path is None else Terminology.read(path, system=system)


def _counts(counts: Path | None, hub: Path | None) -> pd.DataFrame | None:
    from phenotypes.code_counts import codes_in_use, read_counts

    if counts is not None and hub is not None:
        raise typer.BadParameter("give --counts or --hub, not both")
    if counts is not None:
        return read_counts(counts)
    if hub is None:
        return None
    from cohorts.errors import InputError
    from cohorts.hub import connect

    if not hub.is_file():
        raise InputError("file not found", where=hub, fix="check the path")
    with connect(hub, read_only=True) as opened:
        return codes_in_use(opened)


def _hidden(changes: pd.DataFrame) -> pd.DataFrame:
    """Small numbers of people are not shown."""
    import pandas as pd

    def told(n: Any) -> str:
        if pd.isna(n):
            return ""
        return f"under {SMALL}" if 0 < int(n) < SMALL else str(int(n))

    if changes["people"].isna().all():
        return changes.drop(columns=["records", "people"])
    return changes.assign(people=changes["people"].map(told), records=changes["records"].map(told))


def _print(table: pd.DataFrame) -> None:
    if table.empty:
        return
    text = table.astype(object).where(table.notna(), "").astype(str)
    widths = [max(len(str(c)), int(text[c].str.len().max())) for c in text.columns]
    for row in [list(text.columns), *text.to_numpy().tolist()]:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _write(table: pd.DataFrame, out: Path | None) -> None:
    if out is not None:
        from workflows.outputs import write_text

        write_text(out, table.to_csv(index=False, lineterminator="\n"))
