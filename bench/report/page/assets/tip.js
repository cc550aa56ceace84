"use strict";
// What a mark says of itself, by the pointer or by the keyboard.

/** Lines of the whole configuration of a row. */
function facts(row) {
  return COMPARED.map(([name, of]) => [name, of(row)]).filter(([, text]) => text && text !== "–");
}

function explain(handler, event, item, value) {
  const tip = $("tip");
  if (value === null || value === undefined || value === "") {
    tip.hidden = true;
    return;
  }
  const lines =
    item?.datum?.i !== undefined ? facts(servedOf(item.datum.i)) : Object.entries(value);
  showTip(lines, item?.datum?.label, event.clientX, event.clientY);
}

function showTip(lines, title, x, y) {
  const tip = $("tip");
  tip.replaceChildren(
    ...(title ? [make("strong", { text: title })] : []),
    make(
      "dl",
      {},
      ...lines.flatMap(([name, text]) => [
        make("dt", { text: name }),
        make("dd", { text: String(text) }),
      ]),
    ),
  );
  tip.hidden = false;
  const box = tip.getBoundingClientRect(),
    edge = 8;
  tip.style.left = `${Math.max(edge, Math.min(x + 14, innerWidth - box.width - edge))}px`;
  tip.style.top = `${Math.max(edge, y + 14 + box.height > innerHeight ? y - box.height - 14 : y + 14)}px`;
}

/** Arrow keys walk along the front; Enter pins; Escape closes. */
function walk(event) {
  const step = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key];
  const front = plotted?.front ?? [];
  if (event.key === "Escape") $("tip").hidden = true;
  if (event.key === "Enter" && plotted?.at !== undefined && front[plotted.at]) {
    pin(result.text("trial_id", front[plotted.at].i));
    event.preventDefault();
  }
  if (!step || !front.length) return;
  event.preventDefault();
  plotted.at =
    plotted.at === undefined ? 0 : Math.max(0, Math.min(front.length - 1, plotted.at + step));
  const point = front[plotted.at],
    box = $("plot").querySelector("svg").getBoundingClientRect();
  const [left, top] = plotted.view.origin();
  showTip(
    facts(servedOf(point.i)),
    point.label,
    box.left + left + plotted.view.scale("x")(point.x),
    box.top + top + plotted.view.scale("y")(point.y),
  );
  $("said").textContent =
    `${plotted.at + 1} of ${front.length} on the front: ${point.label}, ${axisOf(state.y).label} ${digits(point.y)}, ${axisOf(state.x).label} ${digits(point.x)}`;
}
