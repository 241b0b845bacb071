"""Trees of foreign files, read with care: every access says what it expects, and where it stood when it was wrong.

A foreign lock is a file from somewhere else. Whoever reads one through ``Checked`` cannot meet a wrong type, a missing
key or an absurd number anywhere but here, where each becomes one error that names the file and the path in it.

Rules of the file: text to tree and typed access; knows no format. ``tomllib`` and the YAML reader are imported late.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from envbuild.errors import InvalidInput, Where
from envbuild.formats import LARGEST_FILE, Document
from envbuild.package import normalize_pypi_name
from envbuild.pattern import pattern

NODES = 4_000_000
"""Nodes that a foreign lock in YAML may have: real ones have some hundred thousand."""
MOST_PACKAGES = 50_000
"""Packages that a foreign lock may hold."""
_DEPTH = 64

_NAME = pattern(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,126}[A-Za-z0-9])?")
_VERSION = pattern(r"[A-Za-z0-9][A-Za-z0-9._+!-]{0,127}")
_USER_INFO = pattern(r"(?<=://)[^/?#@]*@")
_TOKEN = pattern(r"/t/[^/]+/")
_SECRET_QUERY = pattern(
    r"[?&](?:X-(?:Amz|Goog)-|sig=|signature=|[^=&]*(?:token|passw|secret|api_?key)[^=&]*=)", re.IGNORECASE
)
_CLIMBS = pattern(r"(?:/|%2f)(?:\.|%2e){2}(?:/|%2f|$)", re.IGNORECASE)
_SHA256 = pattern(r"[0-9a-f]{64}")
_MD5 = pattern(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Checked:
    """A value of a foreign file, and the path that led to it.

    Attributes:
        value: What ``tomllib`` or the YAML reader gave.
        path: For messages: ``packages[3].wheels[0]``.
        document: The file.
    """

    value: Any
    path: str
    document: Document

    @property
    def where(self) -> Where:
        """The file; the path stands in messages."""
        return self.document.where()

    def wrong(self, what: str, reference: str = "bad-foreign-lock") -> InvalidInput:
        """The error that this value is not what stands there."""
        shown = repr(self.value)
        shown = shown if len(shown) <= 60 else shown[:57] + "..."
        said = f"not {shown}" if self.value is not None else "and nothing stands there"
        return InvalidInput(
            f"{self.path or 'the file'}: {what}, {said}",
            reference=reference,
            where=self.where,
            hint="make the file again with the tool that wrote it",
        )

    def has(self, name: str) -> bool:
        """Whether a key is there, and says something."""
        return isinstance(self.value, dict) and self.value.get(name) is not None

    def at(self, name: str) -> Checked:
        """What a key holds; ``None`` as its value when the key is absent."""
        if not isinstance(self.value, dict):
            raise self.wrong("a table is expected")
        return Checked(self.value.get(name), f"{self.path}.{name}" if self.path else name, self.document)

    def items(self, name: str, most: int = MOST_PACKAGES) -> Iterator[Checked]:
        """The items of a list under a key; none when the key is absent."""
        here = self.at(name)
        if here.value is None:
            return
        if not isinstance(here.value, list):
            raise here.wrong("a list is expected")
        if len(here.value) > most:
            raise InvalidInput(
                f"{here.path} has {len(here.value):,} entries, more than {most:,}",
                reference="too-large",
                where=self.where,
            )
        for index, item in enumerate(here.value):
            yield Checked(item, f"{here.path}[{index}]", self.document)

    def entries(self, name: str) -> Iterator[tuple[str, Checked]]:
        """The entries of a table under a key; none when the key is absent."""
        here = self.at(name)
        if here.value is None:
            return
        if not isinstance(here.value, dict):
            raise here.wrong("a table is expected")
        for key in here.value:
            yield str(key), here.at(key)

    def text(self, name: str) -> str:
        """A text under a key, which must be there."""
        here = self.at(name)
        if not isinstance(here.value, str):
            raise here.wrong("a text is expected")
        return here.value

    def optional_text(self, name: str) -> str | None:
        """A text under a key, or None when the key is absent."""
        return self.text(name) if self.has(name) else None

    def texts(self, name: str) -> tuple[str, ...]:
        """The texts of a list under a key; none when the key is absent."""
        return tuple(item.own_text() for item in self.items(name))

    def own_text(self) -> str:
        """The value itself, which must be a text."""
        if not isinstance(self.value, str):
            raise self.wrong("a text is expected")
        return self.value

    def integer(self, name: str) -> int | None:
        """A whole number that is not negative (YAML's scalars are text here); None when the key is absent."""
        here = self.at(name)
        if here.value is None:
            return None
        if isinstance(here.value, str) and re.fullmatch(r"[0-9]{1,18}", here.value):
            return int(here.value)
        if isinstance(here.value, bool) or not isinstance(here.value, int) or not 0 <= here.value < 10**18:
            raise here.wrong("a whole number is expected")
        return here.value

    def flag(self, name: str) -> bool:
        """A boolean; False when the key is absent."""
        here = self.at(name)
        if here.value is None:
            return False
        if not isinstance(here.value, bool):
            raise here.wrong("true or false is expected")
        return here.value

    def pypi_name(self, name: str = "name") -> str:
        """A Python project's name, normalized."""
        text = self.text(name)
        if not _NAME.fullmatch(text):
            raise self.at(name).wrong("a package's name is expected", "bad-name")
        return normalize_pypi_name(text)

    def version(self, name: str = "version") -> str | None:
        """A version: one path component's worth of harmless characters; None when the key is absent."""
        text = self.optional_text(name)
        if text is not None and not _VERSION.fullmatch(text):
            raise self.at(name).wrong("a version is expected", "bad-version")
        return text

    def sha256(self, name: str = "sha256") -> str | None:
        """A sha256 in hexadecimal, ``sha256:`` before it or not; None when the key is absent."""
        return self._digest(name, "sha256", _SHA256)

    def md5(self, name: str = "md5") -> str | None:
        """An md5, likewise."""
        return self._digest(name, "md5", _MD5)

    def _digest(self, name: str, kind: str, pattern: re.Pattern[str]) -> str | None:
        text = self.optional_text(name)
        if text is None:
            return None
        digest = text.removeprefix(f"{kind}:").lower()
        if not pattern.fullmatch(digest):
            raise self.at(name).wrong(f"a {kind} is expected", "bad-hash")
        return digest

    def address(self, name: str = "url") -> str:
        """An address that may be kept: https, http or file, without credentials and fragment."""
        here = self.at(name)
        return bare_address(here.own_text(), here)


def bare_address(text: str, here: Checked) -> str:
    """An address without user info, conda token, secrets in its query, and fragment.

    Raises:
        InvalidInput: ``bad-url`` when it is no address of a package, or leads where none may.
    """
    from envbuild.reading.places import WITH_FILES, check_url

    address = _TOKEN.sub("/", _USER_INFO.sub("", text.split("#", 1)[0]))
    if _SECRET_QUERY.search(address):
        address = address.split("?", 1)[0]
    try:
        if _CLIMBS.search(address):
            raise InvalidInput("the address climbs out of its folder", reference="bad-url")
        return check_url(address, WITH_FILES)
    except InvalidInput as error:
        place = f"{here.path}: " if here.path else ""
        raise InvalidInput(place + error.message, reference="bad-url", where=here.where) from None


def without_credentials(text: str) -> str:
    """Words of a file for a message: no user info, token or query of an address in them is said aloud."""
    return re.sub(r"\?[^\s'\"]*", "", _TOKEN.sub("/", _USER_INFO.sub("", text)))


def had_credentials(text: str) -> bool:
    """Whether an address carried user info or a token."""
    return bool(_USER_INFO.search(text) or _TOKEN.search(text) or _SECRET_QUERY.search(text))


def toml_tree(document: Document) -> Checked:
    """A TOML file.

    Raises:
        InvalidInput: ``bad-syntax``.
    """
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        tree = tomllib.loads(document.data.decode("utf-8"))
    except UnicodeDecodeError:
        raise InvalidInput("the file is not UTF-8", reference="bad-encoding", where=document.where()) from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        place = re.search(r"line (\d+), column (\d+)", str(error))
        where = document.where(int(place[1]), int(place[2])) if place else document.where()
        raise InvalidInput(f"this is no TOML: {str(error)[:200]}", reference="bad-syntax", where=where) from None
    _check_depth(tree, document)
    return Checked(tree, "", document)


def yaml_tree(document: Document) -> Checked:
    """A YAML file, every scalar as text (but ``true``, ``false`` and nothing).

    Raises:
        InvalidInput: As ``envbuild.reading.document.parse``.
    """
    from envbuild.reading.document import parse, plain

    again = "make the file again with the tool that wrote it"
    shown = document.where().file or document.file
    root = parse(document.data, shown, largest=LARGEST_FILE, most=NODES, when_empty=again)
    return Checked(plain(root), "", document)


def _check_depth(tree: Any, document: Document) -> None:
    level = [tree]
    for _ in range(_DEPTH):
        level = [
            child
            for item in level
            for child in (item.values() if isinstance(item, dict) else item if isinstance(item, list) else ())
            if isinstance(child, (dict, list))
        ]
        if not level:
            return
    raise InvalidInput(f"the file is nested deeper than {_DEPTH} levels", reference="too-deep", where=document.where())
