"""Reading scoring files: the PGS Catalog's format 2 with its harmonised columns, and PLINK's plain tables."""

from __future__ import annotations

import gzip
import hashlib
import io
import zlib
from pathlib import Path
from typing import Final, Literal

import numpy as np
import pandas as pd

from cohorts.errors import InputError, unreadable
from gwas.polygenic.weights import Weights, make_weights

Positions = Literal["harmonised", "original"]

_EFFECT_ALLELE: Final = ("effect_allele", "A1", "ALT")
_ID: Final = ("rsID", "rsid", "ID", "SNP", "variant_id")
_NOT_WEIGHTS: Final = frozenset(
    {"#CHROM", "CHROM", "POS", "REF", "ALT", "A1", "A2", "effect_allele", "other_allele", "chr_name",
     "chr_position", "effect_type", "accession", "row_nr", "is_duplicated"}
)  # fmt: skip
_GENOTYPE_WEIGHTS: Final = ("dosage_0_weight", "dosage_1_weight", "dosage_2_weight")


def read_scores(path: str | Path, *, positions: Positions = "harmonised") -> list[Weights]:
    """Read every score of a file.

    Parameters
    ----------
    path
        A PGS Catalog file (one score, column ``effect_weight``), or a table of PLINK's kind: a header
        line, a column ID (``rs...`` or ``chrom:pos:ref:alt``), the effect allele (``effect_allele`` or
        ``A1``) and one column of weights a score. Either may be gzipped.
    positions
        See :func:`read_pgs_catalog`.

    Returns
    -------
    list of Weights

    Raises
    ------
    InputError
        In one line, if the file is absent, damaged or of another format.
    """
    header, table, digest = _read_table(Path(path))
    if "effect_weight" in table or any(c in table for c in _GENOTYPE_WEIGHTS):
        return [_catalog_weights(Path(path), header, table, digest, positions)]
    return _plain_weights(Path(path), table, digest)


def read_pgs_catalog(path: str | Path, *, positions: Positions = "harmonised") -> Weights:
    """Read a PGS Catalog scoring file.

    Parameters
    ----------
    path
        The file, gzipped or not. Lines ``#key=value`` are its header.
    positions
        ``harmonised`` takes hm_chr and hm_pos, and the build that they are in, where the file has them;
        ``original`` takes chr_name and chr_position.

    Returns
    -------
    Weights
        Dominant and recessive weights (is_dominant, is_recessive or effect_type) keep their type;
        haplotypes, diplotypes and interactions are kept as rows that say that they cannot be used. Where
        the other allele is not given, hm_inferOtherAllele is taken if it names exactly one.

    Raises
    ------
    InputError
        In one line with file and line, if columns are absent, a weight is no number, a variant is both
        dominant and recessive, or weights are given per genotype (dosage_0_weight ...).

    Examples
    --------
    >>> import tempfile, pathlib
    >>> file = pathlib.Path(tempfile.mkdtemp()) / "score.txt"
    >>> head = "#pgs_id=PGS1\\n#genome_build=GRCh37\\nrsID\\teffect_allele\\teffect_weight\\n"
    >>> _ = file.write_text(head + "rs1\\tA\\t0.5\\n")
    >>> weights = read_pgs_catalog(file)
    >>> weights.name, weights.build, len(weights)
    ('PGS1', 'GRCh37', 1)
    """
    header, table, digest = _read_table(Path(path))
    return _catalog_weights(Path(path), header, table, digest, positions)


