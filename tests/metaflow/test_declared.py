"""One decorator's attributes as a value, and what cannot be one."""

from __future__ import annotations

from typing import Any

import pytest

from envbuild.errors import InvalidInput, Where
from envbuild.metaflow.asked import Asked, Base, By, Package, Text
from envbuild.metaflow.declared import declared

PLACE = Where(file="flow.py", line=7)


def read(decorator: str, **attributes: Any) -> Asked:
    return declared(By(decorator=decorator, step="train"), attributes, "/flows").asked


def toy(version: str = "", key: str = "toy", **more: Any) -> Package:
    return Package(key=key, name="toy", version=version, **more)


SPELLINGS = {
    "libraries are conda's": ("conda", {"libraries": {"toy": "1.0"}}, Asked(conda=(toy("1.0"),))),
    "packages of @conda are conda's": ("conda", {"packages": {"Toy": ">=1"}}, Asked(conda=(toy(">=1"),))),
    "packages of @pypi are PyPI's": ("pypi", {"packages": {"Toy": "1.0"}}, Asked(pypi=(toy("1.0"),))),
    "packages of @pip are PyPI's": ("pip", {"packages": {"toy": "1.0"}}, Asked(pypi=(toy("1.0"),))),
    "no version is any": ("conda", {"libraries": {"toy": None}}, Asked(conda=(toy(),))),
    "a star is any of PyPI": ("pypi", {"packages": {"toy": "*"}}, Asked(pypi=(toy(),))),
    "a channel stays with its package": (
        "conda",
        {"libraries": {"conda-forge::toy": "1.*"}},
        Asked(conda=(toy("1.*", key="conda-forge::toy"),)),
    ),
    "extras stay with their package": (
        "pypi",
        {"packages": {"toy[b, A]": "1"}},
        Asked(pypi=(toy("1", key="toy[a,b]"),)),
    ),
    "an address may be the value": (
        "pypi",
        {"packages": {"toy": "@git+https://example.org/toy.git@main"}},
        Asked(pypi=(toy(source=(("git", "https://example.org/toy.git"), ("rev", "main"))),)),
    ),
    "an address may be in the key": (
        "pypi",
        {"packages": {"toy @ https://example.org/toy-1.0-py3-none-any.whl": ""}},
        Asked(pypi=(toy(source=(("url", "https://example.org/toy-1.0-py3-none-any.whl"),)),)),
    ),
    "a path begins at the flow": (
        "pypi",
        {"packages": {"toy[b]": "@./libs/toy"}},
        Asked(pypi=(toy(key="toy[b]", source=(("path", "/flows/libs/toy"),)),)),
    ),
    "a file's address is a path": (
        "pypi",
        {"packages": {"toy @ file:///flows/toy": ""}},
        Asked(pypi=(toy(source=(("path", "/flows/toy"),)),)),
    ),
    "a file's address without slashes begins at the flow": (
        "pip",
        {"packages": {"toy": "@file:../toy"}},
        Asked(pypi=(toy(source=(("path", "/toy"),)),)),
    ),
    "folders as channels and indices begin at the flow": (
        "conda",
        {"channels": ["./local", "team"], "pip_sources": ["wheels", "https://i/s"]},
        Asked(
            channels=(Text(text="/flows/local"), Text(text="team")),
            indices=(Text(text="/flows/wheels"), Text(text="https://i/s")),
        ),
    ),
    "python among the packages is the Python": (
        "conda",
        {"libraries": {"python": "3.11", "toy": ""}},
        Asked(python=Text(text="3.11"), conda=(toy(),)),
    ),
    "packages win over libraries, as in Metaflow itself": (
        "conda",
        {"packages": {"toy": "2"}, "libraries": {"toy": "1"}},
        Asked(conda=(toy("2"),)),
    ),
    "channels keep their order": (
        "conda",
        {"channels": ["b", "a", "b"]},
        Asked(channels=(Text(text="b"), Text(text="a"))),
    ),
    "extra_indices": ("pypi", {"extra_indices": ["https://i/s"]}, Asked(indices=(Text(text="https://i/s"),))),
    "sources": ("pip", {"sources": ["https://i/s"]}, Asked(indices=(Text(text="https://i/s"),))),
    "pip_packages and pip_sources of @conda": (
        "conda",
        {"pip_packages": {"toy": "1"}, "pip_sources": ["https://i/s"]},
        Asked(pypi=(toy("1"),), indices=(Text(text="https://i/s"),)),
    ),
    "a name": ("named_env", {"name": "team/toy"}, Asked(base=Base(kind="name", text="team/toy:latest"))),
    "a name on @conda": ("conda", {"name": "team/toy:v1"}, Asked(base=Base(kind="name", text="team/toy:v1"))),
    "a past step": ("named_env", {"pathspec": "F/1/s"}, Asked(base=Base(kind="pathspec", text="F/1/s"))),
    "a past step on @conda": ("conda", {"pathspec": "F/1/s/2"}, Asked(base=Base(kind="pathspec", text="F/1/s/2"))),
    "a late name": (
        "named_env",
        {"name": "t/x", "fetch_at_exec": "True"},
        Asked(base=Base(kind="name", text="t/x:latest", late=True)),
    ),
    "a late name with variables": (
        "named_env",
        {"name": "t/x:@{METAFLOW_RUN_ID}", "fetch_at_exec": True},
        Asked(base=Base(kind="name", text="t/x:@{METAFLOW_RUN_ID}", late=True)),
    ),
    "a late past step": (
        "conda",
        {"pathspec": "F/@{METAFLOW_RUN_ID}/s", "fetch_at_exec": True},
        Asked(base=Base(kind="pathspec", text="F/@{METAFLOW_RUN_ID}/s", late=True)),
    ),
    "a recipe": ("recipe", {"path": "../r/toy.yaml"}, Asked(base=Base(kind="recipe", text="/r/toy.yaml"))),
    "python as text": ("conda", {"python": "3.10"}, Asked(python=Text(text="3.10"))),
    "python as the command line gives it": ("conda", {"python": 3.11}, Asked(python=Text(text="3.11"))),
    "bytecode": ("pypi", {"bytecode": True}, Asked(bytecode=Text(text="true"))),
    "no bytecode, as the command line gives it": ("conda", {"bytecode": "False"}, Asked(bytecode=Text(text="false"))),
    "nothing": ("conda", {"libraries": {}, "channels": [], "python": None, "name": "", "disabled": None}, Asked()),
}


