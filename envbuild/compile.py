"""Compile: a lock becomes the build graph.

One ``fetch`` for each conda package, wheel, source and interpreter archive; a ``transmute`` behind that of a conda
package that has another format than the one wanted; one ``build-wheel`` for each source, which reads the source, its
locked build requirements (wheels, and what other builds give), the conda libraries that it may see and the Python that
runs its backend; one ``bytecode`` for each package with modules, where the recipe wants that; and one ``link`` that
reads what the prefix holds and is the target. Every key is computed here, offline, from the lock alone, so the plan
knows what is done before anything runs.

Rules of the file: pure; no store, no file, no address of this machine. Kinds are used as values only.
"""

from __future__ import annotations

from envbuild.conda_names import names_of_needs
from envbuild.derivations import Derivation, PackageInput
from envbuild.derivations.bytecode import Bytecode
from envbuild.derivations.fetch import Fetch
from envbuild.derivations.link import Link
from envbuild.derivations.transmute import FORMATS, Transmute, name_in
from envbuild.derivations.trial import Trial
from envbuild.digest import Digest
from envbuild.errors import InvalidInput
from envbuild.graph import Graph
from envbuild.linkers.python_tags import abi_tag
from envbuild.lock import Lock, LockedEnvironment
from envbuild.package import CondaPackage, InterpreterArchive, SourcePackage, Wheel
from envbuild.recipe import Tests


def build_graph(
    lock: Lock, environment: LockedEnvironment, *, name: str = "environment", conda_format: str = ".conda"
) -> Graph:
    """The graph whose one target is the environment's prefix.

    Args:
        lock: The whole lock; it knows the addresses of the indices that wheels name.
        environment: One platform of it.
        name: What people call the environment; never part of a key.
        conda_format: ``.conda`` or ``.tar.bz2``: packages of the other format are transmuted; ``keep`` leaves all.

    Raises:
        InvalidInput: ``bad-lock`` for sources in an environment without a Python.
    """
    nodes = _Nodes(lock, conda_format)
    packages = [nodes.input(package) for package in _packages(environment)]
    if environment.sources:
        packages += _built(nodes, environment)
    compiled = _compiled(nodes, environment, packages) if environment.bytecode else ()
    link = Link(
        platform=environment.platform,
        python=environment.python,
        interpreter=environment.interpreter,
        packages=tuple(packages),
        variables=environment.variables,
        system=environment.system,
        bytecode=compiled,
        name=name,
    )
    return Graph((*nodes.made, link), (link.key,))


def with_trial(graph: Graph, tests: Tests) -> Graph:
    """The graph of an environment, and the trial of it that its recipe asks for, which is the target."""
    trial = trial_of(graph, tests)
    return Graph((*graph, trial), (trial.key,))


def trial_of(graph: Graph, tests: Tests) -> Trial:
    """The trial of the environment that a build graph makes."""
    link = graph[graph.targets[0]]
    assert isinstance(link, Link)
    return Trial(
        environment=link.key,
        platform=link.platform,
        tests=tests,
        python=link.python,
        interpreter=link.interpreter,
        variables=link.variables,
        name=link.name,
    )


class _Nodes:
    """The derivations made so far, in link order; equal ones are one node of the graph."""

    def __init__(self, lock: Lock, conda_format: str) -> None:
        self._lock = lock
        self._conda_format = conda_format
        self.made: list[Derivation] = []

    def add(self, derivation: Derivation) -> Digest:
        self.made.append(derivation)
        return derivation.key

    def fetch(self, package: CondaPackage | InterpreterArchive | Wheel | SourcePackage) -> Digest:
        origin = self._lock.wheel_origin(package) if isinstance(package, (Wheel, SourcePackage)) else package.origin
        name = package.implementation if isinstance(package, InterpreterArchive) else package.name
        what = " source" if isinstance(package, SourcePackage) else ""
        return self.add(
            Fetch(
                sha256=package.sha256,
                file=package.file,
                size=package.size,
                origin=origin,
                title=f"{name} {package.version}{what}",
            )
        )

    def input(self, package: CondaPackage | InterpreterArchive | Wheel) -> PackageInput:
        key = self.fetch(package)
        if not isinstance(package, CondaPackage):
            return PackageInput(key=key, package=package)
        file = name_in(package.file, self._conda_format)
        if file is None:
            return PackageInput(key=key, package=package)
        transmute = Transmute(
            input=key,
            file=file,
            level=FORMATS[self._conda_format],
            title=f"{package.name} {package.version}",
            input_size=package.size,
        )
        return PackageInput(key=self.add(transmute), package=package, file=file)


