"""Generated hubs and definitions: the plain reference and the compiled engine give the same answers."""

from __future__ import annotations

import os
from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from phenotypes import reference, rules
from phenotypes.codelist import CodeList
from phenotypes.compile import Question, ask
from phenotypes.definitions import Adjustment, CategoryTrait, Entry, NumericTrait, Outcome, Phenotype
from phenotypes.derivation import derive
from phenotypes.evidence import evidence
from phenotypes.narrow import narrow
from phenotypes.reference import Event, Person
from phenotypes.session import session
from phenotypes.worked import hub_of

INDEX = date(2012, 1, 1)
DATA_END = date(2012, 6, 30)
END_DAY = (DATA_END - INDEX).days + 1
CODES = [
    ("icd10", "E119"),
    ("icd10", "E11"),
    ("icd10", "I10"),
    ("snomed", "44054006"),
    ("snomed", "38341003"),
]
DRUGS = [("bnf", "0601022B0"), ("bnf", "0212000Y0")]
LISTS = [
    CodeList.of("wide", [("icd10", "E11*"), ("snomed", "44054006")]),
    CodeList.of("narrow", [("icd10", "E119"), ("icd10", "I10")]),
    CodeList.of("other", [("snomed", "38341003")]),
    CodeList.of("drug", [("bnf", "0601022*")]),
    CodeList.of("drugs", [("bnf", "06*"), ("bnf", "0212000Y0")]),
    CodeList.of("absent", [("icd10", "Z99")]),
]
UNITS = [None, "", " ", "%", "mmol/mol", "MMOL/MOL", "stone", "furlong", "µmol/L", "mg/dL"]
# People are cheap and queries are not: many people in few hubs. CAREOME_EXAMPLES asks for more hubs.
FEW = settings(
    max_examples=int(os.environ.get("CAREOME_EXAMPLES", "15")),
    deadline=None,
    phases=(Phase.explicit, Phase.generate),  # shrinking whole hubs takes minutes
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)

# Hypothesis shapes the rules; people come in crowds from a seed, which it would draw one record at a time.
# Their days lie close together, so that ties, repeats and edges of windows are common.
EDGES = [-365, -364, 90, END_DAY - 1, END_DAY, END_DAY + 5]
VALUES = [None, 6.4, 6.5, 47.0, 48.0, 49.5, 1.0, 200.0, 1e6, 0.0, -3.0, 1e300, float("nan"), float("inf")]


def _population(seed: int) -> list[Person]:
    rng = np.random.default_rng(seed)

    def pick(options: list[Any]) -> Any:
        return options[int(rng.integers(len(options)))]

    def day() -> date:
        return INDEX + timedelta(days=pick(EDGES) if rng.random() < 0.1 else int(rng.integers(-9, 10)))

    def event() -> Event:
        if rng.random() < 0.35:
            return Event(day(), *pick(DRUGS), "prescription", "gp")
        kind = pick(["event", "event", "diagnosis", "contact", "death"])
        return Event(day(), *pick(CODES), kind, pick(["gp", "hospital"]), pick(VALUES), pick(UNITS))

    def span() -> tuple[date, date]:
        start = INDEX - timedelta(days=int(rng.integers(-3, 30)))
        return start, start + timedelta(days=int(rng.integers(-1, 40)) + (400 if rng.random() < 0.15 else 0))

    def person() -> Person:
        events = tuple(event() for _ in range(int(rng.integers(0, 10))))
        spans = tuple(span() for _ in range(int(rng.integers(0, 4))))
        death = day() if rng.random() < 0.5 else None
        born = pick([date(1960, 2, 29), date(1960, 1, 4), date(1959, 12, 28), None])
        return Person(events, pick(["M", "F", None]), born, spans, death)

    return [person() for _ in range(60)]


dates = (st.integers(-9, 9) | st.sampled_from(EDGES)).map(lambda d: INDEX + timedelta(days=d))
populations = st.integers(0, 2**32 - 1).map(_population)

