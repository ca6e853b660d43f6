"""The settings: how a scene looks, and how its task is asked for."""

from .appearance import UNSEEN_BLOCKS
from .instructions import INSTRUCTIONS, PARAPHRASES

SETTINGS = (
    "seen",
    "unseen_textures",
    "unseen_objects",
    "unseen_lighting",
    "unseen_camera",
    "unseen_paraphrases",
)
"""Names of the settings: what is published, and five with one thing each that it never shows."""


def check_setting(setting: str) -> str:
    """The same setting.

    Raises:
        ValueError: there is none of that name.
    """
    if setting not in SETTINGS:
        raise ValueError(f"setting: unknown {setting!r}, there are {', '.join(SETTINGS)}")
    return setting


def sentences(task: str, setting: str) -> tuple[str, ...]:
    """Return the ways to ask for a task in a setting."""
    if setting == "unseen_paraphrases":
        return PARAPHRASES[task]
    sentence = INSTRUCTIONS[task]
    if setting == "unseen_objects":
        for color, (name, _) in UNSEEN_BLOCKS.items():
            sentence = sentence.replace(f"{color} block", f"{name} block")
    return (sentence,)
