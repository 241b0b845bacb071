from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from envbuild.derivations import KINDS
from envbuild.digest import key
from tests import golden

CASES = golden.cases()
CHECKOUT = Path(__file__).parents[2]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.parent.name}/{case.stem}")
def test_the_key_has_not_moved(case: Path):
    expected = golden.expected_path(case)
    assert expected.is_file(), "python -m tests.golden --update"
    assert golden.encoded(golden.read_case(case)) == expected.read_text(encoding="utf-8"), (
        "this key moved: is that meant? Then raise the kind's version, and: python -m tests.golden --update"
    )


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.parent.name}/{case.stem}")
def test_the_digest_is_that_of_the_document_beside_it(case: Path):
    tree = json.loads(golden.expected_path(case).read_text(encoding="utf-8"))
    assert tree["key"] == key(tree["kind"], tree["version"], tree["document"])


def test_every_kind_has_cases_and_every_key_has_one():
    assert {case.parent.name for case in CASES} == set(KINDS)
    keys = {path.name.removesuffix(".key.json") for path in golden.FOLDER.glob("*/*.key.json")}
    assert keys == {case.stem for case in CASES}


def test_a_mirror_does_not_move_the_key():
    folder = golden.FOLDER / "fetch"
    one = golden.read_case(folder / "conda-package.yaml")
    two = golden.read_case(folder / "same-package-from-a-mirror.yaml")
    assert one.key == two.key
    assert one != two


def test_update_writes_what_is_missing_or_wrong_and_removes_orphans(tmp_path: Path):
    folder = tmp_path / "golden"
    shutil.copytree(golden.FOLDER / "fetch", folder / "fetch")
    assert golden.update(folder) == []
    wheel = folder / "fetch" / "wheel.key.json"
    before = wheel.read_text(encoding="utf-8")
    wheel.write_text("{}", encoding="utf-8")
    orphan = folder / "fetch" / "gone.key.json"
    orphan.write_text("{}", encoding="utf-8")
    assert golden.update(folder) == [wheel, orphan]
    assert wheel.read_text(encoding="utf-8") == before
    assert not orphan.exists()


def test_the_command_agrees_that_nothing_moved():
    answer = subprocess.run(
        [sys.executable, "-m", "tests.golden"], capture_output=True, text=True, cwd=CHECKOUT, check=False
    )
    assert (answer.returncode, answer.stdout) == (0, "")


def test_a_case_with_an_unknown_field_or_a_wrong_type_is_refused(tmp_path: Path):
    folder = tmp_path / "transmute"
    folder.mkdir()
    case = folder / "x.yaml"
    case.write_text("{input: abc, file: x.conda, levle: 3}", encoding="utf-8")
    with pytest.raises(TypeError, match="levle"):
        golden.read_case(case)
    case.write_text("{input: abc, file: x.conda, level: '3'}", encoding="utf-8")
    with pytest.raises(TypeError, match="level"):
        golden.read_case(case)
