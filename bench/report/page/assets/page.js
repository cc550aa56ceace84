"use strict";
// The page: reads its data, keeps its state in the address, and draws what the state says.

const $ = (id) => document.getElementById(id);
const NONE = "any";
const MOST_PINS = 4, FIRST_ROWS = 25;
const SHAPES = ["circle", "square", "triangle-up", "diamond", "triangle-down", "cross", "triangle-right", "triangle-left"];
const GLYPHS = ["●", "■", "▲", "◆", "▼", "✚", "▶", "◀"];
const FACETS = { dataset: "dataset", encoder: "encoder", reducer: "reducer", dim: "dimension", precision: "precision", backend: "backend", stages: "stages" };
const COLOURED = { backend: "backend", reducer: "reducer", precision: "precision", dim: "dimension" };
const RAMP = ["#440154", "#46327e", "#365c8d", "#277f8e", "#1fa187", "#4ac16d", "#a0da39"];
const LIMITS = { p95: 1, bytes: 1, memory: GIB };

let data = null, result = null, state = null, plotted = null;
const drawn = new Set();

/** An element with properties and children; texts become text, never markup. */
function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "text") element.textContent = value;
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

async function unpacked(id) {
  const packed = Uint8Array.from(atob($(id).textContent.trim()), (c) => c.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(stream).text());
}

/** Gives a result the ways in which it is read. */
function readable(each) {
  const { numbers, texts } = each.runs;
  each.number = (name, i) => { const v = numbers[name]?.[i]; return v === null || v === undefined ? NaN : v; };
  each.text = (name, i) => texts[name].values[texts[name].codes[i]];
  each.facet = (name, i) => (name === "dim" ? String(numbers.dim[i]) : each.text(name, i));
  each.count = numbers.dim.length;
  const byGroup = each.groups.map(() => []);
  for (let i = 0; i < each.count; i += 1) byGroup[numbers.group[i]].push(i);
  each.rowsOf = (group) => byGroup[group];
  return each;
}

// ---------------------------------------------------------------------------------- the state

function freshState(r = 0, g = 0) {
  const group = data.results[r].groups[g];
  const axes = data.results[r].runs.axes.map((axis) => axis.name);
  const wanted = axes.includes("latency_ms_p50") ? "latency_ms_p50" : "dim";
  return {
    r, g, settings: defaults(data.results[r], group), x: wanted, y: "quality", colour: "backend",
    filters: { dataset: [group.dataset], encoder: [group.encoder] }, pins: [], lost: null,
    sort: null, shown: FIRST_ROWS,
  };
}

/** What of the state is not as at first, as the fragment of the address. */
function fragment() {
  const first = freshState(state.r, state.g), out = new URLSearchParams();
  const put = (name, value, other) => { if (String(value) !== String(other)) out.set(name, value); };
  put("results", state.r, 0);
  put("group", state.g, 0);
  for (const name of ["retain", "objective", "documents", "qps", "p95", "bytes", "memory"]) put(name, state.settings[name], first.settings[name]);
  for (const name of ["memory_gib_month", "disk_gib_month", "vcpu_hour", "utilisation"]) put(name, state.settings.prices[name], first.settings.prices[name]);
  for (const name of ["x", "y", "colour", "lost"]) put(name, state[name], first[name]);
  for (const name of Object.keys(FACETS)) {
    const chosen = state.filters[name];
    if (chosen && String(chosen) !== String(first.filters[name])) out.set(`only_${name}`, JSON.stringify(chosen));
    if (!chosen && first.filters[name]) out.set(`only_${name}`, NONE);
  }
  if (state.pins.length) out.set("pins", state.pins.join(","));
  return out.toString();
}

