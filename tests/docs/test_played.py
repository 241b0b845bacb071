"""The tutorial and the pages for those who come from elsewhere do what they say, word for word."""

from __future__ import annotations

from pathlib import Path

import pytest

from envbuild.machine.virtual import current_platform
from tests.docs.playing import Stage, alike, commands
from tests.flows.test_import import solved_records, write_pixi_lock
from tests.metaflow.needs import need_wheels
from tests.support.channel import TestChannel

pytestmark = pytest.mark.skipif(current_platform() != "linux-64", reason="the texts name linux-64")


@pytest.fixture
def packages(packages: Path) -> Path:
    """With what Metaflow needs in a step."""
    for wheel in need_wheels().glob("*.whl"):
        (packages / wheel.name).symlink_to(wheel)
    return packages


def test_the_tutorial_is_what_happens(tmp_path: Path, index: str) -> None:
    assert Stage(tmp_path, index).play("tutorial.md") >= 20


def test_the_page_for_those_who_come_from_uv_is_what_happens(tmp_path: Path, index: str) -> None:
    assert Stage(tmp_path, index).play("coming-from-uv.md") >= 7


@pytest.fixture
def stage(tmp_path: Path, index: str, channel: TestChannel) -> Stage:
    """A machine with the index and the channel."""
    return Stage(tmp_path, index, channel.url, series=channel.pythons[0].rpartition(".")[0])


def export(stage: Stage, name: str, form: str) -> None:
    """A file of another tool in the project, of an environment that somebody else has."""
    recipe = stage.user / "elsewhere" / "x.yaml"
    recipe.parent.mkdir()
    recipe.write_text(
        f'python: "{stage.series}"\nconda:\n  channels: [{stage.channel}]\n  packages: {{colours: "1.*"}}\n'
    )
    said = stage.type(f"(cd {recipe.parent} && envbuild lock x.yaml && envbuild export x.yaml --format {form} -o out)")
    assert "[exit" not in said, said
    (recipe.parent / "out").rename(stage.project / name)


def test_the_page_for_those_who_come_from_pixi_is_what_happens(stage: Stage, channel: TestChannel) -> None:
    """The lock is what py-rattler itself writes."""
    records = solved_records(channel, ["colours 1.*", f"python {stage.series}.*"])
    write_pixi_lock(stage.project / "pixi.lock", channel, records)
    assert stage.play("coming-from-pixi.md") >= 8


def test_the_page_for_those_who_come_from_conda_lock_is_what_happens(stage: Stage) -> None:
    export(stage, "conda-lock.yml", "conda-lock")
    assert stage.play("coming-from-conda-lock.md") >= 6


def test_the_page_for_those_who_come_from_nix_is_what_happens(tmp_path: Path, index: str) -> None:
    assert Stage(tmp_path, index).play("coming-from-nix.md") >= 11


def test_the_page_for_those_who_come_from_netflix_s_extension_is_what_happens(stage: Stage) -> None:
    export(stage, "explicit.txt", "explicit")
    assert stage.play("coming-from-metaflow-netflixext.md") >= 10


def test_only_what_differs_from_run_to_run_may_differ() -> None:
    told = "Realized train (linux-64): 4 packages, 4 fetched (3.9 kB), 1.3 s"
    assert alike(told) == alike("Realized train (linux-64): 4 packages, 4 fetched (941 B), 20 ms")
    assert alike(told) != alike(told.replace("4 packages", "5 packages"))
    assert alike("rich 13.9.4") != alike("rich 13.9.5")
    assert alike("a\nb") != alike("a")
    assert alike("a\nnote: sending 3 more of what was done to shared stores\n") == alike("a")
    assert commands("$ a\nb\n\n$ c\n") == [("a", "b\n\n"), ("c", "")]


def test_a_page_that_says_otherwise_is_told(tmp_path: Path, index: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("UPDATE_SCREENS", raising=False)
    monkeypatch.setattr("tests.docs.playing.DOCS", tmp_path)
    (tmp_path / "page.md").write_text("```console\n$ echo one; exit 3\none\n[exit 3]\n```\n")
    assert Stage(tmp_path, index).play("page.md") == 1
    (tmp_path / "page.md").write_text("```console\n$ echo one\ntwo\n```\n")
    (tmp_path / "again").mkdir()
    with pytest.raises(AssertionError, match=r"page\.md:2"):
        Stage(tmp_path / "again", index).play("page.md")


PLAY = """\
<!-- play: mkdir below; echo 0123456789ab > below/digest -->

```console
$ cd below; export WORD=hello
$ cat digest
ffffffffff00
$ echo $WORD; test fffffff = 0123456
hello
```

```text said.txt
ffffffffff00
```

<!-- play on ben:
echo "$USER$WORD" > /srv/who
-->

    test $(cat /srv/who) = ben

<!-- play on ann: grep -q 0123456789ab said.txt -->
<!-- play: a step -->
"""


def test_a_page_has_machines_and_says_in_comments_what_happens_beside_it(
    tmp_path: Path, index: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Shells go on, each on its machine; digests that are shown are those that were printed."""
    monkeypatch.delenv("UPDATE_SCREENS", raising=False)
    monkeypatch.setattr("tests.docs.playing.DOCS", tmp_path)
    done: list[str] = []
    page = tmp_path / "page.md"
    page.write_text(PLAY)
    assert Stage(tmp_path, index).play("page.md", {"a step": lambda: done.append("a step")}) == 4
    assert done == ["a step"]
    for number, (text, said) in enumerate(
        (("<!-- play: false -->\n", r"page\.md:1"), ("<!-- play -->\n<!-- play false\n-->\n", "not well formed"))
    ):
        page.write_text(text)
        (tmp_path / str(number)).mkdir()
        with pytest.raises(AssertionError, match=said):
            Stage(tmp_path / str(number), index).play("page.md")
