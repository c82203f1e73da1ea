"""Which detections of a series are one object."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from shapely import STRtree

from changedetect.core.aoi import STRUCTURES
from changedetect.series.link.observe import kept_limit, observe, sample_pattern

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shapely.geometry.base import BaseGeometry

    from changedetect.core.results import Look
    from changedetect.series.link.observe import Pattern
    from changedetect.series.link.params import LinkParams

State = Literal["present", "absent", "unclear"]

SINGLES = ("vessel", "aircraft")
"""Presences linked as individuals: size and orientation must agree."""


SAME_GSD = 1.25
"""Pixels up to this many times larger show an object as well."""


@dataclass(frozen=True, slots=True, eq=False)
class Item:
    """One detection, as linking sees it."""

    row: int
    """Position in the table of detections."""
    look: int
    """Position in the series of looks."""
    kind: str
    """Class."""
    gone: bool
    """Whether it reports a disappearance."""
    geometry: BaseGeometry
    gsd_m: float
    confidence: float
    length_m: float
    width_m: float
    orientation_deg: float
    area_m2: float

    @property
    def family(self) -> tuple[str, bool]:
        """Items of one family may be one object."""
        return ("structure" if self.kind in STRUCTURES else self.kind, self.gone)

    @property
    def sort_key(self) -> tuple[float, ...]:
        """An order that does not depend on the order of rows."""
        centre = self.geometry.centroid
        return (-self.confidence, centre.x, centre.y, self.area_m2)


@dataclass(slots=True, eq=False)
class Track:
    """Items taken to be one object, in time order."""

    items: list[Item]
    open: bool = True

    @property
    def first(self) -> Item:
        """The earliest item."""
        return self.items[0]

    @property
    def last(self) -> Item:
        """The latest item."""
        return self.items[-1]

    @property
    def best(self) -> Item:
        """The item whose geometry and measures stand for all.

        The finest pixels among the items with at least half of the highest confidence, then the highest confidence
        to a tenth, then the largest, then the earliest.
        """
        return min(self._sure, key=lambda item: (item.gsd_m, -round(item.confidence, 1), -item.area_m2, item.sort_key))

    @property
    def whole(self) -> Item:
        """The item that shows most of it, among those from pixels about as fine as the finest."""
        finest = min(item.gsd_m for item in self._sure)
        fit = [item for item in self._sure if item.gsd_m <= SAME_GSD * finest]
        return max(fit, key=lambda item: (item.area_m2, -item.look))

    @property
    def _sure(self) -> list[Item]:
        sure = max(item.confidence for item in self.items) / 2
        return [item for item in self.items if item.confidence >= sure]


def build_tracks(items: Sequence[Item], looks: Sequence[Look], params: LinkParams) -> list[Track]:
    """Return tracks that hold every item once; independent of the order of `items`."""
    tracks: list[Track] = []
    for index, look in enumerate(looks):
        now = sorted((item for item in items if item.look == index), key=lambda item: item.sort_key)
        for family in sorted({item.family for item in now}):
            mine = [item for item in now if item.family == family]
            running = [track for track in tracks if track.open and track.first.family == family]
            tracks += _extend(running, mine, looks, params)
        if look.used:
            _close_absent(tracks, index, looks, now, params)
    return _merge_pieces(tracks, params)


def same_object(item: Item, other: Item, params: LinkParams) -> float:
    """Return the overlap (0 to 1) of two items that may be one object, 0 if they may not."""
    if item.family != other.family:
        return 0.0
    common = item.geometry.intersection(other.geometry).area
    if common <= 0.0:
        return 0.0
    iou = float(common / (item.geometry.area + other.geometry.area - common))
    if item.kind in SINGLES:
        return iou if iou >= params.min_iou_single and _alike(item, other, params) else 0.0
    share = float(common / min(item.geometry.area, other.geometry.area))
    if iou >= params.min_iou:
        return iou
    return params.min_iou * share if share >= params.min_share and item.kind == other.kind else 0.0


def _alike(item: Item, other: Item, params: LinkParams) -> bool:
    def ratio(a: float, b: float) -> float:
        return min(a, b) / max(a, b) if max(a, b) > 0 else 1.0

    if ratio(item.length_m, other.length_m) < params.min_length_ratio:
        return False
    if ratio(item.width_m, other.width_m) < params.min_width_ratio:
        return False
    if min(item.length_m / max(item.width_m, 1e-9), other.length_m / max(other.width_m, 1e-9)) < 1.5:
        return True
    turn = abs(item.orientation_deg - other.orientation_deg) % 180.0
    return min(turn, 180.0 - turn) <= params.max_turn_deg


def _extend(running: list[Track], items: list[Item], looks: Sequence[Look], params: LinkParams) -> list[Track]:
    """Link `items` of one look to tracks one to one, best overlap first; return the new tracks."""
    pairs = _overlapping(running, items, looks, params)
    extended: dict[int, Item] = {}
    linked: set[int] = set()
    for _, t, i in pairs:
        if t not in extended and i not in linked:
            extended[t] = items[i]
            linked.add(i)
    for _, t, i in pairs:
        if i not in linked and _is_piece(items[i], running[t], params):
            running[t].items.append(items[i])
            linked.add(i)
    for t, item in extended.items():
        running[t].items.append(item)
    return [Track([item]) for i, item in enumerate(items) if i not in linked]


def _overlapping(
    running: list[Track], items: list[Item], looks: Sequence[Look], params: LinkParams
) -> list[tuple[float, int, int]]:
    """Return (-overlap, track, item) of those that may be one object, best first."""
    tree = STRtree([item.geometry for item in items])
    pairs = []
    for t, track in enumerate(running):
        near = {i for known in (track.last, track.best) for i in tree.query(known.geometry).tolist()}
        for i in sorted(near):
            overlap = max(same_object(items[i], known, params) for known in (track.last, track.best))
            if overlap > 0.0 and _soon_enough(track, items[i], looks, params):
                pairs.append((-overlap, t, i))
    return sorted(pairs)


def _soon_enough(track: Track, item: Item, looks: Sequence[Look], params: LinkParams) -> bool:
    """Return whether a presence was out of sight too briefly to be taken for another one."""
    return item.kind in STRUCTURES or in_touch(item.kind, track.last.look, item.look, looks, params)


def in_touch(kind: str, last: int, look: int, looks: Sequence[Look], params: LinkParams) -> bool:
    """Return whether a presence of the `last` look may be taken for the same one on another `look`."""
    gap_s = (looks[look].acquired - looks[last].acquired).total_seconds()
    if kind == "crowd":
        return gap_s <= params.max_crowd_hours * 3600.0
    if kind == "vessel":
        return gap_s <= params.max_call_days * 86400.0
    return look - last <= 1 or gap_s <= params.max_gap_days * 86400.0


def _is_piece(item: Item, track: Track, params: LinkParams) -> bool:
    """Return whether `item` is a part of an object that is known whole from pixels at least as fine."""
    whole = track.whole
    if item.kind in SINGLES or item.kind != whole.kind or whole.gsd_m > SAME_GSD * item.gsd_m:
        return False
    return bool(item.geometry.intersection(whole.geometry).area >= params.min_share * item.geometry.area)


def _close_absent(tracks: list[Track], index: int, looks: Sequence[Look], now: list[Item], params: LinkParams) -> None:
    """Close presences that this look clearly shows to be away: what comes later is another one."""
    for track in tracks:
        if track.open and track.last.kind not in STRUCTURES and track.last.look != index:
            pattern = sample_pattern(track.last.geometry, looks[track.last.look], params.max_points)
            if judge(track.last, pattern, looks[index], now, params) == "absent":
                track.open = False


def judge(item: Item, pattern: Pattern, look: Look, now: Sequence[Item], params: LinkParams) -> State:
    """Return whether a look without a detection of `item` shows it: `now` are the detections the look does have."""
    seen = observe(look, pattern)
    if seen.clear_share < params.min_clear:
        return "unclear"
    if item.kind not in STRUCTURES:
        rivals = [other for other in now if other.kind == item.kind and _in_place_of(other, item, params)]
        if rivals:  # one much like it may be it; one that differs, or people on another day, have taken its place
            alike = item.kind != "crowd" and any(same_object(item, other, params) > 0.0 for other in rivals)
            # of an aircraft in haze or beside a lorry only a part may be told: an empty stand alone shows that it left
            return "unclear" if alike or item.kind == "aircraft" else "absent"
    limit = kept_limit(pattern, params)
    lasting = item.kind in STRUCTURES or item.kind == "equipment"
    if seen.strength >= limit:
        return "present" if lasting else "unclear"
    # a grey aircraft on concrete shows little more than its shadow, which wanders: near the limit nothing is decided
    doubtful = lasting or item.kind == "aircraft"
    return "unclear" if doubtful and seen.strength >= limit / 2 else "absent"


def _in_place_of(other: Item, item: Item, params: LinkParams) -> bool:
    common = other.geometry.intersection(item.geometry).area
    part = item.kind == "aircraft" and common >= params.min_share * other.geometry.area
    return bool(part or common >= params.min_iou * item.geometry.area)


def _merge_pieces(tracks: list[Track], params: LinkParams) -> list[Track]:
    """Join structures first found in pieces and later whole; the whole decides if its pixels are as fine."""
    order = sorted(range(len(tracks)), key=lambda t: (-tracks[t].whole.area_m2, t))
    outlines = STRtree([track.whole.geometry for track in tracks])
    gone: set[int] = set()
    for whole in order:
        for piece in sorted(outlines.query(tracks[whole].whole.geometry).tolist()):
            if piece == whole or piece in gone or whole in gone:
                continue
            if _may_merge(tracks[whole], tracks[piece]) and _is_piece(tracks[piece].whole, tracks[whole], params):
                tracks[whole].items.extend(tracks[piece].items)
                tracks[whole].items.sort(key=lambda item: (item.look, item.sort_key))
                gone.add(piece)
    return [track for t, track in enumerate(tracks) if t not in gone]


def _may_merge(whole: Track, piece: Track) -> bool:
    same = whole.first.family == piece.first.family and piece.first.kind in STRUCTURES
    # On the look of the whole's own outline the piece must not stand beside it as an object of its own.
    return same and all(item.look != whole.whole.look for item in piece.items)
