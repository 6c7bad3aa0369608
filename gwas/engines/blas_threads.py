"""Keep the BLAS that compiled kernels call to one thread while they run on many.

A kernel multiplies small tiles in each of its own threads. If every such product starts threads of its own,
they fight: the pass over the genotypes was measured twelve times slower. numba's products go to the OpenBLAS that
scipy brings along, which has its own setting, apart from numpy's; it is put back afterwards.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Literal


@contextmanager
def one_blas_thread(of: Literal["scipy", "numpy"] = "scipy") -> Iterator[None]:
    """Run with scipy's or numpy's OpenBLAS on one thread; does nothing where another BLAS is used."""
    found = _controls(of)
    if found is None:
        yield
        return
    get, put = found
    before = get()
    put(1)
    try:
        yield
    finally:
        put(before)


def _controls(of: str) -> tuple[Callable[[], int], Callable[[int], None]] | None:
    spec = find_spec(of)
    if spec is None or spec.origin is None:
        return None
    package = Path(spec.origin).parent
    libraries = [*package.parent.glob(f"{of}.libs/*openblas*"), *package.glob(".dylibs/*openblas*")]
    for path in libraries:
        library = ctypes.CDLL(str(path))
        for ending in ("", "64_"):
            get = getattr(library, f"scipy_openblas_get_num_threads{ending}", None)
            put = getattr(library, f"scipy_openblas_set_num_threads{ending}", None)
            if get is not None and put is not None:
                return get, put
    return None
