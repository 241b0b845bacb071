"""Prefixes of all modes, made from blobs alone: what users see in them, twice the same, offline, killed, in a race."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from envbuild import faults
from envbuild.derivations.link import Link, prefix_name, prepare, realise
from envbuild.digest import Digest
from envbuild.errors import BuildError, IntegrityError, NoSpaceError
from envbuild.linkers.verify import verify_prefix
from envbuild.package import SourcePackage
from tests.support.channel import TestChannel
from tests.support.conda_package import PackageRecipe, write_package
from tests.support.link_context import (
    SERIES,
    FolderContext,
    conda_inputs,
    conda_package,
    make_link,
    prefix_of,
    store_blobs,
    tree,
    wheel_inputs,
)
from tests.support.wheels import make_wheel, uv

ROOT = Path(__file__).resolve().parents[2]
CONDA = ["colours=1.1", "greet=1.0", "data-files=1.0", "activated"]


def context_for(home: Path, files: dict[Digest, Path]) -> FolderContext:
    return FolderContext(home, store_blobs(files, home / "store"))


def toy(folder: Path) -> list[Path]:
    tool = make_wheel(folder, "tool-box", "1.0", requires=["idle-hands"], scripts={"tool-box": "tool_box:main"})
    return [tool, make_wheel(folder, "idle-hands", "2.1")]


def python_of(channel: TestChannel) -> str:
    version = next((item for item in channel.pythons if item.startswith(SERIES)), None)
    if version is None:
        pytest.skip(f"NO PYTHON {SERIES} IN THE CHANNEL: conda prefixes with wheels were not linked")
    return f"python={version}"


def links_of_all_modes(channel: TestChannel, folder: Path) -> dict[str, tuple[Link, dict[Digest, Path]]]:
    wheels = wheel_inputs(toy(folder))
    conda = conda_inputs(channel, [python_of(channel), *CONDA])
    return {
        "conda": make_link(conda),
        "mixed": make_link(conda, wheels, variables=(("A", "1"),)),
        "host": make_link((), wheels, interpreter="host"),
    }


def said(*argv: str | Path) -> str:
    return subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60).stdout


@pytest.mark.parametrize("mode", ["conda", "mixed", "host"])
def test_two_links_of_one_lock_are_equal_byte_for_byte(mode: str, channel: TestChannel, tmp_path: Path) -> None:
    link, files = links_of_all_modes(channel, tmp_path)[mode]
    context = context_for(tmp_path / "home", files)
    first = realise(link, context.typed())
    prefix = prefix_of(link, context)
    before = tree(prefix)
    shutil.rmtree(prefix)
    shutil.rmtree(tmp_path / "home/cache")
    assert realise(link, context.typed()) == first
    assert tree(prefix) == before
    assert set(context.read) == set(link.inputs)
    assert not [path for path in before if "__pycache__" in path or path.endswith((".lock", "uv_cache.json"))]
    assert list((tmp_path / "home/prefixes/.scratch").iterdir()) == []


@pytest.mark.parametrize("mode", ["mixed", "host"])
def test_the_mask_of_its_maker_does_not_show(mode: str, channel: TestChannel, tmp_path: Path) -> None:
    link, files = links_of_all_modes(channel, tmp_path)[mode]
    context = context_for(tmp_path / "home", files)
    realise(link, context.typed())
    prefix = prefix_of(link, context)
    before = tree(prefix)
    shutil.rmtree(prefix)
    shutil.rmtree(tmp_path / "home/cache")
    done = subprocess.run(["sh", "-c", 'umask 077; exec "$@"', "sh", *child(mode, tmp_path)], cwd=ROOT, check=False)
    assert done.returncode == 0
    assert tree(prefix) == before


@pytest.mark.parametrize("mode", ["mixed", "host"])
def test_programs_run_and_tools_see_the_packages(mode: str, channel: TestChannel, tmp_path: Path) -> None:
    link, files = links_of_all_modes(channel, tmp_path)[mode]
    context = context_for(tmp_path / "home", files)
    realise(link, context.typed())
    prefix = prefix_of(link, context)
    assert said(prefix / "bin/tool-box").strip() == "tool-box 1.0"
    assert said(prefix / "bin/python", "-c", "import sys; print(sys.prefix)").strip() == str(prefix)
    listed = json.loads(said(uv(), "pip", "list", "--python", prefix / "bin/python", "--format", "json"))
    versions = {item["name"]: item["version"] for item in listed}
    assert versions["tool-box"] == "1.0"
    assert versions["idle-hands"] == "2.1"
    script = (
        "import importlib.metadata as m; files = m.distribution('tool-box').files; "
        "print([file for file in files if not file.locate().exists()])"
    )
    assert said(prefix / "bin/python", "-c", script).strip() == "[]"
    site = next(prefix.glob("lib/python*/site-packages/tool_box-1.0.dist-info"))
    assert not (site / "direct_url.json").exists()
    assert not (site / "REQUESTED").exists()
    scratch = [path for path in prefix.rglob("*") if path.is_file() and b"/.scratch/" in path.read_bytes()]
    assert scratch == []


def test_records_are_what_conda_users_expect(channel: TestChannel, tmp_path: Path) -> None:
    from rattler import PrefixRecord

    link, files = links_of_all_modes(channel, tmp_path)["conda"]
    context = context_for(tmp_path / "home", files)
    realise(link, context.typed())
    prefix = prefix_of(link, context)
    records = {path.stem: PrefixRecord.from_path(path) for path in (prefix / "conda-meta").glob("*.json")}
    greet = records["greet-1.0-py_0"]
    assert greet.url == "file:///channel/noarch/greet-1.0-py_0.conda"
    assert greet.requested_specs == ["greet==1.0"]
    assert greet.extracted_package_dir is None
    for path in (prefix / "conda-meta").glob("*"):
        assert path.stat().st_mode & 0o7777 == 0o644
        assert str(tmp_path) not in path.read_text()
    for package in records.values():
        assert [file for file in package.files if not os.path.lexists(prefix / file)] == []
    assert said(prefix / "bin/greet").strip() == "hello from greet 1.0 in green 1.1"
    assert (prefix / "share/data-files/where.txt").read_text() == f"installed in {prefix}/share\n"
    assert (prefix / "share/data-files/uno.txt").readlink() == Path("one.txt")


def test_pip_and_uv_keep_off_and_say_what_to_type(channel: TestChannel, tmp_path: Path) -> None:
    link, files = links_of_all_modes(channel, tmp_path)["mixed"]
    context = context_for(tmp_path / "home", files)
    realise(link, context.typed())
    python = prefix_of(link, context) / "bin/python"
    command = [uv(), "pip", "install", "--offline", "--python", str(python), "six"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "envbuild add RECIPE PACKAGE" in done.stderr


@pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("unshare") is None, reason="NO NETWORK NAMESPACE: root and unshare needed"
)
@pytest.mark.parametrize("mode", ["mixed", "host"])
def test_a_link_needs_neither_caches_nor_network(mode: str, channel: TestChannel, tmp_path: Path) -> None:
    done = subprocess.run(
        ["unshare", "-n", *child(mode, tmp_path)], capture_output=True, text=True, check=False, cwd=ROOT, timeout=120
    )
    assert done.returncode == 0, done.stderr
    link, files = links_of_all_modes(channel, tmp_path)[mode]
    assert prefix_of(link, context_for(tmp_path / "home", files)).is_dir()


def child(mode: str, folder: Path) -> list[str]:
    """A process that links."""
    code = (
        "import sys; from pathlib import Path; from tests.unit import test_linkers_prefix as t; "
        "from tests.support.channel import made_channel; "
        "link, files = t.links_of_all_modes(made_channel(), Path(sys.argv[2]))[sys.argv[1]]; "
        "t.realise(link, t.context_for(Path(sys.argv[2]) / 'home', files).typed())"
    )
    return [sys.executable, "-c", code, mode, str(folder)]


POINTS = [
    ("conda", "mid-link"),
    ("mixed", "pre-wheels"),
    ("host", "pre-prefix-rename"),
    ("host", "post-prefix-rename-pre-root"),
]


@pytest.mark.parametrize(("mode", "point"), POINTS)
def test_killed_anywhere_the_next_link_gives_the_same_tree(
    mode: str, point: str, channel: TestChannel, tmp_path: Path
) -> None:
    link, files = links_of_all_modes(channel, tmp_path)[mode]
    context = context_for(tmp_path / "home", files)
    prefix = prefix_of(link, context)
    realise(link, context.typed())
    before = tree(prefix)
    shutil.rmtree(prefix)
    environ = {**os.environ, "ENVBUILD_FAULT": f"{point}:kill"}
    done = subprocess.run(child(mode, tmp_path), cwd=ROOT, env=environ, capture_output=True, check=False, timeout=120)
    assert done.returncode == -9
    assert prefix.exists() == (point == "post-prefix-rename-pre-root")
    realise(link, context.typed())
    assert tree(prefix) == before


def test_killed_while_preparing_nothing_is_lost(
    channel: TestChannel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link, files = links_of_all_modes(channel, tmp_path)["mixed"]
    context = context_for(tmp_path / "home", files)
    for key in link.inputs:
        prepare(link, key, context.typed())
    assert not prefix_of(link, context).exists()
    realise(link, context.typed())
    prepared = tree(prefix_of(link, context))
    shutil.rmtree(tmp_path / "home/cache")
    shutil.rmtree(prefix_of(link, context))
    realise(link, context.typed())
    assert tree(prefix_of(link, context)) == prepared


def test_two_processes_make_one_prefix(channel: TestChannel, tmp_path: Path) -> None:
    link, files = links_of_all_modes(channel, tmp_path)["mixed"]
    running = [subprocess.Popen(child("mixed", tmp_path), cwd=ROOT) for _ in range(2)]
    assert [process.wait(timeout=120) for process in running] == [0, 0]
    prefix = prefix_of(link, context_for(tmp_path / "home", files))
    assert [item.name for item in prefix.parent.iterdir() if not item.name.startswith(".")] == [prefix.name]
    assert said(prefix / "bin/tool-box").strip() == "tool-box 1.0"


def test_a_prefix_that_is_there_is_not_touched(channel: TestChannel, tmp_path: Path) -> None:
    link, files = links_of_all_modes(channel, tmp_path)["host"]
    context = context_for(tmp_path / "home", files)
    prefix = prefix_of(link, context)
    prefix.mkdir(parents=True)
    (prefix / "mine").touch()
    realise(link, context.typed())
    assert list(tree(prefix)) == ["mine"]
    assert context.read == []


@pytest.mark.parametrize("depth", [1, 20])
def test_long_paths_and_spaces_still_run(depth: int, channel: TestChannel, tmp_path: Path) -> None:
    wheels = wheel_inputs(toy(tmp_path))
    link, files = make_link((), wheels, interpreter="host")
    context = context_for(tmp_path / "/".join(["it's long"] * depth) / "home", files)
    realise(link, context.typed())
    prefix = prefix_of(link, context)
    assert said(prefix / "bin/tool-box").strip() == "tool-box 1.0"
    assert said("bash", "-c", '. "$1/bin/activate"; printf %s "$VIRTUAL_ENV"', "bash", str(prefix)) == str(prefix)


@pytest.mark.parametrize("step", ["prepare", "realise"])
def test_a_conda_package_that_is_another_one_is_refused(step: str, tmp_path: Path) -> None:
    path = write_package(PackageRecipe(name="evil", version="9", subdir="noarch", noarch="generic"), tmp_path)
    record = {
        "name": "nice",
        "version": "1.0",
        "build": "0",
        "build_number": 0,
        "subdir": "noarch",
        "noarch": "generic",
    }
    link, files = make_link([(conda_package("nice-1.0-0.conda", record, path), path)], python=None)
    context = context_for(tmp_path / "home", files)
    with pytest.raises(IntegrityError, match=r"says that it is evil 9") as caught:
        prepare(link, link.inputs[0], context.typed()) if step == "prepare" else realise(link, context.typed())
    assert caught.value.reference == "wrong-package"
    assert not prefix_of(link, context).exists()


def test_scripts_of_packages_are_told_not_run(tmp_path: Path) -> None:
    path = write_package(
        PackageRecipe(
            name="hooked",
            version="1",
            subdir="noarch",
            noarch="generic",
            files={"bin/.hooked-post-link.sh": f"#!/bin/sh\ntouch {tmp_path}/owned\n", "share/hooked": "x"},
        ),
        tmp_path,
    )
    record = {
        "name": "hooked",
        "version": "1",
        "build": "0",
        "build_number": 0,
        "subdir": "noarch",
        "noarch": "generic",
    }
    link, files = make_link([(conda_package(path.name, record, path), path)], python=None)
    context = context_for(tmp_path / "home", files)
    realise(link, context.typed())
    assert not (tmp_path / "owned").exists()
    assert context.notes == ["hooked 1 has scripts that envbuild does not run: bin/.hooked-post-link.sh"]


def test_a_broken_package_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    path = write_package(
        PackageRecipe(name="cut", version="1", subdir="noarch", noarch="generic", files={"x": os.urandom(9999)}),
        tmp_path,
    )
    path.write_bytes(path.read_bytes()[:5000])
    record = {"name": "cut", "version": "1", "build": "0", "build_number": 0, "subdir": "noarch", "noarch": "generic"}
    link, files = make_link([(conda_package(path.name, record, path), path)], python=None)
    context = context_for(tmp_path / "home", files)
    with pytest.raises(IntegrityError, match=r"cut-1-0.conda cannot be read") as caught:
        realise(link, context.typed())
    assert caught.value.reference == "bad-archive"
    assert not prefix_of(link, context).exists()
    assert list((tmp_path / "home/prefixes/.scratch").iterdir()) == []


@pytest.mark.parametrize("point", ["mid-link", "pre-wheels", "pre-prefix-rename"])
def test_a_full_disk_is_said_and_leaves_nothing(point: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link, files = make_link((), wheel_inputs(toy(tmp_path)), interpreter="host")
    context = context_for(tmp_path / "home", files)
    monkeypatch.setattr(faults, "_PLAN", f"{point}:enospc")
    with pytest.raises(NoSpaceError) as caught:
        realise(link, context.typed())
    assert caught.value.reference == "no-space"
    assert list((tmp_path / "home/prefixes/.scratch").iterdir()) == []
    monkeypatch.setattr(faults, "_PLAN", "")
    realise(link, context.typed())


def test_a_wheel_asked_for_by_address_says_so_and_one_of_an_index_does_not(tmp_path: Path) -> None:
    index, asked = wheel_inputs(toy(tmp_path))
    url = "file:///somewhere/tool_box-1.0-py3-none-any.whl"
    link, files = make_link(
        (), [index, (replace(asked[0], index=None, url=url, asked=True), asked[1])], interpreter="host"
    )
    context = context_for(tmp_path / "home", files)
    realise(link, context.typed())
    python = prefix_of(link, context) / "bin/python"
    frozen = said(uv(), "pip", "freeze", "--python", python).splitlines()
    assert frozen == ["idle-hands==2.1", f"tool-box @ {url}#sha256={asked[0].sha256}"]
    site = next(prefix_of(link, context).glob("lib/python*/site-packages"))
    assert (site / "tool_box-1.0.dist-info/REQUESTED").exists()
    assert "tool_box-1.0.dist-info/direct_url.json,sha256=" in (site / "tool_box-1.0.dist-info/RECORD").read_text()


SOURCE = Digest("5" * 64)
ORIGINS = {
    "git": (
        {"git": "https://git.example/r.git", "commit": "1" * 40, "rev": "v1", "subdirectory": "py"},
        {
            "url": "https://git.example/r.git",
            "vcs_info": {"vcs": "git", "commit_id": "1" * 40, "requested_revision": "v1"},
            "subdirectory": "py",
        },
        f"tool-box @ git+https://git.example/r.git@{'1' * 40}#subdirectory=py",
    ),
    "folder": (
        {"path": "libs/tool box"},
        {"url": "file:///project/libs/tool%20box", "dir_info": {}},
        "tool-box @ file:///project/libs/tool%20box",
    ),
    "url": (
        {"url": "https://files.example/t.tar.gz"},
        {
            "url": "https://files.example/t.tar.gz",
            "archive_info": {"hash": f"sha256={SOURCE}", "hashes": {"sha256": SOURCE}},
        },
        f"tool-box @ https://files.example/t.tar.gz#sha256={SOURCE}",
    ),
    "index": ({"index": "default"}, None, "tool-box==1.0"),
}


def built(folder: Path, home: Path, **origin: str) -> tuple[Link, FolderContext]:
    """A link of a wheel of the lock and one that was built, and the context that has both."""
    index, (_, wheel) = wheel_inputs(toy(folder))
    source = SourcePackage(name="tool-box", version="1.0", file="t.tar.gz", sha256=SOURCE, asked=True, **origin)
    link, files = make_link((), [index, (source, wheel)], interpreter="host")
    context = context_for(home, files)
    record = home / "record"
    record.write_text(json.dumps({"file": wheel.name, "tags": ["py3-none-any"]}))
    context.others[link.inputs[1], "record"] = record
    return link, context


@pytest.mark.parametrize("origin", ORIGINS)
def test_a_built_wheel_is_linked_under_its_own_name_and_tells_where_its_source_came_from(
    origin: str, tmp_path: Path
) -> None:
    fields, told, frozen = ORIGINS[origin]
    link, context = built(tmp_path, tmp_path / "home", **fields)
    prepare(link, link.inputs[1], context.typed())
    outputs = realise(link, context.typed())
    prefix = prefix_of(link, context)
    python = prefix / "bin/python"
    assert said(uv(), "pip", "freeze", "--python", python).splitlines() == ["idle-hands==2.1", frozen]
    assert said(prefix / "bin/tool-box").strip() == "tool-box 1.0"
    information = next(prefix.glob("lib/python*/site-packages/tool_box-1.0.dist-info"))
    address = information / "direct_url.json"
    assert (json.loads(address.read_bytes()) if address.exists() else None) == told
    assert (information / "REQUESTED").exists()
    assert (information / "INSTALLER").read_text() == "uv"
    manifest = json.loads((context.home / "blobs" / outputs["out"].sha256).read_bytes())
    assert [item["kind"] for item in manifest["packages"]] == ["wheel", "built"]
    assert SOURCE not in manifest["blobs"]
    assert set(manifest["blobs"]) == {context.digest(key) for key in link.inputs}


def test_two_links_with_a_built_wheel_are_equal_and_verify_finds_a_changed_file(tmp_path: Path) -> None:
    link, context = built(tmp_path, tmp_path / "home", path="libs/tool-box")
    realise(link, context.typed())
    prefix = prefix_of(link, context)
    before = tree(prefix)
    shutil.rmtree(prefix)
    shutil.rmtree(tmp_path / "home/cache")
    realise(link, context.typed())
    assert tree(prefix) == before
    host = context.host_python(SERIES)
    assert verify_prefix(link, prefix, host, context.typed()) == ()
    module = next(prefix.glob("lib/python*/site-packages/tool_box/__init__.py"))
    module.write_text("gone = True")  # also in uv's cache, which shares the file
    found = verify_prefix(link, prefix, host, context.typed(), repair=True)
    assert [(item.path.rpartition("/")[2], item.problem) for item in found] == [("__init__.py", "different content")]
    assert verify_prefix(link, prefix, host, context.typed()) == ()
    shutil.rmtree(prefix)
    realise(link, context.typed())
    assert tree(prefix) == before


def test_a_built_wheel_that_is_another_package_is_refused(tmp_path: Path) -> None:
    link, context = built(tmp_path, tmp_path / "home", index="default")
    context.blobs[link.inputs[1]] = context.blobs[link.inputs[0]]
    with pytest.raises(IntegrityError) as caught:
        realise(link, context.typed())
    assert caught.value.reference == "wrong-package"
    (tmp_path / "home/record").write_text("[]")
    with pytest.raises(IntegrityError) as caught:
        realise(link, context.typed())
    assert caught.value.reference == "bad-record"
    (tmp_path / "home/record").write_text('{"file": "tool_box-1.0-py3-none-win_amd64.whl"}')
    with pytest.raises(IntegrityError) as caught:
        realise(link, context.typed())
    assert caught.value.reference == "wrong-platform"
    assert not prefix_of(link, context).exists()


def test_a_wheel_that_replaces_a_program_leaves_the_caches_as_they_were(channel: TestChannel, tmp_path: Path) -> None:
    conda = conda_inputs(channel, [python_of(channel), "colours=1.1", "greet=1.0"])
    wheels = wheel_inputs([make_wheel(tmp_path, "rude", "1.0", scripts={"greet": "rude:main", "idle3": "rude:main"})])
    link, files = make_link(conda, wheels)
    context = context_for(tmp_path / "home", files)
    plain, _ = make_link(conda)
    realise(plain, context.typed())
    before = tree(prefix_of(plain, context))
    realise(link, context.typed())
    assert said(prefix_of(link, context) / "bin/greet").strip() == "rude 1.0"
    told = "greet 1.0 and rude 1.0 both bring bin/greet, with different contents: rude's is used"
    assert told in context.notes
    shutil.rmtree(prefix_of(link, context))
    realise(link, context.typed())
    assert told in context.notes[-2:], "a warm link says it too"
    assert tree(prefix_of(plain, context)) == before
    shutil.rmtree(prefix_of(plain, context))
    realise(plain, context.typed())
    assert tree(prefix_of(plain, context)) == before


def test_wheels_without_a_python_are_a_clear_error(tmp_path: Path) -> None:
    link, files = make_link((), wheel_inputs(toy(tmp_path)), python=None)
    with pytest.raises(BuildError, match="no Python"):
        realise(link, context_for(tmp_path / "home", files).typed())


def test_the_name_of_a_host_prefix_follows_the_python(tmp_path: Path) -> None:
    link, files = make_link((), wheel_inputs(toy(tmp_path)), interpreter="host")
    host = context_for(tmp_path, files).host_python(SERIES)
    names = {
        prefix_name(link, replace(host, **change)) for change in ({}, {"path": "/x"}, {"version": "3"}, {"abi": "y"})
    }
    assert len(names) == 4
    assert all(name.startswith(f"{link.key[:32]}-") for name in names)
    with pytest.raises(ValueError, match="host"):
        prefix_name(link)
