"""Reading a study file: YAML in, a checked study out, or the line that is wrong.

Every complaint names file, line and key, what was found, what was expected and what to do.
"""

from __future__ import annotations

import difflib
import types
import typing
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from cohorts.errors import StudyError
from workflows.genome_study import GENOME_KEYS, NEEDED, GenomeStudy
from workflows.hub_plan import HubPlan, Named
from workflows.study import About, Study

Location = tuple[int | str, ...]
Plan = TypeVar("Plan", bound=HubPlan)

# What a study file may say that its hub does not depend on: keys of the file, and keys below 'study'.
BEYOND_HUB = set(GenomeStudy.model_fields) - set(HubPlan.model_fields)
BEYOND_NAME = set(About.model_fields) - set(Named.model_fields)


def read_study(path: Path) -> Study:
    """Read and check a study file; relative paths in it are taken from the file's own folder.

    Parameters
    ----------
    path
        A YAML file.

    Returns
    -------
    Study
        With every path made absolute; a :class:`~workflows.genome_study.GenomeStudy` where the file says anything
        about genotypes.

    Raises
    ------
    StudyError
        With ``file:line``, the key, what was found, what was expected and what to do.
    """
    tree, content = _compose(path)
    kind = GenomeStudy if any(key in content for key in GENOME_KEYS) else Study
    return _checked(kind, path, tree, content)


def read_hub_plan(path: Path) -> HubPlan:
    """Read and check what a study file says about its hub, whatever else it says or leaves out.

    Parameters
    ----------
    path
        A YAML file.

    Raises
    ------
    StudyError
        As :func:`read_study`.
    """
    tree, content = _compose(path)
    plan = {key: value for key, value in content.items() if key not in BEYOND_HUB}
    if isinstance(about := plan.get("study"), dict):
        plan["study"] = {key: value for key, value in about.items() if key not in BEYOND_NAME}
    return _checked(HubPlan, path, tree, plan)


def _checked(kind: type[Plan], path: Path, tree: yaml.Node, content: Any) -> Plan:
    try:
        return kind.model_validate(content, context={"folder": path.resolve().parent})
    except ValidationError as error:
        raise _first_fault(path, tree, error) from error


class _PlainDates(yaml.SafeLoader):
    """Dates stay text, so that an impossible one is refused with its key like any other value."""


