// The page of terms: what the arena's owner adds, and deleting one's votes.

import { $, el } from "/playground/dom.js";
import { get, remove } from "/playground/api.js";
import { troubled } from "./page.js";

async function start() {
  try {
    const { terms } = await get("/api/arena");
    if (terms.more) $("more").replaceChildren(el("h2", {}, "Who runs this arena"), ...terms.more.split(/\n\s*\n/).map((text) => el("p", {}, text)));
  } catch (error) {
    troubled(error);
  }
}

$("delete").addEventListener("click", () => {
  $("really").hidden = false;
  $("really").focus();
});
$("really").addEventListener("click", async () => {
  $("really").hidden = true;
  try {
    const { deleted } = await remove("/api/votes");
    $("said").textContent = deleted === 1 ? "One vote and its battle are gone." : `${deleted} votes are gone, and all battles that you began.`;
    localStorage.removeItem("mene-terms");
    localStorage.removeItem("mene-consent");
  } catch (error) {
    $("said").textContent = error.status === 403 ? "This browser has no votes here." : error.message;
  }
});
start();
