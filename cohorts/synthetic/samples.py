"""From genomes to the delivered genotype file: sample labels, laboratory faults and failed variants."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cohorts.synthetic.config import RegionConfig
from cohorts.synthetic.effects import TRAITS, Effects
from cohorts.synthetic.families import Pedigree
from cohorts.synthetic.genomes import MISSING, GenomeMap, genome_blocks

#: Share of samples with each fault.
FAULTS: dict[str, float] = {
    "low_call_rate": 0.004,
    "contaminated": 0.003,
    "sex_mismatch": 0.003,
    "swapped": 0.0014,
    "duplicate_of": 0.005,
}
_MISSING_RATE = 0.002
_ERROR_RATE = 0.0002
_CONTAMINATION = 0.4


@dataclass(frozen=True)
class SamplePlan:
    """The samples in file order.

    Attributes
    ----------
    table
        Columns sample_id, labelled_person (whose name is on the tube), true_person (whose DNA is in it,
        -1 for a stranger), fault (none | low_call_rate | contaminated | sex_mismatch | swapped |
        duplicate_of), of (the sample_id duplicated or swapped with), sex (as labelled, 'M' or 'F').
    genome
        (samples,) genome in each tube.
    other
        (samples,) genome that contaminates it, -1 for none.
    missing
        (samples,) extra share of failed calls.
    pedigree
        Genomes, including those of strangers.
    """

    table: pd.DataFrame
    genome: NDArray[np.int64]
    other: NDArray[np.int64]
    missing: NDArray[np.float64]
    pedigree: Pedigree


def plan_samples(
    people: NDArray[np.int64],
    male: NDArray[np.bool_],
    genome: NDArray[np.int32],
    related: NDArray[np.int64],
    pedigree: Pedigree,
    rng: np.random.Generator,
) -> SamplePlan:
    """Label tubes and decide which go wrong.

    Parameters
    ----------
    people
        (k,) genotyped people.
    male, genome
        (all people,) sex and genome.
    related
        People with a genotyped relative; their samples stay good, so that the kinship truth is exact.
    pedigree
        Genomes of the genotyped and their unseen relatives.
    """
    k = len(people)
    free = rng.permutation(np.flatnonzero(~np.isin(people, related)))
    count = {name: (max(2, round(share * k)) if k >= 200 else 0) for name, share in FAULTS.items()}
    count["swapped"] += count["swapped"] % 2
    edges = np.cumsum([0, *count.values()])
    groups = {name: free[edges[j] : edges[j + 1]] for j, name in enumerate(count)}
    again = groups["duplicate_of"]
    labelled = np.concatenate([people, people[again]])
    order = rng.permutation(len(labelled))
    fault = np.full(len(labelled), "none", object)
    of = np.full(len(labelled), -1)
    fault[k:], of[k:] = "duplicate_of", again
    inside = genome[labelled].astype(np.int64)
    true = labelled.copy()
    other = np.full(len(labelled), -1)
    missing = np.zeros(len(labelled))
    missing[groups["low_call_rate"]] = rng.uniform(0.06, 0.2, count["low_call_rate"])
    other[groups["contaminated"]] = inside[rng.integers(0, k, count["contaminated"])]
    pairs = groups["swapped"].reshape(2, -1)
    for one, two in (pairs, pairs[::-1]):
        inside[one], true[one], of[one] = genome[people[two]], people[two], two
    strangers, pedigree = _strangers(~male[people[groups["sex_mismatch"]]], pedigree)
    inside[groups["sex_mismatch"]] = strangers
    true[groups["sex_mismatch"]] = -1
    for name in ("low_call_rate", "contaminated", "sex_mismatch", "swapped"):
        fault[groups[name]] = name
    numbers = rng.choice(max(900_000, 4 * len(labelled)), len(labelled), replace=False) + 100_000
    ids = np.array([f"S{number}" for number in numbers], object)
    table = pd.DataFrame(
        {
            "sample_id": ids,
            "labelled_person": labelled,
            "true_person": true,
            "fault": fault,
            "of": np.where(of >= 0, ids[of], ""),
            "sex": np.where(male[labelled], "M", "F"),
        }
    )
    return SamplePlan(
        table.iloc[order].reset_index(drop=True), inside[order], other[order], missing[order], pedigree
    )


def _strangers(male: NDArray[np.bool_], pedigree: Pedigree) -> tuple[NDArray[np.int64], Pedigree]:
    """Add founders who are nobody in the region."""
    n = len(male)
    none = np.full(n, -1, np.int32)
    grown = replace(
        pedigree,
        mother=np.concatenate([pedigree.mother, none]),
        father=np.concatenate([pedigree.father, none]),
        level=np.concatenate([pedigree.level, np.zeros(n, np.int8)]),
        male=np.concatenate([pedigree.male, male]),
        ancestry=np.concatenate([pedigree.ancestry, np.zeros(n, np.int8)]),
    )
    return np.arange(len(pedigree), len(pedigree) + n), grown


@dataclass(frozen=True)
class MadeGenotypes:
    """A made genotype file and what its genomes do.

    Attributes
    ----------
    variants
        Columns chrom, pos, id, ref, alt, cm, fault.
    plan
        The samples.
    rows
        One array a block: PLINK 1 two-bit rows, uint8 (variants, ceil(samples / 4)); the codes count the
        ALT allele, which stands first in the .bim.
    values
        (genomes, traits) genetic values, centred on the region's expected mean.
    frequency
        (variants,) observed ALT frequency among the samples; NaN on Y.
    """

    variants: pd.DataFrame
    plan: SamplePlan
    rows: list[NDArray[np.uint8]]
    values: NDArray[np.float32]
    frequency: NDArray[np.float64]


def make_genotypes(
    genome_map: GenomeMap, plan: SamplePlan, effects: Effects, config: RegionConfig
) -> MadeGenotypes:
    """Make every block once: add up genetic values, then spoil and pack the calls."""
    mean = (2 * genome_map.overall()).astype(np.float32)
    fault = genome_map.variants["fault"].to_numpy()
    chroms = genome_map.variants["chrom"].to_numpy()
    values = np.zeros((len(TRAITS), len(plan.pedigree)), np.float32)
    rows: list[NDArray[np.uint8]] = []
    frequency = np.full(len(genome_map.variants), np.nan)
    rng = config.rng("calls")
    for start, dosages in genome_blocks(genome_map, plan.pedigree, config):
        stop = start + len(dosages)
        weights = effects.matrix(start, stop)
        for k in np.flatnonzero(weights.any(axis=0)):
            values += weights[:, k, None] * (dosages[k].astype(np.float32) - mean[start + k])
        calls = _call(dosages, plan, fault[start:stop], bool(chroms[start] in ("X", "Y")), rng)
        seen = calls != MISSING
        if chroms[start] != "Y":
            copies = np.maximum(calls, 0).sum(axis=1, dtype=np.int64)
            frequency[start:stop] = copies / np.maximum(2 * seen.sum(axis=1), 1)
        rows.append(pack(calls))
    return MadeGenotypes(genome_map.variants, plan, rows, np.ascontiguousarray(values.T), frequency)


def _call(
    dosages: NDArray[np.int8],
    plan: SamplePlan,
    fault: NDArray[np.object_],
    haploid: bool,
    rng: np.random.Generator,
) -> NDArray[np.int8]:
    """Calls as a laboratory delivers them, (variants, samples)."""
    calls = dosages[:, plan.genome]
    mixed = np.flatnonzero(plan.other >= 0)
    own, foreign = calls[:, mixed], dosages[:, plan.other[mixed]]
    blurred = (own != foreign) & (own != MISSING) & (foreign != MISSING)
    calls[:, mixed] = np.where(blurred & (rng.random(own.shape) < 2 * _CONTAMINATION), 1, own)
    _scatter(calls, _ERROR_RATE, None if haploid else 1, rng)
    _scatter(calls, _MISSING_RATE, MISSING, rng)
    poor = np.flatnonzero(plan.missing > 0)
    calls[:, poor] = np.where(
        rng.random((len(calls), len(poor))) < plan.missing[poor], MISSING, calls[:, poor]
    )
    for k in np.flatnonzero(fault != ""):
        if fault[k] == "low_call":
            calls[k, rng.random(calls.shape[1]) < rng.uniform(0.06, 0.25)] = MISSING
        elif fault[k] == "monomorphic":
            calls[k, calls[k] > 0] = 0
        else:
            lost = (calls[k] == 1) & (rng.random(calls.shape[1]) < 0.6)
            calls[k, lost] = np.where(rng.random(int(lost.sum())) < 0.5, 0, 2)
    return calls


def _scatter(calls: NDArray[np.int8], rate: float, value: int | None, rng: np.random.Generator) -> None:
    """Overwrite a share `rate` of the calls that are present."""
    if value is None:
        return
    count = rng.poisson(rate * calls.size)
    rows, columns = rng.integers(0, calls.shape[0], count), rng.integers(0, calls.shape[1], count)
    present = calls[rows, columns] != MISSING
    calls[rows[present], columns[present]] = value


def pack(calls: NDArray[np.int8]) -> NDArray[np.uint8]:
    """Two-bit rows of PLINK 1: 00 two ALT copies, 10 one, 11 none, 01 missing; lowest bits first.

    Parameters
    ----------
    calls
        (variants, samples) ALT copies 0, 1, 2 or -9.

    Returns
    -------
    uint8, (variants, ceil(samples / 4))

    Examples
    --------
    >>> pack(np.array([[2, 1, 0, -9, 2]], np.int8)).tolist()
    [[120, 0]]
    """
    table = np.full(256, 1, np.uint8)
    table[[0, 1, 2]] = [3, 2, 0]
    m, n = calls.shape
    codes = np.zeros((m, -(-n // 4) * 4), np.uint8)
    codes[:, :n] = table[calls.view(np.uint8)]
    packed: NDArray[np.uint8] = (
        codes[:, 0::4] | codes[:, 1::4] << 2 | codes[:, 2::4] << 4 | codes[:, 3::4] << 6
    )
    return packed
