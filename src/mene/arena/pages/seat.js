// One judge's seat: what it writes, what it says, and after the vote who it was.

import { el, percent, seconds } from "/playground/dom.js";
import { figures } from "/playground/card.js";
import { isPair } from "/playground/state.js";

// name: A or B. labels: what each label means, where that is said.
export function seat(name, labels) {
  const title = el("h3", {}, `Judge ${name}`);
  const head = el("div", {}, el("p", { class: "note" }, "at work…"));
  const critique = el("p", { class: "critique", hidden: true });
  const rest = el("div", { class: "rest" });
  const node = el("article", { class: "card seat", "aria-label": `Judge ${name}`, "aria-busy": "true" }, title, head, critique, rest);
  const end = () => {
    node.setAttribute("aria-busy", "false");
    node.classList.remove("writing");
  };
  return {
    node,
    hear(text) {
      critique.hidden = false;
      node.classList.add("writing");
      critique.append(text);
    },
    finish({ label, abstained, critique: said }) {
      end();
      const means = !abstained && Object.hasOwn(labels, label) ? labels[label] : null;
      head.replaceChildren(...[el("p", { class: "verdict" }, abstained ? "Not sure enough" : inWords(label)), means && el("p", { class: "note" }, means)].filter(Boolean));
      critique.textContent = said ?? "This judge gives no reason.";
      critique.classList.toggle("none", !said);
      critique.hidden = false;
    },
    fail() {
      end();
      head.replaceChildren(el("p", { class: "note" }, "no verdict"));
    },
    // told: of the API's answer to a vote. won: it got the vote.
    tell(told, won) {
      const place = rank(told);
      title.replaceChildren(el("span", {}, `${name}: `, el("strong", {}, told.judge)), el("span", { class: "place" }, place));
      node.setAttribute("aria-label", `Judge ${name}, ${told.judge}`);
      node.classList.toggle("won", won);
      const facts = [
        ["Stood at", told.rating == null ? "no votes before this one" : `${Math.round(told.rating)} points, ${told.votes} votes`],
        ["Took", `${seconds(told.seconds)}${told.tokens ? `, ${told.tokens} token${told.tokens === 1 ? "" : "s"} written` : ""}`],
        ["Sure", told.confidence == null ? null : percent(told.confidence)],
        ["You and it", told.agrees == null ? null : told.agrees ? "say the same" : "differ"],
        ["Licence", told.license || null],
        ["Notes", told.notes.join("; ") || null],
      ].filter(([, value]) => value);
      rest.replaceChildren(...figures(told), el("dl", {}, ...facts.flatMap(([key, value]) => [el("dt", {}, key), el("dd", {}, value)])));
    },
  };
}

// The labels of a pair are the names of its responses, and not of these seats.
const inWords = (label) => (isPair() && ["A", "B"].includes(label) ? `Response ${label}` : label);

export function rank({ best, worst, preliminary }) {
  if (best == null) return "new here";
  return `rank ${best === worst ? best : `${best} to ${worst}`}${preliminary ? ", preliminary" : ""}`;
}
