"""A cold realize of conda packages: each is unpacked once, while others come, and one child serves them all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from envbuild.derivations.link import Link, prepare, realise
from envbuild.digest import Digest
from envbuild.linkers import rattler_process
from envbuild.session import Session
from tests.support.channel import TestChannel
from tests.support.link_context import FolderContext, conda_inputs, make_link, prefix_of, store_blobs, tree

PURE = ["colours=1.1", "greet=1.0", "data-files=1.0"]


@pytest.fixture
def starts(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The process numbers of the children that were started."""
    rattler_process.end()
    found: list[int] = []

    class Counted(rattler_process._Child):
        def __init__(self) -> None:
            super().__init__()
            found.append(self.process.pid)

    monkeypatch.setattr(rattler_process, "_Child", Counted)
    return found


def unpacked(cache: Path) -> list[str]:
    """Folders of unpacked packages in rattler's cache, without what says where they came from."""
    return sorted(path.name.rpartition("-")[0] for path in (cache / "rattler/packages").iterdir() if path.is_dir())


def test_a_cold_realize_over_http_starts_one_child(
    starts: list[int],
    channel: TestChannel,
    channel_url: str,
    home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recipe = tmp_path / "project" / "pure.yaml"
    recipe.parent.mkdir(exist_ok=True)
    packages = "".join(f"    {name}: '=={version}'\n" for name, version in (item.split("=") for item in PURE))
    python = f"python: '=={channel.pythons[0]}'\n"
    recipe.write_text(f"{python}conda:\n  channels: ['{channel_url}']\n  packages:\n{packages}")
    monkeypatch.chdir(recipe.parent)
    Session().realize("pure.yaml")
    assert len(starts) == 1
    names = [name.rsplit("-", 2)[0] for name in unpacked(home / "cache")]
    assert names == sorted({*names}), "something was unpacked twice"
    assert {"colours", "greet", "data-files", "python"} <= {*names}
    assert len(list((home / "cache/rattler/looked-at").iterdir())) == len(names), "something was not prepared"


def prepared(channel: TestChannel, folder: Path) -> tuple[Link, dict[Digest, Path], FolderContext]:
    link, files = make_link(conda_inputs(channel, PURE), python=None)
    context = FolderContext(folder / "home", store_blobs(files, folder / "store"))
    for key in link.inputs:
        prepare(link, key, context.typed())
    return link, files, context


def test_preparing_unpacks_what_linking_takes_and_links_nothing(
    starts: list[int], channel: TestChannel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs: list[dict[str, Any]] = []
    really = rattler_process.run_job

    def seen(job: dict[str, Any]) -> dict[str, Any]:
        answer = really(job)
        left = [path.name for path in Path(job["prefix"]).rglob("*") if path.is_file()]
        jobs.append({"final": job["final"], "left": left, "error": answer.get("error")})
        return answer

    monkeypatch.setattr(rattler_process, "run_job", seen)
    _, _, context = prepared(channel, tmp_path)
    assert [job["final"] for job in jobs] == [None] * len(PURE)
    assert [job["error"] for job in jobs] == [None] * len(PURE)
    assert not [name for job in jobs for name in job["left"] if name.endswith((".json", ".py", ".txt"))]
    assert [name.rsplit("-", 2)[0] for name in unpacked(context.home / "cache")] == ["colours", "data-files", "greet"]
    assert len(starts) == 1


def test_a_prepared_link_unpacks_nothing_again(starts: list[int], channel: TestChannel, tmp_path: Path) -> None:
    inputs = [*PURE, f"python={channel.pythons[0]}"]
    series = ".".join(channel.pythons[0].split(".")[:2])
    link, files = make_link(conda_inputs(channel, inputs), python=series)
    context = FolderContext(tmp_path / "home", store_blobs(files, tmp_path / "store"))
    for key in link.inputs:
        prepare(link, key, context.typed())
    packages = context.home / "cache/rattler/packages"
    before = {path.name: path.stat().st_ino for path in packages.iterdir()}
    realise(link, context.typed())
    assert {path.name: path.stat().st_ino for path in packages.iterdir()} == before
    assert len(starts) == 1
    prefix = prefix_of(link, context)
    assert json.loads((prefix / "conda-meta/greet-1.0-py_0.json").read_text())["name"] == "greet"
    assert any(name.endswith("site-packages/greet.py") for name in tree(prefix))
