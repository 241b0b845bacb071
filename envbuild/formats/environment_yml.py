"""``environment.yml``: what ``conda env create -f`` reads.

Theory: channels and dependencies are a recipe's own; ``python`` among them is the recipe's Python when it only says a
version. A list under ``pip:`` is a requirements file whose lines are items, and is read as one. Comments that other
tools take for selectors, and templates, are refused: to conda they are comments and text, and whoever wrote them meant
something else than what would be read.

Rules of the file: YAML comes through ``envbuild.reading.document``, as strict as recipes.
"""

from __future__ import annotations

import re

from envbuild.errors import InvalidInput, Where
from envbuild.formats import MAKES, Document, Foreign
from envbuild.formats.asked import Asked
from envbuild.formats.match_spec import read_match_spec, read_system
from envbuild.formats.requirement_text import Line
from envbuild.formats.requirements import Reader
from envbuild.package import PLATFORMS, Platform
from envbuild.pattern import pattern
from envbuild.reading import spelling
from envbuild.reading.document import Mapping, Node, Scalar, Sequence, parse
from envbuild.reading.places import WITH_FILES, check_channel_name, check_url
from envbuild.recipe import CondaRequirement

_SELECTOR = pattern(
    r"#\s*\[((?:not\s+)?(?:win|linux|osx|mac|unix|arm64|aarch64|x86|x86_64|ppc64le|py|cuda|cpu|gpu)\w*"
    r"(?:[\s()<>=!.0-9]|and|or|not|win|linux|osx|unix|arm64|aarch64|x86|py)*)\]\s*$"
)
_TEMPLATE = pattern(r"\{\{|\{%")
_KNOWN = ("name", "channels", "dependencies", "variables", "prefix", "platforms")
_NO_MEANING = {
    "prefix": "a prefix is a folder of one machine: `realize --prefix` says where",
    "category": "categories are conda-lock's",
}


def read(document: Document) -> Foreign:
    """An environment file.

    Raises:
        InvalidInput: With every finding, also of requirements files that it names.
    """
    if document.chosen:
        raise InvalidInput(
            "an environment file has no parts to choose",
            reference="bad-choice",
            where=document.where(),
            hint="name the file alone",
        )
    data = document.data.removeprefix(b"\xef\xbb\xbf")
    root = parse(data, document.shown(document.file), when_empty=MAKES["environment-yml"])
    reader = EnvironmentReader(document)
    return reader.root(root, data.decode())


