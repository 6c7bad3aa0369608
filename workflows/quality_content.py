"""What the cohort report says of genotypes and their quality."""

from __future__ import annotations

import numpy as np
import pandas as pd

from workflows.findings import Findings
from workflows.frames import each_row
from workflows.reports.binning import histogram, pca_map
from workflows.reports.content import (
    Disclosure,
    FlowStep,
    NamedCount,
    PcaMap,
    QcSummary,
    VariantStep,
)

RELATIONS = {"duplicate": "Duplicates or identical twins", "second": "Second degree", "third": "Third degree"}


def sentence(text: str) -> str:
    """With a capital first letter."""
    return text[:1].upper() + text[1:]


def quality_summary(findings: Findings, rule: Disclosure) -> QcSummary:
    """Flows of samples and variants, and the distributions behind the thresholds."""
    quality, plan = findings.quality, findings.study.qc
    samples, variants = quality.sample_table, quality.variant_table
    hwe = variants["hwe_log10_p"].clip(upper=20)
    return QcSummary(
        people_flow=tuple(
            FlowStep(
                label=sentence(str(row.step)),
                removed=rule.show(int(row.removed)),
                remaining=rule.show(int(row.remaining)),
                why=str(row.threshold),
            )
            for row in each_row(pd.concat([_joined_flow(findings), quality.sample_flow.iloc[1:]]))
        ),
        variant_flow=tuple(
            VariantStep(
                label=sentence(str(row.step)),
                threshold=str(row.threshold),
                removed=int(row.removed),
                remaining=int(row.remaining),
            )
            for row in each_row(quality.variant_flow)
        ),
        distributions=(
            histogram(
                samples["call_rate"],
                label="Call rate of samples",
                threshold=plan.sample_call_rate,
                disclosure=rule,
            ),
            histogram(
                samples["het_z"],
                label="Heterozygosity beside people of like ancestry",
                unit="robust SD",
                threshold=plan.heterozygosity_sd,
                keep="below",
                disclosure=rule,
            ),
            histogram(
                variants["call_rate"],
                label="Call rate of variants",
                of="variants",
                threshold=plan.variant_call_rate,
                disclosure=rule,
            ),
            histogram(
                hwe,
                label="Hardy-Weinberg, -log10 P",
                of="variants",
                threshold=-np.log10(plan.hwe_p) if plan.hwe_p else None,
                keep="below",
                disclosure=rule,
            ),
        ),
        relatives=tuple(
            NamedCount(label=RELATIONS.get(str(relation), sentence(str(relation))), people=rule.show(int(n)))
            for relation, n in quality.kinship["relation"].value_counts().items()
        ),
        note="Pairs of relatives are counted, not people. Hardy-Weinberg was tested among unrelated people of "
        "the largest ancestry group who have none of the diseases tested.",
    )


def _joined_flow(findings: Findings) -> pd.DataFrame:
    flow = findings.joined.flow.copy()
    flow["threshold"] = ""
    return flow


def ancestry_map(findings: Findings, rule: Disclosure) -> PcaMap | None:
    """The first two components as densities of ancestry groups; None where there are fewer."""
    scores = findings.components.scores
    if scores.shape[1] < 2:
        return None
    groups = findings.quality.sample_table.loc[scores.index, "ancestry_group"].to_numpy()
    names = np.array([f"Group {g + 1}" if g >= 0 else "Not grouped" for g in groups])
    shares = findings.components.eigenvalues / findings.components.total_variance
    return pca_map(
        scores["PC1"], scores["PC2"], names, explained=tuple(float(s) for s in shares), disclosure=rule
    )
