"""Draws the pictures of the structures: python docs/draw_structures.py"""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

IMAGES = Path(__file__).parent / "images"
COLOURS = {
    "image": "#4c78a8",
    "text": "#9ecae9",
    "action": "#f58518",
    "head": "#54a24b",
    "chunk": "#e7f2e4",
    "vlm": "#f2f2f2",
}


class Drawing:
    def __init__(self, width: float, height: float):
        self.figure, self.axes = plt.subplots(figsize=(width, height))
        self.axes.set_xlim(0, width)
        self.axes.set_ylim(0, height)
        self.axes.axis("off")

    def box(self, x: float, y: float, width: float, text: str, kind: str, height: float = 0.5) -> None:
        colour = "white" if kind in ("image", "action", "head") else "black"
        style = FancyBboxPatch(
            (x + 0.04, y),
            width - 0.08,
            height,
            "round,pad=0,rounding_size=0.08",
            fc=COLOURS[kind],
            ec="#555555",
            lw=0.8,
        )
        self.axes.add_patch(style)
        self.axes.text(
            x + width / 2,
            y + height / 2,
            text,
            ha="center",
            va="center",
            fontsize=7 if width < 1 and len(text) > 7 else 9,
            color=colour,
        )

    def arrow(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        self.axes.add_patch(FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=10, color="#555555", lw=1))

    def frame(self, x: float, y: float, label: str = "") -> float:
        """One frame's tokens; returns the middle of its action token."""
        parts = (("image", 0.95, f"cameras{label}"), ("text", 0.95, "instruction"), ("action", 0.6, "[act]"))
        for kind, width, text in parts:
            self.box(x, y, width, text, kind)
            x += width
        return x - 0.3

    def save(self, name: str) -> None:
        IMAGES.mkdir(exist_ok=True)
        self.figure.savefig(IMAGES / f"{name}.png", dpi=150, bbox_inches="tight")
        plt.close(self.figure)


def one_step() -> None:
    drawing = Drawing(6.2, 1.8)
    action = drawing.frame(0.2, 0.2)
    drawing.box(0.2, 1.0, 2.5, "VLM", "vlm", 0.6)
    drawing.box(3.2, 1.05, 1, "head", "head")
    drawing.box(4.7, 1.05, 1.3, "chunk of actions", "chunk")
    drawing.arrow((action, 0.72), (action, 0.98))
    drawing.arrow((2.7, 1.3), (3.22, 1.3))
    drawing.arrow((4.18, 1.3), (4.72, 1.3))
    drawing.save("one_step")


def several_frames(name: str, apart: bool) -> None:
    drawing = Drawing(9.4, 3.6)
    gap = 0.5 if apart else 0.0
    for index, label in enumerate((" t-2", " t-1", " t")):
        x = 0.2 + index * (2.5 + gap)
        action = drawing.frame(x, 0.2, label)
        if apart:
            drawing.box(x, 1.0, 2.5, "VLM", "vlm", 0.6)
        drawing.arrow((action, 0.72), (action, 0.98))
        drawing.arrow((action, 1.62), (action, 1.98))
        drawing.arrow((action, 2.52), (action, 2.83))
        drawing.box(action - 0.75, 2.85, 1.5, f"chunk{label}", "chunk", 0.45)
    width = 7.5 + 2 * gap
    if not apart:
        drawing.box(0.2, 1.0, width, "VLM: one causal sequence, history is its attention", "vlm", 0.6)
    text = "head: LSTM, GRU or transformer over the frames' features" if apart else "head"
    drawing.box(0.2, 2.0, width, text, "head")
    drawing.save(name)


def one_step_discrete() -> None:
    drawing = Drawing(8.6, 2.7)
    drawing.box(0.2, 0.2, 1.2, "cameras", "image")
    drawing.box(1.4, 0.2, 1.6, "instruction", "text")
    drawing.box(0.2, 1.0, 7.9, "VLM", "vlm", 0.6)
    for index, name in enumerate(("x", "y", "z", "roll", "pitch", "yaw", "gripper")):
        x = 3.0 + 0.73 * index
        drawing.box(x, 0.2, 0.73, name, "action")
        drawing.arrow((x + 0.36, 0.72), (x + 0.36, 0.98))
        drawing.arrow((x + 0.36, 1.62), (x + 0.36, 1.93))
    drawing.box(3.0, 1.95, 5.1, "language head: one of 256 bins per dimension and step", "head")
    drawing.save("one_step_discrete")


