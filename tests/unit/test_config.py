"""Configuration: five places, one value, and who may say what."""

from __future__ import annotations

import base64
import os
from pathlib import Path

import click
import pytest

from envbuild.errors import InvalidInput, UsageError
from envbuild.projects import config_files
from envbuild.projects.config import KEYS, Config, StoreAddress, load_config
from envbuild.projects.config_files import find_root
from envbuild.projects.settings import READERS
from envbuild.reading.schema import load_schema


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    monkeypatch.setattr(config_files, "SYSTEM_FILE", tmp_path / "etc" / "config.yaml")
    files = {
        "system": tmp_path / "etc" / "config.yaml",
        "user": tmp_path / "xdg" / "envbuild" / "config.yaml",
        "project": tmp_path / "work" / "envbuild.yaml",
    }
    for file in files.values():
        file.parent.mkdir(parents=True)
    return files


def load(places: dict[str, Path], environ: dict[str, str] | None = None, flags: dict[str, str] | None = None) -> Config:
    whole = {"XDG_CONFIG_HOME": str(places["user"].parents[1]), **(environ or {})}
    return load_config(places["project"].parent, whole, flags)


def told(places: dict[str, Path]) -> list[str]:
    with pytest.raises(InvalidInput) as caught:
        load(places)
    return [f"{issue.reference}: {issue.message}" for issue in caught.value.all_issues()]


def test_nothing_is_needed(places: dict[str, Path]) -> None:
    config = load(places)
    assert config == Config()
    assert config.files == tuple(places.values())
    assert config.read == ()
    assert config.origin("jobs") == "default"
    assert load_config(places["project"].parent, {}).files == (places["system"], places["project"])


def test_every_key_has_a_schema_a_reader_and_a_field() -> None:
    assert set(KEYS) == set(READERS) == set(load_schema("config")["properties"])


def test_nearer_places_win_and_each_value_knows_its_origin(places: dict[str, Path]) -> None:
    places["system"].write_text("jobs: 1\nlink: copy\nchannels: [a]\ninterpreter: host\nrecipes: s/\n")
    places["user"].write_text("jobs: 2\nchannels: [b]\ninterpreter: managed\nrecipes: u/\n")
    places["project"].write_text("# ours\nchannels: [c]\ninterpreter: conda\nrecipes: p/\n")
    config = load(places, {"ENVBUILD_INTERPRETER": "host", "ENVBUILD_RECIPES": "e/"}, {"recipes": "f/"})
    assert (config.link, config.jobs, config.channels) == ("copy", 2, ("c",))
    assert (config.interpreter, config.recipes) == ("host", "f/")
    assert config.origin("link") == f"{places['system']}:2"
    assert config.origin("jobs") == f"{places['user']}:1"
    assert config.origin("channels") == f"{places['project']}:2"
    assert config.origin("interpreter") == "ENVBUILD_INTERPRETER"
    assert config.origin("recipes") == "--recipes"
    assert config.read == tuple(places.values())


def test_a_project_is_found_upwards(places: dict[str, Path]) -> None:
    places["project"].write_text("python: 3.12\n")
    deep = places["project"].parent / "a" / "b"
    deep.mkdir(parents=True)
    assert find_root(deep) == places["project"].parent
    assert load_config(deep, {}).python == "3.12.*"


def test_a_file_of_comments_says_nothing(places: dict[str, Path]) -> None:
    places["project"].write_text("# channels: [conda-forge]\n")
    assert load(places).channels is None


