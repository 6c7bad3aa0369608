"""Damaged copies of a file, drawn from a seed: what disks, cables and interrupted copies do to bytes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

KINDS = ("truncated", "bit", "byte", "zeroed", "appended", "cut out", "repeated")


@dataclass(frozen=True)
class Mutant:
    """One damaged copy: how it was damaged, where, and its bytes."""

    kind: str
    place: int
    data: bytes


def mutants(data: bytes, count: int, rng: np.random.Generator, *, head: int = 256) -> Iterator[Mutant]:
    """Draw `count` copies of `data` that differ from it; a third of the places lie in the first `head` bytes."""
    made = 0
    while made < count:
        kind = KINDS[made % len(KINDS)]
        inside = min(head, len(data)) if rng.random() < 1 / 3 else len(data)
        place = int(rng.integers(inside))
        changed = _damaged(data, kind, place, rng)
        if changed != data:
            made += 1
            yield Mutant(kind, place, changed)


def _damaged(data: bytes, kind: str, place: int, rng: np.random.Generator) -> bytes:
    run = int(rng.integers(1, 65))
    if kind == "truncated":
        return data[:place]
    if kind == "bit":
        return data[:place] + bytes([data[place] ^ (1 << int(rng.integers(8)))]) + data[place + 1 :]
    if kind == "byte":
        return data[:place] + rng.bytes(1) + data[place + 1 :]
    if kind == "zeroed":
        return data[:place] + bytes(min(run, len(data) - place)) + data[place + run :]
    if kind == "appended":
        return data + (rng.bytes(run) if rng.random() < 0.5 else bytes(run))
    if kind == "cut out":
        return data[:place] + data[place + run :]
    return data[:place] + data[place : place + run] * 2 + data[place + run :]
