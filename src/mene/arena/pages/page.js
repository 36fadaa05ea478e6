// What the pages of text and tables share.

import { $, el } from "/playground/dom.js";

export function troubled(error) {
  const [text] = $("banner").getElementsByTagName("p");
  text.textContent = error.message;
  $("banner").hidden = false;
}

export const number = (value) => value.toLocaleString("en", { maximumFractionDigits: 0 });

// An element of SVG, with attributes.
export function svg(tag, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

// A table of texts and elements; the first cell of a row names it.
export function fill(table, heads, rows) {
  const none = el("tr", {}, el("td", { colspan: String(heads.length) }, "None so far."));
  table.replaceChildren(
    el("thead", {}, el("tr", {}, ...heads.map((head) => el("th", { scope: "col" }, head)))),
    el("tbody", {}, ...(rows.length ? rows.map(([first, ...cells]) => el("tr", {}, el("th", { scope: "row" }, first), ...cells.map((cell) => el("td", {}, cell)))) : [none])),
  );
}
