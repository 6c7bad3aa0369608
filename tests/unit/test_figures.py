"""Figures as objects: what is drawn, where, and that nothing meets or is lost."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.patches import Polygon
from matplotlib.text import Text
from scipy.stats import beta

from cohorts.errors import InputError
from gwas.genotypes import open_genotypes
from workflows.figures.forest import forest, forest_table
from workflows.figures.genes import gene_rows, pack_rows, read_genes
from workflows.figures.genome_axis import genome_axis
from workflows.figures.manhattan import manhattan, named_loci
from workflows.figures.miami import miami
from workflows.figures.phewas import phewas, phewas_table
from workflows.figures.qq import log_ranks, qq, quantile_band
from workflows.figures.regional import region_of, regional, with_linkage
from workflows.figures.thinning import TAIL, thin
from workflows.region_content import regions

ORDER = [*map(str, range(1, 23)), "X"]


def scan(m: int = 60_000, *, seed: int = 1, hits: int = 12, top: float = 25.0) -> pd.DataFrame:
    """A made-up scan of the whole genome, chromosomes in order."""
    rng = np.random.default_rng(seed)
    place = np.sort(rng.integers(0, len(ORDER), m))
    chrom = np.array(ORDER)[place]
    pos = rng.integers(1, 200_000_000 - 6_000_000 * np.minimum(place, 22), m)
    height = -np.log10(rng.uniform(size=m))
    height[rng.choice(m, hits, replace=False)] = np.linspace(8, top, hits)
    frame = pd.DataFrame({"#CHROM": chrom, "POS": pos, "ID": [f"rs{k}" for k in range(m)], "LOG10_P": height})
    return frame.sort_values(
        ["#CHROM", "POS"], key=lambda c: c if c.name == "POS" else c.map(ORDER.index), ignore_index=True
    )


def drawn(figure: Figure, panel: int = 0) -> np.ndarray:
    """All dots of one panel, float64 (k, 2)."""
    lines = [line for line in figure.axes[panel].lines if line.get_marker() == "o"]
    return np.concatenate([np.column_stack(line.get_data()) for line in lines])


def words(figure: Figure, panel: int = 0) -> list[Text]:
    return [text for text in figure.axes[panel].texts if text.get_text()]


def no_two_meet(figure: Figure, texts: list[Text]) -> bool:
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in texts]
    return not any(
        a.x0 < b.x1 and b.x0 < a.x1 and a.y0 < b.y1 and b.y0 < a.y1
        for a, b in itertools.combinations(boxes, 2)
    )


def test_thinning_keeps_every_strong_variant_and_one_of_each_cell() -> None:
    frame = scan()
    thinned = thin(frame, columns=256, rows=16)
    strong = frame[frame["LOG10_P"] >= TAIL]
    assert list(thinned.tail["ID"]) == list(strong["ID"])
    assert thinned.tested == len(frame)
    assert len(thinned.pos) < len(frame) / 2
    shift = next(k for k in range(64) if sum((last >> k) + 1 for _, last in thinned.spans.values()) <= 256)
    weak = frame[frame["LOG10_P"] < TAIL]

    def cells(chrom: object, pos: object, height: object) -> list[tuple[str, int, int]]:
        return [(str(c), int(p) >> shift, int(h * 16)) for c, p, h in zip(chrom, pos, height, strict=True)]  # type: ignore[call-overload]

    crowd = thinned.height < TAIL
    # Codes of chromosomes are places in the order of the genome, in which X is the 23rd here too.
    names = np.array(ORDER)[thinned.chrom[crowd]]
    shown = cells(names, thinned.pos[crowd], thinned.height[crowd])
    assert len(set(shown)) == len(shown)
    first: dict[tuple[str, int, int], tuple[int, float]] = {}
    for cell, pos, height in zip(
        cells(weak["#CHROM"], weak["POS"], weak["LOG10_P"]), weak["POS"], weak["LOG10_P"], strict=True
    ):
        first.setdefault(cell, (pos, height))
    kept = dict(zip(shown, zip(thinned.pos[crowd], thinned.height[crowd], strict=True), strict=True))
    assert kept == first


def test_thinning_is_the_same_however_the_scan_is_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = scan(20_000).sample(frac=1, random_state=3).reset_index(drop=True)
    whole = thin(frame, columns=300, rows=16)
    file = tmp_path / "scan.parquet"
    pq.write_table(pa.Table.from_pandas(frame), file)
    for rows in (777, 4096):
        monkeypatch.setattr("workflows.figures.batches.ROWS", rows)
        parts = thin(file, columns=300, rows=16)
        for name in ("chrom", "pos", "height"):
            assert (getattr(parts, name) == getattr(whole, name)).all()
        pd.testing.assert_frame_equal(parts.tail, whole.tail)
        assert parts.spans == whole.spans


def test_results_of_one_trait_are_chosen_and_several_refused(tmp_path: Path) -> None:
    both = pd.concat([scan(500).assign(TRAIT="A"), scan(800, seed=2).assign(TRAIT="B")])
    file = tmp_path / "both.parquet"
    pq.write_table(pa.Table.from_pandas(both, preserve_index=False), file)
    for results in (both, file):
        assert thin(results, trait="B").tested == 800
        with pytest.raises(InputError, match="several traits"):
            thin(results)


def test_p_values_of_zero_and_beyond_their_range_are_seen_to() -> None:
    frame = pd.DataFrame({"CHROM": ["chr1"] * 5, "POS": range(1, 6), "P": [0.0, 1.0, -0.1, np.nan, 1e-10]})
    thinned = thin(frame)
    assert thinned.tested == 3
    assert sorted(thinned.height) == pytest.approx([0.0, 10.0, 323.3], abs=0.01)


def test_manhattan_draws_what_thinning_kept_within_its_axes() -> None:
    frame = scan()
    thinned = thin(frame)
    figure = manhattan(frame)
    points = drawn(figure)
    assert len(points) == len(thinned.pos)
    ax = figure.axes[0]
    (left, right), (low, high) = ax.get_xlim(), ax.get_ylim()
    assert ((points[:, 0] >= left) & (points[:, 0] <= right)).all()
    assert ((points[:, 1] >= low) & (points[:, 1] <= high)).all()
    assert low == 0
    assert set(frame["LOG10_P"][frame["LOG10_P"] >= TAIL]) <= set(points[:, 1])
    lines = {round(line.get_ydata()[0], 3) for line in ax.lines if len(line.get_ydata()) == 2}
    assert {round(-np.log10(5e-8), 3), 5.0} <= lines


def test_chromosomes_come_in_order_without_overlap() -> None:
    axis = genome_axis({"X": (5, 150), "2": (1, 240), "10": (3, 130)})
    assert list(axis.starts) == ["2", "10", "X"]
    edges = [(axis.starts[c] + a, axis.starts[c] + b) for c, (a, b) in axis.spans.items()]
    assert all(before[1] < after[0] for before, after in itertools.pairwise(edges))


def test_names_of_loci_do_not_meet_and_the_strongest_is_named() -> None:
    frame = scan(30_000, hits=40, top=30)
    figure = manhattan(frame, labels=40)
    names = [text for text in words(figure) if text.get_text().startswith("rs")]
    assert len(names) > 20
    assert no_two_meet(figure, names)
    assert frame.loc[frame["LOG10_P"].idxmax(), "ID"] in [text.get_text() for text in names]


def test_a_huge_peak_bends_the_axis_and_leaves_room_below() -> None:
    frame = scan(5_000)
    frame.loc[100, "LOG10_P"] = 8_000.0
    ax = manhattan(frame).axes[0]
    high = ax.get_ylim()[1]
    assert high > 8_000
    to_frame = ax.transData + ax.transAxes.inverted()
    assert to_frame.transform((0, 30))[1] == pytest.approx(0.75, abs=0.01)
    assert 0.75 < to_frame.transform((0, 1000))[1] < to_frame.transform((0, 8000))[1] < 1
    assert to_frame.inverted().transform((0, 0.9))[1] == pytest.approx(30 * (high / 30) ** 0.6, rel=0.05)
    assert manhattan(scan(500)).axes[0].get_yscale() == "linear"


def test_band_is_that_of_order_statistics() -> None:
    ranks = np.array([1, 2, 50, 1000])
    expected, low, high = quantile_band(1000, ranks)
    for at, k in enumerate(ranks):
        assert 10 ** -low[at] == pytest.approx(beta(k, 1001 - k).ppf(0.975))
        assert 10 ** -high[at] == pytest.approx(beta(k, 1001 - k).ppf(0.025))
    assert (low < expected).all()
    assert (expected < high).all()


def test_quantiles_are_the_sorted_values_and_lambda_is_told() -> None:
    height = scan(5_000)["LOG10_P"].to_numpy()
    figure = qq(np.append(height, np.nan))
    points = drawn(figure)
    ranks = log_ranks(5_000)
    assert ranks[0] == 1
    assert ranks[-1] == 5_000
    np.testing.assert_array_equal(points[:, 1], np.sort(height)[::-1][ranks - 1])
    np.testing.assert_allclose(points[:, 0], -np.log10((ranks - 0.5) / 5_000))
    told = [text.get_text() for text in words(figure)]
    assert any(text.startswith(("λ = 1.0", "λ = 0.9")) for text in told)
    assert "5,000 variants" in told


REFGENE = (
    "585\tNM_1\tchr1\t+\t1000\t9000\t1200\t8800\t3\t1000,4000,8000,\t1500,4200,9000,\t0\tAAA\tc\tc\t0,\n"
    "585\tNM_2\tchr1\t+\t3000\t9500\t3200\t9400\t2\t3000,4100,\t3100,4300,\t0\tAAA\tc\tc\t0,\n"
    "585\tNR_3\tchr1\t-\t20000\t21000\t21000\t21000\t1\t20000,\t21000,\t0\tBBB\tc\tc\t0,\n"
    "585\tNM_4\tchr1\t-\t600000\t610000\t600100\t609000\t1\t600000,\t610000,\t0\tCCC\tc\tc\t0,\n"
)


def test_transcripts_of_a_refgene_table_become_genes(tmp_path: Path) -> None:
    file = tmp_path / "refGene.txt"
    file.write_text(REFGENE)
    genes = read_genes(file)
    first = genes.frame.iloc[0]
    assert (first["name"], first["chrom"], first["start"], first["end"]) == ("AAA", "1", 1001, 9500)
    assert first["exons"] == ((1001, 1500), (3001, 3100), (4001, 4300), (8001, 9000))
    assert list(genes.frame["coding"]) == [True, False, True]
    assert genes.nearest("1", 5000) == "AAA"
    assert genes.nearest("1", 20500) == "AAA"
    assert genes.nearest("1", 590_000) == "CCC"
    assert genes.nearest("2", 5000) == ""
    (tmp_path / "list.txt").write_text("LINC00001 7 99 200 -\nDDD 7 300 400 +\n")
    simple = read_genes(tmp_path / "list.txt")
    assert list(simple.frame["start"]) == [100, 301]
    assert simple.nearest("7", 150) == "DDD"
    (tmp_path / "bad.txt").write_text("a b c\n")
    with pytest.raises(InputError, match="line 1"):
        read_genes(tmp_path / "bad.txt")


def test_genes_of_a_row_never_meet() -> None:
    rng = np.random.default_rng(4)
    start = np.sort(rng.integers(0, 1_000_000, 80))
    genes = pd.DataFrame(
        {
            "start": start,
            "end": start + rng.integers(500, 90_000, 80),
            "name": [f"GENE{k}" for k in range(80)],
        }
    )
    rows, middle = gene_rows(genes, 0, 1_000_000, base_width=8_000)
    half = 8_000 * (genes["name"].str.len() / 2 + 1)
    left = np.minimum(genes["start"], middle - half)
    right = np.maximum(np.minimum(genes["end"], 1_000_000), middle + half)
    for row in range(rows.max() + 1):
        mine = np.flatnonzero(rows == row)
        mine = mine[np.argsort(left[mine])]
        assert (np.asarray(right)[mine][:-1] <= np.asarray(left)[mine][1:]).all()
    assert pack_rows(np.array([0.0, 1, 2]), np.array([0.5, 1.5, 2.5])).tolist() == [0, 0, 0]


def write_genotypes(folder: Path) -> Path:
    """Five variants of 1 in 40 people: b is a's twin, c unlike it, e is not in the scan."""
    rng = np.random.default_rng(5)
    a, c, d, e = rng.integers(0, 3, (4, 40))
    code = np.array([0b11, 0b10, 0b00], dtype=np.uint8)
    packed = [
        (code[g].reshape(-1, 4) << np.array([0, 2, 4, 6], dtype=np.uint8)).sum(axis=1).astype(np.uint8)
        for g in (a, a, c, d, e)
    ]
    prefix = folder / "g"
    prefix.with_suffix(".bed").write_bytes(bytes([0x6C, 0x1B, 0x01]) + b"".join(p.tobytes() for p in packed))
    prefix.with_suffix(".bim").write_text(
        "".join(f"1\t{n}\t0\t{1000 + 10 * k}\tA\tG\n" for k, n in enumerate("abcde"))
    )
    prefix.with_suffix(".fam").write_text("".join(f"{k} {k} 0 0 0 -9\n" for k in range(40)))
    expected = np.corrcoef(np.vstack([a, a, c, d]))[0] ** 2
    np.save(folder / "r2.npy", expected)
    return prefix.with_suffix(".bed")


