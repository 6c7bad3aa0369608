"""The steps of quality control that need more than counts: status, trios, imputation, a reference, ancestry."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from gwas.ancestry import isolation
from gwas.quality import QcPlan, qc

N, M = 240, 900
TRIOS = 30


@pytest.fixture
def cohort(genotypes_of):
    """People of one ancestry, thirty trios among them, and one fault of each new kind."""
    rng = np.random.default_rng(21)
    p = rng.uniform(0.2, 0.8, M)
    calls = rng.binomial(2, p[:, None], (M, N)).astype(np.int8)
    parents = [("0", "0")] * N
    for trio in range(TRIOS):
        father, mother, child = 3 * trio, 3 * trio + 1, 3 * trio + 2
        halves = [
            np.where(calls[:, x] == 1, rng.integers(0, 2, M), calls[:, x] // 2) for x in (father, mother)
        ]
        calls[:, child] = sum(halves)
        parents[child] = (f"i{father}", f"i{mother}")
    parents[200] = ("i100", "i101")
    calls[40, 2 : 3 * TRIOS : 3] = 2 - calls[40, 0 : 3 * TRIOS : 3]
    calls[rng.random(calls.shape) < 0.001] = -9
    cases = np.arange(N) % 2 == 0
    calls[50, cases & (rng.random(N) < 0.22)] = -9
    genotypes = genotypes_of(calls, chrom=[str(1 + v // 60) for v in range(M)], sex=rng.choice(["M", "F"], N))
    samples = genotypes.samples.assign(
        fid="f", father=[f for f, _ in parents], mother=[m for _, m in parents]
    )
    genotypes = replace(genotypes, samples=samples)
    reference = genotypes.variants[["chrom", "pos", "id", "ref", "alt"]].assign(alt_freq=p, allele_count=5e4)
    reference.loc[60, "alt_freq"] = p[60] - 0.4 if p[60] > 0.5 else p[60] + 0.4
    reference.loc[61, "alt"] = "C"
    reference = reference.drop(index=62).reset_index(drop=True)
    return genotypes, cases, reference


PLAN = QcPlan(threads=1, variant_call_rate=0.8, sex=False)


def statuses(result) -> dict[str, str]:
    status = result.variant_table.set_index("id")["status"]
    return status[status != "kept"].to_dict()


def test_every_planted_fault_of_variants_is_removed_for_its_reason(cohort) -> None:
    genotypes, cases, reference = cohort
    status = pd.DataFrame({"disease": cases.astype(float), "unknown": np.nan})
    result = qc(genotypes, plan=PLAN, cases=status, reference=reference)
    assert statuses(result) == {
        "rs40": "Mendelian errors",
        "rs50": "missing calls differ between cases and controls",
        "rs60": "frequency far from the reference's",
        "rs61": "other alleles than the reference",
    }
    flow = result.variant_flow.set_index("step")
    assert flow["removed"].sum() == M - len(result.variants) == 4
    assert flow.loc["badly imputed", "threshold"].startswith("not done: hard calls")
    assert result.variant_table.loc[50, "missing_trait"] == "disease"
    classes = result.reference.set_index("class")["variants"]
    assert classes["same"] == M - 2
    assert (classes["other alleles"], classes["absent"]) == (1, 1)


def test_a_trio_whose_pedigree_is_wrong_is_not_believed_and_nobody_goes_for_it(cohort) -> None:
    genotypes, _, _ = cohort
    result = qc(genotypes, plan=PLAN)
    trios = result.trios.set_index("child")
    assert len(trios) == TRIOS + 1
    assert trios.index[~trios["believed"]].tolist() == ["i200"]
    assert len(result.samples) == N
    assert result.variant_table["mendel_tested"].max() == TRIOS


def test_without_status_trios_or_reference_the_steps_say_so(cohort) -> None:
    genotypes, _, _ = cohort
    alone = replace(genotypes, samples=genotypes.samples.assign(father="0", mother="0"))
    flow = qc(alone, plan=PLAN).variant_flow.set_index("step")["threshold"]
    assert flow["Mendelian errors"] == "not done: no child with both parents"
    assert flow["missing calls differ between cases and controls"] == "not done: no case-control status"
    assert flow["other alleles than the reference"] == "not done: no reference given"


def test_the_smallest_p_of_several_diseases_is_corrected_for_their_number(cohort) -> None:
    genotypes, cases, _ = cohort
    one = qc(genotypes, plan=PLAN, cases=pd.DataFrame({"a": cases.astype(float)})).variant_table
    copies = pd.DataFrame({name: cases.astype(float) for name in "abcd"})
    four = qc(genotypes, plan=PLAN, cases=copies).variant_table
    np.testing.assert_allclose(
        four["missing_log10_p"], np.maximum(one["missing_log10_p"] - np.log10(4), 0), atol=1e-12
    )


def test_imputation_is_judged_by_the_file_where_it_knows_and_by_dosages_else(cohort) -> None:
    genotypes, _, _ = cohort
    rng = np.random.default_rng(3)
    dosages = next(genotypes.dosage_blocks(M)).dosages.copy()
    mean = np.nanmean(dosages, axis=1, keepdims=True)
    dosages[70] = mean[70] + 0.3 * (dosages[70] - mean[70]) + rng.normal(0, 0.01, N)
    imputed = replace(genotypes, reader=replace(genotypes.reader, imputed=dosages))
    result = qc(imputed, plan=PLAN)
    assert statuses(result)["rs70"] == "badly imputed"
    assert result.variant_table["info"].drop(70).between(0.6, 1.5).all()
    told = replace(imputed, variants=imputed.variants.assign(info=np.where(np.arange(M) == 71, 0.1, np.nan)))
    assert {k for k, v in statuses(qc(told, plan=PLAN)).items() if v == "badly imputed"} == {"rs70", "rs71"}
    off = qc(imputed, plan=replace(PLAN, info=None)).variant_flow.set_index("step")
    assert off.loc["badly imputed", "threshold"] == "not done: switched off"


def test_transitions_over_transversions_judge_the_set_and_remove_nothing(cohort) -> None:
    genotypes, _, _ = cohort
    alt = np.where(np.arange(M) % 3 == 0, "A", "C")
    genotypes = replace(genotypes, variants=genotypes.variants.assign(alt=alt))
    for band, verdict in ((None, "no range given"), ((0.4, 0.6), "inside"), ((1.9, 2.3), "outside")):
        checks = qc(genotypes, plan=replace(PLAN, titv=band)).checks
        assert checks["verdict"].tolist() == [verdict] * 2
        assert checks["value"].iloc[0] == pytest.approx(0.5)


def test_minor_allele_count_is_a_threshold_of_its_own(cohort) -> None:
    genotypes, _, _ = cohort
    table = qc(genotypes, plan=replace(PLAN, mac=150, maf=None)).variant_table
    called = table[["n_ref", "n_het", "n_alt"]].to_numpy()
    alt = called[:, 1] + 2 * called[:, 2]
    minor = np.minimum(alt, 2 * called.sum(axis=1) - alt)
    assert ((table["status"] == "few copies") == (minor < 150)).all()
    assert 20 < (minor < 150).sum() < M


def test_status_of_other_people_is_refused(cohort) -> None:
    genotypes, cases, _ = cohort
    with pytest.raises(ValueError, match="cases of 240 samples"):
        qc(genotypes, plan=PLAN, cases=pd.DataFrame({"a": cases[:-1]}))


def test_small_groups_and_people_between_groups_are_not_alone_but_a_stranger_is() -> None:
    rng = np.random.default_rng(4)
    main, small = rng.normal(0, 1, (600, 3)), rng.normal([25, 0, 0], 1, (40, 3))
    share = rng.uniform(0, 1, (120, 1))
    between = share * [25, 0, 0] + rng.normal(0, 1, (120, 3))
    stranger = np.array([[0.0, 90.0, 0.0]])
    far = isolation(np.vstack([main, small, between, stranger]), np.array([20.0, 18.0, 15.0, 1.0, 1.0]))
    assert far[-1] > 6
    assert far[:-1].max() < 6


def test_strangers_are_marked_and_removed_only_where_asked(genotypes_of) -> None:
    rng = np.random.default_rng(7)
    m = 1500
    p = rng.uniform(0.1, 0.9, m)
    calls = rng.binomial(2, p[:, None], (m, 150)).astype(np.int8)
    other = rng.uniform(0.1, 0.9, m)
    calls[:, :50] = rng.binomial(2, np.clip(p + rng.normal(0, 0.15, m), 0.02, 0.98)[:, None], (m, 50))
    calls[:, 0] = rng.binomial(2, other)
    genotypes = genotypes_of(calls, chrom=[str(1 + v // 100) for v in range(m)])
    marked = qc(genotypes, plan=replace(PLAN, het_sd=None))
    beyond = marked.sample_table["isolation"] > 6
    step = "unlike anybody else in ancestry"
    flow = marked.sample_flow.set_index("step")
    assert flow.loc[step, "removed"] == 0
    assert "kept and marked" in flow.loc[step, "threshold"]
    removing = qc(genotypes, plan=replace(PLAN, het_sd=None, remove_ancestry_outliers=True))
    gone = removing.sample_table["status"] == step
    assert gone.tolist() == beyond.tolist()
    assert beyond["i0"]
    assert beyond.sum() <= 2
