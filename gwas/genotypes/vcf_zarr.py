"""VCF-Zarr stores: the layout that bio2zarr writes, read chunk by chunk.

The layout is described at https://github.com/sgkit-dev/vcf-zarr-spec: arrays ``sample_id``, ``contig_id``,
``variant_contig``, ``variant_position``, ``variant_allele`` and, of two or three dimensions, ``call_genotype``,
``call_DS`` and ``call_GP``. GT, DS and GP mean what :mod:`gwas.genotypes.vcf` says. zarr (an optional dependency)
and its decompressors run in a child process.

A chunk whose file is absent reads as a fill value without a word. Writers leave out chunks that are empty, and a
copy that broke leaves out others; they cannot be told apart, so that a missing chunk of an array that is read is
refused. Chunks have no checksum unless the store was written with one: a manifest
(:mod:`gwas.genotypes.manifest`) tells every change.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from cohorts.errors import InputError
from gwas.genotypes.chromosomes import canonical_chromosome
from gwas.genotypes.descriptor import Dosages, Genotypes, Index, Packed
from gwas.genotypes.options import OpenOptions
from gwas.genotypes.parser_process import ParserProcess, time_allowed
from gwas.genotypes.vcf_header import HEMIZYGOUS, QUALITY, sample_frame
from gwas.genotypes.vcf_records import allele_name

_AT_ONCE: Final = 1 << 26
_END: Final = 0x7F800002
_NEEDED: Final = ("sample_id", "contig_id", "variant_contig", "variant_position", "variant_allele")
_CALLS: Final = {"GT": "call_genotype", "DS": "call_DS", "GP": "call_GP"}
_LONG_S: Final = 600.0


@dataclass(frozen=True, eq=False)
class VcfZarrReader:
    """Reads calls and dosages of a VCF-Zarr store.

    Attributes
    ----------
    path
        The store's folder.
    n_samples
        Samples in it.
    fields
        Which of GT, DS and GP it has.
    chunk
        Records in a chunk.
    record, allele
        int64 and int32 (rows of the table): the record, and which ALT allele (from 1).
    n_alts
        int32 (records): ALT alleles.
    unclear
        bool (records): on a chromosome where DS alone does not tell the scale of males.
    threshold
        Largest distance of a dosage from a whole number that still makes a call.
    """

    path: Path
    n_samples: int
    fields: tuple[str, ...]
    chunk: int
    record: npt.NDArray[np.int64]
    allele: npt.NDArray[np.int32]
    n_alts: npt.NDArray[np.int32]
    unclear: npt.NDArray[np.bool_]
    threshold: float
    parser: ParserProcess = field(repr=False)

    @property
    def has_dosages(self) -> bool:
        """Whether there is DS or GP."""
        return "DS" in self.fields or "GP" in self.fields

    @property
    def coding(self) -> str:
        """The format and the fields that are read."""
        given = ", else ".join(name for name in ("DS", "GP") if name in self.fields)
        calls = "hard calls from " + ("GT" if "GT" in self.fields else "dosages")
        return f"VCF-Zarr, ALT as in the store, {calls}{', dosages from ' + given if given else ''}"

    def read(self, variants: Index) -> Packed:
        """Read ``variants`` (rows of the opened table, any order) as uint8 (m, ceil(n_samples / 4))."""
        from gwas.kernels.dosages import to_packed

        wanted = ("GT",) if "GT" in self.fields else self.fields
        return to_packed(self._values(variants, wanted), self.threshold)

    def read_dosages(self, variants: Index) -> Dosages:
        """Read ``variants`` as float32 (m, n_samples), NaN where missing."""
        return self._values(variants, self.fields)

    def _values(self, variants: Index, wanted: tuple[str, ...]) -> Dosages:
        out = np.empty((len(variants), self.n_samples), dtype=np.float32)
        record = self.record[variants]
        if self.unclear[record].any() and "GT" not in self.fields and "DS" in self.fields:
            raise InputError(
                "DS without GT does not say whether males are on the scale of 0 to 1 or 0 to 2",
                where=self.path,
                found="records on X, Y or MT",
                fix="write call_genotype to the store too, or leave these chromosomes out",
            )
        step = max(1, min(self.chunk, _AT_ONCE // (self.n_samples * 16)))
        part = record // self.chunk * self.chunk + record % self.chunk // step * step
        for begin in np.unique(part):
            rows = np.flatnonzero(part == begin)
            first, last = int(record[rows].min()), int(record[rows].max()) + 1
            columns = {name: self._rows(_CALLS[name], first, last) for name in wanted}
            for row in rows.tolist():
                self._decode(columns, int(record[row]), first, int(self.allele[variants[row]]), out[row])
        return out

    def _rows(self, name: str, first: int, last: int) -> npt.NDArray[Any]:
        """Rows of an array as (records, samples, values)."""
        answer = self.parser.call(
            "rows",
            name=name,
            start=first,
            stop=last,
            timeout=time_allowed((last - first) * self.n_samples * 16, floor_s=60.0),
            what=f"{name}, records {first + 1} to {last}",
        )["value"]
        if answer.ndim < 2 or answer.shape[:2] != (last - first, self.n_samples):
            raise InputError(
                "changed since it was opened", where=self.path / name, fix="make sure nothing writes to it"
            )
        return np.asarray(answer.reshape(*answer.shape[:2], -1))

    def _decode(
        self, columns: dict[str, npt.NDArray[Any]], record: int, first: int, allele: int, out: Dosages
    ) -> None:
        from gwas.kernels.allele_values import OK, REASONS, add_dosages, count_copies

        n, n_alt, at = self.n_samples, int(self.n_alts[record]), record - first
        copies, ploidy = np.full(n, -9, np.int8), np.zeros(n, np.int8)
        status = OK
        if "GT" in columns:
            status = count_copies(columns["GT"][at], allele, n_alt, copies, ploidy)
        ds = gp = np.zeros((n, 0), np.float32)
        counts = np.zeros(n, np.int64)
        if "DS" in columns:
            ds = np.ascontiguousarray(columns["DS"][at][:, : max(n_alt, 1)], dtype=np.float32)
        if "GP" in columns:
            genotypes = (n_alt + 1) * (n_alt + 2) // 2
            gp = np.ascontiguousarray(columns["GP"][at][:, :genotypes], dtype=np.float32)
            counts = (gp.view(np.uint32) != _END).sum(axis=1)
        if status == OK:
            status = add_dosages(ds, gp, counts, allele, n_alt, copies, ploidy, out)
        if status != OK:
            raise InputError(
                "a record cannot be understood",
                where=f"{self.path}: record {record + 1}",
                found=REASONS[int(status)],
                fix="copy the store again",
            )


def open_vcf_zarr(path: Path, options: OpenOptions) -> Genotypes:
    """Open a VCF-Zarr store (a folder).

    Parameters
    ----------
    path
        The folder.
    options
        Choices at opening.

    Returns
    -------
    Genotypes
        As :func:`gwas.genotypes.vcf.open_vcf`; ``info`` where the store has ``variant_R2``, ``variant_DR2``,
        ``variant_INFO`` or ``variant_AR2``.

    Raises
    ------
    InputError
        No such folder, zarr is not installed, an array or one of its chunks is missing or damaged, or the
        arrays do not fit together.
    """
    if not path.is_dir():
        raise InputError("folder not found", where=path, expected="a VCF-Zarr store", fix="check the path")
    if find_spec("zarr") is None:
        raise InputError("needs the package zarr", where=path, fix="install careome[zarr]")
    parser = ParserProcess("gwas.genotypes.vcf_zarr_child:ZarrParser", {"path": str(path)}, file=path)
    arrays = parser.call("arrays", timeout=_LONG_S)["arrays"]
    missing = [name for name in _NEEDED if name not in arrays]
    fields = tuple(name for name, array in _CALLS.items() if array in arrays)
    if missing or not fields:
        raise InputError(
            "is not a VCF-Zarr store with genotypes",
            where=path,
            found=f"no array {', '.join(missing) or 'call_genotype, call_DS or call_GP'}",
            expected="the arrays that bio2zarr writes",
            fix="check the store",
        )
    samples = parser.call("text", name="sample_id", timeout=_LONG_S)["value"]
    variants, record, allele, n_alts = _table(path, parser, arrays)
    n_records = len(n_alts)
    for name in fields:
        shape, _, kind = arrays[_CALLS[name]]
        if len(shape) not in (2, 3) or shape[:2] != [n_records, len(samples)] or kind not in "if":
            raise _unfit(path / _CALLS[name])
    hemizygous = np.zeros(n_records, dtype=np.bool_)
    hemizygous[record[variants["chrom"].isin(HEMIZYGOUS).to_numpy()]] = True
    reader = VcfZarrReader(
        path=path,
        n_samples=len(samples),
        fields=fields,
        chunk=max(int(arrays[_CALLS[fields[0]]][1][0]), 1),
        record=record,
        allele=allele,
        n_alts=n_alts,
        unclear=hemizygous,
        threshold=options.hard_call_threshold,
        parser=parser,
    )
    return Genotypes(reader, sample_frame(path, samples), variants, values=options.values_of(reader))


def _unfit(where: Path) -> InputError:
    return InputError(
        "does not fit the other arrays of the store",
        where=where,
        found="another length or type",
        expected="one entry for each variant or sample",
        fix="copy the store again",
    )


def _table(
    path: Path, parser: ParserProcess, arrays: dict[str, Any]
) -> tuple[pd.DataFrame, npt.NDArray[np.int64], npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """The table of variants; record and allele of its rows; ALT alleles of each record."""

    def text(name: str) -> list[str]:
        return list(parser.call("text", name=name, timeout=_LONG_S)["value"])

    def numbers(name: str) -> npt.NDArray[Any]:
        return np.asarray(parser.call("numbers", name=name, timeout=_LONG_S)["value"])

    contigs, contig, pos = text("contig_id"), numbers("variant_contig"), numbers("variant_position")
    n = len(pos)
    names = text("variant_id") if "variant_id" in arrays else ["."] * n
    width = arrays["variant_allele"][0][-1]
    flat = text("variant_allele")
    fits = pos.shape == contig.shape == (n,) and pos.dtype.kind == contig.dtype.kind == "i"
    if not fits or len(names) != n or len(flat) != n * width or width < 1 or not n:
        raise _unfit(path / "variant_allele")
    if contig.min() < 0 or contig.max() >= len(contigs) or pos.min() < 0:
        raise _unfit(path / "variant_contig")
    rows: list[tuple[int, int, str, str]] = []
    n_alts = np.zeros(n, dtype=np.int32)
    for number in range(n):
        ref, *alts = flat[number * width : (number + 1) * width]
        alts = [alt for alt in alts if alt not in ("", ".")]
        if not ref:
            raise _unfit(path / "variant_allele")
        n_alts[number] = len(alts)
        rows += [(number, i + 1, allele_name(ref), allele_name(alt)) for i, alt in enumerate(alts or ["."])]
    record = np.array([row[0] for row in rows], dtype=np.int64)
    allele = np.array([row[1] for row in rows], dtype=np.int32)
    spelling = np.array([canonical_chromosome(name) for name in contigs], dtype=object)
    frame = pd.DataFrame(
        {
            "chrom": spelling[contig[record]],
            "pos": pos[record].astype(np.int64),
            "id": np.array([name or "." for name in names], dtype=object)[record],
            "ref": pd.Series([row[2] for row in rows], dtype=object),
            "alt": pd.Series([row[3] for row in rows], dtype=object),
            "cm": np.zeros(len(rows)),
        }
    )
    quality = next((f"variant_{name}" for name in QUALITY if f"variant_{name}" in arrays), None)
    if quality is not None:
        values = numbers(quality).reshape(n, -1).astype(np.float64)
        frame["info"] = values[record, np.minimum(allele, values.shape[1]) - 1]
    return frame, record, allele, n_alts
