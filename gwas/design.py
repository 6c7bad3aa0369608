"""Who is analysed for which trait, with which covariates.

A :class:`Design` aligns phenotypes and covariates to a list of samples by their IDs, never by position. Each
trait keeps its own people: those with a value and with every covariate. The intercept is added here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from cohorts.errors import DesignError
from gwas.offsets import LocoOffsets
from gwas.person_table import PersonTable, refuse_repeats

if TYPE_CHECKING:
    import pandas as pd

Kind = Literal["quantitative", "binary"]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

COLLINEAR: Final = 1e-10
"""A column is collinear if the preceding ones leave less than this part of its variance."""
FEW: Final = 3
"""Distinct values that the codings of cases and controls have at most."""
NEARLY: Final = 1e-4
"""Part of a covariate's variance that must be left for cross products to tell it."""


@dataclass(frozen=True, eq=False)
class Trait:
    """One phenotype over the samples of a design.

    Attributes
    ----------
    name
        As in the phenotype table.
    kind
        ``quantitative`` or ``binary``.
    values
        float64 (samples,); NaN is missing; binary traits are 1 for cases and 0 for controls.
    coding
        How the values were read, to be echoed to the user.
    """

    name: str
    kind: Kind
    values: Floats
    coding: str


class People(NamedTuple):
    """How many people are analysed for a trait; cases and controls are None where it is quantitative."""

    n: int
    cases: int | None
    controls: int | None


@dataclass(frozen=True, eq=False)
class Design:
    """Phenotypes and covariates aligned to samples.

    Attributes
    ----------
    samples
        Sample IDs (IID), in the order of all arrays.
    traits
        The traits that can be analysed.
    covariate_names, covariates
        Names and float64 (samples, covariates); NaN is missing; no intercept.
    skipped
        Trait name → why it cannot be analysed.
    offsets
        Predictions to be taken out of the traits, by chromosome; None for none. People without are missing.
    """

    samples: tuple[str, ...]
    traits: tuple[Trait, ...]
    covariate_names: tuple[str, ...]
    covariates: Floats
    skipped: Mapping[str, str] = field(default_factory=dict)
    offsets: LocoOffsets | None = None

    @cached_property
    def complete(self) -> Mask:
        """bool (samples,): those with every covariate."""
        return np.asarray(~np.isnan(self.covariates).any(axis=1))

    def mask(self, trait: Trait) -> Mask:
        """Samples analysed for `trait`: those with a value and every covariate."""
        return ~np.isnan(trait.values) & self.complete

    def with_offsets(self, offsets: LocoOffsets) -> Design:
        """The same design with predictions, by samples' IDs.

        Raises
        ------
        DesignError
            If a trait has no predictions, or none for any of its people.
        """
        aligned = offsets.at(self.samples)
        for trait in self.traits:
            known = ~np.isnan(aligned.of(trait.name, "X", aligned.samples))
            if not (self.mask(trait) & known).any():
                raise DesignError(
                    "nobody has both the trait and a whole-genome prediction",
                    where=trait.name,
                    found=f"{len(offsets.samples)} people with predictions",
                    fix="check the sample IDs of the predictions",
                )
        return replace(self, offsets=aligned)

    def without_offset(self, trait: Trait) -> int:
        """How many of a trait's people have no whole-genome prediction, where the design has offsets."""
        if self.offsets is None:
            return 0
        known = self.offsets.of(trait.name, "X", self.offsets.samples)
        return int((self.mask(trait) & np.isnan(known)).sum())

    def only(self, samples: Sequence[str]) -> Design:
        """The same design with everyone outside `samples` missing for every trait."""
        wanted = set(samples)
        outside = np.array([sample not in wanted for sample in self.samples], dtype=bool)
        traits = tuple(replace(t, values=np.where(outside, np.nan, t.values)) for t in self.traits)
        return _usable(replace(self, traits=traits), unusable="raise")

    def people(self) -> list[People]:
        """Of each trait, how many are analysed, in the order of the traits."""
        found = []
        for trait in self.traits:
            values = trait.values[self.mask(trait)]
            cases = int(values.sum()) if trait.kind == "binary" else None
            found.append(People(len(values), cases, None if cases is None else int((values == 0).sum())))
        return found

    def summary(self) -> pd.DataFrame:
        """One row a trait: TRAIT, KIND, CODING, N, CASES, CONTROLS (the last two NA if quantitative)."""
        import pandas as pd

        rows = [
            (trait.name, trait.kind, trait.coding, *(pd.NA if count is None else count for count in people))
            for trait, people in zip(self.traits, self.people(), strict=True)
        ]
        return pd.DataFrame(rows, columns=["TRAIT", "KIND", "CODING", "N", "CASES", "CONTROLS"])


