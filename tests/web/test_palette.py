"""The colours of the options: told apart by everybody, and seen on the page behind them."""

import itertools
import math
import re
from pathlib import Path

import pytest

CSS = Path(__file__).resolve().parents[2] / "web/static/web/css/polls.css"
Colour = tuple[float, float, float]

# Machado, Oliveira and Fernandes (2009), severity 1.0, over linear RGB.
SIGHT: dict[str, list[list[float]]] = {
    "all cones": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
# CIE 1976: 2.3 is what an eye just notices side by side; across a hall it takes far more.
LEAST_DIFFERENCE = 25
LEAST_CONTRAST = 3.0  # WCAG 1.4.11


def token(name: str) -> dict[str, str]:
    """Return a token's colours in the light and in the dark."""
    found = re.search(rf"--{name}: light-dark\((#\w+), (#\w+)\)", CSS.read_text())
    assert found, name
    return {"light": found[1], "dark": found[2]}


def linear(colour: str) -> Colour:
    digits = colour.removeprefix("#")
    if len(digits) == 3:
        digits = "".join(2 * digit for digit in digits)
    parts = [int(digits[place : place + 2], 16) / 255 for place in (0, 2, 4)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return red, green, blue


def luminance(colour: str) -> float:
    red, green, blue = linear(colour)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def lab(colour: str, sight: list[list[float]]) -> Colour:
    rgb = linear(colour)
    red, green, blue = (
        min(1.0, max(0.0, sum(a * b for a, b in zip(row, rgb, strict=True)))) for row in sight
    )
    x = (0.4124 * red + 0.3576 * green + 0.1805 * blue) / 0.95047
    y = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    z = (0.0193 * red + 0.1192 * green + 0.9505 * blue) / 1.08883
    fx, fy, fz = (t ** (1 / 3) if t > 0.008856 else 7.787 * t + 16 / 116 for t in (x, y, z))
    return 116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)


@pytest.mark.parametrize("sight", SIGHT)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_options_are_told_apart(scheme: str, sight: str) -> None:
    colours = [lab(token(f"option-{n}")[scheme], SIGHT[sight]) for n in range(1, 7)]
    assert min(math.dist(*pair) for pair in itertools.combinations(colours, 2)) > LEAST_DIFFERENCE


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_options_are_seen_on_the_page(scheme: str) -> None:
    paper = token("paper")[scheme]
    least = min(contrast(token(f"option-{n}")[scheme], paper) for n in range(1, 7))
    assert least >= LEAST_CONTRAST


def test_old_browsers_have_the_light_colours() -> None:
    text = CSS.read_text()
    for name, light in re.findall(r"--([\w-]+): light-dark\((#\w+), #\w+\)", text):
        assert f"--{name}: {light};" in text
