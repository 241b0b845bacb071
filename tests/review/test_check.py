"""``check``: recipes and locks of a project held against each other, in a real checkout, by session and command."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from benchmarks.review_project import commit, make_project
from envbuild.lock import Lock, LockedBase, LockedEnvironment
from envbuild.locks.lock_writing import lock_text
from envbuild.locks.lockfile import parse_lock
from envbuild.locks.place import lock_path
from envbuild.package import Platform
from envbuild.projects.project import find_project, make_request
from envbuild.recipe import Index
from envbuild.review.check_verbs import CheckOptions
from envbuild.review.findings import Checked, Finding
from envbuild.session import Session
from envbuild.value import replace
from tests.case import Case

PLATFORMS = (Platform("linux-64"), Platform("osx-arm64"))
NOW = datetime(2026, 11, 21, tzinfo=timezone.utc)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "team"
    make_project(folder, recipes=3, packages=12, platforms=PLATFORMS)
    return folder


def examined(folder: Path, **options: Any) -> Checked:
    return Session(start=folder, environ={**os.environ}).examine(options=CheckOptions(now=NOW, **options))


def rules(checked: Checked) -> list[str]:
    return [item.rule for item in checked.findings]


def the(checked: Checked, rule: str) -> Finding:
    return next(item for item in checked.findings if item.rule == rule)


def rewritten(recipe: Path, change: Callable[[LockedEnvironment], LockedEnvironment], **lock_changes: Any) -> None:
    """Write a lock anew, with ids that fit, as somebody would who wants it to look right."""
    file = lock_path(recipe)
    lock: Lock = replace(parse_lock(file.read_bytes(), file.name), **lock_changes)
    file.write_text(lock_text(replace(lock, platforms=tuple(map(change, lock.platforms)))))


def with_conda(environment: LockedEnvironment, **changes: Any) -> LockedEnvironment:
    return made_of(environment, conda=(replace(environment.conda[0], **changes), *environment.conda[1:]))


def with_wheel(environment: LockedEnvironment, **changes: Any) -> LockedEnvironment:
    return made_of(environment, wheels=(replace(environment.wheels[0], **changes), *environment.wheels[1:]))


def made_of(environment: LockedEnvironment, **changes: Any) -> LockedEnvironment:
    """The environment with other packages, and the id of these."""
    said = {
        "platform": environment.platform,
        "python": environment.python,
        "interpreter": environment.interpreter,
        "system": environment.system,
        "conda": environment.conda,
        "wheels": environment.wheels,
    }
    return LockedEnvironment(**{**said, **changes})


def first(folder: Path) -> Path:
    return folder / "recipes" / "r000.yaml"


def line_of(file: Path, text: str) -> int:
    return next(number for number, line in enumerate(file.read_text().split("\n"), 1) if text in line)


def test_a_project_whose_locks_fit_has_no_findings(project: Path) -> None:
    checked = examined(project)
    assert checked.findings == ()
    assert checked.exit_code(strict=True) == 0
    assert (checked.recipes, checked.remembered) == (3, 0)


def test_what_was_good_is_not_read_again_until_something_of_it_changes(project: Path) -> None:
    examined(project)
    assert examined(project).remembered == 3
    first(project).write_text(first(project).read_text() + "# a remark\n")
    assert examined(project).remembered == 2
    (project / "envbuild.yaml").write_text((project / "envbuild.yaml").read_text() + "policy: {max-size: 1GB}\n")
    assert examined(project).remembered == 0


def test_what_is_remembered_of_one_policy_says_nothing_of_another(project: Path) -> None:
    assert examined(project).exit_code() == 0
    settings = Path(os.environ["XDG_CONFIG_HOME"]) / "envbuild" / "config.yaml"
    settings.parent.mkdir(parents=True, exist_ok=True)
    settings.write_text("policy: {channels: [elsewhere]}\n")
    checked = examined(project)
    assert set(rules(checked)) == {"forbidden-channel"}
    assert checked.exit_code() == 4


def test_remarks_are_told_again_although_nothing_is_read(project: Path) -> None:
    rewritten(first(project), lambda item: with_conda(item, license="Some words"))
    (project / "envbuild.yaml").write_text(
        (project / "envbuild.yaml").read_text() + "policy: {licenses: {deny: [GPL-3.0-only]}}\n"
    )
    before, after = examined(project), examined(project)
    assert (before.remembered, after.remembered) == (0, 3)
    assert rules(after) == ["unknown-license"] * 2
    assert after.findings == before.findings
    assert (after.exit_code(), after.exit_code(strict=True)) == (0, 10)


def test_a_damaged_memory_is_as_if_there_were_none(project: Path, home: Path) -> None:
    examined(project)
    (memory,) = (home / "cache" / "check").iterdir()
    memory.write_bytes(memory.read_bytes()[:-40])
    assert examined(project).remembered == 0


def test_a_lock_that_does_not_fit_is_stale_and_one_that_is_missing_is_told(project: Path) -> None:
    first(project).write_text(first(project).read_text() + '    wheel-199: ">=1"\n')
    lock_path(project / "recipes" / "r001.yaml").unlink()
    checked = examined(project)
    assert rules(checked) == ["stale", "no-lock"]
    assert "wheel-199 is asked for, and not locked" in the(checked, "stale").message
    assert the(checked, "stale").file == "recipes/r000.lock.yaml"
    assert checked.exit_code() == 10


def test_a_lock_edited_by_hand_is_worse_than_one_that_is_stale(project: Path) -> None:
    file = lock_path(first(project))
    lines = file.read_text().split("\n")
    number = next(index for index, line in enumerate(lines) if line.startswith("      - {"))
    tree = json.loads(lines[number][8:])
    tree["sha256"] = "0" * 63 + "1"
    lines[number] = "      - " + json.dumps(tree)
    file.write_text("\n".join(lines))
    lock_path(project / "recipes" / "r001.yaml").unlink()
    checked = examined(project)
    assert "lock-edited" in rules(checked)
    assert checked.exit_code() == 4


def test_two_branches_merged_as_text_are_found(project: Path) -> None:
    """A hosting site runs no merge driver: both sides' lines are there, and the id of one."""
    file = lock_path(first(project))
    lines = file.read_text().split("\n")
    number = next(index for index, line in enumerate(lines) if line.startswith("      - {"))
    tree = json.loads(lines[number][8:])
    tree |= {"name": "zz-new", "file": f"zz-new-{tree['version']}-{tree['build']}.conda", "sha256": "a" * 64}
    lines.insert(number + 1, "      - " + json.dumps(tree))
    file.write_text("\n".join(lines))
    assert rules(examined(project)) == ["lock-edited"]


