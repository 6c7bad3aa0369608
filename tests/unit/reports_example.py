"""Made-up but realistic content of both reports, from one seed: what the report tests lay out and look at."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import numpy as np

from workflows.reports import content as c
from workflows.reports.binning import density, histogram, pca_map, variant_density

RULE = c.Disclosure()
BANDS = ("18-29", "30-39", "40-49", "50-59", "60-69", "70-79", "80+")
SYNTHETIC_SHA = "9f2c4e7a" * 8


def cohort(seed: int = 1, *, variants: int = 20_000) -> c.CohortContent:
    """A whole cohort report's content."""
    rng = np.random.default_rng(seed)
    return c.CohortContent(
        title="Heart disease and diabetes in one region: records and genotypes together",
        created="2024-03-01",
        index_date="2012-01-01",
        synthetic=True,
        lay_summary=(
            "Doctors and hospitals keep records so that people can be cared for. Some people also gave a "
            "sample from which their genes were read. We brought the two together to see which genes go with "
            "which diseases, and whether genes help to foresee who will fall ill.",
            "We found that genes add a little to what records already tell. Age, smoking and blood pressure "
            "matter more. Nobody can be recognised on this page: groups of fewer than ten are not shown.",
        ),
        data_use=(
            "Coded care records and genotypes of one synthetic region, linked and pseudonymised for this "
            "study alone. People who opted out nationally or withdrew consent were removed first.",
            "This page holds only aggregate results. It may be shared; the run folder it came from may not.",
        ),
        findings=(
            c.Finding(
                headline="Three places in the genome go with LDL cholesterol",
                detail="The strongest, near APOE, shifts LDL by 0.24 mmol/L per copy (P = 3×10⁻³⁸).",
            ),
            c.Finding(
                headline="The genetic score adds a little to clinical factors for coronary disease",
                detail="C-index 0.742 with the score, 0.731 without, in 2,140 people outside its making.",
            ),
            c.Finding(
                headline="Predicted and observed risks agree",
                detail="Calibration slope 0.97 (0.84 to 1.10); observed over expected 1.03 (0.92 to 1.15).",
            ),
        ),
        receipts=receipts(),
        intake=intake(),
        linkage=c.Linkage(
            records=48_215,
            people=20_040,
            precision=0.9994,
            recall=0.9871,
            by_method=(
                c.NamedCount(label="Valid NHS number", people=41_870),
                c.NamedCount(label="Probabilistic match", people=5_120),
                c.NamedCount(label="Single record, nothing to link", people=1_225),
            ),
        ),
        objections=(
            c.NamedCount(label="National data opt-out", people=620),
            c.NamedCount(label="Withdrew research consent", people="<10"),
        ),
        attrition=flow(
            (
                ("Linked people", 0, 20_040, ""),
                ("Objections applied", 625, 19_415, "before anything else"),
                ("Registered on the index date", 2_310, 17_105, "with a practice of the region"),
                ("Aged 25 to 84", 3_220, 13_885, "on the index date"),
                ("One year of records", 410, 13_475, "before the index date"),
                ("Has a genotyped sample", 8_020, 5_455, "and consent to its use"),
                ("Sex of record and sample agree", "<10", 5_450, "else the sample may be another's"),
            )
        ),
        phenotypes=phenotypes(rng),
        traits=traits(rng),
        exposures=(
            c.TraitSummary(
                name="pm25",
                label="Fine particles",
                unit="µg/m³",
                definition="Mean over five years at home.",
                people=8_500,
                mean=10.2,
                sd=1.7,
                quartiles=(9.4, 10.3, 11.2),
                distribution=histogram(rng.normal(10.2, 1.7, 8_500), label="Fine particles", unit="µg/m³"),
            ),
        ),
        outcomes=(
            c.OutcomeSummary(
                name="chd_10y",
                label="coronary heart disease",
                definition="Time to a first record of it.",
                people=9_210,
                person_years=84_900,
                events=575,
                competing="<10",
                rate=6.8,
                low=6.2,
                high=7.3,
            ),
        ),
        qc=quality(rng),
        pca=ancestry(rng),
        pca_more=(ancestry(rng),),
        associations=(
            scan(rng, "ldl", "LDL cholesterol", "linear", "mmol/L", variants),
            scan(rng, "t2d", "Type 2 diabetes", "logistic", "log odds", variants),
        ),
        scores=scores(),
        risk_models=(risk_model(),),
        truth=(
            c.Metric(
                label="Causal variants found at P < 5×10⁻⁸",
                value=0.62,
                digits=2,
                meaning="of planted variants with power above 80%",
            ),
            c.Metric(label="Correlation of score and planted liability", value=0.41, low=0.38, high=0.44),
        ),
        methods=(
            c.Note(
                heading="Association",
                paragraphs=(
                    "Each trait was regressed on the number of copies of each variant, with age, sex and ten "
                    "principal components. Diseases used logistic regression; rare results were refitted by "
                    "Firth's penalised likelihood.",
                ),
            ),
            c.Note(
                heading="Polygenic scores",
                paragraphs=(
                    "Variants were clumped (r² 0.1, 250 kb) and thresholded in discovery families; scores "
                    "were measured in families that had no part in discovery.",
                ),
            ),
        ),
        limits=(
            "The region is synthetic: effects were planted and no finding is about real people.",
            "Risks are those of one region and period; they need recalibration elsewhere.",
            "Most genotyped people are of European genetic similarity; accuracy is lower in other groups.",
        ),
    )


