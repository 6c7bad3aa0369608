"""Exposures of a study: as the study file declares them, and as columns beside people's traits."""

from __future__ import annotations

from datetime import date
from typing import Literal, Self

import pandas as pd
from pydantic import Field, model_validator

from cohorts.hub import Hub
from cohorts.residence import POLLUTANTS, Dates, deprivation, exposure
from phenotypes.rulespec import fault_at
from workflows.source_specs import Closed, StudyPath


class ExposureSpec(Closed):
    """Mean pollution where a person lived over a window before a day, or deprivation of the home on that day."""

    kind: Literal["pollution", "deprivation"] = "pollution"
    pollutant: str | None = Field(
        default=None, description="pm25 or no2 of the region's pollution; or a column of the surface"
    )
    surface: StudyPath | None = Field(
        default=None, description="values by area, year and (optional) month: .parquet or .csv"
    )
    window_years: float = Field(default=5, gt=0, le=100)
    lag_years: float = Field(default=0, ge=0, le=100, description="time from the window's end to the day")
    min_coverage: float = Field(
        default=0, ge=0, le=1, description="least share of the window's days with a known value"
    )
    fill_years: int = Field(
        default=0, ge=0, le=20, description="an area's missing year takes the nearest up to so far away"
    )
    at: str | None = Field(
        default=None, description="outcome on whose day of entry it is taken; default the index date"
    )
    label: str | None = None
    unit: str | None = Field(default=None, description="as reports print it; default µg/m³ of pollution")

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.kind == "deprivation":
            given = self.model_fields_set & {
                "pollutant", "surface", "window_years", "lag_years", "min_coverage", "fill_years"
            }  # fmt: skip
            if given:
                raise fault_at(
                    "ExposureSpec", (sorted(given)[0],), "deprivation is that of the home on the day"
                )
        elif self.pollutant is None:
            raise fault_at("ExposureSpec", ("pollutant",), "name the pollutant")
        elif self.surface is None and self.pollutant not in POLLUTANTS:
            raise fault_at(
                "ExposureSpec",
                ("pollutant",),
                f"the region's pollution has {' and '.join(POLLUTANTS)}; name a surface for others",
            )
        return self

    @property
    def measured_in(self) -> str:
        """Unit, as reports print it."""
        return self.unit if self.unit is not None else "" if self.kind == "deprivation" else "µg/m³"

    def said(self, name: str) -> str:
        """What it is, in a sentence."""
        called = self.label or name
        day = "the index date" if self.at is None else f"the day of entry for {self.at}"
        if self.kind == "deprivation":
            return f"{called}: decile of deprivation of the area lived in on {day}, 1 the most deprived."
        lag = "" if not self.lag_years else f"{self.lag_years:g} years before "
        said = (
            f"{called}: mean of {self.pollutant} over {self.window_years:g} years, weighted by the days lived in "
            f"each area, up to {lag}{day}"
        )
        if self.fill_years:
            said += f", missing years taken from the nearest up to {self.fill_years} away"
        least = f" Whoever has less than {self.min_coverage:.0%} of the days known has none."
        return f"{said}.{least if self.min_coverage else ''}"


def exposure_column(
    spec: ExposureSpec, hub: Hub, persons: pd.DataFrame, survival: pd.DataFrame, *, index_date: date
) -> pd.Series:
    """Values of one exposure, float64 by person_id in the order of `persons`; NaN where not known.

    Parameters
    ----------
    survival
        ``Derived.survival``: the days of entry, for an exposure taken at an outcome's.
    """
    ids = persons["person_id"]
    on: Dates = index_date
    if spec.at is not None:
        rows = survival[survival["outcome"] == spec.at]
        on = rows.set_index("person_id")["entry"].reindex(ids).to_numpy()
    if spec.kind == "deprivation":
        found = deprivation(hub, persons, on=on)["imd_decile"]
    else:
        found = exposure(
            hub,
            persons,
            on=on,
            pollutant=str(spec.pollutant),
            window_years=spec.window_years,
            lag_years=spec.lag_years,
            surface=spec.surface,
            min_coverage=spec.min_coverage,
            fill_years=spec.fill_years,
        )["value"]
    return pd.Series(found.to_numpy("float64", na_value=float("nan")), index=pd.Index(ids, name="person_id"))
