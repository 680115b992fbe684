"use strict";
// Shows one picture at a time. The next picture is shown only after the server has written the answer to disk.

const $ = (id) => document.getElementById(id);
const loaded = new Map(); // index → preloaded picture
let view = null;
let busy = false;
let chosen = new Set();
let visible = false; // whether the current picture is shown; it cannot be answered before

const say = (text) => { $("last").textContent = text; };
const current = () => (view && view.next && view.next.length ? view.next[0] : null);
const binary = () => view.names.length === 1;

function problem(text) {
  $("problem").hidden = !text;
  $("problem").textContent = text || "";
}

const pause = (seconds) => new Promise((done) => setTimeout(done, seconds * 1000));

// Sends a request until the server replies; identical answers are saved once, so repeating is safe.
async function request(path, body) {
  const options = body === undefined ? {} : {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
  };
  for (;;) {
    let reply;
    try {
      reply = await fetch(path, options);
    } catch {
      problem("The server is not responding" + (body ? ", so this answer is not saved yet" : "") +
        ". Is the command still running? Retrying …");
      await pause(1);
      continue;
    }
    if (reply.ok) { problem(""); return reply.json(); }
    let text = reply.status === 404
      ? "The command was restarted; open the new address it printed."
      : `The server replied with status ${reply.status}.`;
    try { text = (await reply.json()).error; } catch { /* not JSON */ }
    throw new Error(text);
  }
}

async function exclusively(work) {
  if (busy) return;
  busy = true;
  try {
    await work();
  } catch (error) {
    problem(`Not saved: ${error.message}`);
  } finally {
    busy = false;
    enable();
  }
}

// Buttons stay enabled while an answer is saved: a disabled one would lose the focus.
function enable() {
  for (const button of $("answers").querySelectorAll("button")) button.disabled = !current() || !visible;
  $("skip").disabled = !current();
  $("undo").disabled = !(view && view.last);
}

// ---- what is shown

function show(next) {
  view = next;
  chosen = new Set();
  const asking = view.next !== undefined;
  $("question").textContent = question();
  $("total").textContent = view.total.toLocaleString("en");
  $("start").hidden = asking;
  $("answers").hidden = $("tools").hidden = !asking;
  $("who").textContent = asking ? view.annotator : "Name";
  $("who").hidden = !asking || view.fixed !== null;
  if (!asking) return begin();
  const item = current();
  $("done").textContent = view.done.toLocaleString("en");
  $("progress").setAttribute("aria-valuenow", view.done);
  $("progress").setAttribute("aria-valuemax", view.total);
  $("progress").firstElementChild.style.width = `${100 * view.done / view.total}%`;
  $("shown").hidden = !item;
  $("finished").hidden = Boolean(item);
  press();
  flash(null);
  if (!item) { loaded.clear(); return undefined; }
  for (const index of loaded.keys()) if (!view.next.some((one) => one.index === index)) loaded.delete(index);
  $("picture").src = `picture/${item.index}`;
  $("picture").alt = `${view.tiles ? "Framed square in" : "Image"} ${item.label}`;
  $("label").textContent = item.label;
  return undefined;
}

// Shows the next picture as soon as it is loaded, and loads the following ones.
async function advance(next) {
  const [first, ...others] = next.next || [];
  visible = Boolean(first) && await load(first.index);
  show(next);
  if (first && !visible) retry(first.index);
  for (const ahead of others) load(ahead.index);
}

// Loads a picture again until it is shown, or another one is asked about.
async function retry(index) {
  $("shown").hidden = true;
  problem("This picture cannot be loaded. Retrying …");
  const asked = () => current() && current().index === index && !visible;
  while (asked()) {
    await pause(1);
    if (!asked() || !await load(index) || !asked()) continue;
    visible = true;
    problem("");
    $("shown").hidden = false;
    $("picture").src = `picture/${index}`;
    enable();
  }
}

function load(index) {
  if (!loaded.has(index)) {
    const picture = new Image();
    picture.src = `picture/${index}`;
    loaded.set(index, picture.decode().then(() => true, () => {
      loaded.delete(index); // the next attempt requests it again
      return false;
    }));
  }
  return loaded.get(index);
}

function question() {
  const where = view.tiles ? "the framed square" : "this image";
  if (binary()) return `Does ${where} show ${view.classes[0]}?`;
  return view.single_label ? `Which class does ${where} show?` : `Which classes does ${where} show?`;
}

function begin() {
  $("finished").hidden = $("shown").hidden = true;
  if (!$("name").value) $("name").value = view.proposed;
  $("name").focus();
  $("name").select();
}

function press() {
  for (const button of $("answers").querySelectorAll("button")) {
    if (button.dataset.name) button.setAttribute("aria-pressed", String(chosen.has(button.dataset.name)));
  }
}

// ---- buttons and keys

function addButton(row, key, text, kind, work) {
  const button = document.createElement("button");
  const label = document.createElement("kbd");
  label.textContent = key;
  label.setAttribute("aria-hidden", "true");
  button.append(label, ` ${text}`);
  button.setAttribute("aria-keyshortcuts", key);
  button.type = "button";
  button.className = kind;
  button.addEventListener("click", work);
  $(row).append(button);
  return button;
}

function addKey(key, text) {
  const line = document.createElement("li");
  const label = document.createElement("kbd");
  label.textContent = key;
  line.append(label, ` ${text}`);
  $("keys").append(line);
}

