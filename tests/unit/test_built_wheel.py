"""What a wheel may be, compiled for whom, and what it may need: in wheels made by hand and by the compiler."""

from __future__ import annotations

import io
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from envbuild.builders.build_system import build_system
from envbuild.builders.built_wheel import Target, check_built
from envbuild.builders.elf_check import elf_needs
from envbuild.builders.hooks import config_settings
from envbuild.builders.log_tail import log_tail
from envbuild.digest import Digest
from envbuild.errors import BuildError
from envbuild.machine.build_logs import MOST, keep_log
from envbuild.machine.home import open_home
from envbuild.package import Platform, SourcePackage
from envbuild.solvers.target import Target as Machine
from envbuild.solvers.target import marker_environment
from tests.support.wheels import make_wheel

MARKERS = marker_environment(Machine(platform=Platform("linux-64"), python="3.11", system=()))


def target(**fields: Any) -> Target:
    known = {"platform": Platform("linux-64"), "python": "3.11", "abi": "cp311", "floor": "2.28", "markers": MARKERS}
    return Target(**{**known, **fields})


def source(name: str = "thing", version: str = "1.0", **fields: Any) -> SourcePackage:
    return SourcePackage(
        name=name, version=version, file="x.tar.gz", sha256=Digest("0" * 64), index="default", **fields
    )


@pytest.mark.parametrize(
    ("tag", "abi"),
    [
        ("py3-none-any", "cp311"),
        ("py2.py3-none-any", "cp311"),
        ("py311-none-any", "cp311"),
        ("cp311-cp311-linux_x86_64", "cp311"),
        ("cp39-abi3-linux_x86_64", "cp311"),
        ("py3-none-linux_x86_64", "cp311"),
        ("cp311-cp311-manylinux_2_17_x86_64", "cp311"),
        ("cp311-cp311t-linux_x86_64", "cp311t"),
    ],
)
def test_tags_that_fit(tmp_path: Path, tag: str, abi: str) -> None:
    found = check_built(make_wheel(tmp_path, "thing", "1.0", tag=tag), source(), target(abi=abi))
    assert found.pure == tag.endswith("none-any")


@pytest.mark.parametrize(
    ("tag", "abi"),
    [
        ("py2-none-any", "cp311"),
        ("py312-none-any", "cp311"),
        ("cp310-cp310-linux_x86_64", "cp311"),
        ("cp312-abi3-linux_x86_64", "cp311"),
        ("cp311-cp311-linux_aarch64", "cp311"),
        ("cp311-cp311-win_amd64", "cp311"),
        ("cp311-cp311-manylinux_2_39_x86_64", "cp311"),
        ("cp311-cp311-linux_x86_64", "cp311t"),
        ("cp39-abi3-linux_x86_64", "cp311t"),
        ("pp311-pypy311_pp73-linux_x86_64", "cp311"),
    ],
)
def test_tags_that_do_not_fit(tmp_path: Path, tag: str, abi: str) -> None:
    with pytest.raises(BuildError) as caught:
        check_built(make_wheel(tmp_path, "thing", "1.0", tag=tag), source(), target(abi=abi))
    assert caught.value.reference == "build-platform"


@pytest.mark.parametrize(
    ("requires", "locked", "extras", "fine"),
    [
        (["a>=1"], ("a",), (), True),
        (["A_b"], ("a-b",), (), True),
        (["a>=1", "w; sys_platform == 'win32'"], ("a",), (), True),
        (["a; extra == 'more'"], (), (), True),
        (["a; extra == 'more'"], ("a",), ("more",), True),
        (["a; extra == 'more'"], (), ("more",), False),
        (["a", "b"], ("a",), (), False),
        (["a"], ("a", "b"), (), False),
        (["thing[more]"], (), (), True),
    ],
)
def test_requirements_are_the_locks(
    tmp_path: Path, requires: list[str], locked: tuple[str, ...], extras: tuple[str, ...], fine: bool
) -> None:
    wheel = make_wheel(tmp_path, "thing", "1.0", requires=requires)
    if fine:
        check_built(wheel, source(requires=locked, extras=extras), target())
        return
    with pytest.raises(BuildError) as caught:
        check_built(wheel, source(requires=locked, extras=extras), target())
    assert caught.value.reference == "build-differs"
    assert caught.value.hint == "envbuild lock --upgrade-package thing"


def test_conda_has_other_names_for_what_is_needed(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "thing", "1.0", requires=["torch", "numpy"])
    names = {"pytorch": ("torch",), "numpy": ("numpy",)}
    check_built(wheel, source(requires=("numpy", "pytorch")), target(names=names))
    for locked, known in (
        (("numpy", "pytorch"), {}),
        (("numpy",), names),
        (("numpy", "pytorch"), {"pytorch": ("torchvision",)}),
        (("numpy", "msgpack-python"), {"msgpack-python": ("msgpack",)}),
        (("numpy", "pytorch", "msgpack-python"), {**names, "msgpack-python": ("msgpack",)}),
    ):
        with pytest.raises(BuildError) as caught:
            check_built(wheel, source(requires=locked), target(names=known))
        assert caught.value.reference == "build-differs"


