"""Made catalogues for tests: Sentinel-2 like items with small COGs, as earth-search gives them, and a real STAC API."""

import json
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from pyproj import Transformer
from shapely.geometry import box, mapping

EPSG = 32652
X0, Y0, GSD_M = 600_000.0, 4_800_000.0, 10.0
SIDE = 640
CODES = {"blue": "B02", "green": "B03", "red": "B04", "nir": "B08"}
RUSTAC = shutil.which("rustac", path=str(Path(sys.executable).parent)) or shutil.which("rustac")

_TO_WGS = Transformer.from_crs(EPSG, 4326, always_xy=True)


def lonlat_box(col0, row0, col1, row1):
    """The outline of pixels of the made tile, WGS 84."""
    xs, ys = [X0 + GSD_M * col0, X0 + GSD_M * col1], [Y0 - GSD_M * row1, Y0 - GSD_M * row0]
    corners = [_TO_WGS.transform(x, y) for x in xs for y in ys]
    lon, lat = zip(*corners, strict=True)
    return box(min(lon), min(lat), max(lon), max(lat))


AREA = lonlat_box(260, 260, 380, 380)
"""1.2 km in the middle of the tile."""


def ground(seed=5, side=SIDE):
    """Textured ground, DN 300 to 3000."""
    rng = np.random.default_rng(seed)
    fine = rng.normal(size=(side, side))
    coarse = np.kron(rng.normal(size=(side // 8, side // 8)), np.ones((8, 8)))
    return np.clip(1400 + 420 * coarse + 60 * fine, 300, 4000)


def write_cog(path, data, transform=None, nodata=0, crs=EPSG):
    """Write a tiled GeoTIFF, as a COG lays it out."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = np.asarray(data)
    data = data if data.ndim == 3 else data[None]
    transform = transform or Affine(GSD_M, 0, X0, 0, -GSD_M, Y0)
    with rasterio.open(
        path, "w", driver="GTiff", count=data.shape[0], height=data.shape[1], width=data.shape[2], dtype=data.dtype,
        crs=crs, transform=transform, tiled=True, blockxsize=128, blockysize=128, compress="deflate", nodata=nodata,
    ) as out:  # fmt: skip
        out.write(data)
    return path


def add_item(root, name, when, *, cloud=1.0, change=None, cols=(0, SIDE), scl=None, **properties):
    """Write one item's COGs below `root`; return the item with addresses relative to `root`."""
    base = ground()[:, slice(*cols)] + np.random.default_rng(sum(map(ord, when))).normal(
        0, 12, (SIDE, cols[1] - cols[0])
    )
    if change is not None:
        base[change] = 3900
    transform = Affine(GSD_M, 0, X0 + GSD_M * cols[0], 0, -GSD_M, Y0)
    assets = {}
    for i, (band, code) in enumerate(CODES.items()):
        write_cog(root / name / f"{code}.tif", (base * (0.6 + 0.2 * i)).astype(np.uint16), transform)
        assets[band] = {
            "href": f"{name}/{code}.tif", "type": "image/tiff; application=geotiff; profile=cloud-optimized",
            "eo:bands": [{"name": band, "common_name": band}], "roles": ["data", "reflectance"],
            "raster:bands": [{"nodata": 0, "scale": 0.0001, "offset": -0.1}],
        }  # fmt: skip
    classes = np.full((SIDE // 2, (cols[1] - cols[0]) // 2), 4, np.uint8) if scl is None else scl
    write_cog(root / name / "SCL.tif", classes, Affine(2 * GSD_M, 0, transform.c, 0, -2 * GSD_M, transform.f))
    assets["scl"] = {"href": f"{name}/SCL.tif", "type": "image/tiff; application=geotiff", "roles": ["data"]}
    outline = lonlat_box(cols[0], 0, cols[1], SIDE)
    return {
        "type": "Feature", "stac_version": "1.0.0", "stac_extensions": [], "id": name, "collection": "sentinel-2-l2a",
        "geometry": mapping(outline), "bbox": list(outline.bounds), "links": [],
        "properties": {
            "datetime": when, "platform": "sentinel-2b", "gsd": 10, "eo:cloud_cover": cloud, "updated": when,
            "s2:processing_baseline": "05.09", "earthsearch:boa_offset_applied": True, "grid:code": "MGRS-52TFP",
            "view:sun_azimuth": 160.0, "view:sun_elevation": 45.0, "s2:generation_time": when, **properties,
        },
        "assets": assets,
    }  # fmt: skip


def at(items, url):
    """Items with the addresses of their assets below a server."""
    out = json.loads(json.dumps(items))
    for item in out:
        for asset in item["assets"].values():
            if "://" not in asset["href"]:
                asset["href"] = f"{url}/{asset['href']}"
    return out


def collection(items):
    return {"type": "FeatureCollection", "features": items}


@contextmanager
def api(folder, items):
    """Yield the address of a real STAC API (rustac's) that serves items."""
    path = Path(folder) / "served.json"
    path.write_text(json.dumps(collection(items)))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"127.0.0.1:{port}"
    server = subprocess.Popen(
        [RUSTAC, "serve", "-a", address, "--create-collections", str(path)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        for _ in range(200):
            try:
                urllib.request.urlopen(f"http://{address}/", timeout=1).close()
                break
            except OSError:
                time.sleep(0.05)
        yield f"http://{address}/", server
    finally:
        server.kill()
        server.wait(5)
