"""Transmute packages as a realize does: ``transmute_all.py HOME FOLDER``, every ``.tar.bz2`` below the folder.

Plan, scheduler, threads, store: all that stands between a lock and its packages but the link. What was fetched stays
in the home; what was transmuted before is done again by whoever removes it first.
"""

import sys
from functools import partial
from pathlib import Path

from envbuild.addresses import Addresses
from envbuild.derivations.fetch import Fetch
from envbuild.derivations.transmute import Transmute, name_in
from envbuild.digest import digest_file
from envbuild.executors import open_executor
from envbuild.graph import Graph
from envbuild.machine.workspace import Workspace
from envbuild.package import UrlOrigin
from envbuild.plan import Plan
from envbuild.reporter import Reporter
from envbuild.scheduler import Scheduler
from envbuild.worker import run


def main(home: Path, folder: Path) -> None:
    """Fetch what is not there, transmute what is not done."""
    derivations: list[Fetch | Transmute] = []
    for path in sorted(folder.rglob("*.tar.bz2")):
        origin = UrlOrigin(url=path.as_uri(), file=path.name)
        listed = home / "digests" / path.name
        if not listed.exists():
            listed.parent.mkdir(parents=True, exist_ok=True)
            listed.write_text(digest_file(path))
        size = path.stat().st_size
        fetch = Fetch(sha256=listed.read_text(), file=path.name, origin=origin, size=size)  # type: ignore[arg-type]
        file = name_in(path.name, ".conda")
        assert file is not None
        derivations += [fetch, Transmute(input=fetch.key, file=file, input_size=size)]
    executor = open_executor("local")
    with Workspace(home, Addresses(root=str(folder))) as workspace:
        plan = Plan(Graph(derivations), workspace.known(derivations))
        outcome = Scheduler(executor, Reporter()).run(
            plan, partial(run, workspace=workspace, results=workspace.store.results)
        )
    executor.close()
    if error := outcome.error():
        raise error


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
