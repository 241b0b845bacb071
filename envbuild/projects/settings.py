"""One setting at a time: from a node of a configuration file, or from the words of a variable or flag, to its value.

Theory: every setting has one reader from a node. Words become a node first: a number or text is a scalar, a list may be
written ``a,b`` or ``[a, b]``, a mapping ``{a: b}``; so that a variable obeys the same schema as the file.

Rules of the file: no file is opened; a wrong node is an issue with its place, a wrong word a ``UsageError``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from envbuild.errors import InvalidInput, Issue, UsageError, Where
from envbuild.package import Platform
from envbuild.projects.policy_settings import read_policy
from envbuild.projects.trust_settings import read_trust
from envbuild.reading import places, spelling
from envbuild.reading.cutoff import cut_off_text
from envbuild.reading.document import Mapping, Node, Scalar, Sequence, entries, items, optional_boolean, parse, text
from envbuild.reading.schema import check, closest, load_schema
from envbuild.value import dataclass

_STORE_SCHEMES = ("s3://", "gs://", "az://", "abfs://", "https://", "http://", "file://")
_LARGEST_NUMBER = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreAddress:
    """One entry of ``stores``. ``mode`` is ``read-write`` or ``read-only``."""

    name: str
    url: str
    mode: str = "read-write"


class SettingReader:
    """Reads settings of any place; ``origins`` holds where each came from, ``issues`` what was wrong in files."""

    def __init__(self) -> None:
        self.origins: dict[str, str] = {}
        self.issues: list[Issue] = []

    def document(self, document: Mapping, values: dict[str, object]) -> None:
        """Every setting of one file, over those known so far."""
        for key, _ in document.entries:
            node = document.get(key.text)
            if node is None:
                continue
            try:
                values[key.text.replace("-", "_")] = READERS[key.text](node)
                self.origins[key.text] = f"{key.where.file}:{key.where.line}"
            except InvalidInput as error:
                self.issues.append(
                    Issue(message=error.message, reference=error.reference, where=node.where, hint=error.hint)
                )

    def words(self, key: str, words: str, origin: str, values: dict[str, object]) -> None:
        """One setting of a variable or flag.

        Raises:
            UsageError: ``bad-setting`` when there is no such setting, or the words do not fit it.
        """
        schema = load_schema("config")["properties"]
        if key not in schema:
            raise UsageError(f"there is no setting {key!r}", reference="bad-setting", hint=closest(key, list(schema)))
        try:
            node = _node(words, schema[key], origin)
            check(_mapping(origin, key, node), "config")
            values[key.replace("-", "_")] = READERS[key](node)
        except InvalidInput as error:
            raise UsageError(
                f"{origin}: {error.message}", reference="bad-setting", hint=error.hint or f"see `{key}` in the docs"
            ) from None
        self.origins[key] = origin


def _mapping(origin: str, key: str, node: Node) -> Mapping:
    where = Where(file=origin)
    return Mapping(where=where, entries=((Scalar(where=where, text=key, plain=True), node),))


def _node(words: str, schema: dict[str, Any], origin: str) -> Node:
    kinds = schema.get("type", "string")
    words = words.strip()
    if words[:1] in {"[", "{"} and not isinstance(kinds, str):
        return parse(words.encode(), origin)
    where = Where(file=origin)
    if "array" in kinds and "string" not in kinds:
        parts = [part for part in re.split(r"[,\s]+", words) if part]
        return Sequence(where=where, items=tuple(Scalar(where=where, text=part, plain=False) for part in parts))
    if kinds == "boolean":
        words = {"1": "true", "yes": "true", "on": "true", "0": "false", "no": "false", "off": "false"}.get(
            words.lower(), words.lower()
        )
        return Scalar(where=where, text=words, plain=True)
    return Scalar(where=where, text=words, plain=False)


def _texts(node: Node) -> tuple[str, ...]:
    return tuple(dict.fromkeys(text(item) for item in items(node)))


def _reuse(node: Node) -> tuple[str, ...]:
    """``none``, ``mine``, ``any``, or users: a list, or words with spaces or commas between them."""
    words = re.split(r"[,\s]+", text(node)) if isinstance(node, Scalar) else _texts(node)
    found = tuple(dict.fromkeys(word for word in words if word))
    if not found or ("none" in found and len(found) > 1):
        raise InvalidInput(
            "this names nobody" if not found else "`none` stands alone",
            reference="bad-value",
            hint="write none, mine, any, or a list of users: [ann, ben]",
        )
    return found


def _platforms(node: Node) -> tuple[Platform, ...] | None:
    return tuple(map(Platform, _texts(node))) or None


def _channels(node: Node) -> tuple[str, ...] | None:
    """Channels; folders stand relative to the project's root already, and are checked where they are used."""
    found = []
    for channel in _texts(node):
        if channel.startswith("."):
            if ".." in channel.split("/") or "\\" in channel:
                raise InvalidInput(f"{channel!r} leaves the project", reference="bad-path", hint="write ./folder")
            found.append(channel.rstrip("/"))
        elif "://" in channel:
            found.append(places.check_url(channel, places.WITH_FILES).rstrip("/"))
        else:
            found.append(places.check_channel_name(channel))
    return tuple(found) or None


def _provides(node: Node) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """What conda packages count as on PyPI: a name, a list of names, or nothing."""
    found = {}
    for key, item in entries(node):
        names = () if isinstance(item, Scalar) and item.empty else (item,) if isinstance(item, Scalar) else items(item)
        found[spelling.conda_name(key.text)] = tuple(sorted({spelling.pypi_name(text(name)) for name in names}))
    return tuple(sorted(found.items()))


def _system(node: Node) -> tuple[tuple[str, str], ...]:
    return tuple(
        sorted((spelling.system_name(key.text), spelling.system_version(text(item))) for key, item in entries(node))
    )


