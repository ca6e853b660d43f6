"""The action contract and the configs: strict, plain JSON, identified by a hash, clear about what is wrong."""

import json
import re
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub.errors import StrictDataclassError

from robovlms import (
    ActionContract,
    CameraSpec,
    GripperSpec,
    LSTMHeadConfig,
    MLPHeadConfig,
    OneStepContinuousConfig,
    PolicyHeadContinuousConfig,
    Statistics,
    VectorSpec,
)
from robovlms.configuration import AbsoluteToDelta, LearnedActions, SafetyLimits, Workspace

STATISTICS = Statistics([-1.0, -2.0], [1.0, 2.0], [-3.0, -4.0], [3.0, 4.0], [0.0, 0.1], [1.0, 0.5], 10, "somewhere")
CONTRACT = ActionContract(
    embodiment="arm",
    action=VectorSpec(("x", "grip"), ("m", "1"), "quantile", STATISTICS, (True, False)),
    state=VectorSpec(("height",), normalization="none"),
    cameras=(CameraSpec("static", 48, 64), CameraSpec("wrist", 32, 32)),
    grippers=(GripperSpec(1, open_value=1.0, closed_value=-1.0),),
    control_frequency=10,
    chunk_size=8,
    n_action_steps=4,
    window_size=4,
    history_stride=2,
    rotation="euler_xyz",
    frame="tool",
    mode="absolute",
    notes="example",
)

CHANGES = {  # a different, valid value of every field of every record in the contract
    "embodiment": "other",
    "action": {
        "names": ("x", "grap"),
        "units": ("mm", "1"),
        "normalization": "min_max",
        "statistics": {
            "q01": (-1.5, -2.0),
            "q99": (1.0, 2.5),
            "min": (-3.0, -4.5),
            "max": (3.5, 4.0),
            "mean": (0.0, 0.2),
            "std": (1.0, 0.6),
            "count": 11,
            "origin": "elsewhere",
        },
        "mask": None,
    },
    "state": None,
    "cameras": {"name": "front", "height": 47, "width": 63, "centre_crop": 0.9},
    "grippers": {"dim": 0, "open_value": 0.5, "closed_value": 0.0},
    "control_frequency": 20.0,
    "chunk_size": 9,
    "n_action_steps": 2,
    "window_size": 5,
    "history_stride": 1,
    "rotation": "axis_angle",
    "frame": "base",
    "mode": "delta",
    "notes": "",
    "safety": SafetyLimits(watchdog=0.5),
    "learned": LearnedActions(AbsoluteToDelta((0,)), VectorSpec(("x", "grip"), normalization="none")),
}


def changed(record, changes: dict):
    """Copies of a record, each with one field of it, or of a record in it, changed."""
    assert set(changes) == {field.name for field in fields(record)}, "CHANGES must cover every field"
    for name, value in changes.items():
        inside = getattr(record, name)
        if not isinstance(value, dict):
            yield record.replace(**{name: value})
        elif isinstance(inside, tuple):
            yield from (record.replace(**{name: (part, *inside[1:])}) for part in changed(inside[0], value))
        else:
            yield from (record.replace(**{name: part}) for part in changed(inside, value))


def test_json_round_trip(tmp_path):
    CONTRACT.to_json(tmp_path / "contract.json")
    again = ActionContract.from_json(tmp_path / "contract.json")
    assert again == CONTRACT and again.hash == CONTRACT.hash
    assert again.to_dict() == json.loads(json.dumps(CONTRACT.to_dict()))


def test_hash_changes_with_every_field_and_with_nothing_else():
    contracts = [CONTRACT, *changed(CONTRACT, CHANGES)]
    assert len({contract.hash for contract in contracts}) == len(contracts)
    assert re.fullmatch(r"[0-9a-f]{12}", CONTRACT.hash)
    # Contracts from before there were limits and crops keep their hash, and load.
    assert "safety" not in CONTRACT.to_dict() and "centre_crop" not in CONTRACT.to_dict()["cameras"][0]
    workspace = Workspace((0.0,), (1.0,), (0,), (0,))
    limited = CONTRACT.replace(safety=SafetyLimits(low=(0, None), workspace=workspace, on_violation="clamp"))
    assert ActionContract.from_dict(json.loads(json.dumps(limited.to_dict()))) == limited
    with_units = CONTRACT.replace(action=CONTRACT.action.replace(units=("m", "rad")))
    by_kind = SafetyLimits(low=-1, max_velocity={"rad": 0.5, "x": None}, max_lead={"m": 0.1, "rad": 0.2})
    spread = with_units.replace(safety=by_kind).safety
    assert spread == SafetyLimits(low=(-1, -1), max_velocity=(None, 0.5), max_lead=(0.1, 0.2))
    as_arrays = STATISTICS.to_dict() | {"q01": np.array([-1.0, -2.0]), "count": np.int64(10)}
    same = CONTRACT.to_dict() | {"action": CONTRACT.action.replace(statistics=Statistics.from_dict(as_arrays))}
    assert ActionContract.from_dict(dict(reversed(same.items()))).hash == CONTRACT.hash


