"""What the commands about trust and signatures say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from envbuild.cli.as_json import tree
from envbuild.cli.screen import Screen
from envbuild.cli.wording import count

if TYPE_CHECKING:
    from envbuild.environments.signing import Signed
    from envbuild.environments.trust_verbs import Trusting
    from envbuild.trust import Trust

_COUNTS = {
    "all": "its results and names count",
    "signed": "what is signed of it counts",
    "nothing": "only files of it are used",
}


def show_trusting(screen: Screen, found: Trusting) -> None:
    """The addresses on stdout, for scripts; what they and the keys come to here for people."""
    trust = found.trust
    keys = [
        {
            "name": key.name,
            "public": str(key.public),
            "keyid": key.public.keyid,
            "not-after": key.not_after,
            "counts": key.name not in found.expired,
        }
        for key in trust.keys
    ]
    scopes = [*trust.scopes, *(trust.project.scopes if trust.project is not None else ())]
    if screen.document(
        {
            "trusted": list(found.trusted),
            "mode": trust.mode,
            "threshold": trust.threshold or 1,
            "keys": keys,
            "scopes": [tree(scope) for scope in scopes],
            "stores": [tree(store) for store in found.stores],
            "signing-key": found.signing_key,
        }
    ):
        return
    for address in found.trusted:
        screen.result(address)
    if not found.trusted and not trust.keys:
        screen.say("You trust no store and no key")
    screen.say(f"mode {trust.mode}, {_wanted(trust)}")
    for key in trust.keys:
        until = "" if key.not_after is None else f", until {key.not_after}"
        expired = ", which is over" if key.name in found.expired else ""
        screen.say(f"key {key.name}: {key.public}{until}{expired}")
    for scope in scopes:
        wanted = f"{count(scope.threshold, 'signature')}" if scope.threshold is not None else "as everywhere"
        only = f", of {' '.join(scope.keys)}" if scope.keys is not None else ""
        screen.say(f"scope {scope.pattern}: {wanted}{only}")
    for store in found.stores:
        goes = "; what is done here goes there" if store.written else ""
        screen.say(f"store {store.name}: {_COUNTS[store.counts]}{goes}")
    if found.signing_key is not None:
        screen.say(f"what goes to shared stores is signed by {found.signing_key}")


def _wanted(trust: Trust) -> str:
    """How many signatures make something count, and where."""
    signatures = count(trust.threshold or 1, "signature")
    if trust.mode != "hash":
        return f"{signatures} wanted"
    return f"{signatures} wanted where a store's word does not count" if trust.keys else "no signature wanted"


def show_signed(screen: Screen, signed: Signed, *, dry_run: bool) -> None:
    """How many, and what was left unsigned."""
    if screen.document({**tree(signed), "dry-run": dry_run}):
        return
    for line in signed.refused:
        screen.say(f"note: not signed: {line}")
    passed = f", {signed.passed} passed over that no key you trust signed" if signed.passed else ""
    screen.say(
        f"{'Would sign' if dry_run else 'Signed'} {count(signed.results, 'result')} and {count(signed.names, 'name')} "
        f"with {signed.keyid[:12]}; {signed.already} signed already{passed}"
    )