def test_all_that_files_may_say(places: dict[str, Path]) -> None:
    places["user"].write_text(
        "mirrors: {'https://a/': [https://u:p@b/, https://c/], 'https://d/': https://e/}\nchannel-alias: https://x/\n"
        "allow-outside-paths: true\nlock-timeout: 0\ndurability: fast\ntrusted-hosts: [h]\nindex-url: https://u:p@i/\n"
        "trusted: [s3://b]\n"
    )
    places["project"].write_text(
        "platforms: [linux-64]\nstores: [{name: team, url: 's3://bucket/x', mode: read-only}, ./folder]\npython: 3.11\n"
        "exclude-newer: 7d\nsystem: {__glibc: 2.31}\nreuse-latest: [ann, bob]\nexecutor: dask://h:8786\n"
        "trust: {mode: signed}\nconda-format: keep\n"
    )
    config = load(places)
    assert config.mirrors == (("https://a/", ("https://u:p@b/", "https://c/")), ("https://d/", ("https://e/",)))
    assert (config.allow_outside_paths, config.lock_timeout, config.durability) == (True, 0, "fast")
    assert config.stores == (
        StoreAddress(name="team", url="s3://bucket/x", mode="read-only"),
        StoreAddress(name="./folder", url="./folder"),
    )
    assert (config.trust.mode, config.reuse_latest, config.system) == ("signed", ("ann", "bob"), (("__glibc", "2.31"),))
    shown = str(config.entries())
    assert "u:p" not in shown
    assert "https://***@b/" in shown


@pytest.mark.parametrize(
    "line",
    [
        "mirrors: {'https://a/': 'https://b/'}",
        "channel-alias: https://x/",
        "index-url: https://x/",
        "trusted-hosts: [h]",
        "trusted: [s3://evil]",
        "allow-outside-paths: true",
        "jobs: 3",
        "durability: fast",
        "lock-timeout: 1",
        "link: copy",
    ],
)
def test_a_project_may_not_say_what_protects_its_reader(places: dict[str, Path], line: str) -> None:
    places["project"].write_text(f"channels: [c]\n{line}\n")
    key = line.split(":")[0]
    assert told(places) == [
        f"not-for-projects: `{key}` is configuration of a machine or user, never of a project",
    ]
    places["user"].write_text(line)
    places["project"].write_text("channels: [c]\n")
    assert load(places)


def test_a_project_may_tighten_trust_and_never_loosen_it(places: dict[str, Path]) -> None:
    places["user"].write_text("trust: {mode: signed}")
    places["project"].write_text("trust: {mode: hash}")
    assert told(places) == ["not-for-projects: a project may not loosen trust from signed to hash"]
    places["project"].write_text("trust: {mode: strict}")
    assert load(places).trust.mode == "strict"
    assert load(places, {"ENVBUILD_TRUST_MODE": "hash"}).trust.mode == "hash"
    places["project"].write_text("trust: strict\n")
    assert load(places).trust.mode == "strict"


CI, ANN = (f"ed25519:{base64.b64encode(bytes([number]) * 32).decode()}" for number in (1, 2))


@pytest.mark.parametrize(
    ("line", "where", "message"),
    [
        (f"trust: {{keys: {{evil: '{CI}'}}}}", "1:9", "a project may not say whose signatures count"),
        (
            "trust:\n  scopes:\n    results/**: {keys: [ci]}",
            "3:18",
            "a project may not say whose signatures count",
        ),
        ("trust: {threshold: 1}", "1:9", "a project may not loosen the signatures that are wanted from 2 to 1"),
        (
            "trust:\n  scopes:\n    names/prod/**: {threshold: 2}",
            "3:5",
            "a project may not loosen the signatures for names/prod/** from 3 to 2",
        ),
        ("trust: signed", "1:1", "a project may not loosen trust from strict to signed"),
        ("signing-key: mine", "1:1", "`signing-key` is configuration of a machine or user, never of a project"),
    ],
)
def test_H66_a_project_that_loosens_trust_is_an_error_at_its_line(
    places: dict[str, Path], line: str, where: str, message: str
) -> None:
    places["user"].write_text(
        f"trust: {{mode: strict, threshold: 2, keys: {{ci: '{CI}'}}, scopes: {{'names/prod/**': {{threshold: 3}}}}}}"
    )
    places["project"].write_text(line)
    with pytest.raises(InvalidInput) as caught:
        load(places)
    assert (caught.value.reference, caught.value.message) == ("not-for-projects", message)
    assert str(caught.value.where) == f"{places['project']}:{where}"


