"""``realize --prefix DIR --editable NAME``: an environment in which a project is used where it lies."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.case import Case
from tests.support.channel import TestChannel
from tests.support.extension import make_extension
from tests.support.sdists import make_project
from tests.support.servers import Server
from tests.support.wheel_index import WheelIndex
from tests.support.wheels import make_wheel

SERIES = f"{sys.version_info.major}.{sys.version_info.minor}"

EDITABLE = """

def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    print("installing in place")
    file = build_wheel(wheel_directory)
    folder = "%s-%s.dist-info" % (MODULE, VERSION)
    contents = {
        "_mine.pth": os.path.join(os.getcwd(), "src") + "\\n",
        folder + "/METADATA": _metadata(),
        folder + "/WHEEL": WHEEL,
        folder + "/entry_points.txt": "[console_scripts]\\nmine = mine:main\\n",
        folder + "/RECORD": "",
    }
    contents[folder + "/RECORD"] = "".join(name + ",,\\n" for name in contents)
    with zipfile.ZipFile(Path(wheel_directory, file), "w") as archive:
        for path, text in contents.items():
            archive.writestr(zipfile.ZipInfo(path, (2024, 1, 1, 0, 0, 0)), text)
    return file
"""


@pytest.fixture
def index(tmp_path: Path, serving: Callable[..., Server]) -> str:
    folder = tmp_path / "index"
    folder.mkdir()
    make_wheel(folder, "leaf", "1.0")
    return f"{serving(WheelIndex(folder=folder)).url}/simple"


def project(case: Case, more: str = EDITABLE) -> Path:
    files = {"src/mine.py": "def main():\n    import leaf\n    print('one', leaf.__version__)\n"}
    return make_project(
        case.project / "libs/mine", "mine", "1.0", static=True, requires=["leaf"], more_backend=more, files=files
    )


def host_recipe(index: str, packages: str = "    mine: {path: libs/mine}\n") -> str:
    return f"interpreter: host\npython: {SERIES}\npypi:\n  index: {index}\n  packages:\n{packages}"


def conda_recipe(channel: TestChannel, index: str) -> str:
    series = ".".join(channel.pythons[0].split(".")[:2])
    return (
        f"python: {series}\nconda:\n  channels: ['{channel.folder.as_uri()}']\n  packages:\n    greet:\n"
        f"pypi:\n  index: {index}\n  packages:\n    mine: {{path: libs/mine}}\n"
    )


@pytest.mark.parametrize("mode", ["host", "conda"])
def test_an_edit_counts_at_once(
    case: Case, index: str, mode: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    folder = project(case)
    text = host_recipe(index) if mode == "host" else conda_recipe(request.getfixturevalue("channel"), index)
    case.recipe(text, "x.yaml").run("lock", "x.yaml")
    lock = (case.project / "x.lock.yaml").read_bytes()
    place = tmp_path / "dev env"
    case.run("realize", "x.yaml", "--prefix", place, "--editable", "mine").mentions("Realized x", "0 built")
    assert case.out.strip() == str(place)
    said = case.program(place / "bin" / "mine")
    assert said == "one 1.0\n"
    module = folder / "src" / "mine.py"
    module.write_text(module.read_text().replace("one", "two"))
    assert case.program(place / "bin" / "mine") == "two 1.0\n"
    (address,) = place.glob("lib/python*/site-packages/mine-1.0.dist-info/direct_url.json")
    assert json.loads(address.read_text()) == {"url": folder.as_uri(), "dir_info": {"editable": True}}
    # It is the user's own: nothing of it is in the lock or the store, and pip may install into it.
    assert (case.project / "x.lock.yaml").read_bytes() == lock
    assert not list(case.home.glob("store/results/build-wheel/*/*"))
    assert not list(place.glob("lib/python3*/EXTERNALLY-MANAGED"))
    assert str(case.home) not in (place / "bin" / "mine").read_text()
    case.run("realize", "x.yaml", "--prefix", place, "--editable", "mine").mentions("already there")
    case.run("realize", "x.yaml", "--prefix", place, code=6).mentions("is not this environment")


def test_a_wheel_of_the_lock_may_be_edited_from_a_folder_that_the_user_names(
    case: Case, index: str, tmp_path: Path
) -> None:
    case.recipe(host_recipe(index, "    leaf:\n"), "x.yaml")
    folder = make_project(tmp_path / "checkout of leaf", "leaf", "7.0", static=True, more_backend=EDITABLE)
    (folder / "src").mkdir()
    (folder / "src" / "leaf.py").write_text("__version__ = 'mine'\n")
    place = tmp_path / "dev"
    case.run("realize", "x.yaml", "--prefix", place, "--editable", f"Leaf={folder}", "--json")
    (found,) = json.loads(case.out)["environments"]
    assert found["packages"] == 1
    assert case.program(place / "bin" / "python", "-c", "import leaf; print(leaf.__version__)") == "mine\n"


def test_what_cannot_be_is_refused_with_the_reason(
    case: Case, channel: TestChannel, index: str, tmp_path: Path
) -> None:
    project(case)
    case.recipe(conda_recipe(channel, index), "x.yaml").run("lock", "x.yaml")
    place = ["--prefix", str(tmp_path / "dev")]
    case.run("realize", "x.yaml", "--editable", "mine", code=2).mentions("is your own", "--prefix DIR --editable mine")
    case.run("realize", "x.yaml", *place, "--editable", "greet", code=2).mentions("greet is a conda package here")
    case.run("realize", "x.yaml", *place, "--editable", "other", code=2).mentions("other is not in this environment")
    case.run("realize", "x.yaml", *place, "--editable", "leaf", code=2).mentions("--editable leaf=FOLDER")
    case.run("realize", "x.yaml", *place, "--editable", f"leaf={tmp_path}", code=2).mentions("is no Python project")
    case.run("realize", "x.yaml", *place, "--editable", "=x", code=2)
    case.run("realize", "x.yaml", *place, "--editable", "mine", "--dry-run", code=2)
    assert not (tmp_path / "dev").exists()


def test_a_backend_that_fails_leaves_nothing(case: Case, index: str, tmp_path: Path) -> None:
    broken = EDITABLE.replace('print("installing in place")', 'raise SystemExit("no, thank you")')
    project(case, broken)
    case.recipe(host_recipe(index), "x.yaml")
    case.run("realize", "x.yaml", "--prefix", tmp_path / "dev", "--editable", "mine", code=9)
    case.mentions("could not be installed as editable", "no, thank you")
    assert not (tmp_path / "dev").exists()
    assert list((case.home / "tmp").iterdir()) == []


IN_PLACE = """