def receipts() -> c.Receipts:
    return c.Receipts(
        run_id="r-20240301-7c1e",
        version="0.1.0",
        seed=1,
        study_sha256=SYNTHETIC_SHA,
        manifest_sha256="ab12cd34" * 8,
        inputs=tuple(
            c.InputFile(name=name, sha256=f"{at:08x}" * 8)
            for at, name in enumerate(("gp_events.parquet", "hospital_admissions.csv", "region.bed"), 17)
        ),
        software={"python": "3.11.7", "numpy": "2.1.0", "duckdb": "1.5.0"},
    )


def flow(rows: tuple[tuple[str, c.Count, int, str], ...]) -> tuple[c.FlowStep, ...]:
    return tuple(c.FlowStep(label=a, removed=b, remaining=d, why=e) for a, b, d, e in rows)


def intake() -> tuple[c.IntakeRow, ...]:
    def row(
        source: str, table: str, read: int, rejected: c.Count, *reasons: tuple[str, c.Count]
    ) -> c.IntakeRow:
        lost = rejected if isinstance(rejected, int) else 5
        return c.IntakeRow(
            source=source,
            table=table,
            read=read,
            accepted=read - lost,
            rejected=rejected,
            reasons=tuple(c.RejectReason(reason=r, rows=n) for r, n in reasons),
        )

    return (
        row("General practice", "patients", 19_860, 0),
        row("General practice", "registrations", 24_310, 45, ("end before start", 45)),
        row(
            "General practice",
            "events",
            1_204_560,
            1_830,
            ("date missing", 1_250),
            ("date in the future", 570),
            ("code missing", "<10"),
        ),
        row("General practice", "prescriptions", 512_045, 210, ("date missing", 210)),
        row("Hospital", "admissions", 41_220, 95, ("discharge before admission", 95)),
        row("Deaths", "deaths", 2_015, "<10", ("no cause", "<10")),
        row("Biobank", "samples", 6_050, 0),
    )


