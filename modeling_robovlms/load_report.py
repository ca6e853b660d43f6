"""Loading a backbone under a new head without transformers' table of what is missing: that is as it should be."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

logger = logging.getLogger("transformers.modeling_utils")


@contextmanager
def expect_new_weights() -> Iterator[None]:
    """Hold the report on loaded weights back, and show it after all where loading fails."""
    held: list[logging.LogRecord] = []

    def keep(record: logging.LogRecord) -> bool:
        is_report = "LOAD REPORT" in record.getMessage()
        if is_report:
            held.append(record)
        return not is_report

    logger.addFilter(keep)
    try:
        yield
    except BaseException:
        logger.removeFilter(keep)
        for record in held:
            logger.handle(record)
        raise
    finally:
        logger.removeFilter(keep)
