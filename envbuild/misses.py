"""Why something has to be done: which input is another one than in the last realized version of the same recipe.

A derivation's counterpart in the earlier graph is the one of the same kind that is about the same package. Their key
documents are compared (``envbuild.why``), after the keys in them have been given names: a list of digests says nothing
to anybody, and ``requires[setuptools].version changed from '69.0' to '70.0'`` does.

Rules of the file: pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from envbuild.derivations import Derivation
from envbuild.derivations.fetch import Fetch
from envbuild.digest import Digest, Json
from envbuild.graph import Graph
from envbuild.package import ChannelOrigin, InterpreterOrigin
from envbuild.value import dataclass, replace
from envbuild.why import Reason, compare

Cause = Literal["first", "gone", "changed", "new"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Miss:
    """Why a derivation has to be done.

    Attributes:
        cause: ``first``: nothing of this recipe was realized here before. ``new``: the version before had no such
            thing. ``changed``: it had another one. ``gone``: it had the same one, which is not here any more.
        text: In a few words.
        reasons: What differs, of ``changed``.
        before: The key of the earlier one.
    """

    cause: Cause
    text: str
    reasons: tuple[Reason, ...] = ()
    before: Digest | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """What a derivation is about, apart from its version."""

    kind: str
    name: str
    version: str


class Earlier:
    """The graph of the version before, by what its derivations are about.

    Args:
        graph: None when there was none.
    """

    def __init__(self, graph: Graph | None) -> None:
        self.graph = graph
        self._by_name: dict[tuple[str, str], list[Derivation]] = {}
        for derivation in graph or ():
            about = named(derivation)
            self._by_name.setdefault((about.kind, about.name), []).append(derivation)

    def counterpart(self, derivation: Derivation) -> Derivation | None:
        """What stood in a derivation's place; that of the same version where there are several."""
        about = named(derivation)
        found = self._by_name.get((about.kind, about.name), [])
        return next((item for item in found if named(item).version == about.version), found[0] if found else None)

    def why(self, derivation: Derivation, graph: Graph) -> Miss:
        """Why a derivation of a graph has to be done."""
        if self.graph is None:
            return Miss(cause="first", text="nothing of this recipe was realized here before")
        if derivation.key in self.graph:
            what = "its folder is gone" if derivation.kind == "link" else "it is not here any more"
            return Miss(cause="gone", text=f"as in the last realized version; {what}")
        before = self.counterpart(derivation)
        if before is None:
            return Miss(cause="new", text="new: not in the last realized version")
        reasons = differences(before, self.graph, derivation, graph)
        return Miss(cause="changed", text=_words(before, derivation, reasons), reasons=reasons, before=before.key)


def named(derivation: Derivation) -> Named:
    """What a derivation is about."""
    if isinstance(derivation, Fetch):
        origin = derivation.origin
        conda = isinstance(origin, ChannelOrigin) or derivation.file.endswith((".conda", ".tar.bz2"))
        words = derivation.label.split(" ")
        what = "Python" if isinstance(origin, InterpreterOrigin) else "conda" if conda else "pypi"
        what = "source" if words[-1] == "source" and len(words) > 2 else what
        return Named(kind=f"fetch {what}", name=words[0], version=words[1] if len(words) > 1 else "")
    if derivation.kind == "link":
        return Named(kind="link", name="", version="")  # one in a graph; the name is no part of it
    name, _, version = derivation.label.rpartition(" ")
    return Named(kind=derivation.kind, name=name or version, version=version if name else "")


def differences(old: Derivation, old_graph: Graph, new: Derivation, new_graph: Graph) -> tuple[Reason, ...]:
    """Where the key documents of two derivations differ, with names for the keys in them."""
    found = compare(document(old, old_graph), document(new, new_graph)) or compare(old.document(), new.document())
    said = {reason.path.rpartition(".")[0] for reason in found if reason.path.endswith(".version")}
    return tuple(
        replace(reason, old=_version(reason.old), new=_version(reason.new))
        for reason in found
        if not _repeats(reason, said)
    )


def document(derivation: Derivation, graph: Graph) -> Json:
    """A key document in which inputs are named; ``key`` tells two of one version apart."""
    names = {key: graph[key] for key in derivation.inputs if key in graph}
    counted: dict[str, int] = {}
    for item in names.values():
        counted[_title(item)] = counted.get(_title(item), 0) + 1
    titles = {key: _title(item) if counted[_title(item)] == 1 else item.label for key, item in names.items()}
    tree = derivation.document()
    assert isinstance(tree, Mapping)
    found: dict[str, Json] = {}
    for field, value in tree.items():
        if field == "records" and derivation.kind == "link":
            continue  # digests of what the packages' own lines say: whoever looks at the inputs sees why
        if field in {"asked", "addresses"}:
            found[field] = _renamed(value, titles)
        else:
            found[field] = _expanded(value, titles, names)
    return found


def _expanded(value: Json, titles: Mapping[Digest, str], names: Mapping[Digest, Derivation]) -> Json:
    if isinstance(value, str):
        key = Digest(value)
        return {"name": titles[key], "version": named(names[key]).version, "key": value} if key in names else value
    if isinstance(value, Sequence):
        return [_expanded(item, titles, names) for item in value]
    return value


def _renamed(value: Json, titles: Mapping[Digest, str]) -> Json:
    if isinstance(value, Mapping):
        return {titles.get(Digest(name), name): item for name, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [titles.get(Digest(str(item)), str(item)) for item in value]
    return value


def _title(derivation: Derivation) -> str:
    """A package's name; that of a conda package or of a build with what it is, for one name may stand for several."""
    about = named(derivation)
    return about.name if about.kind == "fetch pypi" else f"{about.name} ({about.kind.removeprefix('fetch ')})"


def _version(value: Json) -> Json:
    """Of an input that was added or removed its version, which is what people know it by."""
    return value["version"] if isinstance(value, Mapping) and value.keys() == {"name", "version", "key"} else value


def _repeats(reason: Reason, said: set[str]) -> bool:
    """Whether a reason only follows from another one: of another version, the key is another one."""
    place, _, last = reason.path.rpartition(".")
    return last == "key" and place in said


def _words(before: Derivation, after: Derivation, reasons: tuple[Reason, ...]) -> str:
    """The change in a few words, for a line of a plan."""
    old, new = named(before), named(after)
    if isinstance(before, Fetch) and isinstance(after, Fetch):
        if old.version != new.version:
            return f"was {old.version}"
        if before.file != after.file:
            return f"was {before.file}"
        return "other bytes of the same name"
    if old.version != new.version:
        return f"was {old.version}"
    words = list(dict.fromkeys(_brief(reason) for reason in reasons if not reason.path.startswith("asked[")))
    words = words or list(dict.fromkeys(map(_brief, reasons)))
    return ", ".join(words[:3]) + (f" and {len(words) - 3} more" if len(words) > 3 else "")


def _brief(reason: Reason) -> str:
    """A reason in a few words: what was added, removed or changed; versions where it is about them."""
    place, _, last = reason.path.rpartition(".")
    inner = place[place.find("[") + 1 : -1] if place.endswith("]") else place
    if last == "version" and place:
        return f"{inner} {reason.old} -> {reason.new}"
    if last == "key" and place:
        return f"{inner} is another file"
    item = reason.path[reason.path.find("[") + 1 : -1] if reason.path.endswith("]") else reason.path
    if reason.change in {"added", "removed"}:
        return f"{'+' if reason.change == 'added' else '-'} {item}"
    return f"{item} {reason.change}"
