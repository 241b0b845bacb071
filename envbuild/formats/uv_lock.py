"""``uv.lock``, version 1 of any revision: one project's packages for every platform at once.

Theory: the file is a graph. Its roots are the project and its dependency groups; an edge says under which marker it
holds; a name may stand several times, once for each fork of the resolution. So the graph is walked for one platform
and one Python from the project down, and what is reached is the environment, with the edges that held. The project
itself is no package of it: a lock holds what a project needs, and the project is what one works on.

Rules of the file: text to value; the walk itself is ``envbuild.formats.uv_walk``.
"""

from __future__ import annotations

from envbuild.errors import InvalidInput
from envbuild.formats import Document
from envbuild.formats.checked import Checked, bare_address, toml_tree
from envbuild.formats.foreign_lock import ForeignLock, Wanted, chosen_environment, chosen_platforms, left_out
from envbuild.formats.targets import TargetPython, choose_python, full_python
from envbuild.formats.uv_walk import Edge, Entry, Walk, source_key
from envbuild.package import PLATFORMS, normalize_pypi_name


def read_lock(document: Document, wanted: Wanted) -> ForeignLock:
    """The packages of a ``uv.lock`` for each wanted platform.

    Raises:
        InvalidInput: When it is malformed, or of another version.
        UsageError: When it does not hold what is wanted.
        UnsatisfiableError: ``no-wheel``.
    """
    tree = toml_tree(document)
    version = tree.integer("version")
    if version is None:
        raise tree.at("version").wrong("a whole number is expected")
    if version != 1:
        raise InvalidInput(
            f"the file is of version {version} of its format, and version 1 is known here",
            reference="foreign-version",
            where=tree.where,
            hint="import what uv makes of it: uv export --format pylock.toml -o pylock.toml",
        )
    entries: dict[str, list[Entry]] = {}
    for item in tree.items("package"):
        entry = _entry(item)
        entries.setdefault(entry.name, []).append(entry)
    root = _root(tree, entries, wanted, document)
    constraint = tree.optional_text("requires-python")
    python = choose_python(constraint, wanted, tree.where)
    notes: list[str] = []
    if root is not None:
        _check_root(root, wanted)
    elif wanted.extras or wanted.groups:
        raise InvalidInput(
            "the file locks no project whose extras or groups could be chosen", reference="no-choice", where=tree.where
        )
    named = chosen_platforms(PLATFORMS, wanted, document) if wanted.platforms else (wanted.here,)
    environments, walks = [], []
    for platform in named:
        target = TargetPython(platform, full_python(constraint, python), wanted.systems[platform])
        walk = Walk(entries=entries, target=target, wanted=wanted, tree=tree, notes=notes)
        walk.start(root)
        environments.append(walk.environment(python))
        walks.append(walk)
    if root is not None:
        notes = _left_out(root, wanted, walks) + notes
    return ForeignLock(
        format="uv-lock",
        environments=tuple(environments),
        name=root.name if root is not None else None,
        indices=_indices(entries),
        notes=tuple(dict.fromkeys(notes)),
    )


def _entry(item: Checked) -> Entry:
    metadata = item.at("metadata") if item.has("metadata") else Checked({}, f"{item.path}.metadata", item.document)
    dev = metadata.at("requires-dev") if metadata.has("requires-dev") else Checked({}, metadata.path, item.document)
    empty_extras = {normalize_pypi_name(name): () for name in metadata.texts("provides-extras")}
    empty_groups = {normalize_pypi_name(name): () for name in (dev.value if isinstance(dev.value, dict) else ())}
    return Entry(
        name=item.pypi_name(),
        version=item.version(),
        source=item.at("source") if item.has("source") else Checked({}, f"{item.path}.source", item.document),
        forks=item.texts("resolution-markers"),
        dependencies=_edges(item, "dependencies"),
        optional=empty_extras | _named_edges(item, "optional-dependencies"),
        groups=empty_groups | _named_edges(item, "dev-dependencies"),
        here=item,
    )


def _edges(item: Checked, name: str) -> tuple[Edge, ...]:
    return tuple(_edge(one) for one in item.items(name))


def _named_edges(item: Checked, key: str) -> dict[str, tuple[Edge, ...]]:
    """Extras or groups by their names."""
    return {
        normalize_pypi_name(name): _edges(Checked({"edges": group.value}, group.path, group.document), "edges")
        for name, group in item.entries(key)
    }


def _edge(item: Checked) -> Edge:
    return Edge(
        name=item.pypi_name(),
        version=item.version(),
        source=source_key(item.at("source")) if item.has("source") else None,
        extras=tuple(sorted(normalize_pypi_name(extra) for extra in item.texts("extra"))),
        marker=item.optional_text("marker"),
    )


def _root(tree: Checked, entries: dict[str, list[Entry]], wanted: Wanted, document: Document) -> Entry | None:
    """The project that the lock is for: the one in the file's own folder, or the member that is asked for."""
    members = (
        [normalize_pypi_name(name) for name in tree.at("manifest").texts("members")] if tree.has("manifest") else []
    )
    places = [several[0] for several in entries.values() if several[0].place is not None]
    own = next((item for item in places if item.place == "."), None)
    roots = [item for item in places if item is own or item.name in members]
    empty = own is not None and not own.dependencies and not wanted.extras and not wanted.groups
    if wanted.environment is None and own is not None and not (empty and len(roots) > 1):
        return own
    if empty and wanted.environment is None:
        roots = [item for item in roots if item is not own]
    if not roots and wanted.environment is None:
        return None
    chosen = chosen_environment(tuple(sorted(item.name for item in roots)), wanted, document)
    return next(item for item in roots if item.name == chosen)


def _check_root(root: Entry, wanted: Wanted) -> None:
    for kind, chosen, there in (("extra", wanted.extras, root.optional), ("group", wanted.groups, root.groups)):
        unknown = sorted(set(chosen) - set(there))
        if unknown:
            raise InvalidInput(
                f"{root.name} has no {kind} {unknown[0]!r}" + (f", but {', '.join(sorted(there))}" if there else ""),
                reference="unknown-group",
                where=root.here.where,
            )


def _left_out(root: Entry, wanted: Wanted, walks: list[Walk]) -> list[str]:
    """What of the project is not taken: an extra or group that brings nothing more is none of it."""
    notes = []
    for kind, chosen, there in (("extra", wanted.extras, root.optional), ("group", wanted.groups, root.groups)):
        left = [
            name
            for name, edges in sorted(there.items())
            if name not in chosen and any(walk.lacks(root, kind, name, edges) for walk in walks)
        ]
        if left:
            notes.append(left_out(kind, f"{kind}s", left, f"--{kind}", root.name))
    if root.place is not None and "virtual" not in root.source.value:
        notes.append(f"left out: {root.name} itself, the project that the file locks")
    return notes


def _indices(entries: dict[str, list[Entry]]) -> tuple[str, ...]:
    found = [
        bare_address(item.source.text("registry"), item.source)
        for several in entries.values()
        for item in several
        if item.source.has("registry") and "://" in item.source.text("registry")
    ]
    return tuple(dict.fromkeys(found))
