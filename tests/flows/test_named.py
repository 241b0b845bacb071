"""Names and ids from end to end: given, moved, looked up, gone back, and used where the recipe is not."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from envbuild.digest import unsealed
from envbuild.locks.lockfile import parse_lock
from tests.case import Case
from tests.support.channel import this_platform
from tests.support.servers import Server

HERE = this_platform()
OTHER = "osx-arm64" if HERE != "osx-arm64" else "linux-64"
SERIES = f"{sys.version_info.major}.{sys.version_info.minor}"


def recipe(index: Server, version: str = "<2", *platforms: str) -> str:
    """A recipe for these platforms, or for this machine's and one more."""
    names = ", ".join(platforms or (HERE, OTHER))
    return (
        f"interpreter: host\npython: '{SERIES}'\nplatforms: [{names}]\n"
        f"pypi:\n  index: {index.url}/simple\n  packages: {{toy: '{version}'}}\n"
    )


def elsewhere(case: Case) -> Case:
    """The same user in another folder, where no recipe is."""
    case.project = case.project.with_name("elsewhere")
    case.project.mkdir(exist_ok=True)
    return case


def tells(case: Case, *texts: str) -> None:
    """As ``mentions``, with ids as they are."""
    for text in texts:
        assert text in case.out + case.err, case.out + case.err


def ids(case: Case, name: str = "x") -> dict[str, str]:
    lock = parse_lock((case.project / f"{name}.lock.yaml").read_bytes(), name)
    return {"request": lock.request, **{item.platform: item.id for item in lock.platforms}}


def test_an_environment_is_named_and_used_where_its_recipe_is_not(case: Case, wheel_index: Server) -> None:
    case.recipe(recipe(wheel_index)).run("lock", "x.yaml").run("alias", "x.yaml", "team/toy")
    known = ids(case)
    case.mentions("team/toy:latest is generation 1 now")
    shutil.rmtree(case.project)
    elsewhere(case).run("get", "team/toy").mentions("team/toy:latest", "1, since", "[digest]")
    for platform in (HERE, OTHER):
        assert f"{platform:<10}  {known['request']}:{known[platform]}\n" in case.out
    case.run("realize", "team/toy").mentions(f"Realized team/toy:latest ({HERE}): 2 packages", "2 fetched")
    prefix = Path(case.out.strip())
    assert case.program(prefix / "bin" / "python", "-c", "import toy; print(toy.__version__)").strip() == "1.1"
    assert list(case.project.iterdir()) == []  # no out-link unless one is asked for
    case.run("run", "name:team/toy", "--", "python", "-c", "import os, toy; print(toy.__version__)").shows("1.1")
    tells(case.run("shell-hook", "team/toy", "--shell", "bash"), str(prefix), "(team/toy:latest) ")
    case.run("realize", "team/toy", "--out-link", "here")
    assert (case.project / "here").resolve() == prefix
    case.run("list").mentions("team/toy:latest  1", "1 environment, 1 name")
    answer = json.loads(case.run("realize", "team/toy", "--json").out)["environments"][0]
    assert (answer["environment"], answer["request"]) == (known[HERE], known["request"])
    case.run("plan", "x.yaml", code=3)
    case.run("verify")


def test_a_movable_tag_has_a_past_and_a_way_back(case: Case, wheel_index: Server) -> None:
    seen = []
    for version in ("==1.0", "==1.1", "==2.0"):
        case.recipe(recipe(wheel_index, version)).run("lock", "x.yaml").run("alias", "x.yaml", "team/toy:stable")
        seen.append(ids(case)[HERE])
    case.mentions("team/toy:stable is generation 3 now", "; it was ")
    tells(case, seen[1][:12], seen[2][:12])
    case.run("alias", "x.yaml", "team/toy:stable").mentions("means that already: generation 3")
    past = json.loads(case.run("history", "team/toy:stable", "--json").out)["generations"]
    assert [item["environments"][HERE] for item in past] == seen[::-1]
    case.run("rollback", "team/toy:stable").mentions("generation 4 now")
    tells(case, seen[1][:12])
    case.run("run", "team/toy:stable", "--", "python", "-c", "import toy; print(toy.__version__)").shows("1.1")
    case.run("rollback", "team/toy:stable", "--to", "1")
    case.run("run", "team/toy:stable", "--", "python", "-c", "import toy; print(toy.__version__)").shows("1.0")
    case.run("history", "team/toy:stable").mentions("team/toy:stable: 5 generations")
    case.run("rollback", "team/toy:stable", "--to", "9", code=3).mentions("unknown-generation")
    case.run("alias", "team/toy:stable", "team/toy:candidate").mentions("team/toy:candidate is generation 1 now")
    tells(case.run("get", "team/toy:candidate"), seen[0])


