// Filters the calls: words that are all in a call's method, address, summary or scope.
"use strict";
(() => {
  const form = document.getElementById("search");
  const input = document.getElementById("filter");
  const found = document.getElementById("found");
  const calls = [...document.querySelectorAll("article[data-found-by]")];
  const links = new Map(
    [...document.querySelectorAll("nav [data-of]")].map((item) => [item.dataset.of, item]),
  );

  function filter() {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const call of calls) {
      const fits = words.every((word) => call.dataset.foundBy.includes(word));
      call.hidden = !fits;
      links.get(call.id).hidden = !fits;
      count += fits ? 1 : 0;
    }
    for (const section of document.querySelectorAll("section.calls")) {
      section.hidden = !section.querySelector("article:not([hidden])");
    }
    for (const group of document.querySelectorAll("nav .group")) {
      group.hidden = !group.querySelector("[data-of]:not([hidden])");
    }
    found.textContent = words.length ? `${count} of ${calls.length}` : "";
  }

  form.hidden = false;
  input.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && document.activeElement !== input) {
      event.preventDefault();
      input.focus();
    } else if (event.key === "Escape" && document.activeElement === input) {
      input.value = "";
      filter();
    }
  });
})();
