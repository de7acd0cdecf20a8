"""The typed schema of `params.yaml`, one file per section; the only reader of YAML."""

from sightline.config.errors import ConfigError
from sightline.config.params import Params, load_params

__all__ = ["ConfigError", "Params", "load_params"]
