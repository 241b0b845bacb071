"""``bytecode: true``: modules are compiled once for each package and Python, shared, and put beside their sources."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from envbuild.builders import bytecode as compiling
from envbuild.derivations import PackageInput
from envbuild.derivations.bytecode import Bytecode, realise
from envbuild.digest import digest_file
from envbuild.errors import BuildError, IntegrityError
from envbuild.linkers.archive import unpack
from envbuild.linkers.bytecode import is_unchecked, link_bytecode
from envbuild.package import InterpreterArchive, SourcePackage, Wheel
from tests.case import Case
from tests.support.channel import TestChannel
from tests.support.link_context import SERIES, FolderContext, fetch_key, store_blobs, wheel_inputs
from tests.support.managed_python import made_managed_python
from tests.support.wheels import make_wheel

OLD = b'print "for Python 2"\n'
SHADOW = b'"""The wheel\'s."""\n\n\ndef favourite():\n    return "wheel"\n'


def compiled(prefix: Path) -> dict[str, Path]:
    """The compiled files that Python never questions, by their paths."""
    found = prefix.rglob("__pycache__/*.pyc")
    return {str(path.relative_to(prefix)): path for path in found if is_unchecked(path)}


class Mixed:
    """A conda Python, noarch packages of conda and wheels, one of which brings a module of conda's anew."""

    def __init__(self, folder: Path, channel: TestChannel) -> None:
        self.case = Case(folder)
        self.channel = channel
        series = ".".join(channel.pythons[0].split(".")[:2])
        files: dict[str, bytes | str] = {"toy/old.py": OLD, "colours.py": SHADOW, "toy/part.py": "x = 1\n"}
        make_wheel(self.case.project / "wheels", "toy", "1.0", scripts={"toy": "toy:main"}, files=files)
        make_wheel(self.case.project / "wheels", "more", "1.0")
        self.head = f"python: {series}\n"
        self.site = f"lib/python{series}/site-packages"
        self.recipe("x", "toy")

    def recipe(self, name: str, wheel: str, bytecode: str = "bytecode: true\n") -> None:
        conda = f"conda:\n  channels: ['{self.channel.url}']\n  packages:\n    greet:\n"
        pypi = f"pypi:\n  no-index: true\n  find-links: [wheels]\n  packages:\n    {wheel}:\n"
        self.case.recipe(self.head + bytecode + conda + pypi, f"{name}.yaml")

    def prefix(self, name: str) -> Path:
        return (self.case.project / ".envs" / name).resolve()

    def kinds(self, name: str) -> dict[str, str]:
        """What a plan says of each derivation that compiles, by its package."""
        rows = json.loads(self.case.run("plan", f"{name}.yaml", "--json").out)["plans"][0]["rows"]
        return {row["label"]: row["state"] for row in rows if row["kind"] == "bytecode"}


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory, channel: TestChannel) -> Mixed:
    made = Mixed(tmp_path_factory.mktemp("bytecode"), channel)
    made.case.run("realize", "x.yaml").mentions(
        "toy 1.0: 1 file does not compile, and stays without bytecode: toy/old.py"
    )
    return made


def test_python_starts_from_the_files_and_compiles_nothing(mixed: Mixed) -> None:
    prefix = mixed.prefix("x")
    before = compiled(prefix)
    names = {name for name in before if name.startswith(mixed.site)}
    assert {
        f"{mixed.site}/toy/__pycache__/{stem}.cpython-{SERIES.replace('.', '')}.pyc" for stem in ("__init__", "part")
    } <= names
    assert not any("/old." in name for name in names)
    assert len(before) > 300, "the standard library too"
    everything = set(prefix.rglob("*.pyc"))
    code = "import json, email, greet, toy.part; print(toy.part.__cached__); print(toy.main.__code__.co_filename)"
    shown = mixed.case.program(prefix / "bin" / "python", "-c", code).splitlines()
    assert is_unchecked(Path(shown[0]))
    assert shown[1] == str(prefix / mixed.site / "toy" / "__init__.py"), "tracebacks name the file that is there"
    assert set(prefix.rglob("*.pyc")) - everything <= {
        path for path in prefix.rglob("*.pyc") if path.name.startswith("colours.")
    }


