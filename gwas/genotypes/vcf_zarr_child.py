"""zarr, as the child process runs it; loaded by :mod:`gwas.genotypes.parser_child` alone.

Its decompressors are C that reads what anybody may have damaged.
"""

from __future__ import annotations

from itertools import product
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from cohorts.errors import InputError


class ZarrParser:
    """Reads one VCF-Zarr store.

    Parameters
    ----------
    path
        Its folder.
    """

    def __init__(self, path: str) -> None:
        self.path = Path(path)
        self.group = zarr.open_group(path, mode="r")

    def arrays(self) -> dict[str, Any]:
        """Shape, chunk and type of every array."""
        found = {name: self._array(name) for name in self.group.array_keys()}
        return {
            "arrays": {
                name: [list(array.shape), list(array.chunks), array.dtype.kind]
                for name, array in found.items()
            }
        }

    def text(self, name: str) -> list[str]:
        """A whole array of text, flat."""
        array = self._whole(name, None)
        return [str(entry) for entry in np.asarray(array[...], dtype=object).reshape(-1)]

    def numbers(self, name: str) -> np.ndarray:
        """A whole array of numbers."""
        return np.asarray(self._whole(name, None)[...])

    def rows(self, name: str, start: int, stop: int) -> np.ndarray:
        """Rows ``start`` to ``stop`` of an array of numbers."""
        return np.asarray(self._whole(name, (start, stop))[start:stop])

    def _array(self, name: str) -> Any:
        array = self.group[name]
        if not isinstance(array, zarr.Array):
            raise InputError("has a group where an array should be", where=self.path / name, fix="check it")
        return array

    def _whole(self, name: str, rows: tuple[int, int] | None) -> Any:
        """An array whose files for these rows are all there: zarr would invent what an absent one held."""
        array = self._array(name)
        sizes = array.shards or array.chunks
        grid = [range(ceil(length / size)) for length, size in zip(array.shape, sizes, strict=True)]
        if rows is not None:
            grid[0] = range(rows[0] // sizes[0], ceil(rows[1] / sizes[0]))
        for place in product(*grid):
            if not (self.path / name / array.metadata.encode_chunk_key(place)).is_file():
                raise InputError(
                    "a chunk is missing, and zarr would fill it with a value of its own",
                    where=self.path / name,
                    found=f"no file for chunk {'.'.join(map(str, place))}",
                    fix="copy the store again, or write it with empty chunks included",
                )
        return array
