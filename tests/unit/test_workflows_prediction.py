"""Who teaches a risk model, who is told a risk, and what of its calibration may be shown."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from gwas.evaluation import evaluate_risk
from workflows.genotyped import Genotyped
from workflows.prediction import FEWEST_EVENTS, _calibration, _why_not, people_at_risk


class Fitted:
    status = "fitted"
    reason = ""


def followed(n, seed, *, exaggerate=1.0, scale=1.0):
    rng = np.random.default_rng(seed)
    risk = rng.uniform(0.02, 0.5, n)
    time = rng.exponential(-10 / np.log1p(-risk))
    logit = np.log(risk / (1 - risk))
    told = 1 / (1 + np.exp(-(exaggerate * (logit - logit.mean()) + logit.mean())))
    people = pd.DataFrame({"years": np.minimum(time, 10), "state": (time < 10).astype(int)})
    return people, np.clip(told * scale, 1e-6, 1 - 1e-6)


def judged(n, seed, **off):
    people, risk = followed(n, seed, **off)
    rng = np.random.default_rng(1)
    return evaluate_risk(risk, people["years"], people["state"], horizon=10, rng=rng, replicates=100)


def test_a_calibrated_model_is_told_and_a_miscalibrated_one_withheld_at_any_size():
    for n in (800, 8000):
        assert _why_not(Fitted, judged(n, 1)) == ""
        assert "calibration slope" in _why_not(Fitted, judged(n, 1, exaggerate=2.0))
        assert "not well calibrated" in _why_not(Fitted, judged(n, 1, scale=1.6))


def test_a_small_certain_deviation_is_tolerated_in_a_large_study():
    evaluation = judged(20_000, 2, exaggerate=1.1)
    _, low, high = evaluation.interval("calibration_slope")
    assert high < 1
    assert low > 0.7
    assert _why_not(Fitted, evaluation) == ""


@pytest.mark.parametrize("n", [60, 200, 1000])
def test_no_group_of_the_calibration_gives_a_small_number_away(n):
    people, risk = followed(n, 3)
    table = _calibration(people, pd.DataFrame({"risk": risk}), 10.0)
    if len(table):
        assert table["events"].min() >= FEWEST_EVENTS
        assert (table["n"] - table["events"]).min() >= FEWEST_EVENTS
    assert len(table) <= 10
    assert (n == 1000) <= (len(table) >= 5)


def test_with_too_few_events_no_calibration_is_shown():
    people, risk = followed(30, 3)
    people["state"] = 0
    assert _calibration(people, pd.DataFrame({"risk": risk}), 10.0).empty


def test_people_sampled_later_and_those_whose_sample_failed_are_in_no_part():
    table = pd.DataFrame({"age": 50.0}, index=pd.Index([1, 2, 3, 4, 5], name="person_id"))
    joined = Genotyped(None, pd.Series([1, 2, 3], index=["a", "b", "c"]), pd.DataFrame())
    others = Genotyped(None, pd.Series([1, 2], index=["a", "b"]), pd.DataFrame())
    parts = np.array(["target", "validation"], dtype=object)
    found = people_at_risk(table, joined, others, parts, sampled_later=pd.Series([2]))
    assert found["part"].to_dict() == {1: "target", 4: "region", 5: "region"}


def test_a_patient_is_told_where_the_gain_of_the_score_may_be_chance() -> None:
    from types import SimpleNamespace
    from typing import Any

    from workflows.patient_contents import _about_score

    score: Any = SimpleNamespace(weights=pd.DataFrame({"weight": [0.1, 0.2]}))
    gain = pd.DataFrame({"difference": [0.01], "low": [-0.01], "high": [0.03]}, index=["c_index"])
    assert "the gain may be chance" in _about_score(score, gain)[0]
    assert _about_score(score, gain.assign(low=0.002)) == ("The genetic score adds up 2 variants.",)
