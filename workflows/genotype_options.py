"""Options of every command that reads genotypes: which file, what of it, and PLINK 2's filters.

The functions here are lists of options; :func:`takes` puts them into a command's own.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from math import ceil, floor
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import typer

from cohorts.errors import InputError
from workflows.genotype_inputs import Filters, GenotypeSource, ListKind, Values, Verify

SUFFIXES: Final = {
    "--bfile": (".bed",),
    "--pfile": (".pgen",),
    "--bgen": (".bgen",),
    "--vcf": (".vcf", ".vcf.gz", ".vcf.bgz"),
    "--bcf": (".bcf",),
    "--zarr": (".vcz", ".zarr"),
}
"""What the files of each option are called."""


def source_options(
    *,
    bfile: Annotated[
        Path | None, typer.Option("--bfile", "--bed", help="Prefix of PLINK 1 .bed, .bim and .fam.")
    ] = None,
    pfile: Annotated[
        str | None,
        typer.Option("--pfile", "--pgen", help="Prefix of PLINK 2 .pgen, .pvar(.zst) and .psam."),
    ] = None,
    pvar: Annotated[Path | None, typer.Option(help="Beside --pgen, of its name.")] = None,
    psam: Annotated[Path | None, typer.Option(help="Beside --pgen, of its name.")] = None,
    bgen: Annotated[str | None, typer.Option(help="BGEN file; with ref-first (default) or ref-last.")] = None,
    sample: Annotated[Path | None, typer.Option(help=".sample file of the BGEN.")] = None,
    vcf: Annotated[
        str | None,
        typer.Option(help="VCF file, plain or compressed; with dosage=DS or dosage=GP that field."),
    ] = None,
    bcf: Annotated[str | None, typer.Option(help="BCF file; the same.")] = None,
    zarr: Annotated[Path | None, typer.Option(help="VCF Zarr store.")] = None,
    genotypes: Annotated[
        Values | None, typer.Option(help="What to use; default dosage where the file has dosages.")
    ] = None,
    hard_call_threshold: Annotated[
        float, typer.Option(min=0, max=0.499999, help="A dosage nearer to a whole number is called.")
    ] = 0.1,
    chr: Annotated[str | None, typer.Option("--chr", help="Chromosomes, e.g. 1-4,22,X.")] = None,
    from_kb: Annotated[float | None, typer.Option(min=0, help="The same in kilobases.")] = None,
    to_kb: Annotated[float | None, typer.Option(min=0, help="The same in kilobases.")] = None,
    from_mb: Annotated[float | None, typer.Option(min=0, help="The same in megabases.")] = None,
    to_mb: Annotated[float | None, typer.Option(min=0, help="The same in megabases.")] = None,
    from_bp: Annotated[int | None, typer.Option(min=1, help="First position on the one --chr.")] = None,
    to_bp: Annotated[int | None, typer.Option(min=1, help="Last position on the one --chr.")] = None,
    region: Annotated[str | None, typer.Option(help="Regions, e.g. 7:1000-2000,X.")] = None,
    verify: Annotated[
        Verify, typer.Option(help="How far to check the files where there is a manifest.")
    ] = "full",
) -> GenotypeSource:
    """The options that name a genotype file."""
    bgen_file, bgen_ref = _bgen(bgen)
    prefix = _pfile(pfile)
    vcf_file, vcf_dosage = _vcf("--vcf", vcf)
    bcf_file, bcf_dosage = _vcf("--bcf", bcf)
    files: dict[str, Path | None] = {
        "--bfile": _with_suffix(bfile, ".bed"),
        "--pfile": _with_suffix(prefix, ".pgen"),
        "--bgen": bgen_file,
        "--vcf": vcf_file,
        "--bcf": bcf_file,
        "--zarr": zarr,
    }
    given = {option: path for option, path in files.items() if path is not None}
    for option, named in {**given, "--bfile": bfile, "--pfile": prefix}.items():
        if named is not None:
            _refuse_other_format(option, named)
    _refuse_elsewhere(given.get("--pfile"), {"--pvar": pvar, "--psam": psam})
    if len(given) != 1:
        found = f"{' and '.join(given)} were given" if given else "none was given"
        raise typer.BadParameter(f"one of {', '.join(files)} is needed; {found}")
    if sample is not None and "--bgen" not in given:
        raise typer.BadParameter("--sample goes with --bgen")
    return GenotypeSource(
        path=next(iter(given.values())),
        values=genotypes,
        hard_call_threshold=hard_call_threshold,
        sample_file=sample,
        bgen_ref=bgen_ref,
        vcf_dosage=vcf_dosage or bcf_dosage,
        regions=_regions(
            chr,
            _one_start("from", ceil, {"bp": from_bp, "kb": from_kb, "mb": from_mb}),
            _one_start("to", floor, {"bp": to_bp, "kb": to_kb, "mb": to_mb}),
            region,
        ),
        verify=verify,
    )


def filter_options(
    *,
    keep: Annotated[Path | None, typer.Option(help="Only these samples.")] = None,
    remove: Annotated[Path | None, typer.Option(help="Not these samples.")] = None,
    extract: Annotated[
        str | None,
        typer.Option(help="Only these variants: IDs, or bed0, bed1 or range and a file of places."),
    ] = None,
    exclude: Annotated[str | None, typer.Option(help="Not these variants; the same.")] = None,
    snps: Annotated[
        str | None, typer.Option("--snps", "--snp", help="Only these variants, or ranges: rs1,rs5-rs9.")
    ] = None,
    snps_only: Annotated[
        str | None, typer.Option("--snps-only", help="Only alleles of one letter; just-acgt: of these.")
    ] = None,
    not_chr: Annotated[str | None, typer.Option("--not-chr", help="Not these chromosomes.")] = None,
    maf: Annotated[float | None, typer.Option(min=0, max=0.5, help="Least minor allele frequency.")] = None,
    mac: Annotated[
        int | None, typer.Option("--mac", "--minMAC", min=0, help="Least number of minor alleles.")
    ] = None,
    geno: Annotated[
        float | None, typer.Option(min=0, max=1, help="Largest missing rate of a variant.")
    ] = None,
    mind: Annotated[
        float | None, typer.Option(min=0, max=1, help="Largest missing rate of a sample.")
    ] = None,
    hwe: Annotated[str | None, typer.Option(help="Least Hardy-Weinberg P; with midp mid-P.")] = None,
    mach_r2_filter: Annotated[
        str | None, typer.Option(help="Least (and largest) MaCH r2, e.g. 0.3 2; the largest is 2 by default.")
    ] = None,
) -> Filters:
    """The options that filter samples and variants."""
    extracted, excluded = _listed("--extract", extract), _listed("--exclude", exclude)
    least, midp = _hwe(hwe)
    if snps_only not in (None, "", "just-acgt"):
        raise typer.BadParameter(f"--snps-only {snps_only}: expected nothing or just-acgt")
    return Filters(
        keep=keep,
        remove=remove,
        extract=extracted[0],
        extract_as=extracted[1],
        exclude=excluded[0],
        exclude_as=excluded[1],
        snps=tuple(words(snps or "")),
        snps_only=None if snps_only is None else "acgt" if snps_only else "any",
        not_chr=tuple(chromosomes(words(not_chr))) if not_chr else (),
        mind=mind,
        geno=geno,
        hwe=least,
        hwe_midp=midp,
        maf=maf,
        mac=mac,
        mach_r2=None if mach_r2_filter is None else _bounds(mach_r2_filter),
    )


def takes(**shared: Callable[..., Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Replace parameters of a command by the options that make them.

    Parameters
    ----------
    shared
        Name of a parameter, and the function whose options it is made of: :func:`source_options` or
        :func:`filter_options`.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        parts = {name: inspect.signature(maker, eval_str=True).parameters for name, maker in shared.items()}
        own = [
            p for p in inspect.signature(command, eval_str=True).parameters.values() if p.name not in parts
        ]

        def with_options(**values: Any) -> None:
            made = {
                name: shared[name](**{key: values.pop(key) for key in keys}) for name, keys in parts.items()
            }
            command(**made, **values)

        every = [*own, *(parameter for keys in parts.values() for parameter in keys.values())]
        every = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in every]
        with_options.__signature__ = inspect.Signature(every)  # type: ignore[attr-defined]
        with_options.__annotations__ = {}
        with_options.__name__, with_options.__doc__ = command.__name__, command.__doc__
        return with_options

    return decorate


def chromosomes(wanted: Sequence[str]) -> list[str]:
    """Expand ``1-4,22,X`` to canonical names.

    Examples
    --------
    >>> chromosomes(["1-3", "chrX"])
    ['1', '2', '3', 'X']
    """
    from gwas.genotypes.chromosomes import canonical_chromosome

    names: list[str] = []
    for item in wanted:
        first, dash, last = item.partition("-")
        if dash and first.isdigit() and last.isdigit() and int(first) <= int(last):
            names += [canonical_chromosome(str(i)) for i in range(int(first), int(last) + 1)]
        elif item and not dash:
            names.append(canonical_chromosome(item))
        else:
            raise InputError("not a chromosome or range", where="--chr", found=item, expected="e.g. 1-4,22,X")
    return list(dict.fromkeys(names))


def words(text: str) -> list[str]:
    """The words of a value: commas and spaces part them."""
    return [word for word in text.replace(" ", ",").split(",") if word]


def _refuse_other_format(option: str, path: Path) -> None:
    """``--vcf x.bgen`` is a slip; a prefix of a fileset may be called anything that is no file."""
    other = next((o for o, ends in SUFFIXES.items() if o != option and path.name.endswith(ends)), None)
    prefix = option in ("--bfile", "--pfile") and not path.exists()
    if other is not None and not prefix and not path.name.endswith(SUFFIXES[option]):
        raise typer.BadParameter(f"{option} {path}: a file of that name goes with {other}")


def _refuse_elsewhere(pgen: Path | None, beside: dict[str, Path | None]) -> None:
    """The files of a fileset are told by the name of the .pgen; others would be passed over."""
    ends = {"--pvar": (".pvar", ".pvar.zst", ".bim"), "--psam": (".psam", ".fam")}
    for option, path in beside.items():
        if path is not None and (
            pgen is None or path not in [pgen.with_suffix(end) for end in ends[option] if path.suffix]
        ):
            expected = "--pgen" if pgen is None else str(pgen.with_suffix(ends[option][0]))
            raise typer.BadParameter(f"{option} {path}: goes with a file of the same name, {expected}")


def _with_suffix(prefix: Path | None, suffix: str) -> Path | None:
    """The file with the calls of a fileset; a prefix may hold dots."""
    if prefix is None or prefix.name.endswith(suffix):
        return prefix
    return prefix.with_name(prefix.name + suffix)


def _bgen(text: str | None) -> tuple[Path | None, Literal["first", "last"]]:
    """PLINK 2 asks which allele of a BGEN is REF: ``FILE ref-first`` or ``FILE ref-last``."""
    name, comma, mode = (text or "").rpartition(",")
    if name.endswith(".bgen") and mode not in ("ref-first", "ref-last", "ref-unknown"):
        raise typer.BadParameter(f"--bgen {name} {mode}: expected ref-first or ref-last after the file")
    if not comma or mode not in ("ref-first", "ref-last", "ref-unknown"):
        return (None if text is None else Path(text)), "first"
    if mode == "ref-unknown":
        raise typer.BadParameter("--bgen ref-unknown: say ref-first or ref-last, results count ALT")
    return Path(name), "last" if mode == "ref-last" else "first"


def _pfile(text: str | None) -> Path | None:
    """PLINK 2's ``PREFIX vzs`` says that the .pvar is compressed, which is seen anyway."""
    if text is None:
        return None
    name, comma, mode = text.rpartition(",")
    if not comma or mode != "vzs":
        return Path(text)
    prefix = Path(name)
    if (
        not prefix.with_name(f"{prefix.name}.pvar.zst").exists()
        or prefix.with_name(f"{prefix.name}.pvar").exists()
    ):
        raise typer.BadParameter(
            f"--pfile {name} vzs: expected {prefix.name}.pvar.zst and no {prefix.name}.pvar"
        )
    return prefix


