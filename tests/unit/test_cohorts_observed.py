"""Records that stand in for registrations: who counts, from when to when, and that it is declared and told."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from cohorts.consent import apply_consent
from cohorts.eligibility import population
from cohorts.errors import DesignError, InputError
from cohorts.hub import Hub, connect
from cohorts.linkage import link
from cohorts.observed import COUNTED, ObservedByRecords, observed_lines
from cohorts.pseudonymise import build_hub
from cohorts.sources import Intake, TableSource, read_sources
from workflows.source_specs import FileSource, ObservedRecords, observed_by

RULE = ObservedByRecords()
PEOPLE = "patient_id,nhs_number,given_name,family_name,birth_date,sex,postcode\n" + "".join(
    f"{who},,,,1950-06-01,F,\n" for who in "abcd"
)
EVENTS = "patient_id,date,system,code,value,unit\n"


def files(folder: Path, **tables: str) -> dict[str, TableSource]:
    for name, text in {"patients": PEOPLE, **tables}.items():
        (folder / f"{name}.csv").write_text(text)
    return {name: TableSource(folder / f"{name}.csv") for name in ("patients", *tables)}


def read(folder: Path, rule: ObservedByRecords | None = RULE, **tables: str) -> tuple[Hub, Intake]:
    hub = connect()
    rules = {} if rule is None else {"clinic": rule}
    return hub, read_sources(hub, {"clinic": files(folder, **tables)}, observed=rules)


def spans(hub: Hub) -> list[tuple[str, date, date]]:
    return hub.connection.execute(
        'SELECT patient_id, start, "end" FROM intake.registrations JOIN intake.patients USING (record) ORDER BY 1, 2'
    ).fetchall()


def test_a_person_is_observed_from_the_first_to_the_last_record_both_days_included(tmp_path: Path) -> None:
    events = (
        EVENTS
        + "a,2011-03-01,snomed,44054006,,\na,2010-01-01,snomed,44054006,,\nb,2012-05-05,snomed,44054006,,\n"
    )
    stays = "patient_id,admission_date,discharge_date,diag_1,opcs_1\n"
    stays += "a,2011-02-01,2011-04-09,E119,\nc,2013-01-01,,E119,\n"
    deaths = "patient_id,date,underlying,contributory_1,contributory_2,contributory_3\n"
    deaths += "a,2014-01-01,I219,,,\nd,2015-01-01,I219,,,\n"
    hub, intake = read(tmp_path, events=events, admissions=stays, deaths=deaths)
    assert spans(hub) == [
        ("a", date(2010, 1, 1), date(2011, 4, 10)),
        ("b", date(2012, 5, 5), date(2012, 5, 6)),
        ("c", date(2013, 1, 1), date(2013, 1, 2)),
    ]
    assert intake.observed.values.tolist() == [["clinic", ", ".join(COUNTED), 1, 3, 0, 1]]
    assert "registrations" not in set(intake.counts["table"])


def test_tables_that_are_not_named_and_people_of_too_few_days_do_not_count(tmp_path: Path) -> None:
    events = (
        EVENTS
        + "a,2010-01-01,snomed,44054006,,\na,2010-01-09,snomed,44054006,,\nb,2012-05-05,snomed,44054006,,\n"
    )
    drugs = "patient_id,date,system,code\nb,2013-05-05,bnf,0601\n"
    ten = ObservedByRecords(("events",), least_days=9)
    hub, intake = read(tmp_path, ten, events=events, prescriptions=drugs)
    assert spans(hub) == [("a", date(2010, 1, 1), date(2010, 1, 10))]
    assert list(observed_lines(intake.observed)) == [
        "clinic: observed by records (events): 1 people from their first to their last; 2 have none; 1 observed for "
        "fewer than 9 days do not count"
    ]
    with hub:
        assert not len(spans(read(tmp_path, ObservedByRecords(("events",), least_days=10), events=events)[0]))


def test_it_is_off_unless_declared_and_refused_where_registrations_are(tmp_path: Path) -> None:
    events = EVENTS + "a,2010-01-01,snomed,44054006,,\n"
    hub, intake = read(tmp_path, None, events=events)
    assert spans(hub) == []
    assert intake.observed.empty
    told = "patient_id,practice,start,end\na,p,2000-01-01,\n"
    with pytest.raises(
        InputError, match=r"source 'clinic', observed: .*found 1 registrations.*leave observed out"
    ):
        read(tmp_path, events=events, registrations=told)


def test_nobody_is_eligible_without_it_and_the_message_names_it(tmp_path: Path) -> None:
    events = EVENTS + "".join(f"a,{year}-01-01,snomed,44054006,,\n" for year in (2010, 2014))
    found = {}
    for rule in (None, RULE):
        hub, _ = read(tmp_path, rule, events=events)
        links = link(hub, threshold=0.95, seed=1)
        found[rule] = build_hub(hub, links, apply_consent(hub, links), key=bytes(range(32))).hub
    with pytest.raises(DesignError, match="observed: records"):
        population(found[None], on=date(2012, 1, 1))
    told = {rule: hub.frame("SELECT observed FROM sources")["observed"][0] for rule, hub in found.items()}
    assert told == {None: None, RULE: ", ".join(COUNTED)}
    kept = population(found[RULE], on=date(2012, 1, 1)).persons
    assert kept["registered_since"].dt.date.tolist() == [date(2010, 1, 1)]
    with pytest.raises(DesignError):
        population(found[RULE], on=date(2014, 1, 2))


def test_a_study_declares_it_in_a_word_or_with_what_counts() -> None:
    plain = {"patients": "p.csv", "observed": "records"}
    assert observed_by(FileSource.model_validate(plain)) == RULE
    said = FileSource.model_validate(plain | {"observed": {"records": ["contacts"], "least_days": 90}})
    assert isinstance(said.observed, ObservedRecords)
    assert observed_by(said) == ObservedByRecords(("contacts",), 90)
    assert observed_by(FileSource.model_validate({"patients": "p.csv"})) is None
    for wrong in ("registrations", {"records": []}, {"records": ["deaths"]}, {"least_days": 3}):
        with pytest.raises(ValueError, match="observed"):
            FileSource.model_validate(plain | {"observed": wrong})
