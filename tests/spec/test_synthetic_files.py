"""A written region: the files, columns, faults and truth that the other rooms rely on."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cohorts.errors import InputError
from cohorts.hub import HUB_TABLES, connect
from cohorts.synthetic.config import RegionConfig
from gwas.genotypes import open_genotypes
from workflows.synth import write_hub, write_region

CONFIG = RegionConfig(people=2000, genotyped=500, variants=2000, seed=21, chunk=700)
_SMALL = RegionConfig(people=400, genotyped=100, variants=800, seed=3, chunk=250)
_PATIENTS = {"patient_id", "nhs_number", "given_name", "family_name", "birth_date", "sex", "postcode"}
_DIAGNOSES = [f"diag_{k}" for k in range(1, 7)]
_COLUMNS = {
    "gp_registrations.csv": {"patient_id", "practice", "start", "end"},
    "gp_events.parquet": {"patient_id", "date", "system", "code", "value", "unit"},
    "gp_prescriptions.parquet": {"patient_id", "date", "system", "code"},
    "gp_addresses.csv": {"patient_id", "area", "start", "end"},
    "hospital_admissions.csv": {
        "patient_id",
        "admission_date",
        "discharge_date",
        *_DIAGNOSES,
        "opcs_1",
        "opcs_2",
        "opcs_3",
    },
    "community_contacts.csv": {"patient_id", "date", "system", "code"},
    "social_care_care.csv": {"patient_id", "start", "end", "care_type"},
    "deaths_deaths.csv": {
        "patient_id",
        "date",
        "underlying",
        "contributory_1",
        "contributory_2",
        "contributory_3",
    },
    "biobank_samples.csv": {"patient_id", "sample_id", "collected"},
    "biobank_consents.csv": {"patient_id", "consented", "withdrawn"},
    "optouts.csv": {"nhs_number", "date"},
    "pollution.csv": {"area", "year", "pm25", "no2"},
    "deprivation.csv": {"area", "imd_decile"},
} | {
    f"{source}_patients.csv": _PATIENTS
    for source in ("gp", "hospital", "community", "social_care", "deaths", "biobank")
}
_SOURCES = ("gp", "hospital", "community", "social_care", "deaths", "biobank")


def _read(path: Path) -> pd.DataFrame:
    if path.suffix == ".parquet":
        return pd.read_parquet(path)
    return pd.read_csv(path, dtype=str, keep_default_na=False)


def _digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    return write_region(CONFIG, tmp_path_factory.mktemp("region"))


@pytest.fixture(scope="module")
def tables(paths):
    return {path.name: _read(path) for path in paths.tables.values()}


@pytest.fixture(scope="module")
def truth(paths):
    return {path.stem: pd.read_parquet(path) for path in paths.truth.glob("*.parquet")}


def test_exactly_the_agreed_files_and_columns_are_written(paths, tables):
    assert set(tables) == set(_COLUMNS)
    for name, columns in _COLUMNS.items():
        assert set(tables[name].columns) == columns, name
    assert sorted(path.name for path in paths.genotypes.parent.iterdir()) == [
        "region.bed",
        "region.bim",
        "region.fam",
    ]
    assert {path.name for path in paths.truth.iterdir()} >= {
        "people.parquet",
        "links.parquet",
        "variants.parquet",
        "outcomes.parquet",
        "samples.parquet",
        "bad_variants.parquet",
        "hazards.json",
    }


def test_parquet_extracts_hold_plain_text(tables):
    for name in ("gp_events.parquet", "gp_prescriptions.parquet"):
        assert all(pd.api.types.is_object_dtype(kind) for kind in tables[name].dtypes)


def test_the_same_config_gives_the_same_bytes_and_another_seed_others(tmp_path):
    write_region(_SMALL, tmp_path / "one")
    write_region(_SMALL, tmp_path / "two")
    write_region(RegionConfig(people=400, genotyped=100, variants=800, seed=4, chunk=250), tmp_path / "other")
    one = _digests(tmp_path / "one")
    assert one == _digests(tmp_path / "two")
    other = _digests(tmp_path / "other")
    assert set(one) == set(other)
    assert not set(one.values()) & set(other.values()) - {one["truth/hazards.json"]}


_CHUNKED = RegionConfig(people=1600, genotyped=100, variants=800, seed=5, chunk=200, activity=0.3)


def test_the_bytes_do_not_depend_on_the_number_of_processes(tmp_path):
    write_region(_CHUNKED, tmp_path / "one")
    write_region(_CHUNKED, tmp_path / "two", processes=2)
    assert _digests(tmp_path / "one") == _digests(tmp_path / "two")


def test_all_extracts_may_be_parquet_with_the_same_rows(paths, tables, tmp_path):
    other = write_region(CONFIG, tmp_path, parquet=True)
    assert {path.suffix for path in other.tables.values()} == {".parquet"}
    assert set(other.tables) == set(paths.tables)
    for stem in ("hospital_admissions", "gp_patients", "deaths_deaths", "gp_events"):
        own = pd.read_parquet(other.tables[stem]).fillna("").astype(str)
        pd.testing.assert_frame_equal(own, tables[paths.tables[stem].name].astype(str))
    truth = {path.name: path.read_bytes() for path in paths.truth.iterdir()}
    assert {path.name: path.read_bytes() for path in other.truth.iterdir()} == truth


@pytest.fixture(scope="module")
def hub_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hub")
    write_hub(_CHUNKED, folder, processes=2)
    return folder


def _hub_rows(folder: Path) -> dict[str, pd.DataFrame]:
    with connect(folder / "hub.duckdb", read_only=True) as hub:
        return {name: hub.frame(f"SELECT * FROM {name}") for name in HUB_TABLES}


def test_a_hub_has_the_same_rows_whatever_the_number_of_processes(hub_folder, tmp_path):
    write_hub(_CHUNKED, tmp_path)
    two, one = _hub_rows(hub_folder), _hub_rows(tmp_path)
    for name in HUB_TABLES:
        pd.testing.assert_frame_equal(one[name], two[name])
    assert _digests(hub_folder / "truth") == _digests(tmp_path / "truth")


def test_a_hub_has_the_people_and_the_truth_of_the_extracts_of_its_seed(hub_folder, tmp_path):
    extracts = write_region(_CHUNKED, tmp_path)
    for name in ("people.parquet", "outcomes.parquet", "samples.parquet", "hazards.json"):
        assert (hub_folder / "truth" / name).read_bytes() == (extracts.truth / name).read_bytes(), name
    events = _hub_rows(hub_folder)["events"]
    rows = sum(len(pd.read_parquet(extracts.tables[name])) for name in ("gp_events", "gp_prescriptions"))
    assert (events["source"] == "gp").sum() == pytest.approx(rows, rel=0.05)


def test_rows_of_a_hub_are_in_order_linked_and_normalised(hub_folder):
    rows = _hub_rows(hub_folder)
    events = rows["events"]
    assert events["row_id"].tolist() == list(range(len(events)))
    keys = events[["person_id", "date", "source", "kind", "system", "code"]]
    assert keys.equals(keys.sort_values(list(keys.columns), kind="stable"))
    links = pd.read_parquet(hub_folder / "truth" / "links.parquet")
    assert links["person_id"].is_unique
    assert len(links) == _CHUNKED.people
    for name in ("people", "events", "registrations", "addresses", "deaths", "care", "samples", "consents"):
        assert len(rows[name])
        assert rows[name]["person_id"].isin(links["person_id"]).all(), name
    assert set(events["source"]) < set(rows["sources"]["source"])
    icd10 = events.loc[events["system"] == "icd10", "code"]
    assert not icd10[icd10.str.len() == 4].str.endswith("X").any()
    assert {"I10", "I48"} <= set(icd10)
    assert set(events["kind"]) == {"event", "prescription", "contact", "diagnosis", "procedure", "death"}
    people = rows["people"].set_index("person_id")
    assert (events["date"] >= events["person_id"].map(people["birth_date"])).all()
    assert (rows["registrations"]["start"] < rows["registrations"]["end"]).all()


def test_every_patients_row_is_in_the_links_and_none_else(tables, truth):
    links = truth["links"]
    for source in _SOURCES:
        own = links[links["source"] == source]
        known = tables[f"{source}_patients.csv"]["patient_id"]
        assert own["patient_id"].is_unique
        assert set(own["patient_id"]) == set(known) - {""}
        assert known[known != ""].is_unique
    assert links["true_person"].between(0, CONFIG.people - 1).all()


def test_record_rows_belong_to_patients_of_the_same_source(tables):
    for name, table in tables.items():
        source = next((s for s in sorted(_SOURCES, key=len, reverse=True) if name.startswith(f"{s}_")), None)
        if source is None or name.endswith("patients.csv"):
            continue
        known = set(tables[f"{source}_patients.csv"]["patient_id"])
        assert set(table["patient_id"]) - {""} <= known, name


def test_duplicates_within_a_source_are_one_or_two_in_a_hundred(truth):
    links = truth["links"]
    living = links[links["source"] != "deaths"]
    twice = living.duplicated(["source", "true_person"])
    assert 0.008 < twice.mean() < 0.025
    assert not links[links["source"] == "deaths"].duplicated("true_person").any()


def test_identity_faults_come_at_their_rates(tables, truth):
    people = truth["people"].set_index("true_person")
    hospital = tables["hospital_patients.csv"].merge(
        truth["links"].query("source == 'hospital'"), on="patient_id"
    )
    missing = (hospital["nhs_number"] == "").mean()
    assert 0.03 < missing < 0.075
    born = people["birth_date"].dt.strftime("%Y-%m-%d").reindex(hospital["true_person"]).to_numpy()
    wrong = (hospital["birth_date"] != born).mean()
    assert 0.004 < wrong < 0.035
    assert hospital["family_name"].str.isupper().all()
    assert hospital["sex"].isin(["M", "F", ""]).all()
    community = tables["community_patients.csv"]["nhs_number"]
    assert community[community != ""].str.fullmatch(r"\d{3} \d{3} \d{4}").all()


def test_mistyped_nhs_numbers_exist_and_true_ones_pass_the_check(tables, truth):
    def passes(text: str) -> bool:
        total = sum(int(digit) * (10 - k) for k, digit in enumerate(text[:9]))
        return (11 - total % 11) % 11 == int(text[9])

    rows = pd.concat([tables[f"{source}_patients.csv"] for source in ("gp", "hospital", "biobank")])
    numbers = rows.loc[rows["nhs_number"] != "", "nhs_number"]
    assert numbers.str.fullmatch(r"\d{10}").all()
    good = numbers.map(passes)
    assert 0.98 < good.mean() < 1.0
    assert numbers[good].str.startswith("999").all()
    assert tables["optouts.csv"]["nhs_number"].map(passes).all()


def test_malformed_rows_are_as_many_as_the_truth_says(tables, truth):
    date = re.compile(r"(19|20)\d\d-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])")
    events = tables["gp_events.parquet"]
    found = {
        "blank id": (events["patient_id"] == "").sum(),
        "blank code": (events["code"] == "").sum(),
        "impossible date": (~events["date"].str.fullmatch(date) | (events["date"] == "2013-02-30")).sum(),
        "text in value": (~events["value"].str.fullmatch(r"[0-9.]*")).sum(),
    }
    said = truth["malformed"].query("table == 'gp_events'").set_index("reason")["rows"].to_dict()
    assert {key: int(value) for key, value in found.items()} == said
    assert 0.001 < sum(said.values()) / len(events) < 0.006
    blank = sum((tables[f"{source}_patients.csv"]["patient_id"] == "").sum() for source in _SOURCES)
    patients = truth["malformed"]["table"].str.endswith("_patients")
    assert truth["malformed"].loc[patients, "rows"].sum() == blank


def test_registrations_and_addresses_of_a_patient_do_not_overlap(tables):
    for name in ("gp_registrations.csv", "gp_addresses.csv"):
        table = tables[name]
        good = table[
            (table["patient_id"] != "") & pd.to_datetime(table["start"], errors="coerce").notna()
        ].copy()
        good["end"] = good["end"].replace("", "9999-12-31")
        good = good.sort_values(["patient_id", "start", "end"]).drop_duplicates()
        same = good["patient_id"].eq(good["patient_id"].shift(-1))
        assert (good["end"] <= good["start"].shift(-1))[same].all(), name
        assert (good["start"] < good["end"]).all(), name


def test_nothing_is_dated_before_birth_or_after_death_or_outside_the_calendar(tables, truth):
    people = truth["people"].set_index("true_person")
    links = truth["links"].query("source == 'gp'").set_index("patient_id")["true_person"]
    events = tables["gp_events.parquet"]
    when = pd.to_datetime(events["date"], errors="coerce")
    known = events["patient_id"].isin(links.index) & when.notna()
    who = people.loc[links[events["patient_id"][known]]]
    when = when[known].to_numpy()
    assert (when >= who["birth_date"].to_numpy()).all()
    dead = who["death_date"].notna().to_numpy()
    assert (when[dead] <= who["death_date"].to_numpy()[dead]).all()
    assert when.min() >= np.datetime64(CONFIG.start_date)
    assert when.max() <= np.datetime64(CONFIG.end_date)


def test_units_are_mixed_as_in_real_extracts(tables):
    events = tables["gp_events.parquet"]
    units = events.groupby("code")["unit"].unique().map(set)
    assert {"mmol/L", "mg/dL"} <= units["1022191000000100"]
    assert {"mmol/mol", "%"} <= units["999791000000106"]
    assert "%" in units["1003671000000109"]


def test_everyone_genotyped_has_a_sample_a_consent_and_a_practice(paths, tables, truth):
    fam = open_genotypes(paths.genotypes).samples
    assert list(fam["iid"]) == list(truth["samples"]["sample_id"])
    delivered = tables["biobank_samples.csv"]
    assert set(delivered["sample_id"]) == set(fam["iid"])
    consents = tables["biobank_consents.csv"]
    assert set(delivered["patient_id"]) - {""} <= set(consents["patient_id"])
    withdrawn = (consents["withdrawn"] != "").mean()
    assert 0 < withdrawn < 0.03
    genotyped = set(truth["people"].query("genotyped")["true_person"])
    assert len(genotyped) == CONFIG.genotyped
    assert genotyped <= set(truth["links"].query("source == 'gp'")["true_person"])


def test_all_kinds_of_sample_and_variant_faults_are_planted(truth):
    assert set(truth["samples"]["fault"]) == {
        "none",
        "low_call_rate",
        "contaminated",
        "sex_mismatch",
        "swapped",
        "duplicate_of",
    }
    assert (truth["samples"]["fault"] == "none").mean() > 0.95
    assert set(truth["bad_variants"]["fault"]) == {"low_call", "hwe", "monomorphic"}
    swapped = truth["samples"].query("fault == 'swapped'")
    assert (swapped["labelled_person"] != swapped["true_person"]).all()


def test_effect_alleles_and_frequencies_of_the_truth_are_those_of_the_file(paths, truth):
    genotypes = open_genotypes(paths.genotypes)
    planted = truth["variants"].drop_duplicates("id").head(200)
    own = genotypes.variants.reset_index().set_index("id").loc[planted["id"]]
    assert (own["alt"].to_numpy() == planted["effect_allele"].to_numpy()).all()
    dosages = next(iter(genotypes.select(variants=own["index"].to_numpy()).blocks())).dosages().astype(float)
    dosages[dosages < 0] = np.nan
    assert np.allclose(np.nanmean(dosages, axis=1) / 2, planted["frequency"], atol=1e-12)


def test_chunks_do_not_repeat_or_lose_people(truth):
    assert truth["people"]["true_person"].tolist() == list(range(CONFIG.people))


def test_progress_is_told_in_order_and_ends_at_one(tmp_path):
    heard: list[tuple[str, float]] = []
    write_region(_SMALL, tmp_path, progress=lambda line, share: heard.append((line, share)))
    shares = [share for _, share in heard]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def test_a_region_grown_around_a_file_copies_it_and_knows_its_people(paths, tmp_path):
    grown = write_region(
        RegionConfig(people=1500, seed=2), tmp_path, bfile=paths.genotypes.with_suffix(".bed")
    )
    for suffix in (".bed", ".bim", ".fam"):
        one, two = grown.genotypes.with_suffix(suffix), paths.genotypes.with_suffix(suffix)
        assert one.read_bytes() == two.read_bytes()
    fam = open_genotypes(paths.genotypes).samples
    people = pd.read_parquet(grown.truth / "people.parquet").set_index("true_person")
    samples = pd.read_parquet(grown.truth / "samples.parquet").set_index("sample_id")
    assert len(people) == 1500
    assert list(samples.index) == list(fam["iid"])
    sex = people.loc[samples["true_person"], "sex"].to_numpy()
    assert (sex == fam["sex"].to_numpy()).all()
    assert set(_read(grown.tables["biobank_samples"])["sample_id"]) == set(fam["iid"])
    assert people.loc[samples["true_person"], "genotyped"].all()


def test_a_region_grows_around_real_genotypes(data_file, tmp_path):
    bed = data_file("geno_hapmap3/hapmap3.bed")
    grown = write_region(RegionConfig(people=3000, seed=2), tmp_path, bfile=bed.with_suffix(""))
    assert grown.genotypes.with_suffix(".bed").read_bytes() == bed.read_bytes()
    variants = pd.read_parquet(grown.truth / "variants.parquet")
    assert set(variants["trait"]) >= {"ldl", "t2d", "chd"}
    large = variants[variants["large"]]
    minor = np.minimum(large["frequency"], 1 - large["frequency"])
    assert minor.between(0.2, 0.45).all()


def test_a_missing_genotype_file_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(InputError):
        write_region(RegionConfig(people=1000), tmp_path / "out", bfile=tmp_path / "none")
    assert not (tmp_path / "out").exists()


def test_practices_code_most_of_the_ill_and_few_of_the_well(tables, truth):
    """A region in which every diagnosis is right could not tell a good definition from a bad one."""
    links = truth["links"].query("source == 'gp'").set_index("patient_id")["true_person"]
    ill = set(truth["outcomes"].query("disease == 't2d'")["true_person"]) & set(links)
    events = tables["gp_events.parquet"]
    coded = set(
        links.reindex(events.loc[events["code"].isin(["44054006", "313436004"]), "patient_id"]).dropna()
    )
    assert 0.8 < len(coded & ill) / len(ill) < 0.99
    assert 0.0005 < len(coded - ill) / len(set(links) - ill) < 0.008
