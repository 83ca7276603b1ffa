// Before the first paint: the theme that was chosen last, else the system's.
(function () {
  let theme = null;
  try { theme = localStorage.getItem("gradlab-theme"); } catch (error) { /* storage may be closed */ }
  if (theme !== "light" && theme !== "dark")
    theme = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  window.gradlabTheme = theme;   // the framework starts with one of its own
  document.documentElement.setAttribute("data-mantine-color-scheme", theme);
})();
