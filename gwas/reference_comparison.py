"""Variants beside a reference: the same alleles, on the same strand, at about the same frequency?"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from cohorts.errors import InputError, unreadable
from gwas.genotypes.chromosomes import canonical_chromosomes

F64 = npt.NDArray[np.float64]
Index = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

CLASSES: Final = {
    "same": "same alleles",
    "swapped": "REF and ALT the other way round",
    "flipped": "same alleles read on the other strand",
    "flipped and swapped": "the other strand, REF and ALT the other way round",
    "palindromic": "A/T or C/G; the frequencies tell the strand",
    "palindromic, ambiguous": "A/T or C/G too near to one half to tell the strand",
    "other alleles": "the reference has other alleles there",
    "absent": "the reference has no variant there",
}
"""What can come of a comparison, best first."""

PALINDROMIC_MARGIN: Final = 0.08
MAX_DIFFERENCE: Final = 0.2
CERTAIN_LOG10_P: Final = 6.0

_NAMES: Final = {
    "chrom": ("#CHROM", "CHROM", "CHR", "CHROMOSOME"),
    "pos": ("POS", "BP", "POSITION"),
    "id": ("ID", "SNP", "SNPID", "RSID", "VARIANT_ID"),
    "ref": ("REF",),
    "alt": ("ALT",),
    "alt_freq": ("ALT_FREQS", "ALT_FREQ", "AF", "EAF"),
    "allele_count": ("OBS_CT", "AN"),
}
_COMPLEMENT: Final = str.maketrans("ACGT", "TGCA")
_UNSEEN: Final = ("0", ".")


def read_reference(path: Path, *, frequency_column: str | None = None) -> pd.DataFrame:
    """Read a table of reference frequencies: PLINK 2's ``.afreq``, or any table with such columns.

    Parameters
    ----------
    path
        Text with a header, tabs or spaces between fields, gzip where the name ends so. Columns by name,
        in any case: ``#CHROM`` (CHR), ``POS`` (BP) or ``ID`` (SNP) or both, ``REF``, ``ALT``,
        ``ALT_FREQS`` (ALT_FREQ, AF, EAF), and where it has it ``OBS_CT`` (AN). Several ALTs of a row
        stand between commas, with as many frequencies.
    frequency_column
        Another column to take the frequency of ALT from, such as that of one population.

    Returns
    -------
    DataFrame
        One row a REF and ALT: ``chrom`` (canonical), ``pos`` (int64, 0 where not known), ``id``, ``ref``,
        ``alt`` (upper case), ``alt_freq`` (float64, nan where not known), ``allele_count`` (float64).

    Raises
    ------
    InputError
        Unreadable, without the columns, or with a frequency that is none.
    """
    try:
        raw = pd.read_csv(path, sep=r"\s+", dtype=str, na_filter=False, quoting=3, encoding="utf-8")
    except FileNotFoundError as error:
        raise unreadable(path, error) from error
    except (OSError, EOFError, UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise InputError(
            "the reference cannot be read",
            where=path,
            found=type(error).__name__,
            expected="a text table with a header line",
            fix="check the file",
        ) from error
    upper = {str(name).upper(): str(name) for name in raw.columns}
    found = {ours: next((upper[n] for n in names if n in upper), None) for ours, names in _NAMES.items()}
    if frequency_column is not None:
        if frequency_column not in raw.columns:
            shown = ", ".join(map(str, raw.columns[:12])) + (", …" if len(raw.columns) > 12 else "")
            raise InputError(
                f"the reference has no column {frequency_column}",
                where=path,
                found=shown,
                fix="name one of its columns of frequencies",
            )
        found["alt_freq"] = frequency_column
    place = found["pos"] is not None and found["chrom"] is not None
    lacking = [name for name in ("ref", "alt", "alt_freq") if found[name] is None]
    if lacking or not (place or found["id"] is not None):
        raise InputError(
            "the reference lacks columns",
            where=path,
            found=", ".join(map(str, raw.columns[:12])) or "no column",
            expected="#CHROM and POS (or ID), REF, ALT, ALT_FREQS; see PLINK 2's .afreq",
            fix="name the columns so, or name the column of frequencies",
        )
    return _tidy(raw, found, path)


def _tidy(raw: pd.DataFrame, found: dict[str, str | None], path: Path) -> pd.DataFrame:
    def column(name: str, otherwise: str) -> pd.Series:
        given = found[name]
        return raw[given] if given is not None else pd.Series(otherwise, index=raw.index, dtype=object)

    table = pd.DataFrame({name: column(name, "") for name in _NAMES})
    table["line"] = np.arange(2, len(table) + 2)
    several = table["alt"].str.contains(",", regex=False).to_numpy()
    if several.any():
        table["alt"], table["alt_freq"] = table["alt"].str.split(","), table["alt_freq"].str.split(",")
        uneven = table["alt"].str.len() != table["alt_freq"].str.len()
        if uneven.any():
            raise InputError(
                "has not as many frequencies as ALT alleles",
                where=f"{path}:{int(table.loc[uneven, 'line'].iloc[0])}",
                fix="correct the line",
            )
        table = table.explode(["alt", "alt_freq"], ignore_index=True)
    numbers = {}
    for name, low, high in (("pos", 0.0, 2.0**53), ("alt_freq", 0.0, 1.0), ("allele_count", 0.0, 2.0**53)):
        unknown = table[name].str.upper().isin(["", "NA", "NAN", "."]).to_numpy()
        value = pd.to_numeric(table[name].mask(unknown), errors="coerce").to_numpy(dtype=np.float64)
        bad = ~unknown & ~((value >= low) & (value <= high))
        if bad.any():
            raise InputError(
                "is not a number in range",
                where=f"{path}:{int(table['line'].to_numpy()[bad][0])}",
                expected=f"{found[name]} between {low:g} and {high:g}",
                fix="correct the line",
            )
        numbers[name] = value
    return pd.DataFrame(
        {
            "chrom": canonical_chromosomes(table["chrom"]),
            "pos": np.nan_to_num(numbers["pos"]).astype(np.int64),
            "id": table["id"],
            "ref": table["ref"].str.upper(),
            "alt": table["alt"].str.upper(),
            "alt_freq": numbers["alt_freq"],
            "allele_count": numbers["allele_count"],
        }
    )


def compare_reference(
    frequencies: pd.DataFrame,
    reference: pd.DataFrame,
    *,
    max_difference: float = MAX_DIFFERENCE,
    palindromic_margin: float = PALINDROMIC_MARGIN,
) -> pd.DataFrame:
    """Find each variant in a reference and compare alleles, strand and frequency.

    Parameters
    ----------
    frequencies
        From :func:`gwas.frequencies.freq`: ``chrom pos id ref alt``, ``alt_freq``, ``allele_count``.
    reference
        From :func:`read_reference`. Found by place where it has places, else by ID; of several at one place
        the best fitting counts.
    max_difference
        Largest difference of frequency that ancestry and chance are taken to explain.
    palindromic_margin
        A palindromic variant with a frequency nearer than this to one half, here or there, has no telling
        strand.

    Returns
    -------
    DataFrame
        One row a variant, in order: ``class`` (a key of :data:`CLASSES`), ``swapped`` and ``flipped`` (bool:
        what turns our alleles into the reference's; of palindromic ones as the frequencies tell),
        ``reference_freq`` (of our ALT), ``difference`` (ours less theirs), ``log10_p`` (chi-square of one
        degree of the two frequencies; a reference that does not say on how many alleles it rests is taken as
        exact), ``fst`` (Hudson's; Bhatia et al. 2013, Genome Res 23:1514), ``outlier`` (further apart than
        ``max_difference``, and by more than chance: P < 1e-6). nan and False where there is nothing to
        compare.

    Examples
    --------
    >>> ours = pd.DataFrame({"chrom": "1", "pos": [5, 6], "id": ["a", "b"], "ref": ["A", "A"],
    ...                      "alt": ["G", "T"], "alt_freq": [0.25, 0.125], "allele_count": 1000.0})
    >>> theirs = pd.DataFrame({"chrom": "1", "pos": [5, 6], "id": "", "ref": ["C", "A"], "alt": ["T", "T"],
    ...                        "alt_freq": [0.75, 0.875], "allele_count": 1000.0})
    >>> table = compare_reference(ours, theirs)
    >>> table["class"].tolist(), table["flipped"].tolist(), table["difference"].tolist()
    (['flipped and swapped', 'palindromic'], [True, True], [0.0, 0.0])
    """
    row, fit = _best(frequencies, reference)
    m = len(frequencies)
    there = row >= 0
    kind = np.full(m, "absent", dtype=object)
    kind[there] = np.array(
        ["same", "swapped", "flipped", "flipped and swapped", "other alleles"], dtype=object
    )[fit[there]]
    matched = there & (fit < 4)
    swapped, flipped = matched & np.isin(fit, (1, 3)), matched & (fit >= 2)
    ours = frequencies["alt_freq"].to_numpy(dtype=np.float64)
    theirs, count = (reference[c].to_numpy(dtype=np.float64) for c in ("alt_freq", "allele_count"))
    their_freq, their_count = np.full(m, np.nan), np.full(m, np.nan)
    their_freq[matched], their_count[matched] = theirs[row[matched]], count[row[matched]]
    their_freq = np.where(swapped, 1.0 - their_freq, their_freq)

    ref, alt = (frequencies[c].astype(str).str.upper() for c in ("ref", "alt"))
    puzzling = matched & (_complement(ref) == alt).to_numpy() & (ref.str.len() == 1).to_numpy()
    far = (np.abs(ours - 0.5) > palindromic_margin) & (np.abs(their_freq - 0.5) > palindromic_margin)
    other_strand = puzzling & far & ((ours > 0.5) != (their_freq > 0.5))
    kind[puzzling] = "palindromic, ambiguous"
    kind[puzzling & far] = "palindromic"
    flipped |= other_strand
    swapped ^= other_strand
    their_freq = np.where(other_strand, 1.0 - their_freq, their_freq)

    told = matched & (kind != "palindromic, ambiguous")
    difference = np.where(told, ours - their_freq, np.nan)
    n1 = frequencies["allele_count"].to_numpy(dtype=np.float64)
    log10_p = _log10_p(ours, n1, their_freq, their_count)
    log10_p[~told] = np.nan
    fst = np.where(told, _fst(ours, n1, their_freq, their_count), np.nan)
    far_apart = np.abs(np.nan_to_num(difference)) > max_difference
    return pd.DataFrame(
        {
            "class": kind,
            "swapped": swapped,
            "flipped": flipped,
            "reference_freq": their_freq,
            "difference": difference,
            "log10_p": log10_p,
            "fst": fst,
            "outlier": far_apart & (np.nan_to_num(log10_p) > CERTAIN_LOG10_P),
        }
    )


def class_counts(table: pd.DataFrame) -> pd.DataFrame:
    """How many variants are of each class: ``class``, ``variants``, ``meaning``, in the order of CLASSES."""
    counts = table["class"].value_counts()
    rows = [(name, int(counts.get(name, 0)), meaning) for name, meaning in CLASSES.items()]
    return pd.DataFrame(rows, columns=["class", "variants", "meaning"])


def _best(ours: pd.DataFrame, reference: pd.DataFrame) -> tuple[Index, Index]:
    """The reference's best row for each variant (-1 for none), and how it fits: 0 same to 4 other alleles."""
    place = bool((reference["pos"] > 0).any())
    keys = ["chrom", "pos"] if place else ["id"]
    known = ours["pos"] > 0 if place else ~ours["id"].isin([".", ""])
    left = ours.loc[known.to_numpy(), [*keys]].assign(row=np.flatnonzero(known))
    right = reference[keys].assign(there=np.arange(len(reference)))
    pairs = left.merge(right, on=keys, how="inner")
    a, b = pairs["row"].to_numpy(), pairs["there"].to_numpy()
    ref, alt = (ours[c].astype(str).str.upper().iloc[a].reset_index(drop=True) for c in ("ref", "alt"))
    their_ref, their_alt = (reference[c].iloc[b].reset_index(drop=True) for c in ("ref", "alt"))
    fit = np.full(len(pairs), 4, dtype=np.int64)
    # The best comes last, so that it overwrites the others.
    for code, (x, y) in (
        (3, (_complement(alt), _complement(ref))),
        (2, (_complement(ref), _complement(alt))),
        (1, (alt, ref)),
        (0, (ref, alt)),
    ):
        fit[(_alike(x, their_ref) & _alike(y, their_alt)).to_numpy()] = code
    order = np.lexsort((b, fit, a))
    first = np.ones(len(order), dtype=np.bool_)
    first[1:] = np.diff(a[order]) != 0
    best = order[first]
    row, how = np.full(len(ours), -1, dtype=np.int64), np.full(len(ours), 4, dtype=np.int64)
    row[a[best]], how[a[best]] = b[best], fit[best]
    return row, how


def _alike(allele: pd.Series, other: pd.Series) -> pd.Series:
    """Equal, or never seen here, which a monomorphic variant's second allele is."""
    return (allele == other) | allele.isin(_UNSEEN)


def _complement(alleles: pd.Series) -> pd.Series:
    """Single bases on the other strand; whatever is longer has no letter-by-letter counterpart."""
    turned = {a: a.translate(_COMPLEMENT) if len(a) == 1 else "" for a in alleles.unique()}
    return alleles.map(turned)


def _log10_p(p1: F64, n1: F64, p2: F64, n2: F64) -> F64:
    from scipy.special import log_ndtr

    exact = ~(n2 > 0)
    pooled = np.where(
        exact, (p1 + p2) / 2, (n1 * p1 + np.where(exact, 0, n2) * p2) / (n1 + np.where(exact, 0, n2))
    )
    share = np.divide(1.0, n1, out=np.full(len(n1), np.nan), where=n1 > 0)
    share = share + np.divide(1.0, n2, out=np.zeros(len(n2)), where=~exact)
    variance = pooled * (1 - pooled) * share
    z = np.divide(np.abs(p1 - p2), np.sqrt(variance), out=np.zeros(len(p1)), where=variance > 0)
    out: F64 = np.where(np.isnan(p1 - p2), np.nan, -(np.log(2.0) + log_ndtr(-z)) / np.log(10.0) + 0.0)
    return np.maximum(out, 0.0)


def _fst(p1: F64, n1: F64, p2: F64, n2: F64) -> F64:
    own = np.divide(p1 * (1 - p1), n1 - 1, out=np.full(len(p1), np.nan), where=n1 > 1)
    other = np.divide(p2 * (1 - p2), n2 - 1, out=np.zeros(len(p2)), where=n2 > 1)
    between = (p1 - p2) ** 2 - own - other
    total = p1 * (1 - p2) + p2 * (1 - p1)
    out: F64 = np.divide(between, total, out=np.full(len(p1), np.nan), where=total > 0)
    return out
