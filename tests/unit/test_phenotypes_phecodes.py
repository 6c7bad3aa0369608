"""The phenome: dates, roll-up, exclusions, sex, maps and their faults, and a plain twin."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cohorts.errors import DesignError, InputError
from cohorts.hub import Hub, connect, create_hub_tables
from phenotypes.phecode_lint import lint_phecodes
from phenotypes.phecode_map import PhecodeMap, parents_of
from phenotypes.phenome import Phenome, phecodes
from phenotypes.status import STATUSES

MAP = """vocabulary_id,code,phecode
ICD10,E11,250.2
ICD10,E11.2,250.22
ICD10,E11.3,250.23
ICD10,E10,250.1
ICD10,R73,249
ICD10,C61,185
ICD10,N70,614
ICD10CM,E11.21,250.22
"""
NAMES = """phecode,phenotype,phecode_exclude_range,sex,category
249,high sugar,249-250.99,Both,endocrine
250,diabetes,249-250.99,Both,endocrine
250.1,type 1,249-250.99,Both,endocrine
250.2,type 2,249-250.99,Both,endocrine
250.22,kidneys,249-250.99,Both,endocrine
250.23,eyes,249-250.99,Both,endocrine
185,prostate cancer,185-189.99,Male,neoplasms
614,pelvic inflammation,614-614.99,Female,genitourinary
"""

Rows = list[tuple[int, str, str]]


@pytest.fixture
def maps(tmp_path: Path) -> PhecodeMap:
    return _map(tmp_path)


def _map(folder: Path, text: str = MAP, **options: object) -> PhecodeMap:
    (folder / "map.csv").write_text(text)
    (folder / "names.csv").write_text(NAMES)
    return PhecodeMap.read(folder / "map.csv", names=folder / "names.csv", **options)  # type: ignore[arg-type]


def test_a_map_prints_its_size_and_systems(maps: PhecodeMap) -> None:
    assert repr(maps) == "PhecodeMap(8 phecodes of 7 codes of icd10)"


def _hub(rows: Rows, sexes: str = "FFMU") -> Hub:
    hub = connect()
    create_hub_tables(hub)
    hub.connection.executemany(
        "INSERT INTO people VALUES (?, ?, DATE '1950-01-01')",
        [(i, sex if sex != "U" else None) for i, sex in enumerate(sexes, 1)],
    )
    if rows:
        hub.connection.executemany(
            "INSERT INTO events VALUES (0, ?, CAST(? AS DATE), 'apc', 'diagnosis', 'icd10', ?, NULL, NULL)",
            rows,
        )
    return hub


def _said(phenome: Phenome, phecode: str) -> list[str]:
    return [STATUSES[s] for s in phenome.status(phecode)]


def test_dates_are_counted_for_the_phecode_and_not_for_the_icd_code(maps: PhecodeMap) -> None:
    rows = [(1, "2010-01-01", "E112"), (1, "2011-01-01", "E113")]  # two codes, two days: one case of 250.2
    rows += [(2, "2010-01-01", "E11"), (2, "2010-01-01", "E112")]  # two codes, one day
    with _hub(rows) as hub:
        phenome = phecodes(hub, maps)
    long = phenome.long.set_index(["person_id", "phecode"])["n_dates"]
    assert long[1, "250.2"] == 2
    assert long[1, "250"] == 2
    assert long[1, "250.22"] == 1
    assert long[2, "250.2"] == 1
    assert _said(phenome, "250.2") == ["case", "excluded", "control", "control"]
    assert _said(phenome, "250.22") == ["excluded", "excluded", "control", "control"]


def test_an_exclusion_range_keeps_people_out_of_the_controls_but_not_out_of_the_cases(
    maps: PhecodeMap,
) -> None:
    rows = [(1, "2010-01-01", "R73"), (3, "2010-01-01", "E10"), (3, "2012-01-01", "E11")]
    with _hub(rows) as hub:
        phenome = phecodes(hub, maps, min_dates=1)
    assert _said(phenome, "250.2") == ["excluded", "control", "case", "control"]
    assert _said(phenome, "250.1") == ["excluded", "control", "case", "control"]
    assert _said(phenome, "614") == ["control", "control", "excluded", "unknown"]


def test_a_phecode_of_one_sex_excludes_the_other_and_is_unknown_without_sex(maps: PhecodeMap) -> None:
    with _hub([(p, "2010-01-01", "C61") for p in (1, 3, 4)]) as hub:
        phenome = phecodes(hub, maps, min_dates=1)
    assert _said(phenome, "185") == ["excluded", "excluded", "case", "unknown"]
    row = phenome.counts.set_index("phecode").loc["185"]
    assert [row[s] for s in STATUSES] == [1, 0, 2, 1]


def test_fifth_characters_count_as_the_code_they_begin_with(maps: PhecodeMap) -> None:
    with _hub([(1, "2010-01-01", "E1129"), (2, "2010-01-01", "E119"), (3, "2010-01-01", "Z99")]) as hub:
        phenome = phecodes(hub, maps, min_dates=1)
    assert phenome.codes.set_index("code")["mapped_as"].to_dict() == {
        "E1129": "E112",
        "E119": "E11",
        "Z99": "",
    }
    assert _said(phenome, "250.22")[:2] == ["case", "excluded"]


def test_a_window_and_a_population_bound_what_is_read(maps: PhecodeMap) -> None:
    rows = [(1, "2010-01-01", "E11"), (1, "2012-01-01", "E11"), (2, "2011-01-01", "E11")]
    people = pd.DataFrame({"person_id": [2, 1], "sex": ["F", "F"]})
    with _hub(rows) as hub:
        phenome = phecodes(hub, maps, people, min_dates=1, start=date(2011, 1, 1), end=date(2012, 1, 1))
    assert _said(phenome, "250.2") == ["case", "control"]
    assert phenome.long["first_date"].dt.year.unique().tolist() == [2011]


def test_wide_and_sparse_say_the_same_as_status(maps: PhecodeMap) -> None:
    rows = [(1, "2010-01-01", "E112"), (1, "2011-01-01", "E11"), (2, "2010-01-01", "R73")]
    with _hub(rows) as hub:
        phenome = phecodes(hub, maps, min_dates=2)
    wide = phenome.wide()
    assert list(wide) == ["person_id", "250", "250.2"]
    np.testing.assert_array_equal(wide["250.2"], np.array([1, np.nan, 0, 0]))
    dense = phenome.sparse().toarray()
    assert dense[0, phenome.names.index("250.2")] == 2
    assert dense.sum() == phenome.long["n_dates"].sum()


def test_a_map_of_the_other_icd_is_refused_or_read_for_its_own_codes(tmp_path: Path) -> None:
    assert _map(tmp_path, icd="cm").systems == ("icd10cm",)
    with pytest.raises(InputError, match="holds no code of ICD"):
        _map(tmp_path, "vocabulary_id,code,phecode\nICD9CM,250,250\n")
    with pytest.raises(InputError, match="lacks a column"):
        _map(tmp_path, "a,b\n1,2\n")
    with pytest.raises(InputError, match="file not found"):
        PhecodeMap.read(tmp_path / "absent.csv")


def american(rows: int) -> str:
    """Codes of the clinical modification: most are longer than any of WHO's."""
    return "phecode,icd,flag\n" + "".join(
        f"{250 + n},{'E11.32' + str(n % 10) + '1' if n % 4 else 'E1' + str(n % 10)},10\n" for n in range(rows)
    )


