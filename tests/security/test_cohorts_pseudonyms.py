"""No identifier passes into the pseudonymous hub, its file, a message or a temporary folder."""

from __future__ import annotations

import ast
import base64
import hashlib
import os
from pathlib import Path

import pandas as pd
import pytest

import cohorts
from cohorts.consent import OPT_OUT, WITHDRAWN, apply_consent
from cohorts.errors import PrivacyError
from cohorts.hub import HUB_TABLES, Hub, connect
from cohorts.linkage import Links, link
from cohorts.pseudonymise import BuiltHub, build_hub
from cohorts.sources import Intake, TableSource, drop_intake, read_sources

KEY = bytes(range(100, 132))
NHS = ["9434765919", "4010232137", "9876543210"]
CANARIES = [*NHS, "Quillfeather", "Wolstanbury", "ZQ99 1QZ", "ZQ991QZ", "GPCANARY", "HOSPCANARY"]


def sources(folder: Path) -> tuple[dict[str, dict[str, TableSource]], dict[str, TableSource]]:
    gp = "".join(
        f"GPCANARY{i},{number},Quillfeather,Wolstanbury,19{60 + i}-02-03,F,ZQ99 1QZ\n"
        for i, number in enumerate(NHS)
    )
    hospital = "".join(
        f"HOSPCANARY{i},{number},QUILLFEATHER,WOLSTANBURY,19{60 + i}-02-03,F,ZQ991QZ\n"
        for i, number in enumerate(NHS)
    )
    head = "patient_id,nhs_number,given_name,family_name,birth_date,sex,postcode\n"
    files = {
        "gp_patients": head + gp,
        "gp_events": "patient_id,date,system,code,value,unit\n"
        + "".join(f"GPCANARY{i},2010-01-0{i + 1},snomed,44054006,1.5,u\n" for i in range(3)),
        "gp_registrations": "patient_id,practice,start,end\n"
        + "".join(f"GPCANARY{i},P1,2000-01-01,\n" for i in range(3)),
        "gp_addresses": "patient_id,area,start,end\nGPCANARY0,E01,2000-01-01,\n",
        "gp_consents": "patient_id,consented,withdrawn\nGPCANARY2,2009-01-01,2011-01-01\n",
        "hospital_patients": head + hospital,
        "hospital_admissions": "patient_id,admission_date,discharge_date,diag_1,diag_2,opcs_1\n"
        + "".join(f"HOSPCANARY{i},2011-02-03,2011-02-04,E11.9,I10X,K40.1\n" for i in range(3)),
        "hospital_deaths": "patient_id,date,underlying,contributory_1\n"
        "HOSPCANARY0,2015-01-01,I219,E119\nHOSPCANARY0,2014-12-31,I219,\n",
        "hospital_samples": "patient_id,sample_id,collected\nHOSPCANARY0,IID1,2010-01-01\n",
        "hospital_care": "patient_id,start,end,care_type\nHOSPCANARY0,2010-01-01,,nursing\n",
        "optouts": f"nhs_number,date\n{NHS[1][:3]} {NHS[1][3:6]} {NHS[1][6:]},2020-01-01\n"
        "9999999999,2020-01-01\n4857773456,2020-01-01\n",
    }
    found: dict[str, dict[str, TableSource]] = {"gp": {}, "hospital": {}}
    for name, text in files.items():
        (folder / f"{name}.csv").write_text(text)
        source, _, table = name.partition("_")
        if table:
            found[source][table] = TableSource(folder / f"{name}.csv")
    return found, {"optouts": TableSource(folder / "optouts.csv")}


def run(
    folder: Path, target: str | Path = ":memory:", key: bytes = KEY
) -> tuple[Hub, Intake, Links, BuiltHub]:
    hub = connect()
    intake = read_sources(hub, *sources(folder))
    links = link(hub, seed=1)
    return hub, intake, links, build_hub(hub, links, apply_consent(hub, links), key=key, target=target)


def forms(canary: str) -> list[bytes]:
    """A canary as it could hide: plain, other case, hexadecimal, base64, UTF-16, unkeyed hashes."""
    raw = canary.encode()
    plain = [
        raw,
        raw.lower(),
        raw.upper(),
        raw.hex().encode(),
        base64.b64encode(raw).rstrip(b"="),
        canary.encode("utf-16-le"),
    ]
    return plain + [hashlib.new(name, raw).hexdigest().encode() for name in ("md5", "sha1", "sha256")]


