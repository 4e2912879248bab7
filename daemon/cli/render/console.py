"""Rich's console, on which only Rich draws."""

from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from daemon.terminal import LAYOUT
from daemon.texts import escaped


class TextConsole(Console):
    """A console whose texts can't control the terminal, wherever they came from: a name, an error, a mapping's key.

    Colours and movements are Rich's own: styles, and segments that it marks as controls.
    """

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """As Rich does, with the texts escaped."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(escaped(segment.text, keep=LAYOUT), segment.style)