def make_design(
    samples: Sequence[str],
    phenotypes: pd.DataFrame | PersonTable,
    covariates: pd.DataFrame | PersonTable | None = None,
    *,
    kinds: Mapping[str, Kind] | None = None,
    unusable: Literal["raise", "skip"] = "raise",
) -> Design:
    """Align phenotypes and covariates to samples and check that they can answer something.

    Parameters
    ----------
    samples
        Sample IDs in genotype order.
    phenotypes
        Index: sample ID; one numeric column a trait; NaN is missing. A DataFrame, or the same as a
        :class:`gwas.person_table.PersonTable`.
    covariates
        Index: sample ID; numeric columns, or text columns, which become indicators against their most
        frequent level. No intercept.
    kinds
        Trait → ``quantitative`` or ``binary``; others are inferred: a trait whose values are all 0 and 1
        is binary (1 = case), one whose values are all 1 and 2 is binary (2 = case, as in PLINK).
    unusable
        What to do with a trait that cannot be analysed (constant, no cases, too few people): ``raise``, or
        ``skip`` it into :attr:`Design.skipped`, raising only if none is left.

    Returns
    -------
    Design

    Raises
    ------
    DesignError
        IDs occur twice or do not overlap; a binary coding is ambiguous; a covariate is constant or collinear;
        a trait cannot be analysed.

    Examples
    --------
    >>> import pandas as pd
    >>> people = ["a", "b", "c", "d", "e"]
    >>> table = pd.DataFrame({"disease": [1, 2, 2, 1, 1], "height": [1.5, 1.6, 1.7, 1.8, 1.6]}, index=people)
    >>> design = make_design(people, table)
    >>> design.summary()[["TRAIT", "N", "CASES"]].to_numpy().tolist()
    [['disease', 5, 2], ['height', 5, <NA>]]
    """
    kinds = kinds or {}
    traits = _table(phenotypes, "phenotype")
    beside = None if covariates is None else _table(covariates, "covariate")
    unknown = sorted(set(kinds) - set(traits.columns))
    if unknown:
        raise DesignError("kind given for a trait that is not there", found=", ".join(unknown))
    samples = tuple(samples)
    if not traits.holds(samples):
        raise DesignError(
            "no sample of the genotypes has a phenotype",
            found=f"{len(samples)} genotyped samples, {len(traits)} with phenotypes, none in both",
            expected="the same IDs in both",
            fix="check which column holds the sample ID",
        )
    names, matrix = ((), np.empty((len(samples), 0))) if beside is None else _expand(beside.aligned(samples))
    aligned = traits.aligned(samples)
    found = tuple(_trait(name, aligned[name], kinds.get(name)) for name in aligned.columns)
    return _usable(Design(samples, found, names, matrix), unusable=unusable)


def _table(table: pd.DataFrame | PersonTable, what: str) -> PersonTable:
    found = table if isinstance(table, PersonTable) else PersonTable.of(table, what)
    refuse_repeats(found.ids, "sample ID", what)
    return found