def test_a_module_that_another_package_replaced_goes_without(mixed: Mixed) -> None:
    """Python would run the loser's: it does not look at the source."""
    prefix = mixed.prefix("x")
    assert (prefix / mixed.site / "colours.py").read_bytes() == SHADOW
    code = "import colours; print(colours.favourite())"
    assert mixed.case.program(prefix / "bin" / "python", "-c", code) == "wheel\n"


def test_the_next_recipe_compiles_only_what_is_new(mixed: Mixed) -> None:
    mixed.recipe("y", "more")
    mixed.case.run("lock", "y.yaml")
    states = mixed.kinds("y")
    assert {name: state for name, state in states.items() if state != "hit"} == {"more 1.0": "miss"}
    mixed.case.variable("ENVBUILD_CONDA_FORMAT", ".tar.bz2")
    try:
        assert mixed.kinds("y") == states, "the format that packages are linked in compiles nothing anew"
    finally:
        mixed.case.variable("ENVBUILD_CONDA_FORMAT", None)
    mixed.case.run("realize", "y.yaml")
    one, other = compiled(mixed.prefix("x")), compiled(mixed.prefix("y"))
    shared = [name for name in one.keys() & other.keys() if one[name].stat().st_ino == other[name].stat().st_ino]
    assert len(shared) > 300 or not any(path.stat().st_nlink > 1 for path in one.values())


def test_without_the_option_nothing_is_compiled_and_with_it_the_environment_is_another(mixed: Mixed) -> None:
    mixed.recipe("z", "toy", bytecode="")
    mixed.recipe("off", "toy", bytecode="bytecode: false\n")
    mixed.case.run("realize", "z.yaml", "off.yaml")
    assert compiled(mixed.prefix("z")) == {}
    locks = {name: (mixed.case.project / f"{name}.lock.yaml").read_text() for name in ("x", "z", "off")}
    assert "bytecode" not in locks["z"]
    assert locks["z"].split("request")[1] == locks["off"].split("request")[1]
    assert mixed.prefix("x") != mixed.prefix("z") == mixed.prefix("off")
    shown = {name: mixed.case.run("show", f"{name}.yaml").out.splitlines() for name in ("x", "z")}
    assert ["bytecode     compiled ahead" in lines for lines in shown.values()] == [True, False]
    listed = {line.split()[0]: "(compiled)" in line for line in mixed.case.run("list").out.splitlines()}
    (both,) = listed.keys() & {"z", "off"}  # one environment, which was realized for either last
    assert (listed["x"], listed[both]) == (True, False)
    mixed.recipe("z", "toy")
    mixed.case.run("realize", "z.yaml", "--locked", code=None)
    assert mixed.case.code == 10
    mixed.case.mentions("bytecode was off")


def test_verify_finds_a_damaged_file_and_repairs_it_and_pip_is_content(mixed: Mixed) -> None:
    name, victim = next((name, path) for name, path in sorted(compiled(mixed.prefix("x")).items()) if "/toy/" in name)
    good = victim.read_bytes()
    victim.chmod(0o644)
    victim.write_bytes(good[:-1] + b"!")
    mixed.case.run("verify", code=None).mentions(name, "1 finding")
    assert mixed.case.code != 0
    mixed.case.run("verify", "--repair", code=None)
    assert (mixed.prefix("x") / name).read_bytes() == good
    prefix = mixed.prefix("x")
    code = (
        "import importlib.metadata as m, sys\n"
        "print(all(f.locate().exists() for f in m.distribution('toy').files))\n"
        "print([str(f) for f in m.distribution('toy').files if str(f).endswith('.pyc')])"
    )
    assert mixed.case.program(prefix / "bin" / "python", "-c", code) == "True\n[]\n"


def test_a_writable_copy_has_none_so_that_what_is_edited_is_run(mixed: Mixed, tmp_path: Path) -> None:
    mixed.case.run("realize", "x.yaml", "--prefix", str(tmp_path / "mine"), "--writable")
    assert compiled(tmp_path / "mine") == {}
    mixed.case.run("realize", "x.yaml", "--prefix", str(tmp_path / "theirs"))
    assert compiled(tmp_path / "theirs").keys() == compiled(mixed.prefix("x")).keys()


