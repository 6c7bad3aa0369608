"""The Spark engine: the local engine's kernels inside Spark tasks, in a session that Hail shares.

A task gets a range of blocks, reads that range of the genotype file itself and runs
:class:`gwas.engines.local.LocalEngine` on it with one thread (:mod:`gwas.engines.spark_tasks`). Blocks, codes
and counts are the local engine's exactly, and numbers to rounding (measured: statistics within 4e-15): tasks
fit null models with one BLAS thread. With one BLAS thread in the driver too, they are the same to the last bit.

Genotypes never pass through the JVM. A Hail table handed to a Python function by way of ``to_spark()`` hangs
for ever (measured), and rows through Parquet are slow; a range read from shared storage is neither. A
MatrixTable is therefore exported once (``hl.export_plink``) and takes the same road.

This is the only module that imports hail, and it does so when a session starts.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import threading
import warnings
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any, Final

from cohorts.errors import CareomeError, InputError, OutputError
from cohorts.java import INSTALL, find_java
from cohorts.spark import LOGGING, end_java, in_one_line, refuse_second_session, refuse_silent_cluster
from gwas.design import Design
from gwas.engines.protocol import BlockTests
from gwas.engines.spark_tasks import Task, anonymous, portable, ranges, release, run_task
from gwas.genotypes.descriptor import Genotypes
from gwas.models.phenome import AssociationOptions

WAVES: Final = 2
"""Spark jobs in flight: one fills the cores that the last tasks of the other leave idle."""


class HailEngine:
    """Runs association on a Spark cluster, or in Spark on this machine, and starts Hail beside it.

    Use it in a ``with`` statement: that starts Java once, and leaving it ends Java and removes what Spark and
    Hail wrote. One session can run in a process at a time.

    Parameters
    ----------
    master
        ``local[2]`` (two cores of this machine) or a cluster's address, ``spark://host:7077``.
    scratch
        An existing folder for temporary files, which are removed at the end; on a cluster one that every
        machine sees under the same path.
    log
        File for the warnings of Spark and Hail; by default a temporary one.
    memory
        Of the driver's Java, and on a cluster of each executor's. The kernels' memory is outside it.
    blocks_per_task
        Blocks that a task tests with one preparation of the traits. It does not change an answer.
    settings
        More Spark settings, which win over ours.

    Notes
    -----
    Every machine needs the genotype file under the same path, this release of careome, and Python where this
    one is (``sys.executable``). Sample IDs stay on the driver.

    Examples
    --------
    >>> from gwas.association import associate
    >>> with HailEngine(scratch=Path("run/scratch")) as engine:  # doctest: +SKIP
    ...     results = associate(genotypes, design, engine=engine)
    """

    name = "spark"

    def __init__(
        self,
        *,
        master: str = "local[2]",
        scratch: Path,
        log: Path | None = None,
        memory: str = "2g",
        blocks_per_task: int = 4,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        if blocks_per_task < 1:
            raise ValueError("a task needs at least one block")
        self.master = master
        self.memory = memory
        self.blocks_per_task = blocks_per_task
        self._scratch = Path(scratch).resolve()
        self._log = None if log is None else Path(log).resolve()
        self._settings = dict(settings or {})
        self._session: _Session | None = None

    def __enter__(self) -> HailEngine:
        if not self._scratch.is_dir():
            raise OutputError(
                "is not a folder",
                where=self._scratch,
                expected="an existing folder for temporary files",
                fix="make it",
            )
        self._session = _Session.start(
            self.master, self.memory, scratch=self._scratch, log=self._log, settings=self._settings
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End Java and remove temporary files; closing twice does nothing."""
        session, self._session = self._session, None
        if session is not None:
            session.stop()

    @property
    def hail(self) -> Any:
        """The package hail, its session running."""
        return self._running.hail

    @property
    def folder(self) -> Path:
        """Folder for temporary files, removed when the engine closes."""
        return Path(self._running.folder.name)

    @property
    def _running(self) -> _Session:
        if self._session is None:
            raise RuntimeError("the engine is not running: use it in a with statement")
        return self._session

    def associate(
        self, genotypes: Genotypes, design: Design, options: AssociationOptions, *, start_block: int = 0
    ) -> Iterator[BlockTests]:
        """See :class:`gwas.engines.protocol.Engine`.

        Raises
        ------
        InputError
            If a machine cannot read the file or runs another release, or Spark failed.
        """
        context = self._running.hail.spark_context()
        shared = context.broadcast((portable(genotypes), anonymous(design), options, release()))
        group = f"careome {id(shared)}"
        run = partial(run_task, shared)

        def wave(tasks: list[Task]) -> list[list[BlockTests] | CareomeError]:
            context.setJobGroup(group, "association", interruptOnCancel=True)
            found: list[list[BlockTests] | CareomeError] = (
                context.parallelize(tasks, len(tasks)).map(run).collect()
            )
            return found

        tasks = ranges(genotypes, options.block_size, start_block, self.blocks_per_task)
        flying: deque[Future[list[list[BlockTests] | CareomeError]]] = deque()
        pool = ThreadPoolExecutor(WAVES, thread_name_prefix="spark-wave")
        with in_one_line(self.master):
            try:
                while True:
                    # asked anew for every wave: executors of a cluster register one by one
                    while len(flying) < WAVES and (some := list(islice(tasks, context.defaultParallelism))):
                        flying.append(pool.submit(wave, some))
                    if not flying:
                        return
                    for outcome in flying.popleft().result():
                        if isinstance(outcome, CareomeError):
                            raise outcome
                        yield from outcome
            finally:
                if flying:
                    context.cancelJobGroup(group)
                pool.shutdown(cancel_futures=True)
                shared.destroy()


