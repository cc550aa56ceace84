"use strict";
// Which configurations are shown: the filters, and the legend as one of them.

/** The rows that have both axes and pass the filters; `but` names a filter that does not count. */
function filtered(but) {
  const chosen = Object.entries(state.filters)
    .filter(([name]) => name !== but)
    .map(([name, values]) => [name, new Set(values)]);
  const shows = (name, row) => {
    const v = valueOn(name, row);
    return Number.isFinite(v) && (v > 0 || !axisOf(name).log);
  };
  const found = [];
  for (let i = 0; i < result.count; i += 1) {
    if (!chosen.every(([name, values]) => values.has(result.facet(name, i)))) continue;
    const row = servedOf(i);
    if (shows(state.x, row) && shows(state.y, row)) found.push(row);
  }
  return found;
}

function valuesOf(name) {
  if (name === "dim")
    return [...new Set(result.runs.numbers.dim)].sort((a, b) => a - b).map(String);
  const { values, codes } = result.runs.texts[name],
    used = new Set(codes);
  return values.filter((_, at) => used.has(at)).sort();
}

function showLegend() {
  const name = state.colour,
    all = valuesOf(name),
    chosen = state.filters[name];
  const has = new Set(plotted.candidates.map((row) => result.facet(name, row.i)));
  $("legend").replaceChildren(
    ...all
      .filter((value) => has.has(value))
      .map((value) => {
        const at = all.indexOf(value);
        const isOn = !chosen || chosen.includes(value);
        const mark = make("span", {
          class: "mark",
          "aria-hidden": "true",
          text: GLYPHS[shapeAt(at)],
        });
        mark.style.color = colourOf(name, value);
        return make(
          "button",
          {
            type: "button",
            "aria-pressed": String(isOn),
            title: "show only this; again, show all",
            onclick: () => {
              state.filters[name] = chosen?.length === 1 && isOn ? undefined : [value];
              if (!state.filters[name]) delete state.filters[name];
              showFacets();
              update();
            },
          },
          mark,
          make("span", { text: name === "dim" ? `${value} d` : value }),
        );
      }),
  );
}

function showFacets() {
  const open = new Set(
    [...$("facets").querySelectorAll("details[open]")].map((each) => each.dataset.name),
  );
  const parts = Object.entries(FACETS).map(([name, label]) => {
    const values = valuesOf(name);
    if (values.length < 2) return null;
    const chosen = state.filters[name];
    const boxes = values.map((value) =>
      make(
        "label",
        {},
        make("input", {
          type: "checkbox",
          value,
          name,
          checked: !chosen || chosen.includes(value),
          onchange: (event) => {
            const on = new Set(state.filters[name] ?? values);
            if (event.target.checked) on.add(value);
            else on.delete(value);
            state.filters[name] = values.filter((each) => on.has(each));
            if (state.filters[name].length === values.length) delete state.filters[name];
            showFacets();
            update();
          },
        }),
        make("span", { text: name === "dim" ? `${value} d` : value || "none" }),
      ),
    );
    const words = chosen
      ? chosen.length > 2
        ? `${chosen.length} of ${values.length}`
        : chosen.join(", ") || "none"
      : "all";
    const all = make("button", {
      type: "button",
      text: chosen ? "choose all" : "choose none",
      onclick: () => {
        if (chosen) delete state.filters[name];
        else state.filters[name] = [];
        showFacets();
        update();
      },
    });
    return make(
      "details",
      { "data-name": name, open: open.has(name) },
      make("summary", {}, make("b", { text: label }), make("span", { text: `: ${words}` })),
      make("div", { class: "boxes", role: "group", "aria-label": label }, all, ...boxes),
    );
  });
  $("facets").replaceChildren(...parts.filter(Boolean));
}
