// Asking for verdicts: one, two side by side, or each with its responses exchanged. One run at a time, which can be stopped.

import { $, el } from "./dom.js";
import { aborted, stream } from "./api.js";
import { card, inWords } from "./card.js";
import { bodyFor, chosen, lacks, sampleToJudge, state } from "./state.js";
import { nameOf } from "./setups.js";

let running = null;

export function stop(said = "Stopped.") {
  if (!running) return;
  running.abort();
  running = null;
  show(said);
}

// kind: judge, swap (each also with A and B exchanged), prompt (only what would be asked). troubled(error) hears of the first
// trouble that concerns more than one card.
export async function run(kind, troubled) {
  stop("");
  const missing = lacks();
  if (missing) return show(missing);
  const plan = planned(kind);
  const { labels } = chosen() ?? state.criterion;
  const cards = plan.map(({ title, body }) => card(title, body, { ...labels }));
  $("cards").replaceChildren(...cards.map(({ node }) => node));
  $("cards").classList.toggle("two", cards.length > 1);
  if (kind === "prompt") {
    cards.forEach((one) => one.openPrompt());
    return show("");
  }
  const mine = (running = new AbortController());
  show("Judging…");
  const outcomes = await Promise.all(plan.map(({ body }, i) => ask(body, cards[i], mine.signal)));
  if (running !== mine) return undefined;
  running = null;
  const trouble = outcomes.find(({ error }) => error)?.error;
  if (trouble) troubled(trouble);
  const verdicts = outcomes.map(({ verdict }) => verdict);
  // For screen readers: the cards say it to all others.
  show(verdicts.map((verdict, i) => (verdict ? `${plan.length > 1 ? `${plan[i].title}: ` : ""}${inWords(verdict)}` : "no verdict")).join(". "), true);
  if (kind === "swap") moved(plan, verdicts);
  return undefined;
}

function planned(kind) {
  return state.setups.flatMap((setup) => {
    const sample = sampleToJudge();
    const title = nameOf(setup);
    const plain = { title, body: bodyFor(setup, sample) };
    if (kind !== "swap") return [plain];
    const other = { ...sample, response_a: sample.response_b, response_b: sample.response_a };
    return [{ ...plain, title: `${title}: as given` }, { title: `${title}: A and B exchanged`, body: bodyFor(setup, other) }];
  });
}

async function ask(body, shown, signal) {
  let verdict = null;
  try {
    await stream("/v1/judge", { ...body, stream: true }, (event, data) => {
      if (event === "critique") shown.hear(data.text);
      if (event === "verdict") shown.finish((verdict = data));
    }, signal);
    return { verdict };
  } catch (error) {
    if (verdict) return { verdict };
    shown.fail(aborted(error) ? "Stopped before the verdict." : error.message);
    return { error: aborted(error) ? null : error };
  }
}

// Does the order of the responses sway the verdict?
function moved(plan, verdicts) {
  const told = [];
  for (let i = 0; i < verdicts.length; i += 2) {
    const [given, exchanged] = [verdicts[i], verdicts[i + 1]];
    if (!given?.label || !exchanged?.label) continue;
    const back = { A: "B", B: "A" }[exchanged.label] ?? exchanged.label; // in the seats as given
    const name = plan[i].title.replace(/: as given$/, "");
    const same = back === given.label;
    const of = (label) => (label === "tie" ? "a tie" : `response ${label} as given`);
    const [before, after] = [given.probabilities?.A, exchanged.probabilities?.B];
    const moves = before == null || after == null ? "" : ` The probability of response A goes from ${(100 * before).toFixed(1)} to ${(100 * after).toFixed(1)} %.`;
    const text = same ? `${name}: the verdict stays. In both orders it is ${of(back)}.` : `${name}: the verdict moves, from ${of(given.label)} to ${of(back)}, with nothing but the order.`;
    told.push(el("p", { class: same ? "moved stays" : "moved" }, text + moves));
  }
  $("cards").prepend(...told);
}

function show(said, quiet = false) {
  $("status").textContent = said;
  $("status").classList.toggle("quiet", quiet);
  $("stop").hidden = running === null;
}
