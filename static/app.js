// Live values by server-sent events, and one press per form. Every page is whole without this file.
"use strict";
(() => {
  const main = document.getElementById("main");
  const root = document.querySelector("[data-live]");
  const lost = document.querySelector("[data-lost]");
  const allowed = ["value", "max", "datetime"];
  let source = null, timer = 0, leaving = false;

  const close = () => { clearTimeout(timer); if (source) source.close(); source = null; };

  // What the reader is at is found again on the page that comes in its place, and how things stand now is read out to who
  // hears the page: a status that is there when a page is loaded is not, so this one is filled after.
  const named = (el) => [el.tagName, el.getAttribute("href"), el.name, el.textContent.trim()].join(" ");
  const renew = () => {
    const at = document.activeElement;
    sessionStorage.setItem("at", location.pathname + " " + (main.contains(at) ? named(at) : ""));
    location.reload();
  };
  const were = sessionStorage.getItem("at");
  sessionStorage.removeItem("at");
  if (were && were.startsWith(location.pathname + " ")) {
    const said = document.createElement("p");
    said.className = "vh";
    said.setAttribute("role", "status");
    main.append(said);
    setTimeout(() => { said.textContent = main.querySelector('[data-k="phase"]')?.textContent ?? ""; }, 300);
    const at = were.slice(location.pathname.length + 1);
    const same = [...main.querySelectorAll("a, button, input, select, textarea, summary")].find((el) => named(el) === at);
    if (at) (same || main).focus({ preventScroll: true });
  }

  // Only text and a few plain attributes are ever patched; a page of another shape is fetched whole.
  const patch = (event) => {
    const now = JSON.parse(event.data);
    if (lost) lost.hidden = true;
    if (now.shape !== root.dataset.shape) {
      close();
      leaving = true;
      setTimeout(renew, Math.max(0, 2000 - performance.now()));
      return;
    }
    for (const el of root.querySelectorAll("[data-k]")) {
      const text = now.text[el.dataset.k], attrs = now.attr[el.dataset.k] || {};
      if (text !== undefined && el.textContent !== text) el.textContent = text;
      for (const name of allowed) {
        if (name in attrs && el.getAttribute(name) !== attrs[name]) el.setAttribute(name, attrs[name]);
      }
    }
  };

  const open = () => {
    close();
    if (leaving || document.hidden) return;
    source = new EventSource(root.dataset.live);
    source.onmessage = patch;
    source.onerror = () => {
      if (lost) lost.hidden = false;
      if (source && source.readyState === EventSource.CLOSED) timer = setTimeout(open, 15000);
    };
  };

  if (root && window.EventSource) {
    document.addEventListener("visibilitychange", () => document.hidden ? close() : open());
    addEventListener("pagehide", close);
    addEventListener("pageshow", (event) => { if (event.persisted) open(); });
    open();
  }

  // A second press of the same form does nothing while the first is on its way; one that was broken off is let go of.
  const PATIENCE = 8000;
  const release = (form) => {
    delete form.dataset.sent;
    for (const button of form.querySelectorAll("button")) button.removeAttribute("aria-disabled");
    for (const said of form.querySelectorAll("[data-sending]")) said.remove();
  };
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.method !== "post") return;
    if (form.dataset.sent) { event.preventDefault(); return; }
    form.dataset.sent = "1";
    for (const button of form.querySelectorAll("button")) button.setAttribute("aria-disabled", "true");
    setTimeout(() => {
      if (!form.dataset.sent) return;
      const said = document.createElement("span");
      said.dataset.sending = "";
      said.setAttribute("role", "status");
      said.textContent = " Sending \u2026";
      form.append(said);
    }, 1000);
    setTimeout(release, PATIENCE, form);
  });
  addEventListener("pageshow", () => {
    for (const form of document.querySelectorAll("form[data-sent]")) release(form);
  });
})();
