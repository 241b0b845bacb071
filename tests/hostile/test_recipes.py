"""H01-H15: hostile recipes, by the command line. What no recipe may do is written in ``rows.py``."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from tests.case import Case
from tests.hostile.attack import attack

BOMB = (
    "a: &a [x,x,x,x,x,x,x,x,x]\n"
    + "".join(f"{name}: &{name} [*{before},*{before},*{before}]\n" for before, name in itertools.pairwise("abcdefgh"))
).encode()
HEAD = "interpreter: host\npython: 3.11\n"
CONDA = "conda:\n  channels: [x]\n  packages:\n"
PYPI = HEAD + "pypi:\n  packages:\n"

RECIPES = [
    # row, content, reference, place of the first finding
    ("H01", "name: !!python/object/apply:os.system ['true']\n", "bad-yaml-tag", "1:7"),
    ("H01", "python: !!float 3.1\n", "bad-yaml-tag", "1:9"),
    ("H01", "%TAG ! tag:x,2000:\n---\npython: !y 3\n", "bad-yaml-tag", None),
    ("H02", "conda: &c {packages: {}}\npypi: *c\n", "bad-yaml-alias", "1:8"),
    ("H02", "name: &r [*r]\n", "bad-yaml-alias", "1:7"),
    ("H02", BOMB, "bad-yaml-alias", "1:4"),
    ("H03", "python: 3.11\nname: a\npython: 3.12\n", "duplicate-key", "3:1"),
    ("H04", "name: " + "[" * 3000 + "]" * 3000 + "\n", "too-large", "1:38"),
    ("H04", "name: " + "[" * 400_000, "too-large", "1:38"),
    ("H04", "a:\n" + "".join(" " * (depth + 1) + "a:\n" for depth in range(200)), "too-large", None),
    ("H04", "# " + "x" * (1 << 20) + "\nname: x\n", "too-large", None),
    ("H04", "name: [" + "x," * 200_000 + "]\n", "too-large", "1:200002"),
    ("H04", b"name: a\x00b\n", "bad-syntax", "1:8"),
    ("H04", "name: \x1b[31mred\n", "bad-syntax", "1:7"),
    ("H04", "\ufeffname: x\n".encode("utf-16-le"), "bad-encoding", "1:1"),
    ("H04", b"\xef\xbb\xbfname: x\n", "bad-encoding", "1:1"),
    ("H04", b"name: \xff\n", "bad-encoding", "1:7"),
    ("H04", "pypi:\n\tpackages:\n", "bad-syntax", "2:1"),
    ("H04", "name: a\n---\nname: b\n", "bad-syntax", "2:1"),
    ("H04", "", "empty-file", None),
    ("H04", "# nothing\n", "empty-file", None),
    ("H05", "python: [3.10]\n", "bad-type", "1:9"),
    ("H05", "python: true\n", "bad-version", "1:9"),
    ("H05", "description: {}\n", "bad-type", "1:14"),
    ("H05", "pyhton: 3.11\n", "unknown-key", "1:1"),
    ("H05", PYPI + "    toy: 2024-01-01\n", "bad-version", "5:10"),
    ("H06", PYPI + "    \"{{ ''.__class__.__mro__ }}\": ''\n", "bad-name", "5:5"),
    ("H06", PYPI + "    toy: '{% include \"/etc/passwd\" %}'\n", "bad-version", "5:10"),
    ("H07", PYPI + "    toy: ${{ undefined }}\n", "bad-version", "5:10"),
    ("H08", PYPI + "    toy: {markers: \"__import__('os').system('true')\"}\n", "bad-marker", "5:20"),
    ("H09", PYPI + "    '--config-settings=x': ''\n", "bad-name", "5:5"),
    ("H09", PYPI + "    'toy; touch x': ''\n", "bad-name", "5:5"),
    ("H09", PYPI + "    toy: {markers: 'os_name == \"x\\\\n--index-url=http://x\"'}\n", "bad-marker", "5:20"),
    ("H09", PYPI + "    toy: {markers: 'os_name == \"\\\\ud800\"'}\n", "bad-marker", "5:20"),
    ("H09", PYPI + "    toy: '>=1\\n--index-url=http://x'\n", "bad-version", "5:10"),
    ("H09", PYPI + '    toy: "==1\\n--index-url http://x"\n', "bad-version", "5:10"),
    ("H09", CONDA + "    '$(touch x)': ''\n", "bad-name", "4:5"),
    ("H09", CONDA + "    toy: '`touch x`'\n", "bad-version", "4:10"),
    ("H09", CONDA + "    \"toy\\e[31m\": ''\n", "bad-name", "4:5"),
    ("H10", PYPI + "    toy: {git: 'ext::sh -c touch% x'}\n", "bad-url", "5:16"),
    ("H10", PYPI + "    toy: {git: 'git+file:///etc'}\n", "bad-url", "5:16"),
    ("H10", PYPI + "    toy: {git: 'ssh://-oProxyCommand=touch/x'}\n", "bad-url", "5:16"),
    ("H10", PYPI + "    toy: {git: 'ssh://git@-oProxyCommand=touch/x'}\n", "bad-url", "5:16"),
    ("H10", PYPI + "    toy: {git: 'ssh://git@host/-oProxyCommand=touch'}\n", "bad-url", "5:16"),
    ("H10", PYPI + "    toy: {git: 'git@host:-x'}\n", "bad-url", "5:16"),
    ("H10", PYPI + "    toy: {git: 'ssh://git@169.254.169.254/x'}\n", "bad-url", "5:16"),
    ("H10", PYPI + "    toy: {git: 'ssh://git:hunter2@host/x'}\n", "secret-in-url", "5:16"),
    ("H10", PYPI + "    toy: {git: 'https://host/x#--upload-pack=touch'}\n", "bad-url", "5:16"),
    ("H10", PYPI + "    toy: {git: '--upload-pack=touch'}\n", "bad-url", "5:16"),
    ("H10", PYPI + "    toy: {git: 'https://host/x', rev: '--upload-pack=touch'}\n", "bad-name", "5:39"),
    ("H10", PYPI + "    toy: {git: 'https://host/x', subdirectory: '../..'}\n", "bad-path", "5:48"),
    ("H10", PYPI + "    toy: {url: 'file:///etc/shadow'}\n", "bad-url", "5:16"),
    ("H10", PYPI + "    toy: {url: 'http://169.254.169.254/latest/meta.whl'}\n", "bad-url", "5:16"),
    ("H10", PYPI + "    toy: {url: 'http://0xa9fea9fe/latest/meta.whl'}\n", "bad-url", "5:16"),
    ("H10", PYPI + "    toy: {url: 'https://me:hunter2@x.example/t.whl'}\n", "secret-in-url", "5:16"),
    ("H11", HEAD + "variables: {LD_PRELOAD: ./evil.so}\n", "bad-variable", "3:13"),
    ("H11", HEAD + "variables: {'PATH=x;rm': y}\n", "bad-variable", "3:13"),
    ("H12", "extends: /etc/passwd\n", "bad-path", "1:10"),
    ("H12", "extends: ../../other.yaml\n", "bad-path", "1:10"),
    ("H12", "extends: ~/x.yaml\n", "bad-path", "1:10"),
    ("H12", "extends: linked.yaml\n", "bad-path", "1:10"),
    ("H12", PYPI + "    toy: {path: ../../x}\n", "bad-path", "5:17"),
    ("H14", "extends: x.yaml\n", "extends-cycle", "1:10"),
    ("H15", PYPI + "    ../x: ''\n", "bad-name", "5:5"),
    ("H15", PYPI + "    'x\\..\\..\\y': ''\n", "bad-name", "5:5"),
    ("H15", PYPI + "    '.': ''\n", "bad-name", "5:5"),
    ("H15", PYPI + "    CON: ''\n", "bad-name", "5:5"),
    ("H15", PYPI + f"    {'n' * 300}: ''\n", "bad-name", "5:5"),
    ("H15", PYPI + "    nump\u0443: ''\n", "bad-name", "5:5"),
]
"""Recipes that no command may take: (row of the design, content, reference, line:column)."""


@pytest.mark.parametrize(
    ("row", "content", "reference", "place"),
    RECIPES,
    ids=[f"{row}-{number}" for number, (row, *_) in enumerate(RECIPES)],
)
def test_a_hostile_recipe_is_refused(
    case: Case, tmp_path: Path, row: str, content: str | bytes, reference: str, place: str | None
) -> None:
    secret = tmp_path / "outside.yaml"
    secret.write_text("name: outside\n")
    (case.project / "linked.yaml").symlink_to(secret)
    (case.project / "x.yaml").write_bytes(content if isinstance(content, bytes) else content.encode())
    outcome = attack(case, "lock", "x.yaml", code=3, reference=reference, lines=22 if content is BOMB else 4)
    if place is not None:
        assert f"x.yaml:{place}" in outcome.places, outcome
    assert "hint: " in outcome.err, outcome
    assert "hunter2" not in outcome.err + outcome.out


@pytest.mark.parametrize("command", ["lock", "plan", "realize", "show", "tree", "run", "shell-hook", "add"])
def test_every_command_refuses_the_same(case: Case, command: str) -> None:
    case.recipe("name: &a [x]\npython: *a\n")
    words = {"run": ["--", "true"], "add": ["toy"]}.get(command, [])
    attack(case, command, "x.yaml", *words, code=3, reference="bad-yaml-alias")


def test_the_bomb_is_as_small_as_said() -> None:
    assert len(BOMB) < 220


def test_templates_stay_text(case: Case) -> None:
    """H06, H07: what looks like a template is text where text may stand."""
    case.recipe(HEAD + "variables: {GREETING: '{{ 7*7 }} ${{ self }} $(touch x) `touch y`'}\n")
    case.run("run", "x.yaml", "--", "python", "-c", "import os; print(os.environ['GREETING'])")
    assert case.out == "{{ 7*7 }} ${{ self }} $(touch x) `touch y`\n"
    assert not (case.project / "x").exists()


def test_a_circle_of_ten_thousand_bases(case: Case) -> None:
    """H14: no stack is deep enough, and none is needed."""
    for number in range(10_000):
        case.file(f"b/{number}.yaml", f"extends: {(number + 1) % 10_000}.yaml\n")
    case.recipe("extends: b/0.yaml\n")
    attack(case, "lock", "x.yaml", code=3, reference="too-large")


def test_a_small_circle_is_named(case: Case) -> None:
    """H14: the whole circle stands in the message."""
    case.recipe("extends: b.yaml\n", "a.yaml").recipe("extends: c.yaml\n", "b.yaml").recipe(
        "extends: a.yaml\n", "c.yaml"
    )
    outcome = attack(case, "lock", "a.yaml", code=3, reference="extends-cycle")
    assert "a.yaml -> b.yaml -> c.yaml -> a.yaml" in outcome.err
    assert outcome.places == {"c.yaml:1:10"}


def test_many_bases_of_one_recipe(case: Case) -> None:
    """H14: a wide family is read in time too."""
    for number in range(1000):
        case.file(f"b/{number}.yaml", "name: x\n")
    case.recipe(
        "extends: [" + ", ".join(f"{{path: b/{number}.yaml, pin: false}}" for number in range(1000)) + "]\n" + HEAD
    )
    case.run("plan", "x.yaml", timeout=30, code=None)
    assert case.code in {0, 3}, case.err
