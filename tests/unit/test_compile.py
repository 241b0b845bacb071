"""Compiling a lock, and the proof that the graph's edges are what links live on: real fetches, real engines."""

from __future__ import annotations

import copy
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest

from envbuild.addresses import Addresses
from envbuild.compile import build_graph
from envbuild.derivations import Derivation, Output
from envbuild.derivations.build_wheel import BuildWheel
from envbuild.derivations.fetch import Fetch
from envbuild.derivations.link import Link, prefix_name
from envbuild.derivations.transmute import Transmute
from envbuild.digest import Digest, digest_file
from envbuild.errors import EnvbuildError
from envbuild.executors import open_executor
from envbuild.graph import Graph
from envbuild.lock import Lock, LockedEnvironment
from envbuild.machine.workspace import Workspace
from envbuild.package import (
    ChannelOrigin,
    CondaPackage,
    FolderOrigin,
    GitOrigin,
    IndexOrigin,
    InterpreterArchive,
    InterpreterOrigin,
    LinksOrigin,
    Platform,
    SourcePackage,
    UrlOrigin,
    Wheel,
)
from envbuild.plan import Plan
from envbuild.recipe import Index
from envbuild.reporter import Recorder
from envbuild.scheduler import Outcome, Scheduler
from envbuild.worker import run
from tests.support.channel import TestChannel, this_platform
from tests.support.link_context import SERIES, conda_inputs, wheel_inputs
from tests.support.sdists import make_own_sdist
from tests.support.servers import Server, folder_content
from tests.support.wheels import make_wheel

Edged = TypeVar("Edged", Link, BuildWheel)

A, B, C, D, E = (Digest(letter * 64) for letter in "abcde")
ZLIB = CondaPackage(
    name="zlib",
    version="1.3.1",
    build="h4ab18f5_1",
    build_number=1,
    subdir="linux-64",
    file="zlib-1.3.1-h4ab18f5_1.conda",
    sha256=A,
    channel="conda-forge",
    size=92806,
)
BY_URL = replace(
    ZLIB, name="foo", file="foo-1.0-0.conda", sha256=B, channel=None, url="https://files.example/foo.conda"
)
CLICK = Wheel(name="click", version="8.1.7", file="click-8.1.7-py3-none-any.whl", sha256=C, index="default", size=97941)
TORCH = Wheel(name="torch", version="2.3.0", file="torch-2.3.0-py3-none-any.whl", sha256=D, index="pytorch")
ARCHIVE = InterpreterArchive(
    implementation="cpython", version="3.12.7", build="20241016", file="cpython-3.12.7.tar.gz", sha256=E, size=5
)


def environment(**fields) -> LockedEnvironment:
    given = {"platform": Platform("linux-64"), "python": "3.12", "interpreter": "conda", "system": ()} | fields
    return LockedEnvironment(**given)


def lock_of(*environments: LockedEnvironment) -> Lock:
    return Lock(
        request=A, platforms=environments, indices=(Index(name="pytorch", url="https://wheels.example/torch/simple"),)
    )


def compiled(**fields) -> Graph:
    made = environment(**fields)
    return build_graph(lock_of(made), made, name="train")


def link_of(graph: Graph) -> Link:
    (target,) = graph.targets
    link = graph[target]
    assert isinstance(link, Link)
    return link


def test_one_fetch_for_each_package_and_one_link_that_reads_them_in_link_order():
    graph = compiled(conda=(ZLIB, BY_URL), wheels=(CLICK, TORCH), archive=ARCHIVE, variables=(("A", "1"),))
    link = link_of(graph)
    fetches = [graph[key] for key in link.inputs]
    assert [fetch.sha256 for fetch in fetches] == [A, B, E, C, D]
    assert [item.package for item in link.packages] == [ZLIB, BY_URL, ARCHIVE, CLICK, TORCH]
    assert [fetch.label for fetch in fetches] == [
        "zlib 1.3.1",
        "foo 1.3.1",
        "cpython 3.12.7",
        "click 8.1.7",
        "torch 2.3.0",
    ]
    assert [fetch.size for fetch in fetches] == [92806, 92806, 5, 97941, None]
    assert (link.platform, link.python, link.interpreter, link.variables) == (
        "linux-64",
        "3.12",
        "conda",
        (("A", "1"),),
    )
    assert link.label == "train (linux-64)"
    assert len(graph) == 6


