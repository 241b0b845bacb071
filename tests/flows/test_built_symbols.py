"""A C++ extension from a real compiler, held against the libstdc++ that the lock's floor stands for."""

from __future__ import annotations

import shutil
import sys

import pytest

from tests.case import Case
from tests.support.extension import BACKEND
from tests.support.sdists import make_project

SERIES = f"{sys.version_info.major}.{sys.version_info.minor}"

# Strings in their form of today came with GLIBCXX_3.4.21, and systems with glibc 2.17 have 3.4.19.
SOURCE = """
#include <Python.h>
#include <string>
static PyObject *version(PyObject *self, PyObject *unused) {
    std::string text;
    for (int number = 0; number < 100; number++) text.append("x");
    return PyUnicode_FromString(text.c_str());
}
static PyMethodDef methods[] = {{"version", version, METH_NOARGS, ""}, {NULL, NULL, 0, NULL}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "wordy", NULL, -1, methods, NULL, NULL, NULL, NULL};
PyMODINIT_FUNC PyInit_wordy(void) { return PyModule_Create(&module); }
"""


def test_symbols_of_a_newer_libstdcxx_than_the_floor_stands_for(case: Case) -> None:
    if shutil.which("g++") is None:
        pytest.skip("NO C++ COMPILER: g++ is needed on PATH")
    backend = BACKEND.replace('"-lfast", ', "").replace('os.environ["PREFIX"]', '""').replace("speedy.c", "wordy.cc")
    backend = backend.replace('os.environ.get("CC", "cc")', '"g++"')
    make_project(case.project / "wordy", "wordy", "1.0", static=True, more_backend=backend, files={"wordy.cc": SOURCE})
    recipe = f"interpreter: host\npython: {SERIES}\npypi:\n  packages:\n    wordy: {{path: wordy}}\n"
    case.recipe(f'{recipe}system: {{__glibc: "2.17"}}\n', "x.yaml").run("lock", "x.yaml")
    case.run("realize", "x.yaml", code=9)
    case.mentions("newer-symbols", "of wordy 1.0 needs", "GLIBCXX_3.4.2", "systems with glibc 2.17 (GLIBCXX_3.4.19)")
    case.mentions('system: {__glibc: "2.')
    case.run("realize", "x.yaml", code=9).mentions("newer-symbols")
    case.run("realize", "x.yaml", "--prefix", str(case.project / "there"), code=9).mentions("newer-symbols")
    assert not (case.project / "there").exists()
    case.recipe(f'{recipe}system: {{__glibc: "2.35"}}\n', "x.yaml").run("realize", "x.yaml")
    said = case.run("run", "x.yaml", "--", "python", "-c", "import wordy; print(wordy.version())").out.strip()
    assert said == "x" * 100
