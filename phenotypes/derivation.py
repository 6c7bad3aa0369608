"""Derive phenotypes, traits and outcomes for a population: one pass over the records for all of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from cohorts.errors import StudyError
from cohorts.without_rows import WithoutRows
from phenotypes import diagnostics, outcome, status, trait
from phenotypes.cache import AnswerStore, Cache, Survival
from phenotypes.codelist import CodeList
from phenotypes.compile import Answer, Hits, Question, ask
from phenotypes.definitions import NumericTrait, Outcome, Phenotype, Trait
from phenotypes.diagnostics import Diagnostics
from phenotypes.library import CatalogueSpec
from phenotypes.narrow import Records, checked, narrow
from phenotypes.plain_english import explain
from phenotypes.rules import Rule, leaves
from phenotypes.session import HubLike, session
from phenotypes.spec import CategoryTraitSpec, NumericTraitSpec, OutcomeSpec, PhenotypeSpec
from phenotypes.status import CASE, CONTROL, STATUSES, Statuses
from phenotypes.trait import TraitValues


@dataclass(frozen=True, repr=False)
class Derived(WithoutRows):
    """What the records say about a population.

    Attributes
    ----------
    person_id
        int64: the people, in the order they were given; positions in `statuses` and `values` are theirs.
    index_date
        Day on which people enter the study.
    statuses
        By phenotype, the status of everyone in a few bytes a person (:class:`phenotypes.status.Statuses`).
    values
        By trait, its columns (:class:`phenotypes.trait.TraitValues`).
    survival
        person_id, outcome, entry, exit datetime64, years float64, state int8 (0 censored, 1 event, 2
        competing event), cause (which event, or why follow-up ended), age_entry and age_exit in years; a row
        for each person at risk and outcome. See :mod:`phenotypes.outcome`.
    diagnostics
        Counts for the study team.
    columns
        Columns of `wide` by the name of the phenotype or trait they belong to.
    identities, explanations
        SHA-256 of each definition, and the definition in plain English, by its place in a study file, e.g.
        'phenotypes.t2d'.
    phenotypes
        The definitions by name, with their code lists.
    reused
        Places of the definitions whose answers came from the cache.
    """

    person_id: np.ndarray
    index_date: date
    statuses: Mapping[str, Statuses]
    values: Mapping[str, TraitValues]
    survival: pd.DataFrame
    diagnostics: Diagnostics
    columns: Mapping[str, tuple[str, ...]]
    identities: Mapping[str, str]
    explanations: Mapping[str, str]
    phenotypes: Mapping[str, Phenotype]
    reused: tuple[str, ...] = field(default=())

    @cached_property
    def long(self) -> pd.DataFrame:
        """person_id int64, phenotype, status ('case', 'control', 'excluded', 'unknown'; categorical),
        first_date datetime64 (the day that dates a case; NaT for everyone else), n_dates int32 (different
        dates of evidence; 0 for everyone else). A row for each person and phenotype.

        It is made when first asked for; for millions of people ask for one phenotype at a time, with
        :meth:`statuses_of`.
        """
        return self.statuses_of(*self.statuses)

    @cached_property
    def wide(self) -> pd.DataFrame:
        """person_id int64, then float64 columns: a phenotype 1 (case), 0 (control), NaN; a numeric trait its
        value in its unit, NaN; a category trait one 1/0/NaN column for each level but the last.
        """
        columns: dict[str, np.ndarray] = {"person_id": self.person_id}
        as_number = np.full(len(STATUSES), np.nan)
        as_number[[CASE, CONTROL]] = 1.0, 0.0
        for name, found in self.statuses.items():
            columns[name] = as_number[found.status]
        for measured in self.values.values():
            columns |= measured.columns
        return pd.DataFrame(columns, copy=False)

    def statuses_of(self, *names: str) -> pd.DataFrame:
        """The rows of :attr:`long` for some phenotypes.

        Examples
        --------
        >>> derived.statuses_of("t2d")  # doctest: +SKIP
        """
        n = len(self.person_id)
        found = [self.statuses[name] for name in names]
        days = np.full(n * len(found), np.datetime64("NaT", "ns"))
        n_dates = np.zeros(n * len(found), dtype=np.int32)
        for i, one in enumerate(found):
            days[i * n + one.who] = outcome.dates(self.index_date, one.days)
            n_dates[i * n + one.who] = one.counts
        numbers = np.repeat(np.arange(len(names), dtype=np.int16), n)
        status_codes = np.concatenate([s.status for s in found]) if found else np.empty(0, np.int8)
        return pd.DataFrame(
            {
                "person_id": np.tile(self.person_id, len(names)),
                "phenotype": pd.Categorical.from_codes(numbers, categories=pd.Index(names, dtype=object)),
                "status": pd.Categorical.from_codes(status_codes, categories=pd.Index(STATUSES)),
                "first_date": days,
                "n_dates": n_dates,
            },
            copy=False,
        )


def derive(
    hub: HubLike,
    persons: pd.DataFrame,
    *,
    index_date: date,
    phenotypes: Mapping[str, PhenotypeSpec | CatalogueSpec | Phenotype] | None = None,
    traits: Mapping[str, NumericTraitSpec | CategoryTraitSpec | Trait] | None = None,
    outcomes: Mapping[str, OutcomeSpec | Outcome] | None = None,
    codelists: Mapping[str, CodeList] | None = None,
    data_end: date | None = None,
    cache: AnswerStore | None = None,
    hub_id: str | None = None,
) -> Derived:
    """Derive phenotypes, traits and outcomes.

    Parameters
    ----------
    hub
        Pseudonymised hub with the tables events, registrations and deaths, in DuckDB or on Spark
        (:class:`phenotypes.spark_session.SparkHub`). It is read, not changed.
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
    cache
        Where answers are kept for the next time, any mapping of keys to Arrow tables; see
        :mod:`phenotypes.cache`. Definitions whose answers are there are not asked again.
    hub_id
        Identity of the hub's content, where the caller knows it; else, where there is a cache, the records
        are read once more to tell whether they changed.

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
    asked = _Asked(
        _built(phenotypes or {}, lists), _built(traits or {}, lists), _built(outcomes or {}, lists), lists
    )
    _no_clash(asked.phenotypes, asked.traits)
    for codes in _used(asked.definitions):
        # A definition of the catalogue may bring a list of the same name as one of the study.
        if lists.setdefault(codes.name, codes).id != codes.id:
            lists.setdefault(f"{codes.name} ({codes.id[:8]})", codes)
    with session(hub) as opened:
        persons = checked(persons)
        known = Cache.of(cache, opened, persons, index_date=index_date, data_end=data_end, hub_id=hub_id)
        found = _known(asked, known)
        left = asked.without(found)
        if asked.is_something and not left.is_something:
            return _put_together(persons, index_date, asked, found, left)
        every = [*left.codelists.values(), *_used(left.definitions)]
        records = narrow(opened, persons, every, index_date=index_date, data_end=data_end)
        fresh = _ask(records, left, found)
        _remember(left, fresh, known)
        return _put_together(records.persons, index_date, asked, found.joined(fresh), left)


