"""conda packages by py-rattler: strict channel priority, explicit virtual packages, pins, preferences, a cut-off.

The engine runs in a child process (``rattler_child``). Channels are asked by their canonical addresses, mirrors are put
below by the engine's own mirror layer, and the answer is turned back into the recipe's words, so that a lock made
behind a mirror equals one made without.

Strict priority, proven by experiment: rattler keeps only those records of a *directly* requested name that fit the
request before it decides which channel has the name. A second request by name alone lets it see them all.
Rules of the file: effects through ``context``; nothing of the machine gets into a package.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from envbuild.addresses import Addresses
from envbuild.digest import parse_digest
from envbuild.durations import span
from envbuild.errors import IntegrityError, InvalidInput, UnreachableError, Where
from envbuild.package import CondaPackage, check_file_name
from envbuild.pattern import pattern
from envbuild.pinned import engine_record
from envbuild.recipe import CondaRequirement
from envbuild.request import PlatformRequest
from envbuild.solvers.channels import channel_addresses, channel_words
from envbuild.solvers.conda_files import packages_by_address, write_channel
from envbuild.solvers.conda_spec import match_spec, spoken
from envbuild.solvers.explain import clean, unsatisfiable
from envbuild.solvers.index_copies import day, keep_indices, kept_copies
from envbuild.solvers.rattler_call import ask_rattler, index_cache
from envbuild.value import dataclass, replace

if TYPE_CHECKING:
    from envbuild.derivations import Context

_NAMED = pattern(r'\[channel="file://[^"]*/named/?"\]')
"""The channel that files which the recipe names lie in for the length of a solve."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CondaQuestion:
    """One conda solve.

    Attributes:
        python: True when the environment needs a Python although nothing of conda's asks for one.
        pins: Packages of bases: they stay, whatever it costs.
        keep: Packages of the lock before: preferred.
    """

    request: PlatformRequest
    python: bool
    cut_off: str | None = None
    pins: tuple[CondaPackage, ...] = ()
    keep: tuple[CondaPackage, ...] = ()


def solve_conda(question: CondaQuestion, context: Context) -> tuple[CondaPackage, ...]:
    """The packages for one platform, sorted by name.

    Raises:
        UnsatisfiableError: With rattler's explanation and the recipe's lines.
        UnreachableError: When a channel does not answer.
        InvalidInput: When the engine cannot read a constraint or a channel's index.
    """
    request = question.request
    words = channel_addresses((*channel_words(request), *_pinned_channels(question)), context.addresses)
    served = {word: _served(address, context.addresses) for word, address in words.items()}
    files = packages_by_address(request.conda, request.platform, question.pins, context)
    specs = _specs(question, served)
    if not specs and not files:
        return ()
    asked_channels = [served[word] for word in channel_words(request)]
    channels = asked_channels or sorted(set(served.values()))
    subdirs = [request.platform, "noarch"]
    copies = kept_copies(index_cache(context), channels, subdirs, question.cut_off)
    document: dict[str, Any] = {
        "channels": channels,
        "subdirs": subdirs,
        "specs": specs,
        "constraints": [match_spec(item) for item in request.conda_constraints],
        "virtual": [_virtual(name, version) for name, version in request.system],
        "pins": [_record(item, served, context.addresses) for item in question.pins if item.name not in files],
        "keep": [_record(item, served, context.addresses) for item in question.keep if item.name not in files],
        "exclude_newer": question.cut_off,
        "copies": {channel: kept.document() for channel, kept in copies.items()},
    }
    answer = _run(document, files, words.values(), context)
    spoken_channels = {served[word]: word for word in words}
    unread = answer.get("unread", {})
    for channel, why in unread.items():
        context.note(_old_copy_used(spoken_channels[channel], copies[channel].date(subdirs), why, spoken_channels))
    if answer.get("error", "SolverError") == "SolverError":  # each index was read
        read = [channel for channel in channels if channel not in unread]
        with context.lock("read-indices"):  # solves for several platforms end at once
            back = keep_indices(index_cache(context), read, subdirs, solved="error" not in answer)
        for channel, what in back.items():
            told = f"the channel {spoken_channels[channel]} went back in time: {what}"
            context.note(f"{told}; what is locked stays as it is")
    if "error" in answer:
        raise _refusal(answer, question, spoken_channels)
    for name in answer["undated"]:
        context.note(f"{name} has no date in its channel: the cut-off {question.cut_off} leaves it out")
    return _packages(answer["records"], question, served, files, context)


