"use strict";
// What is chosen: the two dates, the object, the filters; who cares is told which of them changed.
(() => {
  const { data } = report;
  const { looks, changes } = data;
  const listeners = [];
  const byId = new Map(changes.map((change) => [change.id, change]));

  report.change = (id) => byId.get(id) || null;
  report.state = { ...data.first, selected: null, shown: new Set(byId.keys()) };
  report.on = (keys, listener) => listeners.push({ keys, listener });
  /** Set some of the state and tell those who listen to what is now different. */
  report.set = (values) => {
    const fresh = Object.keys(values).filter((key) => report.state[key] !== values[key]);
    if (!fresh.length) return;
    Object.assign(report.state, values);
    if (!report.begun) return;
    for (const { keys, listener } of listeners) if (keys.some((key) => fresh.includes(key))) listener(fresh);
  };
  /** Until then nobody is told: the parts of the page draw what is chosen once, when they begin. */
  report.begun = false;
  report.shownChanges = () => changes.filter((change) => report.state.shown.has(change.id));

  /** Return the look on which a change is best looked at: the first on which it is present. */
  report.lookOf = (change) => {
    const chip = change.chips && change.chips.after && change.chips.after.scene_id;
    const index = looks.findIndex((look) => look.id === chip);
    return index >= 0 ? index : Math.max(0, change.states.indexOf("p"));
  };
  /** Choose a change: the date follows unless it is present on the date that is shown. */
  report.select = (id, { move = true } = {}) => {
    const change = report.change(id);
    if (!change) return report.set({ selected: null });
    const after = change.states[report.state.after] === "p" ? report.state.after : report.lookOf(change);
    report.set({ selected: id, after });
    if (move) report.moveTo(change);
  };
  report.step = (key, by) => {
    const next = report.state[key] + by;
    if (next >= 0 && next < looks.length) report.set({ [key]: next });
  };
  report.linkTo = (change) =>
    `${location.href.split("#")[0]}#change=${encodeURIComponent(change.id)}&look=${encodeURIComponent(looks[report.lookOf(change)].id)}`;
  /** Go to what the address names. */
  report.followAddress = () => {
    const named = new URLSearchParams(location.hash.slice(1));
    const look = looks.findIndex((item) => item.id === named.get("look"));
    if (look >= 0) report.set({ after: look });
    if (report.change(named.get("change"))) report.select(named.get("change"));
  };
})();
