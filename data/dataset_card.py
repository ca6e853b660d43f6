"""The README.md of a recorded dataset."""

from pathlib import Path

from huggingface_hub import DatasetCard, DatasetCardData

from ..hub_cards.templates import template
from .lerobot_metadata import LeRobotMetadata

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
    data = DatasetCardData(
        task_categories=["robotics"],
        tags=["LeRobot", "robovlms"],
        configs=[{"config_name": "default", "data_files": "data/*/*.parquet"}],
    )
    card = DatasetCard.from_template(
        data,
        template_str=template("dataset_card"),
        name=name or Path(folder).resolve().name,
        description=description,
        version=metadata.version,
        episodes=len(metadata.episodes),
        frames=frames,
        fps=f"{metadata.fps:g}",
        hours=f"{frames / metadata.fps / 3600:.2f}",
        robot=f", robot `{metadata.robot_type}`" if metadata.robot_type else "",
        features="\n".join(rows),
        tasks=len(texts),
        instructions="\n".join([*(f"- {text}" for text in texts[:MOST_INSTRUCTIONS]), *more]),
    )
    return card.content