def _trait(name: str, values: npt.NDArray[Any], kind: Kind | None) -> Trait:
    if values.dtype == object:
        values = _numbers(name, values)
    if np.isinf(values).any():
        raise DesignError("a phenotype has infinite values", where=name, fix="set them to NA")
    levels = _levels(values)
    if (
        kind is None
        and len(levels) == 2
        and not levels <= {0.0, 1.0, 2.0}
        and all(x.is_integer() for x in levels)
    ):
        shown = ", ".join(f"{level:g}" for level in sorted(levels))
        raise _ambiguous(name, shown, "two values that could be controls and cases")
    if kind == "quantitative" or (kind is None and not levels <= {0.0, 1.0, 2.0}):
        return Trait(name, "quantitative", values, "as given")
    if levels <= {0.0, 1.0} and levels != {1.0}:
        return Trait(name, "binary", values, "0 = control, 1 = case")
    if levels <= {1.0, 2.0}:
        return Trait(name, "binary", values - 1.0, "1 = control, 2 = case")
    if levels <= {0.0, 1.0, 2.0}:
        shown = ", ".join(f"{level:g}" for level in sorted(levels))
        raise _ambiguous(name, shown, "where 0 could be a control or missing")
    raise DesignError(
        "declared binary but has other values",
        where=name,
        found=f"{len(np.unique(values[~np.isnan(values)]))} distinct values",
        expected="0/1 or 1/2, NA where missing",
        fix="recode it or declare it quantitative",
    )


def _levels(values: Floats) -> set[float]:
    """The values there are; some of them where there are more than :data:`FEW`."""
    rest, levels = values[~np.isnan(values)], set[float]()
    while len(rest) and len(levels) <= FEW:
        levels.add(float(rest[0]))
        rest = rest[rest != rest[0]]
    return levels


def _ambiguous(name: str, found: str, why: str) -> DesignError:
    return DesignError(
        f"ambiguous case-control coding, {why}",
        where=name,
        found=f"values {found}",
        expected="0/1 or 1/2, NA where missing",
        fix="recode it, or declare the trait quantitative",
    )


def _numbers(name: str, text: npt.NDArray[Any]) -> Floats:
    """Text that may be numbers; frames hold it."""
    import pandas as pd

    numbers = pd.to_numeric(pd.Series(text, dtype=object), errors="coerce").astype("Float64")
    found = np.asarray(numbers.to_numpy(dtype=np.float64, na_value=np.nan), dtype=np.float64)
    if (np.isnan(found) & np.array([value is not None for value in text], dtype=bool)).any():
        raise DesignError(
            "a phenotype is not a number", where=name, expected="numbers, NA where missing", fix="recode it"
        )
    return found


def _expand(table: PersonTable) -> tuple[tuple[str, ...], Floats]:
    """Numbers as they are; text as indicators against the most frequent level (ties: first by name)."""
    names: list[str] = []
    columns: list[Floats] = []
    for name, values in table.columns.items():
        if values.dtype != object:
            if np.isinf(values).any():
                raise DesignError("a covariate has infinite values", where=name, fix="set them to NA")
            names.append(name)
            columns.append(values)
            continue
        counts = Counter(value for value in values.tolist() if value is not None)
        levels = sorted(counts, key=lambda level: (-counts[level], str(level)))
        if len(levels) == 1:
            raise _constant([name])
        missing = np.array([value is None for value in values.tolist()], dtype=bool)
        for level in levels[1:]:
            names.append(f"{name}={level}")
            columns.append(np.where(missing, np.nan, (values == level).astype(np.float64)))
    matrix = np.column_stack(columns) if columns else np.empty((len(table), 0))
    return tuple(names), np.ascontiguousarray(matrix, dtype=np.float64)


def _usable(design: Design, *, unusable: Literal["raise", "skip"]) -> Design:
    """Check covariates over everyone analysed and each trait on its own people."""
    _check_covariates(design)
    good: list[Trait] = []
    skipped = dict(design.skipped)
    checked: set[bytes] = set()
    crossed = _CrossProducts(design)
    for trait in design.traits:
        mask = design.mask(trait)
        fault = _fault(design, trait, mask)
        if fault is not None:
            if unusable == "raise":
                raise fault
            skipped[trait.name] = fault.problem
            continue
        if mask.tobytes() not in checked and not crossed.safe(mask):
            covariate_basis(design.covariates, design.covariate_names, mask, where=trait.name)
        checked.add(mask.tobytes())
        good.append(trait)
    if not good:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in list(skipped.items())[:5])
        raise DesignError(
            "no trait can be analysed", found=reasons or "no traits", fix="check the phenotypes"
        )
    return replace(design, traits=tuple(good), skipped=skipped)


