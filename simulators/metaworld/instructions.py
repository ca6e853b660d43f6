"""Sentences for Meta-World's 50 tasks, which have none of their own, only names.

No sentence names a colour, so that a setting may change it. A marked place is the small ball that Meta-World draws.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Sentences:
    """Ways to ask for a task: those of demonstrations, and those that are held out for evaluation."""

    seen: tuple[str, ...]
    held_out: tuple[str, ...]


INSTRUCTIONS: dict[str, Sentences] = {
    "assembly-v3": Sentences(
        ("slip the ring over the peg", "put the ring on the peg", "take the ring by its handle and drop it over the peg"),
        ("thread the peg through the ring", "the ring belongs around the peg"),
    ),
    "basketball-v3": Sentences(
        ("throw the ball through the hoop", "put the ball into the basket", "drop the basketball in the hoop"),
        ("score with the ball", "let the ball fall through the ring of the basket"),
    ),
    "bin-picking-v3": Sentences(
        ("move the cube to the other bin", "take the cube out of its bin and put it in the empty one", "swap the cube's bin"),
        ("the cube should lie in the empty bin", "carry the cube across to the second bin"),
    ),
    "box-close-v3": Sentences(
        ("put the lid on the box", "close the box", "cover the box with its lid"),
        ("shut the box", "the lid goes on top of the box"),
    ),
    "button-press-topdown-v3": Sentences(
        ("press the button from above", "push the button down", "press down on the button"),
        ("hit the button on top of the box", "the button on the top should go down"),
    ),
    "button-press-topdown-wall-v3": Sentences(
        ("press the button behind the wall from above", "go over the wall and push the button down",
         "reach past the wall and press down on the button"),
        ("hit the button on top, the wall is in front of it", "clear the wall, then push down the button"),
    ),
    "button-press-v3": Sentences(
        ("press the button", "push the button in", "press the button on the front"),
        ("drive the button into the box", "the button should be pressed"),
    ),
    "button-press-wall-v3": Sentences(
        ("press the button behind the wall", "go around the wall and push the button in",
         "reach past the wall and press the button"),
        ("a wall hides the button, press it", "push in the button on the far side of the wall"),
    ),
    "coffee-button-v3": Sentences(
        ("start the coffee machine", "press the button of the coffee machine", "push the coffee maker's button"),
        ("make me a coffee", "switch the coffee maker on"),
    ),
    "coffee-pull-v3": Sentences(
        ("pull the mug away from the coffee machine", "take the mug out from under the coffee maker",
         "move the mug from the machine to the marked place"),
        ("my coffee is ready, bring the mug", "get the cup out of the coffee machine"),
    ),
    "coffee-push-v3": Sentences(
        ("push the mug under the coffee machine", "put the mug below the coffee maker", "slide the mug into the machine"),
        ("get the cup ready for coffee", "the cup belongs under the coffee maker"),
    ),
    "dial-turn-v3": Sentences(
        ("turn the dial", "rotate the dial", "turn the knob on the table"),
        ("give the knob a turn", "twist the dial around"),
    ),
    "disassemble-v3": Sentences(
        ("take the ring off the peg", "lift the ring from the peg", "pull the ring up and off the peg"),
        ("free the peg of the ring", "the ring should come off"),
    ),
    "door-close-v3": Sentences(
        ("close the door", "push the door shut", "swing the door closed"),
        ("shut the safe", "the door should not stand open"),
    ),
    "door-lock-v3": Sentences(
        ("lock the door", "turn the lock to lock the door", "turn the latch down to lock the door"),
        ("secure the safe", "the door should be locked"),
    ),
    "door-open-v3": Sentences(
        ("open the door", "pull the door open", "swing the door open by its handle"),
        ("open up the safe", "the door should stand open"),
    ),
    "door-unlock-v3": Sentences(
        ("unlock the door", "turn the lock to unlock the door", "turn the latch aside to unlock the door"),
        ("release the lock of the safe", "the door should no longer be locked"),
    ),
    "drawer-close-v3": Sentences(
        ("close the drawer", "push the drawer in", "push the drawer shut"),
        ("shut the drawer", "the drawer should not stick out"),
    ),
    "drawer-open-v3": Sentences(
        ("open the drawer", "pull the drawer out", "pull the drawer open by its handle"),
        ("slide the drawer out", "let me see into the drawer"),
    ),
    "faucet-close-v3": Sentences(
        ("close the faucet", "turn the faucet off", "turn the tap's handle to close it"),
        ("shut off the water", "the tap should be closed"),
    ),
    "faucet-open-v3": Sentences(
        ("open the faucet", "turn the faucet on", "turn the tap's handle to open it"),
        ("let the water run", "the tap should be open"),
    ),
    "hammer-v3": Sentences(
        ("hammer the nail into the box", "hit the nail with the hammer", "take the hammer and drive in the nail"),
        ("the nail must go in all the way", "strike the nail with the tool"),
    ),
    "hand-insert-v3": Sentences(
        ("put the gripper into the hole", "reach down into the hole", "move the hand into the hole in the table"),
        ("dip the gripper into the opening", "go with your hand inside the hole"),
    ),
    "handle-press-side-v3": Sentences(
        ("press the handle down from the side", "push down the handle at the side", "press down the sideways handle"),
        ("force down the handle on the side of the box", "the side handle should go down"),
    ),
    "handle-press-v3": Sentences(
        ("press the handle down", "push down the handle", "press down on the handle in front"),
        ("lower the handle", "the handle should go down"),
    ),
    "handle-pull-side-v3": Sentences(
        ("pull the handle up from the side", "lift the handle at the side", "pull up the sideways handle"),
        ("raise the handle on the side of the box", "the side handle should go up"),
    ),
    "handle-pull-v3": Sentences(
        ("pull the handle up", "lift the handle", "pull up the handle in front"),
        ("raise the handle", "the handle should go up"),
    ),
    "lever-pull-v3": Sentences(
        ("pull the lever up", "swing the lever up", "move the lever to its upper position"),
        ("flip the lever", "raise the arm of the lever"),
    ),
    "peg-insert-side-v3": Sentences(
        ("insert the peg into the hole of the box", "put the peg into the box from the side", "push the peg into the hole"),
        ("plug the stick into the box", "the peg belongs in the hole"),
    ),
    "peg-unplug-side-v3": Sentences(
        ("unplug the peg", "pull the peg out of the hole", "take the peg out of the box sideways"),
        ("draw the plug out", "the peg should come out of its socket"),
    ),
    "pick-out-of-hole-v3": Sentences(
        ("pick the puck out of the hole", "lift the puck up from inside the hole", "take the puck out of the hole"),
        ("get out what lies in the hole", "the puck should not stay in the hole"),
    ),
    "pick-place-v3": Sentences(
        ("pick up the puck and bring it to the marked place", "carry the puck to the marked place",
         "lift the puck and put it where the mark is"),
        ("grasp the cylinder and hold it at the mark", "the puck belongs where the small ball hangs"),
    ),
    "pick-place-wall-v3": Sentences(
        ("carry the puck over the wall to the marked place", "pick up the puck and bring it behind the wall",
         "lift the puck across the wall to the mark"),
        ("the puck belongs on the other side of the wall", "grasp the cylinder and get it past the wall"),
    ),
    "plate-slide-back-side-v3": Sentences(
        ("slide the plate sideways out of the net", "pull the plate out of the net to the side",
         "move the plate out of the goal sideways"),
        ("get the disc out of the goal to the side", "drag the disc sideways to the mark"),
    ),
    "plate-slide-back-v3": Sentences(
        ("slide the plate back out of the net", "pull the plate out of the net", "move the plate back out of the goal"),
        ("get the disc out of the goal", "drag the disc back to the mark"),
    ),
    "plate-slide-side-v3": Sentences(
        ("slide the plate sideways into the net", "push the plate into the net from the side",
         "move the plate into the goal sideways"),
        ("shove the disc sideways into the goal", "the disc goes into the goal to the side"),
    ),
    "plate-slide-v3": Sentences(
        ("slide the plate into the net", "push the plate into the net", "move the plate into the goal"),
        ("shove the disc into the goal", "the disc goes into the goal"),
    ),
    "push-back-v3": Sentences(
        ("push the block back to the marked place", "pull the block towards you to the mark", "slide the block back"),
        ("drag the wooden block back to the small ball", "the block belongs nearer, where the mark is"),
    ),
    "push-v3": Sentences(
        ("push the puck to the marked place", "slide the puck to the mark", "push the puck over the table to the mark"),
        ("shove the cylinder to the small ball", "the puck belongs at the mark on the table"),
    ),
    "push-wall-v3": Sentences(
        ("push the puck around the wall to the marked place", "slide the puck past the wall",
         "push the puck to the mark behind the wall"),
        ("shove the cylinder around the wall", "get the puck to the far side of the wall along the table"),
    ),
    "reach-v3": Sentences(
        ("reach the marked place", "move the gripper to the mark", "go to the marked place"),
        ("bring your hand to the small ball", "touch the small ball in the air"),
    ),
    "reach-wall-v3": Sentences(
        ("reach the marked place behind the wall", "move the gripper over the wall to the mark",
         "go past the wall to the marked place"),
        ("bring your hand to the small ball across the wall", "get to the mark, mind the wall"),
    ),
    "shelf-place-v3": Sentences(
        ("put the cube on the shelf", "place the cube on the shelf", "lift the cube onto the shelf"),
        ("store the cube in the rack", "the cube belongs on the shelf"),
    ),
    "soccer-v3": Sentences(
        ("push the ball into the goal", "kick the ball into the goal", "shoot the football into the net"),
        ("score a goal", "the ball should end up in the net"),
    ),
    "stick-pull-v3": Sentences(
        ("pull the bottle with the stick", "hook the stick into the handle and pull the bottle",
         "take the stick and pull the thermos to the mark"),
        ("use the stick to bring the flask", "drag the flask nearer with the tool"),
    ),
    "stick-push-v3": Sentences(
        ("push the bottle with the stick", "take the stick and push the thermos to the mark",
         "move the bottle away with the stick"),
        ("use the stick to shove the flask", "poke the flask over to the mark with the tool"),
    ),
    "sweep-into-v3": Sentences(
        ("sweep the block into the hole", "push the block into the hole", "wipe the block into the hole in the table"),
        ("the block should drop into the opening", "brush the wooden block down the hole"),
    ),
    "sweep-v3": Sentences(
        ("sweep the block off the table", "push the block off the side of the table", "wipe the block aside to the edge"),
        ("clear the block away", "brush the wooden block off to the side"),
    ),
    "window-close-v3": Sentences(
        ("close the window", "push the window shut", "slide the window closed"),
        ("shut the window", "it is cold, the window should be closed"),
    ),
    "window-open-v3": Sentences(
        ("open the window", "push the window open", "slide the window open"),
        ("let some air in", "the window should be open"),
    ),
}  # fmt: skip
"""By Meta-World's name of the task."""
