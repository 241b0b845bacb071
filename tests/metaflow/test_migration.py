"""Settings of Metaflow's own conda and of Netflix's extension: each is on the page, counts or is told."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.docs.pages import read, sections, table
from tests.metaflow.conftest import SERIES
from tests.metaflow.flows import Flows
from tests.metaflow.needs import need_channel
from tests.support.channel import TestChannel
from tests.support.servers import Server

PAGE = read("metaflow-migration.md")
ONE = """
    class One(FlowSpec):
        @pypi(packages={"toy": "1.0"})
        @step
        def start(self):
            import toy
            say("start", toy=toy.__version__)
            self.next(self.end)

        @pypi(disabled=True)
        @step
        def end(self):
            pass
"""
CONDA = """
    class Channels(FlowSpec):
        @conda(libraries={"greet": "1.*"})
        @step
        def start(self):
            import greet
            say("start", greet=greet.__version__)
            self.next(self.end)

        @conda(disabled=True)
        @step
        def end(self):
            pass
"""


def asked(flows: Flows, program: str) -> object:
    """What a program prints as JSON, where a flow is launched: Metaflow is imported before everything else."""
    words = [sys.executable, "-c", f"import metaflow, json\n{program}"]
    done = subprocess.run(words, cwd=flows.project, env=flows.environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def flags(flows: Flows) -> dict[str, str]:
    """What a session for flows is told of settings."""
    program = (
        "from pathlib import Path\nfrom envbuild.metaflow import settings\n"
        "from envbuild.projects.project import find_project\n"
        "print(json.dumps(settings.flags(find_project(Path.cwd()))))"
    )
    found = asked(flows, program)
    assert isinstance(found, dict)
    return found


def configured(flows: Flows, **values: object) -> None:
    """Write Metaflow's configuration file."""
    folder = Path(flows.environ["METAFLOW_HOME"])
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps({f"METAFLOW_{name}": value for name, value in values.items()}))


def test_each_setting_is_on_the_page_with_what_it_becomes(flows: Flows) -> None:
    program = (
        "from envbuild.metaflow.settings import HONOURED, SETTINGS\n"
        "print(json.dumps([[name, 'yes' if name in HONOURED else 'no', meant] for name, meant in SETTINGS.items()]))"
    )
    rows = table(sections(PAGE, "##")["Settings"], "setting")
    said = [[row[0].split("`")[1].removeprefix("METAFLOW_"), row[2], row[3]] for row in rows]
    known = asked(flows, program)
    assert isinstance(known, list)
    assert sorted(said) == sorted(known)


def test_no_setting_of_metaflow_s_own_is_forgotten(flows: Flows) -> None:
    """Asked of Metaflow itself: of its configuration, and of every module that reads a variable of conda."""
    program = (
        "import re\nfrom pathlib import Path\nfolder = Path(metaflow.__file__).parent\n"
        "texts = [p.read_text() for p in (folder / 'metaflow_config.py', *(folder / 'plugins').rglob('*.py'))]\n"
        "names = {n for t in texts for n in re.findall(r'from_conf\\(\\s*[\"\\']([A-Z0-9_]*CONDA[A-Z0-9_]*)', t)}\n"
        "names |= {n for t in texts for n in re.findall(r'environ(?:\\.get\\(|\\[)\\s*[\"\\'](CONDA_[A-Z0-9_]*)', t)}\n"
        "from metaflow.metaflow_config import DEBUG_OPTIONS\n"
        "names |= {'DEBUG_CONDA'} if 'conda' in DEBUG_OPTIONS else set()\n"
        "print(json.dumps(sorted(names)))"
    )
    names = asked(flows, program)
    assert isinstance(names, list)
    assert {"CONDA_PACKAGE_S3ROOT", "CONDA_DEPENDENCY_RESOLVER", "DEBUG_CONDA"} <= set(names)
    words = set(re.findall(r"[A-Z][A-Z0-9_]+", PAGE))
    assert {name for name in names if name not in words and f"METAFLOW_{name}" not in words} == set()


def test_a_setting_that_does_nothing_is_told_with_what_it_becomes(flows: Flows) -> None:
    flows.environ["METAFLOW_CONDA_S3ROOT"] = "s3://bucket/conda_env"
    configured(flows, CONDA_MIXED_DEPENDENCY_RESOLVER="conda-lock")
    flows.write(ONE).run()
    flows.says(
        "note: METAFLOW_CONDA_S3ROOT has no effect with envbuild; what it becomes: stores",
        "note: METAFLOW_CONDA_MIXED_DEPENDENCY_RESOLVER has no effect with envbuild",
    )
    assert flows.out.count("has no effect") == 2


@pytest.mark.parametrize("name", ["CONDA_DEFAULT_PIP_SOURCE", "CONDA_DEFAULT_PYPI_SOURCE"])
def test_the_index_of_the_extension_is_asked(name: str, flows: Flows, index: Server) -> None:
    flows.environ[f"METAFLOW_{name}"] = flows.environ.pop("ENVBUILD_INDEX_URL")
    flows.write(ONE).run()
    assert flows.printed("start", "toy") == "1.0"
    assert index.requests


