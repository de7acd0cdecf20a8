// The page of `sightline serve`: an image in, the model's answer drawn over it.

const at = (id) => document.getElementById(id);
const canvas = at("canvas");
const CLASSES_SHOWN = 8;
const UNKNOWN = 255; // of semantic maps
// Dark to bright, even in lightness (inferno of van der Walt and Smith 2015, five of its colours).
const HEAT = [[0, 0, 4], [87, 16, 110], [188, 55, 84], [249, 142, 9], [252, 255, 164]];

let model = null;
let shown = null; // {file, image, answer, map, made, heat, chosen}
let turn = 0; // only the newest image is drawn

const percent = (share) =>
  share > 0 && share < 0.0005 ? "< 0.1 %" : `${(100 * share).toFixed(share > 0 && share < 0.0995 ? 1 : 0)} %`;
const css = (colour, opacity = 1) => `rgb(${colour.join(" ")} / ${opacity})`;

function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

// ---- asking

const TOKEN = "sightline-token"; // kept until the tab is closed

async function fetched(path, options = {}) {
  const token = sessionStorage.getItem(TOKEN);
  const response = await fetch(path, token ? { ...options, headers: { Authorization: `Bearer ${token}` } } : options);
  if (response.status !== 401) return response;
  sessionStorage.removeItem(TOKEN);
  at("login").hidden = false;
  at("token").focus();
  throw new Error(token ? "This token is not the server's." : "This server asks for a token.");
}

async function ask(path, file) {
  const form = new FormData();
  form.append("image", file, file.name || "pasted.png");
  const response = await fetched(path, { method: "POST", body: form });
  const answer = await response.json().catch(() => ({ error: `the server answered with status ${response.status}` }));
  if (!response.ok) throw new Error(answer.error);
  return answer;
}

async function describe() {
  model = await (await fetched("model")).json();
  const kind = model.task.replaceAll("_", " ");
  const version = model.version ? [element("span", { textContent: `version ${model.version}` })] : [];
  at("model").replaceChildren(
    element("strong", { textContent: model.model }), ...version, element("span", { textContent: kind }));
  document.title = `${model.model} · Sightline`;
  if (model.styles.length) at("opacity").value = 100; // the picture, not a mix with the photograph
  at("styles-control").replaceChildren(...model.styles.map(slider));
}

// ---- styles: a slider each, whose weights make a mix

function slider(name, number) {
  const value = number ? 0 : 100, id = `style-${number}`;
  const told = element("output", { textContent: `${value} %` });
  told.htmlFor.add(id);
  const input = element("input", { type: "range", id, min: 0, max: 100, step: 5, value, className: "style" });
  input.dataset.style = name;
  input.addEventListener("input", () => { told.textContent = `${input.value} %`; });
  input.addEventListener("change", () => shown && open(shown.file));
  return element("label", {}, `${name.replaceAll("_", " ")} `, told, input);
}

function mix() {
  const sliders = [...document.querySelectorAll("input.style")];
  const some = sliders.filter(({ value }) => Number(value) > 0);
  return (some.length ? some : sliders).map(({ dataset, value }) => `${dataset.style}:${Number(value) || 1}`).join(",");
}

const askedStyles = () => (model?.styles.length ? `&styles=${encodeURIComponent(mix())}` : "");

async function open(file) {
  const mine = ++turn;
  at("error").hidden = true;
  at("busy").hidden = false;
  try {
    const began = performance.now();
    const [image, answer] = await Promise.all([readImage(file), ask(`predict?pictures=true${askedStyles()}`, file)]);
    const seconds = (performance.now() - began) / 1000;
    if (answer.version !== model.version) await describe(); // a new champion
    const told = answer.predictions[0];
    const [map, made, heat] = await Promise.all([
      told.semantic_png && readMap(told.semantic_png), pictureOf(told), told.heat_png && readHeat(told.heat_png)]);
    if (mine !== turn) return;
    shown = { file, image, answer: told, map, made, heat: heat ?? null, chosen: null };
    at("heat").checked = Boolean(heat);
    show(seconds);
  } catch (error) {
    if (mine === turn) fail(error);
  } finally {
    if (mine === turn) at("busy").hidden = true;
  }
  snippet();
}

function fail(error) {
  const lost = error instanceof TypeError; // what fetch throws without a connection
  at("error").textContent = lost ? "The server does not answer; is it still running?" : error.message;
  at("error").hidden = false;
}

// ---- pictures

// Formats that browsers do not show, such as TIFF, give null: the answer is drawn on plain grey then.
const readImage = (file) => createImageBitmap(file).catch(() => null);

