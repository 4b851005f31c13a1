// The browser of candidates. Text of models is only ever put into text nodes.
"use strict";
(() => {
  const PAGE = 10, CUT = 620;
  const byId = (id) => document.getElementById(id);
  const pieces = [...document.querySelectorAll("script.piece")];
  if (!pieces.length) return;
  const all = [];
  let found = [], page = 0, loading = true, focus = -1;

  const mean = (scores) => {
    const stated = scores.filter((score) => score !== null);
    return stated.length ? stated.reduce((sum, score) => sum + score, 0) / stated.length : null;
  };
  const spread = (scores) => {
    const stated = scores.filter((score) => score !== null), middle = mean(stated);
    return stated.length > 1 ? Math.sqrt(mean(stated.map((score) => (score - middle) ** 2))) : 0;
  };

  // [iteration, id, prompt, paired, [[text, finish, scores, critiques, role], …]], as payload.py writes it.
  function read(line) {
    const [iteration, id, prompt, paired, rows] = JSON.parse(line);
    const answers = rows.map(([text, finish, scores, critiques, role]) =>
      ({ text, finish, scores, critiques, role, score: mean(scores), spread: spread(scores) }));
    const chosen = answers.find((each) => each.role === "chosen"), rejected = answers.find((each) => each.role === "rejected");
    const margin = chosen && rejected && chosen.score !== null && rejected.score !== null ? chosen.score - rejected.score : null;
    return { iteration, id, prompt, paired, answers, chosen, rejected, margin, words: null };
  }

  function bytes(text) {
    if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
    // A plain loop: Uint8Array.from with a function takes ten times as long.
    const chars = atob(text), packed = new Uint8Array(chars.length);
    for (let at = 0; at < chars.length; at++) packed[at] = chars.charCodeAt(at);
    return packed;
  }

  async function unpack(element) {
    const packed = bytes(element.textContent);
    element.remove();
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
    for (const line of (await new Response(stream).text()).split("\n")) all.push(read(line));
  }

  const SHOW = {
    "": () => true,
    pair: (row) => row.paired === true,
    none: (row) => row.paired === false,
    longer: (row) => row.chosen && row.rejected && row.chosen.text.length > row.rejected.text.length,
    cut: (row) => row.answers.some((each) => each.finish === "length"),
    unparsed: (row) => row.answers.some((each) => each.scores.includes(null)),
  };
  const ORDER = {
    margin: (row) => -(row.margin ?? -1),
    close: (row) => row.margin ?? Infinity,
    spread: (row) => -Math.max(...row.answers.map((each) => each.spread)),
    long: (row) => -(row.chosen ? row.chosen.text.length : 0),
  };

  // Lower-cased once, at the first search: most readers never search.
  const words = (row) => row.words ??= [row.prompt, ...row.answers.flatMap((each) => [each.text, ...each.critiques])].join("\n").toLowerCase();

  function filter() {
    const query = byId("query").value.trim().toLowerCase(), iteration = byId("iteration").value;
    const shown = SHOW[byId("show").value], order = ORDER[byId("order").value];
    found = all.filter((row) => (!iteration || row.iteration === +iteration) && shown(row) && (!query || words(row).includes(query)));
    if (order) found = found.map((row) => [order(row), row]).sort((one, other) => one[0] - other[0]).map(([, row]) => row);
  }

  function element(name, kind, ...children) {
    const made = document.createElement(name);
    if (kind) made.className = kind;
    made.append(...children);
    return made;
  }

  function marked(text) {
    const query = byId("query").value.trim().toLowerCase(), parts = document.createDocumentFragment();
    const low = text.toLowerCase();
    // A letter whose lower case is longer would shift every place behind it: then nothing is marked.
    if (!query || low.length !== text.length) { parts.append(text); return parts; }
    let from = 0;
    for (let at = low.indexOf(query); at >= 0; at = low.indexOf(query, from)) {
      parts.append(text.slice(from, at), element("mark", "", text.slice(at, at + query.length)));
      from = at + query.length;
    }
    parts.append(text.slice(from));
    return parts;
  }

  const shortly = (score) => score === null ? "–" : Number.isInteger(score) ? String(score) : score.toFixed(2);

  function answer(each) {
    const head = element("header", "", element("span", "score", shortly(each.score)));
    if (each.role) head.append(element("span", "role", each.role));
    if (each.scores.length > 1) head.append(element("span", "", `scores ${each.scores.map(shortly).join(", ")}`));
    head.append(element("span", "", `${each.text.length.toLocaleString("en")} characters${each.finish === "length" ? ", cut off" : ""}`));
    const text = element("div", "text", marked(each.text)), box = element("article", `answer ${each.role}`, head, text);
    if (each.text.length > CUT || each.text.split("\n").length > 8) {
      const more = element("button", "more", "show all");
      more.type = "button";
      const set = (open) => { text.classList.toggle("cut", !open); more.textContent = open ? "show less" : "show all"; more.setAttribute("aria-expanded", String(open)); };
      more.addEventListener("click", () => set(text.classList.contains("cut")));
      set(false);
      box.append(more);
    }
    const critiques = each.critiques.filter((critique) => critique);
    if (critiques.length) {
      const query = byId("query").value.trim().toLowerCase();
      const details = element("details", "", element("summary", "", critiques.length > 1 ? `${critiques.length} critiques` : "critique"),
        ...critiques.map((critique) => element("p", "", marked(critique))));
      details.open = query !== "" && critiques.some((critique) => critique.toLowerCase().includes(query));
      box.append(details);
    }
    return box;
  }

  const RANK = { chosen: 0, rejected: 1, "": 2 };

  function prompt(row, place) {
    const outcome = row.paired === null ? "not paired yet" : !row.paired ? "no pair" : row.margin === null ? "chosen" : `pair, margin ${shortly(row.margin)}`;
    const head = element("header", "", element("span", "", `iteration ${row.iteration}`), element("span", "", row.id), element("span", "", outcome));
    const answers = [...row.answers].sort((one, other) => RANK[one.role] - RANK[other.role] || (other.score ?? -1) - (one.score ?? -1));
    const box = element("section", "prompt", head, element("p", "ask", marked(row.prompt)), element("div", "answers", ...answers.map(answer)));
    box.tabIndex = -1;
    box.setAttribute("aria-label", `Prompt ${place + 1}`);
    return box;
  }

  const pages = () => Math.max(1, Math.ceil(found.length / PAGE));

  function tell() {
    const first = page * PAGE, last = Math.min(first + PAGE, found.length), count = (value) => value.toLocaleString("en");
    const words = found.length ? `${count(first + 1)}–${count(last)} of ${count(found.length)} prompts` : "no prompt fits";
    byId("found").textContent = words + (loading ? ", reading more …" : "");
    byId("previous").disabled = page === 0;
    byId("next").disabled = page >= pages() - 1;
  }

  function draw() {
    page = Math.min(Math.max(page, 0), pages() - 1);
    const first = page * PAGE, rows = found.slice(first, first + PAGE);
    byId("prompts").replaceChildren(...rows.map((row, place) => prompt(row, first + place)));
    focus = -1;
    tell();
  }

  function renew() { page = 0; filter(); draw(); }

  function turn(by) {
    const before = page;
    page += by;
    draw();
    if (page !== before) byId("candidates").scrollIntoView();
  }

  function step(by) {
    const shown = byId("prompts").children;
    if (!shown.length) return;
    focus = Math.min(Math.max(focus + by, 0), shown.length - 1);
    shown[focus].focus({ preventScroll: true });
    shown[focus].scrollIntoView({ block: "start" });
  }

  function open() {
    const shown = byId("prompts").children[Math.max(focus, 0)];
    if (!shown) return;
    const details = [...shown.querySelectorAll("details")], opening = details.some((each) => !each.open);
    details.forEach((each) => { each.open = opening; });
    shown.querySelectorAll(".more").forEach((each) => { if ((each.getAttribute("aria-expanded") === "true") !== opening) each.click(); });
  }

  const KEYS = { "/": () => byId("query").focus(), j: () => step(1), k: () => step(-1), n: () => turn(1), p: () => turn(-1), o: open };

  function listen() {
    let timer;
    byId("query").addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(renew, 150); });
    for (const id of ["iteration", "show", "order"]) byId(id).addEventListener("change", renew);
    byId("controls").addEventListener("submit", (event) => { event.preventDefault(); renew(); });
    byId("previous").addEventListener("click", () => turn(-1));
    byId("next").addEventListener("click", () => turn(1));
    document.addEventListener("keydown", (event) => {
      const typing = event.target.closest("input, select, textarea");
      if (event.key === "Escape" && typing) { typing.blur(); return; }
      if (typing || event.ctrlKey || event.metaKey || event.altKey || !KEYS[event.key]) return;
      event.preventDefault();
      KEYS[event.key]();
    });
  }

  async function start() {
    for (const id of ["controls", "pager", "keys"]) byId(id).hidden = false;
    listen();
    for (const [place, piece] of pieces.entries()) {
      await unpack(piece);
      if (place === 0) { filter(); draw(); performance.mark("first-prompts"); }
      // Let the reader scroll and type between two pieces.
      await new Promise((resolve) => setTimeout(resolve));
    }
    loading = false;
    for (const number of [...new Set(all.map((row) => row.iteration))].sort((one, other) => one - other)) {
      byId("iteration").append(new Option(String(number), String(number)));
    }
    filter();
    // Unfiltered, what is on the screen stands where it did: whoever reads already is left alone.
    const untouched = ["query", "iteration", "show", "order"].every((id) => byId(id).value === "");
    if (untouched) tell(); else draw();
    performance.mark("all-prompts");
  }

  start().catch((error) => {
    byId("found").textContent = `the candidates could not be unpacked: ${error.message}`;
  });
})();
