"""The region: one description from which every table and block follows.

Nothing is made until it is asked for, and people are made some thousands at a time, so that memory does
not grow with the region (people take some 100 bytes each, genotypes a quarter of a byte per call). The
chunks of people are independent of one another: :class:`cohorts.synthetic.chunk.Chunk`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cohorts.errors import DesignError
from cohorts.synthetic import truth
from cohorts.synthetic.chunk import Chunk
from cohorts.synthetic.config import RegionConfig
from cohorts.synthetic.effects import TRAITS, Effects, plant_effects
from cohorts.synthetic.families import make_families
from cohorts.synthetic.genomes import MISSING, make_map
from cohorts.synthetic.people import ANCESTRIES, Births, People, choose_genotyped, draw_births, settle
from cohorts.synthetic.places import Places, deprivation_table, make_places, pollution_table
from cohorts.synthetic.samples import make_genotypes, plan_samples

_CANDIDATES = 6000
_KIN = ("person1", "person2", "relation", "kinship")


@dataclass(frozen=True)
class ExistingGenotypes:
    """A genotype file around whose people a region is grown.

    Attributes
    ----------
    samples
        Columns iid and sex ('M', 'F' or None), in file order.
    variants
        Columns chrom, pos, id, ref, alt, in file order; ``alt`` is the counted allele.
    dosages
        Function of variant positions (rising) that gives int8 (variants, samples) ALT copies, -9 missing.
    """

    samples: pd.DataFrame
    variants: pd.DataFrame
    dosages: Callable[[NDArray[np.int64]], NDArray[np.int8]]


@dataclass(frozen=True)
class Region:
    """A synthetic region, ready to be written.

    Attributes
    ----------
    config, places, people
        Size and seed, the map, and everybody.
    effects
        Planted effects.
    variants
        The genotype file's variants: chrom, pos, id, ref, alt, cm (and fault, where the file is made).
    samples
        Truth about samples: sample_id, labelled_person, true_person, fault, of, sex.
    rows
        PLINK 1 rows of the made file, block by block; empty where an existing file is used.
    genetic
        (genomes, traits) genetic values.
    spread
        (ancestries, 2, traits) mean and standard deviation of genetic values of people without DNA.
    frequency
        (variants,) ALT frequency in the file, NaN where unknown.
    kin
        Genotyped relatives.
    """

    config: RegionConfig
    places: Places
    people: People
    effects: Effects
    variants: pd.DataFrame
    samples: pd.DataFrame
    rows: list[NDArray[np.uint8]]
    genetic: NDArray[np.float32]
    spread: NDArray[np.float64]
    frequency: NDArray[np.float64]
    kin: pd.DataFrame

    def tables(self) -> Iterator[tuple[str, pd.DataFrame]]:
        """Every table as (file name, rows); a name that comes again continues its table.

        Names are ``extracts/...`` or ``truth/...`` with the suffix ``.csv`` or ``.parquet``.
        """
        yield from self.opening()
        broken: Counter[tuple[str, str]] = Counter()
        for chunk in self.chunks():
            yield from chunk.extracts(broken)
        yield from self.closing(broken)

    def opening(self) -> Iterator[tuple[str, pd.DataFrame]]:
        """Tables about places."""
        yield "extracts/pollution.csv", pollution_table(self.places)
        yield "extracts/deprivation.csv", deprivation_table(self.places)

    def chunks(self) -> Iterator[Chunk]:
        """The region's people in parts that can be made in any order, or in other processes."""
        labelled = self.samples["labelled_person"].to_numpy()
        for part, start in enumerate(range(0, len(self.people), self.config.chunk)):
            people = self.people.rows(start, min(start + self.config.chunk, len(self.people)))
            typed = people.genome[people.genome >= 0]
            mine = (labelled >= start) & (labelled < start + len(people))
            yield Chunk(
                self.config,
                self.places,
                part,
                start,
                people,
                self.genetic[typed],
                self.spread,
                self.samples[mine].reset_index(drop=True),
            )

    def closing(self, broken: Counter[tuple[str, str]]) -> Iterator[tuple[str, pd.DataFrame]]:
        """Tables of the truth that are not about single chunks; `broken` counts the rows broken in all."""
        yield "truth/malformed.parquet", truth.malformed_table(broken)
        yield "truth/kin.parquet", self.kin
        yield "truth/samples.parquet", self.samples.drop(columns="sex")
        yield "truth/variants.parquet", truth.variants_table(self.effects, self.variants, self.frequency)
        if "fault" in self.variants:
            bad = self.variants[self.variants["fault"] != ""]
            yield "truth/bad_variants.parquet", bad[["id", "chrom", "pos", "fault"]].reset_index(drop=True)

    def model(self) -> dict[str, Any]:
        """The stated model, as it goes to ``truth/hazards.json``."""
        return truth.model(self.config)


