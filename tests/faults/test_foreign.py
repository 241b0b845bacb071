"""R33 for files of other tools: whatever their bytes are, they are read, or refused with places, in time.

Small by default; ``./dev torture`` tries a hundred thousand of each format. What is mutated is the corpus.
"""

from __future__ import annotations

import random
import resource
import string
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet

from envbuild.errors import InvalidInput
from envbuild.formats import read
from envbuild.formats.joining import joined
from envbuild.package import normalize_pypi_name
from envbuild.recipe import GitSource, PypiRequirement, UrlSource
from tests.faults.counts import SCALE
from tests.faults.figures import count, worst

CORPUS = Path(__file__).parents[1] / "corpus"
TRIES = max(250, round(100_000 * SCALE))
SECONDS = 5.0
MEGABYTES = 512

ENDINGS = {"requirements": (".txt", ".in"), "environment-yml": (".yml", ".yaml"), "pyproject": (".toml",)}
PIECES = [
    *(
        piece.encode()
        for piece in ("-r a.txt\n", "--hash=sha256:", "[", "]", "{", "}", "::", "==", " ; ", "\\\n", "'", '"')
    ),
    *(
        b"\x00",
        b"\xff\xfe",
        b"\r",
        b"#",
        b"${X}",
        b"git+",
        b"@",
        b"- pip:\n",
        b"{{",
        b"[tool.uv]\n",
        b"*" * 50,
        b"(" * 200,
    ),
]


def mutated(data: bytes, chance: random.Random, others: list[bytes]) -> bytes:
    """A file with a few bytes, lines or pieces changed, taken out, doubled or from another file."""
    for _ in range(chance.randint(1, 6)):
        at = chance.randrange(len(data) + 1)
        end = min(len(data), at + chance.choice([0, 1, 4, 40]))
        kind = chance.randrange(5)
        if kind == 0:
            middle = chance.choice(PIECES)
        elif kind == 1:
            middle = bytes([chance.randrange(256)])
        elif kind == 2:
            other = chance.choice(others)
            begin = chance.randrange(len(other) + 1)
            middle = other[begin : begin + chance.choice([10, 200])]
        elif kind == 3:
            middle = data[at:end] * chance.choice([2, 30])
        else:
            middle = b""
        data = data[:at] + middle + data[end:]
    return data


@pytest.mark.parametrize("format_name", sorted(ENDINGS))
def test_mutated_files_are_read_or_refused(format_name: str) -> None:
    paths = sorted(path for path in CORPUS.rglob("*") if path.suffix in ENDINGS[format_name])
    files = [path.read_bytes() for path in paths]
    slowest = 0.0
    for seed in range(TRIES):
        chance = random.Random(seed)
        data = mutated(chance.choice(files), chance, files)
        said = f"{format_name}, seed {seed}"

        def opened(path: str, chance: random.Random = chance) -> bytes:
            if chance.random() < 0.5:
                raise InvalidInput(f"there is no file {path[:40]}", reference="missing-file")
            return chance.choice(files)

        began = time.monotonic()
        places = []
        try:
            read(format_name, data, "folder/file", opened)
        except InvalidInput as error:
            places = [issue.where for issue in error.all_issues()]
        except Exception as error:
            raise AssertionError(said) from error
        assert None not in places, said
        taken = time.monotonic() - began
        assert taken < SECONDS, said
        slowest = max(slowest, taken)
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    count(f"mutated {format_name} files read or refused", TRIES, TRIES)
    worst("seconds for a mutated foreign file", slowest)
    assert used < 4 * MEGABYTES, "the whole test process, not one file"


