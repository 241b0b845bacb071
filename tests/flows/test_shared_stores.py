"""Shared stores, by the command line: what one machine did, another one takes, and nothing that goes wrong is linked.

Two machines are two homes at one path, one after the other: prefixes hold the path that they are in, so that trees can
be compared byte for byte. The store is a folder beside them.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.world import World, differences, nobody_stays, remove, tree_of
from tests.support.channel import TestChannel
from tests.support.sdists import make_own_sdist
from tests.support.servers import serve


class Team(World):
    """A world with a store: ``everything.yaml`` has conda packages of both formats, wheels, and an sdist to build."""

    def __init__(self, folder: Path, channel: TestChannel, server) -> None:  # type: ignore[no-untyped-def]
        folder.mkdir(parents=True)
        super().__init__(folder, channel, server)
        make_own_sdist(self.wheels, "brewed", "1.0", scratch=folder / "sdists", static=True)
        self.recipe(
            "everything",
            f"python: {self.series}\n"
            + self.conda_lines("greet: '1.*'", "data-files:", "old-format:")
            + self.pypi_lines("tool-box:", "brewed:"),
        )
        self.store = folder / "store"
        self.configure({"name": "team", "url": str(self.store)})
        self.run("store", "init", str(self.store))

    def configure(self, *stores: dict[str, str], **settings: object) -> None:
        """The user's own configuration."""
        file = Path(self.environ["XDG_CONFIG_HOME"]) / "envbuild" / "config.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        lines = {"stores": list(stores), **settings}.items()
        file.write_text("".join(f"{key}: {json.dumps(value)}\n" for key, value in lines), encoding="utf-8")

    def another(self) -> None:
        """Another machine: nothing is at home. The locks are in Git."""
        self.fresh()

    def close(self) -> None:
        """Channel and index are gone."""
        self.server.content = lambda request: None

    def snapshot(self) -> dict[str, str]:
        """Every object of the store and the digest of its bytes."""
        return {
            str(path.relative_to(self.store)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in self.objects("")
            if path.parent.name != "tmp"
        }

    def logs(self) -> set[str]:
        """Digests of what results have besides what is linked."""
        records = [
            json.loads(path.read_bytes())["outputs"] for path in (self.folder / "first" / "results").rglob("*.json")
        ]
        return {item["sha256"] for outputs in records for name, item in outputs.items() if name != "out"}

    def objects(self, below: str) -> list[Path]:
        """Files of the store below a folder of it."""
        return sorted(path for path in (self.store / below).rglob("*") if path.is_file())

    def one(self, name: str, *flags: str) -> dict:
        """Realize a recipe; what it says."""
        (found,) = json.loads(self.run("realize", f"{name}.yaml", "--json", *flags).out)["environments"]
        return found

    def restored(self) -> None:
        """As after the first machine was done: its store and its lock, and nothing at home."""
        self.fresh()
        self.server.content = self._content()
        remove(self.store)
        shutil.copytree(self.folder / "first", self.store)
        self.lock("everything").write_bytes(self.locked)
        self.configure({"name": "team", "url": str(self.store)})
        (self.project / "envbuild.yaml").unlink(missing_ok=True)

    def sound(self) -> None:
        """Every blob of the store is what its name says; every record's and closure's blobs are there."""
        blobs = {path.name: path for path in self.objects("blobs")}
        for name, path in blobs.items():
            assert hashlib.sha256(path.read_bytes()).hexdigest() == name, path
        for path in self.objects("results"):
            outputs = json.loads(path.read_bytes())["outputs"]
            assert {item["sha256"] for item in outputs.values()} <= blobs.keys(), path


@pytest.fixture(scope="session")
def _team(tmp_path_factory: pytest.TempPathFactory, channel: TestChannel) -> Iterator[Team]:
    with serve(lambda request: None) as server:
        team = Team(tmp_path_factory.mktemp("shared") / "team", channel, server)
        team.first = team.one("everything")  # type: ignore[attr-defined]
        team.whole = team.tree("everything")  # type: ignore[attr-defined]
        team.locked = team.lock("everything").read_bytes()
        team.store.rename(team.folder / "first")
        yield team


@pytest.fixture
def team(_team: Team) -> Team:
    """A store that a first machine filled, and a second machine that has nothing but the lock."""
    _team.restored()
    return _team


def damaged(path: Path) -> None:
    """One bit of a file of the store is another; one of no bytes gets one."""
    data = bytearray(path.read_bytes() or b"x")
    data[len(data) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(data)
    path.chmod(0o444)


def test_another_machine_takes_everything_from_the_store(team: Team) -> None:
    assert (team.first["built"], team.first["transmuted"], team.first["pulled"]) == (1, 1, 0)
    team.sound()
    team.close()
    before = team.snapshot()
    again = team.one("everything", "--locked")
    assert not differences(team.tree("everything"), team.whole)
    assert (again["built"], again["transmuted"], again["fetched"]) == (0, 0, 0)
    assert again["pulled"] == again["packages"] == team.first["packages"]
    assert team.downloads() == {}
    assert team.snapshot() == before


def test_without_a_network_a_store_in_a_folder_is_enough(team: Team) -> None:
    again = team.one("everything", "--locked", "--offline")
    assert again["pulled"] == again["packages"]
    assert len(team.server.matching("*")) == 0


def test_a_plan_says_what_is_where(team: Team) -> None:
    rows = json.loads(team.run("plan", "everything.yaml", "--json").out)["plans"][0]["rows"]
    states = {(row["kind"], row["label"]): (row["state"], row["store"]) for row in rows}
    assert states["build-wheel", "brewed 1.0"] == ("far", "team")
    assert states["fetch", "brewed 1.0 source"] == ("not needed", None)
    shown = team.run("plan", "everything.yaml")
    assert "in team     build-wheel" in shown.out
    assert "in shared stores" in shown.err
    assert not (team.home / "store" / "blobs").exists()


def test_what_has_nothing_to_do_asks_nobody(team: Team) -> None:
    team.one("everything", "--locked")
    remove(team.store)
    for flags in ((), ("--locked",), ("--json",)):
        assert "store" not in team.run("realize", "everything.yaml", *flags).err.replace("shared stores", "")


@pytest.mark.parametrize("lost", ["blobs", "results", "environments", "half", "all"])
def test_what_a_store_lost_is_done_and_sent_again(team: Team, lost: str) -> None:
    everything = team.snapshot()
    found = team.objects("" if lost in {"half", "all"} else lost)
    gone = [path for path in found if path.name != "format.json"]
    for path in gone[:: 2 if lost == "half" else 1]:
        path.unlink()
    team.run("realize", "everything.yaml", "--locked")
    assert not differences(team.tree("everything"), team.whole)
    team.sound()
    again = {name for name in everything if name.rpartition("/")[2] not in team.logs()}
    if lost == "all":  # it was built anew, with a log of its own: another closure digest
        assert len(team.objects("outputs")) == 1
        again = {name for name in again if not name.startswith("outputs/")}
    assert again <= team.snapshot().keys() or lost == "half", "what leads to a result that was found nobody needs"
    team.another()
    team.close()
    again = team.one("everything", "--locked")
    assert (again["built"], again["fetched"]) == (0, 0)
    assert not differences(team.tree("everything"), team.whole)


def test_flipped_bits_are_never_linked_and_mended(team: Team) -> None:
    good = team.snapshot()
    for path in team.objects("blobs"):
        damaged(path)
    outcome = team.run("realize", "everything.yaml", "--locked")
    assert not differences(team.tree("everything"), team.whole)
    assert outcome.err.count("is damaged") >= 5
    team.another()
    outcome = team.run("realize", "everything.yaml", "--locked")
    team.another()
    team.close()
    assert team.one("everything", "--locked")["built"] == 0
    used = {name for name in good if name.startswith("blobs/")}
    broken = [name for name in used if team.snapshot()[name] != name.rpartition("/")[2]]
    assert all(good[name] in team.logs() for name in broken), "only what nobody reads may still be damaged"


def test_a_flipped_bit_without_an_origin_is_an_error_and_nothing_is_linked(team: Team) -> None:
    team.close()
    for path in team.objects("blobs"):
        damaged(path)
    outcome = team.run("realize", "everything.yaml", "--locked", code=5)
    assert "is damaged" in outcome.err
    assert not (team.project / ".envs" / "everything").exists()
    assert team.prefixes() == []


def test_a_store_to_read_only_is_not_written_and_its_results_need_the_user_s_word(team: Team) -> None:
    store = {"name": "team", "url": str(team.store), "mode": "read-only"}
    team.configure(store)
    before = team.snapshot()
    outcome = team.run("realize", "everything.yaml", "--locked", "--json")
    (found,) = json.loads(outcome.out)["environments"]
    assert (found["built"], found["transmuted"], found["fetched"]) == (1, 1, 0)
    assert outcome.err.count("do not count") == 1
    assert f"envbuild trust {team.store}" in outcome.err
    assert not differences(team.tree("everything"), team.whole)
    assert team.snapshot() == before
    team.another()
    team.run("trust", str(team.store))
    assert team.one("everything", "--locked")["built"] == 0
    assert team.snapshot() == before


def test_a_store_that_only_a_project_names_is_neither_written_nor_believed(team: Team) -> None:
    team.configure()
    store = team.project / "store"
    shutil.copytree(team.store, store)
    (team.project / "envbuild.yaml").write_text("stores: [{name: theirs, url: ./store}]\n", "utf-8")
    before = tree_of(store)
    outcome = team.run("realize", "everything.yaml", "--locked", "--json")
    (found,) = json.loads(outcome.out)["environments"]
    assert (found["built"], found["fetched"]) == (1, 0), "files prove themselves, a build does not"
    assert "do not count" in outcome.err
    assert tree_of(store) == before
    refused = team.run("push", "everything.yaml", code=2)
    assert "envbuild trust" in refused.err
    team.another()
    trusting = team.run("realize", "everything.yaml", "--locked", "--json", environ={"ENVBUILD_TRUST": str(store)})
    assert json.loads(trusting.out)["environments"][0]["built"] == 0
    remove(store)


def test_nothing_but_a_user_makes_a_project_s_store_trusted(team: Team) -> None:
    team.configure({"name": "mine", "url": str(team.store), "mode": "read-only"})
    (team.project / "envbuild.yaml").write_text(
        f"stores: [{{name: x, url: '{team.store}', mode: read-write}}]\n", "utf-8"
    )
    before = team.snapshot()
    assert team.one("everything", "--locked")["built"] == 1
    assert team.snapshot() == before
    (team.project / "envbuild.yaml").write_text(f"trusted: ['{team.store}']\n", "utf-8")
    assert "not-for-projects" in team.run("realize", "everything.yaml", code=3).err


@pytest.mark.parametrize("fault", ["mid-upload", "post-blobs-pre-record"])
@pytest.mark.parametrize("nth", [1, 2, 7])
def test_killed_while_sending(team: Team, fault: str, nth: int) -> None:
    remove(team.store)
    team.run("store", "init", str(team.store))
    with nobody_stays():
        killed = team.run("realize", "everything.yaml", environ={"ENVBUILD_FAULT": f"{fault}:kill:{nth}"}, code=None)
    assert killed.code == -signal.SIGKILL or nth > 1
    team.sound()
    team.another()
    team.run("realize", "everything.yaml", "--locked")
    assert not differences(team.tree("everything"), team.whole)
    team.sound()
    team.another()
    team.close()
    assert team.one("everything", "--locked")["built"] == 0
    team.run("store", "info")
    assert list((team.store / "tmp").iterdir()) == []


def test_a_store_that_is_full_costs_one_line(team: Team) -> None:
    remove(team.store)
    team.run("store", "init", str(team.store))
    for folder in (team.store, *(path for path in team.store.rglob("*") if path.is_dir())):
        folder.chmod(0o555)
    try:
        outcome = team.run("realize", "everything.yaml", "--locked")
    finally:
        for folder in (team.store, *(path for path in team.store.rglob("*") if path.is_dir())):
            folder.chmod(0o755)
    assert not differences(team.tree("everything"), team.whole)
    if os.geteuid() != 0:
        assert outcome.err.count("note: ") == 1


def test_sixteen_machines_at_once_agree(team: Team) -> None:
    remove(team.store)
    team.run("store", "init", str(team.store))
    homes = [team.folder / f"home-{number}" for number in range(16)]
    projects = []
    for number in range(16):
        project = team.folder / f"project-{number}"
        shutil.copytree(team.project, project, symlinks=True, ignore=shutil.ignore_patterns(".envs"))
        projects.append(project)
    running = [
        subprocess.Popen(
            [sys.executable, "-m", "envbuild", "realize", "everything.yaml", "--locked", "--json"],
            cwd=project,
            env={**team.environ, "ENVBUILD_HOME": str(home)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for home, project in zip(homes, projects, strict=True)
    ]
    for process in running:
        _, err = process.communicate(timeout=280)
        assert process.returncode == 0, err.decode()
    team.sound()
    (record,) = (team.store / "results" / "build-wheel").rglob("*.json")
    wheels = {
        json.loads(path.read_bytes())["outputs"]["out"]["sha256"]
        for home in homes
        for path in (home / "store" / "results" / "build-wheel").rglob("*.json")
    }
    assert wheels == {json.loads(record.read_bytes())["outputs"]["out"]["sha256"]}
    for folder in (*homes, *projects):
        remove(folder)


def test_a_store_of_one_user_can_be_shared_later_and_another_folder_stays_as_it_is(team: Team) -> None:
    before = team.snapshot()
    beside = team.store / "notes" / "mine"
    beside.mkdir(parents=True, mode=0o700)
    assert "is shared now" in team.run("store", "init", str(team.store), "--shared").err
    assert "is shared now" not in team.run("store", "init", str(team.store), "--shared").err
    folders = [path for path in [team.store, *team.store.rglob("*")] if path.is_dir() and "notes" not in path.parts]
    assert len(folders) > 20
    assert {path.stat().st_mode & 0o7777 for path in folders} == {0o2775}
    assert beside.stat().st_mode & 0o7777 == 0o700
    assert team.snapshot() == before
    remove(beside.parent)
    below = team.folder / "other" / "private"
    below.mkdir(parents=True, mode=0o700)
    team.run("store", "init", str(below.parent), "--shared")
    assert below.stat().st_mode & 0o7777 == 0o700
    remove(below.parent)


def test_an_address_that_is_misspelt_is_never_a_folder(team: Team) -> None:
    for word in ("s3:/bucket/x", "S3:bucket", "gs:/b", "az:/c/x", "https:/host/x", "file:/srv/x", "memory:x"):
        assert "bad-address" in team.run("store", "init", word, code=3).err
        assert not (team.project / word.partition("/")[0]).exists()
    assert "bad-address" in team.run("realize", "everything.yaml", "--store", "s3:/bucket/x", code=3).err
    told = team.run("list", "--store", "nope", code=2).err
    assert "there is no store 'nope'; configured are: team\n" in told


def test_push_and_pull_move_an_environment_and_nothing_else(team: Team) -> None:
    other = team.folder / "other"
    remove(other) if other.exists() else None
    assert "no-stores" not in team.run("store", "init", str(other)).err
    assert "not whole here" in team.run("push", "everything.yaml", "--to", str(other), code=2).err
    pulled = json.loads(team.run("pull", "everything.yaml", "--json").out)
    assert (pulled["stores"], pulled["packages"]) == (["team"], team.first["packages"])
    assert team.prefixes() == []
    pushed = json.loads(team.run("push", "everything.yaml", "--to", str(other), "--json").out)
    assert pushed["blobs"] >= pushed["packages"]
    assert json.loads(team.run("push", "everything.yaml", "--to", str(other), "--json").out)["blobs"] == 0
    team.another()
    team.close()
    team.configure()
    (found,) = json.loads(team.run("realize", "everything.yaml", "--json", "--store", str(other)).out)["environments"]
    assert (found["built"], found["fetched"]) == (0, 0)
    assert not differences(team.tree("everything"), team.whole)
    remove(other)


def test_pull_brings_nothing_when_something_is_in_no_store(team: Team) -> None:
    team.objects("results/build-wheel")[0].unlink()
    outcome = team.run("pull", "everything.yaml", code=5)
    assert "not-in-stores" in outcome.err
    assert "brewed 1.0" in outcome.err
    assert team.blobs() == {}


ONLY = """
import sys
from envbuild.metaflow.node_session import NodeSession
from envbuild.errors import EnvbuildError
session = NodeSession(sys.argv[1], stores=[sys.argv[2]], only_stores=True)
try:
    (made,) = session.realize("everything.yaml", mode="locked")
    print("made", made.pulled == made.packages, made.fetched, made.built)
except EnvbuildError as error:
    print(error.exit_code, error.reference, error.message)
"""


@pytest.mark.parametrize("lost", ["", "a record", "a blob", "a blob's bytes", "the store"])
def test_who_wants_all_from_stores_asks_nobody_else_and_writes_nothing(team: Team, lost: str) -> None:
    lines = team.locked.decode().splitlines()
    blob = next(path for path in team.objects("blobs") if any(path.name in line and ".whl" in line for line in lines))
    if lost == "a record":
        team.objects("results/build-wheel")[0].unlink()
    elif lost == "a blob":
        blob.unlink()
    elif lost == "a blob's bytes":
        damaged(blob)
    elif lost == "the store":
        team.store.rename(team.folder / "gone")
    before = team.snapshot() if lost != "the store" else {}
    team.configure()
    asked = team.server.requests.copy()
    words = [sys.executable, "-c", ONLY, str(team.project), str(team.store)]
    done = subprocess.run(words, cwd=team.project, env=team.environ, capture_output=True, text=True, check=False)
    assert team.server.requests == asked
    said = done.stdout.split(" ", 2)
    if not lost:
        assert done.stdout == "made True 0 0\n", done.stderr
        assert not differences(team.tree("everything"), team.whole)
    elif lost == "the store":
        assert said[:2] == ["5", "no-store"], done.stdout + done.stderr
        (team.folder / "gone").rename(team.store)
    else:
        assert said[:2] == ["5", "not-in-stores"], done.stdout + done.stderr
    if before:
        assert team.snapshot() == before


def test_a_store_is_copied_whole(team: Team) -> None:
    other = team.folder / "copy"
    team.run("store", "init", str(other))
    copied = json.loads(team.run("store", "copy", "team", str(other), "--json").out)
    assert (copied["blobs"], copied["damaged"]) == (len(team.objects("blobs")), [])
    assert tree_of(other / "blobs") == tree_of(team.store / "blobs")
    assert tree_of(other / "environments") == tree_of(team.store / "environments")
    assert json.loads(team.run("store", "copy", str(team.store), str(other), "--json").out)["blobs"] == 0
    (info,) = json.loads(team.run("store", "info", str(other), "--json").out)["stores"]
    assert (info["blobs"], info["environments"], info["state"]) == (copied["blobs"], 1, "ready")
    remove(other)


def test_stores_that_cannot_be_used_are_said_and_left_alone(team: Team) -> None:
    team.configure(
        {"name": "nowhere", "url": str(team.folder / "nowhere")},
        {"name": "newer", "url": str(team.folder / "newer")},
        {"name": "team", "url": str(team.store)},
    )
    (team.folder / "newer").mkdir(exist_ok=True)
    (team.folder / "newer" / "format.json").write_text('{"format": 9}')
    outcome = team.run("realize", "everything.yaml", "--locked")
    assert outcome.err.count("the store nowhere is left alone") == 1
    assert outcome.err.count("the store newer is left alone") == 1
    assert not differences(team.tree("everything"), team.whole)
    assert sorted(path.name for path in (team.folder / "newer").iterdir()) == ["format.json"]
    assert team.run("store", "init", str(team.folder / "newer"), code=10)


def test_an_address_that_is_empty_is_no_folder_that_somebody_stands_in(team: Team) -> None:
    """``--store "$STORE"`` with a variable that is not set."""
    before = sorted(path.name for path in team.project.iterdir())
    for command in (
        ("store", "init", ""),
        ("store", "init", " "),
        ("push", "everything.yaml", "--to", ""),
        ("verify", "--store", ""),
        ("gc", "--store", "", "--grace", "0", "--nobody-writes"),
        ("store", "copy", "team", ""),
        ("realize", "everything.yaml", "--store", ""),
    ):
        outcome = team.run(*command, code=3)
        assert "error[bad-address]: nothing is no address of a store" in outcome.err, command
    assert sorted(path.name for path in team.project.iterdir()) == before


def test_trust_is_written_into_the_user_s_own_file_and_nothing_else_changes(team: Team) -> None:
    file = Path(team.environ["XDG_CONFIG_HOME"]) / "envbuild" / "config.yaml"
    file.write_text("# mine\njobs: 3  # few\ntrusted: [dask://old]\n\n# the end\nlock-timeout: 5\n", "utf-8")
    team.run("trust", "s3://bucket/envbuild")
    expected = (
        '# mine\njobs: 3  # few\ntrusted:\n  - "dask://old"\n  - "s3://bucket/envbuild"\n\n# the end\nlock-timeout: 5\n'
    )
    assert file.read_text("utf-8") == expected
    assert team.run("trust").out.split() == ["dask://old", "s3://bucket/envbuild"]
    team.run("trust", "s3://bucket/envbuild")
    assert file.read_text("utf-8") == expected
    team.run("trust", "--remove", "dask://old")
    team.run("trust", "--remove", "s3://bucket/envbuild")
    assert file.read_text("utf-8") == "# mine\njobs: 3  # few\n\n# the end\nlock-timeout: 5\n"
    assert "not-trusted" in team.run("trust", "--remove", "s3://bucket/envbuild", code=2).err
    file.write_text("{jobs: 3, trusted: [x]}\n")
    assert "cannot be edited" in team.run("trust", "s3://bucket/envbuild", code=3).err


DICEY = """

def _metadata(_real=_metadata):
    import secrets

    first, _, rest = _real().partition("\\n")
    return f"{first}\\nKeywords: number-{secrets.randbits(64)}\\n{rest}"
"""
"""A backend that gives other bytes each time."""


def test_of_builds_that_differ_all_machines_link_the_one_that_was_first(team: Team) -> None:
    make_own_sdist(team.wheels, "dicey", "1.0", scratch=team.folder / "sdists", static=True, more_backend=DICEY)
    team.recipe(
        "dicey",
        f"interpreter: host\npython: {sys.version_info.major}.{sys.version_info.minor}\n" + team.pypi_lines("dicey:"),
    )
    team.run("lock", "dicey.yaml")
    team.fresh()
    homes = [team.folder / f"dicey-{number}" for number in range(6)]
    running = [
        team.start("realize", "dicey.yaml", "--locked", "--no-out-link", environ={"ENVBUILD_HOME": str(home)})
        for home in homes
    ]
    for process in running:
        _, err = process.communicate(timeout=200)
        assert process.returncode == 0, err.decode()
    numbers = {
        path.read_bytes() for home in homes for path in (home / "prefixes").rglob("dicey-1.0.dist-info/METADATA")
    }
    assert len(numbers) == 1
    assert b"Keywords: number-" in numbers.pop()
    for home in homes:
        remove(home)


def test_a_solve_with_a_cut_off_is_made_once_for_all(team: Team) -> None:
    team.recipe("dated", f"exclude-newer: {time.strftime('%Y-%m-%d')}\n" + team.conda_lines("data-files: '1.0'"))
    first = team.run("lock", "dated.yaml")
    locked = team.lock("dated").read_bytes()
    assert team.objects("results/solve"), first.err
    team.another()
    team.lock("dated").unlink()
    team.close()
    team.run("lock", "dated.yaml")
    assert team.lock("dated").read_bytes() == locked
    team.another()
    team.lock("dated").unlink()
    team.configure({"name": "team", "url": str(team.store), "mode": "read-only"})
    assert "do not count" in team.run("lock", "dated.yaml", code=None).err


def test_repair_takes_right_bytes_from_the_store(team: Team) -> None:
    team.one("everything", "--locked")
    team.close()
    shared = {path.name for path in team.objects("blobs")} - team.logs()
    broken = [path for digest, path in team.blobs().items() if digest in shared]
    for path in broken:
        damaged(path)
    assert f"{len(broken)} findings" in team.run("verify", code=4).err
    assert "all repaired" in team.run("verify", "--repair", code=None).err
    assert "0 findings" in team.run("verify").err
    assert not differences(team.tree("everything"), team.whole)


def test_ctrl_c_while_sending_ends_at_once(team: Team) -> None:
    remove(team.store)
    team.run("store", "init", str(team.store))
    with nobody_stays():
        process = team.start("realize", "small.yaml", environ={"ENVBUILD_FAULT": "mid-upload:sleep=60000"})
        until = time.monotonic() + 60
        while not any((team.home / "prefixes").glob("[0-9a-f]*")) and time.monotonic() < until:
            time.sleep(0.05)
        time.sleep(1.5)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=45)
    assert process.returncode == 130, err.decode()
    assert "Traceback" not in err.decode()
    team.sound()


def test_a_command_that_waits_for_sending_says_so(team: Team) -> None:
    remove(team.store)
    team.run("store", "init", str(team.store))
    outcome = team.run("realize", "small.yaml", environ={"ENVBUILD_FAULT": "mid-upload:sleep=3000"})
    assert outcome.err.count("more of what was done to shared stores") == 1
    team.sound()
    assert len(team.objects("environments")) == 1


def test_a_machine_that_knows_an_id_needs_no_recipe(team: Team, tmp_path: Path) -> None:
    team.close()
    ids = f"{team.first['request']}:{team.first['environment']}"
    outcome = team.run("realize", ids, "--json", "--no-out-link")
    (found,) = json.loads(outcome.out)["environments"]
    assert (found["built"], found["fetched"], found["pulled"]) == (0, 0, found["packages"])
    assert not differences(tree_of(Path(found["prefix"])), team.whole)


def test_what_comes_from_afar_is_kept_near(team: Team) -> None:
    near = team.folder / "near"
    team.run("store", "init", str(near))
    team.configure({"name": "near", "url": str(near)}, {"name": "far", "url": str(team.store)})
    far = team.snapshot()
    team.close()
    assert team.one("everything", "--locked")["fetched"] == 0
    assert team.snapshot() == far
    remove(team.store)
    team.another()
    team.configure({"name": "near", "url": str(near)})
    again = team.one("everything", "--locked")
    assert again["pulled"] == again["packages"]
    assert not differences(team.tree("everything"), team.whole)
    remove(near)


def test_a_web_server_gives_what_a_folder_holds(team: Team) -> None:
    with serve(team.store) as web:
        team.configure({"name": "web", "url": web.url}, trusted=[web.url])
        team.close()
        again = team.one("everything", "--locked")
        assert again["pulled"] == again["packages"]
        assert not differences(team.tree("everything"), team.whole)
        assert {seen.method for seen in web.requests} == {"GET", "HEAD"}
        read = [seen.path for seen in web.requests if seen.method == "GET"]
        assert len(read) == len(set(read))
        team.another()
        web.require_basic("somebody", "secret")
        outcome = team.run("realize", "everything.yaml", "--locked", code=5)
        assert outcome.err.count("the store web is left alone") == 1


def test_no_library_of_a_cloud_is_imported_for_a_folder(team: Team) -> None:
    program = (
        "import sys; from envbuild.session import Session\n"
        "(made,) = Session().realize('everything.yaml')\n"
        "assert made.pulled == made.packages\n"
        "print(sorted({'fsspec', 's3fs', 'gcsfs', 'adlfs', 'aiohttp', 'requests'} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=team.project,
        env=team.environ,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "[]", done.stdout
