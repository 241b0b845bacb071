"""``trust``, ``key new|list|show`` and ``store sign``: whose word counts, and giving one's own."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from envbuild.cli.options import as_json, option, quiet


@click.command("trust", short_help="Say whose results count: stores, keys, mode.")
@click.argument("address", required=False)
@option("--key", metavar="NAME[=PUBLIC]", help="Of a key instead: what it signed counts.")
@option("--not-after", metavar="DATE", help="With --key: from then on it does not count.")
@option("--mode", type=click.Choice(["hash", "signed", "strict"]), help="Set what counts at all.")
@option("--remove", is_flag=True, help="Trust it no longer.")
@as_json
@quiet
def trust_command(
    address: str | None,
    key: str | None,
    not_after: str | None,
    mode: str | None,
    remove: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Let results of a store, or what a key signed, count: in your own configuration; alone, list what counts here.

    Whoever writes a trusted store, or holds a trusted key, runs code as its readers.
    """
    from envbuild.cli.screen import Screen
    from envbuild.cli.screen_trust import show_trusting
    from envbuild.session import Session

    if remove and address is None and key is None:
        raise click.UsageError("Which? For example: envbuild trust --remove s3://bucket/envbuild")
    if not_after is not None and key is None:
        raise click.UsageError("--not-after is about a key: envbuild trust --key ci-2026 --not-after 2027-12-31")
    screen = Screen(quiet=quiet, as_json=as_json)
    session = Session(reporter=screen.reporter)
    if address is not None:
        session.trust(address, remove=remove)
    if key is not None:
        session.trust_key(key, not_after=not_after, remove=remove)
    if mode is not None:
        session.trust_mode(mode)
    show_trusting(screen, Session(reporter=screen.reporter).trusting())


@click.group("key", short_help="Make and show keys that sign.")
def key_command() -> None:
    """Make and show keys that sign results and names for others.

    envbuild key new ci-2026
    """


@key_command.command("new")
@click.argument("name")
@option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="The file of the private half (default: among your keys, beside your configuration).",
)
@as_json
@quiet
def new_command(name: str, output: Path | None, as_json: bool, quiet: bool) -> None:
    """Make a key: the private half is a file that only you may read; the public half is printed."""
    from envbuild.cli.screen import Screen
    from envbuild.session import Session

    screen = Screen(quiet=quiet, as_json=as_json)
    made = Session(reporter=screen.reporter).new_key(name, output)
    if screen.document({"name": name, "path": str(made.path), "public": str(made.public), "keyid": made.public.keyid}):
        return
    screen.result(f"{name}={made.public}")
    screen.say(f"Made {made.path}; readers type: envbuild trust --key {name}={made.public}")


@key_command.command("list")
@as_json
@quiet
def list_command(as_json: bool, quiet: bool) -> None:
    """List your keys: their public halves."""
    from envbuild.cli.screen import Screen
    from envbuild.session import Session

    screen = Screen(quiet=quiet, as_json=as_json)
    keys = Session(reporter=screen.reporter).keys()
    if screen.document(
        {
            "keys": [
                {"name": key.name, "path": str(key.path), "public": str(key.public), "keyid": key.public.keyid}
                for key in keys
            ]
        }
    ):
        return
    for key in keys:
        screen.result(f"{key.name}={key.public}")
    if not keys:
        screen.say("You have no keys; envbuild key new NAME")


@key_command.command("show")
@click.argument("name", required=False)
@as_json
@quiet
def show_command(name: str | None, as_json: bool, quiet: bool) -> None:
    """Print the public half of a key: one of yours, or the one that signs here."""
    from envbuild.cli.screen import Screen
    from envbuild.session import Session

    screen = Screen(quiet=quiet, as_json=as_json)
    key = Session(reporter=screen.reporter).show_key(name)
    if not screen.document({"name": key.name, "public": str(key.public), "keyid": key.public.keyid}):
        screen.result(str(key.public))


@click.command("sign")
@click.argument("store")
@click.argument("sources", nargs=-1)
@option("--results", is_flag=True, help="Only results.")
@option("--names", is_flag=True, help="Only names.")
@option("--renew", is_flag=True, help="Only what counts by the keys that you trust: for a key that follows another.")
@option("--dry-run", is_flag=True, help="Look at everything, and sign nothing.")
@as_json
@quiet
def sign_command(
    store: str,
    sources: tuple[str, ...],
    results: bool,
    names: bool,
    renew: bool,
    dry_run: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Sign what a store holds, or what is behind some names, ids and recipes, after checking that it is whole.

    Without --renew you vouch for whoever put it there: envbuild store sign team shop/train:stable
    """
    from envbuild.cli.screen import Screen
    from envbuild.cli.screen_trust import show_signed
    from envbuild.session import Session

    screen = Screen(quiet=quiet, as_json=as_json)
    signed = Session(reporter=screen.reporter).store_sign(
        store, sources, results=results, names=names, renew=renew, dry_run=dry_run
    )
    show_signed(screen, signed, dry_run=dry_run)
    sys.exit(4 if signed.refused else 0)
