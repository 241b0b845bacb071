"""A source becomes a wheel: with real backends, real compilers, and in the isolation that this machine allows."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path
from typing import Any

import pytest

from envbuild.builders import isolation
from envbuild.digest import Digest
from envbuild.errors import BuildError
from envbuild.package import InterpreterArchive
from tests.support.building import ABI, Building, blob_of
from tests.support.cache import cache_folder
from tests.support.channel import TestChannel, this_platform
from tests.support.link_context import SERIES, conda_inputs
from tests.support.real_sources import real_sdists
from tests.support.sdists import make_own_sdist, make_project, pack_sdist
from tests.support.wheels import real_wheels

EXTENSION = """
#define PY_SSIZE_T_CLEAN
#include <Python.h>
static PyObject *answer(PyObject *self, PyObject *unused) { return PyLong_FromLong(42); }
static PyMethodDef methods[] = {{"answer", answer, METH_NOARGS, ""}, {NULL, NULL, 0, NULL}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "%(name)s", NULL, -1, methods, NULL, NULL, NULL, NULL};
PyMODINIT_FUNC PyInit_%(name)s(void) { return PyModule_Create(&module); }
"""

NOT_SHUT_OFF = (
    "builds are not shut off from the network and from other files here (as in a container); "
    "they have clean variables and folders of their own"
)


@pytest.fixture
def building(tmp_path: Path) -> Building:
    return Building(tmp_path / "home")


@pytest.fixture(scope="session")
def build_tools() -> dict[str, Path]:
    """Real backends' wheels from this machine's index, by name."""
    names = [
        "setuptools",
        "wheel",
        "hatchling",
        "flit-core",
        "poetry-core",
        "meson-python",
        "scikit-build-core",
        "ninja",
    ]
    try:
        folder = real_wheels([*names, "cmake"])
    except LookupError as missing:
        pytest.skip(f"NO BUILD TOOLS: {missing}")
    return {path.name.split("-")[0].lower().replace("_", "-"): path for path in sorted(folder.glob("*.whl"))}


def setuptools_project(folder: Path, name: str = "ext", setup: str = "", files: dict[str, str] | None = None) -> Path:
    """A C extension built by setuptools, as an sdist."""
    setup = setup or f'ext_modules=[Extension("{name}", ["{name}.c"])]'
    contents = {
        "pyproject.toml": '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'
        f'[project]\nname = "{name}"\nversion = "1.0"\n',
        "setup.py": f"from setuptools import setup, Extension\nsetup({setup})\n",
        f"{name}.c": EXTENSION % {"name": name},
        **(files or {}),
    }
    project = folder / name
    for path, text in contents.items():
        (project / path).parent.mkdir(parents=True, exist_ok=True)
        (project / path).write_text(text)
    return pack_sdist(project, folder / "dist", name, "1.0")


def test_a_pure_source_with_its_own_backend(building: Building, tmp_path: Path) -> None:
    sdist = make_own_sdist(tmp_path / "dist", "own", "1.0", scratch=tmp_path / "src", requires=["toy-core>=1"])
    built = building.build(sdist, "own", "1.0", requires=["toy-core"])
    assert built.record["file"] == "own-1.0-py3-none-any.whl"
    assert (built.record["tags"], built.record["glibc"]) == (["py3-none-any"], None)
    assert built.record["compiler"] is None
    assert "own/__init__.py" in built.names()


def test_a_compiled_extension(building: Building, tmp_path: Path, build_tools: dict[str, Path]) -> None:
    sdist = setuptools_project(tmp_path)
    built = building.build(sdist, "ext", "1.0", wheels=[build_tools["setuptools"]], floor="2.36")
    assert built.record["file"].startswith(f"ext-1.0-{ABI}-{ABI}-linux_")
    assert built.record["compiler"]
    assert "-c ext.c" in built.log


def test_two_builds_in_two_places_give_the_same_bytes(tmp_path: Path, build_tools: dict[str, Path]) -> None:
    """Shut off, a build sees one path, date and language; where it is not, paths get into debug information."""
    sdist = setuptools_project(tmp_path)
    first, second = (Building(tmp_path / name) for name in ("a", "b/deeper"))
    wheels = [building.build(sdist, "ext", "1.0", wheels=[build_tools["setuptools"]]) for building in (first, second)]
    if not wheels[0].record["isolated"]:
        pytest.skip(
            "NOT ISOLATED: this kernel allows no namespaces, so paths of scratch folders get into what is built"
        )
    assert blob_of(wheels[0]) == blob_of(wheels[1])


REPORT = """
import json, os, socket, sys

