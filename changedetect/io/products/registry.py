"""Registry: the families of products, in the order they are asked, and how products are found among files."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from changedetect.io.products import dimap, items, landsat, maxar, planet, radar, sentinel2, skysat
from changedetect.io.products.family import Delivery, Family, is_image

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from changedetect.io.assemble import Draft
    from changedetect.io.sensors import Sensors

LOG = logging.getLogger(__name__)

FAMILIES: tuple[Family, ...] = (
    sentinel2.FAMILY,
    landsat.FAMILY,
    planet.FAMILY,
    skysat.FAMILY,
    maxar.DELIVERIES,
    maxar.OPEN_DATA,
    dimap.FAMILY,
    *radar.FAMILIES,
    items.FAMILY,
)
"""A maker's own metadata come before a catalogue's item that tells of the same files."""


def claim_products(files: Sequence[str], named: Collection[str], table: Sensors) -> tuple[list[Draft], list[str]]:
    """Return drafts of the products among files, and the files that belong to none.

    Parameters
    ----------
    files : sequence of str
        Images and metadata.
    named : collection of str
        Those a user named himself; metadata found without imagery is an error there, a warning elsewhere.
    table : Sensors

    Raises
    ------
    DataError
        A product's metadata is broken, or contradicts itself.
    NotYetError
        A product that is known and not read.
    """
    groups: dict[tuple[int, str], list[str]] = {}
    rest: list[str] = []
    for path in files:
        found = next(((i, key) for i, family in enumerate(FAMILIES) if (key := family.recognise(path))), None)
        if found:
            groups.setdefault(found, []).append(path)
        else:
            rest.append(path)
    drafts: list[Draft] = []
    used: set[str] = set()
    for (i, key), group in sorted(groups.items()):
        if FAMILIES[i] is items.FAMILY and items.local_assets(key) <= used:
            continue
        # An item is recognised by the files it has on this machine, wherever they lie.
        there = FAMILIES[i] is items.FAMILY or any(is_image(path) for path in group)
        if not there and not set(group) & set(named):
            LOG.warning("%s: metadata of a %s product without its imagery; passed over", key, FAMILIES[i].name)
            continue
        draft = FAMILIES[i].read(Delivery(key, tuple(group), table))
        used.update((*draft.files, *group))
        # An image somebody names, and the product's reader does not know, is the image that is meant.
        own = [path for path in group if path in named and is_image(path) and path not in draft.files]
        rest += own
        if set(own) != set(group):
            drafts.append(draft)
    drawn = {path for draft in drafts for path in draft.files}
    return drafts, [path for path in dict.fromkeys(rest) if path not in drawn]
