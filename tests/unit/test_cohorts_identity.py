"""NHS numbers, normal forms, and the keyed pseudonym against values computed elsewhere."""

from __future__ import annotations

import pandas as pd
import pytest

from cohorts.errors import PrivacyError
from cohorts.hub import connect
from cohorts.identifiers import nhs_digits, nhs_number_is_valid, normalise_nhs_number
from cohorts.identity import canonical_identities, check_key, entities_with_numbers, person_ids, pseudonym

KEY = bytes(range(32))


@pytest.mark.parametrize("number", ["9434765919", "4010232137", "9876543210", "943 476 5919", "401-023-2137"])
def test_valid_nhs_numbers_are_accepted_with_spaces_and_dashes(number: str) -> None:
    assert nhs_number_is_valid(number)


@pytest.mark.parametrize(
    "number",
    [
        "4857773456",
        "1234567890",
        "0000000000",
        "9999999999",
        "943476591",
        "94347659190",
        "943476591X",
        "",
        None,
        "٩٤٣٤٧٦٥٩١٩",
    ],
)
def test_wrong_repeated_short_long_and_non_ascii_numbers_are_refused(number: str | None) -> None:
    assert not nhs_number_is_valid(number)


def test_every_single_digit_error_is_caught_by_the_check() -> None:
    for place in range(10):
        for digit in "0123456789":
            wrong = "9434765919"[:place] + digit + "9434765919"[place + 1 :]
            assert nhs_number_is_valid(wrong) == (wrong == "9434765919")


def test_digits_keep_a_mistyped_number_that_the_check_refuses() -> None:
    assert nhs_digits("943 476 5918") == "9434765918"
    assert normalise_nhs_number("943 476 5918") is None


@pytest.mark.parametrize(
    ("text", "first_eight_bytes"),
    [
        # printf '%s' TEXT | openssl dgst -sha256 -mac HMAC -macopt hexkey:000102…1f
        ("nhs:9434765919", "802eae953ba6a3bc"),
        ("local:gp:G1", "b63a401b0c51ae59"),
    ],
)
def test_pseudonym_is_hmac_sha256_cut_to_63_bits(text: str, first_eight_bytes: str) -> None:
    assert pseudonym(KEY, text) == int(first_eight_bytes, 16) >> 1


def test_keys_of_two_projects_share_no_pseudonym() -> None:
    texts = [f"nhs:{number}" for number in range(2000)]
    ours = {pseudonym(KEY, text) for text in texts}
    theirs = {pseudonym(KEY[::-1], text) for text in texts}
    assert len(ours) == len(texts)
    assert not ours & theirs
    assert all(0 <= number < 2**63 for number in ours | theirs)


@pytest.mark.parametrize("key", [b"", bytes(31), b"a" * 64, "a text of at least thirty-two letters"])
def test_a_weak_key_is_refused_without_being_shown(key: bytes) -> None:
    with pytest.raises(PrivacyError) as caught:
        check_key(key)
    assert "thirty-two letters" not in str(caught.value)
    assert "aaaa" not in str(caught.value)


def _intake(rows: list[tuple[str, str, str]]):
    hub = connect()
    hub.connection.execute("CREATE SCHEMA intake")
    frame = pd.DataFrame(rows, columns=["source", "patient_id", "nhs_number"])
    hub.connection.register("rows_in", frame)
    hub.connection.execute("CREATE TABLE intake.patients AS SELECT * FROM rows_in")
    return hub


def test_identity_is_the_lowest_valid_number_else_the_lowest_local_id() -> None:
    hub = _intake(
        [("gp", "2", "9876543210"), ("hosp", "1", "943 476 5919"), ("gp", "9", "1234567890"), ("gp", "8", "")]
    )
    crosswalk = pd.DataFrame(
        {"source": ["gp", "hosp", "gp", "gp"], "patient_id": ["2", "1", "9", "8"], "entity": [0, 0, 2, 2]}
    )
    assert canonical_identities(hub, crosswalk)["identity"].tolist() == ["nhs:9434765919", "local:gp:8"]


def test_a_number_claimed_by_two_people_belongs_to_the_one_with_more_records() -> None:
    hub = _intake([("a", "1", "9434765919"), ("b", "1", "9434765919"), ("a", "2", "9434765919")])
    crosswalk = pd.DataFrame({"source": ["a", "b", "a"], "patient_id": ["1", "1", "2"], "entity": [0, 0, 2]})
    identities = canonical_identities(hub, crosswalk)
    assert identities["identity"].tolist() == ["nhs:9434765919", "local:a:2"]
    assert person_ids(hub, crosswalk, key=KEY)["person_id"].is_unique


def test_two_people_under_one_pseudonym_stop_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    hub = _intake([("a", "1", ""), ("a", "2", "")])
    crosswalk = pd.DataFrame({"source": ["a", "a"], "patient_id": ["1", "2"], "entity": [0, 1]})
    monkeypatch.setattr("cohorts.identity.pseudonym", lambda key, text: 7)
    with pytest.raises(PrivacyError, match="1 collisions among 2 people"):
        person_ids(hub, crosswalk, key=KEY)


def test_numbers_find_all_entities_that_carry_them_even_with_a_wrong_check_digit() -> None:
    hub = _intake([("a", "1", "943 476 5918"), ("b", "1", "9434765918"), ("a", "2", "0000000000")])
    hub.connection.execute(
        "CREATE TABLE wanted AS SELECT unnest(['9434765918', '0000000000', '9876543210']) AS nhs_number"
    )
    crosswalk = pd.DataFrame({"source": ["a", "b", "a"], "patient_id": ["1", "1", "2"], "entity": [0, 1, 2]})
    found = entities_with_numbers(hub, crosswalk, "wanted")
    assert found["entity"].dropna().tolist() == [0, 1]
    assert found["usable"].tolist() == [True, True, False, True]
