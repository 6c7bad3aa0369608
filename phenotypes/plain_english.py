"""Definitions in plain English, for the methods section of a report."""

from __future__ import annotations

from datetime import date

from phenotypes.definitions import CategoryTrait, NumericTrait, Outcome, Phenotype
from phenotypes.rules import (
    After,
    Aged,
    AllOf,
    AnyOf,
    AtLeast,
    Before,
    Episodes,
    First,
    Has,
    InOrder,
    Last,
    Lasting,
    Leaf,
    Narrowing,
    Near,
    NoneOf,
    Prescribed,
    Rule,
    Value,
    When,
    Within,
)


def explain(definition: Phenotype | NumericTrait | CategoryTrait | Outcome) -> str:
    """A definition in plain English.

    Parameters
    ----------
    definition
        A phenotype, trait or outcome.

    Returns
    -------
    str
        One paragraph; where a phenotype has alternatives, one line for each.

    Examples
    --------
    >>> from phenotypes.codelist import CodeList
    >>> from phenotypes.rules import has
    >>> rule = has(CodeList.of("gout", [("icd10", "M10*")])).at_least(2, gap_days=30)
    >>> print(explain(Phenotype("gout", rule, label="Gout")).split(". ")[1])
    A case has a record of gout on at least 2 different days, the first and last at least 30 days apart
    """
    if isinstance(definition, Phenotype):
        return _phenotype(definition)
    if isinstance(definition, Outcome):
        return _outcome(definition)
    return _category(definition) if isinstance(definition, CategoryTrait) else _numeric(definition)


def phrase(rule: Rule) -> str:
    """A rule as something a person can have, such as 'a record of t2d'.

    Examples
    --------
    >>> from phenotypes.codelist import CodeList
    >>> from phenotypes.rules import value
    >>> phrase(value(CodeList.of("hba1c", [("snomed", "999791000000106")]), "mmol/mol", at_least=48))
    'an HbA1c measurement of at least 48 mmol/mol'
    """
    if isinstance(rule, Leaf):
        return _leaf(rule)
    if isinstance(rule, AnyOf):
        return _any(rule.parts)
    if isinstance(rule, AllOf):
        parts = [_clause(part) for part in rule.parts]
        plain = all(isinstance(part, Leaf | Narrowing | NoneOf) for part in rule.parts)
        # What has a comma in it cannot be told from the next by another.
        return _join(parts, "and") if plain and ", " not in "".join(parts) else ", and ".join(parts)
    if isinstance(rule, InOrder):
        return f"first {', and later '.join(phrase(part) for part in rule.parts)}"
    if isinstance(rule, NoneOf):
        return _join([_lacking(part) for part in rule.parts], "and")
    inner = phrase(rule.rule)
    if isinstance(rule.rule, AnyOf) and len(rule.rule.parts) > 1:
        inner = f"({inner})"
    if isinstance(rule, Within):
        return f"{inner} {_window((rule.start, rule.end))}"
    if isinstance(rule, Before):
        return f"{inner} before {_when(rule.when)}"
    if isinstance(rule, After):
        return f"{inner} on or after {_when(rule.when)}"
    if isinstance(rule, Aged):
        return f"{inner} {_ages(rule)}"
    if isinstance(rule, First):
        return f"a first record ({inner})"
    if isinstance(rule, Last):
        return f"a latest record ({inner})"
    if isinstance(rule, Near):
        return f"{inner} {'with' if rule.present else 'without'} {phrase(rule.other)} {_around(rule)}"
    if isinstance(rule, Lasting):
        return f"{inner} and another at least {_days(rule.days)} earlier, with no {_bare(rule.other)} between them"
    if isinstance(rule, Episodes):
        return f"{inner}, counting days no more than {_days(rule.gap_days)} apart as one episode"
    assert isinstance(rule, AtLeast)
    if rule.n == 1:
        return inner
    gap = f", the first and last at least {_days(rule.gap_days)} apart" if rule.gap_days else ""
    return f"{inner} on at least {rule.n} different days{gap}"


def _lacking(rule: Rule) -> str:
    return f"not ({phrase(rule)})" if isinstance(rule, InOrder) else f"no {_bare(rule)}"


def _any(rules: tuple[Rule, ...]) -> str:
    """Alternatives, those within alternatives beside the others."""
    flat = [part for rule in rules for part in (rule.parts if isinstance(rule, AnyOf) else (rule,))]
    return _join([_clause(part) for part in flat], "or")


def _clause(rule: Rule) -> str:
    """A rule among others, so that one can see where it ends."""
    if isinstance(rule, AnyOf) and len(rule.parts) > 1:
        return f"either {phrase(rule)}"
    if isinstance(rule, AllOf) and len(rule.parts) > 1:
        return f"{'both' if len(rule.parts) == 2 else 'all of'} {phrase(rule)}"
    if isinstance(rule, NoneOf) and len(rule.parts) == 2:
        return f"neither {' nor '.join(phrase(part) for part in rule.parts)}"
    return phrase(rule)


def _bare(rule: Rule) -> str:
    return phrase(rule).removeprefix("a ").removeprefix("an ")


