"""``metaflow environment …`` and ``python flow.py environment …``, as users type them and scripts read them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.metaflow.flows import Flows
from tests.support.notebooks import kernel_wheels, run_in_kernel, spec
from tests.support.servers import Server
from tests.support.wheels import make_wheel


@dataclass(frozen=True)
class Said:
    """What a command said: its results, and all else."""

    out: str
    err: str

    @property
    def lines(self) -> list[list[str]]:
        return [line.split() for line in self.out.splitlines()]


def metaflow(flows: Flows, *arguments: str | Path, code: int = 0) -> Said:
    """``metaflow environment …`` in the flow's folder."""
    words = [sys.executable, "-m", "metaflow.cmd.main_cli", "environment", *map(str, arguments)]
    return ran(flows, words, code)


def flow(flows: Flows, *arguments: str, code: int = 0) -> Said:
    """``python flow.py --environment=envbuild environment …``."""
    words = [sys.executable, flows.file.name, "--environment=envbuild", "--no-pylint", "environment", *arguments]
    return ran(flows, words, code)


def ran(flows: Flows, words: list[str], code: int) -> Said:
    done = subprocess.run(
        words, cwd=flows.project, env=flows.environ, capture_output=True, text=True, timeout=500, check=False
    )
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode == code, f"exit code {done.returncode}, not {code}\n{done.stdout}\n{done.stderr}"
    return Said(out=done.stdout, err=done.stderr)


@pytest.fixture
def shell(flows: Flows) -> Flows:
    """A folder with a file of requirements."""
    (flows.project / "requirements.txt").write_text("toy==1.0  # the first there was\n")
    return flows


def imported(python: str, code: str) -> str:
    return subprocess.run([python, "-c", code], capture_output=True, text=True, check=True, timeout=60).stdout.strip()


# metaflow environment


def test_every_command_gives_one_document_of_json_errors_too(shell: Flows) -> None:
    def document(*arguments: str, code: int = 0, before: bool = False) -> dict[str, Any]:
        words = ("--json", *arguments) if before else (*arguments, "--json")
        found: dict[str, Any] = json.loads(metaflow(shell, *words, code=code).out)
        assert found.pop("version") == 1
        return found

    resolved = document("resolve", "-r", "requirements.txt", "--alias", "team/toys:v1")
    ((item),) = resolved["environments"]
    assert (item["new"], resolved["dry-run"], resolved["names"]) == (True, False, ["team/toys:v1"])
    got = document("get", "team/toys:v1", before=True)
    assert got["environments"] == [{"id": item["id"], "platform": item["platform"]}]
    assert (got["name"], got["generation"]) == ("team/toys:v1", 1)
    assert document("alias", "team/toys:v1", "team/others")["name"] == "team/others:latest"
    states = document("show", "team/toys:v1", "team/none")["environments"]
    assert [row["state"] for row in states] == ["resolved", "unresolved"]
    assert [row["id"] for row in states] == [item["id"], None]
    made = document("create", "team/toys:v1")
    assert made["id"] == item["id"]
    assert imported(made["python"], "import toy; print(toy.__version__)") == "1.0"
    (listed,) = document("list")["environments"]
    assert listed["prefix"] == made["prefix"]
    assert document("gc", "--dry-run")["dry-run"] is True
    error = document("get", "team/none", code=3)["error"]
    assert (error["reference"], error["exit-code"]) == ("unknown-name", 3)


def test_what_is_resolved_has_a_name_is_shown_and_becomes_a_python(shell: Flows) -> None:
    said = metaflow(
        shell, "resolve", "-r", "requirements.txt", "--alias", "team/toys:v1", "--alias", "team/toys:stable"
    )
    ((identity, platform),) = said.lines
    assert "Metaflow (" not in said.out, "its title is no result"
    quiet = "--quiet"
    for name in ("team/toys:v1", "team/toys:stable", "team/toys:v1"):
        assert metaflow(shell, quiet, "get", name).lines == [[identity, platform]]
    ((shown, at, state, whole, packages, base),) = metaflow(shell, quiet, "show", "team/toys:v1").lines
    assert (shown, at, whole, base) == ("team/toys:v1", platform, identity, "-")
    assert state in {"resolved", "cached"}
    assert int(packages) >= 3, "with what it needs, and what Metaflow needs"
    made = metaflow(shell, quiet, "create", "team/toys:v1")
    assert [line for line in made.err.splitlines() if line and not line.startswith("Metaflow (")] == []
    (python,) = made.out.split()
    assert imported(python, "import toy, requests; print(toy.__version__)") == "1.0"
    assert metaflow(shell, quiet, "show", identity).lines[0][2] == "present"
    listed = metaflow(shell, quiet, "list").lines
    assert [(line[0], line[1]) for line in listed] == [(identity, platform)]
    assert listed[0][3] == str(Path(python).parents[1])


