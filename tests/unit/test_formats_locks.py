"""Readers of foreign locks, from small files in the shape of real ones; and writers, read back by these readers."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envbuild import formats as foreign
from envbuild.digest import Digest
from envbuild.errors import EnvbuildError, InvalidInput, UnsatisfiableError, UsageError
from envbuild.formats import Document, nothing_opened
from envbuild.formats.foreign_lock import ForeignEnvironment, ForeignLock, Wanted, read_lock
from envbuild.formats.writing import Exporting, write
from envbuild.lock import LockedEnvironment
from envbuild.machine.virtual import DEFAULTS
from envbuild.package import CondaPackage, Platform, SourcePackage, Wheel

LINUX, MAC = Platform("linux-64"), Platform("osx-arm64")
SHA = "ab" * 32
CHANNEL = "https://conda.example.com/forge"
INDEX = "https://index.example.com/simple"


def read(format_name: str, text: str, **wanted: Any) -> ForeignLock:
    document = Document(data=text.encode(), file="theirs", opened=nothing_opened, shown=str)
    chosen: dict[str, Any] = {"here": LINUX, "systems": DEFAULTS, "pythons": ("3.11",), **wanted}
    return read_lock(format_name, document, Wanted(**chosen))


# pixi.lock

PIXI_4 = f"""
version: VERSION
environments:
  default:
    channels:
    - url: {CHANNEL}/
    packages:
      linux-64:
      - conda: {CHANNEL}/linux-64/python-3.11.7-hab00c5b_1_cpython.conda
      - conda: {CHANNEL}/noarch/tzdata-2024a-h0c530f3_0.conda
      - pypi: https://files.example.com/six-1.16.0-py2.py3-none-any.whl
packages:
- kind: conda
  name: python
  version: 3.11.7
  build: hab00c5b_1_cpython
  build_number: 1
  subdir: linux-64
  url: {CHANNEL}/linux-64/python-3.11.7-hab00c5b_1_cpython.conda
  sha256: {SHA}
  md5: {"0" * 32}
  depends:
  - tzdata
  - __glibc >=2.34,<3.0.a0
  timestamp: 1703344000
- kind: conda
  name: tzdata
  version: 2024a
  subdir: linux-64
  noarch: generic
  url: {CHANNEL}/noarch/tzdata-2024a-h0c530f3_0.conda
  sha256: {SHA}
- kind: pypi
  name: six
  version: 1.16.0
  url: https://files.example.com/six-1.16.0-py2.py3-none-any.whl
  sha256: {SHA}
  requires_dist:
  - toy ; extra == 'x'
"""

PIXI_6 = f"""
version: VERSION
PLATFORMS
environments:
  default:
    channels:
    - url: {CHANNEL}/
    indexes:
    - {INDEX}
    packages:
      NAME:
      - conda: {CHANNEL}/linux-64/python-3.11.7-hab00c5b_1_cpython.conda
      - conda: {CHANNEL}/noarch/colours-1.0-pyhd8ed1ab_0.conda
      - pypi: https://files.example.com/six-1.16.0-py2.py3-none-any.whl
packages:
- conda: {CHANNEL}/linux-64/python-3.11.7-hab00c5b_1_cpython.conda
  build_number: 1
  sha256: {SHA}
  md5: {"0" * 32}
  timestamp: 1703344000000
- conda: {CHANNEL}/noarch/colours-1.0-pyhd8ed1ab_0.conda
  sha256: {SHA}
  depends:
  - python >=3.8
- pypi: https://files.example.com/six-1.16.0-py2.py3-none-any.whl
  name: six
  version: 1.16.0
  sha256: {SHA}
