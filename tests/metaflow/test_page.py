"""The page against the extension: its flow runs, and what it shows is what comes out."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.case import CHECKOUT
from tests.docs.pages import blocks, code, read, sections, table
from tests.metaflow.conftest import SERIES
from tests.metaflow.flows import Flows
from tests.metaflow.needs import need_wheels
from tests.support.servers import Server
from tests.support.wheel_index import WheelIndex
from tests.support.wheels import make_wheel

PAGE = read("metaflow.md")


def block(*words: str) -> str:
    (found,) = [item.text for item in blocks(PAGE) if item.words == words]
    return found


@pytest.fixture
def page(tmp_path: Path, serving: Callable[..., Server]) -> Flows:
    """The page's flow, and an index with packages of the names that it asks for."""
    folder = tmp_path / "index"
    for name, version in (("rich", "13.9"), ("humanize", "4.9.0"), ("humanize", "4.10.0")):
        make_wheel(folder, name, version)
    for wheel in need_wheels().glob("*.whl"):
        (folder / wheel.name).symlink_to(wheel)
    flows = Flows(tmp_path / "flows").configure("interpreter: host\n")
    flows.environ["ENVBUILD_INDEX_URL"] = f"{serving(WheelIndex(folder=folder)).url}/simple"
    flows.name, flows.file = "Train", flows.project / "train.py"
    flows.file.write_text(block("python", "train.py"))
    return flows


def test_the_flow_of_the_page_runs_and_its_recipe_is_the_one_that_is_shown(page: Flows) -> None:
    page.run()
    assert "trained with humanize 4.9.0 and rich 13.9" in page.out
    assert "rich was 13.9" in page.out
    shown = block("yaml", "train.yaml")
    assert page.generated("train").read_text() == shown.replace('python: "3.11"', f'python: "{SERIES}"')


def test_the_errors_of_the_page_are_those_that_come(page: Flows) -> None:
    first, second = [item.text for item in blocks(PAGE) if item.words == ("console",)]
    text = page.file.read_text()
    page.file.write_text(text.replace('"4.9.0"', "4.9"))
    page.run(code=3)
    assert page.out.splitlines()[-2:] == first.splitlines()[1:]

    page.file.write_text(text)
    page.command("--environment=envbuild", "environment", "emit")
    page.file.write_text(text.replace("4.9.0", "4.10.0"))
    page.run(code=10)
    assert page.out.splitlines()[-3:] == second.splitlines()[1:]


def test_the_settings_are_those_of_the_page() -> None:
    text = (CHECKOUT / "metaflow_extensions/envbuild/config/mfextinit_envbuild.py").read_text(encoding="utf-8")
    rows = table(sections(PAGE, "##")["Settings"], "variable")
    known = {f"METAFLOW_{name}" for name in re.findall(r"^(ENVBUILD_[A-Z_]+) = ", text, re.MULTILINE)}
    assert {name for row in rows for name in code(row[0])} == known


def test_the_decorators_and_their_arguments_are_those_of_the_page() -> None:
    """Asked of a process of its own, as Metaflow warns of other libraries when it is imported."""
    program = (
        "import json, metaflow, envbuild.metaflow.decorators as d; "
        "kinds = [k for k in vars(d).values() if getattr(k, '__module__', '') == d.__name__]; "
        "print(json.dumps({k.name: list(k.defaults) for k in kinds if getattr(k, 'defaults', None)}))"
    )
    asked = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    rows = table(sections(PAGE, "##")["Decorators"], "decorator")
    said = {word for row in rows for cell in row for word in re.findall(r"[a-z_]+", " ".join(code(cell)))}
    kinds = json.loads(asked.stdout)
    assert set(kinds) <= said
    assert {name for names in kinds.values() for name in names} <= said
