// @ts-check
// A poll's own page: its voter is known by the cookie that came with it.
import { cookieHeaders, start } from "./ballot.js";

start(cookieHeaders);
