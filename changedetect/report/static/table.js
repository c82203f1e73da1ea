"use strict";
// The table of changes: sorted by any column; a row opens to what is known of its change.
(() => {
  const { data, el, state, byId } = report;
  const PAGE = 100;
  const order = { key: "confidence", down: true };
  let most = PAGE;
  let kept = PAGE;
  const open = new Set();

  const text = (value) => value ?? "";
  const dated = (time) => el("span", { class: "date" }, report.day(time) || "–");
  const columns = [
    ["label", "Object", (change) => el("span", {}, el("span", { class: "swatch", css: { "background-color": data.classes[change.class].colour } }), ` ${change.label}`), (change) => [change.class, Number(change.label.split(" ").pop())]],
    ["status", "Status", (change) => change.status],
    ["where", "Zone or part", (change) => report.words(change.where)],
    ["absent_until", "Absent until", (change) => dated(change.absent_until)],
    ["first_seen", "First seen", (change) => dated(change.first_seen)],
    ["last_seen", "Last seen", (change) => dated(change.last_seen)],
    ["gone_by", "Gone by", (change) => dated(change.gone_by)],
    ["count", "Count", (change) => change.count ?? "–", (change) => change.count ?? -1],
    ["area_m2", "m²", (change) => report.number(change.area_m2), (change) => change.area_m2 ?? -1],
    ["confidence", "Confidence", (change) => report.number(change.confidence, 2), (change) => change.confidence ?? -1],
    ["flags", "Flags", (change) => (change.flags || []).join(", ") || "–", (change) => (change.flags || []).length],
    ["review", "Review", (change) => report.verdict(change) || "–", (change) => text(report.verdict(change))],
  ];
  const numeric = new Set(["count", "area_m2", "confidence"]);
  const compare = (a, b) => {
    if (Array.isArray(a)) return compare(a[0], b[0]) || compare(a[1], b[1]);
    return typeof a === "number" ? a - b : a < b ? -1 : a > b ? 1 : 0;
  };
  const valueOf = (change) => {
    const column = columns.find(([key]) => key === order.key);
    return column[3] ? column[3](change) : text(change[order.key]);
  };
  /** Return the changes that are shown, in the order of the table. */
  report.listed = () => {
    const sign = order.down ? -1 : 1;
    return [...report.shownChanges()].sort((a, b) => sign * compare(valueOf(a), valueOf(b)) || compare(a.id, b.id));
  };

  const body = el("tbody");
  const more = el("button", { type: "button", class: "more", on: { click: () => { most += PAGE; draw(); } } });
  const headers = columns.map(([key, name]) => el("th", { scope: "col", "data-key": key, "data-name": name, class: numeric.has(key) ? "number" : null },
    el("button", { type: "button", class: "plain", on: { click: () => {
      order.down = order.key === key ? !order.down : numeric.has(key);
      order.key = key;
      draw();
    } } }, name)));

  const detailRow = (change) => el("tr", { class: "opened" }, el("td", { colspan: columns.length + 1 }, report.detail(change)));
  const row = (change) => {
    const toggle = el("button", { type: "button", class: "plain toggle", "aria-expanded": String(open.has(change.id)), "aria-label": `Chips and facts of ${change.label}`, on: { click: (event) => {
      event.stopPropagation();
      if (!open.delete(change.id)) open.add(change.id);
      draw();
      const again = body.querySelector(`tr[data-change="${CSS.escape(change.id)}"] .toggle`);
      if (again) again.focus();
    } } }, open.has(change.id) ? "▾" : "▸");
    return el("tr", { "data-change": change.id, class: change.id === state.selected ? "chosen" : null, on: { click: () => {
      open.add(change.id);
      report.select(change.id);
      draw();
    } } }, el("td", {}, toggle), ...columns.map(([key, name, show]) => el("td", { "data-name": name, class: numeric.has(key) ? "number" : `cell-${key}` }, show(change))));
  };
  const draw = () => {
    const listed = report.listed();
    body.replaceChildren(...listed.slice(0, most).flatMap((change) => (open.has(change.id) ? [row(change), detailRow(change)] : [row(change)])));
    if (!listed.length) body.append(el("tr", {}, el("td", { colspan: columns.length + 1, class: "fine" }, data.changes.length ? "No change passes these filters." : "Nothing was found.")));
    more.textContent = `Show more (${listed.length - most} left)`;
    more.hidden = listed.length <= most;
    for (const header of headers) header.setAttribute("aria-sort", header.dataset.key === order.key ? (order.down ? "descending" : "ascending") : "none");
  };
  /** Draw all rows, as on paper nothing can be clicked, or as many as were asked for. */
  report.showAllRows = (all) => {
    [most, kept] = all ? [Infinity, most] : [kept, kept];
    draw();
  };
  report.startTable = () => {
    byId("changes").append(el("div", { class: "scroll" }, el("table", { class: "table", id: "table" }, el("thead", {}, el("tr", {}, el("td"), ...headers)), body)), more);
    draw();
    report.on(["shown", "reviewed", "pictures"], draw);
    report.on(["selected"], () => {
      for (const node of body.querySelectorAll("tr[data-change]")) node.classList.toggle("chosen", node.dataset.change === state.selected);
    });
  };
})();