def build_wheel(wheel_directory, config_settings=None, metadata_directory=None, _real=build_wheel):
    def tried(action):
        try:
            action()
        except Exception as error:
            return type(error).__name__
        return "done"
    def connect():
        socket.create_connection(("192.0.2.1", 80), timeout=1)
    told = {
        "environ": dict(os.environ), "cwd": os.getcwd(), "path": sys.path, "umask": os.umask(0o22),
        "settings": config_settings, "connect": tried(connect), "executable": sys.executable,
        "home": sorted(os.listdir(os.environ["HOME"])), "version": list(sys.version_info[:2]),
        "outside": tried(lambda: open(OUTSIDE, "w")), "environment": tried(lambda: open(sys.prefix + "/x", "w")),
        "processes": len([name for name in os.listdir("/proc") if name.isdigit()]) if os.path.exists("/proc") else 0,
        "own_proc": os.path.exists("/proc/self") and os.readlink("/proc/self") == str(os.getpid()),
        "pip": tried(lambda: __import__("pip")), "envbuild": tried(lambda: __import__("envbuild")),
        "hooks": tried(lambda: __import__("pyproject_hooks")),
        "links": [os.path.join(parent, name) for parent, _, names in os.walk(sys.prefix) for name in names
                  if os.lstat(os.path.join(parent, name)).st_nlink > 1] if os.access(sys.prefix, os.W_OK) else [],
        "readable": open(SECRET).read() if os.path.exists(SECRET) else "",
    }
    print("TOLD " + json.dumps(told))
    return _real(wheel_directory, config_settings, metadata_directory)
