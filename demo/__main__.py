"""Show envbuild's main job on real packages: plan, realize, run, and realize again with nothing to do.

A copy of ``recipes/quickstart.yaml`` is locked for the Python and the platform found here, in ``.demo`` with a home of
its own, so that every run begins with nothing. Each command is printed before it runs, and can be typed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / ".demo"

PROGRAM = """\
import numpy, requests, rich
from rich.table import Table

table = Table(title="running inside the environment")
table.add_column("package"); table.add_column("version"); table.add_column("from")
for module in (numpy, requests, rich):
    version = getattr(module, "__version__", None) or __import__("importlib.metadata").metadata.version(module.__name__)
    table.add_row(module.__name__, version, module.__file__.split("/prefixes/")[-1])
rich.print(table)
rich.print(f"numpy says: {numpy.linalg.det(numpy.array([[2.0, 1.0], [1.0, 3.0]])):.1f}")
"""


def main() -> int:
    """Run the demonstration; the first failing command's exit code is given back."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    (FOLDER / "recipes").mkdir(parents=True)
    (FOLDER / "envbuild.yaml").write_text("recipes: recipes/\n", encoding="utf-8")
    shutil.copy(ROOT / "recipes" / "quickstart.yaml", FOLDER / "recipes" / "quickstart.yaml")
    recipe = "recipes/quickstart.yaml"
    print(f"In {FOLDER.name}/, with nothing in store yet.\n")
    steps = (
        ("A recipe is locked: what it asks for becomes exact packages.", ["lock", recipe]),
        ("The lock is a graph of derivations. What will be done, and what will it cost?", ["plan", recipe]),
        ("Do it: packages are fetched by sha256, then linked.", ["realize", recipe]),
        ("Run real code in it.", ["run", recipe, "--", "python", "-c", PROGRAM]),
        ("Realize again: all hits.", ["realize", recipe]),
    )
    took = []
    for title, words in steps:
        code, seconds = step(title, words)
        if code:
            return code
        took.append((words[0], seconds))
    print("Times, each a whole process: " + ", ".join(f"{name} {seconds:.2f} s" for name, seconds in took) + ".")
    print(
        f"Look around: {FOLDER.name}/recipes/quickstart.lock.yaml is the lock, {FOLDER.name}/.envs/quickstart the link."
    )
    return 0


def step(title: str, words: list[str]) -> tuple[int, float]:
    """Say what comes, show the command, run it; its exit code and its seconds."""
    shown = " ".join("'…'" if "\n" in word else word for word in words)
    print(f"# {title}\n$ envbuild {shown}", flush=True)
    environment = {**os.environ, "ENVBUILD_HOME": str(FOLDER / "home")}
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-m", "envbuild", *words], cwd=FOLDER, env=environment, check=False)
    print(flush=True)
    return done.returncode, time.monotonic() - began


if __name__ == "__main__":
    sys.exit(main())
