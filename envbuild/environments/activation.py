"""Activation code for bash, zsh, fish and PowerShell: what ``shell-hook`` prints, to be evaluated by the shell.

Each shell gets the same steps: leave what was active before; keep the old value of every variable that will change;
set and unset (``envbuild.environments.environment`` says what); source the activation scripts of packages; define
``deactivate``, which sources the deactivation scripts and puts every old value back. Values reach the shell byte for
byte, whatever they hold.

Rules of the file: text only; a shell is a class with the few words in which shells differ.
"""

# ruff: noqa: D102  the methods of Fish and PowerShell have the contract of PosixShell

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path

from envbuild.environments.environment import activation_scripts, fixed_variables, removed_variables
from envbuild.errors import UsageError


class PosixShell:
    """bash and zsh."""

    suffix = ".sh"

    def quote(self, value: str) -> str:
        """A word with exactly this value."""
        return shlex.quote(value)

    def leave(self) -> list[str]:
        """Deactivate what is active."""
        return ['if [ -n "${_ENVBUILD_ACTIVE-}" ]; then deactivate; fi']

    def keep(self, name: str) -> list[str]:
        """Remember a variable's value, or that it had none."""
        return [f'if [ -n "${{{name}+x}}" ]; then _ENVBUILD_OLD_{name}="${name}"; else unset _ENVBUILD_OLD_{name}; fi']

    def restore(self, name: str) -> list[str]:
        """Give a variable the value that was kept."""
        old = f"_ENVBUILD_OLD_{name}"
        return [f'if [ -n "${{{old}+x}}" ]; then export {name}="${old}"; unset {old}; else unset {name}; fi']

    def set(self, name: str, value: str) -> list[str]:
        """Export a variable."""
        return [f"export {name}={self.quote(value)}"]

    def unset(self, name: str) -> list[str]:
        """Remove a variable."""
        return [f"unset {name}"]

    def search(self, folder: str) -> list[str]:
        """Put a folder first in ``PATH``."""
        return [f'export PATH={self.quote(folder)}"${{PATH:+:$PATH}}"']

    def source(self, path: str) -> list[str]:
        """Run a script in this shell."""
        return [f". {self.quote(path)}"]

    def prompt(self, name: str) -> list[str]:
        """Show the name before the prompt."""
        wanted = '[ -n "${PS1+x}" ] && [ -z "${VIRTUAL_ENV_DISABLE_PROMPT-}" ]'
        return [f'if {wanted}; then _ENVBUILD_OLD_PS1="$PS1"; PS1={self.quote(f"({name}) ")}"$PS1"; fi']

    def unprompt(self) -> list[str]:
        """Show the old prompt."""
        return ['if [ -n "${_ENVBUILD_OLD_PS1+x}" ]; then PS1="$_ENVBUILD_OLD_PS1"; unset _ENVBUILD_OLD_PS1; fi']

    def active(self, prefix: str) -> list[str]:
        """Note what is active."""
        return [f"_ENVBUILD_ACTIVE={self.quote(prefix)}", "hash -r 2>/dev/null || true"]

    def function(self, body: list[str]) -> list[str]:
        """Define ``deactivate``."""
        end = ["unset _ENVBUILD_ACTIVE", "unset -f deactivate", "hash -r 2>/dev/null || true"]
        return ["deactivate() {", *(f"    {line}" for line in [*body, *end]), "}"]


class Fish(PosixShell):
    """fish."""

    suffix = ".fish"

    def quote(self, value: str) -> str:
        return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"

    def leave(self) -> list[str]:
        return ["if set -q _ENVBUILD_ACTIVE; and functions -q deactivate; deactivate; end"]

    def keep(self, name: str) -> list[str]:
        return [f"set -e _ENVBUILD_OLD_{name}; if set -q {name}; set -g _ENVBUILD_OLD_{name} ${name}; end"]

    def restore(self, name: str) -> list[str]:
        old = f"_ENVBUILD_OLD_{name}"
        return [f"set -e {name}; if set -q {old}; set -gx {name} ${old}; set -e {old}; end"]

    def set(self, name: str, value: str) -> list[str]:
        return [f"set -gx {name} {self.quote(value)}"]

    def unset(self, name: str) -> list[str]:
        return [f"set -e {name}"]

    def search(self, folder: str) -> list[str]:
        return [f"set -gx PATH {self.quote(folder)} $PATH"]

    def source(self, path: str) -> list[str]:
        return [f"source {self.quote(path)}"]

    def prompt(self, name: str) -> list[str]:
        return [
            "if functions -q fish_prompt; and not functions -q _envbuild_old_prompt",
            "    functions -c fish_prompt _envbuild_old_prompt",
            f"    function fish_prompt; printf '%s' {self.quote(f'({name}) ')}; _envbuild_old_prompt; end",
            "end",
        ]

    def unprompt(self) -> list[str]:
        return [
            "if functions -q _envbuild_old_prompt",
            "    functions -e fish_prompt",
            "    functions -c _envbuild_old_prompt fish_prompt",
            "    functions -e _envbuild_old_prompt",
            "end",
        ]

    def active(self, prefix: str) -> list[str]:
        return [f"set -g _ENVBUILD_ACTIVE {self.quote(prefix)}"]

    def function(self, body: list[str]) -> list[str]:
        end = ["set -e _ENVBUILD_ACTIVE", "functions -e deactivate"]
        return ["function deactivate", *(f"    {line}" for line in [*body, *end]), "end"]


