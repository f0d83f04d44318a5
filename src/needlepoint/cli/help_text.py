"""Help whose options are described in flowing text, however their source breaks its lines."""

from __future__ import annotations

from cyclopts.help import DefaultFormatter, HelpPanel
from cyclopts.help.inline_text import InlineText
from rich.console import Console, ConsoleOptions
from rich.text import Text


class Flowing(DefaultFormatter):
    """The usual help; line breaks inside a description are spaces."""

    def __call__(self, console: Console, options: ConsoleOptions, panel: HelpPanel) -> None:
        """Print one panel."""
        entries = [entry.copy(description=_flowing(entry.description)) for entry in panel.entries]
        super().__call__(console, options, panel.copy(entries=entries))


def _flowing(description: object) -> object:
    plain = isinstance(description, InlineText) and description.primary_renderable
    if isinstance(plain, Text) and isinstance(description, InlineText):
        description.primary_renderable = Text(" ".join(plain.plain.split()))
    return description