def leaks(content: bytes) -> list[str]:
    return [canary for canary in CANARIES for form in forms(canary) if form in content]


def test_the_scan_finds_a_planted_leak() -> None:
    assert leaks(b"... wolstanbury ...") == ["Wolstanbury"]
    assert leaks(hashlib.sha256(b"9434765919").hexdigest().encode()) == ["9434765919"]


def test_no_identifier_is_in_any_table_or_byte_of_the_hub(tmp_path: Path) -> None:
    target = tmp_path / "hub.duckdb"
    _, _, _, built = run(tmp_path, target)
    assert built.hub.tables() == sorted(HUB_TABLES)
    for table in HUB_TABLES:
        assert leaks(built.hub.frame(f"SELECT * FROM {table}").to_csv().encode()) == []
    assert built.hub.frame("SELECT count(*) AS n FROM events")["n"][0] > 0
    built.hub.connection.execute("CHECKPOINT")
    built.hub.close()
    assert leaks(target.read_bytes()) == []


def test_what_is_counted_and_reported_holds_no_identifier(tmp_path: Path) -> None:
    hub, intake, links, built = run(tmp_path)
    consent = apply_consent(hub, links)
    shown = [
        intake.counts,
        intake.rejects,
        intake.notes,
        links.summary,
        links.borderline,
        links.conflicts,
        links.model,
    ]
    shown += [consent.excluded, consent.counts, consent.notes, built.flow]
    assert leaks("".join(frame.to_csv() for frame in shown).encode()) == []


def test_opted_out_and_withdrawn_people_never_cross(tmp_path: Path) -> None:
    hub, _, links, built = run(tmp_path)
    consent = apply_consent(hub, links)
    assert consent.counts.to_numpy().tolist() == [[OPT_OUT, 1], [WITHDRAWN, 1]]
    assert consent.notes["count"].tolist() == [1, 1]
    assert built.hub.frame("SELECT count(*) AS n FROM people")["n"][0] == 1
    assert set(built.crosswalk["patient_id"]) == {"GPCANARY0", "HOSPCANARY0"}
    for table in HUB_TABLES:
        frame = built.hub.frame(f"SELECT * FROM {table}")
        if "person_id" in frame:
            assert set(frame["person_id"]) <= set(built.crosswalk["person_id"])


def test_a_later_withdrawal_takes_the_person_out_of_the_next_run_and_moves_nobody_else(
    tmp_path: Path,
) -> None:
    def once(withdrawn: str) -> tuple[pd.DataFrame, list[int]]:
        found, region = sources(tmp_path)
        (tmp_path / "gp_consents.csv").write_text(
            f"patient_id,consented,withdrawn\nGPCANARY0,2009-01-01,{withdrawn}\nGPCANARY2,2009-01-01,\n"
        )
        hub = connect()
        read_sources(hub, found, region)
        links = link(hub, seed=1)
        built = build_hub(hub, links, apply_consent(hub, links), key=KEY)
        tables = [built.hub.frame(f"SELECT * FROM {table}") for table in HUB_TABLES]
        return built.crosswalk, [int(p) for t in tables if "person_id" in t for p in t["person_id"]]

    before, _ = once("")
    after, held = once("2021-01-01")
    gone = set(before["person_id"]) - set(after["person_id"])
    assert set(before.loc[before["person_id"].isin(gone), "patient_id"]) == {"GPCANARY0", "HOSPCANARY0"}
    assert not gone & set(held)
    kept = before[~before["person_id"].isin(gone)].reset_index(drop=True)
    pd.testing.assert_frame_equal(kept, after)


def test_every_row_that_crosses_or_stays_is_counted(tmp_path: Path) -> None:
    _, _, _, built = run(tmp_path)
    flow = built.flow.set_index("table")
    assert (flow["read"] == flow["excluded"] + flow["merged"] + flow["kept"]).all()
    assert flow.loc["people"].tolist() == [6, 4, 1, 1]
    # three GP events, three admissions of two diagnoses and a procedure, two deaths of three codes in all
    assert flow.loc["events"].tolist() == [15, 8, 0, 7]
    assert flow.loc["deaths"].tolist() == [2, 0, 1, 1]
    assert built.hub.frame("SELECT date::DATE::VARCHAR AS d FROM deaths")["d"].tolist() == ["2014-12-31"]


