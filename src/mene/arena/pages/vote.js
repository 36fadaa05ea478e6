// The vote, and what it brings to light.

import { $, el, wrong } from "/playground/dom.js";
import { post } from "/playground/api.js";
import { seats } from "./battle.js";

const CONSENT = "mene-consent";
const KEYS = { 1: "a", 2: "tie", 3: "both_bad", 4: "b" };
let cast = null; // sends a vote; null while none is awaited

export function startVote() {
  $("consent").checked = localStorage.getItem(CONSENT) === "yes";
  $("consent").addEventListener("change", () => localStorage.setItem(CONSENT, $("consent").checked ? "yes" : "no"));
  for (const button of document.querySelectorAll("[data-choice]")) {
    button.addEventListener("click", () => cast?.(button.dataset.choice));
  }
  $("vote").addEventListener("submit", (event) => event.preventDefault());
}

export function voteKey(key) {
  if (!Object.hasOwn(KEYS, key) || !cast) return false;
  cast(KEYS[key]);
  return true;
}

// Await a vote on a battle, and call done() when it is told who fought.
export function takeVote(battle, labels, done, troubled) {
  $("reason").value = "";
  $("own").replaceChildren(...labels.map((label) => el("label", {}, el("input", { type: "radio", name: "own", value: label }), ` ${label}`)));
  cast = async function send(choice) {
    cast = null; // not twice
    const own = $("own").querySelector("input:checked");
    const body = { choice, reason: $("reason").value, label: own ? own.value : null, consent: $("consent").checked };
    try {
      tell(await post(`/api/battles/${battle}/vote`, body));
    } catch (error) {
      cast = send;
      if (error.kind === "key" || error.kind === "gone") troubled(error, () => cast?.(choice));
      else $("status").replaceChildren(wrong(error.message));
      return;
    }
    done();
  };
}

function tell(told) {
  $("status").textContent = "";
  for (const name of ["a", "b"]) seats[name].tell(told[name], told.choice === name || told.choice === "tie");
  const names = { a: told.a.judge, b: told.b.judge };
  const chose = { a: `You chose A: ${names.a}.`, b: `You chose B: ${names.b}.`, tie: "You called it a tie.", both_bad: "You said that both are bad." }[told.choice];
  const lines = [el("p", { class: "told" }, chose, " ", favourite(told, names))];
  if (told.person) lines.push(el("p", {}, `A person had labelled this sample: ${told.person}. `, said(told)));
  if (told.source) lines.push(el("p", { class: "note" }, `Source: ${told.source}`));
  $("outcome").replaceChildren(...lines);
}

function favourite({ favourite: seat, upset }, names) {
  if (!seat) return "Neither was the favourite.";
  if (upset == null) return `The favourite was ${names[seat]}.`;
  return upset ? `The favourite was ${names[seat]}: an upset.` : `${names[seat]} was the favourite, and won.`;
}

function said({ a, b, person }) {
  const right = [a, b].filter(({ label }) => label === person).map(({ judge }) => judge);
  if (right.length === 2) return "Both judges say so too.";
  return right.length ? `So does ${right[0]}.` : "Neither judge does.";
}
