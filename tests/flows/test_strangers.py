"""What people do who have not read the manual: each ends in what they meant, or in a sentence that helps."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.case import Case
from tests.support.channel import TestChannel
from tests.support.servers import Server
from tests.support.wheel_index import WheelIndex
from tests.support.wheels import make_wheel

SERIES = f"{sys.version_info.major}.{sys.version_info.minor}"


def host(server: Server, packages: str) -> str:
    return f"interpreter: host\npython: {SERIES}\npypi:\n  index: {server.url}/simple\n  packages:\n{packages}"


def test_two_recipes_of_one_name_keep_their_own_links(case: Case, wheel_index: Server) -> None:
    case.file("envbuild.yaml", "recipes: envs/\n")
    case.recipe(host(wheel_index, "    toy:\n"), "envs/a/x.yaml")
    case.recipe(host(wheel_index, "    toy-core:\n"), "envs/b/x.yaml")
    case.recipe(host(wheel_index, "    toy-paint:\n"), "envs/x.yaml")
    case.run("realize", "envs/a/x.yaml", "envs/b/x.yaml", "envs/x.yaml")
    prefixes = case.out.split()
    assert len(set(prefixes)) == 3
    links = [str((case.project / ".envs" / name).readlink()) for name in ("a.x", "b.x", "x")]
    assert links == prefixes


def test_one_recipe_that_fails_keeps_no_other_from_its_lock(case: Case, wheel_index: Server) -> None:
    for name, package in (("a", "toy"), ("b", "no-such-thing"), ("c", "toy-core")):
        case.recipe(host(wheel_index, f"    {package}:\n"), f"{name}.yaml")
    case.recipe("extends: b.yaml\n", "d.yaml")
    case.run("lock", "a.yaml", "b.yaml", "c.yaml", "d.yaml", "--keep-going", code=11)
    assert {path.name for path in case.project.glob("*.lock.yaml")} == {"a.lock.yaml", "c.lock.yaml"}
    assert case.err.count("error[unsatisfiable]") == 1, "the base's failure is said once"
    case.run("lock", "a.yaml", "b.yaml", "--keep-going", "--json", code=11)
    tree = json.loads(case.out)
    assert [Path(item["recipe"]).name for item in tree["locks"]] == ["a.yaml"]
    assert [item["reference"] for item in tree["errors"]] == ["unsatisfiable"]


def test_the_project_file_and_hidden_files_are_no_recipes(case: Case, wheel_index: Server) -> None:
    case.file("envbuild.yaml", "recipes: .\n").file(".pre-commit-config.yaml", "repos: []\n")
    case.recipe(host(wheel_index, "    toy:\n"), "x.yaml").run("lock")
    case.run("lock", "--check").mentions("1 lock fits its recipe")


def test_two_recipes_that_would_share_a_lock(case: Case, wheel_index: Server) -> None:
    case.recipe(host(wheel_index, "    toy:\n"), "x.yaml").recipe(host(wheel_index, "    toy-core:\n"), "x.yml")
    case.run("lock", "x.yml", code=3).mentions("two-recipes", "x.yaml", "rename one of the two")
    assert not (case.project / "x.lock.yaml").exists()


@pytest.mark.parametrize(
    "words",
    [
        ("realize", "x.yaml", "--prefix", "p", "--out-link", "l"),
        ("realize", "x.yaml", "--no-out-link", "--out-link", "l"),
        ("realize", "x.yaml", "--locked", "--frozen"),
        ("realize", "x.yaml", "--writable"),
        ("realize", "x.yaml", "--jobs", "0"),
        ("lock", "x.yaml", "--check", "--upgrade"),
        ("lock", "x.yaml", "--check", "--platform", "linux-64"),
        ("run", "--no-such-flag", "x.yaml", "--", "true"),
        ("add", "x.yaml", "toy", "--pypi", "--conda"),
    ],
)
def test_flags_that_contradict_are_said_and_as_json_too(
    case: Case, wheel_index: Server, words: tuple[str, ...]
) -> None:
    case.recipe(host(wheel_index, "    toy:\n"))
    before = (case.project / "x.yaml").read_bytes()
    case.run(*words, code=2)
    assert case.err.strip()
    assert not case.home.exists()
    assert (case.project / "x.yaml").read_bytes() == before
    case.variable("ENVBUILD_JSON", "1").run(*words, code=2)
    tree = json.loads(case.out)
    assert tree["version"] == 1
    assert tree["error"]["exit-code"] == 2


def test_a_working_folder_that_is_gone(case: Case, wheel_index: Server) -> None:
    case.recipe(host(wheel_index, "    toy:\n"))
    gone = case.project / "gone"
    gone.mkdir()
    script = f'rmdir "{gone}"; exec "{sys.executable}" -m envbuild list'
    outcome = subprocess.run(
        ["sh", "-c", script], cwd=gone, env=case.environ, capture_output=True, text=True, check=False
    )
    assert outcome.returncode == 2, outcome.stderr
    assert "the working folder is not there any more" in outcome.stderr
    assert "Traceback" not in outcome.stderr


def test_a_home_by_two_names_is_one_home(case: Case, tmp_path: Path, wheel_index: Server, channel: TestChannel) -> None:
    series = ".".join(channel.pythons[0].split(".")[:2])
    case.recipe(
        f"python: {series}\nconda:\n  channels: ['{channel.folder.as_uri()}']\n  packages: {{greet: ''}}\n"
        f"pypi:\n  index: {wheel_index.url}/simple\n  packages: {{toy: ''}}\n"
    )
    case.run("realize", "x.yaml")
    first = case.out
    link = tmp_path / "linked"
    link.symlink_to(case.home)
    case.variable("ENVBUILD_HOME", str(link)).run("realize", "x.yaml")
    assert case.out == first
    case.run("verify").mentions("0 findings")


@pytest.mark.parametrize("name", ["a home with späces", "x" * 150])
def test_scripts_run_from_strange_and_long_homes(
    case: Case, tmp_path: Path, wheel_index: Server, channel: TestChannel, name: str
) -> None:
    series = ".".join(channel.pythons[0].split(".")[:2])
    case.variable("ENVBUILD_HOME", str(tmp_path / name))
    case.recipe(
        f"python: {series}\nconda:\n  channels: ['{channel.folder.as_uri()}']\n  packages: {{greet: ''}}\n"
        f"pypi:\n  index: {wheel_index.url}/simple\n  packages: {{toy: ''}}\n"
    )
    case.recipe(host(wheel_index, "    toy:\n"), "host.yaml")
    assert case.run("run", "x.yaml", "--", "greet").out.startswith("hello from greet")
    assert case.run("run", "x.yaml", "--", "toy").code == 0
    assert case.run("run", "host.yaml", "--", "toy").code == 0


def test_whoever_reads_only_the_beginning_gets_no_traceback(case: Case, wheel_index: Server) -> None:
    case.recipe(host(wheel_index, "    toy:\n")).run("lock", "x.yaml")
    for words in ("show x.yaml", "tree x.yaml", "--help", "config list"):
        command = f'"{sys.executable}" -m envbuild {words} | head -1; exit ${{PIPESTATUS[0]}}'
        outcome = subprocess.run(
            ["bash", "-c", command], cwd=case.project, env=case.environ, capture_output=True, text=True, check=False
        )
        assert outcome.returncode == 0
        assert not outcome.stderr or "Traceback" not in outcome.stderr
        assert len(outcome.stdout.splitlines()) == 1


@pytest.mark.parametrize("flags", [(), ("--json",)], ids=["text", "json"])
def test_control_c_leaves_nothing_half_written(
    case: Case, serving: Callable[..., Server], flags: tuple[str, ...]
) -> None:
    server = serving(lambda request: None)
    server.latency = 60
    case.recipe(host(server, "    toy:\n"))
    process = subprocess.Popen(
        [sys.executable, "-m", "envbuild", "lock", "x.yaml", *flags],
        cwd=case.project,
        env=case.environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    while not server.requests:
        assert process.poll() is None
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    out, said = process.communicate(timeout=50)
    assert process.returncode == 130, said
    assert said.strip().splitlines()[-1] == "interrupted"
    if flags:
        error = json.loads(out)["error"]
        assert (error["reference"], error["exit-code"]) == ("interrupted", 130)
    assert "Traceback" not in said
    assert [path.name for path in case.project.iterdir()] == ["x.yaml"]


def test_an_environment_inside_another(case: Case, wheel_index: Server) -> None:
    case.recipe(host(wheel_index, "    toy:\n"), "outer.yaml").recipe(
        host(wheel_index, "    toy-core:\n"), "inner.yaml"
    )
    case.run("realize", "inner.yaml")
    inner = case.out.strip()
    nested = [
        sys.executable,
        "-m",
        "envbuild",
        "run",
        "inner.yaml",
        "--",
        "python",
        "-c",
        "import sys; print(sys.prefix)",
    ]
    assert case.run("run", "outer.yaml", "--", *nested).out.strip() == inner
    case.run("realize", "inner.yaml").mentions(": 1 package, already there")


def test_activation_by_eval_and_back(case: Case, wheel_index: Server) -> None:
    case.recipe(host(wheel_index, "    toy:\n")).run("realize", "x.yaml")
    prefix = case.out.strip()
    script = (
        f'before="$PATH"; eval "$("{sys.executable}" -m envbuild shell-hook x.yaml --shell bash)"; '
        'command -v toy; deactivate; test "$PATH" = "$before" && echo restored'
    )
    outcome = subprocess.run(
        ["bash", "-c", script], cwd=case.project, env=case.environ, capture_output=True, text=True, check=False
    )
    assert outcome.stdout.splitlines() == [f"{prefix}/bin/toy", "restored"], outcome.stderr


def test_a_shell_that_reads_none_of_our_code_gets_none(case: Case, wheel_index: Server) -> None:
    case.recipe(host(wheel_index, "    toy:\n"))
    case.environ["SHELL"] = "/bin/tcsh"
    case.run("shell-hook", "x.yaml", code=2).mentions("there is no code for tcsh", "--shell names one of bash")
    assert case.out == ""
    assert "deactivate" in case.run("shell-hook", "x.yaml", "--shell", "zsh").out


def test_adding_what_cannot_be_satisfied_restores_the_recipe(case: Case, wheel_index: Server) -> None:
    text = host(wheel_index, "    toy: '<2'  # kept\n").replace("\n", "\r\n")
    (case.project / "x.yaml").write_bytes(text.encode())
    case.run("lock", "x.yaml")
    lock = (case.project / "x.lock.yaml").read_bytes()
    for requirement in ("toy-core>=99", "no-such-thing"):
        case.run("add", "x.yaml", requirement, code=11)
        assert (case.project / "x.yaml").read_bytes() == text.encode()
        assert (case.project / "x.lock.yaml").read_bytes() == lock
    case.run("add", "x.yaml", "toy-paint")
    assert (case.project / "x.yaml").read_bytes() == (text + "    toy-paint:\r\n").encode()


@pytest.mark.parametrize("words", ["add --pypi trian.yaml idna", "remove-package trian.yaml toy", "add trian idna"])
def test_a_slip_in_the_name_of_an_edited_recipe_is_told_where_the_projects_recipes_are(case: Case, words: str) -> None:
    (case.project / "envbuild.yaml").write_text("recipes: environments/\n")
    (case.project / "environments").mkdir()
    (case.project / "environments" / "train.yaml").write_text("interpreter: host\n")
    case.run(*words.split(), code=3).mentions("missing-file", "did you mean environments/train.yaml?")


def test_every_screen_has_json_with_a_version(case: Case, wheel_index: Server) -> None:
    case.recipe(host(wheel_index, "    toy:\n"))
    for words in (
        "lock x.yaml",
        "lock --check x.yaml",
        "plan x.yaml",
        "realize x.yaml",
        "realize --dry-run x.yaml",
        "show x.yaml",
        "tree x.yaml",
        "why x.yaml toy-core",
        "list",
        "verify",
        "gc",
        "config list",
        "add x.yaml toy-paint",
        "remove-package x.yaml toy-paint",
    ):
        assert json.loads(case.run(*words.split(), "--json").out)["version"] == 1, words
    for words, code in (("realize none.yaml", 3), ("why x.yaml none", 2), ("lock --chek", 2), ("frobnicate", 2)):
        tree = json.loads(case.run(*words.split(), "--json", code=code).out)
        assert tree["version"] == 1
        assert tree["error"]["exit-code"] == code


def test_find_links_of_the_machine_are_part_of_the_question(case: Case, tmp_path: Path, wheel_index: Server) -> None:
    """A lock made with other find-links is another question, and never an answer from memory."""
    links = tmp_path / "links"
    links.mkdir()
    make_wheel(links, "toy-core", "3.0")
    case.variable("UV_DEFAULT_INDEX", f"{wheel_index.url}/simple")
    text = f"interpreter: host\npython: {SERIES}\nexclude-newer: 2030-01-01\npypi: {{packages: {{toy-core: ''}}}}\n"
    case.recipe(text).run("lock", "x.yaml").mentions("toy-core 1.5")
    (case.project / "x.lock.yaml").unlink()
    case.variable("UV_FIND_LINKS", links.as_uri()).run("lock", "x.yaml").mentions("toy-core 3.0")


def test_an_index_with_a_second_version_elsewhere(
    case: Case, tmp_path: Path, wheel_index: Server, serving: Callable[..., Server]
) -> None:
    folder = tmp_path / "other"
    folder.mkdir()
    make_wheel(folder, "toy", "0.1")
    extra = serving(WheelIndex(folder=folder))
    text = host(wheel_index, "    toy: '>=2'\n").replace(
        "  packages:", f"  extra-indices: [{{name: other, url: '{extra.url}/simple'}}]\n  packages:"
    )
    case.recipe(text).run("lock", "x.yaml", code=11).mentions(
        "the first index that has a name decides", "toy is on other"
    )
    case.hides("--index-strategy", "unsafe-best-match")


def test_a_link_of_ones_own_is_not_replaced(case: Case, wheel_index: Server) -> None:
    case.recipe(host(wheel_index, "    toy:\n"))
    (case.project / "data").mkdir()
    (case.project / "current").symlink_to(case.project / "data")
    case.run("realize", "x.yaml", "--out-link", "current", code=8).mentions(
        "is a link to something that is no environment"
    )
    assert (case.project / "current").readlink() == case.project / "data"
    (case.project / "dangling").symlink_to(case.project / "nowhere")
    case.run("realize", "x.yaml", "--out-link", "dangling")
    case.run("realize", "x.yaml", "--out-link", "dangling")


def test_a_prefix_in_the_home_is_refused(case: Case, wheel_index: Server) -> None:
    case.recipe(host(wheel_index, "    toy:\n")).run("realize", "x.yaml")
    for place in (case.home, case.home / "store" / "mine"):
        case.run("realize", "x.yaml", "--prefix", place, code=2).mentions("prefix-in-home")
    assert not (case.home / "store" / "mine").exists()


def test_the_list_names_links_and_recipes_that_belong_together(case: Case, wheel_index: Server) -> None:
    case.recipe(host(wheel_index, "    toy:\n"), "a.yaml").run("realize", "a.yaml")
    time.sleep(1.1)  # records are made by the second
    case.recipe(host(wheel_index, "    toy:\n"), "b.yaml").run("realize", "b.yaml", "a.yaml")
    case.run("list", "--json")
    (item,) = json.loads(case.out)["environments"]
    assert Path(item["links"][0]).name == item["name"] == Path(item["recipe"]).stem
    assert {Path(link).name for link in item["links"]} == {"a", "b"}


def test_what_belongs_elsewhere_in_a_recipe(case: Case) -> None:
    case.recipe("channels: [conda-forge]\ndependencies: [numpy]\npypi:\n  packages: [toy]\n")
    case.run("lock", "x.yaml", code=3)
    case.mentions("`channels` belongs under `conda:`", "here write `conda: {packages:", "without a dash")
    case.recipe("- numpy\n- toy\n").run("lock", "x.yaml", code=3).mentions("begin with a key, such as `python: 3.12`")


def test_an_extra_that_is_none_is_said(case: Case, wheel_index: Server) -> None:
    case.recipe(host(wheel_index, "    toy-extras[color]:\n    toy-paint:\n")).run("lock", "x.yaml")
    case.mentions("note: toy-extras has no extra named color")
    case.recipe(host(wheel_index, "    toy-extras[colour]:\n")).run("lock", "x.yaml")
    assert "note:" not in case.err


@pytest.mark.parametrize("fails", ["lock", "fetch"])
def test_keep_going_realizes_what_it_can(
    case: Case, tmp_path: Path, wheel_index: Server, serving: Callable[..., Server], fails: str
) -> None:
    folder = tmp_path / "vanishing"
    folder.mkdir()
    wheel = make_wheel(folder, "brief", "1.0")
    case.recipe(host(serving(WheelIndex(folder=folder)), "    brief:\n"), "bad.yaml")
    case.recipe(host(wheel_index, "    toy:\n"), "good.yaml")
    if fails == "fetch":
        case.run("lock", "bad.yaml")
    wheel.unlink()
    case.run("realize", "bad.yaml", "good.yaml", "--keep-going", code=None).mentions("brief")
    assert case.code in {5, 11}
    assert (case.project / ".envs" / "good").is_dir()
    assert not (case.project / ".envs" / "bad").exists()


def test_a_shared_prefix_does_not_become_writable_by_asking(case: Case, wheel_index: Server) -> None:
    case.recipe(host(wheel_index, "    toy:\n")).run("realize", "x.yaml", "--prefix", "p")
    case.run("realize", "x.yaml", "--prefix", "p").mentions("already there")
    case.run("realize", "x.yaml", "--prefix", "p", "--writable", code=6).mentions("is not a private copy")
    case.run("realize", "x.yaml", "--prefix", "q", "--writable")
    case.run("realize", "x.yaml", "--prefix", "q", "--writable").mentions("already there")
