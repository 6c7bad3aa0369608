"""A study from beginning to end: :func:`run_study` is the whole of it, in reading order."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd

from cohorts.eligibility import population
from gwas.components import pca
from gwas.genotypes.chromosomes import PSEUDO_AUTOSOMAL
from gwas.pedigree import families, split_families
from gwas.quality import QcPlan, qc
from gwas.reference_comparison import read_reference
from phenotypes.codelist import CodeList
from workflows import results
from workflows.analysis import analysis_table, association_design, test_phenome, traits_by_sample
from workflows.answers import KeptAnswers, kept_answers
from workflows.cohort_content import cohort_content
from workflows.crate import run_crate
from workflows.deriving import derive_declared
from workflows.findings import Findings, GenomeFindings, Receipt, RecordsFindings
from workflows.folder import RunFolder, open_run_folder
from workflows.frequency import frequencies
from workflows.genome_study import GenomeStudy
from workflows.genotyped import join_genotypes, one_sample_each, sampled_after
from workflows.hub_plan import canonical_text
from workflows.installation import version
from workflows.keys import read_project_key
from workflows.outputs import sha256_of, write_json, write_text
from workflows.patient_contents import patient_contents
from workflows.polygenic_scores import derive_weights, score_people
from workflows.prediction import people_at_risk, predict_outcome
from workflows.progress import Progress
from workflows.records import linked_hub, server_states
from workflows.reports.cohort import build_cohort_report
from workflows.reports.counts import Disclosure
from workflows.reports.patient import build_patient_report
from workflows.study import Study
from workflows.study_file import check_inputs

STEPS, GENOME_STEPS = 13, 5
# Components beyond the real structure are all but equal: asking for more only turns them among themselves.
COMPONENT_TOLERANCE = 1e-2


@dataclass(frozen=True, eq=False)
class RunResult:
    """What a run found, where it lies, and a few lines to print."""

    folder: Path
    findings: Findings
    summary: tuple[str, ...]


def run_study(study: Study, out: Path, *, progress: Progress | None = None) -> RunResult:
    """Run a study from extracts, and genotypes where it has some, to its reports.

    Parameters
    ----------
    study
        A checked study, from :func:`workflows.study_file.read_study`.
    out
        The run folder; an unfinished run of the same study on the same inputs goes on in it.
    progress
        Where to show the steps; by default standard error.

    Returns
    -------
    RunResult

    Raises
    ------
    CareomeError
        With one line that says where, what was found, what was expected and what to do.
    """
    key = read_project_key(study.privacy.key)
    inputs = {name: sha256_of(path) for name, path in check_inputs(study).items()}
    served = server_states(study)
    inputs |= served
    text = canonical_text(study)
    with (
        kept_answers(study, out=out) as answers,
        open_run_folder(out, study=text, inputs=inputs, version=version()) as folder,
        progress or Progress(total_steps=steps(study)) as progress,
    ):
        records = run_records(study, folder, progress, key=key, inputs=inputs, answers=answers)
        genome = run_genome(study, records, folder, progress) if isinstance(study, GenomeStudy) else None
        findings = Findings(records, genome)

        with progress.step("Writing results"):
            results.write(findings, folder)

        with progress.step("Writing reports"):
            receipt = Receipt(
                run_id=folder.fingerprint[:12],
                version=version(),
                finished=datetime.now(UTC).isoformat(timespec="seconds"),
                study_sha256=hashlib.sha256(text.encode()).hexdigest(),
                inputs={name: (path, inputs[name]) for name, path in study.input_files().items()}
                | {name: (Path(name.rpartition(".")[2]), state) for name, state in served.items()},
            )
            write_text(folder.reports / "cohort.html", build_cohort_report(cohort_content(findings, receipt)))
            folder.audit.record("report written", report="cohort")
            patients = () if genome is None else patient_contents(genome, receipt)
            for content in patients:
                folder.audit.record("report written", report="patient", pseudonym=content.pseudonym)
                write_text(
                    folder.reports / "patients" / f"{content.pseudonym}.html", build_patient_report(content)
                )
        records.linked.hub.close()
        finish(study, folder, inputs, receipt)
        return RunResult(out, findings, results.summary(findings, folder))


def steps(study: Study) -> int:
    """How many steps a run of the study shows."""
    return STEPS if isinstance(study, GenomeStudy) else STEPS - GENOME_STEPS


def run_records(
    study: Study,
    folder: RunFolder,
    progress: Progress,
    *,
    key: bytes,
    inputs: dict[str, str],
    answers: KeptAnswers | None,
) -> RecordsFindings:
    """The records' half: from extracts to people under pseudonyms, and what the study derives of them."""
    linked = linked_hub(
        study,
        folder.scratch,
        key=key,
        run=folder.fingerprint[:12],
        record=folder.audit.record,
        progress=progress,
    )

    with progress.step("Choosing the population"):
        rule = study.population
        people = population(
            linked.hub, on=study.study.index_date, age=rule.age, registered_days=rule.registered_days
        )

    with progress.step("Deriving phenotypes, traits and outcomes"):
        codelists = {name: CodeList.read(path, name) for name, path in study.codelists.items()}
        derived = derive_declared(
            study,
            linked.hub,
            people.persons,
            codelists,
            folder=folder,
            progress=progress,
            inputs=inputs,
            key=key,
            answers=answers,
        )
        table = analysis_table(study, linked.hub, people, derived)

    with progress.step("Counting how common and how often new"):
        common = frequencies(study, linked.hub, people.persons, derived, Disclosure())

    return RecordsFindings(
        study=study,
        linked=linked,
        people=people,
        codelists=codelists,
        derived=derived,
        table=table,
        frequency=common,
    )


