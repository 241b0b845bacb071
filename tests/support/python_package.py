"""Makes conda ``python`` packages from interpreters of this machine.

Copies ``bin/``, the standard library, ``libpython`` and ``include/``; sets the run path to ``$ORIGIN/../lib``; calls
the interpreter's own prefix by the placeholder in text files. What no test needs (the test suite, IDLE, Tk, ensurepip,
static libraries, bytecode) stays behind, so that a package takes about three seconds.

Rules of the file: only self-contained interpreters (a prefix of their own, not ``/usr``) are taken: a distribution's
Python keeps its modules in places that a conda prefix has not.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.support.conda_package import PLACEHOLDER, PackageRecipe

_LEFT_BEHIND = {
    "test",
    "tests",
    "idlelib",
    "tkinter",
    "turtledemo",
    "ensurepip",
    "lib2to3",
    "pydoc_data",
    "__pycache__",
}
_ASK = """
import json, sys, sysconfig
print(json.dumps({
    "version": "%d.%d.%d" % sys.version_info[:3],
    "final": sys.version_info[3] == "final" and sys.implementation.name == "cpython",
    "prefix": sys.base_prefix,
    "library": sysconfig.get_config_var("INSTSONAME") if sysconfig.get_config_var("Py_ENABLE_SHARED") else None,
    "free_threaded": bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
}))
"""


@dataclass(frozen=True, kw_only=True)
class Interpreter:
    """A self-contained Python of this machine.

    Attributes:
        version: Such as ``3.11.7``.
        prefix: Its folder, with ``bin/`` and ``lib/``.
        library: The file name of its shared library in ``lib/``; None when it is linked statically.
    """

    version: str
    prefix: Path
    library: str | None

    @property
    def series(self) -> str:
        """Such as ``3.11``."""
        return ".".join(self.version.split(".")[:2])

    @property
    def executable(self) -> Path:
        """The interpreter itself."""
        return self.prefix / "bin" / f"python{self.series}"


def _candidates() -> list[Path]:
    found = [Path(sys.base_prefix) / "bin" / f"python{sys.version_info[0]}.{sys.version_info[1]}"]
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    found += sorted(pyenv.glob("versions/*/bin/python3.[0-9]*"))
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        if folder and "shims" not in folder:
            found += sorted(Path(folder).glob("python3.[0-9]*"))
    return [path for path in found if path.name.count("-") == 0 and os.access(path, os.X_OK)]


def find_interpreters(most: int = 2) -> tuple[Interpreter, ...]:
    """Self-contained Pythons >= 3.10 of different series, oldest first: this one's series, and the nearest newer ones.

    Args:
        most: How many at most.
    """
    by_series: dict[tuple[int, ...], Interpreter] = {}
    for path in _candidates():
        number = path.name.removeprefix("python")
        series = tuple(int(part) for part in number.split(".") if part.isdigit())
        if series in by_series or len(series) != 2 or series < (3, 10):
            continue
        result = subprocess.run([path, "-I", "-c", _ASK], capture_output=True, text=True, timeout=30, check=False)
        if result.returncode:
            continue
        facts = json.loads(result.stdout)
        prefix = Path(facts["prefix"])
        if not facts["final"] or facts["free_threaded"] or prefix == Path("/usr"):
            continue
        library = facts["library"]
        if library and not (prefix / "lib" / library).is_file():
            continue
        by_series[series] = Interpreter(version=facts["version"], prefix=prefix, library=library)
    here = sys.version_info[:2]
    order = sorted(by_series, key=lambda series: (series != here, series < here, abs(series[1] - here[1])))
    return tuple(by_series[series] for series in sorted(order[:most]))


def _wanted(path: Path, root: Path) -> bool:
    parts = path.relative_to(root).parts
    if _LEFT_BEHIND & set(parts) or "site-packages" in parts or path.suffix in {".a", ".o", ".pyc", ".exe"}:
        return False
    return not path.name.startswith(("_tkinter.", "_test", "_ctypes_test", "xxlimited", "python.o"))


def _tool(name: str) -> str | None:
    beside = Path(sys.executable).parent / name
    return str(beside) if beside.is_file() else shutil.which(name)


def _relocate(path: Path, name: str, prefix: Path) -> None:
    """Make one copied file independent of where it came from."""
    data = path.read_bytes()
    if data.startswith(b"\x7fELF"):
        path.chmod(0o755)
        if strip := _tool("strip"):
            subprocess.run([strip, "--strip-unneeded", path], check=True, capture_output=True)
        run_path = "$ORIGIN/" + os.path.relpath("lib", Path(name).parent)
        patchelf = _tool("patchelf") or "patchelf"
        subprocess.run([patchelf, "--set-rpath", run_path, path], check=True, capture_output=True)
    elif b"\0" not in data and str(prefix).encode() in data:
        path.write_bytes(data.replace(str(prefix).encode(), PLACEHOLDER.encode()))


def python_recipe(interpreter: Interpreter, subdir: str, staging: Path) -> PackageRecipe:
    """The conda package of an interpreter.

    Args:
        subdir: This machine's platform.
        staging: An empty folder that lives as long as the recipe is used.
    """
    series, prefix = interpreter.series, interpreter.prefix
    sources = [prefix / "bin" / f"python{series}", prefix / "bin" / f"python{series}-config"]
    if interpreter.library:
        sources.append(prefix / "lib" / interpreter.library)
    for tree in (prefix / "lib" / f"python{series}", prefix / "include" / f"python{series}"):
        sources += [path for path in sorted(tree.rglob("*")) if path.is_file() and _wanted(path, tree)]
    files: dict[str, bytes | str | Path] = {}
    for source in sources:
        name = source.relative_to(prefix).as_posix()
        target = staging / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)
        _relocate(target, name, prefix)
        files[name] = target
    files[f"lib/python{series}/site-packages/README.txt"] = "Third-party packages go here.\n"
    links = {"bin/python3": f"python{series}", "bin/python": f"python{series}"}
    if interpreter.library and interpreter.library.count(".so.") == 1:
        links["lib/" + interpreter.library.partition(".so.")[0] + ".so"] = interpreter.library
    return PackageRecipe(
        name="python",
        version=interpreter.version,
        build="0_cpython",
        subdir=subdir,
        constrains=(f"python_abi {series}.* *_cp{series.replace('.', '')}",),
        files=files,
        links=links,
        index={"license": "PSF-2.0", "python_site_packages_path": f"lib/python{series}/site-packages"},
    )
