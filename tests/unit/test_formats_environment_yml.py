"""environment.yml: channels, specs in every spelling, pip lists, and what is refused."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from envbuild.errors import InvalidInput
from envbuild.formats import Foreign, read
from envbuild.formats.asked import Asked
from envbuild.formats.match_spec import read_match_spec
from envbuild.recipe import CondaRequirement

SHA = "fcde2b2edba56bf408601fb721fe9b5c338d10ee429ea04fae5511b68fbf8fb9"


def asked(text: str, file: str = "environment.yml", files: Mapping[str, str] | None = None) -> Foreign:
    return read("environment-yml", text.encode(), file, lambda path: (files or {})[path].encode())


def told(text: str) -> list[str]:
    with pytest.raises(InvalidInput) as caught:
        asked(text)
    return [f"{issue.where} {issue.reference}" for issue in caught.value.all_issues()]


def test_a_whole_file() -> None:
    found = asked(
        """name: My Env
channels: [conda-forge, nodefaults, ../channel, "https://h/c/"]
dependencies:
  - python=3.9
  - numpy 1.21.*
  - "pandas >=1 # why"
  - pip
  - pip:
      - -r more.txt
      - requests[socks] ; os_name == 'nt'
      - --extra-index-url https://h/s
variables: {A: 1, B: "x y"}
prefix: /home/x/envs/x
""",
        "envs/environment.yml",
        {"envs/more.txt": "six>1\n"},
    )
    assert found.name == "My Env"
    assert found.python == "3.9.*"
    assert str(found.python_where) == "envs/environment.yml:4:5"
    assert found.conda.channels == ("conda-forge", "./channel", "https://h/c")
    assert [(item.name, item.version, str(item.where)) for item in found.conda.packages] == [
        ("numpy", "1.21.*", "envs/environment.yml:5:5"),
        ("pandas", ">=1", "envs/environment.yml:6:5"),
        ("pip", "", "envs/environment.yml:7:5"),
    ]
    assert [(item.name, item.version, item.markers, str(item.where)) for item in found.pypi.packages] == [
        ("requests", "", 'os_name == "nt"', "envs/environment.yml:10:9"),
        ("six", ">1", None, "envs/more.txt:1:1"),
    ]
    assert [index.url for index in found.pypi.extra_indices] == ["https://h/s"]
    assert found.variables == (("A", "1"), ("B", "x y"))
    assert [(note.reference, str(note.where)) for note in found.notes] == [("no-meaning", "envs/environment.yml:13:1")]


@pytest.mark.parametrize(
    ("spec", "name", "version", "build", "channel"),
    [
        ("numpy", "numpy", "", None, None),
        ("NumPy=1.21", "numpy", "1.21.*", None, None),
        ("numpy==1.21", "numpy", "==1.21", None, None),
        ("numpy 1.21", "numpy", "==1.21", None, None),
        ("numpy 1.21.*", "numpy", "1.21.*", None, None),
        ("numpy =1.21", "numpy", "1.21.*", None, None),
        ("numpy >=1.21, <2", "numpy", "<2,>=1.21", None, None),
        ("numpy>=1.21|<1", "numpy", ">=1.21|<1", None, None),
        ("numpy=1.21=py39_0", "numpy", "==1.21", "py39_0", None),
        ("numpy==1.21=py39_0", "numpy", "==1.21", "py39_0", None),
        ("numpy 1.21 py39_0", "numpy", "==1.21", "py39_0", None),
        ("numpy=1.21.*=py*_0", "numpy", "1.21.*", "py*_0", None),
        ("libblas=*=*openblas", "libblas", "", "*openblas", None),
        ("libblas * *openblas", "libblas", "", "*openblas", None),
        ("conda-forge::numpy>=1", "numpy", ">=1", None, "conda-forge"),
        ("conda-forge/label/dev::numpy", "numpy", "", None, "conda-forge/label/dev"),
        ("https://h/c::numpy=1", "numpy", "1.*", None, "https://h/c"),
        ("numpy[version='>=1.21,<2',build=py39*]", "numpy", "<2,>=1.21", "py39*", None),
        ('numpy[version=">=1",channel=bioconda]', "numpy", ">=1", None, "bioconda"),
        ("_libgcc_mutex=0.1=conda_forge", "_libgcc_mutex", "==0.1", "conda_forge", None),
        ("python 3.8.* *_cpython", "python", "3.8.*", "*_cpython", None),
    ],
)
def test_specs(spec: str, name: str, version: str, build: str | None, channel: str | None) -> None:
    from envbuild.errors import Where

    state = Asked()
    found = read_match_spec(spec, Where(file="e"), state)
    assert state.issues == []
    assert found == CondaRequirement(name=name, version=version, build=build, channel=channel)


def test_a_package_by_its_address() -> None:
    found = asked(f"dependencies:\n- https://h/c/noarch/libfoo-1.0-h_0.conda#{SHA}\n").conda.packages
    assert [(item.name, item.url, item.sha256) for item in found] == [
        ("libfoo", "https://h/c/noarch/libfoo-1.0-h_0.conda", SHA)
    ]


def test_python_with_a_build_stays_a_package() -> None:
    found = asked("dependencies:\n- python=3.9.1=h_cpython\n")
    assert found.python is None
    assert [(item.name, item.build) for item in found.conda.packages] == [("python", "h_cpython")]


def test_virtual_packages_are_what_is_assumed() -> None:
    found = asked("dependencies:\n- __cuda>=12.4\n- __glibc=2.28=0\n- __unix\n")
    assert found.system == (("__cuda", "12.4"), ("__glibc", "2.28"))
    assert [note.reference for note in found.notes] == ["lost"]


def test_one_name_twice() -> None:
    found = asked("dependencies: [numpy, 'numpy>=1', 'numpy<2']\n").conda.packages
    assert [(item.name, item.version) for item in found] == [("numpy", "<2,>=1")]
    assert told("dependencies:\n- numpy=1\n- numpy=2\n") == ["environment.yml:3:3 requirements-disagree"]
    joined = asked("dependencies: ['a>=1|<0.5', 'a!=3']\n").conda.packages
    assert joined[0].version in {"!=3,>=1|!=3,<0.5"}


def test_platforms_and_unknown_keys() -> None:
    found = asked("platforms: [linux-64, linux-ppc64le]\ndependencies: [a]\nfoo: 1\n")
    assert found.platforms == ("linux-64",)
    assert sorted(note.reference for note in found.notes) == ["lost", "no-meaning"]


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("dependencies:\n- pywin32  # [win]\n", "selector"),
        ("dependencies:\n- a  # [not win and py>=38]\n", "selector"),
        ("dependencies:\n- sel(win): a\n", "selector"),
        ("dependencies:\n- 'python={{ PY }}'\n", "template"),
        ("dependencies:\n- py*\n", "bad-name"),
        ("dependencies:\n- firefox =>96\n", "bad-version"),
        ("dependencies:\n- a==\n", "bad-version"),
        ("dependencies:\n- a[build_number=1]\n", "not-available"),
        ("dependencies:\n- conda-forge/linux-64::a\n", "not-available"),
        ("dependencies:\n- a[version=]\n", "bad-requirement"),
        ("dependencies:\n- npm: [x]\n", "unknown-key"),
        ("dependencies:\n- [a]\n", "bad-type"),
        ("dependencies: {a: 1}\n", "bad-type"),
        ("channels: [a b]\ndependencies: [a]\n", "bad-channel"),
        ("channels: ['https://h/t/tk-12345678-abc/c']\ndependencies: [a]\n", "secret-in-url"),
        ("variables: {LD_PRELOAD: x}\n", "bad-variable"),
        ("variables: [a]\n", "bad-type"),
        ("dependencies:\n- pip: ['-e .']\n", "editable"),
        ("dependencies:\n- pip: [{a: 1}]\n", "bad-type"),
        ("- a\n", "bad-type"),
        ("a: &x 1\n", "bad-yaml-alias"),
    ],
)
def test_what_is_refused(text: str, reference: str) -> None:
    assert [line.split()[1] for line in told(text)] == [reference]


def test_ordinary_comments_are_no_selectors() -> None:
    assert asked("dependencies:\n- a  # [see the docs]\n- b  # [1]\n- c # why\n").conda.packages


def test_all_findings_at_once() -> None:
    assert told("channels: [a b]\ndependencies:\n- py*\n- b  # [win]\n- pip:\n  - x=1\n  - -e .\n") == [
        "environment.yml:1:12 bad-channel",
        "environment.yml:3:3 bad-name",
        "environment.yml:4:6 selector",
        "environment.yml:6:5 bad-requirement",
        "environment.yml:7:5 editable",
    ]


def test_no_parts_can_be_chosen() -> None:
    with pytest.raises(InvalidInput) as caught:
        read("environment-yml", b"dependencies: [a]", "e.yml", chosen=("dev",))
    assert caught.value.reference == "bad-choice"
