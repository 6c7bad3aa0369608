"""From content to HTML: the template environment and how numbers are written."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from importlib.resources import files
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from workflows.reports.counts import SUPPRESSED

_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def render(template: str, *, sheets: tuple[str, ...], **values: Any) -> str:
    """The page made from `template` with the style sheets named in `sheets` inside it.

    Everything is escaped unless it is already :class:`markupsafe.Markup`; a name the template uses and
    `values` lacks is an error.
    """
    environment = Environment(
        loader=PackageLoader("workflows.reports", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "count": count,
        "percent": percent,
        "decimals": decimals,
        "pvalue": pvalue,
        "signed": signed,
    }
    folder = files("workflows.reports")
    style = "\n".join(folder.joinpath(name).read_text(encoding="utf-8") for name in sheets)
    return environment.get_template(template).render(style=Markup(style), **values).lstrip()


def count(value: int | str | None) -> str:
    """A count as printed.

    Examples
    --------
    >>> count(12345), count("<10"), count(None)
    ('12,345', 'under 10', 'not shown')
    """
    if value is None:
        return "not shown"
    return "under 10" if value == SUPPRESSED else f"{value:,}"


def percent(value: float | None, digits: int = 1) -> str:
    """A fraction of one as a percentage.

    Examples
    --------
    >>> percent(0.0834), percent(None), percent(0.5, 0)
    ('8.3%', 'not available', '50%')
    """
    return "not available" if value is None or not np.isfinite(value) else f"{100 * value:.{digits}f}%"


def decimals(value: float | None, digits: int = 2) -> str:
    """A number with fixed decimals and a true minus sign.

    Examples
    --------
    >>> decimals(-1.234), decimals(1234.5, 1)
    ('−1.23', '1,234.5')
    """
    if value is None or not np.isfinite(value):
        return "not available"
    return f"{value:,.{digits}f}".replace("-", "−")


def signed(value: float, digits: int = 1) -> str:
    """A number with its sign, also where it is positive.

    Examples
    --------
    >>> signed(1.25), signed(-0.5), signed(-0.04)
    ('+1.2', '−0.5', '0.0')
    """
    text = f"{value:+.{digits}f}"
    return text[1:] if float(text) == 0 else text.replace("-", "−")


def pvalue(log10_p: float) -> str:
    """A P value from its -log10, which may be far beyond the smallest float.

    Examples
    --------
    >>> pvalue(2.0), pvalue(411.3)
    ('0.010', '5.0×10⁻⁴¹²')
    """
    if not np.isfinite(log10_p):
        return "not available"
    if log10_p < 3:
        return f"{10**-log10_p:.3f}"
    exponent = int(np.ceil(log10_p))
    mantissa = f"{10 ** (exponent - log10_p):.1f}"
    if mantissa == "10.0":
        mantissa, exponent = "1.0", exponent - 1
    return f"{mantissa}×10{str(-exponent).translate(_SUPERSCRIPT)}"


def fingerprint(content: object) -> str:
    """SHA-256 of all that `content` says, in hexadecimal: same words and numbers, same fingerprint."""
    digest = hashlib.sha256()
    _feed(digest, asdict(content) if is_dataclass(content) and not isinstance(content, type) else content)
    return digest.hexdigest()


def _feed(digest: Any, value: object) -> None:
    if isinstance(value, Mapping):
        digest.update(b"{")
        for key in value:
            _feed(digest, key)
            _feed(digest, value[key])
        digest.update(b"}")
    elif isinstance(value, (tuple, list)):
        digest.update(b"[")
        for item in value:
            _feed(digest, item)
        digest.update(b"]")
    elif isinstance(value, np.ndarray):
        digest.update(f"{value.shape}".encode())
        for item in value.tolist():
            digest.update(repr(item).encode() + b",")
    else:
        digest.update(f"{type(value).__name__}:{value!r};".encode())