"""


def told(log: str) -> dict[str, Any]:
    """What a reporting backend saw."""
    line = next(line for line in log.splitlines() if line.startswith("TOLD "))
    found: dict[str, Any] = json.loads(line.removeprefix("TOLD "))
    return found


def test_what_a_build_sees(building: Building, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Not below /tmp, which is another folder to a build: what hides this file is that it is a secret.
    with tempfile.TemporaryDirectory(dir=cache_folder()) as user:
        _what_a_build_sees(building, tmp_path, monkeypatch, Path(user) / ".netrc")


def _what_a_build_sees(building: Building, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, secret: Path) -> None:
    secret.write_text("machine example.org login me password HUSH\n")
    monkeypatch.setenv("HOME", str(secret.parent))
    for name in (
        "HTTPS_PROXY",
        "PIP_INDEX_URL",
        "UV_INDEX_A_PASSWORD",
        "PYTHONPATH",
        "AWS_SECRET_ACCESS_KEY",
        "CFLAGS",
    ):
        monkeypatch.setenv(name, "HUSH")
    outside = tmp_path / "outside"
    backend = f"OUTSIDE, SECRET = {str(outside)!r}, {str(secret)!r}\n" + REPORT
    sdist = make_own_sdist(tmp_path / "dist", "own", "1.0", scratch=tmp_path / "src", more_backend=backend)
    built = building.build(
        sdist, "own", "1.0", settings=("opt=3", "opt=4", "x=y=z"), variables=("FOO_SIMD=1", "TZ=Europe/Berlin")
    )
    saw = told(built.log)
    environ = saw["environ"]
    assert "HUSH" not in built.log
    assert environ["FOO_SIMD"] == "1"
    assert environ["TZ"] == "Europe/Berlin"  # what the recipe declares is in the key, and wins
    assert environ["SOURCE_DATE_EPOCH"] == "315532800"
    assert environ["PYTHONHASHSEED"] == "0"
    assert environ["PYTHONNOUSERSITE"] == "1"
    assert environ["LC_ALL"] == "C.UTF-8"
    assert environ["MAKEFLAGS"].startswith("-j")
    assert environ["HOME"] != str(secret.parent)
    assert saw["home"] == []
    assert saw["umask"] == 0o22
    assert saw["settings"] == {"opt": ["3", "4"], "x": "y=z"}
    assert saw["version"] == list(sys.version_info[:2])
    assert (saw["pip"], saw["envbuild"], saw["hooks"]) == ("ModuleNotFoundError",) * 3
    if not built.record["isolated"]:
        assert any("not shut off" in note for note in building.context.notes)
        pytest.skip("NOT ISOLATED: this kernel allows no namespaces; variables and folders were checked")
    assert saw["connect"] == "OSError"
    assert saw["outside"] in {"OSError", "FileNotFoundError"}
    assert not outside.exists()
    assert saw["environment"] == "OSError"
    assert saw["readable"] == ""
    assert saw["processes"] < 10 or not saw["own_proc"]
    assert saw["cwd"].startswith("/tmp/source/")


def test_where_nothing_can_be_shut_off_that_is_said_once(
    building: Building, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(isolation, "_found", isolation.Isolation(apart=False, reason="as in a container"))
    backend = f"OUTSIDE = SECRET = {str(tmp_path / 'nothing' / 'x')!r}\n" + REPORT
    sdist = make_own_sdist(tmp_path / "dist", "own", "1.0", scratch=tmp_path / "src", more_backend=backend)
    built = building.build(sdist, "own", "1.0")
    saw = told(built.log)
    assert built.record["isolated"] is False
    assert saw["environ"]["HOME"].startswith(str(tmp_path))
    assert saw["home"] == []
    assert (saw["pip"], saw["envbuild"]) == ("ModuleNotFoundError",) * 2
    assert set(building.context.notes) == {NOT_SHUT_OFF}
    assert saw["links"] == [], "what it could write into is linked to caches"


def test_a_failing_build_tells_how_it_ended_and_keeps_its_log(building: Building, tmp_path: Path) -> None:
    backend = (
        "def build_wheel(*a, **k):\n"
        "    for number in range(100):\n        print('line', number)\n"
        "    print('\\x1b[2J\\x1b[31mred\\x1b[0m\\x07')\n    raise SystemExit(3)\n"
    )
    sdist = make_own_sdist(tmp_path / "dist", "own", "1.0", scratch=tmp_path / "src", more_backend=backend)
    with pytest.raises(BuildError) as caught:
        building.build(sdist, "own", "1.0")
    error = caught.value
    assert error.exit_code == 9
    assert error.message.startswith("own 1.0 was not built: build_wheel of own_backend ended with exit code 3\n")
    assert "line 99" in error.message
    assert "line 50" not in error.message
    assert "\x1b" not in error.message
    assert "\x07" not in error.message
    assert error.hint == "envbuild log own"
    assert len(building.context.logs) == 1
    assert b"line 0\n" in building.context.logs[0]


def test_a_source_that_is_built_without_its_history_is_told_what_to_say(building: Building, tmp_path: Path) -> None:
    backend = "def build_wheel(*a, **k):\n    raise LookupError('setuptools-scm was unable to detect version')\n"
    sdist = make_own_sdist(tmp_path / "dist", "own", "1.0", scratch=tmp_path / "src", more_backend=backend)
    with pytest.raises(BuildError) as caught:
        building.build(sdist, "own", "1.0")
    assert "SETUPTOOLS_SCM_PRETEND_VERSION" in str(caught.value.hint)


def test_symbols_newer_than_the_floor(building: Building, tmp_path: Path, build_tools: dict[str, Path]) -> None:
    """``pow`` came with glibc 2.29; the floor of 2.17 stands in the lock, whatever this machine has."""
    source = EXTENSION % {"name": "ext"}
    source = source.replace("PyLong_FromLong(42)", "PyFloat_FromDouble(pow(PyFloat_AsDouble(self), 0.3))")
    sdist = setuptools_project(
        tmp_path,
        setup='ext_modules=[Extension("ext", ["ext.c"], libraries=["m"])]',
        files={"ext.c": "#include <math.h>\n" + source},
    )
    with pytest.raises(BuildError) as caught:
        building.build(sdist, "ext", "1.0", wheels=[build_tools["setuptools"]], floor="2.17")
    error = caught.value
    assert error.reference == "newer-symbols"
    assert "ext.cpython" in error.message
    assert "pow@GLIBC_2.29" in error.message
    assert "2.17" in error.message
    assert "__glibc" in str(error.hint)
    assert (
        building.build(sdist, "ext", "1.0", wheels=[build_tools["setuptools"]], floor="2.29").record["glibc"] == "2.29"
    )


def test_for_another_platform_pure_python_is_built_and_nothing_else(
    building: Building, tmp_path: Path, build_tools: dict[str, Path]
) -> None:
    other = "linux-aarch64" if this_platform() != "linux-aarch64" else "linux-64"
    pure = make_own_sdist(tmp_path / "dist", "own", "1.0", scratch=tmp_path / "src")
    assert building.build(pure, "own", "1.0", platform=other).record["tags"] == ["py3-none-any"]
    compiled = setuptools_project(tmp_path)
    with pytest.raises(BuildError) as caught:
        building.build(compiled, "ext", "1.0", platform=other, floor="2.28", wheels=[build_tools["setuptools"]])
    assert caught.value.reference == "wrong-builder"
    assert other in caught.value.message
    assert f"on a machine of {other} with glibc 2.28 or older" in str(caught.value.hint)


@pytest.mark.parametrize(("interpreter", "apart"), [("conda", True), ("host", True), ("host", False)])
def test_a_conda_host_library_is_found_while_building_and_when_imported(
    tmp_path: Path,
    build_tools: dict[str, Path],
    compiled_channel: TestChannel,
    monkeypatch: pytest.MonkeyPatch,
    interpreter: str,
    apart: bool,
) -> None:
    """The headline: headers and library come from the locked conda package, and the run path leads to the prefix."""
    building = Building(tmp_path / ("home" if apart else "a home"))
    if not apart:
        monkeypatch.setattr(isolation, "_found", isolation.Isolation(apart=False, reason="as in a container"))
    source = EXTENSION % {"name": "deep"}
    source = source.replace("PyLong_FromLong(42)", "PyUnicode_FromString(fast_version())")
    sdist = setuptools_project(
        tmp_path,
        "fastext",
        setup='packages=["pkg", "pkg.sub"], ext_modules=[Extension("pkg.sub.deep", ["deep.c"], libraries=["fast"])]',
        files={"deep.c": "#include <fast.h>\n" + source, "pkg/__init__.py": "", "pkg/sub/__init__.py": ""},
    )
    python = conda_inputs(compiled_channel, [f"python={version(compiled_channel)}"])
    library = conda_inputs(compiled_channel, ["libfast=1.3"])
    built = building.build(
        sdist,
        "fastext",
        "1.0",
        wheels=[build_tools["setuptools"]],
        conda=library,
        runs_on=python if interpreter == "conda" else (),
        host=("libfast",),
    )
    assert "libfast.so.1" in built.record["libraries"]
    wheel = tmp_path / built.record["file"]
    wheel.write_bytes(built.wheel.read_bytes())
    run_in_prefix(tmp_path, wheel, [*python, *library] if interpreter == "conda" else library, interpreter)


def version(channel: TestChannel) -> str:
    """The channel's Python of this series."""
    return next(item for item in channel.pythons if item.startswith(f"{SERIES}."))


