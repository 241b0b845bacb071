"""H31, H41: files that two packages bring: the same is nobody's trouble, others are refused or told, with both owners.

Nobody wins because it was faster.
"""

from __future__ import annotations

import csv
import json
import random
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from envbuild.derivations.link import Link, realise
from envbuild.errors import BuildError, IntegrityError
from envbuild.package import CondaPackage
from tests.case import Case
from tests.support.channel import TestChannel, this_platform
from tests.support.conda_package import PackageRecipe, write_package
from tests.support.link_context import (
    SERIES,
    FolderContext,
    conda_inputs,
    conda_package,
    make_link,
    prefix_of,
    store_blobs,
    tree,
    wheel_inputs,
)
from tests.support.wheels import make_wheel

SITE = f"lib/python{SERIES}/site-packages"
NOARCH = {"version": "1.0", "build": "0", "build_number": 0, "subdir": "noarch"}


def conda(
    folder: Path,
    name: str,
    files: Mapping[str, str],
    *,
    entry_points: Sequence[str] = (),
    links: Mapping[str, str] = {},
) -> tuple[CondaPackage, Path]:
    kind = "python" if entry_points or any(path.startswith("site-packages") for path in files) else "generic"
    recipe = PackageRecipe(
        name=name,
        version="1.0",
        subdir="noarch",
        noarch=kind,
        files=files,
        links=links,
        entry_points=tuple(entry_points),
    )
    path = write_package(recipe, folder)
    return conda_package(path.name, {**NOARCH, "name": name, "noarch": kind}, path), path


def wheel(folder: Path, name: str, files: Mapping[str, str], scripts: Mapping[str, str] | None = None) -> Path:
    return make_wheel(folder, name, "1.0", files=files, scripts=scripts)


def python(channel: TestChannel) -> list[tuple[CondaPackage, Path]]:
    version = next((item for item in channel.pythons if item.startswith(SERIES)), None)
    if version is None:
        pytest.skip(f"NO PYTHON {SERIES} IN THE CHANNEL: programs of conda packages were not held against each other")
    return conda_inputs(channel, [f"python={version}"])


def linked(
    home: Path,
    packages: Sequence[tuple[CondaPackage, Path]],
    wheels: Sequence[Path] = (),
    *,
    host: bool = False,
    series: str | None = None,
) -> tuple[Link, FolderContext]:
    link, files = make_link(
        packages,
        wheel_inputs(wheels),
        python=SERIES if wheels or host else series,
        interpreter="host" if host else "conda",
    )
    return link, FolderContext(home, store_blobs(files, home / "store"))


def refused(link: Link, context: FolderContext) -> str:
    with pytest.raises(IntegrityError) as caught:
        realise(link, context.typed())
    assert (caught.value.reference, caught.value.exit_code) == ("clobber", 4)
    assert not prefix_of(link, context).exists()
    return caught.value.message


def test_h31_two_conda_packages_with_the_same_bytes_are_nobodys_trouble(tmp_path: Path) -> None:
    shared = {"share/same": "s", "share/folder/too": "t"}
    packages = [
        conda(tmp_path, name, {**shared, f"share/{name}": name}, links={"share/link": "same"})
        for name in ("a", "b", "c")
    ]
    for setting in (None, "deny", "warn"):
        link, context = linked(tmp_path / f"home-{setting}", packages)
        context.clobber = setting
        realise(link, context.typed())
        prefix = prefix_of(link, context)
        assert context.notes == []
        assert (prefix / "share/link").read_text() == "s"
        assert not (prefix / "__clobbers__").exists()
        for name in ("a", "b", "c"):
            record = json.loads((prefix / f"conda-meta/{name}-1.0-0.json").read_bytes())
            assert record["files"] == sorted([*shared, f"share/{name}", "share/link"])
            assert [entry["_path"] for entry in record["paths_data"]["paths"]] == record["files"]


