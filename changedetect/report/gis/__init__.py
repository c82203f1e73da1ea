"""What a GIS opens without further work: a QGIS project with styles and time, Google Earth's KMZ, a STAC Item."""

from changedetect.report.gis.kml import write_kmz
from changedetect.report.gis.project import write_project
from changedetect.report.gis.sidecars import write_sidecars
from changedetect.report.gis.stac import write_stac_item

__all__ = ["write_kmz", "write_project", "write_sidecars", "write_stac_item"]
