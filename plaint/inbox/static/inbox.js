// Keeps the pages up to date and sends the form. Everything that comes from a post is set as text, never as markup.
"use strict";

const BOARD_MS = 400;
const SOON_MS = 100;
const board = document.querySelector("main[data-live]");
const state = document.getElementById("state");
const news = document.getElementById("news");
const emptyCard = document.getElementById("empty_card")?.content.firstElementChild;
const pause = (ms) => new Promise((done) => setTimeout(done, ms));

async function load(address, options) {
  const answer = await fetch(address, { cache: "no-store", ...options });
  if (!answer.ok) {
    const said = await answer.json().catch(() => ({}));
    throw new Error(said.detail ?? `The inbox answers with status ${answer.status}.`);
  }
  return answer.json();
}

// Fills an element's fields; where nothing has changed nothing is touched, so that nothing is announced twice.
function fill(item, values) {
  for (const element of item.querySelectorAll("[data-field]")) {
    const value = values[element.dataset.field];
    if (value === undefined || element.dataset.shown === value) continue;
    element.dataset.shown = value;
    element.textContent = value;
    element.hidden = value === "";
  }
}

function render(card) {
  const item = emptyCard.cloneNode(true);
  for (const name of ["key", "version", "priority", "withdrawn"]) item.dataset[name] = card[name];
  fill(item, card);
  for (const element of item.querySelectorAll("[data-time]")) element.dateTime = card[element.dataset.time];
  for (const element of item.querySelectorAll("[data-href]")) {
    const address = card[element.dataset.href];
    element.hidden = !/^(https?:\/)?\//.test(address);
    if (element.hidden) element.removeAttribute("href");
    else element.href = address;
  }
  return item;
}

// What hasn't changed stays the same element, so that neither focus nor selection is lost.
function show(list, cards) {
  const shown = new Map([...list.children].map((item) => [item.dataset.key, item]));
  cards.forEach((card, index) => {
    let item = shown.get(card.key);
    if (item === undefined || item.dataset.version !== card.version) {
      const fresh = render(card);
      if (item === undefined) fresh.classList.add("new");
      else item.remove();
      item = fresh;
    }
    if (list.children[index] !== item) list.insertBefore(item, list.children[index] ?? null);
  });
  while (list.children.length > cards.length) list.lastElementChild.remove();
}

function update(section, cards, after) {
  show(section.querySelector(".cards"), cards);
  section.querySelector(".nothing").hidden = cards.length > 0;
  const older = section.querySelector(".older");
  older.hidden = after === null;
  if (after !== null) older.href = `/queues/${section.dataset.queue}?after=${after}`;
}

function count(stats) {
  for (const element of document.querySelectorAll("[data-count]")) {
    const [queue, name] = element.dataset.count.split(".");
    const value = String(stats.queues[queue][name]);
    if (element.textContent !== value) element.textContent = value;
  }
  const refused = Object.values(stats.refused).reduce((sum, value) => sum + value, 0);
  document.querySelector("[data-total=refused]").textContent = String(refused);
}

// Times since, for eyes; the time itself stays in the title and for machines.
function age(since) {
  const seconds = Math.max(0, (Date.now() - since) / 1000);
  if (seconds < 10) return "now";
  if (seconds < 120) return `${Math.floor(seconds)} s ago`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 172800) return `${Math.floor(seconds / 3600)} h ago`;
  return `${Math.floor(seconds / 86400)} d ago`;
}

function tellAges() {
  for (const element of document.querySelectorAll("time[data-time]")) {
    const since = Date.parse(element.dateTime);
    if (Number.isNaN(since)) continue;
    if (element.title === "") element.title = element.textContent;
    const told = age(since);
    if (element.textContent !== told) element.textContent = told;
  }
}

// Tells whoever listens how many tickets are new, seldom enough to be heard to the end.
const announced = new Map();
let quietUntil = 0;

function announce(stats) {
  if (Date.now() < quietUntil) return;
  const said = [];
  for (const [name, counts] of Object.entries(stats.queues)) {
    const fresh = counts.tickets - (announced.get(name) ?? counts.tickets);
    announced.set(name, counts.tickets);
    if (fresh > 0) said.push(`${fresh} new ${fresh === 1 ? "ticket" : "tickets"} in ${name}`);
  }
  if (said.length === 0) return;
  news.textContent = said.join(", ");
  quietUntil = Date.now() + 5000;
}

