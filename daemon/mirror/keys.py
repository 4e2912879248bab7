"""By what SKUs and barcodes are compared: case, space and Unicode form do not tell two of them apart."""

import re
import unicodedata

LONGEST_KEY = 255  # characters; Shopify takes no longer SKU, and an index no text of more than 2,700 bytes

# Besides what Unicode calls space: characters without width, which come along with texts copied from web pages.
_BLANKS = re.compile(r"[\s\u00ad\u200b-\u200f\u2060\ufeff]+")


def match_key(text: str | None) -> str | None:
    """The text in NFKC, case-folded and without any space; None where nothing is left of it, or too much.

    The same for two texts that people would take for one SKU: "Áo-01 ", "áo-01" and "A\u0301O\u00a0-01".
    """
    if text is None:
        return None
    folded = _BLANKS.sub("", unicodedata.normalize("NFKC", text).casefold())
    # Case-folding may compose anew what NFKC has taken apart, and so may the loss of a blank.
    key = unicodedata.normalize("NFKC", folded)
    return key if 0 < len(key) <= LONGEST_KEY else None
