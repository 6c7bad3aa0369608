"""Relatives among the genotyped, and the pedigree (with unseen parents) that makes them so."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cohorts.synthetic.people import YEAR, Births

#: Pairs made for each hundred genotyped people.
PAIRS_PER_HUNDRED: dict[str, float] = {"parent_child": 1.8, "sibling": 2.2, "cousin": 1.0, "mz_twin": 0.15}
#: Kinship coefficient of each relation.
KINSHIP: dict[str, float] = {"mz_twin": 0.5, "parent_child": 0.25, "sibling": 0.25, "cousin": 0.0625}


@dataclass(frozen=True)
class Pedigree:
    """Genomes to be made; a parent always stands at a lower `level` than the child.

    Attributes
    ----------
    mother, father
        (genomes,) positions of the parents, -1 for founders.
    level
        (genomes,) 0 for founders, else one more than the higher parent.
    male, ancestry
        (genomes,).
    """

    mother: NDArray[np.int32]
    father: NDArray[np.int32]
    level: NDArray[np.int8]
    male: NDArray[np.bool_]
    ancestry: NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.male)


@dataclass(frozen=True)
class Families:
    """The genotyped with their relatives.

    Attributes
    ----------
    births
        Births in which relatives have fitting ages, sexes and ancestries.
    genome
        (people,) genome of each person, -1 for none; identical twins share one.
    pedigree
        The genomes, the genotyped people's first.
    kin
        Columns person1, person2, relation, kinship.
    namesake
        (people,) relative with the same surname at birth, -1 for none.
    """

    births: Births
    genome: NDArray[np.int32]
    pedigree: Pedigree
    kin: pd.DataFrame
    namesake: NDArray[np.int32]


class _Tree:
    """Genomes while they are being listed."""

    def __init__(self, male: NDArray[np.bool_], ancestry: NDArray[np.int8]) -> None:
        self.male = [bool(value) for value in male]
        self.ancestry = [int(value) for value in ancestry]
        self.parents: list[tuple[int, int]] = [(-1, -1)] * len(self.male)

    def add(self, male: bool, ancestry: int, parents: tuple[int, int] = (-1, -1)) -> int:
        self.male.append(male)
        self.ancestry.append(ancestry)
        self.parents.append(parents)
        return len(self.male) - 1

    def couple(self, one: int) -> tuple[int, int]:
        """`one` with an unseen founder of the other sex, mother first."""
        other = self.add(not self.male[one], self.ancestry[one])
        return (other, one) if self.male[one] else (one, other)

    def pedigree(self) -> Pedigree:
        parents = np.array(self.parents, np.int32).reshape(-1, 2)
        level = np.zeros(len(parents), np.int8)
        for _ in range(3):
            above = np.where(parents >= 0, level[parents], -1).max(axis=1)
            level = (above + 1).astype(np.int8)
        return Pedigree(
            parents[:, 0], parents[:, 1], level, np.array(self.male, bool), np.array(self.ancestry, np.int8)
        )


def make_families(births: Births, genotyped: NDArray[np.int64], rng: np.random.Generator) -> Families:
    """Turn about a tenth of the genotyped into parents and children, siblings, cousins and twins."""
    births = replace(
        births, birth=births.birth.copy(), male=births.male.copy(), ancestry=births.ancestry.copy()
    )
    free = np.ones(len(genotyped), bool)
    pairs: list[tuple[str, int, int]] = []
    gaps = {"parent_child": (-27.0, 4.0), "sibling": (0.0, 3.0), "cousin": (0.0, 6.0), "mz_twin": (0.0, 0.5)}
    for relation, share in PAIRS_PER_HUNDRED.items():
        wanted = max(1, round(share * len(genotyped) / 100)) if len(genotyped) >= 100 else 0
        for first in rng.permutation(len(genotyped))[: 4 * wanted]:
            if wanted == 0:
                break
            second = _partner(relation, int(first), genotyped, free, births, rng.normal(*gaps[relation]))
            if second is not None:
                pairs.append((relation, int(first), second))
                free[[int(first), second]] = False
                wanted -= 1
    _adapt(pairs, genotyped, births, rng)
    return _assemble(pairs, genotyped, births)


def _partner(
    relation: str,
    first: int,
    genotyped: NDArray[np.int64],
    free: NDArray[np.bool_],
    births: Births,
    gap: float,
) -> int | None:
    """A free person whose birth fits `relation`; for a parent, some `gap` years before the child's."""
    if not free[first]:
        return None
    target = births.birth[genotyped[first]] + gap * YEAR
    distance = np.abs(births.birth[genotyped] - target)
    distance[~free] = np.inf
    distance[first] = np.inf
    second = int(np.argmin(distance))
    years = (births.birth[genotyped[second]] - births.birth[genotyped[first]]) / YEAR
    low, high = {"parent_child": (-45, -17), "sibling": (-14, 14), "cousin": (-25, 25), "mz_twin": (-3, 3)}[
        relation
    ]
    return second if np.isfinite(distance[second]) and low < years < high else None


def _adapt(
    pairs: list[tuple[str, int, int]], genotyped: NDArray[np.int64], births: Births, rng: np.random.Generator
) -> None:
    """Give the second of each pair the ancestry of the first, and twins one birthday."""
    for relation, first, second in pairs:
        one, two = genotyped[first], genotyped[second]
        births.ancestry[two] = births.ancestry[one]
        gap = abs(int(births.birth[two]) - int(births.birth[one]))
        if relation == "mz_twin" or (relation == "sibling" and (gap < 300 or rng.random() < 0.05)):
            births.birth[two] = births.birth[one]
            births.arrive[two] = max(int(births.arrive[two]), int(births.birth[two]))
        if relation == "mz_twin":
            births.male[two] = births.male[one]


def _assemble(pairs: list[tuple[str, int, int]], genotyped: NDArray[np.int64], births: Births) -> Families:
    tree = _Tree(births.male[genotyped], births.ancestry[genotyped])
    own = np.arange(len(genotyped), dtype=np.int32)
    namesake = np.full(len(births.birth), -1, np.int32)
    rows = []
    for relation, first, second in pairs:
        person1, person2 = int(genotyped[first]), int(genotyped[second])
        rows.append((person1, person2, relation, KINSHIP[relation]))
        if relation == "mz_twin":
            own[second] = first
        elif relation == "parent_child":
            tree.parents[first] = tree.couple(second)
        elif relation == "sibling":
            tree.parents[first] = tree.parents[second] = tree.couple(tree.add(False, tree.ancestry[first]))
        else:
            grandparents = tree.couple(tree.add(False, tree.ancestry[first]))
            for child, parent_male in ((first, True), (second, False)):
                tree.parents[child] = tree.couple(tree.add(parent_male, tree.ancestry[first], grandparents))
        if relation != "cousin":
            namesake[person2] = person1
    genome = np.full(len(births.birth), -1, np.int32)
    genome[genotyped] = own
    kin = pd.DataFrame(rows, columns=["person1", "person2", "relation", "kinship"])
    return Families(births, genome, tree.pedigree(), kin, namesake)
