"""Called by mkdocs while it builds: the front page and the reference join the pages, and fences lose their notes."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from docs_site.reference import pages  # noqa: E402  # mkdocs starts this file by its path


def front_page() -> str:
    """The checkout's README, whose links lead from the front page to the pages; those out of ``docs`` become words."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    text = re.sub(r"\]\(docs/adr/README\.md\)", "](adr/README.md)", text)
    text = text.replace("[docs/adr](", "[Decisions](")
    text = re.sub(r"\[docs/([\w-]+)\.md\]", r"[\1]", text).replace("](docs/", "](")
    return re.sub(r"\[([^\]]+)\]\((?:CONTRIBUTING|STYLE|SECURITY)\.md\)", r"`\1`", text)


def on_config(config: MkDocsConfig, **_: Any) -> MkDocsConfig:
    """List the decisions in the navigation, for each new one comes with its page alone."""
    decisions = ["adr/README.md", *(f"adr/{page.name}" for page in sorted((ROOT / "docs/adr").glob("[0-9]*.md")))]
    config.nav = [*(config.nav or []), {"Decisions": decisions}]
    return config


def on_files(files: Files, *, config: MkDocsConfig, **_: Any) -> Files:
    """Add what is made at each build."""
    for path, text in {"index.md": front_page(), **pages()}.items():
        files.append(File.generated(config, path, content=text))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Fences keep their language; the words for the tests go, or become a title where they name a file."""
    return re.sub(r"^```(\S+) (.+)$", fence, markdown, flags=re.MULTILINE)


def fence(found: re.Match[str]) -> str:
    """A fence as the site's Markdown reads it."""
    words = found[2].split()
    return f'```{found[1]} title="{words[0]}"' if len(words) == 1 and "." in words[0] else f"```{found[1]}"
