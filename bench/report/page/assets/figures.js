"use strict";
// The curves, each with the table behind it, and the queries that are lost.

function showCharts() {
  drawn.clear();
  const figures = group().charts.map((chart) => {
    const heads = Object.entries(chart.headings);
    const cell = (value) => (typeof value === "number" ? digits(value, 4) : (value ?? "–"));
    const table = make(
      "table",
      {},
      make("caption", { class: "hidden", text: chart.title }),
      make(
        "thead",
        {},
        make("tr", {}, ...heads.map(([, text]) => make("th", { scope: "col", text }))),
      ),
      make(
        "tbody",
        {},
        ...chart.rows.map((row) =>
          make("tr", {}, ...heads.map(([column]) => make("td", { text: cell(row[column]) }))),
        ),
      ),
    );
    return make(
      "figure",
      { id: chart.name, "data-chart": chart.name },
      make("h3", { text: chart.title }),
      make("div", { class: "chart" }),
      make("figcaption", { text: chart.caption }),
      make(
        "details",
        {},
        make("summary", { text: "The figures as a table" }),
        make(
          "div",
          { class: "scroll", tabindex: "0", role: "region", "aria-label": `${chart.title}, table` },
          table,
        ),
      ),
      make(
        "div",
        { class: "tools" },
        ...["svg", "png"].map((kind) =>
          make("button", {
            type: "button",
            text: kind.toUpperCase(),
            "aria-label": `save ${chart.title} as ${kind.toUpperCase()}`,
            onclick: () => savePicture(views.get(chart.name), kind, chart.name),
          }),
        ),
      ),
    );
  });
  $("charts").replaceChildren(...figures);
  drawCharts();
}

const views = new Map();
/** Widths in a legend, in pixels: of its narrowest entry, of a letter, of a symbol with its space. */
const MIN_ENTRY = 100,
  LETTER = 7,
  SYMBOL = 30;

/** Draw the charts one after the other, so that the page answers in between. */
async function drawCharts() {
  const own = group();
  for (const chart of own.charts) {
    if (own !== group()) return;
    if (drawn.has(chart.name)) continue;
    drawn.add(chart.name);
    const place = document.querySelector(`[data-chart="${chart.name}"] .chart`);
    const text = JSON.stringify(chart.spec).replace(/#[0-9a-f]{6}/gi, visible);
    const plain = JSON.parse(text);
    const spec = {
      ...plain,
      datasets: { ...plain.datasets, rows: chart.rows },
      autosize: { type: "fit-x", contains: "padding" },
    };
    const longest = Math.max(0, ...chart.rows.map((row) => String(row.series ?? "").length));
    const entry = Math.max(MIN_ENTRY, LETTER * longest + SYMBOL);
    const columns = Math.max(1, Math.floor(place.clientWidth / entry));
    const config = { ...EMBED.config, legend: { ...EMBED.config.legend, columns } };
    const embedded = await vegaEmbed(place, spec, { ...EMBED, config, tooltip: explain });
    views.set(chart.name, embedded.view);
    await new Promise((done) => setTimeout(done));
  }
  document.body.dataset.drawn = "yes";
}

function showLost() {
  const lost = group().lost,
    dims = Object.keys(lost)
      .map(Number)
      .sort((a, b) => b - a);
  $("lost-part").hidden = !dims.length;
  if (!dims.length) return;
  const dim = state.lost ?? dims[Math.floor(dims.length / 2)];
  $("lost-dim").replaceChildren(
    ...dims.map((d) => make("option", { value: d, selected: d === dim, text: `${d} d` })),
  );
  $("lost-dim").value = String(dim);
  const rank = (value) => (value === null ? "–" : count(value));
  $("lost").replaceChildren(
    make("caption", { class: "hidden", text: `queries that lose most at ${dim} dimensions` }),
    make(
      "thead",
      {},
      make(
        "tr",
        {},
        ...[
          "query",
          `rank at ${group().full_dim} d`,
          `rank at ${dim} d`,
          `${group().quality} at ${group().full_dim} d`,
          `at ${dim} d`,
        ].map((text) => make("th", { scope: "col", text })),
      ),
    ),
    make(
      "tbody",
      {},
      ...lost[dim].map((each) =>
        make(
          "tr",
          {},
          make("th", { scope: "row", text: each.text || each.query, title: each.query }),
          make("td", { text: rank(each.rank) }),
          make("td", { text: rank(each.rank_short) }),
          make("td", { text: each.quality.toFixed(3) }),
          make("td", { text: each.quality_short.toFixed(3) }),
        ),
      ),
    ),
  );
}