@pytest.mark.parametrize("where", ["variable", "configuration"])
def test_credentials_of_the_extension_are_sent_to_their_host_and_shown_nowhere(
    where: str, flows: Flows, index: Server
) -> None:
    index.sign_in = {"Basic " + base64.b64encode(b"reader:s3cret-word").decode()}
    info = {"127.0.0.1": ["reader", "s3cret-word"]}
    if where == "variable":
        flows.environ["METAFLOW_CONDA_SRCS_AUTH_INFO"] = json.dumps(info)
    else:
        configured(flows, CONDA_SRCS_AUTH_INFO=info)
    flows.write(ONE).run()
    assert flows.printed("start", "toy") == "1.0"
    assert "s3cret" not in flows.out
    kept = [path for path in flows.project.rglob("*") if path.is_file()]
    assert not [path for path in kept if b"s3cret" in path.read_bytes()]


def test_without_credentials_the_same_index_refuses(flows: Flows, index: Server) -> None:
    index.sign_in = {"Basic " + base64.b64encode(b"reader:s3cret-word").decode()}
    flows.environ["METAFLOW_CONDA_SRCS_AUTH_INFO"] = '{"elsewhere.example.org": ["reader", "s3cret-word"]}'
    flows.write(ONE).run(code=5)


def test_the_user_s_own_netrc_comes_first_and_its_other_hosts_stay(flows: Flows, index: Server) -> None:
    index.sign_in = {"Basic " + base64.b64encode(b"own:word").decode()}
    netrc = Path(flows.environ["NETRC"])
    netrc.write_text("machine 127.0.0.1 login own password word\n")
    netrc.chmod(0o600)
    for host in ("127.0.0.1", "elsewhere.example.org"):
        flows.environ["METAFLOW_CONDA_SRCS_AUTH_INFO"] = json.dumps({host: ["reader", "s3cret-word"]})
        flows.environ["ENVBUILD_HOME"] += "-"
        flows.write(ONE).run()
        assert flows.printed("start", "toy") == "1.0"


@pytest.mark.parametrize(
    "text", ["s3cret-word", '{"a.example.org": "s3cret"}', '{"a.example.org": ["me", "s3cret word"]}']
)
def test_credentials_that_cannot_be_read_are_an_error_without_them(text: str, flows: Flows) -> None:
    flows.environ["METAFLOW_CONDA_SRCS_AUTH_INFO"] = text
    flows.write(ONE).run(code=3)
    flows.says("error[bad-settings]: METAFLOW_CONDA_SRCS_AUTH_INFO")
    assert "s3cret" not in flows.out


def test_what_holds_credentials_goes_with_the_process(flows: Flows, tmp_path: Path) -> None:
    flows.environ["TMPDIR"] = str(tmp_path / "scratch")
    Path(flows.environ["TMPDIR"]).mkdir()
    flows.environ["METAFLOW_CONDA_SRCS_AUTH_INFO"] = '{"a.example.org": ["reader", "s3cret-word"]}'
    flows.write(ONE).run()
    places = (Path(flows.environ["TMPDIR"]), flows.home / "tmp")
    assert not [
        path for place in places for path in place.rglob("*") if path.is_file() and b"s3cret" in path.read_bytes()
    ]


def test_credentials_do_not_get_into_specifications_of_remote_tasks(flows: Flows) -> None:
    """Metaflow hands on what its ``from_conf`` has read of such names; envbuild reads them otherwise."""
    flows.environ["METAFLOW_CONDA_SRCS_AUTH_INFO"] = '{"a.example.org": ["reader", "s3cret-word"]}'
    program = (
        "from envbuild.metaflow import settings\nlist(settings.unheeded()), settings.environ()\n"
        "from metaflow.metaflow_config_funcs import config_values\nprint(json.dumps(dict(config_values())))"
    )
    assert "s3cret" not in json.dumps(asked(flows, program))


def test_each_setting_that_counts_is_a_default_that_envbuild_s_own_overrides(flows: Flows) -> None:
    flows.environ.pop("ENVBUILD_INDEX_URL")
    assert flags(flows) == {"reuse-latest": "mine"}
    flows.environ |= {
        "METAFLOW_CONDA_DEFAULT_PYPI_SOURCE": "https://pypi.example.org/simple",
        "METAFLOW_CONDA_PREFERRED_FORMAT": ".tar.bz2",
        "METAFLOW_CONDA_LOCK_TIMEOUT": "77",
        "METAFLOW_CONDA_USE_REMOTE_LATEST": ":any:",
    }
    assert flags(flows) == {
        "index-url": "https://pypi.example.org/simple",
        "conda-format": ".tar.bz2",
        "lock-timeout": "77",
        "reuse-latest": "any",
    }
    for word, meant in ((":none:", "none"), (":username:", "mine"), ("ann,bob", "ann,bob")):
        flows.environ["METAFLOW_CONDA_USE_REMOTE_LATEST"] = word
        assert flags(flows)["reuse-latest"] == meant
    flows.environ |= {"ENVBUILD_INDEX_URL": "https://own.example.org/simple", "ENVBUILD_LOCK_TIMEOUT": "5"}
    flows.configure("interpreter: host\nreuse-latest: none\nconda-format: keep\n")
    assert flags(flows) == {}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CONDA_LOCK_TIMEOUT", "soon"),
        ("CONDA_PREFERRED_FORMAT", "zip"),
        ("CONDA_DEFAULT_PYPI_SOURCE", "no address"),
        ("CONDA_REMOTE_COMMANDS", "batch"),
    ],
)
def test_a_value_that_means_nothing_is_an_error_that_names_the_setting(name: str, value: str, flows: Flows) -> None:
    flows.environ.pop("ENVBUILD_INDEX_URL")
    flows.environ[f"METAFLOW_{name}"] = value
    flows.write(ONE).command("--environment=envbuild", "--no-pylint", "run", code=2 if "REMOTE" not in name else 3)
    flows.says(f"METAFLOW_{name}")


