"""The tables a run leaves for further analysis. People appear under their pseudonyms only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from cohorts.linkage import Links
from phenotypes.derivation import Derived
from phenotypes.status import STATUSES
from workflows.findings import Findings, GenomeFindings, RecordsFindings
from workflows.folder import RunFolder
from workflows.frames import each_row
from workflows.outputs import atomic_path, write_parquet, write_tsv
from workflows.release import released_cell
from workflows.reports.counts import SUPPRESSED, Count, Disclosure
from workflows.reports.page import count

#: Rows of a phenotype written together.
ROWS = 1_000_000


def write(findings: Findings, folder: RunFolder) -> None:
    """Write every table below ``results/`` and note the main counts for the manifest."""
    records, genome = findings.records, findings.genome
    made = records_tables(records) | ({} if genome is None else genome_tables(genome))
    for name, frame in made.items():
        write_parquet(folder.results / f"{name}.parquet", frame)
    write_statuses(folder.results / "phenotypes.parquet", records.derived)
    if genome is not None:
        write_tsv(folder.results / "top_loci.tsv", loci(genome))
        for trait, score in genome.scores.traits.items():
            if score.weights is not None:
                write_parquet(folder.results / "weights" / f"{trait}.parquet", score.weights.frame)
    folder.counts |= counts(findings)


def write_statuses(path: Path, derived: Derived) -> None:
    """Write ``derived.long`` as Parquet, a row group for each phenotype or million people of it.

    ``phenotype`` and ``status`` are dictionaries; in memory there is one phenotype at a time.
    """
    names, people = list(derived.statuses), len(derived.person_id)
    words = {"phenotype": pa.array(names, pa.string()), "status": pa.array(STATUSES, pa.string())}
    schema = pa.schema(
        [
            ("person_id", pa.int64()),
            ("phenotype", pa.dictionary(pa.int16(), pa.string())),
            ("status", pa.dictionary(pa.int8(), pa.string())),
            ("first_date", pa.timestamp("ms")),
            ("n_dates", pa.int32()),
        ]
    )
    with atomic_path(path) as temporary, pq.ParquetWriter(temporary, schema, compression="zstd") as writer:
        for number, name in enumerate(names):
            rows = derived.statuses_of(name)
            columns = {
                "person_id": pa.array(rows["person_id"].to_numpy()),
                "phenotype": pa.DictionaryArray.from_arrays(
                    np.full(people, number, np.int16), words["phenotype"]
                ),
                "status": pa.DictionaryArray.from_arrays(
                    rows["status"].cat.codes.to_numpy(np.int8), words["status"]
                ),
                "first_date": pa.array(rows["first_date"].to_numpy().astype("datetime64[ms]")),
                "n_dates": pa.array(rows["n_dates"].to_numpy()),
            }
            writer.write_table(pa.table(columns, schema=schema), row_group_size=ROWS)


def records_tables(records: RecordsFindings) -> dict[str, pd.DataFrame]:
    """Name to table, as written to ``results/NAME.parquet``; statuses, which are many, apart."""
    linked, diagnostics = records.linked, records.derived.diagnostics
    return {
        "intake": linked.intake.counts,
        "intake_rejects": linked.intake.rejects,
        "linkage": linked.links.summary,
        "linkage_quality": linked.links.quality,
        "linkage_model": linked.links.model,
        "linkage_rules": linked.links.blocking,
        "linkage_doubts": _linkage_doubts(linked.links),
        "objections": linked.consent.counts,
        "objections_without_effect": linked.consent.notes,
        "attrition": records.people.attrition,
        "people": records.table.reset_index(),
        "survival": records.derived.survival,
        "code_counts": diagnostics.codes,
        "trait_measurements": diagnostics.traits,
        "outcome_flow": diagnostics.outcomes,
        "prevalence": hidden_as_null(records.frequency.prevalence),
        "incidence": hidden_as_null(records.frequency.incidence),
    }


def hidden_as_null(released: pd.DataFrame) -> pd.DataFrame:
    """A released table with whole numbers in its columns of counts, null where one is hidden.

    Examples
    --------
    >>> hidden_as_null(pd.DataFrame({"people": pd.Series([25, "<10"], dtype=object)}))["people"].tolist()
    [25, <NA>]
    """
    shown = {
        name: pd.array([None if n == SUPPRESSED else n for n in released[name]], dtype="Int64")
        for name in ("people", "person_years", "cases", "events")
        if name in released
    }
    return released.assign(**shown)


def genome_tables(genome: GenomeFindings) -> dict[str, pd.DataFrame]:
    """Name to table of the genome's half."""
    person = genome.joined.person_id
    kinship = genome.quality.kinship.copy()
    for end in ("1", "2"):
        kinship.insert(0, f"person_id{end}", person.reindex(kinship.pop(f"iid{end}")).to_numpy())
    samples = genome.quality.sample_table.copy()
    samples.insert(0, "person_id", person.reindex(samples.index).to_numpy())
    placed = genome.components.scores.copy()
    placed.insert(0, "person_id", genome.kept.person_id.to_numpy())
    placed.insert(1, "part", genome.part)
    made = {
        "genotyped": genome.joined.flow,
        "qc_samples": samples.reset_index(drop=True),
        "qc_variants": genome.quality.variant_table,
        "qc_sample_flow": genome.quality.sample_flow,
        "qc_variant_flow": genome.quality.variant_flow,
        "qc_checks": genome.quality.checks,
        "kinship": kinship.reset_index(drop=True),
        "gwas_people": _gwas_people(genome),
        "components": placed.reset_index(drop=True),
    }
    if genome.quality.reference is not None:
        made["qc_reference"] = genome.quality.reference
    if len(genome.quality.trios):
        trios = genome.quality.trios.drop(columns="fid")
        for role in ("father", "mother", "child"):
            trios[role] = person.reindex(trios[role]).to_numpy()
        made["qc_trios"] = trios
    return made | _score_tables(genome) | _risk_tables(genome)


