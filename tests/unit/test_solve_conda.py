"""conda solves by the real engine: on channels written here, and on real records where they are."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from envbuild.addresses import Addresses
from envbuild.derivations.solve import Fragment, Solve, fragment_from_bytes, realise
from envbuild.digest import Digest
from envbuild.errors import IntegrityError, InvalidInput, UnreachableError, UnsatisfiableError, Where
from envbuild.machine.virtual import default_system
from envbuild.machine.workspace import Workspace
from envbuild.package import PLATFORMS, CondaPackage, Platform
from envbuild.recipe import CondaRequirement
from envbuild.request import PlatformRequest
from tests.support.channel import TestChannel
from tests.support.servers import Server

LINUX = Platform("linux-64")
Run = Callable[..., Fragment]


def record(name: str, version: str, *depends: str, build: str = "0", **more: Any) -> tuple[str, dict[str, Any]]:
    """One repodata record by file name."""
    fields = {"name": name, "version": version, "build": build, "build_number": 0, "depends": list(depends)}
    sha256 = hashlib.sha256(f"{name}{version}{build}".encode()).hexdigest()
    fields |= {"subdir": "linux-64", "sha256": sha256, "timestamp": 1_600_000_000_000, **more}
    return f"{name}-{version}-{build}.conda", {key: value for key, value in fields.items() if value is not None}


def write_channel(folder: Path, *records: tuple[str, dict[str, Any]]) -> str:
    """Write a channel of records; returns its address."""
    for subdir in ("noarch", "linux-64"):
        (folder / subdir).mkdir(parents=True, exist_ok=True)
        own = {file: fields for file, fields in records if fields["subdir"] == subdir}
        text = json.dumps({"info": {"subdir": subdir}, "packages": {}, "packages.conda": own})
        (folder / subdir / "repodata.json").write_text(text)
    return folder.as_uri()


@pytest.fixture
def run(home: Path, tmp_path: Path) -> Run:
    """Solve a request in a workspace; ``run.notes`` has what was said."""
    notes: list[str] = []

    def solved(request: PlatformRequest, *, addresses: Addresses | None = None, **fields: Any) -> Fragment:
        notes.clear()
        place = addresses or Addresses(root=tmp_path.as_posix())
        with Workspace(home, place, note=notes.append) as workspace:
            solve = Solve(ecosystem="conda", request=request, interpreter="conda", **fields)
            out = realise(solve, workspace.for_job(solve, {}))["out"]
            path = workspace.store.blobs.path(out.sha256)
            assert path is not None
            fragment = fragment_from_bytes(path.read_bytes())
        assert list(fragment.notes) == notes
        return fragment

    return solved


def ask(*packages: CondaRequirement, channels: tuple[str, ...], **fields: Any) -> PlatformRequest:
    fields = {"platform": LINUX, "python": None, "system": default_system(LINUX), **fields}
    return PlatformRequest(conda=packages, channels=channels, **fields)


def need(name: str, version: str = "", line: int = 7, **fields: Any) -> CondaRequirement:
    return CondaRequirement(name=name, version=version, where=Where(file="recipes/x.yaml", line=line), **fields)


def versions(fragment: Fragment) -> dict[str, str]:
    return {package.name: package.version for package in fragment.conda}


def test_a_package_says_all_that_a_lock_needs(run: Run, tmp_path: Path) -> None:
    rich = record(
        "rich", "1.0", "core", md5="0" * 32, size=12, license="MIT", purls=["pkg:pypi/rich@1.0"], constrains=["z <2"]
    )
    address = write_channel(tmp_path / "c", rich, record("core", "2.0", noarch="generic", subdir="noarch"))
    core, found = run(ask(need("rich"), channels=(address,))).conda
    assert found == CondaPackage(
        name="rich",
        version="1.0",
        build="0",
        build_number=0,
        subdir="linux-64",
        file="rich-1.0-0.conda",
        sha256=Digest(rich[1]["sha256"]),
        channel=address,
        md5="0" * 32,
        size=12,
        license="MIT",
        timestamp=1_600_000_000_000,
        depends=("core",),
        constrains=("z <2",),
        purls=("pkg:pypi/rich@1.0",),
        asked=True,
    )
    assert (core.asked, core.noarch, core.subdir) == (False, "generic", "noarch")


def test_the_channel_is_the_recipes_own_word(run: Run, tmp_path: Path) -> None:
    write_channel(tmp_path / "alias" / "team", record("a", "1"))
    write_channel(tmp_path / "own", record("b", "1"))
    addresses = Addresses(root=tmp_path.as_posix(), channel_alias=(tmp_path / "alias").as_uri() + "/")
    fragment = run(ask(need("a"), need("b"), channels=("team", "./own")), addresses=addresses)
    assert [(item.name, item.channel) for item in fragment.conda] == [("a", "team"), ("b", "./own")]


def test_a_mirror_changes_no_byte(run: Run, tmp_path: Path, serving: Callable[..., Server]) -> None:
    write_channel(tmp_path / "c", record("a", "1", "b"), record("b", "1"))
    one, other = serving(tmp_path / "c"), serving(tmp_path / "c", host="localhost")
    word = "http://channel.invalid/stable"
    fragments = []
    for server in (one, other):
        addresses = Addresses(root=tmp_path.as_posix(), mirrors=((f"{word}/", (f"{server.url}/",)),))
        fragments.append(run(ask(need("a"), channels=(word,)), addresses=addresses))
        assert server.count("*") > 0
    folder = Addresses(root=tmp_path.as_posix(), mirrors=((word, ((tmp_path / "c").as_uri(),)),))
    fragments.append(run(ask(need("a"), channels=(word,)), addresses=folder))
    assert fragments[0] == fragments[1] == fragments[2]
    assert fragments[0].conda[0].channel == word


@pytest.mark.parametrize("version", ["", "==2", ">=2"])
def test_the_first_channel_that_has_a_name_wins(run: Run, tmp_path: Path, version: str) -> None:
    first = write_channel(tmp_path / "first", record("a", "1"))
    second = write_channel(tmp_path / "second", record("a", "2"), record("b", "1", "a"))
    request = ask(need("a", version), need("b"), channels=(first, second))
    if version:
        with pytest.raises(UnsatisfiableError, match="strict channel priority"):
            run(request)
    else:
        assert versions(run(request)) == {"a": "1", "b": "1"}


def test_a_package_may_name_its_channel(run: Run, tmp_path: Path) -> None:
    first = write_channel(tmp_path / "first", record("a", "1"), record("b", "1"))
    second = write_channel(tmp_path / "second", record("a", "2", "b"), record("b", "2"))
    fragment = run(ask(need("a", channel=second), channels=(first,)))
    assert [(item.name, item.version, item.channel) for item in fragment.conda] == [
        ("a", "2", second),
        ("b", "1", first),
    ]


def test_virtual_packages_come_from_the_request_alone(run: Run, tmp_path: Path) -> None:
    address = write_channel(tmp_path / "c", record("a", "1", "__glibc >=2.99"), record("cuda-x", "1", "__cuda >=12"))
    assert versions(run(ask(need("a"), channels=(address,), system=(("__glibc", "2.99"),)))) == {"a": "1"}
    assert versions(run(ask(need("cuda-x"), channels=(address,), system=(("__cuda", "12.4"),)))) == {"cuda-x": "1"}
    with pytest.raises(UnsatisfiableError) as caught:
        run(ask(need("a"), channels=(address,)))
    assert "__glibc 2.28 (system)" in caught.value.message
    assert "recipes/x.yaml:7: a" in caught.value.message


def test_an_unsatisfiable_request_names_the_recipes_lines_and_no_other(run: Run, tmp_path: Path) -> None:
    address = write_channel(
        tmp_path / "c", record("a", "1", "b <2"), record("b", "1"), record("b", "2"), record("z", "1")
    )
    with pytest.raises(UnsatisfiableError) as caught:
        run(ask(need("a", line=3), need("b", ">=2", line=4), need("z", line=5), channels=(address,)))
    error = caught.value
    assert (error.exit_code, error.reference) == (11, "unsatisfiable")
    assert "recipes/x.yaml:3: a" in error.message
    assert "recipes/x.yaml:4: b >=2" in error.message
    assert "recipes/x.yaml:5" not in error.message
    assert error.where == Where(file="recipes/x.yaml", line=3)
    assert {str(item.where) for item in error.issues} == {"recipes/x.yaml:3", "recipes/x.yaml:4"}


def test_constraints_hold_only_for_what_is_there(run: Run, tmp_path: Path) -> None:
    address = write_channel(tmp_path / "c", record("a", "1", "b"), record("b", "1"), record("b", "2"), record("c", "1"))
    request = ask(need("a"), channels=(address,), conda_constraints=(need("b", "<2"), need("c", "<1")))
    assert versions(run(request)) == {"a": "1", "b": "1"}


def test_a_base_stays_as_it_is_even_when_its_channel_forgot_it(run: Run, tmp_path: Path) -> None:
    records = [record("a", "1", "b"), record("b", "1"), record("a", "2", "b"), record("b", "2"), record("c", "1", "b")]
    address = write_channel(tmp_path / "c", *records[:2])
    base = run(ask(need("a"), channels=(address,))).conda
    write_channel(tmp_path / "c", *records[2:])
    derived = run(ask(need("a"), need("c"), channels=(address,)), pins_conda=base)
    assert versions(derived) == {"a": "1", "b": "1", "c": "1"}
    assert derived.conda[:2] == base, "the very records of the base"
    alone = run(ask(channels=(address,)), pins_conda=base)
    assert versions(alone) == {"a": "1", "b": "1"}, "what nothing asks for stays too"
    with pytest.raises(UnsatisfiableError, match=r"b ==1 \(pinned by the base\)"):
        run(ask(need("b", ">=2"), channels=(address,)), pins_conda=base)


def test_a_lock_before_is_preferred_and_gives_way(run: Run, tmp_path: Path) -> None:
    address = write_channel(tmp_path / "c", record("a", "1"), record("a", "2"), record("b", "1"))
    before = run(ask(need("a", "==1"), channels=(address,))).conda
    assert versions(run(ask(need("a"), need("b"), channels=(address,)), keep_conda=before)) == {"a": "1", "b": "1"}
    assert versions(run(ask(need("a", ">=2"), channels=(address,)), keep_conda=before)) == {"a": "2"}
    assert versions(run(ask(need("a"), channels=(address,)))) == {"a": "2"}


def test_a_cut_off_hides_what_is_newer_and_says_what_it_cannot_judge(run: Run, tmp_path: Path) -> None:
    new = record("a", "3", timestamp=1_800_000_000_000)
    address = write_channel(tmp_path / "c", record("a", "1"), record("a", "2", timestamp=None), new)
    fragment = run(ask(need("a"), channels=(address,)), cut_off="2024-01-01T00:00:00Z")
    assert versions(fragment) == {"a": "1"}
    assert fragment.notes == ("a-2-0.conda has no date in its channel: the cut-off 2024-01-01T00:00:00Z leaves it out",)
    assert versions(run(ask(need("a"), channels=(address,)))) == {"a": "3"}
    assert run(ask(need("a", "==1"), channels=(address,)), cut_off="2024-01-01T00:00:00Z").notes == ()


def test_a_channel_without_sha256_gets_one_from_the_bytes(run: Run, tmp_path: Path) -> None:
    data = b"PK not really a package"
    named = record("a", "1", sha256=None, md5=hashlib.md5(data).hexdigest())
    address = write_channel(tmp_path / "c", named)
    (tmp_path / "c" / "linux-64" / named[0]).write_bytes(data)
    fragment = run(ask(need("a"), channels=(address,)))
    assert fragment.conda[0].sha256 == hashlib.sha256(data).hexdigest()
    assert fragment.conda[0].size == len(data)


def test_a_package_by_address(run: Run, channel: TestChannel, tmp_path: Path) -> None:
    file, fields = next(item for item in channel.records("noarch").items() if not item[1]["depends"])
    url = f"{channel.url}/noarch/{file}"
    data = (channel.folder / "noarch" / file).read_bytes()
    asked = need(fields["name"], url=url, sha256=Digest(hashlib.sha256(data).hexdigest()))
    found = next(item for item in run(ask(asked, channels=())).conda if item.name == fields["name"])
    assert (found.url, found.channel, found.file, found.sha256) == (url, None, file, asked.sha256)
    assert run(ask(replace(asked, sha256=None), channels=())).conda[0].sha256 == asked.sha256
    with pytest.raises(IntegrityError):
        run(ask(replace(asked, sha256=Digest("1" * 64)), channels=()))


def test_credentials_of_the_machine_open_a_channel(
    run: Run, tmp_path: Path, serving: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_channel(tmp_path / "c", record("a", "1"))
    server = serving(tmp_path / "c")
    server.require_basic("anna", "hush-hush")
    with pytest.raises(UnreachableError) as caught:
        run(ask(need("a"), channels=(server.url,)))
    assert caught.value.exit_code == 5
    file = tmp_path / "auth.json"
    file.write_text(json.dumps({"127.0.0.1": {"BasicHTTP": {"username": "anna", "password": "hush-hush"}}}))
    monkeypatch.setenv("RATTLER_AUTH_FILE", str(file))
    assert versions(run(ask(need("a"), channels=(server.url,)))) == {"a": "1"}


@pytest.mark.parametrize(
    ("text", "kind", "reference"),
    [(None, UnreachableError, "no-channel"), ("{", InvalidInput, "bad-index"), ("[]", InvalidInput, "bad-index")],
)
def test_a_channel_that_is_none(
    run: Run, tmp_path: Path, text: str | None, kind: type[Exception], reference: str
) -> None:
    address = write_channel(tmp_path / "c", record("a", "1"))
    for path in (tmp_path / "c").glob("*/repodata.json"):
        path.unlink() if text is None else path.write_text(text)
    with pytest.raises(kind) as caught:
        run(ask(need("a"), channels=(address,)))
    assert getattr(caught.value, "reference") == reference  # noqa: B009  the class is a parameter


def test_a_silent_channel_is_exit_5(run: Run, serving: Callable[..., Server], tmp_path: Path) -> None:
    server = serving(tmp_path)
    server.close()
    with pytest.raises(UnreachableError) as caught:
        run(ask(need("a"), channels=(f"{server.url}/c",)))
    assert caught.value.exit_code == 5
    assert caught.value.retryable


def test_a_solve_works_inside_a_running_event_loop(run: Run, tmp_path: Path) -> None:
    address = write_channel(tmp_path / "c", record("a", "1"))

    async def inside() -> Fragment:
        return run(ask(need("a"), channels=(address,)))

    assert versions(asyncio.run(inside())) == {"a": "1"}


@pytest.mark.parametrize("platform", PLATFORMS)
def test_real_records_solve_for_every_platform(run: Run, conda_forge_2024: Path, platform: Platform) -> None:
    request = ask(need("pip"), channels=(conda_forge_2024.as_uri(),), python="3.9.*", platform=platform, system=())
    request = replace(request, system=default_system(platform))
    fragment = run(request)
    assert fragment.series == "3.9"
    names = versions(fragment)
    assert {"python", "pip", "openssl"} <= set(names)
    assert {item.subdir for item in fragment.conda} <= {platform, "noarch"}
    assert {item.name for item in fragment.conda if item.asked} == {"python", "pip"}
    assert run(request) == fragment


def test_extending_real_records_by_one_package_changes_no_other(run: Run, conda_forge_2024: Path) -> None:
    address = conda_forge_2024.as_uri()
    base = run(ask(need("openssl", "<3.3"), channels=(address,), python="3.9.*"), cut_off="2024-04-01T00:00:00Z").conda
    derived = run(ask(need("wheel"), channels=(address,), python="3.9.*"), pins_conda=base).conda
    old = {item.name: item.identity for item in base}
    assert {name: old[name] for name in old} == {item.name: item.identity for item in derived if item.name in old}
    assert "wheel" in {item.name for item in derived}
