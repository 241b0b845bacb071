"""What is asked over a network: shared stores, the channels and the index of this project.

Rules of the file: asks, and stores nothing; an answer of any kind proves that a host is there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from envbuild.doctor.finding import Finding, good, note, of_error, problem
from envbuild.environments.store_verbs import StoreInfo
from envbuild.errors import EnvbuildError
from envbuild.machine.credentials import redact
from envbuild.machine.locations import engine_index
from envbuild.machine.workspace import Workspace
from envbuild.projects.project import Project
from envbuild.solvers.channels import channel_addresses
from envbuild.value import replace

_HINT = "HTTPS_PROXY for a proxy, `mirrors:` in your configuration for another address; --offline for what is here"


def stores(infos: Iterable[StoreInfo]) -> Iterator[Finding]:
    """Shared stores: whether they answer, count, and take what is done here."""
    any_there = False
    for info in infos:
        any_there = True
        named = f"{info.name} ({info.address})"
        if info.state.startswith("not asked"):
            yield note("stores", f"{named} was {info.state}")
        elif info.state != "ready":
            yield problem("stores", f"{named}: {info.state}", f"envbuild store info {info.name}")
        elif not info.believed and not info.signed:
            text = f"{named} answers; its results do not count here, only its files are taken"
            yield note("stores", text, f"if whoever writes it may run code here: envbuild trust {info.name}")
        else:
            yield good("stores", f"{named} answers; {'read and written' if info.written else 'read only'}")
    if not any_there:
        hint = "name one under `stores:` in envbuild.yaml, after `envbuild store init`"
        yield note("stores", "no shared store is configured: nobody else has what is done here", hint)


def origins(project: Project, workspace: Workspace) -> Iterator[Finding]:
    """The default index, and the channels that recipes of this project take where they name none."""
    addresses = workspace.addresses
    try:
        index = addresses.candidates(addresses.absolute(addresses.index or engine_index()))[0]
        asked = {"the index": f"{index.rstrip('/')}/pip/"}
        for word, address in channel_addresses(project.config.channels or (), addresses).items():
            first = addresses.candidates(address)[0]
            asked[f"channel {word}"] = f"{first.rstrip('/')}/noarch/repodata.json"
    except EnvbuildError as error:
        yield of_error("network", error)
        return
    for what, url in asked.items():
        yield _asked(what, url, workspace)


def _asked(what: str, url: str, workspace: Workspace) -> Finding:
    if not url.startswith(("http://", "https://")):
        return good("network", f"{what} is {url.rpartition('/')[0]}")
    host = redact("/".join(url.split("/")[:3]))
    try:
        response = workspace.downloads.pass_on("HEAD", url, {})
        response.close()
    except EnvbuildError as error:
        told = of_error("network", error)
        return told if told.hint else replace(told, hint=_HINT)
    if response.status_code in {401, 403, 407}:
        hint = "put credentials for that host into ~/.netrc (mode 0600), the keyring or RATTLER_AUTH_FILE"
        return problem("network", f"{what}, {host}, refuses ({response.status_code})", hint)
    if response.status_code >= 500:
        return problem("network", f"{what}, {host}, answers {response.status_code}", "try again later")
    return good("network", f"{what}, {host}, answers")
