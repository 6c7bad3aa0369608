"""A parser that crashes, hangs or lies costs one message, never the process that called it."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from cohorts.errors import InputError
from gwas.genotypes.parser_process import ParserProcess, time_allowed

FACTORY = """
import os, signal, sys, time
import numpy as np
from cohorts.errors import InputError

class Parser:
    def __init__(self, path, refuse=False):
        if refuse:
            raise InputError("is no such thing", where=path, found="a", expected="b", fix="c")
        self.path, self.calls = path, 0
    def double(self, array):
        self.calls += 1
        return {"twice": array * 2, "calls": self.calls, "empty": np.empty((0, 3), np.float32)}
    def pid(self): return os.getpid()
    def modules(self): return sorted(sys.modules)
    def segfault(self):
        import ctypes
        ctypes.string_at(0)
    def abort(self): os.abort()
    def leave(self): os._exit(3)
    def sleep(self, seconds): time.sleep(seconds)
    def spin_with_the_lock(self):
        import ctypes
        ctypes.PyDLL(None).sleep(60)
    def swallow(self): return {"a": np.ones(1 << 34, np.uint8)}
    def garbage(self):
        for fd in range(3, 64):
            try:
                if "pipe" in os.readlink(f"/proc/self/fd/{fd}"): os.write(fd, b"garbage" * 100)
            except OSError: pass
        time.sleep(5)
    def chatter(self):
        os.write(1, b"x" * 300000); os.write(2, b"y" * 300000)
        return {"ok": 1}
    def core_limit(self):
        import resource
        return resource.getrlimit(resource.RLIMIT_CORE)[0]
    def fail(self): raise ValueError("PATIENT-7 has 0/1")
    def _private(self): return 1
