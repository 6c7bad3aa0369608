"""Sources as a study file declares them, and ``careome records check``."""

from __future__ import annotations

import re
import stat
from pathlib import Path
from typing import get_args

import pandas as pd
import pytest
import yaml

import workflows
from cohorts.errors import OutputError, StudyError
from cohorts.tables import SYSTEMS, TABLES
from phenotypes.code_systems import EDITIONS
from workflows.genome_study import study_schema
from workflows.outputs import sha256_of
from workflows.records import identified_scratch
from workflows.source_specs import Edition, FileSource, Relations, System
from workflows.study_file import check_inputs, read_hub_plan, read_study

DEMO = Path(workflows.__file__).parent / "demo" / "study.yaml"
NOTHING = (
    "{nhs_number: null, given_name: null, family_name: null, birth_date: null, sex: null, postcode: null}"
)


def study_with(folder: Path, sources: str) -> Path:
    """A study file whose sources are those; nothing else of it has to be there to look at the records."""
    text = yaml.safe_load(DEMO.read_text())
    text["sources"] = yaml.safe_load(sources)
    text["region"] = {}
    text["privacy"] = {"key": "custodian/project.key"}
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(text, sort_keys=False))
    return path


@pytest.fixture
def layouts(tmp_path, records_example) -> Path:
    """A study over three layouts at once."""
    records_example.write_omop(tmp_path / "omop")
    records_example.write_aurum(tmp_path / "aurum")
    make = records_example
    good = make.condition("c", "urn:uuid:s3cr3t-person", "44054006", "2010-01-01")
    unknown = make.condition("d", "Patient/n0body", "44054006", "2010-01-01")
    who = make.patient("s3cr3t-person", name=[{"family": "Featherstonehaugh"}])
    make.write_json(tmp_path / "fhir" / "Featherstonehaugh_1.json", make.bundle(who, good, unknown))
    return study_with(
        tmp_path,
        """
        gp: {model: cprd_aurum, path: aurum}
        hospital: {model: omop, path: omop, icd10_edition: "2016"}
        clinic: {model: fhir, path: fhir}
        """,
    )


def test_the_account_of_every_source_is_printed_and_nobody_is_in_it(layouts, careome):
    kept = layouts.parent / "refused.parquet"
    done = careome("records", "check", layouts, "--rejects", kept)
    assert done.returncode == 0, done.stderr
    assert "hospital" in done.stdout
    assert "  events: 9 read = 5 accepted + 4 rejected, 2010 to 2012" in done.stdout
    assert "    from condition_occurrence (1 file): 6 read, 3 rejected" in done.stdout
    assert "    snomed: 1 different codes in 1 rows" in done.stdout
    assert "    rejected 1: value: not a number" in done.stdout
    assert "    noted 1: Problem: not read, it describes observations that are" in done.stdout
    for line in re.findall(r"([\d,]+) read = ([\d,]+) accepted \+ ([\d,]+) rejected", done.stdout):
        read, accepted, rejected = (int(number.replace(",", "")) for number in line)
        assert read == accepted + rejected
    everything = done.stdout + done.stderr + pd.read_parquet(kept).to_csv()
    for identifier in ("123456789012345671", "s3cr3t", "Featherstonehaugh", "n0body", "1950"):
        assert identifier not in everything
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert sorted(p.name for p in (layouts.parent / "custodian").iterdir()) == []


def test_refused_rows_are_kept_by_their_place_and_their_column(layouts, careome):
    kept = layouts.parent / "refused.parquet"
    assert careome("records", "check", layouts, "--rejects", kept).returncode == 0
    refused = pd.read_parquet(kept)
    assert list(refused) == ["source", "table", "origin", "file", "row", "lines", "reason", "column"]
    found = refused[(refused["source"] == "hospital") & (refused["origin"] == "measurement")]
    assert found[["table", "file", "row", "reason", "column"]].values.tolist() == [
        ["events", 1, 3, "value: not a number", "value"]
    ]


def test_a_source_that_cannot_be_read_leaves_nothing_behind(layouts, careome):
    (layouts.parent / "omop" / "person.csv").write_text("x\n1\n")
    done = careome("records", "check", layouts)
    assert done.returncode == 11
    assert len([line for line in done.stderr.splitlines() if line.startswith("careome:")]) == 1
    assert list((layouts.parent / "custodian").iterdir()) == []


