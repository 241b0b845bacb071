"""One run of ``uv pip compile``: its inputs as files, its settings as flags and variables, its refusals as errors.

uv is told everything: its own configuration, its variables and its downloads of Pythons are switched off; indices go in
its environment, not on its command line, for addresses may carry credentials that other users could read there. Markers
come from the target flags. Versions of the lock before are preferences (an output file that is there already); those of
bases are exact constraints and requirements.

A second run, fast because everything is in uv's cache, says what the first cannot: which place each package came from,
and the warnings. It is made only when there is something to tell.
Rules of the file: effects through ``context``; files only in the folder that it is given.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from envbuild.errors import InvalidInput, UnreachableError, UnsatisfiableError, Where
from envbuild.machine.uv_program import uv_program
from envbuild.package import CondaPackage, InterpreterArchive, SourcePackage, Wheel, normalize_pypi_name
from envbuild.pattern import pattern
from envbuild.recipe import BuildOptions, GitSource, PathSource, PypiRequirement, Source, UrlSource
from envbuild.request import PlatformRequest
from envbuild.solvers.explain import PROJECT, clean, mentions, unsatisfiable
from envbuild.solvers.metadata_ahead import LOUD, MetadataAhead, without_hints
from envbuild.solvers.mixed import Stubs
from envbuild.solvers.offers import NO_OFFERS, Offers
from envbuild.solvers.pylock import read_pylock
from envbuild.solvers.sources import Places
from envbuild.solvers.target import Target, uv_environment, uv_platform
from envbuild.solvers.uv_words import retold
from envbuild.value import dataclass

if TYPE_CHECKING:
    from envbuild.derivations import Context

_ANNOTATED = pattern(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?(?:==| @ ).*\n\s+# from (\S+)$", re.MULTILINE)
_REFUSED = pattern(r"An index (?:URL )?\((\S+)\) (?:could not be queried|returned a).{0,90}?\b(401|403)\b")
_REFUSED_HINT = "put a user name and password for that host into ~/.netrc (mode 0600)"
_NEEDS_WHEELS = pattern(r"Wheels are required for `([^`]+)` because building from source is disabled")
_FAILED_TO_REACH = ("Failed to fetch", "error sending request", "tcp connect error", "Could not connect", "dns error")


@dataclass(frozen=True, slots=True, kw_only=True)
class PypiQuestion:
    """One PyPI solve.

    Attributes:
        pins: Wheels of bases: they stay. ``keep``: of the lock before: preferred.
        conda: What conda provides in a mixed environment.
        pins_sources: Sources of bases, with what they are built with (``pins_build``, ``pins_build_sources``);
            ``keep_sources`` and what follows likewise of the lock before.
        build: How sources are built.
        host: The environment's conda packages, which builds may ask to see.
        interpreter: ``conda``, ``host`` or ``managed``; ``archive`` of a managed one.
        alone: Whether only what is asked for is looked up, without what it requires.
        building: What this is a solve of build requirements for, and what that is built for, outermost first.
    """

    request: PlatformRequest
    target: Target
    cut_off: str | None = None
    pins: tuple[Wheel, ...] = ()
    keep: tuple[Wheel, ...] = ()
    conda: tuple[CondaPackage, ...] = ()
    pins_sources: tuple[SourcePackage, ...] = ()
    pins_build: tuple[Wheel, ...] = ()
    pins_build_sources: tuple[SourcePackage, ...] = ()
    keep_sources: tuple[SourcePackage, ...] = ()
    keep_build: tuple[Wheel, ...] = ()
    keep_build_sources: tuple[SourcePackage, ...] = ()
    build: tuple[BuildOptions, ...] = ()
    host: tuple[CondaPackage, ...] = ()
    interpreter: str = "host"
    archive: InterpreterArchive | None = None
    alone: bool = False
    building: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """uv's answer.

    Attributes:
        packages: The tables of its pylock.
        said: Its warnings. ``origins``: the address that each package came from; both only where they matter.
    """

    packages: list[dict[str, Any]]
    said: str = ""
    origins: Mapping[str, str] = field(default_factory=dict)


class NeedsBuildError(UnsatisfiableError):
    """A request that has no solution without building from source.

    Attributes:
        names: The packages that uv would have had to build.
    """

    names: tuple[str, ...] = ()


def requirement_line(item: PypiRequirement, offers: Offers = NO_OFFERS) -> str:
    """A requirement as PEP 508 text; what ``offers`` knows a source for has that one's stub."""
    extras = f"[{','.join(item.extras)}]" if item.extras else ""
    if item.source is not None and item.name in offers.lines:
        text = f"{item.name}{extras}{offers.lines[item.name]}"
        return f"{text} ; {item.markers}" if item.markers else text
    if isinstance(item.source, UrlSource):
        digest = f"#sha256={item.source.sha256}" if item.source.sha256 else ""
        text = f"{item.name}{extras} @ {item.source.url.split('#', 1)[0]}{digest}"
        return f"{text} ; {item.markers}" if item.markers else text
    text = f"{item.name}{extras}{item.version}"
    return f"{text} ; {item.markers}" if item.markers else text