def test_what_is_compiled_outlives_a_collection_and_goes_to_a_store(mixed: Mixed, tmp_path: Path) -> None:
    store = tmp_path / "store"
    mixed.case.run("store", "init", str(store))
    mixed.case.run("push", "x.yaml", "--to", str(store))
    mixed.case.run("gc")
    assert set(mixed.kinds("x").values()) <= {"hit", "not needed"}
    assert len(list((store / "results" / "bytecode").rglob("*.json"))) == 4
    home = tmp_path / "other-home"
    mixed.case.variable("ENVBUILD_HOME", str(home)).variable("ENVBUILD_STORES", str(store))
    try:
        mixed.case.run("realize", "x.yaml", "--json")
        (environment,) = json.loads(mixed.case.out)["environments"]
        assert environment["pulled"] == environment["hits"] == environment["packages"], "what is compiled is no package"
        assert not (home / "cache" / "compilers").exists(), "nothing was compiled there"
        assert len(compiled(mixed.prefix("x"))) > 300
    finally:
        mixed.case.variable("ENVBUILD_HOME", str(mixed.case.home)).variable("ENVBUILD_STORES", None)
        mixed.case.run("realize", "x.yaml")


# One derivation


def derivation(path: Path) -> tuple[Bytecode, Wheel]:
    ((package, _),) = wheel_inputs([path])
    key = fetch_key(package.sha256)
    return Bytecode(source=key, python=SERIES, package=PackageInput(key=key, package=package)), package


def done(path: Path, home: Path) -> tuple[Path, FolderContext, Bytecode]:
    work, _ = derivation(path)
    context = Putting(home, store_blobs({work.source: path}, home / "store"))
    output = realise(work, context.typed())["out"]
    return context.home / "put" / output.sha256, context, work


class Putting(FolderContext):
    """A context that takes files too, and whose Python may be another program."""

    program: Path | None = None

    def put(self, path: Path, *, expected: object = None):  # type: ignore[no-untyped-def]
        from envbuild.derivations import Output

        digest = digest_file(path)
        (self.home / "put").mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, self.home / "put" / digest)
        return Output(sha256=digest, size=path.stat().st_size)

    def host_python(self, series: str):  # type: ignore[no-untyped-def]
        from envbuild.value import replace

        found = super().host_python(series)
        return found if self.program is None else replace(found, path=str(self.program))


def test_two_machines_compile_to_the_same_bytes(tmp_path: Path) -> None:
    files = {f"toy/part{number}.py": Path(json.__file__).read_bytes() for number in range(3)}
    files["toy/sets.py"] = b"def known(x):\n    return x in {'a', 'b', 'c', 'd', None, 1.5}\n"
    wheel = make_wheel(tmp_path, "toy", "1.0", files=files)
    (tmp_path / "a-longer-name-than-the-other").mkdir()
    one, _, _ = done(wheel, tmp_path / "home")
    other, _, _ = done(wheel, tmp_path / "a-longer-name-than-the-other" / "home")
    assert one.read_bytes() == other.read_bytes()


def test_a_managed_python_compiles_for_itself_and_what_is_built_is_read_as_a_wheel(tmp_path: Path) -> None:
    try:
        managed = made_managed_python()
    except LookupError as missing:
        pytest.skip(f"NO MANAGED PYTHON: {missing}")
    wheel = make_wheel(tmp_path, "toy", "1.0")
    archive = InterpreterArchive(
        implementation="cpython",
        version=managed.version,
        build="1",
        file=managed.archive.name,
        sha256=digest_file(managed.archive),
    )
    source = SourcePackage(name="toy", version="1.0", file="toy-1.0.tar.gz", sha256=digest_file(wheel), index="default")
    runs_on = PackageInput(key=fetch_key(archive.sha256), package=archive)
    built = fetch_key(source.sha256)
    work = Bytecode(
        source=built,
        python=managed.version,
        package=PackageInput(key=built, package=source),
        interpreter="managed",
        runs_on=(runs_on,),
    )
    blobs = store_blobs({built: wheel, runs_on.key: managed.archive}, tmp_path / "store")
    context = Putting(tmp_path / "home", blobs)
    context.program = tmp_path / "not-this-one"
    output = realise(work, context.typed())["out"]
    unpacked = tmp_path / "unpacked"
    unpacked.mkdir()
    unpack(context.home / "put" / output.sha256, "it", unpacked)
    tag = f"cpython-{work.series.replace('.', '')}"
    assert is_unchecked(unpacked / "source" / "site" / "toy" / "__pycache__" / f"__init__.{tag}.pyc")


