"""Why something is to do: the counterpart in the earlier graph, and where its key document differs."""

from __future__ import annotations

from envbuild.derivations.build_wheel import BuildWheel
from envbuild.derivations.fetch import Fetch
from envbuild.derivations.link import Link, PackageInput
from envbuild.digest import Digest
from envbuild.graph import Graph
from envbuild.misses import Earlier, differences, document, named
from envbuild.package import IndexOrigin, Platform, SourcePackage, Wheel
from envbuild.value import replace
from tests.support.drawn import conda, digest, fetch, made_graph, wheel


def source(name: str, version: str) -> SourcePackage:
    file = f"{name}-{version}.tar.gz"
    return SourcePackage(name=name, version=version, file=file, sha256=digest(file), index="default", size=1)


def versioned(name: str, version: str) -> Wheel:
    file = f"{name}-{version}-py3-none-any.whl"
    return Wheel(name=name, version=version, file=file, sha256=digest(file), index="default", size=9)


def graph_of(*packages: Wheel, variables: tuple[tuple[str, str], ...] = (), tools: tuple[Wheel, ...] = ()) -> Graph:
    """An environment of wheels, and of one build with these tools."""
    made: list[Fetch | BuildWheel | Link] = [fetch(package) for package in (*packages, *tools)]
    inputs = [PackageInput(key=item.key, package=package) for item, package in zip(made, packages, strict=False)]
    if tools:
        package = source("brewed", "1.0")
        made.append(fetch(package, "brewed 1.0 source"))
        requires = tuple(
            PackageInput(key=item.key, package=tool)
            for item, tool in zip(made[len(packages) : len(packages) + len(tools)], tools, strict=True)
        )
        made.append(
            BuildWheel(
                source=made[-1].key, package=package, python="3.12", abi=None, platform=Platform("linux-64"),
                floor=None, requires=requires, host=(), interpreter="host",
            )
        )  # fmt: skip
        inputs.append(PackageInput(key=made[-1].key, package=package))
    link = Link(
        platform=Platform("linux-64"), python="3.12", interpreter="host", packages=tuple(inputs), variables=variables
    )
    return Graph((*made, link), (link.key,))


def link_reasons(old: Graph, new: Graph) -> list[str]:
    return [str(reason) for reason in Earlier(old).why(new[new.targets[0]], new).reasons]


def test_a_version_is_one_reason_and_not_three() -> None:
    old, new = (graph_of(versioned("a", version), versioned("b", "1")) for version in ("1", "2"))
    assert link_reasons(old, new) == ["inputs[a].version changed from '1' to '2'"]
    miss = Earlier(old).why(next(item for item in new if item.label == "a 2"), new)
    assert (miss.cause, miss.text) == ("changed", "was 1")


def test_another_file_of_the_same_version_is_told_by_its_key() -> None:
    first = versioned("a", "1")
    old, new = graph_of(first), graph_of(replace(first, sha256=digest("other")))
    (reason,) = link_reasons(old, new)
    assert reason.startswith("inputs[a].key changed from ")
    (changed,) = [item for item in new if item.kind == "fetch"]
    assert Earlier(old).why(changed, new).text == "other bytes of the same name"
    renamed = graph_of(replace(first, file="a-1-cp312-none-any.whl", sha256=digest("third")))
    (changed,) = [item for item in renamed if item.kind == "fetch"]
    assert Earlier(old).why(changed, renamed).text == f"was {first.file}"


def test_a_tool_of_a_build_is_named() -> None:
    old = graph_of(versioned("b", "1"), tools=(versioned("setuptools", "69"), versioned("wheel", "1")))
    new = graph_of(versioned("b", "1"), tools=(versioned("setuptools", "70"), versioned("flit", "3")))
    (build,) = [item for item in new if item.kind == "build-wheel"]
    miss = Earlier(old).why(build, new)
    assert [reason.path for reason in miss.reasons] == [
        "requires[flit]",
        "requires[setuptools].version",
        "requires[wheel]",
    ]
    assert miss.text == "+ flit, setuptools 69 -> 70, - wheel"


def test_one_name_for_two_files_is_two_inputs() -> None:
    old = graph_of(versioned("a", "1"), versioned("a", "2"))
    new = graph_of(versioned("a", "1"), versioned("a", "3"))
    assert [reason.split(":")[0] for reason in link_reasons(old, new)] == [
        "inputs[a 2] was removed",
        "inputs[a 3] was added",
    ]
    kept = next(item for item in new if item.label == "a 1")
    assert Earlier(old).why(kept, new).cause == "gone"


def test_what_decides_without_being_an_input_is_a_reason_too() -> None:
    old, new = graph_of(wheel("a", 1)), graph_of(wheel("a", 1), variables=(("LEVEL", "3"),))
    assert link_reasons(old, new) == ["variables.LEVEL was added: '3'"]
    asked = graph_of(replace(wheel("a", 1), asked=True))
    assert link_reasons(old, asked) == ["asked[a] was added: 'a'"]


def test_a_channel_that_says_something_else_of_the_same_file_is_a_reason() -> None:
    package = conda("liba", 1)

    def linked(depends: tuple[str, ...]) -> Graph:
        made = fetch(package)
        link = Link(
            platform=Platform("linux-64"), python=None, interpreter="conda",
            packages=(PackageInput(key=made.key, package=replace(package, depends=depends)),),
        )  # fmt: skip
        return Graph((made, link), (link.key,))

    (reason,) = link_reasons(linked(()), linked(("libc",)))
    assert reason.startswith("records.liba changed from ")


def test_without_an_earlier_version_there_is_no_reason_but_that() -> None:
    graph = made_graph(30)
    assert {Earlier(None).why(item, graph).cause for item in graph} == {"first"}
    assert {Earlier(graph).why(item, graph).cause for item in graph} == {"gone"}
    assert {Earlier(Graph(())).why(item, graph).cause for item in graph} == {"new"}


def test_every_change_of_a_key_has_a_reason() -> None:
    old, new = made_graph(60), made_graph(90)
    for item in new:
        before = Earlier(old).counterpart(item)
        if before is not None and before.key != item.key:
            assert differences(before, old, item, new), item.label


def test_a_document_with_names_has_no_digest_that_nobody_can_read_alone() -> None:
    graph = made_graph(60)
    link = document(graph[graph.targets[0]], graph)
    assert isinstance(link, dict)
    names = [item["name"] for item in link["inputs"]]  # type: ignore[index, union-attr]
    assert len(set(names)) == len(names) == len(graph.inputs(graph.targets[0]))


def test_what_a_derivation_is_about_survives_strange_labels() -> None:
    for label in ("", " ", "one", "a b c d", "x source", "\x1b[2J 1"):
        item = Fetch(
            sha256=Digest(digest("x")), file="x.whl", origin=IndexOrigin(index="default", project="x", file="x.whl"),
            title=label,
        )  # fmt: skip
        assert named(item).kind == "fetch pypi"
