"""PLINK 2's samples: PSAM, or a .fam, which is read as a PSAM without header.

Described in the PGEN specification of the PLINK 2 authors
(https://github.com/chrchang/plink-ng/tree/master/pgen_spec).
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from cohorts.errors import InputError
from gwas.genotypes.columns import Columns
from gwas.genotypes.plink_text import (
    column_names,
    need_columns,
    open_text,
    read_columns,
    read_head,
    unreadable,
)
from gwas.kernels.text import text_of_choices

_SEX: Final = {"1": "M", "2": "F", "M": "M", "F": "F", "m": "M", "f": "F"}
_KNOWN: Final = ("FID", "IID", "PAT", "MAT", "SEX")
_OURS: Final = frozenset({"fid", "iid", "father", "mother", "sex"})


def read_psam(path: Path) -> Columns:
    """Read a .psam.

    Parameters
    ----------
    path
        With a header line ``#FID IID ...`` or ``#IID ...``, or like a .fam without one.

    Returns
    -------
    Columns
        ``fid iid father mother sex``, file order; ``0`` where there is no family or parent, sex ``M``, ``F``
        or None. Then the file's other columns, which are phenotypes, as text; ``PHENO1`` is that of a .fam.

    Raises
    ------
    InputError
        Unreadable, cut short, without a needed column, with one of another meaning, or with a sample that
        occurs twice.
    """
    try:
        with open_text(path) as handle:
            head = read_head(path, handle)
            if head.lines:
                columns = column_names(path, head.lines[-1], ("FID", "IID"))
            else:
                columns = ["FID", "IID", "PAT", "MAT", "SEX", "PHENO1"][: len(head.body.split())]
            need_columns(path, columns, ["IID"])
            if taken := sorted(_OURS.intersection(columns)):
                raise InputError(
                    "names a phenotype as a column of samples is named",
                    where=path,
                    found=", ".join(taken),
                    fix="rename it",
                )
            wanted = [name for name in columns if name != "SID"]
            table = read_columns(path, handle, head, columns, wanted)
    except OSError as error:
        raise unreadable(path, error) from error
    names = table["IID"].strings()
    repeated = len(names) - len(set(names))
    if repeated:
        first = {name: row for row, name in reversed(list(enumerate(names)))}
        row = next(row for row, name in enumerate(names) if first[name] != row)
        raise InputError(
            "a sample ID occurs twice",
            where=f"{path}:{len(head.lines) + row + 1}",
            found=f"{repeated} repeated IID(s)",
            expected="each IID once, whatever its FID",
            fix="remove the duplicates or make the IIDs unique",
        )
    unknown = text_of_choices(["0"], np.zeros(len(names), dtype=np.int64))
    sex = [_SEX.get(word) for word in table.get("SEX", unknown).strings()]
    return Columns(
        {
            "fid": table.get("FID", unknown),
            "iid": table["IID"],
            "father": table.get("PAT", unknown),
            "mother": table.get("MAT", unknown),
            "sex": np.array(sex, dtype=object),
            **{name: table[name] for name in wanted if name not in _KNOWN},
        }
    )
