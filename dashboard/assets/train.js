// Train in the browser: controls and runs -> request -> looks of the controls -> address.
(function () {
  const PAGE = { search: "train-search", request: "train-request", settled: "train-settled", failure: "train-failure" };
  const PREFIX = "control-train-";
  const noUpdate = () => window.dash_clientside.no_update;
  const drawing = window.gradlab.drawing;
  let look = null;   // theme and width that the figures were asked for

  window.dash_clientside = Object.assign({}, window.dash_clientside, {
    train: {
      start: function () { return location.search; },

      collect: function () {
        const raw = {};
        let runs = [];
        for (const input of window.dash_clientside.callback_context.inputs_list) {
          if (input.id.startsWith(PREFIX)) raw[input.id.slice(PREFIX.length)] = input.value;
          else runs = input.value || [];
        }
        drawing.want({ raw, runs }, PAGE);
        return noUpdate();
      },

      drawn: function (data) {
        drawing.dress(data.props);
        if (look !== JSON.stringify(data.look)) {
          look = JSON.stringify(data.look);
          window.dash_clientside.set_props("train-look", { data: data.look });
        }
        drawing.drawn(true);
        return noUpdate();
      },

      address: function (query) {
        if (query && query !== location.search) history.pushState({}, "", location.pathname + query);
        return noUpdate();
      },
    },
  });
})();
