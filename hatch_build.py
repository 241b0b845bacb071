"""What the wheel needs besides files: Metaflow knows the extensions of a distribution by its ``top_level.txt``.

Without it, another distribution's extension in the same folder would hide this one.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class TopLevel(BuildHookInterface):  # type: ignore[type-arg]
    """Writes ``top_level.txt`` into the wheel's metadata."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the file, to editable installs too."""
        self._folder = tempfile.TemporaryDirectory()
        file = Path(self._folder.name, "top_level.txt")
        file.write_text("envbuild\nmetaflow_extensions\n", encoding="utf-8")
        place = f"{self.metadata.core.name}-{self.metadata.version}.dist-info/top_level.txt"
        build_data["force_include" if version == "standard" else "force_include_editable"][str(file)] = place

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Take the file away."""
        self._folder.cleanup()
