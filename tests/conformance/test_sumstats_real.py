"""Real summary statistics read, harmonised and lifted over; GWAS-SSF judged by the GWAS Catalog's validator."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cohorts.errors import InputError
from gwas.genotypes.chromosomes import canonical_chromosomes
from gwas.harmonising import harmonise
from gwas.liftover import read_chain
from gwas.reference_variants import read_reference_variants
from gwas.sumstats_reader import read_sumstats
from workflows.sumstats import run_convert_sumstats

DataFile = Callable[[str], Path]


@pytest.mark.parametrize(
    ("name", "layout", "rows", "left_out"),
    [
        ("geno_1kg_eur_chr22/ukb_height_chr22.fastGWA.gz", "fastgwa", 15_935, {}),
        ("geno_1kg_eur_bolt/example.stats", "bolt", 5_475, {"no_estimate": 1}),
        ("geno_tooltests/regenie/test_bin_out_firth_Y1.regenie", "regenie", 1_000, {}),
        ("geno_tooltests/saige/example.SAIGE.vcf.genotype.txt", "saige", 9, {}),
        ("sumstats_mr/twosamplemr_telomere_length.txt", "other", 31, {}),
        ("sumstats_misc/gwaslab_to_harmonize.tsv", "other", 15, {}),
    ],
)
def test_files_of_other_programs_are_told_apart_and_read(
    data_file: DataFile, name: str, layout: str, rows: int, left_out: dict[str, int]
) -> None:
    stats = read_sumstats(data_file(name))
    assert stats.origin is not None
    assert (stats.origin.layout, stats.origin.rows, stats.origin.left_out) == (layout, rows, left_out)
    assert len(stats) == rows - sum(left_out.values())


@pytest.mark.parametrize(
    ("name", "columns"),
    [
        ("sumstats_ibd/CD_UKBB.csv.gz", {"effect_allele": "ALT", "other_allele": "REF", "eaf": "AF"}),
        ("sumstats_misc/eduAttainOkbay.txt", {"effect_allele": "A1", "other_allele": "A2"}),
        ("geno_tooltests/PRScs/sumstats.txt", {"effect_allele": "A1", "other_allele": "A2"}),
    ],
)
def test_effect_alleles_that_cannot_be_told_are_asked_for(
    data_file: DataFile, name: str, columns: dict[str, str]
) -> None:
    path = data_file(name)
    with pytest.raises(InputError, match="cannot tell the effect allele"):
        read_sumstats(path)
    stats = read_sumstats(path, columns=columns)
    assert len(stats) > 90
    assert np.isfinite(stats.frame["se"]).all()


def test_a_table_cut_short_in_a_row_is_refused(data_file: DataFile) -> None:
    columns = {"effect_allele": "A2", "other_allele": "A1"}
    with pytest.raises(InputError, match="cannot be read as a table; found Expected 12 columns"):
        read_sumstats(data_file("sumstats_misc/ieu-a-298.tsv.gz"), columns=columns)


def test_dirty_table_is_accounted_for_row_by_row(data_file: DataFile) -> None:
    path = data_file("sumstats_misc/gwaslab_dirty_sumstats.tsv")
    stats = read_sumstats(path)
    assert stats.origin is not None
    assert stats.origin.rows == len(pd.read_csv(path, sep="\t"))
    assert len(stats) == stats.origin.rows - sum(stats.origin.left_out.values())
    assert stats.origin.left_out == {
        "invalid_position": 5, "other_contig": 3, "no_allele": 1, "same_alleles": 1, "p_out_of_range": 2,
        "no_estimate": 1, "frequency_out_of_range": 2, "n_out_of_range": 1,
    }  # fmt: skip


def test_height_statistics_harmonise_to_the_genotypes(data_file: DataFile) -> None:
    stats = read_sumstats(data_file("geno_1kg_eur_chr22/ukb_height_chr22.fastGWA.gz"), build="GRCh37")
    reference = read_reference_variants(data_file("geno_1kg_eur_chr22/1000G_eur_chr22.bim"))
    kept, counts = harmonise(stats, reference, build="GRCh37", palindromic="drop")
    assert counts.rows == 15_935 == counts.kept + sum(counts.reasons.values())
    assert counts.kept + counts.reasons["palindromic"] == 15_935
    theirs = stats.frame.set_index("id").loc[kept.frame["id"]]
    same = theirs["effect_allele"].to_numpy() == kept.frame["effect_allele"].to_numpy()
    np.testing.assert_array_equal(kept.frame["beta"], np.where(same, theirs["beta"], -theirs["beta"]))


def test_lift_over_agrees_with_published_positions(data_file: DataFile) -> None:
    to_38 = read_chain(data_file("ref_chain/hg19ToHg38.over.chain.gz"))
    to_37 = read_chain(data_file("ref_chain/hg38ToHg19.over.chain.gz"))
    scores = [
        pd.read_csv(data_file(f"ref_chain/lift_test_PGS000001_{build}.txt"), sep="\t", comment="#", dtype=str)
        for build in (37, 38)
    ]
    for chain, (source, target) in ((to_38, scores), (to_37, scores[::-1])):
        lifted = chain.lift(
            source["chr_name"].to_numpy(dtype=object), source["chr_position"].astype(np.int64).to_numpy()
        )
        np.testing.assert_array_equal(lifted.pos, target["chr_position"].astype(np.int64))
    panels = [
        pd.read_csv(
            data_file(f"ref_hm3/PAN.hapmap3.{build}.EAF.core.tsv.gz"), sep="\t", usecols=["CHR", "POS"]
        )
        for build in ("hg19", "hg38")
    ]
    chrom = canonical_chromosomes(panels[0]["CHR"].astype(str)).to_numpy(dtype=object)
    pos = panels[0]["POS"].to_numpy(dtype=np.int64)
    lifted = to_38.lift(chrom, pos)
    known = set(zip(panels[1]["CHR"].astype(str), panels[1]["POS"], strict=True))
    agreeing = np.mean([place in known for place in zip(lifted.chrom, lifted.pos, strict=True)])
    assert agreeing > 0.98
    assert np.mean(to_37.lift(lifted.chrom, lifted.pos).pos == pos) > 0.999


def test_names_have_the_positions_that_lift_over_gives(data_file: DataFile) -> None:
    chain = read_chain(data_file("ref_chain/hg19ToHg38.over.chain.gz"))
    columns = {"effect_allele": "ALT", "other_allele": "REF"}
    there = pd.concat(
        read_sumstats(data_file(f"sumstats_ibd/{name}.csv.gz"), columns=columns).frame
        for name in ("CD_UKBB", "CD_FINNGEN")
    ).drop_duplicates("id")
    here = pd.concat(
        read_reference_variants(data_file(name))
        for name in ("geno_1kg_eur_chr22/1000G_eur_chr22.bim", "geno_1kg_eur_bolt/EUR_subset.bim")
    ).drop_duplicates("id")
    both = here.merge(there, on="id", suffixes=("", "_38"))
    lifted = chain.lift(both["chrom"].to_numpy(dtype=object), both["pos"].to_numpy(dtype=np.int64))
    assert len(both) > 200
    np.testing.assert_array_equal(lifted.pos, both["pos_38"])


@pytest.mark.parametrize("p", ["p_value", "neg_log_10_p_value"])
def test_the_catalog_accepts_our_gwas_ssf(tmp_path: Path, gwas_ssf: str, p: str) -> None:
    rng = np.random.default_rng(4)
    rows = 2_200
    frame = pd.DataFrame(
        {
            "CHR": np.repeat(np.arange(1, 23), rows // 22), "SNP": [f"rs{k + 1}" for k in range(rows)],
            "POS": np.tile(np.arange(1, rows // 22 + 1), 22), "A1": "A", "A2": "G", "N": 900,
            "AF1": rng.uniform(0.01, 0.99, rows), "BETA": rng.normal(0, 0.1, rows), "SE": 0.1, "P": "NA",
        }
    )  # fmt: skip
    frame.loc[0, ["BETA", "P"]] = [20.0, "1e-8000"]
    frame.to_csv(tmp_path / "a.fastGWA", sep="\t", index=False)
    files = run_convert_sumstats(
        tmp_path / "a.fastGWA", to="ssf", out=tmp_path / "a", from_build="GRCh37", ssf_p=p,
    )  # fmt: skip
    done = subprocess.run(
        [gwas_ssf, "validate", str(files[0]), "-m", "2000"], capture_output=True, text=True, check=False
    )
    assert "Data table is valid" in done.stdout, done.stdout + done.stderr
    read = subprocess.run([gwas_ssf, "read", "-M", str(files[0])], capture_output=True, text=True, check=True)
    assert "genome_assembly: GRCh37" in read.stdout
