"""Regular expressions that are compiled when they are first used.

Modules name theirs at the top, where a reader looks for them; a command uses a few of those that the modules it loads
name, and compiling the others takes longer than all else that importing these modules does.
"""

from __future__ import annotations

import re
from typing import Any, AnyStr, cast


class _Pattern:
    """Stands for a compiled pattern: each method is looked up once, and is the compiled pattern's own then."""

    def __init__(self, source: str | bytes, flags: int) -> None:
        self._source = source
        self._flags = flags

    def __getattr__(self, name: str) -> Any:
        found = getattr(re.compile(self._source, self._flags), name)  # ``re`` keeps what it has compiled
        setattr(self, name, found)
        return found


def pattern(source: AnyStr, flags: int = 0) -> re.Pattern[AnyStr]:
    """A regular expression, as ``re.compile`` gives it.

    Args:
        source: Text or bytes; a mistake in it raises ``re.error`` at first use, not here.
        flags: As of ``re``.

    Returns:
        What has every method and attribute of a compiled pattern, but is none: it cannot be given to functions of
        ``re``, copied or compared.
    """
    return cast("re.Pattern[AnyStr]", _Pattern(source, flags))
