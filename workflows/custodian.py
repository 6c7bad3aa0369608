"""The custodian's side of a project: sealed crosswalks, clerical review, and who is behind a pseudonym.

Nothing here goes into a run folder. Every opening of a crosswalk leaves a line in the custodian's own audit
trail (``audit.jsonl`` beside the crosswalks), written before the answer is.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd

from cohorts.clerical import PAIR
from cohorts.errors import InputError, OutputError, PrivacyError, unreadable
from cohorts.linkage import Links
from workflows.audit import AuditTrail
from workflows.hub_plan import HubPlan
from workflows.outputs import PRIVATE_FILE, atomic_path, exclusive, private_folder, write_tsv
from workflows.reports.identifiers import require_no_identifier
from workflows.sealing import read_private_key, read_public_key, seal, unseal

SEALED = ".sealed"
MOST_AT_ONCE = 100
SHORTEST_REASON = 10


def keep_crosswalk(study: HubPlan, crosswalk: pd.DataFrame, run: str) -> None:
    """Seal a run's table of local identifier to pseudonym, where the study keeps one.

    Parameters
    ----------
    crosswalk
        ``source``, ``patient_id``, ``person_id``.
    run
        Names the file; the run's own number, so that each run's crosswalk stays.
    """
    kept = study.privacy
    if kept.crosswalk is None or kept.custodian is None:
        return
    public = read_public_key(kept.custodian)
    packed = io.BytesIO()
    crosswalk.to_parquet(packed, compression="zstd", index=False)
    with atomic_path(kept.crosswalk / f"{run}{SEALED}") as path:
        path.write_bytes(seal(packed.getvalue(), public))


def open_crosswalks(folder: Path, key: Path) -> pd.DataFrame:
    """All crosswalks of a project.

    Returns
    -------
    DataFrame
        ``source``, ``patient_id``, ``person_id``, ``run``; one row for each run that knew the record.

    Raises
    ------
    PrivacyError, InputError
        The key is not the custodian's, or a file is not sealed for it.
    """
    private = read_private_key(key)
    files = sorted(folder.glob(f"*{SEALED}"))
    if not files:
        raise InputError(
            "no sealed crosswalk",
            where=folder,
            fix="name the folder that the study's privacy.crosswalk names",
        )
    opened = [
        pd.read_parquet(io.BytesIO(unseal(file.read_bytes(), private, where=file))).assign(
            run=file.name.removesuffix(SEALED)
        )
        for file in files
    ]
    return pd.concat(opened, ignore_index=True)


def reidentify(study: HubPlan, people: Sequence[str], *, key: Path, reason: str, out: Path) -> int:
    """Write the local numbers behind pseudonyms to a private file, and an audit line before it.

    Where nobody has any of the pseudonyms the audit line says so, and no file is written.

    Parameters
    ----------
    people
        Pseudonyms as reports bear them (16 hexadecimal digits).
    key
        The custodian's private key.
    reason
        Why; kept in the audit trail for good.
    out
        A new file, made with mode 0600: ``person``, ``source``, ``patient_id``, ``run``.

    Returns
    -------
    int
        How many of the people were found.

    Raises
    ------
    PrivacyError, InputError, OutputError
        Nothing has been written then, and if it was refused after the key opened the crosswalks, the audit
        trail says so.
    """
    folder = crosswalk_folder(study)
    reason = require_reason(reason)
    wanted = {pseudonym(text): text for text in people}
    if not 0 < len(wanted) <= MOST_AT_ONCE:
        raise PrivacyError(
            "too many people at once" if wanted else "nobody to re-identify",
            where="reidentify",
            found=len(wanted),
            expected=f"1 to {MOST_AT_ONCE}",
            fix="ask for those only whom the reason covers",
        )
    refuse_output(out)
    crosswalk = open_crosswalks(folder, key)
    found = crosswalk[crosswalk["person_id"].isin(list(wanted))]
    table = found.assign(person=[f"{person:016x}" for person in found["person_id"]])
    names = sorted(f"{person:016x}" for person in wanted)
    audit(folder, "re-identified", pseudonyms=names, found=int(found["person_id"].nunique()), reason=reason)
    if found.empty:
        raise InputError(
            "nobody has such a pseudonym in the crosswalks of this study",
            where="reidentify",
            found=f"0 of {len(wanted)} people",
            expected="pseudonyms of runs made with this project key and privacy.crosswalk",
            fix="check the digits, and that the study file is that of the run",
        )
    write_private(
        out, table[["person", "source", "patient_id", "run"]].sort_values(["person", "run", "source"])
    )
    return int(found["person_id"].nunique())


def pseudonym(text: str) -> int:
    """A person's number from the 16 hexadecimal digits that reports bear.

    Raises
    ------
    InputError
        It is no pseudonym; it is not repeated, for it may be something else about a person.
    """
    plain = text.strip().lower()
    if len(plain) == 16 and all(sign in "0123456789abcdef" for sign in plain):
        return int(plain, 16)
    raise InputError(
        "not a pseudonym",
        where="reidentify",
        expected="16 hexadecimal digits, as a report's file is named",
        fix="a person_id of a table becomes one by: printf '%016x' PERSON_ID",
    )


def require_reason(reason: str) -> str:
    """The reason, if it is one and names nobody."""
    plain = " ".join(reason.split())
    if len(plain) < SHORTEST_REASON:
        raise PrivacyError(
            "a reason is needed",
            where="--reason",
            expected="why, and by whose decision, in a sentence",
            fix="give --reason; it is kept in the audit trail",
        )
    require_no_identifier(plain)
    return plain


def crosswalk_folder(study: HubPlan) -> Path:
    """Where the project's sealed crosswalks lie.

    Raises
    ------
    PrivacyError
        The study keeps none, so nobody can be traced.
    """
    if study.privacy.crosswalk is None:
        raise PrivacyError(
            "the study keeps no crosswalk",
            where="privacy.crosswalk",
            expected="a folder of sealed crosswalks",
            fix="name one, with privacy.custodian, before the next run",
        )
    return study.privacy.crosswalk


def refuse_output(out: Path) -> None:
    """Refuse a place where an answer could be seen by others or travel with results.

    Raises
    ------
    OutputError, PrivacyError
        The file is there already (a terminal or device among them), its folder is not there or open to
        others, or lies in a run folder.
    """
    if out.exists() or out.is_symlink():
        raise OutputError("is there already", where=out, fix="name a new file; nothing is ever overwritten")
    if not out.parent.is_dir():
        raise OutputError("no such folder", where=out.parent, fix="make it first, or correct --out")
    for folder in (out.resolve().parent, *out.resolve().parents):
        if any((folder / name).exists() for name in ("manifest.json", "state.json")):
            raise PrivacyError(
                "an answer about people does not belong in a run folder", where=out, fix="name another place"
            )


def write_private(out: Path, frame: pd.DataFrame) -> None:
    """Write a new file that its owner alone can read; it is never there with other rights, nor half."""
    descriptor = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_FILE)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as handle:
            os.fchmod(handle.fileno(), PRIVATE_FILE)
            frame.to_csv(handle, sep="\t", index=False, lineterminator="\n")
            handle.flush()
            os.fsync(handle.fileno())
    except OSError as error:
        with suppress(OSError):
            out.unlink()
        raise OutputError("cannot be written", where=out, found=error.strerror) from error


def audit(folder: Path, event: str, **details: Any) -> None:
    """One line in the custodian's audit trail, which is checked first."""
    private_folder(folder)
    with exclusive(folder):
        AuditTrail(folder / "audit.jsonl").record(event, **details)


