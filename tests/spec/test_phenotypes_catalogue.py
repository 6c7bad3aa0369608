"""The catalogue: every entry is whole, its codes exist, and its worked patients come out as their author says."""

from __future__ import annotations

import gzip
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path

import pandas as pd
import pytest
import yaml
from pydantic import ValidationError

from cohorts.errors import InputError, StudyError
from phenotypes import library
from phenotypes.code_entries import CodeEntry
from phenotypes.codelist import CodeList
from phenotypes.codelist_lint import lint
from phenotypes.plain_english import explain
from phenotypes.rules import Has, Value, leaves
from phenotypes.terminology import Terminology
from phenotypes.worked import check, check_entry, patients, read_worked

#: What the project promises to have.
PROMISED = {
    "type_1_diabetes", "type_2_diabetes", "hypertension", "coronary_disease", "heart_failure", "stroke",
    "atrial_fibrillation", "chronic_kidney_disease", "asthma", "copd", "lung_cancer", "breast_cancer",
    "prostate_cancer", "colorectal_cancer", "depression", "dementia", "diabetic_retinopathy",
    "diabetic_nephropathy", "diabetic_neuropathy", "diabetic_foot_ulcer", "diabetic_amputation",
    "diabetic_ketoacidosis", "severe_hypoglycaemia", "diabetes_cardiovascular_disease",
}  # fmt: skip
NAMES = library.names()
LISTS = sorted(library.CATALOGUE.glob("*/codes/*.csv"))


def test_the_catalogue_holds_what_was_promised() -> None:
    assert set(NAMES) == PROMISED


@pytest.mark.parametrize("name", NAMES)
def test_worked_patients_come_out_as_expected_on_both_engines(name: str) -> None:
    result = check_entry(library.load(name))
    pd.testing.assert_frame_equal(result[~result["agrees"]], result.iloc[:0])


@pytest.mark.parametrize("name", NAMES)
def test_worked_patients_show_what_can_go_wrong(name: str) -> None:
    entry = library.load(name)
    worked = read_worked(entry.patients)
    wanted = {"typical", "near miss", "excluded", "unknown", "boundary"}
    parts = entry.phenotype.parts.values()
    if any(isinstance(leaf, Value) and leaf.unit for rule in parts for leaf in leaves(rule)):
        wanted |= {"wrong unit"}
    assert wanted <= set(worked.shows.values())
    assert set(worked.expected.values()) == {"case", "control", "excluded", "unknown"}
    assert worked.first_dates, "some case must be dated"


@pytest.mark.parametrize("name", NAMES)
def test_an_entry_says_what_it_is_and_where_it_comes_from(name: str) -> None:
    entry = library.load(name)
    assert library.label_of(name) == entry.spec.label == entry.phenotype.label
    assert all(source.doi or source.url for source in entry.spec.source)
    assert all(band.low < band.high for band in entry.spec.related_bands)
    used = {codes.id for codes in entry.phenotype.codelists()}
    assert used == {codes.id for codes in entry.codelists.values()}, (
        "a list is given and not used, or the reverse"
    )
    assert entry.phenotype.until == "end"
    assert explain(entry.phenotype).startswith(f"{entry.spec.label}. ")


def test_names_of_lists_are_of_one_list_each() -> None:
    stems = [path.stem for path in LISTS]
    assert len(stems) == len(set(stems))


@pytest.mark.parametrize("path", LISTS, ids=lambda path: path.stem)
def test_a_list_has_no_fault_and_holds_no_term(path: Path) -> None:
    # Among others: the check digit of every SNOMED CT identifier, shapes, repeats, codes another implies.
    findings = lint(path)
    # Read codes that differ by case alone are meant here, for example the stages 1Z1B and 1Z1b.
    findings = findings[findings["rule"] != "case-pair"]
    assert findings.empty, findings.to_string()
    rows = pd.read_csv(path, dtype=str)
    assert list(rows.columns) == ["system", "code", "label"]
    # A label that many codes share is a remark of ours; a term would be of one code.
    assert (
        rows[rows["system"] == "snomed"]["label"].str.len().max() < 90
        if "snomed" in set(rows["system"])
        else True
    )


