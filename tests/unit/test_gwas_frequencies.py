"""Allele frequencies against a plain loop over people."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from gwas import freq
from gwas.genotypes import Genotypes


def counted_one_by_one(calls: np.ndarray, chrom: str, sex: list[str | None]) -> tuple[float, int]:
    alt, alleles = 0.0, 0
    for copies, of in zip(calls.tolist(), sex, strict=True):
        carried = {"X": 1 if of == "M" else 2, "Y": 1 if of == "M" else 0, "MT": 1}.get(chrom, 2)
        if copies >= 0:
            alt += copies * carried / 2
            alleles += carried
    return alt, alleles


@pytest.mark.parametrize("chrom", ["1", "X", "XY", "Y", "MT", "0"])
def test_alleles_are_counted_as_people_carry_them(genotypes_of: Callable[..., Genotypes], chrom: str) -> None:
    rng = np.random.default_rng(5)
    calls = rng.choice([0, 1, 2, -9], size=(40, 37))
    sex: list[str | None] = rng.choice(["M", "F", ""], size=37).tolist()
    sex = [each or None for each in sex]
    table = freq(genotypes_of(calls, chrom=[chrom] * 40, sex=sex))
    wanted = [counted_one_by_one(row, chrom, sex) for row in calls]
    assert list(zip(table["alt_count"], table["allele_count"], strict=True)) == wanted
    np.testing.assert_array_equal(table["alt_freq"], [alt / alleles for alt, alleles in wanted])


def test_founders_alone_are_counted_unless_asked(genotypes_of: Callable[..., Genotypes]) -> None:
    genotypes = genotypes_of([[0, 0, 2]])
    genotypes.samples["father"] = ["0", "0", "i0"]
    assert freq(genotypes)["alt_freq"].tolist() == [0.0]
    assert freq(genotypes, nonfounders=True)["alt_freq"].tolist() == [2 / 6]


def test_no_call_gives_no_frequency(genotypes_of: Callable[..., Genotypes]) -> None:
    table = freq(genotypes_of([[-9, -9], [0, 1]]))
    assert np.isnan(table["alt_freq"][0])
    assert table["allele_count"].tolist() == [0.0, 4.0]