async function pictureOf(told) {
  const png = told.image_png ?? Object.values(told.pictures_png ?? {})[0];
  return png && readPng(png);
}

async function readPng(base64) {
  const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  return createImageBitmap(new Blob([bytes], { type: "image/png" }), { colorSpaceConversion: "none" });
}

// Returns a canvas whose pixels are `colour(value)`, RGBA, of a grey picture's values.
function painted(width, height, valueAt, colour) {
  const made = element("canvas", { width, height });
  const pixels = new ImageData(width, height);
  for (let place = 0; place < width * height; place++) pixels.data.set(colour(valueAt(place)), 4 * place);
  made.getContext("2d").putImageData(pixels, 0, 0);
  return made;
}

async function readGrey(base64) {
  const image = await readPng(base64);
  const context = element("canvas", { width: image.width, height: image.height }).getContext("2d");
  context.drawImage(image, 0, 0);
  const data = context.getImageData(0, 0, image.width, image.height).data;
  return { width: image.width, height: image.height, valueAt: (place) => data[4 * place] };
}

async function readMap(base64) {
  const grey = await readGrey(base64);
  const clear = [0, 0, 0, 0], colours = model.semantic.map(({ colour }) => (colour ? [...colour, 255] : clear));
  return painted(grey.width, grey.height, grey.valueAt, (value) => (value === UNKNOWN ? clear : colours[value]));
}

async function readHeat(base64) {
  const grey = await readGrey(base64);
  const table = Array.from({ length: 256 }, (_, value) => {
    const place = (value / 255) * (HEAT.length - 1), low = Math.min(Math.floor(place), HEAT.length - 2);
    return [...HEAT[low].map((one, axis) => one + (HEAT[low + 1][axis] - one) * (place - low)), 255];
  });
  return painted(grey.width, grey.height, grey.valueAt, (value) => table[value]);
}

// COCO's compressed run lengths (`rleFrString` in maskApi.c): runs go down the columns and begin with background.
function maskOf(encoded, colour) {
  const [height, width] = encoded.size, runs = [], text = encoded.counts;
  for (let place = 0; place < text.length;) {
    let value = 0, shift = 0, more = true;
    while (more) {
      const group = text.charCodeAt(place++) - 48;
      value |= (group & 31) << shift;
      shift += 5;
      more = (group & 32) !== 0;
      if (!more && group & 16) value |= -1 << shift;
    }
    runs.push(runs.length > 2 ? value + runs[runs.length - 2] : value);
  }
  const inside = new Uint8Array(width * height);
  let place = 0;
  runs.forEach((run, number) => inside.fill(number % 2, place, (place += run)));
  const clear = [0, 0, 0, 0], full = [...colour, 255];
  return painted(width, height, (at) => inside[(at % width) * height + Math.floor(at / width)], (one) => (one ? full : clear));
}

// ---- drawing

const colourOf = (object) => model.classes[object.label_id]?.colour ?? [255, 255, 255];
const sureEnough = (object) => (object.confidence ?? 1) >= at("least").value / 100;

function draw() {
  if (!shown) return;
  const { width, height } = shown.answer, ratio = window.devicePixelRatio || 1;
  const room = at("drop").clientWidth, most = Math.max(280, Math.min(window.innerHeight * 0.7, 720));
  const scale = Math.min(room / width, most / height, Math.max(4, 420 / Math.max(width, height)));
  canvas.style.width = `${width * scale}px`;
  canvas.style.height = `${height * scale}px`;
  canvas.width = Math.round(width * scale * ratio);
  canvas.height = Math.round(height * scale * ratio);
  const context = canvas.getContext("2d"), opacity = at("opacity").value / 100;
  const over = (picture, alpha, smooth) => {
    context.globalAlpha = alpha;
    context.imageSmoothingEnabled = smooth;
    context.drawImage(picture, 0, 0, canvas.width, canvas.height);
    context.globalAlpha = 1;
  };
  context.fillStyle = "#808080";
  context.fillRect(0, 0, canvas.width, canvas.height);
  if (shown.image) over(shown.image, 1, scale < 3);
  if (shown.made) over(shown.made, opacity, scale < 3);
  const hot = shown.heat && at("heat").checked;
  if (shown.map && !hot) over(shown.map, opacity, false);
  if (hot) over(shown.heat, opacity, true);
  const objects = shown.answer.objects ?? [];
  const order = objects.map((object, number) => [object, number]).filter(([object]) => sureEnough(object)).reverse();
  if (shown.answer.crop?.box) drawCrop(context, shown.answer.crop, scale * ratio, ratio);
  for (const [object, number] of order) drawObject(context, object, number, scale * ratio, ratio, over);
  for (const character of shown.answer.characters ?? []) drawCharacter(context, character, scale * ratio, ratio);
}

