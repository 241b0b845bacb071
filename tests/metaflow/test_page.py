"""The page against the extension; what it shows to be typed is played in tests/docs/test_played_alone.py."""

from __future__ import annotations

import json
import re
import subprocess
import sys

from tests.case import CHECKOUT
from tests.docs.pages import code, read, sections, table

PAGE = read("metaflow.md")


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