def test_a_map_that_does_not_say_its_icd_is_refused_where_its_codes_are_of_the_other(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"ICD-10-CM, not of WHO.*75% of its 40 codes.*such as E11.*icd='cm'"
    ):
        _map(tmp_path, american(40))
    assert _map(tmp_path, american(40), icd="cm").systems == ("icd10cm",)
    who = "phecode,icd,flag\n250,E11,10\n433,I64,10\n250,E14.9,10\n"
    with pytest.raises(InputError, match=r"WHO's ICD-10, not of .*ICD-10-CM has no E14, I64.*leave icd out"):
        _map(tmp_path, who, icd="cm")
    assert _map(tmp_path, who).systems == ("icd10",)
    plain = "phecode,icd,flag\n" + "".join(
        f"{n % 900},A{n // 10 % 100:02d}.{n % 10},10\n" for n in range(1000)
    )
    with pytest.raises(InputError, match="100% of its 1,000 codes are no longer than WHO's"):
        _map(tmp_path, plain, icd="cm")
    assert _map(tmp_path, plain[: len(plain) // 2].rpartition("\n")[0], icd="cm").systems == ("icd10cm",)


def test_of_a_file_of_both_icds_each_reads_its_own(tmp_path: Path) -> None:
    assert _map(tmp_path, icd="cm").codes["code"].unique().tolist() == ["E1121"]
    assert "E1121" not in set(_map(tmp_path).codes["code"])


def test_the_published_maps_of_who_are_refused_as_american(data_file: Callable[[str], Path]) -> None:
    for name in ("phetk_phecodeX_WHO", "phecode_map_icd10"):
        with pytest.raises(InputError, match="not of the United States"):
            PhecodeMap.read(data_file(f"codes_phecode/{name}.csv.gz"), icd="cm")


def test_without_roll_up_a_parent_has_its_own_codes_alone(tmp_path: Path) -> None:
    assert "250" not in set(_map(tmp_path, rollup=False).phecodes["phecode"])
    rolled = _map(tmp_path)
    assert "250" in set(rolled.phecodes["phecode"])
    assert rolled.codelist("250.2").matches("icd10", "E1123")
    assert rolled.id != _map(tmp_path, rollup=False).id


def test_what_is_not_there_is_refused(maps: PhecodeMap) -> None:
    with _hub([]) as hub:
        phenome = phecodes(hub, maps)
        assert phenome.long.empty
        assert _said(phenome, "250") == ["control"] * 4
        for wrong in ({"min_dates": 0}, {"persons": pd.DataFrame({"person_id": [1, 1], "sex": ["F", "F"]})}):
            with pytest.raises(DesignError):
                phecodes(hub, maps, **wrong)
    with pytest.raises(DesignError, match="no such phecode"):
        phenome.status("999")


def test_the_faults_of_a_map_are_found_with_hypoventilation_among_hyperalimentation(tmp_path: Path) -> None:
    text = "phecode,icd,phecode_string,phecode_category\n" + "".join(
        f"{p},{c},x,{g}\n"
        for p, c, g in [
            ("EM_230", "E64", "Endocrine"), ("EM_231", "E65", "Endocrine"), ("EM_236", "E66", "Endocrine"),
            ("RE_488", "E67", "Respiratory"), ("EM_237", "E67.0", "Endocrine"), ("EM_238", "E68", "Endocrine"),
            ("EM_238", "E68", "Endocrine"), ("", "E70", "Endocrine"), ("EM_239", "E11.3211", "Endocrine"),
        ]
    )  # fmt: skip
    found = lint_phecodes(_map(tmp_path, text))
    assert set(zip(found["rule"], found["line"], strict=True)) == {
        ("apart", 5), ("duplicate", 8), ("no-phecode", 9), ("clinical-modification", 10),
    }  # fmt: skip


def test_the_published_maps_are_read_whole(data_file: Callable[[str], Path]) -> None:
    x = PhecodeMap.read(data_file("codes_phecode/phetk_phecodeX_WHO.csv.gz"))
    assert (len(x.codes), x.codes["code"].nunique(), len(x.phecodes)) == (20255, 8560, 2872)
    assert x.phecodes["sex"].value_counts().to_dict() == {"F": 223, "M": 51}
    assert "apart" in set(lint_phecodes(x)["rule"])
    old = PhecodeMap.read(
        data_file("codes_phecode/phecode_map_icd10.csv.gz"),
        names=data_file("codes_phecode/pheinfo.csv.gz"),
        exclusions=data_file("codes_phecode/phecode_exclude.csv.gz"),
    )
    assert {"249", "250.1", "250.42"} <= old.exclusions["250.2"]
    assert old.phecodes.set_index("phecode").at["250.2", "name"] == "Type 2 diabetes"


def test_a_gzipped_map_and_a_file_of_sexes_are_read(tmp_path: Path) -> None:
    (tmp_path / "map.csv.gz").write_bytes(gzip.compress(MAP.encode()))
    (tmp_path / "sex.csv").write_text(
        "phecode,male_only,female_only\n185,TRUE,FALSE\n614,FALSE,TRUE\n250,FALSE,FALSE\n"
    )
    known = PhecodeMap.read(tmp_path / "map.csv.gz", sex=tmp_path / "sex.csv").phecodes.set_index("phecode")
    assert known["sex"].dropna().to_dict() == {"185": "M", "614": "F"}


def _plain(rows: Rows, maps: PhecodeMap) -> dict[tuple[int, str], int]:
    """Days of each person and phecode, one record at a time."""
    direct: dict[str, set[str]] = {}
    for line in MAP.splitlines()[1:]:
        system, code, phecode = line.split(",")
        if system == "ICD10":
            direct.setdefault(code.replace(".", ""), set()).update((phecode, *parents_of(phecode)))
    days: dict[tuple[int, str], set[str]] = {}
    for person, day, code in rows:
        key = next((code[:n] for n in range(len(code), 2, -1) if code[:n] in direct), None)
        for phecode in direct.get(key or "", ()):
            days.setdefault((person, phecode), set()).add(day)
    return {key: len(found) for key, found in days.items()}


@given(
    st.lists(
        st.tuples(
            st.integers(1, 4),
            st.sampled_from(["2010-01-01", "2010-01-02", "2011-06-30"]),
            st.sampled_from(["E11", "E112", "E1129", "E113", "E109", "R73", "C61", "Z99"]),
        ),
        max_size=15,
    )
)
@settings(max_examples=40, deadline=None)
def test_days_and_counts_equal_those_of_a_plain_twin_and_a_parent_has_no_fewer_than_its_children(
    tmp_path_factory: pytest.TempPathFactory, rows: Rows
) -> None:
    maps = _map(tmp_path_factory.mktemp("maps"))
    with _hub(rows) as hub:
        phenome = phecodes(hub, maps)
    long = phenome.long
    counts = phenome.counts.set_index("phecode")[list(STATUSES)]
    for name in phenome.names:
        tally = np.bincount(phenome.status(name), minlength=len(STATUSES))
        assert counts.loc[name].tolist() == tally.tolist(), name
    found = {
        (int(p), str(c)): int(n)
        for p, c, n in zip(long["person_id"], long["phecode"], long["n_dates"], strict=True)
    }
    assert found == _plain(rows, maps)
    for (person, phecode), n in found.items():
        assert all(found[person, above] >= n for above in parents_of(phecode))
