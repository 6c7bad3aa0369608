"""Every entry of the catalogue against the planted truth of a synthetic region.

The catalogue was not tuned to the generator. What is asked of an entry is stated from its own side: it must find
nearly all of those of whom anything was written down, and its cases must nearly all be ill. How many are never
written down is the generator's choice (``cohorts.synthetic.condition_gp.RECORDING``), and no definition finds
them. The figures are in tests/validation/README.md; ``python -m tests.validation.test_phenotypes_truth`` makes them.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from cohorts.hub import connect
from cohorts.synthetic.condition_codes import GP_READ2, GP_SNOMED, ICD10, OPCS4
from cohorts.synthetic.config import RegionConfig
from phenotypes import derive, library
from phenotypes.accuracy import accuracy
from phenotypes.code_systems import normalised
from phenotypes.misclassification import Accuracy, attenuation, corrected_association
from workflows.synth import write_hub

pytestmark = pytest.mark.slow

CONFIG = RegionConfig(people=24_000, genotyped=100, variants=1000, seed=52, activity=0.5)
INDEX = date(2019, 1, 1)
#: Names of the truth, where they are not those of the catalogue.
PLANTED = {
    "type_1_diabetes": "t1d",
    "type_2_diabetes": "t2d",
    "coronary_disease": "chd",
    "chronic_kidney_disease": "ckd",
    "diabetic_retinopathy": "retinopathy",
    "diabetic_nephropathy": "nephropathy",
    "diabetic_neuropathy": "neuropathy",
    "diabetic_foot_ulcer": "foot_ulcer",
    "diabetic_amputation": "amputation",
    "diabetic_ketoacidosis": "dka",
    "diabetes_cardiovascular_disease": "diabetic_cvd",
}


def _truth(folder: Path, name: str) -> pd.DataFrame:
    return pd.concat([pd.read_parquet(path) for path in sorted((folder / "truth").glob(f"{name}*.parquet"))])


def make(folder: Path) -> SimpleNamespace:
    """The region as a hub, the catalogue derived, and who truly has what while living there."""
    write_hub(CONFIG, folder)
    hub = connect(folder / "hub.duckdb", read_only=True)
    persons = hub.frame("SELECT * FROM people ORDER BY person_id")
    definitions = {name: library.load(name).phenotype for name in library.names()}
    derived = derive(hub, persons, index_date=INDEX, phenotypes=definitions)
    lived = _truth(folder, "people")[["true_person", "left", "death_date"]]
    ill = (
        _truth(folder, "outcomes")
        .merge(_truth(folder, "links"), on="true_person")
        .merge(lived, on="true_person")
    )
    end = pd.Timestamp(CONFIG.end_date)
    ill = ill[ill["onset"] <= ill[["left", "death_date"]].min(axis=1).fillna(end).clip(upper=end)]
    reference = pd.concat(
        [ill[ill["disease"] == PLANTED.get(name, name)].assign(phenotype=name) for name in library.names()]
    )[["phenotype", "person_id", "onset"]]
    spans = hub.frame(
        'SELECT person_id, min(start) AS begun, max("end") AS stopped FROM registrations GROUP BY 1'
    )
    reference = reference.merge(spans, on="person_id")
    # a year of registration before it: whoever brings a disease along is dated by joining, whatever the definition
    begun = reference["begun"].clip(lower=pd.Timestamp(CONFIG.start_date)) + pd.Timedelta(days=365)
    new = reference[(reference["onset"] > begun) & (reference["onset"] < reference["stopped"])]
    columns = ["phenotype", "person_id", "onset"]
    table = accuracy(derived, reference[columns]).set_index("phenotype")
    dated = accuracy(derived, new[columns]).set_index("phenotype")[["dated", "median_days", "within_year"]]
    table[dated.columns] = dated
    table["recorded"] = _recorded(hub, reference)
    return SimpleNamespace(hub=hub, persons=persons, derived=derived, reference=reference, table=table)


def _recorded(hub, reference: pd.DataFrame) -> pd.Series:
    """Share of the ill of whom anything of their disease was ever written down; NaN where codes are not tabled."""
    used = hub.frame("SELECT person_id, source, system, code FROM events WHERE kind <> 'prescription'")
    used = used.drop_duplicates()
    shares = {}
    for name, ill in reference.groupby("phenotype"):
        disease = PLANTED.get(str(name), str(name))
        tables = {"snomed": GP_SNOMED, "read2": GP_READ2, "icd10": ICD10, "opcs4": OPCS4}
        codes = {(s, normalised(s, c)) for s, table in tables.items() for c in table.get(disease, ())}
        if not codes:
            continue
        pairs = used[["system", "code"]].drop_duplicates()
        meant = pairs[
            [(s, normalised(s, c)) in codes for s, c in zip(pairs["system"], pairs["code"], strict=True)]
        ]
        written = used.merge(meant, on=["system", "code"])
        shares[name] = ill["person_id"].isin(written["person_id"]).mean()
    return pd.Series(shares, dtype=float)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return make(tmp_path_factory.mktemp("region"))


#: Entries that miss more of what is written than a few in a hundred, and why they should.
LESS = {
    # low glucose written down by a practice is often mild, and makes no case by definition
    "severe_hypoglycaemia": 0.25,
    # one code of depression in a hospital stay for another reason, or long ago, makes no case
    "depression": 0.08,
}


def test_every_entry_is_measured(world):
    assert set(world.table.index) == set(library.names())
    assert (world.table["true"] >= 60).all()


@pytest.mark.parametrize("name", library.names())
def test_an_entry_finds_those_of_whom_anything_was_written(world, name):
    row = world.table.loc[name]
    if np.isnan(row["recorded"]):
        # practices code 80 % of nephropathy and foot ulcers, the least of these, and hospitals some of the rest
        assert row["sensitivity_high"] > 0.86
    else:
        chance = row["sensitivity_high"] - row["sensitivity"]
        assert row["sensitivity"] > row["recorded"] - LESS.get(name, 0.03) - chance


@pytest.mark.parametrize("name", library.names())
def test_those_an_entry_finds_are_ill(world, name):
    row = world.table.loc[name]
    # what validations of coded diagnoses in British practice records report as good: Herrett and others, Br J Clin
    # Pharmacol 2010; 69: 4-14 (median of 89 % of cases confirmed)
    assert row["ppv"] > 0.85
    assert row["specificity"] > 0.985


@pytest.mark.parametrize("name", library.names())
def test_what_begins_under_observation_is_dated_by_the_year(world, name):
    row = world.table.loc[name]
    # kidney disease and depression are found on the second occasion; diabetes waits for a drug or a value
    slow = {
        "chronic_kidney_disease": 0.35,
        "depression": 0.45,
        "type_2_diabetes": 0.3,
        "diabetic_neuropathy": 0.45,
    }
    assert row["within_year"] > slow.get(name, 0.6)
    assert row["median_days"] >= 0


def test_an_allele_of_diabetic_vessels_is_seen_smaller_and_corrected(world):
    """Planted: an allele of frequency 0.3 that doubles the odds, in the entry of the least PPV."""
    name, log_or, rng = "diabetes_cardiovascular_disease", np.log(2.0), np.random.default_rng(8)
    case = world.derived.statuses[name].status == 0
    listed = world.reference.loc[world.reference["phenotype"] == name, "person_id"]
    ill = np.isin(world.derived.person_id, listed)
    known = Accuracy(case[ill].mean(), (~case[~ill]).mean())
    expected = attenuation(0.0, ill.mean(), known)
    # a review of some cases and some others, as a study can afford
    reviewed = [
        rng.choice(np.flatnonzero(found), n, replace=False) for found, n in ((case, 500), (~case, 4000))
    ]
    review = Accuracy.of_review(
        cases=(int(ill[reviewed[0]].sum()), 500),
        others=(int((~ill[reviewed[1]]).sum()), 4000),
        share_of_cases=case.mean(),
    )
    naive, corrected, shrunk, draws = 0, 0, [], 100
    for _ in range(draws):
        odds = 0.3 / 0.7 * np.exp(log_or * ill)
        copies = rng.binomial(2, odds / (1 + odds)).astype(float)
        made = corrected_association(case, copies, known)
        naive += made.naive[0].low < log_or < made.naive[0].high
        corrected += made.corrected[0].low < log_or < made.corrected[0].high
        shrunk.append(made.naive[0].value / log_or)
    assert 0.8 < expected < 0.95
    assert np.mean(shrunk) == pytest.approx(expected, abs=0.02)
    assert naive / draws < 0.75
    # three standard errors of a hundred draws
    assert corrected / draws > 0.95 - 3 * np.sqrt(0.95 * 0.05 / draws)
    by_review = corrected_association(case, copies, review).corrected[0]
    assert by_review.low < log_or < by_review.high


def main() -> None:
    """Print the table of the README."""
    import sys
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        table = make(Path(folder)).table.reset_index()
    columns = [
        "phenotype",
        "true",
        "recorded",
        "sensitivity",
        "ppv",
        "specificity",
        "median_days",
        "within_year",
    ]
    sys.stdout.write(table[columns].round(3).to_string(index=False) + "\n")


if __name__ == "__main__":
    main()
