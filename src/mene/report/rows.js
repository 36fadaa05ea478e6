// The table of all rows: rows come from the JSON below, and are drawn as they are scrolled to. Texts of rows become text
// nodes only, never HTML.
document.addEventListener("DOMContentLoaded", () => {
  const source = document.getElementById("rows-data");
  if (!source) return;
  const data = JSON.parse(source.textContent);
  source.remove();
  const part = document.getElementById("rows");
  const get = (name) => part.querySelector("." + name);
  const body = get("grid").tBodies[0];
  const head = get("grid").tHead;
  const BATCH = 60;
  const [LABEL, SCORE, SURE, SAID, STATE, GOLD, CLAIMS, GOOD] = [0, 1, 2, 3, 4, 5, 6, 7];
  let found = [];
  let drawn = 0;

  const make = (tag, kind, text) => {
    const element = document.createElement(tag);
    if (kind) element.className = kind;
    if (text !== undefined && text !== null) element.textContent = text;
    return element;
  };
  const chosen = () => (get("which").value === "" ? null : Number(get("which").value));
  const columns = () => (chosen() === null ? data.sections.map((_, n) => n) : [chosen()]);
  const bad = (n, cell) => cell[STATE] === 2 || data.sections[n][4].includes(cell[LABEL]);
  const title = (n) => {
    const [name, judge] = data.sections[n];
    const alone = data.sections.filter((s) => s[0] === name).length === 1;
    return alone ? name : name + " · " + judge;
  };

  // What a search looks through; made once, at the first search.
  let hay = null;
  const haystack = () =>
    (hay ??= data.rows.map(([id, texts, cells]) =>
      [id, ...texts.map(([, t]) => data.texts[t]), ...Object.values(cells).map((c) => c[SAID] ?? "")]
        .join("\n")
        .toLowerCase()));

  const wanted = {
    "": () => true,
    bad: (n, c) => bad(n, c),
    error: (n, c) => c[STATE] === 2,
    person: (n, c) => c[STATE] === 1,
    gold: (n, c) => c[GOLD] !== null && c[STATE] === 0 && c[GOLD] !== c[LABEL],
  };

  const search = () => {
    const words = get("search").value.toLowerCase().split(/\s+/).filter(Boolean);
    const label = get("label").value;
    const below = Number(get("sure").value);
    const test = wanted[get("state").value];
    const shown = columns();
    const texts = words.length ? haystack() : null;
    found = [];
    data.rows.forEach((row, i) => {
      const fits = shown.some((n) => {
        const c = row[2][n];
        return c && test(n, c) && (!label || (c[STATE] === 0 && c[LABEL] === label)) &&
          (below === 1 || (c[SURE] !== null && c[SURE] < below));
      });
      if (fits && (!texts || words.every((word) => texts[i].includes(word)))) found.push(i);
    });
    if (shown.length === 1) {
      const n = shown[0];
      found.sort((a, b) => data.rows[a][2][n][GOOD] - data.rows[b][2][n][GOOD]);
    }
    get("count").textContent =
      found.length.toLocaleString("en") + " of " + data.rows.length.toLocaleString("en") + " rows";
    body.replaceChildren();
    drawn = 0;
    const line = make("tr");
    line.append(make("th", "", "row"));
    for (const n of shown) line.append(make("th", "", title(n)));
    line.append(make("th", "gist", "critique or error"));
    head.replaceChildren(line);
    draw();
  };

  const write = (cell, c, n) => {
    if (!c) return cell.append(make("span", "soft", "–"));
    const text = c[STATE] === 2 ? "error" : c[STATE] === 1 ? "ask a person" : c[LABEL];
    cell.append(make("b", bad(n, c) ? "bad" : "", text));
    if (c[SURE] !== null) cell.append(make("span", "soft", " " + c[SURE].toFixed(2)));
    if (c[GOLD] !== null && c[GOLD] !== c[LABEL]) cell.append(make("i", "soft", " gold " + c[GOLD]));
  };

  const draw = () => {
    const shown = columns();
    for (const i of found.slice(drawn, drawn + BATCH)) {
      const [id, , cells] = data.rows[i];
      const line = make("tr");
      const first = make("th");
      const open = make("button", "open-row", id || "row");
      open.type = "button";
      open.setAttribute("aria-expanded", "false");
      open.addEventListener("click", () => unfold(open, line, i));
      first.append(open);
      line.append(first);
      for (const n of shown) {
        const cell = make("td");
        write(cell, cells[n], n);
        line.append(cell);
      }
      const there = shown.filter((n) => cells[n] && cells[n][SAID]);
      there.sort((a, b) => cells[a][GOOD] - cells[b][GOOD]);
      line.append(make("td", "gist", there.length ? cells[there[0]][SAID].slice(0, 200) : ""));
      body.append(line);
    }
    drawn = Math.min(found.length, drawn + BATCH);
  };

  const block = (name, kind) => {
    const whole = make("div", "text " + kind);
    whole.append(make("h5", "", name));
    const text = make("div", "body");
    text.dir = "auto";
    text.tabIndex = 0;
    whole.append(text);
    return [whole, text];
  };

  // Claims are in order and do not overlap; a file may come from anywhere, so one that does is not marked.
  const mark = (text, whole, claims, n) => {
    let at = 0;
    for (const [from, to, label, , said, error] of claims) {
      if (from < at || to <= from || to > whole.length) continue;
      text.append(whole.slice(at, from));
      const claim = make("mark", data.sections[n][4].includes(label) || error ? "bad" : "", whole.slice(from, to));
      claim.title = error || label + (said ? ": " + said : "");
      text.append(claim);
      at = to;
    }
    text.append(whole.slice(at));
  };

  const unfold = (button, line, i) => {
    const open = button.getAttribute("aria-expanded") === "true";
    button.setAttribute("aria-expanded", String(!open));
    if (open) return line.nextSibling.remove();
    const [, texts, cells, cut] = data.rows[i];
    const all = make("td");
    all.colSpan = line.children.length;
    const more = make("div", "inside");
    all.append(more);
    const marked = columns().find((n) => cells[n] && cells[n][CLAIMS].length);
    const worst = columns().filter((n) => cells[n]).sort((a, b) => cells[a][GOOD] - cells[b][GOOD]);
    for (const n of worst) {
      const c = cells[n];
      const what = make("p", "verdict");
      what.append(make("span", "soft", title(n) + ": "));
      write(what, c, n);
      if (c[SCORE] !== null) what.append(make("span", "soft", " · score " + c[SCORE].toFixed(2)));
      more.append(what);
      if (c[SAID]) {
        const [whole, text] = block(c[STATE] === 2 ? "Error" : "Critique", c[STATE] === 2 ? "bad" : "critique");
        text.textContent = c[SAID];
        more.append(whole);
      }
      for (const [, , label, sure, said, error] of c[CLAIMS]) {
        if (!error && !data.sections[n][4].includes(label)) continue;
        const why = error || said || "";
        more.append(make("p", "soft", "Claim: " + label + (sure === null ? "" : " " + sure.toFixed(2)) + (why && " · " + why)));
      }
    }
    for (const [name, number] of texts) {
      const [whole, text] = block(name, "");
      if (name === "Response" && marked !== undefined) mark(text, data.texts[number], cells[marked][CLAIMS], marked);
      else text.textContent = data.texts[number];
      more.append(whole);
    }
    if (cut) more.append(make("p", "soft", "The texts of this row are not in the page, which would be too large."));
    else if (!texts.length) more.append(make("p", "soft", "No texts: name the table with --data."));
    const below = make("tr", "opened");
    below.append(all);
    line.after(below);
  };

  const labels = () => {
    const old = get("label").value;
    const every = new Set(columns().flatMap((n) => data.sections[n][3]));
    const option = (value, text) => {
      const made = make("option", "", text);
      made.value = value;
      return made;
    };
    get("label").replaceChildren(option("", "any label"), ...[...every].map((l) => option(l, l)));
    get("label").value = every.has(old) ? old : "";
    const n = chosen();
    get("asked").textContent = n === null ? "" : data.sections[n][2];
  };

  data.sections.forEach((_, n) => {
    const made = make("option", "", title(n));
    made.value = String(n);
    get("which").append(made);
  });
  if (data.sections.length === 1) get("which").value = "0";
  get("which").addEventListener("change", () => (labels(), search()));
  for (const name of ["label", "sure", "state"]) get(name).addEventListener("change", search);
  let soon;
  get("search").addEventListener("input", () => {
    clearTimeout(soon);
    soon = setTimeout(search, 150);
  });
  // Observed anew after each draw: an end that stays in sight is no news to the browser.
  const watch = new IntersectionObserver((seen) => {
    if (!seen.some((s) => s.isIntersecting) || drawn >= found.length) return;
    draw();
    watch.unobserve(get("end"));
    watch.observe(get("end"));
  }, { rootMargin: "600px" });
  watch.observe(get("end"));
  part.hidden = false;
  labels();
  search();
});
