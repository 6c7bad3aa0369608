"""Genotypes as the bytes of a PLINK 1 BED."""

from __future__ import annotations

from collections.abc import Iterator

from gwas.genotypes.bed import MAGIC
from gwas.genotypes.descriptor import Genotypes


def bed_bytes(genotypes: Genotypes) -> Iterator[bytes]:
    """Encode hard calls, variant by variant.

    Parameters
    ----------
    genotypes
        The selected samples and variants; rows of one record of several ALT alleles stay rows of their own.

    Yields
    ------
    bytes
        The file from its first byte on. The same calls give the same bytes.

    Raises
    ------
    InputError
        If the genotypes cannot be read.
    """
    yield MAGIC
    n = genotypes.n_samples
    # A reader need not clear the bits behind the last sample.
    last = (1 << (2 * (n % 4))) - 1 if n % 4 else 255
    for block in genotypes.blocks(1024):
        packed = block.packed_selected().copy()
        packed[:, -1] &= last
        yield packed.tobytes()
