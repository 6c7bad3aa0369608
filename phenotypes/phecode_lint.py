"""What may be wrong with a phecode map."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from phenotypes.code_systems import CODE_SYSTEMS
from phenotypes.phecode_map import PhecodeMap, is_phecode
from phenotypes.terminology import Terminology

RULES: dict[str, tuple[str, str]] = {
    "foreign": ("note", "the code is of another ICD than the map was read for"),
    "not-a-code": ("error", "this cannot be a code of its ICD"),
    "clinical-modification": ("error", "the code is longer than any of WHO's: this looks like the US map"),
    "no-phecode": ("warning", "the code has no phecode"),
    "duplicate": ("warning", "the pair stands twice"),
    "unnamed": ("warning", "the file of names does not know the phecode"),
    "unknown": ("warning", "the terminology does not know the code"),
    "apart": ("warning", "the category is mapped otherwise than everything around it"),
}

NEIGHBOURS = 3


def lint_phecodes(
    maps: PhecodeMap, *, names: pd.DataFrame | None = None, terminology: Terminology | None = None
) -> pd.DataFrame:
    """Everything that may be wrong with a phecode map.

    Parameters
    ----------
    maps
        The map.
    names
        Frame with a column phecode: those that exist. Passed over where None.
    terminology
        Checks that its ICD codes exist.

    Returns
    -------
    DataFrame
        severity, rule (a key of :data:`RULES`), line (of the map's file), code, phecode, message. 'apart' is a
        three-character category whose phecode belongs to a category of phecodes that none of its own subdivisions and
        none of the three ICD categories on either side is mapped to: how E67 (hyperalimentation) once came to mean
        hypoventilation. It is a reason to look, not proof.
    """
    rows = sorted(_findings(maps, names, terminology))
    rank = {"error": 0, "warning": 1, "note": 2}
    table = [
        (RULES[rule][0], rule, line, code, phecode, RULES[rule][1]) for line, rule, code, phecode in rows
    ]
    table.sort(key=lambda r: (rank[r[0]], r[2]))
    return pd.DataFrame(table, columns=["severity", "rule", "line", "code", "phecode", "message"])


def _findings(
    maps: PhecodeMap, names: pd.DataFrame | None, terminology: Terminology | None
) -> Iterator[tuple[int, str, str, str]]:
    known = None if names is None else set(names["phecode"])
    seen: set[tuple[str, str]] = set()
    for line, system, code, phecode in maps.written.itertuples(index=False):
        if not isinstance(system, str):
            yield line, "foreign", code, phecode
            continue
        clean = CODE_SYSTEMS[system].normalise(code)
        whole = CODE_SYSTEMS[system].full or CODE_SYSTEMS[system].shape
        if not whole.fullmatch(clean):
            american = system == "icd10" and CODE_SYSTEMS["icd10cm"].shape.fullmatch(clean) is not None
            yield line, "clinical-modification" if american else "not-a-code", code, phecode
        elif terminology is not None and terminology.system == system and clean not in terminology:
            yield line, "unknown", code, phecode
        if not is_phecode(phecode):
            yield line, "no-phecode", code, phecode
        elif known is not None and phecode not in known:
            yield line, "unnamed", code, phecode
        if (clean, phecode) in seen:
            yield line, "duplicate", code, phecode
        seen.add((clean, phecode))
    yield from _apart(maps)


def _apart(maps: PhecodeMap) -> Iterator[tuple[int, str, str, str]]:
    groups = dict(zip(maps.phecodes["phecode"], maps.phecodes["category"], strict=True))
    ours = maps.written[maps.written["system"] == "icd10"]
    around: dict[str, set[str]] = {}
    whole: list[tuple[int, str, str, str]] = []
    for line, code, phecode in zip(ours["line"], ours["code"], ours["phecode"], strict=True):
        group = groups.get(phecode, "")
        clean = CODE_SYSTEMS["icd10"].normalise(code)
        if group and len(clean) == 3:
            whole.append((line, clean, code, phecode))
        around.setdefault(clean, set()).add(group)
    by_category: dict[str, set[str]] = {}
    for clean, found in around.items():
        by_category.setdefault(clean[:3], set()).update(found)
    ordered = sorted(by_category)
    place = {category: i for i, category in enumerate(ordered)}
    below: dict[str, set[str]] = {}
    for clean, found in around.items():
        if len(clean) > 3:
            below.setdefault(clean[:3], set()).update(found)
    for line, clean, code, phecode in whole:
        at = place[clean]
        beside = [*ordered[max(0, at - NEIGHBOURS) : at], *ordered[at + 1 : at + 1 + NEIGHBOURS]]
        seen = below.get(clean, set()).union(*(by_category[c] for c in beside if c[0] == clean[0]))
        if len(beside) >= 2 and seen and groups[phecode] not in seen:
            yield line, "apart", code, phecode
