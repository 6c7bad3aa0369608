"""What must not change an answer: other traits, threads, block size, sample order, allele names, resuming."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gwas.association import associate, associate_blocks
from gwas.design import Design, make_design
from gwas.genotypes import Genotypes, open_genotypes
from gwas.kernels.packed import pack
from gwas.offsets import CHROMOSOMES, LocoOffsets

N, M = 241, 150
NUMBERS = ["A1_FREQ", "BETA", "SE", "T_STAT", "LOG10_P"]


def write(prefix: Path, table: np.ndarray) -> Genotypes:
    prefix.with_suffix(".bed").write_bytes(b"\x6c\x1b\x01" + pack(table.astype(np.int8)).tobytes())
    people = range(table.shape[1])
    prefix.with_suffix(".fam").write_text("".join(f"f s{i} 0 0 {i % 2 + 1} -9\n" for i in people))
    chroms = ["1"] * 100 + ["X"] * 30 + ["MT"] * 20
    prefix.with_suffix(".bim").write_text("".join(f"{c} v{j} 0 {j} A G\n" for j, c in enumerate(chroms)))
    return open_genotypes(prefix)


@pytest.fixture(scope="module")
def table() -> np.ndarray:
    rng = np.random.default_rng(21)
    calls = rng.binomial(2, rng.uniform(0.01, 0.99, M)[:, None], (M, N))
    return np.where(rng.random((M, N)) < 0.03, -9, calls)


@pytest.fixture(scope="module")
def genotypes(tmp_path_factory: pytest.TempPathFactory, table: np.ndarray) -> Genotypes:
    return write(tmp_path_factory.mktemp("invariance") / "study", table)


@pytest.fixture(scope="module")
def tables() -> tuple[pd.DataFrame, pd.DataFrame]:
    rng = np.random.default_rng(22)
    ids = [f"s{i}" for i in range(N)]
    phenotypes = pd.DataFrame({f"q{i}": rng.normal(size=N) for i in range(5)}, index=ids)
    for i in range(3):
        phenotypes[f"b{i}"] = (rng.random(N) < (0.1, 0.3, 0.5)[i]).astype(float)
    phenotypes = phenotypes.mask(rng.random(phenotypes.shape) < 0.1)
    phenotypes["q4"] = phenotypes["q3"] * 2 + 1
    return phenotypes, pd.DataFrame({"a": rng.normal(size=N), "b": rng.normal(size=N)}, index=ids)


def full_design(genotypes: Genotypes, tables: tuple[pd.DataFrame, pd.DataFrame], names: list[str]) -> Design:
    return make_design(list(genotypes.samples["iid"]), tables[0][names], tables[1])


def assert_same(a: pd.DataFrame, b: pd.DataFrame, *, tolerance: float = 1e-9) -> None:
    columns = ["ID", "OBS_CT", "ERRCODE", "FIRTH?"]
    assert a[columns].to_numpy().tolist() == b[columns].to_numpy().tolist()
    np.testing.assert_allclose(
        a[NUMBERS].to_numpy(float), b[NUMBERS].to_numpy(float), rtol=tolerance, atol=tolerance
    )


@settings(deadline=None, max_examples=12)
@given(
    company=st.lists(
        st.sampled_from(["q0", "q1", "q2", "q3", "q4", "b0", "b1", "b2"]), unique=True, max_size=7
    ),
    subject=st.sampled_from(["q0", "q3", "b0", "b2"]),
    missing=st.sampled_from(["mean", "complete-case"]),
    logistic=st.sampled_from(["wald", "score-firth"]),
    size=st.sampled_from([1, 17, 64, 1024]),
    threads=st.sampled_from([1, 2]),
)
def test_answer_does_not_depend_on_company_blocks_or_threads(
    genotypes: Genotypes,
    tables: tuple[pd.DataFrame, pd.DataFrame],
    company: list[str],
    subject: str,
    missing: str,
    logistic: str,
    size: int,
    threads: int,
) -> None:
    names = [name for name in company if name != subject]
    names.insert(len(names) // 2, subject)
    alone = associate(
        genotypes, full_design(genotypes, tables, [subject]), missing=missing, logistic=logistic
    )
    beside = associate(
        genotypes,
        full_design(genotypes, tables, names),
        missing=missing,
        logistic=logistic,
        block_size=size,
        threads=threads,
    )
    assert list(beside) == names
    assert_same(alone[subject], beside[subject])


@pytest.mark.parametrize(("missing", "logistic"), [("mean", "score-spa-firth"), ("complete-case", "wald")])
def test_a_trait_beside_999_others_has_the_answer_it_has_alone(
    genotypes: Genotypes, tables: tuple[pd.DataFrame, pd.DataFrame], missing: str, logistic: str
) -> None:
    rng = np.random.default_rng(31)
    traits = {}
    for i in range(1000):
        # every scale, tails that are heavy, one in ten binary; from no missing values to most of them
        scale, cases = 10.0 ** rng.integers(-6, 7), rng.choice([0.2, 0.4])
        y = rng.standard_t(3, N) * scale if i % 10 else (rng.random(N) < cases).astype(float)
        traits[f"t{i}"] = np.where(rng.random(N) < (0.0, 0.01, 0.05, 0.3, 0.8)[i // 10 % 5], np.nan, y)
    wide = pd.DataFrame(traits, index=tables[0].index)
    ids = list(genotypes.samples["iid"])
    together = associate(
        genotypes, make_design(ids, wide, tables[1]), missing=missing, logistic=logistic, threads=2
    )
    assert len(together) == 1000
    for name in ("t1", "t503", "t999", "t524", "t348", "t10", "t500", "t730", "t990"):
        alone = associate(
            genotypes,
            make_design(ids, wide[[name]], tables[1]),
            missing=missing,
            logistic=logistic,
            threads=1,
        )[name]
        columns = ["ID", "OBS_CT", "ERRCODE", "FIRTH?"]
        assert alone[columns].equals(together[name][columns])
        assert alone["T_STAT"].notna().sum() > 100
        np.testing.assert_allclose(together[name][NUMBERS], alone[NUMBERS], rtol=1e-12, atol=0)


def test_threads_and_block_sizes_of_whole_tiles_change_no_bit(
    genotypes: Genotypes, tables: tuple[pd.DataFrame, pd.DataFrame]
) -> None:
    design = full_design(genotypes, tables, ["q0", "q1", "b0"])
    first = associate(genotypes, design, threads=1, block_size=64)
    for other in (
        associate(genotypes, design, threads=2, block_size=64),
        associate(genotypes, design, threads=2),
    ):
        for trait, frame in first.items():
            pd.testing.assert_frame_equal(frame, other[trait], check_exact=True)


def test_resuming_at_a_block_gives_the_same_bytes(
    genotypes: Genotypes, tables: tuple[pd.DataFrame, pd.DataFrame]
) -> None:
    design = full_design(genotypes, tables, ["q0", "b1"])
    whole = list(associate_blocks(genotypes, design, block_size=40))
    rest = list(associate_blocks(genotypes, design, block_size=40, start_block=2))
    assert len(whole) == 4
    for a, b in zip(whole[2:], rest, strict=True):
        pd.testing.assert_frame_equal(a, b, check_exact=True)


@pytest.mark.parametrize("logistic", ["wald", "score-firth"])
def test_order_of_samples_and_of_tables_does_not_matter(
    genotypes: Genotypes, tables: tuple[pd.DataFrame, pd.DataFrame], logistic: str
) -> None:
    order = np.random.default_rng(1).permutation(N)
    shuffled = genotypes.select(samples=order)
    phenotypes, covariates = tables
    names = ["q0", "b0"]
    a = associate(genotypes, full_design(genotypes, tables, names), logistic=logistic)
    design = make_design(
        list(shuffled.samples["iid"]),
        phenotypes[names].iloc[::-1],
        covariates.sample(frac=1.0, random_state=2),
    )
    b = associate(shuffled, design, logistic=logistic)
    for name in names:
        assert_same(a[name], b[name], tolerance=1e-7)


@pytest.mark.parametrize("share", [0.2, 0.8])
def test_selecting_samples_equals_a_file_of_those_samples(
    genotypes: Genotypes,
    table: np.ndarray,
    tables: tuple[pd.DataFrame, pd.DataFrame],
    tmp_path: Path,
    share: float,
) -> None:
    chosen = np.sort(np.random.default_rng(4).permutation(N)[: int(N * share)])
    selected = genotypes.select(samples=chosen)
    own = write(tmp_path / "own", table[:, chosen])
    renamed = [f"s{i}" for i in range(len(chosen))]
    names = ["q0", "b2"]
    a = associate(selected, make_design(list(selected.samples["iid"]), tables[0][names], tables[1]))
    again = [frame.iloc[chosen].set_axis(renamed) for frame in tables]
    own_samples = own.samples.assign(sex=selected.samples["sex"].to_numpy())
    b = associate(replace(own, samples=own_samples), make_design(renamed, again[0][names], again[1]))
    for name in names:
        assert_same(a[name], b[name], tolerance=1e-8)


@pytest.mark.parametrize("missing", ["mean", "complete-case"])
@pytest.mark.parametrize("logistic", ["wald", "score-firth"])
def test_flipping_alleles_flips_the_sign_of_the_effect_alone(
    genotypes: Genotypes,
    table: np.ndarray,
    tables: tuple[pd.DataFrame, pd.DataFrame],
    tmp_path: Path,
    missing: str,
    logistic: str,
) -> None:
    flipped = write(tmp_path / "flipped", np.where(table < 0, -9, 2 - table))
    design = full_design(genotypes, tables, ["q0", "b0"])
    a = associate(genotypes, design, missing=missing, logistic=logistic)
    b = associate(flipped, design, missing=missing, logistic=logistic)
    for name, frame in b.items():
        turned = frame.assign(BETA=-frame["BETA"], T_STAT=-frame["T_STAT"], A1_FREQ=1 - frame["A1_FREQ"])
        assert_same(a[name], turned, tolerance=1e-7)


def test_carriers_without_phenotype_leave_no_result(
    genotypes: Genotypes, table: np.ndarray, tmp_path: Path
) -> None:
    calls = table.copy()
    carriers = np.arange(N) < 6
    calls[0] = np.where(carriers, 1, 0)
    study = write(tmp_path / "carriers", calls)
    values = np.random.default_rng(3).normal(size=N)
    ids = list(study.samples["iid"])
    phenotypes = pd.DataFrame({"y": np.where(carriers, np.nan, values), "z": values}, index=ids)
    found = associate(study, make_design(ids, phenotypes))
    assert found["y"]["ERRCODE"][0] == "CONST_OMITTED_ALLELE"
    assert found["z"]["ERRCODE"][0] == "."


@pytest.fixture(scope="module")
def offsets(genotypes: Genotypes) -> LocoOffsets:
    rng = np.random.default_rng(23)
    names = ("q0", "q1", "b0", "b1")
    values = rng.normal(scale=0.5, size=(len(names), len(CHROMOSOMES), N)).astype(np.float32)
    return LocoOffsets(names, CHROMOSOMES, tuple(genotypes.samples["iid"]), values)


def test_with_offsets_neither_company_nor_order_nor_threads_matter(
    genotypes: Genotypes, tables: tuple[pd.DataFrame, pd.DataFrame], offsets: LocoOffsets
) -> None:
    names = ["q0", "q1", "b0", "b1"]
    whole = associate(genotypes, full_design(genotypes, tables, names), offsets=offsets, threads=1)
    again = associate(genotypes, full_design(genotypes, tables, names), offsets=offsets, threads=2)
    order = np.random.default_rng(5).permutation(N)
    shuffled = genotypes.select(samples=order)
    other = associate(shuffled, full_design(shuffled, tables, names), offsets=offsets, block_size=33)
    for name in names:
        pd.testing.assert_frame_equal(whole[name], again[name], check_exact=True)
        assert_same(whole[name], other[name], tolerance=1e-7)
        alone = associate(genotypes, full_design(genotypes, tables, [name]), offsets=offsets)
        assert_same(whole[name], alone[name])
        without = associate(genotypes, full_design(genotypes, tables, [name]))
        assert (without[name]["T_STAT"] - alone[name]["T_STAT"]).abs().max() > 0.1


def test_with_offsets_flipping_alleles_flips_the_sign_of_the_effect_alone(
    genotypes: Genotypes,
    table: np.ndarray,
    tables: tuple[pd.DataFrame, pd.DataFrame],
    offsets: LocoOffsets,
    tmp_path: Path,
) -> None:
    flipped = write(tmp_path / "flipped", np.where(table < 0, -9, 2 - table))
    design = full_design(genotypes, tables, ["q0", "b0"])
    a = associate(genotypes, design, offsets=offsets)
    for name, frame in associate(flipped, design, offsets=offsets).items():
        turned = frame.assign(BETA=-frame["BETA"], T_STAT=-frame["T_STAT"], A1_FREQ=1 - frame["A1_FREQ"])
        assert_same(a[name], turned, tolerance=1e-7)


@pytest.mark.parametrize("missing", ["mean", "complete-case"])
@pytest.mark.parametrize("predicted", [False, True])
def test_dosages_that_are_whole_numbers_give_the_answers_of_calls(
    genotypes: Genotypes,
    tables: tuple[pd.DataFrame, pd.DataFrame],
    offsets: LocoOffsets,
    missing: str,
    predicted: bool,
) -> None:
    design = full_design(genotypes, tables, ["q0", "q1", "b0"])
    taken_out = offsets if predicted else None
    calls = associate(genotypes, design, missing=missing, offsets=taken_out)
    dosages = associate(replace(genotypes, values="dosage"), design, missing=missing, offsets=taken_out)
    for name, frame in calls.items():
        assert_same(frame, dosages[name], tolerance=1e-6)


@pytest.mark.parametrize("missing", ["mean", "complete-case"])
@pytest.mark.parametrize("values", ["hard-call", "dosage"])
def test_traits_of_many_patterns_are_each_least_squares_on_their_own_people(
    genotypes: Genotypes,
    table: np.ndarray,
    tables: tuple[pd.DataFrame, pd.DataFrame],
    missing: str,
    values: str,
) -> None:
    rng = np.random.default_rng(29)
    # few and many people, one of one value of a covariate, one nearly so
    shares = [*np.linspace(0.03, 0.85, 58).tolist(), 0.0, 0.3]
    wide = pd.DataFrame(rng.normal(size=(N, 60)), tables[0].index, [f"t{i}" for i in range(60)])
    wide = wide.mask(rng.random(wide.shape) < np.array(shares))
    covariates = tables[1].assign(site=(np.arange(N) % 3 == 0).astype(float))
    wide.loc[covariates["site"] == 0, "t58"] = np.nan
    wide.loc[(covariates["site"] == 1) & (np.arange(N) > 4), "t59"] = np.nan
    ids = list(genotypes.samples["iid"])
    chosen = replace(genotypes.select(variants=np.arange(100)), values=values)
    together = associate(chosen, make_design(ids, wide, covariates), missing=missing)
    for name in ("t0", "t20", "t57", "t58", "t59"):
        # a covariate constant in everyone analysed is refused, so this one has company
        few = ["t0", name] if name == "t58" else [name]
        alone = associate(chosen, make_design(ids, wide[few], covariates), missing=missing)
        assert_same(alone[name], together[name])
        y = wide[name].to_numpy()
        for j in range(0, 100, 7):
            g = np.where(table[j] < 0, np.nan, table[j])
            used = ~np.isnan(y)
            if missing == "complete-case":
                used &= ~np.isnan(g)
            else:
                g = np.where(np.isnan(g), np.nanmean(g[used]), g)
            x = np.column_stack([g, np.ones(N), covariates.to_numpy()])[used]
            x = x[:, [True, True, *(np.ptp(x[:, 2:], axis=0) > 0)]]
            beta, residual, rank, _ = np.linalg.lstsq(x, y[used], rcond=None)
            if rank < x.shape[1] or together[name]["ERRCODE"][j] != ".":
                continue
            variance = residual[0] / (used.sum() - rank) * np.linalg.inv(x.T @ x)[0, 0]
            row = together[name].iloc[j]
            assert row["OBS_CT"] == used.sum()
            np.testing.assert_allclose(
                [row["BETA"], row["SE"]], [beta[0], np.sqrt(variance)], rtol=2e-5, atol=1e-6
            )
