"""Whole-genome regression against REGENIE's step 1, by turns.

``python -m tests.benchmarks.bench_wgr DATA VARIANTS REGENIE FOLDER [TIMES]``: DATA is the prefix that the
benchmark's ``simulate.py`` wrote, VARIANTS a list of variant names, REGENIE its program, FOLDER is for results.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.benchmarks.alternate import HEAD, alternate, careome, report


def main() -> None:
    """Time ten quantitative traits, and one binary one of 30 % cases."""
    data, variants, regenie, folder = sys.argv[1], sys.argv[2], sys.argv[3], Path(sys.argv[4])
    times = int(sys.argv[5]) if len(sys.argv) > 5 else 3
    print(HEAD)
    for title, traits in (
        ("10 QT", ["--phenoFile", f"{data}.qt.pheno"]),
        ("BT3", ["--phenoFile", f"{data}.bt.pheno", "--phenoColList", "BT3", "--bt"]),
    ):
        shared = ["--extract", variants, *traits, "--covarFile", f"{data}.covar"]
        shared += ["--bsize", "1000", "--threads", "2", "--out"]
        runs = alternate(
            {
                "careome wgr": careome("wgr", "--bfile", data, *shared, folder / "ours"),
                "REGENIE": [regenie, "--step", "1", "--bed", data, *shared, str(folder / "theirs")],
            },
            times=times,
        )
        print(report(title, runs), flush=True)


if __name__ == "__main__":
    main()
