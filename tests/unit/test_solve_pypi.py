"""PyPI solves by the real uv: on loopback indices of small wheels, for targets that this machine is not."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from envbuild.addresses import Addresses
from envbuild.derivations.solve import Fragment, Solve, fragment_bytes, fragment_from_bytes, realise
from envbuild.digest import Digest
from envbuild.errors import EnvbuildError, IntegrityError, InvalidInput, UnreachableError, UnsatisfiableError, Where
from envbuild.machine.virtual import default_system
from envbuild.machine.workspace import Workspace
from envbuild.package import PLATFORMS, CondaPackage, Platform, Wheel
from envbuild.recipe import CondaRequirement, Index, PypiRequirement, UrlSource
from envbuild.request import PlatformRequest
from envbuild.solvers.sources import places_of
from envbuild.solvers.wheel_metadata import PARALLEL
from tests.support.managed_python import ManagedPython
from tests.support.servers import Server
from tests.support.wheel_index import WheelIndex
from tests.support.wheels import make_wheel

LINUX = Platform("linux-64")
Run = Callable[..., Fragment]


@pytest.fixture
def run(home: Path, tmp_path: Path, wheel_index: Server) -> Run:
    """Solve a request; the machine's default index is ``wheel_index``."""

    def solved(
        request: PlatformRequest,
        *,
        interpreter: str = "host",
        index: str | None = f"{wheel_index.url}/simple",
        conda: Fragment | None = None,
        addresses: Addresses | None = None,
        **fields: Any,
    ) -> Fragment:
        place = addresses or Addresses(root=tmp_path.as_posix(), index=index)
        with Workspace(home, place) as workspace:
            inputs: dict[Digest, Any] = {}
            if conda is not None:
                interpreter = "conda"
                fields["after"] = Digest("a" * 64)
                inputs = {fields["after"]: {"out": workspace.put_bytes(fragment_bytes(conda))}}
            solve = Solve(ecosystem="pypi", request=request, interpreter=interpreter, **fields)
            out = realise(solve, workspace.for_job(solve, inputs))["out"]
            path = workspace.store.blobs.path(out.sha256)
            assert path is not None
            return fragment_from_bytes(path.read_bytes())

    return solved


def need(name: str, version: str = "", line: int = 7, **fields: Any) -> PypiRequirement:
    return PypiRequirement(name=name, version=version, where=Where(file="recipes/x.yaml", line=line), **fields)


def ask(
    *packages: PypiRequirement, platform: str = LINUX, python: str | None = "3.11.*", **fields: Any
) -> PlatformRequest:
    name = Platform(platform)
    system = default_system(name, fields.pop("system", None))
    return PlatformRequest(platform=name, python=python, system=system, pypi=packages, **fields)


def versions(fragment: Fragment) -> dict[str, str]:
    return {wheel.name: wheel.version for wheel in fragment.wheels}


def by_name(fragment: Fragment) -> dict[str, Wheel]:
    return {wheel.name: wheel for wheel in fragment.wheels}


def refused(run: Run, request: PlatformRequest, kind: type[EnvbuildError] = UnsatisfiableError, **more: Any) -> Any:
    with pytest.raises(kind) as caught:
        run(request, **more)
    assert "/stubs/" not in caught.value.message
    return caught.value


def test_a_wheel_says_all_that_a_lock_needs(run: Run, toy_wheels: Path) -> None:
    fragment = run(ask(need("toy")))
    toy, core = fragment.wheels
    file = toy_wheels / "toy-2.0-py3-none-any.whl"
    assert toy == Wheel(
        name="toy",
        version="2.0",
        file=file.name,
        sha256=Digest(hashlib.sha256(file.read_bytes()).hexdigest()),
        index="default",
        size=file.stat().st_size,
        upload_time="2024-01-01T00:00:00Z",
        license="MIT",
        requires=("toy-core",),
        asked=True,
    )
    assert (core.name, core.version, core.asked) == ("toy-core", "1.5", False)
    assert fragment.series == "3.11"


