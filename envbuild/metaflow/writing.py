"""What a step asks for becomes the text of a recipe.

A recipe says what the decorators say, and what they leave to Metaflow: the Python that runs the flow, a channel where
one is needed and nobody names one, and what Metaflow itself needs in a step, under a heading of its own. Each line
remembers who said it, so that whatever envbuild finds wrong in the recipe is told of the decorator.

Rules of the file: pure; the same asked gives the same bytes.
"""

from __future__ import annotations

import json
import posixpath
from collections.abc import Callable, Iterator, Mapping
from dataclasses import field
from typing import TYPE_CHECKING

from envbuild.pattern import pattern
from envbuild.value import dataclass

if TYPE_CHECKING:
    from envbuild.metaflow.asked import Asked, Base, By, Package

DEFAULT_CHANNEL = "conda-forge"
"""Where conda packages come from when neither code nor configuration names a channel, as in Metaflow itself."""

_PLAIN = pattern(r"[A-Za-z./][A-Za-z0-9_./@:-]*[A-Za-z0-9_/]")
_WORDS = frozenset({"true", "false", "null", "yes", "no", "on", "off"})

NEEDS_HEADING = "what Metaflow itself needs in a step"


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What a base has.

    Attributes:
        interpreter: Where its Python comes from.
        packages: Names of what it holds, as far as that is known.
    """

    interpreter: str
    packages: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What decides besides decorators.

    Attributes:
        python: X.Y of the Python that runs the flow.
        interpreter: Where recipes that say nothing take Python from.
        channels: Those of recipes that name none, by configuration.
        conda_channels: What Metaflow's ``CONDA_CHANNELS`` names.
        needs: What Metaflow needs in a step: packages and versions.
        known: The same with every datastore that there is: a committed recipe may serve runs with several.
        standing: What an environment has that is a base by name or pathspec; None where nobody can say.
    """

    python: str
    interpreter: str = "conda"
    channels: tuple[str, ...] = ()
    conda_channels: tuple[str, ...] = ()
    needs: Mapping[str, str] = field(default_factory=dict)
    known: Mapping[str, str] = field(default_factory=dict)
    standing: Callable[[Base], Standing] | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """The text of a recipe.

    Attributes:
        said: The decorator behind each line that has one, by line, from 1.
    """

    text: str
    said: Mapping[int, By]


def written(
    asked: Asked,
    surroundings: Surroundings,
    *,
    folder: str,
    platforms: tuple[str, ...] = (),
    base: Standing | None = None,
    comments: tuple[str, ...] = (),
) -> Written:
    """The recipe of a step.

    Args:
        asked: What its decorators come to.
        surroundings: What decides besides them.
        folder: The recipe's folder, which paths in it are relative to.
        platforms: What it says it is for; empty to leave it to the configuration.
        base: What its base has, when it has one.
        comments: Lines for the top.
    """
    lines: list[tuple[str, By | None]] = [(f"# {line}", None) for line in comments]
    if platforms:
        lines.append((f"platforms: [{', '.join(platforms)}]", None))
    if asked.python is not None:
        lines.append((f"python: {json.dumps(asked.python.text)}", asked.python.by))
    elif asked.base is None:
        lines.append((f"python: {json.dumps(surroundings.python)}", None))
    conda_python = asked.base is None and (bool(asked.conda) or surroundings.interpreter == "conda")
    if conda_python and surroundings.interpreter != "conda":
        lines.append(("interpreter: conda", asked.conda[0].by))
    if asked.bytecode is not None:
        lines.append((f"bytecode: {asked.bytecode.text}", asked.bytecode.by))
    lines += _base_lines(asked, folder)
    there = _names(asked) | (base.packages if base is not None else frozenset())
    needs = {name: version for name, version in surroundings.needs.items() if name not in there}
    with_conda = _needs_conda(asked, base.interpreter if base is not None else None, conda_python=conda_python)
    of_conda, of_pypi = (needs, {}) if with_conda else ({}, needs)
    lines += _conda_lines(asked, surroundings, of_conda, folder, conda_python=conda_python)
    lines += _pypi_lines(asked, of_pypi, folder)
    return Written(
        text="".join(f"{line}\n" for line, _ in lines),
        said={number: by for number, (_, by) in enumerate(lines, 1) if by is not None},
    )


