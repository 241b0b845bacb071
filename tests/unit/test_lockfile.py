"""Locks as text: the same value, the same bytes; what is hostile or edited is refused (design H16-H19)."""

from __future__ import annotations

import hashlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envbuild.errors import EnvbuildError, IntegrityError, InvalidInput
from envbuild.lock import Lock, LockedBase, LockedEnvironment
from envbuild.locks import lockfile
from envbuild.locks.lock_writing import lock_text
from envbuild.locks.lockfile import parse_lock
from envbuild.package import CondaPackage, InterpreterArchive, Platform, Wheel
from envbuild.recipe import Index


def sha(text):
    return hashlib.sha256(text.encode()).hexdigest()


def conda(name="openssl", **changes):
    fields = {
        "name": name,
        "version": "3.1.4",
        "build": "hd590300_0",
        "build_number": 0,
        "subdir": "linux-64",
        "file": f"{name}-3.1.4-hd590300_0.conda",
        "sha256": sha(name),
        "channel": "conda-forge",
        "md5": "0" * 32,
        "size": 5,
        "license": "Apache-2.0",
        "timestamp": 1700000000000,
        "depends": ("ca-certificates", "libgcc-ng >=12"),
    }
    return CondaPackage(**{**fields, **changes})


def wheel(name="idna", **changes):
    fields = {
        "name": name,
        "version": "3.6",
        "file": f"{name}-3.6-py3-none-any.whl",
        "sha256": sha(name),
        "index": "default",
    }
    return Wheel(**{**fields, **changes})


def make(**changes):
    environment = LockedEnvironment(
        platform=Platform("linux-64"),
        python="3.11",
        interpreter="conda",
        system=(("__glibc", "2.28"),),
        conda=(conda(), conda("zlib", asked=True)),
        wheels=(wheel(),),
        variables=(("GREETING", 'say "hi"\n'),),
    )
    fields = {
        "request": sha("request"),
        "platforms": (environment,),
        "exclude_newer": "2026-11-01T00:00:00Z",
        "bases": (
            LockedBase(path="bases/a.yaml", request=sha("base"), environments=((Platform("linux-64"), sha("e")),)),
        ),
        "indices": (Index(name="pytorch", url="https://index.example/cpu"),),
    }
    return Lock(**{**fields, **changes})


def edited(lock, change):
    """The lock's text with one package line changed; ids as they were."""
    lines = lock_text(lock).splitlines()
    for number, line in enumerate(lines):
        if line.startswith("      - "):
            tree = json.loads(line[8:])
            change(tree)
            lines[number] = "      - " + json.dumps(tree)
            break
    return ("\n".join(lines) + "\n").encode()


def test_text_and_back():
    lock = make()
    text = lock_text(lock)
    assert parse_lock(text.encode(), "a.lock.yaml") == lock
    assert lock_text(parse_lock(text.encode(), "a.lock.yaml")) == text


def test_a_package_is_one_line_and_adding_one_touches_only_its_own_and_the_id():
    lock = make()
    environment = lock.platforms[0]
    more = LockedEnvironment(
        **{
            name: getattr(environment, name)
            for name in ("platform", "python", "interpreter", "system", "conda", "variables")
        },
        wheels=(wheel(), wheel("six")),
    )
    before, after = lock_text(lock).splitlines(), lock_text(make(platforms=(more,))).splitlines()
    assert [line for line in after if line not in before and "environment:" not in line] == [
        line for line in after if '"six"' in line
    ]
    assert len(after) == len(before) + 1


def test_every_line_is_also_yaml():
    import yaml

    tree = yaml.safe_load(lock_text(make()))
    assert tree["platforms"]["linux-64"]["conda"][0]["depends"] == ["ca-certificates", "libgcc-ng >=12"]
    assert tree["platforms"]["linux-64"]["variables"] == {"GREETING": 'say "hi"\n'}


def test_a_lock_that_another_tool_wrote_anew_reads_the_same():
    import yaml

    lock = make()
    text = yaml.safe_dump(yaml.safe_load(lock_text(lock)))
    assert "- asked: true" in text or "asked: true" in text
    assert parse_lock(text.encode(), "a.lock.yaml") == lock


def test_managed_interpreter_round_trips():
    archive = InterpreterArchive(
        implementation="cpython", version="3.12.7", build="20241016", file="cpython-3.12.7.tar.gz", sha256=sha("a")
    )
    environment = LockedEnvironment(
        platform=Platform("linux-64"), python="3.12", interpreter="managed", system=(), archive=archive
    )
    lock = make(platforms=(environment,))
    assert parse_lock(lock_text(lock).encode(), "x") == lock


