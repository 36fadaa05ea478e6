// The middle: by what it is judged. One of the library, as it is, or one's own, live.

import { $, el, later } from "./dom.js";
import { get } from "./api.js";
import { changed, chosen, facts, isPair, meaning, scale, state } from "./state.js";

let single = "faithfulness"; // the criterion of one response that was chosen last
let asked = 0;
let typed = false; // a scale stands in its box that has not been read yet
let reading = Promise.resolve(); // the scale that stood there last

export function startCriterion() {
  $("criterion").addEventListener("change", () => {
    const name = $("criterion").value;
    if (name) setCriterion({ name });
    else copy();
  });
  $("edit").addEventListener("click", copy);
  $("question").addEventListener("input", () => {
    state.criterion.question = $("question").value;
    changed();
  });
  const read = later(250, () => typed && readScale());
  $("scale").addEventListener("input", () => {
    state.criterion.scale = $("scale").value;
    typed = true;
    read();
  });
  for (const radio of document.querySelectorAll("input[name=form]")) {
    radio.addEventListener("change", () => wantPair(radio.value === "two"));
  }
}

export function showCriteria() {
  $("criterion").replaceChildren(
    el("option", { value: "" }, "My own question"),
    el("optgroup", { label: "Library" }, ...facts.criteria.map(({ name, short }) => el("option", { value: name }, `${name} (${short})`))),
  );
}

// Take a criterion: {name} of the library, or {question, scale, labels}.
export async function setCriterion(given) {
  const named = facts.criteria.find((one) => one.name === given.name);
  const { question, labels } = named ?? given;
  state.criterion = {
    name: named?.name ?? "", question: question ?? "", scale: named ? named.short : given.scale ?? "", labels: { ...labels },
  };
  if (named) {
    asked += 1; // an answer about a scale that was typed before comes too late
    typed = false;
    Object.assign(scale, named.scale, { short: named.short, error: "" });
    show();
  } else {
    await readScale();
  }
}

// A criterion that can judge what there is: one response, or two.
export async function wantPair(pair) {
  if (pair !== isPair()) {
    if (!chosen()) await setCriterion({ ...state.criterion, scale: pair ? "a/b" : "yes/no", labels: {} });
    else await setCriterion({ name: pair ? "preference" : single });
  }
  changed();
}

function copy() {
  setCriterion({ ...state.criterion, name: "" });
  $("question").focus();
}

// Wait until the scale that stands there is read: what is judged is what the page shows.
export async function scaleRead() {
  if (typed) readScale();
  for (let last = null; last !== reading; await last) last = reading;
}

function readScale() {
  typed = false;
  return (reading = askScale());
}

// The server reads a scale, so that its words and errors are the same here as everywhere.
async function askScale() {
  const mine = (asked += 1);
  const text = state.criterion.scale.trim();
  let found = { kind: "nominal", labels: [], short: "", error: "Write a scale, like yes/no or 1-5." };
  if (text) {
    try {
      found = { ...(await get(`/playground/scale?text=${encodeURIComponent(text)}`)), error: "" };
    } catch (error) {
      found.error = error.message;
    }
  }
  if (mine !== asked) return;
  Object.assign(scale, found);
  show();
}

function show() {
  const own = !chosen();
  if (!own && !isPair()) single = state.criterion.name;
  $("criterion").value = state.criterion.name;
  if ($("question").value !== state.criterion.question) $("question").value = state.criterion.question;
  if ($("scale").value !== state.criterion.scale) $("scale").value = state.criterion.scale;
  $("question").readOnly = $("scale").readOnly = !own;
  $("edit").hidden = own;
  const kinds = { ordinal: "numbers in order", nominal: "in no order", pairwise: "which of two responses" };
  $("scale-said").textContent = scale.error || `${scale.labels.length} labels: ${kinds[scale.kind]}`;
  $("scale").setAttribute("aria-invalid", String(Boolean(scale.error)));
  $("labels").replaceChildren(...scale.labels.map((label, i) => row(label, i, own)));
  changed();
}

function row(label, i, own) {
  const input = el("textarea", {
    id: `label-${i}`, rows: 1, readonly: !own, placeholder: own ? "what it means (all labels, or none)" : "",
    input: () => {
      state.criterion.labels[label] = input.value;
      changed();
    },
  });
  input.value = meaning(label);
  return el("div", { class: "label" }, el("label", { for: input.id }, label), input);
}
