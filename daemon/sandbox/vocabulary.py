"""The words that sandbox shops are made of: Vietnamese names, goods, places and spellings."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of goods. Prices are in thousands of đồng."""

    code: str
    name: str
    category: str
    materials: tuple[str, ...]
    sizes: tuple[str, ...]
    lowest_price: int
    highest_price: int


_CLOTHES = ("S", "M", "L", "XL", "XXL")
_WAISTS = ("28", "29", "30", "31", "32", "33", "34")
_SHOES = ("36", "37", "38", "39", "40", "41", "42", "43")
_VOLUMES = ("Nhỏ", "Vừa", "Lớn")

KINDS = (
    Kind("AT", "Áo thun", "Áo", ("cotton", "cổ tròn", "cá sấu", "tay lỡ"), _CLOTHES, 99, 350),
    Kind("SM", "Áo sơ mi", "Áo", ("lụa", "kẻ sọc", "linen", "tay dài"), _CLOTHES, 199, 690),
    Kind("AK", "Áo khoác", "Áo", ("gió", "dạ", "bò", "phao"), _CLOTHES, 350, 1900),
    Kind("AD", "Áo dài", "Áo", ("gấm", "lụa tơ tằm", "nhung"), _CLOTHES, 650, 4500),
    Kind("QJ", "Quần jean", "Quần", ("ống suông", "rách gối", "bó ôm"), _WAISTS, 290, 890),
    Kind("QT", "Quần tây", "Quần", ("công sở", "kaki", "nỉ"), _WAISTS, 250, 790),
    Kind("VD", "Váy đầm", "Váy", ("hoa nhí", "xòe", "chữ A", "suông"), _CLOTHES, 220, 1290),
    Kind("GT", "Giày thể thao", "Giày dép", ("chạy bộ", "trắng", "lưới"), _SHOES, 390, 2900),
    Kind("DS", "Dép sục", "Giày dép", ("quai ngang", "da bò", "nhựa dẻo"), _SHOES, 79, 450),
    Kind("TX", "Túi xách", "Phụ kiện", ("da thật", "vải bố", "đeo chéo"), _VOLUMES, 199, 3200),
    Kind("MU", "Mũ lưỡi trai", "Phụ kiện", ("thêu chữ", "vải dù"), _VOLUMES, 89, 290),
    Kind("GB", "Gốm sứ Bát Tràng", "Nhà cửa", ("men rạn", "men ngọc", "vẽ tay"), _VOLUMES, 120, 2500),
)

STYLES = (
    "Hà Nội",
    "Sài Gòn",
    "cổ điển",
    "mùa hè",
    "mùa đông",
    "trẻ trung",
    "thanh lịch",
    "Đà Lạt",
    "phố cổ",
    "năng động",
)
COLOURS = (
    "Đỏ",
    "Đen",
    "Trắng",
    "Xanh dương",
    "Xanh lá",
    "Vàng",
    "Hồng",
    "Tím",
    "Nâu",
    "Be",
    "Xám",
    "Cam",
    "Kem",
    "Rêu",
    "Bạc",
)
VENDORS = ("Xưởng May Việt", "Dệt Kim Đông Xuân", "Gốm Bát Tràng", "Lụa Vạn Phúc", "Da Giày Hà Nội", "Mộc Châu")
PRODUCT_TAGS = ("hàng mới", "bán chạy", "giảm giá", "Tết", "nữ", "nam", "trẻ em", "cao cấp", "thủ công")
DIRTY_NAMES = (
    '{} "hàng hiệu"',
    "🔥 {} 🔥",
    "{}\n(mẫu mới)",
    "{}\t- freeship",
    "  {}  ",
    "{} <b>SALE</b> & more",
    "{} 50% \\ 'mua 1 tặng 1'",
    "{} 👨‍👩‍👧‍👦",
    "{}\u200b",
)

FAMILY_NAMES = (
    "Nguyễn",
    "Trần",
    "Lê",
    "Phạm",
    "Hoàng",
    "Huỳnh",
    "Phan",
    "Vũ",
    "Võ",
    "Đặng",
    "Bùi",
    "Đỗ",
    "Hồ",
    "Ngô",
    "Dương",
    "Lý",
)
MIDDLE_NAMES = (
    "Thị",
    "Văn",
    "Minh",
    "Thu",
    "Ngọc",
    "Đức",
    "Thanh",
    "Quốc",
    "Hồng",
    "Bảo",
    "Gia",
    "Hữu",
    "Thị Kim",
    "Xuân",
    "Anh",
)
GIVEN_NAMES = (
    *(
        "An",
        "Ánh",
        "Bình",
        "Châu",
        "Chi",
        "Cường",
        "Dũng",
        "Đạt",
        "Giang",
        "Hà",
        "Hải",
        "Hạnh",
        "Hằng",
        "Hiếu",
        "Hòa",
        "Hương",
    ),
    *(
        "Huy",
        "Khánh",
        "Lan",
        "Linh",
        "Long",
        "Mai",
        "Nam",
        "Nga",
        "Nhung",
        "Phúc",
        "Phương",
        "Quân",
        "Quỳnh",
        "Sơn",
        "Tâm",
        "Thảo",
    ),
    *("Thắng", "Thủy", "Trang", "Trí", "Tuấn", "Tú", "Uyên", "Vân", "Việt", "Vy", "Yến", "Ý"),
)
CUSTOMER_TAGS = ("VIP", "Khách sỉ", "Khách quen", "Hay đổi trả", "Sinh nhật tháng này", "Zalo")
CITIES = (
    "Hà Nội",
    "TP. Hồ Chí Minh",
    "Đà Nẵng",
    "Hải Phòng",
    "Cần Thơ",
    "Huế",
    "Nha Trang",
    "Đà Lạt",
    "Buôn Ma Thuột",
    "Vũng Tàu",
)
STREETS = (
    "Lê Lợi",
    "Trần Hưng Đạo",
    "Nguyễn Huệ",
    "Hai Bà Trưng",
    "Lý Thường Kiệt",
    "Điện Biên Phủ",
    "Nguyễn Trãi",
    "Phố Huế",
)
MAIL_DOMAINS = ("example.com", "example.net", "example.org")
NOT_A_PHONE = ("0", "không có", "123", "09xxxxxxxx", "-", "0900")

# Mobile numbers lost a digit in September 2018, by a plan of the Ministry of Information and Communications.
_RENUMBERED = (
    "070 0120, 079 0121, 077 0122, 076 0126, 078 0128, 083 0123, 084 0124, 085 0125, 081 0127, 082 0129, 032 0162, "
    "033 0163, 034 0164, 035 0165, 036 0166, 037 0167, 038 0168, 039 0169, 056 0186, 058 0188, 059 0199"
)
PREFIXES_BEFORE_2018 = dict(pair.split() for pair in _RENUMBERED.split(", "))
MOBILE_PREFIXES = (
    *("086", "096", "097", "098", "088", "091", "094", "089", "090", "093", "092", "099", "087", "055", "052"),
    *PREFIXES_BEFORE_2018,
)
