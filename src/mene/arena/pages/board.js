// The leaderboard: a table, who beat whom, and the ratings over time. Filters are asked of the server.

import { $, el, percent, seconds } from "/playground/dom.js";
import { get, text } from "/playground/api.js";
import { number, svg, troubled } from "./page.js";
import { history } from "./history.js";

const form = $("filters");
let asked = 0;

async function load() {
  const mine = (asked += 1);
  const chosen = new FormData(form);
  const query = new URLSearchParams();
  for (const name of ["kind", "group", "criterion"]) if (chosen.get(name)) query.set(name, chosen.get(name));
  const [table, times] = [`/api/board?${query}${chosen.get("style") ? "&style=1" : ""}`, `/api/board/history?${query}`];
  let board, over;
  try {
    [board, over] = await Promise.all([get(table), get(times)]);
  } catch (error) {
    if (mine === asked) troubled(error);
    return;
  }
  if (mine !== asked) return;
  $("banner").hidden = true;
  showCounts(board);
  showRows(board, Boolean(chosen.get("preliminary")), Boolean(chosen.get("style")));
  showMatrix(board);
  $("history").replaceChildren(history(over.history, board.rows.map(({ judge }) => judge)));
  document.body.dataset.ready = "true";
}

function showCounts({ votes, voters, left, agreement, left_out: out, effects, notes, waiting }) {
  $("counts").textContent = votes ? `${number(votes)} vote${votes === 1 ? "" : "s"} of ${number(voters)} voter${voters === 1 ? "" : "s"}. A rating says how often a judge is preferred: 400 points more are odds of 10 to 1. Intervals are of 95 %.` : "No votes yet. Begin a battle: the first ones teach the most.";
  const said = [
    waiting.length ? `Without votes so far: ${waiting.join(", ")}.` : null,
    left.value == null ? null : `The left seat won ${figure(left)} of the votes for one seat (half is fair).`,
    agreement.value == null ? null : `Where voters gave an own label that only one judge gave too, the vote went to that judge in ${figure(agreement)}.`,
    ...Object.entries(effects).map(([name, one]) => `Style, ${name}: ${one.value.toFixed(2)} (${one.low.toFixed(2)} to ${one.high.toFixed(2)}) log-odds for one standard deviation more.`),
    ...Object.entries(out).map(([why, count]) => `Left out: ${number(count)} votes, ${why}.`),
    ...notes,
  ];
  $("notes").replaceChildren(...said.filter(Boolean).map((text) => el("p", { class: "note" }, text)));
}

const figure = ({ value, low, high, n }) => `${percent(value)}${low == null ? "" : ` (${percent(low)} to ${percent(high)})`} of ${number(n)}`;

const COLUMNS = ["Rank", "Judge", "Rating", "", "Votes", "Voters agree", "People agree on benchmarks", "Size", "A verdict takes", "1,000 verdicts cost"];

function showRows({ rows }, preliminary, style) {
  const shown = rows.filter((row) => preliminary || !row.preliminary);
  const low = Math.min(...shown.map((row) => row.low));
  const high = Math.max(...shown.map((row) => row.high), low + 1);
  const heads = style ? COLUMNS.with(3, "Without style") : COLUMNS;
  const table = document.querySelector("table.board");
  table.tHead.replaceChildren(el("tr", {}, ...heads.map((head) => el("th", { scope: "col" }, head))));
  table.tBodies[0].replaceChildren(...shown.map((row) => line(row, low, high, style)));
  if (!shown.length) table.tBodies[0].append(el("tr", {}, el("td", { colspan: String(heads.length) }, rows.length ? "Only preliminary rows so far." : "Nothing yet.")));
}

