"use strict";
// What the page knows, as columns: names, and for each pair the numbers of its content and style among the originals.
// A layer is one picture a pair: 0 the content, 1 the style, from 2 on the results of each run or setting.

let known = { names: [], content: [], style: [], originals: [], layers: [], chosen: 2, measures: [] };
let layers = ["content", "style"];
const ORIGINALS = "report/originals/";

function learn(data) {
  known = data;
  layers = ["content", "style", ...data.layers.map(([name]) => name)];
}

// A path as a URL.  Bytes that are not UTF-8 come as lone surrogates, U+DC80 to U+DCFF (PEP 383).
function encoded(path) {
  let url = "";
  for (const c of path) {
    const code = c.codePointAt(0);
    if (c === "/") url += c;
    else if (code >= 0xdc80 && code <= 0xdcff) url += "%" + (code - 0xdc00).toString(16).toUpperCase();
    else if (code >= 0xd800 && code <= 0xdfff) url += "%EF%BF%BD";
    else url += encodeURIComponent(c);
  }
  return url;
}

// Where a pair's picture of a layer is, and why it is not there.
function picture(pair, layer) {
  if (layer < 2) {
    const original = known.originals[(layer ? known.style : known.content)[pair]];
    return original && original[1] ? { url: ORIGINALS + original[1] } : { why: `the ${layers[layer]} is not here any more` };
  }
  const [, base, failed, pictures] = known.layers[layer - 2];
  return pair in failed ? { why: failed[pair] } : { url: encoded(base + (pictures ? pictures[pair] : `${known.names[pair]}.png`)) };
}

function original(pair, layer) {
  const found = known.originals[(layer ? known.style : known.content)[pair]];
  return found ? found[0] : "";
}

// An element with its attributes and what is in it; texts are texts, whatever they hold.
function make(tag, attributes = {}, ...inside) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...inside);
  return element;
}

function shown(pair, layer, alt, lazy) {
  const { url, why } = picture(pair, layer);
  if (!url) return make("span", { class: "none" }, why);
  const image = make("img", { alt, decoding: "async", draggable: "false", ...(lazy ? { loading: "lazy" } : {}) });
  image.addEventListener("error", () => image.replaceWith(make("span", { class: "none" }, "this picture is not there")));
  image.src = url;
  return image;
}

// The path of a picture as a word of a shell.
function word(url) {
  const here = location.protocol === "file:" ? new URL(url, document.baseURI).pathname : `${document.body.dataset.folder}/${url}`;
  const bytes = Uint8Array.from(here.match(/%[0-9a-f]{2}|[^]/gi) || [], (c) => (c.length > 1 ? parseInt(c.slice(1), 16) : c.charCodeAt(0)));
  let path;
  try {
    path = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    path = null;
  }
  if (path === null || /[\u0000-\u001f\u007f-\u009f]/.test(path)) {
    const escaped = (b) => (b > 32 && b < 127 && b !== 39 && b !== 92 ? String.fromCharCode(b) : "\\x" + b.toString(16).padStart(2, "0"));
    return `$'${Array.from(bytes, escaped).join("")}'`;
  }
  path = path.replace(/^\/(?=[A-Za-z]:\/)/, "");
  return /^[\w./:~+@%-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`;
}

// What pairs can be put in order by: a measure of a layer; of two layers also their difference.
function keys() {
  const found = [];
  for (const [name, better, values] of known.measures) {
    const of = values.map((column, k) => [column, k]).filter(([column]) => column);
    for (const [column, k] of of) {
      found.push({ name: known.layers.length > 1 ? `${name} of ${known.layers[k][0]}` : name, better, layer: k, value: (pair) => column[pair] });
    }
    if (of.length === 2) {
      const [one, two] = values;
      const value = (pair) => (one[pair] === null || two[pair] === null ? null : two[pair] - one[pair]);
      found.push({ name: `${name}, ${known.layers[1][0]} less ${known.layers[0][0]}`, better, value });
    }
  }
  return found;
}

// Pairs from the best on; those without a value last.
function ranked(pairs, key) {
  const sign = key.better || 1;
  const value = (pair) => key.value(pair) ?? -Infinity * sign;
  return [...pairs].sort((a, b) => sign * (value(b) - value(a)) || a - b);
}
