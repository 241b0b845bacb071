"""A recipe that is emitted anew keeps what people have added to it."""

from __future__ import annotations

import textwrap

import pytest

from envbuild.metaflow.carrying import carried

OLD = """
# step train of Flow, as the code says
# kept by hand
python: ">=3.11,<3.13"
exclude-newer: 2026-11-01

conda:
  channels: [team, conda-forge]
  # openssl 4 breaks our proxy
  constraints: {openssl: "<4"}
  packages:
    numpy: "1.25.*"
    # what Metaflow itself needs in a step
    requests: ">=2.21.0"

variables:
  OMP_NUM_THREADS: "1"
"""
NEW = """
# step train of Flow, as the code says
platforms: [linux-64]
python: "3.12"

conda:
  channels: [conda-forge]
  packages:
    numpy: "1.26.*"
    # what Metaflow itself needs in a step
    requests: ">=2.21.0"

pypi:
  packages:
    rich: ">=13"
"""


def text(words: str) -> str:
    return textwrap.dedent(words).lstrip("\n")


CASES = {
    "what the code leaves unsaid stays": (
        NEW,
        OLD,
        set(),
        """
        # step train of Flow, as the code says
        # kept by hand
        platforms: [linux-64]
        python: ">=3.11,<3.13"
        exclude-newer: 2026-11-01

        conda:
          channels: [team, conda-forge]
          # openssl 4 breaks our proxy
          constraints: {openssl: "<4"}
          packages:
            numpy: "1.26.*"
            # what Metaflow itself needs in a step
            requests: ">=2.21.0"

        pypi:
          packages:
            rich: ">=13"

        variables:
          OMP_NUM_THREADS: "1"
        """,
    ),
    "what the code says replaces what was there": (
        'python: "3.12"\n\nconda:\n  channels: [mine]\n  packages:\n    numpy:\n',
        OLD,
        {"python", "conda.channels"},
        """
        # kept by hand
        python: "3.12"
        exclude-newer: 2026-11-01

        conda:
          channels: [mine]
          # openssl 4 breaks our proxy
          constraints: {openssl: "<4"}
          packages:
            numpy:

        variables:
          OMP_NUM_THREADS: "1"
        """,
    ),
    "packages that the code does not name any more go": (
        'python: "3.12"\n',
        'python: "3.12"\n\npypi:\n  packages:\n    rich:\n',
        set(),
        'python: "3.12"\n',
    ),
    "a section keeps its other keys when its packages go": (
        'python: "3.12"\n',
        'python: "3.12"\n\npypi:\n  no-build: true\n  packages:\n    rich:\n',
        set(),
        'python: "3.12"\n\npypi:\n  no-build: true\n',
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_carried_over(case: str) -> None:
    new, old, said, expected = CASES[case]
    assert carried(text(new), text(old), said) == text(expected)


def test_a_recipe_as_it_was_emitted_stays_as_it_is() -> None:
    assert carried(text(NEW), text(NEW), set()) == text(NEW)
