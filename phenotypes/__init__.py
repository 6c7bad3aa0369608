"""What they have: code lists, rules, phenotypes, traits and outcomes."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from phenotypes.codelist import CodeList
    from phenotypes.definitions import CategoryTrait, NumericTrait, Outcome, Phenotype
    from phenotypes.derivation import Derived, derive
    from phenotypes.plain_english import explain
    from phenotypes.rules import all_of, any_of, has, none_of, prescribed, value
    from phenotypes.spec import OutcomeSpec, PhenotypeSpec

_HOME = {
    "CategoryTrait": "phenotypes.definitions",
    "CodeList": "phenotypes.codelist",
    "Derived": "phenotypes.derivation",
    "NumericTrait": "phenotypes.definitions",
    "Outcome": "phenotypes.definitions",
    "OutcomeSpec": "phenotypes.spec",
    "Phenotype": "phenotypes.definitions",
    "PhenotypeSpec": "phenotypes.spec",
    "all_of": "phenotypes.rules",
    "any_of": "phenotypes.rules",
    "derive": "phenotypes.derivation",
    "explain": "phenotypes.plain_english",
    "has": "phenotypes.rules",
    "none_of": "phenotypes.rules",
    "prescribed": "phenotypes.rules",
    "value": "phenotypes.rules",
}

__all__ = [
    "CategoryTrait",
    "CodeList",
    "Derived",
    "NumericTrait",
    "Outcome",
    "OutcomeSpec",
    "Phenotype",
    "PhenotypeSpec",
    "all_of",
    "any_of",
    "derive",
    "explain",
    "has",
    "none_of",
    "prescribed",
    "value",
]


def __getattr__(name: str) -> Any:
    # Looked up on first use, so that importing the package loads nothing heavy.
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
