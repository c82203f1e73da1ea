"use strict";
// A calendar per zone and class that comes and goes: how many on each day, and on which days nothing is known.
(() => {
  const { data, el, svg, state, byId } = report;
  const { looks } = data;
  const DAY = 86400000;
  const CELL = 17;
  const FEWEST_LOOKS = 6;
  const RANK = { clear: 2, partial: 1, obscured: 0 };
  const WEEKDAYS = ["Mo", "", "We", "", "Fr", "", "Su"];

  /** Return the best look of each day: [count, status, look]. */
  const byDay = (rows) => {
    const days = new Map();
    for (const [index, count, status] of rows) {
      const day = report.day(looks[index].datetime);
      const known = days.get(day);
      if (!known || RANK[status] > RANK[known.status] || (status === known.status && (count || 0) > (known.count || 0))) days.set(day, { count, status, index });
    }
    return days;
  };
  const level = (count, most) => Math.min(4, Math.max(1, Math.ceil((count / most) * 4)));

  const cell = (day, found, most, at, zone) => {
    const [x, y] = at;
    const box = { x: x + 1, y: y + 1, width: CELL - 2, height: CELL - 2, rx: 2 };
    if (!found) return svg("circle", { cx: x + CELL / 2, cy: y + CELL / 2, r: 1, class: "no-look" });
    const said = found.count === null ? "not seen: unknown" : `${found.count} (${found.status})`;
    const parts = [svg("title", {}, `${day}: ${said}`)];
    if (found.count === null) parts.push(svg("rect", { ...box, class: "day hidden" }), svg("rect", { ...box, fill: "url(#hatch-part)", class: "hatched" }));
    else {
      parts.push(svg("rect", { ...box, class: `day ${found.status} level-${found.count ? level(found.count, most) : 0}` }));
      if (found.count) parts.push(svg("text", { x: x + CELL / 2, y: y + CELL / 2 + 3.5, class: `day-count level-${level(found.count, most)}` }, String(found.count)));
    }
    return svg("g", { class: "day-cell", "data-look": found.index, on: { click: () => {
      report.set({ after: found.index });
      report.moveToZone(zone);
    } } }, ...parts);
  };

  const step = (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!by) return;
    report.step("after", by);
    event.preventDefault();
  };
  const mark = () => {
    const day = report.day(looks[state.after].datetime);
    for (const node of document.querySelectorAll(".day-cell")) node.classList.toggle("now", report.day(looks[node.dataset.look].datetime) === day);
  };

  const calendar = ({ zone, class: kind, rows }) => {
    const days = byDay(rows);
    const known = [...days.keys()].sort();
    const start = Date.parse(known[0]);
    const monday = start - ((new Date(start).getUTCDay() + 6) % 7) * DAY;
    const end = Date.parse(known[known.length - 1]);
    const weeks = Math.floor((end - monday) / (7 * DAY)) + 1;
    const most = Math.max(1, ...[...days.values()].map(({ count }) => count || 0));
    const [left, top] = [24, 16];
    const parts = WEEKDAYS.map((name, k) => svg("text", { x: 0, y: top + k * CELL + 12, class: "axis-text" }, name));
    let namedAt = -9;
    for (let week = 0; week < weeks; week += 1) {
      for (let weekday = 0; weekday < 7; weekday += 1) {
        const time = monday + (week * 7 + weekday) * DAY;
        if (time < start || time > end) continue;
        const day = new Date(time).toISOString().slice(0, 10);
        parts.push(cell(day, days.get(day), most, [left + week * CELL, top + weekday * CELL], zone));
        if (week - namedAt >= 4 && (week === 0 || Number(day.slice(8)) <= 7) && week < weeks - 2) {
          namedAt = week;
          parts.push(svg("text", { x: left + week * CELL, y: 10, class: "axis-text" }, day.slice(0, 7)));
        }
      }
    }
    const present = [...days.values()].filter(({ count }) => count).length;
    const seen = [...days.values()].filter(({ count }) => count !== null).length;
    const said = `present on ${present} of ${seen} days on which it was seen, wholly or in part; ${days.size - seen} more days with a look did not show it`;
    return el("figure", { class: "calendar" },
      el("figcaption", {}, el("strong", {}, report.words(zone)), ` ${kind}: ${said}`),
      el("div", { class: "scroll", tabindex: 0, role: "group", "aria-label": `${zone} ${kind}; left and right arrow step through the looks`, on: { keydown: step } }, svg("svg", { width: left + weeks * CELL + 2, height: top + 7 * CELL + 2, role: "img", "aria-label": said }, ...parts)));
  };

  const shown = data.activity.filter(({ class: kind, rows }) => data.classes[kind].coming && rows.length >= FEWEST_LOOKS && rows.some(([, count]) => count));
  report.startCalendar = () => {
    const section = byId("days");
    if (!shown.length) {
      section.hidden = true;
      return;
    }
    const key = (cls, text) => el("span", { class: "key" }, svg("svg", { width: 16, height: 16 }, svg("rect", { x: 1, y: 1, width: 14, height: 14, rx: 2, class: cls })), ` ${text}`);
    section.append(el("h2", { id: "days-title" }, "Calendar"),
      el("p", { class: "legend" }, key("day clear level-0", "seen, none"), key("day clear level-1", "few"), key("day clear level-4", "most"), key("day partial level-2", "part of it seen"),
        el("span", { class: "key" }, svg("svg", { width: 16, height: 16 }, svg("rect", { x: 1, y: 1, width: 14, height: 14, rx: 2, class: "day hidden" }), svg("rect", { x: 1, y: 1, width: 14, height: 14, fill: "url(#hatch-part)", class: "hatched" })), " a look, but not seen"),
        el("span", { class: "key" }, svg("svg", { width: 16, height: 16 }, svg("circle", { cx: 8, cy: 8, r: 1, class: "no-look" })), " no look")),
      el("div", { class: "calendars" }, ...shown.map(calendar)));
    mark();
    report.on(["after"], mark);
  };
})();