def test_H66_more_signatures_are_what_a_project_may_want_and_its_patterns_loosen_nothing(
    places: dict[str, Path],
) -> None:
    places["user"].write_text(f"trust: {{threshold: 2, keys: {{ci: '{CI}', ann: '{ANN}'}}}}")
    places["project"].write_text(
        "trust: {mode: signed, threshold: 3, scopes: {'names/**/x:*': {}, 'results/*': {threshold: 4}}}"
    )
    trust = load(places).trust
    assert trust.mode == "signed"
    assert [key.name for key in trust.keys] == ["ann", "ci"]
    wanted = {
        subject: trust.wanted(subject, 0).threshold for subject in ("names/x:stable", "results/solve", "requests/me")
    }
    assert wanted == {"names/x:stable": 3, "results/solve": 4, "requests/me": 3}


def test_keys_of_system_user_and_variable_are_joined_by_name(places: dict[str, Path]) -> None:
    places["system"].write_text(f"trust: {{mode: signed, keys: {{ci: '{CI}'}}}}")
    places["user"].write_text(f"trust: {{keys: {{ann: {{public: '{ANN}', not-after: 2027-12-31}}}}}}")
    assert str(load(places).trust) == ("signed, ann 75877bb41d39 until 2028-01-01T00:00:00Z, ci 72cd6e8422c4")
    loaded = load(places, {"ENVBUILD_TRUST_MODE": f"{{keys: {{ci: '{ANN}'}}, threshold: 2}}"}).trust
    assert (loaded.mode, loaded.threshold, [str(key.public) for key in loaded.keys]) == ("signed", 2, [ANN, ANN])


@pytest.mark.parametrize(
    ("line", "reference"),
    [
        ("trust: loose", "bad-value"),
        ("trust: [signed]", "bad-type"),
        ("trust: {threshold: 0}", "bad-value"),
        ("trust: {threshold: many}", "bad-value"),
        ("trust: {keys: {ci: ''}}", "bad-key"),
        ("trust: {keys: {ci: 'ed25519:AAAA'}}", "bad-key"),
        (f"trust: {{keys: {{ci: '{CI} '}}, scopes: {{anything: {{}}}}}}", "bad-value"),
        (f"trust: {{keys: {{ci: '{CI.replace('ed25519', 'rsa')}'}}}}", "bad-key"),
        (f"trust: {{keys: {{'c i': '{CI}'}}}}", "bad-key"),
        (f"trust: {{keys: {{ci: {{public: '{CI}', not-after: 7d}}}}}}", "bad-time"),
        (f"trust: {{keys: {{ci: {{public: '{CI}', not-after: soon}}}}}}", "bad-time"),
        ("trust: {keys: {ci: {not-after: 2027-01-01}}}", "missing-key"),
        ("signing-key: |\n  -----BEGIN PRIVATE KEY-----\n  SENTINEL", "bad-value"),
        ("signing-key: s3://bucket/key", "bad-value"),
    ],
)
def test_wrong_words_about_trust_are_refused(places: dict[str, Path], line: str, reference: str) -> None:
    places["user"].write_text(line)
    (found,) = told(places)
    assert found.startswith(f"{reference}: ")
    assert "SENTINEL" not in found


def test_a_project_may_say_what_clobbers_are_but_not_loosen_its_reader_s_deny(places: dict[str, Path]) -> None:
    assert load(places).clobber is None
    places["project"].write_text("clobber: warn")
    assert load(places).clobber == "warn"
    places["user"].write_text("clobber: deny")
    assert told(places) == ["not-for-projects: a project may not loosen clobber from deny to warn"]
    places["project"].write_text("clobber: deny")
    assert load(places, {"ENVBUILD_CLOBBER": "warn"}).clobber == "warn"
    places["project"].write_text("clobber: perhaps")
    assert told(places)


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("store: x", "unknown-key"),
        ("stores: 's3:/x'", "bad-type"),
        ("stores: ['s3:/x']", "bad-url"),
        ("stores: ['s3://']", "bad-url"),
        ("stores: ['file::s3://x']", "bad-url"),
        ("stores: ['simplecache::s3://x']", "bad-url"),
        ("stores: ['memory://x']", "bad-url"),
        ("stores: [{name: x}]", "missing-key"),
        ("stores: [{url: ./x, mode: write}]", "bad-value"),
        ("stores: [{url: ./x}, ./x]", "duplicate-key"),
        ("executor: exec://x", "bad-value"),
        ("executor: dask://h;id", "bad-value"),
        ("executor: dask://[::1]:x", "bad-value"),
        ("executor: dask://h:99999", "bad-value"),
        ('executor: "dask://::1:8786"', "bad-value"),
        ("platforms: linux-64", "bad-type"),
        ("channels: ['https://u:p@h/']", "secret-in-url"),
        ("channels: [../x]", "bad-path"),
        ("python: x", "bad-version"),
        ("exclude-newer: x", "bad-time"),
        ("system: {x: 1}", "bad-name"),
        ("[a]", "bad-type"),
        ("a: [", "bad-syntax"),
        ("<<<<<<< HEAD\na: 1\n", "merge-conflict"),
    ],
)
def test_wrong_files_are_refused(places: dict[str, Path], text: str, reference: str) -> None:
    places["project"].write_text(text)
    assert [line.split(": ")[0] for line in told(places)] == [reference]


