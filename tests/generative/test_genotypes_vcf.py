"""The compiled parser of VCF lines against a slow plain twin, on sound and on damaged lines."""

from __future__ import annotations

import math
import re
from types import ModuleType

import numpy as np
import pytest

from gwas.kernels.dosages import from_packed
from gwas.kernels.vcf_text import decode_lines

NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def number(text: str) -> float:
    if text == "." or text.lower() == "nan":
        return math.nan
    if not text.isascii() or not NUMBER.fullmatch(text):
        raise ValueError(text)
    return float(text)


def genotype(text: str, allele: int, n_alt: int) -> tuple[float, int]:
    """Copies (NaN missing) and ploidy."""
    numbers = re.split(r"[/|]", text[1:] if text[:1] in ("/", "|") else text)
    if len(numbers) > 2:
        raise ValueError(text)
    for entry in numbers:
        if entry != "." and not (re.fullmatch("[0-9]{1,9}", entry) and int(entry) <= n_alt):
            raise ValueError(text)
    if "." in numbers:
        return math.nan, len(numbers)
    return sum(int(entry) == allele for entry in numbers) * 2 / len(numbers), len(numbers)


def from_ds(values: list[float], allele: int, n_alt: int, ploidy: int) -> float:
    if len(values) == 1 and math.isnan(values[0]):
        return math.nan
    if len(values) != max(n_alt, 1):
        raise ValueError("count")
    top = 1 if ploidy == 1 else 2
    value = values[allele - 1]
    if not math.isnan(value) and not -1e-3 <= value <= top + 1e-3:
        raise ValueError("range")
    return value if math.isnan(value) else min(max(value, 0), top) * 2 / top


def from_gp(values: list[float], allele: int, n_alt: int) -> float:
    if len(values) == 1 and math.isnan(values[0]):
        return math.nan
    pairs = [(j, k) for k in range(n_alt + 1) for j in range(k + 1)]
    if n_alt > 0 and len(values) == n_alt + 1:
        pairs = [(j, j) for j in range(n_alt + 1)]
    if len(values) != len(pairs):
        raise ValueError("count")
    for at, value in enumerate(values):
        if math.isnan(value):
            return math.nan
        if value < -1e-3:
            raise ValueError(f"negative at {at}")
    total = sum(values)
    if total < 1e-3:
        return math.nan
    if abs(total - 1) > 0.1:
        raise ValueError("sum")
    copies = sum(p * ((j == allele) + (k == allele)) for p, (j, k) in zip(values, pairs, strict=True))
    return min(max(copies / total, 0), 2)


def twin(line: str, allele: int, n_samples: int) -> tuple[list[float], list[float]]:
    """Calls (NaN missing, also where there is no GT) and dosages of a line; ValueError if it is not sound."""
    columns = line.split("\t")
    keys, n_alt = columns[8].split(":"), len(columns[4].split(","))
    if len(columns) != 9 + n_samples:
        raise ValueError("columns")
    calls, dosages = [], []
    for text in columns[9:]:
        fields = text.split(":")
        if len(fields) > len(keys):
            raise ValueError("fields")
        given = dict(zip(keys, fields, strict=False))
        call, ploidy = genotype(given["GT"], allele, n_alt) if "GT" in keys else (math.nan, 0)
        dosage = math.nan
        if "DS" in given:
            dosage = from_ds([number(x) for x in given["DS"].split(",")], allele, n_alt, ploidy)
        if "GP" in given and math.isnan(dosage):
            dosage = from_gp([number(x) for x in given["GP"].split(",")], allele, n_alt)
        calls.append(call)
        dosages.append(call if math.isnan(dosage) else dosage)
    return calls, dosages


def ours(line: str, allele: int, n_samples: int, threshold: float | None) -> np.ndarray | None:
    keys = line.split("\t")[8].split(":")
    layout = [keys.index(key) if key in keys else -1 for key in ("GT", "DS", "GP")] + [len(keys)]
    data = np.frombuffer(line.encode("latin-1"), np.uint8)
    values, status = decode_lines(
        data,
        np.array([0]),
        np.array([len(data)]),
        np.array([layout], np.int32),
        np.array([allele], np.int32),
        np.array([len(line.split("\t")[4].split(","))], np.int32),
        n_samples,
        threshold,
    )
    if status[0] != 0:
        return None
    return values[0] if threshold is None else from_packed(values, n_samples)[0]


def compare(line: str, n_samples: int) -> bool:
    """Whether a line is sound; asserts that both say so and give the same."""
    sound = True
    for allele in range(1, len(line.split("\t")[4].split(",")) + 1):
        dosages = ours(line, allele, n_samples, None)
        try:
            calls, expected = twin(line, allele, n_samples)
        except ValueError:
            assert dosages is None, line
            sound = False
            continue
        assert dosages is not None, line
        np.testing.assert_allclose(dosages, expected, atol=2e-7, rtol=1e-6)
        if "GT" in line.split("\t")[8].split(":"):
            np.testing.assert_array_equal(ours(line, allele, n_samples, 0.1), np.array(calls, np.float32))
    return sound


@pytest.mark.parametrize("seed", range(3))
def test_parser_agrees_with_its_twin(vcf_files: ModuleType, seed: int) -> None:
    lines = vcf_files.random_lines(np.random.default_rng(seed), n_records=60, n_samples=9)
    assert all(compare("\t".join(line.split()), 9) for line in lines)


@pytest.mark.parametrize("count", [1500, pytest.param(40_000, marks=pytest.mark.slow)])
def test_parser_agrees_with_its_twin_on_damaged_lines(vcf_files: ModuleType, count: int) -> None:
    rng = np.random.default_rng(count)
    lines = ["\t".join(line.split()) for line in vcf_files.random_lines(rng, n_records=200, n_samples=3)]
    alphabet = "0123456789.,:/|\t+-eEnaN x\xff\0"
    sound = 0
    for _ in range(count):
        line = lines[int(rng.integers(len(lines)))]
        fixed = len("\t".join(line.split("\t")[:9]))
        body = list(line[fixed:])
        for _ in range(int(rng.integers(1, 3))):
            at, what = int(rng.integers(len(body))), rng.random()
            letter = alphabet[int(rng.integers(len(alphabet)))]
            body[at : at + (what < 0.7)] = [letter] if what > 0.2 else []
        sound += compare(line[:fixed] + "".join(body), 3)
    assert 0.1 * count < sound < 0.9 * count
