"""``careome sex-check``: OUT.sexcheck with PLINK 2's columns."""

from __future__ import annotations

import numpy as np

from cohorts.errors import DesignError
from gwas.counts import ELSEWHERE, X, Y, alt_frequency, genotype_counts, sample_sums, variant_group
from gwas.frequencies import founders
from gwas.genotypes import Genotypes
from gwas.sex import ENOUGH_X, sex_check
from workflows.genotype_commands.outcome import Outcome, Table, sample_columns

CODES = {"M": "1", "F": "2"}


def tables(
    genotypes: Genotypes,
    *,
    threads: int,
    build: str | None = None,
    max_female_xf: float = 0.2,
    min_male_xf: float = 0.8,
    min_male_yrate: float | None = None,
) -> Outcome:
    """Sex as X (and, with ``min_male_yrate``, the calls on Y) tell it, beside the one on record.

    F is PLINK's, against the frequencies of these founders; :func:`gwas.qc` also sets it against the same
    person's autosomes.
    """
    group = variant_group(genotypes, build=build)
    sexed = genotypes.select(variants=(group == X) | (group == Y))
    group = group[(group == X) | (group == Y)]
    p = _frequency(sexed)
    varies = (p > 0) & (p < 1)
    use = np.where(varies | (group == Y), group, ELSEWHERE).astype(np.int64)
    sums = sample_sums(sexed, group=use, frequency=p)
    n_x, n_y = int(sums.variants[X]), int(sums.variants[Y])
    if n_x < ENOUGH_X:
        raise DesignError(
            "too few variants on X to tell sex from",
            found=f"{n_x} that vary outside the pseudo-autosomal regions",
            expected=f"at least {ENOUGH_X}",
            fix="relax the filters, or check how the .bim names X",
        )
    f, y_rate = sums.f(X), sums.call_rate(Y)
    checked = sex_check(
        x_f=f,
        autosomal_f=np.zeros(len(f)),
        y_call_rate=y_rate,
        n_x=n_x,
        n_y=0 if min_male_yrate is None else n_y,
        expected=genotypes.samples["sex"],
        female_below=max_female_xf,
        male_above=min_male_xf,
        male_y_call_rate=0.5 if min_male_yrate is None else min_male_yrate,
    )
    frame = sample_columns(genotypes).assign(
        PEDSEX=[CODES.get(sex, "NA") for sex in checked["expected"]],
        SNPSEX=[CODES.get(sex, "NA") for sex in checked["inferred"]],
        STATUS=np.where(checked["status"] == "agrees", "OK", "PROBLEM"),
        F=f,
    )
    if n_y:
        frame = frame.assign(YCOUNT=n_y - sums.missing[:, Y], YRATE=y_rate)
    problems = int((frame["STATUS"] == "PROBLEM").sum())
    return Outcome(
        [Table("sexcheck", frame)], [f"{n_x} variants on X, {n_y} on Y; {problems} samples with a problem"]
    )


def _frequency(genotypes: Genotypes) -> np.ndarray:
    """Of ALT among founders, 0 without a call; men's heterozygotes, which cannot be, count as missing."""
    founder = founders(genotypes)
    male = np.asarray(genotypes.samples["sex"] == "M", dtype=np.bool_)
    everybody, men = genotype_counts(genotypes, founder, founder & male)
    clean = men.copy()
    clean[:, 1] = 0
    return np.nan_to_num(alt_frequency(everybody - men, clean))