function line(row, low, high, style) {
  const small = (text) => (text ? el("small", {}, text) : null);
  const notes = [row.license, row.here === false ? "not in this arena now" : null, row.writes === false ? "labels alone, no reasons" : null, row.preliminary ? "preliminary" : null, row.note].filter(Boolean);
  const cell = (...inside) => el("td", {}, ...inside);
  return el("tr", {},
    cell(row.best === row.worst ? String(row.best) : `${row.best}–${row.worst}`),
    el("th", { scope: "row" }, row.judge, ...notes.map(small)),
    cell(String(Math.round(row.rating)), small(`${Math.round(row.low)} to ${Math.round(row.high)}`), small(`Elo ${Math.round(row.elo)}`)),
    style && row.styled ? cell(String(Math.round(row.styled.value)), small(`${Math.round(row.styled.low)} to ${Math.round(row.styled.high)}`)) : cell(range(row, low, high)),
    cell(number(row.votes), small(`${row.wins} won, ${row.losses} lost`), small(`${row.ties + row.both_bad} neither`)),
    cell(row.agreement.value == null ? "–" : percent(row.agreement.value), row.agreement.low == null ? small(row.agreement.n ? `of ${row.agreement.n}` : "") : small(`${percent(row.agreement.low)} to ${percent(row.agreement.high)}, of ${row.agreement.n}`)),
    el("td", { class: row.bench?.length ? "texts" : "" }, ...bench(row.bench)),
    cell(row.size ? `${(row.size / 1e6).toFixed(0)} MB` : row.served ? "served" : "–"),
    cell(row.seconds == null ? "–" : seconds(row.seconds), small(row.tokens_out ? `${row.tokens_out.toFixed(0)} tokens written` : null), small(row.failed ? `${percent(row.failed)} failed` : null)),
    cell(row.cost != null ? `$${row.cost.toFixed(2)}` : row.served || row.here === false ? "–" : "own machine"),
  );
}

function range({ low: from, high: to, rating, judge }, low, high) {
  const at = (value) => 6 + (180 * (value - low)) / (high - low);
  return svg("svg", { class: "range", viewBox: "0 0 192 24", role: "img", "aria-label": `${judge}: ${Math.round(from)} to ${Math.round(to)}` },
    svg("line", { x1: at(from), x2: at(to), y1: 12, y2: 12 }), svg("circle", { cx: at(rating), cy: 12, r: 5 }));
}

function bench(found) {
  if (!found?.length) return ["–"];
  return found.slice(0, 3).map(({ set, value, low, high, n }) => el("small", {}, `${set}: ${percent(value)}${low == null ? "" : ` (${percent(low)} to ${percent(high)})`}, ${number(n)} rows`));
}

function showMatrix({ rows, met, won }) {
  const names = rows.map(({ judge }) => judge);
  const cell = (i, j) => {
    if (i === j) return el("td", { "aria-label": "itself" }, "");
    if (!met[i][j]) return el("td", {}, "–");
    const share = won[i][j] / met[i][j];
    return el("td", { class: share > 0.5 ? "good" : "" }, `${(100 * share).toFixed(0)} %`, el("small", {}, `(${met[i][j]})`));
  };
  $("matrix").replaceChildren(
    el("thead", {}, el("tr", {}, el("td", {}), ...names.map((name) => el("th", { scope: "col" }, name)))),
    el("tbody", {}, ...names.map((name, i) => el("tr", {}, el("th", { scope: "row" }, name), ...names.map((_, j) => cell(i, j))))),
  );
}

// Fetched as text, since a picture's own request bears no key.
async function showCard() {
  $("card").src = $("save").href = `data:image/svg+xml,${encodeURIComponent(await text("/api/board/card.svg"))}`;
}

async function start() {
  try {
    await showCard();
    const { criteria } = await get("/api/criteria");
    form.elements.criterion.append(...criteria.map(({ name }) => el("option", { value: name }, name)));
  } catch (error) {
    troubled(error);
    return;
  }
  form.addEventListener("change", load);
  form.addEventListener("submit", (event) => event.preventDefault());
  await load();
}
start();
