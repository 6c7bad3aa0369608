"""The body of ``careome sumstats convert``: summary statistics of any program in, of another out."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
import yaml

from cohorts.errors import InputError
from gwas.harmonising import Harmoniser, HarmonyCounts
from gwas.liftover import LiftCounts, lift_over, read_chain
from gwas.reference_variants import read_reference_variants
from gwas.sumstats import EffectKind, InflationCounter, SumStats, to_plink, to_regenie
from gwas.sumstats_metadata import largest_n, ssf_metadata
from gwas.sumstats_reader import sumstats_blocks
from gwas.sumstats_writers import (
    SsfP,
    Target,
    as_results,
    fit_layout,
    to_cojo,
    to_gwas_ssf,
    to_ldsc,
    to_saige,
)
from workflows.installation import version
from workflows.outputs import atomic_gzip_text, atomic_text, write_text

if TYPE_CHECKING:
    from gwas.polygenic.matching import Palindromic

_SUFFIX: Final[Mapping[Target, str]] = {
    "plink2": "glm.linear",
    "regenie": "regenie",
    "ssf": "tsv",
    "ldsc": "sumstats.gz",
    "cojo": "ma",
    "saige": "saige.txt",
}
_MISSING: Final[Mapping[Target, str]] = {"ssf": "#NA"}


@dataclass(frozen=True)
class Selection:
    """Filters: least minor allele frequency, least imputation quality, largest P; None leaves out none."""

    maf: float | None = None
    info: float | None = None
    p: float | None = None


@dataclass
class _Account:
    """Running counts of what was left out at every step."""

    filtered: dict[str, int] = field(default_factory=dict)
    lifted: LiftCounts | None = None
    harmonised: HarmonyCounts | None = None
    listed: HarmonyCounts | None = None
    unfit: dict[str, int] = field(default_factory=dict)
    written: int = 0
    n: int | None = None
    sorted: bool = True
    last: tuple[int, int] = (0, 0)
    inflation: InflationCounter = field(default_factory=InflationCounter)

    def lines(self) -> list[str]:
        out = []
        if self.lifted is not None:
            out.append(f"lift-over: {self.lifted.sentence()}")
        out += [f"filter {name}: {count} rows left out" for name, count in self.filtered.items()]
        if self.harmonised is not None:
            out.append(f"harmonised: {self.harmonised.sentence()}")
        if self.listed is not None:
            out.append(f"list of variants: {self.listed.sentence()}")
        out += [f"cannot be written, {reason}: {count} rows" for reason, count in self.unfit.items()]
        return [*out, f"{self.written} rows written; lambda {self.inflation.lambda_gc:.3f}"]


def run_convert_sumstats(
    path: Path,
    *,
    to: Target,
    out: Path,
    layout: str | None = None,
    columns: Mapping[str, str] | None = None,
    kind: EffectKind | None = None,
    trait: str | None = None,
    from_build: str | None = None,
    to_build: str | None = None,
    chain: Path | None = None,
    reference: Path | None = None,
    palindromic: Palindromic = "frequency",
    merge_alleles: Path | None = None,
    selection: Selection | None = None,
    metadata: Path | None = None,
    ssf_p: SsfP = "neg_log_10_p_value",
    progress: Callable[[int], None] | None = None,
) -> list[Path]:
    """Convert a file of summary statistics, block by block, in memory that does not grow with it.

    Parameters
    ----------
    path, layout, columns, kind, trait
        See :func:`gwas.sumstats_reader.read_sumstats`.
    to, out
        The layout, and the prefix of the outputs. GWAS-SSF gets its ``-meta.yaml``; all get ``OUT.log``.
    from_build, to_build, chain
        Genome builds before and after, and the chain file between them.
    reference, palindromic
        Variants to harmonise to (see :func:`gwas.reference_variants.read_reference_variants`), on the build
        after lift-over, and what to do with A/T and C/G.
    merge_alleles
        A list ``SNP A1 A2``: keep its variants alone, on its alleles.
    selection
        Filters.
    metadata
        YAML with fields of GWAS-SSF's metadata that the file cannot tell.
    ssf_p
        Which of P and its -log10 a GWAS-SSF file has.
    progress
        Called with the number of rows just read.

    Returns
    -------
    list of Path
        The files, the log last; they appear complete or not at all.

    Raises
    ------
    CareomeError
        Whatever the user can mend, in one line.
    """
    given = _read_metadata(metadata)
    if chain is not None and (from_build is None or to_build is None):
        raise InputError(
            "needs the builds on both its sides", where="--chain", fix="give --from-build, --to-build"
        )
    if chain is None and to_build is not None and to_build != from_build:
        raise InputError("needs a chain file", where="--to-build", fix="give --chain")
    build = to_build or from_build
    links = None if chain is None else read_chain(chain)
    harmoniser = None
    if reference is not None:
        variants = read_reference_variants(reference)
        harmoniser = Harmoniser(variants, build=build, palindromic=palindromic)
    listed = None
    if merge_alleles is not None:
        names = read_reference_variants(merge_alleles).drop(columns=["chrom", "pos"], errors="ignore")
        listed = Harmoniser(names, build=build, palindromic="drop")
    account = _Account()
    blocks = sumstats_blocks(path, kind=kind, build=from_build, trait=trait, layout=layout, columns=columns)
    first = next(blocks)
    target = _target_path(out, to, first.kind)
    seen: set[str] | None = set() if to in ("ldsc", "cojo") else None
    last, rows = first, 0
    with _opener(target)(target) as handle:
        for number, block in enumerate(_chained(first, blocks)):
            last = block
            if progress is not None and block.origin is not None:
                progress(block.origin.rows - rows)
                rows = block.origin.rows
            if links is not None and to_build is not None:
                block, lifted = lift_over(block, links, to_build=to_build)
                account.lifted = lifted if account.lifted is None else account.lifted + lifted
            block = _select(block, selection or Selection(), account.filtered)
            if harmoniser is not None:
                block, told = harmoniser.apply(block)
                account.harmonised = told if account.harmonised is None else account.harmonised + told
            if listed is not None:
                block, told = listed.apply(block)
                account.listed = told if account.listed is None else account.listed + told
            block, unfit = fit_layout(block, to, seen=seen)
            for reason, count in unfit.items():
                account.unfit[reason] = account.unfit.get(reason, 0) + count
            _note(block, account)
            _write(handle, _table(block, to, ssf_p), missing=_MISSING.get(to, "NA"), header=number == 0)
        if not account.written:
            raise InputError(
                "leaves no row to write", where=path, found="; ".join(_told(last) + account.lines()[:-1])
            )
    files = [target]
    lines = [f"careome {version()} sumstats convert", *_told(last), *account.lines()]
    if to == "ssf":
        beside, lacking = _write_metadata(target, last, account, reference, build, given)
        files.append(beside)
        if lacking:
            lines.append(
                f"the metadata still lack, for a deposit: {', '.join(lacking)}; give them with --metadata"
            )
    log = out.with_name(out.name + ".log")
    write_text(log, "\n".join(lines) + "\n")
    return [*files, log]


def _chained(first: SumStats, rest: Iterable[SumStats]) -> Iterable[SumStats]:
    yield first
    yield from rest


def _told(block: SumStats) -> list[str]:
    """What was read, in lines."""
    origin = block.origin
    assert origin is not None
    kept = origin.rows - sum(origin.left_out.values())
    lines = [
        f"{origin.path}: layout {origin.layout}, {block.kind or 'kind of trait not known'}, build"
        f" {block.build or 'not known'}; {origin.rows} rows, {kept} usable"
    ]
    lines += [f"left out, {reason}: {count} rows" for reason, count in origin.left_out.items()]
    return lines + list(origin.notes)


def _select(block: SumStats, selection: Selection, counts: dict[str, int]) -> SumStats:
    frame = block.frame
    eaf, info, log10p = (frame[name].to_numpy(dtype=np.float64) for name in ("eaf", "info", "log10p"))
    tests = {
        "maf": None if selection.maf is None else np.minimum(eaf, 1 - eaf) >= selection.maf,
        "info": None if selection.info is None else info >= selection.info,
        "p": None if selection.p is None else log10p >= -np.log10(selection.p),
    }
    kept = np.ones(len(frame), dtype=np.bool_)
    for name, passing in tests.items():
        if passing is not None:
            fails = kept & ~passing
            counts[name] = counts.get(name, 0) + int(fails.sum())
            kept &= ~fails
    return block.where(kept)


def _note(block: SumStats, account: _Account) -> None:
    account.written += len(block)
    account.inflation.add(block.frame["log10p"].to_numpy())
    largest = largest_n(block)
    if largest is not None:
        account.n = max(largest, account.n or 0)
    if len(block) and account.sorted:
        number = {str(k): k for k in range(1, 23)} | {"X": 23, "XY": 23, "Y": 24, "MT": 25}
        key = block.frame["chrom"].map(number).fillna(99).astype(np.int64).to_numpy() * (1 << 32)
        key = key + block.frame["pos"].to_numpy()
        before = account.last[0] * (1 << 32) + account.last[1]
        account.sorted = bool(key[0] >= before and (np.diff(key) >= 0).all())
        account.last = (int(key[-1]) >> 32, int(key[-1]) & ((1 << 32) - 1))


def _table(block: SumStats, to: Target, ssf_p: SsfP) -> pd.DataFrame:
    if to == "plink2":
        return to_plink(as_results(block), kind="binary" if block.kind == "binary" else "quantitative")
    if to == "regenie":
        return to_regenie(as_results(block))
    if to == "ssf":
        return to_gwas_ssf(block, p=ssf_p, sort=False)
    if to == "ldsc":
        return to_ldsc(block)
    return to_cojo(block) if to == "cojo" else to_saige(block)


def _target_path(out: Path, to: Target, kind: EffectKind | None) -> Path:
    suffix = "glm.logistic.hybrid" if to == "plink2" and kind == "binary" else _SUFFIX[to]
    if to == "plink2" and kind == "survival":
        raise InputError(
            "PLINK 2 has no layout of hazard ratios", where="--to", fix="choose ssf, regenie or cojo"
        )
    return out.with_name(f"{out.name}.{suffix}")


def _opener(path: Path) -> Callable[[Path], AbstractContextManager[IO[str]]]:
    return atomic_gzip_text if path.suffix == ".gz" else atomic_text


def _write(handle: IO[str], table: pd.DataFrame, *, missing: str, header: bool) -> None:
    """Tab-separated text, nine significant digits."""
    if header:
        handle.write("\t".join(table.columns) + "\n")
    columns = []
    for name in table.columns:
        values = table[name]
        if pd.api.types.is_float_dtype(values.dtype):
            columns.append([f"{v:.9g}" if v == v else missing for v in values.tolist()])
        else:
            columns.append(
                [missing if v is None or v is pd.NA or v != v else str(v) for v in values.tolist()]
            )
    handle.writelines("\t".join(row) + "\n" for row in zip(*columns, strict=True))


def _read_metadata(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        fields = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError("cannot be read as YAML", where=path, fix="check the file") from error
    if not isinstance(fields, dict):
        raise InputError("is not a list of fields and values", where=path, expected="GWAS-SSF metadata")
    return fields


def _write_metadata(
    target: Path,
    block: SumStats,
    account: _Account,
    reference: Path | None,
    build: str | None,
    given: Mapping[str, Any],
) -> tuple[Path, list[str]]:
    with open(target, "rb") as handle:
        digest = hashlib.file_digest(handle, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    fields, lacking = ssf_metadata(
        trait=block.trait,
        build=build,
        file_name=target.name,
        md5=digest,
        version="1.1" if block.scale == "standardised" else "1.0",
        binary=block.kind == "binary",
        sample_size=account.n,
        is_sorted=account.sorted,
        harmonised_to=None if reference is None else reference.name,
        software=None,
        today=datetime.datetime.now(tz=datetime.UTC).date(),
        given=given,
    )
    beside = target.with_name(target.name + "-meta.yaml")
    write_text(beside, yaml.safe_dump(fields, sort_keys=False, allow_unicode=True))
    return beside, lacking
