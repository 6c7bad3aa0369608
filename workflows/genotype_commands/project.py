"""``careome project``: new samples on the components that ``careome pca`` saved.

OUT.sscore holds their scores; with ``--labels``, OUT.ancestry the reference group each is most similar to.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from cohorts.errors import CareomeError, DesignError, InputError, unreadable
from gwas.components import Pca, project
from gwas.counts import sample_sums
from gwas.genotypes import Genotypes
from gwas.online_projection import Projection
from workflows.genotype_commands.ancestry_table import ancestry_table, reference_scores
from workflows.genotype_commands.outcome import Outcome, Table, sample_columns

F64 = npt.NDArray[np.float64]
LEAST_SHARED: Final = 0.5
"""Share of the components' variants that the new samples must have; the others count as missing."""

SAME_PERSON: Final = 0.05
"""Standard deviations between somebody's fitted score and the weighted sum of the same genotypes."""


def tables(
    genotypes: Genotypes,
    *,
    threads: int,
    loadings: Path,
    method: Projection = "oadp",
    labels: Path | None = None,
    label_column: str | None = None,
    threshold: float = 0.8,
    far: float = 1e-3,
) -> Outcome:
    """Place samples on saved components without shrinkage, on the scale of the .eigenvec file.

    ``loadings`` is the prefix of ``.eigenvec.allele``, ``.eigenval`` and ``.acount``: from ``careome pca`` or
    PLINK 2's ``--freq counts --pca allele-wts``. With ``labels`` of the people of its ``.eigenvec``, each sample
    is also set beside their groups: OUT.ancestry.

    Online augmentation is for people whom the components were not made of; it takes one of those for somebody
    farther out than they are. A sample with the IID and the genotypes of somebody in the ``.eigenvec`` keeps the
    score that is there.
    """
    model = read_model(loadings)
    chosen, flipped, turned = _align(genotypes, model, loadings)
    placed = project(flipped, chosen, method=method, threads=threads).reset_index(drop=True)
    everywhere = np.zeros(chosen.n_variants, dtype=np.int64)
    sums = sample_sums(chosen, group=everywhere, frequency=np.zeros(chosen.n_variants))
    frame = sample_columns(genotypes).assign(ALLELE_CT=2 * (chosen.n_variants - sums.missing[:, 0]))
    notes = [
        f"{chosen.n_variants} of {len(model.frame)} variants of {loadings}, {turned} with REF and ALT the other"
        f" way round; method {method}"
    ]
    if method == "oadp":
        notes += _keep_fitted(placed, chosen, flipped, loadings, threads=threads)
    too_few = int(placed.isna().any(axis=1).sum())
    if too_few:
        notes.append(f"{too_few} samples with too few calls to be placed")
    files = [Table("sscore", pd.concat([frame, placed], axis=1))]
    if labels is not None:
        assigned, told = ancestry_table(
            loadings, labels, placed, column=label_column, threshold=threshold, far=far
        )
        files.append(Table("ancestry", pd.concat([sample_columns(genotypes), assigned], axis=1)))
        notes += told
    return Outcome(files, notes)


def _keep_fitted(
    placed: pd.DataFrame, genotypes: Genotypes, model: Pca, loadings: Path, *, threads: int
) -> list[str]:
    """Put the fitted scores of the reference's own people into ``placed``; say how many they are.

    The weighted sum of somebody in the fit is the fitted score; that of a namesake is not.
    """
    if not loadings.with_name(f"{loadings.name}.eigenvec").exists():
        return []
    fitted = reference_scores(loadings, list(placed.columns))
    iid = genotypes.samples["iid"]
    rows = np.flatnonzero(iid.isin(fitted.index[~fitted.index.duplicated(keep=False)]))
    if not len(rows):
        return []
    theirs = fitted.loc[iid.iloc[rows]].to_numpy()
    summed = project(model, genotypes.select(samples=rows), method="plain", threads=threads).to_numpy()
    own = (np.abs(summed - theirs) <= SAME_PERSON * fitted.to_numpy().std(axis=0)).all(axis=1)
    placed.iloc[rows[own]] = theirs[own]
    notes = [f"{int(own.sum())} samples are of the people the components were made of: their fitted scores"]
    if not own.all():
        notes.append(
            f"{int((~own).sum())} samples have the IID of one of those people and not the genotypes: placed anew"
        )
    return notes


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


def _align(genotypes: Genotypes, model: Pca, loadings: Path) -> tuple[Genotypes, Pca, int]:
    """The model's variants that ``genotypes`` has, the model cut and turned to them, and how many were turned."""
    ids = genotypes.variants["id"]
    once = ~ids.duplicated(keep=False)
    index = pd.Series(ids.index[once], index=ids[once])
    rows = index.reindex(model.frame["id"])
    here = rows.notna().to_numpy()
    if here.sum() < LEAST_SHARED * len(rows):
        raise DesignError(
            "the genotypes lack too many variants of the components",
            where=loadings,
            found=f"{int(here.sum())} of its {len(rows)} variants, by ID and once each",
            expected=f"at least {LEAST_SHARED:.0%}",
            fix="make the components of variants that both sets have: careome pca --extract",
        )
    chosen = genotypes.select(variants=rows[here].to_numpy().astype(np.int64))
    ref, alt = (chosen.variants[c].to_numpy() for c in ("ref", "alt"))
    model_ref, model_alt = (model.frame[c].to_numpy()[here] for c in ("ref", "alt"))
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
        "loadings": np.where(turned[:, None], -model.loadings[here], model.loadings[here]),
        "mean": np.where(turned, 2.0 - model.mean[here], model.mean[here]),
        "scale": model.scale[here],
        "frame": chosen.variants[["chrom", "id", "ref", "alt"]],
    }
    return chosen, replace(model, **aligned), int(turned.sum())


def _read(path: Path, needed: list[str], header: int | None = 0) -> pd.DataFrame:
    try:
        frame = pd.read_csv(path, sep="\t", header=header, dtype=str, keep_default_na=False)
    except OSError as error:
        raise unreadable(path, error, fix="give the --out of careome pca") from error
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
