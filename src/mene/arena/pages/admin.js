// Moderation: behind an admin's key, with a log of every decision.

import { $, el, percent } from "/playground/dom.js";
import { get, post, setKey } from "/playground/api.js";
import { fill, number, troubled } from "./page.js";

let lines = []; // of the log, as far as it is shown

async function load() {
  $("banner").hidden = true;
  try {
    show(await get("/api/admin"));
  } catch (error) {
    if (error.kind !== "key" || sessionStorage.getItem("mene-key")) troubled(error);
    $("now").hidden = true;
    $("key").focus();
  }
}

function show({ log, left_out: out, suspects, down, under_way: running }) {
  $("now").hidden = false;
  $("state").textContent = `${running} battles under way. ${down.length ? `Judges that are down: ${down.join(", ")}.` : "All judges answer."} Left out: ${number(out.battles)} battles, ${number(out.voters)} voters.`;
  fill($("suspects"), ["Voter", "Habit", "Did it", "Expected", "Votes", "Chance that an honest voter does", ""], suspects.map((one) => [
    one.voter, one.judge ? `${one.habit} ${one.judge}` : one.habit, String(one.did), one.expected.toFixed(1), String(one.votes), one.p < 1e-4 ? "< 0.01 %" : percent(one.p),
    el("button", { type: "button", click: () => choose("voter", one.voter) }, "Look"),
  ]));
  lines = [];
  showLog(log);
}

// The log, newest first; earlier lines are asked for as they are wanted.
function showLog(page) {
  lines.push(...page);
  fill($("log"), ["When", "What", "Why", "By"], lines.map((line) => [line.at.slice(0, 19).replace("T", " "), `${line.what.replace("_", " ")} ${line.kind} ${line.target}`, line.why, line.by]));
  $("earlier").hidden = page.length === 0 || lines.at(-1).number <= 1;
}

async function earlier() {
  try {
    showLog((await get(`/api/admin?before=${lines.at(-1).number}`)).log);
  } catch (error) {
    troubled(error);
  }
}

function choose(kind, id) {
  $("kind").value = kind;
  $("target").value = id;
  look();
}

async function look() {
  const id = encodeURIComponent($("target").value.trim());
  try {
    const found = $("kind").value === "voter" ? (await get(`/api/admin/voter?id=${id}`)).battles : [(await get(`/api/admin/battle?id=${id}`)).battle];
    $("looked").replaceChildren(...(found.length ? found.map(battle) : [el("p", { class: "note" }, "No battles.")]));
  } catch (error) {
    $("looked").replaceChildren(el("p", { class: "wrong", role: "alert" }, error.message));
  }
}

function battle({ id, started, sample, criterion, a, b, vote, voter, error }) {
  const said = (name, seat) => `${name}: ${seat.judge}: ${seat.verdict?.label ?? seat.error ?? "nothing"}. ${seat.verdict?.critique ?? ""}`;
  const chose = vote ? `Voted ${vote.choice}${vote.label ? `, own label ${vote.label}` : ""}${vote.reason ? `: ${vote.reason}` : ""}` : error ?? "No vote.";
  const texts = Object.entries(sample).filter(([, text]) => typeof text === "string" && text).map(([field, text]) => `${field}: ${text}`);
  return el("article", { class: "card" }, el("h3", {}, `${started.slice(0, 19).replace("T", " ")}, battle ${id}`, el("span", {}, `voter ${voter}`)),
    el("p", {}, el("strong", {}, chose)), el("p", { class: "note" }, criterion.question), ...[...texts, said("A", a), said("B", b)].map((text) => el("p", { class: "critique" }, text)));
}

$("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  setKey($("key").value.trim());
  $("key").value = "";
  load();
});
$("look").addEventListener("click", look);
$("earlier").addEventListener("click", earlier);
$("decide").addEventListener("submit", async (event) => {
  event.preventDefault();
  const body = { kind: $("kind").value, target: $("target").value.trim(), what: $("what").value, why: $("why").value };
  try {
    await post("/api/admin/moderate", body);
    $("decided").textContent = "Done, and logged.";
    $("why").value = "";
    await load();
  } catch (error) {
    $("decided").textContent = error.message;
  }
});
load();
