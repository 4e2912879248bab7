"""What this process has received, and what it has not accepted: for metrics, and for the streams' own rows."""

from collections import Counter
from collections.abc import Mapping, Sequence

from daemon.inbox.events import TopicId
from daemon.inbox.streams import StreamId, Unaccepted


class DeliveryCounts:
    """Counters that only grow."""

    def __init__(self) -> None:
        self.received: Counter[TopicId] = Counter()  # stored deliveries, repeats among them
        self.repeated: Counter[TopicId] = Counter()
        self.refused: Counter[StreamId] = Counter()  # with a wrong signature, or none
        self.of_strangers = 0  # for stores that are not configured
        self.turned_away: Counter[StreamId] = Counter()  # rightly signed, but not stored
        self._told: Mapping[StreamId, Unaccepted] = {}

    def unaccepted(self, streams: Sequence[StreamId]) -> Mapping[StreamId, Unaccepted]:
        """What of these streams has not been accepted since it was last told."""
        return {
            stream: Unaccepted(
                self.refused[stream] - (told := self._told.get(stream, Unaccepted())).refused,
                self.turned_away[stream] - told.turned_away,
            )
            for stream in streams
        }

    def tell(self, unaccepted: Mapping[StreamId, Unaccepted]) -> None:
        """These counts have been told."""
        self._told = {
            **self._told,
            **{
                stream: Unaccepted(
                    (told := self._told.get(stream, Unaccepted())).refused + counts.refused,
                    told.turned_away + counts.turned_away,
                )
                for stream, counts in unaccepted.items()
            },
        }
