"""Who of the study population has genotypes: the join of people and samples, with every loss counted."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date

import numpy as np
import pandas as pd

from cohorts.errors import DesignError
from cohorts.hub import Hub
from gwas.genotypes import Genotypes
from gwas.quality import QcResult
from workflows.reports.counts import Disclosure


@dataclass(frozen=True, eq=False)
class Genotyped:
    """Samples of the genotype file that belong to people of the study.

    Attributes
    ----------
    genotypes
        Those samples, all variants.
    person_id
        int64 Series, index iid, in the order of ``genotypes.samples``.
    flow
        DataFrame ``step, removed, remaining``: samples of the genotype file, from all to those kept.
    """

    genotypes: Genotypes
    person_id: pd.Series
    flow: pd.DataFrame

    def select(self, rows: np.ndarray, variants: np.ndarray | None = None) -> Genotyped:
        """Some samples (and variants), by row."""
        return Genotyped(
            self.genotypes.select(samples=rows, variants=variants), self.person_id.iloc[rows], self.flow
        )


def join_genotypes(hub: Hub, persons: pd.DataFrame, genotypes: Genotypes) -> Genotyped:
    """Join samples to people through the pseudonymous crosswalk of samples.

    Parameters
    ----------
    hub
        Pseudonymous hub with the table ``samples``.
    persons
        The study population: ``person_id``, ``consented``. Where the biobank hands over consents, only people
        who consented are kept.
    genotypes
        The genotype file; its ``iid`` is the sample identifier.

    Returns
    -------
    Genotyped

    Raises
    ------
    DesignError
        If nobody of the population has a sample in the genotype file.
    """
    crosswalk = hub.frame("SELECT sample_id, person_id FROM samples ORDER BY sample_id, person_id")
    claimed = crosswalk["sample_id"].duplicated(keep=False)
    iids = genotypes.samples["iid"].reset_index(drop=True)
    # Int64 throughout: as floats, 63-bit pseudonyms would lose their last digits without a word.
    known = crosswalk[~claimed].set_index("sample_id")["person_id"].astype("Int64")
    person = known.reindex(iids).reset_index(drop=True)
    twice = iids.isin(crosswalk.loc[claimed, "sample_id"])
    unknown = person.isna() & ~twice
    outside = person.notna() & ~person.isin(persons["person_id"])
    asked = bool(hub.frame("SELECT count(*) AS n FROM consents")["n"][0])
    agreed = persons.loc[persons["consented"] | (not asked), "person_id"]
    silent = person.notna() & ~outside & ~person.isin(agreed)
    keep = (person.notna() & ~outside & ~silent).to_numpy(dtype=bool)
    if not keep.any():
        shown = Disclosure().show
        raise DesignError(
            "nobody of the study population has a sample in the genotype file",
            where=genotypes.path,
            found=f"{len(iids)} samples, {shown(len(known))} of the biobank's list, {shown(len(persons))} people in "
            "the study",
            expected="sample identifiers that are the IIDs of the genotype file",
            fix="check the samples table of the source and the .fam file",
        )
    steps = [
        ("Samples in the genotype file", 0),
        ("Sample claimed by more than one person", int(twice.sum())),
        ("Sample of somebody who objected or is not known", int(unknown.sum())),
        ("Person outside the study population", int(outside.sum())),
        ("No consent to research on record", int(silent.sum())),
    ]
    left = len(iids) - np.cumsum([removed for _, removed in steps])
    flow = pd.DataFrame(
        [(step, removed, int(rest)) for (step, removed), rest in zip(steps, left, strict=True)],
        columns=["step", "removed", "remaining"],
    )
    if int(left[-1]) != int(keep.sum()):
        raise AssertionError("samples in are not samples kept plus removed")
    rows = np.flatnonzero(keep)
    series = pd.Series(
        person.iloc[rows].to_numpy(dtype=np.int64),
        index=pd.Index(iids.iloc[rows], name="iid"),
        name="person_id",
    )
    return Genotyped(genotypes.select(samples=rows), series, flow)


def sampled_after(hub: Hub, day: date) -> pd.Series:
    """People (person_id) whose first sample was taken after a day."""
    found = hub.frame(
        "SELECT person_id FROM samples GROUP BY person_id HAVING min(collected) > ? ORDER BY person_id", [day]
    )
    return found["person_id"]


def one_sample_each(quality: QcResult, person_id: pd.Series) -> QcResult:
    """Leave out people of whom several samples are left after duplicates were thinned.

    Their samples differ, so at least one is somebody else's, and nothing tells which.

    Parameters
    ----------
    quality
        Result of quality control.
    person_id
        Person of each sample that came in.
    """
    people = pd.Series(person_id.to_numpy()[quality.samples])
    alone = ~people.duplicated(keep=False).to_numpy()
    step = {
        "step": "several different samples of one person",
        "removed": int((~alone).sum()),
        "remaining": int(alone.sum()),
        "threshold": "none is kept",
    }
    samples = quality.samples[alone]
    return replace(
        quality,
        samples=samples,
        unrelated=quality.unrelated[np.isin(quality.unrelated, samples)],
        sample_flow=pd.concat([quality.sample_flow, pd.DataFrame([step])], ignore_index=True),
    )