def _check_covariates(design: Design) -> None:
    analysed = np.zeros(len(design.samples), dtype=bool)
    for trait in design.traits:
        analysed |= design.mask(trait)
        if (analysed == design.complete).all():
            break
    rows = design.covariates[analysed]
    if len(rows):
        spread = rows.max(axis=0) - rows.min(axis=0)
        constant = [name for name, s in zip(design.covariate_names, spread, strict=True) if s == 0]
        if constant:
            raise _constant(constant)


def _constant(names: list[str]) -> DesignError:
    return DesignError(
        "a covariate has the same value in everyone analysed",
        where=", ".join(names),
        found="a constant",
        expected="covariates that vary (the intercept is added for you)",
        fix="leave it out",
    )


def _fault(design: Design, trait: Trait, mask: Mask) -> DesignError | None:
    values = trait.values[mask]
    if not len(values):
        known = int((~np.isnan(trait.values)).sum())
        return DesignError(
            "nobody has both the trait and every covariate",
            where=trait.name,
            found=f"{known} of the samples with a value, none of them with all covariates",
            fix="check the IDs and missing values of both files",
        )
    if trait.kind == "binary":
        cases = int(values.sum())
        if cases == 0 or cases == len(values):
            what = "no cases" if cases == 0 else "no controls"
            return DesignError(
                what,
                where=trait.name,
                found=f"{cases} cases and {len(values) - cases} controls ({trait.coding})",
                expected="both",
                fix="check the coding and who is selected",
            )
    elif values.max() == values.min():
        return DesignError(
            "the trait is constant",
            where=trait.name,
            found=f"one value in {len(values)} people",
            expected="a trait that varies",
            fix="leave it out",
        )
    if len(values) <= design.covariates.shape[1] + 2:
        return DesignError(
            "too few people for the covariates",
            where=trait.name,
            found=f"{len(values)} people, {design.covariates.shape[1]} covariates",
            expected="more people than covariates + 2",
            fix="use fewer covariates",
        )
    if (itself := _trait_among_covariates(design, values, mask)) is not None:
        return DesignError(
            "a covariate is the trait itself",
            where=trait.name,
            found=f"the values of covariate {itself}",
            expected="covariates other than the trait",
            fix="leave it out of the covariates",
        )
    return None


def _trait_among_covariates(design: Design, values: Floats, mask: Mask) -> str | None:
    """Name of a covariate that differs from the trait by the same number (a coding) in everyone, if there is one."""
    some = np.flatnonzero(mask)[:50]
    for name, column in zip(design.covariate_names, design.covariates.T, strict=True):
        if np.ptp(values[: len(some)] - column[some]) == 0 and np.ptp(values - column[mask]) == 0:
            return name
    return None


@dataclass(frozen=True, eq=False)
class CovariateBasis:
    """Covariates of one set of people, made orthonormal.

    Attributes
    ----------
    names
        Covariates that vary in these people (the constant ones are dropped).
    centred
        float64 (n, k): those covariates, standardised to mean 0 and variance 1 within these people.
    q, r
        QR of [1, centred]: float64 (n, k + 1) with orthonormal columns, and (k + 1, k + 1).
    """

    names: tuple[str, ...]
    centred: Floats
    q: Floats
    r: Floats