/** The state that a fragment describes; what it gets wrong stays as at first. */
function stateOf(text) {
  const given = new URLSearchParams(text.replace(/^#/, ""));
  const whole = (name, most) => { const n = Number(given.get(name) ?? 0); return Number.isInteger(n) && n >= 0 && n < most ? n : 0; };
  const r = whole("results", data.results.length), g = whole("group", data.results[r].groups.length);
  const found = freshState(r, g), group = data.results[r].groups[g], axes = data.results[r].runs.axes.map((a) => a.name);
  for (const name of ["retain", "qps", "p95", "bytes", "memory"]) {
    const value = Number(given.get(name) ?? NaN);
    if (value > 0 && !(name === "retain" && value > 1)) found.settings[name] = value;
  }
  for (const name of ["memory_gib_month", "disk_gib_month", "vcpu_hour", "utilisation"]) {
    const value = Number(given.get(name) ?? NaN);
    if (value >= 0 && !(name === "utilisation" && !(value > 0 && value <= 1))) found.settings.prices[name] = value;
  }
  if (["memory", "latency", "cost"].includes(given.get("objective"))) found.settings.objective = given.get("objective");
  if (group.sizes.includes(Number(given.get("documents")))) found.settings.documents = Number(given.get("documents"));
  for (const name of ["x", "y"]) if (axes.includes(given.get(name))) found[name] = given.get(name);
  if (given.get("colour") in COLOURED) found.colour = given.get("colour");
  if (Number(given.get("lost")) in group.lost) found.lost = Number(given.get("lost"));
  for (const name of Object.keys(FACETS)) {
    const value = given.get(`only_${name}`);
    if (value === NONE) delete found.filters[name];
    else if (value) try { found.filters[name] = JSON.parse(value).map(String); } catch { /* as at first */ }
  }
  const ids = new Set(data.results[r].runs.texts.trial_id.values);
  found.pins = (given.get("pins") ?? "").split(",").filter((id) => ids.has(id)).slice(0, MOST_PINS);
  return found;
}

function remember() {
  const text = fragment();
  history.replaceState(null, "", text ? `#${text}` : location.pathname + location.search);
}

// -------------------------------------------------------------------------------- the verdict

const group = () => result.groups[state.g];
const money = (value) => `${state.settings.prices.currency}${value.toLocaleString("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 2 })}`;
const count = (value) => Math.round(value).toLocaleString("en-US");
const among = () => (state.settings.documents === group().n_corpus ? "" : ` among ${count(state.settings.documents)} documents`);

function described(i) {
  const low = result.number("low", i), high = result.number("high", i);
  const label = result.text("label", i);
  if (low === 1 && high === 1) return `${label} (exact search, nothing cut)`;
  return `${label} (keeps ${percent(result.number("kept", i))} [${percent(low)}, ${percent(high)}] of ${group().quality})`;
}

const size = (row) => (Number.isNaN(row.bytes) ? "size unknown (the server does not report it)" : `${count(row.bytes)} bytes per vector`);
const times = (row) => `p50 ${row.p50.toFixed(3)} ms, p95 ${row.p95.toFixed(3)} ms`;

function whyText(row) {
  const speed = among() ? NaN : result.number("speedup_vs_exact", row.i);
  const faster = Number.isNaN(speed) ? "" : `, ${speed.toFixed(1)}× the speed of exact search at ${group().full_dim} d`;
  return `Use ${described(row.i)}: ${size(row)}, ${times(row)}${faster}${among()}.`;
}

function settingsText() {
  const s = state.settings, words = [];
  if (s.p95 !== Infinity) words.push(`p95 of at most ${s.p95} ms`);
  if (s.bytes !== Infinity) words.push(`at most ${s.bytes} bytes per vector`);
  if (s.memory !== Infinity) words.push(`at most ${bytesText(s.memory)} of memory`);
  return words.length ? ` with ${words.join(" and ")}` : "";
}

function verdictLines(found) {
  const word = state.settings.objective === "latency" ? "faster" : "cheaper";
  const basis = `Chosen among ${group().among} configurations. The bounds hold for all of them at once, in 95 % of samples of ${group().units}.`
    + (among() ? ` They are those among the ${count(group().n_corpus)} documents measured.` : "");
  if (!found.chosen) {
    const near = found.nearest ? ` The nearest is ${described(found.nearest.i)}.` : "";
    return [`No configuration measured is certain to keep ${percent(state.settings.retain)} of the ${group().quality} of exact search at the full dimension${among()}${settingsText()}.${near}`, basis];
  }
  const row = found.chosen, disk = row.disk ? `, ${bytesText(row.disk * state.settings.documents)} of disk` : "";
  const lines = [
    whyText(row),
    `${count(state.settings.documents)} documents take ${bytesText(row.memory)} of memory${disk} and ${secondsText(row.build)} to build. `
      + `At ${state.settings.qps} queries per second that costs ${money(row.month)} per month.`,
    found.cheaper ? `Not the next ${word} one, ${result.text("label", found.cheaper.i)} (${size(found.cheaper)}): ${found.cheaper.why}.` : `No ${word} configuration was measured.`,
  ];
  if (found.runnerUp) lines.push(`Runner-up: ${described(found.runnerUp.i)}: ${size(found.runnerUp)}, ${times(found.runnerUp)}.`);
  if (found.otherwise !== row && found.otherwise !== found.runnerUp) {
    const matters = state.settings.objective === "latency" ? "memory matters more than speed" : `speed matters more than ${state.settings.objective}`;
    lines.push(`If ${matters}: ${described(found.otherwise.i)}: ${size(found.otherwise)}, ${times(found.otherwise)}.`);
  }
  if (among()) {
    const own = group().growth[result.text("backend", row.i)];
    const on = own.latency_sizes.length ? `fitted from ${own.latency_sizes.map(count).join(", ")} documents` : "assumed";
    lines.push(`Its latency is carried over from ${count(group().n_corpus)} documents: it grows with n to the power of ${own.latency.toFixed(2)}, ${on}.`);
  }
  return [...lines, basis];
}

function showVerdict() {
  const found = decide(result, state.g, state.settings);
  const [first, ...others] = verdictLines(found);
  $("answer").replaceChildren(make("p", { class: "lead", text: first }), ...others.map((text) => make("p", { text })));
  const id = found.chosen ? result.text("trial_id", found.chosen.i) : null;
  const program = id ? result.programs[id] : undefined;
  $("program-part").hidden = !id;
  if (id) {
    $("program").textContent = program ?? `matryoshka-bench deploy ${result.name} ${id}`;
    $("program-title").textContent = program ? "The code, without this package" : "The command that writes its code";
  }
  const ranked = found.chosen ? [found.chosen, ...found.fit.filter((row) => row !== found.chosen)] : [];
  $("ranking-title").textContent = `${count(ranked.length)} of ${count(found.rows.length)} configurations fit`;
  fillTable($("ranking"), ranked.slice(0, 8), "the configurations that fit");
  return found;
}

// --------------------------------------------------------------------------------- the tables

const COLUMNS = [
  { name: "label", head: "configuration", of: (row) => result.text("label", row.i) },
  { name: "quality", isMore: true, head: () => group().quality, of: (row) => figure(row, "quality", 3), value: (row) => result.number("quality", row.i) },
  { name: "kept", head: "keeps [95 %]", of: (row) => `${percent(result.number("kept", row.i))} [${percent(row.low)}, ${percent(result.number("high", row.i))}]`, value: (row) => result.number("kept", row.i) },
  { name: "p50", head: "p50 ms", of: (row) => digits(row.p50) },
  { name: "p95", head: "p95 ms", of: (row) => digits(row.p95) },
  { name: "bytes", head: "bytes", of: (row) => digits(row.bytes, 4) },
  { name: "memory", isMore: true, head: "memory", of: (row) => bytesText(row.memory) },
  { name: "month", head: () => `${state.settings.prices.currency} per month`, of: (row) => digits(row.month) },
  { name: "build", isMore: true, head: "build", of: (row) => (Number.isNaN(row.build) ? "–" : secondsText(row.build)) },
];

function figure(row, name, places) {
  const value = result.number(name, row.i);
  return Number.isNaN(value) ? "–" : value.toFixed(places);
}

/** Fill a table with rows; with `sortable` its headings are buttons. */
function fillTable(table, rows, caption, sortable = false) {
  const columns = COLUMNS.filter((column) => sortable || !column.isMore);
  const heads = columns.map((column) => {
    const text = typeof column.head === "function" ? column.head() : column.head;
    if (!sortable) return make("th", { scope: "col", text });
    const [name, sign] = state.sort ?? [];
    const order = name === column.name ? (sign > 0 ? "ascending" : "descending") : "none";
    return make("th", { scope: "col", "aria-sort": order }, make("button", { type: "button", class: "sort", text, onclick: () => {
      state.sort = [column.name, name === column.name ? -sign : 1];
      showRows();
    } }));
  });
  const body = rows.map((row) => make("tr", { class: row.why ? "unfit" : null },
    ...columns.map((column, at) => make(at ? "td" : "th", at ? { text: column.of(row) } : { scope: "row", text: column.of(row) })),
    make("td", { class: "pins" }, pinButton(row.i))));
  table.replaceChildren(
    make("caption", { class: "hidden", text: caption }),
    make("thead", {}, make("tr", {}, ...heads, make("th", { scope: "col", class: "pins", text: "pin" }))),
    make("tbody", {}, ...body));
}

function pinButton(i) {
  const id = result.text("trial_id", i), isPinned = state.pins.includes(id);
  return make("button", {
    type: "button", class: "pin", "aria-pressed": String(isPinned), text: isPinned ? "pinned" : "pin",
    "aria-label": `${isPinned ? "unpin" : "pin"} ${result.text("label", i)}`, onclick: () => pin(id),
  });
}

function pin(id) {
  const held = state.pins.includes(id);
  state.pins = held ? state.pins.filter((other) => other !== id) : [...state.pins, id].slice(-MOST_PINS);
  update();
}

const COMPARED = [
  ["dataset", (row) => result.text("dataset", row.i)], ["encoder", (row) => result.text("encoder", row.i)],
  ["backend", (row) => result.text("backend", row.i)], ["reducer", (row) => result.text("reducer", row.i)],
  ["dimension", (row) => result.facet("dim", row.i)], ["precision", (row) => result.text("precision", row.i)],
  ["stages", (row) => result.text("stages", row.i)], ["settings", (row) => result.text("settings", row.i)],
  ["quality [95 %]", (row) => interval(row.i, "quality", 3)],
  ["keeps [bounds for all at once]", (row) => `${percent(result.number("kept", row.i))} [${percent(row.low)}, ${percent(result.number("high", row.i))}]`],
  ["ANN recall@10", (row) => digits(result.number("ann_recall_at_10", row.i))],
  ["p50, ms", (row) => digits(row.p50)], ["p95, ms", (row) => digits(row.p95)],
  ["queries per second, as measured", (row) => digits(result.number("qps", row.i))],
  ["bytes per vector", (row) => digits(row.bytes, 5)], ["memory of all", (row) => bytesText(row.memory)],
  ["cost per month", (row) => money(row.month)], ["build", (row) => (Number.isNaN(row.build) ? "–" : secondsText(row.build))],
  ["lost by dimension", (row) => digits(result.number("loss_dimension", row.i))],
  ["lost by precision", (row) => digits(result.number("loss_precision", row.i))],
  ["lost by search", (row) => digits(result.number("loss_search", row.i))],
  ["fits your settings", (row) => (result.number("timed", row.i) !== 1 ? "not timed" : row.why ? `no: ${row.why}` : "yes")],
  ["trial", (row) => result.text("trial_id", row.i)],
];

function interval(i, name, places) {
  const [value, low, high] = ["", "_low", "_high"].map((end) => result.number(`${name}${end}`, i));
  if (Number.isNaN(value)) return "–";
  return Number.isNaN(low) ? value.toFixed(places) : `${value.toFixed(places)} [${low.toFixed(places)}, ${high.toFixed(places)}]`;
}

function showPins() {
  const ids = result.runs.texts.trial_id.values;
  const rows = state.pins.map((id) => servedOf(ids.indexOf(id)));
  $("pins-part").hidden = !rows.length;
  $("pins").replaceChildren(
    make("caption", { class: "hidden", text: "pinned configurations side by side" }),
    make("thead", {}, make("tr", {}, make("td"), ...rows.map((row) => make("th", { scope: "col" }, make("span", { text: `${result.text("label", row.i)} ` }), pinButton(row.i))))),
    make("tbody", {}, ...COMPARED.map(([name, of]) => {
      const cells = rows.map(of), differ = new Set(cells).size > 1;
      return make("tr", { class: differ && rows.length > 1 ? "differs" : null }, make("th", { scope: "row", text: name }), ...cells.map((text) => make("td", { text })));
    })));
}

function servedOf(i) {
  const at = result.number("group", i);
  const settings = at === state.g ? state.settings : { ...state.settings, documents: result.groups[at].sizes.includes(state.settings.documents) ? state.settings.documents : result.groups[at].n_corpus };
  const row = servedRow(result, result.groups[at], settings, i);
  row.why = result.number("timed", i) === 1 ? rejection(result, settings, row) : "not timed";
  return row;
}

// ------------------------------------------------------------------------------- the explorer

const axisOf = (name) => result.runs.axes.find((axis) => axis.name === name);

function valueOn(name, row) {
  const own = { memory_bytes_of_all: row.memory, per_month: row.month, latency_ms_p50: row.p50, latency_ms_p95: row.p95, build_seconds: row.build };
  return name in own ? own[name] : result.number(name, row.i);
}

function axisTitle(name) {
  const axis = axisOf(name), arrow = { higher: ", higher is better", lower: ", lower is better" }[axis.better] ?? "";
  const moves = ["latency_ms_p50", "latency_ms_p95", "memory_bytes_of_all", "per_month", "build_seconds"].includes(name);
  const label = name === "quality" ? group().quality : axis.label;
  return `${label}${moves ? among() : ""}${arrow}`;
}

/** The rows that have both axes and pass the filters; `but` names a filter that does not count. */
function filtered(but) {
  const chosen = Object.entries(state.filters).filter(([name]) => name !== but).map(([name, values]) => [name, new Set(values)]);
  const shows = (name, row) => { const v = valueOn(name, row); return Number.isFinite(v) && (v > 0 || !axisOf(name).log); };
  const found = [];
  for (let i = 0; i < result.count; i += 1) {
    if (!chosen.every(([name, values]) => values.has(result.facet(name, i)))) continue;
    const row = servedOf(i);
    if (shows(state.x, row) && shows(state.y, row)) found.push(row);
  }
  return found;
}

function colourOf(name, value) {
  if (name !== "dim") {
    const found = data.colours[name][value] ?? "#777777";
    return found === "#000000" ? "currentColor" : found;
  }
  const dims = valuesOf("dim"), at = dims.indexOf(value);
  return RAMP[Math.round(at * (RAMP.length - 1) / Math.max(1, dims.length - 1))];
}

function valuesOf(name) {
  if (name === "dim") return [...new Set(result.runs.numbers.dim)].sort((a, b) => a - b).map(String);
  const { values, codes } = result.runs.texts[name], used = new Set(codes);
  return values.filter((_, at) => used.has(at)).sort();
}

const shapeAt = (at) => (at + Math.floor(at / SHAPES.length)) % SHAPES.length;

function explorerSpec(points) {
  const scale = (name) => {
    const axis = axisOf(name);
    return { type: axis.log ? "log" : "linear", nice: false, padding: 16, ...(axis.log ? {} : { zero: false }) };
  };
  const x = { field: "x", type: "quantitative", title: axisTitle(state.x), scale: scale(state.x), axis: { tickCount: 6 } };
  const y = { field: "y", type: "quantitative", title: axisTitle(state.y), scale: scale(state.y), axis: { tickCount: 6 } };
  const layer = [
    { data: { name: "front" }, mark: { type: "line", interpolate: "linear", strokeDash: [4, 3], color: "currentColor", opacity: 0.6, tooltip: null }, encoding: { x, y, order: { field: "order" } } },
    {
      data: { name: "points" },
      mark: { type: "point", filled: true, size: points.length > 1500 ? 30 : 60, cursor: "pointer", tooltip: { content: "data" } },
      encoding: {
        x, y, color: { field: "colour", type: "nominal", scale: null }, shape: { field: "shape", type: "nominal", scale: null },
        opacity: { field: "opacity", type: "quantitative", scale: null }, description: { field: "label" },
      },
    },
    { data: { name: "marked" }, mark: { type: "point", size: 260, strokeWidth: 2.5, filled: false, tooltip: null }, encoding: { x, y, color: { field: "colour", type: "nominal", scale: null } } },
    ...["left", "right"].map((align) => ({
      data: { name: "marked" }, transform: [{ filter: `datum.align === '${align}'` }],
      mark: { type: "text", align, dx: align === "left" ? 12 : -12, dy: -10, fontSize: 12, fontWeight: "bold", tooltip: null }, encoding: { x, y, text: { field: "label" } },
    })),
  ];
  if (matchMedia("(pointer: fine)").matches) {
    layer[1].params = [{ name: "view", select: { type: "interval", zoom: "wheel![event.ctrlKey]" }, bind: "scales" }];
  }
  return {
    width: "container", height: matchMedia("(max-width: 600px)").matches ? 320 : 440, autosize: { type: "fit-x", contains: "padding" },
    description: `Every configuration: ${axisTitle(state.y)} against ${axisTitle(state.x)}. The same figures are in the table of configurations below.`,
    datasets: { points: [], front: [], marked: [] }, layer,
  };
}

function explorerData(found) {
  const candidates = filtered(state.colour), axes = { x: axisOf(state.x), y: axisOf(state.y) };
  const only = state.filters[state.colour] && new Set(state.filters[state.colour]);
  const rows = only ? candidates.filter((row) => only.has(result.facet(state.colour, row.i))) : candidates;
  const order = valuesOf(state.colour);
  const points = [];
  for (const row of rows) {
    const x = valueOn(state.x, row), y = valueOn(state.y, row);
    const facet = result.facet(state.colour, row.i);
    points.push({ x, y, i: row.i, label: result.text("label", row.i), colour: colourOf(state.colour, facet), shape: SHAPES[shapeAt(order.indexOf(facet))], opacity: row.why ? 0.35 : 0.95 });
  }
  const front = paretoFront(points, { x: axes.x.better, y: axes.y.better }).map((point, at) => ({ ...point, order: at }));
  const chosen = found.chosen?.i, marked = [], xs = points.map((point) => (axes.x.log ? Math.log(point.x) : point.x));
  const [from, to] = [xs.reduce((a, b) => Math.min(a, b), Infinity), xs.reduce((a, b) => Math.max(a, b), -Infinity)];
  for (const [place, point] of points.entries()) {
    // A name at the right edge stands to the left of its mark.
    const align = (xs[place] - from) / (to - from) > 0.8 ? "right" : "left";
    const at = state.pins.indexOf(result.text("trial_id", point.i));
    if (at >= 0) marked.push({ x: point.x, y: point.y, align, colour: "#c2185b", label: String(at + 1) });
    if (point.i === chosen) marked.push({ x: point.x, y: point.y, align, colour: "currentColor", label: "recommended" });
  }
  return { rows, candidates, points, front, marked };
}

async function showExplorer(found) {
  const { rows, candidates, points, front, marked } = explorerData(found);
  plotted = { points, front, rows, candidates, view: plotted?.view, key: plotted?.key };
  const spec = explorerSpec(points);
  const key = JSON.stringify(spec);
  const total = result.runs.total > result.count ? ` The page carries ${count(result.count)} of ${count(result.runs.total)} rows: those left out are on no front, and no setting makes them the recommendation.` : "";
  $("shown").textContent = `${count(points.length)} configurations are drawn, ${count(front.length)} on the front.${total}`;
  showLegend();
  showRows();
  if (plotted.key !== key || !plotted.view) {
    plotted.key = key;
    plotted.view?.finalize();
    spec.datasets = { points, front, marked };
    const embedded = await vegaEmbed($("plot"), spec, { ...EMBED, tooltip: explain });
    plotted.view = embedded.view;
    embedded.view.addEventListener("click", (event, item) => { if (item?.datum?.i !== undefined) pin(result.text("trial_id", item.datum.i)); });
  } else {
    await plotted.view.data("points", points).data("front", front).data("marked", marked).runAsync();
  }
}

const EMBED = {
  renderer: "svg", actions: false, mode: "vega-lite", ast: false,
  config: {
    background: null, font: "system-ui, sans-serif", view: { stroke: null },
    axis: { labelColor: "currentColor", titleColor: "currentColor", domainColor: "currentColor", tickColor: "currentColor", gridColor: "currentColor", gridOpacity: 0.13, labelFontSize: 12, titleFontSize: 12, titleFontWeight: "normal", labelOverlap: "greedy" },
    legend: { labelColor: "currentColor", titleColor: "currentColor", orient: "bottom", columns: 4, labelFontSize: 12, labelLimit: 260, symbolOpacity: 1 },
    text: { color: "currentColor", fill: "currentColor" }, title: { color: "currentColor" }, rule: { color: "currentColor" },
    range: { symbol: SHAPES },
  },
};

/** Lines of the whole configuration of a row. */
function facts(row) {
  return COMPARED.map(([name, of]) => [name, of(row)]).filter(([, text]) => text && text !== "–");
}

function explain(handler, event, item, value) {
  const tip = $("tip");
  if (value === null || value === undefined || value === "") { tip.hidden = true; return; }
  const lines = item?.datum?.i !== undefined ? facts(servedOf(item.datum.i)) : Object.entries(value);
  showTip(lines, item?.datum?.label, event.clientX, event.clientY);
}

function showTip(lines, title, x, y) {
  const tip = $("tip");
  tip.replaceChildren(...(title ? [make("strong", { text: title })] : []), make("dl", {}, ...lines.flatMap(([name, text]) => [make("dt", { text: name }), make("dd", { text: String(text) })])));
  tip.hidden = false;
  const box = tip.getBoundingClientRect(), edge = 8;
  tip.style.left = `${Math.max(edge, Math.min(x + 14, innerWidth - box.width - edge))}px`;
  tip.style.top = `${Math.max(edge, y + 14 + box.height > innerHeight ? y - box.height - 14 : y + 14)}px`;
}

/** Arrow keys walk along the front; Enter pins; Escape closes. */
function walk(event) {
  const step = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key];
  const front = plotted?.front ?? [];
  if (event.key === "Escape") $("tip").hidden = true;
  if (event.key === "Enter" && plotted?.at !== undefined && front[plotted.at]) { pin(result.text("trial_id", front[plotted.at].i)); event.preventDefault(); }
  if (!step || !front.length) return;
  event.preventDefault();
  plotted.at = plotted.at === undefined ? 0 : Math.max(0, Math.min(front.length - 1, plotted.at + step));
  const point = front[plotted.at], box = $("plot").querySelector("svg").getBoundingClientRect();
  const [left, top] = plotted.view.origin();
  showTip(facts(servedOf(point.i)), point.label, box.left + left + plotted.view.scale("x")(point.x), box.top + top + plotted.view.scale("y")(point.y));
  $("said").textContent = `${plotted.at + 1} of ${front.length} on the front: ${point.label}, ${axisOf(state.y).label} ${digits(point.y)}, ${axisOf(state.x).label} ${digits(point.x)}`;
}

function showLegend() {
  const name = state.colour, all = valuesOf(name), chosen = state.filters[name];
  const has = new Set(plotted.candidates.map((row) => result.facet(name, row.i)));
  $("legend").replaceChildren(...all.filter((value) => has.has(value)).map((value) => {
    const at = all.indexOf(value);
    const isOn = !chosen || chosen.includes(value);
    const mark = make("span", { class: "mark", "aria-hidden": "true", text: GLYPHS[shapeAt(at)] });
    mark.style.color = colourOf(name, value);
    return make("button", { type: "button", "aria-pressed": String(isOn), title: "show only this; again, show all", onclick: () => {
      state.filters[name] = chosen?.length === 1 && isOn ? undefined : [value];
      if (!state.filters[name]) delete state.filters[name];
      showFacets();
      update();
    } }, mark, make("span", { text: name === "dim" ? `${value} d` : value }));
  }));
}

function showFacets() {
  const open = new Set([...$("facets").querySelectorAll("details[open]")].map((each) => each.dataset.name));
  const parts = Object.entries(FACETS).map(([name, label]) => {
    const values = valuesOf(name);
    if (values.length < 2) return null;
    const chosen = state.filters[name];
    const boxes = values.map((value) => make("label", {}, make("input", { type: "checkbox", value, name, checked: !chosen || chosen.includes(value), onchange: (event) => {
      const on = new Set(state.filters[name] ?? values);
      if (event.target.checked) on.add(value); else on.delete(value);
      state.filters[name] = values.filter((each) => on.has(each));
      if (state.filters[name].length === values.length) delete state.filters[name];
      showFacets();
      update();
    } }), make("span", { text: name === "dim" ? `${value} d` : value || "none" })));
    const words = chosen ? (chosen.length > 2 ? `${chosen.length} of ${values.length}` : chosen.join(", ") || "none") : "all";
    const all = make("button", { type: "button", text: chosen ? "choose all" : "choose none", onclick: () => {
      if (chosen) delete state.filters[name]; else state.filters[name] = [];
      showFacets();
      update();
    } });
    return make("details", { "data-name": name, open: open.has(name) }, make("summary", {}, make("b", { text: label }), make("span", { text: `: ${words}` })), make("div", { class: "boxes", role: "group", "aria-label": label }, all, ...boxes));
  });
  $("facets").replaceChildren(...parts.filter(Boolean));
}

function showRows() {
  const [name, sign] = state.sort ?? ["quality", -1];
  const column = COLUMNS.find((each) => each.name === name);
  const value = column.value ?? ((row) => (name === "label" ? result.text("label", row.i) : row[name]));
  const unknown = (x) => (typeof x === "number" && Number.isNaN(x) ? 1 : 0);
  const rows = [...(plotted?.rows ?? [])].sort((a, b) => {
    const x = value(a), y = value(b);
    return unknown(x) - unknown(y) || sign * (x > y ? 1 : x < y ? -1 : 0);
  });
  fillTable($("rows"), rows.slice(0, state.shown), "all configurations that the filters leave", true);
  $("more").hidden = rows.length <= state.shown;
  $("more").textContent = `show ${count(Math.min(100, rows.length - state.shown))} more of ${count(rows.length)}`;
}

// -------------------------------------------------------------------------------- the figures

function showCharts() {
  drawn.clear();
  const figures = group().charts.map((chart) => {
    const heads = Object.entries(chart.headings);
    const cell = (value) => (typeof value === "number" ? digits(value, 4) : value ?? "–");
    const table = make("table", {}, make("caption", { class: "hidden", text: chart.title }), make("thead", {}, make("tr", {}, ...heads.map(([, text]) => make("th", { scope: "col", text })))),
      make("tbody", {}, ...chart.rows.map((row) => make("tr", {}, ...heads.map(([column]) => make("td", { text: cell(row[column]) }))))));
    return make("figure", { id: chart.name, "data-chart": chart.name },
      make("h3", { text: chart.title }), make("div", { class: "chart" }), make("figcaption", { text: chart.caption }),
      make("details", {}, make("summary", { text: "The figures as a table" }), make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `${chart.title}, table` }, table)),
      make("div", { class: "tools" }, ...["svg", "png"].map((kind) => make("button", { type: "button", text: kind.toUpperCase(), "aria-label": `save ${chart.title} as ${kind.toUpperCase()}`, onclick: () => savePicture(views.get(chart.name), kind, chart.name) }))));
  });
  $("charts").replaceChildren(...figures);
  drawCharts();
}

