"""uv's and pip's own settings answer where packages come from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from envbuild.addresses import Addresses
from envbuild.errors import InvalidInput
from envbuild.projects.config import Config
from envbuild.projects.machine_addresses import machine_addresses


def found(tmp_path: Path, config: Config | None = None, **environ: str) -> Addresses:
    """The addresses; the system's files are out of reach, since every list of them ends in the user's word."""
    whole = {"XDG_CONFIG_HOME": str(tmp_path), "XDG_CONFIG_DIRS": str(tmp_path / "none"), **environ}
    return machine_addresses(config or Config(), tmp_path, whole)


def quiet(**environ: str) -> dict[str, str]:
    """Variables that keep this machine's own settings files out of a test."""
    return {"UV_NO_CONFIG": "1", "PIP_CONFIG_FILE": "/dev/null", **environ}


def test_nothing_said_is_nothing_known(tmp_path: Path) -> None:
    assert found(tmp_path, **quiet()) == Addresses(root=tmp_path.as_posix())


def test_a_named_index_brings_its_user_and_password(tmp_path: Path) -> None:
    variables = {
        "UV_INDEX": "corp-1=https://a/simple other=https://b/",
        "UV_DEFAULT_INDEX": "main=https://c/",
        "UV_INDEX_CORP_1_USERNAME": "me",
        "UV_INDEX_CORP_1_PASSWORD": "p@ss/word",
        "UV_INDEX_MAIN_PASSWORD": "token",
    }
    addresses = found(tmp_path, **quiet(**variables))
    assert addresses.extra_indices == ("https://me:p%40ss%2Fword@a/simple", "https://b/")
    assert addresses.index == "https://:token@c/"


def test_variables_of_uv_win_over_those_of_pip(tmp_path: Path) -> None:
    pip = quiet(PIP_INDEX_URL="https://pip/", PIP_EXTRA_INDEX_URL="https://p1/ https://p2/", PIP_FIND_LINKS="/w")
    addresses = found(tmp_path, **pip)
    assert (addresses.index, addresses.extra_indices) == ("https://pip/", ("https://p1/", "https://p2/"))
    assert addresses.find_links == ("/w",)
    uv = {
        "UV_INDEX_URL": "https://old/",
        "UV_INDEX": "name=https://u1/ https://u2/?a=b",
        "UV_EXTRA_INDEX_URL": "https://u3/",
        "UV_FIND_LINKS": "/a,/b",
    }
    addresses = found(tmp_path, **pip, **uv)
    assert addresses.index == "https://old/"
    assert addresses.extra_indices == ("https://u1/", "https://u2/?a=b", "https://u3/")
    assert addresses.find_links == ("/a", "/b")
    assert found(tmp_path, **pip, **uv, UV_DEFAULT_INDEX="https://new/").index == "https://new/"


def test_envbuilds_own_word_wins_over_all(tmp_path: Path) -> None:
    config = replace(Config(), index_url="https://mine/", channel_alias="https://c", mirrors=(("https://a/", ("x",)),))
    addresses = found(tmp_path, config, **quiet(UV_DEFAULT_INDEX="https://uv/"))
    assert (addresses.index, addresses.channel_alias) == ("https://mine/", "https://c/")
    assert addresses.mirrors == (("https://a/", ("x",)),)


def test_files_of_uv(tmp_path: Path) -> None:
    file = tmp_path / "uv" / "uv.toml"
    file.parent.mkdir()
    file.write_text(
        'find-links = ["/l"]\n'
        '[[index]]\nname = "x"\nurl = "https://x/"\n[[index]]\nurl = "https://d/"\ndefault = true\n'
        '[[index]]\nname = "e"\nurl = "https://e/"\nexplicit = true\n'
    )
    addresses = found(tmp_path, PIP_CONFIG_FILE="/dev/null")
    assert (addresses.index, addresses.extra_indices, addresses.find_links) == ("https://d/", ("https://x/",), ("/l",))
    named = tmp_path / "other.toml"
    named.write_text('[pip]\nindex-url = "https://p/"\nextra-index-url = ["https://q/"]\n')
    addresses = found(tmp_path, PIP_CONFIG_FILE="/dev/null", UV_CONFIG_FILE=str(named))
    assert (addresses.index, addresses.extra_indices) == ("https://p/", ("https://q/",))
    assert found(tmp_path, **quiet()).index is None


def test_files_of_pip(tmp_path: Path) -> None:
    file = tmp_path / "pip" / "pip.conf"
    file.parent.mkdir()
    file.write_text(
        "[global]\nindex-url = https://g/%40x\n"
        "extra_index_url =\n  https://a/\n  https://b/\n[install]\nfind-links = /f\n"
    )
    addresses = found(tmp_path, UV_NO_CONFIG="1")
    assert (addresses.index, addresses.extra_indices) == ("https://g/%40x", ("https://a/", "https://b/"))
    assert addresses.find_links == ("/f",)
    named = tmp_path / "mine.conf"
    named.write_text("[global]\nindex-url = https://n/\n")
    assert found(tmp_path, UV_NO_CONFIG="1", PIP_CONFIG_FILE=str(named)).index == "https://n/"


@pytest.mark.parametrize(
    ("name", "text"), [("uv/uv.toml", "a = ["), ("pip/pip.conf", "no section"), ("uv/uv.toml", "\xff")]
)
def test_a_broken_file_is_named(tmp_path: Path, name: str, text: str) -> None:
    file = tmp_path / name
    file.parent.mkdir()
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(InvalidInput) as caught:
        found(tmp_path)
    assert caught.value.reference == "bad-settings"
    assert str(caught.value.where) == str(file)
