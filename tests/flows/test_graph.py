"""``graph``: the derivation graph as text, Graphviz, JSON and one page, which a real browser shows and uses."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest

from envbuild.environments.realized import Planned, Row
from envbuild.package import Platform
from envbuild.pictures.dot import dot_of
from envbuild.pictures.page import page_of
from envbuild.pictures.picture import Picture, picture
from envbuild.pictures.text import text_of
from envbuild.value import replace
from tests.case import Case
from tests.faults.world import World
from tests.support.browser import Page, browser
from tests.support.channel import TestChannel
from tests.support.drawn import HOSTILE, made_graph, made_picture, played
from tests.support.servers import Server, serve

LUMINANCE = """
(selector) => {
  const part = (value) => { const c = value / 255; return c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4; };
  const of = (text) => { const [r, g, b] = text.match(/[0-9.]+/g).map(Number);
    return 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b); };
  return [...document.querySelectorAll(selector)].map((element) => {
    const style = getComputedStyle(element), [a, b] = [of(style.color), of(style.backgroundColor)];
    return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  });
}
"""
"""How far text and ground are apart, as WCAG reckons; 4.5 is what small text needs."""


@pytest.fixture
def channel_world(tmp_path: Path, channel: TestChannel) -> Iterator[World]:
    folder = tmp_path / "world"
    folder.mkdir()
    with serve(lambda request: None) as server:
        yield World(folder, channel, server)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """One browser for all tests of this file."""
    try:
        with browser(tmp_path_factory.mktemp("browser")) as found:
            yield found
    except LookupError as missing:
        pytest.skip(f"NO BROWSER: {missing}")


@pytest.fixture
def shown(page: Page, tmp_path: Path):  # type: ignore[no-untyped-def]
    """``shown(picture)``: its page, open; nothing may be asked of anybody, and nobody may complain."""
    page.requests.clear()
    page.complaints.clear()

    def show(picture: Picture, **window: object) -> Page:
        file = tmp_path / "page.html"
        file.write_text(page_of(picture), encoding="utf-8")
        page.open(file, **window)  # type: ignore[arg-type]
        return page

    yield show
    assert page.complaints == []
    assert {address.split("?")[0] for address in page.requests} <= {(tmp_path / "page.html").as_uri()}


def texts(page: Page, selector: str) -> list[str]:
    found: list[str] = page.evaluate(
        f"[...document.querySelectorAll({json.dumps(selector)})].map((e) => e.textContent)"
    )
    return found


def test_a_graph_of_what_is_there_and_what_is_to_do(channel_world: World) -> None:
    world = channel_world
    world.run("lock", "mixed.yaml")
    before = world.run("graph", "mixed.yaml").out.splitlines()
    assert before[0] == "link mixed (linux-64)  [to do; nothing of this recipe was realized here before]"
    assert any(line.startswith("├── transmute old-format ") for line in before)
    assert any(line.startswith("│   └── fetch old-format ") for line in before)
    world.run("realize", "mixed.yaml")
    after = world.run("graph", "mixed.yaml").out
    assert "to do" not in after
    assert len(after.splitlines()) == len(before)


def test_the_files_of_a_graph(channel_world: World) -> None:
    world = channel_world
    world.run("realize", "mixed.yaml")
    run = world.run("graph", "mixed.yaml", "-o", "mixed.html")
    assert "derivations, 0 to do" in run.err
    page = (world.project / "mixed.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert len(page) < 200_000
    assert "file-exists" in world.run("graph", "mixed.yaml", "-o", "mixed.html", code=6).err
    world.run("graph", "mixed.yaml", "-o", "mixed.html", "--force")
    assert "own-file" in world.run("graph", "mixed.yaml", "-o", "mixed.yaml", "--force", "--format", "dot", code=6).err
    tree = json.loads(world.run("graph", "mixed.yaml", "--json").out)
    assert tree["version"] == 1
    assert {node["state"] for node in tree["nodes"]} == {"hit"}
    assert {bar["state"] for bar in tree["run"]["bars"]} == {"done"}
    assert all(node["size"] for node in tree["nodes"] if node["kind"] == "fetch")
    assert "no format has the ending .png" in world.run("graph", "mixed.yaml", "-o", "mixed.png", code=2).err
    world.run("graph", "mixed.yaml", "-o", "mixed.gv")
    assert (world.project / "mixed.gv").read_text().startswith("// envbuild graph: mixed (linux-64)\ndigraph")
    assert not list(world.project.glob(".mixed*.tmp"))


def test_a_graph_of_several_platforms_and_of_the_tests_of_the_recipe(case: Case, wheel_index: Server) -> None:
    case.recipe(
        f"interpreter: host\npython: '{sys.version_info.major}.{sys.version_info.minor}'\n"
        "platforms: [linux-64, osx-arm64]\n"
        f"pypi: {{index: '{wheel_index.url}/simple', packages: {{toy: }}}}\n"
        "test: {imports: [toy], commands: ['python -c \"import toy\"']}\n"
    )
    case.run("graph", "x.yaml", "--platform", "osx-arm64", "--locked", code=10)
    case.run("lock", "x.yaml").run("graph", "x.yaml", "--platform", "osx-arm64")
    first, second, *rest = case.out.splitlines()
    assert first == "test x (osx-arm64)  [to do; run by publish]"
    assert second.startswith("└── link x (osx-arm64)  [to do")
    assert len(rest) == 2
    tree = json.loads(case.run("graph", "x.yaml", "--platform", "linux-64", "--platform", "osx-arm64", "--json").out)
    assert (tree["names"], tree["platform"]) == (["x"], "linux-64, osx-arm64")
    by_kind = {kind: [node for node in tree["nodes"] if node["kind"] == kind] for kind in ("fetch", "link", "test")}
    assert {kind: len(nodes) for kind, nodes in by_kind.items()} == {
        "fetch": 2,
        "link": 2,
        "test": 2,
    }  # files are shared
    assert ["imports", "toy"] in by_kind["test"][0]["facts"]
    for wrong, reference in (("win-64", "no-platform"), ("amiga", "unknown-platform")):
        case.run("graph", "x.yaml", "--platform", wrong, code=None).mentions(reference)
    case.run("graph", "x.yaml", "--platform", "linux-64", "--platform", "osx-arm64", "-o", "x.html").mentions(
        "Drew x (linux-64, osx-arm64): 6 derivations"
    )


def test_without_a_word_the_project_has_one_recipe_or_the_graph_asks_which(channel_world: World) -> None:
    world = channel_world
    (world.project / "recipes").mkdir()
    (world.project / "small.yaml").rename(world.project / "recipes" / "small.yaml")
    (world.project / "envbuild.yaml").write_text("")
    assert "link small" in world.run("graph").out
    (world.project / "mixed.yaml").rename(world.project / "recipes" / "mixed.yaml")
    assert "which-recipe" in world.run("graph", code=2).err
    assert "not both" in world.run("graph", "--json", "--format", "dot", code=2).err


def test_text_stays_short_where_inputs_are_shared() -> None:
    picture = made_picture(60)
    lines = text_of(picture).splitlines()
    edges = sum(len(node.inputs) for node in picture.nodes)
    assert len(picture.nodes) <= len(lines) <= edges + 1


def test_graphviz_reads_what_is_written(tmp_path: Path) -> None:
    text = dot_of(made_picture(30, hostile=True))
    strings = re.findall(r'label="((?:[^"\\]|\\.)*)"', text)
    assert any(r"</script><img src=x onerror=alert(1)>& \"'`${7*7}" in each for each in strings)
    assert text.count("{") - HOSTILE.count("{") * 1 == text.count("}") - HOSTILE.count("}")
    if shutil.which("dot") is not None:
        subprocess.run(["dot", "-Tsvg", "-o", tmp_path / "x.svg"], input=text, text=True, check=True)


class Tags(HTMLParser):
    """Every tag of a page, with its attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def test_the_page_holds_what_comes_from_outside_as_text_alone() -> None:
    calm, hostile = Tags(page_of(made_picture(24))), Tags(page_of(made_picture(24, hostile=True)))
    assert [tag for tag, _ in hostile.found] == [tag for tag, _ in calm.found]
    for tag, attributes in hostile.found:
        assert tag not in {"img", "link", "iframe", "base", "object"}
        assert not {"src", "href", "srcset", "style", "action"} & attributes.keys(), (tag, attributes)
        assert not any(name.startswith("on") for name in attributes)
    (policy,) = [found["content"] for tag, found in hostile.found if found.get("http-equiv")]
    assert policy is not None
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy


def test_hostile_labels_are_shown_and_do_nothing(shown) -> None:  # type: ignore[no-untyped-def]
    page = shown(made_picture(24, hostile=True))
    assert HOSTILE in texts(page, ".node .name")
    assert page.evaluate("document.images.length") == 0
    page.press("l")
    assert HOSTILE in texts(page, "td")
    page.evaluate(
        f"[...document.querySelectorAll('td button')].find((e) => e.textContent === {json.dumps(HOSTILE)}).click()"
    )
    assert texts(page, "aside h2") == [HOSTILE]
    page.evaluate("document.title = 'still here'")
    assert page.evaluate("document.title") == "still here"


def test_the_policy_of_the_page_lets_nothing_else_run(page: Page, tmp_path: Path) -> None:
    text = page_of(made_picture(10)).replace("</body>", "<script>window.came = 1</script></body>")
    (tmp_path / "page.html").write_text(text, encoding="utf-8")
    page.open(tmp_path / "page.html")
    assert page.evaluate("window.came") is None
    assert len(texts(page, ".node")) > 0
    assert any("Content Security Policy" in text for text in page.complaints)


def test_few_steps_are_all_drawn_with_all_their_edges(shown) -> None:  # type: ignore[no-untyped-def]
    picture = made_picture(10)
    page = shown(picture)
    assert len(texts(page, ".node")) == len(picture.nodes)
    assert page.evaluate("document.querySelectorAll('path.edge').length") == sum(len(n.inputs) for n in picture.nodes)
    assert texts(page, ".column b") == ["Fetch", "Rewrite", "Build", "Link"]
    todo = sum(node.state not in {"hit", "not needed"} for node in picture.nodes)
    assert texts(page, "#sum")[0].startswith(f"{todo} of {len(picture.nodes)} steps to do")


