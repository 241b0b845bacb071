"""Names of environments, ``team/project/name:tag``, and what a word means where a command takes a SOURCE.

A name is 1 to 8 segments joined by ``/``; its tag follows a colon, ``latest`` when none does. The tags of ``MOVABLE``
move; every other tag is written once. Both become paths of a store, on any file system, so the alphabet is small, has
one case, and leaves out what some system cannot have as a file. A name never looks like a digest: 7 or more
hexadecimal digits are an id.

Rules of the file: pure; text to value; what is there is asked of the caller.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from envbuild.errors import InvalidInput
from envbuild.pattern import pattern
from envbuild.value import dataclass

MOVABLE = ("latest", "candidate", "stable")
"""The tags that may come to mean another environment."""

DEFAULT_TAG = "latest"
LONGEST = 128
"""Characters that a name may have, without its tag."""
SEGMENTS = 8

_SEGMENT = pattern(r"[a-z0-9][a-z0-9._-]{0,63}")
_HEX = pattern(r"[0-9a-f]{7,64}")
_STEP = pattern(r"[A-Z][A-Za-z0-9_]*/[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)?")
_RUN = pattern(r"[A-Z][A-Za-z0-9_]*/(?=[^/]*[0-9])[A-Za-z0-9_.-]+")
_PART = pattern(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,254}")
_DEVICES = frozenset(
    {"con", "prn", "aux", "nul"} | {f"{word}{digit}" for word in ("com", "lpt") for digit in range(10)}
)
"""What Windows takes for a device, with any ending."""

_REQUEST = "_/"
"""What no name begins with that people give."""

_GRAMMAR = "write team/project/name, or with a tag team/project/name:v1, in a-z, 0-9, `.`, `_` and `-`"


@dataclass(frozen=True, slots=True, kw_only=True)
class Name:
    """A name with its tag.

    Attributes:
        path: The segments, joined by ``/``.
    """

    path: str
    tag: str = DEFAULT_TAG

    def __str__(self) -> str:
        return f"{self.path}:{self.tag}"

    @property
    def movable(self) -> bool:
        """Whether it may come to mean another environment."""
        return self.tag in MOVABLE or self.of_request

    @property
    def of_request(self) -> bool:
        """Whether it is no name that people give, but the log of a request; see ``request_name``."""
        return self.path.startswith(_REQUEST)


def request_name(request: str, user: str) -> Name:
    """The log of what a user locked last for a request: it moves as a name does, and is none."""
    return Name(path=f"{_REQUEST}{request}", tag=user)


def parse_name(text: str) -> Name:
    """A name from text.

    Raises:
        InvalidInput: ``bad-alias``, with what is wrong.
    """
    path, colon, tag = text.partition(":")
    problem = _problem(path, tag if colon else DEFAULT_TAG)
    if problem is not None:
        hint = f"of a Metaflow run name a step: {path}/STEP" if _RUN.fullmatch(text) else _GRAMMAR
        raise InvalidInput(
            f"{text[:160]!r} is not the name of an environment: {problem}", reference="bad-alias", hint=hint
        )
    return Name(path=path, tag=tag if colon else DEFAULT_TAG)


def _problem(path: str, tag: str) -> str | None:
    segments = path.split("/")
    if len(path) > LONGEST:
        return f"it has more than {LONGEST} characters"
    if len(segments) > SEGMENTS:
        return f"it has more than {SEGMENTS} segments"
    for segment in segments:
        if problem := _segment_problem(segment):
            return problem
    if _HEX.fullmatch(path):
        return "7 or more hexadecimal digits are an id"
    if path.endswith(_FILES):
        return f"what ends with {path[path.rindex('.') :]} is a recipe's or a lock's file"
    problem = _segment_problem(tag)
    return f"its tag: {problem}" if problem else None


def _segment_problem(segment: str) -> str | None:
    """Why a segment, or a tag, is none."""
    if not segment:
        return "a part of it is empty"
    if not _SEGMENT.fullmatch(segment):
        return f"{segment[:64]!r} is not a lower-case word of at most 64 characters that begins with a letter or digit"
    if segment.endswith("."):
        return f"{segment!r} ends with a dot"
    if segment.partition(".")[0] in _DEVICES:
        return f"{segment!r} is a device on Windows"
    return None


Kind = Literal["recipe", "lock", "prefix", "id", "step", "name"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What a word of a command line means.

    Attributes:
        kind: ``recipe`` (a file), ``lock`` (a file, without its recipe), ``prefix`` (a folder that holds an
            environment), ``id`` (of an environment or a request), ``step`` (of a past run, or one of its tasks),
            ``name``.
        text: Without the prefix that said so.
        said: Whether a prefix did.
    """

    kind: Kind
    text: str
    said: bool = False

    def __str__(self) -> str:
        return f"{self.kind}:{self.text}"


