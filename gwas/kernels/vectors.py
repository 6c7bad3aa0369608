"""Pieces of LLVM code for kernels that work on registers of eight 64-bit words.

The vectoriser leaves loops over two bit-planes and several popcounts scalar, which costs a factor of three to
seven, so those kernels say in LLVM's own terms what they mean. LLVM turns it into whatever the processor has,
AVX-512 with its popcounts, AVX2 or less, always with the same integers.
"""

from __future__ import annotations

from typing import Any, Final

from llvmlite import ir
from numba.core import cgutils

from gwas.kernels.planes import LANES

WORDS: Final = ir.VectorType(ir.IntType(64), LANES)
INDEX: Final = ir.IntType(64)


def data_of(context: Any, builder: Any, kind: Any, array: Any) -> Any:
    """Pointer to the first element of an array."""
    return context.make_array(kind)(context, builder, array).data


def load_words(builder: Any, data: Any, offset: Any) -> Any:
    """Eight words that start ``offset`` words after ``data``."""
    place = builder.bitcast(builder.gep(data, [offset]), WORDS.as_pointer())
    return builder.load(place, align=8)


def new_sums(builder: Any, count: int) -> list[Any]:
    """Registers of eight running sums each, zero."""
    places = [cgutils.alloca_once(builder, WORDS) for _ in range(count)]
    for place in places:
        builder.store(ir.Constant(WORDS, [0] * LANES), place)
    return places


def add_popcount(builder: Any, place: Any, words: Any, *, times: int = 1) -> None:
    """Add ``times`` (a power of two) the ones of each word to a running sum."""
    kind = ir.FunctionType(WORDS, [WORDS])
    ones = cgutils.get_or_insert_function(builder.module, kind, f"llvm.ctpop.v{LANES}i64")
    count = builder.call(ones, [words])
    if times > 1:
        count = builder.shl(count, ir.Constant(WORDS, [times.bit_length() - 1] * LANES))
    builder.store(builder.add(builder.load(place), count), place)


def add_total(builder: Any, data: Any, offset: Any, place: Any) -> None:
    """Add the eight lanes of a running sum to the number at ``data[offset]``."""
    kind = ir.FunctionType(ir.IntType(64), [WORDS])
    total = cgutils.get_or_insert_function(builder.module, kind, f"llvm.vector.reduce.add.v{LANES}i64")
    slot = builder.gep(data, [offset])
    builder.store(builder.add(builder.load(slot), builder.call(total, [builder.load(place)])), slot)
