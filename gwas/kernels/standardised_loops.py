"""Products with the standardised genotype matrix, straight from packed calls.

Run as :class:`gwas.kernels.machine_code.MachineCode` by :mod:`gwas.kernels.standardised`.

A tile of 8 variants by some hundred samples is decoded into a buffer that stays in the first-level cache and
is multiplied there with sixteen columns at a time, held in vector registers. No BLAS is involved, so that the
result depends neither on its threads nor on how busy the machine is, and a missing call is an exact zero.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from gwas.kernels.standardised import BAND, COLUMNS, GROUP, TILE

_FLOATS = ir.VectorType(ir.FloatType(), COLUMNS)
_WORDS = ir.VectorType(ir.IntType(32), COLUMNS)
_FUSE = ("contract",)


def _pointer(context: Any, builder: Any, array_type: Any, array: Any, element: Any) -> Any:
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(data, element.as_pointer())


def _at(builder: Any, pointer: Any, offset: Any, kind: Any) -> Any:
    """Address ``offset`` elements of ``pointer`` on, as a pointer to ``kind``."""
    return builder.bitcast(builder.gep(pointer, [offset]), kind.as_pointer())


def _splat(builder: Any, scalar: Any, kind: Any) -> Any:
    lane = builder.insert_element(ir.Constant(kind, ir.Undefined), scalar, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(lane, ir.Constant(kind, ir.Undefined), ir.Constant(_WORDS, [0] * COLUMNS))


def _fused(builder: Any, a: Any, b: Any, c: Any) -> Any:
    return builder.fadd(builder.fmul(a, b, flags=_FUSE), c, flags=_FUSE)


def _by_code(context: Any, builder: Any, value: list[Any]) -> Callable[[Any], Any]:
    """Code that takes, in each lane, the one of four values that the lane's lowest two bits say."""
    if "+avx512f" in context.codegen().magic_tuple()[2]:
        kind = ir.FunctionType(_FLOATS, [_FLOATS, _WORDS])
        name = "llvm.x86.avx512.vpermilvar.ps.512"
        permute = cgutils.get_or_insert_function(builder.module, kind, name)
        four = value[0]
        for k in range(1, 4):
            lanes = [j if j % 4 != k else COLUMNS + j for j in range(COLUMNS)]
            four = builder.shuffle_vector(four, value[k], ir.Constant(_WORDS, lanes))
        return lambda code: builder.call(permute, [four, code])
    zero, one, two = (ir.Constant(_WORDS, [k] * COLUMNS) for k in range(3))

    def select(code: Any) -> Any:
        low = builder.icmp_unsigned("!=", builder.and_(code, one), zero)
        high = builder.icmp_unsigned("!=", builder.and_(code, two), zero)
        lower = builder.select(low, value[1], value[0])
        return builder.select(high, builder.select(low, value[3], value[2]), lower)

    return select


