"""The pages against the code: what exists is written down, and what is written down exists."""

from __future__ import annotations

import importlib
import importlib.util
import json
import re
from pathlib import Path

import click
import pytest

from envbuild import errors
from envbuild.cli.main import COMMANDS, LazyGroup, cli
from envbuild.errors import EnvbuildError, InvalidInput
from envbuild.machine.home import Home
from envbuild.machine.virtual import DEFAULTS
from envbuild.projects.config import FLAG_VARIABLES, KEYS, Config, load_config, shown
from envbuild.projects.project import find_project, make_request
from tests.docs.pages import CHECKOUT, DOCS, PAGES, Block, blocks, code, command_lines, read, sections, table
from tests.support.channel import TestChannel
from tests.support.servers import Server

COMMANDS_PAGE, RECIPES_PAGE, CONFIGURATION_PAGE = map(read, ("commands.md", "recipes.md", "configuration.md"))


def command(name: str) -> click.Command:
    assert isinstance(cli, LazyGroup)
    found = cli.get_command(click.Context(cli), name)
    assert found is not None
    return found


def documented() -> dict[str, click.Command]:
    """Every command by the name of its section: groups by their commands."""
    found: dict[str, click.Command] = {}
    for name in COMMANDS:
        item = command(name)
        if isinstance(item, click.Group):
            found |= {f"{name} {inner}": each for inner, each in item.commands.items()}
        elif item.name == name and not item.hidden:
            found[name] = item
    return found


def flags(item: click.Command) -> set[str]:
    return {word for option in item.params if isinstance(option, click.Option) for word in option.opts}


SECTIONS = {title.strip("`"): text for title, text in sections(COMMANDS_PAGE, "###").items()}


def test_every_command_has_its_section_and_every_section_its_command() -> None:
    assert {title for title in SECTIONS if title[0].islower()} == set(documented())


@pytest.mark.parametrize("name", documented())
def test_the_flags_of_a_command_are_those_of_its_section(name: str) -> None:

    named = {word for word in code(SECTIONS[name]) if re.fullmatch(r"--?[a-z][a-z-]*", word)}
    have = flags(documented()[name])
    short = {word for word in have if not word.startswith("--")}
    assert {word for word in have - short if word not in named} == set()
    assert named - have == set()


def test_flags_that_many_commands_have_exist() -> None:
    every = {word for item in documented().values() for word in flags(item)} | {"--help", "-h"}
    section = sections(COMMANDS_PAGE, "##")["Flags that many commands have"]
    named = [word for row in table(section, "flag") for word in code(row[0])]
    assert named
    assert set(named) <= every


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_line_that_a_page_shows_can_be_typed(page: Path) -> None:
    for words in command_lines(page.read_text(encoding="utf-8")):
        own = words[: words.index("--")] if "--" in words else words
        if not own or own[0].startswith("-"):
            assert set(own) <= {"--version", "--help", "-h"}
            continue
        assert own[0] in COMMANDS, words
        item = command(own[0])
        if isinstance(item, click.Group):
            assert own[1] in item.commands, words
            item = item.commands[own[1]]
        assert {word.split("=")[0] for word in own if word.startswith("-")} <= flags(item) | {"--help", "-h"}, words


def test_the_pages_show_command_lines_at_all() -> None:
    shown_lines = [words[0] for page in PAGES for words in command_lines(page.read_text(encoding="utf-8")) if words]
    hidden = {name for name in COMMANDS if command(name).hidden}
    assert set(COMMANDS) - hidden - {"realise", "show", "verify"} <= set(shown_lines)
    readme = command_lines((CHECKOUT / "README.md").read_text(encoding="utf-8"))
    assert {"init", "realize", "run", "add", "why"} <= {words[0] for words in readme}


def test_every_flag_has_a_variable_that_is_known() -> None:
    settings = {f"ENVBUILD_{key.upper().replace('-', '_')}" for key in KEYS}
    for name, item in documented().items():
        for option in item.params:
            if isinstance(option, click.Option):
                assert option.envvar in FLAG_VARIABLES | settings, f"{name} {option.opts}"


def test_the_exit_codes_are_those_of_the_errors() -> None:
    classes = [EnvbuildError, *EnvbuildError.__subclasses__()]
    expected = {str(item.exit_code): item.__name__ for item in classes} | dict.fromkeys(("0", "129", "130", "143"), "")
    rows = table(COMMANDS_PAGE, "code")
    assert {row[0]: row[1].strip("`") for row in rows} == expected
    assert len(rows) == len(expected)
    assert [int(row[0]) for row in rows] == sorted(int(row[0]) for row in rows)
    drawn = dict(re.findall(r"(\w+)\s+(\d+)  \S", errors.__doc__ or ""))
    assert drawn == {item.__name__: str(item.exit_code) for item in classes}


