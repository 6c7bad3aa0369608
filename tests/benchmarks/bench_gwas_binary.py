"""Time logistic association against PLINK 2 and REGENIE step 2 by turns; see README.md."""

from __future__ import annotations

import statistics
import sys
import tempfile
from pathlib import Path

from alternate import alternate, careome


def main(prefix: str, variants: str, trait: str, plink2: str, regenie: str, times: int) -> None:
    """PREFIX of the simulated data, a file of variant IDs, a trait of its .bt.pheno, and the peers' paths."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        shared = ["--extract", variants, "--threads", 2]
        files = ["--bfile", prefix, "--pheno", f"{prefix}.bt.pheno", "--pheno-name", trait]
        glm = [*files, "--covar", f"{prefix}.covar", *shared]
        approximate = ["--firth", "--approx", "--pThresh", 0.05]
        step2 = ["--step", 2, "--bed", prefix, "--phenoFile", f"{prefix}.bt.pheno", "--phenoColList", trait]
        step2 += ["--covarFile", f"{prefix}.covar", "--bt", *approximate, "--ignore-pred", "--bsize", 1000]
        commands = {
            "careome, PLINK 2's answers": careome(
                "gwas", *glm, "--glm", "--missing-genotypes", "complete-case", "--out", out / "a"
            ),
            "plink2 --glm firth-fallback": [
                plink2,
                *map(str, glm),
                "--1",
                "--glm",
                "hide-covar",
                "firth-fallback",
                "--covar-variance-standardize",
                "--out",
                str(out / "b"),
            ],
            "careome, REGENIE's answers": careome("gwas", *glm, *approximate, "--out", out / "c"),
            "regenie --firth --approx": [regenie, *map(str, [*step2, *shared, "--out", out / "d"])],
        }
        runs = alternate({name: command for name, command in commands.items() if command[0]}, times=times)
    for name, found in runs.items():
        wall, cpu = (statistics.median(getattr(run, field) for run in found) for field in ("wall", "cpu"))
        print(f"{trait} {name}: {wall:.2f} s wall, {cpu:.2f} s CPU, {max(run.peak for run in found):.0f} MB")


if __name__ == "__main__":
    main(*sys.argv[1:6], int(sys.argv[6]))
