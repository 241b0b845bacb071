"""The GitHub Action: its steps as they stand in ``action.yml``, run by a shell as a runner does."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmarks.review_project import change, commit, make_project
from envbuild.locks.place import lock_path
from envbuild.package import Platform
from tests.case import CHECKOUT, clean_environment
from tests.docs.pages import blocks, read
from tests.metaflow.nodes import tool_wheels
from tests.support.wheels import real_wheels

ACTION: dict[str, Any] = yaml.safe_load((CHECKOUT / "action.yml").read_text(encoding="utf-8"))
STEPS: list[dict[str, Any]] = ACTION["runs"]["steps"]


class Runner:
    """What a runner does with a composite action: variables are filled in, scripts are not.

    Args:
        wheels: Folders that pip finds packages in, instead of an index, for an action that installs envbuild.

    Attributes:
        outputs: Of steps, by id; ``code``: exit code of the step that failed, else 0.
    """

    def __init__(self, place: Path, project: Path, /, *, wheels: tuple[Path, ...] = (), **inputs: str) -> None:
        self._folder = place / "runner"
        self._folder.mkdir()
        self._project = project
        self._context = {
            **{f"inputs.{name}": str(item["default"]) for name, item in ACTION["inputs"].items()},
            **{f"inputs.{name}": value for name, value in inputs.items()},
            "github.action_path": str(CHECKOUT),
        }
        self._environ = clean_environment(place)
        programs = self._folder / "bin"
        programs.mkdir()
        script = programs / "envbuild"
        script.write_text(f'#!/bin/sh\nPYTHONPATH="{CHECKOUT}" exec "{sys.executable}" -m envbuild "$@"\n')
        script.chmod(0o755)
        self._environ["PATH"] = f"{programs}{os.pathsep}{self._environ['PATH']}"
        if wheels:
            python = programs / "python3"
            python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
            python.chmod(0o755)
            self._environ |= {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": " ".join(map(str, wheels))}
        self.outputs: dict[str, dict[str, str]] = {}
        self.said = ""
        self.code = 0

    def run(self) -> Runner:
        """Run every step until one fails."""
        for step in STEPS:
            output, summary = self._folder / "output", self._folder / "summary"
            output.write_text("")
            script = self._folder / "script.sh"
            script.write_text(step["run"])
            given = {name: self._filled(value) for name, value in step.get("env", {}).items()}
            files = {"GITHUB_OUTPUT": output, "GITHUB_STEP_SUMMARY": summary, "GITHUB_PATH": self._folder / "path"}
            done = subprocess.run(
                ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)],
                cwd=self._project,
                env={
                    **self._environ,
                    **given,
                    **{k: str(v) for k, v in files.items()},
                    "RUNNER_TEMP": str(self._folder),
                },
                capture_output=True,
                text=True,
                timeout=600,
                check=False,
            )
            self.said += done.stdout + done.stderr
            lines = dict(line.split("=", 1) for line in output.read_text().splitlines())
            self.outputs[step.get("id", "")] = lines
            self._context |= {f"steps.{step.get('id')}.outputs.{name}": value for name, value in lines.items()}
            if done.returncode:
                self.code = done.returncode
                break
        return self

    @property
    def summary(self) -> str:
        """What stands on the page of the run."""
        return (self._folder / "summary").read_text()

    def _filled(self, value: str) -> str:
        def one(match: re.Match[str]) -> str:
            words = [self._context.get(word.strip(), "") for word in match[1].split("||")]
            return next((word for word in words if word), "")

        return re.sub(r"\$\{\{(.*?)\}\}", one, value)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "checkout"
    make_project(folder, recipes=3, packages=10, platforms=(Platform("linux-64"), Platform("osx-arm64")))
    commit(folder, "main")
    return folder


def test_no_script_holds_an_expression_and_every_step_says_its_shell() -> None:
    assert STEPS
    for step in STEPS:
        assert "${{" not in step["run"], step["name"]
        assert step["shell"] == "bash"


def test_a_good_change_passes_and_is_told(tmp_path: Path, project: Path) -> None:
    change(project, share=0.4, python=False)
    commit(project, "upgrades")
    runner = Runner(tmp_path, project, envbuild="none", origin="false", base="HEAD~1").run()
    assert runner.code == 0, runner.said
    assert runner.outputs["check"]["exit-code"] == "0"
    assert json.loads(Path(runner.outputs["check"]["sarif"]).read_text())["runs"][0]["results"] == []
    assert "9.9.9" in runner.summary
    assert Path(runner.outputs["diff"]["markdown"]).read_text() in runner.summary


def test_the_action_installs_its_own_version_and_checks_with_that(tmp_path: Path, project: Path) -> None:
    try:
        wheels = (tool_wheels("envbuild"), real_wheels(["hatchling>=1.25"]))
    except LookupError as missing:
        pytest.skip(f"NO INDEX: {missing}")
    change(project, share=0.4, python=False)
    commit(project, "upgrades")
    runner = Runner(tmp_path, project, wheels=wheels, origin="false", base="HEAD~1").run()
    assert runner.code == 0, runner.said
    own = Path(runner.outputs["install"]["program"])
    assert own.is_relative_to(tmp_path / "runner" / "envbuild-check")
    asked = "import envbuild.cli.main as found; print(found.__file__)"
    shown = subprocess.run([own.with_name("python"), "-I", "-c", asked], capture_output=True, text=True, check=True)
    assert Path(shown.stdout).is_relative_to(own.parents[1])
    assert "Checked 3 recipes: nothing found" in runner.said
    assert "9.9.9" in runner.summary


def test_a_forged_lock_fails_at_the_end_and_leaves_its_report(tmp_path: Path, project: Path) -> None:
    lock = lock_path(project / "recipes" / "r001.yaml")
    lock.write_text(lock.read_text().replace('"license": "MIT"', '"license": "MIT", "bogus": 1', 1))
    lock_path(project / "recipes" / "r002.yaml").unlink()
    commit(project, "forged")
    runner = Runner(tmp_path, project, envbuild="none", origin="false", base="HEAD~1").run()
    assert runner.code == 3, runner.said
    (run,) = json.loads(Path(runner.outputs["check"]["sarif"]).read_text())["runs"]
    assert {item["ruleId"] for item in run["results"]} == {"unknown-key", "no-lock"}
    assert "error[unknown-key]: recipes/r001.lock.yaml:" in runner.said


def test_recipes_can_be_named_and_strictness_asked_for(tmp_path: Path, project: Path) -> None:
    lock_path(project / "recipes" / "r002.yaml").unlink()
    runner = Runner(
        tmp_path, project, envbuild="none", origin="false", recipes="recipes/r000.yaml\n\nrecipes/r001.yaml\n"
    ).run()
    assert runner.code == 0, runner.said
    assert "Checked 2 recipes" in runner.said
    assert "diff" not in {name for name, lines in runner.outputs.items() if lines}


@pytest.mark.parametrize(
    "hostile",
    [
        '$(touch "$RUNNER_TEMP/owned")',
        '"; touch "$RUNNER_TEMP/owned"; "',
        "`touch $RUNNER_TEMP/owned`",
        "--output=owned",
    ],
)
@pytest.mark.parametrize("name", ["base", "recipes", "folder", "origin"])
def test_no_input_becomes_part_of_a_script(tmp_path: Path, project: Path, name: str, hostile: str) -> None:
    given = {"envbuild": "none", "origin": "true", "base": "HEAD", name: hostile}
    runner = Runner(tmp_path, project, **given).run()
    assert not list(tmp_path.rglob("owned"))
    if name != "origin":
        assert runner.code != 0


def test_the_workflow_of_the_page_uses_the_inputs_and_outputs_that_there_are() -> None:
    (workflow,) = [
        yaml.safe_load(item.text) for item in blocks(read("review.md")) if item.words[:2] == ("yaml", "workflow")
    ]
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    (own,) = [step for step in steps if step.get("id") == "envbuild"]
    assert set(own.get("with", {})) <= set(ACTION["inputs"])
    text = yaml.safe_dump(steps)
    assert set(re.findall(r"steps\.envbuild\.outputs\.([a-z-]+)", text)) == {"sarif", "markdown"}
    assert {"sarif", "markdown"} <= set(ACTION["outputs"])
    for step in steps:
        assert "${{" not in step.get("run", "")
