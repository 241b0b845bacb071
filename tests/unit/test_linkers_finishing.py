"""Records of conda-meta that are finished while others are still linked."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from envbuild.digest import Digest
from envbuild.errors import BuildError, IntegrityError
from envbuild.linkers.conda_meta import record_name
from envbuild.linkers.finishing import Finishing
from envbuild.package import CondaPackage

PACKAGES = [
    CondaPackage(
        name=name,
        version="1",
        build="0",
        build_number=0,
        subdir="noarch",
        file=f"{name}-1-0.conda",
        channel="conda-forge",
        sha256=Digest(number * 64),
        depends=(),
        constrains=(),
    )
    for name, number in (("ant", "1"), ("bee", "2"), ("cat", "3"))
]


def written(name: str) -> str:
    """What an engine writes of a package."""
    paths = [{"_path": f"lib/{name}/{file}"} for file in "ba"]
    document = {"files": [f"lib/{name}/b", f"lib/{name}/a"], "paths_data": {"paths": paths}}
    return json.dumps(document | {"extracted_package_dir": f"/cache/{name}", "link": {}}, indent=2)


@pytest.fixture
def half() -> threading.Event:
    return threading.Event()


@pytest.fixture
def finishing(tmp_path: Path, half: threading.Event) -> Finishing:
    return Finishing(tmp_path / "conda-meta", PACKAGES, lambda: "https://channels.example/", half.set, checked)


def checked(package: CondaPackage, extracted: str) -> bool:
    """Refuses what was unpacked to a bad place; something is to be told of the second."""
    if extracted.startswith("/bad"):
        raise IntegrityError(f"{package.name} is bad")
    return package.name == "bee"


def test_records_stay_the_engines_while_it_runs_and_are_all_finished_after(
    finishing: Finishing, tmp_path: Path, half: threading.Event
) -> None:
    meta = tmp_path / "conda-meta"
    with finishing:
        meta.mkdir()
        (meta / record_name(PACKAGES[0])).write_text(written("ant"))
        (meta / record_name(PACKAGES[1])).write_text(written("bee")[:-1])  # is still being written
        assert not half.wait(0.5)
        (meta / record_name(PACKAGES[1])).write_text(written("bee"))
        assert half.wait(30)  # two were read
        assert (meta / record_name(PACKAGES[0])).read_text() == written("ant")
        assert (meta / record_name(PACKAGES[1])).read_text() == written("bee")
    (meta / record_name(PACKAGES[2])).write_text(written("cat"))
    found, told = finishing.write(moved=False)
    assert told == [False, True, False]
    assert [item.extracted for item in found] == ["/cache/ant", "/cache/bee", "/cache/cat"]
    for package in PACKAGES:
        document = json.loads((meta / record_name(package)).read_text())
        assert document["url"] == f"https://channels.example/conda-forge/noarch/{package.file}"
        assert document["files"] == [f"lib/{package.name}/a", f"lib/{package.name}/b"]
        assert "link" not in document
    assert sorted(path.name for path in meta.iterdir()) == sorted(map(record_name, PACKAGES))


def test_a_record_that_the_engine_touches_again_is_read_again(
    finishing: Finishing, tmp_path: Path, half: threading.Event
) -> None:
    meta = tmp_path / "conda-meta"
    meta.mkdir()
    with finishing:
        for package in PACKAGES:
            (meta / record_name(package)).write_text(written(package.name))
        assert half.wait(30)
    for package in PACKAGES:
        again = json.loads(written(package.name)) | {"files": [f"lib/{package.name}/elsewhere"]}
        (meta / record_name(package)).write_text(json.dumps(again))
    found, _ = finishing.write(moved=False)
    assert [item.files for item in found] == [[f"lib/{package.name}/elsewhere"] for package in PACKAGES]
    for package, item in zip(PACKAGES, found, strict=True):
        assert (meta / record_name(package)).read_bytes() == item.record
        assert json.loads(item.record)["files"] == item.files


def test_a_package_without_a_record_is_an_error(finishing: Finishing, tmp_path: Path) -> None:
    (tmp_path / "conda-meta").mkdir()
    with finishing:
        pass
    with pytest.raises(BuildError, match="left no record of ant"):
        finishing.write(moved=False)


@pytest.mark.parametrize("early", [True, False])
def test_a_package_that_is_refused_is_told_when_the_engine_is_done(
    finishing: Finishing, tmp_path: Path, half: threading.Event, early: bool
) -> None:
    meta = tmp_path / "conda-meta"
    meta.mkdir()
    with finishing:
        for package in PACKAGES if early else ():
            (meta / record_name(package)).write_text(written(package.name).replace("/cache/cat", "/bad/cat"))
        assert not early or half.wait(30)
    for package in () if early else PACKAGES:
        (meta / record_name(package)).write_text(written(package.name).replace("/cache/cat", "/bad/cat"))
    with pytest.raises(IntegrityError, match="cat is bad"):
        finishing.write(moved=False)
