"use strict";
// Shared by all sections: the opacity of layers, and the filters of the gallery.
const all = (selector, root = document) => [...root.querySelectorAll(selector)];

// The sliders of the gallery and of the viewer show the same value.
for (const slider of all("input[data-opacity]")) {
  slider.addEventListener("input", () => {
    document.documentElement.style.setProperty("--opacity", slider.value / 100);
    for (const other of all("input[data-opacity]")) other.value = slider.value;
  });
}

// Show the rows with the selected reason, split and class ("": any).
(() => {
  const rows = all("#gallery .row");
  const choices = all("button[data-reason]");
  const selects = all("select[data-filter]");
  const status = document.getElementById("shown");
  let reason = "";
  const fits = (row) =>
    (!reason || row.dataset.reason === reason) &&
    selects.every(({ value, dataset: { filter } }) =>
      !value || row.dataset[filter] === value || (filter === "labels" && row.dataset.labels.split(" ").includes(value)));
  const update = () => {
    for (const row of rows) row.hidden = !fits(row);
    for (const group of all("#gallery .split")) group.hidden = all(".row", group).every((row) => row.hidden);
    status.textContent = `${rows.filter((row) => !row.hidden).length} of ${rows.length} shown`;
  };
  for (const choice of choices) {
    choice.addEventListener("click", () => {
      reason = choice.dataset.reason;
      for (const other of choices) other.setAttribute("aria-pressed", String(other === choice));
      update();
    });
  }
  for (const select of selects) select.addEventListener("change", update);
})();
