"""The inner loops of :mod:`gwas.kernels.products`: arrays in and out, nothing allocated, nothing raised.

They run as :class:`gwas.kernels.machine_code.MachineCode`; this module is imported only to compile them.

Four genotypes have 81 combinations, so the product of four genotypes with four numbers is one of 81 sums: those
are tabulated, for sixteen columns side by side in one register, and every variant adds one entry instead of
multiplying four times (Arlazarov et al. 1970, Dokl Akad Nauk SSSR 194:487).
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from gwas.kernels.bitplanes import popcount
from gwas.kernels.products import CHUNK_WORDS, COLUMNS, ENTRIES
from gwas.kernels.vectors import INDEX, data_of

_LANES: Final = ir.VectorType(ir.IntType(32), COLUMNS)
_WIDE: Final = ir.VectorType(ir.IntType(64), COLUMNS)
_NEAR: Final = 512
_CODE: Final = np.uint64(3)
_LAST: Final = np.uint64(63)
_PAIRS: Final = np.uint64(0x5555555555555555)
_TWO_OF_FOUR: Final = np.uint64(0x3333333333333333)
_FOUR_OF_EIGHT: Final = np.uint64(0x0F0F0F0F0F0F0F0F)


def _place(builder: Any, data: Any, offset: Any) -> Any:
    return builder.bitcast(builder.gep(data, [offset]), _LANES.as_pointer())


@intrinsic
def _tabulate(typing_context: Any, right: Any, at: Any, table: Any, to: Any, square: Any) -> Any:
    """The 81 sums of four rows of ``right`` from ``right[at:]``, written to ``table[to:]``.

    With ``square`` the genotypes stand for 0, 1 and 4 instead of 0, 1 and 2.
    """
    signature = types.void(right, types.int64, table, types.int64, types.int64)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        source = data_of(context, builder, signature.args[0], args[0])
        target = data_of(context, builder, signature.args[2], args[2])
        scalar = builder.add(builder.trunc(args[4], ir.IntType(32)), ir.Constant(ir.IntType(32), 1))
        shift = builder.insert_element(
            ir.Constant(_LANES, ir.Undefined), scalar, ir.Constant(ir.IntType(32), 0)
        )
        mask = ir.Constant(ir.VectorType(ir.IntType(32), COLUMNS), [0] * COLUMNS)
        shift = builder.shuffle_vector(shift, ir.Constant(_LANES, ir.Undefined), mask)
        entries = [ir.Constant(_LANES, [0] * COLUMNS)]
        for k in range(4):
            where = builder.add(args[1], ir.Constant(INDEX, k * COLUMNS))
            one = builder.load(_place(builder, source, where), align=4)
            two = builder.shl(one, shift)
            entries += [builder.add(entry, one) for entry in entries] + [
                builder.add(entry, two) for entry in entries
            ]
        for k, entry in enumerate(entries):
            where = builder.add(args[3], ir.Constant(INDEX, k * COLUMNS))
            builder.store(entry, _place(builder, target, where), align=4)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def _add_entries(typing_context: Any, table: Any, word: Any, sums: Any, at: Any) -> Any:
    """Add the entries that the eight bytes of ``word`` name, one in each of eight tables, to ``sums[at:]``."""
    signature = types.void(table, types.uint64, sums, types.int64)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        entries = data_of(context, builder, signature.args[0], args[0])
        place = _place(builder, data_of(context, builder, signature.args[2], args[2]), args[3])
        total = builder.load(place, align=4)
        for k in range(8):
            byte = builder.and_(builder.lshr(args[1], ir.Constant(INDEX, 8 * k)), ir.Constant(INDEX, 255))
            offset = builder.mul(byte, ir.Constant(INDEX, COLUMNS))
            offset = builder.add(offset, ir.Constant(INDEX, k * ENTRIES * COLUMNS))
            total = builder.add(total, builder.load(_place(builder, entries, offset), align=4))
        builder.store(total, place, align=4)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def _add_line(typing_context: Any, whole: Any, at: Any, sums: Any, to: Any) -> Any:
    """Add sixteen numbers from ``whole[at:]`` to the wider ones at ``sums[to:]``."""
    signature = types.void(whole, types.int64, sums, types.int64)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        source = data_of(context, builder, signature.args[0], args[0])
        target = data_of(context, builder, signature.args[2], args[2])
        line = builder.load(_place(builder, source, args[1]), align=4)
        place = builder.bitcast(builder.gep(target, [args[3]]), _WIDE.as_pointer())
        total = builder.add(builder.load(place, align=8), builder.sext(line, _WIDE))
        builder.store(total, place, align=8)
        return context.get_dummy_value()

    return signature, generate


@njit
def _combination(code: Any, flipped: Any) -> Any:
    low, high = code & _PAIRS, (code >> np.uint64(1)) & _PAIRS
    two = (low & high) if flipped else (~(low | high) & _PAIRS)
    copies = (high & ~low) | (two << np.uint64(1))
    pairs = (copies & _TWO_OF_FOUR) + np.uint64(3) * ((copies >> np.uint64(2)) & _TWO_OF_FOUR)
    return (pairs & _FOUR_OF_EIGHT) + np.uint64(9) * ((pairs >> np.uint64(4)) & _FOUR_OF_EIGHT)


@njit
def combine(codes: Any, flip: Any, out: Any) -> None:
    """Turn the four calls of each byte into the number of their combination, 0 to 80.

    ``codes`` and ``out`` uint64 (words, m). A missing call counts as none; ``flip`` uint8 (m,).
    """
    for w in range(codes.shape[0]):
        for row in range(codes.shape[1]):
            out[w, row] = _combination(codes[w, row], flip[row])


@njit
def _turned(word: Any, by: Any) -> Any:
    """``word`` turned right, in the form that becomes one instruction."""
    return (word >> (by & _LAST)) | (word << ((np.uint64(0) - by) & _LAST))


@njit
def _turn(sample: Any, place: Any) -> Any:
    """How far a sample's word is turned for its code to stand where that of number ``place`` stands."""
    return np.uint64(2) * (np.uint64(sample) - np.uint64(place)) & _LAST


