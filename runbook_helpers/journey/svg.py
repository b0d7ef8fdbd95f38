"""The picture of a journey: a sequence diagram in SVG without scripts, styles or fonts, so that it is shown everywhere."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from xml.etree import ElementTree

from .steps import AGAIN, MANAGER, METADATA, REGISTRY, VM, YOU, Step

WIDTH = 880
SHOWN = 820  # pixels: what fits beside JupyterLab's file browser on a small screen
LANES = {YOU: 78, VM: 226, METADATA: 480, MANAGER: 650, REGISTRY: 802}  # the middle of each
BOX = 136  # width of a lane's name
SANS = "-apple-system, 'Segoe UI', 'Helvetica Neue', Arial, 'DejaVu Sans', sans-serif"
MONO = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace"
INK, SOFT, LINE, BAND, CARD, EDGE, BAD = "#1f2328", "#57606a", "#c4cad1", "#f1f4f7", "#f4f8fd", "#b3c6dd", "#a40e26"
DEFAULTS = {"font-family": SANS, "font-size": "12", "font-weight": "400", "fill": INK, "text-anchor": "start"}
LETTER = 0.61  # width of a letter of any of these fonts, in its size; the widest of them
KEY = 12  # letters of a claim's name
LONGEST = 72  # letters of a claim's line


def draw(title: str, steps: Sequence[Step], outcome: str, notes: Sequence[str], subtitles: Mapping[str, str]) -> str:
    """The picture of the steps, as the text of an SVG file."""
    return _Picture(subtitles).draw(title, steps, outcome, notes)


def _wrap(text: str, letters: int) -> list[str]:
    """Lines of at most so many letters, broken behind a blank or before a slash; a longer word is broken anywhere."""
    lines = [""]
    for word in re.findall(r"/?[^/\s]+\s*|/", text):
        while len(word.rstrip()) > letters:
            lines += [word[:letters], ""]
            word = word[letters:]
        if len(lines[-1]) + len(word.rstrip()) > letters:
            lines.append("")
        lines[-1] += word
    return [line.rstrip() for line in lines if line.strip()] or [""]


def _number(value: float) -> str:
    return f"{value:g}"


class _Picture:
    """One drawing, from top to bottom."""

    def __init__(self, subtitles: Mapping[str, str]) -> None:
        self._subtitles = subtitles
        self._root = ElementTree.Element("svg", DEFAULTS, xmlns="http://www.w3.org/2000/svg", role="img")
        self._lifelines: list[ElementTree.Element] = []
        self._shown: list[Mapping[str, str]] = []
        self._y = 0.0

    def draw(self, title: str, steps: Sequence[Step], outcome: str, notes: Sequence[str]) -> str:
        ElementTree.SubElement(self._root, "title").text = title
        described = "; ".join(f"{step.source} to {step.target}: {step.what}, {step.status}" for step in steps)
        ElementTree.SubElement(self._root, "desc").text = f"{described}. {outcome}" if steps else outcome
        background = self._rectangle(0, 0, WIDTH, 0, "#ffffff", LINE)
        self._y = 12
        for line in _wrap(title, int((WIDTH - 40) / (15 * LETTER))):
            self._y += 20
            self._text(20, self._y, line, size=15, weight="600")
        self._y += 18
        self._lanes()
        part = ""
        for step in steps:
            if step.part != part:
                part = step.part
                self._band(part)
            self._step(step)
        self._y += 16
        for lifeline in self._lifelines:
            lifeline.set("y2", _number(self._y))
        self._closing(outcome, notes)
        self._root.set("width", str(SHOWN))
        self._root.set("height", _number(self._y * SHOWN / WIDTH))
        self._root.set("viewBox", f"0 0 {WIDTH} {_number(self._y)}")
        background.set("height", _number(self._y - 1))
        return ElementTree.tostring(self._root, encoding="unicode")

    def _lanes(self) -> None:
        for name, x in LANES.items():
            self._lifelines.append(self._line(x, self._y + 40, x, 0, LINE))
            self._rectangle(x - BOX / 2, self._y, BOX, 40, BAND, EDGE)
            subtitle = self._subtitles.get(name, "")
            if len(subtitle) > BOX / (11 * LETTER):
                subtitle = subtitle[: int(BOX / (11 * LETTER)) - 1] + "…"
            self._text(x, self._y + (18 if subtitle else 25), name, weight="600", anchor="middle")
            if subtitle:
                self._text(x, self._y + 33, subtitle, size=11, color=SOFT, anchor="middle")
        self._y += 52

    def _band(self, part: str) -> None:
        self._y += 8
        self._rectangle(1, self._y, WIDTH - 2, 24, BAND)
        self._text(20, self._y + 16, part, size=12, weight="600", font=MONO)
        self._y += 34

    def _step(self, step: Step) -> None:
        start, end = LANES[step.source], LANES[step.target]
        color = BAD if step.refused else INK
        room = (end - start - 24) / (12 * LETTER)
        lines = _wrap(step.what, int(room))
        if len(lines[-1]) + len(step.status) + 1 > room:  # the status stands at the end of the last line
            lines.append("")
        for line in lines:
            self._y += 15
            self._text(start + 10, self._y, line, color=color, over_line=True)
        self._text(end - 12, self._y, step.status, weight="700", color=color, anchor="end", over_line=True)
        self._y += 7
        self._arrow(start, end, color, dashed=step.refused)
        self._y += 8
        if step.claims:
            again = step.claims in self._shown
            self._shown.append(step.claims)
            self._claims({"": AGAIN} if again else step.claims, start)

    def _arrow(self, start: float, end: float, color: str, *, dashed: bool) -> None:
        line = self._line(start, self._y, end - 8, self._y, color, 1.4)
        if dashed:
            line.set("stroke-dasharray", "6 4")
        points = f"{end - 9},{_number(self._y - 4.5)} {end},{_number(self._y)} {end - 9},{_number(self._y + 4.5)}"
        ElementTree.SubElement(self._root, "polygon", points=points, fill=color)

    def _claims(self, claims: Mapping[str, str], start: float) -> None:
        """The claims of the answer's token, where it arrives."""
        rows = [
            (name if number == 0 else "", line)
            for name, value in claims.items()
            for number, line in enumerate(_wrap(value, LONGEST))
        ]
        key = KEY * 11 * LETTER if any(name for name, _ in rows) else 0
        width = key + max(len(line) for _, line in rows) * 11 * LETTER + 20
        self._y += 2
        self._rectangle(start + 10, self._y, width, len(rows) * 15 + 9, CARD, EDGE)
        self._y += 2
        for name, line in rows:
            self._y += 15
            self._text(start + 20, self._y - 1, name, size=11, color=SOFT, font=MONO)
            self._text(start + 20 + key, self._y - 1, line, size=11, font=MONO)
        self._y += 13

    def _closing(self, outcome: str, notes: Sequence[str]) -> None:
        self._y += 22
        for line in _wrap(outcome, int((WIDTH - 40) / (14 * LETTER))):
            self._text(20, self._y, line, size=14, weight="600", color=BAD if outcome.startswith("Refused") else INK)
            self._y += 20
        for note in notes:
            for line in _wrap(note, int((WIDTH - 40) / (12 * LETTER))):
                self._text(20, self._y, line, color=SOFT)
                self._y += 17
        self._y += 4

    # Shapes

    def _rectangle(
        self, x: float, y: float, width: float, height: float, fill: str, edge: str = "none"
    ) -> ElementTree.Element:
        half = 0.5 if edge != "none" else 0  # a line of one pixel is sharp in the middle of one
        attributes = {"x": x + half, "y": y + half, "width": width - 2 * half, "height": height}
        shape = ElementTree.SubElement(
            self._root, "rect", {name: _number(value) for name, value in attributes.items()}, fill=fill, stroke=edge
        )
        if edge != "none":
            shape.set("rx", "5")
        return shape

    def _line(self, x1: float, y1: float, x2: float, y2: float, color: str, width: float = 1) -> ElementTree.Element:
        ends = {"x1": x1, "y1": y1, "x2": x2, "y2": y2, "stroke-width": width}
        return ElementTree.SubElement(
            self._root, "line", {name: _number(value) for name, value in ends.items()}, stroke=color
        )

    def _text(
        self,
        x: float,
        y: float,
        text: str,
        *,
        size: int = 12,
        weight: str = "400",
        color: str = INK,
        font: str = SANS,
        anchor: str = "start",
        over_line: bool = False,
    ) -> None:
        chosen = {
            "font-family": font,
            "font-size": str(size),
            "font-weight": weight,
            "fill": color,
            "text-anchor": anchor,
        }
        attributes = {"x": _number(x), "y": _number(y)}
        attributes |= {key: value for key, value in chosen.items() if value != DEFAULTS[key]}
        if over_line:  # a rim, so that a lifeline does not run through the letters
            attributes |= {"stroke": "#ffffff", "stroke-width": "4", "paint-order": "stroke"}
        ElementTree.SubElement(self._root, "text", attributes).text = text