#: What a kind of record is.
KINDS: dict[str, str] = {
    "event": "as an entry of a record",
    "contact": "as the reason of a contact",
    "diagnosis": "as a diagnosis of a stay in hospital",
    "procedure": "as an operation of a stay in hospital",
    "death": "as a cause of death",
}

#: Abbreviations that names of code lists write in small letters.
ABBREVIATIONS: dict[str, str] = {
    word.lower(): word for word in ("HbA1c", "LDL", "HDL", "BMI", "SBP", "CKD", "COPD", "eGFR", "PSA", "TIA")
}
SAID_WITH_AN = ("HbA1c", "LDL", "HDL", "SBP", "eGFR")


def _name(listed: str) -> str:
    return " ".join(ABBREVIATIONS.get(word, word) for word in listed.split("_"))


def _a(name: str) -> str:
    return f"{'an' if name.startswith(('a', 'e', 'i', 'o', *SAID_WITH_AN)) else 'a'} {name}"


def _leaf(leaf: Leaf) -> str:
    name = _name(leaf.codelist.name)
    if isinstance(leaf, Has):
        said = f"a record of {name}" + (f" from the source {leaf.source}" if leaf.source else "")
        return said + (f" {_join([KINDS[kind] for kind in leaf.kinds], 'or')}" if leaf.kinds else "")
    if isinstance(leaf, Prescribed):
        return f"a prescription of {name}"
    assert isinstance(leaf, Value)
    unit = f" {leaf.unit}" if leaf.unit else ""
    what = f"an eGFR (CKD-EPI 2021, from {name})" if leaf.formula else f"{_a(name)} measurement"
    if leaf.low is None and leaf.high is None:
        return what + (f" in{unit}" if unit else "")
    bounds = []
    if leaf.low is not None:
        bounds.append(f"{'above' if leaf.low_open else 'of at least'} {leaf.low:g}")
    if leaf.high is not None:
        bounds.append(f"{'below' if leaf.high_open else 'at most'} {leaf.high:g}")
    if len(bounds) == 2 and not (leaf.low_open or leaf.high_open):
        return f"{what} from {leaf.low:g} to {leaf.high:g}{unit}"
    said = " and ".join(bounds)
    return f"{what} {'of ' if said.startswith('at most') else ''}{said}{unit}"


def _ages(rule: Aged) -> str:
    if rule.start is None:
        return f"before the age of {rule.end}"
    if rule.end is None:
        return f"at the age of {rule.start} or older"
    return f"at an age from {rule.start} to {rule.end - 1}"


def _phenotype(phenotype: Phenotype) -> str:
    said = [f"{phenotype.label or phenotype.name}."]
    rule = phenotype.rule
    if isinstance(rule, AnyOf) and len(rule.parts) > 1:
        said.append("A case has one or more of:")
        said += [f"\n- {phrase(part)};" for part in rule.parts[:-1]] + [f"\n- {phrase(rule.parts[-1])}.\n"]
    else:
        said.append(f"A case has {phrase(rule)}.")
    if phenotype.exclude:
        clause = _any(phenotype.exclude)
        said.append(f"Whoever has {clause} is neither a case nor a control.")
    if phenotype.sex:
        said.append(f"The condition is defined in {'women' if phenotype.sex == 'F' else 'men'} only.")
    if phenotype.onset == "incident":
        said.append("It must begin on or after the index date: whoever had it before is left out.")
    if phenotype.washout_days:
        said.append(
            f"A case counts where the person had been registered for {_days(phenotype.washout_days)} before "
            "it, so that it is known to be new; others with it are left out."
        )
    if phenotype.exclude_controls:
        clause = _any(phenotype.exclude_controls)
        said.append(f"Whoever is not a case but has {clause} is not used as a control.")
    said.append("Everyone else who was observed is a control.")
    limit = "the index date" if phenotype.until == "index" else "the end of the data"
    said.append(f"Records are used {'before' if phenotype.until == 'index' else 'up to'} {limit}.")
    return " ".join(said).replace(" \n", "\n").replace("\n ", "\n")


PICKS: dict[str, str] = {
    "median": "the median of the days",
    "mean": "the mean of the days",
    "min": "the lowest of the days",
    "max": "the highest of the days",
    "last": "the last day",
    "first": "the first day",
    "nearest": "the day nearest to the index date",
    "slope": "the change a year along the straight line of least squares through the days",
    "sd": "the standard deviation of the days",
    "count": "the number of days",
}


