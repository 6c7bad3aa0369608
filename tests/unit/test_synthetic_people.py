"""The synthetic region's people, places and identities."""

from __future__ import annotations

import re
from collections import Counter
from datetime import date

import numpy as np
import pytest

from cohorts.errors import DesignError
from cohorts.synthetic.config import RegionConfig
from cohorts.synthetic.families import make_families
from cohorts.synthetic.identity_faults import misspell
from cohorts.synthetic.malformed import spoil
from cohorts.synthetic.names import FAMILY, GIVEN, NICKNAMES
from cohorts.synthetic.people import YEAR, choose_genotyped, draw_births, nhs_numbers, settle
from cohorts.synthetic.places import POSTCODES_PER_AREA, make_places, postcode
from cohorts.synthetic.tables import BLANK, NEVER, Column, dates, day, frame, hundredths, listed

CONFIG = RegionConfig(people=4000, genotyped=1000, variants=1000, seed=5)


def _plain_check_digit(nine: str) -> int:
    """The rule as the NHS Data Dictionary words it, one digit at a time."""
    total = 0
    for place, digit in enumerate(nine):
        total += int(digit) * (10 - place)
    remainder = 11 - total % 11
    return 0 if remainder == 11 else remainder


def test_nhs_numbers_are_distinct_start_with_999_and_pass_modulus_11():
    numbers = [str(n) for n in nhs_numbers(3000, np.random.default_rng(1))]
    assert len(set(numbers)) == 3000
    assert all(text.startswith("999") and len(text) == 10 for text in numbers)
    assert all(int(text[9]) == _plain_check_digit(text[:9]) for text in numbers)
    assert "9999999999" not in numbers


def test_nhs_numbers_beyond_the_test_range_stay_distinct_and_valid():
    numbers = nhs_numbers(1_000_000, np.random.default_rng(2))
    assert len(np.unique(numbers)) == 1_000_000
    last = str(numbers[-1])
    assert last.startswith("998")
    assert int(last[9]) == _plain_check_digit(last[:9])


@pytest.mark.parametrize("spaced", [True, False])
def test_postcodes_are_well_formed_and_each_belongs_to_one_address_key(spaced):
    keys = range(200 * POSTCODES_PER_AREA)
    texts = [postcode(key, spaced=spaced) for key in keys]
    assert len(set(texts)) == len(texts)
    shape = re.compile(
        r"[A-PR-UWYZ][A-HK-Y][0-9]{1,2}" + (" " if spaced else "") + r"[0-9][ABD-HJLNP-UW-Z]{2}"
    )
    assert all(shape.fullmatch(text) for text in texts)


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"people": 10}, "people"),
        ({"index_date": date(1999, 1, 1)}, "index_date"),
        ({"activity": 0.0}, "activity"),
    ],
)
def test_impossible_configs_are_refused_by_field(wrong, field):
    with pytest.raises(DesignError, match=field):
        RegionConfig(**wrong)


def test_streams_of_different_rooms_differ_and_repeat():
    one, again, other = CONFIG.rng("a").random(4), CONFIG.rng("a").random(4), CONFIG.rng("b").random(4)
    assert (one == again).all()
    assert not (one == other).any()


def test_the_genotyped_are_residents_of_35_to_80_on_the_index_date():
    births = draw_births(CONFIG)
    chosen = choose_genotyped(births, 800, CONFIG, CONFIG.rng("x"))
    index = day(CONFIG.index_date)
    age = (index - births.birth[chosen]) / YEAR
    assert len(np.unique(chosen)) == 800
    assert age.min() > 33
    assert age.max() < 82
    assert (births.arrive[chosen] < index).all()
    assert (births.leave[chosen] > index).all()


def test_relatives_have_fitting_ages_sexes_and_one_ancestry():
    births = draw_births(CONFIG)
    chosen = choose_genotyped(births, 1000, CONFIG, CONFIG.rng("x"))
    families = make_families(births, chosen, CONFIG.rng("families"))
    kin, made = families.kin, families.births
    assert Counter(kin["relation"]) == {"parent_child": 18, "sibling": 22, "cousin": 10, "mz_twin": 2}
    one, two = kin["person1"].to_numpy(), kin["person2"].to_numpy()
    assert len(np.unique(np.r_[one, two])) == 2 * len(kin)
    assert (made.ancestry[one] == made.ancestry[two]).all()
    parents = (kin["relation"] == "parent_child").to_numpy()
    years = (made.birth[one] - made.birth[two])[parents] / YEAR
    assert ((years > 17) & (years < 45)).all()
    twins = (kin["relation"] == "mz_twin").to_numpy()
    assert (made.birth[one] == made.birth[two])[twins].all()
    assert (made.male[one] == made.male[two])[twins].all()
    assert (families.genome[one] == families.genome[two])[twins].all()
    pedigree = families.pedigree
    born = np.flatnonzero(pedigree.mother >= 0)
    assert (pedigree.level[born] > pedigree.level[pedigree.mother[born]]).all()
    assert not pedigree.male[pedigree.mother[born]].any()
    assert pedigree.male[pedigree.father[born]].all()


