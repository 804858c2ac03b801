// @ts-check
// An event that shows nothing, for screens: the page waits for what comes.
import { wait } from "./parts/event.js";

wait();
