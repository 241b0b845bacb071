"""A lock held against a policy; licences, ages, places and sizes one by one."""

from __future__ import annotations

import hashlib
from datetime import datetime, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envbuild.digest import Digest
from envbuild.errors import InvalidInput, Where
from envbuild.lock import Lock, LockedEnvironment
from envbuild.package import CondaPackage, Platform, SourcePackage, Wheel
from envbuild.policy import Forbidden, Licenses, Policy
from envbuild.recipe import Index
from envbuild.review.licenses import LicenseBook
from envbuild.review.policy import Breach, PolicyBook, moment_of

NOW = datetime(2026, 11, 21, 12, tzinfo=timezone.utc)
RELEASED = 1_795_000_000_000
"""18 November 2026, in milliseconds."""


def sha(text: str) -> Digest:
    return Digest(hashlib.sha256(text.encode()).hexdigest())


def conda(**changes: Any) -> CondaPackage:
    said: dict[str, Any] = {
        "name": "zlib",
        "version": "1.3",
        "build": "h_0",
        "build_number": 0,
        "subdir": "linux-64",
        "file": "zlib-1.3-h_0.conda",
        "sha256": sha("zlib"),
        "channel": "conda-forge",
        "license": "Zlib",
        "timestamp": 1_700_000_000_000,
        "size": 100,
    }
    said |= changes
    if said["channel"] is None:
        del said["channel"]
    return CondaPackage(**said)


def wheel(**changes: Any) -> Wheel:
    said: dict[str, Any] = {
        "name": "idna",
        "version": "3.6",
        "file": "idna-3.6-py3-none-any.whl",
        "sha256": sha("idna"),
        "license": "BSD-3-Clause",
        "upload_time": "2024-01-01T00:00:00Z",
        "size": 50,
    }
    said |= changes
    if not {"url", "find_links"} & set(changes):
        said.setdefault("index", "default")
    return Wheel(**said)


def source(**changes: Any) -> SourcePackage:
    said: dict[str, Any] = {
        "name": "legacy",
        "version": "1.0",
        "file": "legacy-1.0.tar.gz",
        "sha256": sha("legacy"),
        "license": "MIT",
        "upload_time": "2024-01-01T00:00:00Z",
    }
    said |= changes
    if not {"url", "git", "path"} & set(changes):
        said.setdefault("index", "default")
    return SourcePackage(**said)


def breaches(
    policy: Policy, *packages: Any, build: tuple[Wheel, ...] = (), indices: tuple[Index, ...] = ()
) -> list[Breach]:
    environment = LockedEnvironment(
        platform=Platform("linux-64"),
        python="3.11",
        interpreter="conda",
        system=(),
        conda=tuple(item for item in packages if isinstance(item, CondaPackage)),
        wheels=tuple(item for item in packages if isinstance(item, Wheel)),
        sources=tuple(item for item in packages if isinstance(item, SourcePackage)),
        build=build,
    )
    lock = Lock(request=sha("request"), platforms=(environment,), indices=indices)
    return list(PolicyBook(policy, NOW).breaches(lock))


def rules(*arguments: Any, **named: Any) -> list[str]:
    return [item.rule for item in breaches(*arguments, **named)]


def test_no_policy_breaks_nothing() -> None:
    assert rules(Policy(), conda(license=None), wheel(), source(), build=(wheel(name="setuptools"),)) == []


TEAM = "https://conda.example.org/team"


@pytest.mark.parametrize(
    ("package", "allowed", "breaks"),
    [
        (conda(), ("conda-forge",), False),
        (conda(), ("bioconda",), True),
        (conda(), (), True),
        (conda(channel=f"{TEAM}/"), (TEAM,), False),
        (conda(channel=f"{TEAM}x"), (TEAM,), True),
        (conda(channel=None, url=f"{TEAM}/linux-64/zlib-1.3-h_0.conda"), (TEAM,), False),
        (conda(channel=None, url=f"{TEAM}/../evil/zlib-1.3-h_0.conda"), (TEAM,), True),
        (conda(channel=None, url=f"{TEAM}/%2e%2e/evil/zlib-1.3-h_0.conda"), (TEAM,), True),
        (conda(channel=None, url="https://conda.example.org/teamx/zlib-1.3-h_0.conda"), (TEAM,), True),
        (wheel(), ("conda-forge",), False),
    ],
)
def test_channels(package: Any, allowed: tuple[str, ...], breaks: bool) -> None:
    assert rules(Policy(channels=allowed), package) == ["forbidden-channel"] * breaks


PYPI = "https://pypi.example.org/simple"