def run_in_prefix(tmp_path: Path, wheel: Path, conda: Any, interpreter: str) -> None:
    """Link what was built with the conda packages into a prefix, and import it there."""
    import os

    from envbuild.derivations.link import realise as link
    from tests.support.link_context import FolderContext, make_link, prefix_of, store_blobs, wheel_inputs

    made, files = make_link(conda, wheel_inputs([wheel]), interpreter=interpreter)
    context = FolderContext(tmp_path / "realized", store_blobs(files, tmp_path / "blobs"))
    link(made, context.typed())
    python = prefix_of(made, context) / "bin" / "python"
    code = "import pkg.sub.deep as deep; print(deep.answer())"
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("LD_", "PYTHON"))}
    done = subprocess.run([python, "-I", "-c", code], capture_output=True, text=True, env=environ, check=False)
    assert done.stdout.strip() == "1.3", done.stderr


def test_libraries_that_nobody_declared_cannot_be_linked(
    building: Building, tmp_path: Path, build_tools: dict[str, Path], compiled_channel: TestChannel
) -> None:
    """What a Python is made of is in no key of a build, so that its headers and link libraries are not there."""
    sdist = setuptools_project(tmp_path, files={"ext.c": "#include <fast.h>\n" + EXTENSION % {"name": "ext"}})
    runs_on = conda_inputs(compiled_channel, [f"python={version(compiled_channel)}", "libfast=1.3"])
    with pytest.raises(BuildError, match=r"fast\.h"):
        building.build(sdist, "ext", "1.0", wheels=[build_tools["setuptools"]], runs_on=runs_on)