@dataclass(frozen=True)
class _Asked:
    """Definitions and code lists by name."""

    phenotypes: Mapping[str, Phenotype]
    traits: Mapping[str, Trait]
    outcomes: Mapping[str, Outcome]
    codelists: Mapping[str, CodeList]

    @property
    def definitions(self) -> list[Any]:
        return [*self.phenotypes.values(), *self.traits.values(), *self.outcomes.values()]

    @property
    def is_something(self) -> bool:
        return bool(self.definitions or self.codelists)

    def without(self, found: _Found) -> _Asked:
        """What is not yet answered."""
        return _Asked(
            {name: p for name, p in self.phenotypes.items() if name not in found.statuses},
            {name: t for name, t in self.traits.items() if name not in found.values},
            {name: o for name, o in self.outcomes.items() if name not in found.survival},
            {name: codes for name, codes in self.codelists.items() if name not in found.counts},
        )

    def places(self) -> dict[str, Any]:
        """Definitions by their place in a study file."""
        named = {"phenotypes": self.phenotypes, "traits": self.traits, "outcomes": self.outcomes}
        return {f"{group}.{name}": d for group, members in named.items() for name, d in members.items()}


@dataclass(frozen=True)
class _Found:
    """Answers by name; a note beside each phenotype that finds nobody."""

    statuses: Mapping[str, tuple[Statuses, str | None]]
    values: Mapping[str, TraitValues]
    survival: Mapping[str, Survival]
    counts: Mapping[str, pd.DataFrame]

    def joined(self, other: _Found) -> _Found:
        return _Found(
            {**self.statuses, **other.statuses},
            {**self.values, **other.values},
            {**self.survival, **other.survival},
            {**self.counts, **other.counts},
        )


