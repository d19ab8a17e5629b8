// Runs once. Gradio gives element, props, trigger, upload and watch.
const find = (selector) => element.querySelector(selector);
const audio = find("audio");
const state = { run: 0, name: "", duration_s: 0, playUntil: Infinity, recorder: null };

find(".model").textContent = props.model_name;

const clock = (seconds) => {
  const whole = Math.floor(seconds);
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  const rest = String(whole % 60).padStart(2, "0");
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${rest}` : `${minutes}:${rest}`;
};
const say = (text) => { find(".status").textContent = text; };

function fail(message) {
  const place = find(".error");
  place.textContent = message;
  place.hidden = !message;
  if (message) rest("");
}

function rest(status) {
  const stop = find(".stop");
  if (document.activeElement === stop) find(".name").focus();
  stop.hidden = find("progress").hidden = true;
  say(status);
}

// Asking

async function translate(file) {
  const run = begin(file.name);
  if (file.size > props.most_mb * 1e6) {
    return fail(`${file.name} is larger than the ${props.most_mb} MB that this server takes.`);
  }
  let path;
  try {
    ({ path } = await upload(file));
  } catch (error) {
    if (run === state.run) fail(`${file.name} could not be uploaded: ${error.message ?? error}`);
  }
  if (!path || run !== state.run) return;
  say("Reading …");
  props.value = { path, name: file.name, run };
  trigger("submit");
}

function abandon() {
  state.run += 1; // what still comes of the old one is not shown
  trigger("stop");
}

function begin(name) {
  if (!find(".stop").hidden) abandon();
  audio.pause();
  fail("");
  Object.assign(state, { name, playUntil: Infinity });
  find(".name").textContent = name;
  find(".result").hidden = find(".stop").hidden = find("progress").hidden = false;
  find("progress").value = 0;
  say("Uploading …");
  for (const part of [".sound", ".downloads"]) find(part).hidden = true;
  for (const part of [".segments", ".regions"]) find(part).replaceChildren();
  state.run += 1;
  return state.run;
}

find("#hst-file").addEventListener("change", ({ target }) => {
  if (target.files.length) translate(target.files[0]);
  target.value = "";
});

const ask = find(".ask");
element.addEventListener("dragover", (event) => {
  event.preventDefault();
  ask.classList.add("over");
});
element.addEventListener("dragleave", () => ask.classList.remove("over"));
element.addEventListener("drop", (event) => {
  event.preventDefault();
  ask.classList.remove("over");
  if (event.dataTransfer.files.length) translate(event.dataTransfer.files[0]);
});

find(".stop").addEventListener("click", () => {
  abandon();
  rest("Stopped.");
});

// Recording

const record = find(".record");
if (!navigator.mediaDevices) {
  record.disabled = true;
  find(".hint").hidden = false;
}
record.addEventListener("click", async () => {
  if (state.recorder) return state.recorder.stop();
  let stream;
  record.disabled = true; // a second click would open the microphone twice, and close it once
  try {
    stream = await navigator.mediaDevices.getUserMedia({ audio: true });
  } catch (error) {
    return fail(`The microphone cannot be used: ${error.message}`);
  } finally {
    record.disabled = false;
  }
  record.focus(); // what is disabled loses it
  fail("");
  const pieces = [];
  const recorder = (state.recorder = new MediaRecorder(stream));
  const started = Date.now();
  const show = () => {
    record.textContent = `Stop and translate (${clock((Date.now() - started) / 1000)})`;
  };
  const timer = setInterval(show, 500);
  show();
  record.classList.add("on");
  recorder.addEventListener("dataavailable", ({ data }) => pieces.push(data));
  recorder.addEventListener("stop", () => {
    clearInterval(timer);
    for (const track of stream.getTracks()) track.stop();
    state.recorder = null;
    record.textContent = "Record";
    record.classList.remove("on");
    const type = recorder.mimeType.split(";")[0];
    translate(new File(pieces, `recording.${type.split("/")[1]}`, { type }));
  });
  recorder.start();
});

// Showing

watch("value", () => {
  const value = props.value;
  if (value?.asked?.run !== state.run) return;
  if (value.sound && find(".sound").hidden) draw(value);
  const shown = find(".segments").children.length;
  for (const segment of value.segments.slice(shown)) add(segment, value.duration_s);
  if (value.error) return fail(value.error);
  if (value.texts) return finish(value);
  const done = value.segments.at(-1)?.end_s ?? 0;
  find("progress").value = done / value.duration_s;
  say(`Translating: ${clock(done)} of ${clock(value.duration_s)}`);
});

function draw({ sound, bars, duration_s }) {
  const middle = 50;
  const line = (height, place) => {
    const half = 0.46 * height + 0.5;
    return `M${place + 0.5} ${middle - half}V${middle + half}`;
  };
  const heights = bars.split(" ").map(Number);
  find("path").setAttribute("d", heights.map(line).join(""));
  find("svg").setAttribute("viewBox", `0 0 ${heights.length} 100`);
  find(".wave").style.minWidth = `${Math.round(duration_s * 8)}px`;
  find(".sound").hidden = false;
  audio.src = sound.url;
  state.duration_s = duration_s;
  follow();
}

function add(segment, duration_s) {
  const { start_s, end_s, text, confidence, unsure } = segment;
  const number = find(".segments").children.length;
  const region = document.createElement("div");
  region.style.left = `${(100 * start_s) / duration_s}%`;
  region.style.width = `${(100 * (end_s - start_s)) / duration_s}%`;
  const button = document.createElement("button");
  button.type = "button";
  const time = document.createElement("span");
  time.className = "time";
  time.textContent = clock(start_s);
  const words = document.createElement("span");
  words.className = "text";
  words.dir = "auto";
  words.textContent = text;
  button.append(time, words);
  if (unsure) {
    const mark = document.createElement("span");
    mark.className = "mark";
    mark.textContent = `unsure, ${Math.round(100 * confidence)} %`;
    button.append(mark);
  }
  for (const part of [region, button]) {
    part.classList.toggle("unsure", unsure);
    Object.assign(part.dataset, { number, start: start_s, end: end_s });
    part.addEventListener("click", () => toggle(part.dataset));
  }
  find(".regions").append(region);
  const item = document.createElement("li");
  item.append(button);
  find(".segments").append(item);
}

function finish({ texts, segments }) {
  const unsure = segments.filter((segment) => segment.unsure).length;
  const count = segments.length === 1 ? "1 segment" : `${segments.length} segments`;
  if (segments.length === 0) rest("No speech was found.");
  else rest(unsure ? `${count}, ${unsure} unsure` : count);
  for (const link of element.querySelectorAll("[data-format]")) {
    const form = link.dataset.format;
    URL.revokeObjectURL(link.href);
    link.href = URL.createObjectURL(new Blob([texts[form]], { type: "text/plain" }));
    link.download = `${state.name.replace(/\.[^.]*$/, "")}.${form}`;
  }
  find(".downloads").hidden = segments.length === 0;
}

// Playing

async function play() {
  try {
    await audio.play();
  } catch (error) {
    if (error.name !== "AbortError") throw error; // which tells that it was paused meanwhile
  }
}

function toggle({ start, end }) {
  const isPlaying = !audio.paused && state.playUntil === Number(end);
  if (isPlaying) return audio.pause();
  audio.currentTime = Number(start);
  state.playUntil = Number(end);
  play();
}

find(".play").addEventListener("click", () => {
  state.playUntil = Infinity;
  if (audio.paused) play();
  else audio.pause();
});

function follow() {
  const now = audio.currentTime;
  if (now >= state.playUntil) audio.pause();
  find(".clock").textContent = `${clock(now)} of ${clock(state.duration_s)}`;
  const playhead = find(".playhead");
  playhead.hidden = audio.paused && now === 0;
  playhead.style.left = `${(100 * now) / state.duration_s}%`;
  if (!audio.paused) keepInView(playhead.offsetLeft);
  for (const part of element.querySelectorAll("[data-number]")) {
    const isNow = part.dataset.start <= now && now < part.dataset.end;
    part.classList.toggle("now", isNow && !playhead.hidden);
  }
  if (!audio.paused) requestAnimationFrame(follow);
}

function keepInView(place) {
  const scroller = find(".scroller");
  const { scrollLeft, clientWidth } = scroller;
  if (place < scrollLeft || place > scrollLeft + clientWidth) scroller.scrollLeft = place - 20;
}

for (const event of ["play", "pause", "seeked"]) {
  audio.addEventListener(event, () => {
    find(".play").textContent = audio.paused ? "Play" : "Pause";
    follow();
  });
}
