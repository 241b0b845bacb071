"""Wheels by ``uv pip compile``: for any target platform and Python, wheels only, never touching this machine's Pythons.

uv is told everything: its own configuration, its variables and its downloads of Pythons are switched off; indices go in
its environment, not on its command line, for addresses may carry credentials that other users could read there. Markers
come from the target flags. Versions of the lock before are preferences (an output file that is there already); those of
bases are exact constraints, and the base's own record is what the result holds.

Indices: those that the recipe names come first, then the default, then the machine's additional ones; the first that
has a name wins. A second run of uv, fast because everything is in its cache, tells which place each wheel came from; it
is made only when there is something to tell.
Rules of the file: effects through ``context``; nothing of the machine gets into a wheel's record.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from envbuild.errors import InvalidInput, UnreachableError, UnsatisfiableError, Where
from envbuild.package import CondaPackage, UrlOrigin, Wheel
from envbuild.recipe import PypiRequirement, UrlSource
from envbuild.request import PlatformRequest
from envbuild.solvers.explain import PROJECT, clean, unsatisfiable
from envbuild.solvers.mixed import Stubs, make_stubs
from envbuild.solvers.pylock import ChosenWheel, choose, needs_build, read_pylock
from envbuild.solvers.sources import Places, places_of
from envbuild.solvers.target import Target, marker_environment, uv_environment, uv_platform, wheel_ranks
from envbuild.solvers.wheel_metadata import WheelMetadata, check_python, edges, read_all

if TYPE_CHECKING:
    from envbuild.derivations import Context

_UNDATED = re.compile(r"warning: `([^`]+)` is missing an upload date")
_NO_EXTRA = re.compile(r"warning: The package `([^`= ]+)(?:==| @ )[^`]*` does not have an extra named `([^`]+)`")
_ANNOTATED = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?(?:==| @ ).*\n\s+# from (\S+)$", re.MULTILINE)
_FAILED_TO_REACH = ("Failed to fetch", "error sending request", "tcp connect error", "Could not connect", "dns error")


@dataclass(frozen=True, slots=True, kw_only=True)
class PypiQuestion:
    """One PyPI solve.

    Attributes:
        pins: Wheels of bases: they stay. ``keep``: of the lock before: preferred.
        conda: What conda provides in a mixed environment.
    """

    request: PlatformRequest
    target: Target
    cut_off: str | None = None
    pins: tuple[Wheel, ...] = ()
    keep: tuple[Wheel, ...] = ()
    conda: tuple[CondaPackage, ...] = ()


def solve_pypi(question: PypiQuestion, context: Context) -> tuple[Wheel, ...]:
    """The wheels for one platform, sorted by name; what conda provides is not among them.

    Raises:
        UnsatisfiableError: With uv's explanation and the recipe's lines; ``needs-build`` for what has no wheel.
        UnreachableError: When an index does not answer.
    """
    for item in question.request.pypi:
        if item.source is not None and not _is_wheel(item):
            raise needs_build(item.name, None, item.where)
    places = places_of(question.request, context.addresses)
    with context.scratch() as folder:
        stubs = make_stubs(question.conda, folder / "stubs", {})
        packages, said, origins = _resolve(question, places, stubs, folder, context)
        missing = _missing_extras(said, stubs)
        if missing:
            extras = _extra_metadata(question, places, stubs, missing, folder, context)
            if extras:
                stubs = make_stubs(question.conda, folder / "stubs", extras)
                packages, said, origins = _resolve(question, places, stubs, folder, context)
    _tell(said, stubs, question, places, context)
    where = {item.name: item.where for item in question.request.pypi}
    chosen = choose([item for item in packages if item not in stubs], wheel_ranks(question.target), where)
    return _wheels(chosen, question, stubs, origins, places, context)


def _is_wheel(item: PypiRequirement) -> bool:
    return isinstance(item.source, UrlSource) and item.source.url.split("#", 1)[0].split("?", 1)[0].endswith(".whl")


def requirement_line(item: PypiRequirement) -> str:
    """A requirement as PEP 508 text."""
    extras = f"[{','.join(item.extras)}]" if item.extras else ""
    if isinstance(item.source, UrlSource):
        digest = f"#sha256={item.source.sha256}" if item.source.sha256 else ""
        text = f"{item.name}{extras} @ {item.source.url.split('#', 1)[0]}{digest}"
        return f"{text} ; {item.markers}" if item.markers else text
    text = f"{item.name}{extras}{item.version}"
    return f"{text} ; {item.markers}" if item.markers else text


def spoken(item: PypiRequirement) -> str:
    """A requirement as a person would say it."""
    extras = f"[{','.join(item.extras)}]" if item.extras else ""
    place = f" @ {item.source.url}" if isinstance(item.source, UrlSource) else ""
    return f"{item.name}{extras} {item.version}".strip() + place + (f" ; {item.markers}" if item.markers else "")


def _resolve(
    question: PypiQuestion, places: Places, stubs: Stubs, folder: Path, context: Context
) -> tuple[list[dict[str, object]], str, dict[str, str]]:
    """Uv's packages, its warnings, and the address that each package came from where that must be known."""
    folder = folder / f"run-{len(list(folder.iterdir()))}"
    folder.mkdir()
    source = _write_inputs(question, places, stubs, folder)
    output = folder / "pylock.toml"
    if question.keep:
        output.write_text(_preferences(question), encoding="utf-8")
    argv = [*_command(question, folder), source, "--format", "pylock.toml", "--output-file", str(output)]
    done = context.run([*argv, "--quiet"], env=_environment(question, places, context), cwd=folder)
    if done.returncode != 0:
        raise _refusal(done.tail, question, stubs, places)
    packages = read_pylock(output.read_bytes())
    if not (question.cut_off or places.several or stubs.wheels):
        return packages, "", {}
    listed = folder / "listed.txt"
    listed.write_text("".join(f"{item['name']}=={item['version']}\n" for item in packages if "version" in item))
    argv = [*_command(question, folder), source, "--format", "requirements.txt", "--output-file", str(listed)]
    done = context.run([*argv, "--emit-index-annotation"], env=_environment(question, places, context), cwd=folder)
    if done.returncode != 0:
        raise _refusal(done.tail, question, stubs, places)
    origins = {name.lower(): url for name, url in _ANNOTATED.findall(listed.read_text("utf-8"))}
    return packages, done.tail, origins


