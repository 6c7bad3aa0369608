"""Ten million variants as pictures: ``python -m tests.benchmarks.bench_figures FOLDER [VARIANTS]``."""

from __future__ import annotations

import resource
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

MEGABASES = [
    249,
    243,
    198,
    191,
    181,
    171,
    159,
    146,
    141,
    136,
    135,
    134,
    115,
    107,
    103,
    90,
    81,
    78,
    59,
    63,
    48,
    51,
]


def write_scan(path: Path, variants: int) -> None:
    """A scan of nothing, with 3,000 strong variants strewn in, in our columns."""
    rng = np.random.default_rng(0)
    share = np.floor(variants * np.array(MEGABASES) / sum(MEGABASES)).astype(int)
    share[0] += variants - share.sum()
    height = -np.log10(rng.uniform(size=variants))
    height[rng.choice(variants, 3000, replace=False)] = rng.exponential(8, 3000)
    table = {
        "#CHROM": pa.array(np.repeat([str(k + 1) for k in range(22)], share)).dictionary_encode(),
        "POS": np.concatenate(
            [np.sort(rng.integers(1, int(mb * 1e6), n)) for mb, n in zip(MEGABASES, share, strict=True)]
        ),
        "ID": pa.array([f"rs{k}" for k in range(variants)]),
        "LOG10_P": height,
    }
    pq.write_table(pa.table(table), path)


def main(folder: Path, variants: int = 10_000_000) -> None:
    """Print seconds and memory of a Manhattan and a quantile plot, file to picture."""
    scan = folder / f"scan-{variants}.parquet"
    if not scan.exists():
        write_scan(scan, variants)
    from workflows.figures.manhattan import manhattan
    from workflows.figures.qq import qq
    from workflows.figures.thinning import thin
    from workflows.plots import write_figure

    start = time.perf_counter()
    thinned = thin(scan)
    read = time.perf_counter()
    write_figure(manhattan(thinned), folder / "manhattan.png")
    drawn = time.perf_counter()
    write_figure(qq(scan), folder / "qq.png")
    print(f"{thinned.tested:,} variants, {thinned.pos.size:,} drawn, {len(thinned.tail):,} with P < 1e-4")
    print(
        f"read and thin {read - start:.2f} s, draw {drawn - read:.2f} s, qq {time.perf_counter() - drawn:.2f} s"
    )
    print(f"peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


if __name__ == "__main__":
    main(Path(sys.argv[1]), *(int(word) for word in sys.argv[2:]))
