"""What a hostile contribution holds, and ``check`` tells of it: nothing outside is read, text stays text."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from benchmarks.review_project import commit, make_project
from envbuild.locks.lockfile import LIMIT
from envbuild.locks.place import lock_path
from envbuild.package import Platform
from envbuild.projects.config_files import PROJECT_FILE
from tests.case import Case


@pytest.fixture
def team(tmp_path: Path, case: Case) -> Case:
    case.project.rmdir()
    make_project(case.project, recipes=2, packages=8, platforms=(Platform("linux-64"),))
    commit(case.project, "good")
    return case


def recipe(case: Case, number: int = 0) -> Path:
    return case.project / "recipes" / f"r{number:03d}.yaml"


def replaced_by_link(path: Path, target: Path) -> None:
    path.unlink()
    path.symlink_to(target)


def test_a_lock_or_recipe_that_leads_out_of_the_project_is_not_read(team: Case, tmp_path: Path) -> None:
    secret = tmp_path / "secret.yaml"
    secret.write_text("password: hunter2\n")
    before = secret.read_bytes()
    replaced_by_link(lock_path(recipe(team)), secret)
    replaced_by_link(recipe(team, 1), secret)
    for words in ((), ("--fix",), ("--format", "json"), ("--format", "sarif"), ("--origin", "--base", "HEAD")):
        team.run("check", *words, code=3).hides("hunter2", "password")
        assert "leaves-project" in team.out
    assert secret.read_bytes() == before
    assert lock_path(recipe(team)).is_symlink()


def test_a_folder_of_recipes_that_leads_out_is_not_read(team: Case, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    (team.project / "recipes").rename(elsewhere)
    (team.project / "recipes").symlink_to(elsewhere)
    team.run("check", code=3)
    assert team.out.count("error[leaves-project]") == 4


def test_a_base_that_leads_out_is_not_read(team: Case, tmp_path: Path) -> None:
    secret = tmp_path / "secret.yaml"
    secret.write_text("conda: {packages: {hunter2: ''}}\n")
    (team.project / "recipes" / "base.yaml").symlink_to(secret)
    recipe(team).write_text("extends: base.yaml\n")
    team.run("check", code=3).hides("hunter2")


def test_what_is_no_file_is_not_waited_for(team: Case) -> None:
    lock_path(recipe(team)).unlink()
    os.mkfifo(lock_path(recipe(team)))
    lock_path(recipe(team, 1)).unlink()
    lock_path(recipe(team, 1)).mkdir()
    team.run("check", code=3, timeout=120).mentions("error[bad-path]: recipes/r000.lock.yaml", "this is not a file")


def test_a_huge_lock_is_refused_before_it_is_read_whole(team: Case) -> None:
    with lock_path(recipe(team)).open("ab") as stream:
        stream.truncate(LIMIT * 20)
    team.run("check", code=3).mentions("error[too-large]: recipes/r000.lock.yaml")


@pytest.mark.parametrize("words", [(), ("--format", "json"), ("--format", "sarif")], ids=["text", "json", "sarif"])
def test_names_with_control_characters_are_escaped_and_begin_no_line(team: Case, words: tuple[str, ...]) -> None:
    names = (
        "\x1b[2Jx.yaml",
        "::error::x.yaml",
        "a\n::set-env name=X::y.yaml",
        "\u202egpj.yaml",
        "a%2e%2e.yaml",
        "x:1.yaml",
    )
    for name in names:
        (team.project / "recipes" / name).write_text("python: 3.11\n")
    (team.project / PROJECT_FILE).write_text("recipes: recipes/\nplatforms: [linux-64]\nchannels: [conda-forge]\n")
    team.run("check", *words, code=3)
    printed = team.out + team.err
    assert "\x1b" not in printed
    assert "\u202e" not in printed
    assert not [line for line in printed.splitlines() if line.startswith("::")]
    if words[1:] == ("sarif",):
        (run,) = json.loads(team.out)["runs"]
        uris = [
            place["physicalLocation"]["artifactLocation"]["uri"]
            for item in run["results"]
            for place in item["locations"]
        ]
        assert len(uris) == len(names)
        assert all(uri.startswith("recipes/") for uri in uris)
        assert not [uri for uri in uris if set(uri) & set("\n\x1b: \u202e")]
        assert "recipes/a%252e%252e.yaml" in uris


@pytest.mark.parametrize("words", [(), ("--format", "json"), ("--format", "sarif")], ids=["text", "json", "sarif"])
def test_names_that_are_no_text_are_told(team: Case, words: tuple[str, ...]) -> None:
    Path(os.fsdecode(os.fsencode(team.project / "recipes") + b"/\xff\xfe.yaml")).write_bytes(b"python: 3.11\n")
    team.run("check", *words, code=10)
    assert "no-lock" in team.out


def test_a_licence_with_an_escape_sequence_is_escaped(team: Case) -> None:
    (team.project / PROJECT_FILE).write_text(
        (team.project / PROJECT_FILE).read_text() + "policy: {licenses: {allow: [], unknown: deny}}\n"
    )
    file = lock_path(recipe(team))
    text = file.read_text()
    file.write_text(text.replace('"license": "', '"license": "\\u001b]0;owned\\u0007\\n::warning::'))
    team.run("check", code=4).mentions("error[unknown-license]")
    assert "\x1b" not in team.out
    assert not [line for line in team.out.splitlines() if line.startswith("::")]


def test_a_policy_of_a_contribution_loosens_nothing_that_the_machine_wants(team: Case) -> None:
    settings = Path(team.environ["XDG_CONFIG_HOME"]) / "envbuild" / "config.yaml"
    settings.parent.mkdir(parents=True, exist_ok=True)
    settings.write_text("policy: {channels: [team], min-age: 7d}\n")
    (team.project / PROJECT_FILE).write_text(
        (team.project / PROJECT_FILE).read_text()
        + "policy: {channels: [conda-forge, team], min-age: 0h, except: {channels: ['*']}}\n"
    )
    team.run("check", code=4).mentions("error[forbidden-channel]")


def test_a_project_within_the_project_does_not_escape_its_policy(team: Case) -> None:
    (team.project / PROJECT_FILE).write_text((team.project / PROJECT_FILE).read_text() + "policy: {channels: [team]}\n")
    inner = team.project / "recipes" / "inner"
    inner.mkdir()
    recipe(team).rename(inner / "x.yaml")
    lock_path(recipe(team)).rename(inner / "x.lock.yaml")
    (inner / PROJECT_FILE).write_text(
        "recipes: .\nplatforms: [linux-64]\nchannels: [conda-forge]\npolicy: {except: {channels: ['*']}}\n"
    )
    team.run("check", code=4)
    assert "error[forbidden-channel]: recipes/inner/x.lock.yaml:" in team.out


def test_the_output_file_replaces_a_link_and_not_what_it_leads_to(team: Case, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("precious")
    (team.project / "check.sarif").symlink_to(precious)
    team.run("check", "--format", "sarif", "-o", "check.sarif")
    assert precious.read_text() == "precious"
    team.run("check", "-o", "recipes", code=2).mentions("is a folder")


def test_options_that_are_names_of_files_are_refused(team: Case) -> None:
    team.run("check", "--", "--fix", code=3).mentions("there is no recipe --fix")
