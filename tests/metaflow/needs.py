"""What Metaflow needs in a step (requests and what that needs), as real wheels and as real conda packages.

They are made of what is installed beside the tests, so no network is asked: the files of each distribution, without
compiled ones (``charset_normalizer`` has the same in Python), are packed again.

Rules of the file: made once per versions, in the test cache.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.cache import made_once, source_key
from tests.support.conda_package import PackageRecipe, write_package
from tests.support.wheels import make_wheel

NAMES = ("requests", "urllib3", "idna", "certifi", "charset-normalizer")
_LEFT = (".so", ".pyd", ".pyc")


def _files(name: str) -> dict[str, bytes]:
    """The files of an installed distribution, from ``site-packages``."""
    found = importlib.metadata.distribution(name)
    return {
        str(file): file.read_binary()
        for file in found.files or ()
        if not str(file).startswith("..") and ".dist-info/" not in str(file) and not str(file).endswith(_LEFT)
    }


def _requires(name: str) -> list[str]:
    found = [Requirement(text) for text in importlib.metadata.requires(name) or ()]
    return [canonicalize_name(item.name) for item in found if item.marker is None]


def _key() -> str:
    versions = [f"{name} {importlib.metadata.version(name)}" for name in NAMES]
    return source_key(("../metaflow/needs.py", "wheels.py", "conda_package.py"), *versions)


def need_wheels() -> Path:
    """A folder of wheels."""

    def make(folder: Path) -> None:
        for name in NAMES:
            version = importlib.metadata.version(name)
            make_wheel(folder, name, version, requires=_requires(name), files=_files(name))

    return made_once(f"metaflow-wheels-{_key()}", make)


def need_channel() -> Path:
    """A conda channel."""

    def make(folder: Path) -> None:
        from rattler.index import index_fs

        for name in NAMES:
            version = importlib.metadata.version(name)
            module = name.replace("-", "_")
            information = f"site-packages/{module}-{version}.dist-info"
            files: dict[str, bytes | str | Path] = {
                f"site-packages/{path}": data for path, data in _files(name).items()
            }
            files[f"{information}/METADATA"] = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
            files[f"{information}/INSTALLER"] = "conda\n"
            files[f"{information}/RECORD"] = "".join(f"{path},,\n" for path in _files(name))
            write_package(
                PackageRecipe(
                    name=name,
                    version=version,
                    build="py_0",
                    subdir="noarch",
                    noarch="python",
                    depends=("python >=3.8", *_requires(name)),
                    files=files,
                    index={"purls": [f"pkg:pypi/{name}"], "license": "MIT"},
                ),
                folder,
            )
        asyncio.run(index_fs(folder, write_zst=False, write_shards=False))

    return made_once(f"metaflow-channel-{_key()}", make)
