"""What may stand in a recipe for a name, a version or a variable, and the one spelling that envbuild keeps.

Theory: nothing from a recipe may reach a command line, a shell, a path or a header without one of these grammars.
Each takes what people write (``3.11``, ``>= 2 , < 3``), and gives the one text that means the same, so that equal
requests have equal ids.

Rules of the file: text in, text out; no I/O; ``packaging`` is not imported (75 ms), its grammar is small.
"""

from __future__ import annotations

import re

from envbuild.errors import InvalidInput, beginning
from envbuild.package import normalize_pypi_name
from envbuild.pattern import pattern
from envbuild.solvers.conda_spec import check_conda_name, normalize_conda

_PYPI_NAME = pattern(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,126}[A-Za-z0-9])?")
_RESERVED = pattern(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\..*)?", re.IGNORECASE)
_RELEASE = r"v?(?:[0-9]{1,9}!)?[0-9]{1,20}(?:\.[0-9]{1,20})*"
_VERSION = pattern(
    _RELEASE
    + r"(?:[-_.]?(?:alpha|a|beta|b|preview|pre|c|rc)[-_.]?[0-9]*)?"
    + r"(?:-[0-9]+|[-_.]?(?:post|rev|r)[-_.]?[0-9]*)?"
    + r"(?:[-_.]?dev[-_.]?[0-9]*)?"
    + r"(?:\+[a-z0-9]+(?:[-_.][a-z0-9]+)*)?",
    re.IGNORECASE,
)
_PREFIX = pattern(_RELEASE + r"\.\*")
_OPERATOR = pattern(r"(===|==|~=|!=|<=|>=|<|>|)\s*(.*)", re.DOTALL)
_PYTHON_PIECE = pattern(r"(==|~=|!=|<=|>=|<|>|=|)\s*([0-9]{1,3}(?:\.[0-9]{1,3}){0,2})(\.\*)?")
_NO_MARKER = pattern(r"[\x00-\x1f\x7f\\\ud800-\udfff]")
_VARIABLE = pattern(r"[A-Za-z_][A-Za-z0-9_]*")
_GUARDED_VARIABLES = frozenset(
    [
        "PATH",
        "HOME",
        "SHELL",
        "IFS",
        "ENV",
        "BASH_ENV",
        "ZDOTDIR",
        "PROMPT_COMMAND",
        "PYTHONPATH",
        "PYTHONHOME",
        "PYTHONSTARTUP",
        "PYTHONUSERBASE",
        "PYTHONEXECUTABLE",
        "PYTHONINSPECT",
        "PYTHONPLATLIBDIR",
        "GCONV_PATH",
        "NODE_OPTIONS",
        "PERL5OPT",
        "PERL5LIB",
        "RUBYOPT",
        "RUBYLIB",
        "CONDA_PREFIX",
        "VIRTUAL_ENV",
        "SSLKEYLOGFILE",
        "GIT_SSH",
        "GIT_SSH_COMMAND",
        "GIT_EXEC_PATH",
    ]
)
_GUARDED_PREFIXES = ("LD_", "DYLD_", "ENVBUILD_", "BASH_FUNC_")
_SYSTEM_NAME = pattern(r"__[a-z0-9][a-z0-9_]{0,62}")
_SYSTEM_VERSION = pattern(r"[0-9A-Za-z][0-9A-Za-z._]{0,63}")


def conda_name(text: str) -> str:
    """A conda package's name, lower case.

    Raises:
        InvalidInput: ``bad-name``.
    """
    if text.startswith("__"):
        raise InvalidInput(
            f"{text!r} is a virtual package: a property of machines",
            reference="bad-name",
            hint=f'say `system: {{{text}: "<version>"}}`',
        )
    if not text.isascii() or _RESERVED.fullmatch(text):  # some letters get ASCII when made lower case
        raise _bad_name(text, "conda")
    try:
        return check_conda_name(text)
    except InvalidInput:
        raise _bad_name(text, "conda") from None


