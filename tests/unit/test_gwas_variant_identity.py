"""Duplicates, transitions and the comparison with a reference: planted truths come back."""

from __future__ import annotations

import gzip

import allel
import numpy as np
import pandas as pd
import pytest

from cohorts.errors import InputError
from gwas.duplicates import duplicate_variants, variant_sets
from gwas.reference_comparison import class_counts, compare_reference, read_reference
from gwas.transitions import EXPECTED, kind_of_exchange, titv

BASES = "ACGT"
PARTNER = dict(zip(BASES, "TGCA", strict=True))


def test_the_best_called_of_each_place_and_pair_of_alleles_is_kept() -> None:
    rng = np.random.default_rng(3)
    table = pd.DataFrame(
        {
            "chrom": rng.choice(["0", "1", "2"], 400),
            "pos": rng.integers(0, 12, 400),
            "ref": rng.choice(["A", "G", "AT", "a"], 400),
            "alt": rng.choice(["C", "T", "A"], 400),
        }
    )
    rate = rng.choice([0.9, 0.95, 0.99, np.nan], 400)
    kept: dict[tuple, int] = {}
    for row, (chrom, pos, ref, alt) in enumerate(table.itertuples(index=False)):
        key = (chrom, pos, *sorted((ref.upper(), alt.upper())))
        key = (*key, row) if chrom == "0" or pos == 0 else key
        best = kept.setdefault(key, row)
        if np.nan_to_num(rate[row]) > np.nan_to_num(rate[best]):
            kept[key] = row
    wanted = np.ones(400, dtype=bool)
    wanted[list(kept.values())] = False
    assert (duplicate_variants(table, call_rate=rate) == wanted).all()
    assert wanted.sum() > 100
    assert len(np.unique(variant_sets(table))) == len(kept)


def test_alts_of_one_record_are_not_duplicates_of_each_other() -> None:
    table = pd.DataFrame({"chrom": "1", "pos": 5, "ref": "G", "alt": ["A", "C", "T", "GA"]})
    assert not duplicate_variants(table, call_rate=np.ones(4)).any()


def test_call_rates_must_be_of_the_same_variants() -> None:
    table = pd.DataFrame({"chrom": "1", "pos": [5], "ref": "G", "alt": "A"})
    with pytest.raises(ValueError, match="call rates of 1 variants"):
        duplicate_variants(table, call_rate=[1.0, 1.0])


def test_every_exchange_of_bases_has_its_kind() -> None:
    purines = {"A", "G"}
    for ref in BASES:
        for alt in BASES:
            same_kind = (ref in purines) == (alt in purines)
            wanted = "other" if ref == alt else "transition" if same_kind else "transversion"
            assert kind_of_exchange(pd.Series([ref]), pd.Series([alt])).tolist() == [wanted]
    assert set(kind_of_exchange(pd.Series(["A", "G", "AT", "N"]), pd.Series([".", "0", "A", "A"]))) == {
        "other"
    }


def test_errors_at_random_lower_the_ratio_out_of_its_range_but_chance_in_a_small_set_does_not() -> None:
    rng = np.random.default_rng(5)

    def drawn(n: int, share: float) -> tuple[pd.Series, pd.Series]:
        ref = rng.choice(list(BASES), n)
        right = dict(zip(BASES, "GTAC", strict=True))
        other = [
            [b for b in BASES if b not in (r, right[r])][k]
            for r, k in zip(ref, rng.integers(0, 2, n), strict=True)
        ]
        alt = np.where(rng.random(n) < share, [right[r] for r in ref], other)
        return pd.Series(ref), pd.Series(alt)

    natural = titv(*drawn(20_000, 2.1 / 3.1))
    assert natural.ratio == pytest.approx(2.1, abs=0.1)
    assert natural.low < 2.1 < natural.high
    assert not natural.outside(EXPECTED["genome"])
    half_wrong = titv(*drawn(20_000, 0.5 * 2.1 / 3.1 + 0.5 / 3))
    assert half_wrong.outside(EXPECTED["genome"])
    assert not titv(pd.Series(list("AAAAA")), pd.Series(list("GGGCC"))).outside(EXPECTED["genome"])
    assert np.isnan(titv(pd.Series(["A"]), pd.Series(["G"])).ratio)


