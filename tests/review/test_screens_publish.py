"""What publishing looks like, word for word; see ``tests.flows.test_screens``."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

from tests.flows.test_screens import SERIES, Session, pytestmark, screens
from tests.support.servers import Server

__all__ = ["pytestmark", "screens"]


def test_names_follow_git(screens: Session, wheel_index: Server) -> None:
    if shutil.which("git") is None:
        pytest.skip("NO GIT: git is needed on PATH")
    case = screens.case
    case.environ |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    case.hide(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "[moment]").hide(r"\[key\]  [a-z0-9._-]+\n", "[key]  [user]\n")

    def git(*words: str) -> None:
        author = ["-c", "user.name=ann", "-c", "user.email=ann@example.org"]
        subprocess.run(["git", *author, *words], cwd=case.project, env=case.environ, check=True, capture_output=True)

    recipe = (
        f"name: shop/toy\ninterpreter: host\npython: {SERIES}\nplatforms: [linux-64, osx-arm64]\n"
        f"pypi:\n  index: {wheel_index.url}/simple\n  packages: {{toy: '<2'}}\n"
        "test: {imports: [toy], commands: [\"python -c 'import toy'\"]}\n"
    )
    case.file("envbuild.yaml", "recipes: recipes/\n").recipe(recipe, "recipes/toy.yaml")
    case.recipe(recipe.replace("name: shop/toy\n", ""), "recipes/nameless.yaml")
    case.run("lock", "recipes/toy.yaml")
    git("init", "-q", "-b", "main")
    git("add", "recipes", "envbuild.yaml")
    git("commit", "-q", "-m", "toy")
    screens.type("publish", "--dry-run")
    screens.type("publish")
    screens.type("publish")
    screens.type("publish", "--promote", code=10)
    screens.type("publish", "--check", code=10)
    screens.type("history", "shop/toy:candidate")
    case.recipe(recipe.replace("[toy]", "[toy, nowhere]"), "recipes/toy.yaml")
    screens.type("publish", code=10)
    git("commit", "-q", "-am", "nowhere")
    screens.type("publish", code=9)
    case.recipe(recipe.replace("osx-arm64", "osx-64"), "recipes/toy.yaml").run("lock", "recipes/toy.yaml")
    git("commit", "-q", "-am", "another platform")
    screens.type("publish", "recipes/toy.yaml")
    git("checkout", "-q", "HEAD~2")
    screens.type("publish", code=6)
    screens.compare("publish")