function build() {
  const keys = binary()
    ? [["Y", `or → for yes: any part of it shows ${view.classes[0]}`], ["N", "or ← for no: no part of it does"]]
    : [["1", `to ${view.names.length} for ${view.single_label ? "the class" : "each class"} that any part of it shows`]];
  if (binary()) {
    addButton("choices", "N", "No", "no", () => decide([], "no")).dataset.word = "no";
    addButton("choices", "Y", "Yes", "yes", () => decide(view.names, "yes")).dataset.word = "yes";
  } else {
    view.names.forEach((name, place) => {
      addButton("classes", String(place + 1), view.classes[place], "class", () => toggle(name)).dataset.name = name;
    });
    addButton("choices", "N", "None", "no", () => decide([], "none")).dataset.word = "none";
    if (!view.single_label) addButton("choices", "Enter", "Done", "go", () => confirmChoice());
    keys.push(["N", "if it shows none of them"]);
    if (!view.single_label) keys.push(["Enter", "when done with this picture"]);
  }
  for (const [key, text] of [...keys, ["S", "if you cannot tell"], ["U", "or Backspace to undo the last answer"]]) addKey(key, text);
}

function toggle(name) {
  if (busy || !current() || !visible) return;
  if (view.single_label) { decide([name], name); return; }
  if (!chosen.delete(name)) chosen.add(name);
  press();
}

function confirmChoice() {
  if (chosen.size) decide([...chosen], [...chosen].join(", "));
  else say("Choose classes first, or press N.");
}

function decide(present, word) {
  const item = current();
  if (!item || busy || !visible) return;
  const answers = Object.fromEntries(view.names.map((name) => [name, present.includes(name) ? "yes" : "no"]));
  send(item, answers, word);
}

function skip() {
  const item = current();
  if (item) send(item, Object.fromEntries(view.names.map((name) => [name, "skip"])), "cannot tell");
}

function send(item, answers, word) {
  exclusively(async () => {
    flash(word);
    await advance(await request("api/answer", { annotator: view.annotator, index: item.index, answers }));
    say(`Saved: ${word}`);
  });
}

// Marks the answer until the next picture is shown.
function flash(word) {
  for (const button of $("choices").querySelectorAll("button")) {
    button.classList.toggle("chosen", button.dataset.word === word);
  }
}

function undo() {
  if (!view.last) return;
  exclusively(async () => {
    const { index, time } = view.last;
    const next = await request("api/undo", { annotator: view.annotator, index, time });
    await advance(next);
    say(`Undone: ${next.undone}`);
  });
}

// Enter presses a focused button, except for that of a class, where it confirms; Space marks the class.
const pressesItself = (target) => target instanceof HTMLButtonElement && !target.dataset.name;

document.addEventListener("keydown", (event) => {
  const typing = event.target instanceof HTMLInputElement || $("summary").open;
  if (event.repeat && !typing && (event.key === "Enter" || event.key === " ")) {
    event.preventDefault(); // otherwise a held key presses the focused button again and again
    return;
  }
  if (typing || event.repeat || event.ctrlKey || event.metaKey || event.altKey || !view || !view.next) return;
  const key = event.key.toLowerCase();
  const place = "123456789".indexOf(key);
  if (key === "u" || key === "backspace") undo();
  else if (!current()) return;
  else if (key === "s") skip();
  else if (key === "n" || (key === "arrowleft" && binary())) decide([], binary() ? "no" : "none");
  else if ((key === "y" || key === "arrowright") && binary()) decide(view.names, "yes");
  else if (!binary() && place >= 0 && place < view.names.length) toggle(view.names[place]);
  else if (key === "enter" && !binary() && !view.single_label && !pressesItself(event.target)) confirmChoice();
  else return;
  event.preventDefault();
});

$("undo").addEventListener("click", undo);
$("skip").addEventListener("click", skip);

$("name-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const name = $("name").value.trim();
  exclusively(async () => {
    await advance(await request(`api/view?annotator=${encodeURIComponent(name)}`));
    document.activeElement.blur();
  });
});

$("who").addEventListener("click", () => {
  view.next = undefined;
  show(view);
});

// ---- summary

function table(head, rows) {
  const element = document.createElement("table");
  for (const [number, cells] of [head, ...rows].entries()) {
    const row = element.insertRow();
    for (const cell of cells) {
      const box = document.createElement(number ? "td" : "th");
      if (!number) box.scope = "col";
      box.textContent = cell;
      row.append(box);
    }
  }
  return element;
}

$("more").addEventListener("click", async () => {
  let found;
  try { found = await request("api/summary"); } catch (error) { problem(error.message); return; }
  const classes = Object.entries(found.classes).map(([name, n]) => [name, n.yes, n.no, n.ties, n.skipped]);
  const people = Object.entries(found.annotators);
  const parts = [table(["class", "yes", "no", "ties", "skipped"], classes), table(["person", "answered"], people)];
  if (found.disagreements.length) {
    parts.push(table(["disagreement", "yes", "no"],
      found.disagreements.map((row) => [`${row.item}, ${row.class}`, row.yes.join(", "), row.no.join(", ")])));
    const all = Object.values(found.classes).reduce((sum, n) => sum + n.disagreements, 0);
    const more = all - found.disagreements.length;
    if (more) parts.push(Object.assign(document.createElement("p"), { textContent: `${more} more; wsss ask --summary lists all.` }));
  } else {
    parts.push(Object.assign(document.createElement("p"), { textContent: "No disagreements." }));
  }
  $("summary-body").replaceChildren(...parts);
  $("summary").showModal();
});

exclusively(async () => {
  const first = await request("api/view");
  view = first;
  build();
  await advance(first);
});
