"""Who is related to whom, who was genotyped twice, and a largest set of people who are not related."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from gwas.counts import AUTOSOME, variant_group
from gwas.engines.threads import checked_threads
from gwas.genotypes import Genotypes
from gwas.independent_set import independent_set
from gwas.kernels.king import PARTNERS, TILE, king_rows
from gwas.kernels.planes import Words, add_sample_planes, plane_words, selected_calls, whole_codes

if TYPE_CHECKING:
    import pandas as pd

Index = npt.NDArray[np.int64]

DEGREES: Final = {"duplicate": 2**-1.5, "first": 2**-2.5, "second": 2**-3.5, "third": 2**-4.5}
"""Smallest kinship of each class: the geometric means between 1/2, 1/4, 1/8, 1/16 and 1/32 (KING)."""

PARENT_CHILD_IBS0: Final = 0.1
"""A parent and a child share an allele everywhere; full siblings have a quarter of strangers' IBS0."""

RELATIONS: Final = np.array(
    ["unrelated", "third", "second", "parent-child", "duplicate", "full siblings"], dtype=object
)

BLOCK: Final = 1024
ROWS: Final = 4 * TILE
PLANES_BYTES: Final = 2**30
"""Planes of more are made of two parts of the samples at a time, each time reading the file."""

_Found = tuple[Index, Index, npt.NDArray[np.float64]]


def kinship(
    genotypes: Genotypes,
    *,
    variants: npt.ArrayLike | None = None,
    at_least: float = DEGREES["third"],
    threads: int = 2,
) -> pd.DataFrame:
    """KING-robust kinship of all pairs of samples.

    Parameters
    ----------
    genotypes
        All its samples are compared, over its autosomal variants.
    variants
        Rows of ``genotypes.variants`` to use; the autosomal ones of them count. Default: all. Some
        thousands of common variants tell first and second degree from strangers.
    at_least
        Smallest kinship to report; ``-inf`` reports every pair.
    threads
        Threads.

    Returns
    -------
    DataFrame
        One row a pair, in sample order: ``iid1``, ``iid2``, ``nsnp`` (variants called in both), ``hethet``
        and ``ibs0`` (as fractions of nsnp), ``kinship``, ``relation`` (see :func:`relation_of`), ``row1``
        and ``row2`` (positions in ``genotypes.samples``). PLINK 2's --make-king-table has the same numbers.

    References
    ----------
    Manichaikul et al. (2010), Bioinformatics 26:2867, the between-family estimator: 1/2 less the mean squared
    difference of the two genotypes over four times the smaller heterozygosity. It needs no allele
    frequencies, hence no ancestry model; pairs of different ancestries come out too low, not too high.

    Examples
    --------
    >>> round(DEGREES["second"], 4)
    0.0884
    """
    import pandas as pd

    pairs = king_pairs(genotypes, variants=variants, at_least=at_least, threads=threads)
    iid = genotypes.samples["iid"].to_numpy()
    return pd.DataFrame(
        {
            "iid1": iid[pairs.row1],
            "iid2": iid[pairs.row2],
            "nsnp": pairs.nsnp,
            "hethet": pairs.hethet,
            "ibs0": pairs.ibs0,
            "kinship": pairs.kinship,
            "relation": relation_of(pairs.kinship, pairs.ibs0, strangers=pairs.strangers_ibs0),
            "row1": pairs.row1,
            "row2": pairs.row2,
        }
    )


class KingPairs(NamedTuple):
    """Pairs of samples: the columns of :func:`kinship` as arrays, and the IBS0 fraction of strangers."""

    row1: Index
    row2: Index
    nsnp: Index
    hethet: npt.NDArray[np.float64]
    ibs0: npt.NDArray[np.float64]
    kinship: npt.NDArray[np.float64]
    strangers_ibs0: float


