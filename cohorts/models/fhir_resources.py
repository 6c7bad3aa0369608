"""What each type of FHIR resource says, as rows of our tables."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cohorts.models.fhir_files import Entry, draw_entries

# address of a code system: our name of it
SYSTEMS: Mapping[str, str] = {
    "http://snomed.info/sct": "snomed",
    "http://loinc.org": "loinc",
    "http://www.nlm.nih.gov/research/umls/rxnorm": "rxnorm",
    "http://hl7.org/fhir/sid/icd-10": "icd10",
    "http://hl7.org/fhir/sid/icd-10-uk": "icd10",
    "https://fhir.nhs.uk/Id/icd-10": "icd10",
    "http://hl7.org/fhir/sid/icd-10-cm": "icd10cm",
    "http://hl7.org/fhir/sid/icd-9-cm": "icd9cm",
    "http://hl7.org/fhir/sid/cvx": "cvx",
    "http://www.whocc.no/atc": "atc",
    "https://dmd.nhs.uk": "dmd",
    "https://fhir.hl7.org.uk/CodeSystem/opcs-4": "opcs4",
    "https://fhir.nhs.uk/Id/opcs-4": "opcs4",
    "http://read.info/readv2": "read2",
    "http://read.info/ctv3": "ctv3",
}
NHS_NUMBER = "https://fhir.nhs.uk/Id/nhs-number"
# questions whose answers are facts about the person: tobacco smoking status, smoking history, SNOMED's smoking status
ANSWERED = {"72166-2", "11367-0", "229819007"}
# classes of encounters that are admissions: inpatient (acute or not) and emergency
INPATIENT = {"IMP", "ACUTE", "NONAC", "EMER"}
# tables beside the canonical ones: which resource belongs to which encounter, and codes that an admission can hold
LINKS, CODES = "links", "codes"
ADMISSION_SYSTEMS = ("icd10", "opcs4")
# place of a diagnosis that names its encounter, after those that the encounter names
UNNAMED = 9999

IN_ERROR = "resource: entered in error"
REFUTED = "resource: refuted"
NOT_DONE = "resource: not done"
UNKNOWN_SYSTEM = "system: none of its codes is of a system we know"
NO_PATIENT = "patient_id: refers to no patient by address"
# of a birth date that is a year or a month only, by its length: what is filled in, and what is known
PARTIAL = {4: ("-07-01", "year"), 7: ("-15", "month")}

_FULL_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


@dataclass(frozen=True)
class Row:
    """Cells of one row, by column; `fault` says why the row cannot be one."""

    cells: Mapping[str, str | None]
    fault: str | None = None


class Medicines:
    """Codes of medicines that are resources of their own."""

    def __init__(self) -> None:
        self.known: dict[str, dict[str, Any]] = {}

    @classmethod
    def of(cls, files: list[Path]) -> Medicines:
        """Those of bulk files named after them; within a bundle a medicine is found by its address."""
        medicines = cls()
        for number, path in enumerate(files, 1):
            if path.name.lower().startswith("medication.") or re.match(r"(?i)medication[._-]\d", path.name):
                for entry in draw_entries(path, number):
                    identity = entry.resource.get("id")
                    if entry.kind == "Medication" and isinstance(identity, str):
                        medicines.known[identity] = _dict(entry.resource.get("code"))
        return medicines

    def code(self, entry: Entry) -> dict[str, Any]:
        """The code of what a prescription is for."""
        resource = entry.resource
        if concept := _dict(resource.get("medicationCodeableConcept")):
            return concept
        reference = _text(_dict(resource.get("medicationReference")).get("reference")) or ""
        if reference.startswith("#"):
            inside = [r for r in map(_dict, _list(resource.get("contained"))) if r.get("id") == reference[1:]]
            return _dict(inside[0].get("code")) if inside else {}
        near = (entry.bundle or {}).get(reference)
        if near is not None:
            return _dict(near.get("code"))
        return self.known.get(_last(reference), {})


def rows_of(entry: Entry, medicines: Medicines) -> Iterator[tuple[str, Row]]:
    """Rows of one resource whose type is in :data:`READ`, with the table of each."""
    return READ[entry.kind](entry, medicines)


def _patient(entry: Entry, _: Medicines) -> Iterator[tuple[str, Row]]:
    resource = entry.resource
    identity = _text(resource.get("id")) or _last(entry.full_url or "")
    names = [_dict(name) for name in _list(resource.get("name"))]
    name = next((n for n in names if n.get("use") == "official"), names[0] if names else {})
    address = next((_dict(a) for a in _list(resource.get("address"))), {})
    numbers = [
        _text(i.get("value"))
        for i in map(_dict, _list(resource.get("identifier")))
        if i.get("system") == NHS_NUMBER
    ]
    born = _text(resource.get("birthDate")) or ""
    filled, precision = PARTIAL.get(len(born), ("", "day"))
    cells = {
        "patient_id": identity or None,
        "nhs_number": numbers[0] if numbers else None,
        "given_name": " ".join(t for t in map(_text, _list(name.get("given"))) if t) or None,
        "family_name": _text(name.get("family")),
        "birth_date": (born + filled) or None,
        "birth_precision": precision if born else None,
        "sex": {"male": "M", "female": "F"}.get(_text(resource.get("gender")) or ""),
        "postcode": _text(address.get("postalCode")),
        "address": ", ".join(t for t in map(_text, _list(address.get("line"))) if t) or None,
        "email": _reached_by(resource, "email"),
        "phone": _reached_by(resource, "phone"),
    }
    yield "patients", Row(cells)
    died = _text(resource.get("deceasedDateTime"))
    if died is not None or resource.get("deceasedBoolean") is True:
        yield "deaths", Row({"patient_id": identity or None, "date": _day(died)})


def _reached_by(resource: dict[str, Any], system: str) -> str | None:
    """The first address of that kind."""
    ways = map(_dict, _list(resource.get("telecom")))
    return next(
        (value for way in ways if way.get("system") == system and (value := _text(way.get("value")))), None
    )


def _registration(entry: Entry, _: Medicines) -> Iterator[tuple[str, Row]]:
    resource = entry.resource
    period = _dict(resource.get("period"))
    practice = _text(_dict(resource.get("managingOrganization")).get("reference"))
    cells = {
        "patient_id": _person(entry, "patient"),
        "practice": _last(practice) if practice else None,
        "start": _day(_text(period.get("start"))),
        "end": _day(_text(period.get("end"))),
    }
    yield "registrations", Row(cells, _fault(entry, "patient"))


def _condition(entry: Entry, _: Medicines) -> Iterator[tuple[str, Row]]:
    resource = entry.resource
    onset = _text(_dict(resource.get("onsetPeriod")).get("start"))
    date = _best_day(resource.get("onsetDateTime"), onset, resource.get("recordedDate"))
    yield from _coded(entry, "events", "subject", resource.get("code"), date, _stay(entry))
    yield from _codes_of_stay(entry)


def _observation(entry: Entry, _: Medicines) -> Iterator[tuple[str, Row]]:
    resource = entry.resource
    start = _text(_dict(resource.get("effectivePeriod")).get("start"))
    date = _best_day(resource.get("effectiveDateTime"), start, resource.get("effectiveInstant"))
    parts = [p for p in map(_dict, _list(resource.get("component"))) if p.get("code") is not None]
    measured = [key for key in resource if key.startswith("value")]
    for part in [*([resource] if measured or not parts else []), *parts]:
        quantity = _dict(part.get("valueQuantity"))
        number = _number(quantity.get("value"))
        whole = part.get("valueInteger")
        value = number if number is not None else _number(whole)
        unit = _text(quantity.get("code")) or _text(quantity.get("unit"))
        yield from _coded(entry, "events", "subject", part.get("code"), date, {"value": value, "unit": unit})
        answer = part.get("valueCodeableConcept")
        asked = {_text(c.get("code")) for c in _codings(part.get("code"))}
        if answer is not None and asked & ANSWERED:
            yield from _coded(entry, "events", "subject", answer, date)


def _procedure(entry: Entry, _: Medicines) -> Iterator[tuple[str, Row]]:
    resource = entry.resource
    start = _text(_dict(resource.get("performedPeriod")).get("start"))
    date = _best_day(resource.get("performedDateTime"), start)
    yield from _coded(entry, "events", "subject", resource.get("code"), date, _stay(entry))
    yield from _codes_of_stay(entry)


def _immunization(entry: Entry, _: Medicines) -> Iterator[tuple[str, Row]]:
    resource = entry.resource
    date = _best_day(resource.get("occurrenceDateTime"))
    yield from _coded(entry, "events", "patient", resource.get("vaccineCode"), date)


def _request(entry: Entry, medicines: Medicines) -> Iterator[tuple[str, Row]]:
    date = _best_day(entry.resource.get("authoredOn"))
    yield from _coded(entry, "prescriptions", "subject", medicines.code(entry), date)


def _statement(entry: Entry, medicines: Medicines) -> Iterator[tuple[str, Row]]:
    resource = entry.resource
    start = _text(_dict(resource.get("effectivePeriod")).get("start"))
    date = _best_day(resource.get("effectiveDateTime"), start, resource.get("dateAsserted"))
    yield from _coded(entry, "prescriptions", "subject", medicines.code(entry), date)


def _encounter(entry: Entry, _: Medicines) -> Iterator[tuple[str, Row]]:
    resource = entry.resource
    period = _dict(resource.get("period"))
    date = _best_day(period.get("start"))
    types = {"coding": [c for t in _list(resource.get("type")) for c in _codings(t)]}
    if _text(_dict(resource.get("class")).get("code")) not in INPATIENT:
        yield from _coded(entry, "contacts", "subject", types, date)
        return
    stay = _key(entry)
    cells = {
        "patient_id": _person(entry, "subject"),
        "admission_date": date,
        "discharge_date": _day(_text(period.get("end"))),
        "encounter": stay,
    }
    planned = NOT_DONE if resource.get("status") == "planned" else None
    yield "admissions", Row(cells, _fault(entry, "subject") or planned)
    # an admission that has no code of its kind is no refused contact
    if any(_text(c.get("system")) in SYSTEMS for c in types["coding"]):
        yield from _coded(entry, "contacts", "subject", types, date)
    for order, diagnosis in enumerate(map(_dict, _list(resource.get("diagnosis"))), 1):
        rank = _number(diagnosis.get("rank")) or ""
        place = int(rank) if re.fullmatch(r"[1-9][0-9]{0,2}", rank) else 1000 + min(order, 1000)
        condition = _key_of(entry, _dict(diagnosis.get("condition")))
        yield LINKS, Row({"encounter": stay, "resource": condition, "rank": str(place)})


def _codes_of_stay(entry: Entry) -> Iterator[tuple[str, Row]]:
    """Codes of a diagnosis or procedure that an admission can hold, and the encounter that it names."""
    resource = entry.resource
    if _fault(entry, "subject") is not None:
        return
    codes = [
        (system, _text(coding.get("code")))
        for coding in _codings(resource.get("code"))
        if (system := SYSTEMS.get(_text(coding.get("system")) or "")) in ADMISSION_SYSTEMS
    ]
    for system, code in codes:
        yield CODES, Row({"resource": _key(entry), "system": system, "code": code})
    if codes and (stay := _encounter_of(entry)) is not None:
        yield LINKS, Row({"encounter": stay, "resource": _key(entry), "rank": str(UNNAMED)})


def _stay(entry: Entry) -> dict[str, str | None]:
    """What tells whether a diagnosis or procedure is one of an admission: either may name the other."""
    return {"encounter": _encounter_of(entry), "resource": _key(entry)}


def _encounter_of(entry: Entry) -> str | None:
    """The encounter that a diagnosis or procedure names; None for one of a list of problems."""
    problems = any(
        _text(c.get("code")) == "problem-list-item"
        for category in _list(entry.resource.get("category"))
        for c in _codings(category)
    )
    return None if problems else _key_of(entry, _dict(entry.resource.get("encounter")))


def _key(entry: Entry) -> str:
    """A resource by its type and identifier."""
    return f"{entry.kind}/{_text(entry.resource.get('id')) or _last(entry.full_url or '')}"


def _key_of(entry: Entry, named: dict[str, Any]) -> str | None:
    """The resource that a reference names, as :func:`_key` writes it; None where it names none."""
    reference = _text(named.get("reference"))
    if reference is None:
        return None
    near = (entry.bundle or {}).get(reference)
    if near is not None:
        return f"{_text(near.get('resourceType')) or ''}/{_text(near.get('id')) or _last(reference)}"
    plain = re.search(r"([A-Za-z]+)/([^/]+)$", reference.partition("/_history/")[0])
    return f"{plain[1]}/{plain[2]}" if plain else None


def _coded(
    entry: Entry,
    table: str,
    who: str,
    concept: Any,
    date: str | None,
    also: Mapping[str, str | None] | None = None,
) -> Iterator[tuple[str, Row]]:
    """One row for each known system that a concept is coded in, or one that says why there is none."""
    fault = _fault(entry, who)
    cells = {"patient_id": _person(entry, who), "date": date, **(also or {})}
    codings = _codings(concept)
    known: dict[str, str | None] = {}
    for coding in codings:
        system = SYSTEMS.get(_text(coding.get("system")) or "")
        if system is not None:
            known.setdefault(system, _text(coding.get("code")))
    if not known or fault is not None:
        missing = UNKNOWN_SYSTEM if codings else None
        yield table, Row(cells, fault or missing)
        return
    for system, code in known.items():
        yield table, Row({**cells, "system": system, "code": code})


def _fault(entry: Entry, who: str) -> str | None:
    resource = entry.resource
    status = _text(resource.get("status")) or ""
    verified = {_text(c.get("code")) for c in _codings(resource.get("verificationStatus"))}
    if "entered-in-error" in {status, *verified}:
        return IN_ERROR
    if "refuted" in verified:
        return REFUTED
    if status in ("not-done", "cancelled", "not-taken"):
        return NOT_DONE
    reference = _text(_dict(resource.get(who)).get("reference"))
    return NO_PATIENT if reference is not None and "?" in reference else None


def _person(entry: Entry, who: str) -> str | None:
    """Identifier of the patient that a resource refers to."""
    reference = _text(_dict(entry.resource.get(who)).get("reference"))
    if not reference:
        return None
    near = (entry.bundle or {}).get(reference)
    own = _text(near.get("id")) if near is not None else None
    return own or _last(reference)


def _last(reference: str) -> str:
    """``Patient/1/_history/2``, ``http://server/Patient/1`` and ``urn:uuid:1`` all mean 1."""
    plain = reference.partition("/_history/")[0]
    return re.split(r"[/:]", plain)[-1]


def _best_day(*moments: Any) -> str | None:
    """The first moment that names a day, else the first that is given."""
    given = [text for text in map(_text, moments) if text]
    return next((_day(text) for text in given if _FULL_DATE.match(text)), given[0] if given else None)


def _day(moment: str | None) -> str | None:
    """The day of a moment, as it was where it was written down."""
    if moment is None:
        return None
    return moment[:10] if _FULL_DATE.match(moment) and moment[10:11] in ("", "T") else moment


def _codings(concept: Any) -> list[dict[str, Any]]:
    return [_dict(coding) for coding in _list(_dict(concept).get("coding"))]


def _number(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


READ: Mapping[str, Callable[[Entry, Medicines], Iterator[tuple[str, Row]]]] = {
    "Patient": _patient,
    "EpisodeOfCare": _registration,
    "Condition": _condition,
    "Observation": _observation,
    "Procedure": _procedure,
    "Immunization": _immunization,
    "MedicationRequest": _request,
    "MedicationStatement": _statement,
    "Encounter": _encounter,
}
