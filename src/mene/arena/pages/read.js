// What is judged, to be read while two judges are compared: the texts as they are, the question, the labels.

import { $, el } from "/playground/dom.js";
import { FIELDS, TITLES, scale, state, sampleToJudge } from "/playground/state.js";

export function showChosen(labels) {
  const sample = sampleToJudge();
  const texts = FIELDS.filter((field) => Object.hasOwn(sample, field)).map((field) =>
    el("div", { class: `text ${field}` }, el("h3", {}, TITLES[field]), el("p", {}, sample[field] || "(empty)")));
  const told = scale.labels.some((label) => Object.hasOwn(labels, label) && labels[label]);
  const meanings = scale.labels.map((label) =>
    el("li", {}, el("strong", {}, label), Object.hasOwn(labels, label) && labels[label] ? `: ${labels[label]}` : ""));
  $("shown").replaceChildren(
    ...texts,
    el("div", { class: "text" }, el("h3", {}, "Question to the judges"), el("p", {}, state.criterion.question),
      told ? el("ul", {}, ...meanings) : el("p", { class: "note" }, `Labels: ${scale.labels.join(", ")}`)),
  );
}
