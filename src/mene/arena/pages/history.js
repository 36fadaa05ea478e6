// Ratings over time, a line a judge, as a picture; the table above it says the same in words at its end.

import { el } from "/playground/dom.js";
import { svg } from "./page.js";

const WIDTH = 900;
const HEIGHT = 300;
const PAD = { left: 48, right: 150, top: 12, bottom: 28 };
const HUES = [222, 22, 145, 285, 48, 190, 335, 95];
const MOST = 8;

export function history(moments, judges) {
  if (moments.length < 2 || moments[0].votes === moments.at(-1).votes) return el("p", { class: "note" }, "Too early to say.");
  const shown = judges.slice(0, MOST);
  const values = moments.flatMap(({ ratings }) => shown.map((name) => ratings[name]).filter((value) => value != null));
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const last = moments.length - 1;
  const x = (i) => PAD.left + ((WIDTH - PAD.left - PAD.right) * i) / last;
  const y = (value) => PAD.top + ((HEIGHT - PAD.top - PAD.bottom) * (high - value)) / Math.max(high - low, 1);
  const picture = svg("svg", { class: "history", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": `Ratings over time of ${shown.join(", ")}` });
  for (const value of [low, (low + high) / 2, high]) {
    picture.append(svg("line", { class: "axis", x1: PAD.left, x2: WIDTH - PAD.right, y1: y(value), y2: y(value) }), svg("text", { x: PAD.left - 6, y: y(value) + 4, "text-anchor": "end" }, String(Math.round(value))));
  }
  const day = (at) => at.slice(0, 16).replace("T", " ");
  picture.append(svg("text", { x: PAD.left, y: HEIGHT - 8 }, `${day(moments[0].at)}`), svg("text", { x: WIDTH - PAD.right, y: HEIGHT - 8, "text-anchor": "end" }, `${day(moments[last].at)}, ${moments[last].votes} votes`));
  const ends = apart(shown.map((name) => y(moments[last].ratings[name] ?? low)), 15);
  shown.forEach((name, k) => {
    const points = moments.map(({ ratings }, i) => (ratings[name] == null ? null : `${x(i).toFixed(1)},${y(ratings[name]).toFixed(1)}`)).filter(Boolean);
    const colour = `hsl(${HUES[k]} 60% 52%)`;
    const label = svg("text", { x: WIDTH - PAD.right + 8, y: ends[k] + 4 }, name.length > 20 ? `${name.slice(0, 19)}…` : name);
    label.style.fill = colour;
    picture.append(svg("path", { d: `M${points.join("L")}`, stroke: colour }), label);
  });
  return picture;
}

// Heights, moved so far that no two are nearer than `least`.
function apart(heights, least) {
  const order = heights.map((_, i) => i).sort((a, b) => heights[a] - heights[b]);
  const moved = [...heights];
  for (let k = 1; k < order.length; k += 1) moved[order[k]] = Math.max(moved[order[k]], moved[order[k - 1]] + least);
  return moved;
}