@pytest.mark.parametrize(
    ("package", "allowed", "breaks"),
    [
        (wheel(), ("default",), False),
        (wheel(), (PYPI,), True),
        (wheel(index=PYPI), (PYPI,), False),
        (wheel(index=f"{PYPI}/"), (PYPI,), False),
        (wheel(index="torch"), ("default",), True),
        (wheel(index="torch"), ("https://torch.example.org/cpu",), False),
        (wheel(index="named"), (PYPI,), True),
        (wheel(url=f"{PYPI}/idna-3.6-py3-none-any.whl"), (PYPI,), False),
        (wheel(url="https://evil.example/idna-3.6-py3-none-any.whl"), (PYPI,), True),
        (wheel(find_links="https://evil.example/"), (PYPI,), True),
        (wheel(find_links="./wheels"), (PYPI,), False),
        (source(git="https://git.example.org/a/b.git", commit="a" * 40), (PYPI,), True),
        (source(git="https://git.example.org/a/b.git", commit="a" * 40), ("https://git.example.org/a",), False),
        (source(path="libs/legacy"), (PYPI,), False),
        (conda(), (PYPI,), False),
    ],
)
def test_indices(package: Any, allowed: tuple[str, ...], breaks: bool) -> None:
    named = (
        Index(name="torch", url="https://torch.example.org/cpu"),
        Index(name="named", url="https://evil.example/simple"),
    )
    assert rules(Policy(indices=allowed), package, indices=named) == ["forbidden-index"] * breaks


def test_a_name_that_a_recipe_gives_an_index_does_not_make_it_the_default_one() -> None:
    found = breaches(
        Policy(indices=("default",)), wheel(), indices=(Index(name="default", url="https://evil.example/simple"),)
    )
    assert [item.rule for item in found] == ["forbidden-index"]
    assert "https://evil.example/simple" in found[0].message


@pytest.mark.parametrize(
    ("text", "breaks"),
    [
        ("zlib", True),
        ("zlib<1.3", False),
        ("zlib<1.4", True),
        ("zlib==1.3", True),
        ("zlib-ng", False),
        ("idna>=3", True),
    ],
)
def test_forbidden_packages(text: str, breaks: bool) -> None:
    assert rules(Policy(forbidden=(Forbidden(text=text),)), conda(), wheel()) == ["forbidden-package"] * breaks


def test_what_only_builds_see_is_forbidden_too() -> None:
    policy = Policy(forbidden=(Forbidden(text="idna"),), licenses=Licenses(allow=()))
    assert rules(policy, build=(wheel(),)) == ["forbidden-package"]


def test_a_range_that_no_engine_reads_is_told_at_its_line() -> None:
    where = Where(file="envbuild.yaml", line=3, column=5)
    with pytest.raises(InvalidInput) as caught:
        PolicyBook(Policy(forbidden=(Forbidden(text="zlib<<>", where=where),)), NOW)
    assert caught.value.where == where