const views = new Map();

/** Draw the charts one after the other, so that the page answers in between. */
async function drawCharts() {
  const own = group();
  for (const chart of own.charts) {
    if (own !== group()) return;
    if (drawn.has(chart.name)) continue;
    drawn.add(chart.name);
    const place = document.querySelector(`[data-chart="${chart.name}"] .chart`);
    const text = JSON.stringify(chart.spec).replaceAll('"#000000"', '"currentColor"');
    const plain = JSON.parse(text);
    const spec = { ...plain, datasets: { ...plain.datasets, rows: chart.rows }, autosize: { type: "fit-x", contains: "padding" } };
    const columns = place.clientWidth < 500 ? 3 : 6;
    const config = { ...EMBED.config, legend: { ...EMBED.config.legend, columns } };
    const embedded = await vegaEmbed(place, spec, { ...EMBED, config, tooltip: explain });
    views.set(chart.name, embedded.view);
    await new Promise((done) => setTimeout(done));
  }
  document.body.dataset.drawn = "yes";
}

function showLost() {
  const lost = group().lost, dims = Object.keys(lost).map(Number).sort((a, b) => b - a);
  $("lost-part").hidden = !dims.length;
  if (!dims.length) return;
  const dim = state.lost ?? dims[Math.floor(dims.length / 2)];
  $("lost-dim").replaceChildren(...dims.map((d) => make("option", { value: d, selected: d === dim, text: `${d} d` })));
  $("lost-dim").value = String(dim);
  const rank = (value) => (value === null ? "–" : count(value));
  $("lost").replaceChildren(
    make("caption", { class: "hidden", text: `queries that lose most at ${dim} dimensions` }),
    make("thead", {}, make("tr", {}, ...["query", `rank at ${group().full_dim} d`, `rank at ${dim} d`, `${group().quality} at ${group().full_dim} d`, `at ${dim} d`].map((text) => make("th", { scope: "col", text })))),
    make("tbody", {}, ...lost[dim].map((each) => make("tr", {}, make("th", { scope: "row", text: each.text || each.query, title: each.query }), make("td", { text: rank(each.rank) }), make("td", { text: rank(each.rank_short) }), make("td", { text: each.quality.toFixed(3) }), make("td", { text: each.quality_short.toFixed(3) })))));
}

