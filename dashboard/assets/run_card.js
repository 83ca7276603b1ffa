// Copying a run, on every page that shows one: its link, its Python, its command.
(function () {
  const noUpdate = () => window.dash_clientside.no_update;
  const setProps = (id, props) => window.dash_clientside.set_props(id, props);

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

  window.dash_clientside = Object.assign({}, window.dash_clientside, {
    run_card: {
      copy: function (...buttons) {
        const copies = buttons.pop();
        const which = window.dash_clientside.callback_context.triggered_id;
        const said = (text) => setProps(which.replace(/copy-\w+$/, "copied"), { children: text });
        if (!copies || !copies[which]) return noUpdate();
        const text = which.endsWith("copy-link") ? location.origin + location.pathname + copies[which] : copies[which];
        write(text).then(() => said("Copied"), () => said("The browser refused; copy the address bar instead"));
        setTimeout(() => said(""), 2000);
        return noUpdate();
      },
    },
  });
})();
