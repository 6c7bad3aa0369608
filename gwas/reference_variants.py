"""Variants to harmonise to: a .bim, a .pvar, a sites VCF, or a table of frequencies."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from cohorts.errors import InputError
from gwas.genotypes.chromosomes import canonical_chromosomes
from gwas.reference_comparison import read_reference
from gwas.sumstats_tables import open_table

_SITES: Final = ("#CHROM", "POS", "ID", "REF", "ALT")


def read_reference_variants(path: str | Path) -> pd.DataFrame:
    """Read the variants of a reference.

    Parameters
    ----------
    path
        A ``.bim`` (ALT is its first allele), a ``.pvar`` or ``.vcf`` (plain, gzip or Zstandard; the frequency
        of ALT from INFO ``AF``), a list ``SNP A1 A2`` such as LDSC's ``w_hm3.snplist`` (A1 becomes ALT; no
        places), or a table as :func:`gwas.reference_comparison.read_reference` takes it.

    Returns
    -------
    DataFrame
        One row an ALT allele: id, ref, alt, alt_freq (float64, NaN where not known), and where the file has
        places chrom (canonical) and pos (int64).

    Raises
    ------
    InputError
        Unreadable or without the columns.

    Examples
    --------
    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "sites.vcf"
    >>> lines = ["#CHROM POS ID REF ALT INFO", "1 5 rs1 A C,G DP=3;AF=0.1,0.2"]
    >>> _ = file.write_text("\\n".join(lines).replace(" ", "\\t"))
    >>> read_reference_variants(file)[["chrom", "pos", "ref", "alt", "alt_freq"]].values.tolist()
    [['1', 5, 'A', 'C', 0.1], ['1', 5, 'A', 'G', 0.2]]
    """
    path = Path(path)
    if path.suffix == ".bim":
        return _bim(path)
    table = open_table(path)
    if set(_SITES) <= set(table.header):
        columns = [*_SITES, *(["INFO"] if "INFO" in table.header else [])]
        return pd.concat([_sites(block, path) for block in table.blocks(columns)], ignore_index=True)
    if {"SNP", "A1", "A2"} <= set(table.header):
        parts = [
            pd.DataFrame({"id": b["SNP"].to_pandas(), "ref": b["A2"].to_pandas(), "alt": b["A1"].to_pandas()})
            for b in table.blocks(["SNP", "A1", "A2"])
        ]
        return pd.concat(parts, ignore_index=True).assign(alt_freq=np.nan)
    return read_reference(path)


def _bim(path: Path) -> pd.DataFrame:
    names = ["chrom", "id", "cm", "pos", "alt", "ref"]
    try:
        rows = pd.read_csv(path, sep=r"\s+", header=None, names=names, dtype=str, keep_default_na=False)
        pos = rows["pos"].astype(np.int64)
    except (OSError, ValueError, pd.errors.ParserError) as error:
        raise InputError("cannot be read as a .bim", where=path, fix="check the file") from error
    return rows.assign(chrom=canonical_chromosomes(rows["chrom"]), pos=pos, alt_freq=np.nan).drop(
        columns="cm"
    )


def _sites(block: dict[str, pa.Array], path: Path) -> pd.DataFrame:
    text = {name.lstrip("#").lower(): column.to_pandas() for name, column in block.items() if name != "INFO"}
    pos = pd.to_numeric(text["pos"], errors="coerce")
    if pos.isna().any():
        raise InputError("has a position that is not a number", where=path, fix="correct the file")
    rows = pd.DataFrame({**text, "pos": pos.astype(np.int64)})
    rows["chrom"] = canonical_chromosomes(rows["chrom"])
    rows["alt_freq"] = ""
    if "INFO" in block:
        found = pc.extract_regex(block["INFO"], r"(?:^|;)AF=(?P<af>[^;]*)")
        rows["alt_freq"] = pc.struct_field(found, "af").fill_null("").to_pandas()
    several = rows["alt"].str.contains(",", regex=False)
    if several.any():
        alts = rows["alt"].str.split(",")
        freqs = rows["alt_freq"].str.split(",")
        # Frequencies that are not one for each ALT cannot be told apart.
        freqs = pd.Series(
            [f if len(f) == len(a) else [""] * len(a) for a, f in zip(alts, freqs, strict=True)],
            index=rows.index,
        )
        rows = rows.assign(alt=alts, alt_freq=freqs).explode(["alt", "alt_freq"], ignore_index=True)
    return rows.assign(alt_freq=_frequency(rows["alt_freq"]))


def _frequency(text: pd.Series) -> npt.NDArray[np.float64]:
    value = pd.to_numeric(text, errors="coerce").to_numpy(dtype=np.float64)
    return np.where((value >= 0) & (value <= 1), value, np.nan)