def phenotypes(rng: np.random.Generator) -> tuple[c.PhenotypeSummary, ...]:
    def one(name: str, label: str, definition: str, base: float, slope: float) -> c.PhenotypeSummary:
        cells = []
        for sex, more in (("Women", 0.8), ("Men", 1.2)):
            for at, band in enumerate(BANDS):
                people = int(1_300 - 110 * at + rng.integers(0, 60))
                cases = int(rng.binomial(people, min(0.9, base * more * np.exp(slope * at))))
                cells.append(
                    c.AgeSexCell(age_band=band, sex=sex, cases=RULE.show(cases), people=RULE.show(people))
                )
        return c.PhenotypeSummary(
            name=name,
            label=label,
            definition=definition,
            cases=1_450,
            controls=11_800,
            excluded=140,
            unknown=85,
            cells=tuple(cells),
        )

    t2d, chd, asthma = (
        one(
            "t2d",
            "Type 2 diabetes",
            "Type 2 diabetes codes on two dates at least 30 days apart, or one code and a "
            "diabetes medicine, or HbA1c of at least 48 mmol/mol. Nobody with a code for type 1 diabetes.",
            0.006,
            0.62,
        ),
        one(
            "chd",
            "Coronary heart disease",
            "Any code for angina, heart attack or other ischaemic heart disease, or a coronary procedure.",
            0.002,
            0.78,
        ),
        one("asthma", "Asthma", "Asthma codes on two dates, or one code and an inhaler.", 0.09, 0.02),
    )
    return (
        dataclasses.replace(
            t2d, overall=0.042, prevalence=prevalence(t2d.cells), incidence=incidence(range(2012, 2020))
        ),
        dataclasses.replace(
            chd, prevalence=prevalence(()), incidence=incidence((), hidden=range(2012, 2016))
        ),
        dataclasses.replace(
            asthma, prevalence=prevalence(asthma.cells), incidence=incidence((), hidden=range(2012, 2016))
        ),
    )


def prevalence(cells: tuple[c.AgeSexCell, ...]) -> tuple[c.PrevalenceCell, ...]:
    def one(cell: c.AgeSexCell) -> c.PrevalenceCell:
        share = None
        if isinstance(cell.cases, int) and isinstance(cell.people, int):
            share = cell.cases / cell.people
        return c.PrevalenceCell(
            age_band=cell.age_band,
            sex=cell.sex,
            cases=cell.cases,
            people=cell.people,
            share=share,
            low=None if share is None else 0.9 * share,
            high=None if share is None else 1.1 * share,
        )

    return tuple(one(cell) for cell in cells)


def incidence(shown: Iterable[int], *, hidden: Iterable[int] = ()) -> tuple[c.IncidenceYear, ...]:
    return (
        *(c.IncidenceYear(year=y, events=40, person_years=9_000, rate=4.4, low=3.2, high=6.0) for y in shown),
        *(
            c.IncidenceYear(year=y, events="<10", person_years=9_000, rate=None, low=None, high=None)
            for y in hidden
        ),
    )


def traits(rng: np.random.Generator) -> tuple[c.TraitSummary, ...]:
    def one(name: str, label: str, unit: str, mean: float, sd: float, definition: str) -> c.TraitSummary:
        values = rng.normal(mean, sd, 9_000)
        return c.TraitSummary(
            name=name,
            label=label,
            unit=unit,
            definition=definition,
            people=9_000,
            mean=float(values.mean()),
            sd=float(values.std()),
            quartiles=tuple(np.quantile(values, [0.25, 0.5, 0.75]).tolist()),
            rejected_unit=35,
            rejected_implausible="<10",
            distribution=histogram(values, label=label, unit=unit, bins=28),
        )

    return (
        one(
            "ldl",
            "LDL cholesterol",
            "mmol/L",
            3.3,
            0.9,
            "Median of the five years before the index date; divided by 0.7 in people taking a statin.",
        ),
        one("bmi", "Body mass index", "kg/m²", 27.1, 4.8, "Measurement nearest the index date."),
        one(
            "sbp",
            "Systolic blood pressure",
            "mmHg",
            136,
            17,
            "Median of five years; 15 mmHg added in people taking medicine for blood pressure.",
        ),
    )