def test_other_tags_are_written_once(case: Case, wheel_index: Server) -> None:
    case.recipe(recipe(wheel_index, "==1.0")).run("lock", "x.yaml").run("alias", "x.yaml", "team/toy:v1")
    first = ids(case)
    case.run("alias", "x.yaml", "team/toy:v1").mentions("means that already")
    case.run("get", "team/toy", code=3).mentions("unknown-name", "there is team/toy:v1")
    case.run("get", "team/other", code=3).mentions("unknown-name", "`envbuild list` shows what there is")
    case.recipe(recipe(wheel_index, "==1.1")).run("lock", "x.yaml").run("alias", "x.yaml", "team/toy:v1", code=6)
    tells(case, "name-taken", f"{HERE} {first['request'][:12]}:{first[HERE][:12]}", "is written once")
    case.recipe(recipe(wheel_index, "==1.0", HERE)).run("lock", "x.yaml")
    case.run("alias", "x.yaml", "team/toy:v1", code=6)  # one platform less is something else, too
    tells(case.run("get", "team/toy:v1"), first[OTHER])


def test_who_expects_another_generation_is_refused(case: Case, wheel_index: Server) -> None:
    case.recipe(recipe(wheel_index, "==1.0")).run("lock", "x.yaml")
    case.run("alias", "x.yaml", "toy", "--expect", "1", code=6).mentions("name-moved", "is not there")
    case.run("alias", "x.yaml", "toy", "--expect", "0")
    case.recipe(recipe(wheel_index, "==1.1")).run("lock", "x.yaml")
    case.run("alias", "x.yaml", "toy", "--expect", "0", code=6).mentions("name-moved", "is at generation 1")
    case.variable("ENVBUILD_EXPECT", "1").run("alias", "x.yaml", "toy").mentions("generation 2 now")


def test_only_a_lock_that_fits_is_named(case: Case, wheel_index: Server) -> None:
    case.recipe(recipe(wheel_index)).run("alias", "x.yaml", "toy", code=10).mentions("envbuild lock x.yaml")
    case.run("lock", "x.yaml").recipe(recipe(wheel_index, ">=2")).run("alias", "x.yaml", "toy", code=10)
    case.run("get", "toy", code=3).mentions("unknown-name")
    case.run("history", "toy", code=3).run("rollback", "toy", code=3).run("realize", "toy", code=3)
    case.run("get", "x.yaml", code=3).mentions("envbuild show x.yaml")
    case.run("get", "x.lock.yaml", code=3).mentions("envbuild show x.lock.yaml")


def test_a_platform_that_a_name_has_not(case: Case, wheel_index: Server) -> None:
    case.recipe(recipe(wheel_index, "<2", OTHER)).run("lock", "x.yaml").run("alias", "x.yaml", "toy")
    case.run("realize", "toy", code=11).mentions("no-platform", f"it is for: {OTHER}")
    case.run("realize", ids(case)[OTHER], code=11).mentions("no-platform", OTHER)


