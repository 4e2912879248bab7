"""Lists the licences of all that is installed beside this interpreter; exit code 1 if one is not known to be free."""

import re
import sys
from importlib.metadata import Distribution, distributions

# Those that let anybody use a program that depends on them for any purpose, without opening it.
FREE = frozenset(
    {"0BSD", "Apache-2.0", "BSD", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "MPL-2.0", "PSF-2.0", "PostgreSQL"}
)
# Metadata of before SPDX expressions says it in words.
IN_WORDS = {
    "Apache 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD",
    "ISC License": "ISC",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
}


def licence_of(distribution: Distribution) -> str:
    """As its metadata says it: the expression, else the text in a line, else what it is classified as."""
    metadata = distribution.metadata
    said = metadata.get("License-Expression") or metadata.get("License") or ""
    if said and "\n" not in said:
        return IN_WORDS.get(said, said)
    classified = [line.rpartition(" :: ")[2] for line in metadata.get_all("Classifier") or () if "License ::" in line]
    return " OR ".join(IN_WORDS.get(name, name) for name in classified) or "none"


def is_free(licence: str) -> bool:
    """Whether every licence of an expression is one of FREE."""
    return all(name.strip("() ") in FREE for name in re.split(r"\bAND\b|\bOR\b", licence))


def main() -> int:
    """The command."""
    found = sorted((each.metadata["Name"].lower(), licence_of(each)) for each in distributions())
    for name, licence in found:
        sys.stdout.write(
            f"{name:24}{licence}{'' if is_free(licence) else '   <- not among the licences in .ci/licences.py'}\n"
        )
    return 0 if all(is_free(licence) for _, licence in found) else 1


if __name__ == "__main__":
    sys.exit(main())
