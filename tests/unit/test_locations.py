"""From origins to addresses, on real pages of both kinds."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from envbuild.addresses import Addresses
from envbuild.digest import Digest
from envbuild.errors import UnreachableError
from envbuild.machine.locations import engine_channel_alias, engine_index, locate, page_links
from envbuild.package import ChannelOrigin, IndexOrigin, InterpreterOrigin, LinksOrigin, UrlOrigin

ONE, TWO = Digest("1" * 64), Digest("2" * 64)
HTML = f"""<!DOCTYPE html><body>
<a href="../../files/demo-1.0-py3-none-any.whl#sha256={ONE}" data-requires-python="&gt;=3.8">x</a>
<a href="/abs/demo-1.0%2Blocal-py3-none-any.whl">x</a>
<a href="javascript:alert(1)">demo-1.0-py3-none-any.whl</a>
<a href="file:///etc/shadow">demo-1.0-py3-none-any.whl</a>
<a name="nothing">no link</a>""".encode()
JSON = json.dumps(
    {"files": [{"filename": "lies", "url": "f/demo-1.0-py3-none-any.whl", "hashes": {"sha256": ONE}}], "name": "demo"}
).encode()
WHEEL = IndexOrigin(index="default", project="Demo", file="demo-1.0-py3-none-any.whl")


class Pages:
    def __init__(self, pages: dict[str, bytes | None]) -> None:
        self.pages = pages
        self.asked: list[str] = []

    def __call__(self, urls: Sequence[str], *, limit: int, accept: str) -> bytes | None:
        self.asked.extend(urls)
        page = self.pages[urls[0]]
        if page == b"down":
            raise UnreachableError("down")
        return page


def addresses(**fields: object) -> Addresses:
    return Addresses(**{"root": "/project", "index": "https://i.example/simple/", **fields})  # type: ignore[arg-type]


def find(origin: object, pages: dict[str, bytes | None], sha256: Digest | None = ONE, **fields: object) -> list[str]:
    return list(locate(origin, addresses(**fields), Pages(pages), sha256))  # type: ignore[arg-type]


def test_links_of_a_page() -> None:
    assert page_links(HTML, "https://i.example/simple/demo/") == [
        ("demo-1.0-py3-none-any.whl", "https://i.example/files/demo-1.0-py3-none-any.whl", ONE),
        ("demo-1.0+local-py3-none-any.whl", "https://i.example/abs/demo-1.0%2Blocal-py3-none-any.whl", None),
    ]
    assert page_links(JSON, "https://i.example/simple/demo/") == [
        ("demo-1.0-py3-none-any.whl", "https://i.example/simple/demo/f/demo-1.0-py3-none-any.whl", ONE)
    ]


@pytest.mark.parametrize(
    "page", [b"", b"{", b'{"files": 1}', b'{"files": [1]}', b"\xff\xfe<a href=", b"<a href>", b"[1]", b"<![DOC[x"]
)
def test_broken_pages_have_no_links(page: bytes) -> None:
    assert page_links(page, "https://i.example/simple/demo/") == []


@pytest.mark.parametrize("page", [HTML, JSON])
def test_a_wheel_by_its_project_page(page: bytes) -> None:
    assert len(find(WHEEL, {"https://i.example/simple/demo/": page})) == 1
    assert find(WHEEL, {"https://i.example/simple/demo/": page}, sha256=TWO) == []


def test_additional_indices_come_first_and_one_that_is_down_does_not_matter() -> None:
    pages = {"https://x.example/demo/": b"down", "https://i.example/simple/demo/": JSON}
    assert len(find(WHEEL, pages, extra_indices=("https://x.example",))) == 1
    with pytest.raises(UnreachableError):
        find(WHEEL, {**pages, "https://i.example/simple/demo/": None}, extra_indices=("https://x.example",))


def test_an_index_of_the_recipe_is_asked_alone() -> None:
    origin = IndexOrigin(index="https://own.example/simple", project="demo", file=WHEEL.file)
    pages = Pages({"https://own.example/simple/demo/": JSON})
    assert len(list(locate(origin, addresses(), pages, ONE))) == 1
    assert pages.asked == ["https://own.example/simple/demo/"]


def test_mirrors_replace_pages_and_files() -> None:
    mirrors = (
        ("https://i.example/simple/", ("https://m.example/pypi/",)),
        ("https://i.example/files/", ("https://f.example",)),
    )
    page = f'<a href="https://i.example/files/{WHEEL.file}">x</a>'.encode()
    found = find(WHEEL, {"https://m.example/pypi/demo/": page}, mirrors=mirrors)
    assert found == [f"https://f.example/{WHEEL.file}"]


def test_a_mirror_of_a_folder_is_asked_for_the_folder_itself_and_not_for_its_neighbours() -> None:
    mirrors = (("https://c.example/some/", ("file:///copies/some/",)),)
    told = Addresses(root="/project", mirrors=mirrors)
    assert told.candidates("https://c.example/some") == ("file:///copies/some/",)
    assert told.candidates("https://c.example/some/noarch") == ("file:///copies/some/noarch",)
    assert told.candidates("https://c.example/something") == ("https://c.example/something",)


def test_channels() -> None:
    origin = ChannelOrigin(channel="some", subdir="noarch", file="a-1-0.conda")
    assert find(origin, {}, channel_alias="https://c.example/") == ["https://c.example/some/noarch/a-1-0.conda"]
    mirrors = (("https://c.example/some", ("https://m1.example", "https://m2.example/x")),)
    assert find(origin, {}, channel_alias="https://c.example/", mirrors=mirrors) == [
        "https://m1.example/noarch/a-1-0.conda",
        "https://m2.example/x/noarch/a-1-0.conda",
    ]
    folder = ChannelOrigin(channel="./channel", subdir="noarch", file="a-1-0.conda")
    assert find(folder, {}) == ["file:///project/channel/noarch/a-1-0.conda"]
    assert find(origin, {}) == [f"{engine_channel_alias().rstrip('/')}/some/noarch/a-1-0.conda"]


def test_folders_of_wheels(tmp_path: Path) -> None:
    links = LinksOrigin(location="wheels", file="demo.whl")
    (tmp_path / "wheels").mkdir()
    assert find(links, {}, root=str(tmp_path)) == [f"file://{tmp_path}/wheels/demo.whl"]
    page = LinksOrigin(location="https://l.example/page.html", file=WHEEL.file)
    assert find(page, {"https://l.example/page.html": HTML}) == [
        f"https://l.example/../files/{WHEEL.file}".replace("/..", "")
    ]
    index = IndexOrigin(index=tmp_path.joinpath("index").as_uri(), project="demo", file="demo.whl")
    (tmp_path / "index" / "demo").mkdir(parents=True)
    assert find(index, {}) == [f"file://{tmp_path}/index/demo/demo.whl"]


def test_plain_addresses() -> None:
    assert find(UrlOrigin(url="https://u.example/a.whl", file="a.whl"), {}) == ["https://u.example/a.whl"]


def test_the_engines_say_their_defaults() -> None:
    for url in (engine_channel_alias(), engine_index()):
        assert url.startswith("https://")
        assert len(url) > len("https://a.b")


def test_an_interpreter_that_uv_does_not_know() -> None:
    origin = InterpreterOrigin(implementation="cpython", version="3.99.0", build="0", file="nothing.tar.gz")
    with pytest.raises(UnreachableError):
        find(origin, {})


def test_a_wheel_through_a_served_index(serving: Callable[..., object], tmp_path: Path) -> None:
    from envbuild.machine.credentials import Credentials
    from envbuild.machine.download import Downloader
    from envbuild.machine.http import Patience
    from tests.support.servers import Body

    pages = {"/simple/demo/": Body(data=HTML, type="text/html")}
    server = serving(lambda request: pages.get(request.path))
    downloads = Downloader(Credentials({}), environ={}, patience=Patience(pause=0.01))
    here = addresses(index=f"{server.url}/simple")  # type: ignore[attr-defined]
    assert list(locate(WHEEL, here, downloads.read, ONE)) == [f"{server.url}/files/{WHEEL.file}"]  # type: ignore[attr-defined]
    assert "vnd.pypi.simple.v1+json" in server.requests[0].headers["accept"]  # type: ignore[attr-defined]