@pytest.fixture(scope="module")
def compared() -> tuple[pd.DataFrame, pd.DataFrame, list[str]]:
    """Our variants made from a reference by a known change each."""
    rng = np.random.default_rng(9)
    ours, theirs, wanted = [], [], []
    changes = ["same", "swapped", "flipped", "flipped and swapped", "other alleles", "absent"]
    plain = [a + b for a in BASES for b in BASES if a != b and PARTNER[a] != b]
    for i in range(3000):
        change = changes[i % 6]
        puzzle = i % 5 == 0 and change not in ("other alleles", "absent")
        ref, alt = rng.choice(["AT", "TA", "CG", "GC"] if puzzle else plain)
        freq = rng.choice([0.02, 0.1, 0.3, 0.48, 0.75])
        if change != "absent":
            theirs.append(("1", i + 1, ref, alt, freq))
        if "flipped" in change:
            ref, alt = PARTNER[ref], PARTNER[alt]
        if "swapped" in change:
            ref, alt, freq = alt, ref, 1 - freq
        if change == "other alleles":
            alt = next(b for b in BASES if b not in (ref, alt) and {ref, b} != {PARTNER[ref], PARTNER[alt]})
        ours.append(("1", i + 1, f"v{i}", ref, alt, freq, 2000.0))
        if puzzle:
            wanted.append("palindromic, ambiguous" if abs(freq - 0.5) < 0.08 else "palindromic")
        else:
            wanted.append(change)
    frame = pd.DataFrame(ours, columns=["chrom", "pos", "id", "ref", "alt", "alt_freq", "allele_count"])
    reference = pd.DataFrame(theirs, columns=["chrom", "pos", "ref", "alt", "alt_freq"])
    return frame, reference.assign(id=".", allele_count=1000.0), wanted


def test_every_planted_change_of_alleles_and_strand_is_named(compared) -> None:
    ours, theirs, wanted = compared
    table = compare_reference(ours, theirs.sample(frac=1, random_state=1, ignore_index=True))
    assert table["class"].tolist() == wanted
    told = ~table["class"].isin(["other alleles", "absent", "palindromic, ambiguous"])
    np.testing.assert_allclose(table.loc[told, "difference"], 0, atol=1e-12)
    assert table.loc[~told, "difference"].isna().all()
    assert not table["outlier"].any()
    # A palindromic variant that was both turned and swapped has its frequency in its place again.
    puzzle = table["class"] == "palindromic"
    change = np.arange(len(ours)) % 6
    assert table.loc[puzzle & (change == 2), "flipped"].all()
    assert not table.loc[puzzle & (change <= 1), "flipped"].any()
    counts = class_counts(table)
    assert counts["variants"].sum() == len(ours)
    assert (
        counts.set_index("class")["variants"]
        == pd.Series(wanted).value_counts().reindex(counts["class"]).values
    ).all()


def test_of_several_alts_at_a_place_the_fitting_one_counts_whatever_the_order() -> None:
    ours = pd.DataFrame(
        {
            "chrom": "1",
            "pos": 5,
            "id": "v",
            "ref": ["A"],
            "alt": ["G"],
            "alt_freq": 0.3,
            "allele_count": 100.0,
        }
    )
    rows = [("C", "T", 0.2), ("A", "C", 0.1), ("G", "A", 0.9), ("A", "G", 0.3)]
    for order in ([0, 1, 2, 3], [3, 2, 1, 0]):
        theirs = pd.DataFrame([rows[i] for i in order], columns=["ref", "alt", "alt_freq"]).assign(
            chrom="1", pos=5, id=".", allele_count=np.nan
        )
        found = compare_reference(ours, theirs).iloc[0]
        assert (found["class"], found["reference_freq"]) == ("same", 0.3)


def test_a_monomorphic_variant_without_a_second_allele_fits_by_the_first() -> None:
    ours = pd.DataFrame(
        {"chrom": "1", "pos": [5, 6, 7], "id": "v", "ref": ["A", "G", "T"], "alt": ["0", ".", "0"],
         "alt_freq": 0.0, "allele_count": 100.0}
    )  # fmt: skip
    theirs = pd.DataFrame(
        {"chrom": "1", "pos": [5, 6, 7], "id": ".", "ref": ["A", "A", "A"], "alt": ["G", "G", "G"],
         "alt_freq": [0.01, 0.99, 0.01], "allele_count": np.nan}
    )  # fmt: skip
    table = compare_reference(ours, theirs)
    assert table["class"].tolist() == ["same", "swapped", "flipped"]
    np.testing.assert_allclose(table["difference"], -0.01)


