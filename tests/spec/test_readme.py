"""The README keeps its word: its commands come first and exist, its code runs, its tables are complete."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from pydantic import TypeAdapter

import cohorts.errors as errors
from phenotypes import CodeList, explain
from phenotypes.spec import OutcomeSpec, TraitSpec, references
from workflows.exposures import ExposureSpec
from workflows.genome_study import GenomeStudy
from workflows.hub_plan import Privacy
from workflows.source_specs import Source
from workflows.study import RecordsEngine
from workflows.study_file import read_hub_plan, read_study

README = Path(__file__).resolve().parents[2] / "README.md"
TEXT = README.read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, flags=re.DOTALL)


def test_the_two_commands_are_the_first_things_to_run():
    assert [block.strip() for block in blocks("bash")] == [
        "python3 -m venv .venv && .venv/bin/pip install . && .venv/bin/careome demo",
        '.venv/bin/pip install ".[test]" && .venv/bin/pytest',
    ]


def test_every_command_it_names_exists(careome):
    named = set(re.findall(r"`careome ([a-z]+)", TEXT))
    assert {"demo", "run", "study", "synth", "gwas", "score", "key", "verify"} <= named
    for command in named:
        assert careome(command, "--help").returncode == 0, command


def test_every_exit_code_is_listed():
    listed = {int(code) for code in re.findall(r"^\| (\d+) \|", TEXT, flags=re.MULTILINE)}
    defined = {
        cls.exit_code
        for cls in vars(errors).values()
        if isinstance(cls, type) and issubclass(cls, errors.CareomeError)
    }
    assert defined | {0, 2} <= listed


def test_every_python_block_runs_as_it_stands(demo, tmp_path, monkeypatch, capsys):
    (tmp_path / "careome-demo").symlink_to(demo)
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    assert len(blocks("python")) >= 5
    for block in blocks("python"):
        exec(compile(block, "README.md", "exec"), names)
    printed = capsys.readouterr().out
    assert "rejected" in printed
    assert "Type 2 diabetes" in printed
    assert sorted(path.name for path in tmp_path.iterdir()) == ["careome-demo"]


def test_every_source_it_shows_is_one_a_study_may_declare():
    shown = yaml.safe_load(blocks("yaml")[0])
    sources = TypeAdapter(dict[str, Source]).validate_python(shown["sources"])
    assert [source.model for source in sources.values()] == ["cprd_aurum", "omop", "fhir", "files"]


def test_every_definition_it_shows_is_one_a_study_may_declare():
    shown = yaml.safe_load(blocks("yaml")[1])
    kinds = {"traits": TraitSpec, "exposures": ExposureSpec, "outcomes": OutcomeSpec}
    assert set(shown) == set(kinds)
    for group, kind in kinds.items():
        for name, spec in TypeAdapter(dict[str, kind]).validate_python(shown[group]).items():
            if group != "exposures":
                lists = {codes: CodeList.of(codes, [("snomed", "44054006")]) for _, codes in references(spec)}
                assert spec.label in explain(spec.build(lists, name))


def test_the_cache_and_the_engine_it_shows_are_ones_a_study_may_declare():
    shown = yaml.safe_load(blocks("yaml")[2])
    assert Privacy.model_validate(shown["privacy"]).cache == Path("custodian/answers")
    assert RecordsEngine.model_validate(shown["records"]).engine == "spark"


def test_the_study_of_records_alone_it_shows_is_one(tmp_path):
    (tmp_path / "study.yaml").write_text(blocks("yaml")[3])
    study = read_study(tmp_path / "study.yaml")
    assert not isinstance(study, GenomeStudy)
    assert list(study.phenotypes) == ["t2d"]
    shown = yaml.safe_load(blocks("yaml")[3])
    few = {key: shown[key] for key in ("study", "privacy", "sources")}
    few["study"] = {key: shown["study"][key] for key in ("name", "index_date", "data_end")}
    (tmp_path / "hub.yaml").write_text(yaml.safe_dump(few))
    assert read_hub_plan(tmp_path / "hub.yaml").sources["gp"].model == "cprd_aurum"


@pytest.mark.parametrize("folder", ["cohorts", "phenotypes", "gwas", "workflows", "tests"])
def test_the_folders_it_describes_exist(folder):
    assert (README.parent / folder).is_dir()
