// What was read out of the page, and decisions: kept by the browser under the report's key, saved as CSV.
const one = selector => document.querySelector(selector);
const all = (selector, from = document) => [...from.querySelectorAll(selector)];
const report = JSON.parse(one("#report").textContent);
const cases = report.cases;

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "class") element.className = value;
    else if (name === "on") for (const [event, call] of Object.entries(value)) element.addEventListener(event, call);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.filter(child => child != null && child !== ""));
  return element;
}

const store = {
  key: `lungseg-review:${report.key}`,
  kept: true,
  all: {},
  changed: [],  // called with the number of the case

  read() {
    try {
      const found = JSON.parse(localStorage.getItem(this.key) || "{}");
      // A decision about another result than the one shown is not carried over.
      for (const one of cases) {
        if (found[one.name] && found[one.name].result === one.result) this.all[one.name] = found[one.name];
      }
    } catch {
      this.kept = false;
    }
  },
  of(number) {
    return this.all[cases[number].name] || {decision: "", comment: "", time: ""};
  },
  decide(number, decision) {
    this.set(number, {decision: this.of(number).decision === decision ? "" : decision});
  },
  comment(number, comment) {
    if (this.of(number).comment !== comment) this.set(number, {comment});
  },
  set(number, values) {
    const {name, result} = cases[number];
    this.all[name] = {...this.of(number), ...values, result, time: new Date().toISOString()};
    if (!this.all[name].decision && !this.all[name].comment) delete this.all[name];
    try {
      localStorage.setItem(this.key, JSON.stringify(this.all));
    } catch {
      this.kept = false;
    }
    for (const call of this.changed) call(number);
  },
  csv() {
    const field = text => /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
    const rows = cases.map((one, n) => [one.name, this.of(n).decision, this.of(n).comment, this.of(n).time,
      String(one.look.score), one.look.reasons.join(" ")]);
    return [["case", "decision", "comment", "time", "look", "reasons"], ...rows].map(row => row.map(field).join(",") + "\r\n").join("");
  },
  download() {
    const url = URL.createObjectURL(new Blob([this.csv()], {type: "text/csv;charset=utf-8"}));
    make("a", {href: url, download: "review.csv"}).click();
    setTimeout(() => URL.revokeObjectURL(url), 10000);
  },
};

// The pictures and volumes of a case: inline, or in a file beside the page.
const waiting = new Map();
window.lungsegCase = (key, number, data) => {
  if (key === report.key) waiting.get(number)?.(data);
};
function dataOf(number) {
  const inline = one(`#data-${number}`);
  if (inline) return Promise.resolve(JSON.parse(inline.textContent));
  const file = cases[number].file;
  if (!file) return Promise.resolve(null);
  return new Promise((done, failed) => {
    waiting.set(number, done);
    const why = `${file} beside this page is missing or of another report: move both together, or write the report again`;
    const script = make("script", {src: file, on: {
      error: () => failed(new Error(why)), load: () => { failed(new Error(why)); script.remove(); },
    }});
    document.head.append(script);
  }).finally(() => waiting.delete(number));
}
