"""What a BGEN says of its variants and people, and how a .sample file adds to it."""

from __future__ import annotations

import importlib.util
import pickle
import re
import sqlite3
import sys
from pathlib import Path

import numpy as np
import pytest

from cohorts.errors import InputError
from gwas.genotypes import open_genotypes
from gwas.genotypes.oxford_samples import read_sample_file

_SPEC = importlib.util.spec_from_file_location("bgen_files", Path(__file__).parents[1] / "bgen_files.py")
assert _SPEC is not None
assert _SPEC.loader is not None
bgen_files = importlib.util.module_from_spec(_SPEC)
sys.modules["bgen_files"] = bgen_files
_SPEC.loader.exec_module(bgen_files)

PEOPLE = ["a", "b", "c"]


def write(path: Path, *, samples=PEOPLE, **changes) -> Path:
    rng = np.random.default_rng(4)
    variants = [bgen_files.random_variant(rng, 3, name=str(j)) for j in range(4)]
    for name, values in changes.items():
        for variant, value in zip(variants, values, strict=True):
            setattr(variant, name, value)
    path.write_bytes(bgen_files.File(variants, samples).write())
    return path


def refusal(path: Path, **options) -> str:
    with pytest.raises(InputError) as caught:
        open_genotypes(path, **options)
    message = str(caught.value)
    assert "\n" not in message
    return message


def sample_file(path: Path, *lines: str) -> Path:
    path.write_text("".join(line + "\n" for line in lines))
    return path


def make_index(path: Path, **changes) -> None:
    """A bgenix index of the file, or one that differs in one thing."""
    reader = open_genotypes(path).reader
    table = open_genotypes(path).variants
    size = changes.get("size", path.stat().st_size)
    first = changes.get("first", path.read_bytes()[:1000])
    with sqlite3.connect(path.with_name(path.name + ".bgi")) as database:
        database.execute(
            "CREATE TABLE Metadata (filename, file_size INT, last_write_time, first_1000_bytes BLOB, x)"
        )
        database.execute("INSERT INTO Metadata VALUES ('f', ?, 0, ?, 0)", (size, first))
        database.execute(
            "CREATE TABLE Variant (chromosome, position, rsid, number_of_alleles, allele1, allele2,"
            " file_start_position INT, size_in_bytes INT)"
        )
        for j in range(changes.get("count", len(table))):
            row = table.iloc[j]
            chrom, rsid = changes.get("chrom", row["chrom"]), changes.get("rsid", row["id"])
            place = int(reader.records.starts[j]), int(reader.records.sizes[j]) + changes.get("longer", 0)
            values = (chrom, int(row["pos"]), rsid, 2, row["ref"], row["alt"], *place)
            database.execute("INSERT INTO Variant VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)


def test_identifier_is_the_rsid_and_the_other_where_there_is_none(tmp_path):
    path = write(
        tmp_path / "s.bgen",
        rsid=["rs7", "", ".", ""], varid=["1:7_A_C", "1:8_A_C", "1:9_A_C", ""], chrom=["", "chr07", "23", "PAR1"],
    )  # fmt: skip
    table = open_genotypes(path).variants
    assert table["id"].tolist() == ["rs7", "1:8_A_C", "1:9_A_C", "."]
    assert table["chrom"].tolist() == ["0", "7", "X", "XY"]


def test_every_alt_of_a_record_has_a_row(tmp_path):
    rng = np.random.default_rng(1)
    variants = [bgen_files.random_variant(rng, 3, n_alleles=k, name=str(k), missing=0) for k in (2, 4, 1, 3)]
    (tmp_path / "s.bgen").write_bytes(bgen_files.File(variants, PEOPLE).write())
    genotypes = open_genotypes(tmp_path / "s.bgen")
    assert genotypes.variants["alt"].tolist() == ["C", "C", "GT", "T", ".", "C", "GT"]
    assert genotypes.variants["id"].tolist() == ["rs2", "rs4", "rs4", "rs4", "rs1", "rs3", "rs3"]
    whole = genotypes.read_dosage_block(0, 7).dosages
    parts = [genotypes.read_dosage_block(j, j + 1).dosages for j in range(7)]
    np.testing.assert_array_equal(whole, np.concatenate(parts))
    assert whole[1:4].sum(axis=0).max() <= 2 + 1e-5
    assert (whole[4] == 0).all()


def test_log_line_says_what_ref_is_and_how_calls_are_made(tmp_path):
    genotypes = open_genotypes(write(tmp_path / "s.bgen"), hard_call_threshold=0.25)
    assert "dosages; BGEN, REF = first allele; hard calls within 0.25" in genotypes.describe()
    assert open_genotypes(tmp_path / "s.bgen", values="hard-call").values == "hard-call"


def test_reader_travels_to_another_process(tmp_path):
    names = ["person 1", "person 2", "person 3"]
    reader = open_genotypes(write(tmp_path / "s.bgen", samples=names)).reader
    again = pickle.loads(pickle.dumps(reader))  # noqa: S301
    rows = np.array([2, 0])
    np.testing.assert_array_equal(again.read_dosages(rows), reader.read_dosages(rows))
    assert b"person" not in pickle.dumps(reader)


def test_samples_come_from_the_sample_file_beside_a_bgen_without_names(tmp_path):
    path = write(tmp_path / "s.bgen", samples=None)
    assert "holds no sample identifiers" in refusal(path)
    sample_file(
        tmp_path / "s.sample",
        "ID_1 ID_2 missing sex age",
        "0 0 0 D C",
        "f a 0 1 5",
        "f b 0 2 6",
        "g c 0 NA 7",
    )
    samples = open_genotypes(path).samples
    assert samples["fid"].tolist() == ["f", "f", "g"]
    assert samples["iid"].tolist() == PEOPLE
    assert samples["sex"].tolist() == ["M", "F", None]


def test_sample_file_adds_sex_to_a_bgen_with_names(tmp_path):
    path = write(tmp_path / "s.bgen")
    assert open_genotypes(path).samples["sex"].tolist() == [None] * 3
    given = sample_file(tmp_path / "x.sample", "ID missing Sex", "0 0 D", "a 0 male", "b 0 F", "c 0 0")
    samples = open_genotypes(path, sample_file=given).samples
    assert samples["sex"].tolist() == ["M", "F", None]
    assert samples["fid"].tolist() == ["0"] * 3
    # beside the file, but the file names its people itself
    sample_file(tmp_path / "s.sample", "ID", "0", "z")
    assert open_genotypes(path).samples["iid"].tolist() == PEOPLE


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (("ID_1 ID_2", "0 0", "a a", "b b"), "another number of samples"),
        (("ID_1 ID_2", "0 0", "a a", "c c", "b b"), "names other samples.*found 2 of 3"),
        (("ID_1 ID_2", "a a", "b b", "c c"), "not an Oxford .sample file"),
        (("ID_1 ID_2", "0 0", "a a", "b", "c c"), "x.sample:4: a line cannot be understood"),
        (("ID_1 ID_2 sex", "0 0 D", "a a 1", "b b 7", "c c 2"), "x.sample:4: a sex cannot be understood"),
        (("", ""), "not an Oxford .sample file"),
    ],
)
def test_a_sample_file_of_other_people_is_refused(tmp_path, lines, expected):
    path = write(tmp_path / "s.bgen")
    assert re.search(expected, refusal(path, sample_file=sample_file(tmp_path / "x.sample", *lines)))


