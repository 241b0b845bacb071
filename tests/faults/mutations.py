"""What is done to good files to make bad ones: bytes changed, words exchanged, lines moved. A seed gives one input.

Theory: bytes alone seldom get past a grammar's first rule, so texts are also changed word by word: most of what comes
out still parses, and says something that nobody meant.

Rules of the file: bytes in, bytes out; ``chance`` decides everything.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cache
from random import Random

WORDS = (b"PK\1\2", b"PK\3\4", b"PK\5\6", b"PK\6\6", b"../", b"\0", b"\xff" * 8, b"[", b'"', b"<base href='", b"{")


def damaged(data: bytes, chance: Random) -> bytes:
    """Any bytes with one to four things done to them."""
    changed = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(changed) + 1)
        what = chance.randrange(6)
        if what == 0 and at < len(changed):
            changed[at] ^= 1 << chance.randrange(8)
        elif what == 1:
            del changed[at : at + chance.randint(1, 40)]
        elif what == 2:
            changed[at:at] = chance.choice(WORDS)
        elif what == 3:
            changed[at:at] = changed[at : at + chance.randint(1, 60)]
        elif what == 4 and at + 4 <= len(changed):
            changed[at : at + 4] = chance.choice((b"\0" * 4, b"\xff" * 4, b"\1\0\0\0", chance.randbytes(4)))
        else:
            del changed[at:]
        changed = changed or bytearray(b"x")
    return bytes(changed)


PIECES = (
    *(b"-r a.txt\n", b"--hash=sha256:", b"[", b"]", b"{", b"}", b"::", b"==", b" ; ", b"\\\n", b"'", b'"', b"\x00"),
    *(b"\xff\xfe", b"\r", b"#", b"${X}", b"git+", b"@", b"- pip:\n", b"{{", b"[tool.uv]\n", b"*" * 50, b"(" * 200),
)
"""What stands in requirements, environment files and project files with a meaning of its own."""


def pieced(data: bytes, chance: Random, others: Sequence[bytes]) -> bytes:
    """A text with a few bytes, lines or pieces changed, taken out, doubled or from another file."""
    for _ in range(chance.choice((1, 1, 2, 3, 6))):
        at = chance.randrange(len(data) + 1)
        end = min(len(data), at + chance.choice((0, 1, 4, 40)))
        kind = chance.randrange(5)
        if kind == 0:
            middle = chance.choice(PIECES)
        elif kind == 1:
            middle = bytes([chance.randrange(256)])
        elif kind == 2:
            other = chance.choice(others)
            begin = chance.randrange(len(other) + 1)
            middle = other[begin : begin + chance.choice((10, 200))]
        elif kind == 3:
            middle = data[at:end] * chance.choice((2, 30))
        else:
            middle = b""
        data = data[:at] + middle + data[end:]
    return data


ODD = (
    *(b"''", b'""', b"[]", b"{}", b"null", b"~", b"true", b"false", b"0", b"-1", b"1.5", b"1e999", b"NaN", b"0x7f"),
    *(b'"../../x"', b'"/etc/passwd"', b"C:\\x", b'"a\\u0000b"', b'"\\ud800"', b"'\xc3\xa9'", b'"https://u:p@h/x"'),
    *(b"https://[", b"file:///etc/passwd", b"git+ext::sh", b"--config=x", b"9" * 400, b"a" * 2000, b"1." * 200 + b"0"),
    *(b"&a", b"*a", b"!!python/name:os", b"<<", b"|", b">-", b"---", b"- ", b"? ", b": ", b", ", b" = ", b"\t", b"\n"),
    *(b"[" * 60, b"{a: " * 40, b"((" * 60, b"2026-11-21", b"1:30", b"inf", b"*", b".", b"..", b"CON", b"\xe2\x80\xae"),
)
"""Words that stand for another type, another place, another grammar, or too much."""
_WORD = re.compile(rb"\"(?:[^\"\\\n]|\\.)*\"|'[^'\n]*'|[\w.+-]+|[ \t]+|\n|[^\w\s]")


@cache
def _words(data: bytes) -> tuple[bytes, ...]:
    return tuple(_WORD.findall(data))


def reworded(data: bytes, chance: Random, others: Sequence[bytes]) -> bytes:
    """A text with one or a few words exchanged, doubled, taken out or moved; ``others`` lend theirs."""
    words = list(_words(data))
    for _ in range(chance.choice((1, 1, 1, 2, 3, 5))):
        at = chance.randrange(len(words)) if words else 0
        what = chance.randrange(7)
        if what == 0:
            words[at : at + 1] = [chance.choice(ODD)]
        elif what == 1:
            words[at : at + 1] = [chance.choice(_words(chance.choice(others)) or (b"x",))]
        elif what == 2:
            del words[at : at + chance.choice((1, 1, 2, 9))]
        elif what == 3:
            words[at:at] = words[at : at + chance.choice((1, 3, 20))]
        elif what == 4:
            words[at:at] = [chance.choice(ODD)]
        elif what == 5:
            other = chance.choice(_lines(chance.choice(others)))
            while at < len(words) and words[at] != b"\n":
                at += 1
            words[at:at] = [b"\n", other]
        else:
            to = chance.randrange(len(words) + 1)
            words[to:to] = words[at : at + chance.choice((1, 4, 12))]
    return b"".join(words)


@cache
def _lines(data: bytes) -> tuple[bytes, ...]:
    return tuple(data.split(b"\n"))


def changed_text(data: bytes, chance: Random, others: Sequence[bytes]) -> bytes:
    """A text changed in one of the ways above; one in thirty has the end of its lines changed too."""
    way: Callable[[], bytes] = chance.choice(
        (
            lambda: damaged(data, chance),
            lambda: pieced(data, chance, others),
            lambda: reworded(data, chance, others),
            lambda: reworded(data, chance, others),
        )
    )
    changed = way()
    return changed.replace(b"\n", chance.choice((b"\r\n", b"\r", b"\n\n"))) if chance.random() < 0.03 else changed


FIELDS = (
    *((0, b"../x\0"), (0, b"/x\0"), (124, b"77777777777\0"), (124, b"\xff" * 12), (157, b"../../x\0")),
    *((156, bytes([kind])) for kind in b"01234567xgLKSV"),
)
"""Places in a tar's header, and what is put there."""


