"""Brings envbuild to a node, and lets it bring the environment of a step.

``tools STORE`` has envbuild and what it needs in a virtual environment below ``ENVBUILD_HOME``, once for all tasks of a
node, and prints a folder whose ``bin`` goes on ``PATH``. ``package FOLDER NAME FILE`` reads a code package. ``enter
FLOW/STEP`` has the environment of a step brought by that envbuild, and prints what to start it with. Each byte is held
against the digest that the launching side knew.

``MANIFEST``, ``STEPS``, ``GETS`` and ``unpacking`` are put before this text where it is sent; the whole has the digest that the command
names.
"""

# mypy: ignore-errors
import contextlib
import fcntl
import hashlib
import json
import os
import stat
import sys
import threading
import time


class StopError(Exception):
    """Ends with an exit code of envbuild's."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


def say(text):
    print("envbuild: " + text, file=sys.stderr, flush=True)


def deadline():
    return globals().get("END") or globals().setdefault(
        "END", time.monotonic() + float(os.environ.get("ENVBUILD_DEADLINE") or 600)
    )


def reader(url):
    """What reads objects below an address."""
    scheme = url.partition("://")[0] if "://" in url else "file"
    space = {"__name__": "get"}
    exec(compile(GETS[scheme], "get_%s.py" % scheme, "exec"), space)
    return lambda key: space["get"](url, key)


def patiently(read, key, right):
    """An object whose bytes are right, asked for again until the deadline."""
    pause, wrong = 0.5, 0
    while True:
        try:
            data = read(key)
            if data is None:
                raise StopError(4, "the store has no %s, or it may not be read" % key)
            if right(data):
                return data
            wrong += 1
            why = "wrong bytes"
            if wrong == 3:
                raise StopError(4, "%s has wrong bytes" % key)
        except (OSError, ValueError, KeyError, TypeError) as error:
            why = error
        if time.monotonic() + pause > deadline():
            raise StopError(5, "%s: %s" % (key, why))
        say("%s: %s; asked again" % (key, why))
        time.sleep(pause)
        pause = min(2 * pause, 15)


def blob(read, digest):
    name = "blobs/sha256/%s/%s" % (digest[:2], digest)
    return patiently(read, name, lambda data: hashlib.sha256(data).hexdigest() == digest)


def home():
    """As ``envbuild.machine.home`` finds it; for a node without a home, a folder of this user's own."""
    e = os.environ.get
    base = e("ENVBUILD_HOME") or (
        os.path.join(e("XDG_DATA_HOME") or os.path.join(e("HOME") or "", ".local", "share"), "envbuild")
        if e("HOME") or e("XDG_DATA_HOME")
        else ""
    )
    if base:
        with contextlib.suppress(OSError):
            os.makedirs(base, exist_ok=True)
        if os.access(base, os.W_OK):
            return os.path.realpath(base)
        if e("ENVBUILD_HOME"):
            raise StopError(8, "ENVBUILD_HOME=%s cannot be written" % base)
    import tempfile

    base = os.path.join(tempfile.gettempdir(), "envbuild-%d" % os.getuid())
    with contextlib.suppress(FileExistsError):
        os.mkdir(base, 0o700)
    state = os.lstat(base)
    if not stat.S_ISDIR(state.st_mode) or state.st_uid != os.getuid() or state.st_mode & 0o022:
        raise StopError(3, "%s is not a folder of this user alone; set ENVBUILD_HOME" % base)
    return os.path.realpath(base)


@contextlib.contextmanager
def alone(path):
    """One process of the node at a time; the kernel forgets the lock of one that was killed."""
    pause = 0.01
    with open(path, "a") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline():
                    raise StopError(5, "another task of this node has not brought envbuild in time") from None
                time.sleep(pause)
                pause = min(1.2 * pause, 0.1)
        yield


def script(path, text):
    with open(path, "w") as file:
        file.write(text)
    os.chmod(path, 0o755)


def quoted(text):
    return "'" + text.replace("'", "'\\''") + "'"


