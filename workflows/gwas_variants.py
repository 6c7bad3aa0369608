"""Which variants a model can test, and on what chromosome they count as being."""

from __future__ import annotations

from cohorts.errors import InputError
from gwas.genotypes import Genotypes
from gwas.genotypes.chromosomes import is_pseudo_autosomal, ploidy_class
from workflows.gwas_options import ModelOptions


def variants_of_model(genotypes: Genotypes, model: ModelOptions) -> tuple[Genotypes, list[str]]:
    """Tell pseudo-autosomal variants from the rest of X, and leave out what the model has no answer for.

    Returns
    -------
    (genotypes, lines)
        What is left, and what to tell of it.

    Raises
    ------
    InputError
        No variant is left.
    """
    lines = []
    if model.build is not None:
        inside = is_pseudo_autosomal(
            genotypes.variants["chrom"], genotypes.variants["pos"], build=model.build
        )
        if inside.any():
            variants = genotypes.variants.copy()
            variants.loc[inside, "chrom"] = "XY"
            genotypes = Genotypes(
                genotypes.reader,
                genotypes.samples,
                variants,
                genotypes.sample_index,
                genotypes.variant_index,
                genotypes.values,
            )
        lines.append(f"{int(inside.sum())} variants on X are pseudo-autosomal ({model.build})")
    kinds = ploidy_class(genotypes.variant_text("chrom"))
    if model.coding != "additive":
        kept, why = kinds == "diploid", f"X, Y and MT have no {model.coding} coding"
    elif model.interactions is not None:
        kept, why = kinds == "diploid", "X, Y and MT have no interactions"
    else:
        kept, why = (kinds != "x") | (model.x_model != 0), "--xchr-model 0 leaves X out"
    if not kept.all():
        lines.append(f"{why}: {int((~kept).sum())} variants removed, {int(kept.sum())} remain")
        if not kept.any():
            raise InputError("no variant is left", where=why, fix="choose other variants or another model")
        genotypes = genotypes.select(variants=kept)
    return genotypes, lines