@pytest.mark.parametrize(
    "text", ["jobs: -1", "jobs: many", "jobs: 0", "lock-timeout: 1.5", "index-url: x", "link: soft"]
)
def test_wrong_user_settings_are_refused(places: dict[str, Path], text: str) -> None:
    places["user"].write_text(text)
    assert told(places)[0].split(": ")[0] in {"bad-value", "bad-url"}


def test_findings_of_a_file_come_at_once(places: dict[str, Path]) -> None:
    places["project"].write_text("python: x\nexecutor: y\nstores: ['z::']\n")
    assert [line.split(": ")[0] for line in told(places)] == ["bad-version", "bad-value", "bad-url"]


@pytest.mark.parametrize("which", ["user", "system"])
def test_a_file_that_everybody_may_write_is_not_believed(places: dict[str, Path], which: str) -> None:
    places[which].write_text("jobs: 1\n")
    places[which].chmod(0o666)
    assert told(places) == [f"unsafe-file: everybody may write into {places[which]}"]
    places[which].chmod(0o644)
    places[which].parent.chmod(0o777)
    assert told(places) == [f"unsafe-file: everybody may write into {places[which].parent}"]
    places[which].parent.chmod(0o755)
    assert load(places).jobs == 1


def test_a_file_of_somebody_else_is_not_believed(places: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    for which in ("user", "project"):
        places[which].write_text("python: 3.11\n")
    monkeypatch.setattr(os, "geteuid", lambda: 4242)
    if places["user"].stat().st_uid == 0:  # root is believed: pretend that the files are somebody else's
        if os.getuid() != 0:
            pytest.skip("the files belong to root, and this test may not give them away")
        os.chown(places["user"], 77, 77)
    assert told(places) == [f"unsafe-file: {places['user']} belongs to user {places['user'].stat().st_uid}, not to you"]
    places["user"].unlink()
    assert load(places).python == "3.11.*"  # the project's folder belongs to the one who wrote its file


def test_a_planted_project_file_above_ones_own_folder_is_not_believed(places: dict[str, Path]) -> None:
    if os.getuid() != 0:
        pytest.skip("only root may give files away")
    places["project"].write_text("channels: [evil]\n")
    mine = places["project"].parent / "mine"
    mine.mkdir()
    os.chown(places["project"], 77, 77)
    with pytest.raises(InvalidInput, match="belongs to user 77"):
        load_config(mine, {})


def test_a_pipe_is_no_file(places: dict[str, Path]) -> None:
    os.mkfifo(places["user"])
    assert told(places) == [f"unsafe-file: {places['user']} is not a file"]


def test_variables_of_every_type(places: dict[str, Path]) -> None:
    config = load(
        places,
        {
            "ENVBUILD_JOBS": "4",
            "ENVBUILD_PLATFORMS": "linux-64,osx-arm64",
            "ENVBUILD_CHANNELS": "[a, b]",
            "ENVBUILD_SYSTEM": "{__glibc: 2.31}",
            "ENVBUILD_STORES": "s3://a/b ./c",
            "ENVBUILD_ALLOW_OUTSIDE_PATHS": "1",
            "ENVBUILD_TRUST": "s3://a/b",
            "ENVBUILD_REUSE_LATEST": "mine",
            "ENVBUILD_PYTHON": "3.10",
            "ENVBUILD_MIRRORS": "{'https://a/': [https://b/]}",
            "ENVBUILD_LINK": "",
        },
    )
    assert (config.jobs, config.platforms, config.channels) == (4, ("linux-64", "osx-arm64"), ("a", "b"))
    assert config.system == (("__glibc", "2.31"),)
    assert [store.url for store in config.stores] == ["s3://a/b", "./c"]
    assert (config.allow_outside_paths, config.trusted, config.reuse_latest) == (True, ("s3://a/b",), ("mine",))
    assert (config.python, config.mirrors) == ("3.10.*", (("https://a/", ("https://b/",)),))
    assert config.link == "auto"
    assert config.warnings == ()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("JOBS", "many"),
        ("JOBS", "-1"),
        ("JOBS", "0"),
        ("LOCK_TIMEOUT", "1.5"),
        ("LOCK_TIMEOUT", "999999999"),
        ("LINK", "soft"),
        ("PLATFORMS", "linux-32"),
        ("SYSTEM", "{a"),
        ("ALLOW_OUTSIDE_PATHS", "perhaps"),
        ("TRUST_MODE", "none"),
    ],
)
def test_wrong_variables_are_usage_errors(places: dict[str, Path], name: str, value: str) -> None:
    with pytest.raises(UsageError) as caught:
        load(places, {f"ENVBUILD_{name}": value})
    assert caught.value.exit_code == 2
    assert caught.value.message.startswith(f"ENVBUILD_{name}: ")
    with pytest.raises(UsageError):
        load(places, flags={"trust" if name == "TRUST_MODE" else name.lower().replace("_", "-"): value})


