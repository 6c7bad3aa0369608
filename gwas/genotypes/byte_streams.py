"""The bytes of a file as if it were not compressed: plain, gzip and BGZF, read from anywhere.

BGZF (SAM specification, section 4.1) is gzip in blocks of at most 64 KiB, each with its size, the length of
its content and a CRC-32, and an empty block at the end. So its blocks can be found without inflating them, a
file that was cut is recognised at once, and any byte is one block away. A plain gzip file can only be inflated
from its beginning; states of the decompressor kept on the way make going back cheap.

Every checksum is verified. A file that changed since it was opened is refused rather than read with offsets
that no longer fit.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt

from cohorts.errors import InputError

CHUNK: Final = 1 << 22
"""Bytes of content that one step of a pass over a file yields."""
BGZF_END: Final = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
"""The empty block that ends a BGZF file."""
_BGZF_HEAD: Final = b"\x1f\x8b\x08\x04"
_INFLATERS: Final = 2
_GZIP_STEP: Final = 1 << 14
_CHECKPOINTS: Final = 64


@dataclass(frozen=True)
class Stamp:
    """What a file looked like when it was opened."""

    size: int
    changed: int

    @classmethod
    def of(cls, descriptor: int) -> Stamp:
        """The present stamp of an open file."""
        status = os.fstat(descriptor)
        return cls(status.st_size, status.st_mtime_ns)


class ByteStream(Protocol):
    """Content of a file by offset; a picklable value."""

    @property
    def path(self) -> Path:
        """The file."""
        ...

    def chunks(self, start: int, stop: int | None = None) -> Iterator[tuple[int, bytes]]:
        """Yield ``(offset, bytes)`` from ``start`` to ``stop`` (the end), in order."""
        ...

    def read(self, start: int, size: int) -> bytes:
        """Read exactly ``size`` bytes at ``start``."""
        ...


@contextmanager
def _opened(path: Path, stamp: Stamp | None) -> Iterator[int]:
    """A file descriptor, of the file that was opened before."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    except FileNotFoundError as error:
        raise InputError("file not found", where=path, fix="check the path") from error
    except OSError as error:
        raise InputError(
            "cannot be read", where=path, found=error.strerror, fix="check its permissions"
        ) from error
    try:
        if stamp is not None and Stamp.of(descriptor) != stamp:
            raise InputError(
                "changed since it was opened",
                where=path,
                found="another size or time of change",
                fix="make sure nothing writes to the file and run again",
            )
        yield descriptor
    except OSError as error:
        raise InputError(
            "cannot be read", where=path, found=error.strerror, fix="check the file and run again"
        ) from error
    finally:
        os.close(descriptor)