async function poll() {
  const stats = await load("/api/stats");
  const sections = [...document.querySelectorAll("[data-queue]")];
  const isBoard = !board.classList.contains("single");
  const queues = Object.keys(stats.queues);
  const isGone = sections.some((section) => !queues.includes(section.dataset.queue));
  if (isGone || (isBoard && queues.length !== sections.length)) return anew();
  for (const section of sections) {
    const queue = section.dataset.queue;
    // A request is counted as it comes, and may be taken later; an inbox that was started again counts from the beginning.
    const seen = `${stats.run} ${stats.queues[queue].requests} ${stats.queues[queue].taken}`;
    if (section.dataset.seen === seen) continue;
    const page = await load(`/api/cards?queue=${queue}&limit=${board.dataset.live}`);
    update(section, page.cards, page.after);
    section.dataset.seen = seen;
  }
  count(stats);
  announce(stats);
}

// Loads the page again; nothing goes on meanwhile, which might load it once more.
function anew() {
  location.reload();
  return new Promise(() => {});
}

async function keepUp() {
  for (;;) {
    try {
      if (!document.hidden) await poll();
      if (state.textContent !== "live") state.textContent = "live";
    } catch {
      state.textContent = "The inbox does not answer; trying again.";
    }
    tellAges();
    await pause(BOARD_MS);
  }
}

// Follows a typed post to its end; a newer one takes the place over.
async function follow(place, id) {
  place.dataset.post = id;
  place.dataset.state = "waiting";
  for (let tries = 0; place.dataset.post === id; tries += 1) {
    try {
      const outcome = await load(`/api/posts/${encodeURIComponent(id)}`);
      if (place.dataset.post !== id) return;
      place.dataset.state = outcome.state;
      fill(place, outcome);
      show(place.querySelector(".cards"), outcome.tickets);
      tellAges();
      if (outcome.state === "settled") return;
    } catch (error) {
      fill(place, { headline: error.message });
    }
    await pause(tries < 50 ? SOON_MS : 1000);
  }
}

async function send(form) {
  const trouble = document.getElementById("trouble");
  const place = document.querySelector("#outcome .outcome");
  const typed = form.elements.text;
  try {
    form.dataset.busy = "yes";
    const body = new URLSearchParams(new FormData(form));
    const taken = await load(form.action, { method: "POST", body, headers: { Accept: "application/json" } });
    trouble.hidden = true;
    typed.removeAttribute("aria-invalid");
    typed.select();
    document.getElementById("outcome").hidden = false;
    follow(place, taken.id);
  } catch (error) {
    trouble.textContent = error.message;
    trouble.hidden = false;
    typed.setAttribute("aria-invalid", "true");
    typed.focus();
  } finally {
    delete form.dataset.busy;
  }
}

function listen(form) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (form.dataset.busy === undefined) send(form);
  });
  form.elements.text.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    form.requestSubmit();
  });
}

// Tells a post's story, which has to be read from Kafka, once the rest of the page stands.
async function tell(section) {
  const loading = section.querySelector(".loading");
  try {
    const story = await load(section.dataset.story);
    fill(section, story);
    const emptyItem = document.getElementById("item").content.firstElementChild;
    for (const part of section.querySelectorAll("[data-part]")) {
      const items = story[part.dataset.part].map((values) => {
        const item = emptyItem.cloneNode(true);
        item.dataset.tone = values.tone;
        item.querySelector("time").dateTime = values.at;
        fill(item, values);
        return item;
      });
      part.querySelector("ol").replaceChildren(...items);
      part.hidden = items.length === 0;
    }
    section.querySelector(".told").hidden = false;
    section.querySelector(".link").hidden = true;
    loading.hidden = true;
  } catch (error) {
    loading.textContent = error.message;
  }
}

function tellStories() {
  for (const section of document.querySelectorAll("[data-story]")) tell(section);
}

// Follows the page's own typed post; its story, told while it was under way, is another one at the end.
async function followToTheEnd(place) {
  await follow(place, place.dataset.post);
  await pause(1000); // the inbox has a ticket before Kafka knows that it was delivered
  tellStories();
}

// A ticket that changes is loaded anew, unless somebody is at work on the page: then it is only said.
async function watch(ticket) {
  for (;;) {
    await pause(1000);
    if (document.hidden) continue;
    const card = await load(`/api/cards/${ticket.dataset.ticket}`).catch(() => null);
    if (card === null || card.version === ticket.dataset.version) continue;
    if (document.activeElement === document.body && String(getSelection()) === "") return anew();
    document.getElementById("changed").hidden = false;
  }
}

for (const element of document.querySelectorAll(".scripted")) element.hidden = false;
if (board !== null) {
  const form = document.getElementById("try");
  if (form !== null) listen(form);
  keepUp();
}
const waiting = document.querySelector("main > .outcome[data-state=waiting]");
if (waiting !== null) followToTheEnd(waiting);
tellStories();
const ticket = document.querySelector("main[data-ticket]");
if (ticket !== null) watch(ticket);
