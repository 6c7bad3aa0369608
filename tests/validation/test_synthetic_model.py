"""The region's people live by the stated hazards, and independent methods find the planted effects."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd
import pytest

from cohorts.synthetic.config import RegionConfig
from cohorts.synthetic.disease import covariates, draw_lives, levels, yearly_hazard
from cohorts.synthetic.effects import ARCHITECTURES, TRAITS
from cohorts.synthetic.hazards import DISEASES, LEVELS
from cohorts.synthetic.people import YEAR, draw_births, settle
from cohorts.synthetic.places import make_places
from cohorts.synthetic.tables import NEVER, day

CONFIG = RegionConfig(people=12_000, genotyped=100, variants=1000, seed=17)
FIRST, LAST = 2000, 2022


@pytest.fixture(scope="module")
def life():
    """Everybody of a region without genotypes: genetic values straight from their distribution."""
    places = make_places(CONFIG)
    none = np.full(CONFIG.people, -1, np.int32)
    people = settle(draw_births(CONFIG), none, none, places, CONFIG)
    sd = [np.sqrt(item.genetic_variance) * item.sd for item in ARCHITECTURES.values()]
    genetic = (CONFIG.rng("test").normal(size=(CONFIG.people, len(TRAITS))) * sd).astype(np.float32)
    return people, draw_lives(people, genetic, places, CONFIG, CONFIG.rng("life")), places


def _person_years(life, disease: str) -> pd.DataFrame:
    """One row a person and calendar year at risk: exposure, event, stated hazard and covariates."""
    people, lives, places = life
    onset = lives.onset[disease].astype(np.int64)
    rows = []
    for year in range(FIRST, LAST + 1):
        first, after = day(date(year, 1, 1)), day(date(year + 1, 1, 1))
        entry = np.maximum(people.birth, first)
        end = np.minimum(np.minimum(onset, after), lives.death)
        risk = (end > entry) & (onset >= entry)
        values = covariates(year, people, lives, places)
        age = ((first + after) / 2 - people.birth) / YEAR
        table = {name: np.asarray(value)[risk] for name, value in values.items()}
        rate = yearly_hazard(DISEASES[disease], age, values, people, lives)
        rows.append(
            pd.DataFrame(
                {
                    **table,
                    "age": age[risk],
                    "years": (end - entry)[risk] / YEAR,
                    "event": (onset < after)[risk] & (onset <= end)[risk],
                    "hazard": rate[risk],
                    "liability": lives.liability[disease][risk],
                }
            )
        )
    return pd.concat(rows, ignore_index=True)


@pytest.mark.parametrize("disease", ["t2d", "chd", "asthma"])
def test_events_come_as_often_as_the_stated_hazards_say(life, disease):
    rows = _person_years(life, disease)
    expected = float((rows["hazard"] * rows["years"]).sum())
    observed = int(rows["event"].sum())
    assert abs(observed - expected) < 4 * np.sqrt(expected)
    # and in the right people: within fifths of the hazard too
    fifth = pd.qcut(rows["hazard"], 5, labels=False, duplicates="drop")
    parts = rows.assign(expected=rows["hazard"] * rows["years"]).groupby(fifth)[["event", "expected"]].sum()
    z = (parts["event"] - parts["expected"]) / np.sqrt(parts["expected"] + 1)
    assert (z.abs() < 4).all()


def test_poisson_regression_gives_back_the_stated_coefficients_of_coronary_disease(life):
    """Piecewise exponential likelihood (statsmodels), fitted without knowing the coefficients."""
    import statsmodels.api as sm

    hazard = DISEASES["chd"]
    rows = _person_years(life, "chd")
    rows = rows[rows["age"] > 30]
    known = np.interp(rows["age"], list(hazard.age), list(hazard.age.values()))
    ancestry = np.log(rows["hazard"]) - known - rows["liability"]
    names = [*hazard.terms, "liability"]
    from cohorts.synthetic.hazards import CENTRES

    stated = np.array([*hazard.terms.values(), 1.0])
    centred = rows[list(hazard.terms)] - pd.Series(CENTRES)[list(hazard.terms)]
    ancestry = ancestry - hazard.intercept - (centred * pd.Series(hazard.terms)).sum(axis=1)
    design = sm.add_constant(pd.concat([centred, rows["liability"]], axis=1).astype(float))
    offset = known + ancestry + np.log(rows["years"])
    fit = sm.GLM(rows["event"].astype(float), design, family=sm.families.Poisson(), offset=offset).fit()
    z = (fit.params[names] - stated) / fit.bse[names]
    assert (z.abs() < 4).all(), z.round(2).to_dict()
    assert abs(fit.params["const"] - hazard.intercept) < 4 * fit.bse["const"]
    assert fit.params["liability"] > 0.7


def test_cox_regression_on_the_truth_finds_the_liability_of_diabetes(life):
    """Age as time scale with delayed entry (lifelines); BMI enters with its stated log hazard ratio."""
    from lifelines import CoxPHFitter

    people, lives, _ = life
    index = day(CONFIG.index_date)
    adult = ((index - people.birth) > 30 * YEAR) & (lives.death > index) & (lives.onset["t2d"] > index)
    who = np.flatnonzero(adult)
    end = np.minimum(np.minimum(lives.death[who], day(CONFIG.end_date)), lives.onset["t2d"][who])
    table = pd.DataFrame(
        {
            "entry": (index - people.birth[who]) / YEAR,
            "exit": np.maximum(end, index + 1) / YEAR - people.birth[who] / YEAR,
            "event": lives.onset["t2d"][who] <= end,
            "liability": lives.liability["t2d"][who],
            "bmi": levels("bmi", who, np.full(len(who), index, np.int32), people, lives),
            "male": people.male[who].astype(float),
            "sas": (people.ancestry[who] == 1).astype(float),
            "afr": (people.ancestry[who] == 2).astype(float),
            "eas": (people.ancestry[who] == 3).astype(float),
        }
    )
    fit = CoxPHFitter().fit(table, "exit", "event", entry_col="entry").summary
    stated = {"liability": 1.0, "bmi": 0.11, "male": 0.35, "sas": 0.8}
    for name, value in stated.items():
        assert abs(fit.loc[name, "coef"] - value) < 4 * fit.loc[name, "se(coef)"], name
    assert table["event"].sum() > 300


def test_rates_resemble_england(life):
    people, lives, _ = life
    end = day(CONFIG.end_date)
    alive = (lives.death > end) & (people.leave > end) & ((end - people.birth) > 18 * YEAR)
    assert 0.085 < (lives.onset["t2d"] < NEVER)[alive].mean() < 0.12
    index = day(CONFIG.index_date)
    older = (
        (lives.death > index)
        & (people.arrive < index)
        & ((index - people.birth) > 40 * YEAR)
        & (lives.onset["chd"] > index)
    )
    assert 0.075 < (lives.onset["chd"][older] < index + 3653).mean() < 0.115
    age = (index - people.birth) / YEAR
    here = (lives.death > index) & (people.arrive < index) & (people.birth < index)
    share = np.histogram(age[here], [0, 20, 40, 60, 80, 120])[0] / here.sum()
    # Office for National Statistics, mid-2011, to the nearest hundredth
    assert np.abs(share - [0.24, 0.27, 0.27, 0.18, 0.045]).max() < 0.035


def test_levels_have_the_stated_spread_and_genes_their_share(life):
    people, lives, _ = life
    index = day(CONFIG.index_date)
    who = np.flatnonzero(((index - people.birth) > 40 * YEAR) & (lives.death > index))
    days = np.full(len(who), index, np.int32)
    for trait in ("ldl", "bmi"):
        own = lives.own[trait][who]
        noise = LEVELS[trait].noise
        assert np.sqrt(own.var() + noise**2) == pytest.approx(ARCHITECTURES[trait].sd, rel=0.05)
        genes = lives.genetic[who, TRAITS.index(trait)]
        share = np.corrcoef(own, genes)[0, 1] ** 2 * own.var() / ARCHITECTURES[trait].sd ** 2
        assert share == pytest.approx(ARCHITECTURES[trait].genetic_variance, abs=0.03)
    treated = lives.treated["statin"][who] <= index
    untreated_level = lives.own["ldl"][who]
    measured = levels("ldl", who, days, people, lives)
    assert np.mean((measured / untreated_level)[treated]) == pytest.approx(0.68, abs=0.06)
    diabetic = lives.onset["t2d"][who] < index
    hba1c = levels("hba1c", who, days, people, lives)
    assert np.mean(hba1c[~diabetic & (lives.onset["t1d"][who] > index)] >= 48) < 0.005
    assert np.median(hba1c[diabetic]) > 48


def test_planted_loci_are_found_by_regression_on_the_written_file(tmp_path):
    """Read the file as a stranger would: BED, then ordinary least squares of own level on dosage."""
    from gwas.genotypes import open_genotypes
    from workflows.synth import write_region

    paths = write_region(RegionConfig(people=6000, genotyped=2000, variants=3000, seed=9), tmp_path)
    genotypes = open_genotypes(paths.genotypes)
    samples = pd.read_parquet(paths.truth / "samples.parquet")
    people = pd.read_parquet(paths.truth / "people.parquet").set_index("true_person")
    variants = pd.read_parquet(paths.truth / "variants.parquet")
    good = (samples["fault"] == "none").to_numpy()
    own = people.loc[samples["true_person"][good]]
    at = genotypes.variants.reset_index().set_index("id")["index"]
    z = []
    for row in variants[variants["large"] & variants["trait"].isin(["ldl", "bmi", "egfr"])].itertuples():
        block = next(iter(genotypes.select(variants=[int(at[row.id])]).blocks()))
        dosage = block.dosages()[0][good].astype(float)
        seen = dosage >= 0
        level = own[f"own_{row.trait}"].to_numpy()
        # ancestry shifts both allele and level
        ancestry = pd.get_dummies(own["ancestry"]).to_numpy(float)
        design = np.column_stack([dosage, ancestry])[seen]
        beta, residual, *_ = np.linalg.lstsq(design, level[seen], rcond=None)
        variance = residual[0] / (seen.sum() - design.shape[1])
        se = np.sqrt(variance * np.linalg.inv(design.T @ design)[0, 0])
        z.append((beta[0] - row.effect) / se)
        assert abs(beta[0] / se) > 2
    # neighbours on the same chromosome carry background effects, hence a little more spread than 1
    assert np.abs(z).max() < 4.5
    assert np.mean(np.square(z)) < 3
