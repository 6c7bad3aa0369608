"""What misclassified cases do to an association, and the association corrected for it.

A definition with sensitivity Se and specificity Sp finds ``p* = Se p + (1 - Sp)(1 - p)`` cases where there are p.
Where errors do not depend on the exposure given the disease (they are non-differential), a small log odds ratio
shrinks by ``(Se + Sp - 1) p(1 - p) / (p*(1 - p*))``, which is PPV + NPV - 1; specificity matters most where the
disease is rare. Correction is by maximum likelihood of a logistic model seen through Se and Sp.

Sources: Rogan W.J., Gladen B., Am J Epidemiol 1978; 107: 71-76 (prevalence); Magder L.S., Hughes J.P., Am J
Epidemiol 1997; 146: 195-203 (logistic regression with an imperfect outcome; here by Fisher scoring in place of
EM); Greenland S., Stat Med 1988; 7: 745-757 (uncertainty of Se and Sp by the delta method).
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from cohorts.errors import DesignError

_STEPS = 60
_TOLERANCE = 1e-10
#: Of sensitivity and specificity, for derivatives.
_NUDGE = 1e-5


@dataclass(frozen=True)
class Accuracy:
    """How well a definition tells cases from others.

    Attributes
    ----------
    sensitivity, specificity
        Shares of the truly ill and of the truly well that it classifies rightly.
    covariance
        ((variance of sensitivity, covariance), (covariance, variance of specificity)); zeros where both are
        taken as known.
    """

    sensitivity: float
    specificity: float
    covariance: tuple[tuple[float, float], tuple[float, float]] = ((0.0, 0.0), (0.0, 0.0))

    def __post_init__(self) -> None:
        if not (0 < self.sensitivity <= 1 and 0 < self.specificity <= 1) or self.youden <= 0:
            raise DesignError(
                "a definition no better than chance cannot be corrected for",
                where="Accuracy",
                found=f"sensitivity {self.sensitivity:.3g}, specificity {self.specificity:.3g}",
                expected="shares between 0 and 1 that add up to more than 1",
            )

    @property
    def youden(self) -> float:
        """Sensitivity + specificity - 1."""
        return self.sensitivity + self.specificity - 1

    @classmethod
    def of_validation(cls, *, true_cases: tuple[int, int], true_others: tuple[int, int]) -> Accuracy:
        """From people whose true status was drawn upon: (rightly classified, all) of the ill and of the well.

        Examples
        --------
        >>> Accuracy.of_validation(true_cases=(90, 100), true_others=(990, 1000)).sensitivity
        0.9
        """
        se, se_var = _share(*true_cases)
        sp, sp_var = _share(*true_others)
        return cls(se, sp, ((se_var, 0.0), (0.0, sp_var)))

    @classmethod
    def of_review(cls, *, cases: tuple[int, int], others: tuple[int, int], share_of_cases: float) -> Accuracy:
        """From a chart review, in which found cases and others were drawn upon and their truth looked up.

        Parameters
        ----------
        cases
            (truly ill, reviewed) among the cases that the definition found: the PPV.
        others
            (truly well, reviewed) among the others: the NPV.
        share_of_cases
            Share of everybody that the definition found, before the review drew its samples.

        Examples
        --------
        >>> round(Accuracy.of_review(cases=(90, 100), others=(990, 1000), share_of_cases=0.1).sensitivity, 3)
        0.909
        """
        (ppv, ppv_var), (npv, npv_var), q = _share(*cases), _share(*others), share_of_cases
        ill = ppv * q + (1 - npv) * (1 - q)
        se, sp = ppv * q / ill, npv * (1 - q) / (1 - ill)
        # derivatives of (Se, Sp) by (PPV, NPV)
        by = np.array(
            [
                [q * (1 - npv) * (1 - q) / ill**2, ppv * q * (1 - q) / ill**2],
                [npv * (1 - q) * q / (1 - ill) ** 2, (1 - q) * (1 - ppv) * q / (1 - ill) ** 2],
            ]
        )
        v = by @ np.diag([ppv_var, npv_var]) @ by.T
        return cls(se, sp, _pairs(v))

    def sampled(self, *, cases: float, others: float) -> Accuracy:
        """Accuracy among people drawn by what the definition says of them.

        Parameters
        ----------
        cases, others
            Shares of the found cases and of the others that were taken, such as 1 and 0.05.

        Examples
        --------
        >>> Accuracy(0.8, 0.99).sampled(cases=1, others=1)
        Accuracy(sensitivity=0.8, specificity=0.99, covariance=((0.0, 0.0), (0.0, 0.0)))
        """
        se, sp = self.sensitivity, self.specificity
        ill = se * cases + (1 - se) * others
        well = sp * others + (1 - sp) * cases
        by = np.array([cases * others / ill**2, cases * others / well**2])
        v = np.asarray(self.covariance) * np.outer(by, by)
        return Accuracy(se * cases / ill, sp * others / well, _pairs(v))


@dataclass(frozen=True)
class Estimate:
    """A value with its standard error and interval."""

    value: float
    se: float
    low: float
    high: float


@dataclass(frozen=True)
class Corrected:
    """Log odds ratios as found, and corrected: one for each column of the exposures, without the intercept."""

    naive: tuple[Estimate, ...]
    corrected: tuple[Estimate, ...]

    @property
    def attenuation(self) -> tuple[float, ...]:
        """Naive over corrected value of each."""
        return tuple(a.value / b.value for a, b in zip(self.naive, self.corrected, strict=True))


def true_prevalence(cases: int, people: int, accuracy: Accuracy, *, level: float = 0.95) -> Estimate:
    """Prevalence behind a found share (Rogan and Gladen), held within 0 and 1.

    Examples
    --------
    >>> round(true_prevalence(107, 1000, Accuracy(0.8, 0.97)).value, 4)
    0.1
    """
    found = cases / people
    value = (found + accuracy.specificity - 1) / accuracy.youden
    by = np.array([-value, 1 - value]) / accuracy.youden
    variance = found * (1 - found) / people / accuracy.youden**2 + by @ np.asarray(accuracy.covariance) @ by
    made = _estimate(value, float(np.sqrt(variance)), level)
    value, low, high = (min(max(x, 0.0), 1.0) for x in (made.value, made.low, made.high))
    return Estimate(value, made.se, low, high)


def attenuation(log_odds_ratio: float, prevalence: float, accuracy: Accuracy) -> float:
    """Share of a log odds ratio that is left when cases are misclassified, whatever the exposure.

    Parameters
    ----------
    log_odds_ratio
        True, between exposed and unexposed; 0 gives the limit for small effects, PPV + NPV - 1.
    prevalence
        True, among the unexposed.

    Examples
    --------
    >>> round(attenuation(0.0, 0.05, Accuracy(0.8, 1.0)), 3), round(attenuation(0.0, 0.05, Accuracy(1.0, 0.98)), 3)
    (0.99, 0.725)
    """
    if log_odds_ratio == 0:
        found = _seen(prevalence, accuracy)
        return accuracy.youden * prevalence * (1 - prevalence) / (found * (1 - found))
    exposed = 1 / (1 + np.exp(-(np.log(prevalence / (1 - prevalence)) + log_odds_ratio)))
    one, other = _seen(exposed, accuracy), _seen(prevalence, accuracy)
    return float((_logit(one) - _logit(other)) / log_odds_ratio)


def corrected_association(
    case: np.ndarray, exposures: np.ndarray, accuracy: Accuracy, *, level: float = 0.95
) -> Corrected:
    """Logistic regression of the true disease on exposures, from misclassified cases.

    Parameters
    ----------
    case
        (n,) 1 where the definition finds a case, 0 where not.
    exposures
        (n,) or (n, k) float64 without missing values: allele copies, covariates. An intercept is added.
    accuracy
        Of the definition among these very people: where found cases were drawn more often than others, that of
        :meth:`Accuracy.sampled`. It must not depend on the exposures.
    level
        Of the intervals (Wald).

    Returns
    -------
    Corrected
        The interval of the corrected values holds the chance in these people and, where `accuracy` has a
        covariance, that of the validation.

    Raises
    ------
    DesignError
        Where the shapes do not fit, or the found share cannot come from such a definition, so that the
        likelihood has no maximum.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> x = rng.normal(size=20000)
    >>> ill = rng.random(20000) < 1 / (1 + np.exp(2.2 - 0.5 * x))
    >>> seen = np.where(ill, rng.random(20000) < 0.8, rng.random(20000) < 0.03)
    >>> made = corrected_association(seen, x, Accuracy(0.8, 0.97))
    >>> made.naive[0].value < 0.45 < made.corrected[0].low + 0.1
    True
    """
    y = np.asarray(case, dtype=np.float64)
    x = np.asarray(exposures, dtype=np.float64)
    x = np.column_stack([np.ones(len(x)), x])
    if x.shape[0] != len(y) or not np.isfinite(x).all() or not np.isin(y, (0, 1)).all():
        raise DesignError(
            "cases and exposures do not fit together",
            where="corrected_association",
            found=f"{len(y)} cases, {x.shape[0]} rows of exposures",
            expected="0 or 1 and finite numbers for the same people",
        )
    naive, naive_cov = _fit(y, x, 1.0, 1.0, np.zeros(x.shape[1]))
    se, sp = accuracy.sensitivity, accuracy.specificity
    beta, cov = _fit(y, x, se, sp, naive)
    by = np.zeros((x.shape[1], 2))
    known = np.asarray(accuracy.covariance)
    for i, at in enumerate((se, sp)):
        if known[i, i] > 0:
            above, below = min(_NUDGE, 1 - at), -_NUDGE
            ends = [_fit(y, x, *_moved(se, sp, i, by_how_much), beta)[0] for by_how_much in (above, below)]
            by[:, i] = (ends[0] - ends[1]) / (above - below)
    cov = cov + by @ known @ by.T
    return Corrected(
        tuple(
            _estimate(b, s, level) for b, s in zip(naive[1:], np.sqrt(np.diag(naive_cov))[1:], strict=True)
        ),
        tuple(_estimate(b, s, level) for b, s in zip(beta[1:], np.sqrt(np.diag(cov))[1:], strict=True)),
    )


def _pairs(v: np.ndarray) -> tuple[tuple[float, float], tuple[float, float]]:
    return (float(v[0, 0]), float(v[0, 1])), (float(v[1, 0]), float(v[1, 1]))


def _moved(se: float, sp: float, which: int, step: float) -> tuple[float, float]:
    return (se + step, sp) if which == 0 else (se, sp + step)


def _fit(
    y: np.ndarray, x: np.ndarray, se: float, sp: float, start: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Maximum likelihood by Fisher scoring with halved steps: coefficients and inverse information."""
    beta = start.copy()
    if not beta.any():
        beta[0] = _logit(min(max(float(y.mean()), 1e-6), 1 - 1e-6))
    best = _log_likelihood(y, x, beta, se, sp)
    for _ in range(_STEPS):
        p = _expit(x @ beta)
        seen = se * p + (1 - sp) * (1 - p)
        slope = (se + sp - 1) * p * (1 - p)
        spread = np.maximum(seen * (1 - seen), 1e-300)
        score = x.T @ ((y - seen) * slope / spread)
        information = x.T @ (x * (slope**2 / spread)[:, None])
        try:
            step = np.linalg.solve(information, score)
        except np.linalg.LinAlgError:
            break
        size = 1.0
        while size > 1e-6:
            value = _log_likelihood(y, x, beta + size * step, se, sp)
            if value >= best - 1e-12 * abs(best):
                break
            size /= 2
        beta, gain, best = beta + size * step, value - best, value
        if np.abs(beta).max() > 50:
            break
        if abs(gain) < _TOLERANCE * (1 + abs(best)) and np.abs(size * step).max() < 1e-6:
            return beta, np.linalg.inv(information)
    raise DesignError(
        "no corrected estimate: such a definition would not find this share of cases",
        where="corrected_association",
        found=f"sensitivity {se:.4g}, specificity {sp:.4g}, {y.mean():.3%} found",
        expected="a share above 1 - specificity and below sensitivity, in every group of exposures",
        fix="check the specificity, or whether it was measured in people like these",
    )