@pytest.mark.parametrize("setting", [None, "deny"])
def test_h31_two_conda_packages_with_different_bytes_are_refused(setting: str | None, tmp_path: Path) -> None:
    packages = [conda(tmp_path, name, {"share/x": name, "share/y": name}) for name in ("nice", "other")]
    link, context = linked(tmp_path / "home", packages)
    context.clobber = "deny" if setting else None
    said = refused(link, context)
    assert said == "other 1.0 and nice 1.0 both bring share/x and 1 more, with different contents"


def test_h31_a_link_and_a_file_are_not_the_same(tmp_path: Path) -> None:
    packages = [
        conda(tmp_path, "nice", {"share/x": "x"}),
        conda(tmp_path, "other", {"share/z": "x"}, links={"share/x": "z"}),
    ]
    link, context = linked(tmp_path / "home", packages)
    assert "share/x" in refused(link, context)


@pytest.mark.parametrize("setting", [None, "warn"])
@pytest.mark.parametrize("name", ["aaa", "zzz"])
def test_h31_a_file_that_is_a_folder_of_another_is_refused(name: str, setting: str | None, tmp_path: Path) -> None:
    packages = [conda(tmp_path, "nice", {"share/x": "x"}), conda(tmp_path, name, {"share/x/deep/y": "y"})]
    link, context = linked(tmp_path / "home", packages)
    context.clobber = "warn" if setting else None
    with pytest.raises((IntegrityError, BuildError)) as caught:  # rattler sees it itself when the file comes first
        realise(link, context.typed())
    said = caught.value.message
    if caught.value.reference == "clobber":
        assert said == f"share/x is a file of nice 1.0, and a folder of {name} 1.0"
    else:
        assert caught.value.reference == "link-failed"
        assert f"{name}-1.0-0" in said or "nice-1.0-0" in said
    assert not prefix_of(link, context).exists()


def test_h31_who_wins_does_not_depend_on_the_order_or_the_moment(channel: TestChannel, tmp_path: Path) -> None:
    """Files of rattler's own decision, and programs made of entry points, which it leaves to the fastest."""
    packages = [
        conda(
            tmp_path,
            name,
            {"site-packages/shared.py": name, "share/x": name * 50_000, f"share/{name}": ""},
            entry_points=(f"go = {name}:main",),
        )
        for name in ("aa", "bb", "cc")
    ]
    base = python(channel)
    link, context = linked(tmp_path / "denied", [*base, *packages], series=SERIES)
    refused(link, context)
    found = []
    for number in range(4):
        random.Random(number).shuffle(packages)
        link, context = linked(tmp_path / f"home{number}", [*base, *packages], series=SERIES)
        context.clobber = "warn"
        realise(link, context.typed())
        prefix = prefix_of(link, context)
        assert len(context.notes) == 2
        assert all("aa" in note and "bin/go" in note for note in context.notes)
        assert "from aa import main" in (prefix / "bin/go").read_text()
        found.append([(prefix / path).read_text()[:2] for path in (f"{SITE}/shared.py", "share/x")])
    assert found == [found[0]] * 4


def test_h31_the_command_names_both_and_the_setting_lets_it_pass(case: Case, tmp_path: Path) -> None:
    import asyncio

    from rattler.index import index_fs

    channel = tmp_path / "channel"
    for name in ("nice", "other"):
        recipe = PackageRecipe(name=name, version="1.0", subdir="noarch", noarch="generic", files={"share/x": name})
        write_package(recipe, channel)
    asyncio.run(index_fs(channel, write_zst=False, write_shards=False))
    case.recipe(
        f"platforms: [{this_platform()}]\nconda: {{channels: ['{channel.as_uri()}'], packages: {{nice: , other: }}}}\n"
    ).run("lock", "x.yaml")
    case.run("realize", "x.yaml", code=4).mentions("clobber", "nice 1.0", "other 1.0", "share/x", "clobber: warn")
    assert not any((case.home / "prefixes").glob("[0-9a-f]*"))
    assert not list((case.home / "tmp").glob("*"))
    (case.project / "envbuild.yaml").write_text("clobber: warn\n")
    case.run("realize", "x.yaml").mentions("other 1.0 and nice 1.0 both bring share/x", "nice's is used")


