"use strict";
(async () => {
const $ = (id) => document.getElementById(id);
if (!("DecompressionStream" in window)) {
  $("status").textContent = "This page needs a browser of 2023 or later; all numbers are in scans.csv.";
  return;
}
const D = await unpacked($("data").textContent);
const N = D.scans.length, CHUNK = 60, FEW = 60, MINUS = "\u2212", THIN = "\u202f", DASH = "\u2014";
const RANK = { error: 3, warning: 2, info: 1 };
const LEVELS = [[3, "Withheld", "#a3123a"], [2, "Check", "#e3a008"], [1, "Note", "#6f8596"], [0, "No flag", "#1d6b3f"]];
const collator = new Intl.Collator("en", { numeric: true, sensitivity: "base" });
const columns = D.columns.map(([name, title, unit, number, group], i) => ({ name, title, unit, number, group,
  at: number ? (r) => D.values[i][r] : (r) => { const k = D.values[i][1][r]; return k < 0 ? null : D.values[i][0][k]; } }));
const byName = new Map(columns.map((c) => [c.name, c]));
const worst = D.flags.map((list) => Math.max(0, ...list.map((k) => RANK[D.kinds[k][1]])));
byName.set("scan", { name: "scan", title: "Scan", unit: "", number: false, at: (r) => D.scans[r] });
byName.set("flags", { name: "flags", title: "Flags", unit: "", number: true, at: (r) => worst[r] * 1000 + D.flags[r].length });
const haystack = D.scans.map((scan, r) => [scan, ...columns.filter((c) => !c.number).map((c) => c.at(r) ?? "")].join("\n").toLowerCase());
const initial = () => ({ sort: "scan", way: 1, search: "", flag: "", level: null, shown: new Set(D.shown), ranges: [] });
let state = initial(), order = [], drawn = 0;

// The data are JSON, compressed by gzip, as base64.
async function unpacked(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(stream).text());
}
function element(name, attributes = {}, ...children) {
  const svg = /^(svg|g|path|rect|text|line|circle|title)$/.test(name);
  const made = svg ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) if (value !== null) made.setAttribute(key, value);
  made.append(...children);
  return made;
}
function format(value, column) {
  if (value === null || value === undefined) return DASH;
  if (!column.number) return value;
  const size = Math.abs(value), digits = Number.isInteger(value) && size < 1e5 ? 0 : size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3;
  let [whole, rest] = size.toFixed(digits).split(".");
  if (whole.length > 4) whole = whole.replace(/\B(?=(\d{3})+$)/g, THIN);
  return (value < 0 ? MINUS : "") + whole + (rest ? "." + rest : "");
}
const label = (c) => c.title + (c.unit ? ` [${c.unit}]` : "");
const place = (c) => (D.shown.includes(c.name) ? D.shown.indexOf(c.name) : D.shown.length);
const shownColumns = () => columns.filter((c) => state.shown.has(c.name)).sort((a, b) => place(a) - place(b));

// Filter and sort
function matches(r, skip) {
  const words = state.search.toLowerCase().split(/\s+/).filter(Boolean);
  if (!words.every((word) => haystack[r].includes(word))) return false;
  if (state.flag !== "" && !D.flags[r].includes(+state.flag)) return false;
  if (skip !== "level" && state.level !== null && worst[r] !== state.level) return false;
  return state.ranges.every(({ name, low, high }) => {
    if (low === null && high === null) return true;
    const value = byName.get(name).at(r);
    return value !== null && (low === null || value >= low) && (high === null || value <= high);
  });
}
function sorted(rows) {
  const column = byName.get(state.sort), way = state.way;
  return rows.sort((a, b) => {
    const x = column.at(a), y = column.at(b);
    if (x === null || y === null) return (x === null) - (y === null) || a - b; // unknown values last, either way
    return way * (column.number ? x - y : collator.compare(x, y)) || a - b;
  });
}
function update(head = true) {
  const every = [...Array(N).keys()];
  order = sorted(every.filter((r) => matches(r)));
  $("status").textContent = order.length === N ? `${N} scans` : `${order.length} of ${N} scans`;
  if (head) drawHead();
  drawLevels(every.filter((r) => matches(r, "level")));
  $("scans").querySelector("tbody").replaceChildren();
  drawn = 0;
  $("scroll").classList.remove("wide");
  drawMore();
  // A table that is wider than the page scrolls on its own, with its head and the names of the scans in sight.
  $("scroll").classList.toggle("wide", $("scroll").firstElementChild.scrollWidth > $("scroll").clientWidth + 1);
  drawCharts();
  document.body.dataset.ready = String(order.length);
}