def test_a_toolchain_that_is_declared_and_not_here(building: Building, tmp_path: Path) -> None:
    sdist = make_own_sdist(tmp_path / "dist", "own", "1.0", scratch=tmp_path / "src")
    with pytest.raises(BuildError) as caught:
        building.build(sdist, "own", "1.0", toolchain="gcc 3.4")
    assert caught.value.reference == "no-toolchain"


@pytest.fixture(scope="session")
def real_sources() -> dict[str, Path]:
    """Real sdists by name: two with C extensions, one of them without pyproject.toml, and one of flit's."""
    try:
        folder = real_sdists(["markupsafe==2.1.5", "simplejson==3.19.2", "wrapt==1.16.0", "tomli==2.0.1"], SERIES)
    except LookupError as missing:
        pytest.skip(f"NO REAL SDISTS: {missing}")
    return {path.name.split("-")[0].lower(): path for path in sorted(folder.iterdir())}


@pytest.mark.parametrize(
    ("name", "version", "tools", "member"),
    [
        ("markupsafe", "2.1.5", ("setuptools",), "markupsafe/_speedups"),
        ("simplejson", "3.19.2", ("setuptools",), "simplejson/_speedups"),
        ("wrapt", "1.16.0", ("setuptools",), "wrapt/_wrappers"),
        ("tomli", "2.0.1", ("flit-core",), "tomli/_parser.py"),
    ],
)
def test_real_sdists(
    building: Building,
    tmp_path: Path,
    real_sources: dict[str, Path],
    build_tools: dict[str, Path],
    name: str,
    version: str,
    tools: tuple[str, ...],
    member: str,
) -> None:
    built = building.build(
        real_sources[name], name, version, wheels=[build_tools[tool] for tool in tools], floor="2.36"
    )
    assert any(found.startswith(member) for found in built.names())
    assert (built.record["compiler"] is None) == built.record["file"].endswith("-none-any.whl")
    if built.record["isolated"]:
        again = Building(tmp_path / "another" / "home").build(
            real_sources[name], name, version, wheels=[build_tools[tool] for tool in tools]
        )
        assert blob_of(again) == blob_of(built)


