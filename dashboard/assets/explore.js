// Explore in the browser: its strip, hint, menus and files. How a change is drawn is in drawing.js.
(function () {
  const LIT_MS = 650;   // the style sheet's animation and its longest delay
  const PAGE = { search: "search", request: "request", settled: "settled", failure: "failure" };
  const noUpdate = () => window.dash_clientside.no_update;
  const setProps = (id, props) => window.dash_clientside.set_props(id, props);
  const byId = (id) => document.getElementById(id);
  const drawing = window.gradlab.drawing;

  let lightUp = false;   // the next drawing came from a link, a preset or a file

  let firstPreset = null;

  const want = (wish) => drawing.want(wish, PAGE);

  function element(className, text, attributes) {
    const made = document.createElement("span");
    made.className = className;
    if (text) made.textContent = text;
    for (const name in attributes) made.setAttribute(name, attributes[name]);
    return made;
  }

  function paintStrip(strip) {
    const boxes = element("boxes", "", { role: "img", "aria-label": strip.words, style: `--n: ${strip.boxes.length}` });
    strip.boxes.forEach(([colour, text], i) =>
      boxes.append(element("box", "", { title: text, style: `background: ${colour}; --i: ${i}` })));
    const caption = element("caption");
    caption.append(element("", "← gradient ←"), element("", strip.scale));
    const middle = element("middle");
    middle.append(boxes, caption);
    byId("strip").replaceChildren(element("edge", strip.first), middle, element("edge loss", "Loss"));
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

  function write(text) {
    if (navigator.clipboard) return navigator.clipboard.writeText(text);
    const area = document.createElement("textarea");   // a page that is not on this machine has no clipboard
    area.value = text;
    document.body.appendChild(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done ? Promise.resolve() : Promise.reject(new Error("refused"));
  }

  function tooLarge(event) {
    const input = event.target;
    const files = event.dataTransfer ? event.dataTransfer.files : input.files;
    const zone = input.closest && input.closest(".upload");
    if (!zone || !files || !files.length || files[0].size <= 16e6) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    const megabytes = (files[0].size / 1e6).toFixed(1);
    const text = `${files[0].name} has ${megabytes} MB; the app takes 16 MB. Cut the file, or use gradlab from Python.`;
    setProps(zone.parentElement.id.replace("upload-", "upload-message-"), { children: text });
  }

  function closeMenus(event) {
    const own = event.target.closest && event.target.closest("summary")?.parentElement;
    for (const menu of document.querySelectorAll(".menu[open], .theory [open]"))
      if (event.key === "Escape" || (event.type === "click" && menu !== own)) menu.open = false;
  }

  for (const end of ["click", "keydown"]) addEventListener(end, closeMenus);
  for (const arrival of ["change", "drop"]) addEventListener(arrival, tooLarge, true);

  window.dash_clientside = Object.assign({}, window.dash_clientside, {
    explore: {
      collect: function () {
        const raw = {};
        const rest = {};
        for (const input of window.dash_clientside.callback_context.inputs_list) {
          if (input.id.startsWith("control-")) raw[input.id.slice("control-".length)] = input.value;
          else rest[input.id] = input.value;
        }
        hint(raw, rest.preset);
        want({ raw, preset: rest.preset, pins: rest.pins || [], theory: rest["theory-line"], run: false });
        return noUpdate();
      },

      start: function () { return location.search; },

      address: function (query) {
        if (query && query !== location.search) history.pushState({}, "", location.pathname + query);
        return noUpdate();
      },

      drawn: function (data) {
        drawing.dress(data.props);
        if (data.strip) paintStrip(data.strip);
        playLightUp();
        drawing.drawn(Boolean(data.strip));
        return noUpdate();
      },

      loaded: function () { lightUp = true; return noUpdate(); },

      run: function (clicks) {
        if (clicks && drawing.latest()) want({ ...drawing.latest(), run: true });
        return noUpdate();
      },

      sheet: function () {
        const open = byId("controls").classList.toggle("open");
        byId("sheet-toggle").setAttribute("aria-expanded", String(open));
        return noUpdate();
      },

      closeHint: function () { closeHint(); return noUpdate(); },

      copy: function (link, python, command, copies) {
        const which = window.dash_clientside.callback_context.triggered_id;
        const said = (text) => setProps(which.replace(/copy-\w+$/, "copied"), { children: text });
        if (!copies || !copies[which]) return noUpdate();
        const text = which.endsWith("copy-link") ? location.origin + location.pathname + copies[which] : copies[which];
        write(text).then(() => said("Copied"), () => said("The browser refused; copy the address bar instead"));
        setTimeout(() => said(""), 2000);
        return noUpdate();
      },

      table: function (clicks) {
        const open = clicks % 2 === 1;
        return [open ? "table" : "table hidden", open ? "Hide table" : "Show as table"];
      },
    },
  });
})();
