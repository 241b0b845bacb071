"""The page of commands against the commands: each with its flags, each flag of the page at its command."""

from __future__ import annotations

import json
import re
import subprocess
import sys

from tests.docs.pages import code, read, sections, table

PAGE = read("metaflow-commands.md")
PROGRAM = """
import json, metaflow
from envbuild.metaflow import {module}
group = {module}.cli.commands["environment"]
flags = lambda command: [word for item in command.params for word in getattr(item, "opts", ()) if word.startswith("-")]
print(json.dumps([flags(group), {{name: flags(command) for name, command in group.commands.items()}}]))
"""


def known(module: str) -> tuple[set[str], dict[str, set[str]]]:
    """The flags of a group and of its commands; asked of a process of its own, as Metaflow is imported."""
    words = [sys.executable, "-c", PROGRAM.format(module=module)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    group, commands = json.loads(done.stdout)
    return set(group), {name: set(flags) for name, flags in commands.items()}


def flags_of(text: str) -> set[str]:
    return {word for item in code(text) for word in re.findall(r"(?<!\S)--?[a-z][a-z-]*", item)}


def tables(text: str, *before: str) -> list[set[str]]:
    """The flags of the table that follows each of these words."""
    return [
        flags_of(" ".join(row[0] for row in table(text[text.index(word) :].split("\n\n")[1], "flag")))
        for word in before
    ]


def test_the_commands_without_a_flow_are_those_of_the_page() -> None:
    text = sections(PAGE, "##")["Without a flow"]
    group, commands = known("cmd")
    named = {words.split()[2] for row in table(text, "command") for words in code(row[0])}
    assert named == set(commands)
    of_group, resolve, create = tables(text, "Between `environment`", "Of `resolve`:", "Of `create`:")
    assert of_group == group
    quiet = {"--quiet", "--json"}
    assert resolve | quiet == commands["resolve"]
    assert create | quiet == commands["create"]
    rest = set().union(*(commands[name] for name in ("show", "alias", "get", "list", "gc"))) - quiet
    assert rest - create <= flags_of(text.split("Of `create`:")[1])


def test_the_commands_of_a_flow_are_those_of_the_page() -> None:
    text = sections(PAGE, "##")["Of a flow"]
    _, commands = known("commands")
    assert {words.split()[1] for row in table(text, "command") for words in code(row[0])} == set(commands)
    said: dict[str, set[str]] = {name: set() for name in commands}
    for flags, of, _ in table(text, "flag"):
        for name in code(of) or commands:
            said[name] |= flags_of(flags)
    assert said == commands
