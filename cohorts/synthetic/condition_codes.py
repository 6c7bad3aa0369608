"""The codes in which the diseases of :mod:`cohorts.synthetic.conditions` are written down.

Identifiers only, as in :mod:`cohorts.synthetic.codes`. What a practice or hospital writes is narrower than
what an analyst should look for, and some of it is about people who are not ill: relatives, suspicions,
screening, neighbouring diagnoses. Code lists are to be written without this page.
"""

from __future__ import annotations

from collections.abc import Mapping

#: Practices write SNOMED CT; until 2015 a third of them Read v2 (five bytes, case and dots matter).
GP_SNOMED: Mapping[str, tuple[str, ...]] = {
    "heart_failure": ("84114007", "84114007", "42343007", "703272007", "85232009"),
    "stroke": ("230690007", "432504007", "432504007", "274100004"),
    "atrial_fibrillation": ("49436004", "49436004", "282825002"),
    # one code a stage: 3, 3A, 3B, 4, 5
    "ckd": ("433144002", "700378005", "700379002", "431857002", "433146000"),
    "copd": ("13645005", "13645005", "313296004", "313297008", "313299006"),
    "breast_cancer": ("254837009",),
    "prostate_cancer": ("399068003",),
    "colorectal_cancer": ("363406005", "363406005", "363351006"),
    "depression": ("35489007", "35489007", "310495003", "310496002", "310497006", "370143000"),
    "dementia": ("52448006", "26929004", "26929004", "429998004"),
    "neuropathy": ("230572002", "424736006"),
    "amputation": ("371186005", "180030006", "88312006", "79733001"),
    "severe_hypoglycaemia": ("237632004", "719216001", "421437000"),
}

GP_READ2: Mapping[str, tuple[str, ...]] = {
    "heart_failure": ("G58..", "G580.", "G581."),
    "stroke": ("G66..", "G64..", "G61.."),
    "atrial_fibrillation": ("G5730", "G573."),
    "ckd": ("1Z12.", "1Z15.", "1Z16.", "1Z13.", "1Z14."),
    "copd": ("H3...", "H36..", "H37..", "H38.."),
    "breast_cancer": ("B34..", "B34z."),
    "prostate_cancer": ("B46..",),
    "colorectal_cancer": ("B13..", "B141."),
    "depression": ("E2B..", "Eu32.", "Eu32z", "E1120"),
    "dementia": ("Eu02z", "Eu00.", "F110.", "Eu01."),
    "neuropathy": ("F3720", "C106."),
    "amputation": ("7L06.", "7L07."),
    "severe_hypoglycaemia": ("C108E", "C109D"),
}

#: Written about people of whom most do not have the disease: family history, suspicion, screening,
#: neighbouring and lesser diagnoses, results.
GP_DECOYS: Mapping[str, str] = {
    "family history of breast cancer": "429740004",
    "family history of coronary disease": "266897007",
    "family history of diabetes": "160303001",
    "family history of bowel cancer": "312824007",
    "family history of stroke": "275104002",
    "transient ischaemic attack": "266257000",
    "screening for depression": "171207006",
    "anxiety": "197480006",
    "mild cognitive impairment": "386805003",
    "suspected heart failure": "394887005",
    "raised PSA": "396152005",
    "benign prostatic hyperplasia": "266569009",
    "fibroadenosis of breast": "57993004",
    "irritable bowel": "10743008",
    "atrial flutter": "5370000",
    "palpitations": "80313002",
    "mild hypoglycaemia": "302866003",
    "acute kidney injury": "14669001",
    "leg swelling": "267038008",
    "memory loss": "386807006",
}

ICD10: Mapping[str, tuple[str, ...]] = {
    "heart_failure": ("I500", "I501", "I509"),
    "stroke": ("I639", "I639", "I634", "I633", "I619", "I64X"),
    # the classification's edition of 2016 split I48
    "atrial_fibrillation_before_2016": ("I48X",),
    "atrial_fibrillation": ("I489", "I480", "I482"),
    # stages 3, 3, 3, 4, 5
    "ckd": ("N183", "N183", "N183", "N184", "N185"),
    "copd": ("J440", "J441", "J449"),
    "breast_cancer": ("C509", "C504", "C501"),
    "prostate_cancer": ("C61X",),
    "colorectal_cancer": ("C189", "C187", "C180", "C182", "C20X", "C19X"),
    "depression": ("F329", "F322", "F339"),
    "dementia": ("F03X", "G309", "F019"),
    "neuropathy": ("E114", "G632"),
    "amputation": ("E115",),
    "severe_hypoglycaemia": ("E162", "E160"),
}

#: Type 1 diabetics have E10 where others have E11.
ICD10_TYPE1: Mapping[str, str] = {"E114": "E104", "E115": "E105"}

#: Written at later stays of those who once had the disease.
ICD10_HISTORY: Mapping[str, str] = {
    "stroke": "I694",
    "breast_cancer": "Z853",
    "prostate_cancer": "Z854",
    "colorectal_cancer": "Z850",
}

OPCS4: Mapping[str, tuple[str, ...]] = {
    "breast_cancer": ("B282", "B274"),
    "prostate_cancer": ("M611", "M653"),
    "colorectal_cancer": ("H071", "H105", "H332"),
    "amputation": ("X111", "X112", "X101", "X095", "X093"),
}

ICD10_DECOYS: Mapping[str, str] = {
    "transient ischaemic attack": "G459",
    "chest pain": "R074",
    "family history of breast cancer": "Z803",
    "benign breast lump": "D249",
    "prostatic hyperplasia": "N40X",
    "polyp of colon": "K635",
    "delirium": "F059",
    "acute kidney injury": "N179",
}

#: BNF codes of courses, and of the same or near drugs given for other reasons.
BNF: Mapping[str, tuple[str, ...]] = {
    "loop_diuretic": ("0202020L0AABBBB", "0202020D0AAAAAA"),
    "mra": ("0202030S0AAAAAA",),
    "anticoagulant": ("0208020V0AAABAB", "0208020Z0AAABAB", "0208020Y0AAAAAA"),
    "antiplatelet": ("0209000C0AAAAAA",),
    "lama": ("0301020Q0AAAAAA", "0302000N0AABABA"),
    "antidepressant": ("0403030Q0AAAAAA", "0403030D0AAAAAA", "0403040X0AAAAAA"),
    "dementia_drug": ("0411000D0AAAAAA", "0411000G0AAAAAA"),
    "breast_hormone": ("0803041S0AAAAAA", "0803041L0AAAAAA"),
    "prostate_hormone": ("0803042K0AAAAAA", "0803042A0AAAAAA"),
    "nerve_pain": ("0403040Y0AAAAAA", "0408010AEAAAAAA"),
    "glucagon": ("0601040H0AAAAAA",),
    "amitriptyline": ("0403010B0AAAAAA",),
}

#: Kidney function is measured under the names ``egfr`` and ``creatinine`` of :data:`cohorts.synthetic.codes.SNOMED`;
#: urine albumin to creatinine ratio (mg/mmol) of diabetics and of those with kidney disease under this code.
URINE_ACR = "1023491000000104"