@njit
def gather(codes: Any, samples: Any, out: Any) -> None:
    """Put the codes of ``samples`` into ``out``, which holds zeros there.

    ``codes`` uint64 (words, m); ``samples`` int32 (s,); ``out`` uint64 (ceil(s / 32), m). Variants are side by
    side in registers, some hundred at a time so that their words stay near; four samples are taken together.
    """
    m, s = codes.shape[1], samples.shape[0]
    for first in range(0, m, _NEAR):
        last = min(first + _NEAR, m)
        for i in range(0, s // 4 * 4, 4):
            to = out[i >> 5, first:last]
            a, b = codes[samples[i] >> 5, first:last], codes[samples[i + 1] >> 5, first:last]
            c, d = codes[samples[i + 2] >> 5, first:last], codes[samples[i + 3] >> 5, first:last]
            p, q = _turn(samples[i], i), _turn(samples[i + 1], i + 1)
            r, t = _turn(samples[i + 2], i + 2), _turn(samples[i + 3], i + 3)
            k = _CODE << np.uint64(2 * (i & 31))
            l, n, o = k << np.uint64(2), k << np.uint64(4), k << np.uint64(6)
            for row in range(to.shape[0]):
                one = (_turned(a[row], p) & k) | (_turned(b[row], q) & l)
                two = (_turned(c[row], r) & n) | (_turned(d[row], t) & o)
                to[row] |= one | two
        for i in range(s // 4 * 4, s):
            to, a = out[i >> 5, first:last], codes[samples[i] >> 5, first:last]
            p, k = _turn(samples[i], i), _CODE << np.uint64(2 * (i & 31))
            for row in range(to.shape[0]):
                to[row] |= _turned(a[row], p) & k


@njit
def count_codes(codes: Any, samples: int, out: Any) -> None:
    """Count 0, 1 and 2 copies of ALT and missing calls of gathered codes (words, m) into ``out`` (4, m)."""
    words, m = codes.shape
    spare = 32 * words - samples
    for w in range(words):
        for row in range(m):
            code = codes[w, row]
            low, high = code & _PAIRS, (code >> np.uint64(1)) & _PAIRS
            out[0, row] += popcount(low & high)
            out[1, row] += popcount(high & ~low)
            out[3, row] += popcount(low & ~high)
    for row in range(m):
        out[0, row] -= spare
        out[2, row] = samples - out[0, row] - out[1, row] - out[3, row]


@njit
def count_absent(codes: Any, out: Any) -> None:
    """How many of ``codes`` are missing calls: ``out`` int64 (1,)."""
    total = np.int64(0)
    for w in range(codes.shape[0]):
        for row in range(codes.shape[1]):
            total += popcount(codes[w, row] & ~(codes[w, row] >> np.uint64(1)) & _PAIRS)
    out[0] = total


@njit
def list_absent(codes: Any, seen: Any, first: Any, out: Any) -> None:
    """List the variants of every missing call by sample, a word of 32 samples after the other.

    ``codes`` uint64 (words, m); ``seen`` int32 (32 * m,) is room to work in; ``first`` int64 (32 * words + 1,)
    becomes where each sample's variants start in ``out``.
    """
    words, m = codes.shape
    done = np.int64(0)
    first[0] = 0
    for w in range(words):
        found = 0
        for row in range(m):
            marks = codes[w, row] & ~(codes[w, row] >> np.uint64(1)) & _PAIRS
            while marks:
                place = popcount((marks & (~marks + np.uint64(1))) - np.uint64(1)) >> 1
                seen[found] = (row << 5) | place
                found += 1
                first[32 * w + place + 1] += 1
                marks &= marks - np.uint64(1)
        for place in range(32 * w + 1, 32 * w + 33):
            first[place] += first[place - 1]
        # backwards, so that each sample's end counts down to its start
        for k in range(found - 1, -1, -1):
            sample = 32 * w + (seen[k] & 31)
            first[sample + 1] -= 1
            out[first[sample + 1]] = seen[k] >> 5
        for place in range(32 * w, 32 * w + 32):
            first[place] = first[place + 1]
        done += found
        first[32 * w + 32] = done


@njit
def add_absent(first: Any, rows: Any, samples: Any, whole: Any, stride: int, m: int, out: Any) -> None:
    """Add the numbers of samples without a call to the variants that lack it.

    ``first`` and ``rows`` as in :class:`gwas.kernels.products.Absent`; ``whole`` int32 flat, a group of sixteen
    columns every ``stride``; ``out`` int64 flat (groups, m, 16).
    """
    for group in range(out.shape[0] // (m * COLUMNS)):
        for i in range(samples.shape[0]):
            sample = np.int64(samples[i])
            at = group * stride + sample * COLUMNS
            for j in range(first[sample], first[sample + 1]):
                _add_line(whole, at, out, (group * m + rows[j]) * COLUMNS)


@njit
def multiply(index: Any, right: Any, square: int, table: Any, sums: Any, out: Any) -> None:
    """Add the products of genotypes with whole numbers to ``out``.

    ``index`` uint64 (words, m) from :func:`combine`; ``right`` int32 flat (groups, 32 * words, 16);
    ``table`` int32 (8 * 81 * 16,) and ``sums`` int32 (16 * m,) are room to work in; ``out`` int64 flat
    (groups, m, 16).
    """
    words, m = index.shape
    for group in range(out.shape[0] // (m * COLUMNS)):
        rows = group * words * 32 * COLUMNS
        to = group * m * COLUMNS
        for first in range(0, words, CHUNK_WORDS):
            for k in range(m * COLUMNS):
                sums[k] = 0
            for w in range(first, min(first + CHUNK_WORDS, words)):
                for byte in range(8):
                    _tabulate(
                        right,
                        rows + (32 * w + 4 * byte) * COLUMNS,
                        table,
                        byte * ENTRIES * COLUMNS,
                        square,
                    )
                for row in range(m):
                    _add_entries(table, index[w, row], sums, row * COLUMNS)
            for k in range(m * COLUMNS):
                out[to + k] += sums[k]


@njit
def sum_missing(codes: Any, variants: Any, columns: Any, out: Any) -> None:
    """Add the rows of ``columns`` (n, c) whose call is missing to ``out`` (v, c)."""
    for v in range(variants.shape[0]):
        row = variants[v]
        for w in range(codes.shape[1]):
            marks = codes[row, w] & ~(codes[row, w] >> np.uint64(1)) & _PAIRS
            while marks:
                sample = 32 * w + (popcount((marks & (~marks + np.uint64(1))) - np.uint64(1)) >> 1)
                marks &= marks - np.uint64(1)
                if sample < columns.shape[0]:
                    for c in range(columns.shape[1]):
                        out[v, c] += columns[sample, c]


@njit
def cross_missing(codes: Any, variants: Any, basis: Any, traits: Any, qq: Any, qy: Any, yy: Any) -> None:
    """Add q q', q y and y² of the samples whose call is missing to ``qq``, ``qy`` and ``yy``."""
    k, t = basis.shape[1], traits.shape[1]
    for v in range(variants.shape[0]):
        row = variants[v]
        for w in range(codes.shape[1]):
            marks = codes[row, w] & ~(codes[row, w] >> np.uint64(1)) & _PAIRS
            while marks:
                sample = 32 * w + (popcount((marks & (~marks + np.uint64(1))) - np.uint64(1)) >> 1)
                marks &= marks - np.uint64(1)
                if sample < basis.shape[0]:
                    for a in range(k):
                        weight = basis[sample, a]
                        for b in range(k):
                            qq[v, a, b] += weight * basis[sample, b]
                        for j in range(t):
                            qy[v, a, j] += weight * traits[sample, j]
                    for j in range(t):
                        yy[v, j] += traits[sample, j] * traits[sample, j]