def frame_attention() -> None:
    """Which frames a frame's tokens read at frame 6 of an episode, for a window of three; orange is computed now."""
    frames, window = 6, 3
    figure, panels = plt.subplots(1, 2, figsize=(7.6, 3.8))
    for axes, mode in zip(panels, ("window", "banded"), strict=True):
        for reader in range(frames):
            for read in range(reader + 1):
                seen = reader - read < window if mode == "banded" else read >= frames - window
                now = seen and (mode == "window" or reader == frames - 1)
                colour = COLOURS["action" if now else "image" if seen else "vlm"]
                axes.add_patch(plt.Rectangle((read + 0.06, reader + 0.06), 0.88, 0.88, color=colour))
        ticks = [frame + 0.5 for frame in range(frames)]
        axes.set(xlim=(0, frames), ylim=(frames, 0), aspect="equal", title=f'frame_attention="{mode}"')
        axes.set(xlabel="frame that is read", ylabel="frame that reads")
        axes.set_xticks(ticks, range(1, frames + 1))
        axes.set_yticks(ticks, range(1, frames + 1))
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
    figure.tight_layout()
    figure.savefig(IMAGES / "frame_attention.png", dpi=150, bbox_inches="tight")
    plt.close(figure)


def way_of_a_frame() -> None:
    """One frame's way: from a dataset to the loss above, from the camera to the motor below, through the same middle."""
    drawing = Drawing(11.6, 4.4)
    x, width = (0.1, 2.45, 4.8, 7.15, 9.5), 2.0
    drawing.axes.text(0.1, 4.15, "training", fontsize=10, weight="bold")
    drawing.axes.text(0.1, 0.05, "control", fontsize=10, weight="bold")
    training = (
        ("dataset\nwindow, chunk, mask", "image"),
        ("VLACollator\na batch of samples", "text"),
    )
    control = (("camera, state, words\nobservation", "image"), ("Policy\nwindow and chunk", "text"))
    for (upper, kind), (lower, same), left in zip(training, control, x[:2], strict=True):
        drawing.box(left, 3.1, width, upper, kind, 0.8)
        drawing.box(left, 0.4, width, lower, same, 0.8)
    drawing.box(x[2], 1.75, width, "RoboVLMProcessor\nprompt, pixels,\nnormalised actions", "action", 0.85)
    drawing.box(x[3], 1.75, width, "VLA\nbackbone, [act],\nhead", "head", 0.85)
    drawing.box(x[4], 3.1, width, "loss\npose + gripper", "chunk", 0.8)
    drawing.box(x[3], 0.4, width, "decode_actions\nunits, gripper, limits", "action", 0.8)
    drawing.box(x[4], 0.4, width, "motor\none action per tick", "image", 0.8)
    for height in (3.5, 0.8):
        drawing.arrow((x[0] + width, height), (x[1], height))
    drawing.arrow((x[1] + width, 3.5), (x[2] + 0.5, 2.62))
    drawing.arrow((x[1] + width, 0.8), (x[2] + 0.5, 1.73))
    drawing.arrow((x[2] + width, 2.17), (x[3], 2.17))
    drawing.arrow((x[3] + width - 0.4, 2.62), (x[4] + 0.4, 3.08))
    drawing.arrow((x[3] + width / 2, 1.73), (x[3] + width / 2, 1.22))
    drawing.arrow((x[3] + width, 0.8), (x[4], 0.8))
    drawing.save("way_of_a_frame")


if __name__ == "__main__":
    one_step()
    way_of_a_frame()
    several_frames("policy_head", apart=True)
    several_frames("interleaved", apart=False)
    one_step_discrete()
    frame_attention()