def _linkage_doubts(links: Links) -> pd.DataFrame:
    """``what``, ``count``: guards met, pairs by probability, pairs for review, clerks' decisions."""
    bands = [
        (f"scored pairs of probability {row.low:g} to {row.high:g}", row.pairs)
        for row in each_row(links.borderline)
    ]
    decided = [
        (f"decided {row.decision}, {name.replace('_', ' ')}", getattr(row, name))
        for row in each_row(links.decisions)
        for name in ("pairs", "honoured", "unknown")
    ]
    met = list(zip(links.conflicts["conflict"], links.conflicts["count"], strict=True))
    rows = [*met, *bands, ("pairs for clerical review", links.review_found), *decided]
    return pd.DataFrame(rows, columns=["what", "count"])


def _gwas_people(genome: GenomeFindings) -> pd.DataFrame:
    """``person_id`` and, for each trait, whether the person is among those analysed: for later withdrawals."""
    person = genome.kept.person_id.reindex(genome.design.samples).to_numpy()
    masks = {trait.name: genome.design.mask(trait) for trait in genome.design.traits}
    return pd.DataFrame({"person_id": person, **masks})


def _score_tables(genome: GenomeFindings) -> dict[str, pd.DataFrame]:
    scored = genome.scores.scored
    if scored is None:
        return {}
    person = genome.kept.person_id
    scores = pd.DataFrame(
        {"person_id": person.reindex(scored.scores.index).to_numpy()}, index=scored.scores.index
    )
    for name in genome.scores.published:
        scores[name] = scored.scores[name]
    for trait, chosen in genome.scores.traits.items():
        if chosen.standardised is not None:
            scores[f"{trait}_raw"] = scored.scores[chosen.name]
            scores[f"{trait}_standardised"] = chosen.standardised
    performance = [
        chosen.performance.metrics.assign(trait=trait, score=chosen.name).rename_axis("metric").reset_index()
        for trait, chosen in genome.scores.traits.items()
        if chosen.performance is not None and len(chosen.performance.metrics)
    ]
    made = {
        "scores": scores.reset_index(drop=True),
        "score_match": scored.match,
        "score_summary": scored.summary.reset_index(),
    }
    if performance:
        made["score_performance"] = pd.concat(performance, ignore_index=True)
    return made


