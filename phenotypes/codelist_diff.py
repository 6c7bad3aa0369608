"""What changed between two versions of a code list, and whom it touches."""

from __future__ import annotations

import pandas as pd

from phenotypes.code_entries import CodeEntry
from phenotypes.codelist import CodeList

COLUMNS = ["change", "system", "code", "was", "records", "people"]


def diff(before: CodeList, after: CodeList, *, counts: pd.DataFrame | None = None) -> pd.DataFrame:
    """What two code lists do not share.

    Parameters
    ----------
    before, after
        The list as it was and as it is.
    counts
        Codes in use, as :func:`phenotypes.code_counts.codes_in_use` gives them: system, code, records, people.

    Returns
    -------
    DataFrame
        A row for each entry that differs, sorted: change ('added', 'removed', 'respelt' for one that means the
        same but is written otherwise; 'reached' and 'lost' for codes in use that one list means and the other
        does not, where counts are given), system, code (of a respelt entry the new spelling), was (its old one;
        '' otherwise), records and people (Int64; of the codes in use that the entry means; <NA> without counts).
        People are counted for each code in use and added up, so that one with two codes of an entry counts twice.
        Without differences the frame is empty, and then, but for respelt entries, the lists' `id` is the same.

    Examples
    --------
    >>> old = CodeList.of("t2d", [("icd10", "E11.9"), ("icd10", "E11.8")])
    >>> new = CodeList.of("t2d", [("icd10", "E119"), ("icd10", "E11.7")])
    >>> diff(old, new)[["change", "code", "was"]].values.tolist()
    [['added', 'E117', ''], ['removed', 'E118', ''], ['respelt', 'E119', 'E11.9']]
    """
    old, new = set(before.entries), set(after.entries)
    rows: list[tuple[str, CodeEntry, str]] = [
        *(("added", entry, "") for entry in new - old),
        *(("removed", entry, "") for entry in old - new),
    ]
    for entry in old & new:
        was, now = before.spellings.get(entry), after.spellings.get(entry)
        if was is not None and now is not None and was != now:
            rows.append(("respelt", entry, was))
    table = [
        (change, e.system, after.spellings[e] if was else e.text, was, *_counted(e, counts))
        for change, e, was in sorted(rows)
    ]
    if counts is not None:
        table += _in_use(before, after, counts)
    frame = pd.DataFrame(table, columns=COLUMNS)
    return frame.astype({"records": "Int64", "people": "Int64"})


def _counted(entry: CodeEntry, counts: pd.DataFrame | None) -> tuple[int | None, int | None]:
    if counts is None or entry.needs_terminology:
        return None, None
    rows = counts[counts["system"] == entry.system]
    rows = rows[[entry.matches(entry.system, str(code)) for code in rows["code"]]]
    return int(rows["records"].sum()), int(rows["people"].sum())


def _in_use(
    before: CodeList, after: CodeList, counts: pd.DataFrame
) -> list[tuple[str, str, str, str, int, int]]:
    rows = []
    used = counts.sort_values(["system", "code"])
    for system, group in used.groupby("system", sort=True):
        codes = group["code"].astype(str).tolist()
        was = {code for code, _ in before.found_in(str(system), codes)}
        now = {code for code, _ in after.found_in(str(system), codes)}
        for code, records, people in zip(codes, group["records"], group["people"], strict=True):
            if (code in was) != (code in now):
                change = "reached" if code in now else "lost"
                rows.append((change, str(system), code, "", int(records), int(people)))
    return rows
