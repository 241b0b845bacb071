"""``why-depends``: the chain between two packages, and what in the realized environment shows each step."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.case import Case
from tests.support.channel import TestChannel
from tests.support.extension import make_extension
from tests.support.servers import Server
from tests.support.wheel_index import WheelIndex
from tests.support.wheels import make_wheel

SERIES = f"{sys.version_info.major}.{sys.version_info.minor}"


@pytest.fixture
def world(case: Case, compiled_channel: TestChannel, tmp_path: Path, serving: Callable[..., Server]) -> Case:
    """A recipe with compiled conda packages, an extension built against one of them, and wheels on top; locked."""
    folder = tmp_path / "index"
    folder.mkdir()
    make_wheel(folder, "leaf", "1.0", extras={"warm": ["core>=1"]})
    make_wheel(folder, "core", "1.5", scripts={"core": "core:main"})
    make_wheel(
        folder, "top", "2.0", requires=["leaf[warm]>=1 ; python_version >= '3'", "leaf<1 ; python_version < '3'"]
    )
    make_wheel(folder, "user", "1.0", requires=["speedy>=1", "core"])
    make_extension(case.project / "speedy")
    url = serving(WheelIndex(folder=folder)).url
    series = ".".join(compiled_channel.pythons[0].split(".")[:2])
    return case.recipe(
        f"""
        python: '{series}'
        conda:
          channels: ['{compiled_channel.folder.as_uri()}']
          packages: {{fast-tool: , libfast: , greet: , data-files: }}
        pypi:
          index: {url}/simple
          packages: {{speedy: {{path: speedy}}, user: , top: }}
        build: {{speedy: {{host: [libfast]}}}}
        """
    ).run("lock", "x.yaml")


def answer(case: Case, *arguments: str) -> dict[str, Any]:
    tree = json.loads(case.run("why-depends", *arguments, "--json").out)
    assert tree.pop("version") == 1
    return dict(tree)


def steps(tree: dict[str, Any], number: int = 0) -> list[str]:
    """The names on a chain."""
    chain = tree["chains"][number]
    return [chain[0]["package"]["name"], *(step["needs"]["name"] for step in chain)]


def test_an_extension_shows_the_library_that_it_loads_though_nothing_declares_it(world: Case) -> None:
    world.run("realize", "x.yaml")
    found = answer(world, "x.yaml", "user", "libfast")
    assert steps(found) == ["user", "speedy", "libfast"]
    first, second = found["chains"][0]
    (declared,) = first["declared"]
    assert declared["requirement"] == "speedy>=1"
    assert declared["file"].endswith("/site-packages/user-1.0.dist-info/METADATA")
    assert (first["shown"], second["declared"]) == ([], [])
    (shown,) = second["shown"]
    assert (shown["how"], shown["target"], shown["said"]) == ("loads", "lib/libfast.so.1", "libfast.so.1")
    assert (Path(found["prefix"]) / shown["file"]).read_bytes()[:4] == b"\x7fELF"
    assert found["unread"] == []
    world.run("why-depends", "x.yaml", "user", "libfast").shows(
        f"""
        user 1.0
        └── speedy 1.0
            declares speedy>=1  ({declared["file"]})
            └── libfast 1.3
                {shown["file"]} loads lib/libfast.so.1
                not declared: its files alone say so
        """
    ).says("user needs libfast: 2 steps")


def test_a_program_declares_and_shows_its_library(world: Case) -> None:
    world.run("realize", "x.yaml").run("why-depends", "x.yaml", "fast-tool", "libfast").shows(
        """
        fast-tool 1.0
        └── libfast 1.3
            declares libfast >=1.2,<2
            bin/fast-tool loads lib/libfast.so.1
        """
    )
    world.run("why-depends", "x.yaml", "libfast", "fast-tool").shows("")
    world.says("libfast does not need fast-tool: nothing declares or shows a way from the one to the other")
    assert answer(world, "x.yaml", "data-files", "libfast")["chains"] == []
    version = answer(world, "x.yaml", "colours", "python")["needs"]["version"]
    world.run("why-depends", "x.yaml", "colours", "python").shows(
        f"""
        colours 2.0
        └── python {version}
            declares python >=3.8
            declared only: no file of the one refers to the other
        """
    )
    metadata = answer(world, "x.yaml", "greet", "colours")["chains"][0][0]["declared"][1]
    assert metadata["requirement"] == "colours"
    assert metadata["file"].endswith("/greet-2.0.dist-info/METADATA")


def test_scripts_show_what_runs_them(world: Case) -> None:
    world.run("realize", "x.yaml")
    found = answer(world, "x.yaml", "user", "python")
    assert steps(found) == ["user", "core", "python"]
    (shown,) = found["chains"][0][1]["shown"]
    assert (shown["how"], shown["file"], shown["target"]) == ("is run by", "bin/core", "bin/python")
    greet = answer(world, "x.yaml", "greet", "python")["chains"][0][0]
    assert [item["requirement"] for item in greet["declared"]] == ["python >=3.8"]
    assert [item["file"] for item in greet["shown"]] == ["bin/greet"]


def test_a_requirement_is_told_with_its_extra_and_marker(world: Case) -> None:
    world.run("realize", "x.yaml")
    first, second = answer(world, "x.yaml", "top", "core")["chains"][0]
    (declared,) = first["declared"]  # and not the one whose marker is for another Python
    assert declared["requirement"] == "leaf[warm]>=1 ; python_version >= '3'"
    assert [item["requirement"] for item in second["declared"]] == ['core>=1 ; extra == "warm"']


def test_links_and_whole_paths_of_the_prefix_are_references(world: Case) -> None:
    """As conda packages have them: a link to another package's file, and a file written for this prefix."""
    prefix = Path(world.run("realize", "x.yaml", "--prefix", "mine", "--writable").out.strip())
    record = next((prefix / "conda-meta").glob("data-files-*.json"))
    tree = json.loads(record.read_bytes())
    (prefix / "share/data-files/tool").symlink_to("../../bin/fast-tool")
    named = prefix / "share/data-files/where.txt"
    named.write_text(f"tool: {prefix}/bin/fast-tool.\nmine: {prefix}/share/data-files/one.txt {prefix}/nothing\n")
    tree["files"].append("share/data-files/tool")
    record.write_text(json.dumps(tree))
    (step,) = answer(world, "mine", "data-files", "fast-tool")["chains"][0]
    assert [(item["how"], item["file"], item["target"]) for item in step["shown"]] == [
        ("names", "share/data-files/where.txt", "bin/fast-tool"),
        ("leads to", "share/data-files/tool", "bin/fast-tool"),
    ]
    assert steps(answer(world, "mine", "data-files", "libfast")) == ["data-files", "fast-tool", "libfast"]


