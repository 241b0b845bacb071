"""Sources that a recipe names: folders, archives, wheels and sdists in the project, repositories; what they name."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

import pytest

from envbuild.errors import InvalidInput
from envbuild.recipe import GitSource, PathSource, UrlSource
from envbuild.solvers.source_requirements import address_of
from tests.support.git_server import GitServer
from tests.support.sdists import make_own_sdist, make_project, pack_sdist
from tests.support.source_world import HERE, World, found, need, only
from tests.support.wheels import make_wheel


def folder_of(world: World, name: str = "mine", version: str = "1.0", **options: object) -> Path:
    return make_project(world.project / "libs" / name, name, version, **options)  # type: ignore[arg-type]


def state(folder: Path) -> dict[str, tuple[bytes, int, int]]:
    """Every file with its bytes, mode and time; folders with their time."""
    return {
        path.relative_to(folder).as_posix(): (
            path.read_bytes() if path.is_file() else b"",
            path.lstat().st_mode,
            path.lstat().st_mtime_ns,
        )
        for path in (folder, *sorted(folder.rglob("*")))
    }


MINE = PathSource(path="libs/mine")


@pytest.mark.parametrize("static", [True, False])
def test_a_folder_is_locked_by_its_content_and_stays_as_it_was(world: World, static: bool) -> None:
    world.wheel("leaf", "1.0")
    folder = folder_of(world, requires=["leaf"], static=static, more_backend=WRITES)
    before = state(folder)
    source = only(world.solve(need("mine", source=MINE)))
    assert state(folder) == before
    assert (source.path, source.version, source.file) == ("libs/mine", "1.0", "mine-1.0.tar")
    assert source.requires == ("leaf",)
    assert source.found_on == (None if static else "linux-64 3.11")
    os.utime(folder / "pyproject.toml", (1, 1))
    assert only(world.solve(need("mine", source=MINE))).sha256 == source.sha256
    (folder / "more.py").write_text("x = 1\n")
    assert only(world.solve(need("mine", source=MINE))).sha256 != source.sha256


WRITES = """
Path("mine.egg-info").mkdir(exist_ok=True)
Path("mine.egg-info", "PKG-INFO").write_text("written by a hook")
Path("pyproject.toml").write_text(Path("pyproject.toml").read_text() + "# touched")
"""


def test_a_leftover_of_a_build_is_not_believed(world: World) -> None:
    folder = folder_of(world, version="2.0")
    (folder / "PKG-INFO").write_text("Metadata-Version: 2.2\nName: mine\nVersion: 1.0\n")
    assert only(world.solve(need("mine", source=MINE))).version == "2.0"


def test_a_version_range_and_dependants_see_the_true_version(world: World) -> None:
    folder_of(world, version="1.5")
    world.wheel("top", "1.0", requires=["mine<2"])
    world.wheel("top", "2.0", requires=["mine>=2"])
    assert found(world.solve(need("mine", source=MINE), need("top"))) == {"mine": "1.5", "top": "1.0"}
    error = world.refused(need("mine", source=MINE), need("top", ">=2"))
    assert error.exit_code == 11
    assert "mine" in error.message
    assert "file://" not in error.message


def test_what_is_not_there_is_named_with_its_line(world: World) -> None:
    for path in ("libs/none", "libs/none-1.0.tar.gz", "libs/none-1.0-py3-none-any.whl"):
        error = world.refused(need("none", source=PathSource(path=path)))
        assert (error.exit_code, error.reference, error.where) == (3, "no-source", HERE)
    (world.project / "notes.txt").write_text("no archive")
    error = world.refused(need("none", source=PathSource(path="notes.txt")))
    assert (error.exit_code, error.reference, error.where) == (3, "bad-source", HERE)


def test_a_name_that_is_not_the_sources_own(world: World) -> None:
    folder_of(world)
    error = world.refused(need("yours", source=MINE))
    assert (error.exit_code, error.reference, error.where) == (3, "wrong-name", HERE)
    assert "mine" in (error.hint or "")


def test_markers_of_other_platforms_fetch_nothing(world: World) -> None:
    fragment = world.solve(need("none", source=PathSource(path="libs/none"), markers="sys_platform == 'win32'"))
    assert not fragment.sources


def test_sdists_and_wheels_in_the_project_are_files_of_a_folder(world: World, tmp_path: Path) -> None:
    sdist = make_own_sdist(world.project / "vendor", "own", "1.0", scratch=tmp_path / "made", static=True)
    source = only(world.solve(need("own", source=PathSource(path=f"vendor/{sdist.name}"))))
    assert (source.find_links, source.file) == ("./vendor", sdist.name)
    wheel = make_wheel(world.project / "vendor", "other", "1.0")
    fragment = world.solve(need("other", source=PathSource(path=f"vendor/{wheel.name}")))
    assert [(item.find_links, item.url, item.file) for item in fragment.wheels] == [("./vendor", None, wheel.name)]
    assert fragment.wheels[0].sha256 == hashlib.sha256(wheel.read_bytes()).hexdigest()
    shutil.copy(wheel, world.project / wheel.name)
    fragment = world.solve(need("other", source=PathSource(path=wheel.name)))
    assert fragment.wheels[0].find_links == "./."


def test_no_build_refuses_named_sources_too(world: World) -> None:
    folder_of(world)
    error = world.refused(need("mine", source=MINE), no_build=("mine",))
    assert (error.reference, error.where) == ("no-build", HERE)


# Archives by address


@pytest.fixture
def archive(world: World) -> tuple[Path, str]:
    file = world.sdist("own", "1.0", static=True)
    return file, f"{world.server.url}/files/{file.name}"


def test_an_archive_by_address(world: World, archive: tuple[Path, str]) -> None:
    file, url = archive
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    source = only(world.solve(need("own", source=UrlSource(url=url))))
    assert (source.url, source.file, source.sha256) == (url, file.name, sha256)
    assert only(world.solve(need("own", source=UrlSource(url=url, sha256=sha256)))) == source  # type: ignore[arg-type]
    error = world.refused(need("own", source=UrlSource(url=url, sha256="a" * 64)))  # type: ignore[arg-type]
    assert error.exit_code == 4


def test_a_locked_archive_stays_when_its_address_gives_other_bytes(world: World, archive: tuple[Path, str]) -> None:
    file, url = archive
    asked = need("own", source=UrlSource(url=url))
    before = world.solve(asked)
    file.write_bytes(b"something else")
    assert world.again(before, asked) == before
    assert world.refused(asked).exit_code == 4


def test_a_folder_inside_an_archive(world: World, tmp_path: Path) -> None:
    project = make_project(tmp_path / "tree" / "python", "inner", "1.0")
    file = pack_sdist(project.parent, world.files, "bundle", "7", pkg_info=None)
    url = f"{world.server.url}/files/{file.name}"
    source = only(world.solve(need("inner", source=UrlSource(url=url, subdirectory="python"))))
    assert (source.version, source.subdirectory) == ("1.0", "python")
    error = world.refused(need("inner", source=UrlSource(url=url, subdirectory="ruby")))
    assert (error.exit_code, error.reference, error.where) == (3, "no-subdirectory", HERE)


def test_an_address_of_no_archive(world: World) -> None:
    error = world.refused(need("own", source=UrlSource(url=f"{world.server.url}/own")))
    assert (error.exit_code, error.reference, error.where) == (3, "bad-source", HERE)


# Repositories


def tree(version: str, **options: object) -> dict[str, str]:
    """A project's files, for a commit."""
    with tempfile.TemporaryDirectory() as name:
        folder = make_project(Path(name) / "p", "clip", version, **options)  # type: ignore[arg-type]
        return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_a_branch_becomes_a_commit_and_stays_there(world: World, git_server: GitServer) -> None:
    repository = git_server.repository("clip")
    first = repository.commit(tree("1.0"))
    asked = need("clip", source=GitSource(git=git_server.url("clip"), rev="main"))
    before = world.solve(asked)
    source = only(before)
    assert (source.git, source.commit, source.rev) == (git_server.url("clip"), first, "main")
    assert (source.version, source.file) == ("1.0", "clip-1.0.tar")
    second = repository.commit(tree("2.0"))
    requests = len(git_server.requests)
    world.wheel("more", "1.0")
    assert world.again(before, asked, need("more")).sources == before.sources
    assert len(git_server.requests) == requests, "the repository is not even asked"
    moved = only(world.again(before, asked, free="clip"))
    assert (moved.commit, moved.version) == (second, "2.0")


