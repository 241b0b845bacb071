"""The first program of a bundle, run as text by a bare Python: holds parts against their sha256, unpacks envbuild.

What the shell's part found out stands in ``sys.argv``: the bundle, where this text stands and its sha256, the sha256 of
the shell's part, the folder with the Python that came along ("" without one), the folder to install into (likewise),
and whether to check only. It ends as ``envbuild.cli.unbundle``, in this process, or removes what it made.

Rules of the file: the standard library of Python 3.10; no imports of ours, for there is nothing of ours yet.
"""

# mypy: ignore-errors

import hashlib
import json
import os
import shutil
import signal
import socket
import sys
import zipfile

HEADER = 16384
PIECE = 1 << 20


class StopError(Exception):
    """Ends with an exit code of envbuild's."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


class Bundle:
    """The file: its index, and its parts by their sha256."""

    def __init__(self, path, start_size, own):
        self.path = path
        self.file = open(path, "rb")
        damaged = StopError(4, "%s is cut or damaged" % path)
        header = self.file.read(HEADER)
        if hashlib.sha256(header.replace(own.encode(), b"0" * 64)).hexdigest() != own:
            raise damaged
        self.file.seek(HEADER + start_size)
        line = self.file.readline(200)
        try:
            sha256, size = line.split()
            self.index_bytes = self.file.read(int(size))
        except (ValueError, OverflowError, MemoryError):
            raise damaged from None
        if hashlib.sha256(self.index_bytes).hexdigest().encode() != sha256:
            raise damaged
        self.index = json.loads(self.index_bytes)
        self.places = {}
        at = HEADER + start_size + len(line) + len(self.index_bytes)
        for name, length in self.index["parts"]:
            self.places[name] = (at, length)
            at += length
        there = os.fstat(self.file.fileno()).st_size
        if there != at:
            raise StopError(4, "%s is cut or damaged: it has %d bytes of %d" % (path, there, at))

    def pieces(self, name):
        """The bytes of a part; whoever used them before the last came has used wrong ones where this raises."""
        at, left = self.places[name]
        self.file.seek(at)
        state = hashlib.sha256()
        while left:
            try:
                piece = self.file.read(min(PIECE, left))
            except OSError as error:
                raise StopError(4, "%s cannot be read: %s" % (self.path, error.strerror)) from None
            if not piece:
                break
            state.update(piece)
            left -= len(piece)
            yield piece
        if state.hexdigest() != name:
            raise StopError(
                4, "%s is cut or damaged: the sha256 of a part is %s, not %s" % (self.path, state.hexdigest(), name)
            )


class EndedError(BaseException):
    """Somebody ends this process."""


def ended(number, frame):
    raise EndedError(128 + number)


def say(text):
    sys.stderr.write("envbuild: " + text + "\n")
    sys.stderr.flush()


def home():
    e = os.environ.get
    if e("ENVBUILD_HOME"):
        return os.path.realpath(e("ENVBUILD_HOME"))
    if (e("XDG_DATA_HOME") or "").startswith("/"):
        return os.path.join(os.path.realpath(e("XDG_DATA_HOME")), "envbuild")
    if e("HOME"):
        return os.path.join(os.path.realpath(e("HOME")), ".local", "share", "envbuild")
    raise StopError(2, "there is no place to install to: HOME is not set; choose one with --prefix DIR")


def place(work, prefix, check):
    """A folder of this process beside what it will make; what processes that were killed left there goes."""
    if work:
        parent, begin = os.path.dirname(work), os.path.basename(work).rpartition(".bundle-")[0] + ".bundle-"
    elif check:
        parent, begin = os.environ.get("TMPDIR") or "/tmp", ".envbuild.bundle-"
    elif prefix:
        parent, begin = os.path.dirname(prefix), ".%s.bundle-" % os.path.basename(prefix)
    else:
        parent, begin = home(), "..bundle-"
    begin += "%s-" % socket.gethostname().replace("/", "_")
    try:
        os.makedirs(parent, mode=0o755 if prefix or check else 0o700, exist_ok=True)
        for name in os.listdir(parent):
            if name.startswith(begin) and name[len(begin) :].isdigit() and gone(int(name[len(begin) :])):
                remove(os.path.join(parent, name))
        if not work:
            work = os.path.join(parent, "%s%d" % (begin, os.getpid()))
            os.mkdir(work, 0o700)
    except OSError as error:
        raise StopError(
            8, "cannot write into %s (%s); choose another place with --prefix DIR" % (parent, error.strerror)
        ) from None
    return work


def gone(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return False


def remove(path):
    for folder, _, _ in os.walk(path):
        try:
            os.chmod(folder, 0o700)
        except OSError:
            pass
    shutil.rmtree(path, ignore_errors=True)


def unpack_wheel(path, site, programs):
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            parts = member.filename.split("/")
            if member.is_dir() or ".." in parts or "" in parts:
                continue
            root = site
            if parts[0].endswith(".data"):
                if len(parts) < 3 or parts[1] not in ("scripts", "purelib", "platlib"):
                    continue
                root, parts = (programs if parts[1] == "scripts" else site), parts[2:]
            target = os.path.join(root, *parts)
            os.makedirs(os.path.dirname(target), exist_ok=True)
            with archive.open(member) as source, open(target, "wb") as out:
                shutil.copyfileobj(source, out, PIECE)
            if root is programs or member.external_attr >> 16 & 0o111:
                os.chmod(target, 0o755)


def unpack(bundle, work):
    """A virtual environment with envbuild in it; its Python."""
    tools, needs = bundle.index["tools"], os.path.join(work, "tools")
    site = os.path.join(needs, "lib", "python%d.%d" % sys.version_info[:2], "site-packages")
    programs = os.path.join(needs, "bin")
    os.makedirs(site)
    os.makedirs(programs)
    for name in (tools["own"], *tools["wheels"]):
        wheel = os.path.join(work, "part.whl")
        with open(wheel, "wb") as out:
            for piece in bundle.pieces(name):
                out.write(piece)
        unpack_wheel(wheel, site, programs)
        os.unlink(wheel)
    base = os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable)
    python = os.path.join(programs, "python")
    os.symlink(base, python)
    with open(os.path.join(needs, "pyvenv.cfg"), "w") as out:
        out.write("home = %s\ninclude-system-site-packages = false\n" % os.path.dirname(base))
    return python


def check_room(bundle, work):
    state = os.statvfs(work)
    free, need = state.f_bavail * state.f_frsize, bundle.index["needs"]
    if free < need:
        raise StopError(
            8, "%d MB are needed in %s, and %d MB are free" % (need / 1e6 + 1, os.path.dirname(work), free / 1e6)
        )


def main(path, start_size, own, work, prefix, check):
    os.umask(0o022)
    made = work
    try:
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, ended)
        bundle = Bundle(path, start_size, own)
        if prefix:
            prefix = os.path.abspath(prefix)
        made = place(work, prefix, check)
        check_room(bundle, made)
        if check:
            say("checking")
            for name in bundle.places:
                for _ in bundle.pieces(name):
                    pass
        elif not work:
            say("unpacking")
        python = unpack(bundle, made)
        with open(os.path.join(made, "index.json"), "wb") as out:
            out.write(bundle.index_bytes)
        start = str(bundle.places[bundle.index["parts"][0][0]][0])
        words = ["-I", "-X", "utf8", "-m", "envbuild.cli.unbundle", path, start, made, prefix]
        os.execv(python, [python, *words, "check" if check else ""])
    except StopError as error:
        say(str(error))
        code = error.code
    except KeyboardInterrupt:
        code = 130
    except EndedError as error:
        code = error.args[0]
    except (OSError, zipfile.BadZipFile) as error:
        where = getattr(error, "filename", None) or made or path
        say("cannot write %s: %s" % (where, getattr(error, "strerror", None) or error))
        code = 8
    if made:
        remove(made)
    os._exit(code)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[3]), sys.argv[5], sys.argv[6], sys.argv[7], sys.argv[8] == "yes")