// Table
function drawHead() {
  const cell = (name, title, unit, left) => {
    const sort = state.sort === name ? (state.way > 0 ? "ascending" : "descending") : "none";
    const button = element("button", { type: "button", class: left ? "left" : null }, title, ...(unit ? [element("small", {}, unit)] : []));
    button.addEventListener("click", () => {
      state.way = state.sort === name ? -state.way : (name === "flags" ? -1 : 1);
      state.sort = name;
      update();
      $("scans").querySelector(`th[data-name="${CSS.escape(name)}"] button`).focus();
    });
    return element("th", { scope: "col", role: "columnheader", "aria-sort": sort, "data-name": name }, button);
  };
  const cells = [element("th", { scope: "col", role: "columnheader" }, element("small", {}, "Coronal")),
    cell("scan", "Scan", "", true), cell("flags", "Flags", "", true), ...shownColumns().map((c) => cell(c.name, c.title, c.unit, !c.number))];
  $("scans").querySelector("thead").replaceChildren(element("tr", { role: "row" }, ...cells));
  $("scans").querySelector("table").setAttribute("aria-rowcount", order.length + 1);
  $("sortby").value = state.sort;
  $("order").value = state.way;
}
function report(r) {
  return `${D.links[r]}/${D.before[r]}report.html`;
}
function thumbnail(r) {
  const link = D.links[r], files = D.files[r];
  const shown = link && files & 2
    ? element("img", { src: `${link}/thumbnail.png`, loading: "lazy", decoding: "async", width: 84, height: 84, alt: "" })
    : element("span", { class: "none" }, "no image");
  return link && files & 1 ? element("a", { href: report(r), tabindex: -1, "aria-hidden": "true" }, shown) : shown;
}
function row(r, place) {
  const link = D.links[r] && D.files[r] & 1;
  const chips = D.flags[r].map((k) => element("span", { class: `chip ${D.kinds[k][1]}`, title: D.kinds[k][0] }, D.kinds[k][2]));
  return element("tr", { role: "row", "aria-rowindex": place + 2 },
    element("td", { class: "thumbnail", role: "cell" }, thumbnail(r)),
    element("th", { scope: "row", role: "rowheader" }, link ? element("a", { href: report(r) }, D.scans[r]) : D.scans[r]),
    element("td", { class: "chips", role: "cell" }, ...(chips.length ? chips : [element("span", { class: "chip fine" }, "No flag")])),
    ...shownColumns().map((c) => element("td", { class: c.at(r) === null ? "value none" : "value", role: "cell", "data-label": label(c) }, format(c.at(r), c))));
}
function drawMore() {
  const next = order.slice(drawn, drawn + CHUNK);
  $("scans").querySelector("tbody").append(...next.map((r, i) => row(r, drawn + i)));
  drawn += next.length;
  $("end").hidden = drawn >= order.length;
  $("more").textContent = `Show more (${order.length - drawn})`;
}

