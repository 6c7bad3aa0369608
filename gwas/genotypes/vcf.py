"""VCF and BCF files: hard calls and dosages, read from anywhere without a conversion.

Opening makes one pass over the file: it finds every record, checks that each line has its columns, and keeps the
place of each in the content (see :mod:`gwas.genotypes.byte_streams`), so that blocks can be read in any order
with no state. The parser is our own, not htslib: a line is simple, and here each byte of it is judged. htslib
mends or drops what it does not understand with a line on the standard error, keeps no offsets, costs a child
process (it is C that reads what anybody may have damaged) and a second copy of every value. This parser reads only
through checked bounds, refuses with the record's name, and inflates two parts of the file at once.

Fields
------
- Hard calls come from GT. Half calls (``0/.``) are missing; a haploid call counts double, 0 or 2; more than two
  alleles are refused. A record without GT is called from its dosage by the threshold; one that has none of GT,
  DS, GP is missing.
- Dosages come from DS, else from GP, of those that the header declares; where a sample has neither, from GT (as
  PLINK 2 does). A DS beside a haploid GT is on the scale of 0 to 1. PLINK 2 calls genotypes anew from DS even
  where there is a GT; here the file's own call stands.
- DS without GT on X, Y or MT is refused: nothing says on which scale males are (PLINK 2 refuses it too).

A record of several ALT alleles is one row for each. Records need not be in order. Lines may end in CRLF.

Damage
------
BGZF and gzip end in a way that a cut destroys, and have checksums. A text file that is not compressed must end
its last line; one cut exactly behind a line is a whole file to anybody, and only a manifest
(:mod:`gwas.genotypes.manifest`) tells it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from cohorts.errors import InputError
from gwas.genotypes import bcf
from gwas.genotypes.byte_streams import BgzfStream, ByteStream, GzipStream, is_bgzf, open_stream
from gwas.genotypes.chromosomes import canonical_chromosome
from gwas.genotypes.descriptor import Dosages, Genotypes, Index, Packed
from gwas.genotypes.options import OpenOptions, Region
from gwas.genotypes.tabix import blocks_of, index_beside, read_index
from gwas.genotypes.vcf_header import HEMIZYGOUS, VcfHeader, parse_header, sample_frame, split_header
from gwas.genotypes.vcf_records import Records, RecordTable
from gwas.genotypes.vcf_text import scan_text

_AT_ONCE: Final = 1 << 21
_THREADS: Final = 2
_GAP: Final = 1 << 16
_GT, _DS, _GP = 0, 1, 2
Kind = Literal["VCF", "BCF"]


@dataclass(frozen=True)
class VcfReader:
    """Reads calls and dosages of a VCF or BCF whose records have been found.

    Attributes
    ----------
    stream
        The file's content.
    kind
        Text or binary.
    n_samples
        Samples in the file.
    records
        Where the records are.
    fields
        Fields that may be read.
    strings
        BCF's names of fields.
    threshold
        Largest distance of a dosage from a whole number that still makes a call.
    ignored
        Fields that records have and the header does not declare.
    """

    stream: ByteStream
    kind: Kind
    n_samples: int
    records: Records
    fields: frozenset[str]
    strings: dict[int, str]
    threshold: float
    ignored: tuple[str, ...] = ()

    @property
    def path(self) -> Path:
        """The file."""
        return self.stream.path

    @property
    def has_dosages(self) -> bool:
        """Whether a record has a DS or GP that the header declares."""
        return self.records.has(_DS) or self.records.has(_GP)

    @property
    def coding(self) -> str:
        """The format and the fields that are read."""
        fields = [name for name, column in (("DS", _DS), ("GP", _GP)) if self.records.has(column)]
        dosages = f", dosages from {', else '.join(fields)}" if fields else ""
        calls = "hard calls from GT" if self.records.has(_GT) else "hard calls from dosages"
        ignored = f"; {', '.join(self.ignored)} not declared and not read" if self.ignored else ""
        return f"{self.kind}, ALT as in the file, {calls}{dosages}{ignored}"

    def read(self, variants: Index) -> Packed:
        """Read ``variants`` (rows of the opened table, any order) as uint8 (m, ceil(n_samples / 4))."""
        out = np.empty((len(variants), (self.n_samples + 3) // 4), dtype=np.uint8)
        return self._fill(variants, out, self.threshold)

    def read_dosages(self, variants: Index) -> Dosages:
        """Read ``variants`` as float32 (m, n_samples), NaN where missing."""
        return self._fill(variants, np.empty((len(variants), self.n_samples), dtype=np.float32), None)

    def _fill(self, variants: Index, out: npt.NDArray[Any], threshold: float | None) -> npt.NDArray[Any]:
        self._refuse_unknown_scale(variants)

        def fill(batch: tuple[int, int, int, int]) -> None:
            first, last, base, size = batch
            rows, data = variants[first:last], self.stream.read(base, size)
            decode = self._decode_text if self.kind == "VCF" else self._decode_bcf
            values, status = decode(rows, base, data, threshold)
            failed = np.flatnonzero(status)
            if len(failed):
                record = int(self.records.record[rows[failed[0]]])
                raise self._refusal(record, int(status[failed[0]]))
            out[first:last] = values

        batches = list(self._batches(variants))
        if len(batches) < 2 or isinstance(self.stream, GzipStream):
            for batch in batches:
                fill(batch)
            return out
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="vcf") as pool:
            list(pool.map(fill, batches))
        return out

    def _refusal(self, record: int, status: int) -> InputError:
        from gwas.kernels.allele_values import REASONS

        return InputError(
            "a record cannot be understood",
            where=f"{self.path}:{self.records.name(record)}",
            found=REASONS[status],
            fix="copy the file again, or correct or remove the record",
        )

    def _refuse_unknown_scale(self, variants: Index) -> None:
        records = self.records
        read = np.unique(records.record[variants])
        layouts = records.layouts[records.layout[read]]
        unclear = read[(layouts[:, _GT] < 0) & (layouts[:, _DS] >= 0)]
        for record in unclear:
            if canonical_chromosome(records.chroms[records.chrom[record]]) in HEMIZYGOUS:
                raise InputError(
                    "DS without GT does not say whether males are on the scale of 0 to 1 or 0 to 2",
                    where=f"{self.path}:{records.name(int(record))}",
                    fix="write GT to the file too, or leave this chromosome out",
                )

    def _batches(self, variants: Index) -> Iterator[tuple[int, int, int, int]]:
        """Rows that are read together: first and last of them, and the offset and size of their content."""
        if not len(variants):
            return
        start = self.records.start[self.records.record[variants]]
        stop = start + self.records.size[self.records.record[variants]]
        gap = start[1:] - stop[:-1]
        apart = ~(((gap >= 0) & (gap <= _GAP)) | (start[1:] == start[:-1]))
        for first, last in pairwise([0, *(np.flatnonzero(apart) + 1).tolist(), len(variants)]):
            while first < last:
                fits = int(np.searchsorted(stop[first:last], start[first] + _AT_ONCE, side="right"))
                end = first + max(fits, 1)
                yield first, end, int(start[first]), int(stop[end - 1] - start[first])
                first = end

    def _decode_text(
        self, rows: Index, base: int, data: bytes, threshold: float | None
    ) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64]]:
        from gwas.kernels.vcf_text import decode_lines

        records, buffer = self.records, np.frombuffer(data, dtype=np.uint8)
        of_row = records.record[rows]
        begins = records.start[of_row] - base
        ends = begins + records.size[of_row] - 1
        ends -= buffer[ends - 1] == ord("\r")
        layouts = records.layouts[records.layout[of_row]]
        alleles, n_alts = records.allele[rows], records.n_alts[of_row]
        return decode_lines(buffer, begins, ends, layouts, alleles, n_alts, self.n_samples, threshold)

    def _decode_bcf(
        self, rows: Index, base: int, data: bytes, threshold: float | None
    ) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64]]:
        from gwas.kernels.dosages import to_packed

        records, status = self.records, np.zeros(len(rows), dtype=np.int64)
        values = np.empty((len(rows), self.n_samples), dtype=np.float32)
        for at, row in enumerate(rows.tolist()):
            record = int(records.record[row])
            begin = int(records.start[record]) - base
            body = data[begin : begin + int(records.size[record])]
            calls_alone = threshold is not None and records.layouts[records.layout[record], _GT] >= 0
            try:
                status[at] = bcf.decode_record(
                    self.strings,
                    body,
                    int(records.allele[row]),
                    int(records.n_alts[record]),
                    values[at],
                    calls_alone=calls_alone,
                    fields=self.fields,
                )
            except bcf.Malformed as error:
                place = self.records.name(record)
                raise bcf.malformed(self.path, place, str(error)) from error
        if threshold is None:
            return values, status
        return to_packed(values, threshold), status


def open_vcf(path: Path, options: OpenOptions) -> Genotypes:
    """Open a VCF (plain, gzip or BGZF) or BCF file.

    Parameters
    ----------
    path
        The file. An index beside it (.tbi, .csi), not older than it, is used where regions are chosen.
    options
        Choices at opening.

    Returns
    -------
    Genotypes
        One row for each ALT allele, in file order; REF and ALT as in the file, bases in capitals. ``info``
        where the header declares ``R2``, ``DR2``, ``INFO`` or ``AR2``. Samples have family ``0`` and no sex.

    Raises
    ------
    InputError
        The file is absent, damaged, cut, has no samples or no records, or a line cannot be understood.
    """
    kind: Kind = "BCF" if path.name.endswith(".bcf") else "VCF"
    index = index_beside(path) if options.regions and is_bgzf(path) else None
    if index is None:
        stream: ByteStream = open_stream(path)
        header, start = _header(kind, stream)
        stretches: list[tuple[int, int | None]] = [(start, None)]
    else:
        header, stream, stretches = _indexed(kind, path, index, options.regions or [])
    samples = sample_frame(path, header.samples)
    if options.vcf_dosage is not None and options.vcf_dosage not in header.formats:
        raise InputError(
            f"has no {options.vcf_dosage}",
            where=path,
            found=f"fields {', '.join(sorted(header.formats)[:20])} in its header",
            fix="choose another field of dosages, or none",
        )
    asked = {"DS", "GP"} if options.vcf_dosage is None else {options.vcf_dosage}
    fields = (header.formats & asked) | {"GT"}
    table = RecordTable(path, options.regions, fields)
    for first, last in stretches:
        scan = bcf.scan_bcf if kind == "BCF" else scan_text
        scan(stream, header, table, start=first, stop=last)
    records, variants = table.finish(quality=header.quality is not None)
    reader = VcfReader(
        stream=stream,
        kind=kind,
        n_samples=len(header.samples),
        records=records,
        fields=fields,
        strings=header.strings,
        threshold=options.hard_call_threshold,
        ignored=tuple(sorted((table.seen() & {"DS", "GP"}) - header.formats)),
    )
    if len(variants) and not any(records.has(column) for column in (_GT, _DS, _GP)):
        raise InputError(
            "has no genotypes",
            where=path,
            found="no record with GT, nor with a DS or GP that the header declares",
            fix="give a file with genotypes or dosages",
        )
    return Genotypes(reader, samples, variants, values=options.values_of(reader))


def _header(kind: Kind, stream: ByteStream) -> tuple[VcfHeader, int]:
    """The header, and where the records begin."""
    if kind == "BCF":
        raw, start = bcf.split_bcf_header(stream)
    else:
        raw, start = split_header(stream.path, stream.chunks(0))
    return parse_header(stream.path, raw), start


def _indexed(
    kind: Kind, path: Path, index: Path, regions: Sequence[Region]
) -> tuple[VcfHeader, BgzfStream, list[tuple[int, int | None]]]:
    """The header, the blocks that hold the regions, and the stretches of their content to look at."""
    tree = read_index(index)
    try:
        begin = tree.first()
        head = BgzfStream.of(path, None if begin is None else [(0, (begin >> 16) + 1)])
        header, _ = _header(kind, head)
        names = tree.names or [header.contigs.get(number, "") for number in range(len(tree.bins))]
        virtual = tree.stretches(regions, names)
        stream = BgzfStream.of(path, blocks_of(virtual))
        return header, stream, [(stream.content_of(a), stream.content_of(b)) for a, b in virtual]
    except InputError as error:
        raise InputError(
            "cannot be read by its index",
            where=path,
            found=error.problem if error.found is None else f"{error.problem}: {error.found}",
            fix=f"copy both files again, or remove {index.name} or make it again",
        ) from error