def test_nothing_of_the_machine_gets_into_the_result(
    run: Run, toy_wheels: Path, serving: Callable[..., Server]
) -> None:
    servers = serving(WheelIndex(folder=toy_wheels)), serving(WheelIndex(folder=toy_wheels), host="localhost")
    found = [run(ask(need("toy")), index=f"{server.url}/simple") for server in servers]
    assert found[0] == found[1]
    assert b"127.0.0.1" not in fragment_bytes(found[0])


def test_markers_and_wheels_are_the_targets(run: Run) -> None:
    request = ask(need("toy-paint"), need("toy-compiled"))
    for platform in ("linux-64", "osx-arm64", "win-64"):
        fragment = run(replace(request, platform=Platform(platform), system=default_system(Platform(platform))))
        assert ("toy-windows" in versions(fragment)) == (platform == "win-64")
        assert by_name(fragment)["toy-paint"].requires == (
            ("toy-core", "toy-windows") if platform == "win-64" else ("toy-core",)
        )
        word = {"linux-64": "manylinux", "osx-arm64": "macosx", "win-64": "win_amd64"}[platform]
        assert word in by_name(fragment)["toy-compiled"].file


def test_requirements_with_markers_of_another_platform_add_nothing(run: Run) -> None:
    assert versions(run(ask(need("toy-core"), need("toy-windows", markers='sys_platform == "win32"')))) == {
        "toy-core": "1.5"
    }


def test_a_wheel_above_the_floor_is_refused_with_what_there_is(run: Run) -> None:
    assert versions(run(ask(need("toy-new-glibc"), system={"__glibc": "2.39"}))) == {"toy-new-glibc": "1.0"}
    error = refused(run, ask(need("toy-new-glibc")))
    assert "manylinux_2_39_x86_64" in (error.hint or "")
    assert "`system: {__glibc: " in (error.hint or "")
    assert "recipes/x.yaml:7: toy-new-glibc" in error.message
    assert error.exit_code == 11


def test_requires_python_is_the_targets(run: Run) -> None:
    assert versions(run(ask(need("toy-old-python")))) == {"toy-old-python": "1.0"}
    assert "Python" in refused(run, ask(need("toy-old-python", ">=2"))).message


def test_extras_and_edges_come_from_the_wheels(run: Run) -> None:
    fragment = by_name(run(ask(need("toy-extras", extras=("all",)))))
    assert fragment["toy-extras"].extras == ("all", "colour")
    assert fragment["toy-extras"].requires == ("toy-core", "toy-paint")
    assert fragment["toy-paint"].requires == ("toy-core",)


@pytest.mark.parametrize("ranges", [True, False])
def test_metadata_comes_from_the_wheel_where_the_index_has_none(
    run: Run, toy_wheels: Path, serving: Callable[..., Server], ranges: bool
) -> None:
    bare = serving(WheelIndex(folder=toy_wheels, metadata=False))
    bare.ranges = ranges
    fragment = by_name(run(ask(need("toy-extras", extras=("colour",))), index=f"{bare.url}/simple"))
    assert fragment["toy-extras"].requires == ("toy-paint",)


def test_metadata_is_asked_for_while_uv_still_resolves(run: Run, wheel_index: Server) -> None:
    wheel_index.latency = 0.15
    run(ask(need("toy")))
    paths = [request.path.rsplit("/", 1)[-1] for request in wheel_index.matching("*.metadata")]
    first, last = "toy-2.0-py3-none-any.whl.metadata", "toy_core-1.5-py3-none-any.whl.metadata"
    assert (paths.count(first), paths.count(last)) == (2, 2)
    assert paths[:2] == [first, first], "uv tells no longer what it asks for, or in other words"


def test_a_server_without_copies_of_metadata_is_not_asked_for_each(
    run: Run, tmp_path: Path, serving: Callable[..., Server]
) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    names = [f"one-of-{number}" for number in range(3 * PARALLEL)]
    for name in names:
        make_wheel(folder, name, "1.0")
    bare = serving(WheelIndex(folder=folder, metadata=False))
    found = by_name(run(ask(*(need(name) for name in names)), index=f"{bare.url}/simple"))
    assert sorted(found) == sorted(names)
    assert bare.count("*.metadata") <= PARALLEL


