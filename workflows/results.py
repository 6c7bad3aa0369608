"""The tables a run leaves for further analysis. People appear under their pseudonyms only."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from phenotypes.derivation import Derived
from phenotypes.status import STATUSES
from workflows.findings import Findings
from workflows.folder import RunFolder
from workflows.frames import each_row
from workflows.outputs import atomic_path, write_parquet, write_tsv

#: Rows of a phenotype written together.
ROWS = 1_000_000


def write(findings: Findings, folder: RunFolder) -> None:
    """Write every table below ``results/`` and note the main counts for the manifest."""
    for name, frame in tables(findings).items():
        write_parquet(folder.results / f"{name}.parquet", frame)
    write_statuses(folder.results / "phenotypes.parquet", findings.derived)
    write_tsv(folder.results / "top_loci.tsv", loci(findings))
    for trait, score in findings.scores.traits.items():
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


def tables(findings: Findings) -> dict[str, pd.DataFrame]:
    """Name to table, as written to ``results/NAME.parquet``; statuses, which are many, apart."""
    person = findings.joined.person_id
    kinship = findings.quality.kinship.copy()
    for end in ("1", "2"):
        kinship.insert(0, f"person_id{end}", person.reindex(kinship.pop(f"iid{end}")).to_numpy())
    samples = findings.quality.sample_table.copy()
    samples.insert(0, "person_id", person.reindex(samples.index).to_numpy())
    placed = findings.components.scores.copy()
    placed.insert(0, "person_id", findings.kept.person_id.to_numpy())
    placed.insert(1, "part", findings.part)
    made = {
        "intake": findings.intake.counts,
        "intake_rejects": findings.intake.rejects,
        "linkage": findings.links.summary,
        "linkage_quality": findings.links.quality,
        "linkage_model": findings.links.model,
        "linkage_rules": findings.links.blocking,
        "linkage_doubts": _linkage_doubts(findings),
        "objections": findings.consent.counts,
        "objections_without_effect": findings.consent.notes,
        "attrition": findings.people.attrition,
        "people": findings.table.reset_index(),
        "survival": findings.derived.survival,
        "code_counts": findings.derived.diagnostics.codes,
        "trait_measurements": findings.derived.diagnostics.traits,
        "outcome_flow": findings.derived.diagnostics.outcomes,
        "genotyped": findings.joined.flow,
        "qc_samples": samples.reset_index(drop=True),
        "qc_variants": findings.quality.variant_table,
        "qc_sample_flow": findings.quality.sample_flow,
        "qc_variant_flow": findings.quality.variant_flow,
        "qc_checks": findings.quality.checks,
        "kinship": kinship.reset_index(drop=True),
        "gwas_people": _gwas_people(findings),
        "components": placed.reset_index(drop=True),
    }
    if findings.quality.reference is not None:
        made["qc_reference"] = findings.quality.reference
    if len(findings.quality.trios):
        trios = findings.quality.trios.drop(columns="fid")
        for role in ("father", "mother", "child"):
            trios[role] = person.reindex(trios[role]).to_numpy()
        made["qc_trios"] = trios
    return made | _score_tables(findings) | _risk_tables(findings)


def _linkage_doubts(findings: Findings) -> pd.DataFrame:
    """``what``, ``count``: guards met, pairs by probability, pairs for review, clerks' decisions."""
    links = findings.links
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


def _gwas_people(findings: Findings) -> pd.DataFrame:
    """``person_id`` and, for each trait, whether the person is among those analysed: for later withdrawals."""
    person = findings.kept.person_id.reindex(findings.design.samples).to_numpy()
    masks = {trait.name: findings.design.mask(trait) for trait in findings.design.traits}
    return pd.DataFrame({"person_id": person, **masks})


def _score_tables(findings: Findings) -> dict[str, pd.DataFrame]:
    scored = findings.scores.scored
    if scored is None:
        return {}
    person = findings.kept.person_id
    scores = pd.DataFrame(
        {"person_id": person.reindex(scored.scores.index).to_numpy()}, index=scored.scores.index
    )
    for name in findings.scores.published:
        scores[name] = scored.scores[name]
    for trait, chosen in findings.scores.traits.items():
        if chosen.standardised is not None:
            scores[f"{trait}_raw"] = scored.scores[chosen.name]
            scores[f"{trait}_standardised"] = chosen.standardised
    performance = [
        chosen.performance.metrics.assign(trait=trait, score=chosen.name).rename_axis("metric").reset_index()
        for trait, chosen in findings.scores.traits.items()
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


def _risk_tables(findings: Findings) -> dict[str, pd.DataFrame]:
    made: dict[str, pd.DataFrame] = {}
    for prediction in findings.predictions:
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


def loci(findings: Findings) -> pd.DataFrame:
    """Lead variants of every trait below P 5e-8, one a locus, strongest first within a trait."""
    found = [stats.top_loci().assign(TRAIT=trait) for trait, stats in findings.stats.items()]
    table = pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=["TRAIT"])
    return table[["TRAIT", *[column for column in table if column != "TRAIT"]]]


def counts(findings: Findings) -> dict[str, int]:
    """Numbers for the manifest; sums over many people, none of a small group."""
    return {
        "rows_read": int(findings.intake.counts["read"].sum()),
        "rows_accepted": int(findings.intake.counts["accepted"].sum()),
        "rows_rejected": int(findings.intake.counts["rejected"].sum()),
        "people_in_study": len(findings.people.persons),
        "samples_analysed": findings.kept.genotypes.n_samples,
        "variants_analysed": findings.kept.genotypes.n_variants,
        "traits_tested": len(findings.stats),
    }


def summary(findings: Findings, folder: RunFolder) -> tuple[str, ...]:
    """What to print at the end of a run."""
    found = counts(findings)
    lines = [
        f"{found['people_in_study']:,} people in the study, {found['samples_analysed']:,} with genotypes, "
        f"{found['variants_analysed']:,} variants",
    ]
    table = loci(findings)
    for trait, stats in findings.stats.items():
        n = int((table["TRAIT"] == trait).sum()) if len(table) else 0
        lines.append(
            f"{findings.study.label_of(trait)}: {n} {'locus' if n == 1 else 'loci'} below P 5e-8, "
            f"lambda {stats.lambda_gc:.3f}"
        )
    for trait, reason in findings.design.skipped.items():
        lines.append(f"{findings.study.label_of(trait)}: not tested, {reason}")
    for prediction in findings.predictions:
        lines.append(_risk_line(prediction.label, prediction.reason, prediction.evaluation))
    lines.append(f"Cohort report: {folder.reports / 'cohort.html'}")
    lines.append(f"Risk reports:  {folder.reports / 'patients'}")
    return tuple(lines)


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
