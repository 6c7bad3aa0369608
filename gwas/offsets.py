"""What the rest of the genome predicts of each trait, by the chromosome that is left out."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from cohorts.errors import DesignError, InputError

CHROMOSOMES: Final = (*(str(c) for c in range(1, 23)), "X")


@dataclass(frozen=True, eq=False)
class LocoOffsets:
    """Predictions by all autosomes but one.

    Attributes
    ----------
    traits
        Trait names.
    chromosomes
        The chromosome left out; a chromosome that is not listed was not fitted, so nothing of it needs
        leaving out: it gets the row ``X``.
    samples
        Sample IDs (IID).
    values
        float32 (traits, chromosomes, samples); NaN where a person has no prediction. Of a quantitative trait
        in standard deviations of its residual beside the covariates; of a binary one in log odds. These are
        REGENIE's units too.
    inflation
        What chi-squares of each quantitative trait are divided by; () divides none.
    """

    traits: tuple[str, ...]
    chromosomes: tuple[str, ...]
    samples: tuple[str, ...]
    values: npt.NDArray[np.float32]
    inflation: tuple[float, ...] = ()

    def inflation_of(self, trait: str) -> float:
        """What a quantitative trait's chi-squares are divided by."""
        return self.inflation[self.traits.index(trait)] if self.inflation else 1.0

    def of(self, trait: str, chrom: str, samples: Sequence[str]) -> npt.NDArray[np.float64]:
        """One trait's offset for tests on one chromosome.

        Parameters
        ----------
        trait
            Its name.
        chrom
            Canonical name of the chromosome being tested.
        samples
            Sample IDs, in the order of the answer.

        Returns
        -------
        float64 (samples,)
            NaN for a person without prediction.

        Raises
        ------
        DesignError
            If there are no predictions of the trait.

        Examples
        --------
        >>> offsets = LocoOffsets(("T",), ("1", "X"), ("a", "b"), np.array([[[1, 2], [3, 4]]], np.float32))
        >>> offsets.of("T", "1", ["b", "c"]).tolist(), offsets.of("T", "MT", ["a"]).tolist()
        ([2.0, nan], [3.0])
        """
        if trait not in self.traits:
            raise _unpredicted(trait, self.traits)
        left_out = chrom if chrom in self.chromosomes else "X"
        row = self.values[self.traits.index(trait), self.chromosomes.index(left_out)]
        if samples is self.samples:
            return np.asarray(row, dtype=np.float64)
        at = self._places(samples)
        return np.asarray(np.where(at >= 0, row[at], np.nan), dtype=np.float64)

    def at(self, samples: tuple[str, ...]) -> LocoOffsets:
        """The same for other samples or in another order; NaN for those who have no prediction."""
        at = self._places(samples)
        values = np.where(at >= 0, self.values[:, :, at], np.float32(np.nan))
        return LocoOffsets(self.traits, self.chromosomes, samples, values.astype(np.float32), self.inflation)

    def _places(self, samples: Sequence[str]) -> npt.NDArray[np.int64]:
        place = {sample: i for i, sample in enumerate(self.samples)}
        return np.array([place.get(sample, -1) for sample in samples], dtype=np.int64)