def _command(question: PypiQuestion, folder: Path) -> list[str]:
    from uv import find_uv_bin

    request = question.request
    argv = [find_uv_bin(), "pip", "compile", "--no-config", "--no-progress", "--color", "never"]
    argv += ["--no-python-downloads", "--python", sys.executable, "--no-header", "--no-annotate", "--no-strip-extras"]
    argv += ["--no-build", "--index-strategy", "first-index", "--keyring-provider", "disabled"]
    argv += ["--python-platform", uv_platform(question.target), "--python-version", question.target.full]
    argv += ["--constraints", str(folder / "constraints.txt"), "--overrides", str(folder / "overrides.txt")]
    if request.prereleases is True:
        argv += ["--prerelease", "allow"]
    elif request.prereleases:
        argv += [word for name in request.prereleases for word in ("--prerelease-package", f"{name}=allow")]
    if request.no_index:
        argv.append("--no-index")
    if question.cut_off:
        argv += ["--exclude-newer", question.cut_off]
    if _has_system_certificates():
        argv.append("--system-certs")
    return argv


def _has_system_certificates() -> bool:
    """Whether this system keeps certificates where TLS libraries look; uv's own bundle serves where it does not."""
    places = ("/etc/ssl/certs", "/etc/pki/tls/certs", "/System/Library/Keychains")
    return any(Path(place).is_dir() and any(Path(place).iterdir()) for place in places)


def _environment(question: PypiQuestion, places: Places, context: Context) -> dict[str, str]:
    return {
        "UV_CACHE_DIR": str(context.engine_cache("uv")),
        "UV_PYTHON_DOWNLOADS": "never",
        "UV_NO_WRAP": "1",
        **places.variables(),
        **uv_environment(question.target),
    }


