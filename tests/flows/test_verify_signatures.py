"""``verify --store`` and signatures: each is held against the bytes beside it, and its key where that is known."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from envbuild.store.envelopes import envelope_bytes, parse_envelope
from tests.faults.world import remove, tree_of
from tests.flows.test_signed import Signed, _signed, team  # noqa: F401  fixtures


def findings(team: Signed, *flags: str, code: int = 4) -> list[dict]:  # noqa: F811
    return json.loads(team.run("verify", "--store", str(team.store), "--json", *flags, code=code).out)["findings"]


def test_signatures_of_other_bytes_of_nothing_and_of_nobody_are_told_and_removed(team: Signed) -> None:  # noqa: F811
    team.believing(store="read-write")
    assert findings(team, code=0) == []
    build, transmute = team.signature("build-wheel"), team.signature("transmute")
    good = build.read_bytes()
    envelope = parse_envelope(good)
    for changed in (
        transmute.read_bytes(),
        envelope_bytes(replace(envelope, payload=envelope.payload.replace(b'"milliseconds": ', b'"milliseconds": 1'))),
        envelope_bytes(replace(envelope, signature=bytes(64))),
        good[:-2],
        b"",
    ):
        build.chmod(0o644)
        build.write_bytes(changed)
        (found,) = findings(team)
        assert (found["problem"], found["name"]) == ("bad-signature", str(build.relative_to(team.store)))
    (record,) = team.objects("results/transmute")
    record.unlink()
    assert len(findings(team)) == 2
    assert {item["done"] for item in findings(team, "--repair")} == {"removed"}
    assert findings(team, code=0) == []
    assert not build.exists()
    assert not transmute.exists()


@pytest.mark.parametrize("flags", [(), ("--environment", "everything.yaml")])
def test_signatures_are_copied_with_what_they_sign(team: Signed, flags: tuple[str, ...]) -> None:  # noqa: F811
    other = team.folder / "copied"
    team.run("store", "init", str(other))
    copied = json.loads(team.run("store", "copy", str(team.store), str(other), "--json", *flags).out)
    assert copied["signatures"] == len(team.signatures("results"))
    assert tree_of(other / "signatures" / "results") == tree_of(team.store / "signatures" / "results")
    assert tree_of(other / "results") == tree_of(team.store / "results")
    remove(other)
