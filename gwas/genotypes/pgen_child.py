"""pgenlib, as the child process runs it; loaded by :mod:`gwas.genotypes.parser_child` alone.

pgenlib (LGPL) is the decoder of PLINK 2's authors. It trusts its files, so it never runs in the process
that does the analysis.
"""

from __future__ import annotations

import numpy as np
import pgenlib


class PgenParser:
    """Decodes records of one PGEN file.

    Parameters
    ----------
    path
        The file, whose header has been checked.
    n_samples, n_records
        Samples and records in it.
    allele_starts
        uint64 (n_records + 1,): running number of alleles, where any record has more than two.
    """

    def __init__(
        self, path: str, n_samples: int, n_records: int, allele_starts: np.ndarray | None = None
    ) -> None:
        starts = None if allele_starts is None else allele_starts.astype(np.uintp)
        self.reader = pgenlib.PgenReader(
            path.encode(), raw_sample_ct=n_samples, variant_ct=n_records, allele_idx_offsets=starts
        )

    def calls(self, records: np.ndarray, allele: int, out: np.ndarray) -> None:
        """Copies of an allele in hard calls, int8 (m, n_samples or more); missing is -9."""
        if _is_run(records):
            self.reader.read_range(int(records[0]), int(records[-1]) + 1, out, allele_idx=allele)
        else:
            self.reader.read_list(records.astype(np.uint32), out, allele_idx=allele)

    def dosages(self, records: np.ndarray, allele: int, out: np.ndarray) -> None:
        """Dosages of an allele, float32 (m, n_samples); missing is -9."""
        if _is_run(records):
            self.reader.read_dosages_range(int(records[0]), int(records[-1]) + 1, out, allele_idx=allele)
        else:
            self.reader.read_dosages_list(records.astype(np.uint32), out, allele_idx=allele)


def _is_run(records: np.ndarray) -> bool:
    return len(records) > 0 and bool((np.diff(records) == 1).all())
