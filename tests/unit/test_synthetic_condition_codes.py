"""The codes that the synthetic region writes: well formed, and disease codes only where there is a disease."""

from __future__ import annotations

import re

from cohorts.synthetic import condition_codes, conditions
from cohorts.synthetic.codes import BNF, DEATH_BACKGROUND, GP_BACKGROUND, ICD10_BACKGROUND, SNOMED
from cohorts.synthetic.condition_gp import COURSES, DECOYS, RECORDING
from cohorts.synthetic.condition_hospital import HOSPITAL

_CYCLE = (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)


def _product(a: int, b: int) -> int:
    """Of the dihedral group of order ten."""
    if a < 5:
        return (a + b) % 5 if b < 5 else 5 + (a + b) % 5
    return 5 + (a - b) % 5 if b < 5 else (a - b) % 5


def _checks(code: str) -> bool:
    """Verhoeff's check, which every SNOMED CT identifier ends in."""
    total = 0
    for place, digit in enumerate(reversed(code)):
        value = int(digit)
        for _ in range(place % 8):
            value = _CYCLE[value]
        total = _product(total, value)
    return total == 0


def _flat(table) -> set[str]:
    return {code for codes in table.values() for code in codes}


def test_the_check_tells_a_wrong_digit():
    assert _checks("44054006")
    assert not _checks("44054007")


def test_snomed_codes_pass_their_check_digit():
    codes = {*_flat(condition_codes.GP_SNOMED), *condition_codes.GP_DECOYS.values(), *GP_BACKGROUND}
    codes |= {condition_codes.URINE_ACR, *SNOMED.values()}
    assert [code for code in codes if not _checks(code)] == []


def test_other_codes_have_the_form_of_their_system():
    assert all(re.fullmatch(r"[A-Za-z0-9]{2,5}\.{0,3}", c) for c in _flat(condition_codes.GP_READ2))
    assert {len(code) for code in _flat(condition_codes.GP_READ2)} == {5}
    icd10 = {
        *_flat(condition_codes.ICD10),
        *condition_codes.ICD10_TYPE1.values(),
        *condition_codes.ICD10_HISTORY.values(),
        *condition_codes.ICD10_DECOYS.values(),
        *ICD10_BACKGROUND,
        *DEATH_BACKGROUND,
    }
    assert all(re.fullmatch(r"[A-Z]\d\d[\dX]", code) for code in icd10)
    assert all(re.fullmatch(r"[A-Z]\d{3}", code) for code in _flat(condition_codes.OPCS4))
    assert all(re.fullmatch(r"\d{7}[A-Z0-9]{8}", code) for code in _flat(condition_codes.BNF) | _flat(BNF))


def test_what_anybody_may_be_given_names_no_disease_of_the_catalogue():
    """A background code that is also a disease's would make most of its cases false."""
    assert not set(GP_BACKGROUND) & (_flat(condition_codes.GP_SNOMED) | set(SNOMED.values()))
    assert not set(condition_codes.GP_DECOYS.values()) & _flat(condition_codes.GP_SNOMED)
    disease = {code[:3] for code in _flat(condition_codes.ICD10)}
    everyday = {code[:3] for code in (*ICD10_BACKGROUND, *DEATH_BACKGROUND)}
    assert not disease & everyday
    assert not _flat(condition_codes.BNF) & set(BNF["background"])


def test_every_disease_has_codes_and_every_code_is_used():
    recorded = set(conditions.CONDITIONS) - {"kidney_disease"} | {"ckd"}
    assert set(RECORDING) == set(HOSPITAL) == recorded
    assert set(condition_codes.GP_SNOMED) == set(condition_codes.GP_READ2) == recorded
    assert set(condition_codes.ICD10) - {"atrial_fibrillation_before_2016"} == recorded
    assert set(DECOYS) == set(condition_codes.GP_DECOYS)
    assert {course.drug for course in COURSES} == set(condition_codes.BNF)
