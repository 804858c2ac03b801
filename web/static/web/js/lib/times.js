// @ts-check
// Times in the reader's own zone. The server writes and reads them in UTC.
import { say } from "./words.js";

const language = document.documentElement.lang || "en";

/** Two digits. @param {number} n */
const two = (n) => String(n).padStart(2, "0");

/** Return a time as a field takes it, by the browser's clock. @param {Date} at */
function local(at) {
  const day = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
  return `${day}T${two(at.getHours())}:${two(at.getMinutes())}`;
}

/** Write the times of a page as the reader's clock shows them. */
export function localise() {
  for (const time of document.querySelectorAll("time")) {
    const at = new Date(time.dateTime);
    time.textContent = at.toLocaleString(language, { dateStyle: "medium", timeStyle: "short" });
  }
}

/** Let fields for times be filled in by the reader's clock; what is sent stays in UTC. */
export function localiseFields() {
  const fields = /** @type {NodeListOf<HTMLInputElement>} */ (
    document.querySelectorAll("input[type=datetime-local][name]")
  );
  for (const field of fields) {
    const sent = document.createElement("input");
    sent.type = "hidden";
    sent.name = field.name;
    sent.value = field.value;
    sent.disabled = field.disabled;
    field.removeAttribute("name");
    if (field.value) field.value = local(new Date(`${field.value}Z`));
    field.addEventListener("change", () => {
      sent.value = field.value ? new Date(field.value).toISOString().slice(0, 16) : "";
    });
    field.after(sent);
  }
  const zone = document.getElementById("zone");
  const name = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (zone && name) zone.textContent = say("zone", { zone: name });
}
