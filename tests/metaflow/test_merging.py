"""What decorators of a flow and of a step come to: key by key, the step over the flow."""

from __future__ import annotations

from typing import Any

import pytest

from envbuild.errors import InvalidInput
from envbuild.metaflow.asked import Asked, By, Declared
from envbuild.metaflow.declared import declared
from envbuild.metaflow.merging import merged


def said(decorator: str, **attributes: Any) -> Declared:
    step = None if decorator.endswith("_base") else "train"
    return declared(By(decorator=decorator, step=step), attributes, "/flows")


def versions(asked: Asked | None) -> dict[str, str]:
    assert asked is not None
    return {item.key: item.version for item in (*asked.conda, *asked.pypi)}


PACKAGES = {
    "a step adds": (
        [said("conda_base", libraries={"a": "1"})],
        [said("conda", libraries={"b": "2"})],
        {"a": "1", "b": "2"},
    ),
    "a step overrides, name by name": (
        [said("pypi_base", packages={"a": "1", "b": "1"})],
        [said("pypi", packages={"A": ">=2"})],
        {"a": ">=2", "b": "1"},
    ),
    "extras are part of what is overridden": (
        [said("pypi_base", packages={"a[x]": "1"})],
        [said("pypi", packages={"a": "2"})],
        {"a": "2"},
    ),
    "a channel is part of what is overridden": (
        [said("conda_base", libraries={"a": "1"})],
        [said("conda", libraries={"forge::a": "1"})],
        {"forge::a": "1"},
    ),
    "kinds of one level add up": (
        [],
        [said("conda", libraries={"a": "1"}), said("pypi", packages={"b": "1"}), said("pip", packages={"c": "1"})],
        {"a": "1", "b": "1", "c": "1"},
    ),
    "the same twice is once": (
        [],
        [said("pypi", packages={"a": "1"}), said("pip", packages={"a": "1"})],
        {"a": "1"},
    ),
    "any version gives way": (
        [],
        [said("pypi", packages={"a": ""}), said("pip", packages={"a": "1"})],
        {"a": "1"},
    ),
    "ranges of one level add up": (
        [said("pypi_base", packages={"a": ">=1"}), said("pip_base", packages={"a": "<2"})],
        [],
        {"a": ">=1,<2"},
    ),
}


@pytest.mark.parametrize("case", PACKAGES)
def test_packages(case: str) -> None:
    flow, step, expected = PACKAGES[case]
    assert versions(merged(flow, step)) == expected


DISABLED = {
    "nobody says anything": ([], [], False),
    "the flow is disabled": ([said("conda_base", disabled=True)], [], True),
    "content of a step enables it again": (
        [said("conda_base", disabled=True, libraries={"a": "1"})],
        [said("pypi", packages={"b": "1"})],
        False,
    ),
    "a step says it plainly": ([said("conda_base", disabled=True)], [said("conda", disabled=False)], False),
    "a step is disabled": ([said("conda_base", libraries={"a": "1"})], [said("conda", disabled=True)], True),
    "disabled wins over content beside it": ([], [said("conda", disabled=True, libraries={"a": "1"})], True),
    "content of the flow says that steps run inside": ([said("pypi_base", packages={"a": "1"})], [], False),
    "text of the command line": ([], [said("conda", disabled="true")], True),
}


@pytest.mark.parametrize("case", DISABLED)
def test_disabled_is_three_valued(case: str) -> None:
    flow, step, outside = DISABLED[case]
    assert (merged(flow, step) is None) is outside


def test_a_step_that_stays_outside_is_not_let_in_by_the_command_line() -> None:
    typed = declared(By(decorator="conda", step="train", dynamic=True), {"libraries": {"a": "1"}}, "/flows")
    assert merged([], [said("pypi", disabled=True), typed]) is None
    assert versions(merged([], [said("pypi", packages={"b": "1"}), typed])) == {"a": "1", "b": "1"}


def test_what_was_disabled_for_the_flow_counts_where_a_step_enables_it() -> None:
    flow = [said("conda_base", disabled=True, libraries={"a": "1"})]
    assert versions(merged(flow, [said("pypi", packages={"b": "1"})])) == {"a": "1", "b": "1"}