@pytest.mark.parametrize(
    ("package", "rule"),
    [
        (conda(timestamp=RELEASED), "too-young"),
        (conda(timestamp=RELEASED // 1000), "too-young"),  # old channels say seconds
        (conda(timestamp=RELEASED * 3), "too-young"),  # in the future
        (conda(timestamp=None), "unknown-age"),
        (conda(timestamp=10**30), "unknown-age"),
        (conda(), None),
        (wheel(upload_time="2026-11-20T12:00:00.123456789Z"), "too-young"),
        (wheel(upload_time="2026-11-14T12:00:01+00:00"), "too-young"),
        (wheel(upload_time="2026-11-14T12:00:00+00:00"), None),
        (wheel(upload_time=None), "unknown-age"),
        (wheel(upload_time="soon"), "unknown-age"),
        (source(path="libs/legacy", upload_time=None), None),
        (source(git="https://g.example/x", commit="b" * 40, upload_time=None), None),
    ],
)
def test_ages(package: Any, rule: str | None) -> None:
    assert rules(Policy(min_age="7d"), package) == ([rule] if rule else [])


def test_source_builds() -> None:
    assert rules(Policy(source_builds=()), source(), wheel(), conda()) == ["source-build"]
    assert rules(Policy(source_builds=("leg*",)), source()) == []
    assert rules(Policy(source_builds=("other",)), source(path="libs/legacy")) == ["source-build"]


def test_size() -> None:
    (found,) = breaches(Policy(max_size=120), conda(), wheel(), wheel(name="silent", size=None))
    assert (found.rule, found.package) == ("too-big", None)
    assert "1 more say no size" in found.message
    assert found.hint is not None
    assert found.hint.startswith("the largest are zlib")
    assert rules(Policy(max_size=150), conda(), wheel()) == []


def test_exceptions_are_by_rule_and_name() -> None:
    policy = Policy(min_age="7d", channels=(), exceptions=(("min-age", ("z*",)),))
    assert rules(policy, conda(timestamp=RELEASED)) == ["forbidden-channel"]


def verdict(wording: str, *, allow: tuple[str, ...] | None = None, deny: tuple[str, ...] = ()) -> bool | None:
    return LicenseBook(Licenses(allow=allow, deny=deny)).allowed(wording)


@pytest.mark.parametrize(
    ("wording", "expected"),
    [
        ("MIT", True),
        ("mit", True),
        ("GPL-3.0-only", False),
        ("MIT OR GPL-3.0-only", True),
        ("GPL-3.0-only OR MIT", True),
        ("MIT AND GPL-3.0-only", False),
        ("GPL-3.0-only AND Apache-2.0 OR MIT", True),
        ("MIT AND (Apache-2.0 OR GPL-3.0-only)", True),
        ("(MIT AND GPL-3.0-only) OR (Apache-2.0 AND GPL-3.0-only)", False),
        ("(MIT)", True),
        ("Apache-2.0 WITH LLVM-exception", True),
        ("GPL-3.0-only WITH GCC-exception-3.1", False),
        ("GPL-2.0-only WITH Classpath-exception-2.0", True),
        ("BSD-like", True),
        ("bsd-LIKE", True),
        ("LicenseRef-Proprietary", False),
        ("PSF", None),
        ("MIT OR", None),
        ("", None),
        ("(" * 50 + "MIT" + ")" * 50, None),
        ("MIT OR " * 500 + "MIT", None),
    ],
)
def test_licences_that_are_allowed(wording: str, expected: bool | None) -> None:
    allow = ("mit", "Apache-2.0", "BSD-like", "GPL-2.0-only WITH Classpath-exception-2.0")
    assert verdict(wording, allow=allow) is expected


@pytest.mark.parametrize(
    ("wording", "expected"),
    [
        ("MIT", True),
        ("AGPL-3.0-only", False),
        ("AGPL-3.0-only OR MIT", True),
        ("AGPL-3.0-only AND MIT", False),
        ("AGPL-3.0-only WITH GCC-exception-3.1", False),
        ("GPL-2.0+", False),
        ("Commercial, ask us", False),
        ("Other words", None),
    ],
)
def test_licences_that_are_denied(wording: str, expected: bool | None) -> None:
    assert verdict(wording, deny=("AGPL-3.0-only", "GPL-2.0", "Commercial, ask us")) is expected


def test_an_exception_that_is_allowed_is_no_denial_of_the_rest() -> None:
    allow, deny = ("GPL-2.0-only WITH Classpath-exception-2.0",), ("GPL-2.0-only",)
    assert verdict("GPL-2.0-only WITH Classpath-exception-2.0", allow=allow, deny=deny)
    assert verdict("GPL-2.0-only", allow=allow, deny=deny) is False


NAMES = {"MIT": True, "Apache-2.0": True, "GPL-3.0-only": False, "AGPL-3.0-only": False}


def expressions() -> st.SearchStrategy[tuple[str, bool]]:
    """An expression, and whether Python finds it true."""
    return st.recursive(
        st.sampled_from(sorted(NAMES.items())),
        lambda inner: st.tuples(inner, st.sampled_from(["AND", "OR"]), inner).map(
            lambda found: (
                f"({found[0][0]} {found[1]} {found[2][0]})",
                (found[0][1] and found[2][1]) if found[1] == "AND" else (found[0][1] or found[2][1]),
            )
        ),
        max_leaves=12,
    )


@given(expressions())
@settings(max_examples=200, deadline=None)
def test_expressions_are_read_as_boolean_ones(case: tuple[str, bool]) -> None:
    assert verdict(case[0], allow=("MIT", "Apache-2.0")) is case[1]


@pytest.mark.parametrize(
    ("unknown", "levels"), [("allow", []), ("warn", ["warning"]), ("deny", ["error"])], ids=["allow", "warn", "deny"]
)
def test_a_licence_that_nobody_knows(unknown: str, levels: list[str]) -> None:
    policy = Policy(licenses=Licenses(deny=("X",), unknown=unknown))
    for package in (conda(license="Strange words"), wheel(license=None)):
        found = breaches(policy, package)
        assert [item.level for item in found] == levels
        assert all(item.rule == "unknown-license" for item in found)


def test_times_of_indices_are_read_in_any_spelling() -> None:
    assert moment_of("2026-11-20T12:00:00Z") == moment_of("2026-11-20T13:00:00+01:00")
    assert moment_of("2026-11-20T12:00:00.5Z") is not None
    assert moment_of("yesterday") is None
    assert moment_of(None) is None