// A tick below the columns that said a character, with the character on it.
function drawCharacter(context, { character, left, right }, scale, ratio) {
  const size = 14 * ratio, middle = (left + right) / 2 * scale;
  context.font = `600 ${size}px system-ui, sans-serif`;
  const width = Math.max(context.measureText(character).width + 6 * ratio, (right - left) * scale);
  context.fillStyle = "#000c";
  context.fillRect(middle - width / 2, canvas.height - size - 4 * ratio, width, size + 4 * ratio);
  context.fillStyle = "#fff";
  context.textAlign = "center";
  context.textBaseline = "bottom";
  context.fillText(character, middle, canvas.height - ratio);
  context.textAlign = "start";
}

function drawCrop(context, crop, scale, ratio) { // what the model looked at
  const [left, top, right, bottom] = crop.region.map((edge) => edge * scale);
  for (const [stroke, line, dashes] of [["#0009", 4, []], ["#fff", 2, [6 * ratio, 4 * ratio]]]) {
    context.strokeStyle = stroke;
    context.lineWidth = line * ratio;
    context.setLineDash(dashes);
    context.strokeRect(left, top, right - left, bottom - top);
  }
  context.setLineDash([]);
}

function drawObject(context, object, number, scale, ratio, over) {
  const colour = colourOf(object), faded = shown.chosen !== null && shown.chosen !== number;
  context.globalAlpha = faded ? 0.25 : 1;
  if (object.mask) {
    object.painted ??= maskOf(object.mask, colour);
    over(object.painted, faded ? 0.12 : 0.5, true);
    context.globalAlpha = faded ? 0.25 : 1;
  }
  if (object.box) {
    const [left, top] = object.box.map((edge) => edge * scale);
    const upright = [[0, 1], [2, 1], [2, 3], [0, 3]].map(([x, y]) => [object.box[x], object.box[y]]);
    for (const [stroke, line] of [["#0009", 4], [css(colour), 2.25]]) { // a dark rim, to be seen on any picture
      context.strokeStyle = stroke;
      context.lineWidth = line * ratio;
      context.beginPath();
      (object.corners ?? upright).forEach(([x, y]) => context.lineTo(x * scale, y * scale));
      context.closePath();
      context.stroke();
    }
    if (at("names").checked) drawName(context, object, left, top, ratio, colour);
  }
  Object.values(object.keypoints ?? {}).forEach(([x, y], place) => {
    context.beginPath();
    context.arc(x * scale, y * scale, 4.5 * ratio, 0, 2 * Math.PI);
    context.fillStyle = css(model.keypoints[place].colour);
    context.fill();
    context.lineWidth = 1.5 * ratio;
    context.strokeStyle = "#000c";
    context.stroke();
  });
  context.globalAlpha = 1;
}

function drawName(context, object, left, top, ratio, colour) {
  const text = object.confidence === undefined ? object.label : `${object.label} ${percent(object.confidence)}`;
  const height = 18 * ratio;
  context.font = `600 ${12 * ratio}px system-ui, sans-serif`;
  const width = context.measureText(text).width + 10 * ratio;
  const x = Math.max(0, Math.min(left - ratio, canvas.width - width)), y = top >= height ? top - height : Math.max(0, top);
  context.fillStyle = css(colour);
  context.fillRect(x, y, width, height);
  const [red, green, blue] = colour;
  context.fillStyle = 0.299 * red + 0.587 * green + 0.114 * blue > 140 ? "#000" : "#fff";
  context.textBaseline = "middle";
  context.fillText(text, x + 5 * ratio, y + height / 2);
}

// ---- results

function row(name, number, share, { colour, kind = "" } = {}) {
  const swatch = colour ? [element("span", { className: "swatch" })] : [];
  if (colour) swatch[0].style.background = css(colour);
  const made = element("li", { className: `row ${kind}` },
    element("span", { className: "name" }, ...swatch, name), element("span", { className: "number", textContent: number }));
  if (share !== null) {
    const inner = element("i");
    if (colour) inner.style.background = css(colour);
    requestAnimationFrame(() => { inner.style.width = `${100 * share}%`; });
    made.append(element("div", { className: "bar", ariaHidden: "true" }, inner));
  }
  return made;
}

const list = (rows, kind = "") => element("ul", { className: `rows ${kind}` }, ...rows);

