"""The run folder described as an RO-Crate 1.1, so that other systems can read what it holds.

Source: RO-Crate Metadata Specification 1.1 (w3id.org/ro/crate/1.1).
"""

from __future__ import annotations

from typing import Any

MEDIA = {
    ".html": "text/html",
    ".json": "application/json",
    ".parquet": "application/vnd.apache.parquet",
    ".tsv": "text/tab-separated-values",
}


def run_crate(
    *, title: str, summary: str, purpose: str, version: str, finished: str, files: list[str]
) -> dict[str, Any]:
    """The content of ``ro-crate-metadata.json``.

    Parameters
    ----------
    title, summary, purpose
        From the study file.
    version
        The version of careome.
    finished
        ISO 8601 time.
    files
        Paths of the outputs relative to the run folder.
    """
    software = {
        "@id": "#careome",
        "@type": "SoftwareApplication",
        "name": "careome",
        "version": version,
    }
    action = {
        "@id": "#run",
        "@type": "CreateAction",
        "name": title,
        "description": purpose,
        "instrument": {"@id": "#careome"},
        "endTime": finished,
        "result": [{"@id": name} for name in files],
    }
    root = {
        "@id": "./",
        "@type": "Dataset",
        "name": title,
        "description": summary,
        "datePublished": finished[:10],
        "license": "Not for release beyond the approved users of the data",
        "hasPart": [{"@id": name} for name in files],
        "mentions": {"@id": "#run"},
    }
    descriptor = {
        "@id": "ro-crate-metadata.json",
        "@type": "CreativeWork",
        "conformsTo": {"@id": "https://w3id.org/ro/crate/1.1"},
        "about": {"@id": "./"},
    }
    return {
        "@context": "https://w3id.org/ro/crate/1.1/context",
        "@graph": [descriptor, root, software, action, *[_file(name) for name in files]],
    }


def _file(name: str) -> dict[str, Any]:
    suffix = name[name.rfind(".") :] if "." in name else ""
    return {
        "@id": name,
        "@type": "File",
        "name": name,
        "encodingFormat": MEDIA.get(suffix, "application/octet-stream"),
    }
