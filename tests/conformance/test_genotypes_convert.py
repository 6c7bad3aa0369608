"""One set of genotypes through every format: the same dosages, for careome and for plink2 reading what it wrote."""

from __future__ import annotations

import gzip
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cohorts.errors import DesignError, OutputError
from gwas.genotypes import Genotypes, open_genotypes
from workflows.convert import Target, run_convert
from workflows.genotype_inputs import Filters, GenotypeSource

DataFile = Callable[[str], Path]
SETS = {
    "cineca": "geno_cineca_chr22/cineca_synthetic_subset.pgen",
    "tiny": "geno_tiny1000g/tiny1000G.unphased.bgen",
    "1kg": "geno_1kg_eur_bolt/EUR_subset.bed",
    "shapeit": "geno_1kg_chr20_shapeit/unphased.vcf.gz",
    "genabel": "geno_genabel_ge03d2/ge03d2.bed",
}
TARGETS = {
    "bed": (["bed"], "o.bed", ["--bfile", "o"]),
    "pgen": (["pgen"], "o.pgen", ["--pfile", "o"]),
    "bgen8": (["bgen-1.2", "bits=8"], "o.bgen", ["--bgen", "o.bgen", "ref-first", "--sample", "o.sample"]),
    "bgen16": (["bgen-1.3"], "o.bgen", ["--bgen", "o.bgen", "ref-first", "--sample", "o.sample"]),
    "vcf": (["vcf"], "o.vcf", ["--vcf", "o.vcf"]),
    "vcf.gz": (["vcf", "bgz"], "o.vcf.gz", ["--vcf", "o.vcf.gz"]),
}


def target(name: str) -> Target:
    words = TARGETS[name][0]
    return Target(format=words[0]) if words[0] in ("bed", "pgen") else Target.read(words)  # type: ignore[arg-type]


def values(genotypes: Genotypes) -> np.ndarray:
    """All dosages, or all calls, whichever is used."""
    if genotypes.values == "dosage":
        return np.concatenate([block.dosages for block in genotypes.dosage_blocks(512)])
    calls = np.concatenate([block.dosages() for block in genotypes.blocks(512)]).astype(np.float32)
    calls[calls < 0] = np.nan
    return calls


def known_alleles(variants: pd.DataFrame) -> pd.DataFrame:
    """An allele that is not known is spelled 0, N or . by different formats."""
    return variants[["chrom", "pos", "id", "ref", "alt"]].replace(
        {"ref": {"0": "?", "N": "?", ".": "?"}, "alt": {"0": "?", ".": "?"}}
    )


@pytest.mark.parametrize("name", SETS)
def test_every_format_gives_the_same_dosages(name: str, data_file: DataFile, tmp_path: Path) -> None:
    source = GenotypeSource(path=data_file(SETS[name]))
    opened = source.open()
    few = tmp_path / "few"
    chosen = np.sort(np.random.default_rng(1).permutation(opened.variants["id"].unique())[:300])
    few.write_text("\n".join(chosen))
    wanted = opened.select(variants=opened.variants["id"].isin(chosen).to_numpy())
    expected, calls = values(wanted), np.concatenate([block.dosages() for block in wanted.blocks()])
    for form, (_, file, _) in TARGETS.items():
        run_convert(source=source, out=tmp_path / "o", targets=[target(form)], filters=Filters(extract=few))
        sample = tmp_path / "o.sample" if "bgen" in form else None
        back = open_genotypes(tmp_path / file, sample_file=sample)
        assert back.samples["iid"].tolist() == wanted.samples["iid"].tolist(), form
        pd.testing.assert_frame_equal(
            known_alleles(back.variants), known_alleles(wanted.variants), check_dtype=False
        )
        if form in ("bed", "pgen", "vcf", "vcf.gz"):
            found = np.concatenate([block.dosages() for block in back.blocks()])
            np.testing.assert_array_equal(found, calls, err_msg=form)
        if form != "bed":
            step = {"bgen8": 1 / 255, "pgen": 1 / 32768}.get(form, 2e-5)
            found = np.concatenate([block.dosages for block in back.dosage_blocks()])
            np.testing.assert_allclose(found, expected, rtol=0, atol=step, err_msg=form)