def test_the_home_s_folders_are_those_of_the_page() -> None:
    home = Home(path=Path("/"))
    folders = {home.store, home.cache, home.prefixes, home.roots, home.locks, home.stamps, home.names, home.scratch}
    folders |= {home.taken, home.sent, home.runs}
    assert {row[0].strip("`/") for row in table(COMMANDS_PAGE, "folder")} == {folder.name for folder in folders}


# Recipes


def recipe_keys(schema: dict[str, object]) -> set[str]:
    """Every key that the recipe's schema knows, platforms and definitions too."""
    found: set[str] = set()
    queue: list[object] = [schema]
    while queue:
        node = queue.pop()
        if isinstance(node, dict):
            properties = node.get("properties", {})
            assert isinstance(properties, dict)
            found |= set(properties)
            queue += [*properties.values(), *(value for key, value in node.items() if key != "properties")]
        elif isinstance(node, list):
            queue += node
    return found


def test_every_key_of_a_recipe_stands_on_its_page() -> None:
    schema = json.loads((CHECKOUT / "schemas" / "recipe.json").read_text(encoding="utf-8"))
    keys = recipe_keys(schema)
    examples = "\n".join(block.text for block in blocks(RECIPES_PAGE) if block.words[:1] == ("yaml",))
    shown_keys = set(re.findall(r"[{,\n]\s*([a-z0-9-]+):", "\n" + examples))
    named = set(code(RECIPES_PAGE)) | set(re.findall(r"[a-z0-9-]+(?=:)", "\n".join(code(RECIPES_PAGE))))
    assert keys - shown_keys - named == set()
    first = table(RECIPES_PAGE, "key")
    assert {word for row in first for word in code(row[0])} == set(schema["properties"])


def in_a_project(tmp_path: Path, text: str) -> Path:
    folder = tmp_path / "project" / "recipes"
    folder.mkdir(parents=True)
    (folder.parent / "envbuild.yaml").write_text("recipes: recipes/\n")
    (folder / "x.yaml").write_text(text, encoding="utf-8")
    return folder / "x.yaml"


RECIPE_BLOCKS = [
    block for page in PAGES for block in blocks(page.read_text("utf-8")) if block.words[1:2] == ("recipe",)
]
REFUSED_BLOCKS = [block for block in blocks(RECIPES_PAGE) if block.words[1:2] == ("refused",)]


@pytest.mark.parametrize("block", RECIPE_BLOCKS, ids=lambda block: f"line {block.line}")
def test_recipes_of_the_pages_are_accepted(tmp_path: Path, block: Block) -> None:
    path = in_a_project(tmp_path, block.text)
    request, _ = make_request(find_project(path, {}), path)
    assert request.platforms


@pytest.mark.parametrize("block", REFUSED_BLOCKS, ids=lambda block: block.words[2])
def test_recipes_that_are_refused_are_refused_so(tmp_path: Path, block: Block) -> None:
    path = in_a_project(tmp_path, block.text)
    with pytest.raises(InvalidInput) as caught:
        make_request(find_project(path, {}), path)
    assert block.words[2] in {issue.reference for issue in caught.value.all_issues()}


def test_there_are_recipes_to_check() -> None:
    assert len(RECIPE_BLOCKS) >= 7
    assert len(REFUSED_BLOCKS) >= 3


def test_the_recipes_of_the_checkout_are_accepted() -> None:
    found = [path for path in (CHECKOUT / "recipes").rglob("*.yaml") if not path.name.endswith(".lock.yaml")]
    assert found
    for path in found:
        assert make_request(find_project(path, {}), path)[0].platforms


def test_references_on_the_pages_are_those_of_the_code() -> None:
    source = "\n".join(path.read_text("utf-8") for path in (CHECKOUT / "envbuild").rglob("*.py"))
    known = set(re.findall(r'"([a-z]+(?:-[a-z]+)+|offline|stale|usage)"', source))
    for row in table(RECIPES_PAGE, "what"):
        assert set(code(row[1])) <= known, row
    said = [word for page in PAGES for word in re.findall(r"error\[([a-z-]+)\]", page.read_text(encoding="utf-8"))]
    assert said
    assert set(said) <= known