def spoken(item: PypiRequirement) -> str:
    """A requirement as a person would say it."""
    extras = f"[{','.join(item.extras)}]" if item.extras else ""
    place = ""
    if item.source is not None:
        place = f" @ {_place(item.source)}"
    return f"{item.name}{extras} {item.version}".strip() + place + (f" ; {item.markers}" if item.markers else "")


def _place(source: Source) -> str:
    match source:
        case UrlSource(url=url):
            return url
        case GitSource(git=git, rev=rev):
            return f"git+{git}" + (f"@{rev}" if rev else "")
        case PathSource(path=path):
            return path


def resolve(
    question: PypiQuestion,
    places: Places,
    stubs: Stubs,
    folder: Path,
    context: Context,
    offers: Offers = NO_OFFERS,
    ahead: MetadataAhead | None = None,
) -> Resolved:
    """Uv's packages, its warnings, and the address that each package came from where that must be known.

    Args:
        question: What is asked.
        places: Where uv looks.
        stubs: What conda provides.
        folder: For uv's files.
        context: For running it.
        offers: Sources as stubs.
        ahead: Hears which METADATA uv asks for.

    Raises:
        NeedsBuildError: When nothing but a build from source could help.
        UnsatisfiableError: When there is no solution. UnreachableError: when an index does not answer.
    """
    folder = folder / f"run-{len(list(folder.iterdir()))}"
    folder.mkdir()
    source = _write_inputs(question, places, stubs, folder, offers)
    environment = _environment(question, places, context, offers)
    output = folder / "pylock.toml"
    if question.keep or offers.keep:
        output.write_text(_preferences(question, offers), encoding="utf-8")
    argv = [*_command(question, places, folder), source, "--format", "pylock.toml", "--output-file", str(output)]
    heard = None if ahead is None else ahead.hear
    loud = {} if ahead is None else LOUD
    done = context.run([*argv, "--quiet"], env=environment | loud, cwd=folder, heard=heard)
    if done.returncode != 0:
        raise _refusal(without_hints(done.tail), question, stubs, places)
    packages = read_pylock(output.read_bytes())
    if not (question.cut_off or places.several or stubs.packages or question.pins_sources):
        return Resolved(packages=packages)
    listed = folder / "listed.txt"
    listed.write_text("".join(f"{item['name']}=={item['version']}\n" for item in packages if "version" in item))
    argv = [*_command(question, places, folder), source, "--format", "requirements.txt", "--output-file", str(listed)]
    done = context.run([*argv, "--emit-index-annotation"], env=environment, cwd=folder)
    if done.returncode != 0:
        raise _refusal(done.tail, question, stubs, places)
    origins = {name.lower(): url for name, url in _ANNOTATED.findall(listed.read_text("utf-8"))}
    return Resolved(packages=packages, said=done.tail, origins=origins)


