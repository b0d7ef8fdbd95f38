"""The pull matrix as a picture (SVG): every cell says its outcome in a word and a sign, not by colour alone."""

from __future__ import annotations

from html import escape

from .pull_matrix import DENIED, NO_ANSWER, PULLED, PullMatrix, words

LINE, MARGIN, LETTER, PADDING = 34, 20, 8.8, 14  # pixels; the width of a letter is that of a wide bold one
SIGNS = {PULLED: "✓", DENIED: "✕", NO_ANSWER: "?"}
COLOURS = {PULLED: ("#e3f2e6", "#14532d"), DENIED: ("#eceff3", "#334155"), NO_ANSWER: ("#fff4ce", "#5c4400")}
WRONG = ("#fde2e1", "#8a1111")


def as_svg(matrix: PullMatrix) -> str:
    """The matrix as an SVG file."""
    table = [["VM", "identity", *matrix.fleet.registries]]
    table += [[row.vm, row.identity, *(f"{SIGNS[p['outcome']]} {words(p)}" for p in row.pulls)] for row in matrix.rows]
    widths = [max(map(len, column)) * LETTER + 2 * PADDING for column in zip(*table, strict=True)]
    lefts = [MARGIN + sum(widths[:column]) for column in range(len(widths))]
    top = 84
    width = max(sum(widths), len(matrix.sentence()) * LETTER + PADDING) + 2 * MARGIN
    height = top + LINE * len(table) + MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-labelledby="title desc" width="{width:.0f}" '
        f'height="{height}" viewBox="0 0 {width:.0f} {height}" font-family="Segoe UI, DejaVu Sans, Arial, sans-serif" '
        'font-size="14">',
        '<title id="title">Which VM can pull from which registry</title>',
        f'<desc id="desc">{escape(_description(matrix))}</desc>',
        f'<rect width="{width:.0f}" height="{height}" fill="#ffffff"/>',
        _text(MARGIN + PADDING, 34, "Who can pull from which registry", "#111827", 'font-size="18" font-weight="bold"'),
        _text(MARGIN + PADDING, 60, matrix.sentence(), "#374151"),
    ]
    for number, line in enumerate(table):
        y = top + number * LINE
        if number:
            parts.append(_rule(MARGIN, y, sum(widths)))
        for column, cell in enumerate(line):
            colour, weight = "#111827", "" if number else 'font-weight="bold"'
            if number and column >= 2:
                pull = matrix.rows[number - 1].pulls[column - 2]
                fill, colour = COLOURS[pull["outcome"]] if pull["outcome"] == pull["expected"] else WRONG
                parts.append(_box(lefts[column] + 4, y + 4, widths[column] - 8, fill, colour))
            parts.append(_text(lefts[column] + PADDING, y + 22, cell, colour, weight))
    return "\n".join([*parts, "</svg>", ""])


def _description(matrix: PullMatrix) -> str:
    lines = []
    for row in matrix.rows:
        cells = ", ".join(f"{pull['registry']}: {words(pull)}" for pull in row.pulls)
        lines.append(f"{row.vm} with the identity {row.identity}: {cells}.")
    return " ".join([matrix.sentence(), *lines])


def _text(x: float, y: float, text: str, colour: str, more: str = "") -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" fill="{colour}" {more}>{escape(text)}</text>'


def _box(x: float, y: float, width: float, fill: str, edge: str) -> str:
    return (
        f'<rect x="{x:.0f}" y="{y:.0f}" width="{width:.0f}" height="{LINE - 8}" rx="5" fill="{fill}" stroke="{edge}"/>'
    )


def _rule(x: float, y: float, width: float) -> str:
    return f'<path d="M{x:.0f} {y:.0f}h{width:.0f}" stroke="#d1d5db"/>'
