"""A folder of kept answers, so that a derivation asks again only what changed (:mod:`phenotypes.cache`)."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from cohorts.errors import InputError
from workflows.outputs import atomic_path, private_folder


class AnswerFolder:
    """A :class:`phenotypes.cache.AnswerStore` of Parquet files, one an answer.

    It holds pseudonymous people, as the results of a run do, and is for the owner's eyes alone; removing it, or
    any of its files, costs time and nothing else.

    Parameters
    ----------
    folder
        Made where it is not there.

    Examples
    --------
    >>> derive(hub, people, index_date=on, phenotypes=rules, cache=AnswerFolder("answers"))  # doctest: +SKIP
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def get(self, key: str, /) -> pa.Table | None:
        """The table kept under a key, if there is one.

        Raises
        ------
        InputError
            Where its file is damaged.
        """
        path = self._path(key)
        if not path.exists():
            return None
        try:
            return pq.read_table(path)
        except (OSError, pa.ArrowException) as error:
            raise InputError(
                "a kept answer cannot be read",
                where=path,
                found=type(error).__name__,
                fix="remove the file: the answer will be made again",
            ) from None

    def __setitem__(self, key: str, answer: pa.Table, /) -> None:
        private_folder(self.folder)
        with atomic_path(self._path(key)) as temporary:
            pq.write_table(answer, temporary, compression="zstd")

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.parquet"
