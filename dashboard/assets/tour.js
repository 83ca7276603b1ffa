// A tour of Explore in six steps, on the first visit; skipped for good. A link has a subject of its own and gets none.
(function () {
  const KEY = "gradlab-tour";
  const LOOK_MS = 300;   // between two looks at whether the first figure stands
  const STEPS = [
    ["#field-gain", "One gesture", "Drag the gain, the scale of the weights: at 1 the gradient fades, near 2 it holds, at 3 it burns."],
    ["#verdict", "The answer", "What happens to the gradient on its way back, as a factor per step."],
    ["#strip", "The net, unrolled", "A box for each step, the loss at the right. The colour tells what of the gradient is left there."],
    ["#figure-frame", "The curve", "The same in powers of ten; below it what one step does, and every unit for itself."],
    ["#card", "Why, and what would help", "The cause in numbers. A button tries a change and measures what came of it."],
    ["a.nav[href^='/learn']", "More", "Learn asks eleven questions and lets you guess. The question mark above explains every part of a page."],
  ];
  const linked = location.search !== "";
  let at = -1;
  let card = null;

  function seen() { try { return localStorage.getItem(KEY); } catch (error) { return "closed"; /* it would come each time */ } }

  function point(selector) {
    document.querySelector(".toured")?.classList.remove("toured");
    const target = selector && document.querySelector(selector);
    target?.classList.add("toured");
    target?.scrollIntoView({ block: "nearest" });
  }

  function end() {
    try { localStorage.setItem(KEY, "seen"); } catch (error) { /* storage may be closed */ }
    point(null);
    card.remove();
    card = null;
  }

  function step() {
    at += 1;
    if (at === STEPS.length) return end();
    const [selector, title, text] = STEPS[at];
    card.querySelector("h2").textContent = title;
    card.querySelector("p").textContent = text;
    card.querySelector("small").textContent = `${at + 1} of ${STEPS.length}`;
    card.querySelector(".tour-next").textContent = at + 1 === STEPS.length ? "Done" : "Next";
    point(selector);
  }

  function start() {
    card = document.createElement("section");
    card.className = "tour";
    card.setAttribute("aria-label", "Tour");
    card.setAttribute("aria-live", "polite");
    for (const name of ["h2", "p", "small"]) card.append(document.createElement(name));
    for (const [name, text, act] of [["tour-skip", "Skip", end], ["tour-next", "Next", step]]) {
      const button = card.appendChild(document.createElement("button"));
      button.className = name;
      button.textContent = text;
      button.addEventListener("click", act);
    }
    document.querySelector("header").after(card);   // which the keyboard reaches after the navigation
    step();
  }

  addEventListener("keydown", (event) => { if (card && event.key === "Escape") end(); });
  const look = setInterval(() => {
    if (linked || location.pathname !== "/" || seen()) return clearInterval(look);
    if (!document.querySelector("#figure .js-plotly-plot .xtick")) return;
    clearInterval(look);
    start();
  }, LOOK_MS);
})();
