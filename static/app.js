// Live values by server-sent events, and one press per form. Every page is whole without this file.
"use strict";
(() => {
  const root = document.querySelector("[data-live]");
  const lost = document.querySelector("[data-lost]");
  const allowed = ["value", "max", "datetime"];
  let source = null, timer = 0, leaving = false;

  const close = () => { clearTimeout(timer); if (source) source.close(); source = null; };

  // Only text and a few plain attributes are ever patched; a page of another shape is fetched whole.
  const patch = (event) => {
    const now = JSON.parse(event.data);
    if (lost) lost.hidden = true;
    if (now.shape !== root.dataset.shape) {
      close();
      leaving = true;
      setTimeout(() => location.reload(), Math.max(0, 2000 - performance.now()));
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

  // A second press of the same form does nothing until the page is shown again.
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.method !== "post") return;
    if (form.dataset.sent) { event.preventDefault(); return; }
    form.dataset.sent = "1";
    for (const button of form.querySelectorAll("button")) button.setAttribute("aria-disabled", "true");
  });
  addEventListener("pageshow", () => {
    for (const form of document.querySelectorAll("form[data-sent]")) {
      delete form.dataset.sent;
      for (const button of form.querySelectorAll("button")) button.removeAttribute("aria-disabled");
    }
  });
})();
