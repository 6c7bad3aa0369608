"""Matching weights to variants: orientation, strand, and a status for every weight."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cohorts.errors import InputError
from gwas.polygenic.matching import STATUSES, match, require_used
from gwas.polygenic.weights import make_weights, weights_from_sumstats

VARIANTS = pd.DataFrame(
    [
        ("1", 100, "rs1", "A", "G"),
        ("1", 200, "rs2", "C", "G"),
        ("1", 300, "rs3", "A", "C"),
        ("1", 300, "rs3b", "A", "T"),
        ("2", 400, "rs4", "AT", "A"),
        ("2", 500, "rs5", "G", "T"),
        ("2", 500, "rs5x", "G", "T"),
        ("X", 600, "rs6", "A", "G"),
    ],
    columns=["chrom", "pos", "id", "ref", "alt"],
)


COLUMNS = ["chrom", "pos", "id", "effect_allele", "other_allele", "effect_type"]


def told(rows: list[tuple], columns: str, **options) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=columns.split())
    if "weight" not in frame:
        frame["weight"] = 1.0
    spare = {"chrom": "1", "pos": 100, "id": "rs1", "effect_allele": "G", "other_allele": "A", "weight": 1.0}
    frame = pd.DataFrame([*frame.to_dict("records"), spare])
    return match(make_weights("s", frame), VARIANTS, **options).table.iloc[:-1]


@pytest.mark.parametrize(
    ("effect", "other", "status", "counted", "flipped"),
    [
        ("G", "A", "used", True, False),
        ("A", "G", "used", False, False),
        ("C", "T", "used", True, True),
        ("T", "C", "used", False, True),
        ("G", "", "used", True, False),
        ("T", "", "used", False, True),
        ("A", "C", "allele_mismatch", False, False),
        ("P", "A", "invalid_allele", False, False),
        ("g", "a", "used", True, False),
    ],
)
def test_alleles_are_turned_and_read_on_either_strand(
    effect: str, other: str, status: str, counted: bool, flipped: bool
) -> None:
    variants = VARIANTS.iloc[:1]
    rows = pd.DataFrame({"chrom": ["chr1"], "pos": [100], "effect_allele": [effect], "other_allele": [other],
                         "weight": [1.0]})  # fmt: skip
    spare = pd.DataFrame({"chrom": ["1"], "pos": [900], "effect_allele": ["G"], "other_allele": ["A"],
                          "weight": [1.0]})  # fmt: skip
    more = pd.concat([variants, pd.DataFrame([("1", 900, "x", "A", "G")], columns=variants.columns)])
    row = match(make_weights("s", pd.concat([rows, spare])), more).table.iloc[0]
    assert (row["status"], bool(row["effect_is_alt"]), bool(row["flipped"])) == (status, counted, flipped)


def test_every_other_way_not_to_be_used_has_its_status() -> None:
    rows = [
        ("1", 999, "", "A", "G", "additive"),
        ("1", 200, "", "C", "G", "additive"),
        ("1", 300, "", "C", "A", "additive"),
        ("2", 400, "", "A", "AT", "additive"),
        ("2", 500, "", "T", "G", "additive"),
        ("", None, "", "T", "G", "additive"),
        ("X", 600, "", "G", "A", "haplotype"),
        ("X", 600, "", "G", "A", "additive"),
        ("23", 600, "", "G", "A", "additive"),
        ("X", 600, "", "A", "G", "additive"),
    ]
    table = told(rows, "chrom pos id effect_allele other_allele effect_type")
    assert table["status"].tolist() == [
        "not_found", "palindromic", "used", "used", "ambiguous", "no_position", "unsupported_effect", "used",
        "duplicate", "used",
    ]  # fmt: skip
    assert table["variant"].tolist()[2:4] == [2, 4]


def test_a_name_decides_between_equal_variants_and_finds_what_lies_elsewhere() -> None:
    rows = [("2", 500, "rs5x", "T", "G"), ("1", 101, "rs6", "A", "G")]
    found = match(make_weights("s", pd.DataFrame(rows, columns=COLUMNS[:-1]).assign(weight=1.0)), VARIANTS)
    assert found.table["variant"].tolist() == [6, 7]
    assert found.table["matched_by"].tolist() == ["position", "id"]
    assert found.other_build == 1
    by_position = told(rows, "chrom pos id effect_allele other_allele", by="position")
    assert by_position["status"].tolist() == ["used", "not_found"]


def test_palindromic_variants_are_decided_by_frequency_only_when_it_is_clear() -> None:
    rows = [("1", 200, "C", "G", f) for f in (0.1, 0.9, 0.45, np.nan)]
    frequencies = np.full(len(VARIANTS), 0.5)
    frequencies[1] = 0.88  # of ALT, G: so C is rare
    tables = [
        told([row], "chrom pos effect_allele other_allele effect_frequency",
             palindromic="frequency", frequencies=frequencies).iloc[0]
        for row in rows
    ]  # fmt: skip
    assert [t["status"] for t in tables] == ["used", "used", "palindromic", "palindromic"]
    assert [bool(t["effect_is_alt"]) for t in tables[:2]] == [False, True]
    kept = told([rows[0]], "chrom pos effect_allele other_allele effect_frequency", palindromic="keep")
    assert kept["status"].tolist() == ["used"]


def test_nothing_usable_is_refused_with_the_counts() -> None:
    rows = pd.DataFrame({"chrom": ["9"], "pos": [1], "effect_allele": ["A"], "weight": [1.0]})
    found = match(make_weights("s", rows), VARIANTS)
    with pytest.raises(InputError, match="s: none of its variants is in the genotypes; found not_found 1"):
        require_used(found)


alleles = st.sampled_from(["A", "C", "G", "T", "AT", "P", "", "N"])
weight_rows = st.lists(
    st.tuples(
        st.sampled_from(["1", "2", "chrX", "", "7"]),
        st.sampled_from([100, 200, 300, 400, 500, 600, None]),
        st.sampled_from(["rs1", "rs5", "rs6", "", "nobody"]),
        alleles, alleles, st.sampled_from(["additive", "dominant", "haplotype"]),
    ), max_size=12,
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(weight_rows, st.sampled_from(["auto", "position", "id"]), st.sampled_from(["drop", "keep"]))
def test_every_weight_has_exactly_one_status_and_the_used_ones_a_fitting_variant(
    rows, by, palindromic
) -> None:
    frame = pd.DataFrame([*rows, ("1", 100, "rs1", "G", "A", "additive")], columns=COLUMNS).assign(weight=1.0)
    found = match(make_weights("s", frame), VARIANTS, by=by, palindromic=palindromic)
    assert sum(found.counts().values()) == len(frame)
    assert set(found.table["status"]) <= set(STATUSES)
    turn = {"A": "T", "C": "G", "G": "C", "T": "A"}
    for row in found.used.itertuples():
        variant = VARIANTS.iloc[row.variant]
        allele = row.effect_allele
        if row.flipped:
            allele = "".join(turn[x] for x in reversed(allele))
        assert allele == (variant["alt"] if row.effect_is_alt else variant["ref"])
    assert not found.used[["variant", "effect_is_alt"]].duplicated().any()


def test_sumstats_of_plink_and_of_fastgwa_become_weights() -> None:
    plink = pd.DataFrame({"#CHROM": ["1"], "POS": [100], "ID": ["rs1"], "REF": ["A"], "ALT": ["G"],
                          "A1": ["G"], "OR": [2.0], "LOG(OR)_SE": [0.1], "A1_FREQ": [0.3]})  # fmt: skip
    made = weights_from_sumstats(plink).frame.iloc[0]
    assert made["other_allele"] == "A"
    assert made["weight"] == pytest.approx(np.log(2))
    assert (made["se"], made["effect_frequency"]) == (0.1, 0.3)
    fast = pd.DataFrame({"CHR": [1], "POS": [100], "SNP": ["rs1"], "A1": ["A"], "A2": ["G"], "BETA": [-0.2]})
    assert weights_from_sumstats(fast).frame.loc[0, ["other_allele", "weight"]].tolist() == ["G", -0.2]
    with pytest.raises(InputError, match="summary statistics lack columns; found effect_allele, BETA or OR"):
        weights_from_sumstats(fast[["CHR", "POS", "SNP"]])
