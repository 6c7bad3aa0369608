"""Exponential and logarithm that LLVM makes vector code of, for loops of :mod:`gwas.kernels.machine_code`."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

_MAGIC: Final = 6755399441055744.0  # 1.5 * 2**52: adding it leaves a rounded number in the low bits
_LOG2E: Final = 1.4426950408889634
_LN2_HIGH: Final = 0.6931471803691238
_LN2_LOW: Final = 1.9082149292705877e-10
_SQRT_HALF_BITS: Final = 0x3FE6A09E667F3BCD
_BAR = {"contract"}
_MAGIC_32: Final = np.float32(12582912.0)
_LOG2E_32: Final = np.float32(1.4426950408889634)
_LN2_HIGH_32: Final = np.float32(0.693145751953125)
_LN2_LOW_32: Final = np.float32(1.428606765330187e-06)
_C1, _C2, _C3, _C4 = np.float32(1.0), np.float32(0.5), np.float32(1 / 6), np.float32(1 / 24)
_C5, _C6, _C7 = np.float32(1 / 120), np.float32(1 / 720), np.float32(1 / 5040)


@intrinsic
def bits(typing_context: Any, value: Any) -> Any:
    """The 64 bits of a float64 as an int64."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.IntType(64))

    return types.int64(types.float64), generate


@intrinsic
def _from_bits(typing_context: Any, value: Any) -> Any:
    """The float64 with these 64 bits."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.DoubleType())

    return types.float64(types.int64), generate


@intrinsic
def _power_of_two(typing_context: Any, shifted: Any) -> Any:
    """2 to the k as float32, k in the low bits of a float32 to which 1.5 * 2**23 was added."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        whole = ir.IntType(32)
        bits = builder.add(builder.bitcast(args[0], whole), ir.Constant(whole, 127))
        return builder.bitcast(builder.shl(bits, ir.Constant(whole, 23)), ir.FloatType())

    return types.float32(types.float32), generate


# Without branches or calls, so that LLVM makes vector code of the loops that use them. Relative errors are below
# 2e-14.


@njit(cache=True, error_model="numpy", fastmath=_BAR)
def fast_exp(x: Any) -> Any:
    """e to the x, |x| < 700."""
    shifted = x * _LOG2E + _MAGIC
    k = shifted - _MAGIC
    r = (x - k * _LN2_HIGH) - k * _LN2_LOW
    p = 1.0 / 39916800.0
    p = p * r + 1.0 / 3628800.0
    p = p * r + 1.0 / 362880.0
    p = p * r + 1.0 / 40320.0
    p = p * r + 1.0 / 5040.0
    p = p * r + 1.0 / 720.0
    p = p * r + 1.0 / 120.0
    p = p * r + 1.0 / 24.0
    p = p * r + 1.0 / 6.0
    p = p * r + 0.5
    p = p * r + 1.0
    p = p * r + 1.0
    return p * _from_bits((bits(shifted) + 1023) << 52)


@njit(cache=True, error_model="numpy", fastmath=_BAR)
def fast_exp32(x: Any) -> Any:
    """e to the x in single precision, |x| < 87; relative error below 2e-7."""
    shifted = x * _LOG2E_32 + _MAGIC_32
    k = shifted - _MAGIC_32
    r = (x - k * _LN2_HIGH_32) - k * _LN2_LOW_32
    p = _C7
    p = p * r + _C6
    p = p * r + _C5
    p = p * r + _C4
    p = p * r + _C3
    p = p * r + _C2
    p = p * r + _C1
    p = p * r + _C1
    return p * _power_of_two(shifted)


@njit(cache=True, error_model="numpy", fastmath=_BAR)
def fast_log(x: Any) -> Any:
    """Natural logarithm of a normal x > 0."""
    away = bits(x) - _SQRT_HALF_BITS
    k = away >> 52
    m = _from_bits(bits(x) - (k << 52))
    f = (m - 1.0) / (m + 1.0)
    s = f * f
    p = 1.0 / 19.0
    p = p * s + 1.0 / 17.0
    p = p * s + 1.0 / 15.0
    p = p * s + 1.0 / 13.0
    p = p * s + 1.0 / 11.0
    p = p * s + 1.0 / 9.0
    p = p * s + 1.0 / 7.0
    p = p * s + 1.0 / 5.0
    p = p * s + 1.0 / 3.0
    p = p * s + 1.0
    return np.float64(k) * _LN2_HIGH + (2.0 * f * p + np.float64(k) * _LN2_LOW)
