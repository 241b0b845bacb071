"""What came in one piece becomes files: archives of ``envbuild.metaflow.archive``, and a Python.

Rules of the file: joined before ``first``, whose errors it raises.
"""

# mypy: ignore-errors
import io
import json
import os
import sys
import threading
import zlib


def unpack(data, folder, site):
    """The archive of ``envbuild.metaflow.archive``; zlib lets another thread work meanwhile."""
    at = data.index(b"\n") + 1
    places = {"site": site, "bin": os.path.join(folder, "bin")}
    pieces, known = [], set()
    for name, runs, offset, size in json.loads(data[:at])["files"]:
        first, *rest = name.split("/")
        if ".." in rest or "" in rest or first not in places:
            raise StopError(  # noqa: F821  of the file behind
                4, "the archive of envbuild has a file %r" % name
            )
        target = os.path.join(places[first], *rest)
        if os.path.dirname(target) not in known:
            known.add(os.path.dirname(target))
            os.makedirs(os.path.dirname(target), exist_ok=True)
        pieces.append((size, at, offset, target, 0o755 if runs else 0o644))
        at += size
    pieces.sort()
    data = memoryview(data)
    guard, failed = threading.Lock(), []

    def work():
        while not failed:
            with guard:
                if not pieces:
                    return
                size, at, offset, target, mode = pieces.pop()
            try:
                room = 1 << 22 if size > 1 << 19 else 1 << 16  # of a large file, pieces have 4 MiB: nothing grows
                left = memoryview(zlib.decompress(data[at : at + size], -15, room))
                file = os.open(target, os.O_WRONLY | os.O_CREAT, mode)
                try:
                    while left:
                        done = os.pwrite(file, left, offset)
                        left, offset = left[done:], offset + done
                finally:
                    os.close(file)
            except (OSError, zlib.error) as error:
                failed.append(error)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]


def unpack_python(data, folder):
    import tarfile

    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        if sys.version_info >= (3, 12):
            archive.extractall(folder, filter="tar")
        else:
            archive.extractall(folder)
