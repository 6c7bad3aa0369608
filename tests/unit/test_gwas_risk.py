"""Absolute risk with competing death: limits, twins, contributions, abstention, leaks."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pandas as pd
import pytest

from cohorts.errors import DesignError
from gwas.absolute import hazards_until
from gwas.cox import fit_cox
from gwas.incidence import aalen_johansen
from gwas.risk import RiskModel, check_splits, fit_risk


def region(n: int = 1500, seed: int = 1, *, death: float = 0.02) -> pd.DataFrame:
    """People with two competing exponential hazards that depend on age, sex and a score."""
    rng = np.random.default_rng(seed)
    age, sex = rng.uniform(40, 75, n), rng.choice(["F", "M"], n)
    smoker, score = (rng.random(n) < 0.3).astype(float), rng.normal(size=n)
    eta = 0.04 * (age - 55) + 0.4 * (sex == "M") + 0.6 * smoker + 0.5 * score
    first = rng.exponential(1 / (0.02 * np.exp(eta)))
    second = rng.exponential(1 / (death * np.exp(0.08 * (age - 55))))
    censored = np.minimum(rng.uniform(8, 16, n), 12)
    time = np.minimum(np.minimum(first, second), censored)
    state = np.select([time == first, time == second], [1, 2], 0)
    return pd.DataFrame(
        {"person_id": np.arange(n) + 1000, "age": age, "sex": sex, "smoker": smoker, "score": score,
         "years": time, "state": state}
    )  # fmt: skip


FACTORS = ["age", "sex", "smoker", "score"]


@pytest.fixture(scope="module")
def people() -> pd.DataFrame:
    return region()


@pytest.fixture(scope="module")
def model(people: pd.DataFrame) -> RiskModel:
    return fit_risk(people, factors=FACTORS, discovery=[1, 2, 3])


def test_risk_equals_a_plain_loop_over_event_times(people: pd.DataFrame, model: RiskModel) -> None:
    assert model.event is not None
    assert model.competing is not None
    person = people.assign(sex=(people["sex"] == "M").astype(float)).iloc[7]
    x = person[FACTORS].to_numpy(dtype=float)
    rates = [np.exp(x @ fit.coefficients) for fit in (model.event, model.competing)]
    alive, risk = 1.0, 0.0
    for t in sorted({*model.event.times, *model.competing.times}):
        if t > 10:
            break
        steps = [
            rate * fit.baseline[fit.times == t].sum()
            for rate, fit in zip(rates, (model.event, model.competing), strict=True)
        ]
        leave = 1 - np.exp(-sum(steps))
        risk += alive * leave * steps[0] / sum(steps)
        alive *= 1 - leave
    assert model.predict(people).loc[7, "risk"] == pytest.approx(risk, rel=1e-12)


def test_without_factors_the_risk_is_aalen_johansens() -> None:
    people = region(4000, 2)
    time, state = people["years"].to_numpy(), people["state"].to_numpy()
    none = np.zeros((len(people), 0))
    hazards = hazards_until(fit_cox(none, time, state == 1), fit_cox(none, time, state == 2), 10)
    risk, variance = hazards.risk_and_variance(np.zeros((1, 0)), np.zeros((1, 0)))
    observed, _, _ = aalen_johansen(time, state).at(10)
    assert risk[0] == pytest.approx(observed, abs=2e-4)
    curve = aalen_johansen(time, state)
    k = np.searchsorted(curve.times, 10) - 1
    assert variance[0] == pytest.approx(curve.variance[k], rel=0.01)


def test_competing_death_lowers_the_risk(people: pd.DataFrame, model: RiskModel) -> None:
    assert model.event is not None
    both = model.predict(people)["risk"].to_numpy()
    x = people.assign(sex=(people["sex"] == "M").astype(float))[FACTORS].to_numpy()
    alone = hazards_until(model.event, None, 10).risk(x @ model.event.coefficients, np.zeros(len(x)))
    assert (both < alone).all()


def test_variance_agrees_with_the_bootstrap() -> None:
    people = region(900, 3)
    probe = people.iloc[:5]
    rng = np.random.default_rng(4)
    drawn = []
    for _ in range(150):
        again = people.iloc[rng.integers(0, len(people), len(people))].reset_index(drop=True)
        drawn.append(
            fit_risk(again.drop(columns="person_id"), factors=FACTORS).predict(probe)["risk"].to_numpy()
        )
    spread = np.std(np.log(-np.log1p(-np.array(drawn))), axis=0)
    told = fit_risk(people, factors=FACTORS).predict(probe)
    width = np.log(np.log1p(-told["high"]) / np.log1p(-told["low"])) / (2 * 1.96)
    np.testing.assert_allclose(width, spread, rtol=0.25)


def test_interval_holds_the_risk_and_shorter_horizons_have_less(
    people: pd.DataFrame, model: RiskModel
) -> None:
    ten, five = model.predict(people), model.predict(people, 5)
    assert ((ten["low"] < ten["risk"]) & (ten["risk"] < ten["high"])).all()
    assert (five["risk"] < ten["risk"]).all()
    with pytest.raises(DesignError, match="beyond"):
        model.predict(people, 15)


def test_contributions_add_up_from_the_average_to_the_person(people: pd.DataFrame, model: RiskModel) -> None:
    row = people.iloc[11]
    told = model.contributions(row)
    average = model.average(row["age"], row["sex"])
    assert told.reference == pytest.approx(average.risk, rel=1e-12)
    assert told.risk == pytest.approx(model.predict(people).loc[11, "risk"], rel=1e-12)
    assert told.parts["points"].sum() == pytest.approx(100 * (told.risk - told.reference), abs=1e-10)
    assert set(told.parts["group"]) == {"smoker", "score"}


def test_contributions_equal_the_average_over_every_order(people: pd.DataFrame, model: RiskModel) -> None:
    row, reference = people.iloc[3], people.iloc[100:120].reset_index(drop=True)
    told = model.contributions(row, reference, groups={"body": ["age", "sex"]})
    groups = {"body": ["age", "sex"], "smoker": ["smoker"], "score": ["score"]}
    points = dict.fromkeys(groups, 0.0)
    for order in permutations(groups):
        mixed = reference.copy()
        last = model.predict(mixed)["risk"].mean()
        for name in order:
            for factor in groups[name]:
                mixed[factor] = row[factor]
            now = model.predict(mixed)["risk"].mean()
            points[name] += 100 * (now - last) / 6
            last = now
    expected = told.parts.set_index("group")["points"]
    for name, value in points.items():
        assert expected[name] == pytest.approx(value, abs=1e-10)


def test_average_is_the_mean_over_people_alike(people: pd.DataFrame, model: RiskModel) -> None:
    average = model.average(60, "F")
    alike = people[(people["sex"] == "F") & ((people["age"] - 60).abs() <= average.band)]
    mean = model.predict(alike.assign(age=60.0))["risk"].mean()
    assert average.n == len(alike)
    assert average.risk == pytest.approx(mean, rel=1e-12)
    assert average.low < average.risk < average.high
    assert np.isnan(model.average(95, "F").risk)


def test_missing_and_outlying_factors_get_a_status(people: pd.DataFrame, model: RiskModel) -> None:
    odd = people.iloc[:2].copy()
    odd.loc[0, "score"] = np.nan
    odd.loc[1, "age"] = 99.0
    told = model.predict(odd)
    assert told["status"].tolist() == ["missing: score", "outside: age"]
    assert told["risk"].isna().tolist() == [True, False]


def test_people_with_missing_factors_are_counted_not_lost(people: pd.DataFrame) -> None:
    holes = people.copy()
    holes.loc[:99, "score"] = np.nan
    flow = fit_risk(holes, factors=FACTORS).flow
    assert flow["people"].tolist() == [1500, 1500, 1400]


def test_few_events_make_it_shrink_then_abstain(people: pd.DataFrame) -> None:
    events = people.index[people["state"] == 1]

    def keep(n: int) -> RiskModel:
        return fit_risk(people.drop(events[n:]), factors=FACTORS)

    shrunk, none = keep(36), keep(15)  # one of them after ten years
    assert shrunk.status == "shrunk"
    assert 0.5 <= shrunk.shrinkage < 1
    assert (none.status, none.reason) == ("abstained", "too few events for 4 factors; at least 20 are needed")
    told = none.predict(people)
    assert told["risk"].isna().all()
    assert set(told["status"]) == {"abstained"}
    with pytest.raises(DesignError, match="abstained"):
        none.contributions(people.iloc[0])


def test_short_follow_up_or_a_constant_factor_is_a_reason_to_abstain(people: pd.DataFrame) -> None:
    short = people.assign(years=people["years"].clip(upper=6))
    assert "nobody was followed for 10 years" in fit_risk(short, factors=FACTORS).reason
    assert fit_risk(people.assign(smoker=0.0), factors=FACTORS).reason.endswith("in: smoker")


def test_no_deaths_is_no_obstacle() -> None:
    people = region(800, 5)
    people.loc[people["state"] == 2, "state"] = 0
    model = fit_risk(people, factors=FACTORS)
    assert model.competing is None
    assert model.predict(people)["risk"].between(0, 1).all()


def test_shared_people_are_refused_without_naming_them(people: pd.DataFrame) -> None:
    with pytest.raises(DesignError, match="discovery and target share people; found 1 in both") as caught:
        fit_risk(people, factors=FACTORS, discovery=[1001])
    assert "1001" not in str(caught.value)
    with pytest.raises(DesignError, match="target and validation share"):
        check_splits(discovery=[1], target=[2, 3], validation=[3])


def test_a_person_twice_and_a_word_for_a_factor_are_refused(people: pd.DataFrame) -> None:
    with pytest.raises(DesignError, match="a person comes twice"):
        fit_risk(pd.concat([people, people.iloc[:1]]), factors=FACTORS)
    with pytest.raises(DesignError, match="smoker: a factor is not numeric"):
        fit_risk(people.assign(smoker="often"), factors=FACTORS)
    with pytest.raises(DesignError, match="columns are absent; found bmi"):
        fit_risk(people, factors=[*FACTORS, "bmi"])
