"""A project to review: hundreds of recipes, each with a fitting lock of several platforms, made without a solve.

Everything is made from numbers, so that two machines make the same bytes. Recipes share most packages, as those of a
team do, and a lock fits its recipe: ``lock --check`` accepts each. ``change`` upgrades packages in some of the locks,
as locking them again would, and ``commit`` makes a revision of it.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from envbuild.digest import Digest
from envbuild.lock import Lock, LockedEnvironment
from envbuild.locks.lock_writing import lock_text
from envbuild.locks.lockfile import parse_lock
from envbuild.locks.place import lock_path
from envbuild.package import CondaPackage, Platform, Wheel
from envbuild.projects.project import find_project, make_request
from envbuild.projects.recipe_files import recipes_below
from envbuild.value import replace

PLATFORMS: tuple[Platform, ...] = tuple(map(Platform, ("linux-64", "linux-aarch64", "osx-arm64")))
CONDA_SHARE = 0.7
"""How much of an environment is conda packages; the rest is wheels."""
ASKED = 12
"""Packages that a recipe asks for by name."""
LICENSES = ("MIT", "BSD-3-Clause", "Apache-2.0", "LGPL-2.1-or-later", "MPL-2.0", "Apache-2.0 OR MIT")
TIMESTAMP = 1_750_000_000_000


def make_project(
    folder: Path, *, recipes: int = 500, packages: int = 150, platforms: Sequence[Platform] = PLATFORMS
) -> tuple[Path, ...]:
    """Make ``envbuild.yaml``, recipes and locks in a folder.

    Returns:
        The recipes' files.
    """
    (folder / "recipes").mkdir(parents=True)
    (folder / "envbuild.yaml").write_text(
        f"recipes: recipes/\nplatforms: [{', '.join(platforms)}]\nchannels: [conda-forge]\n", encoding="utf-8"
    )
    (folder / ".gitignore").write_text(".envs/\n", encoding="utf-8")
    files = []
    for number in range(recipes):
        path = folder / "recipes" / f"r{number:03d}.yaml"
        path.write_text(_recipe(number, packages), encoding="utf-8")
        files.append(path)
    project = find_project(folder, {})
    for number, path in enumerate(files):
        request, _ = make_request(project, path)
        environments = tuple(_environment(number, packages, item.platform, item.system) for item in request.platforms)
        text = lock_text(Lock(request=request.id, platforms=environments))
        lock_path(path).write_text(text, encoding="utf-8")
    return tuple(files)


def change(
    folder: Path, *, share: float = 0.05, packages: int = 5, version: str = "9.9.9", python: bool = True
) -> tuple[Path, ...]:
    """Upgrade some packages in some locks: in every recipe whose number falls into the share.

    Args:
        folder: The project.
        share: Of the recipes.
        packages: How many, the last by name.
        version: Their new one.
        python: Whether Python may be one of them, against what its recipe asks for.

    Returns:
        The locks that were written anew.
    """
    files = recipes_below(folder / "recipes")
    step = max(1, round(1 / share))
    changed = []
    for path in files[::step]:
        file = lock_path(path)
        lock = parse_lock(file.read_bytes(), str(file))
        newer = tuple(
            replace_packages(environment, lambda item: _upgraded(item, version), packages, python=python)
            for environment in lock.platforms
        )
        file.write_text(lock_text(replace(lock, platforms=newer)), encoding="utf-8")
        changed.append(file)
    return tuple(changed)


def commit(folder: Path, message: str) -> str:
    """Commit everything in a folder; a repository is made when there is none.

    Returns:
        The commit.
    """
    environ = {
        **{key: value for key, value in os.environ.items() if not key.startswith("GIT_")},
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_SYSTEM": os.devnull,
        **{f"GIT_{who}_NAME": "Reviewer" for who in ("AUTHOR", "COMMITTER")},
        **{f"GIT_{who}_EMAIL": "reviewer@example.org" for who in ("AUTHOR", "COMMITTER")},
        **{f"GIT_{who}_DATE": "2026-11-01T00:00:00Z" for who in ("AUTHOR", "COMMITTER")},
    }

    def git(*words: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(folder), *words], env=environ, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    if not (folder / ".git").exists():
        git("init", "-q", "-b", "main")
    git("add", "-A")
    git("commit", "-q", "-m", message)
    return git("rev-parse", "HEAD")


def replace_packages(
    environment: LockedEnvironment, new: Callable[[CondaPackage], CondaPackage], count: int, *, python: bool = True
) -> LockedEnvironment:
    """An environment whose last conda packages are others, with Python only if it may be; its id is the new one."""
    chosen = {item.name for item in [each for each in environment.conda if python or each.name != "python"][-count:]}
    return LockedEnvironment(
        platform=environment.platform,
        python=environment.python,
        interpreter=environment.interpreter,
        system=environment.system,
        conda=tuple(new(item) if item.name in chosen else item for item in environment.conda),
        wheels=environment.wheels,
    )


def _recipe(number: int, packages: int) -> str:
    conda, wheels = _names(number, packages)
    lines = [
        "# yaml-language-server: $schema=../schemas/recipe.json",
        'python: ">=3.11,<3.12"',
        "conda:",
        "  packages:",
    ]
    lines += [f'    {name}: ">=1"' for name in conda[: ASKED // 2]]
    lines += ["pypi:", "  packages:", *(f'    {name}: ">=1"' for name in wheels[: ASKED // 2])]
    return "\n".join(lines) + "\n"


def _names(number: int, packages: int) -> tuple[list[str], list[str]]:
    """The conda packages but for Python, and the wheels: from a pool that recipes share."""
    conda = round(packages * CONDA_SHARE) - 1
    wheels = packages - conda - 1
    return (
        sorted(f"lib-{(number * 7 + index) % 400:03d}" for index in range(conda)),
        sorted(f"wheel-{(number * 3 + index) % 200:03d}" for index in range(wheels)),
    )


def _environment(
    number: int, packages: int, platform: Platform, system: tuple[tuple[str, str], ...]
) -> LockedEnvironment:
    conda, wheels = _names(number, packages)
    asked = {*conda[: ASKED // 2], *wheels[: ASKED // 2]}
    python = _conda("python", "3.11.9", platform, (), asked=True)
    return LockedEnvironment(
        platform=platform,
        python="3.11",
        interpreter="conda",
        system=system,
        conda=tuple(
            sorted(
                (
                    python,
                    *(
                        _conda(
                            name, f"1.{index % 7}.{index % 11}", platform, conda[index + 1 : index + 3], name in asked
                        )
                        for index, name in enumerate(conda)
                    ),
                ),
                key=lambda item: item.name,
            )
        ),
        wheels=tuple(
            _wheel(name, f"2.{index % 5}.{index % 9}", wheels[index + 1 : index + 3], name in asked)
            for index, name in enumerate(wheels)
        ),
    )


def _conda(name: str, version: str, platform: Platform, needs: Sequence[str], asked: bool) -> CondaPackage:
    build = "h0123abc_0"
    seed = f"{name} {version} {platform}"
    return CondaPackage(
        name=name,
        version=version,
        build=build,
        build_number=0,
        subdir=platform,
        file=f"{name}-{version}-{build}.conda",
        sha256=_sha(seed),
        channel="conda-forge",
        md5=hashlib.md5(seed.encode(), usedforsecurity=False).hexdigest(),
        size=10_000 + _number(seed) % 1_000_000,
        license=LICENSES[_number(name) % len(LICENSES)],
        timestamp=TIMESTAMP + _number(seed) % 10_000_000_000,
        depends=tuple(f"{other} >=1" for other in needs),
        asked=asked,
    )


def _wheel(name: str, version: str, needs: Sequence[str], asked: bool) -> Wheel:
    seed = f"{name} {version}"
    return Wheel(
        name=name,
        version=version,
        file=f"{name.replace('-', '_')}-{version}-py3-none-any.whl",
        sha256=_sha(seed),
        index="default",
        size=10_000 + _number(seed) % 1_000_000,
        upload_time="2026-06-01T00:00:00Z",
        license=LICENSES[_number(name) % len(LICENSES)],
        requires=tuple(needs),
        asked=asked,
    )


def _upgraded(package: CondaPackage, version: str) -> CondaPackage:
    seed = f"{package.name} {version} {package.subdir}"
    return replace(package, version=version, file=f"{package.name}-{version}-{package.build}.conda", sha256=_sha(seed))


def _sha(text: str) -> Digest:
    return Digest(hashlib.sha256(text.encode()).hexdigest())


def _number(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")