def test_origins_are_in_the_recipes_words_and_index_names_are_addresses():
    graph = compiled(
        conda=(ZLIB, BY_URL),
        archive=ARCHIVE,
        wheels=(
            CLICK,
            replace(CLICK, name="here", sha256=Digest("0" * 64), index=None, find_links="./wheels"),
            replace(CLICK, name="there", sha256=Digest("1" * 64), index=None, url="https://files.example/click.whl"),
            TORCH,
        ),
    )
    origins = [graph[key].origin for key in link_of(graph).inputs]
    assert origins == [
        ChannelOrigin(channel="conda-forge", subdir="linux-64", file=ZLIB.file),
        UrlOrigin(url="https://files.example/foo.conda", file="foo-1.0-0.conda"),
        InterpreterOrigin(implementation="cpython", version="3.12.7", build="20241016", file=ARCHIVE.file),
        IndexOrigin(index="default", project="click", file=CLICK.file),
        LinksOrigin(location="./wheels", file=CLICK.file),
        UrlOrigin(url="https://files.example/click.whl", file=CLICK.file),
        IndexOrigin(index="https://wheels.example/torch/simple", project="torch", file=TORCH.file),
    ]


def test_where_a_package_comes_from_moves_no_key():
    one = compiled(wheels=(CLICK,))
    other = compiled(wheels=(replace(CLICK, index=None, find_links="./wheels", size=None),))
    assert one.order() == other.order()


def test_another_package_python_or_variable_moves_the_target():
    targets = {
        compiled(**fields).targets
        for fields in (
            {"wheels": (CLICK,)},
            {"wheels": (CLICK, TORCH)},
            {"wheels": (TORCH, CLICK)},
            {"wheels": (CLICK,), "python": "3.11"},
            {"wheels": (CLICK,), "interpreter": "host"},
            {"wheels": (CLICK,), "variables": (("A", "1"),)},
            {"wheels": (CLICK,), "platform": Platform("osx-64")},
        )
    }
    assert len(targets) == 7


def test_what_the_prefix_records_moves_the_target_and_no_fetch():
    """conda-meta names the channel and what was asked for: two such prefixes differ, byte for byte."""
    plain = compiled(conda=(ZLIB,), wheels=(CLICK,))
    for fields in (
        {"conda": (replace(ZLIB, channel="https://channels.example/other"),), "wheels": (CLICK,)},
        {"conda": (replace(ZLIB, depends=("libzlib 1.3.1",)),), "wheels": (CLICK,)},
        {"conda": (replace(ZLIB, asked=True),), "wheels": (CLICK,)},
        {"conda": (ZLIB,), "wheels": (replace(CLICK, asked=True),)},
    ):
        other = compiled(**fields)
        assert other.targets != plain.targets
        assert link_of(other).inputs == link_of(plain).inputs


def test_two_environments_share_the_fetch_of_a_package():
    one, two = environment(wheels=(CLICK, TORCH)), environment(platform=Platform("osx-arm64"), wheels=(CLICK,))
    lock = lock_of(one, two)
    graph = Graph.union(build_graph(lock, each) for each in (one, two))
    assert sorted(each.kind for each in graph) == ["fetch", "fetch", "link", "link"]
    click = next(each for each in graph if isinstance(each, Fetch) and each.sha256 == C)
    assert set(graph.users(click.key)) == set(graph.targets)


OLD = replace(ZLIB, name="old", file="old-1.3.1-h4ab18f5_1.tar.bz2", sha256=D)