def test_every_icd10_code_is_in_the_classification(data_file: Callable[[str], Path]) -> None:
    icd10 = Terminology.read(data_file("codes_icd10_who/icd_10_v2019.claml.xml.gz"))
    entries = [entry for path in LISTS for entry in CodeList.read(path).entries if entry.system == "icd10"]
    assert len(entries) > 150
    assert [str(entry) for entry in entries if entry.code not in icd10] == []


@pytest.mark.parametrize("name", NAMES)
def test_an_entry_means_the_same_whatever_a_study_calls_its_sources(name: str) -> None:
    entry = library.load(name)
    parts = entry.phenotype.parts.values()
    assert [leaf for rule in parts for leaf in leaves(rule) if isinstance(leaf, Has) and leaf.source] == []
    worked = read_worked(entry.patients)
    renamed = {
        who: replace(person, events=tuple(replace(e, source="clinic_7") for e in person.events))
        for who, person in worked.people.items()
    }
    result = check(
        entry.phenotype, renamed, worked.expected, index_date=worked.index_date, data_end=worked.data_end
    )
    assert result["agrees"].all()


#: Of a list, codes of ICD-10-CM that are meant, and codes beside them that are not: where it differs from WHO's.
AMERICAN: dict[str, tuple[str, str]] = {
    "copd": ("J44.0 J44.1 J44.89 J44.9 J43.9", "J44.81 J40 J47.9"),
    "depression": ("F32.A F32.89 F33.41 F34.1", "F32.81 F34.81 F41.2"),
    "ckd_stage_3_to_5": ("N18.30 N18.32 N18.6 I13.11", "N18.2 N18.9 I13.10 I12.9"),
    "dementia": ("G31.83 G31.09 F03.90 F02.81", "G31.84 G31.85 F05 F06.70"),
    "mild_cognitive_impairment": ("G31.84 F06.70", "G31.83 G31.85"),
    "coronary_disease": ("I25.10 I25.709 I21.A1 I25.2", "I26.99 I51.9"),
    "diabetic_retinopathy": ("E11.319 E10.3513 E08.37X1", "E11.36 E11.39 E11.9"),
    "diabetic_foot_ulcer": ("E11.621 E10.52", "E11.622 E11.51 E11.620"),
    "diabetic_poor_circulation": ("E11.51 E13.59", "E11.52 E11.9"),
    "diabetic_ketoacidosis": ("E11.10 E10.11 E09.10", "E11.00 E11.641"),
    "hypoglycaemia": ("E16.2 E11.649", "E11.641 E11.65"),
    "hypoglycaemic_coma": ("E15 E11.641", "E11.649 E11.01"),
    "type_1_diabetes": ("E10.9 E10.21 E10.649 O24.011", "E10.A1 E11.9 E13.9"),
    "diabetes_of_any_type": ("E08.9 E09.21 E10.9 E11.9 E13.9 O24.811", "E10.A0 E16.2 R73.03 O24.410"),
    "other_types_of_diabetes": ("E08.9 E09.9 E13.10", "E10.9 E11.9"),
    "leg_ulcer_or_gangrene": ("I96 L97.511", "R02 L98.499"),
    "late_effects_of_stroke": ("I69.351 Z86.73", "Z86.79 Z86.71"),
    "doubtful_lung_cancer": ("Z85.118 C78.01", "Z85.3 Z85.12"),
}


@pytest.mark.parametrize("name", sorted(AMERICAN))
def test_icd10cm_is_listed_where_it_means_what_the_list_means(name: str) -> None:
    codes = CodeList.read(next(path for path in LISTS if path.stem == name))
    meant, beside = (said.split() for said in AMERICAN[name])
    assert [code for code in meant if not codes.matches("icd10cm", code)] == []
    assert [code for code in beside if codes.matches("icd10cm", code)] == []


