"""``python -m redisu_pipeline.common.settings > docs/configuration.md``."""

import sys

from redisu_pipeline.common.settings.docs import page

sys.stdout.write(page())
