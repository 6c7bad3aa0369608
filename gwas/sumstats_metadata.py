"""The metadata that go beside a GWAS-SSF file, and what of them is still lacking."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from cohorts.errors import InputError
from gwas.sumstats import SumStats

_LISTS: Final = ("trait_description", "ontology_mapping", "genotyping_technology", "adjusted_covariates")
_SAMPLE_LISTS: Final = ("sample_ancestry_category", "sample_ancestry", "ancestry_method")
_SAMPLE: Final = (*_SAMPLE_LISTS, "sample_size", "case_control_study", "case_count", "control_count")
FIELDS: Final = (
    "gwas_id", "author_notes", "gwas_catalog_api", "date_metadata_last_modified", "trait_description",
    "ontology_mapping", "genome_assembly", "coordinate_system", "genotyping_technology", "imputation_panel",
    "imputation_software", "samples", "sex", "data_file_name", "file_type", "data_file_md5sum",
    "analysis_software", "adjusted_covariates", "minor_allele_freq_lower_limit", "is_harmonised", "is_sorted",
    "harmonisation_reference",
)  # fmt: skip
"""Fields of the metadata in the order of the standard's example."""


def ssf_metadata(
    *,
    trait: str,
    build: str | None,
    file_name: str,
    md5: str,
    version: str,
    binary: bool,
    sample_size: int | None,
    is_sorted: bool,
    harmonised_to: str | None,
    software: str | None,
    today: datetime.date,
    given: Mapping[str, Any] | None = None,
) -> tuple[dict[str, Any], list[str]]:
    """Put together the metadata of a GWAS-SSF file.

    Parameters
    ----------
    trait, build, file_name, md5, version, is_sorted, harmonised_to, software
        What the file itself tells; `version` is ``1.0`` or ``1.1``.
    binary
        A case-control study.
    sample_size
        Largest N.
    today
        Date of the metadata.
    given
        Fields of the standard that only the user knows, over all the others but those of the file.
        ``samples`` is a list, one entry a group of people.

    Returns
    -------
    dict
        The fields in order, for YAML. Nothing is made up: a field that is not known is not there.
    list of str
        Mandatory fields of the standard that are lacking.

    Raises
    ------
    InputError
        A field that the standard does not have.

    Examples
    --------
    >>> fields, lacking = ssf_metadata(trait="height", build="GRCh37", file_name="a.tsv", md5="0" * 32,
    ...     version="1.0", binary=False, sample_size=900, is_sorted=True, harmonised_to=None, software=None,
    ...     today=datetime.date(2024, 1, 16), given={"genotyping_technology": "Genome-wide genotyping array"})
    >>> fields["file_type"], fields["samples"], lacking
    ('GWAS-SSF v1.0', [{'sample_size': 900}], ['sample_ancestry_category'])
    """
    given = dict(given or {})
    unknown = [name for name in given if name not in FIELDS]
    samples = given.pop("samples", None) or [{}]
    if not isinstance(samples, list) or not all(isinstance(group, dict) for group in samples):
        raise InputError("samples is not a list of groups", where="metadata")
    unknown += [name for group in samples for name in group if name not in _SAMPLE]
    if unknown:
        raise InputError(
            "no such fields in GWAS-SSF",
            where="metadata",
            found=", ".join(map(str, unknown)),
            expected=", ".join((*FIELDS, *_SAMPLE)),
        )
    groups = [{name: group[name] for name in _SAMPLE if name in group} for group in samples]
    if len(groups) == 1 and sample_size is not None:
        groups[0].setdefault("sample_size", sample_size)
    if binary:
        for group in groups:
            group.setdefault("case_control_study", True)
    fields: dict[str, Any] = {
        "trait_description": trait,
        "genome_assembly": build,
        "coordinate_system": "1-based",
        "analysis_software": software,
        **given,
        "date_metadata_last_modified": today,
        "samples": groups,
        "data_file_name": file_name,
        "data_file_md5sum": md5,
        "file_type": f"GWAS-SSF v{version}",
        "is_sorted": is_sorted,
        "is_harmonised": harmonised_to is not None,
        "harmonisation_reference": harmonised_to,
    }
    for holder, names in ((fields, _LISTS), *((group, _SAMPLE_LISTS) for group in groups)):
        for name in names:
            if holder.get(name) is not None and not isinstance(holder[name], list):
                holder[name] = [holder[name]]
    ordered = {name: fields[name] for name in FIELDS if fields.get(name) is not None}
    return ordered, _lacking(ordered, groups)


def _lacking(fields: Mapping[str, Any], groups: list[dict[str, Any]]) -> list[str]:
    lacking = [
        n for n in ("trait_description", "genome_assembly", "genotyping_technology") if n not in fields
    ]
    lacking += [n for n in ("sample_size", "sample_ancestry_category") if any(n not in g for g in groups)]
    if any(g.get("case_control_study") for g in groups):
        lacking += [n for n in ("case_count", "control_count") if any(n not in g for g in groups)]
    return lacking


def largest_n(sumstats: SumStats) -> int | None:
    """Largest N of the variants, None if none is known."""
    n = sumstats.frame["n"].to_numpy()
    return int(np.nanmax(n)) if np.isfinite(n).any() else None
