"""How loud a line is: the colour that a person sees beside a sentence, on the page and in the terminal."""

from enum import StrEnum


class Tone(StrEnum):
    """What a state means to whoever looks at it."""

    OK = "ok"
    WARN = "warn"  # it works, but somebody should look at it
    BAD = "bad"
    RUN = "run"  # under way
    ASK = "ask"  # a person is asked
    OFF = "off"  # nothing to say, or no longer of interest