@pytest.mark.parametrize(
    ("wanted", "transmuted"),
    [
        (".conda", {OLD: "old-1.3.1-h4ab18f5_1.conda"}),
        (".tar.bz2", {ZLIB: "zlib-1.3.1-h4ab18f5_1.tar.bz2"}),
        ("keep", {}),
    ],
)
def test_packages_of_the_other_format_are_transmuted(wanted: str, transmuted: dict[CondaPackage, str]):
    made = environment(conda=(OLD, ZLIB), wheels=(CLICK,))
    graph = build_graph(lock_of(made), made, conda_format=wanted)
    link = link_of(graph)
    assert [item.package for item in link.packages] == [OLD, ZLIB, CLICK]
    for item in link.packages:
        assert item.file == transmuted.get(item.package, item.package.file)
        derivation = graph[item.key]
        if item.package in transmuted:
            assert isinstance(derivation, Transmute)
            fetch = graph[derivation.input]
            assert isinstance(fetch, Fetch)
            assert (
                (fetch.sha256, fetch.file)
                == (item.package.sha256, derivation.source)
                == (item.package.sha256, item.package.file)
            )
            assert (derivation.file, derivation.level) == (item.file, 3 if wanted == ".conda" else 9)
            assert (derivation.label, derivation.size) == (fetch.label, fetch.size)
        else:
            assert isinstance(derivation, Fetch)
    assert sorted(each.kind for each in graph) == sorted(["fetch"] * 3 + ["link"] + ["transmute"] * len(transmuted))


def test_the_format_moves_keys_of_the_graph_alone():
    made = environment(conda=(OLD,))
    targets = {
        build_graph(lock_of(made), made, conda_format=wanted).targets for wanted in (".conda", ".tar.bz2", "keep")
    }
    assert len(targets) == 2  # a .tar.bz2 is what it is already
    other = environment(conda=(ZLIB,))
    assert build_graph(lock_of(other), other).targets == build_graph(lock_of(other), other, conda_format="keep").targets
    assert build_graph(lock_of(made), made).targets == build_graph(lock_of(made), made, conda_format=".conda").targets


def test_an_empty_environment_is_one_link():
    assert [each.kind for each in compiled(python=None)] == ["link"]


def test_a_graph_that_lacks_a_fetch_is_refused():
    graph = compiled(conda=(ZLIB,), wheels=(CLICK, TORCH))
    for missing in link_of(graph).inputs:
        with pytest.raises(EnvbuildError) as caught:
            Graph((each for each in graph if each.key != missing), graph.targets)
        assert caught.value.reference == "graph-missing-input"


def test_compiling_sixty_packages_costs_milliseconds():
    wheels = tuple(replace(CLICK, name=f"w{index}", sha256=Digest(f"{index:064x}")) for index in range(60))
    made = environment(wheels=wheels)
    lock = lock_of(made)

    def seconds() -> float:
        began = time.perf_counter()
        build_graph(lock, made)
        return time.perf_counter() - began

    assert min(seconds() for _ in range(5)) < 0.05


# Sources

PYTHON = replace(
    ZLIB, name="python", file="python-3.12.7-0.conda", sha256=Digest("1" * 64), depends=("libffi >=3", "__unix")
)
LIBFFI = replace(ZLIB, name="libffi", file="libffi-3.4-0.conda", sha256=Digest("2" * 64))
TOOL = Wheel(
    name="hatchling", version="1.25", file="hatchling-1.25-py3-none-any.whl", sha256=Digest("3" * 64), index="default"
)
OTHER_TOOL = replace(TOOL, name="wheel", file="wheel-0.44-py3-none-any.whl", sha256=Digest("4" * 64))
GIT = SourcePackage(
    name="clip",
    version="1.0",
    file="clip-1.0.tar",
    sha256=Digest("5" * 64),
    git="https://git.example/clip.git",
    commit="1" * 40,
    build_requires=(TOOL.file,),
    host=("zlib",),
)
FOLDER = SourcePackage(name="mine", version="0.1", file="mine-0.1.tar", sha256=Digest("6" * 64), path="libs/mine")


def with_sources(*sources: SourcePackage, **fields) -> Graph:
    given = {
        "conda": (LIBFFI, PYTHON, ZLIB),
        "wheels": (CLICK,),
        "build": (TOOL, OTHER_TOOL),
        "system": (("__glibc", "2.28"),),
        "sources": sources,
    }
    return compiled(**(given | fields))


def builds_of(graph: Graph) -> list[BuildWheel]:
    return [each for each in graph if isinstance(each, BuildWheel)]


