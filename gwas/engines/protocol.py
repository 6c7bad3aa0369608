"""What an engine must do. The semantics, not the signatures, are the interface.

Whatever runs the work: dosage counts ALT; a missing call is the variant's mean among the trait's people, or
its person is left out; the intercept is added; cases are 1, controls 0; -log10 P comes from log survival
functions; what cannot be fitted gets a status; blocks come in order, the same whatever the number of workers.
Only numpy, pandas and block iterators cross this line.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from gwas.design import Design
from gwas.genotypes.descriptor import Genotypes
from gwas.models.phenome import AssociationOptions
from gwas.models.result import VariantTests


@dataclass(frozen=True, eq=False)
class BlockTests:
    """Tests of one block of variants.

    Attributes
    ----------
    block
        Number of the block; it covers rows `start` to `stop` of the genotypes' variants.
    tests
        Trait name → results, in the design's order.
    """

    block: int
    start: int
    stop: int
    tests: dict[str, VariantTests]


class Engine(Protocol):
    """Runs the verbs somewhere."""

    @property
    def name(self) -> str:
        """What to call it in logs."""
        ...

    def associate(
        self, genotypes: Genotypes, design: Design, options: AssociationOptions, *, start_block: int = 0
    ) -> Iterator[BlockTests]:
        """Test every variant against every trait, block by block from `start_block` on."""
        ...