class PowerShell(PosixShell):
    """PowerShell; its typographic quotes are quotes too."""

    suffix = ".ps1"

    def quote(self, value: str) -> str:
        return "'" + "".join(char * 2 if char in "'\u2018\u2019\u201a\u201b" else char for char in value) + "'"

    def leave(self) -> list[str]:
        return ["if ($null -ne $global:_ENVBUILD_ACTIVE) { deactivate }"]

    def keep(self, name: str) -> list[str]:
        return [f"$global:_ENVBUILD_OLD_{name} = [Environment]::GetEnvironmentVariable('{name}')"]

    def restore(self, name: str) -> list[str]:
        old = f"_ENVBUILD_OLD_{name}"
        back = f"[Environment]::SetEnvironmentVariable('{name}', $global:{old})"
        return [back, f"Remove-Variable -Scope global {old}"]

    def set(self, name: str, value: str) -> list[str]:
        return [f"[Environment]::SetEnvironmentVariable('{name}', {self.quote(value)})"]

    def unset(self, name: str) -> list[str]:
        return [f"[Environment]::SetEnvironmentVariable('{name}', $null)"]

    def search(self, folder: str) -> list[str]:
        return [f"$Env:PATH = {self.quote(folder)} + [IO.Path]::PathSeparator + $Env:PATH"]

    def source(self, path: str) -> list[str]:
        return [f". {self.quote(path)}"]

    def prompt(self, name: str) -> list[str]:
        shown = self.quote(f"({name}) ")
        return [
            "$global:_ENVBUILD_OLD_PROMPT = $function:prompt",
            f"function global:prompt {{ Write-Host -NoNewline {shown}; & $global:_ENVBUILD_OLD_PROMPT }}",
        ]

    def unprompt(self) -> list[str]:
        return ["$function:prompt = $global:_ENVBUILD_OLD_PROMPT"]

    def active(self, prefix: str) -> list[str]:
        return [f"$global:_ENVBUILD_ACTIVE = {self.quote(prefix)}"]

    def function(self, body: list[str]) -> list[str]:
        end = ["Remove-Variable -Scope global _ENVBUILD_ACTIVE", "Remove-Item function:deactivate"]
        return ["function global:deactivate {", *(f"    {line}" for line in [*body, *end]), "}"]


SHELLS: Mapping[str, PosixShell] = {
    "bash": PosixShell(),
    "zsh": PosixShell(),
    "fish": Fish(),
    "powershell": PowerShell(),
}
"""Shells by the names that ``shell-hook`` takes."""


def shell_hook(shell: str, prefix: Path, variables: Mapping[str, str], name: str | None = None) -> str:
    """The code that activates a prefix in a running shell.

    Args:
        shell: A name in ``SHELLS``.
        prefix: The environment.
        variables: The recipe's.
        name: What people call it; shown before the prompt.

    Raises:
        UsageError: ``unknown-shell``.
        InvalidInput: ``bad-variable``.
    """
    if shell not in SHELLS:
        raise UsageError(f"{shell!r} is not one of {', '.join(SHELLS)}", reference="unknown-shell")
    words = SHELLS[shell]
    values = fixed_variables(prefix, variables, name)
    search = values.pop("PATH", None)  # a recipe may say PATH itself; it then knows what it does
    gone = [item for item in removed_variables(prefix) if item not in values]
    names = [*sorted(values), *gone, "PATH"]
    lines = words.leave()
    for item in names:
        lines += words.keep(item)
    for item in sorted(values):
        lines += words.set(item, values[item])
    for item in gone:
        lines += words.unset(item)
    lines += words.search(str(prefix / "bin")) if search is None else words.set("PATH", search)
    lines += words.prompt(name or prefix.name)
    lines += words.active(str(prefix))
    undo: list[str] = []
    for path in activation_scripts(prefix, "deactivate", words.suffix):
        undo += words.source(str(path))
    for item in names:
        undo += words.restore(item)
    lines += words.function([*undo, *words.unprompt()])
    for path in activation_scripts(prefix, "activate", words.suffix):
        lines += words.source(str(path))
    return "\n".join(lines) + "\n"
