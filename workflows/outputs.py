"""Writing files so that a reader never meets half of one.

Everything careome writes goes through this module: to a temporary name in the same folder, flushed to
the disk, then renamed over the target. A failure leaves the old file as it was and no temporary behind.
"""

from __future__ import annotations

import fcntl
import gzip
import hashlib
import io
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from cohorts.errors import OutputError

if TYPE_CHECKING:
    import pandas as pd

PRIVATE_FILE = 0o600
PRIVATE_FOLDER = 0o700


def private_folder(path: Path) -> None:
    """Make a folder, and those above it that are missing, for the owner alone."""
    if not path.exists():
        private_folder(path.parent)
        path.mkdir(exist_ok=True, mode=PRIVATE_FOLDER)


def refuse_no_folder(prefix: Path) -> None:
    """Refuse a result prefix without a name, or in a folder that does not exist: it is mistyped rather than wanted.

    Raises
    ------
    OutputError
        If the folder is not there, or the prefix is a folder alone.
    """
    if not prefix.name or prefix.name == "..":
        raise OutputError(
            "a folder alone, where names of files begin",
            where=f"--out {prefix}",
            fix="as in --out FOLDER/NAME",
        )
    if not prefix.parent.is_dir():
        raise OutputError("no such folder", where=prefix.parent, fix="make it first, or correct --out")


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; on success fsync and rename it to `path`.

    Raises
    ------
    OutputError
        When the folder cannot be written or the disk is full. The target keeps its old content.
    """
    path = Path(path)
    try:
        private_folder(path.parent)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        os.close(handle)
    except OSError as error:
        raise _cannot_write(path, error) from error
    temporary = Path(name)
    try:
        yield temporary
        _flush(temporary)
        os.chmod(temporary, PRIVATE_FILE)
        os.replace(temporary, path)
        _flush(path.parent)
    except OSError as error:
        raise _cannot_write(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)


def remove_unfinished(folder: Path) -> None:
    """Remove what a killed process was writing in `folder` or below; the caller holds the folder alone."""
    for path in folder.rglob(".*.part"):
        path.unlink(missing_ok=True)


@contextmanager
def atomic_text(path: Path) -> Iterator[IO[str]]:
    """Open `path` for UTF-8 text; it appears complete or not at all.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> target = pathlib.Path(tempfile.mkdtemp()) / "a.txt"
    >>> with atomic_text(target) as handle:
    ...     _ = handle.write("hello")
    >>> target.read_text()
    'hello'
    """
    with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8", newline="\n") as handle:
        yield handle


@contextmanager
def atomic_gzip_text(path: Path) -> Iterator[IO[str]]:
    """Open `path` for gzipped UTF-8 text, atomically. The same text gives the same bytes."""
    with (
        atomic_path(path) as temporary,
        open(temporary, "wb") as raw,
        # Neither the time nor the temporary name goes into the header.
        gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as packed,
        io.TextIOWrapper(packed, encoding="utf-8", newline="\n") as handle,
    ):
        yield handle


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` atomically."""
    with atomic_text(path) as handle:
        handle.write(text)


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON with sorted keys, atomically."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n")


def write_parquet(path: Path, frame: pd.DataFrame) -> None:
    """Write a frame as Parquet (zstd), atomically. The same frame gives the same bytes."""
    with atomic_path(path) as temporary:
        frame.to_parquet(temporary, compression="zstd", index=False)


def write_tsv(path: Path, frame: pd.DataFrame) -> None:
    """Write a frame as tab-separated text with ``NA`` for missing values, atomically."""
    with atomic_text(path) as handle:
        frame.to_csv(handle, sep="\t", index=False, na_rep="NA", lineterminator="\n")


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes as 64 hexadecimal digits; of a folder: of the names and bytes of its files."""
    if path.is_dir():
        files = sorted(p for p in path.rglob("*") if p.is_file())
        told = "".join(f"{file.relative_to(path).as_posix()}\0{sha256_of(file)}\n" for file in files)
        return hashlib.sha256(told.encode("utf-8", "surrogateescape")).hexdigest()
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Hold `folder` for this run alone; a second run in the same folder is refused at once.

    The lock belongs to the process: it goes when the process ends, however it ends.

    Raises
    ------
    OutputError
        When another run holds the folder.
    """
    try:
        private_folder(folder)
        handle = os.open(folder / ".lock", os.O_WRONLY | os.O_CREAT, PRIVATE_FILE)
    except OSError as error:
        raise _cannot_write(folder, error) from error
    with os.fdopen(handle, "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise OutputError(
                "another run is writing here",
                where=folder,
                fix="wait for it to end, or give another folder with --out",
            ) from error
        yield


@cache
def _sync_file_range() -> Callable[[int, int, int, int], int] | None:
    """Linux's call, or None elsewhere."""
    import ctypes

    found = getattr(ctypes.CDLL(None), "sync_file_range", None)
    if found is not None:
        found.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)
    return found


def begin_flush(descriptor: int) -> None:
    """Have the disk begin to take what a file holds, without waiting, so that a later flush has less to wait for."""
    begin = _sync_file_range()
    if begin is not None:
        begin(descriptor, 0, 0, 2)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _cannot_write(path: Path, error: OSError) -> OutputError:
    return OutputError(
        "cannot be written",
        where=path,
        found=error.strerror or type(error).__name__,
        fix="check the folder's permissions and the free space on its disk",
    )
