"""What wheels say, and what follows from it for a target."""

from __future__ import annotations

import pytest

from envbuild.conda_names import pep440
from envbuild.digest import Digest
from envbuild.errors import InvalidInput, UnsatisfiableError, Where
from envbuild.package import CondaPackage, Platform
from envbuild.solvers.mixed import make_stubs, pypi_projects
from envbuild.solvers.pylock import choose, read_pylock
from envbuild.solvers.target import Target, marker_environment, wheel_ranks
from envbuild.solvers.wheel_metadata import WheelMetadata, check_python, edges, parse_metadata

TARGET = Target(platform=Platform("linux-64"), python="3.11.4", system=(("__glibc", "2.28"),))


def told(name: str, *requires: str) -> WheelMetadata:
    return WheelMetadata(name=name, version="1", requires=requires)


def test_metadata_is_read_with_folded_lines_and_without_its_body() -> None:
    data = (
        b"Metadata-Version: 2.1\nName: Toy.Core\nVersion: 1.0\nLicense: MIT\nProvides-Extra: Test_All\n"
        b"Requires-Dist: a (>=1)\n ; python_version < '3.12'\nRequires-Python: >=3.8\n\nName: body\nRequires-Dist: no\n"
    )
    assert parse_metadata(data) == WheelMetadata(
        name="Toy.Core",
        version="1.0",
        requires=("a (>=1) ; python_version < '3.12'",),
        extras=("test-all",),
        requires_python=">=3.8",
        license="MIT",
    )
    assert (
        parse_metadata(b"Name: a\nVersion: 1\nLicense-Expression: BSD-3-Clause\nLicense: x\n").license == "BSD-3-Clause"
    )
    assert parse_metadata(b"Name: a\nVersion: 1\nLicense: " + b"very long " * 99 + b"\n").license is None
    with pytest.raises(InvalidInput):
        parse_metadata(b"Metadata-Version: 2.1\n")


def test_edges_follow_markers_and_extras_also_in_circles() -> None:
    metadata = {
        "a": told("a", "b[fast]; extra == 'more'", "c; sys_platform == 'win32'", "d", "not a requirement !!"),
        "b": told("b", "e; extra == 'fast'", "a[other]"),
        "c": told("c"),
        "d": told("d"),
        "e": told("e", "d[x]"),
    }
    needs, extras = edges(metadata, [("a", ("more",), None), ("c", ("y",), "sys_platform == 'win32'")], _environment())
    assert needs == {"a": ("b", "d"), "b": ("a", "e"), "c": (), "d": (), "e": ("d",)}
    assert extras == {"a": ("more", "other"), "b": ("fast",), "c": (), "d": ("x",), "e": ()}


def _environment() -> dict[str, str]:
    return marker_environment(TARGET)


def test_requires_python_is_checked() -> None:
    assert check_python(WheelMetadata(name="a", version="1", requires_python=">=3.8"), "3.11.4") is None
    assert check_python(WheelMetadata(name="a", version="1"), "3.11.4") is None
    assert "needs Python <3.11" in str(
        check_python(WheelMetadata(name="a", version="1", requires_python="<3.11"), "3.11.4")
    )


def test_uvs_answer_becomes_the_best_wheel_of_each_package() -> None:
    good, pure = "2" * 64, "1" * 64
    text = (
        '[[packages]]\nname = "A_b"\nversion = "1.0"\nwheels = [\n'
        f'{{ url = "https://host/x/a_b-1.0-py3-none-any.whl#frag", hashes = {{ sha256 = "{pure}" }} }},\n'
        '{ url = "https://host/x/a_b-1.0-cp311-cp311-manylinux_2_17_x86_64.whl", size = 7, '
        f'upload-time = 2024-01-02T03:04:05Z, hashes = {{ sha256 = "{good}" }} }},\n]\n'
    )
    (wheel,) = choose(read_pylock(text.encode()), wheel_ranks(TARGET), {})
    assert (wheel.name, wheel.file) == ("a-b", "a_b-1.0-cp311-cp311-manylinux_2_17_x86_64.whl")
    assert (wheel.size, wheel.upload_time, wheel.sha256) == (7, "2024-01-02T03:04:05Z", "2" * 64)