def test_lists_of_icd10_of_drugs_and_of_measurements_have_an_american_part() -> None:
    besides = {"bnf": "rxnorm", "icd10": "icd10cm"}
    for path in LISTS:
        systems = {entry.system for entry in CodeList.read(path).entries}
        for system, american in besides.items():
            assert (american in systems) >= (system in systems), f"{path.stem}: no {american}"
    measured = {
        leaf.codelist.name: {entry.system for entry in leaf.codelist.entries}
        for name in NAMES
        for rule in library.load(name).phenotype.parts.values()
        for leaf in leaves(rule)
        if isinstance(leaf, Value)
    }
    assert [name for name, systems in measured.items() if "loinc" not in systems] == []


def test_every_icd10cm_code_is_in_the_tables_of_others(data_file: Callable[[str], Path]) -> None:
    """Those of PheWAS and of the comorbidity software of the American government."""
    packed = gzip.decompress(data_file("codes_phecode/phecode_map.rda").read_bytes())
    known = {code.decode() for code in re.findall(rb"[A-Z][0-9][0-9A-Z](?:\.[0-9A-Z]{1,4})?", packed)}
    ahrq = data_file("codes_comorbidity/ELIXHAUSER_AHRQ_ICD10.csv").read_text(encoding="utf-8")
    known |= set(re.findall(r"[A-Z][0-9][0-9A-Z]{1,5}", ahrq))
    plain = sorted({code.replace(".", "") for code in known})
    entries = [e for path in LISTS for e in CodeList.read(path).entries if e.system == "icd10cm"]
    assert len(entries) > 200
    listed = CodeList("any", tuple(sorted(set(entries))))
    met = {listed.entries[i] for _, i in listed.found_in("icd10cm", plain)}
    unmet = {e.text for e in listed.entries if e not in met and not any(_begins(e, w) for w in met)}
    # status codes have no phecode
    assert unmet <= {"Z894*", "Z895*", "Z896*"}


def _begins(entry: CodeEntry, other: CodeEntry) -> bool:
    """Whether another entry means all that an entry means, or a part of it."""
    return other.code.startswith(entry.code) and entry.prefix


def test_the_published_patients_of_type_2_diabetes_keep_their_answers() -> None:
    worked = read_worked(library.load("type_2_diabetes").patients)
    cases = {f"published {n:03d}": worked.expected[f"published {n:03d}"] == "case" for n in range(1, 12)}
    no_case = {1, 2, 5, 8}
    assert cases == {f"published {n:03d}": n not in no_case for n in range(1, 12)}


def test_a_first_tablet_after_the_last_day_moves_no_date_of_type_2_diabetes() -> None:
    entry = library.load("type_2_diabetes")
    worked = read_worked(entry.patients)
    who = "diagnosis and value, treated years later"
    patient = {who: worked.people[who]}
    for last in (date(2014, 12, 31), worked.data_end):
        found = check(
            entry.phenotype, patient, {who: "case"}, index_date=worked.index_date, data_end=last,
            first_dates={who: date(2014, 10, 12)},
        )  # fmt: skip
        assert found["agrees"].all(), (last, found)


def test_every_alternative_of_a_definition_is_met_by_a_worked_patient() -> None:
    from phenotypes.reference import evaluate
    from phenotypes.rules import AnyOf

    for name in NAMES:
        entry = library.load(name)
        worked = read_worked(entry.patients)
        rule = entry.phenotype.rule
        for part in rule.parts if isinstance(rule, AnyOf) else (rule,):
            met = [
                who
                for who, person in worked.people.items()
                if evaluate(part, person.events, worked.index_date, person).holds
            ]
            assert met, f"{name}: nobody shows {part}"


def test_an_entry_that_does_not_exist_is_told_with_the_nearest() -> None:
    with pytest.raises(StudyError, match="did you mean 'type_2_diabetes'"):
        library.load("type2_diabetes")


def _copy(tmp_path: Path, name: str = "copd") -> Path:
    return Path(shutil.copytree(library.CATALOGUE / name, tmp_path / name))


def test_a_folder_of_ones_own_is_read_in_the_same_form(tmp_path: Path) -> None:
    folder = _copy(tmp_path)
    assert library.read_entry(folder).phenotype.id == library.load("copd").phenotype.id
    assert library.read_entry(folder / "definition.yaml").name == "copd"


