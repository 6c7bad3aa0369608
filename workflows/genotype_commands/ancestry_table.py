"""Set projected samples beside the labelled people whom the components were made of."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from cohorts.errors import DesignError, InputError, unreadable
from gwas.ancestry_assignment import assign_ancestry


def ancestry_table(
    loadings: Path, labels: Path, placed: pd.DataFrame, *, column: str | None, threshold: float, far: float
) -> tuple[pd.DataFrame, list[str]]:
    """Assign each placed sample to a group of the labelled reference, or to none.

    Parameters
    ----------
    loadings
        Prefix of the ``.eigenvec`` of the reference.
    labels
        Text table with a header, a column ``IID`` (or ``#IID``) and one of labels: ``column``, else the last.
        ``NA`` or nothing is no label.
    placed
        Scores of the new samples, columns ``PC1`` ….
    threshold, far
        See :func:`gwas.ancestry_assignment.assign_ancestry`.

    Returns
    -------
    (DataFrame, lines)
        ``GROUP PROB NEAREST DISTANCE_P REASON`` and ``P_<label>`` of each group; and what to tell in the log.

    Raises
    ------
    InputError
        A file is missing or lacks a column, or repeats a sample.
    DesignError
        The reference is not fit to tell groups apart.
    """
    reference = reference_scores(loadings, list(placed.columns))
    table = _read(labels)
    name = column or str(table.columns[-1])
    if name not in table.columns or name == "IID":
        raise InputError(
            "lacks the column of labels", where=labels, found=", ".join(table.columns), expected=name
        )
    if table["IID"].duplicated().any():
        raise InputError("lists a sample twice", where=labels, fix="keep one line for each")
    group = table.set_index("IID")[name].replace({"NA": None, "": None})
    label = group.reindex(reference.index)
    if not label.notna().any():
        raise DesignError(
            "the labels are of nobody in the reference",
            where=labels,
            expected=f"sample IDs of {loadings.name}.eigenvec",
            fix="give labels of the people whom the components were made of",
        )
    found = assign_ancestry(reference, label.to_numpy(dtype=object), placed, threshold=threshold, far=far)
    names = {"probability": "PROB", "group": "GROUP", "nearest": "NEAREST", "distance_p": "DISTANCE_P"}
    frame = found.rename(columns={**names, "reason": "REASON"}).reset_index(drop=True)
    reasons = found["reason"].replace("", "assigned").value_counts()
    counted = ", ".join(f"{count} {reason}" for reason, count in reasons.items())
    told = [
        f"{int(label.notna().sum())} labelled people of {label.nunique()} reference groups; genetic similarity to"
        " them says nothing of a person's ethnicity",
        f"{counted} (probability at least {threshold:g}, not far: {far:g})",
    ]
    return frame.assign(REASON=frame["REASON"].replace("", ".")), told


def reference_scores(loadings: Path, components: list[str]) -> pd.DataFrame:
    """Scores of the people whom the components were made of, by IID.

    Raises
    ------
    InputError
        The ``.eigenvec`` is missing, damaged, or lacks some of the components.
    """
    path = loadings.with_name(f"{loadings.name}.eigenvec")
    scores = _read(path).set_index("IID")
    absent = [name for name in components if name not in scores.columns]
    if absent:
        raise InputError("lacks components", where=path, expected=", ".join(absent), fix="make them again")
    try:
        return scores[components].astype(float)
    except ValueError as error:
        raise InputError("holds a score that is no number", where=path, fix="make it again") from error


def _read(path: Path) -> pd.DataFrame:
    try:
        frame = pd.read_csv(path, sep=r"\s+", dtype=str, keep_default_na=False)
    except OSError as error:
        raise unreadable(path, error) from error
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise InputError("is not a table with a header", where=path) from error
    frame = frame.rename(columns={name: str(name).lstrip("#") for name in frame.columns})
    if "IID" not in frame.columns:
        raise InputError("lacks the column IID", where=path, found=", ".join(map(str, frame.columns)))
    return frame
