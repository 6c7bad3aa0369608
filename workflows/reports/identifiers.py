"""A last look for identifiers in the words of a report.

Nothing in a report's content should ever have held one: only ``cohorts.identity`` and the linkage room
see them. This refuses to print what slipped through, whatever let it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass

from cohorts.errors import PrivacyError
from cohorts.identifiers import nhs_number_is_valid

_TEN_DIGITS = re.compile(r"(?<![\w-])\d{3}([ -]?)\d{3}\1\d{4}(?![\w-])")
_POSTCODE = re.compile(r"\b(?:GIR 0AA|[A-Z]{1,2}\d[A-Z\d]? \d[A-Z]{2})\b")


def require_no_identifier(content: object) -> int:
    """Refuse content whose texts hold a valid NHS number or a postcode.

    Returns
    -------
    int
        How many texts were read.

    Raises
    ------
    PrivacyError
        Names the field; never repeats what it found.

    """
    read = 0
    for where, text in _texts(content, type(content).__name__):
        read += 1
        kind = (
            "an NHS number"
            if any(nhs_number_is_valid(m[0]) for m in _TEN_DIGITS.finditer(text))
            else "a postcode"
            if _POSTCODE.search(text)
            else None
        )
        if kind:
            raise PrivacyError(
                "an identifier stands where a report would print it",
                where=where,
                found=f"text with the form of {kind}",
                expected="pseudonyms only",
                fix="find which step let it through; it must be removed when the records are pseudonymised",
            )
    return read


def _texts(value: object, where: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield where, value
    elif is_dataclass(value) and not isinstance(value, type):
        for f in fields(value):
            yield from _texts(getattr(value, f.name), f"{where}.{f.name}")
    elif isinstance(value, Mapping):
        for at, (key, item) in enumerate(value.items()):
            yield from _texts(key, f"{where}[key {at}]")
            yield from _texts(item, f"{where}[value {at}]")
    elif isinstance(value, tuple):
        for at, item in enumerate(value):
            yield from _texts(item, f"{where}[{at}]")