def test_a_connection_string_comes_from_the_environment_alone(tmp_path, monkeypatch):
    study = study_with(
        tmp_path,
        "lab: {model: postgres, dsn_env: LAB_DSN, schema: gp, tables: {patients: people, events: {table: e}}}",
    )
    monkeypatch.delenv("LAB_DSN", raising=False)
    checked = read_study(study)
    with pytest.raises(StudyError, match="LAB_DSN"):
        check_inputs(checked)
    monkeypatch.setenv("LAB_DSN", "postgresql://u:hunter2@h/db")
    source = checked.sources["lab"].read_from()
    assert source.dsn == "postgresql://u:hunter2@h/db"
    assert source.schema == "gp"
    assert "hunter2" not in repr(source) + repr(checked)


@pytest.mark.parametrize(
    ("sources", "said"),
    [
        ("gp: {model: i2b2, path: x}", "model is one of files, omop, fhir, cprd_aurum, postgres"),
        ("gp: {model: omop}", "give either path or dsn_env"),
        ("gp: {model: omop, path: x, dsn_env: Y}", "give either path or dsn_env"),
        ("gp: {model: cprd_aurum, path: x, codes: icd9}", "sources.gp.codes"),
        (
            "gp: {model: postgres, dsn_env: 'postgresql://u:p@h/d', tables: {patients: p}}",
            "sources.gp.dsn_env",
        ),
        ("gp: {model: postgres, dsn_env: X, tables: {events: p}}", "patients"),
        ("gp: {model: fhir, folder: x}", "unknown key 'sources.gp.folder'"),
        ("gp: {patients: p.csv, event: e.csv}", "did you mean 'events'"),
        ("gp: {patients: p.csv, icd10_edition: '2010'}", "sources.gp.icd10_edition"),
        ("gp: {patients: {path: p.csv, delimiter: '||'}}", "sources.gp.patients.delimiter"),
    ],
)
def test_a_wrong_declaration_is_refused_with_its_place(tmp_path, sources, said):
    with pytest.raises(StudyError) as caught:
        read_study(study_with(tmp_path, sources))
    assert said in str(caught.value)
    assert re.search(r"study\.yaml:\d+: ", str(caught.value))


def test_what_a_table_declares_reaches_the_reader(tmp_path):
    study = read_study(
        study_with(
            tmp_path,
            f"""
            gp:
              code_system: read2
              patients: {{path: p.txt, columns: {NOTHING}, delimiter: '|', encoding: cp1252, quoted: false}}
              events:
                path: [a.csv, more/b_*.csv.gz]
                constants: {{unit: kg}}
                values: {{code: {{X: Y}}}}
                date_format: '%d/%m/%Y'
              prescriptions: drugs.parquet
              contacts: {{path: c.csv, columns: {{system: Sort}}}}
            """,
        )
    )
    tables = study.sources["gp"].read_from()
    assert (tables["patients"].delimiter, tables["patients"].encoding) == ("|", "cp1252")
    assert (tables["patients"].quoted, tables["patients"].columns["sex"]) == (False, None)
    assert tables["events"].path == (tmp_path / "a.csv", tmp_path / "more/b_*.csv.gz")
    assert tables["events"].constants == {"unit": "kg", "system": "read2"}
    assert (tables["events"].values, tables["events"].date_format) == ({"code": {"X": "Y"}}, "%d/%m/%Y")
    assert tables["prescriptions"].constants == {"system": "read2"}
    assert tables["contacts"].constants == {}


def test_every_file_of_a_pattern_is_an_input_and_a_layout_is_one(tmp_path, layouts):
    for name in ("e_1.csv", "e_2.csv"):
        (tmp_path / name).write_text("patient_id\n")
    files = read_study(study_with(tmp_path, "gp: {patients: p.csv, events: e_*.csv}")).input_files()
    assert files["sources.gp.events.2"] == tmp_path / "e_2.csv"
    files = read_study(study_with(tmp_path, "gp: {model: fhir, path: fhir}")).input_files()
    assert files["sources.gp.path"] == tmp_path / "fhir"
    before = sha256_of(tmp_path / "fhir")
    assert len(before) == 64
    (bundle,) = (tmp_path / "fhir").iterdir()
    bundle.rename(tmp_path / "fhir" / "other.json")
    assert sha256_of(tmp_path / "fhir") != before


@pytest.mark.parametrize("model", ["omop", "fhir"])
def test_a_vocabulary_that_lies_apart_is_an_input_and_reaches_the_model(tmp_path, layouts, model):
    study = read_study(study_with(tmp_path, f"gp: {{model: {model}, path: {model}, vocabulary: words}}"))
    assert study.input_files()["sources.gp.vocabulary"] == tmp_path / "words"
    assert study.sources["gp"].read_from().vocabulary == tmp_path / "words"


