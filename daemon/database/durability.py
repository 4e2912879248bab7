"""What a power cut must not take back."""

import os
from pathlib import Path


def sync_directory(directory: Path) -> None:
    """Waits until the names in a directory are on the disk, such as that of a file that was just renamed."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
