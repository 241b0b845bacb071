"""conda's own settings, as far as they say where channels are: for users whom ``.condarc`` has served so far.

::

    channels         the channels of those who name none; all files' together, the nearest first
    channel_alias    where channel names stand
    custom_channels  where some of them stand instead
    default_channels what ``defaults`` means; where nobody says it, ``defaults`` is left out, and told

Theory: a machine's ``.condarc`` says which channels its owner believes and where they are, as envbuild's configuration
does. Locks hold names of channels, so what stands here moves requests and gets into no lock.

Rules of the file: reads the files that conda reads for a user; a file that is no YAML is an error with its place.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING

from envbuild.errors import InvalidInput
from envbuild.pattern import pattern
from envbuild.value import dataclass

if TYPE_CHECKING:
    from envbuild.reading.document import Node

_VARIABLE = pattern(r"\$(?:\{(\w+)\}|(\w+))")


@dataclass(frozen=True, slots=True, kw_only=True)
class Condarc:
    """What the files say together.

    Attributes:
        places: Channels and the folders or servers that they are below, where that is not the alias.
        notes: What cannot count.
    """

    channels: tuple[str, ...] = ()
    alias: str | None = None
    places: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def mirrors(self, alias: str | None) -> dict[str, list[str]]:
        """Addresses of channels, and what is asked instead.

        Args:
            alias: Where channel names stand by configuration.
        """
        from envbuild.machine.locations import engine_channel_alias

        if not self.places:
            return {}
        root = (alias or self.alias or engine_channel_alias()).rstrip("/")
        return {f"{root}/{name}/": [f"{place.rstrip('/')}/{name}/"] for name, place in self.places.items()}


def read_condarc(environ: Mapping[str, str]) -> Condarc:
    """What a user's and the system's files say.

    Args:
        environ: ``CONDARC``, ``XDG_CONFIG_HOME`` and ``HOME`` count, and the variables that the files name.

    Raises:
        InvalidInput: ``bad-settings``, with the place.
    """
    files = [file for file in _files(environ) if file.is_file()]
    if not files:
        return Condarc()
    channels: list[str] = []
    defaults: list[str] = []
    places: dict[str, str] = {}
    alias: str | None = None
    for file in files:
        tree = _read(file)
        channels += _texts(tree.get("channels"), environ)
        defaults += _texts(tree.get("default_channels"), environ)
        alias = alias or next(iter(_texts(tree.get("channel_alias"), environ)), None)
        for name, place in _pairs(tree.get("custom_channels")):
            places.setdefault(name, _filled(place, environ))
    notes = []
    if "defaults" in channels and not defaults:
        notes.append("the channel `defaults` of .condarc is left out: nothing says which channels it means")
    meant = [item for name in channels for item in (defaults if name == "defaults" else [name])]
    return Condarc(channels=tuple(dict.fromkeys(meant)), alias=alias, places=places, notes=tuple(notes))


def _files(environ: Mapping[str, str]) -> Iterator[Path]:
    """The nearest first."""
    if environ.get("CONDARC"):
        yield Path(environ["CONDARC"])
    home = environ.get("HOME")
    if home:
        yield Path(home, ".condarc")
        yield Path(home, ".conda", ".condarc")
    config = environ.get("XDG_CONFIG_HOME") or (str(Path(home, ".config")) if home else None)
    if config:
        yield Path(config, "conda", ".condarc")
    yield Path("/etc/conda/.condarc")


def _read(file: Path) -> dict[str, Node]:
    from envbuild.reading.document import Mapping as Tree
    from envbuild.reading.document import parse

    try:
        root = parse(file.read_bytes(), str(file), when_empty=None)
    except OSError as error:
        raise InvalidInput(f"{file} cannot be read: {error.strerror}", reference="bad-settings") from None
    except InvalidInput as error:
        if error.reference == "empty-file":
            return {}
        raise
    return {key.text: node for key, node in root.entries} if isinstance(root, Tree) else {}


def _texts(node: Node | None, environ: Mapping[str, str]) -> list[str]:
    from envbuild.reading.document import Scalar, items

    return [_filled(item.text, environ) for item in items(node) if isinstance(item, Scalar) and item.text]


def _filled(text: str, environ: Mapping[str, str]) -> str:
    """A text with the variables that are set, as conda fills them in; the others stay as they stand."""
    return _VARIABLE.sub(lambda found: environ.get(found[1] or found[2], found[0]), text)


def _pairs(node: Node | None) -> Iterator[tuple[str, str]]:
    from envbuild.reading.document import Mapping as Tree
    from envbuild.reading.document import Scalar

    if isinstance(node, Tree):
        for key, value in node.entries:
            if isinstance(value, Scalar) and value.text:
                yield key.text, value.text