@intrinsic
def decode_words(
    typing_context: Any, packed: Any, byte: Any, words: Any, values: Any, row: Any, calls: Any, to: Any
) -> Any:
    """``words`` times sixteen floats to ``calls[to:]``, from the codes ``byte`` bytes into ``packed``."""
    signature = types.void(packed, types.int64, types.int64, values, types.int64, calls, types.int64)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kinds = signature.args
        source = _pointer(context, builder, kinds[0], args[0], ir.IntType(8))
        table = _pointer(context, builder, kinds[3], args[3], ir.FloatType())
        out = _pointer(context, builder, kinds[5], args[5], ir.FloatType())
        size = args[1].type
        shifts = ir.Constant(_WORDS, list(range(0, 2 * COLUMNS, 2)))
        first = builder.mul(args[4], ir.Constant(size, 4))
        value = [
            _splat(
                builder,
                builder.load(builder.gep(table, [builder.add(first, ir.Constant(size, k))])),
                _FLOATS,
            )
            for k in range(4)
        ]
        looked_up = _by_code(context, builder, value)
        with cgutils.for_range(builder, args[2]) as loop:
            at = builder.add(args[1], builder.mul(loop.index, ir.Constant(size, 4)))
            word = builder.load(_at(builder, source, at, ir.IntType(32)), align=1)
            code = builder.lshr(_splat(builder, word, _WORDS), shifts)
            to = builder.add(args[6], builder.mul(loop.index, ir.Constant(size, COLUMNS)))
            builder.store(looked_up(code), _at(builder, out, to, _FLOATS), align=4)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def _add_rows(typing_context: Any, calls: Any, right: Any, first: Any, count: Any, out: Any, row: Any) -> Any:
    """``out[row + g] += sum over s < count of calls[g, s] * right[first + s]``, for each g of a group."""
    signature = types.void(calls, right, types.int64, types.int64, out, types.int64)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kinds = signature.args
        tile = _pointer(context, builder, kinds[0], args[0], ir.FloatType())
        factors = _pointer(context, builder, kinds[1], args[1], ir.FloatType())
        target = _pointer(context, builder, kinds[4], args[4], ir.FloatType())
        size = args[2].type
        wide, step = ir.Constant(size, COLUMNS), ir.Constant(size, TILE)
        sums = []
        for _ in range(GROUP):
            place = cgutils.alloca_once(builder, _FLOATS)
            builder.store(ir.Constant(_FLOATS, [0.0] * COLUMNS), place)
            sums.append(place)
        with cgutils.for_range(builder, args[3]) as loop:
            at = builder.mul(builder.add(args[2], loop.index), wide)
            factor = builder.load(_at(builder, factors, at, _FLOATS), align=4)
            for g, place in enumerate(sums):
                call = builder.add(builder.mul(ir.Constant(size, g), step), loop.index)
                scalar = _splat(builder, builder.load(builder.gep(tile, [call])), _FLOATS)
                builder.store(_fused(builder, scalar, factor, builder.load(place)), place)
        for g, place in enumerate(sums):
            at = builder.mul(builder.add(args[5], ir.Constant(size, g)), wide)
            slot = _at(builder, target, at, _FLOATS)
            builder.store(builder.fadd(builder.load(slot, align=4), builder.load(place)), slot, align=4)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def _add_columns(
    typing_context: Any, calls: Any, weights: Any, row: Any, out: Any, first: Any, count: Any
) -> Any:
    """``out[first + s] += sum over g of calls[g, s] * weights[row + g]``, for every s < count."""
    signature = types.void(calls, weights, types.int64, out, types.int64, types.int64)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kinds = signature.args
        tile = _pointer(context, builder, kinds[0], args[0], ir.FloatType())
        factors = _pointer(context, builder, kinds[1], args[1], ir.FloatType())
        target = _pointer(context, builder, kinds[3], args[3], ir.FloatType())
        size = args[2].type
        wide, step = ir.Constant(size, COLUMNS), ir.Constant(size, TILE)
        weight = [
            builder.load(
                _at(builder, factors, builder.mul(builder.add(args[2], ir.Constant(size, g)), wide), _FLOATS),
                align=4,
            )
            for g in range(GROUP)
        ]
        with cgutils.for_range(builder, args[5]) as loop:
            slot = _at(builder, target, builder.mul(builder.add(args[4], loop.index), wide), _FLOATS)
            total = builder.load(slot, align=4)
            for g, factor in enumerate(weight):
                call = builder.add(builder.mul(ir.Constant(size, g), step), loop.index)
                scalar = _splat(builder, builder.load(builder.gep(tile, [call])), _FLOATS)
                total = _fused(builder, scalar, factor, total)
            builder.store(total, slot, align=4)
        return context.get_dummy_value()

    return signature, generate


@njit
def _decode_tile(packed: Any, values: Any, row: int, rows: int, byte0: int, byte1: int, calls: Any) -> None:
    """Standardised calls of up to GROUP variants; rows beyond ``rows`` are 0."""
    width = packed.shape[1]
    words = (byte1 - byte0) // 4
    for g in range(GROUP):
        if g >= rows:
            for k in range(g * TILE, (g + 1) * TILE):
                calls[k] = 0.0
            continue
        decode_words(packed, (row + g) * width + byte0, words, values, row + g, calls, g * TILE)
        for byte in range(byte0 + 4 * words, byte1):
            code = packed[row + g, byte]
            at = g * TILE + 4 * (byte - byte0)
            for k in range(4):
                calls[at + k] = values[row + g, (code >> (2 * k)) & 3]


@njit
def times(packed: Any, values: Any, right: Any, calls: Any, sums: Any, out: Any) -> None:
    """Write ``Z right``, see :func:`gwas.kernels.standardised.times`; ``calls`` and ``sums`` are scratch."""
    m, width = packed.shape
    for band in range(0, m, BAND):
        size = min(BAND, m - band)
        for row in range(BAND):
            for column in range(COLUMNS):
                sums[row, column] = 0.0
        for byte0 in range(0, width, TILE // 4):
            byte1 = min(byte0 + TILE // 4, width)
            for row in range(0, size, GROUP):
                _decode_tile(packed, values, band + row, min(GROUP, size - row), byte0, byte1, calls)
                _add_rows(calls, right, 4 * byte0, 4 * (byte1 - byte0), sums, row)
        for row in range(size):
            for column in range(COLUMNS):
                out[band + row, column] = sums[row, column]


@njit
def weigh(
    packed: Any, values: Any, weights: Any, byte_from: int, byte_to: int, calls: Any, factors: Any, out: Any
) -> None:
    """Add ``Z' weights``, see :func:`gwas.kernels.standardised.weigh`; ``calls`` and ``factors`` are scratch."""
    m = packed.shape[0]
    for band in range(0, m, BAND):
        size = min(BAND, m - band)
        for row in range(BAND):
            for column in range(COLUMNS):
                factors[row, column] = weights[band + row, column] if row < size else 0.0
        for byte0 in range(byte_from, byte_to, TILE // 4):
            byte1 = min(byte0 + TILE // 4, byte_to)
            for row in range(0, size, GROUP):
                _decode_tile(packed, values, band + row, min(GROUP, size - row), byte0, byte1, calls)
                _add_columns(calls, factors, row, out, 4 * byte0, 4 * (byte1 - byte0))
