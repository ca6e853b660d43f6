"""The safety envelope, on its own and against random action sequences."""

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from robovlms import ActionContract, CameraSpec, VectorSpec
from robovlms.configuration import SafetyLimits, Workspace
from robovlms.serving.safety import SafetyEnvelope, SafetyStop, Watchdog

FREE = (None,) * 7


def limited(contract, mode="delta", **limits):
    return SafetyEnvelope(contract(mode=mode), SafetyLimits(**limits))


def action(*first):
    return np.array([*first, *[0.0] * (7 - len(first))])


def test_values_velocities_accelerations(contract):
    """At 10 Hz: a displacement of 0.1 is a velocity of 1; a change of 0.05 is an acceleration of 5."""
    envelope = limited(contract, on_violation="clamp", low=(-0.5, *FREE[1:]), high=(0.2, *FREE[1:]))
    assert envelope.check(action(0.2, 9))[:2].tolist() == pytest.approx([0.2, 9])
    assert envelope.check(action(-0.7))[0] == pytest.approx(-0.5) and envelope.counts == {"value": 1}
    envelope = limited(contract, on_violation="clamp", max_velocity=(1.0, *FREE[1:]))
    assert envelope.check(action(0.3))[0] == pytest.approx(0.1)
    envelope = limited(contract, on_violation="clamp", max_acceleration=(5.0, *FREE[1:]))
    assert [envelope.check(action(0.3))[0] for _ in range(3)] == pytest.approx([0.05, 0.1, 0.15])
    assert "acceleration of x: 0.3, allowed 0.15" in str(envelope.violations[-1])


def test_absolute_actions_start_from_where_the_robot_is(contract):
    envelope = limited(contract, "absolute", on_violation="clamp", max_velocity=(1.0, *FREE[1:]))
    with pytest.raises(SafetyStop, match="position is not known"):
        envelope.check(action(3.0))
    assert envelope.check(action(3.0), position=action(2.0))[0] == pytest.approx(2.1)
    assert envelope.check(action(3.0))[0] == pytest.approx(2.2)


@pytest.mark.parametrize("mode", ["delta", "absolute"])
def test_workspace(contract, mode):
    box = Workspace((0.0, 0.0), (1.0, 1.0), (0, 1), (0, 2), action_scale=0.5 if mode == "delta" else 1.0)
    envelope = limited(contract, mode, on_violation="clamp", workspace=box)
    state = np.array([0.9, 9.0, 1.2])
    if mode == "absolute":
        assert envelope.check(action(2.0, 0.5))[:2].tolist() == pytest.approx([1.0, 0.5])
        return
    done = envelope.check(action(1.0, 0.3), state=state)
    assert done[:2].tolist() == pytest.approx([0.2, 0.0])  # 0.1 to the wall; outside already: not farther
    assert envelope.check(action(-1.0, -0.3), state=state)[:2].tolist() == pytest.approx([-1.0, -0.3])
    with pytest.raises(SafetyStop, match="without the state"):
        envelope.check(action())
    with pytest.raises(ValueError, match="needs the position"):
        SafetyEnvelope(contract(state=None), SafetyLimits(workspace=Workspace((0.0,), (1.0,), (0,), (0,))))


def test_stops(contract):
    envelope = limited(contract, high=(0.1, *FREE[1:]), max_observation_age=0.2)
    envelope.check(action(0.1), observation_age=0.2)
    for bad, age, reason in (
        (action(0.2), 0.0, "value of x: 0.2, allowed 0.1"),
        (action(np.nan), 0.0, "finite"),
        (np.zeros(6), 0.0, "finite"),
        (action(), 0.3, "0.300 s old"),
    ):
        with pytest.raises(SafetyStop, match=reason):
            envelope.check(bad, observation_age=age)
    assert envelope.counts == {"value": 1, "not finite": 2, "observation age": 1}
    with pytest.raises(ValueError, match="has no safety limits"):
        SafetyEnvelope(contract())
    own = contract(safety=SafetyLimits(high=(0.1, *FREE[1:])))
    with pytest.raises(SafetyStop):
        SafetyEnvelope(own).check(action(0.2))


ACTIONS = st.lists(st.lists(st.floats(-10, 10), min_size=2, max_size=2), min_size=1, max_size=20)


@given(actions=ACTIONS, mode=st.sampled_from(["delta", "absolute"]))
def test_what_comes_out_is_always_within_the_limits(actions, mode):
    contract = ActionContract(
        embodiment="arm",
        action=VectorSpec(("x", "y"), normalization="none"),
        cameras=(CameraSpec("front", 8, 8),),
        control_frequency=10.0,
        chunk_size=1,
        mode=mode,
    )
    limits = SafetyLimits(
        low=(-1.0, None),
        high=(1.0, None),
        max_velocity=(3.0, 3.0),
        max_acceleration=(40.0, 40.0),
        on_violation="clamp",
    )
    envelope, previous, velocity = SafetyEnvelope(contract, limits), np.zeros(2), np.zeros(2)
    for asked in actions:
        done = envelope.check(np.array(asked), position=np.zeros(2)).astype(np.float64)
        new = 10 * (done - previous) if mode == "absolute" else 10 * done
        assert abs(done[0]) <= 1 + 1e-5 and (np.abs(new) <= 3 + 1e-4).all()
        assert abs(new[1] - velocity[1]) <= 4 + 1e-4
        previous, velocity = done, new


def test_watchdog():
    stopped = threading.Event()
    with Watchdog(0.05, stopped.set) as watchdog:
        watchdog.feed()
        assert stopped.wait(10) and watchdog.tripped
        with pytest.raises(SafetyStop, match="no new action"):
            watchdog.feed()
    with Watchdog(60, stopped.set) as watchdog:
        watchdog.feed()
        assert not watchdog.tripped


def test_one_value_for_all_dimensions(contract):
    for one in (1, 1.0, np.float32(1), np.int64(1)):
        assert contract(safety=SafetyLimits(max_velocity=one)).safety.max_velocity == (1.0,) * 7
    for bad in (float("nan"), (None, float("nan")), {"m": float("nan")}):
        with pytest.raises(ValueError, match=r"SafetyLimits.high must be numbers"):
            SafetyLimits(high=bad)
