// Explore in the browser: controls -> request -> drawn -> settled.
//
// One request is under way at a time. While it is, only the newest wish is kept, so that a drag is drawn as fast as the
// server answers and never falls behind. What is typed waits until the fingers rest. A request is settled (address bar, history, tables) when it has been drawn, no
// pointer or key is down on a control, and nothing has changed for a moment.
(function () {
  const REST_MS = 250;
  const PATIENCE_MS = 5000;   // until a silent server is asked whether it is still there
  const LIT_MS = 650;   // the style sheet's animation and its longest delay
  const noUpdate = () => window.dash_clientside.no_update;
  const setProps = (id, props) => window.dash_clientside.set_props(id, props);
  const byId = (id) => document.getElementById(id);

  let latest = null;     // what should be on the page
  let sent = null;       // what was asked for last
  let settled = null;    // what was settled last
  let busy = false;      // a request is under way
  let held = false;      // a hand is on a slider
  let timer = null;      // runs while changes are fresh
  let watch = null;      // runs while a request is under way
  let first = true;      // no request has been drawn yet
  let shown = {};        // component -> properties that it was given last
  const assigned = {};   // slider -> value that its field gave it, which it will report as if it had been moved
  let lightUp = false;   // the next drawing came from a link, a preset or a file

  const narrow = matchMedia("(max-width: 760px)");
  const theme = () => document.documentElement.getAttribute("data-mantine-color-scheme") === "dark" ? "dark" : "light";
  const look = () => ({ theme: theme(), narrow: narrow.matches, first, search: location.search });
  const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);

  const typing = () => document.activeElement.matches(".field input:not([readonly])");

  function want(request) {
    const wish = ({ first, search, ...rest }) => rest;
    if (latest && same(wish(request), wish(latest))) return;
    latest = request;
    clearTimeout(timer);
    timer = setTimeout(() => { timer = null; pump(); }, REST_MS);
    pump();
  }

  function pump() {
    if (busy || !latest) return;
    if (latest !== sent) {
      if (typing() && timer !== null) return;
      sent = latest;
      busy = true;
      document.body.classList.add("busy");
      watch = setInterval(askServer, PATIENCE_MS);
      setProps("request", { data: sent });
    } else if (!held && timer === null && settled !== sent) {
      settled = sent;
      setProps("settled", { data: { ...settled, search: location.search } });
    }
  }

  function askServer() {
    fetch(location.origin + "/assets/icon.svg", { cache: "no-store" }).catch(() => {
      clearInterval(watch);
      setProps("failure", { children: "The server does not answer any more. Start it again, then reload this page." });
    });
  }

  function hold(event) {
    const slider = event.target.closest && event.target.closest(".slider");
    if (slider && (event.type === "pointerdown" || event.key.startsWith("Arrow") || event.key.startsWith("Page"))) held = true;
  }

  function release() {
    if (!held) return;
    held = false;
    pump();
  }

  function refresh() { if (latest) want({ ...latest, ...look(), run: false }); }

  // Only what has changed: setting a property draws its component anew.
  function dress(props) {
    const known = (id) => shown[id] || Object.fromEntries(Object.keys(props[id]).map((name) => [name, ""]));
    for (const id in props)
      if (!same(known(id), props[id])) setProps(id, props[id]);
    shown = props;
  }

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
    if (!lightUp || held) return;
    lightUp = false;
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) return;
    strip.classList.add("lit");
    setTimeout(() => strip.classList.remove("lit"), LIT_MS);
  }

  function hint(gain) {
    const box = byId("hint");
    if (!box) return;
    let seen = null;
    try { seen = localStorage.getItem("gradlab-hint"); } catch (error) { /* storage may be closed */ }
    if (gain !== 1) closeHint();
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

  // The file inputs come without a name.
  function nameUploads() {
    for (const zone of document.querySelectorAll(".upload"))
      zone.querySelector("input")?.setAttribute("aria-label", zone.innerText);
  }

  function closeMenus(event) {
    for (const menu of document.querySelectorAll(".menu[open]"))
      if (event.key === "Escape" || (event.type === "click" && !event.target.closest(".menu summary"))) menu.open = false;
  }

  addEventListener("pointerdown", hold, true);
  addEventListener("keydown", hold, true);
  for (const end of ["click", "keydown"]) addEventListener(end, closeMenus);
  for (const end of ["pointerup", "pointercancel", "keyup", "blur"]) addEventListener(end, release, true);
  for (const arrival of ["change", "drop"]) addEventListener(arrival, tooLarge, true);
  addEventListener("popstate", () => setProps("search", { data: location.search }));
  narrow.addEventListener("change", refresh);
  new MutationObserver(refresh).observe(document.documentElement, { attributeFilter: ["data-mantine-color-scheme"] });

  window.dash_clientside = Object.assign({}, window.dash_clientside, {
    explore: {
      // A slider and its field: whichever was touched sets the other.
      pair: function (slider, number) {
        const name = (window.dash_clientside.callback_context.triggered_id || "").replace(/^(control|slider)-/, "");
        const fromSlider = window.dash_clientside.callback_context.triggered_id === "slider-" + name;
        if (fromSlider) {
          if (!held && assigned[name] === slider) return [noUpdate(), noUpdate()];
          delete assigned[name];
          return [noUpdate(), slider === number ? noUpdate() : slider];
        }
        if (typeof number !== "number" || number === slider) return [noUpdate(), noUpdate()];
        assigned[name] = number;
        return [number, noUpdate()];
      },

      collect: function () {
        const raw = {};
        const rest = {};
        for (const input of window.dash_clientside.callback_context.inputs_list) {
          if (input.id.startsWith("control-")) raw[input.id.slice("control-".length)] = input.value;
          else rest[input.id] = input.value;
        }
        hint(raw.gain);
        want({ raw, preset: rest.preset, pins: rest.pins || [], ...look(), run: false });
        return noUpdate();
      },

      start: function () { return location.search; },

      address: function (query) {
        if (query && query !== location.search) history.pushState({}, "", location.pathname + query);
        return noUpdate();
      },

      drawn: function (data) {
        busy = false;
        dress(data.props);
        if (data.strip) {
          first = false;
          paintStrip(data.strip);
        }
        clearInterval(watch);
        document.body.classList.remove("busy");
        nameUploads();
        playLightUp();
        pump();
        return noUpdate();
      },

      loaded: function () { lightUp = true; return noUpdate(); },

      run: function (clicks) {
        if (clicks && latest) want({ ...latest, run: true });
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
        const said = (text) => setProps("copied", { children: text });
        if (!copies || !copies[which]) return noUpdate();
        const text = which === "copy-link" ? location.origin + location.pathname + copies[which] : copies[which];
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
