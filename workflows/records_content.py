"""What the cohort report says of people and their records. Every number of people passes the release rule here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pandas as pd

from cohorts.consent import ConsentResult
from cohorts.linkage import Links
from cohorts.sources import Intake
from phenotypes.plain_english import explain
from workflows.findings import RecordsFindings
from workflows.frames import cell, each_row, row_of
from workflows.release import released_cell
from workflows.reports.binning import histogram
from workflows.reports.content import (
    SUPPRESSED,
    AgeSexCell,
    Count,
    Disclosure,
    FlowStep,
    IncidenceYear,
    IntakeRow,
    Linkage,
    LinkageGroup,
    NamedCount,
    OutcomeSummary,
    PhenotypeSummary,
    PrevalenceCell,
    RejectReason,
    TraitSummary,
)

AGE_BANDS = ((18, 39), (40, 49), (50, 59), (60, 69), (70, 79), (80, 120))
SEXES = ((0.0, "Women"), (1.0, "Men"))


def sentence(text: str) -> str:
    """With a capital first letter."""
    return text[:1].upper() + text[1:]


def intake_rows(intake: Intake, rule: Disclosure) -> tuple[IntakeRow, ...]:
    """Each table of each source as it arrived."""
    rejects = intake.rejects
    rows = []
    for row in each_row(intake.counts):
        mine = rejects[(rejects["source"] == row.source) & (rejects["table"] == row.table)]
        rows.append(
            IntakeRow(
                source=str(row.source),
                table=str(row.table),
                read=rule.show(int(row.read)),
                accepted=rule.show(int(row.accepted)),
                rejected=rule.show(int(row.rejected)),
                reasons=tuple(
                    RejectReason(reason=str(reason), rows=rule.show(int(n)))
                    for reason, n in zip(mine["reason"], mine["rows"], strict=True)
                ),
            )
        )
    return tuple(rows)


def linkage_summary(links: Links, rule: Disclosure) -> Linkage:
    """How records were brought together, and who fared less well."""
    summary = row_of(links.summary.set_index("source"), "all")
    return Linkage(
        records=rule.show(int(summary["records"])),
        people=rule.show(int(summary["entities"])),
        by_method=(
            NamedCount(
                label="Valid NHS number, with agreement, or a clerk's word",
                people=rule.show(int(summary["nhs"] + summary["clerical"])),
            ),
            NamedCount(label="Probable match (Splink)", people=rule.show(int(summary["splink"]))),
            NamedCount(label="Only record of the person", people=rule.show(int(summary["single"]))),
        ),
        note=f"Probable matches were accepted from a match probability of {links.threshold:g}.",
        by_group=tuple(_linkage_groups(links.quality, rule)),
    )


GROUPED_BY = {
    "age": "Age",
    "sex": "Sex",
    "deprivation": "Deprivation decile, 1 most deprived",
    "ethnicity": "Ethnicity",
}
FEWEST_JUDGED = 100


def _linkage_groups(quality: pd.DataFrame, rule: Disclosure) -> Iterable[LinkageGroup]:
    """How each group fared; what is recorded of nobody is left out, and a share of few records is not given."""
    for by, rows in quality.groupby("by", sort=False):
        if len(rows) < 2:
            continue
        shown = {name: _shielded(rows[name], rule) for name in ("records", "linked", "probable")}
        doubtful = (rows["expected_wrong"] + rows["expected_missed"]) / rows["records"]
        for at, group in enumerate(rows["group"]):
            yield LinkageGroup(
                by=GROUPED_BY[str(by)],
                group={"F": "Women", "M": "Men"}.get(group, str(group)),
                records=shown["records"][at],
                linked=shown["linked"][at],
                probable=shown["probable"][at],
                doubtful=round(float(doubtful.iloc[at]), 3)
                if rows["records"].iloc[at] >= FEWEST_JUDGED
                else None,
            )


def _shielded(counts: pd.Series, rule: Disclosure) -> list[Count]:
    """Cells of a column whose total is shown: a single hidden one takes the next smallest with it."""
    cells: list[Count] = [released_cell(int(count), rule) for count in counts]
    if cells.count(SUPPRESSED) == 1:
        order = np.argsort(counts.to_numpy(), kind="stable")
        cells[next(int(k) for k in order if cells[k] != SUPPRESSED)] = SUPPRESSED
    return cells


def objections(consent: ConsentResult, rule: Disclosure) -> tuple[NamedCount, ...]:
    """People taken out before anything else, and objections without effect."""
    reasons = [(row.reason, row.people) for row in each_row(consent.counts)]
    notes = consent.notes[["note", "count"]].to_numpy().tolist()
    return tuple(
        NamedCount(label=sentence(str(label)), people=rule.show(int(count)))
        for label, count in [*reasons, *notes]
    )


def attrition(records: RecordsFindings, rule: Disclosure) -> tuple[FlowStep, ...]:
    """From everybody in the hub to the study population."""
    return tuple(
        FlowStep(
            label="Everyone linked, after objections" if number == 0 else sentence(str(row.step)),
            removed=rule.show(int(row.removed)),
            remaining=rule.show(int(row.remaining)),
        )
        for number, row in enumerate(each_row(records.people.attrition))
    )


def phenotype_summary(records: RecordsFindings, name: str, rule: Disclosure) -> PhenotypeSummary:
    """One disease: who has it by age and sex, how common it is and how often new."""
    counts = records.derived.statuses_of(name)["status"].value_counts()
    values, table = records.table[name], records.table
    cells = []
    for youngest, oldest in AGE_BANDS:
        for code, sex in SEXES:
            here = values[table["age"].between(youngest, oldest) & (table["sex"] == code)]
            label = f"{youngest}-{oldest}" if oldest < 120 else f"{youngest}+"
            cells.append(
                AgeSexCell(
                    age_band=label,
                    sex=sex,
                    cases=released_cell(int((here == 1).sum()), rule),
                    people=released_cell(int(here.notna().sum()), rule),
                )
            )
    spec = records.study.phenotypes[name]
    return PhenotypeSummary(
        name=name,
        label=spec.label,
        definition=explain(spec.build(records.codelists, name)),
        cells=tuple(cells),
        prevalence=tuple(_prevalence(records.frequency.prevalence, name)),
        incidence=tuple(_incidence(records.frequency.incidence, name)),
        overall=next(iter(_shares(records.frequency.overall, name)), None),
        cases=released_cell(int(counts.get("case", 0)), rule),
        **{f"{s}s" if s == "control" else s: rule.show(int(counts.get(s, 0))) for s in
           ("control", "excluded", "unknown")},
    )  # fmt: skip


def _prevalence(table: pd.DataFrame, name: str) -> Iterable[PrevalenceCell]:
    """Cells of people whose sex is on record; there are few others."""
    sexes = {"F": "Women", "M": "Men"}
    for row in each_row(table[(table["phenotype"] == name) & table["sex"].isin(list(sexes))]):
        yield PrevalenceCell(
            age_band=str(row.age_band),
            sex=sexes[row.sex],
            cases=row.cases,
            people=row.people,
            share=number(row.prevalence),
            low=number(row.low),
            high=number(row.high),
        )


def _incidence(table: pd.DataFrame, name: str) -> Iterable[IncidenceYear]:
    for row in each_row(table[table["phenotype"] == name]):
        yield IncidenceYear(
            year=int(row.year),
            person_years=row.person_years,
            events=row.events,
            rate=number(row.rate),
            low=number(row.low),
            high=number(row.high),
        )


def _shares(table: pd.DataFrame, name: str) -> Iterable[float]:
    shares = table.loc[table["phenotype"] == name, "prevalence"].astype(float)
    return (share for share in shares if np.isfinite(share))


def number(value: float) -> float | None:
    """A rate as a report has it: None where it is hidden."""
    return float(value) if np.isfinite(value) else None


def trait_summaries(records: RecordsFindings, rule: Disclosure) -> Iterator[TraitSummary]:
    """Measurements of which enough people have one."""
    quality = records.derived.diagnostics.traits.set_index("column")
    for name, spec in records.study.traits.items():
        if spec.kind == "number":
            yield from _measured(
                records,
                name,
                rule,
                unit=spec.unit,
                definition=explain(spec.build(records.codelists, name)),
                rejected_unit=rule.show(int(cell(quality, name, "unknown_unit"))),
                rejected_implausible=rule.show(int(cell(quality, name, "implausible"))),
            )


def exposure_summaries(records: RecordsFindings, rule: Disclosure) -> Iterator[TraitSummary]:
    """Exposures of which enough people have one."""
    for name, spec in records.study.exposures.items():
        yield from _measured(records, name, rule, unit=spec.measured_in, definition=spec.said(name))


def _measured(
    records: RecordsFindings, name: str, rule: Disclosure, *, unit: str, definition: str, **rejected: Count
) -> Iterator[TraitSummary]:
    values = records.table[name].dropna().to_numpy()
    if len(values) < rule.smallest_shown:
        return
    label = records.study.label_of(name)
    low, middle, high = (float(q) for q in np.quantile(values, [0.25, 0.5, 0.75]))
    yield TraitSummary(
        name=name,
        label=label,
        unit=unit,
        definition=definition,
        people=rule.show(len(values)),
        mean=float(values.mean()),
        sd=float(values.std(ddof=1)),
        quartiles=(low, middle, high),
        distribution=histogram(values, label=label, unit=unit, disclosure=rule),
        **rejected,
    )


def outcome_summaries(records: RecordsFindings) -> Iterator[OutcomeSummary]:
    """Follow-up of each outcome for which somebody was at risk."""
    for row in each_row(records.frequency.outcomes):
        name = str(row.outcome)
        yield OutcomeSummary(
            name=name,
            label=records.study.outcomes[name].label,
            definition=records.derived.explanations[f"outcomes.{name}"],
            people=row.people,
            person_years=row.person_years,
            events=row.events,
            competing=row.competing,
            rate=number(row.rate),
            low=number(row.low),
            high=number(row.high),
        )
