"""Comments of pull requests: what a lock or recipe says cannot leave its code span, whatever it is."""

from __future__ import annotations

import re

import pytest

from envbuild.review.comparison import Compared, Diff, Held, Occurrence, PackageChange
from envbuild.review.markdown import LARGEST, code, markdown
from envbuild.review.requests import RequestChange


def held(version: str, origin: str = "conda-forge", license: str | None = "MIT") -> Held:
    return Held(version=version, build="0", origin=origin, license=license, size=1, digest="0" * 12, asked=False)


def change(name: str, before: Held | None, after: Held | None) -> PackageChange:
    how = "added" if before is None else "removed" if after is None else "upgraded"
    return PackageChange(
        kind="conda",
        name=name,
        how=how,
        direct=False,
        on=(Occurrence(platform="linux-64", before=before, after=after),),
    )


def outside_code(text: str) -> str:
    """What is left of Markdown when its code spans are taken out, as CommonMark finds them."""
    out, place = "", 0
    while place < len(text):
        if text[place] != "`":
            out += text[place]
            place += 1
            continue
        run = re.match("`+", text[place:])[0]  # type: ignore[index]
        close = re.search(f"(?<!`){run}(?!`)", text[place + len(run) :])
        if close is None:
            out += run
            place += len(run)
        else:
            place += len(run) + close.end()
    return out


HOSTILE = (
    "@somebody",
    "#1",
    "https://evil.example/x",
    "<script>alert(1)</script>",
    "</details><img src=x onerror=alert(1)>",
    "a`b",
    "``",
    "`",
    "a | b",
    "a\n\n# title",
    "a\r\n- [ ] task",
    "![x](https://evil.example/x.png)",
    "\x1b[31mred",
    "‮txt",
    "a\\",
    "\\`",
    " ",
    "",
    "x" * 5000,
)


@pytest.mark.parametrize("text", HOSTILE)
def test_a_code_span_cannot_be_left(text: str) -> None:
    shown = code(text)
    assert outside_code(shown).strip() == ""
    assert "\n" not in shown
    assert re.search(r"(?<!\\)\|", shown) is None
    assert len(shown) < 400


@pytest.mark.parametrize("text", [item for item in HOSTILE if item.strip()])
def test_nothing_of_a_lock_or_recipe_stands_outside_of_code(text: str) -> None:
    diff = Diff(
        before=text,
        after=text,
        compared=(
            Compared(
                label=text,
                state="changed",
                requests=(RequestChange(what="conda", name=text, before=text, after=text),),
                changes=(
                    change(text, held(text), held("2", origin=text, license=text)),
                    change("x", None, held(text)),
                ),
                platforms=("linux-64", "osx-64"),
                problems=(text,),
            ),
        ),
    )
    rest = outside_code(markdown(diff))
    for bad in ("evil", "script", "somebody", "# title", "task", "onerror", "\x1b", "‮"):
        assert bad not in rest
    assert rest.count("<details>") == rest.count("</details>") == 1
    rows = [line for line in markdown(diff).splitlines() if line.startswith("| ") and "---" not in line]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in rows} == {5}


def test_a_comment_has_room_where_it_goes() -> None:
    several = tuple(
        Compared(
            label=f"recipes/r{number:04}.yaml",
            state="changed",
            changes=tuple(change(f"package-{item}", held("1.0"), held("2.0")) for item in range(150)),
            platforms=("linux-64",),
        )
        for number in range(2000)
    )
    text = markdown(Diff(before="main", after="HEAD", compared=several))
    assert len(text) <= LARGEST
    assert "2000 recipes differ" in text
    assert "more, for which this comment has no room" in text


def test_nothing_to_tell_is_short() -> None:
    assert markdown(Diff(before="main", after="HEAD", compared=(), unchanged=3)).startswith(
        "### No environment differs"
    )
