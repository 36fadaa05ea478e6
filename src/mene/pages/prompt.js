// The exact prompt: asked for when it is opened, with what of it the verdict took from the cache.

import { el, percent, wrong } from "./dom.js";
import { post } from "./api.js";

export function promptOf(body) {
  const inside = el("div", {});
  let asked = false;
  let verdict = null;
  let prompts = [];
  const node = el("details", { class: "prompt", toggle: open }, el("summary", {}, "The exact prompt"), inside);

  async function open() {
    if (!node.open || asked) return;
    asked = true;
    inside.textContent = "…";
    try {
      ({ prompts } = await post("/v1/prompt", body));
      show();
    } catch (error) {
      asked = false; // opening it again asks again
      inside.replaceChildren(wrong(error.message));
    }
  }
  function show() {
    const parts = prompts.length > 1 ? verdict?.parts ?? [] : [verdict];
    inside.replaceChildren(...prompts.flatMap((one, i) => shown(one, parts[i]?.usage, prompts.length > 1 ? `Prompt ${i + 1} of ${prompts.length}. ` : "")));
  }
  return {
    node,
    read(given) {
      verdict = given;
      if (prompts.length) show();
    },
  };
}

function shown({ prompt, cue, tokens }, usage, which) {
  const { prompt_tokens: all = 0, cached_tokens: cached = 0 } = usage ?? {};
  const cut = all ? Math.round((prompt.length * cached) / all) : 0;
  const counted = tokens == null ? "" : `${tokens} tokens. `;
  const read = cut ? `Marked: the ${percent(cached / all)} that came from the cache (where it ends is estimated). ` : all ? "All of it was read anew. " : "";
  return [
    el("p", { class: "note" }, `${which}${counted}${read}The label is read behind “${cue}”.`),
    el("pre", { tabindex: "0" }, cut ? el("mark", {}, prompt.slice(0, cut)) : null, prompt.slice(cut)),
  ];
}
