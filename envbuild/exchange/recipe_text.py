"""The text of a recipe, as a person would have written it.

Theory: an imported recipe is the beginning of one that people will edit, so it is written like one: the keys in the
order of the manual, nothing that says nothing, and comments where something was lost on the way. What is written is
read again before it is kept, so a name that YAML would take for something else cannot slip through.

Rules of the file: values in, text out.
"""

from __future__ import annotations

import json
import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import field
from typing import Any

from envbuild.exchange.asking import Asked, Value
from envbuild.package import Platform
from envbuild.pattern import pattern
from envbuild.value import dataclass, replace

_PLAIN = pattern(r"[A-Za-z_./][A-Za-z0-9_./@:+-]*[A-Za-z0-9_/+-]|[A-Za-z]")
_WORDS = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})
_COMMENT_WIDTH = 110


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipeDraft:
    """All that a written recipe says.

    Attributes:
        comments: Lines for the top, without ``#``.
        python: ``X.Y``, or a constraint.
        indices: ``pypi: extra-indices``, in order: addresses, or mappings of a name and an address.
        folder: The project's root from the recipe's own folder (``.``, ``..``): paths here are from the root.
        settings: Further keys of ``pypi``. ``build``: what stands under ``build``, by name.
    """

    asked: Asked
    platforms: tuple[Platform, ...]
    folder: str = "."
    comments: tuple[str, ...] = ()
    name: str | None = None
    python: str | None = None
    interpreter: str | None = None
    system: tuple[tuple[str, str], ...] = ()
    channels: tuple[str, ...] = ()
    index: str | None = None
    indices: tuple[str | dict[str, Any], ...] = ()
    find_links: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    conda_constraints: Mapping[str, Value] = field(default_factory=dict)
    constraints: Mapping[str, Value] = field(default_factory=dict)
    overrides: Mapping[str, Value] = field(default_factory=dict)
    build: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def recipe_text(draft: RecipeDraft) -> str:
    """The text of a recipe file."""
    draft = _from_recipe(draft)
    lines: list[str] = []
    for comment in draft.comments:
        lines += [f"# {line}".rstrip() for line in _wrapped(comment)]
    if lines:
        lines.append("")
    if draft.name is not None:
        lines.append(f"name: {quoted(draft.name)}")
    if draft.platforms:
        lines.append(f"platforms: [{', '.join(draft.platforms)}]")
    if draft.python is not None:
        lines.append(f"python: {json.dumps(draft.python)}")
    if draft.interpreter is not None:
        lines.append(f"interpreter: {draft.interpreter}")
    if draft.system:
        lines.append("system:")
        lines += [f"  {name}: {json.dumps(version)}" for name, version in draft.system]
    lines += _conda_lines(draft)
    lines += _pypi_lines(draft)
    lines += _target_lines(draft.asked)
    if draft.build:
        lines += ["", "build:", *(f"  {quoted(name)}: {_flow(told)}" for name, told in draft.build.items())]
    if draft.variables:
        lines += ["", "variables:"]
        lines += [f"  {quoted(name)}: {_flow(value)}" for name, value in draft.variables.items()]
    return "\n".join(lines) + "\n"


def _from_recipe(draft: RecipeDraft) -> RecipeDraft:
    """The draft with its paths from the recipe's folder, as a recipe has them."""
    if draft.folder == ".":
        return draft

    def place(text: str) -> str:
        return posixpath.join(draft.folder, text[2:]) if text.startswith("./") else text

    def packages(values: Mapping[str, Value]) -> Mapping[str, Value]:
        return {
            name: {**value, "path": posixpath.join(draft.folder, value["path"])}
            if isinstance(value, dict) and "path" in value
            else value
            for name, value in values.items()
        }

    asked = draft.asked
    targets = {platform: (packages(conda), packages(pypi)) for platform, (conda, pypi) in asked.targets.items()}
    return replace(
        draft,
        asked=Asked(conda=packages(asked.conda), pypi=packages(asked.pypi), targets=targets),
        channels=tuple(place(item) for item in draft.channels),
        index=place(draft.index) if draft.index is not None else None,
        indices=tuple(
            place(item) if isinstance(item, str) else {**item, "url": place(item["url"])} for item in draft.indices
        ),
        find_links=tuple(place(item) for item in draft.find_links),
        constraints=packages(draft.constraints),
        overrides=packages(draft.overrides),
    )


def _wrapped(text: str) -> list[str]:
    import textwrap

    safe = "".join(item if item.isprintable() else "?" for item in " ".join(text.split()))
    return textwrap.wrap(safe, _COMMENT_WIDTH, break_on_hyphens=False) or [""]


def _conda_lines(draft: RecipeDraft) -> Iterator[str]:
    if not (draft.channels or draft.asked.conda or draft.conda_constraints):
        return
    yield ""
    yield "conda:"
    if draft.channels:
        yield f"  channels: {_flow(list(draft.channels))}"
    for key, packages in (("packages", draft.asked.conda), ("constraints", draft.conda_constraints)):
        if packages:
            yield f"  {key}:"
            yield from _entries(packages, "    ")


def _pypi_lines(draft: RecipeDraft) -> Iterator[str]:
    sections = (
        ("packages", draft.asked.pypi),
        ("constraints", draft.constraints),
        ("overrides", draft.overrides),
    )
    settings = {
        "index": draft.index,
        "extra-indices": list(draft.indices),
        "find-links": list(draft.find_links),
        **draft.settings,
    }
    if not any(settings.values()) and not any(packages for _, packages in sections):
        return
    yield ""
    yield "pypi:"
    for key, value in settings.items():
        if value:
            yield f"  {key}: {_flow(value)}"
    for key, packages in sections:
        if packages:
            yield f"  {key}:"
            yield from _entries(packages, "    ")


def _target_lines(asked: Asked) -> Iterator[str]:
    if not asked.targets:
        return
    yield ""
    yield "targets:"
    for platform, (conda, pypi) in sorted(asked.targets.items()):
        yield f"  {platform}:"
        for key, packages in (("conda", conda), ("pypi", pypi)):
            if packages:
                yield f"    {key}:"
                yield "      packages:"
                yield from _entries(packages, "        ")


def _entries(packages: Mapping[str, Value], indent: str) -> Iterator[str]:
    for name, value in packages.items():
        if value is None:
            yield f"{indent}{quoted(name)}:"
        elif isinstance(value, str):
            yield f"{indent}{quoted(name)}: {json.dumps(value)}"
        else:
            yield f"{indent}{quoted(name)}: {_flow(value)}"


def _flow(value: Any) -> str:
    """A value on one line, as YAML's flow style has it."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{quoted(key)}: {_flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_flow(item) if isinstance(item, Mapping) else quoted(item) for item in value) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value, ensure_ascii=False)


def quoted(text: str) -> str:
    """A text as YAML, in quotes where it would be taken for something else."""
    plain = _PLAIN.fullmatch(text) and text.lower() not in _WORDS and ": " not in text and not text.endswith(":")
    return text if plain else json.dumps(text, ensure_ascii=False)
