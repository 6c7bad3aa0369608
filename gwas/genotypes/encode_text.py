"""The tables that lie beside genotypes: .bim and .fam, .pvar and .psam, .sample, as text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from gwas.genotypes.chromosomes import Ploidy

_SEX: Final = {"M": "1", "F": "2"}
_COLUMNS: Final = frozenset({"fid", "iid", "father", "mother", "sex"})
_MISSING: Final = frozenset({"na", "nan", "-9", "none"})


def haploid(kind: Ploidy, sex: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Who has one copy of a chromosome: men of X, anybody of Y and MT; bool (n,).

    Examples
    --------
    >>> haploid("x", ["M", "F", None]).tolist()
    [True, False, False]
    """
    male = np.asarray(sex, dtype=object) == "M"
    if kind == "diploid":
        return np.zeros(len(male), dtype=bool)
    return np.asarray(male, dtype=bool) if kind == "x" else np.ones(len(male), dtype=bool)


def bim_text(variants: pd.DataFrame) -> str:
    """Lines of a .bim: ALT is its first allele; an allele that is not known is ``0``.

    Examples
    --------
    >>> row = {"chrom": "1", "pos": 5, "id": "a", "ref": "G", "alt": ".", "cm": 0.5}
    >>> bim_text(pd.DataFrame([row]))
    '1\\ta\\t0.5\\t5\\t0\\tG\\n'
    """
    columns: list[Iterable[str]] = [
        variants["chrom"],
        variants["id"],
        [f"{value:.10g}" for value in variants["cm"]],
        variants["pos"].astype(str),
        variants["alt"].replace(".", "0"),
        variants["ref"].replace(".", "0"),
    ]
    return _lines(columns)


def fam_text(samples: pd.DataFrame) -> str:
    """Lines of a .fam; its phenotype is the first that is known of anybody, missing as -9, else -9 for all."""
    columns: list[Iterable[str]] = [samples[name] for name in ("fid", "iid", "father", "mother")]
    known = phenotypes(samples)
    first = next(iter(known.values())) if known else [None] * len(samples)
    return _lines([*columns, _sex(samples, "0"), ["-9" if cell is None else cell for cell in first]])


def phenotypes(samples: pd.DataFrame) -> dict[str, list[str | None]]:
    """Phenotypes of samples as text, None where missing; those that are known of nobody are left out.

    As in PLINK, NA and -9 are missing, NONE where the others are categories, and 0 where the others are 1 and 2.

    Examples
    --------
    >>> frame = pd.DataFrame({"iid": ["a", "b", "c"], "PHENO1": ["2", "0", "1"], "BMI": ["0", "NA", "21.5"]})
    >>> phenotypes(frame)
    {'PHENO1': ['2', None, '1'], 'BMI': ['0', None, '21.5']}
    """
    found: dict[str, list[str | None]] = {}
    for name in samples.columns:
        if name in _COLUMNS:
            continue
        cells = [None if str(cell).lower() in _MISSING else str(cell) for cell in samples[name]]
        if {cell for cell in cells if cell is not None} <= {"0", "1", "2"}:
            cells = [None if cell == "0" else cell for cell in cells]
        if any(cell is not None for cell in cells):
            found[name] = cells
    return found


def pvar_text(variants: pd.DataFrame) -> str:
    """A .pvar with its header line; CM where any is known."""
    columns: list[Iterable[str]] = [variants["chrom"], variants["pos"].astype(str), variants["id"]]
    columns += [variants[name].replace("0", ".") for name in ("ref", "alt")]
    header = "#CHROM\tPOS\tID\tREF\tALT"
    if variants["cm"].any():
        return header + "\tCM\n" + _lines([*columns, [f"{value:.10g}" for value in variants["cm"]]])
    return header + "\n" + _lines(columns)


def psam_text(samples: pd.DataFrame) -> str:
    """A .psam with its header line; family, parents and phenotypes where any is known."""
    columns: dict[str, Iterable[str]] = {"IID": samples["iid"]}
    if (samples["fid"] != "0").any():
        columns = {"FID": samples["fid"], **columns}
    if ((samples["father"] != "0") | (samples["mother"] != "0")).any():
        columns |= {"PAT": samples["father"], "MAT": samples["mother"]}
    columns["SEX"] = _sex(samples, "NA")
    for name, cells in phenotypes(samples).items():
        columns[name] = [_gap(cells) if cell is None else cell for cell in cells]
    return "#" + "\t".join(columns) + "\n" + _lines([*columns.values()])


def sample_text(samples: pd.DataFrame) -> str:
    """An Oxford .sample with sex; family identifiers first, the rate of missing calls as 0."""
    columns: list[Iterable[str]] = [samples["fid"], samples["iid"], ["0"] * len(samples), _sex(samples, "NA")]
    return "ID_1 ID_2 missing sex\n0 0 0 D\n" + _lines(columns, " ")


def _gap(cells: Sequence[str | None]) -> str:
    """What PLINK 2 writes for a missing cell: categories have a name for it."""
    return "NONE" if any(cell is not None and not _is_number(cell) for cell in cells) else "NA"


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _sex(samples: pd.DataFrame, unknown: str) -> list[str]:
    return [_SEX.get(value, unknown) for value in samples["sex"]]


def _lines(columns: Sequence[Iterable[str]], separator: str = "\t") -> str:
    return "".join(f"{separator.join(row)}\n" for row in zip(*columns, strict=True))
