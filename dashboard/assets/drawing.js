// Drawing while a hand moves a control, the same for every page: want -> request -> drawn -> settled.
//
// One request is under way at a time. While it is, only the newest wish is kept, so that a drag is drawn as fast as the
// server answers and never falls behind. What is typed waits until the fingers rest. A request is settled (address bar,
// history, tables) when it has been drawn, no pointer or key is down on a control, and nothing has changed for a moment.
// Where a preview was drawn, the whole run is asked for then; a change of the controls does not wait for it but takes
// its place, as does a click on Cancel; the server ends the run, and Dash drops its late answer.
window.gradlab = {};
(function () {
  const REST_MS = 250;
  const PATIENCE_MS = 5000;   // until a silent server is asked whether it is still there
  const BACK_MS = 1000;       // until one that is gone is asked whether it is back
  const noUpdate = () => window.dash_clientside.no_update;
  const setProps = (id, props) => window.dash_clientside.set_props(id, props);

  let page = null;       // prefix of the ids of the page's stores and of its place for failures
  let latest = null;     // what should be on the page
  let sent = null;       // what was asked for last
  let settled = null;    // what was settled last
  let busy = false;      // a request is under way
  let follows = false;   // what was drawn is a preview, and the whole run comes when it is settled
  let held = false;      // a hand is on a slider
  let timer = null;      // runs while changes are fresh
  let watch = null;      // runs while a request is under way
  let lost = false;      // the server does not answer
  let first = true;      // nothing has been shown yet
  let dressed = {};      // component -> properties that it was given last
  const owner = Math.random().toString(36).slice(2);   // this page, while it is open
  const assigned = {};   // slider -> value that its field gave it, which it will report as if it had been moved

  const narrow = matchMedia("(max-width: 760px)");
  const theme = () => document.documentElement.getAttribute("data-mantine-color-scheme") === "dark" ? "dark" : "light";
  const look = () => ({ owner, theme: theme(), narrow: narrow.matches, first, search: location.search });
  const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);
  const typing = () => document.activeElement.matches(".field input:not([readonly])");

  function want(wish, prefix) {
    page = prefix ?? page;
    const request = { ...wish, ...look() };
    const lasting = ({ first, search, ...rest }) => rest;
    if (latest && same(lasting(request), lasting(latest))) return;
    latest = request;
    document.body.classList.add("unsettled");
    clearTimeout(timer);
    timer = setTimeout(() => { timer = null; pump(); }, REST_MS);
    pump();
  }

  const outdated = () => sent?.run && (latest.stop || !same(sent.raw, latest.raw));

  function pump() {
    if (!latest || (busy && !outdated())) return;
    if (latest !== sent) {
      if (typing() && timer !== null) return;
      sent = latest;
      busy = true;
      document.body.classList.add("busy");
      clearInterval(watch);
      watch = setInterval(() => askServer(), PATIENCE_MS);
      setProps(page + "request", { data: sent });
    } else if (!held && timer === null && settled !== sent) {
      settled = sent;
      document.body.classList.remove("unsettled");
      setProps(page + "settled", { data: { ...settled, search: location.search } });
      if (follows) want({ ...settled, run: true });
    }
  }

  // Whether the server is still there; once it is back, what was lost is asked for again.
  function askServer(again = askForLatest) {
    if (lost) return;
    const ask = () => fetch(location.origin + "/assets/icon.svg", { cache: "no-store" });
    const wait = () => setTimeout(() => ask().then(back, wait), BACK_MS);
    const back = () => {
      lost = false;
      setProps(page + "failure", { children: "" });
      again();
    };
    ask().catch(() => {
      lost = true;
      clearInterval(watch);
      setProps(page + "failure", { children: "The server does not answer. Start it again, and this page goes on." });
      wait();
    });
  }

  function askForLatest() {
    sent = null;
    busy = false;
    pump();
  }

  // The file inputs come without a name.
  function nameUploads() {
    for (const zone of document.querySelectorAll(".upload"))
      zone.querySelector("input")?.setAttribute("aria-label", zone.textContent);
  }

  function drawn(something, more = false) {
    busy = false;
    follows = more;
    if (something) first = false;
    clearInterval(watch);
    nameUploads();
    document.body.classList.remove("busy", "running");
    pump();
  }

  // Only what has changed: setting a property draws its component anew.
  function dress(props) {
    const known = (id) => dressed[id] || Object.fromEntries(Object.keys(props[id]).map((name) => [name, ""]));
    for (const id in props)
      if (!same(known(id), props[id])) setProps(id, props[id]);
    dressed = props;
  }

  // What a callback was called with: values of the controls by name, the others by id, both without the page's prefix.
  function inputs(prefix) {
    const raw = {};
    const rest = {};
    for (const { id, value } of window.dash_clientside.callback_context.inputs_list) {
      const control = "control-" + prefix;
      if (id.startsWith(control)) raw[id.slice(control.length)] = value;
      else rest[id.slice(prefix.length)] = value;
    }
    return { raw, rest };
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

  function refresh() { if (latest) want({ ...latest, run: false }); }

  addEventListener("popstate", () => { if (page !== null) setProps(page + "search", { data: location.search }); });
  addEventListener("pointerdown", hold, true);
  addEventListener("keydown", hold, true);
  for (const end of ["pointerup", "pointercancel", "keyup", "blur"]) addEventListener(end, release, true);
  addEventListener("pagehide", () => navigator.sendBeacon(location.origin + "/leave", owner));   // ends what it waits for
  addEventListener("pageshow", (event) => { if (event.persisted) { settled = null; busy ? askForLatest() : pump(); } });
  narrow.addEventListener("change", refresh);
  new MutationObserver(refresh).observe(document.documentElement, { attributeFilter: ["data-mantine-color-scheme"] });

  window.gradlab.drawing = { want, drawn, dress, inputs, askServer, held: () => held, latest: () => latest, sent: () => sent };

  window.dash_clientside = Object.assign({}, window.dash_clientside, {
    drawing: {
      start: function () { return location.search; },

      address: function (query) {
        if (query && query !== location.search) history.pushState({}, "", location.pathname + query);
        return noUpdate();
      },

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
    },
  });
})();
