"""Who asked not to be studied, applied before anything else is done with the records.

A national data opt-out names an NHS number; a withdrawal names a participant. Either removes the whole
person, records of every source together, and so must come after linkage and before all the rest. An
opt-out matches on its ten digits even where the check digit fails on both sides: honouring too much is
the safer mistake.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from cohorts.hub import Hub
from cohorts.identity import entities_with_numbers
from cohorts.linkage import Links
from cohorts.without_rows import WithoutRows

OPT_OUT = "national data opt-out"
WITHDRAWN = "research consent withdrawn"


@dataclass(frozen=True, repr=False)
class ConsentResult(WithoutRows):
    """Who is left out.

    Attributes
    ----------
    excluded
        ``entity`` (int64), ``reason``; each person once, under the first reason that applies.
    counts
        ``reason``, ``people``; sums to the people excluded.
    notes
        ``note``, ``count``: opt-outs that name nobody in the extracts or that are no number at all.
    """

    excluded: pd.DataFrame
    counts: pd.DataFrame
    notes: pd.DataFrame


def apply_consent(hub: Hub, links: Links) -> ConsentResult:
    """Find the people who opted out or withdrew.

    Parameters
    ----------
    hub
        Identified hub filled by :func:`cohorts.sources.read_sources`.
    links
        From :func:`cohorts.linkage.link`.

    Returns
    -------
    ConsentResult
    """
    named = entities_with_numbers(hub, links.crosswalk, "intake.optouts")
    by_number = named["entity"].dropna().astype("int64").unique()
    withdrawn = hub.frame(
        "SELECT DISTINCT p.source, p.patient_id FROM intake.consents c "
        "JOIN intake.patients p USING (record) WHERE c.withdrawn IS NOT NULL"
    ).merge(links.crosswalk, on=["source", "patient_id"])["entity"]
    excluded = (
        pd.DataFrame(
            [(entity, OPT_OUT) for entity in sorted(by_number)]
            + [(entity, WITHDRAWN) for entity in sorted(withdrawn.unique())],
            columns=["entity", "reason"],
        )
        .drop_duplicates("entity")
        .astype({"entity": "int64"})
        .reset_index(drop=True)
    )
    people = excluded["reason"].value_counts()
    counts = pd.DataFrame(
        {
            "reason": [OPT_OUT, WITHDRAWN],
            "people": [int(people.get(reason, 0)) for reason in (OPT_OUT, WITHDRAWN)],
        }
    )
    assert int(counts["people"].sum()) == len(excluded)
    unmatched = named[named["usable"] & named["entity"].isna()]["number"].nunique()
    notes = pd.DataFrame(
        {
            "note": [
                "opt-outs of people not in the extracts",
                "opt-outs without a ten-digit number, not applicable",
            ],
            "count": [int(unmatched), int((~named["usable"].astype(bool)).sum())],
        }
    )
    return ConsentResult(excluded, counts, notes)
