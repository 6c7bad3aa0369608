"""What a study derives, bound to its code lists before any record is read: what a run refuses late is told at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from phenotypes.codelist import CodeList
from phenotypes.codelist_lint import lint
from workflows.frames import each_row
from workflows.study import Study


def check_definitions(study: Study) -> Mapping[str, CodeList]:
    """Read every code list of a study, and build every phenotype, trait and outcome on them, as a run does.

    Returns
    -------
    Mapping
        The code lists by name.

    Raises
    ------
    InputError
        A code list cannot be read; with its file and line.
    StudyError
        A definition cannot be, such as a trait in a unit that its analyte never has; with its place.
    """
    lists = {name: CodeList.read(path, name) for name, path in study.codelists.items()}
    for group in (study.phenotypes, study.traits, study.outcomes):
        for name, spec in group.items():
            spec.build(lists, name)
    return lists


def doubtful_codes(study: Study) -> Iterator[str]:
    """What ``careome codes lint`` calls an error although a run takes it, a line for each."""
    for name, path in study.codelists.items():
        found = lint(path)
        for row in each_row(found[found["severity"] == "error"]):
            yield f"warning: codelists.{name}: {path}:{row.line}: {row.message}"