def test_names_joined_by_plink_match_their_sample_file(tmp_path):
    path = write(tmp_path / "s.bgen", samples=["f_a", "f_b", "f_c"])
    given = sample_file(tmp_path / "x.sample", "ID_1 ID_2 missing", "0 0 0", "f a 0", "f b 0", "f c 0")
    assert open_genotypes(path, sample_file=given).samples["iid"].tolist() == PEOPLE


def test_a_sample_that_occurs_twice_is_refused(tmp_path):
    assert "occurs twice" in refusal(write(tmp_path / "s.bgen", samples=["a", "b", "a"]))
    assert "control characters" in refusal(write(tmp_path / "t.bgen", samples=["a", "b", "c\n"]))


def test_sample_file_that_is_missing_or_not_text_is_refused(tmp_path):
    with pytest.raises(InputError, match="file not found"):
        read_sample_file(tmp_path / "none.sample")
    (tmp_path / "x.sample").write_bytes(b"ID\n0\n\xff\xfe\n")
    with pytest.raises(InputError, match="UTF-8"):
        read_sample_file(tmp_path / "x.sample")


def test_an_index_of_this_file_is_used(tmp_path, monkeypatch):
    path = write(tmp_path / "s.bgen")
    plain = open_genotypes(path)
    make_index(path)
    monkeypatch.setattr("gwas.genotypes.bgen.scan", lambda *_: pytest.fail("scanned"))
    indexed = open_genotypes(path)
    assert indexed.variants.equals(plain.variants)
    np.testing.assert_array_equal(indexed.reader.records.crcs, plain.reader.records.crcs)


@pytest.mark.parametrize(
    "changes", [{"size": 7}, {"first": b"bgen"}, {"count": 3}, {"longer": 1}, {"chrom": 5}, {"chrom": "\n"}]
)
def test_an_index_of_another_file_is_left_aside(tmp_path, changes):
    path = write(tmp_path / "s.bgen")
    plain = open_genotypes(path)
    make_index(path, **changes)
    assert open_genotypes(path).variants.equals(plain.variants)


def test_a_damaged_or_computed_index_is_left_aside(tmp_path):
    path = write(tmp_path / "s.bgen")
    plain = open_genotypes(path)
    index = tmp_path / "s.bgen.bgi"
    for content in (b"", b"SQLite format 3\0" + bytes(200), b"not a database" * 99):
        index.write_bytes(content)
        assert open_genotypes(path).variants.equals(plain.variants)
    index.unlink()
    make_index(path)
    with sqlite3.connect(index) as database:
        database.execute("ALTER TABLE Variant RENAME TO Real")
        database.execute(
            "CREATE VIEW Variant AS WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) SELECT * FROM t"
        )
    assert open_genotypes(path).variants.equals(plain.variants)


def test_an_index_that_names_other_variants_is_found_out_when_they_are_read(tmp_path):
    path = write(tmp_path / "s.bgen")
    make_index(path, rsid="rs99")
    genotypes = open_genotypes(path)
    with pytest.raises(InputError, match=r"not the one that was there, or that its index names.*old \.bgi"):
        genotypes.read_dosage_block(0, 1)


def test_a_file_that_changes_after_it_was_opened_is_refused(tmp_path):
    path = write(tmp_path / "s.bgen")
    genotypes = open_genotypes(path)
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(InputError, match="nothing writes to the file"):
        genotypes.read_block(0, 4)
    path.unlink()
    with pytest.raises(InputError, match="cannot be read"):
        genotypes.read_block(0, 4)
