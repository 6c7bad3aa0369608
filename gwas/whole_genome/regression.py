"""Whole-genome regression of many traits at once, with predictions for people it has not seen."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

import numba
import numpy as np
import numpy.typing as npt
import pandas as pd

from cohorts.errors import DesignError
from gwas.design import Design
from gwas.engines.blas_threads import one_blas_thread
from gwas.genotypes import Genotypes
from gwas.kernels import shrinkage_tiles as kernel
from gwas.offsets import CHROMOSOMES, LocoOffsets
from gwas.whole_genome.columns import Column, Columns
from gwas.whole_genome.inflation import Inflation, offset_inflation
from gwas.whole_genome.moments import PROBES, first_pass
from gwas.whole_genome.panel import Panel, make_panel
from gwas.whole_genome.priors import PRIORS, Prior
from gwas.whole_genome.response import Response, make_response

Floats = npt.NDArray[np.float64]
F32 = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

COLUMN_BYTES: Final = 640 * 2**20
"""Memory for the regressions that are fitted together; more traits are fitted in turns."""
CHOICE_FOLDS: Final = 2
"""Folds held out to choose a trait's prior."""
CHOICE_SWEEPS: Final = 2
LARGEST_FACTOR: Final = 2.0


@dataclass(frozen=True)
class TraitFit:
    """How one trait was fitted.

    Attributes
    ----------
    name, kind
        The trait; ``quantitative`` or ``binary``.
    n
        People.
    heritability
        Variance explained by all variants, estimated by moments, of the (working) residual.
    prior
        Shape of the effects that predicted best.
    held_out_r2
        Part of the residual variance (binary: of the deviance) that all variants' predictions explain in
        people who were not used for them.
    factor
        What predictions were multiplied by to fit best.
    sweeps
        Largest number of times the variants were gone through.
    inflation
        How much tests beside the predictions exceed a mixed model's, where that was asked for.
    """

    name: str
    kind: str
    n: int
    heritability: float
    prior: Prior
    held_out_r2: float
    factor: float
    sweeps: int
    inflation: Inflation | None = None


@dataclass(frozen=True, eq=False)
class WholeGenomeFit:
    """Answer of :func:`whole_genome_regression`.

    Attributes
    ----------
    offsets
        LOCO predictions, for ``associate(..., offsets=)``.
    traits
        How each trait was fitted.
    variants
        DataFrame: ``chrom pos id ref alt`` of the variants used.
    weights
        float32 (variants, traits): effect of a copy of ALT in everyone, in units of the trait (binary: log
        odds); a polygenic score.
    frequency
        float64 (variants,): of ALT.
    skipped
        Trait → why it was not fitted.
    skipped_variants
        Reason → number of variants left out.
    """

    offsets: LocoOffsets
    traits: tuple[TraitFit, ...]
    variants: pd.DataFrame
    weights: F32
    frequency: Floats
    skipped: Mapping[str, str]
    skipped_variants: Mapping[str, int]

    @property
    def held_out_r2(self) -> dict[str, float]:
        """Trait → :attr:`TraitFit.held_out_r2`."""
        return {trait.name: trait.held_out_r2 for trait in self.traits}


