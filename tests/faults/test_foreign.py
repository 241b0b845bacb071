"""Requirements of any shape: read as ``packaging`` reads them, written and read again; joined without losing any.

Made by rules and shrunk when they fail; ``fuzzed_texts`` has a hundred thousand more of them, and damaged whole files.
"""

from __future__ import annotations

import string

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet

from envbuild.errors import InvalidInput
from envbuild.formats import read
from envbuild.formats.joining import joined
from envbuild.package import normalize_pypi_name
from envbuild.recipe import PypiRequirement
from tests.faults.counts import COUNTS
from tests.faults.fuzzed_texts import written

EXAMPLES = max(150, COUNTS.inputs // 20)

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


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
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


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
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
