"""Genotype commands on a file of dosages, beside PLINK 2: what is of dosages and what of hard calls."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

DataFile = Callable[[str], Path]


def table(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, sep="\t")


@pytest.fixture(scope="module")
def bgen() -> str:
    return "geno_tooltests/hail/example.8bits.bgen"


COMMANDS = {
    "freq": (["--freq"], "afreq", "; dosages; "),
    "het": (["--het"], "het", "; dosages; "),
    "hardy": (["--hardy"], "hardy", "; hard calls; "),
    "missing": (["--missing"], "smiss", "; hard calls; "),
    "king": (["--make-king-table"], "kin0", "; hard calls; "),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_takes_of_a_bgen_what_plink_takes(
    command: str, bgen: str, plink2: str, data_file: DataFile, careome: Callable[..., object], tmp_path: Path
) -> None:
    words, end, told = COMMANDS[command]
    path = data_file(bgen)
    source = [plink2, "--bgen", str(path), "ref-first", "--oxford-single-chr", "1"]
    subprocess.run([*source, *words, "--out", str(tmp_path / "peer"), "--silent"], check=True)
    done = careome(command, "--bgen", path, "--out", tmp_path / "ours")
    assert done.returncode == 0, done.stderr  # type: ignore[attr-defined]
    ours, peer = table(tmp_path / f"ours.{end}"), table(tmp_path / f"peer.{end}")
    shared = [name for name in ours if name in peer]
    assert list(ours) == shared or command == "freq"
    if command == "king":
        ours, peer = (frame.sort_values(list(frame)[:2], ignore_index=True) for frame in (ours, peer))
    for name in shared:
        if ours[name].dtype.kind == "f":
            # PLINK keeps dosages as 16384ths
            np.testing.assert_allclose(ours[name], peer[name], rtol=2e-5, atol=1e-5)
        else:
            assert ours[name].tolist() == peer[name].tolist()
    assert told in (tmp_path / "ours.log").read_text()
