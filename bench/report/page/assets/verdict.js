"use strict";
// The answer in words, for the settings of the reader.

const group = () => result.groups[state.g];
const money = (value) =>
  `${state.settings.prices.currency}${value.toLocaleString("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 2 })}`;
const count = (value) => Math.round(value).toLocaleString("en-US");
const among = () =>
  state.settings.documents === group().n_corpus
    ? ""
    : ` among ${count(state.settings.documents)} documents`;

function described(i) {
  const low = result.number("low", i),
    high = result.number("high", i);
  const label = result.text("label", i);
  if (low === 1 && high === 1) return `${label} (exact search, nothing cut)`;
  return `${label} (keeps ${percent(result.number("kept", i))} [${percent(low)}, ${percent(high)}] of ${group().quality})`;
}

const size = (row) =>
  Number.isNaN(row.bytes)
    ? "size unknown (the server does not report it)"
    : `${count(row.bytes)} bytes per vector`;
const times = (row) => `p50 ${row.p50.toFixed(3)} ms, p95 ${row.p95.toFixed(3)} ms`;

function whyText(row) {
  const speed = among() ? NaN : result.number("speedup_vs_exact", row.i);
  const faster = Number.isNaN(speed)
    ? ""
    : `, ${speed.toFixed(1)}× the speed of exact search at ${group().full_dim} d`;
  return `Use ${described(row.i)}: ${size(row)}, ${times(row)}${faster}${among()}.`;
}

function settingsText() {
  const s = state.settings,
    words = [];
  if (s.p95 !== Infinity) words.push(`p95 of at most ${s.p95} ms`);
  if (s.bytes !== Infinity) words.push(`at most ${s.bytes} bytes per vector`);
  if (s.memory !== Infinity) words.push(`at most ${bytesText(s.memory)} of memory`);
  return words.length ? ` with ${words.join(" and ")}` : "";
}

function verdictLines(found) {
  if (!group().among)
    return [
      "Nothing was timed, so there is no configuration to choose.",
      "A study's [[configurations]] name what is timed.",
    ];
  const word = state.settings.objective === "latency" ? "faster" : "cheaper";
  const basis =
    `Chosen among ${group().among} configurations. The bounds hold for all of them at once, in 95 % of samples of ${group().units}.` +
    (among() ? ` They are those among the ${count(group().n_corpus)} documents measured.` : "");
  if (!found.chosen) {
    const near = found.nearest ? ` The nearest is ${described(found.nearest.i)}.` : "";
    return [
      `No configuration measured is certain to keep ${percent(state.settings.retain)} of the ${group().quality} of exact search at the full dimension${among()}${settingsText()}.${near}`,
      basis,
    ];
  }
  const row = found.chosen,
    disk = row.disk ? `, ${bytesText(row.disk * state.settings.documents)} of disk` : "";
  const lines = [
    whyText(row),
    `${count(state.settings.documents)} documents take ${bytesText(row.memory)} of memory${disk} and ${secondsText(row.build)} to build. ` +
      `At ${state.settings.qps} queries per second that costs ${money(row.month)} per month.`,
    found.cheaper
      ? `Not the next ${word} one, ${result.text("label", found.cheaper.i)} (${size(found.cheaper)}): ${found.cheaper.why}.`
      : `No ${word} configuration was measured.`,
  ];
  if (found.runnerUp)
    lines.push(
      `Runner-up: ${described(found.runnerUp.i)}: ${size(found.runnerUp)}, ${times(found.runnerUp)}.`,
    );
  if (found.otherwise !== row && found.otherwise !== found.runnerUp) {
    const matters =
      state.settings.objective === "latency"
        ? "memory matters more than speed"
        : `speed matters more than ${state.settings.objective}`;
    lines.push(
      `If ${matters}: ${described(found.otherwise.i)}: ${size(found.otherwise)}, ${times(found.otherwise)}.`,
    );
  }
  if (among()) {
    const own = group().growth[result.text("backend", row.i)];
    const on = own.latency_sizes.length
      ? `fitted from ${own.latency_sizes.map(count).join(", ")} documents`
      : "assumed";
    lines.push(
      `Its latency is carried over from ${count(group().n_corpus)} documents: it grows with n to the power of ${own.latency.toFixed(2)}, ${on}.`,
    );
  }
  return [...lines, basis];
}

function showVerdict() {
  const found = decide(result, state.g, state.settings);
  const [first, ...others] = verdictLines(found);
  $("answer").replaceChildren(
    make("p", { class: "lead", text: first }),
    ...others.map((text) => make("p", { text })),
  );
  const id = found.chosen ? result.text("trial_id", found.chosen.i) : null;
  const program = id ? result.programs[id] : undefined;
  $("program-part").hidden = !id;
  if (id) {
    const command = `matryoshka-bench deploy ${result.name} ${id}`;
    $("program").textContent = program ?? command;
    const mapped = program?.match(/[\w-]+\.safetensors/);
    $("program-note").hidden = !mapped;
    $("program-note").textContent = mapped ? `It reads ${mapped[0]}, which ${command} writes.` : "";
    $("program-title").textContent = program
      ? "The code, without this package"
      : "The command that writes its code";
  }
  const ranked = found.chosen
    ? [found.chosen, ...found.fit.filter((row) => row !== found.chosen)]
    : [];
  $("ranking-title").textContent =
    `${count(ranked.length)} of ${count(found.rows.length)} configurations fit`;
  fillTable($("ranking"), ranked.slice(0, 8), "the configurations that fit");
  return found;
}
