"""``import``: real files of other tools become recipes and locks that fit, and what they lock is realized."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
import tarfile
import venv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from envbuild.lock import Lock
from envbuild.locks.lockfile import parse_lock
from envbuild.machine.uv_program import uv_program
from tests.case import Case
from tests.support.channel import TestChannel
from tests.support.servers import Server
from tests.support.wheel_index import WheelIndex

SERIES = f"{sys.version_info.major}.{sys.version_info.minor}"

Uv = Callable[..., str]


@pytest.fixture
def uv(case: Case, wheel_index: Server) -> Uv:
    """Runs the real uv in the case's project, with the toy index as its only one."""

    def run(*arguments: str, cwd: Path | None = None) -> str:
        environ = {
            **case.environ,
            "UV_DEFAULT_INDEX": f"{wheel_index.url}/simple",
            "UV_CACHE_DIR": str(case.project.parent / "uv-cache"),
            "UV_PYTHON_DOWNLOADS": "never",
            "UV_NO_CONFIG": "1",
        }
        done = subprocess.run(
            [uv_program(), *arguments],
            cwd=cwd or case.project,
            env=environ,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    case.variable("UV_DEFAULT_INDEX", f"{wheel_index.url}/simple")
    return run


PROJECT = f"""
[project]
name = "shop"
version = "1.0"
requires-python = ">={SERIES}"
dependencies = ["toy<2", "toy-extras[colour]>=1"]

[project.optional-dependencies]
more = ["toy-compiled"]

[dependency-groups]
dev = ["toy-old-python"]
"""


def lock_of(case: Case, name: str) -> Lock:
    path = case.project / f"{name}.lock.yaml"
    return parse_lock(path.read_bytes(), str(path))


def test_a_lock_of_uv_is_imported_and_realized(case: Case, uv: Uv) -> None:
    case.file("pyproject.toml", PROJECT)
    uv("lock")
    case.run("import", "uv.lock", "-o", "recipes/shop.yaml")
    case.mentions("left out: the group dev of shop; take it with --group", "left out: the extra more of shop")
    recipe = (case.project / "recipes/shop.yaml").read_text()
    assert 'toy: "<2"' in recipe
    assert "toy-extras[colour]" in recipe
    case.run("lock", "--check", "recipes/shop.yaml")
    (environment,) = lock_of(case, "recipes/shop").platforms
    assert {wheel.name: wheel.version for wheel in environment.wheels} == {
        "toy": "1.1",
        "toy-core": "1.5",
        "toy-extras": "1.0",
        "toy-paint": "1.0",
    }
    assert {wheel.name for wheel in environment.wheels if wheel.asked} == {"toy", "toy-extras"}
    assert {wheel.index for wheel in environment.wheels} == {"default"}
    case.run("realize", "--locked", "recipes/shop.yaml")
    case.run("run", "recipes/shop.yaml", "--", "python", "-c", "import toy, toy_paint")
    before = (case.project / "recipes/shop.lock.yaml").read_bytes()
    case.run("lock", "recipes/shop.yaml")
    assert (case.project / "recipes/shop.lock.yaml").read_bytes() == before


def test_what_a_foreign_lock_says_of_a_wheel_s_needs_is_no_lie_of_an_index(case: Case, uv: Uv) -> None:
    """Its tools let people rewrite what packages need: a wheel that says otherwise is told of, not refused."""
    case.file("pyproject.toml", PROJECT)
    uv("lock")
    path = case.project / "uv.lock"
    text = path.read_text()
    needs = 'name = "toy-core"\nversion = "1.5"\n'
    assert needs in text
    path.write_text(text.replace(needs, needs + 'dependencies = [{ name = "toy-paint" }]\n'))
    case.run("import", "uv.lock", "-o", "x.yaml").run("realize", "--locked", "x.yaml")
    case.mentions("the lock says that toy-core 1.5 needs toy-paint, its own METADATA does not")


def test_extras_and_groups_of_a_lock_of_uv_are_chosen(case: Case, uv: Uv) -> None:
    case.file("pyproject.toml", PROJECT)
    uv("lock")
    case.run("import", "uv.lock", "-o", "dev.yaml", "--group", "dev")
    assert "toy-old-python" in {wheel.name for wheel in lock_of(case, "dev").platforms[0].wheels}
    case.run("import", "uv.lock", "-o", "x.yaml", "--group", "nothing", code=3)
    case.mentions("unknown-group", "has no group 'nothing', but dev")


def test_an_extra_or_group_that_brings_nothing_more_is_not_said_to_be_left_out(case: Case, uv: Uv) -> None:
    case.file(
        "pyproject.toml",
        f"""
        [project]
        name = "shop"
        version = "1.0"
        requires-python = ">={SERIES}"
        dependencies = ["toy-core<2"]

        [project.optional-dependencies]
        more = ["toy-paint"]
        all = ["shop[more]"]
        nothing = []
        elsewhere = ["toy-windows; sys_platform == 'win32'"]

        [dependency-groups]
        core = ["toy-core"]
        dev = ["toy-old-python", {{include-group = "core"}}]
        """,
    )
    uv("lock")
    case.run("import", "uv.lock", "-o", "x.yaml")
    case.mentions("left out: the extras all, more of shop; take them", "left out: the group dev of shop; take it")
    case.run("import", "uv.lock", "-o", "all.yaml", "--extra", "all").mentions("left out: the group dev of shop")
    assert "extra" not in case.err
    case.run("import", "uv.lock", "-o", "dev.yaml", "--extra", "all", "--group", "dev", "--extra", "nothing")
    assert "left out" not in case.err


EMPTY = {
    "requirements.txt": "write requirements into it",
    "environment.yml": "list packages under `dependencies:`",
    "pyproject.toml": "write `dependencies = […]`",
    "uv.lock": "make it again: uv lock",
    "pixi.lock": "make it again: pixi lock",
    "pylock.toml": "make it again: uv export",
    "conda-lock.yml": "make it again: conda-lock lock",
}


def test_a_file_that_holds_nothing_is_no_recipe(case: Case) -> None:
    for name, hint in EMPTY.items():
        for text, said in (("", "nothing"), ("\n  \n", "nothing"), ("# later\n\n# more\n", "nothing but comments")):
            (case.project / name).write_text(text)
            case.run("import", name, "-o", "x.yaml", code=3)
            case.says(f"error[empty-file]: {name}: the file holds {said}\n  hint: {case.err.partition('hint: ')[2]}")
            case.mentions(hint)
            assert not (case.project / "x.yaml").exists()
    case.file("spec.txt", "# platform: linux-64\n").run("import", "spec.txt", "--format", "explicit", code=3)
    case.mentions("spec.txt: the file holds nothing but comments", "conda list --explicit")
    case.recipe("include: [environment.yml]\n").run("lock", "x.yaml", code=3)
    case.mentions("environment.yml: the file is empty", "list packages under `dependencies:`")


def test_a_lock_without_a_version_or_of_an_unknown_one_is_named_and_has_a_hint(case: Case) -> None:
    for name, text, hint in (
        ("uv.lock", "version = 2\n", "uv export --format pylock.toml"),
        ("pylock.toml", 'lock-version = "2.0"\n', "uv export --format pylock.toml"),
        ("pixi.lock", "version: 99\n", "pixi lock"),
        ("conda-lock.yml", "version: 9\n", "conda-lock"),
    ):
        case.file(name, text).run("import", name, "-o", "x.yaml", code=3)
        assert case.err.startswith(f"error[foreign-version]: {name}: the file is of version "), case.err
        assert hint in case.err.partition("hint: ")[2]
    case.file("uv.lock", 'requires-python = ">=3.11"\n').run("import", "uv.lock", "-o", "x.yaml", code=3)
    case.mentions("uv.lock: version: a whole number is expected, and nothing stands there")
    case.hides("None")


def test_a_lock_without_packages_is_named_and_has_a_hint(case: Case) -> None:
    case.file("spec.txt", "@EXPLICIT\n").run("import", "spec.txt", "-o", "x.yaml", code=3)
    case.mentions("error[no-packages]: spec.txt: no package stands there for ", "hint: begin a recipe of your own")
    assert not (case.project / "x.yaml").exists()


def test_forks_of_a_lock_of_uv_are_told_apart(case: Case, uv: Uv) -> None:
    dependencies = "[\"toy<2; sys_platform == 'linux'\", \"toy>=2; sys_platform != 'linux'\"]"
    case.file(
        "pyproject.toml",
        f'[project]\nname = "fork"\nversion = "1"\nrequires-python = ">={SERIES}"\ndependencies = {dependencies}\n',
    )
    uv("lock")
    case.run("import", "uv.lock", "-o", "fork.yaml", "--platform", "linux-64", "--platform", "osx-arm64")
    linux, mac = lock_of(case, "fork").platforms
    assert [wheel.version for wheel in linux.wheels if wheel.name == "toy"] == ["1.1"]
    assert [wheel.version for wheel in mac.wheels if wheel.name == "toy"] == ["2.0"]
    recipe = (case.project / "fork.yaml").read_text()
    assert "targets:" in recipe
    case.run("lock", "--check", "fork.yaml")


@pytest.mark.parametrize("command", ["export", "compile"])
def test_a_pylock_of_uv_is_imported(case: Case, uv: Uv, command: str) -> None:
    case.file("pyproject.toml", PROJECT)
    if command == "export":
        uv("lock")
        uv("export", "--format", "pylock.toml", "--no-emit-project", "-o", "pylock.toml")
    else:
        uv("pip", "compile", "--format", "pylock.toml", "--universal", "pyproject.toml", "-o", "pylock.toml")
    case.run("import", "pylock.toml", "-o", "offline.yaml", "--offline")
    case.mentions("more need is not known: the file does not say it, and the network may not be used")
    case.run("lock", "--check", "offline.yaml")
    case.run("import", "pylock.toml", "-o", "shop.yaml")
    case.mentions("what toy, toy-core, toy-extras")
    case.run("lock", "--check", "shop.yaml")
    (environment,) = lock_of(case, "shop").platforms
    by_name = {wheel.name: wheel for wheel in environment.wheels}
    assert by_name["toy"].requires == ("toy-core",)
    assert {name for name, wheel in by_name.items() if wheel.asked} >= {"toy", "toy-extras"}
    case.run("realize", "--locked", "shop.yaml")


def test_what_pip_froze_is_looked_up(case: Case, uv: Uv, tmp_path: Path) -> None:
    target = tmp_path / "target"
    venv.create(target, with_pip=False, symlinks=True)
    uv("pip", "install", "--python", str(target), "toy<2", "toy-paint")
    case.file("frozen.txt", uv("pip", "freeze", "--python", str(target)))
    case.run("import", "frozen.txt", "--format", "pip-freeze", "-o", "frozen.yaml")
    case.mentions("files and digests of toy, toy-core, toy-paint: looked up on the index")
    case.run("lock", "--check", "frozen.yaml")
    (environment,) = lock_of(case, "frozen").platforms
    assert {wheel.name: wheel.version for wheel in environment.wheels} == {
        "toy": "1.1",
        "toy-core": "1.5",
        "toy-paint": "1.0",
    }
    assert all(wheel.size for wheel in environment.wheels)
    case.run("import", "frozen.txt", "--format", "pip-freeze", "-o", "again.yaml", "--offline", code=5)
    case.mentions("offline")
    assert not (case.project / "again.yaml").exists()


def test_a_version_that_no_index_has(case: Case, uv: Uv) -> None:
    case.file("frozen.txt", "toy==7.7\n")
    case.run("import", "frozen.txt", "--format", "pip-freeze", "-o", "x.yaml", code=11)
    case.mentions("no-file", "the index has no toy 7.7")
    assert not (case.project / "x.yaml").exists()


def test_a_virtual_environment_is_captured(case: Case, uv: Uv, tmp_path: Path) -> None:
    target = case.project / ".venv"
    venv.create(target, with_pip=True, symlinks=True)
    here = case.project / "mine"
    here.mkdir()
    (here / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        '[project]\nname = "mine"\nversion = "1"\n'
    )
    uv("pip", "install", "--python", str(target), "toy-extras[colour]", "toy<2")
    dist = next(target.glob("lib/python*/site-packages")) / "mine-1.dist-info"
    dist.mkdir()
    (dist / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1\n")
    (dist / "direct_url.json").write_text(json.dumps({"url": here.as_uri(), "dir_info": {"editable": True}}))
    case.variable("VIRTUAL_ENV", str(target)).variable("CONDA_PREFIX", None)
    case.run("capture", "-o", "captured.yaml")
    case.mentions("left out: mine 1, which is installed editable from mine", "left out: pip")
    case.run("lock", "--check", "captured.yaml")
    (environment,) = lock_of(case, "captured").platforms
    assert {wheel.name for wheel in environment.wheels} == {"toy", "toy-core", "toy-extras", "toy-paint"}
    assert {wheel.name for wheel in environment.wheels if wheel.asked} == {"toy", "toy-extras", "toy-paint"}
    case.run("realize", "--locked", "captured.yaml")
    case.run("capture", "-o", "captured.yaml", code=6)
    case.mentions("file-exists")


def test_a_conda_environment_is_captured(case: Case, channel: TestChannel, wheel_index: Server) -> None:
    case.variable("UV_DEFAULT_INDEX", f"{wheel_index.url}/simple")
    series = ".".join(channel.pythons[0].split(".")[:2])
    case.recipe(
        f"python: {series}\nconda:\n  channels: ['{channel.url}']\n  packages:\n    colours: '1.*'\n"
        "pypi:\n  packages:\n    toy: '<2'\n",
        "both.yaml",
    )
    case.run("realize", "both.yaml", "--prefix", "env")
    case.run("capture", "env", "-o", "again.yaml")
    case.run("lock", "--check", "again.yaml")
    (ours,), (again,) = lock_of(case, "both").platforms, lock_of(case, "again").platforms
    assert [item.identity for item in ours.conda] == [item.identity for item in again.conda]
    assert [item.identity for item in ours.wheels] == [item.identity for item in again.wheels]
    assert "    colours:" in (case.project / "again.yaml").read_text()
    case.run("realize", "--locked", "again.yaml")
    case.run("capture", ".", "-o", "x.yaml", code=3)
    case.mentions("no-prefix")
    case.variable("VIRTUAL_ENV", None).run("capture", "-o", "x.yaml", code=2)
    case.mentions("no environment is active")


def test_a_lock_of_pixi_is_imported(case: Case, channel: TestChannel, wheel_index: Server) -> None:
    """The lock is what py-rattler itself writes (version 7) of a solved environment."""
    case.variable("UV_DEFAULT_INDEX", f"{wheel_index.url}/simple")
    records = solved_records(channel, ["colours 1.*", f"python {channel.pythons[0].rpartition('.')[0]}.*"])
    write_pixi_lock(case.project / "pixi.lock", channel, records)
    case.run("import", "pixi.lock", "-o", "gpu.yaml", "--environment", "nope", code=2)
    case.mentions("unknown-environment", "default, gpu")
    case.run("import", "pixi.lock", "-o", "shop.yaml")
    case.mentions("taken: the environment default; left out: gpu")
    case.run("lock", "--check", "shop.yaml")
    (environment,) = lock_of(case, "shop").platforms
    assert {item.name: item.sha256 for item in environment.conda} == {
        str(record.name.source): (record.sha256 or b"").hex() for record in records
    }
    assert {item.channel for item in environment.conda} == {channel.url}
    case.run("realize", "--locked", "shop.yaml")
    case.run("run", "shop.yaml", "--", "python", "-c", "import colours")


def test_of_several_environments_of_a_lock_one_is_asked_for(case: Case) -> None:
    case.file("pixi.lock", "version: 6\nenvironments:\n  gpu: {channels: [], packages: {}}\n  cpu: {}\npackages: []\n")
    case.run("import", "pixi.lock", "-o", "x.yaml", code=2)
    case.mentions("error[several-environments]: pixi.lock: the file has several environments: cpu, gpu")
    case.mentions("hint: say which: --environment cpu")
    assert not (case.project / "x.yaml").exists()


def solved_records(channel: TestChannel, specs: list[str]) -> list[Any]:
    from rattler import Channel, VirtualPackage, solve

    return asyncio.run(
        solve(
            [Channel(channel.url)],
            specs,
            platforms=[channel.platform, "noarch"],
            virtual_packages=[item.into_generic() for item in VirtualPackage.detect()],
        )
    )


def write_pixi_lock(file: Path, channel: TestChannel, records: list[Any]) -> None:
    from rattler.lock import LockChannel, LockFile, LockPlatform

    platform = LockPlatform(channel.platform)
    lock = LockFile([platform])
    for name in ("default", "gpu"):
        lock.set_channels(name, [LockChannel(channel.url)])
        for record in records:
            lock.add_conda_package(name, platform, record)
    lock.to_path(file)


MISSING = """\
# platform: {platform}
@EXPLICIT
{lines}
"""


def test_an_explicit_file_without_sha256_is_completed_from_the_channel(case: Case, channel: TestChannel) -> None:
    records = solved_records(channel, ["colours 1.*"])
    lines = "\n".join(f"{record.url}#{record.md5.hex()}" for record in records)
    case.file("explicit.txt", MISSING.format(platform=channel.platform, lines=lines))
    case.run("import", "explicit.txt", "-o", "explicit.yaml")
    case.mentions("sha256 of", "taken from the channels' indices, whose md5 agrees with the file's")
    case.run("lock", "--check", "explicit.yaml")
    (environment,) = lock_of(case, "explicit").platforms
    assert {item.name: item.sha256 for item in environment.conda} == {
        str(record.name.source): record.sha256.hex() for record in records
    }
    case.run("realize", "--locked", "explicit.yaml")
    wrong = lines.replace(records[0].md5.hex(), "0" * 32)
    case.file("wrong.txt", MISSING.format(platform=channel.platform, lines=wrong))
    case.run("import", "wrong.txt", "--format", "explicit", "-o", "wrong.yaml", code=4)
    case.mentions("wrong-hash")
    assert not (case.project / "wrong.yaml").exists()


def test_a_package_that_left_its_channel_is_read_itself(case: Case, channel: TestChannel, tmp_path: Path) -> None:
    """The file is still there, the index does not list it any more."""
    (record,) = [item for item in solved_records(channel, ["colours 1.*"]) if str(item.name.source) == "colours"]
    folder = tmp_path / "left"
    (folder / "noarch").mkdir(parents=True)
    name = record.file_name
    (folder / "noarch" / name).write_bytes((channel.folder / "noarch" / name).read_bytes())
    empty = {"info": {"subdir": "noarch"}, "packages": {}, "packages.conda": {}, "repodata_version": 1}
    for subdir in ("noarch", channel.platform):
        (folder / subdir).mkdir(exist_ok=True)
        (folder / subdir / "repodata.json").write_text(json.dumps({**empty, "info": {"subdir": subdir}}))
    case.file("explicit.txt", f"@EXPLICIT\n{folder.as_uri()}/noarch/{name}#{record.md5.hex()}\n")
    case.run("import", "explicit.txt", "-o", "left.yaml")
    case.mentions("is not in its channel's index: it was fetched")
    (environment,) = lock_of(case, "left").platforms
    assert environment.conda[0].sha256 == record.sha256.hex()
    assert environment.conda[0].depends == tuple(record.depends)
    case.run("lock", "--check", "left.yaml")


def test_requirements_become_a_recipe(case: Case, uv: Uv, wheel_index: Server) -> None:
    case.file("constraints.txt", "toy-core<1.5\n")
    case.file(
        "requirements.txt",
        f"""
        --index-url {wheel_index.url}/simple
        -c constraints.txt
        toy[none]<2 ; python_version >= "3.8"   # a comment
        toy-paint==1.0 ; sys_platform == "linux"
        toy-paint>=1 ; sys_platform == "win32"
        --prefer-binary
        """,
    )
    case.run("import", "requirements.txt", "-o", "asked.yaml", "--name", "team/asked")
    case.mentions("prefer-binary", "lock it: envbuild lock asked.yaml")
    case.mentions("lost: toy-paint is asked for 2 times, with markers: written is what holds with Python")
    assert not (case.project / "asked.lock.yaml").exists()
    recipe = (case.project / "asked.yaml").read_text()
    assert "name: team/asked" in recipe
    assert "# - " in recipe
    case.run("lock", "asked.yaml")
    (environment,) = lock_of(case, "asked").platforms
    versions = {wheel.name: wheel.version for wheel in environment.wheels}
    assert versions == {"toy": "1.1", "toy-core": "1.0", "toy-paint": "1.0"}


def test_a_note_about_a_whole_file_has_no_line(case: Case) -> None:
    case.file("pyproject.toml", '[project]\nname = "shop"\n[dependency-groups]\ndev = ["toy"]\n')
    case.run("import", "pyproject.toml", "-o", "shop.yaml")
    case.mentions("lost: pyproject.toml: uv would install the groups dev too")
    assert "None" not in (case.project / "shop.yaml").read_text()


def test_a_folder_is_no_file_to_import(case: Case) -> None:
    (case.project / "env").mkdir()
    case.run("import", "env", "-o", "env.yaml", code=3)
    case.mentions("bad-path", "envbuild capture env")


def test_an_environment_yml_becomes_a_recipe(case: Case, channel: TestChannel, wheel_index: Server) -> None:
    case.variable("UV_DEFAULT_INDEX", f"{wheel_index.url}/simple")
    series = ".".join(channel.pythons[0].split(".")[:2])
    case.file(
        "environment.yml",
        f"""
        name: colours
        channels: ["{channel.url}", nodefaults]
        dependencies:
          - python={series}
          - colours=1.1
          - pip:
            - toy<2
        variables: {{COLOUR: red}}
        """,
    )
    case.run("import", "environment.yml", "-o", "colours.yaml")
    case.run("lock", "colours.yaml")
    (environment,) = lock_of(case, "colours").platforms
    assert {"colours", "python", "toy"} <= environment.names()
    assert environment.variables == (("COLOUR", "red"),)


BACKEND = """
import base64, hashlib, os, zipfile

def get_requires_for_build_wheel(config_settings=None):
    return []

def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    name = "{name}-{version}-py3-none-any.whl"
    info = "{name}-{version}.dist-info"
    tags = "Root-Is-Purelib: true\\nTag: py3-none-any\\n"
    files = {
        "{name}.py": "VERSION = '{version}'\\n",
        info + "/METADATA": "Metadata-Version: 2.1\\nName: {name}\\nVersion: {version}\\n",
        info + "/WHEEL": "Wheel-Version: 1.0\\nGenerator: x\\n" + tags,
    }
    record = ""
    for path, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        record += f"{path},sha256={digest},{len(text)}\\n"
    files[info + "/RECORD"] = record + info + "/RECORD,,\\n"
    with zipfile.ZipFile(os.path.join(wheel_directory, name), "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return name
"""


def write_source(folder: Path, name: str, version: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pyproject.toml").write_text(
        f'[build-system]\nrequires = ["toy-core"]\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        f'[project]\nname = "{name}"\nversion = "{version}"\n'
    )
    (folder / "backend.py").write_text(BACKEND.replace("{name}", name).replace("{version}", version))


def git(folder: Path, *arguments: str) -> str:
    names = ["-c", "user.name=x", "-c", "user.email=x@example.com", "-c", "init.defaultBranch=main"]
    done = subprocess.run(["git", *names, *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_sources_of_a_lock_of_uv_are_locked_and_built(
    case: Case, uv: Uv, tmp_path: Path, toy_wheels: Path, serving: Callable[..., Server]
) -> None:
    files = tmp_path / "files"
    shutil.copytree(toy_wheels, files)
    write_source(tmp_path / "packed-3.0", "packed", "3.0")
    with tarfile.open(files / "packed-3.0.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "packed-3.0", "packed-3.0")
    index = serving(WheelIndex(folder=files))
    case.variable("UV_DEFAULT_INDEX", f"{index.url}/simple")
    write_source(case.project / "libs" / "mine", "mine", "1.5")
    write_source(tmp_path / "served" / "theirs", "theirs", "2.0")
    repository = tmp_path / "served" / "theirs"
    git(repository, "init")
    git(repository, "add", ".")
    git(repository, "commit", "-m", "one")
    git(repository, "update-server-info")
    server = serving(tmp_path / "served")
    case.file(
        "pyproject.toml",
        f"""
        [project]
        name = "shop"
        version = "1.0"
        requires-python = ">={SERIES}"
        dependencies = ["mine", "theirs", "packed"]

        [tool.uv.sources]
        mine = {{path = "libs/mine"}}
        theirs = {{git = "{server.url}/theirs/.git"}}
        """,
    )
    uv("lock", "--default-index", f"{index.url}/simple")
    case.file("envbuild.yaml", "recipes: recipes/\n")
    case.run("import", "uv.lock", "-o", "recipes/shop.yaml")
    case.mentions("mine, packed, theirs: built from source")
    case.run("lock", "--check", "recipes/shop.yaml")
    (environment,) = lock_of(case, "recipes/shop").platforms
    sources = {item.name: item for item in environment.sources}
    assert set(sources) == {"mine", "theirs", "packed"}
    assert sources["mine"].path == "libs/mine"
    assert '"../libs/mine"' in (case.project / "recipes/shop.yaml").read_text()
    assert sources["theirs"].commit == git(repository, "rev-parse", "HEAD")
    assert {item.name for item in environment.build_inputs.wheels_of(sources["mine"])} == {"toy-core"}
    assert sources["packed"].index == "default"
    case.run("realize", "--locked", "recipes/shop.yaml")
    case.run(
        "run",
        "recipes/shop.yaml",
        "--",
        "python",
        "-c",
        "import mine, packed, theirs as t; print(mine.VERSION, t.VERSION)",
    )
    case.shows("1.5 2.0")


def test_a_folder_of_wheels_stays_find_links(case: Case, uv: Uv, toy_wheels: Path) -> None:
    shutil.copytree(toy_wheels, case.project / "wheels")
    case.file("envbuild.yaml", "recipes: recipes/\n")
    case.file(
        "pyproject.toml",
        f"""
        [project]
        name = "shop"
        version = "1.0"
        requires-python = ">={SERIES}"
        dependencies = ["toy<2"]
        """,
    )
    uv("lock", "--no-index", "--find-links", "wheels")
    case.run("import", "uv.lock", "--json")
    answer = json.loads(case.out)
    assert answer["format"] == "uv-lock"
    name = Path(answer["recipe"]).relative_to(case.project).with_suffix("").as_posix()
    assert "find-links: [../wheels]" in Path(answer["recipe"]).read_text()
    (environment,) = lock_of(case, name).platforms
    assert {wheel.find_links for wheel in environment.wheels} == {"./wheels"}
    case.run("lock", "--check", f"{name}.yaml").run("realize", "--locked", f"{name}.yaml")