def covariate_basis(
    covariates: Floats, names: Sequence[str], mask: Mask, *, where: str | None = None
) -> CovariateBasis:
    """Orthonormal basis of the intercept and the covariates among the masked samples.

    A covariate that is constant in these people (sex, in a trait of one sex) is dropped: it is the intercept.

    Parameters
    ----------
    covariates
        float64 (samples, k) without missing values where `mask` holds.
    names
        Their names.
    mask
        bool (samples,).
    where
        Name of the trait, for the message.

    Raises
    ------
    DesignError
        If a covariate is a linear combination of those before it; the message names it.
    """
    rows = covariates[mask]
    spread = rows.max(axis=0) - rows.min(axis=0) if len(rows) else np.zeros(rows.shape[1])
    kept = np.flatnonzero(spread > 0)
    rows = rows[:, kept]
    kept_names = tuple(names[int(i)] for i in kept)
    centred = rows - rows.mean(axis=0) if len(rows) else rows
    centred = centred / np.sqrt((centred**2).mean(axis=0)) if len(kept) else centred
    q, r = np.linalg.qr(np.column_stack([np.ones(len(rows)), centred]))
    left = np.diagonal(r)[1:] ** 2 / max(len(rows), 1)
    dependent = np.flatnonzero(left < COLLINEAR)
    if len(dependent):
        first = int(dependent[0])
        share = np.abs(np.linalg.lstsq(centred[:, :first], centred[:, first], rcond=None)[0])
        others = [kept_names[i] for i in np.flatnonzero(share > 1e-6)]
        raise DesignError(
            "covariates are collinear" + (f" among the people of {where}" if where else ""),
            where=kept_names[first],
            found=f"a linear combination of {', '.join(others) or 'the intercept'}",
            expected="covariates that each add something",
            fix="leave one of them out",
        )
    return CovariateBasis(kept_names, centred, q, r)


def standardised_factor(crossed: Floats, n: int) -> tuple[Floats, Floats] | None:
    """Standardise and factor covariates of which only cross products are known.

    Parameters
    ----------
    crossed
        float64 (1 + k, 1 + k): X'X over some people, X the intercept and covariates standardised in more of them.
    n
        How many people.

    Returns
    -------
    (ndarray, ndarray) or None
        S and R, float64 (1 + k, 1 + k), R upper triangular, for which X S is standardised among these people and
        R'R its cross products. None where cross products lose too much: a covariate is nearly constant, or
        nearly collinear, and :func:`covariate_basis` must say what it is.

    Examples
    --------
    >>> x = np.array([[1.0, 3.0], [1.0, 5.0], [1.0, 7.0], [1.0, 9.0]])
    >>> standard, r = standardised_factor(x.T @ x, 4)
    >>> bool(np.allclose((x @ standard).T @ (x @ standard), r.T @ r)), abs(r).round(9).tolist()
    (True, [[2.0, 0.0], [0.0, 2.0]])
    """
    if not n:
        return None
    mean = crossed[0, 1:] / n
    variance = np.diagonal(crossed)[1:] / n - mean**2
    if not (variance > NEARLY).all():
        return None
    standard: Floats = np.diag(np.concatenate([[1.0], 1 / np.sqrt(variance)]))
    standard[0, 1:] = -mean / np.sqrt(variance)
    try:
        r = np.asarray(np.linalg.cholesky(standard.T @ crossed @ standard).T, dtype=np.float64)
    except np.linalg.LinAlgError:
        return None
    return (standard, r) if (np.diagonal(r) ** 2 > NEARLY * n).all() else None


class _CrossProducts:
    """Cross products of the covariates over any of the people who have them all."""

    def __init__(self, design: Design) -> None:
        self.complete = design.complete
        self.values = np.zeros((len(design.samples), 1 + design.covariates.shape[1]))
        rows = design.covariates[self.complete]
        spread = rows.std(axis=0) if len(rows) else np.zeros(rows.shape[1])
        self.values[self.complete, 0] = 1.0
        centre = rows.mean(axis=0) if len(rows) else spread
        self.values[self.complete, 1:] = (rows - centre) / np.where(spread > 0, spread, 1.0)
        self.all = self.values.T @ self.values

    def safe(self, mask: Mask) -> bool:
        """Whether the covariates are far from collinear in some people."""
        out = self.values[self.complete & ~mask]
        return standardised_factor(self.all - out.T @ out, int(mask.sum())) is not None
