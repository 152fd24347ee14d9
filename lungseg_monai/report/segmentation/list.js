// The list of cases: thumbnail, volumes, flags, decision; filter and choice.
const items = [];
let chosen = -1;
const whenChosen = [];

const ml = value => typeof value === "number" ? `${Math.round(value).toLocaleString("en")} ml` : "–";
const shortName = roi => roi.replace(/^lung_/, "").replaceAll("_", " ");
const badge = one => one.worst && one.worst !== "note" ? one.worst : one.status !== "done" ? one.status : "";

function listItem(one, number) {
  const volumes = Object.entries(one.facts.volumes_ml || {}).map(([roi, value]) => `${shortName(roi)} ${ml(value)}`);
  const button = (name, text, title) => make("button", {type: "button", "data-decision": name, title, "aria-pressed": "false",
    on: {click: event => { event.stopPropagation(); choose(number); store.decide(number, name); }}}, text);
  const note = make("input", {class: "comment", type: "text", placeholder: "comment", hidden: true, "aria-label": "comment",
    on: {change: event => store.comment(number, event.target.value), click: event => event.stopPropagation()}});
  const comment = make("button", {type: "button", "data-comment": true, title: "write a comment (c)",
    on: {click: event => { event.stopPropagation(); choose(number); note.hidden = false; note.focus(); }}}, "Comment");
  const picture = one.thumb ? make("img", {src: one.thumb, alt: "", class: "thumb"}) : make("div", {class: "thumb none"}, "no picture");
  return make("li", {"data-number": number, on: {click: () => choose(number)}},
    make("div", {class: "picture"}, picture),
    make("div", {class: "text"},
      make("div", {class: "name"},
        make("button", {type: "button", class: "choose", title: one.name, on: {click: event => { event.stopPropagation(); choose(number); }}}, one.name),
        badge(one) ? make("span", {class: `badge ${badge(one)}`}, badge(one)) : null),
      volumes.length ? make("div", {class: "volumes"}, volumes.join(" · ")) : null,
      make("div", {class: "soft small", title: "how much this case is worth a look, 0 to 1"}, `look ${one.look.score.toFixed(2)}`),
      one.error ? make("div", {class: "flag failed"}, one.error) : null,
      ...one.flags.map(flag => make("div", {class: `flag ${flag.severity}`, title: flag.code}, flag.what)),
      make("div", {class: "verdict"}, button("accept", "Accept", "accept (a)"), button("reject", "Reject", "reject (r)"), comment),
      note));
}

function drawList() {
  cases.forEach((one, number) => items.push(listItem(one, number)));
  one("#cases").append(...items);
  items.forEach((_, number) => drawVerdict(number));
}

function drawVerdict(number) {
  const kept = store.of(number), item = items[number], note = item.querySelector(".comment");
  item.dataset.decided = kept.decision;
  for (const button of all("[data-decision]", item)) {
    button.setAttribute("aria-pressed", String(button.dataset.decision === kept.decision));
  }
  if (document.activeElement !== note) note.value = kept.comment;
  if (kept.comment) note.hidden = false;
}

const kinds = {
  "": () => true,
  flagged: number => ["alarm", "check"].includes(cases[number].worst),
  undecided: number => !store.of(number).decision,
  accept: number => store.of(number).decision === "accept",
  reject: number => store.of(number).decision === "reject",
  undone: number => cases[number].status !== "done",
};

function filterList() {
  const words = one("#filter").value.toLowerCase().split(/\s+/).filter(Boolean);
  const fits = kinds[one("#which").value];
  let shown = 0;
  items.forEach((item, number) => {
    const {name, status, flags, error} = cases[number];
    const text = [name, status, error, store.of(number).comment, ...flags.flatMap(flag => [flag.code, flag.what, flag.severity])].join(" ").toLowerCase();
    item.hidden = !fits(number) || !words.every(word => text.includes(word));
    shown += !item.hidden;
  });
  one("#shown").textContent = shown === cases.length ? "Those most worth a look first" : `${shown} of ${cases.length} cases`;
}

function choose(number) {
  if (number === chosen || !cases[number]) return;
  items[chosen]?.removeAttribute("aria-current");
  chosen = number;
  items[number].setAttribute("aria-current", "true");
  items[number].scrollIntoView({block: "nearest"});
  for (const call of whenChosen) call(number);
}

function step(by) {
  const shown = items.map((item, number) => item.hidden ? -1 : number).filter(number => number >= 0);
  if (!shown.length) return;
  const at = shown.indexOf(chosen);
  if (at >= 0) choose(shown[Math.min(Math.max(at + by, 0), shown.length - 1)]);
  else choose(by > 0 ? shown.find(number => number > chosen) ?? shown.at(-1) : shown.findLast(number => number < chosen) ?? shown[0]);
}
