"""Why a result is missing: every NA carries one of these codes in its ERRCODE column.

The names are PLINK 2's, so that scripts written for it go on working; the last three are ours: a
variant without a single call, and a trait that nobody (or only cases, or only controls) has where the variant
is tested.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

OK: Final = 0
TOO_FEW_SAMPLES: Final = 1
CONSTANT: Final = 2
CORR_TOO_HIGH: Final = 3
VIF_TOO_HIGH: Final = 4
RANK_DEFICIENT: Final = 5
SEPARATION: Final = 6
LOGISTIC_CONVERGE_FAIL: Final = 7
FIRTH_CONVERGE_FAIL: Final = 8
INVALID_RESULT: Final = 9
NO_CALLS: Final = 10
NO_OBS: Final = 11
CONSTANT_TRAIT: Final = 12

ERRCODES: Final[tuple[str, ...]] = (
    ".",
    "SAMPLE_CT<=PREDICTOR_CT",
    "CONST_OMITTED_ALLELE",
    "CORR_TOO_HIGH",
    "VIF_TOO_HIGH",
    "RANK_DEFICIENT",
    "SEPARATION",
    "LOGISTIC_CONVERGE_FAIL",
    "FIRTH_CONVERGE_FAIL",
    "INVALID_RESULT",
    "NO_CALLS",
    "NO_OBS",
    "CONST_PHENO",
)


def errcode_text(status: npt.NDArray[np.int8]) -> npt.NDArray[np.object_]:
    """Names of status numbers.

    Examples
    --------
    >>> errcode_text(np.array([0, 2], dtype=np.int8)).tolist()
    ['.', 'CONST_OMITTED_ALLELE']
    """
    return np.array(ERRCODES, dtype=object)[status]