@pytest.mark.parametrize("dark", [False, True])
def test_three_hundred_steps_can_be_read(shown, tmp_path: Path, dark: bool) -> None:  # type: ignore[no-untyped-def]
    picture = made_picture(300)
    page = shown(picture, dark=dark)
    overlaps = """(() => { const all = [...document.querySelectorAll('.node')].map((e) => e.getBoundingClientRect());
      return all.some((a, i) => all.some((b, j) => i < j && a.left < b.right - 1 && b.left < a.right - 1 &&
        a.top < b.bottom - 1 && b.top < a.bottom - 1)); })()"""
    assert not page.evaluate(overlaps)
    heights = page.evaluate("[...document.querySelectorAll('.node')].map((e) => e.getBoundingClientRect().height)")
    assert min(heights) > 14
    assert page.evaluate("document.querySelectorAll('path.edge').length") < 30, "bands, not a thicket"
    assert min(page.evaluate(f"({LUMINANCE})('.node')")) > 4.5
    page.press("t")
    assert min(page.evaluate(f"({LUMINANCE})('.bar')")) > 4.5
    page.press("g")
    page.screenshot(tmp_path / "shot.png")
    assert (tmp_path / "shot.png").stat().st_size > 20_000
    page.click("#fold")
    assert texts(page, ".node") == []
    page.click("#fold")
    assert len(texts(page, ".node")) == len(picture.nodes)
    assert not page.evaluate(overlaps)


def test_what_is_searched_and_what_is_put_away(shown) -> None:  # type: ignore[no-untyped-def]
    picture = made_picture(300)
    page = shown(picture)
    page.press("/")
    page.write("wheel-1 pypi")
    wanted = {node.label for node in picture.nodes if "wheel-1" in node.label}
    assert wanted
    page.press("Escape", "l")
    assert set(texts(page, "td button")) == wanted
    assert texts(page, "#shown") == [f"{len(wanted)} of {len(picture.nodes)} shown"]
    page.press("/")
    page.evaluate("document.activeElement.value = ''; document.activeElement.dispatchEvent(new Event('input'))")
    page.press("Escape")
    page.click("[data-state='hit']")
    assert set(texts(page, "td .state")) == {"to do", "to build", "in a shared store"}
    page.press("g")
    page.evaluate(
        "(() => { const e = document.querySelector('#group'); e.value = 'place';"
        "e.dispatchEvent(new Event('change')); })()"
    )
    names = [text.lstrip("▾▸ ") for text in texts(page, ".box .fold span")]
    assert {"conda-forge", "store team"} <= set(names)