// -------------------------------------------------------------------------------- taking away

function save(name, content, type) {
  const url = URL.createObjectURL(content instanceof Blob ? content : new Blob([content], { type }));
  const link = make("a", { href: url, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}

async function savePicture(view, kind, name) {
  if (!view) return;
  if (kind === "svg") { save(`${name}.svg`, (await view.toSVG()).replaceAll("currentColor", "#1a1d21"), "image/svg+xml"); return; }
  const canvas = await view.toCanvas(2), page = document.createElement("canvas");
  [page.width, page.height] = [canvas.width, canvas.height];
  const pen = page.getContext("2d");
  pen.fillStyle = "#ffffff";
  pen.fillRect(0, 0, page.width, page.height);
  pen.drawImage(canvas, 0, 0);
  page.toBlob((blob) => save(`${name}.png`, blob));
}

function csv(rows) {
  const texts = Object.keys(result.runs.texts), numbers = Object.keys(result.runs.numbers).filter((name) => !["group", "alike"].includes(name));
  const served = ["memory_bytes_of_all", "per_month", "fits"];
  // A cell that begins like a formula gets a quote, so that a spreadsheet does not run it.
  const cell = (value) => { const text = String(value); const safe = /^[=+@\t\r]/.test(text) ? `'${text}` : text; return /[",\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe; };
  const lines = rows.map((row) => [
    ...texts.map((name) => cell(result.text(name, row.i))),
    ...numbers.map((name) => { const v = result.number(name, row.i); return Number.isNaN(v) ? "" : v; }),
    row.memory, row.month, row.why ? "no" : "yes",
  ].map((v) => (typeof v === "number" && Number.isNaN(v) ? "" : v)).join(","));
  return [[...texts, ...numbers, ...served].join(","), ...lines].join("\n") + "\n";
}

async function copy(text, button) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const box = make("textarea", { text });
    document.body.append(box);
    box.select();
    document.execCommand("copy");
    box.remove();
  }
  const before = button.textContent;
  button.textContent = "copied";
  setTimeout(() => { button.textContent = before; }, 1500);
}

// ------------------------------------------------------------------------------ the controls

function showControls() {
  const s = state.settings, own = group();
  if ($("switch")) $("switch").value = String(state.r);
  const groups = result.groups.map((each, at) => make("option", { value: at, text: each.title }));
  $("group").replaceChildren(...groups);
  $("group").value = String(state.g);
  $("group-part").hidden = result.groups.length < 2;
  $("documents").replaceChildren(...own.sizes.map((n) => make("option", { value: n, text: n === own.n_corpus ? `${count(n)} (measured)` : count(n) })));
  $("documents").value = String(s.documents);
  $("keep").value = String(100 * s.retain);
  $("keep-number").value = String(Number((100 * s.retain).toFixed(2)));
  $("objective").value = s.objective;
  $("qps").value = String(s.qps);
  for (const [name, unit] of Object.entries(LIMITS)) $(name).value = s[name] === Infinity ? "" : String(Number((s[name] / unit).toPrecision(12)));
  for (const name of ["memory_gib_month", "disk_gib_month", "vcpu_hour", "utilisation"]) $(name).value = String(s.prices[name]);
  $("price-list").textContent = `${s.prices.name}, ${s.prices.date}. An example: put in your own.`;
  $("size").textContent = own.size;
  for (const [id, value] of [["x", state.x], ["y", state.y]]) {
    $(id).replaceChildren(...result.runs.axes.map((axis) => make("option", { value: axis.name, text: axis.name === "quality" ? own.quality : axis.label })));
    $(id).value = value;
  }
  $("colour").value = state.colour;
  for (const part of document.querySelectorAll("[data-result]")) part.hidden = part.dataset.result !== String(state.r);
  for (const part of document.querySelectorAll("[data-group]")) part.hidden = part.dataset.group !== `${state.r}.${state.g}`;
  $("studies").replaceChildren(...Object.entries(result.studies).map(([name, text]) => make("li", {}, make("button", { type: "button", text: name, onclick: () => save(name, text, "application/toml") }))));
  $("studies-part").hidden = !Object.keys(result.studies).length;
}

function listen() {
  const changed = (id, set) => $(id).addEventListener("input", (event) => { set(event.target.value); update(); });
  const positive = (text, other) => { const value = Number(text); return text !== "" && value > 0 ? value : other; };
  const keep = (text) => { const value = Number(text); if (value > 0 && value <= 100) state.settings.retain = Number((value / 100).toPrecision(12)); };
  changed("keep", (text) => { keep(text); $("keep-number").value = text; });
  changed("keep-number", (text) => { keep(text); $("keep").value = text; });
  changed("objective", (text) => { state.settings.objective = text; });
  changed("documents", (text) => { state.settings.documents = Number(text); });
  changed("qps", (text) => { state.settings.qps = positive(text, result.queries_per_second); });
  for (const [name, unit] of Object.entries(LIMITS)) changed(name, (text) => { state.settings[name] = positive(text, Infinity) * unit; });
  for (const name of ["memory_gib_month", "disk_gib_month", "vcpu_hour", "utilisation"]) {
    changed(name, (text) => { const value = Number(text); if (text !== "" && value >= 0 && !(name === "utilisation" && !(value > 0 && value <= 1))) state.settings.prices[name] = value; });
  }
  changed("x", (text) => { state.x = text; });
  changed("y", (text) => { state.y = text; });
  changed("colour", (text) => { state.colour = text; });
  $("group").addEventListener("input", (event) => enter({ ...freshState(state.r, Number(event.target.value)) }));
  $("switch")?.addEventListener("input", (event) => enter(freshState(Number(event.target.value), 0)));
  $("settings").addEventListener("submit", (event) => event.preventDefault());
  $("reset").addEventListener("click", () => enter(freshState(state.r, state.g)));
  for (const button of document.querySelectorAll("[data-copies]")) button.addEventListener("click", () => copy($(button.dataset.copies).textContent, button));
  $("link").addEventListener("click", (event) => copy(location.href, event.target));
  $("csv").addEventListener("click", () => save(`${result.name}.csv`, csv(plotted.rows), "text/csv"));
  $("json").addEventListener("click", () => save("page.json", JSON.stringify(data), "application/json"));
  $("svg").addEventListener("click", () => savePicture(plotted.view, "svg", "explorer"));
  $("png").addEventListener("click", () => savePicture(plotted.view, "png", "explorer"));
  $("more").addEventListener("click", () => { state.shown += 100; showRows(); });
  $("unfilter").addEventListener("click", () => { state.filters = freshState(state.r, state.g).filters; showFacets(); update(); });
  $("lost-dim").addEventListener("input", (event) => { state.lost = Number(event.target.value); showLost(); remember(); });
  $("plot-part").addEventListener("keydown", walk);
  $("plot-part").addEventListener("blur", () => { $("tip").hidden = true; });
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") $("tip").hidden = true; });
  // The fragment holds the state, so a link within the page must not replace it.
  document.querySelector("nav").addEventListener("click", (event) => {
    const place = event.target.hash && document.querySelector(event.target.hash);
    if (!place) return;
    event.preventDefault();
    place.scrollIntoView();
    place.setAttribute("tabindex", "-1");
    place.focus({ preventScroll: true });
  });
  addEventListener("hashchange", () => enter(stateOf(location.hash)));
}

let busy = null;

/** Show what the state says. Moves of a slider that come meanwhile are shown together. */
function update() {
  if (busy) { busy.again = true; return busy.done; }
  busy = { again: false };
  busy.done = (async () => {
    do {
      busy.again = false;
      remember();
      const found = showVerdict();
      showPins();
      await showExplorer(found);
    } while (busy.again);
    busy = null;
  })();
  return busy.done;
}

async function enter(next) {
  const isOther = !state || next.r !== state.r || next.g !== state.g;
  state = next;
  result = data.results[state.r];
  showControls();
  showFacets();
  await update();
  if (isOther) showCharts();
  showLost();
}

async function start() {
  data = await unpacked("data");
  data.results.forEach(readable);
  listen();
  await enter(stateOf(location.hash));
  document.body.dataset.ready = String(Math.round(performance.now()));
}

start().catch((error) => {
  $("answer").prepend(make("p", { class: "lead", text: `This browser cannot show the page (${error.message}). The tables below still hold the figures.` }));
  throw error;
});
