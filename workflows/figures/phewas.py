"""PheWAS plot: one variant against many phenotypes, by category."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from cohorts.errors import InputError
from workflows.figures.batches import SMALLEST
from workflows.figures.labels import Label, place_labels
from workflows.figures.manhattan import axis_top
from workflows.figures.style import BLUE, GREY, INK, MUTED, ORANGE, TEAL, bend, bent_at, new_figure

PALETTE: Final = (BLUE, TEAL, GREY)
"""In turn: neighbours differ, and each category is named where it lies."""
OTHER: Final = "Other"


def phewas(
    results: pd.DataFrame,
    *,
    labels: int = 12,
    tests: int | None = None,
    cap: float | None = None,
    title: str = "",
    width: float = 8.0,
    height: float = 3.6,
) -> Figure:
    """One variant against many phenotypes, grouped by category.

    Parameters
    ----------
    results
        One row a phenotype: ``phenotype``; ``LOG10_P`` (-log10 P) or P; and where known ``category`` (drawn in
        order of first appearance) and ``BETA``, whose sign makes a triangle that points up or down.
    labels
        How many phenotypes are named at most, strongest first, of those above the line; if none is above it,
        the strongest three are.
    tests
        By how many tests 0.05 is divided for the line; None for the number of rows with a P.
    cap
        -log10 P above which the axis is logarithmic; None for 30 where the highest is above 60.
    title
        Above the plot.
    width, height
        Inches.

    Returns
    -------
    Figure

    Raises
    ------
    InputError
        If a column is absent or no phenotype has a P.
    """
    table = phewas_table(results)
    line = float(-np.log10(0.05 / (tests or len(table))))
    strength = table["LOG10_P"].to_numpy(dtype=np.float64)
    x = table["x"].to_numpy(dtype=np.float64)
    figure, ax = new_figure(width, height)
    high = float(strength.max())
    bend(
        ax,
        top=max(axis_top(high, cap) if high > 5 else 1.35 * max(high, line), 1.35 * line),
        cap=cap or bent_at(high),
    )
    ax.set_xlim(-1.5, float(x.max()) + 1.5)
    ax.set_ylabel("−log₁₀ P")
    ax.axhline(line, color=ORANGE, linewidth=0.8, dashes=(4, 3), zorder=1)
    ax.annotate(
        f"P = 0.05 / {tests or len(table):,}", (1, line), xycoords=("axes fraction", "data"), xytext=(-2, 2),
        textcoords="offset points", color=ORANGE, size=6.5, ha="right",
    )  # fmt: skip
    middles = table.groupby("category", sort=False)["x"].agg(["min", "max"])
    ax.set_xticks(middles.mean(axis=1), middles.index, rotation=40, ha="right", rotation_mode="anchor")
    ax.tick_params(axis="x", length=0, labelsize=7.5)
    if "category" not in results:
        ax.set_xticklabels([""])
        ax.set_xlabel(f"{len(table):,} phenotypes")
    for at, (tick, category) in enumerate(zip(ax.get_xticklabels(), middles.index, strict=True)):
        colour = PALETTE[at % len(PALETTE)]
        tick.set_color(INK if colour == GREY else colour)
        mine = (table["category"] == category).to_numpy()
        sign = np.sign(table["BETA"].to_numpy(dtype=np.float64)) if "BETA" in table else np.zeros(len(table))
        for way, marker in ((1, "^"), (-1, "v"), (0, "o")):
            chosen = mine & (np.nan_to_num(sign) == way)
            ax.scatter(
                x[chosen], strength[chosen], s=20 if way else 14, marker=marker, color=colour,
                linewidths=0, zorder=3, clip_on=False,
            )  # fmt: skip
    # a handful of phenotypes are all named
    named = table if len(table) <= labels else table[table["LOG10_P"] >= line]
    named = named.nlargest(labels, "LOG10_P", keep="first")
    if named.empty:
        named = table.nlargest(min(3, labels), "LOG10_P", keep="first")
    place_labels(
        ax,
        [
            Label(_short(str(row["phenotype"])), float(row["x"]), float(row["LOG10_P"]))
            for row in named.to_dict("records")
        ],
        avoid=np.column_stack([x, strength])[strength >= 0.4 * line],
        size=6.8,
        radius=2.4,
    )
    if "BETA" in table:
        ax.text(
            1, 1, "▲ raises  ▼ lowers", transform=ax.transAxes, ha="right", va="top", size=6.5, color=MUTED
        )  # fmt: skip
    if title:
        ax.set_title(title, size=9.5, loc="left")
    return figure


def phewas_table(results: pd.DataFrame) -> pd.DataFrame:
    """Rows with a P in order of drawing: ``phenotype category LOG10_P x`` and BETA where given.

    x counts phenotypes from 0, with two places left free between categories.
    """
    if "phenotype" not in results or not {"LOG10_P", "P"} & set(results):
        raise InputError(
            "results of a variant lack a column",
            where="phewas",
            found=", ".join(map(str, results.columns)),
            expected="phenotype, and LOG10_P or P",
        )
    table = results.copy()
    if "LOG10_P" not in table:
        p = table["P"].astype(float)
        table["LOG10_P"] = -np.log10(p.where((p >= 0) & (p <= 1)).clip(lower=SMALLEST))
    table["category"] = table["category"].fillna(OTHER).astype(str) if "category" in table else OTHER
    table = table[np.isfinite(table["LOG10_P"].astype(float))]
    if table.empty:
        raise InputError("no phenotype has a P", where="phewas", found=f"{len(results)} rows")
    order = pd.Categorical(table["category"], categories=table["category"].unique(), ordered=True)
    table = table.assign(rank=order.codes).sort_values("rank", kind="stable", ignore_index=True)
    return table.assign(x=np.arange(len(table)) + 2.0 * table.pop("rank").to_numpy())


def _short(name: str, most: int = 34) -> str:
    return name if len(name) <= most else name[: most - 1].rstrip() + "…"
