"""The README.md of a recorded dataset."""

from pathlib import Path

from .lerobot_metadata import LeRobotMetadata

CARD = """---
task_categories:
- robotics
tags:
- LeRobot
- robovlms
configs:
- config_name: default
  data_files: data/*/*.parquet
---

# {name}

{description}

A [LeRobotDataset](https://github.com/huggingface/lerobot) {version}: {episodes} episodes, {frames} frames at {fps:g} Hz
({hours:.2f} hours){robot}.

| feature | type | shape | names |
|---|---|---|---|
{features}

Instructions ({tasks}):

{instructions}

## Use

```python
from robovlms.data import LeRobotDataset

dataset = LeRobotDataset("{name}", window_size=8, chunk_size=10)
sample = dataset[0]  # images, state, actions (window, chunk, action_dim), action_mask, instruction, ...
```

LeRobot reads it, too: `LeRobotDataset("{name}")` of `lerobot.datasets.lerobot_dataset`.
"""
MOST_INSTRUCTIONS = 20


def dataset_card(folder: str | Path, description: str = "Recorded with robovlms.", name: str | None = None) -> str:
    """Text of a dataset card from the dataset's own metadata; `name` is its Hub id (the folder's name by default)."""
    metadata = LeRobotMetadata(folder)
    frames = sum(episode.length for episode in metadata.episodes.values())
    rows = []
    for key, feature in metadata.features.items():
        image = feature["dtype"] in ("video", "image")
        names = "" if image else ", ".join(metadata.names(key) or [])
        rows.append(f"| `{key}` | {feature['dtype']} | {' x '.join(map(str, feature['shape']))} | {names} |")
    texts = [text.replace("\n", " ") for text in metadata.tasks.values()]
    more = [f"- ... and {len(texts) - MOST_INSTRUCTIONS} more"] if len(texts) > MOST_INSTRUCTIONS else []
    return CARD.format(
        name=name or Path(folder).resolve().name,
        description=description,
        version=metadata.version,
        episodes=len(metadata.episodes),
        frames=frames,
        fps=metadata.fps,
        hours=frames / metadata.fps / 3600,
        robot=f", robot `{metadata.robot_type}`" if metadata.robot_type else "",
        features="\n".join(rows),
        tasks=len(texts),
        instructions="\n".join([*(f"- {text}" for text in texts[:MOST_INSTRUCTIONS]), *more]),
    )
