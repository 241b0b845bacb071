"""Wheels and sdists built on the spot, byte for byte the same each time, and real ones from this machine's index.

``make_wheel`` writes a wheel with ``zipfile``; ``real_wheels`` asks uv what a set of names resolves to on this
machine's own index settings and downloads exactly these files once, into the test cache.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.support.cache import made_once

_WHEN = (2024, 1, 1, 0, 0, 0)


def metadata(
    name: str,
    version: str,
    *,
    requires: Sequence[str] = (),
    extras: Mapping[str, Sequence[str]] | None = None,
    requires_python: str | None = None,
) -> str:
    """The text of a METADATA or PKG-INFO file.

    Args:
        requires: Requirements, markers included, as in ``Requires-Dist``.
        extras: Name of each extra to its requirements.
    """
    lines = ["Metadata-Version: 2.2", f"Name: {name}", f"Version: {version}", "License: MIT"]
    if requires_python:
        lines.append(f"Requires-Python: {requires_python}")
    lines += [f"Requires-Dist: {item}" for item in requires]
    for extra, items in (extras or {}).items():
        lines.append(f"Provides-Extra: {extra}")
        lines += [f'Requires-Dist: {item} ; extra == "{extra}"' for item in items]
    return "\n".join(lines) + "\n"


def make_wheel(
    folder: Path,
    name: str,
    version: str,
    *,
    requires: Sequence[str] = (),
    extras: Mapping[str, Sequence[str]] | None = None,
    requires_python: str | None = None,
    scripts: Mapping[str, str] | None = None,
    files: Mapping[str, bytes | str] | None = None,
    tag: str = "py3-none-any",
) -> Path:
    """Write a wheel whose module says its name and version.

    Args:
        scripts: Name to ``module:function`` of console scripts; the module's ``main`` prints name and version.
        files: More files, by path in the wheel.
        tag: Such as ``cp311-cp311-manylinux_2_17_x86_64``.

    Returns:
        The wheel's file in ``folder``.
    """
    module = name.replace("-", "_").replace(".", "_").lower()
    information = f"{module}-{version}.dist-info"
    source = f'__version__ = "{version}"\n\n\ndef main():\n    print("{name}", __version__)\n'
    contents: dict[str, bytes | str] = {f"{module}/__init__.py": source, **(files or {})}
    contents[f"{information}/METADATA"] = metadata(
        name, version, requires=requires, extras=extras, requires_python=requires_python
    )
    pure = "true" if tag.endswith("-none-any") else "false"
    contents[f"{information}/WHEEL"] = (
        f"Wheel-Version: 1.0\nGenerator: envbuild-tests\nRoot-Is-Purelib: {pure}\nTag: {tag}\n"
    )
    if scripts:
        lines = [f"{script} = {target}" for script, target in scripts.items()]
        contents[f"{information}/entry_points.txt"] = "[console_scripts]\n" + "\n".join(lines) + "\n"
    folder.mkdir(parents=True, exist_ok=True)
    wheel = folder / f"{module}-{version}-{tag}.whl"
    record = []
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in contents.items():
            data = content.encode() if isinstance(content, str) else content
            _store(archive, path, data)
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            record.append(f"{path},sha256={digest},{len(data)}")
        record.append(f"{information}/RECORD,,")
        _store(archive, f"{information}/RECORD", ("\n".join(record) + "\n").encode())
    return wheel


def _store(archive: zipfile.ZipFile, path: str, data: bytes) -> None:
    member = zipfile.ZipInfo(path, _WHEN)
    member.external_attr = 0o100644 << 16
    member.compress_type = zipfile.ZIP_DEFLATED
    archive.writestr(member, data)


def make_sdist(folder: Path, name: str, version: str, *, requires: Sequence[str] = ()) -> Path:
    """Write a source archive with static metadata and a setuptools build; no wheel exists for it."""
    module = name.replace("-", "_").lower()
    root = f"{module}-{version}"
    project = (
        '[build-system]\nrequires = ["setuptools>=61"]\nbuild-backend = "setuptools.build_meta"\n\n'
        f'[project]\nname = "{name}"\nversion = "{version}"\ndependencies = {list(requires)!r}\n'
    )
    contents = {
        f"{root}/PKG-INFO": metadata(name, version, requires=requires),
        f"{root}/pyproject.toml": project,
        f"{root}/{module}/__init__.py": f'__version__ = "{version}"\n',
    }
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for path, text in contents.items():
            member = tarfile.TarInfo(path)
            member.size, member.mtime = len(text.encode()), 1_704_067_200
            archive.addfile(member, io.BytesIO(text.encode()))
    folder.mkdir(parents=True, exist_ok=True)
    sdist = folder / f"{root}.tar.gz"
    sdist.write_bytes(gzip.compress(stream.getvalue(), mtime=0))
    return sdist


def uv() -> str:
    """The uv executable: beside this Python, else on PATH."""
    beside = Path(sys.executable).parent / "uv"
    found = str(beside) if beside.is_file() else shutil.which("uv")
    if found is None:
        raise LookupError("uv is not installed beside this Python nor on PATH")
    return found


def resolve(names: Sequence[str], python: str, platform: str | None = None) -> list[dict[str, Any]]:
    """The packages that uv locks for these requirements on this machine's index: ``pylock.toml`` tables."""
    command = [uv(), "pip", "compile", "-", "--format", "pylock.toml", "--python-version", python, "--quiet"]
    command += ["--only-binary", ":all:", *(["--python-platform", platform] if platform else [])]
    outcome = subprocess.run(command, input="\n".join(names), capture_output=True, text=True, timeout=300, check=False)
    if outcome.returncode:
        raise LookupError(f"uv could not resolve {list(names)}: {outcome.stderr.strip()[-400:]}")
    return _packages(outcome.stdout)


