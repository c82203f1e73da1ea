"use strict";
// Review: accept, reject or unsure, with a note, by keyboard; kept in this browser, handed on as review.json.
(() => {
  const { data, el, state } = report;
  const KEY = `changedetect-review:${data.place.name}:${data.digest.slice(0, 16)}`;
  const VERDICTS = { accept: ["a", "Accept"], reject: ["r", "Reject"], unsure: ["u", "Unsure"] };

  const load = () => {
    try {
      return JSON.parse(localStorage.getItem(KEY)) || { who: "", reviews: {} };
    } catch {
      return { who: "", reviews: {} };
    }
  };
  const kept = load();
  const save = () => {
    try {
      localStorage.setItem(KEY, JSON.stringify(kept));
    } catch {
      report.say("This browser keeps nothing: export review.json before you close the page");
    }
  };

  /** Return accept, reject, unsure or null: what was said last, here or merged before. */
  report.verdict = (change) => {
    const own = kept.reviews[change.id];
    const merged = change.review[change.review.length - 1];
    return (own && own.verdict) || (merged && merged.verdict) || null;
  };
  /** Return every review of a change as it would be written: merged ones first, then the one made here. */
  report.reviews = (change) => {
    const own = kept.reviews[change.id];
    return [...change.review, ...(own ? [own] : [])];
  };
  const told = () => report.set({ reviewed: (state.reviewed || 0) + 1 });
  report.judge = (change, verdict, note) => {
    const before = kept.reviews[change.id] || { note: "" };
    kept.reviews[change.id] = { verdict: verdict || before.verdict || "unsure", note: note === undefined ? before.note : note, who: kept.who || null, when: new Date().toISOString().slice(0, 19) + "Z" };
    save();
    told();
  };
  const forget = (change) => {
    delete kept.reviews[change.id];
    save();
    told();
  };

  /** Return the form in which one change is judged. */
  report.reviewForm = (change) => {
    const own = kept.reviews[change.id];
    const note = el("textarea", { rows: 2, class: "note", "aria-label": `Note on ${change.label}`, placeholder: "Note", on: { change: () => report.judge(change, null, note.value) } });
    note.value = (own && own.note) || "";
    const verdict = report.verdict(change);
    const buttons = Object.entries(VERDICTS).map(([name, [key, text]]) =>
      el("button", { type: "button", class: `verdict ${name}`, "aria-pressed": String(verdict === name), title: `${text} (${key})`, on: { click: () => report.judge(change, name, note.value) } }, text));
    const history = change.review.map(({ verdict: said, note: why, who, when }) =>
      el("li", {}, el("strong", {}, said), why ? ": " : "", report.words(why || ""), el("span", { class: "fine" }, " ", report.words(who || "no name"), when ? `, ${when}` : "")));
    return el("div", { class: "review" }, el("div", { class: "buttons" }, ...buttons,
      own ? el("button", { type: "button", class: "plain", on: { click: () => forget(change) } }, "Clear") : null),
      note, history.length ? el("ul", { class: "history" }, ...history) : null);
  };

  const next = (by) => {
    const listed = report.listed();
    if (!listed.length) return;
    const at = listed.findIndex((change) => change.id === state.selected);
    report.select(listed[at < 0 ? (by > 0 ? 0 : listed.length - 1) : Math.min(listed.length - 1, Math.max(0, at + by))].id);
  };
  const keys = {
    j: () => next(1), k: () => next(-1),
    "[": () => report.step("after", -1), "]": () => report.step("after", 1),
    n: () => { const box = document.querySelector("#chosen .note"); if (box) box.focus(); },
  };
  for (const [name, [key]] of Object.entries(VERDICTS)) {
    keys[key] = () => {
      const change = report.change(state.selected);
      if (!change) return report.say("Choose a change first (j)");
      report.judge(change, name);
      report.say(`${change.label}: ${name}`);
      return null;
    };
  }
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest("input:not([type=checkbox]):not([type=range]), textarea, select");
    if (typing) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey || !keys[event.key]) return;
    keys[event.key]();
    event.preventDefault();
  });

  const who = el("input", { type: "text", id: "reviewer", autocomplete: "name", maxlength: 200, placeholder: "your name", on: { change: () => { kept.who = who.value.trim(); save(); } } });
  who.value = kept.who;
  const done = el("output", { "aria-live": "polite" });
  /** Return review.json. */
  report.reviewFile = () => ({
    program: "changedetect", kind: "review", version: 1, aoi: data.place.name, simulated: data.place.simulated, digest: data.digest,
    reviews: Object.entries(kept.reviews).map(([id, { verdict, note, who: name, when }]) => ({ id, verdict, note: note || "", who: name || kept.who || null, when })),
  });
  const exported = () => report.download("review.json", `${JSON.stringify(report.reviewFile(), null, 2)}\n`, "application/json");
  report.startReview = () => {
    report.byId("changes").append(el("div", { class: "review-bar" },
      el("label", { for: "reviewer" }, "Reviewer "), who, done,
      el("button", { type: "button", id: "export-review", on: { click: exported } }, "Export review.json"),
      el("details", {}, el("summary", {}, "Keys"), el("p", { class: "fine" },
        ...[["j, k", "next, previous change"], ["a, r, u", "accept, reject, unsure"], ["n", "write a note (Escape leaves it)"], ["[ and ]", "one look earlier, later"], ["Tab, Enter", "from outline to outline on the map, choose one"]].map(([key, text]) => [el("kbd", {}, key), ` ${text}  `]).flat()))));
    const count = () => { done.textContent = `${data.changes.filter((change) => report.verdict(change)).length} of ${data.changes.length} reviewed`; };
    count();
    report.on(["reviewed"], () => {
      count();
      report.filter();
      const change = report.change(state.selected);
      const open = document.querySelector("#chosen .review");
      if (change && open && !open.contains(document.activeElement)) open.replaceWith(report.reviewForm(change));
      else if (change && open) for (const button of open.querySelectorAll(".verdict")) button.setAttribute("aria-pressed", String(button.classList.contains(report.verdict(change))));
    });
  };
})();
