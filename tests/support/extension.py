"""A C extension against ``libfast`` of the test channel, as a project with a backend of its own that calls ``cc``.

``speedy.version()`` says two things: the library's version as the header told it when the extension was compiled, and
the version that the library says when it is called.
"""

from __future__ import annotations

from pathlib import Path

from tests.support.sdists import make_project

SOURCE = """
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <fast.h>
static PyObject *version(PyObject *self, PyObject *unused) { return PyUnicode_FromString(fast_version()); }
static PyMethodDef methods[] = {{"version", version, METH_NOARGS, "libfast's version"}, {NULL, NULL, 0, NULL}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "speedy", NULL, -1, methods, NULL, NULL, NULL, NULL};
PyMODINIT_FUNC PyInit_speedy(void) { return PyModule_Create(&module); }
"""

BACKEND = """

def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    import shlex, subprocess, sysconfig

    series = "%d%d" % __import__("sys").version_info[:2]
    tag = "cp%s-cp%s-linux_%s" % (series, series, os.uname().machine)
    folder = "%s-%s.dist-info" % (MODULE, VERSION)
    module = MODULE + sysconfig.get_config_var("EXT_SUFFIX")
    command = [os.environ.get("CC", "cc"), "-shared", "-fPIC", "-I" + sysconfig.get_path("include"), "speedy.c"]
    command += [*shlex.split(os.environ.get("LDFLAGS", "")), "-lfast", "-o", module]
    print("compiling against", os.environ["PREFIX"])
    subprocess.run(command, check=True)
    contents = {
        module: Path(module).read_bytes(),
        folder + "/METADATA": _metadata().encode(),
        folder + "/WHEEL": WHEEL.replace("true", "false").replace("py3-none-any", tag).encode(),
    }
    lines = []
    with zipfile.ZipFile(Path(wheel_directory, "%s-%s-%s.whl" % (MODULE, VERSION, tag)), "w") as archive:
        for path, data in contents.items():
            archive.writestr(zipfile.ZipInfo(path, (2024, 1, 1, 0, 0, 0)), data)
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            lines.append("%s,sha256=%s,%d" % (path, digest, len(data)))
        lines.append(folder + "/RECORD,,")
        archive.writestr(zipfile.ZipInfo(folder + "/RECORD", (2024, 1, 1, 0, 0, 0)), "\\n".join(lines) + "\\n")
    return "%s-%s-%s.whl" % (MODULE, VERSION, tag)
"""


def make_extension(folder: Path) -> Path:
    """Write the project."""
    return make_project(folder, "speedy", "1.0", static=True, more_backend=BACKEND, files={"speedy.c": SOURCE})