def test_printing_is_a_summary():
    joints = tuple(f"joint_{number}" for number in range(26))
    numbers = Statistics(*[(0.1234567890123,) * 26] * 6, count=5)
    vector = VectorSpec(joints, ("rad",) * 26, statistics=numbers)
    grippers = (GripperSpec(0, 1.0, 0.0), GripperSpec(13, 1.0, 0.0))
    large = CONTRACT.replace(action=vector, state=vector, grippers=grippers, safety=SafetyLimits(max_velocity=0.5))
    text = str(large)
    assert len(text.splitlines()) <= 25 and len(text) < 3000 and len(repr(large)) < 3000
    for part in (
        large.hash,
        "mode absolute",
        "joint_25 [rad]",
        "gripper joint_13: open 1, closed 0",
        "10 Hz",
        "static 48x64",
    ):
        assert part in text, part


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"chunk_size": 0}, "ActionContract.chunk_size must be at least 1, got 0"),
        ({"chunk_size": 8.0}, "ActionContract.chunk_size must be int, got 8.0"),
        ({"chunk_size": True}, "ActionContract.chunk_size must be int, got True"),
        ({"n_action_steps": 9}, "n_action_steps = 9 exceeds chunk_size = 8"),
        ({"n_action_steps": 3}, "n_action_steps = 3 must be a multiple of history_stride = 2"),
        ({"control_frequency": 0.0}, "control_frequency must be positive"),
        ({"control_frequency": "10"}, "ActionContract.control_frequency must be float, got '10'"),
        ({"cameras": ()}, "cameras must be non-empty"),
        ({"cameras": [CameraSpec("a", 4, 4)] * 2}, "cameras must be non-empty with unique names"),
        ({"cameras": ["static"]}, r"ActionContract.cameras\[0\] must be a CameraSpec"),
        ({"cameras": [{"name": "a", "height": 4, "widht": 4}]}, r"cameras\[0\].*'widht'.*Did you mean 'width'"),
        ({"grippers": [GripperSpec(2, 1.0, 0.0)]}, "GripperSpec.dim = 2 is outside the action of 2 dims"),
        ({"rotation": "euler"}, r"ActionContract.rotation must be one of \[.*'euler_xyz'.*got 'euler'"),
        ({"state": VectorSpec(("a", "b"), normalization="none").to_dict() | {"names": []}}, "VectorSpec.names"),
        ({"action": {"names": ["x", "y", "z"], "statistics": STATISTICS}}, "statistics have 2 dimensions.*has 3"),
        ({"action": {"names": ["x", "y"], "units": ["m"]}}, "VectorSpec.units has 1 entries for 2 dimensions"),
        ({"safety": {"low": [0.0]}}, "SafetyLimits.low has 1 entries for 2 action dimensions"),
        ({"safety": {"low": {"m": 0.0}}}, r"SafetyLimits.low: needs a number.*\['x', 'grip'\] in \['m', '1'\], got"),
        ({"safety": {"max_lead": "1"}}, "SafetyLimits.max_lead must be a sequence, got '1'"),
        ({"safety": {"max_lead": -1}}, "SafetyLimits.max_lead must be positive"),
        ({"safety": {"max_velocity": [1.0, 0.0]}}, "SafetyLimits.max_velocity must be positive"),
        (
            {"safety": {"workspace": {"low": [0.0], "high": [0.0], "action_dims": [0], "state_dims": [0]}}},
            "must be below",
        ),
        (
            {"safety": {"workspace": Workspace((0.0,), (1.0,), (2,), (0,))}},
            r"Workspace.action_dims: \[2\] are outside",
        ),
        ({"chunk_sizes": 8}, "ActionContract has no field 'chunk_sizes'.*Did you mean 'chunk_size'"),
    ],
)
def test_errors_name_the_field(changes, message):
    with pytest.raises(ValueError, match=message):
        ActionContract.from_dict(CONTRACT.to_dict() | changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"q99": [1.0]}, "Statistics.q99 has 1 dimensions, q01 has 2"),
        ({"max": [3.0, float("nan")]}, "Statistics.max holds a value that is not finite"),
        ({"min": [-3.0, 9.0]}, r"Statistics.min\[1\] = 9.0 is above max\[1\] = 4.0"),
        ({"mean": None}, "Statistics.mean must be a sequence"),
    ],
)
def test_statistics_are_checked(changes, message):
    with pytest.raises(ValueError, match=message):
        Statistics.from_dict(STATISTICS.to_dict() | changes)


def test_missing_fields_and_a_gripper_that_cannot_move():
    with pytest.raises(ValueError, match=r"ActionContract lacks the field\(s\) \['action', 'cameras'"):
        ActionContract.from_dict({"embodiment": "arm"})
    with pytest.raises(ValueError, match=r"open_value and closed_value are both 1\.0"):
        GripperSpec(0, 1.0, 1.0)