def _command(question: PypiQuestion, places: Places, folder: Path) -> list[str]:
    request = question.request
    argv = [uv_program(), "pip", "compile", "--no-config", "--no-progress", "--color", "never"]
    argv += ["--no-python-downloads", "--python", sys.executable, "--no-header", "--no-annotate", "--no-strip-extras"]
    argv += ["--no-build", "--index-strategy", places.strategy]
    argv += ["--keyring-provider", "subprocess" if shutil.which("keyring") else "disabled"]
    argv += ["--python-platform", uv_platform(question.target), "--python-version", question.target.full]
    argv += ["--constraints", str(folder / "constraints.txt"), "--overrides", str(folder / "overrides.txt")]
    if request.prereleases is True:
        argv += ["--prerelease", "allow"]
    elif request.prereleases:
        argv += [word for name in request.prereleases for word in ("--prerelease-package", f"{name}=allow")]
    if request.no_index:
        argv.append("--no-index")
    if question.alone:
        argv.append("--no-deps")
    if question.cut_off:
        argv += ["--exclude-newer", question.cut_off]
    if _has_system_certificates():
        argv.append("--system-certs")
    return argv


def _has_system_certificates() -> bool:
    """Whether this system keeps certificates where TLS libraries look; uv's own bundle serves where it does not."""
    places = ("/etc/ssl/certs", "/etc/pki/tls/certs", "/System/Library/Keychains")
    return any(Path(place).is_dir() and any(Path(place).iterdir()) for place in places)


def _environment(question: PypiQuestion, places: Places, context: Context, offers: Offers) -> dict[str, str]:
    return {
        "UV_CACHE_DIR": str(context.engine_cache("uv")),
        "UV_PYTHON_DOWNLOADS": "never",
        "UV_NO_WRAP": "1",
        "UV_HTTP_RETRIES": "2",
        **({"UV_INSECURE_HOST": " ".join(trusted)} if (trusted := context.addresses.trusted_hosts) else {}),
        **places.variables(offers.links),
        **uv_environment(question.target),
    }


def _write_inputs(question: PypiQuestion, places: Places, stubs: Stubs, folder: Path, offers: Offers) -> str:
    request = question.request
    free = [item for item in question.pins if item.name not in stubs.pinned]
    pinned = {item.name: f"{item.name}=={item.version}" for item in free if item.url is None}
    constraints = [requirement_line(item) for item in request.pypi_constraints]
    constraints += [*pinned.values(), *stubs.constraints(), *offers.constraints]
    (folder / "constraints.txt").write_text(_lines(constraints), encoding="utf-8")
    overrides = [requirement_line(item) for item in request.pypi_overrides]
    (folder / "overrides.txt").write_text(_lines(overrides), encoding="utf-8")
    asked = [requirement_line(item, offers) for item in request.pypi]
    asked += [f"{name}" for name in stubs.pinned]
    for item in free:
        extras = f"[{','.join(item.extras)}]" if item.extras else ""
        asked.append(f"{item.name}{extras} @ {item.url}" if item.url else f"{item.name}{extras}=={item.version}")
    asked = list(dict.fromkeys(asked))
    bound = {item.name: item.index for item in request.pypi if item.index is not None}
    bound |= {name: f"sources-of-{name}" for name in offers.bound}
    if not bound:
        (folder / "requirements.in").write_text(_lines(asked), encoding="utf-8")
        return "requirements.in"
    lines = ["[project]", f'name = "{PROJECT}"', 'version = "0"']
    lines += [f'requires-python = ">={question.target.series}"', f"dependencies = {json.dumps(asked)}"]
    lines += ["[tool.uv.sources]", *(f"{name} = {{ index = {json.dumps(index)} }}" for name, index in bound.items())]
    for index in sorted(set(bound.values())):
        own = offers.bound.get(index.removeprefix("sources-of-"))
        url = places.address(index) if own is None else own.as_uri()
        lines += ["[[tool.uv.index]]", f"name = {json.dumps(index)}", f"url = {json.dumps(url)}", "explicit = true"]
        lines += [] if own is None else ['format = "flat"']
    project = folder / "pyproject.toml"
    project.touch(mode=0o600)
    project.write_text(_lines(lines), encoding="utf-8")
    return "pyproject.toml"


def _lines(lines: list[str]) -> str:
    for line in lines:
        if not line.isprintable():  # a line break in a requirement would be a second line, which may be an option
            raise InvalidInput(f"{line!r} is not one requirement", reference="bad-requirement")
    return "".join(f"{line}\n" for line in lines)


