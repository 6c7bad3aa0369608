"""What a VCF says: calls, dosages, alleles, regions, and what is refused."""

from __future__ import annotations

import gzip
import os
import pickle
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from cohorts.errors import InputError
from gwas.genotypes import Genotypes, open_genotypes

SAMPLES = ["ann", "bob", "cid", "dee"]


@pytest.fixture
def write(tmp_path: Path, vcf_files: ModuleType):
    def of(*lines: str, header: str = vcf_files.HEADER, samples: list[str] = SAMPLES) -> Path:
        path = tmp_path / "study.vcf"
        path.write_text(vcf_files.text_of(lines, samples, header))
        return path

    return of


def hard(genotypes: Genotypes) -> list[list[int]]:
    return np.concatenate([block.dosages() for block in genotypes.blocks(2)]).tolist()


def dosages(genotypes: Genotypes) -> np.ndarray:
    return np.concatenate([block.dosages for block in genotypes.dosage_blocks(2)])


def both(path: Path, vcf_files: ModuleType) -> list[Genotypes]:
    return [open_genotypes(path), open_genotypes(vcf_files.bcf_of(path))]


def test_calls_half_calls_haploid_phase_and_missing(write, vcf_files: ModuleType) -> None:
    path = write(
        "chr22 10 rs1 a c . PASS . GT 0/1 1|1 0|0 ./.",
        "X 20 . A C . PASS . GT:GQ 0/.:3 1:4 0 .",
    )
    for genotypes in both(path, vcf_files):
        assert hard(genotypes) == [[1, 2, 0, -9], [-9, 2, 0, -9]]
        assert genotypes.values == "hard-call"
        assert genotypes.variants[["chrom", "pos", "id", "ref", "alt"]].to_numpy().tolist() == [
            ["22", 10, "rs1", "A", "C"],
            ["X", 20, ".", "A", "C"],
        ]
        assert genotypes.samples["iid"].tolist() == SAMPLES
        assert np.isnan(genotypes.variants["info"]).all()


def test_every_alt_allele_is_a_row(write, vcf_files: ModuleType) -> None:
    path = write(
        "7 10 m A C,<DEL>,* . . R2=0.5 GT 1/2 0/3 2|2 0/0",
        "7 11 n A . . . . GT 0/0 ./. 0/0 0|0",
        "7 12 o A <missing> . . . GT 0/0 ./. 0/0 0|0",
    )
    for genotypes in both(path, vcf_files):
        assert genotypes.variants["alt"].tolist() == ["C", "<DEL>", "*", ".", "."]
        assert hard(genotypes) == [[1, 0, 0, 0], [1, 0, 2, 0], [0, 1, 0, 0], [0, -9, 0, 0], [0, -9, 0, 0]]
        np.testing.assert_allclose(genotypes.variants["info"], [0.5] * 3 + [np.nan] * 2, rtol=1e-6)


def test_dosages_come_from_ds_else_gp_else_gt(write, vcf_files: ModuleType) -> None:
    path = write(
        "7 1 a A C . . . GT:DS 0/1:1.25 1/1:. 0:0.75 ./.:.",
        "7 2 b A C . . . GT:GP 0/0:0.25,0.5,0.25 0/1:0,0,0 1:0.25,0.75 0/1:.",
        "7 3 c A C,G . . . GT:DS 0/1:1.5,0.25 0/2:. 1/2:1,1 0/0:.,0.5",
        "7 4 d A C,G . . . GT:GP 0/0:0.5,0,0,0,0,0.5 0/1:0,0.5,0,0,0.5,0 2:0,0,1 ./.:.",
        "7 5 e A C . . . DS 0.0625 1.0625 1.5 .",
        "7 6 f A C . . . GT 0/1 1/1 ./. 0/0",
    )
    expected = [
        [1.25, 2, 1.5, np.nan],
        [1, 1, 1.5, 1],
        [1.5, 0, 1, 0],
        [0.25, 1, 1, 0.5],
        [0, 1, 0, np.nan],
        [1, 0.5, 2, np.nan],
        [0.0625, 1.0625, 1.5, np.nan],
        [1, 2, np.nan, 0],
    ]
    for genotypes in both(path, vcf_files):
        assert genotypes.values == "dosage"
        assert "dosages from DS, else GP" in genotypes.describe()
        np.testing.assert_array_equal(dosages(genotypes), np.array(expected, np.float32))
        # the file's own call stands; only a record without GT is called from its dosage
        assert hard(genotypes)[:2] == [[1, 2, 0, -9], [0, 1, 2, 1]]
        assert hard(genotypes)[6] == [0, 1, -9, -9]