def make(read, folder, final, tools):
    """Everything in a folder that gets its final name when it is whole."""
    own = os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable)
    site = os.path.join(folder, "lib", "python" + tools["python"], "site-packages")
    for needed in (site, os.path.join(folder, "bin")):
        os.makedirs(needed)
    if tools["managed"]:
        unpack_python(blob(read, tools["managed"]), folder)  # noqa: F821  of the file before
        base = os.path.join(final, "python", "bin", "python" + tools["python"])
    else:
        base = own
    unpack(blob(read, tools["archive"]), folder, site)  # noqa: F821
    for name in tools["names"]:
        os.symlink(os.path.join(programs_folder(tools["programs"]), "bin", name), os.path.join(folder, "bin", name))
    for name in ("python", "python3"):
        os.symlink(base, os.path.join(folder, "bin", name))
    with open(os.path.join(folder, "pyvenv.cfg"), "w") as file:
        file.write("home = %s\ninclude-system-site-packages = false\n" % os.path.dirname(base))


def programs_folder(digest):
    return os.path.join(home(), "node", hashlib.sha256(("programs " + digest).encode()).hexdigest()[:32])


def have_programs(store, digest, managed):
    """Have large programs, by which is linked what else is being brought meanwhile."""

    def fill(folder):
        unpack(blob(reader(store), digest), folder, folder)  # noqa: F821
        if not managed:
            meet_python(os.path.join(folder, "bin", "uv"))

    once(programs_folder(digest), fill)


def meet_python(uv):
    """Let uv look at the Python of the node, as it would before it links anything; a courtesy."""
    cache = os.path.join(home(), "cache", "uv")
    base = os.path.join(sys.base_prefix, "bin", "python%d.%d" % sys.version_info[:2])
    known = os.listdir(cache) if os.path.isdir(cache) else ()
    if any(name.startswith("interpreter-") for name in known) or not (os.path.exists(uv) and os.path.exists(base)):
        return
    words = [uv, "python", "find", "--no-config", "--no-python-downloads", os.path.realpath(base)]
    os.makedirs(os.path.dirname(cache), 0o700, exist_ok=True)
    environ = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    with open(os.devnull, "w") as nowhere:
        silent = [(os.POSIX_SPAWN_DUP2, nowhere.fileno(), number) for number in (1, 2)]
        os.waitpid(os.posix_spawn(uv, words, {**environ, "UV_CACHE_DIR": cache}, file_actions=silent), 0)


def tools_here():
    machine = "%s/%s" % (os.uname().sysname, os.uname().machine)
    tools = MANIFEST.get({"Linux/x86_64": "linux-64", "Linux/aarch64": "linux-aarch64"}.get(machine, machine))
    if tools is None:
        raise StopError(11, "this node is %s; the run was sent for %s" % (machine, ", ".join(sorted(MANIFEST))))
    here = "%d.%d" % sys.version_info[:2]
    if not tools["managed"] and here != tools["python"]:
        raise StopError(
            11, "this node has Python %s; its steps want %s (`interpreter: host`)" % (here, tools["python"])
        )
    return tools


def have_tools(store, *entering):
    """Have all that stands on ``PATH`` then; what links goes on coming where a step will enter an environment."""
    tools = tools_here()
    place = os.path.join(home(), "node")
    os.makedirs(place, exist_ok=True)
    later = [tools["programs"], bool(tools["managed"])] if tools["programs"] else None
    if later and entering and not os.path.isdir(programs_folder(tools["programs"])):
        apart(lambda: have_programs(store, *later))
    known = json.dumps([tools, "" if tools["managed"] else sys.executable], sort_keys=True)
    final = os.path.join(place, hashlib.sha256(known.encode()).hexdigest()[:32])
    once(final, lambda folder: make(reader(store), folder, final, tools))
    mine = os.path.join(place, hashlib.sha256(OWN + final.encode() + store.encode()).hexdigest()[:32])
    once(mine, lambda folder: commands(folder, mine, final, store, later))
    return mine


