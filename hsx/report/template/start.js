// The page itself: search, order and size of the contact sheet.  The data come after the first paint.

document.addEventListener("DOMContentLoaded", () => {
  const part = (id) => document.getElementById(id);
  if (!globalThis.HSX) {
    part("count").textContent = "The folder report/ is not beside this page, so that no picture can be shown.";
    return;
  }
  learn(globalThis.HSX);
  const everyone = known.names.map((_, pair) => pair), results = layers.map((_, layer) => layer).slice(2);
  const low = known.names.map((name, pair) => `${name}\n${original(pair, 0)}\n${original(pair, 1)}`.toLowerCase());
  const pair = new Pair(part("pair"));
  pair.learn();
  let list = everyone;
  const by = () => (part("order").value === "" ? undefined : part("order").value);
  const open = (number) => pair.open(number, list, by());
  const sheet = new Sheet(part("sheet"), open);
  const option = (value, text) => make("option", { value }, text);
  part("order").append(option("", "of the run"), ...pair.keys.map((key, k) => option(k, `best ${key.name} first`)));
  part("all").checked = results.length > 1;
  if (results.length > 4) part("size").value = 80; // so that a sweep has a line a pair

  let waiting;
  function show() {
    clearTimeout(waiting);
    const words = part("search").value.toLowerCase().split(/\s+/).filter(Boolean);
    const found = words.length ? everyone.filter((number) => words.every((word) => low[number].includes(word))) : everyone;
    list = by() === undefined ? found : ranked(found, pair.keys[by()]);
    part("count").textContent = found.length === everyone.length ? `${found.length} pairs` : `${found.length} of ${everyone.length} pairs`;
    sheet.show(list, part("all").checked ? [0, 1, ...results] : results, Number(part("size").value));
  }

  for (const id of ["order", "size", "all"]) part(id).addEventListener("input", show);
  part("search").addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(show, 60);
  });
  part("tools").addEventListener("submit", (event) => event.preventDefault());
  part("pair").addEventListener("close", () => list.length && sheet.go(list.indexOf(pair.pair)));
  document.addEventListener("keydown", (event) => {
    const typing = /^(INPUT|SELECT)$/.test(event.target.tagName);
    if (typing || pair.dialog.open || event.ctrlKey || event.metaKey || event.altKey || !list.length) return;
    if (event.key === "/") part("search").focus();
    else if ("bw".includes(event.key) && pair.keys.length) {
      open(list[0]);
      pair.extreme(event.key === "b");
    } else return;
    event.preventDefault();
  });
  requestAnimationFrame(() => setTimeout(show)); // what is there already is painted first
});
