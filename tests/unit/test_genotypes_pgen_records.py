"""Records of a PGEN of every kind, decoded as they were written and as plain loops read them."""

from __future__ import annotations

import time
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gwas.kernels.packed import decode
from gwas.kernels.pgen import FAULTS, Scratch, Steps, decode_calls, decode_dosages

SIZES = [*range(1, 10), 63, 64, 65, 127, 255, 256, 257, 1000]
PLENTY = 70_000


def steps_of(records: list[bytes], told: list[tuple[int, int, int, int]]) -> tuple[np.ndarray, Steps]:
    ends = np.cumsum([len(record) for record in records])
    spans = np.stack([ends - [len(record) for record in records], ends], axis=1).astype(np.int64)
    data = np.frombuffer(b"".join(records), dtype=np.uint8).copy()
    return data, Steps(np.ascontiguousarray(spans), np.array(told, dtype=np.int64))


def copies(records: list[bytes], told: list[tuple[int, int, int, int]], n: int) -> Any:
    """Copies of the asked alleles, -9 where missing; or the fault."""
    out = np.full((1 + max(row for _, row, _, _ in told), (n + 3) // 4), 0xEE, dtype=np.uint8)
    fault = decode_calls(*steps_of(records, told), Scratch(n), out)
    if fault is not None:
        assert fault[1] in FAULTS
        return fault
    if n % 4:
        assert not (out[:, -1] >> (2 * (n % 4))).any()
    return decode(out, n)


def dosages(record: bytes, kind: int, n: int) -> Any:
    out = np.full((1, n), 7, dtype=np.float32)
    fault = decode_dosages(*steps_of([record], [(kind, 0, 1, 1)]), Scratch(n), out)
    return out[0] if fault is None else fault


def some_calls(rng: np.random.Generator, n: int) -> np.ndarray:
    common = rng.permutation(4)
    rare = rng.choice([0.0, 0.02, 0.3, 1.0])
    two = rng.choice(common[:2], n) if rng.random() < 0.5 else np.full(n, common[0])
    return np.where(rng.random(n) < rare, rng.integers(0, 4, n), two)


@pytest.mark.parametrize("n", [*SIZES, 65_535, 65_536, 65_537, PLENTY])
def test_calls_of_every_kind_of_record_are_as_written(pgen_records: ModuleType, n: int) -> None:
    rng = np.random.default_rng(n)
    for _ in range(12 if n < 2000 else 2):
        base = some_calls(rng, n)
        for kind in (0, 1, 2, 3, 4, 6, 7):
            calls = some_calls(rng, n)
            if kind in (2, 3) and rng.random() < 0.7:
                near = np.array([2, 1, 0, 3])[base] if kind == 3 else base
                calls = np.where(rng.random(n) < 0.05, calls, near)
            first = pgen_records.main_track(base, int(rng.choice([0, 1, 4, 6, 7])))
            kinds = [(int(rng.choice([0, 1, 4, 6, 7])), 0, 1, 1), (kind, 1, 1, 1)]
            first = pgen_records.main_track(base, kinds[0][0])
            record = pgen_records.main_track(calls, kind, base)
            read = copies([first, record], kinds, n)
            assert np.array_equal(read, np.where([base == 3, calls == 3], -9, [base, calls]))
            # the base decoded for what follows alone
            kinds = [(kinds[0][0], -1, 1, 1), (kind, 0, 1, 1)]
            assert np.array_equal(copies([first, record], kinds, n), read[1:])


@pytest.mark.parametrize("pair", [1, 2, 3, 5, 6, 9])
def test_any_two_calls_may_be_the_common_ones(pgen_records: ModuleType, pair: int) -> None:
    rng = np.random.default_rng(pair)
    for n in SIZES:
        calls = rng.integers(0, 4, n)
        record = pgen_records.main_track(calls, 1, pair=pair)
        assert np.array_equal(copies([record], [(1, 0, 1, 1)], n)[0], np.where(calls == 3, -9, calls))
    for wrong in (0, 4, 7, 8, 10, 11, 12, 13, 15, 16, 17, 255):
        assert copies([bytes([wrong]) + record[1:]], [(1, 0, 1, 1)], n) == (0, -3)


@pytest.mark.parametrize("alts", [2, 3, 4, 5, 6, 16, 17, 18, 256, 257, 258, 65_536, 65_537, 65_538, 70_000])
def test_every_allele_of_many_is_counted(pgen_records: ModuleType, alts: int) -> None:
    rng = np.random.default_rng(alts)
    for n in (1, 5, 9, 64, 200):
        for forms in ((0, 0), (0, 1), (1, 0), (1, 1), (15, 15)):
            alleles = np.where(rng.random((n, 2)) < 0.5, rng.integers(0, alts + 1, (n, 2)), 0)
            alleles = np.where(rng.random((n, 2)) < 0.2, 1, alleles)
            alleles = np.minimum(alleles, 1) if forms[0] == 15 else alleles
            alleles = np.sort(alleles, axis=1)
            alleles[rng.random(n) < 0.1] = -1
            calls = pgen_records.categories(alleles)
            main = pgen_records.main_track(calls, 1)
            mixed = int((alleles[:, 0] != alleles[:, 1]).sum())
            phases = pgen_records.phase_track(mixed, rng.random(mixed) < 0.5, rng)
            record = main + pgen_records.allele_track(alleles, alts, forms) + phases
            asked = sorted({1, 2, alts, *alleles.max(axis=1, keepdims=True)[:5, 0].tolist()} - {0, -1})
            told = [(0x19, row, allele, alts) for row, allele in enumerate(asked)]
            read = copies([record] * len(asked), told, n)
            missing = alleles[:, 0] < 0
            for row, allele in enumerate(asked):
                assert np.array_equal(read[row], np.where(missing, -9, (alleles == allele).sum(axis=1)))
            again, _ = pgen_records.read_record(record, 0x19, n, alts)
            assert np.array_equal(again, alleles)


def test_a_record_of_many_alleles_is_the_base_of_others(pgen_records: ModuleType) -> None:
    rng = np.random.default_rng(4)
    alleles = np.sort(rng.integers(0, 4, (50, 2)), axis=1)
    calls = pgen_records.categories(alleles)
    first = pgen_records.main_track(calls, 0) + pgen_records.allele_track(alleles, 3, (0, 0))
    other = np.where(rng.random(50) < 0.1, rng.integers(0, 4, 50), calls)
    second = pgen_records.main_track(other, 2, calls)
    for asked in (-1, 0):
        read = copies([first, second], [(8, asked, 3, 3), (2, asked + 1, 1, 1)], 50)
        assert np.array_equal(read[-1], np.where(other == 3, -9, other))
    plain = pgen_records.main_track(calls, 0)
    assert np.array_equal(copies([plain], [(0, 0, 2, 3)], 50)[0], np.where(calls == 3, -9, 0))


@pytest.mark.parametrize("n", [*SIZES, PLENTY])
@pytest.mark.parametrize("form", [1, 2, 3])
def test_dosages_and_phases_are_as_written(pgen_records: ModuleType, n: int, form: int) -> None:
    rng = np.random.default_rng(n)
    for share in (0.0, 0.05, 0.5, 1.0):
        for phased in (False, True):
            calls = some_calls(rng, n)
            units = np.where(rng.random(n) < share, rng.integers(0, 32769, n), -1)
            if form == 2:
                units = np.where(calls == 3, units, rng.integers(0, 32769, n))
            kind = form << 5 | (0x90 if phased else 0)
            record = pgen_records.main_track(calls, 0)
            if phased:
                mixed = int((calls == 1).sum())
                record += pgen_records.phase_track(mixed, [None, rng.random(mixed) < 0.5][n % 2], rng)
            record += pgen_records.dosage_tracks(units, form, rng.random(n) < 0.5 if phased else None)
            expected = np.where(units >= 0, units / 16384, np.where(calls == 3, np.nan, calls))
            assert np.array_equal(dosages(record, kind, n), expected, equal_nan=True)
            assert np.array_equal(copies([record], [(kind, 0, 1, 1)], n)[0], np.where(calls == 3, -9, calls))
            if n <= 300:
                _, again = pgen_records.read_record(record, kind, n, 1)
                assert np.array_equal(again, expected, equal_nan=True)
            assert dosages(record + b"\0", kind, n) == (0, -6)
            assert dosages(record[:-1], kind, n) == (0, -1)


def test_what_contradicts_itself_is_refused_by_what_is_wrong(pgen_records: ModuleType) -> None:
    n = 10
    calls = np.array([0, 1, 2, 3, 0, 1, 2, 3, 0, 1])
    whole = pgen_records.pack(calls, 2)

    def fault(kind: int, record: bytes, alts: int = 1) -> str:
        return FAULTS[copies([record], [(kind, 0, 1, alts)], n)[1]]

    assert fault(0, whole[:-1]).startswith("ends before")
    assert fault(0, whole + b"\0").startswith("goes on behind")
    assert fault(0, whole[:-1] + b"\xf1").startswith("has calls of more samples")
    assert fault(4, b"\x02\x03\x05\0").startswith("has a list of samples")  # the same sample twice
    assert fault(4, b"\x02\x03\x05\x07").startswith("has a list of samples")  # sample 10 of 0 to 9
    assert fault(4, b"\x0b\x03\x05" + bytes(12)).startswith("has a list of samples")
    assert fault(4, b"\xff\xff\xff\xff\xff\xff").startswith("has a list of samples")
    assert fault(4, b"\x01\x03\0").startswith("lists as different")
    assert fault(4, b"\x01\x03\x05").startswith("has calls of more samples")
    assert fault(8, whole + b"\x2f", 2).startswith("has calls of other ALT alleles")
    assert fault(8, whole, 2).startswith("ends before")
    # REF and ALT 5 of four
    one = pgen_records.pack([1, 0, 0], 1) + pgen_records.pack([3], 2)
    assert fault(8, whole + b"\xf0" + one, 4).startswith("has calls of other ALT alleles")
    assert FAULTS[dosages(whole + bytes([1, 3]) + b"\x01\x80", 0x20, n)[1]] == "holds a dosage above 2"
    everyone = np.where(calls == 3, 0, 5)
    everyone[0] = -1
    record = whole + pgen_records.dosage_tracks(everyone, 2)
    assert FAULTS[dosages(record, 0x40, n)[1]] == "has a call where its dosage is missing"


KINDS = [
    0,
    1,
    2,
    3,
    4,
    6,
    7,
    0x11,
    0x14,
    0x20,
    0x40,
    0x60,
    0x74,
    0xB1,
    0xC0,
    0xF0,
    0x08,
    0x09,
    0x0C,
    0x19,
    0x1A,
]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    n=st.sampled_from([1, 2, 3, 4, 7, 8, 9, 31, 64, 130, 300]),
    kind=st.sampled_from(KINDS),
    alts=st.sampled_from([2, 3, 5, 6, 18, 300]),
    seed=st.integers(0, 2**32 - 1),
)
def test_damaged_records_are_read_or_refused_as_by_plain_loops(
    pgen_records: ModuleType, n: int, kind: int, alts: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    alts = alts if kind & 8 else 1
    alleles = np.sort(np.where(rng.random((n, 2)) < 0.4, rng.integers(0, alts + 1, (n, 2)), 0), axis=1)
    alleles[rng.random(n) < 0.1] = -1
    calls, base = pgen_records.categories(alleles), some_calls(rng, n)
    record = pgen_records.main_track(calls, kind & 7, base)
    if kind & 8:
        record += pgen_records.allele_track(alleles, alts, tuple(rng.integers(0, 2, 2).tolist()))
    if kind & 0x10:
        mixed = int((alleles[:, 0] != alleles[:, 1]).sum())
        record += pgen_records.phase_track(mixed, [None, rng.random(mixed) < 0.5][n % 2], rng)
    if kind & 0x60:
        there = rng.random(n) < 0.3
        units = np.where(there | ((kind & 0x60 == 0x40) & (calls != 3)), rng.integers(0, 32769, n), -1)
        record += pgen_records.dosage_tracks(
            units, kind >> 5 & 3, rng.random(n) < 0.5 if kind & 0x80 else None
        )
    first = pgen_records.main_track(base, 0)
    for damage in range(6):
        mutant = bytearray(record)
        at = int(rng.integers(0, len(mutant)))
        if damage == 1:
            mutant[at] ^= 1 << int(rng.integers(0, 8))
        elif damage == 2:
            mutant[at : at + 3] = rng.bytes(len(mutant[at : at + 3]))
        elif damage == 3:
            del mutant[at:]
        elif damage == 4:
            mutant += rng.bytes(2)
        elif damage == 5:
            mutant = bytearray(rng.bytes(len(mutant)))
        try:
            expected, values = pgen_records.read_record(bytes(mutant), kind, n, alts, base)
        except pgen_records.Refused:
            expected = None
        allele = int(rng.integers(1, alts + 1))
        began = time.monotonic()
        steps = [(0, -1, 1, 1), (kind, 0, allele, alts)]
        read = copies([first, bytes(mutant)], steps, n)
        assert time.monotonic() - began < 5
        if expected is None:
            assert isinstance(read, tuple) or kind & 0x60
        else:
            missing = expected[:, 0] < 0
            assert np.array_equal(read[0], np.where(missing, -9, (expected == allele).sum(axis=1)))
        if kind & 0x60:
            out = np.empty((1, n), dtype=np.float32)
            found = decode_dosages(*steps_of([first, bytes(mutant)], steps), Scratch(n), out)
            assert (found is not None) == (expected is None)
            assert expected is None or np.array_equal(out[0], values, equal_nan=True)
