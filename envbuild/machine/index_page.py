"""What an index says of a project's files: PEP 691 JSON or PEP 503 HTML, with the fields of PEP 592, 658 and 700.

Rules of the file: bytes in, values out; what a page says wrongly is left out, never guessed.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from html.parser import HTMLParser
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

from envbuild.pattern import pattern
from envbuild.value import dataclass

_SHA256 = pattern(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class PageFile:
    """One file of a page.

    Attributes:
        url: Absolute, without its fragment.
        sha256: As the page states it, in lower case; None when it states none.
        size: Bytes; None where the page does not tell, as HTML never does. So is ``upload_time`` (RFC 3339).
        yanked: Whether its author took it back (PEP 592).
        requires_python: As the page states it, or None.
    """

    name: str
    url: str
    sha256: str | None = None
    size: int | None = None
    upload_time: str | None = None
    yanked: bool = False
    requires_python: str | None = None


def page_files(data: bytes, page: str) -> list[PageFile]:
    """The files on an index page or find-links page.

    Links that are not https, http or file, and a ``file`` link on a page that came over the network, are left out.

    Args:
        data: The page.
        page: Its address, which links are relative to.
    """
    text = data.decode("utf-8", "replace")
    if text.lstrip().startswith("{"):
        raw = _json_files(text)
    else:
        parser = _Anchors()
        with suppress(AssertionError):  # the library's word for a declaration that it does not know
            parser.feed(text)
        raw = parser.files
    found = []
    for href, told in raw:
        try:
            parts = urlsplit(urljoin(page, href))
        except ValueError:
            continue
        if parts.scheme not in {"https", "http"} and parts.scheme != urlsplit(page).scheme:
            continue
        stated = re.fullmatch(r"sha256=([0-9a-f]{64})", parts.fragment)
        sha256 = told.pop("sha256", None) or (stated[1] if stated else None)
        name = unquote(parts.path.rsplit("/", 1)[-1])
        found.append(PageFile(name=name, url=parts._replace(fragment="").geturl(), sha256=sha256, **told))
    return found


def _json_files(text: str) -> list[tuple[str, dict[str, Any]]]:
    try:
        return [_json_file(item) for item in json.loads(text)["files"]]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return []


def _json_file(item: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    sha256, size = item.get("hashes", {}).get("sha256"), item.get("size")
    upload, python = item.get("upload-time"), item.get("requires-python")
    told = {
        "sha256": sha256 if isinstance(sha256, str) and _SHA256.fullmatch(sha256) else None,
        "size": size if isinstance(size, int) and not isinstance(size, bool) and size >= 0 else None,
        "upload_time": upload if isinstance(upload, str) else None,
        "yanked": item.get("yanked", False) is not False,
        "requires_python": python if isinstance(python, str) and python else None,
    }
    return str(item["url"]), told


class _Anchors(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.files: list[tuple[str, dict[str, Any]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = dict(attrs)
        href = told.get("href")
        if tag == "a" and href:
            python = told.get("data-requires-python")
            self.files.append((href, {"yanked": "data-yanked" in told, "requires_python": python or None}))
