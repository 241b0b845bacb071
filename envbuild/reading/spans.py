"""Where the nodes of a YAML text begin and end, as offsets: what a text editor needs and a reader does not.

Theory: the parser's events carry offsets in characters. A scalar and a flow collection know their own end; a block
collection ends where its last child does, because the parser notices its end only at whatever comes next.

Rules of the file: the text has passed ``envbuild.reading.document.parse`` before, so that nothing is refused here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

from envbuild.value import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """One node.

    Attributes:
        start: Offset of its first character.
        end: Offset after its last character, comments and line breaks not counted.
        column: Column of its first character, from 0.
        flow: Whether it is a mapping or list in braces or brackets.
        style: A scalar's quoting, empty without; None for collections.
        text: A scalar's text.
        entries: A mapping's keys and values.
        is_mapping: Whether it is a mapping.
    """

    start: int
    end: int
    column: int
    flow: bool = False
    style: str | None = None
    text: str = ""
    entries: tuple[tuple[Span, Span], ...] = ()
    is_mapping: bool = False

    def find(self, name: str) -> tuple[Span, Span] | None:
        """The key and value of an entry."""
        return next(((key, value) for key, value in self.entries if key.text == name), None)

    @property
    def empty(self) -> bool:
        """Whether it says nothing: no text, or null."""
        return not self.is_mapping and self.style == "" and self.text in {"", "~", "null", "Null", "NULL"}


def spans(content: str) -> Span:
    """The root of a text's spans."""
    events: Iterator[Any] = yaml.parse(content, Loader=yaml.CBaseLoader)
    for event in events:
        if isinstance(event, yaml.NodeEvent):
            return _span(event, events, content)
    raise ValueError("the text has no document")  # a defect: document.parse has refused it


def _span(event: Any, events: Iterator[Any], content: str) -> Span:
    start, column = event.start_mark.index, event.start_mark.column
    end = event.end_mark.index
    if isinstance(event, yaml.ScalarEvent):
        style = event.style or ""
        if style in {"|", ">"}:
            end = start + len(content[start:end].rstrip())
        return Span(start=start, end=end, column=column, style=style, text=event.value)
    flow = bool(event.flow_style)
    end, is_mapping = start, isinstance(event, yaml.MappingStartEvent)
    entries, pending = [], None
    while not isinstance(event := next(events), yaml.CollectionEndEvent):
        child = _span(event, events, content)
        end = max(end, child.end)
        if is_mapping and pending is not None:
            entries.append((pending, child))
            pending = None
        else:
            pending = child
    if flow:
        end = _end(event)
    return Span(start=start, end=end, column=column, flow=flow, entries=tuple(entries), is_mapping=is_mapping)


def _end(event: Any) -> int:
    index: int = event.end_mark.index
    return index