@pytest.mark.parametrize(
    ("change", "reference", "code"),
    [
        (lambda tree: tree.pop("sha256"), "missing-key", 3),
        (lambda tree: tree.update(sha256="0" * 63), "bad-hash", 3),
        (lambda tree: tree.update(sha256="A" * 64), "bad-hash", 3),
        (lambda tree: tree.update(sha256="md5:" + "0" * 60), "bad-hash", 3),
        (lambda tree: tree.update(sha256=hashlib.sha256(b"").hexdigest()), "bad-hash", 3),
        (lambda tree: tree.update(sha256=5), "bad-hash", 3),
        (lambda tree: tree.update(file="../x.conda"), "bad-name", 3),
        (lambda tree: tree.update(file="a/b.conda"), "bad-name", 3),
        (lambda tree: tree.update(file="-x.conda"), "bad-name", 3),
        (lambda tree: tree.update(file="other-3.1.4-hd590300_0.conda"), "identity", 4),
        (lambda tree: tree.update(version="3.1.5"), "identity", 4),
        (lambda tree: tree.update(sha256=sha("forged")), "lock-edited", 4),
        (lambda tree: tree.update(surprise=1), "unknown-key", 3),
        (lambda tree: tree.update(size="5"), "bad-type", 3),
        (lambda tree: tree.update(size=True), "bad-type", 3),
        (lambda tree: tree.update(depends="a"), "bad-type", 3),
        (lambda tree: tree.update(depends=[1]), "bad-type", 3),
        (lambda tree: tree.update(channel="https://user:secret@host/c"), "secret-in-lock", 3),
        (lambda tree: tree.update(url="https://host/c?X-Amz-Signature=abc"), "secret-in-lock", 3),
        (lambda tree: tree.update(url="https://host/c?sig=abc"), "secret-in-lock", 3),
    ],
)
def test_a_hostile_or_edited_package_is_refused(change, reference, code):
    with pytest.raises(EnvbuildError) as error:
        parse_lock(edited(make(), change), "a.lock.yaml")
    assert (error.value.reference, error.value.exit_code) == (reference, code)
    assert error.value.where is not None
    assert "secret" not in error.value.message.replace("credentials", "")


@pytest.mark.parametrize(
    ("old", "new", "reference", "code"),
    [
        ("version: 1", "version: 2", "lock-version", 3),
        ("version: 1", "", "lock-version", 3),
        ("version: 1", "<<<<<<< ours\nversion: 1\n=======\n>>>>>>> theirs", "merge-conflict", 3),
        ("  linux-64:", "  osx-arm64:", "lock-edited", 4),
        ("  linux-64:", "  amiga-68k:", "bad-platform", 3),
        ('python: "3.11"', 'python: "3.12"', "lock-edited", 4),
        ('interpreter: "conda"', 'surprise: "conda"', "unknown-key", 3),
        ("platforms:", "surprise: {}\nplatforms:", "unknown-key", 3),
        ('request: "', 'request: "x', "bad-hash", 3),
    ],
)
def test_a_lock_that_is_not_what_was_written_is_refused(old, new, reference, code):
    text = lock_text(make())
    assert old in text
    with pytest.raises(EnvbuildError) as error:
        parse_lock(text.replace(old, new, 1).encode(), "a.lock.yaml")
    assert (error.value.reference, error.value.exit_code) == (reference, code)


@pytest.mark.parametrize(
    ("text", "said"), [("", "nothing"), ("# a comment\n", "nothing"), ('request: "x"\n', "version")]
)
def test_a_lock_that_lost_what_it_held_is_told_so(text, said):
    with pytest.raises(InvalidInput, match=said) as error:
        parse_lock(text.encode(), "a.lock.yaml")
    assert error.value.where is not None
    assert "None" not in error.value.message
    assert error.value.hint == "restore it from Git, or remove it and lock again"


def test_credentials_cannot_be_written():
    with pytest.raises(InvalidInput) as error:
        lock_text(make(indices=(Index(name="private", url="https://me:secret@host/simple"),)))
    assert error.value.reference == "secret-in-lock"
    assert "me:" not in str(error.value)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_no_damage_gives_anything_but_an_envbuild_error_or_the_same_lock(data):
    text = bytearray(lock_text(make()).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        position = data.draw(st.integers(0, len(text) - 1))
        text[position] = data.draw(st.integers(0, 255))
    try:
        lock = parse_lock(bytes(text), "a.lock.yaml")
    except EnvbuildError:
        return
    assert lock.platforms[0].id == make().platforms[0].id


def test_too_large_is_refused_before_it_is_read(monkeypatch):
    monkeypatch.setattr(lockfile, "LIMIT", 100)
    with pytest.raises(InvalidInput) as error:
        parse_lock(lock_text(make()).encode(), "a.lock.yaml")
    assert error.value.reference == "too-large"


def test_the_environment_id_is_of_what_counts_only():
    environment = make().platforms[0]
    fields = {
        name: getattr(environment, name)
        for name in ("platform", "python", "interpreter", "system", "conda", "wheels", "variables")
    }
    moved = LockedEnvironment(**{**fields, "conda": (conda(channel="mirror"), conda("zlib"))})
    assert moved.id == environment.id, "where a package came from and who asked for it is not what it is"
    for change in (
        {"python": "3.12"},
        {"variables": ()},
        {"platform": Platform("linux-aarch64")},
        {"interpreter": "host"},
        {"wheels": ()},
        {"conda": (conda(sha256=sha("other")), conda("zlib"))},
    ):
        assert LockedEnvironment(**{**fields, **change}).id != environment.id


def test_identity_error_is_an_integrity_error():
    with pytest.raises(IntegrityError):
        parse_lock(edited(make(), lambda tree: tree.update(name="libssl")), "a.lock.yaml")


@pytest.mark.parametrize(
    ("was", "becomes"),
    [
        ('system: {"__glibc": "2.28"}', 'system: {"__glibc": null}'),
        ('variables: {"GREETING": "say \\"hi\\"\\n"}', 'variables: {"GREETING": 1}'),
        ('python: "3.11"', 'python: ["3.11"]'),
        ('interpreter: "conda"', "interpreter: 3"),
        ('exclude-newer: "2026-11-01T00:00:00Z"', "exclude-newer: {}"),
        ('"pin": true', '"pin": "no"'),
    ],
)
def test_what_is_no_text_is_refused_where_a_text_stands(was, becomes):
    text = lock_text(make())
    assert was in text
    with pytest.raises(InvalidInput) as caught:
        parse_lock(text.replace(was, becomes).encode(), "a.lock.yaml")
    assert caught.value.reference == "bad-lock"
