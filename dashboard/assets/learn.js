// Learn in the browser: guess -> kept -> request -> drawn, links between chapters, what plays, presenting.
(function () {
  const PLAY_MS = 260;   // between two steps
  const noUpdate = () => window.dash_clientside.no_update;
  const setProps = (id, props) => window.dash_clientside.set_props(id, props);
  const drawing = window.gradlab.drawing;
  let timer = null;      // of what plays

  function go(address) {
    stop();
    history.pushState({}, "", address);
    setProps("learn-search", { data: location.search });
    scrollTo(0, 0);
    document.getElementById("learn-verdict").focus();
  }

  function stop() {
    clearInterval(timer);
    timer = null;
    for (const button of document.querySelectorAll(".play")) button.textContent = "Play";
  }

  function play(button) {
    const { plays, last, step } = button.dataset;
    const now = () => +drawing.latest().values[plays];
    const set = (value) => setProps({ type: "learn-control", name: plays }, { value });
    button.textContent = "Pause";
    if (now() >= +last) set(0);
    timer = setInterval(() => (now() >= +last ? stop() : set(Math.min(now() + +step, +last))), PLAY_MS);
  }

  addEventListener("click", (event) => {
    const near = (selector) => event.target.closest && event.target.closest(selector);
    const link = near(".learn a[href^='/learn']"), button = near(".play");
    if (near(".present")) document.body.classList.add("presenting");
    if (link && !event.ctrlKey && !event.metaKey && !event.shiftKey) { event.preventDefault(); go(link.href); }
    if (button) { const playing = timer; stop(); if (!playing) play(button); }
  });

  // Presenting: keys turn the pages, unless they move a slider.
  addEventListener("keydown", (event) => {
    if (!document.body.classList.contains("presenting")) return;
    const way = { ArrowRight: ".ways .next", ArrowLeft: ".ways .before" }[event.key];
    if (event.key === "Escape") document.body.classList.remove("presenting");
    else if (way && !event.target.matches("input, [role=slider]")) document.querySelector(way)?.click();
  });

  window.dash_clientside = Object.assign({}, window.dash_clientside, {
    learn: {
      // What stands beside a slider is its value; what is drawn depends on it and on the guess.
      collect: function (values, opened, guesses) {
        if (!opened) return noUpdate();
        const held = {};
        for (const { id, value } of window.dash_clientside.callback_context.inputs_list[0]) {
          held[id.name] = value;
          const shown = document.querySelector(`.knob [data-value="${id.name}"]`);
          if (shown) shown.textContent = value;
        }
        drawing.want({ chapter: opened.chapter, values: held, guess: guesses?.[opened.chapter] ?? null }, "learn-");
        return noUpdate();
      },

      drawn: function () { drawing.drawn(true); return noUpdate(); },

      say: function (guess, opened) {
        return opened ? opened.texts[Math.round((guess - opened.low) / opened.step)] : noUpdate();
      },

      show: function (clicks, guess, opened, guesses) {
        return clicks && opened ? { ...guesses, [opened.chapter]: +guess } : noUpdate();
      },
    },
  });
})();
