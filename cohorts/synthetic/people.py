"""Who lives in the region: births, homes, moves, names, NHS numbers, smoking, and who gave DNA.

People are columns of small integers, so that three million of them fit in some hundreds of megabytes.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from cohorts.synthetic import names
from cohorts.synthetic.config import RegionConfig
from cohorts.synthetic.places import POSTCODES_PER_AREA, Places
from cohorts.synthetic.tables import NEVER, day

ANCESTRIES: tuple[str, ...] = ("eur", "sas", "afr", "eas", "mix", "given")
ANCESTRY_SHARE: tuple[float, ...] = (0.80, 0.08, 0.06, 0.03, 0.03, 0.0)
HOMES = 4
YEAR = 365.25


@dataclass(frozen=True)
class People:
    """People as columns; row number is the true identity.

    Days count from 1970-01-01, `NEVER` stands for no such day, -1 for no such person.

    Attributes
    ----------
    birth, arrive, leave
        First day of life, of residence, and the day of moving out of the region.
    male, ancestry
        Sex at birth, and position in `ANCESTRIES`.
    given, family, maiden, married
        Names (positions in `names.GIVEN` and `names.FAMILY`); `maiden` is the surname until `married`.
    area, unit
        (n, HOMES) small area and postcode number of each home in turn.
    practice
        (n, HOMES) practice while at that home.
    moved
        (n, HOMES - 1) days of moving from one home to the next.
    smoke_start, smoke_quit
        Days.
    nhs
        NHS number.
    genome
        Position of the person's genome among the made genomes, or of the sample in an existing file.
    """

    birth: NDArray[np.int32]
    arrive: NDArray[np.int32]
    leave: NDArray[np.int32]
    male: NDArray[np.bool_]
    ancestry: NDArray[np.int8]
    given: NDArray[np.int16]
    family: NDArray[np.int16]
    maiden: NDArray[np.int16]
    married: NDArray[np.int32]
    area: NDArray[np.int16]
    unit: NDArray[np.int8]
    practice: NDArray[np.int16]
    moved: NDArray[np.int32]
    smoke_start: NDArray[np.int32]
    smoke_quit: NDArray[np.int32]
    nhs: NDArray[np.int64]
    genome: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.birth)

    def rows(self, start: int, stop: int) -> People:
        """People `start` to `stop`."""
        return People(**{item.name: getattr(self, item.name)[start:stop] for item in fields(self)})

    def home_at(self, who: NDArray[np.int64], days: NDArray[np.int32]) -> NDArray[np.int64]:
        """Which of their homes (0 to HOMES - 1) `who` live in on `days`."""
        at: NDArray[np.int64] = (self.moved[who] <= days[:, None]).sum(axis=1)
        return at


@dataclass(frozen=True)
class Births:
    """First draw: birth days, sexes, ancestries, stays; families may still change them."""

    birth: NDArray[np.int32]
    male: NDArray[np.bool_]
    ancestry: NDArray[np.int8]
    arrive: NDArray[np.int32]
    leave: NDArray[np.int32]


def _survival_to(age: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share of a birth cohort alive at `age`, from a Gompertz law near the English life tables."""
    return np.exp(-(0.00005 / 0.092) * (np.exp(0.092 * np.maximum(age, 0)) - 1)) * 0.97


