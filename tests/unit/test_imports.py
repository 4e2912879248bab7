"""What modules import, beyond what the contracts in pyproject.toml can say."""

from graphlib import TopologicalSorter

import grimp


def test_no_modules_import_each_other() -> None:
    """Not in a circle of any length, and not for types alone either: a module is read after those that it imports."""
    graph = grimp.build_graph("daemon", cache_dir=None)
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    TopologicalSorter(imports).prepare()  # raises CycleError, which names the circle