def test_python_base_channels_and_indices_of_a_step_come_first() -> None:
    flow = [
        said("conda_base", python="3.10", channels=["x", "y"]),
        said("pypi_base", extra_indices=["https://a/s"]),
        said("named_env_base", name="team/a"),
    ]
    step = [
        said("conda", python="3.11", channels=["z", "x"]),
        said("pypi", extra_indices=["https://b/s"]),
        said("named_env", name="team/b"),
    ]
    asked = merged(flow, step)
    assert asked is not None
    assert asked.python is not None
    assert asked.python.text == "3.11"
    assert asked.base is not None
    assert asked.base.text == "team/b:latest"
    assert [item.text for item in asked.channels] == ["z", "x", "y"]
    assert [item.text for item in asked.indices] == ["https://b/s", "https://a/s"]


def test_bytecode_of_a_step_counts_and_is_content() -> None:
    flow = [said("pypi_base", packages={"a": "1"}, bytecode=True, disabled=True)]
    for step, text in (([said("pypi", packages={"b": "1"})], "true"), ([said("conda", bytecode=False)], "false")):
        asked = merged(flow, step)
        assert asked is not None
        assert asked.bytecode is not None
        assert asked.bytecode.text == text


CONTRADICTIONS = {
    "two words on bytecode": (
        [said("pypi_base", bytecode=True), said("conda_base", bytecode=False)],
        "@pypi_base of the flow says bytecode true, and @conda_base of the flow false",
    ),
    "two Pythons": (
        [said("conda_base", python="3.10"), said("pypi_base", python="3.11")],
        "@conda_base of the flow says python 3.10, and @pypi_base of the flow 3.11",
    ),
    "two versions": (
        [said("pypi_base", packages={"a": "1"}), said("pip_base", packages={"a": "2"})],
        "@pypi_base of the flow asks for PyPI's a 1, and @pip_base of the flow for a 2",
    ),
    "a version and a range": (
        [said("pypi_base", packages={"a": "1"}), said("pip_base", packages={"a": ">=1"})],
        "asks for PyPI's a 1, and",
    ),
    "two bases": (
        [said("named_env_base", name="t/a"), said("recipe_base", path="a.yaml")],
        "@named_env_base of the flow says base t/a:latest, and @recipe_base of the flow /flows/a.yaml",
    ),
    "disabled, and not": (
        [said("conda_base", disabled=True), said("pypi_base", packages={"a": "1"})],
        "@conda_base of the flow says disabled=True, and @pypi_base of the flow asks for an environment",
    ),
}


@pytest.mark.parametrize("case", CONTRADICTIONS)
def test_decorators_of_one_level_that_contradict_each_other_are_both_named(case: str) -> None:
    flow, words = CONTRADICTIONS[case]
    with pytest.raises(InvalidInput) as caught:
        merged(flow, [])
    assert caught.value.reference == "contradiction"
    assert words in caught.value.message


def test_what_is_equal_does_not_depend_on_who_said_it() -> None:
    first = merged([said("conda_base", libraries={"a": "1"})], [said("conda", libraries={"b": "1"})])
    second = merged([], [said("conda", libraries={"b": "1", "a": "1"})])
    assert first == second
    assert hash(first) == hash(second)


@pytest.mark.parametrize(
    ("flow", "step"),
    [
        ([], [said("named_env", name="t/x", fetch_at_exec=True), said("pypi", packages={"a": ""})]),
        ([said("conda_base", libraries={"a": ""})], [said("named_env", name="t/x", fetch_at_exec=True)]),
        ([said("named_env_base", pathspec="F/1/s", fetch_at_exec=True)], [said("pypi", python="3.11")]),
        ([said("conda_base", channels=["c"])], [said("conda", name="t/x", fetch_at_exec=True)]),
        ([said("pypi_base", extra_indices=["https://i/s"])], [said("named_env", name="t/x", fetch_at_exec=True)]),
    ],
)
def test_nothing_is_added_to_what_is_looked_up_when_a_task_starts(flow: list[Declared], step: list[Declared]) -> None:
    with pytest.raises(InvalidInput) as caught:
        merged(flow, step)
    assert caught.value.reference == "contradiction"
    assert "says fetch_at_exec=True, which is for an environment as it is" in caught.value.message


def test_a_step_s_own_name_is_looked_up_as_it_says_and_not_as_its_flow_does() -> None:
    flow = [said("named_env_base", name="t/x", fetch_at_exec=True)]
    asked = merged(flow, [said("named_env", name="t/y"), said("pypi", packages={"a": ""})])
    assert asked is not None
    assert not asked.late
    inherited = merged(flow, [])
    assert inherited is not None
    assert inherited.late
