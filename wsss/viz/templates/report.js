"use strict";
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const viewer = document.getElementById("viewer");
  const rows = all(".row");

  // Opacity of all layers; the slider of the gallery and the one of the viewer show the same value.
  const sliders = all("input[data-opacity]");
  for (const slider of sliders) {
    slider.addEventListener("input", () => {
      document.documentElement.style.setProperty("--opacity", slider.value / 100);
      for (const other of sliders) other.value = slider.value;
    });
  }

  // Show all rows, or those chosen for one reason.
  const chosen = all("#gallery .row");
  const choices = all("button[data-reason]");
  const status = document.getElementById("shown");
  for (const choice of choices) {
    choice.addEventListener("click", () => {
      for (const other of choices) other.setAttribute("aria-pressed", String(other === choice));
      let count = 0;
      for (const row of chosen) {
        row.hidden = choice.dataset.reason !== "all" && row.dataset.reason !== choice.dataset.reason;
        count += row.hidden ? 0 : 1;
      }
      status.textContent = `${count} of ${chosen.length} shown`;
    });
  }

  if (!viewer) return;
  let current = null;
  const stage = viewer.querySelector(".stage");
  const name = viewer.querySelector(".name");

  // A row's tiles by column, so that going up and down stays with the same stage.
  const tiles = (row) => all(".tile", row);
  const show = (tile) => {
    if (!tile) return;
    current = tile;
    const row = tile.closest(".row");
    const figure = tile.cloneNode(true);
    const button = figure.querySelector("button");
    button.replaceWith(...button.childNodes);
    stage.style.cssText = row.style.cssText;
    stage.replaceChildren(figure);
    name.textContent = row.dataset.name;
    if (!viewer.open) viewer.showModal();
  };
  const step = (across, down) => {
    const row = current.closest(".row");
    if (across) {
      const beside = tiles(row);
      show(beside[(beside.indexOf(current) + across + beside.length) % beside.length]);
      return;
    }
    const visible = rows.filter((one) => !one.hidden && one.closest("section") === row.closest("section"));
    const next = visible[(visible.indexOf(row) + down + visible.length) % visible.length];
    const same = tiles(next).find((tile) => tile.dataset.column === current.dataset.column);
    show(same || tiles(next)[0]);
  };

  for (const row of rows) {
    row.addEventListener("click", (event) => {
      const button = event.target.closest(".tile button");
      if (button) show(button.closest(".tile"));
    });
  }
  for (const button of all("button[data-step]", viewer)) {
    const [across, down] = button.dataset.step.split(",").map(Number);
    button.addEventListener("click", () => step(across, down));
  }
  viewer.querySelector(".close").addEventListener("click", () => viewer.close());
  viewer.addEventListener("click", (event) => { if (event.target === viewer) viewer.close(); });
  viewer.addEventListener("keydown", (event) => {
    const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const move = moves[event.key];
    if (!move || event.target.type === "range" || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    step(...move);
  });
  // Back to the picture that was looked at last, which need not be the one the viewer was opened with.
  viewer.addEventListener("close", () => {
    current.querySelector("button").focus();
    current.scrollIntoView({ block: "nearest" });
  });
})();
