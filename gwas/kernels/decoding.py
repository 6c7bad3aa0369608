"""Sixteen two-bit codes at once to sixteen numbers, as pieces of LLVM code for kernels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

CALLS: Final = 16
FLOATS: Final = ir.VectorType(ir.FloatType(), CALLS)
CODES: Final = ir.VectorType(ir.IntType(32), CALLS)

_FUSE = ("contract",)
_LANE = ir.IntType(32)


def pointer(context: Any, builder: Any, array_type: Any, array: Any, element: Any) -> Any:
    """Pointer to the first element of an array."""
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(data, element.as_pointer())


def at(builder: Any, start: Any, offset: Any, kind: Any) -> Any:
    """Address ``offset`` elements after ``start``, as a pointer to ``kind``."""
    return builder.bitcast(builder.gep(start, [offset]), kind.as_pointer())


def splat(builder: Any, scalar: Any, kind: Any) -> Any:
    """A scalar in every lane."""
    lane = builder.insert_element(ir.Constant(kind, ir.Undefined), scalar, ir.Constant(_LANE, 0))
    return builder.shuffle_vector(lane, ir.Constant(kind, ir.Undefined), ir.Constant(CODES, [0] * CALLS))


def fused(builder: Any, a: Any, b: Any, c: Any) -> Any:
    """``a * b + c``, rounded once where the processor can."""
    return builder.fadd(builder.fmul(a, b, flags=_FUSE), c, flags=_FUSE)


def codes_at(builder: Any, source: Any, offset: Any) -> Any:
    """Sixteen lanes whose lowest two bits are the codes at a byte."""
    word = builder.load(at(builder, source, offset, _LANE), align=1)
    shifts = ir.Constant(CODES, list(range(0, 2 * CALLS, 2)))
    return builder.lshr(splat(builder, word, CODES), shifts)


def fetch_ahead(builder: Any, source: Any, offset: Any) -> None:
    """Ask for the cache line of a byte: rows are far apart, and the processor does not guess them."""
    number = ir.IntType(32)
    kind = ir.FunctionType(ir.VoidType(), [source.type, number, number, number])
    prefetch = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
    read, keep, data = (ir.Constant(number, k) for k in (0, 3, 1))
    builder.call(prefetch, [builder.gep(source, [offset]), read, keep, data])


def lookup(context: Any, builder: Any, table: Any, row: Any) -> Callable[[Any], Any]:
    """Code that gives, in each lane, what the lane's lowest two bits stand for in a row of four values."""
    four = ir.VectorType(ir.FloatType(), 4)
    start = builder.mul(row, ir.Constant(row.type, 4))
    values = builder.load(at(builder, table, start, four), align=4)
    nothing = ir.Constant(four, ir.Undefined)
    if "+avx512f" in context.codegen().magic_tuple()[2]:
        kind = ir.FunctionType(FLOATS, [FLOATS, CODES])
        name = "llvm.x86.avx512.vpermilvar.ps.512"
        permute = cgutils.get_or_insert_function(builder.module, kind, name)
        repeated = builder.shuffle_vector(values, nothing, ir.Constant(CODES, [0, 1, 2, 3] * 4))
        return lambda code: builder.call(permute, [repeated, code])
    each = [builder.shuffle_vector(values, nothing, ir.Constant(CODES, [k] * CALLS)) for k in range(4)]
    zero, one, two = (ir.Constant(CODES, [k] * CALLS) for k in range(3))

    def select(code: Any) -> Any:
        low = builder.icmp_unsigned("!=", builder.and_(code, one), zero)
        high = builder.icmp_unsigned("!=", builder.and_(code, two), zero)
        return builder.select(
            high, builder.select(low, each[3], each[2]), builder.select(low, each[1], each[0])
        )

    return select


@intrinsic
def decode_words(
    typing_context: Any, packed: Any, byte: Any, words: Any, values: Any, row: Any, calls: Any, to: Any
) -> Any:
    """``words`` times sixteen floats to ``calls[to:]``, from the codes ``byte`` bytes into ``packed``."""
    signature = types.void(packed, types.int64, types.int64, values, types.int64, calls, types.int64)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kinds = signature.args
        source = pointer(context, builder, kinds[0], args[0], ir.IntType(8))
        table = pointer(context, builder, kinds[3], args[3], ir.FloatType())
        out = pointer(context, builder, kinds[5], args[5], ir.FloatType())
        size = args[1].type
        value_of = lookup(context, builder, table, args[4])
        with cgutils.for_range(builder, args[2]) as loop:
            start = builder.add(args[1], builder.mul(loop.index, ir.Constant(size, 4)))
            to = builder.add(args[6], builder.mul(loop.index, ir.Constant(size, CALLS)))
            value = value_of(codes_at(builder, source, start))
            builder.store(value, at(builder, out, to, FLOATS), align=4)
        return context.get_dummy_value()

    return signature, generate
