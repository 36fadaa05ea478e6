// A battle as it is fought: two seats, what each writes, and both verdicts together at the end.

import { $ } from "/playground/dom.js";
import { Trouble, aborted, stream } from "/playground/api.js";
import { keep } from "./kept.js";
import { seat } from "./seat.js";

export let seats = {};
let running = null;

export function stop() {
  running?.abort();
  running = null;
}

// Resolves to the battle's id once both verdicts are there.
export async function begin(body, labels) {
  stop();
  sit(labels);
  $("status").textContent = "Both judges are at work…";
  const mine = (running = new AbortController());
  let id = "";
  let verdicts = null;
  let failed = "";
  try {
    await stream("/api/battles", body, (event, data) => {
      if (event === "battle") keep((id = data.id));
      if (event === "critique") for (const name of ["a", "b"]) seats[name].hear(data[name]);
      if (event === "failed") failed = data.message;
      if (event === "verdicts") verdicts = data;
    }, mine.signal);
  } catch (error) {
    fail(aborted(error) ? "Stopped." : "No verdicts came.");
    throw aborted(error) ? new Trouble("stopped", "Stopped.") : error;
  } finally {
    if (running === mine) running = null;
  }
  if (failed || !verdicts) {
    fail(failed || "No verdicts came.");
    throw new Trouble("stopped", failed);
  }
  finish(verdicts);
  return id;
}

// A battle that was fought before the page was loaded.
export function showAgain(verdicts, labels) {
  sit(labels);
  finish(verdicts);
}

function sit(labels) {
  seats = { a: seat("A", labels), b: seat("B", labels) };
  $("seats").replaceChildren(seats.a.node, seats.b.node);
}

function finish(verdicts) {
  for (const name of ["a", "b"]) seats[name].finish(verdicts[name]);
  $("status").textContent = "Both judges are done. Which one is better?";
}

function fail(said) {
  for (const one of Object.values(seats)) one.fail();
  $("status").textContent = `${said} There is no vote on this battle.`;
}
