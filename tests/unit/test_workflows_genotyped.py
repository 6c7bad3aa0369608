"""Samples meet people: every loss has its reason, and nobody without consent comes through."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd
import pytest

from cohorts.errors import DesignError
from cohorts.hub import connect, create_hub_tables
from gwas.genotypes import open_genotypes
from workflows.genotyped import join_genotypes, one_sample_each, sampled_after

BIG = 2**62 + 1  # a 63-bit pseudonym that a float would round


@pytest.fixture
def genotypes(tmp_path):
    prefix = tmp_path / "g"
    names = [f"s{i}" for i in range(6)]
    prefix.with_suffix(".fam").write_text("".join(f"{n} {n} 0 0 1 -9\n" for n in names))
    prefix.with_suffix(".bim").write_text("1 v1 0 100 A G\n")
    prefix.with_suffix(".bed").write_bytes(b"\x6c\x1b\x01\x00\x00")
    return open_genotypes(prefix)


@pytest.fixture
def hub():
    hub = connect()
    create_hub_tables(hub)
    hub.connection.executemany(
        "INSERT INTO samples VALUES (?, ?, ?)",
        [
            ("s0", BIG, date(2010, 1, 1)),
            ("s1", BIG + 2, date(2013, 1, 1)),
            ("s2", 3, None),
            ("s3", 4, date(2010, 1, 1)),
            ("s4", 5, date(2010, 1, 1)),
            ("s4", 6, date(2010, 1, 1)),
        ],
    )
    return hub


def persons(**consented):
    people = [BIG, BIG + 2, 3]
    return pd.DataFrame({"person_id": people, "consented": consented.get("consented", [True, True, True])})


def test_every_sample_is_kept_or_has_a_reason_and_pseudonyms_keep_their_last_digit(hub, genotypes):
    joined = join_genotypes(hub, persons(), genotypes)
    assert joined.person_id.to_dict() == {"s0": BIG, "s1": BIG + 2, "s2": 3}
    assert joined.flow["removed"].tolist() == [0, 1, 1, 1, 0]
    assert joined.flow["remaining"].iloc[-1] == 3


def test_where_consents_are_handed_over_only_who_consented_is_kept(hub, genotypes):
    hub.connection.execute("INSERT INTO consents VALUES (1, false, NULL, NULL)")
    joined = join_genotypes(hub, persons(consented=[True, False, False]), genotypes)
    assert list(joined.person_id.index) == ["s0"]
    assert joined.flow.set_index("step").loc["No consent to research on record", "removed"] == 2


def test_a_file_of_strangers_is_refused_in_one_line(hub, genotypes):
    with pytest.raises(DesignError, match="nobody of the study population has a sample"):
        join_genotypes(hub, persons().assign(person_id=[7, 8, 9]), genotypes)


def test_samples_taken_after_the_index_date_are_known(hub):
    assert sampled_after(hub, date(2012, 1, 1)).tolist() == [BIG + 2]


@dataclass(frozen=True)
class Quality:
    samples: np.ndarray
    unrelated: np.ndarray
    sample_flow: pd.DataFrame


def test_people_with_several_different_samples_are_left_out_whole():
    flow = pd.DataFrame({"step": ["read"], "removed": [0], "remaining": [4], "threshold": [""]})
    quality = Quality(np.array([0, 1, 2, 4]), np.array([0, 4]), flow)
    found = one_sample_each(quality, pd.Series([10, 11, 10, 12, 13]))
    assert found.samples.tolist() == [1, 4]
    assert found.unrelated.tolist() == [4]
    assert found.sample_flow["removed"].tolist() == [0, 2]
