"""A region larger than memory would hold streams to disk."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

_SCRIPT = """
import resource, sys
from pathlib import Path
from cohorts.synthetic import RegionConfig
from workflows.synth import write_region
people = int(sys.argv[2])
config = RegionConfig(people=people, genotyped=200, variants=1000, activity=0.25, chunk=10_000)
write_region(config, Path(sys.argv[1]))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def _peak_mib(people: int, folder: Path) -> float:
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT, str(folder), str(people)],
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout) / 1024


@pytest.mark.slow
def test_memory_hardly_grows_with_the_number_of_people(tmp_path):
    small, large = _peak_mib(20_000, tmp_path / "small"), _peak_mib(120_000, tmp_path / "large")
    # 100,000 more people: their identity columns and what allocators keep, not their million records
    assert large - small < 120
