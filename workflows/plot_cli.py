"""``careome plot``: pictures of results, one command a kind."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workflows.application import Application

if TYPE_CHECKING:
    from matplotlib.figure import Figure

app = Application(help="Pictures of results: .png, .svg or .pdf.", no_args_is_help=True)

One = Annotated[Path, typer.Argument(help="Results: text of any known layout, or Parquet.")]
Several = Annotated[list[Path], typer.Argument(help="Results: text of any known layout, or Parquet.")]
Out = Annotated[Path, typer.Option(help="The picture; its suffix is the format.")]
Trait = Annotated[str | None, typer.Option(help="Which trait, in Parquet of several.")]
GeneFile = Annotated[
    Path | None, typer.Option("--genes", help="UCSC's refGene table, or: name chromosome start end strand.")
]
Cap = Annotated[
    float | None,
    typer.Option(min=1, help="-log10 P above which the axis is logarithmic; default 30 if over 60."),
]
Title = Annotated[str, typer.Option()]
Width = Annotated[float | None, typer.Option(min=1, help="Inches.")]
Dpi = Annotated[int, typer.Option(min=50, max=1200, help="Dots an inch.")]
Labels = Annotated[int, typer.Option(min=0, help="Names written at most.")]
Variant = Annotated[str, typer.Option(help="Its name, or chromosome:base.")]
Names = Annotated[str | None, typer.Option(help="Names of the results, comma-separated; default the files'.")]


@app.command()
def manhattan(
    results: One, out: Out, trait: Trait = None, genes: GeneFile = None, labels: Labels = 12,
    cap: Cap = None, title: Title = "", width: Width = None, dpi: Dpi = 200,
) -> None:  # fmt: skip
    """Every variant by its place on the genome; loci named by gene or variant."""
    scan = _scans([results], out)[0]
    from workflows.figures.manhattan import manhattan

    _write(
        manhattan(scan, trait=trait, genes=_genes(genes), labels=labels, cap=cap, title=title, **_wide(width)),
        out, dpi,
    )  # fmt: skip


@app.command()
def qq(
    results: One, out: Out, trait: Trait = None, cap: Cap = None, title: Title = "", width: Width = None,
    dpi: Dpi = 200,
) -> None:  # fmt: skip
    """Observed against expected P, with lambda and the 95% band."""
    scan = _scans([results], out)[0]
    from workflows.figures.qq import qq

    size: dict[str, Any] = {} if width is None else {"width": width, "height": width}
    _write(qq(scan, trait=trait, cap=cap, title=title, **size), out, dpi)


@app.command()
def regional(
    results: One, out: Out, trait: Trait = None,
    lead: Annotated[str | None, typer.Option(help="Variant, or chromosome:base; default the best.")] = None,
    flank: Annotated[float, typer.Option(min=1, help="Kilobases to either side.")] = 400.0,
    ld: Annotated[Path | None, typer.Option(help="Genotypes of any format in which r2 is measured.")] = None,
    bfile: Annotated[Path | None, typer.Option(help="The same, as the prefix of .bed, .bim and .fam.")] = None,
    genes: GeneFile = None, title: Title = "", width: Width = None, dpi: Dpi = 200,
) -> None:  # fmt: skip
    """One locus, coloured by linkage disequilibrium with its lead, above its genes."""
    if bfile is not None:
        if ld is not None:
            raise typer.BadParameter("--ld and --bfile say the same; give one")
        ld = Path(f"{bfile}.bed")
    scan = _scans([results], out)[0]
    from gwas.genotypes import open_genotypes
    from workflows.figures.regional import regional

    _write(
        regional(
            scan, trait=trait, lead=lead, flank=round(flank * 1000), genes=_genes(genes), title=title,
            genotypes=None if ld is None else open_genotypes(ld), **_wide(width),
        ),
        out, dpi,
    )  # fmt: skip


@app.command()
def miami(
    upper: One, lower: One, out: Out, names: Names = None, genes: GeneFile = None, labels: Labels = 10,
    upper_trait: Trait = None, lower_trait: Trait = None, cap: Cap = None,
    same_scale: Annotated[bool, typer.Option("--same-scale", help="Both axes end at one P.")] = False,
    title: Title = "", width: Width = None, dpi: Dpi = 200,
) -> None:  # fmt: skip
    """Two scans mirrored on one genome."""
    given = _names(names, [upper, lower], default=(upper_trait or upper.stem, lower_trait or lower.stem))
    scans = _scans([upper, lower], out)
    from workflows.figures.miami import miami

    _write(
        miami(
            *scans, names=(given[0], given[1]), traits=(upper_trait, lower_trait), genes=_genes(genes),
            labels=labels, cap=cap, same_scale=same_scale, title=title, **_wide(width),
        ),
        out, dpi,
    )  # fmt: skip


@app.command()
def phewas(
    results: Several, out: Out, variant: Variant, names: Names = None,
    categories: Annotated[
        Path | None, typer.Option(help="Table (tabs): phenotype, category, and label if wanted.")
    ] = None,
    tests: Annotated[int | None, typer.Option(min=1, help="Tests of the Bonferroni line.")] = None,
    labels: Labels = 12, cap: Cap = None, title: Title = "", width: Width = None, dpi: Dpi = 200,
) -> None:  # fmt: skip
    """One variant against many phenotypes, by category."""
    from gwas.sumstats_tables import trait_folders
    from workflows.plots import check_suffix, phewas_frame, variant_rows

    check_suffix(out)
    rows = variant_rows(results, variant, names=_names(names, results, default=()))
    # results without the variant were tests too, whose P a filter may have kept out of the file
    tests = tests or max(len(rows), sum(len(trait_folders(path)) or 1 for path in results))
    from workflows.figures.phewas import phewas

    figure = phewas(
        phewas_frame(rows, categories), tests=tests, labels=labels, cap=cap,
        title=title or f"{variant}, per copy of {rows['effect_allele'].iloc[0]}", **_wide(width),
    )  # fmt: skip
    _write(figure, out, dpi)


@app.command()
def forest(
    results: Several, out: Out, variant: Variant, names: Names = None,
    odds_ratio: Annotated[
        bool | None,
        typer.Option("--odds-ratio/--effect", help="Scale; default odds ratio if all results are of diseases."),
    ] = None,
    title: Title = "", width: Width = None, dpi: Dpi = 200,
) -> None:  # fmt: skip
    """Effects of one variant with 95% intervals over cohorts, strata or traits."""
    from workflows.plots import check_suffix, forest_frame, variant_rows

    check_suffix(out)
    rows = variant_rows(results, variant, names=_names(names, results, default=()))
    from workflows.figures.forest import forest

    ratio = bool((rows["kind"] == "binary").all()) if odds_ratio is None else odds_ratio
    figure = forest(
        forest_frame(rows), scale="odds ratio" if ratio else "effect",
        unit=f"per copy of {rows['effect_allele'].iloc[0]}", title=title or variant, **_wide(width),
    )  # fmt: skip
    _write(figure, out, dpi)


def _scans(paths: list[Path], out: Path) -> list[Any]:
    from workflows.plots import check_suffix, scan_of

    check_suffix(out)
    return [scan_of(path) for path in paths]


def _genes(path: Path | None) -> Any:
    from workflows.figures.genes import read_genes

    return None if path is None else read_genes(path)


def _wide(width: float | None) -> dict[str, Any]:
    return {} if width is None else {"width": width}


def _names(names: str | None, results: list[Path], *, default: tuple[str, ...]) -> list[str]:
    given = list(default) if names is None else [name.strip() for name in names.split(",")]
    if names is not None and len(given) != len(results):
        raise typer.BadParameter(f"--names has {len(given)} names for {len(results)} results")
    return given


def _write(figure: Figure, out: Path, dpi: int) -> None:
    from workflows.plots import write_figure

    typer.echo(write_figure(figure, out, dpi=dpi))
