"""Settings on lines of their own in a requirements file: where to look for packages, and what may be taken.

Theory: what says where packages are, and which of them will do, is a recipe's as well. What steers pip or trusts a host
is a machine's, and is noted. ``--conda-pkg``, ``--conda-channel`` and ``--sys-pkg`` are what the predecessor added.

Rules of the file: pip's own order holds: a later index replaces an earlier one, more of anything else adds up.
"""

from __future__ import annotations

from collections.abc import Callable

from envbuild.errors import Where
from envbuild.formats import Document
from envbuild.formats.asked import Asked
from envbuild.formats.match_spec import read_match_spec, read_system
from envbuild.formats.requirement_options import Option
from envbuild.reading import spelling
from envbuild.reading.places import WITH_FILES, check_channel_name, check_url
from envbuild.recipe import Index


class SettingsReader:
    """Reads settings; ``envbuild.formats.requirements`` adds requirements and files."""

    def __init__(self, asked: Asked, document: Document) -> None:
        self.asked = asked
        self.document = document
        self.index_where: Where | None = None

    def index(self, option: Option, where: Where, constraint: bool) -> None:
        """``--index-url``: the last one counts, as in pip."""
        url = self.address(option.value, where)
        if url is None:
            return
        if self.asked.index is not None and self.asked.index.url != url:
            self.asked.note(
                where, "no-meaning", f"this index replaces {self.asked.index.url} of {self.index_where}, as in pip"
            )
        self.asked.index, self.index_where = Index(name=url, url=url), where

    def extra_index(self, option: Option, where: Where, constraint: bool) -> None:
        """``--extra-index-url``."""
        url = self.address(option.value, where)
        if url is not None:
            self.asked.add_index(Index(name=url, url=url))

    def find_links(self, option: Option, where: Where, constraint: bool) -> None:
        """``--find-links``."""
        url = self.address(option.value, where)
        if url is not None:
            self.asked.find_links.append(url)

    def address(self, text: str, where: Where) -> str | None:
        """An address, or a folder beside the file; None after a finding."""
        if "://" in text or text.lower().startswith("file:"):
            return self.asked.take(text, lambda it: check_url(it, WITH_FILES), where)
        return self.asked.take(text, lambda it: "./" + self.document.beside(it), where)

    def no_index(self, option: Option, where: Where, constraint: bool) -> None:
        """``--no-index``."""
        self.asked.no_index = True

    def pre(self, option: Option, where: Where, constraint: bool) -> None:
        """``--pre``."""
        self.asked.prereleases = True

    def releases(self, option: Option, where: Where, constraint: bool) -> None:
        """``--all-releases`` and ``--only-final``."""
        names = self.names(option, where)
        if option.name == "--all-releases":
            self.asked.prereleases = self.asked.add_names(self.asked.prereleases, names)
        elif isinstance(self.asked.prereleases, tuple) and isinstance(names, tuple):
            self.asked.prereleases = tuple(item for item in self.asked.prereleases if item not in names)
        elif names is True:
            self.asked.prereleases = False
        else:
            self.asked.note(where, "lost", "pre-releases of single names cannot be ruled out where all are allowed")

    def only_binary(self, option: Option, where: Where, constraint: bool) -> None:
        """``--only-binary``."""
        self.asked.no_build = self.asked.add_names(self.asked.no_build, self.names(option, where))

    def no_binary(self, option: Option, where: Where, constraint: bool) -> None:
        """``--no-binary``."""
        names = self.names(option, where)
        if names not in (False, ()):
            self.asked.note(
                where,
                "lost",
                f"--no-binary {option.value[:60]}: a wheel is taken where there is one",
                "name the sdist's address to build it: `pypi: packages: {name: {url: …}}`",
            )

    def names(self, option: Option, where: Where) -> bool | tuple[str, ...]:
        """``:all:``, ``:none:`` or names."""
        found: set[str] = set()
        for item in option.value.split(","):
            if item.strip() == ":all:":
                return True
            if item.strip() == ":none:":
                found = set()
            elif item.strip() and (name := self.asked.take(item.strip(), spelling.pypi_name, where)):
                found.add(name)
        return tuple(sorted(found)) if found else False

    def trusted_host(self, option: Option, where: Where, constraint: bool) -> None:
        """``--trusted-host``."""
        self.asked.note(
            where,
            "configuration",
            f"--trusted-host {option.value[:60]}: whom a machine trusts is its user's to say",
            "say `trusted-hosts: […]` in your own configuration",
        )

    def meaningless(self, option: Option, where: Where, constraint: bool) -> None:
        """Options that steer pip itself."""
        self.asked.note(where, "no-meaning", f"{option.name} steers pip, which does not run here")

    def conda_package(self, option: Option, where: Where, constraint: bool) -> None:
        """``--conda-pkg``: a conda package beside the wheels."""
        item = read_match_spec(option.value, where, self.asked)
        if item is not None:
            self.asked.conda.append(item)

    def conda_channel(self, option: Option, where: Where, constraint: bool) -> None:
        """``--conda-channel``."""
        text = option.value
        if text.startswith(".") or "://" in text:
            found = self.address(text, where)
        else:
            found = self.asked.take(text, check_channel_name, where)
        if found is not None and found not in (self.asked.channels or []):
            self.asked.channels = [*(self.asked.channels or []), found.rstrip("/")]

    def system_package(self, option: Option, where: Where, constraint: bool) -> None:
        """``--sys-pkg``: a virtual package."""
        read_system(option.value, where, self.asked)


SETTINGS: dict[str, Callable[..., None]] = {
    "--index-url": SettingsReader.index,
    "--extra-index-url": SettingsReader.extra_index,
    "--find-links": SettingsReader.find_links,
    "--no-index": SettingsReader.no_index,
    "--pre": SettingsReader.pre,
    "--all-releases": SettingsReader.releases,
    "--only-final": SettingsReader.releases,
    "--only-binary": SettingsReader.only_binary,
    "--no-binary": SettingsReader.no_binary,
    "--trusted-host": SettingsReader.trusted_host,
    "--prefer-binary": SettingsReader.meaningless,
    "--use-feature": SettingsReader.meaningless,
    "--use-pep517": SettingsReader.meaningless,
    "--no-use-pep517": SettingsReader.meaningless,
    "--conda-pkg": SettingsReader.conda_package,
    "--conda-channel": SettingsReader.conda_channel,
    "--sys-pkg": SettingsReader.system_package,
}
"""Options on a line of their own, and what reads them."""
