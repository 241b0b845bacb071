"""The program that shuts a build off and then becomes it, alone in a process of its own.

It is run as ``python -I -S isolated_child.py PLAN PROGRAM ARGUMENT…`` by envbuild's own Python, before anything of the
source runs; ``PLAN`` is JSON. Without a program it says on standard output which of the parts work here.

What it does on Linux, each in a namespace of its own (``unshare``), which an ordinary user may have too where the
kernel lets users have user namespaces: **network**, there is none, not even a loopback; **processes**, the build sees
its own alone, and when it ends, or we do, the kernel ends whatever it started, also what left its session; **files**,
everything is read-only but the build's own folder, which lies at ``/tmp``, so that no path of the machine gets into
what is built; places of sockets and secrets are empty. Then all powers are given up: root is an ordinary user in there.

Elsewhere, or where the kernel refuses, only the limits are set. Rules of the file: the standard library only; decides
nothing; whatever fails says so and ends with ``FAILED``.
"""

# ruff: noqa: PTH103, PTH110, PTH112, PTH120, PTH123

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import sys
from typing import Any

FAILED = 125
"""Exit code when the isolation that was asked for cannot be had, as ``chroot`` and ``docker`` use it."""

_NEWNS, _NEWUTS, _NEWIPC, _NEWUSER, _NEWPID, _NEWNET = 0x20000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000
_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_BIND, _MS_REC, _MS_PRIVATE = 1, 2, 4, 8, 4096, 16384, 1 << 18
_MOUNT_SETATTR, _AT_RECURSIVE, _ATTR_RDONLY = 442, 0x8000, 1
_PDEATHSIG, _CAPBSET_DROP, _SECUREBITS, _NO_NEW_PRIVS, _AMBIENT, _CLEAR_ALL = 1, 24, 28, 38, 47, 4
_ROOT_IS_NOBODY = 0b101111
"""Secure bits, locked: an exec by uid 0 gives no capabilities, nor does a change of uid keep any."""

_SEMAPHORES = "/dev/shm"  # noqa: S108  the place of the system for them

_libc = ctypes.CDLL(None, use_errno=True)


def _call(name: str, *arguments: Any) -> None:
    if getattr(_libc, name)(*arguments) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")


def _mount(source: str | None, target: str, kind: str | None, flags: int, data: str = "") -> None:
    texts = [None if text is None else os.fsencode(text) for text in (source, target, kind)]
    _call("mount", *texts, ctypes.c_ulong(flags), data.encode() or None)


def _read_only(path: str, on: bool, recursive: bool = False) -> None:
    attributes = (ctypes.c_uint64 * 4)(_ATTR_RDONLY if on else 0, 0 if on else _ATTR_RDONLY, 0, 0)
    flags = _AT_RECURSIVE if recursive else 0
    _call("syscall", _MOUNT_SETATTR, -100, os.fsencode(path), flags, ctypes.byref(attributes), ctypes.c_size_t(32))


def leave_namespaces(own_user: bool, network: bool) -> None:
    """Network (unless it may be used), processes, files, names: new ones of our own. Ours are the next child's.

    Raises:
        OSError: The kernel does not allow it.
    """
    user, group = os.geteuid(), os.getegid()
    flags = _NEWNS | _NEWUTS | _NEWIPC | _NEWPID | (_NEWUSER if own_user else 0) | (0 if network else _NEWNET)
    _call("unshare", flags)
    if own_user:
        for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
            with open(f"/proc/self/{name}", "w") as stream:
                stream.write(text)


def arrange_files(plan: dict[str, Any]) -> None:
    """Everything read-only but the build's folder; sockets, secrets and the processes of others out of sight.

    Raises:
        OSError: The kernel does not allow it.
    """
    _mount(None, "/", None, _MS_REC | _MS_PRIVATE)
    shown = {path: _contents(path) for path in plan.get("shown", ())}
    for path in plan["hidden"]:
        if os.path.isdir(path):
            again = {name: data for name, data in shown.items() if data and name.startswith(f"{path}/")}
            flags = _MS_NOSUID | _MS_NODEV | (0 if again else _MS_RDONLY)  # all is made read-only below
            _mount("tmpfs", path, "tmpfs", flags, "size=128k,mode=755" if again else "size=4k,mode=755")
            for name, data in again.items():
                os.makedirs(os.path.dirname(name), exist_ok=True)
                with open(name, "wb") as stream:
                    stream.write(data)
        elif os.path.exists(path):
            _mount("/dev/null", path, None, _MS_BIND)
    folder, place = plan["folder"], plan["place"]
    _mount(folder, place, None, _MS_BIND)
    kept = [f"{place}/{name}" for name in plan["kept"]]
    for path in kept:
        _mount(path, path, None, _MS_BIND)
    _show_own_processes(plan)
    _read_only("/", True, recursive=True)
    _read_only(place, False)
    if os.path.isdir(_SEMAPHORES):
        _own_semaphores(plan["seen"])


def _own_semaphores(seen: list[str]) -> None:
    """An empty place for semaphores, in which those folders that must be seen lie as before."""
    below = [path for path in seen if path.startswith(f"{_SEMAPHORES}/") and os.path.isdir(path)]
    opened = {path: os.open(path, os.O_PATH | os.O_DIRECTORY) for path in below}
    _mount("tmpfs", _SEMAPHORES, "tmpfs", _MS_NOSUID | _MS_NODEV, "size=1g,mode=1777")
    for path, descriptor in opened.items():
        os.makedirs(path, exist_ok=True)
        _mount(f"/proc/self/fd/{descriptor}", path, None, _MS_BIND)
        _read_only(path, True)
        os.close(descriptor)