def keep_review(path: Path, links: Links) -> None:
    """Write the pairs for clerical review: local numbers, what agreed, and the weights; mode 0600."""
    write_tsv(path, links.review)


def read_decisions(paths: Iterable[Path]) -> pd.DataFrame | None:
    """Decisions of clerks from tab- or comma-separated files: the review list, filled in.

    Only the columns that name the pair and ``decision`` are read.

    Returns
    -------
    DataFrame or None
        None where there is no file.

    Raises
    ------
    InputError
        A file cannot be read or lacks a column.
    """
    wanted = [*PAIR, "decision"]
    frames = []
    for path in paths:
        try:
            with open(path, encoding="utf-8-sig") as handle:
                tabbed = "\t" in handle.readline()
            frame = pd.read_csv(
                path, sep="\t" if tabbed else ",", dtype=str, keep_default_na=False, encoding="utf-8-sig"
            )
        except OSError as error:
            raise unreadable(path, error) from error
        except (ValueError, UnicodeDecodeError) as error:
            raise InputError(
                "not a table of decisions",
                where=path,
                expected="the review list with its decisions filled in",
            ) from error
        missing = [name for name in wanted if name not in frame]
        if missing:
            raise InputError(
                "column missing", where=path, found=", ".join(frame.columns), expected=", ".join(missing)
            )
        frames.append(frame[wanted])
    return pd.concat(frames, ignore_index=True) if frames else None
