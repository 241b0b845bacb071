"""One decorator's attributes become a value: what it asks for, or every reason why it cannot be read.

Both generations of decorators are read: Metaflow's own (``@conda(packages=…)``), the predecessor's
(``@pip(sources=…)``, ``@conda(pip_packages=…, name=…)``) and those of the manual. An old spelling means what it always
meant, and is said once.

Rules of the file: pure; names and versions pass the same grammar as in a recipe; a fault never hides another one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from envbuild.errors import InvalidInput, Issue
from envbuild.metaflow.asked import Asked, Base, By, Declared, Package, Text
from envbuild.metaflow.substituting import substituted, variables
from envbuild.names import parse_name, parse_pathspec
from envbuild.package import normalize_pypi_name
from envbuild.reading import spelling
from envbuild.value import replace

_FORMER = {
    "pip_packages": "@pypi{}(packages=…)",
    "pip_sources": "@pypi{}(extra_indices=…)",
    "sources": "extra_indices=…",
    "name": "@named_env{}(name=…)",
    "pathspec": "@named_env{}(pathspec=…)",
    "fetch_at_exec": "@named_env{}(fetch_at_exec=…)",
}
"""Attributes that were written differently, and how they are written now; ``{}`` is for ``_base``."""

_OWN = {"named_env": {"name", "pathspec", "fetch_at_exec"}}
"""Attributes that are no old spelling on these decorators."""

_LABELS: Mapping[str, tuple[Callable[[str], Any], str]] = {
    "name": (parse_name, 'name="team/project/train:v1"'),
    "pathspec": (parse_pathspec, 'pathspec="Flow/12/train"'),
}
"""Attributes that name an environment: how each is read, and what it looks like."""


_TOLD = {"named_env": ("name", 'name="team/project/train:v1"'), "recipe": ("path", 'path="recipes/train.yaml"')}
"""Decorators that mean nothing without this: what it is called, and what it looks like."""


def declared(by: By, attributes: Mapping[str, Any], folder: str, kind: str | None = None) -> Declared:
    """What one decorator says.

    Args:
        by: The decorator.
        attributes: Its attributes, evaluated; None and empty ones say nothing.
        folder: What the paths of recipes are relative to: the flow's folder.
        kind: The decorator that it is read as, when it extends one of ours under another name.

    Raises:
        InvalidInput: Every finding, each with the decorator's place.
    """
    reader = _Reader(by, folder, kind or by.decorator)
    for name, value in attributes.items():
        if value is not None and not (isinstance(value, (dict, list, tuple, str)) and not value):
            reader.read(name, value)
    return reader.declared()


class _Reader:
    """Takes one attribute after the other."""

    def __init__(self, by: By, folder: str, kind: str) -> None:
        self.issues: list[Issue] = []
        self._by = by
        self._folder = folder
        self._kind = kind.removesuffix("_base")
        self._notes: list[str] = []
        self._python: Text | None = None
        self._disabled: bool | None = None
        self._base: Base | None = None
        self._late: bool | None = None
        self._bytecode: Text | None = None
        self._conda: dict[str, Package] = {}
        self._pypi: dict[str, Package] = {}
        self._channels: list[Text] = []
        self._indices: list[Text] = []
        if self._kind == "pip":
            self._old(str(by), f"@{kind.replace('pip', 'pypi')}")

    def declared(self) -> Declared:
        """What was read.

        Raises:
            InvalidInput: Every finding.
        """
        if self._kind in _TOLD and self._base is None and not self.issues and not self._late:
            what, example = _TOLD[self._kind]
            self._fault(f"there is no {what}", hint=example)
        asked = Asked(
            python=self._python,
            conda=tuple(self._conda[name] for name in sorted(self._conda)),
            channels=tuple(self._channels),
            pypi=tuple(self._pypi[name] for name in sorted(self._pypi)),
            indices=tuple(self._indices),
            base=self._with_lateness(),
            bytecode=self._bytecode,
        )
        if self.issues:
            raise InvalidInput.of(tuple(self.issues))
        return Declared(by=self._by, asked=asked, disabled=self._disabled, notes=tuple(self._notes))

    def read(self, name: str, value: Any) -> None:
        """Take one attribute."""
        if name in _FORMER and name not in _OWN.get(self._kind, set()) and value is not False:
            suffix = "_base" if self._by.step is None else ""
            self._old(f"{name}=… in {self._by}", _FORMER[name].format(suffix))
        if name == "packages":
            self._packages(name, value, self._conda if self._kind == "conda" else self._pypi)
        elif name == "libraries":
            self._packages(name, value, self._conda)
        elif name == "pip_packages":
            self._packages(name, value, self._pypi)
        elif name == "channels":
            self._places(name, value, self._channels, lambda text: text.startswith((".", "/")))
        elif name in {"extra_indices", "sources", "pip_sources"}:
            self._places(name, value, self._indices, lambda text: ":" not in text and not text.startswith("-"))
        elif name == "python":
            self._read_python(value)
        elif name == "disabled":
            self._read_disabled(value)
        elif name in _LABELS:
            self._read_named(name, value)
        elif name == "path":
            self._read_path(value)
        elif name == "fetch_at_exec":
            self._late = self._truth(name, value)
        elif name == "bytecode" and (said := self._truth(name, value)) is not None:
            self._bytecode = Text(text=str(said).lower(), by=self._by)

    def _old(self, written: str, now: str) -> None:
        self._notes.append(f"{written} is an old spelling: write {now}")

    def _fault(self, message: str, reference: str = "bad-decorator", hint: str | None = None) -> None:
        self.issues.append(
            Issue(message=f"{self._by}: {message}", reference=reference, where=self._by.where, hint=hint)
        )

    def _checked(self, name: str, check: Callable[[str], Any], text: str) -> Any:
        """What a check of a recipe's grammar makes of a text; None when it does not pass."""
        try:
            return check(text)
        except InvalidInput as error:
            hint = error.hint
            if hint and error.reference == "bad-name" and "as the value" in hint:
                hint = f"the version is the value: {name}={{{text.partition('=')[0].rstrip('<>!~ ')!r}: …}}"
            self._fault(f"{name}: {error.message}", error.reference, hint)
            return None

    def _packages(self, name: str, value: Any, packages: dict[str, Package]) -> None:
        if not isinstance(value, Mapping):
            self._fault(f"{name} is not a dict", hint=f'{name}={{"numpy": "1.26.4"}}')
            return
        conda = packages is self._conda
        mine: dict[str, Package] = {}
        for key, version in value.items():
            if not isinstance(key, str) or not (version is None or isinstance(version, str)):
                shown = f"{key!r}: {version!r}"
                self._fault(
                    f"{name}: {shown} is not text", hint=f'{name}={{"{key}": "{version}"}}: a number loses zeros'
                )
                continue
            if key.strip().lower() == "python":  # no package of a step's, but what it runs in
                self._read_python(version or None)
                continue
            found = self._conda_package(name, key, version) if conda else self._pypi_package(name, key, version)
            if found is not None and mine.setdefault(found.name, found) != found:
                self._fault(f"{name}: {found.name} stands there twice, and not alike", hint="say it once")
        packages.update({**mine, **packages} if name == "libraries" else mine)  # `packages` wins, as in Metaflow itself

    def _conda_package(self, attribute: str, key: str, version: str | None) -> Package | None:
        channel, separator, bare = key.strip().rpartition("::")
        name = self._checked(attribute, spelling.conda_name, bare)
        text = (version or "").strip()
        self._checked(f"{attribute}: {bare}", spelling.conda_constraint, text)
        if name is None:
            return None
        return Package(key=f"{channel}{separator}{name}", name=name, version=text, by=self._by)

    def _pypi_package(self, attribute: str, key: str, version: str | None) -> Package | None:
        words, text = key.strip(), (version or "").strip()
        source: tuple[tuple[str, str], ...] = ()
        if "@" in words or text.startswith("@"):
            named, _, place = f"{words} {text}".partition("@")
            path = self._path(place.strip(), lambda text: text.startswith((".", "/", "file:")))
            if path is None:
                return self._source(attribute, f"{words} {text}".strip())
            words, text, source = named.strip(), "", (("path", path),)
        found = self._checked(attribute, spelling.pypi_requirement_name, words)
        self._checked(f"{attribute}: {words}", spelling.pypi_constraint, text)
        if found is None:
            return None
        name, extras = found
        key = f"{name}[{','.join(extras)}]" if extras else name
        name = normalize_pypi_name(name)
        return Package(key=key, name=name, version="" if text == "*" else text, source=source, by=self._by)

    def _path(self, text: str, is_path: Callable[[str], bool]) -> str | None:
        """A folder or file of this machine, absolute; None for what is none. The flow's folder is where it begins."""
        if not is_path(text):
            return None
        plain = text.removeprefix("file:").removeprefix("//")
        return os.path.normpath(os.path.join(self._folder, plain))  # noqa: PTH118  text to text

    def _source(self, attribute: str, words: str) -> Package | None:
        """``name @ git+https://…``, in one word or as key and value."""
        from envbuild.errors import UsageError
        from envbuild.reading.typed_requirement import parse_typed

        try:
            typed = parse_typed(words, "pypi")
        except (InvalidInput, UsageError) as error:
            self._fault(f"{attribute}: {error.message}", error.reference, error.hint)
            return None
        return Package(key=typed.key, name=typed.name, version=typed.version, source=typed.extra, by=self._by)

    def _places(self, name: str, value: Any, texts: list[Text], is_path: Callable[[str], bool]) -> None:
        if (
            isinstance(value, str)
            or not isinstance(value, Sequence)
            or not all(isinstance(item, str) for item in value)
        ):
            self._fault(f"{name} is not a list of texts", hint=f'{name}=["…"]')
            return
        for item in map(str.strip, value):
            text = self._path(item, is_path) or item
            if text and text not in {known.text for known in texts}:
                texts.append(Text(text=text, by=self._by))

    def _read_python(self, value: Any) -> None:
        if value is None:
            return
        if isinstance(value, float) and len(str(value)) < len("3.10"):
            self._fault(f"python={value} is a number, in which 3.1 and 3.10 are the same", hint=f'python="{value}"')
            return
        if not isinstance(value, (str, int, float)) or isinstance(value, bool):
            self._fault(f"python={value!r} is not text", hint='python="3.12"')
            return
        text = str(value).strip()
        if self._checked("python", spelling.python_constraint, text) is None:
            return
        if self._python is not None and self._python.text != text:
            self._fault(f"python is {self._python.text}, and {text} too", hint="say it once")
        self._python = Text(text=text, by=self._by)

    def _read_disabled(self, value: Any) -> None:
        self._disabled = self._truth("disabled", value)

    def _truth(self, name: str, value: Any) -> bool | None:
        """A value that is true or false; None after a finding."""
        words = {"true": True, "false": False}
        if str(value).lower() not in words:
            self._fault(f"{name}={value!r} is neither True nor False", hint=f"{name}=True")
        return words.get(str(value).lower())

    def _read_named(self, kind: str, value: Any) -> None:
        """``name`` or ``pathspec``; what stands in for variables is checked when they are known."""
        parse, example = _LABELS[kind]
        if not isinstance(value, str):
            self._fault(f"{kind}={value!r} is not text", hint=example)
        elif self._base is not None:
            self._fault("name and pathspec are two ways to name one environment", hint="say one of the two")
        else:
            plain = substituted(value, dict.fromkeys(variables(value), "0"))
            found = self._checked(kind, parse, plain)
            if found is not None:
                self._base = Base(kind=kind, text=value if plain != value else str(found), by=self._by)

    def _with_lateness(self) -> Base | None:
        """The base, with what ``fetch_at_exec`` says of it."""
        base = self._base
        if self._late:
            if base is None:
                self._fault("fetch_at_exec=True is for a named environment", hint='name="team/project/train:v1"')
            return base and replace(base, late=True)
        if base is not None and variables(base.text):
            words = f"{base.kind}={base.text!r} has variables, which are known when a task starts"
            self._fault(words, hint="add fetch_at_exec=True")
        return base

    def _read_path(self, value: Any) -> None:
        if not isinstance(value, str):
            self._fault(f"path={value!r} is not text", hint='path="recipes/train.yaml"')
            return
        file = os.path.abspath(os.path.join(self._folder, value))  # noqa: PTH118  text to text
        if not file.endswith((".yaml", ".yml")) or file.endswith(".lock.yaml"):
            self._fault(f"path={value!r} is not the file of a recipe", hint='path="recipes/train.yaml"')
            return
        self._base = Base(kind="recipe", text=file, by=self._by)
