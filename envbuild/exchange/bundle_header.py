"""The shell's part of a bundle: a text of fixed length that looks at the machine and finds, or unpacks, a Python.

``sh FILE`` reads no more than this. The program in it stands there twice: the first lines, the guard, read both with
nothing but the shell, and run the program only where both are the same, so that no command is run of a text that was
cut or changed. What ends the shell before, such as a syntax error in the guard itself, is told as damage by a trap.
What follows in the file is ``bundle_start``, the index, and the files that the index names.

The program begins with what nobody else can say: another system, a glibc that is too old, no Python of the series. The
whole text is held against its own sha256 before anything is written: by the program where it unpacks a Python, else by
``bundle_start``.

Rules of the file: POSIX sh, dash and busybox included. In the guard no byte with one bit changed may write to a file:
it says what it has to say by ``${name?words}``, which needs no redirection; ``set -C`` keeps a ``<`` that became a
``>`` from emptying the bundle, and stands in a function, where a ``set`` that went wrong loses no arguments; and what a
backquote begins that was a letter does not run on into the binary parts of the file. Nothing waits for a person.
"""

from __future__ import annotations

from envbuild.digest import digest_bytes

LENGTH = 16384
"""Bytes of the text; comment lines fill it up."""

GUARD = 1024
"""Bytes of its first lines, likewise."""

PROGRAM = 7500
"""Bytes of the program, likewise; no digit is a 6, which is in one bit a ``>``."""

MACHINES = {
    "linux-64": "Linux/x86_64",
    "linux-aarch64": "Linux/aarch64",
    "osx-64": "Darwin/x86_64",
    "osx-arm64": "Darwin/arm64",
}
"""What ``uname`` says on platforms that have a POSIX shell."""

UNSIGNED = "0" * 64
"""Stands in the place of the text's own sha256 while that is computed."""

_GUARD = r"""#!/bin/sh
trap 'exit 4' 0
trap '(: "${envbuild?this file is cut or damaged, or was not run as: sh FILE}"); exit 4' 0
# An environment of Python and conda packages that installs itself, without a network: sh THIS-FILE --help
# The program for that stands here twice, and is run only where both are the same.
unset envbuild
keep() { set -C; }
exec </dev/null
end='
'
lines() {
  one=$two two= n=0
  while [ ${#two} -lt $1 ] && [ $n -lt 500 ] && IFS= read -r line; do two=$two$line$end n=$((n+1)); done
}
both() { lines @GUARD@ && lines @PROGRAM@ && lines @PROGRAM@; }
keep
<"$0" both
[ "$one" = "$two" ] && [ ${#two} = @PROGRAM@ ] && eval "$two"
exit 4
# Here ends what a character may begin that became another one: `
"""
"""Reads itself, then the program twice. Each line is counted, and each character: one of both ends the loop."""

