"""What comparing and checking look like, word for word; see ``tests.flows.test_screens``."""

from __future__ import annotations

import json
import re

from tests.flows.test_screens import Session, pytestmark, screens
from tests.support.git_project import GitProject

__all__ = ["pytestmark", "screens"]


def _repository(screens: Session) -> GitProject:
    """The recipes of the screens as a project with a first commit."""
    case = screens.case
    recipes = case.project / "recipes"
    recipes.mkdir()
    for file in list(case.project.glob("*.yaml")):
        file.rename(recipes / file.name)
    case.file("envbuild.yaml", "recipes: recipes/\n")
    project = GitProject(case)
    case.run("lock", "--upgrade", *(f"recipes/{name}.yaml" for name in ("both", "paint", "toy")))
    project.commit("first")
    return project


def _changed(screens: Session, name: str, *changes: tuple[str, str]) -> None:
    file = screens.case.project / name
    text = file.read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    file.write_text(text)


def test_what_a_branch_changes(screens: Session) -> None:
    project = _repository(screens)
    project.branch("mine")
    _changed(screens, "recipes/toy.yaml", ("'<2'", "'>=2'"))
    _changed(screens, "recipes/both.yaml", ("    toy:\n", "    toy: '<2'\n    toy-extras: {extras: [colour]}\n"))
    (screens.case.project / "recipes/paint.yaml").rename(screens.case.project / "recipes/draw.yaml")
    (screens.case.project / "recipes/paint.lock.yaml").rename(screens.case.project / "recipes/draw.lock.yaml")
    screens.case.run("lock", "recipes/toy.yaml", "recipes/both.yaml")
    screens.type("diff", "recipes/toy.yaml", "--exit-code", code=10)
    project.commit("newer")
    screens.type("diff", "main..HEAD")
    screens.type("diff", "main..HEAD", "--format", "markdown")
    screens.type("diff", "--exit-code")
    document = json.loads(screens.case.run("diff", "main..HEAD", "recipes/both.yaml", "--json").out)
    (recipe,) = document["recipes"]
    recipe["packages"] = [item for item in recipe["packages"] if item["name"] == "toy"]
    screens.case.hide(r'("(size|before|after)": )\d+', r"\1[bytes]")
    text = screens.case.filtered(json.dumps(document, indent=2))
    screens.shown += f"$ envbuild diff main..HEAD recipes/both.yaml --json  # one package of it\n{text}\n\n"
    screens.type("diff", "main..nowhere", code=2)
    screens.compare("what_a_branch_changes")


def test_what_a_check_finds(screens: Session) -> None:
    _repository(screens)
    case = screens.case
    screens.type("check")
    lock = case.project / "recipes/toy.lock.yaml"
    good = lock.read_bytes()
    lock.write_bytes(re.sub(rb'"sha256": "[0-9a-f]{4}', b'"sha256": "0123', good, count=1))
    screens.type("check", "recipes/toy.yaml", code=4)
    lock.write_bytes(good)
    case.file("envbuild.yaml", "recipes: recipes/\npolicy: {forbidden: ['toy<2'], licenses: {deny: [PSF-2.0]}}\n")
    screens.type("check", code=4)
    case.file("envbuild.yaml", "recipes: recipes/\n")
    lock.write_text(lock.read_text() + "\n")
    _changed(screens, "recipes/paint.yaml", ("'1.*'", "'>=2'"))
    screens.type("check", code=10)
    screens.type("check", "--fix", code=10)
    _changed(screens, "recipes/paint.yaml", ("packages:", "package:"))
    (case.project / "recipes/both.lock.yaml").unlink()
    screens.type("check", code=3)
    screens.compare("what_a_check_finds")
