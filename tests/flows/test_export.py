"""``export``: what is written is read back by the tools that it is for, and by ourselves without a difference."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from envbuild.formats.writing import write
from envbuild.lock import LockedEnvironment
from envbuild.locks.lockfile import parse_lock
from envbuild.machine.uv_program import uv_program
from envbuild.package import Platform
from tests.case import Case
from tests.flows.test_import import write_source
from tests.support.channel import TestChannel
from tests.support.foreign_tools import conda_lock_reads
from tests.support.servers import Server
from tests.unit.test_formats_locks import SOURCES, exporting

SERIES = f"{sys.version_info.major}.{sys.version_info.minor}"


@pytest.fixture
def wheels(case: Case, wheel_index: Server) -> Case:
    """A project whose recipe has wheels alone, from the toy index as this machine's default."""
    case.variable("UV_DEFAULT_INDEX", f"{wheel_index.url}/simple")
    compiled = "    toy-compiled:\n" if SERIES == "3.11" else ""
    return case.recipe(
        f"interpreter: host\npython: {SERIES}\nplatforms: [linux-64, osx-arm64]\n"
        f"pypi:\n  packages:\n    toy: '<2'\n    toy-extras[colour]:\n{compiled}",
        "shop.yaml",
    )


@pytest.fixture
def mixed(case: Case, channel: TestChannel, wheel_index: Server) -> Case:
    """A project whose recipe has conda packages and wheels."""
    case.variable("UV_DEFAULT_INDEX", f"{wheel_index.url}/simple")
    series = ".".join(channel.pythons[0].split(".")[:2])
    return case.recipe(
        f"python: {series}\nplatforms: [{channel.platform}]\nconda:\n  channels: ['{channel.url}']\n"
        "  packages:\n    colours: '1.*'\npypi:\n  packages:\n    toy: '<2'\nvariables: {COLOUR: red}\n",
        "both.yaml",
    )


def environments(case: Case, name: str) -> tuple[LockedEnvironment, ...]:
    path = case.project / f"{name}.lock.yaml"
    return parse_lock(path.read_bytes(), str(path)).platforms