def changed_archive(data: bytes, chance: Random) -> bytes:
    """An archive after one to six changes of its bytes, blocks and headers."""
    changed = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 3, 6))):
        if not changed:
            break
        at = chance.randrange(len(changed))
        match chance.randrange(8):
            case 0:
                changed[at] ^= 1 << chance.randrange(8)
            case 1:
                changed[at] = chance.choice(b"\0\xff/.\\0179 \x80")
            case 2:
                del changed[at : at + chance.choice((1, 7, 512, 513))]
            case 3:
                changed[at:at] = chance.choice((b"\0", b"../", b"/", bytes(512), b"PK\5\6" + bytes(18)))
            case 4:
                other = chance.randrange(len(changed))
                changed[at : at + 512] = changed[other : other + 512]
            case 5:
                block = at // 512 * 512
                field, text = chance.choice(FIELDS)
                changed[block + field : block + field + len(text)] = text
            case 6:
                del changed[at:]
            case _:
                changed += changed[: chance.randrange(2000)]
    return bytes(changed)


def with_right_sums(data: bytes) -> bytes:
    """A tar whose headers' checksums are right again, so that a change gets past them."""
    changed = bytearray(data)
    for at in range(0, len(changed) - 511, 512):
        block = changed[at : at + 512]
        if block[257:262] == b"ustar":
            total = sum(block[:148]) + sum(block[156:]) + 256
            changed[at + 148 : at + 156] = b"%06o\0 " % (total % (1 << 18))
    return bytes(changed)
