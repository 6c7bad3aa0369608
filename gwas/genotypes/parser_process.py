"""A native parser in a process of its own, so that its crash or hang is one message here.

A parser in C reads bytes that anybody may have damaged: here the decompressors of zarr, as all other formats are
read by code of our own. A file that makes it read past a buffer or loop for ever must not take a day's work with it.
So it runs in a child process: requests and answers go over pipes as plain arrays; if the child dies, does not answer
in time or answers nonsense, the caller gets an
:class:`~cohorts.errors.InputError` that names the file, and the next call starts a new child.
"""

from __future__ import annotations

import fcntl
import importlib.util
import json
import os
import re
import selectors
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import numpy as np

from cohorts.errors import InputError
from gwas.genotypes import parser_child

START_TIMEOUT_S: Final = 60.0
MEMORY: Final = 4 << 30
LONGEST_HEADER: Final = 1 << 28
LARGEST_ANSWER: Final = 1 << 34
PRINTED: Final = 1 << 16
PIPE_BYTES: Final = 1 << 20
_DTYPE: Final = re.compile(r"[<>|=][biufSU][0-9]+")


def time_allowed(size: int, *, floor_s: float = 30.0, bytes_per_s: float = 1e6) -> float:
    """Seconds after which a parser that has ``size`` bytes to read or write is held to hang.

    Examples
    --------
    >>> time_allowed(5_000_000)
    35.0
    """
    return floor_s + size / bytes_per_s


class _Nonsense(Exception):
    """The child's answer does not follow the protocol."""


@dataclass(eq=False)
class _Child:
    """A running child and the parent's ends of its pipes."""

    process: subprocess.Popen[bytes]
    lifeline: int
    owner: int = field(default_factory=os.getpid)

    def end(self) -> None:
        """Close the pipes and make sure that the process is gone."""
        if self.owner != os.getpid():
            return
        self.process.kill()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()
        os.close(self.lifeline)
        self.process.wait()