whens = st.just("index") | dates
coded = st.sampled_from([*LISTS[:3]] * 3 + [LISTS[5]])
leaf_rules = st.one_of(
    st.builds(
        lambda codes, source, kinds: rules.has(codes, source, kinds=kinds),
        coded,
        st.sampled_from([None, None, "gp"]),
        st.sampled_from([(), (), ("event", "diagnosis"), ("contact",)]),
    ),
    st.builds(rules.prescribed, st.sampled_from(LISTS[3:5])),
    st.builds(
        lambda codes, unit, low, high, open_: rules.value(
            codes,
            unit,
            **{"above" if open_[0] else "at_least": low, "below" if open_[1] else "at_most": high},
            analyte="hba1c",
        ),
        coded,
        st.sampled_from([None, "%", "mmol/mol"]),
        st.none() | st.sampled_from([6.5, 48.0]),
        st.none() | st.sampled_from([48.0, 100.0]),
        st.tuples(st.booleans(), st.booleans()),
    ),
    st.builds(
        lambda codes, limit: rules.value(codes, below=limit, formula="ckd_epi_2021"),
        coded,
        st.sampled_from([60.0, 150.0, 400.0]),
    ),
)
offsets = st.none() | st.integers(-10, 0)


def _narrowed(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        st.builds(lambda r, a, b: r.within(a, b), inner, offsets, st.none() | st.integers(1, 9)),
        st.builds(lambda r, w: r.before(w), inner, whens),
        st.builds(lambda r, w: r.after(w), inner, whens),
        # people turn 52 near the index date, or on 29 February of 2012
        st.builds(
            lambda r, a, b: r.aged(a, b),
            inner,
            st.sampled_from([None, 50, 51, 52]),
            st.sampled_from([53, 54]),
        ),
        st.builds(lambda r: r.aged(52), inner),
        st.builds(lambda r: r.first(), inner),
        st.builds(lambda r: r.last(), inner),
        st.builds(lambda r, o, d: r.lasting(d, unless=o), inner, inner, st.integers(1, 6)),
        st.builds(
            lambda r, o, a, b, present: (r.near if present else r.not_near)(o, a, b),
            inner,
            inner,
            st.none() | st.integers(-6, 0),
            st.none() | st.integers(1, 6),
            st.booleans(),
        ),
        st.builds(lambda r, g: r.episodes(g), inner, st.integers(0, 4)),
        st.builds(lambda r, n, g: r.at_least(n, gap_days=g), inner, st.integers(2, 3), st.integers(0, 6)),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: rules.any_of(*parts)),
    )


