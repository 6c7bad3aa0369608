"""Genotype × covariate terms: each variant beside the covariates, and beside its products with some of them.

A variant's predictors are the intercept, the covariates x, the genotype g and g x for each chosen covariate. They are
solved with covariates standardised and the genotype centred, so that the cross products lose nothing, and brought
back: with x = a + s z and g = g₀ + μ the predictors as given are a known linear map T of those solved, coefficients
are T⁻¹ times the ones solved, and (X'X)⁻¹ is carried through it. So the genotype's own term is its effect where every
chosen covariate is 0, as PLINK 2 prints it.

Everything that the cross products need is linear in g, in g², or in who misses a call: three products of a block with
what does not depend on the variant.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt

from cohorts.errors import DesignError
from gwas.design import Design, Kind, Trait, covariate_basis
from gwas.kernels.logistic import firth_newton, logistic_newton
from gwas.models import status
from gwas.models.linear import Missing
from gwas.models.result import VariantTests
from gwas.tails import log10p_normal, log10p_t

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Codes = npt.NDArray[np.int8]

_SINGULAR: Final = 1e-10
"""Least eigenvalue of the predictors' scaled cross products, by the largest."""


@dataclass(frozen=True, eq=False)
class TermsNull:
    """A trait, its covariates, and what genotypes are multiplied with.

    Attributes
    ----------
    kind
        Of the trait.
    people
        int64 (n,): whom a block's columns are narrowed to.
    outcome
        float64 (n,): 0 or 1, or what the covariates leave of a quantitative trait.
    predictors
        float64 (n, p): intercept and standardised covariates.
    chosen
        int64 (q,): columns of `predictors` that the genotype is multiplied with.
    centre, scale
        float64 (p,): a covariate as given is ``centre + scale * standardised``; 0 and 1 for the intercept.
    start
        float64 (p,): coefficients of the covariates alone, for a binary trait.
    """

    kind: Kind
    people: Ints
    outcome: Floats
    predictors: Floats
    chosen: Ints
    centre: Floats
    scale: Floats
    start: Floats

    @cached_property
    def beside(self) -> Floats:
        """float64 (n, 1 + q): what the genotype's own terms are its products with."""
        return np.column_stack([np.ones(len(self.people)), self.predictors[:, self.chosen]])


def fit_terms_null(design: Design, trait: Trait, covariates: Sequence[str]) -> TermsNull:
    """Prepare a trait.

    Parameters
    ----------
    design
        Traits and covariates.
    trait
        One of its traits.
    covariates
        Names of the covariates to multiply the genotype with.

    Raises
    ------
    DesignError
        One of them is constant among the trait's people, or covariates are collinear there.
    """
    mask = design.mask(trait)
    found = covariate_basis(design.covariates, design.covariate_names, mask, where=trait.name)
    constant = [name for name in covariates if name not in found.names]
    if constant:
        raise DesignError(
            "a covariate of an interaction is the same in everyone analysed",
            where=f"{trait.name}: {', '.join(constant)}",
            found="a constant",
            expected="a covariate that varies",
            fix="leave it, or the trait, out",
        )
    rows = design.covariates[mask][:, [design.covariate_names.index(name) for name in found.names]]
    outcome = trait.values[mask]
    predictors = np.column_stack([np.ones(len(rows)), found.centred])
    start = np.zeros(predictors.shape[1])
    if trait.kind == "quantitative":
        outcome = outcome - found.q @ (found.q.T @ outcome)
        outcome = outcome - found.q @ (found.q.T @ outcome)
    elif not logistic_newton(predictors.T, outcome, np.zeros(len(outcome)), start)[0]:
        start[:] = 0.0
    return TermsNull(
        trait.kind,
        np.flatnonzero(mask),
        outcome,
        predictors,
        np.array([1 + found.names.index(name) for name in covariates], dtype=np.int64),
        np.concatenate([[0.0], rows.mean(axis=0)]),
        np.concatenate([[1.0], np.sqrt(((rows - rows.mean(axis=0)) ** 2).mean(axis=0))]),
        start,
    )


