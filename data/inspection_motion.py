"""What recordings suffer from although every file can be read: frozen states, drop-outs, wrapped encoders, copies."""

from collections.abc import Iterator

import numpy as np
from tqdm import tqdm

from .lerobot_tables import ranges
from .recorded import Recorded

FROZEN_S, FROZEN = 2.0, 20
"""A state that stays bit-identical for so many seconds (frames, where the frequency is unknown) while the action moves is
frozen."""
PERIODS = (2 * np.pi, 360.0, 1024.0, 4096.0, 65536.0)
STEPS, NEAR, MOST_COMPARED = 16, 0.01, 5000  # of two episodes that are called near-duplicates


def motion_problems(recorded: Recorded) -> Iterator[str]:
    """Problems of episodes that have rows; values that are not finite count as 0."""
    episodes, starts, action = recorded.episodes, recorded.episode_starts, np.nan_to_num(recorded.action)
    if recorded.state is not None:
        state = np.nan_to_num(recorded.state)
        yield from _frozen(episodes, starts, action, state, recorded.fps)
        yield from _dropped(episodes, starts, state)
        yield from _wrapped(episodes, starts, "state", state, recorded.state_names)
    yield from _wrapped(episodes, starts, "action", action, recorded.action_names)
    yield from _copies(episodes, starts, action)


def _frozen(episodes, starts, action, state, fps) -> Iterator[str]:
    longest, found = FROZEN if np.isnan(fps) else max(10, int(FROZEN_S * fps)), []
    for position, episode in enumerate(episodes):
        rows = slice(int(starts[position]), int(starts[position + 1]))
        moves = np.flatnonzero((np.diff(state[rows], axis=0) != 0).any(axis=1)) + 1
        edges = np.concatenate([[0], moves, [rows.stop - rows.start]])
        place = int(np.argmax(np.diff(edges)))
        first, last = rows.start + edges[place], rows.start + edges[place + 1]
        if last - first >= longest and (np.ptp(action[first:last], axis=0) > 0).any():
            found.append((int(last - first), episode, int(edges[place])))
    if found:
        length, episode, frame = max(found)
        yield (
            f"the state is frozen while the action changes, in episodes {ranges(e for _, e, _ in found)}; the longest: "
            f"{length} frames from frame {frame} of episode {episode} on"
        )


def _dropped(episodes, starts, state) -> Iterator[str]:
    """Rows in which every value is 0 inside of episodes that are otherwise somewhere else."""
    is_zero = (state == 0).all(axis=1)
    if state.shape[1] < 3 or not 0 < is_zero.mean() < 0.2:
        return
    rows = np.flatnonzero(is_zero)
    before, after = state[np.maximum(rows - 1, 0)], state[np.minimum(rows + 1, len(state) - 1)]
    usual = np.median(np.abs(state), axis=0).max()
    jumps = rows[(np.abs(before).max(axis=1) > usual / 2) | (np.abs(after).max(axis=1) > usual / 2)]
    if len(jumps) and usual > 0:
        hit = {episodes[p] for p in np.searchsorted(starts, jumps, side="right") - 1}
        yield f"the state drops out (all values 0) in {len(rows)} frames, in episodes {ranges(hit)}"


def _wrapped(episodes, starts, what, values, names) -> Iterator[str]:
    steps = np.diff(values.astype(np.float64), axis=0)
    steps[np.asarray(starts[1:-1], int) - 1] = 0  # from one episode to the next
    bar = tqdm(names, desc=f"looking for jumps of the {what}", unit="dimension", delay=2)
    for number, name in enumerate(bar):
        jump = np.abs(steps[:, number])
        if not len(jump) or len(np.unique(values[:, number])) < 10:
            continue
        for period in PERIODS:
            rows = np.flatnonzero((jump > 0.9 * period) & (jump < 1.1 * period))
            if len(rows) and np.quantile(jump, 0.9) < 0.1 * period and np.ptp(values[:, number]) < 1.2 * period:
                hit = {episodes[p] for p in np.searchsorted(starts, rows, side="right") - 1}
                yield (
                    f"{what} {name!r} wraps around: it jumps by about {period:g} from one frame to the next "
                    f"{len(rows)} times, in episodes {ranges(hit)}"
                )
                break


def _copies(episodes, starts, action) -> Iterator[str]:
    """Episodes of nearly one length whose actions are nearly the same all the way."""
    if not 2 <= len(episodes) <= MOST_COMPARED:
        return
    lengths = np.diff(starts)
    scale = np.maximum(np.quantile(action, 0.99, axis=0) - np.quantile(action, 0.01, axis=0), 1e-9)
    shapes = np.stack(
        [
            action[start + np.linspace(0, n - 1, STEPS).astype(int)] / scale
            for start, n in zip(starts[:-1], lengths, strict=True)
        ]
    ).reshape(len(episodes), -1)
    order, pairs = np.argsort(lengths, kind="stable"), []
    for place, one in enumerate(order):
        others = order[
            place + 1 : place + 1 + np.searchsorted(lengths[order[place + 1 :]], lengths[one] * 1.02, "right")
        ]
        if lengths[one] > 2 and len(others) and np.ptp(shapes[one]) > NEAR:
            near = others[np.abs(shapes[others] - shapes[one]).max(axis=1) < NEAR]
            pairs += [tuple(sorted((episodes[one], episodes[other]))) for other in near]
    if pairs:
        shown = ", ".join(f"{a} and {b}" for a, b in sorted(pairs)[:5])
        yield f"{len(pairs)} pairs of episodes are near-duplicates (their actions are the same within 1 %): {shown}"