def test_a_managed_python_builds(building: Building, tmp_path: Path, build_tools: dict[str, Path]) -> None:
    """Its archive names the compiler of those who made it; a build takes this machine's."""
    from tests.support.managed_python import made_managed_python

    try:
        managed = made_managed_python()
    except LookupError as missing:
        pytest.skip(f"NO MANAGED PYTHON: {missing}")
    archive = InterpreterArchive(
        implementation="cpython",
        version=managed.version,
        build="1",
        file=managed.archive.name,
        sha256=Digest(managed.sha256),
    )
    sdist = setuptools_project(tmp_path)
    wheels = [build_tools["setuptools"]]
    series = ".".join(managed.version.split(".")[:2])
    built = building.build(sdist, "ext", "1.0", wheels=wheels, archive=(archive, managed.archive), series=series)
    assert built.record["interpreter"] == "managed"
    assert "/tmp/environment/include" in built.log or not built.record["isolated"]


def test_a_toolchain_that_is_declared_and_here(
    building: Building, tmp_path: Path, build_tools: dict[str, Path]
) -> None:
    gcc = shutil.which("gcc")
    if gcc is None:
        pytest.skip("NO GCC: gcc is needed on PATH")
    major = (
        subprocess.run([gcc, "-dumpversion"], capture_output=True, text=True, check=True).stdout.strip().split(".")[0]
    )
    sdist = setuptools_project(tmp_path)
    wheels = [build_tools["setuptools"]]
    built = building.build(sdist, "ext", "1.0", wheels=wheels, toolchain=f"gcc {major}")
    assert "gcc" in built.record["compiler"]


HATCH = '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
FLIT = '[build-system]\nrequires = ["flit_core"]\nbuild-backend = "flit_core.buildapi"\n'
POETRY = '[build-system]\nrequires = ["poetry-core"]\nbuild-backend = "poetry.core.masonry.api"\n'
MESON = '[build-system]\nrequires = ["meson-python"]\nbuild-backend = "mesonpy"\n'
SKBUILD = '[build-system]\nrequires = ["scikit-build-core"]\nbuild-backend = "scikit_build_core.build"\n'
PROJECT = '[project]\nname = "thing"\nversion = "1.0"\ndescription = "a thing"\n'
NEEDS = {
    "hatchling": ("hatchling", "packaging", "pathspec", "pluggy", "trove-classifiers"),
    "flit": ("flit-core",),
    "poetry": ("poetry-core",),
    "meson": ("meson-python", "meson", "pyproject-metadata", "packaging", "ninja"),
    "scikit-build": ("scikit-build-core", "packaging", "pathspec", "cmake", "ninja"),
}
BACKPORTS = ("tomli", "exceptiongroup", "typing-extensions")
"""What some of them need besides, where this Python is old enough."""


def wheels_for(backend: str, build_tools: dict[str, Path]) -> list[Path]:
    """The wheels of a backend and of what it needs."""
    return [build_tools[name] for name in (*NEEDS[backend], *(name for name in BACKPORTS if name in build_tools))]


SOURCES: dict[str, dict[str, str]] = {
    "hatchling": {"pyproject.toml": HATCH + PROJECT, "thing/__init__.py": ""},
    "flit": {"pyproject.toml": FLIT + PROJECT, "thing/__init__.py": '"""A thing."""\n'},
    "poetry": {"pyproject.toml": POETRY + PROJECT, "thing/__init__.py": ""},
    "meson": {
        "pyproject.toml": MESON + PROJECT,
        "meson.build": "project('thing', 'c')\npy = import('python').find_installation(pure: false)\n"
        "py.extension_module('thing', 'thing.c', install: true)\n",
        "thing.c": EXTENSION % {"name": "thing"},
    },
    "scikit-build": {
        "pyproject.toml": SKBUILD + PROJECT,
        "CMakeLists.txt": textwrap.dedent(
            """
            cmake_minimum_required(VERSION 3.15)
            project(thing LANGUAGES C)
            find_package(Python COMPONENTS Interpreter Development.Module REQUIRED)
            python_add_library(thing MODULE thing.c WITH_SOABI)
            install(TARGETS thing DESTINATION .)
            """
        ),
        "thing.c": EXTENSION % {"name": "thing"},
    },
}


