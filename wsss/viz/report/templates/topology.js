// The topology view: zoom all pictures of an image to the selected feature.
for (const card of all(".topology")) {
  const pictures = all("svg.field", card);
  const [width, height] = ["width", "height"].map((name) => Number(card.dataset[name]));
  const buttons = all("button[data-box]", card);
  const go = (button) => {
    let box = [0, 0, width, height];
    if (button && button.dataset.box) {
      const [left, top, w, h] = button.dataset.box.split(" ").map(Number);
      const side = Math.min(Math.max(3 * w, 3 * h, 48), width, height);
      const x = Math.min(Math.max(left + w / 2 - side / 2, 0), width - side);
      const y = Math.min(Math.max(top + h / 2 - side / 2, 0), height - side);
      box = [x, y, side, side];
    }
    for (const picture of pictures) picture.setAttribute("viewBox", box.join(" "));
    for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
    for (const circle of all("[data-mark]", card)) circle.classList.toggle("chosen", circle.dataset.mark === (button || {}).value);
  };
  for (const button of buttons) button.addEventListener("click", () => go(button));
  for (const circle of all("[data-mark]", card)) {
    circle.addEventListener("click", () => {
      const button = buttons.find((one) => one.value === circle.dataset.mark);
      button.closest("details").open = true;
      go(button);
    });
  }
}
