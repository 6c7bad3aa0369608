"""A largest set of vertices of a graph no two of which are joined: the people to keep of many families.

Sets of vertices are whole numbers, one bit a vertex, so that a union or a neighbourhood is one operation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

BRANCHES: Final = 2_000
SEARCHED: Final = 150
"""A component of more vertices that no rule settles is not searched whole."""

FEW: Final = 16
"""The rules are tried on vertices with so many neighbours: with more they hardly ever hold."""


def independent_set(neighbours: Sequence[int], *, branches: int = BRANCHES) -> int:
    """Choose as many vertices as can be without choosing two that are joined.

    Parameters
    ----------
    neighbours
        For each vertex the set of those it is joined to: bit ``k`` stands for vertex ``k``. Symmetric, and no
        vertex is its own neighbour. Where several largest sets exist, vertices that come first are preferred.
    branches
        Choices that the search may try.

    Returns
    -------
    int
        The chosen set. Nothing can be added to it, and it is a maximum one unless a component was too large to
        search.

    Notes
    -----
    Vertices with at most one neighbour, and those whose neighbourhood lies within a neighbour's, are settled
    without search; what is left falls apart into components, and in each the vertex with most neighbours is
    left out or taken. A cover by cliques bounds what a component can hold (Akiba and Iwata 2016, Theor Comput
    Sci 609:211, describe these rules). Families vanish under the rules alone. In a component of more than
    150 vertices, the larger of two sets is taken, and improved as long as one of its vertices can be exchanged for
    two (Andrade, Resende and Werneck 2012, J Heuristics 18:525): what takes the vertex with fewest neighbours
    left, and what leaves out the one with most until the rest can be searched.

    Examples
    --------
    >>> path = [0b0010, 0b0101, 0b1010, 0b0100]
    >>> bin(independent_set(path))
    '0b101'
    """
    search = _Search(neighbours, branches)
    return search.best((1 << len(neighbours)) - 1)


@dataclass
class _Search:
    neighbours: Sequence[int]
    left: int
    known: dict[int, int] = field(default_factory=dict)

    def best(self, alive: int, gone: int = 0) -> int:
        """A largest independent set within ``alive``, of which all was settled until ``gone`` went."""
        taken, alive = self._settle(alive, self._around(gone) if gone else alive)
        while alive:
            part = self._component(alive)
            taken |= self._of_component(part)
            alive &= ~part
        return taken

    def _of_component(self, part: int) -> int:
        if part not in self.known:
            self.known[part] = self._branch(part)
        return self.known[part]

    def _branch(self, part: int) -> int:
        if self.left <= 0:
            return self._exchange(self._greedy(part), part)
        if part.bit_count() > SEARCHED:
            return self._of_crowd(part)
        self.left -= 1
        hub = self._hub(part)
        without = self.best(part & ~(1 << hub), 1 << hub)
        rest = part & ~(self.neighbours[hub] | 1 << hub)
        if 1 + self._most(rest) <= without.bit_count():
            return without
        taking = self.best(rest, part & ~rest) | 1 << hub
        return taking if taking.bit_count() > without.bit_count() else without

    def _of_crowd(self, part: int) -> int:
        taken, alive, fresh = 0, part, part
        while alive:
            more, alive = self._settle(alive, fresh)
            taken |= more
            while alive and (small := self._component(alive)).bit_count() <= SEARCHED:
                taken |= self._of_component(small)
                alive &= ~small
            if alive:
                hub = self._hub(alive)
                alive &= ~(1 << hub)
                fresh = self.neighbours[hub]
        greedy = self._exchange(self._greedy(part), part)
        taken = self._exchange(taken, part)
        return taken if taken.bit_count() >= greedy.bit_count() else greedy

    def _exchange(self, taken: int, part: int) -> int:
        """Exchange one vertex for two, or add one, as long as that can be done."""
        improved = True
        while improved:
            improved = False
            rivals: dict[int, int] = {}
            for v in _bits(part & ~taken):
                against = self.neighbours[v] & taken
                if against == 0:
                    taken |= 1 << v
                    improved = True
                elif against & (against - 1) == 0:
                    rivals[against] = rivals.get(against, 0) | 1 << v
            for one, others in rivals.items():
                pair = self._pair(one, others, taken)
                if pair:
                    taken = taken & ~one | pair
                    improved = True
        return taken

    def _pair(self, one: int, others: int, taken: int) -> int:
        """Two of ``others`` that could stand in for ``one``, or none."""
        if not taken & one:
            return 0
        free = [v for v in _bits(others) if self.neighbours[v] & taken == one]
        partners = sum(1 << v for v in free)
        for v in free:
            partners &= ~(1 << v)
            apart = partners & ~self.neighbours[v]
            if apart:
                return 1 << v | apart & -apart
        return 0

    def _hub(self, part: int) -> int:
        return max(_bits(part), key=lambda v: ((self.neighbours[v] & part).bit_count(), v))

    def _around(self, vertices: int) -> int:
        around = 0
        for v in _bits(vertices):
            around |= self.neighbours[v]
        return around

    def _settle(self, alive: int, fresh: int) -> tuple[int, int]:
        """Take what can be taken without regret; gives the taken and what remains undecided.

        Only ``fresh`` vertices, and those that become so, are looked at.
        """
        taken = 0
        fresh &= alive
        while fresh:
            v = (fresh & -fresh).bit_length() - 1
            fresh &= fresh - 1
            if not alive >> v & 1:
                continue
            around = self.neighbours[v] & alive
            if around.bit_count() > FEW:
                continue
            gone = 0
            # Whoever is joined to all that v is joined to gives way to v.
            for u in _bits(around):
                if around & ~(self.neighbours[u] | 1 << u) == 0:
                    gone |= 1 << u
            if around & ~gone == 0:
                taken |= 1 << v
                gone |= 1 << v
            alive &= ~gone
            # Only those whose neighbourhood shrank can have become decidable.
            fresh |= self._around(gone) & alive
        return taken, alive

    def _component(self, alive: int) -> int:
        part = edge = alive & -alive
        while edge:
            edge = self._around(edge) & alive & ~part
            part |= edge
        return part

    def _most(self, alive: int) -> int:
        """As many as a greedy cover by cliques has: of each clique at most one can be chosen."""
        cliques = 0
        while alive:
            common = alive
            while common:
                v = (common & -common).bit_length() - 1
                alive &= ~(1 << v)
                common &= self.neighbours[v]
            cliques += 1
        return cliques

    def _greedy(self, alive: int) -> int:
        taken = 0
        while alive:
            v = min(_bits(alive), key=lambda u: ((self.neighbours[u] & alive).bit_count(), u))
            gone = (self.neighbours[v] | 1 << v) & alive
            more, alive = self._settle(alive & ~gone, self._around(gone))
            taken |= more | 1 << v
        return taken


def _bits(mask: int) -> list[int]:
    found = []
    while mask:
        low = mask & -mask
        found.append(low.bit_length() - 1)
        mask ^= low
    return found
