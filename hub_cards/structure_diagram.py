"""What a VLA reads and writes, drawn with characters from its config and contract."""

from typing import Any

from ..configuration.action_contract import ActionContract


def structure_diagram(config: dict[str, Any], contract: ActionContract | None) -> str:
    """Return a few lines; `config` is the content of `config.json`."""
    structure = config["model_type"].removeprefix("robovlms_")
    vlm, head = config["vlm_config"]["model_type"], config["head_config"]["type"]
    window, tokens = config["window_size"], config["num_action_tokens"]
    inputs = (
        [f"{camera.name} {camera.width}x{camera.height}" for camera in contract.cameras] if contract else ["images"]
    )
    inputs += ["instruction"] + ([f"state ({contract.state_dim})"] if contract and contract.state_dim else [])
    chunk = f"{config['chunk_size']} actions of {contract.action_dim if contract else config['action_dim']} numbers"
    plural = "s" if tokens > 1 else ""
    stages = {
        "one_step_continuous": [f"{vlm} + {tokens} action token{plural}", f"{head} head", chunk],
        "one_step_discrete": [f"{vlm} writes {tokens} action tokens", chunk],
        "interleaved_continuous": [
            f"{vlm} over {window} x (observation + {tokens} action token{plural}) in one sequence",
            f"{head} head",
            chunk,
        ],
        "policy_head_continuous": [
            f"{vlm} + {tokens} action token{plural}, frame by frame",
            f"{head} head over {window} frames",
            chunk,
        ],
    }[structure]
    width = max(map(len, inputs))
    joints = ["─"] if len(inputs) == 1 else ["┐", *("┤" for _ in inputs[1:-1]), "┘"]
    middle = (len(inputs) - 1) // 2
    joints[middle] = {"┐": "┬", "┤": "┼", "┘": "┴", "─": "─"}[joints[middle]]
    lines = [f"{text:{width}} ─{joint}" for text, joint in zip(inputs, joints, strict=True)]
    lines[middle] += "─► " + " ─► ".join(stages)
    return "\n".join(lines)