@pytest.fixture(scope="module")
def with_x(plink2: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Dosages on 1, X and MT in people of both sexes, some missing: a PGEN made by plink2."""
    folder = tmp_path_factory.mktemp("x")
    rng = np.random.default_rng(6)
    n, chromosomes = 57, ["1"] * 12 + ["X"] * 12 + ["MT"] * 3
    sex = rng.choice([1, 2], size=n)
    fixed = ["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT"]
    lines = ["##fileformat=VCFv4.2", *(f"##contig=<ID={name}>" for name in dict.fromkeys(chromosomes))]
    lines += ['##FORMAT=<ID=GT,Number=1,Type=String,Description="g">']
    lines += ['##FORMAT=<ID=DS,Number=A,Type=Float,Description="d">']
    lines.append("\t".join([*fixed, *(f"s{i}" for i in range(n))]))
    for row, chrom in enumerate(chromosomes):
        cells = []
        for who in sex:
            alone = chrom == "MT" or (chrom == "X" and who == 1)
            d = round(rng.beta(0.3, 0.5), 3)
            gt = str(round(d)) if alone else ("0/0", "0/1", "1/1")[round(2 * d)]
            cells.append("." if rng.random() < 0.05 else f"{gt}:{d if alone else 2 * d:.3f}")
        lines.append(
            "\t".join([chrom, str(5_000_000 + row), f"v{row}", "A", "C", ".", ".", ".", "GT:DS", *cells])
        )
    (folder / "d.vcf").write_text("\n".join(lines) + "\n")
    (folder / "d.psam").write_text("#IID\tSEX\n" + "".join(f"s{i}\t{s}\n" for i, s in enumerate(sex)))
    words = ["--vcf", folder / "d.vcf", "dosage=DS", "--psam", folder / "d.psam", "--make-pgen"]
    plink(plink2, folder, *words, "--out", "d")
    return folder / "d"


def plink(program: str, folder: Path, *words: object) -> None:
    done = subprocess.run(
        [program, *map(str, words)], capture_output=True, text=True, check=False, cwd=folder
    )
    assert done.returncode == 0, done.stderr


def raw(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, sep="\t").iloc[:, 6:]


@pytest.mark.parametrize("form", TARGETS)
def test_plink2_reads_what_is_written(plink2: str, with_x: Path, tmp_path: Path, form: str) -> None:
    source = GenotypeSource(path=with_x.with_suffix(".pgen"), values="hard-call" if form == "bed" else None)
    run_convert(source=source, out=tmp_path / "o", targets=[target(form)])
    words = TARGETS[form][2]
    if "vcf" in form:
        words = [*words, "dosage=DS", "--psam", with_x.with_suffix(".psam")]
    if form == "pgen":
        plink(plink2, tmp_path, *words, "--validate", "--out", "v")
    plink(plink2, tmp_path, *words, "--export", "A", "--out", "back")
    theirs = ["--pfile", with_x] if form != "bed" else ["--pfile", with_x, "--make-pgen", "erase-dosage"]
    if form == "bed":
        plink(plink2, tmp_path, *theirs, "--out", "hard")
        theirs = ["--pfile", "hard"]
    plink(plink2, tmp_path, *theirs, "--export", "A", "--out", "there")
    ours, wanted = raw(tmp_path / "back.raw"), raw(tmp_path / "there.raw")
    assert ours.shape == wanted.shape
    step = {"bed": 0, "pgen": 0, "bgen8": 2.02 / 255}.get(form, 2e-4)
    np.testing.assert_allclose(ours, wanted, rtol=0, atol=step)


def test_the_same_input_gives_the_same_bytes(with_x: Path, tmp_path: Path) -> None:
    source = GenotypeSource(path=with_x.with_suffix(".pgen"))
    for form in TARGETS:
        first, second = (
            run_convert(source=source, out=tmp_path / out, targets=[target(form)]) for out in ("a", "b")
        )
        for one, other in zip(first[:-1], second[:-1], strict=True):
            assert one.read_bytes() == other.read_bytes()
    text = gzip.decompress((tmp_path / "a.vcf.gz").read_bytes())
    assert text == (tmp_path / "a.vcf").read_bytes()
    assert (tmp_path / "a.vcf.gz").read_bytes().endswith(bytes.fromhex("1b0003000000000000000000"))


def test_filters_and_the_log_tell_what_was_written(with_x: Path, tmp_path: Path) -> None:
    source = GenotypeSource(path=with_x.with_suffix(".pgen"), regions=("X:5000012-5000020",))
    files = run_convert(
        source=source, out=tmp_path / "o", targets=[Target(format="pgen")], filters=Filters(maf=0.05)
    )
    assert [file.name for file in files] == ["o.pgen", "o.pvar", "o.psam", "o.log"]
    log = files[-1].read_text()
    for words in ("; dosages;", "regions: X:5000012-5000020", "--maf 0.05: ", "57 samples"):
        assert words in log
    assert open_genotypes(tmp_path / "o").variants["pos"].between(5_000_012, 5_000_020).all()


def test_nothing_is_overwritten_while_it_is_read_or_promised_and_not_there(
    with_x: Path, tmp_path: Path
) -> None:
    for end in (".pgen", ".pvar", ".psam"):
        shutil.copy(with_x.with_suffix(end), tmp_path / f"d{end}")
    source = GenotypeSource(path=tmp_path / "d.pgen", values="hard-call")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(OutputError, match="would overwrite what is read"):
        run_convert(source=source, out=tmp_path / "d", targets=[Target(format="pgen")])
    with pytest.raises(DesignError, match="vcf-dosage=DS was asked"):
        run_convert(source=source, out=tmp_path / "o", targets=[Target.read(["vcf", "vcf-dosage=DS"])])
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("words", [["bed"], ["vcf", "bits=8"], ["bgen-1.2", "bits=7"], []])
def test_formats_that_are_not_written_are_refused(words: list[str]) -> None:
    with pytest.raises(ValueError, match="--export"):
        Target.read(words)


def matched(one: Genotypes, other: Genotypes) -> tuple[np.ndarray, np.ndarray]:
    """Dosages of two files of the same variants, those of the second turned where REF and ALT are swapped."""
    names, others = (g.samples["iid"].str.split("_").str[-1].tolist() for g in (one, other))
    assert names == others
    assert one.variants["pos"].tolist() == other.variants["pos"].tolist()
    a, b = ([block.dosages for block in g.dosage_blocks(512)] for g in (one, other))
    first, second = np.concatenate(a), np.concatenate(b)
    straight = (one.variants["alt"] == other.variants["alt"]).to_numpy()
    swapped = (one.variants["alt"] == other.variants["ref"]).to_numpy()
    assert (straight | swapped).all()
    return first, np.where((swapped & ~straight)[:, None], 2 - second, second)


@pytest.mark.parametrize(
    ("one", "other", "step"),
    [
        (
            "geno_cineca_chr22/cineca_synthetic_subset.pgen",
            "geno_cineca_chr22/cineca_synthetic_subset.bed",
            0,
        ),
        (
            "geno_cineca_chr22/cineca_synthetic_subset.pgen",
            "geno_cineca_chr22/cineca_synthetic_subset.vcf.gz",
            0,
        ),
        ("geno_tiny1000g/tiny1000G.vcf.gz", "geno_tiny1000g/tiny1000G.unphased.bgen", 2e-5),
        ("geno_tiny1000g/tiny1000G.vcf.gz", "geno_tiny1000g/tiny1000G.phased.bgen", 2e-5),
    ],
)
def test_published_files_of_the_same_people_agree(
    one: str, other: str, step: float, data_file: DataFile
) -> None:
    sample = data_file("geno_tiny1000g/tiny1000G.sample") if other.endswith(".bgen") else None
    first, second = matched(
        open_genotypes(data_file(one)), open_genotypes(data_file(other), sample_file=sample)
    )
    different = np.argwhere(~np.isclose(first, second, rtol=0, atol=step, equal_nan=True))
    if "tiny1000g" in one:
        # The BGENs were written of one man with one X; the VCF has heterozygous calls of him there.
        on_x = (open_genotypes(data_file(one)).variants["chrom"] == "X").to_numpy()
        assert on_x[different[:, 0]].all()
        assert len(different) == 21
        assert set(different[:, 1].tolist()) == {3201}
        return
    assert len(different) == 0


@pytest.mark.parametrize(
    ("words", "file"),
    [
        (["--make-pgen"], "p.pgen"),
        (["--export", "bgen-1.2", "bits=8", "ref-first"], "p.bgen"),
        (["--export", "bgen-1.3", "ref-first"], "p.bgen"),
        (["--export", "vcf", "bgz"], "p.vcf.gz"),
        (["--export", "bcf"], "p.bcf"),
    ],
)
def test_files_that_plink2_converted_agree(
    plink2: str, data_file: DataFile, tmp_path: Path, words: list[str], file: str
) -> None:
    bed = data_file("geno_1kg_eur_bolt/EUR_subset.bed")
    plink(plink2, tmp_path, "--bfile", bed.with_suffix(""), "--chr", "21", *words, "--out", "p")
    sample = tmp_path / "p.sample" if file.endswith(".bgen") else None
    back = open_genotypes(tmp_path / file, sample_file=sample)
    expected = np.concatenate(
        [block.dosages for block in open_genotypes(bed, regions=["21"]).dosage_blocks(512)]
    )
    found = np.concatenate([block.dosages for block in back.dosage_blocks(512)])
    np.testing.assert_array_equal(found, expected)
