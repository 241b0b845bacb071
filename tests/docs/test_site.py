"""The site: it is built strictly, brings all that it shows, and its reference is what the code says now."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import click
import pytest

from docs_site.reference import SCHEMAS, pages
from envbuild.cli.main import COMMANDS, LazyGroup, cli
from tests.docs.pages import CHECKOUT, DOCS

REFERENCE = pages()


class Page(HTMLParser):
    """What a page loads, where it links to, and what can be linked to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.links: list[str] = []
        self.places: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attributes}
        self.places |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        elif tag == "link" and "href" in given:
            self.loads.append(given["href"])
        elif "src" in given:
            self.loads.append(given["src"])


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as ``./dev docs`` does, where every address of the network is a closed door."""
    folder = tmp_path_factory.mktemp("site")
    closed = dict.fromkeys(
        ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), "http://127.0.0.1:9"
    )
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=CHECKOUT,
        env={**os.environ, **closed, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder


def read(site: Path) -> dict[Path, Page]:
    return {path: Page(path.read_text(encoding="utf-8")) for path in site.rglob("*.html")}


def test_every_page_is_in_the_site_and_in_its_navigation(site: Path) -> None:
    names = {page.relative_to(DOCS).with_suffix(".html").as_posix() for page in DOCS.rglob("*.md")}
    names = {name.replace("README", "index") for name in names} | {name.replace(".md", ".html") for name in REFERENCE}
    assert {name for name in names if not (site / name).is_file()} == set()
    assert names <= {unquote(link) for link in Page((site / "index.html").read_text(encoding="utf-8")).links}


def test_nothing_of_the_site_comes_from_another_host(site: Path) -> None:
    found = read(site)
    assert sum(len(page.loads) for page in found.values()) > 100
    for path, page in found.items():
        assert [item for item in page.loads if urlsplit(item).netloc] == [], path
    for style in site.rglob("*.css"):
        assert not re.search(r"(url\(|@import )[\"']?(https?:)?//", style.read_text(encoding="utf-8")), style


def test_every_link_of_the_site_leads_somewhere(site: Path) -> None:
    found = read(site)
    for path, page in found.items():
        for target in page.links + page.loads:
            parts = urlsplit(target)
            if parts.netloc or path.name == "404.html":
                continue
            place = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            place = place / "index.html" if place.is_dir() else place
            assert place.is_file(), f"{path.name}: {target}"
            assert parts.fragment in {"", *(found[place].places if place in found else ())}, f"{path.name}: {target}"


def test_notes_for_the_tests_are_not_shown(site: Path) -> None:
    shown = "".join(path.read_text(encoding="utf-8") for path in site.glob("*.html"))
    assert "```" not in shown
    assert '<span class="filename">recipes/train.yaml</span>' in shown


def commands() -> dict[str, click.Command]:
    assert isinstance(cli, LazyGroup)
    found: dict[str, click.Command] = {}
    for name in COMMANDS:
        item = cli.get_command(click.Context(cli), name)
        if item is not None and not item.hidden and item.name == name:
            found[name] = item
            inner = item.commands if isinstance(item, click.Group) else {}
            found |= {f"{name} {key}": value for key, value in inner.items()}
    return found


def test_the_reference_has_every_command_with_every_flag() -> None:
    parts = re.split(r"^## envbuild ", REFERENCE["reference/commands.md"], flags=re.MULTILINE)[1:]
    told = {part.split("\n")[0]: part for part in parts}
    assert set(told) == set(commands())
    for name, item in commands().items():
        for option in item.params:
            if isinstance(option, click.Option) and not option.hidden:
                assert option.opts[0] in told[name], f"{name} {option.opts}"
                assert not option.help or option.help.split()[0].replace("<", "&lt;") in told[name]


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_reference_has_every_key_of_a_schema(name: str) -> None:
    schema = json.loads((CHECKOUT / "schemas" / f"{name}.json").read_text(encoding="utf-8"))
    page = REFERENCE[f"reference/{name}.md"]
    assert set(schema["properties"]) <= set(re.findall(r"^\| `([^`: ]+)`", page, re.MULTILINE))
    for key, item in schema["$defs"].items():
        section = page.split(f"\n## {key}\n")[1].split("\n## ")[0]
        assert all(f"| `{inner}`" in section for inner in item.get("properties", {})), key


def test_the_reference_is_kept_nowhere() -> None:
    assert not (DOCS / "reference").exists()
    assert not (DOCS / "index.md").exists()