def _names(asked: Asked) -> set[str]:
    return {item.name for item in (*asked.conda, *asked.pypi)}


def _needs_conda(asked: Asked, base_interpreter: str | None, *, conda_python: bool) -> bool:
    """Whether Metaflow's own needs are asked of conda: where packages are, else where Python is."""
    if asked.conda or asked.pypi:
        return bool(asked.conda) and base_interpreter in {None, "conda"}
    return base_interpreter == "conda" if asked.base is not None else conda_python


def _base_lines(asked: Asked, folder: str) -> Iterator[tuple[str, By | None]]:
    if asked.base is None:
        return
    if asked.base.kind == "recipe":
        yield f"extends: {_quoted(posixpath.relpath(asked.base.text, folder))}", asked.base.by
    else:
        yield f"extends: {{{asked.base.kind}: {json.dumps(asked.base.text)}}}", asked.base.by


def _channels(asked: Asked, surroundings: Surroundings) -> tuple[str, ...]:
    """The channels of the decorators, and then those that are there anyway."""
    further = surroundings.channels or surroundings.conda_channels or (DEFAULT_CHANNEL,)
    return tuple(dict.fromkeys((*(item.text for item in asked.channels), *further)))


def _conda_lines(
    asked: Asked, surroundings: Surroundings, needs: Mapping[str, str], folder: str, *, conda_python: bool
) -> Iterator[tuple[str, By | None]]:
    of_base = asked.base is not None and asked.base.kind == "recipe"
    silent = bool(surroundings.channels or of_base) or not (conda_python or asked.conda or needs)
    channels = () if silent and not asked.channels else _channels(asked, surroundings)
    if not channels and not asked.conda and not needs:
        return
    yield "", None
    yield "conda:", None
    if channels:
        words = ", ".join(_quoted(_place(item, folder)) for item in channels)
        yield f"  channels: [{words}]", asked.channels[0].by if asked.channels else None
    yield from _packages(asked.conda, needs, folder)


def _pypi_lines(asked: Asked, needs: Mapping[str, str], folder: str) -> Iterator[tuple[str, By | None]]:
    if not (asked.pypi or asked.indices or needs):
        return
    yield "", None
    yield "pypi:", None
    if asked.indices:
        yield "  extra-indices:", None
        for index in asked.indices:
            yield f"    - {_quoted(_place(index.text, folder))}", index.by
    yield from _packages(asked.pypi, needs, folder)


def _packages(packages: tuple[Package, ...], needs: Mapping[str, str], folder: str) -> Iterator[tuple[str, By | None]]:
    if packages or needs:
        yield "  packages:", None
    for item in packages:
        yield f"    {_quoted(item.key)}:{_value(item, folder)}", item.by
    if needs:
        yield f"    # {NEEDS_HEADING}", None
    for name, version in sorted(needs.items()):
        yield f"    {_quoted(name)}: {json.dumps(version)}" if version else f"    {_quoted(name)}:", None


def _place(text: str, folder: str) -> str:
    """A path of this machine as one from a recipe's folder; anything else as it is."""
    if not text.startswith("/"):
        return text
    relative = posixpath.relpath(text, folder)
    return relative if relative.startswith(".") else f"./{relative}"


def _value(package: Package, folder: str) -> str:
    if not package.source:
        return f" {json.dumps(package.version)}" if package.version else ""
    source = {key: _place(value, folder) if key == "path" else value for key, value in package.source}
    told = source | ({"version": package.version} if package.version else {})
    return " {" + ", ".join(f"{key}: {json.dumps(value)}" for key, value in told.items()) + "}"


def _quoted(text: str) -> str:
    """A text as YAML, in quotes where it would be taken for something else."""
    plain = _PLAIN.fullmatch(text) and text.lower() not in _WORDS and ": " not in text
    return text if plain else json.dumps(text, ensure_ascii=False)
