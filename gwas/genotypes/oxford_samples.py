"""Oxford .sample files: who the samples of a BGEN are.

The format is described at https://www.chg.ox.ac.uk/~gav/qctool/documentation/sample_file_formats.html: a
line of names, a line of types (``0`` for the identifiers and ``missing``, ``D``, ``B``, ``C`` or ``P`` for the
others), and a line for each sample. The first column, or the first two of older files, identify the sample.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pandas as pd

from cohorts.errors import InputError

_TYPES: Final = frozenset("0DBCP")
_SEXES: Final = {
    **dict.fromkeys(("1", "m", "male"), "M"),
    **dict.fromkeys(("2", "f", "female"), "F"),
    **dict.fromkeys(("0", "na", "-9", "."), None),
}


def read_sample_file(path: Path) -> pd.DataFrame:
    """Read a .sample file: columns ``fid iid father mother sex`` (``M``, ``F`` or None), file order.

    ``ID_1`` is the family and ``ID_2`` the sample, as in PLINK 2; where there is one identifier the family
    is ``0``.

    Raises
    ------
    InputError
        Unreadable, without the two lines at its head, a line with other than its number of fields, or a sex
        that is not known.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "study.sample"
    ...     _ = file.write_text("ID_1 ID_2 missing sex\\n0 0 0 D\\nf1 p1 0 2\\n")
    ...     read_sample_file(file)
      fid iid father mother sex
    0  f1  p1      0      0   F
    """
    names, rows = _fields(path)
    paired = len(names) > 1 and names[1].lower() != "missing" and rows[0][1] == "0"
    body = rows[1:]
    iid = [row[1 if paired else 0] for row in body]
    sexes: list[str | None] = [None] * len(body)
    columns = [at for at, name in enumerate(names) if name.lower() == "sex"]
    if columns:
        for number, row in enumerate(body):
            code = row[columns[0]].lower()
            if code not in _SEXES:
                raise InputError(
                    "a sex cannot be understood",
                    where=f"{path}:{number + 3}",
                    expected="1 (male), 2 (female), 0 or NA",
                    fix="correct the line",
                )
            sexes[number] = _SEXES[code]
    return sample_frame([row[0] for row in body] if paired else ["0"] * len(body), iid, sexes)


def sample_frame(
    fid: Sequence[str], iid: Sequence[str], sex: Sequence[str | None] | None = None
) -> pd.DataFrame:
    """Make the table of samples of a :class:`~gwas.genotypes.descriptor.Genotypes`.

    Examples
    --------
    >>> sample_frame(["0"], ["a"])
      fid iid father mother   sex
    0   0   a      0      0  None
    """
    return pd.DataFrame(
        {
            "fid": fid,
            "iid": iid,
            "father": ["0"] * len(iid),
            "mother": ["0"] * len(iid),
            "sex": pd.Series([None] * len(iid) if sex is None else list(sex), dtype=object),
        },
        dtype=object,
    )


def _fields(path: Path) -> tuple[list[str], list[list[str]]]:
    """Names, then the line of types and the lines of samples."""
    if not path.is_file():
        raise InputError("file not found", where=path, expected="a .sample file", fix="check the path")
    try:
        lines = path.read_text(encoding="utf-8").rstrip().split("\n")
    except UnicodeDecodeError as error:
        raise InputError(
            "is not text in UTF-8", where=path, fix="check that this is the right file"
        ) from error
    except OSError as error:
        raise InputError(
            "cannot be read", where=path, found=error.strerror, fix="check its permissions"
        ) from error
    rows = [line.split() for line in lines]
    good = len(rows) > 1 and bool(rows[1]) and rows[1][0] == "0" and _TYPES.issuperset(rows[1])
    if not good:
        raise InputError(
            "is not an Oxford .sample file",
            where=path,
            expected="a line of names, a line of types (0 first, then 0, D, B, C or P), a line a sample",
            fix="add the line of types",
        )
    for number, row in enumerate(rows, start=1):
        if len(row) != len(rows[0]):
            raise InputError(
                "a line cannot be understood",
                where=f"{path}:{number}",
                found=f"{len(row)} fields",
                expected=f"{len(rows[0])} fields",
                fix="correct the line",
            )
    return rows[0], rows[1:]
