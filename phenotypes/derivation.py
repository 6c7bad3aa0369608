"""Derive phenotypes, traits and outcomes for a population: one pass over the records for all of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import pandas as pd

from cohorts.errors import StudyError
from phenotypes import diagnostics, outcome, status, trait
from phenotypes.codelist import CodeList
from phenotypes.compile import Answer, Question, ask
from phenotypes.definitions import NumericTrait, Outcome, Phenotype, Trait
from phenotypes.diagnostics import Diagnostics
from phenotypes.narrow import Records, narrow
from phenotypes.plain_english import explain
from phenotypes.rules import leaves
from phenotypes.session import HubLike, session
from phenotypes.spec import CategoryTraitSpec, NumericTraitSpec, OutcomeSpec, PhenotypeSpec
from phenotypes.status import CASE, CONTROL, STATUSES, Statuses
from phenotypes.trait import TraitValues

_ByName = Mapping[str, Statuses]


@dataclass(frozen=True)
class Derived:
    """What the records say about a population.

    Attributes
    ----------
    long
        person_id int64, phenotype, status ('case', 'control', 'excluded', 'unknown'; categorical),
        first_date datetime64 (the day that dates a case; NaT for everyone else), n_dates int32 (different
        dates of evidence; 0 for everyone else). A row for each person and phenotype.
    wide
        person_id int64, then float64 columns: a phenotype 1 (case), 0 (control), NaN; a numeric trait its
        value in its unit, NaN; a category trait one 1/0/NaN column for each level but the last.
    survival
        person_id, outcome, entry, exit datetime64, years float64, state int8 (0 censored, 1 event, 2
        competing event); a row for each person at risk and outcome.
    diagnostics
        Counts for the study team.
    columns
        Columns of `wide` by the name of the phenotype or trait they belong to.
    identities, explanations
        SHA-256 of each definition, and the definition in plain English, by its place in a study file, e.g.
        'phenotypes.t2d'.
    """

    long: pd.DataFrame
    wide: pd.DataFrame
    survival: pd.DataFrame
    diagnostics: Diagnostics
    columns: Mapping[str, tuple[str, ...]]
    identities: Mapping[str, str]
    explanations: Mapping[str, str]


def derive(
    hub: HubLike,
    persons: pd.DataFrame,
    *,
    index_date: date,
    phenotypes: Mapping[str, PhenotypeSpec | Phenotype] | None = None,
    traits: Mapping[str, NumericTraitSpec | CategoryTraitSpec | Trait] | None = None,
    outcomes: Mapping[str, OutcomeSpec | Outcome] | None = None,
    codelists: Mapping[str, CodeList] | None = None,
    data_end: date | None = None,
) -> Derived:
    """Derive phenotypes, traits and outcomes.

    Parameters
    ----------
    hub
        Pseudonymised hub with the tables events, registrations and deaths. It is read, not changed.
    persons
        Population: person_id int64, sex ('M', 'F' or missing), birth_date; one row a person. Other columns
        are passed over.
    index_date
        Day on which people enter the study.
    phenotypes, traits, outcomes
        Definitions, or their YAML forms, by name.
    codelists
        Code lists that the YAML forms name; all are counted in the diagnostics.
    data_end
        Last day the records cover; the last day of any event or death where None.

    Returns
    -------
    Derived
        Rows in the order of `persons`, and definitions in the order given.

    Raises
    ------
    StudyError
        Where a code list is not declared, or two definitions want one column.
    DesignError
        Where `persons` is empty, has repeated people or lacks a column, or the data end too early.

    Examples
    --------
    >>> derived = derive(hub, persons, index_date=date(2012, 1, 1),
    ...                  phenotypes={"t2d": rule}, codelists=lists)  # doctest: +SKIP
    """
    lists = dict(codelists or {})
    conditions = _built(phenotypes or {}, lists)
    measures = _built(traits or {}, lists)
    events = _built(outcomes or {}, lists)
    _no_clash(conditions, measures)
    definitions = [*conditions.values(), *measures.values(), *events.values()]
    used = [codes for definition in definitions for codes in definition.codelists()]
    for codes in used:
        lists.setdefault(codes.name, codes)
    with session(hub) as opened:
        records = narrow(opened, persons, [*lists.values(), *used], index_date=index_date, data_end=data_end)
        return _derive(records, conditions, measures, events, lists)


def _derive(
    records: Records,
    phenotypes: Mapping[str, Phenotype],
    traits: Mapping[str, Trait],
    outcomes: Mapping[str, Outcome],
    codelists: Mapping[str, CodeList],
) -> Derived:
    questions: dict[Any, Question] = {
        **{(p, role): q for p in phenotypes.values() for role, q in status.questions(p).items()},
        **{o: outcome.question(o) for o in outcomes.values()},
    }
    answers, hits = ask(records, questions)
    statuses = _statuses(records, phenotypes, answers)
    values = {
        name: trait.numeric(records, t) if isinstance(t, NumericTrait) else trait.category(records, t)
        for name, t in traits.items()
    }
    survival, flow = _survival(records, outcomes, answers)
    trait_table = trait.summaries(traits, values)
    codes = diagnostics.code_counts(records, codelists)
    empty = [
        *((name, p.rule) for name, p in phenotypes.items() if not (statuses[name].status == CASE).any()),
        *((name, o.event) for name, o in outcomes.items() if not _has_events(survival, name)),
    ]
    leaf_people = hits.people(dict.fromkeys(leaf for _, rule in empty for leaf in leaves(rule)))
    notes = [
        *((name, remark) for name, codelist in codelists.items() for remark in codelist.remarks),
        *((name, diagnostics.why_nobody(rule, codes, leaf_people)) for name, rule in empty),
        *diagnostics.traits_without_values(trait_table),
    ]
    named = {"phenotypes": phenotypes, "traits": traits, "outcomes": outcomes}
    places = {f"{group}.{name}": d for group, members in named.items() for name, d in members.items()}
    return Derived(
        long=_long(records, statuses),
        wide=_wide(records, statuses, values),
        survival=survival,
        diagnostics=Diagnostics(
            statuses=diagnostics.status_counts(records, statuses),
            codes=codes,
            traits=trait_table,
            outcomes=flow,
            notes=pd.DataFrame(notes, columns=["definition", "note"]),
        ),
        columns={**{name: (name,) for name in phenotypes}, **{name: t.columns for name, t in traits.items()}},
        identities={place: definition.id for place, definition in places.items()},
        explanations={place: explain(definition) for place, definition in places.items()},
    )


def _built(specs: Mapping[str, Any], lists: Mapping[str, CodeList]) -> dict[str, Any]:
    """Definitions from their YAML forms; ready definitions take the name they are given here."""
    return {
        name: spec.build(lists, name) if hasattr(spec, "build") else dataclasses.replace(spec, name=name)
        for name, spec in specs.items()
    }


def _no_clash(phenotypes: Mapping[str, Phenotype], traits: Mapping[str, Trait]) -> None:
    wanted = ["person_id", *phenotypes, *(column for t in traits.values() for column in t.columns)]
    twice = sorted({column for column in wanted if wanted.count(column) > 1})
    if twice:
        raise StudyError("two definitions want one column", where="traits", found=twice[0], fix="rename one")


def _statuses(
    records: Records, phenotypes: Mapping[str, Phenotype], answers: Mapping[Any, Answer]
) -> _ByName:
    seen, sex = status.first_seen(records), diagnostics.sexes(records.persons)
    runs = status.runs(records) if any(p.washout_days for p in phenotypes.values()) else None
    return {
        name: status.decide(
            records, p, {role: answers[p, role] for role in p.parts}, sex=sex, first_seen=seen, runs=runs
        )
        for name, p in phenotypes.items()
    }


def _survival(
    records: Records, outcomes: Mapping[str, Outcome], answers: Mapping[Any, Answer]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    known = {
        g: outcome.follow_up(records, gap_days=g)
        for g in {o.registration_gap_days for o in outcomes.values()}
    }
    pairs = [
        outcome.survive(records, o, answers[o], known[o.registration_gap_days]) for o in outcomes.values()
    ]
    if not pairs:
        return outcome.nothing()
    survival, flow = zip(*pairs, strict=True)
    return pd.concat(survival, ignore_index=True), pd.concat(flow, ignore_index=True)


def _has_events(survival: pd.DataFrame, name: str) -> bool:
    return bool(((survival["outcome"] == name) & (survival["state"] == 1)).any())


def _long(records: Records, statuses: _ByName) -> pd.DataFrame:
    people = records.persons["person_id"].to_numpy(np.int64)
    n, names = len(people), list(statuses)
    found = list(statuses.values())
    status_codes = np.concatenate([s.status for s in found]) if found else np.empty(0, np.int8)
    days = np.concatenate([s.day for s in found]) if found else np.empty(0)
    phenotype = np.repeat(np.arange(len(names)), n)
    return pd.DataFrame(
        {
            "person_id": np.tile(people, len(names)),
            "phenotype": pd.Categorical.from_codes(phenotype, categories=pd.Index(names, dtype=object)),
            "status": pd.Categorical.from_codes(status_codes, categories=pd.Index(STATUSES)),
            "first_date": outcome.dates(records.index_date, days),
            "n_dates": np.concatenate([s.n_dates for s in found]) if found else np.empty(0, np.int32),
        }
    )


def _wide(records: Records, statuses: _ByName, values: Mapping[str, TraitValues]) -> pd.DataFrame:
    columns: dict[str, np.ndarray] = {"person_id": records.persons["person_id"].to_numpy(np.int64)}
    for name, found in statuses.items():
        columns[name] = np.select([found.status == CASE, found.status == CONTROL], [1.0, 0.0], np.nan)
    for measured in values.values():
        columns |= measured.columns
    return pd.DataFrame(columns)
