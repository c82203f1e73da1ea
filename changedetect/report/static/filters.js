"use strict";
// Which changes are shown: by class, status, zone, confidence, date, review and words; map, timeline, table and export obey.
(() => {
  const { data, el, byId } = report;
  const { changes } = data;
  const classes = Object.keys(data.classes).filter((name) => changes.some((change) => change.class === name));
  const statuses = ["appeared", "modified", "disappeared"].filter((name) => changes.some((change) => change.status === name));
  const zones = [...new Set(changes.map((change) => change.zone || ""))].sort();

  const act = () => report.filter();
  const box = (name, group) => {
    const input = el("input", { type: "checkbox", name: group, value: name, on: { change: act } });
    input.checked = true;
    const swatch = group === "class" ? el("span", { class: "swatch", css: { "background-color": data.classes[name].colour } }) : null;
    return el("label", { class: "choice" }, input, " ", swatch, ` ${name}`);
  };
  const option = (value, text) => {
    const item = el("option", { value }, text);
    item.dir = "auto";
    return item;
  };
  const confidence = el("input", { type: "range", id: "filter-confidence", min: 0, max: 100, value: 0, on: { input: act } });
  const least = el("output", {}, "0.00");
  const zone = el("select", { id: "filter-zone", on: { change: act } }, option("*", "all zones"), ...zones.map((name) => option(name, name || "outside zones")));
  const review = el("select", { id: "filter-review", on: { change: act } },
    ...[["*", "all"], ["none", "not reviewed"], ["accept", "accepted"], ["reject", "rejected"], ["unsure", "unsure"]].map(([value, text]) => option(value, text)));
  const from = el("input", { type: "date", id: "filter-from", on: { change: act } });
  const to = el("input", { type: "date", id: "filter-to", on: { change: act } });
  const search = el("input", { type: "search", id: "filter-words", placeholder: "identifier, flag, zone", on: { input: act } });
  const count = el("output", { class: "shown-count", "aria-live": "polite" });

  const chosen = (group) => new Set([...document.querySelectorAll(`input[name="${group}"]:checked`)].map((input) => input.value));
  const within = (change) => {
    const end = report.day(change.gone_by || change.last_seen || change.first_seen) || "9999";
    const start = report.day(change.first_seen || change.absent_until) || "0000";
    return (!from.value || end >= from.value) && (!to.value || start <= to.value);
  };
  const says = (change, text) => !text || [change.id, change.label, change.zone, change.where, ...(change.flags || [])].some((item) => (item || "").toLowerCase().includes(text));

  /** Apply what is set. */
  report.filter = () => {
    const [kinds, states] = [chosen("class"), chosen("status")];
    const text = search.value.trim().toLowerCase();
    least.textContent = (confidence.value / 100).toFixed(2);
    const shown = changes.filter((change) =>
      kinds.has(change.class) && states.has(change.status) && (zone.value === "*" || (change.zone || "") === zone.value)
      && (change.confidence === null ? confidence.value === "0" : change.confidence >= confidence.value / 100 - 1e-9) && within(change) && says(change, text)
      && (review.value === "*" || (report.verdict(change) || "none") === review.value));
    count.textContent = `${shown.length} of ${changes.length} shown`;
    report.set({ shown: new Set(shown.map((change) => change.id)) });
  };
  const reset = () => {
    for (const input of document.querySelectorAll(".filters input[type=checkbox]")) input.checked = true;
    confidence.value = 0;
    for (const select of [zone, review]) select.value = "*";
    for (const input of [from, to, search]) input.value = "";
    report.filter();
  };
  const field = (label, input, ...more) => el("div", { class: "field" }, el("label", { for: input.id }, label), input, ...more);

  byId("changes").append(
    el("h2", { id: "changes-title" }, "Changes"),
    el("form", { class: "filters", "aria-label": "Filters", on: { submit: (event) => event.preventDefault() } },
      el("fieldset", {}, el("legend", {}, "Class"), ...classes.map((name) => box(name, "class"))),
      el("fieldset", {}, el("legend", {}, "Status"), ...statuses.map((name) => box(name, "status"))),
      field("Confidence at least", confidence, least), field("Zone", zone), field("Present from", from), field("to", to), field("Review", review), field("Words", search),
      el("div", { class: "field" }, el("button", { type: "button", on: { click: reset } }, "Reset"), count)));
  report.startFilters = () => report.filter();
})();