def test_region_is_coloured_by_r2_with_its_lead(tmp_path: Path) -> None:
    genotypes = open_genotypes(write_genotypes(tmp_path))
    frame = pd.DataFrame(
        {"#CHROM": "1", "POS": [1000, 1010, 1020, 1030, 1500, 9_000_000], "ID": ["a", "b", "other", "d", "z", "far"],
         "LOG10_P": [9.0, 7.0, 3.0, 1.0, 2.0, 4.0]}
    )  # fmt: skip
    region = with_linkage(region_of(frame, trait=None, lead=None, flank=1000), genotypes)
    assert list(region["ID"]) == ["a", "b", "other", "d", "z"]
    assert list(region["LEAD"]) == [True, False, False, False, False]
    # The third is found by its place; the genotypes know nothing of the last.
    np.testing.assert_allclose(region["R2"], [*np.load(tmp_path / "r2.npy"), np.nan], atol=1e-6)
    figure = regional(frame, genotypes=genotypes, flank=1000)
    shown = [c for c in figure.axes[0].collections if isinstance(c, PathCollection)]
    assert sum(len(c.get_offsets()) for c in shown) == 5
    absent = frame[frame["ID"] != "b"].assign(
        ID=lambda f: f["ID"].replace("a", "unknown"), POS=lambda f: f["POS"] + 3
    )
    region = with_linkage(region_of(absent, trait=None, lead="unknown", flank=1000), genotypes)
    assert list(region["ID"][region["REFERENCE"]]) == ["d"]
    assert region_of(frame, trait=None, lead="1:1020", flank=15)["ID"].tolist() == ["b", "other", "d"]
    with pytest.raises(InputError, match="no such variant"):
        region_of(frame, trait=None, lead="rs404", flank=10)


