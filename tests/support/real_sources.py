"""Real sdists from this machine's own index, downloaded once into the test cache.

Rules of the file: nothing is built here, and nothing of an index is named.
"""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.support.cache import made_once
from tests.support.wheels import uv


def real_sdists(names: Sequence[str], series: str) -> Path:
    """A folder with the sdists of these requirements (``name==version``).

    Raises:
        LookupError: When the index cannot be reached (callers skip, loudly).
    """
    key = hashlib.sha256("\n".join(sorted(names)).encode()).hexdigest()[:20]
    return made_once(f"sdists-{key}", lambda folder: _download(folder, names, series))


def _download(folder: Path, names: Sequence[str], series: str) -> None:
    import requests

    try:
        import tomllib
    except ModuleNotFoundError:
        import tomli as tomllib  # type: ignore[no-redef]  # Python 3.10

    command = [
        uv(),
        "pip",
        "compile",
        "-",
        "--format",
        "pylock.toml",
        "--python-version",
        series,
        "--quiet",
        "--no-deps",
    ]
    done = subprocess.run(command, input="\n".join(names), capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        raise LookupError(f"uv could not resolve {list(names)}: {done.stderr.strip()[-400:]}")
    with requests.Session() as session:
        for package in tomllib.loads(done.stdout)["packages"]:
            sdist = package.get("sdist")
            if sdist is None:
                raise LookupError(f"{package['name']} has no sdist")
            try:
                answer = session.get(sdist["url"], timeout=180)
                answer.raise_for_status()
            except requests.RequestException as error:
                raise LookupError(f"the sdist of {package['name']} cannot be downloaded") from error
            if hashlib.sha256(answer.content).hexdigest() != sdist["hashes"]["sha256"]:
                raise LookupError(f"the sdist of {package['name']} has other bytes than its index says")
            (folder / sdist["url"].rpartition("/")[2]).write_bytes(answer.content)
