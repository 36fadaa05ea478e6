// The terms: agreed to once in a browser, and again when they change.

import { $, wrong } from "/playground/dom.js";
import { post } from "/playground/api.js";

let version = "";
let known = false;
const KEPT = "mene-terms";
export const agreed = () => known;

export function askTerms(about) {
  version = about.terms.version;
  known = about.agreed && localStorage.getItem(KEPT) === version;
  $("agree").hidden = known;
}

$("agree").addEventListener("submit", async (event) => {
  event.preventDefault();
  try {
    await post("/api/terms", { version });
    localStorage.setItem(KEPT, version);
    known = true;
    $("agree").hidden = true;
    $("status").textContent = "";
    $("run").focus();
  } catch (error) {
    $("agree").append(wrong(error.message));
  }
});
