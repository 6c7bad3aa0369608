"""Everything about the traits that is fitted once, and one call that tests a block against all of it.

The matrices that genotypes are multiplied with stand side by side: the basis of the covariates in everyone who has
them, then each trait's residual in its own people. So a block is decoded once, and multiplied with the covariates
once, whatever the number of traits and of their missingness patterns (:mod:`gwas.models.group`). A trait's answer
does not depend on which traits stand beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
import numpy.typing as npt

from cohorts.errors import DesignError
from gwas.design import Design, Floats, Mask, Trait, covariate_basis
from gwas.genotypes.chromosomes import Ploidy
from gwas.kernels.recode import Coding
from gwas.models import status
from gwas.models.group import Group, Ints, group_of, make_common
from gwas.models.linear import LinearNull, Missing, Moments, fit_linear_null, linear_tests, moments
from gwas.models.result import VariantTests, untested
from gwas.models.tile import Basis, Products, RightSides, Tile

if TYPE_CHECKING:
    from gwas.models.logistic import LogisticMode
    from gwas.models.logistic_null import LogisticNull

EFFECT_PER: Final[Mapping[Ploidy, float]] = {"diploid": 1.0, "x": 1.0, "y": 2.0, "mt": 2.0}
"""Effects on Y and MT are per 0…1 copies although a BED file writes 0/2; on X males are 0/2 (PLINK 2)."""


@dataclass(frozen=True)
class AssociationOptions:
    """How to test; see :func:`gwas.association.associate_blocks`."""

    missing: Missing = "mean"
    logistic: LogisticMode = "score-spa-firth"
    firth: bool = True
    firth_se: bool = False
    tail_below: float = 0.05
    max_vif: float = 50.0
    max_corr: float = 0.999
    block_size: int = 1024
    coding: Coding = "additive"
    male_copies: Literal[1, 2] = 2


@dataclass(frozen=True, eq=False)
class Panel:
    """Traits of one group with their null models, and where their columns stand in the wide matrices.

    Attributes
    ----------
    linear
        The group and its quantitative traits.
    quantitative, binary
        Names of the traits, in the order of `linear.residuals` and `logistic`.
    logistic
        Null models of the binary traits.
    first, first_squared
        First column of this panel in the wide matrices.
    """

    linear: LinearNull
    quantitative: tuple[str, ...]
    binary: tuple[str, ...]
    logistic: tuple[LogisticNull, ...]
    first: int
    first_squared: int


@dataclass(frozen=True, eq=False)
class Phenome:
    """All traits of a design, ready to be tested against blocks.

    Attributes
    ----------
    panels
        One for each missingness pattern.
    failed
        Trait → (status, people): traits that cannot be fitted for this kind of chromosome.
    right
        What genotypes are multiplied with, one row for each of a packed row's samples.
    order
        Trait names in the design's order.
    effect_per
        Copies that an effect is reported for, see :data:`EFFECT_PER`.
    inflation
        Quantitative trait → what its chi-squares are divided by; 1 where it is not there.
    """

    panels: tuple[Panel, ...]
    failed: Mapping[str, tuple[int, int]]
    right: RightSides
    order: tuple[str, ...]
    effect_per: float
    options: AssociationOptions
    inflation: Mapping[str, float]

    def test(self, tile: Tile) -> dict[str, VariantTests]:
        """Test every variant of a block against every trait.

        Parameters
        ----------
        tile
            Genotypes of the samples this phenome was prepared for.

        Returns
        -------
        dict of str to VariantTests
            By trait, in the design's order; effects are per copy of ALT.
        """
        alt, called = tile.alleles(self.right.everyone)
        flip = alt > called
        products = tile.products(flip, self.right)
        # binary traits fit with the mean by themselves
        last = max((panel.first + len(panel.quantitative) for panel in self.panels), default=0)
        absent = tile.absent_sums(self.right, last) if self.options.missing == "mean" and last else None
        found: dict[str, VariantTests] = {}
        for panel in self.panels:
            found.update(self._test_panel(panel, flip, tile, products, absent))
        for name, (code, n) in self.failed.items():
            found[name] = untested(len(tile), n=n, status=code)
        return {name: found[name].rescaled(self.effect_per) for name in self.order}

    def _test_panel(
        self, panel: Panel, flip: Mask, tile: Tile, products: Products, absent: Floats | None
    ) -> dict[str, VariantTests]:
        options, null, group = self.options, panel.linear, panel.linear.group
        middle, last = panel.first, panel.first + len(panel.quantitative)
        among = tile.among(group.people, flip, self.right, products, absent)
        calls, missing = among.calls, among.absent_on_basis
        both = moments(
            null,
            calls,
            tile,
            among.on_basis @ group.to_basis,
            products.linear[:, middle:last],
            None if absent is None or missing is None else (missing @ group.to_basis, absent[:, middle:last]),
            max_vif=options.max_vif,
            max_corr=options.max_corr,
        )
        inflation = [self.inflation.get(name, 1.0) for name in panel.quantitative]
        tests = linear_tests(group, calls, both, inflation=inflation)
        found = dict(zip(panel.quantitative, tests, strict=True))
        if not panel.binary:
            return found
        # fits of binary traits take numba, which quantitative ones do without
        from gwas.models.logistic import score_tests, wald_tests

        for i, (name, logistic) in enumerate(zip(panel.binary, panel.logistic, strict=True)):
            if options.logistic == "wald":
                found[name] = wald_tests(
                    logistic, calls, tile, both, missing=options.missing, firth=options.firth
                )
            else:
                start = last + i * (1 + group.k)
                found[name] = score_tests(
                    logistic,
                    calls,
                    tile,
                    both,
                    products.linear[:, start : start + 1 + group.k],
                    products.squared[:, panel.first_squared + i : panel.first_squared + i + 1],
                    missing=options.missing,
                    mode=options.logistic,
                    tail_below=options.tail_below,
                    firth_se=options.firth_se,
                )
        return found


def prepare_phenome(
    design: Design,
    *,
    ploidy: Ploidy,
    sex: npt.NDArray[np.object_],
    rows: Ints,
    n_columns: int,
    options: AssociationOptions,
    chrom: str | None = None,
) -> Phenome:
    """Fit every trait's null model.

    Parameters
    ----------
    design
        Traits and covariates.
    ploidy
        Kind of chromosome: on X, sex becomes a covariate and people of unknown sex are left out; on Y only
        males are analysed.
    sex
        object (samples,): ``M``, ``F`` or None, in the design's order.
    rows
        int64 (samples,): where each of the design's samples stands in a packed row.
    n_columns
        Samples in a packed row.
    options
        How to test.
    chrom
        The chromosome to be tested, where the design has offsets.
    """
    covariates, names = design.covariates, design.covariate_names
    allowed = np.ones(len(sex), dtype=bool)
    if ploidy == "y":
        allowed = np.asarray(sex == "M")
    elif ploidy == "x":
        allowed = np.asarray((sex == "M") | (sex == "F"))
    failed: dict[str, tuple[int, int]] = {}
    offsets: dict[str, Floats] = {}
    members: dict[bytes, tuple[Mask, list[Trait]]] = {}
    for trait in design.traits:
        mask = design.mask(trait) & allowed
        if design.offsets is not None and chrom is not None:
            offsets[trait.name] = design.offsets.of(trait.name, chrom, design.offsets.samples)
            mask &= ~np.isnan(offsets[trait.name])
        code = _unfit(trait.values[mask], predictors=len(names) + 2)
        if code != status.OK:
            failed[trait.name] = (code, int(mask.sum()))
        else:
            members.setdefault(mask.tobytes(), (mask, []))[1].append(trait)
    if not members:
        nothing = np.zeros((n_columns, 0))
        right = RightSides(Basis(np.zeros(n_columns, dtype=bool), nothing, nothing), (), ())
        return Phenome(
            (), failed, right, tuple(t.name for t in design.traits), EFFECT_PER[ploidy], options, {}
        )
    complete = allowed & design.complete
    if ploidy == "x":
        covariates, names = _with_sex(covariates, names, complete, sex)
    common = make_common(covariates, names, complete, rows=rows, n_columns=n_columns)
    panels: list[Panel] = []
    wide: list[Floats] = []
    wide_squared: list[Floats] = []
    at, at_squared = common.basis.values.shape[1], 0
    for mask, traits in members.values():
        panel = _panel(group_of(common, mask), mask, traits, offsets, first=at, first_squared=at_squared)
        panels.append(panel)
        wide.append(panel.linear.residuals)
        if options.logistic != "wald":
            wide += [null.linear for null in panel.logistic]
            wide_squared += [null.weights for null in panel.logistic]
        at, at_squared = common.basis.values.shape[1] + _across(wide), _across(wide_squared)
    return Phenome(
        tuple(panels),
        failed,
        RightSides(common.basis, tuple(wide), tuple(wide_squared)),
        tuple(trait.name for trait in design.traits),
        EFFECT_PER[ploidy],
        options,
        {name: design.offsets.inflation_of(name) for name in offsets} if design.offsets is not None else {},
    )


def _across(columns: list[Floats]) -> int:
    return sum(part.shape[1] for part in columns)


def _unfit(values: Floats, *, predictors: int) -> int:
    if len(values) <= predictors:
        return status.NO_OBS if len(values) == 0 else status.TOO_FEW_SAMPLES
    return status.CONSTANT_TRAIT if values.max() == values.min() else status.OK


def _with_sex(
    covariates: Floats, names: tuple[str, ...], mask: Mask, sex: npt.NDArray[np.object_]
) -> tuple[Floats, tuple[str, ...]]:
    """Add sex, unless the covariates hold it already."""
    male = np.asarray(sex == "M", dtype=np.float64)
    more, more_names = np.column_stack([covariates, male]), (*names, "SEX")
    try:
        covariate_basis(more, more_names, mask)
    except DesignError:
        return covariates, names
    return more, more_names


def _fit_logistic(
    group: Group, outcomes: list[Floats], offsets: list[Floats | None]
) -> tuple[LogisticNull, ...]:
    if not outcomes:
        return ()
    from gwas.models.logistic_null import fit_logistic_null

    return tuple(
        fit_logistic_null(group, outcome, offset) for outcome, offset in zip(outcomes, offsets, strict=True)
    )


def _panel(
    group: Group,
    mask: Mask,
    traits: list[Trait],
    offsets: Mapping[str, Floats],
    *,
    first: int,
    first_squared: int,
) -> Panel:
    quantitative = [trait for trait in traits if trait.kind == "quantitative"]
    binary = [trait for trait in traits if trait.kind == "binary"]
    outcomes = np.column_stack([np.empty((group.n, 0)), *(trait.values[mask] for trait in quantitative)])
    known = [np.empty((group.n, 0)), *(offsets[trait.name][mask] for trait in quantitative if offsets)]
    return Panel(
        fit_linear_null(group, outcomes, np.column_stack(known) if offsets else None),
        tuple(trait.name for trait in quantitative),
        tuple(trait.name for trait in binary),
        _fit_logistic(
            group,
            [trait.values[mask] for trait in binary],
            [offsets[trait.name][mask] if offsets else None for trait in binary],
        ),
        first,
        first_squared,
    )


__all__ = ["EFFECT_PER", "AssociationOptions", "Moments", "Panel", "Phenome", "prepare_phenome"]
