"""A layer of an image: its tar, as the standard library reads it, and which file is whose."""

from __future__ import annotations

import io
import json
import os
import py_compile
import tarfile
from pathlib import Path, PurePosixPath

from envbuild.exchange.image_layers import GROUPS, LARGE, MOST_LARGE, layers_of
from envbuild.exchange.image_tar import write_layer


def layer(tree: Path, *names: str) -> bytes:
    out = io.BytesIO()
    write_layer(tree, PurePosixPath("/opt/place"), map(os.fsencode, names), out.write)
    return out.getvalue()


def test_a_source_has_the_time_that_its_compiled_file_names(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        source = tmp_path / f"{name}.py"
        source.write_text(f"x = '{name}'\n")
        os.utime(source, (1_600_000_000, 1_600_000_000))
    modes = py_compile.PycInvalidationMode
    compiled = py_compile.compile(str(tmp_path / "a.py"), invalidation_mode=modes.TIMESTAMP)
    py_compile.compile(str(tmp_path / "b.py"), invalidation_mode=modes.UNCHECKED_HASH)
    assert compiled is not None
    for name in ("a", "b", "c"):
        os.utime(tmp_path / f"{name}.py", (5, 5))
    names = ["a.py", "b.py", "c.py", os.path.relpath(compiled, tmp_path)]
    with tarfile.open(fileobj=io.BytesIO(layer(tmp_path, *names))) as tar:
        times = {member.name.removeprefix("opt/place/"): member.mtime for member in tar}
    assert {name: time for name, time in times.items() if time} == {"a.py": 1_600_000_000}


def test_names_of_every_length_links_and_empty_folders_come_back(tmp_path: Path) -> None:
    names = ["x" * count for count in (1, 86, 87, 88, 89, 90, 91, 255)] + [
        "ü" * 60,
        "deep/" * 60 + "file",
        "a-b",
        "a/b",
    ]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / "x").chmod(0o711)
    (tmp_path / "link").symlink_to("../" * 50 + "somewhere/else")
    (tmp_path / "empty").mkdir(mode=0o700)
    data = layer(tmp_path, *names, "link", "empty")
    assert data == layer(tmp_path, "empty", "link", *reversed(names))
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        found = {member.name: member for member in tar}
        for name in names:
            stream = tar.extractfile(f"opt/place/{name}")
            assert stream is not None
            assert stream.read().decode() == name
    assert found["opt/place/link"].linkname == "../" * 50 + "somewhere/else"
    assert found["opt/place/empty"].isdir()
    assert {found[name].mode for name in ("opt", "opt/place", "opt/place/empty", "opt/place/x")} == {0o755}
    seen: set[str] = set()
    for name in found:
        parent = name.rpartition("/")[0]
        assert not parent or parent in seen, "a folder stands before what is in it"
        seen.add(name)


def test_every_file_is_in_one_layer_and_there_are_few(tmp_path: Path) -> None:
    prefix = tmp_path / "prefix"
    records, expected = prefix / "conda-meta", {"conda-meta/history", "etc/nobody"}
    records.mkdir(parents=True)
    (prefix / "etc").mkdir()
    for name in expected:
        (prefix / name).write_text("")
    for number in range(60):
        package, file = f"package{number}", f"etc/file{number}"
        with (prefix / file).open("wb") as stream:
            stream.truncate(LARGE + number if number < 2 * MOST_LARGE else 10)
        record = records / f"{package}-1.0-0.json"
        record.write_text(json.dumps({"name": package, "files": [file]}))
        expected |= {file, f"conda-meta/{record.name}"}
    layers = layers_of(prefix)
    names = [os.fsdecode(name) for layer in layers for name in layer.names]
    assert sorted(names) == sorted(expected)
    assert len(layers) <= MOST_LARGE + GROUPS + 2 <= 20
    assert [layer.title for layer in layers if len(layer.packages) == 1][:2] == ["package19", "package18"]
    assert set(layers[-1].names) == {b"conda-meta/history", b"etc/nobody"}
