// The colour theme: the system's, unless the switch says otherwise. Runs before the page is drawn, so that nothing
// flashes; a classic script, since modules wait for the document.
(() => {
  const KEY = "aegis-theme";
  const ORDER = ["auto", "light", "dark"];
  const SHOWN = { auto: "◐ Auto", light: "☀ Light", dark: "☾ Dark" };
  const root = document.documentElement;

  const stored = () => {
    try {
      const kept = localStorage.getItem(KEY);
      return ORDER.includes(kept) ? kept : "auto";
    } catch {
      return "auto"; // storage is forbidden: the system's theme, and the switch lasts as long as the page
    }
  };

  const apply = (theme) => {
    if (theme === "auto") delete root.dataset.theme;
    else root.dataset.theme = theme;
    window.dispatchEvent(new Event("themechange"));
  };

  let theme = stored();
  apply(theme);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => apply(theme));
  addEventListener("storage", (event) => {
    if (event.key === KEY) apply((theme = stored()));
  });
  addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("theme");
    const show = () => {
      button.textContent = SHOWN[theme];
      button.setAttribute("aria-label", `Colour theme: ${theme}. Change it`);
      button.title = button.getAttribute("aria-label");
    };
    show();
    button.addEventListener("click", () => {
      theme = ORDER[(ORDER.indexOf(theme) + 1) % ORDER.length];
      try {
        localStorage.setItem(KEY, theme);
      } catch {
        // as above
      }
      apply(theme);
      show();
    });
  });
})();
