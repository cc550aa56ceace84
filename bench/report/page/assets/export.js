"use strict";
// What a reader takes away: pictures, rows, data, code.

function save(name, content, type) {
  const url = URL.createObjectURL(
    content instanceof Blob ? content : new Blob([content], { type }),
  );
  const link = make("a", { href: url, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}

async function savePicture(view, kind, name) {
  if (!view) return;
  if (kind === "svg") {
    save(
      `${name}.svg`,
      (await view.toSVG()).replaceAll("currentColor", "#1a1d21"),
      "image/svg+xml",
    );
    return;
  }
  const canvas = await view.toCanvas(2),
    page = document.createElement("canvas");
  [page.width, page.height] = [canvas.width, canvas.height];
  const pen = page.getContext("2d");
  pen.fillStyle = "#ffffff";
  pen.fillRect(0, 0, page.width, page.height);
  pen.drawImage(canvas, 0, 0);
  page.toBlob((blob) => save(`${name}.png`, blob));
}

function csv(rows) {
  const texts = Object.keys(result.runs.texts),
    numbers = Object.keys(result.runs.numbers).filter((name) => !["group", "alike"].includes(name));
  const served = ["memory_bytes_of_all", "per_month", "fits"];
  // A cell that begins like a formula gets a quote, so that a spreadsheet does not run it.
  const cell = (value) => {
    const text = String(value);
    const safe = /^[=+@\t\r-]/.test(text) ? `'${text}` : text;
    return /[",\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  };
  const lines = rows.map((row) =>
    [
      ...texts.map((name) => cell(result.text(name, row.i))),
      ...numbers.map((name) => {
        const v = result.number(name, row.i);
        return Number.isNaN(v) ? "" : v;
      }),
      row.memory,
      row.month,
      row.why ? "no" : "yes",
    ]
      .map((v) => (typeof v === "number" && Number.isNaN(v) ? "" : v))
      .join(","),
  );
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
  setTimeout(() => {
    button.textContent = before;
  }, 1500);
}