def _pread(descriptor: int, size: int, offset: int) -> bytes:
    pieces = []
    while size > 0:
        piece = os.pread(descriptor, size, offset)
        if not piece:
            break
        pieces.append(piece)
        size -= len(piece)
        offset += len(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _damaged(path: Path, found: str) -> InputError:
    return InputError("is damaged or truncated", where=path, found=found, fix="copy the file again")


def open_stream(path: Path) -> PlainStream | GzipStream | BgzfStream:
    """Recognise by its first bytes how a file is compressed.

    Raises
    ------
    InputError
        If the file cannot be read, or is a BGZF file that was cut or damaged.
    """
    if is_bgzf(path):
        return BgzfStream.of(path)
    with _opened(path, None) as descriptor:
        stamp = Stamp.of(descriptor)
        head = os.pread(descriptor, 2, 0)
    return GzipStream(path, stamp) if head == b"\x1f\x8b" else PlainStream(path, stamp)


def is_bgzf(path: Path) -> bool:
    """Whether a file begins with a block of BGZF.

    Raises
    ------
    InputError
        If it cannot be read.
    """
    with _opened(path, None) as descriptor:
        head = os.pread(descriptor, 14, 0)
    return head[:4] == _BGZF_HEAD and head[12:] == b"BC"


@dataclass(frozen=True)
class PlainStream:
    """A file that is not compressed."""

    path: Path
    stamp: Stamp

    def chunks(self, start: int, stop: int | None = None) -> Iterator[tuple[int, bytes]]:
        """Yield ``(offset, bytes)`` from ``start`` to ``stop`` (the end), in order."""
        stop = self.stamp.size if stop is None else stop
        for offset in range(start, stop, CHUNK):
            yield offset, self.read(offset, min(CHUNK, stop - offset))

    def read(self, start: int, size: int) -> bytes:
        """Read exactly ``size`` bytes at ``start``."""
        with _opened(self.path, self.stamp) as descriptor:
            data = _pread(descriptor, size, start)
        if len(data) != size:
            raise _damaged(self.path, f"{len(data)} of {size} bytes at {start}")
        return data


@dataclass(frozen=True)
class _Checkpoint:
    """A decompressor that has read the file up to ``file`` and given the content up to ``content``.

    ``fresh`` says that it is between two members of the file.
    """

    content: int
    file: int
    state: Any
    fresh: bool


@dataclass(frozen=True)
class GzipStream:
    """A gzip file without blocks, of one or more members.

    Checkpoints belong to this process: a copy sent to another one begins again at the file's start.
    """

    path: Path
    stamp: Stamp
    _spread: list[_Checkpoint] = field(default_factory=list, compare=False, repr=False)
    _latest: list[_Checkpoint] = field(default_factory=list, compare=False, repr=False)

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "stamp": self.stamp, "_spread": [], "_latest": []}

    def chunks(self, start: int, stop: int | None = None) -> Iterator[tuple[int, bytes]]:
        """Yield ``(offset, bytes)`` from ``start`` to ``stop`` (the end), in order."""
        pieces: list[bytes] = []
        held = 0
        for offset, data in self._inflated(start):
            last = None if stop is None else max(stop - offset, 0)
            piece = data[max(start - offset, 0) : last]
            pieces.append(piece)
            held += len(piece)
            if held >= CHUNK:
                yield start, b"".join(pieces)
                start += held
                pieces, held = [], 0
            if stop is not None and start + held >= stop:
                break
        if held:
            yield start, b"".join(pieces)

    def read(self, start: int, size: int) -> bytes:
        """Read exactly ``size`` bytes at ``start``."""
        data = b"".join(piece for _, piece in self.chunks(start, start + size))
        if len(data) != size:
            raise _damaged(self.path, f"{len(data)} of {size} bytes of content at {start}")
        return data

    def _inflated(self, start: int) -> Iterator[tuple[int, bytes]]:
        """Inflate from the last checkpoint before ``start``."""
        before = [point for point in (*self._spread, *self._latest) if point.content <= start]
        begin = _Checkpoint(0, 0, zlib.decompressobj(31), True)
        point = max(before, key=lambda point: point.content, default=begin)
        content, file, state, fresh = point.content, point.file, point.state.copy(), point.fresh
        with _opened(self.path, self.stamp) as descriptor:
            while file < self.stamp.size:
                self._keep(_Checkpoint(content, file, state.copy(), fresh))
                raw = os.pread(descriptor, _GZIP_STEP, file)
                try:
                    data = state.decompress(raw)
                except zlib.error as error:
                    raise _damaged(self.path, f"bytes after {file} that do not inflate") from error
                if not raw:
                    break
                file += len(raw) - len(state.unused_data)
                fresh = state.eof
                if fresh:
                    state = zlib.decompressobj(31)
                yield content, data
                content += len(data)
        if not fresh:
            raise _damaged(self.path, "no end of the compressed data")

    def _keep(self, point: _Checkpoint) -> None:
        """Keep the latest state, and a few spread over the file."""
        self._latest[:] = [point]
        step = self.stamp.size // _CHECKPOINTS
        if not self._spread or point.file - self._spread[-1].file > step:
            self._spread.append(point)