"""


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., ParserProcess]]:
    (tmp_path / "factory.py").write_text(FACTORY)
    made: list[ParserProcess] = []

    def one(**arguments: object) -> ParserProcess:
        parser = ParserProcess(
            f"{tmp_path / 'factory.py'}:Parser", {"path": "calls.xyz", **arguments}, file="calls.xyz"
        )
        made.append(parser)
        return parser

    yield one
    for parser in made:
        parser.close()


def refused(parser: ParserProcess, method: str, timeout: float = 10, **arguments: object) -> str:
    with pytest.raises(InputError) as caught:
        parser.call(method, timeout=timeout, what="variants 5 to 9", **arguments)
    message = str(caught.value)
    assert message.startswith("calls.xyz: ")
    assert "\n" not in message
    assert "PATIENT" not in message
    return message


def works(parser: ParserProcess) -> bool:
    answer = parser.call("double", timeout=10, array=np.arange(6, dtype=np.int32).reshape(2, 3))
    return answer["twice"].tolist() == [[0, 2, 4], [6, 8, 10]] and answer["empty"].shape == (0, 3)


def test_arrays_and_values_come_back_as_they_were_sent_and_one_child_serves_all_calls(make) -> None:
    parser = make()
    assert not parser.running
    assert works(parser)
    first = parser.call("pid", timeout=10)["value"]
    assert first != os.getpid()
    assert works(parser)
    assert parser.call("pid", timeout=10)["value"] == first == parser.pid
    large = np.random.default_rng(1).integers(0, 255, 30_000_000, dtype=np.uint8)
    assert np.array_equal(parser.call("double", timeout=30, array=large)["twice"], large * 2)


def test_the_child_imports_the_parser_and_numpy_alone_and_writes_no_core(make) -> None:
    parser = make()
    loaded = parser.call("modules", timeout=10)["value"]
    assert not {"pandas", "numba", "gwas", "scipy"} & set(loaded)
    assert parser.call("core_limit", timeout=10)["value"] == 0


@pytest.mark.parametrize(
    ("method", "named"),
    [("segfault", "SIGSEGV"), ("abort", "SIGABRT"), ("leave", "exit status 3")],
)
def test_a_crash_is_named_with_its_place_and_the_next_call_works(make, method: str, named: str) -> None:
    parser = make()
    assert works(parser)
    message = refused(parser, method)
    assert "the parser crashed" in message
    assert named in message
    assert "variants 5 to 9" in message
    assert works(parser)


def test_a_parser_killed_from_outside_is_named(make) -> None:
    parser = make()
    works(parser)
    os.kill(parser.pid, signal.SIGKILL)
    assert "SIGKILL" in refused(parser, "pid")


@pytest.mark.parametrize("method", ["sleep", "spin_with_the_lock"])
def test_a_hang_ends_at_the_time_allowed(make, method: str) -> None:
    parser = make()
    works(parser)
    pid = parser.pid
    began = time.monotonic()
    message = refused(parser, method, timeout=0.3, **({"seconds": 60} if method == "sleep" else {}))
    assert time.monotonic() - began < 5
    assert "hung" in message
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert works(parser)


def test_memory_is_limited_and_the_child_lives_on(make) -> None:
    parser = make()
    assert "memory" in refused(parser, "swallow")
    assert works(parser)


def test_garbage_for_an_answer_is_refused(make) -> None:
    parser = make()
    assert "makes no sense" in refused(parser, "garbage")
    assert works(parser)


def test_what_a_parser_prints_neither_blocks_nor_mixes_with_answers(make) -> None:
    assert make().call("chatter", timeout=10)["ok"] == 1


def test_the_text_of_an_exception_is_withheld_but_a_refusal_passes(make) -> None:
    parser = make()
    assert "ValueError" in refused(parser, "fail")
    assert works(parser)
    assert "AttributeError" in refused(parser, "_private")
    assert refused(make(refuse=True), "pid") == "calls.xyz: is no such thing; found a, expected b. To fix: c."


def test_copies_by_pickle_start_their_own_child(make) -> None:
    parser = make()
    works(parser)
    copy = pickle.loads(pickle.dumps(parser))  # noqa: S301
    assert not copy.running
    assert works(copy)
    assert copy.pid != parser.pid
    copy.close()


def test_a_dropped_parser_leaves_no_process(make, tmp_path: Path) -> None:
    parser = ParserProcess(f"{tmp_path / 'factory.py'}:Parser", {"path": "a"}, file="a")
    works(parser)
    pid = parser.pid
    del parser
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_child_outlives_the_thread_that_started_it_and_threads_take_turns(make) -> None:
    parser = make()
    starter = threading.Thread(target=works, args=(parser,))
    starter.start()
    starter.join()
    pid = parser.pid
    time.sleep(0.1)
    good: list[bool] = []
    threads = [threading.Thread(target=lambda: good.append(works(parser))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert good == [True] * 8
    assert parser.pid == pid


@pytest.mark.parametrize("hang", ["sleep", "spin_with_the_lock"])
def test_the_child_dies_with_its_parent_even_in_a_hang(make, tmp_path: Path, hang: str) -> None:
    make()
    program = f"""
        import threading, time
        from gwas.genotypes.parser_process import ParserProcess
        parser = ParserProcess({str(tmp_path / "factory.py")!r} + ":Parser", {{"path": "a"}}, file="a")
        print(parser.call("pid", timeout=10)["value"], flush=True)
        extra = {{"seconds": 60}} if {hang!r} == "sleep" else {{}}
        threading.Thread(target=lambda: parser.call({hang!r}, timeout=60, **extra)).start()
        time.sleep(60)
    """
    parent = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    time.sleep(0.3)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert gone(pid, within=5)


def gone(pid: int, *, within: float) -> bool:
    """Whether the process ends; one that nobody reaped is a zombie and counts as ended."""
    until = time.monotonic() + within
    while time.monotonic() < until:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":
            return True
        time.sleep(0.02)
    return False


def test_starting_costs_little_more_than_numpy(make) -> None:
    def seconds(act: Callable[[], object]) -> float:
        began = time.perf_counter()
        act()
        return time.perf_counter() - began

    bare = min(seconds(lambda: subprocess.run([sys.executable, "-c", "import numpy"])) for _ in range(3))
    ours = min(seconds(lambda: make().call("pid", timeout=10)) for _ in range(3))
    assert ours < 2 * bare + 0.1


def test_time_allowed_grows_with_the_work() -> None:
    assert time_allowed(0) == 30
    assert time_allowed(10**8) == 130