def _read_table(path: Path) -> tuple[dict[str, str], pd.DataFrame, str]:
    """Header, body as text with the file's line number as index, and the SHA-256 of the file."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError as error:
        raise InputError("no such file", where=path, fix="check the name of the scoring file") from error
    except OSError as error:
        raise unreadable(path, error) from error
    try:
        text = (gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw).decode("utf-8-sig")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        fix = "fetch the file again"
        raise InputError(
            "damaged or not a text file", where=path, expected="text or gzip", fix=fix
        ) from error
    lines = text.splitlines()
    first = next((k for k, line in enumerate(lines) if not _is_header(line)), None)
    if first is None:
        raise InputError("no table", where=path, found="header lines only", expected="a line of column names")
    header = dict(
        line.lstrip("#").strip().split("=", 1) for line in lines[:first] if "=" in line and line[:1] == "#"
    )
    separator = "\t" if "\t" in lines[first] else "," if "," in lines[first] else r"\s+"
    names = lines[first].split(separator) if separator != r"\s+" else lines[first].split()
    if len(set(names)) != len(names):
        raise InputError("a column comes twice", where=f"{path}:{first + 1}", found=", ".join(names))
    body = [(k, line) for k, line in enumerate(lines[first + 1 :], start=first + 2) if line.strip()]
    for number, line in body:
        width = len(line.split(separator) if separator != r"\s+" else line.split())
        if width != len(names):
            raise InputError(
                "a line has the wrong number of fields",
                where=f"{path}:{number}",
                found=width,
                expected=len(names),
            )
    if not body:
        raise InputError("no weights", where=path, found="column names only", expected="at least one variant")
    source = io.StringIO("\n".join(line for _, line in body))
    table = pd.read_csv(
        source,
        sep=separator,
        names=names,
        dtype=str,
        keep_default_na=False,
        quoting=3,
        skip_blank_lines=False,
    )
    table.index = pd.Index([number for number, _ in body])
    return header, table.map(str.strip), hashlib.sha256(raw).hexdigest()


def _is_header(line: str) -> bool:
    """Comment lines and blank ones; a PLINK table's own column names may begin with #CHROM or #ID."""
    return not line.strip() or (
        line.startswith("#") and not line.startswith(("#CHROM\t", "#ID\t", "#CHROM ", "#ID "))
    )


def _catalog_weights(
    path: Path, header: dict[str, str], table: pd.DataFrame, digest: str, positions: Positions
) -> Weights:
    per_genotype = [c for c in _GENOTYPE_WEIGHTS if c in table and (table[c] != "").any()]
    if per_genotype:
        raise InputError(
            "weights by genotype are not supported",
            where=path,
            found=", ".join(per_genotype),
            expected="effect_weight per copy of effect_allele",
        )
    if "effect_allele" not in table or "effect_weight" not in table:
        found = ", ".join(table.columns)
        raise InputError(
            "columns are absent", where=path, found=found, expected="effect_allele, effect_weight"
        )
    harmonised = positions == "harmonised" and {"hm_chr", "hm_pos"} <= set(table.columns)
    chrom, pos = ("hm_chr", "hm_pos") if harmonised else ("chr_name", "chr_position")
    build = (
        header.get("HmPOS_build") or header.get("genome_build") if harmonised else header.get("genome_build")
    )
    frame = pd.DataFrame(
        {
            "chrom": _column(table, chrom),
            "pos": _whole_numbers(path, table, pos),
            "id": _identifiers(table),
            "effect_allele": table["effect_allele"],
            "other_allele": _other_alleles(table),
            "weight": _weight_numbers(path, table, "effect_weight"),
            "effect_type": _effect_types(path, table),
            "effect_frequency": pd.to_numeric(_column(table, "allelefrequency_effect"), errors="coerce"),
        }
    )
    name = header.get("pgs_id") or header.get("omicspred_id") or header.get("pgs_name")
    if not name and "accession" in table and table["accession"].nunique() == 1:
        name = str(table["accession"].iloc[0])
    unknown_build = build in (None, "", "NR")
    return make_weights(
        name or _stem(path),
        frame,
        build=None if unknown_build else build,
        source=path.name,
        sha256=digest,
        header=header,
    )


def _plain_weights(path: Path, table: pd.DataFrame, digest: str) -> list[Weights]:
    table = table.rename(columns={c: c.lstrip("#") for c in table.columns})
    identifier = next((c for c in _ID if c in table), None)
    allele = next((c for c in _EFFECT_ALLELE if c in table), None)
    scores = [c for c in table.columns if c not in _NOT_WEIGHTS and c not in _ID and _all_numbers(table[c])]
    if identifier is None or allele is None or not scores:
        expected = "effect_weight (PGS Catalog), or ID, effect_allele and columns of weights"
        found = ", ".join(table.columns)
        raise InputError("not a scoring file", where=path, found=f"columns {found}", expected=expected)
    parts = table[identifier].str.split(":", expand=True).reindex(columns=range(4))
    located = parts[1].fillna("").str.fullmatch(r"\d+") & parts[3].notna()
    first, second = parts[2].fillna(""), parts[3].fillna("")
    effect = table[allele].str.upper()
    frame = pd.DataFrame(
        {
            "chrom": parts[0].where(located, _column(table, "CHROM")),
            "pos": pd.to_numeric(parts[1].where(located, _column(table, "POS")), errors="coerce"),
            "id": table[identifier],
            "effect_allele": effect,
            "other_allele": second.where(first.str.upper() == effect, first).where(
                located, _column(table, "other_allele")
            ),
        }
    )
    return [
        make_weights(
            score,
            frame.assign(weight=_weight_numbers(path, table, score)),
            source=path.name,
            sha256=digest,
        )
        for score in scores
    ]