def test_a_setting_that_is_not_there_is_a_usage_error(places: dict[str, Path]) -> None:
    with pytest.raises(UsageError) as caught:
        load(places, flags={"job": "1"})
    assert (caught.value.message, caught.value.hint) == ("there is no setting 'job'", "did you mean `jobs`?")


def test_a_slip_in_a_variables_name_is_a_warning(places: dict[str, Path]) -> None:
    config = load(places, {"ENVBUILD_JOB": "1", "ENVBUILD_OFFLINE": "1", "ENVBUILD_HOME": "/x", "JOBS": "x"})
    assert config.warnings == ("the variable ENVBUILD_JOB is not known to envbuild; did you mean `ENVBUILD_JOBS`?",)


def test_every_flags_variable_is_known(places: dict[str, Path]) -> None:
    from envbuild.cli.main import LazyGroup

    group = LazyGroup()
    names = {
        str(parameter.envvar)
        for name in group.list_commands(click.Context(group))
        if (command := group.get_command(click.Context(group), name)) is not None
        for parameter in command.params
        if parameter.envvar
    }
    assert "ENVBUILD_OFFLINE" in names
    assert load(places, dict.fromkeys(names - {"ENVBUILD_JOBS", "ENVBUILD_EXECUTOR"}, "1")).warnings == ()


@pytest.mark.parametrize("value", ["''", "[]", "', '", "[none, ann]", "none mine"])
def test_users_whose_locks_are_taken_are_named(places: dict[str, Path], value: str) -> None:
    places["user"].write_text(f"reuse-latest: {value}\n", encoding="utf-8")
    with pytest.raises(InvalidInput) as caught:
        load(places)
    assert caught.value.issues[0].reference == "bad-value"
    assert "[ann, ben]" in (caught.value.issues[0].hint or "")


@pytest.mark.parametrize(
    "line",
    [
        "reuse-latest: any",
        "stores: [{name: team, url: 's3://bucket/x', mode: read-write}]",
        "trust: {mode: strict}",
        "conda-format: keep",
        "link: copy",
        "executor: dask://there:8786",
    ],
)
def test_a_setting_that_is_acted_upon_is_nothing_to_warn_of(places: dict[str, Path], line: str) -> None:
    places["user"].write_text(line + "\n", encoding="utf-8")
    assert load(places).warnings == ()
