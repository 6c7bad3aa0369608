"""The faults planted in GenABEL's tutorial data are found; peers say which they are."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gwas.genotypes import open_genotypes
from gwas.quality import QcResult, qc


@pytest.fixture(scope="module")
def bed(data_file: Callable[[str], Path]) -> Path:
    return data_file("geno_genabel_ge03d2/ge03d2.bed")


@pytest.fixture(scope="module")
def result(bed: Path) -> QcResult:
    return qc(open_genotypes(bed))


def peer(program: str, bed: Path, out: Path, *options: str) -> None:
    command = [program, "--bfile", str(bed.with_suffix("")), *options, "--out", str(out)]
    subprocess.run(command, check=True, capture_output=True)


def removed_as(result: QcResult, step: str) -> set[str]:
    status = result.sample_table["status"]
    return set(status.index[status == step])


def test_everybody_whose_sex_plink_contradicts_is_removed(
    result: QcResult, bed: Path, plink1: str, tmp_path: Path
) -> None:
    peer(plink1, bed, tmp_path / "sex", "--check-sex")
    table = pd.read_csv(tmp_path / "sex.sexcheck", sep=r"\s+").set_index("IID")
    contradicted = table[(table["SNPSEX"] != 0) & (table["SNPSEX"] != table["PEDSEX"])]
    assert len(contradicted) == 16
    # Four of them are contaminated and go for that: their X has too many heterozygotes because everything has.
    ours = removed_as(result, "sex differs from the record")
    contaminated = removed_as(result, "too many heterozygotes for the ancestry")
    assert ours <= set(contradicted.index)
    assert set(contradicted.index) <= ours | contaminated
    # Where plink decides we decide alike.
    sexes = result.sample_table["sex_inferred"].map({"M": 1, "F": 2})
    both = sexes.notna() & (table["SNPSEX"] != 0) & ~sexes.index.isin(list(contaminated))
    assert (sexes[both] == table.loc[both.index[both], "SNPSEX"]).all()
    assert both.sum() > 850


def test_contaminated_samples_are_those_with_far_too_many_heterozygotes(
    result: QcResult, bed: Path, plink2: str, tmp_path: Path
) -> None:
    peer(plink2, bed, tmp_path / "het", "--het")
    table = pd.read_csv(tmp_path / "het.het", sep="\t").set_index("IID")
    extreme = set(table.index[table["F"] < -0.5])
    found = removed_as(result, "too many heterozygotes for the ancestry")
    assert len(extreme) == 8
    assert found <= extreme
    # One of them fails the sex check before it comes to this.
    assert extreme <= found | removed_as(result, "sex differs from the record")


def test_duplicates_are_the_pairs_king_calls_so_and_one_of_each_stays(
    result: QcResult, bed: Path, plink2: str, tmp_path: Path
) -> None:
    peer(plink2, bed, tmp_path / "king", "--make-king-table", "--king-table-filter", "0.354")
    pairs = pd.read_csv(tmp_path / "king.kin0", sep="\t")[["IID1", "IID2"]].to_numpy()
    kept = set(result.sample_table.index[result.sample_table["status"] == "kept"])
    dropped = removed_as(result, "duplicate of another sample")
    assert len(dropped) == 4
    for pair in pairs:
        inside = [iid for iid in pair if iid in kept | dropped]
        if len(inside) == 2:
            assert len(set(inside) & kept) == 1


def test_barely_called_samples_and_variants_are_removed(result: QcResult) -> None:
    people = result.sample_table
    assert set(people.index[people["call_rate"] < 0.9]) == removed_as(result, "low call rate")
    steps = result.variant_flow.set_index("step")["removed"]
    assert steps["hardly called"] == 75
    assert (result.variant_table.loc[result.variants, "call_rate"] >= 0.98).all()


def test_the_small_group_of_other_descent_is_seen_and_kept(result: QcResult) -> None:
    groups = result.sample_table["ancestry_group"].value_counts()
    assert groups[1] == 25
    second = result.sample_table["ancestry_group"] == 1
    assert (result.sample_table.loc[second, "status"] == "kept").mean() > 0.9
    assert result.fst["fst"].iloc[0] > 0.1


def test_chance_kinship_of_a_few_dependent_variants_makes_no_relatives(result: QcResult) -> None:
    # On these 1,240 pruned variants strangers scatter so widely that 40,000 pairs look like cousins.
    assert result.kinship_noise > 0.03
    assert len(result.kinship) < 20
    assert len(result.unrelated) > 0.98 * len(result.samples)
    assert np.isin(result.unrelated, result.samples).all()