def _vcf(option: str, text: str | None) -> tuple[Path | None, Literal["DS", "GP"] | None]:
    """``FILE dosage=DS`` or ``FILE dosage=GP``."""
    name, comma, mode = (text or "").rpartition(",")
    if not comma or "=" not in mode:
        return (None if text is None else Path(text)), None
    if mode not in ("dosage=DS", "dosage=GP"):
        raise typer.BadParameter(f"{option} {name} {mode}: expected dosage=DS or dosage=GP")
    return Path(name), "DS" if mode == "dosage=DS" else "GP"


def _one_start(which: str, rounded: Callable[[float], int], given: dict[str, float | None]) -> int | None:
    """One bound of --chr, in bases."""
    bases = {"bp": 1.0, "kb": 1e3, "mb": 1e6}
    found = {unit: value * bases[unit] for unit, value in given.items() if value is not None}
    if len(found) > 1:
        raise typer.BadParameter(f"one of {', '.join(f'--{which}-{unit}' for unit in found)} is enough")
    # decimal kilobases are not exact in binary
    return next((max(1, rounded(round(value, 3))) for value in found.values()), None)


def _listed(option: str, text: str | None) -> tuple[Path | None, ListKind]:
    """A file of IDs, or ``bed0``, ``bed1`` or ``range`` and a file of places."""
    if text is None:
        return None, "ids"
    kind, comma, name = text.partition(",")
    if not comma or kind not in ("bed0", "bed1", "range"):
        if comma and not Path(text).exists():
            raise typer.BadParameter(
                f"{option} {text.replace(',', ' ')}: expected one file, or bed0, bed1 or range FILE"
            )
        return Path(text), "ids"
    return Path(name), "bed0" if kind == "bed0" else "bed1"