def _served(canonical: str, addresses: Addresses) -> str:
    """The address given to the engine: a folder that mirrors a server is asked itself, others by its mirror layer."""
    first = addresses.candidates(canonical)[0]
    return first.rstrip("/") if first.startswith("file:") else canonical


def _pinned_channels(question: CondaQuestion) -> tuple[str, ...]:
    return tuple(item.channel for item in (*question.pins, *question.keep) if item.channel)


def _specs(question: CondaQuestion, served: dict[str, str]) -> list[str]:
    request = question.request
    pinned = {item.name for item in question.pins}
    specs = []
    for item in request.conda:
        if item.url is not None:
            continue  # the file itself is the one candidate
        specs.append(match_spec(item, served[item.channel] if item.channel else None))
        if item.version and not (item.channel or item.name in pinned):
            specs.append(item.name)
    if request.python is not None:
        python = CondaRequirement(name="python", version=request.python)
        specs += [match_spec(python)] if "python" in pinned else [match_spec(python), "python"]
    elif question.python:
        specs.append("python")
    specs += [f'{item.name}[version="=={item.version}",build="{item.build}"]' for item in question.pins]
    return list(dict.fromkeys(specs))


def _virtual(name: str, version: str) -> tuple[str, str, str]:
    """A virtual package as (name, version, build); an architecture is a build string (``__archspec 1 x86_64``)."""
    words = version.split()
    if len(words) == 2:
        return name, words[0], words[1]
    if name == "__archspec" and not version[:1].isdigit():
        return name, "1", version
    return name, version or "0", "0"


def _record(package: CondaPackage, served: dict[str, str], addresses: Addresses) -> dict[str, Any]:
    if package.channel is not None:
        channel = served[package.channel] + "/"
        url = f"{served[package.channel]}/{package.subdir}/{package.file}"
    else:
        assert package.url is not None
        url = addresses.absolute(package.url)
        channel = url.rsplit("/", 2)[0] + "/"
    return engine_record(package, url, channel)


def _old_copy_used(channel: str, date: float, why: str, words: Mapping[str, str]) -> str:
    told = "; ".join(clean(why, words).splitlines())[:300]
    age = span(time.time() - date)
    return f"the index of the channel {channel} cannot be read ({told}): its copy of {day(date)} is used ({age} old)"


def _run(
    document: dict[str, Any], files: Mapping[str, CondaPackage], channels: Iterable[str], context: Context
) -> dict[str, Any]:
    with context.scratch() as folder:
        if files:
            own = (folder / "named").as_uri()
            write_channel(files, folder / "named")
            document["channels"] = [*document["channels"], own]
            document["specs"] = [*document["specs"], *(_exactly(item, own) for item in files.values())]
        return ask_rattler("rattler_child", document, channels, folder, context)


def _exactly(package: CondaPackage, channel: str) -> str:
    return f'{package.name}[version="=={package.version}",build="{package.build}",channel="{channel}"]'


def _refusal(answer: dict[str, Any], question: CondaQuestion, words: dict[str, str]) -> Exception:
    text = clean(answer["text"], words)
    kind = answer["error"]
    if kind == "SolverError":
        told = answer["text"].removeprefix("Cannot solve the request because of: ")
        told = _NAMED.sub("", told)
        told = re.sub(r"(No candidates were found for [^\s.]+) \*\.", r"\1.", told)
        none = _hint(told) if words else "name a channel under `conda: {channels: […]}`: the recipe has none"
        return unsatisfiable(told, platform=question.request.platform, asked=_asked(question), words=words, hint=none)
    if kind == "GatewayError" or "fetch" in kind.lower():
        first = text.splitlines()[0] if text else kind
        if "could not find subdir" in text:
            hint = "check the channel's name or address; a channel has at least a folder noarch with a repodata.json"
            return UnreachableError(first, reference="no-channel", hint=hint)
        if answer.get("unreadable"):
            return InvalidInput(f"a channel's index cannot be read: {text}", reference="bad-index")
        hint = "try again later, or set a mirror in your configuration"
        if "certificate" in text.lower():
            hint = "set SSL_CERT_FILE to your organisation's certificates, or `trusted-hosts` in your configuration"
            return UnreachableError(
                f"a channel's certificate is not trusted: {'; '.join(text.splitlines())}",
                reference="certificate",
                hint=hint,
            )
        return UnreachableError(f"a channel does not answer: {'; '.join(text.splitlines())}", hint=hint, retryable=True)
    if kind.startswith("Invalid") or kind == "ConversionError":
        return InvalidInput(f"the conda solver cannot read the request: {text}", reference="bad-version")
    return UnreachableError(f"the conda solver failed: {text}", reference="solver-failed")


