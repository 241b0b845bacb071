"""From an origin, in the recipe's words, to the addresses of a file on this machine.

A conda file's address follows from its channel. A wheel's is asked of its project's page on the index (PEP 503 HTML or
PEP 691 JSON): the link with the same file name and, where the page says one, the same sha256. Where the machine chose
the index (``default``), its additional indices and find-links are asked too. Mirrors replace addresses last.

The engines' own defaults are asked of the engines, so that no registry's address stands in envbuild: the channel alias
is the default argument of rattler's ``ChannelConfig``; the index is what ``uv pip compile --help`` states for
``--default-index``.

Rules of the file: reads pages through the function it is given; decides addresses, downloads nothing.
"""

from __future__ import annotations

import functools
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol
from urllib.parse import urlsplit

from envbuild.addresses import DEFAULT_INDEX, Addresses
from envbuild.digest import Digest
from envbuild.errors import EnvbuildError, UnreachableError
from envbuild.machine.index_page import page_files
from envbuild.machine.process import clean_environment, run
from envbuild.machine.uv_program import uv_program
from envbuild.package import (
    ChannelOrigin,
    FolderOrigin,
    GitOrigin,
    IndexOrigin,
    InterpreterOrigin,
    LinksOrigin,
    Origin,
    UrlOrigin,
    normalize_pypi_name,
)
from envbuild.urls import file_name, file_path

PAGE_LIMIT = 128 << 20
"""Bytes of a project's page; the longest real ones have some tens of megabytes."""

ACCEPT = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"


class ReadPage(Protocol):
    """Reads a small document from the first address that has it; None when none has."""

    def __call__(self, urls: Sequence[str], *, limit: int, accept: str) -> bytes | None:  # noqa: D102  the class says it
        ...


def locate(origin: Origin, addresses: Addresses, read: ReadPage, sha256: Digest | None) -> Iterator[str]:
    """The addresses to try for a file, in order, mirrors applied. Pages are read only as far as the caller asks on.

    Args:
        origin: Where the recipe or lock says it came from.
        addresses: What its words mean here.
        read: Reads pages.
        sha256: Links with another sha256 are passed over.

    Raises:
        UnreachableError: When a page cannot be read and no address was found before it.
    """
    match origin:
        case ChannelOrigin(channel=channel, subdir=subdir, file=file):
            base = addresses.canonical_channel(channel, "" if _plain(channel, addresses) else engine_channel_alias())
            yield from addresses.candidates(f"{base}/{subdir}/{file}")
        case UrlOrigin(url=url):
            yield from addresses.candidates(addresses.absolute(url))
        case LinksOrigin(location=location, file=file):
            yield from _on_links(addresses.absolute(location), file, addresses, read, sha256)
        case InterpreterOrigin(file=file):
            yield from addresses.candidates(engine_interpreter(file))
        case GitOrigin() | FolderOrigin():
            return  # a tree is packed, not downloaded
        case IndexOrigin():
            yield from _on_indices(origin, addresses, read, sha256)


def _plain(channel: str, addresses: Addresses) -> bool:
    return addresses.channel_alias is not None or "://" in channel or channel.startswith(".")


def _on_indices(origin: IndexOrigin, addresses: Addresses, read: ReadPage, sha256: Digest | None) -> Iterator[str]:
    if origin.index == DEFAULT_INDEX:
        indices = (*addresses.extra_indices, addresses.index or engine_index())
    else:
        indices = (origin.index,)
    failed: EnvbuildError | None = None
    found = False
    project = normalize_pypi_name(origin.project)
    for index in indices:
        page = f"{addresses.absolute(index).rstrip('/')}/{project}/"
        try:
            for url in _links(page, origin.file, addresses, read, sha256):
                found = True
                yield url
        except UnreachableError as error:
            failed = error
    if origin.index == DEFAULT_INDEX:
        for location in addresses.find_links:
            for url in _on_links(addresses.absolute(location), origin.file, addresses, read, sha256):
                found = True
                yield url
    if failed is not None and not found:
        raise failed


def _on_links(location: str, file: str, addresses: Addresses, read: ReadPage, sha256: Digest | None) -> Iterator[str]:
    if urlsplit(location).scheme == "file" and file_path(location).is_dir():
        yield f"{location.rstrip('/')}/{file}"
    else:
        yield from _links(location, file, addresses, read, sha256)


def _links(page: str, file: str, addresses: Addresses, read: ReadPage, sha256: Digest | None) -> Iterator[str]:
    pages = addresses.candidates(page)
    if urlsplit(pages[0]).scheme == "file" and file_path(pages[0]).is_dir():
        folder = pages[0].rstrip("/")
        if not file_path(folder).joinpath("index.html").is_file():
            yield f"{folder}/{file}"
            return
        pages = (f"{folder}/index.html",)
    for address in pages:
        data = read((address,), limit=PAGE_LIMIT, accept=ACCEPT)
        if data is None:
            continue
        for name, url, digest in page_links(data, address):
            if name == file and (sha256 is None or digest in (None, sha256)):
                yield from addresses.candidates(url)


def page_links(data: bytes, page: str) -> list[tuple[str, str, str | None]]:
    """The files on an index page or find-links page: file name, absolute address without fragment, sha256 or None."""
    return [(item.name, item.url, item.sha256) for item in page_files(data, page)]


@functools.cache
def engine_channel_alias() -> str:
    """The address that rattler puts before a channel's name when nothing is configured."""
    import inspect

    from rattler import ChannelConfig

    return str(inspect.signature(ChannelConfig).parameters["channel_alias"].default)


@functools.cache
def engine_interpreter(file: str) -> str:
    """The address of a managed interpreter's archive, as uv lists it; ``UV_PYTHON_INSTALL_MIRROR`` is uv's to honour.

    Raises:
        UnreachableError: ``no-interpreter`` when this uv does not know the file.
    """
    settings = {"UV_PYTHON_INSTALL_MIRROR", "UV_PYTHON_DOWNLOADS_JSON_URL"}
    mirror = {name: value for name, value in os.environ.items() if name in settings}
    listed = _ask_uv(
        ("python", "list", "--all-versions", "--all-platforms", "--only-downloads", "--output-format", "json"), mirror
    )
    for item in json.loads(listed):
        url = item.get("url") or ""
        if file_name(url) == file:
            return str(url)
    raise UnreachableError(f"uv knows no interpreter archive {file}", reference="no-interpreter")


def _ask_uv(arguments: Sequence[str], extra: Mapping[str, str]) -> str:
    environ = clean_environment(os.environ, network=False) | {"NO_COLOR": "1", **extra}
    return run([uv_program(), *arguments], environ=environ, limit=64 << 20).tail


@functools.cache
def engine_index() -> str:
    """The index that uv asks when nothing is configured, as its own help states it.

    Raises:
        UnreachableError: ``no-index`` when this uv does not say one.
    """
    text = " ".join(_ask_uv(("pip", "compile", "--help"), {}).split())
    found = re.search(r"--default-index <[A-Z_]+> .{0,80}?by default: <?([a-z]+://[^\s>)]+)", text)
    if found is None:
        raise UnreachableError(
            "no package index is configured, and uv states none", reference="no-index", hint="set index-url"
        )
    return found.group(1)