def test_nothing_is_solved_again_unless_it_is_forced(shell: Flows, index: Server) -> None:
    first = metaflow(shell, "resolve", "-r", "requirements.txt", "--quiet")
    asked = len(index.requests)
    again = metaflow(shell, "resolve", "-r", "requirements.txt")
    assert again.out == first.out
    assert "Resolved already" in again.err
    assert len(index.requests) == asked
    assert metaflow(shell, "resolve", "-r", "requirements.txt", "--force", "--quiet").out == first.out
    assert len(index.requests) > asked


def test_a_dry_run_says_what_it_would_be_and_leaves_nothing(shell: Flows) -> None:
    (shell.project / "requirements.txt").write_text("toy\n")
    before = sorted(shell.project.rglob("*"))
    said = metaflow(shell, "resolve", "-r", "requirements.txt", "--dry-run", "--alias", "team/toys")
    assert len(said.lines) == 1
    assert "Would lock" in said.err
    assert sorted(shell.project.rglob("*")) == before
    metaflow(shell, "get", "team/toys", code=3)


def test_an_environment_that_another_stands_on_is_not_derived_from_itself(shell: Flows) -> None:
    metaflow(shell, "resolve", "-r", "requirements.txt", "--alias", "team/base:v1")
    metaflow(shell, "resolve", "--using", "team/base:v1", "--alias", "team/same:v1")
    shown = metaflow(shell, "--quiet", "show", "team/base:v1", "team/same:v1").lines
    assert [line[-1] for line in shown] == ["-", "name:team/base:v1"]


def test_an_environment_stands_on_another_whose_packages_stay(shell: Flows) -> None:
    metaflow(shell, "resolve", "-r", "requirements.txt", "--alias", "team/base:v1")
    more = shell.project / "more.txt"
    more.write_text("toy-paint\n")
    ((identity, _),) = metaflow(shell, "resolve", "--quiet", "--using", "team/base:v1", "-r", more).lines
    ((_, _, _, _, _, base),) = metaflow(shell, "--quiet", "show", identity).lines
    assert base == "name:team/base:v1"
    have = {
        item["name"]: item["version"] for item in json.loads(shell.envbuild("show", identity, "--json"))["packages"]
    }
    assert have["toy"] == "1.0", "there is a newer one, and the base's stays"
    assert "toy-paint" in have


def test_other_platforms_are_resolved_from_here(shell: Flows) -> None:
    said = metaflow(
        shell,
        "--quiet",
        "resolve",
        "-r",
        "requirements.txt",
        "--arch",
        "linux-64",
        "--arch",
        "osx-arm64",
        "--alias",
        "a/b",
    )
    assert [platform for _, platform in said.lines] == ["linux-64", "osx-arm64"]
    assert metaflow(shell, "--quiet", "get", "a/b", "--arch", "osx-arm64").lines == said.lines[1:]
    (line,) = metaflow(shell, "--quiet", "show", "a/b", "--arch", "osx-arm64").lines
    assert line[1] == "osx-arm64"


def test_what_cannot_be_resolved_is_told_of_what_was_typed(shell: Flows) -> None:
    """The recipe that is made of a command line is nobody's file, and of a dry run it is gone."""
    for flags in ((), ("--dry-run",)):
        wrong = metaflow(shell, "resolve", "-r", "requirements.txt", "--python", "3.99", *flags, code=3)
        assert "--python 3.99: no Python" in wrong.err
        assert ".yaml" not in wrong.err
    (shell.project / "requirements.txt").write_text("toy==1.0\nnothing-there==1\n")
    wrong = metaflow(shell, "resolve", "-r", "requirements.txt", code=11)
    assert "requirements.txt:2" in wrong.err
    assert ".envs" not in wrong.err