_PROGRAM = r"""# The program.
{ set +C; trap - 0
own=@OWN@
platform=@PLATFORM@ machine=@MACHINE@ glibc=@GLIBC@ series=@SERIES@
start_at=@START_AT@ start_size=@START_SIZE@ start_sum=@START_SUM@
python_at=@PYTHON_AT@ python_size=@PYTHON_SIZE@ python_sum=@PYTHON_SUM@

fail() {
  code=$1; shift
  printf 'envbuild: %s\n' "$*" >&2
  exit "$code"
}

digest() {
  if command -v sha256sum >/dev/null 2>&1; then sha256sum
  elif command -v shasum >/dev/null 2>&1; then shasum -a 256
  elif command -v openssl >/dev/null 2>&1; then openssl dgst -sha256 -r
  else fail 11 "this machine has no program for sha256: one of sha256sum, shasum and openssl"
  fi
}

usage() {
  printf '%s\n' \
    "usage: sh $me [--prefix DIR] [--check]" \
    "" \
    "Installs an environment for $platform. No network is used, and nothing has to be installed before." \
    "" \
    "  --prefix DIR  where the environment goes; must not be there, or be empty. It cannot be moved afterwards." \
    "                Without it: ENVBUILD_HOME, else \$XDG_DATA_HOME/envbuild, else ~/.local/share/envbuild" \
    "  --check       hold every byte of this file against its sha256, and this machine against what is needed;" \
    "                install nothing" \
    "  --help        this text" \
    "" \
    "Prints the path of the environment. Exit codes: 2 usage, 4 this file is damaged, 6 the folder is taken," \
    "8 no space or no right to write, 11 this machine lacks what is needed."
}

me=$0 prefix= check=no
[ -f "$me" ] || fail 2 "run this as: sh FILE"
case $me in /*) ;; *) me=$PWD/$me ;; esac
while [ $# -gt 0 ]; do
  case $1 in
    --prefix) [ $# -gt 1 ] || fail 2 "--prefix needs a folder"; prefix=$2; shift ;;
    --prefix=*) prefix=${1#--prefix=} ;;
    --check) check=yes ;;
    -h|--help) usage; exit 0 ;;
    *) fail 2 "$1 is not known here; sh $me --help" ;;
  esac
  [ "$1" = --check ] || [ -n "$prefix" ] || fail 2 "--prefix needs a folder"
  shift
done
case $prefix in ""|/*) ;; *) prefix=$PWD/$prefix ;; esac
while [ "$prefix" != "${prefix%/}" ] && [ "$prefix" != / ]; do prefix=${prefix%/}; done

if command -v uname >/dev/null 2>&1; then
  here=$(uname -s)/$(uname -m)
  case $here in Linux/arm64) here=Linux/aarch64 ;; Darwin/aarch64) here=Darwin/arm64 ;; esac
  [ "$here" = "$machine" ] || fail 11 "this bundle is for $platform ($machine), and this machine is $here"
fi
if [ -n "$glibc" ] && command -v getconf >/dev/null 2>&1; then
  have=$(getconf GNU_LIBC_VERSION 2>/dev/null) || have=
  have=${have#glibc }
  case $have in
    [0-9]*.[0-9]*)
      rest=${have#*.}; rest=${rest%%[!0-9]*}
      if [ "${have%%.*}" -lt "${glibc%%.*}" ] ||
        { [ "${have%%.*}" -eq "${glibc%%.*}" ] && [ "$rest" -lt "${glibc#*.}" ]; }; then
        fail 11 "this machine has glibc $have, and $glibc is needed"
      fi ;;
    *) fail 11 "this machine has no glibc, and $glibc is needed" ;;
  esac
fi

work= python=
if [ -z "$python_sum" ]; then
  for name in "python$series" python3 python; do
    command -v "$name" >/dev/null 2>&1 || continue
    if "$name" -I -S -c 'import sys; sys.exit("%d.%d" % sys.version_info[:2] != sys.argv[1])' "$series" 2>/dev/null
    then
      python=$name
      break
    fi
  done
  [ -n "$python" ] || fail 11 "there is no Python $series on PATH, and this bundle brings none"
else
  for program in uname mkdir rm wc head tail gzip tar; do
    command -v "$program" >/dev/null 2>&1 || fail 11 "this machine has no $program, which is needed to unpack a Python"
  done
  sum=$(head -c @LENGTH@ "$me" | while IFS= read -r line; do
    case $line in own=*) line=own=@UNSIGNED@ ;; esac
    printf '%s\n' "$line"
  done | digest) || exit 11
  [ "${sum%% *}" = "$own" ] || fail 4 "$me is cut or damaged"
  if [ "$check" = yes ]; then home=${TMPDIR:-/tmp}/envbuild
  elif [ -n "$prefix" ]; then home=$prefix
  elif [ -n "${ENVBUILD_HOME-}" ]; then home=$ENVBUILD_HOME
  elif [ -n "${XDG_DATA_HOME-}" ]; then home=$XDG_DATA_HOME/envbuild
  elif [ -n "${HOME-}" ]; then home=$HOME/.local/share/envbuild
  else fail 2 "there is no place to install to: HOME is not set; choose one with --prefix DIR"
  fi
  case $home in /*) ;; *) home=$PWD/$home ;; esac
  parent=${home%/*}; name=${home##*/}
  if [ -z "$prefix" ] && [ "$check" = no ]; then parent=$home; name=; fi
  if [ -z "$name" ]; then mkdir -p "${home%/*}" 2>/dev/null; mkdir -m 700 "$home" 2>/dev/null
  else mkdir -p "${parent:-/}" 2>/dev/null
  fi
  work=$parent/.$name.bundle-$(uname -n)-$$
  mkdir -m 700 "$work" 2>/dev/null ||
    fail 8 "cannot write into ${parent:-/}; choose another place with --prefix DIR"
  trap 'rm -rf "$work"' 0
  trap 'exit 129' 1; trap 'exit 130' 2; trap 'exit 143' 15
  [ "$check" = yes ] || printf '%s\n' "Unpacking ..." >&2
  tail -c "+$python_at" "$me" 2>/dev/null | head -c "$python_size" >"$work/python.tar.gz" 2>/dev/null
  sum=$(digest <"$work/python.tar.gz") || exit 11
  if [ "${sum%% *}" != "$python_sum" ]; then
    wrote=$(wc -c <"$work/python.tar.gz")
    whole=$(wc -c <"$me")
    if [ "$wrote" -lt "$python_size" ] && [ "$whole" -gt "$((python_at + python_size))" ]; then
      fail 8 "cannot write into ${parent:-/}: the disk is full"
    fi
    fail 4 "$me is cut or damaged: its Python is not what was written"
  fi
  (cd "$work" && gzip -dc python.tar.gz | tar -xf - && [ -x python/bin/python3 ]) 2>/dev/null ||
    fail 8 "cannot unpack a Python into ${parent:-/}: the disk is full, or tar and gzip are not there"
  rm -f "$work/python.tar.gz"
  python=$work/python/bin/python3
  "$python" -I -S -c pass 2>/dev/null ||
    fail 11 "the Python of this bundle does not start in ${parent:-/}: programs may not run there, or it needs more"
fi
exec "$python" -I -S -X utf8 -c '
import hashlib, sys
me, at, size, right = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
with open(me, "rb") as file:
    file.seek(at)
    text = file.read(size)
if hashlib.sha256(text).hexdigest() != right:
    import os, shutil
    if sys.argv[6]:
        shutil.rmtree(sys.argv[6], ignore_errors=True)
    sys.stderr.write("envbuild: %s is cut or damaged\n" % me)
    os._exit(4)
exec(compile(text, "bundle", "exec"))
' "$me" "$start_at" "$start_size" "$start_sum" "$own" "$work" "$prefix" "$check"
}
"""


