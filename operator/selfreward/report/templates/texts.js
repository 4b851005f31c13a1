// The browser of texts: search, filters, order, pages, keys, and links to one prompt (#candidates/1/ID).
"use strict";
(() => {
  const PAGE = 10;
  const { kinds, element, marked, answer } = texts;
  const byId = (id) => document.getElementById(id);
  const pieces = [...document.querySelectorAll("script.piece")];
  if (!pieces.length) return;
  const rows = {};
  for (const piece of pieces) rows[piece.dataset.kind] ??= [];
  let name = Object.keys(rows)[0], found = [], page = 0, loading = true, focus = -1;
  const kind = () => kinds[name];

  function bytes(text) {
    if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
    // A plain loop: Uint8Array.from with a function takes ten times as long.
    const chars = atob(text), packed = new Uint8Array(chars.length);
    for (let at = 0; at < chars.length; at++) packed[at] = chars.charCodeAt(at);
    return packed;
  }

  async function unpack(piece) {
    const packed = bytes(piece.textContent), of = piece.dataset.kind;
    piece.remove();
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
    for (const line of (await new Response(stream).text()).split("\n")) rows[of].push(kinds[of].read(JSON.parse(line)));
  }

  // Lower-cased once, at the first search: most readers never search.
  const words = (row) => row.words ??= [row.id, row.prompt, ...kind().words(row)].join("\n").toLowerCase();
  const query = () => byId("query").value.trim().toLowerCase();
  const chosen = (id) => kind()[id][byId(id).selectedIndex][1];

  function filter() {
    const asked = query(), group = byId("group").value, shown = chosen("show"), order = chosen("order");
    found = rows[name].filter((row) => (!group || row.group === group) && shown(row) && (!asked || words(row).includes(asked)));
    if (order) found = found.map((row) => [order(row), row]).sort((one, other) => one[0] - other[0]).map(([, row]) => row);
  }

  const link = (row) => `#${[name, row.group, row.id].map(encodeURIComponent).join("/")}`;

  function prompt(row, place) {
    const at = element("a", "link", row.id);
    at.href = link(row);
    at.setAttribute("aria-label", `Link to prompt ${row.id}`);
    const head = element("header", "", ...kind().told(row).map((text) => element("span", "", text)), at);
    const answers = kind().draw(row).map((each) => answer(each, query()));
    const box = element("section", "prompt", head, element("p", "ask", marked(row.prompt, query())), element("div", "answers", ...answers));
    box.tabIndex = -1;
    box.setAttribute("aria-label", `Prompt ${place + 1}`);
    return box;
  }

  const pages = () => Math.max(1, Math.ceil(found.length / PAGE));

  function tell() {
    const first = page * PAGE, last = Math.min(first + PAGE, found.length), count = (value) => value.toLocaleString("en");
    const [one, many] = kind().unit;
    const said = found.length ? `${count(first + 1)}–${count(last)} of ${count(found.length)} ${found.length === 1 ? one : many}` : `no ${one} fits`;
    byId("found").textContent = said + (loading ? ", reading more …" : "");
    byId("previous").disabled = page === 0;
    byId("next").disabled = page >= pages() - 1;
  }

  function draw() {
    page = Math.min(Math.max(page, 0), pages() - 1);
    const first = page * PAGE;
    byId("prompts").replaceChildren(...found.slice(first, first + PAGE).map((row, place) => prompt(row, first + place)));
    focus = -1;
    tell();
  }

  function renew() { page = 0; filter(); draw(); }

  function turn(by) {
    const before = page;
    page += by;
    draw();
    if (page !== before) byId("texts").scrollIntoView();
  }

  function goTo(place) {
    const shown = byId("prompts").children;
    if (!shown.length) return;
    focus = Math.min(Math.max(place, 0), shown.length - 1);
    shown[focus].focus({ preventScroll: true });
    shown[focus].scrollIntoView({ block: "start" });
  }

  function open() {
    const shown = byId("prompts").children[Math.max(focus, 0)];
    if (!shown) return;
    const details = [...shown.querySelectorAll("details")], more = [...shown.querySelectorAll(".more")];
    const opening = details.some((each) => !each.open) || more.some((each) => each.getAttribute("aria-expanded") === "false");
    details.forEach((each) => { each.open = opening; });
    more.forEach((each) => { if ((each.getAttribute("aria-expanded") === "true") !== opening) each.click(); });
  }

  // The controls of a kind: its own groups, filters and orders.
  function choose(other) {
    name = other;
    for (const button of byId("kinds").children) button.setAttribute("aria-pressed", String(button.dataset.kind === name));
    byId("query").placeholder = kind().hint;
    byId("group-name").textContent = kind().group;
    for (const id of ["show", "order"]) byId(id).replaceChildren(...kind()[id].map(([label]) => new Option(label)));
    groups();
  }

  function groups() {
    const known = [...new Set(rows[name].map((row) => row.group))].sort(new Intl.Collator("en", { numeric: true }).compare);
    byId("group").replaceChildren(new Option("all", ""), ...known.map((each) => new Option(each, each)));
  }

  // Opens what the address names; whoever has it among what is shown keeps the filters.
  function follow() {
    let parts;
    try { parts = location.hash.slice(1).split("/").map(decodeURIComponent); } catch { return; }
    const [other, group, id] = parts;
    if (parts.length !== 3 || !rows[other]) return;
    const is = (row) => row.group === group && row.id === id;
    if (other !== name || !found.some(is)) {
      byId("query").value = "";
      choose(other);
      byId("show").selectedIndex = kind().show.findIndex(([label]) => label.startsWith("all ") && !label.includes("order"));
      filter();
    }
    const place = found.findIndex(is);
    page = Math.floor(Math.max(place, 0) / PAGE);
    draw();
    if (place < 0) { byId("found").textContent = `this page does not hold ${id}`; byId("texts").scrollIntoView(); }
    else goTo(place % PAGE);
  }

  const KEYS = { "/": () => byId("query").focus(), j: () => goTo(focus + 1), k: () => goTo(focus - 1), n: () => turn(1), p: () => turn(-1), o: open };

  function listen() {
    let timer;
    byId("query").addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(renew, 150); });
    for (const id of ["group", "show", "order"]) byId(id).addEventListener("change", renew);
    byId("controls").addEventListener("submit", (event) => { event.preventDefault(); renew(); });
    byId("previous").addEventListener("click", () => turn(-1));
    byId("next").addEventListener("click", () => turn(1));
    addEventListener("hashchange", follow);
    document.addEventListener("keydown", (event) => {
      const typing = event.target.closest("input, select, textarea");
      if (event.key === "Escape" && typing) { typing.blur(); return; }
      if (typing || event.ctrlKey || event.metaKey || event.altKey || !KEYS[event.key]) return;
      event.preventDefault();
      KEYS[event.key]();
    });
    for (const each of Object.keys(rows)) {
      const button = element("button", "", kinds[each].label);
      button.type = "button";
      button.dataset.kind = each;
      button.addEventListener("click", () => { choose(each); renew(); });
      byId("kinds").append(button);
    }
  }

  async function start() {
    for (const id of ["controls", "pager", "keys"]) byId(id).hidden = false;
    byId("prompts").replaceChildren();
    listen();
    choose(name);
    for (const [place, piece] of pieces.entries()) {
      await unpack(piece);
      if (place === 0) { filter(); draw(); performance.mark("first-prompts"); }
      // Let the reader scroll and type between two pieces.
      await new Promise((resolve) => setTimeout(resolve));
    }
    loading = false;
    const group = byId("group").value;
    groups();
    byId("group").value = group;
    filter();
    // Unfiltered, what is on the screen stands where it did: whoever reads already is left alone.
    const untouched = !query() && ["group", "show", "order"].every((id) => byId(id).selectedIndex === 0) && name === "candidates";
    if (untouched) tell(); else draw();
    follow();
    performance.mark("all-prompts");
  }

  start().catch((error) => {
    byId("found").textContent = `the texts could not be unpacked: ${error.message}`;
  });
})();
