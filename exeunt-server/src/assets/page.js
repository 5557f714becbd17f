// What a page does beyond being a page. Everything works without this file.
"use strict";
(() => {
  const page = document.documentElement;
  const user = document.body.dataset.user;
  const tabs = "BroadcastChannel" in window ? new BroadcastChannel("exeunt") : undefined;

  // Whether the session of this page lives. Asking does not keep it alive. If it is over, or nobody can tell, the page is
  // loaded again, and the server says what there is to say.
  let asking = false;
  async function check() {
    if (user === undefined || asking) return;
    asking = true;
    let lives = false;
    try {
      const answer = await fetch("/api/me", { headers: { "Session-Extend": "no" }, cache: "no-store" });
      lives = answer.ok && (await answer.json()).user === user;
    } catch {
      // The network is gone: so is what this page may show, if it was put away before.
      lives = !page.classList.contains("unsure");
    }
    asking = false;
    if (lives) page.classList.remove("unsure");
    else location.reload();
  }

  if (user !== undefined) {
    // Back: the browser may show this page as it was, without asking the server.
    window.addEventListener("pagehide", () => page.classList.add("unsure"));
    window.addEventListener("pageshow", (event) => {
      if (event.persisted) check();
      else page.classList.remove("unsure");
    });
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "visible") check();
    });
    tabs?.addEventListener("message", check);
  }
  if ("loggedOut" in document.body.dataset) tabs?.postMessage("logged out");

  for (const button of document.querySelectorAll("button.show")) {
    const field = document.getElementById(button.getAttribute("aria-controls"));
    button.hidden = false;
    button.addEventListener("click", () => {
      const show = field.type === "password";
      field.type = show ? "text" : "password";
      button.setAttribute("aria-pressed", String(show));
    });
    // What a browser remembers as typed text would be the password.
    field.form.addEventListener("submit", () => { field.type = "password"; });
  }

  // Times go on, and their exact form is that of the reader's own clock.
  const times = document.querySelectorAll("time[datetime]");
  if (times.length > 0) {
    const words = new Intl.RelativeTimeFormat(page.lang, { numeric: "always" });
    const exact = new Intl.DateTimeFormat(page.lang, { dateStyle: "long", timeStyle: "medium" });
    const tell = () => {
      for (const time of times) {
        const at = new Date(time.dateTime);
        const seconds = (at - Date.now()) / 1000;
        const whole = seconds > 0 ? Math.round : Math.trunc;
        const far = Math.abs(seconds);
        const [count, unit] = far < 60 ? [0, "minute"]
          : far < 3600 ? [whole(seconds / 60), "minute"]
          : far < 172800 ? [whole(seconds / 3600), "hour"]
          : [whole(seconds / 86400), "day"];
        if (count !== 0) time.textContent = words.format(count, unit);
        time.title = exact.format(at);
      }
    };
    tell();
    setInterval(tell, 60000);
  }
})();
