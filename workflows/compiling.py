"""Say once that kernels are being compiled: the first run on a machine would be silent for seconds."""

from __future__ import annotations

import logging
import sys

LOGGER = "careome.kernels"
"""Where :mod:`gwas.kernels.machine_code` says what it compiles."""


class _Once(logging.Handler):
    """Writes one line for the first record, and none for those after it."""

    said = False

    def emit(self, record: logging.LogRecord) -> None:
        if not self.said:
            self.said = True
            sys.stderr.write("careome: compiling for this processor; this takes a while and is done once\n")
            sys.stderr.flush()


def tell_of_compiling() -> None:
    """Have the first kernel that this process compiles told on standard error."""
    logger = logging.getLogger(LOGGER)
    logger.setLevel(logging.INFO)
    # a run's own log is of what it did, not of what the machine lacked
    logger.propagate = False
    logger.addHandler(_Once())