def test_ids_whole_and_by_their_beginning(case: Case, wheel_index: Server) -> None:
    case.recipe(recipe(wheel_index)).run("lock", "x.yaml").run("alias", "x.yaml", "toy")
    known = ids(case)
    request, here = known["request"], known[HERE]
    shutil.rmtree(case.project)
    elsewhere(case)
    for text in (here, here[:7], f"{request}:{here}", f"{request[:7]}:{here[:9]}", f"id:{here[:7]}"):
        answer = json.loads(case.run("realize", text, "--json").out)["environments"][0]
        assert answer["environment"] == here
    case.run("run", here[:7], "--", "python", "-c", "import toy; print(toy.__version__)").shows("1.1")
    case.run("get", here[:7]).shows(f"request   [digest]\n{HERE}  [digest]:[digest]\npresent   [prefix]")
    case.run("realize", f"id:{here[:6]}", code=3).mentions("bad-id")
    case.run("realize", "0000000", code=3).mentions("unknown-id")
    case.run("realize", f"0000000:{here}", code=3).mentions("unknown-id")
    twin = case.home / "store" / "environments" / OTHER / request / f"{here[:10]}{'0' * 54}.json"
    twin.write_text("{}")
    case.run("realize", here[:7], code=3)
    tells(case, "ambiguous-id", here[:12], twin.stem[:12])
    case.run("realize", here[:11])
    # the same environment of another request
    other = case.home / "store" / "environments" / HERE / ("0" * 64) / f"{here}.json"
    other.parent.mkdir()
    kept = (case.home / "store" / "environments" / HERE / request / f"{here}.json").read_bytes()
    closure = json.loads(unsealed(kept))
    other.write_text(json.dumps({**closure, "request": "0" * 64}))
    twin.unlink()
    case.run("realize", here[:7])
    tells(case.run("alias", here[:7], "toy:v1", code=3), "ambiguous-id", "2 requests", request[:12])
    case.run("alias", f"{request[:12]}:{here[:12]}", "toy:v1")
    case.run("get", "toy:v1", "--json")
    assert json.loads(case.out)["environments"] == {HERE: here}


def test_a_request_alone_is_what_was_locked_for_it_last(case: Case, wheel_index: Server) -> None:
    program = ("--", "python", "-c", "import toy; print(toy.__version__)")
    case.recipe(recipe(wheel_index, "<3")).run("lock", "x.yaml")
    newest, request = ids(case), ids(case)["request"]
    kept = (case.project / "x.lock.yaml").read_bytes()
    case.run("run", request[:7], *program).shows("2.0").run("run", request, *program).shows("2.0")
    tells(case.run("get", request[:7]), "default of", *(newest[platform] for platform in (HERE, OTHER)))
    case.run("lock", "x.yaml", "--upgrade-package", "toy==1.0")
    assert ids(case)["request"] == request
    assert ids(case)[HERE] != newest[HERE]
    case.run("run", request[:7], *program).shows("1.0")
    (case.project / "x.lock.yaml").write_bytes(kept)  # as from Git: it fits, and was not made here
    case.run("lock", "x.yaml").run("run", request[:7], *program).shows("1.0")
    case.run("lock", "x.yaml", "--set-default").run("run", request[:7], *program).shows("2.0")
    case.run("alias", request[:7], "team/toy").run("run", "team/toy", *program).shows("2.0")
    assert json.loads(case.run("get", request, "--json").out)["default-of"] == request
    case.variable("LOGNAME", "somebody-else").run("realize", request[:7], code=3)
    tells(case, "no-default", f"{HERE} {request[:12]}:{newest[HERE][:12]}", "lock RECIPE --set-default")
    case.variable("LOGNAME", None).recipe(f"extends: {{id: '{request}'}}\n", "y.yaml").run("lock", "y.yaml", code=3)
    tells(case, "unknown-id", "is a request")
    # What extends an environment has no default: another one may have led to its request.
    case.recipe(f"extends: {{id: '{newest[HERE]}'}}\nplatforms: [{HERE}]\n", "y.yaml")
    case.run("lock", "y.yaml", "--set-default").run("realize", "y.yaml").run(
        "realize", ids(case, "y")["request"], code=3
    )
    tells(case, "no-default", ids(case, "y")[HERE][:12])


