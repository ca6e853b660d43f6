"""How well the deadlines of a control loop are kept."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass
class ControlTimes:
    """Measurements of one or more episodes.

    Attributes:
        period: seconds between two control steps, as the contract wants it.
        latencies: seconds from each observation to its chunk.
        delays: control steps that passed meanwhile.
        ticks: seconds between the starts of successive control steps, as they were.
        missed: control steps without an action of their own, after the first chunk.
        longest_gap: seconds for which the robot was without one, at most, after the first chunk.
    """

    period: float
    latencies: list[float] = field(default_factory=list)
    delays: list[int] = field(default_factory=list)
    ticks: list[float] = field(default_factory=list)
    steps: int = 0
    missed: int = 0
    longest_gap: float = 0.0
    _gap: int = 0

    def note_step(self, has_action: bool) -> None:
        """One control step, with or without an action that a chunk gave."""
        self.steps += 1
        self._gap = 0 if has_action else self._gap + 1
        self.missed += not has_action
        self.longest_gap = max(self.longest_gap, self._gap * self.period)

    def note_tick(self, seconds: float) -> None:
        """One interval between two control steps; whatever exceeds the period is a gap, too."""
        self.ticks.append(seconds)
        self.longest_gap = max(self.longest_gap, seconds - self.period)

    def to_dict(self) -> dict[str, Any]:
        """Write it as plain data; times in milliseconds."""
        jitter = np.abs(np.array(self.ticks) - self.period)
        return {
            "steps": self.steps,
            "missed_deadlines": self.missed,
            "longest_gap_ms": round(1000 * self.longest_gap, 3),
            "latency_ms": _percentiles(1000 * np.array(self.latencies)),
            "delay_steps": _percentiles(np.array(self.delays, dtype=float)),
            "jitter_ms": _percentiles(1000 * jitter),
        }

    def summary(self) -> str:
        """Return a few lines for people."""
        report = self.to_dict()
        lines = [
            f"{self.steps} control steps at {1 / self.period:g} Hz, {self.missed} without an action, "
            f"longest gap {report['longest_gap_ms']:.0f} ms"
        ]
        for name, title in (("latency_ms", "latency"), ("jitter_ms", "jitter"), ("delay_steps", "delay in steps")):
            if report[name]:
                values = ", ".join(f"{key} {value:.1f}" for key, value in report[name].items())
                lines.append(f"  {title:15} {values}")
        return "\n".join(lines)


def _percentiles(values: np.ndarray) -> dict[str, float]:
    if not len(values):
        return {}
    return {
        "median": round(float(np.median(values)), 3),
        "p95": round(float(np.percentile(values, 95)), 3),
        "max": round(float(values.max()), 3),
    }
