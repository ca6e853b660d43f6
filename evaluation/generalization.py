"""The five settings of the RoboVLMs paper's real-robot study, for robots (as checklists) and for the simulator."""

from dataclasses import dataclass


@dataclass(frozen=True)
class GeneralizationSetting:
    """One of the settings.

    Attributes:
        name: as it is written in records.
        summary: what is new for the policy.
        checklist: what a person arranges before each rollout.
        tabletop: the embedded simulator's setting that generates it.
        told_otherwise: whether the policy is told a sentence that was not in its training.
    """

    name: str
    summary: str
    checklist: tuple[str, ...]
    tabletop: str
    told_otherwise: bool = False


_COMMON = ("objects of the task at positions drawn anew", "robot in its start pose")

GENERALIZATION_SETTINGS: dict[str, GeneralizationSetting] = {
    setting.name: setting
    for setting in (
        GeneralizationSetting("simple", "as in training", (*_COMMON, "only things seen in training"), "seen"),
        GeneralizationSetting(
            "unseen_distractor",
            "things on the table that were in no demonstration",
            (*_COMMON, "two or more distractors that were never in training, within reach"),
            "unseen_distractors",
        ),
        GeneralizationSetting(
            "unseen_background",
            "another table cloth or background",
            (*_COMMON, "a table cloth or wall that was never in training, all through the camera's view"),
            "unseen_colors",
        ),
        GeneralizationSetting(
            "unseen_object",
            "the thing to be handled was in no demonstration",
            (*_COMMON, "in place of the task's object one that was never in training, named in the instruction"),
            "unseen_objects",
            told_otherwise=True,
        ),
        GeneralizationSetting(
            "novel_skill_description",
            "the skill is asked for in other words",
            (*_COMMON, "only things seen in training", "an instruction with a verb that was never in training"),
            "novel_instructions",
            told_otherwise=True,
        ),
    )
}
"""By name."""
