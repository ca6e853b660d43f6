"""What goes wrong in a dataset is reported with the dataset, the episode and the file that it is about."""


class DatasetError(ValueError):
    """A dataset cannot be read as it is: the message names the dataset, the episode and the file."""

    def __init__(self, problem: str, dataset: object, episode: int | None = None, file: object = None):
        where = [f"dataset {str(dataset)!r}"]
        if episode is not None:
            where.append(f"episode {episode}")
        if file is not None:
            where.append(f"file {str(file)!r}")
        super().__init__(f"{problem} ({', '.join(where)})")