def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    import glob

    file = build_wheel(wheel_directory)
    (module,) = glob.glob("speedy.*.so")
    os.makedirs("src")
    os.replace(module, os.path.join("src", module))
    folder = "%s-%s.dist-info" % (MODULE, VERSION)
    contents = {
        "_speedy.pth": os.path.join(os.getcwd(), "src") + "\\n",
        folder + "/METADATA": _metadata(),
        folder + "/WHEEL": WHEEL,
    }
    contents[folder + "/RECORD"] = "".join(name + ",,\\n" for name in (*contents, folder + "/RECORD"))
    with zipfile.ZipFile(Path(wheel_directory, file), "w") as archive:
        for path, text in contents.items():
            archive.writestr(zipfile.ZipInfo(path, (2024, 1, 1, 0, 0, 0)), text)
    return file
"""


def test_an_extension_is_compiled_in_place_against_the_libraries_of_the_prefix(
    case: Case, index: str, compiled_channel: TestChannel, tmp_path: Path
) -> None:
    folder = make_extension(case.project / "speedy")
    backend = next(path for path in folder.rglob("*.py") if "def build_wheel" in path.read_text())
    backend.write_text(backend.read_text() + IN_PLACE)
    series = ".".join(compiled_channel.pythons[0].split(".")[:2])
    case.recipe(
        f"python: {series}\nconda:\n  channels: ['{compiled_channel.folder.as_uri()}']\n"
        f"  packages:\n    libfast: '1.2'\npypi:\n  index: {index}\n  packages:\n    speedy: {{path: speedy}}\n"
        "build:\n  speedy: {host: [libfast]}\n",
        "x.yaml",
    )
    place = tmp_path / "dev"
    case.run("realize", "x.yaml", "--prefix", place, "--editable", "speedy")
    code = "import speedy; print(speedy.__file__, speedy.version())"
    file, version = case.program(place / "bin" / "python", "-c", code).split()
    assert Path(file).parent == folder / "src"
    assert version == "1.2"
    assert str(place / "lib").encode() in Path(file).read_bytes(), "it finds its libraries in the prefix, by itself"