def _conditions(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    parts = st.lists(inner, min_size=1, max_size=3)
    dated = st.lists(inner.filter(rules.is_always_dated), min_size=2, max_size=3)
    return st.one_of(
        parts.map(lambda p: rules.any_of(*p)),
        parts.map(lambda p: rules.all_of(*p)),
        parts.map(lambda p: rules.none_of(*p)),
        dated.map(lambda p: rules.in_order(*p)),
    )


# Fixed depths, not st.recursive: that prefers bare leaves, which test little.
narrow_rules = _narrowed(leaf_rules)
date_rules = st.one_of(narrow_rules, _narrowed(narrow_rules))
conditions = _conditions(st.one_of(leaf_rules, narrow_rules))
any_rules = st.one_of(date_rules, date_rules, conditions, _conditions(st.one_of(leaf_rules, conditions)))


@FEW
@given(populations, st.lists(any_rules, min_size=8, max_size=12), st.sampled_from([None, None, 0]))
def test_compiled_rules_equal_the_reference(
    population: list[Person], asked: list[Any], end: int | None
) -> None:
    hub, persons = hub_of(population)
    codelists = [leaf.codelist for rule in asked for leaf in rules.leaves(rule)]
    with hub, session(hub) as opened:
        records = narrow(opened, persons, codelists, index_date=INDEX, data_end=DATA_END)
        answers, _ = ask(records, {i: Question(rule, end=end) for i, rule in enumerate(asked)})
    limit = END_DAY if end is None else end
    for i, rule in enumerate(asked):
        for who, person in enumerate(population):
            events = [e for e in person.events if (e.day - INDEX).days < limit]
            plain = reference.evaluate(rule, events, INDEX, person)
            found = (
                bool(answers[i].holds[who]),
                None if np.isnan(answers[i].day[who]) else int(answers[i].day[who]),
                int(answers[i].n_dates[who]),
            )
            assert found == (plain.holds, plain.day, len(plain.dates))


phenotypes = st.builds(
    lambda rule, exclude, controls, until, sex: Phenotype(
        "p", rule, "P", tuple(exclude), tuple(controls), until, sex
    ),
    any_rules,
    st.lists(date_rules, max_size=2),
    st.lists(st.one_of(date_rules, conditions), max_size=2),
    st.sampled_from(["end", "index"]),
    st.sampled_from([None, "M", "F"]),
)


new_phenotypes = st.builds(
    lambda rule, onset, washout: Phenotype("p", rule, "P", onset=onset, washout_days=washout),
    any_rules.filter(rules.is_always_dated),
    st.sampled_from(["any", "incident"]),
    st.sampled_from([0, 1, 7, 20, 90]),
)


@FEW
@given(populations, phenotypes | new_phenotypes)
def test_statuses_equal_the_reference(population: list[Person], phenotype: Phenotype) -> None:
    hub, persons = hub_of(population)
    with hub:
        derived = derive(hub, persons, index_date=INDEX, data_end=DATA_END, phenotypes={"p": phenotype})
    for person, row in zip(population, derived.long.itertuples(), strict=True):
        day = None if pd.isna(row.first_date) else (row.first_date.date() - INDEX).days
        assert (row.status, day, row.n_dates) == reference.status(phenotype, person, INDEX, END_DAY)


@FEW
@given(populations, phenotypes)
def test_the_evidence_of_a_case_lies_on_its_dates(population: list[Person], phenotype: Phenotype) -> None:
    hub, persons = hub_of(population)
    with hub:
        derived = derive(hub, persons, index_date=INDEX, data_end=DATA_END, phenotypes={"p": phenotype})
        rows = evidence(phenotype, hub, persons, index_date=INDEX, data_end=DATA_END, limit=None)
    made = rows[rows["role"] == "case"].groupby("person_id")["date"].nunique()
    cases = derived.long[derived.long["status"] == "case"].set_index("person_id")["n_dates"]
    assert made.reindex(cases.index, fill_value=0).tolist() == cases.tolist()


windows = st.tuples(offsets, st.none() | st.integers(1, 9))
numeric_traits = st.builds(
    lambda codes, unit, pick, window, adjust, blank, few: NumericTrait(
        "t",
        tuple(codes),
        unit,
        (1.0, 200.0),
        "T",
        pick,
        window,
        tuple(adjust),
        "hba1c",
        blank,
        None,
        *((1, 0) if pick == "count" else few),
    ),
    st.lists(st.sampled_from(LISTS[:3]), min_size=1, max_size=2, unique_by=lambda c: c.name),
    st.sampled_from(["%", "mmol/mol"]),
    st.sampled_from(
        ["median", "mean", "nearest", "last", "first", "min", "max", "slope", "slope", "sd", "count"]
    ),
    windows,
    st.lists(
        st.builds(
            Adjustment,
            st.sampled_from(LISTS[3:5]),
            st.just(1.5),
            st.just(1 / 0.7),
            st.sampled_from([1, 3, 365]),
        ),
        max_size=2,
    ),
    st.sampled_from(["reject", "assume"]),
    st.sampled_from([(1, 0), (1, 0), (2, 0), (1, 3), (3, 5)]),
)


@FEW
@given(populations, numeric_traits)
def test_traits_equal_the_reference_and_account_for_every_measurement(
    population: list[Person], trait: NumericTrait
) -> None:
    hub, persons = hub_of(population)
    with hub:
        derived = derive(hub, persons, index_date=INDEX, data_end=DATA_END, traits={"t": trait})
    plain = [reference.trait_value(trait, person, INDEX, END_DAY) for person in population]
    expected = np.array([np.nan if value is None else value for value in plain])
    np.testing.assert_allclose(derived.wide["t"].to_numpy(), expected, rtol=1e-9, atol=1e-6)
    row = derived.diagnostics.traits.iloc[0]
    assert row["read"] == row[["repeated", "no_value", "unknown_unit", "implausible", "used"]].sum()


@FEW
@given(
    populations,
    st.permutations(LISTS[:3]),
    st.sampled_from(["last", "first", "nearest"]),
    windows,
)
def test_categories_equal_the_reference(
    population: list[Person], order: list[CodeList], pick: Any, window: tuple[int | None, int | None]
) -> None:
    trait = CategoryTrait("c", tuple((codes.name, codes) for codes in order), "C", pick, window)
    hub, persons = hub_of(population)
    with hub:
        derived = derive(hub, persons, index_date=INDEX, data_end=DATA_END, traits={"c": trait})
    for person, row in zip(population, derived.wide.to_dict("records"), strict=True):
        level = reference.category(trait, person, INDEX, END_DAY)
        for column, (name, _) in zip(trait.columns, trait.levels, strict=False):
            assert row[column] == float(level == name) if level is not None else np.isnan(row[column])


dated_rules = any_rules.filter(rules.is_always_dated)
outcomes = st.builds(
    lambda event, years, competing, gap, causes, entry, landmark, until, prior: Outcome(
        "o",
        event,
        "O",
        years,
        prior[0],
        competing,
        gap,
        tuple((f"cause{i}", rule) for i, rule in enumerate(causes)),
        entry,
        landmark,
        prior[1],
        until,
    ),
    dated_rules,
    st.sampled_from([0.02, 0.25, 10.0]),
    st.sampled_from(["death", None]),
    st.sampled_from([0, 3, 90]),
    st.just([]) | st.lists(st.one_of(leaf_rules, dated_rules), min_size=1, max_size=2),
    # people turn 52 near the index date, or on 29 February of 2012
    st.none() | st.builds(Entry, st.sampled_from([0, 2, 10]), st.sampled_from([None, 51, 52])),
    st.sampled_from([0, 0, 2]),
    st.sampled_from([None, None, 52, 53]),
    st.sampled_from([(True, None), (False, None), (True, 3), (True, 0)]),
)


@FEW
@given(populations, outcomes)
def test_survival_equals_the_reference(population: list[Person], outcome: Outcome) -> None:
    hub, persons = hub_of(population)
    with hub:
        derived = derive(hub, persons, index_date=INDEX, data_end=DATA_END, outcomes={"o": outcome})
    rows = {row["person_id"]: row for row in derived.survival.to_dict("records")}
    for who, person in enumerate(population):
        plain = reference.survival(outcome, person, INDEX, END_DAY)
        if isinstance(plain, str):
            assert who not in rows
        else:
            days = tuple((rows[who][when].date() - INDEX).days for when in ("entry", "exit"))
            assert reference.Followed(*days, rows[who]["state"], rows[who]["cause"]) == plain
            assert rows[who]["years"] > 0
    assert derived.diagnostics.outcomes["n"].sum() == len(population)


def test_the_generators_reach_every_kind_of_rule() -> None:
    seen: set[str] = set()

    @settings(max_examples=400, deadline=None, derandomize=True, database=None)
    @given(any_rules)
    def collect(rule: Any) -> None:
        def walk(r: Any) -> None:
            seen.add(type(r).__name__)
            for part in getattr(r, "parts", ()):
                walk(part)
            if hasattr(r, "rule"):
                walk(r.rule)

        walk(rule)

    collect()
    kinds = [rules.Has, rules.Prescribed, rules.Value, rules.Within, rules.Before, rules.After, rules.Aged]
    kinds += [
        rules.First,
        rules.Last,
        rules.Near,
        rules.Lasting,
        rules.Episodes,
        rules.AtLeast,
        rules.AnyOf,
        rules.AllOf,
        rules.NoneOf,
        rules.InOrder,
    ]
    assert seen == {kind.__name__ for kind in kinds}
