"""BGEN files are read as plink2 reads them, and as the VCF of the same people."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gwas.genotypes import Genotypes, open_genotypes

FILES = [
    "geno_tiny1000g/tiny1000G.phased.bgen",
    "geno_tiny1000g/tiny1000G.unphased.bgen",
    "geno_tooltests/hail/example.8bits.bgen",
    "geno_tooltests/regenie/example.bgen",
    "geno_tooltests/regenie/example_3chr.bgen",
    "geno_tooltests/regenie/example_3chr_zstd.bgen",
]
SAMPLES = {"geno_tooltests/regenie/example_3chr_zstd.bgen": "geno_tooltests/regenie/example_3chr.sample"}

STEP = 1 / 16384
"""plink2 keeps dosages as multiples of this, and prints just the digits that tell them apart."""


def run(*arguments: object) -> None:
    done = subprocess.run([*map(str, arguments), "--threads", "2"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


def dosages(genotypes: Genotypes) -> np.ndarray:
    return genotypes.read_dosage_block(0, genotypes.n_variants).dosages


def exported(prefix: Path) -> np.ndarray:
    """The dosages of a plink2 ``--export A-transpose``, of the allele it counts (ALT)."""
    table = pd.read_csv(prefix.with_suffix(".traw"), sep="\t", na_values="NA", low_memory=False)
    return table.iloc[:, 6:].to_numpy(dtype=float)


def counted_alt(prefix: Path, genotypes: Genotypes) -> None:
    names = genotypes.variants["id"] + "\t" + genotypes.variants["alt"]
    prefix.with_suffix(".alleles").write_text("\n".join(names) + "\n")


@pytest.mark.parametrize("name", FILES)
def test_dosages_calls_and_tables_are_those_of_plink2(name, data_file, plink2, tmp_path):
    path = data_file(name)
    sample = data_file(SAMPLES[name]) if name in SAMPLES else None
    genotypes = open_genotypes(path, sample_file=sample)
    counted_alt(tmp_path / "q", genotypes)
    source = [plink2, "--bgen", path, "ref-first", *(["--sample", sample] if sample else [])]
    out = ["--out", tmp_path / "q"]
    run(*source, "--export", "A-transpose", "--export-allele", tmp_path / "q.alleles", *out)
    peer = exported(tmp_path / "q")
    ours = dosages(genotypes)
    np.testing.assert_array_equal(np.isnan(ours), np.isnan(peer))
    np.testing.assert_allclose(ours, peer, atol=STEP)

    run(*source, "--hard-call-threshold", "0.1", "--make-bed", *out)
    bed = open_genotypes(tmp_path / "q.bed")
    np.testing.assert_array_equal(
        genotypes.read_block(0, genotypes.n_variants).packed, bed.read_block(0, bed.n_variants).packed
    )
    for column in ("chrom", "pos", "id", "ref", "alt"):
        assert genotypes.variants[column].tolist() == bed.variants[column].tolist()
    assert genotypes.samples["iid"].tolist() == bed.samples["iid"].tolist()


@pytest.mark.parametrize("phase", ["phased", "unphased"])
def test_bgen_and_vcf_of_the_same_people_agree(phase, data_file, plink2, tmp_path):
    # these BGENs were written with ALT first
    genotypes = open_genotypes(data_file(f"geno_tiny1000g/tiny1000G.{phase}.bgen"), bgen_ref="last")
    run(
        plink2, "--vcf", data_file("geno_tiny1000g/tiny1000G.vcf.gz"), "--split-par", "hg38",
        "--make-bed", "--out", tmp_path / "q",
    )  # fmt: skip
    bed = open_genotypes(tmp_path / "q.bed")
    assert genotypes.samples["iid"].tolist() == bed.samples["iid"].tolist()
    assert genotypes.variants["pos"].tolist() == bed.variants["pos"].tolist()
    assert genotypes.variants[["ref", "alt"]].equals(bed.variants[["ref", "alt"]])
    # on X the BGEN has its last person, NA21144, without ALT; plink2 reads the same from it
    wrong = np.argwhere(dosages(genotypes) != dosages(bed))
    assert set(wrong[:, 1]) == {genotypes.n_samples - 1}
    assert set(genotypes.variants["chrom"].iloc[wrong[:, 0]]) == {"X"}
    assert len(wrong) == 21


@pytest.fixture(scope="module")
def shapeit(data_file, plink2, tmp_path_factory) -> Path:
    """Phased people of the SHAPEIT reference as PGEN, thinned."""
    prefix = tmp_path_factory.mktemp("shapeit") / "reference"
    run(
        plink2, "--vcf", data_file("geno_1kg_chr20_shapeit/reference.vcf.gz"), "--thin-count", "3000",
        "--seed", "1", "--make-pgen", "--out", prefix,
    )  # fmt: skip
    return prefix


@pytest.mark.parametrize("kind", ["bgen-1.1", "bgen-1.2 bits=8", "bgen-1.2 bits=16", "bgen-1.3 bits=8"])
def test_every_version_of_one_set_is_read_alike(kind, shapeit, plink2, tmp_path):
    run(plink2, "--pfile", shapeit, "--make-bed", "--out", tmp_path / "bed")
    run(
        plink2, "--pfile", shapeit, "--export", kind.split()[0], "ref-first", *kind.split()[1:],
        "--out", tmp_path / "q",
    )  # fmt: skip
    genotypes, bed = open_genotypes(tmp_path / "q.bgen"), open_genotypes(tmp_path / "bed.bed")
    assert genotypes.reader.header.layout == (1 if kind == "bgen-1.1" else 2)
    np.testing.assert_array_equal(dosages(genotypes), dosages(bed))
    np.testing.assert_array_equal(
        genotypes.read_block(0, genotypes.n_variants).packed, bed.read_block(0, bed.n_variants).packed
    )
    assert genotypes.variants["alt"].tolist() == bed.variants["alt"].tolist()


@pytest.mark.parametrize("kind", ["bgen-1.1", "bgen-1.2 bits=8", "bgen-1.2 bits=16", "bgen-1.3 bits=11"])
def test_uncertain_dosages_are_those_of_plink2(kind, data_file, plink2, tmp_path):
    run(
        plink2, "--bgen", data_file("geno_tooltests/hail/example.8bits.bgen"), "ref-first",
        "--export", kind.split()[0], "ref-first", *kind.split()[1:], "--out", tmp_path / "q",
    )  # fmt: skip
    genotypes = open_genotypes(tmp_path / "q.bgen")
    counted_alt(tmp_path / "q", genotypes)
    source = [plink2, "--bgen", tmp_path / "q.bgen", "ref-first", "--sample", tmp_path / "q.sample"]
    run(
        *source, "--export", "A-transpose", "--export-allele", tmp_path / "q.alleles", "--out", tmp_path / "r"
    )  # fmt: skip
    np.testing.assert_allclose(dosages(genotypes), exported(tmp_path / "r"), atol=STEP)
    run(*source, "--hard-call-threshold", "0.1", "--make-bed", "--out", tmp_path / "r")
    bed = open_genotypes(tmp_path / "r.bed")
    np.testing.assert_array_equal(
        genotypes.read_block(0, genotypes.n_variants).packed, bed.read_block(0, bed.n_variants).packed
    )


def test_an_index_changes_nothing_but_the_way_there(data_file, tmp_path):
    for name in ("geno_tooltests/regenie/example", "geno_tooltests/regenie/example_3chr"):
        source = data_file(f"{name}.bgen")
        shutil.copy(source, tmp_path / "plain.bgen")
        assert source.with_name(source.name + ".bgi").exists()
        indexed, plain = open_genotypes(source), open_genotypes(tmp_path / "plain.bgen")
        pd.testing.assert_frame_equal(indexed.variants, plain.variants)
        for part in ("starts", "sizes", "crcs", "n_alleles"):
            np.testing.assert_array_equal(
                getattr(indexed.reader.records, part), getattr(plain.reader.records, part)
            )
        regions = ["1:3-90", "2"] if "3chr" in name else ["1:3-90"]
        chosen = open_genotypes(source, regions=regions)
        assert 88 <= chosen.n_variants < plain.n_variants
        assert len(chosen.reader.records.starts) == chosen.n_variants
        pd.testing.assert_frame_equal(
            chosen.variants, open_genotypes(tmp_path / "plain.bgen", regions=regions).variants
        )
