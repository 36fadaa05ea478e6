// What the page holds, all of it plain data: what is judged, by what, and by whom. A link carries it in its fragment.

export const FIELDS = ["instruction", "response", "response_a", "response_b", "context", "reference"];
export const SETTINGS = ["judge", "mode", "template", "compare"];

export const state = {
  sample: {}, // field -> text
  criterion: { name: "", question: "", scale: "", labels: {} }, // name: of the library; empty: one's own
  setups: [{}], // one or two of {judge, mode, template, compare}; what is empty is as the judge has it
};
export const facts = { judges: [], criteria: [], templates: [], examples: [] }; // what the server has
export const scale = { kind: "nominal", labels: [], short: "", error: "" }; // as the server reads it

const listeners = [];
export const onChange = (call) => listeners.push(call);
export const changed = () => listeners.forEach((call) => call());

export const isPair = () => scale.kind === "pairwise";
export const chosen = () => facts.criteria.find((one) => one.name === state.criterion.name) ?? null;

// Fields that the judge is shown, and those it cannot do without.
export function shown() {
  const named = chosen();
  if (named) return { shown: FIELDS.filter((field) => named.needs.includes(field) || named.uses.includes(field)), needs: named.needs };
  const needs = isPair() ? ["response_a", "response_b"] : ["response"];
  return { shown: [...needs, "instruction", "context", "reference"], needs };
}

// What is said of a label. (A label may be called "constructor", which every object has.)
export const meaning = (label) => (Object.hasOwn(state.criterion.labels, label) ? state.criterion.labels[label] : "");
const described = () => scale.labels.filter((label) => meaning(label).trim());

export function sampleToJudge() {
  const there = shown().shown.filter((field) => state.sample[field]?.trim());
  const response = shown().needs.filter((field) => field.startsWith("response"));
  return Object.fromEntries([...new Set([...there, ...response])].map((field) => [field, state.sample[field] ?? ""]));
}

export function criterionToAsk() {
  if (chosen()) return state.criterion.name;
  const asked = { question: state.criterion.question.trim(), scale: state.criterion.scale.trim() };
  if (described().length) asked.labels = Object.fromEntries(scale.labels.map((label) => [label, meaning(label)]));
  return asked;
}

// Why this cannot be judged yet; empty: it can.
export function lacks() {
  if (!chosen() && !state.criterion.question.trim()) return "Write the question to judge by.";
  if (scale.error) return scale.error;
  if (!chosen()) {
    const untold = scale.labels.filter((label) => !meaning(label).trim());
    if (described().length && untold.length) return `Describe ${untold.join(", ")} too, or no label at all.`;
  }
  const empty = shown().needs.filter((field) => !state.sample[field]?.trim());
  return empty.length ? `Fill in ${empty.map((field) => TITLES[field].toLowerCase()).join(" and ")}.` : "";
}

export const TITLES = {
  instruction: "Instruction", response: "Response", response_a: "Response A", response_b: "Response B",
  context: "Context", reference: "Reference answer",
};

export function bodyFor(setup, sample = sampleToJudge()) {
  const body = { judge: setup.judge || facts.judges[0].name, sample, criterion: criterionToAsk() };
  if (setup.mode === "explain") Object.assign(body, { mode: "verdict", explain: true });
  else if (setup.mode) body.mode = setup.mode;
  if (setup.template) body.template = setup.template;
  if (setup.compare && isPair()) body.compare = setup.compare;
  return body;
}

export function toFragment() {
  const bytes = new TextEncoder().encode(JSON.stringify(state));
  const binary = Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
  return `#1.${btoa(binary).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "")}`;
}

// The state that a link carries; null where there is none. Whoever wrote the link chose it: only texts are taken from it.
export function fromFragment(fragment) {
  if (!fragment.startsWith("#1.")) return null;
  const binary = atob(fragment.slice(3).replaceAll("-", "+").replaceAll("_", "/"));
  const found = JSON.parse(new TextDecoder().decode(Uint8Array.from(binary, (char) => char.charCodeAt(0))));
  const texts = (given, names) =>
    Object.fromEntries(names.filter((name) => typeof given?.[name] === "string").map((name) => [name, given[name]]));
  const criterion = found.criterion ?? {};
  return {
    sample: texts(found.sample, FIELDS),
    criterion: {
      name: "", question: "", scale: "", ...texts(criterion, ["name", "question", "scale"]),
      labels: texts(criterion.labels, Object.keys(criterion.labels ?? {})),
    },
    setups: [0, 1].map((i) => found.setups?.[i]).filter((setup, i) => setup || i === 0).map((setup) => texts(setup, SETTINGS)),
  };
}