def _used(definitions: Iterable[Any]) -> list[CodeList]:
    return [codes for definition in definitions for codes in definition.codelists()]


def _known(asked: _Asked, cache: Cache) -> _Found:
    statuses = {name: cache.statuses(p) for name, p in asked.phenotypes.items()}
    values = {name: cache.values(t) for name, t in asked.traits.items()}
    survival = {name: cache.survival(o) for name, o in asked.outcomes.items()}
    counts = {name: cache.counts(name, codes) for name, codes in asked.codelists.items()}
    return _Found(
        {name: s for name, s in statuses.items() if s is not None},
        {name: v for name, v in values.items() if v is not None},
        {name: s for name, s in survival.items() if s is not None},
        {name: c for name, c in counts.items() if c is not None},
    )


def _ask(records: Records, left: _Asked, known: _Found) -> _Found:
    """Answers to what is left, from one narrowing of the records."""
    followed = _followed(records, left.outcomes)
    questions: dict[Any, Question] = {
        **{(p, role): q for p in left.phenotypes.values() for role, q in status.questions(p).items()},
        **{
            (name, role): q
            for name, (entered, _) in followed.items()
            for role, q in outcome.questions(records, left.outcomes[name], entered).items()
        },
    }
    answers, hits = ask(records, questions)
    statuses = _statuses(records, left.phenotypes, answers)
    survival = {
        name: outcome.survive(records, o, _roles(answers, name), *followed[name])
        for name, o in left.outcomes.items()
    }
    counted = diagnostics.code_counts(records, left.codelists)
    counts = {name: counted[counted["codelist"] == name] for name in left.codelists}
    every = pd.concat([*known.counts.values(), *counts.values()]) if known.counts or counts else counted
    why = _why_nobody(left, statuses, survival, hits, every)
    values = {
        name: trait.numeric(records, t) if isinstance(t, NumericTrait) else trait.category(records, t)
        for name, t in left.traits.items()
    }
    return _Found(
        {name: (found, why.get(name)) for name, found in statuses.items()},
        values,
        {name: Survival(rows, flow, why.get(f"outcomes.{name}")) for name, (rows, flow) in survival.items()},
        counts,
    )


def _why_nobody(
    left: _Asked,
    statuses: Mapping[str, Statuses],
    survival: Mapping[str, tuple[pd.DataFrame, pd.DataFrame]],
    hits: Hits,
    codes: pd.DataFrame,
) -> dict[str, str]:
    """Notes on definitions that find nobody; outcomes as 'outcomes.NAME'."""
    empty: dict[str, Rule] = {
        **{name: p.rule for name, p in left.phenotypes.items() if not len(statuses[name].who)},
        **{
            f"outcomes.{n}": o.event
            for n, o in left.outcomes.items()
            if not (survival[n][0]["state"] == 1).any()
        },
    }
    people = hits.people(dict.fromkeys(leaf for rule in empty.values() for leaf in leaves(rule)))
    return {name: diagnostics.why_nobody(rule, codes, people) for name, rule in empty.items()}


