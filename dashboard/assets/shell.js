// The shell's share of the work: theme and help.
window.dash_clientside = Object.assign({}, window.dash_clientside, {
  shell: {
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
