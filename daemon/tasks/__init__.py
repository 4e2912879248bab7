"""The coroutines that jobs run. A new one is a file here with a `@task`: nothing else has to name it."""

from importlib import import_module
from pkgutil import iter_modules

from daemon.tasks.registry import JobPolicy, Store, TaskRegistry, check_completeness, params_schemas, read_params

__all__ = ["JobPolicy", "Store", "TaskRegistry", "params_schemas", "read_params"]

for _module in iter_modules(__path__, f"{__name__}."):
    import_module(_module.name)  # registers its task

check_completeness()
