"""The YAML form: what it accepts, what it refuses, and where it says the fault is."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest
import yaml
from pydantic import BaseModel, TypeAdapter, ValidationError

from cohorts.errors import StudyError
from phenotypes import rules
from phenotypes.codelist import CodeList
from phenotypes.definitions import CategoryTrait, NumericTrait
from phenotypes.spec import OutcomeSpec, PhenotypeSpec, TraitSpec, references

LISTS = {
    name: CodeList.of(name, [("icd10", code)]) for name, code in [("a", "A00"), ("b", "B00"), ("ldl", "C00")]
}
LISTS["drug"] = CodeList.of("drug", [("bnf", "0212*")])
TRAITS: TypeAdapter[Any] = TypeAdapter(TraitSpec)


class Study(BaseModel):
    phenotypes: dict[str, PhenotypeSpec] = {}
    traits: dict[str, TraitSpec] = {}
    outcomes: dict[str, OutcomeSpec] = {}


def _rule(text: str) -> rules.Rule:
    spec = PhenotypeSpec.model_validate({"label": "x", "all": [yaml.safe_load(text)]})
    return spec.build(LISTS, "x").rule


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{has: a}", rules.has(LISTS["a"])),
        ("{has: a, source: gp}", rules.has(LISTS["a"], "gp")),
        ("{has: a, kind: diagnosis}", rules.has(LISTS["a"], kinds=["diagnosis"])),
        ("{has: a, kind: [diagnosis, event]}", rules.has(LISTS["a"], kinds=["event", "diagnosis"])),
        ("{has: a, aged: [35, null]}", rules.has(LISTS["a"]).aged(35)),
        ("{has: a, aged: [null, 18], before: index}", rules.has(LISTS["a"]).before("index").aged(None, 18)),
        ("{has: a, at_least: 2, gap_days: 30}", rules.has(LISTS["a"]).at_least(2, gap_days=30)),
        ("{prescribed: drug, within: [-90, 0]}", rules.prescribed(LISTS["drug"]).within(-90, 0)),
        ("{has: a, before: index}", rules.has(LISTS["a"]).before("index")),
        ("{has: a, after: 2010-01-31}", rules.has(LISTS["a"]).after(date(2010, 1, 31))),
        ("{has: a, after: '2010-01-31'}", rules.has(LISTS["a"]).after(date(2010, 1, 31))),
        (
            "{value: ldl, unit: mg/dl, at_least: 190, times: 2}",
            rules.value(LISTS["ldl"], "mg/dL", at_least=190, analyte="cholesterol").at_least(2),
        ),
        ("{value: a, at_most: 3}", rules.value(LISTS["a"], at_most=3)),
        (
            "{any: [{has: a}, {has: b}], at_least: 2}",
            rules.any_of(rules.has(LISTS["a"]), rules.has(LISTS["b"])).at_least(2),
        ),
        (
            "{all: [{has: a}, {none: [{has: b}]}]}",
            rules.all_of(rules.has(LISTS["a"]), rules.none_of(rules.has(LISTS["b"]))),
        ),
        ("{in_order: [{has: a}, {has: b}]}", rules.in_order(rules.has(LISTS["a"]), rules.has(LISTS["b"]))),
        ("{has: a, last: true}", rules.has(LISTS["a"]).last()),
        (
            "{has: a, not_near: {rule: {has: b, first: true}, within: [0, null]}, within: [-9, 9]}",
            rules.has(LISTS["a"]).within(-9, 9).not_near(rules.has(LISTS["b"]).first(), 0, None),
        ),
        (
            "{has: a, at_least: 2, lasting: {days: 90, unless: {has: b}}}",
            rules.has(LISTS["a"]).lasting(90, unless=rules.has(LISTS["b"])).at_least(2),
        ),
        (
            "{any: [{has: a}, {has: b}], near: {rule: {prescribed: drug}, within: [-30, 31]}}",
            rules.any_of(rules.has(LISTS["a"]), rules.has(LISTS["b"])).near(
                rules.prescribed(LISTS["drug"]), -30, 31
            ),
        ),
        ("{value: a, above: 7, at_most: 9}", rules.value(LISTS["a"], above=7, at_most=9)),
        (
            "{value: a, formula: ckd_epi_2021, below: 60, times: 2, gap_days: 90}",
            rules.value(
                LISTS["a"], "mL/min/1.73m2", below=60, analyte="creatinine", formula="ckd_epi_2021"
            ).at_least(2, gap_days=90),
        ),
        (
            "{has: a, first: true, at_least: 3, episodes: 14, within: [-9, 9]}",
            rules.has(LISTS["a"]).within(-9, 9).episodes(14).at_least(3).first(),
        ),
    ],
)
def test_yaml_says_the_same_as_python(text: str, expected: rules.Rule) -> None:
    assert _rule(text) == expected


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("phenotypes: {p: {label: P, any: [{hass: a}]}}", "phenotypes.p.any.0.hass", "did you mean 'has'?"),
        ("phenotypes: {p: {label: P, any: [{}]}}", "phenotypes.p.any.0", "a rule needs one of the keys has"),
        (
            "phenotypes: {p: {label: P, any: [a]}}",
            "phenotypes.p.any.0",
            "a rule is a mapping such as {has: codelist}",
        ),
        (
            "phenotypes: {p: {label: P, any: [{has: a, value: b}]}}",
            "phenotypes.p.any.0.value",
            "make them two",
        ),
        (
            "phenotypes: {p: {label: P, any: [{has: a, aged: [35, 35]}]}}",
            "phenotypes.p.any.0.aged",
            "the window must end after it starts",
        ),
        (
            "phenotypes: {p: {label: P, any: [{has: a, aged: [null, null]}]}}",
            "phenotypes.p.any.0.aged",
            "give a youngest age",
        ),
        (
            "phenotypes: {p: {label: P, any: [{has: a, kind: [admission]}]}}",
            "phenotypes.p.any.0.kind.0",
            "'diagnosis'",
        ),
        (
            "phenotypes: {p: {label: P, any: [{has: a, gap_days: 9}]}}",
            "phenotypes.p.any.0.gap_days",
            "at_least of 2",
        ),
        (
            "phenotypes: {p: {label: P, any: [{all: [{has: a, zz: 1}]}]}}",
            "phenotypes.p.any.0.all.0.zz",
            "not permitted",
        ),
        (
            "phenotypes: {p: {label: P, any: [{has: a, at_least: 0}]}}",
            "phenotypes.p.any.0.at_least",
            "equal to 1",
        ),
        (
            "phenotypes: {p: {label: P, any: [{has: a, at_least: '2'}]}}",
            "phenotypes.p.any.0.at_least",
            "valid integer",
        ),
        (
            "phenotypes: {p: {label: P, any: [{has: a, near: {rule: {has: b}, within: [1, 1]}}]}}",
            "phenotypes.p.any.0.near.within",
            "must end after",
        ),
        (
            "phenotypes: {p: {label: P, any: [{has: a, lasting: {days: 9, unless: {none: [{has: b}]}}}]}}",
            "phenotypes.p.any.0.lasting.unless",
            "no dates to lie between",
        ),
        (
            "phenotypes: {p: {label: P, any: [{has: a, near: {rule: {none: [{has: b}]}, within: [0, 1]}}]}}",
            "phenotypes.p.any.0.near.rule",
            "no dates to be near",
        ),
        (
            "phenotypes: {p: {label: P, any: [{has: a, first: true, last: true}]}}",
            "phenotypes.p.any.0.last",
            "cannot stand in one rule",
        ),
        (
            "phenotypes: {p: {label: P, any: [{value: a, at_least: 3, above: 2}]}}",
            "phenotypes.p.any.0.above",
            "cannot stand in one rule",
        ),
        (
            "phenotypes: {p: {label: P, any: [{value: a, above: 3, below: 2}]}}",
            "phenotypes.p.any.0.below",
            "below is smaller than above",
        ),
        (
            "phenotypes: {p: {label: P, any: [{value: a, formula: ckd_epi_2021, unit: mmol/L}]}}",
            "phenotypes.p.any.0.unit",
            "an eGFR has the unit",
        ),
        (
            "phenotypes: {p: {label: P, any: [{has: a, within: [0, 0]}]}}",
            "phenotypes.p.any.0.within",
            "must end after",
        ),
        (
            "phenotypes: {p: {label: P, any: [{has: a, before: 2012}]}}",
            "phenotypes.p.any.0.before",
            "expected a date",
        ),
        (
            "phenotypes: {p: {label: P, any: [{has: a, before: 1.2.2012}]}}",
            "phenotypes.p.any.0.before",
            "or 'index'",
        ),
        (
            "phenotypes: {p: {label: P, any: [{value: a, unit: furlong}]}}",
            "phenotypes.p.any.0.unit",
            "unknown unit",
        ),
        (
            "phenotypes: {p: {label: P, any: [{value: a, at_least: .nan}]}}",
            "phenotypes.p.any.0.at_least",
            "finite",
        ),
        (
            "phenotypes: {p: {label: P, any: [{value: a, at_least: 3, at_most: 2}]}}",
            "phenotypes.p.any.0.at_most",
            "smaller",
        ),
        (
            "phenotypes: {p: {label: P, any: [{any: [{all: [{has: a}]}], at_least: 2}]}}",
            "phenotypes.p.any.0.at_least",
            "put this inside the parts",
        ),
        (
            "phenotypes: {p: {label: P, any: [{in_order: [{has: a}, {none: [{has: b}]}]}]}}",
            "phenotypes.p.any.0.in_order.1",
            "without a date",
        ),
        ("phenotypes: {p: {label: P}}", "phenotypes.p", "needs 'any' or 'all'"),
        ("phenotypes: {p: {label: P, any: [{has: a}], nnone: []}}", "phenotypes.p.nnone", "not permitted"),
        (
            "phenotypes: {p: {label: P, any: [{has: a}], until: never}}",
            "phenotypes.p.until",
            "'end' or 'index'",
        ),
        (
            "traits: {t: {label: T, codes: a, unit: mmHg, plausible: [9, 1]}}",
            "traits.t.plausible",
            "smaller to a larger",
        ),
        (
            "traits: {t: {label: T, codes: a, unit: mmHg, plausible: [0, 1e300]}}",
            "traits.t.plausible.1",
            "less than",
        ),
        (
            "traits: {t: {label: T, codes: a, unit: mmHg, plausible: [0, 9], adjust: [{drug: d, add: 1, divide: 2}]}}",
            "traits.t.adjust.0",
            "exactly one of",
        ),
        ("traits: {t: {kind: cat}}", "traits.t.kind", "expected number or category"),
        ("traits: {t: {kind: category, label: T, levels: {a: b}}}", "traits.t.levels", "at least 2"),
        ("traits: {t: 7}", "traits.t", "a trait is a mapping"),
        (
            "traits: {t: {label: T, codes: a, unit: mmHg, plausible: [0, 9], formula: ckd_epi_2021}}",
            "traits.t.unit",
            "an eGFR has the unit",
        ),
        ("outcomes: {o: {label: O, event: {none: [{has: a}]}}}", "outcomes.o.event", "without a date"),
        ("outcomes: {o: {label: O, event: {has: a}, years: 0}}", "outcomes.o.years", "greater than 0"),
        (
            "outcomes: {o: {label: O, event: {any: [{has: a, q: 1}]}}}",
            "outcomes.o.event.any.0.q",
            "not permitted",
        ),
    ],
)
def test_a_fault_is_located_by_the_keys_the_author_wrote(text: str, place: str, message: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Study.model_validate(yaml.safe_load(text))
    found = [(".".join(map(str, error["loc"])), error["msg"]) for error in refused.value.errors()]
    assert len(found) == 1, found
    assert found[0][0] == place
    assert message in found[0][1]


def test_an_unknown_code_list_is_refused_with_its_place_and_a_guess() -> None:
    spec = PhenotypeSpec.model_validate(
        {"label": "P", "any": [{"has": "a"}, {"all": [{"prescribed": "drg"}]}]}
    )
    with pytest.raises(StudyError) as refused:
        spec.build(LISTS, "p")
    assert str(refused.value).startswith(
        "phenotypes.p.any[1].all[0].prescribed: unknown code list; found 'drg'"
    )
    assert "did you mean 'drug'?" in str(refused.value)


def test_references_name_every_code_list_with_its_place() -> None:
    text = """
    phenotypes:
      p:
        label: P
        any: [{has: a}, {in_order: [{prescribed: d}, {value: v}]}]
        controls_without: [{has: c}]
    traits:
      t: {label: T, codes: x, unit: mmHg, plausible: [0, 9], adjust: [{drug: y, add: 1}]}
      c: {kind: category, label: C, levels: {one: l1, two: l2}}
    outcomes: {o: {label: O, event: {any: [{has: e}]}}}
    """
    study = Study.model_validate(yaml.safe_load(text))
    specs = [*study.phenotypes.values(), *study.traits.values(), *study.outcomes.values()]
    found = {".".join(map(str, place)): name for spec in specs for place, name in references(spec)}
    assert found == {
        "any.0.has": "a",
        "any.1.in_order.0.prescribed": "d",
        "any.1.in_order.1.value": "v",
        "controls_without.0.has": "c",
        "codes": "x",
        "adjust.0.drug": "y",
        "levels.one": "l1",
        "levels.two": "l2",
        "event.any.0.has": "e",
    }


def test_any_and_all_together_are_both_required() -> None:
    spec = PhenotypeSpec.model_validate(
        {"label": "P", "all": [{"has": "a"}], "any": [{"has": "b"}, {"has": "ldl"}]}
    )
    expected = rules.all_of(
        rules.has(LISTS["a"]), rules.any_of(rules.has(LISTS["b"]), rules.has(LISTS["ldl"]))
    )
    assert spec.build(LISTS, "p").rule == expected


def test_a_trait_knows_its_analyte_from_its_name_and_divides_as_asked() -> None:
    spec = TRAITS.validate_python(
        {
            "label": "LDL",
            "codes": "ldl",
            "unit": "mmol/l",
            "plausible": [0.3, 20],
            "adjust": [{"drug": "drug", "divide": 0.7}],
        }
    )
    trait = spec.build(LISTS, "bad_fat")
    assert isinstance(trait, NumericTrait)
    assert (trait.analyte, trait.unit, trait.pick) == ("cholesterol", "mmol/L", "median")
    assert trait.adjust[0].multiply == pytest.approx(1 / 0.7)


def test_a_category_keeps_the_order_of_its_levels() -> None:
    spec = TRAITS.validate_python(
        {"kind": "category", "label": "C", "levels": {"z": "b", "y": "a", "x": "ldl"}}
    )
    trait = spec.build(LISTS, "c")
    assert isinstance(trait, CategoryTrait)
    assert trait.columns == ("c_z", "c_y")


def test_identity_follows_meaning_not_words() -> None:
    def identity(lists: dict[str, CodeList] = LISTS, **more: Any) -> str:
        spec = {"label": "P", "any": [{"has": "a", "at_least": 2}], **more}
        return PhenotypeSpec.model_validate(spec).build(lists, "p").id

    assert identity() == identity(label="Another label")
    assert identity() == identity(LISTS | {"a": CodeList.of("renamed", [("icd10", "a00")])})
    assert identity() != identity(LISTS | {"a": CodeList.of("a", [("icd10", "a00*")])})
    changed = [
        {"until": "index"},
        {"sex": "F"},
        {"none": [{"has": "b"}]},
        {"any": [{"has": "a", "at_least": 3}]},
    ]
    assert len({identity(), *(identity(**more) for more in changed)}) == 5


def test_the_schema_can_be_exported() -> None:
    text = json.dumps(Study.model_json_schema())
    assert '"additionalProperties": false' in text
    assert "gap_days" in text


def test_windows_on_conditions_are_refused_in_python_too() -> None:
    condition = rules.any_of(rules.all_of(rules.has(LISTS["a"])))
    with pytest.raises(ValueError, match="belong on the parts"):
        condition.within(-1, 0)
    with pytest.raises(ValueError, match="in_order needs rules that have a date"):
        rules.in_order(rules.has(LISTS["a"]), rules.none_of(rules.has(LISTS["b"])))
    with pytest.raises(ValueError, match="at least one rule"):
        rules.all_of()
    with pytest.raises(ValueError, match="gap_days needs at least 2"):
        rules.has(LISTS["a"]).at_least(1, gap_days=3)