def test_files_of_conda_are_read_and_get_the_python_of_conda(conda_flows: Flows) -> None:
    (conda_flows.project / "environment.yml").write_text("dependencies: [greet=1.0, {pip: ['toy==1.1']}]\n")
    metaflow(conda_flows, "resolve", "-f", "environment.yml", "--alias", "team/mixed")
    (python,) = metaflow(conda_flows, "--quiet", "create", "team/mixed").out.split()
    code = "import greet, toy, sys; print(greet.__version__, toy.__version__)"
    assert imported(python, code) == "1.0 1.1"
    assert (Path(python).parents[1] / "conda-meta").is_dir()


def test_what_nobody_has_resolved_is_shown_as_that_and_is_an_error_elsewhere(shell: Flows) -> None:
    assert metaflow(shell, "--quiet", "show", "team/none").lines == [["team/none", "-", "unresolved", "-", "-", "-"]]
    for words in (("get", "team/none"), ("alias", "team/none", "team/other"), ("create", "team/none")):
        assert "error[unknown-name]" in metaflow(shell, *words, code=3).err


def test_errors_have_the_exit_codes_of_envbuild_and_nothing_is_half_done(shell: Flows) -> None:
    (shell.project / "wrong.txt").write_text("toy===\n-e .\n")
    (shell.project / "never.txt").write_text("toy==17\n")
    metaflow(shell, "resolve", "-r", "requirements.txt", "--alias", "team/toys:v1")
    (shell.project / "other.txt").write_text("toy==1.1\n")
    cases: list[tuple[int, str, tuple[str, ...]]] = [
        (2, "no-requirements", ("resolve",)),
        (2, "usage", ("resolve", "--using", "team/toys:v1", "--python", "3.12", "-r", "other.txt")),
        (2, "unknown-platform", ("resolve", "-r", "other.txt", "--arch", "amiga-64")),
        (2, "usage", ("--datastore", "tape", "resolve", "-r", "other.txt")),
        (2, "usage", ("--datastore", "spin", "resolve", "-r", "other.txt")),
        (2, "usage", ("--metadata", "tape", "show", "team/toys:v1")),
        (2, "usage", ("create", "team/toys:v1", "--install-notebook")),
        (3, "missing-file", ("resolve", "-r", "absent.txt")),
        (3, "bad-", ("resolve", "-r", "wrong.txt")),
        (3, "bad-alias", ("resolve", "-r", "other.txt", "--alias", "Team Toys")),
        (6, "name-taken", ("resolve", "-r", "other.txt", "--alias", "team/toys:v1")),
        (11, "unsatisfiable", ("resolve", "-r", "never.txt", "--alias", "team/never")),
    ]
    for code, reference, words in cases:
        said = metaflow(shell, *words, code=code)
        assert said.out == "", words
        assert f"error[{reference}" in said.err, said.err
    metaflow(shell, "get", "team/never", code=3)


def test_a_kernel_and_a_folder_of_an_environment(shell: Flows, tmp_path: Path) -> None:
    metaflow(shell, "resolve", "-r", "requirements.txt", "--alias", "team/toys:v1")
    folder = tmp_path / "work"
    metaflow(shell, "create", "team/toys:v1", "--into-dir", folder, "--strict", code=3)
    assert not folder.exists()
    said = metaflow(shell, "create", "team/toys:v1", "--into-dir", folder)
    assert "has no code" in said.err
    (folder / "mine.py").write_text("import toy, metaflow\nprint(toy.__version__, metaflow.__file__)\n")
    stranger = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    printed = subprocess.run(
        [folder / "python", "-c", "import mine"], cwd=tmp_path, env=stranger, capture_output=True, text=True, timeout=60
    )
    assert printed.stdout.startswith("1.0 "), printed.stderr
    metaflow(shell, "create", "team/toys:v1", "--into-dir", folder, code=6)
    metaflow(shell, "create", "team/toys:v1", "--into-dir", folder, "--force")
    assert (folder / "mine.py").exists()


def test_gc_takes_what_nothing_keeps(shell: Flows) -> None:
    metaflow(shell, "resolve", "-r", "requirements.txt", "--alias", "team/toys")
    kept = Path(metaflow(shell, "--quiet", "create", "team/toys", "--name", "toys").out.strip()).parents[1]
    (shell.project / "other.txt").write_text("toy==1.1\n")
    metaflow(shell, "resolve", "-r", "other.txt", "--alias", "team/other")
    gone = Path(metaflow(shell, "--quiet", "create", "team/other").out.strip()).parents[1]
    metaflow(shell, "gc", "--keep-days", "0", "--dry-run")
    assert gone.is_dir()
    metaflow(shell, "gc", "--keep-days", "0")
    assert (kept.is_dir(), gone.is_dir()) == (True, False)