def test_an_index_without_hashes_gives_one_all_the_same(
    run: Run, toy_wheels: Path, serving: Callable[..., Server]
) -> None:
    plain = serving(WheelIndex(folder=toy_wheels, json=False, hashes=False))
    fragment = run(ask(need("toy-core")), index=f"{plain.url}/simple")
    data = (toy_wheels / "toy_core-1.5-py3-none-any.whl").read_bytes()
    assert by_name(fragment)["toy-core"].sha256 == hashlib.sha256(data).hexdigest()


def test_a_wheel_that_is_another_package_is_refused(run: Run, tmp_path: Path, serving: Callable[..., Server]) -> None:
    folder = tmp_path / "wheels"
    folder.mkdir()
    make_wheel(folder, "liar", "1.0").rename(folder / "honest-1.0-py3-none-any.whl")
    error = refused(run, ask(need("honest")), EnvbuildError, index=f"{serving(WheelIndex(folder=folder)).url}/simple")
    assert error.exit_code in {IntegrityError.exit_code, 3}


def test_contradictions_show_uvs_words_and_the_recipes_lines(run: Run) -> None:
    error = refused(
        run,
        ask(need("toy-core", ">=1", line=3), need("toy", line=4), pypi_constraints=(need("toy-core", "<1", line=5),)),
    )
    assert error.reference == "unsatisfiable"
    assert "recipes/x.yaml:3: toy-core >=1" in error.message
    assert "recipes/x.yaml:5: toy-core <1 (constraint)" in error.message
    assert "Because you require" in error.message


def test_overrides_and_constraints(run: Run) -> None:
    assert versions(run(ask(need("toy"), pypi_constraints=(need("toy", "<2"),))))["toy"] == "1.1"
    assert versions(run(ask(need("toy"), pypi_overrides=(need("toy-core", "==1.0"),))))["toy-core"] == "1.0"


def test_prereleases_are_asked_for(run: Run) -> None:
    assert versions(run(ask(need("toy-core"))))["toy-core"] == "1.5"
    assert versions(run(ask(need("toy-core"), prereleases=True)))["toy-core"] == "2.0rc1"
    assert versions(run(ask(need("toy-core"), prereleases=("toy-core",))))["toy-core"] == "2.0rc1"
    assert versions(run(ask(need("toy-core"), prereleases=("toy",))))["toy-core"] == "1.5"


def test_a_wheel_by_address(run: Run, wheel_index: Server, toy_wheels: Path) -> None:
    file = "toy_core-1.0-py3-none-any.whl"
    page = next(item for item in _links(wheel_index) if item.endswith(file))
    digest = Digest(hashlib.sha256((toy_wheels / file).read_bytes()).hexdigest())
    wheel = run(ask(need("toy-core", source=UrlSource(url=page, sha256=digest)))).wheels[0]
    assert (wheel.url, wheel.index, wheel.version, wheel.sha256) == (page, None, "1.0", digest)
    local = (toy_wheels / file).as_uri()
    with pytest.raises(IntegrityError) as caught:
        run(ask(need("toy-core", source=UrlSource(url=local, sha256=Digest("1" * 64)))))
    assert caught.value.where == Where(file="recipes/x.yaml", line=7)


def _links(server: Server) -> list[str]:
    import json
    import urllib.request

    request = urllib.request.Request(
        f"{server.url}/simple/toy-core/", headers={"Accept": "application/vnd.pypi.simple.v1+json"}
    )
    with urllib.request.urlopen(request) as answer:
        files = json.load(answer)["files"]
    return [urllib.parse.urljoin(f"{server.url}/simple/toy-core/", item["url"]) for item in files]


def test_the_first_index_that_has_a_name_wins_and_is_recorded(
    run: Run, tmp_path: Path, serving: Callable[..., Server]
) -> None:
    own = tmp_path / "own"
    own.mkdir()
    make_wheel(own, "toy-core", "1.1")
    url = f"{serving(WheelIndex(folder=own)).url}/simple"
    named = Index(name="team", url=url)
    fragment = by_name(run(ask(need("toy"), extra_indices=(named,))))
    assert (fragment["toy-core"].version, fragment["toy-core"].index) == ("1.1", "team")
    assert (fragment["toy"].version, fragment["toy"].index) == ("2.0", "default")
    plain = by_name(run(ask(need("toy-core"), extra_indices=(Index(name=url, url=url),))))
    assert plain["toy-core"].index == url
    assert "no version" in refused(run, ask(need("toy-core", "==1.5"), extra_indices=(named,))).message


