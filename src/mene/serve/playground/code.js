// What the page asks, as code to take away. A text as JSON writes it is also one in Python and in YAML.

import { $ } from "./dom.js";
import { bodyFor, chosen, criterionToAsk, sampleToJudge, state } from "./state.js";

const text = (value) => JSON.stringify(value);
const languages = { python, curl, yaml };
let language = "python";

export function startCode() {
  const buttons = [...document.querySelectorAll("[data-code]")];
  for (const button of buttons) {
    button.addEventListener("click", () => {
      language = button.dataset.code;
      for (const one of buttons) one.setAttribute("aria-pressed", String(one === button));
      showCode();
    });
  }
  $("copy").addEventListener("toggle", showCode);
  $("copy-code").addEventListener("click", copyCode);
}

export function showCode() {
  if ($("copy").open) $("code").textContent = languages[language]();
}

// To the clipboard. Where the browser allows none (a page without TLS), `otherwise` says how the user gets at it.
export async function copy(what, button, otherwise) {
  button.dataset.said ??= button.textContent; // a second click finds "Copied" there
  let copied = true;
  try {
    await navigator.clipboard.writeText(what);
  } catch {
    copied = false;
  }
  $("status").textContent = button.textContent = copied ? "Copied" : otherwise;
  setTimeout(() => (button.textContent = button.dataset.said), 1500);
  return copied;
}

async function copyCode() {
  const copied = await copy($("code").textContent, $("copy-code"), "Press Ctrl+C");
  if (!copied) window.getSelection().selectAllChildren($("code"));
}

function python() {
  const [setup] = state.setups;
  const { judge, mode, explain, template, compare } = bodyFor(setup);
  const settings = Object.entries({ mode, template, compare }).filter(([, value]) => value).map(([name, value]) => `, ${name}=${text(value)}`);
  const fields = Object.entries(sampleToJudge()).map(([field, value]) => `    ${field}=${text(value)},\n`);
  const asked = criterionToAsk();
  const lines = chosen() ? [`criterion = ${text(asked)}`] : [
    "criterion = Criterion(", `    question=${text(asked.question)},`, `    scale=${text(asked.scale)},`,
    ...(asked.labels ? [`    labels={`, ...Object.entries(asked.labels).map(([label, means]) => `        ${text(label)}: ${text(means)},`), "    },"] : []), ")",
  ];
  return [
    `from mene import ${chosen() ? "" : "Criterion, "}Judge, Sample`, "",
    `judge = Judge(${text(judge)}${settings.join("")})`, ...lines, `sample = Sample(\n${fields.join("")})`,
    "verdict = judge(sample, criterion=criterion)", ...(explain ? ["verdict = judge.explain(sample, verdict, criterion)"] : []),
    "print(verdict.label, verdict.probabilities, verdict.critique)", "",
  ].join("\n");
}

function curl() {
  const key = sessionStorage.getItem("mene-key") ? ' -H "Authorization: Bearer $MENE_API_KEY"' : "";
  const body = JSON.stringify(bodyFor(state.setups[0]), null, 2).replaceAll("'", "'\\''");
  return `curl ${location.origin}/v1/judge${key} -H 'Content-Type: application/json' -d '${body}'\n`;
}

function yaml() {
  const named = chosen();
  const { question, labels = {}, needs, uses, failing } = named ?? criterionToAsk();
  const listed = Object.entries({ needs, uses, failing }).filter(([, value]) => value?.length).map(([name, value]) => `${name}: ${text(value)}`);
  const meanings = Object.entries(labels).map(([label, means]) => `  ${text(label)}: ${text(means)}`);
  return [
    "# mene judge FILE --criterion my-criterion.yaml", `name: ${named?.name ?? "my-criterion"}`, `question: ${text(question)}`,
    `scale: ${text(named?.short ?? state.criterion.scale.trim())}`, ...(meanings.length ? ["labels:", ...meanings] : []), ...listed, "",
  ].join("\n");
}