def test_regions_of_a_report_hold_genes_and_linkage_but_no_rare_variant(tmp_path: Path) -> None:
    genotypes = open_genotypes(write_genotypes(tmp_path))
    (tmp_path / "genes.txt").write_text("MYGENE 1 500 3000 +\nFAR 1 900000 910000 -\n")
    results = pd.DataFrame(
        {"#CHROM": "1", "POS": [1000, 1010, 1020, 1030], "ID": ["a", "b", "c", "d"], "A1_FREQ": [0.5, 0.5, 0.5, 0.01],
         "OBS_CT": 400, "LOG10_P": [9.0, 8.0, 1.0, 2.0], "ERRCODE": "."}
    )  # fmt: skip
    (region,) = regions(results, results.head(1), genotypes, read_genes(tmp_path / "genes.txt"))
    assert region.lead == "a"
    assert region.variant.tolist() == ["a", "b", "c"]
    np.testing.assert_allclose(region.r2, np.load(tmp_path / "r2.npy")[:3], atol=1e-6)
    assert [gene.name for gene in region.genes] == ["MYGENE"]


def test_miami_mirrors_two_scans_on_one_genome() -> None:
    one, two = scan(4_000), scan(4_000, seed=9)
    two = two[two["#CHROM"] != "X"]
    figure = miami(one, two, names=("up", "down"), same_scale=True)
    above, below = figure.axes
    assert above.get_xlim() == below.get_xlim()
    assert above.get_ylim() == below.get_ylim()[::-1]
    assert below.get_ylim()[1] == 0
    assert len(drawn(figure, 1)) == len(thin(two).pos)


