"""Real files of public projects parse to what pip and conda understand.

``tests/corpus`` holds facts alone: requirement lines and dependency tables, without comments; addresses of package
servers are replaced. ``index.tsv`` says which repository each comes from. What envbuild refuses although pip or conda
would take it stands in ``DISAGREEMENTS``, and with its reason in docs/formats.md.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from envbuild.errors import InvalidInput, Issue
from envbuild.formats import Foreign, detect, read
from envbuild.package import normalize_pypi_name
from envbuild.recipe import CondaRequirement, GitSource, PypiRequirement, UrlSource
from envbuild.solvers.conda_spec import match_spec

CORPUS = Path(__file__).parents[1] / "corpus"
PAGE = Path(__file__).parents[2] / "docs" / "formats.md"
ROWS = [line.split("\t") for line in (CORPUS / "index.tsv").read_text(encoding="utf-8").splitlines()[1:]]
FILES = [(repository, file) for repository, file in ROWS]

DISAGREEMENTS = Counter(
    {
        "no-name": 12,  # pip builds a repository or archive to learn its name
        "editable": 3,  # pip installs a folder that may change
        "dynamic": 1,  # pip runs the build backend
        "not-available": 1,  # a uv workspace
    }
)
"""What is refused here and taken elsewhere: reference and how many lines of the corpus."""

ALSO_REFUSED = Counter({"bad-requirement": 2, "bad-version": 1, "template": 1})
"""What the other tools refuse too, as another test proves for each."""


def opened(root: Path) -> Callable[[str], bytes]:
    def read_file(path: str) -> bytes:
        try:
            return (root / path).read_bytes()
        except FileNotFoundError:
            raise InvalidInput(f"there is no file {path}", reference="missing-file") from None

    return read_file


def folder(repository: str) -> Path:
    return CORPUS / repository.replace("/", "+")


def parsed(repository: str, file: str) -> tuple[Foreign | None, tuple[Issue, ...]]:
    """What a file asks for, without the lines that are refused; the findings."""
    root = folder(repository)
    data = (root / file).read_bytes()
    format_name = detect(file, data)
    try:
        return read(format_name, data, file, opened(root)), ()
    except InvalidInput as error:
        issues = error.all_issues()
    own = {issue.where.line for issue in issues if issue.where and issue.where.file == file}
    lines = data.decode().split("\n")
    rest = "\n".join("" if number in own else line for number, line in enumerate(lines, 1))
    try:
        return read(format_name, rest.encode(), file, opened(root)), issues
    except InvalidInput:
        return None, issues


def test_the_corpus_is_what_its_index_says() -> None:
    there = {str(path.relative_to(CORPUS)) for path in CORPUS.rglob("*") if path.is_file()} - {"index.tsv"}
    assert there == {f"{repository.replace('/', '+')}/{file}" for repository, file in FILES}
    assert len(FILES) >= 150
    formats = Counter(detect(file, (folder(repository) / file).read_bytes()) for repository, file in FILES)
    assert formats["requirements"] >= 100
    assert formats["environment-yml"] >= 20
    assert formats["pyproject"] >= 10
    assert sum((folder(repository) / file).stat().st_size for repository, file in FILES) < 300_000


def test_every_file_is_read_but_for_what_is_listed() -> None:
    refused: Counter[str] = Counter()
    unread = []
    for repository, file in FILES:
        foreign, issues = parsed(repository, file)
        refused.update(issue.reference for issue in issues if issue.where and issue.where.file == file)
        if foreign is None and all(issue.where and issue.where.file == file for issue in issues):
            unread.append((repository, file, issues))
    assert unread == []
    assert refused == DISAGREEMENTS + ALSO_REFUSED
    page = PAGE.read_text(encoding="utf-8")
    assert [name for name in DISAGREEMENTS if f"`{name}`" not in page] == []


def pip_lines() -> Iterator[tuple[str, str, Any]]:
    """Every requirement of the corpus as pip's own parser gives it."""
    parser = pytest.importorskip("pip_requirements_parser", reason="NO PIP PARSER: install envbuild[test]")
    for repository, file in FILES:
        if file.endswith((".txt", ".in")):
            for line in parser.RequirementsFile.from_file(str(folder(repository) / file)).requirements:
                yield repository, file, line


