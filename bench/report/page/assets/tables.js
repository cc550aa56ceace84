"use strict";
// Tables of configurations, and the pinned ones side by side.

const COLUMNS = [
  { name: "label", head: "configuration", of: (row) => result.text("label", row.i) },
  {
    name: "quality",
    isMore: true,
    head: () => group().quality,
    of: (row) => figure(row, "quality", 3),
    value: (row) => result.number("quality", row.i),
  },
  {
    name: "kept",
    head: "keeps [95 %]",
    of: (row) =>
      `${percent(result.number("kept", row.i))} [${percent(row.low)}, ${percent(result.number("high", row.i))}]`,
    value: (row) => result.number("kept", row.i),
  },
  { name: "p50", head: "p50 ms", of: (row) => digits(row.p50) },
  { name: "p95", head: "p95 ms", of: (row) => digits(row.p95) },
  { name: "bytes", head: "bytes", of: (row) => digits(row.bytes, 4) },
  { name: "memory", isMore: true, head: "memory", of: (row) => bytesText(row.memory) },
  {
    name: "month",
    head: () => `${state.settings.prices.currency} per month`,
    of: (row) => digits(row.month),
  },
  {
    name: "build",
    isMore: true,
    head: "build",
    of: (row) => (Number.isNaN(row.build) ? "–" : secondsText(row.build)),
  },
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
    return make(
      "th",
      { scope: "col", "aria-sort": order },
      make("button", {
        type: "button",
        class: "sort",
        text,
        onclick: () => {
          state.sort = [column.name, name === column.name ? -sign : 1];
          showRows();
        },
      }),
    );
  });
  const body = rows.map((row) =>
    make(
      "tr",
      { class: row.why ? "unfit" : null },
      ...columns.map((column, at) =>
        make(
          at ? "td" : "th",
          at ? { text: column.of(row) } : { scope: "row", text: column.of(row) },
        ),
      ),
      make("td", { class: "pins" }, pinButton(row.i)),
    ),
  );
  table.replaceChildren(
    make("caption", { class: "hidden", text: caption }),
    make(
      "thead",
      {},
      make("tr", {}, ...heads, make("th", { scope: "col", class: "pins", text: "pin" })),
    ),
    make("tbody", {}, ...body),
  );
}

function pinButton(i) {
  const id = result.text("trial_id", i),
    isPinned = state.pins.includes(id);
  return make("button", {
    type: "button",
    class: "pin",
    "aria-pressed": String(isPinned),
    text: isPinned ? "pinned" : "pin",
    "aria-label": `${isPinned ? "unpin" : "pin"} ${result.text("label", i)}`,
    onclick: () => pin(id),
  });
}

function pin(id) {
  const held = state.pins.includes(id);
  state.pins = held
    ? state.pins.filter((other) => other !== id)
    : [...state.pins, id].slice(-MOST_PINS);
  update();
}

const COMPARED = [
  ["dataset", (row) => result.text("dataset", row.i)],
  ["encoder", (row) => result.text("encoder", row.i)],
  ["backend", (row) => result.text("backend", row.i)],
  ["reducer", (row) => result.text("reducer", row.i)],
  ["dimension", (row) => result.facet("dim", row.i)],
  ["precision", (row) => result.text("precision", row.i)],
  ["stages", (row) => result.text("stages", row.i)],
  ["settings", (row) => result.text("settings", row.i)],
  ["quality [95 %]", (row) => interval(row.i, "quality", 3)],
  [
    "keeps [bounds for all at once]",
    (row) =>
      `${percent(result.number("kept", row.i))} [${percent(row.low)}, ${percent(result.number("high", row.i))}]`,
  ],
  ["ANN recall@10", (row) => digits(result.number("ann_recall_at_10", row.i))],
  ["p50, ms", (row) => digits(row.p50)],
  ["p95, ms", (row) => digits(row.p95)],
  ["queries per second, as measured", (row) => digits(result.number("qps", row.i))],
  ["bytes per vector", (row) => digits(row.bytes, 5)],
  ["memory of all", (row) => bytesText(row.memory)],
  ["cost per month", (row) => money(row.month)],
  ["build", (row) => (Number.isNaN(row.build) ? "–" : secondsText(row.build))],
  ["lost by dimension", (row) => digits(result.number("loss_dimension", row.i))],
  ["lost by precision", (row) => digits(result.number("loss_precision", row.i))],
  ["lost by search", (row) => digits(result.number("loss_search", row.i))],
  [
    "fits your settings",
    (row) =>
      result.number("timed", row.i) !== 1 ? "not timed" : row.why ? `no: ${row.why}` : "yes",
  ],
  ["trial", (row) => result.text("trial_id", row.i)],
];

function interval(i, name, places) {
  const [value, low, high] = ["", "_low", "_high"].map((end) => result.number(`${name}${end}`, i));
  if (Number.isNaN(value)) return "–";
  return Number.isNaN(low)
    ? value.toFixed(places)
    : `${value.toFixed(places)} [${low.toFixed(places)}, ${high.toFixed(places)}]`;
}

function showPins() {
  const ids = result.runs.texts.trial_id.values;
  const rows = state.pins.map((id) => servedOf(ids.indexOf(id)));
  $("pins-part").hidden = !rows.length;
  $("pins").replaceChildren(
    make("caption", { class: "hidden", text: "pinned configurations side by side" }),
    make(
      "thead",
      {},
      make(
        "tr",
        {},
        make("td"),
        ...rows.map((row) =>
          make(
            "th",
            { scope: "col" },
            make("span", { text: `${result.text("label", row.i)} ` }),
            pinButton(row.i),
          ),
        ),
      ),
    ),
    make(
      "tbody",
      {},
      ...COMPARED.map(([name, of]) => {
        const cells = rows.map(of),
          differ = new Set(cells).size > 1;
        return make(
          "tr",
          { class: differ && rows.length > 1 ? "differs" : null },
          make("th", { scope: "row", text: name }),
          ...cells.map((text) => make("td", { text })),
        );
      }),
    ),
  );
}

function servedOf(i) {
  const at = result.number("group", i);
  const settings =
    at === state.g
      ? state.settings
      : {
          ...state.settings,
          documents: result.groups[at].sizes.includes(state.settings.documents)
            ? state.settings.documents
            : result.groups[at].n_corpus,
        };
  const row = servedRow(result, result.groups[at], settings, i);
  row.why = result.number("timed", i) === 1 ? rejection(result, settings, row) : "not timed";
  return row;
}

function showRows() {
  const [name, sign] = state.sort ?? ["quality", -1];
  const column = COLUMNS.find((each) => each.name === name);
  const value =
    column.value ?? ((row) => (name === "label" ? result.text("label", row.i) : row[name]));
  const unknown = (x) => (typeof x === "number" && Number.isNaN(x) ? 1 : 0);
  const rows = [...(plotted?.rows ?? [])].sort((a, b) => {
    const x = value(a),
      y = value(b);
    return unknown(x) - unknown(y) || sign * (x > y ? 1 : x < y ? -1 : 0);
  });
  fillTable(
    $("rows"),
    rows.slice(0, state.shown),
    "all configurations that the filters leave",
    true,
  );
  $("more").hidden = rows.length <= state.shown;
  $("more").textContent =
    `show ${count(Math.min(100, rows.length - state.shown))} more of ${count(rows.length)}`;
}