def _start_child() -> _Child:
    theirs, ours = os.pipe()
    try:
        process = subprocess.Popen(
            [sys.executable, "-P", parser_child.__file__, str(theirs)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            pass_fds=[theirs],
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
        )
    except BaseException:
        os.close(ours)
        raise
    finally:
        os.close(theirs)
    for pipe in (process.stdin, process.stdout, process.stderr):
        assert pipe is not None
        os.set_blocking(pipe.fileno(), False)
    # a larger pipe is only faster, and a busy user may have no room for it
    with suppress(OSError, AttributeError):
        fcntl.fcntl(process.stdout, fcntl.F_SETPIPE_SZ, PIPE_BYTES)  # type: ignore[arg-type]
    return _Child(process, ours)


def _factory_path(factory: str) -> str:
    """``package.module:name`` or ``file.py:name``, as the path of the file and the name."""
    module, _, name = factory.rpartition(":")
    if module.endswith(".py"):
        return factory
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(module)
    return f"{spec.origin}:{name}"


class _Exchange:
    """Bytes to and from one child, until a deadline."""

    def __init__(self, child: _Child, deadline: float) -> None:
        self.deadline = deadline
        self.process = child.process
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self.stdin, self.stdout = self.process.stdin.fileno(), self.process.stdout.fileno()
        self.stderr = self.process.stderr.fileno()

    def _wait(self, fd: int, event: int) -> None:
        """Wait until ``fd`` is ready; take in what the parser prints meanwhile."""
        with selectors.DefaultSelector() as selector:
            selector.register(fd, event)
            selector.register(self.stderr, selectors.EVENT_READ)
            while True:
                left = self.deadline - time.monotonic()
                if left <= 0:
                    raise TimeoutError
                ready = {key.fd for key, _ in selector.select(left)}
                if self.stderr in ready and not self.drain():
                    selector.unregister(self.stderr)
                if fd in ready:
                    return

    def drain(self) -> bool:
        """Take what was printed, which may quote the file, out of the way; False when there will be no more."""
        try:
            return bool(os.read(self.stderr, PRINTED))
        except BlockingIOError:
            return True

    def send(self, buffers: Sequence[memoryview]) -> None:
        for buffer in buffers:
            done = 0
            while done < len(buffer):
                try:
                    done += os.write(self.stdin, buffer[done:])
                except BlockingIOError:
                    self._wait(self.stdin, selectors.EVENT_WRITE)

    def fill(self, buffer: memoryview) -> None:
        done = 0
        while done < len(buffer):
            try:
                got = os.readv(self.stdout, [buffer[done:]])
            except BlockingIOError:
                self._wait(self.stdout, selectors.EVENT_READ)
                continue
            if got == 0:
                raise EOFError
            done += got

    def receive(self) -> dict[str, Any]:
        prefix = bytearray(parser_child.PREFIX.size)
        self.fill(memoryview(prefix))
        magic, length = parser_child.PREFIX.unpack(prefix)
        if magic != parser_child.MAGIC or length > LONGEST_HEADER:
            raise _Nonsense
        raw = bytearray(length)
        self.fill(memoryview(raw))
        try:
            header = json.loads(raw)
            scalars, declared = dict(header["scalars"]), list(header["arrays"])
            arrays = {str(name): _room(dtype, shape) for name, dtype, shape in declared}
        except (ValueError, TypeError, KeyError, OverflowError, MemoryError) as error:
            raise _Nonsense from error
        if sum(array.nbytes for array in arrays.values()) > LARGEST_ANSWER:
            raise _Nonsense
        for array in arrays.values():
            if array.size:
                self.fill(array.reshape(-1).view(np.uint8).data)
        return {**scalars, "arrays": arrays}


def _room(dtype: str, shape: Sequence[int]) -> np.ndarray:
    if not _DTYPE.fullmatch(dtype) or any(not isinstance(n, int) or n < 0 for n in shape):
        raise ValueError(dtype)
    return np.empty(shape, dtype=dtype)


class ParserProcess:
    """A parser that runs in a child process, started at the first call and used for all that follow.

    Picklable (the copy starts a child of its own) and safe to call from several threads, one at a time.

    Parameters
    ----------
    factory
        ``package.module:name`` (or ``file.py:name``): what makes the parser in the child. That module is
        loaded alone, by its path, and must import nothing but numpy, ``cohorts.errors`` and the parser.
    arguments
        Keyword arguments of the factory: values JSON can carry, or numpy arrays of numbers.
    file
        The file that errors name.
    memory
        Bytes of address space the parser may take, so that a damaged length cannot swallow the machine.
    start_timeout
        Seconds the child may take to start and open the file.

    Examples
    --------
    >>> parser = ParserProcess("gwas.genotypes.vcf_zarr_child:ZarrParser", {"path": "a.vcz"}, file="a.vcz")
    >>> parser.running
    False
    """

    def __init__(
        self,
        factory: str,
        arguments: Mapping[str, Any],
        *,
        file: str | Path,
        memory: int = MEMORY,
        start_timeout: float = START_TIMEOUT_S,
    ) -> None:
        self.factory = factory
        self.arguments = dict(arguments)
        self.file = Path(file)
        self.memory = memory
        self.start_timeout = start_timeout
        self._forget()

    def _forget(self) -> None:
        self._lock = threading.Lock()
        self._child: _Child | None = None
        self._finalizer: weakref.finalize | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if not name.startswith("_")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._forget()

    def __enter__(self) -> ParserProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def running(self) -> bool:
        """Whether a child of this process is alive."""
        child = self._child
        return child is not None and child.owner == os.getpid() and child.process.poll() is None

    @property
    def pid(self) -> int | None:
        """Process id of the child, or None where none runs."""
        return self._child.process.pid if self._child is not None and self.running else None

    def close(self) -> None:
        """End the child; a later call starts another."""
        with self._lock:
            self._drop()

    def call(
        self, method: str, *, timeout: float, what: str = "the file", **arguments: Any
    ) -> dict[str, Any]:
        """Call a method of the parser.

        Parameters
        ----------
        method
            Its name.
        timeout
            Seconds to wait for the whole answer; see :func:`time_allowed`.
        what
            What is being read, for messages: ``variants 1 to 1024``.
        arguments
            Keyword arguments: values JSON can carry, or numpy arrays of numbers.

        Returns
        -------
        dict
            What the method returned (``{"value": ...}`` unless it returned a dict), numpy arrays as arrays.

        Raises
        ------
        InputError
            The parser refused the file, crashed, hung, ran out of memory or answered nonsense.
        """
        with self._lock:
            self._ready()
            return self._exchange(method, arguments, timeout, what)

    def _ready(self) -> _Child:
        if self._child is not None and self._child.owner != os.getpid():
            self._forget_inherited()
        if self._child is None:
            self._start()
        assert self._child is not None
        return self._child

    def _start(self) -> None:
        child = _start_child()
        self._child = child
        self._finalizer = weakref.finalize(self, child.end)
        scalars, arrays = parser_child.split(self.arguments)
        start = {
            "factory": _factory_path(self.factory),
            "arguments": scalars,
            "memory": self.memory,
            "path": sys.path,
            **arrays,
        }
        try:
            self._exchange("_start", start, self.start_timeout, "its header")
        except BaseException:
            self._drop()
            raise

    def _exchange(self, method: str, values: Mapping[str, Any], timeout: float, what: str) -> dict[str, Any]:
        child = self._child
        assert child is not None
        scalars, arrays = parser_child.split(values)
        exchange = _Exchange(child, time.monotonic() + timeout)
        try:
            exchange.send(parser_child.pack({**scalars, "_method": method, "_timeout": timeout}, arrays))
            answer = exchange.receive()
        except TimeoutError:
            self._drop()
            raise self._failure(
                "the parser hung and was ended", f"no answer in {timeout:g} s for {what}"
            ) from None
        except (EOFError, BrokenPipeError):
            raise self._death(child, what) from None
        except _Nonsense:
            self._drop()
            raise self._failure("the parser's answer makes no sense", f"garbage for {what}") from None
        except BaseException:
            # half a message may be in the pipe
            self._drop()
            raise
        if "error" in answer:
            raise self._refusal(answer["error"], what)
        return {**answer.get("value", {}), **answer["arrays"]}

    def _death(self, child: _Child, what: str) -> InputError:
        """Say how the child died; it has closed its pipes, so it is dying if it is not dead."""
        try:
            code = child.process.wait(5)
        except subprocess.TimeoutExpired:
            code = 0
        self._drop()
        if code < 0:
            try:
                how = f"ended by {signal.Signals(-code).name}"
            except ValueError:
                how = f"ended by signal {-code}"
        else:
            how = f"ended with exit status {code}"
        return self._failure("the parser crashed", f"{how} at {what}")

    def _refusal(self, error: Mapping[str, Any], what: str) -> InputError:
        if "input_error" in error:
            told = error["input_error"]
            return InputError(
                told["problem"],
                where=told["where"] or self.file,
                found=told["found"],
                expected=told["expected"],
                fix=told["fix"],
            )
        if error["exception"] == "MemoryError":
            return self._failure(
                "the parser wanted more memory than it may take",
                f"more than {self.memory >> 20} MiB for {what}",
            )
        return self._failure("cannot be decoded", f"{error['exception']} in the parser for {what}")

    def _failure(self, problem: str, found: str) -> InputError:
        return InputError(
            problem, where=self.file, found=found, fix="the file is probably damaged: copy it again"
        )

    def _drop(self) -> None:
        if self._finalizer is not None:
            self._finalizer()
        self._child = self._finalizer = None

    def _forget_inherited(self) -> None:
        """After a fork the child belongs to the other process."""
        if self._finalizer is not None:
            self._finalizer.detach()
        self._child = self._finalizer = None
