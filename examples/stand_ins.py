"""What the examples run on where nothing else is given: a tiny random backbone and random demonstrations."""

import argparse
import tempfile
from pathlib import Path
from typing import Any

from transformers import TrainingArguments

from robovlms.testing import tiny_backbone, write_demonstrations


def parse(output_dir: str, **accelerator: Any) -> tuple[argparse.Namespace, TrainingArguments]:
    """The example's options (`backbone` and `dataset`), and the Trainer's."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--backbone", help="Hub id or folder of a vision-language model")
    parser.add_argument("--dataset", help="Hub id or folder of a LeRobot dataset")
    parser.add_argument("--output_dir", default=output_dir)
    parser.add_argument("--max_steps", type=int, default=4)
    parser.add_argument("--batch_size", type=int, default=4)
    parser.add_argument("--learning_rate", type=float, default=2e-4)
    options = parser.parse_args()
    arguments = TrainingArguments(
        options.output_dir,
        max_steps=options.max_steps,
        per_device_train_batch_size=options.batch_size,
        learning_rate=options.learning_rate,
        logging_steps=max(1, options.max_steps // 100),
        remove_unused_columns=False,
        report_to="none",
        accelerator_config=accelerator or None,
        ddp_find_unused_parameters=False,
    )
    stand_ins = Path(tempfile.gettempdir()) / "robovlms_stand_ins"
    with arguments.main_process_first(desc="writing stand-ins"):
        if options.backbone is None:
            options.backbone = str(stand_ins / "backbone")
            if not Path(options.backbone, "config.json").exists():
                tiny_backbone("smolvlm", options.backbone)
        if options.dataset is None:
            options.dataset = str(stand_ins / "demonstrations")
            if not Path(options.dataset, "meta", "info.json").exists():
                write_demonstrations(options.dataset)
    return options, arguments