@pytest.mark.parametrize(
    "config",
    [
        OneStepContinuousConfig(
            vlm_config={"model_type": "smolvlm"},
            head_config=MLPHeadConfig(hidden_size=32, decoder_sizes=(16, 8), pose_loss="mse"),
            action_dim=5,
            gripper_dims=(-1,),
            chunk_size=4,
            state_dim=3,
            grounding_dim=2,
            grounding_loss_weight=0.5,
        ),
        PolicyHeadContinuousConfig(
            vlm_config={"model_type": "qwen2_vl"},
            head_config={"type": "lstm", "hidden_size": 16, "num_layers": 1, "dropout": 0.1},
            window_size=6,
            num_action_tokens=2,
        ),
    ],
    ids=["one_step", "policy_head"],
)
def test_config_save_and_load(config, tmp_path):
    config.save_pretrained(tmp_path)
    again = type(config).from_pretrained(tmp_path)
    assert again.to_dict() == config.to_dict()
    assert again.head_config == config.head_config and type(again.head_config) is type(config.head_config)
    assert type(again.vlm_config) is type(config.vlm_config)
    assert again.get_text_config().hidden_size == config.vlm_config.text_config.hidden_size


def test_config_takes_its_sizes_from_the_contract():
    config = PolicyHeadContinuousConfig.from_contract(CONTRACT, {"model_type": "smolvlm"}, num_action_tokens=3)
    assert (config.action_dim, config.gripper_dims, config.pose_dims) == (2, [1], [0])
    assert (config.chunk_size, config.window_size, config.state_dim, config.num_action_tokens) == (8, 4, 1, 3)
    assert isinstance(config.head_config, LSTMHeadConfig)


@pytest.mark.parametrize(
    ("config_class", "values", "message"),
    [
        (PolicyHeadContinuousConfig, {"chunk_sizes": 8}, "no field 'chunk_sizes'. Did you mean 'chunk_size'"),
        (PolicyHeadContinuousConfig, {"head_conf": {}}, "no field 'head_conf'. Did you mean 'head_config'"),
        (PolicyHeadContinuousConfig, {"chunk_size": "8"}, "(?s)'chunk_size'.*expected int, got str"),
        (PolicyHeadContinuousConfig, {"chunk_size": 0}, "chunk_size must be at least 1"),
        (PolicyHeadContinuousConfig, {"state_dim": -1}, "state_dim must not be negative"),
        (PolicyHeadContinuousConfig, {"gripper_dims": (6, -1)}, "gripper_dims.*distinct"),
        (PolicyHeadContinuousConfig, {"action_dim": 1, "gripper_dims": (0,)}, "gripper_dims.*at least one pose dim"),
        (OneStepContinuousConfig, {"window_size": 4}, "window_size must be 1, got 4.*PolicyHeadContinuousConfig"),
        (OneStepContinuousConfig, {"head_config": {"type": "mpl"}}, "Unknown head 'mpl'.*'lstm', 'mlp'"),
        (OneStepContinuousConfig, {"head_config": {"type": "mlp", "hiden_size": 8}}, "Did you mean 'hidden_size'"),
        (OneStepContinuousConfig, {"head_config": {"type": "mlp", "pose_loss": "l1"}}, "MLPHeadConfig.pose_loss must"),
    ],
)
def test_config_errors_name_the_field(config_class, values, message):
    with pytest.raises((ValueError, TypeError, StrictDataclassError), match=message):
        config_class(vlm_config={"model_type": "smolvlm"}, **values)


@pytest.mark.parametrize("values", [{"gripper_dims": (7,)}, {"gripper_dims": (-8,)}, {"gripper_dims": (6, -1)}])
def test_gripper_dims_outside_the_action_are_refused(values):
    with pytest.raises((ValueError, StrictDataclassError), match="gripper_dims"):
        PolicyHeadContinuousConfig(vlm_config={"model_type": "smolvlm"}, **values)


def test_what_nobody_said_is_unknown():
    """An old contract loads as it was; a new one says that it does not know, and what needs to know refuses."""
    fields = CONTRACT.to_dict()
    new = ActionContract.from_dict(
        {name: fields[name] for name in fields if name not in ("mode", "frame", "rotation")}
    )
    assert (new.mode, new.frame, new.rotation) == ("unknown",) * 3 and new.unknown == ("mode", "frame", "rotation")
    assert CONTRACT.unknown == () and new.replace(action=VectorSpec(("x", "grip"))).unknown[-1] == "units"
    with pytest.raises(ValueError, match=r"a robot needs mode, unknown.*Declare mode \(delta, absolute, velocity\)"):
        new.require_known("mode", purpose="a robot")
    folder = Path(__file__).parent / "frozen" / "robovlms-0.1.0"
    (saved,) = json.loads((folder / "processor_config.json").read_text())["robovlms"]["contracts"].values()
    record = json.loads((folder / "checkpoint_record.json").read_text())
    assert ActionContract.from_dict(saved).to_dict() == saved and saved in record["contracts"].values()
