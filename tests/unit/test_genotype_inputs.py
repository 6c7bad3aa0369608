"""One genotype file, its regions and filters, from the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import typer

from cohorts.errors import DesignError, InputError
from gwas.genotypes import open_genotypes
from gwas.genotypes.bed import BedReader
from workflows.cli import _joined
from workflows.genotype_inputs import Filters, GenotypeSource
from workflows.genotype_options import filter_options, source_options, takes
from workflows.gwas_filters import apply_filters


def given(*words: str) -> tuple[GenotypeSource, Filters]:
    app, seen = typer.Typer(), []

    @app.command()
    @takes(source=source_options, filters=filter_options)
    def command(source: GenotypeSource, filters: Filters) -> None:
        seen.append((source, filters))

    app(_joined(list(words)), standalone_mode=False)
    (pair,) = seen
    return pair


@pytest.mark.parametrize(
    ("words", "path"),
    [
        (["--bfile", "a.b"], "a.b.bed"),
        (["--bfile", "a.bed"], "a.bed"),
        (["--pfile", "a"], "a.pgen"),
        (["--pgen", "a.pgen", "--pvar", "a.pvar.zst", "--psam", "a.psam"], "a.pgen"),
        (["--bgen", "a,b.bgen"], "a,b.bgen"),
        (["--bgen", "a.bgen", "ref-first"], "a.bgen"),
        (["--vcf", "a.vcf.gz"], "a.vcf.gz"),
        (["--bcf", "a.bcf"], "a.bcf"),
        (["--zarr", "a.vcz"], "a.vcz"),
    ],
)
def test_each_format_has_its_option(words: list[str], path: str) -> None:
    assert given(*words)[0] == GenotypeSource(path=Path(path))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "one of --bfile, .* is needed; none was given"),
        (["--bfile", "a", "--vcf", "b.vcf"], "--bfile and --vcf were given"),
        (["--bfile", "a", "--sample", "s"], "--sample goes with --bgen"),
        (["--bgen", "a.bgen", "ref-unknown"], "say ref-first or ref-last"),
        (["--bgen", "a.bgen", "ref-frist"], "ref-frist: expected ref-first or ref-last"),
        (["--vcf", "a.bgen"], "--vcf a.bgen: a file of that name goes with --bgen"),
        (["--bgen", "a.vcf.gz"], "goes with --vcf"),
        (["--bcf", "a.vcf"], "goes with --vcf"),
        (
            ["--pgen", "a.pgen", "--pvar", "b.pvar"],
            "--pvar b.pvar: goes with a file of the same name, a.pvar",
        ),
        (["--bfile", "a", "--psam", "a.psam"], "goes with a file of the same name, --pgen"),
        (["--bfile", str(Path(__file__).with_name("no.vcf")), "--zarr", "a.pgen"], "goes with --pfile"),
        (["--bfile", "a", "--from-bp", "5"], "need --chr with one chromosome"),
        (["--bfile", "a", "--chr", "1-2", "--to-bp", "5"], "need --chr with one chromosome"),
        (["--bfile", "a", "--chr", "1", "--from-bp", "5", "--to-bp", "4"], "--to-bp is before"),
        (["--bfile", "a", "--chr", "1", "--region", "2:1-3"], "--region goes without"),
        (["--bfile", "a", "--mach-r2-filter", "x"], "expected numbers"),
        (["--bfile", "a", "--mach-r2-filter", "2", "1"], "least <= largest"),
    ],
)
def test_what_makes_no_sense_is_wrong_use(words: list[str], message: str) -> None:
    with pytest.raises(typer.BadParameter, match=message):
        given(*words)


def test_regions_and_filters_are_read() -> None:
    source, filters = given(
        "--bfile", "a", "--chr", "1-3,chrX", "--mach-r2-filter", "0.3", "--genotypes", "hard-call", "--verify", "off"
    )  # fmt: skip
    assert source.regions == ("1", "2", "3", "X")
    assert (source.values, source.verify, filters.mach_r2) == ("hard-call", "off", (0.3, 2.0))
    assert given("--bfile", "a", "--region", "7:10-20", "X")[0].regions == ("7:10-20", "X")
    span = given("--bfile", "a", "--chr", "X", "--from-bp", "5", "--to-bp", "9")[0].regions
    assert span == ("X:5-9",)


@pytest.fixture
def bed(tmp_path: Path) -> Path:
    (tmp_path / "a.bed").write_bytes(b"\x6c\x1b\x01" + bytes([0b11100100, 0b10101010, 0b11111111] * 2))
    (tmp_path / "a.bim").write_text("".join(f"{1 + i // 3} v{i} 0 {10 + i} A G\n" for i in range(6)))
    (tmp_path / "a.fam").write_text("".join(f"f{i} s{i} 0 0 2 -9\n" for i in range(4)))
    return tmp_path / "a.bed"


def test_dosages_of_a_file_of_calls_are_refused(bed: Path) -> None:
    with pytest.raises(InputError, match="holds hard calls, no dosages"):
        GenotypeSource(path=bed, values="dosage").open()


def test_regions_without_variants_are_refused(bed: Path) -> None:
    assert GenotypeSource(path=bed, regions=("2:13-14",)).open().variants["id"].tolist() == ["v3", "v4"]
    with pytest.raises(DesignError, match="5: no variant is left"):
        GenotypeSource(path=bed, regions=("5",)).open()


def test_mach_r2_of_hard_calls_is_refused(bed: Path) -> None:
    with pytest.raises(DesignError, match="tell nothing of imputation"):
        apply_filters(open_genotypes(bed), Filters(mach_r2=(0.3, 2.0)))


def test_lists_read_no_call_and_counts_read_each_once(
    bed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    original = BedReader.read

    def counted(self: BedReader, variants: Any) -> Any:
        read.extend(variants.tolist())
        return original(self, variants)

    monkeypatch.setattr(BedReader, "read", counted)
    (tmp_path / "ids").write_text("v1\nv2\nv4\n")
    (tmp_path / "who").write_text("s0\ns2\ns3\n")
    opened = GenotypeSource(path=bed, regions=("1",)).open()
    kept, _ = apply_filters(opened, Filters(extract=tmp_path / "ids", keep=tmp_path / "who"))
    assert (kept.n_samples, kept.variants["id"].tolist(), read) == (3, ["v1", "v2"], [])
    kept, _ = apply_filters(open_genotypes(bed), Filters(geno=0.3, hwe=1e-9, maf=0.1, mac=1))
    assert kept.variants["id"].tolist() == ["v0", "v1", "v3", "v4"]
    assert sorted(read) == list(range(6))


def test_a_file_of_another_format_is_refused_and_a_prefix_is_not(tmp_path: Path) -> None:
    (tmp_path / "a.vcf").touch()
    with pytest.raises(typer.BadParameter, match="goes with --vcf"):
        given("--bfile", str(tmp_path / "a.vcf"))
    assert given("--bfile", str(tmp_path / "b.vcf"))[0].path == tmp_path / "b.vcf.bed"


def test_a_comma_parts_regions_and_thousands() -> None:
    source, _ = given("--bfile", "a", "--region", "7:1,000-2,000", "X")
    assert source.regions == ("7:1,000-2,000", "X")


def test_plinks_words_after_a_file_are_read(tmp_path: Path) -> None:
    assert given("--vcf", "a.vcf", "dosage=GP")[0].vcf_dosage == "GP"
    assert given("--bcf", "a.bcf", "dosage=DS")[0] == GenotypeSource(path=Path("a.bcf"), vcf_dosage="DS")
    with pytest.raises(typer.BadParameter, match="expected dosage=DS or dosage=GP"):
        given("--vcf", "a.vcf", "dosage=HDS")
    (tmp_path / "p.pvar.zst").touch()
    assert given("--pfile", str(tmp_path / "p"), "vzs")[0].path == tmp_path / "p.pgen"
    (tmp_path / "p.pvar").touch()
    with pytest.raises(typer.BadParameter, match="expected p.pvar.zst and no p.pvar"):
        given("--pfile", str(tmp_path / "p"), "vzs")


def test_the_field_of_dosages_is_the_one_asked_for(tmp_path: Path) -> None:
    names = "##fileformat=VCFv4.3\n##contig=<ID=1>\n" + "".join(
        f'##FORMAT=<ID={name},Number={number},Type={kind},Description="x">\n'
        for name, number, kind in (("GT", 1, "String"), ("DS", "A", "Float"), ("GP", "G", "Float"))
    )
    row = "1\t5\tv\tG\tA\t.\t.\t.\tGT:DS:GP\t0/1:0.8:0.5,0.5,0\n"
    columns = "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\ta\n"
    (tmp_path / "a.vcf").write_text(names + columns + row)
    for field, dosage in ((None, 0.8), ("DS", 0.8), ("GP", 0.5)):
        genotypes = open_genotypes(tmp_path / "a.vcf", vcf_dosage=field)  # type: ignore[arg-type]
        assert genotypes.read_dosage_block(0, 1).dosages[0, 0] == pytest.approx(dosage)
        assert "not declared" not in genotypes.describe()
    (tmp_path / "b.vcf").write_text(
        (names + columns + row).replace("ID=GP", "ID=GQ").replace("DS:GP", "DS:GQ")
    )
    with pytest.raises(InputError, match="has no GP"):
        open_genotypes(tmp_path / "b.vcf", vcf_dosage="GP")