def _packages(pylock: str) -> list[dict[str, Any]]:
    try:
        import tomllib
    except ModuleNotFoundError:
        import tomli as tomllib  # type: ignore[no-redef]  # Python 3.10

    return list(tomllib.loads(pylock)["packages"])


def real_wheels(names: Sequence[str], python: str | None = None) -> Path:
    """A folder with the real wheels of these requirements and of all that they need, for this machine.

    Args:
        names: Requirements.
        python: X.Y of the Python they are for; this one's by default.

    Raises:
        LookupError: When the index cannot be reached (callers skip, loudly).
    """
    series = python or f"{sys.version_info[0]}.{sys.version_info[1]}"
    key = hashlib.sha256("\n".join([series, sys.platform, os.uname().machine, *sorted(names)]).encode()).hexdigest()
    return made_once(f"wheels-{key[:20]}", lambda folder: _download(folder, names, series))


def _download(folder: Path, names: Sequence[str], series: str) -> None:
    import requests
    from packaging.tags import compatible_tags, cpython_tags
    from packaging.utils import parse_wheel_filename

    numbers = tuple(int(part) for part in series.split("."))
    supported = [*cpython_tags(numbers), *compatible_tags(numbers)]
    rank = {tag: place for place, tag in reversed(list(enumerate(supported)))}
    with requests.Session() as session:
        for package in resolve(names, series):
            usable = []
            for wheel in package.get("wheels", []):
                file = wheel["url"].rpartition("/")[2].partition("#")[0]
                places = [rank[tag] for tag in parse_wheel_filename(file)[3] if tag in rank]
                if places:
                    usable.append((min(places), file, wheel))
            if not usable:
                raise LookupError(f"{package['name']} {package['version']} has no wheel for this machine")
            _, file, wheel = min(usable, key=lambda item: item[:2])
            try:
                answer = session.get(wheel["url"], timeout=180)
                answer.raise_for_status()
            except requests.RequestException as error:
                raise LookupError(f"{file} cannot be downloaded") from error
            if hashlib.sha256(answer.content).hexdigest() != wheel["hashes"]["sha256"]:
                raise LookupError(f"{file} has other bytes than its index says")
            (folder / file).write_bytes(answer.content)


def real_sdists(names: Sequence[str]) -> Path:
    """A folder with the real sdists of these requirements (``name==version``), without what they need.

    Raises:
        LookupError: When the index cannot be reached (callers skip, loudly).
    """
    key = hashlib.sha256("\n".join(sorted(names)).encode()).hexdigest()
    return made_once(f"sdists-{key[:20]}", lambda folder: _download_sdists(folder, names))


def _download_sdists(folder: Path, names: Sequence[str]) -> None:
    import requests

    command = [uv(), "pip", "compile", "-", "--format", "pylock.toml", "--no-deps", "--no-binary", ":all:", "--quiet"]
    outcome = subprocess.run(command, input="\n".join(names), capture_output=True, text=True, timeout=300, check=False)
    if outcome.returncode:
        raise LookupError(f"uv could not resolve {list(names)}: {outcome.stderr.strip()[-400:]}")
    for package in _packages(outcome.stdout):
        sdist = package["sdist"]
        file = sdist["url"].rpartition("/")[2].partition("#")[0]
        try:
            answer = requests.get(sdist["url"], timeout=180)
            answer.raise_for_status()
        except requests.RequestException as error:
            raise LookupError(f"{file} cannot be downloaded") from error
        if hashlib.sha256(answer.content).hexdigest() != sdist["hashes"]["sha256"]:
            raise LookupError(f"{file} has other bytes than its index says")
        (folder / file).write_bytes(answer.content)