def read_offsets(
    prediction_list: Path,
    samples: Sequence[tuple[str, str]],
    *,
    traits: Sequence[str] | None = None,
    chromosomes: Collection[str] = (),
    inflation: Path | None = None,
) -> LocoOffsets:
    """Read REGENIE's list of predictions (``OUT_pred.list``: trait and .loco file, a line each).

    Parameters
    ----------
    prediction_list
        The list; a relative path in it is tried from where the list is, too.
    samples
        FID and IID of those wanted; a .loco file names people ``FID_IID``. Who is not in it, or ``NA``
        there, has no prediction.
    traits
        Those wanted; the files of others are not opened. None for all.
    chromosomes
        Those to be tested (canonical names): each needs its line, all but autosomes line 23.
    inflation
        ``OUT_pred.inflation`` of ``careome wgr --calibrate``: a trait and its factor on each line.

    Raises
    ------
    InputError
        If a file is unreadable, not in that form, or without a chromosome that is to be tested.
    DesignError
        If there are no predictions of a trait that is wanted.
    """
    entries = [line.split() for line in _text(prediction_list).splitlines() if line.strip()]
    if not entries or any(len(entry) != 2 for entry in entries):
        raise InputError(
            "is not a list of predictions",
            where=prediction_list,
            expected="a trait and its .loco file on each line",
            fix="give the _pred.list of step 1",
        )
    files = dict(entries)
    names = tuple(files) if traits is None else tuple(traits)
    for name in names:
        if name not in files:
            raise _unpredicted(name, tuple(files))
    wanted = {f"{fid}_{iid}": i for i, (fid, iid) in enumerate(samples)}
    needed = {CHROMOSOMES.index(chrom if chrom in CHROMOSOMES else "X") for chrom in chromosomes}
    values = np.full((len(names), len(CHROMOSOMES), len(samples)), np.nan, dtype=np.float32)
    for t, name in enumerate(names):
        path = Path(files[name])
        if not path.is_absolute() and not path.exists():
            path = prediction_list.parent / path
        if absent := sorted(needed - _read_loco(path, wanted, values[t])):
            raise InputError(
                "has no predictions for a chromosome to be tested",
                where=path,
                found=f"no line of chromosome {', '.join(str(row + 1) for row in absent)}",
                expected="a line for each chromosome tested; 23 for all but autosomes",
                fix="give the files as step 1 wrote them, or test other chromosomes (--chr)",
            )
    factors = () if inflation is None else _read_inflation(inflation, names)
    return LocoOffsets(names, CHROMOSOMES, tuple(iid for _, iid in samples), values, factors)


def _read_inflation(path: Path, traits: Sequence[str]) -> tuple[float, ...]:
    try:
        found = {
            name: float(factor) for name, factor, *_ in (line.split() for line in _text(path).splitlines())
        }
        factors = tuple(found[trait] for trait in traits)
    except (ValueError, KeyError) as error:
        raise InputError(
            "has no factor of every trait",
            where=path,
            expected=f"lines of a trait and a number, for {', '.join(traits)}",
            fix="give the file that careome wgr --calibrate wrote with the predictions",
        ) from error
    if not all(np.isfinite(factor) and factor > 0 for factor in factors):
        raise InputError("has a factor that is not positive", where=path, fix="write the file anew")
    return factors


def _unpredicted(trait: str, traits: Sequence[str]) -> DesignError:
    return DesignError(
        "no whole-genome predictions of a trait",
        where=trait,
        found=f"predictions of {', '.join(traits)}",
        fix="run careome wgr with it, or leave it out",
    )


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError("cannot be read", where=path, fix="check the path") from error


def _read_loco(path: Path, wanted: dict[str, int], out: npt.NDArray[np.float32]) -> set[int]:
    """Fill rows of `out`, and return which."""
    lines = _text(path).splitlines()
    header = lines[0].split() if lines else []
    if not header or header[0] != "FID_IID":
        raise InputError(
            "is not a file of LOCO predictions",
            where=path,
            expected="a first line FID_IID and the people, then a line for each chromosome",
            fix="give the files that step 1 wrote",
        )
    at = np.array([wanted.get(name, -1) for name in header[1:]], dtype=np.int64)
    if not (at >= 0).any():
        raise InputError(
            "no sample of the genotypes is in it",
            where=path,
            found=f"{len(at)} people, none of them in the genotypes",
            expected="FID_IID as in the genotype files",
            fix="check the IDs",
        )
    filled = set()
    for number, line in enumerate(lines[1:], start=2):
        chrom, *cells = line.split() or [""]
        try:
            row = np.array(["nan" if cell == "NA" else cell for cell in cells], dtype=np.float32)
            left_out = int(chrom) - 1
        except ValueError as error:
            raise InputError(
                "is not a number", where=f"{path}:{number}", fix="write the file anew"
            ) from error
        if len(row) != len(at) or not 0 <= left_out < len(CHROMOSOMES):
            raise InputError(
                "a line has the wrong number of fields or a strange chromosome",
                where=f"{path}:{number}",
                found=f"chromosome {chrom}, {len(row)} values",
                expected=f"chromosomes 1-23, {len(at)} values",
                fix="write the file anew",
            )
        if np.isinf(row).any():
            raise InputError("is not finite", where=f"{path}:{number}", fix="write the file anew")
        out[left_out, at[at >= 0]] = row[at >= 0]
        filled.add(left_out)
    return filled
