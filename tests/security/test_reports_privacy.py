"""No small count, nothing derivable by subtraction and no identifier leaves through a report."""

from __future__ import annotations

import dataclasses
import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from cohorts.errors import PrivacyError
from workflows.reports import content as c
from workflows.reports.cohort import build_cohort_report
from workflows.reports.counts import COUNT_OF_PEOPLE, require_shown
from workflows.reports.margins import require_no_subtraction
from workflows.reports.patient import build_patient_report


def _example() -> ModuleType:
    path = Path(__file__).parents[1] / "unit" / "reports_example.py"
    spec = importlib.util.spec_from_file_location("reports_example", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


example = _example()
EXACT = c.Disclosure(rounded_to=1)


def _slots(value: Any) -> list[tuple[Any, str]]:
    """Every dataclass in `value` with every field of it that is a plain count."""
    found = []
    if dataclasses.is_dataclass(value):
        for f in dataclasses.fields(value):
            if "Count" in str(f.type) and "NamedCount" not in str(f.type) and "tuple" not in str(f.type):
                found.append((value, f.name))
            found += _slots(getattr(value, f.name))
    elif isinstance(value, tuple):
        for item in value:
            found += _slots(item)
    return found


def _planted(root: Any, owner: Any, field: str, number: int) -> Any:
    """`root` with one field of one dataclass inside it changed."""
    if root is owner:
        return dataclasses.replace(root, **{field: number})
    if dataclasses.is_dataclass(root):
        changes = {
            f.name: _planted(getattr(root, f.name), owner, field, number)
            for f in dataclasses.fields(root)
            if f.name not in ("chrom", "pos", "log10_p", "disclosure")
        }
        return dataclasses.replace(root, **changes)
    if isinstance(root, tuple):
        return tuple(_planted(item, owner, field, number) for item in root)
    return root


def test_a_small_count_in_any_field_whatever_is_refused() -> None:
    base = example.cohort(variants=200)
    slots = _slots(base)
    kinds = {(type(owner).__name__, field) for owner, field in slots}
    assert len(kinds) >= 25
    for owner, field in {(type(o).__name__, f): (o, f) for o, f in slots}.values():
        with pytest.raises(PrivacyError, match=field):
            require_shown(_planted(base, owner, field, 7), disclosure=base.disclosure)


@pytest.mark.parametrize("number", [1, 5, 9, 13, -10, 10.0, True, "7"])
def test_the_builders_refuse_small_unrounded_or_odd_counts(number: Any) -> None:
    base = example.cohort(variants=200)
    with pytest.raises(PrivacyError) as caught:
        build_cohort_report(
            dataclasses.replace(base, linkage=dataclasses.replace(base.linkage, people=number))
        )
    assert str(number) not in str(caught.value).split("expected")[0].replace("CohortContent", "")
    outcome = example.outcome()
    group = dataclasses.replace(outcome.trust.validation, events=number)
    trust = dataclasses.replace(outcome.trust, validation=group)
    with pytest.raises(PrivacyError):
        build_patient_report(example.patient(dataclasses.replace(outcome, trust=trust)))


def test_small_counts_inside_bins_and_cells_are_refused() -> None:
    base = example.cohort(variants=200)
    trait = base.traits[0]
    bins = dataclasses.replace(trait.distribution, counts=(4, *trait.distribution.counts[1:]))
    with pytest.raises(PrivacyError, match="counts"):
        build_cohort_report(
            dataclasses.replace(base, traits=(dataclasses.replace(trait, distribution=bins),))
        )
    group = dataclasses.replace(base.pca.groups[0], cells=((0, 0, 3),))
    with pytest.raises(PrivacyError, match="cells"):
        build_cohort_report(dataclasses.replace(base, pca=dataclasses.replace(base.pca, groups=(group,))))


def test_every_count_of_the_example_was_looked_at() -> None:
    assert require_shown(example.cohort(variants=200), disclosure=c.Disclosure()) > 200
    assert COUNT_OF_PEOPLE in str(c.Count)


@pytest.mark.parametrize(
    "rule", [{"smallest_shown": 9}, {"smallest_shown": 5}, {"rounded_to": 0}, {"rounded_to": 7}]
)
def test_the_rule_cannot_be_loosened(rule: dict[str, int]) -> None:
    with pytest.raises(PrivacyError, match="too loose"):
        c.Disclosure(**rule)


def _bare(**fields: Any) -> c.CohortContent:
    return c.CohortContent(
        title="t", created="2024-01-01", index_date="2012-01-01", lay_summary=(), data_use=(), findings=(),
        receipts=example.receipts(), disclosure=EXACT, **fields,
    )  # fmt: skip


@pytest.mark.parametrize(
    "content",
    [
        _bare(attrition=example.flow((("a", 0, 1003, ""), ("b", "<10", 996, "")))),
        _bare(intake=(c.IntakeRow(source="s", table="t", read=1003, accepted=996, rejected="<10"),)),
        _bare(
            linkage=c.Linkage(
                records=100,
                people=50,
                by_method=(c.NamedCount(label="a", people=93), c.NamedCount(label="b", people="<10")),
            )
        ),
    ],
)
def test_exact_counts_from_which_a_hidden_one_follows_are_refused(content: c.CohortContent) -> None:
    with pytest.raises(PrivacyError, match="subtraction"):
        require_no_subtraction(content)
    with pytest.raises(PrivacyError, match="subtraction"):
        build_cohort_report(content)


def test_exact_counts_with_the_total_left_out_are_allowed() -> None:
    safe = _bare(attrition=example.flow((("a", 0, 1003, ""), ("b", "<10", None, ""), ("c", 30, 966, ""))))
    require_no_subtraction(safe)
    assert "not shown" in build_cohort_report(safe)


@pytest.mark.parametrize("canary", ["943 476 5919", "9434765919", "943-476-5919", "SW1A 1AA"])
@pytest.mark.parametrize(
    "plant",
    [
        lambda text: build_patient_report(dataclasses.replace(example.patient(), study_title=f"x {text} y")),
        lambda text: build_patient_report(example.patient(dataclasses.replace(example.outcome(), name=text))),
        lambda text: build_cohort_report(
            dataclasses.replace(example.cohort(variants=200), title=f"({text})")
        ),
        lambda text: build_cohort_report(
            dataclasses.replace(
                example.cohort(variants=200),
                receipts=dataclasses.replace(example.receipts(), software={"x": text}),
            )
        ),
    ],
)
def test_an_identifier_anywhere_is_refused_and_not_repeated(canary: str, plant: Callable[[str], str]) -> None:
    with pytest.raises(PrivacyError) as caught:
        plant(canary)
    assert canary not in str(caught.value)


def test_codes_hashes_and_dates_are_not_taken_for_identifiers() -> None:
    words = (
        "1022191000000100",
        "999791000000106",
        "44054006",
        "2011-06-14",
        "9f2c4e7a" * 8,
        "E11 3",
        "1234567890",
    )
    html = build_cohort_report(dataclasses.replace(example.cohort(variants=200), limits=words))
    assert all(word in html for word in words)
