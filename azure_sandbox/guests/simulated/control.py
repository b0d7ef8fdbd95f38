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
