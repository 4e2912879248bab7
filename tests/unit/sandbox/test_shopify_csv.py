"""Reading Shopify's product exports, of all versions, and what is said about broken ones."""

import csv
from decimal import Decimal
from pathlib import Path

import pytest

from daemon.errors import ConfigError
from daemon.sandbox.shopify.product_csv import catalogue_from_csv, read_products

HEADER = "Handle,Title,Vendor,Type,Tags,Published,Option1 Name,Option1 Value,Variant SKU,Variant Price,Image Src\n"


def export(directory: Path, text: str, name: str = "products.csv", encoding: str = "utf-8") -> Path:
    """A file in `directory`."""
    path = directory / name
    path.write_bytes(text.encode(encoding))
    return path


def test_variants_follow_their_product(tmp_path: Path) -> None:
    """Rows with blank option names are variants of the product above; rows with only a picture are none."""
    path = export(
        tmp_path,
        HEADER
        + "ao,Áo,Hãng,Tops,\"nam, mới ,nam\",true,Size,S,A-S,190000.50,http://x/1.jpg\n"
        + "ao,,,,,,,M,,200000,\n"
        + "ao,,,,,,,,,,http://x/2.jpg\n"
        + "mu,Mũ,,,,false,Title,Default Title,,50,\n",
    )  # fmt: skip
    shirt, hat = read_products([path])
    assert (shirt.title, shirt.tags, shirt.option_names, shirt.published) == ("Áo", ["nam", "mới"], ("Size",), True)
    assert [(v.option_values, v.sku, v.price) for v in shirt.variants] == [
        (("S",), "A-S", Decimal("190000.50")),
        (("M",), "", Decimal(200000)),
    ]
    assert shirt.image_url == "http://x/1.jpg"
    assert (hat.published, [v.option_values for v in hat.variants]) == (False, [("Default Title",)])


def test_quoting_line_breaks_and_byte_order_mark(tmp_path: Path) -> None:
    """Quoted cells may hold commas, quotes and line breaks, and the file may begin with a byte order mark."""
    text = 'Handle,Title,Body (HTML),Variant Price\r\nao,"Áo ""đẹp"", dài","<p>\r\nhai dòng</p>",1\r\n'
    (product,) = read_products([export(tmp_path, text, encoding="utf-8-sig")])
    assert product.title == 'Áo "đẹp", dài'
    assert product.body_html == "<p>\r\nhai dòng</p>"


def test_missing_columns_have_defaults(tmp_path: Path) -> None:
    """Handle and Title are enough: the rest is as in a new product."""
    (product,) = read_products([export(tmp_path, "Handle,Title\nao,Áo\n")])
    (variant,) = product.variants
    assert (product.status, product.option_names, variant.option_values) == ("ACTIVE", ("Title",), ("Default Title",))
    assert (variant.price, variant.quantity, variant.tracked, variant.taxable) == (0, 0, False, True)


def test_column_names_of_the_present_template(tmp_path: Path) -> None:
    """The columns that Shopify has renamed since are known under both names."""
    header = "Title,URL handle,Status,SKU,Price,Continue selling when out of stock,Inventory quantity\n"
    (product,) = read_products([export(tmp_path, header + "Áo,ao,Draft,A-1,12.50,TRUE,-3\n")])
    (variant,) = product.variants
    assert (product.handle, product.status) == ("ao", "DRAFT")
    assert (variant.sku, variant.price, variant.continue_selling, variant.quantity) == (
        "A-1",
        Decimal("12.50"),
        True,
        -3,
    )


def test_every_problem_is_told_with_its_line(tmp_path: Path) -> None:
    """All problems of all files at once, each with file and line, also behind a cell of several lines."""
    path = export(
        tmp_path,
        "Handle,Title,Body (HTML),Variant Price\n"
        + 'ao,Áo,"hai\ndòng",abc\n'
        + "mu,,,1\n"
        + ",Không,,1\n"
        + "x,X,,1,more,cells\n",
    )
    with pytest.raises(ConfigError) as caught:
        read_products([path, tmp_path / "none.csv"])
    assert list(caught.value.problems) == [
        f"{path}:2: Variant Price 'abc' is not a number",
        f"{path}:4: the first row of 'mu' has no Title",
        f"{path}:5: the Handle is blank",
        f"{path}:6: the row has 6 cells, but there are 4 columns",
        f"{tmp_path / 'none.csv'}: can't be read: No such file or directory",
    ]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"Handle,Title\nao,\xff\xfe\n", ":2: is not UTF-8"),
        (b'Handle,Title\nao,"never closed\n', ":2: is not readable as CSV"),
        (b"Name,Price\nx,1\n", ":1: there is no column Handle"),
        (b"", ":1: there is no column Handle"),
    ],
)
def test_files_that_are_no_exports(tmp_path: Path, content: bytes, problem: str) -> None:
    """A file of another kind is refused in one line that names the place."""
    path = tmp_path / "other.csv"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=problem):
        read_products([path])


def test_the_same_goods_for_the_other_side(tmp_path: Path) -> None:
    """The catalogue has a good for each variant; blank SKUs are made up from handle and option."""
    path = export(tmp_path, HEADER + "ao,Áo,Hãng,Tops,nam,true,Size,Cỡ S,,190,\nao,,,,,,,M,A-M,200,\n")
    catalogue = catalogue_from_csv([path], 1, customers=3, depots=2)
    assert [(g.sku, g.name, g.product_number, g.price) for g in catalogue.goods] == [
        ("AO-CO-S", "Áo / Cỡ S", 1, Decimal(190)),
        ("A-M", "Áo / M", 1, Decimal(200)),
    ]
    assert len(catalogue.people) == 3
    assert catalogue.goods == catalogue_from_csv([path], 1, customers=3, depots=2).goods


def test_a_description_of_200_kilobytes_is_read(tmp_path: Path) -> None:
    """Case 14: a description may hold pictures; a cell without an end is still a fault of the file."""
    long = "<p>đồng</p>" * 20_000
    path = tmp_path / "long.csv"
    path.write_text(f'Handle,Title,Body (HTML),Variant Price\nao,Áo,"{long}",1000\n', encoding="utf-8")
    usual = csv.field_size_limit()
    assert read_products([path])[0].body_html == long
    assert csv.field_size_limit() == usual
    path.write_text('Handle,Title,Body (HTML)\nao,Áo,"' + "x" * 5_000_000, encoding="utf-8")
    with pytest.raises(ConfigError, match="field larger than field limit"):
        read_products([path])
