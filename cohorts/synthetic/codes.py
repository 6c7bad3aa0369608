"""The clinical codes that the region's providers write, by our own short names.

Identifiers only: no terms of SNOMED CT, ICD-10, OPCS-4 or BNF are shipped.
"""

from __future__ import annotations

SNOMED: dict[str, str] = {
    "t2d": "44054006",
    "t2d_other": "313436004",
    "t1d": "46635009",
    "chd": "53741008",
    "mi": "22298006",
    "angina": "194828000",
    "asthma": "195967001",
    "lung_cancer": "254637007",
    "lung_cancer_other": "93880001",
    "hypertension": "38341003",
    "retinopathy": "4855003",
    "nephropathy": "127013003",
    "foot_ulcer": "280137006",
    "dka": "420422005",
    "smoking_current": "77176002",
    "smoking_ex": "8517006",
    "smoking_never": "266919005",
    "bmi": "60621009",
    "sbp": "271649006",
    "ldl": "1022191000000100",
    "hba1c": "999791000000106",
    "hba1c_dcct": "1003671000000109",
    "total_cholesterol": "1005671000000105",
    "hdl": "1005681000000107",
    "egfr": "1011481000000105",
    "creatinine": "1000731000000107",
}

#: Everyday reasons to see a GP, unrelated to the modelled diseases.
GP_BACKGROUND: tuple[str, ...] = (
    "54150009", "279039007", "16001004", "48694002", "396275006", "235595009", "43116000",
    "68566005", "195662009", "10509002", "37796009", "40930008", "267036007", "21522001",
    "25064002", "271807003", "62315008", "422587007", "185349003", "49727002",
)  # fmt: skip

COMMUNITY_BACKGROUND: tuple[str, ...] = ("439708006", "185317003", "225358003", "386053000", "410155007")

ICD10_BACKGROUND: tuple[str, ...] = (
    "J189", "N390", "R074", "R104", "M171", "M169", "K409", "K802", "S720", "H269", "K590", "R55X",
    "L031", "N201", "R11X", "I839", "G560", "K573", "D649", "C443",
)  # fmt: skip

#: Underlying causes of the deaths that no modelled disease explains.
DEATH_BACKGROUND: tuple[str, ...] = (
    "J189", "R54X", "G20X", "A419", "I710", "C159", "C169", "C679", "C259", "C719", "K746", "K559",
    "W199", "V892",
)  # fmt: skip

OPCS_BACKGROUND: tuple[str, ...] = ("W401", "W371", "C751", "H229", "G451", "T202", "J183", "W192")

BNF: dict[str, tuple[str, ...]] = {
    "metformin": ("0601022B0AAABAB", "0601022B0AAADAD"),
    "sulfonylurea": ("0601021M0AAABAB", "0601021A0AAAAAA"),
    "gliptin": ("0601023X0AAAAAA", "0601023Y0AAAAAA"),
    "insulin": ("0601012Z0AAAAAA", "0601011A0AAAAAA"),
    "statin": ("0212000Y0AAADAD", "0212000B0AAABAB", "0212000B0AAACAC"),
    "antihypertensive": ("0205051R0AAABAB", "0206020A0AAAAAA", "0202010B0AAABAB"),
    "inhaler": ("0301011R0AAAPAP", "0301011R0AAAQAQ"),
    "background": (
        "0501013B0AAAAAA",
        "0407010H0AAAMAM",
        "0103050P0AAAAAA",
        "0602010V0AAABAB",
        "0304010I0AAAAAA",
    ),
}

UNITS: tuple[str, ...] = (
    "kg/m2",
    "mmHg",
    "mmol/L",
    "mg/dL",
    "mmol/mol",
    "%",
    "mL/min/1.73m2",
    "umol/L",
    "mg/mmol",
)

CARE_TYPES: tuple[str, ...] = ("home care", "residential", "nursing", "reablement", "direct payment")
