"""A process that fetches one file into a home and prints its path: for races and for killing it.

``python -m tests.support.fetch_once HOME URL SHA256 SIZE``; an error's exit code and message are envbuild's own.
"""

from __future__ import annotations

import sys
from pathlib import Path

from envbuild.addresses import Addresses
from envbuild.derivations.fetch import Fetch, realise
from envbuild.digest import Digest
from envbuild.errors import EnvbuildError
from envbuild.machine.workspace import Workspace
from envbuild.package import UrlOrigin


def main(home: str, url: str, sha256: str, size: str) -> int:
    fetch = Fetch(sha256=Digest(sha256), file="a.whl", origin=UrlOrigin(url=url, file="a.whl"), size=int(size) or None)
    try:
        with Workspace(Path(home), Addresses(root=home)) as workspace:
            output = realise(fetch, workspace.for_job(fetch, {}))["out"]
            context = workspace.for_job(fetch, {fetch.key: {"out": output}}, {fetch.key: fetch})
            print(context.blob(fetch.key))
    except EnvbuildError as error:
        print(f"{error.reference}: {error.message}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