def test_decorators_that_the_extension_calls_remote_are_remote(flows: Flows) -> None:
    program = "from envbuild.metaflow import settings\nprint(json.dumps(settings.remote(['batch'])))"
    assert asked(flows, program) == ["batch"]
    flows.environ["METAFLOW_CONDA_REMOTE_COMMANDS"] = '["batch", "kubernetes", "titus"]'
    assert asked(flows, program) == ["batch", "kubernetes", "titus"]
    flows.environ["METAFLOW_ENVBUILD_REMOTE"] = '["batch"]'
    assert asked(flows, program) == ["batch"]


# conda's own settings


@pytest.fixture
def condarc(flows: Flows, channel: TestChannel) -> Callable[[str], Flows]:
    """Writes a user's ``.condarc``; no channel is configured otherwise."""
    if not any(version.startswith(f"{SERIES}.") for version in channel.pythons):
        pytest.skip(f"NO CONDA PYTHON {SERIES}: no self-contained one is on this machine to make a package from")

    def write(text: str) -> Flows:
        Path(flows.environ["HOME"], ".condarc").write_text(text)
        return flows.configure("")

    return write


def test_channels_of_condarc_are_those_of_flows_that_name_none(
    condarc: Callable[[str], Flows], channel: TestChannel
) -> None:
    flows = condarc(f"channels:\n  - {need_channel().as_uri()}\n  - {channel.url}\n  - defaults\n")
    flows.write(CONDA).run(environment="conda")
    assert flows.printed("start", "greet") == "1.0"
    flows.says("note: the channel `defaults` of .condarc is left out")
    assert channel.url in flows.generated("start").read_text()


def test_an_alias_and_places_of_channels_stand_in_no_lock(
    condarc: Callable[[str], Flows], channel: TestChannel, tmp_path: Path
) -> None:
    (tmp_path / "alias").mkdir()
    (tmp_path / "alias" / "needs").symlink_to(need_channel())
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "toys").symlink_to(channel.folder)
    flows = condarc(
        f"channels: [needs, toys]\nchannel_alias: {(tmp_path / 'alias').as_uri()}\n"
        f"custom_channels: {{toys: '{(tmp_path / 'other').as_uri()}'}}\n"
    )
    flows.write(CONDA).run(environment="conda")
    assert flows.printed("start", "greet") == "1.0"
    assert "channels: [needs, toys]" in flows.generated("start").read_text()
    lock = flows.generated("start").with_suffix(".lock.yaml").read_text()
    assert "other" not in lock


def test_channels_of_the_configuration_and_of_metaflow_come_before_those_of_condarc(
    condarc: Callable[[str], Flows], channel: TestChannel
) -> None:
    flows = condarc("channels: [nowhere]\n")
    flows.environ["CONDA_CHANNELS"] = f"{need_channel().as_uri()},{channel.url}"
    flows.write(CONDA).run(environment="conda")
    assert flows.printed("start", "greet") == "1.0"
    assert "nowhere" not in flows.generated("start").read_text()


def test_variables_in_condarc_are_filled_in_as_conda_does(
    condarc: Callable[[str], Flows], channel: TestChannel
) -> None:
    flows = condarc(f"channels: ['{need_channel().as_uri()}', '${{TEAM_ROOT}}/{channel.folder.name}']\n")
    flows.environ["TEAM_ROOT"] = channel.folder.parent.as_uri()
    flows.write(CONDA).run(environment="conda")
    assert flows.printed("start", "greet") == "1.0"
    assert channel.url in flows.generated("start").read_text()


def test_a_condarc_that_is_no_yaml_is_an_error_with_its_place(condarc: Callable[[str], Flows]) -> None:
    condarc("channels: [a\n").write(CONDA).run(environment="conda", code=3)


def test_the_files_of_the_page_are_those_that_are_read(flows: Flows, tmp_path: Path) -> None:
    named = re.findall(r"`(?:CONDARC|[~/][^`]*condarc)`", PAGE[PAGE.index("`.condarc` is read from") :])
    assert len(named) == 5
    program = (
        "from envbuild.metaflow.condarc import _files\n"
        "print(json.dumps(list(map(str, _files({'CONDARC': 'CONDARC', 'HOME': '~'})))))"
    )
    assert asked(flows, program) == [name.strip("`") for name in named]
