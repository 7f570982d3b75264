"""What it means when the worker's temporary folder takes no more, or gives nothing back."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from airflow_monitoring_provider.exceptions import OutputUnavailable


@contextlib.contextmanager
def temporary_folder() -> Iterator[None]:
    """Around whatever uses files there.

    :raises OutputUnavailable: instead of an ``OSError``: the disk is full, or the folder is gone.
    """
    try:
        yield
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else type(error).__name__
        raise OutputUnavailable(
            f"rows could not be kept in the temporary folder: {reason}; free space there or set TMPDIR to a larger disk"
        ) from None
