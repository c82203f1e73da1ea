"use strict";
// The swipe between the two dates, and the steps through all looks.
(() => {
  const { data, el, state, map, byId } = report;
  const { looks } = data;
  const shows = [];
  let share = 0.5;

  const divider = el("div", { class: "divider", "aria-hidden": "true" }, el("div", { class: "grip" }));
  const slider = el("input", { type: "range", id: "swipe", min: 0, max: 1000, value: 500, "aria-label": "Swipe between the date before (left) and the date after (right)" });
  const told = { before: el("div", { class: "side-name left" }), after: el("div", { class: "side-name right" }) };
  const holder = map.getContainer();
  holder.append(divider, told.before, told.after);
  if (data.place.simulated) holder.append(el("div", { class: "simulated-mark" }, "SIMULATED"));

  const clip = () => {
    const { x, y } = map.getSize();
    const at = share * x;
    const corner = (px, py) => {
      const point = map.containerPointToLayerPoint([px, py]);
      return `${point.x}px ${point.y}px`;
    };
    const polygon = (left, right) => `polygon(${[[left, 0], [right, 0], [right, y], [left, y]].map(([px, py]) => corner(px, py)).join(",")})`;
    for (const pane of ["before", "before-hatch"]) map.getPane(pane).style.clipPath = polygon(0, at);
    for (const pane of ["after", "after-hatch"]) map.getPane(pane).style.clipPath = polygon(at, x);
    divider.style.left = `${at}px`;
  };
  const swipeTo = (value) => {
    share = Math.min(1, Math.max(0, value));
    slider.value = String(Math.round(share * 1000));
    slider.setAttribute("aria-valuetext", `${Math.round(share * 100)} % before`);
    clip();
  };
  slider.addEventListener("input", () => swipeTo(slider.value / 1000));
  map.on("move zoom viewreset resize zoomend", clip);
  L.DomEvent.disableClickPropagation(divider);
  divider.addEventListener("pointerdown", (event) => {
    divider.setPointerCapture(event.pointerId);
    map.dragging.disable();
    const move = (moved) => swipeTo((moved.clientX - holder.getBoundingClientRect().left) / holder.clientWidth);
    const end = () => {
      divider.removeEventListener("pointermove", move);
      map.dragging.enable();
    };
    divider.addEventListener("pointermove", move);
    divider.addEventListener("pointerup", end, { once: true });
    divider.addEventListener("pointercancel", end, { once: true });
    event.preventDefault();
  });

  const describe = (look) => `${report.minute(look.datetime).replace(" UTC", "")} ${look.used ? look.status : "not used"}${look.baseline ? ", baseline" : ""}`;
  const chooser = (key, name) => {
    const select = el("select", { id: `look-${key}`, on: { change: () => report.set({ [key]: Number(select.value) }) } },
      ...looks.map((look, index) => el("option", { value: index }, describe(look))));
    const button = (by, text, title) => el("button", { type: "button", class: "step", title, "aria-label": title, on: { click: () => report.step(key, by) } }, text);
    const show = () => {
      const look = looks[state[key]];
      select.value = String(state[key]);
      told[key].replaceChildren(el("strong", {}, name), " ", ...report.sentence(report.minute(look.datetime)),
        el("span", { class: "fine" }, report.words(look.sensor || "sensor not told"), ` ${look.gsd_m} m, ${look.used ? `${Math.round(look.clear_fraction * 100)} % clear` : "not used"}${look.tiles.length && !look.normalized ? ", own stretch" : ""}`));
      told[key].title = look.used ? "" : look.reason || "";
    };
    report.on([key], show);
    shows.push(show);
    return el("div", { class: "chooser" }, el("label", { for: `look-${key}` }, name),
      button(-1, "◀", `${name}: one look earlier`), select, button(1, "▶", `${name}: one look later`));
  };
  byId("place").querySelector(".stage").insertBefore(
    el("div", { class: "stepper" }, chooser("before", "Before"), slider, chooser("after", "After")), holder.nextSibling);
  report.swipeTo = swipeTo;
  report.startSwipe = () => {
    for (const show of shows) show();
    swipeTo(0.5);
  };
})();
