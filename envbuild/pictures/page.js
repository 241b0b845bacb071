"use strict";
(() => {
  const picture = JSON.parse(document.getElementById("picture").textContent);
  const nodes = picture.nodes, run = picture.run;
  const byId = (id) => document.getElementById(id);
  const NAMES = { fetch: "Fetch", transmute: "Rewrite", "build-wheel": "Build", link: "Link", test: "Test" };
  const TOLD = {
    fetch: "files of packages", transmute: "conda packages in another format", "build-wheel": "wheels from source",
    link: "packages become the environment", test: "what must hold of it",
  };
  const ORDER = Object.keys(NAMES);
  const CLASSES = { hit: "hit", far: "far", miss: "miss", "needs build": "build", "not needed": "idle" };
  const GLYPHS = { hit: "✓", far: "↓", miss: "●", "needs build": "▲", "not needed": "–" };
  const MEANINGS = {
    hit: "its result is on this machine", far: "a shared store has it; it is only brought",
    miss: "has to be done", "needs build": "a wheel has to be built from source", "not needed": "what reads it is here",
  };
  const RANK = Object.keys(CLASSES);
  const SORTED = { miss: 0, "needs build": 0, far: 1, hit: 2, "not needed": 3 };

  // Words

  const plural = (count, word) => `${count} ${word}${count === 1 ? "" : "s"}`;
  function bytes(size) {
    if (size === null || size === undefined) return "";
    let unit = "B";
    for (const next of ["kB", "MB", "GB"]) { if (size < 999.5) break; size /= 1000; unit = next; }
    return `${unit === "B" ? size : size.toFixed(size < 10 ? 1 : 0)} ${unit}`;
  }
  function time(ms) {
    if (ms === null || ms === undefined) return "";
    if (ms < 1000) return `${ms} ms`;
    return ms < 120000 ? `${(ms / 1000).toFixed(1)} s` : `${(ms / 60000).toFixed(1)} min`;
  }
  const done = (node) => node.state === "hit" || node.state === "not needed";
  const stateClass = (node) => CLASSES[node.state] || "idle";
  const kindName = (kind) => NAMES[kind] || kind;

  /** An element with text and children; text from outside is only ever text. */
  function make(name, settings = {}, ...children) {
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(settings)) {
      if (key === "text") element.textContent = value;
      else if (key === "class") element.className = value;
      else if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
      else if (value !== null) element.setAttribute(key, value);
    }
    element.append(...children);
    return element;
  }
  function drawn(name, settings) {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(settings)) element.setAttribute(key, value);
    return element;
  }
  function place(element, x, y, width, height) {
    element.style.left = `${x}px`; element.style.top = `${y}px`;
    if (width !== undefined) element.style.width = `${width}px`;
    if (height !== undefined) element.style.height = `${height}px`;
    return element;
  }

  // What is shown

  nodes.forEach((node, number) => { node.number = number; node.users = []; });
  nodes.forEach((node) => node.inputs.forEach((input) => nodes[input].users.push(node.number)));
  const texts = nodes.map((node) => [node.label, node.kind, node.ecosystem, node.place, node.key, node.why,
    ...node.facts.filter(([title]) => title === "file" || title === "licence").map(([, text]) => text)].join("\n").toLowerCase());
  const hidden = new Set();
  const folded = new Set();
  let chosen = null, words = [], grouping = "kind", scale = 1, view = "graph", sorting = ["state", 1], stretch = 1;
  const isShown = (node) => !hidden.has(node.state) && words.every((word) => texts[node.number].includes(word));

  // The head

  const todo = nodes.filter((node) => !done(node));
  const count = (state) => nodes.filter((node) => node.state === state).length;
  const moved = picture.sources.reduce((sum, each) => sum + each.size, 0);
  const unknown = picture.sources.reduce((sum, each) => sum + each.unknown, 0);
  byId("sum").textContent = todo.length
    ? `${todo.length} of ${plural(nodes.length, "step")} to do` +
      (picture.earlier ? `; compared with what was realized at ${picture.earlier.replace("T", " ").replace("Z", " UTC")}` : "")
    : `All there: none of ${plural(nodes.length, "step")} has to be done`;
  function card(title, text, told) {
    byId("cards").append(make("div", { class: "card", title: told || "" }, make("b", { text }), make("span", { text: title })));
  }
  if (picture.sources.length) {
    const from = picture.sources.map((each) => `${bytes(each.size)} from ${each.source.name || each.source.kind} (${plural(each.files, "file")})`);
    card("to bring" + (unknown ? `, and ${plural(unknown, "file")} of unknown size` : ""), bytes(moved), from.join("\n"));
  }
  if (todo.length) {
    card("expected" + (picture.builds ? `, and ${plural(picture.builds, "build")} of unknown length` : ""), time(picture.milliseconds),
      `The longest chain alone: ${time(picture["chain-milliseconds"])}`);
  }
  if (run) card("the last run took", time(run.milliseconds), run.began);
  const whole = nodes.filter((node) => node.kind === "fetch" && node.size !== null).reduce((sum, node) => sum + node.size, 0);
  card("in all packages", bytes(whole));

  for (const state of RANK) {
    if (!count(state)) continue;
    const button = make("button", { class: "filter", "aria-pressed": "true", title: MEANINGS[state], "data-state": state },
      make("span", { class: `dot ${CLASSES[state]}` }), make("span", { text: `${picture.states[state]} ${count(state)}` }));
    button.addEventListener("click", () => {
      if (hidden.has(state)) hidden.delete(state); else hidden.add(state);
      button.setAttribute("aria-pressed", String(!hidden.has(state)));
      draw();
    });
    byId("filters").append(button);
  }

  // The graph: columns by kind, boxes by group, tiles in boxes

  const TILE = { width: 190, height: 25, gap: 5 }, HEAD = 46, PAD = 12, SPACE = 110, TOP = 52, WIDE = 240;
  let boxes = [], spots = new Map(), size = [0, 0];
  const groupOf = (node) => grouping === "kind" ? kindName(node.kind)
    : grouping === "state" ? picture.states[node.state] || node.state : node[grouping] || "this machine";

  /** Boxes as wide as fills the room best. */
  function lay(shown) {
    const room = byId("graph");
    let best = null;
    for (const shape of [2.5, 3.5, 4.5, 6, 8, 11, 15]) {
      const laid = layAs(shown, shape), fits = Math.min(1.15, room.clientWidth / size[0], room.clientHeight / size[1]);
      if (best === null || fits > best.fits) best = { fits, laid, boxes, spots, size };
    }
    ({ boxes, spots, size } = best);
    return best.laid;
  }
  const least = (members) => Math.min(...members.map((node) => SORTED[node.state]));
  function layAs(shown, shape) {
    const columns = new Map();
    for (const node of shown) {
      if (!columns.has(node.kind)) columns.set(node.kind, new Map());
      const groups = columns.get(node.kind), name = groupOf(node);
      if (!groups.has(name)) groups.set(name, []);
      groups.get(name).push(node);
    }
    boxes = []; spots = new Map();
    const kinds = [...columns.keys()].sort((a, b) => (ORDER.indexOf(a) + 99) % 99 - (ORDER.indexOf(b) + 99) % 99);
    let x = 24, tallest = 0;
    const laid = [];
    for (const kind of kinds) {
      const groups = [...columns.get(kind)].sort((a, b) => least(a[1]) - least(b[1]) || b[1].length - a[1].length || (a[0] < b[0] ? -1 : 1));
      let y = TOP, widest = 0;
      const column = [];
      for (const [name, members] of groups) {
        members.sort((a, b) => SORTED[a.state] - SORTED[b.state] || (a.label < b.label ? -1 : a.label > b.label ? 1 : 0));
        const key = `${kind}\n${name}`, closed = folded.has(key);
        const across = closed || members.length <= 14 ? 1 : Math.max(1, Math.min(9, Math.round(Math.sqrt(members.length / shape))));
        const rows = closed ? 0 : Math.ceil(members.length / across);
        const box = { key, kind, name, members, closed, x, y,
          width: Math.max(across * (TILE.width + TILE.gap) - TILE.gap + 2 * PAD, WIDE), height: HEAD + (rows ? rows * (TILE.height + TILE.gap) - TILE.gap + PAD : 0) };
        const tile = across === 1 ? WIDE - 2 * PAD : TILE.width;
        members.forEach((node, at) => spots.set(node.number, closed ? { box, x: box.x, y: box.y, width: box.width, height: box.height }
          : { box, x: x + PAD + (at % across) * (TILE.width + TILE.gap), y: y + HEAD + Math.floor(at / across) * (TILE.height + TILE.gap), width: tile, height: TILE.height }));
        column.push(box); boxes.push(box);
        y += box.height + 18; widest = Math.max(widest, box.width);
      }
      for (const box of column) {
        box.width = widest;
        if (box.closed) for (const node of box.members) spots.get(node.number).width = widest;
      }
      laid.push({ kind, x, column, height: y - 18 - TOP });
      tallest = Math.max(tallest, y - 18);
      x += widest + SPACE;
    }
    for (const { column, height } of laid) {  // columns stand in the middle of the tallest one
      const shift = Math.max(0, (tallest - TOP - height) / 2);
      for (const box of column) {
        box.y += shift;
        for (const node of box.members) { const spot = spots.get(node.number); spot.y += shift; }
      }
    }
    size = [x - SPACE + 24, tallest + 24];
    return laid;
  }

  /** A line from one to the other; what stands in columns between them is passed below. */
  function curve(from, to) {
    const between = boxes.filter((box) => box.x > (from.box || from).x && box.x + box.width < to.x && box.x > from.x + from.width);
    if (between.length) {
      const enter = Math.min(...between.map((box) => box.x)) - 16, leave = Math.max(...between.map((box) => box.x + box.width)) + 16;
      const lane = Math.max(...between.map((box) => box.y + box.height)) + 14;
      const x1 = from.x + from.width, y1 = from.y + from.height / 2, x2 = to.x, y2 = to.y + to.height / 2;
      const first = (enter - x1) / 2, second = (x2 - leave) / 2;
      return `M${x1} ${y1}C${x1 + first} ${y1} ${enter - first} ${lane} ${enter} ${lane}L${leave} ${lane}C${leave + second} ${lane} ${x2 - second} ${y2} ${x2} ${y2}`;
    }
    const x1 = from.x + from.width, y1 = from.y + from.height / 2, y2 = to.y + to.height / 2;
    let x2 = to.x;
    if (x2 <= x1) {  // within a column: around on the right
      x2 = to.x + to.width;
      const far = Math.max(x1, x2) + 40;
      return `M${x1} ${y1}C${far} ${y1} ${far} ${y2} ${x2} ${y2}`;
    }
    const half = (x2 - x1) / 2;
    return `M${x1} ${y1}C${x1 + half} ${y1} ${x2 - half} ${y2} ${x2} ${y2}`;
  }

  function drawGraph() {
    const shown = nodes.filter(isShown), canvas = byId("canvas");
    const laid = lay(shown);
    canvas.replaceChildren();
    const svg = drawn("svg", { width: size[0], height: size[1], "aria-hidden": "true" });
    canvas.append(svg);
    for (const { kind, x } of laid) {
      canvas.append(place(make("div", { class: "column" }, make("b", { text: kindName(kind) }), make("span", { text: TOLD[kind] || "" })), x + 2, 4));
    }
    for (const box of boxes) {
      const sum = box.members.reduce((total, node) => total + (node.size || 0), 0);
      const few = box.members.filter((node) => !done(node)).length;
      const note = ` ${box.members.length}` + (few ? `, ${few} to do` : "") + (sum ? `, ${bytes(sum)}` : "");
      const shares = make("div", { class: "shares" });
      for (const state of RANK) {
        const share = box.members.filter((node) => node.state === state).length;
        if (share) { const part = make("span", { class: CLASSES[state] }); part.style.flexGrow = share; shares.append(part); }
      }
      const head = make("button", { class: "fold", "aria-expanded": String(!box.closed), title: box.closed ? "Unfold" : "Fold" },
        make("span", { text: (box.closed ? "▸ " : "▾ ") + box.name }), make("small", { text: note }));
      head.addEventListener("click", () => { if (box.closed) folded.delete(box.key); else folded.add(box.key); draw(); });
      const element = place(make("div", { class: "box", role: "group", "aria-label": `${kindName(box.kind)}: ${box.name}${note}` }, head, shares), box.x, box.y, box.width, box.height);
      canvas.append(element);
      if (box.closed) continue;
      for (const node of box.members) canvas.append(tile(node, spots.get(node.number)));
    }
    edges(svg, shown);
    const first = canvas.querySelector(".node.chosen") || canvas.querySelector(".node");
    if (first) first.tabIndex = 0;
    zoomTo(scale);
    byId("fold").textContent = boxes.length && boxes.every((box) => box.closed) ? "Unfold all" : "Fold all";
  }

  function tile(node, spot) {
    const extra = node.moves !== null && !done(node) ? node.moves : node.size;
    const element = make("button", {
      class: `node ${stateClass(node)}`, tabindex: "-1", "data-number": node.number,
      title: `${kindName(node.kind)} ${node.label}: ${picture.states[node.state] || node.state}${node.why ? `; ${node.why}` : ""}`,
      "aria-label": `${kindName(node.kind)} ${node.label}, ${picture.states[node.state] || node.state}${extra ? `, ${bytes(extra)}` : ""}`,
    }, make("span", { class: "glyph", text: GLYPHS[node.state] || "" }), make("span", { class: "name", text: node.label }),
    make("span", { class: "size", text: extra ? bytes(extra) : "" }));
    if (chosen !== null) {
      if (node.number === chosen) element.classList.add("chosen");
      else if (nodes[chosen].inputs.includes(node.number)) element.classList.add("reads");
      else if (nodes[chosen].users.includes(node.number)) element.classList.add("read");
    }
    element.addEventListener("click", () => choose(node.number));
    return place(element, spot.x, spot.y, spot.width, spot.height);
  }

  /** Between few tiles every edge; between many one band for each pair of boxes; of the chosen tile always its own. */
  function edges(svg, shown) {
    const all = shown.length <= 40, bands = new Map();
    for (const node of shown) {
      for (const input of node.inputs) {
        const from = spots.get(input), to = spots.get(node.number);
        if (!from || !to || from.box === to.box && from.box.closed) continue;
        const near = chosen !== null && (input === chosen || node.number === chosen);
        if (near || all && !from.box.closed && !to.box.closed) {
          svg.append(drawn("path", { class: near ? "edge near" : "edge", d: curve(from, to), "stroke-width": 1.2 }));
        } else {
          const key = `${from.box.key}\n\n${to.box.key}`;
          const band = bands.get(key) || { from: from.box, to: to.box, count: 0 };
          band.count += 1;
          bands.set(key, band);
        }
      }
    }
    for (const { from, to, count } of bands.values()) {
      if (from === to) continue;
      svg.append(drawn("path", { class: "edge flow", d: curve(from, to), "stroke-width": Math.min(26, 2 + 1.4 * Math.sqrt(count)) }));
      const text = drawn("text", { class: "tally", x: from.x + from.width + 8, y: from.y + from.height / 2 - 8 });
      text.textContent = String(count);
      svg.append(text);
    }
  }

  function zoomTo(wanted) {
    scale = Math.min(3, Math.max(0.12, wanted));
    byId("canvas").style.transform = `scale(${scale})`;
    const left = Math.max(0, (byId("graph").clientWidth - size[0] * scale) / 2);
    place(byId("canvas"), left, 0, size[0], size[1]);
    place(byId("room"), 0, 0, left + size[0] * scale, size[1] * scale);
  }
  function fit(least = 0) {
    const room = byId("graph");
    zoomTo(Math.max(least, Math.min(1.15, (room.clientWidth - 8) / size[0], (room.clientHeight - 8) / size[1])));
    room.scrollTo(0, 0);
  }

  // Of many steps those that are done stand in a folded box: what is to do is what one looks for.
  const READABLE = 0.64;
  if (nodes.length > 60 && todo.length && todo.length < nodes.length) {
    grouping = "state";
    byId("group").value = grouping;
    for (const kind of new Set(nodes.map((node) => node.kind))) {
      for (const state of ["hit", "not needed"]) {
        if (nodes.filter((node) => node.kind === kind && node.state === state).length > 12) folded.add(`${kind}\n${picture.states[state]}`);
      }
    }
  }

  // The timeline

  const BARS = { fetch: "fetch", pull: "pull", transmute: "transmute", "build-wheel": "wheel", link: "link", unpack: "unpack", failed: "failed" };
  const SAID = { fetch: "fetch", pull: "bring from a shared store", transmute: "rewrite", "build-wheel": "build", link: "link", unpack: "unpack", failed: "failed" };
  const barKind = (bar) => bar.state !== "done" ? "failed" : bar.phase === "prepare" ? "unpack" : bar.phase === "pull" ? "pull" : nodes[bar.node].kind;

  function drawTime() {
    const room = byId("time");
    const [left, top] = [room.scrollLeft, room.scrollTop];
    room.replaceChildren();
    if (!run) {
      room.append(make("p", { class: "note", text: "No run is remembered that did something of this environment. After a realize that has something to do, this page, made anew, shows what was done when." }));
      return;
    }
    const wide = make("div", { class: "wide" }), width = Math.max(300, (room.clientWidth - 160) * stretch), span = Math.max(1, run.milliseconds);
    const used = (lane) => new Set(run.bars.filter((bar) => bar.lane === lane).map((bar) => bar.slot)).size;
    const slots = Object.fromEntries(run.slots);
    const told = make("div", { class: "told" }, make("div", { text:
      `The last run, ${run.began.replace("T", " ").replace("Z", " UTC")}: ${plural(run.bars.length, "job")} in ${time(run.milliseconds)}. ` +
      `Each line is a slot: jobs on one line ran one after the other. What is there is unpacked while the rest still comes. At once: ${plural(used("io"), "transfer")} of ${slots.io} allowed, ${plural(used("cpu"), "job")} of ${slots.cpu} that compute.` +
      (run.others ? ` ${plural(run.others, "job")} of other environments took part and are not drawn.` : "") }));
    const kinds = [...new Set(run.bars.map(barKind))];
    told.append(make("ul", { class: "kinds" }, ...kinds.map((kind) => make("li", {}, make("span", { class: `dot ${BARS[kind] || "link"}` }), SAID[kind] || kind))));
    wide.append(told);
    const axis = make("div", { class: "axis" });
    const rough = span / Math.max(2, width / 110), power = 10 ** Math.floor(Math.log10(Math.max(1, rough)));
    const step = [1, 2, 5, 10].map((each) => each * power).find((each) => each >= rough) || 10 * power;
    for (let at = 0; at <= span; at += step) axis.append(place(make("span", { text: time(at) || "0" }), at / span * width, 2));
    axis.style.width = `${width}px`;
    wide.append(axis);
    for (const lane of ["cpu", "io"]) {
      const bars = run.bars.filter((bar) => bar.lane === lane);
      const lines = [...new Set(bars.map((bar) => bar.slot))].sort((a, b) => a - b);
      for (const slot of lines) {
        const line = make("div", { class: lines.length > 16 ? "lane thin" : "lane" }, make("span", { class: "who", text: `${lane === "io" ? "transfer" : "compute"} ${slot + 1}` }));
        line.style.width = `${width + 120}px`;
        for (const bar of bars.filter((each) => each.slot === slot)) line.append(barOf(bar, width, span));
        wide.append(line);
      }
    }
    room.append(wide);
    room.scrollTo(left, top);
    const first = room.querySelector(".bar.chosen") || room.querySelector(".bar");
    if (first) first.tabIndex = 0;
  }

  function barOf(bar, width, span) {
    const node = nodes[bar.node], about = bar.input !== null ? nodes[bar.input] : node;
    const kind = barKind(bar), long = (bar.end - bar.start) / span * width;
    const text = `${SAID[kind] || kind} ${about.label}: ${time(bar.end - bar.start)}, from ${time(bar.start)} to ${time(bar.end)}` +
      (bar.size ? `, ${bytes(bar.size)}` : "") + (bar.place ? ` from ${bar.place}` : "");
    const element = make("button", { class: `bar ${BARS[kind] || "link"}${long > 26 ? "" : " short"}`, tabindex: "-1", title: text, "aria-label": text, "data-number": about.number, "data-bar": run.bars.indexOf(bar),
      text: long > 26 ? about.label : "" });
    if (!isShown(about)) element.classList.add("dim");
    if (about.number === chosen) element.classList.add("chosen");
    element.addEventListener("click", () => choose(about.number, `[data-bar="${element.dataset.bar}"]`));
    return place(element, 110 + bar.start / span * width, 2, Math.max(3, long));
  }

  // The list

  const COLUMNS = [
    ["state", "State", (node) => SORTED[node.state], false], ["kind", "Step", (node) => ORDER.indexOf(node.kind), false],
    ["label", "What", (node) => node.label, false], ["place", "From", (node) => node.place, false],
    ["size", "Size", (node) => node.size || 0, true], ["expected", "Expected", (node) => node.expected || 0, true],
    ["took", "Took", (node) => node.took || 0, true], ["why", "Why", (node) => node.why, false],
  ];
  function drawList() {
    const [by, sign] = sorting, key = COLUMNS.find(([name]) => name === by)[2];
    const rows = nodes.filter(isShown).sort((a, b) => (key(a) < key(b) ? -sign : key(a) > key(b) ? sign : a.number - b.number));
    const head = make("tr", {}, ...COLUMNS.map(([name, title, , number]) => make("th", {
      class: number ? "number" : "", scope: "col", "aria-sort": name !== by ? "none" : sign > 0 ? "ascending" : "descending" },
    make("button", { text: title + (name === by ? (sign > 0 ? " ▴" : " ▾") : ""), onclick: () => { sorting = [name, name === by ? -sign : number ? -1 : 1]; drawList(); } }))));
    const body = rows.map((node) => make("tr", { class: node.number === chosen ? "chosen" : "" },
      make("td", {}, make("span", { class: `state ${stateClass(node)}`, text: picture.states[node.state] || node.state })),
      make("td", { text: kindName(node.kind) }),
      make("td", {}, make("button", { text: node.label, "data-number": node.number, onclick: () => choose(node.number) })),
      make("td", { text: node.place }), make("td", { class: "number", text: bytes(node.size) }), make("td", { class: "number", text: time(node.expected) }),
      make("td", { class: "number", text: time(node.took) }), make("td", { text: node.why })));
    byId("list").replaceChildren(make("table", {}, make("thead", {}, head), make("tbody", {}, ...body)));
  }

  // Details

  function entry(number) {
    const node = nodes[number];
    return make("li", {}, make("button", { onclick: () => choose(number), title: picture.states[node.state] || node.state },
      make("span", { class: `dot ${stateClass(node)}` }), make("span", { text: `${kindName(node.kind)} ${node.label}` })));
  }
  function several(title, numbers) {
    const list = make("ul", {}, ...numbers.slice(0, 400).map(entry));
    return [make("h3", { text: `${title} (${numbers.length})` }), list];
  }
  function drawSpent(room) {
    const sums = new Map();
    for (const bar of run.bars) sums.set(barKind(bar), (sums.get(barKind(bar)) || 0) + bar.end - bar.start);
    const longest = [...run.bars].sort((a, b) => (b.end - b.start) - (a.end - a.start)).slice(0, 12);
    room.replaceChildren(make("h2", { text: "Where the time went" }),
      make("dl", {}, ...[...sums].sort((a, b) => b[1] - a[1]).flatMap(([kind, sum]) => [make("dt", { text: SAID[kind] || kind }), make("dd", { text: time(sum) })])),
      make("div", { class: "soft", text: "Sums of all slots, which work side by side." }),
      make("h3", { text: "The longest jobs" }),
      make("ul", {}, ...longest.map((bar) => {
        const about = bar.input !== null ? nodes[bar.input] : nodes[bar.node];
        return make("li", {}, make("button", { onclick: () => choose(about.number, `[data-bar="${run.bars.indexOf(bar)}"]`) },
          make("span", { class: `dot ${BARS[barKind(bar)] || "link"}` }), make("span", { text: `${time(bar.end - bar.start)}  ${SAID[barKind(bar)] || barKind(bar)} ${about.label}` })));
      })));
  }
  function drawDetails() {
    const room = byId("details");
    if (chosen === null && view === "time" && run) { drawSpent(room); return; }
    if (chosen === null) {
      const seen = RANK.filter(count);
      room.replaceChildren(make("h2", { text: "What the colours say" }),
        make("ul", { class: "legend" }, ...seen.map((state) => make("li", {}, make("span", { class: `state ${CLASSES[state]}`, text: `${GLYPHS[state]} ${picture.states[state]}` }), make("span", { text: MEANINGS[state] })))));
      if (picture.sources.length) {
        room.append(make("h3", { text: "What would come from where" }), make("dl", {}, ...picture.sources.flatMap((each) => [
          make("dt", { text: bytes(each.size) + (each.unknown ? " +?" : "") }), make("dd", { text: `${each.source.kind} ${each.source.name} (${plural(each.files, "file")})` })])));
      }
      const chain = nodes.filter((node) => node.chain);
      if (chain.length > 1) {
        room.append(make("h3", { text: `The longest chain, ${time(picture["chain-milliseconds"])}` }), make("ul", {}, ...chain.map((node) => entry(node.number))));
      }
      return;
    }
    const node = nodes[chosen];
    const told = [["key", node.key], ["size", bytes(node.size)], ["to bring", done(node) ? "" : bytes(node.moves)], ["from", node.place],
      ["expected", time(node.expected)], ["took here", time(node.took)], ...node.facts];
    room.replaceChildren(
      make("h2", { text: node.label }),
      make("div", {}, `${kindName(node.kind)} · ${node.ecosystem} · `, make("span", { class: `state ${stateClass(node)}`, text: picture.states[node.state] || node.state })),
      make("dl", {}, ...told.filter(([, text]) => text).flatMap(([title, text]) => [make("dt", { text: title }), make("dd", {}, title === "key" ? make("code", { text }) : text)])));
    if (node.why) room.append(make("h3", { text: "Why it has to be done" }), make("div", { text: node.why }));
    if (node.reasons.length) room.append(make("ul", {}, ...node.reasons.map((text) => make("li", { text: `• ${text}` }))));
    if (node.inputs.length) room.append(...several("Reads", node.inputs));
    if (node.users.length) room.append(...several("Is read by", node.users));
    room.scrollTo(0, 0);
  }

  // Moving about

  function draw() {
    const shown = nodes.filter(isShown).length;
    byId("shown").textContent = shown === nodes.length ? "" : `${shown} of ${nodes.length} shown`;
    document.body.classList.toggle("picked", chosen !== null);
    if (view === "graph") drawGraph(); else if (view === "time") drawTime(); else drawList();
    drawDetails();
  }
  function choose(number, which = `[data-number="${number}"]`) {
    chosen = number;
    draw();
    if (number === null) return;
    const element = byId(view).querySelector(which);
    if (element) { element.focus({ preventScroll: true }); element.scrollIntoView({ block: "nearest", inline: "nearest" }); }
  }
  function show(name) {
    view = name;
    for (const each of ["graph", "time", "list"]) {
      byId(each).hidden = each !== name;
      byId(`tab-${each}`).setAttribute("aria-selected", String(each === name));
      byId(`tab-${each}`).tabIndex = each === name ? 0 : -1;
    }
    for (const element of document.querySelectorAll("label.only, #fold")) element.hidden = name !== "graph";
    for (const id of ["out", "in", "fit"]) byId(id).disabled = name === "list";
    draw();
  }
  for (const name of ["graph", "time", "list"]) {
    byId(`tab-${name}`).addEventListener("click", () => show(name));
    byId(`tab-${name}`).addEventListener("keydown", (event) => {
      const all = ["graph", "time", "list"], step = { ArrowRight: 1, ArrowLeft: 2 }[event.key];
      if (step) { const next = all[(all.indexOf(name) + step) % 3]; show(next); byId(`tab-${next}`).focus(); event.preventDefault(); }
    });
  }
  byId("search").addEventListener("input", (event) => {
    words = event.target.value.toLowerCase().split(/\s+/).filter(Boolean);
    draw();
    if (view === "graph") fit(READABLE);
  });
  byId("group").addEventListener("change", (event) => { grouping = event.target.value; folded.clear(); draw(); fit(READABLE); });
  byId("fold").addEventListener("click", () => {
    const close = !boxes.every((box) => box.closed);
    folded.clear();
    if (close) boxes.forEach((box) => folded.add(box.key));
    draw(); fit(READABLE);
  });
  function zoom(factor) {
    if (view === "time") { stretch = factor ? Math.min(60, Math.max(1, stretch * factor)) : 1; drawTime(); }
    else if (view === "graph") { if (factor) zoomTo(scale * factor); else fit(); }
  }
  byId("in").addEventListener("click", () => zoom(1.25));
  byId("out").addEventListener("click", () => zoom(0.8));
  byId("fit").addEventListener("click", () => zoom(0));
  byId("graph").addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    zoom(event.deltaY < 0 ? 1.15 : 0.87);
  }, { passive: false });
  byId("graph").addEventListener("click", (event) => { if (event.target.closest("button") === null && chosen !== null) choose(null); });

  /** The nearest tile or bar in a direction. */
  function neighbour(key) {
    const here = document.activeElement, room = byId(view);
    if (!here || !here.dataset.number || !room.contains(here)) return null;
    const [dx, dy] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[key];
    const middle = (element) => { const box = element.getBoundingClientRect(); return [box.left + Math.min(box.width, 60) / 2, box.top + box.height / 2]; };
    const [x, y] = middle(here);
    let best = null, least = Infinity;
    for (const element of room.querySelectorAll("[data-number]")) {
      const [left, top] = middle(element), along = (left - x) * dx + (top - y) * dy, aside = Math.abs((left - x) * dy) + Math.abs((top - y) * dx);
      if (element === here || along < 2) continue;
      if (along + 3 * aside < least) { least = along + 3 * aside; best = element; }
    }
    return best;
  }
  document.addEventListener("keydown", (event) => {
    const typing = event.target.matches("input, select");
    if (event.key === "Escape") { if (typing) event.target.blur(); choose(null); return; }
    if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key.startsWith("Arrow") && event.key.length > 7) {
      const next = neighbour(event.key);
      if (!next) return;
      event.preventDefault();
      choose(Number(next.dataset.number), next.dataset.bar ? `[data-bar="${next.dataset.bar}"]` : undefined);
      return;
    }
    const act = { "/": () => byId("search").focus(), "+": () => zoom(1.25), "=": () => zoom(1.25), "-": () => zoom(0.8), 0: () => zoom(0),
      g: () => show("graph"), t: () => show("time"), l: () => show("list") }[event.key];
    if (act) { event.preventDefault(); act(); }
  });
  window.addEventListener("resize", () => { draw(); if (view === "graph") fit(READABLE); });
  draw();
  fit(READABLE);
})();
