"""Texts that people and servers write: recipes, settings, files of other tools that ask, indices, metadata.

Rules of the file: see ``subjects``.
"""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from random import Random
from typing import NoReturn

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from envbuild.addresses import Addresses
from envbuild.digest import Digest
from envbuild.errors import EnvbuildError, InvalidInput, UnreachableError, Where
from envbuild.formats import read
from envbuild.formats.asked import Asked
from envbuild.formats.match_spec import read_match_spec
from envbuild.machine.index_page import page_files
from envbuild.machine.virtual import default_system
from envbuild.package import CondaPackage, Platform, normalize_pypi_name
from envbuild.projects.config import Config, load_config
from envbuild.projects.project import Project, make_request
from envbuild.recipe import CondaRequirement, GitSource, PypiRequirement, UrlSource
from envbuild.request import PlatformRequest
from envbuild.solvers import rattler_child
from envbuild.solvers.conda import CondaQuestion, solve_conda
from envbuild.solvers.conda_spec import match_spec
from envbuild.solvers.pylock import read_pylock
from envbuild.solvers.wheel_metadata import parse_metadata
from tests.case import CHECKOUT
from tests.faults.mutations import changed_text, reworded
from tests.support.link_context import FolderContext

CORPUS = Path(__file__).parents[1] / "corpus"
ENDINGS = {"requirements": (".txt", ".in"), "environment-yml": (".yml", ".yaml"), "pyproject": (".toml",)}

WHOLE = b"""\
name: whole
description: every key that there is
extends: [base.yaml]
include: [requirements.txt]
platforms: [linux-64, osx-arm64]
python: '>=3.10,<3.13'
interpreter: conda
system: {__glibc: '2.28', __cuda: '12.4'}
exclude-newer: 2026-01-01
conda:
  channels: [conda-forge, 'https://conda.example/x']
  packages:
    numpy: '>=1.26,<3'
    pytorch: {version: '2.4.*', build: '*cuda*', channel: conda-forge}
    thing: {url: 'https://conda.example/noarch/thing-1.0-0.conda', sha256: HASH}
  constraints: {libfast: '<2'}
pypi:
  index: https://index.example/simple
  extra-indices: {own: 'https://own.example/simple'}
  find-links: [./wheels]
  packages:
    requests: {version: '>=2.31', extras: [socks], markers: "sys_platform == 'linux'"}
    flask: ~=3.0
    theirs: {git: 'https://git.example/theirs', rev: v1.0, subdirectory: python}
    ours: {path: ./ours}
    file: {url: 'https://h.example/file-1.0.tar.gz', sha256: HASH}
  constraints: {urllib3: '<3'}
  overrides: {idna: '3.7'}
  prereleases: [flask]
build:
  ours: {config-settings: {a: b}, env: {X: '1'}, host: [libfast]}
variables: {GREETING: 'hello ${{ name }}', PATHS: /opt/x}
targets:
  linux-64: {conda: {packages: {gcc: '*'}}, variables: {ONLY: linux}}
""".replace(b"HASH", b"ab" * 32)


def recipes(folder: Path) -> Callable[[Random], bool]:
    """Recipes, with bases and included files beside them, to the request that they make."""
    files = [WHOLE, *(path.read_bytes() for path in sorted((CHECKOUT / "recipes").rglob("*.yaml")))]
    (folder / "base.yaml").write_bytes(b"pypi: {packages: {click: ''}}\n")
    (folder / "requirements.txt").write_bytes(b"rich>=13\n")
    (folder / "envbuild.yaml").touch()
    (folder / "bases").mkdir()
    (folder / "bases" / "science.yaml").write_bytes((CHECKOUT / "recipes" / "bases" / "science.yaml").read_bytes())
    recipe = folder / "x.yaml"

    def each(chance: Random) -> bool:
        recipe.write_bytes(changed_text(chance.choice(files), chance, files))
        try:
            make_request(Project(root=folder, config=Config()), recipe)
        except EnvbuildError as error:
            return refused(error)
        return True

    return each


def settings(folder: Path) -> Callable[[Random], bool]:
    """A project's ``envbuild.yaml``."""
    text = (
        b"recipes: recipes/\nplatforms: [linux-64, osx-arm64]\nchannels: [conda-forge]\ninterpreter: conda\n"
        b"conda-format: keep\npython: '3.11'\nexclude-newer: 7d\nsystem: {__glibc: '2.28'}\nexecutor: local\n"
        b"trust: {mode: hash}\nconda-provides: {pytorch: [torch]}\n"
    )
    file = folder / "envbuild.yaml"

    def each(chance: Random) -> bool:
        file.write_bytes(changed_text(text, chance, [text]))
        try:
            load_config(folder, {})
        except EnvbuildError as error:
            return refused(error)
        return True

    return each