def test_threshold_rules_calls_of_records_without_gt(write) -> None:
    path = write("7 5 e A C . . . DS 0.1 1.2 1.5 1.75")
    assert hard(open_genotypes(path)) == [[0, -9, -9, -9]]
    assert hard(open_genotypes(path, hard_call_threshold=0.25)) == [[0, 1, -9, 2]]


def test_field_that_the_header_does_not_declare_is_not_read(write, vcf_files: ModuleType) -> None:
    header = vcf_files.HEADER.replace("ID=DS", "ID=XX").replace("ID=GP", "ID=YY")
    genotypes = open_genotypes(write("7 1 a A C . . . GT:DS 0/1:1.25 1/1:. 0/0:0 ./.:.", header=header))
    assert genotypes.values == "hard-call"
    assert "DS not declared and not read" in genotypes.describe()
    with pytest.raises(InputError, match="no dosages"):
        open_genotypes(genotypes.path, values="dosage")


def test_numbers_are_read_as_python_reads_them(write) -> None:
    texts = ["1.1", "0.30000000000000004", "1e-1", "+1.5E0", ".5", "2.", "nan", "0.123456789012345678901"]
    path = write("7 1 a A C . . . DS " + " ".join(texts), samples=[f"s{i}" for i in range(len(texts))])
    np.testing.assert_array_equal(
        dosages(open_genotypes(path))[0], np.array([float(text) for text in texts], np.float32)
    )


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize("form", ["plain", "gzip", "gzip of two members", "bgzf"])
def test_every_compression_gives_the_same_in_any_order(
    tmp_path: Path, vcf_files: ModuleType, form: str, line_end: str
) -> None:
    rng = np.random.default_rng(3)
    lines = vcf_files.random_lines(rng, n_records=60, n_samples=40)
    names = [f"s{i}" for i in range(40)]
    text = vcf_files.text_of(lines, names).replace("\n", line_end).encode()
    (tmp_path / "a.vcf").write_bytes(text)
    data = {
        "plain": text,
        "gzip": gzip.compress(text),
        "gzip of two members": gzip.compress(text[:5000]) + gzip.compress(text[5000:]),
        "bgzf": vcf_files.bgzip(text, 700),
    }[form]
    path = tmp_path / ("b.vcf" if form == "plain" else "b.vcf.gz")
    path.write_bytes(data)
    one, two = open_genotypes(tmp_path / "a.vcf"), open_genotypes(path)
    assert one.variants.equals(two.variants)
    rows = rng.permutation(one.n_variants)
    reader = pickle.loads(pickle.dumps(two.reader))  # noqa: S301
    for chosen in (rows, rows[:5], np.sort(rows)[::3], rows[:0]):
        np.testing.assert_array_equal(two.reader.read_dosages(chosen), one.reader.read_dosages(chosen))
        np.testing.assert_array_equal(reader.read(chosen), one.reader.read(chosen))


