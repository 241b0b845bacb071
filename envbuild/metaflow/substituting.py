"""Variables in names that are looked up when a task starts: ``team/made:run-@{METAFLOW_RUN_ID}``.

What Metaflow knows of the task counts first, then the variables of the process that starts it.

Rules of the file: pure.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from envbuild.errors import InvalidInput
from envbuild.pattern import pattern

OF_TASK = ("METAFLOW_RUN_ID", "METAFLOW_RUN_ID_BASE", "METAFLOW_STEP_NAME", "METAFLOW_TASK_ID")
"""What Metaflow knows of every task."""

OF_PARAMETER = "METAFLOW_INIT_"
"""What the variable of a flow's parameter begins with."""

_VARIABLE = pattern(r"@\{(\w+)\}")


def variables(text: str) -> tuple[str, ...]:
    """The variables in a text, each once."""
    return tuple(dict.fromkeys(_VARIABLE.findall(text)))


def substituted(text: str, values: Mapping[str, str]) -> str:
    """A text with its variables replaced.

    Args:
        text: As it was written.
        values: What they stand for.

    Raises:
        InvalidInput: ``unknown-variable``.
    """
    unknown = unknown_in(text, values)
    if unknown is not None:
        raise InvalidInput(unknown, reference="unknown-variable", hint=known_variables())
    return _VARIABLE.sub(lambda found: values[found[1]], text)


def unknown_in(text: str, known: Collection[str]) -> str | None:
    """What is wrong with the variables of a text; None when all are known."""
    unknown = [name for name in variables(text) if name not in known]
    shown = ", ".join(f"@{{{name}}}" for name in unknown)
    return f"{text!r}: {shown} {'is' if len(unknown) == 1 else 'are'} not known" if unknown else None


def known_variables() -> str:
    """What there is, for people."""
    return f"there are {', '.join(OF_TASK)}, {OF_PARAMETER}<PARAMETER>, and the variables of the process"


def parameter_variable(name: str) -> str:
    """The variable of a parameter: ``my-lr`` is ``METAFLOW_INIT_MY_LR``."""
    return OF_PARAMETER + name.upper().replace("-", "_")
