"""``policy:`` of configuration files: read with its place, and what several files say adds up."""

from __future__ import annotations

from pathlib import Path

import pytest

from envbuild.errors import InvalidInput
from envbuild.policy import Licenses, Policy
from envbuild.projects.config import Config, load_config


def loaded(tmp_path: Path, project: str, user: str = "", environ: dict[str, str] | None = None) -> Config:
    (tmp_path / "user" / "envbuild").mkdir(parents=True)
    (tmp_path / "user" / "envbuild" / "config.yaml").write_text(user)
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "envbuild.yaml").write_text(project)
    return load_config(tmp_path / "project", {"XDG_CONFIG_HOME": str(tmp_path / "user"), **(environ or {})})


WHOLE = """\
policy:
  channels: [conda-forge, "https://conda.example.org/team/"]
  indices: [default, "https://pypi.example.org/simple"]
  licenses: {deny: [AGPL-3.0-only], unknown: deny}
  forbidden: ["openssl<3.0.8", log4j]
  max-size: 1.5GB
  min-age: 7d
  source-builds: [legacy]
  signed-base: true
  except: {min-age: ["team-*"]}
"""


def test_all_of_a_policy_is_read(tmp_path: Path) -> None:
    policy = loaded(tmp_path, WHOLE).policy
    assert policy.channels == ("conda-forge", "https://conda.example.org/team")
    assert policy.indices == ("default", "https://pypi.example.org/simple")
    assert policy.licenses == Licenses(deny=("AGPL-3.0-only",), unknown="deny")
    assert [item.text for item in policy.forbidden] == ["openssl<3.0.8", "log4j"]
    assert policy.forbidden[1].where is not None
    assert policy.forbidden[1].where.line == 5
    assert (policy.max_size, policy.min_age, policy.source_builds) == (1_500_000_000, "7d", ("legacy",))
    assert policy.signed_base
    assert policy.excepted("min-age", "team-tools")
    assert not policy.excepted("licenses", "team-tools")


def test_no_policy_forbids_nothing(tmp_path: Path) -> None:
    config = loaded(tmp_path, "policy:\n")
    assert config.policy == Policy()
    assert not config.policy.rules


def test_what_files_and_the_variable_say_adds_up(tmp_path: Path) -> None:
    user = "policy:\n  channels: [conda-forge, extra]\n  min-age: 2w\n  max-size: 1GB\n  licenses: [MIT, PSF-2.0]\n"
    policy = loaded(
        tmp_path,
        "policy: {channels: [extra, other], min-age: 7d, max-size: 5GB, source-builds: false}\n",
        user,
        {"ENVBUILD_POLICY": "{licenses: {allow: [MIT], unknown: deny}, source-builds: true}"},
    ).policy
    assert policy.channels == ("extra",)
    assert (policy.min_age, policy.max_size, policy.source_builds) == ("2w", 1_000_000_000, ())
    assert policy.licenses == Licenses(allow=("MIT",), unknown="deny")


def test_a_project_makes_no_exception_from_what_its_reader_wants(tmp_path: Path) -> None:
    user = "policy: {min-age: 7d, except: {min-age: [ours-*]}}\n"
    project = "policy: {min-age: 1d, source-builds: false, except: {min-age: ['*'], source-builds: [legacy]}}\n"
    policy = loaded(tmp_path, project, user).policy
    assert not policy.excepted("min-age", "anything")
    assert not policy.excepted("min-age", "ours-tools")
    assert policy.excepted("source-builds", "legacy")


@pytest.mark.parametrize(
    ("text", "reference", "line"),
    [
        ("policy:\n  max-size: big\n", "bad-value", 1),
        ("policy:\n  min-age: 2026-01-01\n", "bad-time", 1),
        ("policy:\n  forbidden: ['; rm -rf /']\n", "bad-package", 1),
        ("policy:\n  indices: [pytorch]\n", "bad-value", 1),
        ("policy:\n  chanels: [conda-forge]\n", "unknown-key", 2),
        ("policy:\n  licenses: {unknown: perhaps}\n", "bad-value", 2),
        ("policy:\n  except: {max-size: [x]}\n", "unknown-key", 2),
        ("policy: strict\n", "bad-type", 1),
    ],
)
def test_what_is_no_policy_is_refused_at_its_place(tmp_path: Path, text: str, reference: str, line: int) -> None:
    with pytest.raises(InvalidInput) as caught:
        loaded(tmp_path, text)
    (issue, *_) = caught.value.all_issues()
    assert issue.reference == reference
    assert issue.where is not None
    assert str(issue.where.file).endswith("envbuild.yaml")
    assert issue.where.line >= line