def test_frequencies_too_far_apart_are_outliers_and_chance_is_not() -> None:
    rng = np.random.default_rng(11)
    m = 4000
    p = rng.uniform(0.05, 0.95, m)
    shifted = np.where(np.arange(m) < 20, np.where(p < 0.5, p + 0.3, p - 0.3), p)
    ours = pd.DataFrame(
        {"chrom": "1", "pos": np.arange(m) + 1, "id": ".", "ref": "A", "alt": "G",
         "alt_freq": rng.binomial(400, shifted) / 400, "allele_count": 400.0}
    )  # fmt: skip
    theirs = ours.assign(alt_freq=rng.binomial(600, p) / 600, allele_count=600.0)
    table = compare_reference(ours, theirs)
    assert table["outlier"].to_numpy()[:20].mean() > 0.9
    assert not table["outlier"].to_numpy()[20:].any()
    assert 0.03 < (table["log10_p"].to_numpy()[20:] > -np.log10(0.05)).mean() < 0.07
    # A handful of people differ by as much through luck.
    few = ours.assign(alt_freq=rng.binomial(8, p) / 8, allele_count=8.0)
    assert not compare_reference(few, theirs)["outlier"].any()
    counts = [
        np.column_stack([(1 - f["alt_freq"]) * f["allele_count"], f["alt_freq"] * f["allele_count"]])
        .round()
        .astype(int)
        for f in (ours, theirs)
    ]
    between, total = allel.hudson_fst(*counts)
    np.testing.assert_allclose(table["fst"], between / total, rtol=1e-9, atol=1e-12)


def test_afreq_and_plain_tables_are_read(tmp_path) -> None:
    afreq = tmp_path / "r.afreq"
    afreq.write_text(
        "#CHROM\tID\tREF\tALT\tALT_FREQS\tOBS_CT\n23\trs1\tA\tG,C\t0.2,0.1\t100\n1\trs2\tg\tt\tnan\t0\n"
    )
    table = read_reference(afreq)
    assert table["chrom"].tolist() == ["X", "X", "1"]
    assert table["alt"].tolist() == ["G", "C", "T"]
    assert table["alt_freq"].iloc[:2].tolist() == [0.2, 0.1]
    assert np.isnan(table["alt_freq"].iloc[2])
    assert (table["pos"] == 0).all()
    zipped = tmp_path / "r.tsv.gz"
    with gzip.open(zipped, "wt") as handle:
        handle.write("snpid chr pos ref alt EUR\nx chr2 77 A G 0.25\n")
    row = read_reference(zipped, frequency_column="EUR").iloc[0]
    assert (row["chrom"], row["pos"], row["alt_freq"]) == ("2", 77, 0.25)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "cannot be read"),
        ("#CHROM ID REF ALT\n1 a A G\n", "lacks columns"),
        ("REF ALT ALT_FREQS\nA G 0.1\n", "lacks columns"),
        ("#CHROM ID REF ALT ALT_FREQS\n1 a A G 0.1\n1 b A G 1.5\n", r"r.txt:3: .*between 0 and 1"),
        ("#CHROM POS REF ALT ALT_FREQS\n1 x A G 0.1\n", "r.txt:2"),
        ("#CHROM ID REF ALT ALT_FREQS\n1 a A G,C 0.1\n", "as many frequencies"),
        ("#CHROM ID REF ALT ALT_FREQS\n1 a A G 0.1 7 8\n1 a A G 0.1\n1 a A G 0.1 7 8 9 9\n", "r.txt"),
    ],
)
def test_a_faulty_reference_is_one_line(tmp_path, text: str, message: str) -> None:
    (tmp_path / "r.txt").write_text(text)
    with pytest.raises(InputError, match=message):
        read_reference(tmp_path / "r.txt")


def test_an_absent_or_binary_reference_is_one_line(tmp_path) -> None:
    with pytest.raises(InputError, match="file not found"):
        read_reference(tmp_path / "none.txt")
    (tmp_path / "r.afreq.gz").write_bytes(b"\x1f\x8b\x08\x00broken")
    with pytest.raises(InputError, match="cannot be read"):
        read_reference(tmp_path / "r.afreq.gz")