_PlainDates.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _compose(path: Path) -> tuple[yaml.Node, dict[str, Any]]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise StudyError(
            "no such study file", where=path, fix="check the path; 'careome demo' makes one to start from"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise StudyError(
            "cannot be read as text", where=path, expected="a YAML file in UTF-8", fix="check the file"
        ) from error
    try:
        tree = yaml.compose(text, Loader=_PlainDates)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise StudyError(
            f"not valid YAML: {getattr(error, 'problem', None) or 'it cannot be read'}",
            where=f"{path}:{mark.line + 1}" if mark else path,
            fix="check the indentation, quotes and colons around this line",
        ) from error
    if not isinstance(tree, yaml.MappingNode):
        raise StudyError(
            "not a study file",
            where=f"{path}:1",
            expected="keys such as 'study:' and 'sources:'",
            fix="see 'careome study schema'",
        )
    _refuse_repeated_keys(path, tree)
    try:
        return tree, yaml.load(text, Loader=_PlainDates)
    except (yaml.YAMLError, ValueError, TypeError) as error:
        mark = getattr(error, "problem_mark", None)
        raise StudyError(
            "holds something that a study file cannot",
            where=f"{path}:{mark.line + 1}" if mark else path,
            found=getattr(error, "problem", None) or type(error).__name__,
            expected="plain keys, texts, numbers, lists and mappings",
            fix="remove tags and merge keys",
        ) from error


def _refuse_repeated_keys(path: Path, node: yaml.Node) -> None:
    if isinstance(node, yaml.MappingNode):
        seen: dict[Any, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                raise StudyError(
                    "a key must be a plain word", where=f"{path}:{line}", fix="remove the brackets"
                )
            if key.value in seen:
                raise StudyError(
                    f"key '{key.value}' is given twice",
                    where=f"{path}:{line}",
                    found=f"first on line {seen[key.value]}",
                    fix="keep one of the two",
                )
            seen[key.value] = line
            _refuse_repeated_keys(path, value)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            _refuse_repeated_keys(path, value)


def _first_fault(path: Path, tree: yaml.Node, error: ValidationError) -> StudyError:
    faults = error.errors()
    # A union reports the fault of every alternative; the deepest one is where the writer's eye should go.
    fault = max(faults, key=lambda f: (f["type"] == "extra_forbidden", len(_trace(tree, f["loc"])[0])))
    keys, line, node = _trace(tree, fault["loc"])
    where, key = f"{path}:{line}", ".".join(map(str, keys)) or "the file"
    if fault["type"] == "extra_forbidden":
        bad = str(fault["loc"][-1])
        known = _keys_at(GenomeStudy, keys[:-1])
        near = difflib.get_close_matches(bad, known, n=1)
        return StudyError(
            f"unknown key '{key}'",
            where=where,
            found=f"'{bad}'",
            expected=f"one of: {', '.join(known)}" if known else "no such key here",
            fix=f"did you mean '{near[0]}'" if near else "remove it, or see 'careome study schema'",
        )
    if fault["type"] == "missing":
        missing = str(fault["loc"][-1])
        if not keys and missing in NEEDED:
            return _half_a_genome(path, tree)
        full = ".".join([*map(str, keys), missing]) if missing not in keys else key
        return StudyError(
            f"key '{full}' is missing",
            where=where,
            expected=f"a value for '{missing}'",
            fix=f"add '{missing}:' here",
        )
    expected = _expected(fault["type"], fault["msg"])
    return StudyError(
        f"'{key}' is wrong"
        if expected
        else f"'{key}' is wrong: {fault['msg'].removeprefix('Value error, ')}",
        where=where,
        found=_shown(node),
        expected=expected,
        fix="correct this value; 'careome study schema' lists what is allowed",
    )


def _half_a_genome(path: Path, tree: yaml.Node) -> StudyError:
    """Something is asked of genotypes that the file does not name."""
    lines = {key.value: key.start_mark.line + 1 for key, _ in tree.value}
    asked = [key for key in GENOME_KEYS if key in lines]
    absent = [f"'{key}'" for key in NEEDED if key not in lines]
    return StudyError(
        f"'{asked[0]}' needs {' and '.join(absent)}",
        where=f"{path}:{lines[asked[0]]}",
        found=f"no key {' and no key '.join(absent)}",
        fix=f"add {' and '.join(absent)}, or leave out {', '.join(asked)} for a study of records alone",
    )


def _trace(node: yaml.Node, location: Location) -> tuple[list[int | str], int, yaml.Node]:
    """Follow a pydantic location into the YAML tree, skipping the names of union alternatives."""
    keys: list[int | str] = []
    line = node.start_mark.line + 1
    for part in location:
        if isinstance(node, yaml.MappingNode):
            found = [(k, v) for k, v in node.value if k.value == str(part)]
            if not found:
                continue
            line, node = found[0][0].start_mark.line + 1, found[0][1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line + 1
        else:
            continue
        keys.append(part)
    return keys, line, node


def _keys_at(model: Any, keys: list[int | str]) -> list[str]:
    """Names allowed at a place in the study file, in the order the schema gives them."""
    models = [model]
    for key in keys:
        following: list[Any] = []
        for candidate in models:
            if isinstance(candidate, type) and issubclass(candidate, BaseModel):
                for name, field in candidate.model_fields.items():
                    if key in (name, field.alias):
                        following += _models_in(field.annotation)
        # Inside a mapping of names or a list the key is the user's own: stay on the same model.
        models = following or models
    names: dict[str, None] = {}
    for candidate in models:
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            names |= {field.alias or name: None for name, field in candidate.model_fields.items()}
    return list(names)


def _models_in(annotation: Any) -> list[Any]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if typing.get_origin(annotation) is typing.Annotated:
        return _models_in(typing.get_args(annotation)[0])
    if isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is not None:
        return [m for part in typing.get_args(annotation) for m in _models_in(part)]
    return []


def _shown(node: yaml.Node) -> str:
    if isinstance(node, yaml.ScalarNode):
        text = repr(node.value)
    elif isinstance(node, yaml.SequenceNode):
        text = (
            "[" + ", ".join(str(item.value) for item in node.value if isinstance(item, yaml.ScalarNode)) + "]"
        )
    else:
        text = "a mapping"
    return text if len(text) <= 60 else text[:57] + "..."


SHAPES = {
    "date": "a date such as 2012-01-31",
    "dict": "a mapping (key: value, one a line)",
    "list": "a list such as [a, b]",
    "model": "a mapping (key: value, one a line)",
    "string": "a text",
    "tuple": "a list such as [18, 100]",
}


def _expected(kind: str, message: str) -> str | None:
    """What pydantic wanted, as a noun; None where its message is a sentence of its own."""
    shape = SHAPES.get(kind.partition("_")[0])
    if shape is not None and kind.endswith(("_type", "_parsing", "_datetime_parsing")):
        return shape
    wanted = message.removeprefix("Input should be ")
    return wanted[:1].lower() + wanted[1:] if wanted != message else None


def check_inputs(study: HubPlan, path: Path | None = None) -> dict[str, Path]:
    """Make sure that every file and connection a study names is there, before hours are spent.

    Raises
    ------
    StudyError
        Naming the key and the file.
    """
    for source in study.sources.values():
        source.read_from()
    files = study.input_files()
    for key, file in files.items():
        if not (file.is_file() or (file.is_dir() and key.endswith(".path"))):
            raise StudyError(
                "the study names a file that is not there",
                where=key if path is None else f"{path}: {key}",
                found=file,
                expected="a folder" if key.endswith(".path") else "a file",
                fix="correct the path, which is taken from the folder of the study file",
            )
    return files