def test_a_layout_whose_folder_is_not_there_is_named(tmp_path):
    study = read_study(study_with(tmp_path, "gp: {model: omop, path: nowhere}"))
    with pytest.raises(StudyError, match="nowhere"):
        check_inputs(study)


def test_the_schema_offers_every_model_table_and_code_system():
    told = str(study_schema())
    for model in ("omop", "fhir", "cprd_aurum", "postgres", "files"):
        assert f"'const': '{model}'" in told
    assert set(TABLES) <= set(FileSource.model_fields)
    assert set(Relations.model_fields) == set(TABLES)
    assert set(get_args(System)) == set(SYSTEMS.values())
    assert get_args(Edition) == EDITIONS


@pytest.mark.parametrize(("most", "stops"), [("0.4", True), ("0.5", False), (None, False)])
def test_a_source_that_loses_more_than_it_declares_stops_the_run(layouts, careome, most, stops):
    (layouts.parent / "fhir" / "broken.json").write_text('{"resourceType": "Bundle", "entry": [')
    text = yaml.safe_load(layouts.read_text())
    text["sources"] = {"clinic": text["sources"]["clinic"]}
    if most is not None:
        text["sources"]["clinic"]["most_rejected"] = float(most)
    layouts.write_text(yaml.safe_dump(text, sort_keys=False))
    done = careome("records", "check", layouts)
    assert "clinic: 1 of 2 files are damaged, and everybody in them is missing" in done.stdout
    assert "ALL PATIENTS AND RECORDS IN THEM ARE LOST" in done.stdout
    assert (done.returncode != 0) is stops, done.stderr
    if stops:
        assert "sources.clinic.most_rejected" in done.stderr
        assert "1 of 2 files were damaged" in done.stderr
        assert "Traceback" not in done.stderr


def test_a_file_of_name_days_key_and_sources_is_enough_to_look_at_records(layouts, careome):
    whole = yaml.safe_load(layouts.read_text())
    few = {key: whole[key] for key in ("study", "privacy", "sources")}
    few["study"] = {key: whole["study"][key] for key in ("name", "index_date", "data_end")}
    small = layouts.parent / "small.yaml"
    small.write_text(yaml.safe_dump(few, sort_keys=False))
    done = careome("records", "check", small)
    assert done.returncode == 0, done.stderr
    assert done.stdout == careome("records", "check", layouts).stdout


def test_identified_rows_of_a_killed_command_go_with_the_next(layouts, tmp_path):
    plan = read_hub_plan(layouts)
    left = tmp_path / "custodian" / f".{plan.study.name}-records" / "rows"
    left.mkdir(parents=True)
    (left / "identified.duckdb").write_text("NHS number")
    with identified_scratch(plan) as folder:
        assert folder == left
        assert not folder.exists()
        with pytest.raises(OutputError, match="another run"), identified_scratch(plan):
            pass
    assert list((tmp_path / "custodian").iterdir()) == []


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        ("columns: {person: {birth_datetim: x}}", "'sources.hospital.columns.person.birth_datetim' is wrong"),
        ("columns: {persons: {birth_datetime: x}}", "'sources.hospital.columns.persons' is wrong"),
        ("source_systems: {conditions: read2}", "'sources.hospital.source_systems.conditions' is wrong"),
    ],
)
def test_a_column_or_table_that_omop_does_not_have_is_refused_with_its_line(tmp_path, declared, said):
    path = study_with(tmp_path, f"hospital: {{model: omop, path: omop, {declared}}}")
    with pytest.raises(StudyError) as caught:
        read_hub_plan(path)
    assert said in str(caught.value)
    assert re.search(r"study\.yaml:\d+: ", str(caught.value))
    read_hub_plan(
        study_with(
            tmp_path,
            "hospital: {model: omop, path: omop, nhs_number: nhs, columns: {person: {nhs: N, birth_datetime: x}}}",
        )
    )


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (
            "patients: {path: p.csv, columns: {birthdate: x}}",
            r"'sources\.lab\.patients\.columns\.birthdate' is wrong",
        ),
        (
            "patients: p.csv, events: {path: e.csv, constants: {units: g}}",
            r"'sources\.lab\.events\.constants\.units'",
        ),
        (
            "model: postgres, dsn_env: DSN, tables: {patients: {table: p, values: {gender: {m: M}}}}",
            r"'sources\.lab\.tables\.patients\.values\.gender'",
        ),
    ],
)
def test_a_column_that_our_table_does_not_have_is_refused_with_its_line(tmp_path, source, said):
    with pytest.raises(StudyError, match=said + ".* has no such column, only patient_id, "):
        read_hub_plan(study_with(tmp_path, f"lab: {{{source}}}"))
