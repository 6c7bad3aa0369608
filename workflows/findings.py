"""All that a run found, passed whole to what writes results and reports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from cohorts.eligibility import Population
from gwas.components import Pca
from gwas.design import Design
from gwas.quality import QcResult
from gwas.trait_results import TraitResults
from phenotypes.codelist import CodeList
from phenotypes.derivation import Derived
from workflows.frequency import Frequency
from workflows.genome_study import GenomeStudy
from workflows.genotyped import Genotyped
from workflows.polygenic_scores import PolygenicScores
from workflows.prediction import Prediction
from workflows.records import LinkedRecords
from workflows.study import Study


@dataclass(frozen=True, eq=False)
class RecordsFindings:
    """What the records say.

    Attributes
    ----------
    linked
        The pseudonymous hub, open until the run ends, and how it came about.
    table
        Index person_id: age, sex (1 male), and every phenotype, trait and exposure as a number.
    frequency
        How common and how often new each phenotype is; released.
    """

    study: Study
    linked: LinkedRecords
    people: Population
    codelists: Mapping[str, CodeList]
    derived: Derived
    table: pd.DataFrame
    frequency: Frequency


@dataclass(frozen=True, eq=False)
class GenomeFindings:
    """What genotypes say of people whose records are known.

    Attributes
    ----------
    joined, kept
        Samples of people in the study, before and after quality control.
    unrelated
        bool (kept samples,): a maximal set without relatives of second degree and closer.
    part
        object (kept samples,): discovery, target or validation.
    design
        Phenotypes and covariates of the discovery people.
    stats
        Trait to its results.
    """

    study: GenomeStudy
    records: RecordsFindings
    joined: Genotyped
    quality: QcResult
    kept: Genotyped
    unrelated: npt.NDArray[np.bool_]
    components: Pca
    part: npt.NDArray[np.object_]
    design: Design
    stats: Mapping[str, TraitResults]
    scores: PolygenicScores
    predictions: tuple[Prediction, ...]


@dataclass(frozen=True, eq=False)
class Findings:
    """What a run found: `genome` is None in a study of records alone."""

    records: RecordsFindings
    genome: GenomeFindings | None


@dataclass(frozen=True)
class Receipt:
    """What is needed to make the same numbers again.

    Attributes
    ----------
    run_id
        First digits of the run's fingerprint.
    inputs
        Place in the study file to path and SHA-256.
    """

    run_id: str
    version: str
    finished: str
    study_sha256: str
    inputs: Mapping[str, tuple[Path, str]]
