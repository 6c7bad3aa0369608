"""Comorbidity indices against published facts, a plain twin, and hand-made people."""

from __future__ import annotations

import csv
import warnings
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cohorts.errors import DesignError, InputError
from cohorts.hub import Hub, connect, create_hub_tables
from phenotypes.comorbidities import MeetsNoRecord, comorbidity, read_index, scored
from phenotypes.comorbidity_lists import INDICES, ComorbidityIndex, comorbidity_index

CHARLSON = list(comorbidity_index("charlson-1987").conditions)
ON = date(2020, 1, 1)

Rows = list[tuple[int, str, str]]


@pytest.fixture
def hub() -> Iterator[Hub]:
    with connect() as opened:
        create_hub_tables(opened)
        yield opened


def _fill(hub: Hub, rows: Rows, people: int = 3) -> None:
    hub.connection.executemany(
        "INSERT INTO people VALUES (?, 'F', DATE '1950-01-01')", [(i,) for i in range(1, people + 1)]
    )
    if rows:
        hub.connection.executemany(
            "INSERT INTO events VALUES (0, ?, CAST(? AS DATE), 'apc', 'diagnosis', 'icd10', ?, NULL, NULL)",
            rows,
        )


def _facts(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def _meant(prefixes: list[str], codes: list[str]) -> set[str]:
    return {code for code in codes if any(code.startswith(p) for p in prefixes)}


ALL_CODES = [
    f"{letter}{n:02d}{last}"
    for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    for n in range(100)
    for last in ["", *"0123456789"]
]


@pytest.mark.parametrize(
    ("file", "name", "first"),
    [
        ("CHARLSON_QUAN.csv", "charlson-quan2011", 1),
        ("CHARLSON_UK_SHMI_v1.60.csv", "charlson-shmi", 1),
        ("ELIXHAUSER_QUAN.csv", "elixhauser", 0),
    ],
)
def test_the_lists_mean_what_the_published_prefixes_mean(
    data_file: Callable[[str], Path], file: str, name: str, first: int
) -> None:
    facts = [r for r in _facts(data_file(f"codes_comorbidity/{file}")) if int(r["index"]) >= first]
    conditions = comorbidity_index(name).conditions
    assert len(facts) == len(conditions)
    # categories that ICD-10 does not have: a published prefix such as C1 takes them in, our ranges need not
    gaps = {"C27", "C28", "C29", "C35", "C36", "C42", "C59", "C86", "C87", "C89"}
    codes = sorted(code for code in ALL_CODES if code[:3] not in gaps)
    for fact, (condition, listed) in zip(facts, conditions.items(), strict=True):
        theirs = _meant(fact["icd10_codes"].split("|"), codes)
        ours = {code for code, _ in listed.found_in("icd10", codes)}
        assert ours == theirs, (condition, sorted(ours ^ theirs)[:8])


def test_the_weights_are_the_published_ones(data_file: Callable[[str], Path]) -> None:
    facts = _facts(data_file("codes_comorbidity/CHARLSON_WEIGHTS.csv"))[1:]
    for name, column in (
        ("charlson-1987", "charlson_weights"),
        ("charlson-quan2011", "quan_weights"),
        ("charlson-shmi", "uk_shmi_weights"),
    ):
        index = comorbidity_index(name)
        assert [index.weights[c] for c in index.conditions] == [float(r[column]) for r in facts], name
    index = comorbidity_index("elixhauser-vanwalraven")
    facts = _facts(data_file("codes_comorbidity/ELIXHAUSER_WEIGHTS.csv"))[:31]
    assert [index.weights[c] for c in index.conditions] == [float(r["van_walraven_weights"]) for r in facts]
    frailty = comorbidity_index("hfrs")
    facts = _facts(data_file("codes_comorbidity/HFRS.csv"))
    assert frailty.weights == {r["icd10_codes"]: float(r["weight"]) for r in facts}


def test_the_largest_score_of_quan_2011_is_24_as_the_paper_says() -> None:
    everything = {name: np.array([True]) for name in CHARLSON}
    table = scored(np.array([1]), everything, comorbidity_index("charlson-quan2011"))
    assert table["score"].tolist() == [24.0]
    assert table["n_conditions"].tolist() == [14]


def test_severe_forms_take_the_place_of_mild_ones(hub: Hub) -> None:
    rows = [(1, "2019-01-01", "E11.9"), (1, "2019-02-01", "E112"), (2, "2019-01-01", "E119")]
    rows += [(2, "2018-05-05", "C509"), (3, "2018-05-05", "C787"), (3, "2018-05-05", "C509")]
    _fill(hub, rows)
    table = comorbidity(hub, on=ON, index="charlson-1987")
    assert table["score"].tolist() == [2.0, 3.0, 6.0]
    assert table["diabetes"].tolist() == [True, True, False]
    assert comorbidity(hub, on=ON, index="charlson-shmi")["score"].tolist() == [2.0, 11.0, 22.0]


def test_the_day_itself_and_what_is_older_than_the_look_back_do_not_count(hub: Hub) -> None:
    rows = [(1, "2020-01-01", "I50"), (2, "2019-12-31", "I50"), (3, "2017-12-31", "I50")]
    _fill(hub, rows)
    assert comorbidity(hub, on=ON)["score"].tolist() == [0.0, 2.0, 2.0]
    assert comorbidity(hub, on=ON, lookback_days=730)["score"].tolist() == [0.0, 2.0, 0.0]
    assert comorbidity(hub, on=ON, lookback_days=731)["score"].tolist() == [0.0, 2.0, 2.0]


def test_people_keep_the_order_they_are_given_in_and_others_are_left_out(hub: Hub) -> None:
    _fill(hub, [(1, "2019-01-01", "I50"), (3, "2019-01-01", "I10X")])
    table = comorbidity(hub, pd.DataFrame({"person_id": [3, 1]}), on=ON, index="multimorbidity")
    assert table["person_id"].tolist() == [3, 1]
    assert table["hypertension"].tolist() == [True, False]
    assert table["score"].tolist() == [1.0, 1.0]


def test_records_in_which_no_code_of_the_index_is_meant_say_so(hub: Hub) -> None:
    _fill(hub, [(1, "2019-01-01", "Z000")])
    hub.connection.execute("UPDATE events SET system = 'snomed', code = '44054006'")
    with pytest.warns(MeetsNoRecord, match=r"\(icd10\); the records have codes of snomed") as told:
        assert comorbidity(hub, on=ON)["score"].eq(0).all()
    assert [w.filename for w in told if w.category is MeetsNoRecord] == [__file__]
    hub.connection.execute("UPDATE events SET system = 'icd10', code = 'I50'")
    with warnings.catch_warnings():
        warnings.simplefilter("error", MeetsNoRecord)
        assert comorbidity(hub, on=ON)["score"].max() == 2


def test_hospital_frailty_adds_points_and_frailty_gives_a_share(hub: Hub) -> None:
    _fill(hub, [(1, "2019-01-01", "F009"), (1, "2019-06-01", "W190"), (1, "2019-06-01", "G81")], people=1)
    assert comorbidity(hub, on=ON, index="hfrs")["score"].tolist() == [14.7]
    share = comorbidity(hub, on=ON, index="frailty")
    assert share["score"].tolist() == [2 / len(comorbidity_index("frailty").conditions)]


def test_an_index_of_ones_own_is_read_and_used(hub: Hub, tmp_path: Path) -> None:
    path = tmp_path / "deficits.csv"
    path.write_text(
        "condition,system,code,weight\nfalls,icd10,W00-W19,2\nfalls,snomed,217082002,2\nweak,icd10,R53*,\n"
    )
    _fill(hub, [(1, "2019-01-01", "W19"), (2, "2019-01-01", "R53X")])
    assert comorbidity(hub, on=ON, index=read_index(path))["score"].tolist() == [2.0, 1.0, 0.0]
    assert comorbidity(hub, on=ON, index=read_index(path, fraction=True))["score"].tolist() == [1.0, 0.5, 0.0]
    for text in ("falls,icd10,W19,1\nfalls,icd10,W18,2\n", "falls,icd10,W19,much\n", "score,icd10,W19,1\n"):
        path.write_text("condition,system,code,weight\n" + text)
        with pytest.raises(InputError):
            read_index(path)


def test_what_cannot_be_answered_is_refused(hub: Hub) -> None:
    _fill(hub, [])
    for wrong in (
        {"index": "charlson"},
        {"lookback_days": 0},
        {"persons": pd.DataFrame({"person_id": [1, 1]})},
    ):
        with pytest.raises(DesignError):
            comorbidity(hub, **{"on": ON, **wrong})  # type: ignore[arg-type]
    assert comorbidity(hub, on=ON)["score"].tolist() == [0.0, 0.0, 0.0]


def _plain(codes: list[str], index: ComorbidityIndex) -> float:
    has = {
        name for name, listed in index.conditions.items() if any(listed.matches("icd10", c) for c in codes)
    }
    has -= {mild for severe, mild in index.trumps if severe in has}
    return round(sum(index.weights.get(name, 1.0) for name in has), 6) / index.divisor


@given(
    st.sampled_from(INDICES),
    st.lists(
        st.sampled_from(
            [
                "E119",
                "E112",
                "K703",
                "K721",
                "C509",
                "C787",
                "B24",
                "I10",
                "I110",
                "F009",
                "N18",
                "M0590",
                "I50",
                "Z999",
            ]
        ),
        max_size=8,
    ),
)
@settings(max_examples=60, deadline=None)
def test_a_score_equals_that_of_a_plain_twin(name: str, codes: list[str]) -> None:
    with connect() as hub:
        create_hub_tables(hub)
        _fill(hub, [(1, "2019-01-01", code) for code in codes], people=1)
        table = comorbidity(hub, on=ON, index=name)
    assert table["score"].tolist() == pytest.approx([_plain(codes, comorbidity_index(name))])
