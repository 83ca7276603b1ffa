// Phase in the browser: controls -> request -> drawn -> address, and a click on the map -> Explore.
(function () {
  const SIGMAS = { gain: "sigma_w", bias_scale: "sigma_b", input_scale: "sigma_v" };
  const noUpdate = () => window.dash_clientside.no_update;
  const drawing = window.gradlab.drawing;
  let followed = true;   // what is shown came from the address, not from a hand
  let pointer = null;    // where it was last released

  addEventListener("pointerup", (event) => { pointer = event; }, true);

  // From the pointer itself: plotly reports the cell under it of up to 50 ms ago.
  function valuesAt(event, axes) {
    const plot = document.querySelector("#phase-figure .js-plotly-plot");
    const box = plot.querySelector(".nsewdrag").getBoundingClientRect();
    const { xaxis, yaxis } = plot._fullLayout;
    const at = [xaxis.p2d(event.clientX - box.x), yaxis.p2d(event.clientY - box.y)];
    return Object.fromEntries(axes.map(([field, step], n) => [field, +(Math.round(at[n] / step) * step).toFixed(6)]));
  }

  window.dash_clientside = Object.assign({}, window.dash_clientside, {
    phase: {
      collect: function (activation, axes, sigma_w, sigma_b, sigma_v, base) {
        if (window.dash_clientside.callback_context.triggered.some((input) => input.prop_id === "phase-base.data")) followed = true;
        if (base) drawing.want({ values: { activation, axes, sigma_w, sigma_b, sigma_v }, base }, "phase-");
        return noUpdate();
      },

      drawn: function () { drawing.drawn(true); return noUpdate(); },

      // A link that was followed stays one step of the history, written in full.
      settled: function (request, shown) {
        if (!shown || !shown.address || shown.address === location.search) return noUpdate();
        history[followed ? "replaceState" : "pushState"]({}, "", location.pathname + shown.address);
        followed = false;
        return noUpdate();
      },

      // Where nothing can hover, a first look at a point is worth more than a jump: there a click only chooses it.
      click: function (clicked, shown) {
        if (!clicked || !shown || !shown.axes) return noUpdate();
        const values = valuesAt(pointer, shown.axes);
        if (matchMedia("(hover: none)").matches) {
          for (const field in values) window.dash_clientside.set_props(`control-${SIGMAS[field]}`, { value: values[field] });
          return noUpdate();
        }
        const query = new URLSearchParams(shown.address);
        for (const field in values) query.set(field, values[field]);
        history.pushState({}, "", `${location.pathname}?${query}`);   // so that Back shows this point
        query.delete("axes");
        location.assign(`/?${query}`);
        return noUpdate();
      },
    },
  });
})();