def _address(node: Node) -> str:
    """An address of a machine's own configuration: any host, and user data, may stand in it."""
    found = text(node)
    if found.partition("://")[0] not in places.WITH_FILES or re.search(r"[\s\x00-\x1f]", found):
        raise InvalidInput(
            f"{places.redacted(found)!r} is not an address", reference="bad-url", hint="https://host/path"
        )
    return found


def _mirrors(node: Node) -> tuple[tuple[str, tuple[str, ...]], ...]:
    return tuple((_address(key), tuple(_address(address) for address in items(item))) for key, item in entries(node))


def _number(node: Node) -> int:
    number = int(text(node))
    if number > _LARGEST_NUMBER:
        raise InvalidInput(f"{number} is too large", reference="bad-value", hint=f"at most {_LARGEST_NUMBER}")
    return number


def _jobs(node: Node) -> int:
    return _positive(node, "at least one job must run")


def _bound(node: Node) -> int:
    return _positive(node, "a build needs some of it")


def _positive(node: Node, reason: str) -> int:
    number = _number(node)
    if number < 1:
        raise InvalidInput(reason, reference="bad-value", hint="write 1 or more")
    return number


def _stores(node: Node) -> tuple[StoreAddress, ...]:
    found: dict[str, StoreAddress] = {}
    for item in items(node):
        if isinstance(item, Mapping):
            url_node, name, mode = item.get("url"), item.get("name"), item.get("mode")
            url = _store_url(text(url_node)) if url_node is not None else ""
            store = StoreAddress(
                name=text(name) if name is not None else url,
                url=url,
                mode=text(mode) if mode is not None else "read-write",
            )
        else:
            url = _store_url(text(item))
            store = StoreAddress(name=url, url=url)
        if store.name in found:
            raise InvalidInput(f"the store {store.name!r} stands twice", reference="duplicate-key", hint="keep one")
        found[store.name] = store
    return tuple(found.values())


def _store_url(url: str) -> str:
    """A store's address: a folder, or one of the protocols that envbuild knows; never a chain of them."""
    is_folder = "://" not in url and not re.match(r"[a-z0-9+]+:", url)
    known = url.startswith(_STORE_SCHEMES) and len(url.partition("://")[2]) > 0
    odd = r"[\x00-\x1f\x7f]" if is_folder else r"[\s\x00-\x1f]"
    if "::" in url or re.search(odd, url) or not url.strip() or not (is_folder or known):
        raise InvalidInput(
            f"{places.redacted(url)!r} is not a store's address",
            reference="bad-url",
            hint="write a folder, or s3://, gs://, az:// or https:// and what follows",
        )
    return url


def _executor(node: Node) -> str:
    found = text(node)
    host = r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?"
    far = rf"(?:dask|dask\+tls|tls|tcp)://{host}|ssh://[A-Za-z0-9.:@,_-]+(?:/[A-Za-z0-9._/-]+)?"
    port = re.search(r":(\d+)$", found)
    fits = re.fullmatch(far, found) and (port is None or 0 < int(port[1]) < 1 << 16)
    if found not in {"local", "synchronous"} and not fits:
        raise InvalidInput(
            f"{places.redacted(found)!r} is not an executor",
            reference="bad-value",
            hint="local, dask://host:port, dask+tls://host:port, or ssh://user@host",
        )
    return found


def _builders(node: Node) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """What builders of packages are marked with: a mark, or a list of marks."""
    found = {}
    for key, item in entries(node):
        marks = tuple(dict.fromkeys(text(mark) for mark in ((item,) if isinstance(item, Scalar) else items(item))))
        for mark in marks:
            if not re.fullmatch(r"[A-Za-z0-9_.+-]{1,64}", mark):
                raise InvalidInput(f"{mark!r} is no mark of a worker", reference="bad-value", hint="such as gpu")
        found[spelling.pypi_name(key.text)] = marks
    return tuple(sorted(found.items()))


def _signing_key(node: Node) -> str:
    """Where a private key is: never the key itself, which would be shown."""
    found = text(node)
    if "\n" in found or "PRIVATE KEY" in found:
        raise InvalidInput(
            "this is a private key, and where it is should be named",
            reference="bad-value",
            hint="a file, a name of `envbuild key list`, env:VARIABLE or fd:NUMBER",
        )
    if not found or re.search(r"[\x00-\x1f]", found) or re.match(r"[a-z0-9+]+://", found):
        raise InvalidInput(
            f"{places.redacted(found)!r} is no place of a private key",
            reference="bad-value",
            hint="a file, a name of `envbuild key list`, env:VARIABLE or fd:NUMBER",
        )
    return found


READERS: dict[str, Callable[[Node], object]] = {
    "recipes": text,
    "platforms": _platforms,
    "channels": _channels,
    "conda-provides": _provides,
    "conda-format": text,
    "stores": _stores,
    "interpreter": text,
    "python": lambda node: spelling.python_constraint(text(node)),
    "exclude-newer": lambda node: cut_off_text(text(node)),
    "system": _system,
    "reuse-latest": _reuse,
    "policy": read_policy,
    "executor": _executor,
    "builders": _builders,
    "trust": read_trust,
    "trusted": _texts,
    "signing-key": _signing_key,
    "channel-alias": _address,
    "mirrors": _mirrors,
    "index-url": _address,
    "trusted-hosts": _texts,
    "allow-outside-paths": optional_boolean,
    "lock-timeout": _number,
    "build-timeout": _bound,
    "build-log-limit": _bound,
    "jobs": _jobs,
    "durability": text,
    "link": text,
    "clobber": text,
}
"""How each setting is read from a node that the schema has accepted."""