@pytest.mark.parametrize("setting", [None, "warn", "deny"])
def test_h41_two_wheels_with_different_bytes(setting: str | None, tmp_path: Path) -> None:
    wheels = [
        wheel(tmp_path, name, {"shared.py": name, "same.py": "s", f"{name}-1.0.data/data/{SITE}/odd.py": name})
        for name in ("aa", "bb", "cc")
    ]
    link, context = linked(tmp_path / "home", (), wheels, host=True)
    if setting == "deny":
        context.clobber = "deny"
        assert "aa 1.0 and cc 1.0 both bring" in refused(link, context)
        return
    context.clobber = "warn" if setting else None
    notes = [
        f"{name} 1.0 and cc 1.0 both bring {SITE}/odd.py and 1 more, with different contents: cc's is used"
        for name in ("aa", "bb")
    ]
    prefix = prefix_of(link, context)
    found = []
    for _ in range(3):  # who comes last in the lock wins, each time, also when all is warm
        realise(link, context.typed())
        assert [(prefix / SITE / name).read_text() for name in ("shared.py", "odd.py")] == ["cc", "cc"]
        assert context.notes == notes
        context.notes.clear()
        found.append(tree(prefix))
        if len(found) == 2:  # the lists of files may be gone, as any cache
            for path in (tmp_path / "home/cache/checked-wheels").glob("*.files"):
                path.unlink()
        shutil.rmtree(prefix)
    assert found == [found[0]] * 3


def test_h41_large_files_of_two_wheels_are_each_held_against_their_own_record(tmp_path: Path) -> None:
    big = {name: name * 100_000 for name in ("aa", "bb")}
    wheels = [wheel(tmp_path, name, {"shared.txt": big[name], "same.txt": "s" * 100_000}) for name in big]
    link, context = linked(tmp_path / "home", (), wheels, host=True)
    realise(link, context.typed())
    assert (prefix_of(link, context) / SITE / "shared.txt").read_text() == big["bb"]
    assert len(context.notes) == 1
    marks = [path for path in (tmp_path / "home/cache/checked-wheels").iterdir() if not path.suffix]
    assert [mark.read_text().count("\n\nlarge\n\n") for mark in marks] == [1, 1], "both were looked at"


def test_h41_a_file_that_comes_by_another_way(tmp_path: Path) -> None:
    """In a virtual environment ``lib64`` is a link to ``lib``."""
    way = f"bb-1.0.data/data/lib64/python{SERIES}/site-packages"
    wheels = [
        wheel(tmp_path, "aa", {"shared.py": "a", "large.txt": "a" * 100_000}),
        wheel(tmp_path, "bb", {f"{way}/shared.py": "b", f"{way}/large.txt": "b" * 100_000}),
        wheel(tmp_path, "cc", {"large.txt": "c" * 100_000}),
    ]
    link, context = linked(tmp_path / "home", (), wheels, host=True)
    prefix = prefix_of(link, context)
    if sys.platform != "linux":
        pytest.skip("NO lib64 ON THIS SYSTEM: the second way to site-packages was not tried")
    realise(link, context.typed())
    assert context.notes == [
        f"aa 1.0 and cc 1.0 both bring {SITE}/large.txt, with different contents: cc's is used",
        f"bb 1.0 and cc 1.0 both bring {SITE}/large.txt, with different contents: cc's is used",
        f"aa 1.0 and bb 1.0 both bring {SITE}/shared.py, with different contents: bb's is used",
    ]
    found = [(prefix / SITE / name).read_text()[0] for name in ("shared.py", "large.txt")]
    assert found == ["b", "c"]


def test_h41_programs_of_two_wheels(tmp_path: Path) -> None:
    wheels = [wheel(tmp_path, name, {}, {"go": f"{name}:main", "same": "aa:main"}) for name in ("aa", "bb")]
    link, context = linked(tmp_path / "home", (), wheels, host=True)
    realise(link, context.typed())
    assert context.notes == ["aa 1.0 and bb 1.0 both bring bin/go, with different contents: bb's is used"]
    assert "from bb import main" in (prefix_of(link, context) / "bin/go").read_text()


