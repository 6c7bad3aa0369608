"""PLINK 2 text files: PVAR (variants, plain or compressed with Zstandard) and PSAM (samples).

Both are described in the PGEN specification of the PLINK 2 authors
(https://github.com/chrchang/plink-ng/tree/master/pgen_spec). A .bim is read as a .pvar without header, a .fam
as a .psam without header.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from cohorts.errors import InputError
from gwas.genotypes.chromosomes import canonical_chromosomes

QUALITY_KEYS: Final = ("R2", "DR2", "AR2", "INFO", "IMPINFO", "MACH_R2")
"""INFO keys in which imputation programs give the quality of a variant, the first present counts."""
_SEX: Final = {"1": "M", "2": "F", "M": "M", "F": "F", "m": "M", "f": "F"}
_KNOWN: Final = ("FID", "IID", "PAT", "MAT", "SEX")
_OURS: Final = frozenset({"fid", "iid", "father", "mother", "sex"})
_CHUNK: Final = 1 << 20
_LONGEST_HEADER: Final = 1 << 26


@dataclass(frozen=True, eq=False)
class PvarTable:
    """Variants of a PVAR.

    Attributes
    ----------
    variants
        DataFrame, one row an ALT allele: ``chrom pos id ref alt cm``, and ``info`` where there is one.
    records
        int64 (rows,): record of the file that the row is of.
    alleles
        int64 (rows,): the allele it counts, 1 for the first ALT.
    counts
        int64 (records,): alleles of each record, with REF; at least 2.
    """

    variants: pd.DataFrame
    records: npt.NDArray[np.int64]
    alleles: npt.NDArray[np.int64]
    counts: npt.NDArray[np.int64]


class _ZstdStream(io.RawIOBase):
    """Decompressed bytes of a Zstandard file; one that is damaged or cut short is refused, not shortened."""

    def __init__(self, path: Path) -> None:
        import zstandard

        self._path = path
        self._handle = open(path, "rb")  # noqa: SIM115
        self._fault: type[Exception] = zstandard.ZstdError
        self._new = zstandard.ZstdDecompressor(max_window_size=1 << 27).decompressobj
        self._frame = self._new()
        self._begun = False
        self._left = b""
        self.problem: InputError | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._left:
            raw = self._handle.read(_CHUNK // 16)
            if not raw:
                if self._begun:
                    raise self._refuse("is truncated", "its compressed text ends in the middle")
                return 0
            self._left = self._decompress(raw)
        count = min(len(buffer), len(self._left))
        buffer[:count] = self._left[:count]
        self._left = self._left[count:]
        return count

    def _decompress(self, raw: bytes) -> bytes:
        parts = []
        try:
            while raw:
                self._begun = True
                parts.append(self._frame.decompress(raw))
                raw = b""
                if self._frame.eof:
                    raw = self._frame.unused_data
                    self._frame, self._begun = self._new(), False
        except (self._fault, MemoryError) as error:
            raise self._refuse("cannot be decompressed", "damaged Zstandard data") from error
        return b"".join(parts)

    def _refuse(self, problem: str, found: str) -> InputError:
        self.problem = InputError(problem, where=self._path, found=found, fix="copy the file again")
        return self.problem

    def close(self) -> None:
        self._handle.close()
        super().close()


def _open(path: Path) -> IO[bytes]:
    if path.name.endswith(".zst"):
        return io.BufferedReader(_ZstdStream(path), _CHUNK)
    return open(path, "rb")


@dataclass(frozen=True)
class _Head:
    """Header lines of a text file."""

    lines: list[str]
    body: bytes
    """First line after the header."""


def _head(path: Path, handle: IO[bytes]) -> _Head:
    """Read the lines that start with ``#``."""
    lines: list[str] = []
    taken = 0
    while True:
        line = handle.readline(_LONGEST_HEADER)
        taken += len(line)
        if not line.startswith(b"#"):
            return _Head(lines, line)
        if taken >= _LONGEST_HEADER:
            raise InputError("has a header without end", where=path, fix="check that this is the right file")
        try:
            lines.append(line.decode("utf-8").rstrip("\r\n"))
        except UnicodeDecodeError as error:
            raise InputError(
                "is not text in UTF-8",
                where=f"{path}:{len(lines) + 1}",
                fix="check that this is the right file",
            ) from error


class _Rest(io.RawIOBase):
    """A stream whose first line has been read already; remembers how it ended."""

    def __init__(self, first: bytes, handle: IO[bytes]) -> None:
        self._first, self._handle = first, handle
        self.last = b""
        self.binary = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        raw, self._first = (self._first[: len(buffer)], self._first[len(buffer) :])
        raw = raw or self._handle.read(len(buffer))
        buffer[: len(raw)] = raw
        self.last = raw[-1:] or self.last
        self.binary |= b"\0" in raw
        return len(raw)


