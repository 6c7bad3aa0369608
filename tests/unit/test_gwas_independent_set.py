"""Largest independent sets against trying every set, and on pedigrees."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from gwas.independent_set import independent_set
from gwas.relatedness import unrelated

Edges = set[tuple[int, int]]


def masks(n: int, edges: Edges) -> list[int]:
    neighbours = [0] * n
    for a, b in edges:
        neighbours[a] |= 1 << b
        neighbours[b] |= 1 << a
    return neighbours


def random_edges(n: int, count: int, rng: np.random.Generator) -> Edges:
    pairs = rng.integers(0, n, (count, 2))
    return {(int(min(p)), int(max(p))) for p in pairs if p[0] != p[1]}


def largest_by_trying_all(neighbours: list[int]) -> int:
    best = 0
    for chosen in range(1 << len(neighbours)):
        if chosen.bit_count() > best and not any(
            neighbours[v] & chosen for v in range(len(neighbours)) if chosen >> v & 1
        ):
            best = chosen.bit_count()
    return best


def test_no_set_is_larger() -> None:
    rng = np.random.default_rng(1)
    for _ in range(60):
        n = int(rng.integers(1, 13))
        neighbours = masks(n, random_edges(n, int(rng.integers(0, 3 * n)), rng))
        chosen = independent_set(neighbours)
        assert not any(neighbours[v] & chosen for v in range(n) if chosen >> v & 1)
        assert chosen.bit_count() == largest_by_trying_all(neighbours)


@pytest.mark.parametrize("branches", [0, 3])
def test_when_the_search_gives_up_nobody_could_be_added(branches: int) -> None:
    rng = np.random.default_rng(2)
    for _ in range(30):
        n = int(rng.integers(20, 80))
        neighbours = masks(n, random_edges(n, 4 * n, rng))
        chosen = independent_set(neighbours, branches=branches)
        for v in range(n):
            assert bool(neighbours[v] & chosen) != bool(chosen >> v & 1)


def test_a_graph_that_no_rule_settles_is_searched() -> None:
    # The icosahedron: every vertex has five neighbours, none within another's; a largest set has three.
    edges = {(0, k) for k in range(1, 6)} | {(11, k) for k in range(6, 11)}
    for k in range(5):
        edges |= {
            (1 + k, 1 + (k + 1) % 5),
            (6 + k, 6 + (k + 1) % 5),
            (1 + k, 6 + k),
            (1 + k, 6 + (k + 1) % 5),
        }
    neighbours = masks(12, edges)
    assert {mask.bit_count() for mask in neighbours} == {5}
    assert independent_set(neighbours).bit_count() == largest_by_trying_all(neighbours) == 3


def pedigree(founders: int, generations: int, rng: np.random.Generator) -> pd.DataFrame:
    """True kinship of a random pedigree, pairs above the third degree."""
    people = founders * (generations + 1)
    phi = np.zeros((people, people))
    np.fill_diagonal(phi, 0.5)
    for child in range(founders, people):
        first = founders * (child // founders - 1)
        a, b = first + rng.permutation(founders)[:2]
        phi[child, :child] = phi[:child, child] = (phi[a, :child] + phi[b, :child]) / 2
        phi[child, child] = 0.5 + phi[a, b] / 2
    i, j = np.nonzero(np.triu(phi, 1) > 0.0442)
    return pd.DataFrame({"row1": i, "row2": j, "kinship": phi[i, j]})


def removing_whoever_has_most(n: int, pairs: pd.DataFrame, above: float) -> int:
    """How many the usual greedy rule leaves."""
    graph: dict[int, set[int]] = {k: set() for k in range(n)}
    for a, b in pairs.loc[pairs["kinship"] > above, ["row1", "row2"]].itertuples(index=False):
        graph[a].add(b)
        graph[b].add(a)
    while any(graph.values()):
        worst = max(graph, key=lambda k: (len(graph[k]), k))
        for other in graph.pop(worst):
            graph[other].discard(worst)
    return len(graph)


def test_pedigrees_keep_at_least_as_many_as_the_greedy_rule() -> None:
    rng = np.random.default_rng(3)
    more = 0
    for above in [0.0442, 0.0884, 0.177] * 4:
        pairs = pedigree(20, 5, rng)
        kept = unrelated(120, pairs, above=above)
        close = pairs[pairs["kinship"] > above]
        assert not (kept[close["row1"]] & kept[close["row2"]]).any()
        greedy = removing_whoever_has_most(120, pairs, above)
        assert kept.sum() >= greedy
        more += int(kept.sum()) - greedy
    assert more > 0


def test_of_two_relatives_the_preferred_stays() -> None:
    pairs = pd.DataFrame({"row1": [0, 2, 3], "row2": [1, 3, 4], "kinship": 0.25})
    assert unrelated(5, pairs, prefer=[0.1, 0.9, 0.5, 0.2, 0.6]).tolist() == [False, True, True, False, True]
    pentagon = pd.DataFrame({"row1": [0, 1, 2, 3, 4], "row2": [1, 2, 3, 4, 0], "kinship": 0.25})
    kept = unrelated(5, pentagon, prefer=[0, 0, 1, 0, 1])
    assert np.flatnonzero(kept).tolist() == [2, 4]


@pytest.mark.parametrize("count", [900, 1500, 6000])
def test_a_crowd_that_cannot_be_searched_keeps_more_than_the_greedy_rule(count: int) -> None:
    edges = random_edges(600, count, np.random.default_rng(count))
    pairs = pd.DataFrame(sorted(edges), columns=["row1", "row2"]).assign(kinship=0.2)
    kept = unrelated(600, pairs)
    neighbours = masks(600, edges)
    chosen = sum(1 << int(k) for k in np.flatnonzero(kept))
    for v in range(600):
        assert bool(neighbours[v] & chosen) != bool(chosen >> v & 1)
    assert kept.sum() >= removing_whoever_has_most(600, pairs, 0.0884)
    assert kept.tolist() == unrelated(600, pairs).tolist()
