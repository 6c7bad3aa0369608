"""Genotypes that live in memory, so that unit tests need no files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from gwas.genotypes import Genotypes
from gwas.kernels.packed import decode, pack


@dataclass(frozen=True)
class ArrayReader:
    """A genotype file that is an array."""

    packed: npt.NDArray[np.uint8]
    n_samples: int
    path: Path = Path("memory.bed")
    coding: str = "ALT as given"
    imputed: npt.NDArray[np.float32] | None = None

    @property
    def has_dosages(self) -> bool:
        return self.imputed is not None

    def read(self, variants: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
        return self.packed[variants]

    def read_dosages(self, variants: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        if self.imputed is not None:
            return self.imputed[variants]
        calls = decode(self.packed[variants], self.n_samples).astype(np.float32)
        return np.where(calls < 0, np.float32(np.nan), calls)


GenotypesOf = Callable[..., Genotypes]


@pytest.fixture
def genotypes_of() -> GenotypesOf:
    """Make a Genotypes from ALT copies, int8 (m, n), missing -9."""

    def make(
        dosages: npt.ArrayLike,
        *,
        chrom: Sequence[str] | None = None,
        pos: npt.ArrayLike | None = None,
        sex: Sequence[str | None] | None = None,
    ) -> Genotypes:
        calls = np.asarray(dosages, dtype=np.int8)
        m, n = calls.shape
        samples = pd.DataFrame(
            {
                "fid": [f"f{i}" for i in range(n)],
                "iid": [f"i{i}" for i in range(n)],
                "father": "0",
                "mother": "0",
                "sex": np.array([None] * n if sex is None else list(sex), dtype=object),
            }
        )
        variants = pd.DataFrame(
            {
                "chrom": ["1"] * m if chrom is None else list(chrom),
                "pos": 70_000_000 + 10_000 * np.arange(m) if pos is None else np.asarray(pos),
                "id": [f"rs{v}" for v in range(m)],
                "ref": "G",
                "alt": "A",
                "cm": 0.0,
            }
        )
        return Genotypes(ArrayReader(pack(calls), n), samples, variants)

    return make
