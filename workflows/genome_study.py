"""A study of records and genotypes: quality control, association, scores and risk, declared and checked."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from phenotypes.rulespec import fault_at
from workflows.genotype_inputs import GenotypeSource
from workflows.source_specs import Closed, StudyPath
from workflows.study import Study, known

Fraction = Annotated[float, Field(gt=0, lt=1)]


class GenotypeFile(Closed):
    """The genotype matrix."""

    path: StudyPath = Field(description="genotype file (.bed, .pgen, .bgen, .vcf …), or its prefix")
    build: Literal["GRCh36", "GRCh37", "GRCh38"]
    values: Literal["dosage", "hard-call"] | None = Field(
        default=None, description="what scores and association use; default dosage where the file has them"
    )
    hard_call_threshold: float = Field(
        default=0.1, ge=0, lt=0.5, description="a dosage no farther from a whole number is called"
    )
    sample_file: StudyPath | None = Field(default=None, description=".sample file of a BGEN")
    bgen_ref: Literal["first", "last"] = Field(default="first", description="which allele of a BGEN is REF")

    def source(self) -> GenotypeSource:
        """What the commands open."""
        return GenotypeSource(
            path=self.path,
            values=self.values,
            hard_call_threshold=self.hard_call_threshold,
            sample_file=self.sample_file,
            bgen_ref=self.bgen_ref,
        )


class QcSpec(Closed):
    """Thresholds of genotype quality control; a sample or variant beyond one is removed and counted.

    ``null`` switches a step off; the flow then says so.
    """

    gross_variant_call_rate: Fraction | None = Field(
        default=0.80, description="variants called in fewer samples judge nobody"
    )
    duplicate_variants: bool = Field(default=True, description="keep the best of variants listed twice")
    sample_call_rate: Fraction | None = 0.97
    sex_check: bool = Field(default=True, description="remove samples whose X and Y contradict the record")
    female_below: float = Field(default=0.4, description="F on X that speaks for a woman")
    male_above: float = Field(default=0.8, description="F on X that speaks for a man")
    male_y_call_rate: Fraction = Field(default=0.5, description="call rate on Y that speaks for a man")
    heterozygosity_sd: float | None = Field(default=5.0, gt=0, description="robust SD above like ancestry")
    ancestry_sd: float | None = Field(
        default=6.0, gt=0, description="robust SD further from the nearest people than others are"
    )
    remove_ancestry_outliers: bool = Field(default=False, description="else they are marked")
    duplicate_kinship: Fraction = 0.354
    related_kinship: Fraction = 0.0884
    remove_related_above: Fraction | None = Field(default=None, description="null keeps relatives")
    imputation_quality: float | None = Field(default=0.3, ge=0, le=1, description="least INFO, or MaCH r2")
    variant_call_rate: Fraction | None = 0.98
    differential_missingness_p: float | None = Field(
        default=1e-5, ge=0, lt=1, description="missing calls of cases against controls, Fisher's exact P"
    )
    minor_allele_frequency: float | None = Field(default=0.01, ge=0, lt=0.5)
    minor_allele_count: float | None = Field(default=None, ge=0)
    hwe_p: float | None = Field(default=1e-6, ge=0, lt=1)
    male_x_heterozygosity: Fraction | None = Field(default=0.05, description="men heterozygous on X")
    mendel_rate: Fraction | None = Field(default=0.1, description="share of trios wrong at a variant")
    mendel_trio_rate: Fraction = Field(
        default=0.05, description="share of variants at which a trio may be wrong and be believed"
    )
    reference: StudyPath | None = Field(
        default=None, description="frequencies to compare with: .afreq, or a table with REF, ALT, ALT_FREQS"
    )
    reference_column: str | None = Field(default=None, description="its column of the frequency of ALT")
    reference_difference: Fraction | None = Field(default=0.2, description="largest difference of frequency")
    titv: tuple[float, float] | None = Field(
        default=None, description="range of transitions over transversions, e.g. [1.9, 2.3] of whole genomes"
    )

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.female_below > self.male_above:
            raise fault_at("QcSpec", ("female_below",), "female_below is above male_above")
        if self.titv is not None and not 0 < self.titv[0] < self.titv[1]:
            raise fault_at("QcSpec", ("titv",), "the lowest ratio comes first, then the highest")
        if self.reference_column is not None and self.reference is None:
            raise fault_at("QcSpec", ("reference_column",), "there is no reference whose column it could be")
        return self


class Split(Closed):
    """Shares of families used to find associations, to fit the risk model, and to judge it."""

    discovery: Fraction = 0.5
    target: Fraction = 0.25
    validation: Fraction = 0.25

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        if abs(self.discovery + self.target + self.validation - 1) > 1e-9:
            raise ValueError("discovery, target and validation must add up to 1")
        return self


class Association(Closed):
    """Which traits meet the genome, and with what covariates."""

    traits: list[str] = Field(min_length=1, description="names of phenotypes or traits")
    covariates: list[str] = Field(default=["age", "sex"], description="age, sex, or names of traits")
    components: int = Field(default=10, ge=2, le=50, description="number of principal components")
    missing_genotypes: Literal["mean", "complete-case"] = "mean"
    engine: Literal["local", "spark"] = Field(
        default="local", description="spark needs careome[spark] and gives the same answers"
    )
    spark_master: str = Field(default="local[*]", description="where Spark runs, e.g. spark://host:7077")


class DerivedScore(Closed):
    """Clumping and thresholding of the study's own discovery results."""

    clump_r2: Fraction = 0.1
    clump_kb: int = Field(default=250, gt=0)
    thresholds: list[float] = Field(default=[5e-8, 1e-6, 1e-4, 1e-3, 1e-2, 0.05, 0.2], min_length=1)


