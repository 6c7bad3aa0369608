"""Putting people's values beside their genotypes and testing them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pandas as pd

from cohorts.eligibility import Population
from cohorts.hub import Hub
from gwas.association import associate_blocks
from gwas.components import Pca
from gwas.design import Design, make_design
from gwas.engines.local import LocalEngine
from gwas.engines.protocol import Engine
from gwas.trait_results import TraitResults
from phenotypes.derivation import Derived
from workflows.exposures import exposure_column
from workflows.folder import RunFolder
from workflows.genome_study import GenomeStudy
from workflows.genotyped import Genotyped
from workflows.outputs import private_folder
from workflows.study import Study

BLOCK = 1024


def analysis_table(study: Study, hub: Hub, people: Population, derived: Derived) -> pd.DataFrame:
    """One row a person of the population, index person_id.

    Columns: ``age`` (years at the index date), ``sex`` (1 male, 0 female, NaN not known), every phenotype
    (1 case, 0 control, NaN otherwise), every trait's columns and every exposure.
    """
    persons = people.persons.set_index("person_id")
    table = derived.wide.set_index("person_id").reindex(persons.index)
    table.insert(0, "age", persons["age"].astype(float))
    table.insert(1, "sex", persons["sex"].map({"M": 1.0, "F": 0.0}).astype(float))
    for name, spec in study.exposures.items():
        table[name] = exposure_column(
            spec, hub, people.persons, derived.survival, index_date=study.study.index_date
        )
    return table


def traits_by_sample(study: GenomeStudy, table: pd.DataFrame, samples: Genotyped) -> pd.DataFrame:
    """The analysed traits of genotyped people, index iid."""
    values = table.loc[samples.person_id, study.association.traits]
    return values.set_index(samples.person_id.index)


def association_design(
    study: GenomeStudy, table: pd.DataFrame, samples: Genotyped, components: Pca | None
) -> Design:
    """Traits and covariates of genotyped people, ready for :func:`gwas.associate_blocks`.

    A trait that cannot be analysed (nobody has it, say) is left out with its reason in ``skipped``.
    """
    covariates = table.loc[samples.person_id, study.association.covariates]
    covariates = covariates.set_index(samples.person_id.index)
    if components is not None:
        covariates = covariates.join(components.scores)
    varying = [name for name in covariates if covariates[name].nunique() > 1]
    return make_design(
        list(samples.person_id.index),
        traits_by_sample(study, table, samples),
        covariates[varying],
        kinds={
            name: "binary" if name in study.phenotypes else "quantitative"
            for name in study.association.traits
        },
        unusable="skip",
    )


def test_phenome(
    study: GenomeStudy,
    discovery: Genotyped,
    design: Design,
    folder: RunFolder,
    advance: Callable[[int], None],
) -> dict[str, TraitResults]:
    """Test all traits in one pass of the genotypes, block by block, resuming what was done before.

    Returns
    -------
    dict
        Trait to its results in file order.
    """
    parts = folder.parts("association", fingerprint(study, discovery, design))
    total = -(-discovery.genotypes.n_variants // BLOCK)
    done = 0
    while done < total and parts.has(done):
        done += 1
    with engine_for(study, folder) as engine:
        for frame in associate_blocks(
            discovery.genotypes,
            design,
            missing=study.association.missing_genotypes,
            logistic="score-spa-firth",
            block_size=BLOCK,
            start_block=done,
            engine=engine,
        ):
            parts.write(done, frame)
            done += 1
            advance(1)
    table = parts.read(range(total))
    rows = dict(iter(table.groupby("TRAIT", sort=False)))
    return {
        trait.name: TraitResults(
            trait.name, trait.kind, rows[trait.name].drop(columns="TRAIT").reset_index(drop=True)
        )
        for trait in design.traits
    }


@contextmanager
def engine_for(study: GenomeStudy, folder: RunFolder) -> Iterator[Engine]:
    """The engine that the study asks for; a cluster is left again at the end."""
    if study.association.engine == "local":
        yield LocalEngine()
        return
    from gwas.engines.hail_engine import HailEngine

    scratch = folder.scratch / "spark"
    private_folder(scratch)
    with HailEngine(master=study.association.spark_master, scratch=scratch) as engine:
        yield engine


def fingerprint(study: GenomeStudy, samples: Genotyped, design: Design) -> str:
    """SHA-256 of all that the results of :func:`test_phenome` depend on."""
    digest = hashlib.sha256(study.association.model_dump_json().encode())
    digest.update("\0".join(design.samples).encode())
    digest.update("\0".join(samples.genotypes.variants["id"].astype(str)).encode())
    for trait in design.traits:
        digest.update(trait.name.encode())
        digest.update(np.ascontiguousarray(trait.values).tobytes())
    digest.update(np.ascontiguousarray(design.covariates).tobytes())
    return digest.hexdigest()
