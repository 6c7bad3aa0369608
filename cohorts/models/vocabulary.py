"""The vocabulary of an OMOP database: which code a concept is, and which ingredients a medicine contains.

Prescriptions name products (a tablet of a strength, a brand, a pack), code lists name ingredients. The vocabulary
tells which ingredients a product contains: CONCEPT_ANCESTOR for everything from a component to a pack, or, where
that holds none, DRUG_STRENGTH for products with a strength. A source that has either, in its own files or in those of
``vocabulary`` (such as a download from OHDSI's Athena), gets for each prescription a row more for each ingredient
of RxNorm, on the same day; the row of the product stays. So an ingredient in a list means all its products, whatever
the list was made for, and the counts of rows read stay those of the source.

Source: OHDSI, OMOP Common Data Model v5.4, CONCEPT, CONCEPT_ANCESTOR and DRUG_STRENGTH.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from cohorts.hub import Hub
from cohorts.models.shelf import FolderShelf, Shelf
from cohorts.streams import BATCH, FAULT, quoted
from cohorts.tables import Field, TableSpec

CONCEPTS = "intake.__concepts"
CONTAINED = "intake.__contained"

# OMOP vocabulary: our system, as cohorts.tables.SYSTEMS spells it
VOCABULARIES: Mapping[str, str] = {
    "SNOMED": "snomed",
    "ICD10": "icd10",
    "ICD10CM": "icd10cm",
    "ICD9CM": "icd9cm",
    "OPCS4": "opcs4",
    "Read": "read2",
    "dm+d": "dmd",
    "BNF": "bnf",
    "LOINC": "loinc",
    "RxNorm": "rxnorm",
    "CVX": "cvx",
    "ATC": "atc",
    "UCUM": "ucum",
}
INGREDIENT = "Ingredient"

INGREDIENTS_ADDED = "rows added for the ingredients of products, by the source's vocabulary"

_CONCEPT = TableSpec(
    (
        Field("concept_id", "number"),
        Field("vocabulary_id"),
        Field("concept_code"),
        Field("concept_class_id", may_lack=True),
    )
)
#: Tables that tell what a product contains, the most complete first, with their columns of ingredient and product.
_CONTAINING: Mapping[str, tuple[str, str]] = {
    "concept_ancestor": ("ancestor_concept_id", "descendant_concept_id"),
    "drug_strength": ("ingredient_concept_id", "drug_concept_id"),
}
TABLES = ("concept", *_CONTAINING)
VOCABULARY_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "concept": tuple(field.name for field in _CONCEPT.fields),
    **_CONTAINING,
}


def read_concepts(hub: Hub, shelves: Iterable[Shelf]) -> None:
    """Codes of the concepts whose vocabulary is one of ours, into :data:`CONCEPTS`."""
    connection = hub.connection
    connection.execute(
        f"CREATE TABLE {CONCEPTS} "
        "(number BIGINT, known_system VARCHAR, known_code VARCHAR, is_ingredient BOOLEAN)"
    )
    ours = " ".join(f"WHEN {quoted(theirs)} THEN {quoted(name)}" for theirs, name in VOCABULARIES.items())
    known = ", ".join(map(quoted, VOCABULARIES))
    for shelf in shelves:
        if not shelf.has("concept"):
            continue
        for stream in shelf.streams("concept", _CONCEPT):
            told = "concept_class_id" in stream.schema.names
            is_ingredient = (
                f"vocabulary_id = 'RxNorm' AND concept_class_id = '{INGREDIENT}'" if told else "false"
            )
            for batch in stream.batches:
                connection.register(BATCH, batch)
                connection.execute(
                    f"INSERT INTO {CONCEPTS} SELECT TRY_CAST(concept_id AS BIGINT), CASE vocabulary_id {ours} END, "
                    f"concept_code, coalesce({is_ingredient}, false) "
                    f"FROM {BATCH} WHERE vocabulary_id IN ({known}) AND {FAULT} IS NULL"
                )
                connection.unregister(BATCH)
    # a concept is one row; of damaged files with two, the first in order counts
    connection.execute(
        f"CREATE OR REPLACE TABLE {CONCEPTS} AS SELECT number, "
        "arg_min(known_system, row(known_system, known_code)) AS known_system, "
        "arg_min(known_code, row(known_system, known_code)) AS known_code, "
        f"arg_min(is_ingredient, row(known_system, known_code)) AS is_ingredient "
        f"FROM {CONCEPTS} WHERE number IS NOT NULL GROUP BY 1"
    )


def vocabulary_shelf(folder: Path) -> FolderShelf:
    """The files of a vocabulary that lies apart.

    Raises
    ------
    InputError
        It is not there, or has no CONCEPT.
    """
    shelf = FolderShelf(folder)
    shelf.require(["concept"], "a vocabulary of OMOP")
    return shelf


def read_ingredients(hub: Hub, shelves: Iterable[Shelf]) -> bool:
    """What each product contains, into :data:`CONTAINED`; whether the vocabulary tells that of any.

    :func:`read_concepts` comes first.
    """
    connection = hub.connection
    connection.execute(f"CREATE TABLE {CONTAINED} (product BIGINT, ingredient BIGINT)")
    shelves = list(shelves)
    for table, (ingredient, product) in _CONTAINING.items():
        spec = TableSpec((Field(ingredient, "number"), Field(product, "number")))
        for shelf in shelves:
            if shelf.has(table):
                _add_contained(hub, shelf, table, spec)
        found = connection.execute(f"SELECT count(*) FROM {CONTAINED}").fetchone()
        if found and found[0]:
            return True
    return False


def _add_contained(hub: Hub, shelf: Shelf, table: str, spec: TableSpec) -> None:
    ingredient, product = (f"TRY_CAST({field.name} AS BIGINT)" for field in spec.fields)
    for stream in shelf.streams(table, spec):
        for batch in stream.batches:
            hub.connection.register(BATCH, batch)
            hub.connection.execute(
                f"INSERT INTO {CONTAINED} SELECT DISTINCT {product}, {ingredient} FROM {BATCH} "
                f"WHERE {ingredient} IN (SELECT number FROM {CONCEPTS} WHERE is_ingredient) "
                f"AND {product} <> {ingredient} AND {FAULT} IS NULL"
            )
            hub.connection.unregister(BATCH)


def add_ingredients(hub: Hub, source: str) -> int:
    """Rows of the ingredients of a source's prescriptions, beside those of the products; how many there are."""
    added = hub.connection.execute(
        f"""
        INSERT INTO intake.prescriptions BY NAME
        SELECT p.* REPLACE ('rxnorm' AS system, i.known_code AS code)
        FROM intake.prescriptions p
        JOIN (
            SELECT DISTINCT coalesce(d.known_system, 'omop') AS system,
                coalesce(d.known_code, CAST(product AS VARCHAR)) AS code, c.known_code
            FROM {CONTAINED}
            JOIN {CONCEPTS} c ON c.number = ingredient
            LEFT JOIN {CONCEPTS} d ON d.number = product
        ) i USING (system, code)
        WHERE p.source = ?
        """,
        [source],
    ).fetchone()
    return int(added[0]) if added else 0


def drop_vocabulary(hub: Hub) -> None:
    """Take the vocabulary out of the hub."""
    for table in (CONCEPTS, CONTAINED):
        hub.connection.execute(f"DROP TABLE IF EXISTS {table}")
