"""Mendelian errors: calls of children that their parents could not have given them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from gwas.counts import X, Y, variant_group
from gwas.genotypes import Genotypes
from gwas.kernels.mendel import DAUGHTER_ON_X, DIPLOID, LEFT_OUT, NOT_TESTED, SON_ON_X, mendel_codes

Index = npt.NDArray[np.int64]

BLAMED: Final = {
    1: (0, 1, 2),
    2: (0, 1, 2),
    3: (0, 2),
    4: (1, 2),
    5: (2,),
    6: (0, 2),
    7: (1, 2),
    8: (2,),
    9: (1, 2),
    10: (1, 2),
}
"""Whose call may be the wrong one (0 father, 1 mother, 2 child), by error, as PLINK counts it."""


@dataclass(frozen=True, eq=False)
class MendelErrors:
    """What the trios of a set show.

    Attributes
    ----------
    trios
        DataFrame, one row a child both of whose parents are there: ``fid``, ``father``, ``mother``,
        ``child`` (iid), ``father_row``, ``mother_row``, ``child_row`` (rows of ``samples``), ``tested``
        (variants at which it could be judged), ``errors``, ``father_blamed``, ``mother_blamed``,
        ``child_blamed`` (errors in which that person's call may be wrong).
    variants
        DataFrame, one row a variant: ``chrom pos id ref alt``, ``tested`` (trios), ``errors``.
    errors
        DataFrame, one row an error: ``variant``, ``trio`` (rows of the two others) and ``code`` (1 to 10, see
        :func:`mendel_errors`); None where it was not asked for.
    """

    trios: pd.DataFrame
    variants: pd.DataFrame
    errors: pd.DataFrame | None


def find_trios(genotypes: Genotypes) -> pd.DataFrame:
    """Children both of whose parents are among the samples, in the same family (FID).

    Returns
    -------
    DataFrame
        ``fid``, ``father``, ``mother``, ``child``, ``father_row``, ``mother_row``, ``child_row``, in the order
        of the children.
    """
    samples = genotypes.samples
    row_of = {pair: row for row, pair in enumerate(zip(samples["fid"], samples["iid"], strict=True))}
    found = [
        (fid, father, mother, child, row_of[fid, father], row_of[fid, mother], row)
        for row, (fid, child, father, mother) in enumerate(
            zip(samples["fid"], samples["iid"], samples["father"], samples["mother"], strict=True)
        )
        if (fid, father) in row_of and (fid, mother) in row_of
    ]
    columns = ["fid", "father", "mother", "child", "father_row", "mother_row", "child_row"]
    table = pd.DataFrame(found, columns=columns)
    return table.astype(dict.fromkeys(columns[4:], np.int64))


def mendel_errors(
    genotypes: Genotypes,
    *,
    trios: pd.DataFrame | None = None,
    build: str | None = None,
    listed: bool = False,
) -> MendelErrors:
    """Compare every child with its parents at every variant of the autosomes and X.

    Parameters
    ----------
    genotypes
        Samples with ``father`` and ``mother``; Y, MT and variants of unknown place are not judged.
    trios
        From :func:`find_trios`, or some of its rows; default all.
    build
        Genome build, so that pseudo-autosomal variants that are called X are judged as what they are.
    listed
        Also list each error (memory grows with their number).

    Returns
    -------
    MendelErrors
        Errors are numbered as in PLINK: with A and B for two copies of ALT and of REF, father x mother ->
        child, 1: A x A -> AB; 2: B x B -> AB; 3: B x any -> A; 4: any x B -> A; 5: B x B -> A;
        6: A x any -> B; 7: any x A -> B; 8: A x A -> B; and of sons on X, who have their mother's alone,
        9: A -> B and 10: B -> A. A parent's missing call, or a man's heterozygous one on X, says
        nothing; a child of unknown sex is not judged on X.

    Raises
    ------
    InputError
        If the genotype file shrank or vanished.

    Examples
    --------
    >>> from gwas.kernels.packed import pack
    >>> class Memory:
    ...     n_samples, path = 3, None
    ...     def read(self, variants):
    ...         return pack(np.array([[0, 0, 1], [1, 0, 1]], dtype=np.int8))[variants]
    >>> people = pd.DataFrame({"fid": "f", "iid": ["dad", "mum", "kid"], "sex": ["M", "F", "F"],
    ...                        "father": ["0", "0", "dad"], "mother": ["0", "0", "mum"]})
    >>> variants = pd.DataFrame({"chrom": "1", "pos": [1, 2], "id": ["a", "b"], "ref": "G", "alt": "A"})
    >>> mendel_errors(Genotypes(Memory(), people, variants)).variants["errors"].tolist()
    [1, 0]
    """
    who = find_trios(genotypes) if trios is None else trios.reset_index(drop=True)
    rows = who[["father_row", "mother_row", "child_row"]].to_numpy(dtype=np.int64).reshape(-1, 3)
    in_file = rows if genotypes.sample_index is None else genotypes.sample_index[rows]
    sex = genotypes.samples["sex"].to_numpy(dtype=object)[rows[:, 2]]
    of_child = np.select([sex == "M", sex == "F"], [SON_ON_X, DAUGHTER_ON_X], LEFT_OUT).astype(np.uint8)
    group = variant_group(genotypes, build=build)
    unjudged = (group == Y) | genotypes.variants["chrom"].isin(["MT"]).to_numpy()
    by_variant = np.zeros((genotypes.n_variants, 2), dtype=np.int64)
    by_trio = np.zeros((len(who), 256), dtype=np.int64)
    parts: list[npt.NDArray[np.int64]] = []
    for block in genotypes.blocks(1024) if len(who) else ():
        span = slice(block.start, block.stop)
        kind = np.full((block.n_variants, len(who)), DIPLOID, dtype=np.uint8)
        kind[group[span] == X] = of_child
        kind[unjudged[span]] = LEFT_OUT
        codes = mendel_codes(block.packed, in_file, kind)
        wrong = (codes > 0) & (codes != NOT_TESTED)
        by_variant[span, 0] = (codes != NOT_TESTED).sum(axis=1)
        by_variant[span, 1] = wrong.sum(axis=1)
        np.add.at(by_trio, (np.arange(len(who))[None, :], codes), 1)
        if listed:
            at, trio = np.nonzero(wrong)
            parts.append(np.column_stack([at + block.start, trio, codes[at, trio]]))
    who = who.assign(
        tested=by_trio[:, :NOT_TESTED].sum(axis=1),
        errors=by_trio[:, 1:11].sum(axis=1),
        **{
            f"{name}_blamed": by_trio[:, [code for code, blamed in BLAMED.items() if place in blamed]].sum(
                axis=1
            )
            for place, name in enumerate(("father", "mother", "child"))
        },
    )
    table = genotypes.variants[["chrom", "pos", "id", "ref", "alt"]].copy()
    table["tested"], table["errors"] = by_variant[:, 0], by_variant[:, 1]
    every = np.concatenate([np.empty((0, 3), dtype=np.int64), *parts])
    return MendelErrors(
        who, table, pd.DataFrame(every, columns=["variant", "trio", "code"]) if listed else None
    )
