"""The Spark engine against the local one, and Hail's own regression against ours."""

from __future__ import annotations

import importlib.util
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cohorts.errors import DesignError, InputError
from gwas.association import associate
from gwas.design import Design, make_design
from gwas.engines.hail_engine import HailEngine
from gwas.engines.hail_regression import hail_linear_regression
from gwas.engines.local import LocalEngine
from gwas.engines.protocol import BlockTests
from gwas.genotypes import open_genotypes
from gwas.genotypes.descriptor import Genotypes
from gwas.models.phenome import AssociationOptions
from gwas.models.status import OK

pytestmark = pytest.mark.slow

ROUNDING = 1e-10
"""Workers fit null models with one BLAS thread, the local engine with several: sums differ in the last bits."""

SMALL = AssociationOptions(block_size=256)


@dataclass(frozen=True)
class Session:
    """A running engine, its scratch folder, and the working directory and handler of Ctrl-C it was started with."""

    engine: HailEngine
    scratch: Path
    cwd: Path
    on_interrupt: object


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    if importlib.util.find_spec("hail") is None:
        pytest.skip('hail is not installed (pip install "careome[spark]")')
    # a folder whose name has a space, as on somebody's desktop
    scratch, cwd = tmp_path_factory.mktemp("scratch of spark"), tmp_path_factory.mktemp("cwd")
    before, on_interrupt = Path.cwd(), signal.getsignal(signal.SIGINT)
    os.chdir(cwd)
    try:
        with HailEngine(scratch=scratch, memory="1g", blocks_per_task=2) as engine:
            yield Session(engine, scratch, cwd, on_interrupt)
    finally:
        os.chdir(before)


@pytest.fixture(scope="module")
def genotypes(data_file: Callable[[str], Path]) -> Genotypes:
    """Every second variant of chromosomes 21 and 22 of the real data: 5,876 in 379 people."""
    whole = open_genotypes(data_file("geno_1kg_eur_bolt/EUR_subset.bed"))
    rows = np.flatnonzero(whole.variants["chrom"].isin(["21", "22"]))
    return whole.select(variants=rows[::2])


