"""Genotypes as the bytes of a PLINK 2 PGEN.

Written from the format's specification (https://github.com/chrchang/plink-ng/tree/master/pgen_spec), storage mode
0x10. A record holds the hard calls, two bits each, and where dosages say more than these, a bit for each sample
that has one and the dosages themselves in 1/16384 of a copy. Neither phase nor compression of rare variants is
written.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt

from gwas.genotypes.descriptor import Genotypes

MAGIC: Final = b"\x6c\x1b\x10"
ONE_COPY: Final = 16384
_BLOCK: Final = 1 << 16
_HARD_CALLS: Final = 0x00
_WITH_DOSAGES: Final = 0x60


def _pgen_of_bed() -> npt.NDArray[np.uint8]:
    """Byte of PLINK 1 codes → byte of PLINK 2 codes (copies of ALT; 3 is missing)."""
    of_code = np.array([2, 3, 1, 0])
    byte = np.arange(256)
    return np.asarray(sum(of_code[(byte >> shift) & 3] << shift for shift in (0, 2, 4, 6)), dtype=np.uint8)


_OF_BED: Final = _pgen_of_bed()


def pgen_parts(genotypes: Genotypes, *, reference_known: bool = True) -> Iterator[tuple[int, bytes]]:
    """Encode hard calls, and dosages where the genotypes' values are dosages.

    Parameters
    ----------
    genotypes
        The selected samples and variants.
    reference_known
        Whether REF is known to be the reference genome's allele; of a BED it is not.

    Yields
    ------
    (position, bytes)
        Where in the file the bytes belong; the header, which tells the lengths of all records, comes last.

    Raises
    ------
    InputError
        If the genotypes cannot be read.
    """
    n, m = genotypes.n_samples, genotypes.n_variants
    longest = (n + 3) // 4 + (n + 7) // 8 + 2 * n
    length_bytes = next(size for size in (1, 2, 3, 4) if longest < 1 << (8 * size))
    blocks = -(-m // _BLOCK)
    position = 12 + 8 * blocks + m * (1 + length_bytes)
    kinds, lengths = np.empty(m, dtype=np.uint8), np.empty(m, dtype=np.int64)
    starts: list[int] = []
    for row, (kind, record) in enumerate(_records(genotypes)):
        if row % _BLOCK == 0:
            starts.append(position)
        kinds[row], lengths[row] = kind, len(record)
        yield position, record
        position += len(record)
    header = [MAGIC, m.to_bytes(4, "little"), n.to_bytes(4, "little")]
    header.append(bytes([3 + length_bytes | (0x40 if reference_known else 0x80)]))
    header += [start.to_bytes(8, "little") for start in starts]
    wide = lengths.astype("<u4").view(np.uint8).reshape(m, 4)[:, :length_bytes]
    for first in range(0, m, _BLOCK):
        rows = slice(first, first + _BLOCK)
        header += [kinds[rows].tobytes(), np.ascontiguousarray(wide[rows]).tobytes()]
    yield 0, b"".join(header)


def _records(genotypes: Genotypes, size: int = 256) -> Iterator[tuple[int, bytes]]:
    n = genotypes.n_samples
    last = (1 << (2 * (n % 4))) - 1 if n % 4 else 255
    dosages = genotypes.dosage_blocks(size) if genotypes.values == "dosage" else None
    for block in genotypes.blocks(size):
        calls = _OF_BED[block.packed_selected()]
        calls[:, -1] &= last
        if dosages is None:
            yield from ((_HARD_CALLS, row.tobytes()) for row in calls)
            continue
        copies = block.dosages()
        for row, called, exact in zip(calls, copies, next(dosages).dosages, strict=True):
            steps = np.rint(np.nan_to_num(exact) * ONE_COPY).astype("<u2")
            # a dosage that is its hard call is not stored
            stored = ~np.isnan(exact) & ((called < 0) | (steps != called * np.int32(ONE_COPY)))
            if stored.any():
                parts = (
                    row.tobytes(),
                    np.packbits(stored, bitorder="little").tobytes(),
                    steps[stored].tobytes(),
                )
                yield _WITH_DOSAGES, b"".join(parts)
            else:
                yield _HARD_CALLS, row.tobytes()
