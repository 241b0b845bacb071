"""What ``check`` says: lines that an editor can follow, JSON, or SARIF.

What a contribution can choose (names of files, wordings of licences) is escaped, line breaks too, and no line begins
with it: a CI system takes some beginnings of lines for commands.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from envbuild.cli.as_json import JSON_VERSION
from envbuild.cli.errors import printable
from envbuild.cli.screen import Screen
from envbuild.cli.wording import count
from envbuild.errors import UsageError
from envbuild.review.findings import Checked, Finding
from envbuild.version import __version__

if TYPE_CHECKING:
    from envbuild.session import Session


def show_check(
    screen: Screen, checked: Checked, session: Session, *, sarif: bool, output: Path | None, strict: bool
) -> int:
    """Say what was found.

    Args:
        screen: Of the command.
        checked: What was found.
        session: Knows the project.
        sarif: SARIF instead of text.
        output: Where it goes instead of stdout, which has the text then.
        strict: Whether warnings count.

    Returns:
        The exit code.
    """
    from envbuild.review.sarif import sarif as sarif_tree
    from envbuild.review.sarif import tree

    code = checked.exit_code(strict=strict)
    if sarif or screen.as_json:
        if sarif:
            document: dict[str, Any] = sarif_tree(checked, version=__version__, below=_below(session))
        else:
            document = {"version": JSON_VERSION, **tree(checked, strict=strict)}
        text = json.dumps(document, indent=2, ensure_ascii=True)
    else:
        text = "\n".join(_lines(checked))
    if output is not None:
        _write(output, text)
    if output is None and (sarif or screen.as_json):
        click.echo(text)
    elif not (screen.quiet and code == 0):
        for line in _lines(checked):
            screen.result(line)
    _close(screen, checked)
    return code


def _lines(checked: Checked) -> list[str]:
    return [line for item in checked.findings for line in _block(item)]


def _block(item: Finding) -> list[str]:
    lines = [f"{item.level}[{item.rule}]: {_escaped(item.place)}: {_escaped(item.message)}"]
    if item.hint:
        lines.append(f"  hint: {_escaped(item.hint)}")
    return lines


def _escaped(text: str) -> str:
    return printable(text).replace("\n", "\\n")


def _close(screen: Screen, checked: Checked) -> None:
    errors = len(checked.errors)
    words = [count(errors, "error")] if errors else []
    warnings = len(checked.findings) - errors
    words += [count(warnings, "warning")] if warnings else []
    known = f" ({checked.remembered} unchanged)" if checked.remembered else ""
    asked = f", {count(checked.asked, 'origin')} asked" if checked.asked else ""
    for file in checked.fixed:
        screen.say(f"wrote {_escaped(file)}")
    screen.say(
        f"Checked {count(checked.recipes, 'recipe')}{known}{asked}: {', '.join(words) or 'nothing found'}, "
        f"{screen.elapsed()}"
    )


def _below(session: Session) -> str:
    """The project's folder from the repository's root, for paths that a hosting site can follow."""
    root = session.project().root
    for folder in (root, *root.parents):
        if (folder / ".git").exists():
            inside = root.relative_to(folder).as_posix()
            return "" if inside == "." else f"{inside}/"
    return ""


def _write(path: Path, text: str) -> None:
    from envbuild.exchange.own_files import refuse_own_file, refuse_special
    from envbuild.projects.checkout import replace_file

    if path.is_dir():
        raise UsageError(f"{path} is a folder", reference="bad-path", hint="name a file")
    refuse_special(path)
    refuse_own_file(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}", reference="bad-path", hint="name a file") from error
    replace_file(path, f"{text}\n".encode() if text else b"")
