"""``careome clump`` beside PLINK 1.9's --clump on real genotypes and results."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cohorts.errors import DesignError
from gwas.genotypes import open_genotypes
from workflows.genotype_commands.clump import tables
from workflows.genotype_inputs import Filters, GenotypeSource
from workflows.gwas_filters import apply_filters


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory, data_file: Callable[[str], Path]) -> Path:
    """A real phenotype against real genotypes, PLINK 2's columns."""
    from workflows.association import run_gwas

    bed = data_file("geno_1kg_eur_bolt/EUR_subset.bed")
    out = tmp_path_factory.mktemp("clump") / "out"
    run_gwas(
        source=GenotypeSource(path=bed),
        pheno=data_file("geno_1kg_eur_bolt/EUR_subset.pheno2.covars"),
        pheno_name=["PHENO"],
        out=out,
    )
    return out.with_name("out.PHENO.glm.linear")


@pytest.mark.parametrize(("p1", "p2", "r2", "kb"), [(1e-3, 0.05, 0.2, 250), (1e-2, 0.5, 0.1, 500)])
def test_index_variants_members_and_bins_are_those_of_plink(
    data_file: Callable[[str], Path], plink1: str, tmp_path: Path, results: Path,
    p1: float, p2: float, r2: float, kb: float,
) -> None:  # fmt: skip
    bed = data_file("geno_1kg_eur_bolt/EUR_subset.bed")
    command = [plink1, "--bfile", str(bed.with_suffix("")), "--clump", str(results), "--clump-snp-field", "ID",
               "--clump-p1", str(p1), "--clump-p2", str(p2), "--clump-r2", str(r2), "--clump-kb", str(kb),
               "--out", str(tmp_path / "p")]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)
    theirs = pd.read_csv(tmp_path / "p.clumped", sep=r"\s+").set_index("SNP")
    genotypes, _ = apply_filters(open_genotypes(bed), Filters())
    outcome = tables(genotypes, threads=1, clump_file=results, p1=p1, p2=p2, r2=r2, kb=kb)
    mine = outcome.tables[0].frame
    assert isinstance(mine, pd.DataFrame)
    # PLINK reads the P that is printed, and orders those that are printed alike by place
    assert sorted(mine["ID"]) == sorted(theirs.index)
    assert mine["ID"].map(theirs["P"]).is_monotonic_increasing
    assert len(mine) > 50
    ours = mine.set_index("ID").loc[theirs.index]
    pairs = {
        "TOTAL": "TOTAL",
        "NONSIG": "NSIG",
        "S0.05": "S05",
        "S0.01": "S01",
        "S0.001": "S001",
        "S0.0001": "S0001",
    }
    for name, their_name in pairs.items():
        assert (ours[name] == theirs[their_name]).all(), name
    listed = theirs["SP2"].str.replace("(1)", "", regex=False).replace("NONE", ".")
    assert (ours["SP2"] == listed).all()
    np.testing.assert_allclose(ours["P"].astype(float), theirs["P"], rtol=5e-3)


def test_without_a_variant_below_p1_the_smallest_p_is_told(
    data_file: Callable[[str], Path], results: Path
) -> None:
    genotypes = open_genotypes(data_file("geno_1kg_eur_bolt/EUR_subset.bed"))
    with pytest.raises(DesignError, match="smallest P 1e-7"):
        tables(genotypes, threads=1, clump_file=results, p1=1e-12, p2=1e-2, r2=0.5, kb=250)


def test_a_trait_in_a_folder_of_parquet_clumps_as_its_text(
    data_file: Callable[[str], Path], tmp_path: Path, results: Path
) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    genotypes = open_genotypes(data_file("geno_1kg_eur_bolt/EUR_subset.bed"))
    frame = pd.read_csv(results, sep="\t", dtype={"#CHROM": str, "ERRCODE": str})
    for trait in ("PHENO", "OTHER"):
        (tmp_path / "run.parquet" / f"trait={trait}").mkdir(parents=True)
        table = pa.Table.from_pandas(frame if trait == "PHENO" else frame.head(50), preserve_index=False)
        pq.write_table(table, tmp_path / "run.parquet" / f"trait={trait}" / "part-00000.parquet")
    chosen = {"threads": 1, "p1": 1e-3, "p2": 1e-2, "r2": 0.2, "kb": 250.0}
    text = tables(genotypes, clump_file=results, **chosen).tables[0].frame
    packed = tables(genotypes, clump_file=tmp_path / "run.parquet", trait="PHENO", **chosen).tables[0].frame
    assert isinstance(text, pd.DataFrame)
    assert len(text) > 10
    pd.testing.assert_frame_equal(text, packed)
