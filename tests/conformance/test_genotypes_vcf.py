"""The same people through VCF, BGEN, BED and PLINK 2's import."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import cyvcf2
import numpy as np
import pandas as pd
import pytest

from gwas.genotypes import Genotypes, open_genotypes

Find = Callable[[str], Path]


def hard(genotypes: Genotypes) -> np.ndarray:
    return np.concatenate([block.dosages() for block in genotypes.blocks()])


def one_alt(genotypes: Genotypes) -> Genotypes:
    place = genotypes.variants.groupby(["chrom", "pos", "id", "ref"])["alt"]
    return genotypes.select(variants=(place.transform("size") == 1).to_numpy())


def imported(plink2: str, vcf: Path, out: Path, *extra: str) -> Path:
    command = [plink2, "--vcf", str(vcf), *extra, "--vcf-half-call", "m", "--max-alleles", "2"]
    done = subprocess.run(
        [*command, "--allow-extra-chr", "--out", str(out)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return out


@pytest.mark.parametrize(
    "name",
    [
        "geno_tiny1000g/tiny1000G.vcf.gz",
        "geno_cineca_chr22/cineca_synthetic_subset.vcf.gz",
        "geno_1kg_chr20_shapeit/scaffold.vcf.gz",
        "geno_aims_1kg/kidd.aisnp.1kg.vcf",
        "geno_tooltests/saige/genotype_100markers.vcf.gz",
        "geno_tooltests/plink2/1kg_phase3_chr21_start.vcf.gz",
    ],
)
def test_hard_calls_are_those_of_plink2(data_file: Find, plink2: str, tmp_path: Path, name: str) -> None:
    vcf = data_file(name)
    peer = open_genotypes(imported(plink2, vcf, tmp_path / "peer", "--make-bed").with_suffix(".bed"))
    ours = one_alt(open_genotypes(vcf))
    assert (ours.n_variants, ours.n_samples) == (peer.n_variants, peer.n_samples)
    assert ours.variants["pos"].equals(peer.variants["pos"])
    assert ours.variants["alt"].equals(peer.variants["alt"])
    np.testing.assert_array_equal(hard(ours), hard(peer))


@pytest.mark.parametrize(
    "name",
    [
        "geno_tooltests/hail/sample.vcf.gz",
        "geno_tooltests/hail/pc_relate_bn_input.vcf.bgz",
        "geno_aims_1kg/seldin.aisnp.1kg.vcf",
        "ref_pharmcat/100samples.vcf.bgz",
    ],
)
def test_every_allele_is_what_htslib_reads(data_file: Find, name: str) -> None:
    path = data_file(name)
    ours = open_genotypes(path)
    row, table = 0, hard(ours)
    for record in cyvcf2.VCF(str(path)):
        numbers = record.genotype.array()[:, :2]
        for allele in range(1, max(len(record.ALT), 1) + 1):
            expected = np.where((numbers < 0).any(axis=1), -9, (numbers == allele).sum(axis=1))
            np.testing.assert_array_equal(table[row], expected)
            assert ours.variants["pos"][row] == record.POS
            row += 1
    assert row == ours.n_variants


def test_cineca_vcf_is_its_bed(data_file: Find) -> None:
    vcf = open_genotypes(data_file("geno_cineca_chr22/cineca_synthetic_subset.vcf.gz"))
    bed = open_genotypes(data_file("geno_cineca_chr22/cineca_synthetic_subset.bed"))
    assert vcf.variants["id"].equals(bed.variants["id"])
    swapped = (vcf.variants["alt"] != bed.variants["alt"]).to_numpy()[:, None]
    calls = hard(bed)
    np.testing.assert_array_equal(hard(vcf), np.where(swapped & (calls >= 0), 2 - calls, calls))


@pytest.mark.parametrize("kind", ["phased", "unphased"])
def test_tiny_vcf_is_its_bgen(data_file: Find, kind: str) -> None:
    vcf = open_genotypes(data_file("geno_tiny1000g/tiny1000G.vcf.gz"))
    bgen = open_genotypes(
        data_file(f"geno_tiny1000g/tiny1000G.{kind}.bgen"),
        sample_file=data_file("geno_tiny1000g/tiny1000G.sample"),
    )
    assert vcf.variants["pos"].equals(bgen.variants["pos"])
    rows = np.arange(vcf.n_variants)
    swapped = (vcf.variants["alt"] != bgen.variants["alt"]).to_numpy()[:, None]
    from_bgen, from_vcf = bgen.reader.read_dosages(rows), vcf.reader.read_dosages(rows)
    from_bgen = np.where(swapped, 2 - from_bgen, from_bgen)
    # the last sample has calls on X in the VCF and none of ALT in the BGEN; PLINK 2 reads both files so too
    from_vcf[(vcf.variants["chrom"] == "X").to_numpy(), -1] = 0
    np.testing.assert_allclose(from_vcf, from_bgen, atol=1e-4, equal_nan=True)


def test_regions_of_the_tiny_vcf_by_its_own_index(data_file: Find, tmp_path: Path) -> None:
    vcf, index = (
        shutil.copy(data_file(f"geno_tiny1000g/tiny1000G.vcf.gz{end}"), tmp_path) for end in ("", ".tbi")
    )
    os.utime(vcf, ns=(0, 10**18))
    os.utime(index, ns=(0, 10**18))
    whole = open_genotypes(vcf)
    chrom, last = whole.variants["chrom"].iloc[600], int(whole.variants["pos"].iloc[600])
    part = open_genotypes(vcf, regions=[f"{chrom}:1-{last}"])
    inside = (whole.variants["chrom"] == chrom) & (whole.variants["pos"] <= last)
    assert 0 < part.n_variants < whole.n_variants
    assert len(part.reader.stream.block_offset) < len(whole.reader.stream.block_offset)
    assert part.variants.equals(whole.variants[inside].reset_index(drop=True))
    np.testing.assert_array_equal(hard(part), hard(whole)[inside.to_numpy()])


def test_dosages_are_those_of_plink2_import(plink2: str, tmp_path: Path, vcf_files) -> None:
    rng = np.random.default_rng(9)
    lines = []
    for number in range(200):
        kind = ["GT:DS", "GT:GP", "GT"][number % 3] if number < 190 else "DS"
        fields = []
        for _ in range(40):
            gp = rng.dirichlet([1, 1, 1]).round(3)
            value = {"DS": f"{rng.uniform(0, 2):.3f}", "GP": ",".join(f"{p:g}" for p in gp)}
            fields.append(":".join("0/1" if key == "GT" else value[key] for key in kind.split(":")))
        fields[0] = ":".join(["./." if key == "GT" else "." for key in kind.split(":")])
        lines.append(f"7 {number + 1} v{number} A C . . . {kind} {' '.join(fields)}")
    for field, kinds in (("DS", ("GT:DS", "GT", "DS")), ("GP", ("GT:GP", "GT"))):
        path = tmp_path / f"{field}.vcf"
        header = vcf_files.HEADER.replace("ID=GP" if field == "DS" else "ID=DS", "ID=ZZ")
        chosen = [line for line in lines if line.split()[8] in kinds]
        path.write_text(vcf_files.text_of(chosen, [f"s{i}" for i in range(40)], header))
        export = ("--export", "A", "--export-allele", str(alleles(tmp_path, chosen)))
        out = imported(plink2, path, tmp_path / field, f"dosage={field}", *export)
        raw = pd.read_csv(out.with_suffix(".raw"), sep="\t").iloc[:, 6:].to_numpy().T
        ours = open_genotypes(path)
        # PLINK 2 keeps dosages in steps of 1/16384 and prints six digits
        np.testing.assert_allclose(
            ours.reader.read_dosages(np.arange(ours.n_variants)), raw, atol=1 / 16384, equal_nan=True
        )


def alleles(folder: Path, lines: list[str]) -> Path:
    path = folder / "alleles.txt"
    path.write_text("".join(f"{line.split()[2]}\t{line.split()[4]}\n" for line in lines))
    return path