def test_one_conda_package_may_be_several_projects(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "thing", "1.0", requires=["jupyter-server", "jupyter-client"])
    names = {"jupyter-all": ("jupyter-client", "jupyter-server")}
    check_built(wheel, source(requires=("jupyter-all",)), target(names=names))
    with pytest.raises(BuildError):
        check_built(wheel, source(requires=("jupyter-all", "jupyter-server")), target(names={}))


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """A shared library with a run path into ``/tmp/environment/lib``."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("NO C COMPILER: cc is needed on PATH")
    (tmp_path / "x.c").write_text('#include <stdio.h>\nvoid say(void) { puts("x"); }\n')
    options = ["-shared", "-fPIC", "-Wl,-rpath,/tmp/environment/lib:$ORIGIN"]
    subprocess.run([compiler, *options, "-o", tmp_path / "x.so", tmp_path / "x.c"], check=True)
    return tmp_path / "x.so"


def test_run_paths_into_the_builds_folder_are_refused(tmp_path: Path, library: Path) -> None:
    files = {"thing/x.so": library.read_bytes()}
    wheel = make_wheel(tmp_path, "thing", "1.0", tag="cp311-cp311-linux_x86_64", files=files)
    assert check_built(wheel, source(), target(folder=Path("/elsewhere"))).libraries == ("libc.so.6",)
    with pytest.raises(BuildError) as caught:
        check_built(wheel, source(), target(folder=Path("/tmp")))
    assert caught.value.reference == "build-run-path"
    assert "thing/x.so" in caught.value.message


def test_another_machines_code_is_refused(tmp_path: Path, library: Path) -> None:
    data = bytearray(library.read_bytes())
    data[18:20] = (0xB7).to_bytes(2, "little") if data[18] == 0x3E else (0x3E).to_bytes(2, "little")
    wheel = make_wheel(tmp_path, "thing", "1.0", tag="py3-none-any", files={"thing/x.so": bytes(data)})
    with pytest.raises(BuildError) as caught:
        check_built(wheel, source(), target())
    assert caught.value.reference == "build-platform"


def test_code_for_musl_is_refused(tmp_path: Path, library: Path) -> None:
    compiler = shutil.which("cc") or ""
    musl = tmp_path / "libc.musl-x86_64.so.1"
    subprocess.run([compiler, "-shared", "-fPIC", f"-Wl,-soname,{musl.name}", "-o", musl, tmp_path / "x.c"], check=True)
    options = ["-shared", "-fPIC", "-Wl,--no-as-needed"]
    subprocess.run([compiler, *options, "-o", tmp_path / "y.so", tmp_path / "x.c", musl], check=True)
    files = {"thing/y.so": (tmp_path / "y.so").read_bytes()}
    wheel = make_wheel(tmp_path, "thing", "1.0", tag="cp311-cp311-linux_x86_64", files=files)
    with pytest.raises(BuildError, match="musl") as caught:
        check_built(wheel, source(), target())
    assert caught.value.reference == "build-platform"


@pytest.mark.parametrize("cut", [4, 20, 64, 200, 5000])
def test_damaged_elf_files_are_no_elf_files(library: Path, cut: int) -> None:
    whole = library.read_bytes()
    elf_needs(io.BytesIO(whole[:cut]))
    elf_needs(io.BytesIO(whole[:cut] + bytes(len(whole) - cut)))
    elf_needs(io.BytesIO(whole[:cut] + b"\xff" * (len(whole) - cut)))


def test_config_settings_become_lists_when_they_repeat() -> None:
    assert config_settings(("a=1", "b=x=y", "a=2", "a=3")) == {"a": ["1", "2", "3"], "b": "x=y"}


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("[build-system]\nrequires = 'setuptools'\n", "bad-build-system"),
        ("[build-system]\nbuild-backend = 'x'\n", "bad-build-system"),
        ("[build-system]\nrequires = []\nbuild-backend = 5\n", "bad-build-system"),
        ("[build-system]\nrequires = []\nbackend-path = 'x'\n", "bad-build-system"),
        ("[build-system]\nrequires = ['not a requirement!']\n", "bad-build-system"),
        ("build-system = 5\n", "bad-build-system"),
    ],
)
def test_build_systems_that_say_nothing_of_use(tmp_path: Path, text: str, reference: str) -> None:
    (tmp_path / "pyproject.toml").write_text(text)
    with pytest.raises(BuildError) as caught:
        build_system(tmp_path)
    assert caught.value.reference == reference


def test_nothing_to_build(tmp_path: Path) -> None:
    with pytest.raises(BuildError) as caught:
        build_system(tmp_path)
    assert caught.value.reference == "no-project"


def test_the_end_of_a_log_in_words() -> None:
    text = "first\n\n\x1b[1mbold\x1b[0m\n10%\r100%\nbell\x07 tab\tend\n" + "x" * 1000 + "\n"
    assert log_tail(text, 4).splitlines() == [
        "    bold",
        "    100%",
        "    bell\\x07 tab   end",
        "    " + "x" * 240 + " …",
    ]


def test_logs_of_failures_are_kept_and_the_oldest_go(tmp_path: Path) -> None:
    home = open_home(tmp_path / "home")
    log = tmp_path / "log"
    keys = [Digest(f"{number:064x}") for number in range(MOST + 2)]
    for key in keys:
        log.write_text(f"printed {key}\n")
        keep_log(home, key, "thing 1.0", log)
    kept = home.path / "logs" / f"{keys[-1]}.log"
    assert kept.read_text().splitlines()[1:] == [f"printed {keys[-1]}"]
    assert kept.read_text().startswith("# thing 1.0: failed, ")
    assert not (home.path / "logs" / f"{keys[0]}.log").exists()
    assert len(list((home.path / "logs").iterdir())) == MOST
    keep_log(home, keys[-1], "thing 1.0", tmp_path / "nothing")