FAST = "#include <fast.h>\n" + (EXTENSION % {"name": "deep"}).replace(
    "PyLong_FromLong(42)", "PyUnicode_FromString(fast_version())"
)
LINKED: dict[str, dict[str, str]] = {
    "meson": {
        "pyproject.toml": MESON + PROJECT,
        "meson.build": "project('thing', 'c')\npy = import('python').find_installation(pure: false)\n"
        "fast = meson.get_compiler('c').find_library('fast')\n"
        "py.install_sources('pkg/__init__.py', 'pkg/sub/__init__.py', preserve_path: true)\n"
        "py.extension_module('deep', 'deep.c', dependencies: fast, install: true, subdir: 'pkg/sub')\n",
    },
    "scikit-build": {
        "pyproject.toml": SKBUILD + PROJECT + '[tool.scikit-build]\nwheel.packages = ["pkg"]\n',
        "CMakeLists.txt": SOURCES["scikit-build"]["CMakeLists.txt"]
        .replace("thing.c", "deep.c")
        .replace("DESTINATION .", "DESTINATION pkg/sub")
        .replace("(thing MODULE", "(deep MODULE")
        .replace("TARGETS thing", "TARGETS deep")
        + "find_library(FAST fast REQUIRED)\ntarget_link_libraries(deep PRIVATE ${FAST})\n",
    },
}


@pytest.mark.parametrize("backend", sorted(LINKED))
def test_build_tools_keep_the_run_paths(
    building: Building, tmp_path: Path, build_tools: dict[str, Path], compiled_channel: TestChannel, backend: str
) -> None:
    """CMake and meson strip run paths of their own when they install; ours must stay."""
    common = {"deep.c": FAST, "pkg/__init__.py": "", "pkg/sub/__init__.py": ""}
    for path, text in (LINKED[backend] | common).items():
        (tmp_path / "thing" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "thing" / path).write_text(text)
    sdist = pack_sdist(tmp_path / "thing", tmp_path / "dist", "thing", "1.0")
    library = conda_inputs(compiled_channel, ["libfast=1.3"])
    wheels = wheels_for(backend, build_tools)
    built = building.build(sdist, "thing", "1.0", wheels=wheels, conda=library, host=("libfast",))
    assert "libfast.so.1" in built.record["libraries"]
    wheel = tmp_path / built.record["file"]
    wheel.write_bytes(built.wheel.read_bytes())
    run_in_prefix(tmp_path, wheel, library, "host")


@pytest.mark.parametrize("backend", sorted(SOURCES))
def test_real_backends(building: Building, tmp_path: Path, build_tools: dict[str, Path], backend: str) -> None:
    for path, text in SOURCES[backend].items():
        (tmp_path / "thing" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "thing" / path).write_text(text)
    sdist = pack_sdist(tmp_path / "thing", tmp_path / "dist", "thing", "1.0")
    wheels = wheels_for(backend, build_tools)
    built = building.build(sdist, "thing", "1.0", wheels=wheels)
    compiled = backend in {"meson", "scikit-build"}
    assert built.record["tags"] == ([built.record["tags"][0]] if compiled else built.record["tags"])
    assert any(name.startswith("thing") and name.endswith(".so" if compiled else ".py") for name in built.names())
    if built.record["isolated"]:
        again = Building(tmp_path / "another" / "home").build(sdist, "thing", "1.0", wheels=wheels)
        assert blob_of(again) == blob_of(built), "what a build sees is the same twice, and so is what it gives"


def test_a_project_without_pyproject_is_setuptools_own(
    building: Building, tmp_path: Path, build_tools: dict[str, Path]
) -> None:
    project = make_project(tmp_path / "old", "old", "1.0")
    (project / "pyproject.toml").unlink()
    (project / "setup.py").write_text(
        "from setuptools import setup\nsetup(name='old', version='1.0', py_modules=['m'])\n"
    )
    (project / "m.py").write_text("")
    sdist = pack_sdist(project, tmp_path / "dist", "old", "1.0")
    assert "m.py" in building.build(sdist, "old", "1.0", wheels=[build_tools["setuptools"]]).names()
