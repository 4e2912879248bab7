"""Keeps a Nhanh.vn point of sale and a Shopify store in step, and shows every background job live."""

__version__: str


def __getattr__(name: str) -> str:
    # Looking up the version takes 40 ms, which most commands need not spend.
    if name == "__version__":
        from importlib.metadata import version  # noqa: PLC0415

        return version("dongbo")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