def labels(graph: Graph, keys) -> list[str]:
    return [graph[key].label for key in keys]


def test_a_source_is_fetched_and_built_and_its_wheel_is_linked():
    graph = with_sources(GIT)
    (build,) = builds_of(graph)
    assert link_of(graph).inputs[-1] == build.key
    assert link_of(graph).packages[-1].package == GIT
    source = graph[build.source]
    assert (source.sha256, source.file) == (GIT.sha256, GIT.file)
    assert source.origin == GitOrigin(url=GIT.git, commit=GIT.commit, file=GIT.file)
    assert (build.python, build.abi, build.platform, build.floor) == ("3.12", "cp312", "linux-64", "2.28")
    assert labels(graph, (item.key for item in build.requires)) == ["hatchling 1.25"]
    assert labels(graph, (item.key for item in build.host)) == ["zlib 1.3.1"]
    assert [item.package for item in build.runs_on] == [LIBFFI, PYTHON]
    assert build.interpreter == "conda"


def test_what_a_build_and_the_prefix_both_read_is_one_fetch():
    graph = with_sources(GIT, replace(FOLDER, build_requires=(TOOL.file, OTHER_TOOL.file)))
    files = [each.file for each in graph if isinstance(each, Fetch)]
    assert sorted(files) == sorted(set(files))
    assert len(builds_of(graph)) == 2
    assert labels(graph, link_of(graph).inputs)[-2:] == ["clip 1.0", "mine 0.1"]
    assert graph[builds_of(graph)[1].source].origin == FolderOrigin(path="libs/mine", file="mine-0.1.tar")


@pytest.mark.parametrize(
    ("fields", "runs_on"),
    [
        ({"interpreter": "host", "conda": ()}, []),
        ({"interpreter": "managed", "conda": (), "archive": ARCHIVE}, [ARCHIVE]),
        ({"interpreter": "host", "conda": (ZLIB,)}, []),
    ],
)
def test_the_backend_runs_on_the_python_of_the_environment(fields, runs_on):
    (build,) = builds_of(with_sources(replace(GIT, host=()), **fields))
    assert [item.package for item in build.runs_on] == runs_on


def test_a_free_threaded_python_and_another_system_are_told():
    threaded = replace(PYTHON, build="h1234_0_cp312t", file="python-3.12.7-h1234_0_cp312t.conda")
    (build,) = builds_of(with_sources(GIT, conda=(LIBFFI, threaded, ZLIB)))
    assert build.abi == "cp312t"
    (build,) = builds_of(with_sources(GIT, platform=Platform("osx-arm64"), system=(("__osx", "13.0"),)))
    assert build.floor == "13.0"
    (build,) = builds_of(with_sources(GIT, platform=Platform("win-64"), system=()))
    assert build.floor is None


def test_only_what_a_build_sees_moves_its_key():
    same = builds_of(with_sources(GIT))[0].key
    newer = replace(ZLIB, version="1.3.2", sha256=Digest("7" * 64))
    for fields in (
        {"wheels": (TORCH,)},
        {"wheels": (), "variables": (("A", "1"),)},
        {"conda": (LIBFFI, replace(PYTHON, sha256=Digest("8" * 64)), ZLIB)},
        {"build": (TOOL, replace(OTHER_TOOL, sha256=Digest("9" * 64)))},
    ):
        graph = with_sources(GIT, **fields)
        assert builds_of(graph)[0].key == same, fields
        assert graph.targets != with_sources(GIT).targets or "build" in fields
    for fields in (
        {"conda": (LIBFFI, PYTHON, newer)},
        {"build": (replace(TOOL, sha256=Digest("9" * 64)), OTHER_TOOL)},
        {"system": (("__glibc", "2.17"),)},
        {"python": "3.11"},
    ):
        assert builds_of(with_sources(GIT, **fields))[0].key != same, fields
    assert builds_of(with_sources(replace(GIT, commit="2" * 40)))[0].key == same  # the same tree by another name
    assert builds_of(with_sources(replace(GIT, sha256=Digest("0" * 64))))[0].key != same


