"""How the findings of a study of a synthetic region compare with what was planted there.

This is the only place that reads ``region/truth``, and it does so after the study is over.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from cohorts.linkage_quality import pair_quality
from workflows.custodian import open_crosswalks
from workflows.findings import GenomeFindings
from workflows.results import loci

NEAR = 500_000


def compare_with_truth(folder: Path, genome: GenomeFindings) -> pd.DataFrame:
    """Compare, measure by measure.

    Parameters
    ----------
    folder
        Holds ``region/truth`` and the custodian's crosswalk.
    genome
        What the study found.

    Returns
    -------
    DataFrame
        ``what``, ``value`` (text).
    """
    truth = folder / "region" / "truth"
    people = pd.read_parquet(truth / "people.parquet").set_index("true_person")
    links = pd.read_parquet(truth / "links.parquet")
    crosswalk = open_crosswalks(folder / "custodian" / "crosswalk", folder / "custodian" / "custodian.key")
    held = links.merge(crosswalk[["source", "patient_id"]], on=["source", "patient_id"])
    who = _true_person(crosswalk, links)
    rows = [
        *_linkage(crosswalk, held),
        *_phenotypes(genome, who, people, pd.read_parquet(truth / "outcomes.parquet")),
        *_loci(genome, pd.read_parquet(truth / "variants.parquet")),
        *_scores(genome, who, people),
    ]
    return pd.DataFrame(rows, columns=["what", "value"])


def _true_person(crosswalk: pd.DataFrame, links: pd.DataFrame) -> pd.Series:
    """person_id to true person: the one whom most of the linked records are about."""
    both = crosswalk.merge(links, on=["source", "patient_id"])
    counted = both.value_counts(["person_id", "true_person"]).reset_index()
    return counted.drop_duplicates("person_id").set_index("person_id")["true_person"]


def _linkage(crosswalk: pd.DataFrame, held: pd.DataFrame) -> list[tuple[str, str]]:
    quality = pair_quality(crosswalk.rename(columns={"person_id": "entity"}), held, person="true_person")
    return [
        ("Linkage, precision", f"{quality.precision:.5f} of {quality.linked_pairs:,} linked pairs"),
        ("Linkage, recall", f"{quality.recall:.5f} of {quality.true_pairs:,} true pairs"),
    ]


def _phenotypes(
    genome: GenomeFindings, who: pd.Series, people: pd.DataFrame, outcomes: pd.DataFrame
) -> list[tuple[str, str]]:
    end = pd.Timestamp(genome.study.study.data_end)
    rows = []
    for name in genome.study.association.traits:
        had = outcomes[(outcomes["disease"] == name) & (outcomes["onset"] <= end)]["true_person"]
        found = (
            genome.records.table[name].dropna() if name in genome.study.phenotypes else pd.Series(dtype=float)
        )
        if found.empty or had.empty:
            continue
        case = found == 1
        truly = who.reindex(found.index).isin(had).to_numpy()
        both = int((case & truly).sum())
        rows.append(
            (
                f"{genome.study.label_of(name)}, cases",
                f"sensitivity {both / max(int(truly.sum()), 1):.3f}, "
                f"positive predictive value {both / max(int(case.sum()), 1):.3f}",
            )
        )
    return rows


def _loci(genome: GenomeFindings, planted: pd.DataFrame) -> list[tuple[str, str]]:
    found = loci(genome)
    rows = []
    for trait in genome.stats:
        mine = found[found["TRAIT"] == trait]
        truth = planted[planted["trait"] == trait]
        large = truth[truth["large"]]
        near = sum(_is_near(row["#CHROM"], row["POS"], truth) for _, row in mine.iterrows())
        seen = sum(_is_near(row["chrom"], row["pos"], _places(mine)) for _, row in large.iterrows())
        rows.append(
            (
                f"{genome.study.label_of(trait)}, loci",
                f"{near} of {len(mine)} found are planted; {seen} of {len(large)} large effects found",
            )
        )
    return rows


def _places(loci: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({"chrom": loci["#CHROM"], "pos": loci["POS"]})


def _is_near(chrom: object, pos: int, places: pd.DataFrame) -> bool:
    return bool(((places["chrom"].astype(str) == str(chrom)) & ((places["pos"] - pos).abs() <= NEAR)).any())


def _scores(genome: GenomeFindings, who: pd.Series, people: pd.DataFrame) -> list[tuple[str, str]]:
    rows = []
    part = pd.Series(genome.part, index=genome.kept.person_id.index)
    for trait, score in genome.scores.traits.items():
        column = f"g_{trait}"
        if score.standardised is None or column not in people:
            continue
        mine = score.standardised[part.reindex(score.standardised.index) == "validation"]
        person = who.reindex(genome.kept.person_id.reindex(mine.index)).to_numpy()
        genetic = people[column].reindex(person).to_numpy(dtype=float)
        both = np.isfinite(genetic) & np.isfinite(mine.to_numpy())
        correlation = np.corrcoef(mine.to_numpy()[both], genetic[both])[0, 1]
        rows.append(
            (
                f"{genome.study.label_of(trait)}, score",
                f"correlation {correlation:.3f} with the true genetic value in the validation part",
            )
        )
    return rows
