// The battle page: a sample, two judges, a vote, and who they were. One phase after the other: compose, run, vote, told.

import { $, opens } from "/playground/dom.js";
import { get, post, setKey } from "/playground/api.js";
import { changed, chosen, criterionToAsk, facts, isPair, lacks, onChange, sampleToJudge, scale, state } from "/playground/state.js";
import { showFields, showTexts, startSample } from "/playground/sample.js";
import { scaleRead, setCriterion, showCriteria, startCriterion } from "/playground/criterion.js";
import { begin, showAgain, stop } from "./battle.js";
import { forget, kept } from "./kept.js";
import { showChosen } from "./read.js";
import { startVote, takeVote, voteKey } from "./vote.js";
import { agreed, askTerms } from "./agree.js";

let again = start; // what "Try again" does
let loaded = false;
let phase = "compose";
let drawn = ""; // id of the sample that was drawn, as long as nothing else was chosen
let battle = null; // id of the one that was voted on last: other judges may be asked on its sample
let drawing = Promise.resolve(); // the draw that was asked for last
let starting = false; // a battle waits until the page shows what it is to be about

function troubled(error, retry) {
  const [text] = $("banner").getElementsByTagName("p");
  text.textContent = error.message;
  again = retry;
  $("again").hidden = !retry;
  $("banner").hidden = false;
  if (error.kind === "key") {
    $("show-key").hidden = $("key-form").hidden = false;
    $("key").focus();
  }
}

function show(next) {
  phase = next;
  const composing = next === "compose";
  $("compose").hidden = !composing;
  $("read").hidden = composing;
  $("run").hidden = !composing;
  $("stop").hidden = next !== "run";
  $("vote").hidden = $("skip").hidden = next !== "vote";
  $("outcome").hidden = next !== "told";
  const over = next === "told" || next === "failed";
  for (const id of ["next", "regenerate", "change"]) $(id).hidden = !over;
}

async function start() {
  $("banner").hidden = true;
  try {
    const [about, { criteria }] = await Promise.all([get("/api/arena"), get("/api/criteria")]);
    facts.criteria = criteria;
    askTerms(about);
    showCriteria();
    const before = await kept();
    if (before) await takeUp(before);
    else await draw();
  } catch (error) {
    return troubled(error, start);
  }
  loaded = true;
  document.body.dataset.ready = "true"; // for tests: nothing is filled in from here on but by the user
  return undefined;
}

function draw() {
  return (drawing = drawSample());
}

async function drawSample() {
  const found = await get(`/api/samples/random?other=${encodeURIComponent(drawn)}`);
  drawn = found.id;
  await fillIn(found, [found.source, found.licence, found.credit].filter(Boolean).join(". "));
}

async function fillIn({ sample, criterion }, source) {
  state.sample = { ...sample };
  $("source").textContent = source;
  $("paste-said").textContent = "";
  showTexts();
  await setCriterion(typeof criterion === "string" ? { name: criterion } : { name: "", labels: {}, ...criterion });
}

// Go on with a battle of before this page was loaded: vote on it, or run another one on its sample.
async function takeUp(before) {
  await fillIn(before, before.source);
  if (!before.verdicts) {
    forget();
    $("status").textContent = "That battle ended without a vote. Its sample is still here.";
    return;
  }
  const labels = meanings();
  showChosen(labels);
  showAgain(before.verdicts, labels);
  awaitVote(before.id, scale.labels);
  bringIntoView();
}

// Where the page is one column, the battle is below what is judged.
function bringIntoView() {
  if (matchMedia("(max-width: 60rem)").matches) $("battle").scrollIntoView({ block: "start" });
}

const meanings = () => ({ ...(chosen() ?? state.criterion).labels });

async function compose(fresh) {
  stop();
  $("status").textContent = "";
  $("seats").replaceChildren();
  battle = null;
  show("compose");
  if (!fresh) return;
  forget();
  try {
    await draw();
  } catch (error) {
    troubled(error, () => compose(true));
  }
}

// Wait until the sample that was asked for is there and its scale is read: what is judged is what the page shows.
async function settled() {
  for (let last = null; last !== drawing; await last.catch(() => {})) last = drawing; // compose() tells of a failed draw
  await scaleRead();
}

async function run(other = "") {
  if (!loaded || phase === "run" || starting) return;
  starting = true;
  await settled();
  starting = false;
  $("banner").hidden = true;
  if (!agreed()) {
    $("status").textContent = "Agree to the terms above first.";
    $("agree").querySelector("button").focus();
    return;
  }
  const missing = lacks();
  if (missing) {
    $("status").textContent = missing;
    return;
  }
  const body = { sample: sampleToJudge(), criterion: criterionToAsk(), drawn, again: other };
  const labels = meanings();
  const choices = scale.labels;
  showChosen(labels);
  show("run");
  bringIntoView();
  let id;
  try {
    id = await begin(body, labels);
  } catch (error) {
    if (phase !== "run") return;
    show("failed");
    if (error.kind !== "stopped") troubled(error, () => run(other));
    return;
  }
  awaitVote(id, choices);
}

function awaitVote(id, choices) {
  show("vote");
  takeVote(id, choices, () => {
    battle = id;
    forget();
    show("told");
    $("outcome").focus();
  }, troubled);
}

startSample();
startCriterion();
startVote();
onChange(showFields);
$("dice").addEventListener("click", () => compose(true));
$("clear").addEventListener("click", () => {
  drawn = "";
  state.sample = {};
  $("source").textContent = "";
  showTexts();
  changed();
  $(isPair() ? "response_a" : "response").focus();
});
$("read-paste").addEventListener("click", () => (drawn = ""));
$("run").addEventListener("click", () => run());
$("stop").addEventListener("click", () => stop());
for (const id of ["next", "skip"]) $(id).addEventListener("click", () => compose(true));
$("regenerate").addEventListener("click", () => run(battle ?? ""));
$("change").addEventListener("click", () => compose(false));
$("again").addEventListener("click", () => {
  $("banner").hidden = true;
  again?.();
});
opens($("show-key"), $("key-form"), $("key"));
$("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  setKey($("key").value.trim());
  $("key").value = "";
  $("key-form").hidden = true;
  if (loaded) again?.();
  else start();
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    if (phase === "compose") run();
    return;
  }
  if (event.key === "Escape" && phase === "run") stop();
  const typing = event.target.closest("input:not([type=checkbox], [type=radio]), textarea, select");
  if (typing || !$("shortcuts").checked || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  if (phase === "vote" && voteKey(event.key)) event.preventDefault();
  if (event.key === "d" && phase === "compose") compose(true);
  if (event.key === "n" && (phase === "told" || phase === "failed")) compose(true);
  if (event.key === "r" && (phase === "told" || phase === "failed")) run(battle ?? "");
});
show("compose");
start();