def _preferences(question: PypiQuestion, offers: Offers) -> str:
    text = 'lock-version = "1.0"\ncreated-by = "envbuild"\n'
    for name, version in (*((item.name, item.version) for item in question.keep), *offers.keep):
        text += f"\n[[packages]]\nname = {json.dumps(name)}\nversion = {json.dumps(version)}\n"
    return text


def _refusal(said: str, question: PypiQuestion, stubs: Stubs, places: Places) -> Exception:
    words = places.words()
    text = clean(said, words)
    if "No solution found" not in said and any(item in said for item in _FAILED_TO_REACH):
        first = "; ".join(line.strip() for line in text.splitlines() if line.strip())
        if "certificate" in said:
            hint = "set SSL_CERT_FILE to your organisation's certificates, or `trusted-hosts` in your configuration"
            return UnreachableError(
                f"an index's certificate is not trusted: {first}", reference="certificate", hint=hint
            )
        hint = "try again later; `index-url` or `mirrors` in your configuration name another place"
        return UnreachableError(f"a package index does not answer: {first}", hint=hint, retryable=True)
    refused = _REFUSED.findall(" ".join(text.split()))
    if "was not found in the package registry" in said and refused:
        # To uv an index that refuses has nothing; that nothing satisfies the request would be the wrong answer.
        return UnreachableError(
            f"a package index refuses: {'; '.join(f'{url} ({status})' for url, status in refused)}",
            reference="refused",
            hint=_REFUSED_HINT,
        )
    if "No solution found" in said:
        asked = _asked(question, stubs)
        told, own_hint = retold(text)
        if needed := _NEEDS_WHEELS.findall(" ".join(said.split())):
            told_all = unsatisfiable(
                told, platform=question.target.platform, asked=asked, words=words, reference="needs-build"
            )
            return _needs_build(told_all, needed)
        return unsatisfiable(
            told, platform=question.target.platform, asked=asked, words=words, hint=own_hint or _conda_hint(told, stubs)
        )
    conflict = re.search(r"conflicting URLs|Requirements contain conflicting", said)
    if conflict:
        return unsatisfiable(said, platform=question.target.platform, asked=_asked(question, stubs), words=words)
    if re.search(r"40[13]|Unauthorized|Forbidden|5\d\d ", said):
        return UnreachableError(f"a package index refuses: {text}")
    return InvalidInput(f"uv cannot resolve the request: {text}", reference="bad-requirement")


def _needs_build(told: UnsatisfiableError, names: list[str]) -> NeedsBuildError:
    error = NeedsBuildError(
        told.message,
        reference=told.reference,
        where=told.where,
        hint="ask for a version that has a wheel: no source of it fits either",
        issues=told.issues,
    )
    error.names = tuple(dict.fromkeys(normalize_pypi_name(name) for name in names))
    return error


def _conda_hint(told: str, stubs: Stubs) -> str | None:
    """What to do when wheels want another version of what conda brings."""
    named = [item for name, item in sorted(stubs.packages.items()) if mentions(told, name)]
    if not named:
        return None
    brings = ", ".join(f"{item.name} {item.version}" for item in named)
    return f"conda brings {brings}: ask for another version under `conda: packages:`, or for less under `pypi:`"


def _asked(question: PypiQuestion, stubs: Stubs) -> list[tuple[str, str, Where | None]]:
    request = question.request
    asked = [(item.name, spoken(item), item.where) for item in request.pypi]
    asked += [(item.name, f"{spoken(item)} (constraint)", item.where) for item in request.pypi_constraints]
    asked += [(item.name, f"{spoken(item)} (override)", item.where) for item in request.pypi_overrides]
    pins = [(item.name, item.version) for item in question.pins]
    pins += [(item.name, item.version) for item in question.pins_sources]
    asked += [(name, f"{name} =={version} (pinned by the base)", None) for name, version in pins]
    places = {item.name: item.where for item in request.conda}
    for name, package in stubs.packages.items():
        asked.append((name, f"{package.name} {package.version} (provided by conda)", places.get(package.name)))
    return asked
