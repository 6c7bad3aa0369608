"""What the user may choose when a genotype file is opened."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cohorts.errors import InputError
from gwas.genotypes.descriptor import HARD_CALL_THRESHOLD, Reader, Values


@dataclass(frozen=True, kw_only=True)
class Region:
    """A stretch of a chromosome, 1-based and inclusive; a whole chromosome where there are no bounds.

    Examples
    --------
    >>> Region.read("chr7:1,000-2,000")
    Region(chrom='7', start=1000, stop=2000)
    >>> Region.read("X")
    Region(chrom='X', start=1, stop=None)
    """

    chrom: str
    start: int = 1
    stop: int | None = None

    @classmethod
    def read(cls, text: str) -> Region:
        """Read ``CHROM``, ``CHROM:POS`` or ``CHROM:START-STOP``.

        Raises
        ------
        InputError
            If the text is none of these.
        """
        from gwas.genotypes.chromosomes import canonical_chromosome

        name, colon, span = text.strip().replace(",", "").partition(":")
        first, dash, last = span.partition("-")
        numbers = [first, last] if dash else [first, first]
        good = name and (not colon or all(number.isdigit() for number in numbers))
        if good and colon:
            start, stop = (int(number) for number in numbers)
            good = 1 <= start <= stop
            if good:
                return cls(chrom=canonical_chromosome(name), start=start, stop=stop)
        if not good:
            raise InputError(
                "a region cannot be understood",
                where="region",
                found=repr(text[:40]),
                expected="e.g. 7, 7:1000-2000 or chrX:5000",
            )
        return cls(chrom=canonical_chromosome(name))


def split_regions(text: str) -> list[str]:
    """The regions of a list parted by commas or spaces; commas within a position part thousands.

    Examples
    --------
    >>> split_regions("7:1,000-2,000,22")
    ['7:1,000-2,000', '22']
    >>> split_regions("1 2")
    ['1', '2']
    """
    # no chromosome has three digits, so three after a comma go on with a position
    return [part for part in re.split(r"\s+|,(?!\d{3}(?![\w:]))", text) if part]


@dataclass(frozen=True, kw_only=True)
class OpenOptions:
    """Choices at opening; see :func:`gwas.genotypes.open_genotypes` for what they mean."""

    values: Values | None = None
    hard_call_threshold: float = HARD_CALL_THRESHOLD
    sample_file: Path | None = None
    bgen_ref: Literal["first", "last"] = "first"
    vcf_dosage: Literal["DS", "GP"] | None = None
    regions: Sequence[Region] | None = None

    def values_of(self, reader: Reader) -> Values:
        """Dosages where the file has them, unless the user chose.

        Raises
        ------
        InputError
            If dosages were asked of a file that has none.
        """
        if self.values == "dosage" and not reader.has_dosages:
            raise InputError(
                "holds hard calls, no dosages",
                where=reader.path,
                found="values chosen: dosage",
                fix="choose hard-call, or give the file with dosages",
            )
        return self.values or ("dosage" if reader.has_dosages else "hard-call")
