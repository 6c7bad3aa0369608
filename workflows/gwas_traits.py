"""Phenotype and covariate files of one association run, and what is made of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cohorts.errors import DesignError, InputError
from gwas.design import Design, make_design
from gwas.genotypes import Genotypes
from gwas.person_table import PersonTable
from gwas.rank_normal import rank_normal_design
from workflows.gwas_options import ModelOptions, TraitOptions
from workflows.gwas_tables import read_person_table

if TYPE_CHECKING:
    import pandas as pd


def read_design(
    genotypes: Genotypes,
    pheno: Path,
    covar: Path | None,
    *,
    pheno_name: Sequence[str] | None = None,
    covar_name: Sequence[str] | None = None,
    conditions: pd.DataFrame | None = None,
    options: TraitOptions,
) -> Design:
    """Read both files, put variants to condition on beside the covariates, and align all to the genotypes.

    Parameters
    ----------
    genotypes
        Their samples are the design's.
    pheno, covar
        Files as :func:`workflows.gwas_tables.read_person_table` reads them; they may be one file.
    pheno_name, covar_name
        Columns to use, with ranges; None for all (of a shared file: all that are not the other's).
    conditions
        From :func:`gwas.conditioning.condition_on`.
    options
        See :class:`workflows.gwas_options.TraitOptions`.

    Raises
    ------
    InputError
        A file cannot be read or a column is not there.
    DesignError
        No trait can be analysed, or a coding is ambiguous.
    """
    named = None if covar_name is None else [*covar_name, *options.categories]
    if covar is None and (covar_name or options.categories):
        raise InputError(
            "covariates are named but no covariate file", where="--covar-name", fix="give --covar"
        )
    phenotypes = read_person_table(pheno, genotypes, columns=pheno_name)
    covariates = None
    if covar is not None:
        covariates = read_person_table(covar, genotypes, columns=named)
        if covar.resolve() == pheno.resolve():
            if covar_name is None and pheno_name is not None:
                covariates = covariates.without(phenotypes.columns)
            elif pheno_name is None and covar_name is not None:
                phenotypes = phenotypes.without(covariates.columns)
        covariates = _with_categories(covariates, options.categories, covar)
    text = [name for name in phenotypes.columns if phenotypes.is_text(name)]
    if text:
        raise InputError(
            "a phenotype is not a number",
            where=pheno,
            found=f"text in column {', '.join(text)}",
            expected="numbers, NA where missing",
            fix="write it as numbers (0 and 1 for cases and controls), or choose others with --pheno-name",
        )
    if conditions is not None:
        conditioned = PersonTable.of(conditions, "condition")
        covariates = conditioned if covariates is None else _beside(covariates, conditioned)
    if options.complete:
        known = [~np.isnan(values) for values in phenotypes.columns.values()]
        phenotypes = phenotypes.of_rows(np.logical_and.reduce(known))
    kinds = {} if options.kind is None else dict.fromkeys(phenotypes.columns, options.kind)
    samples = genotypes.sample_text("iid").strings()
    design = make_design(samples, phenotypes, covariates, kinds=kinds, unusable="skip")
    if options.zero_one:
        _refuse_one_two(design)
    return design if options.rank_normal is None else rank_normal_design(design, options.rank_normal)


def describe_design(design: Design) -> list[str]:
    """Lines for the log: covariates, and of each trait who is analysed and how its values were read."""
    lines = [f"covariates: {', '.join(design.covariate_names) or 'none'} (and an intercept)"]
    uncovered = np.isnan(design.covariates).any(axis=1)
    for trait, people in zip(design.traits, design.people(), strict=True):
        text = f"{trait.name}: {trait.kind}, {people.n} people"
        without = np.isnan(trait.values)
        if lost := int((without | uncovered).sum()):
            text += f" of {len(without)} ({int(without.sum())} without a value"
            text += f", {lost - int(without.sum())} more without a covariate)"
        if trait.kind == "binary":
            text += f", {people.cases} cases and {people.controls} controls ({trait.coding})"
        elif trait.coding != "as given":
            text += f", {trait.coding}"
        lines.append(text)
    return lines + [f"{name}: skipped, {reason}" for name, reason in design.skipped.items()]


def interactions_of(design: Design, model: ModelOptions, *, standardise: bool) -> tuple[ModelOptions, Design]:
    """Name the covariates of interactions as the design does, and bring covariates to one scale if asked.

    A covariate of categories stands for all its indicators. Standardised are those that are numbers, among everyone
    who has them, as by PLINK 2's ``--covar-variance-standardize``.

    Raises
    ------
    InputError
        A covariate is not there.
    """
    names = design.covariate_names
    found: list[str] = []
    for wanted in model.interactions or names:
        levels = [name for name in names if name == wanted or name.startswith(f"{wanted}=")]
        if not levels:
            raise InputError(
                "no such covariate to take an interaction with",
                where="--interaction",
                found=wanted,
                expected=", ".join(names) or "a covariate",
                fix="name it with --covar-name too",
            )
        found += levels
    if not found:
        raise InputError(
            "there is no covariate to take an interaction with", where="--interaction", fix="give --covar"
        )
    if standardise:
        columns = design.covariates.copy()
        for at, name in enumerate(names):
            known = ~np.isnan(columns[:, at])
            if "=" not in name:
                columns[known, at] -= columns[known, at].mean()
                columns[known, at] /= columns[known, at].std(ddof=1)
        design = replace(design, covariates=columns)
    return replace(model, interactions=tuple(dict.fromkeys(found))), design


def _with_categories(table: PersonTable, names: Sequence[str], where: Path) -> PersonTable:
    absent = [name for name in names if name not in table.columns]
    if absent:
        raise InputError("no such covariate", where=where, found=", ".join(absent), fix="check the name")
    columns = dict(table.columns)
    for name in names:
        if not table.is_text(name):
            values = table[name].tolist()
            columns[name] = np.array([None if v != v else f"{v:g}" for v in values], dtype=object)
    return PersonTable(table.ids, columns)


def _beside(covariates: PersonTable, conditions: PersonTable) -> PersonTable:
    shared = [name for name in conditions.columns if name in covariates.columns]
    if shared:
        raise InputError(
            "a variant to condition on has the name of a covariate", where=shared[0], fix="rename one"
        )
    return covariates.beside(conditions)


def _refuse_one_two(design: Design) -> None:
    for trait in design.traits:
        if trait.kind == "binary" and trait.coding.startswith("1 = control"):
            raise DesignError(
                "declared to be coded 0 and 1, but is not",
                where=trait.name,
                found="values 1, 2",
                expected="0 = control, 1 = case",
                fix="leave --1 out, or recode the trait",
            )