def test_phewas_has_a_point_for_each_phenotype_and_the_line_of_bonferroni() -> None:
    rng = np.random.default_rng(6)
    table = pd.DataFrame(
        {"phenotype": [f"Disease number {k}" for k in range(200)], "category": rng.choice(["A", "B", None], 200),
         "P": rng.uniform(size=200), "BETA": rng.normal(size=200)}
    )  # fmt: skip
    table.loc[[3, 50, 90], "P"] = [1e-8, 1e-12, 1e-6]
    table.loc[7, "P"] = np.nan
    figure = phewas(table)
    ax = figure.axes[0]
    assert sum(len(c.get_offsets()) for c in ax.collections) == 199
    line = next(line for line in ax.lines if len(line.get_ydata()) == 2)
    assert line.get_ydata()[0] == pytest.approx(-np.log10(0.05 / 199))
    names = [text for text in words(figure) if text.get_text().startswith("Disease")]
    assert {text.get_text() for text in names} == {f"Disease number {k}" for k in (3, 50, 90)}
    assert no_two_meet(figure, names)
    ordered = phewas_table(table)
    runs = [category for category, _ in itertools.groupby(ordered["category"])]
    assert sorted(runs) == ["A", "B", "Other"]
    assert (np.diff(ordered["x"]) >= 1).all()


