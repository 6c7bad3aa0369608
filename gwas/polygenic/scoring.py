"""Scoring: many scores in one pass over the genotypes, each weight accounted for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cohorts.errors import DesignError
from gwas.genotypes import Genotypes
from gwas.polygenic.matching import USED, By, Match, Palindromic, match, require_used
from gwas.polygenic.weights import Weights

Floats = NDArray[np.float64]
Missing = Literal["mean", "zero"]
MISSING_CALL = -9


@dataclass(frozen=True, eq=False)
class Scores:
    """Scores of people.

    Parameters
    ----------
    scores
        Sum of weight times copies of the effect allele; index iid, one column a score. NaN where none of
        the score's weights can be used: one failing score does not stop the others.
    allele_count
        Alleles seen (2 for each variant with a call), same shape.
    named_alleles
        Copies of effect alleles among them, same shape.
    se
        Standard error of each score that comes from the weights' own standard errors (independent
        variants, copies counted from the mean); NaN where a weight of the score has none.
    match
        One row a weight of every score: column score, then those of :attr:`Match.table`, and frequency
        (of the effect allele; NaN if the variant was not found).
    summary
        One row a score: build, weights, used, each reason for not being used, variants, missing_calls
        (share of calls missing and replaced), variance_coverage (share of the score's expected variance
        2 p (1 - p) w^2 that is used), frequency_assumed (share of weights whose p was not known and taken
        as typical), flipped, other_build.
    """

    scores: pd.DataFrame
    allele_count: pd.DataFrame
    named_alleles: pd.DataFrame
    se: pd.DataFrame
    match: pd.DataFrame
    summary: pd.DataFrame


def score(
    genotypes: Genotypes,
    weights: Weights | Sequence[Weights],
    *,
    missing: Missing = "mean",
    frequencies: Floats | None = None,
    by: By = "auto",
    palindromic: Palindromic = "drop",
    block_size: int = 1024,
    progress: Callable[[int], None] | None = None,
) -> Scores:
    """Score everybody with one or many scores, reading each needed variant once.

    Parameters
    ----------
    genotypes
        People and variants.
    weights
        One score or several, of different names.
    missing
        A missing genotype counts ``mean`` (expected copies: twice the allele frequency) or ``zero``.
    frequencies
        Reference ALT frequency of each variant of `genotypes`, shape (n_variants,); NaN, or None, is
        the frequency among the people scored. With a reference a person's score does not depend on who
        else is in the file.
    by, palindromic
        See :func:`gwas.polygenic.matching.match`.
    block_size
        Variants read at once; the answer does not depend on it beyond rounding.
    progress
        Called after every block with the number of variants in it.

    Returns
    -------
    Scores

    Raises
    ------
    DesignError
        If two scores have the same name.
    InputError
        If no weight of any score can be used.

    Notes
    -----
    Dosages are summed where the genotypes' values are dosages, else hard calls. Dominant weights count copies up
    to one, recessive ones those above one, which is 1 for one or two and 1 for two; their expectation under a
    reference frequency is Hardy-Weinberg's. Without a reference it is the mean of those observed.
    """
    scores = [weights] if isinstance(weights, Weights) else list(weights)
    names = [one.name for one in scores]
    if not scores or len(set(names)) != len(names):
        raise DesignError("scores need different names", found=", ".join(names) or "no score")
    if frequencies is not None and frequencies.shape != (genotypes.n_variants,):
        found, expected = frequencies.shape, (genotypes.n_variants,)
        raise DesignError("frequencies do not fit the variants", found=found, expected=expected)
    compared = _to_compare(genotypes, scores, frequencies, by) if palindromic == "frequency" else None
    matches = [
        match(one, genotypes.variants, by=by, palindromic=palindromic, frequencies=compared) for one in scores
    ]
    if all(found.used.empty for found in matches):
        require_used(matches[0])
    located = np.concatenate([m.table["variant"].to_numpy() for m in matches])
    needed = np.unique(
        located[located >= 0]
    )  # those found and not used too: their frequencies tell the coverage
    reference = None if frequencies is None else frequencies[needed]
    total = _Totals(genotypes.n_samples, len(scores))
    mean = np.full(genotypes.n_variants, np.nan)
    plans = _plans(matches, needed)
    for rows, copies, absent in _copies(genotypes.select(variants=needed), block_size):
        own = None if reference is None else reference[rows]
        mean[needed[rows]] = total.add(copies, absent, own, plans, rows, missing)
        if progress is not None:
            progress(len(copies))
    matches = [_mark_uncalled(m, mean) for m in matches]
    total.withhold([m.used.empty for m in matches])
    alt = mean / 2
    index = pd.Index(genotypes.samples["iid"], name="iid")
    return Scores(
        scores=pd.DataFrame(total.sums, index=index, columns=names),
        allele_count=pd.DataFrame((2 * total.calls).astype(np.int64), index=index, columns=names),
        named_alleles=pd.DataFrame(total.named, index=index, columns=names),
        se=pd.DataFrame(np.sqrt(total.variance), index=index, columns=names),
        match=pd.concat([_log(m, alt) for m in matches], ignore_index=True),
        summary=pd.DataFrame(
            [_summary(m, alt, total.calls[:, k]) for k, m in enumerate(matches)],
            index=pd.Index(names, name="score"),
        ),
    )


def _copies(genotypes: Genotypes, block_size: int) -> Iterator[tuple[slice, Floats, NDArray[np.bool_]]]:
    """Rows, copies of ALT (m, n; missing as 0) and who is missing, as dosages or calls, whichever is used."""
    if genotypes.values == "dosage":
        for exact in genotypes.dosage_blocks(min(block_size, 256)):
            unknown = np.isnan(exact.dosages)
            yield (
                slice(exact.start, exact.stop),
                np.where(unknown, 0.0, exact.dosages).astype(np.float64),
                unknown,
            )
        return
    for block in genotypes.blocks(block_size):
        calls = block.dosages()
        absent = calls == MISSING_CALL
        yield slice(block.start, block.stop), np.where(absent, 0, calls).astype(np.float64), absent


def alternate_frequencies(genotypes: Genotypes, rows: NDArray[np.int64], *, block_size: int = 4096) -> Floats:
    """ALT frequency of the variants `rows` among all people, (n_variants,); NaN elsewhere or no calls."""
    out = np.full(genotypes.n_variants, np.nan)
    for part, copies, absent in _copies(genotypes.select(variants=rows), block_size):
        n = absent.shape[1] - absent.sum(axis=1)
        out[rows[part]] = np.divide(copies.sum(axis=1), 2.0 * n, out=np.full(n.size, np.nan), where=n > 0)
    return out


def _to_compare(genotypes: Genotypes, scores: Sequence[Weights], reference: Floats | None, by: By) -> Floats:
    """Frequencies that decide on palindromic variants: the reference's, else those of the people scored."""
    pairs = genotypes.variants["ref"].str.upper() + genotypes.variants["alt"].str.upper()
    puzzling = pairs.isin(["AT", "TA", "CG", "GC"]).to_numpy()
    lists = [match(one, genotypes.variants, by=by, palindromic="keep").table["variant"] for one in scores]
    found = np.unique(np.concatenate(lists))
    found = found[found >= 0]
    own = alternate_frequencies(genotypes, found[puzzling[found]])
    return own if reference is None else np.where(np.isfinite(reference), reference, own)