def test_a_line_for_another_host_is_found_although_all_ids_fit(project: Path) -> None:
    rewritten(
        first(project),
        lambda item: with_wheel(item, index=None, url=f"https://evil.example/{item.wheels[0].file}"),
    )
    checked = examined(project)
    assert rules(checked) == ["unknown-place"] * 2
    found = checked.findings[0]
    assert "https://evil.example/" in found.message
    assert (found.line, found.column) == (line_of(project / found.file, "evil.example"), 7)
    assert checked.exit_code() == 4


def test_the_recipe_s_line_that_asks_for_a_package_is_told_too(project: Path) -> None:
    wheel = next(item for item in parse_lock(lock_path(first(project)).read_bytes(), "x").platforms[0].wheels)
    assert wheel.asked
    rewritten(first(project), lambda item: with_wheel(item, index="https://evil.example/simple"))
    found = the(examined(project), "unknown-place")
    assert found.related is not None
    assert found.related[:2] == ("recipes/r000.yaml", line_of(first(project), f"{wheel.name}:"))


def test_another_channel_and_another_address_behind_an_index_s_name_are_found(project: Path) -> None:
    rewritten(
        first(project),
        lambda item: with_conda(item, channel="https://evil.example/conda"),
        indices=(Index(name="pytorch", url="https://evil.example/simple"),),
    )
    checked = examined(project)
    assert set(rules(checked)) == {"unknown-place"}
    assert any("the index pytorch is https://evil.example/simple here" in item.message for item in checked.findings)


def test_a_genuine_old_release_that_the_recipe_does_not_allow_is_found(project: Path) -> None:
    def older(item: LockedEnvironment) -> LockedEnvironment:
        conda, wheel = item.conda[0], item.wheels[0]
        return made_of(
            with_conda(item, version="0.9", file=f"{conda.name}-0.9-{conda.build}.conda"),
            wheels=(
                replace(wheel, version="0.9", file=wheel.file.replace(wheel.version, "0.9")),
                *item.wheels[1:],
            ),
        )

    rewritten(first(project), older)
    checked = examined(project)
    assert rules(checked) == ["not-as-asked"] * 4
    assert "lib-000 0.9 is locked, and >=1 asked for" in [item.message for item in checked.findings]
    assert checked.exit_code() == 4


def test_a_package_that_was_taken_out_of_a_lock_is_found(project: Path) -> None:
    rewritten(first(project), lambda item: made_of(item, conda=item.conda[1:]))
    checked = examined(project)
    assert rules(checked) == ["not-as-asked"] * 2
    assert "linux-64 is locked without it" in checked.findings[0].message


def test_another_python_than_the_recipe_allows_is_found(project: Path) -> None:
    rewritten(
        first(project),
        lambda item: made_of(
            item,
            conda=tuple(
                replace(each, version="3.10.1", file=f"python-3.10.1-{each.build}.conda")
                if each.name == "python"
                else each
                for each in item.conda
            ),
        ),
    )
    assert rules(examined(project)) == ["not-as-asked"] * 2


def test_a_lock_that_another_tool_wrote_anew_is_fixed_and_nothing_else_is(project: Path) -> None:
    file = lock_path(first(project))
    good = file.read_bytes()
    file.write_text(file.read_text().replace('{"name": ', '{"name":   ').replace("\n", "\r\n"))
    others = {path: path.read_bytes() for path in project.rglob("*") if path.is_file() and path != file}
    checked = examined(project)
    assert rules(checked) == ["lock-format"]
    assert (checked.findings[0].fixable, checked.exit_code()) == (True, 10)
    fixed = examined(project, fix=True)
    assert (fixed.findings, fixed.fixed, fixed.exit_code()) == ((), ("recipes/r000.lock.yaml",), 0)
    assert file.read_bytes() == good
    assert {path: path.read_bytes() for path in others} == others
    assert examined(project, fix=True).fixed == ()