def test_packages_without_a_usable_wheel_are_clear_errors() -> None:
    where = Where(file="r.yaml", line=2)
    only = [{"name": "a", "version": "1", "wheels": [{"url": "https://host/a-1-cp312-cp312-win_amd64.whl"}]}]
    with pytest.raises(UnsatisfiableError) as caught:
        choose(only, wheel_ranks(TARGET), {"a": where})
    assert (caught.value.reference, caught.value.where) == ("no-wheel", where)
    assert "win_amd64" in caught.value.message
    for package in (
        {"sdist": {"url": "x.tar.gz"}},
        {"archive": {"url": "https://host/a.zip"}},
        {"vcs": {"type": "git"}},
    ):
        with pytest.raises(UnsatisfiableError) as caught:
            choose([{"name": "a", "version": "1", **package}], wheel_ranks(TARGET), {})
        assert caught.value.reference == "needs-build"
    with pytest.raises(InvalidInput):
        read_pylock(b"\xff not toml")
    outside = [{"name": "a", "version": "1", "wheels": [{"url": "https://host/%2e%2e%2fa-1-py3-none-any.whl"}]}]
    with pytest.raises(UnsatisfiableError):
        choose(outside, wheel_ranks(TARGET), {})


def package(name: str, version: str = "1.0", *depends: str, **more: object) -> CondaPackage:
    fields: dict[str, object] = {"build": "0", "build_number": 0, "subdir": "noarch", "file": "x.conda"}
    return CondaPackage(
        name=name,
        version=version,
        depends=depends,
        channel="c",
        sha256=Digest("a" * 64),
        **{**fields, **more},  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    ("conda", "projects"),
    [
        (package("numpy", "1.26.4", "python >=3.11,<3.12.0a0"), {"numpy": "1.26.4"}),
        (package("ruamel.yaml", "0.18", "python_abi 3.11.* *_cp311"), {"ruamel-yaml": "0.18"}),
        (package("pytorch", "2.1.0", "python"), {"torch": "2.1.0"}),
        (package("tzdata", "2024a", noarch="python"), {"tzdata": "2024a0"}),
        (package("odd", "1.2_3", "python"), {"odd": "1.2.post3"}),
        (package("c-name", "3", purls=("pkg:pypi/Py.Name@2.0",)), {"py-name": "2.0"}),
        (package("openssl", "3.0", "libgcc"), {}),
        (package("python", "3.11.4", "openssl"), {}),
        (package("python_abi", "3.11", "python 3.11.*"), {}),
    ],
)
def test_which_projects_a_conda_package_provides(conda: CondaPackage, projects: dict[str, str]) -> None:
    found = pypi_projects(conda)
    assert list(found) == list(projects)
    if conda.name != "odd":
        assert found == projects


def test_versions_of_conda_in_pep_440() -> None:
    assert pep440("1.26.4") == "1.26.4"
    assert pep440("2024a") == "2024a0"
    assert pep440("1.0_1") is not None
    assert pep440("banana") is None


def test_stubs_hold_only_what_extras_need(tmp_path) -> None:  # type: ignore[no-untyped-def]
    import zipfile

    known = WheelMetadata(name="a", version="1.0", requires=("b", "c; extra == 'x'"), extras=("x",))
    stubs = make_stubs((package("a", "1.0", "python"),), tmp_path / "stubs", {"a": known})
    assert {"name": "A"} in stubs
    assert {"name": "b"} not in stubs
    with zipfile.ZipFile(stubs.wheels["a"]) as archive:
        text = archive.read("a-1.0.dist-info/METADATA").decode()
    assert "Requires-Dist: c; extra == 'x'" in text
    assert "Requires-Dist: b" not in text
    assert "Provides-Extra: x" in text