def test_every_view_is_used_by_keys_alone(shown) -> None:  # type: ignore[no-untyped-def]
    picture = made_picture(10)
    page = shown(picture)
    page.evaluate("document.querySelector('.node[tabindex=\"0\"]').focus()")
    page.press("ArrowDown")
    chosen = texts(page, ".node.chosen .name")
    assert chosen == texts(page, "aside h2")
    page.press("ArrowDown")
    assert texts(page, ".node.chosen .name") != chosen
    for _ in range(4):
        page.press("ArrowRight")
    assert texts(page, "aside h2") == ["train (linux-64)"]
    link = picture.nodes[-1]
    assert f"Reads ({len(link.inputs)})" in texts(page, "aside h3")
    assert len(texts(page, ".node.reads")) == len(link.inputs)
    before = page.evaluate("document.querySelector('.node').getBoundingClientRect().width")
    page.press("-")
    assert page.evaluate("document.querySelector('.node').getBoundingClientRect().width") < before
    page.press("0", "Escape")
    assert texts(page, ".node.chosen") == []
    page.evaluate("document.querySelector('#tab-graph').focus()")
    page.press("ArrowRight")
    assert page.evaluate("document.activeElement.id") == "tab-time"
    assert page.evaluate("!document.querySelector('#time').hidden")


def test_the_timeline_of_the_last_run(shown) -> None:  # type: ignore[no-untyped-def]
    picture = made_picture(60)
    page = shown(picture)
    page.press("t")
    assert picture.run is not None
    assert len(texts(page, ".bar")) == len(picture.run.bars)
    apart = """[...document.querySelectorAll('.lane')].every((lane) => {
      const bars = [...lane.querySelectorAll('.bar')].map((e) => [e.offsetLeft, e.offsetWidth]);
      bars.sort((a, b) => a[0] - b[0]);
      return bars.every(([left], at) => at === 0 || left >= bars[at - 1][0] + bars[at - 1][1] - 4); })"""
    assert page.evaluate(apart), "jobs of one slot run one after the other"
    lanes = {(bar.lane, bar.slot) for bar in picture.run.bars}
    assert len(texts(page, ".lane")) == len(lanes)
    assert texts(page, "aside h2") == ["Where the time went"]
    page.click(".bar.wheel")
    assert texts(page, "aside h2") == ["brewed-0 1.0"]
    width = page.evaluate("document.querySelector('.axis').offsetWidth")
    page.press("+")
    assert page.evaluate("document.querySelector('.axis').offsetWidth") > width


def test_the_run_that_made_the_environment_stands_before_a_later_one_that_only_touched_it() -> None:
    graph = made_graph(30)
    whole = played(graph, {"io": 4, "cpu": 2})
    rows = tuple(
        Row(kind=item.kind, label=item.label, key=item.key, size=item.size, state="hit")
        for item in (graph[key] for key in graph.order())
    )
    planned = Planned(
        names=("x",), platform=Platform("linux-64"), rows=rows, fetch_bytes=0, unknown_sizes=0, milliseconds=0
    )
    touched = replace(whole, spans=whole.spans[:1])
    for timelines, jobs, others in (
        ([touched, whole], len(whole.spans), 0),
        ([whole, touched], len(whole.spans), 0),
        ([touched], 1, 0),
    ):
        run = picture(planned, graph, timelines).run
        assert run is not None
        assert (len(run.bars), run.others) == (jobs, others)
    assert picture(planned, made_graph(30), [replace(whole, spans=())]).run is None


def test_a_page_without_a_run_says_so(shown) -> None:  # type: ignore[no-untyped-def]
    page = shown(made_picture(10, run=False))
    page.press("t")
    assert texts(page, "#time")[0].startswith("No run is remembered")


def test_the_page_of_a_real_environment(channel_world: World, page: Page) -> None:
    world = channel_world
    world.run("realize", "mixed.yaml")
    world.run("graph", "mixed.yaml", "-o", "mixed.html")
    page.complaints.clear()
    page.open(world.project / "mixed.html")
    assert texts(page, "h1") == ["mixed (linux-64)"]
    assert texts(page, "#sum")[0].startswith("All there: none of ")
    page.press("t")
    assert any(label.startswith("transmute old-format") or "old-format" in label for label in texts(page, ".bar"))
    assert page.complaints == []