def _packages(environment: LockedEnvironment) -> tuple[CondaPackage | InterpreterArchive | Wheel, ...]:
    """Conda packages first, then the interpreter, then wheels: the order in which they are linked."""
    archive = () if environment.archive is None else (environment.archive,)
    return (*environment.conda, *archive, *environment.wheels)


def _built(nodes: _Nodes, environment: LockedEnvironment) -> list[PackageInput]:
    """What the link reads of each source: the wheel that a build gives."""
    from envbuild.derivations.build_wheel import BuildWheel

    if environment.python is None:
        raise InvalidInput(
            f"{environment.sources[0].name} has to be built, and the environment for {environment.platform} has no "
            "Python to build it with",
            reference="bad-lock",
            hint="envbuild lock",
        )
    several = (environment.archive,) if environment.archive is not None else _python_packages(environment)
    runs_on = tuple(nodes.input(package) for package in several)
    inputs, python = environment.build_inputs, environment.python
    tools: dict[str, PackageInput] = {}

    def built(source: SourcePackage) -> PackageInput:
        build = BuildWheel(
            source=nodes.fetch(source),
            package=source,
            python=python,
            abi=abi_tag(environment.conda, python),
            platform=environment.platform,
            floor=_floor(environment),
            requires=(
                *(nodes.input(wheel) for wheel in inputs.wheels_of(source)),
                *(tools[item.file] for item in inputs.sources_of(source)),
            ),
            host=tuple(nodes.input(package) for package in inputs.host_of(source)),
            interpreter=environment.interpreter,
            runs_on=runs_on,
            names=names_of_needs(source, environment.conda),
        )
        return PackageInput(key=nodes.add(build), package=source)

    for source in inputs.order():
        tools[source.file] = built(source)
    return [built(source) for source in environment.sources]


def _compiled(nodes: _Nodes, environment: LockedEnvironment, packages: list[PackageInput]) -> tuple[Digest, ...]:
    """The bytecode of each package that may have modules, for the environment's Python; none without a Python."""
    if environment.python is None:
        return ()
    archive = environment.archive
    several = (archive,) if archive is not None else _python_packages(environment)
    runs_on = tuple(nodes.input(package) for package in several)
    version = archive.version if archive is not None else environment.python
    if environment.interpreter == "conda":
        version = next(package.version for package in environment.conda if package.name == "python")
    return tuple(
        nodes.add(
            Bytecode(
                source=nodes.fetch(item.package) if isinstance(item.package, CondaPackage) else item.key,
                python=version,
                package=item,
                interpreter=environment.interpreter,
                runs_on=runs_on,
            )
        )
        for item in packages
        if _has_modules(item.package, environment.interpreter)
    )


def _has_modules(package: CondaPackage | InterpreterArchive | Wheel | SourcePackage, interpreter: str) -> bool:
    """Whether a package may have modules for the environment's Python."""
    if not isinstance(package, CondaPackage):
        return not isinstance(package, InterpreterArchive)
    needs = {text.split()[0].split("[")[0] for text in package.depends if text.split()}
    return interpreter == "conda" and (
        package.noarch == "python" or package.name == "python" or bool(needs & {"python", "python_abi"})
    )


def _python_packages(environment: LockedEnvironment) -> tuple[CondaPackage, ...]:
    """The conda packages that the environment's Python is made of: itself and what it needs; none for a host's."""
    if environment.interpreter != "conda":
        return ()
    from envbuild.locks.dependencies import conda_closure

    names = conda_closure(environment.conda, ("python",))
    return tuple(package for package in environment.conda if package.name in names)


def _floor(environment: LockedEnvironment) -> str | None:
    """The oldest glibc or macOS that the lock assumes, which a wheel built for it may not exceed."""
    system = dict(environment.system)
    return system.get("__glibc" if environment.platform.startswith("linux") else "__osx")
