"""The errors a user can meet, each one line with a documented exit code.

A message answers four questions: where (file, line or field), what was found, what was expected, and
what to do. It never holds a patient's value. The command line prints the message without a traceback
and exits with the class's code; anything else that escapes is a bug and exits with 1.

====================  =========  =====================================================
class                 exit code  meaning
====================  =========  =====================================================
(none)                2          wrong use of the command line
:class:`StudyError`   10         the study file does not say something we can run
:class:`InputError`   11         a data file is missing, damaged or contradicts another
:class:`DesignError`  12         the data are readable but cannot answer the question
:class:`PrivacyError` 13         doing it would weaken the protection of people
:class:`OutputError`  14         results cannot be written where asked
====================  =========  =====================================================
"""

from __future__ import annotations


class CareomeError(Exception):
    """A fault the user can act on.

    Parameters
    ----------
    problem
        What is wrong, as a short clause.
    where
        File, ``file:line`` or field the problem is in.
    found, expected
        What was there and what should have been. Counts, names of columns and the like; never a
        person's data.
    fix
        What the user can do.

    Examples
    --------
    >>> str(InputError("wrong length", where="a.bed", found="3 bytes", expected="7 bytes", fix="copy it again"))
    'a.bed: wrong length; found 3 bytes, expected 7 bytes. To fix: copy it again.'
    >>> str(StudyError("no such trait", found="'hieght'", fix="did you mean 'height'?"))
    "no such trait; found 'hieght'. To fix: did you mean 'height'?"
    """

    exit_code = 1

    def __init__(
        self,
        problem: str,
        *,
        where: object | None = None,
        found: object | None = None,
        expected: object | None = None,
        fix: str | None = None,
    ) -> None:
        self.problem = problem
        self.where = where
        self.found = found
        self.expected = expected
        self.fix = fix
        super().__init__(self._line())

    def _line(self) -> str:
        line = f"{self.where}: {self.problem}" if self.where is not None else self.problem
        facts = [
            f"{label} {value}"
            for label, value in (("found", self.found), ("expected", self.expected))
            if value is not None
        ]
        if facts:
            line += "; " + ", ".join(facts)
        line = line.rstrip(".") + "."
        if self.fix:
            line += f" To fix: {self.fix if self.fix.endswith('?') else self.fix.rstrip('.') + '.'}"
        return " ".join(line.split())


class StudyError(CareomeError):
    """The study file cannot be run as written."""

    exit_code = 10


class InputError(CareomeError):
    """A data file is missing, damaged or contradicts another."""

    exit_code = 11


class DesignError(CareomeError):
    """The data can be read but cannot answer what was asked."""

    exit_code = 12


class PrivacyError(CareomeError):
    """Going on would weaken the protection of the people in the data."""

    exit_code = 13


class OutputError(CareomeError):
    """Results cannot be written where asked."""

    exit_code = 14


def unreadable(path: object, error: OSError, *, fix: str = "check the path") -> InputError:
    """What to raise where a file cannot be read: one wording for one that is not there.

    Examples
    --------
    >>> str(unreadable("a.txt", FileNotFoundError(2, "No such file or directory")))
    'a.txt: file not found. To fix: check the path.'
    """
    if isinstance(error, FileNotFoundError):
        return InputError("file not found", where=path, fix=fix)
    return InputError("cannot be read", where=path, found=error.strerror, fix=fix)