def _contents(path: str) -> bytes:
    """A small file of this machine; nothing of one that cannot be read."""
    try:
        with open(path, "rb") as stream:
            return stream.read(64 << 10)
    except OSError:
        return b""


def _show_own_processes(plan: dict[str, Any]) -> None:
    """A ``/proc`` of our own namespace.

    A container whose own one has masked parts allows no other. The old one stays then: others can be seen there, and
    not be looked into, for they belong to another user namespace.
    """
    try:
        _mount("proc", "/proc", "proc", _MS_NOSUID | _MS_NODEV | _MS_NOEXEC)
    except OSError:
        if not plan["own_user"]:
            raise
        return
    _bound_processes(plan["processes"])


def give_up_powers() -> None:
    """No capabilities, now and after an exec, whatever the uid; so nothing that was shut can be opened again."""
    _call("prctl", _SECUREBITS, _ROOT_IS_NOBODY, 0, 0, 0)
    for power in range(64):
        if _libc.prctl(_CAPBSET_DROP, power, 0, 0, 0) != 0:
            break  # the kernel knows no more of them
    _libc.prctl(_AMBIENT, _CLEAR_ALL, 0, 0, 0)
    header, nothing = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    _call("capset", ctypes.byref(header), ctypes.byref(nothing))
    _call("prctl", _NO_NEW_PRIVS, 1, 0, 0, 0)


def set_limits(limits: dict[str, int]) -> None:
    """Limits of the kernel on each process, as far as it has them; never more than there were."""
    for name, wanted in limits.items():
        number = getattr(resource, name, None)
        if number is not None:
            hard = resource.getrlimit(number)[1]
            most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
            resource.setrlimit(number, (most, most))


def _bound_processes(most: int) -> None:
    """Bound the number of processes also for root, whom RLIMIT_NPROC spares.

    From Linux 6.14 on each process namespace has a number of its own. Before, there is one for the whole machine, which
    root could set in here as well: it must never be touched.
    """
    numbers = [int(part) for part in os.uname().release.replace("-", ".").split(".")[:2] if part.isdigit()]
    if numbers < [6, 14] or len(numbers) < 2:
        return
    try:
        with open("/proc/sys/kernel/pid_max", "r+") as stream:
            stream.write(str(most))
    except OSError:
        return


def _be_killed_first() -> None:
    """When memory runs out, the kernel is to end the build, not what the user works with."""
    try:
        with open("/proc/self/oom_score_adj", "w") as stream:
            stream.write("500")
    except OSError:
        return


def become(argv: list[str], plan: dict[str, Any]) -> None:
    """Be the program; returns never.

    Other Pythons' folders are left out of ``PATH``: an environment that is active where envbuild is run is no part
    of a build.
    """
    folders = [item for item in os.environ.get("PATH", os.defpath).split(os.pathsep) if _is_plain(item)]
    os.environ["PATH"] = os.pathsep.join([*plan["path"], *folders])
    if plan["cwd"]:
        os.chdir(plan["cwd"])
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        os.execvp(argv[0], argv)  # noqa: S606  it is what this program is for
    except OSError as error:
        os.write(2, f"{argv[0]}: {error.strerror}\n".encode())
        os._exit(127)


def _is_plain(folder: str) -> bool:
    above = os.path.dirname(folder.rstrip("/"))
    marks = (f"{above}/pyvenv.cfg", f"{above}/conda-meta", f"{folder}/../libexec/pyenv")
    return folder.startswith("/") and not folder.rstrip("/").endswith("/shims") and not any(map(os.path.exists, marks))


def _attend(child: int) -> int:
    """As the first process of a namespace: collect what ends, until the program does; the rest then dies with us."""
    while True:
        pid, status = os.wait()
        if pid == child:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


def shut_off(argv: list[str], plan: dict[str, Any]) -> int:
    """Run the program in namespaces of its own, or nothing at all when there is no program.

    Raises:
        OSError: The kernel does not allow it.
    """
    leave_namespaces(plan["own_user"], plan.get("network", False))
    first = os.fork()
    if first:
        return _attend(first)
    _call("prctl", _PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    try:
        _libc.sethostname(b"build", 5)
        arrange_files(plan)
        if plan["own_user"]:  # set before, it would bound what the user runs elsewhere as well
            set_limits({"RLIMIT_NPROC": plan["processes"]})
        give_up_powers()
        child = os.fork() if argv else 0
        if child == 0 and argv:
            become(argv, plan)
        os._exit(_attend(child) if argv else 0)
    except BaseException as error:
        os.write(2, f"{error}\n".encode())
    os._exit(FAILED)


def main() -> None:
    """See the module."""
    plan, argv = json.loads(sys.argv[1]), sys.argv[2:]
    set_limits(plan["limits"])
    _be_killed_first()
    if not plan["apart"]:
        become(argv, plan)
    try:
        code = shut_off(argv, plan)
    except OSError as error:
        os.write(2, f"{error}\n".encode())
        code = FAILED
    os._exit(code)


if __name__ == "__main__":
    main()
