"""A Spark session of our own: started with the Java that works, ended with it, leaving nothing behind."""

from __future__ import annotations

import logging
import os
import socket
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from cohorts.errors import CareomeError, DesignError, InputError
from cohorts.java import INSTALL, find_java

PARTITIONS_PER_CORE = 2
SCRATCH = "spark.careome.scratch"
"""Setting that names a private folder for what goes between Spark and its tasks; it ends with the session."""

LOGGING = """status = off
rootLogger.level = warn
rootLogger.appenderRef.file.ref = file
appender.file.type = File
appender.file.name = file
appender.file.fileName = {log}
appender.file.append = false
appender.file.layout.type = PatternLayout
appender.file.layout.pattern = %d %p %c: %m%n
"""
"""Warnings go to a file and nothing to the terminal: they hold queries and file names."""

ANSWERS_WITHIN = 20.0
"""Seconds in which a cluster must answer; Spark itself asks for a minute and then goes on without it."""

_KNOWN = {
    "Py4JError:": "its Java ended",
    "Py4JNetworkError:": "its Java ended",
    "No space left on device": "no space left on a disk",
    "OutOfMemoryError": "its memory was not enough",
    "ExecutorLostFailure": "a worker was lost",
    "Lost task": "a worker failed",
}


@contextmanager
def start_spark(
    master: str = "local[2]",
    *,
    scratch: str | Path,
    memory: str = "4g",
    settings: Mapping[str, str] | None = None,
) -> Iterator[Any]:
    """Start Spark, and end it and its Java afterwards.

    Parameters
    ----------
    master
        Where Spark runs: ``local[2]`` (two cores of this machine) or a cluster's address.
    scratch
        An existing folder; Spark's own files go below it, for their owner alone, and are removed at the end. On a
        cluster it is one that every machine sees under the same path.
    memory
        Of the driver's Java, and of each executor's on a cluster.
    settings
        More of Spark's settings, which win over ours.

    Yields
    ------
    pyspark.sql.SparkSession

    Raises
    ------
    InputError
        Spark, a Java for it, or the cluster is not there, or it failed while it was at work.
    DesignError
        A Spark session is running in this process already.

    Examples
    --------
    >>> with start_spark(scratch="run/scratch") as spark:  # doctest: +SKIP
    ...     hub = SparkHub.read(spark, "hub")
    """
    home = find_java()
    refuse_second_session()
    refuse_silent_cluster(master)
    with tempfile.TemporaryDirectory(prefix="spark-", dir=scratch, ignore_cleanup_errors=True) as folder:
        chosen = {**_settings(master, memory, Path(folder)), **(settings or {})}
        try:
            session = _session(master, home, chosen)
        except Exception as error:
            end_java()
            raise InputError(
                "Spark could not be started",
                where=master,
                found=type(error).__name__,
                fix="check the address and the memory",
            ) from error
        try:
            with in_one_line(master):
                yield session
        finally:
            # where Java is gone already there is nothing to stop
            with suppress(Exception):
                session.stop()
            end_java()


@contextmanager
def in_one_line(master: str) -> Iterator[None]:
    """Turn what Spark raises into one line; its own messages hold queries, and with them values.

    Raises
    ------
    InputError
        Spark, or a task of it, failed.
    """
    try:
        with _unsaid():
            yield
    except CareomeError:
        raise
    except Exception as error:
        if not _is_sparks(error):
            raise
        said = f"{type(error).__name__}: {_text(error)}"
        found = next((known for mark, known in _KNOWN.items() if mark in said), type(error).__name__)
        raise InputError(
            "Spark stopped before it was done",
            where=master,
            found=found,
            fix="look at the memory, disk and log of Spark's workers, then give the same command again",
        ) from None


@contextmanager
def _unsaid() -> Iterator[None]:
    """Keep py4j from logging tracebacks: what went wrong is raised."""

    def ours(record: logging.LogRecord) -> bool:
        return "py4j" not in record.pathname

    root = logging.getLogger()
    root.addFilter(ours)
    try:
        yield
    finally:
        root.removeFilter(ours)


