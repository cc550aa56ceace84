"use strict";
// The state of the page: what it is at first, and how the address holds it.

function freshState(r = 0, g = 0) {
  const group = data.results[r].groups[g];
  const axes = data.results[r].runs.axes.map((axis) => axis.name);
  const wanted = axes.includes("latency_ms_p50") ? "latency_ms_p50" : "dim";
  return {
    r,
    g,
    settings: defaults(data.results[r], group),
    x: wanted,
    y: "quality",
    colour: "backend",
    filters: { dataset: [group.dataset], encoder: [group.encoder] },
    pins: [],
    lost: null,
    sort: null,
    shown: FIRST_ROWS,
  };
}

/** What of the state is not as at first, as the fragment of the address. */
function fragment() {
  const first = freshState(state.r, state.g),
    out = new URLSearchParams();
  const put = (name, value, other) => {
    if (String(value) !== String(other)) out.set(name, value);
  };
  put("results", state.r, 0);
  put("group", state.g, 0);
  for (const name of ["retain", "objective", "documents", "qps", "p95", "bytes", "memory"])
    put(name, state.settings[name], first.settings[name]);
  for (const name of ["memory_gib_month", "disk_gib_month", "vcpu_hour", "utilisation"])
    put(name, state.settings.prices[name], first.settings.prices[name]);
  for (const name of ["x", "y", "colour", "lost"]) put(name, state[name], first[name]);
  for (const name of Object.keys(FACETS)) {
    const chosen = state.filters[name];
    if (chosen && String(chosen) !== String(first.filters[name]))
      out.set(`only_${name}`, JSON.stringify(chosen));
    if (!chosen && first.filters[name]) out.set(`only_${name}`, NONE);
  }
  if (state.pins.length) out.set("pins", state.pins.join(","));
  return out.toString();
}

/** The state that a fragment describes; what it gets wrong stays as at first. */
function stateOf(text) {
  const given = new URLSearchParams(text.replace(/^#/, ""));
  const whole = (name, most) => {
    const n = Number(given.get(name) ?? 0);
    return Number.isInteger(n) && n >= 0 && n < most ? n : 0;
  };
  const r = whole("results", data.results.length),
    g = whole("group", data.results[r].groups.length);
  const found = freshState(r, g),
    group = data.results[r].groups[g],
    axes = data.results[r].runs.axes.map((a) => a.name);
  for (const name of ["retain", "qps", "p95", "bytes", "memory"]) {
    const value = Number(given.get(name) ?? NaN);
    if (value > 0 && !(name === "retain" && value > 1)) found.settings[name] = value;
  }
  for (const name of ["memory_gib_month", "disk_gib_month", "vcpu_hour", "utilisation"]) {
    const value = Number(given.get(name) ?? NaN);
    if (value >= 0 && !(name === "utilisation" && !(value > 0 && value <= 1)))
      found.settings.prices[name] = value;
  }
  if (["memory", "latency", "cost"].includes(given.get("objective")))
    found.settings.objective = given.get("objective");
  if (group.sizes.includes(Number(given.get("documents"))))
    found.settings.documents = Number(given.get("documents"));
  for (const name of ["x", "y"]) if (axes.includes(given.get(name))) found[name] = given.get(name);
  if (given.get("colour") in COLOURED) found.colour = given.get("colour");
  if (Number(given.get("lost")) in group.lost) found.lost = Number(given.get("lost"));
  for (const name of Object.keys(FACETS)) {
    const value = given.get(`only_${name}`);
    if (value === NONE) delete found.filters[name];
    else if (value)
      try {
        found.filters[name] = JSON.parse(value).map(String);
      } catch {
        /* as at first */
      }
  }
  const ids = new Set(data.results[r].runs.texts.trial_id.values);
  found.pins = (given.get("pins") ?? "")
    .split(",")
    .filter((id) => ids.has(id))
    .slice(0, MOST_PINS);
  return found;
}

function remember() {
  const text = fragment();
  try {
    history.replaceState(null, "", text ? `#${text}` : location.pathname + location.search);
  } catch {
    /* a page within a notebook has no address of its own */
  }
}