def test_the_machine_s_additional_index_comes_before_its_default(
    tmp_path: Path, wheel_index: Server, serving: Callable[..., Server]
) -> None:
    """A name that a team uses at home cannot be taken by registering it elsewhere."""
    own = tmp_path / "own"
    own.mkdir()
    make_wheel(own, "toy-core", "0.1")
    team = f"{serving(WheelIndex(folder=own)).url}/simple"
    default = f"{wheel_index.url}/simple"
    places = places_of(ask(need("toy-core")), Addresses(root="/", index=default, extra_indices=(team,)))
    assert places.variables() == {"UV_INDEX": team, "UV_DEFAULT_INDEX": default}


def test_a_requirement_may_name_its_index(run: Run, tmp_path: Path, serving: Callable[..., Server]) -> None:
    own = tmp_path / "own"
    own.mkdir()
    make_wheel(own, "toy", "9.0")
    named = Index(name="team", url=f"{serving(WheelIndex(folder=own)).url}/simple")
    fragment = by_name(run(ask(need("toy", index="team"), need("toy-core"), extra_indices=(named,))))
    assert (fragment["toy"].index, fragment["toy"].version) == ("team", "9.0")
    assert fragment["toy-core"].index == "default"


def test_find_links_and_no_index(run: Run, toy_wheels: Path, tmp_path: Path) -> None:
    (tmp_path / "links").symlink_to(toy_wheels)
    fragment = by_name(run(ask(need("toy-core"), find_links=("./links",), no_index=True)))
    assert (fragment["toy-core"].find_links, fragment["toy-core"].index) == ("./links", None)
    machine = Addresses(root=tmp_path.as_posix(), index=None, find_links=(toy_wheels.as_uri(),))
    assert "not found" in refused(run, ask(need("toy-core"), no_index=True), addresses=machine).message


def test_the_machines_own_places_are_the_default(
    run: Run, toy_wheels: Path, tmp_path: Path, wheel_index: Server
) -> None:
    own = tmp_path / "own"
    own.mkdir()
    make_wheel(own, "only-here", "1.0")
    index = f"{wheel_index.url}/simple"
    machine = Addresses(root=tmp_path.as_posix(), index=index, find_links=(own.as_uri(),))
    assert by_name(run(ask(need("only-here")), addresses=machine))["only-here"].index == "default"


def test_a_cut_off_and_what_it_cannot_judge(run: Run, toy_wheels: Path, serving: Callable[..., Server]) -> None:
    dates = {"toy-2.0-py3-none-any.whl": "2025-06-01T00:00:00Z"}
    dated = f"{serving(WheelIndex(folder=toy_wheels, dates=dates)).url}/simple"
    assert versions(run(ask(need("toy")), cut_off="2025-01-01T00:00:00Z", index=dated))["toy"] == "1.1"
    undated = f"{serving(WheelIndex(folder=toy_wheels, dates=None)).url}/simple"
    assert "upload dates" in (refused(run, ask(need("toy")), cut_off="2025-01-01T00:00:00Z", index=undated).hint or "")
    both = ask(need("toy"), extra_indices=(Index(name="dated", url=dated),), find_links=(toy_wheels.as_uri(),))
    notes = run(both, cut_off="2025-01-01T00:00:00Z", index=undated).notes
    assert any("find-links have no dates" in note for note in notes)


def test_a_lock_before_is_preferred_and_gives_way(run: Run) -> None:
    before = run(ask(need("toy", "==1.0"), need("toy-core", "==1.0"))).wheels
    assert versions(run(ask(need("toy")), keep_wheels=before)) == {"toy": "1.0", "toy-core": "1.0"}
    assert versions(run(ask(need("toy", ">=2")), keep_wheels=before)) == {"toy": "2.0", "toy-core": "1.0"}