@pytest.mark.parametrize("case", SPELLINGS)
def test_a_decorator_says(case: str) -> None:
    decorator, attributes, expected = SPELLINGS[case]
    assert read(decorator, **attributes) == expected


FAULTS = {
    "packages that are no dict": ("pypi", {"packages": ["toy"]}, "bad-decorator", "packages is not a dict"),
    "a number as a version": ("pypi", {"packages": {"toy": 1.1}}, "bad-decorator", "'toy': 1.1 is not text"),
    "3.1, which may be 3.10": ("conda", {"python": 3.1}, "bad-decorator", "3.1 and 3.10 are the same"),
    "python that is no version": ("conda", {"python": "new"}, "bad-version", "'new' does not say which versions"),
    "python that is a flag": ("conda", {"python": True}, "bad-decorator", "python=True is not text"),
    "a version in the name": ("pypi", {"packages": {"toy>=1": ""}}, "bad-name", "'toy>=1' is not the name"),
    "a version of neither kind": ("pypi", {"packages": {"toy": "1.2.x.y"}}, "bad-version", "packages: toy: '1.2.x.y'"),
    "a conda name that is none": ("conda", {"libraries": {"to y": ""}}, "bad-name", "'to y' is not the name"),
    "channels that are one text": ("conda", {"channels": "conda-forge"}, "bad-decorator", "channels is not a list"),
    "an address that is none": ("pypi", {"packages": {"toy": "@ there"}}, "bad-requirement", "packages: "),
    "a bytecode that is neither": ("pypi", {"bytecode": "3.12"}, "bad-decorator", "bytecode='3.12' is neither True"),
    "a disabled that is neither": ("conda", {"disabled": "perhaps"}, "bad-decorator", "neither True nor False"),
    "a name that is none": ("named_env", {"name": "Team Toy"}, "bad-alias", "name: "),
    "a recipe that is a lock": ("recipe", {"path": "toy.lock.yaml"}, "bad-decorator", "not the file of a recipe"),
    "half of a step": ("named_env", {"pathspec": "F/1"}, "bad-pathspec", "pathspec: 'F/1' is not a step of a run"),
    "a pathspec that is no text": ("named_env", {"pathspec": 12}, "bad-decorator", "pathspec=12 is not text"),
    "two names": ("named_env", {"name": "t/x", "pathspec": "F/1/s"}, "bad-decorator", "two ways to name one"),
    "variables too early": ("named_env", {"name": "t/x:@{TAG}"}, "bad-decorator", "known when a task starts"),
    "no name": ("named_env", {"name": None}, "bad-decorator", "there is no name"),
    "no recipe": ("recipe", {"path": ""}, "bad-decorator", "there is no path"),
    "two versions of one package": (
        "pypi",
        {"packages": {"Toy": "1", "toy": "2"}},
        "bad-decorator",
        "toy stands there twice, and not alike",
    ),
    "two Pythons": (
        "conda",
        {"libraries": {"python": "3.11"}, "python": "3.12"},
        "bad-decorator",
        "python is 3.11, and 3.12 too",
    ),
    "a late nothing": ("conda", {"fetch_at_exec": True}, "bad-decorator", "fetch_at_exec=True is for a named"),
    "a lateness that is neither": ("named_env", {"name": "t/x", "fetch_at_exec": 1}, "bad-decorator", "neither True"),
    "a late name that is none": ("named_env", {"name": "T@{X}", "fetch_at_exec": True}, "bad-alias", "name: "),
}