def test_a_reader_that_has_gone_is_no_failure(shell: Flows) -> None:
    """With stdout as a pipe that nobody reads any more, as behind ``| head``."""
    metaflow(shell, "resolve", "-r", "requirements.txt", "--alias", "team/toys")
    reading, writing = os.pipe()
    os.close(reading)
    words = [sys.executable, "-m", "metaflow.cmd.main_cli", "environment", "get", "team/toys"]
    done = subprocess.run(
        words, cwd=shell.project, env=shell.environ, stdout=writing, stderr=subprocess.PIPE, text=True, timeout=300
    )
    os.close(writing)
    assert done.returncode == 0, done.stderr
    assert "rror" not in done.stderr
    assert "Traceback" not in done.stderr


def test_an_interrupted_command_says_so_and_names_nothing(shell: Flows, index: Server) -> None:
    index.latency = 30
    words = [sys.executable, "-m", "metaflow.cmd.main_cli", "environment", "resolve", "-r", "requirements.txt"]
    process = subprocess.Popen(
        [*words, "--alias", "team/toys"],
        cwd=shell.project,
        env=shell.environ,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a test runner may have it ignored
    )
    while not index.requests:
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 130, said
    assert "interrupted" in said
    assert "Traceback" not in said
    metaflow(shell, "get", "team/toys", code=3)


