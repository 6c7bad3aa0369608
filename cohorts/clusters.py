"""From pairwise links to people, with guards against clusters that cannot be one person.

Works on integers alone: records, groups already joined by NHS number, and opaque codes for NHS number
and birth date. Plain connected components let one wrong link merge two families of records; here links
are taken from the most to the least probable (Kruskal's order) and a link is refused if the cluster it
would make is contradictory or too large.
"""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

UNKNOWN = -1


@dataclass(frozen=True)
class Clusters:
    """Records gathered into entities.

    Attributes
    ----------
    entity
        (n,) int64: the lowest record number in the record's cluster.
    probability
        (n,) float64: 1 in the group that anchors the entity (its largest; ties to the lowest record), else
        the weakest link on the way from the record's group to the anchor. NaN if the group joined nothing.
    contradictory, too_large, kept_apart
        Links refused by each guard.
    """

    entity: Ints
    probability: Floats
    contradictory: int
    too_large: int
    kept_apart: int


def guarded_clusters(
    group: Ints,
    left: Ints,
    right: Ints,
    probability: Floats,
    number: Ints,
    birth: Ints,
    *,
    apart: tuple[Ints, Ints],
    largest: int,
) -> Clusters:
    """Join groups of records by probable links.

    Parameters
    ----------
    group
        (n,) int64: for each record the lowest record number of its deterministic group.
    left, right, probability
        (e,) links between records, any order.
    number, birth
        (n,) int64 codes of the valid NHS number and of the birth date, :data:`UNKNOWN` where there is none.
        Two records with different known numbers *and* different known birth dates never share a cluster
        through a link of this function.
    apart
        Two (k,) int64 arrays: pairs of records that must not share a cluster.
    largest
        Most records a cluster may hold.

    Examples
    --------
    >>> ints = lambda *values: np.array(values, np.int64)
    >>> made = guarded_clusters(
    ...     ints(0, 1, 2), ints(0, 1), ints(1, 2), np.array([0.99, 0.95]),
    ...     number=ints(7, -1, 8), birth=ints(1, 1, 2), apart=(ints(), ints()), largest=10,
    ... )
    >>> made.entity.tolist(), made.contradictory
    ([0, 0, 2], 1)
    """
    size: dict[int, int] = defaultdict(int)
    profile: dict[int, set[tuple[int, int]]] = defaultdict(set)
    touched = set(group[left].tolist()) | set(group[right].tolist())
    inside = np.flatnonzero(np.isin(group, np.fromiter(touched, np.int64, len(touched))))
    for record in inside.tolist():
        home = int(group[record])
        size[home] += 1
        if number[record] != UNKNOWN and birth[record] != UNKNOWN:
            profile[home].add((int(number[record]), int(birth[record])))
    parent = {home: home for home in touched}
    members = {home: {home} for home in touched}
    group_size = dict(size)

    def root(home: int) -> int:
        while parent[home] != home:
            parent[home] = parent[parent[home]]
            home = parent[home]
        return home

    tree: dict[int, list[tuple[int, float]]] = defaultdict(list)
    strangers: dict[int, set[int]] = defaultdict(set)
    for one, two in zip(group[apart[0]].tolist(), group[apart[1]].tolist(), strict=True):
        strangers[one].add(two)
        strangers[two].add(one)
    contradictory = too_large = separated = 0
    for edge in np.lexsort((right, left, -probability)).tolist():
        a, b = int(group[left[edge]]), int(group[right[edge]])
        into, other = root(a), root(b)
        if into == other:
            continue
        if size[into] + size[other] > largest:
            too_large += 1
            continue
        if _contradict(profile[into], profile[other]):
            contradictory += 1
            continue
        if not strangers[into].isdisjoint(members[other]):
            separated += 1
            continue
        into, other = min(into, other), max(into, other)
        parent[other] = into
        size[into] += size.pop(other)
        profile[into] |= profile.pop(other, set())
        members[into] |= members.pop(other)
        strangers[into] |= strangers.pop(other, set())
        tree[a].append((b, float(probability[edge])))
        tree[b].append((a, float(probability[edge])))
    entity_of, weight_of = _anchored(parent, root, tree, group_size)
    entity = group.copy()
    weight = np.full(len(group), np.nan)
    for record in inside.tolist():
        home = int(group[record])
        entity[record] = entity_of[home]
        weight[record] = weight_of.get(home, np.nan)
    return Clusters(entity, weight, contradictory, too_large, separated)


def _contradict(ours: set[tuple[int, int]], theirs: set[tuple[int, int]]) -> bool:
    return any(n != m and b != c for n, b in ours for m, c in theirs)


def _anchored(
    parent: dict[int, int],
    root: object,
    tree: dict[int, list[tuple[int, float]]],
    group_size: dict[int, int],
) -> tuple[dict[int, int], dict[int, float]]:
    """Entity of each group, and the weakest link between it and its entity's anchor."""
    assert callable(root)
    members: dict[int, list[int]] = defaultdict(list)
    for home in parent:
        members[root(home)].append(home)
    entity_of: dict[int, int] = {}
    weight_of: dict[int, float] = {}
    for homes in members.values():
        lowest = min(homes)
        for home in homes:
            entity_of[home] = lowest
        if len(homes) == 1:
            continue
        anchor = min(homes, key=lambda home: (-group_size[home], home))
        weight_of[anchor] = 1.0
        queue = deque([anchor])
        while queue:
            here = queue.popleft()
            for there, probability in tree[here]:
                if there not in weight_of:
                    weight_of[there] = min(weight_of[here], probability)
                    queue.append(there)
    return entity_of, weight_of
