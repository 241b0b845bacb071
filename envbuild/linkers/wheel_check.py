"""Whether a wheel file is the package that the lock says, and safe to hand to an installer.

A wheel passes when its zip can be read in one way only (``zip_structure``); when its one ``.dist-info`` is the lock's
package; when RECORD and contents agree and stay where they belong (``wheel_contents``); and when the names of its entry
points are plain file names, for an installer makes files of them; and when it needs what was believed of it
(``wheel_requirements``). A wheel that passed is remembered by its digest in a cache folder, so that a warm link opens
no zip; it is looked at again when an index has told something of it since.
"""

from __future__ import annotations

from pathlib import Path

from envbuild.linkers.checked_wheel import CheckedWheel, Rest, Unpacked, not_unpacked, recall, remember
from envbuild.package import Platform, Wheel
from envbuild.pinned import AnyPinned
from envbuild.value import dataclass, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a wheel is linked with.

    Attributes:
        python: The series; None without Python.
        packages: Of the whole link.
        believed: The folder where solving keeps what indices told, one JSON document for each wheel's sha256.
    """

    platform: Platform
    python: str | None
    packages: tuple[AnyPinned, ...]
    believed: Path

    def spoken_of_since(self, wheel: Wheel, moment: int) -> bool:
        """Whether something was believed of a wheel after a moment (nanoseconds since 1970)."""
        try:
            return (self.believed / wheel.sha256).stat().st_mtime_ns > moment
        except OSError:
            return False


def check_wheel(path: Path, wheel: Wheel, memory: Path, around: Surroundings | None = None) -> CheckedWheel:
    """Check a wheel once.

    Args:
        path: The verified file.
        wheel: What the lock says.
        memory: A cache folder for what passed; may be emptied at any time.
        around: What it is linked with; None for a wheel that was built here, whose requirements were checked then.

    Raises:
        IntegrityError: ``wrong-package``, ``wrong-metadata``, ``bad-wheel`` or ``bad-entry-point``.
    """
    checked, rest = begin_check(path, wheel, memory, around)
    if rest is not None:
        rest(not_unpacked)
    return checked


def begin_check(
    path: Path, wheel: Wheel, memory: Path, around: Surroundings | None = None
) -> tuple[CheckedWheel, Rest | None]:
    """Check what must be known before an installer sees a wheel, and leave the rest for after its work.

    What an installer has unpacked need not be unpacked a second time to be hashed.

    Args:
        path: The verified file.
        wheel: What the lock says.
        memory: As ``check_wheel``; so is ``around``.
        around: What it is linked with.

    Returns:
        What was found; and what is left, which may be done in any thread and raises ``bad-wheel`` or
        ``damaged-cache``. None when it is known already. The wheel is remembered when nothing is left.

    Raises:
        IntegrityError: As ``check_wheel``.
    """
    known = recall(memory, wheel)
    if known is not None and not (around and around.spoken_of_since(wheel, known[1])):
        return known[0], None
    from envbuild.linkers.wheel_inside import look_into  # a dozen patterns, and a warm link looks into nothing

    checked, hashes = look_into(path, wheel)
    if around is not None and (checked.requires or wheel.requires or around.spoken_of_since(wheel, 0)):
        from envbuild.linkers.wheel_requirements import check_requirements

        checked = replace(checked, notes=check_requirements(wheel, checked.requires, around))

    def rest(unpacked: Unpacked) -> None:
        hashes(unpacked)
        remember(memory, wheel, checked)

    return checked, rest


def inspect_wheel(path: Path, wheel: Wheel) -> CheckedWheel:
    """Read a wheel's own words and contents, and compare.

    Raises:
        IntegrityError: ``wrong-package``, ``bad-wheel`` or ``bad-entry-point``.
    """
    from envbuild.linkers.wheel_inside import look_into

    checked, hashes = look_into(path, wheel)
    hashes(not_unpacked)
    return checked
