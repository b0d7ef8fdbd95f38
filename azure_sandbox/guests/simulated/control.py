"""Control of a running program from outside: interrupts, and whether the terminal echoes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field


class Interrupted(Exception):
    """The user pressed Ctrl-C, or the connection is gone."""


@dataclass(eq=False)
class Control:
    """The control of a running session from outside."""

    interrupt: threading.Event = field(default_factory=threading.Event)
    echo: Callable[[bool], None] = lambda visible: None
    """Whether the terminal shows what is typed."""
    history: list[str] = field(default_factory=list)
    """The lines that were typed at a terminal."""
    prompt: str = ""
    """What stands before the line that is being typed."""
    complete: Callable[[str], list[str]] = lambda text: []
    """The words that the last one of a line may become."""
