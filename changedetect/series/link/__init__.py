"""Link detections over dates into changes with date intervals."""

from changedetect.series.link.changes import link
from changedetect.series.link.params import LinkParams

__all__ = ["LinkParams", "link"]
