"""Foreign locks that somebody else wrote: wrong types, absurd sizes, circles, credentials, names that lead elsewhere.

Each is one clear error with the file's name, or is read as what it is; nothing but an ``EnvbuildError`` ever comes out.
"""

from __future__ import annotations

import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envbuild.errors import EnvbuildError, InvalidInput
from envbuild.formats import Document, nothing_opened
from envbuild.formats.foreign_lock import LOCKING, ForeignLock, Wanted, read_lock
from envbuild.machine.virtual import DEFAULTS
from envbuild.package import Platform
from tests.case import Case
from tests.unit.test_formats_locks import CHANNEL, CONDA_LOCK, FROZEN, PIXI_4, PIXI_6, PYLOCK, SHA, UV

EXPLICIT = f"# platform: linux-64\n@EXPLICIT\n{CHANNEL}/noarch/six-1.16-py_0.conda#sha256:{SHA}\n"
GOOD = {
    "pylock": PYLOCK,
    "uv-lock": UV,
    "conda-lock": CONDA_LOCK,
    "pixi-lock": PIXI_6.replace("VERSION", "6").replace("PLATFORMS", "").replace("NAME", "linux-64"),
    "explicit": EXPLICIT,
    "pip-freeze": FROZEN,
}


def read(format_name: str, data: bytes | str) -> ForeignLock:
    raw = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data
    document = Document(data=raw, file="theirs", opened=nothing_opened, shown=str)
    wanted = Wanted(here=Platform("linux-64"), systems=DEFAULTS, pythons=("3.11",))
    return read_lock(format_name, document, wanted)


def refused(format_name: str, data: bytes | str, reference: str | None = None) -> InvalidInput:
    with pytest.raises(EnvbuildError) as caught:
        read(format_name, data)
    assert caught.value.exit_code in {2, 3, 4, 11}
    assert caught.value.where is not None
    assert caught.value.where.file == "theirs"
    assert len(caught.value.message) < 600
    if reference is not None:
        assert caught.value.reference == reference
    return caught.value  # type: ignore[return-value]


def test_every_format_has_a_good_example() -> None:
    assert set(GOOD) == set(LOCKING)
    for name, text in GOOD.items():
        assert read(name, text).environments


@pytest.mark.parametrize(
    ("format_name", "was", "becomes", "reference"),
    [
        ("pylock", 'name = "numpy"', "name = 3", "bad-foreign-lock"),
        ("pylock", 'name = "numpy"', 'name = "../../etc"', "bad-name"),
        ("pylock", 'version = "2.0"', 'version = "2.0/../../x"', "bad-version"),
        ("pylock", f'sha256 = "{SHA}"', 'sha256 = "abc"', "bad-hash"),
        ("pylock", "numpy-2.0-cp311-cp311-manylinux_2_34_x86_64.whl", "%2e%2e%2fx.whl", "bad-url"),
        ("pylock", "numpy-2.0-cp311-cp311-manylinux_2_34_x86_64.whl", "-rf.whl", "bad-name"),
        ("pylock", "marker = \"'fast' in extras\"", 'marker = "(((("', "bad-marker"),
        ("pylock", 'type = "git"', 'type = "hg"', "bad-vcs"),
        ("pylock", "https://git.example.com/theirs.git", "ext::sh -c id", "bad-url"),
        ("pylock", 'subdirectory = "python"', 'subdirectory = "/etc"', "bad-path"),
        ("uv-lock", 'source = { editable = "libs/tools" }', 'source = { editable = "C:\\\\x" }', "bad-path"),
        ("uv-lock", '{ name = "finger" }', '{ name = "nowhere" }', "bad-foreign-lock"),
        ("uv-lock", "size = 5", "size = -5", "bad-foreign-lock"),
        ("uv-lock", 'https://index.example.com/simple', 'http://169.254.169.254/', "bad-url"),
        ("conda-lock", "manager: pip", "manager: npm", "bad-foreign-lock"),
        ("conda-lock", "linux-64/python-3.11.7-hab00c5b_1_cpython.conda", "linux-64/../x-1-0.conda", "bad-url"),
        ("conda-lock", "name: python", "name: openssl", "bad-foreign-lock"),
        ("conda-lock", "platforms: [linux-64, osx-arm64]", "platforms: {linux-64: 1}", "bad-foreign-lock"),
        ("pixi-lock", "build_number: 1", "build_number: many", "bad-foreign-lock"),
        ("pixi-lock", "name: six", "name: [six]", "bad-foreign-lock"),
        ("pixi-lock", "environments:", "environments: &a", "unsupported-yaml"),
        ("explicit", "six-1.16-py_0.conda", "six.conda", "bad-url"),
        ("explicit", "https://", "ftp://", "bad-url"),
        ("explicit", f"sha256:{SHA}", "sha256:zz", "bad-hash"),
        ("pip-freeze", "six==1.16.0", "six; rm -rf /", "not-frozen"),
    ],
)  # fmt: skip
def test_one_wrong_thing_is_one_error(format_name: str, was: str, becomes: str, reference: str) -> None:
    text = GOOD[format_name]
    if format_name == "pylock" and ("extras" in was or "git" in was or was.startswith("subdirectory")):
        text = text.replace("'docs' in dependency_groups", "python_version >= '3'")
    assert was in text
    error = refused(format_name, text.replace(was, becomes), None if reference == "unsupported-yaml" else reference)
    assert "Traceback" not in str(error)


@pytest.mark.parametrize("format_name", LOCKING)
def test_absurd_sizes_end_soon(format_name: str) -> None:
    began = time.monotonic()
    deep = {"pylock": "x = " + "[" * 5000 + "]" * 5000, "uv-lock": "x = " + "{a = " * 5000}
    refused(format_name, deep.get(format_name, "[" * 5000))
    refused(format_name, b"\xff\xfe\x00" * 1000)
    refused(format_name, b"a" * ((64 << 20) + 1), "too-large")
    assert time.monotonic() - began < 20


