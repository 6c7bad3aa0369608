"""Terminology files as their publishers hand them out.

===================  =====================================================================================
ICD-10               ClaML (the XML of WHO and of NHS England's TRUD), or the simpler nested items that
                     some packages make of it; ``.xml`` or ``.xml.gz``
SNOMED CT, dm+d      the snapshot of an RF2 release: a folder that holds ``*_Concept_*Snapshot*`` and
                     ``*_Relationship_*Snapshot*`` files at any depth; several packages (UK edition and
                     drug extension) may lie side by side. Association reference sets, where there, tell
                     what replaced an inactive concept
Read v2, OPCS-4,     a list of codes, ``.txt`` (one a line) or ``.csv`` with a column ``code`` and, if
BNF, any other       wanted, ``term``, ``parent`` and ``active``; without ``parent``, what begins with a
                     code is below it
===================  =====================================================================================
"""

from __future__ import annotations

import gzip
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import pandas as pd

from cohorts.errors import InputError, unreadable
from phenotypes.code_systems import CODE_SYSTEMS, normalised
from phenotypes.codelist_files import read_rows
from phenotypes.terminology import Terminology

IS_A = "116680003"
# Reference sets of historical associations whose target means the same as the inactive concept: SAME AS,
# REPLACED BY. (POSSIBLY EQUIVALENT TO and WAS A do not.)
SAME_MEANING = ("900000000000527005", "900000000000526001")


def read_terminology(
    path: str | Path, *, system: str | None = None, version: str | None = None
) -> Terminology:
    """Read a terminology.

    Parameters
    ----------
    path
        ClaML file, folder of an RF2 release, or list of codes.
    system
        Code system; needed for a list of codes, otherwise 'icd10' for XML and 'snomed' for RF2 unless given.
    version
        Edition or release; what the file says where None.

    Raises
    ------
    InputError
        Where the file cannot be read or is none of these.

    Examples
    --------
    >>> icd = read_terminology("icd10.claml.xml.gz")  # doctest: +SKIP
    """
    path = Path(path)
    if system is not None and system not in CODE_SYSTEMS:
        raise InputError("unknown code system", found=repr(system), expected=", ".join(CODE_SYSTEMS))
    if path.is_dir():
        return _read_rf2(path, system or "snomed", version)
    if path.name.removesuffix(".gz").lower().endswith((".xml", ".claml")):
        return _read_xml(path, system or "icd10", version)
    if system is None:
        raise InputError("a list of codes does not say of which system", where=path, fix="give the system")
    return _read_list(path, system, version)


