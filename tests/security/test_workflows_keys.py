"""The project key is secret, whole and never replaced."""

from __future__ import annotations

import stat

import pytest

from cohorts.errors import OutputError, PrivacyError
from workflows.keys import new_project_key, read_project_key


def test_a_new_key_is_private_and_reads_back_as_32_bytes(tmp_path):
    path = tmp_path / "custodian" / "project.key"
    new_project_key(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(read_project_key(path)) == 32


def test_two_keys_differ(tmp_path):
    new_project_key(tmp_path / "a")
    new_project_key(tmp_path / "b")
    assert read_project_key(tmp_path / "a") != read_project_key(tmp_path / "b")


def test_an_existing_key_is_never_overwritten(tmp_path):
    new_project_key(tmp_path / "a")
    before = read_project_key(tmp_path / "a")
    with pytest.raises(OutputError, match="there already"):
        new_project_key(tmp_path / "a")
    assert read_project_key(tmp_path / "a") == before


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o777])
def test_a_key_that_others_can_read_is_refused(tmp_path, mode):
    new_project_key(tmp_path / "a")
    (tmp_path / "a").chmod(mode)
    with pytest.raises(PrivacyError, match="read by others"):
        read_project_key(tmp_path / "a")


@pytest.mark.parametrize(("content", "complaint"), [("abcd", "too short"), ("not hex", "not a project key")])
def test_a_poor_key_is_refused_without_repeating_it(tmp_path, content, complaint):
    path = tmp_path / "a"
    path.write_text(content)
    path.chmod(0o600)
    with pytest.raises(PrivacyError, match=complaint) as caught:
        read_project_key(path)
    assert content not in str(caught.value)


def test_a_missing_key_says_how_to_make_one(tmp_path):
    with pytest.raises(PrivacyError, match="careome key"):
        read_project_key(tmp_path / "none")
