"""Steps on other machines: before anything starts, all that their nodes will read is in one store, whole.

That store is the first configured one that is written, else ``envbuild`` below the root of the datastore. It gets each
environment with its closure, envbuild itself with what it needs on a node, and the first program that a node reads
(``envbuild.metaflow.node``). Of all that a command holds an address and digests.

Rules of the file: wires; what stands in commands is ``inline``'s and ``remote``'s.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from envbuild.digest import Digest
from envbuild.environments.own_tools import ENGINES, own_files
from envbuild.environments.stores import chosen_stores
from envbuild.errors import InvalidInput, UnsatisfiableError
from envbuild.machine.home import find_home
from envbuild.metaflow.collecting import REMOTE_PLATFORM
from envbuild.metaflow.emitting import RecipeFile
from envbuild.metaflow.inline import SCHEMES, first_program
from envbuild.metaflow.late_away import needed
from envbuild.metaflow.nodetools import tools_recipe
from envbuild.metaflow.reaching import Reach
from envbuild.metaflow.telling import told_of_decorators
from envbuild.projects.checkout import replace_file
from envbuild.projects.recipe_files import LINKS
from envbuild.store.deployments import Deployment

if TYPE_CHECKING:
    from envbuild.derivations import HostPython
    from envbuild.environments.send_verbs import WholeHere, WholeThere
    from envbuild.metaflow.launching import Launch
    from envbuild.package import Platform
    from envbuild.session import Session


Away = dict[str, Any]
"""What a command of a step on another machine needs to know: ``store``, the address that its node reads; ``first``, the
sha256 of the first program; ``step``, as ``Flow/step``, empty for one that runs outside of every environment; ``id``,
request, environment and closure, None where they are not known yet or there are none."""


def sent(launch: Launch, files: Sequence[RecipeFile], datastore: str, root: str) -> dict[str, Away]:
    """Have everything in the store that the remote steps of a flow need; what their commands say, by step.

    Args:
        launch: The flow.
        files: Its recipes.
        datastore: The type of its datastore.
        root: Where that is.

    Raises:
        InvalidInput: ``not-available`` for what cannot run elsewhere.
        EnvbuildError: When something is missing, or the store cannot take it.
    """
    away = [step for step in launch.flow.steps if step.remote is not None]
    if not away:
        return {}
    store = store_address(launch, datastore, root)
    late = _late(launch, store)
    remote = {step.name: cast("Platform", step.platform or REMOTE_PLATFORM) for step in away}
    wanted = _wanted(files, remote)
    platforms = sorted(set(remote.values()))
    folders = {item.file.parent for item in files} | {_tools_folder(launch)}
    session = launch.session(folders, before=Reach(files, launch.echo))
    session.store_init(store)
    with told_of_decorators(files, launch.locate):
        made = [item.file for item, _ in wanted if not item.committed]
        session.check(*(item.file for item, _ in wanted if item.committed))
        session.lock(*dict.fromkeys(made))
        there = session.send([(item.file, platform) for item, platform in wanted], store)
        engines = [name for name in ENGINES if late or any(name in whole.engines for whole in there)]
        tools = _tools(launch, datastore, engines, platforms)
        session.lock(tools)
        brought = [session.bring(tools, platform) for platform in platforms]
    manifest: dict[str, Any] = {item.platform: _manifest(item, session, store) for item in brought}
    steps: dict[str, WholeThere] = {}
    for (item, platform), whole in zip(wanted, there, strict=True):
        launch.echo(_closing(item, whole))
        steps |= {step: whole for step in item.needed.steps if remote.get(step) == platform}
    first = first_program(
        manifest,
        {f"{launch.flow.name}/{step}": (it.request, it.environment, it.closure) for step, it in steps.items()}
        | {f"{launch.flow.name}/{step}": tuple(words) for step, words in late.items()},
    )
    (digest,) = session.send_files([first], store)
    of = deployment_name()
    session.deployed(
        Deployment(
            of=of or launch.flow.name,
            lasts=of is not None,
            environments=tuple((item.platform, item.request, item.environment) for item in there),
            blobs=(digest, *(Digest(blob) for item in manifest.values() for blob in _blobs(item))),
        ),
        store,
    )
    session.close()
    return {
        step.name: {
            "store": store,
            "first": digest,
            "step": f"{launch.flow.name}/{step.name}" if step.asked else "",
            "id": [it.request, it.environment, it.closure] if (it := steps.get(step.name)) is not None else None,
        }
        for step in away
    }


def store_address(launch: Launch, datastore: str, root: str) -> str:
    """The store that nodes read: the first that is configured and written, else one below the datastore.

    Raises:
        InvalidInput: ``not-available`` for a datastore below which none can be.
    """
    config = launch.project.config
    for item in chosen_stores(config, launch.project.root):
        if item.written and item.address.scheme in SCHEMES:
            return item.url
    place = f"{root.rstrip('/')}/envbuild"
    if datastore == "local":
        return os.path.abspath(place)
    if datastore == "s3":
        return place + _endpoint(_configured("S3_ENDPOINT_URL"))
    if datastore == "gs":
        return place
    if datastore == "azure":
        return f"az://{place}{_endpoint(_configured('AZURE_STORAGE_BLOB_SERVICE_ENDPOINT'))}"
    raise InvalidInput(
        f"nodes cannot read a datastore of type {datastore}",
        reference="not-available",
        hint="name a store under `stores:` in envbuild.yaml",
    )


def package_address(url: str, datastore: str) -> str:
    """The address of a code package, as nodes read it.

    Args:
        url: As Metaflow has it.
        datastore: The type of its datastore.
    """
    if datastore == "s3":
        return url + _endpoint(_configured("S3_ENDPOINT_URL"))
    if datastore == "azure":
        return f"az://{url}{_endpoint(_configured('AZURE_STORAGE_BLOB_SERVICE_ENDPOINT'))}"
    return url


def _configured(name: str) -> str | None:
    from metaflow import metaflow_config

    return getattr(metaflow_config, name, None) or None


def _endpoint(address: str | None) -> str:
    return f"?endpoint={address.rstrip('/')}" if address else ""


def _late(launch: Launch, store: str) -> dict[str, list[str]]:
    """What nodes need to know of steps whose environments they look up, by step; see ``late_away``."""
    config = launch.project.config
    names = next((item.url for item in chosen_stores(config, launch.project.root) if item.written), None)
    return needed(launch.flow, tuple(launch.surroundings.needs), config, names, store, _metadata())


def _wanted(files: Iterable[RecipeFile], remote: Mapping[str, Platform]) -> list[tuple[RecipeFile, Platform]]:
    """Each environment that is needed elsewhere, and for which platform."""
    found: dict[tuple[Path, Platform], RecipeFile] = {}
    for item in files:
        for step in item.needed.steps:
            if step in remote:
                found.setdefault((item.file, remote[step]), item)
    return [(item, platform) for (_, platform), item in found.items()]


def _tools_folder(launch: Launch) -> Path:
    return launch.project.root / LINKS / "node"


def _tools(launch: Launch, datastore: str, engines: Sequence[str], platforms: Sequence[str]) -> Path:
    """The recipe of what envbuild needs on nodes, written where it is not."""
    interpreter = "host" if launch.surroundings.interpreter == "host" else "managed"
    text = tools_recipe(datastore, engines, platforms, launch.surroundings.python, interpreter)
    folder = _tools_folder(launch)
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{'-'.join([datastore, *engines])}.yaml"
    if not file.is_file() or file.read_text(encoding="utf-8") != text:
        replace_file(file, text.encode())
    return file


def _manifest(tools: WholeHere, session: Session, store: str) -> dict[str, Any]:
    """What a node of a platform brings: one archive, one of large programs, and a Python where it is not its own."""
    from envbuild.metaflow.archive import joined, own_part, part_of, programs_of

    kept = find_home(os.environ).joinpath("cache", "metaflow-node")
    python = _compiler(tools.python)
    parts = [part_of(file, digest, python, kept) for digest, file in tools.wheels.items()]
    modules, programs = joined([own_part(own_files(), python, kept), *parts])
    managed = tools.interpreter[1].read_bytes() if tools.interpreter is not None else None
    sent = {"archive": modules, "programs": programs, "managed": managed}
    there = {name: data for name, data in sent.items() if data is not None}
    digests = dict(zip(there, session.send_files(list(there.values()), store), strict=True))
    names = programs_of(programs) if programs is not None else []
    return {"python": tools.python, "names": names} | {name: digests.get(name) for name in sent}


def _blobs(manifest: Mapping[str, Any]) -> list[str]:
    return [manifest[name] for name in ("archive", "programs", "managed") if manifest[name] is not None]


def deployment_name() -> str | None:
    """What is being deployed, by its scheduler's word: ``argo-workflows/trainflow``; None for a run."""
    from metaflow._vendor import click

    context = click.get_current_context(silent=True)
    if context is None or context.info_name != "create" or context.parent is None:
        return None
    names = (getattr(context.obj, name, None) for name in ("workflow_name", "state_machine_name", "dag_name"))
    return next((f"{context.parent.info_name}/{name}" for name in names if name), None)


def _metadata() -> str:
    """The type of the metadata of the flow that is launched."""
    from metaflow._vendor import click

    context = click.get_current_context(silent=True)
    return str(getattr(getattr(getattr(context, "obj", None), "metadata", None), "TYPE", "local"))


def _compiler(series: str) -> HostPython | None:
    """A Python of a series on this machine."""
    from envbuild.machine.interpreters import find_host_python

    try:
        return find_host_python(series)
    except UnsatisfiableError:
        return None


def _closing(item: RecipeFile, whole: WholeThere) -> str:
    from envbuild.cli.wording import count

    return (
        f"Environment of {item.needed.said} ({whole.platform}) is in the store: {count(whole.packages, 'package')}, "
        f"{count(whole.blobs, 'file')} sent"
    )