def test_without_the_environment_there_is_what_packages_declare(world: Case) -> None:
    found = answer(world, "x.yaml", "top", "core")
    assert (found["prefix"], steps(found)) == (None, ["top", "leaf", "core"])
    assert found["chains"][0][0]["declared"] == [{"requirement": "leaf", "file": None}]
    world.run("why-depends", "x.yaml", "fast-tool", "libfast").shows(
        """
        fast-tool 1.0
        └── libfast 1.3
            declares libfast >=1.2,<2
        """
    )
    world.mentions("note: the environment is not on this machine", "envbuild realize x.yaml")
    assert answer(world, "x.yaml", "user", "libfast")["chains"] == []
    world.run("why-depends", "x.yaml", "user", "libfast").mentions("nothing declares a way")


def test_the_words_and_what_is_wrong_with_them(world: Case) -> None:
    world.run("why-depends", "x.yaml", code=2).run("why-depends", "x.yaml", "core", code=2).mentions("Which two")
    world.run("why-depends", "user", "core", code=2).mentions("no-recipes")
    (world.project / "recipes").mkdir()
    for end in ("yaml", "lock.yaml"):
        (world.project / f"x.{end}").rename(world.project / f"recipes/x.{end}")
    assert steps(answer(world, "user", "core")) == ["user", "core"]  # the project's one recipe
    shutil.copy(world.project / "recipes/x.yaml", world.project / "recipes/y.yaml")
    world.run("why-depends", "user", "core", code=2).mentions("which-recipe", "why-depends recipes/x.yaml user core")
    recipe = "recipes/x.yaml"
    world.run("why-depends", recipe, "usr", "core", code=2).mentions("no-package", "did you mean user?")
    world.run("why-depends", recipe, "user", "user", code=2).mentions("same-package", "is one package, not two")
    assert steps(answer(world, recipe, "User", "CORE")) == ["user", "core"]
    for name in ("core\x1b[2J", "a\nb", "../core", "x" * 5000):
        world.run("why-depends", recipe, "user", name, code=2).mentions("no-package").hides("\x1b")


def test_every_kind_of_source_is_looked_into(world: Case) -> None:
    world.run("realize", "x.yaml").run("alias", "x.yaml", "user/core")  # a name that reads like packages
    shown = json.loads(world.run("show", "x.yaml", "--json").out)
    ids = (shown["environment"][:9], f"{shown['request']}:{shown['environment']}", shown["request"][:9])
    for source in ("x.lock.yaml", "user/core", *ids, ".envs/x", shown["present"][0]):
        assert steps(answer(world, source, "user", "core")) == ["user", "core"]
    assert steps(answer(world, "user/core", "user", "core")) == ["user", "core"]


def test_damaged_files_are_told_and_the_rest_is_looked_into(world: Case) -> None:
    prefix = Path(world.run("realize", "x.yaml", "--prefix", "mine", "--writable").out.strip())
    (extension,) = prefix.glob("lib/python3*/site-packages/speedy*.so")
    whole = extension.read_bytes()
    os.truncate(extension, 200)
    found = answer(world, "mine", "user", "libfast")
    assert found["chains"] == []
    assert found["unread"] == [str(extension.relative_to(prefix))]
    world.run("why-depends", "mine", "user", "libfast").mentions("note: not looked into: lib/python3", "damaged")
    extension.write_bytes(whole)
    # Lists that lie: out of the prefix, to what would wait for ever, to nothing; and one that is none.
    (record,) = (prefix / "conda-meta").glob("fast-tool-*.json")
    tree = json.loads(record.read_bytes())
    os.mkfifo(prefix / "bin/pipe")
    tree["files"] += ["/etc/passwd", "../../../etc/passwd", "bin/pipe", "bin/gone", "bin/\x1b[2Jodd"]
    record.write_text(json.dumps(tree))
    next((prefix / "conda-meta").glob("data-files-*.json")).write_text("[")
    found = answer(world, "mine", "fast-tool", "libfast")
    assert found["unread"] == ["bin/\x1b[2Jodd", "bin/gone"]
    assert steps(found) == ["fast-tool", "libfast"]
    world.run("why-depends", "mine", "fast-tool", "libfast").hides("\x1b", "passwd")
    script = prefix / "bin/fast-script"
    script.write_bytes(b"#!" + b"/x" * 3000)
    script.chmod(0o755)
    assert steps(answer(world, "mine", "fast-tool", "libfast")) == ["fast-tool", "libfast"]