"""


@pytest.mark.parametrize("version", ["4", "5"])
def test_old_locks_of_pixi(version: str) -> None:
    lock = read("pixi-lock", PIXI_4.replace("VERSION", version))
    (environment,) = lock.environments
    python, tzdata = environment.conda
    assert (python.version, python.build, python.build_number) == ("3.11.7", "hab00c5b_1_cpython", 1)
    assert python.timestamp == 1703344000000
    assert (tzdata.subdir, tzdata.noarch, tzdata.build) == ("noarch", "generic", "h0c530f3_0")
    assert environment.system == (("__glibc", "2.34"),)
    assert environment.pypi[0].requires == ("toy ; extra == 'x'",)
    assert environment.pypi[0].index is None


@pytest.mark.parametrize(
    ("version", "platforms", "name"),
    [
        ("6", "", "linux-64"),
        ("7", "platforms:\n- name: mine\n  subdir: linux-64", "mine"),
        ("7", "platforms:\n- name: linux-64", "linux-64"),
    ],
)
def test_new_locks_of_pixi(version: str, platforms: str, name: str) -> None:
    text = PIXI_6.replace("VERSION", version).replace("PLATFORMS", platforms).replace("NAME", name)
    lock = read("pixi-lock", text)
    (environment,) = lock.environments
    assert environment.platform == LINUX
    colours, python = environment.conda
    assert (colours.noarch, colours.build_number, colours.depends) == ("python", 0, ("python >=3.8",))
    assert python.build_number == 1
    assert environment.pypi[0].index == INDEX
    assert lock.channels == (CHANNEL,)


def test_the_workspace_itself_is_left_out() -> None:
    text = PIXI_6.replace("VERSION", "6").replace("PLATFORMS", "").replace("NAME", "linux-64")
    own = text.replace("https://files.example.com/six-1.16.0-py2.py3-none-any.whl", "./")
    lock = read("pixi-lock", own)
    assert lock.environments[0].pypi == ()
    assert lock.notes == ("left out: six itself, the project that the file locks",)


def test_what_pixi_builds_is_named() -> None:
    text = PIXI_6.replace("VERSION", "6").replace("PLATFORMS", "").replace("NAME", "linux-64")
    with pytest.raises(InvalidInput, match="pixi builds from source") as caught:
        read("pixi-lock", text.replace(f"conda: {CHANNEL}/noarch/colours-1.0-pyhd8ed1ab_0.conda", "conda: ../mine"))
    assert caught.value.reference == "needs-build"


# conda-lock.yml

CONDA_LOCK = f"""
version: 1
metadata:
  content_hash: {{linux-64: {SHA}}}
  channels:
  - url: conda-forge
    used_env_vars: []
  - {{url: 'https://anna:hunter2@conda.example.com/t/tk-12345678/forge', used_env_vars: [TOKEN]}}
  platforms: [linux-64, osx-arm64]
  sources: [environment.yml]
package:
- name: python
  version: 3.11.7
  manager: conda
  platform: linux-64
  dependencies: {{__glibc: '>=2.17,<3.0.a0', tzdata: ''}}
  url: {CHANNEL}/linux-64/python-3.11.7-hab00c5b_1_cpython.conda
  hash: {{md5: {"0" * 32}, sha256: {SHA}}}
  category: main
  optional: false
- name: six
  version: 1.16.0
  manager: pip
  platform: linux-64
  dependencies: {{Toy.Core: '*'}}
  url: https://files.example.com/six-1.16.0-py2.py3-none-any.whl
  hash: {{sha256: {SHA}}}
  category: main
  optional: false
- name: black
  version: 1.0
  manager: conda
  platform: linux-64
  dependencies: {{}}
  url: {CHANNEL}/noarch/black-1.0-py_0.tar.bz2
  hash: {{md5: {"0" * 32}, sha256: {SHA}}}
  category: dev
  optional: true
"""


def test_locks_of_conda_lock() -> None:
    lock = read("conda-lock", CONDA_LOCK)
    assert [item.platform for item in lock.environments] == [LINUX, MAC]
    linux = lock.environments[0]
    assert [item.name for item in linux.conda] == ["python"]
    assert linux.conda[0].depends == ("__glibc >=2.17,<3.0.a0", "tzdata")
    assert not linux.conda[0].complete
    assert linux.pypi[0].requires == ("Toy.Core",)
    assert lock.channels == ("conda-forge", CHANNEL)
    assert "hunter2" not in repr(lock)
    assert lock.notes == ("left out: the category dev; take it with --group NAME",)
    with_dev = read("conda-lock", CONDA_LOCK, groups=("dev",), platforms=(LINUX,))
    assert [item.name for item in with_dev.environments[0].conda] == ["black", "python"]
    with pytest.raises(UsageError, match="no category 'x'"):
        read("conda-lock", CONDA_LOCK, groups=("x",))


# pylock.toml and uv.lock

FILES = "https://files.example.com"
HASHES = f'hashes = {{ sha256 = "{SHA}" }}'
PYLOCK = f"""
lock-version = "1.0"
environments = ["sys_platform == 'linux'", "sys_platform == 'darwin'"]
requires-python = ">=3.11"
extras = ["fast"]
dependency-groups = ["docs", "dev"]
default-groups = ["dev"]
created-by = "anybody"

