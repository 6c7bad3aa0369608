"""Diseases of the catalogue in the synthetic region: how common they are, and how well they are written down."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from cohorts.synthetic.condition_codes import GP_READ2, GP_SNOMED, ICD10, URINE_ACR
from cohorts.synthetic.condition_gp import RECORDING
from cohorts.synthetic.condition_hospital import HOSPITAL
from cohorts.synthetic.conditions import CKD_BELOW, CONDITIONS
from cohorts.synthetic.config import RegionConfig
from cohorts.synthetic.disease import levels
from cohorts.synthetic.people import YEAR
from cohorts.synthetic.region import make_region
from cohorts.synthetic.tables import NEVER

CONFIG = RegionConfig(people=30_000, genotyped=100, variants=1000, seed=3)
ON = pd.Timestamp("2019-01-01")
CATALOGUE = (
    "t1d",
    "t2d",
    "hypertension",
    "chd",
    "heart_failure",
    "stroke",
    "atrial_fibrillation",
    "ckd",
    "asthma",
    "copd",
    "lung_cancer",
    "breast_cancer",
    "prostate_cancer",
    "colorectal_cancer",
    "depression",
    "dementia",
    "retinopathy",
    "nephropathy",
    "neuropathy",
    "foot_ulcer",
    "amputation",
    "dka",
    "severe_hypoglycaemia",
    "diabetic_cvd",
)


@pytest.fixture(scope="module")
def chunks():
    return list(make_region(CONFIG).chunks())


@pytest.fixture(scope="module")
def first_lives(chunks):
    return chunks[0].lives()


@pytest.fixture(scope="module")
def hub(chunks):
    """All tables of the region as a hub, by name."""
    parts: dict[str, list[pd.DataFrame]] = {}
    for chunk in chunks:
        for name, frame in chunk.hub():
            parts.setdefault(name, []).append(
                frame.astype(dict.fromkeys(frame.select_dtypes("category"), object))
            )
    return {name: pd.concat(frames, ignore_index=True) for name, frames in parts.items()}


@pytest.fixture(scope="module")
def alive(hub):
    """Residents on the day, with sex and age."""
    people = hub["truth/people.parquet"].set_index("true_person")
    here = (people["birth_date"] < ON) & ~(people["death_date"] <= ON)
    here &= (people["arrived"] < ON) & ~(people["left"] <= ON)
    return people[here].assign(age=(ON - people["birth_date"]).dt.days / YEAR)


@pytest.fixture(scope="module")
def outcomes(hub):
    return hub["truth/outcomes.parquet"]


def _share(outcomes: pd.DataFrame, people: pd.DataFrame, disease: str) -> float:
    had = outcomes[(outcomes["disease"] == disease) & (outcomes["onset"] < ON)]
    return float(people.index.isin(had["true_person"]).mean())


def test_every_disease_of_the_catalogue_has_truth_inside_the_life(hub, outcomes):
    assert set(CATALOGUE) <= set(outcomes["disease"])
    assert not outcomes.duplicated(["true_person", "disease"]).any()
    who = hub["truth/people.parquet"].set_index("true_person").loc[outcomes["true_person"]]
    onset = outcomes["onset"].to_numpy()
    assert (onset >= who["birth_date"].to_numpy()).all()
    dead = who["death_date"].notna().to_numpy()
    assert (onset[dead] < who["death_date"].to_numpy()[dead]).all()


@pytest.mark.parametrize(
    ("disease", "sex", "low", "high", "least", "most"),
    [
        # round bands about what England's registers and screening studies report, unrecorded disease included
        ("atrial_fibrillation", "both", 65, 75, 0.03, 0.09),
        ("atrial_fibrillation", "both", 75, 85, 0.10, 0.21),
        ("heart_failure", "both", 75, 85, 0.05, 0.13),
        ("heart_failure", "both", 45, 65, 0.002, 0.012),
        ("stroke", "both", 18, 120, 0.015, 0.032),
        ("stroke", "both", 75, 85, 0.06, 0.14),
        ("ckd", "both", 18, 120, 0.035, 0.08),
        ("ckd", "both", 45, 65, 0.008, 0.035),
        ("copd", "both", 18, 120, 0.018, 0.04),
        ("breast_cancer", "F", 45, 65, 0.022, 0.055),
        ("prostate_cancer", "M", 65, 75, 0.035, 0.10),
        ("colorectal_cancer", "both", 18, 120, 0.004, 0.012),
        ("depression", "F", 18, 120, 0.16, 0.30),
        ("depression", "M", 18, 120, 0.08, 0.19),
        ("dementia", "both", 65, 75, 0.005, 0.03),
        ("dementia", "both", 85, 120, 0.15, 0.38),
        ("lung_cancer", "both", 18, 120, 0.0004, 0.003),
        ("asthma", "both", 0, 120, 0.08, 0.18),
        ("hypertension", "both", 18, 120, 0.15, 0.30),
    ],
)
def test_prevalence_by_age_and_sex_is_plausible(outcomes, alive, disease, sex, low, high, least, most):
    people = alive[(alive["age"] >= low) & (alive["age"] < high)]
    if sex != "both":
        people = people[people["sex"] == sex]
    assert least < _share(outcomes, people, disease) < most


def test_diseases_of_one_sex_stay_with_it(hub, outcomes):
    sex = hub["truth/people.parquet"].set_index("true_person")["sex"]
    for disease, only in (("breast_cancer", "F"), ("prostate_cancer", "M")):
        ill = outcomes.loc[outcomes["disease"] == disease, "true_person"]
        assert set(sex[ill]) == {only}


def test_complications_follow_diabetes(outcomes):
    began = outcomes.pivot(index="true_person", columns="disease", values="onset")
    diabetes = began[["t1d", "t2d"]].min(axis=1)
    for name in ("neuropathy", "amputation", "severe_hypoglycaemia", "retinopathy", "foot_ulcer", "dka"):
        ill = began[name].notna()
        assert (began[name] > diabetes)[ill].all(), name
    cvd = began["diabetic_cvd"].notna()
    vessels = began[["chd", "stroke"]].min(axis=1)
    assert (cvd == (diabetes.notna() & vessels.notna())).all()
    assert (began["diabetic_cvd"] >= diabetes)[cvd].all()


def test_poverty_and_smoking_go_with_the_diseases_they_cause(outcomes, alive):
    old = alive[alive["age"] >= 50]
    copd = outcomes.loc[(outcomes["disease"] == "copd") & (outcomes["onset"] < ON), "true_person"]
    has = pd.Series(old.index.isin(copd), old.index)
    smoked = old["smoking"] != "never"
    assert has[smoked].mean() > 2.5 * has[~smoked].mean()


def test_who_falls_ill_dies_sooner_as_far_as_stated(outcomes, alive):
    """Deaths are drawn first and diseases lean towards them, which must read as excess mortality."""
    people = alive[(alive["age"] >= 75) & (alive["age"] < 90)]
    soon = people["death_date"] < ON + pd.Timedelta(days=730)
    for disease in ("dementia", "heart_failure", "colorectal_cancer"):
        new = outcomes[(outcomes["disease"] == disease) & outcomes["onset"].between("2014-01-01", ON)]
        ill = people.index.isin(new["true_person"])
        assert soon[ill].mean() > 1.25 * soon[~ill].mean(), disease


def test_kidney_disease_begins_where_filtration_falls_below_60_for_good(chunks, first_lives):
    people, lives = chunks[0].people, first_lives
    who = np.flatnonzero(lives.onset["ckd"] < NEVER)
    assert len(who) > 100
    onset = lives.onset["ckd"][who]
    later = np.minimum(onset + 200, lives.death[who] - 1).astype(np.int32)
    assert (
        levels("egfr", who, np.maximum(later, onset), people, lives)[later > onset + 100] < CKD_BELOW
    ).all()
    after_child = onset - people.birth[who] > 30 * YEAR
    before = levels("egfr", who, (onset - 200).astype(np.int32), people, lives)
    assert (before[after_child] > CKD_BELOW - 1.0).mean() > 0.99


def _coded(hub, codes: set[tuple[str, str]]) -> pd.Series:
    """First day of any of the codes, by true person."""
    events = hub["hub/events"]
    keys = pd.MultiIndex.from_frame(events[["system", "code"]])
    rows = events[keys.isin(list(codes))]
    true = hub["truth/links.parquet"].set_index("person_id")["true_person"]
    return rows.groupby(rows["person_id"].map(true))["date"].min()


@pytest.mark.parametrize("disease", list(RECORDING))
def test_records_tell_of_most_of_the_ill_late_and_of_few_others(hub, outcomes, disease):
    codes = {("snomed", code) for code in GP_SNOMED[disease]}
    codes |= {("read2", code) for code in GP_READ2[disease]}
    first = _coded(hub, codes)
    people = hub["truth/people.parquet"].set_index("true_person")
    true = outcomes[outcomes["disease"] == disease].set_index("true_person")["onset"]
    # whoever stayed for three years after the onset could have been coded
    stays = people["death_date"].fillna(pd.Timestamp("2023-01-01")).clip(upper=pd.Timestamp("2023-01-01"))
    stays = stays.where(people["left"].isna(), people[["left"]].min(axis=1).clip(upper=stays))
    room = (stays.loc[true.index] - true).dt.days > 3 * 365
    room &= stays.loc[true.index] > pd.Timestamp("2003-01-01")
    seen = true.index[room].isin(first.index)
    stated = RECORDING[disease].share
    # the slowest diseases are still uncoded after three years in some, hence the wider lower bound
    margin = 4 * np.sqrt(stated * (1 - stated) / max(room.sum(), 1)) + 0.02
    assert stated - margin - 0.25 * min(RECORDING[disease].delay, 1) < seen.mean() < stated + margin
    both = first.index.intersection(true.index)
    later = (first[both] - true[both]).dt.days
    new = true[both] > pd.Timestamp("2001-01-01")
    assert (later[new] >= 0).all()
    wrong = ~first.index.isin(true.index)
    assert wrong.sum() < 0.012 * len(people)


@pytest.mark.parametrize("disease", ["stroke", "colorectal_cancer", "dementia", "amputation"])
def test_hospitals_admit_the_stated_share_at_onset(hub, outcomes, disease):
    codes = {("icd10", code.rstrip("X") if len(code) == 4 else code) for code in ICD10[disease]}
    codes |= {("icd10", "E105")} if disease == "amputation" else set()
    events = hub["hub/events"]
    rows = events[(events["source"] == "hospital") & (events["system"] == "icd10")]
    rows = rows[rows["code"].isin([code for _, code in codes])]
    true = hub["truth/links.parquet"].set_index("person_id")["true_person"]
    at = set(zip(rows["person_id"].map(true), rows["date"], strict=True))
    people = hub["truth/people.parquet"].set_index("true_person")
    own = outcomes[(outcomes["disease"] == disease) & (outcomes["onset"] > "2000-02-01")]
    arrived = people.loc[own["true_person"], "arrived"].to_numpy() < own["onset"].to_numpy()
    left = people.loc[own["true_person"], "left"].to_numpy()
    own = own[arrived & ~(left <= own["onset"].to_numpy()) & (own["onset"] < "2023-01-01").to_numpy()]
    seen = np.mean([key in at for key in zip(own["true_person"], own["onset"], strict=True)])
    stated = HOSPITAL[disease].admitted
    assert seen == pytest.approx(stated, abs=4 * np.sqrt(stated * (1 - stated) / len(own)) + 0.01)


def test_codes_change_with_time_as_systems_and_editions_do(hub):
    events = hub["hub/events"]
    read = events[events["system"] == "read2"]
    assert len(read) > 500
    assert read["date"].max() < pd.Timestamp("2015-01-01")
    flutter = events[(events["system"] == "icd10") & events["code"].str.startswith("I48")]
    edition = pd.Timestamp("2016-04-01")
    assert set(flutter.loc[flutter["date"] < edition, "code"]) == {"I48"}
    assert set(flutter.loc[flutter["date"] >= edition, "code"]) == {"I480", "I482", "I489"}


def test_low_filtration_passes_in_some_so_that_one_result_is_not_a_diagnosis(hub, outcomes):
    events = hub["hub/events"]
    low = events[(events["code"] == "1011481000000105") & (events["value"] < CKD_BELOW)]
    true = hub["truth/links.parquet"].set_index("person_id")["true_person"]
    who = low["person_id"].map(true)
    ill = set(outcomes.loc[outcomes["disease"] == "ckd", "true_person"])
    passing = who[~who.isin(ill)]
    assert passing.nunique() > 0.05 * len(ill)
    spread = low.groupby(who)["date"].agg(lambda days: (days.max() - days.min()).days)
    lasting = spread[spread >= 90].index
    assert lasting.isin(ill).mean() > who.drop_duplicates().isin(ill).mean() + 0.02


def test_urine_albumin_tells_of_nephropathy(hub, outcomes):
    events = hub["hub/events"]
    urine = events[events["code"] == URINE_ACR]
    assert set(urine["unit"]) == {"mg/mmol"}
    true = hub["truth/links.parquet"].set_index("person_id")["true_person"]
    who = urine["person_id"].map(true)
    began = outcomes[outcomes["disease"] == "nephropathy"].set_index("true_person")["onset"]
    after = (who.map(began) <= urine["date"]).fillna(False)
    assert urine.loc[after, "value"].median() > 6 * urine.loc[~after, "value"].median()


def test_events_come_as_often_as_the_hazards_say(chunks, first_lives):
    """Time change: the hazard summed up to onset, or to the end, is exponential with censoring."""
    from cohorts.synthetic import conditions
    from cohorts.synthetic.tables import day

    people, lives, places = chunks[0].people, first_lives, chunks[0].places
    years = np.arange(conditions.FIRST, CONFIG.end_date.year + 1)
    first = np.array([(np.datetime64(f"{year}-01-01", "D")).astype(int) for year in years])
    edge = np.append(first, day(CONFIG.end_date) + 1)
    age = ((edge[:-1] + edge[1:]) / 2 - people.birth[:, None]).astype(np.float32) / np.float32(YEAR)
    fixed = conditions._fixed(people, lives, places)
    for name in ("stroke", "depression", "atrial_fibrillation", "dementia"):
        rate = conditions._rates(CONDITIONS[name], age, first, fixed, people, lives, lives.onset)
        end = np.minimum(np.minimum(lives.onset[name], lives.death), edge[-1])
        inside = np.minimum(edge[1:], end[:, None]) - np.maximum(edge[:-1], people.birth[:, None])
        expected = float((rate * np.maximum(inside, 0) / YEAR).sum())
        observed = int((lives.onset[name] < edge[-1]).sum())
        assert abs(observed - expected) < 4 * np.sqrt(expected), name