def test_a_beginning_that_a_request_and_an_environment_share_is_refused(case: Case, wheel_index: Server) -> None:
    case.recipe(recipe(wheel_index)).run("lock", "x.yaml").run("realize", "x.yaml")
    known = ids(case)
    twin = case.home / "store" / "environments" / HERE / f"{known[HERE][:9]}{'0' * 55}"
    twin.mkdir()
    (twin / f"{'1' * 64}.json").write_text("{}")
    case.run("realize", known[HERE][:8], code=3)
    tells(case, "ambiguous-id", f"the request {twin.name[:12]}", f"the environment {HERE} {known['request'][:12]}")
    case.run("realize", known[HERE][:10]).run("realize", f"{known['request'][:7]}:{known[HERE][:7]}")


def test_a_lock_and_a_prefix_are_sources_too(case: Case, wheel_index: Server) -> None:
    program = ("--", "python", "-c", "import sys, toy; print(toy.__version__, sys.prefix)")
    case.recipe(recipe(wheel_index, "==1.0") + "variables: {MINE: one}\n").run("realize", "x.yaml")
    known, prefix = ids(case), case.out.strip()
    case.recipe(recipe(wheel_index, "==2.0"))  # the lock does not fit, and is what was named
    for source in ("x.lock.yaml", "./x.lock.yaml", "recipe:x.lock.yaml", ".envs/x", "prefix:.envs/x", prefix):
        case.run("run", source, *program).shows("1.0 [prefix]")
        assert case.run("realize", source).out.strip() == prefix
        assert json.loads(case.run("show", source, "--json").out)["environment"] == known[HERE]
        case.run("tree", source).mentions("toy 1.0").run("why", source, "toy-core").mentions("toy 1.0 -> toy-core")
        case.run("export", source, "--format", "requirements").mentions("toy==1.0")
        tells(case.run("shell-hook", source, "--shell", "bash"), prefix, "MINE")
    assert ids(case) == known
    case.run("alias", "x.lock.yaml", "from-lock").run("alias", ".envs/x", "from-prefix")
    tells(case.run("get", "from-lock"), known[HERE], known[OTHER])
    case.run("get", "from-prefix").mentions(HERE).hides(OTHER)
    case.run("export", "from-lock", "--format", "pixi").mentions(OTHER, HERE)
    case.run("export", "from-lock", "--format", "pixi", "--platform", OTHER).hides(HERE)
    case.run("show", "y.lock.yaml", code=3).mentions("missing-file", "no lock y.lock.yaml")
    case.run("realize", "lock:x.yaml", code=3).mentions("bad-path", "a lock ends with .lock.yaml")
    case.run("get", "x.lock.yaml", code=3).mentions("envbuild show x.lock.yaml")
    case.run("show", "prefix:nowhere", code=3).mentions("unknown-prefix", "envbuild list")
    (case.project / "other" / "conda-meta").mkdir(parents=True)
    case.run("show", "other", code=3).mentions("unknown-prefix", "envbuild capture other")
    case.run("show", "team/none", code=3).mentions("unknown-name").run("tree", "0000000", code=3).mentions("unknown-id")
    case.run("why", "from-lock", "toy", "--platform", "win-64", code=11).mentions("no-platform", OTHER)
    case.run("show", "prefix:a\nb", code=3).mentions("unknown-prefix")


def test_using_a_prefix_by_its_path_keeps_it_from_the_collector(case: Case, wheel_index: Server) -> None:
    case.recipe(recipe(wheel_index)).run("realize", "x.yaml", "--no-out-link")
    prefix = case.out.strip()
    old = time.time() - 40 * 86400
    for path in (Path(prefix), *(case.home / "stamps").iterdir()):
        os.utime(path, (old, old))
    case.run("gc", "--dry-run").mentions("Would remove 1 environment")
    case.run("run", prefix, "--", "python", "-c", "import toy").run("gc").mentions("Removed 0 environments")