def test_h41_what_lost_stays_whole_for_other_prefixes(tmp_path: Path) -> None:
    """The files of uv's cache are shared by hard links: a file in another's place must be a new one."""
    wheels = [wheel(tmp_path, name, {"shared.py": name * 9}) for name in ("aa", "bb")]
    link, context = linked(tmp_path / "home", (), wheels, host=True)
    realise(link, context.typed())
    alone, files = make_link((), wheel_inputs(wheels[:1]), interpreter="host")
    context.blobs |= store_blobs(files, tmp_path / "home/store")
    realise(alone, context.typed())
    assert (prefix_of(alone, context) / SITE / "shared.py").read_text() == "aa" * 9


@pytest.mark.parametrize("setting", [None, "deny"])
def test_h41_a_wheel_in_the_place_of_conda_s_file(setting: str | None, channel: TestChannel, tmp_path: Path) -> None:
    files = {"site-packages/shared.py": "conda", "site-packages/same.py": "s", "share/x": "conda"}
    packages = [*python(channel), conda(tmp_path, "nice", files)]
    rude = wheel(tmp_path, "rude", {"shared.py": "wheel", "same.py": "s", "rude-1.0.data/data/share/x": "wheel"})
    link, context = linked(tmp_path / "home", packages, [rude])
    if setting == "deny":
        context.clobber = "deny"
        assert "nice 1.0 and rude 1.0 both bring" in refused(link, context)
        return
    realise(link, context.typed())
    assert context.notes == [
        "nice 1.0 and rude 1.0 both bring share/x and 1 more, with different contents: rude's is used"
    ]
    assert (prefix_of(link, context) / SITE / "shared.py").read_text() == "wheel"


def test_h41_files_in_another_s_package(tmp_path: Path) -> None:
    wheels = [
        wheel(tmp_path, "big-app", {}),
        wheel(tmp_path, "guest", {"big_app/plugin.py": "evil"}),
        wheel(tmp_path, "space-a", {"space/__init__.py": "", "space/a.py": ""}),
        wheel(tmp_path, "space-b", {"space/__init__.py": "", "space/b.py": ""}),
        wheel(tmp_path, "space-c", {"space/c.py": "", "free/x.py": ""}),
        wheel(tmp_path, "space-d", {"free/y.py": ""}),
        wheel(
            tmp_path, "old-a", {"old/__init__.py": "__path__ = __import__('pkgutil').extend_path(__path__, __name__)"}
        ),
        wheel(tmp_path, "old-b", {"old/b.py": ""}),
    ]
    link, context = linked(tmp_path / "home", (), wheels, host=True)
    realise(link, context.typed())
    told = "guest 1.0 puts files into big_app, a package of big-app 1.0: big_app/plugin.py"
    assert context.notes == [told]
    shutil.rmtree(prefix_of(link, context))
    context.clobber = "deny"
    assert refused(link, context) == told


def test_h41_files_in_a_package_of_conda_s(channel: TestChannel, tmp_path: Path) -> None:
    old = "__import__('pkg_resources').declare_namespace(__name__)"
    files = {"site-packages/nice/__init__.py": "", "site-packages/old/__init__.py": old}
    packages = [*python(channel), conda(tmp_path, "nice", files)]
    guest = wheel(tmp_path, "guest", {"nice/plugin.py": "", "old/plugin.py": ""})
    link, context = linked(tmp_path / "home", packages, [guest])
    realise(link, context.typed())
    assert context.notes == ["guest 1.0 puts files into nice, a package of nice 1.0: nice/plugin.py"]


def test_records_of_wheels_list_what_each_brought(tmp_path: Path) -> None:
    wheels = [wheel(tmp_path, name, {"shared.py": name}) for name in ("aa", "bb")]
    link, context = linked(tmp_path / "home", (), wheels, host=True)
    realise(link, context.typed())
    for name in ("aa", "bb"):
        with (prefix_of(link, context) / SITE / f"{name}-1.0.dist-info/RECORD").open(newline="") as stream:
            assert "shared.py" in {row[0] for row in csv.reader(stream)}
