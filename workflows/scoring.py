"""The body of ``careome score``: scoring files and genotypes in, PLINK 2's .sscore and a match log out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cohorts.errors import InputError
from gwas.polygenic.matching import STATUSES, USED
from workflows.genotype_inputs import Filters
from workflows.installation import version
from workflows.outputs import atomic_text, write_text

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from gwas.genotypes import Genotypes
    from gwas.polygenic.matching import By, Palindromic
    from gwas.polygenic.scoring import Missing, Scores
    from workflows.genotype_inputs import GenotypeSource

Progress = Callable[[int], None]


ENOUGH_USED = 0.5
"""A score of which a smaller share can be used is warned about."""


def run_score(
    *,
    source: GenotypeSource,
    score: Sequence[Path],
    out: Path,
    filters: Filters | None = None,
    missing: Missing = "mean",
    freq: Path | None = None,
    by: By = "auto",
    palindromic: Palindromic = "drop",
    threads: int | None = None,
    progress: Progress | None = None,
) -> list[Path]:
    """Score the people of a genotype file with every score of some scoring files.

    Parameters
    ----------
    source
        The genotypes.
    score
        PGS Catalog files, or tables of PLINK's kind with one or many columns of weights.
    out
        Prefix of the outputs.
    filters
        PLINK 2's filters, see :mod:`workflows.gwas_filters`.
    missing
        A missing genotype counts its expected copies (``mean``) or nothing (``zero``).
    freq
        Reference frequencies, a PLINK 2 .afreq table (columns #CHROM ID REF ALT ALT_FREQS): then a
        person's score does not depend on the other people of the file.
    by, palindromic
        See :func:`gwas.polygenic.matching.match`.
    threads
        Cores that the command line gave to numpy before it was loaded; scoring starts no others.
    progress
        Called after every block with the number of variants in it.

    Returns
    -------
    list of Path
        ``OUT.sscore`` (#FID IID, then of every score ALLELE_CT, NAMED_ALLELE_DOSAGE_SUM, SCORE_AVG and
        SCORE_SUM; with more than one score each count has the score's name before it),
        ``OUT.score.match.tsv`` (one line a weight, with its status) and ``OUT.score.summary.tsv`` (one
        line a score: build, weights used and left out by reason, share of the variance covered). Sums are
        written in full precision.

    Raises
    ------
    InputError
        If a file is absent or damaged, no weight fits, or two scores have the same name; then nothing is
        written.
    """
    from gwas.polygenic.catalog import read_scores
    from gwas.polygenic.scoring import score as compute
    from workflows.gwas_filters import apply_filters

    genotypes = source.open()
    inputs = source.told(genotypes)
    genotypes, filtered = apply_filters(genotypes, filters or Filters())
    weights = [one for path in score for one in read_scores(path)]
    names = [one.name for one in weights]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(
            "two scores have the same name", where=", ".join(str(path) for path in score),
            found=", ".join(twice), fix="score them in separate runs, or rename one (pgs_id in its header)",
        )  # fmt: skip
    frequencies = None if freq is None else read_frequencies(freq, genotypes)
    result = compute(
        genotypes,
        weights,
        missing=missing,
        frequencies=frequencies,
        by=by,
        palindromic=palindromic,
        progress=progress,
    )
    tables = {
        ".sscore": sscore(result, genotypes.samples, missing=missing),
        ".score.match.tsv": result.match,
        ".score.summary.tsv": result.summary.reset_index(),
    }
    paths = []
    for suffix, table in tables.items():
        path = out.with_name(out.name + suffix)
        with atomic_text(path) as handle:
            table.to_csv(handle, sep="\t", index=False, na_rep="NA", lineterminator="\n")
        paths.append(path)
    write_text(
        out.with_name(out.name + ".log"),
        "\n".join([f"careome {version()} score", *inputs, *filtered, *told(result.summary, missing=missing)])
        + "\n",
    )
    return paths


def told(summary: pd.DataFrame, *, missing: str) -> list[str]:
    """What became of the weights of each score, in words.

    Parameters
    ----------
    summary
        :attr:`gwas.polygenic.scoring.Scores.summary`.
    missing
        How missing genotypes counted.
    """
    lines = [f"missing genotypes: {missing}"]
    for name, row in summary.iterrows():
        out = [f"{row[status]} {status}" for status in STATUSES if status != USED and row[status]]
        lines.append(
            f"{name}: {row['used']} of {row['weights']} weights used, {row['variance_coverage']:.1%} of the score's "
            f"expected variance; {row['flipped']} on the other strand"
            + (f"; left out: {', '.join(out)}" if out else "")
        )
        if row["used"] < ENOUGH_USED * row["weights"] or row["other_build"] > 0:
            lines.append(
                f"{name}: WARNING: few weights fit this genotype file"
                + (f", {row['other_build']} lie elsewhere in it" if row["other_build"] else "")
                + "; is it on the same genome build?"
            )
    return lines


def sscore(result: Scores, samples: pd.DataFrame, *, missing: Missing = "mean") -> pd.DataFrame:
    """Lay scores out as PLINK 2's .sscore.

    As there, the average is over all alleles of the score where missing calls count their expected copies,
    and over the alleles seen (ALLELE_CT) where they count nothing.
    """
    import numpy as np
    import pandas as pd

    columns: dict[str, object] = {"#FID": samples["fid"].to_numpy(), "IID": samples["iid"].to_numpy()}
    single = len(result.scores.columns) == 1
    for k, name in enumerate(result.scores.columns):
        prefix = "" if single else f"{name}_"
        count, total = result.allele_count[name].to_numpy(), result.scores[name].to_numpy()
        columns[f"{prefix}ALLELE_CT"] = count
        columns[f"{prefix}NAMED_ALLELE_DOSAGE_SUM"] = result.named_alleles[name].to_numpy()
        alleles = result.summary["used"].to_numpy(dtype=np.int64)[k] * 2
        over = count.astype(np.float64) if missing == "zero" else np.full(count.size, float(alleles))
        over[over == 0] = np.nan
        columns[f"{name}_AVG"] = total / over
        columns[f"{name}_SUM"] = total
    return pd.DataFrame(columns)


def read_frequencies(path: Path, genotypes: Genotypes) -> NDArray[np.float64]:
    """Read a PLINK 2 .afreq table and line it up with the variants of a genotype file.

    Parameters
    ----------
    path
        Tab-separated, with columns ID, REF, ALT and ALT_FREQS.
    genotypes
        The genotype file.

    Returns
    -------
    ndarray of float64
        ALT frequency of each variant; the table's is turned where REF and ALT are swapped; NaN where the
        table has no variant of that name and alleles.

    Raises
    ------
    InputError
        If the table is absent, lacks a column, holds something that is no frequency, or shares no variant.
    """
    import numpy as np
    import pandas as pd

    needed = ["ID", "REF", "ALT", "ALT_FREQS"]
    try:
        table = pd.read_csv(path, sep=r"\s+", dtype={"ID": str, "REF": str, "ALT": str})
    except FileNotFoundError as error:
        raise InputError("no such file", where=path, expected="a .afreq table") from error
    except (OSError, ValueError) as error:
        raise InputError("not a table of frequencies", where=path, expected=", ".join(needed)) from error
    lacking = [name for name in needed if name not in table]
    if lacking:
        raise InputError(
            "columns are absent", where=path, found=", ".join(table.columns), expected=", ".join(needed)
        )
    value = pd.to_numeric(table["ALT_FREQS"], errors="coerce")
    if ((value < 0) | (value > 1)).any():
        line = int(((value < 0) | (value > 1)).to_numpy().argmax()) + 2
        raise InputError("not a frequency", where=f"{path}:{line}", expected="ALT_FREQS between 0 and 1")
    keys = ["id", "ref", "alt"]
    straight = pd.DataFrame({"id": table["ID"], "ref": table["REF"], "alt": table["ALT"], "f": value})
    turned = straight.rename(columns={"ref": "alt", "alt": "ref"}).assign(f=1 - value)
    known = pd.concat([straight, turned]).drop_duplicates(keys, keep=False)
    found = genotypes.variants[keys].merge(known, on=keys, how="left")["f"].to_numpy(dtype=np.float64)
    if not np.isfinite(found).any():
        raise InputError(
            "no variant of the genotype file is in the frequencies", where=path,
            found=f"{len(table)} variants of other names or alleles", expected="its names",
        )  # fmt: skip
    return np.asarray(found)
