"""``trust`` in a configuration: from a node to a policy, and what a project may say of it.

A project may want more: a tighter mode, more signatures. Keys, and fewer signatures than its reader wants, are refused
with the line. What it wants stands beside the reader's policy (``envbuild.trust``), so even a pattern that nobody
compared cannot loosen anything.

Rules of the file: nothing is opened; a wrong node is an issue with its place.
"""

from __future__ import annotations

from pathlib import Path
from typing import cast

from envbuild.errors import InvalidInput, Issue
from envbuild.reading.cutoff import cut_off_text
from envbuild.reading.document import Mapping, Node, Scalar, entries, items, text
from envbuild.trust import MODES, Mode, Scope, Trust, TrustedKey, is_label, is_pattern, parse_public_key


def read_trust(node: Node) -> Trust:
    """The setting of one file, variable or flag; a word alone is the mode.

    Raises:
        InvalidInput: ``bad-value``, ``bad-key``, ``bad-time``.
    """
    if isinstance(node, Scalar):
        return Trust(said=_mode(node))
    assert isinstance(node, Mapping)
    mode, threshold = node.get("mode"), node.get("threshold")
    return Trust(
        said=_mode(mode) if mode is not None else None,
        threshold=_threshold(threshold) if threshold is not None else None,
        keys=tuple(sorted((_key(key, item) for key, item in entries(node.get("keys"))), key=lambda key: key.name)),
        scopes=tuple(
            sorted((_scope(key, item) for key, item in entries(node.get("scopes"))), key=lambda scope: scope.pattern)
        ),
    )


def read_not_after(words: str) -> str:
    """The moment from which a key does not count: a date means the end of that day, in UTC.

    Raises:
        InvalidInput: ``bad-time``.
    """
    from datetime import datetime, timedelta, timezone

    found = cut_off_text(words)
    if found[-1:] in {"h", "d", "w"}:
        raise InvalidInput(f"{words!r} is an age", reference="bad-time", hint="write a date, such as 2027-12-31")
    if "T" in found:
        return found
    day = datetime.strptime(found, "%Y-%m-%d").replace(tzinfo=timezone.utc)
    return (day + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")


def trusted_key(name: str, public: str, not_after: str | None = None) -> TrustedKey:
    """A key of a configuration or command line.

    Raises:
        InvalidInput: ``bad-key``, ``bad-time``.
    """
    if not is_label(name):
        raise InvalidInput(
            f"{name[:80]!r} is no name of a key", reference="bad-key", hint="letters, digits, and . _ @ - inside"
        )
    try:
        key = parse_public_key(public)
    except ValueError as error:
        raise InvalidInput(
            f"the key {name} is no public key: {error}",
            reference="bad-key",
            hint="write the line that `envbuild key show` prints, such as ed25519:mW3...=",
        ) from None
    return TrustedKey(name=name, public=key, not_after=read_not_after(not_after) if not_after is not None else None)


def refuse_keys(document: Mapping, hint: str) -> None:
    """Refuse keys in a project's file: they come with a clone.

    Raises:
        InvalidInput: ``not-for-projects`` with the line.
    """
    trust = document.get("trust")
    if not isinstance(trust, Mapping):
        return
    scopes = trust.get("scopes")
    inner = scopes.entries if isinstance(scopes, Mapping) else ()
    keys = [place.key("keys") for place in (trust, *(item for _, item in inner)) if isinstance(place, Mapping)]
    issues = tuple(
        Issue(
            message="a project may not say whose signatures count",
            reference="not-for-projects",
            where=key.where,
            hint=hint,
        )
        for key in keys
        if key is not None
    )
    if issues:
        raise InvalidInput.of(issues)


def joined(before: Trust, said: Trust, document: Mapping, *, is_project: bool, user: Path | str) -> Trust:
    """What stood before, and what one more file says.

    Raises:
        InvalidInput: ``not-for-projects`` where a project would loosen something.
    """
    if not is_project:
        return said.over(before)
    node = document.get("trust")
    loosened: list[tuple[Scalar | None, str]] = []
    if said.said is not None and MODES.index(said.said) < MODES.index(before.mode):
        loosened.append((document.key("trust"), f"trust from {before.mode} to {said.said}"))
    if isinstance(node, Mapping):
        if said.threshold is not None and said.threshold < (before.threshold or 1):
            loosened.append(
                (node.key("threshold"), f"the signatures that are wanted from {before.threshold} to {said.threshold}")
            )
        scopes = node.get("scopes")
        for scope in said.scopes:
            old_number = before.signatures(scope.pattern)
            if scope.threshold is not None and scope.threshold < old_number:
                key = scopes.key(scope.pattern) if isinstance(scopes, Mapping) else None
                loosened.append((key, f"the signatures for {scope.pattern} from {old_number} to {scope.threshold}"))
    if loosened:
        raise InvalidInput.of(
            tuple(
                Issue(
                    message=f"a project may not loosen {what}",
                    reference="not-for-projects",
                    where=place.where if place is not None else None,
                    hint=f"remove it here, or change `trust` in {user}",
                )
                for place, what in loosened
            )
        )
    return before.tightened(said)


def _mode(node: Node) -> Mode:
    found = text(node)
    if found not in MODES:
        raise InvalidInput(f"{found[:80]!r} is no mode of trust", reference="bad-value", hint="hash, signed or strict")
    return cast(Mode, found)


def _threshold(node: Node) -> int:
    number = int(text(node))
    if not 1 <= number <= 100:
        raise InvalidInput(f"{number} signatures cannot be wanted", reference="bad-value", hint="from 1 to 100")
    return number


def _key(label: Scalar, node: Node) -> TrustedKey:
    if isinstance(node, Scalar):
        return trusted_key(label.text, node.text)
    assert isinstance(node, Mapping)
    public, until = node.get("public"), node.get("not-after")
    return trusted_key(
        label.text, text(public) if public is not None else "", text(until) if until is not None else None
    )


def _scope(pattern: Scalar, node: Node) -> Scope:
    if not is_pattern(pattern.text):
        raise InvalidInput(
            f"{pattern.text[:80]!r} is no pattern of a scope",
            reference="bad-value",
            hint='write for example "results/**", "names/prod/**" or "requests/*"',
        )
    assert isinstance(node, Mapping)
    threshold, keys = node.get("threshold"), node.get("keys")
    return Scope(
        pattern=pattern.text,
        threshold=_threshold(threshold) if threshold is not None else None,
        keys=tuple(dict.fromkeys(text(item) for item in items(keys))) if keys is not None else None,
    )
