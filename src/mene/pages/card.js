// One verdict on the right: how it comes, and all that it says.

import { el, percent, seconds, wrong } from "./dom.js";
import { promptOf } from "./prompt.js";

const SLOW_S = 4;

// A card for what is asked of /v1/judge. labels: what each label means, where that is said.
export function card(title, body, labels, began = performance.now()) {
  const clock = el("span", { class: "clock" });
  const critique = el("p", { class: "critique", hidden: true });
  const head = el("div", {});
  const rest = el("div", {});
  const prompt = promptOf(body);
  const node = el("article", { class: "card", "aria-label": title, "aria-busy": "true" },
    el("h3", {}, title, clock), head, critique, rest, prompt.node);
  const took = () => (performance.now() - began) / 1000;
  const tick = setInterval(() => {
    const silent = critique.hidden && took() > SLOW_S;
    clock.textContent = `${seconds(took())}${silent ? " · still waiting; a judge that is asked for the first time must load its model" : ""}`;
  }, 100);

  function end() {
    clearInterval(tick);
    clock.textContent = "";
    node.setAttribute("aria-busy", "false");
    node.classList.remove("writing");
  }
  return {
    node,
    openPrompt() {
      end();
      prompt.node.open = true;
    },
    hear(text) {
      critique.hidden = false;
      node.classList.add("writing");
      critique.append(text);
    },
    finish(verdict) {
      const waited = took();
      end();
      if (verdict.critique) critique.textContent = verdict.critique.trim();
      critique.hidden = !critique.textContent;
      prompt.read(verdict);
      if (verdict.error) return head.replaceChildren(wrong(verdict.error));
      head.replaceChildren(...said(verdict, labels));
      return rest.replaceChildren(...figures(verdict), facts(verdict, waited));
    },
    fail(message) {
      end();
      head.replaceChildren(wrong(message));
    },
  };
}

export function inWords({ label, error, abstained, probabilities }) {
  if (error) return error;
  if (abstained || label == null) return "not sure enough: left to a person";
  return probabilities?.[label] == null ? label : `${label}, ${percent(probabilities[label])}`;
}

function said({ label, abstained, likeliest }, labels) {
  const means = abstained ? `Left to a person. The likeliest label is ${likeliest ?? "not known"}.` : Object.hasOwn(labels, label) ? labels[label] : null;
  return [el("p", { class: "verdict" }, abstained ? "Not sure enough" : label), means && el("p", {}, means)].filter(Boolean);
}

// Score and probabilities of a verdict.
export function figures({ label, probabilities, score }) {
  if (!probabilities) return [el("p", { class: "note" }, "This judge gives no probabilities.")];
  const labels = Object.keys(probabilities);
  const expected = score == null ? null : el("p", {}, "Expected score ", el("strong", {}, score.toFixed(2)), `, from ${labels[0]} to ${labels.at(-1)}`);
  return [expected, bars(probabilities, label)].filter(Boolean);
}

function bars(probabilities, label) {
  const rows = Object.entries(probabilities).map(([name, value]) => {
    const bar = el("div", { class: "bar-fill" });
    bar.style.width = `${100 * value}%`;
    return el("tr", { class: name === label ? "chosen" : "" },
      el("th", { scope: "row" }, name), el("td", { class: "track", "aria-hidden": "true" }, bar), el("td", { class: "number" }, percent(value)));
  });
  return el("div", { class: "bars" }, el("table", {}, el("caption", {}, "Probability of each label"), ...rows));
}

function facts(verdict, waited) {
  const { usage = {}, confidence, latency_s: latency, consistent, notes = [], threshold } = verdict;
  const { prompt_tokens: all = 0, cached_tokens: cached = 0, completion_tokens: written = 0 } = usage;
  const rows = [
    ["Confidence", confidence == null ? null : percent(confidence)],
    ["Time", `${seconds(waited)} here, ${seconds(latency ?? 0)} at the judge`],
    ["Tokens", `${all - cached} read, ${cached} of ${all} from the cache, ${written} written`],
    ["Both orders", consistent == null ? null : consistent ? "agree" : "disagree"],
    ["Threshold", threshold && Object.entries(threshold).map(([label, value]) => `${label} from ${percent(value)}`).join(", ")],
    ["Notes", notes.join("; ") || null],
  ].filter(([, value]) => value != null);
  return el("dl", {}, ...rows.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));
}
