"""A genotype file as a lazy value: who, which variants, and blocks of packed calls on demand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from cohorts.errors import InputError
from gwas.genotypes.columns import FrameField, array_of, taken, text_of
from gwas.kernels import packed as kernels
from gwas.kernels.text import TextColumn

Index = npt.NDArray[np.int64]
Packed = npt.NDArray[np.uint8]
Dosages = npt.NDArray[np.float32]
Values = Literal["hard-call", "dosage"]
_T = TypeVar("_T")

HARD_CALL_THRESHOLD: Final = 0.1
"""Largest distance of a dosage from a whole number that still makes a hard call (PLINK 2's default)."""


class Reader(Protocol):
    """What a format must offer: calls of the asked variants, for every sample of the file.

    A reader is a picklable value (a path, sizes and perhaps positions); it opens the file when it is asked
    to read, so that a descriptor can be sent to another process.
    """

    @property
    def path(self) -> Path:
        """The file."""
        ...

    @property
    def n_samples(self) -> int:
        """Samples in the file."""
        ...

    @property
    def has_dosages(self) -> bool:
        """Whether the file holds more than hard calls."""
        ...

    @property
    def coding(self) -> str:
        """The format and what its ALT is, for logs: ``PLINK 1 BED, ALT = first allele of the .bim``."""
        ...

    def read(self, variants: Index) -> Packed:
        """Read ``variants`` (rows of the opened table) as uint8 (m, ceil(n_samples / 4)), PLINK 1 codes."""
        ...

    def read_dosages(self, variants: Index) -> Dosages:
        """Read ``variants`` as float32 (m, n_samples): copies of ALT from 0 to 2, NaN where missing."""
        ...


@dataclass(frozen=True, eq=False)
class Block:
    """Some consecutive variants of a :class:`Genotypes`, as packed calls.

    Attributes
    ----------
    start, stop
        Rows of ``Genotypes.variants`` that the block covers (half-open).
    packed
        uint8 (stop - start, ceil(n_file / 4)): PLINK 1 two-bit codes of all samples of the file.
    n_file
        Number of samples in the file.
    sample_index
        int64 positions in the file of the selected samples, or None where all are selected in order.
    """

    start: int
    stop: int
    packed: Packed
    n_file: int
    sample_index: Index | None

    @property
    def n_variants(self) -> int:
        """Number of variants in the block."""
        return self.stop - self.start

    @property
    def n_samples(self) -> int:
        """Number of selected samples."""
        return self.n_file if self.sample_index is None else len(self.sample_index)

    def dosages(self) -> npt.NDArray[np.int8]:
        """Copies of ALT, int8 (variants, selected samples): 0, 1, 2; missing is -9.

        Males on X are 0 or 2, as the file has them.
        """
        return kernels.decode(self.packed, self.n_file, self.sample_index)

    def packed_selected(self) -> Packed:
        """Two-bit codes of the selected samples alone, in their order: uint8 (variants, ceil(n / 4)).

        Padding bits of the last byte are zero.
        """
        if self.sample_index is None:
            return self.packed
        return kernels.repack(self.packed, self.sample_index)


@dataclass(frozen=True, eq=False)
class DosageBlock:
    """Some consecutive variants of a :class:`Genotypes`, as dosages of the selected samples.

    Attributes
    ----------
    start, stop
        Rows of ``Genotypes.variants`` that the block covers (half-open).
    dosages
        float32 (stop - start, selected samples): copies of ALT from 0 to 2; NaN is missing. Males on X are
        between 0 and 2 too.
    """

    start: int
    stop: int
    dosages: Dosages

    @property
    def n_variants(self) -> int:
        """Number of variants in the block."""
        return self.stop - self.start


@dataclass(frozen=True, eq=False)
class Genotypes:
    """Genotypes of people, read lazily in blocks.

    Attributes
    ----------
    path
        The file.
    values
        ``"dosage"`` or ``"hard-call"``: what methods that can use either (frequencies, scores, association)
        take from the file. Methods that count genotypes (missingness, Hardy-Weinberg, kinship, pruning …)
        use hard calls whatever this says.
    samples
        DataFrame, one row a selected sample: ``fid``, ``iid``, ``father``, ``mother`` (str), ``sex``
        (``M``, ``F`` or None). ``iid`` is unique. Phenotypes of the .fam (``PHENO1``) or .psam follow, as text.
    variants
        DataFrame, one row a selected variant: ``chrom`` (canonical, see
        :mod:`gwas.genotypes.chromosomes`), ``pos`` (int64, 1-based), ``id``, ``ref``, ``alt`` (str),
        ``cm`` (float64), and ``info`` (float64) where the file has a quality of imputation.

    Notes
    -----
    Dosage counts the ALT allele. In a BED file ALT is the first allele of the .bim. A record of several ALT
    alleles is one row for each, which counts copies of that allele against all others.
    """

    reader: Reader
    samples: FrameField = FrameField()  # noqa: RUF009
    variants: FrameField = FrameField()  # noqa: RUF009
    sample_index: Index | None = None
    variant_index: Index | None = None
    values: Values = "hard-call"

    @property
    def path(self) -> Path:
        """The genotype file."""
        return self.reader.path

    @property
    def n_samples(self) -> int:
        """Number of selected samples."""
        return len(self.__dict__["samples"])

    @property
    def n_variants(self) -> int:
        """Number of selected variants."""
        return len(self.__dict__["variants"])

    def describe(self, values: Values | None = None) -> str:
        """Say in one line what is read: file, size, format, dosages or hard calls (``values``, if others)."""
        taken = {"dosage": "dosages", "hard-call": "hard calls"}[values or self.values]
        return (
            f"{self.path}, {self.n_samples} samples, {self.n_variants} variants; {taken};"
            f" {self.reader.coding}"
        )

    def select(
        self, *, samples: npt.ArrayLike | None = None, variants: npt.ArrayLike | None = None
    ) -> Genotypes:
        """Choose samples or variants, lazily.

        Parameters
        ----------
        samples, variants
            Positions within the present selection (integers), names (``iid`` of samples, ``id`` of variants), in
            the order given, or a boolean mask.

        Returns
        -------
        Genotypes
            A new descriptor of the same file.

        Raises
        ------
        IndexError
            If a position does not exist or a mask has the wrong length.
        InputError
            If a name is not there, or several variants have it.
        TypeError
            If the choice is none of these.
        """
        people, samples_at = self.__dict__["samples"], self.sample_index
        sites, variants_at = self.__dict__["variants"], self.variant_index
        if samples is not None:
            rows = _positions(samples, self.n_samples, lambda: self.sample_values("iid"))
            people, samples_at = taken(people, rows), rows if samples_at is None else samples_at[rows]
        if variants is not None:
            rows = _positions(variants, self.n_variants, lambda: self.variant_values("id"))
            sites, variants_at = taken(sites, rows), rows if variants_at is None else variants_at[rows]
        return Genotypes(self.reader, people, sites, samples_at, variants_at, self.values)

    def sample_values(self, name: str) -> npt.NDArray[Any]:
        """A column of ``samples`` as an array, strings as objects; no frame is made for it."""
        return array_of(self.__dict__["samples"], name)

    def sample_text(self, name: str) -> TextColumn:
        """A column of strings of ``samples`` as bytes; no frame is made for it."""
        return text_of(self.__dict__["samples"], name)

    def variant_values(self, name: str) -> npt.NDArray[Any]:
        """A column of ``variants`` as an array, strings as objects; no frame is made for it."""
        return array_of(self.__dict__["variants"], name)

    def variant_text(self, name: str) -> TextColumn:
        """A column of strings of ``variants`` as bytes; no frame is made for it."""
        return text_of(self.__dict__["variants"], name)

    def blocks(self, size: int = 1024, *, start_block: int = 0) -> Iterator[Block]:
        """Yield the selected variants in fixed blocks; the next is read while one is used.

        Parameters
        ----------
        size
            Variants in a block. Block ``b`` always covers rows ``b * size`` to ``(b + 1) * size``.
        start_block
            First block to yield, so that an interrupted pass can go on where it stopped.

        Raises
        ------
        InputError
            If the file shrank or vanished since it was opened.
        """
        yield from self._read_ahead(self.read_block, size, start_block)

    def dosage_blocks(self, size: int = 256, *, start_block: int = 0) -> Iterator[DosageBlock]:
        """Yield the selected variants as dosages; the next block is read while one is used.

        Parameters
        ----------
        size, start_block
            As in :meth:`blocks`; a dosage takes four bytes, sixteen times the room of a hard call.

        Raises
        ------
        InputError
            If the file shrank, vanished or cannot be decoded.
        """
        yield from self._read_ahead(self.read_dosage_block, size, start_block)

    def _read_ahead(self, read: Callable[[int, int], _T], size: int, start_block: int) -> Iterator[_T]:
        if size < 1:
            raise ValueError("block size must be at least 1")
        starts = range(start_block * size, self.n_variants, size)
        if len(starts) == 0:
            return
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="genotype-reader") as pool:
            ahead = pool.submit(read, starts[0], min(starts[0] + size, self.n_variants))
            for following in [*starts[1:], None]:
                block = ahead.result()
                if following is not None:
                    ahead = pool.submit(read, following, min(following + size, self.n_variants))
                yield block

    def read_block(self, start: int, stop: int) -> Block:
        """Read rows ``start`` to ``stop`` of the selected variants at once."""
        rows = self._rows(start, stop)
        return Block(start, stop, self.reader.read(rows), self.reader.n_samples, self.sample_index)

    def read_dosage_block(self, start: int, stop: int) -> DosageBlock:
        """Read rows ``start`` to ``stop`` of the selected variants as dosages at once."""
        dosages = self.reader.read_dosages(self._rows(start, stop))
        return DosageBlock(
            start, stop, dosages if self.sample_index is None else dosages[:, self.sample_index]
        )

    def _rows(self, start: int, stop: int) -> Index:
        if self.variant_index is None:
            return np.arange(start, stop, dtype=np.int64)
        return self.variant_index[start:stop]