@pytest.fixture(scope="module")
def people():
    births = draw_births(CONFIG)
    none = np.full(CONFIG.people, -1, np.int32)
    return settle(births, none, none, make_places(CONFIG), CONFIG)


def test_children_live_with_a_mother_of_their_surname(people):
    young = np.flatnonzero((people.birth > day(date(1990, 1, 1))) & (people.birth < day(date(2004, 1, 1))))
    homes = {
        (people.area[k, 0], people.unit[k, 0], people.family[k])
        for k in np.flatnonzero(~people.male & (people.birth < day(date(1990, 1, 1))))
    }
    with_mother = [(people.area[k, 0], people.unit[k, 0], people.family[k]) in homes for k in young]
    assert np.mean(with_mother) > 0.9


def test_same_name_people_and_twins_exist(people):
    names = Counter(zip(people.given.tolist(), people.family.tolist(), strict=True))
    assert sum(count for count in names.values() if count > 1) > 0.03 * CONFIG.people
    born = Counter(zip(people.birth.tolist(), people.family.tolist(), strict=True))
    assert sum(count > 1 for count in born.values()) > 10


def test_moves_are_in_order_and_within_the_calendar(people):
    moved = people.moved.astype(np.int64)
    real = moved < NEVER
    assert (np.diff(moved, axis=1)[real[:, 1:]] > 0).all()
    assert moved[real].max() <= day(CONFIG.end_date)
    assert 0.2 < real.any(axis=1).mean() < 0.8


def test_nicknames_belong_to_names_in_use_and_differ_from_them():
    assert set(NICKNAMES) <= set(GIVEN)
    assert all(name not in forms for name, forms in NICKNAMES.items())
    assert len(set(FAMILY)) > 180
    assert len(set(GIVEN)) > 280


def test_misspelling_changes_a_name_by_one_edit_and_keeps_the_first_letter():
    rng = np.random.default_rng(3)
    for name in ["Margaret", "Lee", "O'Brien", "Smith-Jones"] * 50:
        wrong = misspell(name, rng)
        assert wrong != name
        assert wrong[0] == name[0]
        assert abs(len(wrong) - len(name)) <= 1


def test_columns_render_text_once_and_keep_the_rows():
    columns = {
        "when": dates(np.array([0, NEVER, 15_340, 0])),
        "what": listed(np.array([1, -1, 0, 1]), ("a", "b")),
        "size": hundredths(np.array([150, BLANK, 4800, 5])),
    }
    table = frame(columns).astype(str)
    assert table["when"].tolist() == ["1970-01-01", "", "2012-01-01", "1970-01-01"]
    assert table["what"].tolist() == ["b", "", "a", "b"]
    assert table["size"].tolist() == ["1.5", "", "48", "0.05"]


def test_wide_keys_render_like_narrow_ones():
    keys = np.array([5, 10**9, 5, -3], np.int64)
    column = Column(keys, lambda used: [str(k) for k in used])
    assert list(column.categorical()) == ["5", "1000000000", "5", "-3"]


def test_spoiling_adds_counted_broken_rows_and_changes_no_true_row():
    n = 5000
    columns = {
        "patient_id": listed(np.arange(n), [f"p{k}" for k in range(n)]),
        "date": dates(np.arange(n) + 11_000),
        "value": hundredths(np.arange(n) * 10),
    }
    ways = {"patient_id": "blank id", "date": "impossible date", "value": "text in value"}
    out, counts = spoil(columns, ways, 0.02, np.random.default_rng(4))
    table = frame(out).astype(str)
    assert len(table) == n + sum(counts.values())
    assert set(counts) == set(ways.values())
    assert (table["patient_id"] == "").sum() == counts["blank id"]
    numbers = table["value"].str.fullmatch(r"[0-9.]+")
    assert (~numbers).sum() == counts["text in value"]
    good_date = table["date"].str.fullmatch(r"(19|20)\d\d-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])") & (
        table["date"] != "2013-02-30"
    )
    assert (~good_date).sum() == counts["impossible date"]
    kept = table[(table["patient_id"] != "") & numbers & good_date]
    assert kept.reset_index(drop=True).equals(frame(columns).astype(str))
