"""freq, missing, hardy, het and all counts in one pass against PLINK 2. Run by hand:

python tests/benchmarks/bench_counts.py PREFIX PLINK2 [TIMES]

of a PLINK 2 fileset where there is one, else of a PLINK 1.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from alternate import HEAD, alternate, careome, first_run, report

WORK = {
    "freq": (["freq"], ["--freq"]),
    "missing": (["missing"], ["--missing"]),
    "hardy": (["hardy"], ["--hardy"]),
    "het": (["het"], ["--het"]),
    "all three in one pass": (["freq", "--missing", "--hardy"], ["--freq", "--missing", "--hardy"]),
}


def main(prefix: str, plink2: str, times: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        kind = "--pfile" if Path(f"{prefix}.pgen").exists() else "--bfile"
        shared = [kind, prefix, "--threads", "2", "--out"]
        print(HEAD)
        for title, (ours, theirs) in WORK.items():
            commands = {
                "careome": careome(*ours, *shared, Path(folder) / "ours"),
                "PLINK 2": [plink2, *theirs, *shared, str(Path(folder) / "peer")],
            }
            print(report(title, alternate(commands, times=times)), flush=True)
        for k, (title, (ours, _)) in enumerate(WORK.items()):
            run = first_run(careome(*ours, *shared, Path(folder) / "ours"), Path(folder) / f"cache{k}")
            print(f"first run of {title}: {run.wall:.1f} s wall, {run.cpu:.1f} s CPU")
    print(f"kernels: {_kernel_speed(prefix):.1f} GB of calls a second of one processor")


def _kernel_speed(prefix: str) -> float:
    """Counting, missing calls and tests of every variant, without reading: GB a second of one processor."""
    from gwas.counts import block_rows
    from gwas.frequencies import AlleleTally
    from gwas.genotypes import open_genotypes
    from gwas.missingness import MissingTally
    from workflows.genotype_commands.hardy import HardyTally, tests_of

    genotypes = open_genotypes(prefix)
    tallies = AlleleTally(genotypes), MissingTally(genotypes), HardyTally(genotypes)
    seconds, size = 0.0, 0
    for block in genotypes.blocks(block_rows(genotypes.reader.n_samples)):
        started = time.thread_time()
        for tally in tallies:
            tally.add(block)
        seconds += time.thread_time() - started
        size += block.packed.nbytes
    started = time.thread_time()
    tests_of(genotypes, tallies[2], midp=False)
    return size / (seconds + time.thread_time() - started) / 1e9


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 5)
