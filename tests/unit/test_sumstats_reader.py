"""Telling layouts apart, working out what a file does not say, and refusing what cannot be told."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import zstandard

from cohorts.errors import InputError
from gwas.liftover import lift_over, read_chain
from gwas.reference_variants import read_reference_variants
from gwas.sumstats import FIELDS, SumStats
from gwas.sumstats_layouts import find_columns
from gwas.sumstats_reader import read_sumstats, sumstats_blocks
from gwas.sumstats_writers import fit_layout
from gwas.tails import log10p_normal
from workflows.sumstats import Selection, run_convert_sumstats

HEADERS = {
    "plink2": "#CHROM POS ID REF ALT A1 TEST OBS_CT OR LOG(OR)_SE Z_STAT P ERRCODE",
    "regenie": "CHROM GENPOS ID ALLELE0 ALLELE1 A1FREQ INFO N TEST BETA SE CHISQ LOG10P EXTRA",
    "ssf": "chromosome base_pair_location effect_allele other_allele beta standard_error"
    " effect_allele_frequency p_value",
    "ldsc": "SNP A1 A2 Z N",
    "cojo": "SNP A1 A2 freq b se p N",
    "saige": "CHR POS MarkerID Allele1 Allele2 AC_Allele2 AF_Allele2 BETA SE Tstat var p.value",
    "fastgwa": "CHR SNP POS A1 A2 N AF1 BETA SE P",
    "bolt": "SNP CHR BP GENPOS ALLELE1 ALLELE0 A1FREQ F_MISS BETA SE P_BOLT_LMM_INF P_BOLT_LMM",
    "metal": "MarkerName Allele1 Allele2 Freq1 FreqSE Effect StdErr P-value Direction",
    "other": "rsid chr pos effect_allele other_allele beta se pval",
}
EFFECT = {"regenie": "ALLELE1", "saige": "Allele2", "bolt": "ALLELE1", "metal": "Allele1", "fastgwa": "A1"}


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


@pytest.mark.parametrize("layout", sorted(HEADERS))
def test_a_header_tells_the_layout_and_the_effect_allele(layout: str) -> None:
    found = find_columns(HEADERS[layout].split(), where="x")
    assert found.layout == layout
    if layout in EFFECT:
        assert found.column["effect_allele"] == EFFECT[layout]


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("SNP A1 A2 BETA P", "cannot tell the effect allele"),
        ("CHROM POS REF ALT BETA SE", "cannot tell the effect allele"),
        ("snp ea nea beta logOR se", "several columns could be beta"),
        (
            "SNP A1 A2 freq b se p N CHR POS BETA SE P AF1",
            "could be of several programs; found cojo, fastgwa",
        ),
    ],
)
def test_what_a_header_does_not_tell_is_refused(header: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        find_columns(header.split(), where="x")


def test_columns_that_are_said_settle_it() -> None:
    found = find_columns(
        ["SNP", "A1", "A2", "BETA", "P"], where="x", columns={"effect_allele": "A2", "other_allele": "A1"}
    )
    assert found.column["effect_allele"] == "A2"
    with pytest.raises(InputError, match="no such role or column"):
        find_columns(["SNP", "A1", "A2", "BETA", "P"], where="x", columns={"effect_allele": "EA"})


def test_odds_ratios_become_logarithms_with_the_right_se(tmp_path: Path) -> None:
    odds, log_se = np.array([1.5, 0.4, 3.0, 1.02]), np.array([0.1, 0.2, 0.3, 0.05])
    p = 10 ** -log10p_normal(np.log(odds) / log_se)
    for name, se in (("log", log_se), ("ratio", log_se * odds)):
        rows = "".join(f"rs{k} A G {odds[k]:.9g} {se[k]:.9g} {p[k]:.9g}\n" for k in range(4))
        stats = read_sumstats(write(tmp_path / name, "snp ea nea or se p\n" + rows))
        assert stats.kind == "binary"
        np.testing.assert_allclose(stats.frame["beta"], np.log(odds), rtol=1e-7)
        np.testing.assert_allclose(stats.frame["se"], log_se, rtol=1e-7)
    low, high = odds * np.exp(-1.959963984540054 * log_se), odds * np.exp(1.959963984540054 * log_se)
    rows = "".join(f"rs{k} A G {odds[k]:.9g} {low[k]:.9g} {high[k]:.9g}\n" for k in range(4))
    stats = read_sumstats(write(tmp_path / "ci", "snp ea nea or or_95l or_95u\n" + rows))
    np.testing.assert_allclose(stats.frame["se"], log_se, rtol=1e-6)


def test_p_of_any_size_and_p_written_as_zero(tmp_path: Path) -> None:
    text = (
        "SNP A1 A2 freq b se p N\na A G 0.1 0.5 0.1 1e-784 10\nb A G 0.1 5 0.1 0 10\n"
        "c A G 0.1 NA NA 0 10\nd A G 0.1 0.5 0.1 1.5 10\ne A G 0.1 0.5 NA 4.9E-324 10\nf A G 0.1 1 0.1 NA 10\n"
    )
    stats = read_sumstats(write(tmp_path / "a.ma", text))
    log10p = dict(zip(stats.frame["id"], stats.frame["log10p"], strict=True))
    assert log10p["a"] == pytest.approx(784)
    assert log10p["b"] == pytest.approx(log10p_normal(50.0).item())
    assert log10p["e"] == pytest.approx(324 - np.log10(4.9))
    assert log10p["f"] == pytest.approx(log10p_normal(10.0).item())
    assert stats.origin is not None
    assert stats.origin.left_out == {"p_out_of_range": 1, "p_zero": 1}


def test_every_faulty_row_has_its_reason(tmp_path: Path) -> None:
    good = ["rs1", "1", "5", "A", "G", "0.1", "0.1", "0.3", "0.2", "90"]
    faults = {
        "invalid_position": {2: "12.5"}, "other_contig": {1: "GL000191.1"}, "no_allele": {4: "NA"},
        "same_alleles": {4: "a"}, "p_out_of_range": {7: "-0.1"}, "no_estimate": {5: "NA"},
        "frequency_out_of_range": {8: "1.2"}, "n_out_of_range": {9: "0"}, "no_variant": {0: ".", 2: "NA"},
    }  # fmt: skip
    rows = [good]
    for change in faults.values():
        rows.append([change.get(k, value) for k, value in enumerate(good)])
    path = write(
        tmp_path / "dirty.tsv",
        "\n".join(
            "\t".join(r) for r in [["snp", "chr", "pos", "ea", "nea", "beta", "se", "p", "eaf", "n"], *rows]
        )
        + "\n",
    )
    stats = read_sumstats(path)
    assert stats.origin is not None
    assert stats.origin.left_out == dict.fromkeys(faults, 1)
    assert stats.origin.rows == len(rows)
    assert len(stats) == 1
    parts = list(sumstats_blocks(path, block_bytes=64))
    assert len(parts) > 1
    assert sum(map(len, parts)) == 1
    assert parts[-1].origin == stats.origin


def test_only_the_additive_rows_of_plink_count(tmp_path: Path) -> None:
    head = "#CHROM\tPOS\tID\tREF\tALT\tA1\tOMITTED\tTEST\tOBS_CT\tBETA\tSE\tT_STAT\tP\tERRCODE\n"
    rows = (
        "1\t5\trs1\tA\tC,G\tG\tC\tADD\t90\t0.1\t0.1\t1\t0.3\t.\n"
        "1\t5\trs1\tA\tC,G\tG\tC\tCOV1\t90\t0.7\t0.1\t7\t1e-9\t.\n"
        "1\t6\trs2\tA\tC\tA\tC\tADD\t90\tNA\tNA\tNA\tNA\tCONST_ALLELE\n"
    )
    stats = read_sumstats(write(tmp_path / "a.glm.linear", head + rows))
    assert stats.frame[["effect_allele", "other_allele", "beta"]].values.tolist() == [["G", "C", 0.1]]
    assert stats.origin is not None
    assert stats.origin.left_out == {"other_test": 1, "no_estimate": 1}
    bare = head.replace("OMITTED\t", "") + rows.replace("G\tC\tADD", "G\tADD").replace(
        "G\tC\tCOV1", "G\tCOV1"
    )
    bare = bare.replace("A\tC\tADD", "A\tADD")
    assert read_sumstats(write(tmp_path / "b.glm.linear", bare)).frame["other_allele"].tolist() == ["A"]


@pytest.mark.parametrize("codec", ["gz", "zst", "parquet"])
def test_packed_files_read_alike_and_damaged_ones_are_refused(tmp_path: Path, codec: str) -> None:
    rng = np.random.default_rng(3)
    rows = [f"rs{k} A G 0.2 {rng.normal():.6f} 0.1 {rng.uniform():.6f} 90" for k in range(4000)]
    text = "SNP A1 A2 freq b se p N\n" + "\n".join(rows) + "\n"
    plain = read_sumstats(write(tmp_path / "plain.ma", text))
    path = tmp_path / f"a.{codec}"
    if codec == "parquet":
        pd.read_csv(tmp_path / "plain.ma", sep=" ").to_parquet(path)
        whole = path.read_bytes()
    else:
        half = len(text) // 2
        parts = [text[:half].encode(), text[half:].encode()]
        whole = b"".join(gzip.compress(p) if codec == "gz" else zstandard.compress(p) for p in parts)
        path.write_bytes(whole)
    pd.testing.assert_frame_equal(read_sumstats(path).frame, plain.frame)
    path.write_bytes(whole[: len(whole) * 2 // 3])
    with pytest.raises(InputError, match="cannot be read as a table"):
        read_sumstats(path)


def test_a_row_with_too_few_fields_is_refused_without_its_values(tmp_path: Path) -> None:
    text = "SNP\tA1\tA2\tfreq\tb\tse\tp\tN\nrs1\tA\tG\t0.2\t0.1\t0.1\t0.3\t90\nsecret\tA\n"
    with pytest.raises(InputError, match="cannot be read as a table") as caught:
        read_sumstats(write(tmp_path / "a.ma", text))
    assert "secret" not in str(caught.value)


def test_z_scores_alone_have_no_effect_of_an_allele(tmp_path: Path) -> None:
    stats = read_sumstats(write(tmp_path / "a.sumstats", "SNP A1 A2 Z N\nrs1 A G -3 100\nrs2 A G 50 900\n"))
    assert stats.scale == "standardised"
    assert (stats.frame["beta"] / stats.frame["se"]).tolist() == pytest.approx([-3, 50])
    with pytest.raises(InputError, match="no effect of an allele"):
        fit_layout(stats, "cojo")


def chain_file(path: Path) -> Path:
    """Source 0-50 to target 100-150; 60-100 to the reverse strand; 50-60 lost; 90-100 twice."""
    return write(
        path,
        "chain 1 chr1 1000 + 0 50 chr1 1000 + 100 150 1\n50\n\n"
        "chain 1 chr1 1000 + 60 100 chr1 1000 - 100 140 2\n40\n\n"
        "chain 1 chr1 1000 + 90 110 chr1 1000 + 400 420 3\n10 5 5\n5\n\n"
        "chain 1 chr2 1000 + 0 50 chr3 1000 + 0 50 4\n50\n\n",
    )


def test_lift_over_moves_complements_and_counts(tmp_path: Path) -> None:
    rows = [
        ("1", 1, "first", "A", "C"), ("1", 50, "last", "A", "C"), ("1", 51, "lost", "A", "C"),
        ("1", 50, "beyond", "AT", "A"), ("1", 61, "reverse", "A", "C"), ("1", 62, "indel", "AC", "A"),
        ("1", 95, "twice", "A", "C"), ("1", 108, "after", "A", "C"), ("2", 5, "away", "A", "C"),
        ("MT", 7, "mt", "A", "C"), ("", -1, "nowhere", "A", "C"), ("9", 7, "no chain", "A", "C"),
    ]  # fmt: skip
    frame = pd.DataFrame(rows, columns=FIELDS[:5]).assign(
        beta=0.1, se=0.1, log10p=0.5, eaf=0.2, n=90.0, info=np.nan
    )
    chain = read_chain(chain_file(tmp_path / "a.chain"))
    stats, counts = lift_over(SumStats("t", frame, build="old"), chain, to_build="new")
    assert stats.build == "new"
    moved = stats.frame.set_index("id")
    assert moved["pos"].to_dict() == {"first": 101, "last": 150, "reverse": 900, "after": 418, "mt": 7}
    assert moved.loc["reverse", ["effect_allele", "other_allele"]].tolist() == ["T", "G"]
    assert counts.reasons == {
        "no_position": 1, "unmapped": 2, "multiple": 1, "other_chromosome": 1, "spans_a_gap": 1,
        "indel_on_other_strand": 1,
    }  # fmt: skip
    assert counts.reverse == 1


@pytest.mark.parametrize(
    "text",
    ["", "50\n", "chain 1 chr1 9 + 0 5 chr1 9 + 0 5 1\n4\n", "chain 1 chr1 9 + 0 5 chr1 9 + 0 5 1\n5 1 1\n"],
)
def test_a_chain_file_that_does_not_add_up_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError, match="not a whole chain file"):
        read_chain(write(tmp_path / "a.chain", text))


def test_conversion_tells_what_it_did_at_every_step(tmp_path: Path) -> None:
    source = write(
        tmp_path / "t.fastGWA",
        "CHR\tSNP\tPOS\tA1\tA2\tN\tAF1\tBETA\tSE\tP\n"
        "1\trs1\t5\tA\tG\t900\t0.3\t0.5\t0.1\t5.7e-7\n1\trs2\t6\tT\tC\t900\t0.3\t0.5\t0.1\t5.7e-7\n"
        "1\trs3\t7\tA\tG\t900\t0.001\t0.5\t0.1\t5.7e-7\n1\trs4\t55\tA\tG\t900\t0.3\t0.5\t0.1\t5.7e-7\n"
        "1\trs5\t8\tA\tG\t900\t0.3\t0.5\t0.1\t0.9\n1\trs6\t9\tA\tG\t900\t0.3\t0.5\t0.1\t5.7e-7\n",
    )
    lines = [
        "##fileformat=VCFv4.2",
        "#CHROM POS ID REF ALT INFO",
        "1 105 rs1 G A AF=0.3",
        "1 106 rs2 A G AF=0.7",
    ]
    reference = write(tmp_path / "sites.vcf", "\n".join(line.replace(" ", "\t") for line in lines) + "\n")
    assert read_reference_variants(reference)["alt_freq"].tolist() == [0.3, 0.7]
    metadata = write(
        tmp_path / "m.yaml", "genotyping_technology: array\nsamples: [{sample_ancestry_category: European}]\n"
    )
    files = run_convert_sumstats(
        source, to="ssf", out=tmp_path / "out", from_build="GRCh37", to_build="GRCh38",
        chain=chain_file(tmp_path / "a.chain"), reference=reference, selection=Selection(maf=0.01, p=0.5),
        metadata=metadata,
    )  # fmt: skip
    assert [file.name for file in files] == ["out.tsv", "out.tsv-meta.yaml", "out.log"]
    back = read_sumstats(files[0])
    assert back.frame[["pos", "effect_allele", "beta"]].values.tolist() == [[105, "A", 0.5], [106, "G", -0.5]]
    log = files[-1].read_text()
    for line in (
        "lift-over: 6 rows, 5 lifted over (0 on the other strand), 1 unmapped",
        "filter maf: 1 rows left out",
        "filter p: 1 rows left out",
        "harmonised: 3 rows, 2 kept (1 swapped, 1 on the other strand, 0 palindromic), 1 not_found",
        "2 rows written",
    ):
        assert line in log
    assert "still lack" not in log
    assert "genome_assembly: GRCh38" in files[1].read_text()
    with pytest.raises(InputError, match="leaves no row"):
        run_convert_sumstats(source, to="cojo", out=tmp_path / "none", selection=Selection(p=1e-9))
    assert not (tmp_path / "none.ma").exists()


def test_a_folder_of_traits_is_read_by_trait(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    for trait in ("height", "weight"):
        (tmp_path / "run.parquet" / f"trait={trait}").mkdir(parents=True)
        for part in range(2):
            table = pa.table(
                {"SNP": [f"{trait}{part}"], "A1": ["A"], "A2": ["G"], "freq": [0.1], "b": [0.2], "se": [0.1],
                 "p": [0.05], "N": [100]}
            )  # fmt: skip
            pq.write_table(table, tmp_path / "run.parquet" / f"trait={trait}" / f"part-{part}.parquet")
    stats = read_sumstats(tmp_path / "run.parquet", trait="weight")
    assert (stats.trait, stats.frame["id"].tolist()) == ("weight", ["weight0", "weight1"])
    with pytest.raises(InputError, match="several traits; found 2 traits: height, weight"):
        read_sumstats(tmp_path / "run.parquet")
    with pytest.raises(InputError, match="no trait named bmi"):
        read_sumstats(tmp_path / "run.parquet", trait="bmi")
    assert read_sumstats(tmp_path / "run.parquet" / "trait=height").trait == "height"
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no Parquet file"):
        read_sumstats(tmp_path / "empty")
