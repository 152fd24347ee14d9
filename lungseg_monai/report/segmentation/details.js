// The chosen case in figures; the header; what the report is about.
const figure = (value, digits = 0) => typeof value === "number" ? value.toLocaleString("en", {minimumFractionDigits: digits, maximumFractionDigits: digits}) : "–";
const colourOf = (facts, roi) => {
  const label = Object.keys(facts.labels || {}).find(label => facts.labels[label] === roi);
  return report.colours[label] || report.other;
};
const swatch = colour => {
  const box = make("i", {class: "swatch"});
  box.style.background = `rgb(${colour.join(",")})`;
  return box;
};

function measures(facts) {
  const {volumes_ml: volumes = {}, hu = {}, confidence = {}} = facts;
  const rois = [...new Set([...Object.keys(volumes), ...Object.keys(hu), ...Object.keys(confidence)])];
  if (!rois.length) return null;
  const rows = [["volume, ml", roi => figure(volumes[roi])], ["mean, HU", roi => figure(hu[roi]?.mean)],
    ["15th perc., HU", roi => figure(hu[roi]?.p15)], ["below -950 HU, %", roi => figure(hu[roi]?.below_950_percent, 1)],
    ["confidence", roi => figure(confidence[roi], 3)]];
  const told = facts.uncertainty?.rois;
  if (told) {
    rows.push(["Dice of two answers", roi => figure(told[roi]?.dice, 3)], ["voxels that flip, %", roi => figure(told[roi]?.flip_percent, 1)],
      ["spread at border, %", roi => figure(told[roi]?.border_percent, 1)], ["raggedness", roi => figure(told[roi]?.ragged, 2)]);
  }
  const head = rois.map(roi => make("th", {scope: "col"}, swatch(colourOf(facts, roi)), shortName(roi)));
  const row = ([name, of]) => make("tr", {}, make("th", {scope: "row"}, name), ...rois.map(roi => make("td", {}, of(roi))));
  return make("table", {id: "measures"}, make("thead", {}, make("tr", {}, make("td"), ...head)), make("tbody", {}, ...rows.map(row)));
}

function lines(pairs) {
  return make("dl", {}, ...pairs.filter(([, value]) => value != null && value !== "").flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, String(value))]));
}

const listed = (of, unit = "") => Object.entries(of || {}).map(([name, value]) => `${name} ${typeof value === "number" ? figure(value, 2) + unit : plain(value)}`).join(", ");
const plain = value => value && typeof value === "object" ? JSON.stringify(value) : String(value);

function showDetails(number) {
  const {name, flags, error, facts, seconds, look} = cases[number];
  const image = facts.image || {};
  const grid = Array.isArray(image.shape_ijk) ? `${image.shape_ijk.join(" × ")} voxels of ${(image.spacing_mm || []).map(mm => +mm.toFixed(3)).join(" × ")} mm, ${image.orientation || ""}` : "";
  one("#details").replaceChildren(
    make("h2", {}, name, " ", make("span", {class: `badge ${badge(cases[number])}`}, badge(cases[number]) || "no flag")),
    ...(error ? [make("p", {class: "flag failed"}, error)] : []),
    ...flags.map(flag => make("p", {class: `flag ${flag.severity}`}, make("b", {}, `${flag.severity}: `), flag.what, make("code", {}, flag.code))),
    measures(facts) || "",
    lines([["look", [look.score.toFixed(2), look.reasons.join(", ")].filter(Boolean).join(": ")], ["image", [image.kind, grid].filter(Boolean).join(", ")], ["time", listed(facts.timings_s, " s") || (seconds != null ? `${figure(seconds, 1)} s` : "")],
      ["files", Object.values(facts.outputs || {}).map(plain).join(", ")], ["not written", listed(facts.outputs_refused)],
      ["notes", Object.values(facts.notes || {}).map(plain).join(" ")]]));
}

function showHeader() {
  const count = what => cases.filter(what).length;
  const of = [["done", one => one.status === "done"], ["failed", one => one.status === "failed"], ["refused", one => one.status === "refused"],
    ["alarm", one => one.worst === "alarm"], ["check", one => one.worst === "check"]];
  const model = report.model;
  const hash = String(model.weights_sha256 || model.weights || "");
  const text = of.map(([name, fits]) => [name, count(fits)]).filter(([, n]) => n).map(([name, n]) => `${n} ${name}${n > 1 && name === "alarm" ? "s" : n > 1 && name === "check" ? "s" : ""}`);
  const about = [model.bundle || model.name, model.version, model.backend, hash ? `weights ${hash.slice(0, 12)}` : ""].filter(Boolean).join(" ");
  one("#counts").textContent = [...text, about].filter(Boolean).join(" · ");
}

function showBeside() {
  const {refused, ignored} = report;
  if (!refused.length && !ignored.length) return;
  const told = [["refused", refused], ["passed over", ignored]].filter(([, all]) => all.length);
  one("#beside summary").textContent = `Also in the inputs: ${told.map(([name, all]) => `${all.length} ${name}`).join(", ")}`;
  one("#beside ul").append(...told.flatMap(([name, all]) => all.map(text => make("li", {}, make("b", {}, `${name}: `), text))));
  one("#beside").hidden = false;
}

function showProgress() {
  const decided = cases.filter((_, n) => store.of(n).decision);
  const rejected = decided.filter(one => store.all[one.name].decision === "reject").length;
  one("#progress").textContent = `${decided.length} of ${cases.length} decided${rejected ? `, ${rejected} rejected` : ""}`;
  if (!store.kept) say("This browser keeps nothing for this page: download review.csv before you close it.");
}

function showAbout() {
  const part = (name, of) => Object.keys(of).length ? [make("h3", {}, name), lines(Object.entries(of).map(([key, value]) => [key, plain(value)]))] : [];
  one("#about-text").replaceChildren(
    make("h2", {}, report.folder),
    make("p", {}, "For research, not a medical device. Decisions are kept by this browser, on this machine, under this report's key; download review.csv to keep or share them."),
    ...part("Model", report.model), ...part("Settings", report.settings), ...part("Versions", report.versions));
  one("#about").showModal();
}

function say(text) {
  one("#banner").textContent = text;
  one("#banner").hidden = false;
}
