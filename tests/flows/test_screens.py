"""What users see, word for word: each test types commands, and its transcript stands in ``screens/``.

What differs from run to run is filtered. Read a transcript as a stranger would: do you know what happened, and what to
do next? After a change that is meant, ``UPDATE_SCREENS=1 pytest tests/flows/test_screens.py`` writes them anew; the
difference in Git is what is reviewed.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from envbuild.machine.virtual import current_platform
from tests.case import Case
from tests.support.channel import TestChannel
from tests.support.sdists import make_project
from tests.support.servers import Server
from tests.support.wheel_index import WheelIndex
from tests.support.wheels import make_wheel

pytestmark = pytest.mark.skipif(current_platform() != "linux-64", reason="the texts name linux-64")

SCREENS = Path(__file__).parent / "screens"
SERIES = f"{sys.version_info.major}.{sys.version_info.minor}"


class Session:
    """Types commands and keeps what was shown."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.shown = ""

    def type(self, *arguments: str, code: int = 0) -> None:
        """Run a command: stdout first, then stderr, then the exit code unless it is 0."""
        case = self.case.run(*arguments, code=code)
        self.shown += f"$ envbuild {' '.join(arguments)}\n{case.filtered(case.out)}{case.filtered(case.err)}"
        self.shown += f"[exit {code}]\n\n" if code else "\n"

    def compare(self, name: str) -> None:
        """Hold everything that was shown against the transcript of that name."""
        file = SCREENS / f"{name}.txt"
        if os.environ.get("UPDATE_SCREENS"):
            file.parent.mkdir(exist_ok=True)
            file.write_text(self.shown)
        assert self.shown == file.read_text()


@pytest.fixture
def screens(case: Case, channel: TestChannel, wheel_index: Server) -> Session:
    """A project with a recipe of each kind."""
    series = ".".join(channel.pythons[0].split(".")[:2])
    case.hide(r"127\.0\.0\.1:\d+/simple", "index.example").hide(channel.folder.as_uri(), "[channel]")
    case.hide(r"python \d+\.\d+\.\d+", "python [version]").hide(r"Python \d+\.\d+", "Python [series]")
    case.hide(r"python3\.\d+", "python[series]").hide(r"python_abi \d+\.\d+", "python_abi [series]")
    case.hide(r"\d{4}-\d\d-\d\d \d\d:\d\d(?!:)", "[moment]")
    case.hide(r"\b[0-9a-f]{12}\b", "[key]").hide(r"about \d+(\.\d+)? m?s", "about [time]")
    case.recipe(
        f"interpreter: host\npython: {SERIES}\npypi:\n  index: {wheel_index.url}/simple\n  packages:\n    toy: '<2'\n",
        "toy.yaml",
    )
    conda = f"python: {series}\nconda:\n  channels: ['{channel.folder.as_uri()}']\n  packages:\n    colours: '1.*'\n"
    case.recipe(conda, "paint.yaml")
    case.recipe(f"{conda}pypi:\n  index: {wheel_index.url}/simple\n  packages:\n    toy:\n", "both.yaml")
    return Session(case)


def test_the_main_line(screens: Session) -> None:
    screens.case.hide(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "[moment]")
    screens.type("lock", "toy.yaml")
    screens.type("lock", "toy.yaml")
    screens.type("plan", "toy.yaml")
    screens.type("realize", "toy.yaml")
    screens.type("realize", "toy.yaml")
    screens.type("plan", "toy.yaml")
    screens.type("graph", "toy.yaml")
    screens.type("graph", "toy.yaml", "-o", "toy.html")
    screens.type("show", "toy.yaml")
    screens.type("tree", "toy.yaml")
    screens.type("why", "toy.yaml", "toy-core")
    screens.type("why-depends", "toy.yaml", "toy", "toy-core")
    screens.type("why-depends", "toy.yaml", "toy-core", "toy")
    screens.type("list")
    screens.type("verify")
    screens.type("gc", "--dry-run")
    screens.type("gc")
    screens.type("realize", "both.yaml")
    toy = (screens.case.project / "toy.yaml").read_text()
    screens.case.recipe(toy.replace("'<2'", "'>=2'") + "variables: {LEVEL: '3'}\n", "toy.yaml")
    screens.type("lock", "toy.yaml")
    screens.type("plan", "toy.yaml")
    screens.type("why-rebuild", "toy.yaml")
    screens.compare("the_main_line")