def quality(rng: np.random.Generator) -> c.QcSummary:
    return c.QcSummary(
        people_flow=flow(
            (
                ("Samples read", 0, 6_050, ""),
                ("Call rate at least 97%", 60, 5_990, ""),
                ("Sex agrees with the record", 20, 5_970, ""),
                ("Heterozygosity within 4 SD", 15, 5_955, ""),
                ("Not a duplicate", 45, 5_910, ""),
            )
        ),
        variant_flow=(
            c.VariantStep(label="Variants read", threshold="", removed=0, remaining=20_000),
            c.VariantStep(label="Call rate", threshold="≥ 98%", removed=212, remaining=19_788),
            c.VariantStep(label="Minor allele frequency", threshold="≥ 1%", removed=1_431, remaining=18_357),
            c.VariantStep(
                label="Hardy-Weinberg in controls", threshold="P ≥ 10⁻⁶", removed=8, remaining=18_349
            ),
        ),
        distributions=(
            histogram(1 - rng.beta(1.2, 90, 6_050), label="Call rate of people", threshold=0.97, bins=25),
            histogram(
                rng.normal(0, 1, 6_050), label="Heterozygosity", unit="SD", threshold=(-4.0, 4.0), bins=25
            ),
            histogram(
                rng.beta(0.7, 1.6, 20_000) / 2,
                label="Minor allele frequency",
                of="variants",
                threshold=0.01,
                bins=25,
            ),
        ),
        relatives=(
            c.NamedCount(label="Duplicates or identical twins", people=45),
            c.NamedCount(label="Parent and child, or full siblings", people=310),
            c.NamedCount(label="Second degree", people="<10"),
        ),
        densities=(
            density(
                rng.gamma(1.5, 0.3, 6_050),
                rng.normal(0, 1.1, 6_050),
                x_range=(0, 4),
                y_range=(-8, 8),
                name="heterozygosity",
                label="Heterozygosity against missing calls",
                x_label="Missing calls (%)",
                y_label="Excess of heterozygotes",
                of="people",
                x_lines=((3, ""),),
                y_lines=((5, "limit"),),
            ),
            variant_density(
                rng.uniform(0, 1, 5_000),
                rng.uniform(0, 1, 5_000),
                x_range=(0, 1),
                y_range=(0, 1),
                name="reference",
                label="Frequencies beside the reference",
                x_label="There",
                y_label="Here",
                band=0.2,
            ),
        ),
        hwe_log10_p=rng.exponential(1 / np.log(10), 3_000),
        hwe_limit=6.0,
        checks=(c.Metric(label="Ti/Tv", value=2.1, low=2.0, high=2.2, meaning="About 2.1 in genomes."),),
        reference=(c.VariantCount(label="Same alleles", variants=17_000),),
    )


def ancestry(rng: np.random.Generator) -> c.PcaMap:
    centres = {
        "European": (-0.01, 0.004, 3_900),
        "South Asian": (0.012, 0.022, 900),
        "African": (0.045, -0.02, 600),
        "East Asian": (0.02, 0.045, 160),
        "Unknown": (0.01, 0.0, 7),
    }
    parts = [
        (rng.normal(x, 0.004, n), rng.normal(y, 0.0035, n), [label] * n)
        for label, (x, y, n) in centres.items()
    ]
    return pca_map(
        np.concatenate([p[0] for p in parts]),
        np.concatenate([p[1] for p in parts]),
        np.concatenate([p[2] for p in parts]),
        explained=(0.041, 0.023),
        bins=48,
    )


