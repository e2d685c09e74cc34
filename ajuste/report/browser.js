// Answers about texts in a browser, as `serving.predict` gives them: the text processing of
// ajuste/data/text.py, and the linear network of n-grams that ajuste/training/browser.py exports.

const ELEMENTS = "a|abbr|acronym|address|area|article|aside|audio|b|base|bdi|bdo|big|blink|" +
  "blockquote|body|button|canvas|caption|center|cite|code|col|colgroup|data|datalist|dd|del|" +
  "details|dfn|dialog|dir|div|dl|dt|em|embed|fieldset|figcaption|figure|font|footer|form|frame|" +
  "frameset|h[1-6]|head|header|hgroup|hr|html|i|iframe|img|input|ins|kbd|label|legend|li|link|" +
  "main|map|mark|marquee|menu|meta|meter|nav|nobr|noframes|noscript|object|ol|optgroup|option|" +
  "output|p|param|picture|pre|progress|q|rp|rt|ruby|s|samp|script|search|section|select|slot|" +
  "small|source|span|strike|strong|style|sub|summary|sup|svg|table|tbody|td|template|textarea|" +
  "tfoot|th|thead|time|title|tr|track|tt|u|ul|var|video|wbr";
const HIDDEN = [
  /<!--[^]*?-->/g, /<script\b[^<>]*>[^]*?<\/script\s*>/gi, /<style\b[^<>]*>[^]*?<\/style\s*>/gi,
];
const MARKUP = new RegExp(
  `</?(?:${ELEMENTS}|br|[a-z]\\w*:[a-z][\\w-]*)(?:\\s*/?\\s*|\\s[^<>=]*=[^<>]*)>`, "gi");
const MORE_MARKUP = new RegExp(
  "<[a-z][\\w-]*\\s[^<>\"']*=[\"'][^<>]*>|<!\\[CDATA\\[|<(?:!doctype\\b|!\\[|\\?xml\\b)[^<>]*>", "gi");
const TOKEN = new RegExp(
  "[\\p{Script=Han}\\p{Script=Hiragana}\\p{Script=Katakana}\\p{Script=Thai}\\p{Script=Lao}" +
  "\\p{Script=Khmer}\\p{Script=Myanmar}]\\p{M}*" +
  "|\\p{N}+(?:[.,/]\\p{N}+)+" +
  "|[\\p{L}\\p{N}][\\p{L}\\p{M}\\p{N}]*(?:'[\\p{L}\\p{N}][\\p{L}\\p{M}\\p{N}]*)*" +
  "|\\p{Extended_Pictographic}", "gu");
