"""Any change to the audit trail is found."""

from __future__ import annotations

import json
import random

import pytest

from cohorts.errors import InputError
from workflows.audit import AuditTrail, verify_audit


@pytest.fixture
def trail(tmp_path):
    audit = AuditTrail(tmp_path / "audit.jsonl")
    for number in range(20):
        audit.record("step", number=number)
    return audit


def test_an_untouched_trail_verifies_and_can_be_continued(trail):
    again = AuditTrail(trail.path)
    again.record("later")
    assert verify_audit(trail.path) == (21, again.head)


def test_every_edit_removal_swap_and_insertion_is_found(trail):
    lines = trail.path.read_text().splitlines()
    chance = random.Random(7)
    for _ in range(200):
        changed = list(lines)
        kind = chance.choice(["edit", "remove", "swap", "insert", "shorten"])
        at = chance.randrange(len(lines) - 1)
        if kind == "edit":
            entry = json.loads(changed[at])
            entry["details"]["number"] = -1
            changed[at] = json.dumps(entry)
        elif kind == "remove":
            del changed[at]
        elif kind == "swap":
            changed[at], changed[at + 1] = changed[at + 1], changed[at]
        elif kind == "insert":
            changed.insert(at, changed[at])
        else:
            changed = changed[: at + 1]
        trail.path.write_text("\n".join(changed) + "\n")
        with pytest.raises(InputError, match="altered"):
            verify_audit(trail.path, head=trail.head, length=trail.length)