// Filters
function drawLevels(rows) {
  $("quick").replaceChildren(...LEVELS.map(([level, title, colour]) => {
    const count = rows.filter((r) => worst[r] === level).length;
    const dot = element("i", { style: `background:${colour}` });
    const button = element("button", { type: "button", "aria-pressed": String(state.level === level), "data-level": level }, dot, `${title} ${count}`);
    button.addEventListener("click", () => {
      state.level = state.level === level ? null : level;
      update();
      $("quick").querySelector(`[data-level="${level}"]`).focus();
    });
    return button;
  }));
}
function options(select, chosen, wanted) {
  const groups = new Map();
  for (const c of chosen) groups.set(c.group, [...(groups.get(c.group) ?? []), element("option", { value: c.name }, label(c))]);
  select.append(...[...groups].map(([group, list]) => element("optgroup", { label: group }, ...list)));
  if (wanted) select.value = wanted;
}
const numbers = columns.filter((c) => c.number);
const preferred = (...names) => names.find((name) => byName.has(name) && byName.get(name).number) ?? (numbers[0] && numbers[0].name);
function addRange(name, low = null, high = null) {
  const range = { name, low, high };
  state.ranges.push(range);
  const pick = element("select", { "aria-label": "Column" });
  options(pick, numbers, name);
  const field = (key, words) => {
    const input = element("input", { type: "number", step: "any", placeholder: words, "aria-label": words, value: range[key] });
    input.addEventListener("input", () => { range[key] = input.value === "" ? null : Number(input.value); update(false); });
    return input;
  };
  const gone = element("button", { type: "button", "aria-label": "Remove this filter" }, "\u00d7");
  const box = element("fieldset", {}, pick, field("low", "from"), field("high", "to"), gone);
  pick.addEventListener("change", () => { range.name = pick.value; update(false); });
  gone.addEventListener("click", () => { state.ranges.splice(state.ranges.indexOf(range), 1); box.remove(); update(false); $("range").focus(); });
  $("ranges").append(box);
  return box;
}
function start() {
  const select = $("flag");
  select.append(element("option", { value: "" }, "any"));
  for (const [severity, title] of [["error", "Withheld"], ["warning", "Check"], ["info", "Note"]]) {
    const list = D.kinds.map((kind, k) => [kind, k]).filter(([kind]) => kind[1] === severity).map(([kind, k]) =>
      element("option", { value: k }, `${kind[2]} (${D.flags.filter((f) => f.includes(k)).length})`));
    if (list.length) select.append(element("optgroup", { label: title }, ...list));
  }
  $("sortby").append(element("option", { value: "scan" }, "Scan"), element("option", { value: "flags" }, "Flags"));
  options($("sortby"), columns);
  for (const [id, wanted] of [["hist-x", preferred("lungs_volume_ml")], ["dots-x", preferred("lungs_volume_ml")], ["dots-y", preferred("lungs_tissue_mass_g", "lungs_mean_hu")]])
    options($(id), numbers, wanted);
  drawChoices();
  $("charts").open = numbers.length > 0 && matchMedia("(min-width: 901px)").matches;
  document.querySelector("h1 a")?.addEventListener("click", () => { $("failed").open = true; });
  let wait = 0;
  $("search").addEventListener("input", () => { clearTimeout(wait); wait = setTimeout(() => { state.search = $("search").value; update(false); }, 80); });
  $("flag").addEventListener("change", () => { state.flag = $("flag").value; update(false); });
  $("sortby").addEventListener("change", () => { state.sort = $("sortby").value; update(); });
  $("order").addEventListener("change", () => { state.way = Number($("order").value); update(); });
  $("range").addEventListener("click", () => addRange(preferred("lungs_volume_ml")).querySelector("select").focus());
  $("reset").addEventListener("click", () => { state = initial(); $("search").value = ""; $("flag").value = ""; $("ranges").replaceChildren(); drawChoices(); update(); });
  $("more").addEventListener("click", () => { const from = drawn; drawMore(); $("scans").querySelectorAll("tbody th")[from]?.querySelector("a")?.focus(); });
  for (const id of ["hist-x", "dots-x", "dots-y"]) $(id).addEventListener("change", drawCharts);
  $("charts").addEventListener("toggle", drawCharts);
  document.addEventListener("keydown", (event) => { if (event.key === "Escape" && $("columns").open) { $("columns").open = false; $("columns").firstElementChild.focus(); } });
  document.addEventListener("click", (event) => { if (!event.composedPath().includes($("columns"))) $("columns").open = false; });
  new IntersectionObserver((seen) => { if (seen.some((one) => one.isIntersecting) && drawn < order.length) drawMore(); }, { rootMargin: "600px" }).observe($("end"));
  update();
}
function drawChoices() {
  const groups = new Map();
  for (const c of columns) groups.set(c.group, [...(groups.get(c.group) ?? []), c]);
  const find = element("input", { type: "search", placeholder: "Find a column", "aria-label": "Find a column", autocomplete: "off" });
  const said = element("span", { class: "sub", role: "status" });
  const boxes = [], parts = [];
  const count = () => {
    for (const { list, of } of parts) of.textContent = ` ${list.filter((c) => state.shown.has(c.name)).length} of ${list.length}`;
    said.textContent = `${state.shown.size} of ${columns.length} columns`;
  };
  const choose = (wanted) => {
    state.shown = new Set(wanted);
    for (const [c, box] of boxes) box.checked = state.shown.has(c.name);
    count();
    update();
  };
  const button = (words, names) => {
    const made = element("button", { type: "button" }, words);
    made.addEventListener("click", () => choose(names()));
    return made;
  };
  for (const [group, list] of groups) {
    const of = element("span", {}), inside = element("fieldset", {}, element("legend", {}, group));
    for (const c of list) {
      const box = element("input", { type: "checkbox" }), line = element("label", {}, box, ` ${label(c)}`);
      box.checked = state.shown.has(c.name);
      box.addEventListener("change", () => { state.shown[box.checked ? "add" : "delete"](c.name); count(); update(); });
      boxes.push([c, box, line]);
      inside.append(line);
    }
    const listed = () => boxes.filter(([c, , line]) => c.group === group && !line.hidden).map(([c]) => c.name);
    const every = element("p", {}, button("All", () => [...state.shown, ...listed()]), " ",
      button("None", () => { const gone = new Set(listed()); return [...state.shown].filter((name) => !gone.has(name)); }));
    const part = element("details", { "data-group": group }, element("summary", {}, group[0].toUpperCase() + group.slice(1), of), every, inside);
    part.open = columns.length <= FEW && list.some((c) => state.shown.has(c.name)); // more hide what groups there are
    parts.push({ list, of, part, was: part.open });
  }
  find.addEventListener("input", () => {
    const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const [c, , line] of boxes) line.hidden = !words.every((word) => `${c.group} ${label(c)} ${c.name}`.toLowerCase().includes(word));
    for (const entry of parts) {
      const left = boxes.some(([c, , line]) => c.group === entry.list[0].group && !line.hidden);
      entry.part.hidden = !left;
      entry.part.open = words.length ? left : entry.was;
    }
  });
  $("columns").lastElementChild.replaceChildren(
    element("div", { class: "find" }, find, said, button("Usual columns", () => D.shown), button("None", () => [])), ...parts.map((entry) => entry.part));
  count();
}