def _log_likelihood(y: np.ndarray, x: np.ndarray, beta: np.ndarray, se: float, sp: float) -> float:
    p = _expit(x @ beta)
    seen = np.clip(se * p + (1 - sp) * (1 - p), 1e-300, 1 - 1e-16)
    return float(y @ np.log(seen) + (1 - y) @ np.log1p(-seen))


def _expit(eta: np.ndarray) -> np.ndarray:
    p: np.ndarray = 1 / (1 + np.exp(-np.clip(eta, -500, 500)))
    return p


def _logit(p: float) -> float:
    return float(np.log(p / (1 - p)))


def _seen(p: float, accuracy: Accuracy) -> float:
    return accuracy.sensitivity * p + (1 - accuracy.specificity) * (1 - p)


def _share(right: int, every: int) -> tuple[float, float]:
    """A share and its variance; that of a share of 0 or 1 as if half a person differed."""
    if not 0 <= right <= every or not every:
        raise DesignError("a part is larger than its whole", where="Accuracy", found=f"{right} of {every}")
    p = right / every
    near = min(max(right, 0.5), every - 0.5) / every
    return p, near * (1 - near) / every


def _estimate(value: float, se: float, level: float) -> Estimate:
    half = NormalDist().inv_cdf(0.5 + level / 2) * se
    return Estimate(float(value), float(se), float(value - half), float(value + half))