@dataclass(frozen=True)
class _Plan:
    """Weights of every score for one effect type, over the needed variants."""

    kind: str
    alt: Floats  # (m, k) weight where the effect allele is ALT
    ref: Floats  # (m, k) weight where it is REF
    alt_used: Floats  # (m, k) 1 where a weight with ALT as effect allele is
    ref_used: Floats
    alt_variance: Floats  # (m, k) squared standard errors of the weights
    ref_variance: Floats


def _plans(matches: Sequence[Match], needed: NDArray[np.int64]) -> list[_Plan]:
    plans = []
    for kind in ("additive", "dominant", "recessive"):
        shape = (needed.size, len(matches))
        tables = [np.zeros(shape) for _ in range(6)]
        for k, one in enumerate(matches):
            used = one.used[one.used["effect_type"] == kind]
            rows = np.searchsorted(needed, used["variant"].to_numpy())
            alt = used["effect_is_alt"].to_numpy(dtype=bool)
            for side, inside in enumerate((alt, ~alt)):
                tables[side][rows[inside], k] = used["weight"].to_numpy()[inside]
                tables[2 + side][rows[inside], k] = 1.0
                tables[4 + side][rows[inside], k] = used["se"].to_numpy()[inside] ** 2
        if tables[2].any() or tables[3].any():
            plans.append(_Plan(kind, *tables))
    return plans


