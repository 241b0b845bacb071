"""H37-H43: wheels whose words lie: RECORD, identity, entry points, places, what runs at start, tags."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from envbuild.derivations.link import Link, prepare, realise
from envbuild.digest import digest_file
from envbuild.errors import IntegrityError
from envbuild.linkers import prefix
from envbuild.linkers.checked_wheel import CheckedWheel
from envbuild.linkers.wheel_check import inspect_wheel
from envbuild.locks.lock_writing import lock_text
from envbuild.locks.lockfile import parse_lock
from envbuild.package import Wheel
from tests.case import Case
from tests.support.link_context import FolderContext, make_link, prefix_of, store_blobs, wheel_inputs
from tests.support.servers import Server
from tests.support.wheel_index import WheelIndex
from tests.support.wheels import make_wheel

INFO = "tool_box-1.0.dist-info"
Change = Callable[[dict[str, bytes]], None]


def hashed(data: bytes, algorithm: str = "sha256") -> str:
    digest = base64.urlsafe_b64encode(hashlib.new(algorithm, data).digest()).rstrip(b"=").decode()
    return f"{algorithm}={digest}"


def with_files(folder: Path, files: Mapping[str, bytes], *, record: Mapping[str, str] | None = None) -> Path:
    """A wheel with more files, each in RECORD; ``record`` changes or (empty text) drops lines of it, by path."""
    path = make_wheel(folder, "tool-box", "1.0")
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()} | dict(files)
    return written(path, members, record or {})


def written(path: Path, members: dict[str, bytes], record: Mapping[str, str]) -> Path:
    lines = {name: f"{name},{hashed(data)},{len(data)}" for name, data in members.items() if name != f"{INFO}/RECORD"}
    lines[f"{INFO}/RECORD"] = f"{INFO}/RECORD,,"
    lines |= dict(record)
    members[f"{INFO}/RECORD"] = "".join(f"{line}\n" for line in lines.values() if line).encode()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def looked_at(path: Path) -> CheckedWheel:
    wheel = Wheel(name="tool-box", version="1.0", file=path.name, sha256=digest_file(path), index="default")
    return inspect_wheel(path, wheel)


def refused(path: Path, reference: str) -> IntegrityError:
    with pytest.raises(IntegrityError) as caught:
        looked_at(path)
    assert (caught.value.reference, caught.value.exit_code) == (reference, 4)
    return caught.value


def test_a_good_one_passes(tmp_path: Path) -> None:
    found = looked_at(with_files(tmp_path, {"tool_box/data.txt": b"x", "tool_box-1.0.data/data/share/x": b"y"}))
    stated = dict(found.files or {})
    assert stated.pop(f"{INFO}/RECORD") == "-"
    assert (stated["tool_box/data.txt"], stated["/share/x"]) == (hashed(b"x"), hashed(b"y"))
    assert found.tops == ("/share/x", "tool_box")
    assert (found.packages, found.folders, found.large) == (("tool_box",), ("tool_box",), ())
    assert (found.programs, found.startup) == ((), ())


MODULE = "tool_box/__init__.py"
RECORDS: Mapping[str, Mapping[str, str]] = {
    "a file that is not there": {"more": f"gone.py,{hashed(b'')},0"},
    "a file that it does not name": {MODULE: ""},
    "a wrong hash": {MODULE: f"{MODULE},{hashed(b'other')},5"},
    "a path out": {"more": f"../x,{hashed(b'')},0"},
    "a path through": {"more": f"tool_box/../../x,{hashed(b'')},0"},
    "an absolute path": {"more": f"/etc/passwd,{hashed(b'')},0"},
    "a path of Windows": {"more": f"..\\x,{hashed(b'')},0"},
    "md5": {MODULE: f"{MODULE},md5=1B2M2Y8AsgTpgAmY7PhCfg,0"},
    "sha1": {MODULE: f"{MODULE},sha1=2jmj7l5rSw0yVb_vlWAYkK_YBwk,0"},
    "no hash": {MODULE: f"{MODULE},,"},
    "no such hash": {MODULE: f"{MODULE},sha256,"},
    "a line twice": {"more": f"{MODULE},{hashed(b'')},0"},
    "itself with a hash": {f"{INFO}/RECORD": f"{INFO}/RECORD,{hashed(b'x')},1"},
    "too few fields": {"more": "x.py"},
    "too many fields": {"more": "x.py,,,,"},
    "an open quote": {"more": '"x.py,,'},
    "NUL": {"more": "x\0.py,,"},
}


@pytest.mark.parametrize("case", RECORDS)
def test_h37_records_that_lie(case: str, tmp_path: Path) -> None:
    assert "RECORD" in refused(with_files(tmp_path, {}, record=RECORDS[case]), "bad-wheel").message


def test_h37_a_record_that_is_missing_or_not_text(tmp_path: Path) -> None:
    path = make_wheel(tmp_path, "tool-box", "1.0")
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    for data in (None, b"\xff\xfe", b"\0" * 100):
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in {**members, f"{INFO}/RECORD": data}.items():
                if content is not None:
                    archive.writestr(name, content)
        refused(path, "bad-wheel")


BIG = b"large " * 20_000


def test_h37_a_large_file_is_looked_at_where_it_was_unpacked(tmp_path: Path) -> None:
    """It passes the look into the zip, and no prefix with it appears; a good one is remembered."""
    lie = {"tool_box/big.txt": f"tool_box/big.txt,{hashed(b'other')},{len(BIG)}"}
    for number, step in enumerate((with_unzipping, whole)):
        link, context = linked(
            with_files(tmp_path / "bad", {"tool_box/big.txt": BIG}, record=lie), tmp_path / str(number)
        )
        assert looked_at(tmp_path / "bad/tool_box-1.0-py3-none-any.whl").large == (
            f"{hashed(b'other')} tool_box/big.txt",
        )
        with pytest.raises(IntegrityError) as caught:
            step(link, context)
        assert (caught.value.reference, "big.txt" in caught.value.message) == ("bad-wheel", True)
        assert not prefix_of(link, context).exists()
    for number, step in enumerate((with_unzipping, whole)):
        link, context = linked(with_files(tmp_path / "good", {"tool_box/big.txt": BIG}), tmp_path / f"good-{number}")
        step(link, context)
        mark, files = sorted((context.home / "cache/checked-wheels").iterdir())
        assert "big.txt" in files.read_text()
        assert "\n\nlarge\n\n" in mark.read_text(), "nothing is left to look at"


def whole(link: Link, context: FolderContext) -> None:
    realise(link, context.typed())


def with_unzipping(link: Link, context: FolderContext) -> None:
    """Prepare a wheel as one is prepared that is worth it."""
    before, prefix.SMALL_WHEEL = prefix.SMALL_WHEEL, 0
    try:
        prepare(link, link.inputs[0], context.typed())
    finally:
        prefix.SMALL_WHEEL = before


def linked(path: Path, home: Path) -> tuple[Link, FolderContext]:
    link, files = make_link((), wheel_inputs([path]), interpreter="host")
    return link, FolderContext(home, store_blobs(files, home / "store"))


def test_h37_large_files_in_all_places_pass(tmp_path: Path) -> None:
    """Scripts get another first line, and headers a folder of their own."""
    data = "tool_box-1.0.data"
    files = {
        f"{data}/scripts/long": b"#!python\n# " + BIG,
        f"{data}/scripts/program": b"\x7fELF" + BIG,
        f"{data}/headers/long.h": BIG,
        f"{data}/data/share/long": BIG,
        f"{data}/purelib/long.txt": BIG,
        f"{data}/platlib/tool_box/long.txt": BIG,
    }
    link, context = linked(with_files(tmp_path, files), tmp_path / "home")
    realise(link, context.typed())
    place = prefix_of(link, context)
    assert (place / "bin/program").read_bytes() == b"\x7fELF" + BIG
    assert b"bin/python" in (place / "bin/long").read_bytes()[:300]
    assert (place / "share/long").read_bytes() == BIG
    for name in files:
        wrong = with_files(tmp_path / "bad", files, record={name: f"{name},{hashed(b'other')},5"})
        link, context = linked(wrong, tmp_path / "bad" / name.replace("/", "-"))
        with pytest.raises(IntegrityError) as caught:
            realise(link, context.typed())
        assert caught.value.reference == "bad-wheel", name


def test_h37_what_was_unpacked_and_then_damaged_is_found(tmp_path: Path) -> None:
    """Another wheel's check says nothing about uv's copy of this one, which prefixes share by hard links."""
    link, context = linked(with_files(tmp_path, {"tool_box/big.txt": BIG}), tmp_path / "home")
    realise(link, context.typed())
    (big,) = prefix_of(link, context).glob("lib/*/site-packages/tool_box/big.txt")
    if big.stat().st_nlink == 1:
        pytest.skip("NO HARD LINKS: uv copied the file")
    big.write_bytes(b"damaged" + BIG[7:])
    shutil.rmtree(prefix_of(link, context))
    shutil.rmtree(context.home / "cache/checked-wheels")
    with pytest.raises(IntegrityError) as caught:
        realise(link, context.typed())
    assert caught.value.reference == "damaged-cache"
    assert not prefix_of(link, context).exists()
    shutil.rmtree(context.home / "cache/uv")
    realise(link, context.typed())


def test_h37_a_small_file_is_looked_at_where_it_was_unpacked(tmp_path: Path) -> None:
    """No prefix with one that lies appears, and one that was damaged in uv's cache is found."""
    place = "tool_box/small.txt"
    lie = {place: f"{place},{hashed(b'other')},5"}
    for number, step in enumerate((with_unzipping, whole)):
        link, context = linked(with_files(tmp_path / "bad", {place: b"small"}, record=lie), tmp_path / str(number))
        with pytest.raises(IntegrityError) as caught:
            step(link, context)
        assert (caught.value.reference, "small.txt" in caught.value.message) == ("bad-wheel", True)
        assert not prefix_of(link, context).exists()
        assert not list((context.home / "cache/checked-wheels").iterdir()), "it would not be looked at again"
    link, context = linked(with_files(tmp_path / "good", {place: b"small"}), tmp_path / "home")
    realise(link, context.typed())
    (small,) = prefix_of(link, context).glob(f"lib/*/site-packages/{place}")
    if small.stat().st_nlink == 1:
        pytest.skip("NO HARD LINKS: uv copied the file")
    small.write_bytes(b"SMALL")
    shutil.rmtree(prefix_of(link, context))
    shutil.rmtree(context.home / "cache/checked-wheels")
    with pytest.raises(IntegrityError) as caught:
        realise(link, context.typed())
    assert caught.value.reference == "damaged-cache"
    assert not prefix_of(link, context).exists()


