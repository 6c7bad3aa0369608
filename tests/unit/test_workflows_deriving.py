"""What a run says of definitions that find nobody and code lists that meet no record."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pandas as pd
import pytest

from cohorts.hub import connect, create_hub_tables
from cohorts.synthetic import RegionConfig
from phenotypes import CodeList, Outcome, Phenotype, any_of, derive, has, prescribed
from workflows import run
from workflows.demo import lay_out_study
from workflows.deriving import deserving_a_look
from workflows.progress import Progress
from workflows.study_file import read_study
from workflows.synth import write_region

DIABETES = CodeList.of("diabetes", [("snomed", "44054006")])
INSULIN = CodeList.of("insulin", [("bnf", "0601011*")])


class _FarEnoughError(Exception):
    """The run has derived what it declares."""


def _lines(phenotype: Phenotype) -> list[str]:
    with connect() as hub:
        create_hub_tables(hub)
        hub.connection.execute(
            "INSERT INTO events VALUES (1, 7, DATE '2010-01-01', 'clinic', 'observation', 'snomed', '44054006', "
            "NULL, NULL), (2, 7, DATE '2010-01-01', 'clinic', 'prescription', 'rxnorm', '5856', NULL, NULL)"
        )
        persons = pd.DataFrame({"person_id": [7], "sex": ["F"], "birth_date": [pd.Timestamp("1960-01-01")]})
        derived = derive(hub, persons, index_date=date(2009, 1, 1), phenotypes={phenotype.name: phenotype})
        return deserving_a_look(derived.diagnostics)


def test_a_list_of_another_system_is_named_though_the_definition_finds_somebody() -> None:
    lines = _lines(Phenotype("t2d", any_of(has(DIABETES), prescribed(INSULIN))))
    assert lines == ["nobody has a record of: insulin (bnf)"]


def test_a_definition_that_finds_nobody_comes_first_with_its_reason() -> None:
    lines = _lines(Phenotype("treated", prescribed(INSULIN)))
    assert [line.split(":")[0] for line in lines] == ["phenotype treated", "nobody has a record of"]
    assert "finds nobody" in lines[0]


def test_an_outcome_that_shares_its_name_with_a_phenotype_is_told_apart_from_it() -> None:
    with connect() as hub:
        create_hub_tables(hub)
        hub.connection.execute(
            "INSERT INTO people VALUES (7, 'F', DATE '1960-01-01');"
            "INSERT INTO registrations VALUES (7, 'p', DATE '2000-01-01', DATE '2020-01-01');"
            "INSERT INTO events VALUES (1, 7, DATE '2008-01-01', 'gp', 'event', 'snomed', '44054006', NULL, NULL)"
        )
        derived = derive(
            hub,
            hub.frame("SELECT * FROM people"),
            index_date=date(2009, 1, 1),
            data_end=date(2015, 12, 31),
            phenotypes={"t2d": Phenotype("t2d", has(DIABETES))},
            outcomes={"t2d": Outcome("t2d", has(DIABETES), years=5)},
        )
    assert deserving_a_look(derived.diagnostics) == [
        "outcome t2d: finds nobody while followed: some people have a record of diabetes"
    ]


def test_lists_that_meet_records_are_passed_over() -> None:
    assert _lines(Phenotype("t2d", has(DIABETES))) == []


def test_a_run_says_it_where_the_user_looks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_region(RegionConfig(people=400, genotyped=50, variants=400, seed=2), tmp_path / "region")
    lay_out_study(tmp_path)
    study = tmp_path / "study.yaml"
    text = study.read_text(encoding="utf-8")
    text = text.replace("codelists:\n", "codelists:\n  gout: codes/gout.csv\n")
    text = text.replace("phenotypes:\n", "phenotypes:\n  gout: {label: Gout, any: [{has: gout}]}\n")
    study.write_text(text, encoding="utf-8")
    (tmp_path / "codes" / "gout.csv").write_text("system,code\nctv3,C34..\n", encoding="utf-8")

    def stop(*_: object) -> None:
        raise _FarEnoughError

    monkeypatch.setattr(run, "join_genotypes", stop)
    with pytest.raises(_FarEnoughError):
        run.run_study(read_study(study), tmp_path / "run", progress=Progress())
    for said in (capsys.readouterr().err, (tmp_path / "run" / "run.log").read_text(encoding="utf-8")):
        assert "phenotype gout: finds nobody" in said
        assert any("nobody has a record of:" in line and "gout (ctv3)" in line for line in said.splitlines())