def test_forest_draws_intervals_and_says_them() -> None:
    effects = pd.DataFrame(
        {"label": ["One", "Two", "None", "All"], "BETA": [0.2, -0.1, np.nan, 0.05], "SE": [0.1, 0.05, np.nan, 0.04],
         "N": [100, 400, 50, 550], "summary": [False, False, False, True]}
    )  # fmt: skip
    table = forest_table(effects)
    assert table["low"][0] == pytest.approx(0.2 - 1.959964 * 0.1, abs=1e-6)
    assert (np.diff(table["y"]) < 0).all()
    figure = forest(effects, scale="odds ratio")
    ax = figure.axes[0]
    assert ax.get_xscale() == "log"
    assert any(line.get_xdata()[0] == 1.0 for line in ax.lines)
    left, right = ax.get_xlim()
    assert left < np.exp(table["low"].min())
    assert right > np.exp(table["high"].max())
    assert sum(isinstance(patch, Polygon) for patch in ax.patches) == 1
    said = [text.get_text() for text in words(figure)]
    assert "1.22 (1.00 to 1.49)" in said
    assert "no estimate" in said
    assert no_two_meet(figure, words(figure))
    figure.draw_without_rendering()
    wide = figure.bbox.width
    assert all(t.get_window_extent().x0 >= 0 and t.get_window_extent().x1 <= wide for t in words(figure))
    with pytest.raises(InputError, match="no row has an estimate"):
        forest(effects.assign(BETA=np.nan))


def test_loci_are_named_by_gene_where_genes_are_given(tmp_path: Path) -> None:
    (tmp_path / "genes.txt").write_text("MYGENE 1 100000 200000 +\n")
    frame = pd.DataFrame(
        {"#CHROM": "1", "POS": [150_000, 5_000_000], "ID": ["rs1", "rs2"], "LOG10_P": [9.0, 20.0]}
    )
    leads = named_loci(thin(frame), genes=read_genes(tmp_path / "genes.txt"))
    assert [(lead.name, lead.gene) for lead in leads] == [("rs2", False), ("MYGENE", True)]


def test_quantiles_of_rows_chosen_by_p_are_refused() -> None:
    frame = scan()
    with pytest.raises(
        InputError, match=r"needs every variant tested; found \d+ variants, the largest P 0\.0"
    ):
        qq(frame[frame["LOG10_P"] >= 2])
