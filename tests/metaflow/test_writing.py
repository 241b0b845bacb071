"""What a step asks for, as the text of a recipe; each text is read again as a recipe."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import pytest

from envbuild.metaflow.asked import Asked, By
from envbuild.metaflow.declared import declared
from envbuild.metaflow.merging import merged
from envbuild.metaflow.writing import Standing, Surroundings, written
from envbuild.projects.project import find_project, recipe_from

NEEDS = {"requests": ">=2.21.0"}
ON_CONDA = Surroundings(python="3.12", needs=NEEDS)
ON_HOST = Surroundings(python="3.12", interpreter="host", needs=NEEDS)
CONFIGURED = Surroundings(python="3.12", channels=("team",), needs=NEEDS)


def asked(**decorators: dict[str, Any]) -> Asked:
    found = merged([], [declared(By(decorator=name, step="train"), said, "/p") for name, said in decorators.items()])
    assert found is not None
    return found


TEXTS: dict[str, tuple[Asked, Surroundings, dict[str, Any], str]] = {
    "a step that says nothing": (
        Asked(),
        ON_CONDA,
        {},
        """
        python: "3.12"

        conda:
          channels: [conda-forge]
          packages:
            # what Metaflow itself needs in a step
            requests: ">=2.21.0"
        """,
    ),
    "compiled modules": (
        asked(pypi={"packages": {"toy": "1.0"}, "bytecode": True}),
        ON_HOST,
        {},
        """
        python: "3.12"
        bytecode: true

        pypi:
          packages:
            toy: "1.0"
            # what Metaflow itself needs in a step
            requests: ">=2.21.0"
        """,
    ),
    "paths are those of the flow, from the recipe's folder": (
        asked(
            pypi={"packages": {"toy": "@./libs/toy"}, "extra_indices": ["wheels"]},
            conda={"channels": ["./channel"]},
        ),
        ON_CONDA,
        {},
        """
        python: "3.12"

        conda:
          channels: [../../channel, conda-forge]

        pypi:
          extra-indices:
            - ../../wheels
          packages:
            toy: {path: "../../libs/toy"}
            # what Metaflow itself needs in a step
            requests: ">=2.21.0"
        """,
    ),
    "conda packages": (
        asked(conda={"libraries": {"numpy": "1.26.*", "ffmpeg": ""}, "python": "3.11"}),
        ON_CONDA,
        {"platforms": ("linux-64",)},
        """
        platforms: [linux-64]
        python: "3.11"

        conda:
          channels: [conda-forge]
          packages:
            ffmpeg:
            numpy: "1.26.*"
            # what Metaflow itself needs in a step
            requests: ">=2.21.0"
        """,
    ),
    "conda packages where other recipes stand on the machine's Python": (
        asked(conda={"libraries": {"numpy": ""}, "channels": ["https://example.org/team"]}),
        ON_HOST,
        {},
        """
        python: "3.12"
        interpreter: conda

        conda:
          channels: [https://example.org/team, conda-forge]
          packages:
            numpy:
            # what Metaflow itself needs in a step
            requests: ">=2.21.0"
        """,
    ),
    "PyPI packages on conda's Python": (
        asked(pypi={"packages": {"rich": ">=13", "uvicorn[standard]": ""}}),
        ON_CONDA,
        {},
        """
        python: "3.12"

        conda:
          channels: [conda-forge]

        pypi:
          packages:
            rich: ">=13"
            "uvicorn[standard]":
            # what Metaflow itself needs in a step
            requests: ">=2.21.0"
        """,
    ),
    "PyPI packages on the machine's Python": (
        asked(pypi={"packages": {"rich": ">=13"}, "extra_indices": ["https://example.org/simple"]}),
        ON_HOST,
        {},
        """
        python: "3.12"

        pypi:
          extra-indices:
            - https://example.org/simple
          packages:
            rich: ">=13"
            # what Metaflow itself needs in a step
            requests: ">=2.21.0"
        """,
    ),
    "channels of the configuration are left to it": (
        asked(conda={"libraries": {"numpy": ""}}),
        CONFIGURED,
        {},
        """
        python: "3.12"

        conda:
          packages:
            numpy:
            # what Metaflow itself needs in a step
            requests: ">=2.21.0"
        """,
    ),
    "channels of a step come before those of the configuration": (
        asked(conda={"libraries": {"numpy": ""}, "channels": ["mine"]}),
        CONFIGURED,
        {},
        """
        python: "3.12"

        conda:
          channels: [mine, team]
          packages:
            numpy:
            # what Metaflow itself needs in a step
            requests: ">=2.21.0"
        """,
    ),
    "what Metaflow needs gives way to what the user says of it": (
        asked(conda={"libraries": {"numpy": ""}}, pypi={"packages": {"requests": "2.31.0"}}),
        ON_CONDA,
        {},
        """
        python: "3.12"

        conda:
          channels: [conda-forge]
          packages:
            numpy:

        pypi:
          packages:
            requests: "2.31.0"
        """,
    ),
    "sources": (
        asked(pypi={"packages": {"clip": "@git+https://example.org/clip.git@v1"}}),
        Surroundings(python="3.12", interpreter="host"),
        {},
        """
        python: "3.12"

        pypi:
          packages:
            clip: {git: "https://example.org/clip.git", rev: "v1"}
        """,
    ),
    "a named environment": (
        asked(named_env={"name": "team/train:v1"}),
        ON_CONDA,
        {"base": Standing(interpreter="conda")},
        """
        extends: {name: "team/train:v1"}

        conda:
          channels: [conda-forge]
          packages:
            # what Metaflow itself needs in a step
            requests: ">=2.21.0"
        """,
    ),
    "a named environment that has what Metaflow needs": (
        asked(named_env={"name": "team/train:v1"}),
        ON_CONDA,
        {"base": Standing(interpreter="host", packages=frozenset({"requests", "toy"}))},
        """
        extends: {name: "team/train:v1"}
        """,
    ),
    "a past step on the machine's Python": (
        asked(named_env={"pathspec": "Train/12/train"}),
        ON_CONDA,
        {"base": Standing(interpreter="host", packages=frozenset({"toy"}))},
        """
        extends: {pathspec: "Train/12/train"}

        pypi:
          packages:
            # what Metaflow itself needs in a step
            requests: ">=2.21.0"
        """,
    ),
    "a named environment and what a step adds": (
        asked(named_env={"name": "team/train:v1"}, pypi={"packages": {"rich": ""}}),
        ON_CONDA,
        {"base": Standing(interpreter="conda")},
        """
        extends: {name: "team/train:v1"}

        pypi:
          packages:
            rich:
            # what Metaflow itself needs in a step
            requests: ">=2.21.0"
        """,
    ),
    "a recipe on the machine's Python": (
        asked(recipe={"path": "recipes/train.yaml"}),
        ON_CONDA,
        {"base": Standing(interpreter="host")},
        """
        extends: ../../recipes/train.yaml

        pypi:
          packages:
            # what Metaflow itself needs in a step
            requests: ">=2.21.0"
        """,
    ),
}


@pytest.mark.parametrize("case", TEXTS)
def test_a_step_is_written_as(case: str, tmp_path: Path) -> None:
    what, surroundings, options, expected = TEXTS[case]
    found = written(what, surroundings, folder="/p/.envs/flows", **options)
    assert found.text == textwrap.dedent(expected).lstrip("\n")
    recipe_from(find_project(tmp_path), tmp_path / "a" / "b" / "train.yaml", found.text.encode())


def test_each_line_knows_the_decorator_behind_it() -> None:
    found = written(
        asked(conda={"libraries": {"numpy": ""}, "python": "3.11"}, pypi={"packages": {"rich": ""}}),
        ON_CONDA,
        folder="/p",
        comments=("one",),
    )
    lines = found.text.splitlines()
    assert {lines[number - 1].strip(): by.decorator for number, by in found.said.items()} == {
        'python: "3.11"': "conda",
        "numpy:": "conda",
        "rich:": "pypi",
    }