def tool(case: Case, *arguments: Any) -> str:
    done = subprocess.run(
        [str(item) for item in arguments],
        env=case.environ,
        cwd=case.project,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def installed(case: Case, python: Path) -> set[str]:
    return set(tool(case, uv_program(), "pip", "freeze", "--python", python).split())


@pytest.fixture
def target(case: Case) -> Path:
    """The Python of a new virtual environment."""
    folder = case.project.parent / "target"
    venv.create(folder, with_pip=True, symlinks=True)
    return folder / "bin" / "python"


def index_options(server: Server) -> list[str]:
    return ["--index-url", f"{server.url}/simple", "--no-cache"]


@pytest.mark.parametrize("installer", ["pip", "uv"])
def test_requirements_are_installed_with_their_digests(
    wheels: Case, target: Path, wheel_index: Server, installer: str
) -> None:
    wheels.run("export", "shop.yaml", "--format", "requirements", "-o", "requirements.txt")
    text = (wheels.project / "requirements.txt").read_text()
    assert text.count("--hash=sha256:") >= text.count("==1") > 0
    if installer == "pip":
        no_cache = ["--no-cache-dir", "--disable-pip-version-check", "--index-url", f"{wheel_index.url}/simple"]
        tool(wheels, target, "-m", "pip", "install", "--require-hashes", *no_cache, "-r", "requirements.txt")
    else:
        options = ["--python", target, *index_options(wheel_index)]
        tool(wheels, uv_program(), "pip", "sync", "--require-hashes", *options, "requirements.txt")
    here = environments(wheels, "shop")[0]
    assert {f"{item.name}=={item.version}" for item in here.wheels} <= installed(wheels, target)


def test_pylock_is_installed_by_uv_and_read_by_packaging(wheels: Case, target: Path) -> None:
    from packaging.pylock import Pylock

    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    wheels.run("export", "shop.yaml", "--format", "pylock", "-o", "pylock.toml")
    read = Pylock.from_dict(tomllib.loads((wheels.project / "pylock.toml").read_text()))
    here = environments(wheels, "shop")[0]
    assert {str(item.name) for item in read.packages} == {item.name for item in here.wheels}
    tool(wheels, uv_program(), "pip", "sync", "--no-cache", "--python", target, "--preview", "pylock.toml")
    assert {f"{item.name}=={item.version}" for item in here.wheels} <= installed(wheels, target)


def same_packages(left: tuple[LockedEnvironment, ...], right: tuple[LockedEnvironment, ...]) -> None:
    for one, other in zip(left, right, strict=True):
        assert (one.platform, one.python, one.interpreter) == (other.platform, other.python, other.interpreter)
        assert [item.identity for item in one.conda] == [item.identity for item in other.conda]
        assert [item.identity for item in one.wheels] == [item.identity for item in other.wheels]


def test_a_pylock_of_ours_comes_back_as_the_same_lock(wheels: Case) -> None:
    wheels.run("export", "shop.yaml", "--format", "pylock", "-o", "pylock.toml")
    wheels.run("import", "pylock.toml", "-o", "again.yaml", "--platform", "linux-64", "--platform", "osx-arm64")
    wheels.run("lock", "--check", "again.yaml")
    ours, again = environments(wheels, "shop"), environments(wheels, "again")
    same_packages(ours, again)
    assert [item.requires for item in ours[0].wheels] == [item.requires for item in again[0].wheels]


@pytest.mark.parametrize("form", ["pixi-6", "pixi-7", "conda-lock"])
def test_a_mixed_lock_comes_back_as_the_same_lock(mixed: Case, channel: TestChannel, form: str) -> None:
    name, _, version = form.partition("-")
    if form == "conda-lock":
        mixed.run("export", "both.yaml", "--format", form, "-o", "conda-lock.yml")
        mixed.run("import", "conda-lock.yml", "-o", "again.yaml")
    else:
        mixed.run("export", "both.yaml", "--format", name, "--pixi-version", version, "-o", "pixi.lock")
        mixed.run("import", "pixi.lock", "-o", "again.yaml")
    mixed.run("lock", "--check", "again.yaml")
    ours, again = environments(mixed, "both"), environments(mixed, "again")
    same_packages(ours, again)
    for before, after in zip(ours[0].conda, again[0].conda, strict=True):
        assert (before.depends, before.noarch, before.build_number) == (after.depends, after.noarch, after.build_number)
    mixed.run("realize", "--locked", "again.yaml")
    mixed.run("run", "again.yaml", "--", "python", "-c", "import colours, toy")


@pytest.mark.parametrize("version", [6, 7])
def test_pixi_locks_are_read_by_rattler(mixed: Case, channel: TestChannel, version: int) -> None:
    from rattler.lock import LockFile

    mixed.run("export", "both.yaml", "--format", "pixi", "--pixi-version", str(version), "-o", "pixi.lock")
    lock = LockFile.from_path(mixed.project / "pixi.lock")
    environment = lock.default_environment()
    assert environment is not None
    (ours,) = environments(mixed, "both")
    (platform,) = environment.platforms()
    packages = environment.packages(platform)
    assert packages is not None
    assert {item.name for item in packages} == ours.names()
    digests = {item.name: item.hashes.sha256.hex() for item in packages if item.hashes and item.hashes.sha256}
    assert {item.name: digests[item.name] for item in ours.wheels} == {item.name: item.sha256 for item in ours.wheels}
    records = {str(item.name.source): item for item in environment.conda_repodata_records_for_platform(platform) or ()}
    for item in ours.conda:
        record = records[item.name]
        assert (record.sha256 or b"").hex() == item.sha256
        assert (str(record.version), str(record.build), record.build_number) == (
            item.version,
            item.build,
            item.build_number,
        )
        assert tuple(record.depends) == item.depends
        assert (record.noarch.python, record.noarch.generic) == (item.noarch == "python", item.noarch == "generic")


@pytest.mark.parametrize("version", [6, 7])
def test_sources_in_pixi_locks_are_read_by_rattler(tmp_path: Path, version: int) -> None:
    from rattler.lock import LockFile

    environment = LockedEnvironment(
        platform=Platform("linux-64"), python="3.11", interpreter="conda", system=(), sources=SOURCES
    )
    (tmp_path / "pixi.lock").write_text(write("pixi", exporting((environment,), version)).text)
    found = LockFile.from_path(tmp_path / "pixi.lock").default_environment()
    assert found is not None
    (platform,) = found.platforms()
    assert {item.name: item.location for item in found.packages(platform) or ()} == {
        "archive": "direct+https://direct.example.com/archive-1.tar.gz",
        "commit": f"git+https://git.example.com/commit.git?subdirectory=python#{'c' * 40}",
        "folder": "./libs/folder",
        "packed": "https://files.example.com/packed-1.tar.gz",
    }


def test_conda_lock_reads_what_is_written_for_it(mixed: Case, channel: TestChannel) -> None:
    mixed.run("export", "both.yaml", "--format", "conda-lock", "-o", "conda-lock.yml")
    try:
        read = conda_lock_reads(mixed.project / "conda-lock.yml")
    except LookupError as missing:
        pytest.skip(f"NO CONDA-LOCK: {missing}")
    (ours,) = environments(mixed, "both")
    assert read["platforms"] == [channel.platform]
    assert read["channels"] == [channel.url]
    assert sorted((kind, name, sha256) for kind, _, name, _, _, sha256, _ in read["packages"]) == sorted(
        [("conda", item.name, item.sha256) for item in ours.conda]
        + [("pip", item.name, item.sha256) for item in ours.wheels]
    )


def test_a_bill_of_materials_is_valid_and_names_every_package(mixed: Case) -> None:
    from cyclonedx.model.bom import Bom
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    mixed.run("export", "both.yaml", "--format", "sbom", "-o", "both.cdx.json")
    text = (mixed.project / "both.cdx.json").read_text()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    (here,) = environments(mixed, "both")
    read = Bom.from_json(json.loads(text))  # type: ignore[attr-defined]
    assert {item.name for item in read.components} == here.names()
    digests = {item.name: {str(one.content) for one in item.hashes} for item in read.components}
    assert all(item.sha256 in digests[item.name] for item in here.conda)
    assert all(item.sha256 in digests[item.name] for item in here.wheels)
    colours = next(item for item in read.components if item.name == "colours")
    assert str(colours.purl).startswith(f"pkg:conda/colours@{colours.version}?build=")
    asked = next(item for item in json.loads(text)["dependencies"] if item["ref"] == here.id)["dependsOn"]
    assert sorted(item.partition("@")[0] for item in asked if "/python@" not in item) == [
        "pkg:conda/colours",
        "pkg:pypi/toy",
    ]
    mixed.run("export", "both.yaml", "--format", "sbom")
    assert mixed.out == text, "no time and no chance is in it"
    mixed.mentions("lost: the variables that are set on activation: COLOUR")


def test_a_bill_of_materials_tells_where_sources_come_from() -> None:
    from packageurl import PackageURL

    environment = LockedEnvironment(
        platform=Platform("linux-64"), python="3.11", interpreter="host", system=(), sources=SOURCES
    )
    written = write("sbom", exporting((environment,)))
    components = json.loads(written.text)["components"]
    purls = {item["name"]: PackageURL.from_string(item["purl"]) for item in components}
    assert {name: purl.type for name, purl in purls.items()} == {
        "archive": "pypi",
        "commit": "pypi",
        "folder": "generic",  # it is on no index
        "packed": "pypi",
    }
    assert purls["commit"].qualifiers == {"vcs_url": f"git+https://git.example.com/commit.git@{'c' * 40}"}
    assert purls["archive"].qualifiers == {"download_url": "https://direct.example.com/archive-1.tar.gz"}
    assert "repository_url" in purls["packed"].qualifiers
    hashed = {item["name"] for item in components if item.get("hashes")}
    assert hashed == {"archive", "packed"}, "a tree is no file that others could hash"
    assert any("Python 3.11" in item for item in written.losses)


def test_explicit_files_come_back(mixed: Case) -> None:
    mixed.run("export", "both.yaml", "--format", "explicit", "-o", "explicit.txt")
    mixed.mentions("lost: the 2 PyPI packages: toy, toy-core", "lost: the variables that are set on activation: COLOUR")
    mixed.run("import", "explicit.txt", "-o", "again.yaml")
    mixed.run("lock", "--check", "again.yaml")
    (ours,), (again,) = environments(mixed, "both"), environments(mixed, "again")
    assert ours.conda
    assert [item.identity for item in ours.conda] == [item.identity for item in again.conda]
    mixed.run("realize", "--locked", "again.yaml")


def test_environment_yml_says_the_same_versions(mixed: Case) -> None:
    import yaml

    mixed.run("export", "both.yaml", "--format", "environment-yml")
    document = yaml.safe_load(mixed.out)
    (ours,) = environments(mixed, "both")
    conda = [item for item in document["dependencies"] if isinstance(item, str) and "=" in item]
    assert conda == [f"{item.name}={item.version}={item.build}" for item in ours.conda]
    (pip,) = [item["pip"] for item in document["dependencies"] if isinstance(item, dict)]
    assert pip == [f"{item.name}=={item.version}" for item in ours.wheels]
    assert document["variables"] == {"COLOUR": "red"}
    mixed.mentions("lost: the digests of all packages")


@pytest.mark.parametrize(("form", "file"), [("pylock", "pylock.toml"), ("pixi", "pixi.lock")])
def test_a_folder_is_named_from_where_the_file_is_written(
    case: Case, wheel_index: Server, form: str, file: str
) -> None:
    case.variable("UV_DEFAULT_INDEX", f"{wheel_index.url}/simple")
    write_source(case.project / "libs" / "mine", "mine", "1.0")
    case.file("envbuild.yaml", "recipes: recipes/\n")
    case.recipe(
        f"interpreter: host\npython: {SERIES}\npypi: {{packages: {{mine: {{path: libs/mine}}}}}}\n", "shop.yaml"
    )
    case.run("export", "shop.yaml", "--format", form, "-o", f"out/deep/{file}")
    assert '"../../libs/mine"' in (case.project / "out" / "deep" / file).read_text()
    case.run("import", f"out/deep/{file}", "-o", "again.yaml", "--python-version", SERIES)
    case.run("lock", "--check", "again.yaml")
    (ours,), (again,) = environments(case, "shop"), environments(case, "again")
    assert [item.path for item in again.sources] == [item.path for item in ours.sources] == ["libs/mine"]


def beside(case: Case, channel: TestChannel, wheel_index: Server) -> Case:
    """A project whose recipe has conda packages and wheels, and takes its Python from the machine."""
    case.variable("UV_DEFAULT_INDEX", f"{wheel_index.url}/simple")
    return case.recipe(
        f"interpreter: host\npython: {SERIES}\nplatforms: [{channel.platform}]\n"
        f"conda:\n  channels: ['{channel.url}']\n  packages:\n    data-files:\npypi:\n  packages:\n    toy: '<2'\n",
        "beside.yaml",
    )


@pytest.mark.parametrize("file", ["pixi.lock", "conda-lock.yml"])
def test_packages_beside_the_python_of_the_machine_come_back(
    case: Case, channel: TestChannel, wheel_index: Server, file: str
) -> None:
    beside(case, channel, wheel_index)
    case.run("export", "beside.yaml", "--format", file.partition(".")[0], "-o", file)
    case.run("import", file, "-o", "again.yaml", code=3)
    case.mentions("no-python", "--python-version")
    case.run("import", file, "-o", "again.yaml", "--python-version", SERIES)
    case.run("lock", "--check", "again.yaml")
    same_packages(environments(case, "beside"), environments(case, "again"))
    assert environments(case, "again")[0].interpreter == "host"


def test_conda_packages_in_a_virtual_environment_are_captured_with_its_wheels(
    case: Case, channel: TestChannel, wheel_index: Server
) -> None:
    beside(case, channel, wheel_index)
    case.run("realize", "beside.yaml", "--prefix", "env")
    case.run("capture", "env", "-o", "again.yaml")
    case.run("lock", "--check", "again.yaml")
    same_packages(environments(case, "beside"), environments(case, "again"))


def test_an_environment_yml_of_wheels_leaves_conda_its_own_channels(wheels: Case) -> None:
    import yaml

    wheels.run("export", "shop.yaml", "--format", "environment-yml", "--platform", "linux-64")
    assert "channels" not in yaml.safe_load(wheels.out)
    wheels.mentions("from the channels that it is set up with")


def test_what_cannot_be_written_is_refused(wheels: Case) -> None:
    wheels.run("export", "shop.yaml", "--format", "oci", code=2).mentions("unknown-format", "envbuild image SOURCE")
    for name in ("nonsense",):
        wheels.run("export", "shop.yaml", "--format", name, code=2)
        wheels.mentions(
            "unknown-format", "one of: requirements, environment-yml, explicit, conda-lock, pixi, pylock, sbom"
        )
    wheels.run("export", "shop.yaml", "--format", "explicit", "--platform", "linux-64", code=2)
    wheels.mentions("nothing-to-write")
    wheels.run("export", "shop.yaml", "--format", "pylock", "--platform", "win-64", code=2)
    wheels.run("export", "shop.yaml", "--format", "requirements", "-o", "r.txt")
    wheels.run("export", "shop.yaml", "--format", "requirements", "-o", "r.txt", code=6)
    wheels.run("export", "shop.yaml", "--format", "requirements", "-o", "r.txt", "--force")
    wheels.run("export", "shop.yaml", "--format", "requirements", "--json")
    assert json.loads(wheels.out)["text"] == (wheels.project / "r.txt").read_text()


def test_not_even_force_writes_over_a_file_of_envbuild(wheels: Case) -> None:
    wheels.file("envbuild.yaml", "recipes: recipes\n").file("broken.yaml", "conda:\n  packages: [\n")
    wheels.file("short.yaml", "python: 3.11\n").run("lock", "shop.yaml")
    (wheels.project / "kept.txt").write_bytes((wheels.project / "shop.lock.yaml").read_bytes())
    (wheels.project / "shop.txt").write_bytes((wheels.project / "shop.yaml").read_bytes())
    names = ("shop.yaml", "shop.lock.yaml", "envbuild.yaml", "broken.yaml", "short.yaml", "kept.txt", "shop.txt")
    before = {name: (wheels.project / name).read_bytes() for name in names}
    for name in names:
        for flags in (("--force",), ()):
            wheels.run("export", "shop.yaml", "--format", "pylock", "-o", name, *flags, code=6)
            wheels.mentions(f"error[own-file]: {name}: here stands", "hint: name another file with -o")
    assert {name: (wheels.project / name).read_bytes() for name in names} == before
    wheels.file("other.yml", "name: other\nchannels: [x]\ndependencies: [y]\n")
    for name in ("other.yml", "conda-lock.yml", "conda-lock.yml"):
        format_name = "environment-yml" if name == "other.yml" else "conda-lock"
        platform = ("--platform", "linux-64") if name == "other.yml" else ()
        wheels.run("export", "shop.yaml", "--format", format_name, "-o", name, "--force", *platform)


def test_what_is_no_file_is_not_replaced_by_one(wheels: Case) -> None:
    os.mkfifo(wheels.project / "pipe.yaml")
    (wheels.project / "device").symlink_to(os.devnull)
    (wheels.project / "folder").mkdir()
    (wheels.project / "r.txt").write_text("toy\n")
    for name in ("pipe.yaml", "device", "folder"):
        for flags in (("--force",), ()):
            wheels.run("export", "shop.yaml", "--format", "pylock", "-o", name, *flags, code=6)
            wheels.mentions(f"error[no-file]: {name} is a ")
    wheels.run("import", "r.txt", "-o", "pipe.yaml", "--force", code=6).mentions("error[no-file]")
    assert (wheels.project / "pipe.yaml").is_fifo()


def test_no_credentials_are_written(case: Case, toy_wheels: Path, serving: Callable[..., Server]) -> None:
    from tests.support.wheel_index import WheelIndex

    server = serving(WheelIndex(folder=toy_wheels))
    with_secret = server.url.replace("://", "://anna:hunter2@")
    case.variable("UV_DEFAULT_INDEX", f"{with_secret}/simple")
    case.recipe(f"interpreter: host\npython: {SERIES}\npypi:\n  packages:\n    toy:\n", "shop.yaml")
    for name in ("requirements", "pylock", "conda-lock", "pixi", "environment-yml"):
        case.run("export", "shop.yaml", "--format", name).hides("hunter2", "anna")


def test_a_lock_of_private_places_goes_and_comes_back_without_their_secrets(
    case: Case, channel: TestChannel, toy_wheels: Path, serving: Callable[..., Server]
) -> None:
    """Channel and index want a password; it comes from this machine's netrc, and conda-lock's file has it too."""
    from tests.support.wheel_index import WheelIndex

    conda, index = serving(channel.folder), serving(WheelIndex(folder=toy_wheels))
    for server in (conda, index):
        server.require_basic("anna", "hunter2")
    netrc = Path(case.environ["NETRC"])
    netrc.write_text(f"machine {conda.host} login anna password hunter2\n")
    netrc.chmod(0o600)
    case.recipe(
        f"interpreter: host\npython: {SERIES}\nplatforms: [linux-64, osx-arm64]\n"
        f"conda:\n  channels: ['{conda.url}']\n  packages:\n    data-files:\n"
        f"pypi:\n  index: {index.url}/simple\n  packages:\n    toy: '<2'\n",
        "shop.yaml",
    )
    case.run("export", "shop.yaml", "--format", "conda-lock", "-o", "conda-lock.yml").hides("hunter2", "anna")
    for name in ("conda-lock.yml", "shop.lock.yaml"):
        assert not {"hunter2", "anna"} & set(re.findall(r"\w+", (case.project / name).read_text()))
    theirs = (case.project / "conda-lock.yml").read_text()
    assert theirs.count(f"{index.url}/") >= 4, "two wheels on two platforms"
    assert theirs.count(f"{conda.url}/") >= 2
    private = theirs.replace("http://", "http://anna:hunter2@").replace(
        f"@{conda.host}:{conda.server_address[1]}/", f"@{conda.host}:{conda.server_address[1]}/t/hunter3/"
    )
    case.file("theirs/conda-lock.yml", private)
    case.run("import", "theirs/conda-lock.yml", "-o", "again.yaml", "--python-version", SERIES)
    case.hides("hunter2", "hunter3", "anna").run("lock", "--check", "again.yaml")
    for name in ("again.yaml", "again.lock.yaml"):
        assert not {"hunter2", "hunter3", "anna"} & set(re.findall(r"\w+", (case.project / name).read_text()))
    for ours, again in zip(environments(case, "shop"), environments(case, "again"), strict=True):
        assert {item.sha256 for item in ours.conda} == {item.sha256 for item in again.conda}
        assert {item.sha256 for item in ours.wheels} == {item.sha256 for item in again.wheels}
    left = [path for path in case.home.rglob("*") if path.is_file() and b"hunter" in path.read_bytes()]
    assert left == [], "nothing in the home either"
