"use strict";
// The chart of all configurations, with its filters, legend and front.

const axisOf = (name) => result.runs.axes.find((axis) => axis.name === name);

function valueOn(name, row) {
  const own = {
    memory_bytes_of_all: row.memory,
    per_month: row.month,
    latency_ms_p50: row.p50,
    latency_ms_p95: row.p95,
    build_seconds: row.build,
  };
  return name in own ? own[name] : result.number(name, row.i);
}

function axisTitle(name) {
  const axis = axisOf(name),
    arrow = { higher: ", higher is better", lower: ", lower is better" }[axis.better] ?? "";
  const moves = [
    "latency_ms_p50",
    "latency_ms_p95",
    "memory_bytes_of_all",
    "per_month",
    "build_seconds",
  ].includes(name);
  const label = name === "quality" ? group().quality : axis.label;
  return `${label}${moves ? among() : ""}${arrow}`;
}

function colourOf(name, value) {
  if (name !== "dim") {
    return visible(data.colours[name][value] ?? "#777777");
  }
  const dims = valuesOf("dim"),
    at = dims.indexOf(value);
  return visible(RAMP[Math.round((at * (RAMP.length - 1)) / Math.max(1, dims.length - 1))]);
}

const shapeAt = (at) => (at + Math.floor(at / SHAPES.length)) % SHAPES.length;

function explorerSpec(points) {
  const scale = (name) => {
    const axis = axisOf(name);
    return {
      type: axis.log ? "log" : "linear",
      nice: false,
      padding: 16,
      ...(axis.log ? {} : { zero: false }),
    };
  };
  const x = {
    field: "x",
    type: "quantitative",
    title: axisTitle(state.x),
    scale: scale(state.x),
    axis: { tickCount: 6 },
  };
  const y = {
    field: "y",
    type: "quantitative",
    title: axisTitle(state.y),
    scale: scale(state.y),
    axis: { tickCount: 6 },
  };
  const layer = [
    {
      data: { name: "front" },
      mark: {
        type: "line",
        interpolate: "linear",
        strokeDash: [4, 3],
        color: "currentColor",
        opacity: 0.6,
        tooltip: null,
      },
      encoding: { x, y, order: { field: "order" } },
    },
    {
      data: { name: "points" },
      mark: {
        type: "point",
        filled: true,
        size: points.length > 1500 ? 30 : 60,
        cursor: "pointer",
        tooltip: { content: "data" },
      },
      encoding: {
        x,
        y,
        color: { field: "colour", type: "nominal", scale: null },
        shape: { field: "shape", type: "nominal", scale: null },
        opacity: { field: "opacity", type: "quantitative", scale: null },
        description: { field: "label" },
      },
    },
    {
      data: { name: "marked" },
      mark: { type: "point", size: 260, strokeWidth: 2.5, filled: false, tooltip: null },
      encoding: { x, y, color: { field: "colour", type: "nominal", scale: null } },
    },
    ...["left", "right"].map((align) => ({
      data: { name: "marked" },
      transform: [{ filter: `datum.align === '${align}'` }],
      mark: {
        type: "text",
        align,
        dx: align === "left" ? 12 : -12,
        dy: -10,
        fontSize: 12,
        fontWeight: "bold",
        tooltip: null,
      },
      encoding: { x, y, text: { field: "label" } },
    })),
  ];
  if (matchMedia("(pointer: fine)").matches) {
    layer[1].params = [
      { name: "view", select: { type: "interval", zoom: "wheel![event.ctrlKey]" }, bind: "scales" },
    ];
  }
  return {
    width: "container",
    height: matchMedia("(max-width: 600px)").matches ? 320 : 440,
    autosize: { type: "fit-x", contains: "padding" },
    description: `Every configuration: ${axisTitle(state.y)} against ${axisTitle(state.x)}. The same figures are in the table of configurations below.`,
    datasets: { points: [], front: [], marked: [] },
    layer,
  };
}

