"""Spelling out what a code list means, with a terminology."""

from __future__ import annotations

from phenotypes.code_entries import CodeEntry
from phenotypes.codelist import CodeList
from phenotypes.terminology import Terminology


def expand(codelist: CodeList, terminology: Terminology) -> CodeList:
    """The list with every code of one terminology spelled out.

    Parameters
    ----------
    codelist
        Entries of other systems stay as they are.
    terminology
        The user's own.

    Returns
    -------
    CodeList
        Codes one by one, exclusions carried out. A code of ICD-10 with nothing below it in the terminology keeps
        taking in its subdivisions (``E119*``), because hospitals record fifth characters that WHO's file
        does not list. Codes that the terminology does not know stay, with a remark, as do inactive ones: they
        stand in old records. Of the codes that the terminology knows, the result means the same as the list.

    Examples
    --------
    >>> icd = Terminology.of_codes("icd10", ["E11", "E112", "E119"], version="2019")
    >>> t2d = CodeList.of("t2d", [("icd10", "E11*"), ("icd10", "!E11.2*")])
    >>> [str(e) for e in expand(t2d, icd).entries]
    ['icd10 E11', 'icd10 E119*']
    """
    system = terminology.system
    meant: set[CodeEntry] = set()
    without: set[CodeEntry] = set()
    remarks = list(codelist.remarks)
    for entry in codelist.entries:
        if entry.system != system:
            meant.add(entry)
            continue
        codes = _known(entry, terminology)
        remarks += [f"{codelist.name}: {remark}" for remark in _oddities(entry, codes, terminology)]
        spelled = {_spelled(code, entry, terminology) for code in codes} or _unknown(entry)
        if not entry.excluded:
            meant |= spelled
        elif entry.prefix:
            without.add(entry)
        else:
            without |= spelled
    left = {e for e in meant if e.system != system or not _gone(e, without)}
    # An exclusion of something below what is left must go on being said.
    left |= {out for out in without if any(_touches(out, e) for e in left)}
    return CodeList(codelist.name, tuple(sorted(left)), tuple(remarks), codelist.edition)


def _known(entry: CodeEntry, terminology: Terminology) -> frozenset[str]:
    """Codes of the terminology that an entry means."""
    if entry.prefix:
        return frozenset(code for code in terminology.parents if entry.matches(entry.system, code))
    if entry.below:
        return terminology.below(entry.code, itself=entry.below == "<<")
    return frozenset({entry.code} & terminology.parents.keys())


def _spelled(code: str, entry: CodeEntry, terminology: Terminology) -> CodeEntry:
    open_ended = entry.prefix and entry.system == "icd10" and not terminology.children(code)
    return CodeEntry(entry.system, code, prefix=open_ended, excluded=entry.excluded)


def _unknown(entry: CodeEntry) -> set[CodeEntry]:
    """What is left of an entry of which the terminology knows nothing."""
    if not entry.needs_terminology:
        return {entry}
    return {CodeEntry(entry.system, entry.code, excluded=entry.excluded)} if entry.below == "<<" else set()


def _oddities(entry: CodeEntry, codes: frozenset[str], terminology: Terminology) -> list[str]:
    named = f"{terminology.system} {terminology.version}".strip()
    if entry.below == "<" and not codes and entry.code in terminology:
        return [f"nothing is below {entry.code} in {named}"]
    if not codes:
        return [f"{entry} is not in {named}"]
    if entry.code in terminology.inactive:
        after = ", ".join(terminology.successors.get(entry.code, ()))
        return [f"{entry} is no longer in use" + (f"; {after} took its place" if after else "")]
    return []


def _gone(entry: CodeEntry, without: set[CodeEntry]) -> bool:
    if entry.prefix:
        return any(o.prefix and o.below == "" and entry.code.startswith(o.code) for o in without)
    return any(o.matches(entry.system, entry.code) for o in without)


def _touches(out: CodeEntry, entry: CodeEntry) -> bool:
    return entry.prefix and out.system == entry.system and out.code.startswith(entry.code)
