// The three kinds of texts: how a row is read, what can be asked of it, how it is drawn. The rest is texts.js.
"use strict";
const texts = (() => {
  const CUT = 620;

  const mean = (scores) => {
    const stated = scores.filter((score) => score !== null);
    return stated.length ? stated.reduce((sum, score) => sum + score, 0) / stated.length : null;
  };
  const spread = (scores) => {
    const stated = scores.filter((score) => score !== null), middle = mean(stated);
    return stated.length > 1 ? Math.sqrt(mean(stated.map((score) => (score - middle) ** 2))) : 0;
  };
  const shortly = (score) => score === null ? "–" : Number.isInteger(score) ? String(score) : score.toFixed(2);

  // Text of models is only ever put into text nodes.
  function element(name, kind, ...children) {
    const made = document.createElement(name);
    if (kind) made.className = kind;
    made.append(...children);
    return made;
  }

  function marked(text, query) {
    const parts = document.createDocumentFragment(), low = text.toLowerCase();
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

  // An answer in a box: what is said of it, its text, and the critiques that were written about it.
  function answer({ text, kind, head, critiques = [] }, query) {
    const body = element("div", "text", marked(text, query)), box = element("article", `answer ${kind}`, element("header", "", ...head), body);
    if (text.length > CUT || text.split("\n").length > 8) {
      const more = element("button", "more", "show all");
      more.type = "button";
      const set = (open) => { body.classList.toggle("cut", !open); more.textContent = open ? "show less" : "show all"; more.setAttribute("aria-expanded", String(open)); };
      more.addEventListener("click", () => set(body.classList.contains("cut")));
      set(query !== "" && text.toLowerCase().indexOf(query) > CUT);
      box.append(more);
    }
    const written = critiques.filter((critique) => critique);
    if (written.length) {
      const details = element("details", "", element("summary", "", written.length > 1 ? `${written.length} critiques` : "critique"),
        ...written.map((critique) => element("p", "", marked(critique, query))));
      details.open = query !== "" && written.some((critique) => critique.toLowerCase().includes(query));
      box.append(details);
    }
    return box;
  }

  const span = (kind, text) => element("span", kind, text);
  const length = (text) => span("", `${text.length.toLocaleString("en")} characters`);
  const scored = (each) => [span("score", shortly(each.score)), ...(each.scores.length > 1 ? [span("", `scores ${each.scores.map(shortly).join(", ")}`)] : [])];

  // [iteration, id, prompt, paired, [[text, finish, scores, critiques, role], …]], as payload.py writes it.
  const RANK = { chosen: 0, rejected: 1, "": 2 };
  const candidates = {
    label: "Candidates", unit: ["prompt", "prompts"], group: "Iteration", hint: "in prompts, answers, critiques",
    read([iteration, id, prompt, paired, rows]) {
      const answers = rows.map(([text, finish, scores, critiques, role]) =>
        ({ text, finish, scores, critiques, role, score: mean(scores), spread: spread(scores) }));
      const chosen = answers.find((each) => each.role === "chosen"), rejected = answers.find((each) => each.role === "rejected");
      const margin = chosen && rejected && chosen.score !== null && rejected.score !== null ? chosen.score - rejected.score : null;
      return { group: String(iteration), id, prompt, paired, answers, chosen, rejected, margin };
    },
    words: (row) => row.answers.flatMap((each) => [each.text, ...each.critiques]),
    show: [
      ["all prompts", () => true],
      ["with a pair", (row) => row.paired === true],
      ["without a pair", (row) => row.paired === false],
      ["chosen is longer", (row) => row.chosen && row.rejected && row.chosen.text.length > row.rejected.text.length],
      ["with a cut-off answer", (row) => row.answers.some((each) => each.finish === "length")],
      ["with an unread judgement", (row) => row.answers.some((each) => each.scores.includes(null))],
    ],
    order: [
      ["as they came", null],
      ["largest margin", (row) => -(row.margin ?? -1)],
      ["smallest margin", (row) => row.margin ?? Infinity],
      ["judge least sure", (row) => -Math.max(...row.answers.map((each) => each.spread))],
      ["longest chosen", (row) => -(row.chosen ? row.chosen.text.length : 0)],
    ],
    told: (row) => [`iteration ${row.group}`,
      row.paired === null ? "not paired yet" : !row.paired ? "no pair" : row.margin === null ? "chosen" : `pair, margin ${shortly(row.margin)}`],
    draw: (row) => [...row.answers]
      .sort((one, other) => RANK[one.role] - RANK[other.role] || (other.score ?? -1) - (one.score ?? -1))
      .map((each) => ({
        text: each.text, kind: each.role, critiques: each.critiques,
        head: [...scored(each), ...(each.role ? [span("role", each.role)] : []), length(each.text), ...(each.finish === "length" ? [span("", "cut off")] : [])],
      })),
  };

  // [model, id, prompt, opponent, answer, the opponent's answer, outcome]; an outcome is 1 won, 0 tied, -1 lost.
  const OUTCOME = { 1: "won", 0: "tied", "-1": "lost" };
  const comparisons = {
    label: "Comparisons", unit: ["comparison", "comparisons"], group: "Models", hint: "in prompts and answers",
    read: ([model, id, prompt, against, mine, other, outcome]) => ({ group: `${model} v ${against}`, id, prompt, model, against, mine, other, outcome }),
    words: (row) => [row.mine, row.other],
    show: [
      ["all comparisons", () => true],
      ["won", (row) => row.outcome > 0],
      ["tied", (row) => row.outcome === 0],
      ["lost", (row) => row.outcome < 0],
      ["the longer answer lost", (row) => row.outcome !== 0 && (row.mine.length - row.other.length) * row.outcome < 0],
    ],
    order: [
      ["as they came", null],
      ["longest answer of the model", (row) => -row.mine.length],
      ["most unlike in length", (row) => -Math.abs(row.mine.length - row.other.length)],
    ],
    told: (row) => [row.group, `${row.model} ${OUTCOME[row.outcome]}`],
    draw: (row) => [[row.model, row.mine, row.outcome], [row.against, row.other, -row.outcome]].map(([name, text, outcome]) => ({
      text, kind: outcome > 0 ? "chosen" : outcome < 0 ? "rejected" : "",
      head: [span("score", name), span("role", outcome > 0 ? "preferred" : outcome < 0 ? "not preferred" : "tie"), length(text)],
    })),
  };

  // [model, id, prompt, [[people's rank, text, scores, critiques], …]]; rank 0 is best.
  function judged([model, id, prompt, rows]) {
    const answers = rows.map(([rank, text, scores, critiques]) => ({ rank, text, scores, critiques, score: mean(scores), wrong: false }));
    let pairs = 0, wrong = 0, ties = 0, worst = 0;
    for (const better of answers) for (const worse of answers) {
      if (better.rank >= worse.rank || better.score === null || worse.score === null) continue;
      pairs++;
      if (better.score === worse.score) ties++;
      if (better.score < worse.score) {
        wrong++;
        worst = Math.max(worst, worse.score - better.score);
        better.wrong = worse.wrong = true;
      }
    }
    return { group: model, id, prompt, answers, pairs, wrong, ties, worst };
  }
  const rankings = {
    label: "Judge's mistakes", unit: ["ranked prompt", "ranked prompts"], group: "Judge", hint: "in prompts, answers, critiques",
    read: judged,
    words: (row) => row.answers.flatMap((each) => [each.text, ...each.critiques]),
    show: [
      ["with a mistake", (row) => row.wrong > 0],
      ["with equal scores", (row) => row.ties > 0],
      ["with an unread judgement", (row) => row.answers.some((each) => each.scores.includes(null))],
      ["all in people's order", (row) => row.pairs > 0 && row.wrong + row.ties === 0],
      ["all ranked prompts", () => true],
    ],
    order: [
      ["as they came", null],
      ["most pairs wrong", (row) => -row.wrong],
      ["furthest from people", (row) => -row.worst],
    ],
    told: (row) => [`judged by ${row.group}`, `${row.wrong} of ${row.pairs} pairs against people's order${row.ties ? `, ${row.ties} tied` : ""}`],
    draw: (row) => [...row.answers].sort((one, other) => one.rank - other.rank).map((each) => ({
      text: each.text || "(its text is not in the store)", kind: each.wrong ? "rejected" : "", critiques: each.critiques,
      head: [span("score", `people's ${each.rank + 1}.`), span("role", `judge ${shortly(each.score)}${each.wrong ? ", out of order" : ""}`),
        ...(each.scores.length > 1 ? [span("", `scores ${each.scores.map(shortly).join(", ")}`)] : []), length(each.text)],
    })),
  };

  return { kinds: { candidates, comparisons, rankings }, element, marked, answer };
})();