def _risk_tables(genome: GenomeFindings) -> dict[str, pd.DataFrame]:
    made: dict[str, pd.DataFrame] = {}
    for prediction in genome.predictions:
        name = prediction.spec.outcome
        risks = prediction.clinical_risks[["risk", "low", "high", "status"]].add_prefix("clinical_")
        if prediction.risks is not None:
            risks = prediction.risks.join(risks)
        made[f"risk_{name}"] = risks.rename_axis("person_id").reset_index()
        made[f"risk_{name}_coefficients"] = (
            prediction.integrated or prediction.clinical
        ).coefficients.reset_index(drop=True)
        evaluation = prediction.evaluation or prediction.clinical_evaluation
        made[f"risk_{name}_metrics"] = evaluation.metrics.rename_axis("metric").reset_index()
        made[f"risk_{name}_calibration"] = evaluation.deciles
    return made


def loci(genome: GenomeFindings) -> pd.DataFrame:
    """Lead variants of every trait below P 5e-8, one a locus, strongest first within a trait."""
    found = [stats.top_loci().assign(TRAIT=trait) for trait, stats in genome.stats.items()]
    table = pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=["TRAIT"])
    return table[["TRAIT", *[column for column in table if column != "TRAIT"]]]


def counts(findings: Findings) -> dict[str, int]:
    """Numbers for the manifest; sums over many people, none of a small group."""
    records, genome = findings.records, findings.genome
    intake = records.linked.intake.counts
    found = {f"rows_{name}": int(intake[name].sum()) for name in ("read", "accepted", "rejected")}
    found["people_in_study"] = len(records.people.persons)
    if genome is not None:
        found["samples_analysed"] = genome.kept.genotypes.n_samples
        found["variants_analysed"] = genome.kept.genotypes.n_variants
        found["traits_tested"] = len(genome.stats)
    return found


def summary(findings: Findings, folder: RunFolder) -> tuple[str, ...]:
    """What to print at the end of a run; numbers of people as the report shows them, for lines are passed on."""
    rule = Disclosure()
    people = f"{count(rule.show(len(findings.records.people.persons)))} people in the study"
    report = f"Cohort report: {folder.reports / 'cohort.html'}"
    if findings.genome is None:
        return (*_records_summary(findings.records, people, rule), report)
    return (
        *_genome_summary(findings.genome, people, rule),
        report,
        f"Risk reports:  {folder.reports / 'patients'}",
    )


def _records_summary(records: RecordsFindings, people: str, rule: Disclosure) -> list[str]:
    return [
        people,
        *(
            f"{records.study.label_of(name)}: "
            + _share_line(row, released_cell(len(records.derived.statuses[name].who), rule))
            for row in each_row(records.frequency.overall)
            for name in [str(row.phenotype)]
        ),
    ]


def _share_line(row: Any, cases: Count) -> str:
    if row.cases != SUPPRESSED:
        return f"{row.prevalence:.1%} on {row.on:%Y-%m-%d}"
    return f"{count(cases)} with it" if cases == SUPPRESSED else "too few without it to show"


def _genome_summary(genome: GenomeFindings, people: str, rule: Disclosure) -> list[str]:
    genotypes = genome.kept.genotypes
    lines = [
        f"{people}, {count(rule.show(genotypes.n_samples))} with genotypes, {genotypes.n_variants:,} variants"
    ]
    table = loci(genome)
    for trait, stats in genome.stats.items():
        n = int((table["TRAIT"] == trait).sum()) if len(table) else 0
        lines.append(
            f"{genome.study.label_of(trait)}: {n} {'locus' if n == 1 else 'loci'} below P 5e-8, "
            f"lambda {stats.lambda_gc:.3f}"
        )
    for trait, reason in genome.design.skipped.items():
        lines.append(f"{genome.study.label_of(trait)}: not tested, {reason}")
    return lines + [_risk_line(p.label, p.reason, p.evaluation) for p in genome.predictions]


def _risk_line(label: str, reason: str, evaluation: object) -> str:
    from gwas.evaluation import Evaluation

    if not isinstance(evaluation, Evaluation) or evaluation.status != "evaluated":
        return f"Risk of {label}: withheld. {reason}"
    c = evaluation.interval("c_index")
    slope = evaluation.interval("calibration_slope")
    text = (
        f"Risk of {label}: C {c[0]:.3f} ({c[1]:.3f} to {c[2]:.3f}), "
        f"calibration slope {slope[0]:.2f} ({slope[1]:.2f} to {slope[2]:.2f})"
    )
    return text if not reason or np.isnan(c[0]) else f"{text}; withheld from people: {reason}"