@dataclass(frozen=True, eq=False)
class _Session:
    """A running Java with Spark and Hail in it."""

    hail: ModuleType
    folder: tempfile.TemporaryDirectory[str]
    java: Any

    @classmethod
    def start(
        cls, master: str, memory: str, *, scratch: Path, log: Path | None, settings: Mapping[str, str]
    ) -> _Session:
        home = find_java()
        hail = _import_hail()
        refuse_silent_cluster(master)
        folder = tempfile.TemporaryDirectory(prefix="spark-", dir=scratch, ignore_cleanup_errors=True)
        try:
            path = Path(folder.name)
            conf = {**_settings(path, master, memory, log or path / "warnings.log"), **settings}
            with _as_spark_expects(JAVA_HOME=str(home), PYSPARK_PYTHON=sys.executable):
                hail.init(
                    backend="spark",
                    master=master,
                    app_name="careome",
                    quiet=True,
                    skip_logging_configuration=True,
                    log=str(path / "hail.log"),
                    tmp_dir=f"file://{path / 'hail'}",
                    local_tmpdir=f"file://{path / 'local'}",
                    spark_conf=conf,
                )
        except Exception as error:
            end_java()
            folder.cleanup()
            raise InputError(
                "Spark could not be started",
                where=master,
                found=type(error).__name__,
                fix="check the address and the memory; the log given to the engine says more",
            ) from error
        return cls(hail, folder, hail.spark_context()._gateway.proc)

    def stop(self) -> None:
        """Stop Spark, wait until Java is gone and remove its files."""
        try:
            # where Java is gone already there is nothing to stop
            with suppress(Exception):
                self.hail.stop()
            # Java ends when its standard input does, and removes its own files first
            self.java.stdin.close()
            self.java.wait(timeout=60)
        finally:
            self.folder.cleanup()


def _settings(path: Path, master: str, memory: str, log: Path) -> dict[str, str]:
    for name in ("hail", "local", "java"):
        (path / name).mkdir()
    logging = path / "log4j2.properties"
    logging.write_text(LOGGING.format(log=log))
    settings = {
        "spark.driver.memory": memory,
        "spark.driver.maxResultSize": "0",
        "spark.driver.extraJavaOptions": f'"-Djava.io.tmpdir={path / "java"}" -XX:-UsePerfData '
        f'"-Dlog4j2.configurationFile={logging}"',
        "spark.sql.warehouse.dir": f"file://{path / 'warehouse'}",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
    }
    if master.startswith("local"):
        # a machine whose own name does not resolve, or that sits behind a firewall, still reaches itself
        return {**settings, "spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}
    return {**settings, "spark.executor.memory": memory}


def _import_hail() -> ModuleType:
    try:
        import hail
    except ImportError as error:
        raise InputError(
            "the Spark engine is not installed", found=f"no package {error.name}", fix=INSTALL
        ) from error
    refuse_second_session()
    module: ModuleType = hail
    return module


@contextmanager
def _as_spark_expects(**variables: str) -> Iterator[None]:
    """Environment variables for the start alone; Spark's hand is taken off Ctrl-C, and Hail warns in vain."""
    before = {name: os.environ.get(name) for name in variables}
    main = threading.current_thread() is threading.main_thread()
    interrupt = signal.getsignal(signal.SIGINT)
    os.environ.update(variables)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Hail was built and tested with Java 11", module="hail")
            yield
    finally:
        if main:
            signal.signal(signal.SIGINT, interrupt)
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
