"""What the columns of other programs' summary statistics mean, and telling the programs apart by header.

Only the effect allele is a real riddle: in PLINK, GCTA and LDSC it is A1, in SAIGE Allele2, in REGENIE ALLELE1,
in METAL Allele1, and in tables without a known maker A1 may be either. Such tables are refused until told.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from cohorts.errors import InputError
from gwas.sumstats import EffectKind

ROLES: Final = (
    "chrom", "pos", "id", "effect_allele", "other_allele", "ref", "alt", "beta", "odds_ratio", "hazard_ratio",
    "z", "se", "ci_low", "ci_high", "p", "log10p", "eaf", "n", "n_cases", "n_controls", "info", "test",
)  # fmt: skip
"""What a column can be. `ref` and `alt` serve to find the other allele where only one is named."""


@dataclass(frozen=True)
class Layout:
    """Columns of one program.

    Attributes
    ----------
    name, program
        Short name and what writes it.
    signature
        Columns by which it is known: all must be there.
    columns
        Role to the names it may have, the first that is there counts.
    absent
        Columns that it never has.
    """

    name: str
    program: str
    signature: frozenset[str]
    columns: Mapping[str, tuple[str, ...]]
    absent: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Columns:
    """The layout of one file: its name, and role to column."""

    layout: str
    column: Mapping[str, str]

    def sentence(self) -> str:
        """Say which column was taken for what."""
        return f"layout {self.layout}: " + ", ".join(f"{role} {name}" for role, name in self.column.items())

    @property
    def kind(self) -> EffectKind | None:
        """What the columns tell of the trait."""
        if "hazard_ratio" in self.column:
            return "survival"
        if "odds_ratio" in self.column or "n_cases" in self.column:
            return "binary"
        return None


def _layout(name: str, program: str, signature: str, absent: str = "", **columns: str) -> Layout:
    roles = {role: tuple(names.split()) for role, names in columns.items()}
    return Layout(name, program, frozenset(signature.split()), roles, frozenset(absent.split()))


LAYOUTS: Final[Mapping[str, Layout]] = {
    layout.name: layout
    for layout in (
        _layout(
            "plink2", "PLINK 2 --glm, careome gwas", "#CHROM POS ID REF ALT A1 OBS_CT",
            chrom="#CHROM", pos="POS", id="ID", effect_allele="A1", other_allele="OMITTED", ref="REF", alt="ALT",
            beta="BETA", odds_ratio="OR", hazard_ratio="HR", z="Z_STAT T_STAT Z_OR_F_STAT",
            se="SE LOG(OR)_SE LOG(HR)_SE", p="P", log10p="LOG10_P NEG_LOG10_P", eaf="A1_FREQ", n="OBS_CT",
            info="INFO MACH_R2", test="TEST",
        ),
        _layout(
            "regenie", "REGENIE step 2", "CHROM GENPOS ID ALLELE0 ALLELE1 A1FREQ BETA SE LOG10P",
            chrom="CHROM", pos="GENPOS", id="ID", effect_allele="ALLELE1", other_allele="ALLELE0", beta="BETA",
            se="SE", log10p="LOG10P", eaf="A1FREQ", n="N", info="INFO", test="TEST", n_cases="N_CASES",
            n_controls="N_CONTROLS",
        ),
        _layout(
            "ssf", "GWAS-SSF 1.0 and 1.1 (GWAS Catalog)",
            "chromosome base_pair_location effect_allele other_allele standard_error",
            chrom="chromosome", pos="base_pair_location", id="rsid variant_id", effect_allele="effect_allele",
            other_allele="other_allele", beta="beta", odds_ratio="odds_ratio", hazard_ratio="hazard_ratio",
            z="z-score", se="standard_error", ci_low="ci_lower", ci_high="ci_upper", p="p_value",
            log10p="neg_log_10_p_value", eaf="effect_allele_frequency", n="n", info="info",
        ),
        _layout(
            "ldsc", "LDSC munge_sumstats", "SNP A1 A2 Z N", "BETA b CHR BP POS",
            id="SNP", effect_allele="A1", other_allele="A2", z="Z", n="N", p="P", eaf="FRQ", info="INFO",
        ),
        _layout(
            "cojo", "GCTA .ma", "SNP A1 A2 freq b se p N",
            id="SNP", effect_allele="A1", other_allele="A2", beta="b", se="se", p="p", eaf="freq", n="N",
        ),
        _layout(
            "saige", "SAIGE step 2", "CHR POS Allele1 Allele2 AF_Allele2 BETA SE p.value",
            chrom="CHR", pos="POS", id="MarkerID rsid SNPID", effect_allele="Allele2", other_allele="Allele1",
            beta="BETA", se="SE", p="p.value", eaf="AF_Allele2", n="N", info="imputationInfo",
            n_cases="N_case N.Cases", n_controls="N_ctrl N.Controls",
        ),
        _layout(
            "fastgwa", "GCTA fastGWA and MLMA-LOCO", "CHR SNP POS A1 A2 N AF1 BETA SE P",
            chrom="CHR", pos="POS", id="SNP", effect_allele="A1", other_allele="A2", beta="BETA", se="SE", p="P",
            eaf="AF1", n="N", info="INFO",
        ),
        _layout(
            "bolt", "BOLT-LMM", "SNP CHR BP ALLELE1 ALLELE0 A1FREQ BETA SE P_BOLT_LMM_INF",
            chrom="CHR", pos="BP", id="SNP", effect_allele="ALLELE1", other_allele="ALLELE0", beta="BETA", se="SE",
            p="P_BOLT_LMM P_BOLT_LMM_INF", eaf="A1FREQ", info="INFO",
        ),
        _layout(
            "metal", "METAL", "MarkerName Allele1 Allele2 P-value",
            chrom="Chromosome", pos="Position", id="MarkerName", effect_allele="Allele1", other_allele="Allele2",
            beta="Effect", se="StdErr", z="Zscore", p="P-value", eaf="Freq1", n="N Weight TotalSampleSize",
        ),
    )
}  # fmt: skip
"""Layouts that a header alone gives away."""

_ALIASES: Final[Mapping[str, str]] = {
    "chrom": "chr chrom chromosome hmchrom",
    "pos": "pos bp position basepairlocation bppos genpos hmpos",
    "id": "snp rsid snpid id markername marker variantid rsids hmrsid",
    "effect_allele": "ea effectallele riskallele alleleeffect testedallele codedallele hmeffectallele",
    "other_allele": "nea oa otherallele noneffectallele noncodedallele referenceallele hmotherallele",
    "beta": "beta b effect es effectsize logor hmbeta",
    "odds_ratio": "or oddsratio hmoddsratio",
    "hazard_ratio": "hr hazardratio hmhazardratio",
    "z": "z zscore zstat",
    "se": "se stderr standarderror sebeta",
    "ci_low": "or95l cilower ci95l l95",
    "ci_high": "or95u ciupper ci95u u95",
    "p": "p pval pvalue pvalues",
    "log10p": "mlog10p log10p neglog10p neglog10pvalue lp minuslog10p",
    "eaf": "eaf effectallelefrequency effectallelefreq freqeffect eaf1 hmeffectallelefrequency",
    "n": "n samplesize ntotal neff ntot",
    "n_cases": "ncase ncases",
    "n_controls": "ncontrol ncontrols",
    "info": "info imputationinfo rsq impinfo",
}  # fmt: skip
_ANY_OF_THEM: Final = frozenset({"id", "chrom", "pos"})


def find_columns(
    header: Sequence[str],
    *,
    where: str,
    layout: str | None = None,
    columns: Mapping[str, str] | None = None,
) -> Columns:
    """Tell from a header which program wrote a file, and what its columns are.

    Parameters
    ----------
    header
        Names of the columns.
    where
        What to call the file in an error.
    layout
        Name of a layout, to be held to; None to tell by the header.
    columns
        Role (of :data:`ROLES`) to column, over what the layout says.

    Raises
    ------
    InputError
        Nothing fits, several do, or the effect allele cannot be told.

    Examples
    --------
    >>> found = find_columns("SNP A1 A2 freq b se p N".split(), where="a.ma")
    >>> found.layout, found.column["effect_allele"]
    ('cojo', 'A1')
    """
    given = dict(columns or {})
    wrong = [role for role in given if role not in ROLES] + [c for c in given.values() if c not in header]
    if wrong:
        raise InputError(
            "no such role or column", where=where, found=", ".join(wrong), expected=", ".join(ROLES)
        )
    name = layout or _recognise(header, where)
    if name == "other":
        found = _by_alias(header, where, given)
    elif name in LAYOUTS:
        choices = LAYOUTS[name].columns
        found = {
            role: next(c for c in names if c in header)
            for role, names in choices.items()
            if any(c in header for c in names)
        }
    else:
        raise InputError("no such layout", where=where, found=name, expected=", ".join([*LAYOUTS, "other"]))
    _require({**found, **given}, header, where, name)
    return Columns(name, {role: {**found, **given}[role] for role in ROLES if role in found or role in given})


def _recognise(header: Sequence[str], where: str) -> str:
    there = frozenset(header)
    fitting = [lay for lay in LAYOUTS.values() if lay.signature <= there and not lay.absent & there]
    best = [lay for lay in fitting if not any(lay.signature < other.signature for other in fitting)]
    if len(best) > 1:
        raise InputError(
            "could be of several programs",
            where=where,
            found=", ".join(lay.name for lay in best),
            fix="say which with --from",
        )
    return best[0].name if best else "other"


def _by_alias(header: Sequence[str], where: str, given: Mapping[str, str]) -> dict[str, str]:
    """Columns of a table whose maker is not known, by usual names in any case."""
    plain = {name: re.sub(r"[^a-z0-9]", "", name.lower()) for name in header}
    found: dict[str, str] = {}
    for role, aliases in _ALIASES.items():
        names = aliases.split()
        fitting = [c for c in header if plain[c] in names and c not in given.values()]
        if role in given or not fitting:
            continue
        if len(fitting) > 1 and role not in _ANY_OF_THEM:
            raise InputError(
                f"several columns could be {role}",
                where=where,
                found=", ".join(fitting),
                fix=f"say which with --columns {role}=NAME",
            )
        found[role] = min(fitting, key=lambda c: names.index(plain[c]))
    return found


def _require(found: Mapping[str, str], header: Sequence[str], where: str, name: str) -> None:
    lacking = [
        what
        for what, any_of in {
            "a name or a position": ("id", "pos"),
            "the effect allele": ("effect_allele",),
            "the other allele": ("other_allele", "ref"),
            "an effect": ("beta", "odds_ratio", "hazard_ratio", "z"),
            "an SE, a confidence interval, or P": ("se", "ci_low", "p", "log10p", "z"),
        }.items()
        if not any(role in found for role in any_of)
    ]
    if lacking:
        raise InputError(
            f"cannot tell {', '.join(lacking)}",
            where=where,
            found=f"columns {', '.join(header[:25])}" + (f" taken as {name}" if name != "other" else ""),
            fix="say it with --columns, e.g. --columns effect_allele=A1,other_allele=A2",
        )
