"use strict";
// Everything the page's scripts share. Text is only ever set as text: nothing from the data becomes markup.
const report = {};
(() => {
  const read = (id) => JSON.parse(document.getElementById(id).textContent);

  report.data = read("data");
  /** Return the features as they are in changes.geojson; parsed only when asked for. */
  report.features = () => read("exported").features;

  const urls = new Map();
  let awaited = false;
  /** Return an address of a picture of the page, null without one; decoded when first shown. */
  report.image = (name) => {
    if (!urls.has(name)) {
      const block = document.getElementById(`picture:${name}`);
      if (!block) {
        awaited = awaited || document.readyState === "loading";
        return null;
      }
      const text = atob(block.textContent);
      const bytes = new Uint8Array(text.length);
      for (let k = 0; k < text.length; k += 1) bytes[k] = text.charCodeAt(k);
      urls.set(name, URL.createObjectURL(new Blob([bytes], { type: "image/webp" })));
    }
    return urls.get(name);
  };

  // What lies below the map is drawn after it, part by part, so that the page answers in between. Most pictures are
  // written behind the scripts: whoever asked for one that was not read yet is told when it is.
  const parts = [];
  let complete = false;
  const whole = () => {
    if (!parts.length && complete) document.documentElement.dataset.whole = String(Math.round(performance.now()));
  };
  const drawNext = () => {
    const draw = parts.shift();
    if (draw) draw();
    if (parts.length) setTimeout(drawNext);
    else whole();
  };
  /** Draw a part of the page when there is time for it. */
  report.later = (draw) => parts.push(draw);
  /** Draw what is still to be drawn now. */
  report.drawAll = () => {
    while (parts.length) parts.shift()();
  };
  /** Begin with what was left for later. */
  report.drawParts = () => {
    setTimeout(drawNext);
    document.addEventListener("DOMContentLoaded", () => {
      complete = true;
      if (awaited) report.set({ pictures: true });
      whole();
    });
  };

  const fill = (node, attributes, children) => {
    for (const [name, value] of Object.entries(attributes)) {
      if (value === null || value === undefined || value === false) continue;
      if (name === "on") for (const [type, listener] of Object.entries(value)) node.addEventListener(type, listener);
      else if (name === "css") for (const [key, item] of Object.entries(value)) node.style.setProperty(key, item);
      else node.setAttribute(name, value === true ? "" : String(value));
    }
    node.append(...children.flat().filter((child) => child !== null && child !== undefined).map((child) =>
      child instanceof Node ? child : document.createTextNode(String(child))));
    return node;
  };
  /** Return an element with attributes (`on`: listeners, `css`: properties) and children; strings become text. */
  report.el = (tag, attributes = {}, ...children) => fill(document.createElement(tag), attributes, children);
  report.svg = (tag, attributes = {}, ...children) =>
    fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
  /** Return text of others, kept from turning the text around it (right-to-left marks). */
  report.words = (text) => report.el("bdi", { dir: "auto" }, text);

  const DATE = /(\d{4}-\d\d-\d\d)/;
  /** Return a sentence whose dates are not broken over two lines. */
  report.sentence = (text) => text.split(DATE).map((part) => (DATE.test(part) ? report.el("span", { class: "date" }, part) : part));

  report.byId = (id) => document.getElementById(id);
  report.day = (time) => (time ? time.slice(0, 10) : null);
  report.minute = (time) => (time ? `${time.slice(0, 10)} ${time.slice(11, 16)} UTC` : null);
  report.number = (value, digits = 0) =>
    value === null || value === undefined ? "–" : value.toFixed(digits);
  report.degrees = (value) => (value === null || value === undefined ? "not told" : `${Math.round(value)}°`);
  report.ms = (time) => (time ? Date.parse(time) : null);

  const { frame } = report.data;
  /** Return WGS 84 [longitude, latitude] of metres on the page. */
  report.lonlat = (x, y) => {
    const { scale, powers, lon, lat } = frame.lonlat;
    const [u, v] = [x / scale - 1, y / scale - 1];
    const terms = powers.map(([i, j]) => u ** i * v ** j);
    const sum = (weights) => weights.reduce((total, weight, k) => total + weight * terms[k], 0);
    return [sum(lon), sum(lat)];
  };
  report.place = (lon, lat, digits = 5) =>
    `${Math.abs(lat).toFixed(digits)}° ${lat < 0 ? "S" : "N"}, ${Math.abs(lon).toFixed(digits)}° ${lon < 0 ? "W" : "E"}`;

  /** Return the longest of 1, 2, 5 times a power of ten that is at most `most`. */
  report.round = (most) => {
    const power = 10 ** Math.floor(Math.log10(most));
    return [5, 2, 1].map((step) => step * power).find((length) => length <= most * 1.000001);
  };
  report.metres = (length) => (length < 1000 ? `${+length.toPrecision(6)} m` : `${+(length / 1000).toPrecision(6)} km`);

  /** Hand a text to the user as a file. */
  report.download = (name, text, type) => {
    const link = report.el("a", { href: URL.createObjectURL(new Blob([text], { type })), download: name });
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  };
  /** Copy a text and say so; where copying is forbidden, show it to be copied by hand. */
  report.copy = async (text, said) => {
    try {
      await navigator.clipboard.writeText(text);
      report.say(said);
    } catch {
      window.prompt("Copy this:", text);
    }
  };
  const told = report.el("div", { class: "told", role: "status", "aria-live": "polite" });
  document.body.append(told);
  let hush = 0;
  report.say = (text) => {
    told.textContent = text;
    told.classList.add("shown");
    clearTimeout(hush);
    hush = setTimeout(() => told.classList.remove("shown"), 2500);
  };
})();
