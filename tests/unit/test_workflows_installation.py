"""The command says so when another package has taken one of our names."""

from __future__ import annotations

import subprocess
import sys

import pytest

from cohorts.errors import InputError
from workflows.installation import check_installation


def install(folder, name):
    info = folder / f"{name}-3.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 3.2\n")


def test_a_clean_installation_passes():
    check_installation()


@pytest.mark.parametrize("name", ["workflows", "cohorts"])
def test_a_distribution_of_our_name_is_named_with_the_way_out(tmp_path, monkeypatch, name):
    install(tmp_path, name)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(InputError, match=rf"{name} 3\.2.*pip uninstall {name}"):
        check_installation()


def test_a_package_that_shadows_ours_is_found_before_it_is_used(tmp_path):
    (tmp_path / "gwas").mkdir()
    (tmp_path / "gwas" / "__init__.py").write_text("")
    script = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from workflows.cli import main; main(['--version'])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == InputError.exit_code
    assert "another 'gwas'" in done.stderr
    assert "Traceback" not in done.stderr
