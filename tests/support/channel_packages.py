"""The small packages of the test channel: one of every shape that a linker meets.

| package | shape |
|---|---|
| greet 1.0, 2.0 | noarch python with an entry point, depends on colours, has a purl |
| colours 1.0, 1.1, 2.0 | noarch python of 2024-01, 2024-06, 2025-01 for cut-offs, constrains greet |
| pip | noarch python with entry points, from the interpreter's own bundled wheel |
| python_abi | noarch generic metapackage, one per Python |
| libfast 1.2, 1.3 | compiled library with symbolic links |
| fast-tool | C program: run path, binary placeholder, text placeholder; a ``.tar.bz2`` |
| speedups | C extension, one per Python |
| post-link | has link scripts that write ``post-link-ran``; they must not run |
| activated | scripts in ``etc/conda/activate.d`` and ``deactivate.d``, state variables in ``etc/conda/env_vars.d`` |
| data-files 1.0, 2.0 | noarch generic with files, a link to a folder, and a placeholder in a text file |
| old-md5 | the channel gives its md5 only |
| no-time | no timestamp |
| needs-cuda, needs-new-glibc | ask for virtual packages |
| old-format | noarch generic as a ``.tar.bz2``, with a program and a link |
| old-fashioned | wants colours <2: with greet 2.0 a conflict |

Rules of the file: values only, apart from the compiler.
"""

from __future__ import annotations

import shutil
import subprocess
import zipfile
from pathlib import Path

from tests.support.conda_package import PLACEHOLDER, PackageRecipe
from tests.support.python_package import Interpreter

JANUARY_2024 = 1_704_067_200_000
JUNE_2024 = 1_717_200_000_000
JANUARY_2025 = 1_735_689_600_000

_GREET = '''"""Greets; of envbuild's tests."""
import colours

__version__ = "{version}"


def main():
    print("hello from greet {version} in", colours.favourite())
'''
_METADATA = "Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
_LIBRARY = 'const char *fast_version(void) {{ return "{version}"; }}\n'
_PROGRAM = """
#include <stdio.h>
const char *fast_version(void);
static const char prefix[] = "PLACEHOLDER";
int main(void) { printf("%s %s\\n", fast_version(), prefix); return 0; }
"""
_EXTENSION = """
#define PY_SSIZE_T_CLEAN
#include <Python.h>
const char *fast_version(void);
static PyObject *version(PyObject *self, PyObject *unused) { return PyUnicode_FromString(fast_version()); }
static PyMethodDef methods[] = {{"version", version, METH_NOARGS, "libfast's version"}, {NULL, NULL, 0, NULL}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "speedups", NULL, -1, methods, NULL, NULL, NULL, NULL};
PyMODINIT_FUNC PyInit_speedups(void) { return PyModule_Create(&module); }
"""


def _python_files(
    name: str, version: str, source: str, requires: tuple[str, ...] = ()
) -> dict[str, bytes | str | Path]:
    module = name.replace("-", "_")
    information = f"site-packages/{module}-{version}.dist-info"
    metadata = _METADATA.format(name=name, version=version) + "".join(f"Requires-Dist: {item}\n" for item in requires)
    return {
        f"site-packages/{module}.py": source,
        f"{information}/METADATA": metadata,
        f"{information}/INSTALLER": "conda\n",
        f"{information}/RECORD": f"{module}.py,,\n{module}-{version}.dist-info/METADATA,,\n",
    }


def _data_files(version: str) -> PackageRecipe:
    return PackageRecipe(
        name="data-files",
        version=version,
        subdir="noarch",
        noarch="generic",
        files={
            "share/data-files/one.txt": f"one {version}\n",
            "share/data-files/sub/two.bin": bytes(range(256)),
            "share/data-files/where.txt": f"installed in {PLACEHOLDER}/share\n",
        },
        links={"share/data-files/again": "sub", "share/data-files/uno.txt": "one.txt"},
        timestamp=JANUARY_2024 if version == "1.0" else JANUARY_2025,
    )


