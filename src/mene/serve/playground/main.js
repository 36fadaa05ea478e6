// Starts the page: what the server has, then what the link says, then what the user does.

import { $, later, opens } from "./dom.js";
import { get, setKey } from "./api.js";
import { facts, fromFragment, isPair, lacks, onChange, state, toFragment } from "./state.js";
import { chooseExample, showExamples, showFields, showTexts, startSample } from "./sample.js";
import { scaleRead, setCriterion, showCriteria, startCriterion } from "./criterion.js";
import { showCompare, showSetups, startSetups } from "./setups.js";
import { copy, showCode, startCode } from "./code.js";
import { run, stop } from "./runs.js";

let again = start; // what "Try again" does
let loaded = false;
let turn = 0; // of asking for a judgement: the last one counts

function troubled(error) {
  const [text] = $("banner").getElementsByTagName("p");
  text.textContent = error.message;
  $("banner").hidden = false;
  $("again").hidden = !again;
  if (error.kind === "key") askKey();
}

function askKey() {
  $("key-form").hidden = false;
  $("show-key").setAttribute("aria-expanded", "true");
  $("key").focus();
}

async function start() {
  $("banner").hidden = true;
  try {
    const lists = await Promise.all(["/v1/judges", "/v1/criteria", "/playground/examples"].map((path) => get(path)));
    Object.assign(facts, ...lists);
  } catch (error) {
    again = start;
    return troubled(error);
  }
  loaded = true;
  showCriteria();
  showExamples();
  await fromLink();
  document.body.dataset.ready = "true"; // for tests: nothing is filled in from here on but by the user
}

// Take what a link holds; without one, the first example.
async function fromLink() {
  let found = null;
  try {
    found = fromFragment(location.hash);
  } catch {
    again = null;
    troubled(new Error("This link is damaged; ask for it again."));
  }
  if (!found) {
    showSetups();
    return chooseExample("example 0");
  }
  Object.assign(state, found);
  const missing = state.setups.filter(({ judge }) => judge && !facts.judges.some(({ name }) => name === judge));
  if (missing.length) {
    again = null;
    troubled(new Error(`The link asks ${missing.map(({ judge }) => judge).join(" and ")}, which this server does not have; its default judge is asked.`));
    for (const setup of missing) setup.judge = "";
  }
  showTexts();
  showSetups();
  return setCriterion(state.criterion);
}

async function judge(kind = "judge", calm = false) {
  if (!loaded) return;
  const mine = (turn += 1);
  await scaleRead();
  if (mine !== turn) return;
  $("banner").hidden = true;
  again = () => judge(kind);
  run(kind, troubled);
  if (!calm && matchMedia("(max-width: 80rem)").matches) $("result").scrollIntoView({ block: "start" });
}

const live = later(500, () => {
  if ($("live").checked && !lacks()) judge("judge", true);
});

startSample();
startCriterion();
startSetups();
startCode();
onChange(() => {
  showFields();
  showCompare();
  showCode();
  $("swap").hidden = !isPair();
  live();
});
$("live").addEventListener("change", live);
$("judge").addEventListener("click", () => judge());
$("swap").addEventListener("click", () => judge("swap"));
$("prompt").addEventListener("click", () => judge("prompt"));
$("stop").addEventListener("click", () => stop());
$("again").addEventListener("click", () => {
  $("banner").hidden = true;
  again?.();
});
$("share").addEventListener("click", () => {
  history.replaceState(null, "", toFragment());
  copy(location.href, $("share"), "It is in the address bar");
});
window.addEventListener("hashchange", () => loaded && fromLink());
opens($("show-key"), $("key-form"), $("key"));
$("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  setKey($("key").value.trim());
  $("key").value = "";
  $("key-form").hidden = true;
  $("show-key").setAttribute("aria-expanded", "false");
  if (loaded) again?.();
  else start();
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    judge();
  }
  if (event.key === "Escape") {
    turn += 1;
    stop();
  }
});
start();
