"""Quality control finds planted faults, counts every removal, and leaves minorities alone."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from cohorts.errors import DesignError
from gwas.counts import sample_sums, variant_group
from gwas.quality import QcPlan, qc

N, M, ON_X = 320, 2400, 200


@pytest.fixture(scope="module")
def planted() -> dict[str, object]:
    """Three ancestries with one fault of each kind; the minority makes up a tenth."""
    rng = np.random.default_rng(12)
    ancestry = np.repeat([0, 1, 2], [220, 68, 32])
    ancestral = rng.uniform(0.15, 0.85, M)
    shapes = [(1 - fst) / fst for fst in (0.05, 0.1, 0.25)]
    frequency = np.stack([rng.beta(ancestral * s, (1 - ancestral) * s) for s in shapes])
    frequency = np.clip(frequency, 0.05, 0.95)
    calls = rng.binomial(2, frequency[ancestry].T).astype(np.int8)
    sex = np.where(rng.random(N) < 0.5, "M", "F").astype(object)
    x = np.arange(M) >= M - ON_X
    male = sex == "M"
    hemizygous = 2 * rng.binomial(1, frequency[ancestry].T).astype(np.int8)
    calls[np.ix_(x, male)] = hemizygous[np.ix_(x, male)]
    calls[rng.random(calls.shape) < 0.002] = -9
    calls[rng.random(M) < 0.15, 5] = -9
    calls[:, 9] = calls[:, 30]
    calls[rng.random(M) < 0.02, 9] = -9
    mixed = (calls[:, 60] != calls[:, 61]) & (calls[:, 60] >= 0) & ~x
    calls[mixed, 60] = 1
    calls[10, rng.random(N) < 0.1] = -9
    calls[11, rng.random(N) < 0.5] = -9
    calls[21, 100:103] = -9
    calls[12] = np.where(calls[12] == 1, 2 * (rng.random(N) < 0.5), calls[12])
    calls[13] = 0
    calls[13, :3] = 1
    calls[M - 1, male] = rng.integers(0, 3, male.sum())
    recorded = sex.copy()
    recorded[70] = "F" if sex[70] == "M" else "M"
    chrom = [str(1 + v // 110) for v in range(M - ON_X)] + ["X"] * ON_X
    pos = 150_000_000 + 50_000 * np.arange(M)
    pos[21] = pos[20]
    return {"calls": calls, "chrom": chrom, "pos": pos, "sex": recorded, "ancestry": ancestry}


@pytest.fixture
def genotypes(genotypes_of, planted):
    return genotypes_of(planted["calls"], chrom=planted["chrom"], pos=planted["pos"], sex=planted["sex"])


PLAN = QcPlan(build="GRCh38", threads=1, male_x_het=0.05)


def test_every_planted_fault_is_found_and_nothing_else(genotypes) -> None:
    result = qc(genotypes, plan=PLAN)
    people = result.sample_table
    removed = people[people["status"] != "kept"]["status"].to_dict()
    assert removed == {
        "i5": "low call rate",
        "i70": "sex differs from the record",
        "i60": "too many heterozygotes for the ancestry",
        "i9": "duplicate of another sample",
    }
    variants = result.variant_table.set_index("id")["status"]
    assert variants[variants != "kept"].to_dict() == {
        "rs21": "same position and alleles as another",
        "rs11": "hardly called",
        "rs10": "low call rate",
        "rs13": "rare",
        "rs12": "not in Hardy-Weinberg proportions",
        f"rs{M - 1}": "heterozygous males on X",
    }


def test_what_came_in_is_what_is_kept_and_what_was_removed(genotypes) -> None:
    result = qc(genotypes, plan=PLAN)
    for flow, total, kept in (
        (result.sample_flow, N, result.samples),
        (result.variant_flow, M, result.variants),
    ):
        assert flow["remaining"].iloc[0] == total
        assert total == len(kept) + flow["removed"].sum()
        assert (flow["remaining"].diff().fillna(0) == -flow["removed"]).all()
        assert flow["threshold"].iloc[1:].str.len().gt(0).all()


def test_ancestries_with_other_heterozygosity_are_not_outliers(genotypes, planted) -> None:
    result = qc(genotypes, plan=PLAN)
    ancestry = np.asarray(planted["ancestry"])
    kept = np.isin(np.arange(N), result.samples)
    for group in range(3):
        assert kept[ancestry == group].mean() > 0.95
    # Against the whole set the minorities do look odd: that is what the residual is for.
    f = result.sample_table["f_het"].to_numpy()
    assert f[ancestry == 2].mean() - f[ancestry == 0].mean() > 0.03
    residual = result.sample_table["f_residual"].to_numpy()
    assert abs(np.nanmedian(residual[ancestry == 2]) - np.nanmedian(residual[ancestry == 0])) < 0.01


def test_structure_alone_does_not_fail_hardy_weinberg(genotypes, planted) -> None:
    from gwas.hwe import hwe_exact

    result = qc(genotypes, plan=PLAN)
    table = result.variant_table
    pooled = hwe_exact(table["n_het"], table["n_ref"], table["n_alt"])
    autosomal = (table["chrom"] != "X").to_numpy()
    assert (pooled[autosomal] < 1e-6).sum() > 10
    assert (table["status"] == "not in Hardy-Weinberg proportions").sum() == 1


def test_ancestry_groups_are_those_planted_and_the_fst_is_right(genotypes, planted) -> None:
    result = qc(genotypes, plan=PLAN)
    group = result.sample_table["ancestry_group"].to_numpy()
    known = group >= 0
    table = pd.crosstab(np.asarray(planted["ancestry"])[known], group[known])
    assert table.shape == (3, 3)
    assert (table > 0).sum(axis=1).tolist() == [1, 1, 1]
    assert result.fst["fst"].between(0.06, 0.18).all()


def test_hardy_weinberg_is_tested_in_controls_alone(genotypes) -> None:
    controls = np.arange(N) % 2 == 0
    result = qc(genotypes, plan=PLAN, controls=controls)
    everyone = qc(genotypes, plan=PLAN)
    assert (result.variant_table["hwe_n"] < 0.6 * everyone.variant_table["hwe_n"]).mean() > 0.99
    threshold = result.variant_flow.set_index("step").loc["not in Hardy-Weinberg proportions", "threshold"]
    assert "controls" in threshold


def test_without_x_the_sex_check_is_said_to_be_not_done(genotypes_of, planted) -> None:
    calls = np.asarray(planted["calls"])[: M - ON_X]
    genotypes = genotypes_of(
        calls, chrom=planted["chrom"][: M - ON_X], pos=planted["pos"][: M - ON_X], sex=planted["sex"]
    )
    flow = qc(genotypes, plan=PLAN).sample_flow.set_index("step")
    assert flow.loc["sex differs from the record", "threshold"] == "not done: no X variants"
    assert flow.loc["sex differs from the record", "removed"] == 0


def test_sex_from_the_records_overrides_the_file(genotypes, planted) -> None:
    sexes = pd.Series(np.asarray(planted["sex"]), index=genotypes.samples["iid"])
    sexes.iloc[70] = "M" if sexes.iloc[70] == "F" else "F"
    result = qc(genotypes, plan=PLAN, expected_sex=sexes)
    assert result.sample_table.loc["i70", "status"] == "kept"
    assert result.sample_table.loc["i70", "sex_status"] == "agrees"


def test_steps_can_be_switched_off(genotypes) -> None:
    plan = QcPlan(
        gross_variant_call_rate=None, sample_call_rate=None, sex=False, duplicates=False, het_sd=None,
        variant_call_rate=None, maf=None, hwe_p=None, male_x_het=None, threads=1,
    )  # fmt: skip
    result = qc(genotypes, plan=plan)
    assert len(result.samples) == N
    assert len(result.variants) == M - 1
    off = result.sample_flow["threshold"].str.startswith("not done")
    assert off.sum() == 6


def test_relatives_can_be_removed(genotypes) -> None:
    plan = QcPlan(duplicates=False, remove_related_above=0.0884, threads=1)
    result = qc(genotypes, plan=plan)
    assert result.sample_table.loc["i9", "status"] == "related to another"
    assert result.sample_table.loc["i30", "status"] == "kept"
    assert np.array_equal(result.unrelated, result.samples)


def test_a_threshold_nobody_meets_is_an_error_that_says_so(genotypes) -> None:
    with pytest.raises(DesignError, match="left no sample"):
        qc(genotypes, plan=QcPlan(sample_call_rate=1.01, threads=1))
    with pytest.raises(DesignError, match="left no variant"):
        qc(genotypes, plan=QcPlan(maf=0.6, threads=1))


def test_sums_of_samples_equal_a_plain_count(genotypes, planted) -> None:
    calls: npt.NDArray[np.int8] = np.asarray(planted["calls"])
    rows = np.random.default_rng(0).permutation(N)[:101]
    chosen = genotypes.select(samples=rows)
    frequency = np.random.default_rng(1).uniform(0, 1, M)
    sums = sample_sums(chosen, group=variant_group(chosen), frequency=frequency)
    expected = 2 * frequency * (1 - frequency)
    for column, where in ((0, np.arange(M) < M - ON_X), (1, np.arange(M) >= M - ON_X)):
        part = calls[where][:, rows]
        assert (sums.missing[:, column] == (part < 0).sum(axis=0)).all()
        assert (sums.het[:, column] == (part == 1).sum(axis=0)).all()
        wanted = ((part >= 0) * expected[where][:, None]).sum(axis=0)
        np.testing.assert_allclose(sums.expected_het[:, column], wanted, rtol=1e-10)
