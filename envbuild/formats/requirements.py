"""``requirements.txt``: what pip reads, and the lines that the predecessor added for conda.

Theory: a requirements file holds three things. Requirements become a recipe's. Settings of where to look (indices,
find-links, pre-releases, wheels only) become a recipe's too. Settings of a machine or of pip itself (trusted hosts,
features) mean nothing here and are noted. What would make two machines read the same file differently (variables,
other encodings, files behind addresses), and what cannot be locked (an editable folder), is refused.

pip's own order holds: a later ``--index-url`` replaces an earlier one, ``-r`` and ``-c`` are relative to their file.

Rules of the file: other files come through the document's ``opened``; each is read once, and a circle is refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from envbuild.digest import Digest
from envbuild.errors import InvalidInput, Where
from envbuild.formats import Document, Foreign
from envbuild.formats.asked import Asked
from envbuild.formats.requirement_line import read_line
from envbuild.formats.requirement_options import Option, options
from envbuild.formats.requirement_settings import SETTINGS, SettingsReader
from envbuild.formats.requirement_text import Line, decode, lines, split_options
from envbuild.pattern import pattern
from envbuild.recipe import PypiRequirement
from envbuild.value import replace

MOST_FILES = 200
"""Files that a requirements file may name, directly or not."""
DEEPEST = 32
"""How deep files may name files."""

_VARIABLE = pattern(r"\$\{[A-Z0-9_]+\}")
_HASH = pattern(r"(sha256|sha384|sha512|md5|sha1|sha224):([0-9A-Fa-f]+)")


def read(document: Document) -> Foreign:
    """A requirements file and those that it names.

    Raises:
        InvalidInput: With every finding of all of them.
    """
    if document.chosen:
        raise InvalidInput(
            "a requirements file has no parts to choose",
            reference="bad-choice",
            where=document.where(),
            hint="name the file",
        )
    asked = Asked()
    read_into(asked, document)
    return asked.foreign()


def read_into(asked: Asked, document: Document, *, constraint: bool = False) -> None:
    """Add what a requirements file asks for to what another file asks for.

    Args:
        asked: What is added to.
        document: The file.
        constraint: Whether its requirements only bound what others ask for.
    """
    reader = Reader(asked, document)
    reader.file(constraint=constraint)
    reader.finish()


class Reader(SettingsReader):
    """Reads one requirements file, and through itself the files that it names."""

    def __init__(self, asked: Asked, document: Document) -> None:
        super().__init__(asked, document)
        self.stack: list[str] = [document.file]
        self.seen: set[tuple[str, bool]] = {(document.file, False)}
        self.hashes_needed: Where | None = None
        self.read_packages: list[PypiRequirement] = []

    def file(self, *, constraint: bool = False) -> None:
        """Every line of the current document."""
        try:
            for line in lines(decode(self.document), self.document.shown(self.document.file)):
                self.line(line, constraint)
        except InvalidInput as error:
            if error.reference == "too-large" and not error.issues:
                self.asked.issue(error.where, error.reference, error.message, error.hint)
                raise InvalidInput.of(tuple(self.asked.issues)) from None
            if error.issues:
                raise
            self.asked.refused(error, self.document.where())

    def line(self, line: Line, constraint: bool) -> None:
        """One line: a requirement with its options, or options."""
        if found := _VARIABLE.search(line.text):
            self.asked.issue(
                line.where(found.start()),
                "environment-variable",
                f"{found[0]} would be another one on each machine, and what is locked is the same on all",
                "write what it stands for; credentials belong into ~/.netrc or your own settings, without the variable",
            )
            return
        try:
            text, words = split_options(line)
            every = tuple(options(words, line))
        except InvalidInput as error:
            self.asked.refused(error, line.where())
            return
        if text:
            self.requirement(text, every, line, constraint)
            return
        for option in every:
            _OPTIONS[option.name](self, option, line.where(option.offset), constraint)

    def requirement(self, text: str, every: tuple[Option, ...], line: Line, constraint: bool) -> None:
        """A requirement, and the options that may stand behind it."""
        item = read_line(text, line.where(), self.document, self.asked)
        hashes: set[Digest] = set()
        settings: dict[str, str] = {}
        for option in every:
            where = line.where(option.offset)
            if option.name == "--hash":
                hashes |= self.hash(option.value, where)
            elif option.name == "--config-settings":
                key, equals, value = option.value.partition("=")
                if equals and key.strip():
                    settings[key.strip()] = value
                else:
                    self.asked.issue(where, "bad-value", f"{option.value[:60]!r} is no setting", "write KEY=VALUE")
            elif option.name in {"--global-option", "--install-option"}:
                self.asked.issue(
                    where,
                    "not-available",
                    f"{option.name} is gone: it was for setup.py alone",
                    "write `build: {name: {config-settings: {…}}}` in the recipe",
                )
            elif option.name in {"--conda-pkg", "--conda-channel", "--sys-pkg"}:
                _OPTIONS[option.name](self, option, where, constraint)
            else:
                self.asked.note(
                    where,
                    "no-meaning",
                    f"{option.name} behind a requirement has no effect, in pip neither",
                    "give it a line of its own",
                )
        if item is None:
            return
        item = replace(item, hashes=tuple(sorted(hashes)))
        if constraint:
            self.constraint(item)
            return
        self.asked.packages.append(item)
        self.read_packages.append(item)
        if settings:
            self.asked.settings.setdefault(item.name, {}).update(settings)

    def constraint(self, item: PypiRequirement) -> None:
        """A line of a constraints file."""
        if item.extras:
            self.asked.issue(
                item.where, "bad-requirement", "a constraint has no extras", f"write {item.name}{item.version}"
            )
            return
        self.asked.constraints.append(item)

    def hash(self, value: str, where: Where) -> set[Digest]:
        """The sha256 of a ``--hash``; nothing for other algorithms, which a lock does not have."""
        found = _HASH.fullmatch(value)
        if found is None or (found[1] == "sha256" and len(found[2]) != 64):
            self.asked.issue(where, "bad-hash", f"{value[:80]!r} is no hash", "write --hash=sha256:… with 64 digits")
            return set()
        if found[1] != "sha256":
            if found[1] in {"md5", "sha1", "sha224"}:
                self.asked.issue(where, "bad-hash", f"{found[1]} proves nothing", "write --hash=sha256:…")
            else:
                self.asked.note(where, "lost", f"a {found[1]} is not checked: locks hold sha256", "add --hash=sha256:…")
            return set()
        return {Digest(found[2].lower())}

    def finish(self) -> None:
        """What can be said only when everything was read."""
        if self.hashes_needed is None:
            return
        for item in self.read_packages:
            if not item.hashes and not getattr(item.source, "sha256", None):
                self.asked.issue(
                    item.where,
                    "missing-hash",
                    f"{item.name} has no hash, and {self.hashes_needed} says --require-hashes",
                    "add --hash=sha256:…, or remove --require-hashes: a lock has the sha256 of every file anyway",
                )

    # Options on a line of their own; those that only set something stand in ``requirement_settings``

    def nested(self, option: Option, where: Where, constraint: bool) -> None:
        """``-r`` and ``-c``."""
        bounds = constraint or option.name == "--constraint"
        if re.match(r"(?i)(?:https?|file|ftp):", option.value):
            self.asked.issue(
                where,
                "bad-path",
                "requirements behind an address can be others tomorrow",
                "put the file into the project, and name it here",
            )
            return
        try:
            path = self.document.beside(option.value)
            if path in self.stack:
                circle = " -> ".join([*self.stack[self.stack.index(path) :], path])
                raise InvalidInput(
                    f"requirements files name each other in a circle: {circle}"[:400],
                    reference="include-cycle",
                    hint="remove one of these lines",
                )
            if (path, bounds) in self.seen:
                return
            if len(self.stack) >= DEEPEST or len(self.seen) >= MOST_FILES:
                raise InvalidInput("too many files name files", reference="too-large", hint="put them into one")
            self.seen.add((path, bounds))
            inner = self.document.open(option.value)
        except InvalidInput as error:
            self.asked.refused(error, where)
            return
        outer, self.document = self.document, inner
        self.stack.append(path)
        self.file(constraint=bounds)
        self.stack.pop()
        self.document = outer

    def editable(self, option: Option, where: Where, constraint: bool) -> None:
        """``-e``: a folder that changes after it was locked is not locked."""
        value = option.value
        remote = "+" in value.partition(":")[0]
        name = re.search(r"[#&]egg=([A-Za-z0-9._-]+)", value)
        hint = f"write `{name[1] if name else 'name'} @ {value.partition('#')[0]}`"[:160]
        if not remote:
            hint = f"write `{value[:60]}`, and work on it with `envbuild realize --prefix DIR --editable NAME`"
        self.asked.issue(where, "editable", f"-e {value[:60]}: what can be edited cannot be locked", hint)

    def require_hashes(self, option: Option, where: Where, constraint: bool) -> None:
        """``--require-hashes`` and its contrary."""
        self.hashes_needed = where if option.name == "--require-hashes" else None

    def homeless(self, option: Option, where: Where, constraint: bool) -> None:
        """Options that belong to a requirement."""
        self.asked.issue(
            where,
            "bad-value",
            f"{option.name} stands behind a requirement, not alone",
            "end the line before it with a \\",
        )


Handler = Callable[[Reader, Option, Where, bool], None]

_OPTIONS: dict[str, Handler] = {
    **SETTINGS,
    "--requirement": Reader.nested,
    "--constraint": Reader.nested,
    "--editable": Reader.editable,
    "--require-hashes": Reader.require_hashes,
    "--no-require-hashes": Reader.require_hashes,
    "--hash": Reader.homeless,
    "--config-settings": Reader.homeless,
    "--global-option": Reader.homeless,
    "--install-option": Reader.homeless,
}