def scan(rng: np.random.Generator, name: str, label: str, kind: str, unit: str, m: int) -> c.Association:
    lengths = np.array(
        [
            249,
            243,
            198,
            191,
            181,
            171,
            159,
            146,
            141,
            136,
            135,
            134,
            115,
            107,
            103,
            90,
            81,
            78,
            59,
            63,
            48,
            51,
            155,
        ],
        dtype=float,
    )
    share = np.floor(m * lengths / lengths.sum()).astype(int)
    chrom = np.repeat([*map(str, range(1, 23)), "X"], share)
    pos = np.concatenate(
        [np.sort(rng.integers(1, int(size * 1e6), k)) for size, k in zip(lengths, share, strict=True)]
    )
    height = -np.log10(rng.uniform(size=pos.size)) * 1.03
    loci = []
    for gene, at_chrom, strength in (
        ("APOE", "19", 37.5),
        ("LDLR", "19", 11.2),
        ("PCSK9", "1", 14.8),
        ("TCF7L2", "10", 9.1),
    ):
        where = np.flatnonzero(chrom == at_chrom)
        lead = int(where[len(where) // (2 if gene != "LDLR" else 5)])
        near = np.arange(max(lead - 12, 0), min(lead + 13, pos.size))
        height[near] = np.maximum(
            height[near], strength * np.exp(-np.abs(near - lead) / 4) * rng.uniform(0.6, 1, near.size)
        )
        height[lead] = strength
        loci.append(
            c.Locus(
                variant=f"rs{100_000 + lead}",
                chrom=at_chrom,
                pos=int(pos[lead]),
                effect_allele="T",
                other_allele="C",
                frequency=0.21,
                effect=-0.14 if gene == "PCSK9" else 0.24,
                se=0.018,
                log10_p=strength,
                nearby=gene,
            )
        )
    return c.Association(
        name=name,
        label=label,
        kind=kind,
        unit=unit,
        people=4_205,
        chrom=chrom,
        pos=pos.astype(np.int64),
        log10_p=height,
        cases=780 if kind == "logistic" else None,
        controls=3_425 if kind == "logistic" else None,
        loci=tuple(sorted(loci, key=lambda locus: -locus.log10_p)),
        regions=tuple(region(rng, locus) for locus in loci[:2]),
        not_fitted=3,
        model="with age, sex and 10 principal components",
    )


def scores() -> tuple[c.ScorePerformance, ...]:
    tenths = tuple(
        c.ScoreGroup(
            label=str(k),
            people=215,
            value=0.05 + 0.009 * k + 0.004 * (k == 10),
            low=0.03 + 0.008 * k,
            high=0.08 + 0.0105 * k,
        )
        for k in range(1, 11)
    )
    groups = (
        c.ScoreGroup(label="European", people=1_720, value=1.62, low=1.45, high=1.80),
        c.ScoreGroup(label="South Asian", people=260, value=1.41, low=1.08, high=1.86),
        c.ScoreGroup(label="African", people=120, value=1.12, low=0.78, high=1.60),
    )
    return (
        c.ScorePerformance(
            name="t2d-ct",
            label="Type 2 diabetes score",
            trait="Type 2 diabetes",
            variants_listed=412,
            variants_used=405,
            weight_used=0.991,
            evaluated_in="target families, none of them in discovery",
            people=2_140,
            events=245,
            metrics=(
                c.Metric(
                    label="Odds ratio per SD", value=1.58, low=1.40, high=1.78, meaning="1 means no use"
                ),
                c.Metric(label="AUC", value=0.63, low=0.60, high=0.66, meaning="0.5 is chance, 1 is perfect"),
                c.Metric(
                    label="Liability R²",
                    value=0.061,
                    low=0.042,
                    high=0.083,
                    digits=3,
                    meaning="share of liability explained",
                ),
            ),
            value_label="With type 2 diabetes",
            as_percent=True,
            groups=tenths,
            by_group=groups,
        ),
    )


def risk_model() -> c.RiskModelSummary:
    rng = np.random.default_rng(4)
    points = []
    for k in range(10):
        predicted = 0.004 * 1.45**k * 2
        observed = float(np.clip(predicted * (1 + rng.normal(0, 0.08)), 0, 1))
        points.append(
            c.CalibrationPoint(
                predicted=predicted,
                observed=observed,
                low=max(observed - 0.012 - 0.1 * predicted, 0),
                high=observed + 0.013 + 0.12 * predicted,
                people=215,
            )
        )
    metric = [
        ("C-index", 0.742, 0.718, 0.766, "chance of ranking two people rightly; 0.5 is chance", 3),
        ("AUC at 10 years", 0.751, 0.726, 0.776, "the same at the horizon", 3),
        ("Calibration slope", 0.97, 0.84, 1.10, "1 is ideal; below 1, predictions are too extreme", 2),
        ("Observed over expected", 1.03, 0.92, 1.15, "1 is ideal", 2),
    ]
    return c.RiskModelSummary(
        name="chd_10y",
        label="coronary heart disease",
        horizon_years=10,
        fitted_in=2_150,
        fitted_events=160,
        evaluated_in=2_140,
        evaluated_events=155,
        competing_deaths=190,
        coefficients=(
            c.Coefficient(label="Age", unit="per 10 years", hazard_ratio=1.82, low=1.6, high=2.07),
            c.Coefficient(label="Sex", unit="men against women", hazard_ratio=1.65, low=1.31, high=2.08),
            c.Coefficient(
                label="Current smoker", unit="against never", hazard_ratio=1.9, low=1.42, high=2.54
            ),
            c.Coefficient(
                label="Systolic pressure", unit="per 20 mmHg", hazard_ratio=1.31, low=1.15, high=1.49
            ),
            c.Coefficient(label="HDL cholesterol", unit="per mmol/L", hazard_ratio=0.66, low=0.47, high=0.93),
            c.Coefficient(label="Genetic score", unit="per SD", hazard_ratio=1.34, low=1.18, high=1.52),
        ),
        metrics=tuple(
            c.Metric(label=a, value=v, low=lo, high=hi, meaning=m, digits=d) for a, v, lo, hi, m, d in metric
        ),
        clinical_metrics=tuple(
            c.Metric(label=a, value=v - 0.011, low=lo - 0.01, high=hi - 0.01, digits=d)
            for a, v, lo, hi, _, d in metric
        ),
        calibration=tuple(points),
        groups=(
            c.ScoreGroup(label="Women", people=1_090, value=1.01, low=0.83, high=1.22),
            c.ScoreGroup(label="Men", people=1_050, value=1.05, low=0.90, high=1.21),
            c.ScoreGroup(label="European", people=1_720, value=1.02, low=0.9, high=1.16),
            c.ScoreGroup(label="South Asian", people=260, value=1.12, low=0.8, high=1.55),
        ),
    )


def outcome(*, name: str = "coronary heart disease", plain: str = "heart disease") -> c.PatientOutcome:
    """An outcome with a risk: 8 in 100, range 5 to 12, average 5."""
    return c.PatientOutcome(
        name=name,
        plain_name=plain,
        horizon_years=10,
        result=c.RiskResult(
            integrated=c.Risk(risk=0.081, low=0.053, high=0.121),
            average=c.AverageRisk(risk=0.049),
            clinical_only=c.Risk(risk=0.067, low=0.044, high=0.101),
            other_death=0.028,
            contributions=(
                c.Contribution(label="Smoking", value="current", points=1.9),
                c.Contribution(label="Systolic pressure", value="148 mmHg", points=0.9),
                c.Contribution(label="LDL cholesterol", value="4.1 mmol/L", points=0.5),
                c.Contribution(label="HDL cholesterol", value="1.9 mmol/L", points=-1.1),
                c.Contribution(label="Body mass index", value="23.4 kg/m²", points=-0.3),
                c.Contribution(label="Air pollution (PM2.5)", value="not recorded", points=-0.1),
                c.Contribution(label="Genetic score", value="84th percentile", points=1.4, kind="genetic"),
            ),
            genetic=c.GeneticResult(
                score_name="Coronary score, clumped and thresholded, 512 variants",
                percentile=84,
                low=66,
                high=94,
                compared_with="people of similar genetic ancestry in this study",
            ),
        ),
        trust=c.Trust(
            coverage=0.94,
            coverage_floor=0.8,
            ancestry_distance=1.2,
            ancestry_limit=4.0,
            ancestry_text="Close to the people the score was made in.",
            validation=c.ValidationGroup(
                label="Women aged 45 to 59",
                people=420,
                events=25,
                predicted=0.058,
                observed=0.061,
                low=0.041,
                high=0.087,
            ),
            missing_inputs=("air pollution",),
        ),
        inputs=(
            c.InputValue(label="Smoking", value="current", date="2011-06-14"),
            c.InputValue(label="Systolic pressure", value="148 mmHg", date="2011-10-02"),
            c.InputValue(label="LDL cholesterol", value="4.1 mmol/L", date="2010-03-21"),
            c.InputValue(label="HDL cholesterol", value="1.9 mmol/L", date="2010-03-21"),
            c.InputValue(label="Body mass index", value="23.4 kg/m²", date="2011-10-02"),
            c.InputValue(label="Air pollution (PM2.5)", value="not recorded"),
        ),
    )


def crowded() -> c.PatientOutcome:
    """The fullest outcome: more factors, inputs and notes than most, and long words."""
    base = outcome(name="coronary heart disease or ischaemic stroke", plain="heart disease or stroke")
    assert isinstance(base.result, c.RiskResult)
    more = tuple(
        c.Contribution(label=f"Further measurement number {k}", value="123.4 mL/min/1.73m²", points=0.0)
        for k in range(6)
    )
    return dataclasses.replace(
        base,
        result=dataclasses.replace(base.result, contributions=(*base.result.contributions, *more)),
        inputs=(
            *base.inputs,
            *(c.InputValue(label=f"Measurement {k}", value="1.0", date="2011-01-01") for k in range(5)),
        ),
        trust=dataclasses.replace(
            base.trust,
            missing_inputs=("air pollution", "eGFR", "HDL cholesterol"),
            notes=("The score was made in the same region; its accuracy elsewhere has not been measured.",),
        ),
    )


def abstention(name: str = "type 2 diabetes") -> c.PatientOutcome:
    """An outcome without a risk."""
    return c.PatientOutcome(
        name=name,
        plain_name=name,
        horizon_years=10,
        result=c.Abstention(
            reasons=(
                c.Reason(
                    what="Too little of the genetic score could be read",
                    meaning="Variants that carry a large part of the score are missing from this sample.",
                    remedy="a new sample, or a score made of variants that this array reads.",
                ),
                c.Reason(
                    what="The score was not made in people like this person",
                    meaning="Genetic distance is beyond that of anyone the score was tested in.",
                ),
            )
        ),
    )


def patient(*outcomes: c.PatientOutcome) -> c.PatientContent:
    """One person's content; two outcomes with a risk unless told otherwise."""
    return c.PatientContent(
        pseudonym="P-7F3A-91C2",
        sex="F",
        age=52,
        created="2024-03-01",
        expires="2025-03-01",
        index_date="2012-01-01",
        data_from="2000-01-01",
        data_to="2011-12-31",
        sample_date="2009-05-11",
        population="People registered in the synthetic region",
        outcomes=outcomes or (outcome(), outcome(name="type 2 diabetes", plain="type 2 diabetes")),
        version="0.1.0",
        model="cox-chd-1",
        seed=1,
        run_id="r-20240301-7c1e",
        study_title="Heart disease and diabetes",
        synthetic=True,
    )


def replace(value: object, **changes: object) -> object:
    """`dataclasses.replace`, so that tests need one import."""
    return dataclasses.replace(value, **changes)  # type: ignore[type-var]


def region(rng: np.random.Generator, locus: c.Locus) -> c.Region:
    """Variants and genes around a lead."""
    pos = np.sort(np.append(locus.pos + rng.integers(-250_000, 250_000, 400), locus.pos))
    away = np.abs(pos - locus.pos)
    r2 = np.where(away == 0, 1.0, np.clip(np.exp(-away / 60_000) * rng.uniform(0.2, 1, pos.size), 0, 1))
    return c.Region(
        lead=locus.variant,
        chrom=locus.chrom,
        start=locus.pos - 250_000,
        stop=locus.pos + 250_000,
        variant=np.where(away == 0, locus.variant, [f"rs{k}" for k in range(pos.size)]),
        pos=pos,
        log10_p=np.where(away == 0, locus.log10_p, r2 * locus.log10_p * 0.9 + rng.exponential(0.4, pos.size)),
        r2=np.where(rng.uniform(size=pos.size) < 0.05, np.nan, r2),
        genes=tuple(
            c.Gene(
                name=name,
                start=locus.pos + left,
                end=locus.pos + right,
                strand=strand,
                exons=tuple(
                    (locus.pos + int(x), locus.pos + int(x) + 700) for x in np.linspace(left, right - 700, 5)
                ),
            )
            for name, left, right, strand in (
                (locus.nearby, -20_000, 15_000, "+"),
                ("GENE2", -90_000, -12_000, "-"),
                ("GENE3", 60_000, 190_000, "+"),
            )
        ),
    )
