"use strict";
// The controls, and the order in which everything is shown.

function showControls() {
  const s = state.settings,
    own = group();
  if ($("switch")) $("switch").value = String(state.r);
  const groups = result.groups.map((each, at) => make("option", { value: at, text: each.title }));
  $("group").replaceChildren(...groups);
  $("group").value = String(state.g);
  $("group-part").hidden = result.groups.length < 2;
  $("documents").replaceChildren(
    ...own.sizes.map((n) =>
      make("option", { value: n, text: n === own.n_corpus ? `${count(n)} (measured)` : count(n) }),
    ),
  );
  $("documents").value = String(s.documents);
  $("keep").value = String(100 * s.retain);
  $("keep-number").value = String(Number((100 * s.retain).toFixed(2)));
  $("objective").value = s.objective;
  $("qps").value = String(s.qps);
  for (const [name, unit] of Object.entries(LIMITS))
    $(name).value = s[name] === Infinity ? "" : String(Number((s[name] / unit).toPrecision(12)));
  for (const name of ["memory_gib_month", "disk_gib_month", "vcpu_hour", "utilisation"])
    $(name).value = String(s.prices[name]);
  $("price-list").textContent = `${s.prices.name}, ${s.prices.date}. An example: put in your own.`;
  $("size").textContent = own.size;
  for (const [id, value] of [
    ["x", state.x],
    ["y", state.y],
  ]) {
    $(id).replaceChildren(
      ...result.runs.axes.map((axis) =>
        make("option", {
          value: axis.name,
          text: axis.name === "quality" ? own.quality : axis.label,
        }),
      ),
    );
    $(id).value = value;
  }
  $("colour").value = state.colour;
  for (const part of document.querySelectorAll("[data-result]"))
    part.hidden = part.dataset.result !== String(state.r);
  for (const part of document.querySelectorAll("[data-group]"))
    part.hidden = part.dataset.group !== `${state.r}.${state.g}`;
  $("studies").replaceChildren(
    ...Object.entries(result.studies).map(([name, text]) =>
      make(
        "li",
        {},
        make("button", {
          type: "button",
          text: name,
          onclick: () => save(name, text, "application/toml"),
        }),
      ),
    ),
  );
  $("studies-part").hidden = !Object.keys(result.studies).length;
}

function listen() {
  const changed = (id, set) =>
    $(id).addEventListener("input", (event) => {
      set(event.target.value);
      update();
    });
  const positive = (text, other) => {
    const value = Number(text);
    return text !== "" && value > 0 ? value : other;
  };
  const keep = (text) => {
    const value = Number(text);
    if (value > 0 && value <= 100) state.settings.retain = Number((value / 100).toPrecision(12));
  };
  changed("keep", (text) => {
    keep(text);
    $("keep-number").value = text;
  });
  changed("keep-number", (text) => {
    keep(text);
    $("keep").value = text;
  });
  changed("objective", (text) => {
    state.settings.objective = text;
  });
  changed("documents", (text) => {
    state.settings.documents = Number(text);
  });
  changed("qps", (text) => {
    state.settings.qps = positive(text, result.queries_per_second);
  });
  for (const [name, unit] of Object.entries(LIMITS))
    changed(name, (text) => {
      state.settings[name] = positive(text, Infinity) * unit;
    });
  for (const name of ["memory_gib_month", "disk_gib_month", "vcpu_hour", "utilisation"]) {
    changed(name, (text) => {
      const value = Number(text);
      if (text !== "" && value >= 0 && !(name === "utilisation" && !(value > 0 && value <= 1)))
        state.settings.prices[name] = value;
    });
  }
  changed("x", (text) => {
    state.x = text;
  });
  changed("y", (text) => {
    state.y = text;
  });
  changed("colour", (text) => {
    state.colour = text;
  });
  $("group").addEventListener("input", (event) =>
    enter({ ...freshState(state.r, Number(event.target.value)) }),
  );
  $("switch")?.addEventListener("input", (event) =>
    enter(freshState(Number(event.target.value), 0)),
  );
  $("settings").addEventListener("submit", (event) => event.preventDefault());
  $("reset").addEventListener("click", () => enter(freshState(state.r, state.g)));
  for (const button of document.querySelectorAll("[data-copies]"))
    button.addEventListener("click", () => copy($(button.dataset.copies).textContent, button));
  $("link").addEventListener("click", (event) => copy(location.href, event.target));
  $("csv").addEventListener("click", () =>
    save(`${result.name}.csv`, csv(plotted.rows), "text/csv"),
  );
  $("json").addEventListener("click", () => save("page.json", raw, "application/json"));
  $("svg").addEventListener("click", () => savePicture(plotted.view, "svg", "explorer"));
  $("png").addEventListener("click", () => savePicture(plotted.view, "png", "explorer"));
  $("more").addEventListener("click", () => {
    state.shown += 100;
    showRows();
  });
  $("unfilter").addEventListener("click", () => {
    state.filters = freshState(state.r, state.g).filters;
    showFacets();
    update();
  });
  $("lost-dim").addEventListener("input", (event) => {
    state.lost = Number(event.target.value);
    showLost();
    remember();
  });
  $("plot-part").addEventListener("keydown", walk);
  $("plot-part").addEventListener("blur", () => {
    $("tip").hidden = true;
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") $("tip").hidden = true;
  });
  // The fragment holds the state, so a link within the page must not replace it.
  document.querySelector("nav").addEventListener("click", (event) => {
    const place = event.target.hash && document.querySelector(event.target.hash);
    if (!place) return;
    event.preventDefault();
    place.scrollIntoView();
    place.setAttribute("tabindex", "-1");
    place.focus({ preventScroll: true });
  });
  const hide = () => {
    $("tip").hidden = true;
  };
  for (const kind of ["wheel", "touchmove"]) addEventListener(kind, hide, { passive: true });
  DARK.addEventListener("change", () => {
    plotted.key = null;
    update();
    showCharts();
  });
  addEventListener("hashchange", () => enter(stateOf(location.hash)));
}

let busy = null;

/** Show what the state says. Moves of a slider that come meanwhile are shown together. */
function update() {
  if (busy) {
    busy.again = true;
    return busy.done;
  }
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
  // Packed, the library takes half the room; a script that is put in runs at once.
  document.head.append(make("script", { text: await unpacked("vega") }));
  raw = await unpacked("data");
  data = JSON.parse(raw);
  data.results.forEach(readable);
  listen();
  await enter(stateOf(location.hash));
  document.body.dataset.ready = String(Math.round(performance.now()));
}

start().catch((error) => {
  $("answer").prepend(
    make("p", {
      class: "lead",
      text: `This browser cannot show the page (${error.message}). The tables below still hold the figures.`,
    }),
  );
  throw error;
});
