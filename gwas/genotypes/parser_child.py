"""The other end of :class:`gwas.genotypes.parser_process.ParserProcess`: serves one native parser over pipes.

Run as a script by its path, so that neither ``gwas`` nor pandas is imported: it starts in the time numpy
takes. A message, either way, is ``MAGIC``, the length of a JSON header (uint32), the header, and the bytes of
the arrays that the header declares, one after another.
"""

from __future__ import annotations

import fcntl
import importlib.util
import json
import os
import resource
import select
import signal
import struct
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np

MAGIC: Final = b"crm\x01"
PREFIX: Final = struct.Struct("<4sI")
ALARM_GRACE_S: Final = 5.0


def pack(scalars: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> list[memoryview]:
    """Turn named values into the buffers of one message."""
    whole = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    header = json.dumps(
        {
            "scalars": dict(scalars),
            "arrays": [[name, array.dtype.str, list(array.shape)] for name, array in whole.items()],
        }
    ).encode()
    buffers = [memoryview(PREFIX.pack(MAGIC, len(header)) + header)]
    buffers += [array.reshape(-1).view(np.uint8).data for array in whole.values() if array.size]
    return buffers


def split(values: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Part named values into those JSON can carry and arrays."""
    arrays = {name: value for name, value in values.items() if isinstance(value, np.ndarray)}
    return {name: value for name, value in values.items() if name not in arrays}, arrays


def _read_exactly(fd: int, buffer: memoryview) -> bool:
    done = 0
    while done < len(buffer):
        got = os.readv(fd, [buffer[done:]])
        if got == 0:
            return False
        done += got
    return True


def _read_message(fd: int) -> tuple[dict[str, Any], dict[str, np.ndarray]] | None:
    prefix = bytearray(PREFIX.size)
    if not _read_exactly(fd, memoryview(prefix)):
        return None
    _, length = PREFIX.unpack(prefix)
    raw = bytearray(length)
    if not _read_exactly(fd, memoryview(raw)):
        return None
    header = json.loads(raw)
    arrays = {}
    for name, dtype, shape in header["arrays"]:
        arrays[name] = np.empty(shape, dtype=dtype)
        if arrays[name].size and not _read_exactly(fd, arrays[name].reshape(-1).view(np.uint8).data):
            return None
    return header["scalars"], arrays


def _write_message(fd: int, buffers: Sequence[memoryview]) -> None:
    for buffer in buffers:
        done = 0
        while done < len(buffer):
            done += os.write(fd, buffer[done:])


def _die_with_parent(lifeline: int) -> None:
    """Let the kernel end this process when the parent's end of the lifeline closes.

    A signal of the kernel works even where a native parser hangs with the interpreter's lock held. Not
    PR_SET_PDEATHSIG: that follows the thread that started the child, and a read-ahead thread is short-lived.
    """
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)
    if select.select([lifeline], [], [], 0)[0]:
        os._exit(0)


def _limit_memory(extra: int) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        with open("/proc/self/statm", encoding="ascii") as handle:
            now = int(handle.read().split()[0]) * resource.getpagesize()
    except OSError:
        now = 0
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    limit = now + extra if hard == resource.RLIM_INFINITY else min(now + extra, hard)
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))


def _load(factory: str) -> Callable[..., Any]:
    """Load a factory from a file by its path, without importing the packages around it."""
    path, _, name = factory.rpartition(":")
    spec = importlib.util.spec_from_file_location("careome_parser", path)
    if spec is None or spec.loader is None:
        raise ImportError(path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    loaded: Callable[..., Any] = getattr(module, name)
    return loaded


def _answer(parser: Any, method: str, values: Mapping[str, Any]) -> dict[str, Any]:
    if method.startswith("_"):
        raise AttributeError(method)
    answer = getattr(parser, method)(**values)
    if answer is None:
        return {}
    return answer if isinstance(answer, dict) else {"value": answer}


def _error(error: BaseException) -> dict[str, Any]:
    """What the parent may know of an exception: its kind, and what an InputError says of purpose.

    The text of any other exception may quote the file, and so a patient.
    """
    if type(error).__name__ == "InputError":
        told = {name: getattr(error, name) for name in ("problem", "where", "found", "expected", "fix")}
        return {"input_error": {name: None if item is None else str(item) for name, item in told.items()}}
    return {"exception": type(error).__name__}


def serve(requests: int, answers: int) -> None:
    """Answer requests until the parent closes the pipe."""
    parser: Any = None
    while (message := _read_message(requests)) is not None:
        scalars, arrays = message
        method, timeout = scalars.pop("_method"), scalars.pop("_timeout")
        # default action: a parser that hangs is ended even if nobody is left to kill it
        signal.setitimer(signal.ITIMER_REAL, timeout + ALARM_GRACE_S)
        try:
            if method == "_start":
                sys.path[:] = scalars["path"]
                _limit_memory(scalars["memory"])
                parser = _load(scalars["factory"])(**scalars["arguments"], **arrays)
                result: dict[str, Any] = {}
            else:
                result = _answer(parser, method, {**scalars, **arrays})
            told, sent = split(result)
            buffers = pack({"value": told}, sent)
        except BaseException as error:
            buffers = pack({"error": _error(error)}, {})
        signal.setitimer(signal.ITIMER_REAL, 0)
        _write_message(answers, buffers)


def main() -> None:
    """Serve on standard input and output; what the parser prints goes to standard error."""
    _die_with_parent(int(sys.argv[1]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = os.dup(1)
    os.dup2(2, 1)
    try:
        serve(0, answers)
    except BrokenPipeError:
        os._exit(0)


if __name__ == "__main__":
    main()
