"""Summary statistics: checks, inflation, top loci and other tools' layouts."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from cohorts.errors import InputError
from gwas.association import COLUMNS
from gwas.sumstats import InflationCounter, from_results, lambda_gc, to_plink, to_regenie, top_loci
from gwas.sumstats_writers import to_gwas_ssf
from gwas.tails import p_text
from gwas.trait_results import TraitResults


def results(rows: list[tuple[str, int, float]]) -> pd.DataFrame:
    """Chromosome, position, z of each variant."""
    chrom, pos, z = (list(column) for column in zip(*rows, strict=True))
    statistic = np.array(z, dtype=float)
    log10p = -np.log10(2) - stats.norm.logsf(np.abs(statistic)) / np.log(10)
    frame = pd.DataFrame(
        {
            "#CHROM": chrom,
            "POS": pos,
            "ID": [f"rs{i}" for i in range(len(pos))],
            "REF": "G",
            "ALT": "A",
            "A1": "A",
            "A1_FREQ": 0.3,
            "FIRTH?": "N",
            "TEST": "ADD",
            "OBS_CT": 100,
            "BETA": statistic * 0.1,
            "SE": 0.1,
            "T_STAT": statistic,
            "P": 10.0**-log10p,
            "LOG10_P": log10p,
            "ERRCODE": ".",
        }
    )
    return frame[list(COLUMNS[1:])]


def test_inflation_is_one_under_the_null_and_scales_with_the_statistics() -> None:
    z = stats.norm.ppf((np.arange(20_001) + 0.5) / 20_001)
    for factor in (1.0, 1.3):
        log10p = -np.log10(2 * stats.norm.sf(np.abs(z) * np.sqrt(factor)))
        assert lambda_gc(log10p) == pytest.approx(factor, rel=1e-3)
        counter = InflationCounter()
        for part in np.array_split(log10p, 7):
            counter.add(part)
        assert counter.lambda_gc == pytest.approx(lambda_gc(log10p), abs=2e-4)
    assert np.isnan(lambda_gc([np.nan]))
    assert np.isnan(InflationCounter().lambda_gc)


def test_top_loci_keep_the_best_within_reach_on_each_chromosome() -> None:
    frame = results(
        [
            ("1", 1_000, 6.0),
            ("1", 200_000, 7.0),
            ("1", 600_000, 6.5),
            ("1", 900_000, 5.9),
            ("2", 200_000, -6.2),
            ("2", 300_000, 2.0),
        ]
    )
    leads = top_loci(frame, distance=500_000)
    assert leads["ID"].tolist() == ["rs1", "rs3", "rs4"]
    assert leads["N_NEAR"].tolist() == [2, 1, 0]
    assert top_loci(frame.iloc[5:]).empty


def test_frame_that_is_not_a_result_is_refused() -> None:
    frame = results([("1", 5, 1.0), ("1", 6, 2.0)])
    assert TraitResults("t", "quantitative", frame).tested.shape[0] == 2
    faults = {
        "SE": (0.0, "an SE that is not positive"),
        "BETA": (np.inf, "a result that is not finite"),
        "A1_FREQ": (1.5, "a frequency outside"),
        "A1": ("T", "an A1 that is neither"),
        "ERRCODE": ("VIF_TOO_HIGH", "a result beside an error code"),
    }
    for column, (value, message) in faults.items():
        broken = frame.copy()
        broken.loc[1, column] = value
        with pytest.raises(InputError, match=message):
            TraitResults("t", "quantitative", broken)
    with pytest.raises(InputError, match="no BETA"):
        TraitResults("t", "quantitative", frame.drop(columns="BETA"))


def test_plink_layout_of_both_kinds() -> None:
    frame = results([("1", 5, 60.0), ("X", 6, -1.0)])
    linear = to_plink(frame, kind="quantitative")
    assert " ".join(linear.columns) == (
        "#CHROM POS ID REF ALT A1 A1_FREQ TEST OBS_CT BETA SE T_STAT P LOG10_P ERRCODE"
    )
    assert linear["P"][0].endswith("e-784")
    logistic = to_plink(frame, kind="binary")
    assert " ".join(logistic.columns) == (
        "#CHROM POS ID REF ALT A1 A1_FREQ FIRTH? TEST OBS_CT OR LOG(OR)_SE Z_STAT P LOG10_P ERRCODE"
    )
    assert np.log(logistic["OR"]).tolist() == pytest.approx([6.0, -0.1])


def test_regenie_and_ssf_layouts() -> None:
    frame = results([("X", 6, -1.0), ("2", 9, 3.0), ("2", 7, 2.0)])
    frame.loc[2, ["BETA", "SE", "T_STAT", "P", "LOG10_P"]] = np.nan
    frame.loc[2, "ERRCODE"] = "VIF_TOO_HIGH"
    regenie = to_regenie(frame)
    assert " ".join(regenie.columns) == (
        "CHROM GENPOS ID ALLELE0 ALLELE1 A1FREQ INFO N TEST BETA SE CHISQ LOG10P EXTRA"
    )
    assert regenie["CHROM"].tolist() == ["23", "2", "2"]
    assert regenie["EXTRA"].tolist() == ["NA", "NA", "VIF_TOO_HIGH"]
    assert regenie["CHISQ"][1] == pytest.approx(9.0)
    stats = from_results(frame, trait="t", kind="binary")
    ssf = to_gwas_ssf(stats)
    assert list(ssf.columns[:8]) == [
        "chromosome",
        "base_pair_location",
        "effect_allele",
        "other_allele",
        "beta",
        "standard_error",
        "effect_allele_frequency",
        "neg_log_10_p_value",
    ]
    assert ssf["chromosome"].tolist() == ["2", "23"]
    assert ssf["rsid"].tolist() == ["rs1", "rs0"]
    assert to_gwas_ssf(stats, effect="odds_ratio")["odds_ratio"][0] == pytest.approx(np.exp(0.3))


def test_p_values_of_any_size_are_written() -> None:
    assert p_text([0.0, 5.0, 299.5, 400.0, np.nan]) == ["1", "1e-05", "3.16228e-300", "1e-400", "NA"]