@pytest.mark.parametrize(
    ("old", "new", "error", "message"),
    [
        ("{has: copd,", "{has: cpod,", StudyError, "definition.yaml: .*did you mean 'copd'"),
        ("{has: copd,", "{has: copd, at_leest: 2,", StudyError, "definition.yaml: any.0.at_leest"),
        ("source:", "sauce:", StudyError, "definition.yaml: source: Field required"),
        ("changes: >-", "changes: [", InputError, "definition.yaml:[0-9]+: not valid YAML"),
        ("any:", "uses: {copd: copd/copd}\nany:", StudyError, "stands in codes and in uses"),
        ("any:", "uses: {other: copd/nothing}\nany:", StudyError, "no such list in the catalogue"),
    ],
)
def test_a_fault_in_a_definition_is_told_with_file_and_key(
    tmp_path: Path, old: str, new: str, error: type[Exception], message: str
) -> None:
    file = _copy(tmp_path) / "definition.yaml"
    text = file.read_text(encoding="utf-8")
    assert text.count(old) >= 1
    file.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(error, match=message):
        library.read_entry(file)


def test_a_fault_in_worked_patients_is_told_with_the_patient(tmp_path: Path) -> None:
    file = tmp_path / "patients.yaml"
    content = {
        "index_date": date(2012, 1, 1),
        "data_end": date(2022, 12, 31),
        "patients": {
            "amy": {"is": "case", "shows": "typical", "records": [{"date": date(2012, 1, 1), "code": "E11"}]}
        },
    }
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    with pytest.raises(StudyError, match="patients.yaml: amy, record 1: a record cannot be read"):
        read_worked(file)


def test_a_definition_that_does_something_else_is_found_out(tmp_path: Path) -> None:
    folder = _copy(tmp_path)
    file = folder / "definition.yaml"
    file.write_text(
        file.read_text(encoding="utf-8").replace("{has: copd,", "{has: copd, before: index,"), "utf-8"
    )
    result = check_entry(library.read_entry(folder)).set_index("patient")
    assert not result.loc["on the last day of the data", "agrees"]
    assert result.loc["on the last day of the data", "found"] == "excluded"


def test_a_study_takes_a_definition_from_the_catalogue_and_changes_it() -> None:
    spec = library.CatalogueSpec.model_validate(
        {"catalogue": "heart_failure", "none": [{"has": "cancer"}], "until": "index"}
    )
    assert spec.label == "Heart failure"
    cancer = CodeList.of("cancer", [("icd10", "C50*")])
    phenotype = spec.build({"cancer": cancer}, "hf")
    entry = library.load("heart_failure").phenotype
    assert (phenotype.name, phenotype.rule) == ("hf", entry.rule)
    assert phenotype.exclude_controls == entry.exclude_controls
    people = patients(
        """
        who    | date       | code
        before | 2011-12-31 | snomed 84114007
        after  | 2012-01-01 | snomed 84114007
        both   | 2011-12-31 | snomed 84114007
        both   | 2011-12-31 | icd10 C50
        """
    )
    expected = {"before": "case", "after": "control", "both": "excluded"}
    result = check(phenotype, people, expected, index_date=date(2012, 1, 1), data_end=date(2022, 12, 31))
    assert result["agrees"].all()


def test_an_entry_with_nothing_changed_is_the_entry() -> None:
    spec = library.CatalogueSpec.model_validate({"catalogue": "type_2_diabetes"})
    assert spec.build({}, "t2d").id == library.load("type_2_diabetes").phenotype.id


def test_a_study_that_names_no_entry_is_refused_with_the_nearest() -> None:
    with pytest.raises(ValidationError, match="no such entry in the catalogue.*did you mean 'asthma'"):
        library.CatalogueSpec.model_validate({"catalogue": "astma"})


def test_the_wheel_ships_every_file_of_the_catalogue() -> None:
    builders = pytest.importorskip("hatchling.builders.wheel")
    builder = builders.WheelBuilder(str(library.CATALOGUE.parents[1]))
    shipped = {file.distribution_path for file in builder.recurse_included_files()}
    ours = {f"phenotypes/{p.relative_to(library.CATALOGUE.parent)}" for p in library.CATALOGUE.rglob("*.*")}
    assert len(ours) > 100
    assert ours <= shipped