def test_requirements_mean_what_pip_reads() -> None:
    from packaging.specifiers import SpecifierSet

    wrong, compared = [], 0
    cache: dict[tuple[str, str], Foreign | None] = {}
    for repository, file, line in pip_lines():
        if (repository, file) not in cache:
            cache[repository, file] = parsed(repository, file)[0]
        foreign = cache[repository, file]
        if foreign is None or line.is_editable or line.req is None:
            continue
        name, markers = normalize_pypi_name(line.req.name), str(line.marker) if line.marker else None
        found = [item for item in foreign.pypi.packages if (item.name, item.markers) == (name, markers)]
        if len(found) != 1:
            wrong.append((repository, file, line.line, "not found"))
            continue
        (item,), compared = found, compared + 1
        if line.link is not None:
            said = address_of(item)
            if said is None or said not in line.link.url:
                wrong.append((repository, file, line.line, said))
        elif not {str(one) for one in SpecifierSet(item.version)} & {str(one) for one in line.req.specifier} and (
            line.req.specifier or item.version
        ):
            wrong.append((repository, file, line.line, item.version))
        if {normalize_pypi_name(extra) for extra in line.req.extras} - {*item.extras}:
            wrong.append((repository, file, line.line, item.extras))
        if line.hash_options and {text.removeprefix("sha256:") for text in line.hash_options} != {*item.hashes}:
            wrong.append((repository, file, line.line, item.hashes))
    assert wrong == []
    assert compared > 900


def address_of(item: PypiRequirement) -> str | None:
    if isinstance(item.source, GitSource):
        return item.source.git
    return item.source.url if isinstance(item.source, UrlSource) else None


def conda_lines() -> Iterator[tuple[str, str, str, int]]:
    """Every conda spec of the corpus, by PyYAML's own tree."""
    for repository, file in FILES:
        if file.endswith((".yml", ".yaml")):
            tree = yaml.safe_load((folder(repository) / file).read_text(encoding="utf-8"))
            for spec in tree["dependencies"]:
                if isinstance(spec, str):
                    yield repository, file, spec, tree["dependencies"].count(spec)


def test_conda_specs_mean_what_rattler_reads() -> None:
    from rattler import MatchSpec

    wrong, compared = [], 0
    names = Counter(
        (repository, file, re.split(r"[\s=<>!~\[]", spec.rpartition("::")[2])[0].lower())
        for repository, file, spec, _ in conda_lines()
    )
    for repository, file, spec, _ in conda_lines():
        try:
            theirs = MatchSpec(spec)
        except Exception:
            foreign, issues = parsed(repository, file)
            assert any(spec.split()[-1] in issue.message for issue in issues), (
                f"{spec}: rattler refuses, envbuild does not"
            )
            continue
        foreign, _issues = parsed(repository, file)
        assert foreign is not None
        name = (
            theirs.name.normalized if hasattr(theirs.name, "normalized") else str(theirs).split()[0].rpartition("::")[2]
        )
        if "{{" in spec or names[repository, file, name] > 1:
            continue
        compared += 1
        ours = mine(foreign, name)
        if ours is None:
            wrong.append((repository, file, spec, "not found"))
            continue
        again = MatchSpec(match_spec(ours))
        for version in versions_around(spec):
            record = record_of(name, version, theirs.build)
            if theirs.matches(record) != again.matches(record):
                wrong.append((repository, file, spec, f"{version}: {theirs} and {again}"))
        if (theirs.channel.name if theirs.channel else None) != ours.channel:
            wrong.append((repository, file, spec, ours.channel))
    assert wrong == []
    assert compared > 300


def mine(foreign: Foreign, name: str) -> CondaRequirement | None:
    if name == "python" and foreign.python is not None:
        return CondaRequirement(name="python", version=foreign.python)
    return next((item for item in foreign.conda.packages if item.name == name), None)


def versions_around(spec: str) -> list[str]:
    """Versions at, below and above each that a spec names."""
    found = {"0.1", "99"}
    for text in re.findall(r"[0-9]+(?:\.[0-9]+)*", spec):
        numbers = [int(part) for part in text.split(".")]
        for tail in (
            numbers,
            [*numbers, 0],
            [*numbers, 1],
            [*numbers[:-1], numbers[-1] + 1],
            [*numbers[:-1], max(numbers[-1] - 1, 0)],
        ):
            found.add(".".join(map(str, tail)))
    return sorted(found)


def record_of(name: str, version: str, build: object) -> Any:
    from rattler import BuildString, PackageRecord, VersionWithSource

    text = str(build or "0").replace("*", "x")
    return PackageRecord(name, VersionWithSource(version), BuildString(text), 0, "linux-64")