def refused(error: EnvbuildError, *, placed: bool = True) -> bool:
    """False, for an error that has what every error must have; ``placed`` says whether that is a place, too."""
    if placed:
        issues = error.all_issues() if isinstance(error, InvalidInput) else (error,)
        assert all(issue.where is not None for issue in issues), error
    assert error.reference, error
    assert 2 <= error.exit_code <= 11, error
    assert len(error.message) < 20_000, error
    return False


def foreign(format_name: str, folder: Path) -> Callable[[Random], bool]:
    """Files of other tools that hold requirements: the corpus, and what its files name is there half of the time."""
    paths = sorted(path for path in CORPUS.rglob("*") if path.suffix in ENDINGS[format_name])
    files = [path.read_bytes() for path in paths]

    def each(chance: Random) -> bool:
        def opened(path: str) -> bytes:
            if chance.random() < 0.5:
                raise InvalidInput(f"there is no file {path[:40]}", reference="missing-file")
            return chance.choice(files)

        data = changed_text(chance.choice(files), chance, files)
        try:
            read(format_name, data, "folder/file", opened)
        except InvalidInput as error:
            return refused(error)
        return True

    return each


# One requirement at a time, beside those who define what it means

NAMES = ("a", "zope.interface", "Ruamel_Yaml", "x-y", "A.b-c_d", "q1", "typing-extensions")
NUMBERS = ("1", "1.0", "2.31.0", "0", "40.7.3.1", "1!2.0", "2026.11")
ENDS = ("", "", "a1", "rc2", ".post1", ".dev3", "b2.post1.dev0", "+local.1", ".*")
SIGNS = ("==", "!=", ">=", "<=", ">", "<", "~=", "===")
MARKERS = (
    *("python_version < '3.9'", 'sys_platform == "linux"', "'x' in os_name", "extra == 'a'", "platform_release >= '5'"),
    *("(python_version>='3.8')", "implementation_name!='pypy'"),
)
ADDRESSES = (
    *("https://h/x-1.0.tar.gz", "https://h/a/b-1.0-py3-none-any.whl", "git+https://h/a/b@v1"),
    f"https://h/x.zip#sha256={'ab' * 32}",
)


def requirement(chance: Random) -> str:
    """A line as people write them; most of them are right."""
    pieces = [
        chance.choice(SIGNS) + chance.choice(("", " ")) + chance.choice(NUMBERS) + chance.choice(ENDS)
        for _ in range(chance.choice((0, 1, 1, 2, 3)))
    ]
    text = chance.choice(NAMES)
    if chance.random() < 0.3:
        text += f"[{chance.choice((',', ', ')).join(chance.choices(NAMES, k=chance.randint(1, 3)))}]"
    if chance.random() < 0.2:
        text += f" @ {chance.choice(ADDRESSES)}"
    else:
        text += chance.choice(("", " ")) + chance.choice((",", ", ")).join(pieces)
    if chance.random() < 0.4:
        joined = f" {chance.choice(('and', 'or'))} ".join(chance.choices(MARKERS, k=chance.randint(1, 3)))
        text += chance.choice((" ; ", " ;")) + joined
    return text


def written(item: PypiRequirement) -> str:
    """A requirement as a line again."""
    text = item.name + (f"[{','.join(item.extras)}]" if item.extras else "") + item.version
    if isinstance(item.source, UrlSource):
        text += f" @ {item.source.url}" + (f"#sha256={item.source.sha256}" if item.source.sha256 else "")
    elif isinstance(item.source, GitSource):
        text += f" @ git+{item.source.git}" + (f"@{item.source.rev}" if item.source.rev else "")
    return text + (f" ; {item.markers}" if item.markers else "")