def king_pairs(
    genotypes: Genotypes,
    *,
    variants: npt.ArrayLike | None = None,
    at_least: float = DEGREES["third"],
    threads: int = 2,
) -> KingPairs:
    """:func:`kinship` without a frame, for tables of millions of pairs."""
    autosomal = _autosomal(genotypes, variants)
    n = autosomal.n_samples
    found: list[_Found] = []
    strangers = 0.0
    for samples, other in _shares(n, plane_words(autosomal.n_variants)):
        chosen = autosomal if len(samples) == n else autosomal.select(samples=samples)
        hom, alt = _padded_planes(chosen, threads=threads)
        if not found:
            strangers = _strangers_ibs0(hom[: len(samples)], alt[: len(samples)])
        found += [
            (samples[index], counts, phi)
            for index, counts, phi in _pairs_of(hom, alt, len(samples), other, at_least, threads)
        ]
    index = np.concatenate([part[0] for part in found]) if found else np.empty((0, 2), dtype=np.int64)
    counts = np.concatenate([part[1] for part in found]) if found else np.empty((0, 3), dtype=np.int64)
    phi = np.concatenate([part[2] for part in found]) if found else np.empty(0)
    order = np.argsort(index[:, 0] * n + index[:, 1])
    index, counts = index[order], counts[order]
    shared = np.maximum(counts[:, 0], 1)
    return KingPairs(
        row1=index[:, 0],
        row2=index[:, 1],
        nsnp=counts[:, 0],
        hethet=counts[:, 2] / shared,
        ibs0=counts[:, 1] / shared,
        kinship=phi[order],
        strangers_ibs0=strangers,
    )


