"""A fitted risk model: everybody's absolute risk, the average of those alike, and what moves it."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cohorts.errors import DesignError
from gwas.absolute import Hazards, hazards_until
from gwas.contributions import Contributions, shapley
from gwas.cox import CoxFit
from gwas.incidence import cloglog_interval

Floats = NDArray[np.float64]
Status = Literal["fitted", "shrunk", "abstained"]

REFERENCE_PEOPLE = 400
AGE_BANDS = (2.5, 5.0, 10.0)
FEWEST_ALIKE = 30
REACHED = 1e-3  # a horizon counts as reached within this share of it: leap days make 10 years 9.9986


@dataclass(frozen=True)
class Average:
    """Mean risk of people of one age and sex.

    Parameters
    ----------
    risk, low, high
        Mean predicted risk by the horizon and its interval; NaN where too few people are alike.
    n
        People it is the mean of.
    band
        They are within this many years of the age.
    """

    risk: float
    low: float
    high: float
    n: int
    band: float


@dataclass(frozen=True)
class RiskModel:
    """Cause-specific Cox models of an event and of competing death.

    Parameters
    ----------
    factors
        Names of the columns that enter the event's model; `competing_factors` those of death's.
    horizon
        Default horizon, in the unit of the follow-up times (years).
    status
        ``fitted``; ``shrunk`` (few events: coefficients multiplied by `shrinkage`); or ``abstained``
        (then `reason` says why and no risk is ever given).
    event, competing
        The fits; None where there is none.
    people
        Factors, age and sex of those it was fitted on, indexed by person; stays in memory only.
    discovery
        People that the scores among the factors were derived from.
    flow
        People and events kept after each step: columns step, people, events, deaths.
    """

    factors: tuple[str, ...]
    competing_factors: tuple[str, ...]
    horizon: float
    status: Status
    reason: str
    shrinkage: float
    event: CoxFit | None
    competing: CoxFit | None
    people: pd.DataFrame
    age: str
    sex: str
    person: str
    discovery: frozenset[Hashable] = field(repr=False)
    flow: pd.DataFrame = field(repr=False)

    @property
    def coefficients(self) -> pd.DataFrame:
        """Hazard ratios per unit of each factor: columns cause, factor, hr, low, high, p."""
        rows = []
        for cause, names, fit in (
            ("event", self.factors, self.event),
            ("death", self.competing_factors, self.competing),
        ):
            if fit is None:
                continue
            se = np.sqrt(np.diag(fit.covariance))
            rows += [
                (cause, name, np.exp(b), np.exp(b - 1.96 * s), np.exp(b + 1.96 * s), _two_sided(b / s))
                for name, b, s in zip(names, fit.coefficients, se, strict=True)
            ]
        return pd.DataFrame(rows, columns=["cause", "factor", "hr", "low", "high", "p"])

    def predict(self, frame: pd.DataFrame, horizon: float | None = None) -> pd.DataFrame:
        """Risk of each person by the horizon, with its 95% interval.

        Parameters
        ----------
        frame
            The factors, one row a person.
        horizon
            Years; None is the model's own.

        Returns
        -------
        DataFrame
            Index of `frame`; columns risk, low, high (probabilities) and status: ``ok``,
            ``outside: age, ...`` (beyond what the model was fitted on; a risk is still given),
            ``missing: bmi, ...`` or ``abstained`` (no risk).

        Notes
        -----
        The interval is the delta method's for the cumulative incidence, on the complementary log-log
        scale: variance of both sets of coefficients, both baselines and their dependence. It says how
        well the risk of people with these factors is known, not what will happen to one of them.
        """
        answer = pd.DataFrame(np.nan, index=frame.index, columns=["risk", "low", "high"])
        if self.event is None:
            return answer.assign(status="abstained")
        values = numeric_factors(frame, self.factors)
        complete = np.isfinite(values).all(axis=1)
        hazards = self._hazards(self.horizon if horizon is None else horizon)
        risk, variance = hazards.risk_and_variance(*self._split(values[complete]))
        low, high = cloglog_interval(risk, np.sqrt(variance))
        answer.loc[complete, ["risk", "low", "high"]] = np.column_stack([risk, low, high])
        return answer.assign(status=self._statuses(values))

    def alike(self, age: float, sex: object) -> tuple[pd.DataFrame, float]:
        """The people the model was fitted on of this age and sex, their age set to `age`, and the band.

        At most 400, evenly spaced over their risk; the band widens from 2.5 to 10 years until it holds 30.
        """
        same = self.people[self.people[self.sex] == _sex_number(sex)]
        apart = (same[self.age] - age).abs()
        band = next((b for b in AGE_BANDS if (apart <= b).sum() >= FEWEST_ALIKE), AGE_BANDS[-1])
        chosen = same[apart <= band]
        if len(chosen) > REFERENCE_PEOPLE and self.event is not None:
            order = np.argsort(numeric_factors(chosen, self.factors) @ self.event.coefficients, kind="stable")
            step = np.linspace(0, len(chosen) - 1, REFERENCE_PEOPLE).round().astype(int)
            chosen = chosen.iloc[np.sort(order[step])]
        return chosen.assign(**{self.age: age}), band

    def average(self, age: float, sex: object, *, horizon: float | None = None) -> Average:
        """Mean risk of people of the same age and sex, over the factors such people have.

        NaN where fewer than 30 people within 10 years of age were there to learn it from.
        """
        chosen, band = self.alike(age, sex)
        if self.event is None or len(chosen) < FEWEST_ALIKE:
            return Average(np.nan, np.nan, np.nan, len(chosen), band)
        hazards = self._hazards(self.horizon if horizon is None else horizon)
        risk, variance = hazards.mean_and_variance(*self._split(numeric_factors(chosen, self.factors)))
        low, high = cloglog_interval(risk, np.sqrt(variance))
        return Average(risk, float(low), float(high), len(chosen), band)

    def contributions(
        self,
        row: pd.Series,
        reference: pd.DataFrame | None = None,
        *,
        groups: Mapping[str, Sequence[str]] | None = None,
        horizon: float | None = None,
    ) -> Contributions:
        """What moves this person's risk away from the average, in percentage points.

        Parameters
        ----------
        row
            The person's factors (and age and sex, by which the reference is chosen).
        reference
            People to compare with; None is :meth:`alike`, so that the parts start from :meth:`average`
            and age and sex have no part.
        groups
            Factors that belong together, such as ``{"smoking": ["smoking_current", "smoking_ex"]}``;
            the others stand alone. At most 8 in all.

        Returns
        -------
        Contributions
            The parts add up to the person's risk minus the reference's.

        Raises
        ------
        DesignError
            If the model abstained, a factor is missing, there is nobody to compare with, or there are
            more than 8 groups.
        """
        if self.event is None:
            raise DesignError("the model abstained", found=self.reason)
        mine = numeric_factors(row.to_frame().T, self.factors)[0]
        if not np.isfinite(mine).all():
            raise DesignError("a factor of this person is missing", fix="give every factor of the model")
        if reference is None:
            reference, _ = self.alike(float(row[self.age]), row[self.sex])
            fixed = {self.age, self.sex} & set(self.factors)
        else:
            fixed = set()
        if reference.empty:
            raise DesignError("nobody of this age and sex to compare with")
        theirs = numeric_factors(reference, self.factors)
        hazards = self._hazards(self.horizon if horizon is None else horizon)
        return shapley(hazards, self._split, mine, theirs, _grouping(self.factors, groups, fixed))

    def _split(self, values: Floats) -> tuple[Floats, Floats]:
        columns = [self.factors.index(name) for name in self.competing_factors]
        return values, values[:, columns]

    def _hazards(self, horizon: float) -> Hazards:
        assert self.event is not None
        if horizon > self.horizon * (1 + REACHED):
            raise DesignError(
                "the horizon is beyond what the model was fitted for",
                found=f"{horizon:g}",
                expected=f"at most {self.horizon:g}",
            )
        return hazards_until(self.event, self.competing, horizon)

    def _statuses(self, values: Floats) -> list[str]:
        seen = numeric_factors(self.people, self.factors)
        low, high = seen.min(axis=0), seen.max(axis=0)
        statuses = []
        for person in values:
            lacking = [name for name, x in zip(self.factors, person, strict=True) if not np.isfinite(x)]
            beyond = [
                name for name, x, a, b in zip(self.factors, person, low, high, strict=True) if x < a or x > b
            ]
            statuses.append(
                "missing: " + ", ".join(lacking)
                if lacking
                else "outside: " + ", ".join(beyond)
                if beyond
                else "ok"
            )
        return statuses


def _sex_number(value: object) -> float:
    return {"M": 1.0, "F": 0.0}[value] if isinstance(value, str) else float(str(value))


def numeric_factors(frame: pd.DataFrame, columns: Sequence[str]) -> Floats:
    """Columns as float64 (n, p); 'M' is 1 and 'F' is 0; anything else that is no number is refused."""
    out = np.empty((len(frame), len(columns)))
    for k, name in enumerate(columns):
        if name not in frame:
            raise DesignError("a factor is absent", where=name, fix="give every factor of the model")
        column = frame[name]
        if not pd.api.types.is_numeric_dtype(column):
            column = column.map({"M": 1.0, "F": 0.0} | {x: x for x in column if not isinstance(x, str)})
            if column.isna().sum() > frame[name].isna().sum():
                raise DesignError("a factor is not numeric", where=name, expected="numbers, or M and F")
        out[:, k] = column.astype("float64").to_numpy(dtype=np.float64, na_value=np.nan)
    return out


def _grouping(
    factors: tuple[str, ...], groups: Mapping[str, Sequence[str]] | None, fixed: set[str]
) -> dict[str, list[int]]:
    chosen = {name: list(members) for name, members in (groups or {}).items()}
    taken = [member for members in chosen.values() for member in members]
    unknown = sorted(set(taken) - set(factors))
    if unknown or len(taken) != len(set(taken)):
        raise DesignError(
            "groups do not fit the factors", found=", ".join(unknown) or "a factor in two groups"
        )
    chosen |= {name: [name] for name in factors if name not in taken}
    rows = {
        name: [factors.index(member) for member in members if member not in fixed]
        for name, members in chosen.items()
    }
    return {name: members for name, members in rows.items() if members}


def _two_sided(z: float) -> float:
    from scipy.special import erfc

    return float(erfc(abs(z) / np.sqrt(2)))