def test_a_module_that_ends_the_compiler_is_left_out(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "toy", "1.0", files={"toy/evil.py": "EVIL = 1\n", "toy/good.py": "x = 1\n"})
    work, _ = derivation(wheel)
    context = Putting(tmp_path / "home", store_blobs({work.source: wheel}, tmp_path / "store"))
    program = tmp_path / "python"
    code = (
        "import builtins, os, runpy, sys\n"
        "real = builtins.compile\n"
        "def compile(data, *a, **k):\n"
        "    if isinstance(data, bytes) and b'EVIL' in data: os.kill(os.getpid(), 9)\n"
        "    return real(data, *a, **k)\n"
        "builtins.compile = compile\n"
        "at = next(i for i, word in enumerate(sys.argv) if word.endswith('bytecode_child.py'))\n"
        "sys.argv = sys.argv[at:]\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')\n"
    )
    (tmp_path / "dying.py").write_text(code)
    program.write_text(f'#!/bin/sh\nexec {sys.executable} {tmp_path}/dying.py "$@"\n')
    program.chmod(0o755)
    context.program = program
    realise(work, context.typed())
    assert any("1 file does not compile" in note and "toy/evil.py" in note for note in context.notes)
    program.write_text("#!/bin/sh\nexit 3\n")
    with pytest.raises(BuildError) as caught:
        realise(work, context.typed())
    assert caught.value.reference == "bytecode-failed"
    assert compiling.LARGEST > 1 << 20


@pytest.mark.parametrize(
    "index",
    [
        b"{",
        b"[]",
        b'{"tag": "cpython-311", "sources": {"site/../../evil.py": "x"}}',
        b'{"tag": "cpython-311", "sources": {"/etc/evil.py": "x"}}',
        b'{"tag": "../x", "sources": {}}',
        b'{"tag": "cpython-311", "sources": {"site/a//b.py": "x"}}',
        None,
    ],
)
def test_an_archive_that_lies_is_refused_and_changes_nothing(tmp_path: Path, index: bytes | None) -> None:
    import io
    import tarfile

    import zstandard

    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as tar:
        for name, data in (("source/site/a.py", b"x"), *((("source/index.json", index),) if index is not None else ())):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    archive = tmp_path / "evil.tar.zst"
    archive.write_bytes(zstandard.compress(plain.getvalue()))
    key = fetch_key(digest_file(archive))
    context = FolderContext(tmp_path / "home", store_blobs({key: archive}, tmp_path / "store"))
    prefix = tmp_path / "prefix"
    (prefix / f"lib/python{SERIES}/site-packages").mkdir(parents=True)
    with pytest.raises(IntegrityError) as caught:
        link_bytecode((key,), prefix, context.typed())
    assert caught.value.reference == "bad-archive"
    assert list(tmp_path.rglob("evil.py")) == []


def test_a_host_python_starts_from_the_files_too(tmp_path: Path) -> None:
    case = Case(tmp_path)
    make_wheel(case.project / "wheels", "toy", "1.0", scripts={"toy": "toy:main"})
    case.recipe(
        f'interpreter: host\npython: "{SERIES}"\nbytecode: true\n'
        "pypi:\n  no-index: true\n  find-links: [wheels]\n  packages:\n    toy:\n"
    )
    case.run("realize", "x.yaml")
    prefix = (case.project / ".envs" / "x").resolve()
    assert len(compiled(prefix)) == 1
    assert subprocess.run([prefix / "bin" / "toy"], capture_output=True, text=True, check=True).stdout == "toy 1.0\n"
