// The left side: the texts to judge, examples, and rows that are pasted.

import { $, el, opens } from "./dom.js";
import { post } from "./api.js";
import { FIELDS, TITLES, changed, facts, isPair, shown, state } from "./state.js";
import { setCriterion, wantPair } from "./criterion.js";

let pasted = []; // rows that were pasted, as they came
let turn = 0; // of filling the boxes: an answer about a row that was chosen before comes too late
const boxes = {}; // field -> {box, input, hint}

export function startSample() {
  for (const field of FIELDS) {
    const hint = el("small", { id: `hint-${field}` });
    const input = el("textarea", {
      id: field, rows: field === "instruction" ? 2 : 3, "aria-describedby": hint.id,
      input: () => {
        state.sample[field] = input.value;
        changed();
      },
    });
    const box = el("div", { class: "field" }, el("label", { for: field }, TITLES[field]), hint, input);
    boxes[field] = { box, input, hint };
    $("fields").append(box);
  }
  opens($("show-paste"), $("paste-box"), $("paste"));
  $("read-paste").addEventListener("click", readPaste);
  $("example").addEventListener("change", () => chooseExample($("example").value));
  $("exchange").addEventListener("click", () => {
    const { response_a, response_b } = state.sample;
    Object.assign(state.sample, { response_a: response_b, response_b: response_a });
    showTexts();
    changed();
  });
}

// Put the state's texts into the boxes. (What a user types is there already.)
export function showTexts() {
  for (const field of FIELDS) boxes[field].input.value = state.sample[field] ?? "";
}

// Which boxes there are, by what the criterion looks at.
export function showFields() {
  const fields = shown();
  for (const [field, { box, hint, input }] of Object.entries(boxes)) {
    const needed = fields.needs.includes(field);
    box.hidden = field.startsWith("response") && !needed;
    hint.textContent = needed ? "needed" : fields.shown.includes(field) ? "optional" : "not shown to the judge by this criterion";
    input.required = needed;
    box.classList.toggle("unseen", !fields.shown.includes(field));
  }
  $("exchange").hidden = !isPair();
  document.querySelector(`input[name=form][value=${isPair() ? "two" : "one"}]`).checked = true;
}

export function showExamples() {
  const option = (text, value) => el("option", { value }, text);
  $("example").replaceChildren(
    option("choose one…", ""),
    ...facts.examples.map((example, i) => option(example.title, `example ${i}`)),
    ...(pasted.length > 1 ? [el("optgroup", { label: "Pasted" }, ...pasted.map((_, i) => option(`row ${i + 1}`, `pasted ${i}`)))] : []),
  );
}

export function chooseExample(value) {
  const [kind, number] = value.split(" ");
  if (kind === "pasted") return readRow(pasted[number]);
  const example = facts.examples[number];
  if (!example) return undefined;
  turn += 1;
  $("example").value = value;
  pasteSaid("");
  const person = example.person ? `A person's label: ${example.person}. ` : "";
  $("source").textContent = `${person}Source: ${example.source}${example.credit ? `. ${example.credit}` : ""}`;
  state.sample = { ...example.sample };
  const named = typeof example.criterion === "string";
  const own = { name: "", labels: {}, ...(named ? {} : example.criterion) };
  showTexts();
  return setCriterion(named ? { name: example.criterion } : own);
}

function pasteSaid(text, wrong = false) {
  $("paste-said").textContent = text;
  $("paste-said").className = wrong ? "wrong" : "note";
  $("paste").setAttribute("aria-invalid", String(wrong));
}

async function readPaste() {
  const text = $("paste").value.trim();
  try {
    pasted = rowsOf(text);
  } catch (error) {
    pasteSaid(`This is no JSON: ${error.message}`, true);
    return;
  }
  if (!pasted.length) {
    pasteSaid("There is no row in this; paste an object like {\"response\": \"…\"}.", true);
    return;
  }
  showExamples();
  if (pasted.length > 1) $("example").value = "pasted 0";
  await readRow(pasted[0]);
}

// Rows of an object, a list of objects, or lines with an object each.
function rowsOf(text) {
  let found;
  try {
    found = [JSON.parse(text)].flat();
  } catch (error) {
    const lines = text.split("\n").filter((line) => line.trim());
    if (lines.length < 2 || !lines[0].trim().endsWith("}")) throw error;
    found = lines.map((line) => JSON.parse(line));
  }
  return found.filter((row) => row && typeof row === "object" && !Array.isArray(row));
}

// The server reads it, as `mene judge` would.
async function readRow(row) {
  const mine = (turn += 1);
  let found;
  try {
    found = await post("/playground/sample", { row });
  } catch (error) {
    if (mine === turn) pasteSaid(error.message, true);
    return;
  }
  if (mine !== turn) return;
  const fields = Object.keys(found.sample);
  $("source").textContent = "";
  if (!fields.length) {
    pasteSaid(`No field that mene knows in: ${Object.keys(row).join(", ")}.`, true);
    return;
  }
  state.sample = found.sample;
  const said = fields.map((field) => (found.read_as[field] ? `${TITLES[field].toLowerCase()} from “${found.read_as[field]}”` : TITLES[field].toLowerCase()));
  const more = pasted.length > 1 ? ` ${pasted.length} rows were pasted; choose another under Example.` : "";
  pasteSaid(`Found: ${said.join(", ")}.${more}`);
  showTexts();
  await wantPair("response_a" in found.sample && "response_b" in found.sample);
}
