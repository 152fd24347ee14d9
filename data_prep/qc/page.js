"use strict";
const one = selector => document.querySelector(selector);
const all = (selector, from = document) => [...from.querySelectorAll(selector)];
const body = one("#cases tbody"), cards = one("#cards");

// Sorting: the cards follow the rows.
for (const button of all("#cases th button")) {
  button.addEventListener("click", () => {
    const head = button.parentElement, column = head.cellIndex;
    const descending = head.getAttribute("aria-sort") === "ascending";
    for (const other of head.parentElement.children) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", descending ? "descending" : "ascending");
    const value = row => row.cells[column].dataset.value;
    const rows = [...body.rows].sort((a, b) => {
      const x = value(a), y = value(b);
      if (x === "" || y === "") return (x === "") - (y === "");  // not known: always last
      const order = isNaN(x) || isNaN(y) ? x.localeCompare(y, undefined, {numeric: true}) : x - y;
      return descending ? -order : order;
    });
    body.append(...rows);
    cards.append(...rows.map(row => document.getElementById(row.dataset.card)));
  });
}

// Filtering: by text, and by the worst flag.
let severity = "";
function filter() {
  const words = one("#filter").value.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  for (const row of body.rows) {
    const card = document.getElementById(row.dataset.card);
    const text = card.dataset.search;
    const fits = (!severity || row.dataset.worst === severity) && words.every(word => text.includes(word));
    row.hidden = card.hidden = !fits;
    shown += fits;
  }
  one("#shown").textContent = shown === body.rows.length ? "" : `${shown} of ${body.rows.length} cases`;
  one("#none").hidden = shown > 0 || body.rows.length === 0;
}
one("#filter").addEventListener("input", filter);
for (const button of all(".counts button")) {
  button.addEventListener("click", () => {
    severity = severity === button.dataset.worst ? "" : button.dataset.worst;
    for (const other of all(".counts button")) other.setAttribute("aria-pressed", String(!!severity && other === button));
    filter();
  });
}

// Masks and contours, shown or not.
const layers = {m: "masks", c: "contours"};
for (const name of Object.values(layers)) {
  one(`#${name}`).addEventListener("change", event => document.body.classList.toggle(`no-${name}`, !event.target.checked));
}
document.addEventListener("keydown", event => {
  const typing = /^(search|text)$/.test(event.target.type || "");
  const name = layers[event.key.toLowerCase()];
  if (name && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) one(`#${name}`).click();
});

// The viewer: the planes of a case, then slice by slice.
const viewer = one("#viewer"), slider = one("#slider");
let pictures = [];
function show(n) {
  n = Math.max(0, Math.min(n, pictures.length - 1));
  slider.value = n;
  one("#viewer-where").textContent = pictures[n].dataset.title;
  one("#viewer-picture").replaceChildren(pictures[n].cloneNode(true));
}
document.addEventListener("click", event => {
  const button = event.target.closest(".picture");
  if (!button) return;
  const card = button.closest(".card"), template = card.querySelector("template");
  const planes = all(".picture > svg", card);
  pictures = [...planes, ...(template ? [...template.content.children] : [])];
  slider.max = pictures.length - 1;
  one("#viewer-title").textContent = card.querySelector("h3").textContent;
  show(planes.indexOf(button.firstElementChild));
  viewer.showModal();
});
slider.addEventListener("input", () => show(Number(slider.value)));
one("#previous").addEventListener("click", () => show(Number(slider.value) - 1));
one("#next").addEventListener("click", () => show(Number(slider.value) + 1));
one("#close").addEventListener("click", () => viewer.close());
viewer.addEventListener("click", event => { if (event.target === viewer) viewer.close(); });
viewer.addEventListener("keydown", event => {
  const step = {ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1}[event.key];
  if (step && event.target !== slider) { event.preventDefault(); show(Number(slider.value) + step); }
});