def whole_genome_regression(
    genotypes: Genotypes,
    design: Design,
    *,
    folds: int = 10,
    priors: Sequence[Prior] = PRIORS,
    alpha: float = -0.25,
    mac: float = 5,
    tolerance: float = 0.1,
    most_sweeps: int = 4,
    calibrate: bool = False,
    threads: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> WholeGenomeFit:
    """Predict every trait from all chromosomes but one, each person by others.

    Parameters
    ----------
    genotypes
        Of the design's samples in its order; dosages, where that is what `genotypes.values` says, to a 127th of a
        copy. Autosomes are used; other chromosomes get the prediction of all autosomes. Several ten thousand to
        500,000 common variants are enough.
    design
        Traits (each with its own people) and covariates.
    folds
        Parts of the people; each is predicted by a fit to the others. Parts are drawn by hashes of the
        sample IDs: neither sample order nor traits nor a seed change them.
    priors
        Shapes of effects to choose from, for each trait by its held-out prediction.
    alpha
        Dependence of effects on frequency, see :func:`gwas.whole_genome.panel.make_panel`.
    mac
        Variants with fewer minor alleles are left out.
    tolerance, most_sweeps
        Stop a fit when its effects move by less than this part of their size in a sweep, or after so many.
    calibrate
        Compare the tests of quantitative traits beside the predictions with a mixed model's, see
        :mod:`gwas.whole_genome.inflation`; the offsets then carry the factors, by which associate divides
        their chi-squares. For samples of close relatives throughout.
    threads
        Threads of the kernels; None leaves the process's setting.
    progress
        Called with the part of the work just done, in thousandths.

    Returns
    -------
    WholeGenomeFit

    Raises
    ------
    DesignError
        Genotypes and design list different samples; no variant or no trait can be used; fewer than 4 folds or
        too few people.

    Notes
    -----
    Effects have a mixture of two normal priors (BOLT-LMM: Loh et al. 2015) or one (ridge regression), whose
    scale is a moment estimate of heritability; posterior means are found by coordinate ascent with residual
    updating (variational Bayes, Carbonetto and Stephens 2012, Bayesian Anal 7:73), blocks of variants at a
    time. A binary trait is linearised anew after each sweep. The prediction for a person comes from the fit
    without his fold, times a factor fitted in the other folds, so that offsets are never in-sample; as in
    REGENIE the tested chromosome's part is dropped from it.

    A trait's numbers do not depend on other traits beyond rounding in single precision.
    """
    _check(genotypes, design, folds)
    with _threads(threads), one_blas_thread(), one_blas_thread("numpy"):
        panel = make_panel(genotypes, mac=mac, alpha=alpha)
        responses, skipped = _responses(design)
        rank = _ranks(design.samples)
        fold = np.full(4 * panel.width, 0, dtype=np.int64)
        fold[: panel.n] = rank % folds
        signs = np.random.default_rng(0).choice(np.array([-1, 1], np.int8), size=(panel.n, PROBES))[rank]
        run = _Run(panel, fold, folds, tuple(priors), signs, tolerance, most_sweeps, calibrate)
        batches = list(_batches(responses, panel, max(folds + 1, len(priors), PROBES + 1)))
        told = [run.fit(batch, design, _told(progress, len(batches))) for batch in batches]
    fits = tuple(fit for batch in told for fit in batch.fits)
    units = np.array([response.unit * fit.factor for response, fit in zip(responses, fits, strict=True)])
    effects = np.concatenate([batch.effects for batch in told])
    return WholeGenomeFit(
        LocoOffsets(
            tuple(fit.name for fit in fits),
            CHROMOSOMES,
            design.samples,
            np.concatenate([batch.offsets for batch in told]),
            tuple(1.0 if fit.inflation is None else fit.inflation.factor for fit in fits),
        ),
        fits,
        panel.genotypes.variants[["chrom", "pos", "id", "ref", "alt"]].reset_index(drop=True),
        (effects * units[:, None] / panel.scale).T.astype(np.float32),
        panel.frequency,
        skipped,
        panel.skipped,
    )


def _told(progress: Callable[[int], None] | None, batches: int) -> Callable[[int], None]:
    return (lambda part: None) if progress is None else (lambda part: progress(part // batches))


@dataclass(frozen=True, eq=False)
class _Batch:
    """Answers for some traits: offsets (traits, chromosomes, people), effects (traits, variants)."""

    fits: list[TraitFit]
    offsets: F32
    effects: F32


@dataclass(frozen=True, eq=False)
class _Run:
    """What all traits share."""

    panel: Panel
    fold: Ints
    folds: int
    priors: tuple[Prior, ...]
    signs: npt.NDArray[np.int8]
    tolerance: float
    most_sweeps: int
    calibrate: bool

    def fit(self, responses: Sequence[Response], design: Design, progress: Callable[[int], None]) -> _Batch:
        """Fit some traits."""
        grams, heritability = first_pass(self.panel, responses, self.signs)
        progress(100)
        chosen = self._choose(responses, heritability, grams)
        progress(300)
        folds = [
            Column(response, self._fold_of(response) != f, prior, h2)
            for response, prior, h2 in zip(responses, chosen, heritability, strict=True)
            for f in range(self.folds + 1)
        ]
        columns = Columns(self.panel, folds, grams)
        columns.fit(tolerance=self.tolerance, most=self.most_sweeps)
        progress(500)
        stride = self.folds + 1
        parts = self._parts(columns.effects, stride)
        total = parts.sum(axis=0)
        offsets = np.empty((len(responses), len(CHROMOSOMES), self.panel.n), np.float32)
        fits = []
        kinds = {trait.name: trait.kind for trait in design.traits}
        for t, response in enumerate(responses):
            factors, fit = self._calibrate(response, total[:, t].astype(np.float64))
            scale = factors[self.fold[: self.panel.n]]
            for c, chrom in enumerate(CHROMOSOMES):
                without = total[:, t]
                if chrom in self.panel.chromosomes:
                    without = without - parts[self.panel.chromosomes.index(chrom), :, t]
                offsets[t, c] = scale * without
            sweeps = int(columns.sweeps[t * stride : (t + 1) * stride].max())
            fits.append(
                TraitFit(
                    response.name,
                    kinds[response.name],
                    len(response.people),
                    float(heritability[t]),
                    chosen[t],
                    fit[1],
                    fit[0],
                    sweeps,
                    self._inflation(response, offsets[t], float(heritability[t])),
                )
            )
        progress(100)
        return _Batch(fits, offsets, columns.effects[self.folds :: stride])

    def _inflation(self, response: Response, offsets: F32, heritability: float) -> Inflation | None:
        if not self.calibrate or not response.linear:
            return None
        rows = [CHROMOSOMES.index(chrom) for chrom in self.panel.chromosomes]
        return offset_inflation(
            self.panel, response, offsets[rows], heritability, np.random.default_rng(self.panel.m)
        )

    def _fold_of(self, response: Response) -> Ints:
        return self.fold[response.people]

    def _choose(
        self, responses: Sequence[Response], heritability: Floats, grams: Sequence[F32]
    ) -> list[Prior]:
        """The prior that predicts held-out people best, for each trait."""
        if len(self.priors) == 1:
            return [self.priors[0]] * len(responses)
        columns = Columns(
            self.panel,
            [
                Column(response, self._fold_of(response) >= CHOICE_FOLDS, prior, h2)
                for response, h2 in zip(responses, heritability, strict=True)
                for prior in self.priors
            ],
            grams,
        )
        columns.fit(tolerance=self.tolerance, most=CHOICE_SWEEPS)
        found = self._parts(columns.effects, 1).sum(axis=0)
        chosen = []
        for t, response in enumerate(responses):
            held_out = self._fold_of(response) < CHOICE_FOLDS
            gains = [
                response.explained(
                    found[response.people, t * len(self.priors) + i].astype(np.float64), held_out
                )
                for i in range(len(self.priors))
            ]
            chosen.append(self.priors[int(np.argmax(gains))])
        return chosen

    def _parts(self, effects: F32, stride: int) -> F32:
        """Predictions by each chromosome, each person by the column of his fold: (chromosomes, n, traits)."""
        panel, traits = self.panel, len(effects) // stride
        out = np.zeros((len(panel.chromosomes) if stride > 1 else 1, 4 * panel.width, traits), np.float32)
        column = self.fold if stride > 1 else np.zeros_like(self.fold)
        for chrom, first, last, packed in panel.passes():
            to = panel.chromosomes.index(chrom) if stride > 1 else 0
            weights = np.ascontiguousarray(effects[:, first:last].T)
            kernel.add_predictions(packed, panel.values[first:last], weights, column, stride, out[to])
        return out[:, : panel.n]

    def _calibrate(self, response: Response, total: Floats) -> tuple[Floats, tuple[float, float]]:
        """Factor for each fold from the others; factor and explained part over all."""
        fold, prediction = self._fold_of(response), total[response.people]
        factors = np.array(
            [
                min(response.calibrate(prediction, fold != f), LARGEST_FACTOR) if (fold != f).any() else 0.0
                for f in range(self.folds)
            ]
        )
        everyone = np.ones(len(fold), dtype=bool)
        whole = min(response.calibrate(prediction, everyone), LARGEST_FACTOR)
        return factors, (whole, response.explained(factors[fold] * prediction, everyone))


def _check(genotypes: Genotypes, design: Design, folds: int) -> None:
    if list(genotypes.samples["iid"]) != list(design.samples):
        raise DesignError(
            "genotypes and design list different samples",
            found=f"{genotypes.n_samples} and {len(design.samples)} samples",
            expected="the same IDs in the same order",
            fix="make the design from genotypes.samples['iid']",
        )
    if not CHOICE_FOLDS + 2 <= folds <= len(design.samples) // 4:
        raise DesignError(
            "folds do not fit the number of people",
            found=f"{folds} folds of {len(design.samples)} people",
            expected=f"at least {CHOICE_FOLDS + 2} folds of four people or more",
            fix="give fewer folds",
        )


def _responses(design: Design) -> tuple[list[Response], dict[str, str]]:
    responses, skipped = [], dict(design.skipped)
    for trait in design.traits:
        try:
            responses.append(make_response(design, trait))
        except DesignError as error:
            skipped[trait.name] = error.problem
    if not responses:
        reasons = "; ".join(f"{name}: {why}" for name, why in skipped.items())
        raise DesignError("no trait can be regressed", found=reasons, fix="check the phenotypes")
    return responses, skipped


def _ranks(samples: Sequence[str]) -> Ints:
    """Each sample's place by a hash of its ID."""
    hashes = [blake2b(sample.encode(), digest_size=8).digest() + sample.encode() for sample in samples]
    rank = np.empty(len(samples), dtype=np.int64)
    rank[sorted(range(len(samples)), key=hashes.__getitem__)] = np.arange(len(samples))
    return rank


def _batches(responses: Sequence[Response], panel: Panel, columns: int) -> Iterator[Sequence[Response]]:
    # residuals, weights and one temporary of them, and effects, in single precision
    each = 4 * columns * (3 * 4 * panel.width + panel.m) + 4 * panel.n * len(CHROMOSOMES)
    size = max(1, COLUMN_BYTES // each)
    for first in range(0, len(responses), size):
        yield responses[first : first + size]


@contextmanager
def _threads(threads: int | None) -> Iterator[None]:
    before = numba.get_num_threads()
    numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS) if threads else before)
    try:
        yield
    finally:
        numba.set_num_threads(before)