def pure_packages() -> list[PackageRecipe]:
    """The packages that need neither a compiler nor an interpreter."""
    recipes = []
    for version, time in (("1.0", JANUARY_2024), ("1.1", JUNE_2024), ("2.0", JANUARY_2025)):
        source = f'"""Colours {version}."""\n\n\ndef favourite():\n    return "green {version}"\n'
        recipes.append(
            PackageRecipe(
                name="colours",
                version=version,
                build="py_0",
                subdir="noarch",
                noarch="python",
                depends=("python >=3.8",),
                constrains=("greet >=1",),
                timestamp=time,
                files=_python_files("colours", version, source),
                index={"purls": ["pkg:pypi/colours"], "license": "MIT"},
            )
        )
    for version, time, colours in (("1.0", JANUARY_2024, "colours >=1"), ("2.0", JANUARY_2025, "colours >=2")):
        recipes.append(
            PackageRecipe(
                name="greet",
                version=version,
                build="py_0",
                subdir="noarch",
                noarch="python",
                depends=("python >=3.8", colours),
                timestamp=time,
                files=_python_files("greet", version, _GREET.format(version=version), ("colours",)),
                entry_points=("greet = greet:main",),
                index={"purls": ["pkg:pypi/greet"], "license": "MIT"},
            )
        )
    recipes += map(_data_files, ("1.0", "2.0"))
    simple = {"subdir": "noarch", "noarch": "generic", "version": "1.0"}
    recipes += [
        PackageRecipe(name="old-md5", files={"share/old-md5.txt": "md5 only\n"}, **simple),  # type: ignore[arg-type]
        PackageRecipe(name="no-time", files={"share/no-time.txt": "when?\n"}, timestamp=None, **simple),  # type: ignore[arg-type]
        PackageRecipe(
            name="old-format",
            files={"bin/old-format": "#!/bin/sh\necho old\n", "share/old-format/one.txt": "one\n"},
            links={"share/old-format/uno.txt": "one.txt"},
            suffix=".tar.bz2",
            **simple,  # type: ignore[arg-type]
        ),
        PackageRecipe(name="old-fashioned", depends=("colours <2",), **simple),  # type: ignore[arg-type]
        PackageRecipe(name="needs-cuda", depends=("__cuda >=12",), **simple),  # type: ignore[arg-type]
        PackageRecipe(name="needs-new-glibc", depends=("__glibc >=2.99",), **simple),  # type: ignore[arg-type]
        PackageRecipe(
            name="activated",
            files={
                "etc/conda/activate.d/activated.sh": 'export ACTIVATED_BY="$CONDA_PREFIX"\n',
                "etc/conda/activate.d/activated.fish": 'set -gx ACTIVATED_BY "$CONDA_PREFIX"\n',
                "etc/conda/activate.d/activated.ps1": "$Env:ACTIVATED_BY = $Env:CONDA_PREFIX\n",
                "etc/conda/deactivate.d/activated.sh": "unset ACTIVATED_BY\n",
                "etc/conda/env_vars.d/activated.json": '{"ACTIVATED_COLOUR": "blue"}\n',
            },
            **simple,  # type: ignore[arg-type]
        ),
    ]
    return recipes


def python_packages(interpreter: Interpreter, subdir: str) -> list[PackageRecipe]:
    """``python_abi`` for an interpreter, and a package whose link scripts must not run."""
    tag = f"cp{interpreter.series.replace('.', '')}"
    canary = '#!/bin/sh\necho ran > "$PREFIX/post-link-ran"\necho ran > "$(dirname "$0")/../post-link-ran"\n'
    return [
        PackageRecipe(
            name="python_abi",
            version=interpreter.series,
            build=f"0_{tag}",
            subdir="noarch",
            noarch="generic",
            constrains=(f"python {interpreter.series}.*",),
        ),
        PackageRecipe(
            name="post-link",
            version="1.0",
            subdir=subdir,
            files={
                "bin/.post-link-post-link.sh": canary,
                "bin/.post-link-pre-unlink.sh": canary,
                "share/post-link.txt": "linked\n",
            },
        ),
    ]


