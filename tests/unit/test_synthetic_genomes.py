"""The synthetic genotypes: frequencies, linkage disequilibrium, inheritance, faults, effects."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from cohorts.errors import DesignError
from cohorts.synthetic.config import RegionConfig
from cohorts.synthetic.effects import ARCHITECTURES, TRAITS, plant_effects
from cohorts.synthetic.genomes import LENGTHS, MISSING, genome_blocks, make_map
from cohorts.synthetic.people import ANCESTRIES
from cohorts.synthetic.region import make_region
from cohorts.synthetic.samples import pack

CONFIG = RegionConfig(people=2000, genotyped=800, variants=3000, seed=11)


@pytest.fixture(scope="module")
def region():
    return make_region(CONFIG)


@pytest.fixture(scope="module")
def calls(region):
    return np.concatenate([_unpack(rows, len(region.samples)) for rows in region.rows])


def _unpack(rows: np.ndarray, n: int) -> np.ndarray:
    """Plain reading of PLINK 1 two-bit codes."""
    meaning = {0b00: 2, 0b10: 1, 0b11: 0, 0b01: MISSING}
    out = np.zeros((len(rows), n), np.int8)
    for k in range(n):
        codes = (rows[:, k // 4] >> (2 * (k % 4))) & 3
        out[:, k] = [meaning[int(code)] for code in codes]
    return out


def _kinship(one: np.ndarray, two: np.ndarray) -> float:
    """KING-robust between-family estimator (Manichaikul et al. 2010) of two people."""
    both = (one >= 0) & (two >= 0)
    one, two = one[both], two[both]
    shared = ((one == 1) & (two == 1)).sum() - 2 * (np.abs(one - two) == 2).sum()
    least = min((one == 1).sum(), (two == 1).sum())
    return float(shared / (2 * least) + 0.5 - ((one == 1).sum() + (two == 1).sum()) / (4 * least))


def test_packing_follows_the_plink_1_codes():
    rng = np.random.default_rng(0)
    dosages = rng.choice(np.array([0, 1, 2, MISSING], np.int8), (7, 13))
    packed = pack(dosages)
    assert packed.shape == (7, 4)
    assert (_unpack(packed, 13) == dosages).all()
    assert (packed[:, 3] >> 2 == 0).all()


def test_the_map_is_sorted_within_chromosomes_of_grch38(region):
    variants = region.variants
    assert len(variants) == CONFIG.variants
    assert list(dict.fromkeys(variants["chrom"])) == list(LENGTHS)
    assert variants["id"].is_unique
    for chrom, part in variants.groupby("chrom"):
        assert (np.diff(part["pos"]) > 0).all()
        assert part["pos"].max() < LENGTHS[chrom]
    assert (variants["chrom"] == "X").sum() == 75
    assert (variants["ref"] != variants["alt"]).all()


def test_frequencies_follow_the_map_and_span_rare_to_common(region, calls):
    genome_map = make_map(CONFIG)
    eur = np.array(ANCESTRIES)[region.people.ancestry[region.samples["labelled_person"]]] == "eur"
    autosomes = (region.variants["chrom"].str.isdecimal() & (region.variants["fault"] == "")).to_numpy()
    part = calls[autosomes][:, eur]
    seen = np.where(part == MISSING, np.nan, part.astype(float))
    observed = np.nanmean(seen, axis=1) / 2
    expected = genome_map.frequency[autosomes, 0]
    # haplotypes are drawn twice: into the founders, then into the people
    error = np.sqrt(expected * (1 - expected) * (1 / 1200 + 1 / (2 * eur.sum())))
    assert abs(np.mean((observed - expected) / error)) < 0.1
    assert 0.85 < np.std((observed - expected) / error) < 1.15
    minor = np.minimum(observed, 1 - observed)
    assert (minor < 0.02).mean() > 0.05
    assert (minor > 0.2).mean() > 0.3


def test_correlation_decays_with_distance_and_vanishes_between_blocks(region, calls):
    eur = np.array(ANCESTRIES)[region.people.ancestry[region.samples["labelled_person"]]] == "eur"
    variants = region.variants
    use = np.flatnonzero((variants["chrom"].isin(["1", "2", "3"])) & (variants["fault"] == ""))
    seen = np.where(calls[use] == MISSING, np.nan, calls[use].astype(float))[:, eur]
    seen = np.where(np.isnan(seen), np.nanmean(seen, axis=1, keepdims=True), seen)
    middling = np.abs(seen.mean(axis=1) - 1) < 0.6
    common, r2 = use[middling], np.corrcoef(seen[middling]) ** 2
    pos, chrom = variants["pos"].to_numpy()[common], variants["chrom"].to_numpy()[common]
    one, two = np.triu_indices(len(common), 1)
    gap = np.where(chrom[one] == chrom[two], np.abs(pos[one] - pos[two]), 10**9)
    means = [
        r2[one, two][(gap >= a) & (gap < b)].mean()
        for a, b in ((0, 10**4), (2e4, 5e4), (8e4, 2e5), (10**7, 2e9))
    ]
    assert means[0] > 0.25
    assert means[0] > 1.5 * means[1] > 1.5 * means[2]
    assert means[3] < 2.0 / eur.sum()


def test_far_ancestries_differ_by_fst_of_five_to_ten_percent(region):
    frequency = make_map(CONFIG).frequency
    eur, afr = frequency[:, 0], frequency[:, 2]
    fst = ((eur - afr) ** 2).sum() / (eur * (1 - afr) + afr * (1 - eur)).sum()
    assert 0.04 < fst < 0.10


def test_men_are_never_heterozygous_on_x_and_women_have_no_y(region):
    plan = make_region(CONFIG).samples
    good = (plan["fault"] == "none").to_numpy()
    male = (plan["sex"] == "M").to_numpy()
    genomes = {"X": [], "Y": []}
    chroms = region.variants["chrom"].to_numpy()
    for rows, start in zip(region.rows, np.cumsum([0, *map(len, region.rows)]), strict=False):
        if chroms[start] in genomes:
            genomes[chroms[start]].append(_unpack(rows, len(plan)))
    x, y = np.concatenate(genomes["X"]), np.concatenate(genomes["Y"])
    normal = region.variants.loc[region.variants["chrom"] == "X", "fault"].to_numpy() == ""
    assert (x[normal][:, good & male] == 1).sum() == 0
    assert 0.15 < (x[normal][:, good & ~male] == 1).mean() < 0.5
    assert (y[:, good & ~male] == MISSING).all()
    assert np.isin(y[:, good & male], [0, 2, MISSING]).all()
    mismatch = (plan["fault"] == "sex_mismatch").to_numpy()
    assert mismatch.any()
    claims_male = mismatch & male
    assert all((x[:, k] == 1).any() for k in np.flatnonzero(claims_male))


def test_children_inherit_one_allele_from_each_parent_without_error():
    from cohorts.synthetic.families import Pedigree

    ints = lambda *values: np.array(values, np.int32)  # noqa: E731
    # 0 father, 1 mother, 2 daughter, 3 son, 4 their cousin's unrelated neighbour
    pedigree = Pedigree(
        ints(-1, -1, 1, 1, -1),
        ints(-1, -1, 0, 0, -1),
        np.array([0, 0, 1, 1, 0], np.int8),
        np.array([True, False, False, True, False]),
        np.zeros(5, np.int8),
    )
    genome_map = make_map(CONFIG)
    chroms = genome_map.variants["chrom"].to_numpy()
    opposite = 0
    for start, dosages in genome_blocks(genome_map, pedigree, CONFIG):
        father, mother, daughter, son, _ = dosages.astype(int)[:, :].T
        if chroms[start] == "Y":
            assert (son == father).all()
            continue
        if chroms[start] == "X":
            assert (np.abs(son // 2 * 2 - mother) < 2).all()
            assert (np.abs(daughter - father // 2 - mother / 2) <= 0.5).all()
            continue
        for child in (daughter, son):
            assert (child >= (father == 2).astype(int) + (mother == 2)).all()
            assert (child <= 2 - (father == 0).astype(int) - (mother == 0)).all()
        opposite += int((np.abs(father - daughter) == 2).sum())
    assert opposite == 0


def test_kinship_of_relatives_is_as_the_truth_says(region, calls):
    autosomes = (region.variants["chrom"].str.isdecimal() & (region.variants["fault"] == "")).to_numpy()
    own = calls[autosomes].astype(int)
    tube = region.samples[region.samples["fault"] == "none"].drop_duplicates("labelled_person")
    at = pd.Series(tube.index, index=tube["labelled_person"])
    estimates: dict[str, list[float]] = {}
    for row in region.kin.itertuples():
        estimates.setdefault(row.relation, []).append(
            _kinship(own[:, at[row.person1]], own[:, at[row.person2]])
        )
    means = {relation: float(np.mean(values)) for relation, values in estimates.items()}
    assert means["mz_twin"] == pytest.approx(0.5, abs=0.01)
    assert means["parent_child"] == pytest.approx(0.25, abs=0.02)
    assert means["sibling"] == pytest.approx(0.25, abs=0.03)
    assert means["cousin"] == pytest.approx(0.0625, abs=0.03)
    again = region.samples[region.samples["fault"] == "duplicate_of"].iloc[0]
    first = region.samples.index[region.samples["sample_id"] == again["of"]][0]
    assert _kinship(own[:, again.name], own[:, first]) > 0.49


def test_bad_samples_and_variants_show_their_fault(region, calls):
    plan = region.samples.reset_index(drop=True)
    autosomes = region.variants["chrom"].str.isdecimal().to_numpy()
    part = calls[autosomes]
    missing = (part == MISSING).mean(axis=0)
    assert (missing[plan["fault"] == "low_call_rate"] > 0.05).all()
    assert (missing[plan["fault"] == "none"] < 0.02).all()
    heterozygous = (part == 1).mean(axis=0)
    clean = heterozygous[plan["fault"] == "none"]
    assert (heterozygous[plan["fault"] == "contaminated"] > clean.mean() + 3 * clean.std()).all()
    fault = region.variants["fault"].to_numpy()
    assert ((calls == MISSING).mean(axis=1)[(fault == "low_call") & autosomes] > 0.04).all()
    assert (np.maximum(calls, 0).max(axis=1)[fault == "monomorphic"] == 0).all()


def test_genetic_values_are_the_sum_of_planted_effects(region, calls):
    """Recount of a few people's values from their (nearly faultless) calls, one variant at a time."""
    table = region.effects.table
    mean = 2 * make_map(CONFIG).overall()
    plan = region.samples[region.samples["fault"] == "none"].head(5)
    for row in plan.itertuples():
        own = calls[:, row.Index].astype(float)
        for trait in ("ldl", "t2d"):
            expected = sum(
                e.effect * (own[e.variant] - mean[e.variant])
                for e in table[table["trait"] == trait].itertuples()
                if own[e.variant] != MISSING
            )
            made = region.genetic[region.people.genome[row.labelled_person], TRAITS.index(trait)]
            spread = np.sqrt(ARCHITECTURES[trait].genetic_variance) * ARCHITECTURES[trait].sd
            assert abs(made - expected) < 0.25 * spread


def test_stated_genetic_variance_is_planted():
    rng = np.random.default_rng(8)
    frequency = rng.uniform(0.02, 0.98, 5000)
    effects = plant_effects(np.arange(5000), frequency, np.arange(5000) // 12, rng).table
    spread = 2 * frequency * (1 - frequency)
    for trait, item in ARCHITECTURES.items():
        rows = effects[effects["trait"] == trait]
        variance = float(np.sum(rows["effect"] ** 2 * spread[rows["variant"]]))
        assert variance == pytest.approx(item.genetic_variance * item.sd**2, rel=1e-6)
        assert rows["large"].sum() == len(item.loci)
    large = effects[effects["large"]]
    assert (large["variant"] // 12).is_unique


def test_too_few_common_variants_are_refused():
    rare = np.full(500, 0.01)
    with pytest.raises(DesignError, match="too few common variants"):
        plant_effects(np.arange(500), rare, np.arange(500), np.random.default_rng(0))


def test_more_genotyped_than_adults_are_refused():
    with pytest.raises(DesignError, match="too few people"):
        make_region(RegionConfig(people=1000, genotyped=800, variants=1000))
