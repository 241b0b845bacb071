"""What is installed in a prefix: conda's records, and the ``.dist-info`` folders of what came from PyPI.

Theory: conda keeps a record of each package with the address and digest of its file, so a conda prefix is a lock
already. What pip or uv installed has a version, what it needs, and where it came from when that was no index (PEP 610);
its file is looked up on the index. What exists on this machine alone (an editable install, a folder outside the
project, a package without metadata) cannot be in a lock: each is named.

Rules of the file: reads the prefix, runs nothing in it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from envbuild.builders.core_metadata import parse_metadata
from envbuild.errors import InvalidInput, Where
from envbuild.formats import Document, nothing_opened
from envbuild.formats.checked import Checked, bare_address
from envbuild.formats.files import file_name, git_address, inner_path, split_conda
from envbuild.formats.foreign_lock import ForeignConda, ForeignEnvironment, ForeignFile, ForeignLock, ForeignPypi
from envbuild.formats.targets import conda_python
from envbuild.package import Platform, normalize_pypi_name
from envbuild.projects.project import shown_path
from envbuild.value import replace

_LARGEST = 64 << 20
_SEEDS = frozenset({"pip", "setuptools", "wheel", "distribute"})


def installed(prefix: Path, root: Path, platform: Platform) -> ForeignLock:
    """What a prefix holds.

    Args:
        prefix: A conda or virtual environment.
        root: The project's root: folders below it may stay sources.
        platform: This machine's.

    Raises:
        InvalidInput: ``no-prefix`` when it is neither; ``bad-record`` when a record of it cannot be read.
    """
    records = prefix / "conda-meta"
    owned: set[str] = set()
    is_conda = records.is_dir() and any(records.glob("*.json"))
    conda = tuple(sorted(_conda_packages(records, owned), key=lambda item: item.name)) if is_conda else ()
    own = conda_python(conda)
    python = _venv_python(prefix) if own is None else None  # conda packages may lie in a virtual environment too
    if not is_conda and python is None:
        raise InvalidInput(
            f"{shown_path(prefix)} is neither a conda environment nor a virtual one",
            reference="no-prefix",
            where=Where(file=shown_path(prefix)),
            hint="name a folder that holds conda-meta/ or pyvenv.cfg",
        )
    notes: list[str] = []
    series = own or python
    pypi = list(_pypi_packages(prefix, series, owned, root, notes)) if series is not None else []
    pypi = _without_seeds(pypi, notes)
    environment = ForeignEnvironment(
        platform=platform,
        python=python,
        conda=conda,
        pypi=tuple(sorted({item.name: item for item in pypi}.values(), key=lambda item: item.name)),
    )
    return ForeignLock(
        format="prefix",
        environments=(environment,),
        name=prefix.name,
        channels=tuple(dict.fromkeys(item.url.rpartition("/")[0].rpartition("/")[0] for item in conda)),
        variables=_variables(records),
        notes=tuple(notes),
    )


def _document(path: Path) -> Document:
    return Document(data=b"", file=str(path), opened=nothing_opened, shown=lambda _: shown_path(path))


def _json(path: Path) -> Checked:
    """A JSON file with care."""
    document = _document(path)
    try:
        with path.open("rb") as stream:
            return Checked(json.loads(stream.read(_LARGEST)), path.name, document)
    except (OSError, ValueError, RecursionError) as error:
        raise InvalidInput(
            f"{path.name} cannot be read: {str(error)[:100]}", reference="bad-record", where=document.where()
        ) from None


def _conda_packages(records: Path, owned: set[str]) -> Iterator[ForeignConda]:
    for path in sorted(records.glob("*.json")):
        record = _json(path)
        package = _conda_package(record)
        for name in record.value.get("files", ()):
            if isinstance(name, str) and ".dist-info/" in name:
                owned.add(name.split(".dist-info/")[0].rsplit("/", 1)[-1] + ".dist-info")
        yield package


def _conda_package(record: Checked) -> ForeignConda:
    """One record of ``conda-meta``; a token or user in its address is never kept."""
    text = record.optional_text("url")
    if text is None or "://" not in text:
        raise InvalidInput(
            f"{record.path} does not say where its package came from", reference="bad-record", where=record.where
        )
    here = record.at("url")
    channel, subdir, file, name, version, build = split_conda(bare_address(text, here), here)
    noarch = record.at("noarch").value
    spec = record.optional_text("requested_spec")
    told = spec is not None or record.has("requested_specs")
    specs = [item for item in record.texts("requested_specs") if item] or ([spec] if spec and spec != "None" else [])
    return ForeignConda(
        name=name,
        version=version,
        build=build,
        subdir=subdir,
        file=file,
        url=f"{channel}/{subdir}/{file}",
        sha256=record.sha256() if record.optional_text("sha256") else None,
        md5=record.md5() if record.optional_text("md5") else None,
        size=record.integer("size"),
        build_number=record.integer("build_number"),
        noarch=noarch if isinstance(noarch, str) else None,
        depends=record.texts("depends"),
        constrains=record.texts("constrains"),
        license=record.optional_text("license"),
        timestamp=_milliseconds(record.integer("timestamp")),
        python_site_packages_path=record.optional_text("python_site_packages_path"),
        complete=record.has("build_number") and record.has("depends"),
        spec=_constraint(specs[0], name) if len(specs) == 1 else None,
        asked=bool(specs) if told else None,
        where=record.where,
    )


def _milliseconds(timestamp: int | None) -> int | None:
    return timestamp * 1000 if timestamp is not None and 0 < timestamp < 10**11 else timestamp or None


def _constraint(spec: str, name: str) -> str | None:
    """The version that was asked for, when the spec is as simple as ``numpy >=1.2`` or ``numpy=1.2``."""
    from envbuild.solvers.conda_spec import normalize_conda

    found = re.fullmatch(r"(?:[^:\[\]]+::)?([A-Za-z0-9_.-]+)\s*([=<>!~].*|[0-9].*)?", spec.strip())
    if found is None or found[1].lower() != name or not found[2]:
        return None
    try:
        normalize_conda(found[2])
    except InvalidInput:
        return None
    return found[2].strip()


def _variables(records: Path) -> tuple[tuple[str, str], ...]:
    path = records / "state"
    if not path.is_file():
        return ()
    state = _json(path)
    return tuple(sorted((name, item.own_text()) for name, item in state.entries("env_vars")))


def _venv_python(prefix: Path) -> str | None:
    """``X.Y`` of a virtual environment."""
    try:
        text = (prefix / "pyvenv.cfg").read_text("utf-8", "replace")
    except OSError:
        return None
    found = re.search(r"^\s*version(?:_info)?\s*=\s*(3\.\d+)", text, re.MULTILINE)
    return found[1] if found else None


def _site_packages(prefix: Path, series: str) -> list[Path]:
    several = [prefix / "lib" / f"python{series}" / "site-packages", prefix / "Lib" / "site-packages"]
    several += [prefix / "lib64" / f"python{series}" / "site-packages"]
    return list({path.resolve(): path for path in several if path.is_dir()}.values())


def _pypi_packages(prefix: Path, series: str, owned: set[str], root: Path, notes: list[str]) -> Iterator[ForeignPypi]:
    folders = [folder for place in _site_packages(prefix, series) for folder in sorted(place.glob("*.dist-info"))]
    foreign = [folder for folder in folders if folder.name not in owned and _installer(folder) != "conda"]
    telling = {folder for folder in foreign if _installer(folder) == "pip" and _name_in(folder) not in _SEEDS}
    marked = any(
        (folder / "REQUESTED").is_file() for folder in telling
    )  # uv marks all that it installs: that says nothing
    for folder in foreign:
        package = _pypi_package(folder, root, notes)
        if package is not None:
            asked = (folder / "REQUESTED").is_file() if marked and folder in telling else None
            yield replace(package, asked=asked)
    if not (prefix / "conda-meta").is_dir():
        places = _site_packages(prefix, series)
        old = [path.name for place in places for path in (*place.glob("*.egg-link"), *place.glob("*.egg-info"))]
        notes += [f"left out: {name}, which is installed without metadata of wheels" for name in sorted(old)]


def _name_in(folder: Path) -> str:
    return normalize_pypi_name(folder.name.split("-")[0])


def _installer(folder: Path) -> str:
    try:
        return (folder / "INSTALLER").read_text("utf-8", "replace").strip().lower()
    except OSError:
        return ""


def _pypi_package(folder: Path, root: Path, notes: list[str]) -> ForeignPypi | None:
    try:
        metadata = parse_metadata((folder / "METADATA").read_bytes())
        words = Checked({"name": metadata.name, "version": metadata.version}, "METADATA", _document(folder))
        name, version = words.pypi_name(), words.version()
    except (OSError, InvalidInput):
        notes.append(f"left out: {folder.name}, which has no METADATA")
        return None
    where = Where(file=shown_path(folder))
    package = ForeignPypi(name=name, version=version, requires=metadata.requires, where=where)
    direct = folder / "direct_url.json"
    return _direct(package, _json(direct), root, notes) if direct.is_file() else package


def _direct(package: ForeignPypi, told: Checked, root: Path, notes: list[str]) -> ForeignPypi | None:
    """A package that did not come from an index (PEP 610)."""
    text = told.text("url")
    inside = inner_path(told.text("subdirectory"), told.at("subdirectory")) if told.has("subdirectory") else None
    if told.has("vcs_info"):
        vcs = told.at("vcs_info")
        if vcs.text("vcs") != "git":
            notes.append(f"left out: {package.name}, which came from {vcs.text('vcs')[:20]}; only git is supported")
            return None
        commit = vcs.text("commit_id")
        if not re.fullmatch(r"[0-9a-f]{40}", commit):
            raise vcs.at("commit_id").wrong("the whole name of a commit is expected")
        return replace(package, git=git_address(text, told.at("url")), commit=commit, subdirectory=inside)
    if told.has("dir_info"):
        return _folder(package, text, editable=told.at("dir_info").flag("editable"), root=root, notes=notes)
    if text.startswith("file:"):
        notes.append(
            f"left out: {package.name} {package.version}, which came from a file of this machine: {_name(text)}"
        )
        return None
    address = bare_address(text, told.at("url"))
    digest = _archive_digest(told)
    archive = ForeignFile(file=file_name(address, told), url=address, sha256=digest)
    return replace(package, archive=archive, direct=True, subdirectory=inside)


def _archive_digest(told: Checked) -> str | None:
    info: Any = told.at("archive_info").value
    if not isinstance(info, dict):
        return None
    hashes = info.get("hashes")
    digest = hashes.get("sha256") if isinstance(hashes, dict) else None
    text = digest or str(info.get("hash", "")).removeprefix("sha256=")
    return text if isinstance(text, str) and re.fullmatch(r"[0-9a-f]{64}", text) else None


def _name(url: str) -> str:
    try:
        return unquote(urlsplit(url).path)
    except ValueError:  # a host in brackets that is no IPv6 address
        return url


def _folder(package: ForeignPypi, url: str, *, editable: bool, root: Path, notes: list[str]) -> ForeignPypi | None:
    folder = Path(_name(url))
    title = f"{package.name} {package.version}"
    if editable:
        notes.append(f"left out: {title}, which is installed editable from {shown_path(folder)}")
        return None
    try:
        inside = folder.resolve().relative_to(root.resolve())
    except (ValueError, OSError):
        notes.append(f"left out: {title}, which came from a folder outside the project: {folder}")
        return None
    return replace(package, path=inside.as_posix())


def _without_seeds(packages: list[ForeignPypi], notes: list[str]) -> list[ForeignPypi]:
    """The packages without what every new environment has (marked as asked for), unless another needs it."""
    needed = {
        normalize_pypi_name(re.split(r"[^A-Za-z0-9._-]", text, maxsplit=1)[0])
        for item in packages
        for text in item.requires or ()
        if item.name not in _SEEDS and not re.search(r"\bextra\s*==", text)
    }
    seeds = [item.name for item in packages if item.name in _SEEDS - needed]
    if seeds:
        notes.append(f"left out: {', '.join(sorted(seeds))}, which new environments have by themselves")
    return [item for item in packages if item.name not in seeds]
