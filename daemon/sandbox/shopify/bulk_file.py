"""The file of a bulk operation: lines in no order, on disk where they are many, and never all of them in memory."""

import random
from collections.abc import Iterator
from itertools import islice
from tempfile import SpooledTemporaryFile

BUCKETS = 64  # of which one at a time is shuffled in memory
HELD_BYTES = 128 * 1024  # of a bucket: what is smaller never touches the disk
LINES_AT_ONCE = 10_000


class BulkFile:
    """Lines are dealt out to buckets at random; then each bucket is shuffled, and all are put together.

    The files have no name, so that they vanish with the process. To be closed by whoever made it.

    Args:
        draw: for the order.
        grouped: keep the lines in the order in which they are added.
    """

    def __init__(self, draw: random.Random, *, grouped: bool) -> None:
        self.size = 0  # bytes; 0 until it is gathered
        self._draw = draw
        self._grouped = grouped
        self._buckets = [_new_file() for _ in range(1 if grouped else BUCKETS)]
        self._whole = _new_file()

    def add(self, line: bytes) -> None:
        """Take in a line, without its end."""
        bucket = self._buckets[0] if self._grouped else self._draw.choice(self._buckets)
        bucket.write(line + b"\n")

    def gather(self, limit: int | None = None) -> Iterator[None]:
        """Put the lines together, a part of them a step; of `limit` lines only, if it is given."""
        for bucket in self._buckets:
            bucket.seek(0)
            for lines in self._portions(bucket):
                kept = lines[:limit]
                limit = None if limit is None else limit - len(kept)
                self.size += self._whole.write(b"".join(kept))
                yield
            bucket.close()

    def read(self, start: int, stop: int) -> bytes:
        """The bytes from `start` up to `stop`."""
        self._whole.seek(start)
        return self._whole.read(stop - start)

    def close(self) -> None:
        """Remove it from the disk."""
        for file in (*self._buckets, self._whole):
            file.close()

    def _portions(self, bucket: SpooledTemporaryFile[bytes]) -> Iterator[list[bytes]]:
        if self._grouped:
            while lines := list(islice(bucket, LINES_AT_ONCE)):
                yield lines
            return
        lines = bucket.readlines()
        self._draw.shuffle(lines)
        yield lines


def _new_file() -> SpooledTemporaryFile[bytes]:
    return SpooledTemporaryFile(max_size=HELD_BYTES)