def test_bcf_of_htslib_reads_as_its_vcf(tmp_path: Path, vcf_files: ModuleType) -> None:
    lines = vcf_files.random_lines(np.random.default_rng(5), n_records=150, n_samples=30)
    path = tmp_path / "a.vcf"
    path.write_text(vcf_files.text_of(lines, [f"s{i}" for i in range(30)]))
    text, binary = both(path, vcf_files)
    rows = np.arange(text.n_variants)
    assert text.variants.drop(columns="info").equals(binary.variants.drop(columns="info"))
    np.testing.assert_array_equal(text.reader.read(rows), binary.reader.read(rows))
    np.testing.assert_allclose(text.reader.read_dosages(rows), binary.reader.read_dosages(rows), atol=2e-6)


def regional(vcf_files: ModuleType, tmp_path: Path) -> Path:
    lines = [
        f"{chrom} {pos} {chrom}:{pos} A C . . . GT 0/1 1/1 0/0 {pos % 2}/1"
        for chrom in ("chr22", "X", "7")
        for pos in range(1, 400_000, 997)
    ]
    path = tmp_path / "r.vcf.gz"
    path.write_bytes(vcf_files.bgzip(vcf_files.text_of(lines, SAMPLES).encode(), 3000))
    return path


@pytest.mark.parametrize(
    "regions", [["22:5000-9000"], ["X"], ["chrX:1", "7:300000-999999999"], ["22:2-3"], ["1"]]
)
@pytest.mark.parametrize("end", [".tbi", ".csi"])
def test_regions_by_index_are_those_of_a_whole_scan(
    tmp_path: Path, vcf_files: ModuleType, regions: list[str], end: str
) -> None:
    path = regional(vcf_files, tmp_path)
    whole = open_genotypes(path, regions=regions)
    index = vcf_files.index_of(path, end)
    os.utime(index, ns=(path.stat().st_mtime_ns, path.stat().st_mtime_ns + 10**9))
    part = open_genotypes(path, regions=regions)
    if regions != ["1"]:
        assert len(part.reader.stream.block_offset) < len(whole.reader.stream.block_offset)
    assert part.variants.equals(whole.variants)
    rows = np.arange(part.n_variants)
    np.testing.assert_array_equal(part.reader.read(rows), whole.reader.read(rows))


def test_index_older_than_its_file_is_left_alone(tmp_path: Path, vcf_files: ModuleType) -> None:
    path = regional(vcf_files, tmp_path)
    index = vcf_files.index_of(path)
    index.write_bytes(b"not an index")
    os.utime(index, ns=(0, path.stat().st_mtime_ns - 1))
    assert open_genotypes(path, regions=["X:1-2000"]).n_variants == 3
    os.utime(index, ns=(0, path.stat().st_mtime_ns + 1))
    with pytest.raises(InputError, match="not an index"):
        open_genotypes(path, regions=["X"])


def test_index_of_another_file_is_refused(tmp_path: Path, vcf_files: ModuleType) -> None:
    path = regional(vcf_files, tmp_path)
    index = vcf_files.index_of(path)
    path.write_bytes(vcf_files.bgzip(gzip.decompress(path.read_bytes()), 2000))
    os.utime(index, ns=(0, path.stat().st_mtime_ns + 10**9))
    with pytest.raises(InputError, match="cannot be read by its index"):
        open_genotypes(path, regions=["7:200000-210000"])


