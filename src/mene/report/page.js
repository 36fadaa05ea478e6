// Sorting, filtering and unfolding of the row tables. The page reads the same without it.
document.documentElement.classList.add("js");

for (const list of document.querySelectorAll(".list")) {
  const rows = list.querySelector(".rows");
  const button = list.querySelector(".all");
  if (button) {
    button.addEventListener("click", () => {
      const open = list.classList.toggle("whole");
      button.textContent = open ? "Show fewer" : "Show all " + button.dataset.many;
    });
  }
  for (const head of list.querySelectorAll("[data-sort]")) {
    const sort = document.createElement("button");
    sort.type = "button";
    sort.textContent = head.textContent;
    head.textContent = "";
    head.append(sort);
    let way = -1;
    sort.addEventListener("click", () => {
      way = -way;
      const key = head.dataset.sort;
      const value = (row) => (key === "id" ? row.dataset.id : Number(row.dataset[key]));
      const compare = (a, b) =>
        key === "id"
          ? value(a).localeCompare(value(b), undefined, { numeric: true })
          : value(a) - value(b);
      const sorted = [...rows.children].sort((a, b) => way * compare(a, b));
      sorted.forEach((row, i) => row.classList.toggle("more", i >= 8));
      rows.append(...sorted);
      for (const other of list.querySelectorAll("[data-way]")) delete other.dataset.way;
      sort.dataset.way = way > 0 ? "up" : "down";
    });
    head.parentElement.removeAttribute("aria-hidden");
  }
}

for (const input of document.querySelectorAll(".filter")) {
  input.addEventListener("input", () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    const part = input.closest(".readable");
    part.classList.toggle("filtered", words.length > 0);
    for (const row of part.querySelectorAll(".row")) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
    }
  });
}
