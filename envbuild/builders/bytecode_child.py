"""The program that compiles modules, run by the Python that will import them: standard library alone.

``python -S -s -B bytecode_child.py SOURCES ANSWERS FIRST``: ``SOURCES/names.json`` lists the modules' names, and the
source of the one at place N is ``SOURCES/N.py``. To ``ANSWERS`` it appends a frame for each from ``FIRST`` on, in
order: four bytes of length and the bytes of the file, or length 0 where the source is none for this Python. What was
not answered when it ended is what ended it. The first bytes of all, in the answer file ``ANSWERS.python``, say who
compiled.

Rules of the file: imports nothing of what it compiles, and runs none of it.
"""

from __future__ import annotations

import json
import sys
from importlib.util import MAGIC_NUMBER, source_hash
from pathlib import Path

UNCHECKED = 1
"""PEP 552: known by its hash, which is never looked at."""


def compiled(data: bytes, name: str) -> bytes:
    """The content of a ``.pyc``, or nothing."""
    import marshal

    try:
        code = compile(data, name, "exec", dont_inherit=True, optimize=0)
        body = marshal.dumps(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError, LookupError):
        return b""
    return MAGIC_NUMBER + UNCHECKED.to_bytes(4, "little") + source_hash(data) + body


def main(sources: str, answers: str, first: int) -> None:
    """Answer for each module."""
    with Path(sources, "names.json").open(encoding="utf-8") as stream:
        names = json.load(stream)
    with Path(answers + ".python").open("w", encoding="utf-8") as stream:
        version = ".".join(map(str, sys.version_info[:3]))
        json.dump({"python": version, "tag": sys.implementation.cache_tag, "magic": MAGIC_NUMBER.hex()}, stream)
    with Path(answers).open("ab") as out:
        for place in range(first, len(names)):
            found = compiled(Path(sources, f"{place}.py").read_bytes(), names[place])
            out.write(len(found).to_bytes(4, "little") + found)
            out.flush()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
