"""The genotype commands: PLINK 2's option names in, PLINK 2's files out.

A command here is a function of its own options that checks them and gives them on; the inputs and filters that
all of them take are added by :func:`register`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import typer

from workflows.application import Application, use_threads
from workflows.genotype_inputs import Filters, GenotypeSource
from workflows.genotype_options import filter_options, source_options, takes

Options = dict[str, Any]
Build = Literal["GRCh37", "GRCh38"]
Projection = Literal["oadp", "plain"]


def _freq(
    *,
    counts: Annotated[bool, typer.Option("--counts", help="Write OUT.acount instead.")] = False,
    nonfounders: Annotated[bool, typer.Option("--nonfounders", help="Count everybody.")] = False,
    missing: Annotated[
        bool, typer.Option("--missing", help="In the same pass what 'careome missing' does.")
    ] = False,
    hardy: Annotated[
        bool, typer.Option("--hardy", help="In the same pass what 'careome hardy' does.")
    ] = False,
    midp: Annotated[bool, typer.Option("--midp", help="With --hardy, exact tests with mid-p.")] = False,
) -> Options:
    """Allele frequencies: OUT.afreq; with --missing and --hardy their files too, in one pass."""
    if midp and not hardy:
        raise typer.BadParameter("--midp goes with --hardy")
    return {
        "counts": counts,
        "nonfounders": nonfounders,
        "missing": missing,
        "hardy": hardy,
        "midp": midp,
    }


def _missing() -> Options:
    """Missing calls of samples and variants: OUT.smiss, OUT.vmiss."""
    return {}


def _hardy(
    *, midp: Annotated[bool, typer.Option("--midp", help="Exact tests with mid-p.")] = False
) -> Options:
    """Exact Hardy-Weinberg tests: OUT.hardy, and OUT.hardy.x for X."""
    return {"midp": midp}


def _het() -> Options:
    """Heterozygosity and inbreeding coefficient of samples: OUT.het."""
    return {}


def _sex_check(
    *,
    max_female_xf: Annotated[float, typer.Option(help="A woman's F on X is below.")] = 0.2,
    min_male_xf: Annotated[float, typer.Option(help="A man's F on X is above.")] = 0.8,
    min_male_yrate: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="A man's Y call rate is at least; default: Y is not asked."),
    ] = None,
    build: Annotated[Build | None, typer.Option(help="Leave out PAR of this build by position.")] = None,
) -> Options:
    """Sex that X tells against the one on record: OUT.sexcheck."""
    if max_female_xf > min_male_xf:
        raise typer.BadParameter("--max-female-xf is above --min-male-xf")
    return {
        "max_female_xf": max_female_xf,
        "min_male_xf": min_male_xf,
        "min_male_yrate": min_male_yrate,
        "build": build,
    }


def _king(
    *,
    make_king_table: Annotated[bool, typer.Option("--make-king-table", help="Done anyway.")] = False,
    king_table_filter: Annotated[float | None, typer.Option(help="Smallest kinship to list.")] = None,
    king_cutoff: Annotated[
        float | None,
        typer.Option(min=0, max=0.5, help="Also choose people no two of whom have a larger kinship."),
    ] = None,
) -> Options:
    """KING-robust kinship of pairs: OUT.kin0, and OUT.king.cutoff.in.id and .out.id."""
    del make_king_table
    return {"king_table_filter": king_table_filter, "king_cutoff": king_cutoff}


def _prune(
    *,
    indep_pairwise: Annotated[
        str, typer.Option("--indep-pairwise", help="Window, step and r2: 200 50 0.2, or 500kb 0.2.")
    ] = "200,50,0.2",
    indep_order: Annotated[
        int, typer.Option("--indep-order", min=1, max=2, help="2: as PLINK 2 since 2023; 1: as PLINK 1.x.")
    ] = 2,
) -> Options:
    """Variants in approximate linkage equilibrium: OUT.prune.in, OUT.prune.out."""
    return {**window_step_r2(indep_pairwise), "indep_order": indep_order}


def _pca(
    *,
    pca: Annotated[
        str, typer.Option("--pca", help="Number of components; approx and allele-wts are done anyway.")
    ] = "10",
    build: Annotated[Build | None, typer.Option(help="Leave out its regions of long-range LD.")] = None,
    seed: Annotated[int, typer.Option(min=0)] = 1,
) -> Options:
    """Principal components: OUT.eigenvec, OUT.eigenval, and OUT.eigenvec.allele with OUT.acount."""
    number, *modifiers = [
        word for word in pca.replace(",", " ").split() if word not in ("approx", "allele-wts")
    ] or ["10"]
    if modifiers or not number.isdigit() or int(number) < 1:
        raise typer.BadParameter(f"--pca {pca!r}: expected a number of components, e.g. 10")
    return {"components": int(number), "build": build, "seed": seed}


def _project(
    *,
    loadings: Annotated[Path, typer.Option(help="The --out of careome pca, or PLINK 2's files.")],
    method: Annotated[
        Projection, typer.Option(help="oadp: without shrinkage; plain: the weighted sum alone.")
    ] = "oadp",
    labels: Annotated[
        Path | None, typer.Option(help="Table with IID and the group of the components' people.")
    ] = None,
    label_column: Annotated[str | None, typer.Option(help="Its column of groups; default the last.")] = None,
    threshold: Annotated[
        float, typer.Option(min=0, max=1, help="Smallest probability of a group to assign.")
    ] = 0.8,
    far: Annotated[
        float, typer.Option(min=0, max=1, help="Far from a group: fewer of its people are as far out.")
    ] = 1e-3,
) -> Options:
    """Other samples on saved components, without shrinkage: OUT.sscore; with --labels OUT.ancestry."""
    if label_column is not None and labels is None:
        raise typer.BadParameter("--label-column is of --labels, which is not given")
    return {
        "loadings": loadings,
        "method": method,
        "labels": labels,
        "label_column": label_column,
        "threshold": threshold,
        "far": far,
    }


def _ld(
    *,
    signed: Annotated[bool, typer.Option("--r-unphased", help="Signed r of ALT alleles.")] = False,
    squared: Annotated[bool, typer.Option("--r2-unphased", help="r2: the default.")] = False,
    ld_window_kb: Annotated[float, typer.Option(min=0, help="Largest distance of a pair.")] = 1000.0,
    ld_window: Annotated[
        int | None, typer.Option(min=2, help="Largest distance in variants, plus one.")
    ] = None,
    ld_window_r2: Annotated[float, typer.Option(min=0, max=1, help="Smallest r2 to list.")] = 0.2,
    square: Annotated[
        bool, typer.Option("--square", help="Matrix of all pairs of a region (--chr, --from-bp, --to-bp).")
    ] = False,
) -> Options:
    """Linkage disequilibrium: OUT.vcor, or OUT.unphased.vcor2 with --square."""
    if signed and squared:
        raise typer.BadParameter("--r-unphased and --r2-unphased are of two kinds: give one")
    return {
        "signed": signed,
        "window_kb": ld_window_kb,
        "window_variants": None if ld_window is None else ld_window - 1,
        "r2": ld_window_r2,
        "square": square,
    }


def _ld_score(
    *,
    ld_wind_kb: Annotated[float | None, typer.Option(help="Reach to either side; default: 1 cM.")] = None,
    ld_wind_cm: Annotated[float | None, typer.Option(help="Centimorgans of the variant file.")] = None,
    ld_wind_snps: Annotated[int | None, typer.Option(help="Variants.")] = None,
) -> Options:
    """LD scores for LD score regression: OUT.l2.ldscore.gz, OUT.l2.M, OUT.l2.M_5_50."""
    given = [w for w in (ld_wind_kb, ld_wind_cm, ld_wind_snps) if w is not None]
    if len(given) > 1 or not all(w > 0 for w in given):
        raise typer.BadParameter("give one positive window: --ld-wind-kb, --ld-wind-cm or --ld-wind-snps")
    return {
        "window_kb": ld_wind_kb,
        "window_cm": ld_wind_cm if given else 1.0,
        "window_variants": ld_wind_snps,
    }


def _test_missing(
    *,
    pheno: Annotated[Path | None, typer.Option(help="Phenotype file; default: the .fam.")] = None,
    pheno_name: Annotated[str | None, typer.Option(help="Its column; default the first.")] = None,
    zero_one: Annotated[bool, typer.Option("--1", help="Cases are 1 and controls 0, not 2 and 1.")] = False,
    midp: Annotated[bool, typer.Option("--midp", help="Mid-P.")] = False,
) -> Options:
    """Missing calls of cases against controls: OUT.missing."""
    if pheno_name is not None and pheno is None:
        raise typer.BadParameter("--pheno-name goes with --pheno")
    return {"pheno": pheno, "pheno_name": pheno_name, "zero_one": zero_one, "midp": midp}


def _mendel(
    *, build: Annotated[Build | None, typer.Option(help="Judge PAR of this build as diploid.")] = None
) -> Options:
    """Mendelian errors of trios: OUT.mendel, OUT.lmendel, OUT.fmendel, OUT.imendel."""
    return {"build": build}


def _compare_reference(
    *,
    reference: Annotated[Path, typer.Option(help="Frequencies: PLINK 2's .afreq, or a table like it.")],
    reference_column: Annotated[
        str | None, typer.Option(help="Column of ALT's frequency, e.g. of one population.")
    ] = None,
    max_difference: Annotated[
        float, typer.Option(min=0, max=1, help="Largest difference that is not an outlier.")
    ] = 0.2,
) -> Options:
    """Alleles, strand and frequencies beside a reference: OUT.refcmp, OUT.refcmp.summary."""
    return {
        "reference": reference,
        "reference_column": reference_column,
        "max_difference": max_difference,
    }


def _clump(
    *,
    clump: Annotated[Path, typer.Option("--clump", help="Results: text of any known layout, or Parquet.")],
    trait: Annotated[str | None, typer.Option(help="Which trait, in Parquet of several.")] = None,
    clump_p1: Annotated[float, typer.Option(min=0, max=1, help="Largest P of a lead.")] = 1e-4,
    clump_p2: Annotated[float, typer.Option(min=0, max=1, help="P below which SP2 names a member.")] = 0.01,
    clump_r2: Annotated[float, typer.Option(min=0, max=1, help="r2 that makes a member.")] = 0.5,
    clump_kb: Annotated[float, typer.Option(min=0, help="How far a lead reaches to either side.")] = 250.0,
    clump_unphased: Annotated[
        bool, typer.Option("--clump-unphased", help="r2 of allele counts, not of haplotypes.")
    ] = False,
) -> Options:
    """Independent lead variants of summary statistics: OUT.clumps."""
    return {
        "clump_file": clump,
        "trait": trait,
        "p1": clump_p1,
        "p2": clump_p2,
        "r2": clump_r2,
        "kb": clump_kb,
        "unphased": clump_unphased,
    }


COMMANDS: Final[dict[str, Callable[..., Options]]] = {
    "freq": _freq,
    "missing": _missing,
    "hardy": _hardy,
    "het": _het,
    "sex-check": _sex_check,
    "king": _king,
    "prune": _prune,
    "pca": _pca,
    "project": _project,
    "ld": _ld,
    "ld-score": _ld_score,
    "test-missing": _test_missing,
    "mendel": _mendel,
    "compare-reference": _compare_reference,
    "clump": _clump,
}


def register(app: Application) -> None:
    """Add every genotype command."""
    for name, own in COMMANDS.items():
        app.command(name)(_command(name, own))


def _command(name: str, own: Callable[..., Options]) -> Callable[..., None]:
    def command(
        source: GenotypeSource,
        filters: Filters,
        own: Options,
        out: Annotated[Path, typer.Option(help="Prefix of the result files.")],
        threads: Annotated[int | None, typer.Option(min=1)] = None,
    ) -> None:
        count = use_threads(threads)
        from workflows.genotype_commands.runner import run_command
        from workflows.progress import Progress

        with Progress() as progress, progress.step(name):
            files = run_command(
                name, source=source, out=out, filters=filters, threads=count, options=own, warn=_warn
            )
        for file in files:
            typer.echo(file)

    command.__doc__ = own.__doc__
    return takes(source=source_options, filters=filter_options, own=own)(command)


def _warn(text: str) -> None:
    typer.echo(f"careome: warning: {text}", err=True)


def window_step_r2(text: str) -> Options:
    """Read PLINK's ``--indep-pairwise``.

    Examples
    --------
    >>> window_step_r2("200,50,0.2")
    {'window': 200, 'step': 50, 'kb': None, 'r2': 0.2}
    >>> window_step_r2("250kb,0.1")["kb"]
    250.0
    """
    words = text.replace(",", " ").lower().split()
    if len(words) > 1 and words[1] == "kb":
        words[:2] = [words[0] + "kb"]
    try:
        in_kb = words[0].endswith("kb")
        if in_kb:
            kb, step, r2 = float(words[0][:-2]), int(words[1]) if len(words) == 3 else 1, float(words[-1])
            good = kb > 0 and step == 1 and len(words) in (2, 3)
            read: Options = {"window": 2, "step": 1, "kb": kb, "r2": r2}
        else:
            window, step, r2 = int(words[0]), int(words[1]), float(words[2])
            good = window >= 2 and 1 <= step <= window and len(words) == 3
            read = {"window": window, "step": step, "kb": None, "r2": r2}
    except (ValueError, IndexError) as error:
        raise _bad_window(text) from error
    if not good or not 0 <= r2 < 1:
        raise _bad_window(text)
    return read


def _bad_window(text: str) -> typer.BadParameter:
    return typer.BadParameter(
        f"--indep-pairwise {text!r}: expected window >= 2 variants, step within it, and r2 below 1, e.g."
        " 200 50 0.2, or kilobases and r2, e.g. 500kb 0.2"
    )