def draw_births(config: RegionConfig) -> Births:
    """Births whose survivors make an age pyramid like the United Kingdom's on the index date.

    Cohort sizes follow the country's: small before 1940, bulges after 1946 and around 1964, a trough in
    the late 1970s. The old are thinned by the survival to `start_date`.
    """
    rng = config.rng("births")
    n = config.people
    years = np.arange(1902, config.end_date.year + 1)
    knots = [1902, 1920, 1939, 1942, 1947, 1955, 1964, 1977, 1990, 2002, 2012, 2022]
    size = np.interp(years, knots, [0.7, 0.85, 0.75, 0.8, 1.08, 0.9, 1.15, 0.88, 1.05, 0.85, 1.05, 0.8])
    size *= _survival_to(config.start_date.year - years.astype(float))
    year = rng.choice(years, n, p=size / size.sum())
    birth = _new_year(year) + rng.integers(0, 365, n)
    start, end = day(config.start_date), day(config.end_date)
    arrive = np.maximum(birth, start - rng.integers(30, 9000, n))
    came = rng.random(n) < 0.12
    arrive[came] = np.maximum(arrive[came], start + rng.integers(0, end - start, came.sum()))
    leave = np.where(rng.random(n) < 0.08, arrive + 200 + rng.integers(0, end - start, n), NEVER)
    leave = np.where(leave <= np.maximum(arrive, start) + 30, NEVER, leave)
    return Births(
        birth.astype(np.int32),
        rng.random(n) < 0.495,
        rng.choice(len(ANCESTRIES), n, p=ANCESTRY_SHARE).astype(np.int8),
        arrive.astype(np.int32),
        leave.astype(np.int32),
    )


def _new_year(year: NDArray[np.int64]) -> NDArray[np.int64]:
    days: NDArray[np.int64] = (year - 1970).astype("datetime64[Y]").astype("datetime64[D]").astype(np.int64)
    return days


def choose_genotyped(
    births: Births, count: int, config: RegionConfig, rng: np.random.Generator
) -> NDArray[np.int64]:
    """People for a research cohort: 35 to 75 on the index date, resident then, the older likelier."""
    index = day(config.index_date)
    age = (index - births.birth) / YEAR
    here = (births.arrive < index - 400) & (births.leave > index + 700)
    weight = np.interp(
        age, [18, 34, 35, 45, 55, 65, 75, 80, 81], [1e-6, 1e-6, 0.2, 0.6, 1, 1.6, 1.5, 0.1, 1e-6]
    )
    weight = np.where(here & (age >= 18), weight, 0)
    # weighted sampling without replacement by exponential races (Efraimidis and Spirakis, 2006)
    race = rng.standard_exponential(len(age)) / np.maximum(weight, 1e-300)
    return np.sort(np.argsort(race, kind="stable")[:count])


