"""Hostile files of other tools, included by a recipe: clear, quick, and nothing outside of the project is read."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from envbuild.errors import InvalidInput
from envbuild.projects.project import find_project, make_request
from tests.case import Case
from tests.hostile.attack import attack

DEEP = "[" * 50_000
SECONDS = 5.0

ATTACKS = [
    ("requirements.txt", b"six\n\x00rich\n", "bad-syntax"),
    ("requirements.txt", b"\xff\xfe\x00", "bad-encoding"),
    ("requirements.txt", b"six \\\n" * 100_000, "too-large"),
    ("requirements.txt", b"x" * 5_000_000, "too-large"),
    ("requirements.txt", b"six\n" * 4_000_000, "too-large"),
    ("requirements.txt", b"six ; " + b"(" * 1500 + b"os_name=='x'" + b")" * 1500, "bad-requirement"),
    ("requirements.txt", b"six" + b",>=1" * 900, "bad-requirement"),
    ("requirements.txt", b"".join(b"p%d=1\n" % number for number in range(100_000)), "bad-requirement"),
    ("requirements.txt", b"-r requirements.txt\n", "include-cycle"),
    ("requirements.txt", b"-r ../../etc/passwd\n", "bad-path"),
    ("requirements.txt", b"-r /etc/passwd\n", "bad-path"),
    ("requirements.txt", b"-r link/passwd\n", "bad-path"),
    ("requirements.txt", b"-r /dev/zero\n", "bad-path"),
    ("requirements.txt", b"-r pipe\n", "bad-path"),
    ("requirements.txt", b"-r .\n", "bad-path"),
    ("requirements.txt", b"./link#egg=x\n", "bad-path"),
    ("requirements.txt", b"-f ./link\n", "bad-path"),
    ("requirements.txt", b"x @ git+ext::sh -c touch% x\n", "unknown-option"),
    ("requirements.txt", b"x @ git+ssh://-oProxyCommand=touch/x\n", "bad-url"),
    ("requirements.txt", b"--index-url http://169.254.169.254/simple\n", "bad-url"),
    ("requirements.txt", b"-i https://me:hunter2@h/s\n", "secret-in-url"),
    ("requirements.txt", b"\x1b[31mred\n", "bad-syntax"),
    ("environment.yml", b"dependencies: " + DEEP.encode(), "too-large"),
    ("environment.yml", b"a: &a [x]\ndependencies: *a\n", "bad-yaml-alias"),
    ("environment.yml", b"dependencies: ['" + b"a" * 100_000 + b"']\n", "too-large"),
    ("environment.yml", b"dependencies: ['a[" + b"[" * 900 + b"]']\n", "bad-requirement"),
    ("environment.yml", b"dependencies: ['a " + b">=1|" * 40 + b">=1', 'a <1']\n", "requirements-disagree"),
    ("environment.yml", b"variables: {LD_PRELOAD: x}\n", "bad-variable"),
    ("environment.yml", b"dependencies: [pip: ['-r pipe']]\n", "bad-path"),
    ("pyproject.toml", b"a=" + DEEP.encode(), "bad-syntax"),
    ("pyproject.toml", b"a=[\n" + b"[\n" * 50_000, "bad-syntax"),
    ("pyproject.toml", b"a." * 50_000 + b"a=1", "too-large"),
    ("pyproject.toml", b"x" * (5 << 20), "too-large"),
    ("pyproject.toml", b"a = 1\n" * 100_000, "bad-syntax"),
    ("pyproject.toml", b"\xff", "bad-encoding"),
    ("pyproject.toml", b"[project]\ndependencies = ['" + b"a" * 100_000 + b"']\n", "too-large"),
    ("pyproject.toml", b"[tool.poetry.dependencies]\na = '" + b">=1 " * 50_000 + b"^'\n", "bad-version"),
]


@pytest.mark.parametrize("number", range(len(ATTACKS)))
def test_a_hostile_file_is_refused(tmp_path: Path, number: int) -> None:
    name, data, reference = ATTACKS[number]
    (tmp_path / "x.yaml").write_text(f"interpreter: host\npython: 3.11\ninclude: {name}\n")
    (tmp_path / "envbuild.yaml").write_text("platforms: [linux-64]\n")
    (tmp_path / "link").symlink_to("/etc")
    os.mkfifo(tmp_path / "pipe")  # whoever opens it waits for ever
    (tmp_path / name).write_bytes(data)
    began = time.monotonic()
    with pytest.raises(InvalidInput) as caught:
        make_request(find_project(tmp_path / "x.yaml", environ={}), tmp_path / "x.yaml")
    assert time.monotonic() - began < SECONDS
    found = caught.value.all_issues()
    assert reference in {issue.reference for issue in found}
    assert all(issue.where is not None for issue in found)
    said = "".join(f"{issue.message}{issue.hint}" for issue in found)
    assert "hunter2" not in said
    assert "root:" not in said
    assert all(len(issue.message) < 700 for issue in found)


@pytest.mark.parametrize(
    ("data", "reference"),
    [
        (b"-r link/passwd\n", "bad-path"),
        (b"-i https://me:hunter2@h/s\nsix=\x1b[31m1\n", "bad-syntax"),
        (b"".join(b"p%d=1\n" % number for number in range(100_000)), "bad-requirement"),
    ],
)
def test_the_command_line_refuses_it_too(case: Case, data: bytes, reference: str) -> None:
    case.recipe("interpreter: host\npython: 3.11\ninclude: requirements.txt\n")
    (case.project / "link").symlink_to("/etc")
    (case.project / "requirements.txt").write_bytes(data)
    outcome = attack(case, "lock", "x.yaml", code=3, reference=reference, lines=260)
    assert "hunter2" not in outcome.err + outcome.out


def test_a_hundred_thousand_lines_are_read_in_time(case: Case) -> None:
    lines = "".join(f"# comment {number}\npackage-{number}>=1,<2\n" for number in range(15_000))
    case.recipe("interpreter: host\npython: 3.11\nplatforms: [linux-64]\ninclude: r.txt\n")
    case.file("r.txt", lines + "# end\n" * 70_000 + "six=1\n")
    outcome = attack(case, "lock", "x.yaml", code=3, reference="bad-requirement")
    assert outcome.places == {"r.txt:100001:1"}
    assert outcome.seconds < 6


def test_a_family_of_files_that_name_each_other(case: Case) -> None:
    for number in range(1000):
        case.file(f"r/{number}.txt", f"-r {number + 1}.txt\n-r {(number + 7) % 1000}.txt\n")
    case.recipe("interpreter: host\npython: 3.11\ninclude: r/0.txt\n")
    attack(case, "lock", "x.yaml", code=3, reference="too-large", lines=260)