def test_what_is_wrong_is_never_fixed(project: Path) -> None:
    file = lock_path(first(project))
    file.write_text(file.read_text().replace('"1.0.0"', '"6.6.6"', 1))
    before = file.read_bytes()
    assert examined(project, fix=True).exit_code() == 4
    assert file.read_bytes() == before


def test_a_lock_without_a_recipe_is_found_when_the_whole_project_is_checked(project: Path) -> None:
    first(project).unlink()
    assert rules(examined(project)) == ["orphan-lock"]
    assert Session(start=project).examine(project / "recipes" / "r001.yaml").findings == ()


def test_a_recipe_that_cannot_be_read_keeps_no_other_from_being_checked(project: Path) -> None:
    first(project).write_text("python: [\n")
    (project / "recipes" / "r001.yaml").write_text("pyton: 3.11\ncondo: {}\n")
    checked = examined(project)
    assert {"bad-syntax", "unknown-key"} <= set(rules(checked))
    unknown = [item for item in checked.findings if item.rule == "unknown-key"]
    assert [(item.file, item.line, item.column) for item in unknown] == [
        ("recipes/r001.yaml", 1, 1),
        ("recipes/r001.yaml", 2, 1),
    ]
    assert checked.exit_code() == 3
    assert checked.recipes == 3


def test_a_base_that_was_locked_again_makes_what_stands_on_it_stale_and_a_changed_pin_is_found(project: Path) -> None:
    session = Session(start=project)
    base = project / "recipes" / "r001.yaml"
    derived = project / "recipes" / "derived.yaml"
    derived.write_text("extends: r001.yaml\n")
    request, _ = make_request(find_project(derived, {}), derived)
    lock = parse_lock(lock_path(base).read_bytes(), "base")
    whole = Lock(
        request=request.id,
        platforms=lock.platforms,
        bases=(
            LockedBase(
                path="recipes/r001.yaml",
                request=lock.request,
                environments=tuple((item.platform, item.id) for item in lock.platforms),
            ),
        ),
    )
    lock_path(derived).write_text(lock_text(whole))
    assert session.examine(derived).findings == ()
    rewritten(derived, lambda item: with_conda(item, sha256="e" * 64))
    assert rules(session.examine(derived)) == ["base-differs"] * 2
    lock_path(derived).write_text(lock_text(whole))
    rewritten(base, lambda item: with_conda(item, sha256="d" * 64))
    assert rules(Session(start=project).examine(derived)) == ["stale"]


def test_the_policy_names_each_package_with_its_line(project: Path) -> None:
    (project / "envbuild.yaml").write_text(
        (project / "envbuild.yaml").read_text() + "policy:\n  forbidden: ['lib-000']\n  min-age: 1d\n"
    )
    checked = examined(project)
    found = the(checked, "forbidden-package")
    assert found.line == line_of(project / found.file, '"lib-000"')
    assert checked.exit_code() == 4


def test_the_command_says_places_counts_and_exits(tmp_path: Path, project: Path) -> None:
    case = Case(tmp_path)
    case.project = project
    case.run("check").mentions("Checked 3 recipes: nothing found")
    file = lock_path(first(project))
    file.write_text(file.read_text().replace('{"name": ', '{"name":  '))
    case.run("check", code=10)
    assert case.out.startswith("error[lock-format]: recipes/r000.lock.yaml:")
    case.run("check", "--format", "json", code=10)
    tree = json.loads(case.out)
    assert (tree["version"], tree["recipes"], tree["exit-code"]) == (1, 3, 10)
    assert tree["findings"][0]["rule"] == "lock-format"
    case.run("check", "--format", "sarif", "-o", "check.sarif", code=10)
    assert case.out.startswith("error[lock-format]: recipes/r000.lock.yaml:")
    case.run("check", "--format", "sarif", "-o", "reports/check.sarif", code=10)
    for name in ("check.sarif", "reports/check.sarif"):
        assert json.loads((project / name).read_text())["version"] == "2.1.0"
    before = file.read_bytes()
    case.run("check", "-o", file, code=6).mentions("own-file")
    case.run("check", "-o", "check.sarif/x", code=2).mentions("bad-path")
    assert file.read_bytes() == before
    case.run("check", "--fix")
    assert "wrote recipes/r000.lock.yaml" in case.err


def test_a_project_below_the_repository_s_root_has_paths_from_there(project: Path, tmp_path: Path) -> None:
    commit(tmp_path, "all of it")
    lock_path(first(project)).unlink()
    case = Case(tmp_path)
    case.project = project
    case.run("check", "--format", "sarif", code=10)
    (run,) = json.loads(case.out)["runs"]
    (location,) = run["results"][0]["locations"]
    assert location["physicalLocation"]["artifactLocation"]["uri"] == "team/recipes/r000.yaml"
