"""Projects to be built from source, with a backend of their own, and sdists of them.

The backend is a few lines inside the project (``backend-path``), needs nothing but Python, and does what the test says:
so tests of sources need no index with setuptools on it.

``make_project`` writes the folder; ``pack_sdist`` makes the archive, byte for byte the same each time.
"""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.support.wheels import metadata

BACKEND = '''\
"""A build backend in forty lines: wheels of one package, metadata as the project's own ``metadata()`` says."""
import base64, hashlib, os, zipfile
from pathlib import Path

NAME, VERSION = {name!r}, {version!r}
REQUIRES, EXTRAS, REQUIRES_PYTHON = {requires!r}, {extras!r}, {requires_python!r}
DYNAMIC = {dynamic!r}
WHEEL = "Wheel-Version: 1.0\\nGenerator: t\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"
MODULE = NAME.replace("-", "_").replace(".", "_").lower()


def _metadata():
    lines = ["Metadata-Version: 2.2", "Name: " + NAME, "Version: " + VERSION]
    if REQUIRES_PYTHON:
        lines.append("Requires-Python: " + REQUIRES_PYTHON)
    lines += ["Requires-Dist: " + item for item in REQUIRES]
    for extra, items in EXTRAS.items():
        lines.append("Provides-Extra: " + extra)
        lines += ["Requires-Dist: %s ; extra == \\"%s\\"" % (item, extra) for item in items]
    return "\\n".join(lines) + "\\n"


def get_requires_for_build_wheel(config_settings=None):
    return DYNAMIC


def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):
    folder = "%s-%s.dist-info" % (MODULE, VERSION)
    target = Path(metadata_directory, folder)
    target.mkdir()
    target.joinpath("METADATA").write_text(_metadata())
    target.joinpath("WHEEL").write_text(WHEEL)
    return folder


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    file = "%s-%s-py3-none-any.whl" % (MODULE, VERSION)
    folder = "%s-%s.dist-info" % (MODULE, VERSION)
    contents = {{
        MODULE + "/__init__.py": "__version__ = %r\\n" % VERSION,
        folder + "/METADATA": _metadata(),
        folder + "/WHEEL": WHEEL,
    }}
    lines = []
    with zipfile.ZipFile(Path(wheel_directory, file), "w") as archive:
        for path, text in contents.items():
            archive.writestr(zipfile.ZipInfo(path, (2024, 1, 1, 0, 0, 0)), text)
            digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
            lines.append("%s,sha256=%s,%d" % (path, digest, len(text)))
        lines.append(folder + "/RECORD,,")
        archive.writestr(zipfile.ZipInfo(folder + "/RECORD", (2024, 1, 1, 0, 0, 0)), "\\n".join(lines) + "\\n")
    return file
'''


def make_project(
    folder: Path,
    name: str,
    version: str,
    *,
    requires: Sequence[str] = (),
    extras: Mapping[str, Sequence[str]] | None = None,
    requires_python: str | None = None,
    static: bool = False,
    build_requires: Sequence[str] = (),
    dynamic_requires: Sequence[str] = (),
    more_backend: str = "",
    files: Mapping[str, str] | None = None,
) -> Path:
    """Write a project with its own backend.

    Args:
        folder: Where; made when missing.
        static: Whether ``pyproject.toml`` says all metadata (PEP 621), or only the backend's hook does.
        build_requires: ``[build-system] requires``.
        dynamic_requires: What ``get_requires_for_build_wheel`` says.
        more_backend: Python that is added to the backend, to replace its hooks.
        files: More files, by path.

    Returns:
        The folder.
    """
    project = (
        f"[build-system]\nrequires = {list(build_requires)!r}\n"
        'build-backend = "own_backend"\nbackend-path = ["backend"]\n'
    )
    if static:
        project += f'\n[project]\nname = "{name}"\nversion = "{version}"\ndependencies = {list(requires)!r}\n'
        if requires_python:
            project += f'requires-python = "{requires_python}"\n'
        if extras:
            project += "\n[project.optional-dependencies]\n"
            project += "".join(f"{extra} = {list(items)!r}\n" for extra, items in extras.items())
    backend = BACKEND.format(
        name=name,
        version=version,
        requires=list(requires),
        extras={extra: list(items) for extra, items in (extras or {}).items()},
        requires_python=requires_python,
        dynamic=list(dynamic_requires),
    )
    contents = {"pyproject.toml": project, "backend/own_backend.py": backend + more_backend, **(files or {})}
    for path, text in contents.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    return folder


def pack_sdist(
    project: Path, target: Path, name: str, version: str, *, pkg_info: str | None = "1.2", suffix: str = ".tar.gz"
) -> Path:
    """Pack a project's folder as the sdist ``<name>-<version>`` in the folder ``target``.

    Args:
        pkg_info: ``1.2``: a PKG-INFO that promises nothing; None: none; else the whole text of PKG-INFO.
        suffix: ``.tar.gz`` or ``.zip``.
    """
    stem = f"{name.replace('-', '_').replace('.', '_').lower()}-{version}"
    contents = {
        f"{stem}/{path.relative_to(project).as_posix()}": path.read_bytes()
        for path in sorted(project.rglob("*"))
        if path.is_file()
    }
    if pkg_info is not None:
        text = f"Metadata-Version: 1.2\nName: {name}\nVersion: {version}\n" if pkg_info == "1.2" else pkg_info
        contents[f"{stem}/PKG-INFO"] = text.encode()
    target.mkdir(parents=True, exist_ok=True)
    archive_file = target / f"{stem}{suffix}"
    if suffix == ".zip":
        with zipfile.ZipFile(archive_file, "w") as zipped:
            for path, data in contents.items():
                zipped.writestr(zipfile.ZipInfo(path, (2024, 1, 1, 0, 0, 0)), data)
        return archive_file
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for path, data in contents.items():
            member = tarfile.TarInfo(path)
            member.size, member.mtime = len(data), 1_704_067_200
            archive.addfile(member, io.BytesIO(data))
    archive_file.write_bytes(gzip.compress(stream.getvalue(), mtime=0))
    return archive_file


def make_own_sdist(
    target: Path,
    name: str,
    version: str,
    *,
    scratch: Path,
    requires: Sequence[str] = (),
    extras: Mapping[str, Sequence[str]] | None = None,
    requires_python: str | None = None,
    static: bool = False,
    build_requires: Sequence[str] = (),
    dynamic_requires: Sequence[str] = (),
    more_backend: str = "",
    suffix: str = ".tar.gz",
) -> Path:
    """``make_project`` in ``scratch``, then ``pack_sdist``; static means PKG-INFO 2.2."""
    project = make_project(
        scratch / f"{name}-{version}",
        name,
        version,
        requires=requires,
        extras=extras,
        requires_python=requires_python,
        build_requires=build_requires,
        dynamic_requires=dynamic_requires,
        more_backend=more_backend,
    )
    told = "1.2"
    if static:
        told = metadata(name, version, requires=requires, extras=extras, requires_python=requires_python)
    return pack_sdist(project, target, name, version, pkg_info=told, suffix=suffix)
