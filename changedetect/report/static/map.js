"use strict";
// The map: two dates in panes of their own, what they do not show hatched, changes outlined and named.
(() => {
  const { data, el, state, byId } = report;
  const { looks, frame } = data;
  const [width, height] = frame.size;
  const MOST_SVG = 1200; // outlines beyond which a canvas is drawn instead of an element each
  const MOST_TABBED = 300; // of so many, those that have an element each and can be reached with Tab: the surest
  const MOST_NAMED = 200; // labels; more would cover each other anyway

  byId("place").append(
    el("h2", { id: "place-title" }, "Map"),
    el("div", { class: "bench" },
      el("div", { class: "stage" }, el("a", { class: "skip here", href: "#swipe" }, "Skip the outlines on the map"), el("div", { id: "map", "aria-label": "Map of the place, before and after" })),
      el("aside", { id: "chosen", "aria-label": "The chosen change" })));

  const map = L.map("map", {
    crs: L.CRS.Simple, minZoom: -8, maxZoom: 6, zoomSnap: 0.25, zoomDelta: 0.5, attributionControl: false,
    maxBounds: [[-height, -width], [2 * height, 2 * width]], fadeAnimation: false,
  });
  report.map = map;
  const whole = L.latLngBounds([0, 0], [height, width]);
  for (const [name, order] of [["before", 210], ["before-hatch", 215], ["after", 220], ["after-hatch", 225], ["places", 410], ["casings", 420], ["outlines", 430], ["surest", 435]]) {
    map.createPane(name).style.zIndex = order;
  }
  map.fitBounds(whole, { animate: false });
  L.control.scale({ imperial: false, maxWidth: 140 }).addTo(map);

  // The two dates.
  const sides = { before: L.layerGroup().addTo(map), after: L.layerGroup().addTo(map) };
  const hatches = { before: L.svg({ pane: "before-hatch", padding: 0.4 }), after: L.svg({ pane: "after-hatch", padding: 0.4 }) };
  const KINDS = { cloud: "Cloud, shadow or haze", nodata: "Outside the image", unused: "Not used" };
  const draw = (side) => {
    const look = looks[state[side]];
    const group = sides[side];
    group.clearLayers();
    for (const { image, box } of look.tiles) {
      const address = report.image(image);
      if (address) L.imageOverlay(address, box, { pane: side, className: "tile", alt: "" }).addTo(group);
    }
    if (!byId("show-hidden").checked) return;
    for (const { kind, shapes } of look.hidden) {
      for (const rings of shapes) {
        L.polygon(rings, { pane: `${side}-hatch`, renderer: hatches[side], stroke: false, fill: true, fillOpacity: 1, className: `hatch-${kind}`, interactive: false }).addTo(group);
      }
    }
  };

  /** Return a name that stands on an edge of a shape: a marker, as a tooltip is measured each time it is set. */
  const nameOf = (layer, text, className, edge = "getNorth") => {
    const box = layer.getBounds();
    const icon = L.divIcon({ className: `name ${className}`, iconSize: null, html: el("span", {}, text) });
    return L.marker([box[edge](), box.getCenter().lng], { icon, pane: "tooltipPane", interactive: false, keyboard: false });
  };

  // Zones and the place's outline.
  const casing = L.layerGroup().addTo(map);
  const zoneNames = [];
  const drawPlaces = () => {
    casing.clearLayers();
    zoneNames.length = 0;
    if (!byId("show-zones").checked) return;
    const line = { pane: "places", fill: false, interactive: false };
    for (const rings of data.place.outline) L.polygon(rings, { ...line, color: "#fff", weight: 1.5, dashArray: "8 6", opacity: 0.9 }).addTo(casing);
    for (const { name, shapes } of data.zones) {
      for (const rings of shapes) {
        L.polygon(rings, { ...line, color: "#000", weight: 3.5, opacity: 0.5 }).addTo(casing);
        const zone = L.polygon(rings, { ...line, color: "#fff", weight: 1.5 }).addTo(casing);
        zoneNames.push(nameOf(zone, report.words(name), "zone-name", "getSouth").addTo(casing));
      }
    }
  };

  // Changes.
  const many = data.changes.length > MOST_SVG;
  const under = many ? L.canvas({ pane: "casings" }) : L.svg({ pane: "casings", padding: 0.4 });
  const rest = L.canvas({ pane: "outlines" });
  const surest = L.svg({ pane: "surest", padding: 0.4 });
  const outlines = L.layerGroup().addTo(map);
  const labels = [];
  const shapesOn = (change) => looks[state.after].shapes[change.id] || change.shapes;
  const styleOf = (change) => {
    const now = change.states[state.after];
    const selected = change.id === state.selected;
    const shown = selected || now === "p" || now === "u" || !data.classes[change.class].coming || byId("show-others").checked;
    if (!shown) return null;
    const weight = selected ? 4 : now === "p" ? 2.5 : 1.2;
    return { color: data.classes[change.class].colour, weight, opacity: now === "p" || selected ? 1 : 0.75, dashArray: now === "p" ? null : "4 4" };
  };
  const select = (change) => report.select(change.id, { move: false });
  /** Let an outline be reached with Tab and chosen with Enter; one out of sight is brought into it. */
  const makeButton = (change, layer) => {
    const node = layer.getElement();
    node.dataset.change = change.id;
    const sure = change.confidence === null ? "" : `, confidence ${report.number(change.confidence, 2)}`;
    const told = { tabindex: 0, role: "button", "aria-pressed": String(change.id === state.selected), "aria-label": `${change.label} ${change.status}, ${change.where}${sure}` };
    for (const [name, value] of Object.entries(told)) node.setAttribute(name, value);
    node.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      select(change);
    });
    node.addEventListener("focus", () => {
      Object.assign(map.getContainer(), { scrollLeft: 0, scrollTop: 0 }); // a browser scrolls what is cut off to what has the focus
      if (node.matches(":focus-visible") && !map.getBounds().contains(layer.getBounds())) map.panTo(layer.getBounds().getCenter(), { animate: false });
    });
  };
  const drawChanges = () => {
    const focused = map.getContainer().contains(document.activeElement) && document.activeElement.dataset.change;
    outlines.clearLayers();
    labels.length = 0;
    report.shownChanges().sort((a, b) => (b.confidence || 0) - (a.confidence || 0)).forEach((change, k) => {
      const style = change.shapes.length ? styleOf(change) : null;
      if (!style) return;
      const shapes = shapesOn(change);
      L.polygon(shapes, { pane: "casings", renderer: under, fill: false, color: "#000", weight: style.weight + 2.5, opacity: 0.55, interactive: false }).addTo(outlines);
      const tabbed = !many || k < MOST_TABBED || change.id === state.selected;
      const layer = L.polygon(shapes, { pane: tabbed ? "surest" : "outlines", renderer: tabbed ? surest : rest, ...style, fill: true, fillOpacity: 0.01, className: "outline" }).addTo(outlines);
      if (tabbed) makeButton(change, layer);
      layer.on("click", () => select(change));
      const named = change.states[state.after] === "p" || change.id === state.selected;
      if (named && byId("show-labels").checked && (labels.length < MOST_NAMED || change.id === state.selected)) label(change, layer);
    });
    const again = focused && map.getPane("surest").querySelector(`[data-change="${CSS.escape(focused)}"]`);
    if (again) again.focus({ preventScroll: true });
    declutter();
  };
  const label = (change, layer) => {
    const name = nameOf(layer, change.label, change.id === state.selected ? "change-name chosen" : "change-name");
    labels.push({ name: name.addTo(outlines), change });
  };
  /** Hide labels that would cover one of a change that matters more. */
  const declutter = () => {
    const rank = ({ change }) => (!change ? 1.5 : change.id === state.selected ? 2 : change.confidence || 0);
    const ranked = [...labels, ...zoneNames.map((name) => ({ name }))].sort((a, b) => rank(b) - rank(a)).map(({ name }) => name.getElement().firstChild);
    const boxes = ranked.map((node) => node.getBoundingClientRect()); // all measured before any is changed
    const kept = [];
    ranked.forEach((node, k) => {
      const box = boxes[k];
      const covered = kept.some((other) => box.left < other.right && box.right > other.left && box.top < other.bottom && box.bottom > other.top);
      node.classList.toggle("covered", covered);
      if (!covered) kept.push(box);
    });
  };
  map.on("zoomend moveend", declutter);

  // North, and where the cursor is.
  const North = L.Control.extend({ onAdd: () => {
    const arrow = report.svg("svg", { viewBox: "-12 -16 24 40", width: 26, height: 42 },
      report.svg("title", {}, `True north; the grid's north is up (${Math.abs(frame.north_deg).toFixed(1)}° apart)`),
      report.svg("path", { d: "M0 -14L7 8L0 3L-7 8Z", class: "north" }), report.svg("text", { x: 0, y: 21, "text-anchor": "middle" }, "N"));
    return el("div", { class: "north-arrow", css: { transform: `rotate(${frame.north_deg}deg)` } }, arrow);
  } });
  new North({ position: "topright" }).addTo(map);
  const position = el("output", { class: "position", "aria-label": "Coordinates under the cursor" });
  const Position = L.Control.extend({ onAdd: () => position });
  new Position({ position: "bottomright" }).addTo(map);
  const told = ({ lat, lng }) => {
    const [lon, north] = report.lonlat(lng, lat);
    position.textContent = report.place(lon, north);
  };
  map.on("mousemove", (event) => told(event.latlng));
  map.on("move", () => told(map.getCenter()));
  told(map.getCenter());

  // Layers that can be left out.
  const boxes = [
    ["show-labels", "Labels", true, drawChanges],
    ["show-zones", "Zones", true, () => { drawPlaces(); declutter(); }],
    ["show-hidden", "Hatch cloud", true, () => { draw("before"); draw("after"); }],
    ["show-others", "Other dates", false, drawChanges],
  ].map(([id, text, on, act]) => {
    const box = el("input", { type: "checkbox", id, on: { change: act } });
    box.checked = on;
    return el("label", {}, box, ` ${text}`);
  });
  const legend = Object.entries(data.classes).filter(([name]) => data.changes.some((change) => change.class === name)).map(([name, { colour }]) =>
    el("span", { class: "key" }, el("span", { class: "swatch", css: { "background-color": colour } }), ` ${name}`));
  const hatched = ["cloud", "nodata", "unused"].map((kind) =>
    el("span", { class: "key" }, report.svg("svg", { width: 18, height: 14 }, report.svg("rect", { width: 18, height: 14, fill: `url(#hatch-${kind})` })), ` ${KINDS[kind]}`));
  byId("place").querySelector(".stage").append(
    el("div", { class: "layers" }, el("button", { type: "button", on: { click: () => map.fitBounds(whole) } }, "Whole place"), ...boxes),
    el("div", { class: "legend" }, ...legend, el("span", { class: "key thin" }, "dashed: not present on the date after"), ...hatched),
    el("p", { class: "fine" }, "Looks are shown in the light of the baseline (gain and offset of each scene, see Quality) with one stretch; one of “own stretch” is not. Measurements are made on the pixels themselves."));

  /** Bring a change into view. */
  report.moveTo = (change, look) => {
    if (!change.shapes.length) return;
    const box = L.polygon(shapesOn(change)).getBounds();
    map.fitBounds(box.pad(1.5), { maxZoom: 2.5, animate: false });
    if (look) byId("map").scrollIntoView({ block: "nearest" });
  };
  report.moveToZone = (name) => {
    const zone = data.zones.find((item) => item.name === name);
    map.fitBounds(zone ? L.polygon(zone.shapes).getBounds().pad(0.15) : whole, { animate: false });
  };

  report.on(["before", "pictures"], () => draw("before"));
  report.on(["after", "pictures"], () => draw("after"));
  report.on(["after", "selected", "shown"], drawChanges);
  const tell = () => {
    const change = report.change(state.selected);
    byId("chosen").replaceChildren(change ? report.detail(change) : report.hint());
  };
  report.on(["selected", "pictures"], tell);
  report.hint = () => el("p", { class: "fine" }, data.changes.length ? "Choose a change on the map (Tab and Enter, too), the timeline or the table; j and k step through them." : "Nothing was found.");
  report.startMap = () => {
    draw("before");
    draw("after");
    drawPlaces();
    drawChanges();
    tell();
  };
})();