def test_a_graph_that_lacks_anything_that_a_build_reads_is_refused():
    graph = with_sources(GIT)
    (build,) = builds_of(graph)
    assert len(build.inputs) == 5
    for missing in build.inputs:
        with pytest.raises(EnvbuildError) as caught:
            Graph((each for each in graph if each.key != missing), graph.targets)
        assert caught.value.reference == "graph-missing-input"


def test_a_plan_counts_builds_and_does_not_guess_how_long_they_take():
    graph = with_sources(GIT, FOLDER)
    summary = Plan(graph, {}).summary()
    assert summary.builds == 2
    assert dict(summary.needed)["build-wheel"] == 2
    assert summary.milliseconds < 1000
    (first, second) = builds_of(graph)
    known = {each.key: {"out": Output(sha256=A, size=1)} for each in (first, second)}
    plan = Plan(graph, known)
    assert plan.summary().builds == 0
    assert set(plan.hits) == {first.key, second.key}
    assert not {first.source, second.source} & set(plan.needed)  # a wheel that is there needs nothing of its source
    assert Plan(graph, {}, {first.key: 4000, second.key: 1}).summary().milliseconds > 4000


def test_sources_without_a_python_are_no_environment():
    with pytest.raises(EnvbuildError) as caught:
        with_sources(GIT, python=None)
    assert caught.value.reference == "bad-lock"


# Real runs


@pytest.fixture
def workspace(home: Path, tmp_path: Path) -> Iterator[Workspace]:
    with Workspace(home, Addresses(root=str(tmp_path)), durability="fast") as made:
        yield made


@pytest.fixture(params=["conda", "host"])
def real(request: pytest.FixtureRequest, tmp_path: Path) -> Graph:
    """A graph whose packages exist: conda packages without a Python, or wheels on this Python."""
    fields: dict = {"platform": Platform(this_platform())}
    if request.param == "conda":
        channel: TestChannel = request.getfixturevalue("channel")
        found = conda_inputs(channel, ["data-files=1.0", "activated"])
        fields |= {"python": None, "conda": tuple(replace(package, channel=channel.url) for package, _ in found)}
    else:
        folder = tmp_path / "wheels"
        folder.mkdir()
        files = [
            make_wheel(folder, "idle-hands", "2.1"),
            make_wheel(folder, "tool-box", "1.0", requires=["idle-hands"]),
        ]
        wheels = tuple(
            replace(wheel, index=None, find_links=folder.as_uri(), requires=()) for wheel, _ in wheel_inputs(files)
        )
        fields |= {"python": SERIES, "interpreter": "host", "wheels": wheels}
    made = environment(**fields)
    return build_graph(lock_of(made), made)


def go(graph: Graph, workspace: Workspace, recorder: Recorder | None = None) -> Outcome:
    executor = open_executor("local", jobs=2)
    try:
        return Scheduler(executor, recorder or Recorder()).run(
            Plan(graph, workspace.known(tuple(graph)), prepared_kinds={"link"}),
            partial(run, workspace=workspace, results=workspace.store.results),
        )
    finally:
        executor.close(patience=60)


def prefix_of(graph: Graph, workspace: Workspace) -> Path:
    link = link_of(graph)
    host = workspace.host_python(link.python) if link.interpreter == "host" else None
    return workspace.prefix(prefix_name(link, host))


def test_a_compiled_graph_is_realized_and_then_known(real: Graph, workspace: Workspace):
    outcome = go(real, workspace)
    assert outcome.error() is None
    assert outcome.done == (("fetch", 2), ("link", 1))
    assert prefix_of(real, workspace).is_dir()
    again = go(real, workspace)
    assert (again.hits, again.done) == (1, ())


def without(link: Edged, gone: Digest) -> Edged:
    """A link or build with one declared input less, and all else the same, its key too."""
    made = copy.copy(link)
    object.__setattr__(made, "inputs", tuple(key for key in link.inputs if key != gone))
    return made