def test_another_revision_in_the_recipe_is_another_commit(world: World, git_server: GitServer) -> None:
    repository = git_server.repository("clip")
    first = repository.commit(tree("1.0"))
    repository.tag("v1")
    second = repository.commit(tree("2.0"))
    url = git_server.url("clip")
    before = world.solve(need("clip", source=GitSource(git=url)))
    assert (only(before).commit, only(before).rev) == (second, None)
    for rev in ("v1", first):
        source = only(world.again(before, need("clip", source=GitSource(git=url, rev=rev))))
        assert (source.commit, source.version, source.rev) == (first, "1.0", rev)
    error = world.refused(need("clip", source=GitSource(git=url, rev="nowhere")))
    assert (error.exit_code, error.reference) == (3, "no-revision")


def test_a_folder_of_a_repository(world: World, git_server: GitServer) -> None:
    repository = git_server.repository("clip")
    repository.commit({f"python/{path}": text for path, text in tree("1.0").items()})
    source = GitSource(git=git_server.url("clip"), subdirectory="python")
    assert only(world.solve(need("clip", source=source))).subdirectory == "python"


# Sources that name sources


def test_sources_name_sources_by_address(world: World, git_server: GitServer, archive: tuple[Path, str]) -> None:
    repository = git_server.repository("clip")
    commit = repository.commit(tree("1.0", requires=[f"own @ {archive[1]}"], static=True))
    folder_of(world, requires=[f"clip @ git+{git_server.url('clip')}@main", "leaf; python_version >= '3'"], static=True)
    world.wheel("leaf", "1.0")
    world.wheel("top", "1.0", requires=["clip>=1"])
    fragment = world.solve(need("mine", source=MINE), need("top"))
    sources = {item.name: item for item in fragment.sources}
    assert sorted(sources) == ["clip", "mine", "own"]
    assert (sources["clip"].commit, sources["clip"].asked) == (commit, False)
    assert sources["own"].url == archive[1]
    assert sources["mine"].requires == ("clip", "leaf")
    assert sources["clip"].requires == ("own",)