function tell(answer) {
  if (answer.refused) return { head: "No answer", lead: answer.refused, body: "" };
  if (answer.text !== undefined) return tellText(answer);
  if (answer.is_anomaly !== undefined) {
    return { head: answer.is_anomaly ? "Defective" : "Good", lead: `score ${answer.score.toFixed(2)}; above 1 is defective`, body: "" };
  }
  if (answer.objects) return tellObjects(answer.objects);
  if (answer.pixels) return tellPixels(answer.pixels);
  if (answer.probabilities) return tellClasses(answer);
  if (answer.values) {
    const rows = Object.entries(answer.values).map(([name, value]) => row(name, value.toPrecision(5), null));
    return { head: "Values", lead: "predicted for this image", body: list(rows) };
  }
  if (answer.pictures) {
    return { head: answer.pictures[0].replaceAll("_", " "), lead: "drawn by the model; opacity shows it over the original", body: "" };
  }
  return { head: "The image again", lead: "encoded and decoded again; opacity shows it over the original", body: "" };
}

function tellClasses(answer) {
  const several = new Set(answer.labels ?? []);
  const sorted = Object.entries(answer.probabilities).sort((one, other) => other[1] - one[1]);
  const count = Math.max(CLASSES_SHOWN, several.size);
  const rows = sorted.slice(0, count).map(([name, value]) =>
    row(name, percent(value), value, { kind: name === answer.label ? "first" : several.has(name) ? "told" : "" }));
  const rest = sorted.length - rows.length;
  const lead = answer.labels ? `${several.size} of ${sorted.length} classes` : `confidence ${percent(answer.confidence)}`;
  const more = rest > 0 ? ` · ${rest} less likely classes are not shown` : "";
  return { head: answer.label ?? ([...several].join(", ") || "None of the classes"), lead: lead + more, body: list(rows) };
}

function tellText(answer) {
  const rows = (answer.characters ?? []).map(({ character, left, right }, place) =>
    row(`${place + 1}: ${character}`, `${left.toFixed(0)} to ${right.toFixed(0)} px`, null));
  return { head: answer.text || "No text", lead: `confidence ${percent(answer.confidence)}`, body: list(rows) };
}

function tellObjects(objects) {
  const kept = objects.map((object, number) => [object, number]).filter(([object]) => sureEnough(object));
  const hidden = objects.length - kept.length;
  const lead = hidden ? `${hidden} less confident ${hidden === 1 ? "one is" : "ones are"} hidden` : "select one to highlight it";
  const posed = objects.length === 1 && objects[0].keypoints && !objects[0].box;
  if (posed) {
    const rows = Object.entries(objects[0].keypoints).map(([name, [, , sure]], place) =>
      row(name, percent(sure), sure, { colour: model.keypoints[place].colour }));
    return { head: `${rows.length} points`, lead: "with the confidence of each", body: list(rows) };
  }
  const rows = kept.map(([object, number]) => {
    const { firstChild: name, lastChild: sure } = row(object.label ?? "object", object.confidence === undefined ? "" : percent(object.confidence), null, { colour: colourOf(object) });
    const button = element("button", { type: "button", ariaPressed: String(shown.chosen === number) }, name, sure);
    button.dataset.number = number;
    button.addEventListener("click", () => choose(shown.chosen === number ? null : number));
    return element("li", {}, button);
  });
  return { head: `${kept.length || "No"} ${kept.length === 1 ? "object" : "objects"}`, lead, body: list(rows, "objects") };
}

function tellPixels(pixels) {
  const total = Object.values(pixels).reduce((sum, count) => sum + count, 0) || 1;
  const rows = model.semantic.map(({ name, colour }) => [pixels[name] ?? 0, name, colour]).filter(([count]) => count)
    .sort((one, other) => other[0] - one[0]).map(([count, name, colour]) => row(name, percent(count / total), count / total, { colour }));
  return { head: `${rows.length} ${rows.length === 1 ? "class" : "classes"}`, lead: "share of the picture's pixels", body: list(rows) };
}

function choose(number) {
  shown.chosen = number;
  for (const button of document.querySelectorAll(".objects button")) {
    button.ariaPressed = String(number !== null && button.dataset.number === String(number));
  }
  draw();
}

let took = "";

