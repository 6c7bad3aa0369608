"""Whatever a source holds: read = accepted + rejected, and every refused row can be found again."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cohorts.errors import InputError
from cohorts.hub import connect
from cohorts.models import FhirSource, OmopSource
from cohorts.sources import TableSource, read_sources

FEW = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))

scalar = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8),
    st.sampled_from(["Patient/a", "urn:uuid:a", "2010-01-01", "2010", "http://snomed.info/sct", "44054006", "final"]),
)  # fmt: skip
anything = st.recursive(
    scalar,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
concept = st.fixed_dictionaries(
    {"coding": st.lists(st.fixed_dictionaries({"system": scalar, "code": scalar}), max_size=2)}
)
resource = st.fixed_dictionaries(
    {"resourceType": st.sampled_from(
        ["Patient", "Condition", "Observation", "MedicationRequest", "Encounter", "Procedure", "EpisodeOfCare", "Claim"]
    )},
    optional={
        "id": scalar, "subject": st.fixed_dictionaries({"reference": scalar}) | anything, "code": concept | anything,
        "medicationCodeableConcept": concept | anything, "onsetDateTime": scalar, "effectiveDateTime": scalar,
        "authoredOn": scalar, "birthDate": scalar, "deceasedDateTime": scalar, "period": anything, "status": scalar,
        "valueQuantity": st.fixed_dictionaries({"value": scalar, "unit": scalar}) | anything, "name": anything,
        "component": st.lists(st.fixed_dictionaries({"code": concept}) | anything, max_size=3) | anything,
        "type": st.lists(concept, max_size=2) | anything, "verificationStatus": concept | anything,
    },
)  # fmt: skip


def checked(source: object) -> tuple[int, int]:
    """Rows read and refused of all tables, held to every way in which they are counted."""
    with connect() as hub:
        intake = read_sources(hub, {"s": source})
        counts = intake.counts
        assert (counts["read"] == counts["accepted"] + counts["rejected"]).all()
        held = sum(
            hub.frame(f"SELECT count(*) AS n FROM intake.{table}")["n"][0] for table in counts["table"]
        )
        assert held == counts["accepted"].sum()
        places = hub.frame('SELECT "table", origin, file, "row", lines FROM intake.rejects')
        assert places["lines"].sum() == counts["rejected"].sum() == intake.rejects["rows"].sum()
        assert places["row"].notna().all()
        sums = intake.origins.groupby("table")[["read", "accepted", "rejected"]].sum()
        assert (
            sums.reindex(counts["table"], fill_value=0).to_numpy()
            == counts[["read", "accepted", "rejected"]].to_numpy()
        ).all()
        return int(counts["read"].sum()), int(counts["rejected"].sum())


@FEW
@given(st.lists(resource | anything, max_size=8), st.booleans())
def test_resources_of_any_content_are_counted(resources, in_a_bundle):
    patient = {"resourceType": "Patient", "id": "a"}
    with tempfile.TemporaryDirectory() as folder:
        if in_a_bundle:
            entries = [
                {"fullUrl": f"urn:uuid:{i}", "resource": r} for i, r in enumerate([patient, *resources])
            ]
            text = json.dumps({"resourceType": "Bundle", "entry": entries})
            (Path(folder) / "1.json").write_text(text)
        else:
            (Path(folder) / "1.ndjson").write_text("\n".join(json.dumps(r) for r in [patient, *resources]))
        read, _ = checked(FhirSource(folder))
    assert read >= 1


cell = st.sampled_from(
    ["", "0", "1", "2", "201826", "x", "2010-01-01", "2010-02-30", "1e400", "'", "NA", "-1"]
) | st.text(
    st.characters(codec="utf-8", exclude_characters='",\r\n\t;|\0', exclude_categories=["Cs"]), max_size=6
)


@FEW
@given(
    st.lists(st.tuples(*[cell] * 7), max_size=6),
    st.lists(st.tuples(*[cell] * 5), max_size=12),
    st.lists(st.tuples(*[cell] * 3), max_size=6),
)
def test_omop_cells_of_any_content_are_counted(people, conditions, concepts):
    headers = {
        "person": (
            "person_id,gender_concept_id,year_of_birth,month_of_birth,day_of_birth,birth_datetime,gender_source_value",
            people,
        ),
        "condition_occurrence": (
            "person_id,condition_concept_id,condition_start_date,condition_source_concept_id,condition_source_value",
            conditions,
        ),
        "concept": ("concept_id,vocabulary_id,concept_code", concepts),
    }
    with tempfile.TemporaryDirectory() as folder:
        for name, (header, rows) in headers.items():
            (Path(folder) / f"{name}.csv").write_text(
                "\n".join([header, *(",".join(row) for row in rows)]) + "\n", encoding="utf-8"
            )
        read, _ = checked(OmopSource(Path(folder)))
    assert read == len(people) + len(conditions)


@FEW
@given(st.lists(st.sampled_from(["good", "ragged", "undated", "stranger"]), max_size=40), st.integers(1, 3))
def test_the_numbers_of_refused_rows_are_those_of_the_file(kinds, files):
    lines = {
        "good": "1,2010-01-01,44054006", "ragged": "1,2010-01-01", "undated": "1,soon,44054006",
        "stranger": "9,2010-01-01,44054006",
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "p.csv").write_text("patient_id\n1\n")
        for number in range(files):
            text = "\n".join(["patient_id,date,code", *(lines[kind] for kind in kinds)]) + "\n"
            (folder / f"e{number}.csv").write_text(text)
        nothing = dict.fromkeys(["nhs_number", "given_name", "family_name", "birth_date", "sex", "postcode"])
        source = {
            "patients": TableSource(folder / "p.csv", columns=nothing),
            "events": TableSource(
                folder / "e*.csv", columns={"value": None, "unit": None}, constants={"system": "snomed"}
            ),
        }
        with connect() as hub:
            read_sources(hub, {"s": source})
            found = hub.connection.execute('SELECT file, "row" FROM intake.rejects ORDER BY ALL').fetchall()
    bad = [number for number, kind in enumerate(kinds, 1) if kind != "good"]
    assert found == [(file, row) for file in range(1, files + 1) for row in bad]


@FEW
@given(st.binary(max_size=300))
def test_arbitrary_bytes_as_a_bulk_file_are_counted(noise):
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "1.ndjson").write_bytes(noise)
        checked(FhirSource(folder))


@FEW
@given(st.binary(max_size=300))
def test_arbitrary_bytes_as_a_bundle_are_an_input_error(noise):
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "1.json").write_bytes(b"\xff" + noise)
        with pytest.raises(InputError, match="not a FHIR bundle or resource; found 1 damaged"):
            checked(FhirSource(folder))