def _is_sparks(error: BaseException | None) -> bool:
    """Whether an error, or what caused it, is Spark's or of the way to its Java."""
    while error is not None:
        if type(error).__module__.partition(".")[0] in ("py4j", "pyspark"):
            return True
        error = error.__cause__
    return False


def _text(error: BaseException) -> str:
    """What an error says; one of Java's asks Java, which may be gone."""
    try:
        return str(error)
    except Exception:
        return ""


def refuse_second_session() -> None:
    """Raise where Spark is not installed (InputError) or runs in this process already (DesignError)."""
    try:
        import pyspark
    except ImportError as error:
        raise InputError("Spark is not installed", found=f"no package {error.name}", fix=INSTALL) from error
    if pyspark.SparkContext._active_spark_context is not None:
        raise DesignError("a Spark session is already running in this process", fix="stop it first")


def refuse_silent_cluster(master: str) -> None:
    """Raise InputError where no machine of ``spark://HOST:PORT,HOST:PORT`` takes a connection."""
    if not master.startswith("spark://"):
        return
    for place in master.removeprefix("spark://").split(","):
        host, _, port = place.rpartition(":")
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWERS_WITHIN).close()
        except (OSError, ValueError):
            continue
        return
    raise InputError(
        "the Spark cluster does not answer",
        where=master,
        expected="spark://HOST:PORT of a running master",
        fix="start it, or check the address and the firewall",
    )


def _settings(master: str, memory: str, folder: Path) -> dict[str, str]:
    for name in ("local", "java", "kept"):
        (folder / name).mkdir(mode=0o700)
    log4j = folder / "log4j2.properties"
    log4j.write_text(LOGGING.format(log=folder / "warnings.log"))
    settings = {
        "spark.driver.memory": memory,
        "spark.driver.maxResultSize": "0",
        "spark.driver.extraJavaOptions": f'"-Djava.io.tmpdir={folder / "java"}" -XX:-UsePerfData '
        f'"-Dlog4j2.configurationFile={log4j}"',
        SCRATCH: str(folder / "kept"),
        "spark.local.dir": str(folder / "local"),
        "spark.sql.warehouse.dir": f"file://{folder / 'warehouse'}",
        # records are small as Parquet and large as rows
        "spark.sql.files.maxPartitionBytes": "32m",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
    }
    if not master.startswith("local"):
        return {**settings, "spark.executor.memory": memory}
    parts = str(PARTITIONS_PER_CORE * len(os.sched_getaffinity(0)))
    return {
        **settings,
        # a machine whose own name does not resolve, or that sits behind a firewall, still reaches itself
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.sql.shuffle.partitions": parts,
    }


def _session(master: str, home: Path, settings: Mapping[str, str]) -> Any:
    from pyspark.sql import SparkSession

    before = {name: os.environ.get(name) for name in ("JAVA_HOME", "PYSPARK_PYTHON")}
    os.environ |= {"JAVA_HOME": str(home), "PYSPARK_PYTHON": sys.executable}
    try:
        builder = SparkSession.builder.master(master).appName("careome")
        for name, value in settings.items():
            builder = builder.config(name, value)
        return builder.getOrCreate()
    finally:
        for name, earlier in before.items():
            if earlier is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = earlier


def end_java() -> None:
    """End Spark's Java, so that the next start, Hail's among them, has one with settings of its own."""
    from pyspark import SparkContext
    from pyspark.sql import SparkSession, SQLContext

    gateway = SparkContext._gateway
    if gateway is None:
        return
    gateway.shutdown()
    process = getattr(gateway, "proc", None)
    if process is not None:
        process.stdin.close()
        process.wait(timeout=60)
    # where Java was lost, Spark's own stop comes to none of this
    SparkContext._gateway = SparkContext._jvm = SparkContext._active_spark_context = None
    SparkSession._instantiatedSession = SparkSession._activeSession = SQLContext._instantiatedContext = None
