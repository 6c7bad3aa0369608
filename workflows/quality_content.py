"""What the cohort report says of genotypes and their quality."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from gwas.relatedness import DEGREES
from workflows.findings import GenomeFindings
from workflows.frames import each_row
from workflows.records_content import sentence
from workflows.reports.binning import density, histogram, pca_map, variant_density
from workflows.reports.content import (
    Density,
    Disclosure,
    FlowStep,
    Histogram,
    Metric,
    NamedCount,
    PcaMap,
    QcSummary,
    VariantCount,
    VariantStep,
)

MOST_PAIRS = 3
"""Pairs of components drawn."""

KINSHIP_END = 0.57
"""End of the axis of kinship: no cell of any size then ends near 1/4 or 1/2, where relatives gather."""

RELATIONS = {"duplicate": "Duplicates or identical twins", "second": "Second degree", "third": "Third degree"}


def quality_summary(genome: GenomeFindings, rule: Disclosure) -> QcSummary:
    """Flows of samples and variants, and the distributions behind the thresholds."""
    quality, plan = genome.quality, genome.study.qc
    samples, variants = quality.sample_table, quality.variant_table
    return QcSummary(
        people_flow=tuple(
            FlowStep(
                label=sentence(str(row.step)),
                removed=rule.show(int(row.removed)),
                remaining=rule.show(int(row.remaining)),
                why=str(row.threshold),
            )
            for row in each_row(pd.concat([_joined_flow(genome), quality.sample_flow.iloc[1:]]))
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
                np.minimum(variants["alt_freq"], 1 - variants["alt_freq"]),
                label="Minor allele frequency",
                of="variants",
                edges=np.linspace(0, 0.5, 51),
                threshold=plan.minor_allele_frequency or None,
                disclosure=rule,
            ),
            *_imputation(genome, rule),
        ),
        densities=tuple(_densities(genome, rule)),
        hwe_log10_p=variants.loc[variants["hwe_n"] > 0, "hwe_log10_p"].to_numpy(dtype=np.float64),
        hwe_limit=float(-np.log10(plan.hwe_p)) if plan.hwe_p else None,
        checks=_checks(genome),
        reference=_reference(genome),
        relatives=tuple(
            NamedCount(label=RELATIONS.get(str(relation), sentence(str(relation))), people=rule.show(int(n)))
            for relation, n in quality.kinship["relation"].value_counts().items()
        ),
        note="Pairs of relatives are counted, not people. Hardy-Weinberg was tested among unrelated people of "
        "the largest ancestry group who have none of the diseases tested.",
    )


def _joined_flow(genome: GenomeFindings) -> pd.DataFrame:
    flow = genome.joined.flow.copy()
    flow["threshold"] = ""
    return flow


def _imputation(genome: GenomeFindings, rule: Disclosure) -> Iterator[Histogram]:
    info = genome.quality.variant_table["info"]
    if info.notna().any():
        yield histogram(
            info,
            label="Quality of imputation",
            of="variants",
            threshold=genome.study.qc.imputation_quality,
            disclosure=rule,
        )


def _densities(genome: GenomeFindings, rule: Disclosure) -> Iterator[Density]:
    yield _heterozygosity(genome, rule)
    if len(genome.quality.kinship):
        yield _kinship(genome, rule)
    variants = genome.quality.variant_table
    if "reference_freq" in variants and variants["reference_freq"].notna().any():
        yield variant_density(
            variants["reference_freq"],
            variants["compared_freq"],
            x_range=(0, 1),
            y_range=(0, 1),
            name="reference",
            label="Frequencies beside the reference",
            x_label="Frequency of ALT in the reference",
            y_label="Frequency of ALT here",
            band=genome.study.qc.reference_difference,
            note="Unrelated people of the largest ancestry group; dashed: the largest difference kept, unless chance "
            "explains it.",
        )


def _heterozygosity(genome: GenomeFindings, rule: Disclosure) -> Density:
    """Everybody by missing calls and by excess of heterozygotes, those removed before it was judged too."""
    people, plan = genome.quality.sample_table, genome.study.qc
    missing = 100 * (1 - people["call_rate"])
    most = None if plan.sample_call_rate is None else 100 * (1 - plan.sample_call_rate)
    limit = plan.heterozygosity_sd
    typical = people.loc[people["ancestry_group"] == 0, "f_het"].median()
    spread = _robust_sd(people["f_residual"])
    # Who went before ancestry was known is placed as if of the largest group.
    excess = people["het_z"].fillna((typical - people["f_het"]) / spread if spread > 0 else np.nan)
    return density(
        missing,
        excess,
        x_range=(0.0, 1.2 * max(most or 0.0, round_up(float(missing.quantile(0.99))))),
        y_range=(-1.6 * max(limit or 5.0, 5.0), 1.6 * max(limit or 5.0, 5.0)),
        disclosure=rule,
        name="heterozygosity",
        label="Heterozygosity against missing calls",
        x_label="Missing calls (%)",
        y_label="Excess of heterozygotes (robust SD)",
        of="people",
        x_lines=() if most is None else ((most, ""),),
        y_lines=() if limit is None else ((limit, ""),),
        note="Beside people of like ancestry; dashed: the thresholds. Who lies beyond the axes is put at their end.",
    )


def _robust_sd(values: pd.Series) -> float:
    return float(1.4826 * (values - values.median()).abs().median())


def round_up(value: float) -> float:
    """The next of 1, 2 and 5 times a power of ten, so that an axis does not end at somebody's own value.

    Examples
    --------
    >>> [round_up(x) for x in (0.3, 1.2, 4.0, 0.0)]
    [0.5, 2.0, 5.0, 1.0]
    """
    if not value > 0:
        return 1.0
    power = 10.0 ** np.floor(np.log10(value))
    return float(next(m * power for m in (1.0, 2.0, 5.0, 10.0) if m * power >= value))


def _kinship(genome: GenomeFindings, rule: Disclosure) -> Density:
    """Pairs of relatives; the bands between the lines are the degrees."""
    pairs = genome.quality.kinship
    named = (("duplicate", "duplicates"), ("first", "first degree"), ("second", "second"), ("third", "third"))
    return density(
        pairs["ibs0"],
        pairs["kinship"],
        x_range=(0.0, round_up(float(pairs["ibs0"].quantile(0.9)))),
        y_range=(0.0, KINSHIP_END),
        disclosure=rule,
        name="kinship",
        label="Kinship of pairs of relatives",
        x_label="Share of variants without a common allele (IBS0)",
        y_label="Kinship",
        of="pairs of people",
        y_lines=tuple((DEGREES[key], text) for key, text in named),
        note="Each line is the least kinship of its degree. A parent and a child have an allele in common everywhere.",
    )


def _checks(genome: GenomeFindings) -> tuple[Metric, ...]:
    band = genome.study.qc.titv
    usual = (
        f"Range given: {band[0]:g} to {band[1]:g}."
        if band
        else "About 2.1 in whole genomes, 3 in coding sequence, more on chips; errors at random lower it towards 0.5."
    )
    return tuple(
        Metric(
            label=f"{row.check}",
            value=float(row.value),
            low=float(row.low),
            high=float(row.high),
            meaning=usual + (" The interval lies outside." if row.verdict == "outside" else ""),
        )
        for row in each_row(genome.quality.checks)
        if np.isfinite(row.value) and np.isfinite(row.low)
    )


def _reference(genome: GenomeFindings) -> tuple[VariantCount, ...]:
    table = genome.quality.reference
    if table is None:
        return ()
    return tuple(
        VariantCount(label=sentence(str(row.meaning)), variants=int(row.variants)) for row in each_row(table)
    )


def ancestry_maps(genome: GenomeFindings, rule: Disclosure) -> tuple[PcaMap, ...]:
    """Pairs of components as densities of ancestry groups: up to MOST_PAIRS of them."""
    scores = genome.components.scores
    groups = genome.quality.sample_table.loc[scores.index, "ancestry_group"].to_numpy()
    names = np.array([f"Group {g + 1}" if g >= 0 else "Not grouped" for g in groups])
    shares = genome.components.eigenvalues / genome.components.total_variance
    pairs = range(1, scores.shape[1], 2)[:MOST_PAIRS]
    return tuple(
        pca_map(
            scores[f"PC{k}"],
            scores[f"PC{k + 1}"],
            names,
            x_label=f"PC{k}",
            y_label=f"PC{k + 1}",
            explained=tuple(float(s) for s in shares[k - 1 : k + 1]),
            disclosure=rule,
        )
        for k in pairs
    )
