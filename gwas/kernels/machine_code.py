"""Kernels compiled once by numba and kept as machine code, so that later processes start without numba.

Importing numba and reading its own cache takes some 0.4 s, which is more than counting half a gigabyte of calls.
So the code numba makes of a kernel is kept as an object file for this processor, and llvmlite alone loads it.
numba is imported only where no kept code fits: the first time, or after the kernel's source has changed.
"""

from __future__ import annotations

import ctypes
import hashlib
import logging
import os
import re
from functools import cache, cached_property
from importlib import import_module
from pathlib import Path
from threading import Lock
from typing import Any, Final

import llvmlite
import llvmlite.binding as llvm
import numpy as np

LOG: Final = logging.getLogger("careome.kernels")
"""Says what is being compiled: the one thing here that takes seconds."""
_HERE: Final = Path(__file__).parent
_IMPORTED: Final = re.compile(rb"^from gwas\.kernels\.(\w+) import", re.MULTILINE)
_BYTE: Final = ctypes.c_char
_SCALARS: Final = {"int64": ctypes.c_int64, "float64": ctypes.c_double}
# what a kernel may call outside itself: memory and mathematics of the C library
_OUTSIDE: Final = frozenset(
    {"memset", "memcpy", "memmove", "log", "log10", "exp", "pow", "floor", "rint", "sqrt"}
)


class MachineCode:
    """A numba function of C-contiguous arrays and scalars that is called without numba.

    Parameters
    ----------
    module, function
        Where the ``njit`` function is: a module of :mod:`gwas.kernels` (imported only to compile it). It
        returns nothing, allocates nothing and raises nothing.
    arguments
        Type of each: ``int64`` or ``float64``, or an array as ``uint64:2`` (dtype and dimensions).

    Notes
    -----
    A call releases the interpreter lock. Code lies where numba's would: in ``NUMBA_CACHE_DIR``, or beside the
    source, or in the user's cache folder.

    Examples
    --------
    >>> add_up = MachineCode("counting_loops", "count_rows", "uint64:2", "uint64:1", "int64", "int64:2")
    >>> counts = np.empty((1, 4), dtype=np.int64)
    >>> add_up(np.array([[0b11100100]], np.uint64), np.array([0b11111111], np.uint64), 4, counts)
    >>> counts.tolist()
    [[1, 1, 1, 1]]
    """

    def __init__(self, module: str, function: str, *arguments: str) -> None:
        self.module = module
        self.function = function
        self.arguments = arguments
        self._kinds = [_kind(argument) for argument in arguments]

    def __call__(self, *values: Any) -> None:
        """Run it; arrays are used in place.

        Raises
        ------
        TypeError
            If an argument is not of the declared type, or an array is not C-contiguous.
        """
        flat: list[Any] = []
        if len(values) != len(self._kinds):
            raise TypeError(f"{self.function} takes {len(self._kinds)} arguments, not {len(values)}")
        for value, (dtype, dimensions) in zip(values, self._kinds, strict=True):
            if dimensions == 0:
                flat.append(value)
                continue
            fits = isinstance(value, np.ndarray) and value.dtype == dtype and value.ndim == dimensions
            if not fits or not value.flags["C"]:
                raise TypeError(f"{self.function}: not a C-contiguous array of {dtype}:{dimensions}")
            flat += [_address(value), *value.shape]
        self._loaded(*flat)

    @cached_property
    def _loaded(self) -> Any:
        """The C function."""
        types: list[Any] = []
        for dtype, dimensions in self._kinds:
            types += [ctypes.c_void_p, *[ctypes.c_int64] * dimensions] if dimensions else [_SCALARS[dtype]]
        memory = _memory()
        # what was kept while the source was being changed may lack the function
        address = memory.address(self._symbol, self._object()) or memory.address(self._symbol, self._made())
        return ctypes.CFUNCTYPE(None, *types)(address)

    @property
    def _symbol(self) -> str:
        return ".".join([self.module, self.function, *self.arguments])

    def _object(self) -> bytes:
        for folder in _folders():
            kept = _read(folder / self._name)
            if kept is not None:
                return kept
        return self._made()

    def _made(self) -> bytes:
        code = self._compiled()
        for folder in _folders():
            if _keep(folder / self._name, code):
                break
        return code

    @cached_property
    def _name(self) -> str:
        return f"{self.module}.{self.function}.{self._key()}.code"

    def _key(self) -> str:
        """Changes with the source, the compiler and the processor."""
        text = "\0".join([*_processor(), llvmlite.__version__, self.function, *self.arguments]).encode()
        return hashlib.sha256(b"\0".join([text, *_sources(self.module)])).hexdigest()[:24]

    def _compiled(self) -> bytes:
        LOG.info("compiling %s", self._symbol)
        import numba

        machine = _target_machine()

        adaptor, signature = self._adaptor(numba)
        compiled = numba.cfunc(signature, nopython=True, error_model="numpy")(adaptor)
        whole = llvm.parse_assembly(compiled.inspect_llvm())
        for function in whole.functions:
            if function.name == compiled.native_name:
                function.name = self._symbol
            elif not function.is_declaration:
                function.linkage = "internal"
        # now that nothing but the kernel is visible, what never happens (a status of error) is seen to go
        builder = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=3))
        builder.getModulePassManager().run(whole, builder)
        outside = {f.name for f in whole.functions if f.is_declaration and not f.name.startswith("llvm.")}
        if outside - _OUTSIDE:
            raise RuntimeError(f"{self.function} needs {sorted(outside - _OUTSIDE)}: it allocates or raises")
        code: bytes = machine.emit_object(whole)
        return code

    def _adaptor(self, numba: Any) -> tuple[Any, Any]:
        """A function of pointers, shapes and scalars around the kernel, and its C signature."""
        kernel = getattr(import_module(f"gwas.kernels.{self.module}"), self.function)
        names: list[str] = []
        given: list[str] = []
        types: list[Any] = []
        for k, (dtype, dimensions) in enumerate(self._kinds):
            scalar = getattr(numba.types, str(dtype))
            shape = [f"n{k}_{axis}" for axis in range(dimensions)]
            names += [f"a{k}", *shape]
            given.append(f"carray(a{k}, ({', '.join(shape)},))" if dimensions else f"a{k}")
            types += [numba.types.CPointer(scalar) if dimensions else scalar]
            types += [numba.types.int64] * dimensions
        source = f"def adaptor({', '.join(names)}):\n    kernel({', '.join(given)})\n"
        scope: dict[str, Any] = {"carray": numba.carray, "kernel": kernel}
        exec(source, scope)
        return scope["adaptor"], numba.types.void(*types)


