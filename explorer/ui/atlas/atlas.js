const SOON = 40; // ms the pointer must rest: crossing the map asks for nothing
const known = new Map(); // address of a hint -> its promise
const ask = (address) => {
  if (!known.has(address)) {
    const answer = fetch(address).then((found) => (found.ok ? found.json() : Promise.reject()));
    answer.catch(() => known.delete(address)); // it may be there the next time
    known.set(address, answer);
  }
  return known.get(address);
};
const element = (tag, css, text) => {
  const made = document.createElement(tag);
  made.className = css;
  made.textContent = text ?? "";
  return made;
};
const pictured = ({ src, label }) => {
  const cell = element("span", "cell");
  const image = new Image();
  image.src = src;
  image.alt = label;
  cell.append(image);
  return cell;
};
const filled = (card, hint) => {
  const strip = element("div", "strip");
  strip.append(...hint.pictures.map(pictured));
  const where = element("div", "where", hint.name);
  const shows = element("div", "shows", hint.shows && `pictures: ${hint.shows}`);
  const measures = element("div", "measures-line", hint.measures);
  card.replaceChildren(strip, where, element("div", hint.claims ? "concepts" : "concepts unclaimed", hint.title), shows, measures);
};
const placed = (card, { clientX, clientY }) => {
  const { width, height } = card.getBoundingClientRect();
  const left = clientX + 18 + width > innerWidth ? clientX - 18 - width : clientX + 18;
  const top = Math.min(Math.max(clientY - height / 2, 8), innerHeight - height - 8);
  card.style.transform = `translate(${Math.round(Math.max(left, 8))}px, ${Math.round(top)}px)`;
};
// lines to the neighbours of the joint space, wherever the map has put them
const joined = (plot, point, places) => {
  const { xaxis, yaxis } = plot._fullLayout;
  const at = ([x, y]) => [xaxis._offset + xaxis.l2p(x), yaxis._offset + yaxis.l2p(y)];
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const add = (kind, values) => {
    const shape = document.createElementNS(svg.namespaceURI, kind);
    for (const [name, value] of Object.entries(values)) shape.setAttribute(name, value);
    svg.append(shape);
  };
  const [x1, y1] = at([point.x, point.y]);
  for (const [x2, y2] of places.map(at)) {
    add("line", { x1, y1, x2, y2 });
    add("circle", { cx: x2, cy: y2, r: 4 });
  }
  add("circle", { cx: x1, cy: y1, r: 7, class: "here" });
  svg.setAttribute("class", "lens-near");
  svg.setAttribute("aria-hidden", "true");
  plot.append(svg);
};
// names of regions, surest first: one that would lie on another is hidden, at any zoom and width
const thinned = (plot) => {
  const taken = [];
  for (const name of plot.querySelectorAll(".annotation")) {
    const box = name.querySelector(".annotation-text-g").getBoundingClientRect();
    const free = taken.every(
      (other) => box.right + 6 < other.left || other.right + 6 < box.left
        || box.bottom + 2 < other.top || other.bottom + 2 < box.top,
    );
    name.style.visibility = free ? "" : "hidden";
    if (free) taken.push(box);
  }
};
export default function ({ data }) {
  const card = element("div", "lens lens-hint card");
  card.setAttribute("role", "tooltip");
  card.hidden = true;
  document.querySelector(".stApp")?.append(card);
  let plot = null;
  let timer = 0;
  let over = null;
  const hide = () => {
    clearTimeout(timer);
    over = null;
    card.hidden = true;
    plot?.querySelectorAll(".lens-near").forEach((lines) => lines.remove());
  };
  const thin = () => plot && thinned(plot);
  const show = async (point, event) => {
    const row = point.customdata;
    const hint = await ask(data.hints + row).catch(() => null);
    if (!hint || over !== row) return; // the pointer has moved on
    filled(card, hint);
    card.hidden = false;
    placed(card, event);
    joined(plot, point, hint.near);
  };
  const onHover = ({ points, event }) => {
    hide();
    const point = points.find((one) => one.customdata !== undefined);
    if (!point) return;
    over = point.customdata;
    timer = setTimeout(show, SOON, point, event);
  };
  // the chart draws itself some time after this, and may be replaced by another
  const find = () => {
    const found = document.querySelector(`.${data.chart} .js-plotly-plot`);
    if (!found?.on || found === plot) return;
    plot = found;
    plot.on("plotly_hover", onHover);
    plot.on("plotly_afterplot", thin);
    thin();
    for (const name of ["plotly_unhover", "plotly_relayouting", "plotly_relayout", "plotly_click"])
      plot.on(name, hide);
  };
  const watch = setInterval(find, 250);
  addEventListener("popstate", hide);
  return () => {
    clearInterval(watch);
    removeEventListener("popstate", hide);
    hide();
    plot?.removeListener?.("plotly_hover", onHover);
    plot?.removeListener?.("plotly_afterplot", thin);
    card.remove();
  };
}
