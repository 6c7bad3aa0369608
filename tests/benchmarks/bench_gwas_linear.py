"""Linear association by turns with PLINK 2: ``python bench_gwas_linear.py PREFIX PLINK2 FOLDER [TIMES]``.

PREFIX is the data set with missing calls of the benchmarks' README, ``PREFIX_nomiss`` the same without. A thousand
traits are made of its ten and noise and tested on a tenth of the variants, beside what the processor's best matrix
product would take.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
from alternate import HEAD, alternate, careome, report, run_once

TRAITS = 1000
VARIANTS = 10_000


def commands(prefix: str, plink2: str, out: Path, *, traits: int, complete: bool) -> dict[str, list[str]]:
    """Ours and PLINK 2's, everything written."""
    words = [
        "--bfile",
        prefix,
        "--pheno",
        f"{prefix}.qt.pheno",
        "--covar",
        f"{prefix}.covar",
        "--threads",
        "2",
    ]
    words += ["--pheno-name", "QT1"] if traits == 1 else []
    missing = ["--missing-genotypes", "complete-case"] if complete else []
    return {
        "careome": careome("gwas", *words, *missing, "--out", out / "ours"),
        "PLINK 2": [plink2, *words, "--glm", "hide-covar", "--out", str(out / "theirs")],
    }


def compare(prefix: str, plink2: str, out: Path, times: int) -> None:
    """The four comparisons that the project sets itself bars for."""
    print(HEAD)
    for data, complete in ((prefix, True), (f"{prefix}_nomiss", False)):
        for traits in (1, 10):
            runs = alternate(commands(data, plink2, out, traits=traits, complete=complete), times=times)
            title = f"{traits} QT, {'missing calls, complete case' if complete else 'no missing calls'}"
            print(report(title, runs), flush=True)


def many_traits(prefix: str, out: Path) -> None:
    """A thousand traits: tests a second, and products against the best of numpy's."""
    ten = pd.read_csv(f"{prefix}.qt.pheno", sep=r"\s+")
    rng = np.random.default_rng(1)
    values = ten.iloc[:, 2:].to_numpy()
    values = (values - values.mean(axis=0)) / values.std(axis=0)
    mixed = values @ rng.normal(size=(values.shape[1], TRAITS)) / 4 + rng.normal(size=(len(ten), TRAITS))
    names = [f"T{i}" for i in range(TRAITS)]
    table = pd.concat([ten.iloc[:, :2], pd.DataFrame(mixed.astype(np.float32), columns=names)], axis=1)
    table.to_csv(out / "many.pheno", sep=" ", index=False)
    ids = pd.read_csv(f"{prefix}.bim", sep=r"\s+", header=None, usecols=[1], nrows=VARIANTS)[1]
    (out / "some.txt").write_text("\n".join(ids) + "\n")
    values = table[names].to_numpy()
    own = table.copy()
    own[names] = np.where(rng.random(values.shape) < rng.uniform(0.05, 0.3, TRAITS), np.nan, values)
    own.to_csv(out / "own.pheno", sep=" ", index=False, na_rep="NA")
    words = ["--bfile", prefix, "--covar", f"{prefix}.covar", "--threads", "2", "--extract", out / "some.txt"]
    for title, traits, more in (
        ("Parquet, all", "many", ["--out-format", "parquet"]),
        ("text, P <= 1e-4", "many", ["--pfilter", "1e-4"]),
        ("Parquet, all, each its own 5 to 30 % missing", "own", ["--out-format", "parquet"]),
    ):
        run = run_once(
            careome("gwas", *words, "--pheno", out / f"{traits}.pheno", *more, "--out", out / traits)
        )
        tests = TRAITS * VARIANTS
        print(
            f"{TRAITS} traits x {VARIANTS} variants, {title}: {run.wall:.1f} s, {run.cpu:.1f} s of processor,"
        )
        print(f"  {run.peak:.0f} MB, {tests / run.wall / 1e6:.2f} M tests a second")


def products() -> None:
    """Products of 1,024 variants with 1,013 columns, a processor's time, against numpy's single precision."""
    from gwas.engines.blas_threads import one_blas_thread
    from gwas.kernels.packed import pack
    from gwas.kernels.products import FixedPoint, by_word, combinations

    rng = np.random.default_rng(2)
    n, m, c = 20_000, 1024, 1013
    calls = rng.binomial(2, rng.uniform(0.01, 0.5, m)[:, None], (m, n)).astype(np.int8)
    packed, columns = pack(calls), rng.normal(size=(n, c))
    right, flip, mean = FixedPoint.of(columns, 2), np.zeros(m, dtype=bool), calls.mean(axis=1)
    exact, single = calls.astype(np.float32), columns.astype(np.float32)
    taken: dict[str, list[float]] = {"tables of whole numbers, from packed calls": [], "sgemm, decoded": []}
    with one_blas_thread("numpy"):
        for _ in range(4):
            for name, work in zip(
                taken,
                (lambda: right.products(combinations(by_word(packed), flip), mean), lambda: exact @ single),
                strict=True,
            ):
                started = time.process_time()
                work()
                taken[name].append(time.process_time() - started)
    for name, times in taken.items():
        print(f"{name}: {2e-9 * n * m * c / min(times):.0f} GFLOP a second of one processor, or as good as")


def main() -> None:
    """Everything, in a folder for outputs."""
    prefix, plink2, out = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    compare(prefix, plink2, out, int(sys.argv[4]) if len(sys.argv) > 4 else 5)
    many_traits(prefix, out)
    products()


if __name__ == "__main__":
    main()
