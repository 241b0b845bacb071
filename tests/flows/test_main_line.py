"""The main line, end to end and by the command line: a recipe becomes a running environment."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from tests.case import Case
from tests.support.channel import TestChannel
from tests.support.servers import Server

SERIES = f"{sys.version_info.major}.{sys.version_info.minor}"


def conda_recipe(channel: TestChannel, packages: str, extra: str = "") -> str:
    series = ".".join(channel.pythons[0].split(".")[:2])
    return f"python: {series}\nconda:\n  channels: ['{channel.folder.as_uri()}']\n  packages:\n{packages}{extra}"


def tree_of(prefix: Path) -> dict[str, tuple[str, bytes]]:
    """Every path of a prefix with its type and content."""
    found = {}
    for path in sorted(prefix.rglob("*")):
        name = str(path.relative_to(prefix))
        if path.is_symlink():
            found[name] = ("link", os.fsencode(path.readlink()))
        elif path.is_file():
            found[name] = (f"file {path.stat().st_mode:o}", path.read_bytes())
        else:
            found[name] = ("folder", b"")
    return found


def test_a_conda_recipe_becomes_a_running_environment(case: Case, channel: TestChannel) -> None:
    case.recipe(conda_recipe(channel, "    greet: '1.*'\n    data-files:\n"), "greet.yaml")
    case.run("realize", "greet.yaml")
    prefix = Path(case.out.strip())
    assert (case.project / ".envs" / "greet").resolve() == prefix.resolve()
    assert (case.project / ".envs" / ".gitignore").read_text() == "*\n"
    assert case.run("run", "greet.yaml", "--", "greet").out.startswith("hello from greet 1.0")
    shown = case.run(
        "run", "greet.yaml", "--", "python", "-c", "import sys; print(sys.prefix, sys.version_info[:2])"
    ).out
    assert str(prefix) in shown
    records = sorted(path.name for path in (prefix / "conda-meta").glob("*.json"))
    assert any(name.startswith("greet-1.0") for name in records)
    for name in records:
        record = json.loads((prefix / "conda-meta" / name).read_text())
        assert str(case.home) not in json.dumps({key: record[key] for key in ("url", "channel", "fn")})


def test_a_second_realize_is_a_hit_and_says_so(case: Case, channel: TestChannel) -> None:
    case.recipe(conda_recipe(channel, "    colours:\n"), "a.yaml").run("realize", "a.yaml")
    first = case.out
    case.run("realize", "a.yaml")
    assert case.out == first
    case.says("Realized a (linux-64): 2 packages, already there, [time]" if "linux-64" in case.err else case.err)
    case.run("plan", "a.yaml").mentions("0 to do")


def test_wheels_alone_on_the_machine_s_python(case: Case, wheel_index: Server) -> None:
    recipe = (
        f"interpreter: host\npython: {SERIES}\npypi:\n  index: {wheel_index.url}/simple\n  packages:\n    toy: '<2'\n"
    )
    case.recipe(recipe, "toy.yaml").run("realize", "toy.yaml")
    assert case.run("run", "toy.yaml", "--", "toy").code == 0
    case.run("show", "toy.yaml", "--json")
    packages = {item["name"]: item for item in json.loads(case.out)["packages"]}
    assert set(packages) == {"toy", "toy-core"}
    assert packages["toy"]["asked"]
    assert packages["toy"]["version"] == "1.1"
    assert packages["toy"]["requires"] == ["toy-core"]
    assert not packages["toy-core"]["asked"]


def test_conda_and_wheels_in_one_environment(case: Case, channel: TestChannel, wheel_index: Server) -> None:
    extra = f"pypi:\n  index: {wheel_index.url}/simple\n  packages:\n    toy-extras[colour]:\n"
    case.recipe(conda_recipe(channel, "    greet:\n", extra), "both.yaml").run("realize", "both.yaml")
    code = "import importlib.metadata as m; print(sorted(d.metadata['Name'] for d in m.distributions()))"
    names = case.run("run", "both.yaml", "--", "python", "-c", code).out
    assert "toy-extras" in names
    assert "toy-paint" in names
    assert "greet" in case.run("run", "both.yaml", "--", "greet").out


def test_the_same_lock_gives_the_same_tree_on_another_machine(
    case: Case, tmp_path: Path, channel: TestChannel, wheel_index: Server
) -> None:
    extra = f"pypi:\n  index: {wheel_index.url}/simple\n  packages:\n    toy:\n"
    case.recipe(conda_recipe(channel, "    greet:\n    post-link:\n    old-fashioned:\n", extra), "x.yaml")
    case.run("realize", "x.yaml")
    here = Path(case.out.strip())
    first = tree_of(here)
    lock = (case.project / "x.lock.yaml").read_bytes()
    # The home lies at the same path and begins empty, so that the prefix has the same name and no cache is warm.
    case.home.rename(tmp_path / "first-home")
    case.run("realize", "x.yaml", "--locked")
    assert Path(case.out.strip()) == here
    assert tree_of(here) == first
    assert (case.project / "x.lock.yaml").read_bytes() == lock
    assert not (here / "post-link-ran").exists()


def test_a_derived_recipe_keeps_what_its_base_has(case: Case, channel: TestChannel, wheel_index: Server) -> None:
    case.recipe(conda_recipe(channel, "    colours: '1.0'\n    greet: '1.*'\n"), "base.yaml").run("lock", "base.yaml")
    base = (case.project / "base.lock.yaml").read_text()
    # The base's own line is loosened by nobody: colours 2.0 exists, and stays out.
    extra = f"pypi:\n  index: {wheel_index.url}/simple\n  packages:\n    toy-core:\n"
    case.recipe(f"extends: base.yaml\n{extra}", "derived.yaml").run("realize", "derived.yaml")
    derived = (case.project / "derived.lock.yaml").read_text()
    lines = [line for line in base.splitlines() if line.startswith("      - ")]
    assert lines
    for line in lines:
        assert json.loads(line[8:])["sha256"] in derived
    added = [line for line in derived.splitlines() if line.startswith("      - ") and '"toy-core"' in line]
    assert len(added) == 1
    assert derived.count("      - ") == len(lines) + 1


def test_what_the_base_satisfies_adds_nothing(case: Case, channel: TestChannel) -> None:
    case.recipe(conda_recipe(channel, "    greet: '1.*'\n"), "base.yaml")
    case.recipe("extends: base.yaml\nconda:\n  packages:\n    colours: '>=1'\n", "derived.yaml")
    case.run("realize", "base.yaml").run("plan", "derived.yaml", "--json")
    (plan,) = json.loads(case.out)["plans"]
    assert [row["label"] for row in plan["rows"] if row["state"] == "miss"] in ([], ["derived (linux-64)"])


def test_a_derived_recipe_that_contradicts_its_base_names_both_sides(case: Case, channel: TestChannel) -> None:
    case.recipe(conda_recipe(channel, "    colours: '1.0'\n"), "base.yaml")
    case.recipe("extends: base.yaml\nconda:\n  packages:\n    colours: '>=2'\n", "derived.yaml")
    case.run("lock", "derived.yaml", code=11).mentions("colours", "derived.yaml:4:5")


def test_a_derived_recipe_cannot_change_the_base_s_python(case: Case, channel: TestChannel) -> None:
    case.recipe(conda_recipe(channel, "    colours:\n"), "base.yaml")
    case.recipe("extends: base.yaml\npython: 3.9\n", "derived.yaml")
    case.run("lock", "derived.yaml", code=None).mentions("3.9", "derived.yaml")
    assert case.code in {3, 11}


def test_variables_reach_the_program(case: Case, channel: TestChannel) -> None:
    value = "a 'b' \"c\" $(d) `e` \\ \u00fc\n"
    extra = f"variables:\n  STRANGE: {json.dumps(value)}\n"
    case.recipe(conda_recipe(channel, "    colours:\n", extra), "v.yaml")
    code = "import os, sys; sys.stdout.buffer.write(os.environb[b'STRANGE'])"
    assert case.run("run", "v.yaml", "--", "python", "-c", code).out == value


def test_exit_codes_of_programs_pass_through(case: Case, channel: TestChannel) -> None:
    case.recipe(conda_recipe(channel, "    colours:\n"), "v.yaml")
    case.run("run", "v.yaml", "--", "python", "-c", "raise SystemExit(37)", code=37)
    case.run("run", "v.yaml", "--", "no-such-program", code=127).mentions("not found")


def test_a_folder_with_spaces_and_umlauts(tmp_path: Path, channel: TestChannel) -> None:
    case = Case(tmp_path / "ein Ordner mit Käse")
    case.recipe(conda_recipe(channel, "    greet:\n"), "mein Rezept.yaml").run("realize", "mein Rezept.yaml")
    assert case.run("run", "mein Rezept.yaml", "--", "greet").out.startswith("hello from greet")
    case.run("verify").mentions("0 findings")


@pytest.mark.parametrize("flag", ["--locked", "--frozen"])
def test_no_lock_is_made_where_none_may_be(case: Case, channel: TestChannel, flag: str) -> None:
    case.recipe(conda_recipe(channel, "    colours:\n"), "a.yaml")
    case.run("realize", "a.yaml", flag, code=10 if flag == "--locked" else 3).mentions("envbuild lock a.yaml")
    (case.project / "a.yaml").rename(case.project / "so ein.yaml")
    case.run("realize", "so ein.yaml", flag, code=None).mentions("envbuild lock 'so ein.yaml'")
    assert not (case.project / "a.lock.yaml").exists()


def test_offline_names_everything_that_is_missing_and_then_works(case: Case, channel: TestChannel) -> None:
    case.recipe(conda_recipe(channel, "    greet:\n"), "a.yaml").run("lock", "a.yaml")
    case.run("realize", "a.yaml", "--offline", code=5).mentions("greet", "python", "run once without --offline")
    case.run("realize", "a.yaml")
    out = case.out
    (case.project / ".envs" / "a").unlink()
    assert case.run("realize", "a.yaml", "--offline").out == out


def test_only_this_machine_s_platform_can_be_realized(case: Case, channel: TestChannel) -> None:
    text = conda_recipe(channel, "    data-files:\n").replace("conda:", "platforms: [win-64]\nconda:", 1)
    case.recipe(text, "w.yaml").run("lock", "w.yaml", code=None)
    if case.code == 0:
        case.run("realize", "w.yaml", code=11).mentions("it is for: win-64")
