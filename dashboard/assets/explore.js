// Explore in the browser: its strip, hint and sheet. How a change is drawn is in drawing.js.
(function () {
  const LIT_MS = 650;   // the style sheet's animation and its longest delay
  const noUpdate = () => window.dash_clientside.no_update;
  const byId = (id) => document.getElementById(id);
  const drawing = window.gradlab.drawing;

  let lightUp = false;   // the next drawing came from a link, a preset or a file
  let firstPreset = null;
  let shownLayer = null;   // of a network, the path of the one that was clicked

  const want = (wish) => drawing.want(wish, "");

  function element(className, text, attributes) {
    const made = document.createElement("span");
    made.className = className;
    if (text) made.textContent = text;
    for (const name in attributes) made.setAttribute(name, attributes[name]);
    return made;
  }

  function row(strip) {
    const boxes = element("boxes", "", { role: "img", "aria-label": strip.words, style: `--n: ${strip.boxes.length}` });
    strip.boxes.forEach(([colour, text], i) =>
      boxes.append(element("box", "", { title: text, style: `background: ${colour}; --i: ${i}` })));
    return boxes;
  }

  // A network's layers, one above the other; a click shows another one.
  function layer(strip, chosen) {
    const line = document.createElement("button");
    line.className = "layer-row";
    line.setAttribute("aria-pressed", String(strip.path === chosen));
    line.append(element("layer-title", strip.title), row(strip));
    line.onclick = () => {
      shownLayer = strip.path;
      want({ ...drawing.latest(), layer: shownLayer });
    };
    return line;
  }

  function paintStrip(strip) {
    const focused = document.activeElement?.matches(".layer-row") ? shownLayer : null;
    const caption = element("caption");
    caption.append(element("", "← gradient ←"), element("", strip.scale));
    const middle = element("middle");
    const lines = element("layers");
    const rows = strip.rows?.map((one) => layer(one, strip.chosen)) ?? [row(strip)];
    lines.append(...rows);
    middle.append(lines, caption);
    byId("strip").classList.toggle("of-layers", Boolean(strip.rows));
    byId("strip").replaceChildren(element("edge", strip.first), middle, element("edge loss", "Loss"));
    if (focused !== null) rows.find((line) => line.getAttribute("aria-pressed") === "true")?.focus();
  }

  function playLightUp() {
    const strip = byId("strip");
    if (!lightUp || drawing.held()) return;
    lightUp = false;
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) return;
    strip.classList.add("lit");
    setTimeout(() => strip.classList.remove("lit"), LIT_MS);
  }

  // Only for a first visit's first run: a link, a file or another preset has a subject of its own.
  function hint(raw, preset) {
    const box = byId("hint");
    if (!box) return;
    firstPreset ??= preset;
    let seen = null;
    try { seen = localStorage.getItem("gradlab-hint"); } catch (error) { /* storage may be closed */ }
    if (raw.gain !== 1 || raw.weights || preset !== firstPreset || location.search) closeHint();
    else if (!seen) box.classList.add("shown");
  }

  function closeHint() {
    const box = byId("hint");
    if (!box || !box.classList.contains("shown")) return;
    box.classList.remove("shown");
    try { localStorage.setItem("gradlab-hint", "seen"); } catch (error) { /* storage may be closed */ }
  }

  window.dash_clientside = Object.assign({}, window.dash_clientside, {
    explore: {
      collect: function () {
        const { raw, rest } = drawing.inputs("");
        hint(raw, rest.preset);
        want({ raw, preset: rest.preset, pins: rest.pins || [], theory: rest["theory-line"], layer: shownLayer,
          group: rest.group || "", run: false });
        return noUpdate();
      },

      drawn: function (data) {
        if (data.run !== drawing.sent()?.run) return noUpdate();   // of a whole run that a newer request has replaced
        drawing.dress(data.props);
        if (data.strip) paintStrip(data.strip);
        playLightUp();
        drawing.drawn(Boolean(data.strip), data.follows);
        return noUpdate();
      },

      loaded: function () { lightUp = true; return noUpdate(); },

      run: function (clicks) {
        if (!clicks || !drawing.latest()) return noUpdate();
        document.body.classList.add("running");
        want({ ...drawing.latest(), run: true, stop: false });
        return noUpdate();
      },

      cancel: function (clicks) {
        if (clicks && drawing.latest()) want({ ...drawing.latest(), run: false, stop: true });
        return noUpdate();
      },

      // A button that comes and goes calls as it comes, too, without having been pressed.
      pressed: function () {
        const { triggered, triggered_id } = window.dash_clientside.callback_context;
        return triggered[0]?.value ? triggered_id : noUpdate();
      },

      sheet: function () {
        const open = byId("controls").classList.toggle("open");
        byId("sheet-toggle").setAttribute("aria-expanded", String(open));
        return noUpdate();
      },

      closeHint: function () { closeHint(); return noUpdate(); },

      table: function (clicks) {
        const open = clicks % 2 === 1;
        return [open ? "table" : "table hidden", open ? "Hide table" : "Show as table"];
      },
    },
  });
})();
