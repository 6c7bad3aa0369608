"""KING, LD pruning and principal components against PLINK 2. Run by hand:

python tests/benchmarks/bench_structure.py PREFIX PLINK2 PEERS [TIMES]

PEERS is the folder of PLINK 2's answers on these data, against which the results are checked.
"""

from __future__ import annotations

import gzip
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pandas as pd
from alternate import HEAD, alternate, careome, first_run, report

SOME = 1000


def main(prefix: str, plink2: str, peers: Path, times: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        work = _work(prefix, peers, folder)
        shared = ["--bfile", prefix, "--threads", "2", "--out"]
        print(HEAD)
        for title, (ours, theirs, turns) in work.items():
            commands = {
                "careome": careome(*ours, *shared, folder / "ours"),
                "PLINK 2": [plink2, *theirs, *shared, str(folder / "peer")],
            }
            print(report(title, alternate(commands, times=min(times, turns))), flush=True)
            print(_apart(_agreement, title, folder, peers), flush=True)
            if title == "10 components, pruned set":
                print(_apart(_accuracy, prefix, folder), flush=True)
        for k, (title, (ours, _, _)) in enumerate(work.items()):
            if "20,000 variants" not in title:
                run = first_run(careome(*ours, *shared, folder / "ours"), folder / f"cache{k}")
                print(f"first run of {title}: {run.wall:.1f} s wall, {run.cpu:.1f} s CPU", flush=True)


def _work(prefix: str, peers: Path, folder: Path) -> dict[str, tuple[list[str], list[str], int]]:
    """Options of both programs, and most turns, by what is done."""
    people, pruned, fifth, few = (folder / name for name in ("people", "pruned", "fifth", "few"))
    fam = Path(f"{prefix}.fam").read_text().splitlines()
    people.write_text("".join("\t".join(line.split()[:2]) + "\n" for line in fam[:2000]))
    pruned.write_bytes(gzip.decompress((peers / "pruned_for_pca.txt.gz").read_bytes()))
    fifth.write_bytes(gzip.decompress((peers / "subset_20k.txt.gz").read_bytes()))
    bim = Path(f"{prefix}.bim").read_text().splitlines()
    few.write_text("".join(line.split()[1] + "\n" for line in bim[:SOME]))
    keep, pairwise = ["--keep", str(people)], ["--indep-pairwise", "200", "50", "0.2"]
    close, table = ["--king-table-filter", "0.0442"], ["--make-king-table"]
    third, some = ["--extract", str(fifth), "--king-table-filter", "0.0884"], ["--extract", str(few)]
    chosen = ["--extract", str(pruned), "--pca", "10"]
    return {
        "KING, 2,000 people, pairs above 0.0442": (["king", *keep, *close], [*table, *keep, *close], 99),
        "KING, 2,000 people, table of all pairs": (["king", *keep], [*table, *keep], 99),
        "pruning 200/50/0.2": (["prune", *pairwise], pairwise, 99),
        "10 components, pruned set": (["pca", *chosen], [*chosen, "approx"], 3),
        "KING, 20,000 people, 20,000 variants": (["king", *third], [*table, *third], 1),
        "KING, 1,000 variants": (["king", *keep, *close, *some], [*table, *keep, *close, *some], 99),
        "pruning, 1,000 variants": (["prune", *pairwise, *some], [*pairwise, *some], 99),
        "10 components, 1,000 variants": (["pca", *some], [*some, "--pca", "10", "approx"], 3),
    }


def _apart(job: Callable[..., str], *arguments: object) -> str:
    """Run in a process of its own: a child's peak memory begins with that of whoever starts it."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(job, *arguments).result()


def _agreement(title: str, folder: Path, peers: Path) -> str:
    ours, theirs = folder / "ours", folder / "peer"
    if title.startswith("KING"):
        one, other = (pd.read_csv(f"{prefix}.kin0", sep="\t") for prefix in (ours, theirs))
        if "20,000 variants" in title:
            other = pd.read_parquet(peers / "plink2_king_20k_pairs.parquet")
        both = one.merge(other, on=["IID1", "IID2"], how="outer", suffixes=("", "_PEER"))
        gap = (both["KINSHIP"] - both["KINSHIP_PEER"]).abs()
        return f"{len(one)} pairs, {len(other)} of the peer, largest difference {gap.max(skipna=False):.1e}"
    if title.startswith("pruning"):
        kept = Path(f"{ours}.prune.in").read_bytes()
        same = [kept == Path(f"{theirs}.prune.in").read_bytes()]
        if title == "pruning 200/50/0.2":
            same.append(kept == gzip.decompress((peers / "plink2_prune_all.txt.gz").read_bytes()))
        return f"the same variants kept: {same}"
    vectors = [
        pd.read_csv(f"{prefix}.eigenvec", sep="\t").filter(like="PC").to_numpy() for prefix in (ours, theirs)
    ]
    one, other = (np.linalg.qr(v)[0] for v in vectors)
    return f"cosines of the subspaces: {np.linalg.svd(one.T @ other)[1].round(4).tolist()}"


def _accuracy(prefix: str, folder: Path) -> str:
    """How near both are to components run on until nothing changes: the spectrum here is nearly all noise."""
    from gwas.components import pca
    from gwas.genotypes import open_genotypes

    genotypes = open_genotypes(Path(f"{prefix}.bed"))
    rows = np.flatnonzero(genotypes.variants["id"].isin((folder / "pruned").read_text().split()))
    truth = pca(genotypes, variants=rows, rng=np.random.default_rng(2), tolerance=1e-6).scores.to_numpy()
    said = []
    for name in ("ours", "peer"):
        found = pd.read_csv(folder / f"{name}.eigenvec", sep="\t").filter(like="PC").to_numpy()
        each = np.abs((found * truth).sum(axis=0)) / np.linalg.norm(found, axis=0)
        said.append(f"{name}: |cos| of each component with the converged one {each.round(4).tolist()}")
    return "\n".join(said)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]) if len(sys.argv) > 4 else 5)