def run_genome(
    study: GenomeStudy, records: RecordsFindings, folder: RunFolder, progress: Progress
) -> GenomeFindings:
    """The genome's half: from samples of people in the study to associations, scores and risk."""
    hub, persons, table = records.linked.hub, records.people.persons, records.table
    with progress.step("Joining genotypes, quality control"):
        genotypes = study.genotypes.source().open()
        taken = "dosages" if genotypes.values == "dosage" else "hard calls"
        progress.note(f"genotypes: {taken} are used; {genotypes.reader.coding}")
        joined = join_genotypes(hub, persons, genotypes)
        on_record = joined.person_id.map(persons.set_index("person_id")["sex"])
        traits = traits_by_sample(study, table, joined)
        quality = qc(
            joined.genotypes,
            plan=qc_plan(study),
            expected_sex=on_record,
            controls=without_disease(study, traits),
            cases=diseases(study, traits),
            reference=frequency_reference(study),
            rng=generator(study, "quality control"),
        )
        quality = one_sample_each(quality, joined.person_id)
        kept = joined.select(quality.samples, quality.variants)
        unrelated = np.isin(quality.samples, quality.unrelated)

    with progress.step("Principal components"):
        components = pca(
            kept.genotypes,
            components=study.association.components,
            fit_on=unrelated,
            build=tabled_build(study),
            tolerance=COMPONENT_TOLERANCE,
            rng=generator(study, "components"),
        )

    with progress.step("Testing every trait against every variant") as advance:
        related = families(list(kept.person_id.index), quality.kinship)
        part = split_families(related, fractions=study.split.model_dump(), rng=generator(study, "split"))
        discovery = kept.select(np.flatnonzero((part == "discovery") & unrelated))
        design = association_design(study, table, discovery, components)
        stats = test_phenome(study, discovery, design, folder, advance)

    with progress.step("Polygenic weights and scores"):
        weights, without = derive_weights(study, stats, discovery)
        without |= design.skipped
        untouched = np.flatnonzero(part != "discovery")
        others = kept.select(untouched)
        covariates = association_design(study, table, others, None)
        scores = score_people(
            study,
            weights,
            without,
            discovery=discovery,
            others=others,
            part=part[untouched],
            outcomes=traits_by_sample(study, table, others),
            covariates=pd.DataFrame(covariates.covariates, columns=list(covariates.covariate_names)),
            components=components.scores.iloc[untouched],
            eigenvalues=components.eigenvalues,
            rng=generator(study, "scores"),
        )

    with progress.step("Absolute risk"):
        later = sampled_after(hub, study.study.index_date)
        at_risk = people_at_risk(table, joined, others, part[untouched], sampled_later=later)
        predictions = [
            predict_outcome(
                study,
                spec,
                survival=records.derived.survival,
                table=at_risk,
                score=scores.traits[spec.score_for],
                discovery=frozenset(kept.person_id[part == "discovery"]),
                rng=generator(study, f"risk {number}"),
            )
            for number, spec in enumerate(study.risk)
        ]

    return GenomeFindings(
        study=study,
        records=records,
        joined=joined,
        quality=quality,
        kept=kept,
        unrelated=unrelated,
        components=components,
        part=part,
        design=design,
        stats=stats,
        scores=scores,
        predictions=tuple(predictions),
    )


