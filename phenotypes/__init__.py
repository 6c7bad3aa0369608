"""What they have: code lists, rules, phenotypes, traits and outcomes."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from phenotypes.code_counts import codes_in_use
    from phenotypes.codelist import CodeList
    from phenotypes.codelist_lint import lint
    from phenotypes.comorbidities import comorbidity
    from phenotypes.definitions import CategoryTrait, NumericTrait, Outcome, Phenotype
    from phenotypes.derivation import Derived, derive
    from phenotypes.evidence import tell, trace
    from phenotypes.phecode_map import PhecodeMap
    from phenotypes.phenome import phecodes
    from phenotypes.plain_english import explain
    from phenotypes.published_lists import read_published
    from phenotypes.rules import all_of, any_of, has, none_of, prescribed, value
    from phenotypes.spark_session import SparkHub
    from phenotypes.spec import OutcomeSpec, PhenotypeSpec
    from phenotypes.terminology import Terminology

_HOME = {
    "CategoryTrait": "phenotypes.definitions",
    "CodeList": "phenotypes.codelist",
    "Derived": "phenotypes.derivation",
    "NumericTrait": "phenotypes.definitions",
    "Outcome": "phenotypes.definitions",
    "OutcomeSpec": "phenotypes.spec",
    "PhecodeMap": "phenotypes.phecode_map",
    "Phenotype": "phenotypes.definitions",
    "PhenotypeSpec": "phenotypes.spec",
    "SparkHub": "phenotypes.spark_session",
    "Terminology": "phenotypes.terminology",
    "all_of": "phenotypes.rules",
    "any_of": "phenotypes.rules",
    "codes_in_use": "phenotypes.code_counts",
    "comorbidity": "phenotypes.comorbidities",
    "derive": "phenotypes.derivation",
    "explain": "phenotypes.plain_english",
    "has": "phenotypes.rules",
    "lint": "phenotypes.codelist_lint",
    "none_of": "phenotypes.rules",
    "phecodes": "phenotypes.phenome",
    "prescribed": "phenotypes.rules",
    "read_published": "phenotypes.published_lists",
    "tell": "phenotypes.evidence",
    "trace": "phenotypes.evidence",
    "value": "phenotypes.rules",
}

__all__ = [
    "CategoryTrait",
    "CodeList",
    "Derived",
    "NumericTrait",
    "Outcome",
    "OutcomeSpec",
    "PhecodeMap",
    "Phenotype",
    "PhenotypeSpec",
    "SparkHub",
    "Terminology",
    "all_of",
    "any_of",
    "codes_in_use",
    "comorbidity",
    "derive",
    "explain",
    "has",
    "lint",
    "none_of",
    "phecodes",
    "prescribed",
    "read_published",
    "tell",
    "trace",
    "value",
]


def __getattr__(name: str) -> Any:
    # Looked up on first use, so that importing the package loads nothing heavy.
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