def pip_package(interpreter: Interpreter) -> PackageRecipe | None:
    """``pip`` from the wheel that the interpreter bundles; None when it bundles none."""
    wheels = sorted(interpreter.prefix.glob("lib/python*/ensurepip/_bundled/pip-*.whl"))
    if not wheels:
        return None
    version = wheels[-1].name.split("-")[1]
    with zipfile.ZipFile(wheels[-1]) as archive:
        files: dict[str, bytes | str | Path] = {
            f"site-packages/{name}": archive.read(name) for name in archive.namelist() if not name.endswith("/")
        }
    files[f"site-packages/pip-{version}.dist-info/INSTALLER"] = "conda\n"
    return PackageRecipe(
        name="pip",
        version=version,
        build="pyhd_0",
        subdir="noarch",
        noarch="python",
        depends=("python >=3.8",),
        files=files,
        entry_points=("pip = pip._internal.cli.main:main", "pip3 = pip._internal.cli.main:main"),
        index={"purls": ["pkg:pypi/pip"], "license": "MIT"},
    )


def compiled_packages(interpreters: tuple[Interpreter, ...], subdir: str, staging: Path) -> list[PackageRecipe]:
    """The packages made by the C compiler; none when there is no compiler.

    Args:
        staging: An empty folder that lives as long as the recipes are used.
    """
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None or not subdir.startswith("linux"):
        return []
    recipes = []
    library = staging
    for version in ("1.2", "1.3"):
        library = staging / f"libfast.so.{version}.0"
        source = staging / f"libfast-{version}.c"
        source.write_text(_LIBRARY.format(version=version))
        subprocess.run([compiler, "-shared", "-fPIC", "-Wl,-soname,libfast.so.1", "-o", library, source], check=True)
        recipes.append(
            PackageRecipe(
                name="libfast",
                version=version,
                build="h0_0",
                subdir=subdir,
                files={
                    f"lib/libfast.so.{version}.0": library,
                    "include/fast.h": "const char *fast_version(void);\n",
                    "lib/pkgconfig/fast.pc": f"prefix={PLACEHOLDER}\nlibdir=${{prefix}}/lib\n",
                },
                links={"lib/libfast.so": "libfast.so.1", "lib/libfast.so.1": f"libfast.so.{version}.0"},
                index={"license": "MIT"},
                timestamp=JANUARY_2024 if version == "1.2" else JANUARY_2025,
            )
        )
    tool, source = staging / "fast-tool", staging / "fast-tool.c"
    source.write_text(_PROGRAM.replace("PLACEHOLDER", PLACEHOLDER))
    subprocess.run([compiler, "-Wl,-rpath,$ORIGIN/../lib", "-o", tool, source, library], check=True)
    recipes.append(
        PackageRecipe(
            name="fast-tool",
            version="1.0",
            build="h1_0",
            subdir=subdir,
            depends=("libfast >=1.2,<2",),
            files={
                "bin/fast-tool": tool,
                "bin/fast-script": f"#!{PLACEHOLDER}/bin/fast-tool\n",
                "share/fast-tool/config.txt": f"prefix = {PLACEHOLDER}\n",
            },
            suffix=".tar.bz2",
        )
    )
    source = staging / "speedups.c"
    source.write_text(_EXTENSION)
    for interpreter in interpreters:
        series = interpreter.series
        include = interpreter.prefix / "include" / f"python{series}"
        if not (include / "Python.h").is_file():
            continue
        tag, python = f"cp{series.replace('.', '')}", f"python >={series},<{_next(series)}.0a0"
        extension = staging / f"speedups-{series}.so"
        command = [compiler, "-shared", "-fPIC", f"-I{include}", "-Wl,-rpath,$ORIGIN/../..", "-o", extension, source]
        subprocess.run([*command, library], check=True)
        information = f"lib/python{series}/site-packages/speedups-1.0.dist-info"
        recipes.append(
            PackageRecipe(
                name="speedups",
                version="1.0",
                build=f"py{series.replace('.', '')}_0",
                subdir=subdir,
                depends=(
                    python,
                    f"python_abi {series}.* *_{tag}",
                    "libfast >=1.2,<2",
                ),
                files={
                    f"lib/python{series}/site-packages/speedups.so": extension,
                    f"{information}/METADATA": _METADATA.format(name="speedups", version="1.0"),
                    f"{information}/INSTALLER": "conda\n",
                },
                index={"purls": ["pkg:pypi/speedups"], "license": "MIT"},
            )
        )
    return recipes


def _next(series: str) -> str:
    major, minor = series.split(".")
    return f"{major}.{int(minor) + 1}"
