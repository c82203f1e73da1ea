"use strict";
// How good it is: each scene, the false alarms to expect, and what the results were made of.
(() => {
  const { data, el, byId } = report;
  const flat = (value, path = "") =>
    value !== null && typeof value === "object" && !Array.isArray(value)
      ? Object.entries(value).flatMap(([key, item]) => flat(item, path ? `${path}.${key}` : key))
      : [[path, value]];
  const table = (names, rows, cls) => el("div", { class: "scroll" }, el("table", { class: `table ${cls || ""}` },
    el("thead", {}, el("tr", {}, ...names.map((name) => el("th", { scope: "col" }, name)))),
    el("tbody", {}, ...rows.map((cells) => el("tr", {}, ...cells.map((cell, k) => el("td", { "data-name": names[k] }, cell)))))));

  const metres = (value) => (value === null || value === undefined ? "–" : value.toFixed(2));
  const gains = (look) => {
    const fit = look.normalization;
    if (!fit) return "–";
    if (fit.reason) return `none: ${fit.reason}`;
    return fit.bands.map((band, k) => `${band} ×${fit.gain[k].toFixed(2)}`).join(", ");
  };
  const scenes = () => table(
    ["Date (UTC)", "Sensor", "m/px", "Clear", "Sun", "Off nadir", "Registration", "East m", "North m", "CE90 m", "Ties", "Normalisation", "False alarms /km²", "Used"],
    data.looks.map((look) => {
      const { status, dx_m: east, dy_m: north, ce90_m: circle, n_tie_points: ties } = look.registration;
      return [
        el("span", { title: look.id }, report.minute(look.datetime).replace(" UTC", "")), report.words(look.sensor || "–"), String(look.gsd_m),
        `${Math.round(look.clear_fraction * 100)} %`, report.degrees(look.sun_elevation_deg), report.degrees(look.off_nadir_deg),
        status, status === "ok" ? metres(east) : "–", status === "ok" ? metres(north) : "–", metres(circle), String(ties), gains(look),
        look.false_alarms_per_km2 === null ? "–" : look.false_alarms_per_km2.toFixed(2),
        look.used ? (look.baseline ? "baseline" : "yes") : el("span", { class: "not-used" }, "no: ", report.words(look.reason || "")),
      ];
    }), "scenes");

  const alarms = () => {
    const { looks, told, expected } = data.alarms;
    if (!told) return "The expected number of false alarms could not be told: too little ground to measure it on.";
    return `The background of the ${told} of ${looks} compared looks on which it can be told is expected to put ${expected < 10 ? expected.toFixed(1) : Math.round(expected)} objects in all, ${(expected / told / data.place.area_km2).toFixed(2)} per look and km², above the threshold by chance. `
      + "That is before classes, explained shadows and persistence over looks are asked for, which only lower it.";
  };

  /** Return what opens at a click; what is in it is drawn later. */
  const folded = (open, title, draw) => {
    const node = el("details", { open }, el("summary", {}, title));
    report.later(() => node.append(draw()));
    return node;
  };
  const words = (value) => (value === null || value === undefined ? "–" : typeof value === "object" ? JSON.stringify(value) : String(value));
  report.startQuality = () => {
    const used = data.looks.filter((look) => look.used).length;
    byId("quality").append(
      el("h2", { id: "quality-title" }, "Quality"),
      el("p", {}, `${used} of ${data.looks.length} scenes used. `, alarms()),
      folded(data.looks.length <= 16, `Scenes (${data.looks.length})`, scenes));
    const settings = flat(data.settings);
    const named = ([key, value]) => [el("code", {}, key), report.words(words(value))];
    const inputs = () => data.inputs.map((input) => [report.words(input.path), el("code", { class: "hash" }, input.sha256 || "–")]);
    const made = () => [...flat(data.provenance), ...flat({ libraries: data.libraries, seconds: data.timings_s }), ["changes (sha256)", data.digest]].map(named);
    byId("provenance").append(
      el("h2", { id: "provenance-title" }, "How it was made"),
      folded(false, "Program, versions, seeds, times", () => table(["What", "Value"], made())),
      folded(false, `Settings in full (${settings.length})`, () => table(["Setting", "Value"], settings.map(named))),
      folded(false, `Inputs and their hashes (${data.inputs.length})`, () => table(["File", "SHA-256"], inputs())));
  };
})();
