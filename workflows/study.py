"""The study file: what a study declares, checked before anything runs.

The classes here are the schema; ``careome study schema`` prints it as JSON Schema so that editors can
complete and check study files. Paths are taken from the folder of the study file.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from cohorts.table_source import TableSource
from phenotypes.library import ConditionSpec
from phenotypes.rulespec import fault_at
from phenotypes.spec import CategoryTraitSpec, NumericTraitSpec, OutcomeSpec, TraitSpec, references
from workflows.exposures import ExposureSpec
from workflows.genotype_inputs import GenotypeSource
from workflows.source_specs import Closed, Source, StudyPath, TablePath, region_tables, table_inputs

Fraction = Annotated[float, Field(gt=0, lt=1)]


class About(Closed):
    """What the study is."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$", description="short name, lower case")
    title: str
    summary: str = Field(description="what is asked and why, in plain words, for the public")
    index_date: date = Field(description="the day on which people enter the study")
    data_end: date = Field(description="the last day the records cover")
    seed: int = Field(default=1, ge=0, description="seed of everything random")
    synthetic: bool = Field(default=False, description="true where the people are invented")

    @model_validator(mode="after")
    def _ends_after_index(self) -> Self:
        if self.data_end <= self.index_date:
            raise ValueError("data_end must be later than index_date")
        return self


class DataUse(Closed):
    """Why the data may be used, printed in the cohort report and the crate."""

    purpose: str
    public_benefit: str
    legal_basis: str
    controller: str
    contact: str
    opt_out: str = Field(description="how people can object, and how objections were applied")


class Privacy(Closed):
    """The custodian's side."""

    key: StudyPath = Field(description="project key file, mode 0600")
    crosswalk: StudyPath | None = Field(
        default=None,
        description="folder for each run's sealed table of local identifier to pseudonym (needs custodian)",
    )
    custodian: StudyPath | None = Field(
        default=None, description="the custodian's public key (.pub), to which crosswalks are sealed"
    )
    rejects: StudyPath | None = Field(
        default=None,
        description="where to keep the places of refused rows (.parquet); default beside the key, by the study's name",
    )
    cache: StudyPath | None = Field(
        default=None,
        description="folder, of this study alone, that keeps answers about pseudonymous people for its next run",
    )

    @model_validator(mode="after")
    def _sealed(self) -> Self:
        if self.crosswalk is not None and self.custodian is None:
            raise fault_at(
                "Privacy", ("crosswalk",), "a crosswalk is sealed, so name the custodian's public key"
            )
        return self


class Region(Closed):
    """Tables about the region as a whole."""

    optouts: TablePath | None = None
    pollution: TablePath | None = None
    deprivation: TablePath | None = None


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


class Linkage(Closed):
    """How records of one person are brought together."""

    threshold: float = Field(default=0.95, gt=0.5, lt=1, description="least match probability of a link")
    review: StudyPath | None = Field(
        default=None, description="where to list pairs for clerical review (.tsv); a custodian's place"
    )
    review_band: tuple[float, float] = Field(
        default=(0.5, 0.99), description="match probabilities of the pairs to list, from and below"
    )
    review_most: int = Field(default=1000, ge=0, description="longest list for review")
    decisions: list[StudyPath] = Field(
        default_factory=list, description="review lists with the column decision filled in: same or different"
    )
    engine: Literal["local", "spark"] = Field(
        default="local", description="spark needs careome[spark] and gives the same links"
    )
    spark_master: str = Field(default="local[*]", description="where Spark runs, e.g. spark://host:7077")

    @model_validator(mode="after")
    def _kept_apart(self) -> Self:
        if self.review is not None and self.review in self.decisions:
            raise fault_at("Linkage", ("review",), "the next list would replace the decisions of the last")
        low, high = self.review_band
        if not 0.01 <= low <= high <= 1:
            raise fault_at("Linkage", ("review_band",), "two numbers from 0.01 to 1, the lower first")
        return self


class RecordsEngine(Closed):
    """What derives phenotypes, traits and outcomes from the linked records."""

    engine: Literal["local", "spark"] = Field(
        default="local", description="spark needs careome[spark] and gives the same answers"
    )
    spark_master: str = Field(default="local[*]", description="where Spark runs, e.g. spark://host:7077")


class PopulationRule(Closed):
    """Who is in the study on the index date."""

    age: tuple[int, int] = Field(default=(18, 110), description="youngest and oldest age in years")
    registered_days: int = Field(default=365, ge=0, description="days of registration before the index date")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not 0 <= self.age[0] <= self.age[1]:
            raise fault_at("PopulationRule", ("age",), "the youngest age comes first, then the oldest")
        return self


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