[[packages]]
name = "numpy"
version = "2.0"
index = "{INDEX}"
wheels = [
  {{ url = "https://anna:hunter2@files.example.com/numpy-2.0-cp311-cp311-manylinux_2_34_x86_64.whl", {HASHES} }},
  {{ url = "{FILES}/numpy-2.0-cp311-cp311-macosx_11_0_arm64.whl", size = 7, {HASHES} }},
]

[[packages]]
name = "speed"
version = "1"
marker = "'fast' in extras"
sdist = {{ url = "https://files.example.com/speed-1.tar.gz", hashes = {{ sha256 = "{SHA}" }} }}

[[packages]]
name = "linter"
version = "1"
marker = "'dev' in dependency_groups and sys_platform == 'linux'"
wheels = [{{ url = "https://files.example.com/linter-1-py3-none-any.whl", hashes = {{ sha256 = "{SHA}" }} }}]

[[packages]]
name = "theirs"
marker = "'docs' in dependency_groups"
[packages.vcs]
type = "git"
url = "https://git.example.com/theirs.git"
commit-id = "{"c" * 40}"
subdirectory = "python"
"""


def test_pylock_is_evaluated_as_its_specification_says() -> None:
    lock = read("pylock", PYLOCK)
    (linux,) = lock.environments
    assert [item.name for item in linux.pypi] == ["linter", "numpy"]
    assert linux.system == (("__glibc", "2.34"),), "the wheel needs a newer glibc than the default floor"
    assert "hunter2" not in repr(lock)
    (mac,) = read("pylock", PYLOCK, platforms=(MAC,)).environments
    assert [item.archive.file for item in mac.pypi if item.archive] == ["numpy-2.0-cp311-cp311-macosx_11_0_arm64.whl"]
    chosen = read("pylock", PYLOCK, extras=("fast",), groups=("docs",)).environments[0]
    assert {item.name for item in chosen.pypi} == {"linter", "numpy", "speed", "theirs"}
    theirs = next(item for item in chosen.pypi if item.name == "theirs")
    assert (theirs.git, theirs.commit, theirs.subdirectory) == (
        "https://git.example.com/theirs.git",
        "c" * 40,
        "python",
    )
    with pytest.raises(UsageError, match="not for win-64"):
        read("pylock", PYLOCK, platforms=(Platform("win-64"),))
    with pytest.raises(UnsatisfiableError, match="no wheel"):
        read("pylock", PYLOCK, python="3.12")
    with pytest.raises(UsageError, match=r"for Python >=3\.11, not for 3\.10"):
        read("pylock", PYLOCK, python="3.10")


UV = f"""
version = 1
revision = 3
requires-python = ">=3.10"

[manifest]
members = ["shop", "tools"]

[[package]]
name = "shop"
version = "1"
source = {{ editable = "." }}
dependencies = [{{ name = "ring", extra = ["gold"] }}, {{ name = "tools" }}]

[[package]]
name = "ring"
version = "1"
source = {{ registry = "{INDEX}" }}
dependencies = [{{ name = "finger" }}]
wheels = [{{ url = "https://files.example.com/ring-1-py3-none-any.whl", hash = "sha256:{SHA}", size = 5 }}]
[package.optional-dependencies]
gold = [{{ name = "metal", marker = "python_full_version < '3.11'" }}, {{ name = "shop" }}]

[[package]]
name = "finger"
version = "2"
source = {{ registry = "{INDEX}" }}
dependencies = [{{ name = "ring" }}]
wheels = [{{ url = "https://files.example.com/finger-2-py3-none-any.whl", hash = "sha256:{SHA}" }}]

