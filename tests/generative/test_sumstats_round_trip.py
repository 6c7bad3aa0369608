"""Summary statistics of any numbers: written and read back, turned round, named on the other strand."""

from __future__ import annotations

import string
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gwas.harmonising import harmonise
from gwas.sumstats import FIELDS, SumStats, to_plink, to_regenie
from gwas.sumstats_reader import read_sumstats
from gwas.sumstats_writers import as_results, fit_layout, to_cojo, to_gwas_ssf, to_ldsc, to_saige
from gwas.tails import log10p_normal

COMPLEMENT = str.maketrans("ACGT", "TGCA")
WRITERS: dict[str, Callable[[SumStats], pd.DataFrame]] = {
    "plink2": lambda s: to_plink(as_results(s), kind="binary" if s.kind == "binary" else "quantitative"),
    "regenie": lambda s: to_regenie(as_results(s)),
    "ssf": to_gwas_ssf,
    "ldsc": to_ldsc,
    "cojo": to_cojo,
    "saige": to_saige,
}
KEPT = {
    "plink2": ["chrom", "pos", "id", "effect_allele", "other_allele", "beta", "se", "log10p", "eaf", "n"],
    "regenie": ["chrom", "pos", "id", "effect_allele", "other_allele", "beta", "se", "log10p", "eaf", "n"],
    "ssf": [
        "chrom",
        "pos",
        "id",
        "effect_allele",
        "other_allele",
        "beta",
        "se",
        "log10p",
        "eaf",
        "n",
        "info",
    ],
    "ldsc": ["id", "effect_allele", "other_allele", "n"],
    "cojo": ["id", "effect_allele", "other_allele", "beta", "se", "log10p", "eaf", "n"],
    "saige": [
        "chrom",
        "pos",
        "id",
        "effect_allele",
        "other_allele",
        "beta",
        "se",
        "log10p",
        "eaf",
        "n",
        "info",
    ],
}


@st.composite
def statistics(draw: st.DrawFn) -> SumStats:
    rows = draw(st.integers(1, 12))
    alleles = st.sampled_from(["AC", "AG", "CA", "CT", "GA", "TG", "AT", "CG", "TA", "GC"])
    pairs = draw(st.lists(alleles, min_size=rows, max_size=rows))
    se = draw(st.lists(st.floats(1e-4, 3), min_size=rows, max_size=rows))
    z = draw(st.lists(st.floats(-80, 80).filter(lambda v: abs(v) > 1e-3), min_size=rows, max_size=rows))
    beta = np.clip(np.array(z) * np.array(se), -20, 20)
    frame = pd.DataFrame(
        {
            "chrom": sorted(draw(st.lists(st.sampled_from(["1", "2", "7"]), min_size=rows, max_size=rows))),
            "pos": np.arange(1, rows + 1, dtype=np.int64) * draw(st.integers(1, 10_000_000)),
            "id": [f"rs{k + 1}" for k in range(rows)],
            "effect_allele": [pair[0] for pair in pairs],
            "other_allele": [pair[1] for pair in pairs],
            "beta": beta,
            "se": se,
            "log10p": log10p_normal(beta / np.array(se)),
            "eaf": draw(st.lists(st.floats(0.01, 0.99), min_size=rows, max_size=rows)),
            "n": [float(v) for v in draw(st.lists(st.integers(3, 10**7), min_size=rows, max_size=rows))],
            "info": draw(st.lists(st.floats(0, 1), min_size=rows, max_size=rows)),
        }
    )
    kind = draw(st.sampled_from([None, "quantitative", "binary"]))
    return SumStats("t", frame[list(FIELDS)], kind)


