"""LeRobotDataset v2.1 and v3.0 folders (or Hub ids) as windows of observations with their action chunks."""

import copy
import math
import warnings
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
from torch.utils.data import Dataset

from ..configuration.action_transforms import ActionTransform
from .errors import DatasetError
from .frame_cache import FrameCache
from .images_in_parquet import ImagePool
from .known_embodiments import KnownEmbodiment, known_embodiment
from .lerobot_columns import ACTION, GROUNDING, STATE, candidates, find_columns, join_slices, slice_names, slice_units
from .lerobot_metadata import LeRobotMetadata
from .lerobot_tables import check_tables, check_totals, ranges, read_tables
from .picture_times import PictureTimes
from .source import DatasetSource
from .video import VideoError, VideoPool
from .windows import WindowSample, check_distinct, check_positive, check_sizes, window_rows


class LeRobotDataset(Dataset):
    """Every frame of the chosen episodes as the newest frame of a window sample.

    `dataset[i]` is a `WindowSample`, with W = window_size, n = chunk_size:
        images {camera: uint8 (W, height, width, 3)}, state float32 (W, state_dim) where the dataset has one,
        actions float32 (W, n, action_dim) in the dataset's own units, action_mask bool (W, n),
        frame_mask bool (W,), instruction str, episode int, frame int, embodiment str,
        grounding float32 (W, grounding_dim) where the dataset has that column (NaN = no label),
        depth {camera: float32 (W, height, width)} in metres where `depth` asks for it.

    The window ends at frame i. Left of the episode's start its first frame is repeated with `frame_mask` and
    `action_mask` False (see `left_edge`); behind its end the last action is repeated with `action_mask` False.

    Args:
        name_or_path: a local folder, or a Hub dataset id (its videos are downloaded when first needed).
        window_size, chunk_size, history_stride: shape of a sample; the stride is in frames.
        cameras: camera names (the last part of the feature key) in the wanted order; by default those that the table of
            known embodiments has for the dataset, else all of them. Depth is never among them.
        episodes: episode indices in the wanted order; `split` instead names one of info.json's splits.
        columns: which columns are what, for datasets that call them otherwise: {"action": "actions", "state": ["joints",
            "gripper"], "images": {"front": "image", "wrist": "wrist_image"}}. A list is concatenated in that order. What
            is not told is found (see `lerobot_columns`).
        depth: depth cameras to be read, in metres (16-bit pictures hold millimetres).
        embodiment: name that samples carry; the dataset's robot_type by default.
        cache_bytes: bound of the decoded frames that each process keeps. A frame is decoded once while it stays
            there: shuffle with `EpisodeBlockSampler` to make that hold for datasets of any size.
        tolerance_s: how far a video frame may be from its row's timestamp, and that from frame / fps.
        left_edge: of windows that begin before their episode: "mask" repeats the first frame, masked; "repeat" repeats
            it as if it were real; "skip" has no such samples, as with CALVIN.
        transform: another way to write the actions (see `action_transforms`); the contract tells how to undo it.

    Example:
        dataset = LeRobotDataset("me/demonstrations", window_size=8, chunk_size=10)
        sample = dataset[0]
        print(sample["instruction"], sample["images"]["front"].shape)  # (8, height, width, 3)
        print(sample["actions"].shape, sample["frame_mask"])  # (8, 10, action_dim); all but the newest frame are masked
    """

    def __init__(
        self,
        name_or_path: str | Path | DatasetSource,
        window_size: int = 8,
        chunk_size: int = 10,
        cameras: Sequence[str] | None = None,
        history_stride: int = 1,
        episodes: Sequence[int] | None = None,
        embodiment: str | None = None,
        revision: str | None = None,
        cache_bytes: int = 128 * 2**20,
        split: str | None = None,
        tolerance_s: float = 1e-4,
        left_edge: Literal["mask", "repeat", "skip"] = "mask",
        transform: ActionTransform | None = None,
        columns: Mapping[str, Any] | None = None,
        depth: Sequence[str] = (),
    ):
        check_sizes(window_size=window_size, chunk_size=chunk_size, history_stride=history_stride)
        check_positive(tolerance_s=tolerance_s)
        check_distinct(cameras=cameras, depth=depth)
        if left_edge not in ("mask", "repeat", "skip"):
            raise ValueError(f"left_edge must be 'mask', 'repeat' or 'skip', got {left_edge!r}")
        if transform is not None and not isinstance(transform, ActionTransform):
            raise TypeError(f"transform must be an ActionTransform, got {type(transform).__name__}: see docs/data.md")
        self.metadata = LeRobotMetadata(name_or_path, revision)
        self.window_size, self.chunk_size, self.history_stride = window_size, chunk_size, history_stride
        self.tolerance_s, self.left_edge, self.transform = tolerance_s, left_edge, transform
        self.embodiment = embodiment or self.metadata.robot_type or Path(self.metadata.source.name).name
        self.episodes = self._choose_episodes(episodes, split)
        is_whole = episodes is None and split is None
        self.metadata.source.fetch(episode.data_file for episode in self.episodes)
        self.columns = find_columns(self.metadata, columns)
        for misfit in self.columns.misfits:
            warnings.warn(f"dataset {self.metadata.source}: {misfit}", stacklevel=2)
        self.camera_keys = self._choose_cameras(cameras)
        self.depth_keys = self._choose_depth(depth)

        keys = self.columns.vector_keys
        read = keys + [GROUNDING] * (GROUNDING in self.metadata.features)
        self.tables = read_tables(self.metadata, self.episodes, read, is_whole)
        if is_whole and (disagreement := check_totals(self.metadata)):
            raise DatasetError(disagreement, self.metadata.source, file="meta/info.json")
        for problem in check_tables(self.metadata, self.episodes, self.tables, keys, tolerance_s):
            raise problem
        self._times = PictureTimes(
            self.metadata, self.episodes, self.tables.starts, self.tables.columns["timestamp"][:, 0], tolerance_s
        )
        self._times.check([key for key in self.camera_keys.values() if self._is_video(key)])
        self._join_columns()
        if unknown := set(np.unique(self.tables.columns["task_index"])) - set(self.metadata.tasks):
            raise DatasetError(f"task_index {sorted(unknown)} is not in the task table", self.metadata.source)

        if transform is not None and transform.uses_state and self.state is None:
            raise DatasetError(f"{transform} needs a state, and none was found", self.metadata.source)
        before = (window_size - 1) * history_stride if left_edge == "skip" else 0
        self._skipped = np.array([min(before, episode.length) for episode in self.episodes])
        counts = [episode.length for episode in self.episodes] - self._skipped
        self._starts = np.concatenate([[0], np.cumsum(counts)])  # first sample of each episode
        if not self._starts[-1]:
            raise DatasetError(f"no episode has the {before + 1} frames of a window", self.metadata.source)

        self.cache = FrameCache(cache_bytes)
        self._videos, self._images = VideoPool(), ImagePool()
        sizes = [(3, key) for key in self.camera_keys.values()] + [(4, key) for key in self.depth_keys.values()]
        self._frame_bytes = max(1, sum(size * math.prod(self.metadata.image_shape(key)) for size, key in sizes))
        self._block_episodes: int | None = None

    @property
    def fps(self) -> float:
        return self.metadata.fps

    @property
    def frames_decoded(self) -> int:
        """Video frames and images that this process has decoded so far."""
        return self._videos.frames_decoded + self._images.frames_decoded

    @property
    def action(self) -> np.ndarray:
        """All actions of the chosen episodes as samples hold them, float32 (rows, action_dim).

        One row per frame; with a per-chunk transform one per frame and step of its chunk.
        """
        if self.transform is None or not self.transform.per_chunk:
            return self._encoded(slice(None), slice(None))
        ends = np.repeat(self.tables.starts[1:], np.diff(self.tables.starts))
        frames = np.arange(len(ends))
        rows = [(frames[frames + k < ends], k) for k in range(self.chunk_size)]
        return np.concatenate([self._encoded(frames + k, frames) for frames, k in rows])

    @property
    def state(self) -> np.ndarray | None:
        """All states of the chosen episodes, float32 (frames, state_dim), or None."""
        return self.tables.columns.get(STATE)

    @property
    def episode_starts(self) -> np.ndarray:
        """Rows of `action` and `state` at which episodes begin, and their number at the end (episodes + 1,)."""
        return self.tables.starts

    @property
    def num_episodes(self) -> int:
        return len(self.episodes)

    @property
    def instructions(self) -> list[str]:
        """The different instructions of the dataset, sorted."""
        return sorted(set(self.metadata.tasks.values()))

    @property
    def origin(self) -> str:
        """Hub id and revision, or the folder's own name, with the transform: nothing of the machine it lies on."""
        source = self.metadata.source
        name = source.root.resolve().name if source.is_local else f"{source.name}@{source.revision}"
        return name if self.transform is None else f"{name} | {self.transform}"

    @property
    def known_embodiment(self) -> KnownEmbodiment | None:
        """What `known_embodiments` says of this dataset."""
        return known_embodiment(self.metadata.source.name)

    @property
    def action_names(self) -> list[str]:
        names = slice_names(self.metadata, self.columns.action, "action")
        return names if self.transform is None else self.transform.names(names)

    @property
    def state_names(self) -> list[str]:
        return slice_names(self.metadata, self.columns.state, "state")

    @property
    def state_candidates(self) -> list[str]:
        """Columns that may be the state of a dataset in which none was found; `columns` chooses among them."""
        used = self.columns.vector_keys
        return [] if self.columns.state else [key for key in candidates(self.metadata) if key not in used]

    def as_recorded(self) -> "LeRobotDataset":
        """Return the same dataset with the actions as recorded, in the robot's units."""
        recorded = copy.copy(self)
        recorded.transform = None
        return recorded

    @property
    def action_units(self) -> list[str] | None:
        return slice_units(self.metadata, self.columns.action)

    @property
    def state_units(self) -> list[str] | None:
        return slice_units(self.metadata, self.columns.state)

    @property
    def camera_shapes(self) -> dict[str, tuple[int, int]]:
        """{camera: (height, width)} of the colour cameras."""
        return {camera: self.metadata.image_shape(key) for camera, key in self.camera_keys.items()}

    @property
    def fits_in_cache(self) -> bool:
        """Whether a process can keep all decoded frames; else samples should be drawn in blocks of episodes."""
        return int(self.tables.starts[-1]) * int(self._frame_bytes) <= self.cache.max_bytes

    def expect_blocks(self, block_episodes: int | None) -> None:
        """Told by EpisodeBlockSampler: samples come from so many episodes (or stretches of them) at a time.

        Then a whole stretch is decoded in one pass at its first miss, and stretches are cut so that a block of them fits
        in the cache. None: back to random access, where only what a window lacks is decoded.
        """
        self._block_episodes = block_episodes

    def stretches(self) -> list[range]:
        """Sample indices cut into pieces inside one episode that are decoded in one go (see EpisodeBlockSampler)."""
        pieces = []
        starts = self._starts[:-1].tolist()
        for start, skipped, episode in zip(starts, self._skipped.tolist(), self.episodes, strict=True):
            size = self._stretch_frames(episode.length)
            edges = [skipped, *range(size * (skipped // size + 1), episode.length, size), episode.length]
            pieces += [range(start + a - skipped, start + b - skipped) for a, b in pairwise(edges) if b > a]
        return pieces

    def _stretch_frames(self, length: int) -> int:
        """Frames of the equal pieces that an episode of `length` frames is cut into: a block of them and one more,
        for the frames before their first windows, fit in the cache."""
        fitting = self.cache.max_bytes // (((self._block_episodes or 4) + 1) * self._frame_bytes)
        longest = max(self.window_size * self.history_stride, int(fitting))
        return math.ceil(length / math.ceil(length / longest))

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __getitem__(self, index: int) -> WindowSample:
        if not -len(self) <= index < len(self):
            raise IndexError(f"sample {index} of a dataset of {len(self)} frames")
        index = int(index) % len(self)
        position = int(np.searchsorted(self._starts, index, side="right") - 1)
        episode, start = self.episodes[position], int(self.tables.starts[position])
        frame = index - int(self._starts[position]) + int(self._skipped[position])
        frames, frame_mask, steps, action_mask = window_rows(
            frame, episode.length, self.window_size, self.chunk_size, self.history_stride, self.left_edge == "repeat"
        )
        columns = self.tables.columns
        sample = WindowSample(
            images={camera: self.images(camera, position, frames) for camera in self.camera_keys},
            actions=self._encoded(start + steps, (start + frames)[:, None]),
            action_mask=action_mask,
            frame_mask=frame_mask,
            instruction=self.metadata.tasks[int(columns["task_index"][start + frame, 0])],
            episode=episode.index,
            frame=frame,
            embodiment=self.embodiment,
        )
        sample |= {} if self.transform is None else {"transform": repr(self.transform)}  # VLACollator checks it
        if STATE in columns:
            sample["state"] = columns[STATE][start + frames]
        if GROUNDING in columns:
            sample["grounding"] = columns[GROUNDING][start + frames]
        if self.depth_keys:
            sample["depth"] = {camera: self.images(camera, position, frames) for camera in self.depth_keys}
        return sample

    def _encoded(self, steps: np.ndarray | slice, frames: np.ndarray | slice) -> np.ndarray:
        """Actions of table rows `steps`; a per-chunk transform refers to the states of rows `frames`."""
        actions = self.tables.columns[ACTION][steps]
        if self.transform is None:
            return actions
        rows = frames if self.transform.per_chunk else steps
        return self.transform.encode(actions, None if self.state is None else self.state[rows])

    def images(self, camera: str, position: int, frames: np.ndarray) -> np.ndarray:
        """Images uint8 (frames, height, width, 3) of one camera: rows `frames` of the `position`-th chosen episode.
        Those of a depth camera are float32 (frames, height, width), in metres."""
        wanted: list[int] = frames.tolist()
        cached = {frame: self.cache.get((camera, position, frame)) for frame in wanted}
        images = {frame: image for frame, image in cached.items() if image is not None}
        missing = sorted(cached.keys() - images.keys())
        if not missing:
            return np.stack([images[frame] for frame in wanted])
        images = {frame: image.copy() for frame, image in images.items()}  # the cache is about to change
        if self._block_episodes is not None:
            missing = self._with_stretch(camera, position, int(frames[-1]), missing)
        for frame, image in zip(missing, self._decode(camera, position, missing), strict=True):
            self.cache.put((camera, position, frame), image)
            images[frame] = image
        return np.stack([images[frame] for frame in wanted])

    def _with_stretch(self, camera: str, position: int, newest: int, missing: list[int]) -> list[int]:
        """`missing` and what else its stretch lacks: one pass instead of many seeks."""
        length = self.episodes[position].length
        size = self._stretch_frames(length)
        first = newest // size * size
        before = (self.window_size - 1) * self.history_stride
        stretch = range(max(0, first - before), min(first + size, length))
        return sorted({*missing, *(frame for frame in stretch if (camera, position, frame) not in self.cache)})

    def _decode(self, camera: str, position: int, frames: list[int]) -> list[np.ndarray]:
        is_depth = camera in self.depth_keys
        key = self.depth_keys[camera] if is_depth else self.camera_keys[camera]
        episode, source = self.episodes[position], self.metadata.source
        file = episode.videos[key].file if key in episode.videos else episode.data_file
        try:
            if key in episode.videos:
                path = source.file(file, episode.index)
                times = self._times.of(position, key, np.asarray(frames))
                images = self._videos.read(path, times.tolist(), self.tolerance_s)
            else:
                rows = [self.tables.file_rows[position] + frame for frame in frames]
                folders = [source.root, source.root / "images" / key / f"episode_{episode.index:06d}"]
                shape = self.metadata.features[key]["shape"]
                images = self._images.read(source.file(file, episode.index), key, rows, folders, shape, is_depth)
        except (VideoError, ValueError, KeyError) as error:
            if isinstance(error, DatasetError):
                raise
            raise DatasetError(f"camera {camera!r}: {error}", source, episode.index, file) from error
        expected = self.metadata.image_shape(key)
        for frame, image in zip(frames, images, strict=True):
            if image.shape[:2] != expected:
                there, here = "x".join(map(str, expected)), "x".join(map(str, image.shape[:2]))
                problem = (
                    f"camera {camera!r}: feature {key!r} has pictures of {there}, that of frame {frame} has {here}"
                )
                raise DatasetError(problem, source, episode.index, file)
        return images

    def _join_columns(self) -> None:
        """Keep the vectors among the columns read, under the names ACTION and STATE, and the index columns."""
        columns = self.tables.columns
        kept = {key: columns[key] for key in ("timestamp", "task_index", GROUNDING) if key in columns}
        kept[ACTION] = join_slices(columns, self.columns.action)
        if self.columns.state:
            kept[STATE] = join_slices(columns, self.columns.state)
        self.tables.columns = kept

    def _is_video(self, key: str) -> bool:
        return self.metadata.features[key]["dtype"] == "video"

    def _choose_cameras(self, cameras: Sequence[str] | None) -> dict[str, str]:
        known, depth = self.columns.images, self.columns.depth
        if cameras is None:
            cameras = list(known) if self.known_embodiment is None else self.known_embodiment.cameras
        if asked := [camera for camera in cameras if camera in depth and camera not in known]:
            problem = f"cameras {asked} hold depth, not colour: read them in metres with depth={asked}"
            raise DatasetError(problem, self.metadata.source)
        if unknown := [camera for camera in cameras if camera not in known]:
            raise DatasetError(f"unknown cameras {unknown}, the dataset has {list(known)}", self.metadata.source)
        return {camera: known[camera] for camera in cameras}

    def _choose_depth(self, depth: Sequence[str]) -> dict[str, str]:
        there = self.columns.depth
        if unknown := [camera for camera in depth if camera not in there]:
            raise DatasetError(f"unknown depth cameras {unknown}, the dataset has {list(there)}", self.metadata.source)
        if videos := [camera for camera in depth if self._is_video(there[camera])]:
            raise DatasetError(
                f"depth cameras {videos} are videos; only depth pictures are read", self.metadata.source
            )
        if left := [camera for camera in there if camera not in depth]:
            warnings.warn(f"dataset {self.metadata.source}: depth cameras {left} are left out", stacklevel=3)
        return {camera: there[camera] for camera in depth}

    def _choose_episodes(self, episodes: Sequence[int] | None, split: str | None):
        known = self.metadata.episodes
        if split is not None:
            if episodes is not None:
                raise ValueError("give either episodes or split, not both")
            if split not in self.metadata.splits:
                raise DatasetError(f"unknown split {split!r}, there are {self.metadata.splits}", self.metadata.source)
            first, last = self.metadata.splits[split]
            episodes = [index for index in known if first <= index < last]
        chosen = list(known) if episodes is None else list(episodes)
        if unknown := [index for index in chosen if index not in known]:
            problem = f"unknown episodes {unknown[:5]} in `episodes`, there are {len(known)}: {ranges(known)}"
            raise DatasetError(problem, self.metadata.source)
        if not chosen:
            raise DatasetError(
                "no episodes (`episodes` or `split` chooses none)", self.metadata.source, file="meta/episodes"
            )
        return [known[index] for index in chosen]
