"""Products with the standardised genotype matrix, straight from packed calls.

Run as :class:`gwas.kernels.machine_code.MachineCode` by :mod:`gwas.kernels.standardised`.

Sixteen calls are decoded in a register and multiplied there with sixteen columns, whose sums are registers too:
decoded genotypes never reach memory. No BLAS is involved, so that the result depends neither on its threads nor
on how busy the machine is, and a missing call is an exact zero.
"""

from __future__ import annotations

from typing import Any, Final

from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from gwas.kernels.decoding import CALLS, FLOATS, at, codes_at, fetch_ahead, fused, lookup, pointer, splat
from gwas.kernels.standardised import BAND, COLUMNS, TILE, WORD

BLOCK: Final = COLUMNS * CALLS
AHEAD: Final = 64
ROWS: Final = 4


def _columns_at_once(context: Any) -> int:
    """As many columns as there are registers for their sums."""
    return COLUMNS if "+avx512f" in context.codegen().magic_tuple()[2] else 4


def _sums(builder: Any, starts: list[Any]) -> list[Any]:
    sums = [cgutils.alloca_once(builder, FLOATS) for _ in starts]
    for place, start in zip(sums, starts, strict=True):
        builder.store(builder.load(start, align=4), place)
    return sums


@intrinsic
def _add_rows(
    typing_context: Any,
    packed: Any,
    width: Any,
    row: Any,
    last: Any,
    first: Any,
    words: Any,
    values: Any,
    right: Any,
    sums: Any,
    to: Any,
) -> Any:
    """Add the products of a run of some variants' calls with every column, lane by lane, to ``sums``.

    The run is ``words`` words from word ``first``; the lanes of column c are added at ``sums[to + 16 c]`` for
    ``row``, and so many BLOCKs further on for each of the next ones. Beyond ``last``, it stands for them.
    """
    whole = types.int64
    signature = types.void(packed, *[whole] * 5, values, right, sums, whole)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kinds = signature.args
        source = pointer(context, builder, kinds[0], args[0], ir.IntType(8))
        table = pointer(context, builder, kinds[6], args[6], ir.FloatType())
        factors = pointer(context, builder, kinds[7], args[7], ir.FloatType())
        target = pointer(context, builder, kinds[8], args[8], ir.FloatType())
        size = args[1].type
        skipped = builder.mul(args[4], ir.Constant(size, WORD))
        rows = [builder.add(args[2], ir.Constant(size, k)) for k in range(ROWS)]
        rows = [builder.select(builder.icmp_signed("<", row, args[3]), row, args[3]) for row in rows]
        bytes_at = [builder.add(builder.mul(row, args[1]), skipped) for row in rows]
        values_of = [lookup(context, builder, table, row) for row in rows]
        for start in bytes_at:
            fetch_ahead(builder, source, builder.add(start, ir.Constant(size, AHEAD)))
        step = _columns_at_once(context) // ROWS
        for column in range(0, COLUMNS, step):
            places = [
                [
                    at(
                        builder,
                        target,
                        builder.add(args[9], ir.Constant(size, BLOCK * k + CALLS * c)),
                        FLOATS,
                    )
                    for c in range(column, column + step)
                ]
                for k in range(ROWS)
            ]
            running = [_sums(builder, starts) for starts in places]
            with cgutils.for_range(builder, args[5]) as loop:
                byte = builder.mul(loop.index, ir.Constant(size, WORD))
                calls = [
                    value_of(codes_at(builder, source, builder.add(start, byte)))
                    for start, value_of in zip(bytes_at, values_of, strict=True)
                ]
                word = builder.mul(builder.add(args[4], loop.index), ir.Constant(size, BLOCK))
                for c in range(step):
                    where = builder.add(word, ir.Constant(size, CALLS * (column + c)))
                    factor = builder.load(at(builder, factors, where, FLOATS), align=4)
                    for call, sums in zip(calls, running, strict=True):
                        builder.store(fused(builder, call, factor, builder.load(sums[c])), sums[c])
            for starts, sums in zip(places, running, strict=True):
                for start, place in zip(starts, sums, strict=True):
                    builder.store(builder.load(place), start, align=4)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def _add_band(
    typing_context: Any,
    packed: Any,
    byte: Any,
    width: Any,
    rows: Any,
    values: Any,
    row: Any,
    weights: Any,
    out: Any,
    word: Any,
) -> Any:
    """Add the products of 16 samples' calls of some variants with the variants' weights to ``out``.

    The calls of variant ``row + v`` are at ``byte + v * width`` in ``packed``; the samples are those of ``word``.
    """
    whole = types.int64
    signature = types.void(packed, whole, whole, whole, values, whole, weights, out, whole)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kinds = signature.args
        source = pointer(context, builder, kinds[0], args[0], ir.IntType(8))
        table = pointer(context, builder, kinds[4], args[4], ir.FloatType())
        factors = pointer(context, builder, kinds[6], args[6], ir.FloatType())
        target = pointer(context, builder, kinds[7], args[7], ir.FloatType())
        size = args[1].type
        step = _columns_at_once(context)
        for column in range(0, COLUMNS, step):
            span = range(column, column + step)
            block = builder.mul(args[8], ir.Constant(size, BLOCK))
            starts = [
                at(builder, target, builder.add(block, ir.Constant(size, CALLS * c)), FLOATS) for c in span
            ]
            places = _sums(builder, starts)
            with cgutils.for_range(builder, args[3]) as loop:
                variant = builder.add(args[5], loop.index)
                start = builder.add(args[1], builder.mul(loop.index, args[2]))
                fetch_ahead(builder, source, builder.add(start, ir.Constant(size, AHEAD)))
                calls = lookup(context, builder, table, variant)(codes_at(builder, source, start))
                for c, place in zip(span, places, strict=True):
                    where = builder.add(
                        builder.mul(variant, ir.Constant(size, COLUMNS)), ir.Constant(size, c)
                    )
                    factor = splat(builder, builder.load(builder.gep(factors, [where])), FLOATS)
                    builder.store(fused(builder, calls, factor, builder.load(place)), place)
            for start, place in zip(starts, places, strict=True):
                builder.store(builder.load(place), start, align=4)
        return context.get_dummy_value()

    return signature, generate


@njit
def times(packed: Any, values: Any, right: Any, sums: Any, out: Any) -> None:
    """Write ``Z right``, see :func:`gwas.kernels.standardised.times`; ``sums`` is scratch."""
    m, width = packed.shape
    words = width // WORD
    for band in range(0, m, BAND):
        size = min(BAND, m - band)
        for k in range(BAND * BLOCK):
            sums[k] = 0.0
        for first in range(0, words, TILE):
            count = min(TILE, words - first)
            for row in range(0, size, ROWS):
                _add_rows(
                    packed,
                    width,
                    band + row,
                    band + size - 1,
                    first,
                    count,
                    values,
                    right,
                    sums,
                    row * BLOCK,
                )
        for row in range(size):
            for column in range(COLUMNS):
                total = sums[row * BLOCK + column * CALLS]
                for lane in range(1, CALLS):
                    total += sums[row * BLOCK + column * CALLS + lane]
                out[band + row, column] = total


@njit
def weigh(packed: Any, values: Any, weights: Any, first: int, last: int, out: Any) -> None:
    """Add ``Z' weights``, see :func:`gwas.kernels.standardised.weigh`."""
    m, width = packed.shape
    for band in range(0, m, BAND):
        size = min(BAND, m - band)
        for word in range(first, last):
            _add_band(packed, band * width + word * WORD, width, size, values, band, weights, out, word)
