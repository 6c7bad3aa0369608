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
CONTRADICTORY, TOO_LARGE, APART = GUARDS = ("contradictory", "too large", "kept apart")


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
    refused
        (k,) int64: positions of the links that a guard refused, in the order they were met.
    guard
        (k,) object: the guard that refused each, one of :data:`GUARDS`.
    """

    entity: Ints
    probability: Floats
    refused: Ints
    guard: npt.NDArray[np.object_]

    def count(self, guard: str) -> int:
        """Links that this guard refused."""
        return int((self.guard == guard).sum())


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
        (n,) int64 codes of the valid NHS number, and birth dates as year * 10000 + month * 100 + day with 0
        for a month or day that is not known; :data:`UNKNOWN` where there is none. Two records with different
        known numbers *and* birth dates that differ in what both know never share a cluster through a link of
        this function.
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
    >>> made.entity.tolist(), made.count(CONTRADICTORY)
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
    refused: list[tuple[int, str]] = []
    for edge in np.lexsort((right, left, -probability)).tolist():
        a, b = int(group[left[edge]]), int(group[right[edge]])
        into, other = root(a), root(b)
        if into == other:
            continue
        if size[into] + size[other] > largest:
            refused.append((edge, TOO_LARGE))
            continue
        if _contradict(profile[into], profile[other]):
            refused.append((edge, CONTRADICTORY))
            continue
        if not strangers[into].isdisjoint(members[other]):
            refused.append((edge, APART))
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
    edges = np.array([edge for edge, _ in refused], np.int64)
    return Clusters(entity, weight, edges, np.array([guard for _, guard in refused], object))


def settled_groups(
    records: int, edges: tuple[Ints, Ints], *, same: tuple[Ints, Ints], different: tuple[Ints, Ints]
) -> tuple[Ints, int]:
    """Groups of records that are settled before anything is scored.

    Parameters
    ----------
    records
        How many there are.
    edges
        Pairs of records that a rule has joined.
    same, different
        Pairs that a clerk has confirmed or refused. Refused pairs stay apart whatever joins them on the
        way; a confirmed pair goes before a rule's.

    Returns
    -------
    group
        (records,) int64: the lowest record of each record's group.
    contradicted
        Confirmed pairs that the refused ones do not allow.

    Examples
    --------
    >>> ints = lambda *values: np.array(values, np.int64)
    >>> group, _ = settled_groups(
    ...     4, (ints(0, 1), ints(1, 2)), same=(ints(3), ints(2)), different=(ints(0), ints(2))
    ... )
    >>> group.tolist()
    [0, 0, 2, 2]
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    a, b = np.concatenate([same[0], edges[0]]), np.concatenate([same[1], edges[1]])
    graph = coo_array((np.ones(len(a), np.int8), (a, b)), shape=(records, records))
    _, label = connected_components(graph, directed=False)
    lowest = np.full(label.max(initial=-1) + 1, records, np.int64)
    np.minimum.at(lowest, label, np.arange(records))
    group = lowest[label]
    torn = np.unique(group[different[0]][group[different[0]] == group[different[1]]])
    if not len(torn):
        return group, 0
    inside = np.isin(group, torn)
    strangers: dict[int, set[int]] = defaultdict(set)
    for one, two in zip(different[0].tolist(), different[1].tolist(), strict=True):
        strangers[one].add(two)
        strangers[two].add(one)
    home = {record: {record} for record in np.flatnonzero(inside).tolist()}
    contradicted = 0
    for edge in np.flatnonzero(inside[a]).tolist():
        ours, theirs = home[int(a[edge])], home[int(b[edge])]
        if ours is theirs:
            continue
        if any(not strangers[record].isdisjoint(theirs) for record in ours if record in strangers):
            contradicted += edge < len(same[0])
            continue
        ours |= theirs
        for record in theirs:
            home[record] = ours
    for record, members in home.items():
        group[record] = min(members)
    return group, contradicted


def _contradict(ours: set[tuple[int, int]], theirs: set[tuple[int, int]]) -> bool:
    return any(n != m and _differ(b, c) for n, b in ours for m, c in theirs)


def _differ(ours: int, theirs: int) -> bool:
    """Whether two birth dates differ in a part that both know.

    >>> _differ(19700000, 19700506), _differ(19700400, 19700506)
    (False, True)
    """
    if ours // 10000 != theirs // 10000:
        return True
    months, days = (ours // 100 % 100, theirs // 100 % 100), (ours % 100, theirs % 100)
    return any(a != b and a != 0 and b != 0 for a, b in (months, days))


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
