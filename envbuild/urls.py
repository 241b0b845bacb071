"""What the path of a URL tells (RFC 3986), decoded once.

Rules of the file: pure; text to text; what is there is asked elsewhere.
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit


def file_path(url: str) -> Path:
    """The file or folder that a ``file:`` URL means (RFC 8089).

    Raises:
        ValueError: When it is no URL.
    """
    return Path(unquote(urlsplit(url).path))


def file_name(url: str) -> str:
    """The last part of a URL's path; empty where it ends with a slash.

    Raises:
        ValueError: When it is no URL.
    """
    return unquote(urlsplit(url).path.rsplit("/", 1)[-1])