@pytest.fixture(scope="module")
def tables(data_file: Callable[[str], Path]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The real phenotype and covariates, and traits made of them that are missing in other people."""
    table = pd.read_csv(
        data_file("geno_1kg_eur_bolt/EUR_subset.pheno.covars"), sep=r"\s+", dtype={"IID": str}
    )
    table = table.set_index("IID")
    covariates = table[["QCOV1", "QCOV2", "CAT_COV"]].replace({"CAT_COV": {"-9": np.nan}})
    traits = pd.DataFrame({"PHENO": table["PHENO"]})
    traits["FEWER"] = traits["PHENO"].where(np.arange(len(table)) % 7 != 0) ** 2
    traits["SAME_AS_FEWER"] = np.exp(traits["PHENO"].where(np.arange(len(table)) % 7 != 0))
    # QCOV1 does not vary among these
    traits["ONE_SEX"] = traits["PHENO"].where(covariates["QCOV1"] == 2)
    traits["CASE"] = (traits["PHENO"] > 0.3).astype(float).where(traits["PHENO"].notna())
    traits["RARE"] = (traits["PHENO"] > 1.6).astype(float).where(np.arange(len(table)) % 11 != 0)
    return traits, covariates


def design_of(genotypes: Genotypes, tables: tuple[pd.DataFrame, pd.DataFrame]) -> Design:
    return make_design(list(genotypes.samples["iid"]), *tables)


def assert_equal(found: list[BlockTests], wanted: list[BlockTests]) -> None:
    """Codes and counts exactly, numbers to rounding."""
    assert [(b.block, b.start, b.stop) for b in found] == [(b.block, b.start, b.stop) for b in wanted]
    largest = 0.0
    for one, other in zip(found, wanted, strict=True):
        assert list(one.tests) == list(other.tests)
        for trait, mine in one.tests.items():
            theirs = other.tests[trait]
            for name in ("n", "status", "firth", "alt_frequency"):
                np.testing.assert_array_equal(getattr(mine, name), getattr(theirs, name), err_msg=trait)
            for name in ("beta", "se", "statistic", "log10p"):
                a, b = getattr(mine, name), getattr(theirs, name)
                np.testing.assert_array_equal(np.isnan(a), np.isnan(b), err_msg=f"{trait} {name}")
            fine = theirs.status == OK
            with np.errstate(invalid="ignore"):
                differences = np.stack(
                    [
                        np.abs(mine.beta - theirs.beta) / theirs.se,
                        np.abs(mine.se / theirs.se - 1),
                        np.abs(mine.statistic - theirs.statistic),
                        np.abs(mine.log10p - theirs.log10p),
                    ]
                )[:, fine]
            largest = max(largest, differences.max(initial=0.0))
    assert largest < ROUNDING, largest


@pytest.mark.parametrize(
    "options",
    [SMALL, replace(SMALL, missing="complete-case", logistic="wald", block_size=1000)],
    ids=["mean and score", "complete-case and Wald"],
)
@pytest.mark.parametrize("people", [1.0, 0.8, 0.3], ids=["everyone", "most people", "few people"])
def test_spark_gives_what_the_local_engine_gives(
    session: Session,
    genotypes: Genotypes,
    tables: tuple[pd.DataFrame, pd.DataFrame],
    options: AssociationOptions,
    people: float,
) -> None:
    rng = np.random.default_rng(7)
    some = genotypes.select(samples=np.sort(rng.permutation(379)[: int(people * 379)]))
    design = design_of(some, tables)
    found = list(session.engine.associate(some, design, options))
    wanted = list(LocalEngine(threads=2).associate(some, design, options))
    assert_equal(found, wanted)
    for trait in ("PHENO", "FEWER", "CASE"):
        assert np.isfinite(np.concatenate([block.tests[trait].beta for block in wanted])).mean() > 0.9


def test_kinds_of_chromosome_within_a_task_are_kept_apart(
    session: Session, genotypes: Genotypes, tables: tuple[pd.DataFrame, pd.DataFrame]
) -> None:
    chrom = np.repeat(np.array(["22", "X", "XY", "Y", "MT"], dtype=object), [300, 500, 100, 60, 40])
    some = genotypes.select(variants=np.arange(1000))
    some = replace(some, variants=some.variants.assign(chrom=chrom))
    design = design_of(some, tables)
    found = list(session.engine.associate(some, design, SMALL))
    assert_equal(found, list(LocalEngine().associate(some, design, SMALL)))
    n = np.concatenate([block.tests["PHENO"].n for block in found])
    assert len(set(n[:300])) == 1
    assert n[980] == n[0]
    assert n[930] < n[0]


def test_an_interrupted_run_goes_on_where_it_stopped(
    session: Session, genotypes: Genotypes, tables: tuple[pd.DataFrame, pd.DataFrame]
) -> None:
    design = design_of(genotypes, tables)
    wanted = list(LocalEngine().associate(genotypes, design, SMALL))
    begun = session.engine.associate(genotypes, design, SMALL)
    first = [next(begun) for _ in range(3)]
    begun.close()
    rest = list(session.engine.associate(genotypes, design, SMALL, start_block=3))
    assert rest[0].block == 3
    assert_equal(first + rest, wanted)
    assert list(session.engine.associate(genotypes, design, SMALL, start_block=len(wanted))) == []


def test_a_file_that_the_workers_cannot_read_is_one_line(
    session: Session,
    genotypes: Genotypes,
    tables: tuple[pd.DataFrame, pd.DataFrame],
    tmp_path: Path,
) -> None:
    bed = tmp_path / "gone.bed"
    for end in (".bed", ".bim", ".fam"):
        bed.with_suffix(end).symlink_to(genotypes.path.with_suffix(end))
    some = open_genotypes(bed).select(variants=np.arange(600))
    bed.unlink()
    with pytest.raises(InputError, match="gone.bed: cannot be read") as caught:
        list(session.engine.associate(some, design_of(some, tables), SMALL))
    assert "\n" not in str(caught.value)


def test_the_public_verb_takes_the_engine(
    session: Session, genotypes: Genotypes, tables: tuple[pd.DataFrame, pd.DataFrame]
) -> None:
    some = genotypes.select(variants=np.arange(700))
    design = design_of(some, tables)
    found = associate(some, design, engine=session.engine, block_size=200)
    wanted = associate(some, design, block_size=200)
    for trait in wanted:
        pd.testing.assert_frame_equal(found[trait], wanted[trait], rtol=1e-9, atol=ROUNDING)


def largest_differences(hail: pd.DataFrame, ours: pd.DataFrame) -> dict[str, float]:
    """Of what both could fit, after checking that they speak of the same variants, alleles and numbers."""
    same = ["#CHROM", "POS", "ID", "REF", "ALT", "A1"]
    pd.testing.assert_frame_equal(hail[same], ours[same], check_dtype=False)
    fine = (ours["ERRCODE"] == ".").to_numpy()
    assert fine.mean() > 0.9
    assert np.isfinite(hail.loc[fine, "BETA"]).all()
    a, b = ours[fine], hail[fine]
    assert (a["OBS_CT"] == b["OBS_CT"]).all()
    return {
        "beta": float(np.max(np.abs(a["BETA"] - b["BETA"]) / a["SE"])),
        "se": float(np.max(np.abs(a["SE"] / b["SE"] - 1))),
        "t": float(np.max(np.abs(a["T_STAT"] - b["T_STAT"]))),
        "p": float(np.max(np.abs(a["P"] / b["P"] - 1))),
    }


def test_hails_own_regression_agrees(
    session: Session, genotypes: Genotypes, tables: tuple[pd.DataFrame, pd.DataFrame]
) -> None:
    """Selected people and variants in an order of their own; one trait in people where a covariate is constant."""
    some = genotypes.select(samples=np.arange(379)[::-1], variants=np.arange(5875, 2900, -1))
    design = design_of(some, tables)
    hails = hail_linear_regression(some, design, engine=session.engine)
    ours = associate(some, design)
    assert list(hails) == ["PHENO", "FEWER", "SAME_AS_FEWER", "ONE_SEX"]
    for trait, hail in hails.items():
        worst = largest_differences(hail, ours[trait])
        # our products are of whole numbers: what the rounding moves is below 1e-5 standard errors
        assert all(difference < 1e-5 for difference in worst.values()), (trait, worst)


def test_hails_own_regression_agrees_where_calls_are_missing(
    session: Session, data_file: Callable[[str], Path]
) -> None:
    whole = open_genotypes(data_file("geno_hapmap3/hapmap3.bed"))
    some = whole.select(variants=np.flatnonzero(whole.variants["chrom"] == "22")[:1500])
    missing = np.concatenate([(block.dosages() == -9).sum(axis=1) for block in some.blocks()])
    assert (missing > 0).mean() > 0.3
    rng = np.random.default_rng(3)
    traits = pd.DataFrame(rng.normal(size=(some.n_samples, 2)), some.samples["iid"], ["A", "B"])
    traits.loc[rng.random(some.n_samples) < 0.1, "B"] = np.nan
    covariates = pd.DataFrame({"AGE": rng.uniform(20, 80, some.n_samples)}, some.samples["iid"])
    design = make_design(list(some.samples["iid"]), traits, covariates)
    hails = hail_linear_regression(some, design, engine=session.engine)
    ours = associate(some, design)
    for trait, hail in hails.items():
        worst = largest_differences(hail, ours[trait])
        # our products are of whole numbers: what the rounding moves is below 1e-5 standard errors
        assert all(difference < 1e-5 for difference in worst.values()), (trait, worst)


def test_what_hail_cannot_be_asked_is_said(
    session: Session, genotypes: Genotypes, tables: tuple[pd.DataFrame, pd.DataFrame]
) -> None:
    some = genotypes.select(variants=np.arange(10))
    design = design_of(some, tables)
    on_x = replace(some, variants=some.variants.assign(chrom="X"))
    with pytest.raises(DesignError, match="variants on X, Y or MT"):
        hail_linear_regression(on_x, design, engine=session.engine)
    with pytest.raises(DesignError, match="selected twice"):
        hail_linear_regression(some.select(variants=[1, 1]), design, engine=session.engine)
    binary = make_design(list(some.samples["iid"]), tables[0][["CASE"]], tables[1])
    with pytest.raises(DesignError, match="no quantitative trait"):
        hail_linear_regression(some, binary, engine=session.engine)


def test_a_second_session_in_one_process_is_refused(session: Session, tmp_path: Path) -> None:
    with pytest.raises(DesignError, match="already running"), HailEngine(scratch=tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


# The two tests below end the module's session, so they stand last.


def test_closing_leaves_nothing_behind(session: Session) -> None:
    java = session.engine._running.java
    assert list(session.scratch.iterdir())
    session.engine.close()
    session.engine.close()
    assert java.poll() is not None
    assert list(session.scratch.iterdir()) == []
    assert list(session.cwd.iterdir()) == []
    assert signal.getsignal(signal.SIGINT) is session.on_interrupt
    assert "PYSPARK_PYTHON" not in os.environ
    with pytest.raises(RuntimeError, match="not running"):
        _ = session.engine.hail


def test_after_a_start_that_fails_the_next_one_works_and_neither_prints(
    session: Session, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    session.engine.close()
    with (
        pytest.raises(InputError, match="no-such-master: Spark could not be started"),
        HailEngine(master="no-such-master", scratch=tmp_path),
    ):
        pass
    log = tmp_path / "spark.log"
    with HailEngine(master="local[1]", scratch=tmp_path, log=log, memory="512m") as engine:
        assert engine.hail.spark_context().getConf().get("spark.driver.memory") == "512m"
        assert engine.hail.utils.range_table(3).count() == 3
    assert list(tmp_path.iterdir()) == [log]
    assert capfd.readouterr() == ("", "")
