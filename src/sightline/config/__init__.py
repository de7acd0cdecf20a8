"""The schema of `params.yaml`: checked in one place, one class per section.

Its names are imported when they are asked for: the packages that bring tasks and formats, which the schema imports,
derive them from classes below.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sightline.config.errors import ConfigError
    from sightline.config.params import Params, check_policy, load_params
else:
    _WHERE = {"ConfigError": "errors", "Params": "params", "check_policy": "params", "load_params": "params"}

    def __getattr__(name: str) -> Any:
        from importlib import import_module

        if name not in _WHERE:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)


__all__ = ["ConfigError", "Params", "check_policy", "load_params"]