def nhs_numbers(count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Distinct numbers with the modulus-11 check digit, from the range 999 kept for tests.

    The range holds 909,090 of them; a larger region goes on downwards from 998.

    Examples
    --------
    >>> str(nhs_numbers(1, np.random.default_rng(0))[0])[:3]
    '999'
    """
    weights = np.arange(10, 1, -1)
    found: list[NDArray[np.int64]] = []
    prefix = 999
    while sum(map(len, found)) < count:
        stems = prefix * 1_000_000 + rng.permutation(1_000_000)
        digits = stems[:, None] // 10 ** np.arange(8, -1, -1) % 10
        check = (11 - (digits * weights).sum(axis=1) % 11) % 11
        numbers = stems * 10 + check
        found.append(numbers[(check < 10) & (numbers != 9_999_999_999)])
        prefix -= 1
    return np.concatenate(found)[:count]


def settle(
    births: Births,
    genome: NDArray[np.int32],
    namesake: NDArray[np.int32],
    places: Places,
    config: RegionConfig,
) -> People:
    """Give people names, homes, numbers and habits.

    Parameters
    ----------
    births
        With the families of the genotyped already in place.
    genome
        (n,) genome of each person, -1 for none.
    namesake
        (n,) a relative whose surname they were born with, -1 for none. Whoever is young finds a mother
        among the residents of the right age, and shares her name and homes.
    """
    rng = config.rng("settle")
    n = len(births.birth)
    birth, male = births.birth.copy(), births.male
    twin = _make_twins(birth, births, genome, rng)
    mother = _find_mothers(birth, male, births.ancestry, config, rng)
    wife, husband = _find_couples(birth, male, births.ancestry, rng)
    origin = names.draw_origins(list(ANCESTRIES), births.ancestry, rng)
    given = names.draw_given(origin, male, rng)
    family = names.draw_family(origin, rng)
    family[twin] = family[twin - 1]
    related = np.flatnonzero(namesake >= 0)
    family[related] = family[namesake[related]]
    maiden = family.copy()
    married = np.full(n, NEVER, np.int32)
    takes = rng.random(len(wife)) < 0.75
    bride, groom = wife[takes], husband[takes]
    family[bride] = family[groom]
    married[bride] = birth[bride] + (YEAR * rng.normal(28, 5, len(bride)).clip(18, 60)).astype(np.int32)
    area, unit, moved = _homes(n, birth, births.arrive, places, config, rng)
    area[wife], unit[wife], moved[wife] = area[husband], unit[husband], moved[husband]
    has_mother = mother >= 0
    # mothers who are themselves somebody's child here come first
    for child in (
        np.flatnonzero(has_mother & ~has_mother[mother]),
        np.flatnonzero(has_mother & has_mother[mother]),
    ):
        family[child] = maiden[child] = family[mother[child]]
        _live_with(child, mother[child], birth, area, unit, moved, day(config.end_date))
    start, quit_ = _smoking(birth, male, area[:, 0], places, rng)
    return People(
        birth=birth,
        arrive=np.maximum(births.arrive, birth),
        leave=births.leave,
        male=male,
        ancestry=births.ancestry,
        given=given,
        family=family,
        maiden=maiden,
        married=married,
        area=area,
        unit=unit,
        practice=_practices(area, places, rng),
        moved=moved,
        smoke_start=start,
        smoke_quit=quit_,
        nhs=nhs_numbers(n, rng),
        genome=genome,
    )


def _make_twins(
    birth: NDArray[np.int32], births: Births, genome: NDArray[np.int32], rng: np.random.Generator
) -> NDArray[np.int64]:
    """Let some neighbours in the list share a birthday (who gave DNA keeps theirs); gives the second ones."""
    second: NDArray[np.int64] = np.flatnonzero(rng.random(len(birth)) < 0.012)
    second = second[(second > 0) & (genome[second] < 0)]
    second = second[births.ancestry[second] == births.ancestry[second - 1]]
    birth[second] = birth[second - 1]
    return second


def _find_mothers(
    birth: NDArray[np.int32],
    male: NDArray[np.bool_],
    ancestry: NDArray[np.int8],
    config: RegionConfig,
    rng: np.random.Generator,
) -> NDArray[np.int32]:
    """For everybody under 19 on the start date or born since: a resident woman some 29 years older."""
    mother = np.full(len(birth), -1, np.int32)
    young = birth > day(config.start_date) - 19 * 365
    wanted = birth - (YEAR * rng.normal(29.5, 5.0, len(birth)).clip(17, 44)).astype(np.int64)
    # twins (same birthday, next in the list) must end up with one mother
    twin = np.flatnonzero(birth[1:] == birth[:-1]) + 1
    wanted[twin] = wanted[twin - 1]
    for code in np.unique(ancestry):
        women = np.flatnonzero(~male & (ancestry == code))
        who = np.flatnonzero(young & (ancestry == code))
        if len(women) < 2 or len(who) == 0:
            continue
        women = women[np.argsort(birth[women], kind="stable")]
        at = np.minimum(np.searchsorted(birth[women], wanted[who]), len(women) - 1)
        gap = birth[who] - birth[women[at]]
        fits = (gap > 16 * YEAR) & (gap < 48 * YEAR)
        mother[who[fits]] = women[at[fits]]
    return mother


def _find_couples(
    birth: NDArray[np.int32], male: NDArray[np.bool_], ancestry: NDArray[np.int8], rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pair women with men some two years older; about 60% of the smaller side marries."""
    wives: list[NDArray[np.int64]] = []
    husbands: list[NDArray[np.int64]] = []
    for code in np.unique(ancestry):
        women = np.flatnonzero(~male & (ancestry == code) & (rng.random(len(male)) < 0.6))
        men = np.flatnonzero(male & (ancestry == code) & (rng.random(len(male)) < 0.6))
        pairs = min(len(women), len(men))
        women = np.sort(rng.permutation(women)[:pairs])
        men = np.sort(rng.permutation(men)[:pairs])
        women = women[np.argsort(birth[women] + rng.normal(-700, 900, pairs), kind="stable")]
        men = men[np.argsort(birth[men] + rng.normal(0, 900, pairs), kind="stable")]
        wives.append(women)
        husbands.append(men)
    return np.concatenate(wives), np.concatenate(husbands)


def _homes(
    n: int,
    birth: NDArray[np.int32],
    arrive: NDArray[np.int32],
    places: Places,
    config: RegionConfig,
    rng: np.random.Generator,
) -> tuple[NDArray[np.int16], NDArray[np.int8], NDArray[np.int32]]:
    """Homes and moving days; the young move most, half the moves stay within the area's town."""
    start, end = day(config.start_date), day(config.end_date)
    areas = len(places.area_codes)
    area = np.zeros((n, HOMES), np.int16)
    area[:, 0] = rng.integers(0, areas, n)
    for home in range(1, HOMES):
        near = np.clip(area[:, home - 1] + rng.integers(-4, 5, n), 0, areas - 1)
        area[:, home] = np.where(rng.random(n) < 0.5, near, rng.integers(0, areas, n))
    unit = rng.integers(0, POSTCODES_PER_AREA, (n, HOMES)).astype(np.int8)
    age = (start - birth) / YEAR
    gap = rng.exponential(np.interp(age, [-10, 20, 35, 60, 85], [9, 9, 16, 30, 30])[:, None], (n, HOMES - 1))
    moved = np.maximum(np.maximum(start, arrive), birth + 7000)[:, None] + np.cumsum(60 + gap * YEAR, axis=1)
    return area, unit, np.where(moved <= end, moved, NEVER).astype(np.int32)


def _live_with(
    child: NDArray[np.int64],
    mother: NDArray[np.int32],
    birth: NDArray[np.int32],
    area: NDArray[np.int16],
    unit: NDArray[np.int8],
    moved: NDArray[np.int32],
    end: int,
) -> None:
    """Children share their mother's homes until about nineteen and then have their own."""
    out = birth[child] + 19 * 365 + (child % 1500).astype(np.int32)
    own_area, own_unit = area[child, 0].copy(), unit[child, 0].copy()
    theirs = moved[mother].copy()
    area[child], unit[child] = area[mother], unit[mother]
    theirs[theirs >= out[:, None]] = NEVER
    slot = np.minimum((theirs < NEVER).sum(axis=1), HOMES - 2)
    rows = np.arange(len(child))
    theirs[rows, slot] = np.where(out <= end, out, NEVER)
    area[child, slot + 1], unit[child, slot + 1] = own_area, own_unit
    moved[child] = theirs


def _practices(area: NDArray[np.int16], places: Places, rng: np.random.Generator) -> NDArray[np.int16]:
    """The practice at each home; a third of moves to another practice's area keep the old one."""
    practice = np.zeros(area.shape, np.int16)
    second = (rng.random(area.shape) < 0.25).astype(np.int64)
    practice[:, 0] = places.practice_of[area[:, 0], second[:, 0]]
    for home in range(1, HOMES):
        new = places.practice_of[area[:, home], second[:, home]]
        stays = (area[:, home] == area[:, home - 1]) | (rng.random(len(area)) < 0.3)
        practice[:, home] = np.where(stays, practice[:, home - 1], new)
    return practice


def _smoking(
    birth: NDArray[np.int32],
    male: NDArray[np.bool_],
    area: NDArray[np.int16],
    places: Places,
    rng: np.random.Generator,
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Ever-smoking by cohort, sex and deprivation; quitting at some 3% a year."""
    n = len(birth)
    year = 1970 + birth / YEAR
    ever = np.interp(year, [1910, 1940, 1960, 1980, 2000], [0.65, 0.62, 0.52, 0.42, 0.22])
    ever = ever + 0.06 * male - 0.012 * (places.imd[area].astype(float) - 5.5)
    start = birth + (YEAR * rng.normal(17.5, 2, n).clip(12, 30)).astype(np.int32)
    quit_ = start + (YEAR * (2 + rng.exponential(28, n))).astype(np.int32)
    smokes = rng.random(n) < ever
    return (
        np.where(smokes, start, NEVER).astype(np.int32),
        np.where(smokes, quit_, NEVER).astype(np.int32),
    )