@pytest.mark.parametrize("case", FAULTS)
def test_a_decorator_cannot_say(case: str) -> None:
    decorator, attributes, reference, words = FAULTS[case]
    with pytest.raises(InvalidInput) as caught:
        declared(By(decorator=decorator, step="train", where=PLACE), attributes, "/flows")
    assert caught.value.reference == reference
    assert f"@{decorator} of step train: " in caught.value.message
    assert words in caught.value.message
    assert caught.value.where == PLACE


def test_every_fault_of_a_decorator_is_told_at_once() -> None:
    with pytest.raises(InvalidInput) as caught:
        read("conda", libraries={"to y": "", "toy": 1.0}, channels="x", python="new")
    assert len(caught.value.issues) == 4


def test_a_version_in_the_name_is_answered_with_what_to_write() -> None:
    with pytest.raises(InvalidInput) as caught:
        read("pypi", packages={"toy>=1": ""})
    assert caught.value.hint == "the version is the value: packages={'toy': …}"


@pytest.mark.parametrize(
    ("decorator", "attributes", "what", "now"),
    [
        ("pip", {"packages": {"toy": ""}}, "", "@pypi"),
        ("conda", {"pip_packages": {"toy": ""}}, "pip_packages=… in ", "@pypi(packages=…)"),
        ("conda", {"pip_sources": ["https://i/s"]}, "pip_sources=… in ", "@pypi(extra_indices=…)"),
        ("conda", {"name": "t/x"}, "name=… in ", "@named_env(name=…)"),
        ("pypi", {"sources": ["https://i/s"]}, "sources=… in ", "extra_indices=…"),
    ],
)
def test_an_old_spelling_is_said_once(decorator: str, attributes: dict[str, Any], what: str, now: str) -> None:
    notes = declared(By(decorator=decorator, step="train"), attributes, "/flows").notes
    assert notes == (f"{what}@{decorator} of step train is an old spelling: write {now}",)


def test_an_old_spelling_at_the_flow_is_told_of_the_flow() -> None:
    found = declared(By(decorator="conda_base"), {"pip_packages": {"toy": ""}}, "/flows")
    assert found.notes == (
        "pip_packages=… in @conda_base of the flow is an old spelling: write @pypi_base(packages=…)",
    )


def test_new_spellings_are_not_remarked_upon() -> None:
    assert declared(By(decorator="named_env", step="train"), {"name": "t/x", "fetch_at_exec": False}, "/f").notes == ()
    assert declared(By(decorator="conda", step="train"), {"libraries": {"toy": ""}}, "/f").notes == ()