def header(
    platform: str,
    glibc: str | None,
    series: str,
    start: bytes,
    python: tuple[int, int, str] | None,
) -> bytes:
    """The text.

    Args:
        platform: That the bundle is for.
        glibc: The oldest that will do; None where there is none.
        series: Of the Python that runs envbuild.
        start: The program behind the header.
        python: Where the archive of a Python stands in the file, its bytes and its sha256; None for the machine's own.
    """
    at, size, sha256 = python if python is not None else (0, 0, "")
    said = {
        "PLATFORM": platform,
        "MACHINE": MACHINES[platform],
        "GLIBC": glibc or "",
        "SERIES": series,
        "START_AT": LENGTH,
        "START_SIZE": len(start),
        "START_SUM": digest_bytes(start),
        "PYTHON_AT": at + 1,  # tail counts from one
        "PYTHON_SIZE": size,
        "PYTHON_SUM": sha256,
        "OWN": UNSIGNED,
        "UNSIGNED": UNSIGNED,
        "LENGTH": LENGTH,
    }
    program = _PROGRAM
    for name, value in said.items():
        program = program.replace(f"@{name}@", str(value))
    guard = _GUARD.replace("@GUARD@", str(GUARD)).replace("@PROGRAM@", str(PROGRAM))
    text = _filled(_filled(guard, GUARD) + _filled(program, PROGRAM) * 2, LENGTH).encode()
    return text.replace(_line(UNSIGNED), _line(digest_bytes(text)))


def _line(own: str) -> bytes:
    """The line of the program that says the text's sha256."""
    return f"\nown={own}\n".encode()


def _filled(text: str, length: int) -> str:
    """With lines of comment up to some length."""
    lines, rest = divmod(length - len(text), 64)
    assert lines > 0, "it has to be longer"
    return text + ("#" * 63 + "\n") * (lines - 1) + "#" * (63 + rest) + "\n"