@dataclass(frozen=True, eq=False)
class _Crossed:
    """Cross products of the predictors of m variants, with one another and with the outcome, and who they are of."""

    n: Ints
    predictors: Floats
    with_outcome: Floats
    outcome: Floats


def term_tests(
    null: TermsNull,
    copies: Floats,
    coded: Floats,
    *,
    missing: Missing,
    firth: bool,
    max_vif: float,
    max_corr: float,
    threads: int = 1,
) -> list[VariantTests]:
    """Test the genotype and its products with covariates in one regression of each variant.

    Parameters
    ----------
    null
        The trait.
    copies
        float64 (m, samples): copies of ALT, NaN where missing, for allele frequencies.
    coded
        float64 (m, samples): what the genotypes count as.
    missing
        ``mean`` among the trait's people, or ``complete-case``.
    firth
        Whether Firth stands in where maximum likelihood fails.
    max_vif, max_corr
        Largest variance inflation of any predictor, and largest correlation of a genotype's term with another
        predictor, both of predictors as given.
    threads
        Fits of a binary trait at a time.

    Returns
    -------
    list of VariantTests
        The genotype's own term, then its product with each chosen covariate: t statistics, or z of a binary trait.
    """
    copies, coded = copies[:, null.people], coded[:, null.people]
    absent = np.isnan(coded)
    called = (~absent).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.nan_to_num(np.where(absent, 0.0, coded).sum(axis=1) / called)
        frequency = np.where(absent, 0.0, copies).sum(axis=1) / (2 * called)
    centred = np.where(absent, 0.0, coded - mean[:, None])
    crossed = _cross_products(null, centred, absent if missing == "complete-case" else np.zeros_like(absent))
    scale = np.sqrt(np.maximum(np.einsum("maa->ma", crossed.predictors), 1e-300))
    scaled = crossed.predictors / (scale[:, :, None] * scale[:, None, :])
    verdict = np.zeros(len(coded), dtype=np.int8)
    verdict[~(np.linalg.eigvalsh(scaled)[:, 0] > _SINGULAR)] = status.RANK_DEFICIENT
    solvable = verdict == status.OK
    inverse = np.full_like(scaled, np.nan)
    inverse[solvable] = np.linalg.inv(scaled[solvable])
    inverse /= scale[:, :, None] * scale[:, None, :]
    given = _as_given(null, mean)
    back = np.linalg.inv(given)
    _screen(null, crossed, given, back @ inverse @ back.transpose(0, 2, 1), verdict, max_vif, max_corr)
    with np.errstate(invalid="ignore"):
        verdict[(centred.max(axis=1, initial=0) - centred.min(axis=1, initial=0)) == 0] = status.CONSTANT
    verdict[crossed.n <= crossed.predictors.shape[1]] = status.TOO_FEW_SAMPLES
    verdict[(called == 0) & (crossed.n > 0)] = status.NO_CALLS
    by_firth = np.zeros(len(verdict), dtype=bool)
    if null.kind == "quantitative":
        beta = np.einsum("mab,mb->ma", inverse, crossed.with_outcome)
        freedom = np.maximum(crossed.n - crossed.predictors.shape[1], 1)
        left = crossed.outcome - (beta * crossed.with_outcome).sum(axis=1)
        verdict[(verdict == status.OK) & ~(left > 1e-13 * crossed.outcome)] = status.INVALID_RESULT
        spread = inverse * (np.maximum(left, 0.0) / freedom)[:, None, None]
    else:
        separated = _allele_separates(null, copies, absent)
        beta, spread, by_firth = _logistic_fits(
            null,
            centred,
            absent,
            verdict,
            separated,
            drop=missing == "complete-case",
            firth=firth,
            threads=threads,
        )
    own = null.predictors.shape[1] + np.arange(1 + len(null.chosen))
    with np.errstate(invalid="ignore"):
        beta = np.einsum("mab,mb->ma", back, beta)[:, own]
        se = np.sqrt(np.einsum("maa->ma", back @ spread @ back.transpose(0, 2, 1))[:, own])
    verdict[(verdict == status.OK) & ~(np.isfinite(beta) & np.isfinite(se)).all(axis=1)] = (
        status.INVALID_RESULT
    )
    fine = (verdict == status.OK)[:, None]
    beta, se = np.where(fine, beta, np.nan), np.where(fine, se, np.nan)
    statistic = beta / se
    found = []
    for term in range(len(own)):
        z = np.ascontiguousarray(statistic[:, term])
        tail = log10p_t(z, freedom) if null.kind == "quantitative" else log10p_normal(z)
        found.append(
            VariantTests(crossed.n, frequency, beta[:, term], se[:, term], z, tail, verdict, by_firth)
        )
    return found