class EnvironmentReader:
    """Reads one environment file."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.asked = Asked()
        self.pip = Reader(self.asked, document)
        self.python: str | None = None
        self.python_where: Where | None = None

    def root(self, root: Node, text: str) -> Foreign:
        """The whole file."""
        asked = self.asked
        if not isinstance(root, Mapping):
            raise InvalidInput(
                "an environment file is a mapping",
                reference="bad-type",
                where=root.where,
                hint="begin with `dependencies:`",
            )
        self.selectors(text)
        for key, _ in root.entries:
            if key.text not in _KNOWN:
                said = _NO_MEANING.get(key.text, f"`{key.text}` is no key of an environment file, to conda neither")
                asked.note(key.where, "no-meaning", said)
            elif key.text == "prefix":
                asked.note(key.where, "no-meaning", _NO_MEANING["prefix"])
        for node in self.items(root.get("channels"), "channels"):
            self.channel(node)
        for node in self.items(root.get("dependencies"), "dependencies"):
            self.dependency(node)
        self.variables(root.get("variables"))
        name = root.get("name")
        self.pip.finish()
        return asked.foreign(
            name=name.text if isinstance(name, Scalar) else None,
            python=self.python,
            python_where=self.python_where,
            platforms=self.platforms(root.get("platforms")),
        )

    def selectors(self, text: str) -> None:
        """Note as findings the comments that some tools take for conditions, which conda does not."""
        for number, line in enumerate(text.split("\n"), start=1):
            if "#" in line and (found := _SELECTOR.search(line.rstrip())):
                self.asked.issue(
                    self.document.where(number, found.start() + 1),
                    "selector",
                    f"# [{found[1]}] is a comment to conda, so every platform would get this line",
                    "move it to `targets: {<platform>: …}` of a recipe, or remove the comment",
                )

    def items(self, node: Node | None, key: str) -> tuple[Node, ...]:
        """The items of a list; a single text counts as one."""
        if node is None:
            return ()
        if isinstance(node, Mapping):
            self.asked.issue(
                node.where, "bad-type", f"`{key}` is a mapping, and must be a list", "begin each line with `- `"
            )
            return ()
        return node.items if isinstance(node, Sequence) else (node,)

    def text(self, node: Node, what: str) -> str | None:
        """The text of a scalar; None after a finding, or when it says nothing."""
        if not isinstance(node, Scalar):
            self.asked.issue(node.where, "bad-type", f"{what} must be text", None)
            return None
        if node.empty or not node.text.strip():
            return None
        if _TEMPLATE.search(node.text):
            self.asked.issue(
                node.where,
                "template",
                f"{node.text[:60]!r} is a template, and conda fills in none",
                "write what it stands for",
            )
            return None
        return node.text.strip()

    def channel(self, node: Node) -> None:
        """One channel; ``nodefaults`` only says that no others are meant, which is so anyway."""
        text = self.text(node, "a channel")
        if text is None:
            return
        channels = self.asked.channels or []
        if text == "nodefaults":
            self.asked.channels = channels
            return
        found: str | None
        if "://" in text:
            found = self.asked.take(text, lambda it: check_url(it, WITH_FILES), node.where)
        elif text.startswith("."):
            found = self.asked.take(text, lambda it: "./" + self.document.beside(it), node.where)
        else:
            found = self.asked.take(text, check_channel_name, node.where)
        if found is not None and (found := found.rstrip("/")) not in channels:
            channels.append(found)
        self.asked.channels = channels

    def dependency(self, node: Node) -> None:
        """One entry of ``dependencies``: a spec, or a list under ``pip:``."""
        if isinstance(node, Mapping):
            for key, inner in node.entries:
                if key.text == "pip":
                    for item in self.items(inner, "pip"):
                        self.pip_line(item)
                elif key.text.startswith("sel("):
                    self.asked.issue(
                        key.where,
                        "selector",
                        f"`{key.text[:60]}` is read by one tool only",
                        "move it to `targets: {<platform>: …}` of a recipe",
                    )
                else:
                    hint = f"write `- {key.text[:40]} …` without the colon" if key.text != "pip" else None
                    self.asked.issue(key.where, "unknown-key", f"`{key.text[:60]}` is not known here; `pip` is", hint)
            return
        text = self.text(node, "a dependency")
        if text is None:
            return
        # conda drops what follows a `#`, which YAML has kept where quotes stand around the text.
        text = re.sub(r"\s+#.*$", "", text)
        if text.startswith("__"):
            self.virtual(text, node.where)
            return
        found = read_match_spec(text, node.where, self.asked)
        if found is not None and not self.is_python(found):
            self.asked.conda.append(found)

    def virtual(self, text: str, where: Where) -> None:
        """A virtual package: a version becomes what is assumed of machines, a mere name says a platform."""
        if re.fullmatch(r"__[a-z0-9_]+(?:\s*=?\*)?", text):
            self.asked.note(
                where, "lost", f"{text} only says that machines have it", "say for which `platforms` the recipe is"
            )
            return
        read_system(text, where, self.asked)

    def is_python(self, item: CondaRequirement) -> bool:
        """Whether a requirement only says which Python: then it is the recipe's ``python``."""
        if item.name != "python" or item.build or item.channel or item.url:
            return False
        if not item.version:
            return self.python is not None
        try:
            said = spelling.python_constraint(item.version)
        except InvalidInput:
            return False
        if self.python is None:
            self.python, self.python_where = said, item.where
            return True
        return said == self.python

    def pip_line(self, node: Node) -> None:
        """One line of the requirements file under ``pip:``."""
        if not isinstance(node, Scalar):
            self.asked.issue(
                node.where, "bad-type", "an item under `pip` must be text", "write it as in requirements.txt"
            )
            return
        text = re.sub(r"(?:^|\s)#.*$", "", node.text, flags=re.MULTILINE).strip()
        if not text or node.empty:
            return
        if _TEMPLATE.search(text):
            self.text(node, "an item under `pip`")
            return
        if "\n" in text:
            self.asked.issue(node.where, "bad-requirement", "one item is one line", "begin each line with `- `")
            return
        line, column = node.where.line or 1, (node.where.column or 1) + (0 if node.plain else 1)
        self.pip.line(Line(text=text, file=node.where.file, parts=((0, line, column),)), False)

    def variables(self, node: Node | None) -> None:
        """``variables``."""
        if node is None:
            return
        if not isinstance(node, Mapping):
            self.asked.issue(node.where, "bad-type", "`variables` is a mapping of names to values", None)
            return
        for key, item in node.entries:
            if not isinstance(item, Scalar):
                self.asked.issue(item.where, "bad-type", "the value of a variable must be text", None)
                continue
            name = self.asked.take(key.text, spelling.variable_name, key.where)
            value = self.asked.take("" if item.empty else item.text, spelling.variable_value, item.where)
            if name is not None and value is not None:
                self.asked.variables[name] = value

    def platforms(self, node: Node | None) -> tuple[Platform, ...] | None:
        """``platforms``, which conda-lock reads."""
        found = []
        for item in self.items(node, "platforms"):
            text = self.text(item, "a platform")
            if text in PLATFORMS:
                found.append(Platform(text))
            elif text is not None:
                self.asked.note(
                    item.where, "lost", f"{text[:40]} cannot be locked", "these can: " + ", ".join(PLATFORMS)
                )
        return tuple(dict.fromkeys(found)) or None
