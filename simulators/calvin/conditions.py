"""The symbolic side of the long-horizon protocol: where things are, what tasks need and what they change."""

from itertools import product

from .interface import BLOCK_COLORS

Condition = dict[str, int | str]
"""led, lightbulb (0 or 1), slider ("left", "right"), drawer ("open", "closed"), one entry for each block, grasped (0, 1)."""
Rule = tuple[Condition, Condition]
"""(what must hold, what holds afterwards)."""

_CHOICES: dict[str, tuple[int | str, ...]] = {
    "led": (0, 1),
    "lightbulb": (0, 1),
    "slider": ("right", "left"),
    "drawer": ("closed", "open"),
    **{f"{color}_block": ("table", "slider_right", "slider_left") for color in BLOCK_COLORS},
    "grasped": (0,),
}


def initial_conditions() -> list[Condition]:
    """Return the 192 conditions in which chains begin: one or two blocks on the table, at most one at each end of the
    slider."""
    found = []
    for values in product(*_CHOICES.values()):
        if values.count("table") in (1, 2) and values.count("slider_right") < 2 and values.count("slider_left") < 2:
            found.append(dict(zip(_CHOICES, values, strict=True)))
    return found


def _rules() -> dict[str, list[Rule]]:
    """Task -> its rules."""
    rules: dict[str, list[Rule]] = {
        "move_slider_left": [({"slider": "right", "grasped": 0}, {"slider": "left"})],
        "move_slider_right": [({"slider": "left", "grasped": 0}, {"slider": "right"})],
        "open_drawer": [({"drawer": "closed", "grasped": 0}, {"drawer": "open"})],
        "close_drawer": [({"drawer": "open", "grasped": 0}, {"drawer": "closed"})],
        "place_in_slider": [],
        "place_in_drawer": [],
        "stack_block": [],
        "unstack_block": [],
        "push_into_drawer": [],
    }
    for light in ("lightbulb", "led"):
        rules[f"turn_on_{light}"] = [({light: 0, "grasped": 0}, {light: 1})]
        rules[f"turn_off_{light}"] = [({light: 1, "grasped": 0}, {light: 0})]
    for color in BLOCK_COLORS:
        block = f"{color}_block"
        others = [f"{other}_block" for other in BLOCK_COLORS if other != color]
        grasp = {block: "grasped", "grasped": 1}
        for verb, way in (("rotate", "right"), ("rotate", "left"), ("push", "right"), ("push", "left")):
            rules[f"{verb}_{block}_{way}"] = [({block: "table", "grasped": 0}, {block: "table"})]
        rules[f"lift_{block}_table"] = [({block: "table", "grasped": 0}, grasp)]
        rules[f"lift_{block}_slider"] = [
            ({block: "slider_left", "slider": "right", "grasped": 0}, grasp),
            ({block: "slider_right", "slider": "left", "grasped": 0}, grasp),
        ]
        rules[f"lift_{block}_drawer"] = [({block: "drawer", "drawer": "open", "grasped": 0}, grasp)]
        held = {block: "grasped", "grasped": 1}
        # As published, the block goes where the door stands, which is the closed side.
        for side in ("right", "left"):
            rules["place_in_slider"].append(({**held, "slider": side}, {block: f"slider_{side}", "grasped": 0}))
        rules["place_in_drawer"].append(({**held, "drawer": "open"}, {block: "drawer", "grasped": 0}))
        for other in others:
            stack = {block: "stacked_top", other: "stacked_bottom"}
            rules["stack_block"].append(({**held, other: "table"}, {**stack, "grasped": 0}))
            rules["unstack_block"].append(({**stack, "grasped": 0}, {block: "table", other: "table"}))
        for places in product(("slider_right", "slider_left"), repeat=2):
            needed = {block: "table", **dict(zip(others, places, strict=True)), "drawer": "open", "grasped": 0}
            rules["push_into_drawer"].append((needed, {block: "drawer"}))
    return rules


RULES = _rules()


def after(condition: Condition, task: str) -> Condition | None:
    """Return the condition once a task is done, or None where the task can't be asked for (not exactly one rule
    fits)."""
    effects = [
        effect for needed, effect in RULES[task] if all(condition[name] == value for name, value in needed.items())
    ]
    return {**condition, **effects[0]} if len(effects) == 1 else None
