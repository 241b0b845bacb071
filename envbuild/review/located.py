"""Where things of a lock stand in its text: asked only of what was found, so that a good lock costs nothing.

A lock of our own writing has one line for a package, which is made again and looked for; in one that another tool wrote
anew the first line with the name below the platform's heading will do.

Rules of the file: pure.
"""

from __future__ import annotations

import json
import re

from envbuild.package import CondaPackage, Platform, SourcePackage, Wheel
from envbuild.pinned import package_tree


class LockText:
    """The text of one lock.

    Args:
        data: The whole file, which can be read as a lock.
    """

    def __init__(self, data: bytes) -> None:
        self._text = data.decode("utf-8", "replace")

    def package(self, platform: Platform, package: CondaPackage | Wheel | SourcePackage) -> tuple[int | None, int]:
        """The line and column of a package."""
        start = self._platform(platform)
        offset = self._text.find(f"{self.line(package)}\n", start)
        if offset < 0:
            name = re.compile(rf"name[\"']?: *[\"']?{re.escape(package.name)}[\"']?[,}}\s]")
            match = name.search(self._text, start)
            if match is None:
                return self.platform(platform)
            return self._line(match.start()), self._column(match.start())
        return self._line(offset), self._column(offset)

    @staticmethod
    def line(package: CondaPackage | Wheel | SourcePackage) -> str:
        """The line of a package as locks of our own writing have it, without its indentation."""
        return f"- {json.dumps(package_tree(package), ensure_ascii=False)}"

    def platform(self, platform: Platform) -> tuple[int | None, int]:
        """The line and column of a platform's heading."""
        offset = self._platform(platform)
        return self._line(offset), self._column(offset)

    def _platform(self, platform: Platform) -> int:
        match = re.search(rf"^ *[\"']?{re.escape(platform)}[\"']?:[ \r]*$", self._text, re.MULTILINE)
        return match.start() if match is not None else 0

    def _line(self, offset: int) -> int:
        return self._text.count("\n", 0, offset) + 1

    def _column(self, offset: int) -> int:
        """Where the text of a line begins."""
        start = self._text.rfind("\n", 0, offset) + 1
        line = self._text[start : self._text.find("\n", start)]
        return len(line) - len(line.lstrip(" ")) + 1
