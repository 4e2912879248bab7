"""What a usable key is: how SKUs and barcodes are compared, and which of them distinguish nothing. Stated once.

Nor is a key usable that is on more than MOST_ROWS rows of one side; only matching sees that
(`daemon.sync.matching.common_keys`).
"""

import re
import unicodedata
from itertools import product

from daemon.i18n import gettext as _
from daemon.texts import INVISIBLE, unaccented

RULES = "3"  # when the rules change, the keys of all rows are computed again (daemon/mirror/rekeying.py)
LONGEST_KEY = 255  # characters; Shopify accepts no longer SKU, and an index no text of more than 2,700 bytes
MOST_ROWS = 3  # of one side; what is on more of them is some form's default, or "one SKU for all sizes"

# What Unicode calls space, and what nobody can see.
_BLANKS = re.compile(rf"[\s{INVISIBLE}]+")

# What people and programs write where they have no code, without accents, spaces and punctuation.
_CODE = ("", "sku", "barcode", "code", "ean", "upc", "gtin", "isbn")
_MA = (*_CODE, "ma", "maso", "masp", "mahang", "mavach")
_HAVING = """
    co ro biet nhap capnhat apdung tontai xacdinh phanloai can dung dat gan tao in dangky thongtin cothongtin dulieu
"""
_GIVEN = """
    available applicable assigned set specified provided entered defined determined given known found needed required
    data info information value
"""
_NO_CODE = (
    (("", "hang", "sp", "sanpham"), ("khong", "ko", "chua"), ("", *_HAVING.split()), _MA),
    (("dang", "cho", "se"), ("capnhat", "bosung", "nhap", "tao", "dangky"), ("", "sau"), _MA),
    (("no", "not", "without", "missing", "unknown"), ("", *_GIVEN.split()), _CODE),
)
_OTHERS = """
    na nan none null nil nothing empty blank undefined unspecified unassigned unavailable invalid error true false
    default defaulttitle doesnotapply notyet nonumber tbd tba tbc todo tobedefined tobedetermined pending dummy example
    sample placeholder temp tmp test testing testsku testbarcode testproduct thu thunghiem kco kcoma trong rong botrong
    capnhatsau bosungsau macdinh tudong sku barcode code ean upc gtin isbn ma maso masp mahang mavach masku
    无 無 暂无 没有 未知
"""
_PLACEHOLDERS = frozenset("".join(words) for parts in _NO_CODE for words in product(*parts)) | {*_OTHERS.split()}
# One of them repeated: null-null, n/a-n/a, as programs make of the parts of a code.
_REPEATED = re.compile(r"(.{3,}?)(?:[\W_]*\1)+")
# Only zeros, as spreadsheets write them, too (0,00E+00); x, xx, xxx …; one character all the way.
_MEANINGLESS = re.compile(r"0+(?:e0+)?|x+|([a-z0-9])\1{5,}")
_IN_ORDER, _SHORTEST_IN_ORDER = ("1234567890" * 2, "0123456789" * 2), 6
_WRONG_CELL = re.compile(r"#(?:n/a|name\?|null!|num!|ref!|value!|div/0!|spill!|calc!|field!)")
_SHORTENED = re.compile(r"[0-9](?:[.,][0-9]+)?e\+[0-9]+")  # 8.93E+12: many others are shortened to the same
_BETWEEN_WORDS = re.compile(r"[\W_]+")


def match_key(text: str | None) -> str | None:
    """The text in NFKC, case-folded and without spaces; None where it is not a key, since it distinguishes nothing.

    The same for two texts that people would take for one SKU: "Áo-01 ", "áo-01" and "A\u0301O\u00a0-01".
    """
    key = _folded(text)
    return key if key and _obstacle(key) is None else None


def why_no_key(text: str | None) -> str | None:
    """Why a text is not a key, to follow its mention: "is a placeholder"; None where it is a key or empty."""
    key = _folded(text)
    return _obstacle(key) if key else None


def _folded(text: str | None) -> str:
    if text is None:
        return ""
    plain = unicodedata.normalize("NFKC", _BLANKS.sub("", text)).casefold()
    # Case-folding may recompose what NFKC has taken apart, and so may the loss of a space.
    return unicodedata.normalize("NFKC", _BLANKS.sub("", plain))


def _obstacle(key: str) -> str | None:
    if len(key) > LONGEST_KEY:
        return _("is longer than {n} characters").format(n=LONGEST_KEY)
    if _WRONG_CELL.fullmatch(key):
        return _("is an error of a spreadsheet")
    core = _core(key)
    if not core or core in _PLACEHOLDERS or _MEANINGLESS.fullmatch(core) or _is_in_order(core):
        return _("is a placeholder")
    if (repeated := _REPEATED.fullmatch(key)) is not None and _core(repeated[1]) in _PLACEHOLDERS:
        return _("is a placeholder")
    return _("was shortened by a spreadsheet") if _SHORTENED.fullmatch(key) else None


def _core(key: str) -> str:
    """Its letters and digits, without accents."""
    if not key.isascii():
        key = "".join(str(unicodedata.decimal(char, char)) for char in unaccented(key))
    return _BETWEEN_WORDS.sub("", key)


def _is_in_order(core: str) -> bool:
    return len(core) >= _SHORTEST_IN_ORDER and any(digits.startswith(core) for digits in _IN_ORDER)
