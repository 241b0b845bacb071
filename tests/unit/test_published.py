"""Where a generation came from: written with it, read strictly, and never between a name and its readers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from envbuild.digest import Digest, sealed, unsealed
from envbuild.errors import IntegrityError
from envbuild.names import parse_name
from envbuild.package import Platform
from envbuild.store.generation import Named, Published, parse
from envbuild.store.names import current, move
from tests.support.name_objects import TableObjects

NAME = parse_name("shop/train:candidate")
NAMED = Named(request=Digest("a" * 64), environments=((Platform("linux-64"), Digest("b" * 64)),))
FROM = Published(commit="c" * 40, by="ann", recipe="recipes/train.yaml", dirty=True)


def changed(**published: Any) -> bytes:
    """A generation that is sealed as it should be, and says something else of where it came from."""
    objects = TableObjects()
    data = move(objects, NAME, NAMED, published=FROM).now.data
    tree = json.loads(unsealed(data))
    tree.pop("check", None)
    tree["published"] = {**tree["published"], **published}
    tree["published"] = {name: value for name, value in tree["published"].items() if value is not ...}
    return sealed(json.dumps(tree, indent=1).encode() + b"\n")


def test_a_generation_says_where_it_came_from_and_one_by_hand_does_not() -> None:
    objects = TableObjects()
    assert move(objects, NAME, NAMED, published=FROM).now.published == FROM
    found = current(objects, NAME)
    assert found is not None
    assert found.published == FROM
    other = Named(request=Digest("d" * 64), environments=NAMED.environments)
    assert move(objects, NAME, other).now.published is None
    again = move(objects, NAME, other, published=FROM)  # it means that already: nothing is written, whoever says it
    assert (again.written, again.now.number, again.now.published) == (False, 2, None)


def test_what_is_changed_and_right_is_read() -> None:
    assert parse(changed(commit="d" * 64), NAME, 1).published is not None


@pytest.mark.parametrize(
    "wrong",
    [
        {"commit": "HEAD"},
        {"commit": "c" * 39},
        {"commit": None},
        {"commit": ["c" * 40]},
        {"by": "ann\x1b[2J"},
        {"by": 7},
        {"recipe": "x" * 5000},
        {"dirty": "no"},
        {"dirty": ...},
        {"more": 1},
    ],
)
def test_what_is_none_is_broken(wrong: dict[str, Any]) -> None:
    with pytest.raises(IntegrityError) as caught:
        parse(changed(**wrong), NAME, 1)
    assert caught.value.reference == "bad-generation"