def qc_plan(study: GenomeStudy) -> QcPlan:
    """Thresholds of the study file as the plan of :func:`gwas.quality.qc`."""
    declared = study.qc
    return QcPlan(
        gross_variant_call_rate=declared.gross_variant_call_rate,
        duplicate_variants=declared.duplicate_variants,
        sample_call_rate=declared.sample_call_rate,
        sex=declared.sex_check,
        female_below=declared.female_below,
        male_above=declared.male_above,
        male_y_call_rate=declared.male_y_call_rate,
        het_sd=declared.heterozygosity_sd,
        ancestry_sd=declared.ancestry_sd,
        remove_ancestry_outliers=declared.remove_ancestry_outliers,
        duplicate_kinship=declared.duplicate_kinship,
        related_kinship=declared.related_kinship,
        remove_related_above=declared.remove_related_above,
        info=declared.imputation_quality,
        variant_call_rate=declared.variant_call_rate,
        differential_missing_p=declared.differential_missingness_p,
        maf=declared.minor_allele_frequency,
        mac=declared.minor_allele_count,
        hwe_p=declared.hwe_p,
        male_x_het=declared.male_x_heterozygosity,
        mendel_rate=declared.mendel_rate,
        mendel_trio_rate=declared.mendel_trio_rate,
        reference_difference=declared.reference_difference,
        titv=declared.titv,
        build=tabled_build(study),
    )


def frequency_reference(study: GenomeStudy) -> pd.DataFrame | None:
    """The frequencies that the study compares its own with, where it names a file of them."""
    declared = study.qc
    if declared.reference is None:
        return None
    return read_reference(declared.reference, frequency_column=declared.reference_column)


def tabled_build(study: GenomeStudy) -> str | None:
    """The genome build, where its pseudo-autosomal and long-range LD regions are known; else None."""
    return study.genotypes.build if study.genotypes.build in PSEUDO_AUTOSOMAL else None


def diseases(study: GenomeStudy, traits: pd.DataFrame) -> pd.DataFrame:
    """The analysed diseases among the traits: 1 case, 0 control, else NaN."""
    return traits[[name for name in study.association.traits if name in study.phenotypes]]


def without_disease(study: GenomeStudy, traits: pd.DataFrame) -> np.ndarray:
    """Bool (samples,): people who are a case of no analysed disease."""
    return ~(diseases(study, traits) == 1).any(axis=1).to_numpy()


def generator(study: Study, purpose: str) -> np.random.Generator:
    """Random numbers for one purpose: the same whatever the other steps draw."""
    digest = hashlib.sha256(purpose.encode()).digest()
    return np.random.default_rng([study.study.seed, int.from_bytes(digest[:8], "big")])


def finish(study: Study, folder: RunFolder, inputs: dict[str, str], receipt: Receipt) -> None:
    """Describe the folder as a crate and seal it with the manifest."""
    files = sorted(
        path.relative_to(folder.path).as_posix()
        for place in (folder.results, folder.reports)
        for path in place.rglob("*")
        if path.is_file()
    )
    crate = run_crate(
        title=study.study.title,
        summary=study.study.summary,
        purpose=study.data_use.purpose,
        version=receipt.version,
        finished=receipt.finished,
        files=files,
    )
    write_json(folder.path / "ro-crate-metadata.json", crate)
    folder.finish(
        inputs=inputs,
        facts={
            "study": study.study.name,
            "study_sha256": receipt.study_sha256,
            "version": receipt.version,
            "seed": study.study.seed,
            "finished": receipt.finished,
        },
    )