function explorerData(found) {
  const candidates = filtered(state.colour),
    axes = { x: axisOf(state.x), y: axisOf(state.y) };
  const only = state.filters[state.colour] && new Set(state.filters[state.colour]);
  const rows = only
    ? candidates.filter((row) => only.has(result.facet(state.colour, row.i)))
    : candidates;
  const order = valuesOf(state.colour);
  const points = [];
  for (const row of rows) {
    const x = valueOn(state.x, row),
      y = valueOn(state.y, row);
    const facet = result.facet(state.colour, row.i);
    points.push({
      x,
      y,
      i: row.i,
      label: result.text("label", row.i),
      colour: colourOf(state.colour, facet),
      shape: SHAPES[shapeAt(order.indexOf(facet))],
      opacity: row.why ? 0.35 : 0.95,
    });
  }
  const front = paretoFront(points, { x: axes.x.better, y: axes.y.better }).map((point, at) => ({
    ...point,
    order: at,
  }));
  const chosen = found.chosen?.i,
    marked = [],
    xs = points.map((point) => (axes.x.log ? Math.log(point.x) : point.x));
  const [from, to] = [
    xs.reduce((a, b) => Math.min(a, b), Infinity),
    xs.reduce((a, b) => Math.max(a, b), -Infinity),
  ];
  for (const [place, point] of points.entries()) {
    // A name at the right edge stands to the left of its mark.
    const align = (xs[place] - from) / (to - from) > 0.8 ? "right" : "left";
    const at = state.pins.indexOf(result.text("trial_id", point.i));
    if (at >= 0)
      marked.push({ x: point.x, y: point.y, align, colour: "#c2185b", label: String(at + 1) });
    if (point.i === chosen)
      marked.push({ x: point.x, y: point.y, align, colour: "currentColor", label: "recommended" });
  }
  return { rows, candidates, points, front, marked };
}

async function showExplorer(found) {
  const { rows, candidates, points, front, marked } = explorerData(found);
  plotted = { points, front, rows, candidates, view: plotted?.view, key: plotted?.key };
  const spec = explorerSpec(points);
  const key = JSON.stringify(spec);
  const total =
    result.runs.total > result.count
      ? ` The page carries ${count(result.count)} of ${count(result.runs.total)} rows: those left out are on no front, and no setting makes them the recommendation.`
      : "";
  $("shown").textContent =
    `${count(points.length)} configurations are drawn, ${count(front.length)} on the front.${total}`;
  showLegend();
  showRows();
  if (plotted.key !== key || !plotted.view) {
    plotted.key = key;
    plotted.view?.finalize();
    spec.datasets = { points, front, marked };
    const embedded = await vegaEmbed($("plot"), spec, { ...EMBED, tooltip: explain });
    plotted.view = embedded.view;
    embedded.view.addEventListener("click", (event, item) => {
      if (item?.datum?.i !== undefined) pin(result.text("trial_id", item.datum.i));
    });
  } else {
    await plotted.view
      .data("points", points)
      .data("front", front)
      .data("marked", marked)
      .runAsync();
  }
}

const EMBED = {
  renderer: "svg",
  actions: false,
  logLevel: 1,
  mode: "vega-lite",
  ast: false,
  config: {
    background: null,
    font: "system-ui, sans-serif",
    view: { stroke: null },
    axis: {
      labelColor: "currentColor",
      titleColor: "currentColor",
      domainColor: "currentColor",
      tickColor: "currentColor",
      gridColor: "currentColor",
      gridOpacity: 0.13,
      labelFontSize: 12,
      titleFontSize: 12,
      titleFontWeight: "normal",
      labelOverlap: "greedy",
    },
    legend: {
      labelColor: "currentColor",
      titleColor: "currentColor",
      orient: "bottom",
      // One below the other: side by side, two could be wider than the chart.
      layout: { bottom: { direction: "vertical" } },
      columns: 4,
      labelFontSize: 12,
      labelLimit: 260,
      symbolOpacity: 1,
    },
    text: { color: "currentColor", fill: "currentColor" },
    title: { color: "currentColor" },
    rule: { color: "currentColor" },
    range: { symbol: SHAPES },
  },
};
