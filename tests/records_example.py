"""Small invented sources: the same few people in every layout."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

SNOMED, LOINC = "http://snomed.info/sct", "http://loinc.org"


def reference(kind: str, identity: str) -> dict[str, str]:
    return {"reference": f"{kind}/{identity}"}


def concept(system: str, code: str) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code}]}


def bundle(*resources: dict[str, Any]) -> dict[str, Any]:
    """A bundle whose entries have addresses of their own."""
    entries = [{"fullUrl": f"urn:uuid:{r.get('id', i)}", "resource": r} for i, r in enumerate(resources)]
    return {"resourceType": "Bundle", "type": "collection", "entry": entries}


def patient(identity: str, **more: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", "id": identity, "gender": "female", "birthDate": "1950-06-01", **more}


def condition(identity: str, who: str, code: str, when: str, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Condition",
        "id": identity,
        "subject": {"reference": who},
        "code": concept(SNOMED, code),
        "onsetDateTime": when,
        **more,
    }


def write_json(path: Path, value: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


def write_omop(folder: Path) -> Path:
    """Three people of whom one has no standard concept and one is in no table of persons."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {
        "person": """person_id,gender_concept_id,year_of_birth,month_of_birth,day_of_birth,\
birth_datetime,gender_source_value
1,8532,1950,6,1,,F
2,8507,1960,2,,,M
3,0,1970,,,,f
""",
        "observation_period": """observation_period_id,person_id,observation_period_start_date,\
observation_period_end_date
1,1,2000-01-01,2019-12-31
2,2,2000-01-01,1999-01-01
""",
        "condition_occurrence": """condition_occurrence_id,person_id,condition_concept_id,\
condition_start_date,condition_source_value,condition_source_concept_id
1,1,201826,2010-05-01,E11.9,45591027
2,1,0,2011-05-01,E11.9,45591027
3,2,999,2012-05-01,x,0
4,2,0,2012-05-01,E10.9,0
5,9,201826,2012-05-01,E11.9,0
6,3,201826,2012-13-01,E11.9,0
""",
        "measurement": """measurement_id,person_id,measurement_concept_id,measurement_date,\
value_as_number,unit_concept_id,unit_source_value
1,1,3004410,2010-05-01,48.5,9579,mmol per mol
2,2,3004410,2010-05-02,7.1,0,%
3,2,3004410,2010-05-02,high,0,%
""",
        "drug_exposure": """drug_exposure_id,person_id,drug_concept_id,drug_exposure_start_date,\
drug_source_concept_id
1,1,1503297,2010-06-01,0
""",
        "death": """person_id,death_date,cause_concept_id,cause_source_concept_id
1,2019-12-31,201826,45591027
""",
        "CONCEPT": """concept_id\tconcept_name\tvocabulary_id\tconcept_code
201826\tT2 "dm\tSNOMED\t44054006
45591027\tt2dm\tICD10\tE11.9
3004410\thba1c\tLOINC\t4548-4
9579\tmmol/mol\tUCUM\tmmol/mol
1503297\tmetformin\tRxNorm\t6809
""",
    }
    for name, text in files.items():
        (folder / f"{name}.csv").write_text(text, encoding="utf-8")
    return folder


def write_aurum(folder: Path) -> Path:
    """Two acceptable patients and one who is not; identifiers of 18 digits that differ in the last one."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {
        "toy_Extract_Patient_001.txt": """patid\tpracid\tusualgpstaffid\tgender\tyob\tmob\t\
emis_ddate\tregstartdate\tpatienttypeid\tregenddate\tacceptable\tcprd_ddate
123456789012345671\t10\t1\t2\t1950\t\t\t01/01/2000\t3\t\t1\t31/12/2019
123456789012345672\t10\t1\t1\t2015\t3\t\t01/04/2015\t3\t01/05/2016\t1\t
3\t10\t1\t1\t1960\t\t\t01/01/2000\t3\t\t0\t
""",
        "toy_Extract_Practice_001.txt": "pracid\tlcd\tuts\tregion\n10\t01/01/2020\t\t1\n",
        "toy_Extract_Observation_001.txt": """patid\tconsid\tpracid\tobsid\tobsdate\tenterdate\t\
staffid\tparentobsid\tmedcodeid\tvalue\tnumunitid\tobstypeid\tnumrangelow\tnumrangehigh\tprobobsid
123456789012345671\t1\t10\t900000000000000001\t01/05/2010\t\t1\t\t7375491000006115\t48\t1\t1\t\t\t
123456789012345672\t1\t10\t2\t02/05/2016\t\t1\t\t7375491000006116\t\t\t1\t\t\t
""",
        "toy_Extract_Observation_002.txt": """patid\tconsid\tpracid\tobsid\tobsdate\tenterdate\t\
staffid\tparentobsid\tmedcodeid\tvalue\tnumunitid\tobstypeid\tnumrangelow\tnumrangehigh\tprobobsid
123456789012345671\t1\t10\t3\t13/13/2010\t\t1\t\t7375491000006115\t48\t1\t1\t\t\t
3\t1\t10\t3\t13/12/2010\t\t1\t\t7375491000006115\t48\t1\t1\t\t\t
""",
        "toy_Extract_DrugIssue_001.txt": """patid\tissueid\tpracid\tprobobsid\tdrugrecid\t\
issuedate\tenterdate\tstaffid\tprodcodeid\tdosageid\tquantity\tquantunitid\tduration\testnhscost
123456789012345671\t1\t10\t\t\t01/06/2010\t\t1\t92041000033111\t\t1\t1\t28\t1
""",
        "toy_Extract_Consultation_001.txt": """patid\tconsid\tpracid\tconsdate\tenterdate\tstaffid\t\
conssourceid\tcprdconstype\tconsmedcodeid
123456789012345671\t1\t10\t01/05/2010\t\t1\t1\t1\t7375491000006115
""",
        "toy_Extract_Problem_001.txt": "patid\tobsid\n123456789012345671\t900000000000000001\n",
    }
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def write_dictionaries(folder: Path) -> tuple[Path, Path, Path]:
    """Medical dictionary, product dictionary and units, in the form of CPRD's look-ups."""
    folder.mkdir(parents=True, exist_ok=True)
    medical = folder / "EMISMedicalDictionary.txt"
    medical.write_text(
        "MedCodeId\tObservations\tOriginalReadCode\tCleansedReadCode\tTerm\tSnomedCTConceptId\n"
        '7375491000006115\t1\tC10F.\tC10F.00\tType "2\t44054006\n'
    )
    products = folder / "EMISProductDictionary.txt"
    products.write_text("ProdCodeId\tdmdid\tTermfromEMIS\n92041000033111\t325072002\tsomething\n")
    units = folder / "NumUnit.txt"
    units.write_text("numunitid\tDescription\n1\tmmol/mol\n")
    return medical, products, units