def test_a_base_stays_and_one_package_more_is_one_package_more(run: Run) -> None:
    base = run(ask(need("toy", "==1.0"))).wheels
    derived = run(ask(need("toy"), need("toy-paint")), pins_wheels=base)
    assert versions(derived) == {"toy": "1.0", "toy-core": "1.5", "toy-paint": "1.0"}
    assert {item.identity for item in base} < {item.identity for item in derived.wheels}
    assert {item.identity for item in run(ask(), pins_wheels=base).wheels} == {item.identity for item in base}
    error = refused(run, ask(need("toy", ">=2")), pins_wheels=base)
    assert "toy ==1.0 (pinned by the base)" in error.message


def test_a_base_stays_when_its_index_forgot_it_and_asks_nothing_of_it(
    run: Run, tmp_path: Path, serving: Callable[..., Server]
) -> None:
    base = run(ask(need("toy", "==1.0"))).wheels
    own = tmp_path / "own"
    own.mkdir()
    make_wheel(own, "addition", "1.0", requires=["toy"])
    server = serving(WheelIndex(folder=own))
    derived = run(ask(need("toy"), need("addition")), pins_wheels=base, index=f"{server.url}/simple")
    assert versions(derived) == {"toy": "1.0", "toy-core": "1.5", "addition": "1.0"}
    assert {item.identity for item in base} < {item.identity for item in derived.wheels}
    assert by_name(derived)["addition"].requires == ("toy",)
    assert by_name(derived)["toy"].requires == ("toy-core",)
    assert {item.index for item in derived.wheels} == {"default"}
    assert server.count("/simple/toy*") == 0


def conda(*packages: tuple[str, str], purls: tuple[str, ...] = ()) -> Fragment:
    """A conda solve's result with a Python and Python packages."""
    rows = [("python", "3.11.7"), *packages]
    return Fragment(
        python="3.11.7",
        conda=tuple(
            CondaPackage(
                name=name,
                version=version,
                build="0",
                build_number=0,
                subdir="noarch",
                file=f"{name}-{version}-0.conda",
                sha256=Digest("b" * 64),
                channel="team",
                depends=("python >=3.8",) if name != "python" else (),
                purls=purls if name not in {"python"} else (),
            )
            for name, version in rows
        ),
    )


def test_conda_wins_and_stubs_never_show(run: Run) -> None:
    fragment = run(ask(need("toy"), need("toy-paint")), conda=conda(("toy-core", "1.0")))
    assert versions(fragment) == {"toy": "2.0", "toy-paint": "1.0"}
    assert by_name(fragment)["toy"].requires == ("toy-core",)
    assert run(ask(need("toy-core")), conda=conda(("toy-core", "1.0"))).wheels == ()


def test_a_contradiction_names_both_sides(run: Run) -> None:
    where = Where(file="recipes/x.yaml", line=2)
    request = ask(need("toy-core", ">=1.5"), conda=(CondaRequirement(name="toy-core", where=where),))
    error = refused(run, request, conda=conda(("toy-core", "1.0")))
    assert "recipes/x.yaml:7: toy-core >=1.5" in error.message
    assert "recipes/x.yaml:2: toy-core 1.0 (provided by conda)" in error.message
    assert "file:" not in error.message


def test_names_differ_by_purl_and_by_table(run: Run) -> None:
    fragment = run(ask(need("toy")), conda=conda(("c-toy-core", "1.0"), purls=("pkg:pypi/Toy.Core@1.0",)))
    assert versions(fragment) == {"toy": "2.0"}
    assert by_name(fragment)["toy"].requires == ("c-toy-core",), "locked names, as conda has them"


def test_extras_of_what_conda_provides(run: Run) -> None:
    fragment = run(ask(need("toy-extras", extras=("colour",))), conda=conda(("toy-extras", "1.0")))
    assert versions(fragment) == {"toy-core": "1.5", "toy-paint": "1.0"}
    none = run(ask(need("toy-extras", extras=("nonesuch",))), conda=conda(("toy-extras", "1.0")))
    assert none.wheels == ()
    assert none.notes == ("toy-extras has no extra named nonesuch",)