def _write_inputs(question: PypiQuestion, places: Places, stubs: Stubs, folder: Path) -> str:
    request = question.request
    pinned = {item.name: f"{item.name}=={item.version}" for item in question.pins if item.url is None}
    constraints = [requirement_line(item) for item in request.pypi_constraints]
    constraints += [*pinned.values(), *stubs.constraints()]
    (folder / "constraints.txt").write_text(_lines(constraints), encoding="utf-8")
    overrides = [requirement_line(item) for item in request.pypi_overrides]
    (folder / "overrides.txt").write_text(_lines(overrides), encoding="utf-8")
    asked = [requirement_line(item) for item in request.pypi]
    for item in question.pins:
        extras = f"[{','.join(item.extras)}]" if item.extras else ""
        asked.append(f"{item.name}{extras} @ {item.url}" if item.url else f"{item.name}{extras}=={item.version}")
    asked = list(dict.fromkeys(asked))
    bound = {item.name: item.index for item in request.pypi if item.index is not None}
    if not bound:
        (folder / "requirements.in").write_text(_lines(asked), encoding="utf-8")
        return "requirements.in"
    lines = ["[project]", f'name = "{PROJECT}"', 'version = "0"']
    lines += [f'requires-python = ">={question.target.series}"', f"dependencies = {json.dumps(asked)}"]
    lines += ["[tool.uv.sources]", *(f"{name} = {{ index = {json.dumps(index)} }}" for name, index in bound.items())]
    for index in sorted(set(bound.values())):
        lines += ["[[tool.uv.index]]", f"name = {json.dumps(index)}", f"url = {json.dumps(places.address(index))}"]
        lines.append("explicit = true")
    project = folder / "pyproject.toml"
    project.touch(mode=0o600)
    project.write_text(_lines(lines), encoding="utf-8")
    return "pyproject.toml"