@pytest.mark.parametrize("layout", sorted(WRITERS))
@settings(max_examples=25, deadline=None)
@given(stats=statistics(), packed=st.booleans())
def test_what_is_written_is_read_back(layout: str, stats: SumStats, packed: bool) -> None:
    fitting, unfit = fit_layout(stats, layout)  # type: ignore[arg-type]
    assert len(fitting) + sum(unfit.values()) == len(stats)
    if not len(fitting):
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / ("a.txt.gz" if packed else "a.txt")
        table = WRITERS[layout](fitting)
        table.to_csv(
            path, sep="\t", index=False, na_rep="#NA" if layout == "ssf" else "NA", float_format="%.9g"
        )
        found = read_sumstats(path)
    assert found.origin is not None
    assert found.origin.layout == layout
    assert found.origin.left_out == {}
    for name in KEPT[layout]:
        ours, theirs = fitting.frame[name], found.frame[name]
        if name in ("chrom", "id", "effect_allele", "other_allele", "pos"):
            assert theirs.tolist() == ours.tolist(), name
        else:
            np.testing.assert_allclose(theirs, ours, rtol=3e-8, atol=1e-8, err_msg=name)
    z = fitting.frame["beta"] / fitting.frame["se"]
    # An odds ratio's nine digits are an absolute error of its logarithm.
    off = (found.frame["beta"] / found.frame["se"] - z).abs()
    assert (off <= 3e-8 * z.abs() + 2e-8 / fitting.frame["se"].clip(upper=1.0)).all()


def turned(stats: SumStats, rows: np.ndarray, *, other_strand: np.ndarray) -> SumStats:
    """The same associations told of the other allele, or with alleles named on the other strand."""
    frame = stats.frame.copy()
    frame["beta"] = np.where(rows, -frame["beta"], frame["beta"])
    frame["eaf"] = np.where(rows, 1 - frame["eaf"], frame["eaf"])
    effect, other = frame["effect_allele"].copy(), frame["other_allele"].copy()
    frame["effect_allele"], frame["other_allele"] = effect.where(~rows, other), other.where(~rows, effect)
    for name in ("effect_allele", "other_allele"):
        frame[name] = frame[name].where(~other_strand, frame[name].str.translate(COMPLEMENT))
    return SumStats(stats.trait, frame, stats.kind)


@settings(max_examples=40, deadline=None)
@given(stats=statistics(), data=st.data())
def test_harmonising_undoes_swaps_and_strands_and_counts_every_row(
    stats: SumStats, data: st.DataObject
) -> None:
    n = len(stats)
    flags = st.lists(st.booleans(), min_size=n, max_size=n).map(np.array)
    frame = stats.frame
    reference = pd.DataFrame(
        {
            "chrom": frame["chrom"],
            "pos": frame["pos"],
            "id": [f"rs{k + 1}" for k in range(n)],
            "ref": frame["other_allele"],
            "alt": frame["effect_allele"],
            "alt_freq": frame["eaf"],
        }
    )[data.draw(flags)]
    straight, counts = harmonise(stats, reference, build="GRCh37")
    swapped, strand = data.draw(flags), data.draw(flags)
    given_otherwise = turned(stats, swapped, other_strand=strand)
    again, counts_again = harmonise(given_otherwise, reference, build="GRCh37")
    assert counts.rows == n == counts.kept + sum(counts.reasons.values())
    assert counts.kept == len(straight)
    assert counts.reasons == counts_again.reasons
    kept = frame["id"].isin(straight.frame["id"]).to_numpy()
    clear = stats.palindromic & ((frame["eaf"] - 0.5).abs() > 0.08).to_numpy()
    there = frame["id"].isin(reference["id"]).to_numpy()
    np.testing.assert_array_equal(kept, there & (clear | ~stats.palindromic))
    pd.testing.assert_frame_equal(straight.frame, frame[kept].reset_index(drop=True), check_dtype=False)
    pd.testing.assert_frame_equal(again.frame, straight.frame, check_dtype=False)
    plain = kept & ~stats.palindromic
    assert counts_again.flipped - counts.flipped >= int((strand & plain).sum())
    twice, nothing = harmonise(again, reference, build="GRCh37")
    pd.testing.assert_frame_equal(twice.frame, again.frame)
    assert nothing.swapped == nothing.flipped == 0


def test_names_of_all_kinds_survive() -> None:
    names = ["rs1", "1:5:A:G", "chr1_5_A_G", "AFFX-" + string.ascii_letters, "5"]
    frame = pd.DataFrame(
        {"chrom": "1", "pos": np.arange(1, 6), "id": names, "effect_allele": "A", "other_allele": "G", "beta": 0.1,
         "se": 0.1, "log10p": log10p_normal(1.0).item(), "eaf": 0.2, "n": 10.0, "info": 1.0}
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.ma"
        to_cojo(SumStats("t", frame)).to_csv(path, sep=" ", index=False)
        assert read_sumstats(path).frame["id"].tolist() == names