def test_two_shells_at_once_resolve_the_same(shell: Flows) -> None:
    words = [
        sys.executable,
        "-m",
        "metaflow.cmd.main_cli",
        "environment",
        "--quiet",
        "resolve",
        "-r",
        "requirements.txt",
    ]
    running = [
        subprocess.Popen(words, cwd=shell.project, env=shell.environ, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    answers = [process.communicate(timeout=300)[0] for process in running]
    assert [process.returncode for process in running] == [0, 0]
    assert answers[0] == answers[1] != ""


@pytest.fixture
def shared(shell: Flows, tmp_path: Path) -> Flows:
    """The same with a shared store."""
    shell.configure(f"interpreter: host\nstores: ['{tmp_path / 'store'}']\n")
    shell.envbuild("store", "init", str(tmp_path / "store"))
    return shell


def elsewhere(flows: Flows) -> None:
    """From now on commands have the home of another machine, which no index answers."""
    flows.environ |= {
        "ENVBUILD_HOME": flows.environ["ENVBUILD_HOME"] + "-2",
        "ENVBUILD_INDEX_URL": "http://127.0.0.1:9/",
    }


def test_what_is_resolved_is_whole_in_the_shared_store(shared: Flows) -> None:
    metaflow(shared, "resolve", "-r", "requirements.txt", "--alias", "team/toys:v1")
    elsewhere(shared)
    assert metaflow(shared, "--quiet", "show", "team/toys:v1", "--local-only").lines[0][2] == "unresolved"
    assert metaflow(shared, "--quiet", "show", "team/toys:v1").lines[0][2] == "cached"
    (python,) = metaflow(shared, "--quiet", "create", "team/toys:v1").out.split()
    assert imported(python, "import toy; print(toy.__version__)") == "1.0"


def test_what_is_resolved_for_this_machine_alone_is_nowhere_else(shared: Flows, tmp_path: Path) -> None:
    before = sorted((tmp_path / "store").rglob("*"))
    metaflow(shared, "resolve", "-r", "requirements.txt", "--local-only", "--alias", "team/toys")
    assert sorted((tmp_path / "store").rglob("*")) == before
    assert metaflow(shared, "--quiet", "show", "team/toys", "--local-only").lines[0][2] in {"resolved", "cached"}


def test_what_a_flow_resolves_is_whole_in_the_shared_store(shared: Flows) -> None:
    shared.write(FLOW)
    flow(shared, "resolve", "paint", "--alias", "team/paint:v1")
    elsewhere(shared)
    assert metaflow(shared, "--quiet", "show", "team/paint:v1").lines[0][2] == "cached"


# A flow's own

FLOW = """
    @pypi_base(packages={"toy": "1.0"})
    class Shown(FlowSpec):
        @step
        def start(self):
            self.next(self.paint)

        @pypi(packages={"toy-paint": ""})
        @step
        def paint(self):
            self.next(self.end)

        @pypi(disabled=True)
        @step
        def end(self):
            pass
"""


def test_a_flow_shows_its_environments_from_unresolved_to_present(flows: Flows) -> None:
    flows.write(FLOW)
    assert [line[:3:2] for line in flow(flows, "show", "--quiet").lines] == [
        ["start", "unresolved"],
        ["paint", "unresolved"],
    ]
    resolved = flow(flows, "resolve", "--quiet")
    assert [line for line in resolved.err.splitlines() if not line.startswith("Metaflow ")] == []
    shown = flow(flows, "show", "--quiet").lines
    assert [line[2] for line in shown] == ["resolved", "resolved"]
    assert [[line[3], line[1]] for line in shown] == resolved.lines
    flows.run()
    assert [line[2] for line in flow(flows, "show", "--quiet").lines] == ["present", "present"]
    assert "step end runs outside" in flow(flows, "show").err
    assert "derived from" in flow(flows, "show").out


def test_a_flow_s_commands_give_one_document_of_json_errors_too(flows: Flows) -> None:
    flows.write(FLOW)
    resolved = json.loads(flow(flows, "resolve", "--json").out)
    assert [item["steps"] for item in resolved["environments"]] == [["start"], ["paint"]]
    shown = json.loads(flow(flows, "show", "--json").out)
    assert [item["id"] for item in shown["environments"]] == [item["id"] for item in resolved["environments"]]
    assert [item["environment"] for item in shown["environments"]] == ["start", "paint"]
    error = json.loads(flow(flows, "resolve", "--alias", "a/b", "--json", code=2).out)["error"]
    assert error["reference"] == "several-environments"
    (flows.project / "envbuild.yaml").write_text("interpreter: host\n")
    emitted = json.loads(flow(flows, "emit", "--json").out)
    assert [Path(item).name for item in emitted["recipes"]] == ["start.yaml", "paint.yaml"]


def test_a_run_uses_what_was_resolved_before(flows: Flows, index: Server) -> None:
    flows.write(FLOW)
    ((identity, _),) = flow(flows, "resolve", "paint", "--alias", "team/paint:v1", "--quiet").lines
    flows.run()
    told = flows.told("paint")
    assert told is not None
    assert identity == f"{told['request']}:{told['environment']}"
    meant = json.loads(flows.envbuild("get", "team/paint:v1", "--json"))
    assert told["environment"] in meant["environments"].values()


def test_a_name_for_several_environments_is_refused_before_anything_is_done(flows: Flows, index: Server) -> None:
    flows.write(FLOW)
    said = flow(flows, "resolve", "--alias", "team/all", code=2)
    assert "error[several-environments]" in said.err
    assert not index.requests
    assert "error[unknown-step]" in flow(flows, "resolve", "nope", code=2).err


def test_a_flow_s_dry_run_and_other_platforms_change_nothing_of_its_runs(flows: Flows) -> None:
    flows.write(FLOW)
    assert len(flow(flows, "resolve", "--dry-run", "--quiet").lines) == 2
    assert not (flows.project / ".envs").exists()
    lines = flow(flows, "resolve", "start", "--arch", "linux-64", "--arch", "osx-arm64", "--quiet").lines
    assert [platform for _, platform in lines] == ["linux-64", "osx-arm64"]
    assert not flows.generated("start").exists()


def test_a_forced_dry_run_says_what_a_forced_one_would_make(flows: Flows, tmp_path: Path) -> None:
    flows.write(FLOW.replace('"toy": "1.0"', '"toy": ">=1"'))
    first = flow(flows, "resolve", "start", "--quiet").lines
    make_wheel(tmp_path / "index", "toy", "3.0", requires=["toy-core"])
    assert flow(flows, "resolve", "start", "--quiet", "--dry-run").lines == first
    would = flow(flows, "resolve", "start", "--dry-run", "--force")
    assert would.lines != first
    done = flow(flows, "resolve", "start", "--force")
    assert done.lines == would.lines
    assert "Resolved linux-64" in done.err


def test_a_step_that_runs_outside_is_said_and_has_nothing_to_name(flows: Flows) -> None:
    flows.write(FLOW)
    said = flow(flows, "resolve", "end")
    assert said.out == ""
    assert "step end runs outside of every environment" in said.err
    assert "these steps have none of their own" in flow(flows, "resolve", "end", "--alias", "team/x", code=2).err


def test_a_flow_s_steps_show_what_they_are_derived_from(flows: Flows) -> None:
    (flows.project / "base.txt").write_text("toy==1.0\n")
    metaflow(flows, "resolve", "-r", "base.txt", "--alias", "team/base:v1")
    flows.write(
        """
        class Derived(FlowSpec):
            @named_env(name="team/base:v1")
            @pypi(packages={"toy-paint": ""})
            @step
            def start(self):
                self.next(self.end)

            @pypi(disabled=True)
            @step
            def end(self):
                pass
        """
    )
    flow(flows, "resolve")
    ((_, _, _, _, _, base),) = flow(flows, "show", "--quiet").lines
    assert base == "name:team/base:v1"


def test_committed_recipes_are_shown_and_named_and_not_solved_anew(flows: Flows, index: Server) -> None:
    flows.write(FLOW)
    emitted = flow(flows, "emit", "--quiet")
    assert emitted.out.splitlines() == ["recipes/flows/Shown/start.yaml", "recipes/flows/Shown/paint.yaml"]
    locks = {path: path.read_bytes() for path in flows.committed("start").parent.glob("*.lock.yaml")}
    asked = len(index.requests)
    ((identity, _),) = flow(flows, "resolve", "start", "--alias", "team/start", "--quiet").lines
    assert [line[3] for line in flow(flows, "show", "start", "--quiet").lines] == [identity]
    assert "error[committed-recipes]" in flow(flows, "resolve", "--force", code=2).err
    assert {path: path.read_bytes() for path in locks} == locks
    assert len(index.requests) == asked
    flows.write(FLOW.replace('"1.0"', '"1.1"'))
    assert "error[recipe-drift]" in flow(flows, "resolve", code=10).err


def test_an_error_of_a_flow_s_command_is_told_of_its_decorator(flows: Flows) -> None:
    flows.write(FLOW.replace('"1.0"', '"17"'))
    said = flow(flows, "resolve", code=11)
    assert said.out == ""
    assert "@pypi_base of the flow" in said.err


def test_programs_type_the_commands_through_metaflow_s_own_interface(flows: Flows) -> None:
    """What ``Runner`` is made of; flags have the names that they have with the extension of Netflix."""
    flows.write(FLOW)
    program = (
        "from metaflow.cli import start\nfrom metaflow.runner.click_api import MetaflowAPI\n"
        "api = MetaflowAPI.from_cli('flow.py', start)(environment='envbuild').environment()\n"
        "import json\nprint(json.dumps(api.resolve(steps=['paint'], arch=['linux-64'], alias=['a/b'], dry_run=True)))"
    )
    words = json.loads(ran(flows, [sys.executable, "-c", program], 0).out.splitlines()[-1])
    ((_, platform),) = ran(flows, [sys.executable, *words], 0).lines
    assert platform == "linux-64"


def test_other_environments_than_ours_are_refused_in_one_sentence(flows: Flows) -> None:
    flows.write(
        """
        class Plain(FlowSpec):
            @step
            def start(self):
                self.next(self.end)

            @step
            def end(self):
                pass
        """
    )
    flows.command("--environment=local", "--no-pylint", "environment", "show", code=2)
    flows.says("the environments of this flow are not envbuild's")


# Steps of past runs, notebooks


CODED = """
    import helper

    class Coded(FlowSpec):
        @pypi(packages={"toy": "1.0"})
        @step
        def start(self):
            import toy
            say("start", run=current.run_id, helped=helper.helped(toy.__version__))
            self.next(self.end)

        @pypi(packages={"toy": "1.0", "toy-paint": ""})
        @step
        def end(self):
            pass
"""


@pytest.fixture
def coded(flows: Flows) -> Flows:
    """A flow that has run, with its code package, and the pathspec of its run in ``name``."""
    (flows.project / "helper.py").write_text("def helped(word):\n    return f'helped {word}'\n")
    flows.environ["METAFLOW_FEAT_ALWAYS_UPLOAD_CODE_PACKAGE"] = "1"
    flows.write(CODED).run()
    flows.name = f"Coded/{flows.printed('start', 'run')}"
    return flows


def test_a_step_of_a_past_run_is_shown_named_and_stood_upon(coded: Flows) -> None:
    start, end = f"{coded.name}/start", f"{coded.name}/end"
    assert [line[2] for line in metaflow(coded, "--quiet", "show", "--pathspec", start, end).lines] == ["present"] * 2
    ((identity, _),) = metaflow(coded, "--quiet", "get", "--pathspec", end).lines
    metaflow(coded, "alias", "--pathspec", end, "team/end:v1")
    assert metaflow(coded, "--quiet", "get", "team/end:v1").lines[0][0] == identity
    (coded.project / "more.txt").write_text("toy-paint\n")
    ((more, _),) = metaflow(coded, "--quiet", "resolve", "--using-pathspec", start, "-r", "more.txt").lines
    have = {item["name"]: item["version"] for item in json.loads(coded.envbuild("show", more, "--json"))["packages"]}
    assert (have["toy"], "toy-paint" in have) == ("1.0", True)
    runs = coded.environ.pop("METAFLOW_DATASTORE_SYSROOT_LOCAL")
    metaflow(coded, "get", "--pathspec", end, code=3)
    assert metaflow(coded, "--quiet", "--metadata", f"local@{runs}", "get", "--pathspec", end).lines[0][0] == identity
    metaflow(coded, "create", "--pathspec", "Coded/17/start", code=3)
    metaflow(coded, "create", "--pathspec", "Coded", code=3)


def test_the_code_of_a_step_and_its_environment_come_into_a_folder(coded: Flows, tmp_path: Path) -> None:
    folder = tmp_path / "again"
    python = metaflow(
        coded, "--quiet", "create", "--pathspec", f"{coded.name}/end", "--into-dir", folder, "--strict"
    ).out.strip()
    assert (folder / "flow.py").read_text() == coded.file.read_text()
    words = [folder / "python", "-c", "import sys, helper, toy, toy_paint; print(helper.helped(toy.__version__))"]
    stranger = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(words, cwd=tmp_path, env=stranger, capture_output=True, text=True, timeout=60)
    assert done.stdout == "helped 1.0\n", done.stderr
    metaflow(coded, "gc", "--keep-days", "0")
    assert Path(python).exists()


def test_a_notebook_s_kernel_imports_what_the_step_imports(coded: Flows, tmp_path: Path) -> None:
    for wheel in kernel_wheels().glob("*.whl"):
        shutil.copy(wheel, tmp_path / "index")
    folder = tmp_path / "again"
    step = f"{coded.name}/end"
    python = metaflow(
        coded, "--quiet", "create", "--pathspec", step, "--install-notebook", "--name", "coded", "--into-dir", folder
    ).out.strip()
    code = "import sys, toy, toy_paint, helper, metaflow; print(helper.helped(toy.__version__), sys.prefix)"
    printed = run_in_kernel(Path(python), "coded", code, coded.environ)
    assert printed == f"helped 1.0 {Path(python).parents[1]}\n"
    kernels = Path(coded.environ["XDG_DATA_HOME"], "jupyter", "kernels")
    assert spec(kernels / "coded")["display_name"] == "Metaflow coded"
    assert json.loads(coded.envbuild("kernel", "list", "--json"))["kernels"][0]["source"] == f"step:{step}"
    coded.envbuild("kernel", "remove", "coded")
    assert not (kernels / "coded").exists()


def test_a_step_resolves_an_environment_for_a_later_one_as_with_the_extension_of_netflix(flows: Flows) -> None:
    """In its own environment, which has no envbuild: the command becomes that of the Python that launched the flow."""
    flows.write(
        """
        class Built(FlowSpec):
            @pypi(packages={"toy": "1.1"})
            @step
            def start(self):
                import subprocess
                with open("asked.txt", "w") as file:
                    file.write("toy==1.0\\n")
                words = ["--quiet", "resolve", "--alias", "team/built:run-%s" % current.run_id, "-r", "asked.txt"]
                words = [sys.executable, "-m", "metaflow.cmd.main_cli", "environment", *words]
                printed = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True).stdout
                say("start", printed=printed.strip())
                self.next(self.late)

            @named_env(name="team/built:run-@{METAFLOW_RUN_ID_BASE}", fetch_at_exec=True)
            @step
            def late(self):
                import toy
                say("late", toy=toy.__version__)
                self.next(self.end)

            @pypi(disabled=True)
            @step
            def end(self):
                pass
        """
    ).run()
    assert flows.printed("late", "toy") == "1.0"
    told = flows.told("late")
    assert told is not None
    assert flows.printed("start", "printed") == f"{told['request']}:{told['environment']} {told['platform']}"