def test_without_any_one_edge_the_link_fails_although_the_store_has_every_blob(real: Graph, workspace: Workspace):
    link = link_of(real)
    fetches: list[Derivation] = [real[key] for key in link.inputs]
    assert go(Graph(fetches), workspace).error() is None
    for gone in link.inputs:
        cut = Graph([*fetches, without(link, gone)], [link.key])
        error = go(cut, workspace).error()
        assert isinstance(error, EnvbuildError), gone
        assert error.exit_code == 1
        assert isinstance(error.__cause__, KeyError)
        assert gone in str(error.__cause__)
        assert not prefix_of(real, workspace).exists()
    assert go(real, workspace).error() is None
    assert prefix_of(real, workspace).is_dir()


@pytest.fixture
def built(compiled_channel: TestChannel, tmp_path: Path) -> Graph:
    """A graph with a real build: a source with a tool of its own, a conda library and a conda Python."""
    folder = tmp_path / "files"
    tool = make_wheel(folder, "tool-box", "1.0")
    sdist = make_own_sdist(folder, "own", "1.0", scratch=tmp_path, static=True, more_backend="\nimport tool_box\n")
    python = f"python={compiled_channel.pythons[0]}"
    conda = tuple(
        replace(package, channel=compiled_channel.url)
        for package, _ in conda_inputs(compiled_channel, [python, "libfast=1.2"])
    )
    (wheel,) = (replace(item, index=None, find_links=folder.as_uri()) for item, _ in wheel_inputs([tool]))
    source = SourcePackage(
        name="own",
        version="1.0",
        file=sdist.name,
        sha256=digest_file(sdist),
        find_links=folder.as_uri(),
        build_requires=(tool.name,),
        host=("libfast",),
    )
    made = environment(
        platform=Platform(this_platform()),
        python=".".join(compiled_channel.pythons[0].split(".")[:2]),
        conda=conda,
        sources=(source,),
        build=(wheel,),
        system=(("__glibc", "2.39"),),
    )
    return build_graph(lock_of(made), made)


def test_without_any_one_edge_a_build_fails_although_the_store_has_every_blob(built: Graph, workspace: Workspace):
    (build,) = builds_of(built)
    fetches = [built[key] for key in build.inputs]
    assert {each.label for each in fetches} >= {"own 1.0 source", "tool-box 1.0", "libfast 1.2"}
    assert go(Graph(fetches), workspace).error() is None
    for gone in build.inputs:
        cut = Graph([*fetches, without(build, gone)], [build.key])
        error = go(cut, workspace).error()
        assert isinstance(error, EnvbuildError), gone
        assert error.exit_code == 1
        assert gone in str(error.__cause__)
        assert list(workspace.store.results.list("build-wheel")) == []
    outcome = go(built, workspace)
    assert outcome.error() is None
    assert outcome.count("build-wheel") == 1
    assert go(built, workspace).done == ()
    link = link_of(built)
    cut = Graph([*(each for each in built if each.key != link.key), without(link, build.key)], [link.key])
    shutil.rmtree(prefix_of(built, workspace))
    assert build.key in str(go(cut, workspace).error().__cause__)


def test_package_bs_fetch_overlaps_package_as_preparation(
    channel: TestChannel, serving: Callable[..., Server], workspace: Workspace
):
    content = folder_content(channel.folder)

    recorder = Recorder()

    def slow(request):
        """What the other package's preparation has to be done for, or 20 seconds too late."""
        end = time.monotonic() + 20
        while "activated" in request.path and not prepared() and time.monotonic() < end:
            time.sleep(0.01)
        return content(request)

    def prepared() -> bool:
        return any(event.data["input"] is not None for event in recorder.named("finished"))

    server = serving(slow)
    quick, late = sorted(
        (replace(package, channel=server.url) for package, _ in conda_inputs(channel, ["data-files=1.0", "activated"])),
        key=lambda package: package.name,
        reverse=True,
    )
    made = environment(platform=Platform(this_platform()), python=None, conda=(quick, late))
    graph = build_graph(lock_of(made), made)
    first, second = link_of(graph).inputs
    assert go(graph, workspace, recorder).error() is None
    fetch_began, fetch_ended = recorder.span(second)
    began, ended = recorder.span(link_of(graph).key, input=first)
    assert fetch_began < began < ended < fetch_ended