class Scores(Closed):
    """Polygenic scores."""

    derived: DerivedScore = DerivedScore()
    published: list[StudyPath] = Field(default_factory=list, description="PGS Catalog scoring files")


class RiskSpec(Closed):
    """An absolute risk to be predicted from the index date."""

    outcome: str = Field(description="name of an outcome")
    score_for: str = Field(description="the trait whose polygenic score enters")
    factors: list[str] = Field(
        default=["age", "sex"], description="age, sex, phenotypes, traits or exposures"
    )
    youngest: int = Field(default=40, ge=18, description="youngest age the model is fitted for")
    oldest: int = Field(default=79, le=110)


class PatientReports(Closed):
    """For whom a risk report is made: people of the validation part only."""

    spread: int = Field(default=5, ge=0, le=50, description="people spread evenly over the predicted risk")
    person_ids: list[Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]] = Field(
        default_factory=list, description="pseudonyms, as the reports are named"
    )


class GenomeStudy(Study):
    """A whole study."""

    genotypes: GenotypeFile
    qc: QcSpec = QcSpec()
    split: Split = Split()
    association: Association
    genes: StudyPath | None = Field(
        default=None,
        description="genes of the genotypes' build: UCSC's refGene table, or name chromosome start end strand",
    )
    scores: Scores = Scores()
    risk: list[RiskSpec] = Field(default_factory=list)
    reports: PatientReports = PatientReports()

    @model_validator(mode="after")
    def _analysed_names_exist(self) -> Self:
        numbers = {*self.phenotypes, *self.exposures, *self.trait_columns()}
        analysed = {*self.phenotypes, *(t for t, spec in self.traits.items() if spec.kind == "number")}
        known(("association", "traits"), self.association.traits, analysed, "phenotype or trait")
        known(
            ("association", "covariates"), self.association.covariates, {"age", "sex", *numbers}, "covariate"
        )
        both = sorted(set(self.association.traits) & set(self.association.covariates))
        if both:
            raise fault_at("Study", ("association", "covariates"), f"{both[0]} cannot explain itself")
        for number, risk in enumerate(self.risk):
            place = ("risk", number)
            known((*place, "outcome"), [risk.outcome], self.outcomes, "outcome")
            asked = self.outcomes[risk.outcome]
            if asked.entry is not None or asked.landmark_days:
                raise fault_at(
                    "Study",
                    (*place, "outcome"),
                    "a risk is predicted from the index date, so its outcome cannot have 'entry' or 'landmark_days'",
                )
            known((*place, "score_for"), [risk.score_for], self.association.traits, "analysed trait")
            known((*place, "factors"), risk.factors, {"age", "sex", *numbers}, "factor")
            later = [name for name in risk.factors if self._looks_ahead(name)]
            if later:
                raise fault_at(
                    "Study",
                    (*place, "factors"),
                    f"{', '.join(later)} would use records after the index date "
                    "(give the phenotype 'until: index', the trait 'window_days: [..., 0]')",
                )
        return self

    def _looks_ahead(self, factor: str) -> bool:
        """Whether a factor is made from records after the index date."""
        if factor in self.phenotypes:
            return self.phenotypes[factor].until != "index"
        if factor in self.exposures:
            return self.exposures[factor].at is not None
        for name, spec in self.traits.items():
            if factor == name or (factor.startswith(f"{name}_") and factor in self.trait_columns()):
                return spec.window_days[1] is None or spec.window_days[1] > 0
        return False

    def input_files(self) -> dict[str, Path]:
        """Every file (or folder of a source) that the study reads, by its place in the study file."""
        files = super().input_files() | _genotype_files(self.genotypes)
        if self.qc.reference is not None:
            files["qc.reference"] = self.qc.reference
        if self.genes is not None:
            files["genes"] = self.genes
        return files | {f"scores.published.{i}": path for i, path in enumerate(self.scores.published)}


#: Keys of a study file that only a study with genotypes has.
GENOME_KEYS = tuple(name for name in GenomeStudy.model_fields if name not in Study.model_fields)

#: Those of them that such a study must have.
NEEDED = tuple(name for name in GENOME_KEYS if GenomeStudy.model_fields[name].is_required())


def _genotype_files(chosen: GenotypeFile) -> dict[str, Path]:
    """The genotype file and what belongs to it, by suffix; a file that is not there is named all the same."""
    from gwas.genotypes import FORMATS, locate
    from gwas.genotypes.manifest import fileset

    path = chosen.path
    named = path.name.endswith(tuple(FORMATS))
    if not named and not any(path.with_name(path.name + suffix).exists() for suffix in FORMATS):
        path = path.with_name(f"{path.name}.bed")
    file, suffix = locate(path)
    stem = file.name.removesuffix(suffix)
    files = {
        f"genotypes{member.name[len(stem) :] if member.name.startswith(stem) else f'.{member.name}'}": member
        for member in fileset(file, chosen.sample_file)
    }
    return files if chosen.sample_file is None else files | {"genotypes.sample_file": chosen.sample_file}


def study_schema() -> dict[str, Any]:
    """JSON Schema of the study file, with or without genotypes."""
    schema = GenomeStudy.model_json_schema()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "required": [name for name in schema["required"] if name not in GENOME_KEYS],
        "dependentRequired": {key: [name for name in NEEDED if name != key] for key in GENOME_KEYS},
    }
