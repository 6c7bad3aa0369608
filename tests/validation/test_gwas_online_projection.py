"""Do new people fall where they belong, whatever is missing of them? Planted places, and HapMap 3."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from gwas.components import Pca, pca, project
from gwas.genotypes import Genotypes, open_genotypes
from gwas.kernels.packed import pack
from gwas.online_projection import augment

F64 = npt.NDArray[np.float64]


def write_bed(prefix: Path, calls: npt.NDArray[np.int8]) -> Genotypes:
    m, n = calls.shape
    prefix.with_suffix(".bed").write_bytes(b"\x6c\x1b\x01" + pack(calls).tobytes())
    prefix.with_suffix(".bim").write_text("".join(f"1 v{v} 0 {1 + v} A G\n" for v in range(m)))
    prefix.with_suffix(".fam").write_text("".join(f"f{i} i{i} 0 0 0 -9\n" for i in range(n)))
    return open_genotypes(prefix.with_suffix(".bed"))


def four_populations(m: int, size: int, *, fst: float, seed: int) -> npt.NDArray[np.int8]:
    rng = np.random.default_rng(seed)
    ancestral = rng.uniform(0.1, 0.9, m)
    shape = (1 - fst) / fst
    groups = [
        rng.binomial(2, rng.beta(ancestral * shape, (1 - ancestral) * shape)[:, None], (m, size))
        for _ in range(4)
    ]
    return np.concatenate(groups, axis=1).astype(np.int8)


def slope(
    placed: F64, fitted: F64, group_placed: npt.NDArray[np.int64], group_fitted: npt.NDArray[np.int64]
) -> float:
    """How far along to their population's centre people fall: 1 is there, 0 the middle."""
    centre = np.stack([fitted[group_fitted == g].mean(axis=0) for g in range(4)])[group_placed]
    return float((placed * centre).sum() / (centre**2).sum())


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Genotypes, npt.NDArray[np.bool_], Pca]:
    calls = four_populations(8_000, 60, fst=0.01, seed=1)
    genotypes = write_bed(tmp_path_factory.mktemp("planted") / "g", calls)
    fit_on = np.random.default_rng(2).random(240) < 0.8
    model = pca(
        genotypes.select(samples=fit_on),
        components=3,
        variants=np.arange(8_000),
        rng=np.random.default_rng(1),
    )
    return genotypes, fit_on, model


def test_people_do_not_shrink_where_a_plain_projection_halves_them(planted) -> None:
    genotypes, fit_on, model = planted
    group = np.repeat(np.arange(4), 60)
    new = genotypes.select(samples=~fit_on, variants=model.variants)
    fitted = model.scores.to_numpy()
    oadp, plain = (
        slope(project(model, new, method=m).to_numpy(), fitted, group[~fit_on], group[fit_on])
        for m in ("oadp", "plain")
    )
    # Measured: 1.015 and 0.51.
    assert 0.97 < oadp < 1.03
    assert plain < 0.6


@pytest.mark.parametrize("missing", [0.1, 0.5])
def test_missing_calls_do_not_draw_people_to_the_middle(planted, tmp_path: Path, missing: float) -> None:
    genotypes, fit_on, model = planted
    group = np.repeat(np.arange(4), 60)
    new = genotypes.select(samples=~fit_on, variants=model.variants)
    calls = new.read_block(0, new.n_variants).dosages()
    calls[np.random.default_rng(3).random(calls.shape) < missing] = -9
    gappy = write_bed(tmp_path / "gappy", calls)
    gappy.variants[["id", "ref", "alt"]] = model.frame[["id", "ref", "alt"]].to_numpy()
    placed = project(model, gappy).to_numpy()
    assert 0.92 < slope(placed, model.scores.to_numpy(), group[~fit_on], group[fit_on]) < 1.08


def test_variants_that_the_new_file_lacks_count_as_missing(planted) -> None:
    genotypes, fit_on, model = planted
    rows = np.flatnonzero(np.random.default_rng(4).random(len(model.variants)) < 0.6)
    part = replace(
        model,
        loadings=model.loadings[rows],
        mean=model.mean[rows],
        scale=model.scale[rows],
        frame=model.frame.iloc[rows].reset_index(drop=True),
    )
    new = genotypes.select(samples=~fit_on, variants=model.variants[rows])
    group = np.repeat(np.arange(4), 60)
    placed = project(part, new).to_numpy()
    assert 0.92 < slope(placed, model.scores.to_numpy(), group[~fit_on], group[fit_on]) < 1.08


