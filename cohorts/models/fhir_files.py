"""Files of a FHIR export, drawn as entries: the resources of a bundle, or the lines of a bulk file."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from cohorts.errors import InputError

UNREADABLE_LINE = "resource: not valid JSON"
NO_RESOURCE = "resource: no type given"
NOT_FHIR = "file: not a complete FHIR bundle or resource, all that it holds is lost"
BROKEN_OFF = "file: breaks off, all that follows in it is lost"
BUNDLES = (".json",)
LINES = (".ndjson", ".jsonl")


@dataclass(frozen=True)
class Entry:
    """One resource where it lies.

    Attributes
    ----------
    place
        Number of the entry in its bundle or of the line in its file, from 1.
    resource
        The resource; empty where `fault` is given.
    full_url
        The entry's address within its bundle.
    bundle
        Addresses of the bundle's other entries, by which references in it are resolved.
    fault
        Why the entry is no resource.
    lost
        The fault is the file's, and more is lost with it than one resource.
    """

    place: int
    resource: dict[str, Any]
    full_url: str | None = None
    bundle: dict[str, dict[str, Any]] | None = None
    fault: str | None = None
    lost: bool = False

    @property
    def kind(self) -> str:
        """Type of the resource."""
        kind = self.resource.get("resourceType")
        return kind if isinstance(kind, str) else ""


def fhir_files(path: Path) -> list[Path]:
    """The files of an export in the order of their names.

    Raises
    ------
    InputError
        There are none.
    """
    if path.is_file():
        return [path]
    found = sorted(p for p in path.rglob("*") if p.is_file() and _kind(p) in (*BUNDLES, *LINES))
    if not found:
        raise InputError(
            "no FHIR files",
            where=path,
            found="no such folder" if not path.is_dir() else "none of these endings",
            expected=", ".join((*BUNDLES, *LINES)) + ", or with .gz",
        )
    return found


def _kind(path: Path) -> str:
    return (Path(path.stem).suffix if path.suffix.lower() == ".gz" else path.suffix).lower()


def draw_entries(path: Path, number: int) -> Iterator[Entry]:
    """Resources of one file; one that is damaged ends with an entry that says so.

    Parameters
    ----------
    number
        Of the file in its folder: the message of an error tells this and not the name, which may name a patient.

    Raises
    ------
    InputError
        The file cannot be opened.
    """
    place = 0
    with _opened(path, number) as content:
        try:
            for entry in _draw_lines(content) if _kind(path) in LINES else _draw_bundle(content):
                place = entry.place
                yield entry
        except (gzip.BadGzipFile, EOFError, zlib.error):
            yield Entry(place + 1, {}, fault=BROKEN_OFF, lost=True)


def _draw_lines(content: IO[bytes]) -> Iterator[Entry]:
    for place, line in enumerate(content, 1):
        if not line.strip():
            continue
        resource = _parsed(line)
        if not isinstance(resource, dict):
            yield Entry(place, {}, fault=UNREADABLE_LINE)
        else:
            yield _checked(Entry(place, resource))


def _draw_bundle(content: IO[bytes]) -> Iterator[Entry]:
    document = _parsed(content.read())
    if not isinstance(document, dict) or not isinstance(document.get("resourceType"), str):
        yield Entry(1, {}, fault=NOT_FHIR, lost=True)
        return
    if document["resourceType"] != "Bundle":
        yield Entry(1, document)
        return
    entries = document.get("entry")
    entries = entries if isinstance(entries, list) else []
    resources = [e.get("resource") if isinstance(e, dict) else None for e in entries]
    addresses = [e.get("fullUrl") if isinstance(e, dict) else None for e in entries]
    bundle = {
        address: resource
        for address, resource in zip(addresses, resources, strict=True)
        if isinstance(address, str) and isinstance(resource, dict)
    }
    for place, (address, resource) in enumerate(zip(addresses, resources, strict=True), 1):
        known = address if isinstance(address, str) else None
        if not isinstance(resource, dict):
            yield Entry(place, {}, fault=NO_RESOURCE)
        else:
            yield _checked(Entry(place, resource, known, bundle))


def _checked(entry: Entry) -> Entry:
    return entry if entry.kind else Entry(entry.place, {}, fault=NO_RESOURCE)


def _parsed(content: bytes) -> Any:
    """JSON whose numbers stay the text they are; None where it is none."""
    try:
        return json.loads(content, parse_int=str, parse_float=str, parse_constant=str)
    except (ValueError, RecursionError):
        return None


@contextmanager
def _opened(path: Path, number: int) -> Iterator[IO[bytes]]:
    try:
        if path.suffix.lower() == ".gz":
            with gzip.open(path, "rb") as packed:
                yield cast(IO[bytes], packed)
        else:
            with open(path, "rb") as content:
                yield content
    except OSError as error:
        if isinstance(error, gzip.BadGzipFile):
            raise
        raise InputError(
            "cannot be read",
            where=f"{path.parent}, file {number} in order of name",
            found=type(error).__name__,
            expected="a complete file of its kind",
            fix="ask the provider for the file again",
        ) from None
