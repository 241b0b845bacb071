"""What no committed text file may hold: hosts of package registries, and paths of one machine."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.docs.pages import CHECKOUT

# Put together here, so that this file passes its own test.
REGISTRIES = tuple(
    name + "." + ending
    for name, ending in (
        ("pypi", "org"),
        ("pypi", "python.org"),
        ("pythonhosted", "org"),
        ("anaconda", "org"),
        ("anaconda", "com"),
        ("anaconda", "cloud"),
        ("prefix", "dev"),
        ("npmjs", "org"),
        ("npmjs", "com"),
    )
)
MACHINE_PATH = re.compile(r"(?<![\w.~\]}*])/(?:root|Users|work|home/(?!x/|prefixes/)[a-z][\w.-]*)/[\w.]")


def committed() -> list[Path]:
    """Every text file that Git knows."""
    try:
        done = subprocess.run(["git", "ls-files", "-z"], cwd=CHECKOUT, capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"NO GIT: the committed files cannot be listed ({error})")
    return [CHECKOUT / name for name in done.stdout.decode().split("\0") if name]


def text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (UnicodeDecodeError, FileNotFoundError):
        return ""


def test_no_file_names_a_registry() -> None:
    found = [
        f"{path.relative_to(CHECKOUT)}: {host}"
        for path in committed()
        for host in REGISTRIES
        if re.search(rf"(?<![\w-]){re.escape(host)}|(?<=\.){re.escape(host)}", text_of(path))
    ]
    assert found == []


def test_no_file_names_a_path_of_this_machine() -> None:
    texts = {path.relative_to(CHECKOUT): text_of(path) for path in committed()}
    assert [f"{name}: {hit[0]}" for name, text in texts.items() for hit in MACHINE_PATH.finditer(text)] == []
    here = [str(place) for place in (CHECKOUT, Path.home()) if len(place.parts) > 2]
    assert [name for name, text in texts.items() for place in here if place in text] == []


def test_the_patterns_find_what_they_are_for() -> None:
    assert MACHINE_PATH.search("see " + "/".join(["", "home", "ada", "x"]))
    assert MACHINE_PATH.search("=" + "/".join(["", "root", ".cache"]))
    assert not MACHINE_PATH.search("$HOME/root/x ~/work/x tmp/home/ada/x")