class Study(Closed):
    """A whole study."""

    study: About
    data_use: DataUse
    privacy: Privacy
    sources: dict[str, Source] = Field(min_length=1)
    region: Region = Region()
    genotypes: GenotypeFile
    linkage: Linkage = Linkage()
    records: RecordsEngine = RecordsEngine()
    population: PopulationRule = PopulationRule()
    codelists: dict[str, StudyPath]
    phenotypes: dict[str, ConditionSpec] = Field(default_factory=dict)
    traits: dict[str, TraitSpec] = Field(default_factory=dict)
    exposures: dict[str, ExposureSpec] = Field(default_factory=dict)
    outcomes: dict[str, OutcomeSpec] = Field(default_factory=dict)
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
    def _names_exist(self) -> Self:
        covered = (self.study.data_end - self.study.index_date).days / 365.25
        for name, outcome in self.outcomes.items():
            if outcome.years > covered + 0.01:
                raise fault_at(
                    "Study",
                    ("outcomes", name, "years"),
                    f"the records end {covered:.1f} years after the index date, before {outcome.years:g} have passed",
                )
        clash = sorted(set(self.phenotypes) & set(self.traits))
        if clash:
            raise fault_at("Study", ("traits", clash[0]), "a phenotype has this name already")
        for name, exposure in self.exposures.items():
            if exposure.at is not None:
                _known(("exposures", name, "at"), [exposure.at], self.outcomes, "outcome")
            if name in self.phenotypes or name in self.trait_columns():
                raise fault_at("Study", ("exposures", name), "a phenotype or trait has this name already")
        for kind in ("phenotypes", "traits", "outcomes"):
            for name, spec in getattr(self, kind).items():
                for place, codelist in references(spec):
                    _known((kind, name, *place), [codelist], self.codelists, "code list")
        numbers = {*self.phenotypes, *self.exposures, *self.trait_columns()}
        analysed = {*self.phenotypes, *(t for t, spec in self.traits.items() if spec.kind == "number")}
        _known(("association", "traits"), self.association.traits, analysed, "phenotype or trait")
        _known(
            ("association", "covariates"), self.association.covariates, {"age", "sex", *numbers}, "covariate"
        )
        both = sorted(set(self.association.traits) & set(self.association.covariates))
        if both:
            raise fault_at("Study", ("association", "covariates"), f"{both[0]} cannot explain itself")
        for number, risk in enumerate(self.risk):
            place = ("risk", number)
            _known((*place, "outcome"), [risk.outcome], self.outcomes, "outcome")
            asked = self.outcomes[risk.outcome]
            if asked.entry is not None or asked.landmark_days:
                raise fault_at(
                    "Study",
                    (*place, "outcome"),
                    "a risk is predicted from the index date, so its outcome cannot have 'entry' or 'landmark_days'",
                )
            _known((*place, "score_for"), [risk.score_for], self.association.traits, "analysed trait")
            _known((*place, "factors"), risk.factors, {"age", "sex", *numbers}, "factor")
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

    def trait_columns(self) -> dict[str, str]:
        """Column of every number the traits give, with its label; the last level of a category has none."""
        columns: dict[str, str] = {}
        for name, spec in self.traits.items():
            if isinstance(spec, CategoryTraitSpec):
                columns |= {f"{name}_{level}": f"{spec.label}: {level}" for level in list(spec.levels)[:-1]}
            else:
                columns[name] = spec.label
        return columns

    def region_tables(self) -> Mapping[str, TableSource]:
        """Tables about the region, as they are read."""
        return region_tables({name: getattr(self.region, name) for name in type(self.region).model_fields})

    def label_of(self, name: str) -> str:
        """What a column is called in front of people."""
        if name in self.phenotypes:
            return self.phenotypes[name].label
        if name in self.exposures:
            return self.exposures[name].label or name
        fixed = {"age": "Age", "sex": "Sex"}
        return self.trait_columns().get(name) or fixed.get(name, name)

    def unit_of(self, name: str) -> str:
        """Unit of a column, as reports print it; '' where it has none."""
        if name in self.exposures:
            return self.exposures[name].measured_in
        spec = self.traits.get(name)
        return spec.value_unit if isinstance(spec, NumericTraitSpec) else ""

    def input_files(self) -> dict[str, Path]:
        """Every file (or folder of a source) that the study reads, by its place in the study file."""
        files: dict[str, Path] = {}
        for name, source in self.sources.items():
            files |= {f"sources.{name}.{place}": path for place, path in source.inputs()}
        for table in type(self.region).model_fields:
            if (entry := getattr(self.region, table)) is not None:
                files |= {f"region.{place}": path for place, path in table_inputs(table, entry)}
        files |= {f"linkage.decisions.{i}": path for i, path in enumerate(self.linkage.decisions)}
        files |= _genotype_files(self.genotypes)
        files |= {
            f"exposures.{name}": spec.surface
            for name, spec in self.exposures.items()
            if spec.surface is not None
        }
        if self.qc.reference is not None:
            files["qc.reference"] = self.qc.reference
        if self.genes is not None:
            files["genes"] = self.genes
        files |= {f"codelists.{name}": path for name, path in self.codelists.items()}
        files |= {f"scores.published.{i}": path for i, path in enumerate(self.scores.published)}
        return files


def canonical_text(study: Study) -> str:
    """The study as text that is the same wherever its folder lies: paths are reduced to file names.

    What is in the files is told by their own hashes.
    """
    return json.dumps(
        _without_folders(
            study.model_dump(
                exclude={
                    "privacy": {"key", "crosswalk", "custodian", "rejects", "cache"},
                    "linkage": {"review"},
                }
            )
        ),
        sort_keys=True,
    )


def _without_folders(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_folders(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_folders(item) for item in value]
    return value.name if isinstance(value, Path) else value.isoformat() if isinstance(value, date) else value


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
    """JSON Schema of the study file."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Study.model_json_schema()}


def _known(place: tuple[str | int, ...], names: Iterable[str], known: Iterable[str], what: str) -> None:
    known = set(known)
    article = "an" if what[0] in "aeiou" else "a"
    for name in names:
        if name not in known:
            raise fault_at(
                "Study",
                place,
                f"{name!r} is not {article} {what} of this study, which has {', '.join(sorted(known)) or 'none'}",
            )