def metadata(text: bytes) -> dict[str, bytes]:
    return {f"{INFO}/METADATA": b"Metadata-Version: 2.1\n" + text}


@pytest.mark.parametrize(
    "files",
    [
        {"other-1.0.dist-info/METADATA": b"Name: other\nVersion: 1.0\n"},
        {"TOOL_BOX-1.0.DIST-INFO/METADATA": b"Name: tool-box\nVersion: 1.0\n"},
        metadata(b"Name: other\nVersion: 1.0\n"),
        metadata(b"Name: tool-box\nVersion: 2.0\n"),
        metadata(b"Name: tool-box\n"),
        metadata(b"\n\nName: tool-box\nVersion: 1.0\n"),
    ],
)
def test_h38_another_package_than_its_name_says(files: dict[str, bytes], tmp_path: Path) -> None:
    refused(with_files(tmp_path, files), "wrong-package")


def test_h38_a_folder_of_another_version(tmp_path: Path) -> None:
    path = make_wheel(tmp_path, "tool-box", "1.0")
    with zipfile.ZipFile(path) as archive:
        members = {name.replace("-1.0.", "-2.0."): archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    refused(path, "wrong-package")


@pytest.mark.parametrize(
    "line",
    [
        "../../evil = tool_box:main",
        "/abs = tool_box:main",
        ". = tool_box:main",
        "a/b = tool_box:main",
        "python = tool_box:main",
        "python3.12 = tool_box:main",
        "x = tool_box:main;import os",
        "x = tool_box:main()",
        "x = tool_box:main\n y",
        "x = __import__('os').system",
        "activate = tool_box:main",
    ],
)
@pytest.mark.parametrize("section", ["console_scripts", "gui_scripts"])
def test_h39_entry_points_that_are_no_names(line: str, section: str, tmp_path: Path) -> None:
    files = {f"{INFO}/entry_points.txt": f"[{section}]\n{line}\n".encode()}
    refused(with_files(tmp_path, files), "bad-entry-point")


def test_h39_what_people_write_passes(tmp_path: Path) -> None:
    text = b"[console_scripts]\nx = tool_box:main\ny-z.1 = tool_box.inner : Class.run [extra]\n[other]\nany = 1 + 1\n"
    assert looked_at(with_files(tmp_path, {f"{INFO}/entry_points.txt": text})).programs == ("x", "y-z.1")


@pytest.mark.parametrize(
    "name",
    [
        "tool_box-1.0.data/scripts/python",
        "tool_box-1.0.data/scripts/activate.fish",
        "tool_box-1.0.data/data/bin/python3",
        "tool_box-1.0.data/data/conda-meta/history",
        "tool_box-1.0.data/data/pyvenv.cfg",
        "tool_box-1.0.data/data/.envbuild-stamp",
        "tool_box-1.0.data/data/lib/python3.11/EXTERNALLY-MANAGED",
        "tool_box-1.0.data/purelib/other-1.0.dist-info/METADATA",
        "tool_box-1.0.data/data/lib/python3.11/site-packages/other-1.0.dist-info/METADATA",
        "tool_box-1.0.data/data/lib64/python3.13t/site-packages/tool_box-1.0.dist-info/METADATA",
        "tool_box-1.0.data/unknown/x",
        "tool_box-1.0.data/scripts",
        "other-1.0.data/scripts/x",
    ],
)
def test_h40_places_that_are_not_a_wheel_s(name: str, tmp_path: Path) -> None:
    reference = "wrong-package" if name.endswith("/METADATA") and "data" not in name else "bad-wheel"
    refused(with_files(tmp_path, {name: b"x"}), reference)


def test_h41_what_runs_at_each_start_is_told(tmp_path: Path) -> None:
    files = {
        "evil.pth": b"import os; os.system('true')\n",
        "good.pth": b"../elsewhere\n",
        "sitecustomize.py": b"",
        "tool_box-1.0.data/purelib/usercustomize.py": b"",
        "tool_box/sitecustomize.py": b"",
        "_virtualenv.py": b"",
        "tool_box-1.0.data/data/share/lib/python3.11/sitecustomize.py": b"",
    }
    through_data = (
        "tool_box-1.0.data/data/lib/python3.11/site-packages/deep.pth",
        "tool_box-1.0.data/data/lib/python3.11/sitecustomize.py",
        "tool_box-1.0.data/data/lib64/python3.11/site-packages/deep.pth",
        "tool_box-1.0.data/purelib/usercustomize.py",
    )
    files |= dict.fromkeys(through_data, b"import os\n")
    startup = ("_virtualenv.py", "evil.pth", "sitecustomize.py", *through_data)
    assert looked_at(with_files(tmp_path, files)).startup == startup


@pytest.mark.parametrize("file", ["tool_box-1.0-cp399-cp399-any.whl", "tool_box-1.0.whl", "tool_box-1.0-py3-none.whl"])
def test_h43_tags_that_do_not_fit(file: str, case: Case, tmp_path: Path, serving: Callable[..., Server]) -> None:
    """A lock that names such a file is refused before anything is linked."""
    swapped(case, tmp_path, serving, with_files(tmp_path / "hostile", {}), file)
    case.run("realize", "x.yaml", "--frozen", code=None)
    assert case.code in {3, 4}
    assert not any((case.home / "prefixes").glob("[0-9a-f]*"))


def swapped(
    case: Case, folder: Path, serving: Callable[..., Server], hostile: Path, file: str = "tool_box-1.0-py3-none-any.whl"
) -> None:
    """A project whose lock was made of a good wheel, and names the hostile one by its true digest now."""
    index = folder / "index"
    make_wheel(index, "tool-box", "1.0")
    server = serving(WheelIndex(folder=index, metadata=False))
    case.recipe(f"interpreter: host\npython: 3.11\npypi:\n  index: {server.url}/simple\n  packages: {{tool-box: }}\n")
    case.run("lock", "x.yaml")
    place = case.project / "x.lock.yaml"
    lock = parse_lock(place.read_bytes(), "x")
    (environment,) = lock.platforms
    (wheel,) = environment.wheels
    data = hostile.read_bytes()
    (index / wheel.file).unlink()
    (index / file).write_bytes(data)
    changed = replace(wheel, file=file, sha256=digest_file(index / file), size=len(data))
    new = replace(lock, platforms=(replace(environment, wheels=(changed,)),))
    place.write_text(lock_text(new), encoding="utf-8")
    server.content = lambda request: WheelIndex(folder=index, metadata=False)(request) or None


COMMANDS: Mapping[str, tuple[dict[str, bytes], Mapping[str, str], str]] = {
    "H37": ({}, RECORDS["a path out"], "bad-wheel"),
    "H37 large": (
        {"tool_box/big.txt": BIG},
        {"tool_box/big.txt": f"tool_box/big.txt,{hashed(b'')},{len(BIG)}"},
        "bad-wheel",
    ),
    "H38": (metadata(b"Name: other\nVersion: 1.0\n"), {}, "wrong-package"),
    "H39": ({f"{INFO}/entry_points.txt": b"[console_scripts]\n../../evil = a:b\n"}, {}, "bad-entry-point"),
    "H40": ({"tool_box-1.0.data/data/bin/python": b"x"}, {}, "bad-wheel"),
}


@pytest.mark.parametrize("row", COMMANDS)
def test_the_command_refuses_and_leaves_nothing(
    row: str, case: Case, tmp_path: Path, serving: Callable[..., Server]
) -> None:
    files, record, reference = COMMANDS[row]
    swapped(case, tmp_path, serving, with_files(tmp_path / "hostile", files, record=record))
    before = (case.project / "x.lock.yaml").read_bytes()
    case.run("realize", "x.yaml", "--frozen", code=4).mentions(reference, "tool_box-1.0-py3-none-any.whl")
    assert (case.project / "x.lock.yaml").read_bytes() == before
    assert not any((case.home / "prefixes").glob("[0-9a-f]*"))
    assert not list((case.home / "tmp").glob("*"))
    assert not list(tmp_path.rglob("evil"))


def test_h42_modules_of_an_environment_are_never_imported_by_us(
    case: Case, tmp_path: Path, serving: Callable[..., Server]
) -> None:
    """Modules that are named as ours and as the standard library's: linking, verifying and running touch none."""
    trap = f"open({str(tmp_path / 'sprung')!r}, 'w').write(__name__)\n".encode()
    names = ("pip", "typing", "envbuild", "rattler", "uv", "zipfile", "encodings", "platform", "sysconfig")
    index = tmp_path / "index"
    make_wheel(index, "tool-box", "1.0", files={f"{name}.py": trap for name in names})
    server = serving(WheelIndex(folder=index))
    case.recipe(f"interpreter: host\npython: 3.11\npypi:\n  index: {server.url}/simple\n  packages: {{tool-box: }}\n")
    case.run("realize", "x.yaml")
    case.run("verify")
    case.run("show", "x.yaml").run("tree", "x.yaml").run("shell-hook", "x.yaml", "--shell", "bash")
    case.run("run", "x.yaml", "--", "true")
    assert not (tmp_path / "sprung").exists()
    case.run("run", "x.yaml", "--", "python", "-c", "import rattler")  # the trap works
    assert (tmp_path / "sprung").exists()


def test_h41_the_command_tells_what_runs_at_start(case: Case, tmp_path: Path, serving: Callable[..., Server]) -> None:
    index = tmp_path / "index"
    make_wheel(index, "tool-box", "1.0", files={"boot.pth": "import sys\n"})
    server = serving(WheelIndex(folder=index))
    case.recipe(f"interpreter: host\npython: 3.11\npypi:\n  index: {server.url}/simple\n  packages: {{tool-box: }}\n")
    case.run("realize", "x.yaml").mentions("tool-box 1.0 runs code at each start of Python: boot.pth")
    assert "at start     lib/python3.11/site-packages/boot.pth\n" in case.run("show", "x.yaml").out
    assert json.loads(case.run("show", "x.yaml", "--json").out)["startup"] == ["lib/python3.11/site-packages/boot.pth"]
