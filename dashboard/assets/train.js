// Train in the browser: controls and runs -> request -> looks of the controls -> address.
(function () {
  const noUpdate = () => window.dash_clientside.no_update;
  const drawing = window.gradlab.drawing;
  const TICK_MS = 1000;      // from an answer to the next question: a slow server is never asked twice at once
  const PATIENCE_MS = 5000;  // until a silent one is asked whether it is still there
  const setProps = (id, props) => window.dash_clientside.set_props(id, props);
  let look = null;    // theme and width that the figures were asked for
  let timer = null;   // until the next question
  let watch = null;   // runs while an answer is due

  function tick() {
    clearInterval(watch);
    watch = setInterval(() => drawing.askServer(tick), PATIENCE_MS);
    setProps("train-tick", { data: Date.now() });
  }

  window.dash_clientside = Object.assign({}, window.dash_clientside, {
    train: {
      collect: function () {
        const { raw, rest } = drawing.inputs("train-");
        drawing.want({ raw, runs: rest.runs || [] }, "train-");
        return noUpdate();
      },

      drawn: function (data) {
        drawing.dress(data.props);
        if (look !== JSON.stringify(data.look)) {
          look = JSON.stringify(data.look);
          setProps("train-look", { data: data.look });
        }
        drawing.drawn(true);
        return noUpdate();
      },

      shown: function (now) {
        clearTimeout(timer);
        clearInterval(watch);
        if (now && now.more) timer = setTimeout(tick, TICK_MS);
        return noUpdate();
      },
    },
  });
})();
