// Reads an AsyncAPI document from standard input, and fails by each thing that is wrong with it.
"use strict";
const { readFileSync } = require("node:fs");
const { Parser } = require("@asyncapi/parser");

const NAMES = ["error", "warning"]; // its milder severities are advice

new Parser().parse(readFileSync(0, "utf8")).then(({ document, diagnostics }) => {
  const found = diagnostics.filter(({ severity }) => severity < NAMES.length);
  for (const { severity, path, message } of found) {
    console.error(`${NAMES[severity]}: ${path.join(".")}: ${message}`);
  }
  if (document === undefined || found.length > 0) process.exit(1);
  const messages = document.channels().all().flatMap((channel) => channel.messages().all());
  console.log(`AsyncAPI ${document.version()}: ${messages.length} messages, nothing wrong.`);
});