def _cross_products(null: TermsNull, centred: Floats, dropped: Mask) -> _Crossed:
    """Of predictors P, g D (g centred, 0 where missing) and outcome y, with dropped people left out."""
    p, y, beside = null.predictors, null.outcome, null.beside
    m, n = centred.shape
    k, d = p.shape[1], beside.shape[1]
    on_covariates = (beside[:, :, None] * p[:, None, :]).reshape(n, d * k)
    out = np.empty((m, k + d, k + d))
    out[:, k:, :k] = (centred @ on_covariates).reshape(m, d, k)
    out[:, :k, k:] = out[:, k:, :k].transpose(0, 2, 1)
    out[:, k:, k:] = (centred**2 @ (beside[:, :, None] * beside[:, None, :]).reshape(n, d * d)).reshape(
        m, d, d
    )
    out[:, :k, :k] = p.T @ p
    with_outcome = np.empty((m, k + d))
    with_outcome[:, :k], with_outcome[:, k:] = p.T @ y, centred @ (beside * y[:, None])
    squares, people = np.full(m, y @ y), np.full(m, n, dtype=np.int64)
    some = np.flatnonzero(dropped.any(axis=1))
    if len(some):
        out_of = dropped[some].astype(np.float64)
        out[some, :k, :k] -= (out_of @ (p[:, :, None] * p[:, None, :]).reshape(n, k * k)).reshape(-1, k, k)
        with_outcome[some, :k] -= out_of @ (p * y[:, None])
        squares[some] -= out_of @ y**2
        people[some] -= dropped[some].sum(axis=1)
    return _Crossed(people, out, with_outcome, squares)


def _as_given(null: TermsNull, mean: Floats) -> Floats:
    """float64 (m, K, K): T, whose column is a predictor as given in terms of those that are solved."""
    k, d = null.predictors.shape[1], 1 + len(null.chosen)
    out = np.zeros((len(mean), k + d, k + d))
    out[:, 0, 0] = 1.0
    for j in range(1, k):
        out[:, 0, j], out[:, j, j] = null.centre[j], null.scale[j]
    out[:, 0, k], out[:, k, k] = mean, 1.0
    for i, j in enumerate(null.chosen, start=1):
        centre, scale = null.centre[j], null.scale[j]
        # (g₀ + μ)(a + s z)
        out[:, 0, k + i], out[:, j, k + i] = mean * centre, mean * scale
        out[:, k, k + i], out[:, k + i, k + i] = centre, scale
    return out


