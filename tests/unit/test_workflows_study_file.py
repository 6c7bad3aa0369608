"""A wrong study file is refused with the line, the key, what was found and what was expected."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path
from typing import get_args

import pytest
import yaml

import workflows
from cohorts.errors import StudyError
from gwas.quality import QcPlan
from workflows import run
from workflows.genome_study import GENOME_KEYS, GenomeStudy, QcSpec, study_schema
from workflows.hub_plan import HubPlan, canonical_text
from workflows.run import qc_plan
from workflows.study import Study
from workflows.study_file import check_inputs, read_hub_plan, read_study

DEMO = Path(workflows.__file__).parent / "demo" / "study.yaml"


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "study.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def line_of(text: str, needle: str) -> int:
    return text[: text.index(needle)].count("\n") + 1


def test_the_demo_study_is_valid_and_paths_are_taken_from_its_folder():
    study = read_study(DEMO)
    assert study.input_files()["sources.gp.patients"] == DEMO.parent / "region/extracts/gp_patients.csv"
    assert study.input_files()["genotypes.bed"] == DEMO.parent / "region/genotypes/region.bed"


def test_a_study_is_the_same_wherever_its_folder_lies(tmp_path):
    there = canonical_text(read_study(written(tmp_path, DEMO.read_text())))
    assert there == canonical_text(read_study(DEMO))
    assert str(tmp_path) not in there
    other = DEMO.read_text().replace("seed: 4", "seed: 2")
    assert canonical_text(read_study(written(tmp_path, other))) != there


def test_absolute_paths_are_kept(tmp_path):
    text = DEMO.read_text().replace("path: region/genotypes/region", "path: /data/geno.bed")
    files = read_study(written(tmp_path, text)).input_files()
    assert files["genotypes.fam"] == Path("/data/geno.fam")


def test_a_misspelt_key_is_named_with_its_line_and_the_nearest_right_one(tmp_path):
    text = DEMO.read_text().replace("index_date:", "indexdate:")
    with pytest.raises(StudyError) as caught:
        read_study(written(tmp_path, text))
    message = str(caught.value)
    assert f"study.yaml:{line_of(text, 'indexdate')}: unknown key 'study.indexdate'" in message
    assert "did you mean 'index_date'" in message


def test_a_wrong_value_is_shown_with_what_was_expected(tmp_path):
    text = DEMO.read_text().replace("threshold: 0.95", "threshold: high")
    with pytest.raises(StudyError) as caught:
        read_study(written(tmp_path, text))
    message = str(caught.value)
    assert f"study.yaml:{line_of(text, 'threshold: high')}: 'linkage.threshold' is wrong" in message
    assert "found 'high'" in message
    assert "number" in message


def test_a_missing_key_is_named(tmp_path):
    text = re.sub(r"  key: custodian/project.key\n", "", DEMO.read_text())
    with pytest.raises(StudyError, match=r"key 'privacy\.key' is missing"):
        read_study(written(tmp_path, text))


def test_a_key_given_twice_is_refused_rather_than_silently_overwritten(tmp_path):
    text = DEMO.read_text() + "\nsplit: {discovery: 0.4, target: 0.3, validation: 0.3}\n"
    with pytest.raises(StudyError, match="given twice"):
        read_study(written(tmp_path, text))


def test_a_name_that_the_study_does_not_define_is_refused(tmp_path):
    text = DEMO.read_text().replace("traits: [t2d, chd, ldl, bmi, sbp]", "traits: [t2d, chd, hdl]")
    with pytest.raises(
        StudyError,
        match=r"'association\.traits' is wrong: 'hdl' is not a phenotype or trait of this study, which has bmi",
    ):
        read_study(written(tmp_path, text))


def test_a_code_list_that_the_study_does_not_name_is_refused_at_its_rule(tmp_path):
    text = DEMO.read_text().replace("- {has: coronary_disease}", "- {has: chdd}", 1)
    with pytest.raises(StudyError) as caught:
        read_study(written(tmp_path, text))
    assert f":{line_of(text, 'has: chdd')}: 'phenotypes.chd.any.0.has' is wrong" in str(caught.value)


@pytest.mark.parametrize(
    ("change", "factor"),
    [
        (("until: index", "until: end"), "t2d_before"),
        (("window_days: [null, 0]", "window_days: [null, 1]"), "smoking"),
    ],
)
def test_a_risk_factor_known_only_later_is_refused(tmp_path, change, factor):
    with pytest.raises(StudyError, match=rf"risk\.0\.factors.*{factor}\w* would use records after"):
        read_study(written(tmp_path, DEMO.read_text().replace(*change)))


def test_a_trait_cannot_be_its_own_covariate(tmp_path):
    text = DEMO.read_text().replace("covariates: [age, sex]", "covariates: [age, sex, bmi]")
    with pytest.raises(StudyError, match="bmi cannot explain itself"):
        read_study(written(tmp_path, text))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (("index_date: 2012-01-01", "index_date: 2012-13-01"), "expected a date such as 2012-01-31"),
        (("index_date: 2012-01-01", "index_date: 01/01/2012"), "expected a date such as 2012-01-31"),
        (("age: [18, 100]", "age: [100, 18]"), "youngest age comes first"),
        (("age: [18, 100]", "age: 18"), "expected a list such as"),
        (("years: 10", "years: 30"), "the records end 11.0 years after the index date"),
        (("data_end: 2022-12-31", "data_end: 2002-12-31"), "data_end must be later than index_date"),
        (("unit: mmol/L", "unit: furlongs"), "furlongs"),
        (("study:\n", "study:\n  <<: 3\n"), "cannot"),
        (("study:\n", "study:\n  [a]: 3\n"), "plain word"),
        (("study:\n", "study: !!python/object:os.system\n"), "cannot"),
        (("study:\n", "2012-02-30: x\nstudy:\n"), "unknown key '2012-02-30'"),
    ],
)
def test_a_wrong_value_is_one_line_that_says_what_is_wrong(tmp_path, change, complaint):
    assert change[0] in DEMO.read_text()
    with pytest.raises(StudyError, match=re.escape(complaint)) as caught:
        read_study(written(tmp_path, DEMO.read_text().replace(*change, 1)))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "- a\n", "a: [1\n", "just words"])
def test_what_is_not_a_study_at_all_is_refused(tmp_path, text):
    with pytest.raises(StudyError):
        read_study(written(tmp_path, text))


def test_every_missing_input_is_found_before_the_run(tmp_path):
    path = written(tmp_path, DEMO.read_text())
    with pytest.raises(StudyError, match="sources.gp.patients"):
        check_inputs(read_study(path))


def keys_of(node: yaml.Node, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], int]]:
    found = []
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            found.append(((*path, key.value), key.start_mark.line))
            found += keys_of(value, (*path, key.value))
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            found += keys_of(value, (*path, str(number)))
    return found


def test_misspelling_any_key_of_the_schema_names_its_line(tmp_path):
    lines = DEMO.read_text().splitlines()
    own_names = {"sources", "codelists", "phenotypes", "traits", "exposures", "outcomes", "levels"}
    tried = 0
    for path, line in keys_of(yaml.compose("\n".join(lines))):
        if len(path) > 1 and path[-2] in own_names:
            continue
        mutant = list(lines)
        mutant[line] = re.sub(rf"\b{re.escape(path[-1])}\b(?=:)", f"{path[-1]}zz", mutant[line], count=1)
        if mutant == lines:
            continue
        with pytest.raises(StudyError) as caught:
            read_study(written(tmp_path, "\n".join(mutant)))
        assert re.search(r"study\.yaml:\d+: .*(unknown key|missing|wrong)", str(caught.value)), caught.value
        assert "\n" not in str(caught.value)
        tried += 1
    assert tried > 80


def test_the_schema_describes_every_top_level_key():
    schema = study_schema()
    assert set(yaml.safe_load(DEMO.read_text())) <= set(schema["properties"])
    assert schema["additionalProperties"] is False


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("mendel_rte: 0.1", "unknown key 'qc.mendel_rte'.*did you mean 'mendel_rate'"),
        ("titv: [3, 2]", "lowest ratio comes first"),
        ("reference_column: EUR", "no reference whose column"),
        ("female_below: 0.9", "female_below is above male_above"),
        ("differential_missingness_p: 2", "differential_missingness_p"),
    ],
)
def test_a_wrong_threshold_of_quality_control_is_named_with_its_line(tmp_path, line, message):
    text = DEMO.read_text().replace("  hwe_p: 1.0e-6", f"  {line}")
    with pytest.raises(StudyError, match=message) as caught:
        read_study(written(tmp_path, text))
    assert f"study.yaml:{line_of(text, line)}" in str(caught.value)


def test_every_step_of_quality_control_can_be_declared_and_switched_off(tmp_path):
    steps = [name for name, field in QcSpec.model_fields.items() if type(None) in get_args(field.annotation)]
    text = DEMO.read_text()
    start = text.index("qc:\n")
    declared = "".join(f"  {name}: null\n" for name in steps if name != "reference_column")
    text = text[:start] + "qc:\n" + declared + text[text.index("\nsplit:") :]
    plan = qc_plan(read_study(written(tmp_path, text)))
    off = ("sample_call_rate", "info", "differential_missing_p", "maf", "hwe_p", "mendel_rate", "titv")
    assert all(getattr(plan, name) is None for name in off)


def test_the_reference_of_quality_control_is_an_input_file(tmp_path):
    text = DEMO.read_text().replace("  hwe_p: 1.0e-6", "  reference: ref/eur.afreq")
    study = read_study(written(tmp_path, text))
    assert study.input_files()["qc.reference"] == tmp_path / "ref/eur.afreq"


def test_what_a_study_does_not_declare_is_what_the_function_would_do():
    declared, default = asdict(qc_plan(read_study(DEMO))), asdict(QcPlan(build="GRCh38"))
    assert {name for name in default if declared[name] != default[name]} <= {
        "duplicate_kinship",
        "related_kinship",
    }
    for name in ("duplicate_kinship", "related_kinship"):
        assert declared[name] == pytest.approx(default[name], abs=5e-4)


def test_a_phenotype_may_be_taken_from_the_catalogue_and_changed(tmp_path):
    chosen = "heart_failure: {catalogue: heart_failure}"
    text = DEMO.read_text()
    assert text.count(chosen) == 1
    changed = "heart_failure: {catalogue: heart_failure, until: index, none: [{has: coronary_disease}]}"
    study = read_study(written(tmp_path, text.replace(chosen, changed)))
    assert study.label_of("heart_failure") == "Heart failure"
    assert study.phenotypes["heart_failure"].until == "index"
    for wrong, message in (
        ("heart_failure: {catalogue: heart_failur}", "did you mean 'heart_failure'"),
        ("heart_failure: {catalogue: heart_failure, any: [{has: coronary_disease}]}", "any"),
        (
            "heart_failure: {catalogue: heart_failure, none: [{has: nothing}]}",
            "not a code list of this study",
        ),
    ):
        with pytest.raises(StudyError, match=message) as caught:
            read_study(written(tmp_path, text.replace(chosen, wrong)))
        assert f"study.yaml:{line_of(text, chosen)}" in str(caught.value)


def without_genome(text: str) -> str:
    """The demo study with nothing about genotypes."""
    whole = yaml.safe_load(text)
    return yaml.safe_dump({k: v for k, v in whole.items() if k not in GENOME_KEYS}, sort_keys=False)


def test_a_study_without_genotypes_is_one_of_records_alone(tmp_path):
    alone = read_study(written(tmp_path, without_genome(DEMO.read_text())))
    assert type(alone) is Study
    assert isinstance(read_study(DEMO), GenomeStudy)
    assert not [key for key in alone.input_files() if key.startswith(("genotypes", "genes", "scores", "qc"))]
    assert run.steps(alone) < run.steps(read_study(DEMO)) == run.STEPS


@pytest.mark.parametrize("key", GENOME_KEYS)
def test_what_needs_genotypes_is_refused_without_them_at_its_line(tmp_path, key):
    part = yaml.safe_dump({key: {"genes": "refGene.txt"}.get(key, yaml.safe_load(DEMO.read_text()).get(key))})
    text = without_genome(DEMO.read_text()) + part
    with pytest.raises(StudyError) as caught:
        read_study(written(tmp_path, text))
    message = str(caught.value)
    assert f"study.yaml:{line_of(text, f'{key}:')}: '{key}' needs " in message
    missing = {"genotypes", "association"} - {key}
    assert all(f"no key '{name}'" in message for name in missing)
    assert f"leave out {key} for a study of records alone" in message


def test_the_schema_asks_for_genotypes_only_where_something_needs_them():
    schema = study_schema()
    assert set(schema["required"]) == {"study", "data_use", "privacy", "sources"}
    assert set(schema["dependentRequired"]) == set(GENOME_KEYS)
    assert schema["dependentRequired"]["risk"] == ["genotypes", "association"]
    assert schema["dependentRequired"]["genotypes"] == ["association"]


def test_a_few_keys_are_enough_for_a_hub(tmp_path):
    whole = yaml.safe_load(DEMO.read_text())
    few = {key: whole[key] for key in ("study", "privacy", "sources")}
    few["study"] = {key: whole["study"][key] for key in ("name", "index_date", "data_end")}
    plan = read_hub_plan(written(tmp_path, yaml.safe_dump(few)))
    assert plan.input_files()["sources.gp.patients"] == tmp_path / "region/extracts/gp_patients.csv"
    assert canonical_text(plan) == canonical_text(plan.model_copy())
    with pytest.raises(StudyError, match=r"key '(data_use|study\.title)' is missing"):
        read_study(written(tmp_path, yaml.safe_dump(few)))


def test_a_hub_does_not_depend_on_what_else_the_file_says(tmp_path):
    whole = read_hub_plan(DEMO)
    assert type(whole) is HubPlan
    other = DEMO.read_text().replace("traits: [t2d, chd, ldl, bmi, sbp]", "traits: [nonsense]")
    assert canonical_text(read_hub_plan(written(tmp_path, other))) == canonical_text(whole)
    with pytest.raises(StudyError, match="unknown key 'phenotype'; .*did you mean 'phenotypes'"):
        read_hub_plan(written(tmp_path, other.replace("\nphenotypes:", "\nphenotype:")))
    with pytest.raises(StudyError, match="unknown key 'study.titel'"):
        read_hub_plan(written(tmp_path, other.replace("  title:", "  titel:")))


def test_an_end_before_the_index_date_is_shown_on_its_own_line(tmp_path):
    text = DEMO.read_text().replace("data_end: 2022-12-31", "data_end: 2002-12-31")
    path = written(tmp_path, text)
    for read in (read_study, read_hub_plan):
        with pytest.raises(StudyError) as caught:
            read(path)
        assert f"study.yaml:{line_of(text, 'data_end:')}: 'study.data_end' is wrong: " in str(caught.value)
        assert "later than index_date, 2012-01-01; found '2002-12-31'" in str(caught.value)