def conda_constraint(text: str) -> tuple[str, str | None]:
    """A conda version constraint as (version, build); see ``envbuild.solvers.conda_spec``.

    Raises:
        InvalidInput: ``bad-version``.
    """
    if len(text) > 200 or not text.isprintable():
        raise InvalidInput(f"{beginning(text)!r} is not a version constraint of conda", reference="bad-version")
    if not text.strip():
        return "", None
    return normalize_conda(text)


def pypi_name(text: str) -> str:
    """A Python project's name in its normal spelling (PEP 503).

    Raises:
        InvalidInput: ``bad-name``.
    """
    if not _PYPI_NAME.fullmatch(text) or _RESERVED.fullmatch(text):
        raise _bad_name(text, "PyPI")
    return normalize_pypi_name(text)


def pypi_requirement_name(text: str) -> tuple[str, tuple[str, ...]]:
    """``name[extra, extra]`` as the name and its sorted extras.

    Raises:
        InvalidInput: ``bad-name``.
    """
    name, bracket, rest = text.partition("[")
    if not bracket:
        return pypi_name(text.strip()), ()
    if not rest.rstrip().endswith("]"):
        raise _bad_name(text, "PyPI")
    extras = [pypi_name(extra.strip()) for extra in rest.rstrip()[:-1].split(",") if extra.strip()]
    return pypi_name(name.strip()), tuple(sorted(set(extras)))


def _bad_name(text: str, kind: str) -> InvalidInput:
    shown = text if len(text) <= 60 else beginning(text, 57) + "..."
    hint = "names are ASCII letters, digits, `.`, `_` and `-`"
    found = re.fullmatch(r"([A-Za-z0-9._-]+(?:\[[^\]]*\])?)\s*((?:[=<>!~]|\s[0-9]).*)", text)
    if found:
        hint = f'write the version as the value: `{found[1]}: "{found[2].strip()}"`'
    elif re.fullmatch(r"[A-Za-z0-9._-]+(?:\[[^\]]*\])?\s*@.*", text):
        hint = f"write where it comes from as the value: `{text.partition('@')[0].strip()}: {{url: …}}`"
    elif not text.isascii():
        hint = "it holds letters outside of ASCII that may only look alike: type the name anew"
    return InvalidInput(f"{shown!r} is not the name of a {kind} package", reference="bad-name", hint=hint)


def pypi_constraint(text: str) -> str:
    """PEP 440 specifiers, without spaces, sorted; a bare version means ``==``; empty for any.

    Raises:
        InvalidInput: ``bad-version``.
    """
    if text.strip() in {"", "*"}:
        return ""
    if len(text) > 200:
        raise InvalidInput("this version constraint is longer than 200 characters", reference="bad-version")
    return ",".join(sorted({_pypi_piece(piece.strip(), text) for piece in text.split(",")}))


def _pypi_piece(piece: str, whole: str) -> str:
    found = _OPERATOR.fullmatch(piece)
    assert found is not None
    operator, version = found[1] or "==", found[2].strip()
    if operator in {"==", "!="} and _PREFIX.fullmatch(version):
        return operator + version
    if operator == "===" and re.fullmatch(r"[A-Za-z0-9._!+-]+", version):
        return operator + version
    if not _VERSION.fullmatch(version) or operator == "===":
        hint = 'write for example ">=1.26,<2", "==1.26.*" or "1.26.4"'
        if bare := re.fullmatch(r"[=^~]([0-9][0-9.]*)", piece):
            hint = f'write "~={bare[1]}" or "=={bare[1]}.*"'
        elif operator not in {"==", "!="} and version.endswith(".*"):
            hint = f'write "{operator}{version[:-2]}": `.*` goes with == and != only'
        raise InvalidInput(f"{whole!r} is not a version specifier (PEP 440)", reference="bad-version", hint=hint)
    if operator == "~=" and not re.match(r"v?(?:[0-9]+!)?[0-9]+\.[0-9]", version):
        raise InvalidInput(f"{whole!r} needs two numbers after ~=", reference="bad-version", hint=f'"~={version}.0"')
    return operator + version


