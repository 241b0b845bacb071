"""First lines of scripts, and the RECORD that states them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from envbuild.linkers.record import edit_record
from envbuild.linkers.scripts import SHEBANG_LIMIT, finish_scripts, shebang, with_shebang


def test_a_short_path_is_plain_and_a_long_one_goes_through_the_shell() -> None:
    fits = "/" + "p" * (SHEBANG_LIMIT - 4)
    assert shebang(fits) == f"#!{fits}\n".encode()
    assert len(shebang(fits)) == SHEBANG_LIMIT
    assert shebang(fits + "p").startswith(b"#!/bin/sh\n'''exec' /ppp")
    assert shebang("/a b/python").startswith(b"#!/bin/sh\n")


@pytest.mark.parametrize("folder", ["plain", "with space", "it's", "long" * 40])
def test_scripts_run_wherever_their_python_is(folder: str, tmp_path: Path) -> None:
    python = tmp_path / folder / "python"
    python.parent.mkdir()
    python.symlink_to(sys.executable)
    script = tmp_path / "script"
    script.write_bytes(shebang(str(python)) + b"import sys\nprint(sys.argv[1:])\n")
    script.chmod(0o755)
    done = subprocess.run([script, "a b", "$x"], capture_output=True, text=True, check=True)
    assert done.stdout == "['a b', '$x']\n"


@pytest.mark.parametrize("here", ["/s/x/prefix", "/s/a b/prefix", "/s/" + "l" * 140 + "/prefix"])
def test_whatever_form_the_engine_wrote_the_final_path_takes_its_place(here: str) -> None:
    final = Path("/home/prefixes/0123")
    body = b"import sys\n# " + here.encode() + b"\n"
    moved = with_shebang(shebang(f"{here}/bin/python3") + body, Path(here), final)
    assert moved == b"#!/home/prefixes/0123/bin/python3\n" + body


@pytest.mark.parametrize(
    "data", [b"#!/usr/bin/env python\nx", b"#!/s/prefix-other/bin/python\nx", b"#!/s/prefix", b"\x7fELF"]
)
def test_scripts_of_other_interpreters_stay(data: bytes) -> None:
    assert with_shebang(data, Path("/s/prefix"), Path("/f")) == data


def test_the_hosts_python_becomes_the_environments_own() -> None:
    moved = with_shebang(b"#!/usr/bin/python3.11\nx", Path("/s/prefix"), Path("/f"), "/usr/bin/python3.11")
    assert moved == b"#!/f/bin/python\nx"
    assert (
        with_shebang(b"#!/usr/bin/python3\nx", Path("/s/p"), Path("/f"), "/usr/bin/python3.11")[:18]
        == b"#!/usr/bin/python3"
    )


def test_record_states_what_a_script_became(tmp_path: Path) -> None:
    prefix, final = tmp_path / "scratch" / "prefix", tmp_path / "final"
    site = prefix / "lib/python3.11/site-packages/x-1.dist-info"
    site.mkdir(parents=True)
    (prefix / "bin").mkdir()
    (prefix / "bin/x").write_text(f"#!{prefix}/bin/python\npass\n")
    (prefix / "bin/x").chmod(0o755)
    shared = tmp_path / "cache-entry"
    shared.hardlink_to(prefix / "bin/x")
    (prefix / "bin/other").write_bytes(b"\x7fELF")
    (site / "RECORD").write_text('../../../bin/x,sha256=old,1\n"odd, name.py",,\nx/__init__.py,sha256=keep,2\n')
    finish_scripts(prefix, final)
    data = (prefix / "bin/x").read_bytes()
    assert data == f"#!{final}/bin/python\npass\n".encode()
    assert (prefix / "bin/x").stat().st_mode & 0o777 == 0o755
    assert str(prefix) in shared.read_text(), "the engine's cache must keep its own bytes"
    lines = (site / "RECORD").read_text().splitlines()
    assert lines[0].startswith("../../../bin/x,sha256=")
    assert lines[0].endswith(f",{len(data)}")
    assert lines[1:] == ['"odd, name.py",,', "x/__init__.py,sha256=keep,2"]


def test_a_record_without_the_files_is_not_rewritten(tmp_path: Path) -> None:
    record = tmp_path / "RECORD"
    record.write_text("a,,\n")
    before = record.stat().st_ino
    assert edit_record(record, gone=["b"]) is False
    assert record.stat().st_ino == before