const APOSTROPHES = /[`\u00b4\u02b9\u02bb-\u02bf\u02c8\u02ca\u02cb\u0384\u055a\u05f3\u07f4\u07f5\u1fbd\u1fbf\u1ffd\u1ffe\u2018\u2019\u201b\u2032\u2035\u275b\u275c\ua78c\uff07\uff40]/g;

function unescape(text) {
  const place = document.createElement("textarea"); // its content is text, never markup
  return text.replace(/&(?:(?:amp|#0*38|#x0*26);)+(?=#?\w{1,40};)/gi, "&")
    .replace(/&#?\w+;?/g, entity => { place.innerHTML = entity; return place.value; });
}

// The words of a text, in lower case and in order.
function tokens(text) {
  if (text.includes("&")) text = unescape(text);
  if (text.includes("<"))
    for (const hidden of [...HIDDEN, MARKUP, MORE_MARKUP]) text = text.replace(hidden, " ");
  if (text.includes("\\"))
    text = text.replace(/(\b[A-Za-z]:(?:\\+(?![nrt](?!\p{Ll}))[^\\\s]*)+)|(?<!\\)\\+[nrt]/gu, "$1 ")
      .replaceAll("\\'", "'");
  const typed = text => text.replace(APOSTROPHES, "'").replaceAll("\u2044", "/");
  text = typed(text.replace(/\p{Default_Ignorable_Code_Point}+/gu, ""))
    .replace(/(?![\u00b2\u00b3\u00b9\u2070-\u2089])[\p{No}\u2116\u2120]/gu, " $& ")
    .replace(/(?<=\p{Nd})(?=\p{No})|(?<=\p{No})(?=\p{Nd})/gu, " ")
    .replace(/[^\p{Extended_Pictographic}\u3131-\u318e]+|\u24c2/gu, part => part.normalize("NFKC"))
    .toLowerCase().normalize("NFC");
  return typed(text).match(TOKEN) || [];  // normalization makes some of these characters
}

// The model of a page: reads what is packed, once.
async function load(packed) {
  const bytes = Uint8Array.from(atob(packed.ngrams), one => one.charCodeAt(0));
  const unpacked = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const buffer = await new Response(unpacked).arrayBuffer(), count = packed.count;
  const keys = new Float64Array(buffer, 0, count);
  for (let place = 1; place < count; place++) keys[place] += keys[place - 1];
  const ids = new Map(packed.words.split(" ").map((word, place) => [word, place + 2]));
  return {
    ...packed, keys, ids,
    idf: new Float32Array(buffer, 8 * count, count),
    weights: new Float32Array(buffer, 12 * count, count),
  };
}

function find(keys, wanted) {
  let low = 0, high = keys.length - 1;
  while (low <= high) {
    const middle = (low + high) >> 1;
    if (keys[middle] === wanted) return middle;
    if (keys[middle] < wanted) low = middle + 1; else high = middle - 1;
  }
  return -1;
}

function cut(ids, most, keep) {
  if (ids.length <= most) return ids;
  const head = {first: most, last: 0, both: Math.floor(most / 2)}[keep];
  return [...ids.slice(0, head), ...ids.slice(ids.length - most + head)];
}

// The probability of the second label, from the ids of the words that the model sees.
function probability(model, ids) {
  const seen = new Set();
  for (let start = 0; start < ids.length; start++) {
    let key = 0;
    for (let size = 0; size < model.order && start + size < ids.length; size++) {
      key = key * (size ? model.base : 1) + ids[start + size];
      const place = find(model.keys, key);
      if (place >= 0) seen.add(place);
    }
  }
  let total = 0, square = 0;
  for (const place of seen) {
    total += model.weights[place];
    square += model.idf[place] ** 2;
  }
  const score = total / Math.max(Math.sqrt(square), 1);
  return 1 / (1 + Math.exp(-(model.kernel * score + model.bias)));
}

// The answer about a text, with what each of its words adds to the probability.
function answer(model, text) {
  const words = tokens(text);
  const ids = cut(words.map(word => model.ids.get(word)).filter(Boolean), model.max_length, model.keep);
  if (!ids.length) return {words: words.length, known: 0, probability: null, effects: []};
  const found = probability(model, ids);
  const names = new Map(words.map(word => [model.ids.get(word), word]));
  const effects = [...new Set(ids)].map(id => {
    const others = ids.filter(other => other !== id);
    const without = others.length ? probability(model, others) : 1 / (1 + Math.exp(-model.bias));
    return [names.get(id), found - without];
  });
  const known = words.filter(word => model.ids.has(word)).length;
  return {words: words.length, known, probability: found, effects};
}

const SHORT = 15; // words
const share = new Intl.NumberFormat(document.documentElement.lang,
  {minimumFractionDigits: 1, maximumFractionDigits: 1});

// The field of the page: it answers while one types.
let model;
async function show() {
  const place = document.querySelector("#answer"), text = document.querySelector("#review").value;
  model ||= await load(JSON.parse(document.querySelector("#model").textContent));
  const found = answer(model, text), p = found.probability;
  const add = (parent, tag, said, name) => {
    const made = parent.appendChild(document.createElement(tag));
    made.textContent = said;
    made.className = name || "";
    return made;
  };
  const say = (text, fields) => text.replace(/\{(\w+)\}/g, (_, name) => fields[name]);
  place.replaceChildren();
  if (p === null) {
    if (found.words) add(place, "p", model.texts.unknown);
    return;
  }
  add(place, "p", `${model.labels[p < 0.5 ? 0 : 1]} (${share.format(100 * Math.max(p, 1 - p))} %); ` +
    say(model.texts.known, found));
  if (2 * found.known < found.words) add(place, "p", model.texts.few, "down");
  else if (found.words < SHORT) add(place, "p", model.texts.short);
  for (const [at, sign, name] of [[1, 1, "up"], [0, -1, "down"]]) {
    const words = found.effects.map(([word, effect]) => [word, 100 * sign * effect])
      .filter(([, points]) => points >= 0.5).sort((a, b) => b[1] - a[1]).slice(0, 10);
    if (!words.length) continue;
    add(place, "p", say(model.texts.towards, {label: model.labels[at]}));
    const list = add(place, "ul", "", "words");
    for (const [word, points] of words) add(list, "li", `${word} ${points.toFixed(0)}`, name);
  }
}
document.querySelector("#review").addEventListener("input", show);
for (const example of document.querySelectorAll(".example"))
  example.addEventListener("click", () => {
    document.querySelector("#review").value = example.textContent;
    show();
  });