class _Memory:
    """Where the code of all kernels is, for as long as the process lives: to make room for each anew takes longer."""

    def __init__(self) -> None:
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        self.engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), _target_machine())
        self.lock = Lock()

    def address(self, symbol: str, code: bytes) -> int:
        """Where the function of an object file starts."""
        with self.lock:
            self.engine.add_object_file(llvm.ObjectFileRef.from_data(code))
            self.engine.finalize_object()
            return int(self.engine.get_function_address(symbol))


@cache
def _memory() -> _Memory:
    return _Memory()


@cache
def _sources(module: str) -> list[bytes]:
    """Source of this module and of all that a kernel's module is made of."""
    found: dict[str, bytes] = {}
    waiting = [module, "machine_code"]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found[name] = (_HERE / f"{name}.py").read_bytes()
        # from a module without kernels come constants: what it imports itself is no part of the code
        if b"\nfrom numba" in found[name]:
            waiting += [other.decode() for other in _IMPORTED.findall(found[name])]
    return [found[name] for name in sorted(found)]


def _kind(argument: str) -> tuple[Any, int]:
    name, _, dimensions = argument.partition(":")
    return (np.dtype(name) if dimensions else name), int(dimensions or 0)


def _address(array: Any) -> int:
    """Where its first number is; numpy's own way takes four times as long."""
    try:
        return ctypes.addressof(_BYTE.from_buffer(array))
    except (TypeError, ValueError):
        # not to be written to, or empty
        return int(array.ctypes.data)


@cache
def _processor() -> tuple[str, str]:
    """Its name and features."""
    return llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()


def _target_machine() -> Any:
    name, features = _processor()
    target = llvm.Target.from_default_triple()
    return target.create_target_machine(cpu=name, features=features, opt=3, jit=True)


def _folders() -> list[Path]:
    chosen = os.environ.get("NUMBA_CACHE_DIR")
    if chosen:
        return [Path(chosen)]
    users = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return [_HERE / "__pycache__", users / "careome"]


def _read(path: Path) -> bytes | None:
    """Kept code, if it is whole and belongs to somebody whose code runs here anyway."""
    try:
        with open(path, "rb") as handle:
            owner = os.fstat(handle.fileno()).st_uid
            held = handle.read()
    except OSError:
        return None
    code = held[32:]
    trusted = owner in {0, os.geteuid(), _HERE.stat().st_uid}
    return code if trusted and hashlib.sha256(code).digest() == held[:32] else None


def _keep(path: Path, code: bytes) -> bool:
    import tempfile

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f"{path.name}.", dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(hashlib.sha256(code).digest() + code)
        os.replace(name, path)
    except OSError:
        # nowhere to keep it: the next process compiles it again
        return False
    return True
