"""Answers kept between runs: what is reused, who can read them, and that nobody who left stays in them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

from cohorts.errors import OutputError, PrivacyError
from cohorts.hub import connect, create_hub_tables
from cohorts.synthetic import RegionConfig
from phenotypes.derivation import Derived
from workflows import run
from workflows.answers import AnswerFolder, KeptAnswers, kept_answers, records_identity
from workflows.demo import lay_out_study
from workflows.keys import read_project_key
from workflows.progress import Progress
from workflows.study import Study
from workflows.study_file import read_study
from workflows.synth import write_region

SECRET = bytes(range(32))


class _Derived(Exception):
    """A run has derived what it declares, and this test wants no more of it."""


@pytest.fixture(scope="module")
def region(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("region")
    write_region(RegionConfig(people=400, genotyped=50, variants=400, seed=2), folder / "region")
    lay_out_study(folder)
    text = (folder / "study.yaml").read_text(encoding="utf-8")
    text = text.replace("privacy:\n", "privacy:\n  cache: custodian/answers\n")
    (folder / "study.yaml").write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def place(region: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(region, tmp_path / "place"))


@pytest.fixture
def derived(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs the study in a folder until phenotypes are derived."""
    made: list[Derived] = []
    derive = run.derive_declared

    def keep(*arguments: Any, **more: Any) -> Derived:
        made.append(derive(*arguments, **more))
        return made[-1]

    def stop(*_: Any) -> None:
        raise _Derived

    monkeypatch.setattr(run, "derive_declared", keep)
    monkeypatch.setattr(run, "join_genotypes", stop)

    def start(place: Path, name: str) -> Derived:
        with pytest.raises(_Derived):
            run.run_study(read_study(place / "study.yaml"), place / name, progress=Progress(quiet=True))
        return made[-1]

    return start


def _kept(place: Path) -> dict[str, set[str]]:
    """Names of the kept answers by the state of the records they are of."""
    folder = place / "custodian" / "answers"
    return {f.name: {p.name for p in f.iterdir()} for f in folder.iterdir() if f.is_dir()}


def _audit(place: Path, name: str, event: str) -> dict[str, Any]:
    lines = (place / name / "audit.jsonl").read_text(encoding="utf-8").splitlines()
    (found,) = [entry["details"] for entry in map(json.loads, lines) if entry["event"] == event]
    return dict(found)


def _assert_same(one: Derived, other: Derived) -> None:
    pd.testing.assert_frame_equal(one.long, other.long)
    pd.testing.assert_frame_equal(one.wide, other.wide)
    pd.testing.assert_frame_equal(one.survival, other.survival)
    pd.testing.assert_frame_equal(one.diagnostics.codes, other.diagnostics.codes, check_dtype=False)


@pytest.mark.slow
def test_a_changed_code_list_asks_its_definitions_again_and_no_other(place: Path, derived: Any) -> None:
    first = derived(place, "first")
    assert first.reused == ()
    codes = place / "codes" / "chd.csv"
    lines = codes.read_text(encoding="utf-8").splitlines()
    codes.write_text("\n".join(lines[:-1]) + "\n", encoding="utf-8")
    second = derived(place, "second")
    changed = {"phenotypes.chd", "outcomes.chd_10y"}
    assert set(second.identities) - set(second.reused) == changed
    assert _audit(place, "second", "kept answers used") == {
        "reused": len(second.identities) - len(changed),
        "definitions": len(second.identities),
    }
    log = (place / "second" / "run.log").read_text(encoding="utf-8")
    assert f"{len(second.reused)} of {len(second.identities)} definitions reused" in log
    shutil.rmtree(place / "custodian" / "answers")
    _assert_same(second, derived(place, "anew"))


def test_nothing_about_somebody_who_opts_out_is_used_or_left(place: Path, derived: Any) -> None:
    first = derived(place, "first")
    before = _kept(place)
    _assert_for_the_owner_alone(place / "custodian" / "answers")
    patients = pd.read_csv(place / "region" / "extracts" / "gp_patients.csv", dtype=str)
    optouts = place / "region" / "extracts" / "optouts.csv"
    known = pd.read_csv(optouts, dtype=str)
    column = next(c for c in known if c.startswith("nhs"))
    for number in patients[column].dropna():
        if len(number) == 10 and number not in set(known[column]):
            leaving = pd.concat([known, known.head(1).assign(**{column: number})])
            leaving.to_csv(optouts, index=False)
            second = derived(place, f"without-{number[-4:]}")
            gone = set(first.person_id) - set(second.person_id)
            if gone:
                break
    assert len(gone) == 1
    assert second.reused == ()
    after = _kept(place)
    assert len(before) == len(after) == 1
    assert not set(before) & set(after)
    assert not set.union(*before.values()) & set.union(*after.values())
    named = 0
    for path in (place / "custodian" / "answers").rglob("*.parquet"):
        table = pq.read_table(path)
        if "person_id" in table.column_names:
            named += 1
            assert not gone & set(table["person_id"].to_pylist())
    assert named
    removed = sum(map(len, before.values()))
    assert _audit(place, f"without-{number[-4:]}", "kept answers opened")["removed"] >= removed


