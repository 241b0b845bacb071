"""H56, H60, H61: stores whose records, closures and files were written by somebody who means harm.

Each costs time, and one line at most: the work is done here, the same tree comes out, nothing that the store holds is
run, and nothing outside it is touched. Where we may write, a right record takes the place.
"""

from __future__ import annotations

import json
import pickle
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.faults.counts import COUNTS
from tests.faults.figures import count
from tests.faults.world import Outcome, differences, remove, tree_of
from tests.flows.test_shared_stores import Team, _team, team

__all__ = ["_team", "team"]
"""Fixtures of those tests."""

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_SEAL = re.compile(rb'\{"check": "[0-9a-f]{64}",')


def realized(team: Team, *flags: str) -> tuple[dict[str, Any], Outcome]:
    """Realize; the tree is right, and what is said is short and can be shown."""
    outcome = team.run("realize", "everything.yaml", "--locked", "--json", *flags)
    assert not differences(team.tree("everything"), team.whole)  # type: ignore[attr-defined]
    assert len(outcome.err) < 4000, "a note is no place to repeat a record"
    assert not _CONTROL.search(outcome.err)
    assert not team.leftovers()
    (found,) = json.loads(outcome.out)["environments"]
    return found, outcome


def record(team: Team, kind: str) -> tuple[Path, dict[str, Any]]:
    """The one record of a kind, and what it says, without its seal: whoever writes a store can seal."""
    (path,) = (team.store / "results" / kind).rglob("*.json")
    return path, json.loads(_SEAL.sub(b"{", path.read_bytes()))


def rewritten(path: Path, data: bytes) -> None:
    path.chmod(0o644)
    path.write_bytes(data)


def outputs(change: Callable[[dict[str, Any]], Any]) -> Callable[[Team, dict[str, Any]], Any]:
    def changed(team: Team, tree: dict[str, Any]) -> Any:
        return {**tree, "outputs": change(tree["outputs"])}

    return changed


def text(change: Callable[[str], str]) -> Callable[[Team, dict[str, Any]], Any]:
    return lambda team, tree: change(json.dumps(tree)).encode()


def another_blob(team: Team, tree: dict[str, Any]) -> Any:
    """A file that is right under its own hash, and is something else."""
    other = next(path for path in team.objects("blobs") if path.name in team.packages("everything"))
    out = {"sha256": other.name, "size": other.stat().st_size}
    return {**tree, "outputs": {**tree["outputs"], "out": out}}