@pytest.mark.parametrize("markers", ["python_version > '3'\n--index-url http://host.invalid/", "a\rb", "a\x00"])
def test_a_requirement_is_one_line(run: Run, markers: str) -> None:
    assert refused(run, ask(need("toy", markers=markers)), InvalidInput).reference == "bad-requirement"


@pytest.mark.parametrize(
    ("python", "interpreter", "cut_off", "purity"),
    [
        ("3.11.*", "host", "2025-01-01T00:00:00Z", "pure"),
        ("3.11.*", "host", None, "impure"),
        (None, "host", "2025-01-01T00:00:00Z", "impure"),
        ("3.11.*", "managed", "2025-01-01T00:00:00Z", "impure"),
        (None, "conda", "2025-01-01T00:00:00Z", "pure"),
    ],
)
def test_only_what_is_the_same_everywhere_tomorrow_is_pure(
    python: str | None, interpreter: str, cut_off: str | None, purity: str
) -> None:
    solve = Solve(ecosystem="pypi", request=ask(need("toy"), python=python), interpreter=interpreter, cut_off=cut_off)
    assert solve.purity == purity


def test_a_silent_index_is_exit_5(run: Run, serving: Callable[..., Server], tmp_path: Path) -> None:
    server = serving(tmp_path)
    server.close()
    error = refused(run, ask(need("toy")), UnreachableError, index=f"{server.url}/simple")
    assert error.exit_code == 5


def test_credentials_of_the_machine_show_nowhere(run: Run, toy_wheels: Path, serving: Callable[..., Server]) -> None:
    server = serving(WheelIndex(folder=toy_wheels))
    server.require_basic("anna", "hush-hush")
    index = f"{server.url_with('anna', 'hush-hush')}/simple"
    fragment = run(ask(need("toy")), index=index)
    assert versions(fragment)["toy"] == "2.0"
    assert b"hush" not in fragment_bytes(fragment)
    error = refused(run, ask(need("toy", ">=99")), index=index)
    assert "hush" not in error.message
    wrong = server.url_with("anna", "wrong-one")
    error = refused(run, ask(need("toy")), EnvbuildError, index=f"{wrong}/simple")
    assert "wrong-one" not in error.message


def test_host_python_is_this_machines_newest_that_fits(run: Run) -> None:
    import sys

    here = f"{sys.version_info[0]}.{sys.version_info[1]}"
    assert run(ask(python=f"{here}.*")).series == here
    assert run(ask(python=f">={here}.1,<{here}.99")).python == f"{here}.1"
    error = refused(run, ask(python=">=3.19"))
    assert (error.exit_code, error.reference) == (11, "no-python")


def test_a_managed_python_is_locked_by_its_bytes(run: Run, managed_python: tuple[ManagedPython, Server]) -> None:
    python, server = managed_python
    from tests.support.channel import this_platform

    request = ask(need("toy"), platform=this_platform(), python=".".join(python.version.split(".")[:2]) + ".*")
    fragment = run(request, interpreter="managed")
    assert fragment.archive is not None
    assert (fragment.archive.version, fragment.archive.sha256) == (python.version, python.sha256)
    assert fragment.archive.file == python.archive.name
    assert fragment.python == python.version
    assert server.count("*.tar.gz") <= 1
    error = refused(run, replace(request, python="3.7.*"), interpreter="managed")
    assert error.reference == "no-python"


@pytest.mark.parametrize("platform", PLATFORMS)
def test_the_machines_own_index_serves_every_platform(run: Run, platform: Platform) -> None:
    request = ask(need("requests", extras=("socks",)), need("numpy", "<3"), platform=platform, python="3.12.*")
    try:
        fragment = by_name(run(request, index=None))
    except UnreachableError as error:
        pytest.skip(f"NO INDEX: this machine's default package index does not answer ({error.message})")
    assert {"charset-normalizer", "idna", "pysocks", "urllib3"} <= set(fragment["requests"].requires)
    word = {"linux-64": "x86_64", "linux-aarch64": "aarch64", "osx-64": "x86_64", "osx-arm64": "arm64"}
    assert word.get(platform, "win_amd64") in fragment["numpy"].file
    assert {wheel.index for wheel in fragment.values()} == {"default"}