def _body(
    path: Path, handle: IO[bytes], head: _Head, columns: Sequence[str], wanted: Sequence[str]
) -> pd.DataFrame:
    """Read the wanted columns as text; the row number is the line number less the header's lines."""
    if not head.body:
        raise InputError(
            "has no lines after its header",
            where=path,
            expected="a table",
            fix="check that the file is complete",
        )
    rest = _Rest(head.body, handle)
    tabbed = b"\t" in head.body
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            table = pd.read_csv(
                io.BufferedReader(rest, _CHUNK),
                sep="\t" if tabbed else r"\s+",
                header=None,
                names=list(columns),
                usecols=list(wanted),
                index_col=False,
                dtype=str,
                na_filter=False,
                quoting=3,
                skip_blank_lines=False,
                encoding="utf-8",
            )
    except (pd.errors.ParserError, pd.errors.ParserWarning, pd.errors.EmptyDataError, ValueError) as error:
        source = getattr(handle, "raw", None)
        if isinstance(source, _ZstdStream) and source.problem is not None:
            raise source.problem from error
        raise InputError(
            "cannot be read as a table of text",
            where=path,
            expected=f"columns {' '.join(columns)}",
            fix="check that the file is complete and of this format",
        ) from error
    if rest.binary:
        raise InputError("holds bytes that are not text", where=path, fix="copy the file again")
    if rest.last != b"\n":
        raise InputError(
            "ends in the middle of a line",
            where=path,
            expected="a newline at the end of its last line",
            fix="copy the file again, or end its last line if it is whole",
        )
    empty = np.zeros(len(table), dtype=bool)
    for name in wanted:
        empty |= (table[name].isna() | (table[name] == "")).to_numpy()
    if empty.any():
        row = int(np.flatnonzero(empty)[0])
        raise InputError(
            "a line has too few fields",
            where=f"{path}:{len(head.lines) + row + 1}",
            expected=f"{len(columns)} fields ({' '.join(columns)})",
            fix="correct the line",
        )
    return table


def _columns(path: Path, line: str, first: Sequence[str]) -> list[str]:
    names = line.removeprefix("#").split()
    if not names or names[0] not in first:
        raise InputError(
            "the line before the table does not name its columns",
            where=path,
            expected=" or ".join(f"#{name} ..." for name in first),
            fix="check that this is the right file",
        )
    if len(set(names)) != len(names):
        raise InputError("names a column twice", where=path, fix="correct the line that names the columns")
    return names


def _need(path: Path, columns: Sequence[str], needed: Sequence[str]) -> None:
    missing = [name for name in needed if name not in columns]
    if missing:
        raise InputError(
            "lacks a column", where=path, found="no " + ", ".join(missing), expected=", ".join(needed)
        )


def _unreadable(path: Path, error: OSError) -> InputError:
    return InputError("cannot be read", where=path, found=error.strerror, fix="check its permissions")


def read_psam(path: Path) -> pd.DataFrame:
    """Read a .psam.

    Parameters
    ----------
    path
        With a header line ``#FID IID ...`` or ``#IID ...``, or like a .fam without one.

    Returns
    -------
    DataFrame
        ``fid iid father mother sex``, file order; ``0`` where there is no family or parent, sex ``M``, ``F``
        or None. Then the file's other columns, which are phenotypes, as text; ``PHENO1`` is that of a .fam.

    Raises
    ------
    InputError
        Unreadable, cut short, without a needed column, with one of another meaning, or with a sample that
        occurs twice.
    """
    try:
        with _open(path) as handle:
            head = _head(path, handle)
            if head.lines:
                columns = _columns(path, head.lines[-1], ("FID", "IID"))
            else:
                columns = ["FID", "IID", "PAT", "MAT", "SEX", "PHENO1"][: len(head.body.split())]
            _need(path, columns, ["IID"])
            if taken := sorted(_OURS.intersection(columns)):
                raise InputError(
                    "names a phenotype as a column of samples is named",
                    where=path,
                    found=", ".join(taken),
                    fix="rename it",
                )
            wanted = [name for name in columns if name != "SID"]
            table = _body(path, handle, head, columns, wanted)
    except OSError as error:
        raise _unreadable(path, error) from error
    twice = table["IID"].duplicated(keep="first").to_numpy()
    if twice.any():
        raise InputError(
            "a sample ID occurs twice",
            where=f"{path}:{len(head.lines) + int(np.flatnonzero(twice)[0]) + 1}",
            found=f"{int(twice.sum())} repeated IID(s)",
            expected="each IID once, whatever its FID",
            fix="remove the duplicates or make the IIDs unique",
        )
    unknown = pd.Series("0", index=table.index, dtype=object)
    sex = table.get("SEX", unknown).map(_SEX).astype(object)
    return pd.DataFrame(
        {
            "fid": table.get("FID", unknown),
            "iid": table["IID"],
            "father": table.get("PAT", unknown),
            "mother": table.get("MAT", unknown),
            "sex": sex.where(sex.notna(), None),
            **{name: table[name] for name in wanted if name not in _KNOWN},
        }
    )


