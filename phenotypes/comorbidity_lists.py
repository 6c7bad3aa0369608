"""What the comorbidity indices count, and with which weights.

The code prefixes and weights are facts published in the papers that each index names; they are written here as prefixes
of ICD-10 without dots, with ranges. Two lists are our own and say so: they are short, of hospital codes alone, and no
substitute for the instruments whose idea they borrow.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from phenotypes.codelist import CodeList


@dataclass(frozen=True)
class ComorbidityIndex:
    """One index.

    Attributes
    ----------
    source
        Where the lists and weights come from.
    conditions
        By condition, the code list that means it.
    weights
        By condition; 1 where a condition has none.
    trumps
        Pairs (severe, mild): where somebody has the severe condition the mild one does not count.
    divisor
        The sum is divided by this.
    """

    source: str
    conditions: Mapping[str, CodeList] = field(repr=False)
    weights: Mapping[str, float] = field(default_factory=dict, repr=False)
    trumps: tuple[tuple[str, str], ...] = ()
    divisor: float = 1.0


@dataclass(frozen=True)
class _Written:
    source: str
    codes: Mapping[str, str]
    weights: Mapping[str, float] = field(default_factory=dict)
    trumps: tuple[tuple[str, str], ...] = ()
    fraction: bool = False

    @cached_property
    def index(self) -> ComorbidityIndex:
        lists = {
            name: CodeList.of(name, [("icd10", c if "-" in c else f"{c}*") for c in codes.split()])
            for name, codes in self.codes.items()
        }
        divisor = float(len(lists)) if self.fraction else 1.0
        return ComorbidityIndex(self.source, lists, self.weights, self.trumps, divisor)


# Quan H. et al., Med Care 2005;43:1130-9, table 1, enhanced ICD-10.
_CHARLSON_QUAN = {
    "myocardial_infarction": "I21 I22 I252",
    "heart_failure": "I099 I110 I130 I132 I255 I420 I425-I429 I43 I50 P290",
    "peripheral_vascular": "I70 I71 I731 I738 I739 I771 I790 I792 K551 K558 K559 Z958 Z959",
    "cerebrovascular": "G45 G46 H340 I60-I69",
    "dementia": "F00-F03 F051 G30 G311",
    "chronic_pulmonary": "I278 I279 J40-J47 J60-J67 J684 J701 J703",
    "rheumatic": "M05 M06 M315 M32-M34 M351 M353 M360",
    "peptic_ulcer": "K25-K28",
    "mild_liver": "B18 K700-K703 K709 K713-K715 K717 K73 K74 K760 K762-K764 K768 K769 Z944",
    "diabetes": ("E100 E101 E106 E108-E111 E116 E118-E121 E126 E128-E131 E136 E138-E141 E146 E148 E149"),
    "diabetes_complicated": "E102-E105 E107 E112-E115 E117 E122-E125 E127 E132-E135 E137 E142-E145 E147",
    "hemiplegia": "G041 G114 G801 G802 G81 G82 G830-G834 G839",
    "renal": "I120 I131 N032-N037 N052-N057 N18 N19 N250 Z490-Z492 Z940 Z992",
    "cancer": "C00-C26 C30-C34 C37-C41 C43 C45-C58 C60-C76 C81-C85 C88 C90-C97",
    "severe_liver": "I850 I859 I864 I982 K704 K711 K721 K729 K765-K767",
    "metastatic_cancer": "C77-C80",
    "aids": "B20-B22 B24",
}

_CHARLSON_TRUMPS = (
    ("diabetes_complicated", "diabetes"),
    ("severe_liver", "mild_liver"),
    ("metastatic_cancer", "cancer"),
)

# Charlson M. E. et al., J Chronic Dis 1987;40:373-83.
_WEIGHTS_1987 = {
    **dict.fromkeys(_CHARLSON_QUAN, 1.0),
    **dict.fromkeys(("diabetes_complicated", "hemiplegia", "renal", "cancer"), 2.0),
    "severe_liver": 3.0,
    "metastatic_cancer": 6.0,
    "aids": 6.0,
}

# Quan H. et al., Am J Epidemiol 2011;173:676-82, table 2. AIDS weighs 4: the paper gives the largest possible score
# as 24, which with the hierarchy of liver disease and cancer is reached with 4 and not with the 2 of one package.
_WEIGHTS_2011 = {
    **dict.fromkeys(_CHARLSON_QUAN, 0.0),
    **dict.fromkeys(("chronic_pulmonary", "rheumatic", "diabetes_complicated", "renal"), 1.0),
    **dict.fromkeys(("heart_failure", "dementia", "mild_liver", "hemiplegia", "cancer"), 2.0),
    "severe_liver": 4.0,
    "aids": 4.0,
    "metastatic_cancer": 6.0,
}

# NHS England, Summary Hospital-level Mortality Indicator, indicator specification 1.60: conditions and weights.
_SHMI = {
    "myocardial_infarction": "I21-I23 I252 I258",
    "heart_failure": "I50",
    "peripheral_vascular": "I71 I739 I790 R02 Z958 Z959",
    "cerebrovascular": "G450-G452 G454 G458 G459 G46 I60-I69",
    "dementia": "F00-F03 F051",
    "chronic_pulmonary": "J40-J47 J60-J67",
    "rheumatic": "M05 M060 M063 M069 M32 M332 M34 M353",
    "peptic_ulcer": "K25-K28",
    "mild_liver": "K702 K703 K717 K73 K74",
    "diabetes": (
        "E101 E105 E106 E108 E109 E111 E115 E116 E118 E119 E131 E135 E136 E138 E139 E141 E145 E146 E148 E149"
    ),
    "diabetes_complicated": "E102-E104 E107 E112-E114 E117 E132-E134 E137 E142-E144 E147",
    "hemiplegia": "G041 G81 G820-G822",
    "renal": "I12 I13 N01 N03 N052-N056 N072-N074 N18 N19 N25",
    "cancer": "C00-C39 C40-C69 C70-C76 C81-C86 C88 C90-C97",
    "severe_liver": "K721 K729 K766 K767",
    "metastatic_cancer": "C77-C80",
    "aids": "B20-B24 O987",
}
_WEIGHTS_SHMI = dict(
    zip(_SHMI, map(float, (5, 13, 6, 11, 14, 4, 4, 9, 8, 3, -1, 1, 10, 8, 18, 14, 2)), strict=True)
)

# Quan H. et al., Med Care 2005;43:1130-9, table 2.
_ELIXHAUSER_QUAN = {
    "heart_failure": "I099 I110 I130 I132 I255 I420 I425-I429 I43 I50 P290",
    "arrhythmia": "I441-I443 I456 I459 I47-I49 R000 R001 R008 T821 Z450 Z950",
    "valvular": "A520 I05-I08 I091 I098 I34-I39 Q230-Q233 Z952-Z954",
    "pulmonary_circulation": "I26 I27 I280 I288 I289",
    "peripheral_vascular": "I70 I71 I731 I738 I739 I771 I790 I792 K551 K558 K559 Z958 Z959",
    "hypertension": "I10",
    "hypertension_complicated": "I11-I13 I15",
    "paralysis": "G041 G114 G801 G802 G81 G82 G830-G834 G839",
    "other_neurological": ("G10-G13 G20-G22 G254 G255 G312 G318 G319 G32 G35-G37 G40 G41 G931 G934 R470 R56"),
    "chronic_pulmonary": "I278 I279 J40-J47 J60-J67 J684 J701 J703",
    "diabetes": "E100 E101 E109-E111 E119-E121 E129-E131 E139-E141 E149",
    "diabetes_complicated": "E102-E108 E112-E118 E122-E128 E132-E138 E142-E148",
    "hypothyroidism": "E00-E03 E890",
    "renal_failure": "I120 I131 N18 N19 N250 Z490-Z492 Z940 Z992",
    "liver": ("B18 I85 I864 I982 K70 K711 K713-K715 K717 K72-K74 K760 K762-K769 Z944"),
    "peptic_ulcer": "K257 K259 K267 K269 K277 K279 K287 K289",
    "aids": "B20-B22 B24",
    "lymphoma": "C81-C85 C88 C96 C900 C902",
    "metastatic_cancer": "C77-C80",
    "solid_tumour": "C00-C26 C30-C34 C37-C41 C43 C45-C58 C60-C76 C97",
    "rheumatic": "L940 L941 L943 M05 M06 M08 M120 M123 M30 M310-M313 M32-M35 M45 M461 M468 M469",
    "coagulopathy": "D65-D68 D691 D693-D696",
    "obesity": "E66",
    "weight_loss": "E40-E46 R634 R64",
    "fluid_electrolyte": "E222 E86 E87",
    "blood_loss_anaemia": "D500",
    "deficiency_anaemia": "D508 D509 D51-D53",
    "alcohol": "F10 E52 G621 I426 K292 K700 K703 K709 T51 Z502 Z714 Z721",
    "drugs": "F11-F16 F18 F19 Z715 Z722",
    "psychosis": "F20 F22-F25 F28 F29 F302 F312 F315",
    "depression": "F204 F313-F315 F32 F33 F341 F412 F432",
}

_ELIXHAUSER_TRUMPS = (
    ("hypertension_complicated", "hypertension"),
    ("diabetes_complicated", "diabetes"),
    ("metastatic_cancer", "solid_tumour"),
)

# van Walraven C. et al., Med Care 2009;47:626-33; both kinds of hypertension and of diabetes weigh nothing.
_WEIGHTS_VAN_WALRAVEN = dict(
    zip(
        _ELIXHAUSER_QUAN,
        map(
            float,
            (
                7,
                5,
                -1,
                4,
                2,
                0,
                0,
                7,
                6,
                3,
                0,
                0,
                0,
                5,
                11,
                0,
                0,
                9,
                12,
                4,
                0,
                3,
                -4,
                6,
                5,
                -2,
                -2,
                0,
                -7,
                0,
                -3,
            ),
        ),
        strict=True,
    )
)

# Gilbert T. et al., Lancet 2018;391:1775-82, table 1: three-character categories and points. Meant for people of 75 and
# older and the codes of the last two years; 5 and 15 divide low, intermediate and high risk.
_HFRS_POINTS = (
    "A04=1.1 A09=1.1 A41=1.6 B95=1.7 B96=2.9 D64=0.4 E05=0.9 E16=1.4 E53=1.9 E55=1 E83=0.4 E86=2.3 "
    "E87=2.3 F00=7.1 F01=2 F03=2.1 F05=3.2 F10=0.7 F32=0.5 G20=1.8 G30=4 G31=1.2 G40=1.5 G45=1.2 "
    "G81=4.4 H54=1.9 H91=0.9 I63=0.8 I67=2.6 I69=3.7 I95=1.6 J18=1.1 J22=0.7 J69=1 J96=1.5 K26=1.6 "
    "K52=0.3 K59=1.8 K92=0.8 L03=2 L08=0.4 L89=1.7 L97=1.6 M15=0.4 M19=1.5 M25=2.3 M41=0.9 M48=0.5 "
    "M79=1.1 M80=0.8 M81=1.4 N17=1.8 N18=1.4 N19=1.6 N20=0.7 N28=1.3 N39=3.2 R00=0.7 R02=1 R11=0.3 "
    "R13=0.8 R26=2.6 R29=3.6 R31=3 R32=1.2 R33=1.3 R40=2.5 R41=2.7 R44=1.6 R45=1.2 R47=1 R50=0.1 "
    "R54=2.2 R55=1.8 R56=2.6 R63=0.9 R69=1.3 R79=0.6 R94=1.4 S00=3.2 S01=1.1 S06=2.4 S09=1.2 S22=1.8 "
    "S32=1.4 S42=2.3 S51=0.5 S72=1.4 S80=2 T83=2.4 U80=0.8 W01=0.9 W06=1.1 W10=0.9 W18=2.1 W19=3.2 "
    "X59=1.5 Y84=0.7 Y95=1.2 Z22=1.7 Z50=2.1 Z60=1.8 Z73=0.6 Z74=1.1 Z75=2 Z87=1.5 Z91=0.5 Z93=1 "
    "Z99=0.8 "
)
_HFRS = {pair[:3]: float(pair[4:]) for pair in _HFRS_POINTS.split()}

# Our own, after the idea of the Cambridge Multimorbidity Score (Payne R. A. et al., CMAJ 2020;192:E107-14), which reads
# primary care codes and prescriptions and weighs them: twenty conditions as hospitals code them, each counted once.
_MULTIMORBIDITY = {
    "hypertension": "I10-I13 I15",
    "anxiety_depression": "F32-F34 F40 F41",
    "painful_condition": "M15-M19 M47 M54 G43 M797",
    "hearing_loss": "H90 H91",
    "irritable_bowel": "K58",
    "asthma": "J45 J46",
    "diabetes": "E10-E14",
    "coronary": "I20-I25",
    "chronic_kidney": "N18",
    "atrial_fibrillation": "I48",
    "constipation": "K590",
    "stroke_tia": "G45 I60-I64 I69",
    "copd": "J41-J44",
    "connective_tissue": "M05 M06 M08 M30-M36 M45",
    "cancer": "C00-C26 C30-C34 C37-C41 C43 C45-C58 C60-C85 C88 C90-C97",
    "alcohol": "F10 K70",
    "heart_failure": "I50 I110 I130 I132",
    "dementia": "F00-F03 G30",
    "psychosis_bipolar": "F20-F31",
    "epilepsy": "G40 G41",
}

# Our own, after the deficits that the electronic frailty index names (Clegg A. et al., Age Ageing 2016;45:353-60). That
# index reads primary care codes and counts prescriptions; this one reads hospital codes, and without the latter.
_FRAILTY = {
    "activity_limitation": "Z736 Z740",
    "anaemia": "D50-D53 D55-D59 D60-D64",
    "arthritis": "M05 M06 M15-M19",
    "atrial_fibrillation": "I48",
    "cerebrovascular": "G45 I60-I69",
    "chronic_kidney": "N18 N19",
    "diabetes": "E10-E14",
    "dizziness": "R42 H81",
    "dyspnoea": "R060",
    "falls": "R296 W00-W19",
    "foot_problems": "L84 M20 L600",
    "fragility_fracture": "S220 S320 S422 S525 S72 M80",
    "hearing_loss": "H90 H91",
    "heart_failure": "I50 I110 I130 I132",
    "heart_valve": "I05-I08 I34-I37",
    "housebound": "Z741",
    "hypertension": "I10-I13 I15",
    "hypotension_syncope": "I95 R55",
    "ischaemic_heart": "I20-I25",
    "memory": "F00-F03 G30 R410 R413",
    "mobility": "R26 Z993 Z748",
    "osteoporosis": "M80 M81",
    "parkinsonism": "G20-G22",
    "peptic_ulcer": "K25-K28",
    "peripheral_vascular": "I70 I739",
    "care_requirement": "Z742 Z743 Z75",
    "respiratory": "J40-J47 J60-J67 J84",
    "skin_ulcer": "L89 L97",
    "sleep": "F51 G47",
    "social_vulnerability": "Z602 Z630 Z634",
    "thyroid": "E00-E07",
    "urinary_incontinence": "N393 N394 R32",
    "urinary_disease": "N20-N23 N30 N40",
    "visual_impairment": "H25 H353 H40 H54",
    "weight_loss": "E40-E46 R630 R634 R64",
}

_WRITTEN: dict[str, _Written] = {
    "charlson-1987": _Written(
        "codes of Quan 2005, weights of Charlson 1987", _CHARLSON_QUAN, _WEIGHTS_1987, _CHARLSON_TRUMPS
    ),
    "charlson-quan2011": _Written(
        "codes of Quan 2005, weights of Quan 2011", _CHARLSON_QUAN, _WEIGHTS_2011, _CHARLSON_TRUMPS
    ),
    # the specification adds up what is there, complicated and uncomplicated alike
    "charlson-shmi": _Written("SHMI specification 1.60", _SHMI, _WEIGHTS_SHMI),
    "elixhauser": _Written("Quan 2005; a count", _ELIXHAUSER_QUAN, {}, _ELIXHAUSER_TRUMPS),
    "elixhauser-vanwalraven": _Written(
        "codes of Quan 2005, weights of van Walraven 2009",
        _ELIXHAUSER_QUAN,
        _WEIGHTS_VAN_WALRAVEN,
        _ELIXHAUSER_TRUMPS,
    ),
    "hfrs": _Written("Gilbert 2018", {code: code for code in _HFRS}, _HFRS),
    "multimorbidity": _Written("our own list of hospital codes, after Payne 2020; a count", _MULTIMORBIDITY),
    "frailty": _Written(
        "our own list of hospital codes, after Clegg 2016; share of deficits", _FRAILTY, fraction=True
    ),
}

INDICES: tuple[str, ...] = tuple(_WRITTEN)


def comorbidity_index(name: str) -> ComorbidityIndex:
    """One of :data:`INDICES`.

    Examples
    --------
    >>> index = comorbidity_index("charlson-quan2011")
    >>> index.conditions["diabetes"].matches("icd10", "E11.9"), index.weights["aids"]
    (True, 4.0)
    """
    return _WRITTEN[name].index
