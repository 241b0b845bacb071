"""``python -m tests.golden``: say which golden keys moved; ``--update`` writes them anew."""

from __future__ import annotations

import sys

from tests.golden import FOLDER, cases, encoded, expected_path, read_case, update


def main(arguments: list[str]) -> int:
    if arguments not in ([], ["--update"]):
        print("usage: python -m tests.golden [--update]", file=sys.stderr)
        return 2
    if arguments:
        for path in update():
            print(f"updated {path.relative_to(FOLDER)}")
        return 0
    moved = [
        case
        for case in cases()
        if not expected_path(case).is_file()
        or expected_path(case).read_text(encoding="utf-8") != encoded(read_case(case))
    ]
    for case in moved:
        print(f"moved {case.relative_to(FOLDER)}")
    return 10 if moved else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