[[package]]
name = "metal"
version = "1"
source = {{ url = "https://files.example.com/metal-1-py3-none-any.whl" }}
wheels = [{{ url = "https://files.example.com/metal-1-py3-none-any.whl", hash = "sha256:{SHA}" }}]

[[package]]
name = "tools"
version = "3"
source = {{ editable = "libs/tools" }}
"""


def test_a_lock_of_uv_is_walked_also_in_circles() -> None:
    lock = read("uv-lock", UV)
    (environment,) = lock.environments
    found = {item.name: item for item in environment.pypi}
    assert set(found) == {"ring", "finger", "tools"}
    assert found["ring"].requires == ("finger",)
    assert found["finger"].requires == ("ring",)
    assert found["ring"].extras == ("gold",)
    assert found["tools"].path == "libs/tools"
    assert {item.name for item in environment.pypi if item.asked} == {"ring", "tools"}
    assert lock.notes == (
        "left out: shop itself, the project that the file locks",
        "tools: uv installs libs/tools editable; here it is built from the folder",
    )
    older = read("uv-lock", UV, python="3.10").environments[0]
    assert next(item for item in older.pypi if item.name == "metal").direct
    member = read("uv-lock", UV, environment="tools")
    assert member.environments[0].pypi == ()


FROZEN = f"""\
six==1.16.0
theirs @ git+https://anna:hunter2@git.example.com/theirs.git@{"c" * 40}#subdirectory=x
direct @ https://files.example.com/direct-1-py3-none-any.whl#sha256={SHA}
# Editable install with no version control (mine==1.0)
-e /home/x/mine
"""


def test_frozen_versions() -> None:
    lock = read("pip-freeze", FROZEN)
    direct, six, theirs = lock.environments[0].pypi
    assert (six.version, six.archive) == ("1.16.0", None)
    assert (theirs.git, theirs.subdirectory) == ("https://git.example.com/theirs.git", "x")
    assert direct.archive is not None
    assert (direct.archive.sha256, direct.direct) == (SHA, True)
    assert any("/home/x/mine" in note for note in lock.notes)
    with pytest.raises(InvalidInput) as caught:
        read("pip-freeze", "six>=1\nhg @ hg+https://x.example.com/a@1\nmine @ file:///home/x/mine\n-r other.txt\n")
    assert [issue.reference for issue in caught.value.all_issues()] == [
        "not-frozen",
        "bad-vcs",
        "bad-path",
        "not-frozen",
    ]


# Writers, read back

names = st.from_regex(r"[a-z][a-z0-9]{0,8}(-[a-z0-9]{1,4})?", fullmatch=True)
versions = st.from_regex(r"[1-9][0-9]?(\.[0-9]{1,2}){1,2}", fullmatch=True)
hosts = st.sampled_from([LINUX, MAC, Platform("win-64")])


def digest(*words: str) -> Digest:
    return Digest(hashlib.sha256("/".join(words).encode()).hexdigest())


@st.composite
def conda_packages(draw: st.DrawFn, platform: Platform) -> tuple[CondaPackage, ...]:
    own = draw(st.lists(names, max_size=6, unique=True))
    found = [_conda("python", draw(st.sampled_from(["3.10.4", "3.12.1"])), "h1_0_cpython", platform, None, ())]
    for name in own:
        if name != "python":
            noarch = draw(st.sampled_from([None, "python", "generic"]))
            build = draw(st.sampled_from(["py_0", "h12ab_3", "pyhd8ed1ab_1", "0", "cuda_x"]))
            depends = tuple(draw(st.lists(st.sampled_from([*own, "python"]), max_size=3, unique=True)))
            found.append(_conda(name, draw(versions), build, platform, noarch, depends))
    return tuple(sorted(found, key=lambda item: item.name))


def _conda(
    name: str, version: str, build: str, platform: Platform, noarch: str | None, depends: tuple[str, ...]
) -> CondaPackage:
    subdir = "noarch" if noarch else platform
    file = f"{name}-{version}-{build}.conda"
    return CondaPackage(
        name=name,
        version=version,
        build=build,
        build_number=int(build[-1]) if build[-1].isdigit() else 7,
        subdir=subdir,
        file=file,
        sha256=digest(subdir, file),
        md5=digest(subdir, file)[:32],
        channel="forge",
        size=len(file),
        noarch=noarch,
        depends=tuple(f"{item} >=1" for item in depends),
        license="MIT",
        timestamp=1_700_000_000_000,
    )


@st.composite
def pypi_packages(draw: st.DrawFn, taken: frozenset[str], platform: Platform) -> tuple[Wheel, ...]:
    own = [name for name in draw(st.lists(names, max_size=6, unique=True)) if name not in taken]
    tag = {LINUX: "manylinux_2_17_x86_64", MAC: "macosx_11_0_arm64"}.get(platform, "win_amd64")
    found = []
    for name in sorted(own):
        version = draw(versions)
        kind = draw(st.sampled_from(["py3-none-any", f"py3-none-{tag}"]))
        file = f"{name.replace('-', '_')}-{version}-{kind}.whl"
        direct = draw(st.booleans()) and draw(st.booleans())
        found.append(
            Wheel(
                name=name,
                version=version,
                file=file,
                sha256=digest(file),
                index=None if direct else draw(st.sampled_from(["default", "mine"])),
                url=f"https://direct.example.com/{file}" if direct else None,
                size=draw(st.none() | st.integers(1, 10**9)),
                upload_time=draw(st.none() | st.just("2024-01-02T03:04:05Z")),
                requires=tuple(sorted(draw(st.lists(st.sampled_from(own), max_size=3, unique=True)) if own else ())),
            )
        )
    return tuple(found)


@st.composite
def exports(draw: st.DrawFn, *, conda: bool) -> Exporting:
    environments = []
    for platform in sorted(draw(st.lists(hosts, min_size=1, max_size=3, unique=True))):
        packages = draw(conda_packages(platform)) if conda else ()
        wheels = draw(pypi_packages(frozenset(item.name for item in packages), platform))
        python = next((".".join(item.version.split(".")[:2]) for item in packages if item.name == "python"), "3.11")
        environments.append(
            LockedEnvironment(
                platform=platform,
                python=python,
                interpreter="conda" if conda else "host",
                system=DEFAULTS[platform],
                conda=packages,
                wheels=wheels,
            )
        )
    return exporting(tuple(environments), draw(st.sampled_from([6, 7])))


def exporting(environments: tuple[LockedEnvironment, ...], pixi: int = 6) -> Exporting:
    addresses: dict[Digest, str] = {}
    for environment in environments:
        addresses |= {item.sha256: f"{CHANNEL}/{item.subdir}/{item.file}" for item in environment.conda}
        addresses |= {item.sha256: item.url or f"https://files.example.com/{item.file}" for item in environment.wheels}
        addresses |= {item.sha256: item.url or f"https://files.example.com/{item.file}" for item in environment.sources}
    return Exporting(
        name="shop",
        environments=environments,
        channels={"forge": CHANNEL},
        indices={"default": INDEX, "mine": "https://mine.example.com/simple"},
        default_index=INDEX,
        addresses=addresses,
        pixi_version=pixi,
    )


def by_name(environment: ForeignEnvironment) -> Mapping[str, Any]:
    return {item.name: item for item in environment.pypi}


def check_conda(environment: LockedEnvironment, read_back: ForeignEnvironment, fields: tuple[str, ...]) -> None:
    have = {item.name: item for item in read_back.conda}
    assert set(have) == {item.name for item in environment.conda}
    for item in environment.conda:
        for name in ("version", "build", "subdir", "file", "sha256", *fields):
            assert getattr(have[item.name], name) == getattr(item, name), (item.name, name)


def check_wheels(environment: LockedEnvironment, read_back: ForeignEnvironment, *, index: bool) -> None:
    have = by_name(read_back)
    assert set(have) == {item.name for item in environment.wheels}
    for item in environment.wheels:
        archive = have[item.name].archive
        assert (have[item.name].version, archive.file, archive.sha256) == (item.version, item.file, item.sha256)
        assert have[item.name].direct == (item.url is not None)
        if index and item.index is not None:
            assert have[item.name].index == ("https://mine.example.com/simple" if item.index == "mine" else INDEX)


@given(exports(conda=True))
@settings(max_examples=25, deadline=None)
def test_round_trip_through_pixi(item: Exporting) -> None:
    written = write("pixi", item)
    lock = read("pixi-lock", written.text)
    assert [one.platform for one in lock.environments] == list(item.platforms)
    fields = ("build_number", "noarch", "depends", "constrains", "license", "md5", "size", "timestamp")
    for before, after in zip(item.environments, lock.environments, strict=True):
        check_conda(before, after, fields)
        check_wheels(before, after, index=False)
        for wheel in before.wheels:
            assert by_name(after)[wheel.name].requires == tuple(name for name in wheel.requires)


@given(exports(conda=True))
@settings(max_examples=25, deadline=None)
def test_round_trip_through_conda_lock(item: Exporting) -> None:
    lock = read("conda-lock", write("conda-lock", item).text)
    for before, after in zip(item.environments, lock.environments, strict=True):
        check_conda(before, after, ("depends", "md5"))
        check_wheels(before, after, index=False)


@given(exports(conda=False))
@settings(max_examples=25, deadline=None)
def test_round_trip_through_pylock(item: Exporting) -> None:
    text = write("pylock", item).text
    lock = read("pylock", text, platforms=item.platforms)
    for before, after in zip(item.environments, lock.environments, strict=True):
        assert after.python == before.python
        check_wheels(before, after, index=True)
        for wheel in before.wheels:
            archive = by_name(after)[wheel.name].archive
            assert (archive.size, archive.upload_time) == (wheel.size, wheel.upload_time)


@given(exports(conda=True))
@settings(max_examples=25, deadline=None)
def test_round_trip_through_explicit_files(item: Exporting) -> None:
    for environment in item.environments:
        one = exporting((environment,))
        text = write("explicit", one).text
        lock = read("explicit", text, platforms=(environment.platform,))
        check_conda(environment, lock.environments[0], ())
        order = [line.rpartition("/")[2].partition("#")[0] for line in text.splitlines() if "://" in line]
        assert sorted(order) == sorted(package.file for package in environment.conda)


@given(exports(conda=False))
@settings(max_examples=25, deadline=None)
def test_round_trip_through_requirements(item: Exporting) -> None:
    """Our own reader of requirement files finds the same names, versions and digests."""
    for environment in item.environments:
        text = write("requirements", exporting((environment,))).text
        asked = {one.name: one for one in foreign.read("requirements", text.encode(), "r.txt").pypi.packages}
        assert set(asked) == {wheel.name for wheel in environment.wheels}
        for wheel in environment.wheels:
            if wheel.url is None:
                assert asked[wheel.name].version == f"=={wheel.version}"
                assert asked[wheel.name].hashes == (wheel.sha256,)
            else:
                assert asked[wheel.name].source is not None


@given(exports(conda=True))
@settings(max_examples=25, deadline=None)
def test_round_trip_through_environment_yml(item: Exporting) -> None:
    for environment in item.environments:
        text = write("environment-yml", exporting((environment,))).text
        asked = foreign.read("environment-yml", text.encode(), "environment.yml")
        have = {one.name: (one.version, one.build) for one in asked.conda.packages}
        for package in environment.conda:
            if package.name != "python":
                assert have[package.name] == (f"=={package.version}", package.build)
        assert {one.name for one in asked.pypi.packages} == {wheel.name for wheel in environment.wheels}


def test_the_project_itself_is_no_package() -> None:
    text = PYLOCK + "[[packages]]\nname = 'shop'\ndirectory = {path = '.', editable = true}\n"
    text += "[[packages]]\nname = 'lib'\ndirectory = {path = 'libs/lib', editable = true}\n"
    lock = read("pylock", text)
    assert [item.name for item in lock.environments[0].pypi] == ["lib", "linter", "numpy"]
    assert any("left out: shop itself" in note for note in lock.notes)


def test_losses_are_said() -> None:
    environment = LockedEnvironment(
        platform=LINUX,
        python="3.11",
        interpreter="conda",
        system=(),
        conda=(_conda("python", "3.11.7", "h1_0", LINUX, None, ()),),
        wheels=(Wheel(name="six", version="1", file="six-1-py3-none-any.whl", sha256=Digest(SHA), index="mine"),),
        sources=(
            SourcePackage(
                name="theirs",
                version="1",
                file="theirs-1.tar",
                sha256=Digest(SHA),
                git="https://x.example.com/t",
                commit="c" * 40,
            ),
            SourcePackage(name="ours", version="1", file="ours-1.tar", sha256=Digest(SHA), path="libs/ours"),
        ),
        variables=(("A", "b"),),
    )
    said = {name: " | ".join(write(name, exporting((environment,))).losses) for name in WRITTEN}
    for name, words in WRITTEN.items():
        for word in words:
            assert word in said[name], (name, word, said[name])


WRITTEN = {
    "requirements": ("1 conda packages: python", "variables that are set on activation: A", "ours, theirs: what comes"),
    "environment-yml": ("the digests of all packages", "that there is no pip"),
    "explicit": ("the 3 PyPI packages: ours, six, theirs",),
    "conda-lock": ("ours: what comes from a folder", "build numbers"),
    "pixi": ("sizes of wheels",),
    "pylock": ("1 conda packages: python",),
}


def test_errors_are_of_the_file() -> None:
    for format_name in ("pylock", "uv-lock", "conda-lock", "pixi-lock"):
        for text in ("", "[", "version: 1000\n", 'version = 1000\nlock-version = "9"\n', "\x00", "- a\n- b\n"):
            with pytest.raises(EnvbuildError) as caught:
                read(format_name, text)
            assert caught.value.exit_code in {2, 3}
            assert caught.value.where is not None


def test_the_members_of_a_workspace_without_a_project_are_asked_for() -> None:
    text = UV.replace(
        'source = { editable = "." }\ndependencies = [{ name = "ring", extra = ["gold"] }, { name = "tools" }]',
        'source = { virtual = "." }',
    )
    text = text.replace(
        'source = { editable = "libs/tools" }',
        'source = { editable = "libs/tools" }\ndependencies = [{ name = "ring" }]',
    )
    text = text.replace('members = ["shop", "tools"]', 'members = ["shop", "tools", "ring"]')
    lock = read("uv-lock", text)
    assert {item.name for item in lock.environments[0].pypi} == {"ring", "finger"}
    assert lock.name == "tools"


def source(name: str, **place: str) -> SourcePackage:
    file = f"{name}-1.tar" if {"git", "path"} & set(place) else f"{name}-1.tar.gz"
    return SourcePackage(name=name, version="1", file=file, sha256=digest(file), **place)  # type: ignore[arg-type]


SOURCES = (
    source("archive", url="https://direct.example.com/archive-1.tar.gz"),
    source("commit", git="https://git.example.com/commit.git", commit="c" * 40, subdirectory="python"),
    source("folder", path="libs/folder"),
    source("packed", index="mine"),
)


@pytest.mark.parametrize("format_name", ["pylock", "pixi-6", "pixi-7", "conda-lock"])
def test_sources_go_and_come_back(format_name: str) -> None:
    conda = format_name != "pylock"
    environment = LockedEnvironment(
        platform=LINUX,
        python="3.11",
        interpreter="conda" if conda else "host",
        system=DEFAULTS[LINUX],
        conda=(_conda("python", "3.11.7", "h1_0_cpython", LINUX, None, ()),) if conda else (),
        sources=SOURCES,
    )
    name = format_name.removesuffix("-6").removesuffix("-7")
    text = write(name, exporting((environment,), 7 if format_name.endswith("-7") else 6)).text
    (back,) = read("pixi-lock" if name == "pixi" else name, text).environments
    found = by_name(back)
    assert set(found) == {"archive", "commit", "packed"} | (set() if name == "conda-lock" else {"folder"})
    assert (found["commit"].git, found["commit"].commit) == ("https://git.example.com/commit.git", "c" * 40)
    assert found["commit"].subdirectory == "python"
    assert found["archive"].direct
    assert found["archive"].archive.url == "https://direct.example.com/archive-1.tar.gz"
    assert found["packed"].archive.sha256 == SOURCES[3].sha256
    assert not found["packed"].direct
    if name != "conda-lock":
        assert found["folder"].path in {"libs/folder", "./libs/folder"}
