"""The configuration of a run, and what is opened by it. How to read and write stays in ``extract`` and ``lake``."""

import os
from collections.abc import Mapping

import dagster as dg

from redisu_pipeline.common.problems import ConfigurationError
from redisu_pipeline.common.secrets import is_live
from redisu_pipeline.common.settings import Settings, load
from redisu_pipeline.lake.storage import Storage, open_storage


class PipelineResource(dg.ConfigurableResource):
    """Names the configuration file; empty means `$REDISU_CONFIG`, else `redisu.toml`. Holds no secret."""

    config: str = ""

    def settings(self) -> Settings:
        """Read the configuration as it is now; ConfigurationError with every fault of it."""
        return load(self.config or None, self.environ())

    def environ(self) -> Mapping[str, str]:
        """Return the environment, where the secrets are; asked for when a run needs them."""
        return os.environ

    def storage(self) -> Storage:
        """Open the configured lake."""
        return open_storage(self.settings().lake.uri)

    def livemode(self, account: str) -> bool | None:
        """Tell whether the account's key reads live data; None when no key is set or its form says nothing."""
        try:
            return is_live(self.settings().account(account).api_key(self.environ()).reveal())
        except ConfigurationError:
            return None