def test_many_packages_are_refused() -> None:
    entry = f"{CHANNEL}/noarch/six-1.16-py_0.conda\n"
    refused("explicit", "@EXPLICIT\n" + entry * 50_001, "too-large")
    refused("pylock", 'lock-version = "1.0"\npackages = [' + '{name="a"},' * 50_001 + "]\n")


def test_a_name_that_stands_twice_is_refused() -> None:
    refused("explicit", EXPLICIT + f"{CHANNEL}/noarch/six-1.17-py_0.conda\n", "two-packages")
    refused("pip-freeze", "six==1\nSIX==2\n", "two-packages")
    refused("uv-lock", UV.replace('name = "tools"\nversion = "3"', 'name = "finger"\nversion = "3"'))


@pytest.mark.parametrize("format_name", LOCKING)
def test_credentials_are_never_copied(format_name: str) -> None:
    secret = GOOD[format_name].replace("https://", "https://anna:hunter2@").replace("anna:hunter2@anna", "anna")
    secret = secret.replace(".whl", ".whl?X-Amz-Signature=hunter2") if format_name != "pip-freeze" else secret
    try:
        said = repr(read(format_name, secret))
    except EnvbuildError as error:
        said = str(error)
    assert "hunter2" not in said


@pytest.mark.parametrize("host", ["[]", "[x", "[::1", "h:x", "h:99999999"])
@pytest.mark.parametrize(
    "line",
    [
        "six @ https://HOST/six-1.0-py3-none-any.whl",
        "six @ git+https://HOST/six@" + "a" * 40,
        "-e git+https://HOST/six@" + "a" * 40 + "#egg=six",
    ],
)
def test_hosts_that_are_none_in_frozen_requirements(line: str, host: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        read("pip-freeze", line.replace("HOST", host) + "\n")
    assert caught.value.reference == "bad-url"


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_mutations_give_errors_or_locks(data: st.DataObject) -> None:
    """R33: bytes put in, taken out, doubled and exchanged; nothing but our own errors, and soon."""
    format_name = data.draw(st.sampled_from(LOCKING))
    text = bytearray(GOOD[format_name].encode())
    dice = random.Random(data.draw(st.integers(0, 2**32)))
    for _ in range(data.draw(st.integers(1, 8))):
        mutate(text, dice)
    code = 0
    try:
        read(format_name, bytes(text))
    except EnvbuildError as error:
        code = error.exit_code
    assert code in {0, 2, 3, 4, 11}


PIECES: tuple[bytes, ...] = (
    b"null", b"[]", b"{}", b"-1", b"1e999", b"nan", b"../", b"%2e%2e/", b"\x00", b"\n", b"  ", b'"', b"'", b"- ", b": ",
    b"&a", b"*a", b"!!python/object", "\u202e".encode(), b"99999999999999999999", b"true", b"git+", b"file:///etc/passwd",
)  # fmt: skip


def mutate(text: bytearray, dice: random.Random) -> None:
    at = dice.randrange(len(text) + 1)
    size = dice.randrange(1, 40)
    match dice.randrange(4):
        case 0:
            text[at:at] = dice.choice(PIECES)
        case 1:
            del text[at : at + size]
        case 2:
            text[at:at] = text[at : at + size]
        case _:
            text[at : at + size] = dice.choice(PIECES)


def test_no_half_written_recipe_stays(case: Case) -> None:
    case.file("pylock.toml", PYLOCK.replace(SHA, "abc"))
    case.run("import", "pylock.toml", "-o", "x.yaml", code=3).mentions("bad-hash")
    assert not list(case.project.glob("x*"))
    case.file("x.yaml", "# mine\n")
    case.run("import", "pylock.toml", "-o", "x.yaml", code=6).mentions("file-exists", "--force")
    case.run("import", "pylock.toml", "-o", "x.yaml", "--force", code=3)
    assert (case.project / "x.yaml").read_text() == "# mine\n"


def test_what_is_no_file_is_said(case: Case) -> None:
    case.run("import", "nothing.lock", code=3).mentions("missing-file")
    case.run("import", ".", code=3).mentions("bad-path")
    case.file("notes.md", "# hello\n").run("import", "notes.md", code=3).mentions("unknown-format", "--format")
    case.run("import", "notes.md", "--format", "nonsense", code=2).mentions("unknown-format", "one of: requirements")
    case.file("pylock.toml", PYLOCK)
    case.run("import", "pylock.toml", "-o", "x.lock.yaml", code=2).mentions("bad-path")
    case.run("import", "pylock.toml", "--environment", "x", code=2).mentions("no-choice")
    case.run("import", "pylock.toml", "--platform", "amiga", code=2).mentions("unknown-platform")
    case.run("import", "pylock.toml", "--python-version", "4", code=2).mentions("bad-python")


def test_old_shapes_are_read_too() -> None:
    assert read("pixi-lock", PIXI_4.replace("VERSION", "5")).environments[0].conda


@pytest.mark.parametrize(
    "line",
    ["-e git+https://anna:hunter2@host/theirs.git", "# Editable install from https://anna:hunter2@host/x (theirs==1)"],
)
def test_what_is_left_out_of_a_freeze_is_told_without_its_password(line: str) -> None:
    lock = read("pip-freeze", f"six==1.16.0\n{line}\n")
    assert "left out" in lock.notes[0]
    assert "hunter2" not in repr(lock)


def test_a_python_of_no_series_is_refused() -> None:
    refused("conda-lock", CONDA_LOCK.replace("3.11.7", "3n11"), "bad-version")
