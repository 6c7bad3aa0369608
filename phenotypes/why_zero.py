"""Why a definition finds nobody, or fewer than one thinks: the people left after each of its parts.

It reads the records for one definition and says, in order: what its code lists meet in the hub (nothing, another
spelling, another code system, other people only), how many people each part of its rule holds for, on any day
and within its window, and who is then taken away by sex, by a rule that excludes, by newness, or for want of
observation.

Counts are true ones, for the study team; what leaves passes ``workflows.release``.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any

import numpy as np
import pandas as pd

from phenotypes.code_systems import CODE_SYSTEMS, normalised
from phenotypes.codelist import CodeList
from phenotypes.compile import Question, ask
from phenotypes.definitions import Phenotype
from phenotypes.diagnostics import sexes
from phenotypes.narrow import Records, narrow
from phenotypes.plain_english import phrase
from phenotypes.rules import AllOf, AnyOf, InOrder, Leaf, NoneOf, Rule, leaves
from phenotypes.session import HubLike, session
from phenotypes.status import CASE, STATUSES, decide, first_seen, questions, runs

COLUMNS = ["step", "what", "people", "note"]


def why_zero(
    hub: HubLike,
    persons: pd.DataFrame,
    phenotype: Phenotype,
    *,
    index_date: date,
    data_end: date | None = None,
) -> pd.DataFrame:
    """Follow a definition from its codes to its cases.

    Parameters
    ----------
    hub, persons, index_date, data_end
        As for ``derive``.
    phenotype
        The definition.

    Returns
    -------
    DataFrame
        step ('codes', 'rule', 'status'), what, people int64, note. One row for each code list (people of the
        study with a record it means), one for each part of the rule, outermost last (people it holds for,
        within the definition's limit), and one for each status. A note says what is wrong, or is ''. People
        are true counts.

    Examples
    --------
    >>> why_zero(hub, persons, phenotype, index_date=date(2020, 1, 1))  # doctest: +SKIP
    """
    lists = list({codes.id: codes for codes in phenotype.codelists()}.values())
    with session(hub) as opened:
        records = narrow(opened, persons, lists, index_date=index_date, data_end=data_end)
        rows = [*_codes(records, lists), *_parts(records, phenotype), *_statuses(records, phenotype)]
    return pd.DataFrame(rows, columns=COLUMNS).astype({"people": "int64"})


def _codes(records: Records, lists: list[CodeList]) -> Iterator[tuple[str, str, int, str]]:
    events = records.session.table("events")
    used = records.session.frame(events.select("system", "code").distinct()).dropna()
    grouped = records.narrow.group_by("list").agg(people=records.narrow.who.nunique())
    counts = records.session.frame(grouped)
    people = dict(zip(counts["list"].astype(int), counts["people"].astype(int), strict=True))
    for codes in lists:
        n = people.get(records.number(codes), 0)
        yield "codes", f"a record of {codes.name}", n, "" if n else _why_unseen(codes, used)


def _why_unseen(codes: CodeList, used: pd.DataFrame) -> str:
    """What the hub holds in place of a list that nobody of the study has a record of."""
    wanted = {entry.system for entry in codes.entries}
    for system in sorted(wanted):
        if codes.found_in(
            system, sorted({normalised(system, c) for c in used.loc[used["system"] == system, "code"]})
        ):
            return "recorded, but only of people outside the study"
    others = [s for s in sorted(used["system"].unique()) if s not in wanted]
    for other in others:
        for system in sorted(wanted):
            spelled = sorted({normalised(system, c) for c in used.loc[used["system"] == other, "code"]})
            if system in CODE_SYSTEMS and codes.found_in(system, spelled):
                return f"its {system} codes are recorded under the system {other}: check the mapping of that source"
    for system in sorted(wanted):
        if near := _other_spellings(codes, system, used):
            return f"recorded in another spelling, such as {near!r} ({system}): check the list or the source"
    missing = sorted(wanted - set(used["system"]))
    if missing == sorted(wanted):
        return (
            f"no code of {', '.join(missing)} is recorded by anybody; there is {', '.join(others) or 'none'}"
        )
    if "rxnorm" in wanted & set(used["system"]):
        return (
            "no code of the list is recorded by anybody; where it lists ingredients of RxNorm and products are "
            "recorded, name the vocabulary of that source"
        )
    return "no code of the list is recorded by anybody"


def _other_spellings(codes: CodeList, system: str, used: pd.DataFrame) -> str | None:
    """A recorded code that differs from one of the list in case, dots, blanks or zeros before and after it."""
    wanted = {_bare(entry.text) for entry in codes.entries if entry.system == system}
    recorded = used.loc[used["system"] == system, "code"]
    return next((code for code in sorted(recorded) if _bare(code) in wanted), None)


def _bare(code: str) -> str:
    return "".join(c for c in code.upper() if c.isalnum()).strip("0")


def _parts(records: Records, phenotype: Phenotype) -> Iterator[tuple[str, str, int, str]]:
    end = 0 if phenotype.until == "index" else None
    asked: dict[Any, Question] = {}
    for part in dict.fromkeys(_inner(phenotype.rule)):
        asked[part, "limited"] = Question(part, end=end, counted=False)
        if end is not None:
            asked[part, "ever"] = Question(part, counted=False)
    answers, _ = ask(records, asked)
    with_codes = {leaf: _meant(records, leaf) for leaf in leaves(phenotype.rule)}
    for part in dict.fromkeys(_inner(phenotype.rule)):
        n = len(answers[part, "limited"].who)
        note = ""
        if not n:
            if end is not None and len(answers[part, "ever"].who):
                note = "holds for some people, but only from the index date on"
            elif isinstance(part, Leaf):
                note = _why_leaf(records, part, with_codes[part])
            elif isinstance(part, AllOf | InOrder):
                held = [len(answers[p, "limited"].who) > 0 for p in part.parts]
                note = (
                    "each part holds for somebody, but not together"
                    if all(held)
                    else "a part holds for nobody"
                )
                if isinstance(part, InOrder) and all(held):
                    note = "each part holds for somebody, but not in this order"
            elif not isinstance(part, AnyOf | NoneOf):
                within = [len(answers[p, "limited"].who) for p in _children(part)]
                note = "what it narrows has dates, but none that it keeps" if any(within) else ""
        yield "rule", phrase(part), n, note


def _why_leaf(records: Records, leaf: Leaf, people: int) -> str:
    if not people:
        return "nobody in the study has a record of the list"
    source = getattr(leaf, "source", None)
    if source is not None and records.source(source) < 0:
        return f"the hub has no source {source!r}; there is {', '.join(records.sources)}"
    return f"{leaf.codelist.name} is recorded, but not as {phrase(leaf)}"


def _meant(records: Records, leaf: Leaf) -> int:
    t = records.narrow
    rows = t.filter(t.list == records.number(leaf.codelist))
    return int(records.session.frame(rows.agg(n=rows.who.nunique()))["n"][0])


def _statuses(records: Records, phenotype: Phenotype) -> Iterator[tuple[str, str, int, str]]:
    answers, _ = ask(records, questions(phenotype))
    sex = sexes(records.persons)
    found = decide(
        records, phenotype, answers, sex=sex, first_seen=first_seen(records),
        runs=runs(records) if phenotype.washout_days else None,
    )  # fmt: skip
    held = answers["case"].holds
    lost = held & (found.status != CASE)
    taken = np.zeros(len(held), dtype=bool)
    if phenotype.sex is not None:
        taken = lost & (sex != phenotype.sex)
        yield "status", f"rule holds, but not of sex {phenotype.sex}", int(taken.sum()), ""
    if "exclude" in answers:
        mine = lost & ~taken & answers["exclude"].holds
        taken |= mine
        yield "status", "rule holds, but a rule excludes", int(mine.sum()), ""
    if phenotype.must_be_new:
        yield "status", "rule holds, but not known to be new", int((lost & ~taken).sum()), ""
    for number, name in enumerate(STATUSES):
        n = int((found.status == number).sum())
        note = (
            "nobody is registered or has a record before the limit"
            if name == "unknown" and n == len(held)
            else ""
        )
        if number == CASE and not n and held.any():
            note = "the rule holds for some, and every one of them is set aside"
        yield "status", name, n, note


def _inner(rule: Rule) -> Iterator[Rule]:
    """A rule's parts, the innermost first, and the rule itself."""
    for part in _children(rule):
        yield from _inner(part)
    yield rule


def _children(rule: Rule) -> tuple[Rule, ...]:
    if isinstance(rule, AnyOf | AllOf | NoneOf | InOrder):
        return rule.parts
    return tuple(getattr(rule, name) for name in ("rule", "other") if hasattr(rule, name))