MILLION = 1_000_000
HOSTILE: dict[str, Callable[[Team, dict[str, Any]], Any]] = {
    "a hash of nothing": outputs(lambda them: {**them, "out": {**them["out"], "sha256": "0" * 64}}),
    "a smaller size": outputs(lambda them: {**them, "out": {**them["out"], "size": 1}}),
    "a larger size": outputs(lambda them: {**them, "out": {**them["out"], "size": 10**15}}),
    "a negative size": outputs(lambda them: {**them, "out": {**them["out"], "size": -1}}),
    "a size that is text": outputs(lambda them: {**them, "out": {**them["out"], "size": "1"}}),
    "a path": outputs(lambda them: {**them, "out": {**them["out"], "sha256": "/etc/passwd"}}),
    "a path upwards": outputs(lambda them: {**them, "out": {**them["out"], "sha256": "../" * 21 + "x"}}),
    "a name that is a path": outputs(lambda them: {"../../../x": them["out"]}),
    "no outputs": outputs(lambda them: {}),
    "other outputs": outputs(lambda them: {"log": them["out"]}),
    "itself": lambda team, tree: {**tree, "outputs": {"out": {"sha256": tree["key"], "size": 1}}},
    "another key": lambda team, tree: {**tree, "key": "1" * 64},
    "another kind": lambda team, tree: {**tree, "kind": "fetch"},
    "a word more": lambda team, tree: {**tree, "cls": "subprocess.Popen", "args": ["touch", "canary"]},
    "a word of a megabyte": lambda team, tree: {**tree, "builder": ["x" * 500_000]},
    "controls": lambda team, tree: {**tree, "builder": "\x1b[2J\x07", "platform": ["\x1b]0;x\x07\u202e"]},
    "twin keys": text(lambda told: told.replace('"kind":', '"kind": "fetch", "kind":')),
    "not a number": text(lambda told: told.replace('"milliseconds": ', '"milliseconds": NaN, "x": ')),
    "a million lines": outputs(
        lambda them: {f"o{number}": {"sha256": f"{number:064x}", "size": 1} for number in range(MILLION // 100)}
    ),
    "a depth without end": lambda team, tree: b"[" * 500_000,
    "more than a megabyte": lambda team, tree: json.dumps({**tree, "notes": ["x" * 2_000_000]}).encode(),
    "nothing": lambda team, tree: b"",
}


SOME = (
    "a hash of nothing",
    "no outputs",
    "a larger size",
    "a word of a megabyte",
    "controls",
    "twin keys",
    "a million lines",
)
"""By default; the other shapes are tried without a command in ``unit/test_shared_store``, and all by torture."""


@pytest.mark.parametrize("kind", ["build-wheel", "transmute"] if COUNTS.full else ["build-wheel"])
@pytest.mark.parametrize("how", HOSTILE if COUNTS.full else SOME)
def test_h56_a_hostile_record_costs_its_work_and_makes_way(team: Team, how: str, kind: str) -> None:
    path, tree = record(team, kind)
    told = HOSTILE[how](team, tree)
    rewritten(path, told if isinstance(told, bytes) else json.dumps(told).encode())
    _, outcome = realized(team)
    assert outcome.err.count("note:") <= 2, outcome.err
    assert record(team, kind)[1] != told, "a right record took the place"
    team.sound()
    team.another()
    team.close()
    again, _ = realized(team)
    assert (again["built"], again["transmuted"]) == (0, 0), "others take it"
    count("hostile records of stores: the work is done here, and a right one takes the place", 1, 1)


def test_h56_a_record_that_names_another_file_is_found_out(team: Team) -> None:
    """Whoever may write a store that is believed can name any file; it is still looked at before it is linked."""
    path, tree = record(team, "build-wheel")
    rewritten(path, json.dumps(another_blob(team, tree)).encode())
    outcome = team.run("realize", "everything.yaml", "--locked", code=None)
    assert outcome.code in {0, 4}, outcome
    if outcome.code == 0:
        assert not differences(team.tree("everything"), team.whole)  # type: ignore[attr-defined]
    else:
        assert team.prefixes() == []


def test_h56_with_no_origin_a_hostile_record_is_an_error_and_nothing_is_linked(team: Team) -> None:
    path, tree = record(team, "build-wheel")
    rewritten(path, json.dumps(HOSTILE["a hash of nothing"](team, tree)).encode())
    for blob in team.objects("blobs"):
        blob.unlink()
    team.close()
    outcome = team.run("realize", "everything.yaml", "--locked", code=None)
    assert outcome.code in {4, 5}, outcome
    assert team.prefixes() == []


CLOSURES: dict[str, Callable[[bytes], bytes]] = {
    "nothing": lambda data: b"",
    "a pickle": lambda data: pickle.dumps({"a": 1}),
    "a depth without end": lambda data: b"[" * 500_000,
    "another's": lambda data: data.replace(b"tool-box", b"tool-bix"),
    "a path": lambda data: data.replace(b'"file": "', b'"file": "../../'),
    "more than it may be": lambda data: b" " * (65 << 20),
    "twin keys": lambda data: data.replace(b'"name":', b'"name": "x", "name":', 1),
}


@pytest.mark.parametrize("how", CLOSURES if COUNTS.full else ["a pickle", "another's", "more than it may be"])
def test_h56_a_hostile_closure_is_not_believed(team: Team, how: str) -> None:
    (path,) = (team.store / "environments").rglob("*.json")
    changed = CLOSURES[how](path.read_bytes())
    if changed == path.read_bytes():
        pytest.skip("NOTHING TO CHANGE: closures have no such words")
    rewritten(path, changed)
    ids = f"{team.first['request']}:{team.first['environment']}"  # type: ignore[attr-defined]
    outcome = team.run("realize", ids, "--no-out-link", code=None)
    assert outcome.code in {2, 4, 5}, outcome
    assert len(outcome.err) < 4000
    assert team.prefixes() == []
    realized(team)
    count("hostile closures not believed", 1, 1)


# H60


def test_h60_symbolic_links_inside_a_store_lead_nowhere(team: Team) -> None:
    outside = team.folder / "outside"
    remove(outside) if outside.exists() else None
    shutil.copytree(team.store, outside)
    (outside / "precious").write_text("precious")
    before = tree_of(outside)
    for path in team.objects("blobs")[::2]:  # right bytes, but elsewhere
        path.unlink()
        path.symlink_to(outside / path.relative_to(team.store))
    shutil.rmtree(team.store / "environments")
    (team.store / "environments").symlink_to(outside / "environments")
    (team.store / "home").symlink_to(outside)
    (team.store / "blobs" / "sha256" / "zz").symlink_to(outside)
    found, _ = realized(team)
    assert tree_of(outside) == before
    assert found["pulled"] < found["packages"]
    team.run("store", "info", str(team.store))
    team.run("store", "copy", str(team.store), str(team.folder / "copied"), code=None)
    for words in (("store", "verify"), ("store", "gc", "--yes"), ("gc", "--store"), ("store", "gc")):
        team.run(*words, str(team.store), code=None)
        assert tree_of(outside) == before
    remove(outside)
    count("stores with symbolic links that lead out: neither followed, nor written, nor removed through", 1, 1)


# H61


class _Runs:
    def __init__(self, canary: Path) -> None:
        self._canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return (exec, (f"open({str(self._canary)!r}, 'w').close()",))


def test_h61_what_a_store_holds_is_never_loaded(team: Team, tmp_path: Path) -> None:
    canary, modules = tmp_path / "canary", tmp_path / "modules"
    modules.mkdir()
    (modules / "evil_store.py").write_text(f"open({str(canary)!r}, 'w').close()\nclass FS: pass\n")
    loaded = pickle.dumps(_Runs(canary))
    named = json.dumps({"cls": "evil_store:FS", "protocol": "file", "args": [], "format": 1}).encode()
    program = (modules / "evil_store.py").read_bytes()
    variables = {"PYTHONPATH": f"{modules}:{team.environ['PYTHONPATH']}"}
    for number, data in enumerate((loaded, named, program)):
        for part in ("results", "environments", "format.json"):
            team.restored()
            for path in team.objects(part) if part != "format.json" else [team.store / part]:
                rewritten(path, data)
            for name in ("envbuild.py", "conftest.py", "sitecustomize.py", "x.pkl"):
                (team.store / name).write_bytes(data)
            for words in (
                ("realize", "everything.yaml", "--locked"),
                ("store", "info", str(team.store)),
                ("pull", "everything.yaml"),
                ("history", "team/x"),
            ):
                outcome = team.run(*words, environ=variables, code=None)
                assert len(outcome.err) < 8000, outcome.err
                assert not canary.exists(), (number, part, words)
            assert not differences(team.tree("everything"), team.whole)  # type: ignore[attr-defined]
    count("pickles, programs and JSON that names a class, in the place of objects: never loaded", 9, 9)