def test_names(screens: Session) -> None:
    screens.case.hide(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "[moment]")
    toy = (screens.case.project / "toy.yaml").read_text()
    screens.type("lock", "toy.yaml")
    screens.type("alias", "toy.yaml", "team/toy:stable")
    screens.type("alias", "toy.yaml", "team/toy:v1")
    screens.case.recipe(toy.replace("'<2'", "'>=2'"), "toy.yaml")
    screens.type("alias", "toy.yaml", "team/toy:stable", code=10)
    screens.type("lock", "toy.yaml")
    screens.type("alias", "toy.yaml", "team/toy:stable")
    screens.type("alias", "toy.yaml", "team/toy:v1", code=6)
    screens.type("alias", "toy.yaml", "team/toy:stable", "--expect", "1")
    screens.case.recipe(toy.replace("'<2'", "'==1.0'"), "toy.yaml").run("lock", "toy.yaml")
    screens.type("alias", "toy.yaml", "team/toy:stable", "--expect", "1", code=6)
    screens.type("get", "team/toy:stable")
    screens.type("history", "team/toy:stable")
    screens.type("rollback", "team/toy:stable")
    (screens.case.project / "toy.yaml").unlink()
    screens.type("realize", "team/toy:stable")
    screens.type("run", "team/toy:stable", "--", "python", "-c", "import toy; print(toy.__version__)")
    screens.type("list")
    screens.type("get", "team/toy:stable")
    screens.type("tree", "team/toy:stable")
    screens.case.recipe("extends: {name: 'team/toy:stable'}\npypi: {packages: {toy-paint: }}\n", "paint.yaml")
    screens.type("lock", "paint.yaml")
    screens.type("rollback", "team/toy:stable")
    screens.type("lock", "paint.yaml")
    screens.type("lock", "paint.yaml", "--upgrade-base")
    screens.type("realize", "team/toi:stable", code=3)
    screens.type("alias", "paint.yaml", "Team/Paint", code=3)
    screens.compare("names")


def test_what_links_to_what(screens: Session, compiled_channel: TestChannel) -> None:
    text = (screens.case.project / "paint.yaml").read_text()
    screens.case.recipe(text.replace("colours: '1.*'", "fast-tool:\n    greet:\n    speedups:"), "fast.yaml")
    screens.type("lock", "fast.yaml")
    screens.type("why-depends", "fast.yaml", "speedups", "libfast")
    screens.type("realize", "fast.yaml")
    screens.type("why-depends", "fast.yaml", "speedups", "libfast")
    screens.type("why-depends", ".envs/fast", "greet", "python")
    screens.type("why-depends", "fast.yaml", "libfast", "python")
    screens.compare("what_links_to_what")


def test_recipes_change(screens: Session) -> None:
    screens.type("lock", "toy.yaml")
    screens.type("add", "toy.yaml", "toy-paint")
    screens.type("remove-package", "toy.yaml", "toy-paint")
    screens.type("remove-package", "toy.yaml", "toy-pant", code=3)
    screens.case.recipe((screens.case.project / "toy.yaml").read_text().replace("'<2'", "'>=2'"), "toy.yaml")
    screens.type("lock", "--check", "toy.yaml", code=10)
    screens.type("realize", "--locked", "toy.yaml", code=10)
    screens.type("lock", "toy.yaml")
    screens.compare("recipes_change")


def test_what_cannot_be_satisfied(
    screens: Session, wheel_index: Server, toy_wheels: Path, serving: Callable[..., Server]
) -> None:
    text = (screens.case.project / "toy.yaml").read_text()
    screens.case.recipe(text.replace("'<2'", "'>=7'"), "new.yaml")
    screens.type("lock", "new.yaml", code=11)
    screens.case.recipe(text + "    toy-conflict:\n", "clash.yaml")
    screens.type("lock", "clash.yaml", code=11)
    screens.case.recipe(text + "    no-such-thing:\n", "unknown.yaml")
    screens.type("lock", "unknown.yaml", code=11)
    screens.case.recipe(text + "    toy-source-only:\n", "source.yaml")
    screens.type("lock", "source.yaml", code=11)
    conda = (screens.case.project / "paint.yaml").read_text()
    screens.case.recipe(conda.replace("'1.*'", "'>=7'"), "late.yaml")
    screens.type("lock", "late.yaml", code=11)
    screens.case.recipe((screens.case.project / "both.yaml").read_text() + "    colours: '>=3'\n", "mixed.yaml")
    screens.type("lock", "mixed.yaml", code=11)
    undated = serving(WheelIndex(folder=toy_wheels, dates=None))
    screens.case.recipe(text.replace(wheel_index.url, undated.url) + "exclude-newer: 2020-01-01\n", "old.yaml")
    screens.type("lock", "old.yaml", code=11)
    screens.compare("what_cannot_be_satisfied")


