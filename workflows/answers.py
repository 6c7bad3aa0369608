"""Answers kept from one run to the next, so that a run asks again only what changed (:mod:`phenotypes.cache`).

A kept folder holds pseudonymous people. It lies where the study's ``privacy.cache`` says, for the owner's eyes
alone and never in a run folder, which is handed out::

    FOLDER/
      STATE/           64 hexadecimal digits: the state of the records (:func:`records_identity`)
        ANSWER.parquet

Answers of one state hold for no other. :meth:`KeptAnswers.of` removes those of every other state, so that
nothing about a person who has withdrawn, opted out or moved away is left after the next run of the study.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from cohorts.errors import InputError, OutputError, PrivacyError
from phenotypes.cache import RECORDS
from phenotypes.session import session
from workflows.outputs import atomic_path, exclusive, private_folder, remove_unfinished

if TYPE_CHECKING:
    from cohorts.hub import Hub
    from workflows.study import Study

_STATE = re.compile("[0-9a-f]{64}")
#: Inputs, and parts of the study file, on which the records in the hub depend.
_READ = ("sources.", "region.", "linkage.")
_DECLARED = ("sources", "region", "linkage", "records")
#: Either is in every run folder.
_RUN = ("manifest.json", "state.json")
# The digits of a SHA-256 that a sum of many rows can hold without overflow.
_DIGITS = 16


class AnswerFolder:
    """A :class:`phenotypes.cache.AnswerStore` of Parquet files, one an answer.

    It holds pseudonymous people, as the results of a run do, and is for the owner's eyes alone; removing it, or
    any of its files, costs time and nothing else.

    Parameters
    ----------
    folder
        Made where it is not there.

    Examples
    --------
    >>> derive(hub, people, index_date=on, phenotypes=rules, cache=AnswerFolder("answers"))  # doctest: +SKIP
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def get(self, key: str, /) -> pa.Table | None:
        """The table kept under a key, if there is one.

        Raises
        ------
        InputError
            Where its file is damaged.
        """
        path = self._path(key)
        if not path.exists():
            return None
        try:
            return pq.read_table(path, page_checksum_verification=True)
        except (OSError, pa.ArrowException) as error:
            raise InputError(
                "a kept answer cannot be read",
                where=path,
                found=type(error).__name__,
                fix="remove the file: the answer will be made again",
            ) from None

    def __setitem__(self, key: str, answer: pa.Table, /) -> None:
        private_folder(self.folder)
        with atomic_path(self._path(key)) as temporary:
            pq.write_table(answer, temporary, compression="zstd", write_page_checksum=True)

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.parquet"


class KeptAnswers:
    """A study's folder of answers; :func:`kept_answers` opens one.

    Parameters
    ----------
    folder
        Held by this run alone.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def of(self, identity: str) -> tuple[AnswerFolder, int]:
        """The answers that hold for a state of the records, and how many of other states were removed.

        Only files of our own making are touched.
        """
        removed = 0
        for other in sorted(self.folder.iterdir()):
            if other.name == identity or not _STATE.fullmatch(other.name) or other.is_symlink():
                continue
            for path in sorted(other.glob("*.parquet")):
                if _STATE.fullmatch(path.stem):
                    path.unlink()
                    removed += 1
            if not any(other.iterdir()):
                other.rmdir()
        return AnswerFolder(self.folder / identity), removed


@contextmanager
def kept_answers(study: Study, *, out: Path) -> Iterator[KeptAnswers | None]:
    """Hold the folder that the study's ``privacy.cache`` names for one run; None where it names none.

    Raises
    ------
    PrivacyError
        Where others can read the folder.
    OutputError
        Where it lies in a run folder, or another run holds it.
    """
    folder = study.privacy.cache
    if folder is None:
        yield None
        return
    place = folder.resolve()
    inside = {place, *place.parents}
    if out.resolve() in inside or any((above / mark).exists() for above in inside for mark in _RUN):
        raise OutputError(
            "kept answers may not lie in a run folder, which is handed out",
            where="privacy.cache",
            found=folder,
            fix="name a folder beside the project key",
        )
    private_folder(folder)
    mode = stat.S_IMODE(folder.stat().st_mode)
    if mode & 0o077:
        raise PrivacyError(
            "the folder of kept answers can be read by others",
            where=folder,
            found=f"mode {mode:04o}",
            expected="mode 0700",
            fix=f"chmod 700 {folder}",
        )
    with exclusive(folder):
        remove_unfinished(folder)
        yield KeptAnswers(folder)


def records_identity(study: Study, inputs: Mapping[str, str], hub: Hub, *, key: bytes) -> str:
    """A keyed SHA-256 (64 hexadecimal digits) of all that decides which records the hub holds, and whose.

    It covers the SHA-256 of every file of the sources, of opt-outs, consents and clerks' decisions; what the study
    declares about sources and linkage; the project key; and what the hub holds. What it holds is told by a
    64-bit sum, as the files are told by their own hashes; where a source is a server, whose rows no file's hash
    covers, by sums of the SHA-256 of each row (some 1.5 seconds of processor a million events).

    Parameters
    ----------
    study
        The study.
    inputs
        SHA-256 of its input files by name.
    hub
        The pseudonymous hub, in DuckDB.
    key
        Of the project: without it the identity tells nothing.
    """
    from workflows.hub_plan import canonical_text

    declared = json.loads(canonical_text(study))
    read = {name: digest for name, digest in inputs.items() if name.startswith(_READ)}
    by_server = [n for n in study.sources if not any(name.startswith(f"sources.{n}.") for name in read)]
    with session(hub) as opened:
        held = opened.fingerprint(RECORDS)
    said = {
        "declared": {part: declared[part] for part in _DECLARED},
        "until": declared["study"]["data_end"],
        "inputs": read,
        "held": held,
        "rows": _content(hub) if by_server else None,
    }
    return hmac.new(key, json.dumps(said, sort_keys=True).encode(), hashlib.sha256).hexdigest()


def _content(hub: Hub) -> list[str]:
    """Rows and four sums over the SHA-256 of each row, for every table that answers depend on."""
    told = []
    for table, columns in RECORDS.items():
        # Each cell says how long it is, so that no two rows are written alike.
        cells = ", ".join(
            f"coalesce(strlen(\"{c}\"::VARCHAR) || ':' || \"{c}\"::VARCHAR, '-')" for c in columns
        )
        sums = ", ".join(
            f"sum(('0x' || h[{1 + at}:{_DIGITS + at}])::UBIGINT)::VARCHAR" for at in range(0, 64, _DIGITS)
        )
        row = hub.connection.execute(
            f'SELECT count(*), {sums} FROM (SELECT sha256(concat({cells})) AS h FROM "{table}")'
        ).fetchone()
        told.append(f"{table} {row}")
    return told
