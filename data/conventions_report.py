"""Measured conventions as lines for a terminal and as drawings for a page."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from .conventions import CHANGES, TRACKS

WIDTH, HEIGHT = 170, 44  # of a trace, pixels


def summarise(found: dict[str, Any]) -> str:
    """What was found, in a sentence."""
    evidence = found["evidence"]
    delay = (
        "" if found["delay"] is None else f", states follow {found['delay']} frame{'s' * (found['delay'] != 1)} later"
    )
    return (
        f"mode {found['mode']}, rotation {found['rotation']}{delay}; nothing moves in {found['idle']:.1%} of the frames "
        f"(measured on {evidence['frames']} frames of {evidence['episodes']} episodes)"
    )


def list_evidence(found: dict[str, Any]) -> list[str]:
    """A sentence for each gripper and rotation, and for the longest idle stretch."""
    evidence, sentences = found["evidence"], []
    for gripper in found["grippers"]:
        low, high = gripper["values"]
        share = f"{gripper['starts_at']:.0%} of the episodes begin at {high:g}"
        sentences.append(f"{gripper['name']!r} is {low:g} or {high:g}: {gripper['why']}; {share}")
    for what, key in (("action", "rotations"), ("state", "state_rotations")):
        for one in evidence[key]:
            first, last = one["dims"]
            sentences.append(f"rotation in dimensions {first} to {last} of the {what}: {one['kind']}; {one['why']}")
    for stretch in evidence["idle_stretches"][:1]:
        where = f"episode {stretch['episode']} from frame {stretch['frame']} on"
        sentences.append(f"longest stretch without motion: {stretch['frames']} frames, {where}")
    return sentences


def as_lines(found: dict[str, Any]) -> list[str]:
    """All of it for a terminal."""
    dimensions = found["evidence"]["dimensions"]
    lines = ["  conventions, as measured: " + summarise(found)]
    if any(one["state"] is not None for one in dimensions):
        titles = f"{'goes with':<24}{'frames later':>13}{'states':>9}{'differences':>13}"
        lines.append(f"    {'action':<24}{'reading':<11}{titles}")
    for one in dimensions:
        if one["state"] is not None:
            figures = f"{one['delay']:>13}{one['absolute']:9.3f}{one['difference']:13.3f}"
            lines.append(f"    {one['name']:<23} {one['reading']:<10} {one['state']:<24}{figures}")
    return lines + [f"    {sentence}" for sentence in list_evidence(found)]


def draw_correlation(value: float, what: str, width: int = 56) -> str:
    """A bar of a correlation's size as SVG, with a mark where such a correlation begins to count."""
    counts = TRACKS if what == "absolute" else CHANGES
    colour = "var(--blue)" if (value if what == "absolute" else abs(value)) >= counts else "#b9c4cf"
    return (
        f'<svg width="{width}" height="14" role="img" aria-label="{value:.3f}">'
        f'<rect x="0" y="3" width="{width}" height="8" fill="var(--track)"/>'
        f'<rect x="0" y="3" width="{abs(value) * width:.1f}" height="8" fill="{colour}"/>'
        f'<rect x="{counts * width:.1f}" y="0" width="1.5" height="14" fill="var(--ink)"/></svg>'
    )


def draw_trace(lines: Sequence[np.ndarray]) -> str:
    """An action over time as SVG, and what it goes with, on one axis where their ranges are alike, else each on its own."""
    colours = ("var(--blue)", "var(--amber)")
    ranges = [(float(line.min()), float(line.max())) for line in lines]
    low, high = min(a for a, _ in ranges), max(b for _, b in ranges)
    are_alike = all(b - a >= 0.2 * (high - low) for a, b in ranges)
    limits = [(low, high)] * len(lines) if are_alike else ranges
    frames = max(len(line) for line in lines)
    drawn = []
    for line, colour, (least, most) in reversed(list(zip(lines, colours, limits, strict=False))):
        x = np.arange(len(line)) * (WIDTH - 2) / max(1, frames - 1) + 1
        y = HEIGHT - 3 - (line - least) / max(most - least, 1e-12) * (HEIGHT - 6)
        points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
        drawn.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.4"/>')
    return f'<svg width="{WIDTH}" height="{HEIGHT}" role="img" aria-label="trace">{"".join(drawn)}</svg>'