def test_slips(screens: Session) -> None:
    screens.type("realize", "tory.yaml", code=3)
    screens.type("realize", "toy", code=3)
    screens.type("realize", "team/train", code=3)
    (screens.case.project / "empty").mkdir()
    screens.type("realize", "empty", code=2)
    screens.case.recipe("pyton: 3.11\nplatforms: [linux]\npypi:\n  package: {toy: }\n", "typo.yaml")
    screens.type("lock", "typo.yaml", code=3)
    screens.type("why", "toy.yaml", "toy-core", code=3)
    screens.type("lock", "toy.yaml", "typo.yaml", code=3)
    screens.type("lock", "toy.yaml", "typo.yaml", "--keep-going", code=3)
    screens.type("show", "toy.yaml", "--platform", "win-64", code=11)
    screens.type("why", "toy.yaml", "toy-cor", code=2)
    screens.type("why-depends", "toy.yaml", "toy", code=2)
    screens.type("why-depends", "toy.yaml", "toy", "toy-cor", code=2)
    screens.type("show", "toy.lock.yml", code=3)
    screens.type("show", "0123456", code=3)
    screens.type("relaize", "toy.yaml", code=2)
    screens.type("realize", "--locked", "--frozen", "toy.yaml", code=2)
    screens.type("realize", "toy.yaml", "--offline", code=5)
    screens.compare("slips")


def test_what_is_built_from_source(screens: Session, tmp_path: Path, serving: Callable[..., Server]) -> None:
    case = screens.case.hide(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "[moment]")
    folder = tmp_path / "index"
    make_wheel(folder, "leaf", "1.0")
    url = serving(WheelIndex(folder=folder)).url
    build = "\nprint('building', NAME, VERSION)\n"
    mine = make_project(case.project / "libs/mine", "mine", "1.0", static=True, requires=["leaf"], more_backend=build)
    packages = "    mine: {path: libs/mine}\n"
    case.recipe(
        f"interpreter: host\npython: {SERIES}\npypi:\n  index: {url}/simple\n  packages:\n{packages}", "own.yaml"
    )
    screens.type("lock", "own.yaml")
    screens.type("plan", "own.yaml")
    screens.type("realize", "own.yaml")
    screens.type("realize", "own.yaml")
    screens.type("show", "own.yaml")
    screens.type("tree", "own.yaml")
    screens.type("log", "mine")
    screens.type("verify", "--rebuild", "mine")
    backend = mine / "backend" / "own_backend.py"
    never = "    print('looking for it')\n    raise SystemExit('the flux capacitor is not here')\n"
    backend.write_text(f"{backend.read_text()}\ndef build_wheel(*arguments):\n{never}")
    screens.type("realize", "--locked", "own.yaml", code=10)
    screens.type("realize", "own.yaml", code=9)
    screens.type("log", "mine")
    screens.type("log", "mine", "toy.yaml", code=3)
    screens.type("log", "yours", code=2)
    screens.type("verify", "--rebuild", "yours", code=2)
    screens.type("realize", "own.yaml", "--editable", "mine", code=2)
    screens.compare("what_is_built_from_source")


def test_locks_of_other_tools(screens: Session, wheel_index: Server) -> None:
    screens.type("export", "both.yaml", "--format", "pixi", "-o", "pixi.lock")
    screens.type("export", "both.yaml", "--format", "explicit", "-o", "explicit.txt")
    screens.type("export", "toy.yaml", "--format", "requirements")
    screens.type("import", "pixi.lock", "-o", "again.yaml")
    screens.type("import", "pixi.lock", "-o", "again.yaml", code=6)
    screens.type("lock", "--check", "again.yaml")
    screens.type("realize", "again.yaml")
    screens.case.variable("UV_DEFAULT_INDEX", f"{wheel_index.url}/simple")
    screens.case.file("frozen.txt", "toy==1.1\ntoy-core==1.5\n")
    screens.type("import", "frozen.txt", "--format", "pip-freeze", "-o", "frozen.yaml")
    screens.type("import", "frozen.txt", "--format", "pip-freeze", "-o", "x.yaml", "--offline", code=5)
    screens.type("import", "toy.lock", code=3)
    screens.type("export", "toy.yaml", "--format", "nonsense", code=2)
    screens.type("export", "toy.yaml", "--format", "explicit", code=2)
    screens.type("capture", ".", code=3)
    screens.compare("locks_of_other_tools")


def test_settings_and_help(screens: Session) -> None:
    screens.case.file("envbuild.yaml", "platforms: [linux-64]\n").variable("ENVBUILD_LOCK_TIMEOUT", "60")
    screens.type("config", "list", "--show-origin")
    screens.type("--help")
    screens.compare("settings_and_help")
