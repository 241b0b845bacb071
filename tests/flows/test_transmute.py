"""conda-format, by the command line: packages of the other format are transmuted; no prefix and no lock tells."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from envbuild.reporter import Recorder
from envbuild.session import Session
from tests.case import Case
from tests.support.channel import TestChannel
from tests.support.link_context import tree
from tests.support.servers import Server, folder_content
from tests.support.tars import Entry, file, hard, index, link, write_bz2, write_channel, write_conda

FORMATS = (".conda", ".tar.bz2", "keep")


def entries(name: str) -> tuple[list[Entry], list[Entry]]:
    package = [
        file(f"bin/{name}", b"#!/bin/sh\n", 0o755),
        hard(f"bin/{name}-too", f"bin/{name}", 0o755),
        file(f"share/{name}/größe.txt", b"text\n"),
        link(f"share/{name}/link", "größe.txt"),
        file(f"share/{name}/read-only", b"r\n", 0o444),
    ]
    contents = {entry.name: entry.content for entry in package if entry.kind == tarfile.REGTYPE}
    paths = [
        {
            "_path": entry.name,
            "path_type": "softlink" if entry.kind == tarfile.SYMTYPE else "hardlink",
            "sha256": hashlib.sha256(contents.get(entry.name, contents.get(entry.target, b"text\n"))).hexdigest(),
            "size_in_bytes": len(contents.get(entry.name, contents.get(entry.target, b"text\n"))),
        }
        for entry in package
    ]
    info = [
        index(name=name),
        file("info/paths.json", json.dumps({"paths": paths, "paths_version": 1}).encode()),
        file("info/files", "".join(f"{entry.name}\n" for entry in package).encode()),
    ]
    return package, info


@pytest.fixture
def both(tmp_path: Path) -> Path:
    """A channel with one package of each format."""
    scratch = tmp_path / "packages"
    scratch.mkdir()
    old, new = entries("old"), entries("new")
    packages = (
        (write_bz2(scratch / "old-1.0-0.tar.bz2", [*old[0], *old[1]]), {"name": "old"}),
        (write_conda(scratch / "new-1.0-0.conda", new[1], new[0], "new-1.0-0"), {"name": "new"}),
    )
    write_channel(tmp_path / "both", *packages)
    return tmp_path / "both"


def recipe(url: str, *names: str) -> str:
    return f"conda:\n  channels: ['{url}']\n  packages:\n" + "".join(f"    {name}:\n" for name in names)


def stored(case: Case) -> set[bytes]:
    """The first bytes of every blob that is a package."""
    heads = {path.read_bytes()[:2] for path in (case.home / "store" / "blobs").rglob("*") if path.is_file()}
    return heads & {b"PK", b"BZ"}


def test_each_format_gives_the_same_prefix_and_lock(case: Case, both: Path) -> None:
    case.recipe(recipe(both.as_uri(), "old", "new")).run("lock", "x.yaml")
    lock = (case.project / "x.lock.yaml").read_bytes()
    trees, shown, heads = [], [], []
    for wanted in FORMATS:
        shutil.rmtree(case.home, ignore_errors=True)
        case.file("envbuild.yaml", f"conda-format: {wanted}\n").run("realize", "x.yaml", "--locked")
        assert ("1 transmuted, 0 built" in case.err) == (wanted != "keep"), case.err
        prefix = Path(case.out.strip())
        assert (prefix / "bin" / "old-too").stat().st_mode & 0o777 == 0o755
        assert str((prefix / "share" / "old" / "link").readlink()) == "größe.txt"
        record = json.loads((prefix / "conda-meta" / "old-1.0-0.json").read_text())
        assert record["fn"] == "old-1.0-0.tar.bz2"
        assert record["url"].endswith("/noarch/old-1.0-0.tar.bz2")
        trees.append(tree(prefix))
        heads.append(stored(case))
        case.run("show", "x.yaml", "--json")
        shown.append(json.loads(case.out)["environment"])
        assert "0 findings" in case.run("verify").err
        assert (case.project / "x.lock.yaml").read_bytes() == lock
    assert trees[0] == trees[1] == trees[2]
    assert len(set(shown)) == 1
    assert heads == [{b"PK", b"BZ"}] * 3


def test_the_variable_and_the_default(case: Case, both: Path) -> None:
    case.recipe(recipe(both.as_uri(), "old")).run("realize", "x.yaml")
    assert "1 fetched" in case.err
    assert "1 transmuted" in case.err
    case.recipe(recipe(both.as_uri(), "new"), "new.yaml").variable("ENVBUILD_CONDA_FORMAT", ".tar.bz2")
    assert "1 transmuted" in case.run("realize", "new.yaml").err
    case.variable("ENVBUILD_CONDA_FORMAT", ".zip").run("realize", "new.yaml", code=2)
    assert "conda-format" in case.err.lower().replace("_", "-")


def test_a_plan_names_what_will_be_transmuted(case: Case, both: Path) -> None:
    case.recipe(recipe(both.as_uri(), "old", "new")).run("plan", "x.yaml", "--json")
    (plan,) = json.loads(case.out)["plans"]
    assert [row["label"] for row in plan["rows"] if row["kind"] == "transmute"] == ["old 1.0"]
    case.run("plan", "x.yaml").mentions("transmute")


def test_what_was_transmuted_once_is_taken_from_the_store(case: Case, both: Path, tmp_path: Path) -> None:
    """Another recipe, another project: neither fetches nor transmutes; gc keeps what a prefix is made of."""
    case.recipe(recipe(both.as_uri(), "old")).run("realize", "x.yaml")
    case.recipe(recipe(both.as_uri(), "old", "new"), "y.yaml").run("realize", "y.yaml")
    assert "1 from store, 1 fetched" in case.err
    assert "transmuted" not in case.err
    results = list((case.home / "store" / "results" / "transmute").rglob("*.json"))
    assert len(results) == 1
    outputs = json.loads(results[0].read_text())["outputs"]
    told = json.loads((case.home / "store" / "blobs" / "sha256" / outputs["record"]["sha256"][:2]
                       / outputs["record"]["sha256"]).read_bytes())  # fmt: skip
    assert told["members"] == 8
    assert set(told["libraries"]) == {"python", "zstandard", "libzstd"}
    case.run("gc", "--keep-days", "0")
    assert stored(case) == {b"BZ", b"PK"}  # the channel may forget what it was made of
    shutil.rmtree(case.home / "stamps")
    case.run("realize", "x.yaml", "--offline")
    case.recipe(recipe(both.as_uri(), "old").replace("old:", "old: '1.*'"), "z.yaml").run("lock", "z.yaml")
    case.run("realize", "z.yaml", "--offline", "--prefix", tmp_path / "elsewhere")
    assert "0 fetched" in case.err
    assert "0 findings" in case.run("verify").err


def test_a_damaged_transmuted_package_is_made_again(case: Case, both: Path) -> None:
    case.recipe(recipe(both.as_uri(), "old")).run("realize", "x.yaml")
    (result,) = (case.home / "store" / "results" / "transmute").rglob("*.json")
    digest = json.loads(result.read_text())["outputs"]["out"]["sha256"]
    blob = case.home / "store" / "blobs" / "sha256" / digest[:2] / digest
    whole = blob.read_bytes()
    blob.chmod(0o644)
    blob.write_bytes(whole[:-1] + b"?")
    case.run("verify", code=None)
    assert case.code != 0
    case.run("verify", "--repair", code=4)
    assert "all repaired" in case.err
    assert blob.read_bytes() == whole
    blob.unlink()
    shutil.rmtree(case.home / "prefixes")
    shutil.rmtree(case.home / "stamps")
    case.run("realize", "x.yaml")
    assert blob.read_bytes() == whole
    assert "0 findings" in case.run("verify").err


def test_a_record_whose_package_is_gone_makes_way(case: Case, both: Path) -> None:
    """Another version of a library may give other bytes: the record must then name these."""
    case.recipe(recipe(both.as_uri(), "old")).run("realize", "x.yaml")
    (result,) = (case.home / "store" / "results" / "transmute").rglob("*.json")
    tree_of_result = json.loads(result.read_text())
    tree_of_result["outputs"]["out"]["sha256"] = "0" * 64
    result.chmod(0o644)
    result.write_text(json.dumps(tree_of_result))
    case.recipe(recipe(both.as_uri(), "old", "new"), "y.yaml")
    assert "1 transmuted" in case.run("realize", "y.yaml").err
    assert json.loads(result.read_text())["outputs"]["out"]["sha256"] != "0" * 64


def test_one_package_is_transmuted_while_another_downloads(
    both: Path, tmp_path: Path, serving: Callable[..., Server], home: Path
) -> None:
    """No barrier: the event stream shows the whole transmute inside the other's fetch."""
    content = folder_content(both)

    recorder = Recorder()

    def slow(request):  # type: ignore[no-untyped-def]
        """The other one once the transmute is done, or 20 seconds too late."""
        end = time.monotonic() + 20
        while request.path.endswith("new-1.0-0.conda") and not transmuted() and time.monotonic() < end:
            time.sleep(0.01)
        return content(request)

    def transmuted() -> bool:
        return any(event.data["kind"] == "transmute" for event in recorder.named("finished"))

    server = serving(slow)
    path = tmp_path / "x.yaml"
    path.write_text(recipe(server.url, "old", "new"))
    session = Session(tmp_path, reporter=recorder)
    session.lock(path)
    session.realize(path)
    told = [event for event in recorder.events if event.name in {"started", "finished"}]
    kinds = {event.data["label"]: event.data["key"] for event in told if event.data["kind"] == "fetch"}
    (transmute,) = {event.data["key"] for event in told if event.data["kind"] == "transmute"}
    slow_began, slow_ended = recorder.span(kinds["new 1.0"])
    began, ended = recorder.span(transmute)
    assert slow_began < began < ended < slow_ended


def test_a_real_program_of_an_old_package_runs(case: Case, compiled_channel: TestChannel) -> None:
    """A compiled package with placeholders of the test channel; linked from each format it is the same, and runs."""
    found = []
    for wanted in FORMATS:
        shutil.rmtree(case.home, ignore_errors=True)
        case.file("envbuild.yaml", f"conda-format: {wanted}\n")
        case.recipe(recipe(compiled_channel.url, "fast-tool")).run("realize", "x.yaml")
        said = case.run("run", "x.yaml", "--", "fast-tool").out.split()
        prefix = (case.project / ".envs" / "x").resolve()
        assert said[1] == str(prefix)
        names = {path.relative_to(prefix) for path in prefix.rglob("*")}
        contents = {
            str(path.relative_to(prefix)): path.read_bytes().replace(os.fsencode(prefix.name), b"NAME")
            for path in prefix.rglob("*")
            if path.is_file()
            and path.parent.name != "conda-meta"  # there stand digests of files with the prefix in them
        }
        found.append((names, contents))
    assert found[0] == found[1] == found[2]
