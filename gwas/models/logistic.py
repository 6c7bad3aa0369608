"""Logistic regression of binary traits: score test for all variants, or a full fit of each.

The null model (covariates alone) is fitted once a trait. Its score test needs, of every variant, only
products with the null residuals and with weighted covariates, so that it rides in the same pass as the linear
traits:
U = g'(y - p), V = g'Wg - |V'g|² with V an orthonormal basis of the weighted covariates.

Ways of reporting:

``wald``
    What PLINK 2's ``--glm`` reports: maximum likelihood for every variant, Firth's penalised likelihood where
    an allele does not occur in both cases and controls or the iteration fails; Wald z.
``score``
    The score test for every variant. Wrong in the tail where cases are rare: for comparison.
``score-firth``, ``score-firth-approx``, ``score-spa``
    The score test for every variant, and for those whose P is below a threshold a test that is sound where cases
    or carriers are few: Firth's penalised likelihood ratio, the same with the covariates' effects fixed at
    their null fit (what REGENIE calls approximate Firth), or the saddle-point approximation of the score's
    distribution (SAIGE's). See :mod:`gwas.kernels.tilted`.
``score-spa-firth``
    The default: P as ``score-spa``, which alone holds its level however few the cases and the carriers are, and the
    effect in the tail by approximate Firth, as the score test's is no estimate of a log odds ratio that is not
    small. SE is what goes with both.
"""

from __future__ import annotations

from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from gwas.kernels import refit, tilted
from gwas.kernels.maximum import maximise_variants
from gwas.models import status
from gwas.models.group import Floats, Ints
from gwas.models.linear import Missing, Moments
from gwas.models.logistic_null import LogisticNull
from gwas.models.result import VariantTests
from gwas.models.tile import Calls, Tile
from gwas.tails import log10p_normal, z_of_log10p

LogisticMode = Literal["wald", "score", "score-firth", "score-firth-approx", "score-spa", "score-spa-firth"]

MANY: Final = 500
"""With fewer people single fits are as fast."""


def wald_tests(
    null: LogisticNull,
    calls: Calls,
    tile: Tile,
    screened: Moments,
    *,
    missing: Missing,
    firth: bool,
) -> VariantTests:
    """Full fit of every variant, as PLINK 2's logistic-Firth hybrid.

    Parameters
    ----------
    null, calls, tile, missing
        As in :func:`gwas.models.linear.moments`.
    screened
        Which variants can be tested.
    firth
        Refit by Firth where an allele separates or maximum likelihood fails; otherwise these get a code.

    Returns
    -------
    VariantTests
        Wald z statistics.
    """
    verdict = screened.status.copy()
    result = np.full((len(verdict), 4), np.nan)
    separated = _allele_separates(null, tile)
    by_ml = np.flatnonzero((verdict == status.OK) & ~separated).astype(np.int64)
    if null.converged and null.group.n >= MANY:
        result[by_ml, :3] = maximise_variants(
            tile.genotypes,
            by_ml,
            flip=calls.flip,
            means=calls.mean,
            positions=null.group.positions,
            start=null.starting_point,
            drop_missing=missing == "complete-case",
        )
    by_ml = by_ml[result[by_ml, 0] != 1]
    result[by_ml] = _refit(null, calls, tile, by_ml, missing=missing, method=refit.WALD)
    failed = (verdict == status.OK) & ~(result[:, 0] == 1)
    used_firth = np.zeros(len(verdict), dtype=bool)
    if firth:
        again = np.flatnonzero(failed).astype(np.int64)
        result[again] = _refit(null, calls, tile, again, missing=missing, method=refit.FIRTH_ESTIMATE)
        used_firth[again] = True
        verdict[again[result[again, 0] != 1]] = status.FIRTH_CONVERGE_FAIL
    else:
        verdict[failed] = np.where(separated[failed], status.SEPARATION, status.LOGISTIC_CONVERGE_FAIL)
    beta, se = _clean(result, verdict, calls)
    with np.errstate(invalid="ignore", divide="ignore"):
        z = beta / se
    return VariantTests(screened.n, calls.alt_frequency, beta, se, z, log10p_normal(z), verdict, used_firth)


