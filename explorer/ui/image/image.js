// Patches: pointing at one, or moving to it with the arrow keys, says what is strongest there.
const readers = new WeakMap(); // a reader's element -> what its patches say
const said = (reader) => {
  if (!readers.has(reader)) readers.set(reader, JSON.parse(reader.dataset.patches));
  return readers.get(reader);
};
const element = (tag, css, ...inside) => {
  const made = document.createElement(tag);
  made.className = css;
  made.append(...inside);
  return made;
};
const line = (what, value) =>
  element("li", "", what, element("span", "num muted", value));
const conceptLine = ({ texts }, [place, value]) =>
  line(element("b", "", texts[place]), value);
const neuronLine = ({ neurons, page }, [place, value]) => {
  const [layer, neuron, concepts] = neurons[place];
  const link = element("a", "", `Layer ${layer} · Neuron ${neuron.toLocaleString("en")}`);
  link.href = `${page}&layer=${layer}&neuron=${neuron}`;
  link.dataset.page = "neuron";
  return line(element("span", "who", link, element("span", "muted", concepts)), value);
};
const list = (title, lines, none) =>
  element("div", "", element("h3", "", title),
    lines.length ? element("ol", "", ...lines) : element("p", "muted", none));
const show = (reader, number) => {
  const found = said(reader);
  const [concepts, neurons] = found.cells[number];
  const cells = reader.querySelectorAll(".cells span");
  for (const [place, cell] of cells.entries()) cell.classList.toggle("on", place === number);
  reader.dataset.at = number;
  reader.querySelector(".readout").replaceChildren(
    list("Concepts here", concepts.map((one) => conceptLine(found, one)), "No concept gets anything from here."),
    list("Neurons here", neurons.map((one) => neuronLine(found, one)), "No neuron is driven strongly enough."),
  );
};
const target = (event) => {
  const cell = event.target.closest?.(".patches .cells span");
  const reader = cell?.closest(".patch-reader");
  return reader ? [reader, [...cell.parentNode.children].indexOf(cell)] : null;
};
const onMove = (event) => {
  const found = target(event);
  if (!found || found[0].dataset.held || Number(found[0].dataset.at ?? -1) === found[1]) return;
  show(...found);
};
// a click holds a patch, so that its links can be reached; another click lets go or moves on
const onClick = (event) => {
  const found = target(event);
  if (!found) return;
  const [reader, number] = found;
  const again = reader.dataset.held && Number(reader.dataset.at) === number;
  show(reader, number);
  if (again) delete reader.dataset.held;
  else reader.dataset.held = "1";
};
const STEPS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
const onKey = (event) => {
  const reader = event.target.matches?.(".patches .cells") && event.target.closest(".patch-reader");
  const step = STEPS[event.key];
  if (!reader || !step) return;
  event.preventDefault();
  const [rows, columns] = said(reader).grid;
  const at = Number(reader.dataset.at ?? Math.floor(rows / 2) * columns + Math.floor(columns / 2));
  const row = Math.min(Math.max(Math.floor(at / columns) + step[0], 0), rows - 1);
  const column = Math.min(Math.max((at % columns) + step[1], 0), columns - 1);
  show(reader, row * columns + column);
};
// A pasted picture goes the way of an upload; while the page is being drawn it waits.
const PATIENCE = 100;
const send = (file, patience) => {
  const input = document.querySelector('[data-testid="stFileUploader"] input[type="file"]');
  if (!input || input.disabled) {
    if (patience > 0) setTimeout(() => send(file, patience - 1), 100);
    return;
  }
  const held = new DataTransfer();
  held.items.add(file);
  input.files = held.files;
  input.dispatchEvent(new Event("change", { bubbles: true }));
};
const onPaste = (event) => {
  const file = [...(event.clipboardData?.files ?? [])].find((f) => f.type.startsWith("image/"));
  if (file) send(file, PATIENCE);
};
const EVENTS = { pointermove: onMove, click: onClick, keydown: onKey, paste: onPaste };
export default function () {
  for (const [name, listener] of Object.entries(EVENTS)) document.addEventListener(name, listener);
  document.documentElement.dataset.lensImage = "ready";
  return () => {
    for (const [name, listener] of Object.entries(EVENTS))
      document.removeEventListener(name, listener);
    delete document.documentElement.dataset.lensImage;
  };
}
