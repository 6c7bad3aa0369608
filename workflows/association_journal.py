"""Results of an association run on their way to the disk, so that a killed run goes on where it stopped.

Results grow in a hidden folder beside the outputs, one file each, and a journal there says, after every stretch of
blocks, how long each file is, the checksum (CRC-32) of all of it up to there, and what has been summed. A run that
finds a journal of the same work verifies those checksums, cuts off what was written later and goes on; of other work,
or with a checksum that does not hold, it starts anew. When all is done the files are renamed to their places and the
folder is removed.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import numpy.typing as npt

from cohorts.errors import CareomeError, OutputError
from workflows.outputs import PRIVATE_FILE, begin_flush, exclusive, private_folder

Sums = Mapping[str, npt.NDArray[np.int64]]
JOURNAL = "journal.jsonl"
HELD = 1 << 22
"""Bytes that wait to be written together."""


@dataclass(frozen=True, kw_only=True)
class Done:
    """What an earlier, killed run left.

    Attributes
    ----------
    blocks
        Blocks whose results are safe.
    sums
        What :meth:`Journal.commit` was given then; empty where nothing was done.
    note
        What to tell the user, or None.
    """

    blocks: int = 0
    sums: Sums = field(default_factory=dict)
    note: str | None = None


class Journal:
    """Growing results of one run; made by :func:`journal`.

    Parameters
    ----------
    folder
        Where parts and journal are.
    key
        What identifies the work: other options or inputs have another.
    names
        File names of the results.
    """

    def __init__(self, folder: Path, key: str, names: Sequence[str]) -> None:
        self.folder, self.key, self.names = folder, key, list(names)
        self._sums: str | None = None
        self._made: dict[str, int] = {}
        self._start()

    def _start(self) -> None:
        self._lengths = dict.fromkeys(self.names, 0)
        self._checksums = dict.fromkeys(self.names, 0)
        self._waiting: dict[str, list[bytes]] = {name: [] for name in self.names}
        self._held = 0

    def resume(self) -> Done:
        """Take up what is there, or clear it away."""
        entries = _read(self.folder / JOURNAL)
        if not entries:
            self._clear()
            return Done()
        if entries[0].get("key") != self.key:
            self._clear()
            return Done(note="an unfinished run with other options or inputs was put aside: started anew")
        last = entries[-1]
        if "blocks" not in last:
            self._clear()
            return Done(note="an earlier run was stopped before its results were safe: started anew")
        if not self._verified(entries):
            self._start()
            self._clear()
            return Done(note="an unfinished run is damaged: started anew")
        with np.load(self.folder / last["sums"]) as saved:
            sums = {name: saved[name] for name in saved.files}
        self._sums = last["sums"]
        return Done(
            blocks=last["blocks"], sums=sums, note=f"went on after block {last['blocks']} of an earlier run"
        )

    def write(self, name: str, data: bytes) -> None:
        """Add to a result; it is safe after the next :meth:`commit`."""
        self._waiting[name].append(data)
        self._held += len(data)
        if self._held >= HELD:
            with self._writing():
                self._append_waiting()

    def put(self, name: str, data: bytes) -> None:
        """Write a file of its own; it belongs to the results after the next :meth:`commit`."""
        with self._writing():
            (self.folder / name).write_bytes(data)
        self._made[name] = crc32(data)

    def commit(self, blocks: int, sums: Sums) -> None:
        """Put everything written on the disk and say that `blocks` blocks are done."""
        with self._writing():
            self._append_waiting()
            saved = f"sums-{blocks}.npz"
            arrays: dict[str, Any] = dict(sums)
            np.savez(self.folder / saved, **arrays)
            entry = {
                "blocks": blocks,
                "sums": saved,
                "sums_checksum": _checksum(self.folder / saved),
                "lengths": [self._lengths[name] for name in self.names],
                "checksums": [self._checksums[name] for name in self.names],
                "made": self._made,
            }
            self._log(entry)
            self._made = {}
            if self._sums not in (None, saved):
                (self.folder / str(self._sums)).unlink(missing_ok=True)
            self._sums = saved

    def _append_waiting(self) -> None:
        """Put what waits into the files, opened one after another: a thousand traits never hold a thousand."""
        for name, chunks in self._waiting.items():
            if chunks:
                self._append(name, chunks[0] if len(chunks) == 1 else b"".join(chunks))
                chunks.clear()
        self._held = 0

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise OutputError(
                "cannot be written",
                where=self.folder,
                found=error.strerror or type(error).__name__,
                fix="make room or mend the folder; the same command then goes on where it was",
            ) from error

    def finish(self, targets: Mapping[str, Path]) -> None:
        """Flush every result, then rename all to their places."""
        with ThreadPoolExecutor(max_workers=16) as pool:
            # the disk takes many flushes together in the time of a few
            list(pool.map(_flush, [self.folder / name for name in targets]))
        for name, target in targets.items():
            private_folder(target.parent)
            os.chmod(self.folder / name, PRIVATE_FILE)
            os.replace(self.folder / name, target)

    def _append(self, name: str, data: bytes) -> None:
        with open(self.folder / name, "ab") as handle:
            handle.write(data)
            handle.flush()
            begin_flush(handle.fileno())
        self._lengths[name] += len(data)
        self._checksums[name] = crc32(data, self._checksums[name])

    def _log(self, entry: Mapping[str, Any]) -> None:
        with open(self.folder / JOURNAL, "ab") as handle:
            handle.write(json.dumps(entry).encode() + b"\n")

    def _clear(self) -> None:
        for path in self.folder.iterdir():
            if path.name != ".lock":
                path.unlink()
        self._log({"key": self.key, "files": self.names})

    def _verified(self, entries: Sequence[Mapping[str, Any]]) -> bool:
        entry = entries[-1]
        made = {name: checksum for each in entries[1:] for name, checksum in each["made"].items()}
        for name, checksum in [*made.items(), (entry["sums"], entry["sums_checksum"])]:
            if not (self.folder / name).exists() or _checksum(self.folder / name) != checksum:
                return False
        for name, length, checksum in zip(self.names, entry["lengths"], entry["checksums"], strict=True):
            part = self.folder / name
            if length == 0 and not part.exists():
                continue
            if not part.exists() or part.stat().st_size < length:
                return False
            os.truncate(part, length)
            with open(part, "rb") as handle:
                while chunk := handle.read(1 << 20):
                    self._checksums[name] = crc32(chunk, self._checksums[name])
            if self._checksums[name] != checksum:
                return False
            self._lengths[name] = length
        return True


@contextmanager
def journal(out: Path, key: str, names: Sequence[str]) -> Iterator[Journal]:
    """Hold the hidden folder of `out` for this run.

    It is removed when the run succeeds or is refused (an input is at fault, which no going on would mend), and kept
    when the run is interrupted, killed or short of disk.

    Parameters
    ----------
    out
        Prefix of the results.
    key, names
        See :class:`Journal`.
    """
    folder = out.with_name(f".{out.name}.unfinished")
    private_folder(folder)
    with exclusive(folder):
        try:
            yield Journal(folder, key, names)
        except OutputError:
            raise
        except CareomeError:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        shutil.rmtree(folder)


def _read(path: Path) -> list[dict[str, Any]]:
    """Entries of a journal; a line that was being written when the run was killed is left out."""
    if not path.exists():
        return []
    entries, length = [], 0
    for line in path.read_bytes().split(b"\n")[:-1]:
        try:
            entries.append(json.loads(line))
        except ValueError:
            break
        length += len(line) + 1
    # what is logged next begins a line
    os.truncate(path, length)
    return entries


def _flush(path: Path) -> None:
    path.touch(mode=PRIVATE_FILE)
    with open(path, "rb") as handle:
        os.fsync(handle.fileno())


def _checksum(path: Path) -> int:
    return crc32(path.read_bytes())
