"""Reference pages, made of the command line (click) and of the JSON schemas whenever the site is built.

Nothing of them is kept, so none can be out of date.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from envbuild.cli.main import COMMANDS, LazyGroup, cli

ROOT = Path(__file__).resolve().parents[1]
SCHEMAS = {
    "recipe": "Schema of recipes",
    "project": "Schema of envbuild.yaml",
    "config": "Schema of your configuration",
}


def pages() -> dict[str, str]:
    """Every reference page: its path below ``docs``, and its Markdown."""
    found = {"reference/commands.md": commands_page()}
    for name, title in SCHEMAS.items():
        document = json.loads((ROOT / "schemas" / f"{name}.json").read_text(encoding="utf-8"))
        found[f"reference/{name}.md"] = schema_page(title, f"schemas/{name}.json", document)
    return found


def cell(text: str) -> str:
    """A text as it may stand in a cell of a table: one line, with nothing that ends the cell or begins a tag."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def code(text: str) -> str:
    """A text as code in a cell."""
    return f"`{' '.join(text.split())}`".replace("|", "\\|")


# Commands


def commands_page() -> str:
    """Every command that is not hidden, with its arguments, flags and variables."""
    lines = ["# Commands, flag by flag", "", "What each command says of itself; [more on them](../commands.md).", ""]
    assert isinstance(cli, LazyGroup)
    context = click.Context(cli, info_name="envbuild")
    for name in COMMANDS:
        command = cli.get_command(context, name)
        if command is not None and not command.hidden and command.name == name:
            lines += command_section(click.Context(command, info_name=name, parent=context), command)
    return "\n".join(lines)


def command_section(context: click.Context, command: click.Command) -> Iterator[str]:
    """A command's section; a group's commands follow it."""
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    paragraphs = inspect.cleandoc(command.help or "").replace("\b\n", "").split("\n\n")
    text = "\n\n".join(map(paragraph, paragraphs))
    yield from (f"## {context.command_path}", "", "```text", usage, "```", "", text, "")
    rows = [flag_row(context, item) for item in command.params if isinstance(item, click.Option) and not item.hidden]
    if rows:
        yield from ("| flag | says | variable |", "|---|---|---|", *rows, "")
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            if not inner.hidden:
                yield from command_section(click.Context(inner, info_name=name, parent=context), inner)


def paragraph(text: str) -> str:
    """A paragraph of a help text; lines that are all commands are code."""
    if all(line.strip().startswith("envbuild ") for line in text.splitlines()):
        return f"```text\n{inspect.cleandoc(text)}\n```"
    return text.replace("<", "&lt;")


def flag_row(context: click.Context, option: click.Option) -> str:
    """A flag's row of the table."""
    names = "/".join([", ".join(option.opts), *([", ".join(option.secondary_opts)] if option.secondary_opts else [])])
    takes = "" if option.is_flag or option.count else f" {option.make_metavar(context)}"
    variable = code(str(option.envvar)) if option.envvar else ""
    return f"| {code(names + takes)} | {cell(option.help or '')} | {variable} |"


# Schemas


def schema_page(title: str, file: str, document: Mapping[str, Any]) -> str:
    """A schema's keys, and those of each of its definitions that has keys."""
    lines = [f"# {title}", "", cell(document.get("description", "")), "", f"Made of `{file}`.", ""]
    lines += keys_table(document)
    for name, definition in document.get("$defs", {}).items():
        lines += [f"## {name}", "", cell(definition.get("description", "")), ""]
        lines += keys_table(definition) if definition.get("properties") else [f"Takes {takes(definition)}.", ""]
    return "\n".join(lines)


def keys_table(schema: Mapping[str, Any]) -> list[str]:
    """The keys of an object: what each takes and means."""
    rows = ["| key | takes | means |", "|---|---|---|"]
    needed = set(schema.get("required", ()))
    for name, item in schema["properties"].items():
        item = item if isinstance(item, Mapping) else {}
        star = " (needed)" if name in needed else ""
        rows.append(f"| {code(name)}{star} | {takes(item)} | {cell(item.get('description', ''))} |")
        inner = item.get("properties", {})
        for key, value in inner.items():
            value = value if isinstance(value, Mapping) else {}
            rows.append(f"| {code(f'{name}: {key}')} | {takes(value)} | {cell(value.get('description', ''))} |")
    return [*rows, ""]


def takes(schema: Mapping[str, Any]) -> str:
    """What a value may be, in words and links."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name})"
    if "enum" in schema:
        return ", ".join(code(str(value)) for value in schema["enum"])
    if "const" in schema:
        return code(str(schema["const"]))
    for several in ("anyOf", "oneOf"):
        if several in schema:
            return " or ".join(takes(item) for item in schema[several])
    types = schema.get("type", [])
    kinds = [types] if isinstance(types, str) else list(types)
    words = []
    for kind in kinds:
        inner = schema.get("items") if kind == "array" else schema.get("additionalProperties")
        told = takes(inner) if isinstance(inner, Mapping) and kind in {"array", "object"} else ""
        words.append(
            {"null": "nothing", "array": "list", "object": "mapping"}.get(kind, kind) + (f" of {told}" * bool(told))
        )
    return " or ".join(words) or "anything"