def _numeric(trait: NumericTrait) -> str:
    names = _join([_name(codes.name) for codes in trait.codes], "and")
    window = "" if trait.window_days == (None, None) else f" {_window(trait.window_days)}"
    said = [f"{trait.label or trait.name} in {trait.unit}: measurements of {names}{window}."]
    if trait.formula:
        said.append("Each creatinine gives an eGFR by the CKD-EPI equation of 2021.")
    low, high = trait.plausible
    said.append(
        f"Values in other known units are converted; those in an unknown unit, and those outside {low:g} to "
        f"{high:g} {trait.unit}, are set aside."
    )
    if trait.blank_unit == "assume":
        said.append(f"A value without a unit is taken to be in {trait.source_unit}.")
    for a in trait.adjust:
        add = f"{'raised' if a.add > 0 else 'lowered'} by {abs(a.add):g} {trait.unit}" if a.add else ""
        times = f"multiplied by {a.multiply:.4g}" if a.multiply != 1 else ""
        if a.multiply > 1:
            times = f"divided by {1 / a.multiply:.4g}"
        drug = _name(a.drug.name)
        said.append(
            f"A value measured within {_days(a.within_days)} after a prescription of {drug} is "
            f"{' and '.join(x for x in (add, times) if x)}."
        )
    said.append(f"The median of each day is taken, then {PICKS[trait.pick]}.")
    if trait.at_least > 1 or trait.span_days:
        span = f", the first and last at least {_days(trait.span_days)} apart" if trait.span_days else ""
        said.append(f"A value needs {_days(trait.fewest_days)} or more{span}.")
    if trait.shrink:
        said.append("Slopes are drawn to their mean, the more the less is known of each (empirical Bayes).")
    return " ".join(said)


def _category(trait: CategoryTrait) -> str:
    levels = _join([level for level, _ in trait.levels], "or")
    window = "" if trait.window_days == (None, None) else f" {_window(trait.window_days)}"
    return (
        f"{trait.label or trait.name}: {levels}, as recorded on {PICKS[trait.pick]}"
        f"{window or ' of any record'}; the reference is {trait.levels[-1][0]}."
    )


def _outcome(outcome: Outcome) -> str:
    label, years = outcome.label or outcome.name, f"{outcome.years:g} years"
    plain = outcome.entry is None and not outcome.landmark_days
    begins = "the index date" if plain else "the day that follow-up begins"
    said = [f"{label}: {phrase(outcome.event)}, within {years} of {begins}."]
    if outcome.entry is not None:
        age = "" if outcome.entry.age is None else f" and is {outcome.entry.age} years old or older"
        wait = f"has been registered for {_days(outcome.entry.registered_days)}"
        is_in = wait if outcome.entry.registered_days else "is registered"
        said.append(f"People enter on the first day from the index date on when each {is_in}{age}.")
    if outcome.landmark_days:
        after = "the index date" if outcome.entry is None else "entry"
        said.append(f"Follow-up begins {_days(outcome.landmark_days)} after {after}.")
    if outcome.washout_days is not None:
        before = "the index date" if outcome.entry is None else "entry"
        said.append(
            f"Whoever had it in the {_days(outcome.washout_days)} before {before}, or until follow-up begins, "
            "is left out; earlier records are passed over."
        )
    elif outcome.exclude_prior:
        said.append(f"Whoever had it on or before {'that date' if plain else 'that day'} is left out.")
    age = "" if outcome.until_age is None else f", or at the age of {outcome.until_age}"
    said.append(f"Follow-up ends with the end of registration or of the data{age}.")
    for name, rule in outcome.competing_events:
        said.append(f"A competing event is {_name(name)}: {phrase(rule)}.")
    competing = "a competing event" if outcome.competing else "an end of follow-up like any other"
    said.append(f"Death is {competing}.")
    return " ".join(said)


def _window(window: tuple[int | None, int | None]) -> str:
    start, end = window
    if end == 0:
        return "before the index date" if start is None else f"in the {_days(-start)} before the index date"
    if start == 0:
        return "from the index date on" if end is None else f"in the {_days(end)} from the index date"
    said = [] if start is None else [f"from day {start}"]
    said += [] if end is None else [f"to just before day {end}"]
    return f"{' '.join(said)} of the index date"


def _around(near: Near) -> str:
    start, last = near.start, None if near.end is None else near.end - 1
    if start is None and last is None:
        return "on any day"
    if start is None or last is None:
        day = start if last is None else last
        assert day is not None
        way = "earlier" if start is None else "later"
        away = -day if start is None else day
        return f"at least {_days(away)} {way}" if away > 0 else f"{_offset(day)} or {way}"
    if start == last:
        return _offset(start)
    if start == -last:
        return f"within {_days(last)} of it"
    return f"from {_offset(start)} to {_offset(last)}"


def _offset(days: int) -> str:
    if days == 0:
        return "the same day"
    return f"{_days(abs(days))} {'later' if days > 0 else 'earlier'}"


def _days(n: int) -> str:
    years = round(n / 365.25)
    if years >= 2 and abs(n - years * 365.25) < 3:
        return f"{years} years"
    return f"{n} day" if n == 1 else f"{n} days"


def long_date(day: date) -> str:
    """A date as reports write it.

    >>> long_date(date(2011, 5, 3))
    '3 May 2011'
    """
    return f"{day.day} {day:%B %Y}"


def _when(when: When) -> str:
    return long_date(when) if isinstance(when, date) else "the index date"


def _join(parts: list[str], word: str) -> str:
    if len(parts) == 1:
        return parts[0]
    return f"{', '.join(parts[:-1])} {word} {parts[-1]}"
