"use strict";
// The decision of `matryoshka-bench recommend`, for settings that the reader moves. The names are
// those of bench/analysis/{recommendation,serving,sizing,money}.py, which a test holds it against.

const ALIKE = 1.1; // values within this factor count as equal
const GIB = 2 ** 30;
const HOURS = 730; // per month

/** The settings that a page begins with. */
function defaults(result, group) {
  return {
    retain: result.retain,
    objective: "memory",
    p95: Infinity,
    bytes: Infinity,
    memory: Infinity,
    documents: group.n_corpus,
    qps: result.queries_per_second,
    prices: { ...result.prices },
  };
}

/** Processor, memory and disk of one copy of an index per month. */
function costPerMonth(prices, documents, bytes, disk, ms, qps) {
  const held = Number.isNaN(bytes) ? 0 : bytes;
  const processorSecond = prices.vcpu_hour / 3600 / prices.utilisation;
  return (
    ((documents * held) / GIB) * prices.memory_gib_month +
    ((documents * disk) / GIB) * prices.disk_gib_month +
    ((qps * ms) / 1e3) * processorSecond * 3600 * HOURS
  );
}

/** One row where it will serve. `number(name, i)` reads a column, NaN if it is empty. */
function servedRow(result, group, settings, i) {
  const number = (name) => result.number(name, i);
  const n = number("n_corpus"),
    documents = settings.documents;
  const isBeyond = documents !== group.n_corpus;
  let p50 = number("latency_ms_p50"),
    p95 = number("latency_ms_p95");
  let build = number("build_seconds"),
    need = settings.retain;
  const bytes = number("bytes_per_vector");
  if (isBeyond) {
    const growth = group.growth[result.text("backend", i)];
    let factor = growth ? (documents / n) ** growth.latency : NaN;
    if (growth && growth.scans) {
      const faster = Math.max(1, orElse(number("bandwidth_fraction"), 1));
      const bits = orElse(number("component_bits"), 32);
      const outside = Math.max(
        0,
        1 - result.cache_bytes / ((documents * number("dim") * bits) / 8),
      );
      factor *= 1 + (faster - 1) * outside;
    }
    const rescored = orElse(number("rescore_ms_p50"), 0);
    const slowed = (ms) => Math.max(0, ms - rescored) * factor + Math.min(rescored, ms);
    p50 = slowed(p50);
    p95 = slowed(p95);
    build = growth ? build * (documents / n) ** growth.build : NaN;
    const kept = group.factors[number("alike")][group.sizes.indexOf(documents)];
    need = kept === null ? Infinity : settings.retain / kept;
  }
  const disk = orElse(number("disk_bytes_per_vector"), 0);
  return {
    i,
    p50,
    p95,
    build,
    need,
    bytes,
    disk,
    low: number("low"),
    memory: bytes * documents,
    month: costPerMonth(settings.prices, documents, bytes, disk, p50, settings.qps),
  };
}

const orElse = (value, other) => (Number.isNaN(value) ? other : value);

/** Why a row is not chosen; empty if it may be. */
function rejection(result, settings, row) {
  const caution = result.text("caution", row.i);
  if (caution) return caution;
  if (Number.isNaN(row.low)) return "its results per query are missing, so nothing can be shown";
  if (row.need === Infinity) {
    const group = result.groups[result.number("group", row.i)];
    const why = group.refused[group.sizes.indexOf(settings.documents)];
    return `nothing can be said of it among that many documents${why ? `: ${why}` : ""}`;
  }
  if (!(row.low >= row.need)) return tooLittle(result, settings, row);
  if (settings.memory !== Infinity && !(row.memory <= settings.memory))
    return "its memory of all documents is above the limit";
  if (settings.p95 !== Infinity && !(row.p95 <= settings.p95))
    return "its p95 latency is above the limit";
  if (settings.bytes !== Infinity && !(row.bytes <= settings.bytes))
    return "its bytes per vector are above the limit";
  return "";
}