def score_tests(
    null: LogisticNull,
    calls: Calls,
    tile: Tile,
    screened: Moments,
    on_linear: Floats,
    on_weights: Floats,
    *,
    missing: Missing,
    mode: LogisticMode,
    tail_below: float,
    firth_se: bool = False,
) -> VariantTests:
    """Score test of every variant, and another test in the tail.

    Parameters
    ----------
    null, calls, tile, screened, missing
        As in :func:`wald_tests`.
    on_linear, on_weights
        float64 (m, 1 + k) and (m, 1): products of the oriented genotypes with `null.linear`, and of their
        squares with `null.weights`; missing as 0.
    mode
        Which test there is in the tail; with ``score`` none.
    tail_below
        The score test's P below which a variant is in the tail.
    firth_se
        The SE of a Firth test is the one that goes with its estimate and its P, not the information's.

    Returns
    -------
    VariantTests
        Before the tail: z = U/√V, beta = U/V (one Newton step), SE = 1/√V. Firth's tail: estimate and SE
        (from the information at the estimate) of the penalised likelihood, z the signed root of its ratio.
        Saddle-point: beta as before or approximate Firth's, z that of its P, and the SE that goes with both.

    Notes
    -----
    Where the null model does not converge (covariates separate cases from controls), the whole trait is left to
    Firth. With ``complete-case`` the score test's null model is refitted to the people who have a call; the
    tail of approximate Firth and of the saddle-point keeps the null model of the trait's people.
    """
    verdict = screened.status.copy()
    u, v, on_basis = _score_moments(null, calls, tile, on_linear, on_weights)
    result = np.full((len(verdict), 4), np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        result[:, 1], result[:, 2], result[:, 3] = u / v, 1.0 / np.sqrt(v), u * u / v
    result[:, 0] = v > 0
    if missing == "complete-case":
        fewer = np.flatnonzero((verdict == status.OK) & (calls.missing > 0)).astype(np.int64)
        result[fewer] = _refit(null, calls, tile, fewer, missing=missing, method=refit.SCORE)
    verdict[(verdict == status.OK) & (result[:, 0] != 1)] = status.LOGISTIC_CONVERGE_FAIL
    with np.errstate(invalid="ignore"):
        z = np.sign(result[:, 1]) * np.sqrt(result[:, 3])
    log10p = log10p_normal(z)
    used_firth = np.zeros(len(verdict), dtype=bool)
    if mode != "score" or not null.converged:
        with np.errstate(divide="ignore"):
            beyond = (log10p > -np.log10(tail_below)) | (not null.converged)
        tail = np.flatnonzero((verdict == status.OK) & beyond).astype(np.int64)
        if mode in ("score-spa", "score-spa-firth") and null.converged:
            _saddle_tail(null, calls, tile, tail, on_basis, result, log10p, missing=missing)
            if mode == "score-spa-firth":
                used_firth[_firth_effects(null, calls, tile, tail, on_basis, result, missing=missing)] = True
        else:
            rest = tail
            if mode == "score-firth-approx" and null.converged:
                rest = _approximate_tail(null, calls, tile, tail, on_basis, result, missing=missing)
            result[rest] = _refit(null, calls, tile, rest, missing=missing, method=refit.FIRTH)
            unfit = tail[(result[tail, 0] != 1) | np.isnan(result[tail, 3])]
            verdict[unfit] = status.FIRTH_CONVERGE_FAIL
            used_firth[tail] = True
            with np.errstate(invalid="ignore"):
                log10p[tail] = log10p_normal(np.sqrt(result[tail, 3]))
            if firth_se:
                result[tail, 2] = _se_of(result[tail])
    beta, se = _clean(result, verdict, calls)
    fine = verdict == status.OK
    with np.errstate(invalid="ignore"):
        z = np.where(fine, np.sign(beta) * np.sqrt(result[:, 3]), np.nan)
    return VariantTests(
        screened.n, calls.alt_frequency, beta, se, z, np.where(fine, log10p, np.nan), verdict, used_firth
    )


def _tilted(
    null: LogisticNull,
    model: tilted.TiltedNull,
    calls: Calls,
    tile: Tile,
    tail: Ints,
    on_basis: Floats,
    *,
    missing: Missing,
    method: int,
) -> Floats:
    return tilted.tilted_tests(
        tile.genotypes,
        tail,
        flip=calls.flip,
        means=calls.mean if missing == "mean" else np.full(len(calls.mean), np.nan),
        place=null.place,
        on_basis=on_basis[tail],
        lower=null.lower,
        null=model,
        method=method,
    )


def _approximate_tail(
    null: LogisticNull,
    calls: Calls,
    tile: Tile,
    tail: Ints,
    on_basis: Floats,
    result: Floats,
    *,
    missing: Missing,
) -> Ints:
    """Put approximate Firth into the tail's results; give those for which it did not converge."""
    found = _tilted(null, null.by_firth, calls, tile, tail, on_basis, missing=missing, method=tilted.FIRTH)
    result[tail] = found[:, :4]
    unfit: Ints = tail[found[:, 0] != 1]
    return unfit


def _saddle_tail(
    null: LogisticNull,
    calls: Calls,
    tile: Tile,
    tail: Ints,
    on_basis: Floats,
    result: Floats,
    log10p: Floats,
    *,
    missing: Missing,
) -> None:
    """Put the saddle-point's P, and the SE and z that follow from it, into the tail's results."""
    model = null.by_likelihood
    found = _tilted(null, model, calls, tile, tail, on_basis, missing=missing, method=tilted.SADDLE_OF_COUNTS)
    log10p[tail] = tilted.log10p_of_saddle(found)
    result[tail, 0] = found[:, 0]
    result[tail, 3] = z_of_log10p(log10p[tail]) ** 2
    result[tail, 2] = _se_of(result[tail])


def _firth_effects(
    null: LogisticNull,
    calls: Calls,
    tile: Tile,
    tail: Ints,
    on_basis: Floats,
    result: Floats,
    *,
    missing: Missing,
) -> Ints:
    """Put Firth's estimates, and the SE that goes with them and the P there is, into the tail; give where."""
    found = result.copy()
    rest = _approximate_tail(null, calls, tile, tail, on_basis, found, missing=missing)
    found[rest] = _refit(null, calls, tile, rest, missing=missing, method=refit.FIRTH_ESTIMATE)
    fine: Ints = tail[(found[tail, 0] == 1) & np.isfinite(found[tail, 1:3]).all(axis=1)]
    result[fine, 1:3] = found[fine, 1:3]
    result[fine, 2] = _se_of(result[fine])
    return fine


def _se_of(result: Floats) -> Floats:
    """The SE with which the estimate has the chi-square there is; as it was where that is 0."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(result[:, 3] > 0, np.abs(result[:, 1]) / np.sqrt(result[:, 3]), result[:, 2])


def _score_moments(
    null: LogisticNull, calls: Calls, tile: Tile, on_linear: Floats, on_weights: Floats
) -> tuple[Floats, Floats, Floats]:
    """U, V and the products with the basis, with the mean in place of missing calls."""
    some = np.flatnonzero((calls.missing > 0) & (calls.called > 0)).astype(np.int64)
    on_linear, on_weights = on_linear.copy(), on_weights[:, 0].copy()
    if len(some):
        sums = tile.missing_sums(some, np.column_stack([null.linear, null.weights]))
        mean = calls.mean[some]
        on_linear[some] += sums[:, :-1] * mean[:, None]
        on_weights[some] += sums[:, -1] * mean**2
    on_basis = on_linear[:, 1:]
    return on_linear[:, 0], on_weights - (on_basis**2).sum(axis=1), on_basis


def _allele_separates(null: LogisticNull, tile: Tile) -> npt.NDArray[np.bool_]:
    """Whether one allele is absent from the called cases or the called controls."""
    separated = np.zeros(len(tile), dtype=bool)
    for people in (null.cases, null.group.columns & ~null.cases):
        alt, called = tile.alleles(people)
        separated |= (alt == 0) | (alt == 2 * called)
    return separated


def _refit(
    null: LogisticNull,
    calls: Calls,
    tile: Tile,
    variants: Ints,
    *,
    missing: Missing,
    method: int,
) -> Floats:
    return refit.refit_variants(tile.genotypes, variants, method=method, **_given(null, calls, missing))


def _given(null: LogisticNull, calls: Calls, missing: Missing) -> dict[str, Any]:
    """What every fit of single variants is given."""
    return {
        "flip": calls.flip,
        "means": calls.mean,
        "positions": null.group.positions,
        "covariates": null.design,
        "outcome": null.outcome,
        "offset": null.offset,
        "start": null.coefficients,
        "drop_missing": missing == "complete-case",
    }


def _clean(result: Floats, verdict: npt.NDArray[np.int8], calls: Calls) -> tuple[Floats, Floats]:
    """Estimates per copy of ALT; NaN, and a code, where there is none."""
    beta, se = result[:, 1], result[:, 2]
    verdict[(verdict == status.OK) & ~(np.isfinite(beta) & np.isfinite(se))] = status.INVALID_RESULT
    fine = verdict == status.OK
    return np.where(fine, np.where(calls.flip, -beta, beta), np.nan), np.where(fine, se, np.nan)
