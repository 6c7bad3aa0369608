"""Identity as each provider holds it: the same person, written down with that provider's faults."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cohorts.synthetic.config import FaultRates
from cohorts.synthetic.names import FAMILY, GIVEN, NICKNAMES
from cohorts.synthetic.people import People
from cohorts.synthetic.places import POSTCODES_PER_AREA, postcode
from cohorts.synthetic.tables import NEVER, dates

_LETTERS = "abcdefghijklmnoprstuvwy"


@dataclass(frozen=True, kw_only=True)
class Style:
    """How one provider writes identities down.

    Attributes
    ----------
    prefix
        First letters of its local numbers.
    columns
        Order of its columns.
    upper, spaced_postcode, spaced_nhs
        Names in capitals; a space in the postcode; NHS numbers in three groups.
    nhs_missing, nhs_mistyped
        Factors on the configured rates.
    care
        Factor on the rates of all other faults.
    """

    prefix: str
    columns: tuple[str, ...]
    upper: bool = False
    spaced_postcode: bool = True
    spaced_nhs: bool = False
    nhs_missing: float = 1.0
    nhs_mistyped: float = 1.0
    care: float = 1.0


_USUAL = ("patient_id", "nhs_number", "given_name", "family_name", "birth_date", "sex", "postcode")
STYLES: dict[str, Style] = {
    "gp": Style(prefix="G", columns=_USUAL, nhs_missing=0.1, nhs_mistyped=0.2, care=0.5),
    "hospital": Style(
        prefix="RX",
        columns=("patient_id", "family_name", "given_name", "sex", "birth_date", "postcode", "nhs_number"),
        upper=True,
        spaced_postcode=False,
    ),
    "community": Style(prefix="CS", columns=_USUAL, spaced_nhs=True),
    "social_care": Style(
        prefix="SC",
        columns=("patient_id", "given_name", "family_name", "birth_date", "sex", "postcode", "nhs_number"),
        nhs_missing=2.0,
        care=1.5,
    ),
    "deaths": Style(prefix="D", columns=_USUAL, upper=True, nhs_missing=0.4, care=0.7),
    "biobank": Style(
        prefix="B",
        columns=("patient_id", "nhs_number", "birth_date", "sex", "given_name", "family_name", "postcode"),
        nhs_missing=0.6,
        care=0.6,
    ),
}


def identity_rows(
    people: People,
    who: NDArray[np.int64],
    as_of: NDArray[np.int32],
    style: Style,
    rates: FaultRates,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """One identity row for each entry of `who`, without the patient_id.

    Parameters
    ----------
    people, who
        A chunk and rows in it; a person may come twice.
    as_of
        (len(who),) day on which the provider last asked for name and address.
    style, rates, rng
        How the provider writes, how often it errs, and the randomness.
    """
    n = len(who)
    return pd.DataFrame(
        {
            "nhs_number": _nhs(people, who, style, rates, rng),
            **_names(people, who, as_of, style, rates, rng),
            "birth_date": _births(people, who, style, rates, rng),
            "sex": _sexes(people.male[who], rng.random(n), rates, style),
            "postcode": _postcodes(people, who, as_of, style, rates, rng),
        }
    )


def _nhs(
    people: People, who: NDArray[np.int64], style: Style, rates: FaultRates, rng: np.random.Generator
) -> list[str]:
    numbers = people.nhs[who].copy()
    n = len(who)
    wrong = np.flatnonzero(rng.random(n) < rates.nhs_mistyped * style.nhs_mistyped)
    kind = rng.random(len(wrong))
    place = 10 ** rng.integers(0, 9, len(wrong))
    digit = numbers[wrong] // place % 10
    mistyped = numbers[wrong] + ((digit + rng.integers(1, 10, len(wrong))) % 10 - digit) * place
    # a third are somebody else's valid number
    another = people.nhs[rng.integers(0, len(people), len(wrong))]
    numbers[wrong] = np.where(kind < 0.67, mistyped, another)
    texts = [str(number) for number in numbers]
    if style.spaced_nhs:
        texts = [f"{text[:3]} {text[3:6]} {text[6:]}" for text in texts]
    for k in np.flatnonzero(rng.random(n) < rates.nhs_missing * style.nhs_missing):
        texts[k] = ""
    return texts


def _names(
    people: People,
    who: NDArray[np.int64],
    as_of: NDArray[np.int32],
    style: Style,
    rates: FaultRates,
    rng: np.random.Generator,
) -> dict[str, list[str]]:
    n = len(who)
    changed = people.married[who] < NEVER
    stale = changed & (rng.random(n) < rates.former_surname * style.care)
    before = (people.married[who] > as_of) | stale
    given = [GIVEN[k] for k in people.given[who]]
    family = [FAMILY[k] for k in np.where(before, people.maiden[who], people.family[who])]
    for k in np.flatnonzero(rng.random(n) < rates.nickname * style.care):
        forms = NICKNAMES.get(given[k], ())
        if forms:
            given[k] = forms[int(rng.integers(len(forms)))]
    for k in np.flatnonzero(rng.random(n) < rates.initial_only * style.care):
        given[k] = given[k][0]
    for k in np.flatnonzero(rng.random(n) < rates.typo * style.care):
        if rng.random() < 0.5:
            given[k] = misspell(given[k], rng)
        else:
            family[k] = misspell(family[k], rng)
    for k in np.flatnonzero(rng.random(n) < rates.names_swapped * style.care):
        given[k], family[k] = family[k], given[k]
    if style.upper:
        given, family = [name.upper() for name in given], [name.upper() for name in family]
    return {"given_name": given, "family_name": family}


def misspell(name: str, rng: np.random.Generator) -> str:
    """Drop, double, replace or exchange letters of a name, never the first.

    Examples
    --------
    >>> misspell("Margaret", np.random.default_rng(1)) != "Margaret"
    True
    """
    if len(name) < 3:
        return name
    at = int(rng.integers(1, len(name)))
    kind = int(rng.integers(4))
    if kind == 0:
        return name[:at] + name[at + 1 :]
    if kind == 1:
        return name[:at] + name[at] + name[at:]
    if kind == 2 and at + 1 < len(name) and name[at] != name[at + 1]:
        return name[:at] + name[at + 1] + name[at] + name[at + 2 :]
    letter = _LETTERS[int(rng.integers(len(_LETTERS)))]
    return name[:at] + (letter if letter != name[at] else "z") + name[at + 1 :]


def _births(
    people: People, who: NDArray[np.int64], style: Style, rates: FaultRates, rng: np.random.Generator
) -> list[str]:
    texts = [str(text) for text in dates(people.birth[who]).categorical()]
    n = len(texts)
    for k in np.flatnonzero(rng.random(n) < rates.day_month_swapped * style.care):
        year, month, dom = texts[k].split("-")
        if int(dom) <= 12:
            texts[k] = f"{year}-{dom}-{month}"
    for k in np.flatnonzero(rng.random(n) < rates.birth_digit * style.care):
        year, month, dom = texts[k].split("-")
        if rng.random() < 0.5:
            texts[k] = f"{int(year) + int(rng.choice([-10, -1, 1])):04d}-{month}-{min(int(dom), 28):02d}"
        else:
            texts[k] = f"{year}-{month}-{1 + (int(dom) + int(rng.integers(1, 9))) % 28:02d}"
    for k in np.flatnonzero(rng.random(n) < rates.birth_missing * style.care):
        texts[k] = ""
    return texts


def _sexes(male: NDArray[np.bool_], draw: NDArray[np.float64], rates: FaultRates, style: Style) -> list[str]:
    wrong = draw < rates.sex_wrong * style.care
    blank = draw > 1 - rates.sex_missing * style.care
    return [
        "" if none else ("M" if is_male else "F") for is_male, none in zip(male ^ wrong, blank, strict=True)
    ]


def _postcodes(
    people: People,
    who: NDArray[np.int64],
    as_of: NDArray[np.int32],
    style: Style,
    rates: FaultRates,
    rng: np.random.Generator,
) -> list[str]:
    home = people.home_at(who, as_of)
    stale = rng.random(len(who)) < rates.former_address * style.care
    home = np.where(stale, np.maximum(home - 1, 0), home)
    keys = people.area[who, home].astype(np.int64) * POSTCODES_PER_AREA + people.unit[who, home]
    return [postcode(int(key), spaced=style.spaced_postcode) for key in keys]
