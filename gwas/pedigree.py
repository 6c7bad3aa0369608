"""Families as connected components of kinship, and splits that never cut through one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from gwas.relatedness import DEGREES, connected

Labels = npt.NDArray[np.int64]


def families(iids: Sequence[str], kinship: pd.DataFrame, *, above: float = DEGREES["third"]) -> Labels:
    """Give each sample the label of its family: all whom a chain of kinship reaches.

    Parameters
    ----------
    iids
        Sample identifiers, unique.
    kinship
        Pairs with ``iid1``, ``iid2`` and ``kinship``; pairs with somebody not in ``iids`` are left aside.
    above
        Kinship above which two people belong together; the default joins third degree.

    Returns
    -------
    ndarray of int64 (n,)
        Labels 0, 1, 2 … in order of first appearance; a person without relatives is a family of one.

    Examples
    --------
    >>> pairs = pd.DataFrame({"iid1": ["a", "b"], "iid2": ["b", "d"], "kinship": [0.25, 0.25]})
    >>> families(["a", "b", "c", "d"], pairs).tolist()
    [0, 0, 1, 0]
    """
    row_of = {iid: row for row, iid in enumerate(iids)}
    if len(row_of) != len(iids):
        raise ValueError("sample identifiers are not unique")
    close = kinship[
        (kinship["kinship"] > above) & kinship["iid1"].isin(row_of) & kinship["iid2"].isin(row_of)
    ]
    representative = np.arange(len(iids), dtype=np.int64)
    left = [row_of[iid] for iid in close["iid1"]]
    right = [row_of[iid] for iid in close["iid2"]]
    for group in connected(left, right):
        representative[group] = group[0]
    labels, _ = pd.factorize(representative)
    return labels.astype(np.int64)


def split_families(
    labels: npt.ArrayLike,
    *,
    fractions: Mapping[str, float],
    rng: np.random.Generator,
    keep_whole: bool = True,
) -> npt.NDArray[np.object_]:
    """Split people at random into named parts without cutting through a family.

    Families are dealt in random order, the largest first, each to the part that is furthest behind its
    share, so that the parts come as near to their sizes as whole families allow.

    Parameters
    ----------
    labels
        int (n,): family of each person, from :func:`families`.
    fractions
        Share of each part; they must add up to 1.
    rng
        Source of randomness.
    keep_whole
        False deals people one by one, as if nobody had relatives.

    Returns
    -------
    ndarray of object (n,)
        The part's name for each person.

    Raises
    ------
    ValueError
        If a share is negative or they do not add up to 1.

    Examples
    --------
    >>> parts = split_families([0, 0, 1, 2], fractions={"a": 0.5, "b": 0.5}, rng=np.random.default_rng(1))
    >>> bool(parts[0] == parts[1]), sorted(parts)
    (True, ['a', 'a', 'b', 'b'])
    """
    shares = np.array(list(fractions.values()), dtype=np.float64)
    if (shares < 0).any() or not np.isclose(shares.sum(), 1.0):
        raise ValueError(f"the parts' shares must add up to 1, not {shares.sum():g}")
    family = np.asarray(labels, dtype=np.int64)
    units = family if keep_whole else np.arange(len(family), dtype=np.int64)
    values, of_person, sizes = np.unique(units, return_inverse=True, return_counts=True)
    order = rng.permutation(len(values))
    order = order[np.argsort(-sizes[order], kind="stable")]
    wanted = shares * len(family)
    filled = np.zeros(len(shares))
    part_of = np.empty(len(values), dtype=np.int64)
    alone = order[sizes[order] == 1]
    for unit in order[: len(order) - len(alone)]:
        part = int(np.argmax(wanted - filled))
        part_of[unit] = part
        filled[part] += sizes[unit]
    # The many people without relatives fill each part up to its share in one go.
    part_of[alone] = np.repeat(np.arange(len(shares)), _apportion(wanted - filled, len(alone)))
    names = np.array(list(fractions), dtype=object)
    return names[part_of[of_person]]


def _apportion(gaps: npt.NDArray[np.float64], total: int) -> Labels:
    """Whole numbers that add up to ``total``, as near to the non-negative gaps as can be."""
    room = np.maximum(gaps, 0.0)
    exact = room * (total / room.sum()) if room.sum() > 0 else room
    whole = np.floor(exact + 1e-9).astype(np.int64)
    short = total - int(whole.sum())
    if short:
        whole[np.argsort(whole - exact, kind="stable")[:short]] += 1
    return whole