@dataclass(frozen=True)
class BgzfStream:
    """A BGZF file, or the parts of one that were asked for.

    Attributes
    ----------
    path, stamp
        The file.
    block_offset, block_size
        int64: where each block begins in the file, and its compressed length.
    content_offset
        int64 (blocks + 1): where the content of each block begins, and the end of the last.
    """

    path: Path
    stamp: Stamp
    block_offset: npt.NDArray[np.int64]
    block_size: npt.NDArray[np.int64]
    content_offset: npt.NDArray[np.int64]

    @classmethod
    def of(cls, path: Path, parts: Sequence[tuple[int, int]] | None = None) -> BgzfStream:
        """Find the blocks of a file, or of ``parts`` (file offsets of first block and end).

        Raises
        ------
        InputError
            If the file does not end with the empty block, or a block's header or length is wrong.
        """
        with _opened(path, None) as descriptor:
            stamp = Stamp.of(descriptor)
            last = stamp.size - len(BGZF_END)
            if last < 0 or os.pread(descriptor, len(BGZF_END), last) != BGZF_END:
                raise _damaged(path, "no block that marks the end of a BGZF file")
            blocks = [
                block
                for start, stop in ([(0, stamp.size)] if parts is None else parts)
                for block in _blocks(path, descriptor, start, min(stop, stamp.size))
            ]
        table = np.array(blocks, dtype=np.int64).reshape(-1, 3)
        content = np.concatenate([[0], np.cumsum(table[:, 2])]).astype(np.int64)
        return cls(path, stamp, table[:, 0].copy(), table[:, 1].copy(), content)

    def content_of(self, virtual: int) -> int:
        """Offset in the content of a virtual file offset (block's offset times 65536, plus the rest).

        Raises
        ------
        InputError
            If no block begins there or it has less content.
        """
        offset, rest = virtual >> 16, virtual & 0xFFFF
        block = int(np.searchsorted(self.block_offset, offset))
        known = block < len(self.block_offset) and int(self.block_offset[block]) == offset
        if not known or rest > self.content_offset[block + 1] - self.content_offset[block]:
            raise _damaged(self.path, "an index that points to no block")
        return int(self.content_offset[block]) + rest

    def chunks(self, start: int, stop: int | None = None) -> Iterator[tuple[int, bytes]]:
        """Yield ``(offset, bytes)`` from ``start`` to ``stop`` (the end), in order; inflates ahead."""
        stop = int(self.content_offset[-1]) if stop is None else stop
        if start >= stop:
            return
        edges = [*range(start, stop, CHUNK), stop]
        with ThreadPoolExecutor(_INFLATERS, thread_name_prefix="inflate") as pool:
            ahead = [pool.submit(self.read, a, b - a) for a, b in list(pairwise(edges))[:_INFLATERS]]
            for number, offset in enumerate(edges[:-1]):
                data = ahead.pop(0).result()
                following = number + _INFLATERS
                if following < len(edges) - 1:
                    a, b = edges[following], edges[following + 1]
                    ahead.append(pool.submit(self.read, a, b - a))
                yield offset, data

    def read(self, start: int, size: int) -> bytes:
        """Read exactly ``size`` bytes at ``start``."""
        if size == 0:
            return b""
        first = int(np.searchsorted(self.content_offset, start, side="right")) - 1
        last = int(np.searchsorted(self.content_offset, start + size, side="left"))
        if start < 0 or last >= len(self.content_offset):
            raise _damaged(self.path, "less content than a record needs")
        ends = self.block_offset[first:last] + self.block_size[first:last]
        gaps = np.flatnonzero(ends[:-1] != self.block_offset[first + 1 : last]) + first + 1
        pieces: list[bytes] = []
        with _opened(self.path, self.stamp) as descriptor:
            for begin, end in pairwise([first, *gaps.tolist(), last]):
                base = int(self.block_offset[begin])
                raw = _pread(descriptor, int(ends[end - 1 - first]) - base, base)
                pieces += [self._inflate(raw, block, base) for block in range(begin, end)]
        skip = start - int(self.content_offset[first])
        return b"".join(pieces)[skip : skip + size]

    def _inflate(self, raw: bytes, block: int, base: int) -> bytes:
        begin = int(self.block_offset[block]) - base
        end = begin + int(self.block_size[block])
        size = int(self.content_offset[block + 1] - self.content_offset[block])
        head = begin + 12 + int.from_bytes(raw[begin + 10 : begin + 12], "little")
        try:
            data = zlib.decompress(raw[head : end - 8], -15, max(size, 1))
        except zlib.error as error:
            raise _damaged(self.path, f"a block at byte {base + begin} that does not inflate") from error
        if len(data) != size or zlib.crc32(data) != int.from_bytes(raw[end - 8 : end - 4], "little"):
            raise _damaged(self.path, f"a block at byte {base + begin} whose checksum is wrong")
        return data


def _blocks(path: Path, descriptor: int, start: int, stop: int) -> Iterator[tuple[int, int, int]]:
    """File offset, compressed length and content length of the blocks from ``start`` until ``stop``."""
    base, held = start, b""
    while start < stop:
        if start + (1 << 17) > base + len(held):
            base, held = start, _pread(descriptor, CHUNK, start)
        at = start - base
        head = held[at : at + 18]
        if len(head) < 18 or head[:4] != _BGZF_HEAD or head[10:16] != b"\x06\0BC\x02\0":
            raise _damaged(path, f"no block of BGZF at byte {start}")
        size = int.from_bytes(head[16:18], "little") + 1
        content = int.from_bytes(held[at + size - 4 : at + size], "little")
        if size < 28 or at + size > len(held) or content > 1 << 16:
            raise _damaged(path, f"a wrong length in the block at byte {start}")
        yield start, size, content
        start += size
