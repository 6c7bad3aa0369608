"""Phenotypes of .fam and .psam files through careome convert, beside PLINK 2's own files."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from cohorts.errors import InputError
from gwas.genotypes import open_genotypes
from workflows.convert import Target, run_convert
from workflows.genotype_inputs import GenotypeSource

CALLS = b"\x6c\x1b\x01\xe2\x3b"
STATUS = "f1 a 0 0 1 2\nf2 b 0 0 2 1\nf3 c 0 0 0 -9\nf4 d 0 0 1 0\n"
AMOUNT = "0 a 0 0 1 2.5\n0 b 0 0 2 1\n0 c 0 0 0 -9\n0 d 0 0 1 NA\n"
NOBODY = "f1 a 0 0 1 -9\nf2 b 0 0 2 -9\nf3 c 0 0 0 -9\nf4 d 0 0 1 -9\n"
SEVERAL = (
    "#FID\tIID\tSEX\tBMI\tCC\tSITE\nf1\ta\t1\t20.5\t1\tX\nf2\tb\t2\t-9\t2\tY\nf3\tc\tNA\t30\tNA\tNONE\n"
    "f4\td\t1\tNA\t2\tX\n"
)


def fileset(folder: Path, fam: str) -> Path:
    (folder / "s.fam").write_text(fam)
    (folder / "s.bim").write_text("1\tv1\t0\t5\tA\tG\n1\tv2\t0\t9\tA\tG\n")
    (folder / "s.bed").write_bytes(CALLS)
    return folder / "s.bed"


def converted(path: Path, out: Path) -> list[str]:
    targets = [Target(format="bed"), Target(format="pgen"), Target(format="vcf")]
    *_, log = run_convert(source=GenotypeSource(path=path), out=out, targets=targets)
    return log.read_text().splitlines()


def by_plink(plink2: str, *words: str) -> None:
    subprocess.run([plink2, *words, "--silent"], check=True)


@pytest.mark.parametrize("fam", [STATUS, AMOUNT, NOBODY], ids=["status", "amount", "nobody"])
def test_the_phenotype_of_a_fam_is_carried(fam: str, plink2: str, tmp_path: Path) -> None:
    converted(fileset(tmp_path, fam), tmp_path / "ours")
    source = str(tmp_path / "s")
    by_plink(plink2, "--bfile", source, "--make-bed", "--out", f"{tmp_path}/bed")
    by_plink(plink2, "--bfile", source, "--make-pgen", "--out", f"{tmp_path}/pgen")
    assert (tmp_path / "ours.fam").read_text() == (tmp_path / "bed.fam").read_text()
    assert (tmp_path / "ours.psam").read_text() == (tmp_path / "pgen.psam").read_text()


def test_every_column_of_a_psam_is_carried_and_a_fam_has_the_first(plink2: str, tmp_path: Path) -> None:
    by_plink(
        plink2,
        "--bfile",
        str(fileset(tmp_path, NOBODY).with_suffix("")),
        "--make-pgen",
        "--out",
        f"{tmp_path}/p",
    )
    (tmp_path / "p.psam").write_text(SEVERAL)
    log = converted(tmp_path / "p.pgen", tmp_path / "ours")
    by_plink(plink2, "--pfile", f"{tmp_path}/p", "--make-bed", "--out", f"{tmp_path}/bed")
    by_plink(plink2, "--pfile", f"{tmp_path}/p", "--make-pgen", "--out", f"{tmp_path}/pgen")
    assert (tmp_path / "ours.fam").read_text() == (tmp_path / "bed.fam").read_text()
    assert (tmp_path / "ours.psam").read_text() == (tmp_path / "pgen.psam").read_text()
    assert ".fam: of 3 phenotypes the first, BMI" in log
    assert "vcf: phenotypes are not kept (3 of the samples file)" in log


def test_phenotypes_follow_the_samples(tmp_path: Path) -> None:
    genotypes = open_genotypes(fileset(tmp_path, AMOUNT)).select(samples=[3, 0])
    assert genotypes.samples["PHENO1"].tolist() == ["NA", "2.5"]


def test_a_phenotype_named_as_our_columns_is_refused(tmp_path: Path) -> None:
    path = fileset(tmp_path, NOBODY)
    converted(path, tmp_path / "p")
    (tmp_path / "p.psam").write_text("#IID\tsex\na\t1\nb\t1\nc\t1\nd\t1\n")
    with pytest.raises(InputError, match="names a phenotype as a column of samples is named"):
        open_genotypes(tmp_path / "p.pgen")