def requirement_lines(folder: Path) -> Callable[[Random], bool]:
    """Lines that are right or nearly so: what we read is what ``packaging`` reads, and is the same when written."""

    def each(chance: Random) -> bool:
        line = requirement(chance)
        if chance.random() < 0.5:
            line = reworded(line.encode(), chance, [b"a>=1 ; x"]).decode("utf-8", "replace").replace("\n", " ")
        try:
            found = read("requirements", f"{line}\n".encode("utf-8", "replace"), "r.txt").pypi.packages
        except InvalidInput as error:
            return refused(error)
        for item in found:
            if item.source is None or isinstance(item.source, UrlSource | GitSource):
                again = Requirement(written(item))
                assert SpecifierSet(item.version) == again.specifier, line
                (twice,) = read("requirements", f"{written(item)}\n".encode(), "r.txt").pypi.packages
                assert twice == item, line
        with contextlib.suppress(ValueError):
            theirs = Requirement(line)
            if theirs.name.endswith((".tar.gz", ".zip", ".whl")):
                return True  # a name to one, the file of that name to pip
            (ours,) = found
            assert ours.name == normalize_pypi_name(theirs.name), line
            assert SpecifierSet(ours.version) == theirs.specifier, line
            assert {*ours.extras} == {normalize_pypi_name(extra) for extra in theirs.extras}, line
            assert ours.markers == (str(theirs.marker) if theirs.marker else None), line
        return True

    return each


SPECS = (
    *(b"numpy", b"numpy=1.21", b"numpy==1.21", b"numpy 1.21.*", b"numpy>=1.21,<2", b"numpy=1.21=py39_0", b"__glibc>=2"),
    *(b"conda-forge::numpy", b"numpy[version='>=1.21', build='py39*']", b"conda-forge/linux-64::x[md5=ab]"),
    *(b"https://conda.example/noarch/thing-1.0-0.conda#" + b"ab" * 16, b"a 1|2|>=3,<4 *cuda*", b"python >=3.8,!=3.9.*"),
    b"numpy[sha256=" + b"ab" * 32 + b",channel=x]",
)


def match_specs(folder: Path) -> Callable[[Random], bool]:
    """conda's requirements: what is read can be told to the solver, which reads it too."""
    from rattler import MatchSpec
    from rattler.exceptions import InvalidMatchSpecError

    def each(chance: Random) -> bool:
        text = reworded(chance.choice(SPECS), chance, SPECS).decode("utf-8", "replace")
        asked = Asked()
        try:
            found = read_match_spec(text, Where(file="x"), asked)
        except InvalidInput as error:
            return refused(error)
        if found is None:
            assert asked.issues, text
            return False
        if found.url is None:
            with contextlib.suppress(
                InvalidMatchSpecError
            ):  # it knows versions better; the solve says so, with a place
                MatchSpec(match_spec(found), strict=False)
        return True

    return each


# What servers say

PAGE = (
    b'<!DOCTYPE html><html><head><base href="https://files.example/x/"></head><body>'
    b'<a href="../nice-1.0-py3-none-any.whl#sha256=' + b"0" * 64 + b'" data-requires-python="&gt;=3.8">nice</a>'
    b'<a href="nice-1.1.tar.gz" data-yanked="bad" data-core-metadata="sha256=' + b"0" * 64 + b'">nice</a></body></html>'
)
DOCUMENT = json.dumps(
    {
        "meta": {"api-version": "1.1"},
        "name": "n",
        "versions": ["1", "2"],
        "files": [
            {"url": "../n.whl", "hashes": {"sha256": "0" * 64}, "filename": "n.whl", "size": 5, "yanked": False,
             "requires-python": ">=3.8", "upload-time": "2026-01-01T00:00:00Z", "core-metadata": {"sha256": "0" * 64}},
            {"url": "https://h/n-2.tar.gz", "hashes": {}, "filename": "n-2.tar.gz", "yanked": "broken"},
        ],
    }
).encode()  # fmt: skip


def index_pages(good: bytes, folder: Path) -> Callable[[Random], bool]:
    """Pages of an index: their links lead to servers only, and are as many as there are."""

    def each(chance: Random) -> bool:
        found = page_files(changed_text(good, chance, [PAGE, DOCUMENT]), "https://index.example/simple/nice/")
        for item in found:
            assert item.url.startswith(("https://", "http://")), item
            assert "/" not in item.name, item
            assert item.name not in {".", ".."}, item
        return bool(found)

    return each


METADATA = (
    b"Metadata-Version: 2.1\nName: nice\nVersion: 1.0\nRequires-Python: >=3.8\nLicense: MIT\n"
    b"Requires-Dist: x>=1; extra == 'y'\nProvides-Extra: y\nRequires-Dist: z (<2)\n\nText\n"
)
ANSWER = (
    b'lock-version = "1.0"\n[[packages]]\nname = "nice"\nversion = "1.0"\nindex = "https://i/simple"\n'
    b'wheels = [{ url = "https://e/nice-1.0-py3-none-any.whl", size = 5, hashes = { sha256 = "'
    + b"0" * 64
    + b'" } }]\n'
)