def _hint(told: str) -> str | None:
    """What to do when a channel has nothing that fits."""
    absent = re.match(r"No candidates were found for ([^\s.]+)", told)
    if absent is None:
        return None
    return f"check the spelling of {absent[1]}, its version, and the channels; what is only on PyPI goes under `pypi:`"


def _asked(question: CondaQuestion) -> list[tuple[str, str, Where | None]]:
    request = question.request
    asked = [(item.name, spoken(item), item.where) for item in request.conda]
    asked += [(item.name, f"{spoken(item)} (constraint)", item.where) for item in request.conda_constraints]
    if request.python is not None:
        asked.append(("python", f"python {request.python}", request.python_where))
    asked += [(item.name, f"{item.name} =={item.version} (pinned by the base)", None) for item in question.pins]
    asked += [(name, f"{name} {version} (system)", None) for name, version in request.system]
    return asked


def _packages(
    records: Sequence[dict[str, Any]],
    question: CondaQuestion,
    served: dict[str, str],
    files: Mapping[str, CondaPackage],
    context: Context,
) -> tuple[CondaPackage, ...]:
    asked = {item.name for item in question.request.conda}
    if question.request.python is not None:
        asked.add("python")
    known: dict[tuple[str, str], CondaPackage] = {
        (item.file, item.sha256): item for item in (*question.keep, *question.pins)
    }
    words = {address: word for word, address in reversed(served.items())}
    packages = []
    for record in records:
        before = files.get(record["name"]) or known.get((record["fn"], record.get("sha256", "")))
        if record["subdir"] not in {question.request.platform, "noarch"}:
            raise IntegrityError(
                f"a channel's record of {record['name'][:60]!r} says that it is for {record['subdir'][:60]!r}",
                reference="bad-index",
                hint="tell the channel",
            )
        package = replace(before, asked=False) if before else _package(record, words, context)
        packages.append(replace(package, asked=package.name in asked))
    return tuple(sorted(packages, key=lambda package: package.name))


def _package(record: dict[str, Any], words: dict[str, str], context: Context) -> CondaPackage:
    file = check_file_name(unquote(record["fn"]))
    channel = words.get((record.get("channel") or "").rstrip("/"))
    if channel is None:
        raise InvalidInput(f"{file} comes from a channel that the recipe does not name", reference="bad-channel")
    noarch = record.get("noarch")
    package = CondaPackage(
        name=record["name"],
        version=record["version"],
        build=record["build"],
        build_number=record["build_number"],
        subdir=record["subdir"],
        file=file,
        sha256=parse_digest(record["sha256"] if record.get("sha256") else "0" * 64),
        channel=channel,
        md5=record.get("md5"),
        size=record.get("size"),
        license=record.get("license"),
        timestamp=record.get("timestamp"),
        noarch=noarch if isinstance(noarch, str) else None,
        python_site_packages_path=record.get("python_site_packages_path"),
        depends=tuple(record.get("depends", ())),
        constrains=tuple(record.get("constrains", ())),
        purls=tuple(sorted(record.get("purls") or ())),
    )
    return _with_digest(package, record, context)


def _with_digest(package: CondaPackage, record: dict[str, Any], context: Context) -> CondaPackage:
    """The package with the sha256 of its bytes: the channel's word, or computed by fetching them where it has none."""
    url = record["url"]
    if record.get("sha256"):
        context.remember(package.sha256, url)
        return package
    fetched = context.fetch(package.origin, sha256=None, size=package.size, urls=(url,))
    context.note(f"{package.file} has no sha256 in its channel: it was fetched to compute one")
    return replace(package, sha256=fetched.sha256, size=fetched.size)
