"""Whether a licence is allowed: SPDX expressions held against lists of identifiers.

Theory: of ``OR`` whoever uses the package chooses, so one allowed side will do; of ``AND`` both hold. ``X WITH e``
gives more than ``X``, so it is allowed where ``X`` is, and forbidden where ``X`` is unless the whole of it is allowed.
What is no SPDX expression is a wording, and compared as one.

Rules of the file: pure; ``packaging`` knows the identifiers.
"""

from __future__ import annotations

from collections.abc import Iterator

from envbuild.policy import Licenses

LONGEST = 1000
"""Characters of an expression that is read."""
DEEPEST = 20
"""Parentheses that may be open at once."""


class LicenseBook:
    """The verdicts of one policy; each wording is read once.

    Args:
        licenses: What is allowed.
    """

    def __init__(self, licenses: Licenses) -> None:
        self._allow = None if licenses.allow is None else {_folded(item) for item in licenses.allow}
        self._deny = {_folded(item) for item in licenses.deny}
        self._known: dict[str, bool | None] = {}

    def allowed(self, wording: str) -> bool | None:
        """Whether a licence is allowed; None when nobody can tell what it is."""
        if wording not in self._known:
            self._known[wording] = self._verdict(wording)
        return self._known[wording]

    def _verdict(self, wording: str) -> bool | None:
        whole = _folded(wording)
        if whole in self._deny:
            return False
        if self._allow is not None and whole in self._allow:
            return True
        expression = spdx(wording)
        if expression is None:
            return None
        words = iter(expression.replace("(", " ( ").replace(")", " ) ").split())
        return self._either(words)

    def _either(self, words: Iterator[str]) -> bool:
        """``a OR b OR …`` up to the closing parenthesis or the end."""
        verdict, every = False, True
        pending: list[str] = []

        def one() -> bool:
            return self._one(" ".join(pending))

        current: bool | None = None
        for word in words:
            if word == "(":
                current = self._either(words)
            elif word == ")":
                break
            elif word in {"AND", "OR"}:
                every = every and (one() if current is None else current)
                pending, current = [], None
                if word == "OR":
                    verdict, every = verdict or every, True
            else:
                pending.append(word)
        every = every and (one() if current is None else current)
        return verdict or every

    def _one(self, license_text: str) -> bool:
        """One identifier, perhaps with an exception."""
        whole = license_text.lower()
        bare = whole.partition(" with ")[0]
        names = {whole, bare, bare.removesuffix("+")}
        allow = self._allow
        if whole in self._deny or (names & self._deny and not (allow is not None and whole in allow)):
            return False
        return allow is None or bool(names & allow)


def spdx(wording: str) -> str | None:
    """An SPDX expression in its canonical spelling; None when it is none."""
    if len(wording) > LONGEST or wording.count("(") > DEEPEST:
        return None
    from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

    try:
        return canonicalize_license_expression(wording)
    except InvalidLicenseExpression:
        return None


def _folded(wording: str) -> str:
    return (spdx(wording) or " ".join(wording.split())).lower()
