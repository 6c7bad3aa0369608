"""The records of a VCF or BCF file: where each lies, and the table of variants they make."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from cohorts.errors import InputError
from gwas.genotypes.chromosomes import canonical_chromosome
from gwas.genotypes.options import Region

LAST_POSITION: Final = 2**31 - 1
NO_ALT: Final = frozenset({"", ".", "<missing>", "<MISSING>"})
_BASES: Final = frozenset("acgtnACGTN")


@dataclass(frozen=True)
class Records:
    """Where the records are and which row of the table is which allele of which record.

    Attributes
    ----------
    start, size
        int64 (records): place in the content of the file, without compression.
    layout
        int32 (records): row of ``layouts``.
    layouts
        int32 (k, 4): place of GT, DS and GP among the fields of a sample (-1: not there), and the number
        of fields.
    n_alts
        int32 (records): ALT alleles.
    record, allele
        int64 and int32 (rows of the table): the record, and which ALT allele (from 1).
    chrom, pos
        Name of each record in messages: position in ``chroms``, and base.
    """

    start: npt.NDArray[np.int64]
    size: npt.NDArray[np.int64]
    layout: npt.NDArray[np.int32]
    layouts: npt.NDArray[np.int32]
    n_alts: npt.NDArray[np.int32]
    record: npt.NDArray[np.int64]
    allele: npt.NDArray[np.int32]
    chrom: npt.NDArray[np.int32]
    pos: npt.NDArray[np.int64]
    chroms: tuple[str, ...]

    def name(self, record: int) -> str:
        """How a message calls a record."""
        return f"record {self.chroms[self.chrom[record]]}:{self.pos[record]}"

    def has(self, column: int) -> bool:
        """Whether any record has the field in a column of ``layouts``."""
        return bool((self.layouts[np.unique(self.layout), column] >= 0).any())


@dataclass
class RecordTable:
    """Collects records in file order."""

    path: Path
    regions: Sequence[Region] | None
    fields: frozenset[str]
    _chroms: dict[str, int] = field(default_factory=dict)
    _wanted: dict[str, list[Region]] = field(default_factory=dict)
    _layouts: dict[tuple[str, ...], int] = field(default_factory=dict)
    _records: list[tuple[int, int, int, int, int, int]] = field(default_factory=list)
    _rows: list[tuple[str, int, str, str, str, float]] = field(default_factory=list)
    _alleles: list[tuple[int, int]] = field(default_factory=list)

    def wants(self, chrom: str, pos: int) -> bool:
        """Whether a record lies in the chosen regions; ``chrom`` as the file spells it."""
        if self.regions is None:
            return True
        if chrom not in self._wanted:
            name = canonical_chromosome(chrom)
            self._wanted[chrom] = [region for region in self.regions if region.chrom == name]
        return any(
            region.start <= pos <= (LAST_POSITION if region.stop is None else region.stop)
            for region in self._wanted[chrom]
        )

    def add(
        self,
        *,
        place: tuple[int, int],
        chrom: str,
        pos: int,
        name: str,
        ref: str,
        alts: Sequence[str],
        keys: tuple[str, ...],
        quality: Sequence[float],
    ) -> None:
        """Add a record: one row for each ALT allele, or one with ALT ``.``."""
        alts = [] if len(alts) == 1 and alts[0] in NO_ALT else alts
        chrom_at = self._chroms.setdefault(chrom, len(self._chroms))
        layout = self._layouts.setdefault(keys, len(self._layouts))
        number = len(self._records)
        self._records.append((*place, layout, len(alts), chrom_at, pos))
        ref = allele_name(ref)
        for index, alt in enumerate(alts or ["."]):
            of_allele = quality[index if len(quality) > 1 else 0] if quality else np.nan
            self._rows.append((canonical_chromosome(chrom), pos, name, ref, allele_name(alt), of_allele))
            self._alleles.append((number, index + 1))

    def seen(self) -> set[str]:
        """Every field that a record's FORMAT names."""
        return {key for keys in self._layouts for key in keys}

    def finish(self, *, quality: bool) -> tuple[Records, pd.DataFrame]:
        """The records and the table of variants.

        Raises
        ------
        InputError
            If there is none although no region was chosen.
        """
        if not self._records and self.regions is None:
            raise InputError(
                "has no records", where=self.path, found="a header alone", fix="check that the file is whole"
            )
        columns = np.array(self._records, dtype=np.int64).reshape(-1, 6)
        rows = np.array(self._alleles, dtype=np.int64).reshape(-1, 2)
        layouts = [
            [keys.index(name) if name in keys and name in self.fields else -1 for name in ("GT", "DS", "GP")]
            + [len(keys)]
            for keys in self._layouts
        ]
        records = Records(
            start=columns[:, 0].copy(),
            size=columns[:, 1].copy(),
            layout=columns[:, 2].astype(np.int32),
            layouts=np.array(layouts, dtype=np.int32).reshape(-1, 4),
            n_alts=columns[:, 3].astype(np.int32),
            record=rows[:, 0].copy(),
            allele=rows[:, 1].astype(np.int32),
            chrom=columns[:, 4].astype(np.int32),
            pos=columns[:, 5].copy(),
            chroms=tuple(self._chroms),
        )
        return records, self._frame(quality)

    def _frame(self, quality: bool) -> pd.DataFrame:
        columns: list[Any] = list(zip(*self._rows, strict=True)) or [()] * 6
        frame = pd.DataFrame(
            {
                "chrom": pd.Series(columns[0], dtype=object),
                "pos": np.array(columns[1], dtype=np.int64),
                "id": pd.Series(columns[2], dtype=object),
                "ref": pd.Series(columns[3], dtype=object),
                "alt": pd.Series(columns[4], dtype=object),
                "cm": np.zeros(len(self._rows)),
            }
        )
        if quality:
            frame["info"] = np.array(columns[5], dtype=np.float64)
        return frame


def allele_name(text: str) -> str:
    """Bases in capitals: the specification calls both cases the same."""
    return text.upper() if _BASES.issuperset(text) else text