def once(final, fill):
    """A folder that gets its name when it is whole, made by one process of the node."""
    if not os.path.isdir(final):
        with alone(final + ".lock"):
            if not os.path.isdir(final):
                folder = os.path.join(os.path.dirname(final), "." + os.path.basename(final))
                if os.path.isdir(folder):  # of one that was killed
                    import shutil

                    shutil.rmtree(folder, ignore_errors=True)
                os.makedirs(folder)
                fill(folder)
                os.rename(folder, final)


def commands(folder, final, tools, store, later):
    """What a command finds on ``PATH``: this program, and the Python that it brought."""
    tail = "\nSTORE, TOOLS, LATER = %r, %r, %r\n" % (store, tools, later)
    tail += "if __name__ == '__main__':\n    sys.exit(main(sys.argv[1:]))\n"
    with open(os.path.join(folder, "first.py"), "wb") as file:
        file.write(OWN + tail.encode())
    os.mkdir(os.path.join(folder, "bin"))
    python = quoted(os.path.join(tools, "bin", "python"))
    for name in ("python", "python3"):
        script(os.path.join(folder, "bin", name), '#!/bin/sh\nexec %s "$@"\n' % python)
    words = (python, quoted(os.path.join(final, "first.py")))
    script(os.path.join(folder, "bin", "envbuild-node"), '#!/bin/sh\nexec %s -I %s "$@"\n' % words)


def package(folder, name, file):
    """A code package; its name in the store is its SHA-1."""
    data = patiently(reader(folder), name, lambda data: len(name) != 40 or hashlib.sha1(data).hexdigest() == name)
    with open(file, "wb") as written:
        written.write(data)


def enter(step):
    """Let envbuild bring the environment of a step; it prints what a task starts with."""
    words = [STORE, *STEPS[step], step]
    arrival = apart(lambda: have_programs(STORE, *LATER)) if LATER else None
    with alone(os.path.join(home(), "node", STEPS[step][1] + ".lock")):  # the next one finds it done
        left = max(1, int(deadline() - time.monotonic()))
        os.environ.setdefault("ENVBUILD_DURABILITY", "fast")
        os.environ.update(ENVBUILD_DEADLINE=str(left), ENVBUILD_HOME=home())
        os.environ["PATH"] = os.path.join(TOOLS, "bin") + ":" + os.environ.get("PATH", "")  # no script before it
        late = threading.Timer(left + 5, too_late)
        late.daemon = True
        late.start()
        import importlib

        bring = importlib.import_module("envbuild.metaflow.hydrating").main  # of what was brought
        try:
            return bring(words, arrival)
        except OSError:  # none of this file's own
            import traceback

            traceback.print_exc()
            return 1
        finally:
            if arrival is not None:
                arrival()


def apart(work):
    """Do something in another process: threads of one that imports would wait for each other's turns.

    Gives what waits for its end, and tells the exit code; why it failed is said there.
    """
    process = os.fork()
    if not process:
        code = 1
        try:
            with open(os.devnull, "w") as nowhere:
                os.dup2(nowhere.fileno(), 1)  # a shell waits until nobody can write there
            work()
            code = 0
        except (StopError, OSError) as error:
            say(str(error))
            code = code_of(error)
        finally:
            os._exit(code)
    guard, ended = threading.Lock(), []

    def wait():
        with guard:
            if not ended:
                status = os.waitpid(process, 0)[1]
                ended.append(os.WEXITSTATUS(status) if os.WIFEXITED(status) else 1)
        return ended[0]

    return wait


def too_late():
    say("the environment was not there after ENVBUILD_DEADLINE seconds")
    os._exit(5)


def code_of(error):
    return error.code if isinstance(error, StopError) else 8 if error.errno in (28, 122) else 5


def main(arguments):
    try:
        verb, *words = arguments
        if verb == "tools":
            print(have_tools(*words))
        elif verb == "package":
            package(*words)
        else:
            return enter(*words)
    except (StopError, OSError) as error:
        say(str(error))
        return code_of(error)
    return 0
