"""The beginning of a BGEN file: its header and its sample identifiers.

The format is described at https://www.chg.ox.ac.uk/~gav/bgen_format/spec/latest.html.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

from cohorts.errors import InputError

Compression = Literal["none", "zlib", "zstd"]

MAGICS: Final = (b"bgen", b"\0\0\0\0")
"""The specification asks readers to take the four zeros of early files too."""
SHORTEST_VARIANT: Final = 24
"""No identifying block and its lengths take fewer bytes."""
_COMPRESSIONS: Final[tuple[Compression, ...]] = ("none", "zlib", "zstd")
_HAS_SAMPLES: Final = 1 << 31
_RESERVED: Final = ~(0b111111 | _HAS_SAMPLES) & 0xFFFFFFFF


@dataclass(frozen=True)
class BgenHeader:
    """What the beginning of a BGEN file says.

    Attributes
    ----------
    size
        Bytes of the file.
    first_variant
        Where the first variant begins.
    n_variants, n_samples
        Counts.
    layout
        1 (BGEN 1.1) or 2 (BGEN 1.2 and 1.3).
    compression
        How probability data are compressed.
    sample_ids
        Sample identifiers, or None where the file has none.
    """

    size: int
    first_variant: int
    n_variants: int
    n_samples: int
    layout: int
    compression: Compression
    sample_ids: tuple[str, ...] | None

    def without_samples(self) -> BgenHeader:
        """The same, light enough to go with every copy of a reader."""
        return replace(self, sample_ids=None)


def read_header(path: Path) -> BgenHeader:
    """Read and check the header and the sample identifiers of a BGEN file.

    Raises
    ------
    InputError
        The file is missing, not a BGEN, of a version that is not known, or its counts and lengths do not
        fit each other or the size of the file.
    """
    if not path.is_file():
        raise InputError("file not found", where=path, expected="a BGEN file", fix="check the path")
    try:
        with open(path, "rb") as handle:
            size = os.fstat(handle.fileno()).st_size
            start = handle.read(24)
            if len(start) < 24 or start[16:20] not in MAGICS:
                raise InputError(
                    "is not a BGEN file",
                    where=path,
                    found=f"bytes 16 to 19 {start[16:20].hex(' ') or '(none)'}",
                    expected=f"{MAGICS[0].hex(' ')} (bgen)",
                    fix="check that the file is complete and of this format",
                )
            offset, length, n_variants, n_samples = struct.unpack_from("<4I", start)
            _check_sizes(path, size, offset, length, n_variants, n_samples)
            handle.seek(length)
            (flags,) = struct.unpack("<I", handle.read(4))
            layout, compression = _flags(path, flags)
            sample_ids = None
            if flags & _HAS_SAMPLES:
                sample_ids = _sample_ids(path, handle.read(offset - length), n_samples)
    except OSError as error:
        raise InputError(
            "cannot be read", where=path, found=error.strerror, fix="check its permissions"
        ) from error
    return BgenHeader(size, offset + 4, n_variants, n_samples, layout, compression, sample_ids)


def _check_sizes(path: Path, size: int, offset: int, length: int, n_variants: int, n_samples: int) -> None:
    if length < 20 or length > offset or offset + 4 > size:
        raise damaged(
            path,
            "its header does not fit",
            found=f"header of {length} bytes, first variant at byte {offset + 4}, file of {size} bytes",
            expected="a header of 20 bytes or more before the first variant, within the file",
        )
    if n_samples == 0 or n_variants == 0:
        raise InputError(
            "is empty", where=path, found=f"{n_samples} samples and {n_variants} variants", expected="some"
        )
    if n_variants * SHORTEST_VARIANT > size - offset - 4:
        raise damaged(
            path,
            "is truncated or its header is damaged",
            found=f"{size} bytes",
            expected=f"more for the {n_variants} variants of its header",
        )


def _flags(path: Path, flags: int) -> tuple[int, Compression]:
    compression, layout = flags & 3, flags >> 2 & 15
    if compression > 2 or layout not in (1, 2) or flags & _RESERVED or (layout == 1 and compression == 2):
        raise InputError(
            "is of a BGEN version that is not known, or its header is damaged",
            where=path,
            found=f"layout {layout}, compression {compression}, flags {flags:#010x}",
            expected="layout 1 or 2, compression 0 (none), 1 (zlib) or, in layout 2, 2 (zstd)",
            fix="write it as BGEN 1.2 or 1.3",
        )
    return layout, _COMPRESSIONS[compression]


def _sample_ids(path: Path, block: bytes, n_samples: int) -> tuple[str, ...]:
    if len(block) < 8:
        raise damaged(path, "its sample block is cut short", found=f"{len(block)} bytes")
    length, count = struct.unpack_from("<2I", block)
    if count != n_samples or length > len(block) or 8 + 2 * count > length:
        raise damaged(
            path,
            "its sample block contradicts its header",
            found=f"{count} samples in {length} bytes",
            expected=f"{n_samples} samples in {len(block)} bytes",
        )
    ids, at = [], 8
    for number in range(count):
        end = at + 2 + (block[at] | block[at + 1] << 8 if at + 2 <= length else 0)
        if at + 2 > length or end > length or end == at + 2:
            raise damaged(path, f"the identifier of sample {number + 1} is empty or cut short")
        ids.append(block[at + 2 : end])
        at = end
    if at != length:
        raise damaged(
            path, "its sample block has the wrong length", found=f"{length} bytes", expected=f"{at} bytes"
        )
    try:
        return tuple(raw.decode("utf-8") for raw in ids)
    except UnicodeDecodeError as error:
        raise damaged(path, "a sample identifier is not text in UTF-8") from error


def damaged(path: Path, problem: str, *, found: str | None = None, expected: str | None = None) -> InputError:
    """Make the error of a file that contradicts itself."""
    return InputError(
        problem, where=path, found=found, expected=expected, fix="copy the file again from its source"
    )
