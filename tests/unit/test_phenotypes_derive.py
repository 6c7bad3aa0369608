"""What derive gives: frames, traits with their units, survival, and diagnostics that add up."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import TypeAdapter

from cohorts.errors import DesignError, StudyError
from cohorts.hub import Hub
from phenotypes.codelist import CodeList
from phenotypes.derivation import Derived, derive
from phenotypes.egfr import ckd_epi_2021
from phenotypes.library import CatalogueSpec
from phenotypes.outcome import COLUMNS
from phenotypes.reference import Person
from phenotypes.spec import OutcomeSpec, PhenotypeSpec, TraitSpec
from phenotypes.worked import hub_of, patients

INDEX, DATA_END = date(2012, 1, 1), date(2022, 12, 31)
CODES = Path(__file__).resolve().parents[2] / "workflows" / "demo" / "codes"
LISTS = {path.stem: CodeList.read(path) for path in sorted(CODES.glob("*.csv"))}
TRAITS: TypeAdapter[Any] = TypeAdapter(TraitSpec)
LDL = {
    "label": "LDL cholesterol",
    "codes": "ldl",
    "unit": "mmol/L",
    "plausible": [0.3, 20],
    "adjust": [{"drug": "statins", "divide": 0.7}],
}


def _derive(people: dict[str, Person], **definitions: Any) -> Derived:
    hub, persons = hub_of(people.values())
    with hub:
        return derive(hub, persons, index_date=INDEX, data_end=DATA_END, codelists=LISTS, **definitions)


def _trait(table: str, **spec: Any) -> tuple[dict[str, float], dict[str, Any]]:
    people = patients(table)
    derived = _derive(people, traits={"t": TRAITS.validate_python({**LDL, **spec})})
    row = derived.diagnostics.traits.iloc[0].to_dict()
    return dict(zip(people, derived.wide["t"].tolist(), strict=True)), {str(k): v for k, v in row.items()}


def test_ldl_is_converted_checked_and_adjusted_for_statins() -> None:
    values, row = _trait(
        """
        who       | date       | code                    | value  | unit
        plain     | 2011-01-01 | snomed 1022191000000100 | 3.5    | mmol/L
        american  | 2011-01-01 | snomed 1022191000000100 | 116.01 | mg/dL
        statin    | 2011-01-01 | snomed 1022191000000100 | 2.1    | mmol/L
        statin    | 2010-12-01 | bnf 0212000Y0AAADAD     |        |
        same day  | 2011-01-01 | snomed 1022191000000100 | 2.1    | mmol/L
        same day  | 2011-01-01 | bnf 0212000Y0AAADAD     |        |
        stopped   | 2011-01-01 | snomed 1022191000000100 | 2.1    | mmol/L
        stopped   | 2009-12-31 | bnf 0212000Y0AAADAD     |        |
        later     | 2011-01-01 | snomed 1022191000000100 | 2.1    | mmol/L
        later     | 2011-02-01 | bnf 0212000Y0AAADAD     |        |
        mislabel  | 2011-01-01 | snomed 1022191000000100 | 135    | mmol/L
        no unit   | 2011-01-01 | snomed 1022191000000100 | 3.5    |
        odd unit  | 2011-01-01 | snomed 1022191000000100 | 3.5    | furlong
        no value  | 2011-01-01 | snomed 1022191000000100 |        | mmol/L
        two       | 2011-01-01 | snomed 1022191000000100 | 3.0    | mmol/L
        two       | 2011-06-01 | snomed 1022191000000100 | 4.0    | mmol/L
        two       | 2011-06-01 | snomed 1022191000000100 | 4.0    | mmol/L
        """
    )
    nan = float("nan")
    expected = {
        "plain": 3.5,
        "american": 3.0,
        "statin": 3.0,
        "same day": 2.1,
        "stopped": 2.1,
        "later": 2.1,
        "mislabel": nan,
        "no unit": nan,
        "odd unit": nan,
        "no value": nan,
        "two": 3.5,
    }
    assert values == pytest.approx(expected, nan_ok=True)
    counted = {
        key: row[key] for key in ("read", "used", "repeated", "no_value", "unknown_unit", "implausible")
    }
    assert counted == {
        "read": 13,
        "used": 8,
        "repeated": 1,
        "no_value": 1,
        "unknown_unit": 2,
        "implausible": 1,
    }
    assert (row["converted"], row["adjusted"], row["people"]) == (1, 1, 7)


def test_a_blank_unit_counts_where_the_study_assumes_it() -> None:
    table = "who | date | code | value | unit\n a | 2011-01-01 | snomed 1022191000000100 | 3.5 |"
    assert _trait(table, blank_unit="assume")[0]["a"] == 3.5
    assert np.isnan(_trait(table)[0]["a"])


@pytest.mark.parametrize(
    ("pick", "expected"),
    [
        ("median", 3.0),
        ("mean", 11.0 / 3),
        ("min", 2.0),
        ("max", 6.0),
        ("first", 2.0),
        ("last", 6.0),
        ("nearest", 3.0),
    ],
)
def test_pick_chooses_among_days(pick: str, expected: float) -> None:
    table = """
    who | date       | code                    | value | unit
    a   | 2009-01-01 | snomed 1022191000000100 | 2.0   | mmol/L
    a   | 2011-12-22 | snomed 1022191000000100 | 3.0   | mmol/L
    a   | 2012-01-11 | snomed 1022191000000100 | 6.0   | mmol/L
    """
    assert _trait(table, pick=pick)[0]["a"] == pytest.approx(expected, abs=1e-6)


def test_a_trait_window_is_half_open_around_the_index_date() -> None:
    table = """
    who   | date       | code                    | value | unit
    eve   | 2011-12-31 | snomed 1022191000000100 | 2.0   | mmol/L
    index | 2012-01-01 | snomed 1022191000000100 | 2.0   | mmol/L
    start | 2007-01-02 | snomed 1022191000000100 | 2.0   | mmol/L
    early | 2007-01-01 | snomed 1022191000000100 | 2.0   | mmol/L
    """
    values = _trait(table, window_days=[-1825, 0])[0]
    assert {name for name, value in values.items() if not np.isnan(value)} == {"eve", "start"}


def test_hba1c_in_percent_and_in_mmol_per_mol_meet_in_one_trait() -> None:
    values, row = _trait(
        """
        who  | date       | code                    | value | unit
        ifcc | 2011-01-01 | snomed 999791000000106  | 48    | mmol/mol
        dcct | 2011-01-01 | snomed 1003671000000109 | 6.5   | %
        swap | 2011-01-01 | snomed 1003671000000109 | 48    | %
        """,
        codes="hba1c",
        unit="mmol/mol",
        plausible=[15, 250],
        adjust=[],
    )
    assert (values["ifcc"], values["dcct"]) == (48.0, 48.0)
    assert np.isnan(values["swap"])
    assert (row["converted"], row["implausible"]) == (1, 1)


def test_blood_pressure_on_treatment_is_raised() -> None:
    values, _ = _trait(
        """
        who     | date       | code              | value | unit
        treated | 2011-06-01 | snomed 271649006  | 140   | mmHg
        treated | 2011-05-01 | bnf 0206020A0AAAA |       |
        """,
        codes="sbp",
        unit="mmHg",
        plausible=[60, 260],
        adjust=[{"drug": "antihypertensives", "add": 15}],
    )
    assert values["treated"] == 155.0


def test_egfr_comes_from_creatinine_with_sex_and_age_on_the_day() -> None:
    table = """
    who     | date       | code                    | value | unit
    man     | 2011-03-01 | snomed 1000731000000107 | 1.2   | mg/dL
    woman   | 2011-02-28 | snomed 1000731000000107 | 88.4  | umol/L
    unknown | 2011-03-01 | snomed 1000731000000107 | 1.2   | mg/dL
    """
    people = patients(table)
    born = date(1956, 2, 29)
    people = {n: replace(p, birth=born, sex={"man": "M", "woman": "F"}.get(n)) for n, p in people.items()}
    spec = {
        "label": "eGFR",
        "codes": "creatinine",
        "unit": "mL/min/1.73m2",
        "plausible": [1, 250],
        "formula": "ckd_epi_2021",
    }
    wide = _derive(people, traits={"t": TRAITS.validate_python(spec)}).wide
    assert wide["t"].tolist() == pytest.approx(
        [71.42, float(ckd_epi_2021(88.4, 54, True)), float("nan")], abs=0.005, nan_ok=True
    )


def test_smoking_gives_a_column_for_every_level_but_the_last() -> None:
    people = patients(
        """
        who   | date       | code
        quit  | 2005-01-01 | snomed 77176002
        quit  | 2010-01-01 | snomed 8517006
        never | 2010-01-01 | snomed 266919005
        tie   | 2010-01-01 | snomed 266919005
        tie   | 2010-01-01 | snomed 77176002
        blank |            |
        """
    )
    levels = {"current": "smoking_current", "ex": "smoking_ex", "never": "smoking_never"}
    spec = TRAITS.validate_python({"kind": "category", "label": "Smoking", "levels": levels})
    derived = _derive(people, traits={"smoking": spec})
    assert derived.columns["smoking"] == ("smoking_current", "smoking_ex")
    table = derived.wide.drop(columns="person_id").to_numpy().T.tolist()
    assert table[0] == pytest.approx([0, 0, 1, float("nan")], nan_ok=True)
    assert table[1] == pytest.approx([1, 0, 0, float("nan")], nan_ok=True)


CHD = OutcomeSpec.model_validate({"label": "Coronary disease", "event": {"any": [{"has": "chd"}]}})
FOREVER = ((date(2000, 1, 1), date(9999, 12, 31)),)


def _person(event: str | None = None, **more: Any) -> Person:
    line = f"a | {event} | icd10 I21.9" if event else "a | |"
    return replace(patients(f"who | date | code\n {line}")["a"], **{"registrations": FOREVER, **more})


@pytest.mark.parametrize(
    ("person", "expected"),
    [
        (_person("2015-01-01"), ("2015-01-01", 1)),
        (_person("2012-01-02"), ("2012-01-02", 1)),
        (_person("2012-01-01"), "had it already"),
        (_person("2005-01-01"), "had it already"),
        (_person(), ("2022-01-01", 0)),
        (_person("2022-01-01"), ("2022-01-01", 0)),
        (_person("2021-12-31"), ("2021-12-31", 1)),
        (_person(death=date(2016, 5, 5)), ("2016-05-05", 2)),
        (_person("2016-05-05", death=date(2016, 5, 5)), ("2016-05-05", 1)),
        (_person("2017-05-05", death=date(2016, 5, 5)), ("2016-05-05", 2)),
        (_person(death=date(2012, 1, 1)), "died by the index date"),
        (_person(registrations=((date(2000, 1, 1), date(2014, 1, 1)),)), ("2014-01-01", 0)),
        (_person("2014-01-01", registrations=((date(2000, 1, 1), date(2014, 1, 1)),)), ("2014-01-01", 0)),
        (_person(registrations=((date(2000, 1, 1), date(2014, 1, 1)),), death=date(2014, 1, 1)), ("2014-01-01", 2)),
        (_person(registrations=((date(2000, 1, 1), date(2014, 1, 1)),), death=date(2014, 4, 1)), ("2014-04-01", 2)),
        (_person(registrations=((date(2000, 1, 1), date(2014, 1, 1)),), death=date(2014, 4, 2)), ("2014-01-01", 0)),
        (
            _person(
                registrations=((date(2000, 1, 1), date(2014, 1, 1)), (date(2014, 4, 1), date(2016, 1, 1)))
            ),
            ("2016-01-01", 0),
        ),
        (
            _person(
                registrations=((date(2000, 1, 1), date(2014, 1, 1)), (date(2014, 4, 2), date(2016, 1, 1)))
            ),
            ("2014-01-01", 0),
        ),
        (_person(registrations=((date(2012, 1, 2), date(2014, 1, 1)),)), "not registered then"),
        (_person(registrations=()), "not registered then"),
    ],
)  # fmt: skip
def test_follow_up_ends_at_the_first_of_its_ends(person: Person, expected: Any) -> None:
    derived = _derive({"a": person}, outcomes={"chd": CHD})
    flow = derived.diagnostics.outcomes
    assert flow["n"].sum() == 1
    if isinstance(expected, str):
        assert flow["reason"].tolist() == [expected]
        assert derived.survival.empty
    else:
        row = derived.survival.iloc[0]
        assert (row["exit"].date().isoformat(), int(row["state"])) == expected
        assert row["entry"].date() == INDEX
        assert row["years"] == pytest.approx(min((row["exit"] - row["entry"]).days / 365.25, 10))


def test_earlier_events_are_passed_over_where_the_outcome_says_so() -> None:
    people = patients("who | date | code\n a | 2005-01-01 | icd10 I21\n a | 2013-01-01 | icd10 I21")
    again = CHD.model_copy(update={"exclude_prior": False})
    derived = _derive(people, outcomes={"chd": again})
    assert derived.survival["exit"].dt.date.tolist() == [date(2013, 1, 1)]


def test_death_is_a_plain_end_of_follow_up_where_it_does_not_compete() -> None:
    alone = CHD.model_copy(update={"competing": "none"})
    derived = _derive({"a": _person(death=date(2016, 5, 5))}, outcomes={"chd": alone})
    assert derived.survival["state"].tolist() == [0]


def _t2d(**more: Any) -> PhenotypeSpec:
    spec = {"label": "Type 2 diabetes", "any": [{"has": "t2d", "at_least": 2, "gap_days": 30}], **more}
    return PhenotypeSpec.model_validate(spec)


def _crowd() -> dict[str, Person]:
    people = patients(
        """
        who     | date       | code
        case    | 2010-03-01 | snomed 44054006
        case    | 2011-03-01 | icd10 E11.9
        case    | 2011-03-01 | icd10 E11.3
        control | 2010-03-01 | snomed 44054006
        type 1  | 2010-03-01 | snomed 46635009
        """
    )
    born = {"case": date(1972, 1, 2), "control": date(1920, 5, 1)}
    people = {n: replace(p, birth=born.get(n), sex="F" if n == "case" else None) for n, p in people.items()}
    return {**people, "unseen": Person()}


def test_long_wide_and_counts_say_the_same() -> None:
    derived = _derive(_crowd(), phenotypes={"t2d": _t2d(none=[{"has": "t1d"}])})
    assert derived.long["status"].tolist() == ["case", "control", "excluded", "unknown"]
    assert derived.long["first_date"].dt.strftime("%Y-%m-%d").tolist()[0] == "2010-03-01"
    assert derived.long["first_date"].isna().tolist() == [False, True, True, True]
    assert derived.long["n_dates"].tolist() == [2, 0, 0, 0]
    assert derived.wide["t2d"].tolist() == pytest.approx([1, 0, float("nan"), float("nan")], nan_ok=True)
    counts = derived.diagnostics.statuses.set_index(["status", "age_band", "sex"])["n"].to_dict()
    assert counts == {
        ("case", "30-39", "F"): 1,
        ("control", "90+", "unknown"): 1,
        ("excluded", "unknown", "unknown"): 1,
        ("unknown", "unknown", "unknown"): 1,
    }
    assert derived.long.dtypes["person_id"] == np.int64
    assert set(derived.identities) == set(derived.explanations) == {"phenotypes.t2d"}


def test_code_counts_list_every_code_and_mark_those_never_seen() -> None:
    derived = _derive(_crowd(), phenotypes={"t2d": _t2d()})
    codes = derived.diagnostics.codes
    mine = codes[codes["codelist"] == "t2d"].set_index("code")
    assert mine.loc["44054006", ["records", "people", "seen"]].tolist() == [2, 2, True]
    assert mine.loc["E11*", ["records", "people", "seen"]].tolist() == [2, 1, True]
    assert mine.loc["313436004", ["records", "people", "seen"]].tolist() == [0, 0, False]
    assert len(codes) == sum(len(codelist.entries) for codelist in LISTS.values())


def test_a_definition_that_finds_nobody_says_why() -> None:
    derived = _derive(
        _crowd(),
        phenotypes={
            "asthma": PhenotypeSpec.model_validate({"label": "Asthma", "any": [{"has": "asthma"}]}),
            "t2d_community": PhenotypeSpec.model_validate(
                {"label": "T2D", "any": [{"has": "t2d", "source": "community"}]}
            ),
            "t2d_thrice": _t2d(any=[{"has": "t2d", "at_least": 3}]),
        },
        traits={"ldl": TRAITS.validate_python(LDL)},
        outcomes={"chd": CHD},
    )
    notes = dict(zip(derived.diagnostics.notes["definition"], derived.diagnostics.notes["note"], strict=True))
    assert notes == {
        "asthma": "finds nobody: none of the 2 codes of asthma is in these people's records",
        "t2d_community": "finds nobody: the codes are recorded, but nobody has a record of t2d "
        "from the source community",
        "t2d_thrice": "finds nobody: some people have a record of t2d",
        "chd": "finds nobody: none of the 19 codes of chd is in these people's records",
        "ldl": "finds nobody: no record in the window",
    }


def test_a_trait_in_a_unit_nobody_uses_says_so() -> None:
    table = "who | date | code | value | unit\n a | 2011-01-01 | snomed 1022191000000100 | 3.5 | furlong"
    derived = _derive(patients(table), traits={"ldl": TRAITS.validate_python(LDL)})
    assert derived.diagnostics.notes["note"].tolist() == [
        "finds nobody: every measurement is set aside, most for: unknown unit (the unit asked for is mmol/L)"
    ]


def test_the_order_of_people_and_records_does_not_matter() -> None:
    people = _crowd()
    turned = {n: replace(p, events=p.events[::-1]) for n, p in reversed(people.items())}
    one = _derive(people, phenotypes={"t2d": _t2d()}).long["status"].astype(str).tolist()
    other = _derive(turned, phenotypes={"t2d": _t2d()}).long["status"].astype(str).tolist()
    assert one == other[::-1]


def test_the_hub_is_left_as_it_was() -> None:
    hub, persons = hub_of(_crowd().values())
    settings = "SELECT name, value FROM duckdb_settings() ORDER BY name"
    with hub:
        before = hub.connection.execute(settings).fetchall(), hub.tables()
        derive(hub, persons, index_date=INDEX, data_end=DATA_END, phenotypes={"t2d": _t2d()}, codelists=LISTS)
        assert (hub.connection.execute(settings).fetchall(), hub.tables()) == before


def test_a_study_without_definitions_gives_empty_frames() -> None:
    derived = _derive(_crowd())
    assert list(derived.wide.columns) == ["person_id"]
    assert len(derived.wide) == 4
    assert derived.long.empty
    assert list(derived.survival.columns) == list(COLUMNS)
    assert derived.survival.dtypes.astype(str).tolist() == list(COLUMNS.values())


def _hub() -> tuple[Hub, pd.DataFrame]:
    return hub_of(_crowd().values())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda persons: persons.iloc[:0], "nobody to derive phenotypes for"),
        (lambda persons: pd.concat([persons, persons]), "people stand more than once; found 4 repeated rows"),
        (lambda persons: persons.drop(columns="sex"), "people lack a column"),
    ],
)
def test_wrong_people_are_refused(change: Any, message: str) -> None:
    hub, persons = _hub()
    with hub, pytest.raises(DesignError, match=message):
        derive(hub, change(persons), index_date=INDEX, phenotypes={"t2d": _t2d()}, codelists=LISTS)


def test_an_index_date_after_the_records_is_refused() -> None:
    hub, persons = _hub()
    with hub, pytest.raises(DesignError, match="end on or before the index date; found 2011-03-01"):
        derive(hub, persons, index_date=INDEX, phenotypes={"t2d": _t2d()}, codelists=LISTS)


def test_two_definitions_of_one_column_are_refused() -> None:
    hub, persons = _hub()
    levels = {"current": "smoking_current", "never": "smoking_never"}
    smoking = TRAITS.validate_python({"kind": "category", "label": "Smoking", "levels": levels})
    with hub, pytest.raises(StudyError, match="two definitions want one column; found smoking_current"):
        derive(
            hub,
            persons,
            index_date=INDEX,
            phenotypes={"smoking_current": _t2d()},
            traits={"smoking": smoking},
            codelists=LISTS,
        )


def test_a_record_counts_for_the_most_specific_entry_of_a_list() -> None:
    nested = CodeList.of("nested", [("icd10", "E11*"), ("icd10", "E113*"), ("icd10", "E1130")])
    people = patients(
        """
        who | date       | code
        a   | 2010-03-01 | icd10 E11.9
        a   | 2010-04-01 | icd10 E11.3
        b   | 2010-05-01 | icd10 E11.39
        b   | 2010-06-01 | icd10 E11.30
        """
    )
    hub, persons = hub_of(people.values())
    with hub:
        derived = derive(hub, persons, index_date=INDEX, data_end=DATA_END, codelists={"nested": nested})
    counts = derived.diagnostics.codes.set_index("code")[["records", "people"]]
    assert counts.to_dict("index") == {
        "E11*": {"records": 1, "people": 1},
        "E113*": {"records": 2, "people": 2},
        "E1130": {"records": 1, "people": 1},
    }


def test_a_list_of_the_catalogue_is_counted_beside_one_of_the_study_with_its_name() -> None:
    people = patients("who | date | code \n amy | 2010-03-01 | read2 G33 \n ben | 2010-03-01 | icd10 I21.9")
    derived = _derive(
        people, phenotypes={"c": CatalogueSpec.model_validate({"catalogue": "coronary_disease"})}
    )
    assert derived.long["status"].tolist() == ["case", "case"]
    lists = {"coronary_disease": CodeList.of("coronary_disease", [("icd10", "I25*")])}
    hub, persons = hub_of(people.values())
    with hub:
        derived = derive(
            hub,
            persons,
            index_date=INDEX,
            data_end=DATA_END,
            codelists=lists,
            phenotypes={"c": CatalogueSpec.model_validate({"catalogue": "coronary_disease"})},
        )
    assert derived.long["status"].tolist() == ["case", "case"]
    seen = derived.diagnostics.codes.groupby("codelist")["records"].sum()
    assert seen["coronary_disease"] == 0
    assert seen[[name for name in seen.index if name.startswith("coronary_disease (")]].tolist() == [2]