def make_region(config: RegionConfig, *, genotypes: ExistingGenotypes | None = None) -> Region:
    """Describe a region.

    Parameters
    ----------
    config
        Size and seed.
    genotypes
        An existing genotype file; its samples become people of the region and its variants carry the
        effects. Without it a file of ``config.genotyped`` people is made.

    Raises
    ------
    DesignError
        If the region cannot hold the genotyped, or the file has too few common variants.

    Examples
    --------
    >>> region = make_region(RegionConfig(people=600, genotyped=100, variants=1000, chunk=600))
    >>> len(region.samples)
    100
    """
    places = make_places(config)
    births = draw_births(config)
    rng = config.rng("genotyped")
    if genotypes is not None:
        return _around(genotypes, config, places, births, rng)
    _check_room(config.genotyped, config)
    chosen = choose_genotyped(births, config.genotyped, config, rng)
    families = make_families(births, chosen, config.rng("families"))
    people = settle(families.births, families.genome, families.namesake, places, config)
    genome_map = make_map(config)
    autosomal = ~genome_map.variants["chrom"].isin(["X", "Y"]) & (genome_map.variants["fault"] == "")
    usable = np.flatnonzero(autosomal)
    effects = plant_effects(
        usable, genome_map.overall()[usable], genome_map.block[usable], config.rng("effects")
    )
    related = families.kin[["person1", "person2"]].to_numpy().ravel()
    plan = plan_samples(chosen, people.male, people.genome, related, families.pedigree, config.rng("samples"))
    made = make_genotypes(genome_map, plan, effects, config)
    return Region(
        config,
        places,
        people,
        effects,
        genome_map.variants,
        plan.table,
        made.rows,
        made.values,
        _expected_spread(effects, genome_map.by_ancestry()),
        made.frequency,
        families.kin,
    )


def _check_room(genotyped: int, config: RegionConfig) -> None:
    if genotyped > 0.45 * config.people:
        raise DesignError(
            "too few people to draw the genotyped from",
            where="people",
            found=f"{genotyped} genotyped of {config.people} people",
            expected=f"{int(genotyped / 0.45) + 1} people or more (the genotyped are resident adults)",
            fix="ask for more people, or for fewer genotyped",
        )


def _expected_spread(effects: Effects, frequency: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean and standard deviation of genetic values by ancestry, under linkage equilibrium."""
    out = np.zeros((len(ANCESTRIES), 2, len(TRAITS)))
    centre = frequency[:, -1]
    for code in range(len(TRAITS)):
        rows = effects.table[effects.table["trait_code"] == code]
        at, size = rows["variant"].to_numpy(), rows["effect"].to_numpy()
        p = frequency[at]
        out[:, 0, code] = (2 * (p - centre[at][:, None]) * size[:, None]).sum(axis=0)
        out[:, 1, code] = np.sqrt((2 * p * (1 - p) * size[:, None] ** 2).sum(axis=0))
    return out


def _around(
    genotypes: ExistingGenotypes,
    config: RegionConfig,
    places: Places,
    births: Births,
    rng: np.random.Generator,
) -> Region:
    """Grow a region around an existing genotype file."""
    count = len(genotypes.samples)
    _check_room(count, config)
    chosen = rng.permutation(choose_genotyped(births, count, config, rng))
    sex = genotypes.samples["sex"].to_numpy(object)
    male, ancestry = births.male.copy(), births.ancestry.copy()
    known = np.isin(sex, ["M", "F"])
    male[chosen[known]] = sex[known] == "M"
    ancestry[chosen] = ANCESTRIES.index("given")
    genome = np.full(config.people, -1, np.int32)
    genome[chosen] = np.arange(count)
    none = np.full(config.people, -1, np.int32)
    people = settle(replace(births, male=male, ancestry=ancestry), genome, none, places, config)
    effects, values, frequency = _effects_in(genotypes, config)
    spread = np.stack([values.mean(axis=0), values.std(axis=0)])
    samples = pd.DataFrame(
        {
            "sample_id": genotypes.samples["iid"].astype(str).to_numpy(object),
            "labelled_person": chosen,
            "true_person": chosen,
            "fault": "none",
            "of": "",
            "sex": np.where(male[chosen], "M", "F"),
        }
    )
    return Region(
        config,
        places,
        people,
        effects,
        genotypes.variants,
        samples,
        [],
        values,
        np.broadcast_to(spread, (len(ANCESTRIES), *spread.shape)),
        frequency,
        pd.DataFrame({name: [] for name in _KIN}),
    )


def _effects_in(
    genotypes: ExistingGenotypes, config: RegionConfig
) -> tuple[Effects, NDArray[np.float32], NDArray[np.float64]]:
    """Plant effects in an existing file and add them up over its people."""
    rng = config.rng("effects")
    chrom = genotypes.variants["chrom"].astype(str).to_numpy()
    autosomal = np.flatnonzero(np.isin(chrom, [str(k) for k in range(1, 23)]))
    candidates = np.sort(rng.permutation(autosomal)[:_CANDIDATES])
    frequency = np.full(len(chrom), np.nan)
    called = np.zeros(len(chrom))
    for part in _parts(candidates):
        dosages = genotypes.dosages(part)
        seen = dosages != MISSING
        called[part] = seen.mean(axis=1)
        frequency[part] = np.where(seen, dosages, 0).sum(axis=1) / np.maximum(2 * seen.sum(axis=1), 1)
    candidates = candidates[called[candidates] > 0.95]
    # a megabase is one locus, whatever the file's density
    position = genotypes.variants["pos"].to_numpy(np.int64)[candidates] // 1_000_000
    effects = plant_effects(
        candidates, frequency[candidates], chrom[candidates].astype(int) * 1000 + position, rng
    )
    values = np.zeros((len(genotypes.samples), len(TRAITS)), np.float32)
    for part in _parts(np.unique(effects.table["variant"].to_numpy())):
        dosages = genotypes.dosages(part).astype(np.float32)
        centred = np.where(dosages == MISSING, 0, dosages - 2 * frequency[part, None].astype(np.float32))
        # element by element, not by matrix product: the same bytes whatever the linear algebra library
        for row, k in zip(centred, part, strict=True):
            values += row[:, None] * effects.matrix(int(k), int(k) + 1)[:, 0]
    return effects, values, frequency


def _parts(positions: NDArray[np.int64], size: int = 500) -> list[NDArray[np.int64]]:
    return [positions[k : k + size] for k in range(0, len(positions), size)]