def _shares(n: int, words: int) -> Iterator[tuple[Index, int]]:
    """Samples whose planes are in memory together, and the place among them from which partners are taken.

    Everybody at once, unless that is too much: then two parts of the samples at a time.
    """
    most = PLANES_BYTES // (16 * max(words, 1))
    parts = 1 if n <= most else -(-n // max(most // 2, 1))
    edges = np.linspace(0, n, parts + 1).astype(int).tolist()
    runs = [np.arange(a, b, dtype=np.int64) for a, b in pairwise(edges)]
    for k, run in enumerate(runs):
        yield run, 0
        for later in runs[k + 1 :]:
            yield np.concatenate([run, later]), len(run)


def _pairs_of(hom: Words, alt: Words, n: int, other: int, at_least: float, threads: int) -> list[_Found]:
    hets = np.bitwise_count(alt[:n] & ~hom[:n]).sum(axis=1, dtype=np.int64)
    last = other or n

    def rows(start: int) -> _Found:
        stop = min(start + ROWS, last)
        capacity = 4096 if np.isfinite(at_least) else (stop - start) * (n - start)
        while True:
            index, counts, phi, size = king_rows(
                hom, alt, hets, start, stop, other=other, at_least=at_least, capacity=capacity
            )
            if size <= capacity:
                return index, counts, phi
            capacity = size

    with ThreadPoolExecutor(max_workers=checked_threads(threads)) as pool:
        return list(pool.map(rows, range(0, last, ROWS)))


def sample_planes(
    genotypes: Genotypes, variants: npt.ArrayLike | None = None, *, threads: int = 2
) -> tuple[Words, Words]:
    """Bit-planes of all samples over the autosomal variants: two uint64 arrays (n, words)."""
    hom, alt = _padded_planes(_autosomal(genotypes, variants), threads=threads)
    return hom[: genotypes.n_samples], alt[: genotypes.n_samples]


def _autosomal(genotypes: Genotypes, variants: npt.ArrayLike | None) -> Genotypes:
    autosomal = variant_group(genotypes) == AUTOSOME
    if variants is not None:
        chosen = np.zeros(genotypes.n_variants, dtype=np.bool_)
        chosen[np.asarray(variants)] = True
        autosomal &= chosen
    return genotypes if autosomal.all() else genotypes.select(variants=autosomal)


def _padded_planes(genotypes: Genotypes, *, threads: int) -> tuple[Words, Words]:
    """Planes in whole registers of words, with the empty rows that the kernel reads past the last sample."""
    n = genotypes.n_samples
    hom = np.zeros((n + PARTNERS, plane_words(genotypes.n_variants)), dtype=np.uint64)
    alt = np.zeros_like(hom)
    cuts = np.linspace(0, (n + 63) // 64, checked_threads(threads) + 1).astype(int).tolist()
    with ThreadPoolExecutor(max_workers=checked_threads(threads)) as pool:
        for block in genotypes.blocks(BLOCK):
            codes = whole_codes(selected_calls(block.packed, block.sample_index))
            jobs = [
                pool.submit(add_sample_planes, codes, n, (a, b), block.start, hom, alt)
                for a, b in pairwise(cuts)
                if b > a
            ]
            for job in jobs:
                job.result()
    return hom, alt


def kinship_noise(
    genotypes: Genotypes,
    *,
    rng: np.random.Generator,
    variants: npt.ArrayLike | None = None,
    pairs: int = 2000,
) -> float:
    """How far the kinship of strangers scatters by chance: the robust SD of random pairs.

    With few or dependent variants it can reach the kinship of cousins, and a pair means nothing then. Give
    people of one ancestry, because pairs across ancestries are low for another reason.
    """
    hom, alt = sample_planes(genotypes, variants)
    n = hom.shape[0]
    if n < 3:
        return 0.0
    i = rng.integers(0, n, pairs)
    j = (i + rng.integers(1, n, pairs)) % n
    het_i, het_j = alt[i] & ~hom[i], alt[j] & ~hom[j]
    count = [
        np.bitwise_count(words).sum(axis=1, dtype=np.int64)
        for words in (hom[i] & hom[j] & (alt[i] ^ alt[j]), het_i & het_j, het_i & hom[j], hom[i] & het_j)
    ]
    fewer = count[1] + np.minimum(count[2], count[3])
    phi = 0.5 - (4.0 * count[0] + count[2] + count[3]) / np.maximum(4.0 * fewer, 1.0)
    return float(1.4826 * np.median(np.abs(phi - np.median(phi))))


def relation_of(kinship: npt.ArrayLike, ibs0: npt.ArrayLike, *, strangers: float) -> npt.NDArray[np.object_]:
    """Name the relation that a kinship speaks for.

    Parameters
    ----------
    kinship, ibs0
        float (k,): kinship and fraction of variants with opposite homozygotes.
    strangers
        The fraction expected of unrelated people, against which parent and child (about none) are told
        from full siblings (about a quarter).

    Returns
    -------
    ndarray of object (k,)
        ``duplicate`` (or identical twins), ``parent-child``, ``full siblings``, ``second``, ``third``,
        ``unrelated``.

    Examples
    --------
    >>> relation_of([0.5, 0.25, 0.25, 0.12, 0.0], [0, 0, 0.02, 0.05, 0.08], strangers=0.08).tolist()
    ['duplicate', 'parent-child', 'full siblings', 'second', 'unrelated']
    """
    phi = np.asarray(kinship, dtype=np.float64)
    opposite = np.asarray(ibs0, dtype=np.float64)
    reached = np.searchsorted(sorted(DEGREES.values()), phi, side="left")
    # What is not a number sorts past the end, and is nobody's relative.
    reached[np.isnan(phi)] = 0
    siblings = (reached == len(DEGREES) - 1) & ~(opposite < PARENT_CHILD_IBS0 * strangers)
    return RELATIONS[np.where(siblings, len(RELATIONS) - 1, reached)]


def unrelated(
    n: int,
    pairs: pd.DataFrame | Mapping[str, Any],
    *,
    above: float = DEGREES["second"],
    prefer: npt.ArrayLike | None = None,
) -> npt.NDArray[np.bool_]:
    """A largest set of samples no two of which are related.

    Nobody could be added to it, and no other set is larger, but for families so entangled that the search for
    one gives up (:mod:`gwas.independent_set`). Of equally large sets, those are sought whose members are
    preferred: none of them could be exchanged for one relative of theirs who is preferred.

    Parameters
    ----------
    n
        Number of samples.
    pairs
        Rows of :func:`kinship`, or arrays: ``row1``, ``row2``, ``kinship``.
    above
        Kinship above which two people are related; 0.0884 leaves third degree in.
    prefer
        float (n,): whom to keep among equals, larger first (call rate, or case status).

    Returns
    -------
    ndarray of bool (n,)
        True for those in the set.

    Examples
    --------
    >>> import pandas as pd
    >>> trio = pd.DataFrame({"row1": [0, 1], "row2": [2, 2], "kinship": [0.25, 0.25]})
    >>> unrelated(3, trio).tolist()
    [True, True, False]
    """
    close = np.asarray(pairs["kinship"]) > above
    wish = np.zeros(n) if prefer is None else np.asarray(prefer, dtype=np.float64)
    left, right = (np.asarray(pairs[name])[close].tolist() for name in ("row1", "row2"))
    relatives: dict[int, set[int]] = {}
    for a, b in zip(left, right, strict=True):
        relatives.setdefault(a, set()).add(b)
        relatives.setdefault(b, set()).add(a)
    kept = np.ones(n, dtype=np.bool_)
    for family in connected(left, right):
        family.sort(key=lambda person: (-wish[person], person))
        place = {person: k for k, person in enumerate(family)}
        chosen = independent_set([sum(1 << place[other] for other in relatives[person]) for person in family])
        inside = {person for k, person in enumerate(family) if chosen >> k & 1}
        _exchange(family, relatives, inside)
        kept[[person for person in family if person not in inside]] = False
    return kept


def _exchange(family: list[int], relatives: dict[int, set[int]], inside: set[int]) -> None:
    """Give places in the set to people who come earlier in ``family``, one for one, until nobody gains."""
    place = {person: k for k, person in enumerate(family)}
    changed = True
    while changed:
        changed = False
        for person in family:
            rivals = relatives[person] & inside
            if person not in inside and len(rivals) == 1 and place[person] < place[min(rivals)]:
                inside -= rivals
                inside.add(person)
                changed = True


def duplicates_to_drop(
    n: int, pairs: pd.DataFrame, *, call_rate: npt.ArrayLike, above: float = DEGREES["duplicate"]
) -> npt.NDArray[np.bool_]:
    """Mark, of each group of duplicates, all but the best called (the first on a tie): bool (n,).

    Identical twins look the same to genotypes and are thinned alike.
    """
    same = pairs[pairs["kinship"] > above]
    rate = np.asarray(call_rate, dtype=np.float64)
    dropped = np.zeros(n, dtype=np.bool_)
    for group in connected(same["row1"].tolist(), same["row2"].tolist()):
        best = min(group, key=lambda person: (-rate[person], person))
        dropped[[person for person in group if person != best]] = True
    return dropped


def connected(left: Sequence[int], right: Sequence[int]) -> list[list[int]]:
    """Groups of two and more that the edges ``left[k] - right[k]`` hold together, each in order."""
    joined: dict[int, list[int]] = {}
    for a, b in zip(left, right, strict=True):
        joined.setdefault(a, []).append(b)
        joined.setdefault(b, []).append(a)
    groups = []
    seen: set[int] = set()
    for person in sorted(joined):
        if person in seen:
            continue
        seen.add(person)
        group = [person]
        for member in group:
            fresh = [other for other in joined[member] if other not in seen]
            seen.update(fresh)
            group.extend(dict.fromkeys(fresh))
        groups.append(sorted(group))
    return groups


def _strangers_ibs0(hom: Words, alt: Words) -> float:
    """Median IBS0 fraction of neighbours in the file at distances at which few are kin."""
    n = hom.shape[0]
    values = []
    for shift in {1, max(1, n // 3), max(1, n // 2 - 1)}:
        rows = np.arange(0, n - shift, max(1, (n - shift) // 200))
        opposite = hom[rows] & hom[rows + shift] & (alt[rows] ^ alt[rows + shift])
        called = (hom[rows] | alt[rows]) & (hom[rows + shift] | alt[rows + shift])
        values.append(
            np.bitwise_count(opposite).sum(axis=1) / np.maximum(np.bitwise_count(called).sum(axis=1), 1)
        )
    return float(np.median(np.concatenate(values))) if n > 1 else 0.0
