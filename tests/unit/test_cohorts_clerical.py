"""Pairs put to clerks, what they decide, and quality told by group."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cohorts.clerical import PAIR
from cohorts.clusters import settled_groups
from cohorts.errors import DesignError, InputError
from cohorts.hub import Hub, connect
from cohorts.linkage import Links, link
from cohorts.linkage_quality import pair_quality_by
from cohorts.sources import TableSource, read_sources

COLUMNS = [
    "patient_id",
    "nhs_number",
    "given_name",
    "family_name",
    "birth_date",
    "sex",
    "postcode",
    "ethnicity",
]
NUMBER = "9434765919"
GP = [
    ("1", NUMBER, "Margaret", "Oakes", "1950-03-04", "F", "AB1 2CD", "A"),
    ("2", "", "Robert", "Wetherby", "1961-11-05", "M", "AB1 2CE", "White"),
    ("3", "", "Una", "Marsh", "1970-01-01", "F", "AB9 9ZZ", "M"),
    ("4", "", "Ivy", "Lund", "1981-06-07", "F", "CD9 9ZZ", "private text"),
]
HOSPITAL = [
    ("1", NUMBER, "MARGARET", "OAKES", "1950-03-04", "F", "AB12CD", ""),
    ("2", "", "BOB", "WETHERBY", "1961-05-11", "M", "AB12CE", ""),
    ("3", "", "UNA", "MARCH", "1970-09-21", "F", "EF12CD", ""),
]


def intake(folder: Path, extra: dict[str, str] | None = None) -> Hub:
    hub = connect()
    found: dict[str, dict[str, TableSource]] = {}
    for name, rows in (("gp", GP), ("hospital", HOSPITAL)):
        pd.DataFrame(rows, columns=COLUMNS).to_csv(folder / f"{name}.csv", index=False)
        found[name] = {"patients": TableSource(folder / f"{name}.csv")}
    region = {}
    for name, text in (extra or {}).items():
        (folder / f"{name}.csv").write_text(text)
        if name.startswith("gp_"):
            found["gp"][name.removeprefix("gp_")] = TableSource(folder / f"{name}.csv")
        else:
            region[name] = TableSource(folder / f"{name}.csv")
    read_sources(hub, found, region)
    return hub


def decide(*rows: tuple[str, str, str, str, str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=[*PAIR, "decision"])


def entity(links: Links, source: str, patient: str) -> int:
    return int(links.crosswalk.set_index(["source", "patient_id"])["entity"][source, patient])


def test_clerks_decisions_go_before_numbers_and_probabilities(tmp_path: Path) -> None:
    hub = intake(tmp_path)
    plain = link(hub, seed=1)
    assert entity(plain, "gp", "1") == entity(plain, "hospital", "1")
    assert entity(plain, "gp", "2") == entity(plain, "hospital", "2")
    assert entity(plain, "gp", "3") != entity(plain, "hospital", "3")
    decided = decide(
        ("gp", "1", "hospital", "1", "different"),
        ("hospital", "2", "gp", "2", "different"),
        ("gp", "3", "hospital", "3", "Same "),
        ("gp", "3", "hospital", "99", "same"),
        ("gp", "2", "gp", "3", ""),
    )
    links = link(hub, seed=1, decisions=decided)
    assert entity(links, "gp", "1") != entity(links, "hospital", "1")
    assert entity(links, "gp", "2") != entity(links, "hospital", "2")
    assert entity(links, "gp", "3") == entity(links, "hospital", "3")
    assert links.decisions.to_numpy().tolist() == [["same", 2, 1, 1], ["different", 2, 2, 0]]
    method = links.crosswalk.set_index(["source", "patient_id"])["method"]
    assert method["hospital", "3"] == "clerical"
    assert links.summary.set_index("source").loc["all", "clerical"] == 2
    assert links.crosswalk.set_index(["source", "patient_id"])["match_probability"]["hospital", "3"] == 1


def test_decided_pairs_are_not_put_to_a_clerk_again(tmp_path: Path) -> None:
    hub = intake(tmp_path)
    first = link(hub, seed=1, review=(0.01, 1))
    assert len(first.review) == first.review_found >= 2
    assert (first.review["decision"] == "").all()
    decided = first.review[[*PAIR]].assign(decision="different")
    again = link(hub, seed=1, review=(0.01, 1), decisions=decided)
    assert again.review_found == 0
    assert link(hub, seed=1, review=(0.01, 1), review_most=1).review.shape[0] == 1


def test_the_weights_of_a_reviewed_pair_add_up_to_its_probability(tmp_path: Path) -> None:
    review = link(intake(tmp_path), seed=1, review=(0.01, 1)).review
    assert len(review)
    weights = [name for name in review if name.endswith(" weight") and name != "total weight"]
    np.testing.assert_allclose(review[weights].sum(axis=1), review["total weight"], atol=0.05)
    odds = 2.0 ** review["total weight"]
    np.testing.assert_allclose(odds / (1 + odds), review["match_probability"], atol=0.01)
    said = set(review[["given name", "family name", "birth date", "sex"]].to_numpy().ravel())
    assert said <= {
        "same", "different", "alike", "very alike", "one is a form of the other", "not compared",
        "day and month swapped", "one keystroke", "two parts of three",
    }  # fmt: skip


def test_a_review_list_holds_no_identifier_but_the_local_numbers(tmp_path: Path) -> None:
    review = link(intake(tmp_path), seed=1, review=(0.01, 1)).review
    text = review.to_csv().upper()
    for canary in ("MARGARET", "OAKES", "WETHERBY", "UNA,", "MARSH", "AB1", NUMBER, "1950", "1961"):
        assert canary not in text


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([("gp", "1", "gp", "2", "maybe")], "cannot be read"),
        ([("gp", "1", "gp", "1", "same")], "paired with itself"),
        ([("gp", "1", "gp", "2", "same"), ("gp", "2", "gp", "1", "different")], "both ways"),
    ],
)
def test_decisions_that_say_nothing_clear_are_refused(
    tmp_path: Path, rows: list[tuple[str, str, str, str, str]], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        link(intake(tmp_path), seed=1, decisions=decide(*rows))
    with pytest.raises(InputError, match="column missing"):
        link(intake(tmp_path), seed=1, decisions=decide(*rows).drop(columns="source_b"))


def test_a_band_out_of_range_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DesignError, match="band"):
        link(intake(tmp_path), seed=1, review=(0.9, 0.2))


@pytest.mark.parametrize("seed", range(8))
def test_settled_groups_are_components_that_never_hold_a_refused_pair(seed: int) -> None:
    rng = np.random.default_rng(seed)
    pairs = [np.sort(rng.choice(30, 2, replace=False)) for _ in range(40)]
    edges, same, different = (np.array(part).T for part in (pairs[:25], pairs[25:30], pairs[30:]))
    group, contradicted = settled_groups(
        30, (edges[0], edges[1]), same=(same[0], same[1]), different=(different[0], different[1])
    )
    assert (group[different[0]] != group[different[1]]).all()
    assert all(group[record] == min(np.flatnonzero(group == group[record])) for record in range(30))
    free, none = settled_groups(
        30, (edges[0], edges[1]), same=(same[0], same[1]), different=(different[0][:0], different[1][:0])
    )
    assert none == 0
    assert all(free[a] == free[b] for a, b in np.concatenate([edges, same], axis=1).T)
    for a, b in combinations(range(30), 2):
        if group[a] == group[b]:
            assert free[a] == free[b]
    honoured = int((group[same[0]] == group[same[1]]).sum())
    assert honoured >= len(same[0]) - contradicted


def test_quality_is_told_by_age_sex_deprivation_and_ethnicity(tmp_path: Path) -> None:
    extra = {
        "gp_addresses": "patient_id,area,start,end\n1,E1,2000-01-01,2010-01-01\n1,E2,2010-01-01,\n2,E1,2000-01-01,\n",
        "deprivation": "area,imd_decile\nE1,1\nE2,10\n",
    }
    quality = link(intake(tmp_path, extra), seed=1, on="2020-03-03").quality.set_index(["by", "group"])
    for by in ("age", "sex", "deprivation", "ethnicity"):
        assert quality.loc[by, "records"].sum() == len(GP) + len(HOSPITAL)
    # sixty-nine on the day before the birthday; what the hospital does not say is taken from the practice
    assert quality.loc[("age", "60-79"), ["records", "numbered", "linked"]].tolist() == [2, 2, 2]
    assert quality.loc[("age", "40-59"), "records"] == 4
    assert quality.loc[("deprivation", "10"), "records"] == 2
    assert quality.loc[("deprivation", "1"), "probable"] == 2
    assert quality.loc[("ethnicity", "white"), "records"] == 4
    assert set(quality.loc["ethnicity"].index) == {"white", "black", "not recorded"}
    assert (quality["expected_missed"] >= 0).all()
    assert quality.loc[("sex", "F"), "expected_missed"] > quality.loc[("sex", "M"), "expected_missed"]


@pytest.mark.parametrize("seed", range(3))
def test_pair_quality_by_group_equals_listing_every_pair(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = pd.DataFrame({"source": "a", "patient_id": [str(i) for i in range(50)]})
    person, entity_of = rng.integers(0, 18, 50), rng.integers(0, 18, 50)
    truth = rows.assign(true_person=person, sex=np.where(person % 3 == 0, "F", "M"))
    found = pair_quality_by(rows.assign(entity=entity_of), truth, "sex")
    counts = {"F": [0, 0, 0], "M": [0, 0, 0]}
    for a, b in combinations(range(50), 2):
        true, linked = person[a] == person[b], entity_of[a] == entity_of[b]
        for group in {truth["sex"][a], truth["sex"][b]}:
            counts[group][0] += true
            counts[group][1] += linked
            counts[group][2] += true and linked
    assert found[["group", "true_pairs", "linked_pairs", "correct_pairs"]].to_numpy().tolist() == [
        [group, *map(int, counts[group])] for group in ("F", "M")
    ]
