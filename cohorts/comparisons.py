"""What the linkage compares, by which levels, and which pairs it looks at.

Conditions are written once for DuckDB and Spark: ``{jw}``, ``{dl}`` and ``{near}`` stand for what the two
call differently (:data:`DIALECTS`), and all else is SQL that both read alike. Like the rest of the linkage
room this module is in sight of raw identifiers.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

# (label, SQL condition over _l and _r, starting m, starting u); m and u are round figures of our own that
# stand where the data are too few to learn from.
Level = tuple[str, str, float, float]

NEUTRAL = -1.0  # a level that says nothing, because another comparison tells the same fact


@dataclass(frozen=True)
class Dialect:
    """How an engine writes what the conditions need.

    Attributes
    ----------
    jw, dl
        Functions: Jaro-Winkler similarity, Damerau-Levenshtein distance.
    near
        Cheap necessary condition for two texts of one length to be one keystroke apart, or nothing.
    """

    jw: str
    dl: str
    near: str


DIALECTS: Mapping[str, Dialect] = {
    # Birth dates and NHS numbers have ten signs each: one keystroke changes two places at most.
    "duckdb": Dialect("jaro_winkler_similarity", "damerau_levenshtein", "hamming({l}, {r}) <= 2 AND "),
    "spark": Dialect("jaro_winkler", "damerau_levenshtein", ""),
}


_TEN_SIGNS = ("birth", "digits")


def _slip(column: str) -> str:
    guard = f"{{near:{column}}}" if column in _TEN_SIGNS else ""
    return f"{guard}{{dl}}({column}_l, {column}_r) <= 1"


_SAME_FORM = "formal_l = formal_r"
_INITIAL = "(length(given_l) = 1 OR length(given_r) = 1) AND substr(given_l, 1, 1) = substr(given_r, 1, 1)"
# Cheap conditions stand before costly ones: they are necessary (or nearly) and spare most random pairs the
# edit distance.
_CROSSED = (
    "(substr(given_l, 1, 1) = substr(family_r, 1, 1) OR substr(family_l, 1, 1) = substr(given_r, 1, 1)) "
    "AND {jw}(given_l, family_r) >= 0.85 AND {jw}(family_l, given_r) >= 0.85"
)
_POSTCODE_SLIP = (
    "(length(postcode_l) < 5 OR substr(postcode_l, 1, 3) = substr(postcode_r, 1, 3) "
    "OR right(postcode_l, 3) = right(postcode_r, 3)) AND {dl}(postcode_l, postcode_r) <= 1"
)
_TWO_PARTS = (
    " + ".join(
        f"CAST(substr(birth_l, {start}, {length}) = substr(birth_r, {start}, {length}) AS INT)"
        for start, length in ((1, 4), (6, 2), (9, 2))
    )
    + " >= 2"
)
_SAME_STREET = "{jw}(address_l, address_r) >= 0.9"

# Name of a comparison: its columns, and its levels from the strongest agreement down.
COMPARISONS: dict[str, tuple[tuple[str, ...], tuple[Level, ...]]] = {
    "given": (
        ("given",),
        (
            ("exact", "given_l = given_r", 0.86, 0.015),
            ("form of one another", _SAME_FORM, 0.045, 0.002),
            ("initial", _INITIAL, 0.02, 0.001),
            ("alike 0.9", "{jw}(given_l, given_r) >= 0.9", 0.03, 0.004),
            ("alike 0.8", "{jw}(given_l, given_r) >= 0.8", 0.01, 0.008),
            ("crossed, told by family", _CROSSED, NEUTRAL, NEUTRAL),
            ("else", "ELSE", 0.03, 0.97),
        ),
    ),
    "family": (
        ("family",),
        (
            ("exact", "family_l = family_r", 0.88, 0.005),
            ("alike 0.9", "{jw}(family_l, family_r) >= 0.9", 0.03, 0.003),
            ("alike 0.8", "{jw}(family_l, family_r) >= 0.8", 0.01, 0.006),
            ("crossed", _CROSSED, 0.005, 0.00001),
            ("else", "ELSE", 0.075, 0.986),
        ),
    ),
    "birth": (
        ("birth",),
        (
            ("exact", "birth_l = birth_r", 0.96, 0.00004),
            ("day and month swapped", "birth_l = swapped_r", 0.01, 0.00002),
            ("one keystroke", _slip("birth"), 0.015, 0.0012),
            ("two parts of three", _TWO_PARTS, 0.005, 0.006),
            ("else", "ELSE", 0.01, 0.992),
        ),
    ),
    # Birth dates of which one is known to the month or the year only; `part` marks such a record.
    "part": (
        ("part",),
        (
            ("same year and month", "birth_month_l = birth_month_r", 0.48, 0.0006),
            (
                "same year",
                "birth_year_l = birth_year_r AND (birth_month_l IS NULL OR birth_month_r IS NULL)",
                0.49,
                0.007,
            ),
            ("else", "ELSE", 0.03, 0.9924),
        ),
    ),
    "sex": (("sex",), (("exact", "sex_l = sex_r", 0.99, 0.5), ("else", "ELSE", 0.01, 0.5))),
    # One comparison, not two: who shares a postcode mostly shares the address as well.
    "home": (
        ("postcode", "address"),
        (
            ("same postcode and address", f"postcode_l = postcode_r AND {_SAME_STREET}", 0.5, 0.00005),
            ("exact", "postcode_l = postcode_r", 0.2, 0.0003),
            ("same address", _SAME_STREET, 0.05, 0.0001),
            ("one keystroke", _POSTCODE_SLIP, 0.02, 0.001),
            ("same district", "district_l = district_r", 0.06, 0.02),
            ("else", "ELSE", 0.17, 0.978),
        ),
    ),
    "digits": (
        ("digits",),
        (
            ("exact", "digits_l = digits_r", 0.96, 0.00001),
            ("one keystroke", _slip("digits"), 0.025, 0.00001),
            ("else", "ELSE", 0.015, 0.99998),
        ),
    ),
    "email": (
        ("email",),
        (
            ("exact", "email_l = email_r", 0.7, 0.00001),
            ("one keystroke", _slip("email"), 0.05, 0.00001),
            ("same name, other provider", "mailbox_l = mailbox_r", 0.05, 0.0001),
            ("alike 0.9", "{jw}(mailbox_l, mailbox_r) >= 0.9", 0.05, 0.002),
            ("else", "ELSE", 0.15, 0.998),
        ),
    ),
    "phone": (
        ("phone",),
        (
            ("exact", "phone_l = phone_r", 0.6, 0.00001),
            ("one keystroke", _slip("phone"), 0.02, 0.00001),
            ("else", "ELSE", 0.38, 0.99998),
        ),
    ),
}

# Comparisons of columns that older sources lack are left out where nobody has them.
_WITH_ADDRESS = ("same postcode and address", "same address")

# Plain words for a level, where its label is not plain enough for a clerk.
PLAIN: Mapping[str, str] = {
    "exact": "same",
    "form of one another": "one is a form of the other",
    "initial": "one is the other's initial",
    "alike 0.9": "very alike",
    "alike 0.8": "alike",
    "crossed": "given and family name exchanged",
    "crossed, told by family": "given and family name exchanged",
    "else": "different",
}
NAMES: Mapping[str, str] = {
    "given": "given name",
    "family": "family name",
    "birth": "birth date",
    "part": "birth date, known in part",
    "sex": "sex",
    "home": "postcode and address",
    "digits": "NHS number as typed",
    "email": "e-mail",
    "phone": "telephone",
}

# What a pair must have besides birth date and sex to be linked by probability: points for what agrees. Who was
# born when, and which sex, is shared by too many to be anybody, however small the sources and so however likely
# a match. Same district counts for nothing: neighbours share it.
EVIDENCE: Mapping[str, Mapping[str, int]] = {
    "given": {"exact": 1, "form of one another": 1, "initial": 1, "alike 0.9": 1},
    "family": {"exact": 1, "alike 0.9": 1, "crossed": 2},
    "home": {"same postcode and address": 1, "exact": 1, "same address": 1, "one keystroke": 1},
    "digits": {"exact": 1, "one keystroke": 1},
    "email": {"exact": 1, "one keystroke": 1, "same name, other provider": 1, "alike 0.9": 1},
    "phone": {"exact": 1, "one keystroke": 1},
}
LEAST_WITH_BIRTH = 1
LEAST_WITHOUT_BIRTH = 2
"""Points needed where the birth date agrees to the day (or but for a slip), and where it does not or is not known."""
BIRTH_AGREES = ("exact", "day and month swapped", "one keystroke")

# Rare values weigh more than common ones where a column's values repeat unevenly.
UNEVEN = ("given", "family")

# A rule is a list of columns that a pair must agree on: (left, right).
Rule = tuple[tuple[str, str], ...]


def _on(*columns: str) -> Rule:
    pairs = (name.partition("=") for name in columns)
    return tuple((left, right or left) for left, _, right in pairs)


# Each pair of records that could match must agree on the columns of one rule.
BLOCKS: tuple[Rule, ...] = (
    _on("digits"),
    _on("birth", "family"),
    _on("birth", "formal"),
    _on("birth", "postcode"),
    _on("birth", "given=family"),
    _on("birth", "family=given"),
    _on("formal", "family", "birth_year"),
    _on("postcode", "swapped=birth"),
    _on("formal", "swapped=birth"),
    _on("family", "swapped=birth"),
    _on("postcode", "formal"),
    _on("postcode", "family"),
    _on("postcode", "given=family"),
    _on("postcode", "family=given"),
    _on("email"),
    _on("phone"),
    _on("address", "formal"),
    _on("address", "family"),
)

# Wider rules, for sources whose records are poor: used where the pairs they make are few enough.
WIDE: tuple[Rule, ...] = (
    _on("mailbox"),
    _on("formal", "family"),
    _on("address"),
    _on("birth"),
    _on("postcode"),
    _on("formal", "birth_year"),
    _on("family", "birth_year"),
    _on("family"),
)

# Expectation maximisation runs once a rule; between them every comparison is free in at least one.
LEARNING: tuple[tuple[str, ...], ...] = (
    ("digits",),
    ("birth", "family"),
    ("given", "family"),
    ("postcode", "birth"),
    ("email",),
)


def columns_of(names: Collection[str]) -> set[str]:
    """All columns that these comparisons look at."""
    return {column for name in names for column in COMPARISONS[name][0]}


def levels_of(name: str, held: Collection[str]) -> list[Level]:
    """Levels of a comparison, without those of columns that hold nothing.

    Examples
    --------
    >>> [level[0] for level in levels_of("home", {"postcode"})]
    ['exact', 'one keystroke', 'same district', 'else']
    """
    levels = COMPARISONS[name][1]
    if name == "home" and "address" not in held:
        return [level for level in levels if level[0] not in _WITH_ADDRESS]
    return list(levels)


def comparable_sql() -> str:
    """Condition of a record that holds enough for any pair of it to come to the least evidence.

    Examples
    --------
    >>> comparable_sql().startswith("(given IS NOT NULL)::INT + (family IS NOT NULL)::INT + (postcode IS NOT")
    True
    """
    held = " + ".join(
        f"({' OR '.join(f'{column} IS NOT NULL' for column in COMPARISONS[name][0])})::INT"
        for name in EVIDENCE
    )
    return f"{held} >= CASE WHEN birth IS NULL THEN {LEAST_WITHOUT_BIRTH} ELSE {LEAST_WITH_BIRTH} END"


def null_condition(name: str, held: Collection[str]) -> str:
    """Where a comparison says nothing: a side that holds none of its columns, or is known too well for it."""
    if name == "part":
        return "(part_l IS NULL AND part_r IS NULL) OR birth_year_l IS NULL OR birth_year_r IS NULL"
    used = [column for column in COMPARISONS[name][0] if column in held]
    return " AND ".join(f"({column}_l IS NULL OR {column}_r IS NULL)" for column in used)


def written(condition: str, dialect: str) -> str:
    """A condition as an engine reads it.

    Examples
    --------
    >>> written(COMPARISONS["digits"][1][1][1], "duckdb")
    'hamming(digits_l, digits_r) <= 2 AND damerau_levenshtein(digits_l, digits_r) <= 1'
    >>> written(COMPARISONS["digits"][1][1][1], "spark")
    'damerau_levenshtein(digits_l, digits_r) <= 1'
    """
    engine = DIALECTS[dialect]
    for column in _TEN_SIGNS:
        guard = engine.near.replace("{l}", f"{column}_l").replace("{r}", f"{column}_r")
        condition = condition.replace(f"{{near:{column}}}", guard)
    return condition.replace("{jw}", engine.jw).replace("{dl}", engine.dl)


def rule_sql(rule: Rule) -> str:
    """A blocking rule over ``l`` and ``r``, for pairs not yet settled.

    Examples
    --------
    >>> rule_sql((("birth", "birth"), ("given", "family")))
    'l.birth = r.birth AND l.given = r.family AND l.grp <> r.grp'
    """
    return " AND ".join([*(f"l.{left} = r.{right}" for left, right in rule), "l.grp <> r.grp"])


def rule_text(rule: Rule) -> str:
    """A rule as it is reported.

    Examples
    --------
    >>> rule_text((("birth", "birth"), ("given", "family")))
    'birth, given = family'
    """
    return ", ".join(left if left == right else f"{left} = {right}" for left, right in rule)


def plainly(label: str) -> str:
    """A level in a clerk's words."""
    return PLAIN.get(label, label)