function tooLittle(result, settings, row) {
  const kept = result.number("kept", row.i),
    high = result.number("high", row.i);
  let share = `the ${percent(row.need)} asked for`;
  if (row.need > 1)
    share = `all, and it loses too much at that number of documents to keep ${percent(settings.retain)}`;
  else if (row.need > settings.retain)
    share = `the ${percent(row.need)} that it takes here to keep ${percent(settings.retain)} there`;
  if (kept >= row.need)
    return `it keeps ${percent(kept)}, but its interval reaches down to ${percent(row.low)}, below ${share}`;
  return `it keeps ${percent(kept)} [${percent(row.low)}, ${percent(high)}], less than ${share}`;
}

/** Decide for one group: what to use, the runner-up, all that fit in order, the next cheaper one. */
function decide(result, groupIndex, settings) {
  const group = result.groups[groupIndex];
  const byLatency = settings.objective === "latency";
  const value = { memory: (r) => r.bytes, latency: (r) => r.p50, cost: (r) => r.month }[
    settings.objective
  ];
  const other = byLatency ? (r) => r.bytes : (r) => r.p50;
  const last = (x) => (Number.isNaN(x) ? Infinity : x);
  const rows = result
    .rowsOf(groupIndex)
    .filter((i) => result.number("timed", i) === 1)
    .map((i) => servedRow(result, group, settings, i));
  for (const row of rows) row.value = value(row);
  rows.sort((a, b) => last(a.value) - last(b.value) || 0); // stable: ties stay as `recommend` has them
  for (const row of rows) row.why = rejection(result, settings, row);
  const fit = rows.filter((row) => row.why === "");
  if (!fit.length) return { rows, fit, chosen: null, nearest: nearest(rows) };
  const least = Math.min(...fit.map((row) => last(row.value)));
  let near = fit.filter((row) => row.value <= ALIKE * least);
  if (!near.length) near = fit;
  const best = (some) => some.reduce((a, b) => (last(other(b)) < last(other(a)) ? b : a));
  const chosen = best(near),
    cheaper = rows.filter((row) => row.value < least);
  const rest = fit.filter((row) => row !== chosen);
  const nearRest = near.filter((row) => row !== chosen);
  return {
    rows,
    fit,
    chosen,
    runnerUp: nearRest.length ? best(nearRest) : rest.length ? rest[0] : null,
    otherwise: best(fit),
    cheaper: cheaper.length ? cheaper[cheaper.length - 1] : null,
  };
}

/** The row whose lower bound comes nearest to what is needed. */
function nearest(rows) {
  const known = rows.filter((row) => !Number.isNaN(row.low));
  const gap = (row) => row.low - row.need;
  return known.length ? known.reduce((a, b) => (gap(b) > gap(a) ? b : a)) : null;
}

/** The rows that no other beats: points {x, y}, with what is better on each axis. */
function paretoFront(points, better) {
  const sign = { higher: -1, lower: 1 };
  const sx = sign[better.x] ?? 1,
    sy = sign[better.y] ?? 1;
  const sorted = [...points].sort((a, b) => sx * (a.x - b.x) || sy * (a.y - b.y));
  let lowest = Infinity;
  return sorted.filter((point) => {
    if (!(sy * point.y < lowest)) return false;
    lowest = sy * point.y;
    return true;
  });
}

const percent = (share) => (Number.isNaN(share) ? "?" : `${(100 * share).toFixed(1)}%`);
const bytesText = (count) => {
  if (Number.isNaN(count)) return "unknown";
  const units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
  let at = 0;
  while (Math.abs(count) >= 1024 && at < units.length - 1) {
    count /= 1024;
    at += 1;
  }
  return `${count >= 1000 ? Math.round(count).toLocaleString("en-US") : Number(count.toPrecision(3))} ${units[at]}`;
};
const secondsText = (seconds) => {
  for (const [most, unit, next] of [
    [90, "s", 60],
    [60, "minutes", 60],
    [48, "hours", 24],
  ]) {
    if (seconds < most) return `${Number(seconds.toPrecision(2))} ${unit}`;
    seconds /= next;
  }
  return `${Math.round(seconds).toLocaleString("en-US")} days`;
};
const digits = (value, count = 3) => {
  if (Number.isNaN(value) || value === null || value === undefined) return "–";
  if (Math.abs(value) >= 1000) return Number(value.toPrecision(count)).toLocaleString("en-US");
  return String(Number(value.toPrecision(count)));
};