def test_a_source_that_names_a_wheel_by_address(world: World) -> None:
    wheel = world.wheel("leaf", "1.0")
    folder_of(world, requires=[f"leaf @ {world.server.url}/files/{wheel.name}"], static=True)
    fragment = world.solve(need("mine", source=MINE))
    assert [(item.name, item.url) for item in fragment.wheels] == [("leaf", f"{world.server.url}/files/{wheel.name}")]


def test_addresses_behind_other_markers_are_left_alone(world: World) -> None:
    folder_of(world, requires=["evil @ https://host.invalid/evil-1.tar.gz ; sys_platform == 'win32'"], static=True)
    assert found(world.solve(need("mine", source=MINE))) == {"mine": "1.0"}


@pytest.mark.parametrize("system", ["hg", "bzr", "svn"])
def test_other_version_control_is_refused_with_the_reason(world: World, system: str) -> None:
    folder_of(world, requires=[f"evil @ {system}+https://host.invalid/evil"], static=True)
    error = world.refused(need("mine", source=MINE))
    assert (error.exit_code, error.reference, error.where) == (3, "not-available", HERE)
    assert "which only git has" in error.message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("git+https://h.example/a/b.git", GitSource(git="https://h.example/a/b.git")),
        ("git+https://h.example/a/b.git@v1", GitSource(git="https://h.example/a/b.git", rev="v1")),
        (
            "git+https://h.example/a/b@feature/x#subdirectory=py&egg=b",
            GitSource(git="https://h.example/a/b", rev="feature/x", subdirectory="py"),
        ),
        ("git+ssh://git@h.example/a/b@main", GitSource(git="ssh://git@h.example/a/b", rev="main")),
        ("https://h.example/b-1.tar.gz", UrlSource(url="https://h.example/b-1.tar.gz")),
        (
            "https://h.example/b-1.zip#subdirectory=x&sha256=" + "a" * 64,
            UrlSource(url="https://h.example/b-1.zip", sha256="a" * 64, subdirectory="x"),  # type: ignore[arg-type]
        ),
    ],
)
def test_addresses_in_requirements(text: str, expected: GitSource | UrlSource) -> None:
    assert address_of(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "git+file:///etc",
        "git+ext::sh -c id",
        "file:///etc/passwd",
        "git+https://h.example/a@--upload-pack=x",
        "https://h.example/x.zip#subdirectory=../..",
        "https://169.254.169.254/x.zip",
        "hg+https://h.example/x",
    ],
)
def test_addresses_that_are_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        address_of(text)


# Bases


def test_a_base_s_folder_is_not_needed_again(world: World) -> None:
    folder = folder_of(world)
    base = world.solve(need("mine", source=MINE))
    shutil.rmtree(folder)
    world.wheel("top", "1.0", requires=["mine"])
    derived = world.extended(base, need("mine", source=MINE), need("top"))
    assert derived.sources == base.sources
    folder_of(world, "other")
    error = world.refused(need("mine", source=PathSource(path="libs/other")), fields={"pins_sources": base.sources})
    assert (error.exit_code, error.reference, error.where) == (11, "base-pins", HERE)


def test_a_base_s_wheel_is_not_replaced_by_a_source(world: World) -> None:
    world.wheel("mine", "1.0")
    base = world.solve(need("mine"))
    folder_of(world)
    error = world.refused(need("mine", source=MINE), fields={"pins_wheels": base.wheels})
    assert (error.exit_code, error.reference, error.where) == (11, "base-pins", HERE)
