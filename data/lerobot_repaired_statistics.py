"""Statistics of a LeRobotDataset v3.0 that has none yet: of each episode, into its table, and of the whole."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from tqdm import tqdm

from .images_in_parquet import ImagePool
from .lerobot_episodes_file import episodes_table
from .lerobot_metadata import LeRobotMetadata
from .lerobot_stats import MAX_IMAGES, image_stats, merge_stats, vector_stats
from .lerobot_tables import read_tables
from .video import VideoPool


def write_statistics(folder: Path) -> None:
    """Reads rows and pictures of a dataset and writes its statistics; those of depth are left empty.

    Raises:
        DatasetError: where rows or pictures are not as the episode table says.
    """
    metadata = LeRobotMetadata(folder)
    episodes = list(metadata.episodes.values())
    keys = [key for key in metadata.features if metadata.is_numeric(key) and key not in metadata.camera_features]
    tables = read_tables(metadata, episodes, keys, whole=True)
    times = tables.columns["timestamp"][:, 0].astype(np.float64)
    (file,) = sorted((folder / "meta/episodes").glob("*/*.parquet"))
    rows = [{name: cell for name, cell in row.items() if not name.startswith(("stats/", "meta/"))}
            for row in pq.read_table(file).to_pylist()]  # fmt: skip
    videos, images = VideoPool(), ImagePool()
    cameras = list(metadata.camera_keys.values())
    stats: dict[str, list[dict]] = {key: [] for key in [*keys, *cameras]}
    bar = tqdm(episodes, desc="statistics", unit="episode", delay=2)
    for position, (episode, row) in enumerate(zip(bar, rows, strict=True)):
        start, stop = tables.starts[position : position + 2].tolist()
        for key in keys:
            stats[key].append(vector_stats(tables.columns[key][start:stop]))
        for key in cameras:
            frames = np.linspace(0, episode.length - 1, min(episode.length, MAX_IMAGES)).astype(int)
            if span := episode.videos.get(key):
                wanted = span.start + times[start + frames]
                read = videos.read(folder / span.file, wanted.tolist(), 0.5 / metadata.fps)
            else:
                in_file, shape = tables.file_rows[position] + frames, metadata.features[key]["shape"]
                read = images.read(folder / episode.data_file, key, in_file.tolist(), [folder], shape)
            stats[key].append(image_stats(np.stack(read)))
        row |= {f"stats/{key}/{name}": value for key in stats for name, value in stats[key][-1].items()}
    pq.write_table(episodes_table(rows, metadata.features), file)
    whole = {key: vector_stats(tables.columns[key]) for key in keys} | {
        key: merge_stats(stats[key]) for key in cameras
    }
    (folder / "meta/stats.json").write_text(json.dumps(whole, indent=4), encoding="utf-8")
