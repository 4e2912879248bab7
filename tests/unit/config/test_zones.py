"""Time zones: what people write for the one of Vietnam, and the zones whose sign is the other way round."""

from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.config.zones import doubt, to_zone

OF_VIETNAM = [
    *(
        "GMT+7",
        "GMT+07",
        "gmt +7",
        "UTC+7",
        "UTC+07:00",
        "UTC＋7",
        "+07:00",
        "+7",
        "Etc/GMT+07",
        "(GMT+07:00)",
        "UTC +7",
    ),
    *("Asia/Hanoi", "Asia/Ha_Noi", "Hanoi", "Hà Nội", "Asia/HCM", "Asia/Ho Chi Minh", "Asia/HoChiMinh", "TP.HCM"),
    *("Vietnam", "Viet Nam", "Việt Nam", "VN", "ICT", "Asia/Vietnam", "Asia/Danang", "Đà Nẵng", "Sài Gòn"),
    *("UTC＋7", "SE Asia Standard Time", "(GMT+07:00) Bangkok, Hanoi, Jakarta", "Indochina Time"),
]


@pytest.mark.parametrize("name", OF_VIETNAM)
def test_what_people_write_for_vietnam(name: str) -> None:
    """Case 25: the answer proposes the one zone that Vietnam has."""
    with pytest.raises(ValueError, match='did you mean "Asia/Ho_Chi_Minh"'):
        to_zone(name)


def test_the_old_name_of_the_zone_is_taken() -> None:
    """Asia/Saigon is a name of the IANA database, for the same time."""
    assert to_zone("Asia/Saigon") == ZoneInfo("Asia/Saigon")


@given(st.integers(-12, 14).filter(lambda hours: hours not in (0, 7)), st.sampled_from(["GMT", "UTC", ""]))
def test_another_offset_is_proposed_with_the_right_sign(hours: int, prefix: str) -> None:
    """No proposal is as many hours off as the sign of Etc/GMT±n is wrong."""
    with pytest.raises(ValueError, match="sign is the other way round") as caught:
        to_zone(f"{prefix}{hours:+d}")
    assert f'"Etc/GMT{-hours:+d}"' in str(caught.value)


@pytest.mark.parametrize("name", ["GMT-13", "UTC+15", "UTC+5:30", "+05:45", "GMT+25", "UTC+0:30"])
def test_an_offset_that_no_zone_is_named_after(name: str) -> None:
    """The zone with the nearest name is hours away."""
    with pytest.raises(ValueError, match="write the name of a place"):
        to_zone(name)


@pytest.mark.parametrize(
    ("name", "meant"), [("Etc/GMT+7", "Asia/Ho_Chi_Minh"), ("Etc/GMT-7", "Etc/GMT+7"), ("Etc/GMT-14", "Etc/GMT+14")]
)
def test_a_zone_whose_sign_is_the_other_way_round(name: str, meant: str) -> None:
    """Case 25: Etc/GMT+7 is 14 hours off for whoever means Vietnam, and is said to be."""
    assert f'write "{meant}"' in str(doubt(ZoneInfo(name)))


@pytest.mark.parametrize("name", ["Asia/Ho_Chi_Minh", "UTC", "Etc/UTC", "Etc/GMT", "Etc/GMT+0", "Asia/Bangkok"])
def test_a_zone_without_doubt(name: str) -> None:
    """All others are taken without a word."""
    assert doubt(ZoneInfo(name)) is None