// Charts
const W = matchMedia("(max-width: 600px)").matches ? 400 : 620, H = 200, LEFT = 58, BOTTOM = 36, TOP = 10, RIGHT = 20;
function ticks(low, high, count) {
  const span = high - low || Math.abs(high) || 1, raw = span / count, power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((m) => m * power).find((s) => s >= raw * 0.999);
  const first = Math.floor(low / step + 1e-9), last = Math.max(first + 1, Math.ceil(high / step - 1e-9));
  return Array.from({ length: last - first + 1 }, (_, i) => Number(((first + i) * step).toPrecision(12)));
}
function axes(x, y, titleX, titleY) {
  const at = (list, from, to) => (v) => from + ((v - list[0]) / (list[list.length - 1] - list[0])) * (to - from);
  const px = at(x, LEFT, W - RIGHT), py = at(y, H - BOTTOM, TOP), parts = [], number = { number: true };
  for (const v of y) parts.push(element("path", { d: `M${LEFT} ${py(v)}H${W - RIGHT}`, stroke: "#e3e8eb" }), element("text", { x: LEFT - 6, y: py(v) + 4, "text-anchor": "end" }, format(v, number)));
  const every = Math.ceil(x.length / (W / 69));
  x.forEach((v, i) => { if (i % every === 0) parts.push(element("text", { x: px(v), y: H - BOTTOM + 15, "text-anchor": "middle" }, format(v, number))); });
  parts.push(element("text", { x: (LEFT + W - RIGHT) / 2, y: H - 5, "text-anchor": "middle" }, titleX));
  parts.push(element("text", { x: 11, y: H / 2 - 10, "text-anchor": "middle", transform: `rotate(-90 11 ${H / 2 - 10})` }, titleY));
  return { px, py, parts };
}
function missing(known) { const n = order.length - known; return n ? `; ${n} without a value` : ""; }
function drawHistogram() {
  const column = byName.get($("hist-x").value), values = order.map((r) => column.at(r)).filter((v) => v !== null);
  if (!values.length) { $("hist").replaceChildren(); $("hist-note").textContent = "No scan has a value."; return; }
  const low = values.reduce((a, b) => Math.min(a, b)), high = values.reduce((a, b) => Math.max(a, b));
  const edges = ticks(low, high, Math.min(24, Math.max(6, Math.ceil(Math.sqrt(values.length))))), counts = Array(edges.length - 1).fill(0);
  for (const v of values) counts[Math.min(counts.length - 1, Math.floor((v - edges[0]) / (edges[1] - edges[0]) + 1e-9))]++;
  const top = ticks(0, counts.reduce((a, b) => Math.max(a, b)), 4).filter(Number.isInteger), { px, py, parts } = axes(edges, top, label(column), "scans");
  counts.forEach((count, i) => {
    if (!count) return;
    const words = `${format(edges[i], column)} to ${format(edges[i + 1], column)} ${column.unit}: ${count} scan${count === 1 ? "" : "s"}`;
    const bar = element("rect", { class: "bar", x: px(edges[i]) + 0.7, width: Math.max(1, px(edges[i + 1]) - px(edges[i]) - 1.4), y: py(count), height: py(0) - py(count),
      tabindex: 0, role: "button", "aria-label": `${words}; show only these` }, element("title", {}, `${words}. Click to show only these.`));
    const choose = () => { addRange(column.name, edges[i], edges[i + 1]); update(false); };
    bar.addEventListener("click", choose);
    bar.addEventListener("keydown", (event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); choose(); $("range").focus(); } });
    parts.push(bar);
  });
  $("hist").replaceChildren(element("svg", { viewBox: `0 0 ${W} ${H}`, role: "group", "aria-label": `Histogram of ${label(column)}` }, ...parts));
  const mean = values.reduce((a, b) => a + b, 0) / values.length, half = [...values].sort((a, b) => a - b), m = half.length >> 1;
  const median = half.length % 2 ? half[m] : (half[m - 1] + half[m]) / 2;
  $("hist-note").textContent = `${values.length} scan${values.length === 1 ? "" : "s"}, mean ${format(mean, column)}, median ${format(median, column)} ${column.unit}${missing(values.length)}`;
}
function drawScatter() {
  const cx = byName.get($("dots-x").value), cy = byName.get($("dots-y").value);
  const points = order.map((r) => [cx.at(r), cy.at(r), r]).filter(([x, y]) => x !== null && y !== null);
  if (!points.length) { $("dots").replaceChildren(); $("dots-note").textContent = "No scan has both values."; return; }
  const count = `${points.length} scan${points.length === 1 ? "" : "s"}`;
  const range = (k) => ticks(points.reduce((a, p) => Math.min(a, p[k]), Infinity), points.reduce((a, p) => Math.max(a, p[k]), -Infinity), 5);
  const { px, py, parts } = axes(range(0), range(1), label(cx), label(cy));
  for (const [least, most, colour] of [[0, 1, "#4d8294"], [2, 2, "#e3a008"], [3, 3, "#a3123a"]]) {
    const d = points.filter((p) => worst[p[2]] >= least && worst[p[2]] <= most).map(([x, y]) => `M${px(x).toFixed(1)} ${py(y).toFixed(1)}h0`).join("");
    if (d) parts.push(element("path", { d, stroke: colour, "stroke-width": points.length > 800 ? 5 : 8, "stroke-linecap": "round", "stroke-opacity": 0.8, fill: "none" }));
  }
  const ring = element("circle", { r: 6, fill: "none", stroke: "#15202b", "stroke-width": 1.6, visibility: "hidden" });
  const svg = element("svg", { viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": `${label(cy)} over ${label(cx)}, ${count}` }, ...parts, ring);
  const note = `${count}${missing(points.length)}. Amber: check; red: values withheld. Point at a dot for its scan.`;
  let near = null;
  svg.addEventListener("mousemove", (event) => {
    const box = svg.getBoundingClientRect(), scale = Math.max(W / box.width, H / box.height);
    const x = (event.clientX - box.left - box.width / 2) * scale + W / 2, y = (event.clientY - box.top - box.height / 2) * scale + H / 2;
    near = null;
    let best = 14 ** 2;
    for (const p of points) { const d = (px(p[0]) - x) ** 2 + (py(p[1]) - y) ** 2; if (d < best) { best = d; near = p; } }
    ring.setAttribute("visibility", near ? "visible" : "hidden");
    svg.style.cursor = near ? "pointer" : "default";
    if (near) { ring.setAttribute("cx", px(near[0])); ring.setAttribute("cy", py(near[1])); }
    $("dots-note").textContent = near ? `${D.scans[near[2]]}: ${format(near[0], cx)} ${cx.unit}, ${format(near[1], cy)} ${cy.unit}` : note;
  });
  svg.addEventListener("click", () => { if (near && D.links[near[2]] && D.files[near[2]] & 1) location.href = report(near[2]); });
  $("dots").replaceChildren(svg);
  $("dots-note").textContent = note;
}
function drawCharts() {
  if (!$("charts").open || !numbers.length) return;
  drawHistogram();
  drawScatter();
}
start();
})();
