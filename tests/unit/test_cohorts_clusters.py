"""Guards of the clustering, and equality with plain connected components where no guard acts."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from cohorts.clusters import APART, CONTRADICTORY, TOO_LARGE, UNKNOWN, Clusters, guarded_clusters


def ints(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def cluster(n: int, links: list[tuple[int, int, float]], **options: object) -> Clusters:
    given = {
        "group": np.arange(n, dtype=np.int64),
        "number": np.full(n, UNKNOWN, np.int64),
        "birth": np.full(n, UNKNOWN, np.int64),
        "apart": (ints(), ints()),
        "largest": 50,
        **options,
    }
    left = np.array([link[0] for link in links], np.int64)
    right = np.array([link[1] for link in links], np.int64)
    return guarded_clusters(
        left=left, right=right, probability=np.array([link[2] for link in links], float), **given
    )


def test_two_numbers_with_two_birth_dates_never_meet_even_through_a_third_record() -> None:
    made = cluster(3, [(0, 1, 0.99), (1, 2, 0.95)], number=ints(1, UNKNOWN, 2), birth=ints(5, 5, 6))
    assert made.entity.tolist() == [0, 0, 2]
    assert made.count(CONTRADICTORY) == 1


def test_two_numbers_with_one_birth_date_may_meet() -> None:
    made = cluster(2, [(0, 1, 0.99)], number=ints(1, 2), birth=ints(5, 5))
    assert made.entity.tolist() == [0, 0]


def test_filled_in_parts_of_a_birth_date_contradict_nothing_and_known_ones_do() -> None:
    for ours, theirs, meet in (
        (19700000, 19700506, True),
        (19700500, 19700506, True),
        (19700400, 19700506, False),
        (19710000, 19700506, False),
    ):
        made = cluster(2, [(0, 1, 0.99)], number=ints(1, 2), birth=ints(ours, theirs))
        assert (made.entity.tolist() == [0, 0]) is meet


def test_the_more_probable_of_two_contradictory_links_is_kept() -> None:
    made = cluster(3, [(0, 1, 0.91), (1, 2, 0.99)], number=ints(1, UNKNOWN, 2), birth=ints(5, 5, 6))
    assert made.entity.tolist() == [0, 1, 1]


def test_a_cluster_grows_no_larger_than_allowed() -> None:
    made = cluster(10, [(i, i + 1, 0.99) for i in range(9)], largest=4)
    assert np.bincount(made.entity).max() == 4
    assert made.count(TOO_LARGE) == 2


def test_pairs_kept_apart_stay_apart_through_any_path() -> None:
    made = cluster(4, [(0, 1, 0.99), (1, 2, 0.98), (2, 3, 0.97)], apart=(ints(0), ints(3)))
    assert made.entity[0] != made.entity[3]
    assert made.count(APART) == 1


def test_probability_is_the_weakest_link_to_the_largest_group() -> None:
    made = cluster(5, [(2, 3, 0.95), (3, 4, 0.99)], group=ints(0, 0, 0, 3, 4))
    assert made.entity.tolist() == [0, 0, 0, 0, 0]
    assert made.probability.tolist() == [1, 1, 1, 0.95, 0.95]


def test_records_that_nothing_links_have_no_probability() -> None:
    made = cluster(3, [(0, 1, 0.99)])
    assert np.isnan(made.probability[2])
    assert made.entity[2] == 2


@pytest.mark.parametrize("seed", range(5))
def test_without_guards_clusters_are_the_connected_components(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n, edges = 200, 150
    left, right = rng.integers(0, n, edges), rng.integers(0, n, edges)
    keep = left != right
    links = list(zip(left[keep].tolist(), right[keep].tolist(), rng.random(keep.sum()).tolist(), strict=True))
    made = cluster(n, links, largest=n)
    _, label = connected_components(
        coo_array((np.ones(len(links)), (left[keep], right[keep])), shape=(n, n)), directed=False
    )
    lowest = {}
    for record, component in enumerate(label.tolist()):
        lowest.setdefault(component, record)
    assert made.entity.tolist() == [lowest[component] for component in label.tolist()]


@pytest.mark.parametrize("seed", range(5))
def test_no_cluster_ever_breaks_a_guard(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n, edges = 150, 400
    number, birth = rng.integers(-1, 20, n), rng.choice([UNKNOWN, 1, 2, 3, 4, 5, 6], n)
    left, right = rng.integers(0, n, edges), rng.integers(0, n, edges)
    links = [
        (a, b, p)
        for a, b, p in zip(left.tolist(), right.tolist(), rng.random(edges).tolist(), strict=True)
        if a != b
    ]
    made = cluster(n, links, number=number, birth=birth, largest=12)
    for entity in np.unique(made.entity):
        members = np.flatnonzero(made.entity == entity)
        assert len(members) <= 12
        known = [(number[i], birth[i]) for i in members if number[i] >= 0 and birth[i] >= 0]
        assert not any(a[0] != b[0] and a[1] != b[1] for a in known for b in known)
