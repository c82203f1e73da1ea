"use strict";
// Time: looks as ticks, counts as bars, objects from the last look without them to the first without them again.
(() => {
  const { data, el, svg, state, byId } = report;
  const { looks } = data;
  const MOST_ROWS = 40;
  const [LEFT, RIGHT] = [8, 14];
  const times = looks.map((look) => report.ms(look.datetime));
  const [first, last] = [Math.min(...times), Math.max(...times)];
  const span = Math.max(last - first, 86400000);
  let all = false;
  let printing = false;
  let width = 600;

  const rows = el("div", { class: "rows" });
  const keys = "Click a look or a bar: the map follows. With the timeline in focus, the arrow keys step through the looks.";
  byId("time").append(
    el("h2", { id: "time-title" }, "Timeline"),
    el("p", { class: "fine" }, keys),
    el("div", { class: "timeline", tabindex: 0, role: "group", "aria-label": "Timeline; left and right arrow step through the looks", on: { keydown: (event) => {
      const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!by) return;
      report.step("after", by);
      event.preventDefault();
    } } }, rows),
    el("p", { class: "legend" },
      el("span", { class: "key" }, svg("svg", { width: 10, height: 16 }, tick(5, "clear")), " clear"),
      el("span", { class: "key" }, svg("svg", { width: 10, height: 16 }, tick(5, "partial")), " part of the place seen"),
      el("span", { class: "key" }, svg("svg", { width: 10, height: 16 }, tick(5, "obscured")), " not seen: unknown, not empty"),
      el("span", { class: "key" }, svg("svg", { width: 44, height: 12 }, svg("path", { d: "M2 6H12M34 6H42", class: "unsure" }), svg("rect", { x: 12, y: 2, width: 22, height: 8, class: "bar-key" })), " seen, and the time in which it came and went")));

  const x = (time) => LEFT + ((time - first) / span) * (width - LEFT - RIGHT);
  function tick(at, status) {
    if (status === "clear") return svg("path", { d: `M${at} 1V15`, class: "tick clear" });
    if (status === "partial") return svg("path", { d: `M${at} 8V15M${at - 2.5} 8H${at + 2.5}`, class: "tick partial" });
    return svg("circle", { cx: at, cy: 12, r: 2.2, class: "tick obscured" });
  }
  const nearest = (event, node) => {
    const at = event.clientX - node.getBoundingClientRect().left;
    return times.reduce((kept, time, index) => (Math.abs(x(time) - at) < Math.abs(x(times[kept]) - at) ? index : kept), 0);
  };
  const row = (name, height, kind, act, ...drawn) => {
    const picture = svg("svg", { width, height, class: "strip" }, ...drawn);
    picture.addEventListener("click", (event) => act(nearest(event, picture)));
    return el("div", { class: `row ${kind}` }, el("div", { class: "row-name" }, name), picture);
  };

  const axis = () => {
    const days = span / 86400000;
    const months = days > 75;
    const step = months ? Math.max(1, Math.ceil(days / 30 / Math.max(2, width / 75))) : Math.max(1, Math.ceil(days / Math.max(2, width / 85)));
    const marks = [];
    const date = new Date(first);
    date.setUTCHours(0, 0, 0, 0);
    if (months) date.setUTCDate(1);
    while (date.getTime() <= last) {
      if (date.getTime() >= first - 3600000 * 24) marks.push(date.getTime());
      if (months) date.setUTCMonth(date.getUTCMonth() + step);
      else date.setUTCDate(date.getUTCDate() + step);
    }
    return marks.filter((time) => x(time) >= 0 && x(time) < width - (months ? 48 : 66)).map((time) => [
      svg("path", { d: `M${x(time)} 0V6`, class: "axis" }),
      svg("text", { x: x(time) + 3, y: 14, class: "axis-text" }, new Date(time).toISOString().slice(0, months ? 7 : 10))]);
  };

  const looksRow = () => row("Looks", 18, "looks", (index) => report.set({ after: index }),
    looks.map((look, index) => {
      const mark = tick(x(times[index]), look.used ? look.status : "obscured");
      mark.append(svg("title", {}, `${report.minute(look.datetime)}: ${look.used ? look.status : `not used (${look.reason})`}`));
      return mark;
    }));

  const activityRow = ({ zone, class: kind, rows: counts }) => {
    const most = Math.max(1, ...counts.map(([, count]) => count || 0));
    const HEIGHT = 30;
    const wide = Math.max(2.5, Math.min(9, (width - LEFT - RIGHT) / looks.length - 1));
    const bars = counts.map(([index, count, status]) => {
      const at = x(times[index]);
      if (count === null) return svg("circle", { cx: at, cy: HEIGHT - 3, r: 1.8, class: "tick obscured" }, svg("title", {}, `${report.minute(looks[index].datetime)}: not seen`));
      const tall = count ? Math.max(4, (count / most) * (HEIGHT - 8)) : 1;
      const bar = svg("rect", { x: at - wide / 2, y: HEIGHT - 2 - tall, width: wide, height: tall, class: count ? `count ${status}` : "count none" },
        svg("title", {}, `${report.minute(looks[index].datetime)}: ${count} (${status})`));
      bar.style.setProperty("--kind", data.classes[kind].colour);
      return bar;
    });
    const name = [report.words(zone), el("span", { class: "fine" }, ` ${kind}, at most ${Math.max(0, ...counts.map(([, count]) => count || 0))}`)];
    return row(name, HEIGHT, "activity", (index) => {
      report.set({ after: index });
      report.moveToZone(zone);
    }, ...bars);
  };

  const objectRow = (change) => {
    const HEIGHT = 16;
    const [seen, until] = [x(report.ms(change.first_seen)), x(report.ms(change.last_seen))];
    const parts = [];
    if (change.absent_until) parts.push(`M${x(report.ms(change.absent_until))} 8H${seen}M${x(report.ms(change.absent_until))} 4V12`);
    if (change.gone_by) parts.push(`M${until} 8H${x(report.ms(change.gone_by))}M${x(report.ms(change.gone_by))} 4V12`);
    const bar = svg("rect", { x: seen - 3, y: 3, width: until - seen + 6, height: 10, rx: 2, class: "object" });
    bar.style.setProperty("--kind", data.classes[change.class].colour);
    const still = change.gone_by ? null : svg("path", { d: `M${until + 3} 4L${until + 8} 8L${until + 3} 12`, class: "still" });
    const about = `${change.label}: not there ${report.day(change.absent_until) || "unknown"}, seen ${report.day(change.first_seen)} to ${report.day(change.last_seen)}, gone by ${report.day(change.gone_by) || "not yet"}`;
    const name = el("button", { type: "button", class: "plain", title: about, on: { click: () => report.select(change.id) } }, change.label);
    const strip = row(name, HEIGHT, change.id === state.selected ? "thing chosen" : "thing", () => report.select(change.id),
      svg("title", {}, about), svg("path", { d: parts.join(""), class: "unsure" }), bar, still);
    strip.dataset.change = change.id;
    return strip;
  };

  const cursor = (key) => {
    const line = el("div", { class: `cursor ${key}` });
    line.style.setProperty("--at", `${x(times[state[key]])}px`);
    return line;
  };

  const draw = () => {
    width = Math.max(160, rows.clientWidth - parseFloat(getComputedStyle(rows).getPropertyValue("--names")));
    const changes = [...report.shownChanges()].sort((a, b) => (a.first_seen || "").localeCompare(b.first_seen || "") || a.label.localeCompare(b.label, "en", { numeric: true }));
    const listed = all || printing ? changes : changes.slice(0, MOST_ROWS);
    const more = changes.length > listed.length || all
      ? el("button", { type: "button", class: "more", on: { click: () => { all = !all; draw(); } } }, all ? "Show fewer" : `Show all ${changes.length} objects`) : null;
    const counted = data.activity.filter(({ rows: counts, class: kind }) => data.classes[kind].coming || counts.some(([, count]) => count));
    rows.replaceChildren(
      el("div", { class: "row" }, el("div", { class: "row-name" }), svg("svg", { width, height: 18, class: "strip" }, ...axis())),
      looksRow(), ...counted.map(activityRow), ...listed.map(objectRow),
      cursor("before"), cursor("after"), ...(more && changes.length > MOST_ROWS ? [more] : []));
  };
  report.on(["shown"], draw);
  report.on(["before", "after"], () => {
    for (const key of ["before", "after"]) {
      const line = rows.querySelector(`.cursor.${key}`);
      if (line) line.style.setProperty("--at", `${x(times[state[key]])}px`);
    }
  });
  report.on(["selected"], () => {
    for (const node of rows.querySelectorAll(".thing")) node.classList.toggle("chosen", node.dataset.change === state.selected);
  });
  /** Draw to the width there is, with all objects on paper. */
  report.showAllBars = (onPaper) => {
    printing = onPaper;
    draw();
  };
  report.startTimeline = () => {
    draw();
    let wide = rows.clientWidth;
    new ResizeObserver(() => {
      if (rows.clientWidth === wide) return;
      wide = rows.clientWidth;
      draw();
    }).observe(rows);
  };
})();
