"""Ancestry-adjusted scores agree with pgsc_calc on HGDP against 1000 Genomes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from cohorts.errors import DesignError
from gwas.polygenic.ancestry_scale import fit_ancestry_scale

PCS = ["PC1", "PC2", "PC3", "PC4"]


@pytest.fixture(scope="module")
def hgdp(data_file):
    def read(name):
        return pd.read_csv(data_file(f"geno_tiny1000g/legacy_{name}"), sep="\t", dtype={"IID": str})

    related = set(read("ref.king.cutoff.id")["#IID"])
    scores = read("aggregated_scores.txt").set_index("IID")["SUM"]
    reference, target = read("ref.pcs").set_index("IID"), read("target.pcs").set_index("IID")
    reference = reference[~reference.index.isin(related)]
    return reference[PCS], scores[reference.index], target[PCS], scores[target.index]


# pgsc_calc's own run of PGS001229 with four components: person, mean and SD of the 929 target people.
# Tolerance: its scores are printed to 8 decimals and its optimiser stops at about 1e-3 in the variance part.
@pytest.mark.parametrize(
    ("variance", "person", "mean", "sd", "tolerance"),
    [(False, 0.677030, -0.10179, 1.07178, 2e-5), (True, 0.632543, -0.09733, 1.04047, 2e-3)],
)
def test_z_norm_1_and_2_equal_pgsc_calc(hgdp, variance, person, mean, sd, tolerance):
    reference_pcs, reference_scores, pcs, scores = hgdp
    scale = fit_ancestry_scale(reference_scores.to_numpy(), reference_pcs.to_numpy(), variance=variance)
    z = pd.Series(scale.standardise(scores.to_numpy(), pcs.to_numpy()), index=scores.index)
    assert z["HGDP00001"] == pytest.approx(person, abs=tolerance)
    assert z.mean() == pytest.approx(mean, abs=tolerance)
    assert z.std(ddof=0) == pytest.approx(sd, abs=1e-3 + tolerance)


def test_the_joint_maximum_has_no_gradient_left():
    rng = np.random.default_rng(3)
    pcs = rng.normal(size=(2000, 2))
    raw = 1 + pcs @ [0.5, -1] + rng.normal(size=2000) * np.exp(0.3 * pcs[:, 0])
    scale = fit_ancestry_scale(raw, pcs)

    def log_likelihood(mean, log_variance):
        x = scale._design(pcs)
        s = x @ log_variance
        return -0.5 * np.sum(s + (raw - x @ mean) ** 2 / np.exp(s))

    best = log_likelihood(scale.mean, scale.log_variance)
    for at in range(3):
        for step in (-1e-3, 1e-3):
            nudge = np.zeros(3)
            nudge[at] = step
            assert log_likelihood(scale.mean + nudge, scale.log_variance) < best
            assert log_likelihood(scale.mean, scale.log_variance + nudge) < best
    assert scale.log_variance[1] == pytest.approx(0.6, abs=0.1)


def test_too_few_reference_people_are_refused():
    with pytest.raises(DesignError, match="too few"):
        fit_ancestry_scale(np.arange(20.0), np.zeros((20, 4)))