def _lines(lines: list[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _preferences(question: PypiQuestion) -> str:
    text = 'lock-version = "1.0"\ncreated-by = "envbuild"\n'
    for item in question.keep:
        text += f"\n[[packages]]\nname = {json.dumps(item.name)}\nversion = {json.dumps(item.version)}\n"
    return text


def _refusal(said: str, question: PypiQuestion, stubs: Stubs, places: Places) -> Exception:
    words = places.words()
    text = clean(said, words)
    if "No solution found" not in said and any(item in said for item in _FAILED_TO_REACH):
        first = "; ".join(line.strip() for line in text.splitlines() if line.strip())
        return UnreachableError(f"a package index does not answer: {first}", retryable=True)
    if "No solution found" in said:
        asked = _asked(question, stubs)
        if "building from source is disabled" in said:
            hint = "ask for a version that has a wheel: building from source comes in a later version of envbuild"
            return unsatisfiable(
                said, platform=question.target.platform, asked=asked, words=words, reference="needs-build", hint=hint
            )
        return unsatisfiable(said, platform=question.target.platform, asked=asked, words=words)
    conflict = re.search(r"conflicting URLs|Requirements contain conflicting", said)
    if conflict:
        return unsatisfiable(said, platform=question.target.platform, asked=_asked(question, stubs), words=words)
    if re.search(r"40[13]|Unauthorized|Forbidden|5\d\d ", said):
        return UnreachableError(f"a package index refuses: {text}")
    return InvalidInput(f"uv cannot resolve the request: {text}", reference="bad-requirement")


def _asked(question: PypiQuestion, stubs: Stubs) -> list[tuple[str, str, Where | None]]:
    request = question.request
    asked = [(item.name, spoken(item), item.where) for item in request.pypi]
    asked += [(item.name, f"{spoken(item)} (constraint)", item.where) for item in request.pypi_constraints]
    asked += [(item.name, f"{spoken(item)} (override)", item.where) for item in request.pypi_overrides]
    asked += [(item.name, f"{item.name} =={item.version} (pinned by the base)", None) for item in question.pins]
    places = {item.name: item.where for item in request.conda}
    for name, package in stubs.packages.items():
        asked.append((name, f"{package.name} {package.version} (provided by conda)", places.get(package.name)))
    return asked


def _missing_extras(said: str, stubs: Stubs) -> dict[str, set[str]]:
    missing: dict[str, set[str]] = {}
    for name, extra in _NO_EXTRA.findall(said):
        if name in stubs.packages:
            missing.setdefault(name, set()).add(extra)
    return missing


def _extra_metadata(
    question: PypiQuestion,
    places: Places,
    stubs: Stubs,
    missing: Mapping[str, set[str]],
    folder: Path,
    context: Context,
) -> dict[str, WheelMetadata]:
    """What the wheels of the same versions say of the extras that are asked of conda's packages."""
    wanted = tuple(PypiRequirement(name=name, version=f"=={stubs.versions[name]}") for name in sorted(missing))
    found: dict[str, WheelMetadata] = {}
    for item in wanted:
        request = replace(question.request, pypi=(item,), pypi_constraints=(), pypi_overrides=())
        alone = replace(question, request=request, pins=(), keep=(), conda=(), cut_off=None)
        try:
            packages, _, _ = _resolve(alone, places, Stubs(), folder, context)
            same = [package for package in packages if package["name"] == item.name]
            found |= read_all(choose(same, wheel_ranks(question.target), {}), context)
        except UnsatisfiableError:
            context.note(f"{item.name} {item.version} comes from conda; its extras are not known and left out")
    return found


def _tell(said: str, stubs: Stubs, question: PypiQuestion, places: Places, context: Context) -> None:
    if question.cut_off:
        hidden = sorted(set(_UNDATED.findall(said)))
        for name in sorted({file.split("-")[0] for file in hidden}):
            context.note(f"{name}: its index states no upload dates, so the cut-off {question.cut_off} hides its files")
        if places.links:
            context.note(f"files of find-links have no dates: the cut-off {question.cut_off} does not filter them")
    for name, extra in sorted(set(_NO_EXTRA.findall(said))):
        context.note(f"{name} has no extra named {extra}")


def _wheels(
    chosen: tuple[ChosenWheel, ...],
    question: PypiQuestion,
    stubs: Stubs,
    origins: Mapping[str, str],
    places: Places,
    context: Context,
) -> tuple[Wheel, ...]:
    pinned = {item.name: item for item in question.pins}
    known = {item.file: item for item in (*question.keep, *question.pins)}
    chosen = tuple(_digested(item, known, places.word(item, origins), context) for item in chosen)
    metadata = read_all(chosen, context)
    requires, extras = edges(
        {**metadata, **stubs.metadata()},
        [(item.name, item.extras, item.markers) for item in question.request.pypi],
        marker_environment(question.target),
    )
    asked = {item.name for item in question.request.pypi}
    named = {**{item.name: item.name for item in chosen}, **{name: item.name for name, item in stubs.packages.items()}}
    wheels = []
    for item in chosen:
        told = metadata[item.name]
        if problem := check_python(told, question.target.full):
            raise UnsatisfiableError(f"{problem}, and the environment has {question.target.python}", reference="python")
        needs = tuple(sorted({named[name] for name in requires[item.name] if name in named}))
        base = pinned.get(item.name)
        if base is not None and base.version == item.version:
            wheels.append(replace(base, requires=needs, extras=extras[item.name], asked=item.name in asked))
            continue
        wheels.append(_wheel(item, told, needs, extras[item.name], places.word(item, origins), item.name in asked))
        assert item.sha256 is not None
        context.remember(item.sha256, item.url)
    return tuple(sorted(wheels, key=lambda wheel: wheel.name))


def _wheel(
    item: ChosenWheel,
    told: WheelMetadata,
    needs: tuple[str, ...],
    extras: tuple[str, ...],
    place: tuple[str, str],
    asked: bool,
) -> Wheel:
    kind, word = place
    assert item.sha256 is not None
    return Wheel(
        name=item.name,
        version=item.version,
        file=item.file,
        sha256=item.sha256,
        index=word if kind == "index" else None,
        url=word if kind == "url" else None,
        find_links=word if kind == "find-links" else None,
        size=item.size,
        upload_time=item.upload_time,
        license=told.license,
        requires=needs,
        extras=extras,
        asked=asked,
    )


def _digested(item: ChosenWheel, known: Mapping[str, Wheel], place: tuple[str, str], context: Context) -> ChosenWheel:
    """The wheel with a sha256: the index's word, else the lock before, else computed from its bytes."""
    if item.sha256 is not None:
        return item
    before = known.get(item.file)
    if before is not None:
        return replace(item, sha256=before.sha256, size=before.size)
    address = place[1] if place[0] == "url" else item.url
    fetched = context.fetch(UrlOrigin(url=address, file=item.file), sha256=None, size=item.size, urls=(item.url,))
    context.note(f"{item.file} has no sha256 on its index: it was fetched to compute one")
    return replace(item, sha256=fetched.sha256, size=fetched.size)