function show(seconds) {
  if (seconds !== undefined) took = `Answered in ${seconds < 1 ? `${Math.round(1000 * seconds)} ms` : `${seconds.toFixed(1)} s`}`;
  const { answer, file, image, map, made } = shown, { head, lead, body } = tell(answer);
  at("result").replaceChildren(element("h2", { textContent: head }), element("p", { className: "lead", textContent: lead }),
    body, element("p", { className: "quiet took", textContent: took }));
  at("told").textContent = `${head}: ${lead}`;
  canvas.ariaLabel = `${file.name || "pasted image"} with the model's answer: ${head}, ${lead}`;
  const size = `${answer.width} × ${answer.height} pixels`;
  at("about").textContent = `${file.name || "pasted image"}, ${size}${image ? "" : "; your browser cannot show this format"}`;
  const scored = (answer.objects ?? []).some((object) => object.confidence !== undefined);
  const parts = {
    styles: model.styles.length > 0, opacity: map || made || at("heat").checked, least: scored, names: scored,
    heat: model.explains || Boolean(answer.heat_png) };
  for (const [name, there] of Object.entries(parts)) at(`${name}-control`).hidden = !there;
  at("controls").hidden = !Object.values(parts).some(Boolean);
  at("invitation").hidden = true;
  canvas.hidden = at("other").hidden = false;
  at("drop").classList.add("full");
  draw();
}

async function toggleHeat() {
  if (at("heat").checked && !shown.heat) {
    const mine = turn;
    at("busy").hidden = false;
    try {
      const answer = await ask("explain", shown.file);
      const heat = await readHeat(answer.heat_png);
      if (mine === turn) shown.heat = heat;
    } catch (error) {
      if (mine === turn) fail(error);
      at("heat").checked = false;
    }
    if (mine === turn) at("busy").hidden = true;
  }
  show();
}

// ---- the same request from a program

function snippet() {
  const python = at("tab-python").ariaSelected === "true";
  const name = shown?.file.name || "photo.jpg", address = new URL("predict", location.href).href;
  const quoted = `'${`image=@${name}`.replaceAll("'", `'\\''`)}'`;
  const asked = model?.classes.length > CLASSES_SHOWN && ["classification", "multilabel"].includes(model.task) ? "?top=5"
    : model?.styles.length ? `?pictures=true${askedStyles()}` : "";
  const guarded = sessionStorage.getItem(TOKEN) !== null; // the token itself is not shown
  const header = python ? ', headers={"Authorization": "Bearer TOKEN"}' : " -H 'Authorization: Bearer TOKEN'";
  const sent = guarded ? header : "";
  at("code").firstChild.textContent = python
    ? `import requests\n\nwith open(${JSON.stringify(name)}, "rb") as image:\n    answer = requests.post("${address}${asked}", files={"image": image}${sent})\nprint(answer.json()["predictions"][0])`
    : `curl${sent} -F ${quoted} '${address}${asked}'`;
}

function selectTab(tab) {
  for (const other of document.querySelectorAll("[role=tab]")) {
    other.ariaSelected = String(other === tab);
    other.tabIndex = other === tab ? 0 : -1;
  }
  at("code").setAttribute("aria-labelledby", tab.id);
  snippet();
}

// ---- events

for (const tab of document.querySelectorAll("[role=tab]")) {
  tab.addEventListener("click", () => selectTab(tab));
  tab.addEventListener("keydown", (event) => {
    if (!["ArrowLeft", "ArrowRight"].includes(event.key)) return;
    const other = at(tab.id === "tab-curl" ? "tab-python" : "tab-curl");
    selectTab(other);
    other.focus();
  });
}
at("copy").addEventListener("click", async () => {
  await navigator.clipboard.writeText(at("code").textContent);
  at("copy").textContent = "Copied";
  setTimeout(() => { at("copy").textContent = "Copy"; }, 1500);
});
at("file").addEventListener("change", () => at("file").files.length && open(at("file").files[0]));
at("other").addEventListener("click", () => { at("file").value = ""; at("file").click(); });
at("drop").addEventListener("click", (event) => { if (shown && event.target === canvas) event.preventDefault(); });
for (const kind of ["dragenter", "dragover"]) {
  document.addEventListener(kind, (event) => { event.preventDefault(); at("drop").classList.add("over"); });
}
document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) at("drop").classList.remove("over"); });
document.addEventListener("drop", (event) => {
  event.preventDefault();
  at("drop").classList.remove("over");
  const file = event.dataTransfer.files[0];
  if (file) open(file);
});
document.addEventListener("paste", (event) => {
  const file = [...event.clipboardData.files][0];
  if (file) open(file);
});
at("opacity").addEventListener("input", draw);
at("names").addEventListener("change", draw);
at("heat").addEventListener("change", toggleHeat);
at("least").addEventListener("input", () => {
  at("least-told").textContent = `${at("least").value} %`;
  shown.chosen = null;
  show();
});
new ResizeObserver(draw).observe(at("drop"));
at("login").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem(TOKEN, at("token").value.trim());
  at("token").value = "";
  at("login").hidden = true;
  at("error").hidden = true;
  describe().then(snippet).catch(fail);
});
describe().then(snippet).catch(fail);