def _column(table: pd.DataFrame, name: str) -> pd.Series:
    return table[name] if name in table else pd.Series("", index=table.index)


def _identifiers(table: pd.DataFrame) -> pd.Series:
    """The harmonised rsID where there is one, else the author's."""
    own = _column(table, next((c for c in _ID if c in table), ""))
    harmonised = _column(table, "hm_rsID")
    return harmonised.where(harmonised != "", own)


def _other_alleles(table: pd.DataFrame) -> pd.Series:
    given = _column(table, "other_allele")
    inferred = _column(table, "hm_inferOtherAllele")
    return given.where(given != "", inferred.where(~inferred.str.contains("/"), ""))


def _effect_types(path: Path, table: pd.DataFrame) -> np.ndarray:
    dominant, recessive = _flags(path, table, "is_dominant"), _flags(path, table, "is_recessive")
    both = np.flatnonzero(dominant & recessive)
    if both.size:
        where = f"{path}:{table.index[both[0]]}"
        raise InputError("a variant is both dominant and recessive", where=where, expected="one of them")
    named = _column(table, "effect_type").str.lower()
    known = named.isin(["", "additive", "dominant", "recessive"])
    if not known.all():
        line = table.index[np.flatnonzero(~known)[0]]
        expected = "additive, dominant or recessive"
        raise InputError(
            "effect type not known", where=f"{path}:{line}", found=named[line], expected=expected
        )
    kinds = named.where(named != "", "additive").to_numpy(dtype=object)
    kinds[dominant], kinds[recessive] = "dominant", "recessive"
    kinds[_flags(path, table, "is_haplotype") | _flags(path, table, "is_diplotype")] = "haplotype"
    kinds[_flags(path, table, "is_interaction")] = "interaction"
    return np.asarray(kinds)


def _flags(path: Path, table: pd.DataFrame, name: str) -> np.ndarray:
    values = _column(table, name).str.lower()
    known = values.isin(["", "true", "false", "1", "0", "t", "f", "yes", "no"])
    if not known.all():
        line = table.index[np.flatnonzero(~known)[0]]
        raise InputError(f"{name} is neither true nor false", where=f"{path}:{line}", found=values[line])
    return values.isin(["true", "1", "t", "yes"]).to_numpy()


def _weight_numbers(path: Path, table: pd.DataFrame, name: str) -> np.ndarray:
    """Correctly rounded numbers: pandas' own parser may be off by one in the last place."""
    values = np.array([_number(text) for text in table[name]], dtype=np.float64)
    bad = np.flatnonzero(~np.isfinite(values))
    if bad.size:
        line = table.index[bad[0]]
        found = repr(table[name].iloc[bad[0]][:40])
        where = f"{path}:{line}"
        raise InputError(
            "a weight is not a finite number", where=where, found=found, expected=f"{name} as 0.01"
        )
    return values


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")


def _whole_numbers(path: Path, table: pd.DataFrame, name: str) -> pd.Series:
    text = _column(table, name)
    blank = text.str.lower().isin(["", "na", "nan", "none", "nr", "."])
    numbers = pd.to_numeric(text.where(~blank), errors="coerce")
    bad = np.flatnonzero(~blank & ~((numbers > 0) & (numbers == np.floor(numbers))))
    if bad.size:
        where = f"{path}:{table.index[bad[0]]}"
        found = repr(text.iloc[bad[0]][:40])
        raise InputError(
            "a position is not a whole number", where=where, found=found, expected=f"{name} as 17080378"
        )
    return numbers


def _all_numbers(column: pd.Series) -> bool:
    """A column of weights; one bad cell among numbers still counts, so that it is named and refused."""
    return bool(pd.to_numeric(column, errors="coerce").notna().mean() > 0.5)


def _stem(path: Path) -> str:
    return path.name.removesuffix(".gz").rsplit(".", 1)[0]
