"""uv's refusals in our words: the explanation stays, and nothing names an option that our users cannot type."""

from __future__ import annotations

import pytest

from envbuild.solvers.uv_words import retold

FILTERED = """No solution found when resolving dependencies:
Because there are no versions of toy and you require toy, we can conclude that your requirements are unsatisfiable.

hint: `toy` was filtered by `exclude-newer` to only include packages uploaded before 2020-01-02T00:00:00Z. \
The latest version satisfying the requirement is v2.0{}. \
Consider using `exclude-newer-package` to override the cutoff for this package.
"""
SAID = """No solution found when resolving dependencies:
Because a and b, c.
         And because d, e.

hint: {}
"""
HINTS = {
    "index": (
        "`apple` was found on first, but not at the requested version (apple>=2). A compatible version may be "
        "available on a subsequent index (e.g., https://x.example/simple). By default, uv will only consider versions "
        "that are published on the first index. If all are trusted, use `--index-strategy unsafe-best-match`."
    ),
    "pre-release": (
        "Pre-releases are available for `apple` in the requested range (e.g., 2.0rc1), but pre-releases weren't "
        "enabled (try: `--prerelease=allow`)"
    ),
    "python": (
        "The `--python-version` value (>=3.11) includes Python versions that are not supported by your dependencies "
        "(e.g., newpy==1.0 only supports >=3.99). Consider using a higher `--python-version` value."
    ),
    "tag": (
        "You require CPython 3.11 (`cp311`), but we only found wheels for `abi` (v1.0) with the following Python "
        "implementation tag: `cp312`"
    ),
    "platform": "Wheels are available for `mac` (v1.0) on the following platform: `macosx_11_0_arm64`",
    "glibc": "Wheels are available for `new` (v1.0) on the following platform: `manylinux_2_39_x86_64`",
    "unknown": "Try `--some-new-flag` of uv",
}


@pytest.mark.parametrize(
    ("hint", "told"),
    [
        ("index", "the first index that has a name decides, and apple is on first"),
        ("pre-release", "`pypi: {prereleases: [apple]}`"),
        ("python", "newpy 1.0 needs Python >=3.99: change `python:` in the recipe"),
        ("tag", "abi has wheels for `cp312` only, and not for Python 3.11: say another `python:`"),
        ("platform", "mac 1.0 has wheels for `macosx_11_0_arm64` only"),
        ("glibc", "only; `system: {__glibc: ...}` says what machines have"),
        ("unknown", None),
    ],
)
def test_hints_are_told_in_terms_of_a_recipe(hint: str, told: str | None) -> None:
    said = SAID.format(HINTS[hint])
    text, ours = retold(said)
    assert text == "Because a and b, c.\nAnd because d, e."
    if told is None:
        assert ours is None
    else:
        assert ours is not None
        assert told in ours
        assert "--" not in ours
        assert "uv" not in ours.split()


def test_a_cut_off_that_hides_everything() -> None:
    text, hint = retold(FILTERED.format(""))
    assert text == "Because there are no versions of toy and you require toy, this cannot be satisfied."
    assert hint is not None
    assert hint.startswith("the index states no upload dates for toy, so `exclude-newer` hides all of its files")
    _, hint = retold(FILTERED.format(", published at 2024-01-01T00:00:00Z"))
    assert hint is not None
    assert "the newest toy that fits is of 2024-01-01T00:00:00Z" in hint
    assert "exclude-newer-package" not in hint


def test_an_unknown_name() -> None:
    text, hint = retold(
        "No solution found when resolving dependencies:\n"
        "Because nonsuch was not found in the package registry and you require nonsuch, we can conclude that your "
        "requirements are unsatisfiable.\n"
    )
    assert text == "Because nonsuch was not found on the index and you require nonsuch, this cannot be satisfied."
    assert hint is not None
    assert hint.startswith("check the spelling of nonsuch")
