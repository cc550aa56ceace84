"use strict";
// The data of the page, and how they are read.

const $ = (id) => document.getElementById(id);
const NONE = "any";
const MOST_PINS = 4,
  FIRST_ROWS = 25;
const SHAPES = [
  "circle",
  "square",
  "triangle-up",
  "diamond",
  "triangle-down",
  "cross",
  "triangle-right",
  "triangle-left",
];
const GLYPHS = ["●", "■", "▲", "◆", "▼", "✚", "▶", "◀"];
const FACETS = {
  dataset: "dataset",
  encoder: "encoder",
  reducer: "reducer",
  dim: "dimension",
  precision: "precision",
  backend: "backend",
  stages: "stages",
};
const COLOURED = {
  backend: "backend",
  reducer: "reducer",
  precision: "precision",
  dim: "dimension",
};
const RAMP = ["#440154", "#46327e", "#365c8d", "#277f8e", "#1fa187", "#4ac16d", "#a0da39"];
const LIMITS = { p95: 1, bytes: 1, memory: GIB };

let raw = "",
  data = null,
  result = null,
  state = null,
  plotted = null;
const drawn = new Set();

/** An element with properties and children; texts become text, never markup. */
function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "text") element.textContent = value;
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined)
      element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

async function unpacked(id) {
  const packed = Uint8Array.from(atob($(id).textContent.trim()), (c) => c.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).text();
}

/** Gives a result the ways in which it is read. */
function readable(each) {
  const { numbers, texts } = each.runs;
  each.number = (name, i) => {
    const v = numbers[name]?.[i];
    return v === null || v === undefined ? NaN : v;
  };
  each.text = (name, i) => texts[name].values[texts[name].codes[i]];
  each.facet = (name, i) => (name === "dim" ? String(numbers.dim[i]) : each.text(name, i));
  each.count = numbers.dim.length;
  const byGroup = each.groups.map(() => []);
  for (let i = 0; i < each.count; i += 1) byGroup[numbers.group[i]].push(i);
  each.rowsOf = (group) => byGroup[group];
  return each;
}

const DARK = matchMedia("(prefers-color-scheme: dark)");
const LEAST_LIGHT = 0.16;

/** A colour that can be seen: black is that of the text, and on a dark page dark ones are mixed with white. */
function visible(colour) {
  if (colour.toLowerCase() === "#000000") return "currentColor";
  if (!DARK.matches) return colour;
  let parts = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16) / 255);
  const light = () =>
    0.2126 * parts[0] ** 2.2 + 0.7152 * parts[1] ** 2.2 + 0.0722 * parts[2] ** 2.2;
  while (light() < LEAST_LIGHT) parts = parts.map((part) => part + 0.1 * (1 - part));
  return `#${parts
    .map((part) =>
      Math.round(255 * part)
        .toString(16)
        .padStart(2, "0"),
    )
    .join("")}`;
}