def test_the_hub_holds_every_kind_of_event_under_one_person(tmp_path: Path) -> None:
    _, _, _, built = run(tmp_path)
    events = built.hub.frame("SELECT row_id, source, kind, system, code FROM events ORDER BY row_id")
    assert events["row_id"].tolist() == list(range(7))
    assert set(events[["source", "kind", "system", "code"]].itertuples(index=False, name=None)) == {
        ("gp", "event", "snomed", "44054006"),
        ("hospital", "diagnosis", "icd10", "E119"),
        ("hospital", "diagnosis", "icd10", "I10"),
        ("hospital", "procedure", "opcs4", "K401"),
        ("hospital", "death", "icd10", "I219"),
        ("hospital", "death", "icd10", "E119"),
    }


def test_two_projects_share_no_person(tmp_path: Path) -> None:
    ours = run(tmp_path)[3].crosswalk["person_id"]
    theirs = run(tmp_path, key=KEY[::-1])[3].crosswalk["person_id"]
    assert not set(ours) & set(theirs)
    pd.testing.assert_series_equal(ours, run(tmp_path)[3].crosswalk["person_id"])


def test_a_weak_key_builds_nothing(tmp_path: Path) -> None:
    target = tmp_path / "hub.duckdb"
    with pytest.raises(PrivacyError):
        run(tmp_path, target, key=b"short")
    assert not target.exists()


def test_identified_rows_are_never_spilled_beside_the_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    hub, _, _, _ = run(tmp_path)
    assert hub.frame("SELECT current_setting('temp_directory') AS t")["t"][0] == ""
    assert list(folder.iterdir()) == []


def test_the_intake_is_empty_after_it_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "intake.duckdb"
    hub = connect(path)
    read_sources(hub, *sources(tmp_path))
    drop_intake(hub)
    again = connect(path)
    assert again.tables() == []


def test_no_splink_table_with_identifiers_outlives_the_linkage(tmp_path: Path) -> None:
    hub, _, _, _ = run(tmp_path)
    assert [name for name in hub.tables() if not name.startswith("intake.")] == []
    views = hub.frame("SELECT view_name FROM duckdb_views() WHERE NOT internal")["view_name"].tolist()
    assert views == []


def test_only_identity_and_linkage_name_identifier_columns() -> None:
    """Elsewhere in the house no string names a person's name, postcode or NHS number column."""
    allowed = {
        "identity.py",
        "linkage_records.py",
        "linkage_model.py",
        "comparisons.py",
        "nicknames.py",
        "tables.py",
        "staging.py",
        "readers.py",
        # models read the identified tables of a source, as readers.py does
        "fhir.py",
        "fhir_resources.py",
        "omop.py",
    }
    words = ("given_name", "family_name", "postcode", "nhs_number")
    house = Path(cohorts.__file__).parent.parent
    offenders = []
    for package in ("cohorts", "phenotypes", "gwas"):
        for path in sorted((house / package).rglob("*.py")):
            if path.name in allowed or "synthetic" in path.parts:
                continue
            tree = ast.parse(path.read_text(encoding="utf-8"))
            docs = {
                id(n.body[0].value)
                for n in ast.walk(tree)
                if isinstance(n, ast.Module | ast.FunctionDef | ast.ClassDef)
                and n.body
                and isinstance(n.body[0], ast.Expr)
            }
            for node in ast.walk(tree):
                if (
                    isinstance(node, ast.Constant)
                    and isinstance(node.value, str)
                    and id(node) not in docs
                    and any(word in node.value for word in words)
                ):
                    offenders.append(f"{path.relative_to(house)}:{node.lineno}")
    assert offenders == []


def test_nothing_is_written_by_the_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {path: os.stat(path).st_mtime_ns for path in tmp_path.rglob("*")}
    monkeypatch.chdir(tmp_path)
    found = sources(tmp_path)
    before = {path: os.stat(path).st_mtime_ns for path in tmp_path.rglob("*")}
    hub = connect()
    read_sources(hub, *found)
    links = link(hub, seed=1)
    build_hub(hub, links, apply_consent(hub, links), key=KEY)
    assert {path: os.stat(path).st_mtime_ns for path in tmp_path.rglob("*")} == before
