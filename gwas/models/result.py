"""What testing a block of variants against one trait yields."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class VariantTests:
    """Tests of m variants against one trait; NaN wherever `status` is not OK.

    Attributes
    ----------
    n
        int64 (m,): people in the regression.
    alt_frequency
        float64 (m,): of ALT among the called.
    beta, se, statistic, log10p
        float64 (m,): per copy of ALT; t or z; -log10 of the two-sided P.
    status
        int8 (m,).
    firth
        bool (m,): estimated by penalised likelihood.
    """

    n: npt.NDArray[np.int64]
    alt_frequency: Floats
    beta: Floats
    se: Floats
    statistic: Floats
    log10p: Floats
    status: npt.NDArray[np.int8]
    firth: npt.NDArray[np.bool_]

    @classmethod
    def joined(cls, parts: Sequence[VariantTests]) -> VariantTests:
        """Tests of consecutive variants as one."""
        if len(parts) == 1:
            return parts[0]
        fields = cls.__dataclass_fields__
        return cls(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in fields})

    def of(self, rows: npt.NDArray[np.int64]) -> VariantTests:
        """The tests of some variants."""
        return VariantTests(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))

    def rescaled(self, factor: float) -> VariantTests:
        """The same tests with effects per `factor` times as many copies."""
        if factor == 1.0:
            return self
        return replace(self, beta=self.beta * factor, se=self.se * factor)


def untested(m: int, *, n: int, status: int) -> VariantTests:
    """Results of `m` variants for a trait that cannot be fitted at all in `n` people."""
    nothing = np.full(m, np.nan)
    return VariantTests(
        n=np.full(m, n, dtype=np.int64),
        alt_frequency=nothing,
        beta=nothing,
        se=nothing,
        statistic=nothing,
        log10p=nothing,
        status=np.full(m, status, dtype=np.int8),
        firth=np.zeros(m, dtype=bool),
    )
