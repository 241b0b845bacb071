"""Which stores count: who named them, how, and where they really are."""

from __future__ import annotations

from pathlib import Path

import pytest

from envbuild.environments.stores import chosen_stores
from envbuild.errors import InvalidInput
from envbuild.projects.config import Config, load_config

TEAM = "s3://bucket/envbuild"
EVIL = "s3://bucket/envbuild?endpoint=https://evil.example.org"


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """The project's root and the user's configuration file."""
    root, user = tmp_path / "project", tmp_path / "config" / "envbuild" / "config.yaml"
    root.mkdir()
    user.parent.mkdir(parents=True)
    return root, user


def chosen(
    folders: tuple[Path, Path], project: str = "", user: str = "", **variables: str
) -> dict[str, tuple[bool, bool]]:
    """By name: believed, written."""
    root, file = folders
    (root / "envbuild.yaml").write_text(project or "recipes: recipes/\n", "utf-8")
    file.write_text(user or "jobs: 2\n", "utf-8")
    config = load_config(root, {"XDG_CONFIG_HOME": str(file.parents[1]), **variables})
    return {item.name: (item.believed, item.written) for item in chosen_stores(config, root, folder=root)}


def stores(*entries: str) -> str:
    return "stores:\n" + "".join(f"  - {entry}\n" for entry in entries)


def one(url: str, mode: str = "read-write") -> str:
    return stores(f"{{name: x, url: '{url}', mode: {mode}}}")


@pytest.mark.parametrize(
    ("project", "user", "variables", "expected"),
    [
        ("", one(TEAM), {}, (True, True)),
        ("", one(TEAM, "read-only"), {}, (False, False)),
        ("", one(TEAM, "read-only") + f"trusted: ['{TEAM}']\n", {}, (True, False)),
        ("", one("https://host/x"), {}, (False, False)),
        ("", one("https://host/x") + "trusted: ['https://host/x/']\n", {}, (True, False)),
        (one(TEAM), "", {}, (False, False)),
        (one(TEAM), f"trusted: ['{TEAM}/']\n", {}, (True, True)),
        (one(TEAM), "", {"ENVBUILD_TRUST": TEAM}, (True, True)),
        (one(TEAM), one(TEAM), {}, (True, True)),
        (one(TEAM), one(TEAM, "read-only"), {}, (False, False)),
        (one(EVIL), one(TEAM), {}, (False, False)),
        (one(EVIL), f"trusted: ['{TEAM}']\n", {}, (False, False)),
        (one(TEAM), one("s3://bucket/other"), {}, (False, False)),
        (one(TEAM), "trust: {mode: signed}\n" + one(TEAM), {}, (False, True)),
        ("trust: {mode: strict}\n", one(TEAM), {}, (False, True)),
        (one(TEAM), "trusted: ['dask://host:8786', 'x']\n", {}, (False, False)),
    ],
)
def test_who_named_a_store_decides_what_it_is_trusted_with(
    folders: tuple[Path, Path], project: str, user: str, variables: dict[str, str], expected: tuple[bool, bool]
) -> None:
    assert chosen(folders, project, user, **variables) == {"x": expected}


def test_a_variable_is_the_user_s_word(folders: tuple[Path, Path]) -> None:
    assert chosen(folders, one("s3://theirs/x"), "", ENVBUILD_STORES=TEAM) == {TEAM: (True, True)}


def test_a_folder_needs_no_word_only_outside_the_checkout_and_private(
    folders: tuple[Path, Path], tmp_path: Path
) -> None:
    private, open_to_group, inside = tmp_path / "private", tmp_path / "group", folders[0] / "inside"
    for folder, mode in ((private, 0o755), (open_to_group, 0o2775), (inside, 0o755)):
        folder.mkdir()
        folder.chmod(mode)
    (folders[0] / "link").symlink_to(inside)
    (tmp_path / "leads-in").symlink_to(inside)
    found = chosen(
        folders,
        stores(
            f"{{name: private, url: '{private}'}}",
            f"{{name: group, url: '{open_to_group}'}}",
            "{name: inside, url: ./inside}",
            f"{{name: leads-in, url: '{tmp_path / 'leads-in'}'}}",
            f"{{name: nowhere, url: '{tmp_path / 'nowhere'}'}}",
        ),
    )
    assert {name for name, trusted in found.items() if any(trusted)} == {"private"}


def test_addresses_of_the_command_line_come_first_and_names_only_reorder(folders: tuple[Path, Path]) -> None:
    root, _ = folders
    (root / "envbuild.yaml").write_text(stores("{name: a, url: 's3://a/x'}", "{name: b, url: 's3://b/x'}"), "utf-8")
    config = load_config(root, {})
    found = chosen_stores(config, root, ["b", "s3://c/x", "s3://a/x"], root)
    assert [(item.name, item.written) for item in found] == [
        ("s3://c/x", True),
        ("s3://a/x", True),
        ("b", False),
    ]


def test_an_address_that_is_none_is_an_error() -> None:
    with pytest.raises(InvalidInput):
        chosen_stores(Config(), Path("/"), ["file::s3://bucket/x"])
