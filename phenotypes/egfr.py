"""Kidney function from creatinine.

CKD-EPI 2021 creatinine equation, without race: Inker L.A. et al., New England Journal of Medicine 2021;
385:1737-1749. eGFR = 142 x min(Scr/k, 1)^a x max(Scr/k, 1)^-1.200 x 0.9938^age (x 1.012 for women), with
k = 0.7 and a = -0.241 for women, k = 0.9 and a = -0.302 for men, Scr in mg/dL.
"""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np

MICROMOLES_PER_MG_DL = 88.4


def ckd_epi_2021(creatinine: Any, age: Any, female: Any) -> Any:
    """Estimated glomerular filtration rate by CKD-EPI 2021.

    Parameters
    ----------
    creatinine
        Serum creatinine in umol/L (float or array), greater than 0.
    age
        Age in completed years on the day of the sample.
    female
        True for women.

    Returns
    -------
    float or ndarray
        mL/min/1.73m2.

    Examples
    --------
    >>> round(float(ckd_epi_2021(1.2 * 88.4, 55, False)), 2)
    71.42
    """
    scr = np.asarray(creatinine, dtype=np.float64) / MICROMOLES_PER_MG_DL
    kappa = np.where(female, 0.7, 0.9)
    alpha = np.where(female, -0.241, -0.302)
    ratio = scr / kappa
    shape = np.minimum(ratio, 1.0) ** alpha * np.maximum(ratio, 1.0) ** -1.200
    return 142.0 * shape * 0.9938 ** np.asarray(age, dtype=np.float64) * np.where(female, 1.012, 1.0)


def years_of_age(birth: date, on: date) -> int:
    """Completed years, by year, month and day (29 February turns on 1 March in common years).

    Examples
    --------
    >>> years_of_age(date(1960, 2, 29), date(2023, 2, 28)), years_of_age(date(1960, 2, 29), date(2023, 3, 1))
    (62, 63)
    """
    return on.year - birth.year - ((on.month, on.day) < (birth.month, birth.day))
