"use strict";
// The changes that are shown, as GeoJSON or CSV, with the reviews made here.
(() => {
  const { data, el, byId } = report;
  const chosen = () => {
    const shown = new Map(report.listed().map((change) => [change.id, change]));
    return report.features().filter((feature) => shown.has(feature.properties.id)).map((feature) => {
      const reviews = report.reviews(shown.get(feature.properties.id));
      return reviews.length ? { ...feature, properties: { ...feature.properties, review: reviews } } : feature;
    });
  };
  /** Return the shown changes as a GeoJSON text. */
  report.asGeojson = () => JSON.stringify({ type: "FeatureCollection", simulated: data.place.simulated, features: chosen() });

  const cell = (value) => {
    let text = value === null || value === undefined ? "" : typeof value === "object" ? JSON.stringify(value) : String(value);
    // a spreadsheet must not take a name for a formula
    if (typeof value === "string" && /^[=+\-@\t\r]/.test(text)) text = `'${text}`;
    return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  /** Return the shown changes as a CSV text, with the coordinates of their middles. */
  report.asCsv = () => {
    const features = chosen();
    const names = [...new Set(features.flatMap((feature) => Object.keys(feature.properties)))].filter((name) => name !== "looks");
    const lines = features.map((feature) => {
      const [lon, lat] = report.change(feature.properties.id).lonlat;
      return [...names.map((name) => cell(feature.properties[name])), lon, lat].join(",");
    });
    return [[...names, "longitude", "latitude"].join(","), ...lines].join("\r\n") + "\r\n";
  };
  report.startExport = () => {
    byId("changes").append(el("div", { class: "exports" }, "The changes shown as ",
      el("button", { type: "button", id: "export-geojson", on: { click: () => report.download(`${data.place.name}-changes.geojson`, report.asGeojson(), "application/geo+json") } }, "GeoJSON"), " ",
      el("button", { type: "button", id: "export-csv", on: { click: () => report.download(`${data.place.name}-changes.csv`, report.asCsv(), "text/csv") } }, "CSV")));
  };
})();
