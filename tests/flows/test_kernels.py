"""A kernel runs in exactly the environment that was named, is found by every Jupyter, and keeps what it runs in."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.case import Case
from tests.support.channel import TestChannel
from tests.support.notebooks import kernel_channel, kernel_wheels, run_in_kernel, spec
from tests.support.servers import Server
from tests.support.wheel_index import WheelIndex

SERIES = f"{sys.version_info.major}.{sys.version_info.minor}"
RECIPE = """
    interpreter: host
    pypi: {packages: {toy: "1.0"}}
    variables: {GREETING: "it's $HOME \\"and\\" more"}
"""


@pytest.fixture
def jupyter(case: Case, tmp_path: Path, toy_wheels: Path, serving: Callable[..., Server]) -> Case:
    """A project with toys and ipykernel on its index, and a recipe of the first toy there was."""
    folder = tmp_path / "index"
    shutil.copytree(toy_wheels, folder)
    for wheel in kernel_wheels().glob("*.whl"):
        shutil.copy(wheel, folder)
    case.variable("ENVBUILD_INDEX_URL", f"{serving(WheelIndex(folder=folder)).url}/simple")
    return case.recipe(f"python: '{SERIES}'\n" + RECIPE.replace("\n    ", "\n"), "recipes/train.yaml")


def kernels(case: Case) -> Path:
    return Path(case.environ["XDG_DATA_HOME"], "jupyter", "kernels")


def listed(case: Case) -> list[dict[str, str]]:
    found: list[dict[str, str]] = json.loads(case.run("kernel", "list", "--json").out)["kernels"]
    return found


def test_a_kernel_imports_what_the_environment_has_and_jupyter_finds_it_by_its_name(jupyter: Case) -> None:
    jupyter.run("kernel", "install", "recipes/train.yaml")
    assert jupyter.out == "train\n"
    (kernel,) = listed(jupyter)
    code = "import sys, os, toy, toy_core; print([toy.__version__, sys.prefix, os.environ['GREETING']])"
    code += "; print(os.environ['PATH'].split(os.pathsep)[0], os.environ.get('PYTHONHOME'), os.environ['VIRTUAL_ENV'])"
    prefix = Path(kernel["prefix"])
    stranger = {**jupyter.environ, "VIRTUAL_ENV": "/nowhere", "PYTHONHOME": ""}
    first, second = run_in_kernel(prefix / "bin" / "python", "train", code, stranger).splitlines()
    assert first == str(["1.0", str(prefix), 'it\'s $HOME "and" more'])
    assert second == f"{prefix / 'bin'} None {prefix}"


def test_the_packages_of_the_environment_stay_as_they_are(jupyter: Case) -> None:
    jupyter.run("realize", "recipes/train.yaml")
    before = json.loads(jupyter.run("show", "recipes/train.yaml", "--json").out)
    jupyter.run("kernel", "install", "recipes/train.yaml", "--name", "mine", "--display-name", "Mine and only")
    (kernel,) = listed(jupyter)
    assert (kernel["name"], kernel["display"]) == ("mine", "Mine and only")
    assert spec(kernels(jupyter) / "mine")["display_name"] == "Mine and only"
    assert kernel["base"].endswith(before["environment"]), "the kernel says what it is of"
    after = json.loads(jupyter.run("show", kernel["environment"], "--json").out)
    have = {item["name"]: item for item in after["packages"]}
    assert "ipykernel" in have
    for item in before["packages"]:
        same = have[item["name"]]
        assert {key: same[key] for key in ("version", "sha256")} == {key: item[key] for key in ("version", "sha256")}
    assert json.loads(jupyter.run("show", "recipes/train.yaml", "--json").out)["packages"] == before["packages"]


def test_an_environment_that_has_ipykernel_is_used_as_it_is(jupyter: Case) -> None:
    jupyter.recipe(f"python: '{SERIES}'\ninterpreter: host\npypi: {{packages: {{ipykernel: }}}}\n", "recipes/own.yaml")
    prefix = jupyter.run("realize", "recipes/own.yaml").out.strip()
    jupyter.run("kernel", "install", "recipes/own.yaml")
    (kernel,) = listed(jupyter)
    assert kernel["prefix"] == prefix
    assert not (kernels(jupyter) / "own" / "recipe.yaml").exists()


def test_a_kernel_keeps_its_environment_until_it_is_removed(jupyter: Case) -> None:
    jupyter.run("kernel", "install", "recipes/train.yaml")
    (kernel,) = listed(jupyter)
    prefix = Path(kernel["prefix"])
    jupyter.run("gc", "--keep-days", "0")
    assert (prefix / "bin" / "python").exists()
    jupyter.run("kernel", "remove", "train")
    assert jupyter.out == "train\n"
    assert listed(jupyter) == []
    assert not (kernels(jupyter) / "train").exists()
    jupyter.run("gc", "--keep-days", "0")
    assert not prefix.exists()


def test_a_kernel_whose_environment_is_gone_is_listed_as_that_and_is_installed_again(jupyter: Case) -> None:
    jupyter.run("kernel", "install", "recipes/train.yaml")
    (kernel,) = listed(jupyter)
    shutil.rmtree(kernel["prefix"])
    assert "gone: install it again" in jupyter.run("kernel", "list").out
    jupyter.run("kernel", "install", "recipes/train.yaml", "--force")
    assert listed(jupyter) == [kernel]


def test_what_is_there_already_is_not_replaced_unasked_and_what_is_another_s_never(jupyter: Case) -> None:
    jupyter.run("kernel", "install", "recipes/train.yaml", "--name", "one")
    before = spec(kernels(jupyter) / "one")
    jupyter.run("kernel", "install", "recipes/train.yaml", "--name", "one", code=6).mentions("kernel-exists", "--force")
    assert spec(kernels(jupyter) / "one") == before
    other = kernels(jupyter) / "other"
    other.mkdir()
    (other / "kernel.json").write_text('{"argv": ["python"], "display_name": "Other", "language": "python"}')
    jupyter.run("kernel", "install", "recipes/train.yaml", "--name", "other", "--force", code=6)
    jupyter.mentions("kernel-exists", "no kernel of envbuild")
    jupyter.run("kernel", "remove", "other", code=3).mentions("unknown-kernel")
    jupyter.run("kernel", "remove", "../kernels/one", code=3).mentions("unknown-kernel")
    jupyter.run("kernel", "install", "recipes/train.yaml", "--name", "../x", code=3).mentions("bad-kernel-name")
    assert [item["name"] for item in listed(jupyter)] == ["one"]
    assert other.is_dir()


def test_what_a_killed_install_left_is_no_kernel_and_in_nobody_s_way(jupyter: Case) -> None:
    left = kernels(jupyter) / "train"
    left.mkdir(parents=True)
    (left / "recipe.yaml").write_text("platforms: [linux-64]\n")
    (left / "environment").symlink_to("/nowhere")
    assert listed(jupyter) == []
    jupyter.run("kernel", "install", "recipes/train.yaml")
    assert [item["name"] for item in listed(jupyter)] == ["train"]


def test_a_kernel_that_cannot_be_made_leaves_nothing(jupyter: Case, wheel_index: Server) -> None:
    jupyter.variable("ENVBUILD_INDEX_URL", f"{wheel_index.url}/simple")
    jupyter.run("kernel", "install", "recipes/train.yaml", code=11).mentions("ipykernel")
    assert not (kernels(jupyter) / "train").exists()


def test_a_name_has_a_kernel_for_one_jupyter_alone(jupyter: Case, tmp_path: Path) -> None:
    jupyter.run("lock", "recipes/train.yaml")
    jupyter.run("alias", "recipes/train.yaml", "team/train:v1")
    jupyter.run("kernel", "install", "team/train:v1", "--prefix", tmp_path / "lab")
    assert jupyter.out == "train-v1\n"
    assert listed(jupyter) == []
    assert spec(tmp_path / "lab" / "share" / "jupyter" / "kernels" / "train-v1")["language"] == "python"
    jupyter.run("kernel", "list", "--prefix", tmp_path / "lab").mentions("team/train:v1")


def test_a_conda_environment_is_activated_in_its_kernel(jupyter: Case, channel: TestChannel) -> None:
    if not any(version.startswith(f"{SERIES}.") for version in channel.pythons):
        pytest.skip(f"NO CONDA PYTHON {SERIES}: no self-contained one is on this machine to make a package from")
    jupyter.recipe(
        f"""
        python: '{SERIES}'
        conda: {{channels: ['{channel.url}'], packages: {{activated: , greet: "1.*"}}}}
        pypi: {{packages: {{toy: "1.1"}}}}
        """,
        "recipes/mixed.yaml",
    )
    jupyter.run("kernel", "install", "recipes/mixed.yaml")
    (kernel,) = listed(jupyter)
    code = "import greet, toy, os, sys; print(greet.__version__, toy.__version__)"
    code += "; e = os.environ; print(e['ACTIVATED_BY'] == sys.prefix, e['CONDA_PREFIX'], e['ACTIVATED_COLOUR'])"
    printed = run_in_kernel(Path(kernel["prefix"], "bin", "python"), "mixed", code, jupyter.environ).splitlines()
    assert printed == ["1.0 1.1", f"True {kernel['prefix']} blue"]


def test_an_environment_of_conda_alone_gets_ipykernel_of_conda(jupyter: Case, channel: TestChannel) -> None:
    if not any(version.startswith(f"{SERIES}.") for version in channel.pythons):
        pytest.skip(f"NO CONDA PYTHON {SERIES}: no self-contained one is on this machine to make a package from")
    channels = f"channels: ['{channel.url}', '{kernel_channel().as_uri()}']"
    jupyter.variable("ENVBUILD_INDEX_URL", "http://127.0.0.1:9/simple")
    jupyter.file("envbuild.yaml", f"{channels}\n")
    jupyter.recipe(f"python: '{SERIES}'\nconda: {{packages: {{greet: '1.*'}}}}\n", "recipes/conda.yaml")
    jupyter.run("kernel", "install", "recipes/conda.yaml")
    (kernel,) = listed(jupyter)
    have = {
        item["name"]: item for item in json.loads(jupyter.run("show", kernel["environment"], "--json").out)["packages"]
    }
    assert have["ipykernel"]["channel"] == kernel_channel().as_uri()
    code = "import greet, sys; print(greet.__version__, sys.prefix)"
    printed = run_in_kernel(Path(kernel["prefix"], "bin", "python"), "conda", code, jupyter.environ)
    assert printed == f"1.0 {kernel['prefix']}\n"