def _read_list(path: Path, system: str, version: str | None) -> Terminology:
    if path.suffix.lower() == ".csv":
        rows = [row for _, row in read_rows(path, ("code",)) if row["code"]]
    else:
        try:
            lines = path.read_text(encoding="utf-8-sig").splitlines()
        except OSError as error:
            raise unreadable(path, error) from None
        except UnicodeDecodeError:
            raise InputError("not UTF-8 text", where=path, fix="save it in UTF-8") from None
        rows = [{"code": line.strip()} for line in lines if line.strip()]
    clean = [normalised(system, row["code"]) for row in rows]
    shape = CODE_SYSTEMS[system].shape
    wrong = next((i for i, code in enumerate(clean) if not shape.fullmatch(code)), None)
    if wrong is not None:
        raise InputError(
            f"not a code of {system}",
            where=path,
            found=repr(rows[wrong]["code"]),
            expected=CODE_SYSTEMS[system].expected,
        )
    if not clean:
        raise InputError("terminology is empty", where=path, expected="at least one code")
    terms = {code: row["term"] for code, row in zip(clean, rows, strict=True) if row.get("term")}
    off = ("0", "no", "false", "inactive")
    inactive = frozenset(
        code for code, row in zip(clean, rows, strict=True) if row.get("active", "").lower() in off
    )
    if "parent" in rows[0]:
        parents: dict[str, set[str]] = {}
        for code, row in zip(clean, rows, strict=True):
            above = parents.setdefault(code, set())
            if row.get("parent"):
                above.add(normalised(system, row["parent"]))
        return Terminology(
            system, version or "", {c: tuple(sorted(p)) for c, p in parents.items()}, inactive, terms=terms
        )
    if CODE_SYSTEMS[system].hierarchy != "prefix":
        raise InputError(
            f"codes of {system} do not tell what is below them",
            where=path,
            fix="add a column parent, or give the release files",
        )
    plain = Terminology.of_codes(system, clean, version=version or "", terms=terms)
    return Terminology(system, plain.version, plain.parents, inactive, terms=plain.terms)


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    try:
        if path.suffix == ".gz":
            with gzip.open(path, "rb") as packed:
                yield packed  # type: ignore[misc]
        else:
            with path.open("rb") as plain:
                yield plain
    except (OSError, EOFError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise unreadable(path, error) from None
        raise InputError("damaged gzip file", where=path, fix="copy it again") from None
    except ET.ParseError as error:
        raise InputError("not well-formed XML", where=path, found=str(error), fix="copy it again") from None


def _read_xml(path: Path, system: str, version: str | None) -> Terminology:
    with _opened(path) as file:
        root = ET.parse(file).getroot()
    if root.tag == "ClaML":
        return _from_claml(root, path, system, version)
    if any(item.get("type") == "category" for item in root.iter("item")):
        return _from_items(root, system, version)
    raise InputError(
        "not a terminology", where=path, found=f"<{root.tag}>", expected="ClaML, or nested items"
    )


def _from_items(root: ET.Element, system: str, version: str | None) -> Terminology:
    parents: dict[str, tuple[str, ...]] = {}
    terms: dict[str, str] = {}

    def walk(element: ET.Element, above: str | None) -> None:
        for item in element.findall("item"):
            code = None
            if item.get("type") not in ("chapter", "block"):
                code = normalised(system, item.findtext("name") or "")
                parents[code] = () if above is None else (above,)
                terms[code] = (item.findtext("description") or "").strip()
            walk(item, code)

    walk(root, None)
    year = re.search(r"(19|20)\d\d", root.tag)
    return Terminology(system, version or (year[0] if year else ""), parents, terms=terms)


@dataclass
class _ClaMLClass:
    above: list[str]
    term: str
    modifiers: list[tuple[str, frozenset[str]]]
    unmodified: set[str]
    kind: str
    modified: list[tuple[str, str, str]] = field(default_factory=list)


def _term(element: ET.Element) -> str:
    for rubric in element.findall("Rubric"):
        if rubric.get("kind") == "preferred" and (label := rubric.find("Label")) is not None:
            return " ".join("".join(label.itertext()).split())
    return ""


def _from_claml(root: ET.Element, path: Path, system: str, version: str | None) -> Terminology:
    suffixes: dict[str, list[tuple[str, str]]] = {}
    for modifier in root.findall("ModifierClass"):
        suffixes.setdefault(str(modifier.get("modifier")), []).append(
            (str(modifier.get("code")), _term(modifier))
        )
    classes: dict[str, _ClaMLClass] = {}
    for found in root.findall("Class"):
        modifiers = [
            (
                str(m.get("code")),
                frozenset(str(v.get("code")) for v in m.findall("ValidModifierClass")),
            )
            for m in found.findall("ModifiedBy")
        ]
        classes[str(found.get("code"))] = _ClaMLClass(
            [str(s.get("code")) for s in found.findall("SuperClass")],
            _term(found),
            modifiers,
            {str(m.get("code")) for m in found.findall("ExcludeModifier")},
            str(found.get("kind")),
        )
    codes = {code: known for code, known in classes.items() if known.kind == "category"}
    if not codes:
        raise InputError("ClaML holds no category", where=path, fix="give the file of the classification")
    parents: dict[str, tuple[str, ...]] = {}
    terms: dict[str, str] = {}
    for code, known in codes.items():
        parents[normalised(system, code)] = tuple(
            normalised(system, above) for above in known.above if above in codes
        )
        terms[normalised(system, code)] = known.term
    leaves = set(codes) - {above for known in codes.values() for above in known.above}
    # First the modifiers that give a fourth character to a leaf of three, then those of the fifth.
    for length in (3, 4):
        fresh: list[str] = []
        for leaf in sorted(leaves):
            if len(leaf.replace(".", "")) != length:
                continue
            for suffix, term in _suffixes(leaf, classes, suffixes, dotted=length == 3):
                made = normalised(system, leaf + suffix)
                parents[made] = (normalised(system, leaf),)
                terms[made] = f"{classes[leaf].term}: {term}"
                if length == 3 and leaf + suffix not in classes:
                    classes[leaf + suffix] = _ClaMLClass([leaf], terms[made], [], set(), "category")
                    fresh.append(leaf + suffix)
        leaves.update(fresh)
    title = root.find("Title")
    said = "" if title is None else str(title.get("version") or "")
    return Terminology(system, version or said, parents, terms=terms)


def _suffixes(
    leaf: str,
    classes: dict[str, _ClaMLClass],
    suffixes: dict[str, list[tuple[str, str]]],
    *,
    dotted: bool,
) -> Iterable[tuple[str, str]]:
    """Characters that the modifiers of a class, or of those above it, put behind its code."""
    barred: set[str] = set()
    at: str | None = leaf
    while at is not None and at in classes:
        barred |= classes[at].unmodified
        for modifier, valid in classes[at].modifiers:
            given = [
                (suffix, term)
                for suffix, term in suffixes.get(modifier, ())
                if suffix.startswith(".") == dotted and (not valid or suffix in valid)
            ]
            if given and modifier not in barred:
                return given
        at = next(iter(classes[at].above), None)
    return ()


def _read_rf2(folder: Path, system: str, version: str | None) -> Terminology:
    concepts = _snapshot(folder, "_Concept_", ["id", "effectiveTime", "active"])
    if concepts is None:
        raise InputError(
            "no snapshot of concepts in the folder",
            where=folder,
            expected="a file such as Terminology/sct2_Concept_Snapshot_INT_20240101.txt",
        )
    relations = _snapshot(
        folder, "_Relationship_", ["id", "effectiveTime", "active", "sourceId", "destinationId", "typeId"]
    )
    if relations is None:
        raise InputError(
            "no snapshot of relationships in the folder",
            where=folder,
            expected="a file such as Terminology/sct2_Relationship_Snapshot_INT_20240101.txt",
        )
    active = set(concepts.loc[concepts["active"] == "1", "id"])
    parents: dict[str, list[str]] = {code: [] for code in concepts["id"]}
    is_a = relations[(relations["active"] == "1") & (relations["typeId"] == IS_A)]
    for child, parent in zip(is_a["sourceId"], is_a["destinationId"], strict=True):
        if child in active and parent in active:
            parents[child].append(parent)
    successors: dict[str, list[str]] = {}
    links = _snapshot(
        folder,
        "Association",
        ["id", "effectiveTime", "active", "refsetId", "referencedComponentId", "targetComponentId"],
    )
    if links is not None:
        links = links[(links["active"] == "1") & links["refsetId"].isin(SAME_MEANING)]
        for old, new in zip(links["referencedComponentId"], links["targetComponentId"], strict=True):
            if old not in active and new in active:
                parents.setdefault(old, [])
                successors.setdefault(old, []).append(new)
    newest = str(concepts["effectiveTime"].max())
    return Terminology(
        system,
        version or newest,
        {code: tuple(sorted(set(above))) for code, above in parents.items()},
        frozenset(set(parents) - active),
        {old: tuple(sorted(set(new))) for old, new in successors.items()},
        _descriptions(folder),
    )


def _descriptions(folder: Path) -> dict[str, str]:
    columns = ["id", "effectiveTime", "active", "conceptId", "typeId", "term"]
    rows = _snapshot(folder, "_Description_", columns)
    if rows is None:
        return {}
    named = rows[(rows["active"] == "1") & (rows["typeId"] == "900000000000003001")]
    return dict(zip(named["conceptId"], named["term"], strict=True))


def _snapshot(folder: Path, part: str, columns: list[str]) -> pd.DataFrame | None:
    """Rows of the snapshot files of one kind, the newest state of each component; None where there is no file."""
    files = sorted(
        p for p in folder.rglob("*.txt") if part in p.name and "Snapshot" in p.name and "Stated" not in p.name
    )
    if not files:
        return None
    parts = [_tabbed(file, columns) for file in files]
    rows = pd.concat(parts, ignore_index=True).sort_values("effectiveTime", kind="stable")
    # A package repeats components of those it builds on; the newest state of one holds.
    return rows.drop_duplicates("id", keep="last").reset_index(drop=True)


def _tabbed(path: Path, columns: list[str]) -> pd.DataFrame:
    import pyarrow as pa
    import pyarrow.csv as arrow_csv

    try:
        # RF2 has neither quotes nor escapes.
        table: Any = arrow_csv.read_csv(
            path,
            parse_options=arrow_csv.ParseOptions(delimiter="\t", quote_char=False, newlines_in_values=False),
            convert_options=arrow_csv.ConvertOptions(
                include_columns=columns, column_types={name: pa.string() for name in columns}
            ),
        )
    except OSError as error:
        raise unreadable(path, error) from None
    except (pa.ArrowInvalid, pa.ArrowKeyError) as error:
        raise InputError(
            "not a file of an RF2 release",
            where=path,
            found=str(error).splitlines()[0],
            expected=", ".join(columns),
        ) from None
    frame: pd.DataFrame = table.to_pandas()
    return frame