class _Totals:
    """Running sums over blocks; arrays (people, scores)."""

    def __init__(self, people: int, scores: int) -> None:
        self.sums, self.calls, self.named, self.variance = (np.zeros((people, scores)) for _ in range(4))

    def withhold(self, empty: Sequence[bool]) -> None:
        """Give no score where nothing was used."""
        self.sums[:, list(empty)] = np.nan
        self.variance[:, list(empty)] = np.nan

    def add(
        self,
        copies: Floats,
        absent: NDArray[np.bool_],
        reference: Floats | None,
        plans: Sequence[_Plan],
        rows: slice,
        missing: Missing,
    ) -> Floats:
        """Add a block (m, n); returns the mean copies of ALT that stood for missing calls, (m,)."""
        holes = bool(absent.any())
        called = copies.shape[1] - absent.sum(axis=1)
        observed = np.divide(copies.sum(axis=1), called, out=np.full(called.size, np.nan), where=called > 0)
        mean = observed if reference is None else np.where(np.isfinite(reference), 2 * reference, observed)
        for plan in plans:
            used = plan.alt_used[rows] + plan.ref_used[rows]
            self.calls += used.sum(axis=0)
            if holes:
                self.calls -= absent.T.astype(np.float64) @ used
            sides = (
                (copies, mean, plan.alt, plan.alt_used, plan.alt_variance),
                (np.where(absent, 0.0, 2 - copies), 2 - mean, plan.ref, plan.ref_used, plan.ref_variance),
            )
            for counts, expected, weight, is_used, variance in sides:
                if not is_used[rows].any():
                    continue
                own = _transformed(counts, plan.kind)
                fill = _fill(own, expected, called, reference is not None, plan.kind)
                spread = own - np.nan_to_num(fill)[:, None]
                if holes:
                    spread = np.where(absent, 0.0, spread)
                    own = np.where(absent, 0.0, own)
                    self.named += own.T @ is_used[rows]
                    if missing == "mean":
                        own = np.where(absent, np.nan_to_num(fill)[:, None], own)
                else:
                    self.named += own.T @ is_used[rows]
                self.sums += own.T @ weight[rows]
                self.variance += (spread**2).T @ variance[rows]
        return mean


def _transformed(copies: Floats, kind: str) -> Floats:
    if kind == "dominant":
        return np.minimum(copies, 1.0)
    if kind == "recessive":
        return np.maximum(copies - 1.0, 0.0)
    return copies


def _fill(own: Floats, expected: Floats, called: NDArray[np.int64], known: bool, kind: str) -> Floats:
    """What a missing call counts: expected copies, or for the other effect types their expectation."""
    if kind == "additive":
        return expected
    if known:
        p = expected / 2
        return 1 - (1 - p) ** 2 if kind == "dominant" else p**2
    return np.asarray(np.divide(own.sum(axis=1), called, out=np.full(called.size, np.nan), where=called > 0))


def _mark_uncalled(found: Match, mean: Floats) -> Match:
    """Weights whose variant has neither a call nor a frequency did not add anything: say so."""
    table = found.table.copy()
    hit = table["variant"].to_numpy()
    lost = (table["status"] == USED).to_numpy() & ~np.isfinite(mean[np.maximum(hit, 0)])
    table.loc[lost, "status"] = "no_calls"
    return Match(found.weights, table, found.other_build)


def _log(found: Match, alt: Floats) -> pd.DataFrame:
    table = found.table
    log = table.drop(columns=["se", "effect_frequency"]).assign(frequency=_effect_frequency(found, alt))
    log.insert(0, "score", found.weights.name)
    return log


def _effect_frequency(found: Match, alt: Floats) -> Floats:
    hit = found.table["variant"].to_numpy()
    p = np.where(hit >= 0, alt[np.maximum(hit, 0)], np.nan)
    return np.where(found.table["effect_is_alt"].to_numpy(dtype=bool), p, 1 - p)


def _summary(found: Match, alt: Floats, calls: Floats) -> dict[str, object]:
    """Counts and coverage of one score; used and all reasons add up to its weights."""
    counts = found.counts()
    n = len(found.weights)
    if sum(counts.values()) != n:
        raise AssertionError(f"{n} weights, {sum(counts.values())} accounted for")
    p = _effect_frequency(found, alt)
    p = np.where(np.isfinite(p), p, found.table["effect_frequency"].to_numpy())
    known = np.isfinite(p)
    spread = 2 * p * (1 - p)
    typical = float(spread[known].mean()) if known.any() else 0.5
    variance = np.where(known, spread, typical) * found.table["weight"].to_numpy() ** 2
    used = (found.table["status"] == USED).to_numpy()
    total = float(variance.sum())
    n_used = int(used.sum())
    return {
        "build": found.weights.build,
        "weights": n,
        **counts,
        "missing_calls": 1 - float(calls.mean()) / n_used if n_used else np.nan,
        "variance_coverage": float(variance[used].sum()) / total if total > 0 else np.nan,
        "frequency_assumed": float((~known).mean()),
        "flipped": int(found.table["flipped"][used].sum()),
        "other_build": found.other_build,
    }
