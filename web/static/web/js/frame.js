// Gives each frame of a poll the height of what is in it. For pages that embed one; see embed.js.
(() => {
  const origin = new URL(document.currentScript.src).origin;
  addEventListener("message", ({ data, origin: from, source }) => {
    if (from !== origin || data?.type !== "polls:height") return;
    for (const frame of document.querySelectorAll("iframe")) {
      if (frame.contentWindow === source) frame.style.height = `${Math.ceil(data.height)}px`;
    }
  });
})();
