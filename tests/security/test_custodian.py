"""Who can open what: sealed crosswalks, re-identification, and withdrawals traced to past outputs."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cohorts.errors import InputError, OutputError, PrivacyError, StudyError
from workflows import custodian
from workflows.audit import verify_audit
from workflows.custodian_withdrawals import contained, sampled, trace_withdrawals
from workflows.keys import new_project_key
from workflows.sealing import new_custodian_key, read_private_key, read_public_key, seal, unseal
from workflows.study import Study
from workflows.study_file import read_study

REASON = "Finding to be told to the practice, ethics board decision 12"


@pytest.fixture(scope="module")
def study(demo: Path) -> Study:
    return read_study(demo / "study.yaml")


@pytest.fixture(scope="module")
def key(demo: Path) -> Path:
    return demo / "custodian" / "custodian.key"


@pytest.fixture(scope="module")
def person(demo: Path) -> int:
    """Somebody in the GWAS of LDL."""
    table = pd.read_parquet(demo / "run/results/gwas_people.parquet")
    return int(table.loc[table["ldl"], "person_id"].iloc[0])


def test_what_is_sealed_opens_for_its_key_alone_and_only_unaltered(tmp_path: Path) -> None:
    public = new_custodian_key(tmp_path / "a.key")
    new_custodian_key(tmp_path / "b.key")
    sealed = seal(b"who is whom", read_public_key(public))
    assert b"who" not in sealed
    assert seal(b"who is whom", read_public_key(public)) != sealed
    ours = read_private_key(tmp_path / "a.key")
    assert unseal(sealed, ours, where="x") == b"who is whom"
    with pytest.raises(InputError, match="cannot be opened"):
        unseal(sealed, read_private_key(tmp_path / "b.key"), where="x")
    for at in (20, 60, len(sealed) - 1):
        altered = bytearray(sealed)
        altered[at] ^= 1
        with pytest.raises(InputError):
            unseal(bytes(altered), ours, where="x")
    for short in (b"", sealed[:10], sealed[:49], sealed[:-1]):
        with pytest.raises(InputError):
            unseal(short, ours, where="x")


def test_keys_are_private_never_replaced_and_never_mistaken(tmp_path: Path) -> None:
    public = new_custodian_key(tmp_path / "c.key")
    assert (tmp_path / "c.key").stat().st_mode & 0o777 == 0o600
    with pytest.raises(OutputError, match="there already"):
        new_custodian_key(tmp_path / "c.key")
    new_project_key(tmp_path / "project.key")
    with pytest.raises(PrivacyError, match="not a custodian's private key"):
        read_private_key(tmp_path / "project.key")
    with pytest.raises(PrivacyError, match="not a custodian's private key"):
        read_private_key(public)
    with pytest.raises(PrivacyError, match="private key"):
        read_public_key(tmp_path / "c.key")
    os.chmod(tmp_path / "c.key", 0o640)
    with pytest.raises(PrivacyError, match="read by others"):
        read_private_key(tmp_path / "c.key")
    with pytest.raises(PrivacyError, match="cannot be read"):
        read_private_key(tmp_path / "none.key")


def test_a_run_leaves_its_crosswalk_sealed_under_its_own_number(demo: Path, study: Study, key: Path) -> None:
    files = list((demo / "custodian" / "crosswalk").glob("*.sealed"))
    manifest = json.loads((demo / "run/manifest.json").read_text())
    assert [file.stem for file in files] == [manifest["fingerprint"][:12]]
    content = files[0].read_bytes()
    crosswalk = custodian.open_crosswalks(demo / "custodian" / "crosswalk", key)
    assert len(crosswalk) > 4000
    assert not any(text.encode() in content for text in crosswalk["patient_id"].head(500))
    with pytest.raises(PrivacyError, match="not a custodian's private key"):
        custodian.open_crosswalks(demo / "custodian" / "crosswalk", study.privacy.key)


def test_reidentifying_writes_a_private_file_and_an_audit_line(
    demo: Path, study: Study, key: Path, person: int, tmp_path: Path, careome
) -> None:
    trail = demo / "custodian" / "crosswalk" / "audit.jsonl"
    before = verify_audit(trail)[0] if trail.exists() else 0
    name, out = f"{person:016x}", tmp_path / "who.tsv"
    done = careome(
        "reidentify",
        demo / "study.yaml",
        name,
        "f" * 15 + "0",
        "--key",
        key,
        "--reason",
        REASON,
        "--out",
        out,
    )
    assert done.returncode == 0, done.stderr
    assert "1 of 2 people" in done.stdout
    assert out.stat().st_mode & 0o777 == 0o600
    answer = pd.read_csv(out, sep="\t", dtype=str)
    assert list(answer.columns) == ["person", "source", "patient_id", "run"]
    assert set(answer["person"]) == {name}
    truth = custodian.open_crosswalks(demo / "custodian" / "crosswalk", key)
    assert sorted(answer["patient_id"]) == sorted(truth.loc[truth["person_id"] == person, "patient_id"])
    assert not any(local in done.stdout + done.stderr for local in answer["patient_id"])
    assert verify_audit(trail)[0] == before + 1
    line = json.loads(trail.read_text().splitlines()[-1])
    assert line["event"] == "re-identified"
    assert line["details"] == {"pseudonyms": [name, "f" * 15 + "0"], "found": 1, "reason": REASON}
    assert not any(local in trail.read_text() for local in answer["patient_id"])
    assert not any(local in (demo / "run/audit.jsonl").read_text() for local in answer["patient_id"])


def test_a_pseudonym_that_nobody_has_ends_in_an_error_and_an_audit_line(
    demo: Path, key: Path, tmp_path: Path, careome
) -> None:
    trail, out = demo / "custodian" / "crosswalk" / "audit.jsonl", tmp_path / "who.tsv"
    before = verify_audit(trail)[0] if trail.exists() else 0
    nobody = "f" * 15 + "0"
    done = careome(
        *("reidentify", demo / "study.yaml", nobody, "--key", key, "--reason", REASON, "--out", out),
    )
    assert done.returncode == 11
    assert "nobody has such a pseudonym in the crosswalks of this study; found 0 of 1 people" in done.stderr
    assert not out.exists()
    assert verify_audit(trail)[0] == before + 1
    assert json.loads(trail.read_text().splitlines()[-1])["details"]["found"] == 0


def test_a_number_of_a_table_is_refused_with_how_it_becomes_a_pseudonym(person: int) -> None:
    with pytest.raises(InputError, match="printf '%016x' PERSON_ID") as caught:
        custodian.pseudonym(f"+{person}")
    assert str(person) not in str(caught.value)
    assert custodian.pseudonym(f"{person:016x}") == person


def test_reidentifying_is_refused_without_key_reason_or_a_safe_place(
    demo: Path, study: Study, key: Path, person: int, tmp_path: Path
) -> None:
    trail = demo / "custodian" / "crosswalk" / "audit.jsonl"
    before = trail.read_bytes() if trail.exists() else b""
    name = f"{person:016x}"
    (tmp_path / "there.tsv").write_text("")
    good = {"key": key, "reason": REASON, "out": tmp_path / "out.tsv"}
    for changed, error in (
        ({"key": study.privacy.key}, PrivacyError),
        ({"reason": "because"}, PrivacyError),
        ({"reason": "asked by the patient 943 476 5919"}, PrivacyError),
        ({"out": tmp_path / "there.tsv"}, OutputError),
        ({"out": Path("/dev/stdout")}, OutputError),
        ({"out": Path("/dev/tty")}, OutputError),
        ({"out": tmp_path / "no" / "folder.tsv"}, OutputError),
        ({"out": demo / "run" / "who.tsv"}, PrivacyError),
        ({"out": demo / "run" / "results" / "who.tsv"}, PrivacyError),
    ):
        with pytest.raises(error):
            custodian.reidentify(study, [name], **{**good, **changed})
    for people, error in (
        (["12345"], InputError),
        ([], PrivacyError),
        ([f"{k:016x}" for k in range(101)], PrivacyError),
    ):
        with pytest.raises(error) as caught:
            custodian.reidentify(study, people, **good)
        assert "12345" not in str(caught.value)
    assert not (tmp_path / "out.tsv").exists()
    assert (trail.read_bytes() if trail.exists() else b"") == before


def test_an_altered_trail_stops_the_next_answer(study: Study, key: Path, person: int, tmp_path: Path) -> None:
    folder = tmp_path / "crosswalk"
    folder.mkdir()
    assert study.privacy.crosswalk is not None
    for file in study.privacy.crosswalk.glob("*.sealed"):
        (folder / file.name).write_bytes(file.read_bytes())
    moved = study.model_copy(update={"privacy": study.privacy.model_copy(update={"crosswalk": folder})})
    custodian.reidentify(moved, [f"{person:016x}"], key=key, reason=REASON, out=tmp_path / "1.tsv")
    trail = folder / "audit.jsonl"
    trail.write_text(trail.read_text().replace("ethics", "sports"))
    with pytest.raises(InputError, match="altered"):
        custodian.reidentify(moved, [f"{person:016x}"], key=key, reason=REASON, out=tmp_path / "2.tsv")
    assert not (tmp_path / "2.tsv").exists()


def test_a_crosswalk_needs_a_custodian(demo: Path, tmp_path: Path) -> None:
    text = (demo / "study.yaml").read_text()
    (tmp_path / "study.yaml").write_text(text.replace("  custodian: custodian/custodian.key.pub\n", ""))
    with pytest.raises(StudyError, match="sealed"):
        read_study(tmp_path / "study.yaml")


def test_a_withdrawal_is_traced_to_every_output_that_holds_the_person(
    demo: Path, study: Study, key: Path, person: int, tmp_path: Path
) -> None:
    crosswalk = custodian.open_crosswalks(demo / "custodian" / "crosswalk", key)
    mine = crosswalk[crosswalk["person_id"] == person].set_index("source")["patient_id"]
    consents = pd.read_csv(demo / "region/extracts/biobank_consents.csv", dtype=str, keep_default_na=False)
    consents.loc[consents["patient_id"] == mine["biobank"], "withdrawn"] = "2022-12-01"
    consents.to_csv(tmp_path / "consents.csv", index=False)
    biobank = study.sources["biobank"].model_copy(update={"consents": tmp_path / "consents.csv"})
    later = study.model_copy(update={"sources": {**study.sources, "biobank": biobank}})
    out = tmp_path / "traced.tsv"
    before = {p: hashlib.sha256(p.read_bytes()).digest() for p in (demo / "run").rglob("*") if p.is_file()}
    unchanged = trace_withdrawals(study, [demo / "run"], key=key, out=tmp_path / "before.tsv")
    assert unchanged.found == 0
    held = pd.read_csv(demo / "region/extracts/biobank_samples.csv", dtype=str).set_index("patient_id")
    sample = held.loc[mine["biobank"], "sample_id"]
    (tmp_path / "beside").mkdir()
    (tmp_path / "beside" / "a.sscore").write_text(f"#FID\tIID\tSCORE1_AVG\n0\t{sample}\t0.5\n")
    traced = trace_withdrawals(later, [demo / "run"], key=key, out=out, also=[tmp_path / "beside"])
    assert traced.found == 1
    assert "a.sscore" in out.read_text()
    assert sample not in out.read_text()
    assert traced.objected == unchanged.objected + 1
    assert out.stat().st_mode & 0o777 == 0o600
    table = pd.read_csv(out, sep="\t", dtype=str)
    assert set(table["person"]) == {f"{person:016x}"}
    assert set(table["reason"]) == {"withdrawal"}
    assert "a sample in the GWAS of ldl" in set(table["what"])
    expected = {
        path.relative_to(demo / "run").as_posix()
        for path in (demo / "run/results").rglob("*.parquet")
        if any(
            pd.to_numeric(column, errors="coerce").eq(person).any()
            for _, column in pd.read_parquet(path).items()
        )
    }
    assert expected <= set(table["file"])
    assert "results/people.parquet" in expected
    text = out.read_text()
    assert not any(local in text for local in mine)
    after = {p: hashlib.sha256(p.read_bytes()).digest() for p in (demo / "run").rglob("*") if p.is_file()}
    assert after == before
    last = json.loads((demo / "custodian/crosswalk/audit.jsonl").read_text().splitlines()[-1])
    assert last["event"] == "withdrawals traced"
    assert not any(local in json.dumps(last) for local in mine)


def test_samples_are_found_in_lists_with_and_without_names_of_columns(tmp_path: Path) -> None:
    files = {
        "a.sscore": "#FID\tIID\tSCORE1_AVG\nf\ts1\t0.5\ns1\tother\t0.1\n", "b.keep": "f s2\nf s1\ns1 x\n",
        "c.id": "#IID\ns2\n", "d.keep": "s1\n", "e.fam": "", "notes.txt": "f s1\n",
    }  # fmt: skip
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert list(sampled([tmp_path], {"s1": 7, "s2": 9})) == [
        (7, "a.sscore", "1 row under the sample's identifier"),
        (7, "b.keep", "1 row under the sample's identifier"),
        (9, "b.keep", "1 row under the sample's identifier"),
        (9, "c.id", "1 row under the sample's identifier"),
        (7, "d.keep", "1 row under the sample's identifier"),
    ]
    assert [file for _, file, _ in sampled([tmp_path / "notes.txt"], {"s1": 7})] == ["notes.txt"]
    (tmp_path / "f.keep").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="cannot be read as text"):
        list(sampled([tmp_path], {"s1": 7}))


def test_people_are_found_in_any_column_even_where_gaps_made_it_floating_point(tmp_path: Path) -> None:
    results = tmp_path / "results"
    (results / "deep").mkdir(parents=True)
    (tmp_path / "reports" / "patients").mkdir(parents=True)
    ours, other = (1 << 62) + 12345, (1 << 61) + 7
    pd.DataFrame({"x": [other, ours, ours], "y": [ours, 1, 2]}).to_parquet(results / "deep" / "a.parquet")
    pd.DataFrame({"father": [float(ours), np.nan]}).to_parquet(results / "b.parquet")
    pd.DataFrame({"n": [1, 2], "t": ["a", "b"]}).to_parquet(results / "c.parquet")
    (tmp_path / "reports" / "patients" / f"{ours:016x}.html").write_text("")
    (tmp_path / "reports" / "patients" / "notes.html").write_text("")
    found = list(contained(tmp_path, {ours: "withdrawal", 99: "opt-out"}))
    assert sorted(found) == [
        (ours, "reports/patients/4000000000003039.html", "the person's own risk report"),
        (ours, "results/b.parquet", "1 row under the pseudonym"),
        (ours, "results/deep/a.parquet", "3 rows under the pseudonym"),
    ]


def test_review_lists_and_decisions_go_there_and_back(
    demo: Path, study: Study, tmp_path: Path, careome
) -> None:
    listed = demo / "custodian" / "review.tsv"
    assert listed.stat().st_mode & 0o777 == 0o600
    review = pd.read_csv(listed, sep="\t", dtype=str, keep_default_na=False)
    assert len(review)
    review["decision"] = "same"
    review.to_csv(tmp_path / "decided.csv", index=False)
    text = (demo / "study.yaml").read_text().replace("  review: custodian/review.tsv\n", "")
    text = text.replace("  threshold: 0.95\n", f"  threshold: 0.95\n  decisions: [{tmp_path}/decided.csv]\n")
    (demo / "decided.yaml").write_text(text)
    try:
        done = careome("review", demo / "decided.yaml", "--out", tmp_path / "next.tsv")
    finally:
        (demo / "decided.yaml").unlink()
    assert done.returncode == 0, done.stderr
    following = pd.read_csv(tmp_path / "next.tsv", sep="\t", dtype=str, keep_default_na=False)
    pairs = list(custodian.PAIR)
    assert not set(map(tuple, following[pairs].to_numpy())) & set(map(tuple, review[pairs].to_numpy()))
    assert not any(local in done.stdout for local in review["patient_id_a"])
    with pytest.raises(InputError, match="column missing"):
        custodian.read_decisions([demo / "region/extracts/optouts.csv"])
