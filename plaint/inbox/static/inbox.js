// Keeps the board up to date. Everything that comes from a post is set as text, never as markup.
"use strict";

const board = document.querySelector("main[data-live]");
const state = document.getElementById("state");
const empty = document.getElementById("card").content.firstElementChild;

async function load(address) {
  const answer = await fetch(address, { cache: "no-store" });
  if (!answer.ok) throw new Error(`status ${answer.status}`);
  return answer.json();
}

function render(card) {
  const item = empty.cloneNode(true);
  for (const name of ["key", "version", "priority", "withdrawn"]) item.dataset[name] = card[name];
  for (const element of item.querySelectorAll("[data-field]")) {
    element.textContent = card[element.dataset.field];
    element.hidden = element.textContent === "";
  }
  for (const element of item.querySelectorAll("[data-href]")) {
    const address = card[element.dataset.href];
    element.hidden = !/^(https?:\/)?\//.test(address);
    if (element.hidden) element.removeAttribute("href");
    else element.href = address;
  }
  return item;
}

// What hasn't changed stays the same element, so that neither focus nor selection is lost.
function update(section, cards, after) {
  const list = section.querySelector(".cards");
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

async function poll() {
  const stats = await load("/api/stats");
  const sections = [...document.querySelectorAll("[data-queue]")];
  const isBoard = !board.classList.contains("single");
  if (isBoard && Object.keys(stats.queues).length !== sections.length) return location.reload();
  for (const section of sections) {
    const queue = section.dataset.queue;
    const seen = String(stats.queues[queue].requests);
    if (section.dataset.seen === seen) continue;
    const page = await load(`/api/cards?queue=${queue}&limit=${board.dataset.live}`);
    update(section, page.cards, page.after);
    section.dataset.seen = seen;
  }
  count(stats);
}

async function keepUp() {
  for (;;) {
    try {
      if (!document.hidden) await poll();
      if (state.textContent !== "live") state.textContent = "live";
    } catch {
      state.textContent = "The inbox does not answer; trying again.";
    }
    await new Promise((done) => setTimeout(done, 1000));
  }
}

keepUp();
