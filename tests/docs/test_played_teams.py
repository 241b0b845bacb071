"""The pages for teams (names, trust, publishing, review, stores, many machines) do what they say, word for word."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from envbuild.digest import digest_bytes
from envbuild.machine.virtual import current_platform
from envbuild.objects.opening import open_objects
from envbuild.store.folder import result_from_bytes, result_to_bytes
from envbuild.store.object_names import blob_name
from tests.distributed.cluster import Cluster
from tests.docs.playing import Stage
from tests.support.object_servers import serve_objects
from tests.support.sdists import make_own_sdist, make_project
from tests.support.wheels import make_wheel

pytestmark = pytest.mark.skipif(current_platform() != "linux-64", reason="the texts name linux-64")


@pytest.fixture
def packages(packages: Path, tmp_path: Path) -> Path:
    """With those that these pages ask for."""
    needs = {"certifi": "2024.8.30", "charset-normalizer": "3.3.2", "idna": "3.7", "urllib3": "2.2.2"}
    for name, version in needs.items():
        make_wheel(packages, name, version)
    for version in ("2.31.0", "2.32.5"):
        source = f'__version__ = "{version}"\nRequest = dict\n'
        make_wheel(packages, "requests", version, requires=list(needs), files={"requests/__init__.py": source})
    make_wheel(packages, "tabulate", "0.9.0")
    make_own_sdist(packages, "docopt", "0.6.2", scratch=tmp_path / "made")
    return packages


@pytest.fixture
def stage(tmp_path: Path, index: str) -> Stage:
    """Machines with the index."""
    return Stage(tmp_path, index)


def test_the_page_of_names_is_what_happens(stage: Stage) -> None:
    assert stage.play("names.md") >= 15


def test_the_page_of_many_recipes_is_what_happens(stage: Stage) -> None:
    assert stage.play("many-recipes.md") >= 5


def test_the_page_of_publishing_is_what_happens(stage: Stage) -> None:
    assert stage.play("publish.md") >= 4


def test_the_page_of_trust_is_what_happens(stage: Stage, tmp_path: Path) -> None:

    def attack() -> None:
        source = {"docopt/__init__.py": "__version__ = 'of Mallory'\n"}
        wheel = make_wheel(tmp_path / "evil", "docopt", "0.6.2", files=source).read_bytes()
        objects = open_objects(str(tmp_path / "shared" / "srv" / "envbuild"))
        objects.put(blob_name(digest_bytes(wheel)), wheel)
        (record,) = [listed.name for listed in objects.list("results/build-wheel/")]
        good = result_from_bytes(objects.read(record) or b"")
        outputs = tuple(
            (name, replace(item, sha256=digest_bytes(wheel), size=len(wheel)) if name == "out" else item)
            for name, item in good.outputs
        )
        objects.delete(record)
        objects.put(record, result_to_bytes(replace(good, outputs=outputs)))

    assert stage.play("trust.md", {"another wheel stands behind the build": attack}) >= 20


def test_the_page_of_review_is_what_happens(stage: Stage, packages: Path) -> None:
    make_wheel(packages, "idna", "3.6")
    make_wheel(packages, "charset-normalizer", "3.3.1")
    make_wheel(packages, "requests", "2.32.5", requires=["certifi", "charset-normalizer<3.3.2", "idna", "urllib3"])
    assert stage.play("review.md") >= 24


def test_the_page_of_policies_is_what_happens(stage: Stage) -> None:
    assert stage.play("policy.md") >= 1


def test_the_page_of_stores_is_what_happens(
    tmp_path: Path, index: str, packages: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a bucket of a server that speaks S3."""
    with serve_objects("s3", tmp_path) as cloud:
        for name, value in cloud.environ.items():
            monkeypatch.setenv(name, value)
        store = f"s3://{cloud.bucket('bucket')}/envbuild"

        def damage() -> None:
            objects = open_objects(store)
            (wheel,) = packages.glob("idna-3.7-*.whl")
            name = blob_name(digest_bytes(wheel.read_bytes()))
            objects.delete(name)
            objects.put(name, wheel.read_bytes()[:-1] + b"!")

        stage = Stage(tmp_path, index, environ=cloud.environ)
        assert stage.play("stores.md", {"a byte of the wheel is another one": damage}) >= 8


def test_the_page_of_builds_is_what_happens(stage: Stage) -> None:
    make_project(stage.project / "speedy", "speedy", "1.0", more_backend="build_editable = build_wheel\n")
    make_project(
        stage.user / "checkouts" / "requests", "requests", "2.33.0", more_backend="build_editable = build_wheel\n"
    )
    assert stage.play("builds.md") >= 5


def test_the_page_of_many_machines_is_what_happens(stage: Stage, tmp_path: Path) -> None:
    cluster = Cluster(tmp_path / "cluster")
    address = "dask://10.0.0.5:8786"

    def start() -> None:
        stage.meant[address] = cluster.scheduler()
        stage.here.known.append((cluster.address, address))
        cluster.worker("one")

    try:
        assert stage.play("scaling.md", {"a scheduler and a worker": start}) >= 1
    finally:
        cluster.close()
    assert cluster.results("one"), "the worker built it"