def test_the_assumed_systems_are_the_defaults() -> None:
    rows = {row[0].strip("`"): row[1] for row in table(RECIPES_PAGE, "platform")}
    assert set(rows) == set(DEFAULTS)
    for platform, system in DEFAULTS.items():
        said = dict(re.findall(r"`(__\w+)`(?: ([\w.]+))?", rows[platform]))
        assert said == {name: "" if version == "0" else version.split()[-1] for name, version in system}


# Configuration


def test_the_settings_are_those_of_the_page() -> None:
    rows = table(CONFIGURATION_PAGE, "setting")
    assert [row[0].strip("`") for row in rows] == list(KEYS)
    for (key, _, _), row in zip(Config().entries(), rows, strict=True):
        value = getattr(Config(), key.replace("-", "_"))
        if value not in (None, (), ""):
            assert row[1].strip("`") == shown(value), key
    project = json.loads((CHECKOUT / "schemas" / "project.json").read_text(encoding="utf-8"))["properties"]
    assert {row[0].strip("`") for row in rows if row[2] != "no"} == set(project)


def test_the_configuration_files_of_the_page_are_accepted(tmp_path: Path) -> None:
    (files,) = [{block.words[1]: block.text for block in blocks(CONFIGURATION_PAGE) if len(block.words) == 2}]
    assert set(files) == {"envbuild.yaml", "config.yaml"}
    (tmp_path / "envbuild").mkdir()
    (tmp_path / "envbuild" / "config.yaml").write_text(files["config.yaml"], encoding="utf-8")
    (tmp_path / "envbuild.yaml").write_text(files["envbuild.yaml"], encoding="utf-8")
    config = load_config(tmp_path, {"XDG_CONFIG_HOME": str(tmp_path)})
    assert len(config.origins) == sum(text.count("\n") for text in files.values()) - 1  # mirrors have two lines


# How it works


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_modules_on_the_pages_exist(page: Path) -> None:
    for name in set(re.findall(r"`(envbuild(?:\.[A-Za-z_]+)+)[`(]", page.read_text(encoding="utf-8"))):
        if name == "envbuild.yaml":
            continue
        module, _, attribute = name.rpartition(".")
        if attribute[0].isupper():
            assert hasattr(importlib.import_module(module), attribute), name
        else:
            assert importlib.util.find_spec(name) is not None, name


def test_the_python_example_runs(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    channel: TestChannel,
    wheel_index: Server,
) -> None:
    series = ".".join(channel.pythons[0].split(".")[:2])
    recipe = (
        f"python: {series}\nconda:\n  channels: ['{channel.url}']\n  packages: {{greet: }}\n"
        f"pypi:\n  index: {wheel_index.url}/simple\n  packages: {{toy: }}\n"
    )
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes" / "train.yaml").write_text(recipe, encoding="utf-8")
    (example,) = [block.text for block in blocks(read("how-it-works.md")) if block.words == ("python",)]
    monkeypatch.chdir(tmp_path)
    exec(compile(example, "docs/how-it-works.md", "exec"), {})
    said = capsys.readouterr().out
    assert f"{tmp_path / 'home' / 'prefixes'}" in said
    assert "toy -> toy-core" in said
    assert channel.platform in said


def test_the_functions_of_a_session_are_on_the_page() -> None:
    from envbuild.session import Session

    public = {name for name in dir(Session) if not name.startswith("_")} - {"project", "recipes"}
    rows = table(sections(read("how-it-works.md"), "##")["Python"], "function")
    assert {word for row in rows for word in code(row[0])} == public


# All pages


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        assert "://" not in target, f"{target}: pages link to each other only"
        assert (page.parent / target.split("#")[0]).exists(), target


def test_every_page_is_linked_from_the_readme() -> None:
    linked = set(re.findall(r"\]\((docs/[^)]+)\)", (CHECKOUT / "README.md").read_text(encoding="utf-8")))
    assert {f"docs/{page.name}" for page in DOCS.glob("*.md")} <= linked


def test_decisions_have_one_form() -> None:
    pages = sorted((DOCS / "adr").glob("[0-9]*.md"))
    listed = (DOCS / "adr" / "README.md").read_text(encoding="utf-8")
    for number, page in enumerate(pages, 1):
        text = page.read_text(encoding="utf-8")
        title = text.splitlines()[0]
        assert page.name.startswith(f"{number:04d}-")
        assert title.startswith(f"# {number}. ")
        assert f"[{title.split('. ', 1)[1]}]({page.name})" in listed
        assert "**Decided.**" in text
        assert "**Why.**" in text
        assert len(text.splitlines()) <= 30