def _assert_for_the_owner_alone(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600), path.name


def test_a_folder_that_others_can_read_is_refused(place: Path) -> None:
    (place / "custodian" / "answers").mkdir(mode=0o750)
    with pytest.raises(PrivacyError, match="can be read by others"):
        run.run_study(read_study(place / "study.yaml"), place / "run")


@pytest.mark.parametrize("inside", ["run", "run/answers", "earlier/deep/answers"])
def test_answers_are_never_kept_in_a_run_folder(place: Path, inside: str) -> None:
    text = (place / "study.yaml").read_text(encoding="utf-8")
    (place / "study.yaml").write_text(text.replace("cache: custodian/answers", f"cache: {inside}"))
    (place / "earlier").mkdir()
    (place / "earlier" / "manifest.json").touch()
    with pytest.raises(OutputError, match="may not lie in a run folder"):
        run.run_study(read_study(place / "study.yaml"), place / "run")
    assert not (place / "run").exists()


def test_two_runs_do_not_share_a_folder_at_once(place: Path) -> None:
    study = read_study(place / "study.yaml")
    # the custodian's own, which makes no run folder of its place
    (place / "custodian" / "audit.jsonl").touch()
    with (
        kept_answers(study, out=place / "one"),
        pytest.raises(OutputError, match="another run"),
        kept_answers(study, out=place / "two"),
    ):
        pass


def test_removal_touches_files_of_our_own_making_alone(tmp_path: Path) -> None:
    ours, theirs = tmp_path / ("0" * 64), tmp_path / "letters"
    for folder in (ours, theirs):
        AnswerFolder(folder)["a" * 64] = pq.read_table(_table(tmp_path))
    (ours / "notes.txt").write_text("a note")
    _, removed = KeptAnswers(tmp_path).of("1" * 64)
    assert removed == 1
    assert [p.name for p in ours.iterdir()] == ["notes.txt"]
    assert (theirs / f"{'a' * 64}.parquet").exists()


def _table(folder: Path) -> Path:
    pd.DataFrame({"x": [1]}).to_parquet(folder / "x.parquet")
    return folder / "x.parquet"


def test_another_key_file_declaration_or_record_is_another_identity(place: Path) -> None:
    study = read_study(place / "study.yaml")
    key = read_project_key(study.privacy.key)
    inputs = {name: f"{number:064x}" for number, name in enumerate(study.input_files())}
    identities = []
    with connect() as hub:
        create_hub_tables(hub)
        same = records_identity(study, inputs, hub, key=key)
        for name in ("sources.gp.events", "region.optouts", "sources.biobank.consents"):
            identities.append(records_identity(study, {**inputs, name: "f" * 64}, hub, key=key))
        for name in ("codelists.chd", "genotypes.bed"):
            assert records_identity(study, {**inputs, name: "f" * 64}, hub, key=key) == same
        identities.append(records_identity(study, inputs, hub, key=SECRET))
        declared = study.model_copy(update={"linkage": study.linkage.model_copy(update={"threshold": 0.9})})
        identities.append(records_identity(declared, inputs, hub, key=key))
        hub.connection.execute("INSERT INTO deaths VALUES (1, DATE '2020-01-01', NULL)")
        identities.append(records_identity(study, inputs, hub, key=key))
    assert len({same, *identities}) == 1 + len(identities)
    assert same not in set(inputs.values())


def test_rows_of_a_server_are_told_apart_whatever_their_order(place: Path) -> None:
    """A server's rows are covered by no file's hash."""
    study = read_study(place / "study.yaml")
    rows = ["(1, 1, DATE '2020-01-01', 'gp', 'diagnosis', 'icd10', 'I10', NULL, NULL)"]
    rows.append("(2, 1, DATE '2020-01-02', 'gp', 'diagnosis', 'icd10', 'I1', 0, NULL)")
    shifted = rows[1].replace("'icd10', 'I1'", "'icd101', 'I'")

    def identity(*events: str) -> str:
        with connect() as hub:
            create_hub_tables(hub)
            hub.connection.execute(f"INSERT INTO events VALUES {', '.join(events)}")
            return _by_server(study, hub)

    both = identity(*rows)
    assert identity(*reversed(rows)) == both
    others = [identity(rows[0]), identity(*rows, rows[1]), identity(rows[0], shifted)]
    assert len({both, *others}) == 4


def _by_server(study: Study, hub: Any) -> str:
    return records_identity(study, {}, hub, key=SECRET)
