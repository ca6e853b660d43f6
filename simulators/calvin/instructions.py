"""What a policy is told for each task: the sentences of CALVIN's evaluation, one per task, and others of our own."""

INSTRUCTIONS = {
    "rotate_red_block_right": "take the red block and rotate it to the right",
    "rotate_red_block_left": "take the red block and rotate it to the left",
    "rotate_blue_block_right": "take the blue block and rotate it to the right",
    "rotate_blue_block_left": "take the blue block and rotate it to the left",
    "rotate_pink_block_right": "take the pink block and rotate it to the right",
    "rotate_pink_block_left": "take the pink block and rotate it to the left",
    "push_red_block_right": "go push the red block right",
    "push_red_block_left": "go push the red block left",
    "push_blue_block_right": "go push the blue block right",
    "push_blue_block_left": "go push the blue block left",
    "push_pink_block_right": "go push the pink block right",
    "push_pink_block_left": "go push the pink block left",
    "move_slider_left": "push the sliding door to the left side",
    "move_slider_right": "push the sliding door to the right side",
    "open_drawer": "pull the handle to open the drawer",
    "close_drawer": "push the handle to close the drawer",
    "lift_red_block_table": "grasp and lift the red block",
    "lift_blue_block_table": "grasp and lift the blue block",
    "lift_pink_block_table": "grasp and lift the pink block",
    "lift_red_block_slider": "lift the red block from the sliding cabinet",
    "lift_blue_block_slider": "lift the blue block from the sliding cabinet",
    "lift_pink_block_slider": "lift the pink block from the sliding cabinet",
    "lift_red_block_drawer": "Take the red block from the drawer",
    "lift_blue_block_drawer": "Take the blue block from the drawer",
    "lift_pink_block_drawer": "Take the pink block from the drawer",
    "place_in_slider": "store the grasped block in the sliding cabinet",
    "place_in_drawer": "store the grasped block in the drawer",
    "push_into_drawer": "slide the block that it falls into the drawer",
    "stack_block": "stack the grasped block",
    "unstack_block": "remove the stacked block",
    "turn_on_lightbulb": "use the switch to turn on the light bulb",
    "turn_off_lightbulb": "use the switch to turn off the light bulb",
    "turn_on_led": "press the button to turn on the led light",
    "turn_off_led": "press the button to turn off the led light",
}


def _of_blocks(task: str, *sentences: str) -> dict[str, tuple[str, ...]]:
    """The sentences for each block; `task` and they have `{}` for its colour."""
    return {
        task.format(color): tuple(sentence.format(color) for sentence in sentences)
        for color in ("red", "blue", "pink")
    }


PARAPHRASES: dict[str, tuple[str, ...]] = {
    **_of_blocks("rotate_{}_block_right", "spin the {} one clockwise", "give the {} cube a twist to the right"),
    **_of_blocks("rotate_{}_block_left", "spin the {} one counterclockwise", "give the {} cube a twist to the left"),
    **_of_blocks("push_{}_block_right", "shove the {} cube to your right", "the {} cube should end up further right"),
    **_of_blocks("push_{}_block_left", "shove the {} cube to your left", "the {} cube should end up further left"),
    "move_slider_left": ("get the cabinet's door over to the left", "drag the sliding panel leftwards"),
    "move_slider_right": ("get the cabinet's door over to the right", "drag the sliding panel rightwards"),
    "open_drawer": ("draw the drawer out of the desk", "I want to see what the drawer holds"),
    "close_drawer": ("shove the drawer back into the desk", "the drawer must not stand out any more"),
    **_of_blocks(
        "lift_{}_block_table", "hoist the {} cube off the desk", "have the {} cube hang in the air over the desk"
    ),
    **_of_blocks(
        "lift_{}_block_slider", "fetch the {} cube out of the cabinet", "hoist the {} cube off the cabinet's floor"
    ),
    **_of_blocks(
        "lift_{}_block_drawer", "fetch the {} cube out of the drawer", "hoist the {} cube off the drawer's floor"
    ),
    "place_in_slider": ("leave what you hold inside the cabinet", "drop your cube behind the sliding panel"),
    "place_in_drawer": ("leave what you hold inside the drawer", "drop your cube where the drawer is open"),
    "push_into_drawer": (
        "shove a cube over the edge so that the drawer catches it",
        "make a cube drop into the drawer",
    ),
    "stack_block": ("build a tower with the cube you hold", "leave your cube on top of another one"),
    "unstack_block": ("take the tower apart", "get the upper cube off the lower one"),
    "turn_on_lightbulb": ("flip the lever so that the bulb glows", "make the yellow lamp shine"),
    "turn_off_lightbulb": ("flip the lever so that the bulb goes dark", "the yellow lamp should not shine any more"),
    "turn_on_led": ("hit the knob so that the green lamp glows", "make the green lamp shine"),
    "turn_off_led": ("hit the knob so that the green lamp goes dark", "the green lamp should not shine any more"),
}
"""Sentences that the published datasets and evaluation don't have (setting "unseen_paraphrases")."""