def read_pvar(path: Path) -> PvarTable:
    """Read a .pvar or .pvar.zst.

    Parameters
    ----------
    path
        With a header line ``#CHROM POS ID REF ALT ...`` after any ``##`` lines, or like a .bim without one.
        The sites of a VCF are a .pvar too.

    Returns
    -------
    PvarTable
        One row for each ALT allele, file order. ``info`` is the first of :data:`QUALITY_KEYS` that the INFO
        column has, float64, NaN where a record lacks it.

    Raises
    ------
    InputError
        Unreadable, cut short, damaged, without a needed column, or with a position that is not a whole
        number.
    """
    try:
        with _open(path) as handle:
            head = _head(path, handle)
            if head.lines:
                columns = _columns(path, head.lines[-1].partition("\tFORMAT")[0], ("CHROM",))
            elif len(head.body.split()) == 5:
                columns = ["CHROM", "ID", "POS", "ALT", "REF"]
            else:
                columns = ["CHROM", "ID", "CM", "POS", "ALT", "REF"]
            _need(path, columns, ["CHROM", "POS", "ID", "REF", "ALT"])
            wanted = [name for name in ("CHROM", "POS", "ID", "REF", "ALT", "CM", "INFO") if name in columns]
            table = _body(path, handle, head, columns, wanted)
    except OSError as error:
        raise _unreadable(path, error) from error
    return _rows(path, table, len(head.lines))


def _rows(path: Path, table: pd.DataFrame, before: int) -> PvarTable:
    """One row for each ALT."""
    pos = _whole(path, table["POS"], before)
    cm = pd.to_numeric(table.get("CM", pd.Series("0", index=table.index)), errors="coerce").fillna(0.0)
    alt = table["ALT"]
    commas = np.array([text.count(",") for text in alt], dtype=np.int64)
    records = np.repeat(np.arange(len(table), dtype=np.int64), commas + 1)
    first = np.cumsum(commas + 1) - (commas + 1)
    alleles = np.arange(len(records), dtype=np.int64) - np.repeat(first, commas + 1) + 1
    split = alt if not commas.any() else alt.str.split(",").explode()
    if (split == "").any():
        row = int(np.flatnonzero((split == "").to_numpy())[0])
        raise InputError(
            "an ALT allele is empty", where=f"{path}:{before + int(records[row]) + 1}", fix="correct the line"
        )
    variants = pd.DataFrame(
        {
            "chrom": canonical_chromosomes(table["CHROM"]).to_numpy()[records],
            "pos": pos[records],
            "id": table["ID"].to_numpy()[records],
            "ref": table["REF"].to_numpy()[records],
            "alt": split.to_numpy(),
            "cm": cm.to_numpy(dtype=np.float64)[records],
        }
    )
    info = imputation_quality(table["INFO"], records, alleles) if "INFO" in table else None
    if info is not None:
        variants["info"] = info
    return PvarTable(variants, records, alleles, commas + 2)


def _whole(path: Path, text: pd.Series, before: int) -> npt.NDArray[np.int64]:
    numbers = pd.to_numeric(text, errors="coerce")
    bad = (numbers.isna() | (numbers % 1 != 0) | (numbers < 0) | (numbers >= 2**31)).to_numpy()
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise InputError(
            "position is not a whole number",
            where=f"{path}:{before + row + 1}",
            found=repr(text.iloc[row][:20]),
            expected="a number from 0 to 2^31 - 1",
            fix="correct the line",
        )
    return numbers.to_numpy(dtype=np.int64)


def imputation_quality(
    info: pd.Series, records: npt.NDArray[np.int64], alleles: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64] | None:
    """Take the quality of imputation out of INFO fields.

    Parameters
    ----------
    info
        INFO text of each record: ``AF=0.1;R2=0.97``.
    records, alleles
        Record of each row, and its allele (1 for the first ALT): where the field has a value for each ALT,
        the row gets its own.

    Returns
    -------
    ndarray of float64 (rows,) or None
        None where no record has any of :data:`QUALITY_KEYS`; NaN where one lacks it.

    Examples
    --------
    >>> info = pd.Series(["AF=0.1;R2=0.97", "DR2=0.1"])
    >>> imputation_quality(info, np.array([0, 1]), np.array([1, 1])).tolist()
    [0.97, nan]
    """
    sample = ";" + ";".join(info.iloc[:: max(1, len(info) // 1000)])
    for key in QUALITY_KEYS:
        if f";{key}=" not in sample:
            continue
        values = info.str.extract(rf"(?:^|;){re.escape(key)}=([^;]*)", expand=False).to_numpy(dtype=object)
        found = [text.split(",") if isinstance(text, str) else [] for text in values]
        picked = [
            found[record][allele - 1 if len(found[record]) > 1 else 0]
            if len(found[record]) >= (allele if len(found[record]) > 1 else 1)
            else None
            for record, allele in zip(records.tolist(), alleles.tolist(), strict=True)
        ]
        return pd.to_numeric(pd.Series(picked, dtype=object), errors="coerce").to_numpy(dtype=np.float64)
    return None