def _remember(left: _Asked, fresh: _Found, cache: Cache) -> None:
    for name, (found, note) in fresh.statuses.items():
        cache.keep_statuses(left.phenotypes[name], found, note)
    for name, values in fresh.values.items():
        cache.keep_values(left.traits[name], values)
    for name, survival in fresh.survival.items():
        cache.keep_survival(left.outcomes[name], survival)
    for name, counts in fresh.counts.items():
        cache.keep_counts(left.codelists[name], counts)


def _put_together(
    persons: pd.DataFrame, index_date: date, asked: _Asked, found: _Found, left: _Asked
) -> Derived:
    statuses = {name: found.statuses[name][0] for name in asked.phenotypes}
    values = {name: found.values[name] for name in asked.traits}
    survived = [found.survival[name] for name in asked.outcomes]
    nobody, nothing = outcome.nothing()
    trait_table = trait.summaries(asked.traits, values)
    notes = [
        *(("code list", name, remark) for name, codes in asked.codelists.items() for remark in codes.remarks),
        *(("phenotype", name, note) for name in asked.phenotypes if (note := found.statuses[name][1])),
        *(("outcome", name, note) for name in asked.outcomes if (note := found.survival[name].note)),
        *(("trait", name, note) for name, note in diagnostics.traits_without_values(trait_table)),
    ]
    places, unknown = asked.places(), left.places()
    counts = [found.counts[name] for name in asked.codelists]
    return Derived(
        person_id=persons["person_id"].to_numpy(np.int64),
        index_date=index_date,
        statuses=statuses,
        values=values,
        survival=pd.concat([s.rows for s in survived], ignore_index=True) if survived else nobody,
        diagnostics=Diagnostics(
            statuses=diagnostics.status_counts(persons, index_date, statuses),
            codes=pd.concat(counts, ignore_index=True) if counts else diagnostics.no_counts(),
            traits=trait_table,
            outcomes=pd.concat([s.flow for s in survived], ignore_index=True) if survived else nothing,
            notes=pd.DataFrame(notes, columns=["kind", "definition", "note"]),
        ),
        columns={
            **{name: (name,) for name in asked.phenotypes},
            **{name: t.columns for name, t in asked.traits.items()},
        },
        identities={place: definition.id for place, definition in places.items()},
        explanations={place: explain(definition) for place, definition in places.items()},
        phenotypes=asked.phenotypes,
        reused=tuple(place for place in places if place not in unknown),
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
) -> dict[str, Statuses]:
    if not phenotypes:
        return {}
    seen, sex = status.first_seen(records), diagnostics.sexes(records.persons)
    runs = status.runs(records) if any(p.washout_days for p in phenotypes.values()) else None
    return {
        name: status.decide(
            records, p, {role: answers[p, role] for role in p.parts}, sex=sex, first_seen=seen, runs=runs
        )
        for name, p in phenotypes.items()
    }


def _followed(
    records: Records, outcomes: Mapping[str, Outcome]
) -> dict[str, tuple[outcome.Entered, outcome.FollowUp]]:
    known = {
        g: outcome.follow_up(records, gap_days=g)
        for g in {o.registration_gap_days for o in outcomes.values()}
    }
    return {
        name: (outcome.entries(records, o, known[o.registration_gap_days]), known[o.registration_gap_days])
        for name, o in outcomes.items()
    }


def _roles(answers: Mapping[Any, Answer], name: str) -> dict[str, Answer]:
    """Answers to the questions of one outcome, by their role."""
    return {key[1]: answer for key, answer in answers.items() if key[0] == name}
