"use strict";
/* The page that checks a draw: reads the document, computes in small parts, says what is right. */
(function () {
  const { ALGORITHM, Digest, Draw, deriveKey, fromHex, sha256, toHex } = window.OnsaleDraw;
  const CHUNK = 10000;
  const BYTES_MAX = 65536;
  const TIMEOUT_MS = 15000;
  const find = (id) => document.getElementById(id);
  const hexOf = (text) => text.trim().toLowerCase();
  let told = null;
  let run = 0;

  function say(id, text) {
    find(id).textContent = text;
  }

  function guard(work) {
    return async (event) => {
      event.preventDefault();
      say("problem", "");
      try {
        await work();
      } catch (error) {
        say("problem", error.message);
      }
    };
  }

  async function fetchDraw() {
    const show = find("show").value.trim();
    if (!/^[A-Za-z0-9_]+$/.test(show)) throw new Error("A show’s id looks like shw_dev_0123456789abcdef.");
    let text;
    try {
      const signal = AbortSignal.timeout(TIMEOUT_MS);
      const answer = await fetch(`/v1/shows/${show}/queue/draw`, { signal });
      if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
      text = await answer.text();
    } catch (error) {
      throw new Error(`The draw can’t be fetched: ${error.message}.`);
    }
    open(text);
  }

  function open(text) {
    run += 1;
    told = null;
    find("draw").hidden = true;
    if (text.length > BYTES_MAX) throw new Error("This is too long to be a draw’s document.");
    let read;
    try {
      read = JSON.parse(text);
    } catch {
      throw new Error("This is no JSON document.");
    }
    if (read === null || typeof read !== "object" || !("commitment" in read)) {
      throw new Error("This is no draw’s document.");
    }
    if (read.algorithm !== ALGORITHM) throw new Error(`This page checks ${ALGORITHM} only, not ${read.algorithm}.`);
    if (!read.drawn) {
      throw new Error(`Nothing is drawn yet. Keep the commitment until then: ${read.commitment}`);
    }
    if (typeof read.show !== "string") throw new Error("The document names no show.");
    read.made = deriveKey(read.secret, read.show, read.count, read.beacon_value ?? "");
    read.drawing = new Draw(read.made, read.count);
    told = read;
    show();
  }

  function show() {
    say("of", `${told.show}: ${told.count.toLocaleString("en")} entries`);
    say("trust", trust());
    for (const id of ["place", "verdict"]) say(id, "");
    find("checks").replaceChildren();
    find("progress").hidden = true;
    find("entry").value = "";
    find("draw").hidden = false;
  }

  function trust() {
    const { beacon } = told;
    if (!beacon) {
      return (
        "There is no beacon: whoever ran this draw knew the secret before the close, and must be " +
        "trusted not to have padded the entries until the key suited them."
      );
    }
    const round = beacon.round ? `, round ${beacon.round}` : "";
    const where = beacon.url ? ` (${beacon.url})` : "";
    return (
      `The beacon is ${beacon.name}${round}${where}. Fetch its value yourself, from another of its ` +
      `servers too: here it was ${told.beacon_value}. Make sure that it was named before the entries ` +
      "were closed, and known only after."
    );
  }

  function placeOfOne() {
    const text = find("entry").value.trim();
    if (!/^[0-9]+$/.test(text)) throw new Error("An entry’s number has digits only.");
    const entry = Number(text);
    if (entry >= told.count) throw new Error(`There are ${told.count} entries, counted from 0.`);
    const place = told.drawing.place(entry);
    say("place", `Entry ${entry} has place ${place}: ${place.toLocaleString("en")} are before it.`);
  }

  function add(name, isRight, words) {
    const mark = document.createElement("strong");
    mark.textContent = `${isRight ? "Right" : "WRONG"}: ${name}. `;
    const item = document.createElement("li");
    item.className = isRight ? "right" : "wrong";
    item.append(mark, words);
    find("checks").append(item);
    return isRight;
  }

  function checkOrigin() {
    const { secret, commitment, beacon, beacon_value: value } = told;
    const made = toHex(sha256(fromHex(secret)));
    const results = [add("commitment", made === commitment, `The secret’s SHA-256 is ${made}.`)];
    const noted = hexOf(find("noted").value);
    if (noted) results.push(add("your commitment", noted === commitment, "Compared with what you noted."));
    const fetched = hexOf(find("fetched").value);
    if (fetched) results.push(add("your beacon value", fetched === (value ?? ""), "Compared with yours."));
    if (!beacon !== !value) {
      results.push(add("beacon", false, "One was named, or its value mixed in, but not both."));
    }
    const key = toHex(told.made);
    results.push(add("key", key === told.key, `Derived from all that, it is ${key}.`));
    return results.every(Boolean);
  }

  /* Takes part after part and lets the page live in between; ends when another draw is opened. */
  async function checkAll() {
    const mine = (run += 1);
    const button = find("all").querySelector("button");
    const { count, digest: published, drawing } = told;
    button.disabled = true;
    find("checks").replaceChildren();
    say("verdict", "Computing all places…");
    try {
      const isOrigin = checkOrigin();
      const digest = new Digest(drawing);
      const progress = find("progress");
      progress.max = Math.max(1, count);
      progress.value = 0;
      progress.hidden = false;
      let done = 0;
      while (done < count) {
        await new Promise((resolve) => setTimeout(resolve));
        if (mine !== run) return;
        done = digest.advance(CHUNK);
        progress.value = done;
      }
      progress.hidden = true;
      const made = digest.hex();
      const words = `The digest of all ${count.toLocaleString("en")} places is ${made}.`;
      const isRight = add("places", made === published, words) && isOrigin;
      say("verdict", isRight ? "All is right." : "Something is WRONG: see below.");
    } finally {
      button.disabled = false;
    }
  }

  find("load").addEventListener("submit", guard(fetchDraw));
  find("take").addEventListener("click", guard(async () => open(find("pasted").value)));
  find("one").addEventListener("submit", guard(async () => placeOfOne()));
  find("all").addEventListener("submit", guard(checkAll));
  const named =
    /^\/queue\/([A-Za-z0-9_]+)\/verify$/.exec(location.pathname)?.[1] ??
    new URLSearchParams(location.search).get("show");
  if (named) {
    find("show").value = named;
    find("load").requestSubmit();
  }
})();
