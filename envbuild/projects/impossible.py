"""What keeps a request from being locked, whatever the channels and indices have.

Rules of the file: pure; each finding names a line of the recipe and what to write instead.
"""

from __future__ import annotations

from envbuild.errors import Issue, Where
from envbuild.recipe import CondaRequirement
from envbuild.request import INHERITED, Request


def impossible(request: Request, path: str, here: Where) -> tuple[Issue, ...]:
    """The findings, in order of name.

    Args:
        request: What the recipe asks for.
        path: The recipe's path, for messages.
        here: The recipe's file, where no line can be named.
    """
    if request.interpreter == INHERITED:
        return ()  # it is known when the base is
    if request.interpreter != "conda":
        return tuple(_second_python(request, here)) or tuple(_no_channels(request, path, here))
    conda = {item.name: item for part in request.platforms for item in part.conda}
    if all(part.channels for part in request.platforms) or ("python" in conda and conda["python"].url):
        return ()
    return (
        Issue(
            message=f"{path} takes Python from conda, but no channel is named",
            reference="no-channels",
            where=here,
            hint="add `conda: {channels: [conda-forge]}`, or `interpreter: host` for wheels alone",
        ),
    )


def _second_python(request: Request, here: Where) -> list[Issue]:
    """``python`` as a conda package beside another Python."""
    asked: dict[str, CondaRequirement] = {
        item.name: item for part in request.platforms for item in part.conda if item.name == "python"
    }
    return [
        Issue(
            message=f"python is asked for as a conda package, and `interpreter: {request.interpreter}` takes another",
            reference="bad-interpreter",
            where=item.where or here,
            hint="say which versions will do under `python:`, or say `interpreter: conda`",
        )
        for item in asked.values()
    ]


def _no_channels(request: Request, path: str, here: Where) -> list[Issue]:
    """Conda packages that no channel can have."""
    for part in request.platforms:
        for item in part.conda:
            if not part.channels and item.channel is None and item.url is None:
                return [
                    Issue(
                        message=f"{path} asks for the conda package {item.name}, but no channel is named",
                        reference="no-channels",
                        where=item.where or here,
                        hint="add `conda: {channels: [conda-forge]}`",
                    )
                ]
    return []
