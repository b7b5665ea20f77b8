// The waiting room's comfort. The server makes every face of the page; this moves the numbers
// between two of them, by a document that is the same for everybody, and asks for the next face
// when there is one. Whatever fails, the place is kept: it is in a cookie that no script sees.
"use strict";
(() => {
  const REQUEST_MS = 10000, POLL_MIN_S = 2, BACKOFF_MAX_S = 60, SAY_EVERY_MS = 60000;
  const PAGES_A_SECOND = 5000, SPREAD_MAX_S = 30, OVER = ["ended", "closed"];
  const element = (id) => document.getElementById(id);
  const within = (low, high) => low + Math.random() * (high - low);
  const grouped = (n) => n.toLocaleString("en");
  let page, offsetMs = 0, failures = 0, timer = 0, saidAt = 0, moving = null, sending = false, due = false;

  // ---- words: the same as web/words.py says
  function peopleAhead(n) {
    if (n === 0) return "You are next.";
    return n === 1 ? "1 person is ahead of you." : grouped(n) + " people are ahead of you.";
  }
  function waitRange(low, high) {
    const [unit, s] = low >= 7200 ? ["hour", 3600] : ["minute", 60];
    let from = Math.floor(low / s), to = Math.ceil(high / s);
    if (to === Infinity)
      return "at least " + Math.max(from, 1) + " " + unit + (from > 1 ? "s" : "") + ", as the line hardly moves";
    if (high < 60) return "less than a minute";
    if (to > 30) [from, to] = [Math.floor(from / 5) * 5, Math.ceil(to / 5) * 5];
    if (from === 0) return "up to " + to + " " + unit + (to === 1 ? "" : "s");
    return from + " to " + Math.max(to, from + 1) + " " + unit + "s";
  }
  function span(s) {
    const two = (n) => String(n).padStart(2, "0");
    const days = Math.floor(s / 86400), hours = Math.floor((s % 86400) / 3600);
    const clock = two(Math.floor((s % 3600) / 60)) + ":" + two(s % 60);
    const rest = days || hours ? two(hours) + ":" + clock : clock;
    return days ? days + (days === 1 ? " day " : " days ") + rest : rest;
  }
  function set(id, text) {
    const found = element(id);
    if (found && found.textContent !== text) found.textContent = text;
  }
  function say(text) { saidAt = Date.now(); set("say", text); }

  // ---- the page as it stands
  function adopt() {
    const data = element("queue").dataset;
    page = {
      stage: data.stage, state: data.state, address: data.page, document: data.document,
      pollS: Number(data.poll), waitS: null, retryS: Number(data.retry || 2),
      place: data.place === undefined ? null : Number(data.place),
    };
    for (const time of document.querySelectorAll("time")) {
      const moment = new Date(time.dateTime);
      if (!isNaN(moment)) time.textContent = moment.toLocaleString(undefined, {
        weekday: "long", day: "numeric", month: "long", year: "numeric", hour: "2-digit", minute: "2-digit",
      });
    }
    due = false;
    tick();
    prove();
    moveOn();
  }
  function tick() {
    const shown = element("countdown");
    if (!shown) return;
    const left = Math.ceil((Date.parse(shown.dataset.until) - Date.now() - offsetMs) / 1000);
    shown.hidden = left < 0;
    if (left === 0 && !due) { due = true; plan(within(0.5, 3)); }
    set("countdown", (page.stage === "inside" ? "Time left: " : "In ") + span(Math.max(left, 0)));
  }

  // ---- asking
  async function ask(address, read, options) {
    const control = new AbortController();
    const limit = setTimeout(() => control.abort(), REQUEST_MS);
    try {
      const answer = await fetch(address, { signal: control.signal, ...options });
      if (!answer.ok) throw new Error(String(answer.status));
      return await read(answer);
    } finally { clearTimeout(limit); }
  }
  async function nextFace() {
    const text = await ask(page.address, (answer) => answer.text(), { cache: "no-store" });
    const made = new DOMParser().parseFromString(text, "text/html");
    const next = made.getElementById("queue"), old = element("queue");
    if (!next) throw new Error("another page");
    const changed = next.dataset.stage !== page.stage || next.dataset.state !== page.state;
    if (!changed && ["admitted", "inside"].includes(page.stage)) return;
    const hadFocus = old.contains(document.activeElement);
    old.replaceWith(next);
    document.querySelector("footer").replaceWith(made.querySelector("footer"));
    document.title = made.title;
    adopt();
    if (hadFocus) element("heading").focus();
    if (changed) say(element("heading").textContent);
  }
  async function look() {
    const now = await ask(page.document, (answer) => answer.json());
    offsetMs = Date.parse(now.server_time) - Date.now();
    const turned = page.place !== null && page.place < now.serving;
    if (now.state !== page.state || (turned && page.stage === "waiting") || (now.drawn && page.place === null)) {
      // Everybody sees the same moment: they must not all ask for their next face in it.
      const spreadS = turned ? 1 : Math.min(SPREAD_MAX_S, 0.5 + now.next / PAGES_A_SECOND);
      await new Promise((done) => setTimeout(done, within(0, 1000 * spreadS)));
      return nextFace();
    }
    if (page.place !== null && element("ahead")) move(now);
  }
  function move(now) {
    let ahead = page.place - now.serving;
    for (const [from, to] of now.skipped || [])  // places that nobody has
      ahead -= Math.max(0, Math.min(to, page.place) - Math.max(from, now.serving));
    ahead = Math.max(ahead, 0);
    set("ahead", peopleAhead(ahead));
    element("bar").value = now.serving;
    if (now.pace && now.pace.fast > 0) {
      page.waitS = ahead / now.pace.fast;
      set("wait", waitRange(Math.floor(page.waitS), now.pace.slow > 0 ? Math.ceil(ahead / now.pace.slow) : Infinity));
    }
    document.title = "(" + grouped(ahead) + " ahead) " + document.querySelector("h1").textContent;
    if (Date.now() - saidAt > SAY_EVERY_MS) say(peopleAhead(ahead));
  }
  async function round() {
    // Every second failure in a row asks for the whole page instead, as without this script.
    const whole = failures % 2 === 1 || page.stage === "admitted" || page.stage === "inside";
    try {
      await (whole ? nextFace() : look());
      failures = 0;
      set("trouble", "");
    } catch {
      failures += 1;
      if (failures > 1) set("trouble", "Reconnecting … Your place is kept.");
    }
    plan();
  }
  function plan(soonS) {
    clearTimeout(timer);
    if (OVER.includes(page.stage) || element("proof")) return;
    const asked = page.waitS === null ? page.pollS : Math.min(page.pollS, Math.max(POLL_MIN_S, page.waitS / 10));
    const s = failures ? Math.min(BACKOFF_MAX_S, POLL_MIN_S * 2 ** failures) : asked;
    timer = setTimeout(round, 1000 * (soonS === undefined ? s * within(0.75, 1.25) : soonS));
  }

  // ---- through the door
  function go(form) { form.requestSubmit ? form.requestSubmit() : form.submit(); }
  function moveOn() {
    clearTimeout(moving);
    // Only in front of somebody: the pass has a deadline, and it begins with this.
    if (page.stage !== "admitted" || document.visibilityState !== "visible") return;
    document.title = "Your turn! " + document.querySelector("h1").textContent;
    moving = setTimeout(() => { if (!sending) go(element("onward")); }, page.retryS * 1000);
  }
  async function prove() {
    const form = element("proof");
    if (!form) return;
    const bar = form.querySelector("progress");
    element("solving").hidden = false;
    element("unsolved").hidden = true;
    const { challenge, bits, solver } = form.dataset;
    // Luck alone says when it is done: the bar comes near its end and never stands at it.
    const tell = (tries) => { bar.value = 1 - Math.exp(-tries / 2 ** bits); };
    try {
      const { solveProof } = await import(solver);
      form.elements.proof.value = await solveProof(challenge, Number(bits), { onProgress: tell });
      go(form);
    } catch {
      set("trouble", "The puzzle could not be solved here. Load this page again, or use another browser.");
    }
  }

  document.addEventListener("submit", (event) => {
    if (sending) event.preventDefault();  // a second click
    else sending = true;
  });
  window.addEventListener("pageshow", (event) => {
    sending = false;
    if (event.persisted) plan(0);  // back from the shop: what was so then may not be now
  });
  window.addEventListener("online", () => plan(within(0, 1)));
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState !== "visible") return clearTimeout(moving);
    moveOn();
    plan(within(0, 1));
  });
  adopt();
  setInterval(tick, 1000);
  plan();
})();