def _hwe(text: str | None) -> tuple[float | None, bool]:
    if text is None:
        return None, False
    number, *modifiers = words(text) or [""]
    try:
        least = float(number)
    except ValueError as error:
        raise typer.BadParameter(f"--hwe {text!r}: expected a number, e.g. 1e-6, or 1e-6 midp") from error
    if not 0 <= least <= 1 or modifiers not in ([], ["midp"]):
        raise typer.BadParameter(f"--hwe {text!r}: expected 0 to 1, and midp or nothing after it")
    return least, bool(modifiers)


def _regions(chr: str | None, first: int | None, last: int | None, region: str | None) -> tuple[str, ...]:
    if region is not None:
        if chr is not None or first is not None or last is not None:
            raise typer.BadParameter("--region goes without --chr, --from-bp and --to-bp")
        from gwas.genotypes.options import split_regions

        return tuple(split_regions(region))
    names = chromosomes(words(chr)) if chr is not None else []
    if first is None and last is None:
        return tuple(names)
    if len(names) != 1:
        raise typer.BadParameter("--from-bp and --to-bp need --chr with one chromosome")
    if last is not None and last < (first or 1):
        raise typer.BadParameter("--to-bp is before --from-bp")
    return (f"{names[0]}:{first or 1}-{last or 2**31 - 1}",)


def _bounds(text: str) -> tuple[float, float]:
    try:
        low, high = [*map(float, words(text)), 2.0][:2]
    except ValueError as error:
        raise typer.BadParameter(f"--mach-r2-filter {text!r}: expected numbers, e.g. 0.3 2") from error
    if not 0 <= low <= high:
        raise typer.BadParameter(f"--mach-r2-filter {text!r}: expected 0 <= least <= largest")
    return low, high
