// Wiring: clicks, keys, and the first case.
for (const button of all("#views button")) button.addEventListener("click", () => viewer.set({view: button.dataset.view}));
for (const button of all("#windows button")) button.addEventListener("click", () => viewer.set({window: button.dataset.window}));
for (const name of ["mask", "outline", "crosshair", "uncertainty"]) one(`#${name}`).addEventListener("change", event => viewer.set({[name]: event.target.checked}));
one("#opacity").addEventListener("input", event => viewer.set({opacity: event.target.value / 100}));
one("#uncertainty").parentElement.title = `where the network's answers differ: violet ${report.heat.from} % to yellow ${report.heat.to} % (u)`;
one("#csv").addEventListener("click", () => store.download());
one("#about-open").addEventListener("click", showAbout);
for (const [what, event] of [["#filter", "input"], ["#which", "change"]]) one(what).addEventListener(event, filterList);

const keys = {
  j: () => step(1), k: () => step(-1),
  a: () => store.decide(chosen, "accept"), r: () => store.decide(chosen, "reject"),
  c: () => items[chosen].querySelector("[data-comment]").click(),
  "/": () => one("#filter").focus(),
  1: () => viewer.set({window: "lung"}), 2: () => viewer.set({window: "mediastinum"}), 3: () => viewer.set({window: "bone"}),
  m: () => viewer.set({mask: !viewer.state.mask}), o: () => viewer.set({outline: !viewer.state.outline}),
  x: () => viewer.set({crosshair: !viewer.state.crosshair}),
  u: () => viewer.set({uncertainty: !viewer.state.uncertainty}),
};
window.addEventListener("keydown", event => {
  const typing = /^(search|text)$/.test(event.target.type || "") || event.target.tagName === "SELECT";
  if (typing && ["Escape", "Enter"].includes(event.key)) return event.target.blur();
  if (typing || event.ctrlKey || event.metaKey || event.altKey || one("#about").open || !(event.key in keys) || chosen < 0) return;
  event.preventDefault();
  event.stopPropagation();  // or NiiVue would move its crosshair by the same key
  keys[event.key]();
}, true);

store.read();
store.changed.push(drawVerdict, showProgress);
whenChosen.push(showDetails, number => viewer.show(number));
const others = new Set(cases.flatMap(one => Object.entries(one.facts.labels || {}).filter(([label]) => !report.colours[label]).map(([, name]) => shortName(name))));
one("#legend").append(...Object.entries(report.colours).flatMap(([label, colour]) => [swatch(colour), `${{1: "right lung", 2: "left lung"}[label]} `]), ...[...others].flatMap(name => [swatch(report.other), `${name} `]));
drawList();
filterList();
showHeader();
showBeside();
showProgress();
window.lungsegReport = {viewer, store, cases};
viewer.start().then(() => choose(0));
