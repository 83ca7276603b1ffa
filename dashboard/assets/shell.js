// The shell's share of the work: which page this is, the run that travels between pages, theme, help and menus.
addEventListener("click", (event) => {
  const link = event.target.closest && event.target.closest("a.nav");
  if (!link) return;
  const query = new URLSearchParams(location.search);
  for (const name of link.parentElement.dataset.stays.split(" ")) query.delete(name);   // what is no part of a run
  link.search = query.size ? `?${query}` : "";
}, true);
// A menu closes when it is left: by a click elsewhere, or by Escape.
for (const end of ["click", "keydown"]) addEventListener(end, (event) => {
  const own = event.target.closest && event.target.closest("summary")?.parentElement;
  for (const menu of document.querySelectorAll(".menu[open], .theory [open], .term[open]"))
    if (event.key === "Escape" || (event.type === "click" && menu !== own)) menu.open = false;
});
window.dash_clientside = Object.assign({}, window.dash_clientside, {
  shell: {
    path: function () { return location.pathname; },
    theme: function (clicks) {
      if (!clicks) return window.gradlabTheme;
      const now = document.documentElement.getAttribute("data-mantine-color-scheme");
      const next = now === "dark" ? "light" : "dark";
      try { localStorage.setItem("gradlab-theme", next); } catch (error) { /* storage may be closed */ }
      return next;
    },
    open: function (clicks, opened) { return clicks ? !opened : window.dash_clientside.no_update; },
  },
});
