// The viewer: one enlarged picture, or two of the same image with a divider.
(() => {
  const viewer = document.getElementById("viewer");
  if (!viewer) return;
  const rows = all(".row");
  const find = (selector) => viewer.querySelector(selector);
  const [stage, name, compare, divide, zoom] = [".stage", ".name", "[data-compare]", "[data-divide]", "[data-zoom]"].map(find);
  let current = null;

  // The key of a tile is its column and note: a cam stage has one tile per class.
  const tiles = (row) => all(".tile", row);
  const key = (tile) => tile.dataset.key;
  const picture = (tile) => tile.querySelector(".pic").cloneNode(true);
  const words = (text, className) => Object.assign(document.createElement("span"), { textContent: text, className });

  const draw = () => {
    const row = current.closest(".row");
    const figure = current.cloneNode(true);
    const frame = document.createElement("div");
    frame.className = "frame";
    frame.append(picture(current));
    figure.querySelector("button").replaceWith(frame);
    const other = tiles(row).find((tile) => key(tile) === compare.value && tile !== current);
    if (other) {
      const over = document.createElement("div");
      over.className = `over tile ${[...other.classList].filter((kind) => kind !== "tile").join(" ")}`;
      over.append(picture(other));
      frame.append(over, words("", "divider"));
      figure.querySelector("figcaption").replaceChildren(words(`◧ ${key(current)}`), words(`◨ ${key(other)}`));
    }
    divide.closest("label").hidden = !other;
    stage.style.cssText = row.style.cssText;
    stage.replaceChildren(figure);
    name.textContent = row.dataset.name;
  };
  const show = (tile) => {
    if (!tile) return;
    current = tile;
    const wanted = compare.dataset.wanted || "";
    const others = tiles(tile.closest(".row")).filter((one) => one !== tile).map(key);
    compare.replaceChildren(new Option("nothing", ""), ...others.map((label) => new Option(label, label)));
    compare.value = others.includes(wanted) ? wanted : "";
    draw();
    if (!viewer.open) viewer.showModal();
  };
  const step = (across, down) => {
    const row = current.closest(".row");
    if (across) {
      const beside = tiles(row);
      show(beside[(beside.indexOf(current) + across + beside.length) % beside.length]);
      return;
    }
    const visible = rows.filter((other) => !other.hidden && other.closest("section") === row.closest("section"));
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

  compare.addEventListener("change", () => {
    compare.dataset.wanted = compare.value;
    draw();
  });
  const setDivide = (percent) => {
    divide.value = Math.min(100, Math.max(0, percent));
    stage.parentElement.style.setProperty("--divide", `${divide.value}%`);
  };
  divide.addEventListener("input", () => setDivide(divide.value));
  const drag = (event) => {
    const frame = event.buttons === 1 && event.target.closest(".frame");
    if (!frame || !frame.querySelector(".divider")) return;
    const box = frame.getBoundingClientRect();
    setDivide((100 * (event.clientX - box.left)) / box.width);
    event.preventDefault();
  };
  stage.addEventListener("pointerdown", drag);
  stage.addEventListener("pointermove", drag);

  const setZoom = (factor) => {
    zoom.value = Math.min(8, Math.max(1, factor));
    stage.parentElement.style.setProperty("--zoom", zoom.value);
  };
  zoom.addEventListener("input", () => setZoom(zoom.value));

  find(".close").addEventListener("click", () => viewer.close());
  viewer.addEventListener("click", (event) => { if (event.target === viewer) viewer.close(); });
  viewer.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey || event.target.closest("select")) return;
    const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const zooms = { "+": 1, "=": 1, "-": -1 };
    // Arrow keys belong to a focused slider, and to a picture larger than its frame.
    const scrolls = event.target === stage.parentElement && Number(zoom.value) > 1;
    if (moves[event.key] && event.target.type !== "range" && !scrolls) step(...moves[event.key]);
    else if (event.key in zooms) setZoom(Number(zoom.value) + zooms[event.key]);
    else return;
    event.preventDefault();
  });
  // Return the focus to the last picture shown.
  viewer.addEventListener("close", () => {
    current.querySelector("button").focus();
    current.scrollIntoView({ block: "nearest" });
  });
})();