def parsed(parse: Callable[[bytes], object], good: bytes, folder: Path) -> Callable[[Random], bool]:
    """One function that makes a value of bytes."""

    def each(chance: Random) -> bool:
        try:
            parse(changed_text(good, chance, [METADATA, ANSWER]))
        except EnvbuildError as error:
            return refused(error, placed=False)
        return True

    return each


class InProcess(FolderContext):
    """A solve's context whose engine answers in this process, by the same script: a child for each would take hours."""

    def run(self, argv: Sequence[str], **options: object):  # type: ignore[no-untyped-def,override]
        from envbuild.derivations import Completed

        question, answer = argv[-2:]
        with contextlib.redirect_stderr(io.StringIO()):
            rattler_child.main(question, answer)
        return Completed(returncode=0, tail="")

    def remember(self, sha256: Digest, url: str) -> None:
        assert url.startswith("file://"), url

    def fetch(self, *arguments: object, **options: object) -> NoReturn:
        raise UnreachableError("nothing is fetched here", reference="unreachable")

    @contextlib.contextmanager
    def scratch(self) -> Iterator[Path]:
        folder = self.home / "scratch"
        folder.mkdir(exist_ok=True)
        for path in folder.iterdir():
            path.unlink()
        yield folder


def repodata(folder: Path) -> Callable[[Random], bool]:
    """A channel's index, to the packages that a solve takes from it: words of records never become paths."""
    channel = folder / "channel"
    records = {}
    for name, version, depends in (("nice", "1.0", ["thing >=1"]), ("nice", "2.0", []), ("thing", "1.5", ["nice"])):
        records[f"{name}-{version}-0.conda"] = {
            "name": name, "version": version, "build": "0", "build_number": 0, "depends": depends, "constrains": [],
            "subdir": "noarch", "noarch": "generic", "sha256": "ab" * 32, "md5": "cd" * 16, "size": 5,
            "timestamp": 1_600_000_000_000, "license": "MIT", "track_features": "", "purls": ["pkg:pypi/nice"],
        }  # fmt: skip
    good = json.dumps({"info": {"subdir": "noarch"}, "packages": {}, "packages.conda": records}, indent=1).encode()
    for subdir in ("noarch", "linux-64"):
        (channel / subdir).mkdir(parents=True)
        empty = b'{"info": {"subdir": "linux-64"}, "packages": {}, "packages.conda": {}}'
        (channel / subdir / "repodata.json").write_bytes(empty)
    platform = Platform("linux-64")
    request = PlatformRequest(
        platform=platform,
        python=None,
        system=default_system(platform),
        conda=(CondaRequirement(name="nice", version="", where=Where(file="x.yaml", line=1)),),
        channels=(channel.as_uri(),),
    )
    context = InProcess(folder / "home", {})
    context.home.mkdir()
    context.addresses = Addresses(root=folder.as_posix())  # type: ignore[attr-defined]

    def each(chance: Random) -> bool:
        (channel / "noarch" / "repodata.json").write_bytes(changed_text(good, chance, [good]))
        try:
            found = solve_conda(CondaQuestion(request=request, python=False), context.typed())
        except EnvbuildError as error:
            return refused(error, placed=False)
        for package in found:
            assert isinstance(package, CondaPackage)
            for word in (package.name, package.version, package.build, package.subdir, package.file):
                assert "/" not in word, package
                assert ".." not in word.split("."), package
        return True

    return each


SUBJECTS: dict[str, Callable[[Path], Callable[[Random], bool]]] = {
    "recipes": recipes,
    "envbuild.yaml": settings,
    "requirements.txt": partial(foreign, "requirements"),
    "environment.yml": partial(foreign, "environment-yml"),
    "pyproject.toml": partial(foreign, "pyproject"),
    "requirement lines": requirement_lines,
    "match specs": match_specs,
    "index pages, HTML": partial(index_pages, PAGE),
    "index pages, JSON": partial(index_pages, DOCUMENT),
    "METADATA": partial(parsed, parse_metadata, METADATA),
    "answers of uv": partial(parsed, read_pylock, ANSWER),
    "repodata.json": repodata,
}
