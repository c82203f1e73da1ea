"use strict";
// What is known of one change: chips before and after, its facts, its links and its review.
(() => {
  const { el, svg, data } = report;
  const lookOf = new Map(data.looks.map((look) => [look.id, look]));
  const own = data.changes.filter(({ chips: pair }) => pair && ["before", "after"].some((which) => pair[which] && pair[which].tiles.length)).length;
  let outlined = true;

  const path = (shapes) =>
    shapes.map((rings) => rings.map((ring) => `M${ring.map(([y, x]) => `${x} ${-y}`).join("L")}Z`).join("")).join("");

  const scaleBar = ([[south, west], [north, east]]) => {
    const width = east - west;
    const length = report.round(width / 3);
    const [x, y] = [west + width * 0.04, -south - (north - south) * 0.05];
    const thick = width * 0.012;
    return [
      svg("rect", { x: x - thick / 2, y: y - thick / 2, width: length + thick, height: thick * 2, fill: "#000" }),
      svg("rect", { x, y, width: length, height: thick, fill: "#fff" }),
      svg("text", { x, y: y - thick * 1.6, "font-size": width * 0.06, class: "chip-scale" }, report.metres(length)),
    ];
  };

  const overlap = ([[south, west], [north, east]], [[s, w], [n, e]]) => s < north && n > south && w < east && e > west;
  /** Return what a chip shows: its own pixels, or what the picture of its look has there. */
  const shown = (change, which) => {
    const found = change.chips[which];
    if (!found) return null;
    const look = lookOf.get(found.scene_id);
    const cut = !found.tiles.length;
    const tiles = cut ? look.tiles.filter(({ box }) => overlap(change.chips.box, box)) : found.tiles;
    const { px_m: px, bands, alike } = cut ? { ...look, alike: look.normalized } : found;
    return { look, cut, tiles, px, alike, bands: bands.join(), coarser: px > 1.01 * look.gsd_m };
  };

  const sensorOf = ({ sensor }) => {
    const told = sensor || "sensor not told";
    return !data.place.simulated ? told : told === "simulated" ? "SIMULATED" : `SIMULATED ${told}`;
  };

  /** Return one chip as a figure: pixels, outline, scale bar and caption. */
  const chip = (change, which) => {
    const { box } = change.chips;
    const found = shown(change, which);
    const [[south, west], [north, east]] = box;
    const frame = { viewBox: `${west} ${-north} ${east - west} ${north - south}`, role: "img" };
    const look = found && found.look;
    const label = `${which === "before" ? "Before" : "After"}${look ? `, ${report.minute(look.datetime)}` : ""}`;
    const images = (found ? found.tiles : []).map(({ image, box: [[s, w], [n, e]] }) =>
      svg("image", { href: report.image(image), x: w, y: -n, width: e - w, height: n - s, preserveAspectRatio: "none" }));
    const [width, height] = [east - west, north - south];
    const none = svg("text", { x: west + width / 2, y: -south - height / 2, "font-size": width * 0.07, "text-anchor": "middle", class: "chip-scale" }, look ? "picture left out" : "no clear look");
    const outline = svg("path", { d: path(change.shapes), class: "chip-outline" });
    outline.style.setProperty("--kind", data.classes[change.class].colour);
    const picture = svg("svg", { ...frame, "aria-label": `${change.label}: ${label}` }, svg("title", {}, label),
      images.length ? images : none, outline, scaleBar(box));
    const fine = look ? [
      [report.words(sensorOf(look)), `, ${look.gsd_m} m`],
      [found.coarser && images.length ? el("strong", { class: "caution" }, `Shown coarser: ${+found.px.toPrecision(3)} m per pixel`) : null],
      [`Sun: azimuth ${report.degrees(look.sun_azimuth_deg)}, elevation ${report.degrees(look.sun_elevation_deg)}`],
      [`View: ${report.degrees(look.off_nadir_deg)} off nadir, azimuth ${report.degrees(look.view_azimuth_deg)}`],
    ].filter(([first]) => first) : [];
    return el("figure", { class: "chip" }, picture, el("figcaption", {},
      el("strong", {}, which === "before" ? "Before " : "After "), look ? report.minute(look.datetime) : "no clear look",
      ...fine.map((words) => el("span", { class: "fine" }, ...words))));
  };

  /** Return in words where the pixels of a pair come from and whether they can be compared. */
  const about = (pair) => {
    if (!pair.some(({ tiles }) => tiles.length)) return "The page has no picture of this change: imagery was not written, or it found no room.";
    const [{ cut, bands }] = pair;
    const alike = pair.every((side) => side.alike && side.cut === cut && side.bands === bands);
    const origin = pair.some((side) => side.cut) ? `Cut from the pictures of the map: the page had room for chips of the ${own} surest of ${data.changes.length} changes alone. ` : "";
    const fine = pair.some(({ coarser }) => coarser) ? "" : "Pixels as large as the sensor's. ";
    const light = alike ? `Same stretch on both${cut ? "" : ` (${data.stretch})`}.` : "The dates differ in light, unit or bands: each has its own stretch.";
    return origin + fine + light;
  };

  const chips = (change) => {
    if (!change.chips) return el("p", { class: "fine" }, "No chips: imagery was not written.");
    const sides = ["before", "after"].map((which) => shown(change, which)).filter(Boolean);
    const pair = el("div", { class: outlined ? "chips" : "chips bare" }, chip(change, "before"), chip(change, "after"));
    const toggle = el("input", { type: "checkbox", on: { change: (event) => {
      outlined = event.target.checked;
      pair.classList.toggle("bare", !outlined);
    } } });
    toggle.checked = outlined;
    return el("div", {}, pair, el("p", { class: "fine" }, about(sides), " ", el("label", {}, toggle, " outline")));
  };

  const dates = (change) => [
    ["Absent until (last clear look without it)", report.minute(change.absent_until)],
    ["First seen", report.minute(change.first_seen)],
    ["Last seen", report.minute(change.last_seen)],
    ["Gone by (first clear look without it again)", report.minute(change.gone_by)],
  ];

  const facts = (change) => {
    const [lon, lat] = change.lonlat;
    const size = [
      change.area_m2 === null ? null : `${report.number(change.area_m2)} m²`,
      change.length_m === null ? null : `${report.number(change.length_m, 1)} m long`,
      change.width_m === null ? null : `${report.number(change.width_m, 1)} m wide`,
      change.orientation_deg === null ? null : `towards ${report.number(change.orientation_deg)}°`,
    ].filter(Boolean).join(", ");
    const rows = [
      ...dates(change),
      ["Seen", `on ${change.n_seen} of ${change.n_clear} clear looks since`],
      ["Count", change.count === null || change.count === 1 ? null : String(change.count)],
      ["Size", size],
      ["Strength", change.score === null ? null : `${report.number(change.score, 1)} sigma`],
      ["Where", el("span", {}, report.words(change.where), `; ${report.place(lon, lat)}`)],
      ["Flags", change.flags && change.flags.length ? el("span", {}, ...change.flags.map((flag) => el("span", { class: "flag" }, flag))) : null],
      ["Identifier", el("code", {}, change.id)],
    ].filter(([, value]) => value);
    return el("dl", { class: "facts" }, ...rows.map(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));
  };

  /** Return everything about one change as an element. */
  report.detail = (change) => {
    const [lon, lat] = change.lonlat;
    const colour = el("span", { class: "swatch", css: { "background-color": data.classes[change.class].colour } });
    return el("div", { class: "detail", "data-change": change.id },
      el("h3", {}, colour, ` ${change.label} ${change.status}`, el("span", { class: "sure" }, `confidence ${report.number(change.confidence, 2)}`)),
      chips(change),
      el("div", { class: "buttons" },
        el("button", { type: "button", class: "show-on-map", on: { click: () => report.moveTo(change, true) } }, "Show on the map"),
        el("button", { type: "button", on: { click: () => report.copy(report.linkTo(change), "Link copied") } }, "Copy link"),
        el("button", { type: "button", on: { click: () => report.copy(`${lat}, ${lon}`, "Coordinates copied") } }, "Copy coordinates")),
      report.reviewForm(change),
      facts(change));
  };
})();