def test_who_else_is_placed_changes_nobody_and_too_little_called_is_not_placed(
    planted, tmp_path: Path
) -> None:
    genotypes, fit_on, model = planted
    new = genotypes.select(samples=np.flatnonzero(~fit_on)[:6], variants=model.variants)
    alone = project(model, new.select(samples=[3]))
    np.testing.assert_allclose(alone, project(model, new).iloc[[3]], rtol=1e-4)
    calls = new.read_block(0, new.n_variants).dosages()
    calls[600:, 2] = -9
    calls[:, 5] = -9
    gappy = write_bed(tmp_path / "gappy", calls)
    gappy.variants[["id", "ref", "alt"]] = model.frame[["id", "ref", "alt"]].to_numpy()
    placed = project(model, gappy)
    assert placed.isna().all(axis=1).tolist() == [False, False, True, False, False, True]


def scores_of(z: F64, k: int) -> F64:
    """Leading scores of people (columns of ``z``), scaled by their singular values."""
    values, vectors = np.linalg.eigh(z.T @ z)
    return vectors[:, ::-1][:, :k] * np.sqrt(values[::-1][:k])


def joint_place(z_fitted: F64, person: F64, k: int) -> F64:
    """The plain twin: decompose with the person among the others, turn the result back onto the old scores."""
    old = scores_of(z_fitted, k)
    both = scores_of(np.column_stack([z_fitted, person]), k)
    a, values, b = np.linalg.svd(both[:-1].T @ old)
    stretch = values.sum() / (both[:-1] ** 2).sum()
    return np.asarray(both[-1] @ (a @ b) * stretch)


def test_each_person_falls_where_a_joint_decomposition_puts_them(planted) -> None:
    genotypes, fit_on, model = planted
    calls = genotypes.select(variants=model.variants).read_block(0, len(model.variants)).dosages()
    z = (calls - model.mean[:, None]) / model.scale[:, None]
    new = np.flatnonzero(~fit_on)[:8]
    scores = scores_of(z[:, fit_on], 3)
    singular = np.linalg.norm(scores, axis=0)
    weighed = z[:, new].T @ (z[:, fit_on] @ scores / singular**2)
    placed = augment(weighed, (z[:, new] ** 2).sum(axis=0), singular) * singular
    wanted = np.stack([joint_place(z[:, fit_on], z[:, i], 3) for i in new])
    assert np.linalg.norm(placed - wanted) < 0.03 * np.linalg.norm(wanted)


def test_somebody_unlike_anyone_fitted_takes_no_component_for_themselves() -> None:
    # What the components do not explain outweighs the third component.
    singular = np.array([90.0, 60.0, 25.0])
    placed = augment(np.array([[6.0, 4.0, 0.5]]), np.array([40.0**2]), singular)
    assert (np.abs(placed[0] * singular) < 3 * np.array([6.0, 4.0, 0.5])).all()


@pytest.fixture(scope="module")
def hapmap(data_file: Callable[[str], Path]) -> tuple[Genotypes, npt.NDArray[np.object_]]:
    genotypes = open_genotypes(data_file("geno_hapmap3/hapmap3.bed"))
    labels = pd.read_csv(data_file("geno_hapmap3/relationships_w_pops_121708.txt"), sep="\t")
    return genotypes, genotypes.samples["iid"].map(labels.set_index("IID")["population"]).to_numpy(
        dtype=object
    )


def test_hapmap_people_held_out_fall_where_the_joint_components_put_them(hapmap) -> None:
    genotypes, _ = hapmap
    held_out = np.random.default_rng(1).random(genotypes.n_samples) < 0.2
    every = np.arange(genotypes.n_variants)
    options = {"components": 5, "variants": every}
    joint = pca(genotypes, rng=np.random.default_rng(1), **options)
    apart = pca(genotypes.select(samples=~held_out), rng=np.random.default_rng(1), **options)
    new = genotypes.select(samples=held_out, variants=apart.variants)
    placed = {m: project(apart, new, method=m).to_numpy() for m in ("oadp", "plain")}
    # The two sets of components differ by a linear map, found from the people fitted.
    turn = np.linalg.lstsq(apart.scores.to_numpy(), joint.scores.to_numpy()[~held_out], rcond=None)[0]
    wanted = joint.scores.to_numpy()[held_out]
    error = {m: float(np.linalg.norm(p @ turn - wanted) / np.linalg.norm(wanted)) for m, p in placed.items()}
    # Measured: 0.035 and 0.165.
    assert error["oadp"] < 0.05
    assert error["plain"] > 0.12