def test_records_out_of_order_stay_as_they_are(write) -> None:
    path = write("7 9 b A C . . . GT 0/1 0/0 0/0 0/0", "22 5 a A C . . . GT 1/1 0/0 0/0 0/0")
    genotypes = open_genotypes(path)
    assert genotypes.variants["id"].tolist() == ["b", "a"]
    assert genotypes.variants["chrom"].tolist() == ["7", "22"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("7 5 a A C . . . GT 0/1 0/1/1 0/0 0/0", "record 7:5.*more than two alleles"),
        ("7 5 a A C . . . GT 0/1 0/2 0/0 0/0", "an allele that the record does not have"),
        ("7 5 a A C . . . GT 0/1 0x1 0/0 0/0", "a GT that cannot be understood"),
        ("7 5 a A C . . . GT 0/1 0/0:3 0/0 0/0", "more fields than FORMAT"),
        ("7 5 a A C . . . GT:DS 0/1:2.5 0/0 0/0 0/0", "outside 0 to 2"),
        ("7 5 a A C . . . GT:DS 0/1:-1 0/0 0/0 0/0", "outside 0 to 2"),
        ("7 5 a A C . . . GT:DS 1:1.5 0/0 0/0 0/0", "outside 0 to 2"),
        ("7 5 a A C . . . GT:DS 0/1:1,1 0/0 0/0 0/0", "not one number for each allele"),
        ("7 5 a A C,G . . . GT:DS 0/1:1 0/0 0/0 0/0", "not one number for each allele"),
        ("7 5 a A C . . . GT:DS 0/1:1x 0/0 0/0 0/0", "no number"),
        ("7 5 a A C . . . GT:GP 0/1:3,0,40 0/0 0/0 0/0", "does not add up to 1"),
        ("7 5 a A C . . . GT:GP 0/1:1,0,0,0 0/0 0/0 0/0", "not one number for each allele"),
        ("X 5 a A C . . . DS 1 0 0 0", "does not say whether males"),
    ],
)
def test_call_that_makes_no_sense_is_refused_with_its_record(write, line: str, said: str) -> None:
    genotypes = open_genotypes(write(line))
    with pytest.raises(InputError, match=said) as caught:
        genotypes.reader.read_dosages(np.array([0]))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("7 5 a A C . . . GT 0/1 0/0 0/0", "study.vcf:7:5: .*found 12 columns, expected 13"),
        ("7 5 a A C . . . GT 0/1 0/0 0/0 0/0 0/0", "found 14 columns"),
        ("7 five a A C . . . GT 0/1 0/0 0/0 0/0", "cannot be understood"),
        ("7 -5 a A C . . . GT 0/1 0/0 0/0 0/0", "cannot be understood"),
        ("7 99999999999 a A C . . . GT 0/1 0/0 0/0 0/0", "cannot be understood"),
        ("7 5 a A C, . . . GT 0/1 0/0 0/0 0/0", "cannot be understood"),
        ("7 5 a A C . . . DS:GT 1:0/1 0/0 0/0 0/0", "GT must be the first field"),
        ("7 5 a A C . . . GQ 1 2 3 4", "no genotypes"),
    ],
)
def test_line_that_makes_no_sense_is_refused_at_opening(write, line: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        open_genotypes(write(line))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: text.replace("\tFORMAT\tann\tbob\tcid\tdee", ""), "no samples"),
        (lambda text: text.replace("bob", "ann"), "must be there and differ"),
        (lambda text: text.replace("\tbob", "\t"), "must be there and differ"),
        (lambda text: text.replace("#CHROM", "CHROM"), "no line of column names"),
        (lambda text: text.replace("POS\tID", "ID\tPOS"), "names of columns"),
        (lambda text: text[len("##fileformat=VCF") :], "is not a VCF file"),
        (lambda text: text[:-1], "a last line that does not end"),
        (lambda text: text[: text.index("#CHROM")], "a header that does not end"),
        (lambda text: text[: text.index("dee") + 4], "has no records"),
        (lambda text: text + "\n", "wrong number of columns"),
        (lambda text: "", "is not a VCF file"),
    ],
)
def test_file_that_is_no_whole_vcf_is_refused(write, change, said: str) -> None:
    path = write("7 5 a A C . . . GT 0/1 0/0 0/0 0/0")
    path.write_text(change(path.read_text()))
    with pytest.raises(InputError, match=said):
        open_genotypes(path)


def test_file_that_changes_after_opening_is_noticed(write) -> None:
    path = write("7 5 a A C . . . GT 0/1 0/0 0/0 0/0")
    genotypes = open_genotypes(path)
    path.write_text(path.read_text().replace("0/1", "1/1"))
    os.utime(path, ns=(0, 10**18))
    with pytest.raises(InputError, match="changed since it was opened"):
        next(genotypes.blocks())
