"""No page shows a command that nobody types, nor a file that nobody reads."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from envbuild.reading.document import parse
from envbuild.reading.schema import findings
from tests.docs.not_played import NOT_PLAYED, why_not
from tests.docs.pages import CHECKOUT, DOCS, Block, blocks, command_blocks
from tests.docs.playing import commands

PAGES = (
    *(CHECKOUT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "STYLE.md")),
    *sorted((CHECKOUT / "recipes").rglob("*.md")),
    *sorted(DOCS.glob("*.md")),
)
OTHERS = {
    "locks.md": "a lock, its digests shortened",
    "publish.md": "a workflow of GitHub's; tests/review/test_action.py reads those that are used",
    "review.md": "pre-commit's; tests/review/test_pre_commit.py runs the hooks",
    "scaling.md": "a deployment of Kubernetes",
}
"""Whose YAML a page shows that is no recipe and no configuration."""


def shown(page: Path) -> list[str]:
    """The commands of a page."""
    text = page.read_text(encoding="utf-8")
    return [command for block in command_blocks(text) for command, _ in commands(block.text)]


def played() -> set[str]:
    """The pages that tests play, whole: each of their blocks is typed, or why not is said."""
    texts = [path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("test_played*.py")]
    return {Path(name).name for text in texts for name in re.findall(r'play\(\s*"([\w./-]+\.md)"', text)}


def test_every_page_whose_commands_can_be_typed_is_played() -> None:
    assert sum(len(shown(page)) for page in PAGES) > 250
    assert {
        page.name for page in PAGES if any(not why_not(page.name, line) for line in shown(page))
    } - played() == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_stand_where_plays_find_them(page: Path) -> None:
    """After ``$`` in a ``console`` block, or indented and without it."""
    for block in command_blocks(page.read_text(encoding="utf-8")):
        assert block.words in {("console",), ("typed",)}, f"{page.name}:{block.line}"
        assert (block.words == ("typed",)) != block.text.lstrip().startswith("$ "), f"{page.name}:{block.line}"


def test_what_is_not_played_stands_on_its_page_and_is_tested_where_its_reason_says() -> None:
    pages = {page.name: page for page in PAGES}
    for name, begin, why in NOT_PLAYED:
        assert any(command.startswith(begin) for command in shown(pages[name])), f"{name}: {begin}"
        for test in re.findall(r"(?:tests|\.ci)/[\w./]+", why):
            assert (CHECKOUT / test.rstrip(".")).is_file(), f"{name}: {test}"
        for other in re.findall(r"[\w-]+\.md", why):
            assert other in played(), f"{name}: {other}"


def test_the_project_s_own_commands_are_those_that_it_has() -> None:
    text = (CHECKOUT / "dev").read_text(encoding="utf-8")
    has = set(re.findall(r'name == "(\w+)"', text))
    said = {command.split()[1] for page in PAGES for command in shown(page) if command.startswith("./dev ")}
    assert {"test", "demo", "docs"} <= said <= has
    assert "./dev test" in (CHECKOUT / ".ci" / "run").read_text(encoding="utf-8")


YAML = [(page.name, block) for page in PAGES for block in blocks(page.read_text("utf-8")) if block.words == ("yaml",)]


@pytest.mark.parametrize(("name", "block"), YAML, ids=lambda it: f"line {it.line}" if isinstance(it, Block) else it)
def test_parts_of_recipes_and_of_configurations_are_what_their_schemas_allow(name: str, block: Block) -> None:
    """Each variant of a key that stands there several times; whole recipes and files are tested as what they are."""
    keys = {key for document in yaml.safe_load_all(block.text) for key in document or ()}
    if name in OTHERS and not keys <= {"executor", "stores", "builders"}:
        return
    for text in re.split(r"^(?=(?:extends|include):)", block.text, flags=re.MULTILINE):
        if not text.strip() or all(line.startswith("#") for line in text.splitlines()):
            continue
        node = parse(text.encode(), name)
        assert not findings(node, "recipe") or not findings(node, "project"), f"{name}:{block.line}\n{text}"


def test_programs_on_pages_are_files_that_are_run() -> None:
    for page in PAGES:
        for block in blocks(page.read_text(encoding="utf-8")):
            if block.words[:1] == ("python",):
                assert len(block.words) == 2 or page.name == "how-it-works.md", f"{page.name}:{block.line}"
