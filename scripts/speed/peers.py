"""What the product is compared with: reading alone, whole-array scikit-image, the GDAL tools, AROSICS and Orfeo."""

from __future__ import annotations

import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import geopandas as gpd
import numpy as np
import rasterio
from rasterio.features import shapes
from rasterio.windows import Window
from scipy.ndimage import shift as spline_shift
from shapely.geometry import shape
from skimage.filters import threshold_otsu
from skimage.measure import label
from skimage.morphology import disk, opening
from skimage.registration import phase_cross_correlation

LEAST_M2 = 6.0
_STEP_PX = 1024


def decode(paths: list[Path]) -> None:
    """Read both scenes whole, window by window, on two threads: what any method must do at the least."""

    def read(path: Path) -> None:
        with rasterio.open(path) as source:
            for row in range(0, source.height, _STEP_PX):
                for col in range(0, source.width, _STEP_PX):
                    source.read(window=Window(col, row, _STEP_PX, _STEP_PX), boundless=False)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(read, paths))


def naive(paths: list[Path], out: Path) -> Path:
    """Write changed polygons the plain way: phase correlation, z-scored difference, Otsu, opening, on whole arrays."""
    with rasterio.open(paths[0]) as source:
        a, transform, crs = source.read().astype(np.float32), source.transform, source.crs
    with rasterio.open(paths[1]) as source:
        b = source.read().astype(np.float32)
    step, _, _ = phase_cross_correlation(a.mean(axis=0), b.mean(axis=0), upsample_factor=20)
    b = np.stack([spline_shift(band, step, order=3, mode="nearest") for band in b])
    z = [(x - x.mean(axis=(1, 2), keepdims=True)) / x.std(axis=(1, 2), keepdims=True) for x in (a, b)]
    magnitude = np.sqrt(((z[1] - z[0]) ** 2).sum(axis=0))
    changed = opening(magnitude > threshold_otsu(magnitude), disk(2))
    labels = label(changed, connectivity=2).astype(np.int32)
    found = [shape(s) for s, v in shapes(labels, mask=labels > 0, connectivity=8, transform=transform) if v]
    gpd.GeoDataFrame(geometry=[p for p in found if p.area >= LEAST_M2], crs=crs).to_file(out, driver="GPKG")
    return out


def gdal_tools(paths: list[Path], out: Path) -> Path:
    """Write what gdal_calc, gdal_sieve and gdal_polygonize make of the two scenes; they register nothing."""
    folder = out.parent
    bands = range(1, 5)
    letters = [(chr(64 + k), chr(68 + k)) for k in bands]
    inputs = [word for k, pair in zip(bands, letters, strict=True) for letter, path in zip(pair, paths, strict=True)
              for word in (f"-{letter}", str(path), f"--{letter}_band={k}")]  # fmt: skip
    terms = "+".join(f"({b}.astype(float32)-{a})**2" for a, b in letters)
    magnitude, mask = folder / "gdal_magnitude.tif", folder / "gdal_mask.tif"
    _call(
        "gdal_calc.py",
        *inputs,
        f"--outfile={magnitude}",
        f"--calc=sqrt({terms})",
        "--type=Float32",
        "--quiet",
        "--overwrite",
    )
    with rasterio.open(magnitude) as source:
        sample = source.read(1, out_shape=(2000, 2000))
    limit = float(sample.mean() + 3 * sample.std())
    _call(
        "gdal_calc.py",
        "-A",
        str(magnitude),
        f"--outfile={mask}",
        f"--calc=A>{limit}",
        "--type=Byte",
        "--quiet",
        "--overwrite",
    )
    _call("gdal_sieve.py", "-q", "-8", "-st", "24", str(mask), str(mask))
    out.unlink(missing_ok=True)
    _call("gdal_polygonize.py", "-q", "-8", str(mask), "-f", "GPKG", str(out), "out", "DN")
    return out


def arosics(paths: list[Path]) -> None:
    """Register the second scene to the first by AROSICS, one shift for all: registration alone."""
    code = (
        "from arosics import COREG; import sys; c = COREG(sys.argv[1], sys.argv[2], max_shift=8, q=True, CPUs=2);"
        "c.calculate_spatial_shifts(); c.correct_shifts()"
    )
    subprocess.run([sys.executable, "-c", code, *map(str, paths)], check=True, capture_output=True)


def orfeo(paths: list[Path], out: Path) -> None:
    """Register by FineRegistration is left out, as it takes minutes; MAD and a threshold alone."""
    mad = out.with_name("orfeo_mad.tif")
    _call("otbcli_MultivariateAlterationDetector", "-in1", str(paths[0]), "-in2", str(paths[1]), "-out", str(mad))


def available() -> dict[str, bool]:
    """Return which peers are installed."""
    found = {"gdal": shutil.which("gdal_calc.py") is not None, "orfeo": shutil.which("otbcli") is not None}
    probe = subprocess.run([sys.executable, "-c", "import arosics"], check=False, capture_output=True)
    return found | {"arosics": probe.returncode == 0}


def _call(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True)