def python_constraint(text: str) -> str:
    """Versions of Python: ``3.11`` is the series ``3.11.*``, ``3.11.4`` exactly that; ranges are sorted.

    Raises:
        InvalidInput: ``bad-version``.
    """
    pieces = set()
    for piece in text.split(","):
        found = _PYTHON_PIECE.fullmatch(piece.strip())
        if found is None or (found[3] and found[1] not in {"", "=", "==", "!="}):
            raise InvalidInput(
                f"{beginning(text)!r} does not say which versions of Python",
                reference="bad-version",
                hint='write for example "3.11" (the series) or ">=3.11,<3.13"',
            )
        operator, version, star = found[1], found[2], found[3] or ""
        series = star or operator == "=" or (operator == "" and version.count(".") < 2)
        if operator == "~=" and "." not in version:
            operator = ">="
        if operator in {"", "=", "=="}:
            pieces.add(f"{version}.*" if series else f"=={version}")
        else:
            pieces.add(f"{operator}{version}{star}")
    return ",".join(sorted(pieces))


def marker(text: str) -> str:
    """A marker as ``packaging`` has written it, when it is one line that others read alike.

    ``packaging`` takes Python's escapes in a marker's words, which PEP 508 does not have, and writes what they stand
    for: after the end of a line comes a line of its own in a file for another tool.

    Raises:
        InvalidInput: ``bad-marker``.
    """
    if _NO_MARKER.search(text):
        raise InvalidInput(
            f"{beginning(text)!r} holds characters that no marker may have (PEP 508)",
            reference="bad-marker",
            hint="write its words without backslashes",
        )
    return text


def variable_name(text: str) -> str:
    """The name of an environment variable that a recipe may set.

    Raises:
        InvalidInput: ``bad-variable`` for other names, and for those that decide which code runs.
    """
    if not _VARIABLE.fullmatch(text) or len(text) > 128:
        raise InvalidInput(
            f"{beginning(text)!r} is not the name of an environment variable",
            reference="bad-variable",
            hint="names are ASCII letters, digits and `_`, and begin with no digit",
        )
    if text.upper() in _GUARDED_VARIABLES or text.upper().startswith(_GUARDED_PREFIXES):
        raise InvalidInput(
            f"a recipe may not set {text}: it decides which programs and libraries run",
            reference="bad-variable",
            hint="set it in the shell that runs the command, if it must be",
        )
    return text


def variable_value(text: str) -> str:
    """The value of an environment variable: any text without NUL, at most 32 KiB.

    Raises:
        InvalidInput: ``bad-variable``.
    """
    if "\0" in text or len(text.encode("utf-8", "surrogatepass")) > 32768 or not _encodable(text):
        raise InvalidInput("this cannot be the value of an environment variable", reference="bad-variable")
    return text


def _encodable(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


def system_name(text: str) -> str:
    """The name of a virtual package.

    Raises:
        InvalidInput: ``bad-name``.
    """
    if not _SYSTEM_NAME.fullmatch(text):
        raise InvalidInput(
            f"{beginning(text)!r} is not the name of a virtual package",
            reference="bad-name",
            hint="they begin with two underscores: __glibc, __cuda, __osx",
        )
    return text


def system_version(text: str) -> str:
    """The version of a virtual package (for ``__archspec``: the microarchitecture).

    Raises:
        InvalidInput: ``bad-version``.
    """
    if not _SYSTEM_VERSION.fullmatch(text):
        raise InvalidInput(
            f"{beginning(text)!r} is not the version of a virtual package",
            reference="bad-version",
            hint='such as "2.28"',
        )
    return text


def is_revision(text: str) -> bool:
    """Whether a text can name a branch, tag or commit, and nothing else."""
    return re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._/+@-]{0,199}", text) is not None and ".." not in text


def requirement_words(text: str) -> str:
    """A build requirement or toolchain in one line that cannot be taken for an option.

    Raises:
        InvalidInput: ``bad-name``.
    """
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9 ._:=<>!~,*+;()'\"\[\]/@#-]{0,199}", text):
        raise InvalidInput(f"{beginning(text)!r} is not a requirement", reference="bad-name", hint="such as: cython>=3")
    return text
