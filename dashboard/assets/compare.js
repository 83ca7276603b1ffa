// Compare in the browser: fields of the runs -> request -> drawn -> address; while seeds are to come, it asks again.
(function () {
  const TICK_MS = 300;       // from an answer to the next question: a slow server is never asked twice at once
  const PATIENCE_MS = 5000;  // until a silent one is asked whether it is still there
  const noUpdate = () => window.dash_clientside.no_update;
  const drawing = () => window.gradlab.drawing;   // this file comes before it
  const setProps = (id, props) => window.dash_clientside.set_props(id, props);
  let followed = true;   // what is shown came from the address, not from a hand
  let done = -1;         // how many seeds are shown
  let timer = null;      // until the next question
  let watch = null;      // runs while an answer is due

  // Not while a request is under way: the answer to a tick would take the place of its answer.
  function tick() {
    clearInterval(watch);
    if (document.body.classList.contains("busy")) { timer = setTimeout(tick, TICK_MS); return; }
    watch = setInterval(() => drawing().askServer(tick), PATIENCE_MS);
    setProps("compare-tick", { data: { at: Date.now(), done } });
  }

  window.dash_clientside = Object.assign({}, window.dash_clientside, {
    compare: {
      collect: function () {
        const { triggered } = window.dash_clientside.callback_context;
        if (triggered.some((input) => input.prop_id === "compare-along.data")) followed = true;
        const { raw, rest } = drawing().inputs("compare-");
        if (!rest.rows || !rest.rows.length) return noUpdate();
        const { rows, equal, seeds, sort } = rest;
        drawing().want({ raw, rows, equal, seeds, along: rest.along || "", by: sort || "slope" }, "compare-");
        return noUpdate();
      },

      drawn: function (data) {
        clearTimeout(timer);
        clearInterval(watch);
        done = data.done;
        if (data.props) drawing().dress(data.props);
        if (data.more) timer = setTimeout(tick, TICK_MS);
        drawing().drawn(true);
        return noUpdate();
      },

      // A link that was followed stays one step of the history, written in full.
      settled: function (request, shown) {
        if (!shown || !shown.address || shown.address === location.search) return noUpdate();
        history[followed ? "replaceState" : "pushState"]({}, "", location.pathname + shown.address);
        followed = false;
        return noUpdate();
      },

      sort: function () {
        const { triggered_id } = window.dash_clientside.callback_context;
        return triggered_id ? triggered_id.split("-").pop() : noUpdate();
      },
    },
  });
})();