def _positions(choice: npt.ArrayLike, length: int, names: Callable[[], npt.NDArray[Any]]) -> Index:
    array = np.asarray(choice)
    if array.ndim != 1:
        raise TypeError("a choice is a list of positions or names, or a mask")
    if array.size and array.dtype.kind in "OU" and all(isinstance(item, str) for item in array.tolist()):
        return _named(array.tolist(), names().tolist())
    if array.dtype.kind == "O" and all(isinstance(item, (bool, np.bool_)) for item in array.tolist()):
        array = array.astype(bool)
    if array.dtype == bool:
        if array.shape != (length,):
            raise IndexError(f"a mask of length {len(array)} cannot choose among {length}")
        return np.flatnonzero(array).astype(np.int64)
    if array.size and array.dtype.kind not in "iu":
        raise TypeError(f"a choice is a list of positions or names, or a mask; found {array.dtype}")
    rows = array.astype(np.int64) if array.size else np.empty(0, dtype=np.int64)
    if rows.size and (rows.min() < 0 or rows.max() >= length):
        raise IndexError(f"positions must lie in [0, {length})")
    return rows


def _named(wanted: list[str], names: list[str]) -> Index:
    places = {name: row for row, name in enumerate(names)}
    absent = sum(name not in places for name in wanted)
    if absent:
        raise InputError("names are not there", found=f"{absent} of {len(wanted)}", fix="check the names")
    if len(places) < len(names):
        often = Counter(names)
        several = sum(often[name] > 1 for name in wanted)
        if several:
            raise InputError(
                "names are of several variants", found=f"{several} of {len(wanted)}", fix="choose by position"
            )
    return np.array([places[name] for name in wanted], dtype=np.int64)
