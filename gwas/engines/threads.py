"""How many threads a function was asked to use."""

from __future__ import annotations

from cohorts.errors import InputError


def checked_threads(threads: int) -> int:
    """The number, if it is one.

    Raises
    ------
    InputError
        If it is not a whole number of at least 1.

    Examples
    --------
    >>> checked_threads(2)
    2
    """
    if isinstance(threads, bool) or not hasattr(threads, "__index__") or threads < 1:
        raise InputError("no such number of threads", found=repr(threads)[:40], expected="at least 1")
    return int(threads)
