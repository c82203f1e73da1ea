"use strict";
// The head of the page, the result in words, and the order in which the parts begin.
(() => {
  const { data, el, state, byId } = report;
  const { place } = data;
  const THEMES = ["auto", "light", "dark"];
  const THEME_KEY = "changedetect-theme";

  const remember = (value) => {
    try {
      if (value) localStorage.setItem(THEME_KEY, value);
      return localStorage.getItem(THEME_KEY);
    } catch {
      return value || null;
    }
  };
  let theme = THEMES.includes(remember()) ? remember() : "auto";
  const button = el("button", { type: "button", class: "theme", on: { click: () => {
    theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
    remember(theme);
    dress();
  } } });
  const dress = () => {
    if (theme === "auto") document.documentElement.removeAttribute("data-theme");
    else document.documentElement.dataset.theme = theme;
    button.textContent = `Colours: ${theme}`;
  };

  const located = () => {
    const { source, accuracy_m: accuracy, verified } = place.location;
    const [width, height] = data.frame.size;
    const [lon, lat] = report.lonlat(width / 2, height / 2);
    return el("p", { class: "where" },
      el("strong", {}, "Location: "), report.words(source || "source not told"),
      `; accuracy ${accuracy === null || accuracy === undefined ? "not told" : report.metres(accuracy)}; `,
      el("span", { class: verified ? "" : "caution" }, verified ? "verified" : "not verified"), `. ${place.area_km2} km² around ${report.place(lon, lat, 4)}.`);
  };
  const looks = data.looks;
  byId("head").append(
    el("div", { class: "head-line" },
      el("h1", {}, report.words(place.title), place.simulated ? el("span", { class: "simulated" }, "SIMULATED") : null), button),
    el("p", { class: "fine" }, report.words(place.name), `: ${looks.length} looks, ${report.day(looks[0].datetime)} to ${report.day(looks[looks.length - 1].datetime)}`),
    located(),
    ...(place.simulated ? [el("p", { class: "notice" }, "The scenes are simulated: nothing on this page was seen at the real place.")] : []),
    ...(looks.some((look) => look.tiles.length) ? [] : [el("p", { class: "notice" }, "The output folder holds no imagery for this page: run again with write.report to have it.")]));
  byId("headline").append(
    el("div", { class: "said" }, el("h2", { id: "headline-title" }, "What was found"), el("ul", {}, ...data.found.map(({ text, zone }) => el("li", { class: zone ? "zone" : null }, zone ? el("strong", {}, report.words(zone), ": ") : null, report.sentence(text))))),
    el("div", { class: "said" }, el("h2", {}, "What could not be seen"), el("ul", {}, ...data.unseen.map((text) => el("li", {}, el("bdi", { dir: "auto" }, report.sentence(text)))))));
  byId("foot").append(el("p", { class: "fine" }, `Made by changedetect ${data.provenance.version || ""}. Map drawn with Leaflet ${L.version} (BSD 2-Clause, © Volodymyr Agafonkin, CloudMade). The page holds all it shows and loads nothing.`));

  dress();
  report.startFilters();
  report.followAddress();
  if (!state.selected) {
    const best = report.listed();
    const shown = best.find((change) => change.states[state.after] === "p") || best[0];
    if (shown) report.select(shown.id, { move: false });
  }
  report.startMap();
  report.startSwipe();
  report.startReview();
  report.startExport();
  for (const draw of [report.startTimeline, report.startCalendar, report.startTable, report.startQuality]) report.later(draw);
  report.begun = true;
  window.addEventListener("hashchange", report.followAddress);
  // what is drawn to a width is drawn again to that of the paper; the map shows what it showed of the place
  let view = null;
  const toPaper = (printing) => {
    const { map } = report;
    if (printing) view = { centre: map.getCenter(), zoom: map.getZoom(), bounds: map.getBounds() };
    document.documentElement.classList.toggle("printing", printing);
    report.showAllRows(printing);
    report.showAllBars(printing);
    map.invalidateSize({ animate: false });
    if (!printing) return map.setView(view.centre, view.zoom, { animate: false });
    const [width, height] = data.frame.size;
    const { bounds } = view;
    const seen = L.latLngBounds([Math.max(0, bounds.getSouth()), Math.max(0, bounds.getWest())], [Math.min(height, bounds.getNorth()), Math.min(width, bounds.getEast())]);
    return map.fitBounds(seen, { animate: false });
  };
  window.addEventListener("beforeprint", () => {
    report.drawAll();
    for (const details of document.querySelectorAll("#quality details, #provenance details:first-of-type")) details.open = true;
    toPaper(true);
  });
  window.addEventListener("afterprint", () => toPaper(false));
  document.documentElement.dataset.ready = String(Math.round(performance.now()));
  report.drawParts();
})();