def test_a_private_copy_is_used_by_its_path(case: Case, wheel_index: Server) -> None:
    case.recipe(recipe(wheel_index, "==1.0")).run("realize", "x.yaml", "--prefix", "mine", "--writable")
    (found,) = (case.project / "mine").glob("lib/python*/site-packages/toy/__init__.py")
    found.write_text("__version__ = 'edited'\n")
    case.run("run", "mine", "--", "python", "-c", "import toy; print(toy.__version__)").shows("edited")
    case.run("run", "x.yaml", "--", "python", "-c", "import toy; print(toy.__version__)").shows("1.0")
    tells(case.run("shell-hook", "mine", "--shell", "bash"), str(case.project / "mine"))
    case.run("show", "mine").mentions("present      [project]/mine")


def test_names_that_were_seen_are_completed_without_asking(case: Case, wheel_index: Server) -> None:
    case.recipe(recipe(wheel_index)).run("lock", "x.yaml")
    for name in ("team/toy:stable", "team/toy:v1", "other"):
        case.run("alias", "x.yaml", name)

    def completed(*words: str) -> list[str]:
        environ = {**case.environ, "_ENVBUILD_COMPLETE": "bash_complete", "COMP_WORDS": " ".join(("envbuild", *words))}
        program = "import sys; sys.argv = ['envbuild']; from envbuild.__main__ import main; main()"
        return subprocess.run(
            [sys.executable, "-c", program],
            env={**environ, "COMP_CWORD": str(len(words))},
            cwd=case.project,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.splitlines()

    (folder,) = (case.home / "names").iterdir()
    (folder / "0.1.json").write_text("[")
    (folder / "1.1.json").write_text('{"name": "team/\\u001b[2J", "tag": "x", "environments": {"a": 1}}')
    assert completed("realize", "te") == ["file,te", "plain,team/toy:stable", "plain,team/toy:v1"]
    assert completed("history", "o") == ["file,o", "plain,other:latest"]
    assert completed("show", "x.") == ["file,x."]
    shutil.rmtree(case.home)
    assert completed("get", "te") == ["file,te"]
    assert not case.home.exists()


def test_what_names_mean_survives_the_collector(case: Case, wheel_index: Server) -> None:
    for version in ("==1.0", "==1.1"):
        case.recipe(recipe(wheel_index, version)).run("lock", "x.yaml").run("alias", "x.yaml", "toy:stable")
    case.recipe(recipe(wheel_index, "==2.0")).run("lock", "x.yaml").run("realize", "x.yaml", "--no-out-link")
    nameless = ids(case)
    shutil.rmtree(case.project)
    elsewhere(case).run("realize", "toy:stable").run("gc", "--keep-days", "0")
    assert not list((case.home / "prefixes").iterdir())
    case.run("realize", "toy:stable").mentions("2 fetched")
    case.run("rollback", "toy:stable").run("realize", "toy:stable")
    case.run("realize", nameless[HERE], code=3).mentions("unknown-id")


def test_offline_names_of_the_home_are_what_they_are(case: Case, wheel_index: Server) -> None:
    case.recipe(recipe(wheel_index)).run("lock", "x.yaml").run("alias", "x.yaml", "toy", "--offline")
    case.run("realize", "toy", "--offline", code=5).mentions("offline")  # the packages are not here yet
    case.run("realize", "toy").run("realize", "toy", "--offline").mentions("already there")
    assert wheel_index.url not in case.run("get", "toy", "--offline").out


@pytest.mark.parametrize(
    ("fault", "number"), [("pre-name-put", 0), ("tmp-created", 0), ("pre-rename", 0), ("post-name-put", 1)]
)
def test_R01_killed_while_a_name_moves(case: Case, wheel_index: Server, fault: str, number: int) -> None:
    case.recipe(recipe(wheel_index)).run("lock", "x.yaml").run("realize", "x.yaml")  # its closure is here already
    case.variable("ENVBUILD_FAULT", f"{fault}:kill").run("alias", "x.yaml", "toy:stable", code=-signal.SIGKILL)
    assert len(refs(case)) == number
    case.variable("ENVBUILD_FAULT", None).run("alias", "x.yaml", "toy:stable")
    case.mentions("generation 1 now" if number == 0 else "means that already: generation 1")
    assert len(refs(case)) == 1
    assert not [path for path in (case.home / "store" / "tmp").iterdir() if path.is_file()]
    case.run("realize", "toy:stable").run("verify")


def refs(case: Case) -> list[Path]:
    return sorted((case.home / "store" / "refs").rglob("*.json"))


def test_H63_a_name_of_nothing_shows_the_chain(case: Case, wheel_index: Server) -> None:
    case.recipe(recipe(wheel_index)).run("lock", "x.yaml").run("alias", "x.yaml", "toy:v1").run(
        "alias", "x.yaml", "toy"
    )
    known = ids(case)
    closure = case.home / "store" / "environments" / HERE / known["request"] / f"{known[HERE]}.json"
    data = unsealed(closure.read_bytes())
    closure.unlink()
    for name in ("toy:v1", "toy:latest"):
        case.run("realize", name, code=4)
        tells(case, "absent-environment", f"{name}, generation 1 -> {HERE} {known['request'][:12]}:{known[HERE][:12]}")
    # the closure of another platform under this one's name, and one that was edited
    other = case.home / "store" / "environments" / OTHER / known["request"] / f"{known[OTHER]}.json"
    for hostile in (other.read_bytes(), data.replace(b"1.1", b"1.0"), b"{", b"[" * 100_000):
        closure.unlink(missing_ok=True)
        closure.write_bytes(hostile)
        case.run("realize", "toy", code=4).mentions("absent-environment")
    assert not list((case.home / "prefixes").iterdir())


def test_H63_a_name_that_was_tampered_with_is_refused(case: Case, wheel_index: Server) -> None:
    case.recipe(recipe(wheel_index)).run("lock", "x.yaml").run("alias", "x.yaml", "toy")
    (only,) = refs(case)
    tree = json.loads(unsealed(only.read_bytes()))
    for change in (
        {"request": "name:toy"},
        {"environments": {HERE: "toy:latest"}},
        {"name": "other"},
        {"generation": 2},
    ):
        only.unlink()
        only.write_text(json.dumps({**tree, **change}))
        shutil.rmtree(case.home / "names", ignore_errors=True)
        for words in (("realize", "toy"), ("get", "toy"), ("history", "toy"), ("alias", "x.yaml", "toy")):
            case.run(*words, code=4).mentions("bad-generation", "generation 1 of toy:latest")


def test_a_store_that_went_back_is_told_and_can_be_accepted(case: Case, wheel_index: Server) -> None:
    for version in ("==1.0", "==1.1"):
        case.recipe(recipe(wheel_index, version)).run("lock", "x.yaml").run("alias", "x.yaml", "toy")
    refs(case)[-1].unlink()
    case.run("realize", "toy", code=4).mentions("name-rolled-back", "generation 2", "if that is meant: rm ")
    command = case.err.partition("if that is meant: ")[2].strip()
    subprocess.run(["sh", "-c", command], check=True, timeout=10)
    case.run("run", "toy", "--", "python", "-c", "import toy; print(toy.__version__)").shows("1.0")


@pytest.mark.parametrize(
    "name",
    ["../x", "a//b", ".", "-x", "/x", "%2f", "a\nb", "con", "x.", "a" * 129, "f" * 64, "Team/x", "a:B"],
    ids=ascii,
)
def test_H62_hostile_names_are_refused_before_anything_is_written(case: Case, wheel_index: Server, name: str) -> None:
    case.recipe(recipe(wheel_index)).run("lock", "x.yaml")
    before = sorted(path for path in case.home.rglob("*") if "store" in path.parts)
    for words in (("alias", "x.yaml"), ("history",), ("rollback",)):
        case.run(*words, "--", name, code=3).mentions("bad-alias")
    case.run("realize", "--", f"name:{name}", code=3).mentions("bad-alias")
    assert sorted(path for path in case.home.rglob("*") if "store" in path.parts) == before