_SAID: dict[str, Kind] = {
    "recipe": "recipe",
    "lock": "lock",
    "prefix": "prefix",
    "id": "id",
    "step": "step",
    "name": "name",
}
_LOCK = ".lock.yaml"
_FILES = (".yaml", ".yml")


def _nowhere(_: str) -> bool:
    return False


def source_of(
    text: str, is_file: Callable[[str], bool] = _nowhere, is_prefix: Callable[[str], bool] = _nowhere
) -> Source:
    """What a word means: a word before a colon decides, then what there is of that name, then how it looks.

    What only a file can be called (``./x``, ``x.yaml``) is a recipe also when there is none, so that the error is about
    the file.

    Args:
        text: As it was typed.
        is_file: Whether there is a file of that name.
        is_prefix: Whether there is a folder of that name that holds an environment.
    """
    said, colon, rest = text.partition(":")
    if colon and said in _SAID:
        kind = _SAID[said]
        return Source(kind="lock" if kind == "recipe" and rest.endswith(_LOCK) else kind, text=rest, said=True)
    if text.endswith(_LOCK):
        return Source(kind="lock", text=text)
    if is_prefix(text):
        return Source(kind="prefix", text=text)
    if is_file(text) or text.endswith(_FILES) or text.startswith(("./", "../", "/", "~")) or "\\" in text:
        return Source(kind="recipe", text=text)
    if is_id(text):
        return Source(kind="id", text=text)
    if _STEP.fullmatch(text):
        return Source(kind="step", text=text)
    return Source(kind="name", text=text)


def is_id(text: str) -> bool:
    """Whether a text looks like an id: ``ENVIRONMENT``, ``REQUEST:ENVIRONMENT``, each whole or its beginning."""
    return all(_HEX.fullmatch(part) for part in text.split(":", 1))


def split_id(text: str) -> tuple[str, str]:
    """The beginning of a request id (empty when none stands there) and that of an environment id.

    Raises:
        InvalidInput: ``bad-id``.
    """
    if not is_id(text):
        raise InvalidInput(
            f"{text[:160]!r} is not the id of an environment",
            reference="bad-id",
            hint="7 to 64 hexadecimal digits, or REQUEST:ENVIRONMENT; `envbuild list` shows them",
        )
    request, colon, environment = text.partition(":")
    return (request, environment) if colon else ("", request)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pathspec:
    """A step of a past run as Metaflow writes it, or one task of the step.

    Attributes:
        task: None for all tasks of the step.
    """

    flow: str
    run: str
    step: str
    task: str | None = None

    def __str__(self) -> str:
        return "/".join(part for part in (self.flow, self.run, self.step, self.task) if part is not None)


def parse_pathspec(text: str) -> Pathspec:
    """A step or a task from ``Flow/run/step`` or ``Flow/run/step/task``.

    Raises:
        InvalidInput: ``bad-pathspec``.
    """
    parts = text.split("/")
    if len(parts) not in {3, 4} or not parts[0].isidentifier() or not all(map(_PART.fullmatch, parts[1:])):
        raise InvalidInput(
            f"{text[:160]!r} is not a step of a run",
            reference="bad-pathspec",
            hint="write Flow/run/step, or Flow/run/step/task for one task of it",
        )
    flow, run, step = parts[:3]
    return Pathspec(flow=flow, run=run, step=step, task=parts[3] if len(parts) > 3 else None)
