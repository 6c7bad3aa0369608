"""Counts of people: what may be shown, and the refusal of what may not.

Every field of the reports' content that counts people (or their records) has the type :data:`Count`. A
count below the smallest that may be shown arrives as :data:`SUPPRESSED`; the builders walk the content by
its types and raise :class:`~cohorts.errors.PrivacyError` if a bare small number got through. It is the
second lock: the first is the release step of the run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from types import UnionType
from typing import Annotated, Any, Final, Literal, TypeAlias, Union, get_args, get_origin, get_type_hints

from cohorts.errors import PrivacyError

SUPPRESSED: Final = "<10"
"""Stands where a count of people between 1 and 9 was."""

COUNT_OF_PEOPLE: Final = "a count of people"
Count: TypeAlias = Annotated[int | Literal["<10"], COUNT_OF_PEOPLE]
"""A number of people or of their records: 0, an integer of at least 10, or :data:`SUPPRESSED`."""


@dataclass(frozen=True, kw_only=True)
class Disclosure:
    """The rule by which counts are shown.

    Attributes
    ----------
    smallest_shown
        Counts from 1 to one below this are shown as ``'<10'``. Never below 10.
    rounded_to
        Counts are rounded to the nearest multiple of this. With 1 (exact counts) the builders also refuse
        tables in which a hidden cell follows from its neighbours by subtraction; with 5 it cannot, because
        every number shown is itself uncertain.

    Examples
    --------
    >>> [Disclosure().show(n) for n in (0, 3, 9, 10, 13, 1234)]
    [0, '<10', '<10', 10, 15, 1235]
    """

    smallest_shown: int = 10
    rounded_to: int = 5

    def __post_init__(self) -> None:
        if self.smallest_shown < 10 or self.rounded_to < 1 or self.smallest_shown % self.rounded_to:
            raise PrivacyError(
                "the disclosure rule is too loose",
                where="Disclosure",
                found=f"smallest_shown={self.smallest_shown}, rounded_to={self.rounded_to}",
                expected="smallest_shown of at least 10 and a multiple of rounded_to",
                fix="use the defaults",
            )

    def show(self, n: int) -> Count:
        """The form in which `n` people may be shown: 0, ``'<10'`` or `n` rounded half up."""
        if n < 0:
            raise ValueError("a count cannot be negative")
        if n == 0:
            return 0
        if n < self.smallest_shown:
            return SUPPRESSED
        return (2 * int(n) + self.rounded_to) // (2 * self.rounded_to) * self.rounded_to


def require_shown(content: object, *, disclosure: Disclosure) -> int:
    """Refuse content in which any count of people breaks the rule.

    Parameters
    ----------
    content
        A content dataclass; its fields are walked by their declared types.
    disclosure
        The rule the counts must keep.

    Returns
    -------
    int
        How many counts were looked at.

    Raises
    ------
    PrivacyError
        Names the first offending field. The number itself is not repeated.

    Examples
    --------
    >>> @dataclass(frozen=True)
    ... class Row:
    ...     people: Count
    >>> require_shown(Row(people=25), disclosure=Disclosure())
    1
    """
    return _walk(type(content), content, type(content).__name__, disclosure)


def _walk(hint: Any, value: object, where: str, rule: Disclosure) -> int:
    if _is_count(hint):
        _require_count(value, where, rule)
        return 1
    if value is None or isinstance(value, str):
        return 0
    if is_dataclass(value) and not isinstance(value, type):
        hints = _hints(type(value))
        return sum(
            _walk(hints[f.name], getattr(value, f.name), f"{where}.{f.name}", rule) for f in fields(value)
        )
    inner = _members(hint)
    if isinstance(value, Mapping):
        return sum(_walk(inner[-1], item, f"{where}[{key!r}]", rule) for key, item in value.items())
    if isinstance(value, tuple):
        same = len(inner) == 2 and inner[1] is Ellipsis
        return sum(
            _walk(inner[0] if same else inner[at] if at < len(inner) else Any, item, f"{where}[{at}]", rule)
            for at, item in enumerate(value)
        )
    return 0


def _is_count(hint: Any) -> bool:
    if get_origin(hint) in (Union, UnionType):
        return any(_is_count(option) for option in get_args(hint))
    return get_origin(hint) is Annotated and COUNT_OF_PEOPLE in get_args(hint)[1:]


@cache
def _hints(cls: type) -> dict[str, Any]:
    return get_type_hints(cls, include_extras=True)


def _members(hint: Any) -> tuple[Any, ...]:
    """Arguments of a container type; of an optional one, those of its container."""
    if get_origin(hint) in (Union, UnionType):
        for option in get_args(hint):
            if option is not type(None) and get_args(option):
                return _members(option)
    return get_args(hint) or (Any, Ellipsis)


def _require_count(value: object, where: str, rule: Disclosure) -> None:
    if value is None or value == SUPPRESSED:
        return
    if isinstance(value, bool) or not isinstance(value, int):
        found = type(value).__name__
    elif value < 0:
        found = "a negative number"
    elif 0 < value < rule.smallest_shown:
        found = "a number below it"
    elif value % rule.rounded_to:
        found = "an unrounded number"
    else:
        return
    raise PrivacyError(
        "a count of people may not be shown as it is",
        where=where,
        found=found,
        expected=f"0, '<10', or an integer of at least {rule.smallest_shown} rounded to {rule.rounded_to}",
        fix="pass every count through Disclosure.show before it reaches a report",
    )
