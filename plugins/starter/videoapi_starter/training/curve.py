"""The loss curve of a training as a picture, from what `train_transformer` printed.

Several logs are one training; where a run was taken up from an earlier checkpoint, the later log counts.
"""

from __future__ import annotations

import argparse
import math
import re
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

LINE = re.compile(r"^(?:.*\r)?(\d+) samples, (?:error|loss) ([\d.]+)", re.MULTILINE)
WIDTH, HEIGHT = 900, 380
LEFT, TOP, RIGHT, BOTTOM = 60, 24, 880, 330
INK, GRID, CURVE, MARK = "#333333", "#dddddd", "#2050c0", "#c05020"


def read_logs(paths: list[Path]) -> list[tuple[int, float]]:
    """Samples seen and the error there, in order."""
    points: dict[int, float] = {}
    for path in paths:
        found = [(int(seen), float(error)) for seen, error in LINE.findall(path.read_text())]
        if found:
            points = {seen: error for seen, error in points.items() if seen < found[0][0]}
        points.update(found)
    return sorted(points.items())


def draw(points: list[tuple[int, float]], marks: list[tuple[int, str]]) -> Image.Image:
    """Error, on a logarithmic scale, over samples, with a line and a word at each mark."""
    canvas = Image.new("RGB", (WIDTH, HEIGHT), "white")
    pen, font = ImageDraw.Draw(canvas), ImageFont.load_default(13)
    end = max(seen for seen, _ in points)
    low, high = math.log(0.9 * min(error for _, error in points)), math.log(max(error for _, error in points))

    def place(seen: float, error: float) -> tuple[float, float]:
        share = (math.log(error) - low) / (high - low)
        return LEFT + (RIGHT - LEFT) * seen / end, BOTTOM - (BOTTOM - TOP) * share

    for error in (0.1, 0.15, 0.2, 0.3, 0.5, 1.0):
        if low <= math.log(error) <= high:
            y = place(0, error)[1]
            pen.line((LEFT, y, RIGHT, y), GRID)
            pen.text((LEFT - 8, y), f"{error:g}", INK, font, anchor="rm")
    for thousands in range(0, end // 1000 + 1, 100):
        x = place(1000 * thousands, 1)[0]
        pen.line((x, TOP, x, BOTTOM), GRID)
        pen.text((x, BOTTOM + 8), f"{thousands}k", INK, font, anchor="mt")
    for row, (seen, word) in enumerate(marks):
        x = place(seen, 1)[0]
        pen.line((x, TOP, x, BOTTOM), MARK)
        pen.text((x + 4, TOP + 16 * row), word, MARK, font)
    pen.line([place(*point) for point in points], CURVE, 2)
    pen.text(((LEFT + RIGHT) / 2, HEIGHT - 8), "samples", INK, font, anchor="mb")
    pen.text((LEFT, 4), "squared error of the velocity", INK, font)
    return canvas


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--logs", type=Path, nargs="+", required=True, help="in the order of their runs")
    parser.add_argument("--mark", nargs="*", default=[], help="SAMPLES=WORD")
    parser.add_argument("--out", required=True)
    args = parser.parse_args()
    marks = [(int(seen), word) for seen, _, word in (mark.partition("=") for mark in args.mark)]
    draw(read_logs(args.logs), marks).save(args.out, optimize=True)


if __name__ == "__main__":
    main()
