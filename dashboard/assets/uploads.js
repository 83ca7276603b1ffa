// Files that are dropped: one that is too large is refused before it is sent, with a word in the place for messages.
(function () {
  function tooLarge(event) {
    const input = event.target;
    const files = event.dataTransfer ? event.dataTransfer.files : input.files;
    const zone = input.closest && input.closest(".upload");
    if (!zone || !files || !files.length) return;
    const [{ name, size }] = files;
    const limit = Number(zone.closest(".dropzone").dataset.limit);   // bytes
    if (size <= limit) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    const megabytes = `${(size / 1e6).toFixed(1)} MB; the app takes ${limit / 1e6} MB`;
    const text = `${name} has ${megabytes}. Cut the file, or use gradlab from Python.`;
    window.dash_clientside.set_props(zone.parentElement.id.replace("upload-", "upload-message-"), { children: text });
  }

  for (const arrival of ["change", "drop"]) addEventListener(arrival, tooLarge, true);
})();
