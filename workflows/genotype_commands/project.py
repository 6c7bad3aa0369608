"""``careome project``: OUT.sscore, new samples on the components that ``careome pca`` saved."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from cohorts.errors import CareomeError, DesignError, InputError
from gwas.components import Pca, project
from gwas.counts import sample_sums
from gwas.genotypes import Genotypes
from workflows.genotype_commands.outcome import Outcome, Table, sample_columns

F64 = npt.NDArray[np.float64]


def tables(genotypes: Genotypes, *, threads: int, loadings: Path) -> Outcome:
    """Place samples on saved components without shrinkage, on the scale of the .eigenvec file.

    ``loadings`` is the prefix of ``.eigenvec.allele``, ``.eigenval`` and ``.acount``: from ``careome pca`` or
    PLINK 2's ``--freq counts --pca allele-wts``.
    """
    model = read_model(loadings)
    chosen, flipped = _align(genotypes, model, loadings)
    placed = project(flipped, chosen, threads=threads).reset_index(drop=True)
    everywhere = np.zeros(chosen.n_variants, dtype=np.int64)
    sums = sample_sums(chosen, group=everywhere, frequency=np.zeros(chosen.n_variants))
    frame = sample_columns(genotypes).assign(ALLELE_CT=2 * (chosen.n_variants - sums.missing[:, 0]))
    turned = int((flipped.frame["alt"].to_numpy() != model.frame["alt"].to_numpy()).sum())
    notes = [f"{chosen.n_variants} variants of {loadings}, {turned} with REF and ALT the other way round"]
    return Outcome([Table("sscore", pd.concat([frame, placed], axis=1))], notes)


def read_model(prefix: Path) -> Pca:
    """Read the components saved under ``prefix``.

    Raises
    ------
    InputError
        A file is missing, damaged, or does not fit the others.
    """
    weights_path, counts_path, values_path = (
        prefix.with_name(f"{prefix.name}.{end}") for end in ("eigenvec.allele", "acount", "eigenval")
    )
    weights = _read(weights_path, ["#CHROM", "ID", "REF", "ALT", "A1", "PC1"])
    counts = _read(counts_path, ["#CHROM", "ID", "REF", "ALT", "ALT_CTS", "OBS_CT"])
    values = _numbers(_read(values_path, [], header=None), values_path)[:, 0]
    names = [name for name in weights.columns if name.startswith("PC")]
    reference, weights = weights[weights["A1"] == weights["REF"]], weights[weights["A1"] == weights["ALT"]]
    if weights["ID"].duplicated().any() or counts["ID"].duplicated().any():
        raise InputError("a variant is listed twice", where=weights_path, fix="make the components again")
    key = ["#CHROM", "ID", "REF", "ALT"]
    # each variant in all three places: the files carry no length, so this is how a shortened one is known
    whole = all(
        rows[key].to_numpy().tolist() == weights[key].to_numpy().tolist() for rows in (reference, counts)
    )
    if len(values) != len(names) or not whole or weights.empty:
        raise InputError(
            "does not fit the files beside it",
            where=weights_path,
            found=f"{len(names)} components, {len(reference)} + {len(weights)} weights of {len(counts)} variants",
            expected=f"{len(values)} components as in .eigenval, and both alleles of each variant of .acount",
            fix="make the components again, with PLINK 2 from variants filtered beforehand",
        )
    per_allele = _numbers(weights[names], weights_path)
    if not np.allclose(per_allele, -_numbers(reference[names], weights_path), rtol=1e-4, atol=1e-4):
        raise _damaged(weights_path)
    alt, observed = _numbers(counts[["ALT_CTS", "OBS_CT"]], counts_path).T
    mean = 2.0 * alt / np.maximum(observed, 1.0)
    scale = np.sqrt(np.maximum(mean * (1.0 - mean / 2.0), 0.0))
    if not (scale > 0).all() or not (values > 0).all():
        raise InputError(
            "holds a variant that does not vary or a component without variance",
            where=counts_path,
            fix="make the components again",
        )
    m = len(weights)
    variants = weights[["#CHROM", "ID", "REF", "ALT"]].set_axis(["chrom", "id", "ref", "alt"], axis=1)
    variants = variants.mask(variants == ".", "0")
    return Pca(
        scores=pd.DataFrame(columns=names, dtype=np.float64),
        eigenvalues=values,
        loadings=per_allele / np.linalg.norm(per_allele, axis=0),
        variants=np.arange(m, dtype=np.int64),
        called=np.rint(observed / 2).astype(np.int64),
        mean=mean,
        scale=scale,
        fitted=np.zeros(0, dtype=np.bool_),
        residual=float("nan"),
        total_variance=float("nan"),
        frame=variants.reset_index(drop=True),
    )


def _align(genotypes: Genotypes, model: Pca, loadings: Path) -> tuple[Genotypes, Pca]:
    """The model's variants among ``genotypes``, in its order, and the model turned to their ALT alleles."""
    here = genotypes.variants
    repeated = here["id"].duplicated(keep=False)
    index = pd.Series(here.index[~repeated], index=here["id"][~repeated])
    rows = index.reindex(model.frame["id"])
    if rows.isna().any():
        raise DesignError(
            "the genotypes lack variants of the components",
            where=loadings,
            found=f"{int(rows.notna().sum())} of its {len(rows)} variants, by ID and once each",
            expected="all of them",
            fix="make the components of variants that both sets have: careome pca --extract",
        )
    chosen = genotypes.select(variants=rows.to_numpy().astype(np.int64))
    ref, alt = (chosen.variants[c].to_numpy() for c in ("ref", "alt"))
    model_ref, model_alt = (model.frame[c].to_numpy() for c in ("ref", "alt"))
    turned = (ref == model_alt) & (alt == model_ref)
    other = ~turned & ((ref != model_ref) | (alt != model_alt))
    if other.any():
        raise DesignError(
            "the genotypes have other alleles than the components",
            where=loadings,
            found=f"{int(other.sum())} variants with other alleles",
            expected="the same two alleles, either way round",
            fix="bring both to the same strand, or leave those variants out of both",
        )
    aligned: dict[str, Any] = {
        "scores": model.scores,
        "eigenvalues": model.eigenvalues,
        "loadings": np.where(turned[:, None], -model.loadings, model.loadings),
        "mean": np.where(turned, 2.0 - model.mean, model.mean),
        "frame": chosen.variants[["chrom", "id", "ref", "alt"]],
    }
    return chosen, replace(model, **aligned)


def _read(path: Path, needed: list[str], header: int | None = 0) -> pd.DataFrame:
    try:
        frame = pd.read_csv(path, sep="\t", header=header, dtype=str, keep_default_na=False)
    except OSError as error:
        raise InputError(
            "cannot be read", where=path, found=error.strerror, fix="give the --out of careome pca"
        ) from error
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise InputError("is damaged", where=path, fix="make the components again") from error
    lacking = [name for name in needed if name not in frame.columns]
    if lacking:
        raise InputError(
            "lacks columns", where=path, expected=", ".join(lacking), fix="give the --out of careome pca"
        )
    return frame


def _numbers(frame: pd.DataFrame, path: Path) -> F64:
    try:
        numbers: F64 = frame.to_numpy().astype(np.float64)
    except ValueError as error:
        raise _damaged(path) from error
    if not np.isfinite(numbers).all():
        raise _damaged(path)
    return numbers


def _damaged(path: Path) -> CareomeError:
    return InputError("does not hold the numbers it should", where=path, fix="make the components again")