NAMES = st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,10}[A-Za-z0-9])?", fullmatch=True)
NUMBERS = st.lists(st.integers(0, 40), min_size=1, max_size=4).map(lambda parts: ".".join(map(str, parts)))
VERSIONS = st.builds(
    "".join,
    st.tuples(
        st.sampled_from(["", "1!"]), NUMBERS, st.sampled_from(["", "a1", "rc2", ".post1", ".dev3", "b2.post1.dev0"])
    ),
)
PIECES_OF_SPECS = st.one_of(
    st.builds(lambda sign, version: sign + version, st.sampled_from(["==", "!=", ">=", "<=", ">", "<"]), VERSIONS),
    st.builds(lambda sign, version: f"{sign}{version}.*", st.sampled_from(["==", "!="]), NUMBERS),
    st.builds(lambda version: f"~={version}.1", NUMBERS),
    st.builds(lambda version: f"=={version}+local.1", NUMBERS),
)
SPECS = st.one_of(
    st.lists(PIECES_OF_SPECS, max_size=3).map(lambda pieces: ", ".join(pieces)),
    st.builds(lambda version: f"==={version}", VERSIONS),
)
EXTRAS = st.lists(NAMES, max_size=3).map(lambda names: f"[{','.join(names)}]" if names else "")
MARKERS = st.recursive(
    st.sampled_from(
        [
            "python_version < '3.9'",
            'sys_platform == "linux"',
            "'x' in os_name",
            "extra == 'a'",
            "platform_release >= '5'",
        ]
    ),
    lambda inner: st.builds(lambda a, word, b: f"({a}) {word} ({b})", inner, st.sampled_from(["and", "or"]), inner),
    max_leaves=4,
)
URLS = st.sampled_from(
    [
        "https://h/x-1.0.tar.gz",
        "https://h/a/b-1.0-py3-none-any.whl",
        "git+https://h/a/b@v1",
        f"https://h/x.zip#sha256={'ab' * 32}",
    ]
)
LINES = st.builds(
    lambda name, extras, rest, marker, space: f"{name}{extras}{space}{rest}{' ; ' + marker if marker else ''}",
    NAMES,
    EXTRAS,
    st.one_of(SPECS, URLS.map(lambda url: f" @ {url}")),
    st.one_of(st.none(), MARKERS),
    st.sampled_from(["", " "]),
)


def written(item: PypiRequirement) -> str:
    """A requirement as a line again."""
    text = item.name + (f"[{','.join(item.extras)}]" if item.extras else "") + item.version
    if isinstance(item.source, UrlSource):
        text += f" @ {item.source.url}" + (f"#sha256={item.source.sha256}" if item.source.sha256 else "")
    elif isinstance(item.source, GitSource):
        text += f" @ git+{item.source.git}" + (f"@{item.source.rev}" if item.source.rev else "")
    return text + (f" ; {item.markers}" if item.markers else "")


@settings(max_examples=max(150, round(100_000 * SCALE)), deadline=None, suppress_health_check=list(HealthCheck))
@given(LINES)
@example("a==1.0.*,!=1.0.3 ; 'x' in os_name or (sys_platform=='win32')")
@example("a (>=1)")
def test_a_line_that_packaging_accepts_survives_reading_and_writing(line: str) -> None:
    theirs = Requirement(line)
    if normalize_pypi_name(theirs.name) in {"con", "nul", "aux", "prn"}:
        return
    (ours,) = read("requirements", (line + "\n").encode(), "r.txt").pypi.packages
    assert ours.name == normalize_pypi_name(theirs.name)
    assert SpecifierSet(ours.version) == theirs.specifier
    assert {*ours.extras} == {normalize_pypi_name(extra) for extra in theirs.extras}
    assert ours.markers == (str(theirs.marker) if theirs.marker else None)
    assert (ours.source is None) == (theirs.url is None)
    again = Requirement(written(ours))
    assert (again.specifier, str(again.marker), again.url) == (theirs.specifier, str(theirs.marker), theirs.url)
    (twice,) = read("requirements", (written(ours) + "\n").encode(), "r.txt").pypi.packages
    assert twice == ours


@settings(max_examples=max(150, round(100_000 * SCALE)), deadline=None, suppress_health_check=list(HealthCheck))
@given(st.text(alphabet=string.ascii_letters + string.digits + " \t=<>!~,;()[]@:/.#'\"-_*+\\\n$&", max_size=60))
def test_any_text_is_read_as_packaging_does_or_refused(text: str) -> None:
    try:
        found = read("requirements", text.encode(), "r.txt").pypi.packages
    except InvalidInput:
        return
    for item in found:
        if item.source is None:
            try:
                Requirement(written(item))
            except InvalidRequirement:
                raise AssertionError(f"{text!r} became {written(item)!r}") from None


@given(st.lists(st.tuples(st.sampled_from("ab"), SPECS), max_size=6))
@settings(deadline=None)
def test_requirements_of_one_name_allow_what_all_of_them_allow(items: list[tuple[str, str]]) -> None:
    requirements = [
        PypiRequirement(name=name, version=",".join(sorted(spec.replace(" ", "").split(",")))) for name, spec in items
    ]
    issues: list = []
    result = {item.name: SpecifierSet(item.version) for item in joined(requirements, issues)}
    assert sorted(result) == sorted({item.name for item in requirements})
    if issues:
        return
    for version in ("0", "1", "1.0.1", "7.3", "20.1", "40.40", "99"):
        for name, together in result.items():
            each = all(SpecifierSet(item.version).contains(version) for item in requirements if item.name == name)
            assert together.contains(version) == each
