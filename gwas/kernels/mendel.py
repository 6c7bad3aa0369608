"""Which children's calls cannot come from their parents' calls: a table look-up for each trio and variant."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
from numba import njit

NOT_TESTED: Final = 255
DIPLOID: Final = 0
DAUGHTER_ON_X: Final = 1
SON_ON_X: Final = 2
LEFT_OUT: Final = 3

_COPIES: Final = (2, None, 1, 0)
"""ALT copies of the four two-bit codes."""


def _code(father: int | None, mother: int | None, child: int | None, kind: int) -> int:
    """Number of the error as PLINK counts them, 0 where there is none, or NOT_TESTED."""
    if kind == LEFT_OUT:
        return NOT_TESTED
    if kind == SON_ON_X:
        if child in (None, 1) or mother is None:
            return NOT_TESTED
        return {(2, 0): 9, (0, 2): 10}.get((mother, int(child or 0)), 0)
    if kind == DAUGHTER_ON_X and father == 1:
        father = None
    if child is None or (father is None and mother is None):
        return NOT_TESTED
    if child == 1:
        return {(2, 2): 1, (0, 0): 2}.get((_or(father), _or(mother)), 0)
    lacking, by_father, by_mother, by_both = (0, 3, 4, 5) if child == 2 else (2, 6, 7, 8)
    if father == lacking:
        return by_both if mother == lacking else by_father
    return by_mother if mother == lacking else 0


def _or(copies: int | None) -> int:
    return -1 if copies is None else copies


def _table() -> npt.NDArray[np.uint8]:
    table = np.empty((4, 4, 4, 4), dtype=np.uint8)
    for kind in range(4):
        for index in np.ndindex(4, 4, 4):
            father, mother, child = (_COPIES[code] for code in index)
            table[(kind, *index)] = _code(father, mother, child, kind)
    return table.reshape(-1)


TABLE: Final = _table()
"""uint8 (256,): error by ``kind * 64 + father * 16 + mother * 4 + child`` of two-bit codes."""


def mendel_codes(
    packed: npt.NDArray[np.uint8], trios: npt.NDArray[np.int64], kind: npt.NDArray[np.uint8]
) -> npt.NDArray[np.uint8]:
    """Judge every trio at every variant.

    Parameters
    ----------
    packed
        uint8 (m, ceil(n_file / 4)): PLINK 1 two-bit codes.
    trios
        int64 (t, 3): file positions of father, mother and child.
    kind
        uint8 (m, t): DIPLOID, DAUGHTER_ON_X, SON_ON_X or LEFT_OUT.

    Returns
    -------
    ndarray of uint8 (m, t)
        0: fits; 1 to 10: PLINK's number of the error; NOT_TESTED: a call is missing, or is not one that can be.
    """
    out = np.empty((packed.shape[0], trios.shape[0]), dtype=np.uint8)
    _judge(packed, trios, kind, TABLE, out)
    return out


@njit(cache=True, nogil=True)
def _judge(packed: Any, trios: Any, kind: Any, table: Any, out: Any) -> None:
    for v in range(packed.shape[0]):
        for t in range(trios.shape[0]):
            index = np.int64(kind[v, t])
            for who in range(3):
                s = trios[t, who]
                index = 4 * index + ((packed[v, s >> 2] >> (2 * (s & 3))) & 3)
            out[v, t] = table[index]
