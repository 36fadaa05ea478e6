// Who judges, and how: one judge, or two side by side.

import { $, el } from "./dom.js";
import { changed, facts, isPair, state } from "./state.js";

export const MODES = { verdict: "label at once", explain: "label, then its reason", critique: "reason first, then the label" };
export const COMPARES = { together: "both in one prompt", "both-orders": "in both orders, averaged", pointwise: "each alone" };

export function startSetups() {
  $("beside").addEventListener("change", () => {
    const [first] = state.setups;
    const another = facts.judges.find(({ name }) => name !== judgeOf(first).name);
    state.setups = $("beside").checked ? [first, { ...first, ...(another ? { judge: another.name, mode: "" } : { mode: judgeOf(first).writes ? "critique" : "" }) }] : [first];
    showSetups();
    changed();
  });
}

export const judgeOf = (setup) => facts.judges.find(({ name }) => name === (setup.judge || facts.judges[0].name)) ?? facts.judges[0];

export function nameOf(setup) {
  const { mode, template, compare } = setup;
  return [judgeOf(setup).name, MODES[mode], template, isPair() ? COMPARES[compare] : ""].filter(Boolean).join(" · ");
}

export function showSetups() {
  $("beside").checked = state.setups.length > 1;
  $("setups").replaceChildren(...state.setups.map(box));
  showCompare();
}

// How two responses are compared can be chosen where there are two.
export function showCompare() {
  for (const one of document.querySelectorAll(".compare")) one.hidden = !isPair();
}

function box(setup, i) {
  const judge = judgeOf(setup);
  const usual = MODES[judge.mode] ?? judge.mode;
  const silent = (mode) => mode !== "verdict" && judge.writes === false;
  const modes = Object.entries(MODES).map(([mode, text]) => [mode, silent(mode) ? `${text} (this judge writes none)` : text, silent(mode)]);
  const several = state.setups.length > 1;
  return el("fieldset", {}, el("legend", { class: several ? "" : "hidden" }, several ? ["First", "Second"][i] : "Who judges, and how"),
    select(i, "judge", "Judge", facts.judges.map(({ name }) => [name, name]), judge.name),
    el("p", { class: "note" }, judge.warning || judge.about || ""),
    select(i, "mode", "Mode", [["", `as the judge has it: ${usual}`], ...modes]),
    select(i, "template", "Layout of the prompt", [["", `as the judge has it: ${judge.template}`], ...facts.templates.map((name) => [name, name])]),
    el("div", { class: "compare" },
      select(i, "compare", "Two responses", [["", `as the judge has it: ${COMPARES[judge.compare]}`], ...Object.entries(COMPARES)])),
  );
}

function select(i, setting, title, options, value = state.setups[i][setting] ?? "") {
  const id = `${setting}-${i}`;
  const made = el("select", {
    id,
    change: () => {
      state.setups[i][setting] = made.value;
      if (setting === "judge") {
        state.setups[i].mode = "";
        showSetups();
        $(id).focus();
      }
      changed();
    },
  }, ...options.map(([name, text, disabled]) => el("option", { value: name, disabled }, text)));
  made.value = value;
  return el("div", {}, el("label", { for: id }, title), made);
}