def _screen(
    null: TermsNull,
    crossed: _Crossed,
    given: Floats,
    inverse: Floats,
    verdict: Codes,
    max_vif: float,
    max_corr: float,
) -> None:
    """PLINK 2's checks of the predictors as given, `inverse` of whose cross products is known; codes in place."""
    k = null.predictors.shape[1]
    raw = given.transpose(0, 2, 1) @ crossed.predictors @ given
    sums = raw[:, 0, 1:]
    n = np.maximum(crossed.n, 1)[:, None]
    spread = raw[:, 1:, 1:] - sums[:, :, None] * sums[:, None, :] / n[:, :, None]
    with np.errstate(invalid="ignore", divide="ignore"):
        variance = np.einsum("maa->ma", spread)
        inflation = np.einsum("maa->ma", inverse)[:, 1:] * variance
        correlation = np.abs(spread) / np.sqrt(variance[:, :, None] * variance[:, None, :])
        # what covariates are to one another is not a variant's fault
        alone = np.diagonal(np.linalg.inv(null.predictors.T @ null.predictors))[1:] * len(null.people)
        counted = np.concatenate([alone <= max_vif, np.ones(spread.shape[1] - k + 1, dtype=bool)])
        solved = verdict == status.OK
        verdict[solved & (inflation[:, counted] > max_vif).any(axis=1)] = status.VIF_TOO_HIGH
        np.einsum("maa->ma", correlation)[:] = 0.0
        verdict[(correlation[:, k - 1 :] > max_corr).any(axis=(1, 2))] = status.CORR_TOO_HIGH


def _allele_separates(null: TermsNull, copies: Floats, absent: Mask) -> Mask:
    """Whether one allele is absent from the called cases or the called controls."""
    separated = np.zeros(len(copies), dtype=bool)
    alleles = np.where(absent, 0.0, copies)
    for group in (null.outcome == 1, null.outcome == 0):
        alt, called = alleles[:, group].sum(axis=1), (~absent[:, group]).sum(axis=1)
        separated |= (alt == 0) | (alt == 2 * called)
    return separated


def _logistic_fits(
    null: TermsNull,
    centred: Floats,
    absent: Mask,
    verdict: Codes,
    separated: Mask,
    *,
    drop: bool,
    firth: bool,
    threads: int,
) -> tuple[Floats, Floats, Mask]:
    """Coefficients (m, K), their covariances (m, K, K) and who is Firth's; what cannot be fitted gets a code."""
    size = null.predictors.shape[1] + 1 + len(null.chosen)
    beta, spread = np.full((len(centred), size), np.nan), np.full((len(centred), size, size), np.nan)
    by_firth = np.zeros(len(centred), dtype=bool)
    rows = np.flatnonzero(verdict == status.OK).tolist()

    def fit(v: int) -> tuple[Floats, Floats, bool] | None:
        used = ~absent[v] if drop else np.ones(len(null.outcome), dtype=bool)
        return _logistic_fit(null, centred[v], used, try_ml=not separated[v], firth=firth)

    # the loops of a fit leave the interpreter to others
    with ThreadPoolExecutor(max_workers=threads, thread_name_prefix="interaction") as pool:
        for v, found in zip(rows, pool.map(fit, rows), strict=True):
            if found is None:
                by_ml = status.SEPARATION if separated[v] else status.LOGISTIC_CONVERGE_FAIL
                verdict[v], by_firth[v] = (status.FIRTH_CONVERGE_FAIL if firth else by_ml), firth
            else:
                beta[v], spread[v], by_firth[v] = found
    return beta, spread, by_firth


def _logistic_fit(
    null: TermsNull, centred: Floats, used: Mask, *, try_ml: bool, firth: bool
) -> tuple[Floats, Floats, bool] | None:
    """Coefficients of one variant, their covariances, and whether they are Firth's; None if nothing converges."""
    terms = null.beside[used].T
    x = np.concatenate([null.predictors[used].T, centred[used] * terms])
    y, nothing = null.outcome[used], np.zeros(x.shape[1])
    start = np.concatenate([null.start, np.zeros(len(terms))])
    fitted = start.copy()
    by_ml = try_ml and logistic_newton(x, y, nothing, fitted)[0]
    if not by_ml:
        fitted = start.copy()
        if not firth or not firth_newton(x, y, nothing, fitted, len(x))[0]:
            return None
    p = 1.0 / (1.0 + np.exp(-(fitted @ x)))
    return fitted, np.linalg.inv((x * (p * (1.0 - p))) @ x.T), not by_ml
