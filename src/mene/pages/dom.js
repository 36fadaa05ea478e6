// Elements, and figures as texts. All text goes in as text: nothing on this page is ever read as HTML.

export const $ = (id) => document.getElementById(id);

// el("p", {class: "note"}, "text", other): functions become listeners, true and false attributes without a value.
export function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(name, value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value != null) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child != null));
  return made;
}

export const wrong = (message) => el("p", { class: "wrong", role: "alert" }, message);
export const percent = (value) => (value > 0 && value < 0.001 ? "< 0.1 %" : `${(100 * value).toFixed(1)} %`);
export const seconds = (value) => (value < 0.0995 ? `${Math.round(value * 1000)} ms` : `${value.toFixed(1)} s`);

// A button that shows and hides what it controls.
export function opens(button, box, focus = null) {
  button.addEventListener("click", () => {
    box.hidden = !box.hidden;
    button.setAttribute("aria-expanded", String(!box.hidden));
    if (!box.hidden) (focus ?? box).focus();
  });
}

// Calls the last of many calls, once they have stopped for a while.
export function later(ms, call) {
  let timer;
  return (...given) => {
    clearTimeout(timer);
    timer = setTimeout(call, ms, ...given);
  };
}
